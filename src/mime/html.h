/*
 * html: the readable text of HTML, for search (and previews later).
 *
 * A streaming filter from UTF-8 to UTF-8: tags and comments go, scripts and
 * styles go with what is in them, entities become characters, runs of white
 * space one space, block elements are separated by one. It reads every byte
 * once and keeps a few bytes of state, whatever the nesting (THREATS MI-12).
 * The result is text to look through, never HTML to show.
 */
#ifndef MIME_HTML_H
#define MIME_HTML_H

#include "base/buf.h"
#include "base/slice.h"

#define HTML_NAME_MAX 12

enum html_state {
	HTML_TEXT,
	HTML_NAME, /* behind "<" */
	HTML_TAG,
	HTML_QUOTE,
	HTML_COMMENT,
	HTML_ENTITY, /* behind "&" */
	HTML_SKIP,   /* inside a script or style */
};

/* Zero-initialise. */
struct html {
	enum html_state state;
	char name[HTML_NAME_MAX + 1]; /* of the tag or entity */
	unsigned n;
	char quote;
	bool after_equals;
	bool after_space;
	unsigned matched; /* of "--" or of "</script" */
	const char *skip; /* "</script" or "</style" */
};

/* in: whole UTF-8 characters. */
void html_feed(struct html *h, struct slice in, struct buf *out);
/* What was held back (an entity without its end). */
void html_end(struct html *h, struct buf *out);

#endif
