/*
 * The SMTP session: greeting, then read a line, look the verb up, run it.
 *
 * Reads top to bottom on a coroutine, or straight through over a memory
 * stream. All limits on a peer's behaviour (errors, junk, pipelining where it
 * is not allowed) are enforced here, whatever the verb. Never leaves its
 * loop: delivery finds the accounts' homes by itself.
 */
#include "smtp/smtp.h"

#include <stdlib.h>

#include "smtp/internal.h"
#include "smtp/record.h"

int smtp_reply(struct smtp_session *s, const char *line)
{
	if (line[0] == '5') {
		s->errors++;
	}
	smtp_record_said(s, line);
	conn_write(&s->base.conn, slice_cstr(line));
	conn_write(&s->base.conn, S("\r\n"));
	return 0;
}

int smtp_bye(struct smtp_session *s, const char *line)
{
	char id[SMTP_ID_MAX];

	smtp_record_id(s, id);
	conn_log(&s->base.conn, LOG_INFO, "session.cut", LOG_C("id", id), LOG_C("reply", line));
	s->ended = true;
	s->cut = true;
	return smtp_reply(s, line);
}

void smtp_answer(struct smtp_session *s, const char *line)
{
	if (s->role != SMTP_LMTP || !s->tx) {
		smtp_reply(s, line);
		return;
	}
	for (const struct smtp_rcpt *r = s->tx->rcpts; r; r = r->next) {
		smtp_reply(s, r->reply ? r->reply : line);
		smtp_record_answer(s, r);
	}
}

const struct verb *smtp_find(const struct smtp_session *s, struct slice name)
{
	size_t n;
	const struct verb *table = smtp_verbs(&n);
	const struct verb *v = verb_find(table, n, name);
	unsigned other = s->role == SMTP_LMTP ? SMTP_NOT_LMTP : SMTP_ONLY_LMTP;

	return v && (v->flags & other) ? NULL : v;
}

void smtp_reset(struct smtp_session *s)
{
	smtp_record_end(s);
	smtp_tx_free(&s->tx);
	if (s->state != SMTP_START) {
		s->state = SMTP_READY;
	}
}

uint64_t smtp_message_max(const struct smtp_session *s)
{
	uint64_t max = s->base.env->message_max ? s->base.env->message_max : SMTP_MESSAGE_MAX;
	uint64_t store = store_message_max(s->base.env->store);

	/* The trace fields must fit too. */
	store -= MIN(store, SMTP_TRACE_MAX);
	return MIN(max, store);
}

bool smtp_tls_or_trusted(const struct smtp_session *s)
{
	const struct conn *c = &s->base.conn;

	return c->tls_active || (s->base.env->cleartext_loopback && net_addr_is_loopback(&c->peer));
}

bool smtp_auth_offered(const struct smtp_session *s)
{
	return s->role == SMTP_SUBMISSION && !s->authenticated && smtp_tls_or_trusted(s);
}

bool smtp_starttls_offered(const struct smtp_session *s)
{
	return s->base.conn.tls && !s->base.conn.tls_active;
}

CO_FN static void wrong_state(struct smtp_session *s, const struct verb *v)
{
	if (s->state == SMTP_START) {
		smtp_reply(s, s->role == SMTP_LMTP ? "503 5.5.1 say LHLO first"
						   : "503 5.5.1 say EHLO or HELO first");
	} else if (s->state == SMTP_BDAT) {
		smtp_reply(s, "503 5.5.1 within a message only BDAT and RSET");
	} else if (v->states & SMTP_READY) {
		smtp_reply(s, "503 5.5.1 not within a mail transaction");
	} else {
		smtp_reply(s, "503 5.5.1 MAIL first");
	}
}

/* The first thing said is no SMTP: a browser or a bot (THREATS SM-08). */
CO_FN static void unknown(struct smtp_session *s)
{
	if (!s->spoke) {
		smtp_bye(s, "500 5.5.1 this is a mail server that speaks SMTP, "
			    "goodbye");
		return;
	}
	smtp_reply(s, "500 5.5.1 unknown command");
}

CO_FN static void run_command(struct smtp_session *s, struct slice line)
{
	struct slice rest = line;
	struct slice name = slice_split(&rest, ' ');
	const struct verb *v = smtp_find(s, name);
	struct smtp_cmd cmd = { v, rest };

	if (!v) {
		unknown(s);
		return;
	}
	s->spoke = true;
	if (v->run == smtp_bdat && line.n > SMTP_LINE_MAX) {
		smtp_bye(s, "500 5.5.2 line too long, goodbye");
	} else if (line.n > (v->max_line ? v->max_line : SMTP_LINE_MAX)) {
		smtp_reply(s, "500 5.5.2 line too long");
	} else if ((v->flags & VERB_LAST) && conn_has_input(&s->base.conn)) {
		smtp_bye(s, "554 5.5.0 no commands may be sent ahead of this "
			    "one's answer, goodbye");
	} else if (!(v->states & s->state)) {
		wrong_state(s, v);
	} else {
		v->run(s, &cmd);
		smtp_record_command(s, &cmd);
	}
}

/* Too many errors, or too much that leads nowhere (THREATS SM-18). */
CO_FN static void check_patience(struct smtp_session *s)
{
	unsigned max = s->base.env->error_max ? s->base.env->error_max : SMTP_ERRORS_MAX;

	/* In LMTP every recipient that is refused is a 5xx: no guesses. */
	if (!s->ended && s->errors >= max && s->role != SMTP_LMTP) {
		smtp_bye(s, "421 4.7.0 too many errors, goodbye");
	} else if (!s->ended && s->junk >= SMTP_JUNK_MAX) {
		smtp_bye(s, "421 4.7.0 too many commands without mail, "
			    "goodbye");
	}
}

void smtp_say_cut(struct smtp_session *s)
{
	smtp_reply(s, s->base.crowded	? "421 4.3.2 others need your place, come again, goodbye"
		      : s->base.revoked ? "421 4.7.0 your login was withdrawn, goodbye"
					: "421 4.3.2 server is stopping, goodbye");
}

/* Why reading ended: says goodbye where the peer may still listen. */
CO_FN static void input_ended(struct smtp_session *s, int r)
{
	s->ended = true;
	if (r == -ETIMEDOUT) {
		smtp_reply(s, "421 4.4.2 idle for too long, goodbye");
	} else if (r == -ECANCELED) {
		smtp_say_cut(s);
	}
}

/* Behind a BDAT that is none, nobody knows what is a command (SM-12). */
CO_FN static void bad_line(struct smtp_session *s, struct slice line)
{
	static const char text[] = "500 5.5.2 lines must end in CRLF and hold no bare CR, LF or "
				   "NUL";

	if (slice_istarts(line, S("BDAT"))) {
		smtp_bye(s, text);
	} else {
		smtp_reply(s, text);
	}
}

CO_FN static void serve_line(struct smtp_session *s)
{
	struct conn *c = &s->base.conn;
	const struct proto_env *env = s->base.env;
	struct slice line;
	int r;

	/* For the whole command, however it drips (THREATS RS-01). */
	c->until = clock_in_ms(c->timeout_ms);
	r = conn_read_line(c, SMTP_SASL_MAX, &line);
	if (r >= 0 && r != CONN_EOF && env->stopping && env->stopping(env->stopping_arg)) {
		r = -ECANCELED;
	}
	switch (r) {
	case CONN_LINE:
		run_command(s, line);
		break;
	case CONN_TOOLONG:
		smtp_reply(s, "500 5.5.2 line too long");
		break;
	case CONN_BADLINE:
		bad_line(s, line);
		break;
	default:
		input_ended(s, r);
		return;
	}
	check_patience(s);
}

/*
 * Does it speak before it was greeted (RFC 5321 4.3.1; THREATS SM-06)? Mail
 * programs wait; junk often does not. Our own machine is watched only briefly.
 */
CO_FN static bool speaks_early(struct smtp_session *s)
{
	struct conn *c = &s->base.conn;
	int64_t ms = s->base.env->greet_wait_ms;

	if (ms == 0 || s->role != SMTP_MX || c->tls_active) {
		return false;
	}
	if (net_addr_is_loopback(&c->peer)) {
		ms = MIN(ms, SMTP_GREET_LOOPBACK_MS);
	}
	return stream_wait(c->s, NULL, clock_in_ms(ms)) == STREAM_READY;
}

void smtp_greet(struct smtp_session *s)
{
	const char *no = smtp_gate_connect(s);

	if (no) {
		smtp_bye(s, no);
	} else {
		conn_printf(&s->base.conn, "220 %s %s Postrider\r\n", s->base.env->hostname,
			    s->role == SMTP_LMTP ? "LMTP" : "ESMTP");
	}
}

CO_FN static void greet(struct smtp_session *s)
{
	if (speaks_early(s)) {
		smtp_bye(s, "554 5.5.0 you spoke before the greeting");
	} else {
		smtp_greet(s);
	}
}

CO_FN static int smtp_run_co(struct session *base)
{
	struct smtp_session *s = (struct smtp_session *)base;
	struct conn *c = &base->conn;

	if (!s->greeted) {
		s->greeted = true;
		c->timeout_ms =
			base->env->idle_timeout_ms ? base->env->idle_timeout_ms : SMTP_TIMEOUT_MS;
		greet(s);
	}
	while (!s->ended && c->err == 0) {
		serve_line(s);
	}
	smtp_reset(s);
	smtp_record_session(s);
	conn_shutdown(c);
	conn_log(c, LOG_INFO, "session.end", LOG_I("mails", s->mails), LOG_I("errors", s->errors),
		 LOG_I("in", c->s ? c->s->bytes_in : 0), LOG_I("out", c->s ? c->s->bytes_out : 0));
	return SESSION_END;
}

static int smtp_run(struct session *base)
{
	co_enter();
	return smtp_run_co(base);
}

static struct co_loop *smtp_home(struct session *base)
{
	(void)base;
	return co_loop_self();
}

static void smtp_free(struct session *base)
{
	struct smtp_session *s = (struct smtp_session *)base;

	smtp_reset(s);
	conn_fini(&base->conn);
	free(s);
}

static uint64_t smtp_account(const struct session *base)
{
	const struct smtp_session *s = (const struct smtp_session *)base;

	return s->authenticated ? s->id.account : 0;
}

static const struct session_ops smtp_ops = { smtp_run, smtp_home, smtp_free, smtp_account };

int smtp_session_new(const struct proto_env *env, enum smtp_role role, struct stream **sp,
		     const struct net_addr *peer, const struct net_addr *local, struct tls_ctx *tls,
		     struct session **out)
{
	static const char *const names[] = { "smtp", "submission", "lmtp" };
	struct smtp_session *s = calloc(1, sizeof(*s));

	if (!s) {
		stream_free(sp);
		return -ENOMEM;
	}
	s->base.ops = &smtp_ops;
	s->base.env = env;
	s->role = role;
	s->state = SMTP_START;
	conn_init(&s->base.conn, sp, names[role], peer, local);
	s->base.conn.tls = tls;
	*out = &s->base;
	return 0;
}
