/*
 * co: stackful coroutines, one loop per thread, never migrating.
 *
 * A loop is an epoll set, a timer heap and a run queue on one thread. A
 * coroutine belongs to the loop it was spawned on for life. Everything that
 * waits goes through co_wait(). Cancellation is a return value: once a
 * coroutine is cancelled every wait in it returns -ECANCELED, again and
 * again, so it unwinds through its ordinary error paths.
 *
 * CO_FN marks a function that may suspend its caller. clang's thread-safety
 * analysis checks that only CO_FN functions call CO_FN functions. Code that
 * starts a coroutine's body, or a test that runs CO_FN code with nothing to
 * wait for, enters with co_enter().
 *
 * Outside a coroutine (unit tests, transcript tests and fuzzers over memory
 * streams, command line tools) CO_FN code runs straight through: co_offload()
 * runs the work inline, co_sleep() returns 0 at once, co_yield() is a no-op,
 * co_mutex_lock() must find the mutex free, and co_wait() returns what is
 * ready now or -EDEADLK when nothing is.
 *
 * errno does not survive a suspension: copy it first. No thread-local address
 * may be kept across a suspension (a coroutine never changes thread, but
 * other coroutines on it use the same variables).
 */
#ifndef CO_CO_H
#define CO_CO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/clock.h"
#include "base/list.h"

#if defined(CO_CHECK)
struct __attribute__((capability("coroutine"))) co_context {
	char unused;
};
extern struct co_context co_context;
#define CO_FN __attribute__((requires_capability(co_context)))
static inline void co_enter(void) __attribute__((assert_capability(co_context)));
#else
#define CO_FN
#endif
static inline void co_enter(void)
{
}

struct co;	/* one coroutine */
struct co_loop; /* one event loop on one thread */

/* Usable stack of a coroutine, in bytes (more under sanitizers). */
extern const size_t co_stack_size;

/* ---- loops -------------------------------------------------------------- */

/*
 * Makes a loop for the calling thread, which may spawn its first coroutines
 * before running it. 0, -ENOMEM, -EMFILE.
 */
int co_loop_new(struct co_loop **out);
/* Frees a loop that is not running and has no coroutines left. NULL is fine. */
void co_loop_free(struct co_loop **lp);
/*
 * Runs until co_loop_stop() was called and, then, until no coroutine is left
 * (they are cancelled at stop). Returns 0.
 */
int co_loop_run(struct co_loop *l);
/* Any thread: asks the loop to cancel all its coroutines and to end. */
void co_loop_stop(struct co_loop *l);
/* The loop that runs on (or was last made by) this thread, or NULL. */
struct co_loop *co_loop_self(void);
/*
 * Any thread: runs fn(arg) on l's thread soon, outside any coroutine; fn must
 * not wait (it may spawn). Never fails once the loop runs: the node is the
 * caller's memory and must live until fn was called. After the loop's end it
 * is dropped.
 */
struct co_post {
	struct co_post *next;
	void (*fn)(void *arg);
	void *arg;
};
void co_post(struct co_loop *l, struct co_post *p);
/* Coroutines alive on this loop; for status and tests. */
size_t co_loop_count(const struct co_loop *l);

/* ---- coroutines --------------------------------------------------------- */

/*
 * Starts fn(arg) as a coroutine on the calling thread's loop; it runs first
 * when the caller next waits or returns. name is static. The handle is valid
 * until the coroutine has ended and, if out was asked for, co_join() was
 * called. With out NULL it is detached. 0, -ENOMEM (stacks), -ESHUTDOWN
 * (the loop is stopping).
 */
int co_spawn(const char *name, void (*fn)(void *arg), void *arg, struct co **out);
/* The running coroutine, or NULL. */
struct co *co_self(void);
/*
 * Waits for its end (without cancelling it), frees the handle, sets *cp NULL:
 * 0. -ECANCELED when the caller was cancelled before that: the handle is
 * kept. One that has ended is freed even then.
 */
CO_FN int co_join(struct co **cp);
/*
 * Cancels it, waits for its end whatever happens, frees the handle and sets
 * *cp NULL; accepts NULL. For cleaning up: not cut short by cancellation.
 */
CO_FN void co_finish(struct co **cp);
/* Same loop only: from now on every wait in c returns -ECANCELED. */
void co_cancel(struct co *c);
/* Has the running coroutine been cancelled? */
bool co_cancelled(void);
/* Lets others run. 0 or -ECANCELED. */
CO_FN int co_yield(void);
/*
 * For work that finds something ready every time (a fast peer's data): lets
 * the others run once in a while. 0 or -ECANCELED.
 */
CO_FN int co_breathe(void);
/* 0 after ms milliseconds, or -ECANCELED. */
CO_FN int co_sleep(int64_t ms);
/*
 * Runs fn(arg) in a coroutine on loop l and waits for it to end. On the
 * calling loop (or l NULL, or outside a coroutine) runs fn inline. fn's
 * result is returned, or -ESHUTDOWN (l is stopping) or -ENOMEM without fn
 * having run. The wait is not cut short by cancellation: arg may live on the
 * caller's stack.
 */
CO_FN int co_call(struct co_loop *l, int (*fn)(void *arg), void *arg);

/* ---- waiting ------------------------------------------------------------ */

/*
 * A flag with waiters. Set stays set until cleared (level). Same loop only:
 * another thread goes through co_post or co_signal.
 */
struct co_event {
	bool set;
	struct list waiters;
};
void co_event_init(struct co_event *ev);
void co_event_set(struct co_event *ev);
void co_event_clear(struct co_event *ev);

/*
 * A file descriptor registered once (edge-triggered, in|out|rdhup) with the
 * calling thread's loop. ready_in/ready_out are hints: true until a read or
 * write answered EAGAIN and the caller cleared it.
 */
struct co_fd {
	int fd;
	bool ready_in;
	bool ready_out;
	bool hup;
	struct co_loop *loop;
	struct list waiters;
};
/*
 * 0 or -errno. The descriptor must be non-blocking; it stays the caller's.
 * On a thread without a loop nothing is registered, and co_wait asks the
 * kernel itself.
 */
int co_fd_add(struct co_fd *f, int fd);
/*
 * Unregisters, on the loop's own thread; waiters return -ECANCELED. Harmless
 * if not registered.
 */
void co_fd_del(struct co_fd *f);

enum co_want_kind { CO_READABLE, CO_WRITABLE, CO_EVENT };
struct co_want {
	enum co_want_kind kind;
	struct co_fd *fd;	/* CO_READABLE, CO_WRITABLE */
	struct co_event *event; /* CO_EVENT */
};
#define CO_WANT_MAX 8
/*
 * Waits until one of the n (0..CO_WANT_MAX) things is ready or the monotonic
 * deadline passes. Returns the index of the first that is ready, -ETIMEDOUT,
 * -ECANCELED, or -EDEADLK (see above). With n = 0 it is a sleep.
 * The wants live on the caller's stack.
 */
CO_FN int co_wait(const struct co_want *want, size_t n, int64_t deadline);
/* One event. 0, -ETIMEDOUT, -ECANCELED. */
CO_FN int co_event_wait(struct co_event *ev, int64_t deadline);

/* A mutex between coroutines of one loop; FIFO; not recursive. */
struct co_mutex {
	struct co *owner;
	bool locked;
	struct list waiters;
};
void co_mutex_init(struct co_mutex *m);
/* 0 or -ECANCELED (not locked then). */
CO_FN int co_mutex_lock(struct co_mutex *m);
void co_mutex_unlock(struct co_mutex *m);

/*
 * Between enter and leave a wait aborts (BUG), in a coroutine or not, and even
 * if it had found something ready: asserts that nothing yields.
 */
void co_noyield_enter(void);
void co_noyield_leave(void);
/* What every wait calls first: the BUG above. For waits that are not ours. */
void co_may_wait(void);

/*
 * Wakes a waiter from another thread: made by the coroutine that will wait,
 * signalled once by any thread. The memory must stay until co_signal_wait
 * has returned 0.
 */
struct co_signal {
	struct co_post post;
	struct co_event ev;
	struct co_loop *loop;
	int done; /* for use outside coroutines: futex-less, under a mutex */
};
void co_signal_init(struct co_signal *s);
/* Any thread, once. Outside a loop (loop NULL) wakes a blocked thread. */
void co_signal_fire(struct co_signal *s);
/*
 * Waits for the signal; not cut short by cancellation (the firing thread
 * holds a pointer). Outside a coroutine blocks the thread. Returns 0.
 */
CO_FN int co_signal_wait(struct co_signal *s);

/* ---- offload ------------------------------------------------------------ */

/*
 * Starts the pool of n (1..64) worker threads shared by all loops; queue
 * bounds how many jobs may wait (0: 1024). Call before any co_offload.
 */
int co_pool_start(unsigned n, size_t queue);
void co_pool_stop(void);
/*
 * Runs fn(arg) on a worker and waits for it. For fsync, password hashing,
 * big scans, anything above 5 ms of CPU. Not cut short by cancellation.
 * Returns fn's result, or -EAGAIN when the queue is full. Without a pool (not
 * started) fn runs inline.
 */
CO_FN int co_offload(int (*fn)(void *arg), void *arg);

/* ---- memory ------------------------------------------------------------- */

/* Gives the unused part of the calling coroutine's stack back to the kernel;
 * called before long idle waits. */
void co_stack_trim(void);
/* Deepest use of any stack so far, in bytes; for tests and status. */
size_t co_stack_high_water(void);

#endif
