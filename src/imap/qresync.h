/*
 * qresync: the parameters of SELECT and EXAMINE (RFC 4466 2.1, RFC 7162 3.1.8
 * and 3.2.5), and how much of the past they make superfluous. Pure functions.
 */
#ifndef IMAP_QRESYNC_H
#define IMAP_QRESYNC_H

#include "imap/seqset.h"

struct select_params {
	bool condstore;
	bool qresync;
	uint32_t uidvalidity;
	uint64_t modseq;
	bool has_known; /* else all UIDs */
	struct seqset known;
	bool has_match;
	struct seqset match_seqs; /* as many numbers in each */
	struct seqset match_uids;
};

/*
 * select-params = SP "(" select-param *(SP select-param) ")", from the "(" on:
 *   "CONDSTORE"
 *   "QRESYNC" SP "(" uidvalidity SP mod-sequence [SP known-uids]
 *       [SP "(" known-sequence-set SP known-uid-set ")"] ")"
 * Errors in the cursor.
 */
void select_params_parse(struct cur *c, struct arena *a, struct select_params *out);

/* The UID of message seq (1..count). */
typedef uint32_t qresync_uid_fn(void *arg, uint32_t seq);
/*
 * The highest UID of the match data that still has its number: the client
 * knows what was expunged up to there (3.2.5.2). 0: none. Numbers and UIDs
 * only move apart, so it is found by halving.
 */
uint32_t qresync_floor(const struct select_params *p, uint32_t count, qresync_uid_fn *uid_of,
		       void *arg);

#endif
