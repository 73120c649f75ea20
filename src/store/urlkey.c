/*
 * urlkey: a mailbox's access key for URLAUTH (RFC 4467 2.2): 32 random bytes
 * in a row of the mailbox's own, made when first asked for and gone with it.
 *
 * The store keeps the key; what is signed with it is the protocol's business.
 * A new key takes back every URL that was authorised with the old one. Keys
 * are read from the engine each time: they are asked for seldom.
 */
#include <stdlib.h>

#include "base/rand.h"
#include "store/impl.h"

#define KEY_ROW 'U'

/* The row's key. STORE_OK, STORE_NOTFOUND (none, or damaged), <0. */
CO_FN static int read_key(struct store_mailbox *m, unsigned char *key, struct err *e)
{
	struct row_key k = key1(KEY_ROW);
	struct buf b = BUF_INIT(256);
	int r = kv_get(box_kv(m), part_mailbox(m->a->id, m->id), key_slice(&k), &b);
	struct slice v = buf_slice(&b);

	if (r == KV_NOTFOUND || (r == KV_OK && (v.n != 1 + STORE_URL_KEY || v.p[0] != 1))) {
		r = STORE_NOTFOUND;
	} else if (r == KV_OK) {
		memcpy(key, v.p + 1, STORE_URL_KEY);
	} else {
		r = store_result(r, e, "reading a mailbox's access key");
	}
	buf_fini(&b);
	return r;
}

/* Writes a new key, or with key NULL removes it; the lock is held. */
CO_FN static int write_key(struct store_mailbox *m, const unsigned char *key, struct err *e)
{
	struct kv_batch *b = kv_batch_new(part_mailbox(m->a->id, m->id));
	struct row_key k = key1(KEY_ROW);
	char row[1 + STORE_URL_KEY] = { 1 };

	if (!b) {
		return err_set(e, -ENOMEM, "writing a mailbox's access key", NULL);
	}
	if (key) {
		memcpy(row + 1, key, STORE_URL_KEY);
		kv_batch_put(b, key_slice(&k), slice_make(row, sizeof(row)));
	} else {
		kv_batch_del(b, key_slice(&k));
		kv_batch_frees(b);
	}
	int r = store_result(kv_commit(box_kv(m), &b, 1), e, "writing a mailbox's access key");

	kv_batch_free(&b);
	return r;
}

CO_FN int store_url_key(struct store_mailbox *m, bool create, unsigned char *key, struct err *e)
{
	home_assert(m->a->home);
	int r = m->gone ? STORE_GONE : read_key(m, key, e);

	if (r != STORE_NOTFOUND || !create) {
		return r;
	}
	r = box_lock(m, e);
	if (r) {
		return r;
	}
	r = read_key(m, key, e); /* another may have made one */
	if (r == STORE_NOTFOUND) {
		rand_bytes(key, STORE_URL_KEY);
		r = write_key(m, key, e);
	}
	co_mutex_unlock(&m->lock);
	return r;
}

/* Sessions that have it selected hear of it (RFC 4467 7). */
static void revoked(struct store_mailbox *m)
{
	m->url_keys++;
	box_wake(m);
}

CO_FN int store_url_key_reset(struct store_mailbox *m, struct err *e)
{
	unsigned char key[STORE_URL_KEY];

	home_assert(m->a->home);
	int r = box_lock(m, e);

	if (r) {
		return r;
	}
	rand_bytes(key, sizeof(key));
	r = write_key(m, key, e);
	co_mutex_unlock(&m->lock);
	if (r == STORE_OK) {
		revoked(m);
	}
	return r;
}

/* Takes one mailbox's key away, if it has one. */
CO_FN static int drop(struct store_mailbox *m, struct err *e)
{
	unsigned char key[STORE_URL_KEY];
	int r = m->gone ? STORE_GONE : read_key(m, key, e);

	if (r == STORE_NOTFOUND || r == STORE_GONE) {
		return STORE_OK; /* with the mailbox its key went too */
	}
	r = r ? r : box_lock(m, e);
	if (r) {
		return r == STORE_GONE ? STORE_OK : r;
	}
	r = write_key(m, NULL, e);
	co_mutex_unlock(&m->lock);
	if (r == STORE_OK) {
		revoked(m);
	}
	return r;
}

CO_FN int store_url_keys_drop(struct store_account *a, struct err *e)
{
	struct store_mailbox **v = calloc(a->n_boxes + 1, sizeof(struct store_mailbox *));
	size_t n = 0;
	int r = v ? STORE_OK : -ENOMEM;

	home_assert(a->home);
	/* The list may change while we wait: what is in it now is held. */
	if (v) {
		list_each(it, &a->boxes) {
			v[n] = list_of(it, struct store_mailbox, link);
			box_ref(v[n++]);
		}
	}
	for (size_t i = 0; i < n; i++) {
		if (r == STORE_OK) {
			r = drop(v[i], e);
		}
		box_unref(v[i]);
	}
	free(v);
	return r;
}

uint32_t store_url_keys(const struct store_mailbox *m)
{
	return m->url_keys;
}
