/*
 * table: a hash table from byte keys (or 64-bit numbers) to pointers.
 *
 * Keys are hashed with the process's seed (THREATS MI-10) and not copied:
 * the value must own the key's bytes for as long as it is in the table.
 */
#ifndef BASE_TABLE_H
#define BASE_TABLE_H

#include "base/slice.h"

struct table_slot;

struct table {
	struct table_slot *slots;
	size_t cap; /* power of two or 0 */
	size_t n;
	size_t dead;
};

void table_init(struct table *t);
/* Frees the slots, not the values. */
void table_fini(struct table *t);
/* The value, or NULL. */
void *table_get(const struct table *t, struct slice key);
/* Inserts or replaces; *old_out (may be NULL) gets what was there or NULL.
 * 0 or -ENOMEM (nothing changed). */
int table_put(struct table *t, struct slice key, void *value, void **old_out);
/* Removes; returns the value or NULL. */
void *table_del(struct table *t, struct slice key);
/* Number keys: an own namespace within the same table type. */
void *table_get_u64(const struct table *t, uint64_t key);
int table_put_u64(struct table *t, uint64_t key, void *value, void **old_out);
void *table_del_u64(struct table *t, uint64_t key);
/*
 * Walks all values in no order: start with *it = 0; NULL at the end. Deleting
 * the value just returned is allowed, inserting is not.
 */
void *table_next(const struct table *t, size_t *it);

#endif
