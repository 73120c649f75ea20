/*
 * metadata: see metadata.h.
 *
 * Entries are rows of the account's partition, not of the mailbox's: so one
 * commit can delete a mailbox and what is said of it, a mailbox is found
 * without its messages, and the sum is one scan. A row's key is 'Y', the
 * mailbox's id (0: the server), who it is private to (0: shared), and the
 * entry's name. They are changed with the account's lock held.
 */
#include "store/metadata.h"

#include <stdlib.h>

#include "store/impl.h"

#define KEY_HEAD (1 + 8 + 8)

/* ---- rows --------------------------------------------------------------- */

static bool is_private(struct slice canon)
{
	return canon.n > 1 && canon.p[1] == 'p';
}

static void put_key(struct buf *b, store_id box, store_id who, struct slice name)
{
	buf_reset(b);
	buf_addc(b, METADATA_KEY);
	buf_put64be(b, box);
	buf_put64be(b, who);
	buf_add(b, name);
}

struct entry_key {
	store_id box, who;
	struct slice name;
};

static int get_key(struct slice key, struct entry_key *out)
{
	struct cur c = cur_init(slice_from(key, 1));

	out->box = cur_get64be(&c);
	out->who = cur_get64be(&c);
	out->name = cur_rest(&c);
	return c.err || out->name.n == 0 ? -EIO : 0;
}

/* 0, -EIO, -EPROTO. */
static int get_value(struct slice row, struct slice *out)
{
	if (row.n == 0 || row.n > 1 + STORE_ENTRY_VALUE_MAX) {
		return -EIO;
	}
	*out = slice_from(row, 1);
	return row.p[0] == ROW_VERSION ? 0 : -EPROTO;
}

void metadata_drop(struct kv_batch *b, store_id box)
{
	struct buf from = BUF_INIT(64);
	struct buf to = BUF_INIT(64);

	put_key(&from, box, 0, S(""));
	put_key(&to, box + 1, 0, S(""));
	/* Without memory the empty key makes the batch fail as a whole. */
	kv_batch_del_range(b, from.err ? S("") : buf_slice(&from), buf_slice(&to));
	buf_fini(&from);
	buf_fini(&to);
}

/* ---- which mailbox ------------------------------------------------------ */

/* STORE_OK with the mailbox, NULL for the server. */
static int find_box(struct store_account *a, struct slice mailbox, struct store_mailbox **out)
{
	struct buf canon = BUF_INIT(4 * STORE_NAME_MAX);

	home_assert(a->home);
	*out = NULL;
	if (a->gone) {
		return STORE_NOTFOUND;
	}
	if (mailbox.n == 0) {
		return STORE_OK;
	}
	int r = store_name_canon(mailbox, &canon);

	*out = r ? NULL : account_find(a, buf_slice(&canon));
	buf_fini(&canon);
	return *out ? STORE_OK : STORE_NOTFOUND;
}

int store_mailbox_uses(struct store_account *a, struct slice mailbox, unsigned *out)
{
	struct store_mailbox *m;
	int r = find_box(a, mailbox, &m);

	*out = m ? m->uses : 0;
	return r;
}

/* ---- reading ------------------------------------------------------------ */

struct reading {
	struct slice above; /* the entry asked for */
	unsigned depth;
	struct arena *arena;
	struct store_entry *v; /* malloc'ed while it grows */
	size_t n, cap;
	int err;
};

static bool in_reach(const struct reading *r, struct slice name)
{
	struct slice tail = slice_from(name, r->above.n);

	if (tail.n == 0) {
		return true;
	}
	return tail.p[0] == '/' && store_entry_levels(tail) <= r->depth;
}

static int add_entry(struct reading *r, struct slice name, struct slice value)
{
	if (r->n == r->cap) {
		size_t cap = r->cap ? r->cap * 2 : 16;
		struct store_entry *p = reallocarray(r->v, cap, sizeof(*p));

		if (!p) {
			return -ENOMEM;
		}
		r->v = p;
		r->cap = cap;
	}
	r->v[r->n++] =
		(struct store_entry){ arena_dup(r->arena, name), arena_dup(r->arena, value) };
	return arena_err(r->arena) ? -ENOMEM : 0;
}

static int read_row(void *arg, struct slice key, struct slice row)
{
	struct reading *r = arg;
	struct entry_key k;
	struct slice value;

	r->err = get_key(key, &k);
	if (r->err == 0 && in_reach(r, k.name)) {
		r->err = get_value(row, &value);
		r->err = r->err ? r->err : add_entry(r, k.name, value);
	}
	return r->err != 0;
}

CO_FN static int read_rows(struct store_account *a, store_id box, store_id who, struct reading *r,
			   struct err *e)
{
	struct buf prefix = BUF_INIT(KEY_HEAD + STORE_ENTRY_NAME_MAX + 64);

	put_key(&prefix, box, who, r->above);
	int x = kv_scan_prefix(a->home->s->kv, part_account(a->id), buf_slice(&prefix), read_row,
			       r);

	buf_fini(&prefix);
	if (r->err) {
		return err_set(e, r->err, "annotations cannot be read", "account %llu",
			       (unsigned long long)a->id);
	}
	return x < 0 ? store_result(x, e, "reading annotations") : 0;
}

CO_FN int store_metadata_below(struct store_account *a, struct slice mailbox, store_id who,
			       struct slice name, unsigned depth, struct arena *arena,
			       struct store_entry **out, size_t *n_out, struct err *e)
{
	struct buf canon = BUF_INIT(STORE_ENTRY_NAME_MAX + 64);
	struct reading rd = { .depth = depth, .arena = arena };
	struct store_mailbox *m;
	int r = find_box(a, mailbox, &m);

	r = r ? r : store_entry_canon(name, false, &canon);
	if (r == 0) {
		rd.above = buf_slice(&canon);
		r = read_rows(a, m ? m->id : 0, is_private(rd.above) ? who : 0, &rd, e);
	}
	if (r == 0) {
		*out = arena_array(arena, rd.n, sizeof(**out));
		*n_out = rd.n;
		r = *out ? 0 : -ENOMEM;
	}
	if (r == 0 && rd.n) {
		memcpy(*out, rd.v, rd.n * sizeof(*rd.v));
	}
	free(rd.v);
	buf_fini(&canon);
	return r;
}

CO_FN int store_metadata_get(struct store_account *a, struct slice mailbox, store_id who,
			     struct slice name, struct arena *arena, struct slice *value_out,
			     struct err *e)
{
	struct store_entry *v;
	size_t n;
	int r = store_metadata_below(a, mailbox, who, name, 0, arena, &v, &n, e);

	if (r == 0) {
		*value_out = n ? v[0].value : slice_make(NULL, 0);
	}
	return r;
}

/* ---- limits ------------------------------------------------------------- */

/* What is there, and what of it a change would replace. Bytes count for who
 * pays (0: the owner, also for what is shared; 1: somebody else), entries for
 * the mailbox and scope (0: shared, 1: private). */
struct tally {
	store_id owner, box, who;
	const struct store_entry *v; /* the change, names canonical */
	size_t n;
	uint64_t bytes[2], old_bytes[2], new_bytes[2];
	size_t count[2], old_count[2], new_count[2];
	int err;
};

static size_t cost(struct slice name, size_t row_n)
{
	return KEY_HEAD + name.n + row_n;
}

static unsigned payer(const struct tally *t, store_id who)
{
	return who != 0 && who != t->owner;
}

static bool is_changed(const struct tally *t, struct slice name)
{
	for (size_t i = 0; i < t->n; i++) {
		if (slice_eq(t->v[i].name, name)) {
			return true;
		}
	}
	return false;
}

static int tally_row(void *arg, struct slice key, struct slice row)
{
	struct tally *t = arg;
	struct entry_key k;

	t->err = get_key(key, &k);
	if (t->err || (payer(t, k.who) && k.who != t->who)) {
		return t->err != 0; /* another's */
	}
	t->bytes[payer(t, k.who)] += cost(k.name, row.n);
	if (k.box != t->box || (k.who && k.who != t->who)) {
		return 0;
	}
	t->count[k.who != 0]++;
	if (is_changed(t, k.name)) {
		t->old_bytes[payer(t, k.who)] += cost(k.name, row.n);
		t->old_count[k.who != 0]++;
	}
	return 0;
}

/* Is entry i set again later in the same change? */
static bool overruled(const struct tally *t, size_t i)
{
	for (size_t k = i + 1; k < t->n; k++) {
		if (slice_eq(t->v[i].name, t->v[k].name)) {
			return true;
		}
	}
	return false;
}

static void tally_new(struct tally *t)
{
	for (size_t i = 0; i < t->n; i++) {
		bool priv = is_private(t->v[i].name);

		if (t->v[i].value.p && !overruled(t, i)) {
			t->new_bytes[payer(t, priv ? t->who : 0)] +=
				cost(t->v[i].name, 1 + t->v[i].value.n);
			t->new_count[priv]++;
		}
	}
}

/* Would it be more than max, and more than it was? */
static bool too_much(uint64_t all, uint64_t old, uint64_t new, uint64_t max)
{
	return new > old &&all - old + new > max;
}

static int check_limits(struct tally *t)
{
	tally_new(t);
	for (unsigned i = 0; i < 2; i++) {
		if (too_much(t->bytes[i], t->old_bytes[i], t->new_bytes[i], STORE_METADATA_MAX) ||
		    too_much(t->count[i], t->old_count[i], t->new_count[i], STORE_ENTRIES_MAX)) {
			return STORE_LIMIT;
		}
	}
	return STORE_OK;
}

CO_FN static int tally_up(struct store_account *a, struct tally *t, struct err *e)
{
	char from = METADATA_KEY;
	int x = kv_scan_prefix(a->home->s->kv, part_account(a->id), slice_make(&from, 1), tally_row,
			       t);

	if (t->err) {
		return err_set(e, t->err, "annotations cannot be read", "account %llu",
			       (unsigned long long)a->id);
	}
	return x < 0 ? store_result(x, e, "reading annotations") : check_limits(t);
}

/* ---- writing ------------------------------------------------------------ */

static void put_entry(struct kv_batch *b, struct buf *key, struct buf *row, struct slice value)
{
	if (!value.p) {
		kv_batch_del(b, buf_slice(key));
		return;
	}
	buf_reset(row);
	buf_put8(row, ROW_VERSION);
	buf_add(row, value);
	kv_batch_put(b, row->err ? S("") : buf_slice(key), buf_slice(row));
}

static void put_entries(struct kv_batch *b, const struct tally *t)
{
	struct buf key = BUF_INIT(KEY_HEAD + STORE_ENTRY_NAME_MAX + 64);
	struct buf row = BUF_INIT(STORE_ENTRY_VALUE_MAX + 64);
	bool frees = true;

	for (size_t i = 0; i < t->n; i++) {
		put_key(&key, t->box, is_private(t->v[i].name) ? t->who : 0, t->v[i].name);
		put_entry(b, &key, &row, t->v[i].value);
		frees = frees && !t->v[i].value.p;
	}
	if (frees) {
		kv_batch_frees(b);
	}
	buf_fini(&key);
	buf_fini(&row);
}

CO_FN static int commit_set(struct store_account *a, const struct tally *t, struct store_mailbox *m,
			    const unsigned *uses, struct err *e)
{
	struct kv_batch *b = kv_batch_new(part_account(a->id));

	if (!b) {
		return -ENOMEM;
	}
	put_entries(b, t);
	if (uses && m) {
		box_put_uses(b, m, *uses);
	}
	int r = store_result(kv_commit(a->home->s->kv, &b, 1), e, "setting annotations");

	kv_batch_free(&b);
	if (r == 0 && uses && m) {
		box_set_uses(m, *uses);
	}
	if (r == 0) {
		account_metadata_changed(a, m);
	}
	return r;
}

/* The names in their canonical form; all must be good and settable here. */
static int canon_all(struct arena *arena, const struct store_entry *v, size_t n, bool server,
		     struct store_entry **out)
{
	struct store_entry *to = arena_array(arena, n, sizeof(*to));
	struct buf name = BUF_INIT(STORE_ENTRY_NAME_MAX + 64);
	int r = to ? 0 : -ENOMEM;

	for (size_t i = 0; i < n && r == 0; i++) {
		buf_reset(&name);
		r = store_entry_canon(v[i].name, true, &name);
		if (r == 0) {
			to[i].name = arena_dup(arena, buf_slice(&name));
			to[i].value = v[i].value;
			r = server && !is_private(to[i].name) ? STORE_FORBIDDEN : 0;
		}
		if (r == 0 && v[i].value.n > STORE_ENTRY_VALUE_MAX) {
			r = STORE_LIMIT;
		}
	}
	buf_fini(&name);
	*out = to;
	return r || !arena_err(arena) ? r : -ENOMEM;
}

CO_FN static int set_locked(struct store_account *a, struct slice mailbox, struct tally *t,
			    const unsigned *uses, struct err *e)
{
	struct store_mailbox *m;
	int r = find_box(a, mailbox, &m);

	if (r == 0 && uses && (!m || (m == a->inbox && *uses))) {
		r = STORE_FORBIDDEN;
	}
	if (r == 0) {
		t->box = m ? m->id : 0;
		r = tally_up(a, t, e);
	}
	r = r ? r : commit_set(a, t, m, uses, e);
	if (r == 0 && m && t->n > 0) {
		/* What was set is set: a damaged mailbox changes nothing of it. */
		(void)box_touch(m, e);
	}
	return r;
}

CO_FN int store_metadata_set(struct store_account *a, struct slice mailbox, store_id who,
			     const struct store_entry *v, size_t n, const unsigned *uses,
			     struct err *e)
{
	struct tally t = { .owner = a->id, .who = who, .n = n };
	struct store_entry *canon = NULL;
	struct arena arena;

	home_assert(a->home);
	assert(who != 0 && n <= STORE_ENTRIES_MAX);
	arena_init(&arena, STORE_ENTRIES_MAX * 512);
	int r = canon_all(&arena, v, n, mailbox.n == 0, &canon);

	t.v = canon;
	if (r == 0) {
		r = co_mutex_lock(&a->lock);
	}
	if (r == 0) {
		r = set_locked(a, mailbox, &t, uses, e);
		co_mutex_unlock(&a->lock);
	}
	arena_fini(&arena);
	return r;
}

/* ---- RENAME of INBOX ------------------------------------------------------ */

struct copying {
	struct kv_batch *b;
	store_id from, to, owner;
	uint64_t all, copied; /* bytes of the owner's and of the copies */
	struct buf key;
	int err;
};

static int copy_row(void *arg, struct slice key, struct slice row)
{
	struct copying *c = arg;
	struct entry_key k;

	c->err = get_key(key, &k);
	if (c->err || (k.who && k.who != c->owner)) {
		return c->err != 0;
	}
	c->all += cost(k.name, row.n);
	if (k.box == c->from) {
		put_key(&c->key, c->to, k.who, k.name);
		kv_batch_put(c->b, c->key.err ? S("") : buf_slice(&c->key), row);
		c->copied += cost(k.name, row.n);
	}
	return 0;
}

CO_FN int metadata_copy(struct store_account *a, store_id from, store_id to, struct err *e)
{
	char prefix = METADATA_KEY;
	struct copying c = { .b = kv_batch_new(part_account(a->id)),
			     .from = from,
			     .to = to,
			     .owner = a->id,
			     .key = BUF_INIT(KEY_HEAD + STORE_ENTRY_NAME_MAX + 64) };

	if (!c.b) {
		return -ENOMEM;
	}
	int r = kv_scan_prefix(a->home->s->kv, part_account(a->id), slice_make(&prefix, 1),
			       copy_row, &c);

	r = c.err ? c.err : r;
	if (r >= 0 && c.copied && c.all + c.copied <= STORE_METADATA_MAX) {
		r = kv_commit(a->home->s->kv, &c.b, 1);
	}
	kv_batch_free(&c.b);
	buf_fini(&c.key);
	return store_result(r, e, "copying annotations");
}
