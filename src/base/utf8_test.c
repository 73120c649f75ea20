/* Tests of utf8.c: every edge of RFC 3629, and every code point both ways. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unicase.h>
#include <uninorm.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/hash.h"
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

/* What RFC 5051 and full folding say, of the whole text at once. */
static void fold_at_once(struct buf *b, struct slice s)
{
	struct buf title = BUF_INIT(1 << 16);
	uint8_t *plain, *folded;
	size_t n;

	while (s.n) {
		utf8_add(&title, uc_totitle((ucs4_t)utf8_next(&s)));
	}
	plain = u8_normalize(UNINORM_NFKD, (const uint8_t *)title.p, title.n, NULL, &n);
	folded = u8_casefold(plain, n, NULL, UNINORM_NFKD, NULL, &n);
	buf_add(b, slice_make((const char *)folded, n));
	free(plain);
	free(folded);
	buf_fini(&title);
}

/* Folding run by run is folding the whole, whatever stands beside what. */
static void test_fold_runs(void **state)
{
	uint64_t x = 88172645463325252u;
	uint32_t kinds[] = { 0x80, 0x180, 0x800, 0x3100, 0xa000, 0x20000 };

	(void)state;
	for (unsigned i = 0; i < 20000; i++) {
		struct buf in = BUF_INIT(4096), got = BUF_INIT(65536), want = BUF_INIT(65536);
		uint32_t top = kinds[i % (sizeof(kinds) / sizeof(kinds[0]))];

		for (unsigned k = 0; k < 12; k++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			uint32_t cp = 1 + (uint32_t)(x >> 33) % (x & 4 ? 0x80 : top - 1);

			if (x % 7 == 0) {
				cp = 0x300 + cp % 0x70; /* combining marks */
			}
			if (cp < 0xd800 || cp > 0xdfff) {
				utf8_add(&in, cp);
			}
		}
		assert_int_equal(utf8_fold(&got, buf_slice(&in)), 0);
		fold_at_once(&want, buf_slice(&in));
		assert_int_equal(got.n, want.n);
		assert_memory_equal(got.p, want.p, want.n);
		buf_fini(&in);
		buf_fini(&got);
		buf_fini(&want);
	}
}

/* A character as RFC 5051 2 prepares it, and as we fold it. */
struct both {
	uint64_t prepared;
	uint64_t folded;
};

static int by_prepared(const void *a, const void *b)
{
	const struct both *x = a, *y = b;

	return x->prepared < y->prepared ? -1 : x->prepared > y->prepared;
}

static struct both both_of(uint32_t cp)
{
	struct buf in = BUF_INIT(8), title = BUF_INIT(8), folded = BUF_INIT(1000);
	struct both out;
	uint8_t *u;
	size_t n;

	utf8_add(&in, cp);
	utf8_title(&title, buf_slice(&in));
	u = u8_normalize(UNINORM_NFKD, (const uint8_t *)title.p, title.n, NULL, &n);
	out.prepared = hash_sum64(slice_make((const char *)u, n));
	assert_int_equal(utf8_fold(&folded, buf_slice(&in)), 0);
	out.folded = hash_sum64(buf_slice(&folded));
	free(u);
	buf_fini(&in);
	buf_fini(&title);
	buf_fini(&folded);
	return out;
}

/* What is equal by RFC 5051 is equal for us: all characters but the highest, which have no case. */
static void test_fold_casemap(void **state)
{
	struct both *v = calloc(0x20000, sizeof(v[0]));
	size_t n = 0, same = 0;

	(void)state;
	for (uint32_t cp = 1; cp < 0x20000; cp += cp == 0xd7ff ? 0x801 : 1) {
		v[n++] = both_of(cp);
	}
	qsort(v, n, sizeof(v[0]), by_prepared);
	for (size_t i = 1; i < n; i++) {
		if (v[i].prepared == v[i - 1].prepared) {
			same++;
			assert_int_equal(v[i].folded, v[i - 1].folded);
		}
	}
	assert_true(same > 2000);
	free(v);
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
		cmocka_unit_test(test_edges),	  cmocka_unit_test(test_all),
		cmocka_unit_test(test_repair),	  cmocka_unit_test(test_nfc),
		cmocka_unit_test(test_fold),	  cmocka_unit_test(test_fold_growth),
		cmocka_unit_test(test_fold_runs), cmocka_unit_test(test_fold_casemap),
	};

	return cmocka_run_group_tests_name("base/utf8", tests, NULL, NULL);
}
