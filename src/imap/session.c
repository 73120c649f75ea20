/*
 * session: an IMAP connection from its greeting to its end.
 *
 * imap_run reads as the protocol does: greet, then read a command, run it,
 * announce what changed, answer. After login it returns once with
 * SESSION_MOVE if the account lives on another loop, and goes on there. All
 * log lines of IMAP but the store's troubles (reply.c) are written here.
 */
#include "imap/imap.h"

#include <stdlib.h>

#include "imap/impl.h"
#include "imap/target.h"

static struct imap *self(struct session *s)
{
	return (struct imap *)s;
}

static unsigned login_tries(const struct imap *s)
{
	return s->base.env->login_tries ? s->base.env->login_tries : 3;
}

static unsigned error_max(const struct imap *s)
{
	return s->base.env->error_max ? s->base.env->error_max : 20;
}

int64_t imap_idle_ms(const struct imap *s)
{
	return s->base.env->idle_timeout_ms ? s->base.env->idle_timeout_ms : IMAP_IDLE_MS;
}

bool imap_privacy(const struct imap *s)
{
	return s->base.conn.tls_active ||
	       (s->base.env->cleartext_loopback && net_addr_is_loopback(&s->base.conn.peer));
}

/* ---- greeting ------------------------------------------------------------ */

CO_FN static void greet(struct imap *s)
{
	struct buf caps = BUF_INIT(IMAP_CAPS_MAX);

	imap_capabilities(s, &caps);
	conn_write(imap_conn(s), S("* OK [CAPABILITY "));
	conn_write(imap_conn(s), buf_slice(&caps));
	conn_printf(imap_conn(s), "] %s ready\r\n",
		    s->base.env->hostname ? s->base.env->hostname : "Server");
	buf_fini(&caps);
	s->greeted = true;
}

/* ---- logging in -------------------------------------------------------------- */

/* Opens the account; on its home loop. 0, or the store's answer. */
CO_FN static int open_account(struct imap *s)
{
	struct err e = ERR_INIT;
	char text[256];
	int r = store_account_open(s->base.env->store, s->id.account, &s->account, &e);

	if (r != STORE_OK) {
		conn_log(imap_conn(s), LOG_ERROR, "imap.account_error",
			 LOG_C("user", s->id.address), LOG_I("code", r),
			 LOG_C("err", err_str(&e, text, sizeof(text))));
	}
	return r;
}

bool imap_must_move(struct imap *s, uint64_t account)
{
	if (imap_lives_here(s, account)) {
		return false;
	}
	s->move_to = store_home(s->base.env->store, account);
	return true;
}

CO_FN int imap_logged_in(struct imap_cmd *cmd, const char *how)
{
	struct imap *s = cmd->s;
	struct buf caps = BUF_INIT(IMAP_CAPS_MAX);

	s->moving = imap_must_move(s, s->id.account);
	if (!s->moving && open_account(s) != STORE_OK) {
		return imap_no(cmd, "[UNAVAILABLE] Mailboxes cannot be opened");
	}
	s->state = IMAP_AUTHED;
	s->errors = 0;
	conn_log(imap_conn(s), LOG_INFO, "imap.login", LOG_C("user", s->id.address),
		 LOG_C("method", how),
		 LOG_C("tls", s->base.conn.tls_active ? s->base.conn.tls_info.version : "none"));
	imap_capabilities(s, &caps);
	imap_ok(cmd, "[CAPABILITY %.*s] Logged in", SLICE_ARG(caps));
	buf_fini(&caps);
	return 0;
}

CO_FN int imap_login_failed(struct imap_cmd *cmd, int r, struct slice user)
{
	struct imap *s = cmd->s;

	conn_log(imap_conn(s), LOG_WARN, "imap.login_failed",
		 LOG_S("user", slice_sub(user, 0, AUTH_ADDR_MAX)), LOG_I("code", r));
	if (r == AUTH_FAILED) {
		imap_no(cmd, "[AUTHENTICATIONFAILED] Authentication failed");
	} else if (r == AUTH_DENIED) {
		imap_no(cmd, "[AUTHORIZATIONFAILED] Not for that user");
	} else {
		imap_no(cmd, "[UNAVAILABLE] Cannot log in now, try later");
	}
	if (++s->failures >= login_tries(s)) {
		imap_send_reply(cmd);
		imap_bye(s, "Too many failed logins");
	}
	return 0;
}

void imap_login_timer(struct imap *s)
{
	int64_t ms = s->base.env->login_timeout_ms;

	s->login_deadline = clock_in_ms(ms ? ms : IMAP_LOGIN_MS);
}

/* All that a login brings into struct imap goes here, or the next user of the
 * connection meets it. */
void imap_forget(struct imap *s)
{
	imap_notify_end(s);
	imap_unselect(s);
	store_account_close(&s->account);
	s->state = IMAP_NOTAUTH;
	s->enabled = 0;
	s->modseq_said = s->modseq_max = 0;
	s->modseq_due = false;
	s->id = (struct auth_identity){ .account = 0 };
}

/* ---- commands ----------------------------------------------------------------- */

/* Counts a BAD; ends the session when there are too many. */
CO_FN static void count_error(struct imap_cmd *cmd)
{
	struct imap *s = cmd->s;
	unsigned max = s->state == IMAP_NOTAUTH ? IMAP_UNKNOWN_PRE : error_max(s);

	if (cmd->bad && ++s->errors >= max) {
		imap_send_reply(cmd);
		imap_bye(s, "Too many errors");
	}
}

/* News first, then the tagged reply. */
CO_FN static void finish(struct imap_cmd *cmd)
{
	struct imap *s = cmd->s;
	unsigned flags = cmd->verb ? cmd->verb->flags : VERB_NO_SYNC;

	if (!s->ending && !cmd->bad && !(flags & VERB_NO_SYNC)) {
		imap_news(s, cmd, &cmd->arena,
			  ((cmd->uid && !cmd->seqs) || !(flags & VERB_USES_SEQS) ? IMAP_NEWS_EXPUNGE
										 : 0) |
				  (cmd->uid ? IMAP_NEWS_UID : 0) |
				  (flags & IMAP_VERB_OWN ? IMAP_NEWS_OWN : 0));
	}
	imap_modseq_settle(cmd);
	count_error(cmd);
	imap_send_reply(cmd);
}

/* Runs what was read, unless the right to read the selected mailbox was taken
 * away meanwhile. */
CO_FN static int run_handler(struct imap_cmd *cmd)
{
	struct imap *s = cmd->s;
	int r;

	if (s->view && !imap_may(s, STORE_RIGHT_READ)) {
		imap_bye(s, IMAP_REVOKED);
		return imap_no(cmd, "[NOPERM] Not permitted");
	}
	r = cmd->verb->run(s, cmd);
	if (r == 0 && cmd->reply.n == 0 && !cmd->moves) {
		BUG("imap: a handler gave no reply");
	}
	return r;
}

/*
 * One command from its first octet to its reply, or to where it moves with
 * the session. 0, or <0: the end.
 */
CO_FN static int one_command(struct imap *s)
{
	struct imap_cmd cmd;
	int r;

	imap_cmd_init(&cmd, s);
	r = s->replay.n ? imap_cmd_reread(&cmd, &s->replay) : imap_cmd_read(&cmd);
	if (r > 0) {
		r = run_handler(&cmd);
	}
	if (r >= 0 && cmd.moves) {
		s->replay = cmd.text;
		buf_init(&cmd.text, 0);
		s->moving = true;
	} else if (r >= 0) {
		finish(&cmd);
	}
	imap_cmd_fini(&cmd);
	return MIN(r, 0);
}

CO_FN bool imap_stopping(struct imap *s)
{
	const struct proto_env *env = s->base.env;

	if (env->stopping && env->stopping(env->stopping_arg)) {
		imap_bye(s, "[UNAVAILABLE] Server is shutting down");
	}
	return s->ending;
}

void imap_bye_cut(struct imap *s)
{
	imap_bye(s, s->base.crowded   ? "[UNAVAILABLE] Others need your place, come again"
		    : s->base.revoked ? "Your login was withdrawn"
				      : "[UNAVAILABLE] Server is shutting down");
}

/* Until when may the client be silent? */
static int64_t patience(const struct imap *s)
{
	return s->state == IMAP_NOTAUTH ? s->login_deadline : clock_in_ms(imap_idle_ms(s));
}

/* Waits for the next command. 0, or <0 with a BYE said if that is of use. */
CO_FN static int wait_command(struct imap *s)
{
	struct conn *c = imap_conn(s);
	int64_t deadline = patience(s);
	struct co_event *ev = imap_notify_event(s);
	int r = conn_idle(c, ev, deadline);

	while (r == STREAM_EVENT) {
		co_event_clear(ev);
		imap_news_idle(s);
		ev = imap_notify_event(s);
		r = s->ending ? 0 : conn_idle(c, ev, deadline);
	}
	if (r == -ETIMEDOUT) {
		imap_bye(s, "Logged out for inactivity");
	} else if (r == -ECANCELED) {
		imap_bye_cut(s);
	}
	c->timeout_ms = IMAP_STALL_MS;
	c->until = s->state == IMAP_NOTAUTH ? deadline : 0;
	return MIN(r, 0);
}

CO_FN static int serve(struct imap *s)
{
	while (!imap_stopping(s) && imap_conn(s)->err == 0) {
		int r = s->replay.n ? 0 : wait_command(s);
		if (r == 0 && !s->ending) {
			r = one_command(s);
		}
		if (r < 0) {
			return r;
		}
		if (s->moving) {
			return SESSION_MOVE;
		}
	}
	return imap_conn(s)->err;
}

CO_FN static void say_end(struct imap *s, int r)
{
	struct conn *c = imap_conn(s);

	if (r == -ETIMEDOUT && !s->ending) {
		/* The client fell silent in the middle of something, but it
		 * may still hear; it gets little time for that. */
		c->err = 0;
		c->timeout_ms = IMAP_BYE_MS;
		imap_bye(s, "Logged out for inactivity");
	} else if (r == -EPROTO && c->compressed) {
		c->err = 0; /* it is their side that is damaged */
		c->timeout_ms = IMAP_BYE_MS;
		imap_bye(s, "Not compressed data, or too much of it");
	}
	conn_log(c, LOG_INFO, "imap.end", LOG_C("user", s->id.address),
		 LOG_I("in", c->s ? c->s->bytes_in : 0), LOG_I("out", c->s ? c->s->bytes_out : 0),
		 LOG_I("code", r));
}

CO_FN static int imap_run(struct session *session)
{
	struct imap *s = self(session);
	int r = 0;

	co_enter();
	if (!s->greeted) {
		imap_login_timer(s);
		s->base.conn.timeout_ms = IMAP_LOGIN_MS;
		greet(s);
	}
	if (s->moving) {
		s->moving = false;
		if (!imap_must_move(s, s->id.account) && open_account(s) != STORE_OK) {
			imap_bye(s, "[UNAVAILABLE] Mailboxes cannot be opened");
		}
		imap_notify_arrive(s);
	}
	r = serve(s);
	/* Views, accounts, watches belong to this loop: given back here. */
	imap_notify_leave(s);
	imap_unselect(s);
	store_account_close(&s->account);
	if (r == SESSION_MOVE && conn_flush(imap_conn(s)) == 0) {
		return SESSION_MOVE;
	}
	imap_notify_end(s);
	say_end(s, r);
	conn_shutdown(imap_conn(s));
	return SESSION_END;
}

static struct co_loop *imap_home(struct session *session)
{
	return self(session)->move_to;
}

static void imap_free(struct session *session)
{
	struct imap *s = self(session);

	imap_unselect(s);
	store_account_close(&s->account);
	buf_fini(&s->replay);
	conn_fini(&session->conn);
	free(s);
}

static uint64_t imap_account(const struct session *session)
{
	return ((const struct imap *)session)->id.account;
}

static const struct session_ops imap_ops = { imap_run, imap_home, imap_free, imap_account };

int imap_session_new(const struct proto_env *env, struct stream **sp, const struct net_addr *peer,
		     const struct net_addr *local, struct tls_ctx *tls, struct session **out)
{
	struct imap *s = calloc(1, sizeof(*s));

	if (!s) {
		stream_free(sp);
		return -ENOMEM;
	}
	s->base.ops = &imap_ops;
	s->base.env = env;
	s->state = IMAP_NOTAUTH;
	conn_init(&s->base.conn, sp, "imap", peer, local);
	s->base.conn.tls = tls;
	*out = &s->base;
	return 0;
}
