/* rand: the kernel's random bytes (getrandom), for ids, salts and seeds. */
#ifndef BASE_RAND_H
#define BASE_RAND_H

#include <stddef.h>
#include <stdint.h>

/* Fills dst; aborts if the kernel has none (never after boot). */
void rand_bytes(void *dst, size_t n);
uint64_t rand_u64(void);
/*
 * n characters of [a-z0-9] without look-alikes, NUL behind: dst has n+1.
 * About 4.9 bits each.
 */
void rand_text(char *dst, size_t n);

#endif
