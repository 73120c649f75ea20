/* binary: what becomes base64, what stays, what cannot be; and that it can be undone. */
#include "mime/binary.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/codec.h"

struct sink {
	struct buf b;
	int fail; /* what put says from now on */
};

static int put(void *arg, struct slice data)
{
	struct sink *s = arg;

	buf_add(&s->b, data);
	return s->fail;
}

static int run(struct slice msg, bool lines, struct sink *out)
{
	struct spool *spool = NULL;
	struct err e = ERR_INIT;
	struct mime_binary b = { .put = put, .arg = out, .lines = lines };
	int r;

	co_enter();
	assert_int_equal(spool_new("/tmp", 64u << 20, &spool), 0);
	assert_int_equal(spool_write(spool, msg, &e), 0);
	b.in = spool;
	buf_reset(&out->b);
	r = mime_binary_write(&b, &e);
	spool_free(&spool);
	return r;
}

#define MIXED "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
#define BINARY "Content-Transfer-Encoding: binary\r\n"
#define BASE64 "Content-Transfer-Encoding: base64\r\n"

static const struct {
	struct slice in, out;
} good[] = {
	/* nothing to do */
	{ S(""), S("") },
	{ S("a: b\r\n\r\nbody\r\n"), S("a: b\r\n\r\nbody\r\n") },
	{ S(BINARY "\r\nlines\r\n"), S(BINARY "\r\nlines\r\n") },
	{ S(MIXED "--b\r\n" BINARY "\r\nlines\r\n--b--\r\n"),
	  S(MIXED "--b\r\n" BINARY "\r\nlines\r\n--b--\r\n") },
	/* the message itself */
	{ S("a: b\r\n" BINARY "c: d\r\n\r\n\0\1\2"), S("a: b\r\n" BASE64 "c: d\r\n\r\nAAEC\r\n") },
	{ S(BINARY BINARY "\r\nx\n"), S(BASE64 "\r\neAo=\r\n") },
	{ S("content-transfer-encoding:\r\n BINARY \r\n\r\nx\r"), S(BASE64 "\r\neA0=\r\n") },
	/* parts; what is beside them stays */
	{ S(MIXED "pre\r\n--b\r\n\r\ntext\r\n--b\r\n" BINARY "\r\n\n\r\n--b\r\n" BINARY
		  "\r\nok\r\n--b--\r\npost\r\n"),
	  S(MIXED "pre\r\n--b\r\n\r\ntext\r\n--b\r\n" BASE64 "\r\nCg==\r\n--b\r\n" BINARY
		  "\r\nok\r\n--b--\r\npost\r\n") },
	/* a line of the message's end that is none */
	{ S(MIXED "--b\r\n" BINARY "\r\n\r\n.\r\n\0\r\n--b--\r\n"),
	  S(MIXED "--b\r\n" BASE64 "\r\nDQouDQoA\r\n--b--\r\n") },
};

static void test_good(void **state)
{
	struct sink out = { .b = BUF_INIT(1 << 20) };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_int_equal(run(good[i].in, true, &out), 0);
		if (!slice_eq(buf_slice(&out.b), good[i].out)) {
			fail_msg("%zu: %s", i, buf_cstr(&out.b));
		}
		assert_int_equal(run(good[i].in, false, &out), 0);
		assert_true(slice_eq(buf_slice(&out.b), good[i].out));
	}
	buf_fini(&out.b);
}

static const struct {
	struct slice in;
	bool only_lines; /* refused there, taken otherwise */
} bad[] = {
	{ S("a: b\0\r\n\r\n"), false },
	{ S("\r\nbody\0\r\n"), false },
	{ S(BINARY "a: \0\r\n\r\n\0"), false },
	{ S(MIXED "\0--b\r\n" BINARY "\r\n\0\r\n--b--\r\n"), false },
	{ S(MIXED "--b\r\n\r\n\0\r\n--b\r\n" BINARY "\r\n\0\r\n--b--\r\n"), false },
	{ S(MIXED "--b\r\n" BINARY "\r\n\0\r\n--b--\r\n\0"), false },
	{ S("a: b\n\r\n"), true },
	{ S("\r\nbody\rbody"), true },
	{ S("\r\nbody\r"), true },
	{ S(BINARY "a: x\ny: z\r\n\r\n\0"), true },
	{ S(MIXED "--b\r\n" BINARY "\r\n\0\r\n--b--\r\n\n.\n"), true },
	{ S("Content-Transfer-Encoding: 8bit\r\n\r\n\n.\n"), true },
};

static void test_bad(void **state)
{
	struct sink out = { .b = BUF_INIT(1 << 20) };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(run(bad[i].in, true, &out), -EILSEQ);
		assert_int_equal(run(bad[i].in, false, &out), bad[i].only_lines ? 0 : -EILSEQ);
	}
	buf_fini(&out.b);
}

/* 300 KB of every octet, through a file, and back. */
static void test_large(void **state)
{
	enum { N = 300001 };
	static char body[N];
	struct buf msg = BUF_INIT(1 << 20), back = BUF_INIT(1 << 20), lines = BUF_INIT(1 << 20);
	struct sink out = { .b = BUF_INIT(1 << 20) };
	struct slice rest;

	(void)state;
	for (size_t i = 0; i < N; i++) {
		body[i] = (char)(i ^ i >> 8);
	}
	buf_adds(&msg, BINARY "\r\n");
	buf_add(&msg, slice_make(body, N));
	assert_int_equal(run(buf_slice(&msg), true, &out), 0);
	rest = slice_from(buf_slice(&out.b), sizeof(BASE64) + 1);
	while (rest.n > 0) {
		struct slice line = slice_split(&rest, '\n');

		assert_in_range(line.n, 2, 77);
		buf_add(&lines, slice_sub(line, 0, line.n - 1));
	}
	assert_int_equal(base64_decode(&back, buf_slice(&lines)), 0);
	assert_true(slice_eq(buf_slice(&back), slice_make(body, N)));
	buf_fini(&msg);
	buf_fini(&back);
	buf_fini(&lines);
	buf_fini(&out.b);
}

static void test_put_fails(void **state)
{
	struct sink out = { .b = BUF_INIT(1 << 20), .fail = 7 };

	(void)state;
	for (size_t i = 1; i < ARRAY_LEN(good); i++) {
		assert_int_equal(run(good[i].in, true, &out), 7);
	}
	buf_fini(&out.b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_put_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
