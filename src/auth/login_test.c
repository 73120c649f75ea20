/* login: who gets in, who does not, and that nobody can tell why. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "auth/impl.h"

struct rig {
	struct kv *kv;
	struct auth *auth;
	uint64_t bob;
};

static int setup(void **state)
{
	struct rig *r = xcalloc(1, sizeof(*r));
	struct auth_opts o = { .argon_memory_kib = 64, .argon_passes = 1, .no_delays = true };

	co_enter();
	assert_int_equal(kv_mem_open(&r->kv), 0);
	o.kv = r->kv;
	assert_int_equal(auth_open(&o, &r->auth, NULL), 0);
	assert_int_equal(auth_domain_add(r->auth, S("example.test"), NULL), 0);
	assert_int_equal(auth_account_add(r->auth, S("bob@example.test"), S("builder"), &r->bob,
					  NULL),
			 0);
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct rig *r = *state;

	auth_close(&r->auth);
	kv_close(&r->kv);
	free(r);
	return 0;
}

static int login(struct rig *r, struct slice authzid, struct slice user, struct slice password)
{
	struct auth_request q = {
		.protocol = "imap", .authzid = authzid, .user = user, .password = password
	};
	struct auth_identity id = { .account = 0 };
	int res;

	co_enter();
	res = auth_login(r->auth, &q, &id);
	if (res == AUTH_OK) {
		assert_int_equal(id.account, r->bob);
		assert_string_equal(id.address, "bob@example.test");
	} else {
		assert_int_equal(id.account, 0);
	}
	return res;
}

static void test_right_and_wrong(void **state)
{
	struct rig *r = *state;

#define LOGIN(u, p) login(r, S(""), S(u), S(p))
	assert_int_equal(LOGIN("bob@example.test", "builder"), AUTH_OK);
	assert_int_equal(LOGIN("BOB@Example.Test", "builder"), AUTH_OK);
	assert_int_equal(LOGIN("bob", "builder"), AUTH_OK);
	assert_int_equal(LOGIN("Bob", "builder"), AUTH_OK);
	assert_int_equal(LOGIN("bob@example.test", "Builder"), AUTH_FAILED);
	assert_int_equal(LOGIN("bob@example.test", "builder "), AUTH_FAILED);
	assert_int_equal(LOGIN("bob@example.test", "builde"), AUTH_FAILED);
	assert_int_equal(LOGIN("bob@example.test", ""), AUTH_FAILED);
	assert_int_equal(LOGIN("bob@example.org", "builder"), AUTH_FAILED);
	assert_int_equal(LOGIN("eve@example.test", "builder"), AUTH_FAILED);
	assert_int_equal(LOGIN("", "builder"), AUTH_FAILED);
	assert_int_equal(LOGIN("%n%{x}'*)(uid=*", "builder"), AUTH_FAILED);
	assert_int_equal(LOGIN("../../bob", "builder"), AUTH_FAILED);
	assert_int_equal(LOGIN("\xff\xfe", "\xff"), AUTH_FAILED);
	assert_int_equal(LOGIN("bob\0@example.test", "builder"), AUTH_FAILED);
}

/* Whoever is refused, for whatever reason, costs one hash (THREATS AU-06); not
 * even a right password that is in the cache makes a refusal quick. */
static void test_every_refusal_costs_one_hash(void **state)
{
	struct rig *r = *state;
	struct slice bob = S("bob@example.test");
	struct slice right = S("builder");
	const struct {
		struct slice authzid, user, password;
		int how;
	} refused[] = {
		{ S(""), bob, S("wrong"), AUTH_FAILED },
		{ S(""), S("nobody@example.test"), right, AUTH_FAILED },
		{ S(""), S("bob@elsewhere.test"), right, AUTH_FAILED },
		{ S(""), S("no address at all @@"), right, AUTH_FAILED },
		{ S(""), bob, S(""), AUTH_FAILED },
		{ S("eve@example.test"), bob, right, AUTH_DENIED },
	};
	uint64_t before;

	assert_int_equal(login(r, S(""), bob, right), AUTH_OK); /* now it is cached */
	before = r->auth->passwords.verified;
	assert_int_equal(login(r, S(""), bob, right), AUTH_OK);
	assert_int_equal(r->auth->passwords.verified, before);
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		before = r->auth->passwords.verified;
		assert_int_equal(login(r, refused[i].authzid, refused[i].user, refused[i].password),
				 refused[i].how);
		assert_int_equal(r->auth->passwords.verified, before + 1);
	}
	co_enter();
	assert_int_equal(auth_account_disable(r->auth, bob, true, NULL), AUTH_OK);
	before = r->auth->passwords.verified;
	assert_int_equal(login(r, S(""), bob, right), AUTH_FAILED);
	assert_int_equal(r->auth->passwords.verified, before + 1);
}

static void test_authzid(void **state)
{
	struct rig *r = *state;
	struct slice bob = S("bob@example.test");

	assert_int_equal(login(r, S("bob@example.test"), bob, S("builder")), AUTH_OK);
	assert_int_equal(login(r, S("Bob@EXAMPLE.test"), bob, S("builder")), AUTH_OK);
	/* only who has the password hears that it is not enough */
	assert_int_equal(login(r, S("eve@example.test"), bob, S("builder")), AUTH_DENIED);
	assert_int_equal(login(r, S("eve@example.test"), bob, S("wrong")), AUTH_FAILED);
}

static void test_a_bare_name_needs_one_domain(void **state)
{
	struct rig *r = *state;

	co_enter();
	assert_int_equal(LOGIN("bob", "builder"), AUTH_OK);
	assert_int_equal(auth_domain_add(r->auth, S("second.test"), NULL), 0);
	assert_int_equal(LOGIN("bob", "builder"), AUTH_FAILED);
	assert_int_equal(LOGIN("bob@example.test", "builder"), AUTH_OK);
}

static void test_an_alias_is_no_login(void **state)
{
	struct rig *r = *state;
	struct slice bob = S("bob@example.test");

	co_enter();
	assert_int_equal(auth_alias_add(r->auth, S("rob@example.test"), &bob, 1, NULL), 0);
	assert_int_equal(LOGIN("rob@example.test", "builder"), AUTH_FAILED);
	assert_int_equal(LOGIN("bob+x@example.test", "builder"), AUTH_FAILED);
}

static void test_changes_hold_at_once(void **state)
{
	struct rig *r = *state;

	co_enter();
	assert_int_equal(LOGIN("bob", "builder"), AUTH_OK); /* now cached */
	assert_int_equal(auth_account_password(r->auth, S("bob@example.test"), S("changed"), NULL),
			 0);
	assert_int_equal(LOGIN("bob", "builder"), AUTH_FAILED);
	assert_int_equal(LOGIN("bob", "changed"), AUTH_OK);
	assert_int_equal(auth_account_disable(r->auth, S("bob@example.test"), true, NULL), 0);
	assert_int_equal(LOGIN("bob", "changed"), AUTH_FAILED);
	assert_int_equal(auth_account_disable(r->auth, S("bob@example.test"), false, NULL), 0);
	assert_int_equal(LOGIN("bob", "changed"), AUTH_OK);
	assert_int_equal(auth_account_remove(r->auth, S("bob@example.test"), NULL, NULL), 0);
	assert_int_equal(LOGIN("bob", "changed"), AUTH_FAILED);
}

static void test_passwords_are_compared_as_letters(void **state)
{
	struct rig *r = *state;

	co_enter();
	assert_int_equal(auth_account_password(r->auth, S("bob@example.test"), S("k\xc3\xb6nig"),
					       NULL),
			 0);
	assert_int_equal(LOGIN("bob", "ko\xcc\x88nig"), AUTH_OK);
	assert_int_equal(LOGIN("bob", "konig"), AUTH_FAILED);
}

/* The hash, not the password, is what is stored. */
static int find_plain(void *arg, struct slice key, struct slice value)
{
	(void)key;
	*(bool *)arg |= slice_find(value, S("builder")) != SIZE_MAX;
	return 0;
}

static void test_no_password_is_stored(void **state)
{
	struct rig *r = *state;
	struct kv_part part = { .kind = 'd', .a = 1 };
	bool found = false;

	co_enter();
	assert_int_equal(kv_scan(r->kv, part, S(""), S(""), find_plain, &found), 0);
	assert_false(found);
}

/* ---- many at once, in a loop ---------------------------------------------- */

#define MANY 300

struct crowd {
	struct rig *rig;
	int ok;
	int failed;
	int busy;
};

#undef LOGIN
#define LOGIN(u, p) login(c->rig, S(""), S(u), S(p))

static void count_one(void *arg)
{
	struct crowd *c = arg;

	co_enter();
	switch (LOGIN("bob@example.test", "wrong")) {
	case AUTH_FAILED:
		c->failed++;
		break;
	case AUTH_BUSY:
		c->busy++;
		break;
	default:
		c->ok++;
	}
}

static void watch_crowd(void *arg)
{
	struct crowd *c = arg;
	struct co *each[MANY];

	co_enter();
	for (int i = 0; i < MANY; i++) {
		assert_int_equal(co_spawn("login", count_one, c, &each[i]), 0);
	}
	for (int i = 0; i < MANY; i++) {
		assert_int_equal(co_join(&each[i]), 0);
	}
	co_loop_stop(co_loop_self());
}

static void test_a_crowd_is_bounded(void **state)
{
	struct rig *r = *state;
	struct crowd c = { .rig = r };
	struct co_loop *loop;

	co_enter();
	assert_int_equal(co_pool_start(2, 0), 0);
	assert_int_equal(co_loop_new(&loop), 0);
	assert_int_equal(co_spawn("watch", watch_crowd, &c, NULL), 0);
	co_loop_run(loop);
	co_loop_free(&loop);
	co_pool_stop();
	assert_int_equal(c.ok, 0);
	assert_int_equal(c.failed + c.busy, MANY);
	/* 4 at work, 256 waiting, the rest told to come back */
	assert_in_range(c.failed, PASSWORD_WORKERS + PASSWORD_QUEUE, MANY);
	assert_true(r->auth->passwords.active == 0);
	assert_true(r->auth->passwords.waiting == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
		T(test_right_and_wrong),
		T(test_every_refusal_costs_one_hash),
		T(test_authzid),
		T(test_a_bare_name_needs_one_domain),
		T(test_an_alias_is_no_login),
		T(test_changes_hold_at_once),
		T(test_passwords_are_compared_as_letters),
		T(test_no_password_is_stored),
		T(test_a_crowd_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
