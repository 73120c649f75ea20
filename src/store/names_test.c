/* Names (THREATS IM-08), LIST, subscriptions, create, delete, rename. */
#include "store/test_util.h"

#define ACCOUNT 7

static int setup(void **state)
{
	*state = t_house_new(ACCOUNT);
	return 0;
}

static void canon(const char *in, const char *out)
{
	struct buf b = BUF_INIT(4096);
	int r = store_name_canon(slice_cstr(in), &b);

	if (out) {
		assert_int_equal(r, STORE_OK);
		assert_string_equal(buf_cstr(&b), out);
	} else {
		assert_int_equal(r, STORE_BADNAME);
		assert_int_equal(b.n, 0);
	}
	buf_fini(&b);
}

static void test_canon(void **state)
{
	(void)state;
	canon("INBOX", "INBOX");
	canon("iNbOx", "INBOX");
	canon("iNbOx/x", "INBOX/x");
	canon("x/inbox", "x/inbox");
	canon("inboxes", "inboxes");
	canon("../../etc/passwd", "../../etc/passwd"); /* just a value */
	canon("a/../b", "a/../b");
	canon("~root", "~root");
	canon("H", "H");		      /* like one of our row keys */
	canon("Cafe\xcc\x81", "Caf\xc3\xa9"); /* NFD to NFC */
	canon("", NULL);
	canon("/etc", NULL);
	canon("a//b", NULL);
	canon("a/", NULL);
	canon("/", NULL);
	canon("a\r\nb", NULL);
	canon("a\tb", NULL);
	canon("a\x7f", NULL);
	canon("a\xc2\x85", NULL);     /* NEL, a C1 control */
	canon("a\xe2\x80\xa8", NULL); /* line separator */
	canon("a*", NULL);
	canon("50%", NULL);
	canon("\xff", NULL);
	canon("a\xc0\xaf", NULL); /* an overlong slash */
	canon("\xed\xa0\x80", NULL);
}

static void test_canon_limits(void **state)
{
	static char name[70000];
	struct buf b = BUF_INIT(4096);

	(void)state;
	memset(name, 'x', sizeof(name));
	assert_int_equal(store_name_canon(slice_make(name, 255), &b), 0);
	assert_int_equal(b.n, 255);
	assert_int_equal(store_name_canon(slice_make(name, 256), &b), STORE_BADNAME);
	assert_int_equal(store_name_canon(slice_make(name, 65536), &b), STORE_BADNAME);
	assert_int_equal(store_name_canon(slice_make("a\0b", 3), &b), STORE_BADNAME);
	for (size_t i = 1; i < 2000; i += 2) {
		name[i] = '/';
	}
	assert_int_equal(store_name_canon(slice_make(name, 39), &b), 0);
	assert_int_equal(store_name_canon(slice_make(name, 41), &b), STORE_BADNAME);
	assert_int_equal(store_name_canon(slice_make(name, 2001), &b), STORE_BADNAME);
	buf_fini(&b);
}

/* "name" exists, "(name)" does not, + subscribed, > has children. */
static void list_is(struct t_house *env, const char *want)
{
	struct store_mailbox_info *v;
	struct buf b = BUF_INIT(65536);
	size_t n;

	co_enter();
	assert_int_equal(store_mailbox_list(env->a, &env->arena, &v, &n, &env->e), 0);
	for (size_t i = 0; i < n; i++) {
		buf_printf(&b, v[i].exists ? "%.*s" : "(%.*s)", SLICE_ARG(v[i].name));
		buf_adds(&b, v[i].subscribed ? "+" : "");
		buf_adds(&b, v[i].has_children ? ">" : "");
		buf_addc(&b, ' ');
		assert_int_equal(v[i].noselect, !v[i].exists);
	}
	assert_string_equal(buf_cstr(&b), want);
	buf_fini(&b);
}

static uint32_t uidvalidity(struct t_house *env, const char *name)
{
	struct store_status st;

	co_enter();
	assert_int_equal(store_mailbox_status(env->a, slice_cstr(name), &st, &env->e), 0);
	return st.uidvalidity;
}

static int make(struct t_house *env, const char *name)
{
	co_enter();
	return store_mailbox_create(env->a, slice_cstr(name), 0, &env->e);
}

static int drop(struct t_house *env, const char *name)
{
	co_enter();
	return store_mailbox_delete(env->a, slice_cstr(name), &env->e);
}

static int mv(struct t_house *env, const char *from, const char *to)
{
	co_enter();
	return store_mailbox_rename(env->a, slice_cstr(from), slice_cstr(to), &env->e);
}

static void test_first_list(void **state)
{
	struct t_house *env = *state;
	struct store_mailbox_info *v;
	size_t n;

	co_enter();
	list_is(env, "INBOX+ Archive+ Drafts+ Junk+ Sent+ Trash+ ");
	assert_int_equal(store_mailbox_list(env->a, &env->arena, &v, &n, &env->e), 0);
	assert_int_equal(v[2].uses, STORE_USE_DRAFTS);
	assert_int_equal(v[0].uses, 0);
}

static void test_create(void **state)
{
	struct t_house *env = *state;

	assert_int_equal(make(env, "a/b/c"), STORE_OK);
	assert_int_equal(make(env, "a/b/c"), STORE_EXISTS);
	assert_int_equal(make(env, "A/b"), STORE_OK); /* case matters */
	assert_int_equal(make(env, "inbox"), STORE_EXISTS);
	assert_int_equal(make(env, "a//c"), STORE_BADNAME);
	list_is(env, "INBOX+ A> A/b Archive+ Drafts+ Junk+ Sent+ Trash+ a> "
		     "a/b> a/b/c ");
	t_house_reopen(env);
	list_is(env, "INBOX+ A> A/b Archive+ Drafts+ Junk+ Sent+ Trash+ a> "
		     "a/b> a/b/c ");
}

static void test_delete(void **state)
{
	struct t_house *env = *state;

	assert_int_equal(make(env, "a/b"), STORE_OK);
	uint32_t was = uidvalidity(env, "a");

	assert_int_equal(drop(env, "Inbox"), STORE_FORBIDDEN);
	assert_int_equal(drop(env, "nope"), STORE_NOTFOUND);
	assert_int_equal(drop(env, "a//"), STORE_NOTFOUND);
	assert_int_equal(drop(env, "a"), STORE_OK);
	assert_int_equal(drop(env, "a"), STORE_NOTFOUND);
	list_is(env, "INBOX+ Archive+ Drafts+ Junk+ Sent+ Trash+ (a)> a/b ");
	t_house_reopen(env);
	assert_int_equal(make(env, "a"), STORE_OK);
	assert_true(uidvalidity(env, "a") > was);
	was = uidvalidity(env, "a");
	assert_int_equal(drop(env, "a"), STORE_OK);
	assert_int_equal(make(env, "a"), STORE_OK);
	assert_true(uidvalidity(env, "a") > was);
}

static void test_rename(void **state)
{
	struct t_house *env = *state;

	assert_int_equal(make(env, "a/b/c"), STORE_OK);
	uint32_t v = uidvalidity(env, "a/b/c");

	assert_int_equal(mv(env, "a", "INBOX"), STORE_EXISTS);
	assert_int_equal(mv(env, "nope", "x"), STORE_NOTFOUND);
	assert_int_equal(mv(env, "a", "a/x"), STORE_FORBIDDEN);
	assert_int_equal(mv(env, "a", "b//"), STORE_BADNAME);
	assert_int_equal(mv(env, "a/b", "x/y"), STORE_OK);
	list_is(env, "INBOX+ Archive+ Drafts+ Junk+ Sent+ Trash+ a x> x/y> "
		     "x/y/c ");
	assert_int_equal(uidvalidity(env, "x/y/c"), v);
	t_house_reopen(env);
	list_is(env, "INBOX+ Archive+ Drafts+ Junk+ Sent+ Trash+ a x> x/y> "
		     "x/y/c ");
	/* A child's new name is taken: nothing is renamed. */
	assert_int_equal(make(env, "z/y/c"), STORE_OK);
	assert_int_equal(drop(env, "z"), STORE_OK);
	assert_int_equal(mv(env, "x", "z"), STORE_EXISTS);
	list_is(env, "INBOX+ Archive+ Drafts+ Junk+ Sent+ Trash+ a x> x/y> "
		     "x/y/c (z)> z/y> z/y/c ");
}

static void test_rename_limits(void **state)
{
	struct t_house *env = *state;
	char name[256];

	memset(name, 'x', sizeof(name));
	name[250] = '\0';
	assert_int_equal(make(env, "a/bcdefgh"), STORE_OK);
	assert_int_equal(mv(env, "a", name), STORE_BADNAME);
	assert_int_equal(make(env, "d/2/3/4/5/6/7/8/9/10/11"), STORE_OK);
	assert_int_equal(mv(env, "d", "q/2/3/4/5/6/7/8/9/10/11"), STORE_BADNAME);
	assert_int_equal(mv(env, "d", "q/2/3/4/5/6/7/8/9/10"), STORE_OK);
}

static void test_rename_inbox(void **state)
{
	struct t_house *env = *state;
	struct store_status st;

	co_enter();
	for (int i = 0; i < 5; i++) {
		assert_int_equal(t_deliver(env->s, 7, T_MESSAGE, NULL), 0);
	}
	uint32_t v = uidvalidity(env, "INBOX");

	assert_int_equal(mv(env, "inbox", "old/mail"), STORE_OK);
	assert_int_equal(uidvalidity(env, "INBOX"), v);
	assert_int_equal(store_mailbox_status(env->a, S("INBOX"), &st, &env->e), 0);
	assert_int_equal(st.messages, 0);
	assert_int_equal(st.uidnext, 6);
	assert_int_equal(store_mailbox_status(env->a, S("old/mail"), &st, &env->e), 0);
	assert_int_equal(st.messages, 5);
}

static void test_subscribe(void **state)
{
	struct t_house *env = *state;

	co_enter();
	assert_int_equal(store_subscribe(env->a, S("no/such"), true, &env->e), 0);
	assert_int_equal(store_subscribe(env->a, S("no/such"), true, &env->e), 0);
	assert_int_equal(store_subscribe(env->a, S("Junk"), false, &env->e), 0);
	assert_int_equal(store_subscribe(env->a, S("a//b"), true, &env->e), STORE_BADNAME);
	list_is(env, "INBOX+ Archive+ Drafts+ Junk Sent+ Trash+ (no/such)+ ");
	t_house_reopen(env);
	list_is(env, "INBOX+ Archive+ Drafts+ Junk Sent+ Trash+ (no/such)+ ");
	assert_int_equal(store_subscribe(env->a, S("no/such"), false, &env->e), 0);
	list_is(env, "INBOX+ Archive+ Drafts+ Junk Sent+ Trash+ ");
}

static unsigned uses(struct t_house *env, const char *name)
{
	struct store_mailbox_info *v;
	size_t n;

	co_enter();
	assert_int_equal(store_mailbox_list(env->a, &env->arena, &v, &n, &env->e), 0);
	for (size_t i = 0; i < n; i++) {
		if (slice_eq(v[i].name, slice_cstr(name))) {
			return v[i].uses;
		}
	}
	fail_msg("no %s", name);
	return 0;
}

/* A special use is one mailbox's: the last that was given it has it. */
static void test_uses(void **state)
{
	struct t_house *env = *state;

	co_enter();
	assert_int_equal(store_mailbox_create(env->a, S("Bin"), STORE_USE_TRASH | STORE_USE_JUNK,
					      &env->e),
			 STORE_OK);
	for (int again = 0; again < 2; again++) {
		assert_int_equal(uses(env, "Bin"), STORE_USE_TRASH | STORE_USE_JUNK);
		assert_int_equal(uses(env, "Trash"), 0);
		assert_int_equal(uses(env, "Junk"), 0);
		assert_int_equal(uses(env, "Sent"), STORE_USE_SENT);
		t_house_reopen(env);
	}
	assert_int_equal(store_mailbox_set_uses(env->a, S("Junk"), STORE_USE_JUNK | STORE_USE_SENT,
						&env->e),
			 STORE_OK);
	assert_int_equal(store_mailbox_set_uses(env->a, S("INBOX"), STORE_USE_SENT, &env->e),
			 STORE_FORBIDDEN);
	assert_int_equal(store_mailbox_set_uses(env->a, S("None"), 0, &env->e), STORE_NOTFOUND);
	assert_int_equal(store_mailbox_set_uses(env->a, S("Archive"), 0, &env->e), STORE_OK);
	assert_int_equal(make(env, "Bin"), STORE_EXISTS);
	assert_int_equal(mv(env, "Bin", "Away/Bin"), STORE_OK);
	for (int again = 0; again < 2; again++) {
		assert_int_equal(uses(env, "Away/Bin"), STORE_USE_TRASH);
		assert_int_equal(uses(env, "Junk"), STORE_USE_JUNK | STORE_USE_SENT);
		assert_int_equal(uses(env, "Sent"), 0);
		assert_int_equal(uses(env, "Archive"), 0);
		t_house_reopen(env);
	}
}

static void test_limit(void **state)
{
	struct t_house *env = *state;
	char name[32];
	int r = 0;
	unsigned n = 6;

	for (; n < STORE_MAILBOXES_MAX; n++) {
		snprintf(name, sizeof(name), "m%u", n);
		r = make(env, name);
		assert_int_equal(r, STORE_OK);
	}
	assert_int_equal(make(env, "one/too/many"), STORE_LIMIT);
	assert_int_equal(mv(env, "m6", "p/m6"), STORE_LIMIT);
	assert_int_equal(drop(env, "m7"), STORE_OK);
	assert_int_equal(mv(env, "m6", "p/m6"), STORE_OK);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, t_teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_canon),
		cmocka_unit_test(test_canon_limits),
		T(test_first_list),
		T(test_create),
		T(test_delete),
		T(test_rename),
		T(test_rename_limits),
		T(test_rename_inbox),
		T(test_subscribe),
		T(test_uses),
		T(test_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
