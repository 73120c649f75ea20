/*
 * Mailbox names: their form, subscriptions, and the LIST of an account.
 *
 * A name is an opaque value of a row, never a key and never a path
 * (THREATS IM-08): what separates mailboxes on disk is their id. It is UTF-8
 * in NFC, so that no two names look alike by normalisation only; INBOX in any
 * case at the first level is INBOX.
 */
#include <stdlib.h>

#include "store/impl.h"

/* ---- form --------------------------------------------------------------- */

static bool bad_char(int32_t cp)
{
	/* C0, DEL, C1; line and paragraph separators; LIST's wildcards. */
	return cp < 0x20 || (cp >= 0x7f && cp < 0xa0) || cp == 0x2028 || cp == 0x2029 ||
	       cp == '*' || cp == '%';
}

static bool good_level(struct slice level)
{
	if (level.n == 0) {
		return false;
	}
	while (level.n) {
		if (bad_char(utf8_next(&level))) {
			return false;
		}
	}
	return true;
}

static int check_levels(struct slice name)
{
	if (name.n == 0 || name.n > STORE_NAME_MAX || name_levels(name) > STORE_DEPTH_MAX) {
		return STORE_BADNAME;
	}
	for (struct slice rest = name; rest.p;) {
		if (!good_level(slice_split(&rest, '/'))) {
			return STORE_BADNAME;
		}
	}
	return STORE_OK;
}

int store_name_canon(struct slice name, struct buf *out)
{
	size_t at = out->n;

	if (name.n == 0 || name.n > 4 * STORE_NAME_MAX || utf8_nfc(out, name) || out->err) {
		return STORE_BADNAME;
	}
	struct slice canon = slice_from(buf_slice(out), at);

	if (check_levels(canon)) {
		buf_truncate(out, at);
		return STORE_BADNAME;
	}
	struct slice rest = canon;

	if (slice_ieq(slice_split(&rest, '/'), S("INBOX"))) {
		memcpy(out->p + at, "INBOX", 5);
	}
	return STORE_OK;
}

unsigned name_levels(struct slice name)
{
	unsigned n = 1;

	for (size_t i = 0; i < name.n; i++) {
		n += name.p[i] == '/';
	}
	return n;
}

bool name_below(struct slice name, struct slice parent)
{
	return name.n > parent.n && slice_starts(name, parent) && name.p[parent.n] == '/';
}

struct slice name_parent(struct slice name)
{
	size_t at = slice_rchr(name, '/');

	return at == SIZE_MAX ? S("") : slice_sub(name, 0, at);
}

/* ---- subscriptions ------------------------------------------------------ */

void sub_put(struct kv_batch *b, uint32_t id, struct slice name)
{
	char row[1 + STORE_NAME_MAX];
	struct row_key k = key32('S', id);

	assert(name.n <= STORE_NAME_MAX);
	row[0] = ROW_VERSION;
	memcpy(row + 1, name.p, name.n);
	kv_batch_put(b, key_slice(&k), slice_make(row, 1 + name.n));
}

static struct sub *find_sub(const struct store_account *a, struct slice name)
{
	for (size_t i = 0; i < a->n_subs; i++) {
		if (slice_eq(a->subs[i].name, name)) {
			return &a->subs[i];
		}
	}
	return NULL;
}

static int add_sub(struct store_account *a, uint32_t id, struct slice name)
{
	if (a->n_subs == a->cap_subs) {
		size_t cap = a->cap_subs ? a->cap_subs * 2 : 8;
		struct sub *p = reallocarray(a->subs, cap, sizeof(*p));

		if (!p) {
			return -ENOMEM;
		}
		a->subs = p;
		a->cap_subs = cap;
	}
	char *copy = malloc(name.n);

	if (!copy) {
		return -ENOMEM;
	}
	memcpy(copy, name.p, name.n);
	a->subs[a->n_subs++] = (struct sub){ id, slice_make(copy, name.n) };
	a->next_sub = MAX(a->next_sub, id + 1);
	return 0;
}

int sub_load(struct store_account *a, uint32_t id, struct slice value)
{
	struct slice name = slice_from(value, 1);

	if (value.n < 2 || name.n > STORE_NAME_MAX) {
		return -EIO;
	}
	if (value.p[0] != ROW_VERSION) {
		return -EPROTO;
	}
	return add_sub(a, id, name);
}

CO_FN static int unsubscribe(struct store_account *a, struct sub *sub, struct err *e)
{
	struct kv_batch *b = kv_batch_new(part_account(a->id));
	struct row_key k = key32('S', sub->id);

	if (!b) {
		return -ENOMEM;
	}
	kv_batch_del(b, key_slice(&k));
	kv_batch_frees(b);
	int r = store_result(kv_commit(a->home->s->kv, &b, 1), e, "unsubscribing");

	kv_batch_free(&b);
	if (r == 0) {
		free((char *)sub->name.p);
		*sub = a->subs[--a->n_subs];
	}
	return r;
}

CO_FN static int subscribe(struct store_account *a, struct slice name, struct err *e)
{
	uint32_t id = a->next_sub;

	if (a->n_subs >= NAMES_MAX) {
		return STORE_LIMIT;
	}
	struct kv_batch *b = kv_batch_new(part_account(a->id));

	if (!b) {
		return -ENOMEM;
	}
	sub_put(b, id, name);
	int r = store_result(kv_commit(a->home->s->kv, &b, 1), e, "subscribing");

	kv_batch_free(&b);
	return r ? r : add_sub(a, id, name);
}

CO_FN static int set_sub(struct store_account *a, struct slice name, bool on, struct err *e)
{
	int r = co_mutex_lock(&a->lock);

	if (r) {
		return r;
	}
	struct sub *sub = find_sub(a, name);

	if (a->gone) {
		r = STORE_GONE;
	} else if (on && !sub) {
		r = subscribe(a, name, e);
	} else if (!on && sub) {
		r = unsubscribe(a, sub, e);
	}
	if (r == 0) {
		account_list_changed(a);
	}
	co_mutex_unlock(&a->lock);
	return r;
}

CO_FN int store_subscribe(struct store_account *a, struct slice name, bool on, struct err *e)
{
	struct buf canon = BUF_INIT(4 * STORE_NAME_MAX);

	home_assert(a->home);
	int r = store_name_canon(name, &canon);

	if (r == 0) {
		r = set_sub(a, buf_slice(&canon), on, e);
	}
	buf_fini(&canon);
	return r;
}

/* ---- listing ------------------------------------------------------------ */

struct listing {
	struct arena *arena;
	struct table by_name;
	size_t n;
	int err;
};

/* The entry of this name, made if it is missing. NULL: no memory. */
static struct store_mailbox_info *entry(struct listing *l, struct slice name)
{
	struct store_mailbox_info *i = table_get(&l->by_name, name);

	if (i || l->err) {
		return i;
	}
	i = arena_new(l->arena, struct store_mailbox_info);
	if (!i) {
		l->err = -ENOMEM;
		return NULL;
	}
	i->name = arena_dup(l->arena, name);
	i->noselect = true;
	if (arena_err(l->arena) || table_put(&l->by_name, i->name, i, NULL)) {
		l->err = -ENOMEM;
		return NULL;
	}
	l->n++;
	return i;
}

static void list_box(struct listing *l, const struct store_mailbox *m)
{
	struct store_mailbox_info *i = entry(l, m->name);

	if (!i) {
		return;
	}
	i->id = m->id;
	i->exists = true;
	i->noselect = false;
	i->uses = m->uses;
	struct slice parent = name_parent(m->name);

	while (parent.n && (i = entry(l, parent)) && !i->has_children) {
		i->has_children = true;
		parent = name_parent(parent);
	}
}

static int cmp_info(const void *a, const void *b)
{
	const struct store_mailbox_info *x = a, *y = b;
	bool xi = slice_eq(x->name, S("INBOX"));
	bool yi = slice_eq(y->name, S("INBOX"));

	if (xi != yi) {
		return xi ? -1 : 1;
	}
	return slice_cmp(x->name, y->name);
}

static struct store_mailbox_info *sorted(struct listing *l)
{
	struct store_mailbox_info *v = arena_array(l->arena, l->n, sizeof(*v));
	struct store_mailbox_info *i;
	size_t it = 0, n = 0;

	if (!v) {
		return NULL;
	}
	while ((i = table_next(&l->by_name, &it))) {
		v[n++] = *i;
	}
	assert(n == l->n);
	qsort(v, n, sizeof(*v), cmp_info);
	return v;
}

CO_FN int store_mailbox_list(struct store_account *a, struct arena *arena,
			     struct store_mailbox_info **out, size_t *n_out, struct err *e)
{
	struct listing l = { .arena = arena };

	home_assert(a->home);
	table_init(&l.by_name);
	list_each(it, &a->boxes) {
		list_box(&l, list_of(it, struct store_mailbox, link));
	}
	for (size_t i = 0; i < a->n_subs; i++) {
		struct store_mailbox_info *x = entry(&l, a->subs[i].name);

		if (x) {
			x->subscribed = true;
		}
	}
	struct store_mailbox_info *v = l.err ? NULL : sorted(&l);

	table_fini(&l.by_name);
	if (!v) {
		return err_set(e, -ENOMEM, "listing mailboxes", NULL);
	}
	*out = v;
	*n_out = l.n;
	return 0;
}
