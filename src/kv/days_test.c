/* Days: made before their rows, counted with them, and gone as a whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/err.h"
#include "kv/days.h"

#define KIND 't'
#define DAYS_MAX 4
#define MANY 5000 /* rows: more than are removed at once */

struct env {
	struct kv *kv;
	struct kv_days d;
};

static int setup(void **state)
{
	static struct env env;

	assert_int_equal(kv_mem_open(&env.kv), 0);
	kv_days_init(&env.d, env.kv, KIND, DAYS_MAX);
	*state = &env;
	return 0;
}

static int teardown(void **state)
{
	struct env *env = *state;

	kv_days_fini(&env->d);
	kv_close(&env->kv);
	return 0;
}

/* The day, with so many rows and its counters. */
static void fill(struct env *env, uint32_t day, unsigned rows, uint64_t count)
{
	struct kv_day after = { .day = day, .count = { rows, count, count * 2 } };
	struct kv_batch *b = kv_batch_new(kv_days_part(&env->d, day));

	co_enter();
	assert_non_null(b);
	for (unsigned i = 0; i < rows; i++) {
		char key[16];
		int n = snprintf(key, sizeof(key), "R%08u", i);

		kv_batch_put(b, slice_make(key, (size_t)n), S("v"));
	}
	assert_int_equal(kv_days_make(&env->d, day), 0);
	assert_int_equal(kv_days_commit(&env->d, b, &after), 0);
	kv_batch_free(&b);
}

static int count_row(void *arg, struct slice key, struct slice value)
{
	(void)key;
	(void)value;
	++*(unsigned *)arg;
	return 0;
}

static unsigned rows_of(struct env *env, struct kv_part part)
{
	unsigned n = 0;

	co_enter();
	assert_true(kv_scan(env->kv, part, S("\0"), S(""), count_row, &n) >= 0);
	return n;
}

/* As after a restart. */
static int reload(struct env *env)
{
	co_enter();
	kv_days_fini(&env->d);
	kv_days_init(&env->d, env->kv, KIND, DAYS_MAX);
	return kv_days_load(&env->d);
}

static void put_root(struct env *env, struct slice key, struct slice value)
{
	struct kv_batch *b = kv_batch_new(kv_days_root(&env->d));

	co_enter();
	kv_batch_put(b, key, value);
	assert_int_equal(kv_commit(env->kv, &b, 1), 0);
	kv_batch_free(&b);
}

static void test_order(void **state)
{
	static const uint32_t days[] = { 30, 10, 20 };
	struct env *env = *state;

	for (size_t i = 0; i < ARRAY_LEN(days); i++) {
		fill(env, days[i], 1, days[i]);
	}
	assert_int_equal(reload(env), 0);
	assert_int_equal(env->d.n, 3);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(env->d.v[i].day, 10 * (i + 1));
		assert_int_equal(env->d.v[i].count[1], 10 * (i + 1));
	}
	assert_int_equal(kv_days_sum(&env->d, 0), 3);
	assert_int_equal(kv_days_sum(&env->d, 2), 120);
	assert_null(kv_days_get(&env->d, 15));
	assert_int_equal(kv_days_get(&env->d, 20)->count[2], 40);
}

/* A day that is there keeps its counters; there cannot be more than the most. */
static void test_make(void **state)
{
	struct env *env = *state;

	co_enter();
	fill(env, 1, 0, 7);
	assert_int_equal(kv_days_make(&env->d, 1), 0);
	assert_int_equal(kv_days_get(&env->d, 1)->count[1], 7);
	for (uint32_t day = 2; day <= DAYS_MAX; day++) {
		assert_int_equal(kv_days_make(&env->d, day), 0);
	}
	assert_int_equal(kv_days_make(&env->d, 9), -ENOSPC);
	assert_int_equal(rows_of(env, kv_days_root(&env->d)), DAYS_MAX);
}

static void test_remove(void **state)
{
	struct env *env = *state;

	co_enter();
	fill(env, 5, MANY, 1);
	fill(env, 6, 3, 1);
	assert_int_equal(rows_of(env, kv_days_part(&env->d, 5)), MANY);
	assert_int_equal(kv_days_remove_first(&env->d), 0);
	assert_int_equal(rows_of(env, kv_days_part(&env->d, 5)), 0);
	assert_int_equal(rows_of(env, kv_days_part(&env->d, 6)), 3);
	assert_int_equal(env->d.n, 1);
	assert_int_equal(reload(env), 0);
	assert_int_equal(env->d.n, 1);
	assert_int_equal(env->d.v[0].day, 6);
	assert_int_equal(kv_days_remove_first(&env->d), 0);
	assert_int_equal(kv_days_remove_first(&env->d), 0); /* none is left */
	assert_int_equal(rows_of(env, kv_days_root(&env->d)), 0);
}

/* Damage costs counters, not the start, and the day still ends. */
static void test_damage(void **state)
{
	struct env *env = *state;

	fill(env, 3, 2, 9);
	put_root(env, S("D\0\0\0\3"), S("\1\5\xff\xff"));
	put_root(env, S("D\0\0"), S("\1\1\1\1"));
	assert_int_equal(reload(env), 0);
	assert_int_equal(env->d.n, 1);
	assert_int_equal(kv_days_sum(&env->d, 1), 0);
	co_enter();
	assert_int_equal(kv_days_remove_first(&env->d), 0);
	assert_int_equal(rows_of(env, kv_days_part(&env->d, 3)), 0);
	put_root(env, S("D\0\0\0\4"), S("\2"));
	assert_int_equal(reload(env), -EPROTO);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = { T(test_order), T(test_make), T(test_remove),
					    T(test_damage) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
