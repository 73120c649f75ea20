/*
 * From a transaction's data to the rows of its batch.
 *
 * Arrivals write an 'M' row each. Flag changes rewrite the 'M' row, or the
 * 'F' page the message is in (about 10 bytes a message, so 50,000 flags are
 * some 500 KB); expunges also the 'P' page, and note UID and modseq in 'X'.
 * Pages are written from memory with the change laid over it; memory itself
 * is left alone until the commit is durable.
 */
#include <stdlib.h>

#include "store/impl.h"

struct page_mark {
	uint32_t page;
	bool fixed; /* membership changes: 'P' too */
};

struct emit {
	struct txn *t;
	struct page_mark *mark;
	size_t n, cap;
	struct msg *page; /* PAGE_UIDS */
	struct buf row;
	int err;
};

static void put_row(struct emit *x, struct row_key k)
{
	if (x->row.err) {
		x->err = x->row.err;
		return;
	}
	kv_batch_put(x->t->batch, key_slice(&k), buf_slice(&x->row));
}

static void del_row(struct emit *x, struct row_key k)
{
	kv_batch_del(x->t->batch, key_slice(&k));
}

static void del_rows(struct emit *x, char kind, uint32_t first, uint32_t last)
{
	struct row_key from = key32(kind, first);
	struct row_key to = key32(kind, last + 1);

	kv_batch_del_range(x->t->batch, key_slice(&from), key_slice(&to));
}

static void put_single(struct emit *x, const struct msg *m)
{
	buf_reset(&x->row);
	single_put(m, &x->row);
	put_row(x, key32('M', m->uid));
}

static void mark_page(struct emit *x, uint32_t uid, bool fixed)
{
	uint32_t page = uid / PAGE_UIDS;

	if (x->n && x->mark[x->n - 1].page == page) {
		x->mark[x->n - 1].fixed |= fixed;
		return;
	}
	if (x->n == x->cap) {
		size_t cap = x->cap ? x->cap * 2 : 16;
		struct page_mark *p = reallocarray(x->mark, cap, sizeof(*p));

		if (!p) {
			x->err = -ENOMEM;
			return;
		}
		x->mark = p;
		x->cap = cap;
	}
	x->mark[x->n++] = (struct page_mark){ page, fixed };
}

static int cmp_mark(const void *a, const void *b)
{
	const struct page_mark *x = a, *y = b;

	return (x->page > y->page) - (x->page < y->page);
}

/* ---- single rows, references, marks ------------------------------------- */

static void emit_adds(struct emit *x)
{
	const struct txn *t = x->t;

	for (size_t i = 0; i < t->n_add; i++) {
		const struct msg *a = &t->add[i];

		if (a->paged) {
			mark_page(x, a->uid, true);
		} else {
			put_single(x, a);
		}
		kv_batch_blob_ref(t->batch, a->blob);
	}
}

static void emit_edits(struct emit *x)
{
	const struct txn *t = x->t;

	for (size_t i = 0; i < t->n_edit; i++) {
		const struct msg *e = box_live(t->m, t->edit[i].uid);

		assert(e);
		if (e->paged) {
			mark_page(x, e->uid, false);
			continue;
		}
		struct msg changed = *e;

		changed.system = t->edit[i].system;
		changed.keywords = t->edit[i].keywords;
		changed.modseq = t->modseq;
		put_single(x, &changed);
	}
}

/* Deletes rows of neighbouring messages by range, one for each run. */
static void emit_dels(struct emit *x)
{
	const struct txn *t = x->t;
	const struct store_mailbox *m = t->m;

	for (size_t i = 0; i < t->n_del;) {
		size_t at = box_lower(m, t->del[i]);
		uint32_t first = t->del[i], last = first;
		bool single = false;

		for (; at < m->n && i < t->n_del; at++) {
			const struct msg *e = &m->v[at];

			if (e->gone_at) {
				continue;
			}
			if (e->uid != t->del[i]) {
				break;
			}
			if (e->paged) {
				mark_page(x, e->uid, true);
			} else {
				single = true;
			}
			kv_batch_blob_unref(t->batch, e->blob);
			last = e->uid;
			i++;
		}
		assert(last >= first);
		del_rows(x, 'T', first, last);
		if (single) {
			del_rows(x, 'M', first, last);
		}
	}
}

static void emit_vanished(struct emit *x)
{
	struct txn *t = x->t;
	size_t p = 0;

	for (size_t i = 0; i < t->n_del; i++) {
		while (t->vanished[p].page != t->del[i] / PAGE_UIDS) {
			p++;
			assert(p < t->n_vanished);
		}
		t->vanished[p].modseq[t->del[i] % PAGE_UIDS] = t->modseq;
	}
	for (p = 0; p < t->n_vanished; p++) {
		buf_reset(&x->row);
		vanished_put(&t->vanished[p], &x->row);
		put_row(x, key32('X', t->vanished[p].page));
	}
}

static void emit_fold(struct emit *x)
{
	const struct store_mailbox *m = x->t->m;
	uint32_t first = 0;

	assert(x->t->n_edit == 0 && x->t->n_del == 0 && x->t->n_add == 0);
	for (size_t i = 0; i < m->n && m->v[i].uid <= x->t->fold_to; i++) {
		const struct msg *e = &m->v[i];

		if (e->gone_at || e->paged) {
			continue;
		}
		first = first ? first : e->uid;
		mark_page(x, e->uid, true);
	}
	assert(first);
	del_rows(x, 'M', first, x->t->fold_to);
}

/* ---- pages -------------------------------------------------------------- */

static size_t lower_edit(const struct txn *t, uint32_t uid)
{
	size_t lo = 0, hi = t->n_edit;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (t->edit[mid].uid < uid) {
			lo = mid + 1;
		} else {
			hi = mid;
		}
	}
	return lo;
}

static bool is_deleted(const struct txn *t, uint32_t uid)
{
	size_t lo = 0, hi = t->n_del;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (t->del[mid] < uid) {
			lo = mid + 1;
		} else {
			hi = mid;
		}
	}
	return lo < t->n_del && t->del[lo] == uid;
}

/* What the page will hold: memory, less deletions, with edits and arrivals. */
static size_t gather_page(struct emit *x, uint32_t page)
{
	const struct txn *t = x->t;
	const struct store_mailbox *m = t->m;
	uint64_t end = ((uint64_t)page + 1) * PAGE_UIDS;
	size_t n = 0;
	size_t ed = lower_edit(t, page * PAGE_UIDS);

	for (size_t i = box_lower(m, page * PAGE_UIDS); i < m->n && m->v[i].uid < end; i++) {
		const struct msg *e = &m->v[i];
		bool paged = e->paged || e->uid <= t->fold_to;

		if (e->gone_at || !paged || is_deleted(t, e->uid)) {
			continue;
		}
		x->page[n] = *e;
		while (ed < t->n_edit && t->edit[ed].uid < e->uid) {
			ed++;
		}
		if (ed < t->n_edit && t->edit[ed].uid == e->uid) {
			x->page[n].system = t->edit[ed].system;
			x->page[n].keywords = t->edit[ed].keywords;
			x->page[n].modseq = t->modseq;
		}
		n++;
	}
	/* Arrivals of one transaction have UIDs without gaps. */
	uint32_t first = t->n_add ? t->add[0].uid : 0;
	size_t skip = page * PAGE_UIDS > first ? page * PAGE_UIDS - first : 0;

	for (size_t i = skip; i < t->n_add && t->add[i].uid < end; i++) {
		if (t->add[i].paged) {
			x->page[n++] = t->add[i];
		}
	}
	return n;
}

static void emit_page(struct emit *x, const struct page_mark *pm)
{
	size_t n = gather_page(x, pm->page);

	assert(n <= PAGE_UIDS);
	if (n == 0) {
		del_row(x, key32('F', pm->page));
		del_row(x, key32('P', pm->page));
		del_rows(x, 'E', pm->page, pm->page);
		del_rows(x, 'V', pm->page * KEPT_PAGES, pm->page * KEPT_PAGES + KEPT_PAGES - 1);
		return;
	}
	buf_reset(&x->row);
	flags_page_put(x->page, n, pm->page, &x->row);
	put_row(x, key32('F', pm->page));
	if (pm->fixed) {
		buf_reset(&x->row);
		fixed_page_put(x->page, n, pm->page, &x->row);
		put_row(x, key32('P', pm->page));
	}
}

static void emit_pages(struct emit *x)
{
	if (x->n == 0 || x->err) {
		return;
	}
	x->page = calloc(PAGE_UIDS, sizeof(*x->page));
	if (!x->page) {
		x->err = -ENOMEM;
		return;
	}
	qsort(x->mark, x->n, sizeof(*x->mark), cmp_mark);
	for (size_t i = 0; i < x->n; i++) {
		struct page_mark pm = x->mark[i];

		while (i + 1 < x->n && x->mark[i + 1].page == pm.page) {
			pm.fixed |= x->mark[++i].fixed;
		}
		emit_page(x, &pm);
	}
}

/* ---- header and keywords ------------------------------------------------ */

/* The page counters as they will be. */
static struct counts paged_after(const struct txn *t)
{
	const struct store_mailbox *m = t->m;
	struct counts c = m->paged;

	for (size_t i = 0; i < t->n_edit; i++) {
		struct msg e = *box_live(m, t->edit[i].uid);

		if (e.paged) {
			counts_add(&c, &e, -1, m->recent_uid);
			e.system = t->edit[i].system;
			counts_add(&c, &e, 1, m->recent_uid);
		}
	}
	for (size_t i = 0; i < t->n_del; i++) {
		const struct msg *e = box_live(m, t->del[i]);

		if (e->paged) {
			counts_add(&c, e, -1, m->recent_uid);
		}
	}
	for (size_t i = 0; i < t->n_add; i++) {
		if (t->add[i].paged) {
			counts_add(&c, &t->add[i], 1, m->recent_uid);
		}
	}
	for (size_t i = 0; i < m->n && t->fold_to && m->v[i].uid <= t->fold_to; i++) {
		if (m->v[i].gone_at == 0 && !m->v[i].paged) {
			counts_add(&c, &m->v[i], 1, m->recent_uid);
		}
	}
	return c;
}

/* Old marks are given up page by page, so that they stay bounded. */
static void forget_vanished(struct emit *x)
{
	struct store_mailbox *m = x->t->m;
	uint32_t page = m->next_uid / PAGE_UIDS;

	if (x->t->n_del == 0 || page < m->vanished_page + 2 * VANISHED_PAGES) {
		return;
	}
	/* These two may run ahead of the disk: that only says more went. */
	m->vanished_page = page - VANISHED_PAGES;
	m->vanished_floor = x->t->modseq;
	del_rows(x, 'X', 0, m->vanished_page - 1);
}

static void emit_head(struct emit *x)
{
	struct store_mailbox *m = x->t->m;
	struct head_row h = {
		.uidnext = m->next_uid,
		.modseq = x->t->modseq,
		.recent_uid = m->recent_uid,
		.vanished_page = m->vanished_page,
		.vanished_floor = m->vanished_floor,
		.paged = paged_after(x->t),
	};

	buf_reset(&x->row);
	head_row_put(&h, &x->row);
	put_row(x, key1('H'));
	m->recent_dirty = false;
}

static void emit_keywords(struct emit *x)
{
	struct store_mailbox *m = x->t->m;

	if (m->kw_durable == m->kw_n) {
		return;
	}
	buf_reset(&x->row);
	keywords_put(m->kw, m->kw_n, &x->row);
	put_row(x, key1('K'));
	x->t->kw_n = m->kw_n;
}

int txn_emit(struct txn *t)
{
	struct emit x = { .t = t, .row = BUF_INIT(64 * 1024) };

	emit_keywords(&x);
	emit_adds(&x);
	emit_edits(&x);
	emit_dels(&x);
	emit_vanished(&x);
	if (t->fold_to) {
		emit_fold(&x);
	}
	emit_pages(&x);
	if (t->locked) {
		forget_vanished(&x);
		emit_head(&x);
	}
	if (t->n_add == 0) {
		kv_batch_frees(t->batch);
	}
	buf_fini(&x.row);
	free(x.page);
	free(x.mark);
	return x.err ? -ENOMEM : 0;
}
