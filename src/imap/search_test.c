/* Search programs: what parses, to which depth, and three-valued truth. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/err.h"
#include "imap/search.h"
#include "store/store.h"

static struct arena arena;

static int setup(void **state)
{
	(void)state;
	arena_init(&arena, 8 << 20);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena_fini(&arena);
	return 0;
}

static int parse(struct slice in, struct search_prog *p)
{
	struct cur c = cur_init(in);

	return search_parse(&c, &arena, 9, 90, p);
}

/* The program in postfix: leaves are letters by kind, & | !. */
static void prog(const char *in, const char *want)
{
	static const char letters[] = "&|!afkrnsuLSboiBOIhxt";
	struct search_prog p;
	struct buf b = BUF_INIT(4096);
	int r = parse(slice_cstr(in), &p);

	if (r != 0) {
		fail_msg("%s: %d", in, r);
	}
	for (size_t i = 0; i < p.n; i++) {
		buf_addc(&b, letters[p.ops[i].kind]);
	}
	assert_string_equal(buf_cstr(&b), want);
	buf_fini(&b);
}

static void bad(const char *in, int want)
{
	struct search_prog p;
	int r = parse(slice_cstr(in), &p);

	if (want ? r != want : r >= 0) {
		fail_msg("%s: %d", in, r);
	}
}

static void test_programs(void **state)
{
	(void)state;
	prog("ALL", "a");
	prog("all", "a");
	prog("SEEN UNSEEN", "ff&");
	prog("SEEN ANSWERED DELETED", "ff&f&");
	prog("NOT SEEN", "f!");
	prog("NOT NOT SEEN", "f!!");
	prog("OR SEEN ALL", "fa|");
	prog("OR SEEN NOT ALL NEW", "fa!|n&");
	prog("OR OR SEEN ALL NEW RECENT", "fa|n|r&");
	prog("(ALL)", "a");
	prog("((ALL) (SEEN NEW))", "afn&&");
	prog("NOT (SEEN NEW) ALL", "fn&!a&");
	prog("OR (SEEN NEW) (ALL OLD)", "fn&ar&|");
	prog("1:3,* UID 4:*", "su&");
	prog("KEYWORD $x UNKEYWORD y", "kk&");
	prog("LARGER 10 SMALLER 0", "LS&");
	prog("BEFORE 1-Jan-2020 ON \"2-Feb-2020\" SINCE 3-Mar-2020", "bo&i&");
	prog("SENTBEFORE 1-Jan-2020 SENTON 1-Jan-2020 SENTSINCE 1-Jan-2020", "BO&I&");
	prog("FROM a TO \"b c\" CC d BCC e SUBJECT f", "hh&h&h&h&");
	prog("HEADER X-Y \"\" BODY b TEXT {3}\r\nabc", "hx&t&");
	prog("CHARSET us-ascii ALL", "a");
	prog("CHARSET \"utf-8\" SUBJECT {2}\r\n\xc3\xa9", "h");
	prog("ANSWERED BCC a DRAFT FLAGGED UNANSWERED UNDELETED UNDRAFT "
	     "UNFLAGGED",
	     "fh&f&f&f&f&f&f&");
}

static void test_bad(void **state)
{
	(void)state;
	bad("", 0);
	bad("NOPE", 0);
	bad("NOT", 0);
	bad("NOT ", 0);
	bad("OR ALL", 0);
	bad("OR", 0);
	bad("()", 0);
	bad("(", 0);
	bad(")", 0);
	bad("(ALL", 0);
	bad("ALL)", 0);
	bad("(NOT) ALL", 0);
	bad("(OR ALL)", 0);
	bad("ALL ", 0);
	bad("ALL  SEEN", 0);
	bad("ALLSEEN", 0);
	bad("(ALL)(SEEN)", 0);
	bad("FROM", 0);
	bad("HEADER a", 0);
	bad("HEADER \"\" a", 0);
	bad("LARGER x", 0);
	bad("LARGER 4294967296", 0);
	bad("LARGER -1", 0);
	bad("BEFORE 99-Foo-9999", 0);
	bad("KEYWORD \\Seen", 0);
	bad("0", 0);
	bad("1,,2", 0);
	bad("4294967296", 0);
	bad("UID 0", 0);
	bad("UID", 0);
	bad("RETURN (ALL) ALL", 0);
	bad("SUBJECT {1}\r\n\xe9", 0);
	bad("CHARSET US-ASCII SUBJECT {2}\r\n\xc3\xa9", 0);
	bad("CHARSET UTF-8", 0);
	bad("CHARSET KOI8-R ALL", SEARCH_BADCHARSET);
	bad("CHARSET x-none ALL", SEARCH_BADCHARSET);
}

/* THREATS IM-05: depth and length are limits, not recursion. */
static void test_depth(void **state)
{
	static const char *const words[] = { "NOT ", "OR ALL ", "OR ", "(" };
	struct buf b = BUF_INIT(1 << 20);
	struct search_prog p;

	(void)state;
	for (size_t w = 0; w < ARRAY_LEN(words); w++) {
		buf_reset(&b);
		for (int i = 0; i < 100000; i++) {
			buf_adds(&b, words[w]);
		}
		assert_int_equal(parse(buf_slice(&b), &p), SEARCH_TOO_MUCH);
	}
	for (int depth = SEARCH_DEPTH_MAX; depth <= SEARCH_DEPTH_MAX + 1; depth++) {
		buf_reset(&b);
		for (int i = 0; i < depth; i++) {
			buf_adds(&b, "NOT ");
		}
		buf_adds(&b, "ALL");
		assert_int_equal(parse(buf_slice(&b), &p),
				 depth > SEARCH_DEPTH_MAX ? SEARCH_TOO_MUCH : SEARCH_OK);
	}
	buf_reset(&b);
	for (int i = 0; i < 5000; i++) {
		buf_adds(&b, i ? " ALL" : "ALL");
	}
	assert_int_equal(parse(buf_slice(&b), &p), SEARCH_TOO_MUCH);
	buf_fini(&b);
}

/* The deepest program that parses also evaluates. */
static void test_deep_eval(void **state)
{
	struct buf b = BUF_INIT(1 << 16);
	struct search_prog p;
	unsigned char vals[SEARCH_OPS_MAX];

	(void)state;
	for (int i = 0; i < SEARCH_DEPTH_MAX / 2; i++) {
		buf_adds(&b, "ALL OR ALL (");
	}
	buf_adds(&b, "ALL");
	for (int i = 0; i < SEARCH_DEPTH_MAX / 2; i++) {
		buf_adds(&b, ")");
	}
	assert_int_equal(parse(buf_slice(&b), &p), SEARCH_OK);
	memset(vals, SEARCH_TRUE, sizeof(vals));
	assert_int_equal(search_eval(&p, vals), SEARCH_TRUE);
	memset(vals, SEARCH_UNKNOWN, sizeof(vals));
	assert_int_equal(search_eval(&p, vals), SEARCH_UNKNOWN);
	buf_fini(&b);
}

static enum search_truth eval(const char *in, const char *leaves)
{
	struct search_prog p;
	unsigned char vals[16] = { 0 };

	assert_int_equal(parse(slice_cstr(in), &p), 0);
	for (size_t i = 0; i < p.n; i++) {
		if (p.ops[i].kind > SEARCH_NOT) {
			vals[i] = *leaves == 't'   ? SEARCH_TRUE
				  : *leaves == 'f' ? SEARCH_FALSE
						   : SEARCH_UNKNOWN;
			leaves++;
		}
	}
	return search_eval(&p, vals);
}

static void test_truth(void **state)
{
	(void)state;
	assert_int_equal(eval("SEEN BODY x", "f?"), SEARCH_FALSE);
	assert_int_equal(eval("SEEN BODY x", "t?"), SEARCH_UNKNOWN);
	assert_int_equal(eval("SEEN BODY x", "tt"), SEARCH_TRUE);
	assert_int_equal(eval("OR SEEN BODY x", "t?"), SEARCH_TRUE);
	assert_int_equal(eval("OR SEEN BODY x", "f?"), SEARCH_UNKNOWN);
	assert_int_equal(eval("OR SEEN BODY x", "ff"), SEARCH_FALSE);
	assert_int_equal(eval("NOT BODY x", "?"), SEARCH_UNKNOWN);
	assert_int_equal(eval("NOT BODY x", "f"), SEARCH_TRUE);
	assert_int_equal(eval("NOT (SEEN BODY x) ALL", "f?t"), SEARCH_TRUE);
	assert_int_equal(eval("OR NOT SEEN (NEW BODY x)", "tf?"), SEARCH_FALSE);
}

static void test_details(void **state)
{
	struct search_prog p;

	(void)state;
	assert_int_equal(parse(S("UNSEEN 4:7 2 FROM {4}\r\n\xc3\x84x!"), &p), 0);
	assert_int_equal(p.seq_top, 7);
	assert_int_equal(p.ops[0].number, STORE_SEEN);
	assert_false(p.ops[0].want);
	for (size_t i = 0; i < p.n; i++) {
		if (p.ops[i].kind == SEARCH_HEADER) {
			assert_true(slice_ieq(p.ops[i].name, S("from")));
			assert_true(slice_eq(p.ops[i].text, S("a\xcc\x88x!")));
		}
	}
	assert_int_equal(search_price(SEARCH_FLAG), SEARCH_FREE);
	assert_int_equal(search_price(SEARCH_SENTON), SEARCH_TREE);
	assert_int_equal(search_price(SEARCH_HEADER), SEARCH_HEADERS);
	assert_int_equal(search_price(SEARCH_TEXT), SEARCH_BODIES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_programs), cmocka_unit_test(test_bad),
		cmocka_unit_test(test_depth),	 cmocka_unit_test(test_deep_eval),
		cmocka_unit_test(test_truth),	 cmocka_unit_test(test_details),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
