/*
 * The stack pool: see stack.h. Also keeps the high-water mark, by asking the
 * kernel which pages of a stack are there (mincore) whenever one is given
 * back or trimmed: exact to a page, and free while a coroutine runs.
 */
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"
#include "co/co.h"
#include "co/stack.h"

#if defined(__has_include)
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif
#endif
#ifndef VALGRIND_STACK_REGISTER
#define VALGRIND_STACK_REGISTER(start, end) 0
#define VALGRIND_STACK_DEREGISTER(id) ((void)(id))
#endif

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

#if defined(__SANITIZE_ADDRESS__)
#define STACK_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define STACK_ASAN 1
#endif
#endif
#ifdef STACK_ASAN
#include <sanitizer/asan_interface.h>
#endif

#define SLAB_BYTES (16u * 1024 * 1024)
#define SLAB_STACKS (SLAB_BYTES / CO_STACK_SIZE)
#define PAGES_MAX (CO_STACK_SIZE / 4096)

struct co_slab {
	struct co_slab *next;
	char *map;
	size_t map_size;
	size_t used; /* stacks carved so far */
	struct co_stack stacks[SLAB_STACKS];
};

const size_t co_stack_size = CO_STACK_SIZE;
bool co_stack_no_guard_install;

static atomic_size_t high_water;
/* Once the kernel has said it knows no guard markers, it is not asked again. */
static atomic_bool guard_unknown;

static size_t page_size(void)
{
	static atomic_size_t cached;
	size_t n = atomic_load_explicit(&cached, memory_order_relaxed);

	if (n == 0) {
		n = (size_t)sysconf(_SC_PAGESIZE);
		atomic_store_explicit(&cached, n, memory_order_relaxed);
	}
	return n;
}

static size_t stride(void)
{
	return CO_STACK_SIZE + page_size();
}

void co_stacks_init(struct co_stacks *p)
{
	list_init(&p->free);
	p->slabs = NULL;
	p->handed_out = 0;
}

static void slab_free(struct co_slab *slab)
{
	for (size_t i = 0; i < slab->used; i++) {
		VALGRIND_STACK_DEREGISTER(slab->stacks[i].valgrind_id);
	}
#ifdef STACK_ASAN
	__asan_unpoison_memory_region(slab->map, slab->map_size);
#endif
	munmap(slab->map, slab->map_size);
	free(slab);
}

void co_stacks_fini(struct co_stacks *p)
{
	assert(p->handed_out == 0);
	while (p->slabs) {
		struct co_slab *slab = p->slabs;

		p->slabs = slab->next;
		slab_free(slab);
	}
	list_init(&p->free);
}

static int slab_new(struct co_stacks *p)
{
	struct co_slab *slab = calloc(1, sizeof(*slab));

	if (!slab) {
		return -ENOMEM;
	}
	slab->map_size = stride() * SLAB_STACKS;
	slab->map = mmap(NULL, slab->map_size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
	if (slab->map == MAP_FAILED) {
		free(slab);
		return -ENOMEM;
	}
	/* A huge page would make one small stack cost 2 MiB. Only advice. */
	(void)madvise(slab->map, slab->map_size, MADV_NOHUGEPAGE);
	slab->next = p->slabs;
	p->slabs = slab;
	return 0;
}

static int guard_install(char *page)
{
	if (!co_stack_no_guard_install &&
	    !atomic_load_explicit(&guard_unknown, memory_order_relaxed)) {
		if (madvise(page, page_size(), MADV_GUARD_INSTALL) == 0) {
			return 0;
		}
		if (errno != EINVAL) {
			return -ENOMEM;
		}
		atomic_store_explicit(&guard_unknown, true, memory_order_relaxed);
	}
	return mprotect(page, page_size(), PROT_NONE) == 0 ? 0 : -ENOMEM;
}

/* Makes the next stack of the newest slab. */
static int carve(struct co_stacks *p, struct co_stack **out)
{
	struct co_slab *slab = p->slabs;
	struct co_stack *s;
	char *guard;
	int r;

	if (!slab || slab->used == SLAB_STACKS) {
		r = slab_new(p);
		if (r < 0) {
			return r;
		}
		slab = p->slabs;
	}
	guard = slab->map + slab->used * stride();
	r = guard_install(guard);
	if (r < 0) {
		return r;
	}
	s = &slab->stacks[slab->used++];
	list_init(&s->free);
	s->base = guard + page_size();
	s->size = CO_STACK_SIZE;
	s->valgrind_id = VALGRIND_STACK_REGISTER(s->base, s->base + s->size);
	*out = s;
	return 0;
}

int co_stack_get(struct co_stacks *p, struct co_stack **out)
{
	struct list *node = list_pop(&p->free);
	int r;

	if (node) {
		*out = list_of(node, struct co_stack, free);
	} else {
		r = carve(p, out);
		if (r < 0) {
			return r;
		}
	}
#ifdef STACK_ASAN
	/* Frames that never returned left their red zones behind. */
	__asan_unpoison_memory_region((*out)->base, (*out)->size);
#endif
	p->handed_out++;
	return 0;
}

/* Bytes of the stack that are in memory, from its top down. */
static size_t depth_used(const struct co_stack *s)
{
	unsigned char there[PAGES_MAX];
	size_t pages = s->size / page_size();
	size_t i = 0;

	if (pages > PAGES_MAX || mincore(s->base, s->size, there) != 0) {
		return s->size;
	}
	while (i < pages && !(there[i] & 1)) {
		i++;
	}
	return s->size - i * page_size();
}

static void note_depth(size_t depth)
{
	size_t old = atomic_load_explicit(&high_water, memory_order_relaxed);

	while (depth > old && !atomic_compare_exchange_weak(&high_water, &old, depth)) {
	}
}

void co_stack_release(struct co_stack *s, const char *below)
{
	size_t page = page_size();
	size_t keep = (size_t)(s->base + s->size - below);
	size_t depth = depth_used(s);
	size_t n;

	assert(below >= s->base && below <= s->base + s->size);
	note_depth(depth);
	keep = (keep + page - 1) / page * page;
	if (depth <= keep) {
		return;
	}
	n = s->size - keep;
	/* Memory that is not given back is only a waste: no error to report. */
	(void)madvise(s->base, n, MADV_DONTNEED);
}

void co_stack_put(struct co_stacks *p, struct co_stack *s)
{
	assert(p->handed_out > 0);
	p->handed_out--;
	co_stack_release(s, s->base + s->size - CO_STACK_WARM);
	/* At the head: the warmest stack is taken first. */
	list_push(p->free.next, &s->free);
}

size_t co_stack_high_water(void)
{
	return atomic_load_explicit(&high_water, memory_order_relaxed);
}
