/*
 * arena: memory that is freed all at once, with a hard cap.
 *
 * Per-command and per-message memory lives here. Overflow is sticky: once an
 * allocation did not fit, the arena answers NULL for ever (until reset) and
 * arena_err says -ENOMEM or -EMSGSIZE, which a session turns into its
 * protocol's "too big" answer. Under AddressSanitizer each object is its own
 * malloc, so that an overrun of one object is seen.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stdarg.h>

#include "base/slice.h"

struct arena_block;

struct arena {
	struct arena_block *head;
	size_t used; /* bytes handed out, rounded up */
	size_t max;
	int err;
};

/* What arena_reset goes back to. */
struct arena_mark {
	struct arena_block *head;
	size_t block_used;
	size_t used;
};

/* An empty arena that may hand out up to max bytes. No allocation yet. */
void arena_init(struct arena *a, size_t max);
/* Frees everything; the arena is empty and usable again with the same max. */
void arena_fini(struct arena *a);
struct arena_mark arena_mark(const struct arena *a);
/* Frees what was allocated since the mark, and clears the error. */
void arena_reset(struct arena *a, struct arena_mark m);
static inline int arena_err(const struct arena *a)
{
	return a->err;
}

/* Zeroed, 16-byte aligned; NULL after overflow. n = 0 gives a valid pointer. */
void *arena_alloc(struct arena *a, size_t n) __attribute__((malloc));
/* n objects of size bytes; overflow of the product is the sticky error. */
void *arena_array(struct arena *a, size_t n, size_t size) __attribute__((malloc));
#define arena_new(a, type) ((type *)arena_alloc((a), sizeof(type)))
/* Copy with a NUL behind it (not counted). Empty slice after overflow. */
struct slice arena_dup(struct arena *a, struct slice s);
/* NUL-terminated copy; NULL after overflow. */
char *arena_strdup(struct arena *a, struct slice s);
struct slice arena_printf(struct arena *a, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
