/* Tests of date.c: the standard form, the obsolete ones, the wild, bounds. */
#include <errno.h>

#include "mime/test_util.h"

static const struct {
	const char *body;
	const char *want; /* printed again; NULL: not a date */
} cases[] = {
	{ "Fri, 21 Nov 1997 09:55:06 -0600", "Fri, 21 Nov 1997 09:55:06 -0600" },
	{ "21 Nov 97 09:55:06 GMT", "Fri, 21 Nov 1997 09:55:06 +0000" },
	{ "Thu,\r\n      13\r\n        Feb\r\n          1969\r\n      23:32\r\n"
	  "               -0330 (Newfoundland Time)",
	  "Thu, 13 Feb 1969 23:32:00 -0330" },
	{ "Fri, 21 Nov 1997 09(comment):   55  :  06 -0600", "Fri, 21 Nov 1997 09:55:06 -0600" },
	{ "1. Jul 2000 10:00", "Sat, 01 Jul 2000 10:00:00 +0000" },
	{ "Tue, 1 Jul 2003 10:52:37 +0200", "Tue, 01 Jul 2003 10:52:37 +0200" },
	{ "1 Jan 70 00:00 Z", "Thu, 01 Jan 1970 00:00:00 +0000" },
	{ "1 Jan 49 00:00 UT", "Fri, 01 Jan 2049 00:00:00 +0000" },
	{ "1 Jan 50 00:00 UTC", "Sun, 01 Jan 1950 00:00:00 +0000" },
	{ "1 Jan 103 00:00 GMT", "Wed, 01 Jan 2003 00:00:00 +0000" },
	{ "1 Jul 2000 10:00 EDT", "Sat, 01 Jul 2000 10:00:00 -0400" },
	{ "1 Jul 2000 10:00 EST", "Sat, 01 Jul 2000 10:00:00 -0500" },
	{ "1 Jul 2000 10:00 CDT", "Sat, 01 Jul 2000 10:00:00 -0500" },
	{ "1 Jul 2000 10:00 CST", "Sat, 01 Jul 2000 10:00:00 -0600" },
	{ "1 Jul 2000 10:00 MDT", "Sat, 01 Jul 2000 10:00:00 -0600" },
	{ "1 Jul 2000 10:00 MST", "Sat, 01 Jul 2000 10:00:00 -0700" },
	{ "1 Jul 2000 10:00 PDT", "Sat, 01 Jul 2000 10:00:00 -0700" },
	{ "1 Jul 2000 10:00 PST", "Sat, 01 Jul 2000 10:00:00 -0800" },
	{ "1 Jul 2000 10:00 A", "Sat, 01 Jul 2000 10:00:00 +0000" },
	{ "1 Jul 2000 10:00 XYZ", "Sat, 01 Jul 2000 10:00:00 +0000" },
	{ "1 Jul 2000 10:00 -0000", "Sat, 01 Jul 2000 10:00:00 +0000" },
	{ "1 Jul 2000 10:00:01.500 +02:00", "Sat, 01 Jul 2000 10:00:01 +0200" },
	{ "1 Jul 2000", "Sat, 01 Jul 2000 00:00:00 +0000" },
	{ "Sat Jul  1 10:00:00 2000", "Sat, 01 Jul 2000 10:00:00 +0000" },
	{ "Sat Jul  1 10:00:00 PDT 2000", "Sat, 01 Jul 2000 10:00:00 -0700" },
	{ "Saturday, 01-July-00 10:00:00 GMT", "Sat, 01 Jul 2000 10:00:00 +0000" },
	{ "1-Jul-2000 10:00:00-0700", "Sat, 01 Jul 2000 10:00:00 -0700" },
	{ "1 Jul 2000 10.11.12 +0100", "Sat, 01 Jul 2000 10:11:12 +0100" },
	{ "1 Jul 2000 07:35 PM -0400", "Sat, 01 Jul 2000 19:35:00 -0400" },
	{ "1 Jul 2000 12:35 AM -0400", "Sat, 01 Jul 2000 00:35:00 -0400" },
	{ "29 Feb 2000 00:00 +0000", "Tue, 29 Feb 2000 00:00:00 +0000" },
	{ "30 Feb 2000 00:00 +0000", "Wed, 01 Mar 2000 00:00:00 +0000" },
	{ "31 Dec 2016 23:59:60 +0000", "Sun, 01 Jan 2017 00:00:00 +0000" },
	{ "1 Jul 2000 10:00 +9999", "Sat, 01 Jul 2000 10:00:00 +0000" },
	{ "1 Jul 9999 10:00 +0000", "Thu, 01 Jul 9999 10:00:00 +0000" },
	{ "1 Jul 0001 10:00 +0000", "Sun, 01 Jul 0001 10:00:00 +0000" },
	{ "1 Jul 999999999 10:00 +0000", NULL },
	{ "1 Jul 99999999999999999999 10:00 +0000", NULL },
	{ "0 Jul 2000 10:00 +0000", NULL },
	{ "32 Jul 2000 10:00 +0000", NULL },
	{ "1 Jul 2000 25:00 +0000", NULL },
	{ "1 Jul 2000 10:61 +0000", NULL },
	{ "1 Foo 2000 10:00 +0000", NULL },
	{ "Jul 2000", NULL },
	{ "", NULL },
	{ "never", NULL },
	{ "(((((", NULL },
};

static void test_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct mime_date d = { .year = -7 };
		int r = mime_date_parse(slice_cstr(cases[i].body), &d);
		char text[40];

		if (!cases[i].want) {
			assert_int_equal(r, -EINVAL);
			assert_int_equal(d.year, -7);
			continue;
		}
		assert_int_equal(r, 0);
		mime_date_format(d.unix_seconds, d.zone, text);
		assert_string_equal(text, cases[i].want);
	}
}

static void test_as_written(void **state)
{
	struct mime_date d;

	(void)state;
	assert_int_equal(mime_date_parse(S("Mon, 2 Jan 2006 15:04:05 -0730"), &d), 0);
	assert_int_equal(d.year, 2006);
	assert_int_equal(d.month, 1);
	assert_int_equal(d.day, 2);
	assert_int_equal(d.hour, 15);
	assert_int_equal(d.minute, 4);
	assert_int_equal(d.second, 5);
	assert_int_equal(d.zone, -450);
	assert_true(d.unix_seconds == 1136241245);
}

static void test_format(void **state)
{
	static const struct {
		int64_t t;
		int zone;
		const char *want;
	} formats[] = {
		{ 0, 0, "Thu, 01 Jan 1970 00:00:00 +0000" },
		{ -1, 0, "Wed, 31 Dec 1969 23:59:59 +0000" },
		{ 0, -90, "Wed, 31 Dec 1969 22:30:00 -0130" },
		{ 1709164800, 60, "Thu, 29 Feb 2024 01:00:00 +0100" },
		{ INT64_MAX, 0, "Fri, 31 Dec 9999 00:00:00 +0000" },
		{ INT64_MIN, INT32_MIN, "Fri, 31 Dec 0000 00:01:00 -2359" },
	};
	char text[40];

	(void)state;
	for (size_t i = 0; i < 5; i++) {
		mime_date_format(formats[i].t, formats[i].zone, text);
		assert_string_equal(text, formats[i].want);
	}
	mime_date_format(INT64_MIN, INT32_MIN, text);
	assert_int_equal(strlen(text), 31);
}

/* Every day of 400 years goes out and comes back. */
static void test_every_day(void **state)
{
	(void)state;
	for (int64_t day = -719162 + 365; day < -719162 + 146462; day += 1) {
		struct mime_date d;
		char text[40];

		mime_date_format(day * 86400, 0, text);
		assert_int_equal(mime_date_parse(slice_cstr(text), &d), 0);
		assert_true(d.unix_seconds == day * 86400);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_as_written),
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_every_day),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
