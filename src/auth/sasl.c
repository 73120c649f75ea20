/*
 * SASL, server side: PLAIN (RFC 4616), LOGIN (the old draft) and SCRAM (RFC
 * 5802, RFC 7677; its messages are scram.c's), strictly.
 *
 * A mechanism is a row: its name, who speaks first, and a step function from
 * a client message to a state. Base64, "*" and line limits are the
 * protocol's business; what reaches a step is decoded. Messages that are not
 * of the mechanism are SASL_BAD, never a guess at what was meant.
 */
#include <stdlib.h>

#include "auth/impl.h"
#include "base/utf8.h"
#include "io/tls.h"

#define PART_MAX 255 /* RFC 4616 2 */

/* Of a SCRAM mechanism. */
struct variant {
	enum scram_hash hash;
	bool plus;
};

struct mechanism {
	struct slice name;
	bool client_first;
	const struct variant *scram; /* NULL: it is none */
	enum sasl_state (*step)(struct sasl *s, struct slice in, struct buf *out,
				struct auth_identity *id);
};

struct sasl {
	const struct mechanism *mech;
	struct auth *a;
	const char *protocol;
	const struct net_addr *peer;
	struct stream *tls;
	int round;
	struct scram scram;
	struct auth_identity id; /* who has proved it, before the last word */
	char user[PART_MAX];
	size_t user_n;
};

static bool is_text(struct slice s)
{
	return s.n > 0 && utf8_valid(s) && !slice_has_nul(s);
}

static enum sasl_state state_of(int res)
{
	switch (res) {
	case AUTH_OK:
		return SASL_DONE;
	case AUTH_FAILED:
		return SASL_FAIL;
	case AUTH_DENIED:
		return SASL_DENIED;
	case AUTH_INVALID:
		return SASL_BAD;
	default:
		return SASL_TEMP;
	}
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

	return state_of(res);
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

/* ---- SCRAM ------------------------------------------------------------------------ */

static const struct {
	const char *name;
	enum tls_binding kind;
} bindings[] = {
	{ "tls-exporter", TLS_EXPORTER },
	{ "tls-server-end-point", TLS_SERVER_END_POINT },
};

/* The channel's bytes of this type. 0 or -ENOTSUP. */
static int binding_of(struct stream *tls, const char *type, unsigned char out[TLS_BINDING_MAX],
		      size_t *n_out)
{
	for (size_t i = 0; tls && i < ARRAY_LEN(bindings); i++) {
		if (!type || strcmp(type, bindings[i].name) == 0) {
			int r = tls_binding_get(tls, bindings[i].kind, out, n_out);
			if (r == 0 || type) {
				return r;
			}
		}
	}
	return -ENOTSUP;
}

/* Can anything bind to this connection? Then -PLUS is on offer. */
static bool binds(struct stream *tls)
{
	unsigned char bytes[TLS_BINDING_MAX];
	size_t n;

	return binding_of(tls, NULL, bytes, &n) == 0;
}

/*
 * What the client says about binding, against what we do (RFC 5802 6). "y",
 * that it could bind if only we could, is a lie or somebody in between where
 * -PLUS was on offer.
 */
static bool flag_holds(const struct sasl *s)
{
	switch (s->scram.flag) {
	case SCRAM_BINDS:
		return s->mech->scram->plus;
	case SCRAM_COULD_BIND:
		return !s->mech->scram->plus && !binds(s->tls);
	default:
		return !s->mech->scram->plus;
	}
}

CO_FN static enum sasl_state scram_begin(struct sasl *s, struct slice in, struct buf *out)
{
	struct scram *x = &s->scram;
	unsigned char bytes[TLS_BINDING_MAX];
	struct scram_keys keys = { 0 };
	size_t n = 0;
	int r;

	scram_init(x, s->mech->scram->hash);
	if (scram_first(x, in) < 0) {
		return SASL_BAD;
	}
	if (!flag_holds(s) ||
	    (x->flag == SCRAM_BINDS && binding_of(s->tls, x->type, bytes, &n) < 0)) {
		return SASL_FAIL;
	}
	r = login_scram_keys(s->a, x->hash, slice_make(x->user, x->user_n), &keys);
	if (r == 0) {
		r = scram_challenge(x, &keys, slice_make((const char *)bytes, n), NULL, out);
	}
	explicit_bzero(&keys, sizeof(keys));
	return r == 0 ? SASL_CONTINUE : SASL_TEMP;
}

CO_FN static enum sasl_state scram_step(struct sasl *s, struct slice in, struct buf *out,
					struct auth_identity *id)
{
	struct scram *x = &s->scram;
	struct auth_request r = { .protocol = s->protocol, .peer = s->peer };
	int res;

	switch (s->round++) {
	case 0:
		return scram_begin(s, in, out);
	case 1:
		r.user = slice_make(x->user, x->user_n);
		r.authzid = slice_make(x->authzid, x->authzid_n);
		res = login_scram(s->a, &r, x, in, out, &s->id);
		return res == AUTH_OK ? SASL_CONTINUE : state_of(res);
	case 2:
		if (in.n > 0 || s->id.account == 0) {
			return SASL_BAD;
		}
		*id = s->id;
		return SASL_DONE;
	default:
		return SASL_BAD;
	}
}

/* ---- the table ---------------------------------------------------------------------- */

static const struct variant sha256 = { SCRAM_SHA256, false };
static const struct variant sha256_plus = { SCRAM_SHA256, true };
static const struct variant sha1 = { SCRAM_SHA1, false };
static const struct variant sha1_plus = { SCRAM_SHA1, true };

/* The better one first: some clients take the first they know. */
static const struct mechanism mechanisms[] = {
	{ S("SCRAM-SHA-256-PLUS"), true, &sha256_plus, scram_step },
	{ S("SCRAM-SHA-256"), true, &sha256, scram_step },
	{ S("SCRAM-SHA-1-PLUS"), true, &sha1_plus, scram_step },
	{ S("SCRAM-SHA-1"), true, &sha1, scram_step },
	{ S("PLAIN"), true, NULL, plain_step },
	{ S("LOGIN"), false, NULL, login_step },
};

static bool offered(const struct auth *a, struct stream *tls, const struct mechanism *m)
{
	return !m->scram || (a->scram && (!m->scram->plus || binds(tls)));
}

void sasl_mechanisms(const struct auth *a, struct stream *tls, struct buf *out)
{
	size_t start = out->n;

	for (size_t i = 0; i < ARRAY_LEN(mechanisms); i++) {
		if (offered(a, tls, &mechanisms[i])) {
			buf_adds(out, out->n > start ? " " : "");
			buf_add(out, mechanisms[i].name);
		}
	}
}

struct sasl *sasl_new(struct auth *a, struct slice mechanism, const char *protocol,
		      const struct net_addr *peer, struct stream *tls)
{
	for (size_t i = 0; i < ARRAY_LEN(mechanisms); i++) {
		struct sasl *s;

		if (!slice_ieq(mechanism, mechanisms[i].name) || !offered(a, tls, &mechanisms[i])) {
			continue;
		}
		s = calloc(1, sizeof(*s));
		if (s) {
			s->mech = &mechanisms[i];
			s->a = a;
			s->protocol = protocol;
			s->peer = peer;
			s->tls = tls;
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
		scram_fini(&s->scram);
		explicit_bzero(s, sizeof(*s));
		free(s);
	}
}
