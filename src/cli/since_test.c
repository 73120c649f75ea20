/* --since: what is a moment, and what is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <cmocka.h>

#include "base/err.h"
#include "cli/since.h"

#define NOW INT64_C(1767323045000) /* 2026-01-02 03:04:05 */

static void test_moments(void **state)
{
	static const struct {
		const char *text;
		int64_t ms;
	} good[] = {
		{ "90s", NOW - 90000 },
		{ "30m", NOW - 1800000 },
		{ "2h", NOW - 7200000 },
		{ "7d", NOW - 7 * INT64_C(86400000) },
		{ "0d", NOW },
		{ "2026-01-02", NOW - 11045000 },
		{ "2026-01-02T03:04", NOW - 5000 },
		{ "2026-01-02 03:04:05", NOW },
		{ "2026-01-02T03:04:05Z", NOW },
		{ "2024-02-29", INT64_C(1709164800000) },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		int64_t got = -1;

		assert_int_equal(cli_since_parse(slice_cstr(good[i].text), NOW, &got), 0);
		assert_int_equal(got, good[i].ms);
	}
}

static void test_others(void **state)
{
	static const char *const bad[] = {
		"",
		"7",
		"d",
		"-7d",
		"7w",
		"7d ",
		"99999999999999999999d",
		"36501d",
		"yesterday",
		"2026",
		"2026-13-01",
		"2026-02-30",
		"2026-00-01",
		"2026-01-00",
		"2025-02-29",
		"2026-01-02T",
		"2026-01-02T3:04",
		"2026-01-02T24:00",
		"2026-01-02T03:60",
		"2026-01-02T03:04:60",
		"2026-01-02T03:04:05+01",
		"1969-12-31",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		int64_t got = -1;

		assert_int_equal(cli_since_parse(slice_cstr(bad[i]), NOW, &got), -EINVAL);
		assert_int_equal(got, -1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_moments),
		cmocka_unit_test(test_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
