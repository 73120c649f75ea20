/*
 * stream: bytes in, bytes out, behind one vtable.
 *
 * Sessions know only this. Kinds: sock (TCP and unix sockets), tls (over a
 * sock), mem (for tests and fuzzers: no socket, loop or timer needed), limit
 * (a cap on what may be read), deflate (deflate.h), and the dot decoder and
 * encoder of dot.h.
 * A stream is used by one coroutine at a time. Deadlines are monotonic and
 * apply to each call from then on until set again.
 *
 * Read: >0 bytes, 0 end of file, -ETIMEDOUT, -ECANCELED, -ECONNRESET,
 * -EPROTO (TLS: damaged, or closed without close_notify), or another -errno.
 * Write: 0 when all was taken (it waits as needed), else the same errors.
 * A cancelled coroutine's reads fail at once; its writes fail only where they
 * would have to wait, so that a short goodbye can still be said.
 * In a ONE_BYTE_IO build every read and write of sock, tls and mem moves at
 * most one byte per step.
 */
#ifndef IO_STREAM_H
#define IO_STREAM_H

#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"
#include "co/co.h"

struct stream;

enum stream_wait {
	STREAM_READY = 0, /* a read will not suspend (data, end or error) */
	STREAM_EVENT = 1, /* the event was set */
};

struct stream_ops {
	const char *name;
	ssize_t (*read)(struct stream *s, char *p, size_t n);
	int (*write)(struct stream *s, const char *p, size_t n);
	int (*wait)(struct stream *s, struct co_event *ev, int64_t deadline);
	int (*shutdown)(struct stream *s); /* orderly end of our side */
	int (*detach)(struct stream *s);   /* leave the current loop */
	int (*attach)(struct stream *s);   /* join the calling loop */
	void (*free)(struct stream *s);
	/*
	 * For a stream that is carried by another one (tls over sock): what
	 * can be had without waiting. >0 bytes, 0 end of file (read), -EAGAIN,
	 * or another -errno; wait_write waits until try_write may go on. NULL
	 * in kinds that carry nothing.
	 */
	ssize_t (*try_read)(struct stream *s, char *p, size_t n);
	ssize_t (*try_write)(struct stream *s, const char *p, size_t n);
	int (*wait_write)(struct stream *s, int64_t deadline);
};

struct stream {
	const struct stream_ops *ops;
	int64_t deadline;
	uint64_t bytes_in; /* since creation */
	uint64_t bytes_out;
};

CO_FN ssize_t stream_read(struct stream *s, char *p, size_t n);
CO_FN int stream_write(struct stream *s, struct slice data);
/*
 * Waits until a read would not suspend or ev (may be NULL) is set:
 * STREAM_READY, STREAM_EVENT, -ETIMEDOUT, -ECANCELED, other -errno. When
 * both hold, STREAM_READY.
 */
CO_FN int stream_wait(struct stream *s, struct co_event *ev, int64_t deadline);
/* TLS close_notify, shutdown(SHUT_WR). 0 or -errno. */
CO_FN int stream_shutdown(struct stream *s);
/*
 * Closes and frees; sets NULL; accepts NULL. Does not wait. On the thread of
 * its loop while that lives, unless detached. Without stream_shutdown a TLS
 * peer sees a connection that broke off.
 */
void stream_free(struct stream **sp);
void stream_set_deadline(struct stream *s, int64_t deadline);
/*
 * Moving a connection to another loop: detach on the old loop's thread, then
 * attach on the new one's. 0 or -errno.
 */
int stream_detach(struct stream *s);
int stream_attach(struct stream *s);

/* ---- kinds -------------------------------------------------------------- */

/* Takes over a connected, non-blocking socket. 0 or -errno (fd untouched). */
int stream_sock_new(int fd, struct stream **out);
/* Two ends of a unix socket pair, for tests and in-process peers. */
int stream_sock_pair(struct stream **a_out, struct stream **b_out);

/*
 * Memory: reads give `input` (borrowed; must outlive the stream), then end of
 * file; writes are added to *output (borrowed, capped by its max: beyond it
 * -EPIPE; NULL: thrown away). `step` > 0 gives at most so many bytes per read.
 */
int stream_mem_new(struct slice input, struct buf *output, size_t step, struct stream **out);

/*
 * Reads at most max bytes of inner, then -EMSGSIZE; writes pass through.
 * Owns inner if own is true.
 */
int stream_limit_new(struct stream *inner, bool own, uint64_t max, struct stream **out);

#endif
