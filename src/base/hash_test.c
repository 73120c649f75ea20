/* Tests of hash.c: the sums on disk are fixed for ever, so they stand here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/hash.h"

/* Values of XXH3-64 with seed 0, as `xxhsum -H3` prints them. */
static void test_sum_fixed(void **state)
{
	(void)state;
	assert_true(hash_sum64(S("")) == UINT64_C(0x2d06800538d394c2));
	assert_true(hash_sum64(slice_make(NULL, 0)) == UINT64_C(0x2d06800538d394c2));
	assert_true(hash_sum64(S("a")) == UINT64_C(0xe6c632b61e964e1f));
	assert_true(hash_sum64(S("abc")) == UINT64_C(0x78af5f94892f3950));
}

/* The same bytes in any pieces give the same sum. */
static void test_sum_pieces(void **state)
{
	char data[1000];
	struct hash_sum *h = hash_sum_new();

	(void)state;
	assert_non_null(h);
	for (size_t i = 0; i < sizeof(data); i++) {
		data[i] = (char)(i * 31);
	}
	uint64_t want = hash_sum64(slice_make(data, sizeof(data)));
	for (size_t step = 1; step <= sizeof(data); step += 37) {
		hash_sum_reset(h);
		for (size_t at = 0; at < sizeof(data); at += step) {
			hash_sum_add(h, slice_sub(slice_make(data, sizeof(data)), at, step));
			hash_sum_add(h, slice_make(NULL, 0));
		}
		assert_true(hash_sum_value(h) == want);
	}
	hash_sum_free(&h);
	assert_null(h);
	hash_sum_free(&h);
}

static void test_table_hash(void **state)
{
	(void)state;
	assert_true(hash_slice(S("x")) == hash_slice(S("x")));
	assert_true(hash_slice(S("x")) != hash_slice(S("y")));
	assert_true(hash_slice(S("x")) != hash_sum64(S("x"))); /* seeded */
	assert_true(hash_u64(1) == hash_u64(1) && hash_u64(1) != hash_u64(2));
	assert_true(hash_slice(slice_make(NULL, 0)) == hash_slice(S("")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sum_fixed),
		cmocka_unit_test(test_sum_pieces),
		cmocka_unit_test(test_table_hash),
	};

	return cmocka_run_group_tests_name("base/hash", tests, NULL, NULL);
}
