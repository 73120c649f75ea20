/* Access lists: rows, the algebra of rights, hints, and what they outlive. */
#include "store/test_util.h"

#define L STORE_RIGHT_LOOKUP
#define R STORE_RIGHT_READ
#define W STORE_RIGHT_WRITE
#define I STORE_RIGHT_INSERT

enum { OWNER = 7, FRIEND = 8, OTHER = 9, NOBODY = 99 };

static int setup(void **state)
{
	struct t_house *env = t_house_new(OWNER);

	co_enter();
	for (store_id id = OWNER + 1; id <= OTHER; id++) {
		assert_int_equal(store_account_create(env->s, id, 0, 0, &env->e), 0);
	}
	*state = env;
	return 0;
}

static void change(struct t_house *env, const char *box, store_id who, bool negative,
		   unsigned rights, enum store_acl_op op, int want)
{
	struct store_acl_entry x = { who, negative, rights };

	co_enter();
	assert_int_equal(store_acl_change(env->a, slice_cstr(box), &x, op, &env->e), want);
}

static void has(struct t_house *env, const char *box, store_id who, bool anyone, unsigned want)
{
	unsigned rights = 0;

	assert_int_equal(store_rights(env->a, slice_cstr(box), who, anyone, &rights), STORE_OK);
	assert_int_equal(rights, want);
}

/* Who shares with who, as "7 8 ". */
static void sharers(struct t_house *env, store_id who, bool anyone, const char *want)
{
	struct store_account *a = t_account(env->s, who);
	struct buf text = BUF_INIT(4096);
	store_id *v;
	size_t n;

	co_enter();
	assert_int_equal(store_sharers(a, anyone, &env->arena, &v, &n, &env->e), 0);
	for (size_t i = 0; i < n; i++) {
		buf_printf(&text, "%u ", (unsigned)v[i]);
	}
	assert_string_equal(buf_cstr(&text), want);
	buf_fini(&text);
	store_account_close(&a);
}

static void test_rows(void **state)
{
	struct store_acl_entry v[STORE_ACL_MAX];
	struct store_acl_entry in[] = { { STORE_ANYONE, false, L },
					{ 8, false, L | R },
					{ 8, true, W },
					{ UINT64_MAX, true, I } };
	struct buf b = BUF_INIT(4096);
	size_t n = 0;

	(void)state;
	acl_row_put(in, ARRAY_LEN(in), &b);
	assert_int_equal(acl_row_get(buf_slice(&b), v, &n), 0);
	assert_int_equal(n, ARRAY_LEN(in));
	for (size_t i = 0; i < n; i++) {
		assert_true(v[i].who == in[i].who && v[i].negative == in[i].negative);
		assert_int_equal(v[i].rights, in[i].rights);
	}
	for (size_t k = 1; k < b.n; k++) {
		/* cut between entries it is a shorter list, else damage */
		int r = acl_row_get(slice_make(b.p, k), v, &n);
		assert_true(r == -EIO || (r == 0 && n < ARRAY_LEN(in)));
	}
	assert_int_equal(acl_row_get(S(""), v, &n), -EIO);
	assert_int_equal(acl_row_get(S("\x02"), v, &n), -EPROTO);
	assert_int_equal(acl_row_get(S("\x01\x08\x02\x01"), v, &n), -EIO);     /* flags */
	assert_int_equal(acl_row_get(S("\x01\x08\x00\x00"), v, &n), -EIO);     /* no rights */
	assert_int_equal(acl_row_get(S("\x01\x08\x00\x80\x10"), v, &n), -EIO); /* too many */
	assert_int_equal(acl_row_get(S("\x01\x08\x00\x01\x08\x00\x01"), v, &n), -EIO); /* twice */
	assert_int_equal(acl_row_get(S("\x01\x08\x00\x01\x07\x00\x01"), v, &n), -EIO); /* order */
	buf_fini(&b);
}

static void test_algebra(void **state)
{
	struct t_house *env = *state;

	has(env, "INBOX", OWNER, false, STORE_RIGHTS_ALL);
	has(env, "INBOX", FRIEND, true, 0);
	change(env, "INBOX", FRIEND, false, L | R, STORE_ACL_SET, 0);
	has(env, "INBOX", FRIEND, false, L | R);
	has(env, "INBOX", OTHER, false, 0);
	change(env, "INBOX", FRIEND, false, W, STORE_ACL_ADD, 0);
	has(env, "INBOX", FRIEND, false, L | R | W);
	change(env, "INBOX", FRIEND, false, R | I, STORE_ACL_REMOVE, 0);
	has(env, "INBOX", FRIEND, false, L | W);
	/* anyone counts only where it may; a negative one always */
	change(env, "INBOX", STORE_ANYONE, false, L | I, STORE_ACL_SET, 0);
	has(env, "INBOX", FRIEND, false, L | W);
	has(env, "INBOX", FRIEND, true, L | W | I);
	has(env, "INBOX", OTHER, true, L | I);
	change(env, "INBOX", FRIEND, true, I | W, STORE_ACL_SET, 0);
	has(env, "INBOX", FRIEND, true, L);
	change(env, "INBOX", STORE_ANYONE, true, L, STORE_ACL_SET, 0);
	has(env, "INBOX", FRIEND, true, 0);
	has(env, "INBOX", OTHER, true, I);
	has(env, "INBOX", OWNER, true, STORE_RIGHTS_ALL);
	/* nothing is nobody's entry */
	change(env, "INBOX", STORE_ANYONE, true, 0, STORE_ACL_SET, 0);
	change(env, "INBOX", FRIEND, true, I | W, STORE_ACL_REMOVE, 0);
	has(env, "INBOX", FRIEND, true, L | W | I);
	change(env, "INBOX", OWNER, false, L, STORE_ACL_SET, STORE_FORBIDDEN);
	change(env, "INBOX", OWNER, true, L, STORE_ACL_SET, STORE_FORBIDDEN);
	change(env, "nowhere", FRIEND, false, L, STORE_ACL_SET, STORE_NOTFOUND);
	change(env, "INBOX", NOBODY, false, L, STORE_ACL_SET, STORE_FORBIDDEN);
	has(env, "INBOX", NOBODY, false, 0);
}

static void test_lasts(void **state)
{
	struct t_house *env = *state;
	struct store_acl_entry *v;
	size_t n;

	co_enter();
	assert_int_equal(store_mailbox_create(env->a, S("a/b"), 0, &env->e), 0);
	change(env, "a", FRIEND, false, L | R, STORE_ACL_SET, 0);
	change(env, "a", OTHER, true, R, STORE_ACL_SET, 0);
	t_house_reopen(env);
	has(env, "a", FRIEND, false, L | R);
	has(env, "a/b", FRIEND, false, 0);
	/* children inherit, also over levels that did not exist */
	assert_int_equal(store_mailbox_create(env->a, S("a/c/d"), 0, &env->e), 0);
	t_house_reopen(env);
	has(env, "a/c", FRIEND, false, L | R);
	has(env, "a/c/d", FRIEND, false, L | R);
	assert_int_equal(store_acl_get(env->a, S("a/c/d"), &env->arena, &v, &n), 0);
	assert_int_equal(n, 2);
	assert_true(v[0].who == FRIEND && !v[0].negative && v[1].who == OTHER && v[1].negative);
	/* a rename keeps it */
	assert_int_equal(store_mailbox_rename(env->a, S("a"), S("z"), &env->e), 0);
	t_house_reopen(env);
	has(env, "z", FRIEND, false, L | R);
	has(env, "z/c/d", FRIEND, false, L | R);
	/* a new mailbox of an old name starts without */
	assert_int_equal(store_mailbox_delete(env->a, S("z"), &env->e), 0);
	assert_int_equal(store_mailbox_create(env->a, S("z"), 0, &env->e), 0);
	t_house_reopen(env);
	has(env, "z", FRIEND, false, 0);
	assert_int_equal(store_rights_above(env->a, S("z/c/q/r"), FRIEND, false), L | R);
	assert_int_equal(store_rights_above(env->a, S("z/q"), FRIEND, false), 0);
	assert_int_equal(store_rights_above(env->a, S("y"), FRIEND, false), 0);
	assert_int_equal(store_rights_above(env->a, S("y"), OWNER, false), STORE_RIGHTS_ALL);
}

static void test_hints(void **state)
{
	struct t_house *env = *state;

	co_enter();
	sharers(env, FRIEND, true, "");
	change(env, "INBOX", FRIEND, false, L, STORE_ACL_SET, 0);
	change(env, "Sent", FRIEND, false, L, STORE_ACL_SET, 0);
	change(env, "Sent", OTHER, true, L, STORE_ACL_SET, 0);
	sharers(env, FRIEND, false, "7 ");
	sharers(env, OTHER, false, "");
	change(env, "Sent", FRIEND, false, 0, STORE_ACL_SET, 0);
	sharers(env, FRIEND, false, "7 ");
	t_house_reopen(env);
	sharers(env, FRIEND, false, "7 ");
	change(env, "INBOX", FRIEND, false, 0, STORE_ACL_SET, 0);
	sharers(env, FRIEND, false, "");
	/* with everybody */
	change(env, "INBOX", STORE_ANYONE, false, L, STORE_ACL_SET, 0);
	change(env, "INBOX", FRIEND, false, L, STORE_ACL_SET, 0);
	sharers(env, FRIEND, true, "7 ");
	sharers(env, OTHER, true, "7 ");
	sharers(env, OTHER, false, "");
	sharers(env, OWNER, true, "");
	change(env, "INBOX", STORE_ANYONE, false, 0, STORE_ACL_SET, 0);
	sharers(env, OTHER, true, "");
	/* what a deleted mailbox leaves is found out; what is true stays */
	store_sharer_check(env->s, OWNER, FRIEND);
	sharers(env, FRIEND, true, "7 ");
	assert_int_equal(store_mailbox_create(env->a, S("x"), 0, &env->e), 0);
	change(env, "x", OTHER, false, L, STORE_ACL_SET, 0);
	assert_int_equal(store_mailbox_delete(env->a, S("x"), &env->e), 0);
	sharers(env, OTHER, true, "7 ");
	store_sharer_check(env->s, OWNER, OTHER);
	sharers(env, OTHER, true, "");
	/* so is an account that is gone */
	store_account_close(&env->a);
	assert_int_equal(store_account_delete(env->s, OWNER, &env->e), 0);
	sharers(env, FRIEND, true, "7 ");
	store_sharer_check(env->s, OWNER, FRIEND);
	sharers(env, FRIEND, true, "");
	env->a = t_account(env->s, OTHER);
}

static void test_limit(void **state)
{
	struct t_house *env = *state;

	co_enter();
	for (unsigned i = 0; i < STORE_ACL_MAX; i++) {
		change(env, "INBOX", 1000 + i, true, L, STORE_ACL_SET, 0);
	}
	change(env, "INBOX", 5000, true, L, STORE_ACL_SET, STORE_LIMIT);
	change(env, "INBOX", 1000, true, R, STORE_ACL_ADD, 0);
	change(env, "INBOX", 1000, true, 0, STORE_ACL_SET, 0);
	change(env, "INBOX", 5000, true, L, STORE_ACL_SET, 0);
	t_house_reopen(env);
	has(env, "INBOX", FRIEND, false, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test_setup_teardown(test_algebra, setup, t_teardown),
		cmocka_unit_test_setup_teardown(test_lasts, setup, t_teardown),
		cmocka_unit_test_setup_teardown(test_hints, setup, t_teardown),
		cmocka_unit_test_setup_teardown(test_limit, setup, t_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
