/*
 * The text index against a scan of the messages: random mail in many
 * encodings, random arrivals, copies, moves, expunges, indexing now and then,
 * reopening, damage; after each step random needles, for which what the index
 * says of the messages it covers must be what a scan says. The seed is
 * printed; TEXT_SEED and TEXT_STEPS repeat and lengthen a run.
 */
#include "base/codec.h"
#include "mime/text.h"
#include "store/kept.h"
#include "store/test_util.h"

#define WORDS 400

struct env {
	struct t_engine en;
	struct store *s;
	struct store_account *a;
	struct store_mailbox *m[2];
	struct rng rng;
	struct err e;
	char word[WORDS][24];
};

static void open_all(struct env *env)
{
	env->s = t_store(env->en.kv);
	env->a = t_account(env->s, 1);
	env->m[0] = t_box(env->a, "INBOX");
	env->m[1] = t_box(env->a, "Sent");
}

static void close_all(struct env *env)
{
	store_mailbox_close(&env->m[0]);
	store_mailbox_close(&env->m[1]);
	store_account_close(&env->a);
	store_close(&env->s);
}

/* A few syllables and rarely something longer, so that words share pieces. */
static void make_words(struct env *env)
{
	static const char *const part[] = { "ba",
					    "ne",
					    "to",
					    "rik",
					    "u",
					    "los",
					    "m\xc3\xbc",
					    "\xc3\x9f",
					    "7",
					    "tion",
					    "\xd0\xb6\xd0\xb0",
					    "\xe6\xbc\xa2",
					    "\xe3\x82\xab",
					    "x" };

	for (size_t i = 0; i < WORDS; i++) {
		unsigned n = 1 + rng_below(&env->rng, 4);

		for (char *p = env->word[i]; n; n--) {
			const char *s = part[rng_below(&env->rng, ARRAY_LEN(part))];

			strcpy(p, s);
			p += strlen(s);
		}
	}
}

static int setup(void **state)
{
	struct env *env = xcalloc(1, sizeof(*env));
	const char *seed = getenv("TEXT_SEED");

	co_enter();
	env->rng.x = (seed ? strtoull(seed, NULL, 0) : rand_u64()) | 1;
	print_message("TEXT_SEED=%llu\n", (unsigned long long)env->rng.x);
	make_words(env);
	t_engine_new(&env->en);
	env->s = t_store(env->en.kv);
	assert_int_equal(store_account_create(env->s, 1, 0, 0, &env->e), 0);
	store_close(&env->s);
	open_all(env);
	*state = env;
	return 0;
}

static int teardown(void **state)
{
	struct env *env = *state;

	t_check(env->s);
	close_all(env);
	t_engine_free(&env->en);
	free(env);
	return 0;
}

/* ---- mail ----------------------------------------------------------------- */

static void add_words(struct env *env, struct buf *b, unsigned n)
{
	static const char *const between[] = { " ", " ", " ", "\r\n",	     ", ",
					       ".", "-", "",  "\xe2\x80\x94" };

	for (; n; n--) {
		/* Some words are common, most are rare. */
		uint32_t top = 1 + rng_below(&env->rng, WORDS);

		buf_adds(b, env->word[rng_below(&env->rng, top)]);
		buf_adds(b, between[rng_below(&env->rng, ARRAY_LEN(between))]);
		if (rng_below(&env->rng, 60) == 0) {
			for (unsigned k = 0; k < 40 + rng_below(&env->rng, 90); k++) {
				buf_addc(b, (char)('a' + rng_below(&env->rng, 4)));
			}
		}
	}
}

static void add_encoded(struct buf *b, struct slice text, bool base64)
{
	if (base64) {
		base64_encode(b, text);
	} else {
		for (size_t i = 0; i < text.n; i++) {
			unsigned char ch = (unsigned char)text.p[i];

			if (ch == '=' || ch >= 0x80) {
				buf_printf(b, "=%02X", ch);
			} else {
				buf_addc(b, (char)ch);
			}
			if (i % 60 == 59 && ch != '\r') {
				buf_adds(b, "=\r\n");
			}
		}
	}
}

static void add_part(struct env *env, struct buf *b, unsigned depth);

static void add_leaf(struct env *env, struct buf *b)
{
	struct buf text = BUF_INIT(1 << 20);
	unsigned how = rng_below(&env->rng, 5);
	bool html = rng_below(&env->rng, 4) == 0;

	add_words(env, &text, 1 + rng_below(&env->rng, 60));
	if (html) {
		struct buf h = BUF_INIT(1 << 20);

		buf_adds(&h, "<p>");
		buf_add(&h, buf_slice(&text));
		buf_adds(&h, "<b>");
		add_words(env, &h, 3);
		buf_adds(&h, "</b>&uuml;x<style>zzstyle</style><br>tail");
		buf_fini(&text);
		text = h;
	}
	if (how == 4) {
		buf_adds(b, "Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n");
		add_encoded(b, buf_slice(&text), true);
	} else {
		buf_printf(b, "Content-Type: text/%s; charset=utf-8\r\n", html ? "html" : "plain");
		if (how < 2) {
			buf_printf(b, "Content-Transfer-Encoding: %s\r\n",
				   how ? "base64" : "quoted-printable");
		}
		buf_adds(b, "\r\n");
		if (how < 2) {
			add_encoded(b, buf_slice(&text), how);
		} else {
			buf_add(b, buf_slice(&text));
		}
	}
	buf_adds(b, "\r\n");
	buf_fini(&text);
}

static void add_header(struct env *env, struct buf *b)
{
	buf_adds(b, "Subject: ");
	if (rng_below(&env->rng, 3) == 0) {
		struct buf t = BUF_INIT(4096);

		add_words(env, &t, 3);
		buf_adds(b, "=?utf-8?b?");
		base64_encode(b, buf_slice(&t));
		buf_adds(b, "?=");
		buf_fini(&t);
	} else {
		buf_adds(b, env->word[rng_below(&env->rng, WORDS)]);
		buf_adds(b, "\r\n ");
		buf_adds(b, env->word[rng_below(&env->rng, WORDS)]);
	}
	buf_printf(b, "\r\nFrom: %s <%u@x.test>\r\n", env->word[rng_below(&env->rng, WORDS)],
		   rng_below(&env->rng, 100));
	if (rng_below(&env->rng, 2)) {
		buf_printf(b, "X-Mark: %s\r\n", env->word[rng_below(&env->rng, WORDS)]);
	}
}

static void add_part(struct env *env, struct buf *b, unsigned depth)
{
	unsigned how = rng_below(&env->rng, depth < 3 ? 4 : 2);

	if (how < 2) {
		add_leaf(env, b);
	} else if (how == 2) {
		buf_printf(b, "Content-Type: multipart/mixed; boundary=b%u\r\n\r\n", depth);
		for (unsigned n = 1 + rng_below(&env->rng, 3); n; n--) {
			buf_printf(b, "--b%u\r\n", depth);
			add_part(env, b, depth + 1);
		}
		buf_printf(b, "--b%u--\r\n", depth);
	} else {
		buf_adds(b, "Content-Type: message/rfc822\r\n\r\n");
		add_header(env, b);
		add_part(env, b, depth + 1);
	}
}

static void make_mail(struct env *env, struct buf *b)
{
	buf_reset(b);
	add_header(env, b);
	buf_adds(b, "MIME-Version: 1.0\r\n");
	add_part(env, b, 0);
}

/* ---- a scan ----------------------------------------------------------------- */

static void read_all(struct store_mailbox *m, uint32_t uid, struct buf *b)
{
	struct err e = ERR_INIT;
	ssize_t n;

	co_enter();
	buf_reset(b);
	do {
		char *p = buf_reserve(b, 16384);

		n = store_read(m, uid, b->n, p, 16384, &e);
		assert_true(n >= 0);
		buf_commit(b, (size_t)n);
	} while (n);
}

static bool part_has(const struct mime_part *p, struct slice raw, struct slice needle)
{
	struct mime_match *x = mime_match_new(p, needle);
	bool found = mime_match_feed(x, raw) || mime_match_end(x);

	mime_match_free(&x);
	return found;
}

static bool scan(struct store_mailbox *m, uint32_t uid, const struct store_text_query *q)
{
	struct buf raw = BUF_INIT(8 << 20);
	struct mime_text_piece t;
	const struct mime_part *at = NULL;
	struct mime_tree tree;
	struct arena a;
	bool found = false;

	arena_init(&a, MIME_TREE_MAX);
	read_all(m, uid, &raw);
	assert_int_equal(mime_parse(buf_slice(&raw), &a, &tree), 0);
	if (q->where != STORE_TEXT_BODY) {
		struct slice name = q->where == STORE_TEXT_FIELD ? q->field : S("");

		found = mime_header_match(slice_sub(buf_slice(&raw), 0, tree.root->header_len),
					  name, q->needle);
	}
	while (q->where != STORE_TEXT_FIELD && !found && mime_text_next(&tree, &at, &t)) {
		struct slice piece = slice_sub(slice_from(buf_slice(&raw), t.off), 0, t.len);

		found = t.part ? part_has(t.part, piece, q->needle)
			       : mime_header_match(piece, S(""), q->needle);
	}
	arena_fini(&a);
	buf_fini(&raw);
	return found;
}

/* ---- comparing ---------------------------------------------------------------- */

static unsigned n_covered, n_hits;

static bool is_covered(const struct store_text_hits *h, uint32_t uid)
{
	for (size_t i = 0; i < h->n_covered; i++) {
		if (uid >= h->covered[i].first && uid <= h->covered[i].last) {
			return true;
		}
	}
	return false;
}

static bool is_hit(const struct store_text_hits *h, uint32_t uid)
{
	for (size_t i = 0; i < h->n; i++) {
		if (h->uids[i] == uid) {
			return true;
		}
	}
	return false;
}

static void compare(struct env *env, struct store_mailbox *m, const struct store_text_query *q)
{
	struct store_text_hits h;
	struct arena a;

	co_enter();
	arena_init(&a, 8 << 20);
	assert_int_equal(store_text_find(m, q, &a, &h, &env->e), 0);
	for (size_t i = 1; i < h.n; i++) {
		assert_true(h.uids[i - 1] < h.uids[i]);
	}
	for (size_t i = 0; i < m->n; i++) {
		uint32_t uid = m->v[i].uid;

		if (m->v[i].gone_at || !is_covered(&h, uid)) {
			continue;
		}
		bool is = scan(m, uid, q), hit = is_hit(&h, uid);

		n_covered++;
		n_hits += hit;
		if (is != hit) {
			fail_msg("uid %u where %d needle '%.*s': scan says %d, index %d", uid,
				 (int)q->where, SLICE_ARG(q->needle), is, hit);
		}
	}
	arena_fini(&a);
}

static void random_needle(struct env *env, struct buf *out)
{
	struct buf b = BUF_INIT(8192);
	unsigned kind = rng_below(&env->rng, 4);

	if (kind == 0) {
		add_words(env, &b, 1 + rng_below(&env->rng, 2));
	} else if (kind == 1) { /* of a mail, its raw text or near it */
		make_mail(env, &b);
		buf_consume(&b, rng_below(&env->rng, (uint32_t)b.n));
		buf_truncate(&b, MIN(b.n, 60));
	} else {
		buf_adds(&b, env->word[rng_below(&env->rng, WORDS)]);
	}
	struct buf valid = BUF_INIT(32768);

	if (kind == 3 && b.n > 2) {
		buf_consume(&b, 1);
	}
	utf8_repair(&valid, buf_slice(&b));
	buf_reset(out);
	assert_int_equal(utf8_fold(out, buf_slice(&valid)), 0);
	buf_fini(&valid);
	buf_fini(&b);
}

static void compare_some(struct env *env, unsigned n)
{
	struct buf needle = BUF_INIT(1 << 20);
	static const char *const fields[] = { "Subject", "from", "X-MARK", "none" };

	for (; n; n--) {
		struct store_text_query q = { .where = rng_below(&env->rng, 3) };

		random_needle(env, &needle);
		if (needle.n == 0) {
			continue;
		}
		q.needle = buf_slice(&needle);
		q.field = slice_cstr(fields[rng_below(&env->rng, ARRAY_LEN(fields))]);
		compare(env, env->m[rng_below(&env->rng, 2)], &q);
	}
	buf_fini(&needle);
}

/* ---- steps --------------------------------------------------------------------- */

static size_t pick(struct env *env, struct store_mailbox *m, uint32_t *uids, size_t max)
{
	size_t n = 0;
	unsigned one_in = 1 + rng_below(&env->rng, 8);

	for (size_t i = 0; i < m->n && n < max; i++) {
		if (m->v[i].gone_at == 0 && rng_below(&env->rng, one_in) == 0) {
			uids[n++] = m->v[i].uid;
		}
	}
	return n;
}

static void arrive(struct env *env, unsigned n)
{
	struct buf b = BUF_INIT(4 << 20);
	struct store_mailbox *m = env->m[rng_below(&env->rng, 2)];

	for (; n; n--) {
		make_mail(env, &b);
		assert_int_equal(t_append(m, buf_cstr(&b), (struct store_flags){ 0 }, NULL), 0);
	}
	buf_fini(&b);
}

static void step(struct env *env)
{
	uint32_t uids[256], to[256];
	unsigned i = rng_below(&env->rng, 2);
	unsigned what = rng_below(&env->rng, 12);

	co_enter();
	if (what < 4) {
		arrive(env, 1 + rng_below(&env->rng, 12));
	} else if (what < 6) {
		bool move = what == 5;
		size_t n = pick(env, env->m[i], uids, move ? 256 : 20);

		assert_int_equal(store_copy(env->m[i], uids, n, env->m[!i], move, to, &env->e), 0);
	} else if (what == 6) {
		size_t n = pick(env, env->m[i], uids, 40), gone;

		assert_int_equal(store_expunge(env->m[i], uids, n, false, &gone, &env->e), 0);
	} else if (what < 11) {
		assert_int_equal(store_text_index(env->m[i], &env->e), 0);
	} else {
		close_all(env);
		t_engine_restart(&env->en);
		open_all(env);
	}
}

static unsigned steps_of(unsigned otherwise)
{
	const char *s = getenv("TEXT_STEPS");

	return s ? (unsigned)strtoul(s, NULL, 0) : otherwise;
}

static void test_random(void **state)
{
	struct env *env = *state;

	n_covered = n_hits = 0;
	for (unsigned n = steps_of(120); n; n--) {
		step(env);
		compare_some(env, 4);
	}
	print_message("%u answers, %u hits\n", n_covered, n_hits);
	assert_true(n_covered > 100 && n_hits > 20 && n_hits < n_covered);
}

/* ---- rows ------------------------------------------------------------------------- */

static int count_row(void *arg, struct slice key, struct slice value)
{
	(void)key;
	(void)value;
	++*(unsigned *)arg;
	return 0;
}

/* Of the index and of kept texts ("W", "V"), or of both. */
static unsigned rows_of(struct env *env, store_id box, struct slice from, struct slice to)
{
	unsigned n = 0;

	co_enter();
	kv_scan(env->en.kv, part_mailbox(1, box), from, to, count_row, &n);
	return n;
}

static unsigned index_rows(struct env *env, store_id box)
{
	return rows_of(env, box, S("V"), S("X"));
}

static unsigned kept_rows(struct env *env, store_id box)
{
	return rows_of(env, box, S("V"), S("W"));
}

/* ---- whole stories ---------------------------------------------------------------- */

static struct store_text_hits find(struct env *env, struct arena *a, enum store_text_where where,
				   const char *needle, bool fuzzy)
{
	struct store_text_query q = { where, S("subject"), slice_cstr(needle), fuzzy };
	struct store_text_hits h;

	co_enter();
	assert_int_equal(store_text_find(env->m[0], &q, a, &h, &env->e), 0);
	return h;
}

static void mail(struct env *env, const char *subject, const char *body)
{
	char text[512];

	snprintf(text, sizeof(text), "Subject: %s\r\n\r\n%s\r\n", subject, body);
	assert_int_equal(t_append(env->m[0], text, (struct store_flags){ 0 }, NULL), 0);
}

static void test_find(void **state)
{
	struct env *env = *state;
	struct store_text_hits h;
	struct arena a;

	co_enter();
	arena_init(&a, 1 << 20);
	h = find(env, &a, STORE_TEXT_BODY, "apple", false);
	assert_int_equal(h.n_covered, 0);
	mail(env, "fruit", "Apple pie, applesauce");
	mail(env, "apple", "pear");
	mail(env, "x", "pear apple crumble");
	assert_int_equal(store_text_index(env->m[0], &env->e), 0);
	h = find(env, &a, STORE_TEXT_BODY, "apple", false);
	assert_int_equal(h.n_covered, 1);
	assert_int_equal(h.covered[0].first, 1);
	assert_int_equal(h.covered[0].last, 3);
	assert_int_equal(h.n, 2);
	assert_int_equal(h.uids[1], 3);
	h = find(env, &a, STORE_TEXT_ALL, "apple", false);
	assert_int_equal(h.n, 3);
	h = find(env, &a, STORE_TEXT_BODY, "ple crum", false);
	assert_int_equal(h.n_covered, 1);
	assert_int_equal(h.n, 1);
	h = find(env, &a, STORE_TEXT_FIELD, "appl", false);
	assert_int_equal(h.n, 1);
	assert_int_equal(h.uids[0], 2);
	h = find(env, &a, STORE_TEXT_BODY, "absent", false);
	assert_int_equal(h.n_covered, 1);
	assert_int_equal(h.n, 0);
	h = find(env, &a, STORE_TEXT_BODY, " - ", false);
	assert_int_equal(h.n_covered, 1);
	assert_int_equal(h.n, 0);
	h = find(env, &a, STORE_TEXT_BODY, ", ", false);
	assert_int_equal(h.n_covered, 1);
	assert_int_equal(h.n, 1);
	h = find(env, &a, STORE_TEXT_BODY, "crumbl aple", true);
	assert_int_equal(h.n, 1);
	assert_int_equal(h.uids[0], 3);
	arena_fini(&a);
}

/* Many small segments become few; what is gone goes. */
static void test_merge(void **state)
{
	struct env *env = *state;
	struct manifest mf;
	struct arena a;
	uint32_t uids[200];

	co_enter();
	arena_init(&a, 1 << 20);
	for (unsigned i = 0; i < 200; i++) {
		mail(env, "s", i % 50 ? "common" : "common rarity");
		uids[i] = i + 1;
		assert_int_equal(store_text_index(env->m[0], &env->e), 0);
	}
	assert_int_equal(index_load(env->m[0], &mf, &env->e), 0);
	assert_true(mf.n > 1 && mf.n <= 2 * INDEX_FANOUT);
	manifest_free(&mf);
	assert_int_equal(find(env, &a, STORE_TEXT_BODY, "rarity", false).n, 4);
	assert_int_equal(find(env, &a, STORE_TEXT_BODY, "ommon", false).n, 200);
	assert_int_equal(find(env, &a, STORE_TEXT_BODY, "on rar", false).n, 4);
	assert_int_equal(kept_rows(env, 1), 200 / KEPT_UIDS + 1);
	assert_int_equal(store_expunge(env->m[0], uids, 150, false, NULL, &env->e), 0);
	assert_int_equal(store_text_index(env->m[0], &env->e), 0);
	assert_int_equal(find(env, &a, STORE_TEXT_BODY, "ommon", false).n, 50);
	assert_int_equal(find(env, &a, STORE_TEXT_BODY, "on rar", false).n, 1);
	assert_int_equal(kept_rows(env, 1), 200 / KEPT_UIDS + 1 - 150 / KEPT_UIDS);
	assert_int_equal(store_expunge(env->m[0], NULL, 0, false, NULL, &env->e), 0);
	assert_int_equal(store_text_index(env->m[0], &env->e), 0);
	assert_int_equal(index_load(env->m[0], &mf, &env->e), 0);
	assert_int_equal(mf.n, 0);
	assert_int_equal(kept_rows(env, 1), 0);
	manifest_free(&mf);
	arena_fini(&a);
}

/* Deleting a mailbox takes its index along. */
static void test_delete(void **state)
{
	struct env *env = *state;
	store_id id = env->m[1]->id;

	co_enter();
	assert_int_equal(t_append(env->m[1], T_MESSAGE, (struct store_flags){ 0 }, NULL), 0);
	assert_int_equal(store_text_index(env->m[1], &env->e), 0);
	assert_true(index_rows(env, id) > 3);
	assert_int_equal(store_mailbox_delete(env->a, S("Sent"), &env->e), 0);
	assert_int_equal(index_rows(env, id), 0);
	assert_int_equal(store_text_index(env->m[1], &env->e), 0);
	assert_int_equal(index_rows(env, id), 0);
	store_mailbox_close(&env->m[1]);
	env->m[1] = t_box(env->a, "Drafts");
}

/* What is too big for the index is left to the reader. */
static void test_too_big(void **state)
{
	struct env *env = *state;
	struct buf b = BUF_INIT(8 << 20);
	struct store_text_hits h;
	struct arena a;

	co_enter();
	arena_init(&a, 1 << 20);
	mail(env, "a", "needle");
	buf_adds(&b, "Subject: big\r\n\r\n");
	while (b.n < INDEX_TEXT_MAX + 1000) {
		buf_adds(&b, "some words of no interest\r\n");
	}
	buf_adds(&b, "needle\r\n");
	assert_int_equal(t_append(env->m[0], buf_cstr(&b), (struct store_flags){ 0 }, NULL), 0);
	buf_reset(&b);
	buf_adds(&b, "Subject: many\r\n\r\n");
	for (unsigned i = 0; i <= INDEX_TOKENS_MAX; i++) {
		buf_printf(&b, "%x ", i);
	}
	assert_int_equal(t_append(env->m[0], buf_cstr(&b), (struct store_flags){ 0 }, NULL), 0);
	mail(env, "b", "needle");
	assert_int_equal(store_text_index(env->m[0], &env->e), 0);
	h = find(env, &a, STORE_TEXT_BODY, "needle", false);
	assert_int_equal(h.n_covered, 2);
	assert_int_equal(h.covered[0].last, 1);
	assert_int_equal(h.covered[1].first, 4);
	assert_int_equal(h.n, 2);
	assert_int_equal(store_text_index(env->m[0], &env->e), 0); /* and not again */
	buf_fini(&b);
	arena_fini(&a);
}

/* ---- damage ------------------------------------------------------------------------- */

struct victim {
	unsigned at;
	struct buf key, value;
};

static int take_row(void *arg, struct slice key, struct slice value)
{
	struct victim *v = arg;

	if (v->at--) {
		return 0;
	}
	buf_add(&v->key, key);
	buf_add(&v->value, value);
	return 1;
}

/* Every row of the mailbox's index goes. */
static void lose_index(struct env *env, store_id box)
{
	struct kv_batch *b = kv_batch_new(part_mailbox(1, box));

	co_enter();
	kv_batch_del_range(b, rng_below(&env->rng, 2) ? S("V") : S("W"), S("X"));
	assert_int_equal(kv_commit(env->en.kv, &b, 1), 0);
	kv_batch_free(&b);
}

/* Any row lost or changed: still right, and whole again after indexing. */
static void test_damage(void **state)
{
	struct env *env = *state;
	unsigned rows;

	co_enter();
	arrive(env, 30);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(store_text_index(env->m[i], &env->e), 0);
	}
	rows = index_rows(env, 1);
	for (unsigned at = 0; at < 2 * rows; at++) {
		struct victim v = { at / 2, BUF_INIT(64), BUF_INIT(1 << 20) };
		struct kv_batch *b = kv_batch_new(part_mailbox(1, 1));

		if (kv_scan(env->en.kv, part_mailbox(1, 1), S("V"), S("X"), take_row, &v) == 1) {
			if (at % 2) {
				v.value.p[rng_below(&env->rng, (uint32_t)v.value.n)] ^= 0x10;
				kv_batch_put(b, buf_slice(&v.key), buf_slice(&v.value));
			} else {
				kv_batch_del(b, buf_slice(&v.key));
			}
			assert_int_equal(kv_commit(env->en.kv, &b, 1), 0);
		}
		kv_batch_free(&b);
		buf_fini(&v.key);
		buf_fini(&v.value);
		compare_some(env, 6);
		assert_int_equal(store_text_index(env->m[0], &env->e), 0);
		compare_some(env, 6);
	}
	/* A block that nobody asked for since may still be damaged; without
	 * any row all is made anew. */
	lose_index(env, 1);
	compare_some(env, 6);
	assert_int_equal(store_text_index(env->m[0], &env->e), 0);
	compare_some(env, 6);
}

/* ---- failures -------------------------------------------------------------------------- */

/*
 * Commits fail now and then, in the middle of segments and merges, as they
 * would at a crash: what was written so far does not count.
 */
static void test_failures(void **state)
{
	struct env *env = *state;
	struct kv *real = env->en.kv;
	struct tkv *t = tkv_open(real, rng_next(&env->rng));
	unsigned failed = 0;

	co_enter();
	close_all(env);
	env->en.kv = &t->kv;
	open_all(env);
	t->fail_with = KV_FULL;
	for (unsigned i = 0; i < 60; i++) {
		struct store_mailbox *m = env->m[i % 2];

		t->fail_one_in = 0;
		arrive(env, 1 + rng_below(&env->rng, 4));
		t->fail_one_in = 3;
		int r = store_text_index(m, &env->e);

		assert_true(r == 0 || r == STORE_FULL);
		failed += r != 0;
		compare_some(env, 2);
	}
	assert_true(failed > 5);
	t->fail_one_in = 0;
	assert_int_equal(store_text_index(env->m[0], &env->e), 0);
	assert_int_equal(store_text_index(env->m[1], &env->e), 0);
	compare_some(env, 10);
	close_all(env);
	env->en.kv = real;
	free(t);
	open_all(env);
}

/* ---- rubbish with a good sum ------------------------------------------------------------ */

static void test_rubbish(void **state)
{
	struct env *env = *state;

	for (unsigned i = 0; i < 30000; i++) {
		struct buf payload = BUF_INIT(256), row = BUF_INIT(256);
		struct doc docs[8];
		struct manifest mf;
		uint64_t bits[2];
		struct dict d;

		for (unsigned n = rng_below(&env->rng, 40); n; n--) {
			buf_put8(&payload, (uint8_t)rng_below(&env->rng, i % 2 ? 256 : 6));
		}
		sealed_put(buf_slice(&payload), &row);
		if (manifest_get(buf_slice(&row), &mf) == 0) {
			manifest_free(&mf);
		}
		docs_get(buf_slice(&row), docs, 8);
		postings_mark(buf_slice(&payload), bits, 128);
		if (dict_open(buf_slice(&row), &d) == 0) {
			while (dict_next(&d) == 1) {
				assert_true(dict_token(&d).n <= payload.n);
			}
		}
		buf_fini(&payload);
		buf_fini(&row);
	}
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = { T(test_random),   T(test_find),    T(test_merge),
					    T(test_delete),   T(test_too_big), T(test_damage),
					    T(test_failures), T(test_rubbish) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
