/*
 * The indexer among others: over a slow engine, with a pool of workers, mail
 * arrives, is searched, expunged, moved, and mailboxes and an account are
 * deleted while indexers are at work. Nothing may be left in a partition that
 * was emptied, every answer must hold, and the indexers must end with the loop.
 */
#include <unistd.h>

#include "store/index.h"
#include "store/test_util.h"

#define ROUNDS 60

struct race {
	struct t_engine en;
	struct tkv *kv;
	struct co_loop *loop;
	struct store *s;
	struct rng rng;
	unsigned left;
	unsigned answers;
	store_id deleted[ROUNDS];
	size_t n_deleted;
};

static struct race race;

static void done(void)
{
	if (--race.left == 0) {
		co_loop_stop(race.loop);
	}
}

static int open_box(store_id account, const char *name, struct store_account **a,
		    struct store_mailbox **m)
{
	struct err e = ERR_INIT;

	co_enter();
	int r = store_account_open(race.s, account, a, &e);

	if (r) {
		return r;
	}
	r = store_mailbox_open(*a, slice_cstr(name), m, &e);
	if (r) {
		store_account_close(a);
	}
	return r;
}

static void deliverer(void *arg)
{
	store_id account = (store_id)(uintptr_t)arg;
	char text[200];

	co_enter();
	for (unsigned i = 0; i < 4 * ROUNDS; i++) {
		snprintf(text, sizeof(text), "Subject: s%u\r\n\r\nmail number%u kind%u\r\n", i, i,
			 i % 3);
		int r = t_deliver(race.s, account, text, NULL);

		assert_true(r == 0 || (account == 2 && r == STORE_NOTFOUND));
		co_sleep(rng_below(&race.rng, 3));
	}
	done();
}

static int count_row(void *arg, struct slice key, struct slice value)
{
	(void)key;
	(void)value;
	++*(unsigned *)arg;
	return 0;
}

static unsigned rows(store_id account, store_id box, struct slice prefix)
{
	unsigned n = 0;

	co_enter();
	kv_scan_prefix(race.en.kv, part_mailbox(account, box), prefix, count_row, &n);
	return n;
}

/* Keeps the indexer awake: it would wait for the mail to rest. Last of all it
 * sees to it that there is an index. */
static void poker(void *arg)
{
	(void)arg;
	co_enter();
	while (race.left > 1 || rows(1, 1, S("W")) == 0) {
		for (store_id id = 1; id <= 2; id++) {
			struct store_account *a = NULL;
			struct store_mailbox *m = NULL;

			if (open_box(id, "INBOX", &a, &m) == 0) {
				text_touch(m, 0);
				store_mailbox_close(&m);
				store_account_close(&a);
			}
		}
		if (co_sleep(2)) {
			break;
		}
	}
	done();
}

static void search(struct store_mailbox *m, const char *needle, unsigned kind)
{
	struct store_text_query q = { STORE_TEXT_BODY, S(""), slice_cstr(needle), false };
	struct store_text_hits h;
	struct err e = ERR_INIT;
	struct arena a;

	co_enter();
	arena_init(&a, 1 << 20);
	int r = store_text_find(m, &q, &a, &h, &e);

	assert_true(r == 0 || r == -ECANCELED);
	for (size_t i = 0; r == 0 && i < h.n; i++) {
		char text[200];
		ssize_t n = store_read(m, h.uids[i], 0, text, sizeof(text), &e);

		if (n > 0) { /* not gone */
			assert_true(slice_find(slice_make(text, (size_t)n), slice_cstr(needle)) !=
				    SIZE_MAX);
			race.answers++;
		}
	}
	(void)kind;
	arena_fini(&a);
}

static void searcher(void *arg)
{
	struct store_account *a = NULL;
	struct store_mailbox *m = NULL;
	struct err e = ERR_INIT;

	(void)arg;
	co_enter();
	assert_int_equal(open_box(1, "INBOX", &a, &m), 0);
	for (unsigned i = 0; i < ROUNDS; i++) {
		char needle[20];

		snprintf(needle, sizeof(needle), "kind%u", i % 3);
		search(m, needle, i % 3);
		if (i % 5 == 4 && m->n > 10) {
			uint32_t uids[5];

			for (unsigned k = 0; k < 5; k++) {
				uids[k] = m->v[k].uid;
			}
			store_expunge(m, uids, 5, false, NULL, &e);
		}
		co_sleep(rng_below(&race.rng, 10));
	}
	store_mailbox_close(&m);
	store_account_close(&a);
	done();
}

/* Makes mailboxes, fills them, has them indexed, deletes them meanwhile. */
static void deleter(void *arg)
{
	struct err e = ERR_INIT;

	(void)arg;
	co_enter();
	for (unsigned i = 0; i < ROUNDS / 4; i++) {
		struct store_account *a = NULL;
		struct store_mailbox *m = NULL;

		a = t_account(race.s, 1);
		assert_int_equal(store_mailbox_create(a, S("short"), 0, &e), 0);
		m = t_box(a, "short");
		race.deleted[race.n_deleted++] = m->id;
		for (unsigned k = 0; k < 10; k++) {
			assert_int_equal(t_append(m, T_MESSAGE, (struct store_flags){ 0 }, NULL),
					 0);
		}
		text_touch(m, 0);
		co_sleep(rng_below(&race.rng, 12));
		assert_int_equal(store_mailbox_delete(a, S("short"), &e), 0);
		store_mailbox_close(&m);
		store_account_close(&a);
	}
	assert_int_equal(store_account_delete(race.s, 2, &e), 0);
	done();
}

static void spawn(void (*fn)(void *), uintptr_t arg)
{
	assert_int_equal(co_spawn("t", fn, (void *)arg, NULL), 0);
	race.left++;
}

static void run(void)
{
	struct store_opts o = { .kv = &race.kv->kv, .loops = &race.loop, .n_loops = 1 };
	struct err e = ERR_INIT;

	co_enter();
	assert_int_equal(store_open(&o, &race.s, &e), 0);
	assert_int_equal(store_account_create(race.s, 1, 0, 0, &e), 0);
	assert_int_equal(store_account_create(race.s, 2, 0, 0, &e), 0);
	store_text_start(race.s);
	spawn(deliverer, 1);
	spawn(deliverer, 2);
	spawn(searcher, 0);
	spawn(deleter, 0);
	spawn(poker, 0);
	co_loop_run(race.loop);
	assert_false(race.s->homes[0].text_on);
	store_close(&race.s);
}

static void test_race(void **state)
{
	const char *seed = getenv("TEXT_SEED");

	(void)state;
	co_enter();
	setenv("CMOCKA_TEST_ABORT", "1", 1);
	alarm(120);
	memset(&race, 0, sizeof(race));
	race.rng.x = (seed ? strtoull(seed, NULL, 0) : rand_u64()) | 1;
	print_message("TEXT_SEED=%llu\n", (unsigned long long)race.rng.x);
	t_engine_new(&race.en);
	race.kv = tkv_open(race.en.kv, race.rng.x);
	race.kv->slow = 3;
	assert_int_equal(co_pool_start(2, 0), 0);
	assert_int_equal(co_loop_new(&race.loop), 0);
	run();
	co_loop_free(&race.loop);
	co_pool_stop();
	for (size_t i = 0; i < race.n_deleted; i++) {
		assert_int_equal(rows(1, race.deleted[i], S("")), 0);
	}
	assert_int_equal(rows(2, 1, S("")), 0);
	assert_true(rows(1, 1, S("W")) > 0);
	print_message("%u hits looked at\n", race.answers);
	race.s = t_store(race.en.kv);
	t_check(race.s);
	store_close(&race.s);
	free(race.kv);
	t_engine_free(&race.en);
	alarm(0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_race) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
