/*
 * limit: a stream that gives at most so many bytes of another one. The end of
 * the inner stream at exactly the limit is an ordinary end; one byte more is
 * -EMSGSIZE, for ever.
 */
#include <stdlib.h>

#include "io/stream.h"

struct limit {
	struct stream s;
	struct stream *inner;
	uint64_t left;
	bool own;
	bool over;
};

CO_FN static ssize_t limit_read(struct stream *s, char *p, size_t n)
{
	struct limit *l = (struct limit *)s;
	char extra;
	ssize_t r;

	if (l->over) {
		return -EMSGSIZE;
	}
	l->inner->deadline = s->deadline;
	if (l->left == 0) {
		r = stream_read(l->inner, &extra, 1);
		l->over = r > 0;
		return r > 0 ? -EMSGSIZE : r;
	}
	r = stream_read(l->inner, p, l->left < n ? (size_t)l->left : n);
	if (r > 0) {
		l->left -= (uint64_t)r;
	}
	return r;
}

CO_FN static int limit_write(struct stream *s, const char *p, size_t n)
{
	struct limit *l = (struct limit *)s;

	l->inner->deadline = s->deadline;
	return stream_write(l->inner, slice_make(p, n));
}

CO_FN static int limit_wait(struct stream *s, struct co_event *ev, int64_t deadline)
{
	struct limit *l = (struct limit *)s;

	return l->over ? STREAM_READY : stream_wait(l->inner, ev, deadline);
}

CO_FN static int limit_shutdown(struct stream *s)
{
	return stream_shutdown(((struct limit *)s)->inner);
}

static int limit_detach(struct stream *s)
{
	return stream_detach(((struct limit *)s)->inner);
}

static int limit_attach(struct stream *s)
{
	return stream_attach(((struct limit *)s)->inner);
}

static void limit_free(struct stream *s)
{
	struct limit *l = (struct limit *)s;

	if (l->own) {
		stream_free(&l->inner);
	}
	free(l);
}

static const struct stream_ops limit_ops = {
	.name = "limit",
	.read = limit_read,
	.write = limit_write,
	.wait = limit_wait,
	.shutdown = limit_shutdown,
	.detach = limit_detach,
	.attach = limit_attach,
	.free = limit_free,
};

int stream_limit_new(struct stream *inner, bool own, uint64_t max, struct stream **out)
{
	struct limit *l = calloc(1, sizeof(*l));

	if (!l) {
		return -ENOMEM;
	}
	l->s.ops = &limit_ops;
	l->s.deadline = inner->deadline;
	l->inner = inner;
	l->own = own;
	l->left = max;
	*out = &l->s;
	return 0;
}
