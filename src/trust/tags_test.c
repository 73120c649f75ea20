/* Tag lists: what RFC 6376 3.2 allows, and what it does not. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/err.h"
#include "trust/tags.h"

static void test_lists(void **state)
{
	static const struct {
		const char *text;
		int r;
		const char *names; /* "name=value|" of what came out */
	} cases[] = {
		{ "a=1", 0, "a=1|" },
		{ "a=1;", 0, "a=1|" },
		{ "a=1; ", 0, "a=1|" },
		{ "a=1;\r\n ", 0, "a=1|" },
		{ " a = 1 ; b=2", 0, "a=1|b=2|" },
		{ "\r\n\ta\r\n =\r\n x y\tz\r\n ;b=", 0, "a=x y\tz|b=|" },
		{ "a=b=c==", 0, "a=b=c==|" },
		{ "Ab_9=x; ab_9=y", 0, "Ab_9=x|ab_9=y|" },
		{ "d=\xc3\xa9.example", 0, "d=\xc3\xa9.example|" },
		{ "a=1;a=2", -EEXIST, "" },
		{ "a=1; b=2; a=1", -EEXIST, "" },
		{ "", -EINVAL, "" },
		{ " ", -EINVAL, "" },
		{ ";", -EINVAL, "" },
		{ "a", -EINVAL, "" },
		{ "=1", -EINVAL, "" },
		{ "_=1", -EINVAL, "" },
		{ "1a=1", -EINVAL, "" },
		{ "a-b=1", -EINVAL, "" },
		{ "a=1;;b=2", -EINVAL, "" },
		{ "a=1; ;b=2", -EINVAL, "" },
		{ "a=1;;", -EINVAL, "" },
		{ "a=1 b", 0, "a=1 b|" },
		{ "a=1\r\nb=2", -EINVAL, "" },
		{ "a=1\r\n", -EINVAL, "" },
		{ "a=1\n b", -EINVAL, "" },
		{ "a=1\rb", -EINVAL, "" },
		{ "a=\x01", -EINVAL, "" },
		{ "a=\x7f", -EINVAL, "" },
		{ "a b=1", -EINVAL, "" },
	};
	struct tags t;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf got = BUF_INIT(1000);

		assert_int_equal(tags_parse(slice_cstr(cases[i].text), &t), cases[i].r);
		for (size_t k = 0; cases[i].r == 0 && k < t.n; k++) {
			buf_printf(&got, "%.*s=%.*s|", SLICE_ARG(t.tag[k].name),
				   SLICE_ARG(t.tag[k].value));
		}
		assert_string_equal(buf_cstr(&got), cases[i].names);
		buf_fini(&got);
	}
	assert_int_equal(tags_parse(S("a=\0"), &t), -EINVAL);
}

static void test_whole_values(void **state)
{
	struct tags t;

	(void)state;
	assert_int_equal(tags_parse(S("b = \r\n xx ; c= "), &t), 0);
	assert_true(slice_eq(tags_get(&t, S("b"))->whole, S(" \r\n xx ")));
	assert_true(slice_eq(tags_get(&t, S("c"))->whole, S(" ")));
	assert_int_equal(tags_get(&t, S("c"))->value.n, 0);
	assert_null(tags_get(&t, S("B")));
}

static void test_too_many(void **state)
{
	struct buf text = BUF_INIT(100000);
	struct tags t;

	(void)state;
	for (int i = 0; i < TAGS_MAX; i++) {
		buf_printf(&text, "t%d=%d;", i, i);
	}
	assert_int_equal(tags_parse(buf_slice(&text), &t), 0);
	assert_int_equal(t.n, TAGS_MAX);
	buf_adds(&text, "one=more");
	assert_int_equal(tags_parse(buf_slice(&text), &t), -E2BIG);
	buf_fini(&text);
}

static void test_items(void **state)
{
	struct slice list = S("from : to::\r\n cc:");
	struct slice item;
	const char *want[] = { "from", "to", "", "cc", "" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		assert_true(tags_item(&list, &item));
		assert_true(slice_eq(item, slice_cstr(want[i])));
	}
	assert_false(tags_item(&list, &item));
	assert_true(tags_list_has(S("sha1 : sha256"), S("sha256")));
	assert_false(tags_list_has(S("sha1:sha2567"), S("sha256")));
	assert_false(tags_list_has(S("SHA256"), S("sha256")));
}

static void test_base64(void **state)
{
	unsigned char out[8];

	(void)state;
	assert_int_equal(tags_base64(S("aGVs\r\n bG8="), out, sizeof(out)), 5);
	assert_memory_equal(out, "hello", 5);
	assert_int_equal(tags_base64(S(""), out, sizeof(out)), 0);
	assert_int_equal(tags_base64(S("aGVsbG8"), out, sizeof(out)), -EINVAL);
	assert_int_equal(tags_base64(S("a_Vs"), out, sizeof(out)), -EINVAL);
	assert_int_equal(tags_base64(S("aGVsbG9oZWxsbw=="), out, sizeof(out)), -EMSGSIZE);
	assert_int_equal(tags_base64(S("aGVsbG9oZWxsb2hlbGxvaGVsbG8="), out, sizeof(out)),
			 -EMSGSIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lists),	 cmocka_unit_test(test_whole_values),
		cmocka_unit_test(test_too_many), cmocka_unit_test(test_items),
		cmocka_unit_test(test_base64),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
