/*
 * Opening, and the way of a row from a session to the engine: equal ones meet
 * in a table under a mutex, a coroutine takes the table away now and then, and
 * adds its counts to those that are stored.
 */
#include "tally/tally.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/cur.h"
#include "base/log.h"
#include "tally/impl.h"

#define GATHER_MS 5000
#define EXPIRE_MS (INT64_C(3600) * 1000)
#define BATCH_ROWS 500 /* in one commit */
#define DOMAIN_MAX 253

int tally_open(const struct tally_opts *o, struct tally **out, struct err *e)
{
	struct tally *t = calloc(1, sizeof(*t));
	int r;

	if (!t) {
		return -ENOMEM;
	}
	t->kv = o->kv;
	t->on = o->on;
	pthread_mutex_init(&t->lock, NULL);
	table_init(&t->pending);
	co_event_init(&t->wake);
	co_mutex_init(&t->writing);
	kv_days_init(&t->by_day, o->kv, 'f', TALLY_DAYS + 3);
	r = kv_days_load(&t->by_day);
	if (r != 0) {
		err_set(e, r,
			r == -EPROTO ? "what was counted for reports has a newer format"
				     : "cannot read what was counted for reports",
			NULL);
		tally_close(&t);
		return r;
	}
	*out = t;
	return 0;
}

void tally_close(struct tally **tp)
{
	struct tally *t = TAKE_PTR(*tp);

	if (t) {
		tally_flush(t);
		table_fini(&t->pending);
		kv_days_fini(&t->by_day);
		pthread_mutex_destroy(&t->lock);
		free(t);
	}
}

bool tally_wanted(const struct tally *t)
{
	return t && t->on;
}

/* ---- adding ----------------------------------------------------------------------- */

static struct tally_pending *pending_new(struct slice key, size_t domain_n, struct slice record)
{
	struct tally_pending *p = malloc(sizeof(*p) + key.n + record.n);

	if (p) {
		char *at = (char *)(p + 1);

		memcpy(at, key.p, key.n);
		memcpy(at + key.n, record.p, record.n);
		*p = (struct tally_pending){
			.key = slice_make(at, key.n),
			.domain = slice_make(at + 4, domain_n),
			.facts = slice_from(slice_make(at, key.n), 4 + domain_n + 1),
			.record = slice_make(at + key.n, record.n),
		};
	}
	return p;
}

static void wake_writer(void *arg)
{
	struct tally *t = arg;

	co_event_set(&t->wake);
}

/* Counts it. True: the writer must be called. */
static bool count(struct tally *t, struct slice key, size_t domain_n, struct slice record,
		  uint32_t day)
{
	struct tally_pending *p = table_get(&t->pending, key);
	size_t cost = sizeof(*p) + key.n + record.n;

	if (!p && t->waiting + cost <= TALLY_PENDING_MAX) {
		p = pending_new(key, domain_n, record);
		if (p && table_put(&t->pending, p->key, p, NULL) != 0) {
			free(p);
			p = NULL;
		}
		t->waiting += p ? cost : 0;
	}
	if (!p) {
		t->dropped++;
		return false;
	}
	p->day = day;
	p->count++;
	if (t->posted || !t->loop) {
		return false;
	}
	t->posted = true;
	return true;
}

void tally_add(struct tally *t, struct slice domain, struct slice record,
	       const struct report_row *row)
{
	struct buf key = BUF_INIT(TALLY_FACTS_MAX);
	uint32_t day = kv_days_today();
	bool call = false;

	if (!tally_wanted(t) || domain.n == 0 || domain.n > DOMAIN_MAX ||
	    record.n > TALLY_RECORD_MAX) {
		return;
	}
	buf_put32be(&key, day);
	buf_add(&key, domain);
	buf_addc(&key, '\0');
	tally_row_encode(row, &key);
	if (!key.err) {
		pthread_mutex_lock(&t->lock);
		call = count(t, buf_slice(&key), domain.n, record, day);
		pthread_mutex_unlock(&t->lock);
	}
	if (call) {
		t->post = (struct co_post){ .fn = wake_writer, .arg = t };
		co_post(t->loop, &t->post);
	}
	buf_fini(&key);
}

/* ---- writing ------------------------------------------------------------------------ */

/* The table as it is, and a new one in its place. */
static struct table take(struct tally *t, uint64_t *dropped)
{
	struct table all;

	pthread_mutex_lock(&t->lock);
	all = t->pending;
	table_init(&t->pending);
	t->waiting = 0;
	*dropped = t->dropped;
	t->dropped = 0;
	pthread_mutex_unlock(&t->lock);
	return all;
}

static void count_dropped(struct tally *t, uint64_t n)
{
	pthread_mutex_lock(&t->lock);
	t->dropped += n;
	pthread_mutex_unlock(&t->lock);
}

/* How many there were of it. KV_OK, KV_NOTFOUND, <0. */
CO_FN static int stored_count(struct tally *t, uint32_t day, struct slice key, uint64_t *out)
{
	struct buf v = BUF_INIT(TALLY_FACTS_MAX);
	int r = kv_get(t->kv, kv_days_part(&t->by_day, day), key, &v);
	struct cur c = cur_init(buf_slice(&v));

	*out = 0;
	if (r == KV_OK && cur_get8(&c) == TALLY_VERSION) {
		*out = cur_varint(&c);
	}
	buf_fini(&v);
	return r;
}

static void put_row(struct kv_batch *b, struct slice key, const struct tally_pending *p,
		    uint64_t had)
{
	struct buf v = BUF_INIT(TALLY_FACTS_MAX), k = BUF_INIT(KV_KEY_MAX);

	buf_put8(&v, TALLY_VERSION);
	buf_varint(&v, had + p->count);
	buf_add(&v, p->facts);
	kv_batch_put(b, key, buf_slice(&v));
	buf_reset(&v);
	buf_put8(&v, TALLY_VERSION);
	buf_add(&v, p->record);
	tally_domain_key(&k, p->domain);
	kv_batch_put(b, buf_slice(&k), buf_slice(&v));
	buf_fini(&v);
	buf_fini(&k);
}

CO_FN static int add_row(struct tally *t, struct kv_batch *b, const struct tally_pending *p,
			 struct kv_day *d)
{
	struct buf key = BUF_INIT(KV_KEY_MAX);
	uint64_t had = 0;
	int r;

	tally_row_key(&key, p->domain, p->facts);
	r = key.err ? key.err : stored_count(t, d->day, buf_slice(&key), &had);
	if (r == KV_NOTFOUND && d->count[TALLY_ROWS] >= TALLY_DAY_ROWS_MAX) {
		d->count[TALLY_DROPPED] += p->count;
	} else if (r >= 0) {
		put_row(b, buf_slice(&key), p, had);
		d->count[TALLY_ROWS] += r == KV_NOTFOUND;
		d->count[TALLY_MESSAGES] += p->count;
	}
	buf_fini(&key);
	return MIN(r, 0);
}

/* Up to BATCH_ROWS rows of one day. 0, <0 or a kv_result. */
CO_FN static int write_some(struct tally *t, struct tally_pending *const *rows, size_t n)
{
	uint32_t day = rows[0]->day;
	struct kv_day d;
	struct kv_batch *b;
	int r = kv_days_make(&t->by_day, day);

	if (r != 0) {
		return r;
	}
	b = kv_batch_new(kv_days_part(&t->by_day, day));
	if (!b) {
		return -ENOMEM;
	}
	d = *kv_days_get(&t->by_day, day);
	for (size_t i = 0; r == 0 && i < n; i++) {
		r = add_row(t, b, rows[i], &d);
	}
	r = r ? r : kv_days_commit(&t->by_day, b, &d);
	kv_batch_free(&b);
	return r;
}

static int by_day(const void *a, const void *b)
{
	const struct tally_pending *x = *(struct tally_pending *const *)a;
	const struct tally_pending *y = *(struct tally_pending *const *)b;

	return x->day != y->day ? (x->day > y->day) - (x->day < y->day) : slice_cmp(x->key, y->key);
}

CO_FN static int write_all(struct tally *t, struct tally_pending **rows, size_t n)
{
	int result = 0;

	qsort(rows, n, sizeof(*rows), by_day);
	for (size_t i = 0, k = 0; i < n; i = k) {
		uint64_t messages = 0;
		int r;

		while (k < n && k - i < BATCH_ROWS && rows[k]->day == rows[i]->day) {
			messages += rows[k++]->count;
		}
		r = write_some(t, rows + i, k - i);
		if (r != 0) {
			count_dropped(t, messages);
			result = result ? result : r;
		}
	}
	return result;
}

CO_FN static int flush_locked(struct tally *t)
{
	uint64_t dropped;
	struct table all = take(t, &dropped);
	struct tally_pending **rows = calloc(all.n ? all.n : 1, sizeof(struct tally_pending *));
	struct tally_pending *p;
	size_t n = 0, it = 0;
	int r = rows ? 0 : -ENOMEM;

	while ((p = table_next(&all, &it))) {
		if (rows) {
			rows[n++] = p;
		} else {
			dropped += p->count;
			free(p);
		}
	}
	table_fini(&all);
	if (n > 0) {
		r = write_all(t, rows, n);
	}
	for (size_t i = 0; i < n; i++) {
		free(rows[i]);
	}
	free(rows);
	count_dropped(t, dropped);
	return r;
}

int tally_flush(struct tally *t)
{
	int r = co_mutex_lock(&t->writing);

	if (r != 0) {
		return r;
	}
	r = flush_locked(t);
	co_mutex_unlock(&t->writing);
	return r;
}

int tally_expire(struct tally *t)
{
	const struct kv_days *days = &t->by_day;
	int r = 0;

	while (r == 0 && days->n > 0 && (!t->on || days->v[0].day + TALLY_DAYS < kv_days_today())) {
		r = kv_days_remove_first(&t->by_day);
	}
	return r;
}

/* ---- in the background ----------------------------------------------------------------- */

static void writer(void *arg)
{
	struct tally *t = arg;

	co_enter();
	while (co_event_wait(&t->wake, CLOCK_NEVER) == 0 && co_sleep(GATHER_MS) == 0) {
		co_event_clear(&t->wake);
		pthread_mutex_lock(&t->lock);
		t->posted = false;
		pthread_mutex_unlock(&t->lock);
		if (tally_flush(t) != 0) {
			log_event(LOG_WARN, "", "tally.dropped",
				  LOG_C("reason", "the store does not take the rows of reports"));
		}
	}
}

static void keeper(void *arg)
{
	struct tally *t = arg;

	co_enter();
	do {
		tally_expire(t);
	} while (co_sleep(EXPIRE_MS) == 0);
}

void tally_start(struct tally *t)
{
	if (co_spawn("tally.writer", writer, t, NULL) != 0) {
		return; /* a loop that stops, or no memory: written at the end */
	}
	co_spawn("tally.keeper", keeper, t, NULL);
	pthread_mutex_lock(&t->lock);
	t->loop = co_loop_self();
	pthread_mutex_unlock(&t->lock);
}

/* ---- asking ------------------------------------------------------------------------------- */

struct first {
	struct buf *domain, *record;
	bool found;
};

static int take_domain(void *arg, struct slice key, struct slice value)
{
	struct first *f = arg;

	buf_add(f->domain, slice_from(key, 1));
	buf_add(f->record, slice_from(value, 1));
	f->found = true;
	return 1;
}

int tally_domain(struct tally *t, uint32_t day, struct slice after, struct buf *domain,
		 struct buf *record)
{
	struct first f = { domain, record, false };
	struct buf from = BUF_INIT(KV_KEY_MAX);
	int r;

	tally_domain_key(&from, after);
	if (after.n) {
		buf_addc(&from, '\0'); /* just behind it */
	}
	r = from.err ? from.err
		     : kv_scan(t->kv, kv_days_part(&t->by_day, day), buf_slice(&from), S("Q"),
			       take_domain, &f);
	buf_fini(&from);
	r = r < 0 ? r : domain->err ? domain->err : record->err;
	return r < 0 ? r : !f.found;
}

struct rows {
	struct arena *a;
	struct report_row *first, **end;
	size_t n;
	bool more;
};

static int take_row(void *arg, struct slice key, struct slice value)
{
	struct rows *x = arg;
	struct report_row *row;
	struct slice facts;
	struct cur c;

	(void)key;
	if (x->n == TALLY_DOMAIN_ROWS_MAX) {
		x->more = true;
		return 1;
	}
	c = cur_init(arena_dup(x->a, value));
	row = arena_new(x->a, struct report_row);
	if (!row) {
		return 1;
	}
	if (cur_get8(&c) == TALLY_VERSION) {
		uint64_t n = cur_varint(&c);

		facts = cur_rest(&c);
		if (!c.err && tally_row_decode(facts, x->a, row) == 0) {
			row->count = n;
			*x->end = row;
			x->end = &row->next;
			x->n++;
		}
	}
	return 0; /* one that is damaged says nothing */
}

int tally_rows(struct tally *t, uint32_t day, struct slice domain, struct arena *a,
	       struct report_row **out, size_t *n_out, bool *more)
{
	struct rows x = { .a = a };
	struct buf key = BUF_INIT(KV_KEY_MAX);
	int r;

	x.end = &x.first;
	tally_row_key(&key, domain, S(""));
	if (!key.err) {
		buf_truncate(&key, key.n - TALLY_HASH);
	}
	r = key.err ? key.err
		    : kv_scan_prefix(t->kv, kv_days_part(&t->by_day, day), buf_slice(&key),
				     take_row, &x);
	buf_fini(&key);
	*out = x.first;
	*n_out = x.n;
	*more = x.more;
	return r < 0 ? r : arena_err(a);
}

void tally_stats(struct tally *t, struct tally_stats *out)
{
	*out = (struct tally_stats){ .on = t->on };
	out->rows = kv_days_sum(&t->by_day, TALLY_ROWS);
	out->messages = kv_days_sum(&t->by_day, TALLY_MESSAGES);
	out->dropped = kv_days_sum(&t->by_day, TALLY_DROPPED);
	pthread_mutex_lock(&t->lock);
	out->dropped += t->dropped;
	out->waiting = t->waiting;
	pthread_mutex_unlock(&t->lock);
}
