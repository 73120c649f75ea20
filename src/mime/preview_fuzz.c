/*
 * preview_fuzz: previews of any message: valid UTF-8 of at most 200
 * characters on one line, and cuts make no difference.
 */
#include <stdlib.h>

#include "base/err.h"
#include "base/utf8.h"
#include "mime/preview.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool ok)
{
	if (!ok) {
		abort();
	}
}

static void run(const struct mime_part *part, struct slice body, size_t step, struct buf *out)
{
	struct mime_preview *p = mime_preview_new(part);

	check(p != NULL);
	while (body.n > 0) {
		struct slice piece = slice_sub(body, 0, step);
		body = slice_from(body, piece.n);
		if (mime_preview_feed(p, piece)) {
			break;
		}
	}
	buf_add(out, mime_preview_end(p));
	mime_preview_free(&p);
}

static void check_text(struct slice s)
{
	unsigned chars = 0;

	while (s.n > 0) {
		int32_t c = utf8_next(&s);
		check(c >= 0x20 && c != 0x7f);
		chars++;
	}
	check(chars <= MIME_PREVIEW_CHARS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct slice msg = slice_make((const char *)data, n);
	const struct mime_part *part = NULL;
	struct mime_tree t;
	struct arena a;

	arena_init(&a, MIME_TREE_MAX);
	if (mime_parse(msg, &a, &t) == 0) {
		while ((part = mime_preview_part(&t, part)) != NULL) {
			struct slice body =
				slice_sub(msg, (size_t)part->body_off, (size_t)part->body_len);
			struct buf whole = BUF_INIT(MIME_PREVIEW_MAX);
			struct buf cut = BUF_INIT(MIME_PREVIEW_MAX);
			run(part, body, SIZE_MAX, &whole);
			run(part, body, 3, &cut);
			check(!whole.err && slice_eq(buf_slice(&whole), buf_slice(&cut)));
			check_text(buf_slice(&whole));
			buf_fini(&whole);
			buf_fini(&cut);
		}
	}
	arena_fini(&a);
	return 0;
}
