/* Partitions by the day, and their end: see days.h. */
#include "kv/days.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/cur.h"

#define ROW_VERSION 1
#define DAY_KEY 5
#define DAY_S 86400
#define STEP_ROWS 2000 /* removed at once */
#define STEP_REST_MS 50
#define CAP_FIRST 32

void kv_days_init(struct kv_days *d, struct kv *kv, uint8_t kind, size_t max)
{
	*d = (struct kv_days){ .kv = kv, .kind = kind, .max = max };
}

void kv_days_fini(struct kv_days *d)
{
	free(d->v);
	*d = (struct kv_days){ 0 };
}

uint32_t kv_days_today(void)
{
	return (uint32_t)MAX(clock_wall() / DAY_S, 0);
}

struct kv_part kv_days_root(const struct kv_days *d)
{
	return (struct kv_part){ .kind = d->kind, .a = 0, .b = 0 };
}

struct kv_part kv_days_part(const struct kv_days *d, uint32_t day)
{
	return (struct kv_part){ .kind = d->kind, .a = 1, .b = day };
}

uint64_t kv_days_sum(const struct kv_days *d, unsigned counter)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < d->n; i++) {
		sum += d->v[i].count[counter];
	}
	return sum;
}

/* ---- the list ------------------------------------------------------------- */

/* Where the day is, or where it belongs. */
static size_t place_of(const struct kv_days *d, uint32_t day)
{
	size_t i = 0;

	while (i < d->n && d->v[i].day < day) {
		i++;
	}
	return i;
}

struct kv_day *kv_days_get(struct kv_days *d, uint32_t day)
{
	size_t i = place_of(d, day);

	return i < d->n && d->v[i].day == day ? &d->v[i] : NULL;
}

static int insert(struct kv_days *d, const struct kv_day *day)
{
	size_t i = place_of(d, day->day);

	if (d->n == d->max) {
		return -ENOSPC;
	}
	if (d->n == d->cap) {
		size_t cap = d->cap ? d->cap * 2 : CAP_FIRST;
		struct kv_day *v = reallocarray(d->v, cap, sizeof(*v));

		if (!v) {
			return -ENOMEM;
		}
		d->v = v;
		d->cap = cap;
	}
	memmove(d->v + i + 1, d->v + i, (d->n - i) * sizeof(*d->v));
	d->v[i] = *day;
	d->n++;
	return 0;
}

/* ---- rows of the root ----------------------------------------------------- */

static struct slice day_key(uint32_t day, unsigned char key[DAY_KEY])
{
	key[0] = 'D';
	for (int i = 0; i < 4; i++) {
		key[1 + i] = (unsigned char)(day >> (24 - 8 * i));
	}
	return slice_make((char *)key, DAY_KEY);
}

static void put_day(struct kv_batch *b, const struct kv_day *day)
{
	unsigned char key[DAY_KEY];
	struct buf v = BUF_INIT(64);

	buf_put8(&v, ROW_VERSION);
	for (unsigned i = 0; i < KV_DAY_COUNTS; i++) {
		buf_varint(&v, day->count[i]);
	}
	kv_batch_put(b, day_key(day->day, key), buf_slice(&v));
	buf_fini(&v);
}

int kv_days_make(struct kv_days *d, uint32_t day)
{
	struct kv_day new = { .day = day };
	struct kv_batch *b;
	int r;

	if (kv_days_get(d, day)) {
		return 0;
	}
	if (d->n == d->max) {
		return -ENOSPC;
	}
	b = kv_batch_new(kv_days_root(d));
	if (!b) {
		return -ENOMEM;
	}
	put_day(b, &new);
	r = kv_commit(d->kv, &b, 1);
	kv_batch_free(&b);
	return r ? r : insert(d, &new);
}

int kv_days_commit(struct kv_days *d, struct kv_batch *rows, const struct kv_day *after)
{
	struct kv_batch *b[] = { rows, kv_batch_new(kv_days_root(d)) };
	struct kv_day *day;
	int r;

	if (!b[1]) {
		return -ENOMEM;
	}
	put_day(b[1], after);
	r = kv_commit(d->kv, b, ARRAY_LEN(b));
	kv_batch_free(&b[1]);
	day = kv_days_get(d, after->day);
	if (r == 0 && day) {
		*day = *after;
	}
	return r;
}

struct load {
	struct kv_days *d;
	int r;
};

static int load_day(void *arg, struct slice key, struct slice value)
{
	struct load *l = arg;
	struct cur k = cur_init(slice_from(key, 1));
	struct cur v = cur_init(value);
	struct kv_day day = { .day = cur_get32be(&k) };

	if (cur_get8(&v) > ROW_VERSION) {
		l->r = -EPROTO;
		return 1;
	}
	for (unsigned i = 0; i < KV_DAY_COUNTS; i++) {
		day.count[i] = cur_varint(&v);
	}
	if (!cur_end(&v)) {
		day = (struct kv_day){ .day = day.day };
	}
	l->r = cur_end(&k) ? insert(l->d, &day) : 0;
	return l->r ? 1 : 0;
}

int kv_days_load(struct kv_days *d)
{
	struct load l = { d, 0 };
	int r = kv_scan_prefix(d->kv, kv_days_root(d), S("D"), load_day, &l);

	return r < 0 ? r : l.r;
}

/* ---- the end of a day ----------------------------------------------------- */

struct step {
	struct buf first, last;
	size_t n;
};

static int see_row(void *arg, struct slice key, struct slice value)
{
	struct step *s = arg;

	(void)value;
	if (s->n == 0) {
		buf_add(&s->first, key);
	}
	buf_reset(&s->last);
	buf_add(&s->last, key);
	return ++s->n > STEP_ROWS ? 1 : 0;
}

/* Removes the first rows of a partition. 1: there may be more; 0: it is empty;
 * <0. */
CO_FN static int remove_some(struct kv *kv, struct kv_part part, struct step *s)
{
	struct kv_batch *b;
	int r = kv_scan(kv, part, S("\0"), S(""), see_row, s);
	bool more = r == 1;

	if (r < 0 || s->n == 0) {
		return MIN(r, 0);
	}
	r = s->first.err ? s->first.err : s->last.err;
	b = r == 0 ? kv_batch_new(part) : NULL;
	if (!b) {
		return r ? r : -ENOMEM;
	}
	/* `to` is not removed: without one, all that is left is. */
	kv_batch_del_range(b, buf_slice(&s->first), more ? buf_slice(&s->last) : S(""));
	kv_batch_frees(b);
	r = kv_commit(kv, &b, 1);
	kv_batch_free(&b);
	return r > 0 ? -EAGAIN : r < 0 ? r : more;
}

CO_FN static int empty_day(struct kv_days *d, uint32_t day)
{
	int r;

	do {
		struct step s = { BUF_INIT(KV_KEY_MAX), BUF_INIT(KV_KEY_MAX), 0 };

		r = remove_some(d->kv, kv_days_part(d, day), &s);
		buf_fini(&s.first);
		buf_fini(&s.last);
		if (r == 1 && co_sleep(STEP_REST_MS) != 0) {
			return -ECANCELED;
		}
	} while (r == 1);
	return r;
}

CO_FN static int forget_day(struct kv_days *d, uint32_t day)
{
	struct kv_batch *b = kv_batch_new(kv_days_root(d));
	unsigned char key[DAY_KEY];
	struct kv_day *at;
	int r;

	if (!b) {
		return -ENOMEM;
	}
	kv_batch_del(b, day_key(day, key));
	kv_batch_frees(b);
	r = kv_commit(d->kv, &b, 1);
	kv_batch_free(&b);
	at = kv_days_get(d, day);
	if (r == 0 && at) {
		d->n--;
		memmove(at, at + 1, (d->n - (size_t)(at - d->v)) * sizeof(*at));
	}
	return r > 0 ? -EAGAIN : r;
}

int kv_days_remove_first(struct kv_days *d)
{
	uint32_t day;
	int r;

	if (d->n == 0) {
		return 0;
	}
	day = d->v[0].day;
	r = empty_day(d, day);
	return r ? r : forget_day(d, day);
}
