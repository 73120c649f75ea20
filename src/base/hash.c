/*
 * hash: XXH3-64 for tables and for checksums on disk.
 *
 * The two uses differ in the seed only. Tables use one that is drawn when the
 * process starts, so that nobody outside can choose colliding keys (THREATS
 * MI-10); what is written to disk uses seed 0, for ever. docs/adr/0004 says
 * why a 64-bit library hash and not a CRC.
 */
#include "base/hash.h"

#include <xxhash.h>

#include "base/err.h"
#include "base/rand.h"

static uint64_t seed;

__attribute__((constructor)) static void draw_seed(void)
{
	seed = rand_u64();
}

uint64_t hash_slice(struct slice s)
{
	return XXH3_64bits_withSeed(s.n ? s.p : "", s.n, seed);
}

uint64_t hash_u64(uint64_t v)
{
	return XXH3_64bits_withSeed(&v, sizeof(v), seed);
}

uint64_t hash_sum64(struct slice s)
{
	return XXH3_64bits(s.n ? s.p : "", s.n);
}

struct hash_sum *hash_sum_new(void)
{
	XXH3_state_t *h = XXH3_createState();

	if (h) {
		XXH3_64bits_reset(h);
	}
	return (struct hash_sum *)h;
}

void hash_sum_add(struct hash_sum *h, struct slice s)
{
	if (s.n) {
		XXH3_64bits_update((XXH3_state_t *)h, s.p, s.n);
	}
}

uint64_t hash_sum_value(const struct hash_sum *h)
{
	return XXH3_64bits_digest((const XXH3_state_t *)h);
}

void hash_sum_reset(struct hash_sum *h)
{
	XXH3_64bits_reset((XXH3_state_t *)h);
}

void hash_sum_free(struct hash_sum **h)
{
	XXH3_freeState((XXH3_state_t *)*h);
	*h = NULL;
}
