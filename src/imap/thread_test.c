/* thread_test: the algorithms of RFC 5256 by its words, and in hostile sizes. */
#include "imap/thread.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/err.h"

#define MAX_MSGS 64
#define MAX_REFS 8

/* A message: "id|ref ref|date|subject"; a subject that begins with "re " is a
 * reply's. Numbers are 1, 2, 3 ... */
struct mail {
	struct thread_msg v[MAX_MSGS];
	struct thread_id refs[MAX_MSGS][MAX_REFS];
	size_t n;
};

static void add(struct mail *m, const char *line)
{
	struct slice rest = slice_cstr(line);
	struct slice id = slice_split(&rest, '|');
	struct slice refs = slice_split(&rest, '|');
	struct slice date = slice_split(&rest, '|');
	struct thread_msg *t = &m->v[m->n];
	uint32_t when = 0;

	*t = (struct thread_msg){ .number = (uint32_t)m->n + 1, .refs = m->refs[m->n] };
	t->has_id = id.n > 0;
	t->id = thread_id_of(id);
	while (refs.n > 0) {
		m->refs[m->n][t->n_refs++] = thread_id_of(slice_split(&refs, ' '));
	}
	assert_int_equal(slice_u32(date, &when), 0);
	t->date = when;
	t->is_reply = slice_starts(rest, S("re "));
	rest = slice_from(rest, t->is_reply ? 3 : 0);
	t->subject = thread_id_of(rest);
	t->has_subject = rest.n > 0;
	m->n++;
}

typedef int fn(const struct thread_msg *v, size_t n, struct buf *out);

static void check(fn *f, const char *const *lines, const char *want)
{
	struct mail *m = calloc(1, sizeof(*m));
	struct buf out = BUF_INIT(4096);

	assert_non_null(m);
	while (*lines) {
		add(m, *lines++);
	}
	assert_int_equal(f(m->v, m->n, &out), 0);
	assert_string_equal(buf_cstr(&out), want);
	buf_fini(&out);
	free(m);
}

#define REFS(want, ...) check(thread_references, (const char *const[]){ __VA_ARGS__, NULL }, want)
#define SUBJ(want, ...) \
	check(thread_orderedsubject, (const char *const[]){ __VA_ARGS__, NULL }, want)

static void test_orderedsubject(void **state)
{
	(void)state;
	SUBJ(" (1)", "a||1|x");
	SUBJ(" (1)(2)", "a||1|x", "b||2|y");
	SUBJ(" (2)(1)", "a||2|x", "b||1|y");
	SUBJ(" (1 2)", "a||1|x", "b||2|x");
	SUBJ(" (2 (3)(1))", "a||3|x", "b||1|re x", "c||2|x");
	/* The order of messages decides between equal dates. */
	SUBJ(" (1 (2)(3))(4)", "a||1|x", "b||1|x", "c||1|x", "d||1|y");
	/* The empty subject is one, too. */
	SUBJ(" (1 3)(2)", "a||1|", "b||2|x", "c||3|");
}

static void test_links(void **state)
{
	(void)state;
	REFS(" (1)", "a||1|x");
	REFS(" (1 2 3)", "a||1|x", "b|a|2|y", "c|a b|3|z");
	REFS(" (1 (2)(3))", "a||1|x", "b|a|2|y", "c|a|3|z");
	/* RFC 5256 4: (2)(3 6 (4 23)(44 7 96)), with smaller numbers. */
	REFS(" (1)(2 4 (3 6)(7 5 8))", "a||1|a", "b||2|b", "d|c|5|d", "c|b|4|c", "g|f|7|g",
	     "e|d|6|e", "f|c|6|f", "h|g|8|h");
	/* A parent that is missing: siblings below nobody. */
	REFS(" ((1)(2))", "a|x|1|a", "b|x|2|b");
	REFS(" (1)", "a|x|1|a");
	/* Missing ones in the middle give their children up. */
	REFS(" (1 (2)(3))", "a||1|a", "b|a x|2|b", "c|a x y|3|c");
	/* Ids are the first's; the second with the same is alone. */
	REFS(" (1 3)(2)", "a||1|a", "a||2|b", "c|a|3|c");
	REFS(" (1)(2)", "||1|a", "||2|b");
	/* References link each other, too; a known parent stays, but for the
	 * message's own word. */
	REFS(" (1 2 3)", "a||1|a", "b||2|b", "c|a b|3|c");
	REFS(" (2 1 3)", "a||1|a", "b||2|b", "c|b a|3|c");
	REFS(" (1 (2 3)(4))", "a||1|a", "b||2|b", "c|a b|3|c", "d|b c a|4|d");
	/* A message without references has no parent, whatever was said before. */
	REFS(" (2 1)(3)", "c|b a|1|c", "a||2|a", "b||3|b");
	/* Children before parents, in the mailbox and by date. */
	REFS(" (3 2 1)", "c|a b|3|z", "b|a|2|y", "a||1|x");
}

static void test_loops(void **state)
{
	(void)state;
	REFS(" (1)", "a|a|1|x");
	REFS(" (1)", "a|a a a|1|x");
	REFS(" (2 1)", "a|b|1|x", "b|a|2|y");
	REFS(" (3 2 1)", "a|b|1|x", "b|c|2|y", "c|a|3|z");
	REFS(" (1 (2)(3))", "a|b a|1|x", "b|a|2|y", "c|a b a|3|z");
}

static void test_subjects(void **state)
{
	(void)state;
	/* A reply goes below what it replies to, wherever that stands. */
	REFS(" (1 2)", "a||1|x", "b||2|re x");
	REFS(" (2 1)", "a||1|re x", "b||2|x");
	/* Equals below a dummy; the rest follow. */
	REFS(" ((1)(2))", "a||1|x", "b||2|x");
	REFS(" ((1)(2)(3))", "a||1|x", "b||2|x", "c||3|x");
	REFS(" ((1)(2)(3))", "a||1|re x", "b||2|re x", "c||3|re x");
	/* Dummies of one subject become one, and take others in. */
	REFS(" ((1)(2)(3)(4))", "a|p|1|x", "b|p|2|x", "c|q|3|x", "d|q|4|x");
	REFS(" ((1)(2)(3))", "a|p|1|x", "b|p|2|y", "c||3|re x");
	REFS(" ((1)(2)(3))", "c||1|x", "a|p|2|x", "b|p|3|y");
	/* The subject of a thread is its head's. */
	REFS(" (1 2)(3)", "a||1|x", "b|a|2|y", "c||3|y");
	/* The empty subject joins nothing. */
	REFS(" (1)(2)", "a||1|", "b||2|");
	/* Order by date, dummies by their first child. */
	REFS(" ((3)(1))(2)", "a|p|3|a", "b||2|b", "c|p|1|c");
}

static int run_big(fn *f, struct thread_msg *v, size_t n)
{
	struct buf out = BUF_INIT(64u << 20);
	int r = f(v, n, &out);
	size_t open = 0;
	size_t depth = 0;

	for (size_t i = 0; r == 0 && i < out.n; i++) {
		open += out.p[i] == '(';
		depth += out.p[i] == '(';
		depth -= out.p[i] == ')';
		assert_true(depth < n + 2);
	}
	assert_true(r < 0 || (open > 0 && depth == 0));
	buf_fini(&out);
	return r;
}

static struct thread_id number_id(size_t i)
{
	return (struct thread_id){ i * UINT64_C(0x9e3779b97f4a7c15), i };
}

/* 100,000 messages: one chain, in both directions; one star; one loop. */
static void test_big(void **state)
{
	const size_t n = 100000;
	struct thread_msg *v = calloc(n, sizeof(*v));
	struct thread_id *refs = calloc(n, sizeof(*refs));

	(void)state;
	assert_true(v && refs);
	for (int shape = 0; shape < 4; shape++) {
		for (size_t i = 0; i < n; i++) {
			refs[i] = number_id(shape == 0	 ? i
					    : shape == 1 ? i + 2
					    : shape == 2 ? 1
							 : (i + 1) % n + 1);
			v[i] = (struct thread_msg){
				.number = (uint32_t)i + 1,
				.n_refs = shape == 0 && i == 0 ? 0 : 1,
				.date = (int64_t)((i * 7919) % n),
				.id = number_id(i + 1),
				.has_id = true,
				.refs = &refs[i],
				.subject = number_id(i % 1000),
				.has_subject = true,
				.is_reply = i % 3 == 0,
			};
		}
		assert_int_equal(run_big(thread_references, v, n), 0);
		assert_int_equal(run_big(thread_orderedsubject, v, n), 0);
	}
	free(v);
	free(refs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_orderedsubject),
		cmocka_unit_test(test_links),
		cmocka_unit_test(test_loops),
		cmocka_unit_test(test_subjects),
		cmocka_unit_test(test_big),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
