/*
 * What a view's client may take for known: told as of a modseq, changes made
 * on a condition, silent ones, and how far the view is complete.
 */
#include "store/test_util.h"

static int setup(void **state)
{
	struct t_house *env = t_house_new(1);

	co_enter();
	for (int i = 0; i < 4; i++) {
		assert_int_equal(t_deliver(env->s, 1, T_MESSAGE, NULL), 0);
	}
	assert_int_equal(store_view_open(env->m, true, &env->v, &env->e), 0);
	*state = env;
	return 0;
}

/* Another session's change. */
static void other(struct t_house *env, uint32_t uid, uint32_t system)
{
	co_enter();
	assert_int_equal(store_flags_change(env->m, &uid, 1, STORE_FLAGS_ADD,
					    (struct store_flags){ system, 0 }, &env->e),
			 0);
}

static void gone(struct t_house *env, uint32_t uid)
{
	size_t n;

	co_enter();
	assert_int_equal(store_expunge(env->m, &uid, 1, false, &n, &env->e), 0);
	assert_int_equal(n, 1);
}

static struct store_diff sync_view(struct t_house *env, bool expunges)
{
	struct store_diff d;

	assert_int_equal(store_view_sync(env->v, expunges, &env->arena, &d), 0);
	return d;
}

static struct store_msg msg(struct t_house *env, uint32_t seq)
{
	struct store_msg x;

	store_view_msg(env->v, seq, &x);
	return x;
}

/* Flags read before a change and told after it are not all there is. */
static void as_of(void **state)
{
	struct t_house *env = *state;
	struct store_msg read;

	other(env, 1, STORE_FLAGGED);
	read = msg(env, 1);
	other(env, 1, STORE_ANSWERED);
	store_view_told(env->v, 1, read.modseq);
	assert_int_equal(sync_view(env, false).n_changed, 1);
	other(env, 1, STORE_DRAFT);
	store_view_told(env->v, 1, msg(env, 1).modseq);
	assert_int_equal(sync_view(env, false).n_changed, 0);
}

static void complete(void **state)
{
	struct t_house *env = *state;
	uint64_t before = store_view_modseq(env->v);
	struct store_status st;

	store_mailbox_get_status(env->m, &st);
	assert_true(before == st.highestmodseq);
	assert_false(store_view_behind(env->v));
	gone(env, 2);
	other(env, 3, STORE_SEEN);
	assert_true(store_view_behind(env->v));
	assert_int_equal(sync_view(env, false).n_changed, 1);
	assert_true(store_view_modseq(env->v) == before); /* the expunge waits */
	assert_true(msg(env, 3).modseq > before);
	assert_true(store_view_behind(env->v));
	assert_int_equal(sync_view(env, true).n_expunged, 1);
	store_mailbox_get_status(env->m, &st);
	assert_true(store_view_modseq(env->v) == st.highestmodseq);
	assert_false(store_view_behind(env->v));
	/* without anything to report it still moves on */
	other(env, 1, STORE_SEEN);
	store_view_told(env->v, 1, msg(env, 1).modseq);
	assert_true(store_view_behind(env->v));
	assert_int_equal(sync_view(env, false).n_changed, 0);
	assert_true(store_view_modseq(env->v) == msg(env, 1).modseq);
}

static void conditional(void **state)
{
	struct t_house *env = *state;
	uint32_t uids[] = { 1, 2, 3, 4, 9 };
	uint32_t left[5];
	struct store_flags_if c = { .unchanged_since = store_view_modseq(env->v), .left = left };

	co_enter();
	other(env, 2, STORE_SEEN);
	other(env, 4, STORE_SEEN);
	gone(env, 3);
	assert_int_equal(store_flags_change_if(env->m, uids, 5, STORE_FLAGS_SET,
					       (struct store_flags){ STORE_DRAFT, 0 }, &c, &env->e),
			 0);
	assert_int_equal(c.n_left, 2);
	assert_int_equal(left[0], 2);
	assert_int_equal(left[1], 4);
	assert_int_equal(msg(env, 1).flags.system, STORE_DRAFT);
	assert_int_equal(msg(env, 2).flags.system, STORE_SEEN);
	c.unchanged_since = 0; /* always fails */
	assert_int_equal(store_flags_change_if(env->m, uids, 1, STORE_FLAGS_SET,
					       (struct store_flags){ 0 }, &c, &env->e),
			 0);
	assert_int_equal(c.n_left, 1);
	assert_int_equal(msg(env, 1).flags.system, STORE_DRAFT);
}

/* A silent change hides itself, and never what others did before it. */
static void silent(void **state)
{
	struct t_house *env = *state;
	uint32_t uids[] = { 1, 2 };
	struct store_flags_if c = { .unchanged_since = UINT64_MAX, .view = env->v };
	struct store_diff d;

	co_enter();
	other(env, 2, STORE_FLAGGED);
	assert_int_equal(store_flags_change_if(env->m, uids, 2, STORE_FLAGS_ADD,
					       (struct store_flags){ STORE_SEEN, 0 }, &c, &env->e),
			 0);
	d = sync_view(env, false);
	assert_int_equal(d.n_changed, 1);
	assert_int_equal(d.changed[0].uid, 2);
	assert_int_equal(msg(env, 2).flags.system, STORE_SEEN | STORE_FLAGGED);
	/* the other's change after it is news again */
	assert_int_equal(store_flags_change_if(env->m, uids, 1, STORE_FLAGS_ADD,
					       (struct store_flags){ STORE_DRAFT, 0 }, &c, &env->e),
			 0);
	other(env, 1, STORE_ANSWERED);
	assert_int_equal(sync_view(env, false).n_changed, 1);
}

static void first_unseen(void **state)
{
	struct t_house *env = *state;

	assert_int_equal(store_view_first_unseen(env->v), 1);
	other(env, 1, STORE_SEEN);
	gone(env, 2);
	assert_int_equal(store_view_first_unseen(env->v), 3);
	other(env, 3, STORE_SEEN);
	other(env, 4, STORE_SEEN);
	assert_int_equal(store_view_first_unseen(env->v), 0);
	assert_int_equal(t_deliver(env->s, 1, T_MESSAGE, NULL), 0);
	assert_int_equal(store_view_first_unseen(env->v), 0); /* not in the view */
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, t_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(as_of), T(complete), T(conditional), T(silent), T(first_unseen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
