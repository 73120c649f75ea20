/* Tests of field.c: cutting, unfolding, and the damaged headers of MI-06. */
#include "mime/test_util.h"

static const struct {
	const char *header;
	const char *fields; /* "name|body" lines */
} cases[] = {
	{ "", "" },
	{ "\r\nA: b\r\n", "" },
	{ "\nA: b", "" },
	{ "A: b", "A| b\n" },
	{ "A: b\r\nC:d\r\n\r\nE: f\r\n", "A| b\nC|d\n" },
	{ "A: b\n c\n\td\nE:\n", "A| b\n c\n\td\nE|\n" },
	{ "A: b\r\n \r\n c\r\nD: e\r\n", "A| b\r\n \r\n c\nD| e\n" },
	/* White space before the colon belongs to nothing. */
	{ "From : a\r\nTo\t :b\r\n", "From| a\nTo|b\n" },
	/* No name: no colon, white space in or before it, colon too late. */
	{ "no colon\r\nA: b\r\n", "|no colon\nA| b\n" },
	{ " From: a\r\nA: b\r\n", "| From: a\nA| b\n" },
	{ "From x@y Mon 10:00\nA: b\n", "|From x@y Mon 10:00\nA| b\n" },
	{ "From\r\n : a\r\nA: b\r\n", "|From\r\n : a\nA| b\n" },
	{ ": b\r\nA: b\r\n", "|: b\nA| b\n" },
	{ "__proto__: b\r\n", "__proto__| b\n" },
	/* A lone CR ends nothing. */
	{ "A: b\rC: d\r\n", "A| b\rC: d\n" },
	{ "A: b\r\n\r\r\nB: c\r\n", "A| b\n|\r\nB| c\n" },
};

static void test_fields(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct slice header = slice_cstr(cases[i].header);
		struct buf out = BUF_INIT(1 << 16);
		struct mime_field f;

		while (mime_field_next(&header, &f)) {
			buf_add(&out, f.name);
			buf_addc(&out, '|');
			buf_add(&out, f.body);
			buf_addc(&out, '\n');
		}
		assert_string_equal(buf_cstr(&out), cases[i].fields);
		buf_fini(&out);
	}
}

/* All raw fields together are the header up to its end. */
static void test_raw(void **state)
{
	struct slice all = S("A: b\r\n c\r\nnone\r\n\r\nrest");
	struct slice header = all;
	struct mime_field f;
	size_t n = 0;

	(void)state;
	while (mime_field_next(&header, &f)) {
		assert_ptr_equal(f.raw.p, all.p + n);
		n += f.raw.n;
	}
	assert_slice(header, "\r\nrest");
	assert_int_equal(n + header.n, all.n);
}

static void test_unfold(void **state)
{
	struct buf out = BUF_INIT(100);

	(void)state;
	mime_unfold(S("  a\r\n b\n\tc\r\n  \r\n"), &out);
	assert_slice(buf_slice(&out), "a b\tc");
	buf_reset(&out);
	mime_unfold(S("a\0b\rc"), &out);
	assert_slice(buf_slice(&out), "a bc");
	buf_reset(&out);
	mime_unfold(S(" \r\n "), &out);
	assert_int_equal(out.n, 0);
	buf_fini(&out);
}

static void test_long(void **state)
{
	struct buf b = BUF_INIT(TEST_MAX);
	struct slice header;
	struct mime_field f;
	size_t n = 0;

	(void)state;
	repeat(&b, "A:\n", 500000);
	repeat(&b, "n", 70 * 1024);
	buf_adds(&b, ": x\n");
	header = buf_slice(&b);
	while (mime_field_next(&header, &f)) {
		n++;
	}
	assert_int_equal(n, 500001);
	assert_int_equal(f.name.n, 70 * 1024);
	buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_raw),
		cmocka_unit_test(test_unfold),
		cmocka_unit_test(test_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
