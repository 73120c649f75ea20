/*
 * Opening, and the way of a record from the queue to the engine.
 *
 * Whoever ends a record puts it into the queue under a mutex and calls the
 * writer, a coroutine on one loop, which waits a little for more and commits
 * what there is. The engine joins that with whatever mail is being committed,
 * so records cost hardly a sync of their own, and no session waits for them.
 */
#include "trace/trace.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/rand.h"
#include "trace/impl.h"

#define GATHER_MS 250
#define EXPIRE_MS (INT64_C(3600) * 1000)
#define COMMIT_MAX (512u * 1024) /* octets of records in one commit */
#define ROW_COST 8		 /* counted for a row besides its bytes */

int trace_open(const struct trace_opts *o, struct trace **out, struct err *e)
{
	struct trace *t = calloc(1, sizeof(*t));
	int r;

	if (!t) {
		return -ENOMEM;
	}
	t->kv = o->kv;
	t->days = MIN(o->days, TRACE_DAYS_MAX);
	t->size = o->size ? o->size : TRACE_SIZE_DEFAULT;
	rand_bytes(&t->run, sizeof(t->run));
	pthread_mutex_init(&t->lock, NULL);
	list_init(&t->queue);
	co_event_init(&t->wake);
	co_event_init(&t->overfull);
	co_mutex_init(&t->writing);
	r = trace_days_load(t, e);
	if (r != 0) {
		trace_close(&t);
		return r;
	}
	*out = t;
	return 0;
}

void trace_close(struct trace **tp)
{
	struct trace *t = TAKE_PTR(*tp);

	if (t) {
		trace_flush(t);
		pthread_mutex_destroy(&t->lock);
		free(t->day);
		free(t);
	}
}

/* ---- committing --------------------------------------------------------- */

static uint32_t day_of(const struct trace_record *r)
{
	return (uint32_t)(r->stamp / DAY_US);
}

/* The first records of the queue that are of one day. */
static void take(struct trace *t, struct list *out)
{
	size_t n = 0;

	list_init(out);
	pthread_mutex_lock(&t->lock);
	while (!list_empty(&t->queue) && n < COMMIT_MAX) {
		struct trace_record *r = list_of(t->queue.next, struct trace_record, node);

		if (!list_empty(out) &&
		    day_of(list_of(out->next, struct trace_record, node)) != day_of(r)) {
			break;
		}
		list_del(&r->node);
		list_push(out, &r->node);
		t->waiting -= r->row.n + r->keys.n;
		n += r->row.n + r->keys.n;
	}
	pthread_mutex_unlock(&t->lock);
}

static void count_dropped(struct trace *t, uint64_t n)
{
	pthread_mutex_lock(&t->lock);
	t->dropped += n;
	pthread_mutex_unlock(&t->lock);
}

static size_t cost_of(const struct trace_record *r)
{
	size_t keys = r->keys.n / (1 + TRACE_HASH);

	return 1 + TRACE_STAMP + r->row.n + ROW_COST + keys * (TRACE_INDEX_KEY + ROW_COST);
}

static bool has_room(const struct trace *t, const struct trace_day *d, const struct trace_record *r)
{
	uint64_t share = t->size / TRACE_DAY_SHARE;

	return d->bytes + cost_of(r) <= share &&
	       (r->accepted || d->refused + cost_of(r) <= share / 2);
}

static void put_rows(const struct trace *t, struct kv_batch *b, const struct trace_record *r)
{
	unsigned char stamp[TRACE_STAMP];
	struct buf key = BUF_INIT(TRACE_INDEX_KEY);

	for (unsigned i = 0; i < 8; i++) {
		stamp[i] = (unsigned char)((uint64_t)r->stamp >> (56 - 8 * i));
	}
	memcpy(stamp + 8, &t->run, 4);
	buf_addc(&key, 'R');
	buf_add(&key, slice_make((char *)stamp, TRACE_STAMP));
	kv_batch_put(b, buf_slice(&key), buf_slice(&r->row));
	for (size_t i = 0; i < r->keys.n; i += 1 + TRACE_HASH) {
		buf_reset(&key);
		buf_add(&key, slice_make(r->keys.p + i, 1 + TRACE_HASH));
		buf_add(&key, slice_make((char *)stamp, TRACE_STAMP));
		kv_batch_put(b, buf_slice(&key), S(""));
	}
	buf_fini(&key);
}

/* Puts what has room into the batches; what becomes of the day in *d. */
static uint64_t fill(struct trace *t, struct list *records, struct kv_batch *const *b,
		     struct trace_day *d)
{
	uint64_t n = 0;

	list_each(it, records) {
		const struct trace_record *r = list_of(it, struct trace_record, node);

		if (has_room(t, d, r)) {
			put_rows(t, b[0], r);
			d->bytes += cost_of(r);
			d->refused += r->accepted ? 0 : cost_of(r);
			d->records++;
			n++;
		}
	}
	trace_day_put(b[1], d);
	return n;
}

/* All are of one day. 0, <0 or a kv_result. *n: how many were written. */
CO_FN static int write_day(struct trace *t, struct list *records, uint64_t *n)
{
	uint32_t day = day_of(list_of(records->next, struct trace_record, node));
	struct kv_batch *b[2];
	struct trace_day d;
	int r = trace_day_get(t, day) ? 0 : trace_day_make(t, day);

	if (r != 0) {
		return r;
	}
	d = *trace_day_get(t, day);
	b[0] = kv_batch_new(trace_part(day));
	b[1] = kv_batch_new(trace_root());
	r = b[0] && b[1] ? 0 : -ENOMEM;
	if (r == 0) {
		uint64_t filled = fill(t, records, b, &d);

		r = filled ? kv_commit(t->kv, b, 2) : 0;
		if (r == 0) {
			*trace_day_get(t, day) = d;
			*n = filled;
		}
	}
	kv_batch_free(&b[0]);
	kv_batch_free(&b[1]);
	return r;
}

static uint64_t free_all(struct list *records)
{
	struct list *it;
	uint64_t n = 0;

	while ((it = list_pop(records))) {
		trace_record_free(list_of(it, struct trace_record, node));
		n++;
	}
	return n;
}

CO_FN static int flush_locked(struct trace *t)
{
	int result = 0;

	for (;;) {
		struct list records;
		uint64_t n = 0;
		int r;

		take(t, &records);
		if (list_empty(&records)) {
			return result;
		}
		r = write_day(t, &records, &n);
		t->written += n;
		count_dropped(t, free_all(&records) - n);
		result = result ? result : r;
	}
}

int trace_flush(struct trace *t)
{
	int r = co_mutex_lock(&t->writing);

	if (r != 0) {
		return r;
	}
	r = flush_locked(t);
	co_mutex_unlock(&t->writing);
	if (trace_bytes(t) > t->size) {
		co_event_set(&t->overfull);
	}
	return r;
}

/* ---- in the background -------------------------------------------------- */

/* From now on the next record calls again. What was dropped since the last
 * time is said once. */
static void look(struct trace *t, uint64_t *told)
{
	uint64_t dropped;

	co_event_clear(&t->wake);
	pthread_mutex_lock(&t->lock);
	t->posted = false;
	dropped = t->dropped;
	pthread_mutex_unlock(&t->lock);
	if (dropped != *told) {
		log_event(LOG_WARN, "", "trace.dropped", LOG_I("records", dropped - *told),
			  LOG_I("in_all", dropped));
	}
	*told = dropped;
}

static void writer(void *arg)
{
	struct trace *t = arg;
	uint64_t told = 0;

	co_enter();
	while (co_event_wait(&t->wake, CLOCK_NEVER) == 0 && co_sleep(GATHER_MS) == 0) {
		look(t, &told);
		trace_flush(t);
	}
}

static void keeper(void *arg)
{
	struct trace *t = arg;
	int r = 0;

	co_enter();
	while (r != -ECANCELED) {
		co_event_clear(&t->overfull);
		trace_expire(t);
		r = co_event_wait(&t->overfull, clock_in_ms(EXPIRE_MS));
	}
}

void trace_start(struct trace *t)
{
	if (co_spawn("trace.writer", writer, t, NULL) != 0) {
		return; /* a loop that stops, or no memory: written at the end */
	}
	co_spawn("trace.keeper", keeper, t, NULL);
	pthread_mutex_lock(&t->lock);
	t->loop = co_loop_self();
	if (!list_empty(&t->queue)) {
		co_event_set(&t->wake);
	}
	pthread_mutex_unlock(&t->lock);
}

void trace_stats(struct trace *t, struct trace_stats *out)
{
	*out = (struct trace_stats){ .days = t->days, .written = t->written };
	for (size_t i = 0; i < t->n_days; i++) {
		out->records += t->day[i].records;
		out->bytes += t->day[i].bytes;
	}
	out->oldest = t->n_days ? (int64_t)t->day[0].day * 86400 : 0;
	pthread_mutex_lock(&t->lock);
	out->dropped = t->dropped;
	out->waiting = t->waiting;
	pthread_mutex_unlock(&t->lock);
}
