/*
 * range: networks as the configuration has them ("10.0.0.0/8", "2001:db8::/32",
 * "192.0.2.1"), and whether an address is in one. Pure.
 */
#ifndef IO_RANGE_H
#define IO_RANGE_H

#include "io/listen.h"

struct net_range {
	struct net_addr base; /* host bits are 0 */
	unsigned bits;
};

struct net_ranges {
	struct net_range *v; /* malloc'ed by whoever made it */
	size_t n;
};

/* An address, or an address and "/bits". 0; -EINVAL: neither, or bits set
 * behind the prefix (a typing error, most likely). */
int net_range_parse(struct slice text, struct net_range *out);
/* v4-mapped addresses are v4. False for an address that is none. */
bool net_range_has(const struct net_range *r, const struct net_addr *a);
/* In one of them? */
bool net_ranges_have(const struct net_ranges *r, const struct net_addr *a);

#endif
