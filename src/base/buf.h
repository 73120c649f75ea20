/*
 * buf: a growing byte buffer that must be given a maximum.
 *
 * Overflow and failed allocation are sticky: err is set (-EMSGSIZE,
 * -ENOMEM), later adds are no-ops, so a writer adds freely and looks once.
 * Memory is malloc'ed by the buffer and freed by buf_fini; buf_take hands it
 * over. The bytes are not NUL-terminated unless buf_cstr is called.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>

#include "base/slice.h"

struct buf {
	char *p;
	size_t n;
	size_t cap;
	size_t max;
	int err;
};

/* An empty buffer that may hold up to max bytes. No allocation yet. */
#define BUF_INIT(maximum) ((struct buf){ .max = (maximum) })
void buf_init(struct buf *b, size_t max);
/* Frees; the buffer is empty and usable again with the same max. */
void buf_fini(struct buf *b);
/* n = 0 and err = 0, memory kept. */
void buf_reset(struct buf *b);

static inline struct slice buf_slice(const struct buf *b)
{
	return slice_make(b->p, b->n);
}

/* Room for n more bytes; returns where to write or NULL (err set). */
char *buf_reserve(struct buf *b, size_t n);
/* Declares n reserved bytes written. */
void buf_commit(struct buf *b, size_t n);
void buf_add(struct buf *b, struct slice s);
void buf_addc(struct buf *b, char c);
void buf_adds(struct buf *b, const char *cstr);
void buf_addu(struct buf *b, uint64_t v);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
/* Drops the first n bytes (n <= b->n). */
void buf_consume(struct buf *b, size_t n);
/* Shortens to n bytes (n <= b->n). */
void buf_truncate(struct buf *b, size_t n);
/* NUL-terminates behind n (not counted); returns p, or "" after an error. */
const char *buf_cstr(struct buf *b);
/* Hands the memory over (free() it); the buffer is empty afterwards. After an
 * error there is nothing to hand over: NULL and 0, and the error stays. */
char *buf_take(struct buf *b, size_t *n_out);

/* Our records: the encodings that cur_get* and cur_varint read. */
void buf_put8(struct buf *b, uint8_t v);
void buf_put16le(struct buf *b, uint16_t v);
void buf_put32le(struct buf *b, uint32_t v);
void buf_put64le(struct buf *b, uint64_t v);
void buf_put32be(struct buf *b, uint32_t v);
void buf_put64be(struct buf *b, uint64_t v);
void buf_varint(struct buf *b, uint64_t v);
void buf_vbytes(struct buf *b, struct slice s);

#endif
