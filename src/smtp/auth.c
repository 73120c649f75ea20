/*
 * AUTH (RFC 4954) over the mechanisms of auth.h; submission only.
 *
 * Refused without TLS before the mechanism is looked at, so that the backend
 * is never asked (THREATS TL-08). All wrong credentials get one answer
 * (AU-06). Responses are never logged.
 */
#include <string.h>

#include "base/codec.h"
#include "smtp/internal.h"

#define SASL_REPLY_MAX 16384

/* Sends a challenge and reads the answer, decoded, into in. 1 go on; 0 the
 * exchange is over (answered, or the connection is gone). */
CO_FN static int challenge(struct smtp_session *s, const struct buf *out, struct buf *in)
{
	struct conn *c = &s->base.conn;
	struct buf b64 = BUF_INIT(SASL_REPLY_MAX);
	struct slice line;
	int r;

	base64_encode(&b64, buf_slice(out));
	conn_write(c, S("334 "));
	conn_write(c, buf_slice(&b64));
	conn_write(c, S("\r\n"));
	buf_fini(&b64);
	r = conn_read_line(c, SMTP_SASL_MAX, &line);
	if (r == CONN_TOOLONG) {
		return smtp_reply(s, "500 5.5.6 response too long");
	}
	if (r == CONN_BADLINE) {
		return smtp_reply(s, "501 5.5.2 lines must end in CRLF");
	}
	if (r != CONN_LINE) {
		s->ended = true;
		if (r == -ETIMEDOUT) {
			smtp_reply(s, "421 4.4.2 idle for too long, goodbye");
		}
		return 0;
	}
	if (slice_eq(line, S("*"))) {
		return smtp_reply(s, "501 5.7.0 authentication cancelled");
	}
	if (base64_decode(in, line) != 0) {
		return smtp_reply(s, "501 5.5.2 not base64");
	}
	return 1;
}

CO_FN static int failed(struct smtp_session *s)
{
	unsigned tries = s->base.env->login_tries;

	conn_log(&s->base.conn, LOG_WARN, "login.failed", LOG_C("reason", "credentials"));
	if (++s->auth_failures >= (tries ? tries : 3)) {
		smtp_reply(s, "535 5.7.8 user name or password is wrong");
		s->ended = true;
		return 0;
	}
	return smtp_reply(s, "535 5.7.8 user name or password is wrong");
}

CO_FN static int finish(struct smtp_session *s, enum sasl_state st)
{
	switch (st) {
	case SASL_DONE:
		s->authenticated = true;
		s->junk = 0;
		conn_log(&s->base.conn, LOG_INFO, "login.ok", LOG_C("user", s->id.address),
			 LOG_I("tls", s->base.conn.tls_active));
		return smtp_reply(s, "235 2.7.0 welcome");
	case SASL_BAD:
		return smtp_reply(s, "501 5.5.2 bad authentication response");
	case SASL_TEMP:
		return smtp_reply(s, "454 4.7.0 cannot check logins now, try "
				     "again later");
	default:
		return failed(s);
	}
}

CO_FN static int first_message(struct smtp_session *s, struct sasl *m, struct slice initial,
			       struct buf *in)
{
	static const struct buf nothing = BUF_INIT(0);

	if (!initial.p) {
		return sasl_client_first(m) ? challenge(s, &nothing, in) : 1;
	}
	/* "=" is an empty one (RFC 4954 4). */
	if (!slice_eq(initial, S("=")) && base64_decode(in, initial) != 0) {
		return smtp_reply(s, "501 5.5.2 not base64");
	}
	return 1;
}

CO_FN static void exchange(struct smtp_session *s, struct sasl *m, struct slice initial)
{
	struct buf in = BUF_INIT(SASL_REPLY_MAX);
	struct buf out = BUF_INIT(SASL_REPLY_MAX);
	enum sasl_state st = SASL_CONTINUE;
	bool unasked = !initial.p && !sasl_client_first(m);
	int r = first_message(s, m, initial, &in);

	while (r == 1 && st == SASL_CONTINUE) {
		struct slice msg = unasked ? slice_make(NULL, 0) : in.p ? buf_slice(&in) : S("");

		unasked = false;
		buf_reset(&out);
		st = sasl_step(m, msg, &out, &s->id);
		if (in.p) {
			explicit_bzero(in.p, in.cap);
		}
		buf_reset(&in);
		if (st == SASL_CONTINUE) {
			r = challenge(s, &out, &in);
		}
	}
	if (r == 1) {
		finish(s, st);
	}
	if (in.p) {
		explicit_bzero(in.p, in.cap);
	}
	buf_fini(&in);
	buf_fini(&out);
}

/* auth = "AUTH" SP mechanism [SP initial-response]          RFC 4954 4 */
int smtp_auth(void *session, void *cmd)
{
	struct smtp_session *s = session;
	struct smtp_cmd *p = cmd;
	struct slice initial = p->args;
	struct slice name = slice_split(&initial, ' ');
	struct sasl *m;

	if (s->role != SMTP_SUBMISSION) {
		return smtp_reply(s, "502 5.5.1 no logins on this port");
	}
	if (s->authenticated) {
		return smtp_reply(s, "503 5.5.1 you are logged in already");
	}
	if (!s->esmtp) {
		return smtp_reply(s, "503 5.5.1 say EHLO first");
	}
	if (!smtp_tls_or_trusted(s)) {
		return smtp_reply(s, "538 5.7.11 no login without TLS: use "
				     "STARTTLS first");
	}
	if (name.n == 0) {
		return smtp_reply(s, "501 5.5.4 AUTH needs a mechanism");
	}
	m = sasl_new(s->base.env->auth, name, "smtp", &s->base.conn.peer, conn_tls(&s->base.conn));
	if (!m) {
		return smtp_reply(s, "504 5.5.4 no such mechanism");
	}
	exchange(s, m, initial);
	sasl_free(&m);
	return 0;
}
