/*
 * Asking the full-text index (store_text_find).
 *
 * A needle becomes lookups (text_token.c). For each segment, each dictionary
 * block of the zones in question is gone over with memmem for each lookup; the
 * postings of tokens that are hit set bits; where all lookups have set the
 * bit, the message is a hit; where a hit is only possible (a phrase, a field),
 * the kept text of the message decides (kept.h), and without one the message is
 * not covered. A segment whose rows cannot be read or do not check is left out
 * of what is covered, and noted for the indexer to drop.
 */
#include <stdlib.h>

#include "store/kept.h"

#define LOOKUPS_ALL (2 * LOOKUPS_MAX)
#define TRIES 4 /* when segments are merged under us */

struct finder {
	struct store_mailbox *m;
	const struct store_text_query *q;
	struct lookup lookup[LOOKUPS_ALL];
	struct slice word[LOOKUPS_MAX];
	unsigned n; /* of either */
	bool zones[ZONES];
	bool exact;
	struct kept_page kept;
	/* the segment of the moment */
	struct segment s;
	struct doc *doc;
	uint64_t *bits[LOOKUPS_ALL];
	uint64_t *hits;
	size_t n_words; /* of a bit set */
	struct buf dict_row, postings_row;
	struct slice postings;
	bool have_postings;
	/* the answer */
	struct store_uid_range *range;
	size_t n_range, cap_range;
	uint32_t *uid;
	size_t n_uid, cap_uid;
};

/* ---- what is asked ----------------------------------------------------------- */

/* The name stands whole in the line: between its start and the colon. */
static unsigned ask_field(struct slice name, struct buf *scratch, struct lookup *out)
{
	struct buf line = BUF_INIT(name.n + 2);
	bool exact;
	unsigned n = 0;

	buf_addc(&line, '\n');
	buf_add(&line, name);
	buf_addc(&line, ':');
	if (line.err == 0 && utf8_fold(scratch, buf_slice(&line)) == 0) {
		n = lookups_of(buf_slice(scratch), out, &exact);
	}
	buf_fini(&line);
	return n;
}

static void plan(struct finder *f, struct buf *scratch)
{
	const struct store_text_query *q = f->q;

	f->zones[ZONE_BODY] = q->where != STORE_TEXT_FIELD;
	f->zones[ZONE_HEADER] = q->where != STORE_TEXT_BODY;
	if (q->fuzzy) {
		f->n = words_of(q->needle, f->word);
		f->exact = true;
		return;
	}
	f->n = lookups_of(q->needle, f->lookup, &f->exact);
	if (q->where == STORE_TEXT_FIELD) {
		f->n += ask_field(q->field, scratch, f->lookup + f->n);
		f->exact = false;
	}
}

/* ---- one block ---------------------------------------------------------------- */

/* Can a token that begins with s be in the (sorted) block? */
static bool block_may_start(const struct dict *d, struct slice s)
{
	struct slice first = dict_token(d);
	size_t n = MIN(first.n, s.n);
	size_t at = slice_rchr(slice_sub(d->text, 0, d->text.n - 1), 0) + 1;
	struct slice last = slice_sub(d->text, at, d->text.n - 1 - at);

	return (n == 0 || memcmp(first.p, s.p, n) <= 0) && slice_cmp(last, s) >= 0;
}

CO_FN static int need_postings(struct finder *f, unsigned kind, uint32_t block)
{
	if (f->have_postings) {
		return 0;
	}
	int r = index_row(f->m, key_block(f->s.id, kind, block), &f->postings_row);

	r = r ? r : postings_open(buf_slice(&f->postings_row), &f->postings);
	f->have_postings = r == 0;
	return r;
}

static int mark(struct finder *f, const struct dict *d, unsigned i)
{
	if (d->off > f->postings.n || d->size > f->postings.n - d->off) {
		return -EIO;
	}
	return postings_mark(slice_sub(slice_from(f->postings, d->off), 0, d->size), f->bits[i],
			     f->s.n_docs);
}

/* Tokens of the block that pass lookup i. */
CO_FN static int look_exact(struct finder *f, struct dict d, unsigned i, unsigned kind,
			    uint32_t block)
{
	const struct lookup *l = &f->lookup[i];
	char pattern[TOKEN_MAX + 2];
	size_t n = 0, from = 0;
	int r = 0;

	assert(l->s.n > 0 && l->s.n <= TOKEN_MAX);
	if (l->starts) {
		pattern[n++] = 0;
	}
	memcpy(pattern + n, l->s.p, l->s.n);
	n += l->s.n;
	if (l->ends) {
		pattern[n++] = 0;
	}
	if (l->starts && !block_may_start(&d, l->s)) {
		return 0;
	}
	while (r == 0) {
		size_t at = text_find(d.text, from, slice_make(pattern, n));

		if (at == SIZE_MAX) {
			return 0;
		}
		r = dict_seek(&d, at + l->starts);
		r = r ? r : need_postings(f, kind, block);
		r = r ? r : mark(f, &d, i);
		from = d.pos + dict_token(&d).n; /* the NUL behind the token */
	}
	return r;
}

CO_FN static int look_near(struct finder *f, struct dict d, unsigned i, unsigned kind,
			   uint32_t block)
{
	int r = 1;

	while (r == 1) {
		if (token_near(dict_token(&d), f->word[i])) {
			r = need_postings(f, kind, block);
			r = r ? r : mark(f, &d, i);
			if (r) {
				return r;
			}
		}
		r = dict_next(&d);
	}
	return r;
}

CO_FN static int look_block(struct finder *f, enum zone z, uint32_t block)
{
	unsigned kind = 2 * (unsigned)z;
	struct dict d;
	int r = index_row(f->m, key_block(f->s.id, ROW_DICT + kind, block), &f->dict_row);

	r = r ? r : dict_open(buf_slice(&f->dict_row), &d);
	f->have_postings = false;
	for (unsigned i = 0; i < f->n && r == 0; i++) {
		r = f->q->fuzzy ? look_near(f, d, i, ROW_POSTINGS + kind, block)
				: look_exact(f, d, i, ROW_POSTINGS + kind, block);
	}
	return r;
}

/* ---- one segment --------------------------------------------------------------- */

CO_FN static int look_zone(struct finder *f, enum zone z)
{
	int r = 0;

	for (unsigned i = 0; i < f->n; i++) {
		memset(f->bits[i], 0, f->n_words * sizeof(uint64_t));
	}
	for (uint32_t b = 0; b < f->s.blocks[z] && r == 0; b++) {
		r = look_block(f, z, b);
		if (r == 0 && co_breathe() == -ECANCELED) {
			r = -ECANCELED;
		}
	}
	for (size_t w = 0; w < f->n_words && r == 0; w++) {
		uint64_t all = ~UINT64_C(0);

		for (unsigned i = 0; i < f->n; i++) {
			all &= f->bits[i][w];
		}
		f->hits[w] |= all;
	}
	return r;
}

static int add_range(struct finder *f, uint32_t first, uint32_t last)
{
	if (first > last) {
		return 0;
	}
	if (f->n_range == f->cap_range) {
		size_t cap = f->cap_range ? 2 * f->cap_range : 16;
		struct store_uid_range *v = reallocarray(f->range, cap, sizeof(*v));

		if (!v) {
			return -ENOMEM;
		}
		f->range = v;
		f->cap_range = cap;
	}
	f->range[f->n_range++] = (struct store_uid_range){ first, last };
	return 0;
}

static int add_uid(struct finder *f, uint32_t uid)
{
	if (f->n_uid == f->cap_uid) {
		size_t cap = f->cap_uid ? 2 * f->cap_uid : 256;
		uint32_t *v = reallocarray(f->uid, cap, sizeof(*v));

		if (!v) {
			return -ENOMEM;
		}
		f->uid = v;
		f->cap_uid = cap;
	}
	f->uid[f->n_uid++] = uid;
	return 0;
}

static int add_answer(struct finder *f)
{
	uint32_t first = f->s.first;
	int r = 0;

	assert(f->doc);
	for (uint32_t i = 0; i < f->s.n_docs && r == 0; i++) {
		const struct doc *d = &f->doc[i];

		if (d->open) {
			r = add_range(f, first, d->uid - 1);
			first = d->uid + 1;
		} else if (f->hits[i / 64] >> (i % 64) & 1) {
			r = add_uid(f, d->uid);
		}
	}
	return r ? r : add_range(f, first, f->s.last);
}

/* Decides what the index takes for possible. */
CO_FN static int verify(struct finder *f)
{
	unsigned zones = kept_zones(f->q);

	assert(f->doc || f->s.n_docs == 0);
	for (uint32_t i = 0; i < f->s.n_docs; i++) {
		uint64_t bit = UINT64_C(1) << (i % 64);
		struct doc *d = &f->doc[i];

		if (d->open || !(f->hits[i / 64] & bit)) {
			continue;
		}
		int r = kept_load(&f->kept, f->m, d->uid, zones);

		if (r) {
			return r;
		}
		const struct kept_doc *text = &f->kept.doc[d->uid % KEPT_UIDS];

		if ((text->have & zones) != zones) {
			d->open = true; /* its message must be looked at */
		} else if (!kept_match(text, f->q)) {
			f->hits[i / 64] &= ~bit;
		}
		if (co_breathe() == -ECANCELED) {
			return -ECANCELED;
		}
	}
	return 0;
}

CO_FN static int look_segment(struct finder *f)
{
	int r = index_docs(f->m, &f->s, &f->doc);
	uint64_t *all = NULL;

	f->n_words = f->s.n_docs / 64 + 1;
	if (r == 0) {
		all = calloc((f->n + 1) * f->n_words, sizeof(*all));
		r = all ? 0 : -ENOMEM;
	}
	f->hits = all;
	for (unsigned i = 0; all && i < f->n; i++) {
		f->bits[i] = all + (i + 1) * f->n_words;
	}
	if (r == 0 && f->n == 0) {
		memset(f->hits, 0xff, f->n_words * sizeof(*f->hits));
	}
	for (int z = 0; z < ZONES && r == 0 && f->n > 0; z++) {
		if (f->zones[z]) {
			r = look_zone(f, (enum zone)z);
		}
	}
	r = r || f->exact ? r : verify(f);
	r = r ? r : add_answer(f);
	free(all);
	free(f->doc);
	f->doc = NULL;
	return r;
}

/* ---- all of them ---------------------------------------------------------------- */

/* Does the manifest on disk still name the segment? */
CO_FN static bool still_there(struct finder *f)
{
	struct manifest mf;
	bool found = false;

	if (index_load(f->m, &mf, NULL)) {
		return false;
	}
	for (size_t i = 0; i < mf.n; i++) {
		found = found || mf.v[i].id == f->s.id;
	}
	manifest_free(&mf);
	return found;
}

/* 0, 1: segments changed under us, <0. */
CO_FN static int look_all(struct finder *f, const struct manifest *mf)
{
	int r = 0;

	f->n_range = f->n_uid = 0;
	for (size_t i = 0; i < mf->n && r == 0; i++) {
		size_t ranges = f->n_range, uids = f->n_uid;

		f->s = mf->v[i];
		r = look_segment(f);
		if (r == -EIO || r == -ENOENT) {
			f->n_range = ranges;
			f->n_uid = uids;
			r = still_there(f) ? 0 : 1;
			if (r == 0) {
				f->m->text.bad = f->s.id;
				text_touch(f->m, 0);
			}
		}
	}
	return r;
}

CO_FN static int find(struct finder *f, struct err *e)
{
	struct manifest mf;
	int r = 1;

	for (int tries = 0; tries < TRIES && r == 1; tries++) {
		r = index_load(f->m, &mf, e);
		if (r == 0) {
			r = look_all(f, &mf);
			manifest_free(&mf);
		}
	}
	return r == 1 ? 0 : r;
}

static int hand_over(struct finder *f, struct arena *a, struct store_text_hits *out)
{
	out->covered = arena_array(a, f->n_range, sizeof(*out->covered));
	out->uids = arena_array(a, f->n_uid, sizeof(*out->uids));
	if (!out->covered || !out->uids) {
		return arena_err(a);
	}
	if (f->n_range) {
		memcpy(out->covered, f->range, f->n_range * sizeof(*f->range));
	}
	if (f->n_uid) {
		memcpy(out->uids, f->uid, f->n_uid * sizeof(*f->uid));
	}
	out->n_covered = f->n_range;
	out->n = f->n_uid;
	return 0;
}

CO_FN int store_text_find(struct store_mailbox *m, const struct store_text_query *q,
			  struct arena *a, struct store_text_hits *out, struct err *e)
{
	struct finder f = { .m = m, .q = q };
	struct buf scratch = BUF_INIT(1 << 20);
	int r = 0;

	home_assert(m->a->home);
	*out = (struct store_text_hits){ 0 };
	buf_init(&f.dict_row, KV_VALUE_MAX);
	buf_init(&f.postings_row, KV_VALUE_MAX);
	kept_init(&f.kept);
	plan(&f, &scratch);
	if (f.n || !q->fuzzy) {
		r = index_on_demand(m, e);
		r = r ? r : find(&f, e);
		r = r ? r : hand_over(&f, a, out);
	}
	buf_fini(&f.dict_row);
	buf_fini(&f.postings_row);
	buf_fini(&scratch);
	kept_fini(&f.kept);
	free(f.range);
	free(f.uid);
	return r;
}
