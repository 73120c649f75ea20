/* Tests of arena.c: alignment, the cap, marks, and that memory is zeroed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/arena.h"
#include "base/err.h"

static void test_alloc(void **state)
{
	struct arena a;
	char *ps[200];

	(void)state;
	arena_init(&a, 1 << 20);
	for (size_t i = 0; i < 200; i++) {
		ps[i] = arena_alloc(&a, i);
		assert_non_null(ps[i]);
		assert_int_equal((uintptr_t)ps[i] % 16, 0);
		for (size_t k = 0; k < i; k++) {
			assert_int_equal(ps[i][k], 0);
		}
		memset(ps[i], (int)i, i);
	}
	for (size_t i = 0; i < 200; i++) {
		for (size_t k = 0; k < i; k++) {
			assert_int_equal((unsigned char)ps[i][k], i);
		}
	}
	assert_int_equal(arena_err(&a), 0);
	arena_fini(&a);
	assert_int_equal(a.used, 0);
}

static void test_cap(void **state)
{
	struct arena a;

	(void)state;
	arena_init(&a, 64);
	assert_non_null(arena_alloc(&a, 48));
	assert_null(arena_alloc(&a, 17));
	assert_int_equal(arena_err(&a), -EMSGSIZE);
	assert_null(arena_alloc(&a, 1)); /* would fit, but the error sticks */
	assert_int_equal(arena_dup(&a, S("x")).n, 0);
	assert_int_equal(arena_printf(&a, "%d", 1).n, 0);
	assert_null(arena_strdup(&a, S("")));
	arena_fini(&a);
	assert_int_equal(arena_err(&a), 0);
	assert_non_null(arena_alloc(&a, 64)); /* exactly the cap */
	assert_null(arena_alloc(&a, 0));
	arena_fini(&a);
}

static void test_overflow(void **state)
{
	struct arena a;

	(void)state;
	arena_init(&a, SIZE_MAX);
	assert_null(arena_array(&a, SIZE_MAX / 2, 3));
	assert_int_equal(arena_err(&a), -EMSGSIZE);
	arena_fini(&a);
	assert_null(arena_alloc(&a, SIZE_MAX - 3)); /* rounding up would wrap */
	assert_int_equal(arena_err(&a), -EMSGSIZE);
	arena_fini(&a);
	uint64_t *v = arena_array(&a, 10, sizeof(*v));
	assert_non_null(v);
	assert_int_equal(v[9], 0);
	arena_fini(&a);
}

static void test_mark(void **state)
{
	struct arena a;
	struct arena_mark empty, m;

	(void)state;
	arena_init(&a, 4096);
	empty = arena_mark(&a);
	char *keep = arena_strdup(&a, S("keep"));
	size_t used = a.used;
	m = arena_mark(&a);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 20; i++) {
			memset(arena_alloc(&a, 100), 0xaa, 100);
		}
		assert_null(arena_alloc(&a, 4096));
		arena_reset(&a, m);
		assert_int_equal(a.used, used);
		assert_int_equal(arena_err(&a), 0);
	}
	/* What is handed out again is zero again. */
	assert_int_equal(*(char *)arena_alloc(&a, 1), 0);
	assert_string_equal(keep, "keep");
	arena_reset(&a, empty);
	assert_int_equal(a.used, 0);
	assert_null(a.head);
	arena_fini(&a);
}

static void test_text(void **state)
{
	struct arena a;

	(void)state;
	arena_init(&a, 10000);
	struct slice s = arena_dup(&a, S("a\0b"));
	assert_true(slice_eq(s, S("a\0b")));
	assert_int_equal(s.p[3], '\0');
	assert_string_equal(arena_strdup(&a, slice_make(NULL, 0)), "");
	s = arena_printf(&a, "%s-%d", "x", 42);
	assert_true(slice_eq(s, S("x-42")));
	assert_int_equal(arena_printf(&a, "%5000s", "").n, 5000);
	assert_int_equal(arena_printf(&a, "%5000s", "").n, 0);
	assert_int_equal(arena_err(&a), -EMSGSIZE);
	arena_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_alloc),	 cmocka_unit_test(test_cap),
		cmocka_unit_test(test_overflow), cmocka_unit_test(test_mark),
		cmocka_unit_test(test_text),
	};

	return cmocka_run_group_tests_name("base/arena", tests, NULL, NULL);
}
