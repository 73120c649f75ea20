/*
 * trust: who sent this? (SPF, DKIM, ARC, DMARC, iprev; RFC 8601)
 *
 * What all parts share. Each method has its own header and can be used alone:
 * spf.h (RFC 7208), dkim.h (RFC 6376, 8301, 8463), arc.h (RFC 8617), dmarc.h
 * (RFC 7489), authres.h (RFC 8601). They ask the DNS through io/dns.h, so
 * that tests and fuzzers run them over a table in memory. None of them keeps
 * state between messages.
 */
#ifndef TRUST_TRUST_H
#define TRUST_TRUST_H

#include "base/arena.h"
#include "base/slice.h"
#include "io/dns.h"

/* The words of RFC 8601 2.7. */
enum trust_result {
	TRUST_NONE = 0,
	TRUST_PASS,
	TRUST_FAIL,
	TRUST_SOFTFAIL,
	TRUST_NEUTRAL,
	TRUST_POLICY,
	TRUST_TEMPERROR,
	TRUST_PERMERROR
};
/* "none", "pass", ...; a static string. */
const char *trust_result_name(enum trust_result r);

/* ---- iprev (RFC 8601 3) ---------------------------------------------------- */

#define IPREV_NAMES_MAX 10 /* PTR records that are looked at */

struct iprev_outcome {
	enum trust_result result; /* PASS, FAIL, TEMPERROR, PERMERROR */
	struct slice name;	  /* the verified name, or the first one claimed */
};
/* Does a name of this address have this address? Suspends; deadline as in
 * dns_query. 0, -ENOMEM, -ECANCELED. */
CO_FN int iprev_check(struct dns *d, const struct net_addr *ip, int64_t deadline, struct arena *a,
		      struct iprev_outcome *out);

#endif
