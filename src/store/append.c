/*
 * New mail into an open mailbox: APPEND of one message or many, and REPLACE.
 *
 * The messages are written already (write.c); here they get UIDs and rows, in
 * one transaction, so that all of them are kept or none. An append is an
 * arrival and takes no lock. A replacement also expunges, so it holds the
 * lock of the mailbox it takes the old message from; when that is another
 * mailbox, both transactions go into one commit, the arrival first. Trees are
 * derived data: those that would make the batch too big are left to be made
 * anew.
 */
#include "store/impl.h"

static void new_msg(const struct store_new *v, struct msg *out)
{
	writer_msg(v->w, out);
	out->system = v->flags.system & 31;
	out->keywords = v->flags.keywords;
	out->internal_date = v->internal_date;
	out->zone = (int16_t)MAX(MIN(v->zone, INT16_MAX), INT16_MIN);
}

static bool takes_mail(const struct store_mailbox *m)
{
	return !m->gone && !m->closing;
}

static uint64_t sum_of(const struct store_new *v, size_t n)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i++) {
		assert(writer_is_done(v[i].w));
		sum += store_writer_size(v[i].w);
	}
	return sum;
}

/* Adds all of them. Does not suspend. */
static int add_all(struct txn *t, struct store_new *v, size_t n)
{
	uint64_t trees = 0;
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		struct msg msg;

		new_msg(&v[i], &msg);
		trees += writer_tree_bytes(v[i].w).n;
		r = trees <= APPEND_TREES ? txn_add_message(t, v[i].w, &msg, &v[i].uid)
					  : txn_add(t, &msg, &v[i].uid);
	}
	return r;
}

CO_FN int store_append_all(struct store_mailbox *m, struct store_new *v, size_t n, struct err *e)
{
	uint64_t sum = sum_of(v, n);

	home_assert(m->a->home);
	int r = account_has_quota(m->a) ? account_measure(m->a, e) : 0;

	if (r) {
		return r;
	}
	if (!takes_mail(m)) {
		return STORE_GONE;
	}
	r = account_fits(m->a, sum, n);
	if (r) {
		return r;
	}
	struct txn *t = txn_new(m, false);

	if (!t) {
		return err_set(e, -ENOMEM, "appending a message", NULL);
	}
	txn_reserve(t, sum, n);
	r = add_all(t, v, n);
	r = r ? r : txn_seal(t);
	if (r) {
		txn_abandon(t);
	} else {
		r = txn_commit(&t, 1, e);
	}
	txn_free(&t);
	if (r == 0) {
		box_fold(m);
	}
	return r;
}

CO_FN int store_append(struct store_mailbox *m, struct store_writer *w, struct store_flags flags,
		       int64_t internal_date, int32_t zone, uint32_t *uid_out, struct err *e)
{
	struct store_new v = { w, flags, internal_date, zone, 0 };
	int r = store_append_all(m, &v, 1, e);

	if (r == 0) {
		*uid_out = v.uid;
	}
	return r;
}

/* ---- replace ------------------------------------------------------------ */

struct replacement {
	struct store_mailbox *m, *from;
	struct store_new *v;
	uint32_t uid;
	uint64_t freed;	       /* octets of the message that goes */
	struct txn *add, *del; /* the same when m == from */
};

/* All that may suspend; the lock is held. */
CO_FN static int prepare(struct replacement *x, struct err *e)
{
	const struct msg *old = box_live(x->from, x->uid);

	if (!old) {
		return STORE_NOTFOUND;
	}
	x->freed = old->size;
	x->add = txn_new(x->m, x->m == x->from);
	x->del = x->m == x->from ? x->add : txn_new(x->from, true);
	if (!x->add || !x->del || txn_del(x->del, x->uid)) {
		return err_set(e, -ENOMEM, "replacing a message", NULL);
	}
	return txn_read_vanished(x->del, e);
}

CO_FN static int commit(struct replacement *x, struct err *e)
{
	uint64_t size = store_writer_size(x->v->w);
	uint64_t more = size > x->freed ? size - x->freed : 0;
	struct txn *ts[2] = { x->add, x->del };
	size_t n = x->add == x->del ? 1 : 2;

	if (!takes_mail(x->m)) {
		return STORE_GONE;
	}
	int r = account_fits(x->m->a, more, 0);

	if (r) {
		return r;
	}
	txn_reserve(x->add, more, 0);
	r = add_all(x->add, x->v, 1);
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

CO_FN int store_replace(struct store_mailbox *m, struct store_new *v, struct store_mailbox *from,
			uint32_t uid, struct err *e)
{
	struct replacement x = { .m = m, .from = from, .v = v, .uid = uid };

	assert(m->a == from->a && writer_is_done(v->w));
	home_assert(m->a->home);
	int r = account_has_quota(m->a) ? account_measure(m->a, e) : 0;

	r = r ? r : box_lock(from, e);
	if (r) {
		return r;
	}
	r = prepare(&x, e);
	r = r ? r : commit(&x, e);
	co_mutex_unlock(&from->lock);
	if (x.add != x.del) {
		txn_free(&x.del);
	}
	txn_free(&x.add);
	if (r == 0) {
		box_fold(m);
	}
	return r;
}
