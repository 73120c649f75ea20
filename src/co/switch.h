/*
 * switch: saving one flow of control and going on with another.
 *
 * The lowest of the three layers of co/: it knows nothing of loops. Two
 * backends have the same two functions: assembly (x86-64, aarch64: 15-20 ns,
 * no system call) and ucontext (any CPU glibc knows: 240 ns, because it saves
 * the signal mask; also a cross-check for the assembly). Used by co.c only,
 * which also tells the sanitizers what happens.
 */
#ifndef CO_SWITCH_H
#define CO_SWITCH_H

#include <stddef.h>

#ifdef CO_UCONTEXT
#include <ucontext.h>

struct co_ctx {
	ucontext_t uc;
};
#else
struct co_ctx {
	void *sp;
};
#endif

/*
 * Prepares *c so that the first switch to it calls entry(arg) on the stack
 * [base, base + size). entry must never return.
 */
void co_ctx_init(struct co_ctx *c, char *base, size_t size, void (*entry)(void *arg), void *arg);
/* Goes on in `to`; returns when somebody switches back to `from`. */
void co_ctx_switch(struct co_ctx *from, struct co_ctx *to);

#endif
