/*
 * The runtime and other threads: posts, signals, the offload pool, and calls
 * from loop to loop.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "co/test_loop.h"

static int64_t ms_since(int64_t t)
{
	return (clock_mono() - t) / NSEC_PER_MSEC;
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
		assert_int_equal(pthread_create(&p[k].thread, NULL, poster_main, &p[k]), 0);
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
	test_run_loop(posts, NULL);
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
	test_run_loop(signal_from_thread, NULL);
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
	test_run_loop(offloads, NULL);
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
	test_run_loop(flood, &f);
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
	test_run_loop(calls, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_posts),	cmocka_unit_test(test_signal),
		cmocka_unit_test(test_offload), cmocka_unit_test(test_offload_full),
		cmocka_unit_test(test_calls),
	};

	return cmocka_run_group_tests_name("co_threads", tests, NULL, NULL);
}
