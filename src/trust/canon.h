/*
 * canon: the canonical forms that are hashed (RFC 6376 3.4).
 *
 * The body is fed in pieces of any size and comes out the same: white space
 * and line ends that may turn out to be trailing are held back as a flag and
 * a count, so memory is constant. Header fields come whole. What is canonical
 * goes to a sink that gathers small runs. Used by dkim_*.c and arc*.c. Pure.
 */
#ifndef TRUST_CANON_H
#define TRUST_CANON_H

#include "base/slice.h"

enum canon { CANON_SIMPLE = 0, CANON_RELAXED = 1 };

#define CANON_ROOM 512

/* put is called with what is ready; flush at the end. */
struct canon_sink {
	void (*put)(void *arg, struct slice s);
	void *arg;
	uint64_t total; /* octets so far, gathered ones too */
	size_t n;
	char room[CANON_ROOM];
};
void canon_sink_init(struct canon_sink *k, void (*put)(void *arg, struct slice s), void *arg);
void canon_add(struct canon_sink *k, struct slice s);
void canon_flush(struct canon_sink *k);

/*
 * One header field. raw: with its name and its final CRLF (one is added where
 * it is missing); name and body: as mime_field_next says. cut: a part of body
 * that is taken out first (the value of b=), or empty. last: without the CRLF
 * at the end (3.7).
 */
struct canon_field {
	struct slice raw, name, body;
	struct slice cut;
	bool last;
};
void canon_header(enum canon how, const struct canon_field *f, struct canon_sink *to);

struct canon_body {
	enum canon how;
	bool space;	/* white space, unless the line ends here */
	bool cr;	/* a CR, whose LF may follow */
	bool text;	/* something was put out */
	uint64_t crlfs; /* line ends, unless the body ends here */
	struct canon_sink *to;
};
void canon_body_init(struct canon_body *b, enum canon how, struct canon_sink *to);
void canon_body_feed(struct canon_body *b, struct slice piece);
/* The body ends; flushes the sink. */
void canon_body_end(struct canon_body *b);

#endif
