/*
 * report_dest: where reports about a domain may go (RFC 7489 7.1).
 *
 * A record's rua= may name anybody, so an address at another organization
 * counts only if that one says in its DNS that it wants such reports: else
 * whoever publishes a record could have us mail strangers.
 */
#ifndef TRUST_REPORT_DEST_H
#define TRUST_REPORT_DEST_H

#include "trust/dmarc.h"

enum report_dest_state {
	REPORT_DEST_OWN = 0,	 /* within the domain's organization */
	REPORT_DEST_WANTED = 1,	 /* elsewhere, and they say they want them */
	REPORT_DEST_REFUSED = 2, /* elsewhere, and they do not */
	REPORT_DEST_UNKNOWN = 3, /* the DNS did not answer */
	REPORT_DEST_BAD = 4	 /* no address */
};
/* "own", "wanted", "refused", "unknown", "bad". */
const char *report_dest_name(enum report_dest_state s);

struct report_dest {
	struct slice uri; /* as in the record: or in theirs, which may name another of
			     their addresses */
	enum report_dest_state state;
};
/* May reports go there? */
static inline bool report_dest_ok(const struct report_dest *d)
{
	return d->state <= REPORT_DEST_WANTED;
}
/*
 * One for each rua= of the record of this (canonical) domain, in order; out has
 * room for DMARC_URIS_MAX. Suspends. Memory from the arena. 0 and *n_out;
 * -ENOMEM, -ECANCELED.
 */
CO_FN int report_destinations(struct dns *d, struct slice domain, const struct dmarc_record *rec,
			      int64_t deadline, struct arena *a, struct report_dest *out,
			      size_t *n_out);

#endif
