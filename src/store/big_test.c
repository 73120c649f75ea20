/*
 * A mailbox of 50,000 messages: all flags in one small commit, one expunge,
 * one copy, views that stay cheap. Sizes are held, not times.
 */
#include "store/test_util.h"

#define BIG 50000

struct big {
	struct tkv *kv;
	struct store *s;
	struct store_account *a;
	struct store_mailbox *m;
	uint32_t *uid;
	uint32_t *to;
	struct err e;
};

/* One message, doubled by copying until there are enough. */
static void fill(struct big *b)
{
	struct store_status st;

	co_enter();
	assert_int_equal(t_append(b->m, T_MESSAGE, (struct store_flags){ 0 }, NULL), 0);
	for (;;) {
		store_mailbox_get_status(b->m, &st);
		size_t n = MIN(st.messages, BIG - st.messages);

		if (n == 0) {
			break;
		}
		for (uint32_t i = 0; i < n; i++) {
			b->uid[i] = i + 1;
		}
		assert_int_equal(store_copy(b->m, b->uid, n, b->m, false, b->to, &b->e), 0);
	}
	for (uint32_t i = 0; i < BIG; i++) {
		b->uid[i] = i + 1;
	}
	assert_int_equal(st.messages, BIG);
	assert_int_equal(st.uidnext, BIG + 1);
}

static void flags_in_one(struct big *b)
{
	struct store_view *v = NULL;
	struct store_diff d;
	struct store_msg x;
	struct arena arena;

	co_enter();
	arena_init(&arena, 16 << 20);
	assert_int_equal(store_view_open(b->m, true, &v, &b->e), 0);
	b->kv->commits = 0;
	b->kv->biggest = 0;
	assert_int_equal(store_flags_change(b->m, b->uid, BIG, STORE_FLAGS_ADD,
					    (struct store_flags){ STORE_SEEN, 0 }, &b->e),
			 0);
	assert_int_equal(b->kv->commits, 1);
	assert_true(b->kv->biggest < BIG * 12);
	/* The session tells its client about half of them itself. */
	for (uint32_t seq = BIG; seq > BIG / 2; seq--) {
		assert_int_equal(store_view_msg(v, seq, &x), STORE_OK);
		store_view_told(v, seq, x.modseq);
	}
	assert_int_equal(store_view_sync(v, false, &arena, &d), 0);
	assert_int_equal(d.n_changed, BIG / 2);
	assert_int_equal(d.changed[7].seq, 8);
	assert_int_equal(store_view_msg(v, BIG, &x), STORE_OK);
	assert_int_equal(x.flags.system, STORE_SEEN);
	store_view_close(&v);
	arena_fini(&arena);
}

static void expunge_and_views(struct big *b)
{
	struct store_view *old = NULL, *step[20] = { NULL };
	struct store_diff d;
	struct arena arena;
	struct store_msg x;
	size_t gone = 0;

	co_enter();
	arena_init(&arena, 16 << 20);
	assert_int_equal(store_view_open(b->m, false, &old, &b->e), 0);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(store_view_open(b->m, false, &step[i], &b->e), 0);
	}
	b->kv->commits = 0;
	assert_int_equal(store_expunge(b->m, b->uid + 1000, 40000, false, &gone, &b->e), 0);
	assert_int_equal(gone, 40000);
	assert_int_equal(b->kv->commits, 1);
	for (int i = 0; i < 20; i++) {
		struct arena_mark mark = arena_mark(&arena);

		assert_int_equal(store_view_sync(step[i], true, &arena, &d), 0);
		assert_int_equal(d.n_expunged, 40000);
		assert_int_equal(d.expunged[0], 41000);
		assert_int_equal(d.exists, 10000);
		arena_reset(&arena, mark);
	}
	/* Sessions in step share one array; the old one still has its own. */
	assert_int_equal(b->m->cur->refs, 21);
	assert_int_equal(store_view_msg(old, 2000, &x), STORE_NOTFOUND);
	assert_int_equal(x.uid, 2000);
	assert_int_equal(x.flags.system, STORE_SEEN);
	assert_int_equal(b->m->n, BIG);
	store_view_close(&old);
	assert_int_equal(b->m->n, 10000); /* nobody can name them any more */
	for (int i = 0; i < 20; i++) {
		store_view_close(&step[i]);
	}
	arena_fini(&arena);
}

static void test_big(void **state)
{
	struct big b = { .uid = xcalloc(BIG, 4), .to = xcalloc(BIG, 4) };
	struct t_engine en;

	(void)state;
	co_enter();
	t_engine_new(&en);
	b.kv = tkv_open(en.kv, 1);
	b.s = t_store(&b.kv->kv);
	assert_int_equal(store_account_create(b.s, 1, 0, 0, &b.e), 0);
	b.a = t_account(b.s, 1);
	b.m = t_box(b.a, "INBOX");
	fill(&b);
	flags_in_one(&b);
	expunge_and_views(&b);
	store_mailbox_close(&b.m);
	b.m = t_box(b.a, "INBOX");
	assert_int_equal(b.m->total.messages, 10000);
	t_check(b.s);
	store_mailbox_close(&b.m);
	store_account_close(&b.a);
	store_close(&b.s);
	free(b.kv);
	t_engine_free(&en);
	free(b.uid);
	free(b.to);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_big),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
