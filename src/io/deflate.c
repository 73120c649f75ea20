/*
 * deflate: DEFLATE over another stream, with zlib.
 *
 * Inflating goes block by block (Z_BLOCK) and stops as soon as there is
 * something to give. So input behind the block in which the peer ends its
 * compression is still as it came, and the end can be found: at the byte where
 * no block begins. Both states of zlib are made when they are needed and go
 * when the peer is silent: a sync flush leaves the output at a byte, where a
 * fresh compressor may go on; of the input only the window must be kept, which
 * is as long as what the peer has sent.
 */
#include "io/deflate.h"

#include <limits.h>
#include <stdlib.h>
#include <zlib.h>

#define IN_STEP 4096	      /* of the inner stream, at once */
#define OUT_STEP (16u * 1024) /* to the inner stream: a TLS record */
#define AHEAD 64
/* 8 KiB of window: (1 << 15) + (1 << 13) bytes, three quarters of what the
 * largest would gain on mail. */
#define OUT_WINDOW_BITS 13
#define OUT_MEM_LEVEL 4
#define OUT_LEVEL 4

enum mode { PACKED, STOPPING, PLAIN };

struct deflate {
	struct stream s;
	struct stream *inner;
	enum mode mode;
	z_stream in;
	z_stream out;
	bool in_live; /* zlib's state exists */
	bool out_live;
	bool at_block; /* in: between blocks, at a whole byte */
	bool ended;    /* in: the inner stream or the last block ended */
	int broken;    /* in: sticky error */
	char *input;   /* read and not inflated: in.next_in points here */
	char *window;  /* parked: what the peer may refer to */
	uInt window_n;
	char ahead[AHEAD]; /* inflated by a wait */
	size_t ahead_at;
	size_t ahead_n;
	size_t dry;	   /* bytes in since the last byte out */
	uint64_t packed;   /* bytes inflated, */
	uint64_t unpacked; /* and what they became */
};

static inline size_t step(size_t n)
{
#ifdef ONE_BYTE_IO
	return n ? 1 : 0;
#else
	return n;
#endif
}

/* ---- zlib's states --------------------------------------------------------- */

static int in_start(struct deflate *d)
{
	Bytef *next = d->in.next_in;
	uInt avail = d->in.avail_in;

	if (d->in_live) {
		return 0;
	}
	d->in = (z_stream){ .next_in = next, .avail_in = avail };
	if (inflateInit2(&d->in, -MAX_WBITS) != Z_OK) {
		return -ENOMEM;
	}
	d->in_live = true;
	if (d->window_n > 0 &&
	    inflateSetDictionary(&d->in, (const Bytef *)d->window, d->window_n) != Z_OK) {
		return -ENOMEM;
	}
	free(d->window);
	d->window = NULL;
	d->window_n = 0;
	return 0;
}

static int out_start(struct deflate *d)
{
	if (d->out_live) {
		return 0;
	}
	d->out = (z_stream){ 0 };
	if (deflateInit2(&d->out, OUT_LEVEL, Z_DEFLATED, -OUT_WINDOW_BITS, OUT_MEM_LEVEL,
			 Z_DEFAULT_STRATEGY) != Z_OK) {
		return -ENOMEM;
	}
	d->out_live = true;
	return 0;
}

static void in_end(struct deflate *d)
{
	if (d->in_live) {
		inflateEnd(&d->in);
		d->in_live = false;
	}
}

static void out_end(struct deflate *d)
{
	if (d->out_live) {
		deflateEnd(&d->out);
		d->out_live = false;
	}
}

/* Nothing has come for a while: zlib's memory is given back where that can be
 * done; where not, nothing is lost. */
static void park(struct deflate *d)
{
	char *window;
	uInt n = 0;

	out_end(d); /* at a byte, after each write */
	if (!d->in_live || !d->at_block || d->in.avail_in > 0 ||
	    inflateGetDictionary(&d->in, NULL, &n) != Z_OK) {
		return;
	}
	window = malloc(n > 0 ? n : 1);
	if (!window || inflateGetDictionary(&d->in, (Bytef *)window, &n) != Z_OK) {
		free(window);
		return;
	}
	d->window = window;
	d->window_n = n;
	in_end(d);
}

/* ---- input ------------------------------------------------------------------ */

static int fail(struct deflate *d, int r)
{
	d->broken = r;
	return r;
}

static void drop_input(struct deflate *d)
{
	free(d->input);
	d->input = NULL;
	d->in.next_in = NULL;
	d->in.avail_in = 0;
}

static int keep_input(struct deflate *d, struct slice data)
{
	drop_input(d);
	if (data.n == 0) {
		return 0;
	}
	d->input = malloc(data.n);
	if (!d->input) {
		return -ENOMEM;
	}
	memcpy(d->input, data.p, data.n);
	d->in.next_in = (Bytef *)d->input;
	d->in.avail_in = (uInt)data.n;
	return 0;
}

/* Bytes as they came, of what is here. */
static size_t take_input(struct deflate *d, char *p, size_t n)
{
	n = MIN(n, d->in.avail_in);
	memcpy(p, d->in.next_in, n);
	d->in.next_in += n;
	d->in.avail_in -= (uInt)n;
	if (d->in.avail_in == 0) {
		drop_input(d);
	}
	return n;
}

static bool is_bomb(const struct deflate *d)
{
	return d->unpacked > DEFLATE_FREE && d->unpacked - DEFLATE_FREE > DEFLATE_RATIO * d->packed;
}

/* Counts what one call of inflate took and gave. 0 or -EPROTO. */
static int account(struct deflate *d, size_t took, size_t gave)
{
	d->packed += took;
	d->unpacked += gave;
	d->dry = gave > 0 ? 0 : d->dry + took;
	return d->dry > DEFLATE_DRY_MAX || is_bomb(d) ? -EPROTO : 0;
}

/*
 * Does the peer's compression go on? When it stops, it does so at a whole byte
 * where no block begins: an empty one begins with 0 (a flush) or 3 (the last),
 * a command with neither.
 */
static bool stops_here(const struct deflate *d)
{
	return d->mode == STOPPING && d->at_block && d->in.avail_in > 0 && d->in.next_in[0] != 0 &&
	       d->in.next_in[0] != 3;
}

static void become_plain(struct deflate *d)
{
	in_end(d);
	free(d->window);
	d->window = NULL;
	d->window_n = 0;
	d->mode = PLAIN;
}

/* One call of inflate. >0 bytes; 0: none, which need not mean that there are
 * none behind; <0. */
static ssize_t inflate_some(struct deflate *d, char *p, size_t n)
{
	uInt before = d->in.avail_in;
	size_t gave;
	int r = in_start(d);

	if (r < 0) {
		return fail(d, r);
	}
	d->in.next_out = (Bytef *)p;
	d->in.avail_out = (uInt)MIN(n, IN_STEP);
	gave = d->in.avail_out;
	r = inflate(&d->in, Z_BLOCK);
	gave -= d->in.avail_out;
	if (r != Z_OK && r != Z_STREAM_END && r != Z_BUF_ERROR) {
		return fail(d, r == Z_MEM_ERROR ? -ENOMEM : -EPROTO);
	}
	/* 128: behind a block; 64: the last one; below: bits of a byte left. */
	d->at_block = (d->in.data_type & 0xff) == 0x80;
	if (account(d, before - d->in.avail_in, gave) < 0) {
		return fail(d, -EPROTO);
	}
	if (r == Z_STREAM_END && d->mode == STOPPING) {
		become_plain(d);
	} else if (r == Z_STREAM_END) {
		d->ended = true;
	}
	if (d->in.avail_in == 0) {
		drop_input(d);
	}
	return (ssize_t)gave;
}

/* Inflates what is here. >0 bytes, 0: none without more input (or none any
 * more), <0. Does not wait. */
static ssize_t inflate_here(struct deflate *d, char *p, size_t n)
{
	while (!d->ended && d->mode != PLAIN) {
		uInt before = d->in.avail_in;
		ssize_t r;

		if (stops_here(d)) {
			become_plain(d);
			break;
		}
		if (before == 0 && (d->at_block || !d->in_live)) {
			return 0;
		}
		r = inflate_some(d, p, n);
		if (r != 0) {
			return r;
		}
		if (d->in.avail_in == before && d->in.avail_in == 0) {
			return 0;
		}
	}
	return 0;
}

/* Reads from the inner stream. 0 (more, or d->ended), <0. */
CO_FN static int fetch(struct deflate *d, int64_t deadline)
{
	char *p = malloc(IN_STEP);
	ssize_t r;

	if (!p) {
		return fail(d, -ENOMEM);
	}
	d->inner->deadline = deadline;
	r = stream_read(d->inner, p, IN_STEP);
	if (r <= 0) {
		free(p);
		d->ended = r == 0;
		return r == -ETIMEDOUT || r == -ECANCELED || r == 0 ? (int)r : fail(d, (int)r);
	}
	assert(d->in.avail_in == 0 && !d->input);
	d->input = p;
	d->in.next_in = (Bytef *)p;
	d->in.avail_in = (uInt)r;
	return 0;
}

static ssize_t take_ahead(struct deflate *d, char *p, size_t n)
{
	n = MIN(step(n), d->ahead_n - d->ahead_at);
	memcpy(p, d->ahead + d->ahead_at, n);
	d->ahead_at += n;
	return (ssize_t)n;
}

/* The stream's end, its error, or bytes as they are. */
CO_FN static ssize_t read_rest(struct deflate *d, char *p, size_t n)
{
	if (d->broken || d->ended) {
		return d->broken;
	}
	if (d->in.avail_in > 0) {
		return (ssize_t)take_input(d, p, step(n));
	}
	d->inner->deadline = d->s.deadline;
	return stream_read(d->inner, p, n);
}

CO_FN static ssize_t deflate_read(struct stream *s, char *p, size_t n)
{
	struct deflate *d = (struct deflate *)s;

	if (d->ahead_at < d->ahead_n) {
		return take_ahead(d, p, n);
	}
	while (!d->broken && !d->ended && d->mode != PLAIN) {
		ssize_t r = inflate_here(d, p, step(n));
		if (r != 0) {
			return r;
		}
		if (d->ended || d->mode == PLAIN) {
			break;
		}
		r = fetch(d, s->deadline);
		if (r < 0) {
			return r;
		}
	}
	return read_rest(d, p, n);
}

/* The inner stream's wait; after a second memory is given back. */
CO_FN static int wait_inner(struct deflate *d, struct co_event *ev, int64_t deadline)
{
	int64_t soon = clock_in_ms(DEFLATE_PARK_MS);
	int r;

	if (deadline > soon && (d->in_live || d->out_live)) {
		r = stream_wait(d->inner, ev, soon);
		if (r != -ETIMEDOUT) {
			return r;
		}
		park(d);
	}
	return stream_wait(d->inner, ev, deadline);
}

CO_FN static int deflate_wait(struct stream *s, struct co_event *ev, int64_t deadline)
{
	struct deflate *d = (struct deflate *)s;

	while (!d->broken && !d->ended && d->mode != PLAIN && d->ahead_at == d->ahead_n) {
		ssize_t got = inflate_here(d, d->ahead, AHEAD);
		int r;

		d->ahead_at = 0;
		d->ahead_n = got > 0 ? (size_t)got : 0;
		if (got != 0 || d->ended || d->mode == PLAIN) {
			continue;
		}
		r = wait_inner(d, ev, deadline);
		if (r != STREAM_READY) {
			return r;
		}
		r = fetch(d, deadline);
		if (r == -ETIMEDOUT || r == -ECANCELED) {
			return r;
		}
	}
	if (d->mode == PLAIN && !d->broken && !d->ended && d->ahead_at == d->ahead_n &&
	    d->in.avail_in == 0) {
		return stream_wait(d->inner, ev, deadline);
	}
	return co_cancelled() ? -ECANCELED : STREAM_READY;
}

/* ---- output ------------------------------------------------------------------ */

/* Compresses and sends until zlib has nothing left. */
CO_FN static int pump(struct deflate *d, struct slice data, int flush)
{
	char *p = malloc(OUT_STEP);
	int r = p ? out_start(d) : -ENOMEM;

	d->out.next_in = (Bytef *)data.p;
	d->out.avail_in = (uInt)data.n;
	while (r == 0) {
		size_t n;

		d->out.next_out = (Bytef *)p;
		d->out.avail_out = OUT_STEP;
		if (deflate(&d->out, flush) == Z_STREAM_ERROR) {
			BUG("deflate: zlib's state is damaged");
		}
		n = OUT_STEP - d->out.avail_out;
		r = stream_write(d->inner, slice_make(p, n));
		if (n < OUT_STEP) {
			break;
		}
	}
	free(p);
	return r;
}

CO_FN static int deflate_write(struct stream *s, const char *p, size_t n)
{
	struct deflate *d = (struct deflate *)s;

	d->inner->deadline = s->deadline;
	if (d->mode != PACKED) {
		return stream_write(d->inner, slice_make(p, n));
	}
	assert(n <= UINT_MAX);
	return pump(d, slice_make(p, n), Z_SYNC_FLUSH);
}

/* ---- the rest ------------------------------------------------------------------ */

CO_FN static int deflate_shutdown(struct stream *s)
{
	return stream_shutdown(((struct deflate *)s)->inner);
}

static int deflate_detach(struct stream *s)
{
	return stream_detach(((struct deflate *)s)->inner);
}

static int deflate_attach(struct stream *s)
{
	return stream_attach(((struct deflate *)s)->inner);
}

static void deflate_free(struct stream *s)
{
	struct deflate *d = (struct deflate *)s;

	in_end(d);
	out_end(d);
	free(d->input);
	free(d->window);
	stream_free(&d->inner);
	free(d);
}

static const struct stream_ops deflate_ops = {
	.name = "deflate",
	.read = deflate_read,
	.write = deflate_write,
	.wait = deflate_wait,
	.shutdown = deflate_shutdown,
	.detach = deflate_detach,
	.attach = deflate_attach,
	.free = deflate_free,
};

bool stream_is_deflate(const struct stream *s)
{
	return s->ops == &deflate_ops;
}

struct stream *stream_deflate_inner(const struct stream *s)
{
	assert(stream_is_deflate(s));
	return ((const struct deflate *)s)->inner;
}

int stream_deflate_new(struct stream **innerp, struct slice pending, struct stream **out)
{
	struct deflate *d = calloc(1, sizeof(*d));
	struct stream *s;

	if (!d) {
		stream_free(innerp);
		return -ENOMEM;
	}
	d->inner = TAKE_PTR(*innerp);
	s = &d->s;
	s->ops = &deflate_ops;
	s->deadline = d->inner->deadline;
	s->bytes_in = d->inner->bytes_in;
	s->bytes_out = d->inner->bytes_out;
	d->at_block = true;
	if (keep_input(d, pending) < 0) {
		stream_free(&s);
		return -ENOMEM;
	}
	*out = s;
	return 0;
}

int stream_deflate_stop(struct stream *s, struct slice last)
{
	struct deflate *d = (struct deflate *)s;
	int r;

	assert(stream_is_deflate(s) && d->mode == PACKED && last.n <= UINT_MAX);
	co_may_wait();
	d->inner->deadline = s->deadline;
	r = pump(d, last, Z_FINISH);
	out_end(d);
	d->mode = STOPPING;
	return r;
}

int stream_deflate_again(struct stream *s, struct slice pending)
{
	struct deflate *d = (struct deflate *)s;
	struct buf all = BUF_INIT(SIZE_MAX / 2);
	int r;

	assert(stream_is_deflate(s));
	if (d->mode != PLAIN) {
		return d->mode == PACKED ? -EALREADY : -EPROTO;
	}
	buf_add(&all, pending);
	buf_add(&all, slice_make(d->ahead + d->ahead_at, d->ahead_n - d->ahead_at));
	buf_add(&all, slice_make((const char *)d->in.next_in, d->in.avail_in));
	d->ahead_at = d->ahead_n = 0;
	r = all.err ? all.err : keep_input(d, buf_slice(&all));
	buf_fini(&all);
	if (r == 0) {
		d->mode = PACKED;
		d->at_block = true;
		d->dry = 0;
	}
	return r;
}
