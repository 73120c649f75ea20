/*
 * text: looking for a needle in parts and headers as a human would see them.
 *
 * A part's raw body runs through transfer decoding, charset, HTML and case
 * folding in small steps; what is kept between the pieces is a few KiB and
 * the end of the text so far, as long as the needle. Folding reorders marks,
 * so text is cut only before an ASCII character, which starts anew. Called by SEARCH (store, IMAP).
 */
#include "mime/text.h"

#include <stdlib.h>

#include "base/codec.h"
#include "base/utf8.h"
#include "mime/charset.h"
#include "mime/header.h"
#include "mime/html.h"
#include "mime/impl.h"

#define STEP 4096	 /* raw bytes taken at once */
#define PIECE (4 * STEP) /* text folded at once */
#define PIECE_MAX (1u << 20)

struct mime_match {
	struct slice needle;
	struct codec codec;
	struct charset *charset;
	bool is_html;
	bool found;
	struct html html;
	struct buf bytes; /* transfer encoding undone */
	struct buf utf8;
	struct buf text; /* readable, not yet folded */
	struct buf hay;	 /* folded */
};

bool mime_part_is_text(const struct mime_part *part)
{
	return part->kind == MIME_LEAF &&
	       (slice_ieq(part->type, S("text")) || slice_ieq(part->type, S("message")));
}

static enum codec_kind codec_of(struct slice encoding)
{
	if (slice_ieq(encoding, S("base64"))) {
		return CODEC_BASE64;
	}
	return slice_ieq(encoding, S("quoted-printable")) ? CODEC_QP : CODEC_IDENTITY;
}

struct mime_match *mime_match_new(const struct mime_part *part, struct slice folded_needle)
{
	struct mime_match *m = calloc(1, sizeof(*m));
	struct slice charset = mime_param_get(part->params, S("charset"));

	if (!m) {
		return NULL;
	}
	m->needle = folded_needle;
	m->found = folded_needle.n == 0;
	m->codec.kind = codec_of(part->encoding);
	m->is_html = slice_ieq(part->type, S("text")) && slice_ieq(part->subtype, S("html"));
	buf_init(&m->bytes, PIECE_MAX);
	buf_init(&m->utf8, PIECE_MAX);
	buf_init(&m->text, PIECE_MAX);
	buf_init(&m->hay, PIECE_MAX + folded_needle.n);
	if (charset_new(charset, &m->charset) != 0 &&
	    charset_new(S("us-ascii"), &m->charset) != 0) {
		mime_match_free(&m);
	}
	return m;
}

void mime_match_free(struct mime_match **mp)
{
	struct mime_match *m = *mp;

	if (m) {
		charset_free(&m->charset);
		buf_fini(&m->bytes);
		buf_fini(&m->utf8);
		buf_fini(&m->text);
		buf_fini(&m->hay);
		free(m);
		*mp = NULL;
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

static void look(struct mime_match *m, bool last)
{
	struct slice text = buf_slice(&m->text);
	size_t keep = m->needle.n - 1;
	size_t cut = text.n;

	if (!last) {
		if (text.n < PIECE) {
			return;
		}
		cut = safe_cut(text);
	}
	utf8_fold(&m->hay, slice_sub(text, 0, cut));
	buf_consume(&m->text, cut);
	m->found = slice_find(buf_slice(&m->hay), m->needle) != SIZE_MAX;
	if (m->hay.n > keep) {
		buf_consume(&m->hay, m->hay.n - keep);
	}
}

/* utf8 goes on into text. */
static void add_text(struct mime_match *m)
{
	if (m->is_html) {
		html_feed(&m->html, buf_slice(&m->utf8), &m->text);
	} else {
		buf_add(&m->text, buf_slice(&m->utf8));
	}
	buf_reset(&m->utf8);
}

static void add_bytes(struct mime_match *m)
{
	charset_feed(m->charset, buf_slice(&m->bytes), &m->utf8);
	buf_reset(&m->bytes);
	add_text(m);
}

bool mime_match_feed(struct mime_match *m, struct slice raw)
{
	while (raw.n && !m->found) {
		codec_feed(&m->codec, &m->bytes, slice_sub(raw, 0, STEP));
		add_bytes(m);
		look(m, false);
		raw = slice_from(raw, STEP);
	}
	return m->found;
}

bool mime_match_end(struct mime_match *m)
{
	if (!m->found) {
		codec_end(&m->codec, &m->bytes);
		add_bytes(m);
		charset_end(m->charset, &m->utf8);
		add_text(m);
		html_end(&m->html, &m->text);
		look(m, true);
	}
	return m->found;
}

/* ---- headers ------------------------------------------------------------- */

/* Is the needle in text, decoded and folded? */
static bool text_has(struct slice text, struct slice needle)
{
	struct buf flat = BUF_INIT(text.n + 1);
	struct buf decoded = BUF_INIT(text.n * 4 + 64);
	struct buf folded = BUF_INIT(text.n * 16 + 64);
	bool found;

	mime_unfold(text, &flat);
	mime_decode_text(buf_slice(&flat), &decoded);
	utf8_fold(&folded, buf_slice(&decoded));
	found = slice_find(buf_slice(&folded), needle) != SIZE_MAX;
	buf_fini(&flat);
	buf_fini(&decoded);
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
