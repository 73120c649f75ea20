/*
 * Access control lists and hints (acl.h).
 *
 * A mailbox's list is one row in its account's partition, so it is in memory
 * with the account, and rights are looked up without a wait. Changes happen
 * under the account's lock.
 *
 * A hint is a row in the partition of the account that is given something. It
 * is written before the first right is, and removed after the last one is
 * gone, under the giver's lock, so that at any time, also after a crash, there
 * is a hint for whatever is shared. The other account's hints have a lock of
 * their own (sharers_lock), taken last of all and only here: the giver's lock
 * is held meanwhile, and two accounts may share with each other at the same
 * time.
 */
#include <stdlib.h>

#include "store/impl.h"

/* ---- rows --------------------------------------------------------------- */

void acl_row_put(const struct store_acl_entry *v, size_t n, struct buf *out)
{
	buf_put8(out, ROW_VERSION);
	for (size_t i = 0; i < n; i++) {
		buf_varint(out, v[i].who);
		buf_put8(out, v[i].negative ? ACL_NEGATIVE : 0);
		buf_varint(out, v[i].rights);
	}
}

/* Lists are sorted: by account, the positive entry first. */
static int cmp_entry(const struct store_acl_entry *a, const struct store_acl_entry *b)
{
	if (a->who != b->who) {
		return a->who < b->who ? -1 : 1;
	}
	return (int)a->negative - (int)b->negative;
}

int acl_row_get(struct slice v, struct store_acl_entry *out, size_t *n_out)
{
	struct cur c = cur_init(v);
	size_t n = 0;

	if (cur_get8(&c) != ROW_VERSION) {
		return v.n ? -EPROTO : -EIO;
	}
	while (!cur_done(&c)) {
		struct store_acl_entry x = { .who = cur_varint(&c) };
		uint8_t flags = cur_get8(&c);
		uint64_t rights = cur_varint(&c);

		x.negative = flags & ACL_NEGATIVE;
		x.rights = (unsigned)rights;
		if (c.err || flags > ACL_NEGATIVE || rights == 0 || rights > STORE_RIGHTS_ALL ||
		    n == STORE_ACL_MAX || (n && cmp_entry(&out[n - 1], &x) >= 0)) {
			return -EIO;
		}
		out[n++] = x;
	}
	*n_out = n;
	return c.err ? -EIO : 0;
}

void acl_put(struct kv_batch *b, store_id box, const struct store_acl_entry *v, size_t n)
{
	struct buf row = BUF_INIT(1 + STORE_ACL_MAX * 32);
	struct row_key k = key64('R', box);

	if (n == 0) {
		kv_batch_del(b, key_slice(&k));
		return;
	}
	acl_row_put(v, n, &row);
	/* Without memory the empty key makes the batch fail as a whole. */
	kv_batch_put(b, row.err ? S("") : key_slice(&k), buf_slice(&row));
	buf_fini(&row);
}

int acl_keep(struct store_mailbox *m, const struct store_acl_entry *v, size_t n)
{
	struct store_acl_entry *p = NULL;

	if (n) {
		p = reallocarray(NULL, n, sizeof(*p));
		if (!p) {
			return -ENOMEM;
		}
		memcpy(p, v, n * sizeof(*p));
	}
	free(m->acl);
	m->acl = p;
	m->n_acl = n;
	return 0;
}

int acl_load(struct store_account *a, store_id box, struct slice value)
{
	struct store_acl_entry v[STORE_ACL_MAX];
	size_t n = 0;
	int r = acl_row_get(value, v, &n);

	if (r) {
		return r;
	}
	list_each(it, &a->boxes) {
		struct store_mailbox *m = list_of(it, struct store_mailbox, link);

		if (m->id == box) {
			return acl_keep(m, v, n);
		}
	}
	return 0; /* its mailbox is gone */
}

/* ---- rights ------------------------------------------------------------- */

unsigned store_mailbox_rights(const struct store_mailbox *m, store_id who, bool anyone)
{
	unsigned given = 0, taken = 0;

	home_assert(m->a->home);
	if (who == m->a->id) {
		return STORE_RIGHTS_ALL;
	}
	for (size_t i = 0; i < m->n_acl; i++) {
		const struct store_acl_entry *x = &m->acl[i];

		if (x->who != STORE_ANYONE && x->who != who) {
			continue;
		}
		if (x->negative) {
			taken |= x->rights;
		} else if (x->who == who || anyone) {
			given |= x->rights;
		}
	}
	return given & ~taken;
}

int store_rights(struct store_account *a, struct slice name, store_id who, bool anyone,
		 unsigned *out)
{
	const struct store_mailbox *m = account_find(a, name);

	home_assert(a->home);
	*out = m && !a->gone ? store_mailbox_rights(m, who, anyone) : 0;
	return m && !a->gone ? STORE_OK : STORE_NOTFOUND;
}

const struct store_mailbox *acl_above(const struct store_account *a, struct slice name)
{
	const struct store_mailbox *m = NULL;

	for (struct slice up = name_parent(name); up.n && !m; up = name_parent(up)) {
		m = account_find(a, up);
	}
	return m;
}

unsigned store_rights_above(struct store_account *a, struct slice name, store_id who, bool anyone)
{
	const struct store_mailbox *m = acl_above(a, name);

	if (m) {
		return store_mailbox_rights(m, who, anyone);
	}
	return who == a->id ? STORE_RIGHTS_ALL : 0;
}

int store_acl_get(struct store_account *a, struct slice name, struct arena *arena,
		  struct store_acl_entry **out, size_t *n_out)
{
	const struct store_mailbox *m = account_find(a, name);

	home_assert(a->home);
	if (!m || a->gone) {
		return STORE_NOTFOUND;
	}
	*out = arena_array(arena, m->n_acl, sizeof(**out));
	if (!*out) {
		return -ENOMEM;
	}
	if (m->n_acl) {
		memcpy(*out, m->acl, m->n_acl * sizeof(**out));
	}
	*n_out = m->n_acl;
	return STORE_OK;
}

/* ---- hints: what others share with this account ------------------------- */

int sharer_load(struct store_account *a, store_id owner)
{
	if (a->n_sharers == a->cap_sharers) {
		size_t cap = a->cap_sharers ? a->cap_sharers * 2 : 4;
		store_id *p = reallocarray(a->sharers, cap, sizeof(*p));

		if (!p) {
			return -ENOMEM;
		}
		a->sharers = p;
		a->cap_sharers = cap;
	}
	a->sharers[a->n_sharers++] = owner;
	return 0;
}

static size_t find_sharer(const struct store_account *a, store_id owner)
{
	size_t i = 0;

	while (i < a->n_sharers && a->sharers[i] != owner) {
		i++;
	}
	return i;
}

CO_FN static int commit_sharer(struct store_account *a, store_id owner, bool on, struct err *e)
{
	struct kv_batch *b = kv_batch_new(part_account(a->id));
	struct row_key k = key64('G', owner);
	char version = ROW_VERSION;

	if (!b) {
		return -ENOMEM;
	}
	if (on) {
		kv_batch_put(b, key_slice(&k), slice_make(&version, 1));
	} else {
		kv_batch_del(b, key_slice(&k));
		kv_batch_frees(b);
	}
	int r = store_result(kv_commit(a->home->s->kv, &b, 1), e, "noting who shares");

	kv_batch_free(&b);
	return r;
}

CO_FN static int set_sharer(struct store_account *a, store_id owner, bool on, struct err *e)
{
	size_t i = find_sharer(a, owner);
	int r;

	if ((i < a->n_sharers) == on) {
		return STORE_OK;
	}
	if (on && a->n_sharers >= STORE_SHARERS_MAX) {
		return STORE_LIMIT;
	}
	r = commit_sharer(a, owner, on, e);
	if (r == 0 && on) {
		r = sharer_load(a, owner);
	} else if (r == 0) {
		a->sharers[i] = a->sharers[--a->n_sharers];
	}
	return r;
}

struct hint {
	struct store *s;
	store_id who, owner;
	bool on;
	struct err *e;
};

static int do_hint(void *arg)
{
	struct hint *h = arg;
	struct store_account *a;

	co_enter();
	int r = account_get(home_of(h->s, h->who), h->who, &a, h->e);

	if (r) {
		return r;
	}
	r = co_mutex_lock(&a->sharers_lock);
	if (r == 0) {
		r = a->gone ? STORE_NOTFOUND : set_sharer(a, h->owner, h->on, h->e);
		co_mutex_unlock(&a->sharers_lock);
	}
	account_unref(a);
	return r;
}

/* The hint of those who share with everybody is a row of the store. */
CO_FN static int hint_anyone(struct store *s, store_id owner, bool on, struct err *e)
{
	struct kv_batch *b = kv_batch_new(part_store());
	struct row_key k = key64('W', owner);
	char version = ROW_VERSION;

	if (!b) {
		return -ENOMEM;
	}
	if (on) {
		kv_batch_put(b, key_slice(&k), slice_make(&version, 1));
	} else {
		kv_batch_del(b, key_slice(&k));
		kv_batch_frees(b);
	}
	int r = store_result(kv_commit(s->kv, &b, 1), e, "noting who shares");

	kv_batch_free(&b);
	return r;
}

/* With the owner's lock held. */
CO_FN static int hint(struct store_account *owner, store_id who, bool on, struct err *e)
{
	struct hint h = { owner->home->s, who, owner->id, on, e };

	if (who == STORE_ANYONE) {
		return hint_anyone(h.s, owner->id, on, e);
	}
	return home_call(h.s, who, do_hint, &h);
}

/* Does any mailbox give who something? */
static bool shares(const struct store_account *a, store_id who)
{
	list_each(it, &a->boxes) {
		const struct store_mailbox *m = list_of(it, struct store_mailbox, link);

		for (size_t i = 0; i < m->n_acl; i++) {
			if (m->acl[i].who == who && !m->acl[i].negative) {
				return true;
			}
		}
	}
	return false;
}

/* ---- changing a list ---------------------------------------------------- */

struct acl_new {
	struct store_acl_entry v[STORE_ACL_MAX + 1];
	size_t n;
};

static unsigned changed_rights(unsigned old, unsigned by, enum store_acl_op op)
{
	switch (op) {
	case STORE_ACL_ADD:
		return old | by;
	case STORE_ACL_REMOVE:
		return old & ~by;
	default:
		return by;
	}
}

/* The list as it will be; *rights_out: what the entry has then. */
static int new_list(const struct store_mailbox *m, const struct store_acl_entry *change,
		    enum store_acl_op op, struct acl_new *l, unsigned *rights_out)
{
	struct store_acl_entry x = *change;
	size_t i = 0;

	l->n = 0;
	while (i < m->n_acl && cmp_entry(&m->acl[i], change) < 0) {
		l->v[l->n++] = m->acl[i++];
	}
	bool there = i < m->n_acl && cmp_entry(&m->acl[i], change) == 0;

	x.rights = changed_rights(there ? m->acl[i].rights : 0, change->rights, op);
	if (x.rights) {
		l->v[l->n++] = x;
	}
	for (i += there; i < m->n_acl; i++) {
		l->v[l->n++] = m->acl[i];
	}
	*rights_out = x.rights;
	return l->n > STORE_ACL_MAX ? STORE_LIMIT : 0;
}

CO_FN static int commit_acl(struct store_mailbox *m, const struct acl_new *l, struct err *e)
{
	struct kv_batch *b = kv_batch_new(part_account(m->a->id));

	if (!b) {
		return -ENOMEM;
	}
	acl_put(b, m->id, l->v, l->n);
	kv_batch_frees(b); /* rights can be taken away on a full disk too */
	int r = store_result(kv_commit(box_kv(m), &b, 1), e, "changing an access list");

	kv_batch_free(&b);
	if (r == 0) {
		r = acl_keep(m, l->v, l->n);
	}
	if (r == 0) {
		box_publish(m);
		account_list_changed(m->a);
	}
	return r;
}

CO_FN static int change_locked(struct store_account *a, struct slice name,
			       const struct store_acl_entry *change, enum store_acl_op op,
			       struct err *e)
{
	struct store_mailbox *m = account_find(a, name);
	struct acl_new *l;
	unsigned rights;
	int r;

	if (!m || a->gone) {
		return STORE_NOTFOUND;
	}
	if (change->who == a->id) {
		return STORE_FORBIDDEN;
	}
	l = calloc(1, sizeof(*l));
	r = l ? new_list(m, change, op, l, &rights) : -ENOMEM;
	if (r == 0 && rights && !change->negative) {
		r = hint(a, change->who, true, e);
		r = r == STORE_NOTFOUND ? STORE_FORBIDDEN : r;
	}
	if (r == 0) {
		r = commit_acl(m, l, e);
	}
	if (r == 0 && !change->negative && !shares(a, change->who)) {
		struct err ignored = ERR_INIT;

		/* A hint too many is found out and dropped later. */
		(void)hint(a, change->who, false, &ignored);
	}
	free(l);
	return r;
}

/* What is shared with this account changed: news for who watches it. */
static int do_wake(void *arg)
{
	const struct hint *h = arg;
	struct store_account *a = table_get_u64(&home_of(h->s, h->who)->accounts, h->who);

	if (a && !a->gone) {
		account_list_changed(a);
	}
	return 0;
}

CO_FN int store_acl_change(struct store_account *a, struct slice name,
			   const struct store_acl_entry *change, enum store_acl_op op,
			   struct err *e)
{
	struct hint h = { .s = a->home->s, .who = change->who };

	home_assert(a->home);
	assert((change->rights & ~STORE_RIGHTS_ALL) == 0);
	int r = co_mutex_lock(&a->lock);

	if (r == 0) {
		r = change_locked(a, name, change, op, e);
		co_mutex_unlock(&a->lock);
	}
	if (r == 0 && change->who != STORE_ANYONE) {
		(void)home_call(h.s, h.who, do_wake, &h);
	}
	return r;
}

/* ---- asking who shares -------------------------------------------------- */

struct owners {
	store_id *v;
	size_t n, cap;
	int err;
};

static int add_owner(struct owners *o, store_id id)
{
	if (o->n == o->cap) {
		size_t cap = o->cap ? o->cap * 2 : 16;
		store_id *p = reallocarray(o->v, cap, sizeof(*p));

		if (!p) {
			o->err = -ENOMEM;
			return 1;
		}
		o->v = p;
		o->cap = cap;
	}
	o->v[o->n++] = id;
	return 0;
}

static int note_owner(void *arg, struct slice key, struct slice value)
{
	struct cur k = cur_init(slice_from(key, 1));
	struct owners *o = arg;

	(void)value;
	return o->n >= STORE_SHARERS_MAX ? 1 : add_owner(o, cur_get64be(&k));
}

static int cmp_id(const void *a, const void *b)
{
	const store_id *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Sorted, each once, without self. */
static size_t tidy(store_id *v, size_t n, store_id self)
{
	size_t k = 0;

	if (n) {
		qsort(v, n, sizeof(*v), cmp_id);
	}
	for (size_t i = 0; i < n; i++) {
		if (v[i] != self && (k == 0 || v[k - 1] != v[i])) {
			v[k++] = v[i];
		}
	}
	return k;
}

CO_FN int store_sharers(struct store_account *a, bool anyone, struct arena *arena, store_id **out,
			size_t *n_out, struct err *e)
{
	struct owners o = { 0 };
	int r = 0;

	home_assert(a->home);
	if (anyone) {
		r = kv_scan_prefix(a->home->s->kv, part_store(), S("W"), note_owner, &o);
		r = o.err ? o.err : MIN(r, 0);
	}
	for (size_t i = 0; i < a->n_sharers && r == 0; i++) {
		add_owner(&o, a->sharers[i]);
		r = o.err;
	}
	o.n = r ? 0 : tidy(o.v, o.n, a->id);
	*out = arena_array(arena, o.n, sizeof(**out));
	if (r == 0 && *out && o.n) {
		memcpy(*out, o.v, o.n * sizeof(**out));
	}
	*n_out = o.n;
	free(o.v);
	if (r == 0 && !*out) {
		r = -ENOMEM;
	}
	return r ? store_result(r, e, "looking who shares") : 0;
}

/* On the owner's home: still nothing for him? Then he need not look again. */
static int do_check(void *arg)
{
	struct hint *h = arg;
	struct store_account *a;

	co_enter();
	int r = account_get(home_of(h->s, h->owner), h->owner, &a, h->e);

	if (r == STORE_NOTFOUND) {
		return home_call(h->s, h->who, do_hint, h); /* ids do not come back */
	}
	if (r) {
		return r;
	}
	r = co_mutex_lock(&a->lock);
	if (r == 0) {
		if (!a->gone && !shares(a, h->who)) {
			r = hint(a, h->who, false, h->e);
		}
		co_mutex_unlock(&a->lock);
	}
	account_unref(a);
	return r;
}

CO_FN void store_sharer_check(struct store *s, store_id owner, store_id who)
{
	struct err e = ERR_INIT;
	struct hint h = { s, who, owner, false, &e };

	(void)home_call(s, owner, do_check, &h);
}
