/*
 * The days that have records: which there are, how much is in them, and their
 * end.
 *
 * A day is a partition of its own, so that removing it looks at nothing else.
 * Its row in the root is durable before its first record, and goes after its
 * last: no crash leaves a day that nobody will remove. Today and yesterday are
 * never removed, since records may still be on their way there.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "base/cur.h"
#include "trace/impl.h"

#define STEP_ROWS 2000 /* removed at once */
#define STEP_REST_MS 50

struct kv_part trace_root(void)
{
	return (struct kv_part){ .kind = 't', .a = 0, .b = 0 };
}

struct kv_part trace_part(uint32_t day)
{
	return (struct kv_part){ .kind = 't', .a = 1, .b = day };
}

uint32_t trace_today(void)
{
	return (uint32_t)MAX(clock_wall() / 86400, 0);
}

uint64_t trace_bytes(const struct trace *t)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < t->n_days; i++) {
		sum += t->day[i].bytes;
	}
	return sum;
}

/* Where the day is, or where it belongs. */
static size_t place_of(const struct trace *t, uint32_t day)
{
	size_t i = 0;

	while (i < t->n_days && t->day[i].day < day) {
		i++;
	}
	return i;
}

struct trace_day *trace_day_get(struct trace *t, uint32_t day)
{
	size_t i = place_of(t, day);

	return i < t->n_days && t->day[i].day == day ? &t->day[i] : NULL;
}

static int insert(struct trace *t, const struct trace_day *d)
{
	size_t i = place_of(t, d->day);

	if (t->n_days == t->cap_days) {
		size_t cap = t->cap_days ? t->cap_days * 2 : 32;
		struct trace_day *p = reallocarray(t->day, cap, sizeof(*p));

		if (!p) {
			return -ENOMEM;
		}
		t->day = p;
		t->cap_days = cap;
	}
	memmove(t->day + i + 1, t->day + i, (t->n_days - i) * sizeof(*t->day));
	t->day[i] = *d;
	t->n_days++;
	return 0;
}

/* ---- rows of the root --------------------------------------------------- */

static struct slice day_key(uint32_t day, unsigned char key[5])
{
	key[0] = 'D';
	for (int i = 0; i < 4; i++) {
		key[1 + i] = (unsigned char)(day >> (24 - 8 * i));
	}
	return slice_make((char *)key, 5);
}

void trace_day_put(struct kv_batch *b, const struct trace_day *d)
{
	unsigned char key[5];
	struct buf v = BUF_INIT(32);

	buf_put8(&v, TRACE_VERSION);
	buf_varint(&v, d->records);
	buf_varint(&v, d->bytes);
	buf_varint(&v, d->refused);
	kv_batch_put(b, day_key(d->day, key), buf_slice(&v));
	buf_fini(&v);
}

int trace_day_make(struct trace *t, uint32_t day)
{
	struct trace_day d = { .day = day };
	struct kv_batch *b = kv_batch_new(trace_root());
	int r;

	if (!b) {
		return -ENOMEM;
	}
	trace_day_put(b, &d);
	r = kv_commit(t->kv, &b, 1);
	kv_batch_free(&b);
	return r ? r : insert(t, &d);
}

struct load {
	struct trace *t;
	int r;
};

/* Damage here keeps nobody's mail: the day is there, and counts from 0. */
static int load_day(void *arg, struct slice key, struct slice value)
{
	struct load *l = arg;
	struct cur k = cur_init(slice_from(key, 1));
	struct cur v = cur_init(value);
	struct trace_day d = { 0 };

	d.day = cur_get32be(&k);
	if (cur_get8(&v) > TRACE_VERSION) {
		l->r = -EPROTO;
		return 1;
	}
	d.records = cur_varint(&v);
	d.bytes = cur_varint(&v);
	d.refused = cur_varint(&v);
	if (!cur_end(&v)) {
		d = (struct trace_day){ .day = d.day };
	}
	l->r = cur_end(&k) ? insert(l->t, &d) : 0;
	return l->r ? 1 : 0;
}

int trace_days_load(struct trace *t, struct err *e)
{
	struct load l = { t, 0 };
	int r = kv_scan_prefix(t->kv, trace_root(), S("D"), load_day, &l);

	r = r < 0 ? r : l.r;
	switch (r) {
	case 0:
		return 0;
	case -EPROTO:
		return err_set(e, r, "the records of decisions have a newer format", NULL);
	default:
		return err_set(e, r, "cannot read the records of decisions", NULL);
	}
}

/* ---- the end of a day --------------------------------------------------- */

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

/* Removes the first rows of a partition. 1: there may be more; 0 it is empty;
 * <0, or a kv_result. */
CO_FN static int remove_some(struct trace *t, struct kv_part part, struct step *s)
{
	struct kv_batch *b;
	int r = kv_scan(t->kv, part, S("\0"), S(""), see_row, s);
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
	r = kv_commit(t->kv, &b, 1);
	kv_batch_free(&b);
	return r > 0 ? -EAGAIN : r < 0 ? r : more;
}

CO_FN static int empty_day(struct trace *t, uint32_t day)
{
	int r;

	do {
		struct step s = { BUF_INIT(KV_KEY_MAX), BUF_INIT(KV_KEY_MAX), 0 };

		r = remove_some(t, trace_part(day), &s);
		buf_fini(&s.first);
		buf_fini(&s.last);
		if (r == 1 && co_sleep(STEP_REST_MS) != 0) {
			return -ECANCELED;
		}
	} while (r == 1);
	return r;
}

CO_FN static int forget_day(struct trace *t, uint32_t day)
{
	struct kv_batch *b = kv_batch_new(trace_root());
	unsigned char key[5];
	size_t i;
	int r;

	if (!b) {
		return -ENOMEM;
	}
	kv_batch_del(b, day_key(day, key));
	kv_batch_frees(b);
	r = kv_commit(t->kv, &b, 1);
	kv_batch_free(&b);
	i = place_of(t, day);
	if (r == 0 && i < t->n_days && t->day[i].day == day) {
		t->n_days--;
		memmove(t->day + i, t->day + i + 1, (t->n_days - i) * sizeof(*t->day));
	}
	return r > 0 ? -EAGAIN : r;
}

/* Is the oldest day one too many? */
static bool is_over(const struct trace *t)
{
	uint32_t today = trace_today();

	if (t->n_days == 0) {
		return false;
	}
	if (t->days == 0) {
		return true; /* nobody writes */
	}
	return (uint64_t)t->day[0].day + MAX(t->days, 1) < today ||
	       (t->day[0].day + 1 < today && trace_bytes(t) > t->size);
}

int trace_expire(struct trace *t)
{
	int r = 0;

	while (r == 0 && is_over(t)) {
		uint32_t day = t->day[0].day;

		r = empty_day(t, day);
		r = r ? r : forget_day(t, day);
	}
	return r;
}
