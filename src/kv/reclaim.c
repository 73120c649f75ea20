/*
 * The keeper: a thread that looks after room.
 *
 * Once a second (at once when someone is out of room) it looks at the disk,
 * keeps spare and ballast, takes an index snapshot every few segments, gives
 * back what is dead: segments without a live chunk are removed, big dead
 * chunks are punched out, and segments less than half alive are rewritten, at
 * a limited rate, by appending their live chunks to the log again. A segment
 * is only touched when it lies wholly before both the last snapshot and the
 * applied position: its batches are then in the snapshot, and nothing reads
 * it in order any more. Moves are durable and applied before the segment
 * goes; readers keep the file they have open.
 */
#include <stdlib.h>

#include "kv/fault.h"
#include "kv/local.h"

#define TICK_MS 1000
#define TICK_FULL_MS 200
#define SNAPSHOT_EVERY 4 /* segments */
#define SMALL_MANY 8	 /* so many small ones are worth merging */
#define BLOCK 4096u

/* Sleeps; false when the engine closes. */
static bool keeper_sleep(struct local *l, int64_t ms)
{
	struct timespec t = in_ms(ms);
	bool go_on;

	pthread_mutex_lock(&l->lock);
	if (!l->keeper_stop) {
		pthread_cond_timedwait(&l->keep, &l->lock, &t);
	}
	go_on = !l->keeper_stop;
	pthread_mutex_unlock(&l->lock);
	return go_on;
}

static bool is_full(struct local *l)
{
	return flag_get(&l->below_floor) || flag_get(&l->no_spare) || flag_get(&l->stuck);
}

/* Segments before this number are the keeper's. */
static uint64_t free_before(struct local *l)
{
	uint64_t no;

	pthread_mutex_lock(&l->lock);
	no = MIN(l->snap_pos.seg, l->applied.at.seg);
	pthread_mutex_unlock(&l->lock);
	return no;
}

static void keep_snapshot(struct local *l)
{
	uint64_t behind;
	int r;

	pthread_mutex_lock(&l->lock);
	behind = l->applied.at.seg - l->snap_pos.seg;
	pthread_mutex_unlock(&l->lock);
	if (behind < (is_full(l) ? 1 : SNAPSHOT_EVERY) || flag_get(&l->stuck)) {
		return;
	}
	r = snapshot_take(l, NULL);
	if (is_no_room(r) && ballast_release(l)) {
		snapshot_take(l, NULL);
	}
}

/* ---- dead segments and chunks ------------------------------------------------------- */

/* Under log.lock: the first segment the keeper may have that `want` likes. */
static struct segment *pick(struct local *l, uint64_t before,
			    bool (*want)(struct local *, struct segment *))
{
	for (size_t i = 0; i < l->log.n; i++) {
		struct segment *s = l->log.seg[i];

		if (s->no < before && s != l->log.cur && s->sealed && want(l, s)) {
			return s;
		}
	}
	return NULL;
}

static bool is_dead(struct local *l, struct segment *s)
{
	(void)l;
	return s->live == 0;
}

static bool is_half_dead(struct local *l, struct segment *s)
{
	(void)l;
	return s->live > 0 && !s->suspect && (uint64_t)s->live * 2 < s->end;
}

static bool is_small(struct local *l, struct segment *s)
{
	return s->live > 0 && !s->suspect && s->end < l->segment_size / 8;
}

static uint64_t pick_no(struct local *l, bool (*want)(struct local *, struct segment *))
{
	uint64_t before = free_before(l);
	struct segment *s;
	uint64_t no;

	pthread_mutex_lock(&l->log.lock);
	s = pick(l, before, want);
	no = s ? s->no : 0;
	pthread_mutex_unlock(&l->log.lock);
	return no;
}

static void remove_dead(struct local *l)
{
	uint64_t no;

	while ((no = pick_no(l, is_dead))) {
		struct segment *s = log_get(&l->log, no);
		uint32_t size = s ? s->end : 0;

		log_put(&l->log, s);
		if (log_remove(&l->log, no) < 0) {
			break;
		}
		__atomic_add_fetch(&l->reclaimed, size, __ATOMIC_RELAXED);
	}
}

/* The blocks wholly inside a dead record's data; its heads stay readable. */
static void punch(struct local *l, struct loc loc)
{
	struct segment *s = log_get(&l->log, loc.at.seg);
	uint64_t from = loc.at.off + REC_HEAD + CHUNK_HEAD + KV_META_MAX;
	uint64_t to = (uint64_t)loc.at.off + loc.len;

	from = (from + BLOCK - 1) / BLOCK * BLOCK;
	to = to / BLOCK * BLOCK;
	if (s && to > from && log_punch(&l->log, s, from, to - from) == 0) {
		__atomic_add_fetch(&l->reclaimed, to - from, __ATOMIC_RELAXED);
	}
	log_put(&l->log, s);
}

static void punch_dead(struct local *l)
{
	uint64_t before = free_before(l);

	for (size_t i = 0;;) {
		struct loc loc;

		pthread_mutex_lock(&l->lock);
		while (i < l->dead_n && l->dead[i].loc.at.seg >= before) {
			i++;
		}
		if (i >= l->dead_n) {
			pthread_mutex_unlock(&l->lock);
			return;
		}
		loc = l->dead[i].loc;
		l->dead[i] = l->dead[--l->dead_n];
		pthread_mutex_unlock(&l->lock);
		fault_point("reclaim.punch");
		punch(l, loc);
	}
}

/* ---- rewriting ------------------------------------------------------------------------- */

struct rewrite {
	struct local *l;
	uint64_t no;
	struct buf raw;
	bool lost;   /* no room for a moved chunk */
	int64_t due; /* the rate allows the next one then */
};

/* Is this the record the index means? */
static int is_current(struct rewrite *w, const struct chunk *c, uint32_t off)
{
	struct index *x = &w->l->idx;
	struct blob_row row;
	struct loc loc;
	MDB_txn *t;
	int r = index_read(x, &t);

	if (r < 0) {
		return r;
	}
	r = index_get_blob(x, t, c->id, &row);
	if (r == 0 && c->index < row.chunks) {
		r = index_get_loc(x, t, c->id, c->index, &row, &loc);
	} else if (r == 0) {
		r = KV_NOTFOUND;
	}
	index_read_end(x, t);
	if (r != 0) {
		return r < 0 ? r : 0;
	}
	return loc.at.seg == w->no && loc.at.off == off;
}

/* Queues a copy of the record at loc. 0, -EIO. */
static int move_chunk(struct rewrite *w, struct loc loc) CO_FN;
static int move_chunk(struct rewrite *w, struct loc loc)
{
	struct chunk c;
	struct rec rec;
	char *payload;
	int r = chunk_read(w->l, loc, false, &w->raw, &rec, &c);

	if (r < 0) {
		return r;
	}
	payload = malloc(rec.len);
	if (!payload) {
		return -ENOMEM;
	}
	c.flags |= CHUNK_MOVED;
	c.old = loc.at;
	chunk_encode(&c, (unsigned char *)payload);
	memcpy(payload + CHUNK_HEAD, w->raw.p + REC_HEAD + CHUNK_HEAD, rec.len - CHUNK_HEAD);
	return commit_chunk(w->l, payload, rec.len, NULL, &w->lost);
}

/* Waits until the rate allows n more bytes; false when closing. */
static bool pace(struct rewrite *w, uint32_t n)
{
	int64_t now = clock_mono();

	w->due = MAX(w->due, now) + (int64_t)n * NSEC_PER_SEC / ((int64_t)w->l->reclaim_mb_s << 20);
	if (w->due - now < 20 * NSEC_PER_MSEC) {
		return !flag_get(&w->l->keeper_stop);
	}
	return keeper_sleep(w->l, (w->due - now) / NSEC_PER_MSEC);
}

/* Walks the segment; 0 when all that lives was queued, <0 stop. */
static int move_live(struct rewrite *w, uint32_t end) CO_FN;
static int move_live(struct rewrite *w, uint32_t end)
{
	struct log_reader rd;
	struct slice payload;
	struct rec rec;
	int r = reader_open(&rd, &w->l->log, (struct pos){ w->no, SEG_HEAD }, end);

	if (r < 0) {
		return r;
	}
	for (;;) {
		struct loc loc = { { w->no, rd.off }, 0 };
		struct chunk c;

		r = reader_next(&rd, false, &rec, &payload);
		if (r <= 0) {
			break;
		}
		loc.len = rec_size(rec.len);
		if (rec.type != REC_CHUNK || chunk_decode(payload, false, &c) < 0) {
			continue;
		}
		r = is_current(w, &c, loc.at.off);
		if (r > 0) {
			fault_point("reclaim.before_move");
			r = move_chunk(w, loc);
			if (r == 0 && (w->lost || !pace(w, loc.len))) {
				r = -ECANCELED;
			}
		}
		if (r < 0) {
			break;
		}
	}
	reader_close(&rd);
	return r;
}

static void rewrite(struct local *l, uint64_t no) CO_FN;
static void rewrite(struct local *l, uint64_t no)
{
	struct rewrite w = { .l = l, .no = no, .raw = BUF_INIT(rec_size(REC_PAYLOAD_MAX)) };
	struct segment *s = log_get(&l->log, no);
	uint64_t seq;
	int r;
	int b;

	if (!s) {
		return;
	}
	r = move_live(&w, s->end);
	/* Also after a failure: w.lost must outlive what is queued. */
	b = commit_barrier(l, &seq);
	if (b == 0) {
		fault_point("reclaim.moved");
		wait_applied(l, seq);
		fault_point("reclaim.applied");
	}
	if (r == -EIO || r == -EINVAL || r == -EBADMSG) {
		s->suspect = true; /* verify reports it */
	}
	log_put(&l->log, s);
	buf_fini(&w.raw);
}

/* Many small segments (one is left by every restart) become few. */
static uint64_t pick_small(struct local *l)
{
	uint64_t before = free_before(l);
	size_t n = 0;

	pthread_mutex_lock(&l->log.lock);
	for (size_t i = 0; i < l->log.n && l->log.seg[i]->no < before; i++) {
		n += is_small(l, l->log.seg[i]);
	}
	pthread_mutex_unlock(&l->log.lock);
	return n > SMALL_MANY ? pick_no(l, is_small) : 0;
}

static void keep_tidy(struct local *l) CO_FN;
static void keep_tidy(struct local *l)
{
	uint64_t no;

	punch_dead(l);
	remove_dead(l);
	no = pick_no(l, is_half_dead);
	if (!no) {
		no = pick_small(l);
	}
	if (no) {
		rewrite(l, no);
		remove_dead(l);
	}
}

void *keeper_main(void *arg)
{
	struct local *l = arg;

	co_enter();
	do {
		space_check(l);
		if (flag_get(&l->poisoned)) {
			continue;
		}
		if (flag_get(&l->no_spare)) {
			flag_set(&l->no_spare, log_make_spare(&l->log) < 0);
		}
		if (!is_full(l)) {
			ballast_make(l);
		}
		keep_snapshot(l);
		keep_tidy(l);
	} while (keeper_sleep(l, is_full(l) ? TICK_FULL_MS : TICK_MS));
	return NULL;
}
