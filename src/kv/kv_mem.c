/*
 * kv_mem: the engine contract in memory, for the tests of everything above.
 *
 * Partitions are sorted arrays of rows behind one mutex; nothing is durable,
 * nothing suspends, no threads. Memory that is gone aborts (xmalloc): this
 * engine never runs in a server. Versions are one counter over all
 * partitions, as in kv_local, so that nobody comes to rely on steps of one.
 */
#include <pthread.h>
#include <stdlib.h>

#include "base/table.h"
#include "kv/impl.h"

struct row {
	size_t key_n;
	size_t value_n;
	char bytes[]; /* key, then value */
};

struct part {
	unsigned char name[KV_PART_SIZE];
	struct row **rows;
	size_t n;
	size_t cap;
	uint64_t version;
};

struct blob {
	struct kv_blob_id id;
	struct buf data;
	uint64_t refs;
	bool held;
};

struct mem {
	struct kv kv;
	pthread_mutex_t lock;
	struct table parts;
	struct table blobs;
	uint64_t version;
	uint64_t next_blob;
	uint64_t commits;
};

struct writer {
	struct kv_blob_writer w;
	struct blob *blob;
};

static struct mem *mem_of(struct kv *kv)
{
	return (struct mem *)kv;
}

/* ---- rows ----------------------------------------------------------------- */

static struct slice row_key(const struct row *r)
{
	return slice_make(r->bytes, r->key_n);
}

static struct slice row_value(const struct row *r)
{
	return slice_make(r->bytes + r->key_n, r->value_n);
}

static struct part *part_find(struct mem *m, struct kv_part name, bool make)
{
	unsigned char enc[KV_PART_SIZE];
	struct part *p;

	part_encode(name, enc);
	p = table_get(&m->parts, slice_make((char *)enc, sizeof(enc)));
	if (p || !make) {
		return p;
	}
	p = xcalloc(1, sizeof(*p));
	memcpy(p->name, enc, sizeof(enc));
	if (table_put(&m->parts, slice_make((char *)p->name, sizeof(enc)), p, NULL) < 0) {
		BUG("out of memory");
	}
	return p;
}

/* Index of the first row with key >= key. */
static size_t lower(const struct part *p, struct slice key)
{
	size_t lo = 0;
	size_t hi = p->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (slice_cmp(row_key(p->rows[mid]), key) < 0) {
			lo = mid + 1;
		} else {
			hi = mid;
		}
	}
	return lo;
}

static bool at_key(const struct part *p, size_t i, struct slice key)
{
	return i < p->n && slice_eq(row_key(p->rows[i]), key);
}

static void cut_rows(struct part *p, size_t from, size_t to)
{
	if (from == to) {
		return;
	}
	for (size_t i = from; i < to; i++) {
		free(p->rows[i]);
	}
	if (to > from) {
		memmove(p->rows + from, p->rows + to, (p->n - to) * sizeof(*p->rows));
		p->n -= to - from;
	}
}

static void put_row(struct part *p, struct slice key, struct slice value)
{
	size_t i = lower(p, key);
	struct row *r = xmalloc(sizeof(*r) + key.n + value.n);

	r->key_n = key.n;
	r->value_n = value.n;
	memcpy(r->bytes, key.p, key.n);
	if (value.n) {
		memcpy(r->bytes + key.n, value.p, value.n);
	}
	if (at_key(p, i, key)) {
		free(p->rows[i]);
		p->rows[i] = r;
		return;
	}
	if (p->n == p->cap) {
		p->cap = p->cap ? p->cap * 2 : 16;
		p->rows = realloc(p->rows, p->cap * sizeof(*p->rows));
		if (!p->rows) {
			BUG("out of memory");
		}
	}
	memmove(p->rows + i + 1, p->rows + i, (p->n - i) * sizeof(*p->rows));
	p->rows[i] = r;
	p->n++;
}

static void del_range(struct part *p, struct slice from, struct slice to)
{
	size_t lo = lower(p, from);
	size_t hi = to.n ? lower(p, to) : p->n;

	if (hi > lo) {
		cut_rows(p, lo, hi);
	}
}

static int mem_get(struct kv *kv, struct kv_part part, struct slice key, struct buf *value_out)
{
	struct mem *m = mem_of(kv);
	struct part *p;
	int r = KV_NOTFOUND;

	pthread_mutex_lock(&m->lock);
	p = part_find(m, part, false);
	if (p) {
		size_t i = lower(p, key);

		if (at_key(p, i, key)) {
			buf_add(value_out, row_value(p->rows[i]));
			r = value_out->err;
		}
	}
	pthread_mutex_unlock(&m->lock);
	return r;
}

static int mem_scan(struct kv *kv, struct kv_part part, struct slice from, struct slice to,
		    kv_row_fn *fn, void *arg)
{
	struct mem *m = mem_of(kv);
	struct part *p;
	int r = 0;

	pthread_mutex_lock(&m->lock);
	p = part_find(m, part, false);
	for (size_t i = p ? lower(p, from) : 0; p && i < p->n && r == 0; i++) {
		if (to.n && slice_cmp(row_key(p->rows[i]), to) >= 0) {
			break;
		}
		r = fn(arg, row_key(p->rows[i]), row_value(p->rows[i]));
	}
	pthread_mutex_unlock(&m->lock);
	return r;
}

static int mem_version(struct kv *kv, struct kv_part part, uint64_t *out)
{
	struct mem *m = mem_of(kv);
	struct part *p;

	pthread_mutex_lock(&m->lock);
	p = part_find(m, part, false);
	*out = p ? p->version : 0;
	pthread_mutex_unlock(&m->lock);
	return 0;
}

/* ---- blobs ---------------------------------------------------------------- */

static struct slice id_slice(const struct kv_blob_id *id)
{
	return slice_make((const char *)id->b, sizeof(id->b));
}

static void blob_drop_if_dead(struct mem *m, struct blob *b)
{
	if (b->refs || b->held) {
		return;
	}
	table_del(&m->blobs, id_slice(&b->id));
	buf_fini(&b->data);
	free(b);
}

static int mem_blob_new(struct kv *kv, struct slice meta, struct kv_blob_writer **out)
{
	struct mem *m = mem_of(kv);
	struct writer *w = xcalloc(1, sizeof(*w));
	struct blob *b = xcalloc(1, sizeof(*b));

	(void)meta; /* for salvage from a log, which this engine has not */
	pthread_mutex_lock(&m->lock);
	put64be(b->id.b + 8, ++m->next_blob);
	buf_init(&b->data, SIZE_MAX / 2);
	b->held = true;
	if (table_put(&m->blobs, id_slice(&b->id), b, NULL) < 0) {
		BUG("out of memory");
	}
	pthread_mutex_unlock(&m->lock);
	w->w.kv = kv;
	w->blob = b;
	*out = &w->w;
	return 0;
}

static int mem_blob_write(struct kv_blob_writer *w, struct slice data)
{
	struct blob *b = ((struct writer *)w)->blob;

	buf_add(&b->data, data);
	return b->data.err;
}

static int mem_blob_finish(struct kv_blob_writer *w, struct kv_blob_id *out)
{
	*out = ((struct writer *)w)->blob->id;
	return 0;
}

static void mem_blob_free(struct kv_blob_writer *w)
{
	struct mem *m = mem_of(w->kv);
	struct blob *b = ((struct writer *)w)->blob;

	pthread_mutex_lock(&m->lock);
	b->held = false;
	blob_drop_if_dead(m, b);
	pthread_mutex_unlock(&m->lock);
	free(w);
}

/* Only what a commit took over can be read. */
static struct blob *blob_find(struct mem *m, struct kv_blob_id id)
{
	struct blob *b = table_get(&m->blobs, id_slice(&id));

	return b && b->refs ? b : NULL;
}

static ssize_t mem_blob_read(struct kv *kv, struct kv_blob_id id, uint64_t off, char *p, size_t n)
{
	struct mem *m = mem_of(kv);
	struct blob *b;
	ssize_t got = -ENOENT;

	pthread_mutex_lock(&m->lock);
	b = blob_find(m, id);
	if (b) {
		got = 0;
		if (off < b->data.n) {
			n = MIN(n, b->data.n - (size_t)off);
			memcpy(p, b->data.p + off, n);
			got = (ssize_t)n;
		}
	}
	pthread_mutex_unlock(&m->lock);
	return got;
}

static int mem_blob_size(struct kv *kv, struct kv_blob_id id, uint64_t *out)
{
	struct mem *m = mem_of(kv);
	struct blob *b;

	pthread_mutex_lock(&m->lock);
	b = blob_find(m, id);
	if (b) {
		*out = b->data.n;
	}
	pthread_mutex_unlock(&m->lock);
	return b ? 0 : -ENOENT;
}

/* ---- commit --------------------------------------------------------------- */

static void apply_ref(struct mem *m, const struct batch_step *s)
{
	struct blob *b = table_get(&m->blobs, id_slice(&s->blob));

	if (!b) {
		return;
	}
	if (s->op == BATCH_REF) {
		b->refs++;
	} else if (b->refs) {
		b->refs--;
		blob_drop_if_dead(m, b);
	}
}

static void apply_batch(struct mem *m, const struct kv_batch *b)
{
	struct part *p = part_find(m, b->part, true);
	struct cur c = cur_init(buf_slice(&b->ops));
	struct batch_step s;
	size_t i;

	while (batch_next(&c, &s) > 0) {
		switch (s.op) {
		case BATCH_PUT:
			put_row(p, s.key, s.to);
			break;
		case BATCH_DEL:
			i = lower(p, s.key);
			if (at_key(p, i, s.key)) {
				cut_rows(p, i, i + 1);
			}
			break;
		case BATCH_DEL_RANGE:
			del_range(p, s.key, s.to);
			break;
		case BATCH_REF:
		case BATCH_UNREF:
			apply_ref(m, &s);
			break;
		}
	}
	p->version = m->version;
}

static bool as_expected(struct mem *m, const struct kv_batch *b)
{
	struct part *p = part_find(m, b->part, false);

	return !b->has_expect || b->expect == (p ? p->version : 0);
}

static int mem_commit(struct kv *kv, struct kv_batch *const *batches, size_t n, size_t bytes)
{
	struct mem *m = mem_of(kv);
	int r = KV_OK;

	(void)bytes;
	pthread_mutex_lock(&m->lock);
	for (size_t i = 0; i < n && r == KV_OK; i++) {
		r = as_expected(m, batches[i]) ? KV_OK : KV_CONFLICT;
	}
	if (r == KV_OK) {
		m->version++;
		m->commits++;
		for (size_t i = 0; i < n; i++) {
			apply_batch(m, batches[i]);
		}
	}
	pthread_mutex_unlock(&m->lock);
	return r;
}

/* ---- the rest --------------------------------------------------------------- */

static int mem_sync(struct kv *kv)
{
	(void)kv;
	return 0;
}

static int mem_snapshot(struct kv *kv, struct err *e)
{
	(void)kv;
	(void)e;
	return 0;
}

static int mem_verify(struct kv *kv, void (*found)(void *arg, const char *text), void *arg)
{
	struct mem *m = mem_of(kv);
	struct blob *b;
	size_t it = 0;
	int bad = 0;

	pthread_mutex_lock(&m->lock);
	while ((b = table_next(&m->blobs, &it))) {
		if (b->refs == 0 && !b->held) {
			found(arg, "a blob without references is still kept");
			bad++;
		}
	}
	pthread_mutex_unlock(&m->lock);
	return bad;
}

static void mem_stats(struct kv *kv, struct kv_stats *out)
{
	struct mem *m = mem_of(kv);
	struct blob *b;
	size_t it = 0;

	pthread_mutex_lock(&m->lock);
	out->commits = m->commits;
	while ((b = table_next(&m->blobs, &it))) {
		out->blobs += b->refs > 0;
		out->live_bytes += b->data.n;
	}
	pthread_mutex_unlock(&m->lock);
}

static bool mem_is_full(struct kv *kv)
{
	(void)kv;
	return false;
}

static void mem_close(struct kv *kv)
{
	struct mem *m = mem_of(kv);
	struct part *p;
	struct blob *b;
	size_t it = 0;

	while ((p = table_next(&m->parts, &it))) {
		cut_rows(p, 0, p->n);
		free(p->rows);
		free(p);
	}
	it = 0;
	while ((b = table_next(&m->blobs, &it))) {
		buf_fini(&b->data);
		free(b);
	}
	table_fini(&m->parts);
	table_fini(&m->blobs);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

static const struct kv_ops mem_ops = {
	.close = mem_close,
	.get = mem_get,
	.scan = mem_scan,
	.version = mem_version,
	.commit = mem_commit,
	.sync = mem_sync,
	.blob_new = mem_blob_new,
	.blob_write = mem_blob_write,
	.blob_finish = mem_blob_finish,
	.blob_free = mem_blob_free,
	.blob_read = mem_blob_read,
	.blob_size = mem_blob_size,
	.snapshot = mem_snapshot,
	.verify = mem_verify,
	.stats = mem_stats,
	.is_full = mem_is_full,
};

int kv_mem_open(struct kv **out)
{
	struct mem *m = calloc(1, sizeof(*m));

	if (!m) {
		return -ENOMEM;
	}
	m->kv.ops = &mem_ops;
	pthread_mutex_init(&m->lock, NULL);
	table_init(&m->parts);
	table_init(&m->blobs);
	*out = &m->kv;
	return 0;
}
