/* Tests of cur.c: each helper at its boundary, and the sticky error. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/cur.h"
#include "base/err.h"

static const cur_class letters = { ['a'] = 1, ['b'] = 1, ['c'] = 1 };

static void test_bytes(void **state)
{
	struct cur c = cur_init(S("a\xff"));

	(void)state;
	assert_int_equal(cur_peek(&c), 'a');
	assert_int_equal(cur_byte(&c), 'a');
	assert_int_equal(cur_byte(&c), 0xff);
	assert_true(cur_done(&c));
	assert_int_equal(cur_peek(&c), -1);
	assert_int_equal(c.err, 0);
	assert_int_equal(cur_byte(&c), -1);
	assert_int_equal(c.err, -EINVAL);
	c = cur_init(slice_make(NULL, 0));
	assert_true(cur_done(&c));
	assert_true(cur_end(&c));
}

static void test_literals(void **state)
{
	struct cur c = cur_init(S("From:<x>"));

	(void)state;
	assert_false(cur_exact(&c, S("FROM:")));
	assert_false(cur_lit(&c, S("from:<x>y")));
	assert_int_equal(c.err, 0);
	assert_true(cur_lit(&c, S("FROM:")));
	assert_true(cur_opt(&c, '<'));
	assert_false(cur_opt(&c, '<'));
	assert_true(cur_exact(&c, S("x")));
	assert_true(cur_need(&c, '>'));
	assert_true(cur_end(&c));
	assert_false(cur_need_lit(&c, S("y")));
	assert_int_equal(c.err, -EINVAL);
}

static void test_spans(void **state)
{
	struct cur c = cur_init(S("abcabc1"));

	(void)state;
	assert_int_equal(cur_span(&c, letters, 5).n, 0);
	assert_int_equal(c.err, -EMSGSIZE);
	c = cur_init(S("abcabc1"));
	assert_true(slice_eq(cur_span(&c, letters, 6), S("abcabc")));
	assert_int_equal(cur_span(&c, letters, 6).n, 0);
	assert_int_equal(c.err, 0);
	assert_int_equal(cur_span1(&c, letters, 6).n, 0);
	assert_int_equal(c.err, -EINVAL);
}

static void test_until(void **state)
{
	struct cur c = cur_init(S("abc>d"));

	(void)state;
	assert_true(slice_eq(cur_until(&c, '>', 3), S("abc")));
	assert_true(slice_eq(cur_rest(&c), S("d")));
	assert_int_equal(cur_until(&c, '>', 99).n, 0);
	assert_int_equal(c.err, -EINVAL);
	c = cur_init(S("abc>d"));
	cur_until(&c, '>', 2);
	assert_int_equal(c.err, -EMSGSIZE);
	c = cur_init(S(">"));
	assert_non_null(cur_until(&c, '>', 0).p);
	assert_int_equal(c.err, 0);
	/* A maximum of SIZE_MAX must not wrap. */
	c = cur_init(S("ab>"));
	assert_int_equal(cur_until(&c, '>', SIZE_MAX).n, 2);
}

static void test_take(void **state)
{
	struct cur c = cur_init(S("abc"));

	(void)state;
	assert_true(slice_eq(cur_take(&c, 2), S("ab")));
	assert_int_equal(cur_take(&c, 0).n, 0);
	assert_int_equal(c.err, 0);
	assert_int_equal(cur_take(&c, SIZE_MAX).n, 0);
	assert_int_equal(c.err, -EINVAL);
}

static void test_numbers(void **state)
{
	struct cur c = cur_init(S("4294967295 4294967296"));

	(void)state;
	assert_true(cur_u32(&c) == UINT32_MAX);
	assert_true(cur_sp(&c));
	assert_int_equal(cur_u32(&c), 0);
	assert_int_equal(c.err, -ERANGE);
	c = cur_init(S("18446744073709551615"));
	assert_true(cur_u64(&c) == UINT64_MAX);
	c = cur_init(S("18446744073709551616"));
	cur_u64(&c);
	assert_int_equal(c.err, -ERANGE);
	c = cur_init(S("x"));
	cur_u64(&c);
	assert_int_equal(c.err, -EINVAL);
	c = cur_init(S("20260102"));
	assert_int_equal(cur_digits(&c, 4), 2026);
	assert_int_equal(cur_digits(&c, 2), 1);
	assert_int_equal(cur_digits(&c, 3), 0);
	assert_int_equal(c.err, -EINVAL);
	c = cur_init(S("1 "));
	cur_digits(&c, 2);
	assert_int_equal(c.err, -EINVAL);
}

static void test_space(void **state)
{
	struct cur c = cur_init(S(" \t\n"));

	(void)state;
	assert_int_equal(cur_skip_wsp(&c), 2);
	assert_int_equal(cur_skip_wsp(&c), 0);
	assert_false(cur_end(&c));
	assert_int_equal(c.err, -EINVAL);
}

/* After an error nothing moves, nothing is returned, the first error stays. */
static void test_sticky(void **state)
{
	struct cur c = cur_init(S("abc 123\x01\x01"));
	const char *at;

	(void)state;
	cur_byte(&c);
	at = c.p;
	assert_int_equal(cur_fail(&c, -ERANGE), -ERANGE);
	assert_int_equal(cur_fail(&c, -EINVAL), -ERANGE);
	assert_int_equal(cur_byte(&c), -1);
	assert_false(cur_opt(&c, 'b') || cur_need(&c, 'b') || cur_lit(&c, S("b")));
	assert_false(cur_exact(&c, S("b")) || cur_need_lit(&c, S("b")) || cur_sp(&c));
	assert_int_equal(cur_span(&c, letters, 9).n + cur_span1(&c, letters, 9).n, 0);
	assert_int_equal(cur_until(&c, '1', 9).n + cur_take(&c, 1).n, 0);
	assert_int_equal(cur_u32(&c) + cur_u64(&c) + cur_digits(&c, 1), 0);
	assert_int_equal(cur_get8(&c) + cur_get16le(&c) + cur_get32be(&c), 0);
	assert_int_equal(cur_varint(&c) + cur_vbytes(&c, 9).n + cur_skip_wsp(&c), 0);
	assert_false(cur_end(&c));
	assert_true(cur_done(&c));
	assert_ptr_equal(c.p, at);
	assert_int_equal(c.err, -ERANGE);
}

static void test_fixed(void **state)
{
	struct cur c = cur_init(S("\x01\x02\x03\x04\x05\x06\x07\xf8"));

	(void)state;
	assert_true(cur_get64le(&c) == UINT64_C(0xf807060504030201));
	c = cur_init(S("\x01\x02\x03\x04\x05\x06\x07\xf8"));
	assert_true(cur_get64be(&c) == UINT64_C(0x01020304050607f8));
	c = cur_init(S("\xff\x01\x80\x01\x02\x03\x84\xf1\x02\x03\x04"));
	assert_int_equal(cur_get8(&c), 0xff);
	assert_int_equal(cur_get16le(&c), 0x8001);
	assert_true(cur_get32le(&c) == 0x84030201);
	assert_true(cur_get32be(&c) == 0xf1020304);
	assert_int_equal(cur_get16le(&c), 0);
	assert_int_equal(c.err, -EINVAL);
}

static void test_varint(void **state)
{
	static const uint64_t values[] = { 0,	  1,	      127,	  128,	     16383,
					   16384, UINT32_MAX, 1ULL << 63, UINT64_MAX };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		struct buf b = BUF_INIT(10);
		buf_varint(&b, values[i]);
		assert_int_equal(b.err, 0);
		struct cur c = cur_init(buf_slice(&b));
		assert_true(cur_varint(&c) == values[i]);
		assert_true(cur_end(&c));
		/* Cut short by one byte, it is malformed. */
		c = cur_init(slice_make(b.p, b.n - 1));
		cur_varint(&c);
		assert_int_equal(c.err, -EINVAL);
		buf_fini(&b);
	}
	struct cur c = cur_init(S("\x80\x00"));
	assert_int_equal(cur_varint(&c), 0);
	assert_true(cur_end(&c));
	c = cur_init(S("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"));
	cur_varint(&c);
	assert_int_equal(c.err, -ERANGE);
	c = cur_init(S("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00"));
	cur_varint(&c);
	assert_int_equal(c.err, -ERANGE);
}

static void test_vbytes(void **state)
{
	struct cur c = cur_init(S("\x03"
				  "abcd"));

	(void)state;
	assert_true(slice_eq(cur_vbytes(&c, 3), S("abc")));
	assert_true(slice_eq(cur_rest(&c), S("d")));
	c = cur_init(S("\x03"
		       "abc"));
	assert_int_equal(cur_vbytes(&c, 2).n, 0);
	assert_int_equal(c.err, -EMSGSIZE);
	c = cur_init(S("\x04"
		       "abc"));
	const char *at = c.p;
	assert_int_equal(cur_vbytes(&c, 99).n, 0);
	assert_int_equal(c.err, -EINVAL);
	assert_ptr_equal(c.p, at);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes),  cmocka_unit_test(test_literals),
		cmocka_unit_test(test_spans),  cmocka_unit_test(test_until),
		cmocka_unit_test(test_take),   cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_space),  cmocka_unit_test(test_sticky),
		cmocka_unit_test(test_fixed),  cmocka_unit_test(test_varint),
		cmocka_unit_test(test_vbytes),
	};

	return cmocka_run_group_tests_name("base/cur", tests, NULL, NULL);
}
