/* qresync: select parameters, good and bad, and the floor of match data. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/err.h"
#include "imap/qresync.h"

static int parse(const char *text, struct arena *a, struct select_params *p)
{
	struct cur c = cur_init(slice_cstr(text));

	arena_init(a, 1 << 20);
	select_params_parse(&c, a, p);
	cur_end(&c);
	return c.err;
}

static void good(void **state)
{
	struct select_params p;
	struct arena a;

	(void)state;
	assert_int_equal(parse("(CONDSTORE)", &a, &p), 0);
	assert_true(p.condstore && !p.qresync);
	arena_fini(&a);
	assert_int_equal(parse("(qresync (7 9223372036854775807) CondStore)", &a, &p), 0);
	assert_true(p.condstore && p.qresync && !p.has_known && !p.has_match);
	assert_int_equal(p.uidvalidity, 7);
	assert_true(p.modseq == INT64_MAX);
	arena_fini(&a);
	assert_int_equal(parse("(QRESYNC (1 2 3:5,9))", &a, &p), 0);
	assert_true(p.has_known && seqset_has(&p.known, 4) && !seqset_has(&p.known, 6));
	arena_fini(&a);
	assert_int_equal(parse("(QRESYNC (1 2 (1,3 10,30)))", &a, &p), 0);
	assert_true(!p.has_known && p.has_match);
	arena_fini(&a);
	assert_int_equal(parse("(QRESYNC (1 2 1:4294967295 (1:4294967295 1:4294967295)))", &a, &p),
			 0);
	assert_true(p.has_known && p.has_match);
	arena_fini(&a);
}

static void bad(void **state)
{
	static const char *const texts[] = {
		"()",
		"(CONDSTORE CONDSTORE)",
		"(FROB)",
		"(CONDSTORE",
		"(QRESYNC)",
		"(QRESYNC ())",
		"(QRESYNC (0 1))",
		"(QRESYNC (1))",
		"(QRESYNC (1 9223372036854775808))",
		"(QRESYNC (1 18446744073709551616))",
		"(QRESYNC (1 2 *))",
		"(QRESYNC (1 2 1:*))",
		"(QRESYNC (1 2 0))",
		"(QRESYNC (1 2 1 (1:* 1)))",
		"(QRESYNC (1 2 1 (1 1:2)))",
		"(QRESYNC (1 2 1 (1)))",
		"(QRESYNC (1 2 1 (1 1) 1))",
		"(QRESYNC (1 2 1:4294967296))",
		"(QRESYNC (1 2) QRESYNC (1 2))",
	};
	struct select_params p;
	struct arena a;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		assert_true(parse(texts[i], &a, &p) < 0);
		arena_fini(&a);
	}
}

struct box {
	const uint32_t *uids;
	unsigned asked;
};

static uint32_t uid_of(void *arg, uint32_t seq)
{
	struct box *b = arg;

	b->asked++;
	return b->uids ? b->uids[seq - 1] : 3 * seq;
}

static uint32_t floor_of(const char *text, const uint32_t *uids, uint32_t count, unsigned *asked)
{
	struct box b = { uids, 0 };
	struct select_params p;
	struct arena a;
	uint32_t r;

	assert_int_equal(parse(text, &a, &p), 0);
	r = qresync_floor(&p, count, uid_of, &b);
	*asked = b.asked;
	arena_fini(&a);
	return r;
}

static void floors(void **state)
{
	static const uint32_t uids[] = { 2, 4, 6, 8, 11, 13 };
	unsigned n;

	(void)state;
	assert_int_equal(floor_of("(QRESYNC (1 2))", uids, 6, &n), 0);
	assert_int_equal(floor_of("(QRESYNC (1 2 (4 8)))", uids, 6, &n), 8);
	assert_int_equal(floor_of("(QRESYNC (1 2 (4,5 8,10)))", uids, 6, &n), 8);
	assert_int_equal(floor_of("(QRESYNC (1 2 (1:4 2,4,6,8)))", uids, 6, &n), 8);
	assert_int_equal(floor_of("(QRESYNC (1 2 (1,6 2,13)))", uids, 6, &n), 13);
	assert_int_equal(floor_of("(QRESYNC (1 2 (1 1)))", uids, 6, &n), 0);
	assert_int_equal(floor_of("(QRESYNC (1 2 (7 14)))", uids, 6, &n), 0);
	assert_int_equal(floor_of("(QRESYNC (1 2 (1 2)))", uids, 0, &n), 0);
	/* whole numbers' worth of pairs cost a few looks */
	assert_int_equal(floor_of("(QRESYNC (1 2 (1:4294967295 1:4294967295)))", NULL, 9, &n), 0);
	assert_true(n <= 64);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(good),
		cmocka_unit_test(bad),
		cmocka_unit_test(floors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
