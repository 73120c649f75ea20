/* Tests of clock.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>
#include <cmocka.h>

#include "base/clock.h"

static void test_mono(void **state)
{
	int64_t a = clock_mono();
	int64_t b = clock_mono();

	(void)state;
	assert_true(a > 0 && b >= a);
	assert_true(clock_in_ms(-1) == CLOCK_NEVER);
	assert_true(clock_in_ms(INT64_MAX) == CLOCK_NEVER);
	assert_true(clock_in_ms(INT64_MAX / NSEC_PER_MSEC) == CLOCK_NEVER);
	a = clock_mono();
	int64_t in = clock_in_ms(1000);
	assert_true(in >= a + NSEC_PER_SEC && in <= clock_mono() + NSEC_PER_SEC);
}

static void test_wall(void **state)
{
	int64_t before = time(NULL);

	(void)state;
	assert_true(clock_wall() >= before && clock_wall() <= before + 5);
	clock_pin_wall(86400);
	assert_true(clock_wall() == 86400);
	assert_true(clock_wall_ms() == 86400000);
	clock_pin_wall(0);
	assert_true(clock_wall() >= before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mono),
		cmocka_unit_test(test_wall),
	};

	return cmocka_run_group_tests_name("base/clock", tests, NULL, NULL);
}
