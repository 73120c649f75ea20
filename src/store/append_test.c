/* Appending several messages in one commit, and replacing one. */
#include "store/test_util.h"

#define MANY 300u

struct env {
	struct t_engine en;
	struct store *s;
	struct store_account *a;
	struct store_mailbox *m, *other;
	struct store_writer *w[MANY];
	struct store_new v[MANY];
	struct err e;
};

static const uint64_t one = sizeof(T_MESSAGE) - 1;

static int setup(void **state)
{
	struct env *env = calloc(1, sizeof(*env));

	co_enter();
	assert_non_null(env);
	t_engine_new(&env->en);
	env->s = t_store(env->en.kv);
	assert_int_equal(store_account_create(env->s, 1, 0, 0, &env->e), 0);
	env->a = t_account(env->s, 1);
	env->m = t_box(env->a, "INBOX");
	env->other = t_box(env->a, "Drafts");
	*state = env;
	return 0;
}

static void let_go(struct env *env)
{
	for (size_t i = 0; i < MANY; i++) {
		store_writer_free(&env->w[i]);
	}
	store_mailbox_close(&env->m);
	store_mailbox_close(&env->other);
	store_account_close(&env->a);
	store_close(&env->s);
}

static int teardown(void **state)
{
	struct env *env = *state;

	assert_int_equal(env->a->reserved_bytes, 0);
	assert_int_equal(env->a->reserved_messages, 0);
	let_go(env);
	env->s = t_store(env->en.kv);
	t_check(env->s);
	store_close(&env->s);
	t_engine_free(&env->en);
	free(env);
	return 0;
}

static void write_some(struct env *env, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		store_writer_free(&env->w[i]);
		env->w[i] = t_message(env->s, T_MESSAGE);
		store_writer_trim(env->w[i]);
		env->v[i] = (struct store_new){ .w = env->w[i],
						.flags = { .system = i % 2 ? STORE_SEEN : 0 },
						.internal_date = 1000000000 + (int64_t)i };
	}
}

static struct store_status status(struct store_mailbox *m)
{
	struct store_status st;

	store_mailbox_get_status(m, &st);
	return st;
}

static void test_many(void **state)
{
	struct env *env = *state;
	struct store_view *v;
	struct store_msg msg;

	co_enter();
	write_some(env, MANY);
	assert_int_equal(store_append_all(env->m, env->v, MANY, &env->e), 0);
	for (uint32_t i = 0; i < MANY; i++) {
		assert_int_equal(env->v[i].uid, i + 1);
	}
	assert_int_equal(store_view_open(env->m, false, &v, &env->e), 0);
	assert_int_equal(store_view_count(v), MANY);
	assert_int_equal(store_view_msg(v, MANY, &msg), STORE_OK);
	assert_int_equal(msg.internal_date, 1000000000 + MANY - 1);
	assert_int_equal(msg.flags.system, STORE_SEEN);
	assert_int_equal(status(env->m).unseen, MANY / 2);
	store_view_close(&v);
}

/* Trees beyond what one commit takes are made anew. */
static void test_trees(void **state)
{
	struct env *env = *state;
	struct buf big = BUF_INIT(1 << 20);
	struct arena arena;
	struct mime_tree t;

	co_enter();
	buf_adds(&big, "Subject: big\r\nTo: ");
	for (int i = 0; i < 320; i++) {
		buf_printf(&big, "Somebody With A Long Name %d <a%d@example.org>,\r\n ", i, i);
	}
	buf_adds(&big, "z@example.org\r\n\r\nx\r\n");
	for (size_t i = 0; i < MANY; i++) {
		env->w[i] = t_message(env->s, buf_cstr(&big));
		env->v[i].w = env->w[i];
	}
	assert_true(writer_tree_bytes(env->w[0]).n * MANY > APPEND_TREES);
	assert_int_equal(store_append_all(env->m, env->v, MANY, &env->e), 0);
	arena_init(&arena, MIME_TREE_MAX);
	assert_int_equal(store_tree(env->m, MANY, &arena, &t, &env->e), 0);
	assert_true(slice_eq(t.root->envelope->subject, S("big")));
	arena_fini(&arena);
	buf_fini(&big);
}

static void test_quota(void **state)
{
	struct env *env = *state;

	co_enter();
	write_some(env, 5);
	assert_int_equal(store_quota_set(env->s, 1, 4 * one, 0, &env->e), 0);
	assert_int_equal(store_append_all(env->m, env->v, 5, &env->e), STORE_OVERQUOTA);
	assert_int_equal(status(env->m).messages, 0);
	assert_int_equal(store_quota_set(env->s, 1, 0, 4, &env->e), 0);
	assert_int_equal(store_append_all(env->m, env->v, 5, &env->e), STORE_OVERQUOTA);
	assert_int_equal(store_append_all(env->m, env->v, 4, &env->e), 0);
	assert_int_equal(store_append_all(env->m, env->v + 4, 1, &env->e), STORE_OVERQUOTA);
}

static void test_gone(void **state)
{
	struct env *env = *state;

	co_enter();
	assert_int_equal(store_mailbox_delete(env->a, S("Drafts"), &env->e), 0);
	write_some(env, 2);
	assert_int_equal(store_append_all(env->other, env->v, 2, &env->e), STORE_GONE);
	assert_int_equal(store_append_all(env->m, env->v, 1, &env->e), 0);
	assert_int_equal(store_replace(env->other, &env->v[1], env->m, 1, &env->e), STORE_GONE);
	assert_int_equal(store_replace(env->m, &env->v[1], env->other, 1, &env->e), STORE_GONE);
	assert_int_equal(status(env->m).messages, 1);
}

/* In one mailbox, and from one into another; the quota is full all the time. */
static void test_replace(void **state)
{
	struct env *env = *state;
	struct store_uid_range *gone;
	struct arena arena;
	size_t n;

	co_enter();
	write_some(env, 4);
	assert_int_equal(store_append_all(env->m, env->v, 2, &env->e), 0);
	assert_int_equal(store_quota_set(env->s, 1, 2 * one, 2, &env->e), 0);
	assert_int_equal(store_replace(env->m, &env->v[2], env->m, 1, &env->e), 0);
	assert_int_equal(env->v[2].uid, 3);
	assert_int_equal(store_replace(env->m, &env->v[3], env->m, 1, &env->e), STORE_NOTFOUND);
	assert_int_equal(status(env->m).messages, 2);
	assert_int_equal(store_replace(env->other, &env->v[3], env->m, 3, &env->e), 0);
	assert_int_equal(status(env->m).messages, 1);
	assert_int_equal(status(env->other).messages, 1);
	arena_init(&arena, 1 << 20);
	assert_int_equal(store_vanished(env->m, 0, &arena, &gone, &n, &env->e), 0);
	assert_int_equal(n, 2);
	assert_int_equal(gone[0].first, 1);
	assert_int_equal(gone[1].last, 3);
	arena_fini(&arena);
}

/* Only what it needs more is asked of the quota. */
static void test_replace_quota(void **state)
{
	struct env *env = *state;

	co_enter();
	write_some(env, 1);
	assert_int_equal(store_append_all(env->m, env->v, 1, &env->e), 0);
	store_writer_free(&env->w[1]);
	env->w[1] = t_message(env->s, T_MESSAGE "more\r\n");
	env->v[1] = (struct store_new){ .w = env->w[1] };
	assert_int_equal(store_quota_set(env->s, 1, one + 5, 0, &env->e), 0);
	assert_int_equal(store_replace(env->m, &env->v[1], env->m, 1, &env->e), STORE_OVERQUOTA);
	assert_int_equal(status(env->m).messages, 1);
	assert_int_equal(store_quota_set(env->s, 1, one + 6, 0, &env->e), 0);
	assert_int_equal(store_replace(env->m, &env->v[1], env->m, 1, &env->e), 0);
	assert_int_equal(status(env->m).size, one + 6);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = { T(test_many), T(test_trees),   T(test_quota),
					    T(test_gone), T(test_replace), T(test_replace_quota) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
