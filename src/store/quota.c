/*
 * Quota and usage. Usage is the sum over the account's mailboxes of counters
 * that change with the rows (I9), so every mailbox must be at least light
 * before it is asked for; mail on its way is reserved (RS-04).
 */
#include "store/impl.h"

struct quota_op {
	struct store *s;
	store_id id;
	uint64_t bytes, messages; /* to set; bytes: would this fit? */
	struct store_usage *usage;
	struct err *e;
};

bool account_has_quota(const struct store_account *a)
{
	return a->row.quota_bytes || a->row.quota_messages;
}

void account_sum(const struct store_account *a, struct store_usage *out)
{
	*out = (struct store_usage){ .quota_bytes = a->row.quota_bytes,
				     .quota_messages = a->row.quota_messages };
	list_each(it, &a->boxes) {
		const struct store_mailbox *m = list_of(it, struct store_mailbox, link);

		out->bytes += m->total.bytes;
		out->messages += m->total.messages;
	}
}

int account_fits(const struct store_account *a, uint64_t bytes, uint64_t messages)
{
	struct store_usage u;

	if (!account_has_quota(a)) {
		return STORE_OK;
	}
	assert(a->measured);
	account_sum(a, &u);
	u.bytes += a->reserved_bytes + bytes;
	u.messages += a->reserved_messages + messages;
	if ((bytes && u.quota_bytes && u.bytes > u.quota_bytes) ||
	    (messages && u.quota_messages && u.messages > u.quota_messages)) {
		return STORE_OVERQUOTA;
	}
	return STORE_OK;
}

static struct store_mailbox *first_cold(struct store_account *a)
{
	list_each(it, &a->boxes) {
		struct store_mailbox *m = list_of(it, struct store_mailbox, link);

		if (m->state == BOX_COLD && !m->damaged) {
			return m;
		}
	}
	return NULL;
}

/*
 * A mailbox that cannot be read counts as empty: its damage must not keep
 * its owner from the others.
 */
CO_FN int account_measure(struct store_account *a, struct err *e)
{
	struct store_mailbox *m;

	while (!a->measured && (m = first_cold(a))) {
		box_ref(m);
		int r = box_light(m, e);

		m->damaged = r == -EIO || r == -EPROTO;
		bool go_on = r >= 0 || m->damaged;

		box_unref(m);
		if (!go_on) {
			return r;
		}
	}
	a->measured = true;
	return 0;
}

void store_account_usage(const struct store_account *a, struct store_usage *out)
{
	home_assert(a->home);
	account_sum(a, out);
}

static uint64_t deleted_bytes(const struct store_mailbox *m)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < m->n; i++) {
		if (m->v[i].gone_at == 0 && (m->v[i].system & STORE_DELETED)) {
			bytes += m->v[i].size;
		}
	}
	return bytes;
}

CO_FN int store_mailbox_deleted(struct store_account *a, struct slice name, uint64_t *bytes_out,
				struct err *e)
{
	struct store_mailbox *m;
	struct store_status st;
	int r = store_mailbox_status(a, name, &st, e);

	*bytes_out = 0;
	if (r || st.deleted == 0) {
		return r;
	}
	r = store_mailbox_open(a, name, &m, e);
	if (r == 0) {
		*bytes_out = deleted_bytes(m);
		store_mailbox_close(&m);
	}
	return r;
}

CO_FN static int quota_put(struct store_account *a, uint64_t bytes, uint64_t messages,
			   struct err *e)
{
	struct account_row row = a->row;
	struct kv_batch *b = kv_batch_new(part_account(a->id));

	if (!b) {
		return -ENOMEM;
	}
	row.quota_bytes = bytes;
	row.quota_messages = messages;
	account_put_row(b, &row);
	kv_batch_frees(b); /* a bigger quota must be possible at any time */
	int r = store_result(kv_commit(a->home->s->kv, &b, 1), e, "setting a quota");

	kv_batch_free(&b);
	if (r == 0) {
		a->row = row;
	}
	return r;
}

static int do_quota(void *arg)
{
	struct quota_op *op = arg;
	struct store_account *a;

	co_enter();
	int r = account_get(home_of(op->s, op->id), op->id, &a, op->e);

	if (r) {
		return r;
	}
	r = account_measure(a, op->e);
	if (r == 0) {
		r = co_mutex_lock(&a->lock);
	}
	if (r == 0) {
		r = a->gone ? STORE_NOTFOUND : quota_put(a, op->bytes, op->messages, op->e);
		co_mutex_unlock(&a->lock);
	}
	account_unref(a);
	return r;
}

CO_FN int store_quota_set(struct store *s, store_id id, uint64_t bytes, uint64_t messages,
			  struct err *e)
{
	struct quota_op op = { s, id, bytes, messages, NULL, e };

	return home_call(s, id, do_quota, &op);
}

static int do_usage(void *arg)
{
	struct quota_op *op = arg;
	struct store_account *a;

	co_enter();
	int r = account_get(home_of(op->s, op->id), op->id, &a, op->e);

	if (r) {
		return r;
	}
	r = account_measure(a, op->e);
	if (r == 0) {
		account_sum(a, op->usage);
	}
	account_unref(a);
	return r;
}

CO_FN int store_usage(struct store *s, store_id id, struct store_usage *out, struct err *e)
{
	struct quota_op op = { s, id, 0, 0, out, e };

	return home_call(s, id, do_usage, &op);
}

static int do_fit(void *arg)
{
	struct quota_op *op = arg;
	struct store_account *a;

	co_enter();
	int r = account_get(home_of(op->s, op->id), op->id, &a, op->e);

	if (r) {
		return r;
	}
	if (account_has_quota(a)) {
		r = account_measure(a, op->e);
	}
	if (r == 0) {
		r = account_fits(a, op->bytes, 1);
	}
	account_unref(a);
	return r;
}

CO_FN int store_would_fit(struct store *s, store_id id, uint64_t size)
{
	struct err e = ERR_INIT;
	struct quota_op op = { s, id, size, 0, NULL, &e };

	if (kv_is_full(s->kv)) {
		return STORE_FULL;
	}
	return home_call(s, id, do_fit, &op);
}
