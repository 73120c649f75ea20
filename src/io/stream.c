/*
 * The part of a stream that is the same for all kinds: counting, the rule
 * that nothing waits inside co_noyield_enter (checked even when the bytes are
 * there already, so that a test over memory finds what a slow socket would),
 * and giving way to others now and then.
 */
#include "base/err.h"
#include "io/stream.h"

ssize_t stream_read(struct stream *s, char *p, size_t n)
{
	ssize_t r;

	assert(s && n > 0);
	r = co_breathe();
	if (r < 0) {
		return r;
	}
	r = s->ops->read(s, p, n);
	if (r > 0) {
		assert((size_t)r <= n);
		s->bytes_in += (uint64_t)r;
	}
	return r;
}

int stream_write(struct stream *s, struct slice data)
{
	int r;

	assert(s);
	co_may_wait();
	if (data.n == 0) {
		return 0;
	}
	r = s->ops->write(s, data.p, data.n);
	if (r == 0) {
		s->bytes_out += data.n;
		/* Cancelled or not, these bytes are gone. */
		(void)co_breathe();
	}
	return r;
}

int stream_wait(struct stream *s, struct co_event *ev, int64_t deadline)
{
	co_may_wait();
	return s->ops->wait(s, ev, deadline);
}

int stream_shutdown(struct stream *s)
{
	co_may_wait();
	return s->ops->shutdown(s);
}

void stream_free(struct stream **sp)
{
	struct stream *s = TAKE_PTR(*sp);

	if (s) {
		s->ops->free(s);
	}
}

void stream_set_deadline(struct stream *s, int64_t deadline)
{
	s->deadline = deadline;
}

int stream_detach(struct stream *s)
{
	return s->ops->detach(s);
}

int stream_attach(struct stream *s)
{
	return s->ops->attach(s);
}
