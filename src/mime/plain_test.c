/* Bodies to readable text: what is undone, in pieces of any size. */
#include "mime/plain.h"
#include "mime/test_util.h"

static void reads(const char *header, const char *body, const char *want, size_t piece)
{
	struct mime_part *p;
	struct buf msg = BUF_INIT(4096), out = BUF_INIT(4096);
	struct slice raw;
	struct mime_tree t;
	struct arena a;

	arena_init(&a, MIME_TREE_MAX);
	buf_adds(&msg, header);
	buf_adds(&msg, "\r\n\r\n");
	buf_adds(&msg, body);
	assert_int_equal(mime_parse(buf_slice(&msg), &a, &t), 0);
	p = t.root;
	struct mime_plain *x = mime_plain_new(p);

	assert_non_null(x);
	for (raw = slice_from(buf_slice(&msg), p->body_off); raw.n; raw = slice_from(raw, piece)) {
		mime_plain_feed(x, slice_sub(raw, 0, piece), &out);
	}
	mime_plain_end(x, &out);
	mime_plain_free(&x);
	assert_null(x);
	if (!slice_eq(buf_slice(&out), slice_cstr(want))) {
		fail_msg("%s in %zu: '%.*s'", header, piece, SLICE_ARG(buf_slice(&out)));
	}
	buf_fini(&msg);
	buf_fini(&out);
	arena_fini(&a);
}

static void test_cases(void **state)
{
	static const struct {
		const char *header, *body, *want;
	} cases[] = {
		{ "A: b", "One & Two", "One & Two" },
		{ "Content-Transfer-Encoding: quoted-printable", "A=C3=\r\n=A4 =3D",
		  "A\xc3\xa4 =" },
		{ "Content-Type: text/plain; charset=iso-8859-1\r\n"
		  "Content-Transfer-Encoding: BASE64",
		  "5Q==", "\xc3\xa5" },
		{ "Content-Type: text/plain; charset=x-unknown", "abc", "abc" },
		{ "Content-Type: text/html; charset=utf-8", "<b>x</b>&auml;&#65",
		  "x\xc3\xa4"
		  "A" },
		{ "Content-Type: text/plain", "<b>x</b>&auml;", "<b>x</b>&auml;" },
		{ "Content-Type: application/html", "<b>x", "<b>x" },
		{ "Content-Type: text/plain; charset=utf-16be", "", "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		reads(cases[i].header, cases[i].body, cases[i].want, 1);
		reads(cases[i].header, cases[i].body, cases[i].want, 4096);
	}
}

/* A body far longer than a step, all in one. */
static void test_long(void **state)
{
	struct mime_part part = { .type = S("text"),
				  .subtype = S("plain"),
				  .encoding = S("quoted-printable") };
	struct buf raw = BUF_INIT(1 << 20), out = BUF_INIT(1 << 20);
	struct mime_plain *p = mime_plain_new(&part);

	(void)state;
	for (unsigned i = 0; i < 20000; i++) {
		buf_adds(&raw, "=41=\r\n");
	}
	assert_non_null(p);
	mime_plain_feed(p, buf_slice(&raw), &out);
	mime_plain_end(p, &out);
	assert_int_equal(out.n, 20000);
	assert_int_equal(out.p[19999], 'A');
	mime_plain_free(&p);
	mime_plain_free(&p);
	buf_fini(&raw);
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
