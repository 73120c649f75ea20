/* Tests of slice.c: the boundaries, and slice_ifind against a naive search. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/slice.h"

static const struct slice none = { NULL, 0 };

static void test_compare(void **state)
{
	(void)state;
	assert_true(slice_eq(none, S("")));
	assert_true(slice_eq(S("a\0b"), S("a\0b")));
	assert_false(slice_eq(S("a\0b"), S("a\0c")));
	assert_true(slice_ieq(S("Mail From"), S("mAIL fROM")));
	/* '@' and '`', '[' and '{' differ by 0x20 but are no letters. */
	assert_false(slice_ieq(S("@["), S("`{")));
	assert_false(slice_ieq(S("\xc4"), S("\xe4")));
	assert_true(slice_cmp(S("a"), S("ab")) < 0);
	assert_true(slice_cmp(S("\xff"), S("a")) > 0);
	assert_int_equal(slice_cmp(none, S("")), 0);
	assert_true(slice_icmp(S("ABC"), S("abd")) < 0);
	assert_int_equal(slice_icmp(S("ABC"), S("abc")), 0);
	assert_true(slice_icmp(S("abcd"), S("ABC")) > 0);
}

static void test_ends(void **state)
{
	(void)state;
	assert_true(slice_starts(S("abc"), S("")));
	assert_true(slice_starts(S("abc"), S("abc")));
	assert_false(slice_starts(S("ab"), S("abc")));
	assert_true(slice_istarts(S("FROM:<x>"), S("from:<")));
	assert_true(slice_ends(S("abc"), S("bc")));
	assert_true(slice_ends(none, none));
	assert_false(slice_ends(S("c"), S("bc")));
	assert_true(slice_iends(S("a.EXAMPLE"), S(".example")));
	assert_false(slice_iends(S("a.EXAMPLE"), S(".exampl")));
}

static void test_search(void **state)
{
	(void)state;
	assert_int_equal(slice_chr(S("a.b.c"), '.'), 1);
	assert_int_equal(slice_rchr(S("a.b.c"), '.'), 3);
	assert_true(slice_chr(none, 'x') == SIZE_MAX);
	assert_true(slice_rchr(S("abc"), 'x') == SIZE_MAX);
	assert_int_equal(slice_find(S("abc"), S("")), 0);
	assert_int_equal(slice_find(S("abcabd"), S("abd")), 3);
	assert_true(slice_find(S("ab"), S("abc")) == SIZE_MAX);
	assert_true(slice_find(none, S("a")) == SIZE_MAX);
	assert_int_equal(slice_ifind(S("xxSubject"), S("SUBJ")), 2);
	assert_int_equal(slice_ifind(none, none), 0);
	assert_true(slice_ifind(S("ab"), S("abc")) == SIZE_MAX);
}

static size_t naive_ifind(struct slice s, struct slice needle)
{
	for (size_t i = 0; i + needle.n <= s.n; i++) {
		if (slice_ieq(slice_make(s.p + i, needle.n), needle)) {
			return i;
		}
	}
	return SIZE_MAX;
}

/* Every needle up to 6 letters and many haystacks over {a, B, b}. */
static void test_ifind_agrees(void **state)
{
	uint32_t rnd = 1;

	(void)state;
	for (unsigned round = 0; round < 20000; round++) {
		char hay[40], nee[10];
		size_t hn = round % sizeof(hay), nn = round / 7 % sizeof(nee);
		for (size_t i = 0; i < hn; i++) {
			rnd = rnd * 1664525 + 1013904223;
			hay[i] = "aBb"[(rnd >> 20) % 3];
		}
		for (size_t i = 0; i < nn; i++) {
			rnd = rnd * 1664525 + 1013904223;
			nee[i] = "AbB"[(rnd >> 20) % 3];
		}
		struct slice h = slice_make(hay, hn), n = slice_make(nee, nn);
		assert_true(slice_ifind(h, n) == naive_ifind(h, n));
	}
}

/* What is quadratic for a naive search must not be: 2^18 x 2^17 is 3e10. */
static void test_ifind_linear(void **state)
{
	static char hay[1 << 18], nee[1 << 17];

	(void)state;
	memset(hay, 'a', sizeof(hay));
	memset(nee, 'A', sizeof(nee));
	nee[sizeof(nee) - 1] = 'b';
	assert_true(slice_ifind(slice_make(hay, sizeof(hay)), slice_make(nee, sizeof(nee))) ==
		    SIZE_MAX);
	nee[sizeof(nee) - 1] = 'A';
	nee[0] = 'b';
	assert_true(slice_ifind(slice_make(hay, sizeof(hay)), slice_make(nee, sizeof(nee))) ==
		    SIZE_MAX);
	hay[4711] = 'B';
	assert_int_equal(slice_ifind(slice_make(hay, sizeof(hay)), slice_make(nee, sizeof(nee))),
			 4711);
}

static void test_cut(void **state)
{
	struct slice rest = S("a,,b");

	(void)state;
	assert_true(slice_eq(slice_trim(S(" \t\r\nx y\r\n")), S("x y")));
	assert_int_equal(slice_trim(S(" \t ")).n, 0);
	assert_true(slice_eq(slice_from(S("abc"), 1), S("bc")));
	assert_int_equal(slice_from(S("abc"), 99).n, 0);
	assert_null(slice_from(none, 5).p);
	assert_true(slice_eq(slice_sub(S("abcdef"), 2, 3), S("cde")));
	assert_true(slice_eq(slice_sub(S("abc"), 2, SIZE_MAX), S("c")));
	assert_true(slice_eq(slice_split(&rest, ','), S("a")));
	assert_true(slice_eq(slice_split(&rest, ','), S("")));
	assert_non_null(rest.p);
	assert_true(slice_eq(slice_split(&rest, ','), S("b")));
	assert_null(rest.p);
	rest = S("x,");
	assert_true(slice_eq(slice_split(&rest, ','), S("x")));
	assert_non_null(rest.p); /* an empty last field is still to come */
	assert_int_equal(rest.n, 0);
}

static void test_kinds(void **state)
{
	(void)state;
	assert_true(slice_is_printable(S(" ~")));
	assert_false(slice_is_printable(S("a\x7f")));
	assert_false(slice_is_printable(S("a\x1f")));
	assert_true(slice_is_printable(none));
	assert_true(slice_has_8bit(S("ab\x80")));
	assert_false(slice_has_8bit(S("ab\x7f")));
	assert_true(slice_has_nul(S("a\0")));
	assert_false(slice_has_nul(S("a")));
}

static void test_numbers(void **state)
{
	uint32_t v = 77;
	uint64_t w = 77;

	(void)state;
	assert_int_equal(slice_u32(S("4294967295"), &v), 0);
	assert_true(v == UINT32_MAX);
	v = 77;
	assert_int_equal(slice_u32(S("4294967296"), &v), -ERANGE);
	assert_int_equal(slice_u32(S(""), &v), -EINVAL);
	assert_int_equal(slice_u32(S("+1"), &v), -EINVAL);
	assert_int_equal(slice_u32(S("-1"), &v), -EINVAL);
	assert_int_equal(slice_u32(S(" 1"), &v), -EINVAL);
	assert_int_equal(slice_u32(S("1\0"), &v), -EINVAL);
	assert_int_equal(slice_u32(S("99999999999999999999x"), &v), -EINVAL);
	assert_int_equal(v, 77);
	assert_int_equal(slice_u32(S("0000000000000000000000012"), &v), 0);
	assert_int_equal(v, 12);
	assert_int_equal(slice_u64(S("18446744073709551615"), &w), 0);
	assert_true(w == UINT64_MAX);
	w = 77;
	assert_int_equal(slice_u64(S("18446744073709551616"), &w), -ERANGE);
	assert_int_equal(slice_u64(S("20000000000000000000"), &w), -ERANGE);
	assert_true(w == 77);
}

static void test_copy(void **state)
{
	char dst[4] = "zzz";

	(void)state;
	assert_int_equal(slice_copy(S("abcd"), dst, sizeof(dst)), -ENAMETOOLONG);
	assert_int_equal(slice_copy(S("a\0"), dst, sizeof(dst)), -EINVAL);
	assert_string_equal(dst, "zzz");
	assert_int_equal(slice_copy(S("abc"), dst, sizeof(dst)), 0);
	assert_string_equal(dst, "abc");
	assert_int_equal(slice_copy(none, dst, 1), 0);
	assert_string_equal(dst, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_compare),	     cmocka_unit_test(test_ends),
		cmocka_unit_test(test_search),	     cmocka_unit_test(test_ifind_agrees),
		cmocka_unit_test(test_ifind_linear), cmocka_unit_test(test_cut),
		cmocka_unit_test(test_kinds),	     cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_copy),
	};

	return cmocka_run_group_tests_name("base/slice", tests, NULL, NULL);
}
