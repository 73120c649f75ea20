/*
 * POP3's AUTHORIZATION state: CAPA, STLS, USER and PASS, AUTH.
 *
 * A good login only notes who it is (s->opening); session.c opens the
 * maildrop on the account's loop, and that answers. Every failure of the
 * credentials is the same text (THREATS AU-06) with [AUTH] (RFC 3206).
 */
#include <string.h>

#include "base/codec.h"
#include "pop3/internal.h"

#define SASL_REPLY_MAX 16384

bool pop3_login_allowed(const struct pop3_session *s)
{
	const struct conn *c = &s->base.conn;

	return c->tls_active || (s->base.env->cleartext_loopback && net_addr_is_loopback(&c->peer));
}

static bool stls_offered(const struct pop3_session *s)
{
	return s->state == POP3_AUTHORIZATION && s->base.conn.tls && !s->base.conn.tls_active;
}

int pop3_capa(void *session, void *cmd)
{
	struct pop3_session *s = session;
	struct conn *c = &s->base.conn;

	(void)cmd;
	conn_write(c, S("+OK capability list follows\r\n"
			"TOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\n"
			"PIPELINING\r\nEXPIRE NEVER\r\n"));
	if (pop3_login_allowed(s)) {
		struct buf names = BUF_INIT(256);

		sasl_mechanisms(s->base.env->auth, conn_tls(c), &names);
		conn_printf(c, "USER\r\nSASL %s\r\n", buf_cstr(&names));
		buf_fini(&names);
	}
	if (stls_offered(s)) {
		conn_write(c, S("STLS\r\n"));
	}
	conn_write(c, S("IMPLEMENTATION Postrider\r\n.\r\n"));
	return 0;
}

int pop3_stls(void *session, void *cmd)
{
	struct pop3_session *s = session;
	struct pop3_cmd *p = cmd;
	struct conn *c = &s->base.conn;
	struct err e = ERR_INIT;
	char text[256];

	if (p->args.n) {
		return pop3_err(s, "STLS takes no argument");
	}
	if (!stls_offered(s)) {
		return pop3_err(s,
				c->tls_active ? "TLS is already active" : "TLS is not available");
	}
	pop3_ok(s, "begin TLS negotiation");
	s->user[0] = '\0';
	if (conn_starttls(c, &e) != 0) {
		conn_log(c, LOG_INFO, "tls.failed",
			 LOG_C("reason", err_str(&e, text, sizeof(text))));
		s->ended = true;
		return 0;
	}
	conn_log(c, LOG_INFO, "tls.start", LOG_C("version", c->tls_info.version),
		 LOG_C("cipher", c->tls_info.cipher));
	return 0;
}

/* USER says yes to every name (THREATS PO-07). */
int pop3_user(void *session, void *cmd)
{
	struct pop3_session *s = session;
	struct pop3_cmd *p = cmd;

	if (p->args.n == 0 || slice_copy(p->args, s->user, sizeof(s->user)) != 0) {
		s->user[0] = '\0';
		return pop3_err(s, "USER needs a name");
	}
	return pop3_ok(s, "send PASS");
}

CO_FN static int login_failed(struct pop3_session *s, bool temporary)
{
	unsigned tries = s->base.env->login_tries;

	conn_log(&s->base.conn, LOG_WARN, "login.failed",
		 LOG_C("reason", temporary ? "temporary" : "credentials"));
	if (temporary) {
		return pop3_err(s, "[SYS/TEMP] cannot check logins now, try "
				   "again later");
	}
	pop3_err(s, "[AUTH] user name or password is wrong");
	if (++s->failures >= (tries ? tries : 3)) {
		s->ended = true;
	}
	return 0;
}

int pop3_pass(void *session, void *cmd)
{
	struct pop3_session *s = session;
	struct pop3_cmd *p = cmd;
	struct auth_request req = {
		.protocol = "pop3",
		.peer = &s->base.conn.peer,
		.user = slice_cstr(s->user),
		.password = p->args,
	};
	int r;

	if (s->user[0] == '\0') {
		return pop3_err(s, "send USER first");
	}
	r = auth_login(s->base.env->auth, &req, &s->id);
	s->user[0] = '\0';
	if (r != AUTH_OK) {
		return login_failed(s, r != AUTH_FAILED);
	}
	s->opening = true;
	return 0;
}

CO_FN static int list_mechanisms(struct pop3_session *s)
{
	struct buf names = BUF_INIT(256);
	struct slice rest;

	sasl_mechanisms(s->base.env->auth, conn_tls(&s->base.conn), &names);
	rest = buf_slice(&names);
	pop3_ok(s, "mechanisms follow");
	while (rest.n) {
		struct slice one = slice_split(&rest, ' ');

		conn_write(&s->base.conn, one);
		conn_write(&s->base.conn, S("\r\n"));
	}
	conn_write(&s->base.conn, S(".\r\n"));
	buf_fini(&names);
	return 0;
}

/* Sends a challenge and reads the answer, decoded, into in. 1 go on, 0 the
 * exchange is over (answered, or the connection is gone). */
CO_FN static int challenge(struct pop3_session *s, const struct buf *out, struct buf *in)
{
	struct conn *c = &s->base.conn;
	struct buf b64 = BUF_INIT(SASL_REPLY_MAX);
	struct slice line;
	int r;

	base64_encode(&b64, buf_slice(out));
	conn_write(c, S("+ "));
	conn_write(c, buf_slice(&b64));
	conn_write(c, S("\r\n"));
	buf_fini(&b64);
	r = conn_read_line(c, POP3_SASL_MAX, &line);
	if (r == CONN_TOOLONG || r == CONN_BADLINE) {
		pop3_err(s, "bad authentication response");
		return 0;
	}
	if (r != CONN_LINE) {
		s->ended = true;
		return 0;
	}
	if (slice_eq(line, S("*"))) {
		pop3_err(s, "authentication cancelled");
		return 0;
	}
	if (base64_decode(in, line) != 0) {
		pop3_err(s, "not base64");
		return 0;
	}
	return 1;
}

CO_FN static int sasl_finish(struct pop3_session *s, enum sasl_state st)
{
	if (st == SASL_DONE) {
		s->opening = true;
		return 0;
	}
	if (st == SASL_BAD) {
		return pop3_err(s, "bad authentication response");
	}
	return login_failed(s, st == SASL_TEMP);
}

CO_FN static int sasl_run(struct pop3_session *s, struct sasl *m, struct slice initial)
{
	struct buf in = BUF_INIT(SASL_REPLY_MAX);
	struct buf out = BUF_INIT(SASL_REPLY_MAX);
	enum sasl_state st = SASL_CONTINUE;
	bool first = true;
	int r = 1;

	if (initial.p && !slice_eq(initial, S("=")) && base64_decode(&in, initial) != 0) {
		r = 0;
		pop3_err(s, "not base64");
	} else if (!initial.p && sasl_client_first(m)) {
		r = challenge(s, &out, &in);
	}
	while (r == 1 && st == SASL_CONTINUE) {
		struct slice msg = buf_slice(&in);

		if (first && !initial.p && !sasl_client_first(m)) {
			msg = (struct slice){ NULL, 0 };
		} else if (!msg.p) {
			msg = S("");
		}
		first = false;
		buf_reset(&out);
		st = sasl_step(m, msg, &out, &s->id);
		buf_reset(&in);
		if (st == SASL_CONTINUE) {
			r = challenge(s, &out, &in);
		}
	}
	if (r == 1) {
		sasl_finish(s, st);
	}
	if (in.p) {
		explicit_bzero(in.p, in.cap);
	}
	buf_fini(&in);
	buf_fini(&out);
	return 0;
}

/* auth = "AUTH" [SP mechanism [SP initial-response]]       RFC 5034 4 */
int pop3_auth(void *session, void *cmd)
{
	struct pop3_session *s = session;
	struct pop3_cmd *p = cmd;
	struct slice initial = p->args;
	struct slice name = slice_split(&initial, ' ');
	struct sasl *m;

	if (!pop3_login_allowed(s)) {
		return pop3_err(s, "[AUTH] no login without TLS: use STLS "
				   "first");
	}
	if (name.n == 0) {
		return list_mechanisms(s);
	}
	m = sasl_new(s->base.env->auth, name, "pop3", &s->base.conn.peer, conn_tls(&s->base.conn));
	if (!m) {
		return pop3_err(s, "no such mechanism");
	}
	sasl_run(s, m, initial);
	sasl_free(&m);
	return 0;
}
