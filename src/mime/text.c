/*
 * text: looking for a needle in parts and headers as a human would see them.
 *
 * A part's raw body runs through transfer decoding, charset, HTML and case
 * folding in small steps; what is kept between the pieces is a few KiB and
 * the end of the text so far, as long as the needle. Folding reorders marks,
 * so text is cut only before an ASCII character, which starts anew. Called by
 * SEARCH and by the store's text index.
 */
#include "mime/text.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/utf8.h"
#include "mime/header.h"
#include "mime/plain.h"

#define STEP MIME_TEXT_STEP
#define PIECE (4 * STEP) /* text folded at once */
#define PIECE_MAX (1u << 20)
#define ADDRESS_NEAR 4096u		      /* an address stands so far behind the one before */
#define ADDRESS_ARENA (16u * MIME_HEADER_MAX) /* addresses of one field */

struct mime_text {
	struct mime_plain *plain;
	struct buf text; /* readable, not yet folded */
};

struct mime_match {
	struct slice needle;
	struct mime_text *text;
	bool found;
	struct buf hay; /* folded */
};

bool mime_part_is_text(const struct mime_part *part)
{
	return part->kind == MIME_LEAF &&
	       (slice_ieq(part->type, S("text")) || slice_ieq(part->type, S("message")));
}

struct mime_text *mime_text_new(const struct mime_part *part)
{
	struct mime_text *t = calloc(1, sizeof(*t));

	if (!t) {
		return NULL;
	}
	buf_init(&t->text, PIECE_MAX);
	t->plain = mime_plain_new(part);
	if (!t->plain) {
		mime_text_free(&t);
	}
	return t;
}

void mime_text_free(struct mime_text **tp)
{
	struct mime_text *t = *tp;

	if (t) {
		mime_plain_free(&t->plain);
		buf_fini(&t->text);
		free(t);
		*tp = NULL;
	}
}

/* Where text can be cut: before its last ASCII character, or, without one,
 * before its last character. */
static size_t safe_cut(struct slice s)
{
	size_t n = s.n;

	while (n > 0 && ((unsigned char)s.p[n - 1] & 0x80)) {
		n--;
	}
	if (n > 1) {
		return n - 1;
	}
	n = s.n;
	while (n > 0 && ((unsigned char)s.p[n - 1] & 0xc0) == 0x80) {
		n--;
	}
	return n > 1 ? n - 1 : s.n;
}

/* What is certain of the readable text, folded, goes to out. */
static void fold(struct mime_text *t, bool last, struct buf *out)
{
	struct slice text = buf_slice(&t->text);
	size_t cut = text.n;

	if (!last) {
		if (text.n < PIECE) {
			return;
		}
		cut = safe_cut(text);
	}
	utf8_fold(out, slice_sub(text, 0, cut));
	buf_consume(&t->text, cut);
}

/* At most STEP bytes. */
static void step(struct mime_text *t, struct slice raw, struct buf *out)
{
	mime_plain_feed(t->plain, raw, &t->text);
	fold(t, false, out);
}

void mime_text_feed(struct mime_text *t, struct slice raw, struct buf *out)
{
	for (; raw.n; raw = slice_from(raw, STEP)) {
		step(t, slice_sub(raw, 0, STEP), out);
	}
}

void mime_text_end(struct mime_text *t, struct buf *out)
{
	mime_plain_end(t->plain, &t->text);
	fold(t, true, out);
}

/* ---- pieces ---------------------------------------------------------------- */

/* The next part in document order. */
static const struct mime_part *next_part(const struct mime_part *p)
{
	if (p->children) {
		return p->children;
	}
	while (p && !p->next) {
		p = p->parent;
	}
	return p ? p->next : NULL;
}

bool mime_text_next(const struct mime_tree *tree, const struct mime_part **at,
		    struct mime_text_piece *out)
{
	const struct mime_part *p = *at ? next_part(*at) : tree->root;

	for (; p; p = next_part(p)) {
		*at = p;
		if (p->kind == MIME_MESSAGE && p->children) {
			const struct mime_part *inner = p->children;

			*out = (struct mime_text_piece){ NULL, inner->header_off,
							 MIN(inner->header_len, MIME_HEADER_MAX) };
			return true;
		}
		if (mime_part_is_text(p)) {
			*out = (struct mime_text_piece){ p, p->body_off, p->body_len };
			return true;
		}
	}
	return false;
}

/* ---- matching -------------------------------------------------------------- */

struct mime_match *mime_match_new(const struct mime_part *part, struct slice folded_needle)
{
	struct mime_match *m = calloc(1, sizeof(*m));

	if (!m) {
		return NULL;
	}
	m->needle = folded_needle;
	m->found = folded_needle.n == 0;
	buf_init(&m->hay, 16 * PIECE_MAX + folded_needle.n);
	m->text = mime_text_new(part);
	if (!m->text) {
		mime_match_free(&m);
	}
	return m;
}

void mime_match_free(struct mime_match **mp)
{
	struct mime_match *m = *mp;

	if (m) {
		mime_text_free(&m->text);
		buf_fini(&m->hay);
		free(m);
		*mp = NULL;
	}
}

static void look(struct mime_match *m)
{
	size_t keep = m->needle.n - 1;

	m->found = slice_find(buf_slice(&m->hay), m->needle) != SIZE_MAX;
	if (m->hay.n > keep) {
		buf_consume(&m->hay, m->hay.n - keep);
	}
}

bool mime_match_feed(struct mime_match *m, struct slice raw)
{
	while (raw.n && !m->found) {
		step(m->text, slice_sub(raw, 0, STEP), &m->hay);
		if (m->hay.n >= m->needle.n) {
			look(m);
		}
		raw = slice_from(raw, STEP);
	}
	return m->found;
}

bool mime_match_end(struct mime_match *m)
{
	if (!m->found) {
		mime_text_end(m->text, &m->hay);
		look(m);
	}
	return m->found;
}

/* ---- headers ------------------------------------------------------------- */

void mime_header_text(struct slice field, struct buf *out)
{
	struct buf flat = BUF_INIT(field.n + 1);
	struct buf decoded = BUF_INIT(field.n * 4 + 64);

	mime_unfold(field, &flat);
	mime_decode_text(buf_slice(&flat), &decoded);
	utf8_fold(out, buf_slice(&decoded));
	buf_fini(&flat);
	buf_fini(&decoded);
}

static bool text_has(struct slice field, struct slice needle)
{
	struct buf folded = BUF_INIT(field.n * 48 + 64);
	bool found;

	mime_header_text(field, &folded);
	found = slice_find(buf_slice(&folded), needle) != SIZE_MAX;
	buf_fini(&folded);
	return found;
}

bool mime_header_match(struct slice header, struct slice name, struct slice folded_needle)
{
	struct mime_field f;

	while (mime_field_next(&header, &f)) {
		if (name.n && !slice_ieq(f.name, name)) {
			continue;
		}
		if (folded_needle.n == 0 || text_has(name.n ? f.body : f.raw, folded_needle)) {
			return true;
		}
	}
	return false;
}

/* ---- addresses ------------------------------------------------------------- */

/* mailbox@host, decoded and folded, in *out (reset). */
static void one_address(const struct mime_addr *ad, struct buf *raw, struct buf *out)
{
	buf_reset(raw);
	buf_reset(out);
	buf_add(raw, ad->mailbox);
	if (ad->host.n) {
		buf_addc(raw, '@');
		buf_add(raw, ad->host);
	}
	mime_header_text(buf_slice(raw), out);
}

void mime_address_text(const struct mime_addr *first, struct slice text, struct buf *out)
{
	struct buf raw = BUF_INIT(2 * MIME_HEADER_MAX);
	struct buf folded = BUF_INIT(out->max);

	for (const struct mime_addr *ad = first; ad; ad = ad->next) {
		one_address(ad, &raw, &folded);
		struct slice near = slice_sub(text, 0, ADDRESS_NEAR + folded.n);
		size_t at = slice_find(near, buf_slice(&folded));

		if (at != SIZE_MAX) {
			text = slice_from(text, at + folded.n);
		} else if (folded.n) {
			buf_add(out, buf_slice(&folded));
			buf_addc(out, '\n');
		}
	}
	buf_fini(&raw);
	buf_fini(&folded);
}

static bool address_has(struct slice body, struct slice needle)
{
	struct buf text = BUF_INIT(body.n * 48 + 64);
	struct arena a;
	bool found;

	arena_init(&a, ADDRESS_ARENA);
	mime_address_text(mime_addr_parse(body, &a), S(""), &text);
	found = slice_find(buf_slice(&text), needle) != SIZE_MAX;
	arena_fini(&a);
	buf_fini(&text);
	return found;
}

bool mime_address_match(struct slice header, struct slice name, struct slice folded_needle)
{
	struct mime_field f;

	if (mime_header_match(header, name, folded_needle)) {
		return true;
	}
	while (mime_field_next(&header, &f)) {
		if (slice_ieq(f.name, name) && address_has(f.body, folded_needle)) {
			return true;
		}
	}
	return false;
}
