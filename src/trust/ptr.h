/*
 * ptr: the names that an address claims, and which of them are true.
 *
 * What iprev (RFC 8601 3), the ptr mechanism and %{p} of SPF (RFC 7208 5.5,
 * 7.3) have in common. Whoever owns the address writes the names, so of many
 * only the first are looked at, and only those that can be host names.
 */
#ifndef TRUST_PTR_H
#define TRUST_PTR_H

#include "trust/trust.h"

#define PTR_NAMES_MAX 10 /* RFC 7208 4.6.4 */

struct ptr_names {
	enum dns_result result; /* of the question for PTR */
	struct slice names[PTR_NAMES_MAX];
	size_t n;
};

/* All claimed names, none verified, in the order of the answer. In the arena.
 * 0, -ENOMEM, -ECANCELED. */
CO_FN int ptr_claimed(struct dns *d, const struct net_addr *ip, int64_t deadline, struct arena *a,
		      struct ptr_names *out);
/* Has the name this address? *result is that of the question (OK also if all
 * addresses are others). 0, -ENOMEM, -ECANCELED. */
CO_FN int ptr_verify(struct dns *d, struct slice name, const struct net_addr *ip, int64_t deadline,
		     struct arena *a, bool *is, enum dns_result *result);
/* The address without its port, IPv4-mapped as IPv4. */
struct net_addr ptr_plain(const struct net_addr *ip);
/* Do the first bits of both agree (same family)? */
bool ptr_same_net(const struct net_addr *x, const struct net_addr *y, unsigned bits);
/* Is name the domain or below it? Case is ignored. */
bool ptr_name_within(struct slice name, struct slice domain);

#endif
