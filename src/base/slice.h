/*
 * slice: a borrowed run of bytes, passed by value.
 *
 * Every text that comes from a peer, the disk or a literal travels as a
 * slice; nothing here needs or adds a terminating NUL. A slice owns nothing:
 * whoever makes one says how long the bytes live. An empty slice may have a
 * NULL pointer. ASCII case rules only (RFC 5321 2.4, RFC 9051 9): letters
 * beyond ASCII never fold here.
 */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
	const char *p;
	size_t n;
};

/* A slice over a string literal, without its NUL. */
#define S(lit) ((struct slice){ "" lit, sizeof(lit) - 1 })
/* printf arguments for "%.*s"; only for bytes known to be printable. */
#define SLICE_ARG(s) (int)(s).n, (s).p

static inline struct slice slice_make(const char *p, size_t n)
{
	return (struct slice){ p, n };
}

/* Over a NUL-terminated string of our own (never on peer data). */
static inline struct slice slice_cstr(const char *s)
{
	return (struct slice){ s, s ? strlen(s) : 0 };
}

static inline unsigned char ascii_lower(unsigned char c)
{
	return c >= 'A' && c <= 'Z' ? (unsigned char)(c | 0x20) : c;
}

static inline bool ascii_isdigit(unsigned char c)
{
	return c >= '0' && c <= '9';
}

static inline bool ascii_isalpha(unsigned char c)
{
	c = ascii_lower(c);
	return c >= 'a' && c <= 'z';
}

static inline bool slice_eq(struct slice a, struct slice b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* Equal but for ASCII case. */
bool slice_ieq(struct slice a, struct slice b);
/* memcmp order, shorter first on a tie: <0, 0, >0. */
int slice_cmp(struct slice a, struct slice b);
/* slice_cmp after ASCII lower-casing. */
int slice_icmp(struct slice a, struct slice b);
bool slice_starts(struct slice s, struct slice prefix);
bool slice_istarts(struct slice s, struct slice prefix);
bool slice_ends(struct slice s, struct slice suffix);
bool slice_iends(struct slice s, struct slice suffix);
/* Index of the first / last c, or SIZE_MAX. */
size_t slice_chr(struct slice s, char c);
size_t slice_rchr(struct slice s, char c);
/* Index of the first occurrence of needle (linear time), or SIZE_MAX. */
size_t slice_find(struct slice s, struct slice needle);
/* The same, ASCII letters compared without case. */
size_t slice_ifind(struct slice s, struct slice needle);
/* Without leading and trailing SP, HTAB, CR, LF. */
struct slice slice_trim(struct slice s);
/* Bytes from `at` on (clamped), and at most n of them. */
struct slice slice_from(struct slice s, size_t at);
struct slice slice_sub(struct slice s, size_t at, size_t n);
/*
 * Cut *rest at the first c: returns what stands before it and moves *rest
 * behind it. Without a c, returns all and leaves *rest empty with p NULL.
 */
struct slice slice_split(struct slice *rest, char c);
/* Only bytes 0x20..0x7e. */
bool slice_is_printable(struct slice s);
/* Any byte >= 0x80. */
bool slice_has_8bit(struct slice s);
/* Any NUL. */
bool slice_has_nul(struct slice s);

/*
 * Whole slice as an unsigned decimal number without sign, space or leading
 * '+'. 0 and *out on success; -EINVAL on syntax, -ERANGE on overflow, both
 * leaving *out untouched. Leading zeros are accepted.
 */
int slice_u32(struct slice s, uint32_t *out);
int slice_u64(struct slice s, uint64_t *out);
/*
 * Copies into a NUL-terminated char[cap]. 0; -ENAMETOOLONG if it does not
 * fit, -EINVAL if it holds a NUL; dst untouched then.
 */
int slice_copy(struct slice s, char *dst, size_t cap);

#endif
