/*
 * arena: bump allocation from a chain of blocks, freed together.
 *
 * Blocks grow with what the arena already holds (512 bytes to 16 KiB), so an
 * idle session pays little and a busy one calls malloc rarely. In sanitizer
 * builds every object is a block of its own, exactly as long as asked for:
 * an overrun by one byte is then a report and not a neighbour's new value.
 * What counts towards the cap is the same in both builds.
 */
#include "base/arena.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"

#define ARENA_ALIGN 16
#define BLOCK_MIN 480
#define BLOCK_MAX 16352

struct arena_block {
	struct arena_block *next; /* the one filled before */
	size_t cap;
	size_t used;
	_Alignas(ARENA_ALIGN) char data[];
};

void arena_init(struct arena *a, size_t max)
{
	*a = (struct arena){ .max = max };
}

static void drop_until(struct arena *a, const struct arena_block *stop)
{
	while (a->head != stop) {
		struct arena_block *b = a->head;
		assert(b); /* the mark belongs to this arena and is not older than a reset */
		a->head = b->next;
		free(b);
	}
}

void arena_fini(struct arena *a)
{
	drop_until(a, NULL);
	arena_init(a, a->max);
}

struct arena_mark arena_mark(const struct arena *a)
{
	return (struct arena_mark){ a->head, a->head ? a->head->used : 0, a->used };
}

void arena_reset(struct arena *a, struct arena_mark m)
{
	drop_until(a, m.head);
	if (a->head) {
		assert(m.block_used <= a->head->used);
		a->head->used = m.block_used;
	}
	assert(m.used <= a->used);
	a->used = m.used;
	a->err = 0;
}

#ifdef WITH_SANITIZER
static size_t block_cap(const struct arena *a, size_t n, size_t rounded)
{
	(void)a;
	(void)rounded;
	return n;
}

static bool fits(const struct arena_block *b, size_t rounded)
{
	(void)b;
	(void)rounded;
	return false;
}
#else
static size_t block_cap(const struct arena *a, size_t n, size_t rounded)
{
	(void)n;
	return MAX(rounded, MIN(MAX(a->used, (size_t)BLOCK_MIN), (size_t)BLOCK_MAX));
}

static bool fits(const struct arena_block *b, size_t rounded)
{
	return b && rounded <= b->cap - b->used;
}
#endif

static bool add_block(struct arena *a, size_t cap)
{
	struct arena_block *b = malloc(sizeof(*b) + cap);

	if (!b) {
		a->err = -ENOMEM;
		return false;
	}
	b->next = a->head;
	b->cap = cap;
	b->used = 0;
	a->head = b;
	return true;
}

void *arena_alloc(struct arena *a, size_t n)
{
	size_t rounded;

	if (a->err) {
		return NULL;
	}
	assert(a->used <= a->max);
	if (n > a->max - a->used) {
		a->err = -EMSGSIZE;
		return NULL;
	}
	/* UNSAFE: no wrap, since n was just found to be far below SIZE_MAX or
	 * the next test catches the sum. */
	rounded = n ? (n + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1) : ARENA_ALIGN;
	if (rounded < n || rounded > a->max - a->used) {
		a->err = -EMSGSIZE;
		return NULL;
	}
	if (!fits(a->head, rounded) && !add_block(a, block_cap(a, n, rounded))) {
		return NULL;
	}
	char *p = a->head->data + a->head->used;
	a->head->used = MIN(a->head->used + rounded, a->head->cap);
	a->used += rounded;
	memset(p, 0, n);
	return p;
}

void *arena_array(struct arena *a, size_t n, size_t size)
{
	size_t total;

	if (__builtin_mul_overflow(n, size, &total)) {
		a->err = a->err ? a->err : -EMSGSIZE;
		return NULL;
	}
	return arena_alloc(a, total);
}

char *arena_strdup(struct arena *a, struct slice s)
{
	char *p;

	if (s.n == SIZE_MAX) {
		a->err = a->err ? a->err : -EMSGSIZE;
		return NULL;
	}
	p = arena_alloc(a, s.n + 1);
	if (p && s.n) {
		memcpy(p, s.p, s.n);
	}
	return p;
}

struct slice arena_dup(struct arena *a, struct slice s)
{
	char *p = arena_strdup(a, s);

	return slice_make(p, p ? s.n : 0);
}

struct slice arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap, again;
	char *p;
	int n;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	assert(n >= 0);
	p = arena_alloc(a, (size_t)n + 1);
	if (p) {
		vsnprintf(p, (size_t)n + 1, fmt, again);
	}
	va_end(again);
	va_end(ap);
	return slice_make(p, p ? (size_t)n : 0);
}
