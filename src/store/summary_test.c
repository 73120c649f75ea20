/* Summaries: what is in them, and that they agree with the messages. */
#include "store/test_util.h"

#include "mime/text.h"
#include "store/summary.h"
#include "store/text.h"

static struct store_summary made(struct t_house *env, const char *header)
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

/* RFC 3501 6.4.4: addresses as ENVELOPE has them, where the text does not. */
static void test_addresses(void **state)
{
	struct store_summary s = made(*state, "From: a (x) @b, c@d, \"e\\ f\"@G\r\n"
					      "To: Team: h@i;\r\nBcc: k\r\n (y)@l\r\n"
					      "From: c (z) @d\r\nCc:\r\nCc: m (n) @o\r\n");

	is(s.from, "a (x) @b, c@d, \"e\\ f\"@g\nc (z) @d\ra@b\ne f@g\nc@d\n");
	is(s.to, "team: h@i;");
	is(s.bcc, "k (y)@l\rk@l\n");
	is(s.cc, "\nm (n) @o\rm@o\n");
	is(s.sort_from, "a");
}

/* A header of nothing but one field, over and over, is no trouble. */
static void test_many_fields(void **state)
{
	static const unsigned char guid[16];
	struct buf b = BUF_INIT(1 << 20);
	struct store_summary s;
	struct arena a;

	(void)state;
	while (b.n + 16 < MIME_HEADER_MAX) {
		buf_adds(&b, "To:\xc3\xa4\nSubject:\n");
	}
	arena_init(&a, SUMMARY_ARENA_MAX);
	assert_int_equal(summary_make(buf_slice(&b), 1, guid, &a, &s), 0);
	assert_true(s.to.n > MIME_HEADER_MAX / 20 * 3);
	arena_fini(&a);
	buf_fini(&b);
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
	struct t_house *env = *state;
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

/* ---- kept summaries ---------------------------------------------------------- */

static void same(struct slice a, struct slice b, const char *what)
{
	if (!slice_eq(a, b) || !a.p != !b.p) {
		fail_msg("%s: '%.*s' is not '%.*s'", what, SLICE_ARG(a), SLICE_ARG(b));
	}
}

static void same_summary(const struct store_summary *a, const struct store_summary *b)
{
	assert_int_equal(a->uid, b->uid);
	same(a->from, b->from, "from");
	same(a->to, b->to, "to");
	same(a->cc, b->cc, "cc");
	same(a->bcc, b->bcc, "bcc");
	same(a->subject, b->subject, "subject");
	same(a->sort_from, b->sort_from, "sort_from");
	same(a->sort_to, b->sort_to, "sort_to");
	same(a->sort_cc, b->sort_cc, "sort_cc");
	same(a->display_from, b->display_from, "display_from");
	same(a->display_to, b->display_to, "display_to");
	same(a->base_subject, b->base_subject, "base_subject");
	same(a->message_id, b->message_id, "message_id");
	same(a->references, b->references, "references");
	assert_int_equal(a->is_reply, b->is_reply);
	assert_int_equal(a->sent, b->sent);
	assert_int_equal(a->zone, b->zone);
	assert_memory_equal(a->thread, b->thread, 16);
}

static void add_field(struct rng *rng, struct buf *b, const char *name)
{
	static const char *const words[] = {
		"Re: ",	       "[list] ",   "Fwd: ", "x@y.test",
		"A <a@b>",     ", ",	    " ",     "=?utf-8?q?=C3=A4?=",
		"\r\n ",       "<1@2> ",    "<3@4>", "J\xc3\xb6rg <j@k>",
		"\"q\" <q@r>", "s (t) @ u", "(v)",   "\"w\\ \"@",
		"G:",	       ";"
	};

	if (rng_below(rng, 3) == 0) {
		return;
	}
	buf_printf(b, "%s: ", name);
	for (unsigned n = rng_below(rng, 5); n; n--) {
		buf_adds(b, words[rng_below(rng, ARRAY_LEN(words))]);
	}
	if (rng_below(rng, 40) == 0) { /* longer than is kept */
		for (unsigned i = 0; i < SUMMARY_ENTRY_MAX; i++) {
			buf_addc(b, 'x');
		}
	}
	buf_adds(b, "\r\n");
}

static void random_mail(struct rng *rng, struct buf *b)
{
	static const char *const names[] = { "From",	   "To",	 "Cc",
					     "Bcc",	   "Subject",	 "To",
					     "Message-ID", "References", "In-Reply-To" };

	buf_reset(b);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		add_field(rng, b, names[i]);
	}
	if (rng_below(rng, 2)) {
		buf_printf(b, "Date: Mon, %02u Jan 2006 15:04:05 %s\r\n", 1 + rng_below(rng, 28),
			   rng_below(rng, 2) ? "+0130" : "-0500");
	}
	buf_adds(b, "\r\nbody\r\n");
}

/* A needle is in the summary exactly if it is in the header. */
static void agree(struct t_house *env, struct slice header, struct slice needle)
{
	static const unsigned char guid[16];
	struct arena_mark mark = arena_mark(&env->arena);
	struct store_summary s;

	assert_int_equal(summary_make(header, 1, guid, &env->arena, &s), 0);
	const struct {
		const char *name;
		struct slice text;
	} fields[] = { { "From", s.from }, { "To", s.to }, { "Cc", s.cc }, { "Bcc", s.bcc } };

	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		struct slice name = slice_cstr(fields[i].name), all = fields[i].text;
		struct slice body = slice_sub(all, 0, slice_chr(all, '\r'));
		bool found = all.p && slice_find(all, needle) != SIZE_MAX;
		bool plain = all.p && slice_find(body, needle) != SIZE_MAX;

		if (found != mime_address_match(header, name, needle) ||
		    plain != mime_header_match(header, name, needle)) {
			fail_msg("%s of '%.*s': '%.*s'", fields[i].name, SLICE_ARG(header),
				 SLICE_ARG(needle));
		}
	}
	arena_reset(&env->arena, mark);
}

static void test_agreement(void **state)
{
	static const char *const needles[] = { "",	"a@b", "a",   "s@u", "s (t) @ u", "@",
					       "b, s@", "w",   "w @", "g",   "q@r",	  "j@k" };
	struct rng rng = { 5 };
	struct buf mail = BUF_INIT(1 << 20);

	for (unsigned round = 0; round < 2000; round++) {
		random_mail(&rng, &mail);
		agree(*state, buf_slice(&mail), slice_cstr(needles[round % ARRAY_LEN(needles)]));
	}
	buf_fini(&mail);
}

struct check {
	struct t_house *env;
	const uint32_t *uids;
	size_t n, at;
	unsigned opened;
};

/* What was given must be what the message says. */
static int check_one(void *arg, const struct store_summary *s)
{
	struct check *c = arg;
	struct arena_mark mark = arena_mark(&c->env->arena);
	const struct msg *msg = box_find(c->env->m, s->uid);
	struct store_summary want;
	size_t cap = 65536;
	char *text = malloc(cap);
	ssize_t n;

	co_enter();
	while (c->at < c->n && c->uids[c->at] != s->uid) {
		c->at++;
	}
	assert_true(c->at < c->n);
	assert_non_null(text);
	n = store_read(c->env->m, s->uid, 0, text, cap, &c->env->e);
	assert_true(n > 0);
	assert_int_equal(summary_make(slice_make(text, (size_t)n), s->uid, msg->blob.b,
				      &c->env->arena, &want),
			 0);
	same_summary(s, &want);
	free(text);
	arena_reset(&c->env->arena, mark);
	c->opened++;
	return 0;
}

static unsigned check_all(struct t_house *env)
{
	uint32_t *uids = calloc(env->m->n + 1, sizeof(*uids));
	struct check c = { env, uids, 0, 0, 0 };

	co_enter();
	for (size_t i = 0; i < env->m->n; i++) {
		if (env->m->v[i].gone_at == 0) {
			uids[c.n++] = env->m->v[i].uid;
		}
	}
	assert_int_equal(store_summaries(env->m, uids, c.n, check_one, &c, &env->e), 0);
	assert_int_equal(c.opened, c.n);
	free(uids);
	return c.opened;
}

static int count_row(void *arg, struct slice key, struct slice value)
{
	(void)key;
	(void)value;
	++*(unsigned *)arg;
	return 0;
}

static unsigned kept_rows(struct t_house *env)
{
	unsigned n = 0;

	co_enter();
	kv_scan_prefix(env->en.kv, part_mailbox(1, env->m->id), S("E"), count_row, &n);
	return n;
}

static void damage_row(struct t_house *env, uint32_t page, unsigned part, bool lose)
{
	struct kv_batch *b = kv_batch_new(part_mailbox(1, env->m->id));
	struct row_key k = summary_key(page, part);
	struct buf v = BUF_INIT(1 << 20);

	co_enter();
	if (kv_get(env->en.kv, part_mailbox(1, env->m->id), key_slice(&k), &v) == KV_OK) {
		v.p[v.n / 2] ^= 1;
		if (lose) {
			kv_batch_del(b, key_slice(&k));
		} else {
			kv_batch_put(b, key_slice(&k), buf_slice(&v));
		}
		assert_int_equal(kv_commit(env->en.kv, &b, 1), 0);
	}
	kv_batch_free(&b);
	buf_fini(&v);
}

static void test_kept(void **state)
{
	struct t_house *env = *state;
	struct rng rng = { rand_u64() | 1 };
	struct buf b = BUF_INIT(1 << 20);
	uint32_t gone[300];

	co_enter();
	print_message("seed %llu\n", (unsigned long long)rng.x);
	for (unsigned i = 0; i < 600; i++) {
		random_mail(&rng, &b);
		assert_int_equal(t_append(env->m, buf_cstr(&b), (struct store_flags){ 0 }, NULL),
				 0);
	}
	assert_int_equal(kept_rows(env), 0);
	check_all(env);
	assert_true(kept_rows(env) >= 5); /* the search kept what it made */
	check_all(env);
	for (unsigned i = 0; i < 8; i++) {
		damage_row(env, i % 4, i % 2, rng_below(&rng, 2));
		check_all(env);
	}
	for (unsigned i = 0; i < 300; i++) {
		gone[i] = i * 2 + 1;
	}
	assert_int_equal(store_expunge(env->m, gone, 300, false, NULL, &env->e), 0);
	check_all(env);
	for (unsigned i = 0; i < 30; i++) {
		random_mail(&rng, &b);
		assert_int_equal(t_append(env->m, buf_cstr(&b), (struct store_flags){ 0 }, NULL),
				 0);
		assert_int_equal(store_text_index(env->m, &env->e), 0);
	}
	check_all(env);
	assert_int_equal(store_expunge(env->m, NULL, 0, false, NULL, &env->e), 0);
	assert_int_equal(kept_rows(env), 0);
	buf_fini(&b);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, t_setup, t_teardown)
	const struct CMUnitTest tests[] = { T(test_fields),    T(test_absent),
					    T(test_thread),    T(test_store),
					    T(test_kept),      T(test_many_fields),
					    T(test_addresses), T(test_agreement) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
