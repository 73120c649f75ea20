/* What the files of tally/ share; nobody else includes this. */
#ifndef TALLY_IMPL_H
#define TALLY_IMPL_H

#include <pthread.h>

#include "base/table.h"
#include "kv/days.h"
#include "tally/tally.h"

#define TALLY_VERSION 1
#define TALLY_HASH 16 /* of the facts: the first half of their SHA-256 */
#define TALLY_FACTS_MAX (32u * 1024)

/* A day's counters. */
enum { TALLY_ROWS, TALLY_MESSAGES, TALLY_DROPPED };

/* Equal messages that wait to be written; one allocation. */
struct tally_pending {
	struct slice key; /* day:32 domain NUL facts */
	struct slice domain, facts, record;
	uint32_t day;
	uint64_t count;
};

struct tally {
	struct kv *kv;
	bool on;

	pthread_mutex_t lock; /* for these, any thread: */
	struct table pending;
	size_t waiting;
	uint64_t dropped; /* before they came to a day */
	bool posted;

	struct co_loop *loop; /* and these on the loop only */
	struct co_post post;
	struct co_event wake;
	struct co_mutex writing;
	struct kv_days by_day;
};

/* rows.c */
/* The facts of a row as bytes, and back (slices point into bytes, which must
 * outlive the row). 0; -EINVAL, -ENOMEM. */
void tally_row_encode(const struct report_row *row, struct buf *out);
int tally_row_decode(struct slice bytes, struct arena *a, struct report_row *out);
/* Keys of a day: 'R' domain NUL [hash], 'P' domain. */
void tally_row_key(struct buf *out, struct slice domain, struct slice facts);
void tally_domain_key(struct buf *out, struct slice domain);

#endif
