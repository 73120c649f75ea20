/*
 * spf: may this address send for this domain? (RFC 7208)
 *
 * check_host() with all its limits: 10 terms that ask the DNS, 2 void
 * lookups, 10 names of an mx or ptr, and one deadline for all of it (THREATS
 * AN-01). The HELO identity is asked on its own and never counts as MAIL FROM
 * (AN-04).
 */
#ifndef TRUST_SPF_H
#define TRUST_SPF_H

#include "trust/trust.h"

#define SPF_TERMS_MAX 10 /* RFC 7208 4.6.4 */
#define SPF_VOID_MAX 2
#define SPF_NAMES_MAX 10
#define SPF_TIMEOUT_MS 20000
#define SPF_EXPLANATION_MAX 400

struct spf_query {
	struct net_addr ip;    /* the client; IPv4-mapped counts as IPv4 */
	struct slice helo;     /* as it was said */
	struct slice sender;   /* MAIL FROM; empty: postmaster@helo (2.4) */
	struct slice receiver; /* our host name, for %{r} */
	int64_t now;	       /* unix seconds, for %{t} */
};
struct spf_outcome {
	enum trust_result result; /* any but POLICY */
	struct slice domain;	  /* the one checked */
	struct slice mechanism;	  /* that matched, as written; empty: none did */
	struct slice problem;	  /* of TEMPERROR and PERMERROR, for people */
	struct slice explanation; /* exp= of a FAIL, ASCII, one line (6.2); or empty */
	unsigned terms, voids;	  /* of the limits, how much was used */
};
/* Suspends. deadline: monotonic; 0: SPF_TIMEOUT_MS from now. The outcome lives
 * in the arena. 0, -ENOMEM, -ECANCELED. */
CO_FN int spf_check(struct dns *d, const struct spf_query *q, int64_t deadline, struct arena *a,
		    struct spf_outcome *out);

#endif
