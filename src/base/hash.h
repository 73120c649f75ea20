/*
 * hash: 64-bit hashes for tables (seeded per process) and record checksums
 * (unseeded, stable for ever). Both are XXH3 from libxxhash.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/slice.h"

/* For in-memory tables: seeded at start, differs in every process. */
uint64_t hash_slice(struct slice s);
uint64_t hash_u64(uint64_t v);
/* XXH3-64 with seed 0: what stands on disk. */
uint64_t hash_sum64(struct slice s);
/* Incremental hash_sum64 over several pieces. */
struct hash_sum;
struct hash_sum *hash_sum_new(void);
void hash_sum_add(struct hash_sum *h, struct slice s);
uint64_t hash_sum_value(const struct hash_sum *h);
void hash_sum_reset(struct hash_sum *h);
void hash_sum_free(struct hash_sum **h);

#endif
