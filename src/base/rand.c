/*
 * rand: random bytes from getrandom(2), and nothing in between: no pool of
 * our own to be forked, copied or predicted.
 */
#include "base/rand.h"

#include <sys/random.h>

#include "base/err.h"

void rand_bytes(void *dst, size_t n)
{
	char *p = dst;

	while (n) {
		ssize_t r = getrandom(p, n, 0);
		if (r < 0 && errno == EINTR) {
			continue;
		}
		if (r <= 0) {
			BUG("the kernel has no random bytes");
		}
		p += r;
		n -= (size_t)r;
	}
}

uint64_t rand_u64(void)
{
	uint64_t v;

	rand_bytes(&v, sizeof(v));
	return v;
}

void rand_text(char *dst, size_t n)
{
	static const char alphabet[] = "abcdefghjkmnpqrstuvwxyz23456789";
	const unsigned letters = sizeof(alphabet) - 1;
	unsigned char pool[32];
	size_t left = 0;

	for (size_t i = 0; i < n;) {
		if (left == 0) {
			rand_bytes(pool, sizeof(pool));
			left = sizeof(pool);
		}
		unsigned b = pool[--left];
		/* Throw away the uneven end, or the first letters are likelier. */
		if (b < 256 / letters * letters) {
			dst[i++] = alphabet[b % letters];
		}
	}
	dst[n] = '\0';
}
