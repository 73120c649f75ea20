/*
 * arc: the authenticated received chain (RFC 8617), verified and made longer.
 *
 * As dkim.h, in three steps. Whether a chain is to be believed is for the
 * caller to say: a valid chain proves who handled the message, not that they
 * are honest.
 */
#ifndef TRUST_ARC_H
#define TRUST_ARC_H

#include "base/buf.h"
#include "trust/dkim.h"
#include "trust/trust.h"

#define ARC_SETS_MAX 50 /* RFC 8617 4.2.1 */

struct arc_outcome {
	enum trust_result result; /* NONE (no chain), PASS, FAIL: RFC 8617 5.2.1
				     makes every error one, for good */
	bool temporary;		  /* FAIL only because a key could not be had */
	unsigned instance;	  /* the highest set; 0: none that is whole */
	struct slice sealer;	  /* d= of the newest ARC-Seal */
	struct slice reported;	  /* the newest ARC-Authentication-Results behind
				     its "i=N;", unfolded */
	struct slice reason;	  /* of FAIL: why, for people */
	unsigned oldest_pass;	  /* RFC 8617 5.2: lowest instance whose message
				     signature passes; 0: all did. Of PASS */
	bool covers_from;	  /* the newest message signature has every From:
				     RFC 8617 asks no such thing. Of PASS */
};
struct arc_verifier;
/* header: whole, CRLF, with its empty line; used until arc_verifier_free. 0
 * (also without a chain) or -ENOMEM. */
int arc_verifier_new(struct slice header, int64_t now, struct arc_verifier **out);
bool arc_verifier_wants_body(const struct arc_verifier *v);
/* As dkim_verifier_body. */
void arc_verifier_body(struct arc_verifier *v, struct slice data);
/* Suspends; deadline as in dns_query, for all of it. The outcome lives in the
 * arena. 0, -ENOMEM, -ECANCELED. Once. */
CO_FN int arc_verifier_end(struct arc_verifier *v, struct dns *d, int64_t deadline, struct arena *a,
			   struct arc_outcome *out);
void arc_verifier_free(struct arc_verifier **vp);

/* ---- sealing (RFC 8617 5.1) ------------------------------------------------- */

struct arc_seal_opts {
	const struct dkim_key *key;
	struct slice domain; /* A-labels */
	struct slice selector;
	int64_t now;
	enum trust_result chain; /* what arc_verifier_end said of the message as
				    it came: NONE, PASS or FAIL */
	struct slice results;	 /* "authserv-id; method=result ...": what goes
				    behind "i=N; "; may be folded */
	struct slice names;	 /* fields to sign, "from:to"; empty: as DKIM
				    does, and DKIM-Signature */
};
struct arc_sealer;
/*
 * header: of the message as it goes out; used, like the key, until
 * arc_sealer_free. 0; 1: nothing to be sealed any more (the chain was ended by
 * cv=fail, or has 50 sets), *out is untouched; -EINVAL (no From, names or
 * results that are none, chain says what the header does not); -ENOMEM.
 */
int arc_sealer_new(struct slice header, const struct arc_seal_opts *o, struct arc_sealer **out);
void arc_sealer_body(struct arc_sealer *s, struct slice data);
/* ARC-Seal, ARC-Message-Signature and ARC-Authentication-Results, to put in
 * front of the message, into out. As dkim_signer_end; twice its time. Once. */
int arc_sealer_end(struct arc_sealer *s, struct buf *out, struct err *e);
void arc_sealer_free(struct arc_sealer **sp);

#endif
