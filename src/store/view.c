/*
 * Views: what a session's client believes the mailbox to be.
 *
 * A view is a prefix of a shared array of UIDs. Sessions in step share the
 * mailbox's current array, which arrivals extend in place (a view's own
 * count decides how much of it is its); an expunge makes the mailbox start a
 * new array, and the old one lives on with the views that still use it. So
 * 10,000 idle sessions on one mailbox cost a few words each.
 *
 * Flag changes are found by modseq: a view remembers the one it has seen,
 * and what it told its client since. Gone messages stay in the mailbox's
 * memory until no view can name them.
 */
#include <stdlib.h>

#include "store/impl.h"

#define TOLD_KEEP 1024 /* a longer list of what was told is given back */

struct range {
	uint32_t from, to; /* to is not in it */
};

struct told {
	uint32_t uid;
	uint64_t modseq;
};

struct store_view {
	struct list link;
	struct store_mailbox *m;
	bool rw;
	struct uids *uids;
	uint32_t n;
	uint32_t expunges; /* of the mailbox, when last all were announced */
	uint64_t modseq;   /* flag changes up to here are announced */
	uint64_t complete; /* everything up to here is, also expunges */
	unsigned kw_n;
	uint32_t recent_told;
	struct range *recent;
	size_t n_recent;
	struct told *told;
	size_t n_told, cap_told;
	bool told_sorted;
	struct co_event ev;
	struct co_event *also;
};

/* ---- shared arrays ------------------------------------------------------ */

struct uids *uids_new(uint32_t cap)
{
	struct uids *u = calloc(1, sizeof(*u));

	if (!u) {
		return NULL;
	}
	u->refs = 1;
	u->cap = MAX(cap, 8);
	u->v = calloc(u->cap, sizeof(*u->v));
	if (!u->v) {
		free(u);
		return NULL;
	}
	return u;
}

struct uids *uids_ref(struct uids *u)
{
	u->refs++;
	return u;
}

void uids_unref(struct uids *u)
{
	if (u && --u->refs == 0) {
		free(u->v);
		free(u);
	}
}

int uids_push(struct uids *u, uint32_t uid)
{
	assert(u->n == 0 || u->v[u->n - 1] < uid);
	if (u->n == u->cap) {
		uint32_t cap = u->cap + u->cap / 2;
		uint32_t *v = reallocarray(u->v, cap, sizeof(*v));

		if (!v) {
			return -ENOMEM;
		}
		u->v = v;
		u->cap = cap;
	}
	u->v[u->n++] = uid;
	return 0;
}

/* The mailbox's living UIDs, borrowed; NULL: no memory. */
static struct uids *box_uids(struct store_mailbox *m)
{
	if (m->cur) {
		return m->cur;
	}
	struct uids *u = uids_new((uint32_t)(m->n - m->n_gone) + 8);

	if (!u) {
		return NULL;
	}
	for (size_t i = 0; i < m->n; i++) {
		if (m->v[i].gone_at == 0) {
			u->v[u->n++] = m->v[i].uid;
		}
	}
	assert(u->n <= u->cap);
	m->cur = u;
	return u;
}

/* ---- what the mailbox calls --------------------------------------------- */

void box_wake(struct store_mailbox *m)
{
	list_each(it, &m->views) {
		struct store_view *v = list_of(it, struct store_view, link);

		co_event_set(&v->ev);
		if (v->also) {
			co_event_set(v->also);
		}
	}
}

void box_publish(struct store_mailbox *m)
{
	box_wake(m);
	m->stamp = ++m->a->stamp;
	account_wake(m->a);
}

void box_compact(struct store_mailbox *m)
{
	uint32_t seen = m->expunges;
	size_t n = 0;

	if (m->n_gone <= 64 + m->n / 64) {
		return; /* not worth the walk */
	}
	list_each(it, &m->views) {
		seen = MIN(seen, list_of(it, struct store_view, link)->expunges);
	}
	for (size_t i = 0; i < m->n; i++) {
		if (m->v[i].gone_at && m->v[i].gone_at <= seen) {
			m->n_gone--;
		} else {
			m->v[n++] = m->v[i];
		}
	}
	m->n = n;
}

/* ---- \Recent ------------------------------------------------------------ */

/* Takes the messages nobody has claimed (rw), or just shows them (ro). */
static int take_recent(struct store_view *v)
{
	struct store_mailbox *m = v->m;
	struct range *last = v->n_recent ? &v->recent[v->n_recent - 1] : NULL;
	uint32_t from = MAX(m->recent_uid, last ? last->to : 0);

	if (from >= m->uidnext) {
		return 0;
	}
	if (last && last->to == from) {
		last->to = m->uidnext;
	} else {
		struct range *p = reallocarray(v->recent, v->n_recent + 1, sizeof(*p));

		if (!p) {
			return -ENOMEM;
		}
		v->recent = p;
		p[v->n_recent++] = (struct range){ from, m->uidnext };
	}
	if (v->rw) {
		m->recent_uid = m->uidnext;
		m->total.recent = m->paged.recent = 0;
		m->recent_dirty = true;
	}
	return 0;
}

uint32_t store_view_recent_count(const struct store_view *v)
{
	uint32_t n = 0;

	for (size_t i = 0; i < v->n_recent; i++) {
		n += store_view_lower(v, v->recent[i].to) - store_view_lower(v, v->recent[i].from);
	}
	return n;
}

bool store_view_recent(const struct store_view *v, uint32_t seq)
{
	uint32_t uid = store_view_uid(v, seq);

	for (size_t i = 0; i < v->n_recent; i++) {
		if (uid >= v->recent[i].from && uid < v->recent[i].to) {
			return true;
		}
	}
	return false;
}

/* ---- opening ------------------------------------------------------------ */

static void view_free(struct store_view *v)
{
	uids_unref(v->uids);
	free(v->recent);
	free(v->told);
	free(v);
}

CO_FN int store_view_open(struct store_mailbox *m, bool rw, struct store_view **out, struct err *e)
{
	home_assert(m->a->home);
	if (m->gone) {
		return STORE_GONE;
	}
	struct uids *u = box_uids(m);
	struct store_view *v = u ? calloc(1, sizeof(*v)) : NULL;

	if (!v) {
		return err_set(e, -ENOMEM, "opening a view", NULL);
	}
	v->m = m;
	v->rw = rw;
	v->uids = uids_ref(u);
	v->n = u->n;
	v->expunges = m->expunges;
	v->modseq = v->complete = m->modseq;
	v->kw_n = m->kw_n;
	v->told_sorted = true;
	co_event_init(&v->ev);
	if (take_recent(v)) {
		view_free(v);
		return err_set(e, -ENOMEM, "opening a view", NULL);
	}
	v->recent_told = store_view_recent_count(v);
	list_push(&m->views, &v->link);
	box_ref(m);
	atomic_fetch_add(&box_store(m)->n_views, 1);
	box_save_recent(m);
	*out = v;
	return STORE_OK;
}

void store_view_close(struct store_view **vp)
{
	struct store_view *v = *vp;

	if (!v) {
		return;
	}
	struct store_mailbox *m = v->m;

	home_assert(m->a->home);
	*vp = NULL;
	list_del(&v->link);
	view_free(v);
	atomic_fetch_sub(&box_store(m)->n_views, 1);
	box_compact(m);
	box_unref(m);
}

/* ---- asking ------------------------------------------------------------- */

struct store_mailbox *store_view_mailbox(const struct store_view *v)
{
	return v->m;
}

uint32_t store_view_count(const struct store_view *v)
{
	return v->n;
}

uint32_t store_view_uid(const struct store_view *v, uint32_t seq)
{
	assert(seq >= 1 && seq <= v->n);
	return v->uids->v[seq - 1];
}

uint32_t store_view_lower(const struct store_view *v, uint32_t uid)
{
	uint32_t lo = 0, hi = v->n;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (v->uids->v[mid] < uid) {
			lo = mid + 1;
		} else {
			hi = mid;
		}
	}
	return lo + 1;
}

uint32_t store_view_seq(const struct store_view *v, uint32_t uid)
{
	uint32_t seq = store_view_lower(v, uid);

	return seq <= v->n && v->uids->v[seq - 1] == uid ? seq : 0;
}

struct msg *view_msg(const struct store_view *v, uint32_t seq)
{
	struct msg *e = box_find(v->m, store_view_uid(v, seq));

	assert(e); /* box_compact keeps what a view can name */
	return e;
}

int store_view_msg(const struct store_view *v, uint32_t seq, struct store_msg *out)
{
	const struct msg *e = view_msg(v, seq);

	*out = (struct store_msg){
		.uid = e->uid,
		.flags = { e->system, e->keywords },
		.modseq = e->modseq,
		.size = e->size,
		.wire_size = (uint64_t)e->size + e->extra,
		.internal_date = e->internal_date,
		.internal_zone = e->zone,
		.save_date = e->save_date,
	};
	memcpy(out->guid, e->blob.b, sizeof(out->guid));
	return e->gone_at ? STORE_NOTFOUND : STORE_OK;
}

struct co_event *store_view_event(struct store_view *v)
{
	return &v->ev;
}

void store_view_wake(struct store_view *v, struct co_event *ev)
{
	v->also = ev;
}

/* ---- what was told ------------------------------------------------------ */

static int cmp_told(const void *a, const void *b)
{
	const struct told *x = a, *y = b;

	if (x->uid != y->uid) {
		return x->uid < y->uid ? -1 : 1;
	}
	return (x->modseq > y->modseq) - (x->modseq < y->modseq);
}

/* In order, and of each message only the newest. */
static void told_sort(struct store_view *v)
{
	size_t n = 0;

	if (v->told_sorted) {
		return;
	}
	qsort(v->told, v->n_told, sizeof(*v->told), cmp_told);
	for (size_t i = 0; i < v->n_told; i++) {
		if (n && v->told[n - 1].uid == v->told[i].uid) {
			n--;
		}
		v->told[n++] = v->told[i];
	}
	v->n_told = n;
	v->told_sorted = true;
}

static int told_room(struct store_view *v)
{
	if (v->n_told < v->cap_told) {
		return 0;
	}
	told_sort(v); /* often that is room enough */
	if (v->n_told <= v->cap_told / 2 && v->cap_told) {
		return 0;
	}
	size_t cap = v->cap_told ? v->cap_told * 2 : 16;
	struct told *p = reallocarray(v->told, cap, sizeof(*p));

	if (!p) {
		return -ENOMEM;
	}
	v->told = p;
	v->cap_told = cap;
	return 0;
}

void view_told_uid(struct store_view *v, uint32_t uid, uint64_t modseq)
{
	if (modseq <= v->modseq || told_room(v)) {
		return; /* without memory it is announced once more */
	}
	if (v->n_told && v->told[v->n_told - 1].uid >= uid) {
		v->told_sorted = false;
	}
	v->told[v->n_told++] = (struct told){ uid, modseq };
}

void store_view_told(struct store_view *v, uint32_t seq, uint64_t modseq)
{
	view_told_uid(v, store_view_uid(v, seq), modseq);
}

/* The highest modseq of this message that the client has heard of. */
static uint64_t told_modseq(struct store_view *v, uint32_t uid)
{
	told_sort(v);
	size_t lo = 0, hi = v->n_told;

	while (lo < hi) { /* first one behind uid */
		size_t mid = (lo + hi) / 2;

		if (v->told[mid].uid <= uid) {
			lo = mid + 1;
		} else {
			hi = mid;
		}
	}
	if (lo == 0 || v->told[lo - 1].uid != uid) {
		return v->modseq;
	}
	return MAX(v->modseq, v->told[lo - 1].modseq);
}

/* Flags of this message are to be announced. */
bool view_is_news(struct store_view *v, const struct msg *e)
{
	return e->gone_at == 0 && e->modseq > v->modseq && e->modseq > told_modseq(v, e->uid);
}

/* ---- synchronising ------------------------------------------------------ */

static uint32_t last_uid(const struct store_view *v)
{
	return v->n ? v->uids->v[v->n - 1] : 0;
}

/* Messages of the view that are not in `now`, highest number first. */
static int find_expunged(const struct store_view *v, const struct uids *now, struct arena *arena,
			 struct store_diff *out)
{
	size_t n = 0, cap = 0;
	uint32_t j = 0;

	for (uint32_t i = 0; i < v->n; i++) {
		while (j < now->n && now->v[j] < v->uids->v[i]) {
			j++;
		}
		cap += j == now->n || now->v[j] != v->uids->v[i];
	}
	out->expunged = arena_array(arena, cap, sizeof(uint32_t));
	out->expunged_uids = arena_array(arena, cap, sizeof(uint32_t));
	if (!out->expunged || !out->expunged_uids) {
		return -ENOMEM;
	}
	j = now->n;
	for (uint32_t i = v->n; i > 0; i--) {
		uint32_t uid = v->uids->v[i - 1];

		while (j > 0 && now->v[j - 1] > uid) {
			j--;
		}
		if (j == 0 || now->v[j - 1] != uid) {
			out->expunged[n] = i;
			out->expunged_uids[n++] = uid;
		}
	}
	assert(n == cap);
	out->n_expunged = n;
	return 0;
}

/* The view's array and the arrivals; gone ones stay. NULL: no memory. */
static struct uids *extend(struct store_view *v, const struct uids *now)
{
	uint32_t last = last_uid(v);
	uint32_t i = now->n;

	while (i > 0 && now->v[i - 1] > last) {
		i--;
	}
	if (i == now->n && v->n == v->uids->n) {
		return uids_ref(v->uids);
	}
	struct uids *u = uids_new(v->n + (now->n - i) + 8);

	if (!u) {
		return NULL;
	}
	memcpy(u->v, v->uids->v, v->n * sizeof(*u->v));
	u->n = v->n;
	while (i < now->n) {
		u->v[u->n++] = now->v[i++];
	}
	return u;
}

static int find_changed(struct store_view *v, const struct uids *next, struct arena *arena,
			struct store_diff *out)
{
	uint32_t last = last_uid(v);
	size_t n = 0, at = 0;

	if (v->m->flag_modseq <= v->modseq) {
		return 0;
	}
	struct store_change *c = NULL;

	for (int pass = 0; pass < 2; pass++) {
		n = 0;
		at = 0;
		for (uint32_t i = 0; i < next->n && next->v[i] <= last; i++) {
			while (v->m->v[at].uid < next->v[i]) {
				at++;
				assert(at < v->m->n);
			}
			if (!view_is_news(v, &v->m->v[at])) {
				continue;
			}
			if (c) {
				c[n] = (struct store_change){ i + 1, next->v[i] };
			}
			n++;
		}
		if (!c) {
			c = arena_array(arena, n, sizeof(*c));
		}
		if (!c) {
			return -ENOMEM;
		}
	}
	out->changed = c;
	out->n_changed = n;
	return 0;
}

static void adopt(struct store_view *v, struct uids *next, struct store_diff *out)
{
	uint32_t was = v->n - (uint32_t)out->n_expunged;

	out->exists = next->n;
	out->exists_changed = next->n != was;
	uids_unref(v->uids);
	v->uids = next;
	v->n = next->n;
	v->modseq = v->m->modseq;
	v->n_told = 0;
	v->told_sorted = true;
	if (v->cap_told > TOLD_KEEP) {
		free(v->told);
		v->told = NULL;
		v->cap_told = 0;
	}
	out->keywords_changed = v->kw_n != v->m->kw_n;
	v->kw_n = v->m->kw_n;
	out->recent = store_view_recent_count(v);
	out->recent_changed = out->recent != v->recent_told;
	v->recent_told = out->recent;
}

int store_view_sync(struct store_view *v, bool expunges, struct arena *arena,
		    struct store_diff *out)
{
	struct store_mailbox *m = v->m;
	struct store_diff d = { 0 };

	home_assert(m->a->home);
	if (m->gone) {
		return STORE_GONE;
	}
	struct uids *now = box_uids(m);
	struct uids *next;
	int r = 0;

	if (!now || take_recent(v)) {
		return -ENOMEM;
	}
	if (expunges && v->expunges != m->expunges) {
		r = find_expunged(v, now, arena, &d);
	}
	if (r) {
		return r;
	}
	if (expunges || v->expunges == m->expunges) {
		next = uids_ref(now);
	} else {
		next = extend(v, now);
	}
	r = next ? find_changed(v, next, arena, &d) : -ENOMEM;
	if (r) {
		uids_unref(next);
		return r;
	}
	adopt(v, next, &d);
	if (expunges) {
		v->expunges = m->expunges;
		box_compact(m);
	}
	if (v->expunges == m->expunges) {
		v->complete = m->modseq;
	}
	*out = d;
	return STORE_OK;
}

unsigned store_view_keywords(const struct store_view *v)
{
	return v->kw_n;
}

void store_view_keywords_told(struct store_view *v, unsigned n)
{
	assert(n <= v->m->kw_n);
	v->kw_n = n;
}

static bool flags_stale(struct store_view *v)
{
	size_t at = 0;

	if (v->m->flag_modseq <= v->modseq) {
		return false;
	}
	for (uint32_t i = 0; i < v->n; i++) {
		while (v->m->v[at].uid < v->uids->v[i]) {
			at++;
		}
		if (view_is_news(v, &v->m->v[at])) {
			return true;
		}
	}
	return false;
}

static bool has_arrivals(const struct store_view *v)
{
	uint32_t last = last_uid(v);

	for (size_t i = v->m->n; i > 0 && v->m->v[i - 1].uid > last; i--) {
		if (v->m->v[i - 1].gone_at == 0) {
			return true;
		}
	}
	return false;
}

bool store_view_stale(const struct store_view *v)
{
	const struct store_mailbox *m = v->m;

	/* Sorting what was told is the only thing that is not const. */
	return m->gone || m->expunges != v->expunges || m->kw_n != v->kw_n || has_arrivals(v) ||
	       flags_stale((struct store_view *)v);
}

bool store_view_behind(const struct store_view *v)
{
	const struct store_mailbox *m = v->m;

	return m->gone || m->expunges != v->expunges || m->kw_n != v->kw_n ||
	       m->modseq != v->modseq;
}

uint64_t store_view_modseq(const struct store_view *v)
{
	return v->complete;
}

uint32_t store_view_first_unseen(const struct store_view *v)
{
	size_t at = 0;

	for (uint32_t i = 0; v->m->total.unseen > 0 && i < v->n; i++) {
		while (v->m->v[at].uid < v->uids->v[i]) {
			at++;
			assert(at < v->m->n);
		}
		if (v->m->v[at].gone_at == 0 && !(v->m->v[at].system & STORE_SEEN)) {
			return i + 1;
		}
	}
	return 0;
}
