/*
 * The committer: one thread that takes everything queued, writes it with one
 * pwrite and syncs it with one fdatasync. That sync is the acknowledgement.
 *
 * Chunks of blobs wait for the commit that follows them, so a small delivery
 * costs one write and one sync; only when many bytes wait are they written
 * ahead, without a sync of their own. Any failed write or sync poisons the
 * log: nothing after it is acknowledged, nothing is retried. No room for a
 * new segment is no failure: what would grow the store answers KV_FULL, while
 * deletions still have the rest of the current segment and the spare one.
 */
#include <stdlib.h>
#include <time.h>

#include "base/hash.h"
#include "kv/fault.h"
#include "kv/local.h"

#define SPARE_RETRY_MS 200
#define GROUP_KEEP (4u * 1024 * 1024)

/* What is written together. */
struct group {
	struct buf out;
	struct list reqs;
	bool sync;
};

enum step { STEP_TAKEN, STEP_ANSWERED, STEP_NO_FIT };

struct timespec in_ms(int64_t ms)
{
	int64_t t = clock_mono() + ms * NSEC_PER_MSEC;

	return (struct timespec){ .tv_sec = t / NSEC_PER_SEC, .tv_nsec = t % NSEC_PER_SEC };
}

/* ---- the callers' side ------------------------------------------------------ */

static int enqueue_and_wait(struct local *l, struct req *r) CO_FN;
static int enqueue_and_wait(struct local *l, struct req *r)
{
	co_signal_init(&r->done);
	pthread_mutex_lock(&l->lock);
	list_push(&l->queue, &r->node);
	l->urgent++;
	pthread_cond_signal(&l->work);
	pthread_mutex_unlock(&l->lock);
	co_signal_wait(&r->done);
	return r->result;
}

int local_commit(struct kv *kv, struct kv_batch *const *batches, size_t n, size_t bytes)
{
	struct local *l = local_of(kv);
	struct req r = { .kind = REQ_COMMIT, .batches = batches, .n = n, .bytes = bytes };

	if (flag_get(&l->poisoned)) {
		return -EIO;
	}
	return enqueue_and_wait(l, &r);
}

int commit_barrier(struct local *l, uint64_t *seq_out)
{
	struct req r = { .kind = REQ_BARRIER };
	int result = enqueue_and_wait(l, &r);

	*seq_out = r.seq;
	return result;
}

/* Under the lock, which is given up while waiting. */
static void wait_chunk_room(struct local *l) CO_FN;
static void wait_chunk_room(struct local *l)
{
	while (l->chunk_bytes > CHUNKS_WAITING_MAX && !flag_get(&l->poisoned)) {
		struct waiter w = { .seq = 0 };

		co_signal_init(&w.done);
		list_push(&l->chunk_waiters, &w.node);
		pthread_cond_signal(&l->work);
		pthread_mutex_unlock(&l->lock);
		co_signal_wait(&w.done);
		pthread_mutex_lock(&l->lock);
	}
}

int commit_chunk(struct local *l, char *payload, size_t n, struct writer *w, bool *lost)
{
	struct req *r = calloc(1, sizeof(*r));

	if (!r) {
		free(payload);
		return -ENOMEM;
	}
	*r = (struct req){
		.kind = REQ_CHUNK, .payload = payload, .bytes = n, .writer = w, .lost = lost
	};
	pthread_mutex_lock(&l->lock);
	wait_chunk_room(l);
	if (flag_get(&l->poisoned)) {
		pthread_mutex_unlock(&l->lock);
		free(payload);
		free(r);
		return -EIO;
	}
	list_push(&l->queue, &r->node);
	l->chunk_bytes += n;
	if (l->chunk_bytes >= CHUNKS_WAKE) {
		pthread_cond_signal(&l->work);
	}
	pthread_mutex_unlock(&l->lock);
	return 0;
}

void commit_release(struct local *l, struct writer *w)
{
	w->release = (struct req){ .kind = REQ_RELEASE, .writer = w };
	pthread_mutex_lock(&l->lock);
	list_push(&l->queue, &w->release.node);
	pthread_mutex_unlock(&l->lock);
}

/* ---- room -------------------------------------------------------------------- */

/* While a spare segment lies ready, the current one may be filled up. */
static bool spare_ready(struct local *l)
{
	int64_t now = clock_mono();

	if (flag_get(&l->no_spare) && now - l->spare_tried < SPARE_RETRY_MS * NSEC_PER_MSEC) {
		return false;
	}
	l->spare_tried = now;
	flag_set(&l->no_spare, log_make_spare(&l->log) < 0);
	return !flag_get(&l->no_spare);
}

bool room_to_grow(struct local *l)
{
	return !flag_get(&l->below_floor) && !flag_get(&l->stuck) && spare_ready(l);
}

void poison(struct local *l)
{
	flag_set(&l->poisoned, true);
}

/* ---- answering ----------------------------------------------------------------- */

/* The request's memory may be gone when this returns. */
static void answer(struct req *r, int result)
{
	r->result = result;
	co_signal_fire(&r->done);
}

static void wake_chunk_waiters(struct local *l)
{
	struct list *n;

	while ((l->chunk_bytes <= CHUNKS_WAITING_MAX / 2 || flag_get(&l->poisoned)) &&
	       (n = list_pop(&l->chunk_waiters))) {
		co_signal_fire(&list_of(n, struct waiter, node)->done);
	}
}

static void drop_chunk(struct local *l, struct req *r)
{
	pthread_mutex_lock(&l->lock);
	l->chunk_bytes -= r->bytes;
	wake_chunk_waiters(l);
	pthread_mutex_unlock(&l->lock);
	free(r->payload);
	free(r);
}

static void release_to_applier(struct local *l, struct req *r)
{
	r->seq = l->next_seq - 1;
	pthread_mutex_lock(&l->lock);
	list_push(&l->releases, &r->node);
	pthread_mutex_unlock(&l->lock);
}

/* Answers or disposes of a request that got into no group. */
static void refuse(struct local *l, struct req *r, int result)
{
	switch (r->kind) {
	case REQ_COMMIT:
	case REQ_BARRIER:
		answer(r, result);
		break;
	case REQ_CHUNK:
		if (r->lost) {
			flag_set(r->lost, true);
		}
		if (r->writer && !flag_get(&r->writer->lost)) {
			flag_set(&r->writer->lost, true);
			pthread_mutex_lock(&l->lock);
			list_push(&l->lost, &r->writer->lost_node);
			pthread_mutex_unlock(&l->lock);
		}
		drop_chunk(l, r);
		break;
	case REQ_RELEASE:
		release_to_applier(l, r);
		break;
	}
}

/* ---- dirty partitions ------------------------------------------------------------ */

static struct dirty *dirty_find(struct local *l, const unsigned char name[KV_PART_SIZE])
{
	return table_get(&l->dirty, slice_make((const char *)name, KV_PART_SIZE));
}

/* Under the lock: finds or makes the entry; NULL: out of memory. */
static struct dirty *dirty_make(struct local *l, struct kv_part part)
{
	unsigned char name[KV_PART_SIZE];
	struct dirty *d;

	part_encode(part, name);
	d = dirty_find(l, name);
	if (d) {
		return d;
	}
	d = calloc(1, sizeof(*d));
	if (!d) {
		return NULL;
	}
	memcpy(d->name, name, sizeof(name));
	if (table_put(&l->dirty, slice_make((char *)d->name, KV_PART_SIZE), d, NULL) < 0) {
		free(d);
		return NULL;
	}
	list_push(&l->dirty_order, &d->order);
	return d;
}

/* Marks the partitions of a commit that got record seq. 0 or -ENOMEM. */
static int dirty_mark(struct local *l, const struct req *r, uint64_t seq)
{
	int result = 0;

	pthread_mutex_lock(&l->lock);
	for (size_t i = 0; i < r->n && result == 0; i++) {
		if (!dirty_make(l, r->batches[i]->part)) {
			result = -ENOMEM;
		}
	}
	for (size_t i = 0; i < r->n && result == 0; i++) {
		struct dirty *d = dirty_make(l, r->batches[i]->part);

		d->newest = seq;
		list_del(&d->order);
		list_push(&l->dirty_order, &d->order);
	}
	pthread_mutex_unlock(&l->lock);
	return result;
}

/* The version the partition will have when all before this is applied. */
static int coming_version(struct local *l, struct kv_part part, uint64_t *out)
{
	unsigned char name[KV_PART_SIZE];
	struct dirty *d;
	MDB_txn *t;
	int r;

	part_encode(part, name);
	pthread_mutex_lock(&l->lock);
	d = dirty_find(l, name);
	*out = d ? d->newest : 0;
	pthread_mutex_unlock(&l->lock);
	if (*out) {
		return 0;
	}
	r = index_read(&l->idx, &t);
	if (r < 0) {
		return r;
	}
	r = index_get_version(&l->idx, t, part, out);
	index_read_end(&l->idx, t);
	return r;
}

static int check_expected(struct local *l, const struct req *r)
{
	for (size_t i = 0; i < r->n; i++) {
		const struct kv_batch *b = r->batches[i];
		uint64_t v;
		int k;

		if (!b->has_expect) {
			continue;
		}
		k = coming_version(l, b->part, &v);
		if (k < 0) {
			return k;
		}
		if (v != b->expect) {
			return KV_CONFLICT;
		}
	}
	return KV_OK;
}

/* Does it refer to a blob of which a chunk was not taken? */
static bool refers_to_lost(struct local *l, const struct req *r)
{
	bool hit = false;

	pthread_mutex_lock(&l->lock);
	list_each(n, &l->lost) {
		struct writer *w = list_of(n, struct writer, lost_node);

		for (size_t i = 0; i < r->n && !hit; i++) {
			struct cur c = cur_init(buf_slice(&r->batches[i]->ops));
			struct batch_step s;

			while (!hit && batch_next(&c, &s) > 0) {
				hit = s.op == BATCH_REF &&
				      slice_eq(blob_id_slice(&s.blob), blob_id_slice(&w->id));
			}
		}
	}
	pthread_mutex_unlock(&l->lock);
	return hit;
}

/* ---- building a group -------------------------------------------------------------- */

static bool commit_grows(const struct req *r)
{
	bool grows = false;

	for (size_t i = 0; i < r->n; i++) {
		if (r->batches[i]->frees) {
			return false;
		}
		grows = grows || r->batches[i]->grows;
	}
	return grows;
}

static uint32_t payload_size(const struct req *r)
{
	uint32_t n = 0;

	switch (r->kind) {
	case REQ_COMMIT:
		for (size_t i = 0; i < r->n; i++) {
			n += KV_PART_SIZE + 4 + (uint32_t)r->batches[i]->ops.n;
		}
		return n;
	case REQ_CHUNK:
		return (uint32_t)r->bytes;
	default:
		return 0;
	}
}

static void put_payload(struct buf *out, const struct req *r)
{
	if (r->kind == REQ_CHUNK) {
		buf_add(out, slice_make(r->payload, r->bytes));
		return;
	}
	for (size_t i = 0; i < r->n; i++) {
		const struct kv_batch *b = r->batches[i];
		unsigned char name[KV_PART_SIZE];

		part_encode(b->part, name);
		buf_add(out, slice_make((char *)name, sizeof(name)));
		buf_put32le(out, (uint32_t)b->ops.n);
		buf_add(out, buf_slice(&b->ops));
	}
}

/* The record of r at the group's end. */
static void put_record(struct local *l, struct group *g, struct req *r)
{
	static const char zeros[REC_HEAD];
	struct segment *seg = l->log.cur;
	size_t at = g->out.n;
	struct rec rec = {
		.len = payload_size(r),
		.type = r->kind == REQ_COMMIT ? REC_BATCHES : REC_CHUNK,
		.version = REC_VERSION,
		.seq = l->next_seq++,
		.durable = l->durable_seq, /* only this thread writes it */
	};
	unsigned char head[REC_HEAD];

	buf_add(&g->out, slice_make(zeros, REC_HEAD));
	put_payload(&g->out, r);
	assert(g->out.n == at + REC_HEAD + rec.len);
	rec.sum = hash_sum64(slice_make(g->out.p + at + REC_HEAD, rec.len));
	rec_encode(&rec, seg->salt, seg->end + (uint32_t)at, head);
	memcpy(g->out.p + at, head, sizeof(head));
	buf_add(&g->out, slice_make(zeros, rec_size(rec.len) - REC_HEAD - rec.len));
	r->seq = rec.seq;
	list_push(&g->reqs, &r->node);
}

static enum step refused(struct local *l, struct req *r, int result)
{
	refuse(l, r, result);
	return STEP_ANSWERED;
}

static bool fits(struct local *l, const struct group *g, const struct req *r)
{
	const struct segment *s = l->log.cur;

	return (uint64_t)s->end + g->out.n + rec_size(payload_size(r)) <= s->alloc;
}

static enum step take_commit(struct local *l, struct group *g, struct req *r)
{
	int k = check_expected(l, r);

	if (k != KV_OK) {
		return refused(l, r, k);
	}
	if ((commit_grows(r) && !room_to_grow(l)) || refers_to_lost(l, r)) {
		return refused(l, r, KV_FULL);
	}
	if (!fits(l, g, r)) {
		return STEP_NO_FIT;
	}
	if (!buf_reserve(&g->out, rec_size(payload_size(r))) || dirty_mark(l, r, l->next_seq) < 0) {
		g->out.err = 0;
		return refused(l, r, -ENOMEM);
	}
	put_record(l, g, r);
	g->sync = true;
	return STEP_TAKEN;
}

static enum step take_chunk(struct local *l, struct group *g, struct req *r)
{
	/* What the keeper moves makes room in the end: no floor for it. */
	if (r->writer ? !room_to_grow(l) : !spare_ready(l)) {
		return refused(l, r, KV_FULL);
	}
	if (!fits(l, g, r)) {
		return STEP_NO_FIT;
	}
	if (!buf_reserve(&g->out, rec_size(payload_size(r)))) {
		g->out.err = 0;
		return refused(l, r, -ENOMEM);
	}
	put_record(l, g, r);
	return STEP_TAKEN;
}

/* Puts r into the group, or answers it, or says that it does not fit. */
static enum step take(struct local *l, struct group *g, struct req *r)
{
	if (flag_get(&l->poisoned)) {
		return refused(l, r, -EIO);
	}
	switch (r->kind) {
	case REQ_COMMIT:
		return take_commit(l, g, r);
	case REQ_CHUNK:
		return take_chunk(l, g, r);
	case REQ_BARRIER:
		g->sync = true;
		list_push(&g->reqs, &r->node);
		return STEP_TAKEN;
	case REQ_RELEASE:
		/* Behind the chunks of its blob, which are in this group. */
		list_push(&g->reqs, &r->node);
		return STEP_TAKEN;
	}
	BUG("unknown request");
}

/* ---- writing a group ---------------------------------------------------------------- */

static int sync_log(struct local *l)
{
	int r;

	fault_point("commit.before_sync");
	r = log_sync(&l->log);
	if (r == 0) {
		fault_point("commit.after_sync");
		__atomic_add_fetch(&l->syncs, 1, __ATOMIC_RELAXED);
		l->unsynced = 0;
	}
	return r;
}

static int write_group(struct local *l, struct group *g)
{
	int r = 0;

	if (g->out.n) {
		fault_point("commit.before_write");
		r = log_append(&l->log, g->out.p, g->out.n);
		fault_point("commit.after_write");
		l->unsynced += g->out.n;
	}
	if (r == 0 && l->unsynced > UNSYNCED_MAX) {
		g->sync = true;
	}
	if (r == 0 && g->sync) {
		r = sync_log(l);
	}
	return r;
}

/* What is written and synced becomes durable, in the eyes of all. */
static void publish(struct local *l, const struct group *g)
{
	pthread_mutex_lock(&l->lock);
	l->durable_pos = (struct pos){ l->log.cur->no, l->log.cur->end };
	l->durable_seq = l->next_seq - 1;
	list_each(n, &g->reqs) {
		struct req *r = list_of(n, struct req, node);

		for (size_t i = 0; r->kind == REQ_COMMIT && i < r->n; i++) {
			struct dirty *d = dirty_make(l, r->batches[i]->part);

			if (d) {
				d->acked = r->seq;
			}
		}
		l->commits += r->kind == REQ_COMMIT;
	}
	pthread_cond_signal(&l->apply);
	pthread_mutex_unlock(&l->lock);
}

static void finish(struct local *l, struct req *r, int result)
{
	switch (r->kind) {
	case REQ_COMMIT:
		answer(r, result);
		break;
	case REQ_BARRIER:
		r->seq = l->next_seq - 1;
		answer(r, result);
		break;
	case REQ_CHUNK:
		drop_chunk(l, r);
		break;
	case REQ_RELEASE:
		release_to_applier(l, r);
		break;
	}
}

static void flush_group(struct local *l, struct group *g)
{
	struct list *n;
	int r;

	if (list_empty(&g->reqs)) {
		return;
	}
	r = flag_get(&l->poisoned) ? -EIO : write_group(l, g);
	if (r < 0) {
		poison(l);
	} else if (g->sync) {
		publish(l, g);
	}
	while ((n = list_pop(&g->reqs))) {
		finish(l, list_of(n, struct req, node), r < 0 ? -EIO : KV_OK);
	}
	buf_reset(&g->out);
	if (g->out.cap > GROUP_KEEP) {
		buf_fini(&g->out);
	}
	g->sync = false;
}

/* A new segment for r. False: r has been answered. */
static bool roll_for(struct local *l, struct req *r)
{
	int k = log_roll(&l->log, rec_size(payload_size(r)));

	if (k == 0) {
		/* What stood in the old segment was synced with it. */
		__atomic_add_fetch(&l->syncs, 1, __ATOMIC_RELAXED);
		l->unsynced = 0;
		l->spare_tried = clock_mono();
		flag_set(&l->no_spare, log_make_spare(&l->log) < 0);
		return true;
	}
	if (k != -ENOSPC) {
		poison(l);
		refuse(l, r, -EIO);
		return false;
	}
	flag_set(&l->no_spare, true);
	refuse(l, r, KV_FULL);
	return false;
}

static void process(struct local *l, struct group *g, struct list *taken)
{
	struct list *n;

	while ((n = list_pop(taken))) {
		struct req *r = list_of(n, struct req, node);
		enum step s = take(l, g, r);

		if (s == STEP_NO_FIT) {
			flush_group(l, g);
			if (!roll_for(l, r) || take(l, g, r) != STEP_NO_FIT) {
				continue;
			}
			BUG("a new segment without room");
		}
		if (g->out.n >= GROUP_MAX) {
			flush_group(l, g);
		}
	}
	flush_group(l, g);
}

/* ---- the thread ------------------------------------------------------------------------ */

/* Commits wait while the applier is far behind (memory would grow), unless
 * it cannot move at all. Under the lock. */
static bool held_up(struct local *l)
{
	return l->durable_seq - l->applied.seq > APPLY_LAG_MAX && !l->stuck && !l->apply_dead &&
	       !l->stopping;
}

/* Takes all that is queued when there is reason to; false at the end. */
static bool wait_for_work(struct local *l, struct list *taken)
{
	struct list *n;
	bool more;

	pthread_mutex_lock(&l->lock);
	while (!l->stopping && ((l->urgent == 0 && l->chunk_bytes < CHUNKS_WAKE) || held_up(l))) {
		struct timespec t = in_ms(held_up(l) ? 5 : 1000);

		pthread_cond_timedwait(&l->work, &l->lock, &t);
	}
	while ((n = list_pop(&l->queue))) {
		list_push(taken, n);
	}
	l->urgent = 0;
	more = !l->stopping || !list_empty(taken);
	pthread_mutex_unlock(&l->lock);
	return more;
}

void *committer_main(void *arg)
{
	struct local *l = arg;
	struct group g = { .out = BUF_INIT(GROUP_MAX + 2 * REC_PAYLOAD_MAX) };
	struct list taken;

	list_init(&g.reqs);
	list_init(&taken);
	while (wait_for_work(l, &taken)) {
		process(l, &g, &taken);
	}
	buf_fini(&g.out);
	pthread_mutex_lock(&l->lock);
	l->committer_done = true;
	pthread_cond_broadcast(&l->apply);
	pthread_mutex_unlock(&l->lock);
	return NULL;
}
