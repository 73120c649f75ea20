/* Tests of text.c: finding across encodings, charsets, pieces and borders. */
#include "base/codec.h"
#include "base/utf8.h"
#include "mime/test_util.h"
#include "mime/text.h"

/* Is needle (not folded) in the body of a message given whole? */
static bool found(struct slice msg, const char *needle, size_t piece)
{
	struct buf folded = BUF_INIT(1 << 16);
	struct mime_match *m;
	struct mime_tree t;
	struct arena a;
	struct slice body;
	bool hit = false;

	arena_init(&a, MIME_TREE_MAX);
	assert_int_equal(mime_parse(msg, &a, &t), 0);
	assert_int_equal(utf8_fold(&folded, slice_cstr(needle)), 0);
	m = mime_match_new(t.root, buf_slice(&folded));
	assert_non_null(m);
	body = slice_from(msg, t.root->body_off);
	for (size_t at = 0; at < body.n && !hit; at += piece) {
		hit = mime_match_feed(m, slice_sub(body, at, piece));
	}
	hit = mime_match_end(m) || hit;
	mime_match_free(&m);
	assert_null(m);
	buf_fini(&folded);
	arena_fini(&a);
	return hit;
}

static const struct {
	const char *msg, *needle;
	bool want;
} cases[] = {
	{ "A: b\n\nHello World", "hello w", true },
	{ "A: b\n\nHello World", "a: b", false },
	{ "A: b\n\nHello World", "", true },
	{ "A: b\n\n", "x", false },
	{ "Content-Transfer-Encoding: base64\n\nSGVsbG8g\nV29ybGQ=", "o w", true },
	{ "Content-Transfer-Encoding: quoted-printable\n\nHel=\nlo=20World", "hello world", true },
	{ "Content-Transfer-Encoding: quoted-printable\n"
	  "Content-Type: text/plain; charset=iso-8859-1\n\nFr=F6sche",
	  "FR\xc3\x96SCHE", true },
	{ "Content-Type: text/plain; charset=x-none\n\nFr\xf6sche", "fr\xc3\xb6sche", true },
	{ "A: b\n\nFr\xc3\xb6sche", "fr\xc3\xb6sche", true },
	/* Composed and decomposed are one (utf8_fold). */
	{ "A: b\n\nFro\xcc\x88sche", "fr\xc3\xb6sche", true },
	{ "A: b\n\nSTRASSE",
	  "stra\xc3\x9f"
	  "e",
	  true },
	{ "Content-Type: text/html\n\n<p>Fr<b>&ouml;</b>sche\n und<script>x</script>",
	  "fr\xc3\xb6sche und", true },
	{ "Content-Type: text/html\n\n<p>Fr<script>needle</script>", "needle", false },
	{ "Content-Type: text/plain\n\n<b>x", "<b>", true },
};

static void test_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (size_t piece = 1; piece < 9; piece += 2) {
			assert_int_equal(found(slice_cstr(cases[i].msg), cases[i].needle, piece),
					 cases[i].want);
		}
	}
}

/* The needle at every place around the border of two pieces. */
static void test_borders(void **state)
{
	(void)state;
	for (int at = 16300; at < 16460; at += 3) {
		struct buf b = BUF_INIT(TEST_MAX);

		buf_adds(&b, "A: b\n\n");
		repeat(&b, "x", at);
		buf_adds(&b, "o\xcc\x88\xe6\x97\xa5\xe6\x9c\xac!");
		repeat(&b, "x", 40000);
		assert_true(found(buf_slice(&b), "x\xc3\xb6\xe6\x97\xa5\xe6\x9c\xac!x", 1000));
		buf_fini(&b);
	}
}

static void test_no_ascii(void **state)
{
	struct buf b = BUF_INIT(TEST_MAX);

	(void)state;
	buf_adds(&b, "A: b\n\n");
	repeat(&b, "\xe6\x97\xa5", 20000);
	buf_adds(&b, "\xe6\x9c\xac");
	repeat(&b, "\xe6\x97\xa5", 20000);
	assert_true(found(buf_slice(&b), "\xe6\x97\xa5\xe6\x9c\xac\xe6\x97\xa5", 4096));
	assert_false(found(buf_slice(&b), "\xe6\x9c\xac\xe6\x9c\xac", 4096));
	buf_fini(&b);
}

static bool header_has(const char *header, const char *name, const char *needle)
{
	struct buf folded = BUF_INIT(1 << 16);
	bool has;

	assert_int_equal(utf8_fold(&folded, slice_cstr(needle)), 0);
	has = mime_header_match(slice_cstr(header), slice_cstr(name), buf_slice(&folded));
	buf_fini(&folded);
	return has;
}

static void test_headers(void **state)
{
	static const char h[] = "Subject: =?iso-8859-1?Q?Fr=F6sche?=\r\n und Hasen\r\n"
				"X-Empty:\r\nnameless\r\n\r\nBody: x\r\n";

	(void)state;
	assert_true(header_has(h, "subject", "fr\xc3\xb6sche und h"));
	assert_true(header_has(h, "SUBJECT", ""));
	assert_true(header_has(h, "x-empty", ""));
	assert_false(header_has(h, "x-empty", "x"));
	assert_false(header_has(h, "subject", "subject"));
	assert_false(header_has(h, "x-none", ""));
	assert_true(header_has(h, "", "subject: fr\xc3\xb6sche"));
	/* A letter is found in its accented forms (RFC 5051). */
	assert_true(header_has(h, "subject", "fro"));
	assert_false(header_has(h, "subject", "frosche"));
	assert_true(header_has(h, "", "nameless"));
	assert_false(header_has(h, "", "body"));
}

static bool address_has(const char *header, const char *name, const char *needle)
{
	return mime_address_match(slice_cstr(header), slice_cstr(name), slice_cstr(needle));
}

/* RFC 3501 6.4.4: in the envelope structure's field. */
static void test_addresses(void **state)
{
	static const char h[] = "From: <user-from (comment)@ (comment) domain.org>\r\n"
				"To: \"a \\\"b\"@X.test, Team: c\r\n .d@ x.test (C), (y) e@f;\r\n"
				"Cc: nobody\r\nTo: g (z) @ h\r\n\r\nCc: i(j)@k\r\n";

	(void)state;
	assert_true(address_has(h, "from", "user-from@domain.org"));
	assert_true(address_has(h, "FROM", "r-from@dom"));
	assert_true(address_has(h, "from", "(comment)@"));
	assert_false(header_has(h, "from", "user-from@domain.org"));
	assert_true(address_has(h, "to", "a \"b@x.test"));
	assert_true(address_has(h, "to", "c.d@x.test"));
	assert_true(address_has(h, "to", "e@f"));
	assert_true(address_has(h, "to", "g@h"));
	assert_false(address_has(h, "to", "e@fg@h"));
	assert_true(address_has(h, "cc", "nobody"));
	assert_true(address_has(h, "cc", ""));
	assert_false(address_has(h, "cc", "nobody@"));
	assert_false(address_has(h, "cc", "i@k"));
	assert_false(address_has(h, "bcc", ""));
}

/* What stands there as it is is not said again. */
static void test_address_text(void **state)
{
	struct slice body = S("A@B.test, c (x) @d, Group: A@b.test, =?utf-8?q?=C3=84?=@e;");
	struct buf text = BUF_INIT(4096);
	struct buf out = BUF_INIT(4096);
	struct arena a;

	(void)state;
	arena_init(&a, 1 << 20);
	mime_header_text(body, &text);
	mime_address_text(mime_addr_parse(body, &a), buf_slice(&text), &out);
	assert_true(slice_eq(buf_slice(&out), S("c@d\n")));
	buf_reset(&out);
	mime_address_text(NULL, buf_slice(&text), &out);
	assert_int_equal(out.n, 0);
	arena_fini(&a);
	buf_fini(&text);
	buf_fini(&out);
}

static void test_is_text(void **state)
{
	static const struct {
		const char *msg;
		bool want;
	} kinds[] = {
		{ "A: b\n\n", true },
		{ "Content-Type: TEXT/x\n\n", true },
		{ "Content-Type: message/delivery-status\n\n", true },
		{ "Content-Type: message/rfc822\n\n", false },
		{ "Content-Type: image/gif\n\n", false },
		{ "Content-Type: multipart/mixed; boundary=x\n\n--x\n", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct mime_tree t;
		struct arena a;

		arena_init(&a, MIME_TREE_MAX);
		assert_int_equal(mime_parse(slice_cstr(kinds[i].msg), &a, &t), 0);
		assert_int_equal(mime_part_is_text(t.root), kinds[i].want);
		arena_fini(&a);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),	     cmocka_unit_test(test_borders),
		cmocka_unit_test(test_no_ascii),     cmocka_unit_test(test_headers),
		cmocka_unit_test(test_is_text),	     cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_address_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
