/* LIST's options, and which rows it shows: the examples of RFC 5258 5. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/err.h"
#include "imap/list.h"
#include "imap/status.h"

static struct arena arena;

static int setup(void **state)
{
	(void)state;
	arena_init(&arena, 32 << 20);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena_fini(&arena);
	return 0;
}

static int parse(const char *text, struct list_args *out)
{
	struct cur c = cur_init(slice_cstr(text));

	list_parse(&c, &arena, out);
	return c.err;
}

static void test_forms(void **state)
{
	struct list_args a;

	(void)state;
	assert_int_equal(parse(" \"\" *", &a), 0);
	assert_false(a.extended);
	assert_int_equal(a.n_patterns, 1);
	assert_int_equal(parse(" \"\" \"\"", &a), 0);
	assert_false(a.extended);
	assert_int_equal(parse(" () \"\" \"\"", &a), 0);
	assert_true(a.extended);
	assert_int_equal(parse(" \"\" (\"\")", &a), 0);
	assert_true(a.extended);
	assert_int_equal(parse(" \"\" \"\" return ()", &a), 0);
	assert_true(a.extended);
	assert_int_equal(parse(" \"\" (a% \"b c\" *)", &a), 0);
	assert_int_equal(a.n_patterns, 3);
	assert_true(slice_eq(a.patterns[1], S("b c")));
}

static void test_options(void **state)
{
	struct list_args a;

	(void)state;
	assert_int_equal(parse(" (subscribed REMOTE) \"\" *", &a), 0);
	assert_int_equal(a.sel, LIST_SEL_SUBSCRIBED | LIST_SEL_REMOTE);
	assert_int_equal(a.ret, LIST_RET_SUBSCRIBED);
	assert_int_equal(parse(" (RECURSIVEMATCH SUBSCRIBED RECURSIVEMATCH) \"\" *", &a), 0);
	assert_int_equal(a.sel, LIST_SEL_SUBSCRIBED | LIST_SEL_RECURSIVE);
	assert_int_equal(parse(" (SPECIAL-USE RECURSIVEMATCH) \"\" *", &a), 0);
	assert_int_equal(a.ret, LIST_RET_SPECIAL_USE);
	assert_int_equal(parse(" \"\" % RETURN (CHILDREN STATUS (MESSAGES size) SUBSCRIBED)", &a),
			 0);
	assert_int_equal(a.ret, LIST_RET_CHILDREN | LIST_RET_STATUS | LIST_RET_SUBSCRIBED);
	assert_int_equal(a.status, STATUS_MESSAGES | STATUS_SIZE);
}

static void test_bad(void **state)
{
	static const char *const bad[] = {
		"",
		" \"\"",
		" \"\" ",
		" \"\" ()",
		" \"\" (a  b)",
		" \"\" (a b",
		" ( ) \"\" *",
		" (SUBSCRIBED )\"\" *",
		" (SUBSCRIBED)\"\" *",
		" (RECURSIVEMATCH) \"\" *",
		" (REMOTE RECURSIVEMATCH) \"\" *",
		" (IMAPTEST) \"\" *",
		" (CHILDREN) \"\" *",
		" \"\" * RETURN",
		" \"\" * RETURN ",
		" \"\" * RETURN CHILDREN",
		" \"\" * RETURN (REMOTE)",
		" \"\" * RETURN (STATUS)",
		" \"\" * RETURN (STATUS ())",
		" \"\" * RETURN (STATUS (NOTHING))",
		" \"\" * RETURN (CHILDREN ) ",
		" \"\" * RETURN () x",
		" \"\" * (CHILDREN)",
	};
	struct list_args a;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (parse(bad[i], &a) != -EINVAL) {
			fail_msg("taken: LIST%s", bad[i]);
		}
	}
}

static void test_limit(void **state)
{
	struct buf b = BUF_INIT(4096);
	struct list_args a;

	(void)state;
	buf_adds(&b, " \"\" (x");
	for (size_t i = 1; i < LIST_PATTERNS_MAX; i++) {
		buf_adds(&b, " x");
	}
	struct cur c = cur_init(buf_slice(&b));
	list_parse(&c, &arena, &a);
	assert_int_equal(c.err, -EINVAL); /* only the end is missing */
	buf_adds(&b, " x)");
	c = cur_init(buf_slice(&b));
	list_parse(&c, &arena, &a);
	assert_int_equal(c.err, -EMSGSIZE);
	buf_fini(&b);
}

static int parse_create(const char *text, struct list_create *out)
{
	struct cur c = cur_init(slice_cstr(text));

	list_parse_create(&c, out);
	cur_end(&c);
	return c.err;
}

static void test_create(void **state)
{
	static const char *const bad[] = {
		" ",
		" ()",
		" (USE)",
		" (USE ())x",
		" (USE (Trash))",
		" (USE (\\Trash )",
		" (USE (\\))",
		" (SIZE (1))",
		" (USE (\\Sent)) ",
		"(USE ())",
		" (USE () USE ())",
	};
	struct list_create p;

	(void)state;
	assert_int_equal(parse_create("", &p), 0);
	assert_int_equal(p.uses, 0);
	assert_int_equal(parse_create(" (USE ())", &p), 0);
	assert_false(p.bad_use);
	assert_int_equal(parse_create(" (use (\\trash \\Sent))", &p), 0);
	assert_int_equal(p.uses, STORE_USE_TRASH | STORE_USE_SENT);
	assert_false(p.bad_use);
	assert_int_equal(parse_create(" (USE (\\Trash \\All))", &p), 0);
	assert_true(p.bad_use);
	assert_int_equal(parse_create(" (USE (\\Important))", &p), 0);
	assert_true(p.bad_use);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (parse_create(bad[i], &p) != -EINVAL) {
			fail_msg("taken: CREATE x%s", bad[i]);
		}
	}
}

/* Names one after the other; "+" subscribed, "-" does not exist, "!" \Junk.
 * What LIST text shows, in short. */
static void shows(const char *names, const char *text, const char *want)
{
	struct slice rest = slice_cstr(names);
	struct buf out = BUF_INIT(4096);
	struct pattern p[4];
	struct list_rows l;
	struct list_args a;

	assert_int_equal(parse(text, &a), 0);
	list_rows_init(&l, &arena);
	while (rest.n > 0) {
		struct slice name = slice_split(&rest, ' ');
		struct slice marks = name;

		while (name.n && strchr("+-!", name.p[0])) {
			name = slice_from(name, 1);
		}
		marks.n -= name.n;
		struct list_row *row = list_rows_add(&l, name);
		row->exists = slice_chr(marks, '-') == SIZE_MAX;
		row->noselect = !row->exists;
		row->subscribed = slice_chr(marks, '+') != SIZE_MAX;
		row->uses = slice_chr(marks, '!') != SIZE_MAX ? STORE_USE_JUNK : 0;
	}
	assert_int_equal(list_rows_finish(&l), 0);
	for (size_t i = 0; i < a.n_patterns; i++) {
		assert_int_equal(pattern_compile(&arena, a.patterns[i], &p[i]), 0);
	}
	for (size_t i = 0; i < l.n; i++) {
		list_row_match(l.v[i], p, a.n_patterns);
	}
	list_select(&l, &a);
	for (size_t i = 0; i < l.n; i++) {
		if (l.v[i]->show) {
			list_put_attributes(&out, l.v[i], &a, false);
			buf_add(&out, l.v[i]->name);
			list_put_extended(&out, l.v[i], &a);
			buf_addc(&out, '\n');
		}
	}
	assert_string_equal(buf_cstr(&out), want);
	buf_fini(&out);
	list_rows_fini(&l);
}

#define FRUIT                                                                   \
	"+INBOX Fruit Fruit/Apple +Fruit/Banana +-Fruit/Peach Tofu +Vegetable " \
	"+Vegetable/Broccoli Vegetable/Corn"

static void test_subscribed(void **state)
{
	(void)state;
	shows(FRUIT, " (SUBSCRIBED) \"\" *",
	      "(\\Subscribed \\HasNoChildren)INBOX\n"
	      "(\\Subscribed \\HasNoChildren)Fruit/Banana\n"
	      "(\\Subscribed \\NonExistent \\HasNoChildren)Fruit/Peach\n"
	      "(\\Subscribed \\HasChildren)Vegetable\n"
	      "(\\Subscribed \\HasNoChildren)Vegetable/Broccoli\n");
	/* The return option adds no name. */
	shows(FRUIT, " \"\" (F%/%) RETURN (SUBSCRIBED)",
	      "(\\HasNoChildren)Fruit/Apple\n(\\Subscribed \\HasNoChildren)Fruit/Banana\n");
	shows(FRUIT, " \"\" (F%/B% T%)", "(\\HasNoChildren)Fruit/Banana\n(\\HasNoChildren)Tofu\n");
}

static void test_childinfo(void **state)
{
	(void)state;
	shows("Foo Foo/Bar +Foo/Baz Moo", " (SUBSCRIBED) \"\" %", "");
	shows("Foo Foo/Bar +Foo/Baz Moo", " (SUBSCRIBED RECURSIVEMATCH) \"\" %",
	      "(\\HasChildren)Foo (\"CHILDINFO\" (\"SUBSCRIBED\"))\n");
	shows("+Foo Foo/Bar +Foo/Baz Moo", " (SUBSCRIBED RECURSIVEMATCH) \"\" %",
	      "(\\Subscribed \\HasChildren)Foo (\"CHILDINFO\" (\"SUBSCRIBED\"))\n");
	shows("+-Foo/Baz Moo", " (SUBSCRIBED RECURSIVEMATCH) \"\" %",
	      "(\\NonExistent \\HasNoChildren)Foo (\"CHILDINFO\" (\"SUBSCRIBED\"))\n");
	shows("Foo Foo/Bar Moo", " (SUBSCRIBED RECURSIVEMATCH) \"\" %", "");
	shows("+Foo Foo/Bar +Moo", " (SUBSCRIBED RECURSIVEMATCH) \"\" % RETURN (CHILDREN)",
	      "(\\Subscribed \\HasChildren)Foo\n(\\Subscribed \\HasNoChildren)Moo\n");
	shows("foo +-foo/bar", " (SUBSCRIBED RECURSIVEMATCH) \"\" foo RETURN (CHILDREN)",
	      "(\\HasNoChildren)foo (\"CHILDINFO\" (\"SUBSCRIBED\"))\n");
	shows("+a/b/c/d", " (SUBSCRIBED RECURSIVEMATCH) \"\" a/%",
	      "(\\NonExistent \\HasChildren)a/b (\"CHILDINFO\" (\"SUBSCRIBED\"))\n");
}

static void test_redundant_childinfo(void **state)
{
	(void)state;
	shows("foo2 +foo2/bar1 +foo2/bar2 baz2 +baz2/bar2 +baz2/bar22 +baz2/bar222 +eps2 "
	      "+eps2/mamba +qux2/bar2",
	      " (RECURSIVEMATCH SUBSCRIBED) \"\" *2",
	      "(\\Subscribed \\HasNoChildren)baz2/bar2\n"
	      "(\\Subscribed \\HasNoChildren)baz2/bar22\n"
	      "(\\Subscribed \\HasNoChildren)baz2/bar222\n"
	      "(\\Subscribed \\HasChildren)eps2 (\"CHILDINFO\" (\"SUBSCRIBED\"))\n"
	      "(\\HasChildren)foo2 (\"CHILDINFO\" (\"SUBSCRIBED\"))\n"
	      "(\\Subscribed \\HasNoChildren)foo2/bar2\n"
	      "(\\Subscribed \\HasNoChildren)qux2/bar2\n");
}

static void test_special_use(void **state)
{
	(void)state;
	shows("INBOX !Spam +!x/Junk", " (SPECIAL-USE) \"\" *",
	      "(\\HasNoChildren \\Junk)Spam\n(\\HasNoChildren \\Junk)x/Junk\n");
	shows("INBOX !Spam +!x/Junk", " (SPECIAL-USE SUBSCRIBED RECURSIVEMATCH) \"\" %",
	      "(\\NonExistent \\HasChildren)x (\"CHILDINFO\" (\"SUBSCRIBED\" \"SPECIAL-USE\"))\n");
}

/* Ten thousand names are nothing (THREATS IM-10). */
static void test_many(void **state)
{
	struct list_rows l;
	struct list_args a;
	char name[64];

	(void)state;
	list_rows_init(&l, &arena);
	for (int i = 0; i < 10000; i++) {
		int n = snprintf(name, sizeof(name), "a/b/c/d/e/f/g/h/%d", i);
		struct list_row *row = list_rows_add(&l, slice_make(name, (size_t)n));
		row->exists = row->subscribed = true;
	}
	assert_int_equal(list_rows_finish(&l), 0);
	assert_int_equal(l.n, 10008);
	assert_int_equal(parse(" (SUBSCRIBED RECURSIVEMATCH) \"\" %", &a), 0);
	l.v[0]->matches = true;
	list_select(&l, &a);
	assert_true(slice_eq(l.v[0]->name, S("a")));
	assert_true(l.v[0]->show && l.v[0]->childinfo);
	assert_false(l.v[1]->show);
	list_rows_fini(&l);
}

static void test_no_memory(void **state)
{
	struct arena small;
	struct list_rows l;
	char name[32];

	(void)state;
	arena_init(&small, 2000);
	list_rows_init(&l, &small);
	for (int i = 0; i < 100; i++) {
		int n = snprintf(name, sizeof(name), "%d", i);
		list_rows_add(&l, slice_make(name, (size_t)n));
	}
	assert_int_equal(list_rows_finish(&l), -ENOMEM);
	list_rows_fini(&l);
	arena_fini(&small);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_forms, setup, teardown),
		cmocka_unit_test_setup_teardown(test_options, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_create, setup, teardown),
		cmocka_unit_test_setup_teardown(test_subscribed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_childinfo, setup, teardown),
		cmocka_unit_test_setup_teardown(test_redundant_childinfo, setup, teardown),
		cmocka_unit_test_setup_teardown(test_special_use, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
