/* Paths, names and parameters, read and refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/err.h"
#include "smtp/address.h"

static const struct {
	const char *text;
	bool utf8;
	enum smtp_addr result;
	const char *addr;
	const char *domain;
	bool literal;
} paths[] = {
	{ "<>", 0, SMTP_ADDR_OK, "", "", 0 },
	{ "<a@b.example>", 0, SMTP_ADDR_OK, "a@b.example", "b.example", 0 },
	{ "<a.b-c+d@b>", 0, SMTP_ADDR_OK, "a.b-c+d@b", "b", 0 },
	{ "<postmaster>", 0, SMTP_ADDR_OK, "postmaster", "", 0 },
	{ "<\"a b\"@c>", 0, SMTP_ADDR_OK, "\"a b\"@c", "c", 0 },
	{ "<\"a@x\"@c>", 0, SMTP_ADDR_OK, "\"a@x\"@c", "c", 0 },
	{ "<\"\\\"\"@c>", 0, SMTP_ADDR_OK, "\"\\\"\"@c", "c", 0 },
	{ "<@x,@y:a@z>", 0, SMTP_ADDR_OK, "a@z", "z", 0 },
	{ "<a%x@y>", 0, SMTP_ADDR_OK, "a%x@y", "y", 0 },
	{ "<a@[192.0.2.1]>", 0, SMTP_ADDR_OK, "a@[192.0.2.1]", "[192.0.2.1]", 1 },
	{ "<a@[IPv6:::1]>", 0, SMTP_ADDR_OK, "a@[IPv6:::1]", "[IPv6:::1]", 1 },
	{ "<\xc3\xa9@x>", 1, SMTP_ADDR_OK, "\xc3\xa9@x", "x", 0 },
	{ "<\xc3\xa9@x>", 0, SMTP_ADDR_UTF8, NULL, NULL, 0 },
	{ "<\xe2\x82@x>", 1, SMTP_ADDR_UTF8, NULL, NULL, 0 },
	{ "<a@[::1]>", 0, SMTP_ADDR_SYNTAX, NULL, NULL, 0 },
	{ "<a@[IPv6:1.2.3.4]>", 0, SMTP_ADDR_SYNTAX, NULL, NULL, 0 },
	{ "<a@[1.2.3]>", 0, SMTP_ADDR_SYNTAX, NULL, NULL, 0 },
	{ "<a@[1.2.3.4>", 0, SMTP_ADDR_SYNTAX, NULL, NULL, 0 },
	{ "<a@b", 0, SMTP_ADDR_SYNTAX, NULL, NULL, 0 },
	{ "a@b>", 0, SMTP_ADDR_SYNTAX, NULL, NULL, 0 },
	{ "<a@b@c>", 0, SMTP_ADDR_SYNTAX, NULL, NULL, 0 },
	{ "<.a@b>", 0, SMTP_ADDR_SYNTAX, NULL, NULL, 0 },
	{ "<a..b@c>", 0, SMTP_ADDR_SYNTAX, NULL, NULL, 0 },
	{ "<a@b.>", 0, SMTP_ADDR_SYNTAX, NULL, NULL, 0 },
	{ "<a@-b>", 0, SMTP_ADDR_SYNTAX, NULL, NULL, 0 },
	{ "<a@b->", 0, SMTP_ADDR_SYNTAX, NULL, NULL, 0 },
	{ "<@x:>", 0, SMTP_ADDR_SYNTAX, NULL, NULL, 0 },
	{ "<@x,a@b>", 0, SMTP_ADDR_SYNTAX, NULL, NULL, 0 },
	{ "<\"a@b>", 0, SMTP_ADDR_SYNTAX, NULL, NULL, 0 },
	{ "<\"a\x01\"@b>", 0, SMTP_ADDR_SYNTAX, NULL, NULL, 0 },
	{ "<a b@c>", 0, SMTP_ADDR_SYNTAX, NULL, NULL, 0 },
	{ "< a@b>", 0, SMTP_ADDR_SYNTAX, NULL, NULL, 0 },
	{ "", 0, SMTP_ADDR_SYNTAX, NULL, NULL, 0 },
};

static void paths_are_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		struct cur c = cur_init(slice_cstr(paths[i].text));
		struct smtp_path p = { 0 };

		if (smtp_path_parse(&c, paths[i].utf8, &p) != paths[i].result) {
			fail_msg("%s", paths[i].text);
		}
		if (paths[i].result != SMTP_ADDR_OK) {
			continue;
		}
		assert_true(slice_eq(p.addr, slice_cstr(paths[i].addr)));
		assert_true(slice_eq(p.domain, slice_cstr(paths[i].domain)));
		assert_int_equal(p.literal, paths[i].literal);
		assert_true(cur_done(&c));
	}
}

/* "<" n octets "@" m octets ">" */
static enum smtp_addr lengths(size_t local, size_t domain)
{
	char text[1024] = "<";
	struct smtp_path p;
	struct cur c;
	size_t n = 1;

	memset(text + n, 'a', local);
	n += local;
	text[n++] = '@';
	for (size_t i = 0; i < domain; i++) {
		text[n++] = i % 2 && i + 1 < domain ? '.' : 'b';
	}
	text[n++] = '>';
	c = cur_init(slice_make(text, n));
	return smtp_path_parse(&c, false, &p);
}

static void lengths_are_exact(void **state)
{
	(void)state;
	assert_int_equal(lengths(64, 10), SMTP_ADDR_OK);
	assert_int_equal(lengths(65, 10), SMTP_ADDR_LONG);
	assert_int_equal(lengths(1, 252), SMTP_ADDR_OK);
	assert_int_equal(lengths(1, 253), SMTP_ADDR_LONG);
	assert_int_equal(lengths(1, 256), SMTP_ADDR_LONG);
}

static void names_for_ehlo(void **state)
{
	static const char *const good[] = { "x",	  "a.b.example", "a_b.example",
					    "a.example.", "[192.0.2.1]", "[IPv6:2001:db8::1]",
					    "192.0.2.1" };
	static const char *const bad[] = {
		"",	  ".",	    "a..b",	"-a",	    "a b",  "[",
		"[IPv6:", "[1.2.3", "[1.2.3]x", "\xc3\xa9", "a\rb", "[]"
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_true(smtp_helo_ok(slice_cstr(good[i])));
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_false(smtp_helo_ok(slice_cstr(bad[i])));
	}
}

static void parameters(void **state)
{
	static const char *const bad[] = { "x",	  "  A",    " =",      " A=", " A=b=c",
					   " -A", " A\x01", " A=\x7f", " " };
	struct cur c = cur_init(S(" SIZE=10 SMTPUTF8 X-Y=a+2Bb"));
	struct smtp_param p;

	(void)state;
	assert_int_equal(smtp_param_next(&c, &p), 1);
	assert_true(slice_eq(p.name, S("SIZE")));
	assert_true(slice_eq(p.value, S("10")));
	assert_int_equal(smtp_param_next(&c, &p), 1);
	assert_true(slice_eq(p.name, S("SMTPUTF8")));
	assert_null(p.value.p);
	assert_int_equal(smtp_param_next(&c, &p), 1);
	assert_true(slice_eq(p.value, S("a+2Bb")));
	assert_int_equal(smtp_param_next(&c, &p), 0);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		c = cur_init(slice_cstr(bad[i]));
		assert_int_equal(smtp_param_next(&c, &p), -1);
	}
}

static void xtext(void **state)
{
	(void)state;
	assert_true(smtp_xtext_ok(S("")));
	assert_true(smtp_xtext_ok(S("a+2Bb+3Dc")));
	assert_false(smtp_xtext_ok(S("a+0Ab")));
	assert_false(smtp_xtext_ok(S("a+00")));
	assert_false(smtp_xtext_ok(S("a+2")));
	assert_false(smtp_xtext_ok(S("a+")));
	assert_false(smtp_xtext_ok(S("a+2b")));
	assert_false(smtp_xtext_ok(S("a=b")));
	assert_false(smtp_xtext_ok(S("a b")));
	assert_false(smtp_xtext_ok(S("a\xff")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths_are_read), cmocka_unit_test(lengths_are_exact),
		cmocka_unit_test(names_for_ehlo), cmocka_unit_test(parameters),
		cmocka_unit_test(xtext),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
