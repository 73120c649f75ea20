/*
 * sock: a stream over a TCP or unix socket.
 *
 * Edge-triggered: a read or write is tried first, and only EAGAIN leads to a
 * wait. A read that got less than it asked for has emptied the socket, so the
 * next one waits for the edge without a system call in between (about 5 % of
 * a busy loop's time), unless the peer has hung up: then there is no further
 * edge. An idle connection gives its stack back after a second.
 */
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/stream.h"

/* So long nothing must happen before a wait counts as idle. */
#define IDLE_MS 1000

struct sock {
	struct stream s;
	struct co_fd fd;
	int raw; /* fd.fd is -1 while detached */
};

static inline size_t step(size_t n)
{
#ifdef ONE_BYTE_IO
	return n ? 1 : 0;
#else
	return n;
#endif
}

CO_FN static int wait_idle(const struct co_want *want, size_t n, int64_t deadline)
{
	int64_t idle = clock_in_ms(IDLE_MS);
	int r;

	if (deadline > idle) {
		r = co_wait(want, n, idle);
		if (r != -ETIMEDOUT) {
			return r;
		}
		co_stack_trim();
	}
	return co_wait(want, n, deadline);
}

static ssize_t sock_try_read(struct stream *s, char *p, size_t n)
{
	struct sock *k = (struct sock *)s;
	ssize_t r;

	if (!k->fd.ready_in) {
		return -EAGAIN;
	}
	do {
		r = recv(k->raw, p, step(n), 0);
	} while (r < 0 && errno == EINTR);
	if (r < 0) {
		k->fd.ready_in = errno != EAGAIN;
		return -errno;
	}
	if (r > 0 && (size_t)r < step(n) && !k->fd.hup) {
		k->fd.ready_in = false;
	}
	return r;
}

static ssize_t sock_try_write(struct stream *s, const char *p, size_t n)
{
	struct sock *k = (struct sock *)s;
	ssize_t r;

	do {
		r = send(k->raw, p, step(n), MSG_NOSIGNAL);
	} while (r < 0 && errno == EINTR);
	if (r < 0) {
		k->fd.ready_out = errno != EAGAIN;
		return -errno;
	}
	return r;
}

CO_FN static ssize_t sock_read(struct stream *s, char *p, size_t n)
{
	struct sock *k = (struct sock *)s;
	struct co_want want = { .kind = CO_READABLE, .fd = &k->fd };

	for (;;) {
		ssize_t r = sock_try_read(s, p, n);

		if (r != -EAGAIN) {
			return r;
		}
		r = wait_idle(&want, 1, s->deadline);
		if (r < 0) {
			return r;
		}
		k->fd.ready_in = true;
	}
}

CO_FN static int sock_wait_write(struct stream *s, int64_t deadline)
{
	struct sock *k = (struct sock *)s;
	struct co_want want = { .kind = CO_WRITABLE, .fd = &k->fd };

	return co_wait(&want, 1, deadline);
}

CO_FN static int sock_write(struct stream *s, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t r = sock_try_write(s, p, n);

		if (r >= 0) {
			p += r;
			n -= (size_t)r;
			continue;
		}
		if (r == -EAGAIN) {
			r = sock_wait_write(s, s->deadline);
		}
		if (r < 0) {
			return (int)r;
		}
	}
	return 0;
}

/* Would a read not suspend? ready_in is a hint, so the kernel is asked. */
static bool readable_now(struct sock *k)
{
	char c;

	if (!k->fd.ready_in) {
		return false;
	}
	if (recv(k->raw, &c, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
	    (errno == EAGAIN || errno == EINTR)) {
		k->fd.ready_in = false;
		return false;
	}
	return true;
}

CO_FN static int sock_wait(struct stream *s, struct co_event *ev, int64_t deadline)
{
	struct sock *k = (struct sock *)s;
	struct co_want want[2] = {
		{ .kind = CO_READABLE, .fd = &k->fd },
		{ .kind = CO_EVENT, .event = ev },
	};

	if (!readable_now(k)) {
		int r = wait_idle(want, ev ? 2 : 1, deadline);

		if (r < 0) {
			return r;
		}
		if (r == 1) {
			return STREAM_EVENT;
		}
		k->fd.ready_in = true; /* a fresh edge: no hint but a fact */
	}
	return co_cancelled() ? -ECANCELED : STREAM_READY;
}

static int sock_shutdown(struct stream *s)
{
	struct sock *k = (struct sock *)s;

	return shutdown(k->raw, SHUT_WR) == 0 ? 0 : -errno;
}

static int sock_detach(struct stream *s)
{
	struct sock *k = (struct sock *)s;

	co_fd_del(&k->fd);
	return 0;
}

static int sock_attach(struct stream *s)
{
	struct sock *k = (struct sock *)s;

	assert(k->fd.fd < 0);
	return co_fd_add(&k->fd, k->raw);
}

static void sock_free(struct stream *s)
{
	struct sock *k = (struct sock *)s;

	co_fd_del(&k->fd);
	close(k->raw);
	free(k);
}

static const struct stream_ops sock_ops = {
	.name = "sock",
	.read = sock_read,
	.write = sock_write,
	.wait = sock_wait,
	.shutdown = sock_shutdown,
	.detach = sock_detach,
	.attach = sock_attach,
	.free = sock_free,
	.try_read = sock_try_read,
	.try_write = sock_try_write,
	.wait_write = sock_wait_write,
};

int stream_sock_new(int fd, struct stream **out)
{
	struct sock *k = calloc(1, sizeof(*k));
	int r;

	if (!k) {
		return -ENOMEM;
	}
	k->s.ops = &sock_ops;
	k->s.deadline = CLOCK_NEVER;
	k->raw = fd;
	r = co_fd_add(&k->fd, fd);
	if (r < 0) {
		free(k);
		return r;
	}
	*out = &k->s;
	return 0;
}

int stream_sock_pair(struct stream **a_out, struct stream **b_out)
{
	struct stream *a = NULL;
	int sv[2];
	int r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, sv) != 0) {
		return -errno;
	}
	r = stream_sock_new(sv[0], &a);
	if (r < 0) {
		close(sv[0]);
		close(sv[1]);
		return r;
	}
	r = stream_sock_new(sv[1], b_out);
	if (r < 0) {
		stream_free(&a);
		close(sv[1]);
		return r;
	}
	*a_out = a;
	return 0;
}
