/* Authentication-Results: what is written, and who claims to be us. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/err.h"
#include "trust/authres.h"

static void fields_are_written(void **state)
{
	struct buf b = BUF_INIT(4096);

	(void)state;
	authres_begin(&b, S("mx.example.org"));
	authres_method(&b, "spf", TRUST_PASS, S(""));
	authres_property(&b, "smtp.mailfrom", S("joe@example.com"));
	authres_method(&b, "dkim", TRUST_PERMERROR, S("no key \"x\"\r\nfor y"));
	authres_property(&b, "header.d", S("example.com"));
	authres_property(&b, "header.b", S("abc+/12="));
	authres_comment(&b, S("a (b) \\ c\r\nd"));
	authres_end(&b);
	assert_string_equal(buf_cstr(&b),
			    "Authentication-Results: mx.example.org;\r\n"
			    "\tspf=pass smtp.mailfrom=joe@example.com;\r\n"
			    "\tdkim=permerror reason=\"no key \\\"x\\\"??for y\" "
			    "header.d=example.com header.b=\"abc+/12=\" (a b  cd)\r\n");
	buf_reset(&b);
	authres_begin(&b, S("mx"));
	authres_end(&b);
	assert_string_equal(buf_cstr(&b), "Authentication-Results: mx; none\r\n");
	buf_fini(&b);
}

/* What a sender chose stays one value. */
static const char *const values[][2] = {
	{ "joe@example.com", "joe@example.com" },
	{ "any@legit.com(.attacker.com", "\"any@legit.com(.attacker.com\"" },
	{ "o'neil@example.com", "\"o'neil@example.com\"" },
	{ "a;dkim=pass@x", "\"a;dkim=pass@x\"" },
	{ "\"a b\"@x", "\"\\\"a b\\\"@x\"" },
	{ "a@b@c", "\"a@b@c\"" },
	{ "a\r\nX: y", "\"a??X: y\"" },
	{ "trailing@", "\"trailing@\"" },
	{ "x\\", "\"x\\\\\"" },
};

static void values_stay_values(void **state)
{
	struct buf b = BUF_INIT(4096);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		buf_reset(&b);
		authres_property(&b, "p", slice_cstr(values[i][0]));
		assert_memory_equal(buf_cstr(&b), " p=", 3);
		assert_string_equal(buf_cstr(&b) + 3, values[i][1]);
	}
	buf_fini(&b);
}

static const struct {
	const char *body;
	bool ours;
} claims[] = {
	{ " mx.example.org; spf=pass", true },
	{ " MX.Example.ORG; spf=pass", true },
	{ "mx.example.org;", true },
	{ " mx.example.org", true },
	{ " mx.example.org 1; spf=pass", true },
	{ "\r\n\tmx.example.org\r\n ;spf=pass", true },
	{ " (a (nested) \\) comment) mx.example.org (b); none", true },
	{ " \"mx.example.org\"; none", true },
	{ " \"mx.\\example.org\"; none", true },
	{ " mx.example.org(x); none", true },
	{ " mx.example.org.; none", true },
	{ " other.example.org; spf=pass", false },
	{ " xmx.example.org; spf=pass", false },
	{ " mx.example.org.evil.example; spf=pass", false },
	/* Cannot be read: nobody must take it for ours. */
	{ "", true },
	{ " (never ends", true },
	{ " ; spf=pass", true },
	{ " \"\"; spf=pass", true },
};

static void claims_are_seen(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(claims); i++) {
		assert_int_equal(authres_claims(slice_cstr(claims[i].body), S("mx.example.org")),
				 claims[i].ours);
	}
}

static const struct {
	const char *body;
	bool passes;
} said[] = {
	{ "mx.example; spf=fail; dmarc=pass header.from=a", true },
	{ "mx.example 1; DMARC = Pass (p=none)", true },
	{ "mx; dmarc/1=pass", true },
	{ "mx;\r\n\t(c) dmarc (d) / 1 = (e) pass", true },
	{ "mx; dmarc=pass", true },
	{ "mx; spf=pass reason=\"x; y\"; dmarc=pass", true },
	{ "dmarc=pass; spf=fail", false },
	{ "mx; dmarc=fail", false },
	{ "mx; dmarc=passed", false },
	{ "mx; xdmarc=pass", false },
	{ "mx; spf=fail smtp.mailfrom=dmarc=pass@evil.example", false },
	{ "mx; spf=fail smtp.mailfrom=\"x; dmarc=pass\"", false },
	{ "mx; spf=fail smtp.mailfrom=\"x\\\"; dmarc=pass\"", false },
	{ "mx; spf=fail (x; dmarc=pass)", false },
	{ "mx; spf=fail (x (y); dmarc=pass)", false },
	{ "mx; spf=fail \"; dmarc=pass", false },
	{ "mx; spf=fail (; dmarc=pass", false },
	{ "mx", false },
	{ "", false },
};

static void results_stand_in_their_place(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(said); i++) {
		bool passes = authres_says(slice_cstr(said[i].body), "dmarc", TRUST_PASS);

		if (passes != said[i].passes) {
			fail_msg("%s: %d", said[i].body, passes);
		}
	}
}

static void forged_ones_go(void **state)
{
	struct buf b = BUF_INIT(4096);
	struct slice header = S("Subject: a\r\n"
				"authentication-results : mx; spf=pass\r\n\tx=y\r\n"
				"Authentication-Results: theirs; spf=fail\r\n"
				"X: AUTHENTICATION-RESULTS: mx; none\r\n"
				"AUTHENTICATION-RESULTS: (c) MX; none\r\n"
				"\r\n");

	(void)state;
	assert_int_equal(authres_strip(header, S("mx"), &b), 2);
	assert_string_equal(buf_cstr(&b), "Subject: a\r\n"
					  "Authentication-Results: theirs; spf=fail\r\n"
					  "X: AUTHENTICATION-RESULTS: mx; none\r\n"
					  "\r\n");
	buf_reset(&b);
	assert_int_equal(authres_strip(header, S("nobody"), &b), 0);
	assert_int_equal(b.n, 0);
	buf_fini(&b);
}

static void lines_stay_short(void **state)
{
	struct buf b = BUF_INIT(16384);
	char text[600];
	struct slice rest;

	(void)state;
	memset(text, '"', sizeof(text));
	authres_begin(&b, S("mx.example.org"));
	authres_method(&b, "dkim", TRUST_FAIL, slice_make(text, sizeof(text)));
	for (int i = 0; i < 6; i++) {
		authres_property(&b, "smtp.mailfrom", slice_make(text, (size_t)(i + 1) * 100));
		authres_comment(&b, S("x"));
	}
	authres_end(&b);
	rest = buf_slice(&b);
	while (rest.n) {
		struct slice line = slice_split(&rest, '\n');

		assert_true(line.n <= 999);
		assert_true(rest.n == 0 || rest.p[0] == '\t');
	}
	buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_are_written),
		cmocka_unit_test(values_stay_values),
		cmocka_unit_test(claims_are_seen),
		cmocka_unit_test(results_stand_in_their_place),
		cmocka_unit_test(forged_ones_go),
		cmocka_unit_test(lines_stay_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
