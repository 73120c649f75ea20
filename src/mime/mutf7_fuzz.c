/*
 * Fuzzer of mutf7.c: a name that is accepted is the only spelling of what it
 * means, in both directions, and a refusal adds nothing.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/utf8.h"
#include "mime/charset.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool ok)
{
	if (!ok) {
		abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct slice in = slice_make((const char *)data, n);
	struct buf one = BUF_INIT(1u << 24);
	struct buf two = BUF_INIT(1u << 24);

	if (mutf7_to_utf8(in, &one) == 0) {
		check(utf8_valid(buf_slice(&one)));
		check(mutf7_from_utf8(buf_slice(&one), &two) == 0);
		check(slice_eq(buf_slice(&two), in));
	} else {
		check(one.n == 0);
	}
	buf_reset(&one);
	buf_reset(&two);
	if (mutf7_from_utf8(in, &one) == 0) {
		check(!slice_has_8bit(buf_slice(&one)));
		check(mutf7_to_utf8(buf_slice(&one), &two) == 0);
		check(slice_eq(buf_slice(&two), in));
	} else {
		check(one.n == 0);
	}
	buf_fini(&one);
	buf_fini(&two);
	return 0;
}
