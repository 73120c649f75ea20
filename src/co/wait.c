/*
 * Waiting: events, and the one primitive co_wait().
 *
 * A waiting coroutine hangs a co_waiter for each thing it wants on that
 * thing's list; whoever makes the thing ready marks the waiter fired, takes
 * it off and wakes the coroutine. What fired counts even if it was undone
 * before the coroutine ran (an event set and cleared at once): a wake-up is
 * never lost, and callers look again anyway.
 */
#include <poll.h>

#include "co/impl.h"

void co_event_init(struct co_event *ev)
{
	ev->set = false;
	list_init(&ev->waiters);
}

void co_waiters_fire(struct list *waiters, const struct co_loop *l)
{
	for (;;) {
		struct list *node = list_pop(waiters);
		struct co_waiter *w;

		if (!node) {
			return;
		}
		w = list_of(node, struct co_waiter, node);
		assert(w->co->loop == l);
		w->fired = true;
		co_wake(w->co);
	}
}

void co_event_set(struct co_event *ev)
{
	ev->set = true;
	if (!list_empty(&ev->waiters)) {
		co_waiters_fire(&ev->waiters, co_loop_self());
	}
}

void co_event_clear(struct co_event *ev)
{
	ev->set = false;
}

static bool want_ready(const struct co_want *w)
{
	switch (w->kind) {
	case CO_READABLE:
		return w->fd->ready_in;
	case CO_WRITABLE:
		return w->fd->ready_out;
	case CO_EVENT:
		return w->event->set;
	}
	BUG("unknown kind of want");
}

static int first_ready(const struct co_want *want, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (want_ready(&want[i])) {
			return (int)i;
		}
	}
	return -1;
}

static void hang(struct co *c, const struct co_want *want, struct co_waiter *w)
{
	struct list *on = want->kind == CO_EVENT ? &want->event->waiters : &want->fd->waiters;

	if (want->kind != CO_EVENT) {
		assert(want->fd->loop == c->loop);
	}
	*w = (struct co_waiter){ .co = c, .kind = want->kind };
	list_push(on, &w->node);
}

/* The first that fired or is ready; -ECANCELED if a descriptor went away. */
static int outcome(const struct co_want *want, struct co_waiter *w, size_t n)
{
	int found = -1;

	for (size_t i = n; i-- > 0;) {
		list_del(&w[i].node);
		if (w[i].broken) {
			found = -ECANCELED;
		} else if (w[i].fired || want_ready(&want[i])) {
			found = (int)i;
		}
	}
	return found;
}

static int wait_suspended(struct co *c, const struct co_want *want, size_t n, int64_t deadline)
{
	struct co_waiter w[CO_WANT_MAX];
	bool late;
	int i;

	do {
		for (size_t k = 0; k < n; k++) {
			hang(c, &want[k], &w[k]);
		}
		co_suspend_until(c, deadline);
		late = c->timed_out;
		i = outcome(want, w, n);
		if (c->cancelled) {
			return -ECANCELED;
		}
	} while (i == -1 && !late);
	return i == -1 ? -ETIMEDOUT : i;
}

/* Outside a coroutine nothing can become ready by waiting for it. */
static int wait_outside(const struct co_want *want, size_t n)
{
	int i = first_ready(want, n);

	if (i >= 0) {
		return i;
	}
	for (size_t k = 0; k < n; k++) {
		struct pollfd p = { .fd = -1 };

		if (want[k].kind == CO_EVENT) {
			continue;
		}
		p.fd = want[k].fd->fd;
		p.events = want[k].kind == CO_READABLE ? POLLIN : POLLOUT;
		if (poll(&p, 1, 0) > 0) {
			return (int)k;
		}
	}
	return -EDEADLK;
}

int co_wait(const struct co_want *want, size_t n, int64_t deadline)
{
	struct co *c = co_self();
	int i;

	assert(n <= CO_WANT_MAX);
	co_may_wait();
	if (!c) {
		return wait_outside(want, n);
	}
	co_torture(c);
	if (++c->slice >= CO_SLICE_OPS) {
		co_give_way(c);
	}
	if (c->cancelled) {
		return -ECANCELED;
	}
	i = first_ready(want, n);
	if (i >= 0) {
		return i;
	}
	if (deadline != CLOCK_NEVER && deadline <= clock_mono()) {
		return -ETIMEDOUT;
	}
	return wait_suspended(c, want, n, deadline);
}

int co_event_wait(struct co_event *ev, int64_t deadline)
{
	struct co_want want = { .kind = CO_EVENT, .event = ev };

	return co_wait(&want, 1, deadline);
}

int co_sleep(int64_t ms)
{
	int r;

	co_may_wait();
	if (!co_self()) {
		return 0;
	}
	r = co_wait(NULL, 0, clock_in_ms(ms));
	return r == -ETIMEDOUT ? 0 : r;
}

void co_event_wait_shielded(struct co *c, struct co_event *ev)
{
	struct co_want want = { .kind = CO_EVENT, .event = ev };
	struct co_waiter w;

	while (!ev->set) {
		hang(c, &want, &w);
		c->shielded = true;
		co_suspend(c);
		c->shielded = false;
		list_del(&w.node);
		if (w.fired) {
			return;
		}
	}
}
