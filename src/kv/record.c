/*
 * Encoding and decoding of segment heads, record heads and chunk payloads.
 * See record.h for why, docs/format.md for each byte.
 */
#include "kv/record.h"

#include "base/hash.h"
#include "kv/impl.h"

#define SEG_MAGIC "PRLOG\0\r\n"
#define REC_MAGIC 0x63724b50u /* "PKrc" */

/* Little-endian stores into fixed heads. */
static void st16(unsigned char *p, uint16_t v)
{
	p[0] = (unsigned char)v;
	p[1] = (unsigned char)(v >> 8);
}

static void st32(unsigned char *p, uint32_t v)
{
	st16(p, (uint16_t)v);
	st16(p + 2, (uint16_t)(v >> 16));
}

static void st64(unsigned char *p, uint64_t v)
{
	st32(p, (uint32_t)v);
	st32(p + 4, (uint32_t)(v >> 32));
}

static struct slice bytes(const unsigned char *p, size_t n)
{
	return slice_make((const char *)p, n);
}

void seg_head_encode(const struct seg_head *h, unsigned char out[SEG_HEAD])
{
	memcpy(out, SEG_MAGIC, 8);
	st32(out + 8, h->format);
	st32(out + 12, SEG_HEAD);
	st64(out + 16, h->no);
	st64(out + 24, h->salt);
	memcpy(out + 32, h->store, 16);
	st64(out + 48, (uint64_t)h->created_ms);
	st64(out + 56, hash_sum64(bytes(out, 56)));
}

int seg_head_decode(struct slice s, struct seg_head *out)
{
	struct cur c = cur_init(s);
	struct seg_head h = { 0 };
	struct slice magic = cur_take(&c, 8);
	struct slice store;

	h.format = cur_get32le(&c);
	if (c.err || !slice_eq(magic, slice_make(SEG_MAGIC, 8))) {
		return -EINVAL;
	}
	if (h.format > LOG_FORMAT) {
		return -EPROTO;
	}
	if (cur_get32le(&c) != SEG_HEAD) {
		return -EINVAL;
	}
	h.no = cur_get64le(&c);
	h.salt = cur_get64le(&c);
	store = cur_take(&c, 16);
	h.created_ms = (int64_t)cur_get64le(&c);
	if (cur_get64le(&c) != hash_sum64(slice_sub(s, 0, 56)) || c.err || h.no == 0) {
		return -EINVAL;
	}
	memcpy(h.store, store.p, 16);
	*out = h;
	return 0;
}

/* The salted sum over the head's first 40 bytes and its place. */
static uint64_t head_sum(const unsigned char *head, uint64_t salt, uint32_t off)
{
	unsigned char b[52];

	st64(b, salt);
	st32(b + 8, off);
	memcpy(b + 12, head, 40);
	return hash_sum64(bytes(b, sizeof(b)));
}

void rec_encode(const struct rec *r, uint64_t salt, uint32_t off, unsigned char out[REC_HEAD])
{
	st32(out, REC_MAGIC);
	st32(out + 4, r->len);
	out[8] = r->type;
	out[9] = r->version;
	st16(out + 10, 0);
	st32(out + 12, 0);
	st64(out + 16, r->seq);
	st64(out + 24, r->durable);
	st64(out + 32, r->sum);
	st64(out + 40, head_sum(out, salt, off));
}

static bool all_zero(struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i]) {
			return false;
		}
	}
	return true;
}

int rec_decode(struct slice s, uint64_t salt, uint32_t off, struct rec *out)
{
	struct cur c = cur_init(s);
	struct rec r = { 0 };
	uint32_t magic;
	uint64_t sum;

	if (s.n < REC_HEAD) {
		return all_zero(s) ? 0 : -EINVAL;
	}
	magic = cur_get32le(&c);
	if (magic != REC_MAGIC) {
		return magic == 0 && all_zero(slice_sub(s, 0, REC_HEAD)) ? 0 : -EINVAL;
	}
	r.len = cur_get32le(&c);
	r.type = cur_get8(&c);
	r.version = cur_get8(&c);
	cur_take(&c, 6);
	r.seq = cur_get64le(&c);
	r.durable = cur_get64le(&c);
	r.sum = cur_get64le(&c);
	sum = cur_get64le(&c);
	if (sum != head_sum((const unsigned char *)s.p, salt, off) || r.len > REC_PAYLOAD_MAX ||
	    r.seq == 0) {
		return -EINVAL;
	}
	*out = r;
	return 1;
}

void chunk_encode(const struct chunk *c, unsigned char out[CHUNK_HEAD])
{
	memcpy(out, c->id.b, 16);
	st32(out + 16, c->index);
	st32(out + 20, c->raw);
	out[24] = c->codec;
	out[25] = c->flags;
	st16(out + 26, (uint16_t)c->meta.n);
	st64(out + 28, c->size);
	st64(out + 36, c->old.seg);
	st32(out + 44, c->old.off);
}

int chunk_decode(struct slice payload, bool whole, struct chunk *out)
{
	struct cur c = cur_init(payload);
	struct chunk k = { 0 };
	struct slice id = cur_take(&c, 16);

	k.index = cur_get32le(&c);
	k.raw = cur_get32le(&c);
	k.codec = cur_get8(&c);
	k.flags = cur_get8(&c);
	k.meta_n = cur_get16le(&c);
	k.size = cur_get64le(&c);
	k.old.seg = cur_get64le(&c);
	k.old.off = cur_get32le(&c);
	if (c.err || k.raw > CHUNK_RAW || k.codec > CODEC_ZSTD || k.meta_n > KV_META_MAX) {
		return -EINVAL;
	}
	memcpy(k.id.b, id.p, 16);
	if (whole) {
		k.meta = cur_take(&c, k.meta_n);
		k.data = cur_rest(&c);
		if (c.err || (k.codec == CODEC_RAW && k.data.n != k.raw)) {
			return -EINVAL;
		}
	}
	*out = k;
	return 0;
}

int batches_next(struct cur *c, struct kv_part *part_out, struct slice *ops_out)
{
	struct slice name;
	struct slice ops;

	if (cur_left(c) == 0) {
		return c->err ? -EINVAL : 0;
	}
	name = cur_take(c, KV_PART_SIZE);
	ops = cur_take(c, cur_get32le(c));
	if (c->err) {
		return -EINVAL;
	}
	*part_out = part_decode((const unsigned char *)name.p);
	*ops_out = ops;
	return 1;
}
