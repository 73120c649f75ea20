/* subject_test: base subjects, with the shapes RFC 5256 2.1 speaks of. */
#include "mime/subject.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

struct row {
	struct slice in;
	struct slice base;
	bool reply;
};

static const struct row rows[] = {
	{ S(""), S(""), false },
	{ S("hello"), S("hello"), false },
	{ S("  hello \t world  "), S("hello world"), false },
	{ S("Re: hello"), S("hello"), true },
	{ S("re:hello"), S("hello"), true },
	{ S("RE : hello"), S("hello"), true },
	{ S("Fw: hello"), S("hello"), true },
	{ S("FWD: hello"), S("hello"), true },
	{ S("Re: Fwd: re: hello"), S("hello"), true },
	{ S("Re[2]: hello"), S("hello"), true },
	{ S("Re [2]: hello"), S("hello"), true },
	{ S("Re[2] : hello"), S("hello"), true },
	{ S("Re [2 hello"), S("Re [2 hello"), false },
	{ S("hello (fwd)"), S("hello"), true },
	{ S("hello (FWD) (fwd) "), S("hello"), true },
	{ S("[list] hello"), S("hello"), false },
	{ S("[list] Re: hello"), S("hello"), true },
	{ S("[a][b] Re: [c] hello"), S("hello"), true },
	{ S("Re: [list]"), S("[list]"), true },
	{ S("[a] [b]"), S("[b]"), false },
	{ S("[list"), S("[list"), false },
	{ S("[a[b] hello"), S("[a[b] hello"), false },
	{ S("[Fwd: hello]"), S("hello"), true },
	{ S("Re: [Fwd: Re: hello (fwd)] (fwd)"), S("hello"), true },
	{ S("[fwd: [fwd: [fwd: deep]]]"), S("deep"), true },
	{ S("[fwd: hello] more"), S("more"), false },
	{ S("[fwd:]"), S(""), true },
	{ S("Re:"), S(""), true },
	{ S("Re: Re:  "), S(""), true },
	{ S("Regarding: hello"), S("Regarding: hello"), false },
	{ S("refund"), S("refund"), false },
	{ S("Re: caf\xc3\xa9"), S("caf\xc3\xa9"), true },
	{ S("[caf\xc3\xa9] x"), S("x"), false },
	{ S("(fwd)"), S(""), true },
};

static void test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf out = BUF_INIT(256);
		bool reply = !rows[i].reply;

		mime_base_subject(rows[i].in, &out, &reply);
		if (!slice_eq(buf_slice(&out), rows[i].base) || reply != rows[i].reply) {
			fail_msg("%.*s gives \"%.*s\", %d", SLICE_ARG(rows[i].in), SLICE_ARG(out),
				 reply);
		}
		buf_fini(&out);
	}
}

/* A megabyte of marks takes one pass and leaves the word behind them. */
static void deep(struct slice mark, struct slice end, struct slice want)
{
	struct buf in = BUF_INIT(1 << 23);
	struct buf out = BUF_INIT(1 << 23);

	for (size_t i = 0; i < 200000; i++) {
		buf_add(&in, mark);
	}
	buf_add(&in, S("x"));
	for (size_t i = 0; i < 200000; i++) {
		buf_add(&in, end);
	}
	mime_base_subject(buf_slice(&in), &out, NULL);
	assert_int_equal(out.err, 0);
	assert_true(slice_eq(buf_slice(&out), want));
	buf_fini(&in);
	buf_fini(&out);
}

static void test_deep(void **state)
{
	(void)state;
	deep(S("Re: "), S(""), S("x"));
	deep(S("[fwd: "), S("]"), S("x"));
	deep(S("[a] "), S(" (fwd)"), S("x"));
	deep(S("Re[1]:"), S(""), S("x"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_deep),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
