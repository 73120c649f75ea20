/* Networks and what is in them: see range.h. */
#include "io/range.h"

static bool host_bits_clear(struct slice octets, unsigned bits)
{
	for (size_t i = bits / 8; i < octets.n; i++) {
		unsigned first = i == bits / 8 ? bits % 8 : 0;

		if ((unsigned char)octets.p[i] & (0xffu >> first)) {
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
	struct slice octets;
	uint32_t bits = 0;

	if (net_addr_parse(addr, 0, &r.base) != 0) {
		return -EINVAL;
	}
	octets = net_addr_octets(&r.base);
	if (octets.n == 0) {
		return -EINVAL; /* "*" */
	}
	bits = (uint32_t)octets.n * 8;
	if (rest.p && (rest.n > 3 || slice_u32(rest, &bits) != 0)) {
		return -EINVAL;
	}
	if (bits > octets.n * 8 || !host_bits_clear(octets, bits)) {
		return -EINVAL;
	}
	r.bits = bits;
	*out = r;
	return 0;
}

bool net_range_has(const struct net_range *r, const struct net_addr *a)
{
	return net_octets_agree(net_addr_octets(&r->base), net_addr_octets(a), r->bits);
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
