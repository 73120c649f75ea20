/* Picking fields from a header, from the bottom, in linear time. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/err.h"
#include "trust/fields.h"

#define HEADER               \
	"From: a\r\n"        \
	"Subject: one\r\n"   \
	"no colon here\r\n"  \
	"subject : two\r\n"  \
	" folded\r\n"        \
	"SUBJECT: three\r\n" \
	"\r\n"               \
	"From: body\r\n"

static void expect(struct fields *f, const char *name, const struct field *but, const char *body)
{
	struct field *e = fields_pick(f, slice_cstr(name), but);

	if (!body) {
		assert_null(e);
		return;
	}
	assert_non_null(e);
	assert_true(slice_eq(e->body, slice_cstr(body)));
}

static void test_picking(void **state)
{
	struct fields f;

	(void)state;
	assert_int_equal(fields_init(&f, S(HEADER)), 0);
	assert_int_equal(f.n, 5);
	assert_int_equal(fields_count(&f, S("subject")), 3);
	assert_int_equal(fields_count(&f, S("to")), 0);
	for (int round = 0; round < 2; round++) {
		fields_pick_start(&f);
		assert_false(fields_partly(&f, S("subject"), NULL));
		expect(&f, "subject", NULL, " three");
		expect(&f, "From", NULL, " a");
		expect(&f, "from", NULL, NULL);
		expect(&f, "subJect", NULL, " two\r\n folded");
		assert_true(fields_partly(&f, S("Subject"), NULL));
		assert_false(fields_partly(&f, S("from"), NULL));
		expect(&f, "subject", NULL, " one");
		assert_false(fields_partly(&f, S("subject"), NULL));
		expect(&f, "subject", NULL, NULL);
		expect(&f, "subject", NULL, NULL);
		expect(&f, "to", NULL, NULL);
		expect(&f, "", NULL, NULL);
	}
	fields_fini(&f);
}

/* A signature does not sign itself (RFC 6376 3.7), wherever it stands. */
static void test_but(void **state)
{
	struct fields f;

	(void)state;
	assert_int_equal(fields_init(&f, S(HEADER)), 0);
	for (size_t but = 0; but < f.n; but++) {
		const struct field *e = &f.field[but];
		int left = slice_ieq(e->name, S("subject")) ? 2 : 3;

		fields_pick_start(&f);
		for (size_t i = f.n; i-- > 0;) {
			if (i != but && slice_ieq(f.field[i].name, S("subject"))) {
				assert_ptr_equal(fields_pick(&f, S("subject"), e), &f.field[i]);
				left--;
				assert_int_equal(fields_partly(&f, S("subject"), e), left > 0);
			}
		}
		assert_null(fields_pick(&f, S("subject"), e));
	}
	assert_ptr_equal(fields_find(&f, S("subject"), 0), &f.field[1]);
	assert_ptr_equal(fields_find(&f, S("subject"), 2), &f.field[3]);
	assert_null(fields_find(&f, S("from"), 1));
	fields_fini(&f);
}

static void test_limits(void **state)
{
	struct buf text = BUF_INIT(1 << 20);
	struct fields f;

	(void)state;
	assert_int_equal(fields_init(&f, S("")), 0);
	assert_null(fields_pick(&f, S("from"), NULL));
	fields_fini(&f);
	for (int i = 0; i < FIELDS_MAX; i++) {
		buf_printf(&text, "N%d: x\r\n", i / 2);
	}
	assert_int_equal(fields_init(&f, buf_slice(&text)), 0);
	assert_int_equal(fields_count(&f, S("n77")), 2);
	fields_fini(&f);
	buf_adds(&text, "One: more\r\n");
	assert_int_equal(fields_init(&f, buf_slice(&text)), -E2BIG);
	buf_fini(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_picking),
		cmocka_unit_test(test_but),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
