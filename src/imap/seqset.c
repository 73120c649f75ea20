/*
 * seqset: see seqset.h. RFC 3501 section 9:
 *   sequence-set = (seq-number / seq-range) *("," sequence-set)
 *   seq-number   = nz-number / "*"
 *   seq-range    = seq-number ":" seq-number
 */
#include <stdlib.h>

#include "base/err.h"
#include "imap/seqset.h"

static uint32_t seq_number(struct cur *c, uint32_t star, bool *is_star)
{
	uint32_t v;

	if (cur_opt(c, '*')) {
		*is_star = true;
		return star;
	}
	v = cur_u32(c);
	if (v == 0) {
		cur_fail(c, -EINVAL);
	}
	return v;
}

/* One element; false if it is empty ('*' in an empty mailbox). */
static bool seq_element(struct cur *c, uint32_t star, struct seqset *s, struct seq_range *out)
{
	bool has_star = false;
	uint32_t a = seq_number(c, star, &has_star);
	uint32_t b = a;

	if (cur_opt(c, ':')) {
		b = seq_number(c, star, &has_star);
	}
	if (c->err || (has_star && star == 0)) {
		return false;
	}
	*out = (struct seq_range){ MIN(a, b), MAX(a, b) };
	if (!has_star) {
		s->top = MAX(s->top, out->hi);
	}
	return true;
}

static int range_cmp(const void *a, const void *b)
{
	const struct seq_range *x = a;
	const struct seq_range *y = b;

	return x->lo < y->lo ? -1 : x->lo > y->lo;
}

static void merge(struct seqset *s)
{
	size_t n = 0;

	qsort(s->r, s->n, sizeof(s->r[0]), range_cmp);
	for (size_t i = 0; i < s->n; i++) {
		struct seq_range *last = n > 0 ? &s->r[n - 1] : NULL;
		if (last && (last->hi == UINT32_MAX || s->r[i].lo <= last->hi + 1)) {
			last->hi = MAX(last->hi, s->r[i].hi);
		} else {
			s->r[n++] = s->r[i];
		}
	}
	s->n = n;
}

/* An upper bound for the elements: what stands before the set's end. */
static size_t count_elements(const struct cur *c)
{
	struct slice rest = cur_rest(c);
	size_t n = 1;

	for (size_t i = 0; i < rest.n && rest.p[i] != ' ' && rest.p[i] != ')'; i++) {
		n += rest.p[i] == ',';
	}
	return n;
}

int seqset_parse(struct cur *c, struct arena *a, uint32_t star, struct seqset *out)
{
	struct seqset s = { 0 };

	s.r = arena_array(a, count_elements(c), sizeof(s.r[0]));
	if (!s.r) {
		return cur_fail(c, -ENOMEM);
	}
	do {
		if (seq_element(c, star, &s, &s.r[s.n])) {
			s.n++;
		}
	} while (!c->err && cur_opt(c, ','));
	if (c->err) {
		return c->err;
	}
	if (s.n > 0) {
		merge(&s);
	}
	*out = s;
	return 0;
}

bool seqset_has(const struct seqset *s, uint32_t v)
{
	size_t lo = 0;
	size_t hi = s->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (v < s->r[mid].lo) {
			hi = mid;
		} else if (v > s->r[mid].hi) {
			lo = mid + 1;
		} else {
			return true;
		}
	}
	return false;
}

void seqset_write(struct buf *b, const uint32_t *v, size_t n)
{
	for (size_t i = 0; i < n;) {
		size_t j = i + 1;
		while (j < n && v[j - 1] != UINT32_MAX && v[j] == v[j - 1] + 1) {
			j++;
		}
		if (i > 0) {
			buf_addc(b, ',');
		}
		buf_addu(b, v[i]);
		if (j > i + 1) {
			buf_addc(b, ':');
			buf_addu(b, v[j - 1]);
		}
		i = j;
	}
}
