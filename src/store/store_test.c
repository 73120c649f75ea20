/* The store's door: delivery, flags, expunge, copy, views, reading, quota. */
#include "store/test_util.h"

static void reopen(struct t_house *env)
{
	t_check(env->s);
	t_house_reopen(env);
}

static void fill(struct t_house *env, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(t_deliver(env->s, 1, T_MESSAGE, NULL), 0);
	}
}

static struct store_view *view(struct t_house *env, bool rw)
{
	struct store_view *v = NULL;

	co_enter();
	assert_int_equal(store_view_open(env->m, rw, &v, &env->e), 0);
	return v;
}

static struct store_msg msg(struct store_view *v, uint32_t seq)
{
	struct store_msg x;

	store_view_msg(v, seq, &x);
	return x;
}

static int flags(struct t_house *env, uint32_t uid, enum store_flag_op op, uint32_t system,
		 uint64_t kw)
{
	co_enter();
	return store_flags_change(env->m, &uid, 1, op, (struct store_flags){ system, kw }, &env->e);
}

static size_t expunge(struct t_house *env, const uint32_t *uids, size_t n, bool only)
{
	size_t gone = 0;

	co_enter();
	assert_int_equal(store_expunge(env->m, uids, n, only, &gone, &env->e), 0);
	return gone;
}

static void test_account(void **state)
{
	struct t_house *env = *state;
	struct store_account *a = NULL;

	co_enter();
	assert_int_equal(store_account_create(env->s, 1, 0, 0, &env->e), STORE_EXISTS);
	assert_int_equal(store_account_open(env->s, 9, &a, &env->e), STORE_NOTFOUND);
	assert_int_equal(t_deliver(env->s, 9, T_MESSAGE, NULL), STORE_NOTFOUND);
	assert_int_equal(store_account_create(env->s, 9, 0, 0, &env->e), 0);
	assert_int_equal(t_deliver(env->s, 9, T_MESSAGE, NULL), 0);
	a = t_account(env->s, 9);
	struct store_mailbox *m = t_box(a, "INBOX");

	assert_int_equal(store_account_delete(env->s, 9, &env->e), 0);
	assert_true(store_mailbox_gone(m));
	uint32_t uid;

	assert_int_equal(t_append(m, T_MESSAGE, (struct store_flags){ 0 }, &uid), STORE_GONE);
	assert_int_equal(t_deliver(env->s, 9, T_MESSAGE, NULL), STORE_NOTFOUND);
	assert_int_equal(store_account_delete(env->s, 9, &env->e), STORE_NOTFOUND);
	store_mailbox_close(&m);
	store_account_close(&a);

	assert_int_equal(t_blobs(env->en.kv), 0); /* nothing refers to it any more */
}

static void test_deliver(void **state)
{
	struct t_house *env = *state;
	struct store_status st;
	uint32_t uid = 0;
	char piece[256];

	co_enter();
	store_mailbox_get_status(env->m, &st);
	assert_int_equal(st.messages, 0);
	assert_int_equal(st.uidnext, 1);
	assert_true(st.uidvalidity > 0);
	fill(env, 2);
	assert_int_equal(t_deliver(env->s, 1, T_MESSAGE, &uid), 0);
	assert_int_equal(uid, 3);
	for (int round = 0; round < 2; round++) {
		store_mailbox_get_status(env->m, &st);
		assert_int_equal(st.messages, 3);
		assert_int_equal(st.unseen, 3);
		assert_int_equal(st.recent, 3);
		assert_int_equal(st.uidnext, 4);
		assert_int_equal(st.size, 3 * (sizeof(T_MESSAGE) - 1));
		ssize_t n = store_read(env->m, 2, 0, piece, sizeof(piece), &env->e);

		assert_int_equal(n, sizeof(T_MESSAGE) - 1);
		assert_memory_equal(piece, T_MESSAGE, (size_t)n);
		assert_int_equal(store_read(env->m, 2, 10, piece, 4, &env->e), 4);
		assert_memory_equal(piece, &T_MESSAGE[10], 4);
		assert_int_equal(store_read(env->m, 2, 1000, piece, 4, &env->e), 0);
		assert_int_equal(store_read(env->m, 77, 0, piece, 4, &env->e), -ENOENT);
		reopen(env);
	}
}

static void test_deliver_many(void **state)
{
	struct t_house *env = *state;
	struct store_writer *w;
	struct store_rcpt r[5] = { { .account = 1 },
				   { .account = 2, .mailbox = S("Junk") },
				   { .account = 3 },
				   { .account = 1 },
				   { .account = 2, .mailbox = S("no such") } };

	co_enter();
	assert_int_equal(store_account_create(env->s, 2, 0, 0, &env->e), 0);
	w = t_message(env->s, T_MESSAGE);
	assert_int_equal(store_deliver(env->s, w, r, 5, &env->e), 0);
	store_writer_free(&w);
	assert_int_equal(r[0].result, STORE_OK);
	assert_int_equal(r[1].result, STORE_OK);
	assert_int_equal(r[2].result, STORE_NOTFOUND);
	assert_int_equal(r[3].result, STORE_OK);
	assert_int_equal(r[4].result, STORE_OK);
	assert_int_equal(r[0].uid, 1);
	assert_int_equal(r[1].uid, 1);
	assert_int_equal(r[2].uid, 0);
	assert_int_equal(r[3].uid, 2);
	assert_int_equal(r[4].uid, 1);
	struct store_usage u;

	assert_int_equal(store_usage(env->s, 2, &u, &env->e), 0);
	assert_int_equal(u.messages, 2);
	assert_int_equal(t_blobs(env->en.kv), 1); /* the bytes are there once */
}

static void test_fold(void **state)
{
	struct t_house *env = *state;
	struct store_status st;

	store_mailbox_close(&env->m); /* not open: the light way */
	store_account_close(&env->a);
	fill(env, 3 * FOLD_AT + 5);
	env->a = t_account(env->s, 1);
	env->m = t_box(env->a, "INBOX");
	assert_true(env->m->n_single < FOLD_AT);
	fill(env, 2 * FOLD_AT); /* and while it is open */
	assert_true(env->m->n_single < FOLD_AT);
	reopen(env);
	store_mailbox_get_status(env->m, &st);
	assert_int_equal(st.messages, 5 * FOLD_AT + 5);
	assert_int_equal(st.uidnext, 5 * FOLD_AT + 6);
	assert_int_equal(st.recent, 5 * FOLD_AT + 5);
}

static void test_append(void **state)
{
	struct t_house *env = *state;
	struct slice kw[2] = { S("$Forwarded"), S("work") };
	uint64_t bits = 0, again = 0;
	uint32_t uid = 0;

	co_enter();
	assert_int_equal(store_keyword_bits(env->m, kw, 2, true, &bits), 0);
	assert_int_equal(bits, 3);
	assert_int_equal(t_append(env->m, T_MESSAGE,
				  (struct store_flags){ STORE_SEEN | STORE_DRAFT, bits }, &uid),
			 0);
	reopen(env);
	struct store_view *v = view(env, false);
	struct store_msg x = msg(v, 1);

	assert_int_equal(x.uid, uid);
	assert_int_equal(x.flags.system, STORE_SEEN | STORE_DRAFT);
	assert_int_equal(x.flags.keywords, 3);
	assert_int_equal(x.internal_date, 1000000000);
	assert_int_equal(x.internal_zone, 60);
	assert_int_equal(x.size, sizeof(T_MESSAGE) - 1);
	assert_int_equal(x.wire_size, x.size);
	kw[0] = S("WORK");
	kw[1] = S("unknown");
	assert_int_equal(store_keyword_bits(env->m, kw, 2, false, &again), 0);
	assert_int_equal(again, 2);
	struct slice *names;
	size_t n;

	assert_int_equal(store_keywords(env->m, &env->arena, &names, &n), 0);
	assert_int_equal(n, 2);
	assert_true(slice_eq(names[0], S("$Forwarded")));
	store_view_close(&v);
}

static void test_keyword_limit(void **state)
{
	struct t_house *env = *state;
	char name[70];
	uint64_t bits, all = 0;

	co_enter();
	for (unsigned i = 0; i < STORE_KEYWORDS_MAX; i++) {
		snprintf(name, sizeof(name), "k%u", i);
		struct slice k = slice_cstr(name);

		assert_int_equal(store_keyword_bits(env->m, &k, 1, true, &bits), 0);
		all |= bits;
	}
	assert_true(all == UINT64_MAX);
	struct slice more = S("more");

	assert_int_equal(store_keyword_bits(env->m, &more, 1, true, &bits), STORE_LIMIT);
	memset(name, 'x', sizeof(name));
	more = slice_make(name, 65);
	assert_int_equal(store_keyword_bits(env->m, &more, 1, true, &bits), STORE_LIMIT);
	fill(env, 1);
	assert_int_equal(flags(env, 1, STORE_FLAGS_ADD, 0, UINT64_MAX), 0);
	reopen(env);
	struct store_view *v = view(env, false);

	assert_true(msg(v, 1).flags.keywords == UINT64_MAX);
	store_view_close(&v);
}

static void test_flags(void **state)
{
	struct t_house *env = *state;
	struct store_status st;

	co_enter();
	fill(env, FOLD_AT + 10); /* some in pages, some not */
	struct store_view *v = view(env, true);

	for (uint32_t uid = 60; uid <= 70; uid++) {
		assert_int_equal(flags(env, uid, STORE_FLAGS_SET, STORE_SEEN | STORE_DELETED, 0),
				 0);
		assert_int_equal(flags(env, uid, STORE_FLAGS_REMOVE, STORE_SEEN, 0), 0);
		assert_int_equal(flags(env, uid, STORE_FLAGS_ADD, STORE_FLAGGED, 0), 0);
	}
	uint64_t before = env->m->modseq;

	assert_int_equal(flags(env, 60, STORE_FLAGS_ADD, STORE_FLAGGED, 0), 0);
	assert_int_equal(flags(env, 999, STORE_FLAGS_ADD, STORE_SEEN, 0), 0);
	assert_int_equal(env->m->modseq, before); /* nothing changed */
	store_view_close(&v);
	reopen(env);
	v = view(env, false);
	for (uint32_t seq = 60; seq <= 70; seq++) {
		assert_int_equal(msg(v, seq).flags.system, STORE_FLAGGED | STORE_DELETED);
	}
	store_mailbox_get_status(env->m, &st);
	assert_int_equal(st.deleted, 11);
	assert_int_equal(st.unseen, FOLD_AT + 10);
	assert_int_equal(st.highestmodseq, before);
	store_view_close(&v);
}

static void test_expunge(void **state)
{
	struct t_house *env = *state;
	struct store_status st;
	uint32_t some[] = { 1, 3, 64, 65, 70, 500 };

	co_enter();
	fill(env, FOLD_AT + 10);
	assert_int_equal(flags(env, 3, STORE_FLAGS_ADD, STORE_DELETED, 0), 0);
	assert_int_equal(flags(env, 66, STORE_FLAGS_ADD, STORE_DELETED, 0), 0);
	assert_int_equal(expunge(env, some, 6, true), 1); /* uid 3 */
	assert_int_equal(expunge(env, some, 6, false), 4);
	assert_int_equal(expunge(env, NULL, 0, true), 1); /* uid 66 */
	reopen(env);
	store_mailbox_get_status(env->m, &st);
	assert_int_equal(st.messages, FOLD_AT + 10 - 6);
	assert_int_equal(st.uidnext, FOLD_AT + 11);
	/* The last UID is never used again. */
	uint32_t last = FOLD_AT + 10, uid = 0;

	assert_int_equal(expunge(env, &last, 1, false), 1);
	reopen(env);
	assert_int_equal(t_deliver(env->s, 1, T_MESSAGE, &uid), 0);
	assert_int_equal(uid, last + 1);
	assert_int_equal(expunge(env, NULL, 0, false), FOLD_AT + 4);
	reopen(env);
	store_mailbox_get_status(env->m, &st);
	assert_int_equal(st.messages, 0);
	assert_int_equal(st.size, 0);
	assert_int_equal(st.uidnext, last + 2);
	assert_int_equal(t_blobs(env->en.kv), 0);
}

static void test_vanished(void **state)
{
	struct t_house *env = *state;
	struct store_uid_range *r;
	struct store_status st;
	size_t n;
	uint32_t some[] = { 2, 3, 4, 127, 128, 140 };

	co_enter();
	fill(env, 150);
	uint64_t start = env->m->modseq;

	expunge(env, some, 4, false);
	uint64_t middle = env->m->modseq;

	expunge(env, some + 4, 2, false);
	reopen(env);
	assert_int_equal(store_vanished(env->m, start, &env->arena, &r, &n, &env->e), 0);
	assert_int_equal(n, 3);
	assert_int_equal(r[0].first, 2);
	assert_int_equal(r[0].last, 4);
	assert_int_equal(r[1].first, 127);
	assert_int_equal(r[1].last, 128);
	assert_int_equal(r[2].first, 140);
	assert_int_equal(store_vanished(env->m, middle, &env->arena, &r, &n, &env->e), 0);
	assert_int_equal(n, 2);
	assert_int_equal(r[0].first, 128);
	store_mailbox_get_status(env->m, &st);
	assert_int_equal(store_vanished(env->m, st.highestmodseq, &env->arena, &r, &n, &env->e), 0);
	assert_int_equal(n, 0);
	/* When old marks are forgotten: everything that is missing. */
	env->m->vanished_floor = st.highestmodseq + 1;
	assert_int_equal(store_vanished(env->m, st.highestmodseq, &env->arena, &r, &n, &env->e), 0);
	assert_int_equal(n, 3);
	assert_int_equal(r[1].first, 127);
	assert_int_equal(r[1].last, 128);
}

static void test_copy(void **state)
{
	struct t_house *env = *state;
	struct store_mailbox *dst;
	uint32_t uids[] = { 2, 5, 99, 9 }, to[4];
	struct slice kw = S("blue"), other = S("red");
	uint64_t bits, red;
	struct store_status st;

	co_enter();
	fill(env, 10);
	dst = t_box(env->a, "Archive");
	assert_int_equal(store_keyword_bits(dst, &other, 1, true, &red), 0);
	assert_int_equal(store_keyword_bits(env->m, &kw, 1, true, &bits), 0);
	assert_int_equal(flags(env, 5, STORE_FLAGS_SET, STORE_SEEN, bits), 0);
	assert_int_equal(store_copy(env->m, uids, 4, dst, false, to, &env->e), 0);
	assert_int_equal(to[0], 1);
	assert_int_equal(to[1], 2);
	assert_int_equal(to[2], 0);
	assert_int_equal(to[3], 3);
	struct store_view *v = NULL, *sv = view(env, false);

	assert_int_equal(store_view_open(dst, false, &v, &env->e), 0);
	assert_int_equal(msg(v, 2).flags.system, STORE_SEEN);
	assert_int_equal(msg(v, 2).flags.keywords, 2); /* red is 1 here */
	assert_memory_equal(msg(v, 2).guid, msg(sv, 5).guid, 16);
	assert_int_equal(msg(v, 2).internal_date, msg(sv, 5).internal_date);
	store_view_close(&v);
	store_view_close(&sv);
	/* Moving, also within one mailbox. */
	assert_int_equal(store_copy(env->m, uids, 2, dst, true, to, &env->e), 0);
	assert_int_equal(to[1], 5);
	assert_int_equal(store_copy(dst, to, 2, dst, true, uids, &env->e), 0);
	assert_int_equal(uids[0], 6);
	store_mailbox_get_status(dst, &st);
	assert_int_equal(st.messages, 5);
	store_mailbox_get_status(env->m, &st);
	assert_int_equal(st.messages, 8);
	t_check(env->s);
	store_mailbox_close(&dst);
}

static void test_copy_big(void **state)
{
	struct t_house *env = *state;
	struct store_mailbox *dst;
	struct mime_tree t;
	uint32_t uids[200], to[200];

	co_enter();
	fill(env, 200);
	for (uint32_t i = 0; i < 200; i++) {
		uids[i] = i + 1;
	}
	dst = t_box(env->a, "Archive");
	assert_int_equal(store_copy(env->m, uids, 5, dst, false, to, &env->e), 0);
	assert_int_equal(dst->n_single, 5);
	assert_int_equal(store_copy(env->m, uids, 200, dst, false, to, &env->e), 0);
	assert_int_equal(dst->n_single, 5); /* the rest in pages at once */
	assert_int_equal(to[199], 205);
	/* Its tree was not copied: it is made anew. */
	assert_int_equal(store_tree(dst, 205, &env->arena, &t, &env->e), 0);
	assert_int_equal(t.size, sizeof(T_MESSAGE) - 1);
	for (int i = 0; i < FOLD_AT; i++) {
		assert_int_equal(t_append(dst, T_MESSAGE, (struct store_flags){ 0 }, NULL), 0);
	}
	t_check(env->s);
	store_mailbox_close(&dst);
	reopen(env);
	dst = t_box(env->a, "Archive");
	assert_int_equal(dst->total.messages, 205 + FOLD_AT);
	store_mailbox_close(&dst);
}

static void test_tree(void **state)
{
	struct t_house *env = *state;
	struct mime_tree t;

	co_enter();
	fill(env, 1);
	assert_int_equal(store_tree(env->m, 1, &env->arena, &t, &env->e), 0);
	assert_true(slice_eq(slice_trim(t.root->envelope->subject), S("one")));
	assert_int_equal(t.root->body_len, 7);
	assert_int_equal(store_tree(env->m, 2, &env->arena, &t, &env->e), -ENOENT);
}

static void test_writer_limit(void **state)
{
	struct t_house *env = *state;
	struct store_writer *w;

	co_enter();
	env->s->message_max = 10;
	assert_int_equal(store_writer_new(env->s, S(""), &w, &env->e), 0);
	assert_int_equal(store_writer_add(w, S("0123456789"), &env->e), 0);
	assert_int_equal(store_writer_add(w, S("x"), &env->e), -EMSGSIZE);
	assert_true(store_writer_end(w, &env->e) < 0);
	store_writer_free(&w);
}

static void test_quota(void **state)
{
	struct t_house *env = *state;
	struct store_usage u;
	struct store_mailbox *dst = t_box(env->a, "Archive");
	uint32_t uid = 1, to;
	const uint64_t one = sizeof(T_MESSAGE) - 1;

	co_enter();
	assert_int_equal(store_quota_set(env->s, 1, 3 * one, 0, &env->e), 0);
	fill(env, 2);
	assert_int_equal(store_would_fit(env->s, 1, one), STORE_OK);
	assert_int_equal(store_would_fit(env->s, 1, one + 1), STORE_OVERQUOTA);
	assert_int_equal(store_would_fit(env->s, 55, one), STORE_NOTFOUND);
	fill(env, 1);
	assert_int_equal(t_deliver(env->s, 1, T_MESSAGE, NULL), STORE_OVERQUOTA);
	assert_int_equal(t_append(env->m, T_MESSAGE, (struct store_flags){ 0 }, NULL),
			 STORE_OVERQUOTA);
	assert_int_equal(store_copy(env->m, &uid, 1, dst, false, &to, &env->e), STORE_OVERQUOTA);
	assert_int_equal(store_copy(env->m, &uid, 1, dst, true, &to, &env->e),
			 0); /* a move needs no room */
	store_account_usage(env->a, &u);
	assert_int_equal(u.bytes, 3 * one);
	assert_int_equal(u.messages, 3);
	assert_int_equal(u.quota_bytes, 3 * one);
	store_mailbox_close(&dst);
	reopen(env);
	assert_int_equal(t_deliver(env->s, 1, T_MESSAGE, NULL), STORE_OVERQUOTA);
	assert_int_equal(expunge(env, NULL, 0, false), 2);
	fill(env, 2);
	assert_int_equal(store_quota_set(env->s, 1, 0, 4, &env->e), 0);
	fill(env, 1);
	assert_int_equal(t_deliver(env->s, 1, T_MESSAGE, NULL), STORE_OVERQUOTA);
	assert_int_equal(env->a->reserved_bytes, 0);
	assert_int_equal(env->a->reserved_messages, 0);
}

static void test_delete_open(void **state)
{
	struct t_house *env = *state;
	struct store_mailbox *m;
	struct store_view *v;
	struct store_diff d;
	uint32_t uid;

	co_enter();
	assert_int_equal(store_mailbox_create(env->a, S("x"), 0, &env->e), 0);
	m = t_box(env->a, "x");
	assert_int_equal(t_append(m, T_MESSAGE, (struct store_flags){ 0 }, &uid), 0);
	assert_int_equal(store_view_open(m, true, &v, &env->e), 0);
	co_event_clear(store_view_event(v));
	assert_int_equal(store_mailbox_delete(env->a, S("x"), &env->e), 0);
	assert_true(store_view_event(v)->set);
	assert_true(store_mailbox_gone(m));
	assert_true(store_view_stale(v));
	assert_int_equal(store_view_sync(v, true, &env->arena, &d), STORE_GONE);
	assert_int_equal(store_flags_change(m, &uid, 1, STORE_FLAGS_ADD,
					    (struct store_flags){ 1, 0 }, &env->e),
			 STORE_GONE);
	assert_int_equal(store_expunge(m, &uid, 1, false, NULL, &env->e), STORE_GONE);
	assert_int_equal(msg(v, 1).uid, uid); /* what it knew it still knows */
	char c;

	ssize_t n = store_read(m, uid, 0, &c, 1, &env->e);

	/* The engine takes the space back in its own time. */
	assert_true(n == -ENOENT || (n == 1 && c == 'F'));
	store_view_close(&v);
	store_mailbox_close(&m);
}

static void test_maildrop(void **state)
{
	struct t_house *env = *state;

	assert_int_equal(store_maildrop_lock(env->a), STORE_OK);
	assert_int_equal(store_maildrop_lock(env->a), STORE_INUSE);
	store_maildrop_unlock(env->a);
	assert_int_equal(store_maildrop_lock(env->a), STORE_OK);
	store_maildrop_unlock(env->a);
}

static void test_newer_format(void **state)
{
	struct t_house *env = *state;
	struct store_opts o = { .kv = env->en.kv };
	struct kv_batch *b = kv_batch_new(part_store());
	struct store *s = NULL;

	co_enter();
	kv_batch_put(b, S("V"), S("\x02"));
	assert_int_equal(kv_commit(env->en.kv, &b, 1), 0);
	assert_int_equal(store_open(&o, &s, &env->e), -EPROTO);
	assert_null(s);
	kv_batch_free(&b);
}

static void test_damage(void **state)
{
	struct t_house *env = *state;
	struct kv_part part = part_mailbox(1, env->a->inbox->id);
	struct kv_batch *b = kv_batch_new(part);
	struct row_key k = key32('P', 0);
	struct store_mailbox *m = NULL;

	co_enter();
	fill(env, FOLD_AT);
	kv_batch_put(b, key_slice(&k), S("\x01rubbish"));
	assert_int_equal(kv_commit(env->en.kv, &b, 1), 0);
	kv_batch_free(&b);
	unsigned found = 0;

	assert_true(store_check(env->s, t_found_quietly, &found) > 0);
	assert_true(found > 0);
	t_house_close(env);
	t_engine_restart(&env->en);
	env->s = t_store(env->en.kv);
	env->a = t_account(env->s, 1);
	assert_int_equal(store_mailbox_open(env->a, S("INBOX"), &m, &env->e), -EIO);
	/* Mail still comes in, and other mailboxes open. */
	assert_int_equal(t_deliver(env->s, 1, T_MESSAGE, NULL), 0);
	env->m = t_box(env->a, "Sent");
	assert_int_equal(store_mailbox_delete(env->a, S("INBOX"), &env->e), STORE_FORBIDDEN);
	assert_int_equal(store_account_delete(env->s, 1, &env->e), 0);
}

/* Whatever stands in a header, nothing aborts, and what does not fit stays shut. */
static void test_damaged_header(void **state)
{
	struct t_house *env = *state;
	struct kv_part part = part_mailbox(1, env->a->inbox->id);
	struct head_row behind = { .uidnext = 1, .modseq = 1, .recent_uid = 1 };
	struct store_mailbox *m = NULL;
	struct buf row = BUF_INIT(4096);

	co_enter();
	fill(env, FOLD_AT);
	for (int round = 0; round < 2; round++) {
		struct kv_batch *b = kv_batch_new(part);

		t_house_close(env);
		buf_reset(&row);
		if (round == 0) {
			head_row_put(&behind, &row);
		}
		kv_batch_put(b, S("H"), buf_slice(&row));
		assert_int_equal(kv_commit(env->en.kv, &b, 1), 0);
		kv_batch_free(&b);
		t_engine_restart(&env->en);
		env->s = t_store(env->en.kv);
		env->a = t_account(env->s, 1); /* the others can be had */
		assert_int_equal(t_deliver(env->s, 1, T_MESSAGE, NULL), round ? -EIO : 0);
		assert_int_equal(store_mailbox_open(env->a, S("INBOX"), &m, &env->e), -EIO);
		assert_null(m);
		env->m = t_box(env->a, "Sent");
	}
	unsigned found = 0;

	assert_true(store_check(env->s, t_found_quietly, &found) > 0);
	assert_int_equal(store_account_delete(env->s, 1, &env->e), 0);
	buf_fini(&row);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, t_setup, t_teardown)
	const struct CMUnitTest tests[] = {
		T(test_account),	T(test_deliver),      T(test_deliver_many),
		T(test_fold),		T(test_append),	      T(test_keyword_limit),
		T(test_flags),		T(test_expunge),      T(test_vanished),
		T(test_copy),		T(test_copy_big),     T(test_tree),
		T(test_writer_limit),	T(test_quota),	      T(test_delete_open),
		T(test_maildrop),	T(test_newer_format), T(test_damage),
		T(test_damaged_header),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
