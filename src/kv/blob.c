/*
 * Blobs: writing them in compressed, checksummed chunks; reading them back.
 *
 * A writer fills a chunk of 128 KiB, compresses it (zstd-1; kept raw if that
 * does not help) and queues it for the committer; the last chunk says that it
 * is the last. A reader finds the chunk's record through the index, reads it
 * whole, checks it and unpacks it. A record may move (reclaim) or vanish
 * (deleted) between the look-up and the read: then the look-up is done again,
 * and only a record that fails at an unchanged place is damaged. Called on
 * the sessions' threads.
 */
#include <stdlib.h>
#include <sys/uio.h>

#include "base/hash.h"
#include "kv/fault.h"
#include "kv/local.h"

/* Above this, packing is done on a worker. */
#define OFFLOAD_MIN (32u * 1024)
#define ZSTD_LEVEL 1

/* ---- compression contexts ------------------------------------------------------ */

static ZSTD_CCtx *cctx_take(struct local *l)
{
	ZSTD_CCtx *c = NULL;

	pthread_mutex_lock(&l->zlock);
	for (int i = 0; i < ZPOOL && !c; i++) {
		c = TAKE_PTR(l->cctx[i]);
	}
	pthread_mutex_unlock(&l->zlock);
	return c ? c : ZSTD_createCCtx();
}

static void cctx_give(struct local *l, ZSTD_CCtx *c)
{
	pthread_mutex_lock(&l->zlock);
	for (int i = 0; i < ZPOOL && c; i++) {
		if (!l->cctx[i]) {
			l->cctx[i] = TAKE_PTR(c);
		}
	}
	pthread_mutex_unlock(&l->zlock);
	ZSTD_freeCCtx(c);
}

static ZSTD_DCtx *dctx_take(struct local *l)
{
	ZSTD_DCtx *d = NULL;

	pthread_mutex_lock(&l->zlock);
	for (int i = 0; i < ZPOOL && !d; i++) {
		d = TAKE_PTR(l->dctx[i]);
	}
	pthread_mutex_unlock(&l->zlock);
	return d ? d : ZSTD_createDCtx();
}

static void dctx_give(struct local *l, ZSTD_DCtx *d)
{
	pthread_mutex_lock(&l->zlock);
	for (int i = 0; i < ZPOOL && d; i++) {
		if (!l->dctx[i]) {
			l->dctx[i] = TAKE_PTR(d);
		}
	}
	pthread_mutex_unlock(&l->zlock);
	ZSTD_freeDCtx(d);
}

void blob_fini(struct local *l)
{
	for (int i = 0; i < ZPOOL; i++) {
		ZSTD_freeCCtx(l->cctx[i]);
		ZSTD_freeDCtx(l->dctx[i]);
	}
	for (int i = 0; i < CACHE_SLOTS; i++) {
		free(l->cache[i].p);
	}
}

/* ---- writing -------------------------------------------------------------------- */

struct pack {
	struct local *l;
	struct writer *w;
	bool last;
	char *payload;
	size_t n;
};

/* The payload of the writer's next chunk record. 0 or -ENOMEM. */
static int pack_chunk(void *arg)
{
	struct pack *p = arg;
	struct writer *w = p->w;
	size_t head = CHUNK_HEAD + w->meta_n;
	size_t room = ZSTD_compressBound(w->raw.n);
	struct chunk c = { .id = w->id,
			   .index = w->index,
			   .raw = (uint32_t)w->raw.n,
			   .codec = CODEC_ZSTD,
			   .flags = p->last ? CHUNK_LAST : 0,
			   .size = p->last ? w->size : 0,
			   .meta = slice_make(w->meta, w->meta_n) };
	ZSTD_CCtx *z = cctx_take(p->l);
	char *out = malloc(head + room);
	char *fit;
	size_t n;

	if (!z || !out) {
		cctx_give(p->l, z);
		free(out);
		return -ENOMEM;
	}
	n = ZSTD_compressCCtx(z, out + head, room, w->raw.p, w->raw.n, ZSTD_LEVEL);
	cctx_give(p->l, z);
	if (ZSTD_isError(n) || n >= w->raw.n) {
		c.codec = CODEC_RAW;
		n = w->raw.n;
		if (n) {
			memcpy(out + head, w->raw.p, n);
		}
	}
	chunk_encode(&c, (unsigned char *)out);
	memcpy(out + CHUNK_HEAD, w->meta, w->meta_n);
	p->n = head + n;
	fit = realloc(out, p->n);
	p->payload = fit ? fit : out;
	return 0;
}

static int emit_chunk(struct writer *w, bool last) CO_FN;
static int emit_chunk(struct writer *w, bool last)
{
	struct local *l = local_of(w->w.kv);
	struct pack p = { .l = l, .w = w, .last = last };
	int r = -EAGAIN;

	if (flag_get(&w->lost)) {
		return KV_FULL;
	}
	if (w->raw.n > OFFLOAD_MIN) {
		r = co_offload(pack_chunk, &p);
	}
	if (r == -EAGAIN) {
		r = pack_chunk(&p);
	}
	if (r == 0) {
		r = commit_chunk(l, p.payload, p.n, w, NULL);
	}
	if (r == 0) {
		w->index++;
		w->meta_n = 0; /* stands in the first chunk */
		buf_reset(&w->raw);
	}
	return r;
}

int local_blob_new(struct kv *kv, struct slice meta, struct kv_blob_writer **out)
{
	struct local *l = local_of(kv);
	struct writer *w;
	int r;

	if (flag_get(&l->poisoned)) {
		return -EIO;
	}
	if (kv_is_full(kv)) {
		return KV_FULL;
	}
	w = calloc(1, sizeof(*w));
	if (!w) {
		return -ENOMEM;
	}
	w->w.kv = kv;
	buf_init(&w->raw, CHUNK_RAW);
	list_init(&w->lost_node);
	memcpy(w->meta, meta.p ? meta.p : "", meta.n);
	w->meta_n = meta.n;
	put64be(w->id.b, l->epoch);
	pthread_mutex_lock(&l->lock);
	put64be(w->id.b + 8, ++l->next_blob);
	r = table_put(&l->held, blob_id_slice(&w->id), w, NULL);
	pthread_mutex_unlock(&l->lock);
	if (r < 0) {
		writer_destroy(w);
		return r;
	}
	*out = &w->w;
	return KV_OK;
}

void writer_destroy(struct writer *w)
{
	buf_fini(&w->raw);
	free(w);
}

int local_blob_write(struct kv_blob_writer *kw, struct slice data)
{
	struct writer *w = (struct writer *)kw;

	while (data.n) {
		size_t n = MIN(data.n, CHUNK_RAW - w->raw.n);

		if (n == 0) {
			int r = kv_is_full(kw->kv) ? KV_FULL : emit_chunk(w, false);

			if (r != 0) {
				return r;
			}
			continue;
		}
		buf_add(&w->raw, slice_sub(data, 0, n));
		if (w->raw.err) {
			return w->raw.err;
		}
		w->size += n;
		data = slice_from(data, n);
	}
	return KV_OK;
}

int local_blob_finish(struct kv_blob_writer *kw, struct kv_blob_id *out)
{
	struct writer *w = (struct writer *)kw;
	int r = emit_chunk(w, true);

	if (r == 0) {
		buf_fini(&w->raw);
		*out = w->id;
	}
	return r;
}

void local_blob_free(struct kv_blob_writer *kw)
{
	struct writer *w = (struct writer *)kw;
	struct local *l = local_of(kw->kv);

	buf_fini(&w->raw);
	if (w->index) {
		commit_release(l, w);
		return;
	}
	pthread_mutex_lock(&l->lock);
	table_del(&l->held, blob_id_slice(&w->id));
	pthread_mutex_unlock(&l->lock);
	writer_destroy(w);
}

/* ---- reading ---------------------------------------------------------------------- */

/* All n bytes or an error; with nowait only what is in memory (-EAGAIN). */
static int read_all(struct segment *s, char *p, size_t n, off_t off, bool nowait)
{
	size_t got = 0;

	while (got < n) {
		struct iovec v = { p + got, n - got };
		ssize_t r = nowait ? preadv2(s->fd, &v, 1, off + (off_t)got, RWF_NOWAIT)
				   : fault_pread(s->fd, p + got, n - got, off + (off_t)got);

		if (r < 0 && errno == EINTR) {
			continue;
		}
		if (r < 0) {
			/* Not every file system knows RWF_NOWAIT. */
			return nowait ? -EAGAIN : -errno;
		}
		if (r == 0) {
			return nowait ? -EAGAIN : -EIO;
		}
		got += (size_t)r;
	}
	return 0;
}

int chunk_read(struct local *l, struct loc loc, bool nowait, struct buf *raw, struct rec *rec_out,
	       struct chunk *out)
{
	struct segment *s = log_get(&l->log, loc.at.seg);
	struct slice payload;
	char *p;
	int r;

	if (!s) {
		return errno == ENOENT ? -ENOENT : -EIO;
	}
	buf_reset(raw);
	p = buf_reserve(raw, loc.len);
	r = p ? read_all(s, p, loc.len, loc.at.off, nowait) : raw->err;
	if (r == 0 && (loc.len < REC_HEAD + CHUNK_HEAD ||
		       rec_decode(slice_make(p, loc.len), s->salt, loc.at.off, rec_out) != 1 ||
		       rec_out->type != REC_CHUNK || rec_out->version > REC_VERSION ||
		       rec_size(rec_out->len) != loc.len)) {
		r = -EIO;
	}
	log_put(&l->log, s);
	if (r < 0) {
		return r;
	}
	payload = slice_make(p + REC_HEAD, rec_out->len);
	if (hash_sum64(payload) != rec_out->sum || chunk_decode(payload, true, out) < 0) {
		return -EIO;
	}
	return 0;
}

/* One read of one chunk. */
struct fetch {
	struct local *l;
	struct kv_blob_id id;
	uint32_t index;
	struct blob_row row;
	struct loc loc;
	struct buf raw;
	bool nowait;
	char *out; /* CHUNK_RAW bytes, malloc'ed */
	uint32_t out_n;
};

/* Finds blob and chunk in the index: KV_OK, KV_NOTFOUND, <0. */
static int locate(struct fetch *f)
{
	struct index *x = &f->l->idx;
	MDB_txn *t;
	int r = index_read(x, &t);

	if (r < 0) {
		return r;
	}
	r = index_get_blob(x, t, f->id, &f->row);
	if (r == 0 && (!f->row.refs || !f->row.whole)) {
		r = KV_NOTFOUND;
	}
	if (r == 0 && f->index < f->row.chunks) {
		r = index_get_loc(x, t, f->id, f->index, &f->row, &f->loc);
		r = r == KV_NOTFOUND ? -EIO : r;
	}
	index_read_end(x, t);
	return r;
}

/* The same; a blob not found may be in a commit that is not yet applied. */
static int locate_visible(struct fetch *f) CO_FN;
static int locate_visible(struct fetch *f)
{
	int r = locate(f);

	if (r == KV_NOTFOUND) {
		r = kv_sync(&f->l->kv);
		if (r == 0) {
			r = locate(f);
		}
	}
	return r == KV_NOTFOUND ? -ENOENT : r;
}

static int unpack(struct fetch *f, const struct chunk *c)
{
	ZSTD_DCtx *d;
	size_t n;

	if (memcmp(&c->id, &f->id, sizeof(f->id)) != 0 || c->index != f->index) {
		return -EIO;
	}
	if (!f->out) {
		f->out = malloc(CHUNK_RAW);
	}
	if (!f->out) {
		return -ENOMEM;
	}
	f->out_n = c->raw;
	if (c->codec == CODEC_RAW) {
		if (c->data.n) {
			memcpy(f->out, c->data.p, c->data.n);
		}
		return 0;
	}
	d = dctx_take(f->l);
	if (!d) {
		return -ENOMEM;
	}
	n = ZSTD_decompressDCtx(d, f->out, CHUNK_RAW, c->data.p, c->data.n);
	dctx_give(f->l, d);
	return ZSTD_isError(n) || n != c->raw ? -EIO : 0;
}

static int fetch_once(void *arg)
{
	struct fetch *f = arg;
	struct chunk c;
	struct rec rec;
	int r = chunk_read(f->l, f->loc, f->nowait, &f->raw, &rec, &c);

	return r ? r : unpack(f, &c);
}

/* Reads f->loc: first what memory holds, then on a worker. */
static int fetch_here(struct fetch *f) CO_FN;
static int fetch_here(struct fetch *f)
{
	int r = -EAGAIN;

	if (co_self()) {
		f->nowait = true;
		r = fetch_once(f);
		f->nowait = false;
	}
	if (r == -EAGAIN) {
		r = co_offload(fetch_once, f);
	}
	return r == -EAGAIN ? fetch_once(f) : r;
}

/* After a failure: has the chunk moved (KV_OK: try again there) or gone? */
static int locate_again(struct fetch *f, int failed)
{
	struct loc was = f->loc;
	int r = locate(f);

	if (r != 0) {
		return r == KV_NOTFOUND ? -ENOENT : r;
	}
	if (pos_cmp(was.at, f->loc.at) == 0) {
		return failed == -ENOMEM ? failed : -EIO;
	}
	return 0;
}

static int fetch_chunk(struct fetch *f) CO_FN;
static int fetch_chunk(struct fetch *f)
{
	int r;

	f->raw = BUF_INIT(rec_size(REC_PAYLOAD_MAX));
	do {
		r = fetch_here(f);
		if (r == 0) {
			break;
		}
		r = locate_again(f, r);
	} while (r == 0);
	buf_fini(&f->raw);
	return r;
}

/* ---- the cache of unpacked chunks -------------------------------------------------- */

/* Copies from a cached chunk: bytes, or -1 if it is not there. */
static ssize_t cache_read(struct local *l, struct kv_blob_id id, uint32_t index, size_t off,
			  char *p, size_t n)
{
	ssize_t got = -1;

	pthread_mutex_lock(&l->zlock);
	for (int i = 0; i < CACHE_SLOTS; i++) {
		struct cached_chunk *c = &l->cache[i];

		if (c->p && c->index == index && memcmp(&c->id, &id, sizeof(id)) == 0) {
			got = 0;
			if (off < c->n) {
				n = MIN(n, c->n - off);
				memcpy(p, c->p + off, n);
				got = (ssize_t)n;
			}
			c->used_at = ++l->cache_clock;
			break;
		}
	}
	pthread_mutex_unlock(&l->zlock);
	return got;
}

/* Takes f->out over, if it is worth it: the reader did not take all of it. */
static void cache_keep(struct fetch *f)
{
	struct local *l = f->l;
	struct cached_chunk *c = &l->cache[0];
	char *old;

	pthread_mutex_lock(&l->zlock);
	for (int i = 1; i < CACHE_SLOTS; i++) {
		if (l->cache[i].used_at < c->used_at) {
			c = &l->cache[i];
		}
	}
	old = c->p;
	*c = (struct cached_chunk){ .id = f->id,
				    .index = f->index,
				    .n = f->out_n,
				    .p = TAKE_PTR(f->out),
				    .used_at = ++l->cache_clock };
	pthread_mutex_unlock(&l->zlock);
	free(old);
}

/* ---- the calls ------------------------------------------------------------------------ */

/* From one chunk: bytes read or <0. */
static ssize_t read_piece(struct fetch *f, uint64_t off, char *p, size_t n) CO_FN;
static ssize_t read_piece(struct fetch *f, uint64_t off, char *p, size_t n)
{
	size_t at = (size_t)(off % CHUNK_RAW);
	ssize_t got = cache_read(f->l, f->id, f->index, at, p, n);
	int r;

	if (got >= 0) {
		return got;
	}
	r = fetch_chunk(f);
	if (r < 0) {
		return r;
	}
	if (at >= f->out_n) {
		return -EIO; /* the index says there is more */
	}
	n = MIN(n, f->out_n - at);
	memcpy(p, f->out + at, n);
	if (at + n < f->out_n) {
		cache_keep(f);
	}
	return (ssize_t)n;
}

ssize_t local_blob_read(struct kv *kv, struct kv_blob_id id, uint64_t off, char *p, size_t n)
{
	struct fetch f = { .l = local_of(kv), .id = id };
	ssize_t got = 0;

	if (n > SSIZE_MAX) {
		n = SSIZE_MAX;
	}
	do {
		uint64_t at = off + (uint64_t)got;
		ssize_t k;

		f.index = (uint32_t)MIN(at / CHUNK_RAW, (uint64_t)UINT32_MAX);
		k = locate_visible(&f);
		if (k < 0) {
			got = k;
			break;
		}
		if (at >= f.row.size || n == 0) {
			break;
		}
		k = read_piece(&f, at, p + got, (size_t)MIN((uint64_t)n, f.row.size - at));
		if (k < 0) {
			got = k;
			break;
		}
		got += k;
		n -= (size_t)k;
	} while (n);
	free(f.out);
	return got;
}

int local_blob_size(struct kv *kv, struct kv_blob_id id, uint64_t *out)
{
	struct fetch f = { .l = local_of(kv), .id = id, .index = UINT32_MAX };
	int r = locate_visible(&f);

	if (r == 0) {
		*out = f.row.size;
	}
	return r;
}
