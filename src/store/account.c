/*
 * Accounts: loading, keeping, creating, deleting.
 *
 * An account's partition holds its header, a row for each mailbox, its
 * subscriptions, and intents: a mailbox (or the account) that is being
 * deleted has a row that says so until its own partition is empty; whoever
 * loads the account next finishes the work. Usage is not stored (quota.c).
 */
#include <stdlib.h>

#include "store/impl.h"

/* ---- objects ------------------------------------------------------------ */

static struct store_account *account_new(struct home *h, store_id id)
{
	struct store_account *a = calloc(1, sizeof(*a));

	if (!a) {
		return NULL;
	}
	a->home = h;
	a->id = id;
	co_mutex_init(&a->lock);
	co_mutex_init(&a->sharers_lock);
	list_init(&a->boxes);
	list_init(&a->watches);
	list_init(&a->warm);
	table_init(&a->by_name);
	if (table_put_u64(&h->accounts, id, a, NULL)) {
		free(a);
		return NULL;
	}
	return a;
}

static void drop_lists(struct store_account *a)
{
	list_each_safe(it, &a->boxes) {
		struct store_mailbox *m = list_of(it, struct store_mailbox, link);

		list_del(&m->link);
		box_free(m);
	}
	table_fini(&a->by_name);
	table_init(&a->by_name);
	for (size_t i = 0; i < a->n_subs; i++) {
		free((char *)a->subs[i].name.p);
	}
	free(a->subs);
	a->subs = NULL;
	free(a->sharers);
	a->sharers = NULL;
	a->n_sharers = a->cap_sharers = 0;
	a->n_subs = a->cap_subs = 0;
	a->n_boxes = 0;
	a->inbox = NULL;
}

void account_free(struct store_account *a)
{
	assert(a->refs == 0);
	drop_lists(a);
	table_fini(&a->by_name);
	if (!list_empty(&a->warm)) {
		list_del(&a->warm);
		a->home->n_warm_accounts--;
	}
	free(a);
}

void account_ref(struct store_account *a)
{
	if (a->refs++ == 0 && !list_empty(&a->warm)) {
		list_del(&a->warm);
		a->home->n_warm_accounts--;
	}
}

static void forget(struct store_account *a)
{
	if (table_get_u64(&a->home->accounts, a->id) == a) {
		table_del_u64(&a->home->accounts, a->id);
	}
	account_free(a);
}

void account_unref(struct store_account *a)
{
	struct home *h = a->home;

	assert(a->refs > 0);
	if (--a->refs) {
		return;
	}
	if (a->gone || !a->loaded) {
		forget(a);
		return;
	}
	list_push(&h->warm_accounts, &a->warm);
	if (++h->n_warm_accounts > ACCOUNTS_WARM) {
		forget(list_of(h->warm_accounts.next, struct store_account, warm));
	}
}

struct store_mailbox *account_find(const struct store_account *a, struct slice canon_name)
{
	return table_get(&a->by_name, canon_name);
}

struct store_mailbox *account_add_box(struct store_account *a, store_id id, const struct box_row *r)
{
	struct store_mailbox *m = calloc(1, sizeof(*m));
	char *name = malloc(r->name.n);

	if (!m || !name) {
		goto fail;
	}
	memcpy(name, r->name.p, r->name.n);
	m->a = a;
	m->id = id;
	m->uidvalidity = r->uidvalidity;
	m->uses = r->uses;
	m->name = slice_make(name, r->name.n);
	co_mutex_init(&m->lock);
	list_init(&m->pipe);
	list_init(&m->views);
	list_init(&m->warm);
	list_init(&m->text.due);
	if (table_put(&a->by_name, m->name, m, NULL)) {
		goto fail;
	}
	list_push(&a->boxes, &m->link);
	a->n_boxes++;
	if (slice_eq(m->name, S("INBOX"))) {
		a->inbox = m;
	}
	return m;
fail:
	free(name);
	free(m);
	return NULL;
}

void account_drop_box(struct store_mailbox *m)
{
	struct store_account *a = m->a;

	table_del(&a->by_name, m->name);
	list_del(&m->link);
	a->n_boxes--;
	box_set_gone(m);
}

/* ---- rows --------------------------------------------------------------- */

static void put_row(struct kv_batch *b, struct row_key k, struct buf *row)
{
	/* Without memory the empty key makes the batch fail as a whole. */
	kv_batch_put(b, row->err ? S("") : key_slice(&k), buf_slice(row));
	buf_fini(row);
}

void account_put_row(struct kv_batch *b, const struct account_row *r)
{
	struct buf row = BUF_INIT(4096);

	account_row_put(r, &row);
	put_row(b, key1('H'), &row);
}

void account_put_box(struct kv_batch *b, store_id id, const struct box_row *r)
{
	struct buf row = BUF_INIT(4096);

	box_row_put(r, &row);
	put_row(b, key64('B', id), &row);
}

/* ---- clearing a partition ----------------------------------------------- */

#define CLEAR_CHUNK 20000 /* references given up in one commit */

struct clear {
	struct kv_batch *b;
	struct msg *page;
	size_t n;
	struct buf last;
	bool more;
};

static int clear_row(void *arg, struct slice key, struct slice value)
{
	struct clear *c = arg;
	struct cur k = cur_init(slice_from(key, 1));
	uint32_t number = cur_get32be(&k);
	size_t n = 0;

	if (c->n >= CLEAR_CHUNK) {
		c->more = true;
		return 1;
	}
	if (key.p[0] == 'M' && single_get(number, value, c->page) == 0) {
		n = 1;
	} else if (key.p[0] == 'P') {
		n = fixed_page_blobs(number, value, c->page);
	}
	for (size_t i = 0; i < n; i++) {
		kv_batch_blob_unref(c->b, c->page[i].blob);
	}
	c->n += n;
	buf_reset(&c->last);
	buf_add(&c->last, key);
	buf_addc(&c->last, 0); /* the key right behind it */
	return 0;
}

/* One commit: gives up what the first rows refer to, and the rows. */
CO_FN static int clear_some(struct store *s, struct kv_part part, struct clear *c, struct err *e)
{
	c->b = kv_batch_new(part);
	if (!c->b) {
		return -ENOMEM;
	}
	c->n = 0;
	c->more = false;
	int r = kv_scan(s->kv, part, S("M"), S("Q"), clear_row, c);

	if (r >= 0) {
		if (c->more) {
			kv_batch_del_range(c->b, S("M"), buf_slice(&c->last));
		} else {
			kv_batch_del_range(c->b, S("A"), S(""));
		}
		kv_batch_frees(c->b);
		r = store_result(kv_commit(s->kv, &c->b, 1), e, "emptying a deleted mailbox");
	}
	kv_batch_free(&c->b);
	return r;
}

CO_FN int clear_partition(struct store *s, struct kv_part part, struct err *e)
{
	struct clear c = { .last = BUF_INIT(2 * KV_KEY_MAX) };
	int r;

	c.page = calloc(PAGE_UIDS, sizeof(*c.page));
	if (!c.page) {
		return -ENOMEM;
	}
	do {
		r = clear_some(s, part, &c, e);
	} while (r == 0 && c.more);
	buf_fini(&c.last);
	free(c.page);
	return r;
}

/* ---- loading ------------------------------------------------------------ */

struct account_load {
	struct store_account *a;
	store_id *intents;
	size_t n_intents, cap_intents;
	bool found;
	int err;
};

static int load_intent(struct account_load *l, store_id id)
{
	if (l->n_intents == l->cap_intents) {
		size_t cap = l->cap_intents ? l->cap_intents * 2 : 8;
		store_id *p = reallocarray(l->intents, cap, sizeof(*p));

		if (!p) {
			return -ENOMEM;
		}
		l->intents = p;
		l->cap_intents = cap;
	}
	l->intents[l->n_intents++] = id;
	return 0;
}

static int load_box(struct store_account *a, store_id id, struct slice value)
{
	struct box_row row;
	int r = box_row_get(value, &row);

	if (r) {
		return r;
	}
	if (account_find(a, row.name)) {
		return -EIO;
	}
	return account_add_box(a, id, &row) ? 0 : -ENOMEM;
}

static int load_row(void *arg, struct slice key, struct slice value)
{
	struct account_load *l = arg;
	struct cur c = cur_init(slice_from(key, 1));

	switch (key.p[0]) {
	case 'H':
		l->err = account_row_get(value, &l->a->row);
		l->found = true;
		break;
	case 'B':
		l->err = load_box(l->a, cur_get64be(&c), value);
		break;
	case 'D':
		l->err = load_intent(l, cur_get64be(&c));
		break;
	case 'G':
		l->err = sharer_load(l->a, cur_get64be(&c));
		break;
	case 'R': /* behind all 'B' */
		l->err = acl_load(l->a, cur_get64be(&c), value);
		break;
	case 'S':
		l->err = sub_load(l->a, cur_get32be(&c), value);
		break;
	default:
		l->err = -EPROTO;
	}
	if (c.err) {
		l->err = -EIO;
	}
	return l->err != 0;
}

CO_FN static int drop_intents(struct store *s, store_id account, const struct account_load *l,
			      struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < l->n_intents && r == 0; i++) {
		r = clear_partition(s, part_mailbox(account, l->intents[i]), e);
	}
	if (r || l->n_intents == 0) {
		return r;
	}
	struct kv_batch *b = kv_batch_new(part_account(account));

	if (!b) {
		return -ENOMEM;
	}
	for (size_t i = 0; i < l->n_intents; i++) {
		struct row_key k = key64('D', l->intents[i]);

		kv_batch_del(b, key_slice(&k));
	}
	kv_batch_frees(b);
	r = store_result(kv_commit(s->kv, &b, 1), e, "finishing a deletion");
	kv_batch_free(&b);
	return r;
}

/* Empties all mailboxes, then the account's own rows. */
CO_FN static int wipe(struct store_account *a, struct err *e)
{
	struct store *s = a->home->s;
	int r = 0;

	list_each(it, &a->boxes) {
		struct store_mailbox *m = list_of(it, struct store_mailbox, link);

		r = clear_partition(s, part_mailbox(a->id, m->id), e);
		if (r) {
			return r;
		}
	}
	struct kv_batch *b[2] = { kv_batch_new(part_account(a->id)), kv_batch_new(part_store()) };
	struct row_key k = key64('A', a->id), w = key64('W', a->id);

	r = -ENOMEM;
	if (b[0] && b[1]) {
		kv_batch_del_range(b[0], S("A"), S(""));
		kv_batch_del(b[1], key_slice(&k));
		kv_batch_del(b[1], key_slice(&w));
		kv_batch_frees(b[0]);
		kv_batch_frees(b[1]);
		r = store_result(kv_commit(s->kv, b, 2), e, "deleting an account");
	}
	kv_batch_free(&b[0]);
	kv_batch_free(&b[1]);
	return r;
}

CO_FN static int scan_account(struct account_load *l, struct err *e)
{
	struct store_account *a = l->a;
	/* All but the annotations, which may be much (metadata.c). */
	int r = kv_scan(a->home->s->kv, part_account(a->id), S("A"), S("Y"), load_row, l);

	if (r == 0 && !l->err) {
		r = kv_scan(a->home->s->kv, part_account(a->id), S("Z"), S(""), load_row, l);
	}
	if (l->err) {
		return err_set(e, l->err, "account is damaged or newer", "account %llu",
			       (unsigned long long)a->id);
	}
	if (r) {
		return store_result(r, e, "loading an account");
	}
	if (!l->found) {
		return STORE_NOTFOUND;
	}
	return drop_intents(a->home->s, a->id, l, e);
}

CO_FN static int load(struct store_account *a, struct err *e)
{
	struct account_load l = { .a = a };
	int r = scan_account(&l, e);

	free(l.intents);
	if (r == 0 && a->row.deleting) {
		r = wipe(a, e);
		r = r ? r : STORE_NOTFOUND;
	}
	if (r == 0 && !a->inbox) {
		r = err_set(e, -EIO, "account has no INBOX", "account %llu",
			    (unsigned long long)a->id);
	}
	if (r) {
		drop_lists(a);
		return r;
	}
	a->loaded = true;
	return 0;
}

/* The object with a reference; its lock is held. */
CO_FN static int account_hold(struct home *h, store_id id, struct store_account **out)
{
	struct store_account *a = table_get_u64(&h->accounts, id);

	home_assert(h);
	a = a ? a : account_new(h, id);
	if (!a) {
		return -ENOMEM;
	}
	account_ref(a);
	int r = co_mutex_lock(&a->lock);

	if (r) {
		account_unref(a);
		return r;
	}
	*out = a;
	return 0;
}

CO_FN int account_get(struct home *h, store_id id, struct store_account **out, struct err *e)
{
	struct store_account *a = table_get_u64(&h->accounts, id);

	home_assert(h);
	if (a && a->loaded && !a->gone) {
		account_ref(a);
		*out = a;
		return 0;
	}
	int r = account_hold(h, id, &a);

	if (r) {
		return r;
	}
	if (a->gone) {
		r = STORE_NOTFOUND;
	} else if (!a->loaded) {
		r = load(a, e);
	}
	co_mutex_unlock(&a->lock);
	if (r) {
		account_unref(a);
		return r;
	}
	*out = a;
	return 0;
}

/* ---- creating ----------------------------------------------------------- */

static const struct {
	struct slice name;
	unsigned uses;
} first_boxes[] = {
	{ { "INBOX", 5 }, 0 },
	{ { "Drafts", 6 }, STORE_USE_DRAFTS },
	{ { "Sent", 4 }, STORE_USE_SENT },
	{ { "Trash", 5 }, STORE_USE_TRASH },
	{ { "Junk", 4 }, STORE_USE_JUNK },
	{ { "Archive", 7 }, STORE_USE_ARCHIVE },
};

static void put_first_rows(struct kv_batch *b, struct account_row *row)
{
	row->last_uidvalidity = (uint32_t)clock_wall();
	for (size_t i = 0; i < ARRAY_LEN(first_boxes); i++) {
		struct box_row box = { row->last_uidvalidity++, first_boxes[i].uses,
				       first_boxes[i].name };

		account_put_box(b, i + 1, &box);
		sub_put(b, (uint32_t)i + 1, first_boxes[i].name);
	}
	row->next_mailbox = ARRAY_LEN(first_boxes) + 1;
	account_put_row(b, row);
}

CO_FN static int create(struct store_account *a, uint64_t bytes, uint64_t messages, struct err *e)
{
	struct account_row row = { .quota_bytes = bytes, .quota_messages = messages };
	struct kv_batch *b[2] = { kv_batch_new(part_store()), kv_batch_new(part_account(a->id)) };
	struct row_key k = key64('A', a->id);
	char version = ROW_VERSION;
	int r = -ENOMEM;

	if (b[0] && b[1]) {
		kv_batch_put(b[0], key_slice(&k), slice_make(&version, 1));
		put_first_rows(b[1], &row);
		r = store_result(kv_commit(a->home->s->kv, b, 2), e, "creating an account");
	}
	kv_batch_free(&b[0]);
	kv_batch_free(&b[1]);
	return r;
}

struct account_op {
	struct store *s;
	store_id id;
	uint64_t quota_bytes, quota_messages;
	struct err *e;
};

static int do_create(void *arg)
{
	struct account_op *op = arg;
	struct store_account *a;

	co_enter();
	int r = account_hold(home_of(op->s, op->id), op->id, &a);

	if (r) {
		return r;
	}
	r = a->loaded || a->gone ? STORE_OK : load(a, op->e);
	if (r == STORE_OK) {
		r = STORE_EXISTS;
	} else if (r == STORE_NOTFOUND) {
		r = create(a, op->quota_bytes, op->quota_messages, op->e);
	}
	co_mutex_unlock(&a->lock);
	account_unref(a);
	return r;
}

CO_FN int store_account_create(struct store *s, store_id id, uint64_t quota_bytes,
			       uint64_t quota_messages, struct err *e)
{
	struct account_op op = { s, id, quota_bytes, quota_messages, e };

	assert(id != 0);
	return home_call(s, id, do_create, &op);
}

/* ---- deleting ----------------------------------------------------------- */

/* No new mail from here on; waits for what is under way. */
CO_FN static int quiesce(struct store_account *a)
{
	list_each(it, &a->boxes) {
		struct store_mailbox *m = list_of(it, struct store_mailbox, link);

		m->closing = true;
	}
	list_each(it, &a->boxes) {
		struct store_mailbox *m = list_of(it, struct store_mailbox, link);
		int r = co_mutex_lock(&m->lock);

		if (r) {
			return r;
		}
		box_drain(m);
		co_mutex_unlock(&m->lock);
	}
	return 0;
}

CO_FN static int mark_deleting(struct store_account *a, struct err *e)
{
	struct account_row row = a->row;
	struct kv_batch *b = kv_batch_new(part_account(a->id));

	if (!b) {
		return -ENOMEM;
	}
	row.deleting = true;
	account_put_row(b, &row);
	kv_batch_frees(b);
	int r = store_result(kv_commit(a->home->s->kv, &b, 1), e, "deleting an account");

	kv_batch_free(&b);
	return r;
}

static void reopen(struct store_account *a)
{
	list_each(it, &a->boxes) {
		list_of(it, struct store_mailbox, link)->closing = false;
	}
}

CO_FN static int delete_locked(struct store_account *a, struct err *e)
{
	int r = quiesce(a);

	if (r == 0) {
		r = mark_deleting(a, e);
	}
	if (r) {
		reopen(a);
		return r;
	}
	/* Decided: what fails from here on is finished by the next load. */
	a->gone = true;
	r = wipe(a, e);
	list_each_safe(it, &a->boxes) {
		struct store_mailbox *m = list_of(it, struct store_mailbox, link);

		account_drop_box(m);
		if (m->refs == 0) {
			box_free(m);
		}
	}
	a->inbox = NULL;
	if (table_get_u64(&a->home->accounts, a->id) == a) {
		table_del_u64(&a->home->accounts, a->id);
	}
	return r;
}

static int do_delete(void *arg)
{
	struct account_op *op = arg;
	struct store_account *a;

	co_enter();
	int r = account_hold(home_of(op->s, op->id), op->id, &a);

	if (r) {
		return r;
	}
	if (!a->loaded && !a->gone) {
		r = load(a, op->e);
	}
	if (r == 0) {
		r = a->gone ? STORE_NOTFOUND : delete_locked(a, op->e);
	}
	co_mutex_unlock(&a->lock);
	account_unref(a);
	return r;
}

CO_FN int store_account_delete(struct store *s, store_id id, struct err *e)
{
	struct account_op op = { .s = s, .id = id, .e = e };

	return home_call(s, id, do_delete, &op);
}

/* ---- handles ------------------------------------------------------------ */

CO_FN int store_account_open(struct store *s, store_id id, struct store_account **out,
			     struct err *e)
{
	struct store_account *a;
	int r = account_get(home_of(s, id), id, &a, e);

	if (r) {
		return r;
	}
	/* Its usage may be asked for where nothing can be read any more. */
	r = account_measure(a, e);
	if (r) {
		account_unref(a);
		return r;
	}
	atomic_fetch_add(&s->n_accounts, 1);
	*out = a;
	return STORE_OK;
}

void store_account_close(struct store_account **ap)
{
	struct store_account *a = *ap;

	if (!a) {
		return;
	}
	*ap = NULL;
	home_assert(a->home);
	atomic_fetch_sub(&a->home->s->n_accounts, 1);
	account_unref(a);
}

store_id store_account_id(const struct store_account *a)
{
	return a->id;
}

int store_maildrop_lock(struct store_account *a)
{
	home_assert(a->home);
	if (a->maildrop_locked) {
		return STORE_INUSE;
	}
	a->maildrop_locked = true;
	account_ref(a);
	return STORE_OK;
}

void store_maildrop_unlock(struct store_account *a)
{
	assert(a->maildrop_locked);
	a->maildrop_locked = false;
	account_unref(a);
}
