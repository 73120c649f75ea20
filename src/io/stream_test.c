/*
 * Streams of every kind but tls: bytes, ends, errors, waiting, deadlines,
 * limits, cancellation, and moving from loop to loop.
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "co/test_loop.h"
#include "io/stream.h"

/* Reads until the end; returns the bytes read or the error. */
CO_FN static ssize_t read_all(struct stream *s, char *p, size_t cap)
{
	size_t n = 0;

	while (n < cap) {
		ssize_t r = stream_read(s, p + n, cap - n);

		if (r < 0) {
			return r;
		}
		if (r == 0) {
			break;
		}
		n += (size_t)r;
	}
	return (ssize_t)n;
}

static void test_mem(void **state)
{
	struct buf out = BUF_INIT(8);
	struct stream *s = NULL;
	ssize_t first;
	char b[16];

	(void)state;
	co_enter();
	assert_int_equal(stream_mem_new(S("hello"), &out, 2, &s), 0);
	assert_int_equal(stream_wait(s, NULL, 0), STREAM_READY);
	first = stream_read(s, b, sizeof(b));
	assert_in_range(first, 1, 2);
	assert_int_equal(read_all(s, b, sizeof(b)), 5 - first);
	assert_int_equal(s->bytes_in, 5);
	assert_int_equal(stream_read(s, b, sizeof(b)), 0);
	assert_int_equal(stream_write(s, S("12345")), 0);
	assert_int_equal(stream_write(s, S("678")), 0);
	assert_int_equal(stream_write(s, S("")), 0);
	assert_int_equal(stream_write(s, S("9")), -EPIPE);
	assert_int_equal(s->bytes_out, 8);
	assert_true(slice_eq(buf_slice(&out), S("12345678")));
	assert_int_equal(stream_detach(s), 0);
	assert_int_equal(stream_attach(s), 0);
	assert_int_equal(stream_shutdown(s), 0);
	assert_int_equal(stream_write(s, S("x")), -EPIPE);
	stream_free(&s);
	assert_null(s);
	stream_free(&s);
	buf_fini(&out);
	assert_int_equal(stream_mem_new(S(""), NULL, 0, &s), 0);
	assert_int_equal(stream_write(s, S("to nowhere")), 0);
	assert_int_equal(stream_read(s, b, sizeof(b)), 0);
	stream_free(&s);
}

static void test_limit(void **state)
{
	struct buf out = BUF_INIT(100);
	struct stream *inner = NULL;
	struct stream *s = NULL;
	char b[16];

	(void)state;
	co_enter();
	/* Exactly the limit is an ordinary end. */
	assert_int_equal(stream_mem_new(S("hello"), &out, 0, &inner), 0);
	assert_int_equal(stream_limit_new(inner, true, 5, &s), 0);
	assert_int_equal(read_all(s, b, sizeof(b)), 5);
	assert_memory_equal(b, "hello", 5);
	assert_int_equal(stream_read(s, b, sizeof(b)), 0);
	assert_int_equal(stream_write(s, S("through")), 0);
	assert_int_equal(stream_shutdown(s), 0);
	stream_free(&s);
	assert_true(slice_eq(buf_slice(&out), S("through")));
	/* One more is an error that stays. */
	assert_int_equal(stream_mem_new(S("hello!"), &out, 0, &inner), 0);
	assert_int_equal(stream_limit_new(inner, false, 5, &s), 0);
	assert_int_equal(read_all(s, b, sizeof(b)), -EMSGSIZE);
	assert_int_equal(stream_wait(s, NULL, 0), STREAM_READY);
	assert_int_equal(stream_read(s, b, sizeof(b)), -EMSGSIZE);
	stream_free(&s);
	stream_free(&inner);
	buf_fini(&out);
}

static void noyield_read(void *arg)
{
	struct stream *s = NULL;
	char b;

	(void)arg;
	co_enter();
	if (stream_mem_new(S("x"), NULL, 0, &s) == 0) {
		co_noyield_enter();
		(void)stream_read(s, &b, 1);
	}
}

static void test_noyield(void **state)
{
	(void)state;
	/* Even over memory: what a slow socket would do is found in a test. */
	assert_true(test_dies_by(SIGABRT, noyield_read, NULL));
}

/* ---- sockets -------------------------------------------------------------------- */

#define BULK (300 * 1000)

struct echo {
	struct stream *s;
	int result;
};

/* Sends back what comes, until the end. */
static void echo_body(void *arg)
{
	struct echo *e = arg;
	char b[1000];

	co_enter();
	for (;;) {
		ssize_t n = stream_read(e->s, b, sizeof(b));

		if (n <= 0) {
			e->result = (int)n;
			break;
		}
		e->result = stream_write(e->s, slice_make(b, (size_t)n));
		if (e->result < 0) {
			break;
		}
	}
	if (e->result == 0) {
		e->result = stream_shutdown(e->s);
	}
}

struct sender {
	struct stream *s;
	char *data;
	size_t n;
	int result;
};

static void send_body(void *arg)
{
	struct sender *x = arg;

	co_enter();
	x->result = stream_write(x->s, slice_make(x->data, x->n));
	if (x->result == 0) {
		x->result = stream_shutdown(x->s);
	}
}

static void bulk(void *arg)
{
	char *data = malloc(BULK);
	char *back = malloc(BULK + 1);
	struct sender snd = { .data = data, .n = BULK, .result = 1 };
	struct echo e = { .result = 1 };
	struct co *c[2] = { NULL, NULL };

	(void)arg;
	co_enter();
	assert_true(data && back);
	for (size_t i = 0; i < BULK; i++) {
		data[i] = (char)(i * 7 + i / 251);
	}
	assert_int_equal(stream_sock_pair(&e.s, &snd.s), 0);
	assert_int_equal(co_spawn("echo", echo_body, &e, &c[0]), 0);
	assert_int_equal(co_spawn("send", send_body, &snd, &c[1]), 0);
	assert_int_equal(read_all(snd.s, back, BULK + 1), BULK);
	assert_memory_equal(data, back, BULK);
	assert_int_equal(co_join(&c[0]), 0);
	assert_int_equal(co_join(&c[1]), 0);
	assert_int_equal(e.result, 0);
	assert_int_equal(snd.result, 0);
	assert_int_equal(e.s->bytes_in, BULK);
	assert_int_equal(e.s->bytes_out, BULK);
	stream_free(&e.s);
	stream_free(&snd.s);
	free(data);
	free(back);
}

static void test_sock_bulk(void **state)
{
	(void)state;
	test_run_loop(bulk, NULL);
}

static void set_later(void *arg)
{
	co_enter();
	if (co_sleep(3) == 0) {
		co_event_set(arg);
	}
}

static void write_later(void *arg)
{
	co_enter();
	if (co_sleep(3) == 0) {
		assert_int_equal(stream_write(arg, S("x")), 0);
	}
}

static void waits(void *arg)
{
	struct stream *a = NULL;
	struct stream *b = NULL;
	struct co_event ev;
	char c[4];

	(void)arg;
	co_enter();
	co_event_init(&ev);
	assert_int_equal(stream_sock_pair(&a, &b), 0);
	/* Nothing there, although the readiness hint starts as true. */
	assert_int_equal(stream_wait(a, NULL, clock_in_ms(3)), -ETIMEDOUT);
	assert_int_equal(stream_wait(a, &ev, clock_in_ms(3)), -ETIMEDOUT);
	assert_int_equal(co_spawn("set", set_later, &ev, NULL), 0);
	assert_int_equal(stream_wait(a, &ev, clock_in_ms(5000)), STREAM_EVENT);
	assert_int_equal(co_spawn("w", write_later, b, NULL), 0);
	co_event_clear(&ev);
	assert_int_equal(stream_wait(a, &ev, clock_in_ms(5000)), STREAM_READY);
	/* Both: ready counts. */
	co_event_set(&ev);
	assert_int_equal(stream_wait(a, &ev, clock_in_ms(5000)), STREAM_READY);
	assert_int_equal(stream_read(a, c, sizeof(c)), 1);
	assert_int_equal(stream_wait(a, &ev, clock_in_ms(5000)), STREAM_EVENT);
	/* A read has its own deadline. */
	stream_set_deadline(a, clock_in_ms(5));
	assert_int_equal(stream_read(a, c, sizeof(c)), -ETIMEDOUT);
	assert_int_equal(stream_read(a, c, sizeof(c)), -ETIMEDOUT);
	/* Past the deadline, what is there is still given. */
	assert_int_equal(stream_write(b, S("y")), 0);
	stream_set_deadline(a, clock_in_ms(5000));
	assert_int_equal(stream_read(a, c, sizeof(c)), 1);
	/* A wait longer than the idle trim, ended by the peer's leaving. */
	stream_set_deadline(a, clock_in_ms(20000));
	stream_free(&b);
	assert_int_equal(stream_wait(a, NULL, clock_in_ms(20000)), STREAM_READY);
	assert_int_equal(stream_read(a, c, sizeof(c)), 0);
	assert_int_equal(stream_write(a, S("z")), -EPIPE);
	stream_free(&a);
}

static void test_sock_waits(void **state)
{
	(void)state;
	test_run_loop(waits, NULL);
}

static void write_much_later(void *arg)
{
	co_enter();
	if (co_sleep(1200) == 0) {
		assert_int_equal(stream_write(arg, S("x")), 0);
	}
}

static void idle(void *arg)
{
	struct stream *a = NULL;
	struct stream *b = NULL;
	char c[64];

	(void)arg;
	co_enter();
	memset(c, 'c', sizeof(c));
	assert_int_equal(stream_sock_pair(&a, &b), 0);
	assert_int_equal(co_spawn("w", write_much_later, b, NULL), 0);
	stream_set_deadline(a, clock_in_ms(30000));
	assert_int_equal(stream_read(a, c, 1), 1);
	assert_int_equal(c[0], 'x');
	assert_int_equal(c[63], 'c');
	stream_free(&a);
	stream_free(&b);
}

static void test_sock_idle_trim(void **state)
{
	(void)state;
	test_run_loop(idle, NULL);
}

/* A peer that does not read: writes fill up, then time out. */
static void write_blocks(void *arg)
{
	static char big[64 * 1024];
	struct stream *a = NULL;
	struct stream *b = NULL;
	int r = 0;

	(void)arg;
	co_enter();
	assert_int_equal(stream_sock_pair(&a, &b), 0);
	stream_set_deadline(a, clock_in_ms(50));
	for (int i = 0; i < 1000 && r == 0; i++) {
		r = stream_write(a, slice_make(big, sizeof(big)));
	}
	assert_int_equal(r, -ETIMEDOUT);
	stream_free(&a);
	stream_free(&b);
}

static void test_sock_write_blocks(void **state)
{
	(void)state;
	test_run_loop(write_blocks, NULL);
}

struct cancelled {
	struct stream *s;
	ssize_t read1;
	ssize_t read2;
	int wrote;
};

static void cancelled_body(void *arg)
{
	struct cancelled *x = arg;
	char b[8];

	co_enter();
	x->read1 = stream_read(x->s, b, sizeof(b));
	x->read2 = stream_read(x->s, b, sizeof(b));
	x->wrote = stream_write(x->s, S("bye"));
}

static void cancel(void *arg)
{
	struct cancelled x = { .wrote = 1 };
	struct stream *peer = NULL;
	struct co *c = NULL;
	char b[8];

	(void)arg;
	co_enter();
	assert_int_equal(stream_sock_pair(&x.s, &peer), 0);
	assert_int_equal(co_spawn("c", cancelled_body, &x, &c), 0);
	assert_int_equal(co_sleep(3), 0);
	assert_int_equal(stream_write(peer, S("too late")), 0);
	co_cancel(c);
	assert_int_equal(co_join(&c), 0);
	assert_int_equal(x.read1, -ECANCELED);
	assert_int_equal(x.read2, -ECANCELED);
	assert_int_equal(x.wrote, 0);
	stream_free(&x.s);
	assert_true(stream_read(peer, b, sizeof(b)) > 0);
	stream_free(&peer);
}

static void test_sock_cancelled(void **state)
{
	(void)state;
	test_run_loop(cancel, NULL);
}

/* Outside a coroutine a socket gives what is there. */
static void test_sock_outside(void **state)
{
	struct stream *a = NULL;
	struct stream *b = NULL;
	char c[8];

	(void)state;
	co_enter();
	assert_int_equal(stream_sock_pair(&a, &b), 0);
	assert_int_equal(stream_read(a, c, sizeof(c)), -EDEADLK);
	assert_int_equal(stream_write(b, S("hi")), 0);
	assert_int_equal(stream_wait(a, NULL, CLOCK_NEVER), STREAM_READY);
	assert_int_equal(stream_read(a, c, 1), 1);
	assert_int_equal(stream_read(a, c, 1), 1);
	assert_int_equal(stream_read(a, c, 1), -EDEADLK);
	stream_free(&a);
	stream_free(&b);
}

/* ---- moving ------------------------------------------------------------------------ */

struct mover {
	pthread_t thread;
	struct co_loop *loop;
	struct co_signal up;
	struct stream *s;
};

static void keeper(void *arg)
{
	(void)arg;
	co_enter();
	while (co_sleep(60000) == 0) {
	}
}

static void *mover_main(void *arg)
{
	struct mover *m = arg;
	struct co_loop *l = NULL;

	if (co_loop_new(&l) == 0 && co_spawn("keeper", keeper, NULL, NULL) == 0) {
		m->loop = l;
	}
	co_signal_fire(&m->up);
	if (m->loop) {
		co_loop_run(l);
	}
	return NULL;
}

static int serve_over_there(void *arg)
{
	struct mover *m = arg;
	char b[8];
	ssize_t n;
	int r = stream_attach(m->s);

	co_enter();
	if (r < 0) {
		return r;
	}
	n = stream_read(m->s, b, 1);
	if (n != 1) {
		return -EBADMSG;
	}
	n = stream_read(m->s, b, 1); /* waits over there */
	if (n < 0) {
		return (int)n;
	}
	r = stream_write(m->s, S("pong"));
	return r < 0 ? r : stream_detach(m->s);
}

static void moving(void *arg)
{
	struct mover m = { .s = NULL };
	struct stream *peer = NULL;
	char b[8];

	(void)arg;
	co_enter();
	co_signal_init(&m.up);
	assert_int_equal(pthread_create(&m.thread, NULL, mover_main, &m), 0);
	co_signal_wait(&m.up);
	assert_non_null(m.loop);
	assert_int_equal(stream_sock_pair(&m.s, &peer), 0);
	assert_int_equal(stream_write(peer, S("1")), 0);
	assert_int_equal(stream_detach(m.s), 0);
	assert_int_equal(co_spawn("w", write_later, peer, NULL), 0);
	assert_int_equal(co_call(m.loop, serve_over_there, &m), 0);
	assert_int_equal(stream_attach(m.s), 0);
	stream_free(&m.s);
	assert_int_equal(read_all(peer, b, sizeof(b)), 4);
	assert_memory_equal(b, "pong", 4);
	stream_free(&peer);
	co_loop_stop(m.loop);
	pthread_join(m.thread, NULL);
	co_loop_free(&m.loop);
}

static void test_moving(void **state)
{
	(void)state;
	test_run_loop(moving, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mem),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_noyield),
		cmocka_unit_test(test_sock_bulk),
		cmocka_unit_test(test_sock_waits),
		cmocka_unit_test(test_sock_idle_trim),
		cmocka_unit_test(test_sock_write_blocks),
		cmocka_unit_test(test_sock_cancelled),
		cmocka_unit_test(test_sock_outside),
		cmocka_unit_test(test_moving),
	};

	return cmocka_run_group_tests_name("stream", tests, NULL, NULL);
}
