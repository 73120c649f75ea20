/* What the files of trace/ share; nobody else includes this. */
#ifndef TRACE_IMPL_H
#define TRACE_IMPL_H

#include <pthread.h>

#include "base/buf.h"
#include "base/list.h"
#include "kv/days.h"
#include "trace/trace.h"

#define TRACE_VERSION 1
#define TRACE_STAMP 12 /* octets that order a day's records: time:64 run:32 */
#define TRACE_HASH 16  /* of a name: the first half of its SHA-256 */
#define TRACE_INDEX_KEY (1 + TRACE_HASH + TRACE_STAMP)
#define DAY_US (INT64_C(86400) * 1000000)

/* A day's counters. */
enum {
	TRACE_RECORDS,
	TRACE_BYTES,  /* of keys and values */
	TRACE_REFUSED /* those of records of what was not accepted */
};

struct trace {
	struct kv *kv;
	unsigned days;
	uint64_t size;

	pthread_mutex_t lock; /* for these, any thread: */
	struct list queue;    /* of trace_record.node */
	size_t waiting;	      /* octets in it */
	uint64_t dropped;
	int64_t last; /* stamp given out last, in microseconds */
	bool posted;  /* the writer was called, and has not looked yet */

	/* and these on the loop only */
	uint32_t run; /* random: keeps stamps of two runs apart */
	uint64_t written;
	struct co_loop *loop; /* NULL: nobody writes in the background */
	struct co_post post;
	struct co_event wake, overfull;
	struct co_mutex writing;
	struct kv_days by_day;
};

struct trace_record {
	struct list node;
	struct trace *t;
	int64_t began; /* wall clock, ms */
	int64_t stamp; /* when it ended, microseconds */
	bool accepted;
	bool cut; /* something had no room */
	const char *kind;
	char id[TRACE_ID_MAX + 1];
	struct buf members;
	struct buf rcpts;
	struct buf checks;
	struct buf limits;
	unsigned n_rcpts;
	unsigned more_rcpts;
	struct buf keys; /* letter and hash, one behind the other */
	struct buf row;	 /* once ended: the value on disk */
};

/* record.c */
/* A JSON string with its quotes. */
void trace_json_text(struct buf *b, struct slice s);
/* The hash of a name as it is looked for; 0, or 1: it is empty. */
int trace_hash(enum trace_by by, struct slice name, unsigned char out[TRACE_HASH]);
void trace_record_free(struct trace_record *r);

#endif
