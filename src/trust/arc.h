/*
 * arc: the authenticated received chain (RFC 8617), verified.
 *
 * As dkim.h, in three steps. Whether a chain is to be believed is for the
 * caller to say: a valid chain proves who handled the message, not that they
 * are honest.
 */
#ifndef TRUST_ARC_H
#define TRUST_ARC_H

#include "trust/trust.h"

#define ARC_SETS_MAX 50 /* RFC 8617 4.2.1 */

struct arc_outcome {
	enum trust_result result; /* NONE (no chain), PASS, FAIL; TEMPERROR: a key
				     could not be had */
	unsigned instance;	  /* the highest set */
	struct slice sealer;	  /* d= of the newest ARC-Seal */
	struct slice reported;	  /* the newest ARC-Authentication-Results behind
				     its "i=N;", unfolded */
	struct slice reason;	  /* not PASS: why, for people */
	unsigned oldest_pass;	  /* RFC 8617 5.2: lowest instance whose message
				     signature passes; 0: all did */
};
struct arc_verifier;
/* header: whole, CRLF, with its empty line; used until arc_verifier_free. 0
 * (also without a chain) or -ENOMEM. */
int arc_verifier_new(struct slice header, int64_t now, struct arc_verifier **out);
bool arc_verifier_wants_body(const struct arc_verifier *v);
void arc_verifier_body(struct arc_verifier *v, struct slice data);
/* Suspends. 0, -ENOMEM, -ECANCELED. */
CO_FN int arc_verifier_end(struct arc_verifier *v, struct dns *d, int64_t deadline, struct arena *a,
			   struct arc_outcome *out);
void arc_verifier_free(struct arc_verifier **vp);

#endif
