/* Networks and what is in them: see range.h. */
#include "io/range.h"

/* The address's octets; *n 4 or 16; 0: it has none. v4 within v6 is v4. */
static const unsigned char *octets(const struct net_addr *a, size_t *n)
{
	const unsigned char *p = NULL;

	*n = 0;
	if (a->len && a->sa.sa_family == AF_INET) {
		p = (const unsigned char *)&a->in.sin_addr;
		*n = 4;
	} else if (a->len && a->sa.sa_family == AF_INET6) {
		p = (const unsigned char *)&a->in6.sin6_addr;
		*n = 16;
		if (IN6_IS_ADDR_V4MAPPED(&a->in6.sin6_addr)) {
			p += 12;
			*n = 4;
		}
	}
	return p;
}

/* Do the first bits of both agree? */
static bool agree(const unsigned char *a, const unsigned char *b, unsigned bits)
{
	unsigned rest = bits % 8;
	unsigned mask = 0xffu << (8 - rest) & 0xff;

	return memcmp(a, b, bits / 8) == 0 &&
	       (rest == 0 || ((a[bits / 8] ^ b[bits / 8]) & mask) == 0);
}

static bool host_bits_clear(const unsigned char *p, size_t n, unsigned bits)
{
	for (size_t i = bits / 8; i < n; i++) {
		unsigned first = i == bits / 8 ? bits % 8 : 0;

		if (p[i] & (0xffu >> first)) {
			return false;
		}
	}
	return true;
}

int net_range_parse(struct slice text, struct net_range *out)
{
	struct slice rest = text;
	struct slice addr = slice_split(&rest, '/');
	struct net_range r;
	const unsigned char *p;
	uint32_t bits = 0;
	size_t n;

	if (net_addr_parse(addr, 0, &r.base) != 0) {
		return -EINVAL;
	}
	p = octets(&r.base, &n);
	if (!p) {
		return -EINVAL; /* "*" */
	}
	bits = (uint32_t)n * 8;
	if (rest.p && (rest.n > 3 || slice_u32(rest, &bits) != 0)) {
		return -EINVAL;
	}
	if (bits > n * 8 || !host_bits_clear(p, n, bits)) {
		return -EINVAL;
	}
	r.bits = bits;
	*out = r;
	return 0;
}

bool net_range_has(const struct net_range *r, const struct net_addr *a)
{
	size_t n, m;
	const unsigned char *p = octets(&r->base, &n);
	const unsigned char *q = octets(a, &m);

	return p && q && n == m && agree(p, q, r->bits);
}

bool net_ranges_have(const struct net_ranges *r, const struct net_addr *a)
{
	for (size_t i = 0; i < r->n; i++) {
		if (net_range_has(&r->v[i], a)) {
			return true;
		}
	}
	return false;
}
