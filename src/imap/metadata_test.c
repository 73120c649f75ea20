/* Arguments of GETMETADATA and SETMETADATA, and how entries are told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/err.h"
#include "imap/metadata.h"

static struct arena arena;

static int setup(void **state)
{
	(void)state;
	arena_init(&arena, 8 << 20);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena_fini(&arena);
	return 0;
}

static int get(struct slice text, struct metadata_get *out)
{
	struct cur c = cur_init(text);

	metadata_parse_get(&c, &arena, out);
	return c.err;
}

static int set(struct slice text, struct metadata_set *out)
{
	struct cur c = cur_init(text);

	metadata_parse_set(&c, &arena, out);
	return c.err;
}

static void test_get(void **state)
{
	struct metadata_get g;

	(void)state;
	assert_int_equal(get(S(" INBOX /Shared/Comment"), &g), 0);
	assert_true(slice_eq(g.mailbox, S("INBOX")));
	assert_int_equal(g.n, 1);
	assert_true(slice_eq(g.names[0], S("/shared/comment")));
	assert_int_equal(g.depth, 0);
	assert_false(g.has_max);
	assert_int_equal(get(S(" \"\" (/private/a \"/private/b c\" /private)"), &g), 0);
	assert_int_equal(g.mailbox.n, 0);
	assert_int_equal(g.n, 3);
	assert_true(slice_eq(g.names[1], S("/private/b c")));
	assert_int_equal(get(S(" (maxsize 1024 DEPTH infinity) INBOX (/private)"), &g), 0);
	assert_int_equal(g.max, 1024);
	assert_int_equal(g.depth, UINT32_MAX);
	assert_int_equal(get(S(" INBOX (DEPTH 1 MAXSIZE 0) /private/x"), &g), 0);
	assert_int_equal(g.depth, 1);
	assert_true(g.has_max);
	assert_int_equal(get(S(" INBOX (\"/private/x\")"), &g), 0);
	assert_int_equal(get(S(" {5+}\r\nINBOX ({9}\r\n/shared/x)"), &g), 0);
}

static void test_get_bad(void **state)
{
	static const char *const bad[] = {
		"",
		" INBOX",
		" INBOX ()",
		" INBOX /comment",
		" INBOX (/shared/comment",
		" INBOX (/shared/comment  /shared/x)",
		" INBOX /shared/comment /private/comment",
		" INBOX /shared//comment",
		" INBOX /shared/comment/",
		" INBOX \"/shared/*\"",
		" INBOX (DEPTH 2) /shared/x",
		" INBOX (DEPTH) /shared/x",
		" INBOX (MAXSIZE x) /shared/x",
		" INBOX (MAXSIZE -1) /shared/x",
		" INBOX (SIZE 1) /shared/x",
		" INBOX (DEPTH 1)/shared/x",
		" (DEPTH 1) INBOX (DEPTH 1) /shared/x",
		" () INBOX /shared/x",
	};
	struct metadata_get g;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (get(slice_cstr(bad[i]), &g) != -EINVAL) {
			fail_msg("taken: GETMETADATA%s", bad[i]);
		}
	}
	assert_int_equal(get(S(" INBOX (MAXSIZE 99999999999999999999999) /shared/x"), &g), -ERANGE);
}

static void test_set(void **state)
{
	struct metadata_set s;

	(void)state;
	assert_int_equal(set(S(" INBOX (/private/a \"x\" /Shared/B NIL /private/c {2}\r\n\r\n "
			       "/private/d ~{3+}\r\n\0a\0)"),
			     &s),
			 0);
	assert_int_equal(s.n, 4);
	assert_true(slice_eq(s.v[0].value, S("x")));
	assert_null(s.v[1].value.p);
	assert_true(slice_eq(s.v[1].name, S("/shared/b")));
	assert_true(slice_eq(s.v[2].value, S("\r\n")));
	assert_true(slice_eq(s.v[3].value, slice_make("\0a\0", 3)));
	assert_int_equal(set(S(" \"\" (/private/a ~{0}\r\n)"), &s), 0);
	assert_non_null(s.v[0].value.p);
	assert_int_equal(s.v[0].value.n, 0);
	assert_int_equal(set(S(" \"\" (/private/a \"\")"), &s), 0);
	assert_non_null(s.v[0].value.p);
	assert_false(s.too_long);
}

static void test_set_bad(void **state)
{
	static const struct slice bad[] = {
		S(" INBOX /private/a x"),
		S(" INBOX ()"),
		S(" INBOX (/private/a)"),
		S(" INBOX (/private/a atom)"),
		S(" INBOX (/private \"x\")"),
		S(" INBOX (/private/a \"x\" )"),
		S(" INBOX (/private/a \"x\") "),
		S(" INBOX (/private/a ~\"x\")"),
		S(" INBOX (/private/a ~{5}\r\nx)"),
		S(" INBOX (/private/a {1}\r\n\0)"),
		S(" INBOX (/private/a ~{99999999999999999999}\r\nx)"),
		S(" INBOX (DEPTH 1) (/private/a \"x\")"),
		S(" INBOX (/private/vendor/x \"x\")"),
	};
	struct metadata_set s;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (!set(bad[i], &s)) {
			fail_msg("taken: SETMETADATA%.*s", SLICE_ARG(bad[i]));
		}
	}
}

static void test_limits(void **state)
{
	struct buf b = BUF_INIT(1 << 20);
	struct metadata_set s;
	struct metadata_get g;

	(void)state;
	buf_adds(&b, " INBOX (/shared/x NIL");
	for (size_t i = 1; i < METADATA_NAMES_MAX; i++) {
		buf_adds(&b, " /shared/x NIL");
	}
	size_t n = b.n;
	buf_addc(&b, ')');
	assert_int_equal(set(buf_slice(&b), &s), 0);
	buf_truncate(&b, n);
	buf_adds(&b, " /shared/x NIL)");
	assert_int_equal(set(buf_slice(&b), &s), -EMSGSIZE);
	buf_reset(&b);
	buf_printf(&b, " INBOX (/shared/x {%u}\r\n", STORE_ENTRY_VALUE_MAX + 1);
	for (size_t i = 0; i <= STORE_ENTRY_VALUE_MAX; i++) {
		buf_addc(&b, 'v');
	}
	buf_addc(&b, ')');
	assert_int_equal(set(buf_slice(&b), &s), 0);
	assert_true(s.too_long);
	buf_reset(&b);
	buf_adds(&b, " INBOX (/shared/x");
	for (size_t i = 0; i < METADATA_NAMES_MAX; i++) {
		buf_adds(&b, " /shared/x");
	}
	buf_addc(&b, ')');
	assert_int_equal(get(buf_slice(&b), &g), -EMSGSIZE);
	buf_fini(&b);
}

static void puts_(struct slice value, struct slice want)
{
	const struct store_entry e = { S("/shared/x"), value };
	struct buf b = BUF_INIT(4096);

	metadata_put(&b, &e);
	assert_true(slice_eq(buf_slice(&b), want));
	buf_fini(&b);
}

static void test_put(void **state)
{
	(void)state;
	puts_(slice_make(NULL, 0), S("/shared/x NIL"));
	puts_(S(""), S("/shared/x \"\""));
	puts_(S("a \"b\""), S("/shared/x \"a \\\"b\\\"\""));
	puts_(S("a\r\nb"), S("/shared/x {4}\r\na\r\nb"));
	puts_(slice_make("a\0b", 3), S("/shared/x ~{3}\r\na\0b"));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_get),	 T(test_get_bad), T(test_set),
		T(test_set_bad), T(test_limits),  T(test_put),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
