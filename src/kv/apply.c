/*
 * The applier: carries durable records from the log into LMDB.
 *
 * It reads the log itself, so that ordinary running and replay at start are
 * the same code. Each LMDB transaction holds a run of records, the position
 * behind them and the live bytes of the segments they touch, and is synced
 * by LMDB. On an error the transaction is dropped and the same run is tried
 * again: nothing is ever skipped. A full disk is waited out (after giving up
 * the ballast file); any other error of LMDB ends the applier and poisons the
 * engine, and the next start rebuilds.
 *
 * A blob whose count falls to zero goes at once, unless its writer still
 * holds it: then it stands in the database "zero" until the writer lets go
 * (a release, ordered behind its records) or the next start sweeps.
 */
#include <stdlib.h>
#include <sys/statvfs.h>

#include "kv/fault.h"
#include "kv/local.h"

/* One transaction's worth. */
#define RUN_RECORDS 4096
#define RUN_BYTES (8u * 1024 * 1024)
#define RETRY_MS 100
#define STUCK_ANSWER_MS 2000
#define PUNCH_MIN (64u * 1024)
/* LMDB writes at most 64 pages at once; with less room a write falls short. */
#define WRITE_ROOM (64u * 4096)

struct delta {
	uint64_t seg;
	int64_t live;
};

/* A transaction under way. */
struct run {
	struct local *l;
	MDB_txn *txn;
	struct index_pos at;
	bool replay; /* at start: no writers, zero blobs wait for the sweep */
	struct delta *delta;
	size_t delta_n;
	size_t delta_cap;
	struct kv_blob_id *fallen; /* to zero in this run */
	size_t fallen_n;
	size_t fallen_cap;
	struct dead_chunk *dead;
	size_t dead_n;
	size_t dead_cap;
	struct list released; /* requests taken from l->releases */
};

/* Room for one more in a growing array of elements of `size`. */
static int grow_array(void **p, size_t n, size_t *cap, size_t size)
{
	size_t more = *cap ? *cap * 2 : 16;
	void *q;

	if (n < *cap) {
		return 0;
	}
	q = realloc(*p, more * size);
	if (!q) {
		return -ENOMEM;
	}
	*p = q;
	*cap = more;
	return 0;
}

static int add_live(struct run *u, uint64_t seg, int64_t live)
{
	size_t i = u->delta_n;
	int r;

	while (i && u->delta[i - 1].seg != seg) {
		i--;
	}
	if (i) {
		u->delta[i - 1].live += live;
		return 0;
	}
	r = grow_array((void **)&u->delta, u->delta_n, &u->delta_cap, sizeof(*u->delta));
	if (r == 0) {
		u->delta[u->delta_n++] = (struct delta){ seg, live };
	}
	return r;
}

/* ---- blobs -------------------------------------------------------------------- */

static int note_dead(struct run *u, struct loc loc)
{
	int r = add_live(u, loc.at.seg, -(int64_t)loc.len);

	if (r == 0 && loc.len >= PUNCH_MIN && !u->replay) {
		r = grow_array((void **)&u->dead, u->dead_n, &u->dead_cap, sizeof(*u->dead));
		if (r == 0) {
			u->dead[u->dead_n++] = (struct dead_chunk){ loc };
		}
	}
	return r;
}

static int delete_blob(struct run *u, struct kv_blob_id id, const struct blob_row *row)
{
	struct index *x = &u->l->idx;
	int r = 0;

	for (uint32_t i = 0; i < row->chunks && r == 0; i++) {
		unsigned char key[20];
		struct loc loc;

		r = index_get_loc(x, u->txn, id, i, row, &loc);
		if (r == 0) {
			r = note_dead(u, loc);
		}
		if (r == 0 && i) {
			memcpy(key, id.b, 16);
			key[16] = (unsigned char)(i >> 24);
			key[17] = (unsigned char)(i >> 16);
			key[18] = (unsigned char)(i >> 8);
			key[19] = (unsigned char)i;
			r = index_del(u->txn, x->chunks, slice_make((char *)key, sizeof(key)));
		}
	}
	if (r == 0) {
		r = index_del(u->txn, x->blobs, blob_id_slice(&id));
	}
	if (r == 0) {
		r = index_del(u->txn, x->zero, blob_id_slice(&id));
	}
	return r > 0 ? -EIO : r;
}

/* Deletes the blob if nothing refers to it. */
static int drop_if_zero(struct run *u, struct kv_blob_id id)
{
	struct blob_row row;
	int r = index_get_blob(&u->l->idx, u->txn, id, &row);

	if (r != 0) {
		return r < 0 ? r : 0;
	}
	return row.refs ? 0 : delete_blob(u, id, &row);
}

static bool is_held(struct local *l, struct kv_blob_id id)
{
	bool held;

	pthread_mutex_lock(&l->lock);
	held = table_get(&l->held, blob_id_slice(&id)) != NULL;
	pthread_mutex_unlock(&l->lock);
	return held;
}

static int apply_ref(struct run *u, const struct batch_step *s)
{
	struct index *x = &u->l->idx;
	struct blob_row row;
	int r = index_get_blob(x, u->txn, s->blob, &row);

	if (r != 0) {
		/* A reference to nothing: verify will say so, by the rows. */
		return r < 0 ? r : 0;
	}
	if (s->op == BATCH_REF) {
		if (row.refs++ == 0) {
			r = index_del(u->txn, x->zero, blob_id_slice(&s->blob));
		}
	} else if (row.refs && --row.refs == 0) {
		r = index_put(u->txn, x->zero, blob_id_slice(&s->blob), S(""));
		if (r == 0) {
			r = grow_array((void **)&u->fallen, u->fallen_n, &u->fallen_cap,
				       sizeof(*u->fallen));
		}
		if (r == 0) {
			u->fallen[u->fallen_n++] = s->blob;
		}
	}
	return r ? r : index_put_blob(x, u->txn, s->blob, &row);
}

static int apply_new_chunk(struct run *u, const struct chunk *c, struct loc loc)
{
	struct index *x = &u->l->idx;
	struct blob_row row = { 0 };
	int r = index_get_blob(x, u->txn, c->id, &row);

	if (r < 0 || (r == KV_NOTFOUND) != (c->index == 0) || row.chunks != c->index || row.whole) {
		return r < 0 ? r : -EIO;
	}
	if (c->index == 0) {
		row.first = loc;
		r = index_put(u->txn, x->zero, blob_id_slice(&c->id), S(""));
	} else {
		r = index_put_loc(x, u->txn, c->id, c->index, loc);
	}
	row.chunks++;
	if (c->flags & CHUNK_LAST) {
		row.whole = true;
		row.size = c->size;
	}
	if (r == 0) {
		r = index_put_blob(x, u->txn, c->id, &row);
	}
	return r ? r : add_live(u, loc.at.seg, loc.len);
}

/* The keeper wrote it again: it counts if the old place is still the one. */
static int apply_moved_chunk(struct run *u, const struct chunk *c, struct loc loc)
{
	struct index *x = &u->l->idx;
	struct blob_row row;
	struct loc old;
	int r = index_get_blob(x, u->txn, c->id, &row);

	if (r == 0) {
		r = index_get_loc(x, u->txn, c->id, c->index, &row, &old);
	}
	if (r != 0 || pos_cmp(old.at, c->old) != 0) {
		return r < 0 ? r : 0;
	}
	if (c->index == 0) {
		row.first = loc;
		r = index_put_blob(x, u->txn, c->id, &row);
	} else {
		r = index_put_loc(x, u->txn, c->id, c->index, loc);
	}
	if (r == 0) {
		r = add_live(u, old.at.seg, -(int64_t)old.len);
	}
	return r ? r : add_live(u, loc.at.seg, loc.len);
}

static int apply_chunk(struct run *u, struct slice payload, struct pos at, uint32_t len)
{
	struct loc loc = { at, rec_size(len) };
	struct chunk c;

	if (chunk_decode(payload, false, &c) < 0) {
		return -EIO;
	}
	return c.flags & CHUNK_MOVED ? apply_moved_chunk(u, &c, loc) : apply_new_chunk(u, &c, loc);
}

/* ---- rows ----------------------------------------------------------------------- */

static int del_range(struct run *u, struct kv_part part, const struct batch_step *s)
{
	unsigned char from[INDEX_KEY_MAX];
	unsigned char to[INDEX_KEY_MAX];
	struct slice key = index_key(from, part, s->key);
	struct slice end = index_key(to, part, s->to);
	struct slice name = slice_sub(key, 0, KV_PART_SIZE);
	MDB_val k = { key.n, from };
	MDB_val v;
	MDB_cursor *c;
	int r = mdb_cursor_open(u->txn, u->l->idx.rows, &c);

	if (r) {
		return index_err(r);
	}
	r = mdb_cursor_get(c, &k, &v, MDB_SET_RANGE);
	while (r == 0) {
		struct slice at = slice_make(k.mv_data, k.mv_size);

		if (!slice_starts(at, name) || (s->to.n && slice_cmp(at, end) >= 0)) {
			break;
		}
		r = mdb_cursor_del(c, 0);
		if (r == 0) {
			k = (MDB_val){ key.n, from };
			r = mdb_cursor_get(c, &k, &v, MDB_SET_RANGE);
		}
	}
	mdb_cursor_close(c);
	return r == MDB_NOTFOUND ? 0 : index_err(r);
}

static int apply_step(struct run *u, struct kv_part part, const struct batch_step *s)
{
	unsigned char k[INDEX_KEY_MAX];
	struct index *x = &u->l->idx;

	switch (s->op) {
	case BATCH_PUT:
		return index_put(u->txn, x->rows, index_key(k, part, s->key), s->to);
	case BATCH_DEL:
		return index_del(u->txn, x->rows, index_key(k, part, s->key));
	case BATCH_DEL_RANGE:
		return del_range(u, part, s);
	case BATCH_REF:
	case BATCH_UNREF:
		return apply_ref(u, s);
	}
	return -EIO;
}

static int apply_batches(struct run *u, struct slice payload, uint64_t seq)
{
	struct cur c = cur_init(payload);
	struct batch_step s;
	struct kv_part part;
	struct slice ops;
	int r;

	while ((r = batches_next(&c, &part, &ops)) > 0) {
		struct cur o = cur_init(ops);

		while ((r = batch_next(&o, &s)) > 0) {
			r = apply_step(u, part, &s);
			if (r < 0) {
				return r;
			}
		}
		if (r == 0) {
			r = index_put_version(&u->l->idx, u->txn, part, seq);
		}
		if (r < 0) {
			return r == -EINVAL ? -EIO : r;
		}
	}
	return r == -EINVAL ? -EIO : r;
}

/* ---- a run ------------------------------------------------------------------------ */

static int apply_record(struct run *u, const struct rec *rec, struct slice payload, struct pos at)
{
	if (rec->seq != u->at.seq + 1) {
		return -EIO;
	}
	if (rec->version > REC_VERSION) {
		return -EPROTO;
	}
	switch (rec->type) {
	case REC_BATCHES:
		return apply_batches(u, payload, rec->seq);
	case REC_CHUNK:
		return apply_chunk(u, payload, at, rec->len);
	default:
		return -EPROTO;
	}
}

static int read_err(int r)
{
	return r == -EINVAL || r == -EBADMSG || r == -ENOENT ? -EIO : r;
}

/* Applies records of one segment up to limit; 1 when the run is long enough,
 * 0 at the limit. */
static int apply_segment(struct run *u, uint32_t limit, size_t *records)
{
	struct log_reader rd;
	size_t bytes = 0;
	int r = reader_open(&rd, &u->l->log, u->at.at, limit);

	if (r < 0) {
		return read_err(r);
	}
	for (;;) {
		struct pos at = { u->at.at.seg, rd.off };
		struct slice payload;
		struct rec rec;

		r = reader_next(&rd, false, &rec, &payload);
		if (r <= 0) {
			/* Up to the limit all was checked or just written. */
			r = r == 0 && rd.off < limit ? -EIO : read_err(r);
			break;
		}
		r = apply_record(u, &rec, payload, at);
		if (r < 0) {
			break;
		}
		u->at.seq = rec.seq;
		u->at.at.off = rd.off;
		bytes += payload.n;
		if (++*records >= RUN_RECORDS || bytes >= RUN_BYTES) {
			r = 1;
			break;
		}
	}
	reader_close(&rd);
	return r;
}

/* End of what is applicable in this segment. */
static int segment_limit(struct local *l, uint64_t no, struct pos end, uint32_t *out)
{
	struct segment *s;

	if (no == end.seg) {
		*out = end.off;
		return 0;
	}
	s = log_get(&l->log, no);
	if (!s) {
		return -EIO;
	}
	*out = __atomic_load_n(&s->end, __ATOMIC_ACQUIRE);
	log_put(&l->log, s);
	return 0;
}

static int apply_up_to(struct run *u, struct pos end)
{
	size_t records = 0;
	uint32_t limit;
	int r = 0;

	if (u->at.at.seg == 0) {
		u->at.at = (struct pos){ log_next(&u->l->log, 0), SEG_HEAD };
	}
	while (r == 0 && pos_cmp(u->at.at, end) < 0) {
		r = segment_limit(u->l, u->at.at.seg, end, &limit);
		if (r == 0 && u->at.at.off < limit) {
			r = apply_segment(u, limit, &records);
		}
		if (r == 0 && u->at.at.seg < end.seg) {
			u->at.at.seg = log_next(&u->l->log, u->at.at.seg);
			u->at.at.off = SEG_HEAD;
		}
	}
	return r < 0 ? r : 0;
}

static int put_deltas(struct run *u)
{
	int r = 0;

	for (size_t i = 0; i < u->delta_n && r == 0; i++) {
		struct delta *d = &u->delta[i];
		int64_t live;

		r = index_get_live(&u->l->idx, u->txn, d->seg, &live);
		if (r == 0) {
			d->live += live;
			r = index_put_live(&u->l->idx, u->txn, d->seg, d->live);
		}
	}
	return r;
}

static int drop_fallen(struct run *u)
{
	int r = 0;

	for (size_t i = 0; i < u->fallen_n && r == 0; i++) {
		if (!is_held(u->l, u->fallen[i])) {
			r = drop_if_zero(u, u->fallen[i]);
		}
	}
	return r;
}

/* Blobs whose writers have let go and whose records are all applied. */
static int drop_released(struct run *u)
{
	struct local *l = u->l;
	int r = 0;

	pthread_mutex_lock(&l->lock);
	list_each_safe(n, &l->releases) {
		if (list_of(n, struct req, node)->seq > u->at.seq) {
			break;
		}
		list_del(n);
		list_push(&u->released, n);
	}
	pthread_mutex_unlock(&l->lock);
	list_each(n, &u->released) {
		r = drop_if_zero(u, list_of(n, struct req, node)->writer->id);
		if (r < 0) {
			break;
		}
	}
	return r;
}

/* Frees what the run holds; releases that were not carried out go back to
 * where they were. */
static void run_fini(struct run *u)
{
	if (u->txn) {
		mdb_txn_abort(u->txn);
	}
	pthread_mutex_lock(&u->l->lock);
	while (!list_empty(&u->released)) {
		struct list *n = u->released.prev;

		list_del(n);
		list_push(u->l->releases.next, n);
	}
	pthread_mutex_unlock(&u->l->lock);
	free(u->delta);
	free(u->fallen);
	free(u->dead);
}

/* LMDB reports a short write as EIO. On a disk that is full to the last block
 * it is the disk's fullness, and nothing in use has been written over. */
static int or_no_room(const struct local *l, int r)
{
	struct statvfs v;

	if (r != -EIO || statvfs(l->dir, &v) < 0) {
		return r;
	}
	return (uint64_t)v.f_bavail * v.f_frsize < WRITE_ROOM ? -ENOSPC : r;
}

static int commit_txn(struct run *u)
{
	int r = -fault_check("mdb_commit");

	if (r == 0) {
		fault_point("apply.before_commit");
		r = index_err(mdb_txn_commit(u->txn));
		u->txn = NULL; /* also after an error */
		fault_point("apply.after_commit");
	}
	return r;
}

/* ---- after a commit: what others see ------------------------------------------------ */

static void forget_dirty(struct local *l)
{
	while (!list_empty(&l->dirty_order)) {
		struct dirty *d = list_of(l->dirty_order.next, struct dirty, order);

		if (d->newest > l->applied.seq) {
			break;
		}
		list_del(&d->order);
		table_del(&l->dirty, slice_make((char *)d->name, KV_PART_SIZE));
		free(d);
	}
}

/* result < 0: all waiters, none of whom will see their record. */
static void wake_waiters(struct local *l, int result)
{
	list_each_safe(n, &l->apply_waiters) {
		struct waiter *w = list_of(n, struct waiter, node);

		if (result == 0 && w->seq > l->applied.seq) {
			continue;
		}
		list_del(n);
		w->result = result;
		co_signal_fire(&w->done);
	}
}

/* Their blobs are settled: the writers are nobody's any more. */
static void free_released(struct local *l, struct run *u)
{
	struct list *n;

	while ((n = list_pop(&u->released))) {
		struct writer *w = list_of(n, struct req, node)->writer;

		list_del(&w->lost_node);
		table_del(&l->held, blob_id_slice(&w->id));
		writer_destroy(w);
	}
}

static void publish(struct local *l, struct run *u)
{
	for (size_t i = 0; i < u->delta_n; i++) {
		log_set_live(&l->log, u->delta[i].seg, u->delta[i].live);
	}
	pthread_mutex_lock(&l->lock);
	l->applied = u->at;
	l->stuck_since = 0;
	flag_set(&l->stuck, false);
	forget_dirty(l);
	free_released(l, u);
	wake_waiters(l, 0);
	for (size_t i = 0; i < u->dead_n && l->dead_n < DEAD_MAX; i++) {
		l->dead[l->dead_n++] = u->dead[i];
	}
	pthread_cond_signal(&l->work);
	pthread_mutex_unlock(&l->lock);
}

/* Applies one run up to `end`. 0 or <0, then nothing happened. */
static int apply_run(struct local *l, struct pos end, bool replay)
{
	struct run u = { .l = l, .at = l->applied, .replay = replay };
	int r;

	list_init(&u.released);
	r = index_err(mdb_txn_begin(l->idx.env, NULL, 0, &u.txn));
	if (r == 0) {
		r = apply_up_to(&u, end);
	}
	if (r == 0 && !replay) {
		r = drop_fallen(&u);
	}
	if (r == 0) {
		r = drop_released(&u);
	}
	if (r == 0) {
		r = put_deltas(&u);
	}
	if (r == 0) {
		r = index_put_pos(&l->idx, u.txn, u.at);
	}
	if (r == 0) {
		r = commit_txn(&u);
	}
	if (r == 0) {
		publish(l, &u);
	}
	run_fini(&u);
	return or_no_room(l, r > 0 ? -EIO : r);
}

/* ---- start --------------------------------------------------------------------------- */

/* At start nobody holds anything: every blob in "zero" goes. */
static int sweep(struct local *l)
{
	struct run u = { .l = l, .at = l->applied, .replay = true };
	MDB_cursor *c = NULL;
	MDB_val k;
	MDB_val v;
	int r;

	list_init(&u.released);
	r = index_err(mdb_txn_begin(l->idx.env, NULL, 0, &u.txn));
	if (r == 0) {
		r = index_err(mdb_cursor_open(u.txn, l->idx.zero, &c));
	}
	while (r == 0) {
		struct kv_blob_id id;

		r = index_err(mdb_cursor_get(c, &k, &v, MDB_FIRST));
		if (r || k.mv_size != sizeof(id.b)) {
			r = r ? r : -EIO;
			break;
		}
		memcpy(id.b, k.mv_data, sizeof(id.b));
		r = index_del(u.txn, l->idx.zero, blob_id_slice(&id));
		if (r == 0) {
			r = drop_if_zero(&u, id);
		}
	}
	if (c) {
		mdb_cursor_close(c);
	}
	if (r == KV_NOTFOUND) {
		r = put_deltas(&u);
	}
	if (r == 0) {
		r = commit_txn(&u);
	}
	if (r == 0) {
		publish(l, &u);
	}
	run_fini(&u);
	return r;
}

int apply_all(struct local *l, struct err *e)
{
	int r = 0;

	while (r == 0 && l->applied.seq < l->durable_seq) {
		r = apply_run(l, l->durable_pos, true);
		if (is_no_room(r) && ballast_release(l)) {
			r = 0;
		}
	}
	fault_point("recover.applied");
	if (r == 0) {
		r = sweep(l);
		if (is_no_room(r) && ballast_release(l)) {
			r = sweep(l);
		}
	}
	if (r == -EPROTO) {
		return err_set(e, r,
			       "the log was written by a newer version of "
			       "Postrider; use that one",
			       "%s", l->dir);
	}
	if (r < 0) {
		return err_set(e, r, "cannot replay the log into the index", "%s", l->dir);
	}
	return 0;
}

/* ---- the thread ------------------------------------------------------------------------ */

int wait_applied(struct local *l, uint64_t seq)
{
	struct waiter w = { .seq = seq };

	pthread_mutex_lock(&l->lock);
	if (l->applied.seq >= seq || l->apply_dead) {
		int r = l->applied.seq >= seq ? 0 : l->apply_dead;

		pthread_mutex_unlock(&l->lock);
		return r;
	}
	co_signal_init(&w.done);
	list_push(&l->apply_waiters, &w.node);
	pthread_cond_signal(&l->apply);
	pthread_mutex_unlock(&l->lock);
	co_signal_wait(&w.done);
	return w.result;
}

static bool something_to_do(struct local *l)
{
	return l->applied.seq < l->durable_seq ||
	       (!list_empty(&l->releases) &&
		list_of(l->releases.next, struct req, node)->seq <= l->applied.seq);
}

/* Sleeps until there are records, then up to apply_ms more unless someone
 * waits. False at the end. */
static bool wait_for_records(struct local *l, struct pos *end)
{
	struct timespec t;
	bool more;

	pthread_mutex_lock(&l->lock);
	while (!something_to_do(l) && !l->committer_done) {
		t = in_ms(1000);
		pthread_cond_timedwait(&l->apply, &l->lock, &t);
	}
	t = in_ms(l->apply_ms);
	while (list_empty(&l->apply_waiters) && !l->committer_done &&
	       pthread_cond_timedwait(&l->apply, &l->lock, &t) == 0) {
	}
	*end = l->durable_pos;
	more = something_to_do(l);
	if (!more && !list_empty(&l->apply_waiters)) {
		wake_waiters(l, 0);
	}
	more = more || !l->committer_done;
	pthread_mutex_unlock(&l->lock);
	return more;
}

/* No room for LMDB: give up the ballast, then wait for room. False: the
 * engine is closing and cannot get further; the log has it all. */
static bool wait_for_room(struct local *l)
{
	struct timespec t = in_ms(RETRY_MS);
	bool go_on;

	pthread_mutex_lock(&l->lock);
	if (!l->stuck_since) {
		l->stuck_since = clock_mono();
	}
	if (ballast_release(l)) {
		pthread_mutex_unlock(&l->lock);
		return true;
	}
	flag_set(&l->stuck, true);
	pthread_cond_signal(&l->keep);
	if (clock_mono() - l->stuck_since > STUCK_ANSWER_MS * NSEC_PER_MSEC) {
		wake_waiters(l, -ENOSPC);
	}
	go_on = !l->committer_done;
	if (go_on) {
		pthread_cond_timedwait(&l->apply, &l->lock, &t);
	}
	pthread_mutex_unlock(&l->lock);
	return go_on;
}

static void die(struct local *l, int r)
{
	pthread_mutex_lock(&l->lock);
	poison(l);
	l->apply_dead = r;
	wake_waiters(l, r);
	pthread_mutex_unlock(&l->lock);
}

void *applier_main(void *arg)
{
	struct local *l = arg;
	struct pos end;
	int r = 0;

	while (r == 0 && wait_for_records(l, &end)) {
		r = apply_run(l, end, false);
		if (is_no_room(r) || r == -ENOMEM) {
			if (!wait_for_room(l)) {
				break;
			}
			r = 0;
		}
	}
	if (r < 0) {
		die(l, r);
	}
	pthread_mutex_lock(&l->lock);
	l->applier_done = true;
	wake_waiters(l, -ECANCELED);
	pthread_mutex_unlock(&l->lock);
	return NULL;
}
