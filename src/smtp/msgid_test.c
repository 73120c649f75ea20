/* The Message-ID scanner, each message at every cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/err.h"
#include "smtp/msgid.h"

static const struct {
	struct slice message;
	struct slice value;
} cases[] = {
	{ S(""), S("") },
	{ S("Message-ID: <a@b>\r\n\r\n"), S("<a@b>") },
	{ S("Message-ID:<a@b>\n\n"), S("<a@b>") },
	{ S("From: x\r\nMESSAGE-id \t: <A@b> \r\nTo: y\r\n\r\n"), S("<A@b>") },
	{ S("Message-ID:\r\n <a@b>\r\n\tc\r\nMessage-ID: <2@b>\r\n"), S("<a@b>\tc") },
	{ S("Message-ID: <a@b>\r\nMessage-ID: <2@b>\r\n"), S("<a@b>") },
	{ S("Message-ID: <a@b>"), S("<a@b>") }, /* broken off */
	{ S("Message-ID\r\nMessage-ID: <a@b>\r\n"), S("<a@b>") },
	{ S("Message-I\nMessage-ID: <a@b>\r\n"), S("<a@b>") },
	{ S("X-Message-ID: <a@b>\r\n\r\n"), S("") },
	{ S("Message-IDs: <a@b>\r\n\r\n"), S("") },
	{ S(" Message-ID: <a@b>\r\n\r\n"), S("") },
	{ S("From: x\r\n\r\nMessage-ID: <body@b>\r\n"), S("") },
	{ S("\r\nMessage-ID: <body@b>\r\n"), S("") },
	{ S("\rMessage-ID: <a@b>\r\nMessage-ID: <c@b>\r\n"), S("<c@b>") },
	{ S("Message-ID: a\rb\x1b\0c\r\n\r\n"), S("ab\x1b\0c") },
};

static void finds_it_at_any_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct slice text = cases[i].message;

		for (size_t n = 1; n <= text.n + 1; n++) {
			struct smtp_msgid m = { 0 };
			struct slice got;

			for (size_t at = 0; at < text.n; at += n) {
				smtp_msgid_feed(&m, slice_sub(text, at, n));
			}
			got = smtp_msgid_value(&m);
			assert_int_equal(got.n, cases[i].value.n);
			assert_true(slice_eq(got, cases[i].value));
		}
	}
}

static void keeps_a_bounded_value(void **state)
{
	static char big[10 * 1024];
	struct smtp_msgid m = { 0 };

	(void)state;
	memset(big, 'x', sizeof(big));
	smtp_msgid_feed(&m, S("Message-ID:"));
	smtp_msgid_feed(&m, slice_make(big, sizeof(big)));
	smtp_msgid_feed(&m, S("\r\nSubject: y\r\n\r\n"));
	assert_int_equal(smtp_msgid_value(&m).n, SMTP_MSGID_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_it_at_any_cut),
		cmocka_unit_test(keeps_a_bounded_value),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
