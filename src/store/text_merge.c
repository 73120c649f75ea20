/*
 * Merging segments: their sorted dictionaries run side by side into a new
 * segment, postings renumbered, messages that are gone left out.
 *
 * What is in memory is one block of each segment and one of the new one. The
 * comparing and packing is done in a worker of the pool, until a segment needs
 * its next block or enough has gathered for a commit.
 */
#include <stdlib.h>

#include "store/kept.h"

#define BATCH_BYTES (512u << 10)
#define NOT_KEPT UINT32_MAX

struct stream {
	struct segment s;
	uint32_t *map; /* old ordinal to new */
	uint32_t block;
	struct buf dict_row, postings_row;
	struct dict dict;
	struct slice postings;
	struct slice token;
	bool loaded, done;
};

struct merge {
	struct store_mailbox *m;
	struct stream *v;
	size_t n;
	struct packer p;
	struct segment out;
	struct doc *doc;
	struct buf scratch;
	enum zone zone;
	bool zone_done;
	size_t bad; /* stream that could not be read; n: none */
};

/* ---- documents ------------------------------------------------------------- */

/* Keeps the documents that live. */
CO_FN static int map_docs(struct merge *g, struct stream *s)
{
	struct doc *v = NULL;
	int r = index_docs(g->m, &s->s, &v);

	if (r) {
		return r;
	}
	s->map = calloc(s->s.n_docs + 1, sizeof(*s->map));
	for (uint32_t i = 0; s->map && i < s->s.n_docs; i++) {
		bool lives = box_live(g->m, v[i].uid);

		s->map[i] = lives ? g->out.n_docs : NOT_KEPT;
		if (lives) {
			g->doc[g->out.n_docs++] = v[i];
		}
	}
	free(v);
	return s->map ? 0 : -ENOMEM;
}

CO_FN static int map_all(struct merge *g)
{
	size_t total = 0;
	int r = 0;

	for (size_t i = 0; i < g->n; i++) {
		total += g->v[i].s.n_docs;
	}
	assert(total <= INDEX_DOCS_MAX);
	g->doc = calloc(total + 1, sizeof(*g->doc));
	if (!g->doc) {
		return -ENOMEM;
	}
	for (size_t i = 0; i < g->n && r == 0; i++) {
		r = map_docs(g, &g->v[i]);
		g->bad = r ? i : g->bad;
	}
	return r;
}

/* ---- in the worker --------------------------------------------------------- */

/* The stream's next token; it may need a block for it. */
static int advance(struct stream *s)
{
	int r = dict_next(&s->dict);

	if (r == 1) {
		s->token = dict_token(&s->dict);
	} else if (r == 0) {
		s->loaded = false;
		s->block++;
	}
	return MIN(r, 0);
}

/* The stream's postings of its token, renumbered. */
static int take_postings(struct merge *g, struct stream *s, uint32_t *last)
{
	struct slice p = slice_sub(slice_from(s->postings, s->dict.off), 0, s->dict.size);
	struct cur c = cur_init(p);
	uint64_t ord = UINT32_MAX;

	while (!cur_done(&c)) {
		ord = (ord + cur_varint(&c)) & UINT32_MAX;
		if (c.err || ord >= s->s.n_docs) {
			return -EIO;
		}
		if (s->map[ord] != NOT_KEPT) {
			if (*last != UINT32_MAX && s->map[ord] <= *last) {
				return -EIO;
			}
			postings_add(&g->scratch, last, s->map[ord]);
		}
	}
	return c.err ? -EIO : 0;
}

static int merge_token(struct merge *g, struct slice token)
{
	char copy[TOKEN_MAX];
	uint32_t last = UINT32_MAX;
	int r = 0;

	if (token.n == 0 || token.n > TOKEN_MAX) {
		return -EIO;
	}
	memcpy(copy, token.p, token.n);
	token.p = copy; /* its block may go */
	buf_reset(&g->scratch);
	for (size_t i = 0; i < g->n && r == 0; i++) {
		struct stream *s = &g->v[i];

		if (!s->loaded || !slice_eq(s->token, token)) {
			continue;
		}
		r = take_postings(g, s, &last);
		r = r ? r : advance(s);
		g->bad = r ? i : g->bad;
	}
	if (r == 0 && g->scratch.n) {
		packer_add(&g->p, token, buf_slice(&g->scratch));
	}
	return r ? r : g->scratch.err;
}

static int merge_some(void *arg)
{
	struct merge *g = arg;

	while (g->p.batched < BATCH_BYTES && g->p.err == 0) {
		struct stream *least = NULL;

		for (size_t i = 0; i < g->n; i++) {
			struct stream *s = &g->v[i];

			if (!s->loaded && !s->done) {
				return 0; /* a block first */
			}
			if (s->loaded && (!least || slice_cmp(s->token, least->token) < 0)) {
				least = s;
			}
		}
		if (!least) {
			g->zone_done = true;
			return 0;
		}
		int r = merge_token(g, least->token);

		if (r) {
			return r;
		}
	}
	return g->p.err;
}

/* ---- on the loop ------------------------------------------------------------ */

CO_FN static int load_block(struct merge *g, struct stream *s)
{
	unsigned kind = 2 * (unsigned)g->zone;
	int r;

	if (s->loaded || s->done) {
		return 0;
	}
	if (s->block >= s->s.blocks[g->zone]) {
		s->done = true;
		return 0;
	}
	r = index_row(g->m, key_block(s->s.id, ROW_DICT + kind, s->block), &s->dict_row);
	r = r ? r
	      : index_row(g->m, key_block(s->s.id, ROW_POSTINGS + kind, s->block),
			  &s->postings_row);
	r = r ? r : dict_open(buf_slice(&s->dict_row), &s->dict);
	r = r ? r : postings_open(buf_slice(&s->postings_row), &s->postings);
	if (r == 0) {
		s->token = dict_token(&s->dict);
		s->loaded = true;
	}
	return r;
}

CO_FN static int merge_zone(struct merge *g, struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < g->n; i++) {
		g->v[i].block = 0;
		g->v[i].done = g->v[i].loaded = false;
	}
	for (g->zone_done = false; r == 0 && !g->zone_done;) {
		for (size_t i = 0; i < g->n && r == 0; i++) {
			r = load_block(g, &g->v[i]);
			g->bad = r ? i : g->bad;
		}
		r = r ? r : index_offload(merge_some, g);
		if (r == 0 && g->p.batched >= BATCH_BYTES) {
			r = index_flush(g->m, &g->p, e);
		}
		if (r == 0 && co_breathe() == -ECANCELED) {
			r = -ECANCELED;
		}
	}
	if (r == 0) {
		packer_end(&g->p, &g->out.blocks[g->zone]);
	}
	return r;
}

CO_FN static int merge_all(struct merge *g, const struct manifest *mf, struct err *e)
{
	int r = map_all(g);

	r = r ? r : index_begin(g->m, mf, &g->p);
	if (r == 0) {
		packer_docs(&g->p, g->doc, g->out.n_docs);
	}
	for (int z = 0; z < ZONES && r == 0; z++) {
		g->zone = (enum zone)z;
		r = merge_zone(g, e);
	}
	r = r ? r : index_flush(g->m, &g->p, e);
	g->out.bytes = g->p.bytes;
	return r;
}

static int open_streams(struct merge *g, const struct manifest *mf, size_t at)
{
	g->v = calloc(g->n, sizeof(*g->v));
	for (size_t i = 0; g->v && i < g->n; i++) {
		g->v[i].s = mf->v[at + i];
		buf_init(&g->v[i].dict_row, KV_VALUE_MAX);
		buf_init(&g->v[i].postings_row, KV_VALUE_MAX);
	}
	return g->v ? 0 : -ENOMEM;
}

static void close_streams(struct merge *g)
{
	for (size_t i = 0; g->v && i < g->n; i++) {
		free(g->v[i].map);
		buf_fini(&g->v[i].dict_row);
		buf_fini(&g->v[i].postings_row);
	}
	free(g->v);
	free(g->doc);
	buf_fini(&g->scratch);
	kv_batch_free(&g->p.batch);
	packer_fini(&g->p);
}

CO_FN int segment_merge(struct store_mailbox *m, struct manifest *mf, size_t at, size_t n,
			struct err *e)
{
	struct merge g = { .m = m, .n = n, .bad = n };

	g.out = (struct segment){ .id = mf->next_id,
				  .first = mf->v[at].first,
				  .last = mf->v[at + n - 1].last };
	buf_init(&g.scratch, INDEX_DOCS_MAX * 5);
	packer_init(&g.p, g.out.id);
	int r = open_streams(&g, mf, at);

	r = r ? r : merge_all(&g, mf, e);
	if (r == 0 && g.out.n_docs) {
		r = kept_sweep(m, g.out.first, g.out.last, &g.out.kept, e);
	}
	if (r == 0) {
		r = index_replace(m, mf, at, n, g.out.n_docs ? &g.out : NULL, e);
	} else if ((r == -EIO || r == -ENOENT) && g.bad < n) {
		/* Damaged: without it its messages are indexed anew. */
		r = index_replace(m, mf, at + g.bad, 1, NULL, e);
	}
	close_streams(&g);
	return r;
}
