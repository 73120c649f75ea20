/* Tests of codec.c: strict refusals, lenient damage, splits at every byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/codec.h"
#include "base/err.h"

static void test_base64(void **state)
{
	static const char *const pairs[][2] = {
		{ "", "" },
		{ "f", "Zg==" },
		{ "fo", "Zm8=" },
		{ "foo", "Zm9v" },
		{ "foob", "Zm9vYg==" },
		{ "fooba", "Zm9vYmE=" },
		{ "foobar", "Zm9vYmFy" }, /* RFC 4648 10 */
	};
	struct buf b = BUF_INIT(1000);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		buf_reset(&b);
		base64_encode(&b, slice_cstr(pairs[i][0]));
		assert_string_equal(buf_cstr(&b), pairs[i][1]);
		buf_reset(&b);
		assert_int_equal(base64_decode(&b, slice_cstr(pairs[i][1])), 0);
		assert_string_equal(buf_cstr(&b), pairs[i][0]);
	}
	buf_reset(&b);
	base64_encode(&b, S("\xff\xef\xbe\0"));
	assert_string_equal(buf_cstr(&b), "/+++AA==");
	buf_fini(&b);
}

/* THREATS AU-02: one secret, one spelling. */
static void test_base64_strict(void **state)
{
	static const char *const bad[] = {
		"Z",	    "Zg",	"Zg=",	    "Zg===",	"Zg==\n", "Zm8",
		"Zh==",	    "Zm9=",	"Zm 9v",    "Z=g=",	"=",	  "====",
		"Zm9v====", "Zg==Zg==", "Zm9vZ===", "Zm9v\xc3", "-_-_",
	};
	struct buf b = BUF_INIT(1000);

	(void)state;
	buf_add(&b, S("kept"));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(base64_decode(&b, slice_cstr(bad[i])), -EINVAL);
		assert_true(slice_eq(buf_slice(&b), S("kept")));
	}
	assert_int_equal(base64_decode(&b, S("Zm\0v")), -EINVAL);
	buf_fini(&b);
}

static void test_hex(void **state)
{
	struct buf b = BUF_INIT(100);

	(void)state;
	hex_encode(&b, S("\0\xff\x1a"));
	assert_string_equal(buf_cstr(&b), "00ff1a");
	buf_reset(&b);
	assert_int_equal(hex_decode(&b, S("00fF1A")), 0);
	assert_true(slice_eq(buf_slice(&b), S("\0\xff\x1a")));
	assert_int_equal(hex_decode(&b, S("0")), -EINVAL);
	assert_int_equal(hex_decode(&b, S("000g")), -EINVAL);
	assert_int_equal(hex_decode(&b, S("0 0 ")), -EINVAL);
	assert_int_equal(b.n, 3);
	buf_fini(&b);
}

/* Decodes whole, then cut in two at every place, then byte by byte. */
static void check(enum codec_kind kind, struct slice in, struct slice want)
{
	struct buf b = BUF_INIT(4096);

	for (size_t cut = 0; cut <= in.n + 1; cut++) {
		struct codec c = { .kind = kind };
		buf_reset(&b);
		if (cut <= in.n) {
			codec_feed(&c, &b, slice_sub(in, 0, cut));
			codec_feed(&c, &b, slice_from(in, cut));
		} else {
			for (size_t i = 0; i < in.n; i++) {
				codec_feed(&c, &b, slice_sub(in, i, 1));
			}
		}
		codec_end(&c, &b);
		assert_int_equal(b.err, 0);
		if (!slice_eq(buf_slice(&b), want)) {
			fail_msg("kind %d, cut at %zu of \"%.*s\": \"%s\"", kind, cut,
				 SLICE_ARG(in), buf_cstr(&b));
		}
	}
	buf_fini(&b);
}

static void test_stream_base64(void **state)
{
	(void)state;
	check(CODEC_BASE64, S(""), S(""));
	check(CODEC_BASE64, S("Zm9v\r\nYmFy\r\n"), S("foobar"));
	check(CODEC_BASE64, S("Zg==\r\n"), S("f"));
	check(CODEC_BASE64,
	      S(" Z!m\0"
		"9 v"),
	      S("foo"));
	check(CODEC_BASE64, S("Zm8"), S("fo")); /* padding forgotten */
	check(CODEC_BASE64, S("Zm9vZ"), S("foo"));
	check(CODEC_BASE64, S("Zg==\r\n-- \r\nlist footer"), S("f"));
	check(CODEC_BASE64, S("=Zm=9v"), S("f"));
	check(CODEC_BASE64, S("Zm9v=Zm9v"), S("foofoo")); /* "=" where none may be */
}

static void test_stream_qp(void **state)
{
	(void)state;
	check(CODEC_QP, S("a=3Db=c3=A4"), S("a=b\xc3\xa4"));
	check(CODEC_QP, S("soft=\r\nbreak"), S("softbreak"));
	check(CODEC_QP, S("soft=\nbreak"), S("softbreak"));
	check(CODEC_QP, S("soft= \t\r\nbreak"), S("softbreak"));
	check(CODEC_QP, S("soft=\rbreak"), S("softbreak"));
	check(CODEC_QP, S("line \t \r\nnext  \n x"), S("line\r\nnext\n x"));
	check(CODEC_QP, S("a b\tc"), S("a b\tc"));
	check(CODEC_QP, S("end  "), S("end"));
	check(CODEC_QP, S("end="), S("end"));
	check(CODEC_QP, S("end= \t"), S("end"));
	check(CODEC_QP, S("end=\r"), S("end"));
	check(CODEC_QP, S("end=4"), S("end=4"));
	check(CODEC_QP, S("=ZZ=4Z= x==41"), S("=ZZ=4Z= x=A"));
	check(CODEC_QP, S("=4=41=\r\n"), S("=4A"));
	check(CODEC_QP, S("= =41"), S("= A"));
	check(CODEC_QP, S("=20=20\r\n"), S("  \r\n"));
	check(CODEC_QP, S("a_b\xff\0c"), S("a_b\xff\0c"));
}

/* More white space than may be held back is kept, in constant memory. */
static void test_stream_qp_long(void **state)
{
	char in[402], want[402];
	struct buf b = BUF_INIT(1000);
	struct codec c = { .kind = CODEC_QP };

	(void)state;
	memset(in, ' ', sizeof(in));
	in[400] = 'x';
	in[401] = '=';
	check(CODEC_QP, slice_make(in, 401), slice_make(in, 401));
	check(CODEC_QP, slice_make(in, 402), slice_make(in, 401));
	memset(want, ' ', sizeof(want));
	want[0] = '=';
	want[300] = 'x';
	check(CODEC_QP, slice_make(want, 301), slice_make(want, 301));
	codec_feed(&c, &b, slice_make(in, 400));
	assert_true(c.npend <= sizeof(c.pend));
	buf_fini(&b);
}

static void test_stream_q(void **state)
{
	(void)state;
	check(CODEC_Q, S("a_b=5F"), S("a b_"));
	check(CODEC_Q, S("x =\r\ny "), S("x =\r\ny "));
	check(CODEC_Q, S("=4"), S("=4"));
	check(CODEC_Q, S("="), S("="));
	check(CODEC_Q, S("==4_"), S("==4 "));
	check(CODEC_IDENTITY, S("=41\0\r"), S("=41\0\r"));
}

/* After codec_end the decoder is fresh. */
static void test_again(void **state)
{
	struct buf b = BUF_INIT(100);
	struct codec c = { .kind = CODEC_BASE64 };

	(void)state;
	codec_feed(&c, &b, S("Zg=="));
	codec_end(&c, &b);
	codec_feed(&c, &b, S("Zm8"));
	codec_end(&c, &b);
	assert_string_equal(buf_cstr(&b), "ffo");
	buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_base64),	  cmocka_unit_test(test_base64_strict),
		cmocka_unit_test(test_hex),	  cmocka_unit_test(test_stream_base64),
		cmocka_unit_test(test_stream_qp), cmocka_unit_test(test_stream_qp_long),
		cmocka_unit_test(test_stream_q),  cmocka_unit_test(test_again),
	};

	return cmocka_run_group_tests_name("base/codec", tests, NULL, NULL);
}
