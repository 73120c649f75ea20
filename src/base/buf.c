/*
 * buf: the growing buffer with a ceiling.
 *
 * Growth doubles, so n adds cost O(n); it never asks for more than max bytes
 * and one for a NUL. Used by reply writers, encoders and tests; whoever fills
 * one from a peer's bytes gives it the limit that peer has.
 */
#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"

#define BUF_FIRST 64

void buf_init(struct buf *b, size_t max)
{
	*b = BUF_INIT(max);
}

void buf_fini(struct buf *b)
{
	free(b->p);
	*b = BUF_INIT(b->max);
}

void buf_reset(struct buf *b)
{
	b->n = 0;
	b->err = 0;
}

/* Makes cap at least `need`, which is at most max + 1. */
static bool grow(struct buf *b, size_t need)
{
	size_t top = b->max == SIZE_MAX ? b->max : b->max + 1;
	size_t cap = b->cap > top / 2 ? top : b->cap * 2;

	if (need <= b->cap) {
		return true;
	}
	cap = MIN(MAX(MAX(cap, need), (size_t)BUF_FIRST), top);
	assert(cap >= need);
	char *p = realloc(b->p, cap);
	if (!p) {
		b->err = -ENOMEM;
		return false;
	}
	b->p = p;
	b->cap = cap;
	return true;
}

char *buf_reserve(struct buf *b, size_t n)
{
	if (b->err) {
		return NULL;
	}
	assert(b->n <= b->max);
	if (n > b->max - b->n) {
		b->err = -EMSGSIZE;
		return NULL;
	}
	/* Even for nothing there is a place to write nothing to. */
	if (!grow(b, MAX(b->n + n, (size_t)1))) {
		return NULL;
	}
	return b->p + b->n;
}

void buf_commit(struct buf *b, size_t n)
{
	assert(n <= b->cap - b->n && n <= b->max - b->n);
	b->n += n;
}

void buf_add(struct buf *b, struct slice s)
{
	if (s.n == 0) {
		return;
	}
	char *p = buf_reserve(b, s.n);
	if (p) {
		memcpy(p, s.p, s.n);
		b->n += s.n;
	}
}

void buf_addc(struct buf *b, char c)
{
	buf_add(b, slice_make(&c, 1));
}

void buf_adds(struct buf *b, const char *cstr)
{
	buf_add(b, slice_cstr(cstr));
}

void buf_addu(struct buf *b, uint64_t v)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	buf_add(b, slice_make(digits + at, sizeof(digits) - at));
}

void buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
	char small[256];
	va_list again;
	int n;

	if (b->err) {
		return;
	}
	va_copy(again, ap);
	n = vsnprintf(small, sizeof(small), fmt, ap);
	assert(n >= 0);
	if ((size_t)n < sizeof(small)) {
		buf_add(b, slice_make(small, (size_t)n));
	} else if ((size_t)n > b->max - b->n) {
		b->err = -EMSGSIZE;
	} else if (grow(b, b->n + (size_t)n + 1)) {
		vsnprintf(b->p + b->n, (size_t)n + 1, fmt, again);
		b->n += (size_t)n;
	}
	va_end(again);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(b, fmt, ap);
	va_end(ap);
}

void buf_consume(struct buf *b, size_t n)
{
	assert(n <= b->n);
	if (n == 0) {
		return;
	}
	memmove(b->p, b->p + n, b->n - n);
	b->n -= n;
}

void buf_truncate(struct buf *b, size_t n)
{
	assert(n <= b->n);
	b->n = n;
}

const char *buf_cstr(struct buf *b)
{
	if (b->err || b->n == SIZE_MAX || !grow(b, b->n + 1)) {
		return "";
	}
	b->p[b->n] = '\0';
	return b->p;
}

char *buf_take(struct buf *b, size_t *n_out)
{
	char *p = b->p;
	int err = b->err;

	if (n_out) {
		*n_out = err ? 0 : b->n;
	}
	*b = BUF_INIT(b->max);
	b->err = err;
	if (err) {
		free(p);
		return NULL;
	}
	return p;
}

static void put(struct buf *b, uint64_t v, unsigned n, bool big)
{
	char tmp[8];

	for (unsigned i = 0; i < n; i++) {
		tmp[big ? n - 1 - i : i] = (char)(v >> (8 * i) & 0xff);
	}
	buf_add(b, slice_make(tmp, n));
}

void buf_put8(struct buf *b, uint8_t v)
{
	put(b, v, 1, false);
}

void buf_put16le(struct buf *b, uint16_t v)
{
	put(b, v, 2, false);
}

void buf_put32le(struct buf *b, uint32_t v)
{
	put(b, v, 4, false);
}

void buf_put64le(struct buf *b, uint64_t v)
{
	put(b, v, 8, false);
}

void buf_put32be(struct buf *b, uint32_t v)
{
	put(b, v, 4, true);
}

void buf_put64be(struct buf *b, uint64_t v)
{
	put(b, v, 8, true);
}

void buf_varint(struct buf *b, uint64_t v)
{
	char tmp[10];
	size_t n = 0;

	while (v >= 0x80) {
		tmp[n++] = (char)(v & 0x7f) | (char)0x80;
		v >>= 7;
	}
	tmp[n++] = (char)v;
	buf_add(b, slice_make(tmp, n));
}

void buf_vbytes(struct buf *b, struct slice s)
{
	buf_varint(b, s.n);
	buf_add(b, s);
}
