/* What the engine's tests share: throwaway directories, pseudo-random bytes. */
#ifndef KV_TEST_UTIL_H
#define KV_TEST_UTIL_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/err.h"

#define TEST_PATH_MAX 256

static inline void test_dir(char *dir, size_t cap)
{
	snprintf(dir, cap, "/tmp/kv-test-XXXXXX");
	if (!mkdtemp(dir)) {
		BUG("mkdtemp");
	}
}

static inline int test_remove_one(const char *path, const struct stat *st, int type, struct FTW *f)
{
	(void)st;
	(void)type;
	(void)f;
	return remove(path);
}

static inline void test_dir_remove(const char *dir)
{
	nftw(dir, test_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Half words, half noise: compresses like mail with an attachment. */
static inline void test_fill(char *p, size_t n, uint64_t seed)
{
	uint64_t x = seed * 2654435761u + 88172645463325252u;

	for (size_t i = 0; i < n; i++) {
		if (i % 8 == 0) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
		}
		p[i] = i / 4096 % 2 ? (char)(x >> (i % 8 * 8))
				    : "the mail must get through\n"[(i + x % 3) % 26];
	}
}

static inline void set_be32(char *p, uint32_t v)
{
	v = __builtin_bswap32(v);
	memcpy(p, &v, 4);
}

static inline uint32_t get_be32(const char *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return __builtin_bswap32(v);
}

#endif
