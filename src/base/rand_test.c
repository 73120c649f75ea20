/* Tests of rand.c: only what a working source never fails (odds below 2^-100). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "base/rand.h"

static void test_bytes(void **state)
{
	unsigned char a[600] = { 0 }, b[600] = { 0 };
	unsigned seen[256] = { 0 };
	unsigned kinds = 0;

	(void)state;
	rand_bytes(a, sizeof(a)); /* more than getrandom gives unbroken */
	rand_bytes(b, sizeof(b));
	assert_memory_not_equal(a, b, sizeof(a));
	assert_memory_not_equal(a, a + 300, 300);
	for (size_t i = 0; i < sizeof(a); i++) {
		kinds += seen[a[i]]++ == 0;
	}
	assert_true(kinds > 64);
	rand_bytes(a, 0);
	assert_true(rand_u64() != rand_u64() || rand_u64() != rand_u64());
}

static void test_text(void **state)
{
	char s[2002];
	unsigned seen[256] = { 0 };
	unsigned kinds = 0;

	(void)state;
	s[2001] = '#';
	rand_text(s, 2000);
	assert_int_equal(strlen(s), 2000);
	assert_int_equal(s[2001], '#');
	for (size_t i = 0; i < 2000; i++) {
		assert_non_null(strchr("abcdefghjkmnpqrstuvwxyz23456789", s[i]));
		kinds += seen[(unsigned char)s[i]]++ == 0;
	}
	assert_int_equal(kinds, 31);
	rand_text(s, 0);
	assert_string_equal(s, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_text),
	};

	return cmocka_run_group_tests_name("base/rand", tests, NULL, NULL);
}
