/* The header scanner at any cut, and what submission changes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/err.h"
#include "smtp/header.h"

static const struct {
	const char *text;
	uint64_t len;
	unsigned received;
	bool done;
} headers[] = {
	{ "", 0, 0, false },
	{ "\r\n", 2, 0, true },
	{ "A: b\r\n\r\nbody", 8, 0, true },
	{ "A: b\r\n", 6, 0, false },
	{ "Received: a\r\nRECEIVED: b\r\n\tc\r\nX-Received: d\r\n\r\n"
	  "Received: body\r\n",
	  47, 2, true },
	{ " Received: folded\r\nReceived\r\n\r\n", 31, 0, true },
	{ "Received:\r\n\r\n", 13, 1, true },
};

static void scans_at_any_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
		struct slice text = slice_cstr(headers[i].text);

		for (size_t step = 1; step <= text.n + 1; step++) {
			struct smtp_header h = { 0 };

			for (size_t at = 0; at < text.n; at += step) {
				smtp_header_feed(&h, slice_sub(text, at, step));
			}
			assert_int_equal(h.len, headers[i].len);
			assert_int_equal(h.folded, headers[i].text[0] == ' ');
			assert_int_equal(h.received, headers[i].received);
			assert_int_equal(h.done, headers[i].done);
			assert_false(h.too_big);
		}
	}
}

static void limits_hold(void **state)
{
	static char big[SMTP_HEADER_MAX + 1];
	struct smtp_header h = { 0 };

	(void)state;
	memset(big, 'x', sizeof(big));
	smtp_header_feed(&h, slice_make(big, SMTP_HEADER_MAX));
	assert_false(h.too_big);
	smtp_header_feed(&h, S("x"));
	assert_true(h.too_big);
	h = (struct smtp_header){ 0 };
	for (unsigned i = 0; i < SMTP_HEADER_LINES_MAX; i++) {
		smtp_header_feed(&h, S("a\r\n"));
	}
	assert_false(h.too_big);
	smtp_header_feed(&h, S("a\r\n"));
	assert_true(h.too_big);
}

static enum smtp_fix fix(const char *text, struct buf *out)
{
	buf_reset(out);
	return smtp_header_fix(slice_cstr(text), "mx.example.test", 1767323045, out);
}

static void submission_is_completed(void **state)
{
	static const char whole[] = "Date: x\r\nMessage-ID: <1@x>\r\n"
				    "From: a@b\r\n\r\n";
	struct buf out = BUF_INIT(4096);

	(void)state;
	assert_int_equal(fix(whole, &out), SMTP_FIX_OK);
	assert_string_equal(buf_cstr(&out), whole);
	assert_int_equal(fix("FROM: a@b\r\nBcc: x,\r\n y\r\nTo: c\r\n\r\n", &out), SMTP_FIX_OK);
	assert_true(slice_starts(buf_slice(&out), S("Date: Fri, 02 Jan 2026 03:04:05 +0000\r\n"
						    "Message-ID: <")));
	assert_true(slice_ends(buf_slice(&out), S("@mx.example.test>\r\nFROM: a@b\r\nTo: c\r\n"
						  "\r\n")));
	buf_fini(&out);
}

static void authors_are_needed(void **state)
{
	struct buf out = BUF_INIT(4096);

	(void)state;
	assert_int_equal(fix("To: a\r\n\r\n", &out), SMTP_FIX_NO_FROM);
	assert_int_equal(fix("", &out), SMTP_FIX_NO_FROM);
	assert_int_equal(fix("From:  \r\n\r\n", &out), SMTP_FIX_NO_FROM);
	assert_int_equal(fix("From: a\r\nfrom: b\r\n\r\n", &out), SMTP_FIX_MANY_FROM);
	assert_int_equal(out.n, 0);
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scans_at_any_cut),
		cmocka_unit_test(limits_hold),
		cmocka_unit_test(submission_is_completed),
		cmocka_unit_test(authors_are_needed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
