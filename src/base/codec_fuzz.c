/*
 * Fuzzes codec.c, utf8.c and the cursor with the same bytes. The first byte
 * picks the decoder and the second where the input is cut: decoding in two
 * pieces must give what decoding in one gives, strict decoding must be the
 * inverse of encoding, and whatever strict accepts lenient reads the same.
 */
#include "base/codec.h"
#include "base/cur.h"
#include "base/err.h"
#include "base/utf8.h"

#define FUZZ_MAX 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void pieces_agree(enum codec_kind kind, struct slice in, size_t cut)
{
	struct buf one = BUF_INIT(FUZZ_MAX * 2), two = BUF_INIT(FUZZ_MAX * 2);
	struct codec c = { .kind = kind }, d = { .kind = kind };

	codec_feed(&c, &one, in);
	codec_end(&c, &one);
	codec_feed(&d, &two, slice_sub(in, 0, cut));
	codec_feed(&d, &two, slice_from(in, cut));
	codec_end(&d, &two);
	assert(!one.err && one.n <= in.n);
	assert(slice_eq(buf_slice(&one), buf_slice(&two)));
	buf_fini(&one);
	buf_fini(&two);
}

static void strict_inverts(struct slice in)
{
	struct buf a = BUF_INIT(FUZZ_MAX * 4), b = BUF_INIT(FUZZ_MAX * 4);
	struct codec c = { .kind = CODEC_BASE64 };

	if (base64_decode(&a, in) == 0) {
		base64_encode(&b, buf_slice(&a));
		assert(slice_eq(buf_slice(&b), in)); /* only the canonical form */
		buf_reset(&b);
		codec_feed(&c, &b, in);
		codec_end(&c, &b);
		assert(slice_eq(buf_slice(&a), buf_slice(&b)));
	} else {
		assert(a.n == 0);
	}
	buf_reset(&a);
	buf_reset(&b);
	hex_encode(&a, in);
	assert(hex_decode(&b, buf_slice(&a)) == 0 && slice_eq(buf_slice(&b), in));
	buf_fini(&a);
	buf_fini(&b);
}

static void text(struct slice in)
{
	struct buf a = BUF_INIT(FUZZ_MAX * 4), b = BUF_INIT(FUZZ_MAX * 64);

	utf8_repair(&a, in);
	assert(!a.err && utf8_valid(buf_slice(&a)));
	assert(utf8_valid(in) == slice_eq(buf_slice(&a), in));
	assert(utf8_nfc(&b, buf_slice(&a)) == 0 && utf8_valid(buf_slice(&b)));
	buf_reset(&b);
	assert(utf8_fold(&b, buf_slice(&a)) == 0 && utf8_valid(buf_slice(&b)));
	buf_fini(&a);
	buf_fini(&b);
}

static void records(struct slice in)
{
	struct cur c = cur_init(in);

	while (!cur_done(&c)) {
		const char *before = c.p;
		struct slice s = cur_vbytes(&c, 64);
		assert(c.err || (s.n <= 64 && c.p > before && c.p <= c.end));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct slice in = slice_make((const char *)data, n);

	if (n < 2 || n > FUZZ_MAX) {
		return 0;
	}
	in = slice_from(in, 2);
	switch (data[0] % 6) {
	case 4:
		strict_inverts(in);
		break;
	case 5:
		text(in);
		records(in);
		break;
	default:
		pieces_agree((enum codec_kind)(data[0] % 6), in, in.n ? data[1] % in.n : 0);
	}
	return 0;
}
