/*
 * The contract of kv.h, one suite over both engines.
 *
 * Each case runs twice per engine: outside any coroutine, and as several
 * coroutines of one loop at once (each on its own partition, so that the
 * cases do not see each other). kv_local runs with small segments, so that
 * the suite crosses segment changes on its way.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "kv/kv.h"
#include "kv/test_util.h"

#define LANES 4 /* coroutines at once */
#define CHUNK (128u * 1024)

struct world {
	bool local;
	char dir[64];
	struct kv *kv;
};

struct lane {
	struct world *w;
	void (*fn)(struct kv *kv, uint64_t id);
	uint64_t id;
	struct co_loop *loop;
	int *left;
};

static void world_open(struct world *w)
{
	struct kv_local_opts o = { .dir = w->dir,
				   .segment_size = 1 << 20,
				   .map_size = 1 << 28,
				   .free_floor = 1,
				   .apply_ms = 20 };
	struct err e = ERR_INIT;

	if (!w->local) {
		assert_int_equal(kv_mem_open(&w->kv), 0);
	} else if (kv_local_open(&o, &w->kv, &e) < 0) {
		fail_msg("%s", e.text);
	}
}

static void world_start(struct world *w, bool local)
{
	w->local = local;
	test_dir(w->dir, sizeof(w->dir));
	world_open(w);
}

static void world_end(struct world *w)
{
	kv_close(&w->kv);
	test_dir_remove(w->dir);
}

static void world_reopen(struct world *w)
{
	kv_close(&w->kv);
	world_open(w);
}

static void lane_body(void *arg)
{
	struct lane *l = arg;

	co_enter();
	l->fn(l->w->kv, l->id);
	if (--*l->left == 0) {
		co_loop_stop(l->loop);
	}
}

/* Once plainly, then LANES coroutines on one loop. */
static void run_both_ways(struct world *w, void (*fn)(struct kv *, uint64_t))
{
	struct lane lane[LANES];
	struct co_loop *loop;
	int left = LANES;

	fn(w->kv, 100);
	assert_int_equal(co_loop_new(&loop), 0);
	for (unsigned i = 0; i < LANES; i++) {
		lane[i] = (struct lane){ w, fn, 200 + i, loop, &left };
		assert_int_equal(co_spawn("lane", lane_body, &lane[i], NULL), 0);
	}
	co_loop_run(loop);
	assert_int_equal(left, 0);
	co_loop_free(&loop);
}

static void run_case(void (*fn)(struct kv *, uint64_t))
{
	struct world w;

	for (int local = 0; local < 2; local++) {
		world_start(&w, local);
		run_both_ways(&w, fn);
		world_end(&w);
	}
}

/* ---- rows ----------------------------------------------------------------- */

static struct kv_part part(uint64_t a, uint64_t b)
{
	return (struct kv_part){ 1, a, b };
}

static void want_value(struct kv *kv, struct kv_part p, struct slice key, struct slice want)
{
	struct buf v = BUF_INIT(KV_VALUE_MAX);

	co_enter();
	assert_int_equal(kv_get(kv, p, key, &v), KV_OK);
	assert_true(slice_eq(buf_slice(&v), want));
	buf_fini(&v);
}

static void expect_none(struct kv *kv, struct kv_part p, struct slice key)
{
	struct buf v = BUF_INIT(KV_VALUE_MAX);

	co_enter();
	assert_int_equal(kv_get(kv, p, key, &v), KV_NOTFOUND);
	buf_fini(&v);
}

static int commit1(struct kv *kv, struct kv_batch **b)
{
	int r;

	co_enter();
	r = kv_commit(kv, b, 1);
	kv_batch_free(b);
	return r;
}

static void put1(struct kv *kv, struct kv_part p, struct slice k, struct slice v)
{
	struct kv_batch *b = kv_batch_new(p);

	kv_batch_put(b, k, v);
	assert_int_equal(commit1(kv, &b), KV_OK);
}

static void case_rows(struct kv *kv, uint64_t id)
{
	struct kv_part p = part(id, 1);
	struct kv_batch *b;
	char big[2500]; /* beyond what fits into a page of LMDB */
	char key[KV_KEY_MAX + 1];

	expect_none(kv, p, S("a"));
	put1(kv, p, S("a"), S("1"));
	want_value(kv, p, S("a"), S("1"));
	put1(kv, p, S("a"), S(""));
	want_value(kv, p, S("a"), S(""));
	memset(big, 'x', sizeof(big));
	memset(key, 'k', sizeof(key));
	put1(kv, p, slice_make(key, KV_KEY_MAX), slice_make(big, sizeof(big)));
	want_value(kv, p, slice_make(key, KV_KEY_MAX), slice_make(big, sizeof(big)));
	/* Another partition with the same keys is another world. */
	expect_none(kv, part(id, 2), S("a"));
	expect_none(kv, (struct kv_part){ 2, id, 1 }, S("a"));
	b = kv_batch_new(p);
	kv_batch_del(b, S("a"));
	kv_batch_del(b, S("never was"));
	assert_int_equal(commit1(kv, &b), KV_OK);
	expect_none(kv, p, S("a"));
	/* Too long, empty, and the engine's own kind. */
	b = kv_batch_new(p);
	kv_batch_put(b, slice_make(key, KV_KEY_MAX + 1), S("v"));
	assert_int_equal(commit1(kv, &b), -EMSGSIZE);
	b = kv_batch_new(p);
	kv_batch_put(b, S(""), S("v"));
	assert_int_equal(commit1(kv, &b), -EMSGSIZE);
	b = kv_batch_new((struct kv_part){ 0, 1, 1 });
	kv_batch_put(b, S("k"), S("v"));
	assert_int_equal(commit1(kv, &b), -EINVAL);
	/* A value beyond one page of the index, and the largest. */
	char *huge = malloc(KV_VALUE_MAX);
	memset(huge, 'h', KV_VALUE_MAX);
	put1(kv, p, S("huge"), slice_make(huge, KV_VALUE_MAX));
	want_value(kv, p, S("huge"), slice_make(huge, KV_VALUE_MAX));
	free(huge);
}

struct rows {
	struct buf seen; /* "key=value;" ... */
	unsigned stop_at;
	unsigned n;
};

static int see_row(void *arg, struct slice key, struct slice value)
{
	struct rows *r = arg;

	buf_add(&r->seen, key);
	buf_addc(&r->seen, '=');
	buf_add(&r->seen, value);
	buf_addc(&r->seen, ';');
	return ++r->n == r->stop_at ? 42 : 0;
}

static void expect_scan(struct kv *kv, struct kv_part p, const char *from, const char *to,
			const char *want)
{
	struct rows r = { .seen = BUF_INIT(1 << 20) };

	co_enter();
	assert_int_equal(kv_scan(kv, p, slice_cstr(from), slice_cstr(to), see_row, &r), KV_OK);
	assert_string_equal(buf_cstr(&r.seen), want);
	buf_fini(&r.seen);
}

static void expect_prefix(struct kv *kv, struct kv_part p, struct slice prefix, const char *want)
{
	struct rows r = { .seen = BUF_INIT(1 << 20) };

	co_enter();
	assert_int_equal(kv_scan_prefix(kv, p, prefix, see_row, &r), KV_OK);
	assert_string_equal(buf_cstr(&r.seen), want);
	buf_fini(&r.seen);
}

static void case_scan(struct kv *kv, uint64_t id)
{
	struct kv_part p = part(id, 3);
	struct kv_batch *b = kv_batch_new(p);
	struct rows r = { .seen = BUF_INIT(1000), .stop_at = 2 };

	co_enter();
	/* Neighbours on both sides must not be seen. */
	put1(kv, part(id, 2), S("z"), S("before"));
	put1(kv, part(id, 4), S("a"), S("behind"));
	expect_scan(kv, p, "", "", "");
	kv_batch_put(b, S("b"), S("2"));
	kv_batch_put(b, S("a"), S("1"));
	kv_batch_put(b, S("ba"), S("3"));
	kv_batch_put(b, S("c"), S("4"));
	kv_batch_put(b, S("\xff"), S("5"));
	kv_batch_put(b, S("\xff\xff"), S("6"));
	assert_int_equal(commit1(kv, &b), KV_OK);
	expect_scan(kv, p, "", "", "a=1;b=2;ba=3;c=4;\xff=5;\xff\xff=6;");
	expect_scan(kv, p, "b", "c", "b=2;ba=3;");
	expect_scan(kv, p, "b\x01", "", "ba=3;c=4;\xff=5;\xff\xff=6;");
	expect_scan(kv, p, "c", "b", "");
	expect_prefix(kv, p, S("b"), "b=2;ba=3;");
	expect_prefix(kv, p, S("\xff"), "\xff=5;\xff\xff=6;");
	expect_prefix(kv, p, S("\xff\xff\xff"), "");
	expect_prefix(kv, p, S("nope"), "");
	assert_int_equal(kv_scan(kv, p, S(""), S(""), see_row, &r), 42);
	assert_string_equal(buf_cstr(&r.seen), "a=1;b=2;");
	buf_fini(&r.seen);
}

static int count_ordered(void *arg, struct slice key, struct slice value)
{
	uint32_t *n = arg;

	assert_int_equal(key.n, 4);
	assert_int_equal(value.n, 100);
	assert_int_equal(get_be32(key.p), *n);
	++*n;
	return 0;
}

/* More rows than a page of any engine. */
static void case_long_scan(struct kv *kv, uint64_t id)
{
	struct kv_part p = part(id, 5);
	struct kv_batch *b = kv_batch_new(p);
	char value[100];
	uint32_t n = 0;

	co_enter();
	memset(value, 'v', sizeof(value));
	for (uint32_t i = 0; i < 3000; i++) {
		char key[4];

		set_be32(key, i * 7 % 3000);
		kv_batch_put(b, slice_make(key, 4), slice_make(value, sizeof(value)));
	}
	assert_int_equal(commit1(kv, &b), KV_OK);
	assert_int_equal(kv_scan(kv, p, S(""), S(""), count_ordered, &n), 0);
	assert_int_equal(n, 3000);
}

/* Operations of one batch take effect in their order. */
static void case_order(struct kv *kv, uint64_t id)
{
	struct kv_part p = part(id, 6);
	struct kv_batch *b = kv_batch_new(p);

	kv_batch_put(b, S("a"), S("1"));
	kv_batch_put(b, S("b"), S("1"));
	kv_batch_put(b, S("c"), S("1"));
	kv_batch_put(b, S("d"), S("1"));
	kv_batch_del_range(b, S("b"), S("d"));
	kv_batch_put(b, S("c"), S("2"));
	kv_batch_put(b, S("a"), S("3"));
	kv_batch_del(b, S("d"));
	assert_int_equal(commit1(kv, &b), KV_OK);
	expect_scan(kv, p, "", "", "a=3;c=2;");
	b = kv_batch_new(p);
	kv_batch_put(b, S("0"), S("0"));
	kv_batch_del_range(b, S("b"), S(""));
	kv_batch_put(b, S("z"), S("9"));
	assert_int_equal(commit1(kv, &b), KV_OK);
	expect_scan(kv, p, "", "", "0=0;a=3;z=9;");
	b = kv_batch_new(p);
	kv_batch_del_range(b, S(""), S(""));
	assert_int_equal(commit1(kv, &b), KV_OK);
	expect_scan(kv, p, "", "", "");
}

static void case_atomic_and_conflict(struct kv *kv, uint64_t id)
{
	struct kv_part p = part(id, 7);
	struct kv_part q = part(id, 8);
	struct kv_batch *b[2];
	uint64_t v0;
	uint64_t v1;
	uint64_t v2;

	co_enter();
	assert_int_equal(kv_version(kv, p, &v0), 0);
	assert_int_equal(v0, 0);
	b[0] = kv_batch_new(p);
	b[1] = kv_batch_new(q);
	kv_batch_expect(b[0], 0);
	kv_batch_put(b[0], S("k"), S("p"));
	kv_batch_put(b[1], S("k"), S("q"));
	assert_int_equal(kv_commit(kv, b, 2), KV_OK);
	assert_int_equal(kv_version(kv, p, &v1), 0);
	assert_true(v1 > 0);
	/* The same again: p has moved, so q must stay as it is, too. */
	kv_batch_put(b[1], S("k"), S("wrong"));
	kv_batch_put(b[1], S("k2"), S("wrong"));
	assert_int_equal(kv_commit(kv, b, 2), KV_CONFLICT);
	want_value(kv, q, S("k"), S("q"));
	expect_none(kv, q, S("k2"));
	assert_int_equal(kv_version(kv, p, &v2), 0);
	assert_true(v2 == v1);
	kv_batch_expect(b[0], v1);
	assert_int_equal(kv_commit(kv, b, 2), KV_OK);
	want_value(kv, q, S("k2"), S("wrong"));
	assert_int_equal(kv_version(kv, p, &v2), 0);
	assert_true(v2 > v1);
	kv_batch_free(&b[0]);
	kv_batch_free(&b[1]);
	assert_null(b[0]);
	assert_int_equal(kv_commit(kv, NULL, 0), KV_OK);
}

/* Every commit is seen by the read that follows it. */
static void case_visible(struct kv *kv, uint64_t id)
{
	struct kv_part p = part(id, 9);

	co_enter();
	for (int i = 0; i < 50; i++) {
		char text[16];

		snprintf(text, sizeof(text), "%d", i);
		put1(kv, p, S("k"), slice_cstr(text));
		want_value(kv, p, S("k"), slice_cstr(text));
	}
	assert_int_equal(kv_sync(kv), 0);
}

/* ---- blobs ---------------------------------------------------------------- */

static struct kv_blob_writer *blob_write(struct kv *kv, uint64_t seed, size_t n, size_t piece,
					 struct kv_blob_id *id)
{
	struct kv_blob_writer *w;
	char *data = malloc(n + 1);

	co_enter();
	test_fill(data, n, seed);
	assert_int_equal(kv_blob_new(kv, S("meta"), &w), KV_OK);
	for (size_t at = 0; at < n; at += piece) {
		assert_int_equal(kv_blob_write(w, slice_make(data + at, MIN(piece, n - at))),
				 KV_OK);
	}
	assert_int_equal(kv_blob_finish(w, id), KV_OK);
	free(data);
	return w;
}

static struct kv_blob_id blob_keep(struct kv *kv, struct kv_part p, uint64_t seed, size_t n,
				   size_t piece)
{
	struct kv_blob_id id;
	struct kv_blob_writer *w = blob_write(kv, seed, n, piece, &id);
	struct kv_batch *b = kv_batch_new(p);

	kv_batch_blob_ref(b, id);
	assert_int_equal(commit1(kv, &b), KV_OK);
	kv_blob_free(&w);
	assert_null(w);
	return id;
}

static void expect_blob(struct kv *kv, struct kv_blob_id id, uint64_t seed, size_t n)
{
	char *want = malloc(n + 1);
	char *got = malloc(n + 100);
	uint64_t size = 0;
	uint64_t x = seed;

	co_enter();
	test_fill(want, n, seed);
	assert_int_equal(kv_blob_size(kv, id, &size), 0);
	assert_int_equal(size, n);
	assert_int_equal(kv_blob_read(kv, id, 0, got, n + 100), n);
	assert_memory_equal(got, want, n);
	assert_int_equal(kv_blob_read(kv, id, n, got, 10), 0);
	assert_int_equal(kv_blob_read(kv, id, n + 5, got, 10), 0);
	for (int i = 0; i < 20 && n; i++) {
		x = x * 6364136223846793005u + 1442695040888963407u;
		size_t at = (x >> 33) % n;
		size_t len = (x >> 13) % 300000;
		size_t may = MIN(len, n - at);

		assert_int_equal(kv_blob_read(kv, id, at, got, MIN(len, n)), MIN(may, MIN(len, n)));
		assert_memory_equal(got, want + at, may);
	}
	free(want);
	free(got);
}

static void case_blobs(struct kv *kv, uint64_t id)
{
	static const size_t sizes[] = { 0,     1,	  100,	     4096,	     CHUNK - 1,
					CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 77, 3000000 };
	static const size_t pieces[] = { 1 << 22, 1000, CHUNK, 70000 };
	struct kv_part p = part(id, 10);
	struct kv_blob_id ids[ARRAY_LEN(sizes)];

	for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
		ids[i] = blob_keep(kv, p, id + i, sizes[i], pieces[i % ARRAY_LEN(pieces)]);
		assert_false(kv_blob_is_none(ids[i]));
		expect_blob(kv, ids[i], id + i, sizes[i]);
	}
	for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
		expect_blob(kv, ids[i], id + i, sizes[i]);
		for (unsigned j = 0; j < i; j++) {
			assert_memory_not_equal(&ids[i], &ids[j], sizeof(ids[i]));
		}
	}
}

static void expect_gone(struct kv *kv, struct kv_blob_id id)
{
	char c;
	uint64_t n;

	co_enter();
	assert_int_equal(kv_blob_read(kv, id, 0, &c, 1), -ENOENT);
	assert_int_equal(kv_blob_size(kv, id, &n), -ENOENT);
}

static void case_refs(struct kv *kv, uint64_t id)
{
	struct kv_part p = part(id, 11);
	struct kv_part q = part(id, 12);
	struct kv_blob_id blob = blob_keep(kv, p, id, 200000, 50000);
	struct kv_blob_id never = { { 0xee } };
	struct kv_blob_id lost;
	struct kv_blob_writer *w;
	struct kv_batch *b = kv_batch_new(q);

	co_enter();
	kv_batch_blob_ref(b, blob);
	assert_int_equal(commit1(kv, &b), KV_OK);
	b = kv_batch_new(p);
	kv_batch_blob_unref(b, blob);
	kv_batch_frees(b);
	assert_int_equal(commit1(kv, &b), KV_OK);
	assert_int_equal(kv_sync(kv), 0);
	expect_blob(kv, blob, id, 200000);
	b = kv_batch_new(q);
	kv_batch_blob_unref(b, blob);
	assert_int_equal(commit1(kv, &b), KV_OK);
	assert_int_equal(kv_sync(kv), 0);
	expect_gone(kv, blob);
	expect_gone(kv, never);
	/* Given up half written, and finished without a taker. */
	assert_int_equal(kv_blob_new(kv, S(""), &w), KV_OK);
	assert_int_equal(kv_blob_write(w, S("half")), KV_OK);
	kv_blob_free(&w);
	kv_blob_free(&w);
	w = blob_write(kv, 1, 300000, 300000, &lost);
	kv_blob_free(&w);
	put1(kv, p, S("later"), S("1"));
	assert_int_equal(kv_sync(kv), 0);
	expect_gone(kv, lost);
	/* One batch that takes and gives up while the writer holds. */
	w = blob_write(kv, 2, 1000, 1000, &lost);
	b = kv_batch_new(p);
	kv_batch_blob_ref(b, lost);
	kv_batch_blob_unref(b, lost);
	assert_int_equal(commit1(kv, &b), KV_OK);
	b = kv_batch_new(p);
	kv_batch_blob_ref(b, lost);
	assert_int_equal(commit1(kv, &b), KV_OK);
	kv_blob_free(&w);
	assert_int_equal(kv_sync(kv), 0);
	expect_blob(kv, lost, 2, 1000);
}

/* ---- cases with their own world --------------------------------------------- */

static void test_rows(void **s)
{
	(void)s;
	run_case(case_rows);
}

static void test_scan(void **s)
{
	(void)s;
	run_case(case_scan);
	run_case(case_long_scan);
}

static void test_order(void **s)
{
	(void)s;
	run_case(case_order);
}

static void test_atomic_and_conflict(void **s)
{
	(void)s;
	run_case(case_atomic_and_conflict);
}

static void test_visible(void **s)
{
	(void)s;
	run_case(case_visible);
}

static void test_blobs(void **s)
{
	(void)s;
	run_case(case_blobs);
}

static void test_refs(void **s)
{
	(void)s;
	run_case(case_refs);
}

static void no_problem(void *arg, const char *text)
{
	(void)arg;
	print_error("verify: %s\n", text);
}

static void test_verify_and_stats(void **s)
{
	struct world w;
	struct kv_stats st;
	struct err e = ERR_INIT;

	(void)s;
	co_enter();
	for (int local = 0; local < 2; local++) {
		world_start(&w, local);
		blob_keep(w.kv, part(1, 1), 1, 500000, 10000);
		put1(w.kv, part(1, 1), S("k"), S("v"));
		assert_int_equal(kv_sync(w.kv), 0);
		kv_stats(w.kv, &st);
		assert_int_equal(st.blobs, 1);
		assert_int_equal(st.commits, 2);
		assert_true(st.live_bytes > 0);
		assert_false(st.poisoned || st.full || kv_is_full(w.kv));
		assert_int_equal(kv_verify(w.kv, no_problem, NULL), 0);
		assert_int_equal(kv_snapshot(w.kv, &e), 0);
		assert_int_equal(kv_verify(w.kv, no_problem, NULL), 0);
		world_end(&w);
	}
}

/* What was committed is there after reopening; what was not, is gone. */
static void test_reopen(void **s)
{
	struct world w;
	struct kv_blob_id kept;
	struct kv_blob_id lost;
	struct kv_blob_id next;
	struct kv_blob_writer *writer;
	struct kv_stats st;
	uint64_t v1;
	uint64_t v2;

	(void)s;
	co_enter();
	world_start(&w, true);
	put1(w.kv, part(1, 1), S("k"), S("v"));
	kept = blob_keep(w.kv, part(1, 1), 7, 300000, 300000);
	writer = blob_write(w.kv, 8, 300000, 300000, &lost);
	put1(w.kv, part(1, 2), S("k"), S("v")); /* carries lost's chunks */
	assert_int_equal(kv_version(w.kv, part(1, 1), &v1), 0);
	kv_blob_free(&writer);
	for (int i = 0; i < 3; i++) {
		world_reopen(&w);
		want_value(w.kv, part(1, 1), S("k"), S("v"));
		expect_blob(w.kv, kept, 7, 300000);
		expect_gone(w.kv, lost);
		assert_int_equal(kv_version(w.kv, part(1, 1), &v2), 0);
		assert_true(v2 == v1);
		next = blob_keep(w.kv, part(2, (uint64_t)i), 9, 10, 10);
		assert_memory_not_equal(&next, &kept, sizeof(next));
		assert_memory_not_equal(&next, &lost, sizeof(next));
	}
	put1(w.kv, part(1, 1), S("k"), S("w"));
	assert_int_equal(kv_version(w.kv, part(1, 1), &v2), 0);
	assert_true(v2 > v1);
	kv_stats(w.kv, &st);
	assert_int_equal(st.blobs, 4);
	assert_int_equal(kv_verify(w.kv, no_problem, NULL), 0);
	world_end(&w);
}

/* One small delivery is one write and one sync. */
static void test_one_sync(void **s)
{
	struct world w;
	struct kv_stats a;
	struct kv_stats b;

	(void)s;
	world_start(&w, true);
	put1(w.kv, part(1, 1), S("k"), S("v"));
	kv_stats(w.kv, &a);
	for (unsigned i = 0; i < 10; i++) {
		blob_keep(w.kv, part(1, 1), i, 20000, 3000);
	}
	kv_stats(w.kv, &b);
	assert_int_equal(b.commits - a.commits, 10);
	assert_true(b.syncs - a.syncs <= 11); /* one more: a new segment */
	world_end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),	cmocka_unit_test(test_scan),
		cmocka_unit_test(test_order),	cmocka_unit_test(test_atomic_and_conflict),
		cmocka_unit_test(test_visible), cmocka_unit_test(test_blobs),
		cmocka_unit_test(test_refs),	cmocka_unit_test(test_verify_and_stats),
		cmocka_unit_test(test_reopen),	cmocka_unit_test(test_one_sync),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
