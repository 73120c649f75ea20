/*
 * stack: where coroutines' stacks come from.
 *
 * A pool belongs to one loop, so it needs no lock. It maps slabs of stacks,
 * each stack with a guard page below it, and reuses what is given back,
 * latest first. Guards cost no mapping of their own with MADV_GUARD_INSTALL
 * (Linux 6.13); older kernels get mprotect, which splits the mapping: then
 * vm.max_map_count ends it at about 32,000 stacks, and stack_get says
 * -ENOMEM. A stack without its guard is never handed out.
 */
#ifndef CO_STACK_H
#define CO_STACK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/list.h"

/* Usable bytes of one stack. */
#ifdef WITH_SANITIZER
#define CO_STACK_SIZE (256u * 1024)
#else
#define CO_STACK_SIZE (64u * 1024)
#endif
/* Of a stack that waits for reuse, so much stays in memory. */
#define CO_STACK_WARM (16u * 1024)

struct co_stack {
	struct list free;
	char *base; /* lowest usable byte; the guard lies below */
	size_t size;
	unsigned valgrind_id;
};

struct co_slab;

struct co_stacks {
	struct list free;
	struct co_slab *slabs; /* the newest one is being carved up */
	size_t handed_out;
};

void co_stacks_init(struct co_stacks *p);
/* Unmaps all; every stack must have been given back. */
void co_stacks_fini(struct co_stacks *p);
/* 0 or -ENOMEM. The contents are not cleared. */
int co_stack_get(struct co_stacks *p, struct co_stack **out);
void co_stack_put(struct co_stacks *p, struct co_stack *s);
/* Gives the pages below `below` back to the kernel. */
void co_stack_release(struct co_stack *s, const char *below);

/* Tests: pretend to be a kernel before 6.13. */
extern bool co_stack_no_guard_install;

#endif
