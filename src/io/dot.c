/*
 * The dot framing: see dot.h. RFC 5321 2.3.8, 4.1.1.4, 4.5.2; RFC 1939 3.
 *
 * Decoder states. Only a true CRLF leads to LINE, so only there can a dot be
 * special; the one thing ever held back is the CR after a dot that began a
 * line, since only the next byte tells whether it belongs to the end mark.
 */
#include "base/err.h"
#include "io/dot.h"

#define LINE_OCTETS_MAX 998

enum {
	LINE,  /* at the start of a line */
	TEXT,  /* within a line */
	CR,    /* within a line, behind a CR already passed on */
	DOT,   /* behind a dot that began a line, and is dropped */
	DOT_CR /* behind that dot and a CR held back */
};

void dot_dec_init(struct dot_dec *d)
{
	*d = (struct dot_dec){ .state = LINE };
}

static void emit(struct dot_dec *d, struct buf *out, const char *p, size_t n)
{
	d->size += n;
	buf_add(out, slice_make(p, n));
}

static void count(struct dot_dec *d, size_t n)
{
	d->line += n;
	if (d->line > LINE_OCTETS_MAX) {
		d->flags |= DOT_LONG_LINE;
	}
}

/* A CR turned out to be alone. */
static void bare_cr(struct dot_dec *d)
{
	d->flags |= DOT_BARE_CR;
	count(d, 1);
}

/* The longest run that is plain text: nothing that ends or begins a line. */
static size_t text_run(struct dot_dec *d, const char *p, size_t n)
{
	size_t i = 0;

	for (; i < n; i++) {
		unsigned char c = (unsigned char)p[i];

		if (c == '\r' || c == '\n') {
			break;
		}
		if (c == 0) {
			d->flags |= DOT_NUL;
		} else if (c >= 0x80) {
			d->flags |= DOT_8BIT;
		}
	}
	return i;
}

/* Within a line: takes a run of text or one CR or LF. */
static size_t feed_text(struct dot_dec *d, const char *p, size_t n, struct buf *out)
{
	size_t run = text_run(d, p, n);

	if (run > 0) {
		count(d, run);
		emit(d, out, p, run);
		d->state = TEXT;
		return run;
	}
	emit(d, out, p, 1);
	if (*p == '\r') {
		d->state = CR;
	} else {
		d->flags |= DOT_BARE_LF;
		count(d, 1);
		d->state = TEXT;
	}
	return 1;
}

static size_t feed_cr(struct dot_dec *d, const char *p, size_t n, struct buf *out)
{
	if (*p == '\n') {
		emit(d, out, p, 1);
		d->line = 0;
		d->state = LINE;
		return 1;
	}
	bare_cr(d);
	return feed_text(d, p, n, out);
}

static size_t feed_dot_cr(struct dot_dec *d, const char *p, size_t n, struct buf *out)
{
	if (*p == '\n') {
		d->done = true;
		return 1;
	}
	emit(d, out, "\r", 1);
	bare_cr(d);
	return feed_text(d, p, n, out);
}

static size_t feed_some(struct dot_dec *d, const char *p, size_t n, struct buf *out)
{
	switch (d->state) {
	case LINE:
		if (*p == '.') {
			d->state = DOT;
			return 1;
		}
		return feed_text(d, p, n, out);
	case DOT:
		if (*p == '\r') {
			d->state = DOT_CR;
			return 1;
		}
		return feed_text(d, p, n, out);
	case DOT_CR:
		return feed_dot_cr(d, p, n, out);
	case CR:
		return feed_cr(d, p, n, out);
	case TEXT:
		return feed_text(d, p, n, out);
	}
	BUG("dot decoder in no state");
}

size_t dot_dec_feed(struct dot_dec *d, struct slice in, struct buf *out)
{
	size_t at = 0;

	while (at < in.n && !d->done) {
		at += feed_some(d, in.p + at, in.n - at, out);
	}
	return at;
}

/* ---- encoder ---------------------------------------------------------------- */

/* A line end, however it was written. */
static void line_end(struct dot_enc *e, struct buf *out)
{
	buf_add(out, S("\r\n"));
	e->mid_line = false;
}

/* One CR or LF when line ends are made canonical. */
static void canon_break(struct dot_enc *e, char c, struct buf *out)
{
	if (c == '\n' && e->last_cr) {
		e->last_cr = false; /* its CRLF stands already */
		return;
	}
	line_end(e, out);
	e->last_cr = c == '\r';
}

/* One CR or LF passed on as it is: only CRLF ends a line. */
static void plain_break(struct dot_enc *e, char c, struct buf *out)
{
	buf_addc(out, c);
	e->mid_line = !(c == '\n' && e->last_cr);
	e->last_cr = c == '\r';
}

void dot_enc_feed(struct dot_enc *e, struct slice in, bool canon, struct buf *out)
{
	size_t at = 0;

	while (at < in.n) {
		size_t run = at;

		while (run < in.n && in.p[run] != '\r' && in.p[run] != '\n') {
			run++;
		}
		if (run > at) {
			if (!e->mid_line && in.p[at] == '.') {
				buf_addc(out, '.');
			}
			buf_add(out, slice_make(in.p + at, run - at));
			e->mid_line = true;
			e->last_cr = false;
			at = run;
		} else if (canon) {
			canon_break(e, in.p[at++], out);
		} else {
			plain_break(e, in.p[at++], out);
		}
	}
}

void dot_enc_end(struct dot_enc *e, struct buf *out)
{
	if (e->mid_line) {
		line_end(e, out);
	}
	buf_add(out, S(".\r\n"));
	*e = (struct dot_enc){ 0 };
}
