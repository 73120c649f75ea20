/* Tokens of IMAP commands, good and bad (RFC 3501 9, THREATS IM-01, -15). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/err.h"
#include "imap/parse.h"
#include "store/store.h"

static struct arena arena;

static int setup(void **state)
{
	(void)state;
	arena_init(&arena, 1 << 20);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena_fini(&arena);
	return 0;
}

/* astring of in: the value, or NULL for an error. */
static void astring(struct slice in, const char *want)
{
	struct cur c = cur_init(in);
	struct slice s = imap_parse_astring(&c, &arena);

	cur_end(&c);
	if (!want) {
		assert_int_not_equal(c.err, 0);
		return;
	}
	assert_int_equal(c.err, 0);
	assert_true(s.p != NULL);
	assert_true(slice_eq(s, slice_cstr(want)));
}

static void test_astring(void **state)
{
	(void)state;
	astring(S("abc"), "abc");
	astring(S("a]b+c.d@e"), "a]b+c.d@e");
	astring(S("\"\""), "");
	astring(S("\"a b\""), "a b");
	astring(S("\"a\\\"b\\\\c\""), "a\"b\\c");
	astring(S("\"\xc3\xa9\""), "\xc3\xa9");
	astring(S("{3}\r\na\r\n"), "a\r\n");
	astring(S("{0}\r\n"), "");
	astring(S("{3+}\r\nabc"), "abc");
	astring(S("{0000000003}\r\nabc"), "abc");
	astring(S(""), NULL);
	astring(S("a b"), NULL);
	astring(S("a(b"), NULL);
	astring(S("a%"), NULL);
	astring(S("a*"), NULL);
	astring(S("\xc3\xa9"), NULL);
	astring(S("\"abc"), NULL);
	astring(S("\"a\\b\""), NULL);
	astring(S("\"a\\"), NULL);
	astring(S("\"a\0b\""), NULL);
	astring(S("\"a{3}\r\nabc\""), NULL);
	astring(S("{4}\r\nabc"), NULL);
	astring(S("{3}abc"), NULL);
	astring(S("{3}\nabc"), NULL);
	astring(S("{}\r\n"), NULL);
	astring(S("{+}\r\n"), NULL);
	astring(S("{-1}\r\n"), NULL);
	astring(S("{ 3}\r\nabc"), NULL);
	astring(S("{3+x}\r\nabc"), NULL);
	astring(S("{3++}\r\nabc"), NULL);
	astring(S("{18446744073709551616}\r\nabc"), NULL);
	astring(S("{18446744073709551615}\r\nabc"), NULL);
	astring(S("{3}\r\na\0b"), NULL);
}

static void tail(const char *line, int want, uint64_t n, bool sync)
{
	uint64_t got = 77;
	bool s = true;
	int r = imap_parse_literal_tail(slice_cstr(line), &got, &s);

	if (r != want) {
		fail_msg("%s: %d", line, r);
	}
	if (r == 1) {
		assert_true(got == n);
		assert_int_equal(s, sync);
	}
}

static void test_literal_tail(void **state)
{
	(void)state;
	tail("a LOGIN {5}", 1, 5, true);
	tail("a LOGIN {5+}", 1, 5, false);
	tail("{0}", 1, 0, true);
	tail("{00000000000000000000000000001}", 1, 1, true);
	tail("{4294967296}", 1, 4294967296u, true);
	tail("{9223372036854775808}", 1, UINT64_C(9223372036854775808), true);
	tail("{18446744073709551615}", 1, UINT64_MAX, true);
	tail("{18446744073709551616}", -ERANGE, 0, true);
	tail("{99999999999999999999999999+}", -ERANGE, 0, true);
	tail("\"quoted {5}", 1, 5, true);
	tail("{-1}", 0, 0, true);
	tail("{+}", 0, 0, true);
	tail("{}", 0, 0, true);
	tail("{ 5}", 0, 0, true);
	tail("{5 }", 0, 0, true);
	tail("{5+x}", 0, 0, true);
	tail("{5++}", 0, 0, true);
	tail("5}", 0, 0, true);
	tail("}", 0, 0, true);
	tail("", 0, 0, true);
	tail("{5} ", 0, 0, true);
}

static void test_tag(void **state)
{
	static const struct {
		const char *in;
		bool ok;
	} t[] = {
		{ "a1", true },	 { "A.b-c_d", true }, { "]", true },	 { "*", false },
		{ "+", false },	 { "", false },	      { " a", false },	 { "a+", true },
		{ "(a", false }, { "\x01", false },   { "\xff", false }, { "{5}", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		struct cur c = cur_init(slice_cstr(t[i].in));
		imap_parse_tag(&c, 128);
		assert_int_equal(c.err == 0, t[i].ok);
	}
	struct buf b = BUF_INIT(65536);
	for (int i = 0; i < 10240; i++) {
		buf_addc(&b, 'a');
	}
	struct cur c = cur_init(buf_slice(&b));
	imap_parse_tag(&c, 128);
	assert_int_equal(c.err, -EMSGSIZE);
	buf_fini(&b);
}

static void test_nstring(void **state)
{
	struct cur c = cur_init(S("NIL"));

	(void)state;
	assert_true(imap_parse_nstring(&c, &arena).p == NULL);
	assert_int_equal(c.err, 0);
	c = cur_init(S("nil"));
	assert_true(imap_parse_nstring(&c, &arena).p == NULL);
	assert_int_equal(c.err, 0);
	c = cur_init(S("\"NIL\""));
	assert_int_equal(imap_parse_nstring(&c, &arena).n, 3);
	c = cur_init(S("atom"));
	imap_parse_nstring(&c, &arena);
	assert_int_not_equal(c.err, 0);
}

static void flags(const char *in, int err, uint32_t system, const char *words)
{
	struct cur c = cur_init(slice_cstr(in));
	struct imap_flags f;
	struct buf b = BUF_INIT(4096);

	imap_parse_store_flags(&c, &arena, &f);
	cur_end(&c);
	if (c.err != err) {
		fail_msg("%s: %d", in, c.err);
	}
	if (err == 0) {
		assert_int_equal(f.system, system);
		for (size_t i = 0; i < f.n; i++) {
			buf_adds(&b, i ? " " : "");
			buf_add(&b, f.keywords[i]);
		}
		assert_string_equal(buf_cstr(&b), words);
	}
	buf_fini(&b);
}

static void test_flags(void **state)
{
	struct buf b = BUF_INIT(65536);

	(void)state;
	flags("()", 0, 0, "");
	flags("(\\Seen)", 0, STORE_SEEN, "");
	flags("(\\SEEN \\deleted $Forwarded x)", 0, STORE_SEEN | STORE_DELETED, "$Forwarded x");
	flags("\\Flagged \\Draft \\Answered w", 0, STORE_FLAGGED | STORE_DRAFT | STORE_ANSWERED,
	      "w");
	flags("(\\Recent)", -EINVAL, 0, "");
	flags("(\\Nope)", -EINVAL, 0, "");
	flags("(\\*)", -EINVAL, 0, "");
	flags("(a  b)", -EINVAL, 0, "");
	flags("(a b", -EINVAL, 0, "");
	flags("(a b))", -EINVAL, 0, "");
	flags("((a))", -EINVAL, 0, "");
	flags("", -EINVAL, 0, "");
	flags("(a]b)", -EINVAL, 0, "");
	flags("\"a\"", -EINVAL, 0, "");
	buf_addc(&b, '(');
	for (int i = 0; i < 10240; i++) {
		buf_addc(&b, 'k');
	}
	buf_addc(&b, ')');
	flags(buf_cstr(&b), -EMSGSIZE, 0, "");
	buf_reset(&b);
	for (int i = 0; i < 10000; i++) {
		buf_adds(&b, i ? " k" : "(k");
	}
	buf_addc(&b, ')');
	flags(buf_cstr(&b), -EMSGSIZE, 0, "");
	buf_fini(&b);
}

static void date(const char *in, int64_t want)
{
	struct cur c = cur_init(slice_cstr(in));
	int64_t d = imap_parse_date(&c);

	cur_end(&c);
	if (want < 0) {
		assert_int_not_equal(c.err, 0);
	} else {
		assert_int_equal(c.err, 0);
		assert_true(d == want);
	}
}

static void test_date(void **state)
{
	(void)state;
	date("1-Jan-1970", 0);
	date("01-jan-1970", 0);
	date("\"2-Jan-1970\"", 1);
	date("29-Feb-2000", 11016);
	date("31-Dec-9999", 2932896);
	date("29-Feb-1900", -1);
	date("29-Feb-2023", -1);
	date("0-Jan-1970", -1);
	date("32-Jan-1970", -1);
	date("99-Foo-9999", -1);
	date("1-Jan-70", -1);
	date("\"1-Jan-1970", -1);
	date("1 Jan 1970", -1);
	date("-Jan-1970", -1);
	assert_true(imap_days(1, 1, 1) == -719162);
	assert_true(imap_days(0, 3, 1) == -719468);
}

static void date_time(const char *in, bool ok, int64_t want, int zone)
{
	struct cur c = cur_init(slice_cstr(in));
	int64_t t = 0;
	int z = 0;

	imap_parse_date_time(&c, &t, &z);
	cur_end(&c);
	assert_int_equal(c.err == 0, ok);
	if (ok) {
		assert_true(t == want);
		assert_int_equal(z, zone);
	}
}

static void test_date_time(void **state)
{
	(void)state;
	date_time("\"17-Jul-1996 02:44:25 -0700\"", true, 837596665, -420);
	date_time("\" 1-Jan-1970 00:00:00 +0000\"", true, 0, 0);
	date_time("\"01-Jan-1970 05:30:00 +0530\"", true, 0, 330);
	date_time("\"31-Dec-2016 23:59:60 +0000\"", true, 1483228800, 0);
	date_time("\"1-Jan-1970 00:00:00 +0000\"", false, 0, 0);
	date_time("\"32-Jan-1970 00:00:00 +0000\"", false, 0, 0);
	date_time("\"99-Foo-9999 00:00:00 +0000\"", false, 0, 0);
	date_time("\"01-Jan-1970 24:00:00 +0000\"", false, 0, 0);
	date_time("\"01-Jan-1970 00:60:00 +0000\"", false, 0, 0);
	date_time("\"01-Jan-1970 00:00:61 +0000\"", false, 0, 0);
	date_time("\"01-Jan-1970 00:00:00 +2400\"", false, 0, 0);
	date_time("\"01-Jan-1970 00:00:00 0000\"", false, 0, 0);
	date_time("\"01-Jan-1970 00:00:00 +0000", false, 0, 0);
	date_time("01-Jan-1970 00:00:00 +0000", false, 0, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_astring),	  cmocka_unit_test(test_literal_tail),
		cmocka_unit_test(test_tag),	  cmocka_unit_test(test_nstring),
		cmocka_unit_test(test_flags),	  cmocka_unit_test(test_date),
		cmocka_unit_test(test_date_time),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
