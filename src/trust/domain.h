/*
 * domain: names of domains as trust compares them, and which of them belong
 * together (RFC 7489 3.2, RFC 5891).
 */
#ifndef TRUST_DOMAIN_H
#define TRUST_DOMAIN_H

#include "base/buf.h"
#include "base/slice.h"

#define TRUST_DOMAIN_MAX 253 /* octets of a name in A-labels */

/*
 * Lower case, A-labels, no final dot; letters, digits, hyphen and underscore
 * only. Appended to out. 0; -EINVAL: no such name can be in the DNS.
 */
int trust_domain_canon(struct slice name, struct buf *out);
/*
 * The organizational domain of a canonical name: one label more than its
 * public suffix. A suffix itself, or a name of one label, is its own. Points
 * into name. Any thread; the first call reads the system's list.
 */
struct slice trust_domain_org(struct slice name);
/* Is it a public suffix ("com", "co.uk")? */
bool trust_domain_is_suffix(struct slice name);
/* Is a equal to b, or below it? */
bool trust_domain_within(struct slice a, struct slice b);

#endif
