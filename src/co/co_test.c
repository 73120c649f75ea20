/*
 * The runtime, held to its contract: every state a coroutine can be in when
 * something happens to it, other threads, memory, and limits. Built twice,
 * for the assembly and for the ucontext backend. Torture builds
 * (YIELD_ALWAYS) run the same tests, so none may depend on exact turns other
 * than those co.h promises.
 */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "co/co.h"
#include "co/stack.h"

static int64_t ms_since(int64_t t)
{
	return (clock_mono() - t) / NSEC_PER_MSEC;
}

/* Runs fn(arg) as the first coroutine of a fresh loop; it ends the loop. */
struct first {
	void (*fn)(void *arg);
	void *arg;
};

static void first_body(void *arg)
{
	struct first *f = arg;

	f->fn(f->arg);
	co_loop_stop(co_loop_self());
}

static void run_loop(void (*fn)(void *arg), void *arg)
{
	struct first f = { fn, arg };
	struct co_loop *l = NULL;

	assert_int_equal(co_loop_new(&l), 0);
	assert_ptr_equal(co_loop_self(), l);
	assert_int_equal(co_spawn("first", first_body, &f, NULL), 0);
	assert_int_equal(co_loop_run(l), 0);
	assert_int_equal(co_loop_count(l), 0);
	co_loop_free(&l);
	assert_null(l);
	assert_null(co_loop_self());
}

/* True if fn(arg) in a child process ends by the signal. */
static bool dies_by(int sig, void (*fn)(void *arg), void *arg)
{
	int status = 0;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		int null = open("/dev/null", O_WRONLY);
		struct rlimit no_core = { 0, 0 };

		setrlimit(RLIMIT_CORE, &no_core);
		dup2(null, 2);
		signal(SIGSEGV, SIG_DFL);
		signal(SIGBUS, SIG_DFL);
		signal(SIGABRT, SIG_DFL);
		fn(arg);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) && WTERMSIG(status) == sig;
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
	run_loop(spawn_and_join, &t);
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
	run_loop(joiner_is_cancelled, NULL);
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
		struct victim v = { .wait = kinds[i % ARRAY_LEN(kinds)],
				    .result = 1 };
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
	run_loop(cancel_states, NULL);
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
	run_loop(cancel_ended, NULL);
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
	run_loop(spawn_then_stop, &s);
	assert_int_equal(s.started, 100);
	assert_int_equal(s.cancelled, 100);
	assert_int_equal(s.spawn_result, -ESHUTDOWN);
}

static void test_loop_runs_again(void **state)
{
	struct trace t = { 0 };
	struct first f = { spawn_and_join, &t };
	struct co_loop *l = NULL;

	(void)state;
	assert_int_equal(co_loop_new(&l), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(co_spawn("first", first_body, &f, NULL), 0);
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
	run_loop(timers_in_order, &t);
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
	run_loop(many_timers, NULL);
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
	run_loop(events, NULL);
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
	run_loop(bell_wakes_all, NULL);
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
	run_loop(descriptors, NULL);
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
	run_loop(fd_del_wakes, NULL);
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
	run_loop(mutex_fair, NULL);
}

/* ---- other threads -------------------------------------------------------------------- */

#define POSTERS 4
#define POSTS 5000

struct poster {
	struct co_loop *loop;
	struct co_post post[POSTS];
	size_t *ran;
	size_t next; /* posts of one thread run in order */
	pthread_t thread;
};

struct post_arg {
	struct poster *poster;
	size_t i;
};

static struct post_arg post_args[POSTERS][POSTS];

static void post_ran(void *arg)
{
	struct post_arg *a = arg;

	assert_null(co_self());
	assert_int_equal(a->i, a->poster->next);
	a->poster->next++;
	++*a->poster->ran;
}

static void *poster_main(void *arg)
{
	struct poster *p = arg;

	for (size_t i = 0; i < POSTS; i++) {
		co_post(p->loop, &p->post[i]);
	}
	return NULL;
}

static void posts(void *arg)
{
	struct poster *p = calloc(POSTERS, sizeof(*p));
	size_t ran = 0;
	int64_t t = clock_mono();

	(void)arg;
	co_enter();
	assert_non_null(p);
	for (size_t k = 0; k < POSTERS; k++) {
		p[k].loop = co_loop_self();
		p[k].ran = &ran;
		for (size_t i = 0; i < POSTS; i++) {
			post_args[k][i] = (struct post_arg){ &p[k], i };
			p[k].post[i].fn = post_ran;
			p[k].post[i].arg = &post_args[k][i];
		}
		assert_int_equal(pthread_create(&p[k].thread, NULL, poster_main,
						&p[k]), 0);
	}
	while (ran < POSTERS * POSTS && ms_since(t) < 20000) {
		assert_int_equal(co_sleep(1), 0);
	}
	assert_int_equal(ran, POSTERS * POSTS);
	for (size_t k = 0; k < POSTERS; k++) {
		pthread_join(p[k].thread, NULL);
	}
	free(p);
}

static void test_posts(void **state)
{
	(void)state;
	run_loop(posts, NULL);
}

static void *fire_later(void *arg)
{
	usleep(3000);
	co_signal_fire(arg);
	return NULL;
}

static void signal_from_thread(void *arg)
{
	struct co_signal s;
	pthread_t t;

	(void)arg;
	co_enter();
	co_signal_init(&s);
	assert_int_equal(pthread_create(&t, NULL, fire_later, &s), 0);
	assert_int_equal(co_signal_wait(&s), 0);
	pthread_join(t, NULL);
}

static void test_signal(void **state)
{
	(void)state;
	run_loop(signal_from_thread, NULL);
	signal_from_thread(NULL); /* outside a coroutine it blocks the thread */
}

struct job {
	int in;
	pthread_t ran_on;
	struct co *self;
};

static int job_square(void *arg)
{
	struct job *j = arg;

	j->ran_on = pthread_self();
	j->self = co_self();
	return j->in * j->in;
}

static void offload_body(void *arg)
{
	struct job *j = arg;

	co_enter();
	assert_int_equal(co_offload(job_square, j), j->in * j->in);
	assert_false(pthread_equal(j->ran_on, pthread_self()));
	assert_null(j->self);
}

static int job_slow(void *arg)
{
	usleep(20000);
	*(bool *)arg = true;
	return 7;
}

static void offload_cancelled(void *arg)
{
	bool done = false;

	*(int *)arg = -1;
	co_enter();
	assert_int_equal(co_offload(job_slow, &done), 7);
	assert_true(done); /* cancellation did not cut it short */
	assert_true(co_cancelled());
	/* And the work still runs when cancelled before. */
	done = false;
	assert_int_equal(co_offload(job_slow, &done), 7);
	assert_true(done);
	*(int *)arg = 1;
}

static void offloads(void *arg)
{
	struct job j[100];
	struct co *c[100];
	struct co *slow = NULL;
	int fine = 0;

	(void)arg;
	co_enter();
	for (int i = 0; i < 100; i++) {
		j[i].in = i;
		assert_int_equal(co_spawn("o", offload_body, &j[i], &c[i]), 0);
	}
	for (int i = 0; i < 100; i++) {
		assert_int_equal(co_join(&c[i]), 0);
	}
	assert_int_equal(co_spawn("slow", offload_cancelled, &fine, &slow), 0);
	assert_int_equal(co_sleep(3), 0);
	co_finish(&slow);
	assert_int_equal(fine, 1);
}

static void test_offload(void **state)
{
	struct job j = { .in = 9 };

	(void)state;
	co_enter();
	assert_int_equal(co_offload(job_square, &j), 81); /* inline */
	assert_true(pthread_equal(j.ran_on, pthread_self()));
	assert_int_equal(co_pool_start(3, 0), 0);
	assert_int_equal(co_offload(job_square, &j), 81); /* still inline */
	assert_true(pthread_equal(j.ran_on, pthread_self()));
	run_loop(offloads, NULL);
	co_pool_stop();
	co_pool_stop();
}

struct flood {
	int done;
	int refused;
};

static void flood_body(void *arg)
{
	struct flood *f = arg;
	bool done = false;
	int r;

	co_enter();
	r = co_offload(job_slow, &done);
	assert_true(r == 7 || r == -EAGAIN);
	f->done += r == 7;
	f->refused += r == -EAGAIN;
}

static void flood(void *arg)
{
	for (int i = 0; i < 10; i++) {
		assert_int_equal(co_spawn("f", flood_body, arg, NULL), 0);
	}
	co_enter();
	while (co_loop_count(co_loop_self()) > 1) {
		assert_int_equal(co_sleep(1), 0);
	}
}

static void test_offload_full(void **state)
{
	struct flood f = { 0, 0 };

	(void)state;
	assert_int_equal(co_pool_start(1, 2), 0);
	run_loop(flood, &f);
	assert_int_equal(f.done + f.refused, 10);
	assert_in_range(f.done, 2, 3);
	co_pool_stop();
}

/* ---- calls between loops ------------------------------------------------------------------ */

struct other {
	pthread_t thread;
	struct co_loop *loop;
	struct co_signal up;
};

static void other_keeper(void *arg)
{
	(void)arg;
	co_enter();
	while (co_sleep(60 * 1000) == 0) {
	}
}

static void *other_main(void *arg)
{
	struct other *o = arg;
	struct co_loop *l = NULL;

	assert_int_equal(co_loop_new(&l), 0);
	assert_int_equal(co_spawn("keeper", other_keeper, NULL, NULL), 0);
	o->loop = l;
	co_signal_fire(&o->up);
	co_loop_run(l);
	co_signal_fire(&o->up);
	return NULL;
}

static void other_start(struct other *o)
{
	co_enter();
	co_signal_init(&o->up);
	assert_int_equal(pthread_create(&o->thread, NULL, other_main, o), 0);
	co_signal_wait(&o->up);
	co_signal_init(&o->up);
}

struct visit {
	struct co_loop *home;
	struct co_loop *away;
	int64_t sleep_ms;
	int result;
};

static int come_back(void *arg)
{
	struct visit *v = arg;

	assert_ptr_equal(co_loop_self(), v->home);
	return 5;
}

static int go_there(void *arg)
{
	struct visit *v = arg;
	int r;

	co_enter();
	assert_ptr_equal(co_loop_self(), v->away);
	assert_non_null(co_self());
	r = co_sleep(v->sleep_ms);
	if (r < 0) {
		return r;
	}
	/* And a call back while the first loop's coroutine waits. */
	return co_call(v->home, come_back, v) + 37;
}

static void visit_body(void *arg)
{
	struct visit *v = arg;

	co_enter();
	v->result = co_call(v->away, go_there, v);
}

static int inline_call(void *arg)
{
	return arg == NULL ? 3 : 4;
}

static void calls(void *arg)
{
	struct other o;
	struct visit v[50];
	struct co *c[50];

	(void)arg;
	co_enter();
	assert_int_equal(co_call(NULL, inline_call, NULL), 3);
	assert_int_equal(co_call(co_loop_self(), inline_call, arg), 3);
	other_start(&o);
	for (int i = 0; i < 50; i++) {
		v[i] = (struct visit){ co_loop_self(), o.loop, i % 3, 0 };
		assert_int_equal(co_spawn("v", visit_body, &v[i], &c[i]), 0);
	}
	for (int i = 0; i < 50; i++) {
		assert_int_equal(co_join(&c[i]), 0);
		assert_int_equal(v[i].result, 42);
	}
	/* Stopping over there reaches the caller as the other's cancellation. */
	v[0].sleep_ms = 60 * 1000;
	assert_int_equal(co_spawn("v", visit_body, &v[0], &c[0]), 0);
	assert_int_equal(co_sleep(5), 0);
	co_loop_stop(o.loop);
	assert_int_equal(co_join(&c[0]), 0);
	assert_int_equal(v[0].result, -ECANCELED);
	/* After its end nothing runs there any more. */
	co_signal_wait(&o.up);
	assert_int_equal(co_call(o.loop, go_there, &v[0]), -ESHUTDOWN);
	pthread_join(o.thread, NULL);
	co_loop_free(&o.loop);
}

static void test_calls(void **state)
{
	(void)state;
	run_loop(calls, NULL);
}

/* ---- outside a coroutine -------------------------------------------------------------------- */

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
	run_loop(wait_in_noyield, arg);
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
	assert_true(dies_by(SIGABRT, wait_in_noyield, NULL));
	assert_true(dies_by(SIGABRT, run_wait_in_noyield, NULL));
	assert_true(dies_by(SIGABRT, lock_twice_outside, NULL));
	co_noyield_enter();
	co_noyield_enter();
	co_noyield_leave();
	co_noyield_leave();
}

/* ---- stacks ------------------------------------------------------------------------------------ */

/* Fills n bytes of stack from the top down; the asm hides that it is idle. */
static unsigned __attribute__((noinline)) dig(size_t n)
{
	unsigned char page[2048];

	memset(page, 1, sizeof(page));
	__asm__ volatile("" : : "r"(page) : "memory");
	if (n <= sizeof(page)) {
		return page[0];
	}
	return dig(n - sizeof(page)) + page[7];
}

static void dig_body(void *arg)
{
	assert_true(dig(*(size_t *)arg) > 0);
}

static void overflow(void *arg)
{
	size_t much = (size_t)16 << 20;

	(void)arg;
	dig_body(&much);
}

static void run_overflow(void *arg)
{
	run_loop(overflow, arg);
}

static void run_overflow_mprotect(void *arg)
{
	co_stack_no_guard_install = true;
	run_loop(overflow, arg);
}

static void test_guard_faults(void **state)
{
	(void)state;
#ifdef WITH_SANITIZER
	skip(); /* the sanitizer reports it in its own way */
#endif
	assert_true(dies_by(SIGSEGV, run_overflow, NULL));
	assert_true(dies_by(SIGSEGV, run_overflow_mprotect, NULL));
}

static void depth(void *arg)
{
	size_t deep = co_stack_size - 12 * 1024;
	struct co *c = NULL;

	(void)arg;
#ifdef WITH_SANITIZER
	deep = 40 * 1024; /* frames are bigger there */
#endif
	co_enter();
	assert_int_equal(co_spawn("deep", dig_body, &deep, &c), 0);
	assert_int_equal(co_join(&c), 0);
	assert_true(co_stack_high_water() <= co_stack_size);
	assert_true(co_stack_high_water() >= 32 * 1024);
	co_stack_trim();
	assert_int_equal(co_yield(), 0);
}

static void test_depth_and_high_water(void **state)
{
	(void)state;
	run_loop(depth, NULL);
}

struct reuse {
	char *addr[300];
	size_t n;
};

static void reuse_body(void *arg)
{
	struct reuse *r = arg;

	r->addr[r->n++] = __builtin_frame_address(0);
}

static void stacks_are_reused(void *arg)
{
	struct reuse r = { .n = 0 };
	struct co *c = NULL;

	(void)arg;
	co_enter();
	for (int i = 0; i < 300; i++) {
		assert_int_equal(co_spawn("r", reuse_body, &r, &c), 0);
		assert_int_equal(co_join(&c), 0);
	}
	for (int i = 1; i < 300; i++) {
		assert_ptr_equal(r.addr[i], r.addr[0]);
	}
}

static void test_stack_reuse(void **state)
{
	(void)state;
	run_loop(stacks_are_reused, NULL);
}

static void trims(void *arg)
{
	size_t deep = 40 * 1024;
	volatile char here[64];

	(void)arg;
	memset((char *)here, 'h', sizeof(here));
	dig_body(&deep);
	co_stack_trim();
	for (size_t i = 0; i < sizeof(here); i++) {
		assert_int_equal(here[i], 'h');
	}
	dig_body(&deep);
}

static void test_trim(void **state)
{
	(void)state;
	run_loop(trims, NULL);
}

#ifdef WITH_SANITIZER
#define MANY 2000
#else
#define MANY 20000
#endif

struct crowd {
	struct co_event go;
	size_t arrived;
	size_t left;
};

static void crowd_body(void *arg)
{
	struct crowd *w = arg;

	co_enter();
	w->arrived++;
	assert_int_equal(co_event_wait(&w->go, clock_in_ms(600 * 1000)), 0);
	w->left++;
}

static void crowd(void *arg)
{
	struct crowd w = { .arrived = 0 };

	(void)arg;
	co_enter();
	co_event_init(&w.go);
	for (size_t i = 0; i < MANY; i++) {
		assert_int_equal(co_spawn("crowd", crowd_body, &w, NULL), 0);
	}
	while (w.arrived < MANY) {
		assert_int_equal(co_yield(), 0);
	}
	assert_int_equal(co_loop_count(co_loop_self()), MANY + 1);
	co_event_set(&w.go);
	while (w.left < MANY) {
		assert_int_equal(co_yield(), 0);
	}
}

static void test_many_coroutines(void **state)
{
	(void)state;
	run_loop(crowd, NULL);
}

static void spawn_to_the_limit(void *arg)
{
	size_t n = 0;
	size_t max = *(size_t *)arg;
	int r;

	co_enter();
	do {
		r = co_spawn("sleeper", other_keeper, NULL, NULL);
		n += r == 0;
	} while (r == 0 && n < max);
	if (r != -ENOMEM || n < 10) {
		_exit(3);
	}
	/* What is there still works, and room made is room again. */
	co_loop_stop(co_loop_self());
}

static void run_out_of_space(void *arg)
{
	struct rlimit lim = { (rlim_t)512 << 20, (rlim_t)512 << 20 };
	size_t max = 1000000;

	(void)arg;
	setrlimit(RLIMIT_AS, &lim);
	run_loop(spawn_to_the_limit, &max);
	raise(SIGUSR1); /* says: got to the end */
}

/* mprotect guards split mappings until vm.max_map_count is reached. */
static void run_out_of_maps(void *arg)
{
	size_t max = 1000000;

	(void)arg;
	co_stack_no_guard_install = true;
	run_loop(spawn_to_the_limit, &max);
	raise(SIGUSR1);
}

static void test_exhaustion(void **state)
{
	(void)state;
#ifdef WITH_SANITIZER
	skip(); /* their own memory does not live with such limits */
#endif
	assert_true(dies_by(SIGUSR1, run_out_of_space, NULL));
	assert_true(dies_by(SIGUSR1, run_out_of_maps, NULL));
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
	run_loop(busy, NULL);
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
	run_loop(floats, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_outside),
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
		cmocka_unit_test(test_posts),
		cmocka_unit_test(test_signal),
		cmocka_unit_test(test_offload),
		cmocka_unit_test(test_offload_full),
		cmocka_unit_test(test_calls),
		cmocka_unit_test(test_bugs_abort),
		cmocka_unit_test(test_guard_faults),
		cmocka_unit_test(test_depth_and_high_water),
		cmocka_unit_test(test_stack_reuse),
		cmocka_unit_test(test_trim),
		cmocka_unit_test(test_many_coroutines),
		cmocka_unit_test(test_exhaustion),
		cmocka_unit_test(test_fairness),
		cmocka_unit_test(test_floats),
	};

	signal(SIGPIPE, SIG_IGN);
	/* A longjmp out of a coroutine would confuse the sanitizers. */
	setenv("CMOCKA_TEST_ABORT", "1", 1);
	return cmocka_run_group_tests_name("co", tests, NULL, NULL);
}
