/* Tests of html.c: what is text, for every cut, and hostile sizes. */
#include "mime/html.h"
#include "mime/test_util.h"

static const struct {
	const char *in, *want;
} cases[] = {
	{ "", "" },
	{ "plain", "plain" },
	{ "a<b>b</b>c", "abc" },
	{ "a<br>b<p>c</p>d", "a b c d" },
	{ "a<td class=x>b<BR/>c", "a b c" },
	{ "a \r\n\t b", "a b" },
	{ "1 < 2 <3", "1 < 2 <3" },
	{ "<", "<" },
	{ "a<", "a<" },
	{ "<a title=\"x>y\">z", "z" },
	{ "<a title='x>\"y'>z", "z" },
	{ "<a it's>z", "z" },
	{ "<!-- a > b -- -->c", "c" },
	{ "<!DOCTYPE html>c", "c" },
	{ "<?xml version=\"1.0\"?>c", "c" },
	{ "<script>if (a<b) \"</b>\"</script>c", "c" },
	{ "<STYLE type=x>p>q {}</sTyLe >c", "c" },
	{ "<script>a</scrip</script>b", "b" },
	{ "<title>t</title>b", " t b" },
	{ "a&amp;b&lt;c&gt;&quot;&apos;", "a&b<c>\"'" },
	{ "&auml;&Auml;&euro;&#228;&#xE4;&#XE4;",
	  "\xc3\xa4\xc3\x84\xe2\x82\xac\xc3\xa4\xc3\xa4\xc3\xa4" },
	{ "a&nbsp;b", "a b" },
	{ "&nbsp b", " b" },
	{ "&nosuch; &; &# &#; &#x; &#12a; a&b", "&nosuch; &; &# &#; &#x; &#12a; a&b" },
	{ "&#0;&#xd800;&#x110000;&#99999999999;",
	  "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
	{ "&#13;&#10;x", " x" },
	{ "AT&T", "AT&T" },
	{ "\xc3\xa4<i>\xe2\x82\xac</i>", "\xc3\xa4\xe2\x82\xac" },
	{ "a<unclosed b c", "a" },
};

static void test_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct slice in = slice_cstr(cases[i].in);

		for (size_t piece = 1; piece < 5; piece++) {
			struct buf out = BUF_INIT(1 << 16);
			struct html h = { 0 };

			for (size_t at = 0; at < in.n; at += piece) {
				html_feed(&h, slice_sub(in, at, piece), &out);
			}
			html_end(&h, &out);
			assert_string_equal(buf_cstr(&out), cases[i].want);
			buf_fini(&out);
		}
	}
}

static void test_sizes(void **state)
{
	static const char *const units[] = { "<div>", "<",	  "&",	     "&amp",
					     "<!--",  "<script>", "<a b=\"", "-->" };

	(void)state;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		struct buf b = BUF_INIT(TEST_MAX);
		struct buf out = BUF_INIT(TEST_MAX);
		struct html h = { 0 };

		repeat(&b, units[i], 250000);
		html_feed(&h, buf_slice(&b), &out);
		html_end(&h, &out);
		assert_int_equal(out.err, 0);
		assert_true(out.n <= b.n);
		buf_fini(&b);
		buf_fini(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
