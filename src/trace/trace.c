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
#define TRACE_DAYS_SPARE 3	 /* before the oldest is removed */
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
	kv_days_init(&t->by_day, o->kv, 't', TRACE_DAYS_MAX + TRACE_DAYS_SPARE);
	r = kv_days_load(&t->by_day);
	if (r != 0) {
		err_set(e, r,
			r == -EPROTO ? "the records of decisions have a newer format"
				     : "cannot read the records of decisions",
			NULL);
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
		kv_days_fini(&t->by_day);
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

static bool has_room(const struct trace *t, const struct kv_day *d, const struct trace_record *r)
{
	uint64_t share = t->size / TRACE_DAY_SHARE;

	return d->count[TRACE_BYTES] + cost_of(r) <= share &&
	       (r->accepted || d->count[TRACE_REFUSED] + cost_of(r) <= share / 2);
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

/* Puts what has room into the batch; what becomes of the day in *d. How many. */
static uint64_t fill(struct trace *t, struct list *records, struct kv_batch *b, struct kv_day *d)
{
	uint64_t n = 0;

	list_each(it, records) {
		const struct trace_record *r = list_of(it, struct trace_record, node);

		if (has_room(t, d, r)) {
			put_rows(t, b, r);
			d->count[TRACE_BYTES] += cost_of(r);
			d->count[TRACE_REFUSED] += r->accepted ? 0 : cost_of(r);
			d->count[TRACE_RECORDS]++;
			n++;
		}
	}
	return n;
}

/* All are of one day. 0, <0 or a kv_result. *n: how many were written. */
CO_FN static int write_day(struct trace *t, struct list *records, uint64_t *n)
{
	uint32_t day = day_of(list_of(records->next, struct trace_record, node));
	uint64_t filled;
	struct kv_batch *b;
	struct kv_day d;
	int r = kv_days_make(&t->by_day, day);

	if (r != 0) {
		return r;
	}
	b = kv_batch_new(kv_days_part(&t->by_day, day));
	if (!b) {
		return -ENOMEM;
	}
	d = *kv_days_get(&t->by_day, day);
	filled = fill(t, records, b, &d);
	r = filled ? kv_days_commit(&t->by_day, b, &d) : 0;
	*n = r == 0 ? filled : 0;
	kv_batch_free(&b);
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
	if (kv_days_sum(&t->by_day, TRACE_BYTES) > t->size) {
		co_event_set(&t->overfull);
	}
	return r;
}

/* ---- the end of a day ----------------------------------------------------- */

/* Is the oldest day one too many? Today and yesterday stay: records may still
 * be on their way there. */
static bool is_over(const struct trace *t)
{
	uint32_t today = kv_days_today();
	uint64_t oldest;

	if (t->by_day.n == 0) {
		return false;
	}
	if (t->days == 0) {
		return true; /* nobody writes */
	}
	oldest = t->by_day.v[0].day;
	return oldest + t->days < today ||
	       (oldest + 1 < today && kv_days_sum(&t->by_day, TRACE_BYTES) > t->size);
}

int trace_expire(struct trace *t)
{
	int r = 0;

	while (r == 0 && is_over(t)) {
		r = kv_days_remove_first(&t->by_day);
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
	out->records = kv_days_sum(&t->by_day, TRACE_RECORDS);
	out->bytes = kv_days_sum(&t->by_day, TRACE_BYTES);
	out->oldest = t->by_day.n ? (int64_t)t->by_day.v[0].day * 86400 : 0;
	pthread_mutex_lock(&t->lock);
	out->dropped = t->dropped;
	out->waiting = t->waiting;
	pthread_mutex_unlock(&t->lock);
}
