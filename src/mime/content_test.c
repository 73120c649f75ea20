/* Tests of content.c: parameters as they should be and as they are. */
#include "mime/test_util.h"

/* "type/subtype name=value name=value" or "unreadable". */
static void dump(const char *body, struct buf *out)
{
	struct slice type, subtype;
	struct mime_param *p;
	struct arena a;

	arena_init(&a, 1 << 20);
	if (!mime_content_type(slice_cstr(body), &a, &type, &subtype, &p)) {
		buf_adds(out, "unreadable");
		arena_fini(&a);
		return;
	}
	buf_add(out, type);
	buf_addc(out, '/');
	buf_add(out, subtype);
	for (; p; p = p->next) {
		buf_addc(out, ' ');
		buf_add(out, p->name);
		buf_addc(out, '=');
		buf_add(out, p->value);
	}
	arena_fini(&a);
}

static const struct {
	const char *body, *want;
} cases[] = {
	{ "text/plain", "text/plain" },
	{ " Text / HTML ; Charset = utf-8 ", "Text/HTML Charset=utf-8" },
	{ "text/plain; charset=us-ascii (Plain text)", "text/plain charset=us-ascii" },
	{ "text/plain (x) ; (y) charset (z) = (w) \"us-ascii\"", "text/plain charset=us-ascii" },
	{ "a/b; x=\"a;b\\\"c\\\\\"; y=2", "a/b x=a;b\"c\\ y=2" },
	{ "a/b; x=\"open", "a/b x=open" },
	{ "a/b; name=my file.txt; y=2", "a/b name=my file.txt y=2" },
	{ "a/b; name=C:\\dir\\f; y=", "a/b name=C:\\dir\\f y=" },
	{ "a/b; x=\"1\" y=2", "a/b x=1 y=2" },
	{ "a/b; x=1\r\n y=2\r\n\tz = 3", "a/b x=1 y=2 z=3" },
	{ "a/b; x=one\r\n two; y=a b=c", "a/b x=one two y=a b=c" },
	{ "a/b; x= (c) 1", "a/b x=1" },
	{ "a/b;;; ;x=1;;", "a/b x=1" },
	{ "a/b; flag; x=1; =2; \"q\"=3; y=4", "a/b x=1 y=4" },
	{ "a/b; boundary=\"a\r\n b\"", "a/b boundary=a b" },
	{ "a/b; x=1; X=2; x=3", "a/b x=1 X=2 x=3" },
	{ "text", "unreadable" },
	{ "/plain", "unreadable" },
	{ "text/", "unreadable" },
	{ "", "unreadable" },
	{ "(((", "unreadable" },
	/* RFC 2231 3 and 4, its own examples. */
	{ "message/external-body; access-type=URL; URL*0=\"ftp://\"; "
	  "URL*1=\"cs.utk.edu/pub/moore/bulk-mailer/bulk-mailer.tar\"",
	  "message/external-body access-type=URL "
	  "URL=ftp://cs.utk.edu/pub/moore/bulk-mailer/bulk-mailer.tar" },
	{ "application/x-stuff; title*=us-ascii'en-us'This%20is%20%2A%2A%2Afun"
	  "%2A%2A%2A",
	  "application/x-stuff title=This is ***fun***" },
	{ "application/x-stuff; title*0*=us-ascii'en'This%20is%20even%20more%20; "
	  "title*1*=%2A%2A%2Afun%2A%2A%2A%20; title*2=\"isn't it!\"",
	  "application/x-stuff title=This is even more ***fun*** isn't it!" },
	/* Order, gaps, duplicates, both forms, bad charset, bad percent. */
	{ "a/b; t*1=two; t*0=one; u=3", "a/b t=onetwo u=3" },
	{ "a/b; t*0=one; t*2=three", "a/b t=one" },
	{ "a/b; t*1=one", "a/b t*1=one" },
	{ "a/b; t*0=one; t*0=two", "a/b t=one" },
	{ "a/b; t=plain; t*=utf-8''%c3%a4", "a/b t=\xc3\xa4" },
	{ "a/b; t*0*=iso-8859-1''%e4; t=plain; t*1=x", "a/b t=\xc3\xa4x" },
	{ "a/b; t*=nonsense''%e4%zz%4", "a/b t=\xc3\xa4%zz%4" },
	{ "a/b; t*='%41", "a/b t='A" },
	{ "a/b; t*=utf-8''a%0d%0ab%00c", "a/b t=a  b c" },
	{ "a/b; *=1; t**=2; t*x=3; t*1000=4", "a/b *=1 t**=2 t*x=3 t*1000=4" },
	{ "a/b; t*0*=utf-8''%e2%82; t*1*=%ac", "a/b t=\xe2\x82\xac" },
};

static void test_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf out = BUF_INIT(1 << 16);

		dump(cases[i].body, &out);
		assert_string_equal(buf_cstr(&out), cases[i].want);
		buf_fini(&out);
	}
}

static void test_disposition(void **state)
{
	struct slice disp;
	struct mime_param *p;
	struct arena a;

	(void)state;
	arena_init(&a, 1 << 20);
	assert_true(mime_content_disposition(S(" (c) Attachment; filename=\"a b.txt\"; size=3"), &a,
					     &disp, &p));
	assert_slice(disp, "Attachment");
	assert_slice(mime_param_get(p, S("FileName")), "a b.txt");
	assert_slice(mime_param_get(p, S("size")), "3");
	assert_null(mime_param_get(p, S("none")).p);
	assert_false(mime_content_disposition(S("; x=1"), &a, &disp, &p));
	arena_fini(&a);
}

static size_t count(struct slice body)
{
	struct slice type, subtype;
	struct mime_param *p;
	struct arena a;
	size_t n = 0;

	arena_init(&a, TEST_MAX);
	assert_true(mime_content_type(body, &a, &type, &subtype, &p));
	for (; p; p = p->next) {
		n++;
	}
	arena_fini(&a);
	return n;
}

static void test_many(void **state)
{
	struct buf b = BUF_INIT(TEST_MAX);

	(void)state;
	buf_adds(&b, "a/b");
	repeat(&b, "; x=1", 100000);
	assert_int_equal(count(buf_slice(&b)), MIME_PARAMS_MAX);
	buf_truncate(&b, 3);
	for (int i = 0; i < 100000; i++) {
		buf_printf(&b, "; x*%d=1", i % 1000);
	}
	assert_int_equal(count(buf_slice(&b)), 1);
	buf_truncate(&b, 3);
	repeat(&b, "; y*=''%41", 100000);
	assert_int_equal(count(buf_slice(&b)), 1);
	buf_truncate(&b, 3);
	repeat(&b, "; x=\"", 100000);
	assert_true(count(buf_slice(&b)) <= MIME_PARAMS_MAX);
	buf_truncate(&b, 3);
	repeat(&b, "(", 100000);
	assert_int_equal(count(buf_slice(&b)), 0);
	buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_disposition),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
