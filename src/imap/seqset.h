/*
 * seqset: sequence sets (RFC 3501 "sequence-set"): parsed once into sorted,
 * merged ranges, so that what a set costs depends on its ranges and on the
 * messages it hits, never on the numbers it spans (THREATS IM-06).
 */
#ifndef IMAP_SEQSET_H
#define IMAP_SEQSET_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/cur.h"

struct seq_range {
	uint32_t lo;
	uint32_t hi;
};

struct seqset {
	struct seq_range *r; /* ascending, disjoint, not adjacent */
	size_t n;
	uint32_t top; /* highest number named outside ranges with '*' */
};

/*
 * Takes a sequence set off the cursor. star is what '*' stands for; with 0
 * (an empty mailbox) ranges with '*' are empty. 0, or c->err set: -EINVAL for
 * syntax and 0, -ERANGE beyond 32 bits, -ENOMEM.
 */
int seqset_parse(struct cur *c, struct arena *a, uint32_t star, struct seqset *out);
bool seqset_has(const struct seqset *s, uint32_t v);
/* Writes numbers as a set, in their order; runs become ranges. */
void seqset_write(struct buf *b, const uint32_t *v, size_t n);

#endif
