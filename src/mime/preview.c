/*
 * preview: see preview.h. Constant memory: a piece of the body runs through
 * the decoders in steps, and what comes out is counted into 200 characters.
 */
#include "mime/preview.h"

#include <stdlib.h>

#include "base/codec.h"
#include "base/utf8.h"
#include "mime/charset.h"
#include "mime/html.h"

#define STEP 4096	      /* raw bytes taken at once */
#define BETWEEN (256u * 1024) /* what a step may become on its way */

struct mime_preview {
	struct codec codec;
	struct charset *charset;
	bool is_html;
	struct html html;
	struct buf bytes; /* transfer encoding undone */
	struct buf utf8;
	struct buf text; /* readable */
	struct buf out;
	unsigned chars;
	bool space; /* one is due before the next character */
};

/* ---- which part ------------------------------------------------------------- */

static bool is_attachment(const struct mime_part *p)
{
	return slice_ieq(p->disposition, S("attachment"));
}

static bool is_candidate(const struct mime_part *p)
{
	return p->kind == MIME_LEAF && slice_ieq(p->type, S("text")) && !is_attachment(p) &&
	       (slice_ieq(p->subtype, S("plain")) || slice_ieq(p->subtype, S("html")) ||
		slice_ieq(p->subtype, S("enriched")) || slice_ieq(p->subtype, S("markdown")));
}

/* The next part in reading order; into multiparts only. */
static const struct mime_part *step(const struct mime_part *p)
{
	if (p->kind == MIME_MULTIPART && p->children && !is_attachment(p)) {
		return p->children;
	}
	while (p && !p->next) {
		p = p->parent;
	}
	return p ? p->next : NULL;
}

const struct mime_part *mime_preview_part(const struct mime_tree *t, const struct mime_part *after)
{
	const struct mime_part *p = after ? step(after) : t->root;

	while (p && !is_candidate(p)) {
		p = step(p);
	}
	return p;
}

/* ---- its text ----------------------------------------------------------------- */

static enum codec_kind codec_of(struct slice encoding)
{
	if (slice_ieq(encoding, S("base64"))) {
		return CODEC_BASE64;
	}
	return slice_ieq(encoding, S("quoted-printable")) ? CODEC_QP : CODEC_IDENTITY;
}

struct mime_preview *mime_preview_new(const struct mime_part *part)
{
	struct mime_preview *p = calloc(1, sizeof(*p));
	struct slice charset = mime_param_get(part->params, S("charset"));

	if (!p) {
		return NULL;
	}
	p->codec.kind = codec_of(part->encoding);
	p->is_html = slice_ieq(part->subtype, S("html"));
	buf_init(&p->bytes, BETWEEN);
	buf_init(&p->utf8, BETWEEN);
	buf_init(&p->text, BETWEEN);
	buf_init(&p->out, MIME_PREVIEW_MAX);
	if (charset_new(charset, &p->charset) != 0 &&
	    charset_new(S("us-ascii"), &p->charset) != 0) {
		mime_preview_free(&p);
	}
	return p;
}

void mime_preview_free(struct mime_preview **pp)
{
	struct mime_preview *p = *pp;

	if (p) {
		charset_free(&p->charset);
		buf_fini(&p->bytes);
		buf_fini(&p->utf8);
		buf_fini(&p->text);
		buf_fini(&p->out);
		free(p);
		*pp = NULL;
	}
}

/* White space, controls, and spaces of Unicode. */
static bool is_space(int32_t c)
{
	return c <= 0x20 || (c >= 0x7f && c <= 0xa0) || c == 0x1680 ||
	       (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
	       c == 0x205f || c == 0x3000;
}

/* What takes no room: joiners and marks that mailings pad themselves with,
 * and overrides that would turn the line around. */
static bool is_unseen(int32_t c)
{
	return c == 0xad || c == 0x34f || c == 0x61c || (c >= 0x200b && c <= 0x200f) ||
	       (c >= 0x202a && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff;
}

static bool full(const struct mime_preview *p)
{
	return p->chars >= MIME_PREVIEW_CHARS;
}

static void take_char(struct mime_preview *p, int32_t c)
{
	if (is_space(c)) {
		p->space = p->chars > 0;
		return;
	}
	if (is_unseen(c)) {
		return;
	}
	if (p->space) {
		buf_addc(&p->out, ' ');
		p->chars++;
		p->space = false;
	}
	if (!full(p)) {
		utf8_add(&p->out, (uint32_t)c);
		p->chars++;
	}
}

static void take_text(struct mime_preview *p)
{
	struct slice s = buf_slice(&p->text);

	while (s.n > 0 && !full(p)) {
		int32_t c = utf8_next(&s);
		take_char(p, c < 0 ? 0xfffd : c);
	}
	buf_reset(&p->text);
}

/* bytes to utf8 to text */
static void pass_on(struct mime_preview *p)
{
	charset_feed(p->charset, buf_slice(&p->bytes), &p->utf8);
	buf_reset(&p->bytes);
	if (p->is_html) {
		html_feed(&p->html, buf_slice(&p->utf8), &p->text);
	} else {
		buf_add(&p->text, buf_slice(&p->utf8));
	}
	buf_reset(&p->utf8);
	take_text(p);
}

bool mime_preview_feed(struct mime_preview *p, struct slice raw)
{
	while (raw.n > 0 && !full(p)) {
		struct slice piece = slice_sub(raw, 0, STEP);
		raw = slice_from(raw, piece.n);
		codec_feed(&p->codec, &p->bytes, piece);
		pass_on(p);
	}
	return full(p);
}

struct slice mime_preview_end(struct mime_preview *p)
{
	if (!full(p)) {
		codec_end(&p->codec, &p->bytes);
		charset_feed(p->charset, buf_slice(&p->bytes), &p->utf8);
		buf_reset(&p->bytes);
		charset_end(p->charset, &p->utf8);
		if (p->is_html) {
			html_feed(&p->html, buf_slice(&p->utf8), &p->text);
			html_end(&p->html, &p->text);
		} else {
			buf_add(&p->text, buf_slice(&p->utf8));
		}
		buf_reset(&p->utf8);
		take_text(p);
	}
	return p->out.n > 0 ? buf_slice(&p->out) : slice_make("", 0);
}
