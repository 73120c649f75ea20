/* Access keys of mailboxes: made, kept, taken back. */
#include "store/test_util.h"

struct env {
	struct t_engine en;
	struct store *s;
	struct store_account *a;
	struct store_mailbox *m, *other;
	struct err e;
	unsigned char k1[STORE_URL_KEY], k2[STORE_URL_KEY];
};

static void take_hold(struct env *env)
{
	env->s = t_store(env->en.kv);
	env->a = t_account(env->s, 1);
	env->m = t_box(env->a, "INBOX");
	env->other = t_box(env->a, "Sent");
}

static void let_go(struct env *env)
{
	store_mailbox_close(&env->m);
	store_mailbox_close(&env->other);
	store_account_close(&env->a);
	store_close(&env->s);
}

static int setup(void **state)
{
	struct env *env = calloc(1, sizeof(*env));
	struct store *s;

	co_enter();
	assert_non_null(env);
	t_engine_new(&env->en);
	s = t_store(env->en.kv);
	assert_int_equal(store_account_create(s, 1, 0, 0, &env->e), 0);
	store_close(&s);
	take_hold(env);
	*state = env;
	return 0;
}

static int teardown(void **state)
{
	struct env *env = *state;

	t_check(env->s);
	let_go(env);
	t_engine_free(&env->en);
	free(env);
	return 0;
}

static void test_make(void **state)
{
	struct env *env = *state;

	co_enter();
	assert_int_equal(store_url_key(env->m, false, env->k1, &env->e), STORE_NOTFOUND);
	assert_int_equal(store_url_key(env->m, true, env->k1, &env->e), 0);
	assert_int_equal(store_url_key(env->m, true, env->k2, &env->e), 0);
	assert_memory_equal(env->k1, env->k2, STORE_URL_KEY);
	assert_int_equal(store_url_key(env->other, true, env->k2, &env->e), 0);
	assert_memory_not_equal(env->k1, env->k2, STORE_URL_KEY);
	let_go(env);
	t_engine_restart(&env->en);
	take_hold(env);
	assert_int_equal(store_url_key(env->m, false, env->k2, &env->e), 0);
	assert_memory_equal(env->k1, env->k2, STORE_URL_KEY);
}

static void test_reset(void **state)
{
	struct env *env = *state;
	struct store_view *v;

	co_enter();
	assert_int_equal(store_url_key(env->m, true, env->k1, &env->e), 0);
	assert_int_equal(store_view_open(env->m, false, &v, &env->e), 0);
	uint32_t before = store_url_keys(env->m);

	co_event_clear(store_view_event(v));
	assert_int_equal(store_url_key_reset(env->m, &env->e), 0);
	assert_int_equal(store_url_keys(env->m), before + 1);
	assert_int_equal(store_url_key(env->m, false, env->k2, &env->e), 0);
	assert_memory_not_equal(env->k1, env->k2, STORE_URL_KEY);
	/* All of them. */
	assert_int_equal(store_url_key(env->other, true, env->k1, &env->e), 0);
	assert_int_equal(store_url_keys_drop(env->a, &env->e), 0);
	assert_int_equal(store_url_keys(env->m), before + 2);
	assert_int_equal(store_url_key(env->m, false, env->k1, &env->e), STORE_NOTFOUND);
	assert_int_equal(store_url_key(env->other, false, env->k1, &env->e), STORE_NOTFOUND);
	assert_int_equal(store_url_keys_drop(env->a, &env->e), 0);
	assert_int_equal(store_url_keys(env->m), before + 2);
	store_view_close(&v);
}

static void test_gone(void **state)
{
	struct env *env = *state;

	co_enter();
	assert_int_equal(store_url_key(env->other, true, env->k1, &env->e), 0);
	assert_int_equal(store_mailbox_delete(env->a, S("Sent"), &env->e), 0);
	assert_int_equal(store_url_key(env->other, true, env->k1, &env->e), STORE_GONE);
	assert_int_equal(store_url_key_reset(env->other, &env->e), STORE_GONE);
	store_mailbox_close(&env->other);
	assert_int_equal(store_mailbox_create(env->a, S("Sent"), 0, &env->e), 0);
	env->other = t_box(env->a, "Sent");
	assert_int_equal(store_url_key(env->other, false, env->k1, &env->e), STORE_NOTFOUND);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = { T(test_make), T(test_reset), T(test_gone) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
