/*
 * Keeping texts (kept.h): gathering them into pages while a segment is built,
 * and dropping what is gone.
 *
 * A build goes over consecutive missing messages, so the pages between its
 * first and its last are its own and are written as they are; what is there of
 * those two already is read and goes into the new row. Pages are committed as
 * they get ready, before the segment counts: a text without a segment is not
 * looked at, and is written over. Called by text_index.c, text_merge.c,
 * text_segment.c and text.c.
 */
#include <stdlib.h>

#include <zstd.h>

#include "store/kept.h"

#define COMMIT_BYTES (256u << 10)
#define ROWS_MAX (8u << 20)

struct place {
	bool have;
	size_t at, body, header; /* in texts; bytes */
};

struct keeper {
	/* the message of the moment */
	struct buf body, header;
	uint32_t uid; /* 0: none */
	bool skip;
	/* the page of the moment */
	uint32_t page;
	struct place place[KEPT_UIDS];
	struct buf texts;
	/* what was in the first page, or in the last */
	struct kept_page old;
	size_t old_bytes; /* rows that are replaced */
	uint32_t first_page;
	/* finished: page:32, bytes of the row:32, row */
	struct buf rows;
	size_t new_bytes;
	struct buf scratch, row;
	ZSTD_CCtx *zstd;
	int err;
};

struct keeper *keeper_new(void)
{
	struct keeper *k = calloc(1, sizeof(*k));

	if (!k) {
		return NULL;
	}
	buf_init(&k->body, KEPT_MAX);
	buf_init(&k->header, KEPT_MAX);
	buf_init(&k->texts, KEPT_PAGE_MAX);
	buf_init(&k->rows, ROWS_MAX);
	buf_init(&k->scratch, 64 * MIME_HEADER_MAX);
	buf_init(&k->row, KV_VALUE_MAX);
	kept_init(&k->old);
	k->zstd = ZSTD_createCCtx();
	if (!k->zstd) {
		keeper_free(&k);
	}
	return k;
}

void keeper_free(struct keeper **kp)
{
	struct keeper *k = *kp;

	if (k) {
		buf_fini(&k->body);
		buf_fini(&k->header);
		buf_fini(&k->texts);
		buf_fini(&k->rows);
		buf_fini(&k->scratch);
		buf_fini(&k->row);
		kept_fini(&k->old);
		ZSTD_freeCCtx(k->zstd);
		free(k);
		*kp = NULL;
	}
}

/* ---- in the worker ------------------------------------------------------------ */

/* The page's texts: those at hand, else those that were there. */
static unsigned all_docs(const struct keeper *k, struct kept_doc doc[KEPT_UIDS])
{
	bool old = k->old.loaded && k->old.page == k->page;
	unsigned n = 0;

	for (unsigned i = 0; i < KEPT_UIDS; i++) {
		const struct place *p = &k->place[i];
		const char *at = k->texts.p + p->at;

		doc[i] = (struct kept_doc){ 0 };
		if (p->have) {
			doc[i].text[ZONE_BODY] = slice_make(at, p->body);
			doc[i].text[ZONE_HEADER] = slice_make(at + p->body, p->header);
			doc[i].have = KEPT_BOTH;
		} else if (old) {
			doc[i] = k->old.doc[i];
		}
		n += doc[i].have == KEPT_BOTH;
	}
	return n;
}

static void close_page(struct keeper *k)
{
	struct kept_doc doc[KEPT_UIDS];
	int r = 0;

	if (all_docs(k, doc)) {
		buf_reset(&k->row);
		r = kept_row(doc, k->zstd, &k->scratch, &k->row);
	}
	if (r == 0 && k->row.n) {
		buf_put32le(&k->rows, k->page);
		buf_put32le(&k->rows, (uint32_t)k->row.n);
		buf_add(&k->rows, buf_slice(&k->row));
		k->new_bytes += k->row.n;
	}
	k->err = k->err ? k->err : r ? r : k->rows.err;
	buf_reset(&k->row);
	buf_reset(&k->texts);
	memset(k->place, 0, sizeof(k->place));
}

/* The message of the moment goes into the page. */
static void close_doc(struct keeper *k)
{
	struct place *p = &k->place[k->uid % KEPT_UIDS];
	bool fits = k->body.n + k->header.n <= KEPT_MAX && !k->body.err && !k->header.err;

	if (k->uid && !k->skip && fits) {
		*p = (struct place){ true, k->texts.n, k->body.n, k->header.n };
		buf_add(&k->texts, buf_slice(&k->body));
		buf_add(&k->texts, buf_slice(&k->header));
		k->err = k->err ? k->err : k->texts.err;
	}
	buf_reset(&k->body);
	buf_reset(&k->header);
	k->uid = 0;
	k->skip = false;
}

void keeper_doc(struct keeper *k, uint32_t uid)
{
	close_doc(k);
	if (uid / KEPT_UIDS != k->page) {
		close_page(k);
		k->page = uid / KEPT_UIDS;
	}
	k->uid = uid;
}

void keeper_body(struct keeper *k, struct slice text)
{
	buf_add(&k->body, text);
	buf_addc(&k->body, '\xff');
}

void keeper_field(struct keeper *k, const struct mime_field *f, struct slice text)
{
	buf_reset(&k->scratch);
	k->skip = !kept_field(f, text, &k->scratch, &k->header) || k->skip;
}

void keeper_skip(struct keeper *k)
{
	k->skip = true;
}

/* ---- on the loop ---------------------------------------------------------------- */

/* 0, or as kept_load. */
CO_FN static int read_page(struct kept_page *p, struct store_mailbox *m, uint32_t page,
			   unsigned zones)
{
	int r = index_row(m, kept_key(page), &p->row);

	if (r == -ENOENT) {
		kept_none(p, page);
		return 0;
	}
	if (r) {
		p->loaded = false;
		return r;
	}
	return kept_parse(p, page, zones);
}

/* A damaged one is as good as none. */
CO_FN static int read_old(struct keeper *k, struct store_mailbox *m, uint32_t page)
{
	int r = read_page(&k->old, m, page, KEPT_BOTH);

	k->old_bytes += k->old.row.n;
	return r == -EIO ? 0 : r;
}

CO_FN int keeper_begin(struct keeper *k, struct store_mailbox *m, uint32_t first)
{
	k->page = k->first_page = first / KEPT_UIDS;
	return read_old(k, m, k->page);
}

CO_FN static int commit_rows(struct keeper *k, struct store_mailbox *m, struct err *e)
{
	struct kv_batch *b = kv_batch_new(part_mailbox(m->a->id, m->id));
	struct cur c = cur_init(buf_slice(&k->rows));
	int r = b ? 0 : -ENOMEM;

	while (r == 0 && !cur_done(&c)) {
		struct row_key key = kept_key(cur_get32le(&c));

		kv_batch_put(b, key_slice(&key), cur_take(&c, cur_get32le(&c)));
	}
	r = r ? r : index_commit(m, b, e);
	kv_batch_free(&b);
	buf_reset(&k->rows);
	return r;
}

CO_FN int keeper_flush(struct keeper *k, struct store_mailbox *m, struct err *e)
{
	if (k->err) {
		return k->err;
	}
	return k->rows.n >= COMMIT_BYTES ? commit_rows(k, m, e) : 0;
}

static int close_last(void *arg)
{
	struct keeper *k = arg;

	close_page(k);
	return k->err;
}

CO_FN int keeper_end(struct keeper *k, struct store_mailbox *m, uint64_t *bytes_out, struct err *e)
{
	int r = 0;

	close_doc(k);
	if (k->page != k->first_page) {
		r = read_old(k, m, k->page);
	}
	r = r ? r : index_offload(close_last, k);
	if (r == 0 && k->rows.n) {
		r = commit_rows(k, m, e);
	}
	*bytes_out = k->new_bytes > k->old_bytes ? k->new_bytes - k->old_bytes : 0;
	return r;
}

CO_FN int kept_load(struct kept_page *p, struct store_mailbox *m, uint32_t uid, unsigned zones)
{
	uint32_t page = uid / KEPT_UIDS;

	return p->loaded && p->page == page ? 0 : read_page(p, m, page, zones);
}

/* ---- sweeping -------------------------------------------------------------------- */

struct row_of_page {
	uint32_t page, bytes;
	unsigned char texts;
};

struct sweep {
	struct store_mailbox *m;
	struct row_of_page *v;
	size_t n, cap;
	uint64_t bytes;
	struct kept_page page;
	struct buf scratch, row;
	ZSTD_CCtx *zstd;
	struct kv_batch *batch;
	size_t batched;
};

/* A kv_row_fn. */
static int note_row(void *arg, struct slice key, struct slice value)
{
	struct sweep *s = arg;
	struct cur c = cur_init(slice_from(key, 1));

	if (s->n == s->cap) {
		size_t cap = s->cap ? 2 * s->cap : 256;
		struct row_of_page *v = reallocarray(s->v, cap, sizeof(*v));

		if (!v) {
			return 1;
		}
		s->v = v;
		s->cap = cap;
	}
	s->v[s->n++] = (struct row_of_page){ cur_get32be(&c), (uint32_t)value.n,
					     (unsigned char)kept_count(value) };
	return 0;
}

/* Which UIDs of the page live; how many. */
static unsigned living(const struct store_mailbox *m, uint32_t page, bool live[KEPT_UIDS])
{
	uint32_t first = page * KEPT_UIDS;
	unsigned n = 0;

	memset(live, 0, KEPT_UIDS * sizeof(*live));
	for (size_t i = box_lower(m, first); i < m->n && m->v[i].uid / KEPT_UIDS == page; i++) {
		live[m->v[i].uid - first] = m->v[i].gone_at == 0;
		n += m->v[i].gone_at == 0;
	}
	return n;
}

/* The page without what is gone. */
CO_FN static int rewrite(struct sweep *s, const struct row_of_page *w)
{
	bool live[KEPT_UIDS];
	struct row_key key = kept_key(w->page);
	int r = read_page(&s->page, s->m, w->page, KEPT_BOTH);

	if (r && r != -EIO) {
		return r;
	}
	living(s->m, w->page, live);
	for (unsigned i = 0; i < KEPT_UIDS; i++) {
		if (!live[i]) {
			s->page.doc[i] = (struct kept_doc){ 0 };
		}
	}
	buf_reset(&s->row);
	r = kept_row(s->page.doc, s->zstd, &s->scratch, &s->row);
	if (r == 0) {
		kv_batch_put(s->batch, key_slice(&key), buf_slice(&s->row));
		s->batched += s->row.n;
		s->bytes += s->row.n;
	}
	return r;
}

CO_FN static int sweep_page(struct sweep *s, const struct row_of_page *w)
{
	bool live[KEPT_UIDS];
	struct row_key key = kept_key(w->page);
	unsigned n = living(s->m, w->page, live);

	if (n == 0) {
		kv_batch_del(s->batch, key_slice(&key));
		s->batched += 64;
		return 0;
	}
	if (2 * n < w->texts) {
		return rewrite(s, w);
	}
	s->bytes += w->bytes;
	return 0;
}

CO_FN static int sweep_all(struct sweep *s, struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < s->n && r == 0; i++) {
		if (!s->batch) {
			s->batch = kv_batch_new(part_mailbox(s->m->a->id, s->m->id));
			s->batched = 0;
		}
		r = s->batch ? sweep_page(s, &s->v[i]) : -ENOMEM;
		if (r == 0 && s->batched && (s->batched >= COMMIT_BYTES || i + 1 == s->n)) {
			r = index_commit(s->m, s->batch, e);
			kv_batch_free(&s->batch);
		}
		if (r == 0 && co_breathe() == -ECANCELED) {
			r = -ECANCELED;
		}
	}
	return r;
}

CO_FN int kept_sweep(struct store_mailbox *m, uint32_t first, uint32_t last, uint64_t *bytes_out,
		     struct err *e)
{
	struct row_key from = kept_key(first / KEPT_UIDS), to = kept_key(last / KEPT_UIDS + 1);
	struct sweep s = { .m = m, .zstd = ZSTD_createCCtx() };
	int r;

	kept_init(&s.page);
	buf_init(&s.scratch, KEPT_PAGE_MAX);
	buf_init(&s.row, KV_VALUE_MAX);
	r = kv_scan(box_kv(m), part_mailbox(m->a->id, m->id), key_slice(&from), key_slice(&to),
		    note_row, &s);
	r = r > 0 || !s.zstd ? -ENOMEM : r;
	r = r ? r : sweep_all(&s, e);
	*bytes_out = s.bytes;
	kv_batch_free(&s.batch);
	kept_fini(&s.page);
	buf_fini(&s.scratch);
	buf_fini(&s.row);
	ZSTD_freeCCtx(s.zstd);
	free(s.v);
	return r;
}

void kept_forget(const struct manifest *mf, size_t at, struct kv_batch *b)
{
	const struct segment *s = &mf->v[at];
	uint32_t first = s->first / KEPT_UIDS, last = s->last / KEPT_UIDS;

	if (at > 0 && mf->v[at - 1].last / KEPT_UIDS == first) {
		first++;
	}
	if (at + 1 < mf->n && mf->v[at + 1].first / KEPT_UIDS == last) {
		last--;
	}
	if (first <= last) {
		struct row_key from = kept_key(first), to = kept_key(last + 1);

		kv_batch_del_range(b, key_slice(&from), key_slice(&to));
	}
}
