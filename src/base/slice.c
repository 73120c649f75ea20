/*
 * slice: comparing, searching and cutting borrowed bytes.
 *
 * Everything here is a pure function of its arguments and runs in linear
 * time, whatever a peer sends: slice_find leans on memmem (two-way in glibc),
 * slice_ifind is the same algorithm (Crochemore and Perrin, 1991) over folded
 * letters, because a needle from SEARCH meets a haystack from a message.
 * Called by every layer.
 */
#include "base/slice.h"

#include <errno.h>

static unsigned char at(struct slice s, size_t i)
{
	return (unsigned char)s.p[i];
}

static bool ieq_n(const char *a, const char *b, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (ascii_lower((unsigned char)a[i]) != ascii_lower((unsigned char)b[i])) {
			return false;
		}
	}
	return true;
}

bool slice_ieq(struct slice a, struct slice b)
{
	return a.n == b.n && ieq_n(a.p, b.p, a.n);
}

static int cmp_len(size_t a, size_t b)
{
	return (a > b) - (a < b);
}

int slice_cmp(struct slice a, struct slice b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int r = n ? memcmp(a.p, b.p, n) : 0;

	return r ? r : cmp_len(a.n, b.n);
}

int slice_icmp(struct slice a, struct slice b)
{
	size_t n = a.n < b.n ? a.n : b.n;

	for (size_t i = 0; i < n; i++) {
		int r = (int)ascii_lower(at(a, i)) - (int)ascii_lower(at(b, i));
		if (r) {
			return r;
		}
	}
	return cmp_len(a.n, b.n);
}

bool slice_starts(struct slice s, struct slice prefix)
{
	return s.n >= prefix.n && slice_eq(slice_make(s.p, prefix.n), prefix);
}

bool slice_istarts(struct slice s, struct slice prefix)
{
	return s.n >= prefix.n && ieq_n(s.p, prefix.p, prefix.n);
}

bool slice_ends(struct slice s, struct slice suffix)
{
	return s.n >= suffix.n && slice_eq(slice_from(s, s.n - suffix.n), suffix);
}

bool slice_iends(struct slice s, struct slice suffix)
{
	return s.n >= suffix.n && slice_ieq(slice_from(s, s.n - suffix.n), suffix);
}

size_t slice_chr(struct slice s, char c)
{
	const char *p = s.n ? memchr(s.p, c, s.n) : NULL;

	return p ? (size_t)(p - s.p) : SIZE_MAX;
}

size_t slice_rchr(struct slice s, char c)
{
	const char *p = s.n ? memrchr(s.p, c, s.n) : NULL;

	return p ? (size_t)(p - s.p) : SIZE_MAX;
}

size_t slice_find(struct slice s, struct slice needle)
{
	const char *p;

	if (needle.n == 0) {
		return 0;
	}
	if (s.n < needle.n) {
		return SIZE_MAX;
	}
	p = memmem(s.p, s.n, needle.p, needle.n);
	return p ? (size_t)(p - s.p) : SIZE_MAX;
}

/*
 * The maximal suffix of x under <= (or, with `rev`, under >=): returns the
 * index before its first byte (so -1 for the whole) and its period.
 */
static ptrdiff_t max_suffix(struct slice x, bool rev, ptrdiff_t *period_out)
{
	ptrdiff_t m = (ptrdiff_t)x.n;
	ptrdiff_t ms = -1;
	ptrdiff_t j = 0;
	ptrdiff_t k = 1;
	ptrdiff_t p = 1;

	while (j + k < m) {
		int d = (int)ascii_lower(at(x, (size_t)(j + k))) -
			(int)ascii_lower(at(x, (size_t)(ms + k)));
		if (d == 0) {
			if (k != p) {
				k++;
			} else {
				j += p;
				k = 1;
			}
		} else if (rev ? d > 0 : d < 0) {
			j += k;
			k = 1;
			p = j - ms;
		} else {
			ms = j++;
			k = p = 1;
		}
	}
	*period_out = p;
	return ms;
}

static bool same(struct slice x, struct slice y, ptrdiff_t i, ptrdiff_t j)
{
	return ascii_lower(at(x, (size_t)i)) == ascii_lower(at(y, (size_t)(i + j)));
}

size_t slice_ifind(struct slice s, struct slice needle)
{
	ptrdiff_t m = (ptrdiff_t)needle.n;
	ptrdiff_t n = (ptrdiff_t)s.n;
	ptrdiff_t per, q;
	ptrdiff_t memory = -1; /* how much of a repeated left part is known */
	bool periodic;

	if (m == 0) {
		return 0;
	}
	/* Cut the needle where no shorter shift can match: the critical place. */
	ptrdiff_t cut = max_suffix(needle, false, &per);
	ptrdiff_t other = max_suffix(needle, true, &q);
	if (other > cut) {
		cut = other;
		per = q;
	}
	periodic = ieq_n(needle.p, needle.p + per, (size_t)(cut + 1));
	if (!periodic) {
		per = (cut + 1 > m - cut - 1 ? cut + 1 : m - cut - 1) + 1;
	}
	for (ptrdiff_t j = 0; j <= n - m;) {
		ptrdiff_t i = (cut > memory ? cut : memory) + 1;
		while (i < m && same(needle, s, i, j)) {
			i++;
		}
		if (i < m) {
			j += i - cut;
			memory = -1;
			continue;
		}
		i = cut;
		while (i > memory && same(needle, s, i, j)) {
			i--;
		}
		if (i <= memory) {
			return (size_t)j;
		}
		j += per;
		memory = periodic ? m - per - 1 : -1;
	}
	return SIZE_MAX;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct slice slice_trim(struct slice s)
{
	while (s.n && is_blank(s.p[0])) {
		s.p++;
		s.n--;
	}
	while (s.n && is_blank(s.p[s.n - 1])) {
		s.n--;
	}
	return s;
}

struct slice slice_from(struct slice s, size_t from)
{
	if (from > s.n) {
		from = s.n;
	}
	return slice_make(s.p ? s.p + from : NULL, s.n - from);
}

struct slice slice_sub(struct slice s, size_t from, size_t n)
{
	s = slice_from(s, from);
	return slice_make(s.p, n < s.n ? n : s.n);
}

struct slice slice_split(struct slice *rest, char c)
{
	struct slice all = *rest;
	size_t i = slice_chr(all, c);

	if (i == SIZE_MAX) {
		*rest = slice_make(NULL, 0);
		return all;
	}
	*rest = slice_from(all, i + 1);
	return slice_make(all.p, i);
}

bool slice_is_printable(struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (at(s, i) < 0x20 || at(s, i) > 0x7e) {
			return false;
		}
	}
	return true;
}

bool slice_has_8bit(struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (at(s, i) >= 0x80) {
			return true;
		}
	}
	return false;
}

bool slice_has_nul(struct slice s)
{
	return slice_chr(s, '\0') != SIZE_MAX;
}

static int parse_number(struct slice s, uint64_t max, uint64_t *out)
{
	uint64_t v = 0;
	bool over = false;

	if (s.n == 0) {
		return -EINVAL;
	}
	for (size_t i = 0; i < s.n; i++) {
		if (!ascii_isdigit(at(s, i))) {
			return -EINVAL;
		}
		unsigned d = at(s, i) - (unsigned)'0';
		if (over || v > (max - d) / 10) {
			over = true; /* go on: a later letter is a syntax error */
		} else {
			v = v * 10 + d;
		}
	}
	if (over) {
		return -ERANGE;
	}
	*out = v;
	return 0;
}

int slice_u64(struct slice s, uint64_t *out)
{
	return parse_number(s, UINT64_MAX, out);
}

int slice_u32(struct slice s, uint32_t *out)
{
	uint64_t v;
	int r = parse_number(s, UINT32_MAX, &v);

	if (r == 0) {
		*out = (uint32_t)v;
	}
	return r;
}

int slice_copy(struct slice s, char *dst, size_t cap)
{
	if (s.n >= cap) {
		return -ENAMETOOLONG;
	}
	if (slice_has_nul(s)) {
		return -EINVAL;
	}
	if (s.n) {
		memcpy(dst, s.p, s.n);
	}
	dst[s.n] = '\0';
	return 0;
}
