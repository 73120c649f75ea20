/*
 * Mailboxes in memory: bringing them in, keeping, letting go.
 *
 * A mailbox has three states. Cold: the account's list is all there is.
 * Light: header, keywords and the single rows, which is all a delivery, a
 * STATUS or a quota sum needs. Loaded: every message, 64 bytes each, for
 * sessions. What is loaded and no longer used stays for a while (home's warm
 * list). Counters of pages come from the header; they are derived, and set
 * right by a load when they differ.
 */
#include <stdlib.h>

#include "store/impl.h"

/* ---- reference counts --------------------------------------------------- */

void box_ref(struct store_mailbox *m)
{
	struct home *h = m->a->home;

	home_assert(h);
	if (m->refs++ == 0) {
		account_ref(m->a);
		if (!list_empty(&m->warm)) {
			list_del(&m->warm);
			h->n_warm_boxes--;
		}
	}
}

static void keep_warm(struct store_mailbox *m)
{
	struct home *h = m->a->home;

	if (m->n > WARM_MESSAGES) {
		box_unload(m);
		return;
	}
	list_push(&h->warm_boxes, &m->warm);
	if (++h->n_warm_boxes > MAILBOXES_WARM) {
		struct store_mailbox *old = list_of(h->warm_boxes.next, struct store_mailbox, warm);

		list_del(&old->warm);
		h->n_warm_boxes--;
		box_unload(old);
	}
}

void box_unref(struct store_mailbox *m)
{
	struct store_account *a = m->a;

	assert(m->refs > 0);
	if (--m->refs) {
		return;
	}
	assert(list_empty(&m->pipe) && list_empty(&m->views));
	if (m->gone) {
		box_free(m);
	} else if (m->state == BOX_LOADED) {
		keep_warm(m);
	}
	account_unref(a);
}

void box_free(struct store_mailbox *m)
{
	assert(m->refs == 0);
	text_forget(m);
	if (!list_empty(&m->warm)) {
		list_del(&m->warm);
		m->a->home->n_warm_boxes--;
	}
	for (unsigned i = 0; i < m->kw_n; i++) {
		free((char *)m->kw[i].p);
	}
	uids_unref(m->cur);
	free(m->kw);
	free(m->v);
	free(m->acl);
	free((char *)m->name.p);
	free(m);
}

void box_unload(struct store_mailbox *m)
{
	size_t n = 0;

	assert(list_empty(&m->views));
	for (size_t i = 0; i < m->n; i++) {
		if (m->v[i].gone_at == 0 && !m->v[i].paged) {
			m->v[n++] = m->v[i];
		}
	}
	m->n = n;
	m->n_gone = 0;
	m->state = BOX_LIGHT;
	uids_unref(m->cur);
	m->cur = NULL;
	/* Give the memory back; keep room for what is on its way. */
	size_t cap = MAX(n + m->pending_adds, 1);
	struct msg *v = reallocarray(m->v, cap, sizeof(*v));

	if (v) {
		m->v = v;
		m->cap = cap;
	}
}

void box_set_gone(struct store_mailbox *m)
{
	m->gone = true;
	box_publish(m);
}

/* ---- the array ---------------------------------------------------------- */

size_t box_lower(const struct store_mailbox *m, uint32_t uid)
{
	size_t lo = 0, hi = m->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (m->v[mid].uid < uid) {
			lo = mid + 1;
		} else {
			hi = mid;
		}
	}
	return lo;
}

struct msg *box_find(const struct store_mailbox *m, uint32_t uid)
{
	/* Who asks for one asks for the next one: that needs no search. */
	for (size_t i = m->found; i < m->n && i <= m->found + 1; i++) {
		if (m->v[i].uid == uid) {
			((struct store_mailbox *)m)->found = i;
			return &m->v[i];
		}
	}
	size_t i = box_lower(m, uid);

	((struct store_mailbox *)m)->found = i;
	return i < m->n && m->v[i].uid == uid ? &m->v[i] : NULL;
}

struct msg *box_live(const struct store_mailbox *m, uint32_t uid)
{
	struct msg *e = box_find(m, uid);

	return e && e->gone_at == 0 ? e : NULL;
}

int box_reserve(struct store_mailbox *m, size_t n)
{
	size_t need = m->n + m->pending_adds + n;

	if (need <= m->cap) {
		return 0;
	}
	size_t cap = MAX(need, m->cap + m->cap / 2 + 4);
	struct msg *v = reallocarray(m->v, cap, sizeof(*v));

	if (!v) {
		return -ENOMEM;
	}
	m->v = v;
	m->cap = cap;
	return 0;
}

void counts_add(struct counts *c, const struct msg *e, int sign, uint32_t recent_uid)
{
	uint32_t s = (uint32_t)sign; /* wraps as intended */

	c->messages += s;
	c->bytes += (uint64_t)sign * e->size;
	if (!(e->system & STORE_SEEN)) {
		c->unseen += s;
	}
	if (e->system & STORE_DELETED) {
		c->deleted += s;
	}
	if (e->uid >= recent_uid) {
		c->recent += s;
	}
}

/* ---- light -------------------------------------------------------------- */

static int damaged(int r, const struct store_mailbox *m, const char *what, struct err *e)
{
	if (r == -EPROTO) {
		return err_set(e, r, "mailbox was written by a newer version",
			       "account %llu mailbox %llu: %s", (unsigned long long)m->a->id,
			       (unsigned long long)m->id, what);
	}
	return err_set(e, r < 0 ? r : -EIO, "mailbox is damaged", "account %llu mailbox %llu: %s",
		       (unsigned long long)m->a->id, (unsigned long long)m->id, what);
}

CO_FN static int get_row(struct store_mailbox *m, struct row_key k, struct buf *b)
{
	buf_reset(b);
	int r = kv_get(box_kv(m), part_mailbox(m->a->id, m->id), key_slice(&k), b);

	return r == KV_OK && b->err ? b->err : r;
}

CO_FN static int load_head(struct store_mailbox *m, struct err *e)
{
	struct buf b = BUF_INIT(64 * 1024);
	struct head_row h = { .uidnext = 1, .recent_uid = 1 };
	int r = get_row(m, key1('H'), &b);

	if (r == KV_OK) {
		r = head_row_get(buf_slice(&b), &h);
	} else if (r == KV_NOTFOUND) {
		r = 0;
	}
	buf_fini(&b);
	if (r) {
		return damaged(r, m, "header", e);
	}
	m->next_uid = m->uidnext = h.uidnext;
	m->modseq = m->next_modseq = MAX(h.modseq, 1);
	m->flag_modseq = m->modseq;
	m->recent_uid = h.recent_uid;
	m->recent_dirty = false;
	m->vanished_page = h.vanished_page;
	m->vanished_floor = h.vanished_floor;
	m->paged = m->total = h.paged;
	return 0;
}

CO_FN static int load_keywords(struct store_mailbox *m, struct err *e)
{
	struct buf b = BUF_INIT(64 * 1024);
	struct slice names[STORE_KEYWORDS_MAX];
	size_t n = 0;
	int r = get_row(m, key1('K'), &b);

	if (r == KV_OK) {
		r = keywords_get(buf_slice(&b), names, &n);
	} else if (r == KV_NOTFOUND) {
		r = 0;
	}
	for (size_t i = 0; i < n && r == 0; i++) {
		r = box_add_keyword(m, names[i]);
	}
	m->kw_durable = m->kw_n;
	buf_fini(&b);
	return r ? damaged(r, m, "keywords", e) : 0;
}

struct load {
	struct store_mailbox *m;
	struct msg *v;
	size_t n, cap;
	size_t at; /* fixed pages: where the next page's messages begin */
	int err;
};

static int load_room(struct load *l, size_t n)
{
	if (l->n + n <= l->cap) {
		return 0;
	}
	size_t cap = MAX(l->cap * 2, 256) + n;
	struct msg *v = reallocarray(l->v, cap, sizeof(*v));

	if (!v) {
		return -ENOMEM;
	}
	l->v = v;
	l->cap = cap;
	return 0;
}

/* The number in a key of one letter and 32 bits; 0 if it is none. */
static uint32_t key_number(struct slice key)
{
	struct cur c = cur_init(slice_from(key, 1));
	uint32_t v = cur_get32be(&c);

	return c.err || !cur_done(&c) ? UINT32_MAX : v;
}

static int load_single(void *arg, struct slice key, struct slice value)
{
	struct load *l = arg;

	l->err = load_room(l, 1);
	if (l->err == 0) {
		l->err = single_get(key_number(key), value, &l->v[l->n]);
	}
	l->n += l->err == 0;
	return l->err != 0;
}

CO_FN static int scan_rows(struct store_mailbox *m, char kind, kv_row_fn *fn, struct load *l)
{
	int r = kv_scan_prefix(box_kv(m), part_mailbox(m->a->id, m->id), slice_make(&kind, 1), fn,
			       l);

	return l->err ? l->err : r;
}

CO_FN static int load_singles(struct store_mailbox *m, struct err *e)
{
	struct load l = { .m = m };
	int r = scan_rows(m, 'M', load_single, &l);

	if (r) {
		free(l.v);
		return damaged(r, m, "message rows", e);
	}
	assert(m->n == 0 && m->pending_adds == 0);
	free(m->v);
	m->v = l.v;
	m->n = m->n_single = l.n;
	m->cap = l.cap;
	for (size_t i = 0; i < m->n; i++) {
		counts_add(&m->total, &m->v[i], 1, m->recent_uid);
		m->modseq = MAX(m->modseq, m->v[i].modseq);
	}
	if (m->n && m->v[m->n - 1].uid >= m->uidnext) {
		m->uidnext = m->v[m->n - 1].uid + 1;
	}
	m->next_uid = m->uidnext;
	m->flag_modseq = m->next_modseq = m->modseq;
	return 0;
}

static void forget_keywords(struct store_mailbox *m)
{
	for (unsigned i = 0; i < m->kw_n; i++) {
		free((char *)m->kw[i].p);
	}
	m->kw_n = m->kw_durable = 0;
}

CO_FN static int make_light(struct store_mailbox *m, struct err *e)
{
	int r = load_head(m, e);

	if (r == 0) {
		r = load_keywords(m, e);
	}
	if (r == 0) {
		r = load_singles(m, e);
	}
	if (r) {
		forget_keywords(m);
		return r;
	}
	m->state = BOX_LIGHT;
	return 0;
}

CO_FN int box_light(struct store_mailbox *m, struct err *e)
{
	assert(m->refs);
	if (m->state != BOX_COLD) {
		return m->gone ? STORE_GONE : 0;
	}
	int r = co_mutex_lock(&m->lock);

	if (r) {
		return r;
	}
	if (m->gone) {
		r = STORE_GONE;
	} else if (m->state == BOX_COLD) {
		r = make_light(m, e);
	}
	co_mutex_unlock(&m->lock);
	return r;
}

/* ---- loaded ------------------------------------------------------------- */

static int load_flags(void *arg, struct slice key, struct slice value)
{
	struct load *l = arg;
	size_t n = 0;

	l->err = load_room(l, PAGE_UIDS);
	if (l->err == 0) {
		l->err = flags_page_get(key_number(key), value, l->v + l->n, &n);
	}
	l->n += l->err ? 0 : n;
	return l->err != 0;
}

static int load_fixed(void *arg, struct slice key, struct slice value)
{
	struct load *l = arg;
	uint32_t page = key_number(key);
	size_t n = 0;

	while (l->at + n < l->n && l->v[l->at + n].uid / PAGE_UIDS == page) {
		n++;
	}
	l->err = fixed_page_get(page, value, l->v + l->at, n);
	l->at += n;
	return l->err != 0;
}

/*
 * Puts the pages' messages between the single ones. A header that is behind
 * its pages has forgotten UIDs: giving those out again would be worse than
 * keeping the mailbox shut.
 */
static int merge(struct store_mailbox *m, const struct load *l)
{
	if (l->n && l->v[l->n - 1].uid >= m->next_uid) {
		return -EIO;
	}
	size_t cap = m->n + l->n + m->pending_adds + 1;
	struct msg *v = reallocarray(NULL, cap, sizeof(*v));
	size_t i = 0, j = 0, n = 0;

	if (!v) {
		return -ENOMEM;
	}
	while (i < m->n || j < l->n) {
		bool mine = j == l->n || (i < m->n && m->v[i].uid < l->v[j].uid);

		v[n++] = mine ? m->v[i++] : l->v[j++];
		if (n > 1 && v[n - 1].uid <= v[n - 2].uid) {
			free(v);
			return -EIO; /* one UID, two rows */
		}
	}
	free(m->v);
	m->v = v;
	m->n = n;
	m->cap = cap;
	return 0;
}

/* The header's counters are derived: what the rows say is right. */
static void recount(struct store_mailbox *m)
{
	memset(&m->total, 0, sizeof(m->total));
	memset(&m->paged, 0, sizeof(m->paged));
	for (size_t i = 0; i < m->n; i++) {
		counts_add(&m->total, &m->v[i], 1, m->recent_uid);
		if (m->v[i].paged) {
			counts_add(&m->paged, &m->v[i], 1, m->recent_uid);
		}
		m->modseq = MAX(m->modseq, m->v[i].modseq);
	}
	m->next_modseq = MAX(m->next_modseq, m->modseq);
	if (m->n && m->v[m->n - 1].uid >= m->uidnext) {
		m->uidnext = m->v[m->n - 1].uid + 1;
	}
	m->next_uid = MAX(m->next_uid, m->uidnext);
}

CO_FN static int make_loaded(struct store_mailbox *m, struct err *e)
{
	struct load l = { .m = m };
	int r = scan_rows(m, 'F', load_flags, &l);

	if (r == 0) {
		r = scan_rows(m, 'P', load_fixed, &l);
	}
	if (r == 0 && l.at != l.n) {
		r = -EIO;
	}
	if (r == 0) {
		r = merge(m, &l);
	}
	free(l.v);
	if (r) {
		return damaged(r, m, "message pages", e);
	}
	recount(m);
	m->state = BOX_LOADED;
	return 0;
}

CO_FN int box_load(struct store_mailbox *m, struct err *e)
{
	int r = box_light(m, e);

	if (r || m->state == BOX_LOADED) {
		return r;
	}
	r = co_mutex_lock(&m->lock);
	if (r) {
		return r;
	}
	if (m->gone || m->closing) {
		r = STORE_GONE;
	} else if (m->state == BOX_LIGHT) {
		r = make_loaded(m, e);
		if (r == 0) {
			text_touch(m, TEXT_REST_MS);
		}
	}
	co_mutex_unlock(&m->lock);
	return r;
}

CO_FN int box_load_page(struct store_mailbox *m, uint32_t page, struct err *e)
{
	struct buf b = BUF_INIT(KV_VALUE_MAX);
	struct load l = { .m = m };
	struct row_key key = key32('F', page);

	assert(m->state == BOX_LIGHT && m->lock.locked);
	int r = get_row(m, key, &b);

	if (r == KV_NOTFOUND) {
		buf_fini(&b);
		return 0;
	}
	if (r == KV_OK && load_flags(&l, key_slice(&key), buf_slice(&b))) {
		r = l.err;
	}
	if (r == KV_OK) {
		key = key32('P', page);
		r = get_row(m, key, &b);
	}
	if (r == KV_OK && load_fixed(&l, key_slice(&key), buf_slice(&b))) {
		r = l.err;
	}
	if (r == KV_OK) {
		r = merge(m, &l);
	}
	buf_fini(&b);
	free(l.v);
	return r ? damaged(r, m, "message page", e) : 0;
}

/* ---- changing ----------------------------------------------------------- */

CO_FN int box_lock(struct store_mailbox *m, struct err *e)
{
	home_assert(m->a->home);
	int r = co_mutex_lock(&m->lock);

	if (r) {
		return err_set(e, r, "waiting for the mailbox", NULL);
	}
	if (m->gone || m->closing) {
		co_mutex_unlock(&m->lock);
		return STORE_GONE;
	}
	assert(m->state == BOX_LOADED);
	return 0;
}

/* Loads the pages that the single rows belong to. */
CO_FN static int load_fold_pages(struct store_mailbox *m, uint32_t to)
{
	uint32_t next = 0; /* first page not looked at yet */
	struct err e = ERR_INIT;

	for (;;) {
		size_t i = box_lower(m, next * PAGE_UIDS);

		while (i < m->n && m->v[i].paged) {
			i++;
		}
		if (i == m->n || m->v[i].uid > to) {
			return 0;
		}
		uint32_t page = m->v[i].uid / PAGE_UIDS;
		int r = box_load_page(m, page, &e);

		if (r) {
			return r;
		}
		next = page + 1;
	}
}

CO_FN static int fold(struct store_mailbox *m, uint32_t to)
{
	struct err e = ERR_INIT;
	int r = m->state == BOX_LIGHT ? load_fold_pages(m, to) : 0;

	if (r) {
		return r;
	}
	struct txn *t = txn_new(m, true);

	if (!t) {
		return -ENOMEM;
	}
	t->fold_to = to;
	r = txn_seal(t);
	if (r == 0) {
		r = txn_commit(&t, 1, &e);
	}
	txn_free(&t);
	return r;
}

CO_FN void box_fold(struct store_mailbox *m)
{
	if (m->n_single < FOLD_AT || m->lock.locked || m->gone || m->closing ||
	    m->state == BOX_COLD || co_mutex_lock(&m->lock)) {
		return;
	}
	if (m->n_single >= FOLD_AT && !m->gone && !m->closing) {
		/* A fold that fails changes nothing; the next one retries. */
		if (fold(m, m->v[m->n - 1].uid) && m->state == BOX_LIGHT) {
			box_unload(m);
		}
	}
	co_mutex_unlock(&m->lock);
}

CO_FN void box_drain(struct store_mailbox *m)
{
	struct txn t = { .m = m, .done = true, .sealed = true };

	if (list_empty(&m->pipe)) {
		return;
	}
	t.result = -ECANCELED; /* nothing to apply */
	t.waiting = true;
	co_signal_init(&t.signal);
	list_push(&m->pipe, &t.link);
	co_signal_wait(&t.signal);
	assert(t.applied);
}

CO_FN void box_save_recent(struct store_mailbox *m)
{
	struct err e = ERR_INIT;

	if (!m->recent_dirty || box_lock(m, &e)) {
		return;
	}
	struct txn *t = m->recent_dirty ? txn_new(m, true) : NULL;

	/* What fails here leaves the mark to the next change. */
	if (t && txn_seal(t) == 0) {
		(void)txn_commit(&t, 1, &e);
	}
	txn_free(&t);
	co_mutex_unlock(&m->lock);
}

/* ---- keywords ----------------------------------------------------------- */

int box_add_keyword(struct store_mailbox *m, struct slice name)
{
	if (m->kw_n == STORE_KEYWORDS_MAX || name.n == 0 || name.n > STORE_KEYWORD_MAX) {
		return STORE_LIMIT;
	}
	if (!m->kw) {
		m->kw = calloc(STORE_KEYWORDS_MAX, sizeof(*m->kw));
	}
	char *copy = m->kw ? malloc(name.n) : NULL;

	if (!copy) {
		return -ENOMEM;
	}
	memcpy(copy, name.p, name.n);
	m->kw[m->kw_n++] = slice_make(copy, name.n);
	return 0;
}

CO_FN int store_keywords(struct store_mailbox *m, struct arena *arena, struct slice **names_out,
			 size_t *n_out)
{
	struct slice *names = arena_array(arena, m->kw_n, sizeof(*names));

	home_assert(m->a->home);
	if (!names) {
		return -ENOMEM;
	}
	for (unsigned i = 0; i < m->kw_n; i++) {
		names[i] = arena_dup(arena, m->kw[i]);
	}
	if (arena_err(arena)) {
		return -ENOMEM;
	}
	*names_out = names;
	*n_out = m->kw_n;
	return 0;
}

unsigned store_keyword_count(const struct store_mailbox *m)
{
	return m->kw_n;
}

int store_keyword_bits(struct store_mailbox *m, const struct slice *names, size_t n, bool create,
		       uint64_t *bits_out)
{
	uint64_t bits = 0;

	home_assert(m->a->home);
	for (size_t i = 0; i < n; i++) {
		unsigned k = 0;

		while (k < m->kw_n && !slice_ieq(m->kw[k], names[i])) {
			k++;
		}
		if (k == m->kw_n) {
			int r = create ? box_add_keyword(m, names[i]) : 0;

			if (r) {
				return r;
			}
			if (!create) {
				continue;
			}
		}
		bits |= UINT64_C(1) << k;
	}
	*bits_out = bits;
	return STORE_OK;
}

/* ---- handles ------------------------------------------------------------ */

CO_FN int store_mailbox_open(struct store_account *a, struct slice name, struct store_mailbox **out,
			     struct err *e)
{
	struct buf canon = BUF_INIT(4 * STORE_NAME_MAX);

	home_assert(a->home);
	int r = store_name_canon(name, &canon);
	struct store_mailbox *m = r ? NULL : account_find(a, buf_slice(&canon));

	buf_fini(&canon);
	if (!m || a->gone) {
		return STORE_NOTFOUND;
	}
	box_ref(m);
	r = box_load(m, e);
	if (r) {
		box_unref(m);
		return r == STORE_GONE ? STORE_NOTFOUND : r;
	}
	atomic_fetch_add(&box_store(m)->n_boxes, 1);
	*out = m;
	return STORE_OK;
}

void store_mailbox_close(struct store_mailbox **mp)
{
	struct store_mailbox *m = *mp;

	if (!m) {
		return;
	}
	*mp = NULL;
	atomic_fetch_sub(&box_store(m)->n_boxes, 1);
	box_unref(m);
}

void store_mailbox_get_status(const struct store_mailbox *m, struct store_status *out)
{
	assert(m->state != BOX_COLD);
	*out = (struct store_status){
		.id = m->id,
		.uidvalidity = m->uidvalidity,
		.uidnext = m->uidnext,
		.messages = m->total.messages,
		.unseen = m->total.unseen,
		.recent = m->total.recent,
		.deleted = m->total.deleted,
		.size = m->total.bytes,
		.highestmodseq = m->modseq,
	};
}

CO_FN int store_mailbox_status(struct store_account *a, struct slice name, struct store_status *out,
			       struct err *e)
{
	struct buf canon = BUF_INIT(4 * STORE_NAME_MAX);

	home_assert(a->home);
	int r = store_name_canon(name, &canon);
	struct store_mailbox *m = r ? NULL : account_find(a, buf_slice(&canon));

	buf_fini(&canon);
	if (!m || a->gone) {
		return STORE_NOTFOUND;
	}
	box_ref(m);
	r = box_light(m, e);
	if (r == 0) {
		store_mailbox_get_status(m, out);
	}
	box_unref(m);
	return r == STORE_GONE ? STORE_NOTFOUND : r;
}

bool store_mailbox_gone(const struct store_mailbox *m)
{
	return m->gone;
}

struct slice store_mailbox_name(const struct store_mailbox *m)
{
	home_assert(m->a->home);
	return m->name;
}

struct store_account *store_mailbox_account(const struct store_mailbox *m)
{
	return m->a;
}
