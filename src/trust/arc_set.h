/* arc_set: the fields of a chain, found and put in order; arc_*.c only. */
#ifndef TRUST_ARC_SET_H
#define TRUST_ARC_SET_H

#include "trust/arc.h"
#include "trust/sig.h"

enum arc_cv { ARC_CV_NONE, ARC_CV_FAIL, ARC_CV_PASS, ARC_CV_BAD };

struct arc_set {
	const struct field *aar; /* ARC-Authentication-Results */
	struct slice report;	 /* what it says behind "i=N;" */
	struct sig *ams;	 /* ARC-Message-Signature */
	struct sig *seal;	 /* ARC-Seal */
	enum arc_cv cv;
};
struct arc_chain {
	struct arc_set set[ARC_SETS_MAX + 1]; /* by instance; [0] unused */
	unsigned n;			      /* the highest instance */
	bool any;			      /* there are fields of ARC */
	struct slice problem; /* static or in the arena; empty: well-formed so far */
};
/* Finds all fields of ARC. 0 or -ENOMEM. */
int arc_chain_read(struct arc_chain *c, const struct fields *f, int64_t now, struct arena *a);
/* RFC 8617 5.2, steps 1 to 3. Sets c->problem. */
void arc_chain_check(struct arc_chain *c, struct arena *a);
/*
 * The hashes that the seals 1..N sign (5.1.1), all in one pass: hash[i] for
 * instance i. False: the library failed.
 */
bool arc_chain_hashes(const struct arc_chain *c, unsigned char (*hash)[SIG_HASH_LEN]);
/* Set s, all of it, into a hash of seals. */
void arc_hash_set(const struct arc_set *s, EVP_MD_CTX *md);
/* [CFWS] "i" "=" number [CFWS] ";": the number, and what follows; 0: not so. */
unsigned arc_report_instance(struct slice body, struct slice *rest);

#endif
