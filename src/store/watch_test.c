/*
 * Watches: what is heard of an account's changes, on its own loop and from
 * another one.
 */
#include <pthread.h>
#include <unistd.h>

#include "store/test_util.h"
#include "store/watch.h"

static void took(struct store_watch *w, bool list, bool server, size_t boxes)
{
	struct store_changes c;
	struct arena a;

	co_enter();
	arena_init(&a, 1 << 20);
	assert_int_equal(store_watch_take(w, &a, &c), STORE_OK);
	assert_int_equal(c.list, list);
	assert_int_equal(c.server, server);
	assert_int_equal(c.n_boxes, boxes);
	arena_fini(&a);
}

static void test_changes(void **state)
{
	struct t_engine en;
	struct store_watch *w = NULL;
	struct store_changes c;
	struct co_event ev;
	struct arena arena;
	struct err e = ERR_INIT;

	(void)state;
	co_enter();
	co_event_init(&ev);
	arena_init(&arena, 1 << 20);
	t_engine_new(&en);
	struct store *s = t_store(en.kv);

	assert_int_equal(store_watch_new(s, 7, &ev, &w, &e), STORE_NOTFOUND);
	assert_int_equal(store_account_create(s, 7, 0, 0, &e), 0);
	struct store_account *a = t_account(s, 7);

	assert_int_equal(store_watch_new(s, 7, &ev, &w, &e), STORE_OK);
	assert_false(ev.set);
	took(w, false, false, 0);
	assert_int_equal(t_deliver(s, 7, T_MESSAGE, NULL), 0);
	assert_int_equal(t_deliver(s, 7, T_MESSAGE, NULL), 0);
	assert_true(ev.set);
	co_event_clear(&ev);
	assert_int_equal(store_watch_take(w, &arena, &c), STORE_OK);
	assert_int_equal(c.n_boxes, 1);
	assert_false(c.list);
	took(w, false, false, 0);
	assert_int_equal(store_mailbox_create(a, S("x"), 0, &e), 0);
	assert_true(ev.set);
	took(w, true, false, 0);
	assert_int_equal(store_subscribe(a, S("x"), true, &e), 0);
	took(w, true, false, 0);
	assert_int_equal(store_mailbox_rename(a, S("x"), S("y"), &e), 0);
	assert_int_equal(t_deliver(s, 7, T_MESSAGE, NULL), 0);
	took(w, true, false, 1);
	assert_int_equal(store_mailbox_delete(a, S("y"), &e), 0);
	took(w, true, false, 0);
	account_metadata_changed(a, NULL);
	took(w, false, true, 0);
	account_metadata_changed(a, a->inbox);
	assert_int_equal(store_watch_take(w, &arena, &c), STORE_OK);
	assert_int_equal(c.n_noted, 1);
	assert_int_equal(c.noted[0], a->inbox->id);
	assert_int_equal(c.n_boxes, 0);
	assert_false(c.server);
	store_account_close(&a);
	assert_int_equal(store_account_delete(s, 7, &e), 0);
	assert_int_equal(store_watch_take(w, &arena, &c), STORE_GONE);
	store_watch_free(&w);
	store_watch_free(&w);
	arena_fini(&arena);
	store_close(&s);
	t_engine_free(&en);
}

/* ---- from another loop -------------------------------------------------- */

#define ACCOUNTS 4
#define ROUNDS 50

static struct {
	struct store *_Atomic s;
	struct co_loop *loop[2];
	atomic_bool ready;
	atomic_int left;
	pthread_t thread;
} two;

static void done(void)
{
	if (atomic_fetch_sub(&two.left, 1) == 1) {
		co_loop_stop(two.loop[0]);
		co_loop_stop(two.loop[1]);
	}
}

/* Delivers, and waits each time until the watch has heard of it. */
CO_FN static void watch_one(struct store *s, store_id id)
{
	struct store_watch *w = NULL;
	struct store_changes c;
	struct co_event ev;
	struct arena arena;
	struct err e = ERR_INIT;

	co_event_init(&ev);
	arena_init(&arena, 1 << 20);
	struct arena_mark mark = arena_mark(&arena);

	assert_int_equal(store_watch_new(s, id, &ev, &w, &e), STORE_OK);
	for (int i = 0; i < ROUNDS; i++) {
		assert_int_equal(t_deliver(s, id, T_MESSAGE, NULL), 0);
		assert_int_equal(co_event_wait(&ev, clock_in_ms(20000)), 0);
		co_event_clear(&ev);
		assert_int_equal(store_watch_take(w, &arena, &c), STORE_OK);
		assert_int_equal(c.n_boxes, 1);
		arena_reset(&arena, mark);
	}
	/* One that is let go of while its wake-up is on the way. */
	assert_int_equal(t_deliver(s, id, T_MESSAGE, NULL), 0);
	store_watch_free(&w);
	arena_fini(&arena);
	co_yield();
}

static void body(void *arg)
{
	(void)arg;
	co_enter();
	while (!atomic_load(&two.s)) {
		co_sleep(1);
	}
	for (store_id id = 1; id <= ACCOUNTS; id++) {
		watch_one(atomic_load(&two.s), id);
	}
	done();
}

static void *second_thread(void *arg)
{
	(void)arg;
	assert_int_equal(co_loop_new(&two.loop[1]), 0);
	assert_int_equal(co_spawn("b", body, NULL, NULL), 0);
	atomic_store(&two.ready, true);
	co_loop_run(two.loop[1]);
	return NULL;
}

static void test_other_loop(void **state)
{
	struct t_engine en;
	struct err e = ERR_INIT;

	(void)state;
	co_enter();
	alarm(60);
	t_engine_new(&en);
	assert_int_equal(co_loop_new(&two.loop[0]), 0);
	atomic_store(&two.left, 2);
	struct store *s = t_store(en.kv);

	for (store_id id = 1; id <= ACCOUNTS; id++) {
		assert_int_equal(store_account_create(s, id, 0, 0, &e), 0);
	}
	store_close(&s);
	assert_int_equal(pthread_create(&two.thread, NULL, second_thread, NULL), 0);
	while (!atomic_load(&two.ready)) {
		usleep(1000);
	}
	struct store_opts o = { .kv = en.kv, .loops = two.loop, .n_loops = 2 };

	assert_int_equal(store_open(&o, &s, &e), 0);
	atomic_store(&two.s, s);
	assert_int_equal(co_spawn("a", body, NULL, NULL), 0);
	co_loop_run(two.loop[0]);
	assert_int_equal(pthread_join(two.thread, NULL), 0);
	co_loop_free(&two.loop[0]);
	co_loop_free(&two.loop[1]);
	store_close(&s);
	t_engine_free(&en);
	alarm(0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_other_loop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
