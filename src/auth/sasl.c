/*
 * SASL, server side: PLAIN (RFC 4616) and LOGIN (the old draft), strictly.
 *
 * A mechanism is a row: its name, who speaks first, and a step function from
 * a client message to a state. Base64, "*" and line limits are the
 * protocol's business; what reaches a step is decoded. Messages that are not
 * of the mechanism are SASL_BAD, never a guess at what was meant.
 */
#include <stdlib.h>

#include "auth/impl.h"
#include "base/utf8.h"

#define PART_MAX 255 /* RFC 4616 2 */

struct mechanism {
	struct slice name;
	bool client_first;
	enum sasl_state (*step)(struct sasl *s, struct slice in, struct buf *out,
				struct auth_identity *id);
};

struct sasl {
	const struct mechanism *mech;
	struct auth *a;
	const char *protocol;
	const struct net_addr *peer;
	int round;
	char user[PART_MAX];
	size_t user_n;
};

static bool is_text(struct slice s)
{
	return s.n > 0 && utf8_valid(s) && !slice_has_nul(s);
}

CO_FN static enum sasl_state decide(struct sasl *s, struct slice authzid, struct slice user,
				    struct slice password, struct auth_identity *id)
{
	struct auth_request r = { .protocol = s->protocol,
				  .peer = s->peer,
				  .authzid = authzid,
				  .user = user,
				  .password = password };
	int res = auth_login(s->a, &r, id);

	return res == AUTH_OK ? SASL_DONE : res == AUTH_FAILED ? SASL_FAIL : SASL_TEMP;
}

/* message = [authzid] NUL authcid NUL passwd            RFC 4616 2 */
CO_FN static enum sasl_state plain_step(struct sasl *s, struct slice in, struct buf *out,
					struct auth_identity *id)
{
	struct slice rest = in;
	struct slice authzid;
	struct slice user;

	(void)out;
	if (slice_chr(rest, '\0') == SIZE_MAX) {
		return SASL_BAD;
	}
	authzid = slice_split(&rest, '\0');
	if (slice_chr(rest, '\0') == SIZE_MAX) {
		return SASL_BAD;
	}
	user = slice_split(&rest, '\0');
	if (authzid.n > PART_MAX || user.n > PART_MAX || !is_text(user) ||
	    (authzid.n > 0 && !is_text(authzid)) || rest.n > AUTH_PASSWORD_MAX || !is_text(rest)) {
		return SASL_BAD;
	}
	return decide(s, authzid, user, rest, id);
}

CO_FN static enum sasl_state login_step(struct sasl *s, struct slice in, struct buf *out,
					struct auth_identity *id)
{
	/* Many clients send the name at once as an initial response. */
	if (s->round == 0 && in.p && in.n > 0) {
		s->round = 1;
	}
	switch (s->round++) {
	case 0:
		buf_adds(out, "Username:");
		return SASL_CONTINUE;
	case 1:
		if (in.n > PART_MAX || !is_text(in)) {
			return SASL_BAD;
		}
		memcpy(s->user, in.p, in.n);
		s->user_n = in.n;
		buf_adds(out, "Password:");
		return SASL_CONTINUE;
	case 2:
		if (in.n > AUTH_PASSWORD_MAX || !is_text(in)) {
			return SASL_BAD;
		}
		return decide(s, S(""), slice_make(s->user, s->user_n), in, id);
	default:
		return SASL_BAD;
	}
}

static const struct mechanism mechanisms[] = {
	{ { "PLAIN", 5 }, true, plain_step },
	{ { "LOGIN", 5 }, false, login_step },
};

const char *sasl_mechanisms(void)
{
	return "PLAIN LOGIN";
}

struct sasl *sasl_new(struct auth *a, struct slice mechanism, const char *protocol,
		      const struct net_addr *peer)
{
	for (size_t i = 0; i < ARRAY_LEN(mechanisms); i++) {
		struct sasl *s;

		if (!slice_ieq(mechanism, mechanisms[i].name)) {
			continue;
		}
		s = calloc(1, sizeof(*s));
		if (s) {
			s->mech = &mechanisms[i];
			s->a = a;
			s->protocol = protocol;
			s->peer = peer;
		}
		return s;
	}
	return NULL;
}

bool sasl_client_first(const struct sasl *s)
{
	return s->mech->client_first;
}

enum sasl_state sasl_step(struct sasl *s, struct slice in, struct buf *out,
			  struct auth_identity *id)
{
	return s->mech->step(s, in, out, id);
}

void sasl_free(struct sasl **sp)
{
	struct sasl *s = TAKE_PTR(*sp);

	if (s) {
		explicit_bzero(s, sizeof(*s));
		free(s);
	}
}
