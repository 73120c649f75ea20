/*
 * In the background: records that end on other threads are written by the
 * writer, days that are over go by the keeper, and what waits at the end of the
 * loop is written on closing.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/clock.h"
#include "kv/kv.h"
#include "trace/trace.h"

#define DAY INT64_C(86400)
#define NOW (20000 * DAY + 3600)
#define THREADS 4
#define EACH 500
#define PATIENCE_MS (60 * 1000) /* of a machine that has other things to do */

static struct kv *kv;
static struct trace *t;
static struct co_loop *loop;

static void *make_records(void *arg)
{
	char id[32];

	for (unsigned i = 0; i < EACH; i++) {
		struct trace_record *r;

		snprintf(id, sizeof(id), "t%u.%u", *(unsigned *)arg, i);
		r = trace_begin(t, "smtp", slice_cstr(id));
		trace_index(r, TRACE_BY_ADDRESS, S("x@example.org"));
		trace_end(&r, "accepted", true);
	}
	return NULL;
}

static int count(void *arg, struct slice json)
{
	(void)json;
	++*(int *)arg;
	return 0;
}

/* Until so many are written, by nobody but the writer. */
CO_FN static uint64_t wait_written(uint64_t n)
{
	int64_t end = clock_in_ms(PATIENCE_MS);
	struct trace_stats st;

	do {
		co_sleep(5);
		trace_stats(t, &st);
	} while (st.written < n && clock_mono() < end);
	assert_int_equal(st.dropped, 0);
	return st.written;
}

CO_FN static void wait_records(uint64_t n)
{
	int64_t end = clock_in_ms(PATIENCE_MS);
	struct trace_stats st;

	do {
		co_sleep(5);
		trace_stats(t, &st);
	} while (st.records != n && clock_mono() < end);
	assert_int_equal(st.records, n);
}

static void end_one(const char *id)
{
	struct trace_record *r = trace_begin(t, "smtp", slice_cstr(id));

	trace_end(&r, "refused", false);
}

static void body(void *arg)
{
	struct trace_query q = { .by = TRACE_BY_ADDRESS, .what = S("x@example.org") };
	unsigned name[THREADS];
	pthread_t th[THREADS];
	int n = 0;

	(void)arg;
	co_enter();
	end_one("before.1"); /* the writer finds it when it begins */
	trace_start(t);
	assert_int_equal(wait_written(1), 1);
	for (unsigned i = 0; i < THREADS; i++) {
		name[i] = i;
		assert_int_equal(pthread_create(&th[i], NULL, make_records, &name[i]), 0);
	}
	assert_int_equal(wait_written(1 + THREADS * EACH), 1 + THREADS * EACH);
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(th[i], NULL);
	}
	assert_int_equal(trace_find(t, &q, count, &n, NULL), TRACE_FIND_MAX);
	assert_int_equal(n, TRACE_FIND_MAX);
	/* It was woken once; it is woken again. */
	end_one("again.1");
	wait_written(2 + THREADS * EACH);
	end_one("last.1"); /* nobody waits for this one */
	co_loop_stop(loop);
}

static void in_the_background(void **state)
{
	struct trace_query q = { .by = TRACE_BY_ID, .what = S("last.1") };
	struct trace_opts o = { .days = 30 };
	int n = 0;

	(void)state;
	co_enter();
	clock_pin_wall(NOW);
	assert_int_equal(kv_mem_open(&kv), 0);
	o.kv = kv;
	assert_int_equal(trace_open(&o, &t, NULL), 0);
	assert_int_equal(co_loop_new(&loop), 0);
	assert_int_equal(co_spawn("test", body, NULL, NULL), 0);
	co_loop_run(loop);
	co_loop_free(&loop);
	trace_close(&t);
	assert_int_equal(trace_open(&o, &t, NULL), 0);
	assert_int_equal(trace_find(t, &q, count, &n, NULL), 1);
}

static void expire(void *arg)
{
	(void)arg;
	co_enter();
	trace_start(t); /* its keeper looks at once */
	wait_records(0);
	co_loop_stop(loop);
}

static void the_keeper_looks(void **state)
{
	(void)state;
	co_enter();
	clock_pin_wall(NOW + 99 * DAY);
	assert_int_equal(co_loop_new(&loop), 0);
	assert_int_equal(co_spawn("test", expire, NULL, NULL), 0);
	co_loop_run(loop);
	co_loop_free(&loop);
	trace_close(&t);
	kv_close(&kv);
	clock_pin_wall(0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_the_background),
		cmocka_unit_test(the_keeper_looks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
