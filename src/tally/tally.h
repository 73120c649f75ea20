/*
 * tally: what DMARC reports to other domains are made of (RFC 7489 7.2): for
 * each day and policy domain rows of equal facts, counted.
 *
 * Whoever judged a stranger's message adds a row; it waits in memory with those
 * that are equal, and a coroutine writes what has gathered there some seconds
 * later. No promise like mail: a crash loses the last seconds, and beyond the
 * limits rows are dropped and counted (docs/adr/0091). Days are removed when
 * they are TALLY_DAYS old.
 *
 * tally_add: any loop, never suspends. All else: the loop of tally_start, or a
 * thread without loops.
 */
#ifndef TALLY_TALLY_H
#define TALLY_TALLY_H

#include "base/err.h"
#include "co/co.h"
#include "trust/report.h"

#define TALLY_DAYS 7
#define TALLY_DAY_ROWS_MAX 100000u	     /* different rows of one day */
#define TALLY_DOMAIN_ROWS_MAX 10000u	     /* of these in one report */
#define TALLY_PENDING_MAX (4u * 1024 * 1024) /* octets of rows that wait */
#define TALLY_TEXT_MAX 253		     /* octets of one fact; more are cut */
#define TALLY_RECORD_MAX 1024		     /* of a domain's record; longer: no row */
#define TALLY_AUTHS_MAX 10		     /* signatures told of, of one message */

struct kv;
struct tally;
struct tally_opts {
	struct kv *kv; /* outlives it */
	bool on;       /* false: nothing is gathered, and what there was is removed */
};
/* 0; -EPROTO (a newer format), -EIO, -ENOMEM, with *e. */
CO_FN int tally_open(const struct tally_opts *o, struct tally **out, struct err *e);
/* Writes and removes in the background from now on, on the calling loop. */
void tally_start(struct tally *t);
/* Writes what waits. Its coroutines must have ended. Accepts NULL. */
CO_FN void tally_close(struct tally **tp);

/* Is anything gathered? t may be NULL. */
bool tally_wanted(const struct tally *t);
/*
 * One message more: at the policy domain (canonical, where the record stands)
 * with this record, the facts of row (its count is not looked at). Everything
 * is copied. t may be NULL.
 */
void tally_add(struct tally *t, struct slice domain, struct slice record,
	       const struct report_row *row);
/* Writes what waits. 0, or why some of it was dropped (<0 or a kv_result). */
CO_FN int tally_flush(struct tally *t);
/* Removes days that are over. 0, or <0: tried again later. */
CO_FN int tally_expire(struct tally *t);

/* The first domain behind `after` (empty: the first) that has rows on this day
 * (since 1970), with its newest record. 0; 1: none; <0. */
CO_FN int tally_domain(struct tally *t, uint32_t day, struct slice after, struct buf *domain,
		       struct buf *record);
/* Its rows, at most TALLY_DOMAIN_ROWS_MAX, in the arena; *more: there are others.
 * 0 and *out (NULL: none); <0. */
CO_FN int tally_rows(struct tally *t, uint32_t day, struct slice domain, struct arena *a,
		     struct report_row **out, size_t *n_out, bool *more);

struct tally_stats {
	bool on;
	uint64_t rows, messages; /* of all days */
	uint64_t dropped;	 /* messages, of all days and of those that wait */
	uint64_t waiting;	 /* octets */
};
void tally_stats(struct tally *t, struct tally_stats *out);

#endif
