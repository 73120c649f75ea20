/*
 * table: open addressing, linear probing, tombstones.
 *
 * One flat array, so a lookup is one or two cache lines. Deleting leaves a
 * tombstone and never moves a slot: that is why the value just walked over
 * may be deleted. Tombstones go when the array is rebuilt, which happens on
 * insertion once three quarters are taken.
 */
#include "base/table.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/hash.h"

#define TABLE_FIRST 8

enum slot_state { SLOT_FREE, SLOT_DEAD, SLOT_BYTES, SLOT_NUM };

struct table_slot {
	uint64_t hash;
	const char *p; /* SLOT_BYTES: the key's bytes */
	uint64_t key;  /* SLOT_BYTES: their number; SLOT_NUM: the key itself */
	void *value;
	enum slot_state state;
};

void table_init(struct table *t)
{
	*t = (struct table){ 0 };
}

void table_fini(struct table *t)
{
	free(t->slots);
	table_init(t);
}

static struct table_slot bytes_key(struct slice key)
{
	return (struct table_slot){ hash_slice(key), key.p, key.n, NULL, SLOT_BYTES };
}

static struct table_slot num_key(uint64_t key)
{
	return (struct table_slot){ hash_u64(key), NULL, key, NULL, SLOT_NUM };
}

static bool same(const struct table_slot *a, const struct table_slot *b)
{
	if (a->state != b->state || a->hash != b->hash || a->key != b->key) {
		return false;
	}
	return a->state == SLOT_NUM ||
	       slice_eq(slice_make(a->p, (size_t)a->key), slice_make(b->p, (size_t)b->key));
}

/* The slot that holds k, or NULL; there is always a free one to stop at. */
static struct table_slot *find(const struct table *t, const struct table_slot *k)
{
	size_t mask = t->cap - 1;

	if (t->cap == 0) {
		return NULL;
	}
	for (size_t i = (size_t)k->hash & mask;; i = (i + 1) & mask) {
		struct table_slot *s = &t->slots[i];
		if (s->state == SLOT_FREE) {
			return NULL;
		}
		if (same(s, k)) {
			return s;
		}
	}
}

/* Puts a key that is not there into an array that has room. */
static void place(struct table *t, const struct table_slot *k)
{
	size_t mask = t->cap - 1;
	size_t i = (size_t)k->hash & mask;

	while (t->slots[i].state >= SLOT_BYTES) {
		i = (i + 1) & mask;
	}
	if (t->slots[i].state == SLOT_DEAD) {
		t->dead--;
	}
	t->slots[i] = *k;
	t->n++;
}

static int rebuild(struct table *t, size_t cap)
{
	struct table new = { .slots = calloc(cap, sizeof(*new.slots)), .cap = cap };

	if (!new.slots) {
		return -ENOMEM;
	}
	for (size_t i = 0; i < t->cap; i++) {
		if (t->slots[i].state >= SLOT_BYTES) {
			place(&new, &t->slots[i]);
		}
	}
	assert(new.n == t->n);
	free(t->slots);
	*t = new;
	return 0;
}

static int put(struct table *t, struct table_slot k, void *value, void **old_out)
{
	struct table_slot *s = find(t, &k);
	int r = 0;

	assert(value);
	k.value = value;
	if (s) {
		if (old_out) {
			*old_out = s->value;
		}
		*s = k; /* the key's bytes are now the new value's */
		return 0;
	}
	if ((t->n + t->dead + 1) * 4 > t->cap * 3) {
		/* Grow if the living fill half of it, else only sweep. */
		size_t cap = t->cap ? t->cap : TABLE_FIRST / 2;
		r = rebuild(t, (t->n + 1) * 2 > cap ? cap * 2 : cap);
	}
	if (r) {
		return r;
	}
	if (old_out) {
		*old_out = NULL;
	}
	place(t, &k);
	return 0;
}

static void *del(struct table *t, struct table_slot k)
{
	struct table_slot *s = find(t, &k);
	void *value;

	if (!s) {
		return NULL;
	}
	value = s->value;
	*s = (struct table_slot){ .state = SLOT_DEAD };
	t->n--;
	t->dead++;
	return value;
}

void *table_get(const struct table *t, struct slice key)
{
	struct table_slot k = bytes_key(key);
	const struct table_slot *s = find(t, &k);

	return s ? s->value : NULL;
}

int table_put(struct table *t, struct slice key, void *value, void **old_out)
{
	return put(t, bytes_key(key), value, old_out);
}

void *table_del(struct table *t, struct slice key)
{
	return del(t, bytes_key(key));
}

void *table_get_u64(const struct table *t, uint64_t key)
{
	struct table_slot k = num_key(key);
	const struct table_slot *s = find(t, &k);

	return s ? s->value : NULL;
}

int table_put_u64(struct table *t, uint64_t key, void *value, void **old_out)
{
	return put(t, num_key(key), value, old_out);
}

void *table_del_u64(struct table *t, uint64_t key)
{
	return del(t, num_key(key));
}

void *table_next(const struct table *t, size_t *it)
{
	while (*it < t->cap) {
		const struct table_slot *s = &t->slots[(*it)++];
		if (s->state >= SLOT_BYTES) {
			return s->value;
		}
	}
	return NULL;
}
