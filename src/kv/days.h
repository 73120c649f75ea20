/*
 * days: rows that are kept by the day and go by the day (records of decisions,
 * counts for reports), over kv.h.
 *
 * A day is a partition of its own, so that removing it looks at nothing else.
 * Its row in the root has the day's counters; it is durable before the first
 * row of the day, and goes after the last: no crash leaves a day that nobody
 * will remove. One loop, or one thread without loops; the list of days may
 * change wherever something suspends.
 */
#ifndef KV_DAYS_H
#define KV_DAYS_H

#include "kv/kv.h"

#define KV_DAY_COUNTS 3

struct kv_day {
	uint32_t day;		       /* since 1970 */
	uint64_t count[KV_DAY_COUNTS]; /* the user's own; durable */
};
struct kv_days {
	struct kv *kv;
	uint8_t kind;	  /* of the partitions (docs/format.md) */
	size_t max;	  /* days there may be */
	struct kv_day *v; /* ascending */
	size_t n, cap;
};

/* No days yet, and no allocation. */
void kv_days_init(struct kv_days *d, struct kv *kv, uint8_t kind, size_t max);
void kv_days_fini(struct kv_days *d);
/* Reads which days there are. A damaged row counts from 0: the day is there, and
 * will end. 0; -EPROTO: a newer format; -errno. */
CO_FN int kv_days_load(struct kv_days *d);

/* Today, by the wall clock. */
uint32_t kv_days_today(void);
struct kv_part kv_days_root(const struct kv_days *d);
struct kv_part kv_days_part(const struct kv_days *d, uint32_t day);
/* NULL: there is no such day. Lives until the next suspension. */
struct kv_day *kv_days_get(struct kv_days *d, uint32_t day);
/* The sum of one counter over all days. */
uint64_t kv_days_sum(const struct kv_days *d, unsigned counter);

/* Makes the day, durably, before anything is written there; nothing if it is
 * there. 0; -ENOSPC: too many days (a clock that jumps); <0; a kv_result. */
CO_FN int kv_days_make(struct kv_days *d, uint32_t day);
/* Commits rows of that day (a batch for its partition; the caller's) together
 * with its new counters. 0, <0 or a kv_result. */
CO_FN int kv_days_commit(struct kv_days *d, struct kv_batch *rows, const struct kv_day *after);
/* Removes the oldest day, its rows in steps with rests between them. 0, <0. */
CO_FN int kv_days_remove_first(struct kv_days *d);

#endif
