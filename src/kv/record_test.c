/* The log's encodings: pinned bytes (they are on disks), limits, refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/codec.h"
#include "base/hash.h"
#include "kv/impl.h"
#include "kv/record.h"

static void expect_hex(const unsigned char *p, size_t n, const char *want)
{
	struct buf b = BUF_INIT(1000);

	hex_encode(&b, slice_make((const char *)p, n));
	assert_string_equal(buf_cstr(&b), want);
	buf_fini(&b);
}

static struct slice over(const unsigned char *p, size_t n)
{
	return slice_make((const char *)p, n);
}

static void test_segment_head(void **s)
{
	struct seg_head h = { .format = 1,
			      .no = 0x1234,
			      .salt = 0xabcd,
			      .store = "0123456789abcde",
			      .created_ms = 99 };
	struct seg_head got;
	unsigned char b[SEG_HEAD];

	(void)s;
	seg_head_encode(&h, b);
	expect_hex(b, 56,
		   "50524c4f47000d0a"
		   "01000000"
		   "40000000"
		   "3412000000000000"
		   "cdab000000000000"
		   "30313233343536373839616263646500"
		   "6300000000000000");
	assert_int_equal(seg_head_decode(over(b, sizeof(b)), &got), 0);
	assert_int_equal(got.no, h.no);
	assert_int_equal(got.salt, h.salt);
	assert_memory_equal(got.store, h.store, sizeof(h.store));
	assert_int_equal(got.created_ms, h.created_ms);
	for (size_t i = 0; i < sizeof(b); i++) {
		assert_int_equal(seg_head_decode(over(b, i), &got), -EINVAL);
		b[i] ^= 1;
		assert_true(seg_head_decode(over(b, sizeof(b)), &got) < 0);
		b[i] ^= 1;
	}
	h.format = 2;
	seg_head_encode(&h, b);
	assert_int_equal(seg_head_decode(over(b, sizeof(b)), &got), -EPROTO);
}

static void test_record_head(void **s)
{
	struct rec r = { .len = 5,
			 .type = REC_BATCHES,
			 .version = 1,
			 .seq = 7,
			 .durable = 6,
			 .sum = hash_sum64(S("hello")) };
	struct rec got;
	unsigned char b[REC_HEAD];
	unsigned char zero[REC_HEAD] = { 0 };

	(void)s;
	rec_encode(&r, 42, 64, b);
	expect_hex(b, 32,
		   "504b7263"
		   "05000000"
		   "01"
		   "01"
		   "000000000000"
		   "0700000000000000"
		   "0600000000000000");
	assert_int_equal(rec_decode(over(b, sizeof(b)), 42, 64, &got), 1);
	assert_int_equal(got.seq, 7);
	assert_int_equal(got.durable, 6);
	assert_true(got.sum == r.sum);
	/* Bound to its place and its segment. */
	assert_int_equal(rec_decode(over(b, sizeof(b)), 42, 72, &got), -EINVAL);
	assert_int_equal(rec_decode(over(b, sizeof(b)), 43, 64, &got), -EINVAL);
	for (size_t i = 0; i < sizeof(b); i++) {
		b[i] ^= 0x80;
		assert_int_equal(rec_decode(over(b, sizeof(b)), 42, 64, &got), -EINVAL);
		b[i] ^= 0x80;
	}
	assert_int_equal(rec_decode(over(zero, sizeof(zero)), 42, 64, &got), 0);
	assert_int_equal(rec_decode(over(zero, 10), 42, 64, &got), 0);
	assert_int_equal(rec_decode(over(b, 10), 42, 64, &got), -EINVAL);
	r.len = REC_PAYLOAD_MAX + 1;
	rec_encode(&r, 42, 64, b);
	assert_int_equal(rec_decode(over(b, sizeof(b)), 42, 64, &got), -EINVAL);
	assert_int_equal(rec_size(0), 48);
	assert_int_equal(rec_size(1), 56);
	assert_int_equal(rec_size(8), 56);
}

static void test_chunk(void **s)
{
	struct chunk c = { .id.b = "blob",
			   .index = 3,
			   .raw = 4,
			   .codec = CODEC_RAW,
			   .flags = CHUNK_LAST,
			   .size = 9,
			   .old = { 5, 6 },
			   .meta = S("me") };
	struct chunk got;
	char b[CHUNK_HEAD + 6];

	(void)s;
	chunk_encode(&c, (unsigned char *)b);
	memcpy(b + CHUNK_HEAD, "medata", 6);
	expect_hex((unsigned char *)b, CHUNK_HEAD,
		   "626c6f62000000000000000000000000"
		   "03000000"
		   "04000000"
		   "00"
		   "01"
		   "0200"
		   "0900000000000000"
		   "0500000000000000"
		   "06000000");
	assert_int_equal(chunk_decode(slice_make(b, sizeof(b)), true, &got), 0);
	assert_true(slice_eq(got.meta, S("me")));
	assert_true(slice_eq(got.data, S("data")));
	assert_int_equal(chunk_decode(slice_make(b, CHUNK_HEAD), false, &got), 0);
	assert_int_equal(got.meta.n, 0);
	/* Not as long as it says; more than a chunk; unknown packing. */
	assert_int_equal(chunk_decode(slice_make(b, sizeof(b) - 1), true, &got), -EINVAL);
	assert_int_equal(chunk_decode(slice_make(b, CHUNK_HEAD - 1), false, &got), -EINVAL);
	b[24] = 2;
	assert_int_equal(chunk_decode(slice_make(b, sizeof(b)), true, &got), -EINVAL);
	b[24] = CODEC_ZSTD;
	b[22] = 3;
	assert_int_equal(chunk_decode(slice_make(b, sizeof(b)), true, &got), -EINVAL);
}

static void test_batch(void **s)
{
	struct kv_batch *b = kv_batch_new((struct kv_part){ 2, 3, 4 });
	struct kv_blob_id id = { "0123456789abcde" };
	struct batch_step step;
	struct cur c;

	(void)s;
	kv_batch_put(b, S("k"), S("vv"));
	kv_batch_del(b, S("d"));
	kv_batch_del_range(b, S("a"), S(""));
	kv_batch_blob_ref(b, id);
	kv_batch_blob_unref(b, id);
	expect_hex((unsigned char *)b->ops.p, b->ops.n,
		   "01"
		   "016b"
		   "027676"
		   "02"
		   "0164"
		   "03"
		   "0161"
		   "00"
		   "04"
		   "30313233343536373839616263646500"
		   "05"
		   "30313233343536373839616263646500");
	c = cur_init(buf_slice(&b->ops));
	for (int op = BATCH_PUT; op <= BATCH_UNREF; op++) {
		assert_int_equal(batch_next(&c, &step), 1);
		assert_int_equal(step.op, op);
	}
	assert_int_equal(batch_next(&c, &step), 0);
	/* Cut anywhere within an operation. */
	for (size_t n = 1; n < 5; n++) {
		c = cur_init(slice_sub(buf_slice(&b->ops), 0, n));
		assert_int_equal(batch_next(&c, &step), -EINVAL);
	}
	kv_batch_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_segment_head),
		cmocka_unit_test(test_record_head),
		cmocka_unit_test(test_chunk),
		cmocka_unit_test(test_batch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
