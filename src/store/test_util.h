/*
 * What the store's tests share: a store over a chosen engine, messages, and
 * an engine that stands in front of another one to be slow and to fail.
 *
 * The slow engine commits at once, in the order of the calls, as the contract
 * says, and lets the answers come in any order later. It is made of kv/'s own
 * vtable, which only tests may do from outside.
 */
#ifndef STORE_TEST_UTIL_H
#define STORE_TEST_UTIL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/rand.h"
#include "kv/impl.h"
#include "kv/test_util.h"
#include "store/impl.h"

/* ---- a small random generator with a seed to print ---------------------- */

struct rng {
	uint64_t x;
};

static inline uint64_t rng_next(struct rng *r)
{
	r->x ^= r->x << 13;
	r->x ^= r->x >> 7;
	r->x ^= r->x << 17;
	return r->x * 2685821657736338717u;
}

static inline uint32_t rng_below(struct rng *r, uint32_t n)
{
	return (uint32_t)((rng_next(r) >> 33) % n);
}

/* ---- the engine behind --------------------------------------------------- */

struct t_engine {
	struct kv *kv;
	char dir[64]; /* empty: in memory */
};

static inline void t_engine_open(struct t_engine *en)
{
	struct kv_local_opts o = {
		.dir = en->dir, .segment_size = 4 << 20, .map_size = 1ull << 30, .free_floor = 1
	};
	struct err e = ERR_INIT;
	char line[256];

	if (!en->dir[0]) {
		assert_int_equal(kv_mem_open(&en->kv), 0);
	} else if (kv_local_open(&o, &en->kv, &e)) {
		fail_msg("%s", err_str(&e, line, sizeof(line)));
	}
}

/* STORE_ENGINE=local runs a test over the embedded engine. */
static inline void t_engine_new(struct t_engine *en)
{
	const char *kind = getenv("STORE_ENGINE");

	memset(en, 0, sizeof(*en));
	if (kind && strcmp(kind, "local") == 0) {
		test_dir(en->dir, sizeof(en->dir));
	}
	t_engine_open(en);
}

/* As after a restart of the process; memory cannot do that. */
static inline void t_engine_restart(struct t_engine *en)
{
	if (en->dir[0]) {
		kv_close(&en->kv);
		t_engine_open(en);
	}
}

static inline void t_engine_free(struct t_engine *en)
{
	kv_close(&en->kv);
	if (en->dir[0]) {
		test_dir_remove(en->dir);
	}
}

/* Blobs that something refers to. */
static inline uint64_t t_blobs(struct kv *kv)
{
	struct kv_stats st;

	co_enter();
	assert_int_equal(kv_sync(kv), 0);
	kv_stats(kv, &st);
	return st.blobs;
}

/* ---- the engine in front ------------------------------------------------ */

struct tkv {
	struct kv kv;
	struct kv *inner;
	struct rng rng;
	unsigned slow;	      /* up to that many yields at each call */
	unsigned fail_one_in; /* commits: 0 never */
	int fail_with;	      /* KV_FULL, -EIO */
	bool poisoned;
	unsigned commits, failures;
	size_t biggest; /* bytes of a commit */
};

static inline void tkv_pause(struct tkv *t)
{
	co_enter();
	for (unsigned n = t->slow ? rng_below(&t->rng, t->slow) : 0; n; n--) {
		co_yield();
	}
}

static inline struct tkv *tkv_of(struct kv *kv)
{
	return (struct tkv *)kv;
}

static inline int tkv_get(struct kv *kv, struct kv_part part, struct slice key, struct buf *out)
{
	co_enter();
	tkv_pause(tkv_of(kv));
	int r = kv_get(tkv_of(kv)->inner, part, key, out);

	tkv_pause(tkv_of(kv));
	return r;
}

static inline int tkv_scan(struct kv *kv, struct kv_part part, struct slice from, struct slice to,
			   kv_row_fn *fn, void *arg)
{
	co_enter();
	tkv_pause(tkv_of(kv));
	int r = kv_scan(tkv_of(kv)->inner, part, from, to, fn, arg);

	tkv_pause(tkv_of(kv));
	return r;
}

static inline int tkv_version(struct kv *kv, struct kv_part part, uint64_t *out)
{
	co_enter();
	return kv_version(tkv_of(kv)->inner, part, out);
}

static inline int tkv_commit(struct kv *kv, struct kv_batch *const *b, size_t n, size_t bytes)
{
	struct tkv *t = tkv_of(kv);
	int r;

	co_enter();
	t->commits++;
	t->biggest = MAX(t->biggest, bytes);
	if (t->poisoned) {
		r = -EIO;
	} else if (t->fail_one_in && rng_below(&t->rng, t->fail_one_in) == 0) {
		t->failures++;
		r = t->fail_with;
		t->poisoned = r == -EIO;
	} else {
		r = kv_commit(t->inner, b, n);
	}
	tkv_pause(t);
	return r;
}

static inline int tkv_sync(struct kv *kv)
{
	co_enter();
	return kv_sync(tkv_of(kv)->inner);
}

static inline int tkv_blob_new(struct kv *kv, struct slice meta, struct kv_blob_writer **out)
{
	co_enter();
	return kv_blob_new(tkv_of(kv)->inner, meta, out);
}

static inline ssize_t tkv_blob_read(struct kv *kv, struct kv_blob_id id, uint64_t off, char *p,
				    size_t n)
{
	co_enter();
	tkv_pause(tkv_of(kv));
	return kv_blob_read(tkv_of(kv)->inner, id, off, p, n);
}

static inline int tkv_blob_size(struct kv *kv, struct kv_blob_id id, uint64_t *out)
{
	co_enter();
	return kv_blob_size(tkv_of(kv)->inner, id, out);
}

static inline void tkv_stats(struct kv *kv, struct kv_stats *out)
{
	kv_stats(tkv_of(kv)->inner, out);
}

static inline bool tkv_is_full(struct kv *kv)
{
	return kv_is_full(tkv_of(kv)->inner);
}

static inline int tkv_verify(struct kv *kv, void (*found)(void *arg, const char *text), void *arg)
{
	co_enter();
	return kv_verify(tkv_of(kv)->inner, found, arg);
}

/* inner stays the caller's; free() the result. */
static inline struct tkv *tkv_open(struct kv *inner, uint64_t seed)
{
	static const struct kv_ops ops = {
		.get = tkv_get,
		.scan = tkv_scan,
		.version = tkv_version,
		.commit = tkv_commit,
		.sync = tkv_sync,
		.blob_new = tkv_blob_new,
		.blob_read = tkv_blob_read,
		.blob_size = tkv_blob_size,
		.stats = tkv_stats,
		.is_full = tkv_is_full,
		.verify = tkv_verify,
	};
	struct tkv *t = xcalloc(1, sizeof(*t));

	t->kv.ops = &ops;
	t->inner = inner;
	t->rng.x = seed * 2 + 1;
	return t;
}

/* ---- a store ------------------------------------------------------------ */

static inline struct store *t_store(struct kv *kv)
{
	struct store_opts o = { .kv = kv };
	struct store *s = NULL;
	struct err e = ERR_INIT;

	co_enter();
	assert_int_equal(store_open(&o, &s, &e), 0);
	return s;
}

static inline void t_found(void *arg, const char *text)
{
	(void)arg;
	print_error("check: %s\n", text);
}

/* For damage that is meant to be there. */
static inline void t_found_quietly(void *arg, const char *text)
{
	(void)text;
	++*(unsigned *)arg;
}

/* The store and its engine have nothing to complain about. */
static inline void t_check(struct store *s)
{
	co_enter();
	assert_int_equal(store_check(s, t_found, NULL), 0);
}

static inline struct store_writer *t_message(struct store *s, const char *text)
{
	struct store_writer *w = NULL;
	struct err e = ERR_INIT;

	co_enter();
	assert_int_equal(store_writer_new(s, S("test"), &w, &e), 0);
	assert_int_equal(store_writer_add(w, slice_cstr(text), &e), 0);
	assert_int_equal(store_writer_end(w, &e), 0);
	return w;
}

#define T_MESSAGE "From: a@example.test\r\nSubject: one\r\n\r\nhello\r\n"

static inline int t_deliver(struct store *s, store_id account, const char *text, uint32_t *uid)
{
	struct store_writer *w = t_message(s, text);
	struct store_rcpt rcpt = { .account = account };
	struct err e = ERR_INIT;

	co_enter();
	int r = store_deliver(s, w, &rcpt, 1, &e);

	store_writer_free(&w);
	if (uid) {
		*uid = rcpt.uid;
	}
	return r ? r : rcpt.result;
}

static inline int t_append(struct store_mailbox *m, const char *text, struct store_flags flags,
			   uint32_t *uid)
{
	struct store_writer *w = t_message(m->a->home->s, text);
	struct err e = ERR_INIT;
	uint32_t u = 0;

	co_enter();
	int r = store_append(m, w, flags, 1000000000, 60, &u, &e);

	store_writer_free(&w);
	if (uid) {
		*uid = u;
	}
	return r;
}

static inline struct store_account *t_account(struct store *s, store_id id)
{
	struct store_account *a = NULL;
	struct err e = ERR_INIT;

	co_enter();
	assert_int_equal(store_account_open(s, id, &a, &e), 0);
	return a;
}

static inline struct store_mailbox *t_box(struct store_account *a, const char *name)
{
	struct store_mailbox *m = NULL;
	struct err e = ERR_INIT;

	co_enter();
	assert_int_equal(store_mailbox_open(a, slice_cstr(name), &m, &e), 0);
	return m;
}

/* ---- a house ------------------------------------------------------------- */

/* One account and its INBOX, open, and what tests need beside them. */
struct t_house {
	struct t_engine en;
	struct store *s;
	struct store_account *a;
	struct store_mailbox *m;
	struct store_view *v; /* if the test opens one */
	struct arena arena;
	struct err e;
	store_id id;
};

static inline void t_house_open(struct t_house *h)
{
	h->s = t_store(h->en.kv);
	h->a = t_account(h->s, h->id);
	h->m = t_box(h->a, "INBOX");
}

static inline void t_house_close(struct t_house *h)
{
	store_mailbox_close(&h->m);
	store_account_close(&h->a);
	store_close(&h->s);
}

/* As after a restart. */
static inline void t_house_reopen(struct t_house *h)
{
	t_house_close(h);
	t_engine_restart(&h->en);
	t_house_open(h);
}

/* To be free()d after t_house_free. */
static inline struct t_house *t_house_new(store_id id)
{
	struct t_house *h = xcalloc(1, sizeof(*h));

	co_enter();
	h->id = id;
	t_engine_new(&h->en);
	h->s = t_store(h->en.kv);
	assert_int_equal(store_account_create(h->s, id, 0, 0, &h->e), 0);
	store_close(&h->s);
	t_house_open(h);
	arena_init(&h->arena, 32 << 20);
	return h;
}

/* Setup and teardown of a test that needs no more; account 1. */
static inline int t_setup(void **state)
{
	*state = t_house_new(1);
	return 0;
}

static inline int t_teardown(void **state)
{
	struct t_house *h = *state;

	store_view_close(&h->v);
	t_check(h->s);
	t_house_close(h);
	t_engine_free(&h->en);
	arena_fini(&h->arena);
	free(h);
	return 0;
}

#endif
