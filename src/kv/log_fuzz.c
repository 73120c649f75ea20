/*
 * Fuzzer: a segment file of arbitrary bytes, decoded as recovery does.
 *
 * The first 4 bytes choose whether the checksums are made right first, so
 * that the decoders behind them are reached, too. No I/O.
 */
#include "base/hash.h"
#include "kv/impl.h"
#include "kv/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode_batches(struct slice payload)
{
	struct cur c = cur_init(payload);
	struct batch_step s;
	struct kv_part part;
	struct slice ops;

	while (batches_next(&c, &part, &ops) > 0) {
		struct cur o = cur_init(ops);

		while (batch_next(&o, &s) > 0) {
			assert(s.key.n <= KV_KEY_MAX && s.to.n <= KV_VALUE_MAX);
		}
	}
}

static void decode_payload(uint8_t type, struct slice payload)
{
	struct chunk k;

	if (type == REC_BATCHES) {
		decode_batches(payload);
	} else if (chunk_decode(payload, true, &k) == 0) {
		unsigned char head[CHUNK_HEAD];

		chunk_encode(&k, head);
		assert(memcmp(head, payload.p, CHUNK_HEAD) == 0);
		assert(k.meta.n + k.data.n + CHUNK_HEAD == payload.n);
	}
}

/* One record at off: how far to go on, 0 at the end. */
static uint32_t decode_at(struct slice seg, uint64_t salt, uint32_t off, bool fix)
{
	struct slice s = slice_from(seg, off);
	unsigned char head[REC_HEAD];
	struct slice payload;
	struct cur c = cur_init(slice_from(s, 4));
	struct rec r = { .len = cur_get32le(&c), .type = cur_get8(&c), .version = 1, .seq = off };

	if (fix && s.n >= REC_HEAD && r.len <= s.n - REC_HEAD) {
		payload = slice_sub(s, REC_HEAD, r.len);
		r.sum = hash_sum64(payload);
		rec_encode(&r, salt, off, head);
		assert(rec_decode(slice_make((char *)head, sizeof(head)), salt, off, &r) == 1);
		decode_payload(r.type, payload);
		return rec_size(r.len);
	}
	if (rec_decode(s, salt, off, &r) != 1) {
		return 0;
	}
	payload = slice_sub(s, REC_HEAD, r.len);
	if (payload.n == r.len && hash_sum64(payload) == r.sum) {
		decode_payload(r.type, payload);
	}
	return rec_size(r.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_make((const char *)data, size);
	struct slice seg = slice_from(in, 4);
	struct seg_head h = { .salt = 1 };
	uint32_t off = SEG_HEAD;
	bool fix = size && data[0] & 1;

	if (seg.n < SEG_HEAD || seg.n > 1 << 24) {
		return 0;
	}
	(void)!seg_head_decode(seg, &h);
	while (off < seg.n) {
		uint32_t n = decode_at(seg, h.salt, off, fix);

		if (n == 0) {
			break;
		}
		off += n;
	}
	return 0;
}
