/*
 * The runtime, held to its contract: every state a coroutine can be in when
 * something happens to it, time, events, descriptors, mutexes, fairness, and
 * what holds outside a coroutine. Built twice, for the assembly and for the
 * ucontext backend. Torture builds (YIELD_ALWAYS) run the same tests, so none
 * may depend on exact turns other than those co.h promises.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "co/test_loop.h"

static int64_t ms_since(int64_t t)
{
	return (clock_mono() - t) / NSEC_PER_MSEC;
}

/* ---- life ----------------------------------------------------------------- */

struct trace {
	char text[128];
	size_t n;
};

static void mark(struct trace *t, char c)
{
	assert_true(t->n + 1 < sizeof(t->text));
	t->text[t->n++] = c;
	t->text[t->n] = '\0';
}

static void child_marks(void *arg)
{
	struct trace *t = arg;

	co_enter();
	mark(t, 'a');
	assert_int_equal(co_yield(), 0);
	mark(t, 'b');
}

static void spawn_and_join(void *arg)
{
	struct trace *t = arg;
	struct co *c = NULL;

	co_enter();
	assert_non_null(co_self());
	assert_int_equal(co_spawn("child", child_marks, t, &c), 0);
	mark(t, '1'); /* a spawned coroutine does not run at once */
	assert_int_equal(co_loop_count(co_loop_self()), 2);
	assert_int_equal(co_join(&c), 0);
	assert_null(c);
	mark(t, '2');
	/* One that has ended before the join. */
	assert_int_equal(co_spawn("child", child_marks, t, &c), 0);
	assert_int_equal(co_sleep(5), 0);
	mark(t, '3');
	assert_int_equal(co_join(&c), 0);
	/* A detached one. */
	assert_int_equal(co_spawn("child", child_marks, t, NULL), 0);
	assert_int_equal(co_sleep(5), 0);
	mark(t, '4');
}

static void test_spawn_join(void **state)
{
	struct trace t = { 0 };

	(void)state;
	test_run_loop(spawn_and_join, &t);
	assert_string_equal(t.text, "1ab2ab3ab4");
}

struct joiner {
	struct co *target;
	int result;
};

static void join_it(void *arg)
{
	struct joiner *j = arg;

	co_enter();
	j->result = co_join(&j->target);
}

static void sleep_long(void *arg)
{
	int *result = arg;

	co_enter();
	*result = co_sleep(60 * 1000);
	/* It sticks. */
	assert_int_equal(co_sleep(1), -ECANCELED);
	assert_int_equal(co_yield(), -ECANCELED);
	assert_true(co_cancelled());
}

static void joiner_is_cancelled(void *arg)
{
	int slept = 1;
	struct joiner j = { NULL, 1 };
	struct co *c = NULL;

	(void)arg;
	co_enter();
	assert_int_equal(co_spawn("sleeper", sleep_long, &slept, &j.target), 0);
	assert_int_equal(co_spawn("joiner", join_it, &j, &c), 0);
	assert_int_equal(co_sleep(2), 0);
	co_cancel(c);
	assert_int_equal(co_join(&c), 0);
	assert_int_equal(j.result, -ECANCELED);
	assert_non_null(j.target);
	assert_int_equal(slept, 1);
	co_finish(&j.target);
	assert_null(j.target);
	assert_int_equal(slept, -ECANCELED);
}

static void test_joiner_cancelled(void **state)
{
	(void)state;
	test_run_loop(joiner_is_cancelled, NULL);
}

/* ---- cancellation in every state --------------------------------------------- */

struct victim {
	int (*wait)(struct victim *v);
	struct co_event ev;
	struct co_mutex mutex;
	struct co_fd fd;
	bool began;
	int result;
};

static int victim_event(struct victim *v)
{
	co_enter();
	return co_event_wait(&v->ev, CLOCK_NEVER);
}

static int victim_mutex(struct victim *v)
{
	co_enter();
	return co_mutex_lock(&v->mutex);
}

static int victim_fd(struct victim *v)
{
	struct co_want want = { .kind = CO_READABLE, .fd = &v->fd };

	co_enter();
	v->fd.ready_in = false;
	return co_wait(&want, 1, CLOCK_NEVER);
}

static int victim_sleep(struct victim *v)
{
	(void)v;
	co_enter();
	return co_sleep(60 * 1000);
}

static int victim_many(struct victim *v)
{
	struct co_want want[] = {
		{ .kind = CO_READABLE, .fd = &v->fd },
		{ .kind = CO_EVENT, .event = &v->ev },
	};

	co_enter();
	v->fd.ready_in = false;
	return co_wait(want, 2, clock_in_ms(60 * 1000));
}

static void victim_body(void *arg)
{
	struct victim *v = arg;

	v->began = true;
	v->result = v->wait(v);
}

static void cancel_states(void *arg)
{
	int (*const kinds[])(struct victim *) = {
		victim_event, victim_mutex, victim_fd, victim_sleep, victim_many,
	};
	int pipe_fd[2];

	(void)arg;
	co_enter();
	assert_int_equal(pipe2(pipe_fd, O_NONBLOCK | O_CLOEXEC), 0);
	for (size_t i = 0; i < 3 * ARRAY_LEN(kinds); i++) {
		struct victim v = { .wait = kinds[i % ARRAY_LEN(kinds)], .result = 1 };
		struct co *c = NULL;
		int64_t t = clock_mono();

		co_event_init(&v.ev);
		co_mutex_init(&v.mutex);
		assert_int_equal(co_mutex_lock(&v.mutex), 0);
		assert_int_equal(co_fd_add(&v.fd, pipe_fd[0]), 0);
		assert_int_equal(co_spawn("victim", victim_body, &v, &c), 0);
		if (i / ARRAY_LEN(kinds) == 1) {
			assert_int_equal(co_sleep(2), 0); /* it waits now */
		} else if (i / ARRAY_LEN(kinds) == 2) {
			assert_int_equal(co_sleep(2), 0);
			co_event_set(&v.ev); /* ready and cancelled at once */
		}
		co_cancel(c);
		co_cancel(c);
		assert_int_equal(co_join(&c), 0);
		assert_true(v.began); /* even if it had never been scheduled */
		assert_int_equal(v.result, -ECANCELED);
		assert_true(ms_since(t) < 5000);
		co_mutex_unlock(&v.mutex);
		co_fd_del(&v.fd);
		co_fd_del(&v.fd);
	}
	close(pipe_fd[0]);
	close(pipe_fd[1]);
}

static void test_cancel_states(void **state)
{
	(void)state;
	test_run_loop(cancel_states, NULL);
}

static void cancel_ended(void *arg)
{
	struct trace t = { 0 };
	struct co *c = NULL;

	(void)arg;
	co_enter();
	assert_int_equal(co_spawn("child", child_marks, &t, &c), 0);
	assert_int_equal(co_sleep(3), 0);
	co_cancel(c);
	assert_int_equal(co_join(&c), 0);
	co_finish(&c); /* NULL is fine */
	co_cancel(co_self());
	assert_true(co_cancelled());
	assert_int_equal(co_sleep(1), -ECANCELED);
	assert_int_equal(co_breathe(), -ECANCELED);
}

static void test_cancel_ended_and_self(void **state)
{
	(void)state;
	test_run_loop(cancel_ended, NULL);
}

struct stopped {
	int started;
	int cancelled;
	int spawn_result;
};

static void until_stopped(void *arg)
{
	struct stopped *s = arg;

	co_enter();
	s->started++;
	if (co_sleep(60 * 1000) == -ECANCELED) {
		s->cancelled++;
		s->spawn_result = co_spawn("late", until_stopped, s, NULL);
	}
}

static void spawn_then_stop(void *arg)
{
	for (int i = 0; i < 100; i++) {
		assert_int_equal(co_spawn("x", until_stopped, arg, NULL), 0);
	}
}

static void test_stop_cancels_all(void **state)
{
	struct stopped s = { 0, 0, 0 };

	(void)state;
	test_run_loop(spawn_then_stop, &s);
	assert_int_equal(s.started, 100);
	assert_int_equal(s.cancelled, 100);
	assert_int_equal(s.spawn_result, -ESHUTDOWN);
}

static void test_loop_runs_again(void **state)
{
	struct trace t = { 0 };
	struct test_first f = { spawn_and_join, &t };
	struct co_loop *l = NULL;

	(void)state;
	assert_int_equal(co_loop_new(&l), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(co_spawn("first", test_first_body, &f, NULL), 0);
		assert_int_equal(co_loop_run(l), 0);
	}
	assert_string_equal(t.text, "1ab2ab3ab41ab2ab3ab4");
	co_loop_free(&l);
	co_loop_free(&l);
}

/* ---- events and time ------------------------------------------------------------ */

struct sleeper {
	int64_t deadline;
	struct trace *trace;
	char name;
};

static void sleeper_body(void *arg)
{
	struct sleeper *s = arg;

	co_enter();
	assert_int_equal(co_wait(NULL, 0, s->deadline), -ETIMEDOUT);
	assert_true(clock_mono() >= s->deadline);
	mark(s->trace, s->name);
}

static void timers_in_order(void *arg)
{
	static const int order[] = { 7, 3, 5, 1, 9, 2, 8, 0, 6, 4 };
	struct sleeper s[20];
	struct co *c[20];
	int64_t base = clock_in_ms(30);

	co_enter();
	for (int i = 0; i < 20; i++) {
		int k = order[i % 10];

		/* Twice each deadline: equal ones keep their order. */
		s[i] = (struct sleeper){ base + k * NSEC_PER_MSEC, arg,
					 (char)((i < 10 ? 'a' : 'A') + k) };
		assert_int_equal(co_spawn("s", sleeper_body, &s[i], &c[i]), 0);
	}
	for (int i = 0; i < 20; i++) {
		assert_int_equal(co_join(&c[i]), 0);
	}
}

static void test_timer_order(void **state)
{
	struct trace t = { 0 };

	(void)state;
	test_run_loop(timers_in_order, &t);
	assert_string_equal(t.text, "aAbBcCdDeEfFgGhHiIjJ");
}

#define MANY_TIMERS 2000

struct many {
	int64_t deadline; /* first relative to *base */
	const int64_t *base;
	int64_t *last;
	int result;
};

static void many_body(void *arg)
{
	struct many *m = arg;

	co_enter();
	m->deadline += *m->base;
	m->result = co_wait(NULL, 0, m->deadline);
	if (m->result == -ETIMEDOUT) {
		assert_true(m->deadline >= *m->last);
		*m->last = m->deadline;
	}
}

/* Random deadlines, a third of them cancelled: the heap stays a heap. */
static void many_timers(void *arg)
{
	struct many *m = calloc(MANY_TIMERS, sizeof(*m));
	struct co **c = calloc(MANY_TIMERS, sizeof(struct co *));
	int64_t last = 0;
	int64_t base = 0;
	unsigned seed = 1;

	(void)arg;
	co_enter();
	assert_true(m && c);
	for (size_t i = 0; i < MANY_TIMERS; i++) {
		seed = seed * 1103515245u + 12345u;
		m[i].deadline = (seed >> 8) % 100000000;
		m[i].base = &base;
		m[i].last = &last;
		assert_int_equal(co_spawn("m", many_body, &m[i], &c[i]), 0);
	}
	/* They all begin to wait long before the first is due. */
	base = clock_in_ms(1000);
	assert_int_equal(co_sleep(1), 0);
	for (size_t i = 0; i < MANY_TIMERS; i += 3) {
		co_cancel(c[i]);
	}
	for (size_t i = 0; i < MANY_TIMERS; i++) {
		assert_int_equal(co_join(&c[i]), 0);
		assert_int_equal(m[i].result, i % 3 ? -ETIMEDOUT : -ECANCELED);
	}
	free(c);
	free(m);
}

static void test_many_timers(void **state)
{
	(void)state;
	test_run_loop(many_timers, NULL);
}

struct waits {
	struct co_event a, b;
	int got[4];
	size_t n;
};

static void waits_body(void *arg)
{
	struct waits *w = arg;
	struct co_want want[] = { { .kind = CO_EVENT, .event = &w->a },
				  { .kind = CO_EVENT, .event = &w->b } };

	co_enter();
	while (w->n < 4) {
		w->got[w->n] = co_wait(want, 2, clock_in_ms(20));
		w->n++;
	}
}

static void events(void *arg)
{
	struct waits w = { .n = 0 };
	struct co *c = NULL;

	(void)arg;
	co_enter();
	co_event_init(&w.a);
	co_event_init(&w.b);
	assert_int_equal(co_event_wait(&w.a, 0), -ETIMEDOUT);
	assert_int_equal(co_spawn("w", waits_body, &w, &c), 0);
	while (w.n < 1) { /* nothing set: times out */
		assert_int_equal(co_sleep(1), 0);
	}
	assert_int_equal(co_sleep(2), 0);
	co_event_set(&w.b);
	co_event_clear(&w.b); /* a pulse is not lost */
	while (w.n < 2) {
		assert_int_equal(co_sleep(1), 0);
	}
	assert_int_equal(co_sleep(2), 0);
	co_event_set(&w.b);
	co_event_set(&w.a); /* both: the first counts, and stays set */
	assert_int_equal(co_join(&c), 0);
	assert_int_equal(w.got[0], -ETIMEDOUT);
	assert_int_equal(w.got[1], 1);
	assert_int_equal(w.got[2], 0);
	assert_int_equal(w.got[3], 0);
	assert_int_equal(co_event_wait(&w.a, 0), 0);
	co_event_clear(&w.a);
	assert_int_equal(co_event_wait(&w.a, clock_in_ms(1)), -ETIMEDOUT);
}

static void test_events(void **state)
{
	(void)state;
	test_run_loop(events, NULL);
}

struct bell {
	struct co_event ev;
	int rung;
};

static void bell_body(void *arg)
{
	struct bell *b = arg;

	co_enter();
	assert_int_equal(co_event_wait(&b->ev, CLOCK_NEVER), 0);
	b->rung++;
}

static void bell_wakes_all(void *arg)
{
	struct bell b = { .rung = 0 };

	(void)arg;
	co_enter();
	co_event_init(&b.ev);
	for (int i = 0; i < 50; i++) {
		assert_int_equal(co_spawn("b", bell_body, &b, NULL), 0);
	}
	assert_int_equal(co_sleep(2), 0);
	co_event_set(&b.ev);
	assert_int_equal(co_sleep(2), 0);
	assert_int_equal(b.rung, 50);
}

static void test_event_wakes_all(void **state)
{
	(void)state;
	test_run_loop(bell_wakes_all, NULL);
}

/* ---- descriptors ------------------------------------------------------------------ */

struct reader {
	struct co_fd fd;
	size_t got;
	int result;
};

static void reader_body(void *arg)
{
	struct reader *r = arg;
	struct co_want want = { .kind = CO_READABLE, .fd = &r->fd };
	char b[100];

	co_enter();
	for (;;) {
		ssize_t n = read(r->fd.fd, b, sizeof(b));

		if (n == 0) {
			r->result = 0;
			return;
		}
		if (n > 0) {
			r->got += (size_t)n;
			continue;
		}
		assert_int_equal(errno, EAGAIN);
		r->fd.ready_in = false;
		r->result = co_wait(&want, 1, clock_in_ms(5000));
		if (r->result < 0) {
			return;
		}
	}
}

static void descriptors(void *arg)
{
	struct reader r = { .result = 1 };
	struct co_fd out;
	struct co_want want = { .kind = CO_WRITABLE, .fd = &out };
	struct co *c = NULL;
	size_t sent = 0;
	int sv[2];
	char b[1000] = { 0 };

	(void)arg;
	co_enter();
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv), 0);
	assert_int_equal(co_fd_add(&r.fd, sv[0]), 0);
	assert_int_equal(co_fd_add(&out, sv[1]), 0);
	assert_int_equal(co_spawn("reader", reader_body, &r, &c), 0);
	while (sent < 2 * 1000 * 1000) {
		ssize_t n = write(sv[1], b, sizeof(b));

		if (n < 0) {
			assert_int_equal(errno, EAGAIN);
			out.ready_out = false;
			assert_int_equal(co_wait(&want, 1, clock_in_ms(5000)), 0);
			continue;
		}
		sent += (size_t)n;
	}
	co_fd_del(&out);
	close(sv[1]);
	assert_int_equal(co_join(&c), 0);
	assert_int_equal(r.result, 0);
	assert_int_equal(r.got, sent);
	assert_true(r.fd.hup);
	co_fd_del(&r.fd);
	close(sv[0]);
}

static void test_descriptors(void **state)
{
	(void)state;
	test_run_loop(descriptors, NULL);
}

static void fd_del_wakes(void *arg)
{
	struct reader r = { .result = 1 };
	struct co *c = NULL;
	int sv[2];
	int fd = open("/dev/null", O_RDONLY | O_NONBLOCK);
	struct co_fd file = { .fd = -1 };

	(void)arg;
	co_enter();
	/* What epoll cannot watch is said at once. */
	assert_int_equal(co_fd_add(&file, fd), -EPERM);
	co_fd_del(&file);
	close(fd);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv), 0);
	assert_int_equal(co_fd_add(&r.fd, sv[0]), 0);
	assert_int_equal(co_spawn("reader", reader_body, &r, &c), 0);
	assert_int_equal(co_sleep(2), 0);
	co_fd_del(&r.fd);
	assert_int_equal(co_join(&c), 0);
	assert_int_equal(r.result, -ECANCELED);
	close(sv[0]);
	close(sv[1]);
}

static void test_fd_del(void **state)
{
	(void)state;
	test_run_loop(fd_del_wakes, NULL);
}

/* ---- mutex ------------------------------------------------------------------------- */

struct queue {
	struct co_mutex m;
	struct trace t;
};

struct turn {
	struct queue *q;
	char name;
	int result;
};

static void turn_body(void *arg)
{
	struct turn *t = arg;

	co_enter();
	t->result = co_mutex_lock(&t->q->m);
	if (t->result == 0) {
		mark(&t->q->t, t->name);
		assert_int_equal(co_yield(), 0);
		mark(&t->q->t, t->name);
		co_mutex_unlock(&t->q->m);
	}
}

static void mutex_fair(void *arg)
{
	struct queue q = { 0 };
	struct turn t[5];
	struct co *c[5];

	(void)arg;
	co_enter();
	co_mutex_init(&q.m);
	assert_int_equal(co_mutex_lock(&q.m), 0);
	for (int i = 0; i < 5; i++) {
		t[i] = (struct turn){ &q, (char)('a' + i), 1 };
		assert_int_equal(co_spawn("t", turn_body, &t[i], &c[i]), 0);
	}
	assert_int_equal(co_sleep(3), 0);
	co_cancel(c[2]); /* leaves the queue */
	co_mutex_unlock(&q.m);
	/* No overtaking: it was handed over already. */
	assert_int_equal(co_mutex_lock(&q.m), 0);
	mark(&q.t, 'X');
	co_mutex_unlock(&q.m);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(co_join(&c[i]), 0);
		assert_int_equal(t[i].result, i == 2 ? -ECANCELED : 0);
	}
	assert_string_equal(q.t.text, "aabbddeeX");
	assert_false(q.m.locked);
}

static void test_mutex_fair(void **state)
{
	(void)state;
	test_run_loop(mutex_fair, NULL);
}

/* ---- fairness ------------------------------------------------------------------------------------- */

struct busy {
	struct co_event ev;
	bool stop;
	size_t turns;
};

static void busy_body(void *arg)
{
	struct busy *b = arg;

	co_enter();
	while (!b->stop) {
		b->turns++;
		assert_int_equal(co_event_wait(&b->ev, CLOCK_NEVER), 0);
		assert_int_equal(co_breathe(), 0);
	}
}

/* One that always finds something ready does not starve the rest. */
static void busy(void *arg)
{
	struct busy b = { .stop = false };
	struct co *c = NULL;

	(void)arg;
	co_enter();
	co_event_init(&b.ev);
	co_event_set(&b.ev);
	assert_int_equal(co_spawn("busy", busy_body, &b, &c), 0);
	assert_int_equal(co_sleep(5), 0);
	b.stop = true;
	assert_int_equal(co_join(&c), 0);
	assert_true(b.turns > 1);
}

static void test_fairness(void **state)
{
	(void)state;
	test_run_loop(busy, NULL);
}

/* Floating point control is part of what a switch keeps. */
static void float_body(void *arg)
{
	double *d = arg;

	co_enter();
	for (int i = 0; i < 100; i++) {
		*d += 0.1;
		assert_int_equal(co_yield(), 0);
	}
}

static void floats(void *arg)
{
	double d[4] = { 0, 0, 0, 0 };
	struct co *c[4];

	(void)arg;
	co_enter();
	for (int i = 0; i < 4; i++) {
		assert_int_equal(co_spawn("f", float_body, &d[i], &c[i]), 0);
	}
	for (int i = 0; i < 4; i++) {
		assert_int_equal(co_join(&c[i]), 0);
		assert_true(d[i] > 9.99 && d[i] < 10.01);
	}
}

static void test_floats(void **state)
{
	(void)state;
	test_run_loop(floats, NULL);
}

/* ---- outside a coroutine -------------------------------------------------------------------- */

static int inline_call(void *arg)
{
	return arg == NULL ? 3 : 4;
}

static void test_outside(void **state)
{
	struct co_event a;
	struct co_event b;
	struct co_mutex m;
	struct co_fd f;
	struct co_want want[3] = { { .kind = CO_EVENT, .event = &a },
				   { .kind = CO_EVENT, .event = &b },
				   { .kind = CO_READABLE, .fd = &f } };
	int sv[2];

	(void)state;
	co_enter();
	assert_null(co_loop_self());
	assert_null(co_self());
	assert_false(co_cancelled());
	assert_int_equal(co_yield(), 0);
	assert_int_equal(co_breathe(), 0);
	assert_int_equal(co_sleep(60 * 1000), 0);
	co_event_init(&a);
	co_event_init(&b);
	assert_int_equal(co_wait(want, 2, CLOCK_NEVER), -EDEADLK);
	assert_int_equal(co_event_wait(&a, CLOCK_NEVER), -EDEADLK);
	co_event_set(&b);
	assert_int_equal(co_wait(want, 2, CLOCK_NEVER), 1);
	co_event_set(&a);
	assert_int_equal(co_wait(want, 2, CLOCK_NEVER), 0);
	co_event_clear(&a);
	co_event_clear(&b);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv), 0);
	assert_int_equal(co_fd_add(&f, sv[0]), 0);
	f.ready_in = false;
	assert_int_equal(co_wait(want, 3, CLOCK_NEVER), -EDEADLK);
	assert_int_equal(write(sv[1], "x", 1), 1);
	assert_int_equal(co_wait(want, 3, CLOCK_NEVER), 2);
	co_fd_del(&f);
	close(sv[0]);
	close(sv[1]);
	co_mutex_init(&m);
	assert_int_equal(co_mutex_lock(&m), 0);
	assert_true(m.locked);
	co_mutex_unlock(&m);
	assert_int_equal(co_call(NULL, inline_call, NULL), 3);
	co_stack_trim();
}

static void wait_in_noyield(void *arg)
{
	struct co_event ev;

	(void)arg;
	co_enter();
	co_event_init(&ev);
	co_event_set(&ev);
	co_noyield_enter();
	(void)co_event_wait(&ev, CLOCK_NEVER);
}

static void run_wait_in_noyield(void *arg)
{
	test_run_loop(wait_in_noyield, arg);
}

static void lock_twice_outside(void *arg)
{
	struct co_mutex m;

	(void)arg;
	co_enter();
	co_mutex_init(&m);
	(void)co_mutex_lock(&m);
	(void)co_mutex_lock(&m);
}

static void test_bugs_abort(void **state)
{
	(void)state;
	assert_true(test_dies_by(SIGABRT, wait_in_noyield, NULL));
	assert_true(test_dies_by(SIGABRT, run_wait_in_noyield, NULL));
	assert_true(test_dies_by(SIGABRT, lock_twice_outside, NULL));
	co_noyield_enter();
	co_noyield_enter();
	co_noyield_leave();
	co_noyield_leave();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_spawn_join),
		cmocka_unit_test(test_joiner_cancelled),
		cmocka_unit_test(test_cancel_states),
		cmocka_unit_test(test_cancel_ended_and_self),
		cmocka_unit_test(test_stop_cancels_all),
		cmocka_unit_test(test_loop_runs_again),
		cmocka_unit_test(test_timer_order),
		cmocka_unit_test(test_many_timers),
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_event_wakes_all),
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_fd_del),
		cmocka_unit_test(test_mutex_fair),
		cmocka_unit_test(test_fairness),
		cmocka_unit_test(test_floats),
		cmocka_unit_test(test_outside),
		cmocka_unit_test(test_bugs_abort),
	};

	return cmocka_run_group_tests_name("co", tests, NULL, NULL);
}
