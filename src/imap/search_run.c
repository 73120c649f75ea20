/*
 * search_run: runs a search program; see search_run.h.
 *
 * Messages are taken in batches. For each batch, what is in memory and what
 * the full-text index said is filled in first; where that does not decide,
 * the summaries of the headers are read; and only then, message by message,
 * headers and bodies. The index is asked once for each leaf, when the first
 * message needs it.
 */
#include <stdlib.h>

#include "base/err.h"
#include "imap/saved.h"
#include "imap/search_look.h"
#include "imap/search_run.h"
#include "store/text.h"

struct search_work {
	size_t n;
	uint32_t seqs[SEARCH_BATCH];
	uint32_t uids[SEARCH_BATCH];
	unsigned char truth[SEARCH_BATCH];
	struct store_msg msgs[SEARCH_BATCH];
	unsigned char *vals;	  /* a row of prog->n for each message */
	unsigned char *scores;	  /* the same, fuzzy programs only */
	size_t ask[SEARCH_BATCH]; /* rows whose summaries are read */
	size_t asked;
	size_t at;
	struct store_text_hits **hits; /* for each operation; NULL: not asked */
	bool index_asked;
	bool has_summary_ops;
	int64_t now;
	struct search_look look;
};

/* ---- leaves that are free ---------------------------------------------------- */

int64_t search_day(int64_t unix_seconds, int zone)
{
	int64_t local = unix_seconds + zone * INT64_C(60);

	return local >= 0 ? local / 86400 : -((86399 - local) / 86400);
}

bool search_by_day(enum search_kind kind, int64_t day, int64_t want)
{
	switch (kind) {
	case SEARCH_BEFORE:
	case SEARCH_SENTBEFORE:
	case SEARCH_SAVEDBEFORE:
		return day < want;
	case SEARCH_ON:
	case SEARCH_SENTON:
	case SEARCH_SAVEDON:
		return day == want;
	default:
		return day >= want;
	}
}

static bool by_time(const struct search_run *x, const struct search_op *op,
		    const struct store_msg *m)
{
	int64_t then = x->work->now - (int64_t)op->number;

	switch (op->kind) {
	case SEARCH_OLDER:
		return m->internal_date <= then;
	case SEARCH_YOUNGER:
		return m->internal_date >= then;
	case SEARCH_SAVEDBEFORE:
	case SEARCH_SAVEDON:
	case SEARCH_SAVEDSINCE:
		return search_by_day(op->kind, search_day(m->save_date, 0), op->days);
	default:
		return search_by_day(op->kind, search_day(m->internal_date, m->internal_zone),
				     op->days);
	}
}

static bool free_leaf(const struct search_run *x, const struct search_op *op, uint32_t seq,
		      const struct store_msg *m)
{
	switch (op->kind) {
	case SEARCH_ALL:
		return true;
	case SEARCH_FLAG:
		return !!(m->flags.system & op->number) == op->want;
	case SEARCH_KEYWORD:
		return !!(m->flags.keywords & op->number) == op->want;
	case SEARCH_RECENT:
		return store_view_recent(x->view, seq) == op->want;
	case SEARCH_NEW:
		return store_view_recent(x->view, seq) && !(m->flags.system & STORE_SEEN);
	case SEARCH_SEQ:
		return seqset_has(&op->set, seq);
	case SEARCH_UID:
		return seqset_has(&op->set, m->uid);
	case SEARCH_SAVED:
		return x->saved && imap_saved_has(x->saved, m->uid);
	case SEARCH_LARGER:
		return m->size > op->number;
	case SEARCH_SMALLER:
		return m->size < op->number;
	case SEARCH_MODSEQ:
		return m->modseq >= op->number;
	case SEARCH_EMAILID:
		return search_is_emailid(op->name, m);
	default:
		return by_time(x, op, m);
	}
}

/* ---- the index ----------------------------------------------------------------- */

/* May the index know? An empty text is found without it. */
static bool indexable(const struct search_op *op)
{
	return (op->kind == SEARCH_HEADER || op->kind == SEARCH_BODY || op->kind == SEARCH_TEXT) &&
	       op->text.n > 0;
}

/* One question; without an answer the messages are looked at. */
CO_FN static void ask_index(struct search_run *x, size_t i)
{
	const struct search_op *op = &x->prog->ops[i];
	struct arena_mark mark = arena_mark(x->a);
	struct store_text_hits *h = arena_new(x->a, struct store_text_hits);
	struct err e = ERR_INIT;
	struct store_text_query q = {
		.where = op->kind == SEARCH_BODY   ? STORE_TEXT_BODY
			 : op->kind == SEARCH_TEXT ? STORE_TEXT_ALL
						   : STORE_TEXT_FIELD,
		.field = op->name,
		.needle = op->text,
		.fuzzy = op->fuzzy,
	};

	if (!h || store_text_find(x->mbox, &q, x->a, h, &e) != STORE_OK || h->n_covered == 0) {
		arena_reset(x->a, mark);
		return;
	}
	x->work->hits[i] = h;
}

CO_FN static void ask_index_all(struct search_run *x)
{
	unsigned asked = 0;

	for (size_t i = 0; i < x->prog->n && asked < SEARCH_INDEX_ASKED_MAX; i++) {
		if (indexable(&x->prog->ops[i])) {
			ask_index(x, i);
			asked++;
		}
	}
	x->work->index_asked = true;
}

static bool covered(const struct store_text_hits *h, uint32_t uid)
{
	size_t lo = 0;
	size_t hi = h->n_covered;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (uid < h->covered[mid].first) {
			hi = mid;
		} else if (uid > h->covered[mid].last) {
			lo = mid + 1;
		} else {
			return true;
		}
	}
	return false;
}

static bool is_hit(const struct store_text_hits *h, uint32_t uid)
{
	size_t lo = 0;
	size_t hi = h->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (h->uids[mid] < uid) {
			lo = mid + 1;
		} else {
			hi = mid;
		}
	}
	return lo < h->n && h->uids[lo] == uid;
}

static enum search_truth index_says(const struct search_run *x, size_t i, uint32_t uid)
{
	const struct store_text_hits *h = x->work->hits[i];

	if (!h || !covered(h, uid)) {
		return SEARCH_UNKNOWN;
	}
	return is_hit(h, uid) ? SEARCH_TRUE : SEARCH_FALSE;
}

/* ---- one batch ------------------------------------------------------------------ */

static unsigned char *row_of(const struct search_run *x, size_t k)
{
	return x->work->vals + k * x->prog->n;
}

static void set_score(struct search_run *x, size_t k, size_t i, unsigned char score)
{
	unsigned char *s = x->work->scores ? x->work->scores + k * x->prog->n + i : NULL;

	if (s && x->prog->ops[i].fuzzy) {
		*s = MAX(*s, score);
	}
}

/* What is in memory, of all messages of the batch. */
static void fill_free(struct search_run *x)
{
	struct search_work *w = x->work;

	memset(w->vals, SEARCH_UNKNOWN, w->n * x->prog->n);
	if (w->scores) {
		memset(w->scores, 0, w->n * x->prog->n);
	}
	for (size_t k = 0; k < w->n; k++) {
		if (store_view_msg(x->view, w->seqs[k], &w->msgs[k]) != STORE_OK) {
			w->truth[k] = SEARCH_FALSE;
			continue;
		}
		w->uids[k] = w->msgs[k].uid;
		for (size_t i = 0; i < x->prog->n; i++) {
			const struct search_op *op = &x->prog->ops[i];
			if (op->kind > SEARCH_NOT && search_price(op->kind) == SEARCH_FREE) {
				row_of(x, k)[i] = free_leaf(x, op, w->seqs[k], &w->msgs[k]);
				set_score(x, k, i, 100);
			}
		}
		w->truth[k] = search_eval(x->prog, row_of(x, k));
	}
}

static bool any_unknown(const struct search_work *w)
{
	return w->n > 0 && memchr(w->truth, SEARCH_UNKNOWN, w->n);
}

static void fill_index(struct search_run *x)
{
	struct search_work *w = x->work;

	for (size_t k = 0; k < w->n; k++) {
		if (w->truth[k] == SEARCH_FALSE) {
			continue;
		}
		for (size_t i = 0; i < x->prog->n; i++) {
			if (w->hits[i]) {
				row_of(x, k)[i] = index_says(x, i, w->uids[k]);
				set_score(x, k, i, SEARCH_SCORE_BODY);
			}
		}
		w->truth[k] = search_eval(x->prog, row_of(x, k));
	}
}

/* A store_summary_fn: the leaves that a header's summary decides. */
static int take_summary(void *arg, const struct store_summary *s)
{
	struct search_run *x = arg;
	struct search_work *w = x->work;

	while (w->at < w->asked && w->uids[w->ask[w->at]] < s->uid) {
		w->at++;
	}
	if (w->at == w->asked || w->uids[w->ask[w->at]] != s->uid) {
		return 0;
	}
	size_t k = w->ask[w->at];
	for (size_t i = 0; i < x->prog->n; i++) {
		const struct search_op *op = &x->prog->ops[i];
		unsigned char score = 100;
		if (search_price(op->kind) == SEARCH_SUMMARY && op->kind > SEARCH_NOT) {
			row_of(x, k)[i] = search_summary_leaf(op, s, &score);
			set_score(x, k, i, score);
		} else if (w->scores && op->fuzzy) {
			set_score(x, k, i, search_summary_score(op, s));
		}
	}
	w->truth[k] = search_eval(x->prog, row_of(x, k));
	return 0;
}

/* Reads summaries of those that need one; all that may be found, if they are
 * to be scored. */
CO_FN static int fill_summaries(struct search_run *x)
{
	struct search_work *w = x->work;
	uint32_t uids[SEARCH_BATCH];
	struct err e = ERR_INIT;
	int r;

	w->asked = 0;
	w->at = 0;
	for (size_t k = 0; k < w->n; k++) {
		if (w->truth[k] == SEARCH_UNKNOWN || (w->truth[k] == SEARCH_TRUE && w->scores)) {
			uids[w->asked] = w->uids[k];
			w->ask[w->asked++] = k;
		}
	}
	r = w->asked ? store_summaries(x->mbox, uids, w->asked, take_summary, x, &e) : 0;
	/* Without summaries the messages themselves are looked at. */
	return r == -ECANCELED || r == -ENOMEM ? r : 0;
}

/* Opens one message, dearer and dearer, until the answer is certain. */
CO_FN static void look_at(struct search_run *x, size_t k)
{
	struct search_work *w = x->work;
	unsigned char *vals = row_of(x, k);

	search_look_start(&w->look, &w->msgs[k]);
	for (unsigned price = SEARCH_SUMMARY;
	     price < SEARCH_PRICES && w->truth[k] == SEARCH_UNKNOWN; price++) {
		for (size_t i = 0; i < x->prog->n; i++) {
			const struct search_op *op = &x->prog->ops[i];
			if (op->kind > SEARCH_NOT && search_price(op->kind) == price &&
			    vals[i] == SEARCH_UNKNOWN) {
				vals[i] = search_look_leaf(&w->look, op);
				set_score(x, k, i, SEARCH_SCORE_BODY);
			}
		}
		w->truth[k] = search_eval(x->prog, vals);
	}
	x->failed = x->failed || w->look.failed;
	search_look_end(&w->look);
}

/* The mean of the fuzzy keys that are true. RFC 6203 4 leaves it to us. */
static uint8_t score_of(const struct search_run *x, size_t k)
{
	const unsigned char *scores = x->work->scores;
	unsigned sum = 0;
	unsigned n = 0;

	for (size_t i = 0; scores && i < x->prog->n; i++) {
		const struct search_op *op = &x->prog->ops[i];
		if (op->kind > SEARCH_NOT && op->fuzzy && row_of(x, k)[i] == SEARCH_TRUE) {
			sum += scores[k * x->prog->n + i];
			n++;
		}
	}
	return scores ? (uint8_t)MAX(n ? sum / n : 1, 1) : 0;
}

static int keep(struct search_run *x, size_t k)
{
	if (x->n == x->cap) {
		size_t cap = x->cap ? x->cap * 2 : 64;
		struct search_found *v = reallocarray(x->v, cap, sizeof(*v));
		if (!v) {
			return -ENOMEM;
		}
		x->v = v;
		x->cap = cap;
	}
	x->v[x->n++] = (struct search_found){
		.seq = x->work->seqs[k],
		.uid = x->work->uids[k],
		.score = score_of(x, k),
	};
	return 0;
}

CO_FN static int run_batch(struct search_run *x)
{
	struct search_work *w = x->work;
	int r = 0;

	fill_free(x);
	if (any_unknown(w) && !w->index_asked) {
		ask_index_all(x);
	}
	if (any_unknown(w)) {
		fill_index(x);
	}
	if (w->scores || (w->has_summary_ops && any_unknown(w))) {
		r = fill_summaries(x);
	}
	for (size_t k = 0; r == 0 && k < w->n && !(x->limit && x->n >= x->limit); k++) {
		if (w->truth[k] == SEARCH_UNKNOWN) {
			look_at(x, k);
			r = co_breathe();
		}
		if (r == 0 && w->truth[k] == SEARCH_TRUE) {
			r = keep(x, k);
		}
	}
	return r < 0 ? r : co_breathe();
}

/* ---- the whole ------------------------------------------------------------------ */

/* Keywords are bits of this mailbox. */
static void resolve(struct search_run *x)
{
	for (size_t i = 0; i < x->prog->n; i++) {
		struct search_op *op = &x->prog->ops[i];
		if (op->kind == SEARCH_KEYWORD &&
		    store_keyword_bits(x->mbox, &op->name, 1, false, &op->number) != STORE_OK) {
			op->number = 0;
		}
		x->work->has_summary_ops |=
			op->kind > SEARCH_NOT && search_price(op->kind) == SEARCH_SUMMARY;
	}
}

static bool start(struct search_run *x)
{
	struct search_work *w = calloc(1, sizeof(*w));

	x->work = w;
	if (!w) {
		return false;
	}
	w->now = clock_wall_ms() / 1000;
	w->vals = calloc(SEARCH_BATCH, x->prog->n);
	w->scores = x->prog->fuzzy ? calloc(SEARCH_BATCH, x->prog->n) : NULL;
	w->hits = calloc(x->prog->n, sizeof(struct store_text_hits *));
	resolve(x);
	return w->vals && w->hits && (w->scores || !x->prog->fuzzy) &&
	       search_look_init(&w->look, x->mbox, x->a);
}

static void finish(struct search_run *x)
{
	struct search_work *w = x->work;

	if (w) {
		search_look_fini(&w->look);
		free(w->vals);
		free(w->scores);
		free(w->hits);
		free(w);
		x->work = NULL;
	}
}

CO_FN int search_run(struct search_run *x, const uint32_t *seqs, size_t n)
{
	struct arena_mark mark = arena_mark(x->a);
	int r = start(x) ? 0 : -ENOMEM;

	n = seqs ? n : store_view_count(x->view);
	for (size_t i = 0; r == 0 && i < n && !(x->limit && x->n >= x->limit);) {
		struct search_work *w = x->work;
		if (x->cmd) {
			imap_progress(x->cmd, i, n);
		}
		for (w->n = 0; w->n < SEARCH_BATCH && i < n; i++) {
			w->seqs[w->n++] = seqs ? seqs[i] : (uint32_t)i + 1;
		}
		r = run_batch(x);
	}
	finish(x);
	arena_reset(x->a, mark);
	return r;
}

void search_run_fini(struct search_run *x)
{
	free(x->v);
	x->v = NULL;
	x->n = 0;
	x->cap = 0;
}
