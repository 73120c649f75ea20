/*
 * For tests that need a loop: a session in a coroutine over a socket pair, and
 * its client in the test's own coroutine. Used by the session tests of the
 * protocols; include it after cmocka.h.
 */
#ifndef LINE_TEST_TALK_H
#define LINE_TEST_TALK_H

#include "line/session.h"

#define TALK_WAIT_MS 20000

struct talk {
	struct session *s;
	struct stream *client;
	struct co *co;
	struct buf said;
	unsigned moved; /* how often, to another loop */
	bool rough;	/* the end may be any error, not only an orderly one */
};

/* One run on this loop; it is detached again, or gone, when this returns. */
static inline int talk_run_here(void *arg)
{
	struct talk *t = arg;
	int r = t->moved ? stream_attach(t->s->conn.s) : 0;

	co_enter();
	if (r == 0 && session_run(t->s) == SESSION_MOVE) {
		t->moved++;
		return stream_detach(t->s->conn.s) == 0 ? SESSION_MOVE : SESSION_END;
	}
	session_free(&t->s);
	return SESSION_END;
}

/* What srv does with a session. */
static inline void talk_serve(void *arg)
{
	struct talk *t = arg;
	int r = talk_run_here(t);

	co_enter();
	while (r == SESSION_MOVE) {
		r = co_call(session_home(t->s), talk_run_here, t);
	}
}

/* Begins with a session and the client's end of its stream; takes over both. */
CO_FN static inline void talk_begin(struct talk *t, struct session *s, struct stream *client)
{
	*t = (struct talk){ .s = s, .client = client };
	buf_init(&t->said, 64u << 20);
	assert_int_equal(co_spawn("session-test", talk_serve, t, &t->co), 0);
}

CO_FN static inline void say(struct talk *t, struct slice s)
{
	stream_set_deadline(t->client, clock_in_ms(TALK_WAIT_MS));
	assert_int_equal(stream_write(t->client, s), 0);
}

/* Reads until the server said it (all up to it is forgotten), or, with text
 * empty, until it closed. */
CO_FN static inline void hear(struct talk *t, struct slice text)
{
	for (;;) {
		size_t at = slice_find(buf_slice(&t->said), text);
		char piece[2048];
		ssize_t n;

		if (text.n > 0 && at != SIZE_MAX) {
			buf_consume(&t->said, at + text.n);
			return;
		}
		stream_set_deadline(t->client, clock_in_ms(TALK_WAIT_MS));
		n = stream_read(t->client, piece, sizeof(piece));
		if (text.n == 0 && (n == 0 || (t->rough && n < 0 && n != -ETIMEDOUT))) {
			return;
		}
		if (n <= 0) {
			fail_msg("%d: waited for %.*s, heard %s", (int)n, SLICE_ARG(text),
				 buf_cstr(&t->said));
		}
		buf_add(&t->said, slice_make(piece, (size_t)n));
	}
}

CO_FN static inline void talk_close(struct talk *t)
{
	stream_free(&t->client);
	assert_int_equal(co_join(&t->co), 0);
	buf_fini(&t->said);
}

#endif
