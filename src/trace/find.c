/*
 * Finding records: the index rows of each day, from the newest day on, give
 * stamps; only the newest `limit` of them are kept, and their records read.
 *
 * Memory is `limit` stamps and one record, whatever the index holds.
 */
#include <stdlib.h>

#include "base/cur.h"
#include "trace/impl.h"

struct hit {
	uint32_t day;
	unsigned char stamp[TRACE_STAMP];
};

struct search {
	const struct trace_query *q;
	struct hit *hits; /* newest first */
	size_t n, limit;
	/* the day that is being looked at: its newest ones, as a ring */
	struct hit *ring;
	size_t room, seen;
};

static int64_t stamp_ms(const unsigned char *stamp)
{
	struct cur c = cur_init(slice_make((const char *)stamp, 8));
	uint64_t hi = cur_get32be(&c);

	return (int64_t)(hi << 32 | cur_get32be(&c)) / 1000;
}

static int see_key(void *arg, struct slice key, struct slice value)
{
	struct search *s = arg;
	const unsigned char *stamp = (const unsigned char *)key.p + 1 + TRACE_HASH;

	(void)value;
	if (key.n == TRACE_INDEX_KEY && stamp_ms(stamp) >= s->q->since_ms) {
		memcpy(s->ring[s->seen++ % s->room].stamp, stamp, TRACE_STAMP);
	}
	return 0;
}

/* Into hits, from the newest on. */
static void take_ring(struct search *s, uint32_t day)
{
	for (size_t i = s->seen; i > 0 && s->seen - i < s->room; i--) {
		struct hit *h = &s->hits[s->n++];

		*h = s->ring[(i - 1) % s->room];
		h->day = day;
	}
}

/* The next older day before `day`; 0: none. */
static uint32_t day_before(const struct trace *t, uint64_t day)
{
	size_t i = t->by_day.n;

	while (i > 0 && t->by_day.v[i - 1].day >= day) {
		i--;
	}
	return i ? t->by_day.v[i - 1].day : 0;
}

CO_FN static int search_days(struct trace *t, struct search *s)
{
	unsigned char prefix[1 + TRACE_HASH] = { (unsigned char)s->q->by };
	uint32_t day = UINT32_MAX;
	int r = 0;

	if (trace_hash(s->q->by, s->q->what, prefix + 1) != 0) {
		return 0;
	}
	while (r == 0 && s->n < s->limit && (day = day_before(t, day)) != 0 &&
	       ((int64_t)day + 1) * 86400000 > s->q->since_ms) {
		s->seen = 0;
		s->room = s->limit - s->n;
		r = kv_scan_prefix(t->kv, kv_days_part(&t->by_day, day),
				   slice_make((char *)prefix, sizeof(prefix)), see_key, s);
		if (r == 0) {
			take_ring(s, day);
		}
	}
	return r;
}

/* 0: given; 1: the caller wants no more; 2: it is gone; <0. */
CO_FN static int give(struct trace *t, const struct hit *h, trace_fn *fn, void *arg)
{
	struct buf row = BUF_INIT(TRACE_RECORD_MAX);
	char key[1 + TRACE_STAMP] = "R";
	int r;

	memcpy(key + 1, h->stamp, TRACE_STAMP);
	r = kv_get(t->kv, kv_days_part(&t->by_day, h->day), slice_make(key, sizeof(key)), &row);
	if (r < 0 || row.err) {
		r = r < 0 ? r : row.err;
	} else if (r == KV_NOTFOUND || row.n == 0 || row.p[0] != TRACE_VERSION) {
		r = 2;
	} else {
		r = fn(arg, slice_from(buf_slice(&row), 1)) ? 1 : 0;
	}
	buf_fini(&row);
	return r;
}

CO_FN static int give_all(struct trace *t, const struct search *s, trace_fn *fn, void *arg)
{
	int given = 0;

	for (size_t i = s->n; i > 0; i--) {
		int r = give(t, &s->hits[i - 1], fn, arg);

		if (r < 0) {
			return r;
		}
		given += r != 2;
		if (r == 1) {
			break;
		}
	}
	return given;
}

int trace_find(struct trace *t, const struct trace_query *q, trace_fn *fn, void *arg, struct err *e)
{
	struct search s = { .q = q };
	int r;

	trace_flush(t); /* what cannot be written cannot be found */
	s.limit = q->limit && q->limit < TRACE_FIND_MAX ? q->limit : TRACE_FIND_MAX;
	s.hits = calloc(s.limit, sizeof(*s.hits));
	s.ring = calloc(s.limit, sizeof(*s.ring));
	r = s.hits && s.ring ? search_days(t, &s) : -ENOMEM;
	if (r == 0) {
		r = give_all(t, &s, fn, arg);
	}
	free(s.hits);
	free(s.ring);
	return r < 0 ? err_set(e, r, "cannot read the records of decisions", NULL) : r;
}
