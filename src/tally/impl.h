/* What the files of tally/ share; nobody else includes this. */
#ifndef TALLY_IMPL_H
#define TALLY_IMPL_H

#include <pthread.h>

#include "base/table.h"
#include "kv/kv.h"
#include "tally/tally.h"

#define TALLY_VERSION 1
#define TALLY_HASH 16 /* of the facts: the first half of their SHA-256 */
#define TALLY_FACTS_MAX (32u * 1024)

struct tally_day {
	uint32_t day;
	uint64_t rows, messages, dropped;
};

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
	struct tally_day days[TALLY_DAYS + 3]; /* ascending */
	size_t n_days;
};

/* rows.c */
/* The facts of a row as bytes, and back (slices point into bytes, which must
 * outlive the row). 0; -EINVAL, -ENOMEM. */
void tally_row_encode(const struct report_row *row, struct buf *out);
int tally_row_decode(struct slice bytes, struct arena *a, struct report_row *out);
/* Keys of a day: 'R' domain NUL [hash], 'P' domain. */
void tally_row_key(struct buf *out, struct slice domain, struct slice facts);
void tally_domain_key(struct buf *out, struct slice domain);

/* days.c */
struct kv_part tally_root(void);
struct kv_part tally_part(uint32_t day);
uint32_t tally_today(void);
struct tally_day *tally_day_get(struct tally *t, uint32_t day);
/* Makes it, durably. 0, <0, or a positive kv_result. */
CO_FN int tally_day_make(struct tally *t, uint32_t day);
void tally_day_put(struct kv_batch *b, const struct tally_day *d);
CO_FN int tally_days_load(struct tally *t, struct err *e);

#endif
