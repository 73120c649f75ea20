/*
 * The store as a whole: opening, homes, numbers.
 *
 * Each loop has a home, the accounts that live on it; which one is decided by
 * the account's id alone, so every caller agrees without asking. Nothing is
 * shared between homes but the engine and a few counters. Called by srv (open
 * and close) and by everything else here.
 */
#include <stdlib.h>

#include "store/impl.h"

static void home_init(struct home *h, struct store *s, struct co_loop *loop)
{
	h->s = s;
	h->loop = loop;
	table_init(&h->accounts);
	list_init(&h->warm_accounts);
	list_init(&h->warm_boxes);
	list_init(&h->text_due);
}

static void home_fini(struct home *h)
{
	size_t it = 0;
	struct store_account *a;

	while ((a = table_next(&h->accounts, &it))) {
		table_del_u64(&h->accounts, a->id);
		account_free(a);
	}
	table_fini(&h->accounts);
}

static void free_store(struct store *s)
{
	for (size_t i = 0; i < s->n_homes; i++) {
		home_fini(&s->homes[i]);
	}
	free(s->homes);
	free(s->tmp_dir);
	free(s);
}

/* The store's own row: refuses what a newer version wrote. */
CO_FN static int check_format(struct kv *kv, struct err *e)
{
	struct buf b = BUF_INIT(4096);
	struct row_key k = key1('V');
	int r = kv_get(kv, part_store(), key_slice(&k), &b);

	if (r == KV_OK) {
		int version = b.n ? (unsigned char)b.p[0] : 0;

		buf_fini(&b);
		if (version > ROW_VERSION) {
			return err_set(e, -EPROTO, "store was written by a newer version",
				       "format %d, this program knows %d", version, ROW_VERSION);
		}
		return 0;
	}
	buf_fini(&b);
	if (r != KV_NOTFOUND) {
		return store_result(r, e, "opening the store");
	}
	struct kv_batch *batch = kv_batch_new(part_store());

	if (!batch) {
		return -ENOMEM;
	}
	char version = ROW_VERSION;

	kv_batch_put(batch, key_slice(&k), slice_make(&version, 1));
	kv_batch_frees(batch); /* one row: also on a disk that is full */
	r = kv_commit(kv, &batch, 1);
	kv_batch_free(&batch);
	return store_result(r, e, "making the store");
}

CO_FN int store_open(const struct store_opts *o, struct store **out, struct err *e)
{
	int r = check_format(o->kv, e);

	if (r) {
		return r;
	}
	struct store *s = calloc(1, sizeof(*s));

	if (!s) {
		return -ENOMEM;
	}
	s->kv = o->kv;
	s->message_max = o->message_max ? o->message_max : MESSAGE_MAX_DEFAULT;
	s->message_max = MIN(s->message_max, MESSAGE_MAX_LIMIT);
	size_t n = MAX(o->n_loops, 1);

	s->homes = calloc(n, sizeof(*s->homes));
	s->tmp_dir = o->tmp_dir ? strdup(o->tmp_dir) : NULL;
	if (!s->homes || (o->tmp_dir && !s->tmp_dir)) {
		free_store(s);
		return -ENOMEM;
	}
	s->n_homes = n;
	for (size_t i = 0; i < n; i++) {
		home_init(&s->homes[i], s, o->n_loops ? o->loops[i] : NULL);
	}
	*out = s;
	return 0;
}

void store_close(struct store **sp)
{
	if (!*sp) {
		return;
	}
	assert(atomic_load(&(*sp)->n_views) == 0);
	assert(atomic_load(&(*sp)->n_boxes) == 0);
	assert(atomic_load(&(*sp)->n_accounts) == 0);
	free_store(*sp);
	*sp = NULL;
}

struct home *home_of(struct store *s, store_id account)
{
	if (s->n_homes == 1) {
		return &s->homes[0];
	}
	return &s->homes[hash_u64(account) % s->n_homes];
}

struct co_loop *store_home(struct store *s, store_id account)
{
	return home_of(s, account)->loop;
}

void home_assert(const struct home *h)
{
	assert(!h->loop || !co_self() || co_loop_self() == h->loop);
}

CO_FN int home_call(struct store *s, store_id account, int (*fn)(void *), void *arg)
{
	return co_call(home_of(s, account)->loop, fn, arg);
}

bool store_is_full(struct store *s)
{
	return kv_is_full(s->kv);
}

uint64_t store_message_max(const struct store *s)
{
	return s->message_max;
}

const char *store_tmp_dir(const struct store *s)
{
	return s->tmp_dir;
}

void store_stats(struct store *s, struct store_stats *out)
{
	out->accounts_open = atomic_load(&s->n_accounts);
	out->mailboxes_open = atomic_load(&s->n_boxes);
	out->views_open = atomic_load(&s->n_views);
	out->delivered = atomic_load(&s->n_delivered);
}
