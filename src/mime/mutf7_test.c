/* Tests of mutf7.c: RFC 3501's examples, and one spelling for each name. */
#include <errno.h>

#include "mime/charset.h"
#include "mime/test_util.h"

static const struct {
	const char *name, *utf8;
} good[] = {
	{ "", "" },
	{ "INBOX", "INBOX" },
	{ "a&-b", "a&b" },
	{ "&-&-", "&&" },
	{ "~peter/mail/&U,BTFw-/&ZeVnLIqe-",
	  "~peter/mail/\xe5\x8f\xb0\xe5\x8c\x97/\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa"
	  "\x9e" },
	{ "Entw&APw-rfe", "Entw\xc3\xbcrfe" },
	{ "&APw-&-", "\xc3\xbc&" },
	{ "&2D3eAA-", "\xf0\x9f\x98\x80" },
	{ "&AKA-", "\xc2\xa0" },
	{ "-", "-" },
};

static void test_good(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct buf out = BUF_INIT(1000);

		assert_int_equal(mutf7_to_utf8(slice_cstr(good[i].name), &out), 0);
		assert_string_equal(buf_cstr(&out), good[i].utf8);
		buf_reset(&out);
		assert_int_equal(mutf7_from_utf8(slice_cstr(good[i].utf8), &out), 0);
		assert_string_equal(buf_cstr(&out), good[i].name);
		buf_fini(&out);
	}
}

static void test_bad(void **state)
{
	static const char *const bad[] = {
		"&",	      "a&",	    "&AGE-",
		"&AC8-",      "&AC4ALg-",   "&AAA-",
		"&2D0-",      "&3gA-",	    "&2D0AYQ-",
		"&Jjo!",      "&Jjo",	    "&ACY-",
		"&APx-",      "&APwA-",	    "&APw=-",
		"&AP-",	      "&A-",	    "&AH8-",
		"&AIU-",      "\x7f",	    "\x01",
		"\xc3\xbc",   "a\n",	    "&AAo-",
		"&/////",     "&APw-&APw-", "&U,BTFw-&ZeVnLIqe-",
		"&2D3YPd4A-",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct buf out = BUF_INIT(1000);

		buf_adds(&out, "kept");
		assert_int_equal(mutf7_to_utf8(slice_cstr(bad[i]), &out), -EINVAL);
		assert_string_equal(buf_cstr(&out), "kept");
		buf_fini(&out);
	}
}

static void test_bad_utf8(void **state)
{
	static const char *const bad[] = {
		"\xc3", "a\x80", "\xed\xa0\x80", "\t", "\x7f", "\xc2\x85"
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct buf out = BUF_INIT(1000);

		buf_adds(&out, "kept");
		assert_int_equal(mutf7_from_utf8(slice_cstr(bad[i]), &out), -EINVAL);
		assert_string_equal(buf_cstr(&out), "kept");
		buf_fini(&out);
	}
}

static void test_overflow(void **state)
{
	struct buf out = BUF_INIT(3);

	(void)state;
	assert_int_equal(mutf7_from_utf8(S("\xc3\xbc"), &out), -EMSGSIZE);
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_bad_utf8),
		cmocka_unit_test(test_overflow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
