/*
 * Canonical forms: the examples and hashes of RFC 6376 3.4, what is trailing
 * and what is not, and every body cut at every place.
 */
#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/codec.h"
#include "base/err.h"
#include "mime/header.h"
#include "trust/canon.h"

static void into_buf(void *arg, struct slice s)
{
	buf_add(arg, s);
}

/* The canonical body, fed in pieces of step octets after the first. */
static void body(enum canon how, struct slice in, size_t first, size_t step, struct buf *out)
{
	struct canon_sink sink;
	struct canon_body b;

	buf_reset(out);
	canon_sink_init(&sink, into_buf, out);
	canon_body_init(&b, how, &sink);
	canon_body_feed(&b, slice_sub(in, 0, first));
	for (size_t i = first; i < in.n; i += step) {
		canon_body_feed(&b, slice_sub(in, i, step));
	}
	canon_body_end(&b);
	assert_int_equal(sink.total, out->n);
}

static const struct {
	const char *in, *simple, *relaxed;
} bodies[] = {
	/* 3.4.5 */
	{ " C \r\nD \t E\r\n\r\n\r\n", " C \r\nD \t E\r\n", " C\r\nD E\r\n" },
	/* 3.4.3 and 3.4.4: nothing, and nothing but line ends */
	{ "", "\r\n", "" },
	{ "\r\n", "\r\n", "" },
	{ "\r\n\r\n\r\n", "\r\n", "" },
	{ " \t \r\n", " \t \r\n", "" },
	{ " \r\n\r\n \r\n", " \r\n\r\n \r\n", "" },
	/* the last line end is missing */
	{ "a", "a\r\n", "a\r\n" },
	{ "a ", "a \r\n", "a\r\n" },
	{ "a\r\n ", "a\r\n \r\n", "a\r\n" },
	/* empty lines that are not trailing */
	{ "\r\n\r\na\r\n", "\r\n\r\na\r\n", "\r\n\r\na\r\n" },
	{ "a\r\n\r\n\r\nb\r\n\r\n", "a\r\n\r\n\r\nb\r\n", "a\r\n\r\n\r\nb\r\n" },
	{ "a\r\n \r\nb", "a\r\n \r\nb\r\n", "a\r\n\r\nb\r\n" },
	{ "a\r\n\r\n b\tc  d", "a\r\n\r\n b\tc  d\r\n", "a\r\n\r\n b c d\r\n" },
	/* a CR or LF alone is text like any other */
	{ "a\rb\r\n", "a\rb\r\n", "a\rb\r\n" },
	{ "a\nb\r\n", "a\nb\r\n", "a\nb\r\n" },
	{ "a\r", "a\r\r\n", "a\r\r\n" },
	{ "a \r\r\n", "a \r\r\n", "a \r\r\n" },
	{ "\r\r\n", "\r\r\n", "\r\r\n" },
	{ "a\r\n\rb", "a\r\n\rb\r\n", "a\r\n\rb\r\n" },
	{ "a \rb", "a \rb\r\n", "a \rb\r\n" },
};

static void test_bodies(void **state)
{
	struct buf out = BUF_INIT(10000);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		struct slice in = slice_cstr(bodies[i].in);

		for (size_t cut = 0; cut <= in.n; cut++) {
			for (size_t step = 1; step <= in.n + 1; step += in.n ? in.n : 1) {
				body(CANON_SIMPLE, in, cut, step, &out);
				assert_string_equal(buf_cstr(&out), bodies[i].simple);
				body(CANON_RELAXED, in, cut, step, &out);
				assert_string_equal(buf_cstr(&out), bodies[i].relaxed);
			}
		}
	}
	buf_fini(&out);
}

/* Long runs go around the room for small ones, and in order. */
static void test_long_lines(void **state)
{
	struct buf in = BUF_INIT(1 << 20), out = BUF_INIT(1 << 20), want = BUF_INIT(1 << 20);

	(void)state;
	for (unsigned n = 1; n < 2000; n += 7) {
		for (unsigned i = 0; i < n; i++) {
			buf_addc(&in, (char)('a' + i % 26));
			buf_addc(&want, (char)('a' + i % 26));
		}
		buf_adds(&in, " \t\tx \r\n");
		buf_adds(&want, " x\r\n");
	}
	body(CANON_RELAXED, buf_slice(&in), 0, 1000, &out);
	assert_true(slice_eq(buf_slice(&out), buf_slice(&want)));
	body(CANON_SIMPLE, buf_slice(&in), 0, 4096, &out);
	assert_true(slice_eq(buf_slice(&out), buf_slice(&in)));
	buf_fini(&in);
	buf_fini(&out);
	buf_fini(&want);
}

static void test_hash_of_nothing(void **state)
{
	struct buf out = BUF_INIT(100), text = BUF_INIT(100);
	unsigned char md[32];

	(void)state;
	for (int how = 0; how < 2; how++) {
		body((enum canon)how, S(""), 0, 1, &out);
		assert_int_equal(EVP_Digest(out.p ? out.p : "", out.n, md, NULL, EVP_sha256(),
					    NULL),
				 1);
		buf_reset(&text);
		base64_encode(&text, slice_make((const char *)md, sizeof(md)));
		assert_string_equal(buf_cstr(&text),
				    how ? "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
					: "frcCV1k9oG9oKj3dpUqdJg1PxRT2RSN/XKdLCPjaYaY=");
	}
	buf_fini(&out);
	buf_fini(&text);
}

static void header(enum canon how, const char *text, const char *cut, bool last, struct buf *out)
{
	struct slice rest = slice_cstr(text);
	struct canon_field c = { .last = last };
	struct canon_sink sink;
	struct mime_field f;

	buf_reset(out);
	canon_sink_init(&sink, into_buf, out);
	while (mime_field_next(&rest, &f)) {
		c.raw = f.raw;
		c.name = f.name;
		c.body = f.body;
		if (cut) {
			size_t at = slice_find(f.body, slice_cstr(cut));
			c.cut = slice_sub(f.body, at, strlen(cut));
		}
		canon_header(how, &c, &sink);
	}
	canon_flush(&sink);
	assert_int_equal(sink.total, out->n);
}

static void test_headers(void **state)
{
	static const struct {
		const char *in, *relaxed;
	} cases[] = {
		{ "A: X\r\nB : Y\t\r\n\tZ  \r\n", "a:X\r\nb:Y Z\r\n" }, /* 3.4.5 */
		{ "SUBJect: AbC\r\n", "subject:AbC\r\n" },
		{ "s:\r\n", "s:\r\n" },
		{ "s:   \r\n", "s:\r\n" },
		{ "s:\r\n \r\n\t\r\n", "s:\r\n" },
		{ "s:\r\n a\r\n", "s:a\r\n" },
		{ "s: a\t \t b  c \r\n  d\r\n\r\n", "s:a b c d\r\n" },
		{ "s: a\rb\r\n", "s:a\rb\r\n" },
		{ "s: a\xc3\xa9\r\n", "s:a\xc3\xa9\r\n" },
	};
	struct buf out = BUF_INIT(10000);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct slice in = slice_cstr(cases[i].in);

		header(CANON_RELAXED, cases[i].in, NULL, false, &out);
		assert_string_equal(buf_cstr(&out), cases[i].relaxed);
		header(CANON_SIMPLE, cases[i].in, NULL, false, &out);
		if (slice_ends(in, S("\r\n\r\n"))) {
			in.n -= 2;
		}
		assert_true(slice_eq(buf_slice(&out), in));
	}
	/* the end of the header is the end of a file */
	header(CANON_SIMPLE, "S: x", NULL, false, &out);
	assert_string_equal(buf_cstr(&out), "S: x\r\n");
	buf_fini(&out);
}

static void test_cut(void **state)
{
	struct buf out = BUF_INIT(10000);

	(void)state;
	header(CANON_RELAXED, "D: a=1; b=\r\n xyz\r\n uvw; c=2 \r\n", "\r\n xyz\r\n uvw", true,
	       &out);
	assert_string_equal(buf_cstr(&out), "d:a=1; b=; c=2");
	header(CANON_RELAXED, "D: a=1; b= xyz \r\n", " xyz ", true, &out);
	assert_string_equal(buf_cstr(&out), "d:a=1; b=");
	header(CANON_SIMPLE, "D: a=1; b= xyz ; \r\n c=2 \r\n", " xyz ", true, &out);
	assert_string_equal(buf_cstr(&out), "D: a=1; b=; \r\n c=2 ");
	header(CANON_SIMPLE, "D: a=1; b=xyz\r\n", "xyz", true, &out);
	assert_string_equal(buf_cstr(&out), "D: a=1; b=");
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bodies),
		cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_hash_of_nothing),
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
