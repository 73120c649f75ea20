/*
 * impl: what the files of co/ share and nobody else may see.
 *
 * A coroutine is in exactly one of four states; co_wake() and co_resume() are
 * the only ways from WAITING to READY and from READY to RUNNING. All of it is
 * touched by the loop's own thread only, but for the fields marked atomic.
 */
#ifndef CO_IMPL_H
#define CO_IMPL_H

#include <stdatomic.h>

#include "base/err.h"
#include "co/co.h"
#include "co/stack.h"
#include "co/switch.h"

#define CO_MAGIC 0x636f726fu
#define CO_NOT_IN_HEAP SIZE_MAX
/* So many operations that found something ready may pass without a switch. */
#define CO_SLICE_OPS 64

enum co_state { CO_READY, CO_RUNNING, CO_WAITING, CO_ENDED };

struct co {
	uint32_t magic;
	enum co_state state;
	struct co_ctx ctx;
	struct co_loop *loop;
	const char *name;
	void (*fn)(void *arg);
	void *arg;
	struct co_stack *stack;
	struct list run;       /* in loop->ready while READY */
	struct list all;       /* in loop->all until ended */
	struct co_event ended; /* joiners wait here */
	bool cancelled;
	bool detached;	  /* nobody joins: freed at its end */
	bool shielded;	  /* waits for what cancelling cannot hurry */
	bool timed_out;	  /* why the last wait ended */
	bool turn_mine;	  /* the mutex it queues for was handed over */
	struct list turn; /* in that mutex's queue */
	unsigned slice;	  /* operations since it last gave way */
	int64_t deadline; /* while in the timer heap */
	uint64_t seq;	  /* equal deadlines: first come, first woken */
	size_t heap_at;
	void *asan_fake;
	void *tsan_fiber;
};

/* One coroutine's interest in one thing, on its stack while it waits. */
struct co_waiter {
	struct list node;
	struct co *co;
	enum co_want_kind kind;
	bool fired;
	bool broken; /* the descriptor was unregistered */
};

struct co_loop {
	_Atomic(const void *) owner; /* address of the thread's mark */
	int epoll;
	int wakeup; /* eventfd, edge-triggered: never read */
	struct co_ctx main;
	struct co *current;
	struct list ready;
	struct list all;
	size_t count;
	struct co **heap;
	size_t heap_n;
	size_t heap_cap; /* >= count: arming a timer never fails */
	uint64_t seq;
	_Atomic(struct co_post *) posts;
	atomic_bool stop_asked;
	atomic_uint visitors; /* other threads in the middle of a post */
	bool running;
	bool stopping;
	struct co_stacks stacks;
	const void *asan_bottom; /* the thread's own stack */
	size_t asan_size;
	void *asan_fake;
	void *tsan_fiber;
};

/* co.c */
void co_wake(struct co *c);
void co_resume(struct co_loop *l, struct co *c);
/* Suspends the running coroutine until co_wake. */
void co_suspend(struct co *c);
/* The same, with a timer; co->timed_out says whether it was the timer. */
void co_suspend_until(struct co *c, int64_t deadline);
/* Lets all others run once; never fails. */
void co_give_way(struct co *c);
void co_cancel_all(struct co_loop *l);

/* What every wait point of a YIELD_ALWAYS build does first. */
static inline void co_torture(struct co *c)
{
#ifdef YIELD_ALWAYS
	if (c) {
		co_give_way(c);
	}
#else
	(void)c;
#endif
}

/* loop.c */
int co_heap_reserve(struct co_loop *l, size_t n);
void co_heap_add(struct co_loop *l, struct co *c, int64_t deadline);
void co_heap_del(struct co_loop *l, struct co *c);
/* False if the loop has ended and will not run it. */
bool co_post_try(struct co_loop *l, struct co_post *p);

/* wait.c */
void co_waiters_fire(struct list *waiters, const struct co_loop *l);
/* Waits for ev whatever is cancelled or late. In a coroutine only. */
void co_event_wait_shielded(struct co *c, struct co_event *ev);

#endif
