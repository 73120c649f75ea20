/* sort_test: criteria that parse, and messages in their order. */
#include "imap/sort.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/utf8.h"

static void test_parse(void **state)
{
	static const char *const wrong[] = {
		"",
		"()",
		"ARRIVAL",
		"(ARRIVAL",
		"(NOPE)",
		"(REVERSE)",
		"(REVERSE REVERSE DATE)",
		"(DATE  SIZE)",
		"( DATE)",
		"(DATE )",
		"(REVERSE  DATE)",
		"(DATE,SIZE)",
	};
	struct sort_spec spec;
	struct cur c = cur_init(S("(subject REVERSE Date) UTF-8"));

	(void)state;
	sort_parse(&c, &spec);
	assert_int_equal(c.err, 0);
	assert_int_equal(spec.n, 2);
	assert_true(spec.v[0].by == SORT_SUBJECT && !spec.v[0].reverse);
	assert_true(spec.v[1].by == SORT_DATE && spec.v[1].reverse);
	assert_true(spec.by_summary && !spec.by_relevancy);
	c = cur_init(S("(ARRIVAL SIZE RELEVANCY)"));
	sort_parse(&c, &spec);
	assert_true(c.err == 0 && !spec.by_summary && spec.by_relevancy);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		c = cur_init(slice_cstr(wrong[i]));
		sort_parse(&c, &spec);
		if (c.err == 0) {
			fail_msg("%s", wrong[i]);
		}
	}
	c = cur_init(S("(TO TO TO TO TO TO TO TO TO TO TO TO TO TO TO TO TO)"));
	sort_parse(&c, &spec);
	assert_int_equal(c.err, -EMSGSIZE);
}

#define MAX_ROWS 8

static const struct sort_facts mails[] = {
	{ .arrival = 50, .sent = -5, .size = 10, .subject = { "b", 1 }, .from = { "zoe", 3 } },
	{ .arrival = 40, .sent = 3, .size = 1000, .subject = { "a", 1 }, .from = { "ann", 3 } },
	{ .arrival = 30, .sent = 3, .size = 2, .subject = { "ab", 2 }, .from = { "ann", 3 } },
	{ .arrival = 20, .sent = INT64_MAX, .size = 5, .subject = { "", 0 }, .from = { NULL, 0 } },
	{ .arrival = 10,
	  .sent = INT64_MIN,
	  .size = UINT64_MAX,
	  .subject = { "_", 1 },
	  .from = { "e\xcc\x81", 3 } },
};

static void order(const char *criteria, const char *want)
{
	struct sort_row rows[MAX_ROWS];
	struct buf keys[MAX_ROWS];
	struct sort_spec spec;
	struct cur c = cur_init(slice_cstr(criteria));
	struct buf got = BUF_INIT(256);

	sort_parse(&c, &spec);
	assert_int_equal(c.err, 0);
	for (size_t i = 0; i < ARRAY_LEN(mails); i++) {
		buf_init(&keys[i], 1 << 16);
		sort_key(&spec, &mails[i], &keys[i]);
		rows[i] = (struct sort_row){ keys[i].p, (uint32_t)keys[i].n, (uint32_t)i + 1 };
	}
	sort_rows(rows, ARRAY_LEN(mails));
	for (size_t i = 0; i < ARRAY_LEN(mails); i++) {
		buf_addu(&got, rows[i].at);
		buf_fini(&keys[i]);
	}
	if (!slice_eq(buf_slice(&got), slice_cstr(want))) {
		fail_msg("%s: %s", criteria, buf_cstr(&got));
	}
	buf_fini(&got);
}

static void test_order(void **state)
{
	(void)state;
	order("(ARRIVAL)", "54321");
	order("(REVERSE ARRIVAL)", "12345");
	order("(SIZE)", "34125");
	order("(DATE)", "51234");
	/* The number of the message is never reversed. */
	order("(REVERSE DATE)", "42315");
	order("(DATE REVERSE SIZE)", "51234");
	order("(DATE SIZE)", "51324");
	order("(SUBJECT)", "42315");
	order("(REVERSE SUBJECT)", "51324");
	/* Accents behind the plain letter, before the next one. */
	order("(FROM)", "42351");
	order("(FROM REVERSE SUBJECT)", "43251");
	order("(CC)", "12345");
	order("(REVERSE TO)", "12345");
	order("(DISPLAYFROM DISPLAYTO SIZE)", "34125");
}

/* Longer texts are compared as far as SORT_TEXT_MAX. */
static void test_long(void **state)
{
	struct sort_spec spec;
	struct cur c = cur_init(S("(SUBJECT REVERSE FROM)"));
	struct buf text = BUF_INIT(1 << 20);
	struct buf key = BUF_INIT(1 << 16);

	(void)state;
	sort_parse(&c, &spec);
	for (size_t i = 0; i < 100000; i++) {
		utf8_add(&text, 0x250); /* longer by its titlecase */
	}
	sort_key(&spec,
		 &(struct sort_facts){ .subject = buf_slice(&text), .from = buf_slice(&text) },
		 &key);
	assert_int_equal(key.err, 0);
	assert_true(key.n <= 2 * (SORT_TEXT_MAX + 1));
	buf_fini(&text);
	buf_fini(&key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_long),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
