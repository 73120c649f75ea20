/* Annotations: names, scopes, limits; over reopening, RENAME and DELETE. */
#include "store/metadata.h"

#include "store/test_util.h"

#define BOB 99 /* another account */

static int setup(void **state)
{
	*state = t_house_new(7);
	return 0;
}

static int set(struct t_house *env, const char *box, store_id who, const char *name,
	       const char *value)
{
	struct store_entry v = { slice_cstr(name), slice_make(NULL, 0) };

	co_enter();
	if (value) {
		v.value = slice_cstr(value);
	}
	return store_metadata_set(env->a, slice_cstr(box), who, &v, 1, NULL, &env->e);
}

/* NULL: it has none. */
static void is(struct t_house *env, const char *box, store_id who, const char *name,
	       const char *want)
{
	struct slice v;

	co_enter();
	assert_int_equal(store_metadata_get(env->a, slice_cstr(box), who, slice_cstr(name),
					    &env->arena, &v, &env->e),
			 STORE_OK);
	if (want) {
		assert_non_null(v.p);
		assert_true(slice_eq(v, slice_cstr(want)));
	} else {
		assert_null(v.p);
	}
}

static void canon(const char *in, bool whole, const char *want)
{
	struct buf b = BUF_INIT(4096);
	int r = store_entry_canon(slice_cstr(in), whole, &b);

	if (want) {
		assert_int_equal(r, STORE_OK);
		assert_string_equal(buf_cstr(&b), want);
	} else {
		assert_int_equal(r, STORE_BADNAME);
		assert_int_equal(b.n, 0);
	}
	buf_fini(&b);
}

static void test_names(void **state)
{
	char name[400];
	struct buf b = BUF_INIT(4096);

	(void)state;
	canon("/shared/comment", true, "/shared/comment");
	canon("/Private/COMMENT", true, "/private/comment");
	canon("/private", false, "/private");
	canon("/private", true, NULL);
	canon("/private/", false, NULL);
	canon("/private//comment", true, NULL);
	canon("/private/a b", true, "/private/a b");
	canon("/shared/vendor/x/y", true, "/shared/vendor/x/y");
	canon("/shared/vendor/x", true, NULL);
	canon("/shared/vendor/x", false, "/shared/vendor/x");
	canon("/shared/vendors", true, "/shared/vendors");
	canon("shared/comment", true, NULL);
	canon("/sharedx/comment", true, NULL);
	canon("/other/comment", true, NULL);
	canon("/", false, NULL);
	canon("", false, NULL);
	canon("/shared/a*", true, NULL);
	canon("/shared/a%b", true, NULL);
	canon("/shared/\x19", true, NULL);
	canon("/shared/\x7f", true, NULL);
	canon("/shared/\xc3\xa9", true, NULL);
	memset(name, 'x', sizeof(name));
	memcpy(name, "/shared/", 8);
	assert_int_equal(store_entry_canon(slice_make(name, 255), true, &b), STORE_OK);
	assert_int_equal(store_entry_canon(slice_make(name, 256), true, &b), STORE_BADNAME);
	assert_int_equal(store_entry_canon(slice_make("/shared/\0", 9), true, &b), STORE_BADNAME);
	buf_fini(&b);
}

static void test_scopes(void **state)
{
	struct t_house *env = *state;

	assert_int_equal(set(env, "INBOX", 7, "/shared/comment", "ours"), STORE_OK);
	assert_int_equal(set(env, "inbox", 7, "/Private/Comment", "mine"), STORE_OK);
	assert_int_equal(set(env, "INBOX", BOB, "/private/comment", "his"), STORE_OK);
	assert_int_equal(set(env, "", 7, "/private/vendor/x/y", ""), STORE_OK);
	for (int again = 0; again < 2; again++) {
		is(env, "INBOX", 7, "/shared/comment", "ours");
		is(env, "INBOX", BOB, "/shared/comment", "ours");
		is(env, "INBOX", 7, "/private/comment", "mine");
		is(env, "INBOX", BOB, "/private/comment", "his");
		is(env, "Sent", 7, "/private/comment", NULL);
		is(env, "", 7, "/private/comment", NULL);
		is(env, "", 7, "/private/vendor/x/y", "");
		t_house_reopen(env);
	}
	assert_int_equal(set(env, "INBOX", 7, "/private/comment", NULL), STORE_OK);
	is(env, "INBOX", 7, "/private/comment", NULL);
	is(env, "INBOX", BOB, "/private/comment", "his");
	assert_int_equal(set(env, "", 7, "/shared/comment", "no"), STORE_FORBIDDEN);
	assert_int_equal(set(env, "Nowhere", 7, "/shared/comment", "x"), STORE_NOTFOUND);
	assert_int_equal(set(env, "a//b", 7, "/shared/comment", "x"), STORE_NOTFOUND);
	assert_int_equal(set(env, "INBOX", 7, "/comment", "x"), STORE_BADNAME);
}

static void test_follow(void **state)
{
	struct t_house *env = *state;

	co_enter();
	assert_int_equal(store_mailbox_create(env->a, S("a/b"), 0, &env->e), STORE_OK);
	assert_int_equal(set(env, "a/b", 7, "/shared/comment", "b"), STORE_OK);
	assert_int_equal(set(env, "a/b", BOB, "/private/comment", "his"), STORE_OK);
	assert_int_equal(set(env, "INBOX", 7, "/private/comment", "in"), STORE_OK);
	assert_int_equal(set(env, "INBOX", BOB, "/private/comment", "his"), STORE_OK);
	assert_int_equal(store_mailbox_rename(env->a, S("a"), S("c"), &env->e), STORE_OK);
	assert_int_equal(store_mailbox_rename(env->a, S("INBOX"), S("old"), &env->e), STORE_OK);
	for (int again = 0; again < 2; again++) {
		is(env, "c/b", 7, "/shared/comment", "b");
		is(env, "c/b", BOB, "/private/comment", "his");
		is(env, "INBOX", 7, "/private/comment", "in");
		is(env, "old", 7, "/private/comment", "in");
		is(env, "old", BOB, "/private/comment", NULL);
		t_house_reopen(env);
	}
	assert_int_equal(store_mailbox_delete(env->a, S("c/b"), &env->e), STORE_OK);
	assert_int_equal(store_mailbox_create(env->a, S("c/b"), 0, &env->e), STORE_OK);
	is(env, "c/b", 7, "/shared/comment", NULL);
	is(env, "c/b", BOB, "/private/comment", NULL);
	is(env, "old", 7, "/private/comment", "in");
}

static void below(struct t_house *env, const char *name, unsigned depth, const char *want)
{
	struct store_entry *v;
	struct buf b = BUF_INIT(4096);
	size_t n;

	co_enter();
	assert_int_equal(store_metadata_below(env->a, S(""), 7, slice_cstr(name), depth,
					      &env->arena, &v, &n, &env->e),
			 STORE_OK);
	for (size_t i = 0; i < n; i++) {
		buf_printf(&b, "%.*s=%.*s ", SLICE_ARG(v[i].name), SLICE_ARG(v[i].value));
	}
	assert_string_equal(b.n ? buf_cstr(&b) : "", want);
	buf_fini(&b);
}

static void test_below(void **state)
{
	struct t_house *env = *state;

	assert_int_equal(set(env, "", 7, "/private/a", "1"), STORE_OK);
	assert_int_equal(set(env, "", 7, "/private/a-b", "2"), STORE_OK);
	assert_int_equal(set(env, "", 7, "/private/a/b", "3"), STORE_OK);
	assert_int_equal(set(env, "", 7, "/private/a/b/c", "4"), STORE_OK);
	assert_int_equal(set(env, "", 7, "/private/ab", "5"), STORE_OK);
	below(env, "/private/a", 0, "/private/a=1 ");
	below(env, "/private/a", 1, "/private/a=1 /private/a/b=3 ");
	below(env, "/private/a", UINT32_MAX, "/private/a=1 /private/a/b=3 /private/a/b/c=4 ");
	below(env, "/private", 1, "/private/a=1 /private/a-b=2 /private/ab=5 ");
	below(env, "/shared", UINT32_MAX, "");
	below(env, "/private/b", UINT32_MAX, "");
}

/* A message that is filed as junk is found there, and nowhere else. */
static void junk_goes_to(struct t_house *env, const char *box)
{
	struct store_writer *w = t_message(env->s, "Subject: buy\r\n\r\nnow\r\n");
	struct store_rcpt r = { .account = 7, .junk = true };
	struct store_status was, now;

	co_enter();
	assert_int_equal(store_mailbox_status(env->a, slice_cstr(box), &was, &env->e), STORE_OK);
	assert_int_equal(store_deliver(env->s, w, &r, 1, &env->e), 0);
	store_writer_free(&w);
	assert_int_equal(r.result, STORE_OK);
	assert_int_equal(store_mailbox_status(env->a, slice_cstr(box), &now, &env->e), STORE_OK);
	assert_int_equal(now.messages, was.messages + 1);
}

static void test_together(void **state)
{
	const struct store_entry v[] = {
		{ S("/shared/comment"), S("one") },
		{ S("/private/comment"), S("two") },
		{ S("/SHARED/comment"), S("three") },
	};
	const struct store_entry bad[] = {
		{ S("/shared/comment"), S("four") },
		{ S("/nowhere/comment"), S("five") },
	};
	struct t_house *env = *state;
	unsigned uses = STORE_USE_JUNK;

	co_enter();
	assert_int_equal(store_metadata_set(env->a, S("Sent"), 7, v, 3, &uses, &env->e), STORE_OK);
	is(env, "Sent", 7, "/shared/comment", "three");
	is(env, "Sent", 7, "/private/comment", "two");
	assert_int_equal(store_mailbox_uses(env->a, S("Sent"), &uses), STORE_OK);
	assert_int_equal(uses, STORE_USE_JUNK);
	assert_int_equal(store_mailbox_uses(env->a, S("Junk"), &uses), STORE_OK);
	assert_int_equal(uses, 0);
	junk_goes_to(env, "Sent");
	assert_int_equal(store_metadata_set(env->a, S("Sent"), 7, bad, 2, NULL, &env->e),
			 STORE_BADNAME);
	is(env, "Sent", 7, "/shared/comment", "three");
	uses = STORE_USE_SENT;
	assert_int_equal(store_metadata_set(env->a, S("INBOX"), 7, v, 1, &uses, &env->e),
			 STORE_FORBIDDEN);
	is(env, "INBOX", 7, "/shared/comment", NULL);
	t_house_reopen(env);
	assert_int_equal(store_mailbox_uses(env->a, S("Sent"), &uses), STORE_OK);
	assert_int_equal(uses, STORE_USE_JUNK);
}

/* Without the special use the name decides, and at last INBOX takes it. */
static void test_junk(void **state)
{
	struct t_house *env = *state;
	unsigned uses = 0;

	co_enter();
	junk_goes_to(env, "Junk");
	assert_int_equal(store_metadata_set(env->a, S("Junk"), 7, NULL, 0, &uses, &env->e),
			 STORE_OK);
	junk_goes_to(env, "Junk");
	assert_int_equal(store_mailbox_delete(env->a, S("Junk"), &env->e), STORE_OK);
	junk_goes_to(env, "INBOX");
}

/* HIGHESTMODSEQ of the mailbox moves (RFC 7162 3.2), and stays where it is. */
static void test_modseq(void **state)
{
	struct t_house *env = *state;
	struct store_status was, is_now;

	co_enter();
	assert_int_equal(store_mailbox_status(env->a, S("Sent"), &was, &env->e), STORE_OK);
	assert_int_equal(set(env, "Sent", 7, "/shared/comment", "v"), STORE_OK);
	assert_int_equal(store_mailbox_status(env->a, S("Sent"), &is_now, &env->e), STORE_OK);
	assert_true(is_now.highestmodseq > was.highestmodseq);
	t_house_reopen(env);
	assert_int_equal(store_mailbox_status(env->a, S("Sent"), &was, &env->e), STORE_OK);
	assert_true(was.highestmodseq >= is_now.highestmodseq);
}

static void test_count_limit(void **state)
{
	struct t_house *env = *state;
	char name[64];

	for (unsigned i = 0; i < STORE_ENTRIES_MAX; i++) {
		snprintf(name, sizeof(name), "/private/x%u", i);
		assert_int_equal(set(env, "INBOX", 7, name, "v"), STORE_OK);
	}
	assert_int_equal(set(env, "INBOX", 7, "/private/more", "v"), STORE_LIMIT);
	assert_int_equal(set(env, "INBOX", 7, "/private/x7", "new"), STORE_OK);
	assert_int_equal(set(env, "INBOX", 7, "/private/none", NULL), STORE_OK);
	assert_int_equal(set(env, "INBOX", 7, "/shared/more", "v"), STORE_OK);
	assert_int_equal(set(env, "INBOX", BOB, "/private/more", "v"), STORE_OK);
	assert_int_equal(set(env, "Sent", 7, "/private/more", "v"), STORE_OK);
	assert_int_equal(set(env, "INBOX", 7, "/private/x7", NULL), STORE_OK);
	assert_int_equal(set(env, "INBOX", 7, "/private/more", "v"), STORE_OK);
}

static void test_size_limit(void **state)
{
	static char big[STORE_ENTRY_VALUE_MAX + 1];
	struct t_house *env = *state;
	struct store_entry v = { .value = slice_make(big, STORE_ENTRY_VALUE_MAX) };
	char name[64];
	unsigned n = 0;
	int r = 0;

	co_enter();
	for (; r == STORE_OK && n < 100; n++) {
		int len = snprintf(name, sizeof(name), "/shared/x%u", n);
		v.name = slice_make(name, (size_t)len);
		r = store_metadata_set(env->a, S("INBOX"), 7, &v, 1, NULL, &env->e);
	}
	assert_int_equal(r, STORE_LIMIT);
	assert_int_equal(n, 16); /* 15 fit */
	/* It is the owner's room: private ones are in it, others' are not. */
	v.name = S("/private/comment");
	assert_int_equal(store_metadata_set(env->a, S("Sent"), 7, &v, 1, NULL, &env->e),
			 STORE_LIMIT);
	assert_int_equal(store_metadata_set(env->a, S("Sent"), BOB, &v, 1, NULL, &env->e),
			 STORE_OK);
	v.name = S("/shared/x0");
	assert_int_equal(store_metadata_set(env->a, S("INBOX"), 7, &v, 1, NULL, &env->e), STORE_OK);
	/* INBOX's would not fit twice: they stay where they are. */
	assert_int_equal(store_mailbox_rename(env->a, S("INBOX"), S("old"), &env->e), STORE_OK);
	is(env, "old", 7, "/shared/x0", NULL);
	v.value.n++;
	v.name = S("/private/comment");
	assert_int_equal(store_metadata_set(env->a, S("Sent"), BOB, &v, 1, NULL, &env->e),
			 STORE_LIMIT);
	t_house_reopen(env);
	assert_int_equal(set(env, "INBOX", 7, "/shared/x0", NULL), STORE_OK);
	assert_int_equal(set(env, "INBOX", 7, "/shared/small", "v"), STORE_OK);
}

static void test_binary(void **state)
{
	static const char bytes[] = { 0, 1, '\r', '\n', (char)0xff, 0 };
	struct t_house *env = *state;
	struct store_entry v = { S("/private/bytes"), slice_make(bytes, sizeof(bytes)) };
	struct slice got;

	co_enter();
	assert_int_equal(store_metadata_set(env->a, S("INBOX"), 7, &v, 1, NULL, &env->e), STORE_OK);
	t_house_reopen(env);
	assert_int_equal(store_metadata_get(env->a, S("INBOX"), 7, v.name, &env->arena, &got,
					    &env->e),
			 STORE_OK);
	assert_true(slice_eq(got, v.value));
}

static void test_account_delete(void **state)
{
	struct t_house *env = *state;

	co_enter();
	assert_int_equal(set(env, "INBOX", 7, "/shared/comment", "x"), STORE_OK);
	store_account_close(&env->a);
	assert_int_equal(store_account_delete(env->s, 7, &env->e), STORE_OK);
	assert_int_equal(store_account_create(env->s, 7, 0, 0, &env->e), STORE_OK);
	env->a = t_account(env->s, 7);
	is(env, "INBOX", 7, "/shared/comment", NULL);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, t_teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		T(test_scopes),
		T(test_follow),
		T(test_below),
		T(test_together),
		T(test_junk),
		T(test_modseq),
		T(test_count_limit),
		T(test_size_limit),
		T(test_binary),
		T(test_account_delete),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
