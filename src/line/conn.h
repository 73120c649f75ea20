/*
 * conn: what SMTP, POP3 and IMAP share: lines in, replies out, TLS, logs.
 *
 * A conn owns the stream, one input buffer and one output buffer. Input is
 * framed once, here: lines end in CRLF exactly; a bare CR or LF, a NUL or a
 * line above the limit is its own outcome and never a second command
 * (THREATS SM-04, SL-01). Output collects until flushed; conn_read_line
 * flushes first, so replies to pipelined commands share packets. Buffers are
 * given back while a session idles.
 */
#ifndef LINE_CONN_H
#define LINE_CONN_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/log.h"
#include "io/listen.h"
#include "io/stream.h"
#include "io/tls.h"

#define CONN_SID_MAX 17
#define CONN_OUT_MAX (64u * 1024) /* flushed beyond this */

enum conn_line {
	CONN_LINE = 0,	  /* a line, without its CRLF */
	CONN_EOF = 1,	  /* the peer closed, between lines */
	CONN_TOOLONG = 2, /* above max; the rest of it was dropped (at most
			      64 KiB, then CONN_EOF) */
	CONN_BADLINE = 3  /* bare CR, bare LF or NUL in it; taken up to its
			      CRLF or LF. After a bare LF everything up to and
			      with the next CRLF is bad lines too, so that no
			      part of it is ever run as a command */
};

struct conn {
	struct stream *s;
	struct buf in;	     /* bytes read and not yet taken */
	struct buf out;	     /* replies not yet written */
	struct tls_ctx *tls; /* for STARTTLS; NULL: none offered */
	bool tls_active;
	bool compressed; /* DEFLATE is between the session and c->s's socket */
	struct tls_info tls_info;
	struct net_addr peer;
	struct net_addr local;
	char peer_text[NET_ADDR_TEXT_MAX];
	char sid[CONN_SID_MAX]; /* joins all log lines of this connection */
	const char *protocol;	/* "smtp", "imap", ... static */
	int64_t timeout_ms;	/* for each wait for input */
	int64_t until;		/* no wait for input goes beyond this moment,
				   however the client drips; 0: none */
	int err;		/* sticky: first fatal stream error */
	size_t taken;		/* bytes of `in` handed out by the last read */
	bool tainted;		/* a bare LF was seen, no CRLF since */
	size_t scanned;		/* bytes of `in` known to hold no line end */
};

/* Takes over *sp (sets NULL). peer, local may be NULL. Makes a session id. */
void conn_init(struct conn *c, struct stream **sp, const char *protocol,
	       const struct net_addr *peer, const struct net_addr *local);
/* Frees the stream and buffers; flushes nothing. */
void conn_fini(struct conn *c);

/*
 * Flushes, then reads one line of at most max octets (CRLF not counted). The
 * slice points into c->in and lives until the next conn_read_*.
 * enum conn_line or -errno (-ETIMEDOUT after c->timeout_ms, -ECANCELED).
 */
CO_FN int conn_read_line(struct conn *c, size_t max, struct slice *out);
/* Is a whole or partial further command already buffered? (pipelining) */
bool conn_has_input(const struct conn *c);
/*
 * Up to n raw bytes (literals, DATA): what is buffered first. >0, 0 EOF,
 * -errno. Flushes first if it must wait.
 */
CO_FN ssize_t conn_read_raw(struct conn *c, char *p, size_t n);
/* Puts back the last bytes got by conn_read_raw that were not consumed. */
void conn_unread(struct conn *c, struct slice rest);

/* Adds to the output; flushes when it is full (so they may suspend). After a
 * fatal error they do nothing; c->err says so. */
CO_FN void conn_write(struct conn *c, struct slice s);
CO_FN void conn_printf(struct conn *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* 0 or c->err. */
CO_FN int conn_flush(struct conn *c);

/*
 * TLS on this connection: flushes what was said so far, hands what is
 * buffered to the TLS engine (TL-01), handshakes with a deadline of 30 s.
 * 0, or -errno with *e: the connection is then useless.
 */
CO_FN int conn_starttls(struct conn *c, struct err *e);
/* The connection's TLS stream, for its channel bindings; NULL: no TLS. */
struct stream *conn_tls(const struct conn *c);
/*
 * Compression both ways (RFC 4978): flushes what was said so far, takes what
 * is buffered behind the last line as compressed. Not while c->compressed.
 * 0 or -errno, and c->err: the connection is then useless.
 */
CO_FN int conn_compress(struct conn *c);
/*
 * The end of it (RFC 8437): what was said so far goes out as the last that is
 * compressed. The client's ends with the last line that was read; if it has
 * sent more in the same block, -EPROTO. Only while c->compressed.
 */
CO_FN int conn_compress_end(struct conn *c);
/* Waits for input or ev; frees buffers and trims the stack while waiting.
 * STREAM_READY, STREAM_EVENT, -ETIMEDOUT, -ECANCELED, -errno. */
CO_FN int conn_idle(struct conn *c, struct co_event *ev, int64_t deadline);
/* Orderly end: flush, TLS close_notify. */
CO_FN void conn_shutdown(struct conn *c);

/* Log line with this session's id, protocol and peer. */
#define conn_log(c, lv, event, ...)                                       \
	log_event((lv), (c)->sid, (event), LOG_C("proto", (c)->protocol), \
		  LOG_C("peer", (c)->peer_text), __VA_ARGS__)

#endif
