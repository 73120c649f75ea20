/*
 * Fuzzes the Message-ID scanner: at once and octet by octet it finds the same,
 * bounded and on one line.
 */
#include "base/err.h"
#include "smtp/msgid.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct slice in = slice_make((const char *)data, n);
	struct smtp_msgid whole = { 0 }, steps = { 0 };
	struct slice got;

	smtp_msgid_feed(&whole, in);
	for (size_t i = 0; i < n; i++) {
		smtp_msgid_feed(&steps, slice_sub(in, i, 1));
	}
	got = smtp_msgid_value(&whole);
	assert(slice_eq(got, smtp_msgid_value(&steps)));
	assert(got.n <= SMTP_MSGID_MAX && slice_chr(got, '\n') == SIZE_MAX);
	assert(slice_chr(got, '\r') == SIZE_MAX);
	assert(got.n == 0 || slice_ifind(in, S("message-id")) != SIZE_MAX);
	return 0;
}
