/*
 * Binary parts into base64: see binary.h.
 *
 * The message is read from its spool twice: once for the tree of its parts,
 * once to be given out. Without a NUL and without a bare CR or LF there is
 * nothing to do, and a message that has no tree within our limits goes as it
 * is, or not.
 */
#include "mime/binary.h"

#include <stdlib.h>

#include "base/codec.h"
#include "mime/header.h"
#include "mime/mime.h"

#define CHUNK 16384
#define LINE_OCTETS 57 /* make 76 characters of base64 */
#define PIECE (32 * LINE_OCTETS)

struct rewrite {
	const struct mime_binary *b;
	struct err *e;
	struct mime_tree tree;
	uint64_t at; /* octets of the spool that are done */
	bool cr;     /* the last one given out as it was is a CR */
	struct buf out;
	char *chunk;
};

/* Up to n octets of the spool from off. >0, <0. */
CO_FN static ssize_t get(struct rewrite *w, uint64_t off, uint64_t n)
{
	ssize_t r = spool_read(w->b->in, off, w->chunk, MIN(n, CHUNK), w->e);

	return r == 0 ? -EIO : r;
}

CO_FN static int parse(struct rewrite *w, struct arena *arena)
{
	struct mime_parser *p = mime_parser_new(arena);
	ssize_t n = p ? 0 : -ENOMEM;
	int r;

	for (uint64_t off = 0; off < spool_size(w->b->in) && n >= 0; off += (uint64_t)MAX(n, 0)) {
		n = get(w, off, UINT64_MAX);
		if (n > 0) {
			mime_parser_feed(p, slice_make(w->chunk, (size_t)n));
			n = co_breathe() < 0 ? -ECANCELED : n;
		}
	}
	r = n < 0 ? (int)n : mime_parser_finish(p, &w->tree);
	mime_parser_free(&p);
	return r;
}

/* May these octets stand outside of a binary part? */
static bool may_stand(struct rewrite *w, struct slice s)
{
	if (slice_has_nul(s)) {
		return false;
	}
	for (size_t i = 0; w->b->lines && i < s.n; i++) {
		if ((s.p[i] == '\n') != w->cr) {
			return false;
		}
		w->cr = s.p[i] == '\r';
	}
	return true;
}

/* Gives out the spool up to `end`. */
CO_FN static int copy_to(struct rewrite *w, uint64_t end)
{
	while (w->at < end) {
		ssize_t n = get(w, w->at, end - w->at);
		struct slice s = slice_make(w->chunk, (size_t)MAX(n, 0));
		int r;

		if (n < 0) {
			return (int)n;
		}
		r = may_stand(w, s) ? w->b->put(w->b->arg, s) : -EILSEQ;
		if (r != 0 || co_breathe() < 0) {
			return r != 0 ? r : -ECANCELED;
		}
		w->at += (uint64_t)n;
	}
	return 0;
}

/* Is it more than lines of text? 1, 0, <0. */
CO_FN static int is_binary(struct rewrite *w, const struct mime_part *p)
{
	uint64_t end = p->body_off + p->body_len;
	bool cr = false;

	for (uint64_t off = p->body_off; off < end;) {
		ssize_t n = get(w, off, end - off);

		if (n < 0) {
			return (int)n;
		}
		for (ssize_t i = 0; i < n; i++) {
			char ch = w->chunk[i];

			if (ch == 0 || (ch == '\n') != cr) {
				return 1;
			}
			cr = ch == '\r';
		}
		off += (uint64_t)n;
		if (co_breathe() < 0) {
			return -ECANCELED;
		}
	}
	return cr;
}

/* The whole header of a part, into h. */
CO_FN static int read_header(struct rewrite *w, const struct mime_part *p, struct buf *h)
{
	if (p->header_len > MIME_HEADER_MAX) {
		return -EILSEQ;
	}
	while (h->n < p->header_len) {
		ssize_t n = get(w, p->header_off + h->n, p->header_len - h->n);

		if (n < 0) {
			return (int)n;
		}
		buf_add(h, slice_make(w->chunk, (size_t)n));
		if (h->err) {
			return h->err;
		}
	}
	return may_stand(w, buf_slice(h)) ? 0 : -EILSEQ;
}

/* The part's header, with the new encoding. */
CO_FN static int put_header(struct rewrite *w, const struct mime_part *p)
{
	struct buf h = BUF_INIT(MIME_HEADER_MAX);
	struct mime_field f;
	struct slice rest;
	bool done = false;
	int r = read_header(w, p, &h);

	rest = buf_slice(&h);
	buf_reset(&w->out);
	while (r == 0 && mime_field_next(&rest, &f)) {
		if (!slice_ieq(f.name, S("Content-Transfer-Encoding"))) {
			buf_add(&w->out, f.raw);
		} else if (!done) {
			buf_adds(&w->out, "Content-Transfer-Encoding: base64\r\n");
			done = true;
		}
	}
	buf_add(&w->out, rest); /* the empty line */
	r = r ? r : w->out.err;
	r = r ? r : w->b->put(w->b->arg, buf_slice(&w->out));
	buf_fini(&h);
	return r;
}

/* Adds n octets as lines of base64; the last line's end only if asked for. */
static void add_lines(struct rewrite *w, const char *in, size_t n, bool last_end)
{
	for (size_t i = 0; i < n; i += LINE_OCTETS) {
		size_t len = MIN(n - i, LINE_OCTETS);

		base64_encode(&w->out, slice_make(in + i, len));
		if (last_end || i + len < n) {
			buf_adds(&w->out, "\r\n");
		}
	}
}

/* The part's body as base64, in lines. */
CO_FN static int put_body(struct rewrite *w, const struct mime_part *p)
{
	uint64_t end = p->body_off + p->body_len;
	char in[PIECE];

	for (uint64_t off = p->body_off; off < end;) {
		size_t n = 0;
		int r;

		while (n < sizeof(in) && off < end) {
			ssize_t got = spool_read(w->b->in, off, in + n,
						 MIN(sizeof(in) - n, end - off), w->e);

			if (got <= 0) {
				return got == 0 ? -EIO : (int)got;
			}
			n += (size_t)got;
			off += (uint64_t)got;
		}
		buf_reset(&w->out);
		/* What ends the last line stands behind the part. */
		add_lines(w, in, n, off < end || !p->parent);
		r = w->out.err ? w->out.err : w->b->put(w->b->arg, buf_slice(&w->out));
		if (r != 0 || co_breathe() < 0) {
			return r != 0 ? r : -ECANCELED;
		}
	}
	w->cr = false;
	return 0;
}

/* The next part in the order of the message. */
static const struct mime_part *after(const struct mime_part *p)
{
	if (p->children) {
		return p->children;
	}
	while (p && !p->next) {
		p = p->parent;
	}
	return p ? p->next : NULL;
}

CO_FN static int rewrite_parts(struct rewrite *w)
{
	const struct mime_part *p = w->tree.root;
	int r = 0;

	for (; p && r == 0; p = after(p)) {
		if (p->kind != MIME_LEAF || !slice_ieq(slice_trim(p->encoding), S("binary"))) {
			continue;
		}
		r = is_binary(w, p);
		if (r <= 0) {
			continue;
		}
		r = copy_to(w, p->header_off);
		r = r ? r : put_header(w, p);
		r = r ? r : put_body(w, p);
		w->at = p->body_off + p->body_len;
	}
	return r;
}

int mime_binary_write(const struct mime_binary *b, struct err *e)
{
	struct rewrite w = { .b = b, .e = e, .chunk = malloc(CHUNK) };
	struct arena arena;
	int r = w.chunk ? 0 : -ENOMEM;

	buf_init(&w.out, MIME_HEADER_MAX + 256);
	arena_init(&arena, MIME_TREE_MAX);
	if (r == 0 && !b->plain) {
		r = parse(&w, &arena);
	}
	if (r == -EMSGSIZE) {
		w.tree.root = NULL;
		r = 0;
	}
	if (r == 0 && w.tree.root && (w.tree.has_nul || w.tree.bare)) {
		r = rewrite_parts(&w);
	}
	r = r ? r : copy_to(&w, spool_size(b->in));
	if (r == 0 && b->lines && w.cr) {
		r = -EILSEQ;
	}
	arena_fini(&arena);
	buf_fini(&w.out);
	free(w.chunk);
	return r;
}
