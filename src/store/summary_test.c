/* Summaries: what is in them, and that they agree with the messages. */
#include "store/test_util.h"

#include "store/summary.h"
#include "store/text.h"

struct env {
	struct t_engine en;
	struct store *s;
	struct store_account *a;
	struct store_mailbox *m;
	struct arena arena;
	struct err e;
};

static int setup(void **state)
{
	struct env *env = xcalloc(1, sizeof(*env));

	co_enter();
	t_engine_new(&env->en);
	env->s = t_store(env->en.kv);
	assert_int_equal(store_account_create(env->s, 1, 0, 0, &env->e), 0);
	env->a = t_account(env->s, 1);
	env->m = t_box(env->a, "INBOX");
	arena_init(&env->arena, 32 << 20);
	*state = env;
	return 0;
}

static int teardown(void **state)
{
	struct env *env = *state;

	t_check(env->s);
	store_mailbox_close(&env->m);
	store_account_close(&env->a);
	store_close(&env->s);
	t_engine_free(&env->en);
	arena_fini(&env->arena);
	free(env);
	return 0;
}

static struct store_summary made(struct env *env, const char *header)
{
	static const unsigned char guid[16] = "0123456789abcdef";
	struct store_summary s;

	assert_int_equal(summary_make(slice_cstr(header), 7, guid, &env->arena, &s), 0);
	return s;
}

static void is(struct slice got, const char *want)
{
	if (!want) {
		assert_null(got.p);
		return;
	}
	if (!slice_eq(got, slice_cstr(want))) {
		fail_msg("'%.*s' is not '%s'", SLICE_ARG(got), want);
	}
}

static void test_fields(void **state)
{
	struct store_summary s =
		made(*state, "From: =?utf-8?q?J=C3=9Crgen?= X\r\n <J.X@Example.test>\r\n"
			     "To: A <a@b.test>\r\n"
			     "Subject: Re: [x] HELLO\r\n"
			     "To: B@b.test\r\n"
			     "Date: Mon, 02 Jan 2006 15:04:05 +0100\r\n"
			     "Cc: undisclosed:;\r\n"
			     "Message-ID: <\"a\\b\"@c> junk\r\n"
			     "References: <1@x> text <2@x>\r\n <3 3@x> <4@x>\r\n"
			     "In-Reply-To: <9@x>\r\n\r\n");

	is(s.from, "ju\314\210rgen x <j.x@example.test>");
	is(s.to, "a <a@b.test>\nb@b.test");
	is(s.cc, "undisclosed:;");
	is(s.bcc, NULL);
	is(s.subject, "re: [x] hello");
	is(s.base_subject, "hello");
	assert_true(s.is_reply);
	is(s.sort_from, "j.x");
	is(s.sort_to, "a");
	is(s.sort_cc, "undisclosed");
	is(s.display_from, "ju\314\210rgen x");
	is(s.display_to, "a");
	is(s.message_id, "ab@c");
	is(s.references, "1@x 2@x 4@x");
	assert_int_equal(s.sent, 1136210645);
	assert_int_equal(s.zone, 60);
	assert_int_equal(s.uid, 7);
}

static void test_absent(void **state)
{
	struct store_summary s =
		made(*state, "Subject:\r\nFrom: x@y.test\r\nIn-Reply-To: <5@x> <6@x>\r\n");
	struct store_summary t = made(*state, "X: y\r\n\r\nFrom: body\r\n");

	is(s.subject, "");
	is(s.base_subject, "");
	assert_false(s.is_reply);
	is(s.display_from, "x@y.test");
	is(s.references, "5@x");
	is(s.message_id, NULL);
	assert_true(s.sent == INT64_MIN);
	is(t.subject, NULL);
	is(t.from, NULL);
	is(t.sort_from, NULL);
	is(t.references, NULL);
	assert_memory_equal(t.thread, "0123456789abcdef", 16);
}

/* Same root, same thread: the root itself and what refers to it. */
static void test_thread(void **state)
{
	struct store_summary root = made(*state, "Message-ID: <r@x>\n\n");
	struct store_summary reply = made(*state, "Message-ID: <s@x>\nReferences: <r@x>\n\n");
	struct store_summary deep = made(*state, "References: <\"r\"@x> <s@x>\n\n");
	struct store_summary other = made(*state, "Message-ID: <s@x>\n\n");

	assert_memory_equal(root.thread, reply.thread, 16);
	assert_memory_equal(root.thread, deep.thread, 16);
	assert_memory_not_equal(root.thread, other.thread, 16);
}

struct seen {
	uint32_t uid[16];
	size_t n;
	int stop_at;
};

static int note(void *arg, const struct store_summary *s)
{
	struct seen *x = arg;

	x->uid[x->n++] = s->uid;
	return (int)x->n == x->stop_at ? 5 : 0;
}

static void test_store(void **state)
{
	struct env *env = *state;
	const uint32_t uids[] = { 1, 2, 3, 9 }, gone = 2;
	struct seen x = { 0 };

	co_enter();
	for (int i = 0; i < 3; i++) {
		assert_int_equal(t_deliver(env->s, 1, T_MESSAGE, NULL), 0);
	}
	assert_int_equal(store_expunge(env->m, &gone, 1, false, NULL, &env->e), 0);
	assert_int_equal(store_summaries(env->m, uids, 4, note, &x, &env->e), 0);
	assert_int_equal(x.n, 2);
	assert_int_equal(x.uid[1], 3);
	x = (struct seen){ .stop_at = 1 };
	assert_int_equal(store_summaries(env->m, uids, 4, note, &x, &env->e), 5);
	assert_int_equal(x.n, 1);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = { T(test_fields), T(test_absent), T(test_thread),
					    T(test_store) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
