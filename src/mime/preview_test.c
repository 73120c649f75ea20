/* preview: which part, what is seen of it, how much, for every cut. */
#include "mime/preview.h"

#include "base/err.h"
#include "base/utf8.h"
#include "mime/test_util.h"

/* The preview of a message, its parts fed in pieces of n bytes. */
static void preview(struct slice msg, size_t n, struct buf *out)
{
	const struct mime_part *part = NULL;
	struct mime_tree t;
	struct arena a;

	arena_init(&a, MIME_TREE_MAX);
	assert_int_equal(mime_parse(msg, &a, &t), 0);
	buf_reset(out);
	while (out->n == 0 && (part = mime_preview_part(&t, part)) != NULL) {
		struct slice body = slice_sub(msg, (size_t)part->body_off, (size_t)part->body_len);
		struct mime_preview *p = mime_preview_new(part);
		assert_non_null(p);
		while (body.n > 0) {
			struct slice piece = slice_sub(body, 0, n);
			body = slice_from(body, piece.n);
			if (mime_preview_feed(p, piece)) {
				break;
			}
		}
		buf_add(out, mime_preview_end(p));
		mime_preview_free(&p);
		assert_null(p);
	}
	arena_fini(&a);
}

static void expect(const char *msg, const char *want)
{
	static const size_t cuts[] = { 1, 2, 3, 7, 4096, 100000 };
	struct buf out = BUF_INIT(MIME_PREVIEW_MAX);

	for (size_t i = 0; i < ARRAY_LEN(cuts); i++) {
		preview(slice_cstr(msg), cuts[i], &out);
		assert_string_equal(buf_cstr(&out), want);
	}
	buf_fini(&out);
}

#define HTML "Content-Type: text/html; charset=utf-8\r\n\r\n"
#define MIXED "Content-Type: multipart/mixed; boundary=b\r\n\r\n"

static void texts(void **state)
{
	(void)state;
	expect("Subject: x\r\n\r\n", "");
	expect("Subject: x\r\n\r\nHello  you,\r\n\r\n\tthere \r\n", "Hello you, there");
	expect(HTML "<html><head><style>p { x }</style><title></title></head><body>"
		    "<p>Caf&eacute;</p><p>now &amp; then</p><script>var x;</script></body>",
	       "Caf\xc3\xa9 now & then");
	expect("Content-Type: text/plain; charset=iso-8859-1\r\n"
	       "Content-Transfer-Encoding: quoted-printable\r\n\r\nGr=FC=DFe =\r\nan alle\r\n",
	       "Gr\xc3\xbc\xc3\x9f"
	       "e an alle");
	expect("Content-Transfer-Encoding: base64\r\n\r\nSGVsbG8gd29ybGQ=\r\n", "Hello world");
	/* what mailings pad themselves with, and what turns a line around */
	expect(HTML "Sale&zwnj;&nbsp;&#847;&zwnj;&#8203; &#65279;now\xe2\x80\xae"
		    "x",
	       "Sale now"
	       "x");
}

static void parts(void **state)
{
	(void)state;
	expect(MIXED "--b\r\nContent-Type: image/png\r\n\r\nx\r\n--b\r\n\r\nthe text\r\n--b--\r\n",
	       "the text");
	expect(MIXED "--b\r\nContent-Disposition: attachment\r\n\r\nnot this\r\n"
		     "--b\r\n\r\nbut this\r\n--b--\r\n",
	       "but this");
	/* an empty plain text before the HTML */
	expect("Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n\r\n \r\n\r\n--b\r\n"
	       "Content-Type: text/html\r\n\r\n<b>here</b>\r\n--b--\r\n",
	       "here");
	expect(MIXED
	       "--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: y\r\n\r\ninner\r\n--b--\r\n",
	       "");
	expect("Content-Type: text/calendar\r\n\r\nBEGIN:VCALENDAR\r\n", "");
	expect("Content-Type: application/pdf\r\n\r\n%PDF\r\n", "");
}

/* 200 characters, whatever they weigh; a space is not the last of them. */
static void limits(void **state)
{
	struct buf msg = BUF_INIT(1u << 20);
	struct buf out = BUF_INIT(MIME_PREVIEW_MAX);
	struct slice s;
	unsigned n = 0;

	(void)state;
	buf_adds(&msg, "Content-Type: text/plain; charset=utf-8\r\n\r\n");
	for (int i = 0; i < 5000; i++) {
		buf_adds(&msg, "\xf0\x9f\x93\xac");
	}
	preview(buf_slice(&msg), 5, &out);
	assert_int_equal(out.n, MIME_PREVIEW_MAX);
	for (s = buf_slice(&out); s.n > 0; n++) {
		assert_int_equal(utf8_next(&s), 0x1f4ec);
	}
	assert_int_equal(n, MIME_PREVIEW_CHARS);
	buf_reset(&msg);
	buf_adds(&msg, "\r\n");
	for (int i = 0; i < 199; i++) {
		buf_addc(&msg, 'x');
	}
	buf_adds(&msg, "   y");
	preview(buf_slice(&msg), 64, &out);
	assert_int_equal(out.n, 200);
	assert_int_equal(out.p[199], ' ');
	buf_fini(&out);
	buf_fini(&msg);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts),
		cmocka_unit_test(parts),
		cmocka_unit_test(limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
