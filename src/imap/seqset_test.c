/* Sequence sets: syntax, '*', merging, writing (THREATS IM-06). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/err.h"
#include "imap/seqset.h"

/* The set as text after merging, or the error. */
static void check(const char *in, uint32_t star, int want_err, const char *want)
{
	struct arena a;
	struct cur c = cur_init(slice_cstr(in));
	struct seqset s;
	struct buf out = BUF_INIT(65536);
	int r;

	arena_init(&a, 1 << 20);
	r = seqset_parse(&c, &a, star, &s);
	if (r == 0 && !cur_end(&c)) {
		r = c.err;
	}
	if (r != want_err) {
		fail_msg("%s: %d, expected %d", in, r, want_err);
	}
	for (size_t i = 0; r == 0 && i < s.n; i++) {
		buf_printf(&out, "%s%u-%u", i ? " " : "", s.r[i].lo, s.r[i].hi);
	}
	if (want) {
		assert_string_equal(buf_cstr(&out), want);
	}
	buf_fini(&out);
	arena_fini(&a);
}

static void test_syntax(void **state)
{
	(void)state;
	check("1", 9, 0, "1-1");
	check("1:3", 9, 0, "1-3");
	check("3:1", 9, 0, "1-3");
	check("2,4,3", 9, 0, "2-4");
	check("1,3:5,4:7,9", 9, 0, "1-1 3-7 9-9");
	check("4294967295", 9, 0, "4294967295-4294967295");
	check("1:4294967295", 9, 0, "1-4294967295");
	check("4294967294:4294967295,1:4294967295", 9, 0, "1-4294967295");
	check("0", 9, -EINVAL, NULL);
	check("1:0", 9, -EINVAL, NULL);
	check("4294967296", 9, -ERANGE, NULL);
	check("99999999999999999999", 9, -ERANGE, NULL);
	check("", 9, -EINVAL, NULL);
	check(",", 9, -EINVAL, NULL);
	check("1,", 9, -EINVAL, NULL);
	check("1,,2", 9, -EINVAL, NULL);
	check("1:", 9, -EINVAL, NULL);
	check("1:2:3", 9, -EINVAL, NULL);
	check("a", 9, -EINVAL, NULL);
	check("-1", 9, -EINVAL, NULL);
	check("+1", 9, -EINVAL, NULL);
	check("1 ", 9, -EINVAL, NULL);
	check("$", 9, -EINVAL, NULL);
}

static void test_star(void **state)
{
	(void)state;
	check("*", 9, 0, "9-9");
	check("1:*", 9, 0, "1-9");
	check("*:1", 9, 0, "1-9");
	check("12:*", 9, 0, "9-12");
	check("*:*", 9, 0, "9-9");
	check("*,1:*,3", 9, 0, "1-9");
	/* nothing there: only what is named */
	check("*", 0, 0, "");
	check("1:*", 0, 0, "");
	check("*,7", 0, 0, "7-7");
	check("**", 9, -EINVAL, NULL);
}

static void test_top(void **state)
{
	struct arena a;
	struct cur c = cur_init(S("3,1:7,20:*"));
	struct seqset s;

	(void)state;
	arena_init(&a, 4096);
	assert_int_equal(seqset_parse(&c, &a, 5, &s), 0);
	assert_int_equal(s.top, 7);
	arena_fini(&a);
}

/* A hundred thousand ranges that are one: bounded, quick, exact. */
static void test_many(void **state)
{
	struct buf in = BUF_INIT(1 << 20);
	struct arena a;
	struct seqset s;
	struct cur c;

	(void)state;
	for (int i = 0; i < 100000; i++) {
		buf_adds(&in, i ? ",1:*" : "1:*");
	}
	arena_init(&a, 4 << 20);
	c = cur_init(buf_slice(&in));
	assert_int_equal(seqset_parse(&c, &a, 4000000000u, &s), 0);
	assert_int_equal(s.n, 1);
	assert_int_equal(s.r[0].hi, 4000000000u);
	arena_fini(&a);
	/* the arena's cap is a limit, not a crash */
	arena_init(&a, 1024);
	c = cur_init(buf_slice(&in));
	assert_int_equal(seqset_parse(&c, &a, 9, &s), -ENOMEM);
	arena_fini(&a);
	buf_fini(&in);
}

static void test_has(void **state)
{
	struct arena a;
	struct cur c = cur_init(S("2:4,8,10:12"));
	struct seqset s;

	(void)state;
	arena_init(&a, 4096);
	assert_int_equal(seqset_parse(&c, &a, 5, &s), 0);
	for (uint32_t i = 0; i < 20; i++) {
		bool want = (i >= 2 && i <= 4) || i == 8 || (i >= 10 && i <= 12);
		assert_int_equal(seqset_has(&s, i), want);
	}
	s.n = 0;
	assert_false(seqset_has(&s, 2));
	arena_fini(&a);
}

static void written(const uint32_t *v, size_t n, const char *want)
{
	struct buf b = BUF_INIT(1024);

	seqset_write(&b, v, n);
	assert_string_equal(buf_cstr(&b), want);
	buf_fini(&b);
}

static void test_write(void **state)
{
	(void)state;
	written((uint32_t[]){ 1 }, 1, "1");
	written((uint32_t[]){ 1, 2, 3 }, 3, "1:3");
	written((uint32_t[]){ 1, 3, 4, 9 }, 4, "1,3:4,9");
	written((uint32_t[]){ 7, 6, 5 }, 3, "7,6,5");
	written((uint32_t[]){ UINT32_MAX, 0 }, 2, "4294967295,0");
	written(NULL, 0, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_syntax), cmocka_unit_test(test_star),
		cmocka_unit_test(test_top),    cmocka_unit_test(test_many),
		cmocka_unit_test(test_has),    cmocka_unit_test(test_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
