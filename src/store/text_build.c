/*
 * A segment in memory: tokens of messages gathered until they are written.
 *
 * Each zone is a hash table of tokens; a token's postings are a chain of
 * growing pieces in one pool, delta-coded as they will stand on disk, so that
 * an entry costs some 30 bytes and a posting about one. Runs in workers of
 * the pool, one call at a time; nothing here suspends. Called by text_index.c.
 */
#include <stdlib.h>

#include "store/index.h"

#define POOL_MAX (64u << 20)
#define SLOTS_FIRST 4096u
#define PIECE_FIRST 8u
#define PIECE_LAST 256u

struct entry {
	uint32_t text;	 /* in the pool of texts */
	uint32_t hash;	 /* the low half of the token's */
	uint32_t first;	 /* piece: next (4 bytes), then bytes */
	uint32_t piece;	 /* of the moment */
	uint32_t last;	 /* ordinal */
	uint16_t used;	 /* bytes of that piece, without its head */
	uint8_t len;	 /* of the token */
	uint8_t piece_n; /* of the piece, in units of PIECE_FIRST */
};

struct table_of {
	uint32_t *slot; /* entry + 1 */
	uint32_t n_slots;
	struct entry *v;
	uint32_t n, cap;
	struct buf texts, pieces;
	uint32_t *order; /* sorted */
};

struct build {
	struct table_of zone[ZONES];
	struct doc *doc;
	size_t n, cap;
	size_t text; /* of the newest */
	uint32_t tokens;
	enum zone at; /* being filled, or packed */
	uint32_t packed;
	struct buf scratch;
	int err;
};

struct build *build_new(void)
{
	struct build *b = calloc(1, sizeof(*b));

	for (int z = 0; b && z < ZONES; z++) {
		struct table_of *t = &b->zone[z];

		buf_init(&t->texts, POOL_MAX);
		buf_init(&t->pieces, POOL_MAX);
		t->n_slots = SLOTS_FIRST;
		t->slot = calloc(t->n_slots, sizeof(*t->slot));
		if (!t->slot) {
			build_free(&b);
		}
	}
	if (b) {
		buf_init(&b->scratch, POOL_MAX);
	}
	return b;
}

void build_free(struct build **bp)
{
	struct build *b = *bp;

	for (int z = 0; b && z < ZONES; z++) {
		free(b->zone[z].slot);
		free(b->zone[z].v);
		free(b->zone[z].order);
		buf_fini(&b->zone[z].texts);
		buf_fini(&b->zone[z].pieces);
	}
	if (b) {
		buf_fini(&b->scratch);
		free(b->doc);
		free(b);
		*bp = NULL;
	}
}

/* ---- documents ----------------------------------------------------------------- */

int build_doc(struct build *b, uint32_t uid)
{
	if (b->n == b->cap) {
		size_t cap = b->cap ? 2 * b->cap : 256;
		struct doc *v = reallocarray(b->doc, cap, sizeof(*v));

		if (!v) {
			return -ENOMEM;
		}
		b->doc = v;
		b->cap = cap;
	}
	assert(b->n == 0 || b->doc[b->n - 1].uid < uid);
	b->doc[b->n++] = (struct doc){ .uid = uid };
	b->text = 0;
	b->tokens = 0;
	return 0;
}

size_t build_docs(const struct build *b)
{
	return b->n;
}

const struct doc *build_list(const struct build *b)
{
	return b->doc;
}

int build_err(const struct build *b)
{
	return b->err;
}

void build_open(struct build *b)
{
	b->doc[b->n - 1].open = true;
}

size_t build_text_size(const struct build *b)
{
	return b->text;
}

size_t build_memory(const struct build *b)
{
	size_t n = b->n * sizeof(*b->doc);

	for (int z = 0; z < ZONES; z++) {
		const struct table_of *t = &b->zone[z];

		n += t->texts.cap + t->pieces.cap + t->cap * (sizeof(*t->v) + sizeof(*t->order)) +
		     t->n_slots * sizeof(*t->slot);
	}
	return n;
}

/* ---- postings ------------------------------------------------------------------ */

/* A new piece of n bytes in the pool; its place. */
static uint32_t new_piece(struct table_of *t, size_t n)
{
	uint32_t at = (uint32_t)t->pieces.n;
	char *p = buf_reserve(&t->pieces, n + 4);

	if (p) {
		memset(p, 0, 4);
		buf_commit(&t->pieces, n + 4);
	}
	return at;
}

static void add_byte(struct table_of *t, struct entry *e, unsigned char c)
{
	size_t cap = e->piece_n * PIECE_FIRST;

	if (e->used == cap) {
		size_t n = MIN(cap * 2, PIECE_LAST);
		uint32_t at = new_piece(t, n);

		if (t->pieces.err) {
			return;
		}
		memcpy(t->pieces.p + e->piece, &at, sizeof(at));
		e->piece = at;
		e->piece_n = (uint8_t)(n / PIECE_FIRST);
		e->used = 0;
	}
	t->pieces.p[e->piece + 4 + e->used++] = (char)c;
}

static void add_posting(struct table_of *t, struct entry *e, uint32_t ord)
{
	uint32_t delta = ord - e->last;

	e->last = ord;
	for (; delta >= 0x80; delta >>= 7) {
		add_byte(t, e, (unsigned char)(delta | 0x80));
	}
	add_byte(t, e, (unsigned char)delta);
}

/* All pieces of an entry, joined. */
static void gather(const struct table_of *t, const struct entry *e, struct buf *out)
{
	uint32_t at = e->first;
	size_t n = PIECE_FIRST;

	buf_reset(out);
	while (at != e->piece) {
		buf_add(out, slice_make(t->pieces.p + at + 4, n));
		memcpy(&at, t->pieces.p + at, sizeof(at));
		n = MIN(n * 2, PIECE_LAST);
	}
	buf_add(out, slice_make(t->pieces.p + at + 4, e->used));
}

/* ---- tokens -------------------------------------------------------------------- */

static bool grow_slots(struct table_of *t)
{
	uint32_t n = t->n_slots * 2;
	uint32_t *slot = calloc(n, sizeof(*slot));

	if (!slot) {
		return false;
	}
	for (uint32_t i = 0; i < t->n; i++) {
		uint32_t at = t->v[i].hash & (n - 1);

		while (slot[at]) {
			at = (at + 1) & (n - 1);
		}
		slot[at] = i + 1;
	}
	free(t->slot);
	t->slot = slot;
	t->n_slots = n;
	return true;
}

static bool room(struct table_of *t)
{
	if (t->n * 2 >= t->n_slots && !grow_slots(t)) {
		return false;
	}
	if (t->n == t->cap) {
		uint32_t cap = t->cap ? t->cap + t->cap / 2 : 1024;
		struct entry *v = reallocarray(t->v, cap, sizeof(*v));

		if (!v) {
			return false;
		}
		t->v = v;
		t->cap = cap;
	}
	return true;
}

/* The token's entry, made if need be; NULL: no memory. */
static struct entry *entry_of(struct table_of *t, struct slice token)
{
	uint32_t hash = (uint32_t)hash_slice(token);

	if (!room(t)) {
		return NULL;
	}
	uint32_t at = hash & (t->n_slots - 1);

	for (; t->slot[at]; at = (at + 1) & (t->n_slots - 1)) {
		struct entry *e = &t->v[t->slot[at] - 1];

		if (e->hash == hash && e->len == token.n &&
		    memcmp(t->texts.p + e->text, token.p, token.n) == 0) {
			return e;
		}
	}
	struct entry *e = &t->v[t->n];

	*e = (struct entry){ .text = (uint32_t)t->texts.n,
			     .hash = hash,
			     .last = UINT32_MAX,
			     .len = (uint8_t)token.n,
			     .piece_n = 1 };
	buf_add(&t->texts, token);
	e->first = e->piece = new_piece(t, PIECE_FIRST);
	if (t->texts.err || t->pieces.err) {
		return NULL;
	}
	t->slot[at] = ++t->n;
	return e;
}

static void add_token(void *arg, struct slice token)
{
	struct build *b = arg;
	struct table_of *t = &b->zone[b->at];
	uint32_t ord = (uint32_t)b->n - 1;
	struct entry *e;

	if (b->err || b->tokens > INDEX_TOKENS_MAX) {
		return;
	}
	e = entry_of(t, token);
	if (!e) {
		b->err = -ENOMEM;
		return;
	}
	if (e->last != ord) {
		b->tokens++;
		add_posting(t, e, ord);
		b->err = t->pieces.err;
	}
}

void build_text(struct build *b, enum zone zone, struct slice folded)
{
	assert(b->n);
	b->at = zone;
	b->text += folded.n;
	if (b->text <= INDEX_TEXT_MAX) {
		tokens_of(folded, add_token, b);
	}
	if (b->text > INDEX_TEXT_MAX || b->tokens > INDEX_TOKENS_MAX) {
		build_open(b);
	}
}

/* ---- writing ------------------------------------------------------------------- */

static int cmp_entry(const void *x, const void *y, void *arg)
{
	const struct table_of *t = arg;
	const struct entry *a = &t->v[*(const uint32_t *)x], *b = &t->v[*(const uint32_t *)y];

	return slice_cmp(slice_make(t->texts.p + a->text, a->len),
			 slice_make(t->texts.p + b->text, b->len));
}

int build_sort(struct build *b)
{
	for (int z = 0; z < ZONES && b->err == 0; z++) {
		struct table_of *t = &b->zone[z];

		free(t->order);
		t->order = calloc(t->n + 1, sizeof(*t->order));
		if (!t->order) {
			b->err = -ENOMEM;
			break;
		}
		for (uint32_t i = 0; i < t->n; i++) {
			t->order[i] = i;
		}
		qsort_r(t->order, t->n, sizeof(*t->order), cmp_entry, t);
	}
	b->at = 0;
	b->packed = 0;
	return b->err;
}

bool build_pack(struct build *b, struct packer *p, size_t most, uint32_t blocks[ZONES])
{
	while (b->at < ZONES && p->batched < most && p->err == 0) {
		const struct table_of *t = &b->zone[b->at];

		if (b->packed == t->n) {
			packer_end(p, &blocks[b->at]);
			b->at++;
			b->packed = 0;
			continue;
		}
		const struct entry *e = &t->v[t->order[b->packed++]];

		gather(t, e, &b->scratch);
		p->err = p->err ? p->err : b->scratch.err;
		packer_add(p, slice_make(t->texts.p + e->text, e->len), buf_slice(&b->scratch));
	}
	return b->at < ZONES && p->err == 0;
}
