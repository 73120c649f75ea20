/* Files of records, as postmasters have them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "cli/trust.h"
#include "co/co.h"

static void expect(struct dns *d, const char *name, const char *text)
{
	struct dns_answer ans;
	struct buf got = BUF_INIT(TRUST_RECORD_TEXT_MAX);
	struct arena a;

	co_enter();
	arena_init(&a, 1 << 20);
	assert_int_equal(dns_query(d, slice_cstr(name), DNS_TXT, 0, &a, &ans), 0);
	assert_int_equal(ans.n, 1);
	assert_int_equal(dns_rdata_txt(ans.rdata[0], &got), 0);
	assert_string_equal(buf_cstr(&got), text);
	buf_fini(&got);
	arena_fini(&a);
}

static void test_good(void **state)
{
	static const char *const lines[][3] = {
		{ "a.x TXT v=DKIM1; p=AA", "a.x", "v=DKIM1; p=AA" },
		{ "a.x. txt  plain text \r", "A.X", "plain text" },
		{ "a.x 300 IN TXT \"one\"", "a.x", "one" },
		{ "a.x\tIN\tTXT\t( \"one \" \"two\"\"three\" )", "a.x", "one twothree" },
		{ "a.x TXT \"a\\\"b\\\\c; d\"", "a.x", "a\"b\\c; d" },
		{ "# comment\n; another\n\na.x TXT (x)\n", "a.x", "x" },
		{ "a.x TXT v=DKIM1\\; p=", "a.x", "v=DKIM1\\; p=" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		const char *why = NULL;
		struct dns *d;

		assert_int_equal(dns_mem_new(&d), 0);
		assert_int_equal(trust_records_read(slice_cstr(lines[i][0]), d, &why), 0);
		expect(d, lines[i][1], lines[i][2]);
		dns_free(&d);
	}
}

static void test_bad(void **state)
{
	static const struct {
		struct slice text;
		int line;
		const char *why;
	} cases[] = {
		{ { "a.x", 3 }, 1, "expected" },
		{ { "a.x A 1.2.3.4", 13 }, 1, "expected" },
		{ { "a.x IN 300 TXT x", 16 }, 1, "expected" },
		{ { "a.x TXT", 7 }, 1, "text" },
		{ { "a.x TXT ()", 10 }, 1, "text" },
		{ { "# one\n\na.x TXT \"open", 20 }, 3, "text" },
		{ { "a.x TXT \"a\" b", 13 }, 1, "text" },
		{ { "a.x TXT \"a\\", 11 }, 1, "text" },
		{ { "a..x TXT b", 10 }, 1, "name" },
		{ { ". TXT b", 7 }, 1, "name" },
		{ { "a\0.x TXT b", 10 }, 1, "NUL" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *why = NULL;
		struct dns *d;

		assert_int_equal(dns_mem_new(&d), 0);
		assert_int_equal(trust_records_read(cases[i].text, d, &why), cases[i].line);
		assert_non_null(strstr(why, cases[i].why));
		dns_free(&d);
	}
}

static void test_long(void **state)
{
	struct buf text = BUF_INIT(1 << 20);
	const char *why = NULL;
	struct dns *d;

	(void)state;
	assert_int_equal(dns_mem_new(&d), 0);
	buf_adds(&text, "a.x TXT ");
	for (int i = 0; i < TRUST_RECORD_TEXT_MAX; i++) {
		buf_addc(&text, 'x');
	}
	assert_int_equal(trust_records_read(buf_slice(&text), d, &why), 0);
	buf_addc(&text, 'x');
	assert_int_equal(trust_records_read(buf_slice(&text), d, &why), 1);
	dns_free(&d);
	buf_fini(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
