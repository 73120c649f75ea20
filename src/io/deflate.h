/*
 * deflate: a stream that compresses another one (raw DEFLATE, RFC 1951), for
 * IMAP's COMPRESS (RFC 4978).
 *
 * Each stream_write ends in a sync flush, so that what was written can be
 * read. Input may sit here, inflated or not; stream_wait knows. It costs about
 * 90 KiB while data flows (zlib: 40 in, 46 out); after a second without input
 * that is given back, but for the last bytes the peer has sent (at most
 * 32 KiB), to which it may still refer. Called by line/conn.h.
 *
 * Inflated bytes pass through, none are collected, so every limit of the
 * reader holds for them. Beyond that a read fails with -EPROTO, for ever: for
 * what is not DEFLATE, for DEFLATE_DRY_MAX bytes that give nothing, and for a
 * bomb: more than DEFLATE_FREE bytes beyond DEFLATE_RATIO times what came in
 * (THREATS IM-12). -ENOMEM and what the inner stream answers are final too.
 */
#ifndef IO_DEFLATE_H
#define IO_DEFLATE_H

#include "io/stream.h"

#define DEFLATE_DRY_MAX (64u * 1024)
#define DEFLATE_RATIO 100u
/* More than a message of the usual limit that is all zeros. */
#define DEFLATE_FREE (UINT64_C(64) * 1024 * 1024)
#define DEFLATE_PARK_MS 1000

/*
 * Takes over *innerp (freed on failure too; set NULL). pending: what was read
 * of it already; compressed. 0 or -ENOMEM.
 */
int stream_deflate_new(struct stream **innerp, struct slice pending, struct stream **out);
/*
 * The end of compression, both ways (RFC 8437 4.1): last (may be empty) goes
 * out in a final block, what is written from now on goes as it is. Reads give
 * what the peer has compressed up to the end of its block or of its stream,
 * then bytes as they are. 0 or -errno.
 */
CO_FN int stream_deflate_stop(struct stream *s, struct slice last);
/*
 * Compression again, after stream_deflate_stop; pending as above. Unlike
 * another stream over this one, any number of times. 0, -ENOMEM, -EALREADY (it
 * never stopped), -EPROTO (the peer's has not ended).
 */
int stream_deflate_again(struct stream *s, struct slice pending);
/* Is it such a stream? */
bool stream_is_deflate(const struct stream *s);
/* The stream it is over, still its own. */
struct stream *stream_deflate_inner(const struct stream *s);

#endif
