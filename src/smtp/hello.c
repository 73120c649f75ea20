/*
 * The verbs around mail: HELO, EHLO (LHLO), STARTTLS, RSET, NOOP, VRFY, EXPN, HELP,
 * QUIT (RFC 5321 4.1.1, RFC 3207).
 */
#include "smtp/internal.h"

/* Does the verb stand alone? If not, says so. */
CO_FN static bool no_args(struct smtp_session *s, const struct smtp_cmd *p)
{
	if (slice_trim(p->args).n == 0) {
		return true;
	}
	smtp_reply(s, "501 5.5.4 no argument expected");
	return false;
}

/* Takes the name and starts afresh. False: answered already. */
CO_FN static bool take_name(struct smtp_session *s, const struct smtp_cmd *p)
{
	struct slice name = slice_trim(p->args);

	if (!smtp_helo_ok(name) || slice_copy(name, s->helo, sizeof(s->helo)) != 0) {
		smtp_reply(s, "501 5.5.4 say your host name or address "
			      "literal");
		return false;
	}
	smtp_reset(s);
	s->owed = 0;
	s->state = SMTP_READY;
	s->junk++;
	return true;
}

int smtp_helo(void *session, void *cmd)
{
	struct smtp_session *s = session;

	if (!take_name(s, cmd)) {
		return 0;
	}
	s->esmtp = false;
	conn_printf(&s->base.conn, "250 %s\r\n", s->base.env->hostname);
	return 0;
}

int smtp_ehlo(void *session, void *cmd)
{
	struct smtp_session *s = session;
	struct buf list = BUF_INIT(2048);

	if (!take_name(s, cmd)) {
		return 0;
	}
	s->esmtp = true;
	smtp_list_extensions(s, &list);
	conn_printf(&s->base.conn, "250-%s\r\n", s->base.env->hostname);
	conn_write(&s->base.conn, buf_slice(&list));
	buf_fini(&list);
	return 0;
}

/* After TLS nothing that was said before counts (RFC 3207 4.2). */
int smtp_starttls(void *session, void *cmd)
{
	struct smtp_session *s = session;
	struct conn *c = &s->base.conn;
	struct err e = ERR_INIT;
	char text[256];

	if (!no_args(s, cmd)) {
		return 0;
	}
	if (c->tls_active) {
		return smtp_reply(s, "503 5.5.1 TLS is already active");
	}
	if (!c->tls) {
		return smtp_reply(s, "502 5.5.1 TLS is not available");
	}
	smtp_reply(s, "220 2.0.0 begin TLS negotiation");
	smtp_reset(s);
	s->state = SMTP_START;
	s->esmtp = false;
	s->helo[0] = '\0';
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

int smtp_rset(void *session, void *cmd)
{
	struct smtp_session *s = session;

	if (!no_args(s, cmd)) {
		return 0;
	}
	s->junk++;
	smtp_reset(s);
	s->owed = 0;
	return smtp_reply(s, "250 2.0.0 OK");
}

int smtp_noop(void *session, void *cmd)
{
	struct smtp_session *s = session;

	(void)cmd;
	s->junk++;
	return smtp_reply(s, "250 2.0.0 OK");
}

/* The same for every name: who exists is nobody's business (SL-13). */
int smtp_vrfy(void *session, void *cmd)
{
	struct smtp_session *s = session;
	struct smtp_cmd *p = cmd;

	s->junk++;
	if (slice_trim(p->args).n == 0) {
		return smtp_reply(s, "501 5.5.4 VRFY needs an address");
	}
	if (slice_has_8bit(p->args) && !slice_iends(slice_trim(p->args), S(" SMTPUTF8"))) {
		return smtp_reply(s, "553 5.6.7 use SMTPUTF8 for such an "
				     "address");
	}
	return smtp_reply(s, "252 2.5.2 cannot verify, send mail and see");
}

/* Lists are nobody's business either (RFC 5321 7.3). */
int smtp_expn(void *session, void *cmd)
{
	struct smtp_session *s = session;
	struct smtp_cmd *p = cmd;

	s->junk++;
	return smtp_reply(s, slice_trim(p->args).n ? "252 2.5.2 cannot expand, send mail and see"
						   : "501 5.5.4 EXPN needs a list");
}

int smtp_help(void *session, void *cmd)
{
	struct smtp_session *s = session;
	struct smtp_cmd *p = cmd;
	struct conn *c = &s->base.conn;
	struct slice name = slice_trim(p->args);
	size_t n;
	const struct verb *table = smtp_verbs(&n);
	const struct verb *v = smtp_find(s, name);

	s->junk++;
	if (name.n && !v) {
		return smtp_reply(s, "504 5.5.4 no help on that");
	}
	if (v) {
		conn_printf(c, "214 2.0.0 %s\r\n", v->doc);
		return 0;
	}
	for (size_t i = 0; i < n; i++) {
		if (smtp_find(s, table[i].name)) {
			conn_printf(c, "214-2.0.0 %s\r\n", table[i].doc);
		}
	}
	return smtp_reply(s, "214 2.0.0 see RFC 5321");
}

int smtp_quit(void *session, void *cmd)
{
	struct smtp_session *s = session;

	if (!no_args(s, cmd)) {
		return 0;
	}
	s->ended = true;
	return smtp_reply(s, "221 2.0.0 goodbye");
}
