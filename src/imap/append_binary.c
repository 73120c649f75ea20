/*
 * append_binary: a message that came as literal8 (RFC 3516 4.4) into the
 * store, which keeps mail that any IMAP or POP3 client can be given.
 *
 * The message waits in a spool. Without a NUL and without a binary part it
 * goes in as it is. Else its parts are found with the MIME parser, and each
 * part whose Content-Transfer-Encoding is "binary" and whose octets are not
 * lines of text (a NUL, a bare CR or LF) becomes base64: that field is
 * rewritten, nothing else is touched. A NUL anywhere else has no form that
 * could be kept: NO [UNKNOWN-CTE]. Memory: the tree, one header, one piece.
 */
#include "imap/append.h"

#include "base/codec.h"
#include "mime/header.h"

#define LINE_OCTETS 57 /* make 76 characters of base64 */
#define PIECE (32 * LINE_OCTETS)

struct rewrite {
	struct append *a;
	struct mime_tree tree;
	uint64_t at; /* octets of the spool that are done */
	struct buf out;
};

/* Up to n octets of the spool from off. >0, <0. */
CO_FN static ssize_t get(struct append *a, uint64_t off, uint64_t n)
{
	ssize_t r = spool_read(a->spool, off, a->piece, MIN(n, IMAP_CHUNK), &a->e);

	return r == 0 ? -EIO : r;
}

CO_FN static int parse(struct rewrite *w, struct arena *arena)
{
	struct append *a = w->a;
	struct mime_parser *p = mime_parser_new(arena);
	ssize_t n = p ? 0 : -ENOMEM;
	int r;

	for (uint64_t off = 0; off < spool_size(a->spool) && n >= 0; off += (uint64_t)MAX(n, 0)) {
		n = get(a, off, UINT64_MAX);
		if (n > 0) {
			mime_parser_feed(p, slice_make(a->piece, (size_t)n));
			n = co_breathe() < 0 ? -ECANCELED : n;
		}
	}
	r = n < 0 ? (int)n : mime_parser_finish(p, &w->tree);
	mime_parser_free(&p);
	return r;
}

/* Copies the spool up to `end`. STORE_OK, STORE_FULL, -EILSEQ (a NUL), <0. */
CO_FN static int copy_to(struct rewrite *w, uint64_t end)
{
	struct append *a = w->a;

	while (w->at < end) {
		ssize_t n = get(a, w->at, end - w->at);
		if (n < 0) {
			return (int)n;
		}
		struct slice s = slice_make(a->piece, (size_t)n);
		int r = slice_has_nul(s) ? -EILSEQ : store_writer_add(a->next.w, s, &a->e);
		if (r != STORE_OK || co_breathe() < 0) {
			return r != STORE_OK ? r : -ECANCELED;
		}
		w->at += (uint64_t)n;
	}
	return STORE_OK;
}

/* Is it more than lines of text? 1, 0, <0. */
CO_FN static int is_binary(struct rewrite *w, const struct mime_part *p)
{
	uint64_t end = p->body_off + p->body_len;
	bool cr = false;

	for (uint64_t off = p->body_off; off < end;) {
		ssize_t n = get(w->a, off, end - off);
		if (n < 0) {
			return (int)n;
		}
		for (ssize_t i = 0; i < n; i++) {
			char ch = w->a->piece[i];
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

/* The part's header, with the new encoding. */
CO_FN static int put_header(struct rewrite *w, const struct mime_part *p)
{
	struct append *a = w->a;
	struct buf h = BUF_INIT(MIME_HEADER_MAX);
	struct mime_field f;
	struct slice rest;
	bool done = false;
	int r = p->header_len <= MIME_HEADER_MAX ? 0 : -EILSEQ;

	while (r == 0 && h.n < p->header_len) {
		ssize_t n = get(a, p->header_off + h.n, p->header_len - h.n);
		buf_add(&h, slice_make(a->piece, (size_t)MAX(n, 0)));
		r = n < 0 ? (int)n : h.err;
	}
	rest = buf_slice(&h);
	r = r == 0 && slice_has_nul(rest) ? -EILSEQ : r;
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
	r = r ? r : store_writer_add(a->next.w, buf_slice(&w->out), &a->e);
	buf_fini(&h);
	return r;
}

/* The part's body as base64, in lines. */
CO_FN static int put_body(struct rewrite *w, const struct mime_part *p)
{
	struct append *a = w->a;
	uint64_t end = p->body_off + p->body_len;
	char in[PIECE];

	for (uint64_t off = p->body_off; off < end;) {
		size_t n = 0;
		while (n < sizeof(in) && off < end) {
			ssize_t r = spool_read(a->spool, off, in + n,
					       MIN(sizeof(in) - n, end - off), &a->e);
			if (r <= 0) {
				return r == 0 ? -EIO : (int)r;
			}
			n += (size_t)r;
			off += (uint64_t)r;
		}
		buf_reset(&w->out);
		for (size_t i = 0; i < n; i += LINE_OCTETS) {
			size_t len = MIN(n - i, LINE_OCTETS);
			base64_encode(&w->out, slice_make(in + i, len));
			/* What ends the last line stands behind the part. */
			if (off < end || i + len < n || !p->parent) {
				buf_adds(&w->out, "\r\n");
			}
		}
		int r = w->out.err;
		r = r ? r : store_writer_add(a->next.w, buf_slice(&w->out), &a->e);
		if (r != STORE_OK || co_breathe() < 0) {
			return r != STORE_OK ? r : -ECANCELED;
		}
	}
	return STORE_OK;
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
	int r = STORE_OK;

	for (; p && r == STORE_OK; p = after(p)) {
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
	return r ? r : copy_to(w, spool_size(w->a->spool));
}

CO_FN int append_rewrite(struct append *a)
{
	struct rewrite w = { .a = a };
	struct arena arena;
	int r = STORE_OK;

	buf_init(&w.out, MIME_HEADER_MAX + 256);
	arena_init(&arena, MIME_TREE_MAX);
	if (a->eight) {
		r = parse(&w, &arena);
	}
	/* A message that has no tree within our limits goes as it is, or not. */
	if (r == 0 && w.tree.root && (w.tree.has_nul || w.tree.bare)) {
		r = rewrite_parts(&w);
	} else if (r == 0 || r == -EMSGSIZE) {
		r = copy_to(&w, spool_size(a->spool));
	}
	arena_fini(&arena);
	buf_fini(&w.out);
	if (r == -EILSEQ) {
		imap_no(a->cmd, "[UNKNOWN-CTE] A NUL stands where no binary part is");
		return APPEND_REFUSED;
	}
	return r == STORE_OK ? APPEND_OK : append_no(a, r, &a->e);
}
