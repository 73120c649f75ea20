/* Tests of buf.c: the ceiling, the sticky error, encodings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/err.h"

static void test_grow(void **state)
{
	struct buf b = BUF_INIT(100000);

	(void)state;
	assert_int_equal(buf_slice(&b).n, 0);
	for (int i = 0; i < 100000; i++) {
		buf_addc(&b, (char)(i % 251));
	}
	assert_int_equal(b.err, 0);
	assert_int_equal(b.n, 100000);
	for (int i = 0; i < 100000; i++) {
		assert_int_equal((unsigned char)b.p[i], i % 251);
	}
	buf_addc(&b, 'x');
	assert_int_equal(b.err, -EMSGSIZE);
	assert_int_equal(b.n, 100000);
	buf_fini(&b);
}

static void test_ceiling(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 4);
	buf_add(&b, S("abcd"));
	assert_int_equal(b.err, 0);
	assert_string_equal(buf_cstr(&b), "abcd"); /* the NUL does not count */
	buf_add(&b, S(""));
	assert_int_equal(b.err, 0);
	buf_add(&b, S("e"));
	assert_int_equal(b.err, -EMSGSIZE);
	buf_truncate(&b, 0);
	buf_add(&b, S("e")); /* there is room now, but the error sticks */
	assert_int_equal(b.n, 0);
	assert_null(buf_reserve(&b, 0));
	assert_string_equal(buf_cstr(&b), "");
	buf_reset(&b);
	buf_add(&b, S("e"));
	assert_string_equal(buf_cstr(&b), "e");
	buf_reserve(&b, SIZE_MAX); /* must not wrap */
	assert_int_equal(b.err, -EMSGSIZE);
	buf_fini(&b);
	assert_int_equal(b.max, 4);
	assert_int_equal(b.err, 0);
}

static void test_zero_max(void **state)
{
	struct buf b = BUF_INIT(0);

	(void)state;
	assert_string_equal(buf_cstr(&b), "");
	assert_int_equal(b.err, 0);
	buf_addc(&b, 'x');
	assert_int_equal(b.err, -EMSGSIZE);
	buf_fini(&b);
}

static void test_reserve(void **state)
{
	struct buf b = BUF_INIT(10);
	char *p = buf_reserve(&b, 10);

	(void)state;
	assert_non_null(p);
	memcpy(p, "0123456789", 10);
	buf_commit(&b, 7);
	assert_true(slice_eq(buf_slice(&b), S("0123456")));
	assert_non_null(buf_reserve(&b, 3));
	assert_null(buf_reserve(&b, 4));
	buf_fini(&b);
}

static void test_format(void **state)
{
	struct buf b = BUF_INIT(1000);
	char want[401];

	(void)state;
	buf_addu(&b, 0);
	buf_adds(&b, " ");
	buf_addu(&b, UINT64_MAX);
	buf_printf(&b, " %d %s", -5, "x");
	assert_string_equal(buf_cstr(&b), "0 18446744073709551615 -5 x");
	buf_reset(&b);
	memset(want, 'w', 400);
	want[400] = '\0';
	buf_printf(&b, "%s", want); /* longer than the small buffer inside */
	buf_printf(&b, "%s", want);
	assert_int_equal(b.n, 800);
	assert_memory_equal(b.p + 400, want, 400);
	buf_printf(&b, "%s", want);
	assert_int_equal(b.err, -EMSGSIZE);
	assert_int_equal(b.n, 800);
	buf_fini(&b);
	buf_init(&b, 3);
	buf_printf(&b, "%s", "four");
	assert_int_equal(b.err, -EMSGSIZE);
	buf_fini(&b);
}

static void test_consume_take(void **state)
{
	struct buf b = BUF_INIT(10);
	size_t n = 99;

	(void)state;
	buf_consume(&b, 0);
	buf_add(&b, S("abcdef"));
	buf_consume(&b, 2);
	assert_true(slice_eq(buf_slice(&b), S("cdef")));
	buf_consume(&b, 4);
	assert_int_equal(b.n, 0);
	buf_add(&b, S("xyz"));
	char *p = buf_take(&b, &n);
	assert_int_equal(n, 3);
	assert_memory_equal(p, "xyz", 3);
	free(p);
	assert_null(b.p);
	buf_add(&b, S("0123456789a"));
	assert_null(buf_take(&b, &n));
	assert_int_equal(n, 0);
	assert_int_equal(b.err, -EMSGSIZE);
	buf_fini(&b);
}

static void test_records(void **state)
{
	struct buf b = BUF_INIT(100);

	(void)state;
	buf_put8(&b, 0xfe);
	buf_put16le(&b, 0x0102);
	buf_put32le(&b, 0x01020304);
	buf_put32be(&b, 0x01020304);
	buf_put64le(&b, UINT64_C(0xf102030405060708));
	buf_put64be(&b, UINT64_C(0xf102030405060708));
	assert_true(slice_eq(buf_slice(&b), S("\xfe\x02\x01\x04\x03\x02\x01\x01\x02\x03\x04"
					      "\x08\x07\x06\x05\x04\x03\x02\xf1"
					      "\xf1\x02\x03\x04\x05\x06\x07\x08")));
	buf_reset(&b);
	buf_varint(&b, 300);
	buf_vbytes(&b, S("hey"));
	assert_true(slice_eq(buf_slice(&b), S("\xac\x02\x03hey")));
	buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_grow),	 cmocka_unit_test(test_ceiling),
		cmocka_unit_test(test_zero_max), cmocka_unit_test(test_reserve),
		cmocka_unit_test(test_format),	 cmocka_unit_test(test_consume_take),
		cmocka_unit_test(test_records),
	};

	return cmocka_run_group_tests_name("base/buf", tests, NULL, NULL);
}
