/*
 * The portable backend: makecontext and swapcontext.
 *
 * Slower by a system call a switch (the signal mask), otherwise the same. The
 * one file that is built without _FORTIFY_SOURCE: its checks suppose that a
 * stack pointer only ever moves the ordinary way.
 */
#undef _FORTIFY_SOURCE
#include <stdint.h>

#include "base/err.h"
#include "co/switch.h"

/* makecontext passes ints: pointers travel as halves. */
static void start(unsigned fn_hi, unsigned fn_lo, unsigned arg_hi, unsigned arg_lo)
{
	uint64_t fn = (uint64_t)fn_hi << 32 | fn_lo;
	uint64_t arg = (uint64_t)arg_hi << 32 | arg_lo;

	((void (*)(void *))(uintptr_t)fn)((void *)(uintptr_t)arg);
	BUG("a coroutine's entry returned");
}

void co_ctx_init(struct co_ctx *c, char *base, size_t size, void (*entry)(void *arg), void *arg)
{
	uint64_t fn = (uint64_t)(uintptr_t)entry;
	uint64_t a = (uint64_t)(uintptr_t)arg;

	if (getcontext(&c->uc) != 0) {
		BUG("getcontext failed");
	}
	c->uc.uc_stack.ss_sp = base;
	c->uc.uc_stack.ss_size = size;
	c->uc.uc_link = NULL;
	makecontext(&c->uc, (void (*)(void))start, 4, (unsigned)(fn >> 32), (unsigned)fn,
		    (unsigned)(a >> 32), (unsigned)a);
}

void co_ctx_switch(struct co_ctx *from, struct co_ctx *to)
{
	if (swapcontext(&from->uc, &to->uc) != 0) {
		BUG("swapcontext failed");
	}
}
