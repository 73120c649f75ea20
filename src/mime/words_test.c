/* Tests of words.c: RFC 2047's own examples, the wild, hostile words. */
#include "base/utf8.h"
#include "mime/test_util.h"

static const struct {
	const char *raw, *want;
} cases[] = {
	{ "", "" },
	{ "plain  text", "plain  text" },
	/* RFC 2047 8. */
	{ "=?ISO-8859-1?Q?a?=", "a" },
	{ "=?ISO-8859-1?Q?a?= b", "a b" },
	{ "=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=", "ab" },
	{ "=?ISO-8859-1?Q?a?=  =?ISO-8859-1?Q?b?=", "ab" },
	{ "=?ISO-8859-1?Q?a_b?=", "a b" },
	{ "=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=", "a b" },
	{ "=?ISO-8859-1?B?SWYgeW91IGNhbiByZWFkIHRoaXMgeW8=?= "
	  "=?ISO-8859-2?B?dSB1bmRlcnN0YW5kIHRoZSBleGFtcGxlLg==?=",
	  "If you can read this you understand the example." },
	{ "x =?iso-8859-1?q?Fr=F6sche?= y", "x Fr\xc3\xb6sche y" },
	{ "=?us-ascii*en?q?lang?=", "lang" },
	{ "=?utf-7?Q?Fr+APY-sche?=", "Fr\xc3\xb6sche" },
	{ "=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=", "\xe6\x97\xa5\xe6\x9c\xac" },
	/* A character cut in two, over two encodings. */
	{ "=?utf-8?Q?=E2=82?= =?utf-8?B?rA==?=", "\xe2\x82\xac" },
	{ "=?utf-8?Q?=E2=82?= =?UTF-8?Q?=AC?=", "\xe2\x82\xac" },
	{ "=?utf-8?Q?=E2=82?= x", "\xef\xbf\xbd x" },
	/* Without blanks around, with blanks and marks inside. */
	{ "a=?utf-8?Q?b?=c", "abc" },
	{ "=?utf-8?Q?a?==?utf-8?Q?b?=", "ab" },
	{ "=?utf-8?Q?a b?c?=", "a b?c" },
	/* Not words. */
	{ "=?utf-8?X?a?=", "=?utf-8?X?a?=" },
	{ "=?utf-8?Q?a", "=?utf-8?Q?a" },
	{ "=??Q?a?=", "=??Q?a?=" },
	{ "=?=?=?", "=?=?=?" },
	{ "=?a?b?", "=?a?b?" },
	{ "=?utf-8?Q?", "=?utf-8?Q?" },
	{ "=?x =?utf-8?Q?a?=", "=?x a" },
	/* Unknown charsets and bare 8-bit: UTF-8 if it is, else 1252. */
	{ "=?x-none?Q?=C3=A4?=", "\xc3\xa4" },
	{ "=?x-none?Q?=E4?=", "\xc3\xa4" },
	{ "\xc3\xa4", "\xc3\xa4" },
	{ "\xe4 \x80", "\xc3\xa4 \xe2\x82\xac" },
	/* Nothing that ends a line gets out (MI-04). */
	{ "=?utf-8?Q?a=0D=0ABcc:_b=00?=", "a  Bcc: b " },
	{ "=?utf-16be?B?AA0ACgBh?=", "  a" },
};

static void test_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf out = BUF_INIT(1 << 16);

		mime_decode_text(slice_cstr(cases[i].raw), &out);
		assert_string_equal(buf_cstr(&out), cases[i].want);
		buf_fini(&out);
	}
}

static void test_sizes(void **state)
{
	static const struct {
		const char *unit;
		int times;
		size_t want;
	} sizes[] = {
		{ "=?utf-8?Q?a?= ", 100000, 100001 },
		{ "=?utf-8?Q?a", 100000, 1100000 },
		{ "=?", 100000, 200000 },
		{ "=?utf-8?B?a ", 100000, 1200000 },
		{ "?=", 100000, 200000 },
		{ "=?utf-8?Q?a?= =?x?Q?b?= ", 5000, 10001 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct buf b = BUF_INIT(TEST_MAX);
		struct buf out = BUF_INIT(TEST_MAX);

		repeat(&b, sizes[i].unit, sizes[i].times);
		mime_decode_text(buf_slice(&b), &out);
		assert_int_equal(out.n, sizes[i].want);
		buf_fini(&b);
		buf_fini(&out);
	}
}

static void test_long_charset(void **state)
{
	struct buf b = BUF_INIT(TEST_MAX);
	struct buf out = BUF_INIT(TEST_MAX);

	(void)state;
	buf_adds(&b, "=?");
	repeat(&b, "x", 65536);
	buf_adds(&b, "?Q?a?=");
	mime_decode_text(buf_slice(&b), &out);
	assert_true(slice_eq(buf_slice(&b), buf_slice(&out)));
	buf_fini(&b);
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_long_charset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
