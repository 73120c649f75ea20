/*
 * The offload pool: a few threads for what would hold a loop up.
 *
 * One bounded queue for all loops. A job lies on the stack of the coroutine
 * that waits for it; a worker runs it and fires its signal. Workers take no
 * signals (the main thread does) and are no coroutines: CO_FN code in a job
 * runs straight through.
 */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "co/impl.h"

#define POOL_THREADS_MAX 64
#define POOL_QUEUE_DEFAULT 1024

struct job {
	struct list node;
	struct co_signal done;
	int (*fn)(void *arg);
	void *arg;
	int result;
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t work;
	struct list queue;
	size_t queued;
	size_t queue_max;
	bool up;
	bool ending;
	unsigned n;
	pthread_t thread[POOL_THREADS_MAX];
} pool = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.work = PTHREAD_COND_INITIALIZER,
	.queue = LIST_INIT(pool.queue),
};

/* The next job, or NULL at the end. */
static struct job *take_job(void)
{
	struct list *node;

	pthread_mutex_lock(&pool.lock);
	while (list_empty(&pool.queue) && !pool.ending) {
		pthread_cond_wait(&pool.work, &pool.lock);
	}
	node = list_pop(&pool.queue);
	if (node) {
		pool.queued--;
	}
	pthread_mutex_unlock(&pool.lock);
	return node ? list_of(node, struct job, node) : NULL;
}

static void *worker(void *unused)
{
	struct job *job;

	(void)unused;
	while ((job = take_job())) {
		job->result = job->fn(job->arg);
		co_signal_fire(&job->done);
	}
	return NULL;
}

static int start_threads(unsigned n)
{
	sigset_t all;
	sigset_t old;
	int r = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	while (r == 0 && pool.n < n) {
		r = pthread_create(&pool.thread[pool.n], NULL, worker, NULL);
		if (r == 0) {
			pool.n++;
		}
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -r;
}

int co_pool_start(unsigned n, size_t queue)
{
	int r;

	assert(n >= 1 && n <= POOL_THREADS_MAX && !pool.up);
	pool.queue_max = queue ? queue : POOL_QUEUE_DEFAULT;
	pool.ending = false;
	pool.up = true;
	r = start_threads(n);
	if (r < 0) {
		co_pool_stop();
	}
	return r;
}

void co_pool_stop(void)
{
	if (!pool.up) {
		return;
	}
	pthread_mutex_lock(&pool.lock);
	pool.ending = true;
	pthread_cond_broadcast(&pool.work);
	pthread_mutex_unlock(&pool.lock);
	for (unsigned i = 0; i < pool.n; i++) {
		pthread_join(pool.thread[i], NULL);
	}
	pool.n = 0;
	pool.up = false;
}

static bool put_job(struct job *job)
{
	bool room;

	pthread_mutex_lock(&pool.lock);
	room = pool.queued < pool.queue_max && !pool.ending;
	if (room) {
		list_push(&pool.queue, &job->node);
		pool.queued++;
		pthread_cond_signal(&pool.work);
	}
	pthread_mutex_unlock(&pool.lock);
	return room;
}

int co_offload(int (*fn)(void *arg), void *arg)
{
	struct co *c = co_self();
	struct job job = { .fn = fn, .arg = arg };

	co_may_wait();
	co_torture(c);
	if (!c || !pool.up) {
		return fn(arg);
	}
	co_signal_init(&job.done);
	list_init(&job.node);
	if (!put_job(&job)) {
		return -EAGAIN;
	}
	co_signal_wait(&job.done);
	return job.result;
}
