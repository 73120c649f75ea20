/*
 * Transactions: one change of one mailbox, as a batch and as data.
 *
 * txn_seal puts it into the mailbox's pipe and txn_commit commits; both
 * happen without a suspension between them, so the pipe has the order of the
 * commits. Answers may come in any order; changes are applied to memory in
 * the pipe's order, so a view that has seen modseq N has seen all below it.
 * A transaction that failed is dropped and leaves nothing: what was reserved
 * for it (UIDs, modseq) is skipped, never used again.
 */
#include <stdlib.h>

#include "store/impl.h"

int store_result(int kv_result, struct err *e, const char *text)
{
	switch (kv_result) {
	case KV_OK:
		return STORE_OK;
	case KV_FULL:
		return err_set(e, STORE_FULL, text, "no room on the disk");
	case KV_NOTFOUND:
	case KV_CONFLICT:
	case KV_UNKNOWN:
		return err_set(e, -EIO, text, "engine answered %d", kv_result);
	default:
		return err_set(e, kv_result, text, NULL);
	}
}

struct txn *txn_new(struct store_mailbox *m, bool locked)
{
	struct txn *t = calloc(1, sizeof(*t));

	if (!t) {
		return NULL;
	}
	t->batch = kv_batch_new(part_mailbox(m->a->id, m->id));
	if (!t->batch) {
		free(t);
		return NULL;
	}
	list_init(&t->link);
	t->m = m;
	t->locked = locked;
	box_ref(m);
	return t;
}

static void release_quota(struct txn *t)
{
	struct store_account *a = t->m->a;

	assert(a->reserved_bytes >= t->reserved_bytes);
	assert(a->reserved_messages >= t->reserved_messages);
	a->reserved_bytes -= t->reserved_bytes;
	a->reserved_messages -= t->reserved_messages;
	t->reserved_bytes = t->reserved_messages = 0;
}

void txn_free(struct txn **tp)
{
	struct txn *t = *tp;

	if (!t) {
		return;
	}
	assert(!t->sealed || t->applied);
	release_quota(t);
	box_unref(t->m);
	kv_batch_free(&t->batch);
	free(t->add);
	free(t->edit);
	free(t->del);
	free(t->vanished);
	free(t);
	*tp = NULL;
}

/* Room for one more in a growing array. */
static int grow(void *arrayp, size_t n, size_t *cap, size_t size)
{
	void **array = arrayp;

	if (n < *cap) {
		return 0;
	}
	size_t want = *cap ? *cap * 2 : 4;
	void *p = reallocarray(*array, want, size);

	if (!p) {
		return -ENOMEM;
	}
	*array = p;
	*cap = want;
	return 0;
}

int txn_add(struct txn *t, const struct msg *msg, uint32_t *uid_out)
{
	struct store_mailbox *m = t->m;

	assert(!t->sealed && m->state != BOX_COLD);
	assert(!msg->paged || (t->locked && m->state == BOX_LOADED));
	if (m->next_uid == UINT32_MAX) {
		return STORE_LIMIT;
	}
	if (grow(&t->add, t->n_add, &t->cap_add, sizeof(*t->add))) {
		return -ENOMEM;
	}
	struct msg *a = &t->add[t->n_add++];

	*a = *msg;
	a->uid = m->next_uid++;
	a->gone_at = 0;
	assert(t->n_add == 1 || a->uid == a[-1].uid + 1);
	*uid_out = a->uid;
	return 0;
}

int txn_edit(struct txn *t, const struct edit *e)
{
	assert(t->locked && !t->sealed);
	assert(t->n_edit == 0 || t->edit[t->n_edit - 1].uid < e->uid);
	if (grow(&t->edit, t->n_edit, &t->cap_edit, sizeof(*t->edit))) {
		return -ENOMEM;
	}
	t->edit[t->n_edit++] = *e;
	return 0;
}

int txn_del(struct txn *t, uint32_t uid)
{
	assert(t->locked && !t->sealed);
	assert(t->n_del == 0 || t->del[t->n_del - 1] < uid);
	if (grow(&t->del, t->n_del, &t->cap_del, sizeof(*t->del))) {
		return -ENOMEM;
	}
	t->del[t->n_del++] = uid;
	return 0;
}

void txn_reserve(struct txn *t, uint64_t bytes, uint64_t messages)
{
	t->reserved_bytes += bytes;
	t->reserved_messages += messages;
	t->m->a->reserved_bytes += bytes;
	t->m->a->reserved_messages += messages;
}

static int count_pages(const struct txn *t, size_t *n_out)
{
	size_t n = 0;

	for (size_t i = 0; i < t->n_del; i++) {
		n += i == 0 || t->del[i] / PAGE_UIDS != t->del[i - 1] / PAGE_UIDS;
	}
	*n_out = n;
	return n ? 0 : -ENOENT;
}

CO_FN static int read_vanished(struct txn *t, struct vanished_row *r, struct buf *b, struct err *e)
{
	struct row_key k = key32('X', r->page);

	buf_reset(b);
	int x = kv_get(box_kv(t->m), part_mailbox(t->m->a->id, t->m->id), key_slice(&k), b);

	if (x == KV_NOTFOUND) {
		return 0;
	}
	if (x != KV_OK) {
		return store_result(x, e, "reading expunge marks");
	}
	/* Damaged marks are derived data: start the page anew. */
	if (b->err || vanished_get(buf_slice(b), r)) {
		memset(r->modseq, 0, sizeof(r->modseq));
	}
	return 0;
}

CO_FN int txn_read_vanished(struct txn *t, struct err *e)
{
	struct buf b = BUF_INIT(16 * 1024);
	size_t n;
	int r = 0;

	assert(t->locked && !t->sealed && !t->vanished);
	if (count_pages(t, &n)) {
		return 0;
	}
	t->vanished = calloc(n, sizeof(*t->vanished));
	if (!t->vanished) {
		return -ENOMEM;
	}
	for (size_t i = 0; i < t->n_del && r == 0; i++) {
		uint32_t page = t->del[i] / PAGE_UIDS;

		if (i && t->del[i - 1] / PAGE_UIDS == page) {
			continue;
		}
		t->vanished[t->n_vanished].page = page;
		r = read_vanished(t, &t->vanished[t->n_vanished++], &b, e);
	}
	buf_fini(&b);
	return r;
}

int txn_seal(struct txn *t)
{
	struct store_mailbox *m = t->m;

	assert(!t->sealed);
	t->modseq = ++m->next_modseq;
	for (size_t i = 0; i < t->n_add; i++) {
		t->add[i].modseq = t->modseq;
	}
	if (box_reserve(m, t->n_add) || txn_emit(t)) {
		return -ENOMEM;
	}
	m->pending_adds += t->n_add;
	t->sealed = true;
	list_push(&m->pipe, &t->link);
	return 0;
}

/* ---- applying ----------------------------------------------------------- */

static void apply_add(struct store_mailbox *m, const struct msg *a)
{
	assert(m->n < m->cap);
	assert(m->n == 0 || m->v[m->n - 1].uid < a->uid);
	m->v[m->n++] = *a;
	counts_add(&m->total, a, 1, m->recent_uid);
	if (a->paged) {
		counts_add(&m->paged, a, 1, m->recent_uid);
	} else {
		m->n_single++;
	}
	if (m->cur && uids_push(m->cur, a->uid)) {
		uids_unref(m->cur);
		m->cur = NULL; /* made anew by whoever needs it */
	}
	m->uidnext = a->uid + 1;
}

static void apply_edit(struct store_mailbox *m, const struct edit *x, uint64_t modseq)
{
	struct msg *e = box_live(m, x->uid);

	assert(e);
	counts_add(&m->total, e, -1, m->recent_uid);
	if (e->paged) {
		counts_add(&m->paged, e, -1, m->recent_uid);
	}
	e->system = x->system;
	e->keywords = x->keywords;
	e->modseq = modseq;
	counts_add(&m->total, e, 1, m->recent_uid);
	if (e->paged) {
		counts_add(&m->paged, e, 1, m->recent_uid);
	}
}

static void apply_del(struct store_mailbox *m, uint32_t uid)
{
	struct msg *e = box_live(m, uid);

	assert(e);
	counts_add(&m->total, e, -1, m->recent_uid);
	if (e->paged) {
		counts_add(&m->paged, e, -1, m->recent_uid);
	} else {
		m->n_single--;
	}
	e->gone_at = m->expunges;
	m->n_gone++;
}

static void apply_fold(struct store_mailbox *m, uint32_t to)
{
	for (size_t i = 0; i < m->n && m->v[i].uid <= to; i++) {
		struct msg *e = &m->v[i];

		if (e->gone_at == 0 && !e->paged) {
			e->paged = true;
			m->n_single--;
			counts_add(&m->paged, e, 1, m->recent_uid);
		}
	}
	if (m->state == BOX_LIGHT) {
		box_unload(m);
	}
}

static void apply(struct txn *t)
{
	struct store_mailbox *m = t->m;

	if (t->n_del) {
		m->expunges++;
	}
	for (size_t i = 0; i < t->n_add; i++) {
		apply_add(m, &t->add[i]);
	}
	for (size_t i = 0; i < t->n_edit; i++) {
		apply_edit(m, &t->edit[i], t->modseq);
	}
	for (size_t i = 0; i < t->n_del; i++) {
		apply_del(m, t->del[i]);
	}
	if (t->fold_to) {
		apply_fold(m, t->fold_to);
	}
	m->kw_durable = MAX(m->kw_durable, t->kw_n);
	if (t->n_add || t->n_edit || t->n_del || t->touch) {
		m->modseq = MAX(m->modseq, t->modseq);
	}
	if (t->n_edit || t->n_del) {
		m->flag_modseq = t->modseq;
	}
	if (t->n_del) {
		uids_unref(m->cur);
		m->cur = NULL;
		box_compact(m);
	}
	if (t->n_add) {
		atomic_fetch_add(&box_store(m)->n_delivered, t->n_add);
	}
	if (t->n_add || t->n_del) {
		text_touch(m, m->state == BOX_LOADED ? TEXT_REST_MS : TEXT_REST_LIGHT_MS);
	}
}

/* Applies what is answered, from the front, as far as there is no gap. */
static void pipe_run(struct store_mailbox *m)
{
	bool changed = false;

	while (!list_empty(&m->pipe)) {
		struct txn *t = list_of(m->pipe.next, struct txn, link);

		if (!t->done) {
			break;
		}
		list_del(&t->link);
		assert(m->pending_adds >= t->n_add);
		m->pending_adds -= t->n_add;
		if (t->result == STORE_OK) {
			apply(t);
			changed = true;
		} else if (t->locked) {
			m->recent_dirty = true; /* the header is not written */
		}
		release_quota(t);
		t->applied = true;
		if (t->waiting) {
			co_signal_fire(&t->signal);
		}
	}
	if (changed) {
		box_publish(m);
	}
}

void txn_abandon(struct txn *t)
{
	if (!t->sealed || t->done) {
		return;
	}
	t->result = -ECANCELED;
	t->done = true;
	if (t->m->pipe.next == &t->link) {
		pipe_run(t->m);
		return;
	}
	/* Nothing waits for it, so it may leave from the middle. */
	list_del(&t->link);
	t->m->pending_adds -= t->n_add;
	release_quota(t);
	t->applied = true;
}

CO_FN static int commit_all(struct kv *kv, struct txn **ts, size_t n)
{
	struct kv_batch *few[4];
	struct kv_batch **b = few;

	if (n > ARRAY_LEN(few)) {
		b = calloc(n, sizeof(struct kv_batch *));
		if (!b) {
			return -ENOMEM;
		}
	}
	for (size_t i = 0; i < n; i++) {
		assert(ts[i]->sealed && !ts[i]->done);
		b[i] = ts[i]->batch;
	}
	int r = kv_commit(kv, b, n);

	if (b != few) {
		free(b);
	}
	return r;
}

CO_FN int txn_commit(struct txn **ts, size_t n, struct err *e)
{
	assert(n > 0);
	int r = commit_all(box_kv(ts[0]->m), ts, n);

	r = store_result(r, e, "commit");
	for (size_t i = 0; i < n; i++) {
		ts[i]->result = r;
		ts[i]->done = true;
	}
	for (size_t i = 0; i < n; i++) {
		pipe_run(ts[i]->m);
	}
	for (size_t i = 0; i < n; i++) {
		if (!ts[i]->applied) {
			co_signal_init(&ts[i]->signal);
			ts[i]->waiting = true;
			co_signal_wait(&ts[i]->signal);
		}
		assert(ts[i]->applied);
	}
	return r;
}
