/*
 * Rows of the full-text index (docs/format.md): keys, the manifest, lists of
 * documents, dictionary blocks and their postings.
 *
 * Everything here is derived data: each value has its version and a sum in
 * front, and what does not check is -EIO, which makes its reader do without.
 * A dictionary block is text that memmem can go over: each token stands
 * between two NULs, so that a needle with a NUL at an end is looked for at
 * the start or end of tokens only. Pure functions, but for the packer's batch.
 */
#include <stdlib.h>

#include "store/index.h"

#define SEAL 9 /* version, sum */

/* ---- keys ------------------------------------------------------------------ */

struct row_key key_manifest(void)
{
	return key1('W');
}

struct row_key key_segment(uint32_t id)
{
	return key32('W', id);
}

struct row_key key_block(uint32_t id, unsigned kind, uint32_t block)
{
	struct row_key k = key32('W', id), b = key32((char)kind, block);

	memcpy(k.b + k.n, b.b, b.n);
	k.n += b.n;
	return k;
}

/* ---- sums -------------------------------------------------------------------- */

void sealed_put(struct slice payload, struct buf *out)
{
	buf_put8(out, INDEX_VERSION);
	buf_put64le(out, hash_sum64(payload));
	buf_add(out, payload);
}

int sealed_get(struct slice row, struct slice *out)
{
	struct cur c = cur_init(row);
	uint8_t version = cur_get8(&c);
	uint64_t sum = cur_get64le(&c);

	if (c.err || version != INDEX_VERSION || hash_sum64(cur_rest(&c)) != sum) {
		return -EIO;
	}
	*out = cur_rest(&c);
	return 0;
}

static uint32_t get_u32(struct cur *c)
{
	uint64_t v = cur_varint(c);

	if (v > UINT32_MAX) {
		cur_fail(c, -ERANGE);
		return 0;
	}
	return (uint32_t)v;
}

/* ---- looking for text -------------------------------------------------------- */

typedef unsigned char lanes __attribute__((vector_size(16)));

/* Bytes at p that are c: 0xff, else 0. */
static lanes equal_at(const char *p, unsigned char c)
{
	lanes v, all = { c, c, c, c, c, c, c, c, c, c, c, c, c, c, c, c };

	memcpy(&v, p, sizeof(v));
	return (lanes)(v == all);
}

/*
 * For a pattern's first byte and its last, 16 places at once (memmem: 0.8 GB/s
 * here). Long patterns are memmem's, which is linear whatever they are.
 */
size_t text_find(struct slice text, size_t from, struct slice pattern)
{
	bool is_short = pattern.n > 0 && pattern.n <= TOKEN_MAX + 2;
	unsigned char first = is_short ? (unsigned char)pattern.p[0] : 0;
	unsigned char last = is_short ? (unsigned char)pattern.p[pattern.n - 1] : 0;

	for (; is_short && from + pattern.n + 16 <= text.n; from += 16) {
		lanes hit = equal_at(text.p + from, first) &
			    equal_at(text.p + from + pattern.n - 1, last);
		uint64_t any[2];

		memcpy(any, &hit, sizeof(any));
		if (!(any[0] | any[1])) {
			continue;
		}
		for (size_t i = 0; i < 16; i++) {
			if (hit[i] && memcmp(text.p + from + i, pattern.p, pattern.n) == 0) {
				return from + i;
			}
		}
	}
	size_t at = slice_find(slice_from(text, from), pattern);

	return at == SIZE_MAX ? at : from + at;
}

/* ---- the manifest ------------------------------------------------------------- */

void manifest_free(struct manifest *mf)
{
	free(mf->v);
	*mf = (struct manifest){ 0 };
}

uint64_t manifest_bytes(const struct manifest *mf)
{
	uint64_t n = 0;

	for (size_t i = 0; i < mf->n; i++) {
		n += mf->v[i].bytes + mf->v[i].kept;
	}
	return n;
}

void manifest_put(const struct manifest *mf, struct buf *out)
{
	struct buf b = BUF_INIT(INDEX_SEGMENTS_MAX * 64);

	buf_varint(&b, mf->next_id);
	buf_varint(&b, mf->n);
	for (size_t i = 0; i < mf->n; i++) {
		const struct segment *s = &mf->v[i];

		buf_varint(&b, s->id);
		buf_varint(&b, s->first);
		buf_varint(&b, s->last);
		buf_varint(&b, s->n_docs);
		buf_varint(&b, s->blocks[ZONE_BODY]);
		buf_varint(&b, s->blocks[ZONE_HEADER]);
		buf_varint(&b, s->bytes);
		buf_varint(&b, s->kept);
	}
	sealed_put(buf_slice(&b), out);
	out->err = out->err ? out->err : b.err;
	buf_fini(&b);
}

static bool segment_get(struct cur *c, const struct manifest *mf, struct segment *s)
{
	s->id = get_u32(c);
	s->first = get_u32(c);
	s->last = get_u32(c);
	s->n_docs = get_u32(c);
	s->blocks[ZONE_BODY] = get_u32(c);
	s->blocks[ZONE_HEADER] = get_u32(c);
	s->bytes = cur_varint(c);
	s->kept = cur_varint(c);
	return !c->err && s->id < mf->next_id && s->first > 0 && s->first <= s->last &&
	       s->n_docs <= INDEX_DOCS_MAX && s->n_docs <= s->last - s->first + UINT64_C(1) &&
	       (mf->n == 0 || mf->v[mf->n - 1].last < s->first);
}

int manifest_get(struct slice v, struct manifest *out)
{
	struct manifest mf = { 0 };
	struct slice payload;

	if (sealed_get(v, &payload)) {
		return -EIO;
	}
	struct cur c = cur_init(payload);
	uint32_t n;

	mf.next_id = get_u32(&c);
	n = get_u32(&c);
	if (c.err || n > INDEX_SEGMENTS_MAX) {
		return -EIO;
	}
	mf.v = calloc(n + 1, sizeof(*mf.v));
	if (!mf.v) {
		return -ENOMEM;
	}
	while (mf.n < n && segment_get(&c, &mf, &mf.v[mf.n])) {
		mf.n++;
	}
	if (mf.n < n || !cur_done(&c) || c.err) {
		manifest_free(&mf);
		return -EIO;
	}
	*out = mf;
	return 0;
}

/* ---- documents ------------------------------------------------------------------ */

void docs_put(const struct doc *v, size_t n, struct buf *out)
{
	struct buf b = BUF_INIT(INDEX_DOCS_MAX * 6 + 16);
	uint32_t last = 0;

	for (size_t i = 0; i < n; i++) {
		buf_varint(&b, (uint64_t)(v[i].uid - last) << 1 | v[i].open);
		last = v[i].uid;
	}
	sealed_put(buf_slice(&b), out);
	out->err = out->err ? out->err : b.err;
	buf_fini(&b);
}

int docs_get(struct slice v, struct doc *out, size_t n)
{
	struct slice payload;
	uint64_t last = 0;

	if (sealed_get(v, &payload)) {
		return -EIO;
	}
	struct cur c = cur_init(payload);

	for (size_t i = 0; i < n; i++) {
		uint64_t x = cur_varint(&c);

		if (c.err || x >> 1 == 0 || (x >> 1) > UINT32_MAX - last) {
			return -EIO;
		}
		last += x >> 1;
		out[i] = (struct doc){ (uint32_t)last, x & 1 };
	}
	return cur_done(&c) && !c.err ? 0 : -EIO;
}

/* ---- dictionaries ---------------------------------------------------------------- */

/* The size of the token's postings; the token ends at a NUL. */
static int dict_here(struct dict *d)
{
	d->size = get_u32(&d->sizes);
	return d->sizes.err ? -EIO : 0;
}

int dict_open(struct slice row, struct dict *out)
{
	struct slice payload;

	if (sealed_get(row, &payload)) {
		return -EIO;
	}
	struct cur c = cur_init(payload);

	*out = (struct dict){ .n = get_u32(&c) };
	out->text = cur_take(&c, get_u32(&c));
	out->sizes = c;
	if (c.err || out->n == 0 || out->text.n < 2 || out->text.p[0] ||
	    out->text.p[out->text.n - 1]) {
		return -EIO;
	}
	out->pos = 1;
	return dict_here(out);
}

struct slice dict_token(const struct dict *d)
{
	struct slice rest = slice_from(d->text, d->pos);

	return slice_sub(rest, 0, slice_chr(rest, 0));
}

int dict_next(struct dict *d)
{
	if (d->at + 1 >= d->n) {
		return 0;
	}
	d->pos += dict_token(d).n + 1;
	d->at++;
	d->off += d->size;
	if (d->pos >= d->text.n) {
		return -EIO;
	}
	return dict_here(d) ? -EIO : 1;
}

int dict_seek(struct dict *d, size_t pos)
{
	while (pos >= d->pos + dict_token(d).n + 1) {
		int r = dict_next(d);

		if (r != 1) {
			return -EIO;
		}
	}
	return 0;
}

int postings_open(struct slice row, struct slice *out)
{
	return sealed_get(row, out);
}

int postings_mark(struct slice p, uint64_t *bits, uint32_t n)
{
	struct cur c = cur_init(p);
	uint64_t ord = UINT32_MAX;

	while (!cur_done(&c)) {
		ord = (ord + cur_varint(&c)) & UINT32_MAX;
		if (c.err || ord >= n) {
			return -EIO;
		}
		bits[ord / 64] |= UINT64_C(1) << (ord % 64);
	}
	return c.err ? -EIO : 0;
}

/* ---- packing ----------------------------------------------------------------------- */

void packer_init(struct packer *p, uint32_t id)
{
	*p = (struct packer){ .id = id };
	buf_init(&p->text, 4 * INDEX_BLOCK);
	buf_init(&p->sizes, 4 * INDEX_BLOCK);
	buf_init(&p->postings, INDEX_BLOCK + 4 * INDEX_DOCS_MAX);
	buf_init(&p->row, 16 * INDEX_BLOCK);
}

void packer_fini(struct packer *p)
{
	buf_fini(&p->text);
	buf_fini(&p->sizes);
	buf_fini(&p->postings);
	buf_fini(&p->row);
}

static void put_payload(struct packer *p, unsigned kind, struct slice payload)
{
	struct row_key k = key_block(p->id, kind + 2 * (unsigned)p->zone, p->blocks);
	struct buf row = BUF_INIT(payload.n + SEAL);

	sealed_put(payload, &row);
	p->err = p->err ? p->err : row.err;
	kv_batch_put(p->batch, key_slice(&k), buf_slice(&row));
	p->batched += row.n;
	p->bytes += row.n;
	buf_fini(&row);
}

static void flush_block(struct packer *p)
{
	if (p->n == 0) {
		return;
	}
	buf_reset(&p->row);
	buf_varint(&p->row, p->n);
	buf_varint(&p->row, p->text.n);
	buf_add(&p->row, buf_slice(&p->text));
	buf_add(&p->row, buf_slice(&p->sizes));
	p->err = p->err ? p->err : p->row.err;
	p->err = p->err ? p->err : p->text.err;
	p->err = p->err ? p->err : p->sizes.err;
	p->err = p->err ? p->err : p->postings.err;
	put_payload(p, ROW_DICT, buf_slice(&p->row));
	put_payload(p, ROW_POSTINGS, buf_slice(&p->postings));
	p->blocks++;
	buf_reset(&p->text);
	buf_reset(&p->sizes);
	buf_reset(&p->postings);
	p->n = 0;
}

void packer_add(struct packer *p, struct slice token, struct slice postings)
{
	if (p->text.n + p->sizes.n + token.n > INDEX_BLOCK ||
	    (p->n && p->postings.n + postings.n > INDEX_BLOCK)) {
		flush_block(p);
	}
	if (p->n++ == 0) {
		buf_addc(&p->text, 0);
	}
	buf_add(&p->text, token);
	buf_addc(&p->text, 0);
	buf_varint(&p->sizes, postings.n);
	buf_add(&p->postings, postings);
}

void packer_end(struct packer *p, uint32_t *blocks_out)
{
	flush_block(p);
	*blocks_out = p->blocks;
	p->blocks = 0;
	p->zone++;
}
