/*
 * kv_verify: reads everything and says what does not fit.
 *
 * Every chunk of every blob is read and checked; references, the database
 * "zero" and the live bytes of the segments must agree with what is there;
 * the part of the log that a rebuild would need must be whole. It runs beside
 * the engine's work: what seems wrong is looked at again before it is
 * reported, and counts are compared only if nothing was applied meanwhile.
 */
#include <stdio.h>
#include <stdlib.h>

#include "kv/local.h"

#define PAGE_ROWS 64

struct entry {
	struct kv_blob_id id;
	struct blob_row row;
};

struct verify {
	struct local *l;
	void (*found)(void *arg, const char *text);
	void *arg;
	int problems;
	struct buf raw;
	struct table live; /* segment -> bytes found, as pointers */
};

static void problem(struct verify *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void problem(struct verify *v, const char *fmt, ...)
{
	char text[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	v->found(v->arg, text);
	v->problems++;
}

static unsigned long long hi(struct kv_blob_id id)
{
	return get64be(id.b);
}

static unsigned long long lo(struct kv_blob_id id)
{
	return get64be(id.b + 8);
}

static int look_up(struct verify *v, struct kv_blob_id id, uint32_t chunk, struct blob_row *row,
		   struct loc *loc)
{
	struct index *x = &v->l->idx;
	MDB_txn *t;
	int r = index_read(x, &t);

	if (r < 0) {
		return r;
	}
	r = index_get_blob(x, t, id, row);
	if (r == 0) {
		r = index_get_loc(x, t, id, chunk, row, loc);
	}
	index_read_end(x, t);
	return r;
}

static void add_live(struct verify *v, struct loc loc)
{
	uintptr_t have = (uintptr_t)table_get_u64(&v->live, loc.at.seg);

	table_put_u64(&v->live, loc.at.seg, (void *)(have + loc.len), NULL);
}

static bool chunk_fits(const struct entry *e, uint32_t i, const struct chunk *c)
{
	bool last = i + 1 == e->row.chunks;

	return memcmp(&c->id, &e->id, sizeof(c->id)) == 0 && c->index == i &&
	       !!(c->flags & CHUNK_LAST) == (last && e->row.whole) &&
	       (last || c->raw == CHUNK_RAW) && (!last || !e->row.whole || c->size == e->row.size);
}

/* 0 fine or gone meanwhile. */
static int check_chunk(struct verify *v, struct entry *e, uint32_t i)
{
	struct loc loc = { { 0, 0 }, 0 };
	struct loc again;
	struct chunk c;
	struct rec rec;
	int r = look_up(v, e->id, i, &e->row, &loc);

	if (r == KV_NOTFOUND) {
		r = look_up(v, e->id, 0, &e->row, &again);
		if (r == 0) {
			problem(v, "blob %llx-%llx: chunk %u is not in the index", hi(e->id),
				lo(e->id), i);
		}
		return r < 0 ? r : 0;
	}
	while (r == 0) {
		r = chunk_read(v->l, loc, false, &v->raw, &rec, &c);
		if (r == 0 && chunk_fits(e, i, &c)) {
			add_live(v, loc);
			return 0;
		}
		r = look_up(v, e->id, i, &e->row, &again);
		if (r == 0 && pos_cmp(again.at, loc.at) == 0) {
			problem(v,
				"blob %llx-%llx: chunk %u in segment %llx at %u "
				"is damaged",
				hi(e->id), lo(e->id), i, (unsigned long long)loc.at.seg,
				loc.at.off);
			add_live(v, loc);
			return 0;
		}
		loc = again;
	}
	return r < 0 ? r : 0;
}

static int check_refs(struct verify *v, const struct entry *e)
{
	struct index *x = &v->l->idx;
	struct slice id = blob_id_slice(&e->id);
	MDB_val k = { id.n, (void *)(uintptr_t)id.p };
	MDB_val val;
	struct blob_row row;
	MDB_txn *t;
	int r = index_read(x, &t);
	int z;

	if (r < 0) {
		return r;
	}
	r = index_get_blob(x, t, e->id, &row);
	z = mdb_get(t, x->zero, &k, &val);
	index_read_end(x, t);
	if (r != 0) {
		return r < 0 ? r : 0;
	}
	if ((row.refs == 0) != (z == 0)) {
		problem(v,
			"blob %llx-%llx: %llu references, but %slisted as "
			"without",
			hi(e->id), lo(e->id), (unsigned long long)row.refs, z == 0 ? "" : "not ");
	}
	if (row.refs && !row.whole) {
		problem(v, "blob %llx-%llx: referred to, but not whole", hi(e->id), lo(e->id));
	}
	return 0;
}

/* Up to PAGE_ROWS blobs behind *after. Count or <0. */
static int next_page(struct verify *v, const struct kv_blob_id *after, bool first,
		     struct entry out[PAGE_ROWS])
{
	struct index *x = &v->l->idx;
	MDB_val k = { sizeof(after->b), (void *)(uintptr_t)after->b };
	MDB_val val;
	MDB_cursor *c = NULL;
	MDB_txn *t;
	int n = 0;
	int r = index_read(x, &t);

	if (r < 0) {
		return r;
	}
	r = mdb_cursor_open(t, x->blobs, &c);
	if (r == 0) {
		r = mdb_cursor_get(c, &k, &val, first ? MDB_FIRST : MDB_SET_RANGE);
	}
	while (r == 0 && n < PAGE_ROWS) {
		struct slice row = slice_make(val.mv_data, val.mv_size);

		if (k.mv_size != 16 || blob_row_decode(row, &out[n].row) < 0) {
			r = EIO;
			break;
		}
		memcpy(out[n].id.b, k.mv_data, 16);
		if (first || memcmp(&out[n].id, after, sizeof(*after)) != 0) {
			n++;
		}
		r = mdb_cursor_get(c, &k, &val, MDB_NEXT);
	}
	if (c) {
		mdb_cursor_close(c);
	}
	index_read_end(x, t);
	return r == 0 || r == MDB_NOTFOUND ? n : index_err(r);
}

static int check_blobs(struct verify *v)
{
	struct entry *page = calloc(PAGE_ROWS, sizeof(*page));
	struct kv_blob_id after = { { 0 } };
	bool first = true;
	int r = page ? 0 : -ENOMEM;

	while (r == 0) {
		int n = next_page(v, &after, first, page);

		if (n <= 0) {
			r = n;
			break;
		}
		for (int i = 0; i < n && r == 0; i++) {
			r = check_refs(v, &page[i]);
			for (uint32_t j = 0; r == 0 && j < page[i].row.chunks; j++) {
				r = check_chunk(v, &page[i], j);
			}
		}
		after = page[n - 1].id;
		first = false;
	}
	free(page);
	return r;
}

static void check_live(struct verify *v)
{
	struct log *g = &v->l->log;

	pthread_mutex_lock(&g->lock);
	for (size_t i = 0; i < g->n; i++) {
		struct segment *s = g->seg[i];
		uintptr_t have = (uintptr_t)table_get_u64(&v->live, s->no);

		if (s->live != (int64_t)have) {
			problem(v,
				"segment %llx: %lld bytes are counted as live, "
				"%llu are",
				(unsigned long long)s->no, (long long)s->live,
				(unsigned long long)have);
		}
	}
	pthread_mutex_unlock(&g->lock);
}

/* The records a rebuild would replay. */
static void check_log(struct verify *v, struct pos from, struct pos to)
{
	uint64_t expect = 0;

	if (from.seg == 0) {
		from = (struct pos){ log_next(&v->l->log, 0), SEG_HEAD };
	}
	while (from.seg && pos_cmp(from, to) < 0) {
		struct segment *s = log_get(&v->l->log, from.seg);
		uint32_t end = s ? s->end : 0;
		struct log_reader rd;
		struct slice payload;
		struct rec rec;
		int r;

		log_put(&v->l->log, s);
		if (from.seg == to.seg) {
			end = to.off;
		}
		r = reader_open(&rd, &v->l->log, from, end);
		while (r == 0 && (r = reader_next(&rd, true, &rec, &payload)) > 0) {
			if (expect && rec.seq != expect) {
				problem(v, "segment %llx at %u: records are missing",
					(unsigned long long)from.seg, rd.off);
			}
			expect = rec.seq + 1;
			r = 0;
		}
		if (r < 0 || rd.off < end) {
			problem(v, "segment %llx at %u: a record is damaged",
				(unsigned long long)from.seg, rd.off);
		}
		reader_close(&rd);
		from = (struct pos){ log_next(&v->l->log, from.seg), SEG_HEAD };
	}
}

static int verify_body(void *arg)
{
	struct verify *v = arg;
	struct local *l = v->l;
	struct pos from;
	struct pos to;
	uint64_t seq;
	bool quiet;
	int r;

	pthread_mutex_lock(&l->lock);
	to = l->durable_pos;
	seq = l->applied.seq;
	pthread_mutex_unlock(&l->lock);
	r = check_blobs(v);
	pthread_mutex_lock(&l->lock);
	quiet = seq == l->applied.seq;
	pthread_mutex_unlock(&l->lock);
	if (r == 0 && quiet) {
		check_live(v);
	}
	if (r == 0) {
		/* No new snapshot, so no segment of this part goes. */
		pthread_mutex_lock(&l->snap_lock);
		from = l->snap_pos;
		check_log(v, from, to);
		pthread_mutex_unlock(&l->snap_lock);
	}
	return r < 0 ? r : v->problems;
}

int local_verify(struct kv *kv, void (*found)(void *arg, const char *text), void *arg)
{
	struct verify v = { .l = local_of(kv),
			    .found = found,
			    .arg = arg,
			    .raw = BUF_INIT(rec_size(REC_PAYLOAD_MAX)) };
	int r = kv_sync(kv);

	table_init(&v.live);
	if (r == 0) {
		r = co_offload(verify_body, &v);
	}
	table_fini(&v.live);
	buf_fini(&v.raw);
	return r;
}
