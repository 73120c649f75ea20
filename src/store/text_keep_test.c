/* Upkeep of kept texts: what is too long, pages that segments share, what is gone. */
#include "store/kept.h"
#include "store/test_util.h"

static void mail(struct t_house *env, const char *subject, const char *body)
{
	char text[512];

	snprintf(text, sizeof(text), "Subject: %s\r\n\r\n%s\r\n", subject, body);
	assert_int_equal(t_append(env->m, text, (struct store_flags){ 0 }, NULL), 0);
}

/* As SEARCH BODY. */
static struct store_text_hits find(struct t_house *env, struct arena *a, const char *needle)
{
	struct store_text_query q = { STORE_TEXT_BODY, S(""), slice_cstr(needle), false };
	struct store_text_hits h;

	co_enter();
	assert_int_equal(store_text_find(env->m, &q, a, &h, &env->e), 0);
	return h;
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
	kv_scan_prefix(env->en.kv, part_mailbox(1, env->m->id), S("V"), count_row, &n);
	return n;
}

/* Text that is indexed but too long to be kept is left to the reader where only
 * it could decide. */
static void test_not_kept(void **state)
{
	struct t_house *env = *state;
	struct buf b = BUF_INIT(8 << 20);
	struct store_text_hits h;

	co_enter();
	mail(env, "a", "one needle");
	buf_adds(&b, "Subject: long\r\n\r\n");
	while (b.n < KEPT_MAX) {
		buf_adds(&b, "words of no interest\r\n");
	}
	buf_adds(&b, "one needle\r\n");
	assert_int_equal(t_append(env->m, buf_cstr(&b), (struct store_flags){ 0 }, NULL), 0);
	mail(env, "b", "needle one");
	assert_int_equal(store_text_index(env->m, &env->e), 0);
	h = find(env, &env->arena, "needle");
	assert_int_equal(h.n_covered, 1);
	assert_int_equal(h.n, 3);
	h = find(env, &env->arena, "one needle");
	assert_int_equal(h.n_covered, 2);
	assert_int_equal(h.covered[0].last, 1);
	assert_int_equal(h.covered[1].first, 3);
	assert_int_equal(h.n, 1);
	/* It has none of these words, so it is known. */
	h = find(env, &env->arena, "absent needle");
	assert_int_equal(h.n_covered, 1);
	assert_int_equal(h.n, 0);
	buf_fini(&b);
}

/* Is every living message covered? */
static bool knows_all(struct t_house *env, struct arena *a, const char *phrase)
{
	struct store_text_hits h = find(env, a, phrase);
	size_t at = 0;

	for (size_t i = 0; i < env->m->n; i++) {
		uint32_t uid = env->m->v[i].uid;

		while (at < h.n_covered && h.covered[at].last < uid) {
			at++;
		}
		if (env->m->v[i].gone_at == 0 && (at == h.n_covered || h.covered[at].first > uid)) {
			return false;
		}
	}
	return true;
}

/* Pages are rewritten when most of their texts are gone, and a page that
 * segments share has the texts of both. */
static void test_kept_pages(void **state)
{
	struct t_house *env = *state;
	struct manifest mf;
	uint32_t uids[100];
	size_t n = 0;

	co_enter();
	for (unsigned i = 0; i < 100; i++) {
		mail(env, "s", "one two three");
		if (i % 7 == 0) {
			assert_int_equal(store_text_index(env->m, &env->e), 0);
		}
	}
	assert_int_equal(store_text_index(env->m, &env->e), 0);
	assert_int_equal(find(env, &env->arena, "e two t").n, 100);
	assert_true(knows_all(env, &env->arena, "e two t"));
	assert_int_equal(index_load(env->m, &mf, &env->e), 0);
	assert_true(manifest_bytes(&mf) > mf.v[0].bytes);
	manifest_free(&mf);
	for (unsigned i = 1; i <= 100; i++) {
		if (i % 4) {
			uids[n++] = i;
		}
	}
	assert_int_equal(store_expunge(env->m, uids, n, false, NULL, &env->e), 0);
	assert_int_equal(store_text_index(env->m, &env->e), 0);
	assert_int_equal(kept_rows(env), 100 / KEPT_UIDS + 1);
	assert_int_equal(find(env, &env->arena, "e two t").n, 25);
	assert_true(knows_all(env, &env->arena, "e two t"));
}

/* Pages of messages with as much text as is kept, hardly to be compressed. */
static void test_full_pages(void **state)
{
	struct t_house *env = *state;
	struct buf b = BUF_INIT(1 << 20);
	struct rng rng = { 11 };

	co_enter();
	for (unsigned i = 0; i < 2 * KEPT_UIDS + 3; i++) {
		buf_reset(&b);
		buf_adds(&b, "Subject: s\r\n\r\n");
		while (b.n < KEPT_MAX - 1024) {
			buf_printf(&b, "%08x%08x%s", rng_below(&rng, UINT32_MAX),
				   rng_below(&rng, UINT32_MAX), b.n % 1000 < 60 ? "\r\n" : "");
		}
		buf_adds(&b, "\r\nlast words\r\n");
		assert_int_equal(t_append(env->m, buf_cstr(&b), (struct store_flags){ 0 }, NULL),
				 0);
	}
	assert_int_equal(store_text_index(env->m, &env->e), 0);
	assert_int_equal(kept_rows(env), 3);
	assert_true(knows_all(env, &env->arena, "last words"));
	assert_int_equal(find(env, &env->arena, "last words").n, 2 * KEPT_UIDS + 3);
	assert_int_equal(find(env, &env->arena, "words last").n, 0);
	buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_not_kept, t_setup, t_teardown),
		cmocka_unit_test_setup_teardown(test_kept_pages, t_setup, t_teardown),
		cmocka_unit_test_setup_teardown(test_full_pages, t_setup, t_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
