/*
 * html: see html.h. A state machine over bytes, with the few rules of the
 * HTML tokenizer that decide what is text: "<" begins a tag only before a
 * letter, "/", "!" or "?", quotes count only behind "=", and a script ends at
 * its own end tag only. Called by text.c.
 */
#include "mime/html.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/utf8.h"
#include "mime/entities.h"
#include "mime/impl.h"

/* Elements that do not stand inside a word. */
static const char *const blocks[] = {
	"address", "article", "aside",	"blockquote", "br",    "center",  "dd",	   "div",
	"dl",	   "dt",      "footer", "form",	      "h1",    "h2",	  "h3",	   "h4",
	"h5",	   "h6",      "head",	"header",     "hr",    "img",	  "li",	   "main",
	"nav",	   "ol",      "option", "p",	      "pre",   "section", "table", "tbody",
	"td",	   "tfoot",   "th",	"thead",      "title", "tr",	  "ul",
};

static void add_space(struct html *h, struct buf *out)
{
	if (!h->after_space) {
		buf_addc(out, ' ');
		h->after_space = true;
	}
}

static void add_char(struct html *h, uint32_t cp, struct buf *out)
{
	if (cp <= 0x20 || cp == 0x7f) {
		add_space(h, out);
		return;
	}
	utf8_add(out, cp);
	h->after_space = false;
}

static void add_literal(struct html *h, struct slice s, struct buf *out)
{
	buf_add(out, s);
	h->after_space = false;
}

/* ---- entities ------------------------------------------------------------ */

static int entity_cmp(const void *key, const void *row)
{
	return strcmp(key, ((const struct html_entity *)row)->name);
}

/* "#123" or "#x7b"; 0: not a number. Beyond Unicode: U+FFFD. */
static uint32_t number(const char *s)
{
	unsigned base = *++s == 'x' || *s == 'X' ? 16 : 10;
	uint32_t v = 0;

	if (base == 16) {
		s++;
	}
	if (!*s) {
		return 0;
	}
	for (; *s; s++) {
		unsigned char c = ascii_lower((unsigned char)*s);
		unsigned d = (unsigned)(ascii_isdigit(c) ? c - '0' : c - 'a' + 10);

		if (d >= base) {
			return 0;
		}
		v = MIN(v * base + d, 0x110000u);
	}
	if (v == 0 || v >= 0x110000 || (v >= 0xd800 && v < 0xe000)) {
		return 0xfffd;
	}
	return v;
}

/* The entity in name, with or without its ";". */
static void end_entity(struct html *h, bool closed, struct buf *out)
{
	const struct html_entity *e;
	uint32_t cp = 0;

	h->name[h->n] = 0;
	if (h->name[0] == '#') {
		cp = number(h->name);
	} else {
		e = bsearch(h->name, html_entities, ARRAY_LEN(html_entities),
			    sizeof(html_entities[0]), entity_cmp);
		cp = e ? e->cp : 0;
	}
	h->state = HTML_TEXT;
	if (cp) {
		add_char(h, cp, out);
		return;
	}
	add_literal(h, S("&"), out);
	buf_add(out, slice_make(h->name, h->n));
	if (closed) {
		buf_addc(out, ';');
	}
}

/* ---- tags ---------------------------------------------------------------- */

static bool is_block(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(blocks); i++) {
		if (strcmp(name, blocks[i]) == 0) {
			return true;
		}
	}
	return false;
}

static void end_tag(struct html *h, struct buf *out)
{
	const char *name = h->name[0] == '/' ? h->name + 1 : h->name;

	h->state = HTML_TEXT;
	if (is_block(name)) {
		add_space(h, out);
	}
	if (strcmp(h->name, "script") == 0) {
		h->skip = "</script";
	} else if (strcmp(h->name, "style") == 0) {
		h->skip = "</style";
	} else {
		return;
	}
	h->state = HTML_SKIP;
	h->matched = 0;
}

/* Each step says whether it took the byte. */
static bool name_step(struct html *h, unsigned char c, struct buf *out)
{
	bool start = h->n == 0;

	if (ascii_isalpha(c) || (start && (c == '/' || c == '!' || c == '?')) ||
	    (!start && (ascii_isdigit(c) || c == '-'))) {
		if (h->n < HTML_NAME_MAX) {
			h->name[h->n++] = (char)ascii_lower(c);
		}
		if (h->n == 3 && memcmp(h->name, "!--", 3) == 0) {
			h->state = HTML_COMMENT;
			h->matched = 0;
		}
		return true;
	}
	if (start) {
		h->state = HTML_TEXT;
		add_literal(h, S("<"), out);
		return false;
	}
	h->name[h->n] = 0;
	h->state = HTML_TAG;
	h->after_equals = false;
	return false;
}

static void tag_step(struct html *h, unsigned char c, struct buf *out)
{
	if (c == '>') {
		end_tag(h, out);
	} else if (h->after_equals && (c == '"' || c == '\'')) {
		h->state = HTML_QUOTE;
		h->quote = (char)c;
	} else if (!mime_is_space(c)) {
		h->after_equals = c == '=';
	}
}

static void comment_step(struct html *h, unsigned char c)
{
	if (c == '-') {
		h->matched++;
	} else if (c == '>' && h->matched >= 2) {
		h->state = HTML_TEXT;
	} else {
		h->matched = 0;
	}
}

static void skip_step(struct html *h, unsigned char c)
{
	if (ascii_lower(c) == (unsigned char)h->skip[h->matched]) {
		h->matched++;
	} else {
		h->matched = c == '<' ? 1 : 0;
	}
	if (h->skip[h->matched] == 0) {
		h->state = HTML_TAG;
		h->after_equals = false;
		h->name[0] = 0;
	}
}

static bool entity_step(struct html *h, unsigned char c, struct buf *out)
{
	if (c == ';') {
		end_entity(h, true, out);
		return true;
	}
	if (h->n < HTML_NAME_MAX &&
	    (ascii_isalpha(c) || ascii_isdigit(c) || (c == '#' && h->n == 0))) {
		h->name[h->n++] = (char)c;
		return true;
	}
	end_entity(h, false, out);
	return false;
}

static bool text_step(struct html *h, unsigned char c, struct buf *out)
{
	if (c == '<' || c == '&') {
		h->state = c == '<' ? HTML_NAME : HTML_ENTITY;
		h->n = 0;
	} else if (mime_is_space(c) || c == 0) {
		add_space(h, out);
	} else {
		buf_addc(out, (char)c);
		h->after_space = false;
	}
	return true;
}

static bool step(struct html *h, unsigned char c, struct buf *out)
{
	switch (h->state) {
	case HTML_TEXT:
		return text_step(h, c, out);
	case HTML_NAME:
		return name_step(h, c, out);
	case HTML_TAG:
		tag_step(h, c, out);
		return true;
	case HTML_QUOTE:
		if (c == (unsigned char)h->quote) {
			h->state = HTML_TAG;
			h->after_equals = false;
		}
		return true;
	case HTML_COMMENT:
		comment_step(h, c);
		return true;
	case HTML_ENTITY:
		return entity_step(h, c, out);
	case HTML_SKIP:
		skip_step(h, c);
		return true;
	}
	return true;
}

void html_feed(struct html *h, struct slice in, struct buf *out)
{
	for (size_t i = 0; i < in.n; i++) {
		while (!step(h, (unsigned char)in.p[i], out)) {
		}
	}
}

void html_end(struct html *h, struct buf *out)
{
	if (h->state == HTML_ENTITY) {
		end_entity(h, false, out);
	} else if (h->state == HTML_NAME && h->n == 0) {
		add_literal(h, S("<"), out);
	}
	h->state = HTML_TEXT;
}
