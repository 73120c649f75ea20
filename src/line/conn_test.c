/* conn over memory streams: framing, limits, pipelining, raw reads, output. */
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdarg.h>
#include <cmocka.h>

#include "base/err.h"
#include "line/conn.h"
#include "line/verb.h"

struct rig {
	struct buf output;
	struct conn c;
};

static void rig_init(struct rig *r, struct slice input, size_t step)
{
	struct stream *s = NULL;

	buf_init(&r->output, 1u << 20);
	assert_int_equal(stream_mem_new(input, &r->output, step, &s), 0);
	conn_init(&r->c, &s, "test", NULL, NULL);
	assert_null(s);
}

static void rig_fini(struct rig *r)
{
	conn_fini(&r->c);
	buf_fini(&r->output);
}

static void assert_slice(struct slice got, struct slice want)
{
	assert_int_equal(got.n, want.n);
	assert_memory_equal(got.p, want.p, want.n);
}

static void expect_line(struct rig *r, int outcome, struct slice want)
{
	struct slice line = { 0 };

	co_enter();
	assert_int_equal(conn_read_line(&r->c, 20, &line), outcome);
	if (outcome == CONN_LINE || outcome == CONN_BADLINE) {
		assert_slice(line, want);
	}
}

static const size_t steps[] = { 0, 1, 2, 3, 7 };

static void lines_at_any_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		struct rig r;

		rig_init(&r, S("one\r\n\r\nthree x\r\n"), steps[i]);
		expect_line(&r, CONN_LINE, S("one"));
		expect_line(&r, CONN_LINE, S(""));
		expect_line(&r, CONN_LINE, S("three x"));
		expect_line(&r, CONN_EOF, S(""));
		rig_fini(&r);
	}
}

static void bad_lines_are_one_line_each(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		struct rig r;

		rig_init(&r, S("a\nQUIT\r\nb\rc\r\nd\0e\r\nf\r\r\ng\r\n"), steps[i]);
		expect_line(&r, CONN_BADLINE, S("a"));
		expect_line(&r, CONN_BADLINE, S("QUIT"));
		expect_line(&r, CONN_BADLINE, S("b\rc"));
		expect_line(&r, CONN_BADLINE, S("d\0e"));
		expect_line(&r, CONN_BADLINE, S("f\r"));
		expect_line(&r, CONN_LINE, S("g"));
		rig_fini(&r);
	}
}

static void limit_is_exact_and_the_rest_is_dropped(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		struct rig r;

		rig_init(&r,
			 S("12345678901234567890\r\n"
			   "123456789012345678901\r\n"
			   "1234567890123456789012345678901234567890\r\n"
			   "ok\r\n"),
			 steps[i]);
		expect_line(&r, CONN_LINE, S("12345678901234567890"));
		expect_line(&r, CONN_TOOLONG, S(""));
		expect_line(&r, CONN_TOOLONG, S(""));
		expect_line(&r, CONN_LINE, S("ok"));
		rig_fini(&r);
	}
}

static void endless_line_ends_the_connection(void **state)
{
	static char big[200000];
	struct rig r;

	(void)state;
	memset(big, 'x', sizeof(big));
	rig_init(&r, slice_make(big, sizeof(big)), 0);
	expect_line(&r, CONN_EOF, S(""));
	rig_fini(&r);
}

static void partial_line_at_the_end_is_no_line(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r, S("a\r\nQUIT"), 0);
	expect_line(&r, CONN_LINE, S("a"));
	expect_line(&r, CONN_EOF, S(""));
	rig_fini(&r);
}

static void raw_reads_and_unread(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		struct rig r;
		char got[16];
		size_t n = 0;

		rig_init(&r, S("BDAT 5\r\nhel\nolast\r\nQUIT\r\n"), steps[i]);
		expect_line(&r, CONN_LINE, S("BDAT 5"));
		co_enter();
		while (n < 6) {
			ssize_t k = conn_read_raw(&r.c, got + n, 6 - n);

			assert_true(k > 0);
			n += (size_t)k;
		}
		assert_memory_equal(got, "hel\nol", 6);
		conn_unread(&r.c, S("l"));
		expect_line(&r, CONN_LINE, S("last"));
		expect_line(&r, CONN_LINE, S("QUIT"));
		rig_fini(&r);
	}
}

static void replies_wait_for_the_pipeline(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r, S("a\r\nb\r\n"), 0);
	expect_line(&r, CONN_LINE, S("a"));
#ifndef ONE_BYTE_IO /* there it has not come yet */
	assert_true(conn_has_input(&r.c));
#endif
	co_enter();
	conn_printf(&r.c, "%d ok\r\n", 250);
	expect_line(&r, CONN_LINE, S("b"));
#ifndef ONE_BYTE_IO
	assert_int_equal(r.output.n, 0);
#endif
	assert_false(conn_has_input(&r.c));
	conn_write(&r.c, S("bye\r\n"));
	expect_line(&r, CONN_EOF, S(""));
	assert_slice(buf_slice(&r.output), S("250 ok\r\nbye\r\n"));
	rig_fini(&r);
}

static void big_output_flushes_itself(void **state)
{
	static char big[CONN_OUT_MAX * 3 + 5];
	struct rig r;

	(void)state;
	memset(big, 'y', sizeof(big));
	rig_init(&r, S(""), 0);
	co_enter();
	conn_write(&r.c, slice_make(big, sizeof(big)));
	assert_true(r.output.n >= CONN_OUT_MAX);
	assert_int_equal(conn_flush(&r.c), 0);
	assert_slice(buf_slice(&r.output), slice_make(big, sizeof(big)));
	rig_fini(&r);
}

static void errors_stick(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r, S("a\r\n"), 0);
	r.output.max = 3;
	co_enter();
	conn_write(&r.c, S("too much\r\n"));
	assert_true(conn_flush(&r.c) < 0);
	assert_true(r.c.err < 0);
	conn_write(&r.c, S("more"));
	assert_int_equal(conn_flush(&r.c), r.c.err);
	rig_fini(&r);
}

/* What stands behind the line that asks for it is compressed already; after its
 * end what the client has sent is as it is again. (Stored blocks are plain to
 * read.) */
static void compression_begins_and_ends_behind_a_line(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		struct rig r;
		char byte;

		co_enter();
		rig_init(&r,
			 S("GO\r\n\x00\x05\x00\xfa\xff"
			   "one\r\n\x00\x06\x00\xf9\xff"
			   "STOP\r\n"
			   "plain\r\nGO\r\n\x00\x01\x00\xfe\xff"
			   "x"),
			 steps[i]);
		expect_line(&r, CONN_LINE, S("GO"));
		conn_write(&r.c, S("yes\r\n"));
		assert_int_equal(conn_compress(&r.c), 0);
		assert_slice(buf_slice(&r.output), S("yes\r\n"));
		expect_line(&r, CONN_LINE, S("one"));
		expect_line(&r, CONN_LINE, S("STOP"));
		assert_int_equal(conn_compress_end(&r.c), 0);
		buf_reset(&r.output);
		expect_line(&r, CONN_LINE, S("plain"));
		conn_write(&r.c, S("clear\r\n"));
		expect_line(&r, CONN_LINE, S("GO"));
		assert_int_equal(conn_compress(&r.c), 0);
		assert_slice(buf_slice(&r.output), S("clear\r\n"));
		assert_int_equal(conn_read_raw(&r.c, &byte, 1), 1);
		assert_int_equal(byte, 'x');
		rig_fini(&r);
	}
}

static void nothing_compressed_behind_the_end(void **state)
{
	struct rig r;

	(void)state;
	co_enter();
	rig_init(&r,
		 S("GO\r\n\x00\x08\x00\xf7\xff"
		   "STOP\r\nX"),
		 0);
	expect_line(&r, CONN_LINE, S("GO"));
	assert_int_equal(conn_compress(&r.c), 0);
	expect_line(&r, CONN_LINE, S("STOP"));
#ifndef ONE_BYTE_IO /* where it has not been read yet */
	assert_int_equal(conn_compress_end(&r.c), -EPROTO);
	assert_int_equal(r.c.err, -EPROTO);
#endif
	rig_fini(&r);
}

static void verbs_are_found_in_any_case(void **state)
{
	static const struct verb table[] = {
		{ S("MAIL"), 1, 0, 0, NULL, "mail" },
		{ S("RCPT"), 1, 0, 0, NULL, "rcpt" },
	};

	(void)state;
	assert_ptr_equal(verb_find(table, 2, S("rCpT")), &table[1]);
	assert_null(verb_find(table, 2, S("RCP")));
	assert_null(verb_find(table, 2, S("RCPTX")));
	assert_null(verb_find(table, 2, S("")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_at_any_cut),
		cmocka_unit_test(bad_lines_are_one_line_each),
		cmocka_unit_test(limit_is_exact_and_the_rest_is_dropped),
		cmocka_unit_test(endless_line_ends_the_connection),
		cmocka_unit_test(partial_line_at_the_end_is_no_line),
		cmocka_unit_test(raw_reads_and_unread),
		cmocka_unit_test(replies_wait_for_the_pipeline),
		cmocka_unit_test(big_output_flushes_itself),
		cmocka_unit_test(errors_stick),
		cmocka_unit_test(compression_begins_and_ends_behind_a_line),
		cmocka_unit_test(nothing_compressed_behind_the_end),
		cmocka_unit_test(verbs_are_found_in_any_case),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
