/*
 * Between threads: a one-shot signal, and calls to another loop.
 *
 * A signal inside a coroutine is a post to its loop that sets an event;
 * outside one it blocks the thread under one process-wide mutex (start-up and
 * tools: nobody queues there). A call posts a job that spawns a coroutine
 * over there, which fires the caller's signal when it is done. Whoever fires
 * does not touch the signal afterwards: its memory may be gone.
 */
#include <pthread.h>

#include "co/impl.h"

static pthread_mutex_t outside_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t outside_cond = PTHREAD_COND_INITIALIZER;

static void signal_landed(void *arg)
{
	struct co_signal *s = arg;

	co_event_set(&s->ev);
}

void co_signal_init(struct co_signal *s)
{
	*s = (struct co_signal){ .loop = co_self() ? co_loop_self() : NULL };
	s->post.fn = signal_landed;
	s->post.arg = s;
	co_event_init(&s->ev);
}

void co_signal_fire(struct co_signal *s)
{
	if (s->loop) {
		co_post(s->loop, &s->post);
		return;
	}
	pthread_mutex_lock(&outside_lock);
	s->done = 1;
	pthread_cond_broadcast(&outside_cond);
	pthread_mutex_unlock(&outside_lock);
}

int co_signal_wait(struct co_signal *s)
{
	struct co *c = co_self();

	co_may_wait();
	if (s->loop) {
		assert(c && c->loop == s->loop);
		co_event_wait_shielded(c, &s->ev);
		return 0;
	}
	assert(!c);
	pthread_mutex_lock(&outside_lock);
	while (!s->done) {
		pthread_cond_wait(&outside_cond, &outside_lock);
	}
	pthread_mutex_unlock(&outside_lock);
	return 0;
}

/* ---- calls ------------------------------------------------------------------ */

struct call {
	struct co_post post;
	struct co_signal done;
	int (*fn)(void *arg);
	void *arg;
	int result;
};

static void call_body(void *arg)
{
	struct call *call = arg;

	call->result = call->fn(call->arg);
	co_signal_fire(&call->done);
}

static void call_landed(void *arg)
{
	struct call *call = arg;
	int r = co_spawn("call", call_body, call, NULL);

	if (r < 0) {
		call->result = r;
		co_signal_fire(&call->done);
	}
}

int co_call(struct co_loop *l, int (*fn)(void *arg), void *arg)
{
	struct co *c = co_self();
	struct call call = { .fn = fn, .arg = arg };

	co_may_wait();
	co_torture(c);
	if (!c || !l || l == c->loop) {
		return fn(arg);
	}
	call.post.fn = call_landed;
	call.post.arg = &call;
	co_signal_init(&call.done);
	if (!co_post_try(l, &call.post)) {
		return -ESHUTDOWN;
	}
	co_signal_wait(&call.done);
	return call.result;
}
