/*
 * mem: a stream over memory, for transcript tests and fuzzers. Never waits:
 * the input is all there, and then it ends.
 */
#include <stdlib.h>

#include "io/stream.h"

struct mem {
	struct stream s;
	struct slice input;
	struct buf *output;
	size_t step;
	bool shut;
};

static ssize_t mem_read(struct stream *s, char *p, size_t n)
{
	struct mem *m = (struct mem *)s;

	n = MIN(n, m->input.n);
	if (m->step > 0) {
		n = MIN(n, m->step);
	}
	if (n > 0) {
		memcpy(p, m->input.p, n);
		m->input = slice_from(m->input, n);
	}
	return (ssize_t)n;
}

static int mem_write(struct stream *s, const char *p, size_t n)
{
	struct mem *m = (struct mem *)s;

	if (m->shut) {
		return -EPIPE;
	}
	if (!m->output) {
		return 0;
	}
	buf_add(m->output, slice_make(p, n));
	return m->output->err ? -EPIPE : 0;
}

static ssize_t mem_try_write(struct stream *s, const char *p, size_t n)
{
	int r = mem_write(s, p, n);

	return r < 0 ? r : (ssize_t)n;
}

static int mem_wait_write(struct stream *s, int64_t deadline)
{
	(void)s, (void)deadline;
	return 0;
}

static int mem_wait(struct stream *s, struct co_event *ev, int64_t deadline)
{
	(void)s, (void)ev, (void)deadline;
	return co_cancelled() ? -ECANCELED : STREAM_READY;
}

static int mem_shutdown(struct stream *s)
{
	struct mem *m = (struct mem *)s;

	m->shut = true;
	return 0;
}

static int mem_move(struct stream *s)
{
	(void)s;
	return 0;
}

static void mem_free(struct stream *s)
{
	free(s);
}

static const struct stream_ops mem_ops = {
	.name = "mem",
	.read = mem_read,
	.write = mem_write,
	.wait = mem_wait,
	.shutdown = mem_shutdown,
	.detach = mem_move,
	.attach = mem_move,
	.free = mem_free,
	.try_read = mem_read,
	.try_write = mem_try_write,
	.wait_write = mem_wait_write,
};

int stream_mem_new(struct slice input, struct buf *output, size_t step, struct stream **out)
{
	struct mem *m = calloc(1, sizeof(*m));

	if (!m) {
		return -ENOMEM;
	}
	m->s.ops = &mem_ops;
	m->s.deadline = CLOCK_NEVER;
	m->input = input;
	m->output = output;
	m->step = step;
#ifdef ONE_BYTE_IO
	m->step = 1;
#endif
	*out = &m->s;
	return 0;
}
