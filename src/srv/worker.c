/* Threads that run loops (worker.h). */
#include "srv/worker.h"

#include <pthread.h>
#include <stdlib.h>

struct thread {
	pthread_t id;
	struct co_loop *loop;
	int result;
	bool ready;
	pthread_mutex_t *lock;
	pthread_cond_t *cond;
};

struct threads {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	size_t n;
	struct thread thread[WORKERS_MAX];
};

static void *thread_main(void *arg)
{
	struct thread *t = arg;
	struct co_loop *loop = NULL;
	int r = co_loop_new(&loop);

	pthread_mutex_lock(t->lock);
	t->loop = loop;
	t->result = r;
	t->ready = true;
	pthread_cond_broadcast(t->cond);
	pthread_mutex_unlock(t->lock);
	if (r == 0) {
		co_loop_run(loop);
	}
	return NULL;
}

/* One thread whose loop exists when this returns. */
static int start_thread(struct threads *ts, struct thread *t)
{
	int r;

	t->lock = &ts->lock;
	t->cond = &ts->cond;
	r = pthread_create(&t->id, NULL, thread_main, t);
	if (r != 0) {
		return -r;
	}
	ts->n++;
	pthread_mutex_lock(&ts->lock);
	while (!t->ready) {
		pthread_cond_wait(&ts->cond, &ts->lock);
	}
	pthread_mutex_unlock(&ts->lock);
	return t->result;
}

int workers_start(struct workers *w, size_t n, struct err *e)
{
	struct threads *ts = calloc(1, sizeof(*ts));
	int r;

	assert(n >= 1 && n <= WORKERS_MAX);
	*w = (struct workers){ 0 };
	if (!ts) {
		return -ENOMEM;
	}
	pthread_mutex_init(&ts->lock, NULL);
	pthread_cond_init(&ts->cond, NULL);
	w->threads = ts;
	r = co_loop_new(&w->loop[0]);
	for (w->n = 1; r == 0 && w->n < n; w->n++) {
		struct thread *t = &ts->thread[w->n];

		r = start_thread(ts, t);
		w->loop[w->n] = t->loop;
	}
	if (r != 0) {
		workers_stop(w);
		workers_join(w);
		return err_set(e, r, "cannot start the event loops", NULL);
	}
	return 0;
}

void workers_stop(struct workers *w)
{
	for (size_t i = 0; i < w->n; i++) {
		if (w->loop[i]) {
			co_loop_stop(w->loop[i]);
		}
	}
}

void workers_join(struct workers *w)
{
	struct threads *ts = w->threads;

	for (size_t i = 1; i <= ts->n; i++) {
		pthread_join(ts->thread[i].id, NULL);
	}
	for (size_t i = 0; i < w->n; i++) {
		co_loop_free(&w->loop[i]);
	}
	pthread_cond_destroy(&ts->cond);
	pthread_mutex_destroy(&ts->lock);
	free(ts);
	*w = (struct workers){ 0 };
}
