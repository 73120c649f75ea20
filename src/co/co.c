/*
 * Coroutines: spawning, switching, ending, joining, cancelling.
 *
 * The loop's thread stack is the hub: a coroutine always switches back to it,
 * and co_resume() picks up from there, so at most one level is ever active
 * and a stack is freed by somebody who does not stand on it. The sanitizers
 * are told of each switch here and nowhere else.
 */
#include <stdlib.h>

#include "co/impl.h"

#if defined(__SANITIZE_ADDRESS__)
#define HAVE_ASAN 1
#endif
#if defined(__SANITIZE_THREAD__)
#define HAVE_TSAN 1
#endif
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAVE_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define HAVE_TSAN 1
#endif
#endif
#ifdef HAVE_ASAN
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef HAVE_TSAN
#include <sanitizer/tsan_interface.h>
#endif

#ifdef CO_CHECK
struct co_context co_context;
#endif

static _Thread_local unsigned noyield;

/* ---- what the sanitizers are told ---------------------------------------- */

/*
 * Always inlined: ThreadSanitizer counts calls and returns per fiber, and a
 * call that began on one and returned on another would unbalance both.
 */
#define SAN_INLINE static inline __attribute__((always_inline))

/* fake NULL: the stack that is left will not be entered again. */
SAN_INLINE void san_leave(void **fake, const void *bottom, size_t size, void *fiber)
{
#ifdef HAVE_ASAN
	__sanitizer_start_switch_fiber(fake, bottom, size);
#else
	(void)fake, (void)bottom, (void)size;
#endif
#ifdef HAVE_TSAN
	__tsan_switch_to_fiber(fiber, 0);
#else
	(void)fiber;
#endif
}

SAN_INLINE void san_arrive(void *fake, const void **from, size_t *from_size)
{
#ifdef HAVE_ASAN
	__sanitizer_finish_switch_fiber(fake, from, from_size);
#else
	(void)fake, (void)from, (void)from_size;
#endif
}

SAN_INLINE void san_born(struct co *c)
{
#ifdef HAVE_TSAN
	c->tsan_fiber = __tsan_create_fiber(0);
	__tsan_set_fiber_name(c->tsan_fiber, c->name);
#else
	(void)c;
#endif
}

SAN_INLINE void san_dead(struct co *c)
{
#ifdef HAVE_TSAN
	__tsan_destroy_fiber(c->tsan_fiber);
#else
	(void)c;
#endif
}

SAN_INLINE void *san_this_fiber(void)
{
#ifdef HAVE_TSAN
	return __tsan_get_current_fiber();
#else
	return NULL;
#endif
}

/* ---- switching ------------------------------------------------------------ */

struct co *co_self(void)
{
	struct co_loop *l = co_loop_self();

	return l ? l->current : NULL;
}

/* The first and last function on a coroutine's stack. */
static void entry(void *arg)
{
	struct co *c = arg;
	struct co_loop *l = c->loop;

	san_arrive(NULL, &l->asan_bottom, &l->asan_size);
	c->fn(c->arg);
	assert(noyield == 0);
	c->state = CO_ENDED;
	san_leave(NULL, l->asan_bottom, l->asan_size, l->tsan_fiber);
	co_ctx_switch(&c->ctx, &l->main);
	BUG("a coroutine that ended was resumed");
}

static void reap(struct co_loop *l, struct co *c)
{
	list_del(&c->all);
	l->count--;
	san_dead(c);
	co_stack_put(&l->stacks, TAKE_PTR(c->stack));
	if (c->detached) {
		c->magic = 0;
		free(c);
		return;
	}
	co_event_set(&c->ended);
}

void co_resume(struct co_loop *l, struct co *c)
{
	assert(c->magic == CO_MAGIC && c->loop == l);
	if (l->current || c->state != CO_READY) {
		BUG("coroutine re-entered");
	}
	c->state = CO_RUNNING;
	c->slice = 0;
	l->current = c;
	l->tsan_fiber = san_this_fiber();
	san_leave(&l->asan_fake, c->stack->base, c->stack->size, c->tsan_fiber);
	co_ctx_switch(&l->main, &c->ctx);
	san_arrive(l->asan_fake, NULL, NULL);
	l->current = NULL;
	if (c->state == CO_ENDED) {
		reap(l, c);
	}
}

/* Back to the hub; the state says why. */
static void switch_out(struct co *c)
{
	struct co_loop *l = c->loop;

	assert(l->current == c && noyield == 0);
	san_leave(&c->asan_fake, l->asan_bottom, l->asan_size, l->tsan_fiber);
	co_ctx_switch(&c->ctx, &l->main);
	san_arrive(c->asan_fake, &l->asan_bottom, &l->asan_size);
	assert(c->state == CO_RUNNING);
}

void co_suspend(struct co *c)
{
	c->state = CO_WAITING;
	c->timed_out = false;
	switch_out(c);
}

void co_suspend_until(struct co *c, int64_t deadline)
{
	if (deadline != CLOCK_NEVER) {
		co_heap_add(c->loop, c, deadline);
	}
	co_suspend(c);
	assert(c->heap_at == CO_NOT_IN_HEAP);
}

void co_wake(struct co *c)
{
	assert(c->magic == CO_MAGIC);
	if (c->state != CO_WAITING) {
		return;
	}
	co_heap_del(c->loop, c);
	c->state = CO_READY;
	list_push(&c->loop->ready, &c->run);
}

void co_give_way(struct co *c)
{
	assert(c->state == CO_RUNNING);
	c->state = CO_READY;
	list_push(&c->loop->ready, &c->run);
	switch_out(c);
}

/* ---- life ------------------------------------------------------------------ */

static struct co *co_alloc(struct co_loop *l, const char *name, void (*fn)(void *arg), void *arg)
{
	struct co *c = calloc(1, sizeof(*c));

	if (!c) {
		return NULL;
	}
	c->magic = CO_MAGIC;
	c->state = CO_READY;
	c->loop = l;
	c->name = name;
	c->fn = fn;
	c->arg = arg;
	c->heap_at = CO_NOT_IN_HEAP;
	co_event_init(&c->ended);
	list_init(&c->run);
	list_init(&c->turn);
	list_init(&c->all);
	return c;
}

int co_spawn(const char *name, void (*fn)(void *arg), void *arg, struct co **out)
{
	struct co_loop *l = co_loop_self();
	struct co *c;
	int r;

	assert(l && fn && name);
	if (l->stopping) {
		return -ESHUTDOWN;
	}
	r = co_heap_reserve(l, l->count + 1);
	if (r < 0) {
		return r;
	}
	c = co_alloc(l, name, fn, arg);
	if (!c) {
		return -ENOMEM;
	}
	r = co_stack_get(&l->stacks, &c->stack);
	if (r < 0) {
		free(c);
		return r;
	}
	c->detached = !out;
	san_born(c);
	co_ctx_init(&c->ctx, c->stack->base, c->stack->size, entry, c);
	list_push(&l->all, &c->all);
	list_push(&l->ready, &c->run);
	l->count++;
	if (out) {
		*out = c;
	}
	return 0;
}

static void handle_free(struct co **cp)
{
	struct co *c = TAKE_PTR(*cp);

	assert(c->magic == CO_MAGIC && !c->detached && c->state == CO_ENDED);
	assert(list_empty(&c->ended.waiters));
	c->magic = 0;
	free(c);
}

int co_join(struct co **cp)
{
	int r;

	assert(*cp && (*cp)->magic == CO_MAGIC && *cp != co_self());
	co_may_wait();
	if (!(*cp)->ended.set) {
		r = co_event_wait(&(*cp)->ended, CLOCK_NEVER);
		if (r < 0) {
			return r;
		}
	}
	handle_free(cp);
	return 0;
}

void co_finish(struct co **cp)
{
	struct co *self = co_self();

	if (!*cp) {
		return;
	}
	assert((*cp)->magic == CO_MAGIC && *cp != self);
	co_may_wait();
	co_cancel(*cp);
	if (!(*cp)->ended.set) {
		if (!self) {
			BUG("co_finish would wait outside a coroutine");
		}
		co_event_wait_shielded(self, &(*cp)->ended);
	}
	handle_free(cp);
}

void co_cancel(struct co *c)
{
	assert(c->magic == CO_MAGIC);
	if (c->state == CO_ENDED) {
		return;
	}
	assert(c->loop == co_loop_self());
	c->cancelled = true;
	if (!c->shielded) {
		co_wake(c);
	}
}

void co_cancel_all(struct co_loop *l)
{
	list_each(it, &l->all) {
		co_cancel(list_of(it, struct co, all));
	}
}

bool co_cancelled(void)
{
	struct co *c = co_self();

	return c && c->cancelled;
}

int co_yield(void)
{
	struct co *c = co_self();

	co_may_wait();
	if (!c) {
		return 0;
	}
	co_give_way(c);
	return c->cancelled ? -ECANCELED : 0;
}

int co_breathe(void)
{
	struct co *c = co_self();

	co_may_wait();
	if (!c) {
		return 0;
	}
	co_torture(c);
	if (++c->slice >= CO_SLICE_OPS) {
		co_give_way(c);
	}
	return c->cancelled ? -ECANCELED : 0;
}

void co_noyield_enter(void)
{
	noyield++;
}

void co_noyield_leave(void)
{
	assert(noyield > 0);
	noyield--;
}

void co_may_wait(void)
{
	if (noyield > 0) {
		BUG("a wait inside co_noyield_enter");
	}
}

/* The frames of the trimming itself and the red zone, generously. */
#ifdef WITH_SANITIZER
#define TRIM_MARGIN 8192
#else
#define TRIM_MARGIN 1024
#endif

void co_stack_trim(void)
{
	struct co *c = co_self();
	const char *below = __builtin_frame_address(0);

	if (!c) {
		return;
	}
	below -= TRIM_MARGIN;
	if (below > c->stack->base && below < c->stack->base + c->stack->size) {
		co_stack_release(c->stack, below);
	}
}
