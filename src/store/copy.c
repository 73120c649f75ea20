/*
 * COPY and MOVE between mailboxes of one account.
 *
 * Bytes are not copied: the new rows refer to the same blobs. Both mailboxes
 * are locked (the lower id first). One commit has the destination's batch
 * before the source's: the embedded engine makes them atomic together; on an
 * engine that does not, a crash between them leaves a MOVE's messages in both
 * places, never in none. Trees are derived data: a few travel with the
 * commit, those of a big copy are left to be made anew when asked for.
 */
#include <stdlib.h>

#include "store/impl.h"

struct transfer {
	struct store_mailbox *m, *dst;
	bool move;
	struct store_flags keep; /* flags that the copies have too */
	uint32_t *uid;		 /* of the source, those that exist */
	uint32_t *to;		 /* their new ones */
	struct slice *tree;	 /* malloc'ed rows, or NULL for a big copy */
	size_t n;
	uint64_t bytes;
	struct txn *src_txn, *dst_txn; /* the same when m == dst */
};

static void transfer_fini(struct transfer *x)
{
	for (size_t i = 0; i < x->n && x->tree; i++) {
		free((char *)x->tree[i].p);
	}
	free(x->tree);
	free(x->uid);
	free(x->to);
	if (x->src_txn != x->dst_txn) {
		txn_free(&x->src_txn);
	}
	txn_free(&x->dst_txn);
}

CO_FN static int lock_both(struct transfer *x, struct err *e)
{
	struct store_mailbox *first = x->m->id < x->dst->id ? x->m : x->dst;
	struct store_mailbox *second = first == x->m ? x->dst : x->m;
	int r = box_lock(first, e);

	if (r || first == second) {
		return r;
	}
	r = box_lock(second, e);
	if (r) {
		co_mutex_unlock(&first->lock);
	}
	return r;
}

static void unlock_both(struct transfer *x)
{
	co_mutex_unlock(&x->m->lock);
	if (x->m != x->dst) {
		co_mutex_unlock(&x->dst->lock);
	}
}

static int collect(struct transfer *x, const uint32_t *uids, size_t n)
{
	size_t max = uids ? n : x->m->n;

	if (uids && n > COPY_CHUNK) {
		return STORE_LIMIT; /* one commit could not hold it */
	}
	x->uid = calloc(max + 1, sizeof(*x->uid));
	x->to = calloc(max + 1, sizeof(*x->to));
	if (!x->uid || !x->to) {
		return -ENOMEM;
	}
	for (size_t i = 0; i < max && x->n < COPY_CHUNK; i++) {
		const struct msg *e = uids ? box_live(x->m, uids[i]) : &x->m->v[i];

		if (e && e->gone_at == 0) {
			x->uid[x->n++] = e->uid;
			x->bytes += e->size;
		}
	}
	return 0;
}

CO_FN static int read_trees(struct transfer *x, struct err *e)
{
	struct kv_part part = part_mailbox(x->m->a->id, x->m->id);

	if (x->n > COPY_TREES) {
		return 0;
	}
	x->tree = calloc(x->n, sizeof(*x->tree));
	if (!x->tree) {
		return -ENOMEM;
	}
	for (size_t i = 0; i < x->n; i++) {
		struct buf b = BUF_INIT(TREE_KEEP_MAX);
		struct row_key k = key32('T', x->uid[i]);
		int r = kv_get(box_kv(x->m), part, key_slice(&k), &b);

		if (r == KV_OK && b.err == 0) {
			x->tree[i].p = buf_take(&b, &x->tree[i].n);
		}
		buf_fini(&b);
		if (r < 0) {
			return store_result(r, e, "copying messages");
		}
	}
	return 0;
}

/* This mailbox's keyword bits as the destination's. */
static int map_keywords(struct transfer *x, uint64_t bits, uint64_t *out)
{
	struct slice names[STORE_KEYWORDS_MAX];
	size_t n = 0;

	if (x->m == x->dst || bits == 0) {
		*out = bits;
		return 0;
	}
	for (unsigned i = 0; i < x->m->kw_n; i++) {
		if (bits >> i & 1) {
			names[n++] = x->m->kw[i];
		}
	}
	return store_keyword_bits(x->dst, names, n, true, out);
}

static int add_copies(struct transfer *x)
{
	uint64_t last = 0, mapped = 0;

	for (size_t i = 0; i < x->n; i++) {
		struct msg msg = *box_live(x->m, x->uid[i]);

		msg.system &= x->keep.system;
		msg.keywords = x->keep.keywords ? msg.keywords : 0;

		if (msg.keywords != last) {
			last = msg.keywords;
			int r = map_keywords(x, last, &mapped);

			if (r) {
				return r;
			}
		}
		msg.keywords = mapped;
		msg.save_date = (uint32_t)clock_wall();
		msg.paged = x->n > COPY_SINGLES;
		int r = txn_add(x->dst_txn, &msg, &x->to[i]);

		if (r) {
			return r;
		}
		if (x->tree && x->tree[i].p) {
			struct row_key k = key32('T', x->to[i]);

			kv_batch_put(x->dst_txn->batch, key_slice(&k), x->tree[i]);
		}
	}
	return 0;
}

/* All that may suspend, before UIDs are reserved. */
CO_FN static int prepare(struct transfer *x, struct err *e)
{
	int r = read_trees(x, e);

	if (r) {
		return r;
	}
	x->dst_txn = txn_new(x->dst, true);
	x->src_txn = x->m == x->dst ? x->dst_txn : NULL;
	if (x->move && !x->src_txn) {
		x->src_txn = txn_new(x->m, true);
	}
	if (!x->dst_txn || (x->move && !x->src_txn)) {
		return -ENOMEM;
	}
	for (size_t i = 0; i < x->n && x->move; i++) {
		if (txn_del(x->src_txn, x->uid[i])) {
			return -ENOMEM;
		}
	}
	return x->move ? txn_read_vanished(x->src_txn, e) : 0;
}

CO_FN static int commit(struct transfer *x, struct err *e)
{
	struct txn *ts[2] = { x->dst_txn, x->src_txn };
	size_t n = x->src_txn && x->src_txn != x->dst_txn ? 2 : 1;
	int r = x->move ? STORE_OK : account_fits(x->m->a, x->bytes, x->n);

	if (r) {
		return r;
	}
	if (!x->move) {
		txn_reserve(x->dst_txn, x->bytes, x->n);
	}
	r = add_copies(x);
	for (size_t i = 0; i < n && r == 0; i++) {
		r = txn_seal(ts[i]);
	}
	if (r) {
		for (size_t i = 0; i < n; i++) {
			txn_abandon(ts[i]);
		}
		return r;
	}
	return txn_commit(ts, n, e);
}

CO_FN static int transfer_locked(struct transfer *x, const uint32_t *uids, size_t n, struct err *e)
{
	int r = collect(x, uids, n);

	if (r || x->n == 0) {
		return r;
	}
	r = prepare(x, e);
	return r ? r : commit(x, e);
}

/* dst_uids[i] for uids[i]; 0 where there was nothing to copy. */
static void report(const struct transfer *x, const uint32_t *uids, size_t n, uint32_t *dst_uids)
{
	size_t j = 0;

	for (size_t i = 0; i < n && dst_uids; i++) {
		bool there = j < x->n && x->uid[j] == uids[i];

		dst_uids[i] = there ? x->to[j++] : 0;
	}
}

CO_FN int box_transfer(struct store_mailbox *m, const uint32_t *uids, size_t n,
		       struct store_mailbox *dst, bool move, struct store_flags keep,
		       uint32_t *dst_uids_out, struct err *e)
{
	struct transfer x = { .m = m, .dst = dst, .move = move, .keep = keep };
	int r = lock_both(&x, e);

	if (r) {
		return r;
	}
	r = transfer_locked(&x, uids, n, e);
	unlock_both(&x);
	if (r == 0 && uids) {
		report(&x, uids, n, dst_uids_out);
	}
	transfer_fini(&x);
	return r;
}

CO_FN int store_copy_with(struct store_mailbox *m, const uint32_t *uids, size_t n,
			  struct store_mailbox *dst, bool move, struct store_flags keep,
			  uint32_t *dst_uids_out, struct err *e)
{
	assert(m->a == dst->a);
	home_assert(m->a->home);
	int r = !move && account_has_quota(m->a) ? account_measure(m->a, e) : 0;

	r = r ? r : box_transfer(m, uids, n, dst, move, keep, dst_uids_out, e);
	if (r == 0) {
		box_fold(dst);
	}
	return r;
}

CO_FN int store_copy(struct store_mailbox *m, const uint32_t *uids, size_t n,
		     struct store_mailbox *dst, bool move, uint32_t *dst_uids_out, struct err *e)
{
	return store_copy_with(m, uids, n, dst, move, FLAGS_ALL, dst_uids_out, e);
}
