/*
 * The days that have rows, and their end. As in trace/days.c: a day is a
 * partition of its own, its row in the root is durable before its first row
 * and goes after its last, and it is removed in steps.
 */
#include "base/clock.h"
#include "base/cur.h"
#include "tally/impl.h"

#define STEP_ROWS 2000 /* removed at once */
#define STEP_REST_MS 50
#define DAY_KEY 5

struct kv_part tally_root(void)
{
	return (struct kv_part){ .kind = 'f', .a = 0, .b = 0 };
}

struct kv_part tally_part(uint32_t day)
{
	return (struct kv_part){ .kind = 'f', .a = 1, .b = day };
}

uint32_t tally_today(void)
{
	return (uint32_t)MAX(clock_wall() / 86400, 0);
}

struct tally_day *tally_day_get(struct tally *t, uint32_t day)
{
	for (size_t i = 0; i < t->n_days; i++) {
		if (t->days[i].day == day) {
			return &t->days[i];
		}
	}
	return NULL;
}

/* -ENOSPC: a clock that jumps made more days than there can be. */
static int insert(struct tally *t, const struct tally_day *d)
{
	size_t i = t->n_days;

	if (i == ARRAY_LEN(t->days)) {
		return -ENOSPC;
	}
	for (; i > 0 && t->days[i - 1].day > d->day; i--) {
		t->days[i] = t->days[i - 1];
	}
	t->days[i] = *d;
	t->n_days++;
	return 0;
}

/* ---- rows of the root ----------------------------------------------------------- */

static struct slice day_key(uint32_t day, unsigned char key[DAY_KEY])
{
	key[0] = 'D';
	for (int i = 0; i < 4; i++) {
		key[1 + i] = (unsigned char)(day >> (24 - 8 * i));
	}
	return slice_make((char *)key, DAY_KEY);
}

void tally_day_put(struct kv_batch *b, const struct tally_day *d)
{
	unsigned char key[DAY_KEY];
	struct buf v = BUF_INIT(64);

	buf_put8(&v, TALLY_VERSION);
	buf_varint(&v, d->rows);
	buf_varint(&v, d->messages);
	buf_varint(&v, d->dropped);
	kv_batch_put(b, day_key(d->day, key), buf_slice(&v));
	buf_fini(&v);
}

int tally_day_make(struct tally *t, uint32_t day)
{
	struct tally_day d = { .day = day };
	struct kv_batch *b;
	int r;

	if (t->n_days == ARRAY_LEN(t->days)) {
		return -ENOSPC;
	}
	b = kv_batch_new(tally_root());
	if (!b) {
		return -ENOMEM;
	}
	tally_day_put(b, &d);
	r = kv_commit(t->kv, &b, 1);
	kv_batch_free(&b);
	return r ? r : insert(t, &d);
}

struct load {
	struct tally *t;
	int r;
};

static int load_day(void *arg, struct slice key, struct slice value)
{
	struct load *l = arg;
	struct cur k = cur_init(slice_from(key, 1));
	struct cur v = cur_init(value);
	struct tally_day d = { 0 };

	d.day = cur_get32be(&k);
	if (cur_get8(&v) > TALLY_VERSION) {
		l->r = -EPROTO;
		return 1;
	}
	d.rows = cur_varint(&v);
	d.messages = cur_varint(&v);
	d.dropped = cur_varint(&v);
	l->r = k.err || v.err ? -EIO : insert(l->t, &d);
	return l->r ? 1 : 0;
}

int tally_days_load(struct tally *t, struct err *e)
{
	struct load l = { t, 0 };
	int r = kv_scan_prefix(t->kv, tally_root(), S("D"), load_day, &l);

	r = r < 0 ? r : l.r;
	if (r == -EPROTO) {
		return err_set(e, r, "what was counted for reports has a newer format", NULL);
	}
	return r ? err_set(e, r, "cannot read what was counted for reports", NULL) : 0;
}

/* ---- the end of a day -------------------------------------------------------------- */

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

/* 1: there may be more; 0: it is empty; <0. */
CO_FN static int remove_some(struct tally *t, struct kv_part part, struct step *s)
{
	struct kv_batch *b;
	int r = kv_scan(t->kv, part, S("\0"), S(""), see_row, s);
	bool more = r == 1;

	if (r < 0 || s->n == 0) {
		return MIN(r, 0);
	}
	b = kv_batch_new(part);
	if (!b || s->first.err || s->last.err) {
		kv_batch_free(&b);
		return -ENOMEM;
	}
	kv_batch_del_range(b, buf_slice(&s->first), more ? buf_slice(&s->last) : S(""));
	kv_batch_frees(b);
	r = kv_commit(t->kv, &b, 1);
	kv_batch_free(&b);
	return r > 0 ? -EAGAIN : r < 0 ? r : more;
}

CO_FN static int empty_day(struct tally *t, uint32_t day)
{
	int r;

	do {
		struct step s = { BUF_INIT(KV_KEY_MAX), BUF_INIT(KV_KEY_MAX), 0 };

		r = remove_some(t, tally_part(day), &s);
		buf_fini(&s.first);
		buf_fini(&s.last);
		if (r == 1 && co_sleep(STEP_REST_MS) != 0) {
			return -ECANCELED;
		}
	} while (r == 1);
	return r;
}

CO_FN static int forget_day(struct tally *t, uint32_t day)
{
	struct kv_batch *b = kv_batch_new(tally_root());
	unsigned char key[DAY_KEY];
	struct tally_day *d;
	int r;

	if (!b) {
		return -ENOMEM;
	}
	kv_batch_del(b, day_key(day, key));
	kv_batch_frees(b);
	r = kv_commit(t->kv, &b, 1);
	kv_batch_free(&b);
	d = tally_day_get(t, day);
	if (r == 0 && d) {
		size_t i = (size_t)(d - t->days);

		t->n_days--;
		memmove(d, d + 1, (t->n_days - i) * sizeof(*d));
	}
	return r > 0 ? -EAGAIN : r;
}

int tally_expire(struct tally *t)
{
	int r = 0;

	while (r == 0 && t->n_days > 0 && (!t->on || t->days[0].day + TALLY_DAYS < tally_today())) {
		uint32_t day = t->days[0].day;

		r = empty_day(t, day);
		r = r ? r : forget_day(t, day);
	}
	return r;
}
