/*
 * The connection that SMTP, POP3 and IMAP share: strict line framing over a
 * stream, collected output, STARTTLS, idling (see conn.h).
 *
 * Input is consumed lazily: a line that was handed out stays at the front of
 * c->in until the next read, so its slice needs no copy. Everything read but
 * not handed out when TLS starts goes to the TLS engine (THREATS TL-01).
 */
#include "line/conn.h"

#include <stdio.h>

#include "base/err.h"
#include "base/rand.h"
#include "io/deflate.h"

#define READ_STEP 4096
#define IN_MAX (256u * 1024)  /* more than any line limit */
#define DROP_MAX (64u * 1024) /* of an overlong line (THREATS SL-01) */
#define TLS_MS (30 * 1000)    /* handshake deadline (THREATS TL-03) */
#define LONG_MS 1000	      /* waits beyond this give memory back */

void conn_init(struct conn *c, struct stream **sp, const char *protocol,
	       const struct net_addr *peer, const struct net_addr *local)
{
	*c = (struct conn){ .s = TAKE_PTR(*sp), .protocol = protocol };
	buf_init(&c->in, IN_MAX);
	/* Room behind the flush mark, so that one write always fits. */
	buf_init(&c->out, 2 * CONN_OUT_MAX);
	if (peer) {
		c->peer = *peer;
	}
	if (local) {
		c->local = *local;
	}
	net_addr_text(&c->peer, c->peer_text);
	rand_text(c->sid, CONN_SID_MAX - 1);
	c->timeout_ms = -1;
}

void conn_fini(struct conn *c)
{
	stream_free(&c->s);
	buf_fini(&c->in);
	buf_fini(&c->out);
}

/*
 * Remembers the first fatal error. A wait that was cut short (patience, the
 * server's end) is not one: the peer may still be told so.
 */
static int failed(struct conn *c, int r)
{
	if (c->err == 0 && r < 0 && r != -ETIMEDOUT && r != -ECANCELED) {
		c->err = r;
	}
	return r;
}

/* Drops what the last read handed out. */
static void forget_line(struct conn *c)
{
	buf_consume(&c->in, c->taken);
	c->taken = 0;
}

/* Nothing is buffered: waits without holding memory. 0 or -errno. */
CO_FN static int wait_empty(struct conn *c, int64_t deadline)
{
	int r;

	buf_fini(&c->in);
	if (c->out.n == 0) {
		buf_fini(&c->out);
	}
	r = stream_wait(c->s, NULL, deadline);
	return MIN(r, 0);
}

/* Reads once. >0, 0 end of file, -errno. */
CO_FN static ssize_t fill(struct conn *c)
{
	int64_t deadline = clock_in_ms(c->timeout_ms);
	char *p;
	ssize_t n;

	if (c->until && c->until < deadline) {
		deadline = c->until;
	}
	if (c->in.n == 0) {
		n = wait_empty(c, deadline);
		if (n < 0) {
			return failed(c, (int)n);
		}
	}
	p = buf_reserve(&c->in, READ_STEP);
	if (!p) {
		return failed(c, c->in.err);
	}
	stream_set_deadline(c->s, deadline);
	n = stream_read(c->s, p, READ_STEP);
	if (n > 0) {
		buf_commit(&c->in, (size_t)n);
	} else if (n < 0) {
		failed(c, (int)n);
	}
	return n;
}

/*
 * Looks for a line end from c->scanned on. 1: found, *len is the line's
 * octets and *end those of its CRLF or LF; 0: not yet.
 */
static int find_end(struct conn *c, size_t *len, size_t *end)
{
	const char *nl = c->in.n > c->scanned
				 ? memchr(c->in.p + c->scanned, '\n', c->in.n - c->scanned)
				 : NULL;

	if (!nl) {
		c->scanned = c->in.n;
		return 0;
	}
	*len = (size_t)(nl - c->in.p);
	*end = 1;
	if (*len > 0 && nl[-1] == '\r') {
		(*len)--;
		*end = 2;
	}
	return 1;
}

/* Drops the rest of an overlong line, as far as patience goes. */
CO_FN static int drop_line(struct conn *c)
{
	size_t kept = c->in.n; /* patience begins behind the limit */
	size_t dropped = 0, len, end;

	for (;;) {
		ssize_t n;

		if (find_end(c, &len, &end)) {
			buf_consume(&c->in, len + end);
			c->scanned = 0;
			return CONN_TOOLONG;
		}
		dropped += c->in.n - kept;
		kept = 0;
		buf_reset(&c->in);
		c->scanned = 0;
		if (dropped > DROP_MAX) {
			return CONN_EOF;
		}
		n = fill(c);
		if (n <= 0) {
			return n == 0 ? CONN_EOF : (int)n;
		}
	}
}

static int judge_line(struct conn *c, size_t len, size_t end, struct slice *out)
{
	bool bad = c->tainted || end == 1;

	*out = slice_make(c->in.p, len);
	c->taken = len + end;
	c->scanned = 0;
	c->tainted = end == 1;
	bad = bad || slice_has_nul(*out) || slice_chr(*out, '\r') != SIZE_MAX;
	return bad ? CONN_BADLINE : CONN_LINE;
}

int conn_read_line(struct conn *c, size_t max, struct slice *out)
{
	size_t len, end;
	int r = 0;

	assert(max < IN_MAX - READ_STEP);
	forget_line(c);
	c->scanned = 0;
	while (!find_end(c, &len, &end)) {
		ssize_t n;

		/* A CR may still be the first half of the line's end. */
		if (c->in.n > max + 1) {
			return drop_line(c);
		}
		r = conn_flush(c);
		if (r < 0) {
			return r;
		}
		n = fill(c);
		if (n <= 0) {
			return n == 0 ? CONN_EOF : (int)n;
		}
	}
	if (len > max) {
		buf_consume(&c->in, len + end);
		c->scanned = 0;
		return CONN_TOOLONG;
	}
	return judge_line(c, len, end, out);
}

bool conn_has_input(const struct conn *c)
{
	return c->in.n > c->taken;
}

ssize_t conn_read_raw(struct conn *c, char *p, size_t n)
{
	forget_line(c);
	c->scanned = 0;
	if (c->in.n == 0) {
		int r = conn_flush(c);
		ssize_t got;

		if (r < 0) {
			return r;
		}
		got = fill(c);
		if (got <= 0) {
			return got;
		}
	}
	n = MIN(n, c->in.n);
	memcpy(p, c->in.p, n);
	buf_consume(&c->in, n);
	return (ssize_t)n;
}

void conn_unread(struct conn *c, struct slice rest)
{
	size_t old = c->in.n;

	assert(c->taken == 0);
	if (rest.n == 0 || !buf_reserve(&c->in, rest.n)) {
		return;
	}
	memmove(c->in.p + rest.n, c->in.p, old);
	memcpy(c->in.p, rest.p, rest.n);
	buf_commit(&c->in, rest.n);
}

int conn_flush(struct conn *c)
{
	int r;

	if (c->err || c->out.n == 0) {
		return c->err;
	}
	stream_set_deadline(c->s, clock_in_ms(c->timeout_ms));
	r = stream_write(c->s, buf_slice(&c->out));
	buf_reset(&c->out);
	if (r < 0 && c->err == 0) {
		c->err = r; /* half a reply may be out: nothing can follow */
	}
	return r;
}

void conn_write(struct conn *c, struct slice s)
{
	while (s.n && c->err == 0) {
		struct slice part = slice_sub(s, 0, CONN_OUT_MAX);

		buf_add(&c->out, part);
		failed(c, c->out.err);
		s = slice_from(s, part.n);
		if (c->out.n >= CONN_OUT_MAX) {
			conn_flush(c);
		}
	}
}

void conn_printf(struct conn *c, const char *fmt, ...)
{
	va_list ap;

	if (c->err) {
		return;
	}
	va_start(ap, fmt);
	buf_vprintf(&c->out, fmt, ap);
	va_end(ap);
	failed(c, c->out.err);
	if (c->out.n >= CONN_OUT_MAX) {
		conn_flush(c);
	}
}

int conn_starttls(struct conn *c, struct err *e)
{
	struct buf pending = c->in;
	struct stream *tls = NULL;
	int r = conn_flush(c);

	buf_init(&c->in, IN_MAX);
	if (r == 0) {
		stream_set_deadline(c->s, clock_in_ms(TLS_MS));
		r = tls_accept(c->tls, &c->s, slice_from(buf_slice(&pending), c->taken), &tls,
			       &c->tls_info, e);
	}
	c->taken = 0;
	c->scanned = 0;
	buf_fini(&pending);
	if (r < 0) {
		return failed(c, r);
	}
	c->s = tls;
	c->tls_active = true;
	return 0;
}

struct stream *conn_tls(const struct conn *c)
{
	struct stream *s = c->s;

	if (s && stream_is_deflate(s)) {
		s = stream_deflate_inner(s);
	}
	return s && stream_is_tls(s) ? s : NULL;
}

int conn_compress(struct conn *c)
{
	struct slice behind = slice_from(buf_slice(&c->in), c->taken);
	struct stream *packed = NULL;
	int r = conn_flush(c);

	assert(!c->compressed);
	if (r < 0) {
		return r;
	}
	if (stream_is_deflate(c->s)) {
		r = stream_deflate_again(c->s, behind);
	} else {
		r = stream_deflate_new(&c->s, behind, &packed);
		c->s = packed;
	}
	c->taken = 0;
	c->scanned = 0;
	buf_fini(&c->in);
	if (r < 0) {
		return failed(c, r);
	}
	c->compressed = true;
	return 0;
}

int conn_compress_end(struct conn *c)
{
	int r = c->err;

	assert(c->compressed);
	forget_line(c);
	if (r == 0 && c->in.n > 0) {
		r = -EPROTO;
	}
	if (r == 0) {
		stream_set_deadline(c->s, clock_in_ms(c->timeout_ms));
		r = stream_deflate_stop(c->s, buf_slice(&c->out));
		buf_reset(&c->out);
		c->compressed = false;
	}
	return failed(c, r);
}

int conn_idle(struct conn *c, struct co_event *ev, int64_t deadline)
{
	int r;

	if (conn_has_input(c)) {
		return STREAM_READY;
	}
	r = conn_flush(c);
	if (r < 0) {
		return r;
	}
	forget_line(c);
	c->scanned = 0;
	if (deadline > clock_in_ms(LONG_MS)) {
		buf_fini(&c->in);
		buf_fini(&c->out);
	}
	return stream_wait(c->s, ev, deadline);
}

void conn_shutdown(struct conn *c)
{
	conn_flush(c);
	if (c->s) {
		stream_shutdown(c->s);
	}
}
