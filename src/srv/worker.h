/*
 * worker: the server's loops. Worker 0 is the calling thread's; the others
 * are threads. Each loop knows its index by worker_self().
 */
#ifndef SRV_WORKER_H
#define SRV_WORKER_H

#include "base/err.h"
#include "co/co.h"

#define WORKERS_MAX 256

struct workers {
	size_t n;
	struct co_loop *loop[WORKERS_MAX]; /* [0] is the caller's */
	void *threads;
};

/*
 * Makes n (1..WORKERS_MAX) loops; all but the first run at once on threads of
 * their own. 0 or -errno with *e (nothing is left then).
 */
int workers_start(struct workers *w, size_t n, struct err *e);
/* Any thread: ends all loops, the first too. */
void workers_stop(struct workers *w);
/* After the first loop's run has returned: joins and frees. */
void workers_join(struct workers *w);

#endif
