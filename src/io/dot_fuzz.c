/*
 * The dot decoder against a naive one that looks at the whole text at once,
 * with the cut between pieces taken from the input; and the encoder against
 * the decoder.
 */
#include "base/err.h"
#include "io/dot.h"

#define FUZZ_MAX 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Where the first true end mark ends, or SIZE_MAX. */
static size_t naive_end(struct slice s)
{
	size_t at;

	if (slice_starts(s, S(".\r\n"))) {
		return 3;
	}
	at = slice_find(s, S("\r\n.\r\n"));
	return at == SIZE_MAX ? SIZE_MAX : at + 5;
}

/* The text before the end mark without the dots that begin lines. */
static void naive_decode(struct slice s, struct buf *out)
{
	for (size_t i = 0; i < s.n; i++) {
		bool start = i == 0 || (i >= 2 && s.p[i - 2] == '\r' && s.p[i - 1] == '\n');

		if (!(start && s.p[i] == '.')) {
			buf_addc(out, s.p[i]);
		}
	}
}

static unsigned naive_flags(struct slice s)
{
	unsigned flags = 0;

	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c == '\r' && (i + 1 == s.n || s.p[i + 1] != '\n')) {
			flags |= DOT_BARE_CR;
		} else if (c == '\n' && (i == 0 || s.p[i - 1] != '\r')) {
			flags |= DOT_BARE_LF;
		} else if (c == 0) {
			flags |= DOT_NUL;
		} else if (c >= 0x80) {
			flags |= DOT_8BIT;
		}
	}
	return flags;
}

static void decode_both(struct slice in, size_t cut)
{
	struct buf got = BUF_INIT(2 * FUZZ_MAX);
	struct buf want = BUF_INIT(2 * FUZZ_MAX);
	size_t end = naive_end(in);
	struct dot_dec d;
	size_t n;

	dot_dec_init(&d);
	n = dot_dec_feed(&d, slice_sub(in, 0, cut), &got);
	if (!d.done) {
		assert(n == cut);
		n += dot_dec_feed(&d, slice_from(in, cut), &got);
	}
	assert(d.done == (end != SIZE_MAX));
	assert(n == (d.done ? end : in.n));
	assert(got.err == 0 && d.size == got.n);
	if (d.done) {
		struct slice body = slice_sub(in, 0, end - 3);

		naive_decode(body, &want);
		assert(slice_eq(buf_slice(&got), buf_slice(&want)));
		assert((d.flags & ~(unsigned)DOT_LONG_LINE) == naive_flags(body));
	}
	buf_fini(&got);
	buf_fini(&want);
}

static void there_and_back(struct slice in, size_t cut, bool canon)
{
	struct buf wire = BUF_INIT(4 * FUZZ_MAX);
	struct buf back = BUF_INIT(4 * FUZZ_MAX);
	struct dot_enc e = { 0 };
	struct dot_dec d;

	dot_enc_feed(&e, slice_sub(in, 0, cut), canon, &wire);
	dot_enc_feed(&e, slice_from(in, cut), canon, &wire);
	dot_enc_end(&e, &wire);
	assert(wire.err == 0);
	dot_dec_init(&d);
	assert(dot_dec_feed(&d, buf_slice(&wire), &back) == wire.n && d.done);
	if (canon) {
		assert((d.flags & (DOT_BARE_CR | DOT_BARE_LF)) == 0);
	} else {
		/* All of it, and perhaps the line end that was missing. */
		assert(slice_starts(buf_slice(&back), in));
		assert(back.n == in.n || back.n == in.n + 2);
	}
	buf_fini(&wire);
	buf_fini(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in;
	size_t cut;

	if (size < 2 || size > FUZZ_MAX) {
		return 0;
	}
	in = slice_make((const char *)data + 2, size - 2);
	cut = in.n ? (data[0] << 8 | data[1]) % (in.n + 1) : 0;
	decode_both(in, cut);
	there_and_back(in, cut, false);
	there_and_back(in, cut, true);
	return 0;
}
