/* See test_ledger.h. */
#include "kv/test_ledger.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "kv/test_util.h"

#define PARTS 4
#define BIG 200000

struct kv_local_opts ledger_opts(const char *dir)
{
	return (struct kv_local_opts){ .dir = dir,
				       .segment_size = 256 * 1024,
				       .map_size = 1 << 28,
				       .free_floor = 1,
				       .apply_ms = 20,
				       .reclaim_mb_s = 500 };
}

bool ledger_holds(uint64_t i, uint64_t n)
{
	return i < n && (i + 1 >= n || (i + 1) % 5 == 0);
}

static struct kv_part part_of(uint64_t i)
{
	return (struct kv_part){ 7, i % PARTS, 0 };
}

static size_t size_of(uint64_t i)
{
	return i % 8 == 4 ? BIG : 500 + i * 977 % 20000;
}

/* Noise for the big ones, so that their chunks are big in the log, too. */
static void fill_of(uint64_t i, char *p)
{
	size_t n = size_of(i);
	uint64_t x = i + 1;

	test_fill(p, n, i);
	for (size_t k = 0; n == BIG && k < n; k++) {
		x = x * 6364136223846793005u + 1442695040888963407u;
		p[k] = (char)(x >> 56);
	}
}

static struct slice key_of(uint64_t i, char key[8])
{
	set_be32(key, (uint32_t)(i >> 32));
	set_be32(key + 4, (uint32_t)i);
	return slice_make(key, 8);
}

/* The blob of message i, from its row. KV_OK, KV_NOTFOUND, <0. */
static int find_blob(struct kv *kv, uint64_t i, struct kv_blob_id *out) CO_FN;
static int find_blob(struct kv *kv, uint64_t i, struct kv_blob_id *out)
{
	struct buf v = BUF_INIT(16);
	char key[8];
	int r = kv_get(kv, part_of(i), key_of(i, key), &v);

	if (r == KV_OK) {
		memcpy(out->b, v.p, sizeof(out->b));
	}
	buf_fini(&v);
	return r;
}

static int write_blob(struct kv *kv, uint64_t i, struct kv_blob_writer **w, struct kv_blob_id *id)
	CO_FN;
static int write_blob(struct kv *kv, uint64_t i, struct kv_blob_writer **w, struct kv_blob_id *id)
{
	char *p = malloc(size_of(i));
	int r = kv_blob_new(kv, S("ledger"), w);

	fill_of(i, p);
	if (r == KV_OK) {
		r = kv_blob_write(*w, slice_make(p, size_of(i)));
	}
	if (r == KV_OK) {
		r = kv_blob_finish(*w, id);
	}
	free(p);
	return r;
}

static struct kv_batch *removal(struct kv *kv, uint64_t i) CO_FN;
static struct kv_batch *removal(struct kv *kv, uint64_t i)
{
	struct kv_batch *b = kv_batch_new(part_of(i));
	struct kv_blob_id id;
	char key[8];

	if (find_blob(kv, i, &id) == KV_OK) {
		kv_batch_blob_unref(b, id);
	}
	kv_batch_del(b, key_of(i, key));
	return b;
}

int ledger_remove(struct kv *kv, uint64_t i)
{
	struct kv_batch *b = removal(kv, i);
	int r;

	kv_batch_frees(b);
	r = kv_commit(kv, &b, 1);
	kv_batch_free(&b);
	return r;
}

int ledger_act(struct kv *kv, uint64_t i)
{
	struct kv_blob_writer *w = NULL;
	struct kv_batch *b[2] = { NULL, NULL };
	struct kv_blob_id id;
	size_t n = 1;
	char key[8];
	int r = write_blob(kv, i, &w, &id);

	if (r == KV_OK) {
		b[0] = kv_batch_new(part_of(i));
		kv_batch_put(b[0], key_of(i, key), slice_make((char *)id.b, sizeof(id.b)));
		kv_batch_blob_ref(b[0], id);
		if (i % 5) {
			b[n++] = removal(kv, i - 1);
		}
		r = kv_commit(kv, b, n);
	}
	kv_batch_free(&b[0]);
	kv_batch_free(&b[1]);
	kv_blob_free(&w);
	return r;
}

/* ---- checking ------------------------------------------------------------------- */

static void check_message(struct kv *kv, uint64_t i) CO_FN;
static void check_message(struct kv *kv, uint64_t i)
{
	size_t n = size_of(i);
	char *want = malloc(n);
	char *got = malloc(n + 1);
	struct kv_blob_id id;

	assert_int_equal(find_blob(kv, i, &id), KV_OK);
	fill_of(i, want);
	assert_int_equal(kv_blob_read(kv, id, 0, got, n + 1), n);
	assert_memory_equal(got, want, n);
	free(want);
	free(got);
}

static int count_row(void *arg, struct slice key, struct slice value)
{
	(void)key;
	assert_int_equal(value.n, 16);
	++*(uint64_t *)arg;
	return 0;
}

static void print_problem(void *arg, const char *text)
{
	(void)arg;
	print_error("verify: %s\n", text);
}

uint64_t ledger_check(struct kv *kv, uint64_t n)
{
	struct kv_blob_id id;
	struct kv_stats st;
	uint64_t rows = 0;
	uint64_t want = 0;

	if (find_blob(kv, n, &id) == KV_OK) {
		n++;
	}
	for (uint64_t i = 0; i < n; i++) {
		if (ledger_holds(i, n)) {
			check_message(kv, i);
			want++;
		}
	}
	for (uint64_t p = 0; p < PARTS; p++) {
		assert_int_equal(kv_scan(kv, part_of(p), S(""), S(""), count_row, &rows), KV_OK);
	}
	assert_int_equal(rows, want);
	kv_stats(kv, &st);
	assert_int_equal(st.blobs, want);
	assert_int_equal(kv_verify(kv, print_problem, NULL), 0);
	return n;
}
