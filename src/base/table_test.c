/* Tests of table.c: both kinds of keys, tombstones, walking with deletion. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/table.h"

static void test_basics(void **state)
{
	struct table t;
	int one = 1, two = 2;
	void *old = &one;

	(void)state;
	table_init(&t);
	assert_null(table_get(&t, S("a")));
	assert_null(table_del(&t, S("a")));
	assert_int_equal(table_put(&t, S("a"), &one, &old), 0);
	assert_null(old);
	assert_int_equal(table_put(&t, S(""), &two, NULL), 0);
	assert_ptr_equal(table_get(&t, S("a")), &one);
	assert_ptr_equal(table_get(&t, slice_make(NULL, 0)), &two);
	assert_int_equal(t.n, 2);
	assert_int_equal(table_put(&t, S("a"), &two, &old), 0);
	assert_ptr_equal(old, &one);
	assert_int_equal(t.n, 2);
	assert_ptr_equal(table_del(&t, S("a")), &two);
	assert_null(table_get(&t, S("a")));
	assert_int_equal(t.n, 1);
	table_fini(&t);
	assert_null(table_get(&t, S("")));
}

/* Replacing takes over the new value's key bytes; the old ones may go. */
static void test_key_owner(void **state)
{
	struct table t;
	char k1[] = "key", k2[] = "key";
	int one = 1, two = 2;

	(void)state;
	table_init(&t);
	assert_int_equal(table_put(&t, slice_cstr(k1), &one, NULL), 0);
	assert_int_equal(table_put(&t, slice_cstr(k2), &two, NULL), 0);
	memset(k1, 'x', 3);
	assert_ptr_equal(table_get(&t, S("key")), &two);
	table_fini(&t);
}

static void test_numbers_apart(void **state)
{
	struct table t;
	int a = 1, b = 2;
	uint64_t key = 5;

	(void)state;
	table_init(&t);
	assert_int_equal(table_put_u64(&t, key, &a, NULL), 0);
	assert_int_equal(table_put(&t, slice_make((char *)&key, 8), &b, NULL), 0);
	assert_ptr_equal(table_get_u64(&t, 5), &a);
	assert_ptr_equal(table_get(&t, slice_make((char *)&key, 8)), &b);
	assert_null(table_get_u64(&t, 8));
	assert_ptr_equal(table_del_u64(&t, 5), &a);
	assert_null(table_del_u64(&t, 5));
	assert_int_equal(t.n, 1);
	table_fini(&t);
}

#define MANY 20000

static void test_many(void **state)
{
	static char keys[MANY][12];
	struct table t;
	size_t it = 0, seen = 0;

	(void)state;
	table_init(&t);
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(keys[i], sizeof(keys[i]), "k%u", i);
		assert_int_equal(table_put(&t, slice_cstr(keys[i]), keys[i], NULL), 0);
	}
	assert_int_equal(t.n, MANY);
	for (unsigned i = 0; i < MANY; i += 2) {
		assert_ptr_equal(table_del(&t, slice_cstr(keys[i])), keys[i]);
	}
	for (unsigned i = 0; i < MANY; i++) {
		assert_ptr_equal(table_get(&t, slice_cstr(keys[i])), i % 2 ? keys[i] : NULL);
	}
	while (table_next(&t, &it)) {
		seen++;
	}
	assert_int_equal(seen, MANY / 2);
	table_fini(&t);
}

/* A queue's life: as many deletions as insertions must not grow it. */
static void test_churn(void **state)
{
	struct table t;
	int v = 0;

	(void)state;
	table_init(&t);
	for (uint64_t i = 0; i < 100000; i++) {
		assert_int_equal(table_put_u64(&t, i, &v, NULL), 0);
		if (i >= 10) {
			assert_ptr_equal(table_del_u64(&t, i - 10), &v);
		}
	}
	assert_int_equal(t.n, 10);
	assert_true(t.cap <= 64);
	table_fini(&t);
}

static void test_walk_delete(void **state)
{
	struct table t;
	static uint64_t keys[500];
	size_t it = 0, seen = 0;
	uint64_t *k;

	(void)state;
	table_init(&t);
	assert_null(table_next(&t, &it));
	for (uint64_t i = 0; i < 500; i++) {
		keys[i] = i;
		assert_int_equal(table_put_u64(&t, i, &keys[i], NULL), 0);
	}
	it = 0;
	while ((k = table_next(&t, &it))) {
		assert_ptr_equal(table_del_u64(&t, *k), k);
		seen++;
	}
	assert_int_equal(seen, 500);
	assert_int_equal(t.n, 0);
	table_fini(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_basics),	      cmocka_unit_test(test_key_owner),
		cmocka_unit_test(test_numbers_apart), cmocka_unit_test(test_many),
		cmocka_unit_test(test_churn),	      cmocka_unit_test(test_walk_delete),
	};

	return cmocka_run_group_tests_name("base/table", tests, NULL, NULL);
}
