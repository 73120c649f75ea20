/* Tests of utf8.c: every edge of RFC 3629, and every code point both ways. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/err.h"
#include "base/utf8.h"

static void test_edges(void **state)
{
	static const struct slice bad[] = {
		{ "\x80", 1 },
		{ "\xbf", 1 },
		{ "\xc0\x80", 2 },
		{ "\xc1\xbf", 2 },
		{ "\xc2", 1 },
		{ "\xc2\x7f", 2 },
		{ "\xc2\xc0", 2 },
		{ "\xe0\x9f\xbf", 3 },
		{ "\xe2\x82", 2 },
		{ "\xed\xa0\x80", 3 },
		{ "\xed\xbf\xbf", 3 },
		{ "\xf0\x8f\xbf\xbf", 4 },
		{ "\xf4\x90\x80\x80", 4 },
		{ "\xf5\x80\x80\x80", 4 },
		{ "\xff", 1 },
		{ "\xf0\x9f\x98", 3 },
		{ "\xf8\x88\x80\x80\x80", 5 },
	};
	static const struct slice good[] = {
		{ "", 0 },
		{ "\0", 1 },
		{ "\x7f", 1 },
		{ "\xc2\x80", 2 },
		{ "\xdf\xbf", 2 },
		{ "\xe0\xa0\x80", 3 },
		{ "\xed\x9f\xbf", 3 },
		{ "\xee\x80\x80", 3 },
		{ "\xef\xbf\xbf", 3 },
		{ "\xf0\x90\x80\x80", 4 },
		{ "\xf4\x8f\xbf\xbf", 4 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct slice s = bad[i];
		assert_false(utf8_valid(s));
		assert_int_equal(utf8_next(&s), -1);
		assert_int_equal(s.n, bad[i].n - 1); /* one byte, no more */
	}
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_true(utf8_valid(good[i]));
	}
}

static void test_all(void **state)
{
	struct buf b = BUF_INIT(4);

	(void)state;
	for (uint32_t cp = 0; cp <= 0x10ffff; cp++) {
		if (cp == 0xd800) {
			cp = 0xe000;
		}
		buf_reset(&b);
		utf8_add(&b, cp);
		struct slice s = buf_slice(&b);
		if (utf8_next(&s) != (int32_t)cp || s.n != 0 || b.err) {
			fail_msg("U+%04X does not survive", cp);
		}
	}
	buf_fini(&b);
}

static void test_repair(void **state)
{
	struct buf b = BUF_INIT(100);

	(void)state;
	utf8_repair(&b, S("a\xff\xc3\xa4\xe2\x82z"));
	assert_true(slice_eq(buf_slice(&b), S("a\xef\xbf\xbd\xc3\xa4\xef\xbf\xbd\xef\xbf\xbdz")));
	assert_true(utf8_valid(buf_slice(&b)));
	buf_fini(&b);
}

static void test_nfc(void **state)
{
	struct buf b = BUF_INIT(100);

	(void)state;
	assert_int_equal(utf8_nfc(&b, S("")), 0);
	assert_int_equal(utf8_nfc(&b, S("Plain")), 0);
	assert_int_equal(utf8_nfc(&b, S("a\xcc\x88")), 0); /* a + diaeresis */
	assert_string_equal(buf_cstr(&b), "Plain\xc3\xa4");
	size_t before = b.n;
	assert_int_equal(utf8_nfc(&b, S("a\xff")), -EINVAL);
	assert_int_equal(b.n, before);
	buf_fini(&b);
}

/* Text that reads alike to i;unicode-casemap (RFC 5051), and by folding. */
static const struct {
	const char *text;
	const char *folded;
} folds[] = {
	{ "ABC[", "abc[" },
	/* Strasse with sharp s, A + combining diaeresis, final sigma. */
	{ "STRA\xc3\x9f"
	  "E A\xcc\x88 \xcf\x82",
	  "strasse a\xcc\x88 \xcf\x83" },
	{ "\xc3\x84 \xc3\xa4", "a\xcc\x88 a\xcc\x88" },
	/* Marks in either order. */
	{ "a\xcc\xa3\xcc\x88", "a\xcc\xa3\xcc\x88" },
	{ "a\xcc\x88\xcc\xa3", "a\xcc\xa3\xcc\x88" },
	/* Full-width, ligature, dotless i, long s, Kelvin, dotted I. */
	{ "\xef\xbc\xa1\xef\xbd\x81 \xef\xac\x81 \xc4\xb1 \xc5\xbf \xe2\x84\xaa", "aa fi i s k" },
	{ "\xc4\xb0", "i\xcc\x87" },
	/* Cyrillic io, a digraph in its three cases. */
	{ "\xd0\x81\xd1\x91", "\xd0\xb5\xcc\x88\xd0\xb5\xcc\x88" },
	{ "\xc7\x84\xc7\x85\xc7\x86", "dz\xcc\x8c"
				      "dz\xcc\x8c"
				      "dz\xcc\x8c" },
};

static void test_fold(void **state)
{
	struct buf b = BUF_INIT(100);
	struct buf twice = BUF_INIT(100);

	(void)state;
	for (size_t i = 0; i < sizeof(folds) / sizeof(folds[0]); i++) {
		buf_reset(&b);
		buf_reset(&twice);
		assert_int_equal(utf8_fold(&b, slice_cstr(folds[i].text)), 0);
		assert_string_equal(buf_cstr(&b), folds[i].folded);
		assert_int_equal(utf8_fold(&twice, buf_slice(&b)), 0);
		assert_string_equal(buf_cstr(&twice), folds[i].folded);
	}
	assert_int_equal(utf8_fold(&b, S("\xc3")), -EINVAL);
	buf_fini(&b);
	buf_fini(&twice);
	buf_init(&b, 1);
	assert_int_equal(utf8_fold(&b, S("\xc3\x84")), 0);
	assert_int_equal(b.err, -EMSGSIZE);
	buf_fini(&b);
}

/* The longest a text can grow by folding. */
static void test_fold_growth(void **state)
{
	struct buf in = BUF_INIT(8);
	struct buf out = BUF_INIT(1000);

	(void)state;
	for (uint32_t cp = 0x80; cp <= 0x10ffff; cp++) {
		if (cp >= 0xd800 && cp <= 0xdfff) {
			continue;
		}
		buf_reset(&in);
		buf_reset(&out);
		utf8_add(&in, cp);
		assert_int_equal(utf8_fold(&out, buf_slice(&in)), 0);
		assert_true(out.n <= 12 * in.n);
	}
	buf_fini(&in);
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_edges),  cmocka_unit_test(test_all),
		cmocka_unit_test(test_repair), cmocka_unit_test(test_nfc),
		cmocka_unit_test(test_fold),   cmocka_unit_test(test_fold_growth),
	};

	return cmocka_run_group_tests_name("base/utf8", tests, NULL, NULL);
}
