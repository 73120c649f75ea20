/*
 * cur: the reading cursor that every parser of ours is made of.
 *
 * A helper that fails leaves the position where it was and sets the sticky
 * error; from then on every helper is a no-op. So a parser can be written as
 * the grammar reads, and a bound is missed in one place at most: here.
 */
#include "base/cur.h"

#include "base/err.h"

int cur_fail(struct cur *c, int err)
{
	assert(err < 0);
	if (!c->err) {
		c->err = err;
	}
	return c->err;
}

int cur_byte(struct cur *c)
{
	if (c->err) {
		return -1;
	}
	if (c->p == c->end) {
		cur_fail(c, -EINVAL);
		return -1;
	}
	return (unsigned char)*c->p++;
}

bool cur_opt(struct cur *c, char ch)
{
	if (cur_done(c) || *c->p != ch) {
		return false;
	}
	c->p++;
	return true;
}

bool cur_need(struct cur *c, char ch)
{
	if (cur_opt(c, ch)) {
		return true;
	}
	cur_fail(c, -EINVAL);
	return false;
}

bool cur_lit(struct cur *c, struct slice lit)
{
	if (c->err || !slice_istarts(cur_rest(c), lit)) {
		return false;
	}
	c->p += lit.n;
	return true;
}

bool cur_exact(struct cur *c, struct slice lit)
{
	if (c->err || !slice_starts(cur_rest(c), lit)) {
		return false;
	}
	c->p += lit.n;
	return true;
}

bool cur_need_lit(struct cur *c, struct slice lit)
{
	if (cur_lit(c, lit)) {
		return true;
	}
	cur_fail(c, -EINVAL);
	return false;
}

struct slice cur_span(struct cur *c, const cur_class cls, size_t max)
{
	const char *p = c->p;

	if (c->err) {
		return slice_make(NULL, 0);
	}
	while (p < c->end && cls[(unsigned char)*p]) {
		if ((size_t)(p - c->p) == max) {
			cur_fail(c, -EMSGSIZE);
			return slice_make(NULL, 0);
		}
		p++;
	}
	struct slice s = slice_make(c->p, (size_t)(p - c->p));
	c->p = p;
	return s;
}

struct slice cur_span1(struct cur *c, const cur_class cls, size_t max)
{
	struct slice s = cur_span(c, cls, max);

	if (s.n == 0) {
		cur_fail(c, -EINVAL);
	}
	return s;
}

struct slice cur_until(struct cur *c, char stop, size_t max)
{
	size_t left, i;

	if (c->err) {
		return slice_make(NULL, 0);
	}
	left = cur_left(c);
	i = slice_chr(slice_make(c->p, left > max ? max + 1 : left), stop);
	if (i == SIZE_MAX) {
		cur_fail(c, left > max ? -EMSGSIZE : -EINVAL);
		return slice_make(NULL, 0);
	}
	struct slice s = slice_make(c->p, i);
	c->p += i + 1;
	return s;
}

struct slice cur_take(struct cur *c, size_t n)
{
	if (c->err) {
		return slice_make(NULL, 0);
	}
	if (n > cur_left(c)) {
		cur_fail(c, -EINVAL);
		return slice_make(NULL, 0);
	}
	struct slice s = slice_make(c->p, n);
	if (n) {
		c->p += n;
	}
	return s;
}

static uint64_t number(struct cur *c, uint64_t max)
{
	const char *p = c->p;
	uint64_t v = 0;

	if (c->err) {
		return 0;
	}
	while (p < c->end && ascii_isdigit((unsigned char)*p)) {
		unsigned d = (unsigned char)*p++ - (unsigned)'0';
		if (v > (max - d) / 10) {
			cur_fail(c, -ERANGE);
			return 0;
		}
		v = v * 10 + d;
	}
	if (p == c->p) {
		cur_fail(c, -EINVAL);
		return 0;
	}
	c->p = p;
	return v;
}

uint32_t cur_u32(struct cur *c)
{
	return (uint32_t)number(c, UINT32_MAX);
}

uint64_t cur_u64(struct cur *c)
{
	return number(c, UINT64_MAX);
}

uint32_t cur_digits(struct cur *c, unsigned n)
{
	uint32_t v = 0;

	assert(n >= 1 && n <= 9);
	if (c->err) {
		return 0;
	}
	if (cur_left(c) < n) {
		cur_fail(c, -EINVAL);
		return 0;
	}
	for (unsigned i = 0; i < n; i++) {
		unsigned char ch = (unsigned char)c->p[i];
		if (!ascii_isdigit(ch)) {
			cur_fail(c, -EINVAL);
			return 0;
		}
		v = v * 10 + (ch - (unsigned)'0');
	}
	c->p += n;
	return v;
}

size_t cur_skip_wsp(struct cur *c)
{
	const char *start = c->p;

	if (c->err) {
		return 0;
	}
	while (c->p < c->end && (*c->p == ' ' || *c->p == '\t')) {
		c->p++;
	}
	return (size_t)(c->p - start);
}

bool cur_sp(struct cur *c)
{
	return cur_need(c, ' ');
}

bool cur_end(struct cur *c)
{
	if (c->err) {
		return false;
	}
	if (c->p != c->end) {
		cur_fail(c, -EINVAL);
		return false;
	}
	return true;
}

/* n bytes as a number, the most significant first or last. */
static uint64_t fixed(struct cur *c, unsigned n, bool big)
{
	struct slice s = cur_take(c, n);
	uint64_t v = 0;

	for (size_t i = 0; i < s.n; i++) {
		unsigned char b = (unsigned char)s.p[big ? i : s.n - 1 - i];
		v = v << 8 | b;
	}
	return v;
}

uint8_t cur_get8(struct cur *c)
{
	return (uint8_t)fixed(c, 1, false);
}

uint16_t cur_get16le(struct cur *c)
{
	return (uint16_t)fixed(c, 2, false);
}

uint32_t cur_get32le(struct cur *c)
{
	return (uint32_t)fixed(c, 4, false);
}

uint64_t cur_get64le(struct cur *c)
{
	return fixed(c, 8, false);
}

uint32_t cur_get32be(struct cur *c)
{
	return (uint32_t)fixed(c, 4, true);
}

uint64_t cur_get64be(struct cur *c)
{
	return fixed(c, 8, true);
}

#define VARINT_MAX 10 /* bytes that 64 bits take, seven at a time */

uint64_t cur_varint(struct cur *c)
{
	uint64_t v = 0;

	if (c->err) {
		return 0;
	}
	for (unsigned i = 0; i < VARINT_MAX; i++) {
		if (cur_left(c) <= i) {
			cur_fail(c, -EINVAL);
			return 0;
		}
		uint64_t b = (unsigned char)c->p[i];
		if (i == VARINT_MAX - 1 && b > 1) {
			break;
		}
		v |= (b & 0x7f) << (7 * i);
		if (!(b & 0x80)) {
			c->p += i + 1;
			return v;
		}
	}
	cur_fail(c, -ERANGE);
	return 0;
}

struct slice cur_vbytes(struct cur *c, size_t max)
{
	const char *start = c->p;
	uint64_t n = cur_varint(c);
	struct slice s = slice_make(NULL, 0);

	if (c->err) {
		return s;
	}
	if (n > max) {
		cur_fail(c, -EMSGSIZE);
	} else {
		s = cur_take(c, (size_t)n);
	}
	if (c->err) {
		c->p = start;
	}
	return s;
}
