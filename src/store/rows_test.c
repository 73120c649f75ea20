/* Rows: keys sort as numbers, values survive, damage is seen. */
#include "store/test_util.h"

static void test_keys(void **state)
{
	struct row_key a = key32('M', 0x01020304), b = key32('M', 255);
	struct row_key c = key64('B', 0x0102030405060708), d = key1('H');

	(void)state;
	assert_true(slice_eq(key_slice(&a), S("M\1\2\3\4")));
	assert_true(slice_cmp(key_slice(&b), key_slice(&a)) < 0);
	assert_true(slice_eq(key_slice(&c), S("B\1\2\3\4\5\6\7\x8")));
	assert_true(slice_eq(key_slice(&d), S("H")));
}

static struct msg sample(uint32_t uid)
{
	struct msg m = { .uid = uid,
			 .system = 31,
			 .zone = -690,
			 .size = UINT32_MAX,
			 .extra = 7,
			 .save_date = 1700000000,
			 .keywords = UINT64_MAX,
			 .modseq = UINT64_MAX - uid,
			 .internal_date = -5000000000 + uid };

	memset(m.blob.b, (int)uid, sizeof(m.blob.b));
	return m;
}

static void test_single(void **state)
{
	struct msg m = sample(77), r;
	struct buf b = BUF_INIT(4096);

	(void)state;
	m.internal_date = INT64_MIN;
	single_put(&m, &b);
	assert_int_equal(single_get(77, buf_slice(&b), &r), 0);
	assert_memory_equal(&m, &r, sizeof(m));
	for (size_t n = 0; n < b.n; n++) {
		assert_int_equal(single_get(77, slice_sub(buf_slice(&b), 0, n), &r), -EIO);
	}
	buf_addc(&b, 0);
	assert_int_equal(single_get(77, buf_slice(&b), &r), -EIO);
	b.p[0] = 2;
	assert_int_equal(single_get(77, buf_slice(&b), &r), -EPROTO);
	buf_fini(&b);
}

static void test_page(void **state)
{
	static struct msg m[PAGE_UIDS], r[PAGE_UIDS];
	struct buf flags = BUF_INIT(65536), fixed = BUF_INIT(65536);
	size_t n = 0;

	(void)state;
	for (uint32_t i = 0; i < PAGE_UIDS; i++) {
		m[i] = sample(5 * PAGE_UIDS + i);
		m[i].paged = true;
	}
	flags_page_put(m, PAGE_UIDS, 5, &flags);
	fixed_page_put(m, PAGE_UIDS, 5, &fixed);
	assert_int_equal(flags_page_get(5, buf_slice(&flags), r, &n), 0);
	assert_int_equal(n, PAGE_UIDS);
	assert_int_equal(fixed_page_get(5, buf_slice(&fixed), r, n), 0);
	assert_memory_equal(m, r, sizeof(m));
	/* One message less in one of them: they do not match. */
	assert_int_equal(fixed_page_get(5, buf_slice(&fixed), r, n - 1), -EIO);
	buf_reset(&fixed);
	fixed_page_put(m + 1, PAGE_UIDS - 1, 5, &fixed);
	assert_int_equal(fixed_page_get(5, buf_slice(&fixed), r, n), -EIO);
	/* A UID twice. */
	buf_add(&flags, slice_from(buf_slice(&flags), flags.n - 22));
	assert_int_equal(flags_page_get(5, buf_slice(&flags), r, &n), -EIO);
	/* A page that cannot be. */
	buf_reset(&flags);
	flags_page_put(m, 1, 5, &flags);
	assert_int_equal(flags_page_get(UINT32_MAX, buf_slice(&flags), r, &n), -EIO);
	buf_fini(&flags);
	buf_fini(&fixed);
}

static void test_small_when_alike(void **state)
{
	static struct msg m[PAGE_UIDS];
	struct buf flags = BUF_INIT(65536), fixed = BUF_INIT(65536);

	(void)state;
	for (uint32_t i = 0; i < PAGE_UIDS; i++) {
		m[i] = (struct msg){ .uid = i,
				     .modseq = 100000 + i,
				     .size = 20000,
				     .internal_date = 1700000000 + i,
				     .save_date = 1700000000 + i };
	}
	flags_page_put(m, PAGE_UIDS, 0, &flags);
	fixed_page_put(m, PAGE_UIDS, 0, &fixed);
	assert_true(flags.n < PAGE_UIDS * 8);
	assert_true(fixed.n < PAGE_UIDS * 28);
	buf_fini(&flags);
	buf_fini(&fixed);
}

static void test_vanished(void **state)
{
	struct vanished_row a = { .page = 1 }, b = { .page = 1 };
	struct buf out = BUF_INIT(4096);

	(void)state;
	for (unsigned i = 10; i < 90; i++) {
		a.modseq[i] = i < 50 ? 7 : 70000;
	}
	vanished_put(&a, &out);
	assert_int_equal(out.n, 1 + 3 + 5); /* runs, not messages */
	assert_int_equal(vanished_get(buf_slice(&out), &b), 0);
	assert_memory_equal(&a, &b, sizeof(a));
	assert_int_equal(vanished_get(S("\x01\x7f\x02\x01"), &b), -EIO);
	assert_int_equal(vanished_get(S(""), &b), -EIO);
	assert_int_equal(vanished_get(S("\x05"), &b), -EPROTO);
	buf_fini(&out);
}

static void test_keywords(void **state)
{
	struct slice names[STORE_KEYWORDS_MAX] = { S("$MDNSent"), S("x") };
	struct slice back[STORE_KEYWORDS_MAX];
	struct buf b = BUF_INIT(65536);
	size_t n = 0;

	(void)state;
	keywords_put(names, 2, &b);
	assert_int_equal(keywords_get(buf_slice(&b), back, &n), 0);
	assert_int_equal(n, 2);
	assert_true(slice_eq(back[0], names[0]));
	for (int i = 0; i < STORE_KEYWORDS_MAX; i++) {
		buf_vbytes(&b, S("y"));
	}
	assert_int_equal(keywords_get(buf_slice(&b), back, &n), -EIO);
	buf_fini(&b);
}

static void test_head(void **state)
{
	struct head_row a = { 10, 11, 12, 13, 14, { 1, 2, 3, 4, 5 } }, b;
	struct account_row x = { 1ull << 60, 2, 3, 4, true }, y;
	struct box_row p = { 5, 6, S("name") }, q;
	struct buf out = BUF_INIT(4096);

	(void)state;
	memset(&b, 0, sizeof(b));
	head_row_put(&a, &out);
	assert_int_equal(head_row_get(buf_slice(&out), &b), 0);
	assert_int_equal(b.uidnext, 10);
	assert_int_equal(b.vanished_floor, 14);
	assert_int_equal(b.paged.bytes, 5);
	buf_reset(&out);
	account_row_put(&x, &out);
	assert_int_equal(account_row_get(buf_slice(&out), &y), 0);
	assert_true(y.quota_bytes == x.quota_bytes && y.deleting);
	assert_int_equal(y.last_uidvalidity, 4);
	buf_reset(&out);
	box_row_put(&p, &out);
	assert_int_equal(box_row_get(buf_slice(&out), &q), 0);
	assert_true(slice_eq(q.name, S("name")));
	assert_int_equal(q.uses, 6);
	assert_int_equal(box_row_get(S("\x01\x01\x01"), &q), -EIO);
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys),	 cmocka_unit_test(test_single),
		cmocka_unit_test(test_page),	 cmocka_unit_test(test_small_when_alike),
		cmocka_unit_test(test_vanished), cmocka_unit_test(test_keywords),
		cmocka_unit_test(test_head),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
