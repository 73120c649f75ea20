/* Canonical forms of header fields and bodies: see canon.h. */
#include "trust/canon.h"

#define CRLF S("\r\n")

void canon_sink_init(struct canon_sink *k, void (*put)(void *arg, struct slice s), void *arg)
{
	k->put = put;
	k->arg = arg;
	k->total = 0;
	k->n = 0;
}

void canon_flush(struct canon_sink *k)
{
	if (k->n) {
		k->put(k->arg, slice_make(k->room, k->n));
		k->n = 0;
	}
}

void canon_add(struct canon_sink *k, struct slice s)
{
	k->total += s.n;
	if (k->n + s.n > CANON_ROOM) {
		canon_flush(k);
		if (s.n >= CANON_ROOM) {
			k->put(k->arg, s);
			return;
		}
	}
	if (s.n) {
		memcpy(k->room + k->n, s.p, s.n);
		k->n += s.n;
	}
}

static void add_char(struct canon_sink *k, char c)
{
	if (k->n == CANON_ROOM) {
		canon_flush(k);
	}
	k->room[k->n++] = c;
	k->total++;
}

static bool is_wsp(char c)
{
	return c == ' ' || c == '\t';
}

/* ---- header --------------------------------------------------------------- */

/* A value that comes in two parts: before and behind what is cut out. */
struct relaxing {
	struct canon_sink *to;
	bool started, space;
};

/* Unfolds, makes white space one SP, drops it at both ends (3.4.2). */
static void relax(struct relaxing *r, struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (c == '\r' && i + 1 < s.n && s.p[i + 1] == '\n') {
			i++;
		} else if (is_wsp(c)) {
			r->space = true;
		} else {
			if (r->space && r->started) {
				add_char(r->to, ' ');
			}
			r->space = false;
			r->started = true;
			add_char(r->to, c);
		}
	}
}

static struct slice before_cut(struct slice s, struct slice cut)
{
	return cut.n ? slice_sub(s, 0, (size_t)(cut.p - s.p)) : s;
}

static struct slice behind_cut(struct slice s, struct slice cut)
{
	return cut.n ? slice_from(s, (size_t)(cut.p - s.p) + cut.n) : slice_make(NULL, 0);
}

static void relaxed_header(const struct canon_field *f, struct canon_sink *to)
{
	struct relaxing r = { .to = to };

	for (size_t i = 0; i < f->name.n; i++) {
		add_char(to, (char)ascii_lower((unsigned char)f->name.p[i]));
	}
	add_char(to, ':');
	relax(&r, before_cut(f->body, f->cut));
	relax(&r, behind_cut(f->body, f->cut));
}

static void simple_header(const struct canon_field *f, struct canon_sink *to)
{
	struct slice raw = f->raw;

	if (slice_ends(raw, CRLF)) {
		raw.n -= 2;
	}
	canon_add(to, before_cut(raw, f->cut));
	canon_add(to, behind_cut(raw, f->cut));
}

void canon_header(enum canon how, const struct canon_field *f, struct canon_sink *to)
{
	if (how == CANON_RELAXED) {
		relaxed_header(f, to);
	} else {
		simple_header(f, to);
	}
	if (!f->last) {
		canon_add(to, CRLF);
	}
}

/* ---- body ----------------------------------------------------------------- */

void canon_body_init(struct canon_body *b, enum canon how, struct canon_sink *to)
{
	*b = (struct canon_body){ .how = how, .to = to };
}

/* Octets that are no white space and no line end follow: what was held back
 * was not trailing. */
static void release(struct canon_body *b)
{
	for (; b->crlfs; b->crlfs--) {
		canon_add(b->to, CRLF);
	}
	if (b->space) {
		add_char(b->to, ' ');
		b->space = false;
	}
	b->text = true;
}

static void line_end(struct canon_body *b)
{
	b->space = false;
	b->crlfs++;
}

/* A CR was held back, and this is what follows. How many octets it takes. */
static size_t after_cr(struct canon_body *b, char next)
{
	b->cr = false;
	if (next == '\n') {
		line_end(b);
		return 1;
	}
	release(b);
	add_char(b->to, '\r');
	return 0;
}

static size_t plain_run(const struct canon_body *b, struct slice s)
{
	const char *cr;
	size_t n = 0;

	if (b->how == CANON_SIMPLE) {
		cr = memchr(s.p, '\r', s.n);
		return cr ? (size_t)(cr - s.p) : s.n;
	}
	while (n < s.n && s.p[n] != '\r' && !is_wsp(s.p[n])) {
		n++;
	}
	return n;
}

void canon_body_feed(struct canon_body *b, struct slice piece)
{
	while (piece.n) {
		size_t n = 1;

		if (b->cr) {
			n = after_cr(b, *piece.p);
		} else if (*piece.p == '\r') {
			b->cr = true;
		} else if (b->how == CANON_RELAXED && is_wsp(*piece.p)) {
			b->space = true;
		} else {
			n = plain_run(b, piece);
			release(b);
			canon_add(b->to, slice_sub(piece, 0, n));
		}
		piece = slice_from(piece, n);
	}
}

void canon_body_end(struct canon_body *b)
{
	if (b->cr) {
		b->cr = false;
		release(b);
		add_char(b->to, '\r');
	}
	/* Whatever line ends there were or were not: one, but none for a relaxed
	 * body of nothing else. */
	if (b->how == CANON_SIMPLE || b->text) {
		canon_add(b->to, CRLF);
	}
	canon_flush(b->to);
}
