/* dir: domains, accounts, aliases, lists and routing over the memory engine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "auth/impl.h"

struct rig {
	struct kv *kv;
	struct auth *auth;
};

static int setup(void **state)
{
	struct rig *r = xcalloc(1, sizeof(*r));
	struct auth_opts o = { .argon_memory_kib = 8, .argon_passes = 1, .no_delays = true };

	co_enter();
	assert_int_equal(kv_mem_open(&r->kv), 0);
	o.kv = r->kv;
	assert_int_equal(auth_open(&o, &r->auth, NULL), 0);
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

static struct auth *with_domain(void **state)
{
	struct rig *r = *state;

	co_enter();
	assert_int_equal(auth_domain_add(r->auth, S("Example.TEST"), NULL), 0);
	return r->auth;
}

static uint64_t add(struct auth *a, const char *address)
{
	uint64_t id = 0;
	struct err e = ERR_INIT;

	co_enter();
	assert_int_equal(auth_account_add(a, slice_cstr(address), S("secret"), &id, &e), 0);
	return id;
}

static int alias(struct auth *a, const char *from, const char *to1, const char *to2)
{
	struct slice t[2] = { slice_cstr(to1), slice_cstr(to2) };

	co_enter();
	return auth_alias_add(a, slice_cstr(from), t, to2 ? 2 : 1, NULL);
}

/* Route and compare with up to two accounts (0: none). */
static void routes(struct auth *a, const char *addr, int want, uint64_t one, uint64_t two)
{
	struct arena arena;
	struct auth_targets t = { 0 };

	co_enter();
	arena_init(&arena, 1 << 20);
	assert_int_equal(auth_route(a, slice_cstr(addr), &arena, &t), want);
	if (want == AUTH_LOCAL) {
		assert_int_equal(t.n, (one != 0) + (two != 0));
		if (one) {
			assert_int_equal(t.accounts[0], one);
		}
		if (two) {
			assert_int_equal(t.accounts[1], two);
		}
	}
	arena_fini(&arena);
}

static void test_domains(void **state)
{
	struct auth *a = with_domain(state);

	co_enter();
	assert_int_equal(auth_domain_is_local(a, S("EXAMPLE.test")), 1);
	assert_int_equal(auth_domain_is_local(a, S("example.org")), 0);
	assert_int_equal(auth_domain_is_local(a, S("[127.0.0.1]")), 0);
	assert_int_equal(auth_domain_add(a, S("example.test"), NULL), AUTH_EXISTS);
	assert_int_equal(auth_domain_add(a, S("no domain"), NULL), AUTH_INVALID);
	add(a, "bob@example.test");
	assert_int_equal(auth_domain_remove(a, S("example.test"), NULL), AUTH_NOTEMPTY);
	assert_int_equal(auth_account_remove(a, S("bob@example.test"), NULL, NULL), 0);
	assert_int_equal(auth_domain_remove(a, S("example.test"), NULL), 0);
	assert_int_equal(auth_domain_remove(a, S("example.test"), NULL), AUTH_NOTFOUND);
	assert_int_equal(auth_domain_is_local(a, S("example.test")), 0);
	/* Again, as a new one: nothing of the old one is in it. */
	assert_int_equal(auth_domain_add(a, S("example.test"), NULL), 0);
	routes(a, "bob@example.test", AUTH_UNKNOWN_USER, 0, 0);
}

static void test_account_ids_are_never_reused(void **state)
{
	struct auth *a = with_domain(state);
	uint64_t last = 0;

	co_enter();
	for (int i = 0; i < 5; i++) {
		uint64_t id = add(a, "bob@example.test");
		uint64_t gone = 0;

		assert_true(id > last);
		last = id;
		assert_int_equal(auth_account_remove(a, S("BOB@example.test"), &gone, NULL), 0);
		assert_int_equal(gone, id);
	}
}

static void test_account_names(void **state)
{
	struct auth *a = with_domain(state);
	struct auth_account acc;
	struct arena arena;
	uint64_t id = add(a, "\"Bob\"@Example.test");
	struct err e = ERR_INIT;

	co_enter();
	arena_init(&arena, 4096);
	assert_int_equal(auth_account_add(a, S("bob@example.test"), S("x"), NULL, &e), AUTH_EXISTS);
	assert_int_equal(auth_account_add(a, S("bob@elsewhere.test"), S("x"), NULL, &e),
			 AUTH_NOTFOUND);
	assert_int_equal(auth_account_add(a, S("eve@example.test"), S(""), NULL, &e), AUTH_INVALID);
	assert_int_equal(auth_account_add(a, S("eve@example.test"), S("a\nb"), NULL, &e),
			 AUTH_INVALID);
	assert_int_equal(alias(a, "bob@example.test", "x@example.org", NULL), AUTH_EXISTS);
	assert_int_equal(auth_account_get(a, S("BOB@EXAMPLE.TEST"), &arena, &acc), 0);
	assert_true(slice_eq(acc.address, S("bob@example.test")));
	assert_int_equal(acc.id, id);
	assert_false(acc.disabled);
	assert_int_equal(auth_account_disable(a, S("bob@example.test"), true, NULL), 0);
	assert_int_equal(auth_account_get(a, S("bob@example.test"), &arena, &acc), 0);
	assert_true(acc.disabled);
	arena_fini(&arena);
}

/* Its address is want now; NULL: there is no such account. */
static void by_id(struct auth *a, uint64_t id, const char *want)
{
	struct auth_account acc = { 0 };
	struct arena arena;

	co_enter();
	arena_init(&arena, 1 << 20);
	assert_int_equal(auth_account_by_id(a, id, &arena, &acc), want ? 0 : AUTH_NOTFOUND);
	if (want) {
		assert_true(slice_eq(acc.address, slice_cstr(want)));
		assert_true(acc.id == id);
	}
	arena_fini(&arena);
}

static void named(struct auth *a, const char *user, int result, uint64_t want)
{
	struct auth_account acc = { 0 };
	struct arena arena;

	co_enter();
	arena_init(&arena, 1 << 20);
	assert_int_equal(auth_account_named(a, slice_cstr(user), &arena, &acc), result);
	assert_true(acc.id == want);
	arena_fini(&arena);
}

static void test_rename_keeps_the_id(void **state)
{
	struct auth *a = with_domain(state);
	uint64_t id = add(a, "bob@example.test");

	co_enter();
	by_id(a, id, "bob@example.test");
	by_id(a, id + 1, NULL);
	named(a, "Bob", AUTH_OK, id);
	named(a, "bob@EXAMPLE.test", AUTH_OK, id);
	named(a, "rob", AUTH_NOTFOUND, 0);
	named(a, "b b", AUTH_INVALID, 0);
	named(a, "", AUTH_INVALID, 0);
	assert_int_equal(auth_domain_add(a, S("second.test"), NULL), 0);
	named(a, "bob", AUTH_NOTFOUND, 0); /* of which domain? */
	assert_int_equal(auth_account_rename(a, S("bob@example.test"), S("rob@example.test"), NULL),
			 0);
	routes(a, "rob@example.test", AUTH_LOCAL, id, 0);
	routes(a, "bob@example.test", AUTH_UNKNOWN_USER, 0, 0);
	assert_int_equal(auth_account_rename(a, S("rob@example.test"), S("rob@second.test"), NULL),
			 0);
	routes(a, "rob@second.test", AUTH_LOCAL, id, 0);
	by_id(a, id, "rob@second.test");
	routes(a, "rob@example.test", AUTH_UNKNOWN_USER, 0, 0);
	assert_int_equal(auth_domain_remove(a, S("example.test"), NULL), 0);
	add(a, "eve@second.test");
	assert_int_equal(auth_account_rename(a, S("rob@second.test"), S("eve@second.test"), NULL),
			 AUTH_EXISTS);
	assert_int_equal(auth_account_rename(a, S("no@second.test"), S("x@second.test"), NULL),
			 AUTH_NOTFOUND);
}

static void test_plus_and_catchall_and_postmaster(void **state)
{
	struct auth *a = with_domain(state);
	uint64_t bob = add(a, "bob@example.test");
	uint64_t eve = add(a, "eve@example.test");
	uint64_t plus = add(a, "eve+x@example.test");

	co_enter();
	routes(a, "bob+lists@example.test", AUTH_LOCAL, bob, 0);
	routes(a, "Bob+a+b@example.test", AUTH_LOCAL, bob, 0);
	routes(a, "eve+x@example.test", AUTH_LOCAL, plus, 0);
	routes(a, "+x@example.test", AUTH_UNKNOWN_USER, 0, 0);
	routes(a, "nobody+x@example.test", AUTH_UNKNOWN_USER, 0, 0);
	routes(a, "bob@example.org", AUTH_NOT_LOCAL, 0, 0);
	routes(a, "bob@[127.0.0.1]", AUTH_NOT_LOCAL, 0, 0);
	routes(a, "bob", AUTH_BAD_ADDRESS, 0, 0);
	routes(a, "bob@exa mple.test", AUTH_BAD_ADDRESS, 0, 0);
	/* postmaster: the oldest account, until something better is there */
	routes(a, "postmaster@example.test", AUTH_LOCAL, bob, 0);
	routes(a, "PostMaster", AUTH_LOCAL, bob, 0);
	assert_int_equal(auth_domain_catchall(a, S("example.test"), S("eve@example.test"), NULL),
			 0);
	routes(a, "nobody@example.test", AUTH_LOCAL, eve, 0);
	routes(a, "postmaster", AUTH_LOCAL, eve, 0);
	assert_int_equal(auth_domain_catchall(a, S("example.test"), S(""), NULL), 0);
	routes(a, "nobody@example.test", AUTH_UNKNOWN_USER, 0, 0);
}

static int set_plus(struct auth *a, const char *plus)
{
	struct auth_domain_change c = { .set_plus = true, .plus = slice_cstr(plus) };

	co_enter();
	return auth_domain_change(a, S("Example.test"), &c, NULL);
}

/* Another character than "+", or none: for routes and for who owns what. */
static void test_plus_of_a_domain(void **state)
{
	static const char *const bad[] = { "++", "@", "\"", " ", "a", "\xc3\xa9", "/", "%" };
	struct auth *a = with_domain(state);
	uint64_t bob = add(a, "bob@example.test");
	uint64_t odd = add(a, "bob-odd@example.test");

	co_enter();
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(set_plus(a, bad[i]), AUTH_INVALID);
	}
	assert_int_equal(set_plus(a, "-"), 0);
	routes(a, "bob-lists@example.test", AUTH_LOCAL, bob, 0);
	routes(a, "BOB-a-b@example.test", AUTH_LOCAL, bob, 0);
	routes(a, "\"bob-x\"@example.test", AUTH_LOCAL, bob, 0);
	routes(a, "bob-odd@example.test", AUTH_LOCAL, odd, 0);
	routes(a, "bob+lists@example.test", AUTH_UNKNOWN_USER, 0, 0);
	routes(a, "-x@example.test", AUTH_UNKNOWN_USER, 0, 0);
	assert_int_equal(auth_owns(a, bob, S("bob-x@example.test")), 1);
	assert_int_equal(auth_owns(a, bob, S("bob+x@example.test")), 0);
	/* it stays when something else changes */
	assert_int_equal(auth_domain_catchall(a, S("example.test"), S("bob@example.test"), NULL),
			 0);
	assert_int_equal(auth_domain_catchall(a, S("example.test"), S(""), NULL), 0);
	routes(a, "bob-lists@example.test", AUTH_LOCAL, bob, 0);
	assert_int_equal(set_plus(a, ""), 0);
	routes(a, "bob-lists@example.test", AUTH_UNKNOWN_USER, 0, 0);
	routes(a, "bob+lists@example.test", AUTH_UNKNOWN_USER, 0, 0);
	assert_int_equal(auth_owns(a, bob, S("bob+x@example.test")), 0);
	assert_int_equal(set_plus(a, "+"), 0);
	routes(a, "bob+lists@example.test", AUTH_LOCAL, bob, 0);
}

static int try_name(struct auth *a, const char *address)
{
	uint64_t id;

	co_enter();
	return auth_account_add(a, slice_cstr(address), S("secret"), &id, NULL);
}

/* Names that could be taken for others (THREATS SL-16). */
static void test_confusable(void **state)
{
	static const char *const invalid[] = {
		"\xd0\xb0\x64min@example.test",	   /* Cyrillic a, Latin dmin */
		"adm\xe2\x80\x8bin@example.test",  /* a zero-width space */
		"adm\xe2\x80\x8din@example.test",  /* a joiner */
		"adm\xc2\xadin@example.test",	   /* a soft hyphen */
		"admin\xef\xbc\xa0x@example.test", /* a full-width @ */
		"\xe2\x80\xaenimda@example.test",  /* right to left */
		"\xf0\x9f\x98\x80@example.test",   /* no letter at all */
		"\xce\xb1\x62@example.test",	   /* Greek and Latin */
		"x\xd9\xa1\xdb\xb2@example.test",  /* digits of two kinds */
	};
	struct auth *a = with_domain(state);
	uint64_t cop = add(a, "cop@example.test");
	uint64_t green = add(a, "gr\xc3\xbcn@example.test");

	co_enter();
	for (size_t i = 0; i < ARRAY_LEN(invalid); i++) {
		if (try_name(a, invalid[i]) != AUTH_INVALID) {
			fail_msg("%zu was taken", i);
		}
	}
	/* all of one script, and yet */
	assert_int_equal(try_name(a, "\xd1\x81\xd0\xbe\xd1\x80@example.test"), AUTH_EXISTS);
	assert_int_equal(alias(a, "\xd1\x81\xd0\xbe\xd1\x80@example.test", "cop@example.test",
			       NULL),
			 AUTH_EXISTS);
	assert_int_equal(auth_account_rename(a, S("cop@example.test"), S("c\xd0\xbep@example.test"),
					     NULL),
			 AUTH_INVALID);
	/* NFD and capitals are the same name */
	assert_int_equal(try_name(a, "GRU\xcc\x88N@example.test"), AUTH_EXISTS);
	routes(a, "Gru\xcc\x88n@example.test", AUTH_LOCAL, green, 0);
	/* what nobody could mistake */
	assert_int_equal(try_name(a, "\xd0\xb8\xd0\xb2\xd0\xb0\xd0\xbd@example.test"), 0);
	assert_int_equal(try_name(a, "\xe5\xb1\xb1\xe7\x94\xb0@example.test"), 0);
	assert_int_equal(try_name(a, "\xc3\xa9tienne.o'neil-x@example.test"), 0);
	/* looking up is another matter: nobody is there, no error */
	routes(a, "adm\xe2\x80\x8bin@example.test", AUTH_UNKNOWN_USER, 0, 0);
	routes(a, "c\xd0\xbep@example.test", AUTH_UNKNOWN_USER, 0, 0);
	routes(a, "cop@example.test", AUTH_LOCAL, cop, 0);
}

static void test_aliases(void **state)
{
	struct auth *a = with_domain(state);
	uint64_t bob = add(a, "bob@example.test");
	uint64_t eve = add(a, "eve@example.test");
	struct auth_targets t;
	struct arena arena;

	co_enter();
	assert_int_equal(alias(a, "all@example.test", "bob@example.test", "team@example.test"), 0);
	/* the target does not exist yet: the rest still gets it */
	routes(a, "all@example.test", AUTH_LOCAL, bob, 0);
	assert_int_equal(alias(a, "team@example.test", "eve@example.test", "bob@example.test"), 0);
	routes(a, "all@example.test", AUTH_LOCAL, bob, eve);
	routes(a, "ALL+tag@example.test", AUTH_LOCAL, bob, eve);
	assert_int_equal(alias(a, "out@example.test", "x@example.org", "bob@example.test"), 0);
	arena_init(&arena, 1 << 20);
	assert_int_equal(auth_route(a, S("out@example.test"), &arena, &t), 0);
	assert_int_equal(t.n, 1);
	assert_int_equal(t.n_remote, 1);
	assert_true(slice_eq(t.remote[0], S("x@example.org")));
	arena_fini(&arena);
	assert_int_equal(auth_alias_remove(a, S("bob@example.test"), NULL), AUTH_NOTFOUND);
	assert_int_equal(auth_alias_remove(a, S("all@example.test"), NULL), 0);
	routes(a, "all@example.test", AUTH_UNKNOWN_USER, 0, 0);
}

static void test_alias_loops(void **state)
{
	struct auth *a = with_domain(state);
	char from[64];
	char to[64];

	co_enter();
	add(a, "bob@example.test");
	assert_int_equal(alias(a, "a@example.test", "A@example.test", NULL), AUTH_INVALID);
	assert_int_equal(alias(a, "a@example.test", "b@example.test", NULL), 0);
	assert_int_equal(alias(a, "b@example.test", "a@example.test", NULL), AUTH_INVALID);
	/* through a catch-all it can still come about: then it is refused */
	assert_int_equal(auth_domain_catchall(a, S("example.test"), S("a@example.test"), NULL), 0);
	routes(a, "a@example.test", AUTH_LOOP, 0, 0);
	assert_int_equal(auth_domain_catchall(a, S("example.test"), S(""), NULL), 0);
	for (int i = 0; i < 12; i++) {
		snprintf(from, sizeof(from), "n%d@example.test", i);
		snprintf(to, sizeof(to), "n%d@example.test", i + 1);
		assert_int_equal(alias(a, from, to, NULL), 0);
	}
	assert_int_equal(alias(a, "n12@example.test", "bob@example.test", NULL), 0);
	routes(a, "n0@example.test", AUTH_LOOP, 0, 0);
	routes(a, "n5@example.test", AUTH_LOCAL, 1, 0);
}

static void test_owns(void **state)
{
	struct auth *a = with_domain(state);
	uint64_t bob = add(a, "bob@example.test");
	uint64_t eve = add(a, "eve@example.test");

	co_enter();
	assert_int_equal(alias(a, "team@example.test", "eve@example.test", NULL), 0);
	assert_int_equal(auth_domain_catchall(a, S("example.test"), S("bob@example.test"), NULL),
			 0);
	assert_int_equal(auth_owns(a, bob, S("Bob@Example.test")), 1);
	assert_int_equal(auth_owns(a, bob, S("bob+x@example.test")), 1);
	assert_int_equal(auth_owns(a, bob, S("eve@example.test")), 0);
	assert_int_equal(auth_owns(a, bob, S("team@example.test")), 0);
	assert_int_equal(auth_owns(a, eve, S("team@example.test")), 1);
	/* a catch-all gives mail, not names */
	assert_int_equal(auth_owns(a, bob, S("other@example.test")), 0);
	assert_int_equal(auth_owns(a, bob, S("bob@example.org")), 0);
	assert_int_equal(auth_owns(a, bob, S("<>")), 0);
}

static int gather(void *arg, const struct auth_row *row)
{
	struct buf *b = arg;

	buf_add(b, row->name);
	buf_addc(b, '=');
	buf_add(b, row->target);
	buf_addc(b, ';');
	return 0;
}

static void test_lists(void **state)
{
	struct auth *a = with_domain(state);
	struct buf b = BUF_INIT(4096);

	co_enter();
	assert_int_equal(auth_domain_add(a,
					 S("b\xc3\xbc"
					   "cher.test"),
					 NULL),
			 0);
	add(a, "eve@example.test");
	add(a, "bob@example.test");
	add(a, "zoe@xn--bcher-kva.test");
	assert_int_equal(alias(a, "all@example.test", "eve@example.test", "bob@example.test"), 0);
	assert_int_equal(auth_domain_catchall(a, S("example.test"), S("eve@example.test"), NULL),
			 0);
	assert_int_equal(auth_domain_list(a, gather, &b), 0);
	assert_string_equal(buf_cstr(&b), "example.test=eve@example.test;"
					  "xn--bcher-kva.test=;");
	buf_reset(&b);
	assert_int_equal(auth_account_list(a, gather, &b), 0);
	assert_string_equal(buf_cstr(&b), "bob@example.test=;eve@example.test=;"
					  "zoe@xn--bcher-kva.test=;");
	buf_reset(&b);
	assert_int_equal(auth_alias_list(a, gather, &b), 0);
	assert_string_equal(buf_cstr(&b), "all@example.test=eve@example.test, "
					  "bob@example.test;");
	buf_fini(&b);
}

static void test_newer_rows_are_refused(void **state)
{
	struct rig *r = *state;
	struct kv_batch *b = kv_batch_new((struct kv_part){ .kind = 'd' });
	struct auth_opts o = { .kv = r->kv, .argon_memory_kib = 8, .argon_passes = 1 };
	struct auth *again = NULL;
	struct err e = ERR_INIT;
	char text[256];

	co_enter();
	kv_batch_put(b, S("H"),
		     S("\x02"
		       "anything"));
	assert_int_equal(kv_commit(r->kv, &b, 1), KV_OK);
	kv_batch_free(&b);
	assert_int_equal(auth_open(&o, &again, &e), -EPROTO);
	assert_non_null(strstr(err_str(&e, text, sizeof(text)), "newer"));
	assert_null(again);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
		T(test_domains),
		T(test_account_ids_are_never_reused),
		T(test_account_names),
		T(test_rename_keeps_the_id),
		T(test_plus_and_catchall_and_postmaster),
		T(test_plus_of_a_domain),
		T(test_confusable),
		T(test_aliases),
		T(test_alias_loops),
		T(test_owns),
		T(test_lists),
		T(test_newer_rows_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
