/*
 * The dot framing, byte by byte: THREATS SM-01 and SM-02, dot-stuffing both
 * ways, and canonical line ends (PO-06, SM-03).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/err.h"
#include "io/dot.h"

struct result {
	struct buf out;
	unsigned flags;
	uint64_t size;
	size_t taken;
	bool done;
};

/* Decodes `in` in two pieces cut at `cut`, with piece size `step` inside. */
static struct result decode(struct slice in, size_t cut, size_t step)
{
	struct result r = { .out = BUF_INIT(1 << 20) };
	struct dot_dec d;

	dot_dec_init(&d);
	while (r.taken < in.n && !d.done) {
		size_t n = MIN(step, in.n - r.taken);

		if (r.taken < cut) {
			n = MIN(n, cut - r.taken);
		}
		n = dot_dec_feed(&d, slice_sub(in, r.taken, n), &r.out);
		assert_true(n > 0);
		r.taken += n;
	}
	assert_int_equal(r.out.err, 0);
	r.flags = d.flags;
	r.size = d.size;
	r.done = d.done;
	assert_int_equal(r.size, r.out.n);
	return r;
}

/* The same for every cut and for single bytes. */
static void check(struct slice in, struct slice want, unsigned flags, size_t taken)
{
	for (size_t cut = 0; cut <= in.n + 1; cut++) {
		/* The last round feeds one byte at a time. */
		struct result r = decode(in, cut, cut > in.n ? 1 : in.n);

		assert_int_equal(r.taken, taken);
		assert_true(r.done);
		assert_int_equal(r.flags, flags);
		assert_int_equal(r.out.n, want.n);
		assert_true(slice_eq(buf_slice(&r.out), want));
		buf_fini(&r.out);
	}
}

#define CHECK(in, want, flags, left) check(S(in), S(want), (flags), sizeof(in) - 1 - (left))

static void test_ordinary(void **state)
{
	(void)state;
	CHECK(".\r\n", "", 0, 0);
	CHECK("\r\n.\r\n", "\r\n", 0, 0);
	CHECK("a\r\n.\r\n", "a\r\n", 0, 0);
	CHECK("a\r\nb\r\n.\r\nQUIT\r\n", "a\r\nb\r\n", 0, 6);
	CHECK("..\r\n.\r\n", ".\r\n", 0, 0);
	CHECK("...\r\n.\r\n", "..\r\n", 0, 0);
	CHECK(".x\r\n.\r\n", "x\r\n", 0, 0);
	CHECK("a.\r\n.\r\n", "a.\r\n", 0, 0);
	CHECK("\xc3\xa4\r\n.\r\n", "\xc3\xa4\r\n", DOT_8BIT, 0);
}

/* Each of SM-01's false ends, followed by commands and then a true end. */
static void test_smuggling(void **state)
{
	(void)state;
#define REST "MAIL FROM:<a@b>\r\n"
#define TRUE_END ".\r\n"
	CHECK("x\n.\n" REST TRUE_END, "x\n.\n" REST, DOT_BARE_LF, 0);
	CHECK("x\n.\r\n" REST TRUE_END, "x\n.\r\n" REST, DOT_BARE_LF, 0);
	CHECK("x\r\n.\n" REST TRUE_END, "x\r\n\n" REST, DOT_BARE_LF, 0);
	CHECK("x\r.\r" REST TRUE_END, "x\r.\r" REST, DOT_BARE_CR, 0);
	CHECK("x\r.\n" REST TRUE_END, "x\r.\n" REST, DOT_BARE_CR | DOT_BARE_LF, 0);
	CHECK("x\n.\r" REST TRUE_END, "x\n.\r" REST, DOT_BARE_LF | DOT_BARE_CR, 0);
	CHECK("x\r.\r\n" REST TRUE_END, "x\r.\r\n" REST, DOT_BARE_CR, 0);
	CHECK("x\r\n.\r" REST TRUE_END, "x\r\n\r" REST, DOT_BARE_CR, 0);
	CHECK("x\r\n.\r\r\n" REST TRUE_END, "x\r\n\r\r\n" REST, DOT_BARE_CR, 0);
	CHECK("x\r\r\n.\r\r\n" REST TRUE_END, "x\r\r\n\r\r\n" REST, DOT_BARE_CR, 0);
	CHECK("x\r\n\0.\r\n" REST TRUE_END, "x\r\n\0.\r\n" REST, DOT_NUL, 0);
	CHECK("x\r\n.\0\r\n" REST TRUE_END, "x\r\n\0\r\n" REST, DOT_NUL, 0);
	CHECK("x\r\n.\r.\r\n" REST TRUE_END, "x\r\n\r.\r\n" REST, DOT_BARE_CR, 0);
	CHECK("\n.\r\n" REST TRUE_END, "\n.\r\n" REST, DOT_BARE_LF, 0);
	CHECK("\r.\r\n" REST TRUE_END, "\r.\r\n" REST, DOT_BARE_CR, 0);
}

static void long_line(size_t n, unsigned flags)
{
	struct buf in = BUF_INIT(4096);
	struct result r;

	memset(buf_reserve(&in, n), 'x', n);
	buf_commit(&in, n);
	buf_add(&in, S("\r\n.\r\n"));
	for (size_t step = 1; step <= in.n; step += 499) {
		r = decode(buf_slice(&in), 0, step);
		assert_true(r.done);
		assert_int_equal(r.flags, flags);
		assert_int_equal(r.size, n + 2);
		buf_fini(&r.out);
	}
	buf_fini(&in);
}

static void test_long_lines(void **state)
{
	(void)state;
	long_line(998, 0);
	long_line(999, DOT_LONG_LINE);
	long_line(2000, DOT_LONG_LINE);
}

/* A full output buffer says so, and the end is still found. */
static void test_output_full(void **state)
{
	struct buf out = BUF_INIT(4);
	struct slice in = S("123456789\r\n.\r\nrest");
	struct dot_dec d;

	(void)state;
	dot_dec_init(&d);
	assert_int_equal(dot_dec_feed(&d, in, &out), in.n - 4);
	assert_true(d.done);
	assert_int_equal(out.err, -EMSGSIZE);
	assert_int_equal(d.size, 11);
	/* Nothing is taken after the end. */
	assert_int_equal(dot_dec_feed(&d, S("more"), &out), 0);
	buf_fini(&out);
}

static void encode(struct slice in, bool canon, struct slice want)
{
	for (size_t step = 1; step <= in.n + 1; step++) {
		struct buf out = BUF_INIT(4096);
		struct dot_enc e = { 0 };

		for (size_t at = 0; at < in.n; at += step) {
			dot_enc_feed(&e, slice_sub(in, at, step), canon, &out);
		}
		dot_enc_end(&e, &out);
		assert_int_equal(out.err, 0);
		assert_int_equal(out.n, want.n);
		assert_true(slice_eq(buf_slice(&out), want));
		buf_fini(&out);
	}
}

static void test_encode(void **state)
{
	(void)state;
	encode(S(""), false, S(".\r\n"));
	encode(S(""), true, S(".\r\n"));
	encode(S("a\r\n"), false, S("a\r\n.\r\n"));
	encode(S("a"), false, S("a\r\n.\r\n"));
	encode(S(".\r\n"), false, S("..\r\n.\r\n"));
	encode(S(".\r\n.\r\n..a\r\n"), true, S("..\r\n..\r\n...a\r\n.\r\n"));
	encode(S("a.b\r\n"), true, S("a.b\r\n.\r\n"));
	encode(S("\r\n\r\n"), true, S("\r\n\r\n.\r\n"));
	/* Canonical: every line end becomes CRLF, then a dot is a dot. */
	encode(S("a\n.\nb\r.\r"), true, S("a\r\n..\r\nb\r\n..\r\n.\r\n"));
	encode(S("a\n\n\r\rb"), true, S("a\r\n\r\n\r\n\r\nb\r\n.\r\n"));
	encode(S("a\r\r\nb"), true, S("a\r\n\r\nb\r\n.\r\n"));
	/* As it is: only CRLF ends a line. */
	encode(S("a\n.b\r\n"), false, S("a\n.b\r\n.\r\n"));
	encode(S("a\r"), false, S("a\r\r\n.\r\n"));
	encode(S("a\n"), false, S("a\n\r\n.\r\n"));
}

/* What was encoded decodes to the same, whatever it is made of. */
static void test_round_trip(void **state)
{
	static const char alphabet[] = "\r\n.ax";
	unsigned seed = 1;

	(void)state;
	for (int round = 0; round < 3000; round++) {
		struct buf text = BUF_INIT(256);
		struct buf wire = BUF_INIT(1024);
		struct dot_enc e = { 0 };
		struct result r;

		for (int i = 0; i < round % 40; i++) {
			seed = seed * 1103515245u + 12345u;
			buf_addc(&text, alphabet[(seed >> 16) % 5]);
		}
		buf_add(&text, S("\r\n"));
		dot_enc_feed(&e, buf_slice(&text), false, &wire);
		dot_enc_end(&e, &wire);
		r = decode(buf_slice(&wire), (seed >> 16) % (wire.n + 1), wire.n);
		assert_true(r.done);
		assert_int_equal(r.taken, wire.n);
		assert_true(slice_eq(buf_slice(&r.out), buf_slice(&text)));
		buf_fini(&r.out);
		buf_fini(&text);
		buf_fini(&wire);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ordinary),   cmocka_unit_test(test_smuggling),
		cmocka_unit_test(test_long_lines), cmocka_unit_test(test_output_full),
		cmocka_unit_test(test_encode),	   cmocka_unit_test(test_round_trip),
	};

	return cmocka_run_group_tests_name("dot", tests, NULL, NULL);
}
