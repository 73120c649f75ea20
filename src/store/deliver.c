/*
 * New mail: delivery to any number of accounts. (append.c: into an open
 * mailbox.)
 *
 * Delivery first brings in what it needs (accounts, the light state of the
 * mailboxes), which may suspend; then, without suspension, it checks quotas,
 * reserves, and builds a transaction for each mailbox; then all of a home go
 * into one commit. Deliveries do not wait for each other: while one is at
 * the disk the next is built, and the engine writes both with one sync.
 */
#include <stdlib.h>

#include "store/impl.h"

int txn_add_message(struct txn *t, const struct store_writer *w, const struct msg *msg,
		    uint32_t *uid_out)
{
	struct slice tree = writer_tree_bytes(w);
	int r = txn_add(t, msg, uid_out);

	if (r || tree.n == 0) {
		return r;
	}
	struct row_key k = key32('T', *uid_out);

	kv_batch_put(t->batch, key_slice(&k), tree);
	return 0;
}

/* ---- delivery ----------------------------------------------------------- */

/* What one home has to do. */
struct delivery {
	struct store *s;
	struct home *home;
	struct store_writer *w;
	struct store_rcpt *rcpts;
	size_t n;
	struct store_account **account; /* by recipient; NULL: not ours */
	struct store_mailbox **box;
	struct txn **txns; /* one for each mailbox */
	size_t n_txns;
	struct err *e;
};

/* The mailbox of that name, or INBOX. */
static struct store_mailbox *target(struct store_account *a, struct slice name)
{
	struct buf canon = BUF_INIT(4 * STORE_NAME_MAX);
	struct store_mailbox *m = NULL;

	if (name.n && store_name_canon(name, &canon) == STORE_OK) {
		m = account_find(a, buf_slice(&canon));
	}
	buf_fini(&canon);
	return m && !m->closing ? m : a->inbox;
}

static struct store_mailbox *junk_target(struct store_account *a)
{
	list_each(it, &a->boxes) {
		struct store_mailbox *m = list_of(it, struct store_mailbox, link);

		if ((m->uses & STORE_USE_JUNK) && !m->closing) {
			return m;
		}
	}
	return target(a, S("Junk"));
}

/* Brings in account and mailbox of one recipient. May suspend. */
CO_FN static int prepare(struct delivery *d, size_t i)
{
	struct store_account *a;
	int r = account_get(d->home, d->rcpts[i].account, &a, d->e);

	if (r) {
		return r;
	}
	if (account_has_quota(a)) {
		r = account_measure(a, d->e);
	}
	struct store_mailbox *m = NULL;

	if (r == 0 && !a->gone) {
		m = d->rcpts[i].junk ? junk_target(a) : target(a, d->rcpts[i].mailbox);
	}
	if (m) {
		box_ref(m);
		r = box_light(m, d->e);
	} else if (r == 0) {
		r = STORE_NOTFOUND;
	}
	if (r && m) {
		box_unref(m);
		m = NULL;
	}
	d->account[i] = a;
	d->box[i] = m;
	return r;
}

static struct txn *txn_for(struct delivery *d, struct store_mailbox *m)
{
	for (size_t i = 0; i < d->n_txns; i++) {
		if (d->txns[i]->m == m) {
			return d->txns[i];
		}
	}
	struct txn *t = txn_new(m, false);

	if (t) {
		d->txns[d->n_txns++] = t;
	}
	return t;
}

/* Checks, reserves, adds. Does not suspend. */
static int place(struct delivery *d, size_t i, const struct msg *msg)
{
	struct store_account *a = d->account[i];
	struct store_mailbox *m = d->box[i];

	/* It may have been deleted while others were brought in. */
	if (m->gone || m->closing) {
		m = a->inbox;
	}
	if (a->gone || !m || m->gone || m->closing) {
		return STORE_NOTFOUND;
	}
	if (m->state == BOX_COLD) {
		return -EAGAIN; /* the sender tries again */
	}
	int r = account_fits(a, msg->size, 1);

	if (r) {
		return r;
	}
	struct txn *t = txn_for(d, m);

	if (!t) {
		return -ENOMEM;
	}
	r = txn_add_message(t, d->w, msg, &d->rcpts[i].uid);
	if (r == 0) {
		txn_reserve(t, msg->size, 1);
	}
	return r;
}

static bool is_ours(const struct delivery *d, size_t i)
{
	return home_of(d->s, d->rcpts[i].account) == d->home;
}

/* Every recipient gets a place in a transaction, or its error. */
static int place_all(struct delivery *d)
{
	struct msg msg;

	writer_msg(d->w, &msg);
	msg.internal_date = msg.save_date;
	for (size_t i = 0; i < d->n; i++) {
		if (d->box[i]) {
			d->rcpts[i].result = place(d, i, &msg);
		}
	}
	for (size_t i = 0; i < d->n_txns; i++) {
		int r = txn_seal(d->txns[i]);

		if (r) {
			return r;
		}
	}
	return 0;
}

/* Those that were placed share what became of the commit. */
static void spread(struct delivery *d, int r)
{
	for (size_t i = 0; i < d->n; i++) {
		if (d->box[i] && d->rcpts[i].result == STORE_OK) {
			d->rcpts[i].result = r;
		}
		if (is_ours(d, i) && d->rcpts[i].result != STORE_OK) {
			d->rcpts[i].uid = 0;
		}
	}
}

/* Sealed but never committed, for lack of memory half way. */
static void give_up(struct delivery *d)
{
	for (size_t i = 0; i < d->n_txns; i++) {
		txn_abandon(d->txns[i]);
	}
}

CO_FN static void deliver_home(struct delivery *d)
{
	for (size_t i = 0; i < d->n; i++) {
		if (is_ours(d, i)) {
			d->rcpts[i].result = prepare(d, i);
		}
	}
	int r = place_all(d);

	if (r) {
		give_up(d);
	} else if (d->n_txns) {
		r = txn_commit(d->txns, d->n_txns, d->e);
	}
	spread(d, r);
	for (size_t i = 0; i < d->n_txns; i++) {
		if (r == 0) {
			box_fold(d->txns[i]->m);
		}
		txn_free(&d->txns[i]);
	}
	for (size_t i = 0; i < d->n; i++) {
		if (d->box[i]) {
			box_unref(d->box[i]);
		}
		if (d->account[i]) {
			account_unref(d->account[i]);
		}
	}
}

static int on_home(void *arg)
{
	struct delivery *d = arg;

	co_enter();
	d->account = calloc(d->n, sizeof(struct store_account *));
	d->box = calloc(d->n, sizeof(struct store_mailbox *));
	d->txns = calloc(d->n, sizeof(struct txn *));
	int r = d->account && d->box && d->txns ? 0 : -ENOMEM;

	if (r == 0) {
		deliver_home(d);
	}
	free(d->account);
	free(d->box);
	free(d->txns);
	return r;
}

/* All recipients of one home. */
CO_FN static void deliver_to(struct delivery *d)
{
	size_t ours = 0;

	for (size_t i = 0; i < d->n; i++) {
		ours += is_ours(d, i);
	}
	if (ours == 0) {
		return;
	}
	int r = co_call(d->home->loop, on_home, d);

	for (size_t i = 0; i < d->n && r; i++) {
		if (is_ours(d, i)) {
			d->rcpts[i].result = r; /* it never ran */
			d->rcpts[i].uid = 0;
		}
	}
}

CO_FN int store_deliver(struct store *s, struct store_writer *w, struct store_rcpt *rcpts, size_t n,
			struct err *e)
{
	assert(writer_is_done(w));
	for (size_t h = 0; h < s->n_homes; h++) {
		struct delivery d = {
			.s = s, .home = &s->homes[h], .w = w, .rcpts = rcpts, .n = n, .e = e
		};

		deliver_to(&d);
	}
	return 0;
}
