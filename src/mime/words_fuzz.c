/*
 * Fuzzer of words.c, charset.c, html.c, text.c and subject.c. First byte: which.
 * What comes out is valid UTF-8 of bounded length, header text is one line, and
 * cuts make no difference.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/utf8.h"
#include "mime/charset.h"
#include "mime/header.h"
#include "mime/html.h"
#include "mime/subject.h"
#include "mime/text.h"

#define OUT_MAX (1u << 24)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool ok)
{
	if (!ok) {
		abort();
	}
}

static void fuzz_words(struct slice in)
{
	struct buf out = BUF_INIT(OUT_MAX);
	struct slice s;

	mime_decode_text(in, &out);
	s = buf_slice(&out);
	check(!out.err && utf8_valid(s));
	check(slice_chr(s, '\r') == SIZE_MAX && slice_chr(s, '\n') == SIZE_MAX &&
	      !slice_has_nul(s));
	buf_fini(&out);
}

/* A base subject is no longer than the subject, and its own base. */
static void fuzz_subject(struct slice in)
{
	struct buf once = BUF_INIT(OUT_MAX);
	struct buf twice = BUF_INIT(OUT_MAX);
	bool reply;

	mime_base_subject(in, &once, &reply);
	mime_base_subject(buf_slice(&once), &twice, &reply);
	check(!once.err && once.n <= in.n && !reply);
	check(slice_eq(buf_slice(&once), buf_slice(&twice)));
	buf_fini(&once);
	buf_fini(&twice);
}

/* name, newline, text; whole and byte by byte. */
static void fuzz_charset(struct slice in)
{
	struct slice name = slice_split(&in, '\n');
	struct buf whole = BUF_INIT(OUT_MAX);
	struct buf cut = BUF_INIT(OUT_MAX);
	struct charset *c = NULL;

	charset_to_utf8(name, in, &whole);
	check(!whole.err && utf8_valid(buf_slice(&whole)));
	if (charset_new(name, &c) == 0) {
		for (size_t i = 0; i < in.n; i++) {
			charset_feed(c, slice_sub(in, i, 1), &cut);
		}
		charset_end(c, &cut);
		check(utf8_valid(buf_slice(&cut)));
		charset_free(&c);
	}
	buf_fini(&whole);
	buf_fini(&cut);
}

static void run_html(struct slice in, size_t piece, struct buf *out)
{
	struct html h = { 0 };

	while (in.n) {
		html_feed(&h, slice_sub(in, 0, piece), out);
		in = slice_from(in, piece);
	}
	html_end(&h, out);
}

static void fuzz_html(struct slice in)
{
	struct buf text = BUF_INIT(OUT_MAX);
	struct buf whole = BUF_INIT(OUT_MAX);
	struct buf cut = BUF_INIT(OUT_MAX);

	utf8_repair(&text, in);
	run_html(buf_slice(&text), text.n + 1, &whole);
	run_html(buf_slice(&text), 3, &cut);
	check(slice_eq(buf_slice(&whole), buf_slice(&cut)));
	check(!whole.err && whole.n <= text.n * 3 && utf8_valid(buf_slice(&whole)));
	buf_fini(&text);
	buf_fini(&whole);
	buf_fini(&cut);
}

static bool find(const struct mime_tree *t, struct slice msg, size_t piece, struct slice needle)
{
	struct mime_match *m = mime_match_new(t->root, needle);
	struct slice body = slice_sub(msg, t->root->body_off, t->root->body_len);
	bool found = false;

	check(m != NULL);
	while (body.n && !found) {
		found = mime_match_feed(m, slice_sub(body, 0, piece));
		body = slice_from(body, piece);
	}
	found = mime_match_end(m) || found;
	mime_match_free(&m);
	return found;
}

/* needle, newline, message. */
static void fuzz_match(struct slice in)
{
	struct slice needle = slice_split(&in, '\n');
	struct buf folded = BUF_INIT(OUT_MAX);
	struct mime_tree t;
	struct arena a;

	arena_init(&a, MIME_TREE_MAX);
	if (utf8_fold(&folded, needle) == 0 && mime_parse(in, &a, &t) == 0) {
		check(find(&t, in, in.n + 1, buf_slice(&folded)) ==
		      find(&t, in, 5, buf_slice(&folded)));
		check(!mime_header_match(in, S("to"), buf_slice(&folded)) ||
		      mime_address_match(in, S("to"), buf_slice(&folded)));
		mime_header_match(in, S(""), buf_slice(&folded));
		check(!mime_header_match(in, S("x-none-such"), buf_slice(&folded)) ||
		      slice_ifind(in, S("x-none-such")) != SIZE_MAX);
	}
	buf_fini(&folded);
	arena_fini(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct slice in = slice_make((const char *)data, n);

	if (n == 0 || n > 1 << 18) {
		return 0;
	}
	in = slice_from(in, 1);
	switch (data[0] % 5) {
	case 0:
		fuzz_words(in);
		break;
	case 1:
		fuzz_charset(in);
		break;
	case 2:
		fuzz_html(in);
		break;
	case 4:
		fuzz_subject(in);
		break;
	default:
		fuzz_match(in);
		break;
	}
	return 0;
}
