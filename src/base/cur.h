/*
 * cur: a reading cursor over a slice with a sticky error.
 *
 * Parsers take a cursor, call cur_* helpers and look at c->err once per
 * production: after an error every helper is a no-op that returns an empty
 * slice, 0 or false. Helpers never read past end. Each helper that takes a
 * variable amount has a maximum. Errors are -EINVAL (syntax), -ERANGE
 * (number too big), -EMSGSIZE (longer than the given maximum). Pure: no I/O,
 * no log, no yield.
 */
#ifndef BASE_CUR_H
#define BASE_CUR_H

#include "base/slice.h"

struct cur {
	const char *p;
	const char *end;
	int err;
};

/* A character class: class[c] != 0 means member. See cur_span. */
typedef unsigned char cur_class[256];

static inline struct cur cur_init(struct slice s)
{
	return (struct cur){ s.p, s.p ? s.p + s.n : s.p, 0 };
}

static inline size_t cur_left(const struct cur *c)
{
	return (size_t)(c->end - c->p);
}

/* At the end, or broken. */
static inline bool cur_done(const struct cur *c)
{
	return c->err || c->p == c->end;
}

/* What is left, without moving. */
static inline struct slice cur_rest(const struct cur *c)
{
	return slice_make(c->p, cur_left(c));
}

/* Next byte without moving, or -1 at the end or after an error. */
static inline int cur_peek(const struct cur *c)
{
	return cur_done(c) ? -1 : (unsigned char)*c->p;
}

/* Sets the error if none is set yet; returns it. */
int cur_fail(struct cur *c, int err);
/* Takes one byte; fails at the end. Returns it or -1. */
int cur_byte(struct cur *c);
/* If the next byte is ch, takes it and says true; else moves nothing. */
bool cur_opt(struct cur *c, char ch);
/* The next byte must be ch. True if it was. */
bool cur_need(struct cur *c, char ch);
/* If lit stands here (ASCII case ignored), takes it and says true. */
bool cur_lit(struct cur *c, struct slice lit);
/* The same, case-sensitive. */
bool cur_exact(struct cur *c, struct slice lit);
/* The literal must stand here (case ignored). */
bool cur_need_lit(struct cur *c, struct slice lit);
/* Longest run of members of cls; may be empty; -EMSGSIZE beyond max. */
struct slice cur_span(struct cur *c, const cur_class cls, size_t max);
/* The same, but at least one byte is needed. */
struct slice cur_span1(struct cur *c, const cur_class cls, size_t max);
/* Bytes up to `stop`, which is taken too; fails if it is missing. */
struct slice cur_until(struct cur *c, char stop, size_t max);
/* Exactly n bytes. */
struct slice cur_take(struct cur *c, size_t n);
/* 1*DIGIT as an unsigned number; overflow is -ERANGE. */
uint32_t cur_u32(struct cur *c);
uint64_t cur_u64(struct cur *c);
/* Exactly n (1..9) digits. */
uint32_t cur_digits(struct cur *c, unsigned n);
/* Skips SP and HTAB; returns how many. */
size_t cur_skip_wsp(struct cur *c);
/* Exactly one SP. */
bool cur_sp(struct cur *c);
/* Must be at the end. */
bool cur_end(struct cur *c);

/* Little- and big-endian integers and length-framed bytes, for our records. */
uint8_t cur_get8(struct cur *c);
uint16_t cur_get16le(struct cur *c);
uint32_t cur_get32le(struct cur *c);
uint64_t cur_get64le(struct cur *c);
uint32_t cur_get32be(struct cur *c);
uint64_t cur_get64be(struct cur *c);
/* LEB128 unsigned, at most 10 bytes, canonical or not; -ERANGE beyond 64 bits. */
uint64_t cur_varint(struct cur *c);
/* varint length, then that many bytes; -EMSGSIZE beyond max. */
struct slice cur_vbytes(struct cur *c, size_t max);

#endif
