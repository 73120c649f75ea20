/*
 * qresync: see qresync.h. Sets are never taken apart into numbers, whatever
 * they span.
 */
#include "imap/qresync.h"

#include "base/err.h"
#include "imap/parse.h"

/* A set of numbers without "*" (known-uids and the like). */
static void plain_set(struct cur *c, struct arena *a, struct seqset *out)
{
	const char *at = c->p;

	if (seqset_parse(c, a, 0, out) == 0 &&
	    slice_chr(slice_make(at, (size_t)(c->p - at)), '*') != SIZE_MAX) {
		cur_fail(c, -EINVAL);
	}
}

static uint64_t set_size(const struct seqset *s)
{
	uint64_t n = 0;

	for (size_t i = 0; i < s->n; i++) {
		n += (uint64_t)s->r[i].hi - s->r[i].lo + 1;
	}
	return n;
}

/* seq-match-data, behind its "(" */
static void match_data(struct cur *c, struct arena *a, struct select_params *p)
{
	p->has_match = true;
	plain_set(c, a, &p->match_seqs);
	cur_sp(c);
	plain_set(c, a, &p->match_uids);
	cur_need(c, ')');
	if (!c->err && set_size(&p->match_seqs) != set_size(&p->match_uids)) {
		cur_fail(c, -EINVAL);
	}
}

/* Behind "QRESYNC" */
static void qresync_param(struct cur *c, struct arena *a, struct select_params *p)
{
	p->qresync = true;
	cur_sp(c);
	cur_need(c, '(');
	p->uidvalidity = imap_parse_nz(c);
	cur_sp(c);
	p->modseq = imap_parse_u63(c);
	if (cur_lit(c, S(" ("))) {
		match_data(c, a, p);
	} else if (cur_opt(c, ' ')) {
		p->has_known = true;
		plain_set(c, a, &p->known);
		if (cur_lit(c, S(" ("))) {
			match_data(c, a, p);
		}
	}
	cur_need(c, ')');
}

void select_params_parse(struct cur *c, struct arena *a, struct select_params *out)
{
	*out = (struct select_params){ 0 };
	cur_need(c, '(');
	do {
		if (!out->condstore && cur_lit(c, S("CONDSTORE"))) {
			out->condstore = true;
		} else if (!out->qresync && cur_lit(c, S("QRESYNC"))) {
			qresync_param(c, a, out);
		} else {
			cur_fail(c, -EINVAL);
		}
	} while (!c->err && cur_opt(c, ' '));
	cur_need(c, ')');
}

/* The i-th number of a set, from 0. */
static uint32_t set_at(const struct seqset *s, uint64_t i)
{
	size_t k = 0;

	while (i > s->r[k].hi - s->r[k].lo) {
		i -= (uint64_t)s->r[k].hi - s->r[k].lo + 1;
		k++;
	}
	return s->r[k].lo + (uint32_t)i;
}

uint32_t qresync_floor(const struct select_params *p, uint32_t count, qresync_uid_fn *uid_of,
		       void *arg)
{
	uint64_t lo = 0;
	uint64_t hi = p->has_match ? set_size(&p->match_seqs) : 0;

	while (lo < hi) { /* of the pairs below lo, all match */
		uint64_t mid = lo + (hi - lo) / 2;
		uint32_t seq = set_at(&p->match_seqs, mid);
		if (seq <= count && uid_of(arg, seq) == set_at(&p->match_uids, mid)) {
			lo = mid + 1;
		} else {
			hi = mid;
		}
	}
	return lo > 0 ? set_at(&p->match_uids, lo - 1) : 0;
}
