/*
 * XCLIENT: a proxy that we trust says for whom it connects (Postfix's
 * XCLIENT_README). Only where srv allows it; the connection then counts for
 * that client, and the session begins anew (THREATS SM-19).
 *
 * An address is believed only if it cannot give more than the proxy has: that
 * of our own machine is taken from our own machine only, and one that is
 * "unavailable" not at all.
 */
#include "base/codec.h"
#include "smtp/internal.h"

struct xclient {
	bool has_addr, has_port, has_name, has_helo, has_proto;
	struct net_addr addr;
	uint32_t port;
	bool esmtp;
	char name[SMTP_HELO_MAX + 1]; /* "": unavailable */
	char helo[SMTP_HELO_MAX + 1];
};

static bool is_unavailable(struct slice v)
{
	return slice_ieq(v, S("[UNAVAILABLE]")) || slice_ieq(v, S("[TEMPUNAVAIL]"));
}

/* A host name or nothing. */
static int take_name(struct slice v, char dst[SMTP_HELO_MAX + 1])
{
	dst[0] = '\0';
	if (is_unavailable(v)) {
		return 0;
	}
	return smtp_helo_ok(v) ? slice_copy(v, dst, SMTP_HELO_MAX + 1) : -EINVAL;
}

/* "192.0.2.1" or "IPV6:2001:db8::1", without brackets. */
static int take_addr(struct slice v, struct net_addr *out)
{
	bool v6 = slice_istarts(v, S("IPV6:"));

	if (net_addr_parse(v6 ? slice_from(v, 5) : v, 0, out) != 0 ||
	    slice_chr(v, '[') != SIZE_MAX ||
	    (out->sa.sa_family != AF_INET && out->sa.sa_family != AF_INET6) ||
	    (v6 != (out->sa.sa_family == AF_INET6))) {
		return -EINVAL;
	}
	net_addr_unmap(out);
	return 0;
}

/* Each attribute once. */
static bool first(bool *has)
{
	bool was = *has;

	*has = true;
	return !was;
}

/* 0 or -EINVAL. The value is decoded. */
static int take_attribute(struct slice name, struct slice v, struct xclient *x)
{
	if (slice_ieq(name, S("ADDR"))) {
		return first(&x->has_addr) ? take_addr(v, &x->addr) : -EINVAL;
	} else if (slice_ieq(name, S("PORT"))) {
		if (!first(&x->has_port)) {
			return -EINVAL;
		}
		return is_unavailable(v) ? 0 : slice_u32(v, &x->port);
	} else if (slice_ieq(name, S("NAME"))) {
		return first(&x->has_name) ? take_name(v, x->name) : -EINVAL;
	} else if (slice_ieq(name, S("HELO"))) {
		return first(&x->has_helo) ? take_name(v, x->helo) : -EINVAL;
	} else if (slice_ieq(name, S("PROTO"))) {
		x->esmtp = slice_ieq(v, S("ESMTP"));
		return first(&x->has_proto) && (x->esmtp || slice_ieq(v, S("SMTP"))) ? 0 : -EINVAL;
	}
	return -EINVAL;
}

/* xclient = "XCLIENT" 1*(SP name "=" xtext) */
static int parse(struct slice args, struct xclient *x)
{
	int r = args.n ? 0 : -EINVAL;

	while (r == 0 && args.p) {
		struct slice value = slice_split(&args, ' ');
		struct slice name = slice_split(&value, '=');
		struct buf plain = BUF_INIT(SMTP_LINE_MAX);

		r = value.n && smtp_xtext_decode(value, &plain) == 0
			    ? take_attribute(name, buf_slice(&plain), x)
			    : -EINVAL;
		buf_fini(&plain);
	}
	return r < 0 || x->port > 65535 ? -EINVAL : 0;
}

/* Everything that was learnt of the one before is forgotten. */
static void begin_anew(struct smtp_session *s, const struct xclient *x)
{
	struct conn *c = &s->base.conn;

	smtp_reset(s);
	s->state = SMTP_START;
	s->authenticated = false;
	s->id = (struct auth_identity){ 0 };
	s->errors = s->junk = s->unknown = s->auth_failures = s->owed = 0;
	s->helo[0] = s->client[0] = '\0';
	s->lists_asked = false;
	s->gate[0] = '\0';
	s->esmtp = s->role == SMTP_LMTP || x->esmtp;
	if (x->has_addr) {
		c->peer = x->addr;
		c->peer.in.sin_port = htons((uint16_t)x->port);
		net_addr_text(&c->peer, c->peer_text);
	}
	memcpy(s->client, x->name, sizeof(s->client));
	if (x->helo[0]) {
		memcpy(s->helo, x->helo, sizeof(s->helo));
		s->state = SMTP_READY;
	}
}

int smtp_xclient(void *session, void *cmd)
{
	struct smtp_session *s = session;
	struct smtp_cmd *p = cmd;
	struct conn *c = &s->base.conn;
	struct xclient x = { .has_addr = false };

	if (!s->base.rename) {
		return smtp_reply(s, "550 5.7.0 XCLIENT is not for you");
	}
	if (parse(p->args, &x) != 0) {
		return smtp_reply(s, "501 5.5.4 bad XCLIENT attribute");
	}
	if (x.has_addr && net_addr_is_loopback(&x.addr) && !net_addr_is_loopback(&c->peer)) {
		return smtp_reply(s, "501 5.5.4 that is our own address");
	}
	if (x.has_addr && !s->base.rename(&s->base, &x.addr)) {
		return smtp_bye(s, "421 4.7.0 too many connections");
	}
	conn_log(c, LOG_INFO, "xclient", LOG_C("name", x.name), LOG_C("helo", x.helo));
	begin_anew(s, &x);
	conn_log(c, LOG_INFO, "xclient.for", LOG_C("name", s->client));
	smtp_greet(s);
	return 0;
}
