/*
 * dot: the text framing of SMTP DATA and POP3 multi-line answers.
 *
 * Decoding is strict (RFC 5321 2.3.8, 4.1.1.4, 4.5.2): the end is exactly
 * CRLF "." CRLF, lines end in CRLF only. A bare CR or LF anywhere, or a NUL,
 * makes the whole message bad, but the true end is still found, so that the
 * connection stays in step (THREATS SM-01). The decoder is a pure push
 * machine with constant memory, whatever the cut between pieces (SM-02).
 */
#ifndef IO_DOT_H
#define IO_DOT_H

#include "base/buf.h"
#include "base/slice.h"

enum dot_flags {
	DOT_BARE_CR = 1,   /* CR not followed by LF */
	DOT_BARE_LF = 2,   /* LF not after CR */
	DOT_NUL = 4,	   /* a NUL byte */
	DOT_8BIT = 8,	   /* a byte >= 0x80 */
	DOT_LONG_LINE = 16 /* a line above 998 octets without CRLF */
};

struct dot_dec {
	int state;	/* 0 at first: line start */
	unsigned flags; /* enum dot_flags seen so far */
	uint64_t size;	/* decoded octets so far */
	size_t line;	/* octets in the current line */
	bool done;
};

void dot_dec_init(struct dot_dec *d);
/*
 * Feeds raw input. Decoded bytes are added to out (whose max may stop it:
 * then out->err). Returns how many bytes of in were taken: all of them, or
 * up to and with the end mark, when d->done becomes true.
 */
size_t dot_dec_feed(struct dot_dec *d, struct slice in, struct buf *out);

/* Encoder: doubles leading dots. Zero-initialise. */
struct dot_enc {
	bool mid_line; /* not at a line start */
	bool last_cr;
};
/*
 * Adds the encoded form of in to out. With canon, bare LF and bare CR become
 * CRLF on the way (THREATS PO-06, SM-03).
 */
void dot_enc_feed(struct dot_enc *d, struct slice in, bool canon, struct buf *out);
/* Adds a CRLF if the text did not end in one, then ".\r\n". */
void dot_enc_end(struct dot_enc *d, struct buf *out);

#endif
