/* LIST patterns, against a plain recursive matcher (THREATS IM-10). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/clock.h"
#include "imap/pattern.h"

static bool match(const char *pattern, const char *name, bool icase)
{
	struct arena a;
	struct pattern p;
	bool r;

	arena_init(&a, 1 << 20);
	assert_int_equal(pattern_compile(&a, slice_cstr(pattern), &p), 0);
	r = pattern_match(&p, slice_cstr(name), icase);
	arena_fini(&a);
	return r;
}

static void test_basics(void **state)
{
	(void)state;
	assert_true(match("*", "", false));
	assert_true(match("*", "a/b/c", false));
	assert_true(match("%", "a", false));
	assert_false(match("%", "a/b", false));
	assert_true(match("%/%", "a/b", false));
	assert_false(match("%/%", "a/b/c", false));
	assert_true(match("a/*", "a/b/c", false));
	assert_false(match("a/*", "a", false));
	assert_true(match("*%", "a/b", false));
	assert_true(match("%*", "a/b", false));
	assert_true(match("%%", "ab", false));
	assert_false(match("%%", "a/b", false));
	assert_true(match("*a*b*", "xxaxxbxx", false));
	assert_false(match("*a*b*", "xxbxxaxx", false));
	assert_true(match("INBOX", "INBOX", false));
	assert_false(match("inbox", "INBOX", false));
	assert_true(match("inb%", "INBOX", true));
	assert_false(match("inb\x0fx", "INBOX", true));
	assert_true(match("", "", false));
	assert_false(match("", "a", false));
	assert_false(match("a", "", false));
}

/* The definition, for short strings. */
static bool plain(const char *p, const char *s)
{
	if (*p == 0) {
		return *s == 0;
	}
	if (*p == '*' || *p == '%') {
		return plain(p + 1, s) || (*s && !(*p == '%' && *s == '/') && plain(p, s + 1));
	}
	return *p == *s && plain(p + 1, s + 1);
}

static void test_all_short(void **state)
{
	static const char pc[] = "a/*%";
	static const char nc[] = "ab/";

	(void)state;
	for (unsigned i = 0; i < 4 * 4 * 4 * 4 * 4; i++) {
		char p[6] = { 0 };
		unsigned x = i;
		for (int k = 0; k < 5; k++, x /= 4) {
			p[k] = pc[x % 4];
		}
		for (unsigned j = 0; j < 243; j++) {
			char n[6] = { 0 };
			unsigned y = j;
			for (int k = 0; k < 5; k++, y /= 3) {
				n[k] = nc[y % 3];
			}
			if (match(p, n, false) != plain(p, n)) {
				fail_msg("%s ~ %s", p, n);
			}
		}
	}
}

/* Across machine words: long names and patterns. */
static void test_long(void **state)
{
	char name[STORE_NAME_MAX + 1] = { 0 };
	char pat[2 * STORE_NAME_MAX + 2] = { 0 };

	(void)state;
	memset(name, 'x', STORE_NAME_MAX);
	for (int i = 0; i < STORE_NAME_MAX; i++) {
		pat[2 * i] = '%';
		pat[2 * i + 1] = 'x';
	}
	pat[2 * STORE_NAME_MAX] = '*';
	assert_true(match(pat, name, false));
	name[STORE_NAME_MAX - 1] = 'y';
	assert_false(match(pat, name, false));
	for (size_t n = 60; n < 70; n++) {
		memset(pat, 'x', n);
		strcpy(pat + n, "*y");
		assert_true(match(pat, name, false));
	}
}

/* No pattern is slow, whatever it holds. */
static void test_hostile(void **state)
{
	struct buf b = BUF_INIT(1 << 20);
	char name[STORE_NAME_MAX + 1] = { 0 };
	struct arena a;
	struct pattern p;
	int64_t start = clock_mono();

	(void)state;
	memset(name, 'a', STORE_NAME_MAX);
	for (int i = 0; i < 250; i++) {
		buf_adds(&b, "*a");
	}
	buf_adds(&b, "*b");
	arena_init(&a, 1 << 20);
	assert_int_equal(pattern_compile(&a, buf_slice(&b), &p), 0);
	for (int i = 0; i < 2000; i++) {
		assert_false(pattern_match(&p, slice_cstr(name), false));
	}
	assert_true(clock_mono() - start < 20 * NSEC_PER_SEC);
	/* longer than any name: never, at once */
	for (int i = 0; i < 10000; i++) {
		buf_adds(&b, "*a");
	}
	assert_int_equal(pattern_compile(&a, buf_slice(&b), &p), 0);
	assert_true(p.never);
	/* only wildcards: one */
	buf_reset(&b);
	for (int i = 0; i < 10000; i++) {
		buf_adds(&b, "*%");
	}
	assert_int_equal(pattern_compile(&a, buf_slice(&b), &p), 0);
	assert_int_equal(p.n, 1);
	assert_true(pattern_match(&p, slice_cstr("a/b"), false));
	arena_fini(&a);
	buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_basics),
		cmocka_unit_test(test_all_short),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
