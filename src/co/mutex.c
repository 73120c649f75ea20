/*
 * A mutex between the coroutines of one loop. Unlocking hands it straight to
 * the one who waits longest, so nobody overtakes and nobody starves. The
 * waiters' list is the queue; a waiter that was cancelled leaves it unless
 * the mutex is already his.
 */
#include "co/impl.h"

void co_mutex_init(struct co_mutex *m)
{
	m->owner = NULL;
	m->locked = false;
	list_init(&m->waiters);
}

int co_mutex_lock(struct co_mutex *m)
{
	struct co *c = co_self();

	co_may_wait();
	co_torture(c);
	if (c && c->cancelled) {
		return -ECANCELED;
	}
	if (!m->locked) {
		m->locked = true;
		m->owner = c;
		return 0;
	}
	if (!c) {
		BUG("co_mutex_lock outside a coroutine found it locked");
	}
	if (m->owner == c) {
		BUG("co_mutex_lock: locked by the same coroutine");
	}
	c->turn_mine = false;
	list_push(&m->waiters, &c->turn);
	while (!c->turn_mine && !c->cancelled) {
		co_suspend(c);
	}
	list_del(&c->turn);
	return c->turn_mine ? 0 : -ECANCELED;
}

void co_mutex_unlock(struct co_mutex *m)
{
	struct list *node;
	struct co *next;

	assert(m->locked && m->owner == co_self());
	node = list_pop(&m->waiters);
	if (!node) {
		m->locked = false;
		m->owner = NULL;
		return;
	}
	next = list_of(node, struct co, turn);
	assert(next->magic == CO_MAGIC && next->loop == co_loop_self());
	next->turn_mine = true;
	m->owner = next;
	co_wake(next);
}
