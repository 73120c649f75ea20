/*
 * cmd_idle: IDLE (RFC 2177): waits for the client's DONE, and tells what
 * happens in the selected mailbox meanwhile.
 *
 * The mailbox's event is a level: however much happens while a slow client
 * takes its last announcement, the next one says it once (THREATS IM-13).
 * Buffers and stack are given back while nothing happens (conn_idle).
 */
#include "imap/impl.h"

/* A line now and then keeps middle boxes from forgetting the connection, and
 * finds out whether the client is still there. */
#define IDLE_TICK_MS (4 * 60 * 1000)

/* Waits and announces until the client says something. 0, or <0. */
CO_FN static int wait_done(struct imap_cmd *cmd)
{
	struct imap *s = cmd->s;
	struct conn *c = imap_conn(s);
	struct co_event *ev = imap_notify_event(s);
	int64_t deadline = clock_in_ms(imap_idle_ms(s));

	if (!ev && s->view) {
		ev = store_view_event(s->view);
	}
	for (;;) {
		int64_t tick = clock_in_ms(IDLE_TICK_MS);
		int r;
		if (ev) {
			co_event_clear(ev);
			imap_news(s, NULL, &cmd->arena, IMAP_NEWS_EXPUNGE);
			imap_modseq_news(s);
		}
		if (imap_stopping(s)) {
			return -ESHUTDOWN;
		}
		r = conn_idle(c, ev, MIN(tick, deadline));
		if (r == -ETIMEDOUT && clock_mono() < deadline) {
			conn_write(c, S("* OK Still here\r\n"));
		} else if (r == -ETIMEDOUT) {
			imap_bye(s, "Logged out for inactivity");
			return r;
		} else if (r == -ECANCELED) {
			imap_bye_cut(s);
			return r;
		} else if (r != STREAM_EVENT) {
			return MIN(r, 0);
		}
	}
}

CO_FN int imap_cmd_idle(void *session, void *command)
{
	struct imap *s = session;
	struct imap_cmd *cmd = command;
	struct slice line;
	int r;

	if (!cur_end(&cmd->c)) {
		return imap_syntax(cmd);
	}
	conn_write(imap_conn(s), S("+ idling\r\n"));
	r = wait_done(cmd);
	if (r < 0) {
		return r;
	}
	r = conn_read_line(imap_conn(s), IMAP_LINE_PRE, &line);
	if (r < 0 || r == CONN_EOF) {
		return r < 0 ? r : -ENOTCONN;
	}
	if (r != CONN_LINE || !slice_ieq(line, S("DONE"))) {
		return imap_bad(cmd, "Expected DONE");
	}
	return imap_ok(cmd, "Idle ended");
}
