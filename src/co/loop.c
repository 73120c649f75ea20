/*
 * The loop: epoll, the timer heap, posts from other threads, descriptors.
 *
 * One round: run what other threads posted, run every coroutine that was
 * ready when the round began (those made ready meanwhile wait for the next
 * round, so that the kernel is asked in between), then epoll_wait for as
 * long as nothing is ready, then fire expired timers. Descriptors are
 * registered once, edge-triggered, for everything; no user code runs while
 * events are handed out, so none can vanish under it.
 */
#include <sched.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "co/impl.h"

#define EVENTS_PER_ROUND 128

static _Thread_local struct co_loop *this_loop;
static _Thread_local char thread_mark;
/* Stands in `posts` once a loop has ended: nobody would run them. */
static struct co_post posts_closed;

/* ---- loops ------------------------------------------------------------------ */

struct co_loop *co_loop_self(void)
{
	struct co_loop *l = this_loop;

	if (!l || atomic_load_explicit(&l->owner, memory_order_relaxed) != &thread_mark) {
		return NULL;
	}
	return l;
}

static int loop_open(struct co_loop *l)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET };

	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	l->wakeup = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (l->epoll < 0 || l->wakeup < 0 ||
	    epoll_ctl(l->epoll, EPOLL_CTL_ADD, l->wakeup, &ev) != 0) {
		return errno == ENOMEM ? -ENOMEM : -EMFILE;
	}
	return 0;
}

int co_loop_new(struct co_loop **out)
{
	struct co_loop *l = calloc(1, sizeof(*l));
	int r;

	if (!l) {
		return -ENOMEM;
	}
	l->epoll = l->wakeup = -1;
	list_init(&l->ready);
	list_init(&l->all);
	co_stacks_init(&l->stacks);
	atomic_store(&l->owner, &thread_mark);
	r = loop_open(l);
	if (r < 0) {
		co_loop_free(&l);
		return r;
	}
	this_loop = l;
	*out = l;
	return 0;
}

void co_loop_free(struct co_loop **lp)
{
	struct co_loop *l = TAKE_PTR(*lp);

	if (!l) {
		return;
	}
	assert(!l->running && l->count == 0);
	/* The last post may have ended the loop before its sender was done. */
	while (atomic_load(&l->visitors) > 0) {
		sched_yield();
	}
	if (this_loop == l) {
		this_loop = NULL;
	}
	closep(&l->epoll);
	closep(&l->wakeup);
	co_stacks_fini(&l->stacks);
	free(l->heap);
	free(l);
}

size_t co_loop_count(const struct co_loop *l)
{
	return l->count;
}

static void wake_loop(struct co_loop *l)
{
	uint64_t one = 1;
	ssize_t n;

	do {
		n = write(l->wakeup, &one, sizeof(one));
	} while (n < 0 && errno == EINTR);
	/* EAGAIN: 2^64 wake-ups are pending, so one is. */
}

void co_loop_stop(struct co_loop *l)
{
	atomic_fetch_add(&l->visitors, 1);
	atomic_store(&l->stop_asked, true);
	wake_loop(l);
	atomic_fetch_sub(&l->visitors, 1);
}

/* ---- posts -------------------------------------------------------------------- */

bool co_post_try(struct co_loop *l, struct co_post *p)
{
	struct co_post *head;

	atomic_fetch_add(&l->visitors, 1);
	head = atomic_load(&l->posts);
	do {
		if (head == &posts_closed) {
			break;
		}
		p->next = head;
	} while (!atomic_compare_exchange_weak(&l->posts, &head, p));
	/* From here on p may be gone: the loop may have run it already. */
	if (!head) {
		wake_loop(l);
	}
	atomic_fetch_sub(&l->visitors, 1);
	return head != &posts_closed;
}

void co_post(struct co_loop *l, struct co_post *p)
{
	(void)co_post_try(l, p);
}

/* Runs a chain that was pushed as a stack in the order of pushing. */
static void run_chain(struct co_post *p)
{
	struct co_post *fifo = NULL;

	while (p) {
		struct co_post *next = p->next;

		p->next = fifo;
		fifo = p;
		p = next;
	}
	while (fifo) {
		struct co_post *next = fifo->next;

		fifo->fn(fifo->arg);
		fifo = next;
	}
}

static void run_posts(struct co_loop *l)
{
	if (atomic_load_explicit(&l->posts, memory_order_relaxed)) {
		run_chain(atomic_exchange(&l->posts, NULL));
	}
}

/* ---- timers ------------------------------------------------------------------- */

static bool earlier(const struct co *a, const struct co *b)
{
	return a->deadline != b->deadline ? a->deadline < b->deadline : a->seq < b->seq;
}

static void heap_put(struct co_loop *l, size_t at, struct co *c)
{
	l->heap[at] = c;
	c->heap_at = at;
}

static void heap_up(struct co_loop *l, size_t at, struct co *c)
{
	while (at > 0 && earlier(c, l->heap[(at - 1) / 2])) {
		heap_put(l, at, l->heap[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	heap_put(l, at, c);
}

static void heap_down(struct co_loop *l, size_t at, struct co *c)
{
	for (;;) {
		size_t kid = 2 * at + 1;

		if (kid + 1 < l->heap_n && earlier(l->heap[kid + 1], l->heap[kid])) {
			kid++;
		}
		if (kid >= l->heap_n || !earlier(l->heap[kid], c)) {
			break;
		}
		heap_put(l, at, l->heap[kid]);
		at = kid;
	}
	heap_put(l, at, c);
}

int co_heap_reserve(struct co_loop *l, size_t n)
{
	size_t cap = l->heap_cap ? l->heap_cap : 64;
	struct co **heap;

	if (n <= l->heap_cap) {
		return 0;
	}
	while (cap < n) {
		cap *= 2;
	}
	heap = reallocarray(l->heap, cap, sizeof(*heap));
	if (!heap) {
		return -ENOMEM;
	}
	l->heap = heap;
	l->heap_cap = cap;
	return 0;
}

void co_heap_add(struct co_loop *l, struct co *c, int64_t deadline)
{
	assert(c->heap_at == CO_NOT_IN_HEAP && l->heap_n < l->heap_cap);
	c->deadline = deadline;
	c->seq = l->seq++;
	heap_up(l, l->heap_n++, c);
}

void co_heap_del(struct co_loop *l, struct co *c)
{
	size_t at = c->heap_at;
	struct co *last;

	if (at == CO_NOT_IN_HEAP) {
		return;
	}
	assert(at < l->heap_n && l->heap[at] == c);
	c->heap_at = CO_NOT_IN_HEAP;
	last = l->heap[--l->heap_n];
	if (last == c) {
		return;
	}
	if (at > 0 && earlier(last, l->heap[(at - 1) / 2])) {
		heap_up(l, at, last);
	} else {
		heap_down(l, at, last);
	}
}

static void fire_timers(struct co_loop *l)
{
	int64_t now;

	if (l->heap_n == 0) {
		return;
	}
	now = clock_mono();
	while (l->heap_n > 0 && l->heap[0]->deadline <= now) {
		struct co *c = l->heap[0];

		c->timed_out = true;
		co_wake(c);
	}
}

/* Milliseconds to sleep in epoll_wait, rounded up: never too early. */
static int sleep_ms(const struct co_loop *l)
{
	int64_t left;

	if (!list_empty(&l->ready)) {
		return 0;
	}
	if (l->heap_n == 0) {
		return -1;
	}
	left = l->heap[0]->deadline - clock_mono();
	if (left <= 0) {
		return 0;
	}
	left = (left - 1) / NSEC_PER_MSEC + 1;
	return left > 3600 * 1000 ? 3600 * 1000 : (int)left;
}

/* ---- descriptors ---------------------------------------------------------------- */

int co_fd_add(struct co_fd *f, int fd)
{
	struct co_loop *l = co_loop_self();
	struct epoll_event ev = {
		.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
		.data.ptr = f,
	};

	if (l && epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &ev) != 0) {
		return -errno;
	}
	f->fd = fd;
	f->loop = l;
	f->ready_in = f->ready_out = true;
	f->hup = false;
	list_init(&f->waiters);
	return 0;
}

void co_fd_del(struct co_fd *f)
{
	if (f->fd < 0 || !f->waiters.next) {
		return;
	}
	if (f->loop) {
		assert(f->loop == co_loop_self());
		(void)epoll_ctl(f->loop->epoll, EPOLL_CTL_DEL, f->fd, NULL);
		list_each(it, &f->waiters) {
			list_of(it, struct co_waiter, node)->broken = true;
		}
		co_waiters_fire(&f->waiters, f->loop);
	}
	f->loop = NULL;
	f->fd = -1;
}

static void fd_event(struct co_fd *f, uint32_t events)
{
	bool in = events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR);
	bool out = events & (EPOLLOUT | EPOLLHUP | EPOLLERR);

	f->ready_in |= in;
	f->ready_out |= out;
	f->hup |= (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
	list_each_safe(it, &f->waiters) {
		struct co_waiter *w = list_of(it, struct co_waiter, node);

		if (w->kind == CO_READABLE ? in : out) {
			list_del(&w->node);
			w->fired = true;
			co_wake(w->co);
		}
	}
}

static void poll_kernel(struct co_loop *l)
{
	struct epoll_event ev[EVENTS_PER_ROUND];
	int n = epoll_wait(l->epoll, ev, EVENTS_PER_ROUND, sleep_ms(l));

	if (n < 0 && errno != EINTR) {
		BUG("epoll_wait failed");
	}
	for (int i = 0; i < n; i++) {
		if (ev[i].data.ptr) { /* NULL: our eventfd */
			fd_event(ev[i].data.ptr, ev[i].events);
		}
	}
}

/* ---- running ------------------------------------------------------------------- */

static void run_ready(struct co_loop *l)
{
	struct list batch;

	if (list_empty(&l->ready)) {
		return;
	}
	/* Put `batch` in the place of the head, so that the head is empty. */
	list_push(&l->ready, &batch);
	list_del(&l->ready);
	for (;;) {
		struct list *node = list_pop(&batch);

		if (!node) {
			break;
		}
		co_resume(l, list_of(node, struct co, run));
	}
}

/* True when the loop has nothing left to do for ever. */
static bool drained(struct co_loop *l)
{
	struct co_post *none = NULL;

	if (!l->stopping || l->count > 0) {
		return false;
	}
	return atomic_compare_exchange_strong(&l->posts, &none, &posts_closed);
}

static void reopen_posts(struct co_loop *l)
{
	struct co_post *closed = &posts_closed;

	(void)atomic_compare_exchange_strong(&l->posts, &closed, NULL);
}

int co_loop_run(struct co_loop *l)
{
	assert(!l->running && !co_self());
	atomic_store(&l->owner, &thread_mark);
	this_loop = l;
	l->running = true;
	reopen_posts(l);
	while (!drained(l)) {
		run_posts(l);
		if (atomic_load(&l->stop_asked)) {
			l->stopping = true;
			co_cancel_all(l);
			atomic_store(&l->stop_asked, false);
		}
		run_ready(l);
		if (l->stopping && l->count == 0) {
			continue;
		}
		poll_kernel(l);
		fire_timers(l);
	}
	l->running = false;
	l->stopping = false;
	return 0;
}
