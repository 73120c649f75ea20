/*
 * The POP3 session: greeting, then read a line, look the verb up, run it.
 *
 * Reads top to bottom on a coroutine (or straight through over a memory
 * stream). Leaves with SESSION_MOVE between a good login and the opening of
 * the maildrop when the account lives on another loop; the login is answered
 * only there, since the lock decides it (RFC 1939 4).
 */
#include "pop3/pop3.h"

#include <stdlib.h>

#include "pop3/internal.h"

int pop3_ok(struct pop3_session *s, const char *text)
{
	conn_printf(&s->base.conn, "+OK %s\r\n", text);
	return 0;
}

int pop3_err(struct pop3_session *s, const char *text)
{
	conn_printf(&s->base.conn, "-ERR %s\r\n", text);
	return 0;
}

/* A command that makes no sense: answered, counted, at last too many. */
CO_FN static void misused(struct pop3_session *s, const char *text)
{
	unsigned max = s->base.env->error_max ? s->base.env->error_max : 20;

	if (s->state == POP3_AUTHORIZATION) {
		max = MIN(max, POP3_EARLY_ERRORS);
	}
	if (++s->errors >= max) {
		pop3_err(s, "too many errors, goodbye");
		s->ended = true;
		return;
	}
	pop3_err(s, text);
}

CO_FN static void run_command(struct pop3_session *s, struct slice line)
{
	struct slice rest = line;
	struct slice name = slice_split(&rest, ' ');
	size_t n;
	const struct verb *table = pop3_verbs(&n);
	const struct verb *v = verb_find(table, n, name);
	struct pop3_cmd cmd = { v, rest };

	if (!v) {
		misused(s, "unknown command");
	} else if (line.n > POP3_LINE_MAX && v->max_line == 0) {
		misused(s, "line too long");
	} else if (!(v->states & s->state)) {
		misused(s, s->state == POP3_AUTHORIZATION ? "log in first"
							  : "not possible after login");
	} else if ((v->flags & VERB_NEEDS_TLS) && !pop3_login_allowed(s)) {
		misused(s, "[AUTH] no login without TLS: use STLS first");
	} else {
		v->run(s, &cmd);
	}
}

/* Why reading ended: says goodbye where the peer may still listen. */
CO_FN static void input_ended(struct pop3_session *s, int r)
{
	if (r == -ETIMEDOUT) {
		pop3_err(s, "[SYS/TEMP] idle for too long, nothing was "
			    "deleted");
	} else if (r == -ECANCELED) {
		pop3_err(s, s->base.crowded   ? "[SYS/TEMP] others need your place, come again"
			    : s->base.revoked ? "[AUTH] your login was withdrawn, nothing "
						"was deleted"
					      : "[SYS/TEMP] server is stopping, nothing "
						"was deleted");
	}
	conn_flush(&s->base.conn);
	s->ended = true;
}

static int64_t wait_ms(const struct pop3_session *s)
{
	const struct proto_env *env = s->base.env;
	int64_t left;

	if (s->state == POP3_TRANSACTION) {
		return env->idle_timeout_ms ? env->idle_timeout_ms : POP3_IDLE_MS;
	}
	left = (s->login_deadline - clock_mono()) / NSEC_PER_MSEC;
	return MAX(left, 1);
}

CO_FN static void serve_line(struct pop3_session *s)
{
	struct conn *c = &s->base.conn;
	struct slice line;
	int r;

	c->timeout_ms = wait_ms(s);
	c->until = clock_in_ms(c->timeout_ms);
	r = conn_read_line(c, POP3_SASL_MAX, &line);
	switch (r) {
	case CONN_LINE:
		if (s->base.env->stopping && s->base.env->stopping(s->base.env->stopping_arg)) {
			input_ended(s, -ECANCELED);
			return;
		}
		run_command(s, line);
		break;
	case CONN_TOOLONG:
		misused(s, "line too long");
		break;
	case CONN_BADLINE:
		misused(s, "lines must end in CRLF and hold no NUL");
		break;
	default:
		input_ended(s, r);
		break;
	}
}

static bool at_home(const struct pop3_session *s)
{
	struct co_loop *home = store_home(s->base.env->store, s->id.account);

	return !home || home == co_loop_self();
}

CO_FN static int pop3_run_co(struct session *base)
{
	struct pop3_session *s = (struct pop3_session *)base;
	struct conn *c = &base->conn;

	if (s->login_deadline == 0) {
		int64_t ms = base->env->login_timeout_ms;

		s->login_deadline = clock_in_ms(ms ? ms : POP3_LOGIN_MS);
		conn_printf(c, "+OK %s POP3 server ready\r\n", base->env->hostname);
	}
	while (!s->ended && c->err == 0) {
		if (!s->opening) {
			serve_line(s);
		} else if (at_home(s)) {
			pop3_open(s);
		} else {
			return SESSION_MOVE;
		}
	}
	pop3_close(s);
	conn_shutdown(c);
	conn_log(c, LOG_INFO, "session.end", LOG_C("user", s->id.address),
		 LOG_I("retrieved", s->retrieved), LOG_I("in", c->s ? c->s->bytes_in : 0),
		 LOG_I("out", c->s ? c->s->bytes_out : 0));
	return SESSION_END;
}

static int pop3_run(struct session *base)
{
	co_enter();
	return pop3_run_co(base);
}

static struct co_loop *pop3_home(struct session *base)
{
	struct pop3_session *s = (struct pop3_session *)base;

	return store_home(base->env->store, s->id.account);
}

static void pop3_free(struct session *base)
{
	struct pop3_session *s = (struct pop3_session *)base;

	pop3_close(s);
	conn_fini(&base->conn);
	explicit_bzero(s, sizeof(*s));
	free(s);
}

static uint64_t pop3_account(const struct session *base)
{
	return ((const struct pop3_session *)base)->id.account;
}

static const struct session_ops pop3_ops = { pop3_run, pop3_home, pop3_free, pop3_account };

int pop3_session_new(const struct proto_env *env, struct stream **sp, const struct net_addr *peer,
		     const struct net_addr *local, struct tls_ctx *tls, struct session **out)
{
	struct pop3_session *s = calloc(1, sizeof(*s));

	if (!s) {
		stream_free(sp);
		return -ENOMEM;
	}
	s->base.ops = &pop3_ops;
	s->base.env = env;
	s->state = POP3_AUTHORIZATION;
	conn_init(&s->base.conn, sp, "pop3", peer, local);
	s->base.conn.tls = tls;
	*out = &s->base;
	return 0;
}
