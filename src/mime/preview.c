/*
 * preview: see preview.h. Constant memory: a piece of the body runs through
 * mime_plain in steps, and what comes out is counted into 200 characters.
 */
#include "mime/preview.h"

#include <stdlib.h>

#include "base/utf8.h"
#include "mime/plain.h"

#define STEP MIME_PLAIN_STEP
#define BETWEEN (1u << 20) /* what a step may become */

struct mime_preview {
	struct mime_plain *plain;
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

struct mime_preview *mime_preview_new(const struct mime_part *part)
{
	struct mime_preview *p = calloc(1, sizeof(*p));

	if (!p) {
		return NULL;
	}
	buf_init(&p->text, BETWEEN);
	buf_init(&p->out, MIME_PREVIEW_MAX);
	p->plain = mime_plain_new(part);
	if (!p->plain) {
		mime_preview_free(&p);
	}
	return p;
}

void mime_preview_free(struct mime_preview **pp)
{
	struct mime_preview *p = *pp;

	if (p) {
		mime_plain_free(&p->plain);
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

bool mime_preview_feed(struct mime_preview *p, struct slice raw)
{
	for (; raw.n > 0 && !full(p); raw = slice_from(raw, STEP)) {
		mime_plain_feed(p->plain, slice_sub(raw, 0, STEP), &p->text);
		take_text(p);
	}
	return full(p);
}

struct slice mime_preview_end(struct mime_preview *p)
{
	if (!full(p)) {
		mime_plain_end(p->plain, &p->text);
		take_text(p);
	}
	return p->out.n > 0 ? buf_slice(&p->out) : slice_make("", 0);
}
