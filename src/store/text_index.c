/*
 * Upkeep of the full-text index: what is missing is read, built and written;
 * what is in many pieces is merged; what is gone or too much is dropped.
 *
 * One step is one segment, so that a stop loses little. Messages are read on
 * the loop, a batch at a time, without any lock; decoding, folding and
 * counting of words is done in a worker. The newest messages come first.
 * Called by text_home.c in the background, by searches over much that is
 * missing, and by tests.
 */
#include <stdlib.h>

#include "mime/header.h"
#include "mime/text.h"
#include "store/kept.h"

#define BATCH_RAW (256u << 10) /* bytes read before a worker gets them */
#define BATCH_DOCS 32u	       /* messages of it */
#define BATCH_TREES (1u << 20) /* bytes of their trees */
#define RAW_MAX (3u << 19)     /* of one message; more is not indexed */
#define PIECES_MAX 512u	       /* text parts and headers of one message */
#define BUILD_DOCS 16384u      /* messages of one build */
#define MISSING_MUCH 256u      /* a search indexes first */
#define DEMAND_MS 30000	       /* at most for that long: half of what looking takes */
#define BUSY_MS 20
#define DEMAND_AGAIN_MS 30000 /* and not again so soon: a command may ask often */

/* ---- one batch of messages -------------------------------------------------- */

struct piece {
	enum zone zone;
	const struct mime_part *part; /* NULL: header lines */
	size_t off, n;		      /* in raw */
};

struct one {
	uint32_t uid;
	bool open;
	size_t first, n; /* pieces */
};

struct batch {
	struct store_mailbox *m;
	struct build *b;
	struct keeper *k;
	struct arena trees;
	struct buf raw;
	struct one one[BATCH_DOCS];
	size_t n;
	struct piece *piece;
	size_t n_pieces, cap_pieces;
	struct buf text; /* the worker's */
};

static int batch_init(struct batch *x, struct store_mailbox *m)
{
	*x = (struct batch){ .m = m, .b = build_new(), .k = keeper_new() };
	arena_init(&x->trees, MIME_TREE_MAX);
	buf_init(&x->raw, BATCH_RAW + RAW_MAX + MIME_HEADER_MAX);
	buf_init(&x->text, 4 * INDEX_TEXT_MAX);
	return x->b && x->k ? 0 : -ENOMEM;
}

static void batch_fini(struct batch *x)
{
	build_free(&x->b);
	keeper_free(&x->k);
	arena_fini(&x->trees);
	buf_fini(&x->raw);
	buf_fini(&x->text);
	free(x->piece);
}

static void batch_reset(struct batch *x)
{
	arena_fini(&x->trees);
	buf_reset(&x->raw);
	x->n = x->n_pieces = 0;
}

static bool batch_full(const struct batch *x)
{
	return x->n == BATCH_DOCS || x->raw.n >= BATCH_RAW || x->trees.used >= BATCH_TREES;
}

/* ---- in the worker ------------------------------------------------------------ */

static void header_words(struct batch *x, enum zone zone, struct slice header)
{
	struct mime_field f;

	while (mime_field_next(&header, &f)) {
		buf_reset(&x->text);
		mime_header_text(f.raw, &x->text);
		build_text(x->b, zone, buf_slice(&x->text));
		if (zone == ZONE_HEADER) {
			keeper_field(x->k, &f, buf_slice(&x->text));
		} else {
			keeper_body(x->k, buf_slice(&x->text));
		}
		/* A name that reads otherwise with its body behind it. */
		if (slice_has_8bit(f.name) || slice_find(f.name, S("=?")) != SIZE_MAX) {
			buf_reset(&x->text);
			mime_header_text(f.name, &x->text);
			buf_addc(&x->text, '\n');
			mime_header_text(f.body, &x->text);
			build_text(x->b, zone, buf_slice(&x->text));
		}
	}
}

static int part_words(struct batch *x, const struct piece *p, struct slice raw)
{
	struct mime_text *t = mime_text_new(p->part);

	if (!t) {
		return -ENOMEM;
	}
	buf_reset(&x->text);
	mime_text_feed(t, raw, &x->text);
	mime_text_end(t, &x->text);
	mime_text_free(&t);
	if (x->text.err) {
		build_open(x->b);
		keeper_skip(x->k);
	} else {
		build_text(x->b, p->zone, buf_slice(&x->text));
		keeper_body(x->k, buf_slice(&x->text));
	}
	return 0;
}

static int one_words(struct batch *x, const struct one *o)
{
	int r = build_doc(x->b, o->uid);

	keeper_doc(x->k, o->uid);
	if (r == 0 && o->open) {
		build_open(x->b);
		keeper_skip(x->k);
	}
	for (size_t i = o->first; r == 0 && i < o->first + o->n; i++) {
		const struct piece *p = &x->piece[i];
		struct slice raw = slice_sub(slice_from(buf_slice(&x->raw), p->off), 0, p->n);

		if (p->part) {
			r = part_words(x, p, raw);
		} else {
			header_words(x, p->zone, raw);
		}
	}
	return r;
}

static int batch_words(void *arg)
{
	struct batch *x = arg;
	int r = 0;

	for (size_t i = 0; i < x->n && r == 0; i++) {
		r = one_words(x, &x->one[i]);
	}
	return r ? r : build_err(x->b);
}

/* ---- reading ------------------------------------------------------------------- */

static int add_piece(struct batch *x, const struct piece *p)
{
	if (x->n_pieces == x->cap_pieces) {
		size_t cap = x->cap_pieces ? 2 * x->cap_pieces : 64;
		struct piece *v = reallocarray(x->piece, cap, sizeof(*v));

		if (!v) {
			return -ENOMEM;
		}
		x->piece = v;
		x->cap_pieces = cap;
	}
	x->piece[x->n_pieces++] = *p;
	return 0;
}

CO_FN static int read_raw(struct batch *x, uint32_t uid, uint64_t off, uint64_t n)
{
	char *p = buf_reserve(&x->raw, n);
	uint64_t done = 0;

	if (!p) {
		return x->raw.err;
	}
	while (done < n) {
		ssize_t r = store_read(x->m, uid, off + done, p + done, n - done, NULL);

		if (r <= 0) {
			return r ? (int)r : -EIO;
		}
		done += (uint64_t)r;
	}
	buf_commit(&x->raw, n);
	return 0;
}

CO_FN static int read_piece(struct batch *x, uint32_t uid, const struct mime_text_piece *t,
			    enum zone zone)
{
	struct piece p = { zone, t->part, x->raw.n, t->len };
	int r = read_raw(x, uid, t->off, t->len);

	return r ? r : add_piece(x, &p);
}

/* What a message has to read. False: more than is indexed. */
static bool fits(const struct mime_tree *tree)
{
	struct mime_text_piece t = { 0 };
	const struct mime_part *at = NULL;
	uint64_t n = 0;
	unsigned pieces = 0;

	while (mime_text_next(tree, &at, &t)) {
		n += t.len;
		pieces++;
	}
	return n <= RAW_MAX && pieces <= PIECES_MAX;
}

CO_FN static int read_pieces(struct batch *x, const struct mime_tree *tree, uint32_t uid)
{
	const struct mime_part *root = tree->root, *at = NULL;
	struct mime_text_piece t = { NULL, root->header_off,
				     MIN(root->header_len, MIME_HEADER_MAX) };
	int r = read_piece(x, uid, &t, ZONE_HEADER);

	while (r == 0 && mime_text_next(tree, &at, &t)) {
		r = read_piece(x, uid, &t, ZONE_BODY);
	}
	return r;
}

/* 0 (perhaps without it: it is gone), -ECANCELED, -ENOMEM. */
CO_FN static int read_message(struct batch *x, uint32_t uid)
{
	struct one *o = &x->one[x->n];
	size_t raw = x->raw.n;
	struct mime_tree tree;

	*o = (struct one){ .uid = uid, .first = x->n_pieces };
	int r = store_tree(x->m, uid, &x->trees, &tree, NULL);

	if (r == 0 && !fits(&tree)) {
		r = -EMSGSIZE;
	}
	r = r ? r : read_pieces(x, &tree, uid);
	if (r == -ECANCELED || r == -ENOENT) {
		buf_truncate(&x->raw, raw);
		x->n_pieces = o->first;
		return r == -ENOENT ? 0 : r;
	}
	if (r) {
		/* Too big, or not to be read: whoever searches tries. */
		x->raw.err = 0;
		buf_truncate(&x->raw, raw);
		x->n_pieces = o->first;
		o->open = true;
	}
	o->n = x->n_pieces - o->first;
	x->n++;
	return 0;
}

/* ---- what is missing ------------------------------------------------------------- */

static const struct segment *segment_of(const struct manifest *mf, uint32_t uid)
{
	size_t lo = 0, hi = mf->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (mf->v[mid].last < uid) {
			lo = mid + 1;
		} else {
			hi = mid;
		}
	}
	return lo < mf->n && mf->v[lo].first <= uid ? &mf->v[lo] : NULL;
}

size_t index_missing(const struct store_mailbox *m, const struct manifest *mf)
{
	size_t n = 0, at = 0;

	for (size_t i = 0; i < m->n; i++) {
		while (at < mf->n && mf->v[at].last < m->v[i].uid) {
			at++;
		}
		n += m->v[i].gone_at == 0 && (at == mf->n || m->v[i].uid < mf->v[at].first);
	}
	return n;
}

/*
 * The newest messages no segment speaks about, a run of them, ascending.
 * Nothing below the oldest segment when the index is nearly as big as it may
 * be.
 */
static size_t choose(const struct store_mailbox *m, const struct manifest *mf, uint32_t **out)
{
	bool nearly = manifest_bytes(mf) > INDEX_BYTES_MAX / 8 * 7;
	uint32_t floor = nearly && mf->n ? mf->v[0].first : 0;
	uint32_t *v = calloc(BUILD_DOCS, sizeof(*v));
	size_t n = 0;

	for (size_t i = m->n; v && i-- > 0 && n < BUILD_DOCS;) {
		const struct msg *e = &m->v[i];

		if (e->uid < floor || (n && segment_of(mf, e->uid))) {
			break;
		}
		if (e->gone_at == 0 && !segment_of(mf, e->uid)) {
			v[BUILD_DOCS - ++n] = e->uid;
		}
	}
	if (v && n) {
		memmove(v, v + BUILD_DOCS - n, n * sizeof(*v));
	}
	*out = v;
	return n;
}

/* ---- building ---------------------------------------------------------------------- */

/* Reads and counts until the memory, the time or the messages are used up; how
 * many of the uids were done. */
CO_FN static int build_some(struct batch *x, const uint32_t *uids, size_t n, int64_t deadline,
			    bool gently, size_t *done_out)
{
	size_t done = 0;
	int r = 0;

	while (r == 0 && done < n && build_memory(x->b) < INDEX_MEMORY) {
		int64_t began = clock_mono();

		batch_reset(x);
		while (r == 0 && done < n && !batch_full(x)) {
			r = read_message(x, uids[done++]);
		}
		r = r ? r : index_offload(batch_words, x);
		r = r ? r : keeper_flush(x->k, x->m, NULL);
		if (r == 0 && !index_writable(x->m)) {
			r = STORE_GONE;
		}
		if (r == 0 && clock_mono() >= deadline) {
			break;
		}
		/* In the background half of the time is others'. */
		if (r == 0 && gently && !x->m->text.hurry) {
			r = co_sleep((clock_mono() - began) / NSEC_PER_MSEC + 1);
		} else if (r == 0 && co_breathe() == -ECANCELED) {
			r = -ECANCELED;
		}
	}
	*done_out = done;
	return r;
}

CO_FN static int build_chosen(struct store_mailbox *m, struct manifest *mf, const uint32_t *uids,
			      size_t n, int64_t deadline, bool gently, struct err *e)
{
	struct batch *x = calloc(1, sizeof(*x));
	size_t done = 0;
	uint64_t kept = 0;
	int r = x ? batch_init(x, m) : -ENOMEM;

	r = r ? r : keeper_begin(x->k, m, uids[0]);
	r = r ? r : build_some(x, uids, n, deadline, gently, &done);
	if (r == 0 && build_docs(x->b)) {
		r = keeper_end(x->k, m, &kept, e);
		r = r ? r : segment_write(m, mf, x->b, uids[0], uids[done - 1], kept, e);
		r = r ? r : 1;
	}
	if (x) {
		batch_fini(x);
	}
	free(x);
	return r;
}

CO_FN static int build_missing(struct store_mailbox *m, struct manifest *mf, int64_t deadline,
			       bool gently, struct err *e)
{
	uint32_t *uids = NULL;
	size_t n = mf->n < INDEX_SEGMENTS_MAX ? choose(m, mf, &uids) : 0;
	int r = n ? build_chosen(m, mf, uids, n, deadline, gently, e) : 0;

	free(uids);
	return r;
}

/* ---- merging and dropping ------------------------------------------------------------ */

static size_t living(const struct store_mailbox *m, const struct segment *s)
{
	size_t n = 0;

	for (size_t i = box_lower(m, s->first); i < m->n && m->v[i].uid <= s->last; i++) {
		n += m->v[i].gone_at == 0;
	}
	return n;
}

static unsigned tier(const struct segment *s)
{
	unsigned t = 0;

	for (uint32_t n = s->n_docs / INDEX_FANOUT; n; n /= INDEX_FANOUT) {
		t++;
	}
	return t;
}

/* Is nothing missing between a segment and the next? */
static bool adjacent(const struct store_mailbox *m, const struct segment *a,
		     const struct segment *b)
{
	struct segment between = { .first = a->last + 1, .last = b->first - 1 };

	return between.first > between.last || living(m, &between) == 0;
}

/* How many segments from `at` on may be merged: none of a higher tier. */
static size_t run_of(const struct store_mailbox *m, const struct manifest *mf, size_t at,
		     unsigned t)
{
	uint64_t docs = 0, bytes = 0;
	size_t n = 0;

	for (; at + n < mf->n && n < 2 * INDEX_FANOUT; n++) {
		const struct segment *s = &mf->v[at + n];

		docs += s->n_docs;
		bytes += s->bytes;
		if (tier(s) > t || docs > INDEX_DOCS_MAX || bytes > INDEX_SEGMENT_MAX ||
		    (n && !adjacent(m, s - 1, s))) {
			break;
		}
	}
	return n;
}

/* The smallest ones first. False: nothing to merge. */
static bool find_run(const struct store_mailbox *m, const struct manifest *mf, size_t *at_out,
		     size_t *n_out)
{
	for (unsigned t = 0; t < 8; t++) {
		for (size_t at = 0; at < mf->n; at++) {
			size_t n = run_of(m, mf, at, t);

			if (n >= INDEX_FANOUT) {
				*at_out = at;
				*n_out = n;
				return true;
			}
		}
	}
	return false;
}

/* A segment that goes or is written anew because of what is gone from it. */
static bool find_stale(const struct store_mailbox *m, const struct manifest *mf, size_t *at_out,
		       bool *drop_out)
{
	for (size_t i = 0; i < mf->n; i++) {
		size_t n = living(m, &mf->v[i]);

		if (n * 2 < mf->v[i].n_docs || n == 0) {
			*at_out = i;
			*drop_out = n == 0;
			return true;
		}
	}
	return false;
}

CO_FN static int drop(struct store_mailbox *m, struct manifest *mf, size_t at, struct err *e)
{
	int r = index_replace(m, mf, at, 1, NULL, e);

	return r ? r : 1;
}

CO_FN static int tend(struct store_mailbox *m, struct manifest *mf, struct err *e)
{
	size_t at, n = 1;
	bool gone;

	if (manifest_bytes(mf) > INDEX_BYTES_MAX && mf->n > 1) {
		return drop(m, mf, 0, e);
	}
	if (find_stale(m, mf, &at, &gone)) {
		if (gone) {
			return drop(m, mf, at, e);
		}
	} else if (!find_run(m, mf, &at, &n)) {
		return 0;
	}
	int r = segment_merge(m, mf, at, n, e);

	return r ? r : 1;
}

/* ---- steps ------------------------------------------------------------------------------ */

/* A segment a search could not read. */
CO_FN static int drop_bad(struct store_mailbox *m, struct manifest *mf, struct err *e)
{
	uint32_t bad = m->text.bad;

	m->text.bad = 0;
	for (size_t i = 0; bad && i < mf->n; i++) {
		if (mf->v[i].id == bad) {
			return drop(m, mf, i, e);
		}
	}
	return 0;
}

CO_FN int index_step(struct store_mailbox *m, enum index_pace pace, int64_t deadline, struct err *e)
{
	struct manifest mf;

	assert(m->refs && m->state == BOX_LOADED);
	if (m->text.busy || !index_writable(m)) {
		return 0;
	}
	m->text.busy = true;
	int r = index_load(m, &mf, e);

	if (r == 0) {
		r = drop_bad(m, &mf, e);
		r = r ? r : build_missing(m, &mf, deadline, pace == INDEX_GENTLY, e);
		if (r == 0 && pace != INDEX_BUILD_ONLY) {
			r = tend(m, &mf, e);
		}
		manifest_free(&mf);
	}
	m->text.busy = false;
	return r;
}

/* The indexer may be at it: it is not gentle then, so wait for it. */
CO_FN static int demand_step(struct store_mailbox *m, int64_t deadline)
{
	if (!m->text.busy) {
		return index_step(m, INDEX_BUILD_ONLY, deadline, NULL);
	}
	int r = co_sleep(BUSY_MS);

	return r ? r : 1;
}

/* A disk that is full, a build cut short: searches go on without. */
CO_FN int index_on_demand(struct store_mailbox *m, struct err *e)
{
	int64_t deadline = clock_mono() + DEMAND_MS * NSEC_PER_MSEC;
	struct home *h = m->a->home;
	struct manifest mf;
	int r = index_load(m, &mf, e);

	if (r) {
		return r;
	}
	size_t missing = index_missing(m, &mf);

	manifest_free(&mf);
	if (missing) {
		text_touch(m, TEXT_REST_MS);
	}
	if (missing < MISSING_MUCH || h->text_demand ||
	    (m->text.demanded &&
	     clock_mono() < m->text.demanded + DEMAND_AGAIN_MS * NSEC_PER_MSEC)) {
		return 0;
	}
	h->text_demand = true; /* one at a time: it takes INDEX_MEMORY */
	m->text.hurry = true;
	do {
		r = demand_step(m, deadline);
	} while (r == 1 && clock_mono() < deadline);
	m->text.hurry = false;
	h->text_demand = false;
	m->text.demanded = clock_mono();
	text_touch(m, 0);
	return r == -ECANCELED || r == -ENOMEM ? r : 0;
}

CO_FN int store_text_index(struct store_mailbox *m, struct err *e)
{
	int r;

	home_assert(m->a->home);
	do {
		r = index_step(m, INDEX_AT_ONCE, INT64_MAX, e);
	} while (r == 1);
	return r ? r : summaries_fill(m, e);
}
