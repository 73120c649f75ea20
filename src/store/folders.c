/*
 * Creating, deleting and renaming mailboxes (RFC 3501 6.3.3 to 6.3.5).
 *
 * All three change the account's list under the account's lock, in one
 * commit. A mailbox's own partition is empty until its first message, so
 * creating one is a row in the list; deleting one replaces that row by an
 * intent, and empties the partition. UIDVALIDITY comes from the account and
 * only rises: a name that is used again always has a higher one (I6).
 */
#include <stdlib.h>

#include "store/impl.h"

/* The next UIDVALIDITY and id, noted in the row that will be written. */
static struct box_row next_box(struct account_row *row, struct slice name, unsigned uses,
			       store_id *id_out)
{
	uint64_t now = (uint64_t)clock_wall();
	uint64_t next = (uint64_t)row->last_uidvalidity + 1;

	next = MAX(next, now);
	row->last_uidvalidity = (uint32_t)MIN(next, UINT32_MAX);
	*id_out = row->next_mailbox++;
	return (struct box_row){ row->last_uidvalidity, uses, name };
}

/* Mailboxes that one command is about to make: parents first. */
struct making {
	struct slice name[STORE_DEPTH_MAX];
	store_id id[STORE_DEPTH_MAX];
	struct box_row row[STORE_DEPTH_MAX];
	size_t n;
	const struct store_mailbox *heir_of; /* whose access list they get */
};

static void missing_parents(const struct store_account *a, struct slice name, struct making *mk)
{
	for (size_t i = 0; i < name.n; i++) {
		struct slice parent = slice_sub(name, 0, i);

		if (name.p[i] == '/' && !account_find(a, parent)) {
			assert(mk->n < STORE_DEPTH_MAX);
			mk->name[mk->n++] = parent;
		}
	}
}

/*
 * Rows for all of mk into the batch; *row is the account's new header. They
 * inherit the access list of what they are below (RFC 4314 4).
 */
static void put_new(const struct store_account *a, struct kv_batch *b, struct account_row *row,
		    struct making *mk, unsigned uses_of_last)
{
	mk->heir_of = mk->n ? acl_above(a, mk->name[0]) : NULL;
	for (size_t i = 0; i < mk->n; i++) {
		unsigned uses = i + 1 == mk->n ? uses_of_last : 0;

		mk->row[i] = next_box(row, mk->name[i], uses, &mk->id[i]);
		account_put_box(b, mk->id[i], &mk->row[i]);
		if (mk->heir_of && mk->heir_of->n_acl) {
			acl_put(b, mk->id[i], mk->heir_of->acl, mk->heir_of->n_acl);
		}
	}
}

/* A special use is one mailbox's: the others' rows lose those of uses. */
static void take_uses(struct store_account *a, const struct store_mailbox *to, unsigned uses,
		      struct kv_batch *b)
{
	list_each(it, &a->boxes) {
		const struct store_mailbox *m = list_of(it, struct store_mailbox, link);

		if (!(to && m->id == to->id) && (m->uses & uses)) {
			struct box_row row = { m->uidvalidity, m->uses & ~uses, m->name };

			account_put_box(b, m->id, &row);
		}
	}
}

/* The same in memory. */
static void uses_taken(struct store_account *a, const struct store_mailbox *to, unsigned uses)
{
	list_each(it, &a->boxes) {
		struct store_mailbox *m = list_of(it, struct store_mailbox, link);

		m->uses &= m == to ? ~0u : ~uses;
	}
	account_list_changed(a);
}

void box_put_uses(struct kv_batch *b, const struct store_mailbox *m, unsigned uses)
{
	struct box_row row = { m->uidvalidity, uses, m->name };

	take_uses(m->a, m, uses, b);
	account_put_box(b, m->id, &row);
}

void box_set_uses(struct store_mailbox *m, unsigned uses)
{
	m->uses = uses;
	uses_taken(m->a, m, uses);
}

/* They are durable: into memory. */
static int add_new(struct store_account *a, const struct making *mk)
{
	for (size_t i = 0; i < mk->n; i++) {
		struct store_mailbox *m = account_add_box(a, mk->id[i], &mk->row[i]);

		if (!m || (mk->heir_of && acl_keep(m, mk->heir_of->acl, mk->heir_of->n_acl))) {
			return -ENOMEM;
		}
		/* Nothing was ever in it: no need to look. */
		m->state = BOX_LIGHT;
		m->next_uid = m->uidnext = m->recent_uid = 1;
		m->modseq = m->next_modseq = m->flag_modseq = 1;
	}
	return 0;
}

CO_FN static int commit_list(struct store_account *a, struct kv_batch *b,
			     const struct account_row *row, struct err *e)
{
	account_put_row(b, row);
	int r = store_result(kv_commit(a->home->s->kv, &b, 1), e, "changing the list of mailboxes");

	if (r == 0) {
		a->row = *row;
	}
	return r;
}

/* ---- create ------------------------------------------------------------- */

CO_FN static int create_locked(struct store_account *a, struct slice name, unsigned uses,
			       struct err *e)
{
	struct making *mk;
	struct account_row row = a->row;
	struct kv_batch *b;
	int r = -ENOMEM;

	if (account_find(a, name)) {
		return STORE_EXISTS;
	}
	mk = calloc(1, sizeof(*mk));
	b = kv_batch_new(part_account(a->id));
	if (mk && b) {
		missing_parents(a, name, mk);
		mk->name[mk->n++] = name;
		r = STORE_LIMIT;
		if (a->n_boxes + mk->n <= STORE_MAILBOXES_MAX) {
			put_new(a, b, &row, mk, uses);
			take_uses(a, NULL, uses, b);
			r = commit_list(a, b, &row, e);
		}
	}
	if (r == 0) {
		uses_taken(a, NULL, uses);
		r = add_new(a, mk);
	}
	kv_batch_free(&b);
	free(mk);
	return r;
}

CO_FN int store_mailbox_create(struct store_account *a, struct slice name, unsigned uses,
			       struct err *e)
{
	struct buf canon = BUF_INIT(4 * STORE_NAME_MAX);

	home_assert(a->home);
	int r = store_name_canon(name, &canon);

	if (r == 0) {
		r = co_mutex_lock(&a->lock);
		if (r == 0) {
			r = a->gone ? STORE_GONE : create_locked(a, buf_slice(&canon), uses, e);
			if (r == 0) {
				account_list_changed(a);
			}
			co_mutex_unlock(&a->lock);
		}
	}
	buf_fini(&canon);
	return r;
}

/* ---- special uses ------------------------------------------------------- */

CO_FN static int set_uses_locked(struct store_account *a, struct slice name, unsigned uses,
				 struct err *e)
{
	struct store_mailbox *m = account_find(a, name);

	if (a->gone || !m) {
		return STORE_NOTFOUND;
	}
	if (m == a->inbox && uses) {
		return STORE_FORBIDDEN;
	}
	struct kv_batch *b = kv_batch_new(part_account(a->id));

	if (!b) {
		return -ENOMEM;
	}
	box_put_uses(b, m, uses);
	int r = store_result(kv_commit(a->home->s->kv, &b, 1), e, "setting a special use");

	kv_batch_free(&b);
	if (r == 0) {
		/* Its name cannot have changed: the account is locked. */
		box_set_uses(m, uses);
	}
	return r;
}

CO_FN int store_mailbox_set_uses(struct store_account *a, struct slice name, unsigned uses,
				 struct err *e)
{
	struct buf canon = BUF_INIT(4 * STORE_NAME_MAX);

	home_assert(a->home);
	int r = store_name_canon(name, &canon) ? STORE_NOTFOUND : 0;

	r = r ? r : co_mutex_lock(&a->lock);
	if (r == 0) {
		r = set_uses_locked(a, buf_slice(&canon), uses, e);
		co_mutex_unlock(&a->lock);
	}
	buf_fini(&canon);
	return r;
}

/* ---- delete ------------------------------------------------------------- */

CO_FN static int intend(struct store_account *a, const struct store_mailbox *m, struct err *e)
{
	struct kv_batch *b = kv_batch_new(part_account(a->id));
	struct row_key box = key64('B', m->id);
	struct row_key intent = key64('D', m->id);
	struct row_key acl = key64('R', m->id);
	char version = ROW_VERSION;

	if (!b) {
		return -ENOMEM;
	}
	kv_batch_del(b, key_slice(&box));
	kv_batch_del(b, key_slice(&acl));
	metadata_drop(b, m->id);
	kv_batch_put(b, key_slice(&intent), slice_make(&version, 1));
	kv_batch_frees(b);
	int r = store_result(kv_commit(a->home->s->kv, &b, 1), e, "deleting a mailbox");

	kv_batch_free(&b);
	return r;
}

CO_FN static int intent_done(struct store_account *a, store_id id, struct err *e)
{
	struct kv_batch *b = kv_batch_new(part_account(a->id));
	struct row_key intent = key64('D', id);

	if (!b) {
		return -ENOMEM;
	}
	kv_batch_del(b, key_slice(&intent));
	kv_batch_frees(b);
	int r = store_result(kv_commit(a->home->s->kv, &b, 1), e, "deleting a mailbox");

	kv_batch_free(&b);
	return r;
}

/* The mailbox is pinned and its lock is held. */
CO_FN static int delete_box(struct store_account *a, struct store_mailbox *m, struct err *e)
{
	m->closing = true;
	box_drain(m);
	int r = intend(a, m, e);

	if (r) {
		m->closing = false;
		return r;
	}
	/* Decided. What fails from here on, the next load finishes. */
	account_drop_box(m);
	r = clear_partition(a->home->s, part_mailbox(a->id, m->id), e);
	return r ? r : intent_done(a, m->id, e);
}

CO_FN static int delete_locked(struct store_account *a, struct slice name, struct err *e)
{
	struct store_mailbox *m = account_find(a, name);

	if (a->gone) {
		return STORE_GONE;
	}
	if (!m) {
		return STORE_NOTFOUND;
	}
	if (m == a->inbox) {
		return STORE_FORBIDDEN;
	}
	box_ref(m);
	int r = co_mutex_lock(&m->lock);

	if (r == 0) {
		r = delete_box(a, m, e);
		co_mutex_unlock(&m->lock);
	}
	box_unref(m);
	return r;
}

CO_FN int store_mailbox_delete(struct store_account *a, struct slice name, struct err *e)
{
	struct buf canon = BUF_INIT(4 * STORE_NAME_MAX);

	home_assert(a->home);
	int r = store_name_canon(name, &canon);

	if (r) {
		buf_fini(&canon);
		return STORE_NOTFOUND;
	}
	r = co_mutex_lock(&a->lock);
	if (r == 0) {
		r = delete_locked(a, buf_slice(&canon), e);
		account_list_changed(a);
		co_mutex_unlock(&a->lock);
	}
	buf_fini(&canon);
	return r;
}

/* ---- rename ------------------------------------------------------------- */

struct renaming {
	struct store_mailbox **box;
	struct slice *name; /* new names, malloc'ed */
	size_t n;
};

static void renaming_free(struct renaming *rn)
{
	for (size_t i = 0; i < rn->n; i++) {
		free((char *)rn->name[i].p);
	}
	free(rn->name);
	free(rn->box);
}

static int rename_one(struct renaming *rn, struct store_mailbox *m, struct slice from,
		      struct slice to)
{
	struct slice tail = slice_from(m->name, from.n);
	size_t n = to.n + tail.n;
	char *p;

	if (n > STORE_NAME_MAX) {
		return STORE_BADNAME;
	}
	p = malloc(n);
	if (!p) {
		return -ENOMEM;
	}
	memcpy(p, to.p, to.n);
	if (tail.n) {
		memcpy(p + to.n, tail.p, tail.n);
	}
	rn->box[rn->n] = m;
	rn->name[rn->n++] = slice_make(p, n);
	if (name_levels(slice_make(p, n)) > STORE_DEPTH_MAX) {
		return STORE_BADNAME;
	}
	return account_find(m->a, slice_make(p, n)) ? STORE_EXISTS : 0;
}

static int collect_renames(struct store_account *a, struct slice from, struct slice to,
			   struct renaming *rn)
{
	int r = 0;

	rn->box = calloc(a->n_boxes, sizeof(struct store_mailbox *));
	rn->name = calloc(a->n_boxes, sizeof(*rn->name));
	if (!rn->box || !rn->name) {
		return -ENOMEM;
	}
	list_each(it, &a->boxes) {
		struct store_mailbox *m = list_of(it, struct store_mailbox, link);

		if (slice_eq(m->name, from) || name_below(m->name, from)) {
			r = rename_one(rn, m, from, to);
		}
		if (r) {
			return r;
		}
	}
	return rn->n ? 0 : STORE_NOTFOUND;
}

/* New keys in the table first, so that nothing can fail half way. */
static int apply_renames(struct store_account *a, struct renaming *rn)
{
	for (size_t i = 0; i < rn->n; i++) {
		if (table_put(&a->by_name, rn->name[i], rn->box[i], NULL)) {
			return -ENOMEM;
		}
	}
	for (size_t i = 0; i < rn->n; i++) {
		struct slice old = rn->box[i]->name;

		table_del(&a->by_name, old);
		rn->box[i]->name = rn->name[i];
		rn->name[i] = slice_make(NULL, 0);
		free((char *)old.p);
	}
	return 0;
}

/* One commit for all of them and the missing parents of the new name. */
CO_FN static int commit_renames(struct store_account *a, struct renaming *rn, struct making *mk,
				struct err *e)
{
	struct account_row row = a->row;
	struct kv_batch *b = kv_batch_new(part_account(a->id));

	if (!b) {
		return -ENOMEM;
	}
	put_new(a, b, &row, mk, 0);
	for (size_t i = 0; i < rn->n; i++) {
		struct box_row box = { rn->box[i]->uidvalidity, rn->box[i]->uses, rn->name[i] };

		account_put_box(b, rn->box[i]->id, &box);
	}
	int r = commit_list(a, b, &row, e);

	kv_batch_free(&b);
	if (r == 0) {
		r = add_new(a, mk);
	}
	return r ? r : apply_renames(a, rn);
}

CO_FN static int rename_tree(struct store_account *a, struct slice from, struct slice to,
			     struct err *e)
{
	struct renaming rn = { 0 };
	struct making *mk = calloc(1, sizeof(*mk));
	int r = mk ? collect_renames(a, from, to, &rn) : -ENOMEM;

	if (r == 0) {
		missing_parents(a, to, mk);
		if (a->n_boxes + mk->n > STORE_MAILBOXES_MAX) {
			r = STORE_LIMIT;
		}
	}
	r = r ? r : commit_renames(a, &rn, mk, e);
	renaming_free(&rn);
	free(mk);
	return r;
}

/* INBOX stays, and its messages go (RFC 3501 6.3.5). */
CO_FN static int rename_inbox(struct store_account *a, struct slice to, struct err *e)
{
	int r = create_locked(a, to, 0, e);

	if (r) {
		return r;
	}
	struct store_mailbox *src = a->inbox;
	struct store_mailbox *dst = account_find(a, to);

	box_ref(src);
	box_ref(dst);
	r = metadata_copy(a, src->id, dst->id, e); /* RFC 5464 4.1 */
	r = r ? r : box_load(src, e);
	r = r ? r : box_load(dst, e);
	/* What arrives meanwhile stays in INBOX or goes, as it comes. */
	for (size_t n = src->total.messages; n && r == 0; n -= MIN(n, COPY_CHUNK)) {
		r = box_transfer(src, NULL, 0, dst, true, FLAGS_ALL, NULL, e);
	}
	box_unref(dst);
	box_unref(src);
	return r;
}

CO_FN static int rename_locked(struct store_account *a, struct slice from, struct slice to,
			       struct err *e)
{
	if (a->gone) {
		return STORE_GONE;
	}
	if (account_find(a, to)) {
		return STORE_EXISTS;
	}
	if (slice_eq(from, S("INBOX"))) {
		return rename_inbox(a, to, e);
	}
	if (name_below(to, from)) {
		return STORE_FORBIDDEN; /* a mailbox cannot be in itself */
	}
	return rename_tree(a, from, to, e);
}

CO_FN int store_mailbox_rename(struct store_account *a, struct slice from, struct slice to,
			       struct err *e)
{
	struct buf f = BUF_INIT(4 * STORE_NAME_MAX);
	struct buf t = BUF_INIT(4 * STORE_NAME_MAX);

	home_assert(a->home);
	int r = store_name_canon(from, &f) ? STORE_NOTFOUND : 0;

	r = r ? r : store_name_canon(to, &t);
	r = r ? r : co_mutex_lock(&a->lock);
	if (r == 0) {
		r = rename_locked(a, buf_slice(&f), buf_slice(&t), e);
		account_list_changed(a);
		co_mutex_unlock(&a->lock);
	}
	buf_fini(&f);
	buf_fini(&t);
	return r;
}
