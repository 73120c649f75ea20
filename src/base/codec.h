/*
 * codec: base64 (RFC 4648), quoted-printable (RFC 2045 6.7), hex, whole and
 * streaming.
 *
 * Strict decoding is for protocol arguments (SASL): canonical padding, no
 * white space, zero pad bits, else -EINVAL (THREATS AU-02). Lenient decoding
 * is for mail bodies: what is not in the alphabet is skipped, damage never
 * stops it, memory is constant.
 */
#ifndef BASE_CODEC_H
#define BASE_CODEC_H

#include "base/buf.h"
#include "base/slice.h"

void base64_encode(struct buf *b, struct slice s);
/* Strict. 0, -EINVAL; adds nothing on failure. */
int base64_decode(struct buf *b, struct slice s);
void hex_encode(struct buf *b, struct slice s); /* lower case */
/* 0, -EINVAL (odd length, other characters); adds nothing on failure. */
int hex_decode(struct buf *b, struct slice s);

enum codec_kind {
	CODEC_IDENTITY,
	CODEC_BASE64,
	CODEC_QP,
	CODEC_Q, /* RFC 2047 "Q": '_' is a space, no soft breaks */
};

/* A lenient streaming decoder; zero-initialise, then set kind. */
struct codec {
	enum codec_kind kind;
	uint32_t acc;
	unsigned nacc;
	bool ended;
	unsigned npend; /* bytes held back in pend */
	char pend[80];	/* QP: white space that may be trailing, "=X" */
};

/* Decodes one piece, adding what is certain to b. */
void codec_feed(struct codec *c, struct buf *b, struct slice s);
/* End of input: adds what was held back. */
void codec_end(struct codec *c, struct buf *b);

#endif
