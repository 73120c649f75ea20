/*
 * trace: why a message was taken or refused, kept so that it can be asked for.
 *
 * Whoever decides about a message fills a record while it happens (members,
 * recipients with their replies, results of checks, limits) and ends it once.
 * An ended record goes into a bounded queue; a coroutine writes what has
 * gathered there a moment later, so nobody's answer waits for it. It is found
 * again by its id, its session, the message's Message-ID, an address or the
 * peer, until its day is over by `days`. No promise like mail: a crash loses
 * the last moment, a full queue or a full day drops and counts
 * (docs/adr/0080-decision-records.md).
 *
 * Building and ending: any loop, never suspends. All else: the loop of
 * trace_start, or a thread without loops.
 */
#ifndef TRACE_TRACE_H
#define TRACE_TRACE_H

#include "base/err.h"
#include "base/slice.h"
#include "co/co.h"

#define TRACE_ID_MAX 63
#define TRACE_TEXT_MAX 512		   /* octets of one text; more is cut, with U+2026 */
#define TRACE_KEY_MAX 998		   /* octets of a name that is looked for */
#define TRACE_RCPTS_MAX 1000		   /* listed in one record, others are counted */
#define TRACE_RECORD_MAX (128u * 1024)	   /* octets of a whole record */
#define TRACE_QUEUE_MAX (4u * 1024 * 1024) /* octets that wait to be written */
#define TRACE_DAYS_MAX 3650
#define TRACE_SIZE_DEFAULT (UINT64_C(1) << 30)
#define TRACE_DAY_SHARE 4 /* a day takes at most this part of the size */
#define TRACE_FIND_MAX 1000

struct kv;
struct trace;
struct trace_record;

struct trace_opts {
	struct kv *kv; /* outlives it */
	unsigned days; /* how long records are kept; 0: none are made, old ones go */
	uint64_t size; /* octets of all rows together; 0: TRACE_SIZE_DEFAULT */
};
/* 0; -EPROTO (a newer format), -EIO, -ENOMEM, with *e. */
CO_FN int trace_open(const struct trace_opts *o, struct trace **out, struct err *e);
/* Writes and expires in the background from now on, on the calling loop. */
void trace_start(struct trace *t);
/* Writes what waits. Its coroutines must have ended. Accepts NULL. */
CO_FN void trace_close(struct trace **tp);

/* ---- making a record ---------------------------------------------------- */

/*
 * A new record. kind ("smtp") and id (at most TRACE_ID_MAX octets, unique) are
 * ours. NULL when nothing is to be recorded (t NULL, days 0) or there is no
 * memory: everything below takes a NULL record and does nothing.
 */
struct trace_record *trace_begin(struct trace *t, const char *kind, struct slice id);
/* Members. name is static, [a-z_]. Text from anybody may be given: it is cut,
 * and what is no UTF-8 becomes U+FFFD. A member that has no room is left out. */
void trace_str(struct trace_record *r, const char *name, struct slice text);
void trace_int(struct trace_record *r, const char *name, int64_t n);
/* A recipient, and what was said to it. */
void trace_rcpt(struct trace_record *r, struct slice address, struct slice reply);
/* The result of a check ("spf", "pass", why), in the order of the calls. */
void trace_check(struct trace_record *r, const char *method, const char *result,
		 struct slice detail);
/* A limit that was met; each name once. */
void trace_limit(struct trace_record *r, const char *name);

/* What a record is found by. The values stand on disk. */
enum trace_by {
	TRACE_BY_ID = 'I',
	TRACE_BY_SESSION = 'S',
	TRACE_BY_MESSAGE_ID = 'M', /* with or without <>; the domain in any case */
	TRACE_BY_ADDRESS = 'A',	   /* as auth_addr_canon has it; in any case */
	TRACE_BY_PEER = 'P'	   /* net_addr_text */
};
/* Makes it found by this name too (the id always is). Empty: nothing. */
void trace_index(struct trace_record *r, enum trace_by by, struct slice name);

/*
 * The decision: hands the record over, sets *rp NULL. outcome is static
 * ("accepted"). Records of what was not accepted may fill half of a day's
 * share only, so that a flood of refusals leaves room for the rest.
 */
void trace_end(struct trace_record **rp, const char *outcome, bool accepted);
/* Forgets it. */
void trace_drop(struct trace_record **rp);

/* ---- asking -------------------------------------------------------------- */

struct trace_query {
	enum trace_by by;
	struct slice what;
	int64_t since_ms; /* wall clock, of the decision; 0: all */
	unsigned limit;	  /* the newest so many; 0: TRACE_FIND_MAX, which is the most */
};
/* One record: a JSON object as text, which lives for the call. May suspend. Not
 * 0: no more. */
typedef int trace_fn(void *arg, struct slice json);
/*
 * Gives the records that match, oldest first, also those that are not written
 * yet. How many were given, or <0 with *e.
 */
CO_FN int trace_find(struct trace *t, const struct trace_query *q, trace_fn *fn, void *arg,
		     struct err *e);

/* Writes what waits in the queue. 0, or why some of it was dropped (<0, or a
 * positive kv_result). */
CO_FN int trace_flush(struct trace *t);
/* Removes days that are over, and the oldest ones while all is too much. 0 or
 * <0: tried again later. */
CO_FN int trace_expire(struct trace *t);

struct trace_stats {
	unsigned days;	  /* the setting */
	uint64_t written; /* records, since the start */
	uint64_t dropped; /* for want of room, or because the engine failed */
	uint64_t waiting; /* octets in the queue */
	uint64_t bytes;	  /* of all rows */
	uint64_t records; /* kept */
	int64_t oldest;	  /* the first day there is, unix seconds; 0: none */
};
void trace_stats(struct trace *t, struct trace_stats *out);

#endif
