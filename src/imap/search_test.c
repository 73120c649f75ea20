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
	struct search_env env = { .star_seq = 9, .star_uid = 90 };
	struct cur c = cur_init(in);

	return search_parse(&c, &arena, &env, p);
}

/* The program in postfix: leaves are letters by kind, & | !. */
static void prog(const char *in, const char *want)
{
	static const char letters[] = "&|!afkrnsu$LS<>mboi123ETBOIdhxt";
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
	prog("FROM a TO \"b c\" CC d BCC e SUBJECT f", "dd&d&d&d&");
	prog("HEADER subject a HEADER From b HEADER Sender c", "dd&h&");
	prog("HEADER subject {3}\r\na\nb", "h");
	prog("$ UID $ OR $ 1,3000:3021", "$$&$s|&");
	prog("OLDER 1 YOUNGER 4294967295", "<>&");
	prog("MODSEQ 0 MODSEQ \"/flags/\\\\draft\" all 5", "mm&");
	prog("SAVEDBEFORE 1-Jan-2020 SAVEDON 1-Jan-2020 SAVEDSINCE 1-Jan-2020", "12&3&");
	prog("SAVEDATESUPPORTED EMAILID M6d99 THREADID T_-9", "aE&T&");
	prog("FUZZY SUBJECT a", "d");
	prog("FUZZY (SUBJECT a BODY b) OR FUZZY ALL FUZZY SEEN", "dx&af|&");
	prog("LARGER 9223372036854775807", "L");
	prog("HEADER X-Y \"\" BODY b TEXT {3}\r\nabc", "hx&t&");
	prog("CHARSET us-ascii ALL", "a");
	prog("CHARSET \"utf-8\" SUBJECT {2}\r\n\xc3\xa9", "d");
	prog("CHARSET KOI8-R SUBJECT {2}\r\n\xd2\xd5", "d");
	prog("ANSWERED BCC a DRAFT FLAGGED UNANSWERED UNDELETED UNDRAFT "
	     "UNFLAGGED",
	     "fd&f&f&f&f&f&f&");
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
	bad("LARGER 9223372036854775808", 0);
	bad("LARGER 18446744073709551616", 0);
	bad("OLDER 0", 0);
	bad("YOUNGER 4294967296", 0);
	bad("YOUNGER", 0);
	bad("MODSEQ", 0);
	bad("MODSEQ 9223372036854775808", 0);
	bad("MODSEQ \"/flags/x\" mine 1", 0);
	bad("MODSEQ \"/other/x\" all 1", 0);
	bad("MODSEQ \"/flags/x\" 1", 0);
	bad("EMAILID a.b", 0);
	bad("EMAILID", 0);
	bad("THREADID \"x\"", 0);
	bad("SAVEDON x", 0);
	bad("FUZZY", 0);
	bad("FUZZY ", 0);
	bad("(FUZZY)", 0);
	bad("$,1", 0);
	bad("1,$", 0);
	bad("$$", 0);
	bad("FILTER", 0);
	bad("FILTER a/b", 0);
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
	bad("FILTER x", SEARCH_WANTS_FILTER);
	bad("CHARSET KOI8-R FILTER x", SEARCH_FILTER_CHARSET);
	bad("CHARSET x-none ALL", SEARCH_BADCHARSET);
}

/* THREATS IM-05: depth and length are limits, not recursion. */
static void test_depth(void **state)
{
	static const char *const words[] = { "NOT ", "OR ALL ", "OR ", "(", "FUZZY " };
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
	assert_true(p.uses_seqs && !p.uses_modseq && !p.fuzzy);
	assert_int_equal(p.ops[0].number, STORE_SEEN);
	assert_false(p.ops[0].want);
	for (size_t i = 0; i < p.n; i++) {
		if (p.ops[i].kind == SEARCH_FIELD) {
			assert_int_equal(p.ops[i].field, SEARCH_FROM);
			assert_true(slice_eq(p.ops[i].text, S("a\xcc\x88x!")));
		}
	}
	assert_int_equal(search_price(SEARCH_FLAG), SEARCH_FREE);
	assert_int_equal(search_price(SEARCH_SENTON), SEARCH_SUMMARY);
	assert_int_equal(search_price(SEARCH_FIELD), SEARCH_SUMMARY);
	assert_int_equal(search_price(SEARCH_HEADER), SEARCH_HEADERS);
	assert_int_equal(search_price(SEARCH_TEXT), SEARCH_BODIES);
}

/* Which keys are fuzzy: all below FUZZY, and no others. */
static void test_fuzzy(void **state)
{
	struct search_prog p;
	struct slice words[SEARCH_WORDS_MAX];

	(void)state;
	assert_int_equal(parse(S("SEEN FUZZY (BODY a NOT TEXT b) NEW"), &p), 0);
	assert_true(p.fuzzy);
	for (size_t i = 0; i < p.n; i++) {
		bool below = p.ops[i].kind == SEARCH_BODY || p.ops[i].kind == SEARCH_TEXT;
		assert_true(p.ops[i].kind <= SEARCH_NOT || p.ops[i].fuzzy == below);
	}
	assert_int_equal(search_words(S("two  words!"), words), 2);
	assert_true(slice_eq(words[1], S("words")));
	assert_int_equal(search_words(S("?!"), words), 1);
	assert_true(slice_eq(words[0], S("?!")));
	assert_int_equal(search_words(S("a b c d e f g h i j"), words), SEARCH_WORDS_MAX);
}

/* ---- filters ----------------------------------------------------------------- */

static const struct search_filter filters[] = {
	{ S("small"), S("OR SMALLER 5000 FROM \"boss@example.com\"") },
	{ S("two"), S("SEEN NEW") },
	{ S("nest"), S("FILTER two (FILTER small)") },
	{ S("half"), S("OR SMALLER") },
	{ S("open"), S("(SEEN") },
	{ S("close"), S("SEEN) (NEW") },
	{ S("or"), S("OR SEEN") },
	{ S("empty"), S("") },
	{ S("blank"), S("SEEN ") },
	{ S("loop"), S("SEEN FILTER loop") },
	{ S("gone"), { NULL, 0 } },
	{ S("d4"), S("SEEN") },
	{ S("d3"), S("FILTER d4") },
	{ S("d2"), S("FILTER d3") },
	{ S("d1"), S("FILTER d2") },
	{ S("d0"), S("FILTER d1") },
	{ S("wide"), S("FILTER w2 FILTER w2 FILTER w2 FILTER w2 FILTER w2 FILTER w2") },
	{ S("w2"), S("FILTER w3 FILTER w3 FILTER w3 FILTER w3 FILTER w3 FILTER w3") },
	{ S("w3"), S("FILTER w4 FILTER w4 FILTER w4 FILTER w4 FILTER w4 FILTER w4") },
	{ S("w4"), S("ALL ALL ALL ALL ALL ALL ALL ALL ALL ALL ALL ALL ALL ALL ALL ALL") },
};

/* want: the program, or NULL and the result. */
static void filtered(const char *in, const char *want, int result)
{
	static const char letters[] = "&|!afkrnsu$LS<>mboi123ETBOIdhxt";
	struct search_env env = { .star_seq = 9, .star_uid = 90 };
	struct cur c = cur_init(slice_cstr(in));
	struct search_prog p = { 0 };
	struct buf b = BUF_INIT(4096);
	int r;

	env.n_filters = ARRAY_LEN(filters);
	memcpy(env.filters, filters, sizeof(filters));
	r = search_parse(&c, &arena, &env, &p);
	if (r != result) {
		fail_msg("%s: %d", in, r);
	}
	for (size_t i = 0; i < p.n; i++) {
		buf_addc(&b, letters[p.ops[i].kind]);
	}
	assert_string_equal(buf_cstr(&b), want);
	buf_fini(&b);
}

static void test_filters(void **state)
{
	(void)state;
	filtered("UID 300:900 FILTER small SINCE \"3-Dec-2002\"", "uSd|&i&", 0);
	filtered("FILTER TWO", "fn&", 0);
	filtered("NOT FILTER two ALL", "fn&!a&", 0);
	filtered("OR FILTER two FILTER two", "fn&fn&|", 0);
	filtered("(FILTER two) ALL", "fn&a&", 0);
	filtered("(ALL FILTER two)", "afn&&", 0);
	filtered("FUZZY FILTER small", "Sd|", 0);
	filtered("FILTER nest", "fn&Sd|&", 0);
	filtered("FILTER d1", "f", 0);
	filtered("FILTER d0", "", SEARCH_NO_FILTER);
	filtered("FILTER loop", "", SEARCH_NO_FILTER);
	filtered("FILTER half", "", SEARCH_NO_FILTER);
	filtered("FILTER open", "", SEARCH_NO_FILTER);
	filtered("(FILTER close)", "", SEARCH_NO_FILTER);
	filtered("FILTER or NEW", "", SEARCH_NO_FILTER);
	filtered("FILTER empty", "", SEARCH_NO_FILTER);
	filtered("FILTER blank", "", SEARCH_NO_FILTER);
	filtered("FILTER gone", "", SEARCH_NO_FILTER);
	filtered("FILTER other", "", SEARCH_WANTS_FILTER);
	filtered("FILTER wide", "", SEARCH_TOO_MUCH);
	filtered("FILTER two)", "", -EINVAL);
}

/* ---- RETURN ------------------------------------------------------------------- */

static void returns(const char *in, bool given, unsigned opts, int64_t a, int64_t b)
{
	struct cur c = cur_init(slice_cstr(in));
	struct search_return r;

	search_parse_return(&c, &r);
	if (c.err || r.given != given || r.opts != opts || r.partial_a != a || r.partial_b != b) {
		fail_msg("%s", in);
	}
}

static void test_return(void **state)
{
	static const char *const wrong[] = {
		" RETURN (ALL",
		" RETURN (ALL PARTIAL 1:2)",
		" RETURN ( ALL)",
		" RETURN (PARTIAL 1:2 PARTIAL 1:2)",
		" RETURN (PARTIAL)",
		" RETURN (PARTIAL 0:1)",
		" RETURN (PARTIAL 1:*)",
		" RETURN (PARTIAL -1:2)",
		" RETURN (PARTIAL 1:-2)",
		" RETURN (PARTIAL 1:4294967296)",
		" RETURN (PARTIAL 1)",
		" RETURN (NOPE)",
		" RETURN ALL",
		" RETURN (UPDATE (UID)",
		" RETURN (UPDATE (\"UID))",
		" RETURN (UPDATE ({9}\r\na))",
	};

	(void)state;
	returns(" ALL", false, 0, 0, 0);
	returns("", false, 0, 0, 0);
	returns(" RETURN ()", true, SEARCH_RET_ALL, 0, 0);
	returns(" return (min Max)", true, SEARCH_RET_MIN | SEARCH_RET_MAX, 0, 0);
	returns(" RETURN (COUNT SAVE)", true, SEARCH_RET_COUNT | SEARCH_RET_SAVE, 0, 0);
	returns(" RETURN (PARTIAL 1:500)", true, SEARCH_RET_PARTIAL, 1, 500);
	returns(" RETURN (PARTIAL -1:-100 COUNT)", true, SEARCH_RET_PARTIAL | SEARCH_RET_COUNT, -1,
		-100);
	returns(" RETURN (UPDATE (UID BODY[HEADER.FIELDS (\")\" {2}\r\n)()]) COUNT)", true,
		SEARCH_RET_UPDATE | SEARCH_RET_COUNT, 0, 0);
	returns(" RETURN (UPDATE CONTEXT RELEVANCY)", true,
		SEARCH_RET_UPDATE | SEARCH_RET_CONTEXT | SEARCH_RET_RELEVANCY, 0, 0);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		struct cur c = cur_init(slice_cstr(wrong[i]));
		struct search_return r;
		search_parse_return(&c, &r);
		if (c.err == 0) {
			fail_msg("%s", wrong[i]);
		}
	}
}

static void test_criteria(void **state)
{
	struct search_env env = { .star_seq = 9, .star_uid = 90 };
	struct cur c = cur_init(S("UTF-8 SEEN"));
	struct search_prog p;

	(void)state;
	assert_int_equal(search_parse_criteria(&c, &arena, &env, &p), 0);
	assert_int_equal(p.n, 1);
	c = cur_init(S("\"US-ASCII\" SEEN"));
	assert_int_equal(search_parse_criteria(&c, &arena, &env, &p), 0);
	c = cur_init(S("x-none SEEN"));
	assert_int_equal(search_parse_criteria(&c, &arena, &env, &p), SEARCH_BADCHARSET);
	c = cur_init(S("SEEN"));
	assert_true(search_parse_criteria(&c, &arena, &env, &p) < 0);
	/* RFC 6855: no charsets where all is UTF-8. */
	env.no_charset = true;
	c = cur_init(S("CHARSET UTF-8 ALL"));
	assert_true(search_parse(&c, &arena, &env, &p) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_programs), cmocka_unit_test(test_bad),
		cmocka_unit_test(test_depth),	 cmocka_unit_test(test_deep_eval),
		cmocka_unit_test(test_truth),	 cmocka_unit_test(test_details),
		cmocka_unit_test(test_fuzzy),	 cmocka_unit_test(test_filters),
		cmocka_unit_test(test_return),	 cmocka_unit_test(test_criteria),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
