/*
 * The store against a model: thousands of random operations on a few
 * mailboxes, from several views, compared after each with arrays that do the
 * obvious thing. The seed is printed; MODEL_SEED and MODEL_STEPS repeat and
 * lengthen a run. Now and then everything is closed and opened again, and the
 * store checks itself.
 *
 * Held here: UIDs rise and are never used twice (I5), UIDVALIDITY stays (I6),
 * what was expunged stays away (I8), counters and quota are the sums of what
 * is there (I9), and a client that applies what store_view_sync announces
 * has, after each, exactly the mailbox it should have.
 */
#include "store/test_util.h"

#define BOXES 3
#define VIEWS 4
#define MAX_MSGS 40000

struct mmsg {
	uint32_t uid;
	uint32_t system;
	uint64_t keywords;
	uint64_t mark; /* tells messages apart: their size */
	bool gone;
	uint64_t gone_modseq;
};

struct mbox {
	struct mmsg v[MAX_MSGS];
	size_t n;
	uint32_t uidnext;
	uint32_t uidvalidity;
	uint64_t modseq;
};

/* What a client believes. */
struct mview {
	struct store_view *v;
	unsigned box;
	uint32_t uid[MAX_MSGS];
	uint32_t system[MAX_MSGS];
	uint64_t keywords[MAX_MSGS];
	uint32_t n;
};

struct model {
	struct rng rng;
	struct t_engine en;
	struct store *s;
	struct store_account *a;
	struct store_mailbox *m[BOXES];
	struct mbox *box[BOXES];
	struct mview *view[VIEWS];
	struct err e;
	unsigned steps;
};

static const char *const names[BOXES] = { "INBOX", "Sent", "a/b" };
static struct model model;

/* ---- the model's side ---------------------------------------------------- */

static struct mmsg *model_live(struct mbox *b, uint32_t uid)
{
	for (size_t i = 0; i < b->n; i++) {
		if (b->v[i].uid == uid && !b->v[i].gone) {
			return &b->v[i];
		}
	}
	return NULL;
}

static void model_add(struct mbox *b, uint32_t uid, uint32_t system, uint64_t keywords,
		      uint64_t mark)
{
	assert_true(b->n < MAX_MSGS);
	assert_true(uid >= b->uidnext); /* never used again */
	b->v[b->n++] = (struct mmsg){ uid, system, keywords, mark, false, 0 };
	b->uidnext = uid + 1;
}

static size_t model_pick(struct model *md, struct mbox *b, uint32_t *uids, size_t max)
{
	size_t n = 0;
	bool dense = rng_below(&md->rng, 4) == 0;

	for (size_t i = 0; i < b->n && n < max; i++) {
		if (b->v[i].gone && rng_below(&md->rng, 50)) {
			continue; /* a missing one here and there */
		}
		if (dense || rng_below(&md->rng, 6) == 0) {
			uids[n++] = b->v[i].uid;
		}
	}
	return n;
}

/* ---- operations ----------------------------------------------------------- */

static void make_message(struct model *md, char *text, size_t cap)
{
	unsigned pad = rng_below(&md->rng, 400);

	snprintf(text, cap, "Subject: %u\r\n\r\n%*s\r\n", md->steps, (int)pad, "x");
}

static void op_deliver(struct model *md)
{
	char text[600];
	uint32_t uid = 0;

	for (unsigned n = 1 + rng_below(&md->rng, 8); n; n--) {
		make_message(md, text, sizeof(text));
		assert_int_equal(t_deliver(md->s, 1, text, &uid), 0);
		model_add(md->box[0], uid, 0, 0, strlen(text));
	}
}

static void op_append(struct model *md)
{
	unsigned i = rng_below(&md->rng, BOXES);
	struct store_flags f = { rng_below(&md->rng, 32), rng_below(&md->rng, 8) };
	char text[600];
	uint32_t uid = 0;

	make_message(md, text, sizeof(text));
	assert_int_equal(t_append(md->m[i], text, f, &uid), 0);
	model_add(md->box[i], uid, f.system, f.keywords, strlen(text));
}

static void op_flags(struct model *md)
{
	static uint32_t uids[MAX_MSGS];
	unsigned i = rng_below(&md->rng, BOXES);
	struct mbox *b = md->box[i];
	size_t n = model_pick(md, b, uids, MAX_MSGS);
	struct store_flags f = { rng_below(&md->rng, 32), rng_below(&md->rng, 8) };
	enum store_flag_op op = rng_below(&md->rng, 3);

	co_enter();
	assert_int_equal(store_flags_change(md->m[i], uids, n, op, f, &md->e), 0);
	for (size_t k = 0; k < n; k++) {
		struct mmsg *x = model_live(b, uids[k]);

		if (!x) {
			continue;
		}
		if (op == STORE_FLAGS_SET) {
			x->system = f.system;
			x->keywords = f.keywords;
		} else if (op == STORE_FLAGS_ADD) {
			x->system |= f.system;
			x->keywords |= f.keywords;
		} else {
			x->system &= ~f.system;
			x->keywords &= ~f.keywords;
		}
	}
}

static void op_expunge(struct model *md)
{
	static uint32_t uids[MAX_MSGS];
	unsigned i = rng_below(&md->rng, BOXES);
	struct mbox *b = md->box[i];
	size_t n = model_pick(md, b, uids, MAX_MSGS);
	bool only = rng_below(&md->rng, 3) != 0;
	bool all = rng_below(&md->rng, 8) == 0 && only;
	size_t removed = 0, want = 0;

	co_enter();
	assert_int_equal(store_expunge(md->m[i], all ? NULL : uids, n, only, &removed, &md->e), 0);
	for (size_t k = 0, j = 0; k < b->n; k++) {
		struct mmsg *x = &b->v[k];

		while (j < n && uids[j] < x->uid) {
			j++;
		}
		if (x->gone || (!all && (j == n || uids[j] != x->uid)) ||
		    (only && !(x->system & STORE_DELETED))) {
			continue;
		}
		x->gone = true;
		x->gone_modseq = md->m[i]->modseq;
		want++;
	}
	assert_int_equal(removed, want);
}

static void op_copy(struct model *md)
{
	static uint32_t uids[MAX_MSGS], to[MAX_MSGS];
	unsigned i = rng_below(&md->rng, BOXES);
	unsigned j = rng_below(&md->rng, BOXES);
	bool move = rng_below(&md->rng, 2);
	size_t max = rng_below(&md->rng, 8) ? 20 : 200;
	size_t n = model_pick(md, md->box[i], uids, max);

	co_enter();
	assert_int_equal(store_copy(md->m[i], uids, n, md->m[j], move, to, &md->e), 0);
	for (size_t k = 0; k < n; k++) {
		struct mmsg *x = model_live(md->box[i], uids[k]);

		assert_int_equal(to[k] != 0, x != NULL);
		if (!x) {
			continue;
		}
		struct mmsg copy = *x;

		if (move) {
			x->gone = true;
			x->gone_modseq = md->m[i]->modseq;
		}
		model_add(md->box[j], to[k], copy.system, copy.keywords, copy.mark);
	}
}

/* ---- views ---------------------------------------------------------------- */

static void client_take(struct mview *c, uint32_t seq)
{
	struct store_msg x;
	int r = store_view_msg(c->v, seq, &x);

	assert_int_equal(r == STORE_OK, model_live(model.box[c->box], x.uid) != NULL);
	c->uid[seq - 1] = x.uid;
	c->system[seq - 1] = x.flags.system;
	c->keywords[seq - 1] = x.flags.keywords;
}

static void client_open(struct model *md, struct mview *c)
{
	co_enter();
	c->box = rng_below(&md->rng, BOXES);
	assert_int_equal(store_view_open(md->m[c->box], rng_below(&md->rng, 2), &c->v, &md->e), 0);
	c->n = store_view_count(c->v);
	for (uint32_t seq = 1; seq <= c->n; seq++) {
		client_take(c, seq);
	}
}

/* Does what an IMAP client does with the untagged responses. */
static void client_apply(struct mview *c, const struct store_diff *d)
{
	uint32_t had;

	for (size_t i = 0; i < d->n_expunged; i++) {
		uint32_t seq = d->expunged[i];
		uint32_t tail = c->n - seq;

		assert_true(seq >= 1 && seq <= c->n);
		assert_int_equal(c->uid[seq - 1], d->expunged_uids[i]);
		memmove(c->uid + seq - 1, c->uid + seq, tail * 4);
		memmove(c->system + seq - 1, c->system + seq, tail * 4);
		memmove(c->keywords + seq - 1, c->keywords + seq, tail * 8);
		c->n--;
	}
	had = c->n;
	assert_true(d->exists >= c->n);
	assert_int_equal(d->exists_changed, d->exists != c->n);
	c->n = d->exists;
	for (uint32_t seq = had + 1; seq <= c->n; seq++) {
		client_take(c, seq);
	}
	for (size_t i = 0; i < d->n_changed; i++) {
		uint32_t seq = d->changed[i].seq;

		assert_true(seq >= 1 && seq <= had);
		assert_int_equal(c->uid[seq - 1], d->changed[i].uid);
		client_take(c, seq);
	}
}

/* After a full sync the client's copy is the mailbox. */
static void client_compare(const struct mview *c, struct mbox *b)
{
	uint32_t at = 0;

	for (size_t i = 0; i < b->n; i++) {
		if (b->v[i].gone) {
			continue;
		}
		assert_true(at < c->n);
		assert_int_equal(c->uid[at], b->v[i].uid);
		assert_int_equal(c->system[at], b->v[i].system);
		assert_true(c->keywords[at] == b->v[i].keywords);
		at++;
	}
	assert_int_equal(at, c->n);
}

static void op_sync(struct model *md)
{
	struct mview *c = md->view[rng_below(&md->rng, VIEWS)];
	bool expunges = rng_below(&md->rng, 3) != 0;
	struct store_diff d;
	struct arena arena;

	arena_init(&arena, 16 << 20);
	if (!c->v) {
		client_open(md, c);
	}
	bool stale = store_view_stale(c->v);

	co_event_clear(store_view_event(c->v));
	assert_int_equal(store_view_sync(c->v, expunges, &arena, &d), 0);
	assert_int_equal(d.exists, store_view_count(c->v));
	assert_int_equal(d.recent, store_view_recent_count(c->v));
	if (d.n_expunged || d.n_changed || d.exists_changed) {
		assert_true(stale);
	}
	if (!expunges) {
		assert_int_equal(d.n_expunged, 0);
	}
	client_apply(c, &d);
	for (uint32_t seq = 1; seq <= c->n; seq++) {
		assert_int_equal(c->uid[seq - 1], store_view_uid(c->v, seq));
	}
	if (expunges) {
		client_compare(c, md->box[c->box]);
		assert_false(store_view_stale(c->v));
	}
	arena_fini(&arena);
	if (rng_below(&md->rng, 10) == 0) {
		store_view_close(&c->v);
	}
}

/* A client that fetches flags itself hears of them only once. */
static void op_told(struct model *md)
{
	struct mview *c = md->view[rng_below(&md->rng, VIEWS)];

	for (uint32_t seq = c->n; c->v && seq >= 1; seq--) {
		struct store_msg x;

		if (rng_below(&md->rng, 3) == 0 && store_view_msg(c->v, seq, &x) == STORE_OK) {
			client_take(c, seq);
			store_view_told(c->v, seq, x.modseq);
		}
	}
}

/* ---- checking ------------------------------------------------------------- */

static void check_status(struct model *md, unsigned i)
{
	struct mbox *b = md->box[i];
	struct store_status st;
	uint32_t messages = 0, unseen = 0, deleted = 0;
	uint64_t size = 0;

	for (size_t k = 0; k < b->n; k++) {
		if (!b->v[k].gone) {
			messages++;
			unseen += !(b->v[k].system & STORE_SEEN);
			deleted += (b->v[k].system & STORE_DELETED) != 0;
			size += b->v[k].mark;
		}
	}
	store_mailbox_get_status(md->m[i], &st);
	assert_int_equal(st.messages, messages);
	assert_int_equal(st.unseen, unseen);
	assert_int_equal(st.deleted, deleted);
	assert_int_equal(st.size, size);
	assert_true(st.uidnext >= b->uidnext);
	b->uidnext = st.uidnext; /* may rise, never fall */
	assert_true(st.highestmodseq >= b->modseq);
	b->modseq = st.highestmodseq;
	if (b->uidvalidity) {
		assert_int_equal(st.uidvalidity, b->uidvalidity);
	}
	b->uidvalidity = st.uidvalidity;
}

static void check_vanished(struct model *md, unsigned i)
{
	struct mbox *b = md->box[i];
	uint64_t since = b->modseq ? rng_next(&md->rng) % (b->modseq + 1) : 0;
	struct store_uid_range *r;
	struct arena arena;
	size_t n, at = 0;

	co_enter();
	arena_init(&arena, 16 << 20);
	assert_int_equal(store_vanished(md->m[i], since, &arena, &r, &n, &md->e), 0);
	for (size_t k = 0; k < b->n; k++) {
		while (at < n && r[at].last < b->v[k].uid) {
			at++;
		}
		bool there = at < n && r[at].first <= b->v[k].uid;

		assert_int_equal(there, b->v[k].gone && b->v[k].gone_modseq > since);
	}
	arena_fini(&arena);
}

static void check_usage(struct model *md)
{
	struct store_usage u;
	uint64_t bytes = 0, messages = 0;

	store_account_usage(md->a, &u);
	for (unsigned i = 0; i < BOXES; i++) {
		for (size_t k = 0; k < md->box[i]->n; k++) {
			if (!md->box[i]->v[k].gone) {
				bytes += md->box[i]->v[k].mark;
				messages++;
			}
		}
	}
	assert_int_equal(u.bytes, bytes);
	assert_int_equal(u.messages, messages);
}

/* Not durable before the next commit: known anew after each opening. */
static void make_keywords(struct model *md)
{
	struct slice k[3] = { S("one"), S("two"), S("three") };
	uint64_t bits;

	for (unsigned i = 0; i < BOXES; i++) {
		assert_int_equal(store_keyword_bits(md->m[i], k, 3, true, &bits), 0);
	}
}

static void open_all(struct model *md)
{
	md->s = t_store(md->en.kv);
	md->a = t_account(md->s, 1);
	for (unsigned i = 0; i < BOXES; i++) {
		md->m[i] = t_box(md->a, names[i]);
	}
	make_keywords(md);
}

static void close_all(struct model *md)
{
	for (unsigned i = 0; i < VIEWS; i++) {
		store_view_close(&md->view[i]->v);
	}
	for (unsigned i = 0; i < BOXES; i++) {
		store_mailbox_close(&md->m[i]);
	}
	store_account_close(&md->a);
	store_close(&md->s);
}

static void op_reopen(struct model *md)
{
	t_check(md->s);
	close_all(md);
	t_engine_restart(&md->en);
	open_all(md);
}

static void step(struct model *md)
{
	unsigned x = rng_below(&md->rng, 100);

	md->steps++;
	if (x < 22) {
		op_deliver(md);
	} else if (x < 30) {
		op_append(md);
	} else if (x < 45) {
		op_flags(md);
	} else if (x < 53) {
		op_expunge(md);
	} else if (x < 61) {
		op_copy(md);
	} else if (x < 90) {
		op_sync(md);
	} else if (x < 98) {
		op_told(md);
	} else {
		op_reopen(md);
	}
	for (unsigned i = 0; i < BOXES; i++) {
		check_status(md, i);
	}
	if (md->steps % 16 == 0) {
		check_vanished(md, rng_below(&md->rng, BOXES));
		check_usage(md);
	}
}

static uint64_t env_number(const char *name, uint64_t otherwise)
{
	uint64_t v = otherwise;

	if (getenv(name)) {
		(void)slice_u64(slice_cstr(getenv(name)), &v);
	}
	return v;
}

static void test_model(void **state)
{
	struct model *md = &model;
	uint64_t seed = env_number("MODEL_SEED", rand_u64() >> 32);
	uint64_t steps = env_number("MODEL_STEPS", 3000);

	(void)state;
	co_enter();
	print_message("MODEL_SEED=%llu\n", (unsigned long long)seed);
	md->rng.x = seed * 2 + 1;
	t_engine_new(&md->en);
	md->s = t_store(md->en.kv);
	assert_int_equal(store_account_create(md->s, 1, 0, 0, &md->e), 0);
	md->a = t_account(md->s, 1);
	assert_int_equal(store_mailbox_create(md->a, S("a/b"), 0, &md->e), 0);
	store_account_close(&md->a);
	store_close(&md->s);
	open_all(md);
	for (unsigned i = 0; i < BOXES; i++) {
		md->box[i] = xcalloc(1, sizeof(struct mbox));
		md->box[i]->uidnext = 1;
	}
	for (unsigned i = 0; i < VIEWS; i++) {
		md->view[i] = xcalloc(1, sizeof(struct mview));
	}
	while (md->steps < steps) {
		step(md);
	}
	op_reopen(md);
	assert_int_equal(store_account_delete(md->s, 1, &md->e), 0);
	close_all(md);
	assert_int_equal(t_blobs(md->en.kv), 0);
	t_engine_free(&md->en);
	for (unsigned i = 0; i < BOXES; i++) {
		free(md->box[i]);
	}
	for (unsigned i = 0; i < VIEWS; i++) {
		free(md->view[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
