/*
 * sort: see sort.h. Called by cmd_sort.c and by sorted contexts (context.c).
 */
#include "imap/sort.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/utf8.h"
#include "imap/parse.h"

static const struct {
	struct slice name;
	enum sort_by by;
} names[] = {
	{ S("ARRIVAL"), SORT_ARRIVAL },
	{ S("CC"), SORT_CC },
	{ S("DATE"), SORT_DATE },
	{ S("FROM"), SORT_FROM },
	{ S("SIZE"), SORT_SIZE },
	{ S("SUBJECT"), SORT_SUBJECT },
	{ S("TO"), SORT_TO },
	{ S("DISPLAYFROM"), SORT_DISPLAYFROM },
	{ S("DISPLAYTO"), SORT_DISPLAYTO },
	{ S("RELEVANCY"), SORT_RELEVANCY },
};

/* ---- criteria ------------------------------------------------------------------ */

/* sort-criterion = ["REVERSE" SP] sort-key */
static void criterion(struct cur *c, struct sort_spec *out)
{
	bool reverse = cur_lit(c, S("REVERSE "));
	struct slice name = imap_parse_atom(c);

	if (out->n == SORT_CRITERIA_MAX) {
		cur_fail(c, -EMSGSIZE);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (slice_ieq(name, names[i].name)) {
			out->v[out->n].by = names[i].by;
			out->v[out->n++].reverse = reverse;
			out->by_relevancy |= names[i].by == SORT_RELEVANCY;
			out->by_summary |= names[i].by != SORT_ARRIVAL &&
					   names[i].by != SORT_SIZE &&
					   names[i].by != SORT_RELEVANCY;
			return;
		}
	}
	cur_fail(c, -EINVAL);
}

void sort_parse(struct cur *c, struct sort_spec *out)
{
	*out = (struct sort_spec){ 0 };
	cur_need(c, '(');
	do {
		criterion(c, out);
	} while (!c->err && cur_opt(c, ' '));
	cur_need(c, ')');
}

/* ---- keys ---------------------------------------------------------------------- */

static void put_signed(struct buf *b, int64_t v)
{
	buf_put64be(b, (uint64_t)v ^ (UINT64_C(1) << 63));
}

/* In the order of i;unicode-casemap: by capitals (ADR 25). */
static void put_text(struct buf *b, struct slice s)
{
	size_t from = b->n;

	utf8_title(b, slice_sub(s, 0, SORT_TEXT_MAX));
	if (b->n - from > SORT_TEXT_MAX) {
		buf_truncate(b, from + SORT_TEXT_MAX);
	}
	buf_addc(b, 0);
}

static void put(struct buf *b, enum sort_by by, const struct sort_facts *f)
{
	switch (by) {
	case SORT_ARRIVAL:
		put_signed(b, f->arrival);
		break;
	case SORT_DATE:
		put_signed(b, f->sent);
		break;
	case SORT_SIZE:
		buf_put64be(b, f->size);
		break;
	case SORT_RELEVANCY:
		buf_put8(b, (uint8_t)(UINT8_MAX - f->score));
		break;
	case SORT_CC:
		put_text(b, f->cc);
		break;
	case SORT_FROM:
		put_text(b, f->from);
		break;
	case SORT_TO:
		put_text(b, f->to);
		break;
	case SORT_SUBJECT:
		put_text(b, f->subject);
		break;
	case SORT_DISPLAYFROM:
		put_text(b, f->display_from);
		break;
	case SORT_DISPLAYTO:
		put_text(b, f->display_to);
		break;
	}
}

void sort_key(const struct sort_spec *spec, const struct sort_facts *f, struct buf *out)
{
	for (size_t i = 0; i < spec->n; i++) {
		size_t from = out->n;
		put(out, spec->v[i].by, f);
		for (size_t k = from; spec->v[i].reverse && k < out->n; k++) {
			out->p[k] = (char)~out->p[k];
		}
	}
}

int sort_cmp(const struct sort_row *a, const struct sort_row *b)
{
	int c = slice_cmp(slice_make(a->key, a->n), slice_make(b->key, b->n));

	return c != 0 ? c : (a->at > b->at) - (a->at < b->at);
}

static int cmp(const void *a, const void *b)
{
	return sort_cmp(a, b);
}

void sort_rows(struct sort_row *rows, size_t n)
{
	if (n > 1) {
		qsort(rows, n, sizeof(rows[0]), cmp);
	}
}
