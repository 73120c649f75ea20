/*
 * octets: see octets.h.
 *
 * Nothing is known of decoded octets but by decoding: their number is found by
 * running through them. Octets that are stored as they are wanted are read
 * from where they stand.
 */
#include "imap/octets.h"

/* The codec that undoes an encoding. False: we know none. */
static bool codec_for(struct slice encoding, enum codec_kind *out)
{
	static const struct {
		struct slice name;
		enum codec_kind kind;
	} known[] = { { S("7bit"), CODEC_IDENTITY },
		      { S("8bit"), CODEC_IDENTITY },
		      { S("binary"), CODEC_IDENTITY },
		      { S("base64"), CODEC_BASE64 },
		      { S("quoted-printable"), CODEC_QP } };

	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if (slice_ieq(slice_trim(encoding), known[i].name)) {
			*out = known[i].kind;
			return true;
		}
	}
	return false;
}

/* A part's body has an encoding; the message, headers and texts have none,
 * nor has a multipart, which was taken apart as it stands. */
static int find_codec(struct octets *o, const struct mime_tree *tree, const struct section *sec)
{
	const struct mime_part *p;

	if (sec->what != SECTION_ALL || sec->n_part == 0) {
		return OCTETS_OK;
	}
	p = mime_part_find(tree, sec->part, sec->n_part);
	if (p->kind == MIME_MULTIPART || codec_for(p->encoding, &o->codec)) {
		return OCTETS_OK;
	}
	return OCTETS_UNKNOWN_CTE;
}

CO_FN static int read_header(struct octets *o, struct buf *out)
{
	struct err e = ERR_INIT;
	uint64_t n = MIN(o->range.len, MIME_HEADER_MAX);

	while (out->n < n) {
		size_t want = MIN(n - out->n, IMAP_CHUNK);
		char *p = buf_reserve(out, want);
		ssize_t r = p ? store_read(o->mbox, o->uid, o->range.off + out->n, p, want, &e)
			      : -ENOMEM;
		if (r <= 0) {
			return r == 0 ? -ENOENT : (int)r;
		}
		buf_commit(out, (size_t)r);
	}
	return 0;
}

CO_FN static int hold_fields(struct octets *o, const struct section *sec)
{
	struct buf header = BUF_INIT(MIME_HEADER_MAX);
	int r = read_header(o, &header);

	if (r == 0) {
		section_pick(sec, buf_slice(&header), &o->text);
		o->held = true;
		r = o->text.err;
	}
	buf_fini(&header);
	return r;
}

CO_FN int octets_open(struct octets *o, struct store_mailbox *m, uint32_t uid, uint64_t size,
		      const struct mime_tree *tree, const struct section *sec, bool decode)
{
	*o = (struct octets){ .mbox = m, .uid = uid };
	buf_init(&o->text, MIME_HEADER_MAX + 16);
	if (!section_find(sec, size, tree, &o->range)) {
		return OCTETS_NONE;
	}
	if (section_is_fields(sec)) {
		return hold_fields(o, sec);
	}
	return decode ? find_codec(o, tree, sec) : OCTETS_OK;
}

void octets_close(struct octets *o)
{
	buf_fini(&o->text);
}

/* Octets as they stand. */
CO_FN static int run_stored(struct octets *o, uint64_t off, uint64_t count, char *chunk,
			    octets_fn *fn, void *arg)
{
	uint64_t end;
	struct err e = ERR_INIT;

	off = MIN(off, o->range.len);
	end = off + MIN(count, o->range.len - off);
	while (off < end) {
		ssize_t n = store_read(o->mbox, o->uid, o->range.off + off, chunk,
				       MIN(end - off, IMAP_CHUNK), &e);
		if (n <= 0) {
			return n == 0 ? -EIO : (int)n;
		}
		int r = fn(arg, slice_make(chunk, (size_t)n));
		if (r != 0 || co_breathe() < 0) {
			return r != 0 ? r : -ECANCELED;
		}
		off += (uint64_t)n;
	}
	return 0;
}

/* The window on what comes out of a decoder. */
struct window {
	uint64_t at; /* octets that came out */
	uint64_t off, end;
	octets_fn *fn;
	void *arg;
};

CO_FN static int pass(struct window *w, struct slice s)
{
	uint64_t lo = MAX(w->at, w->off);
	uint64_t hi = MIN(w->at + s.n, w->end);
	struct slice in = lo < hi ? slice_sub(s, (size_t)(lo - w->at), (size_t)(hi - lo)) : S("");

	w->at += s.n;
	return in.n ? w->fn(w->arg, in) : 0;
}

struct decoder {
	struct codec codec;
	struct buf out;
	struct window w;
};

CO_FN static int decode_piece(void *arg, struct slice s)
{
	struct decoder *d = arg;
	int r;

	buf_reset(&d->out);
	codec_feed(&d->codec, &d->out, s);
	r = d->out.err ? d->out.err : pass(&d->w, buf_slice(&d->out));
	return r == 0 && d->w.at >= d->w.end ? -EALREADY : r;
}

CO_FN static int run_decoded(struct octets *o, struct window w, char *chunk)
{
	struct decoder d = { .codec = { .kind = o->codec }, .w = w };
	int r;

	buf_init(&d.out, IMAP_CHUNK + sizeof(d.codec.pend));
	r = run_stored(o, 0, UINT64_MAX, chunk, decode_piece, &d);
	if (r == 0) {
		buf_reset(&d.out);
		codec_end(&d.codec, &d.out);
		r = pass(&d.w, buf_slice(&d.out));
	}
	buf_fini(&d.out);
	return r == -EALREADY ? 0 : r; /* the window is behind us */
}

CO_FN int octets_run(struct octets *o, uint64_t off, uint64_t count, char *chunk, octets_fn *fn,
		     void *arg)
{
	struct window w = { .off = off, .end = off + MIN(count, UINT64_MAX - off) };

	w.fn = fn;
	w.arg = arg;
	if (count == 0) {
		return 0;
	}
	if (o->held) {
		return pass(&w, buf_slice(&o->text));
	}
	if (o->codec != CODEC_IDENTITY) {
		return run_decoded(o, w, chunk);
	}
	return run_stored(o, off, count, chunk, fn, arg);
}

struct measure {
	uint64_t n;
	bool nul;
};

static int count(void *arg, struct slice s)
{
	struct measure *m = arg;

	m->n += s.n;
	m->nul = m->nul || slice_has_nul(s);
	return 0;
}

CO_FN int octets_measure(struct octets *o, uint64_t off, uint64_t n, char *chunk, uint64_t *n_out,
			 bool *nul_out)
{
	struct measure m = { 0 };
	uint64_t len = o->held ? o->text.n : o->range.len;
	int r;

	if (!nul_out && o->codec == CODEC_IDENTITY) {
		*n_out = MIN(n, len - MIN(off, len));
		return 0;
	}
	r = octets_run(o, off, n, chunk, count, &m);
	if (r == 0) {
		*n_out = m.n;
	}
	if (r == 0 && nul_out) {
		*nul_out = m.nul;
	}
	return r;
}
