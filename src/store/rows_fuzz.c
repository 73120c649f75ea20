/*
 * Row decoders against any bytes: the first byte says which row, the rest is
 * its value. What decodes must encode to something that decodes to the same.
 */
#include <stdlib.h>

#include "store/impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void fuzz_page(struct slice v)
{
	struct msg *m = calloc(2 * PAGE_UIDS, sizeof(*m));
	struct slice flags = v, fixed;
	struct buf out = BUF_INIT(1 << 20);
	size_t k = 0, again = 0;

	assert(m);
	fixed = slice_from(v, v.n / 2);
	flags.n = v.n / 2;
	(void)fixed_page_blobs(3, fixed, m);
	if (flags_page_get(3, flags, m, &k) == 0 && fixed_page_get(3, fixed, m, k) == 0) {
		flags_page_put(m, k, 3, &out);
		assert(flags_page_get(3, buf_slice(&out), m + PAGE_UIDS, &again) == 0);
		buf_reset(&out);
		fixed_page_put(m, k, 3, &out);
		assert(fixed_page_get(3, buf_slice(&out), m + PAGE_UIDS, again) == 0);
		assert(again == k && memcmp(m, m + PAGE_UIDS, k * sizeof(*m)) == 0);
	}
	buf_fini(&out);
	free(m);
}

static void fuzz_single(struct slice v)
{
	struct msg a, b;
	struct buf out = BUF_INIT(4096);

	if (single_get(9, v, &a) == 0) {
		single_put(&a, &out);
		assert(single_get(9, buf_slice(&out), &b) == 0);
		assert(memcmp(&a, &b, sizeof(a)) == 0);
	}
	buf_fini(&out);
}

static void fuzz_vanished(struct slice v)
{
	struct vanished_row a = { 0 }, b = { 0 };
	struct buf out = BUF_INIT(16384);

	if (vanished_get(v, &a) == 0) {
		vanished_put(&a, &out);
		assert(vanished_get(buf_slice(&out), &b) == 0);
		assert(memcmp(&a, &b, sizeof(a)) == 0);
	}
	buf_fini(&out);
}

static void fuzz_head(struct slice v)
{
	struct head_row a = { 0 }, b = { 0 };
	struct buf out = BUF_INIT(4096);

	if (head_row_get(v, &a) == 0) {
		head_row_put(&a, &out);
		assert(head_row_get(buf_slice(&out), &b) == 0);
		assert(memcmp(&a, &b, sizeof(a)) == 0);
	}
	buf_fini(&out);
}

static void fuzz_keywords(struct slice v)
{
	struct slice names[STORE_KEYWORDS_MAX], same[STORE_KEYWORDS_MAX];
	struct buf out = BUF_INIT(65536);
	size_t n = 0, again = 0;

	if (keywords_get(v, names, &n) == 0) {
		keywords_put(names, n, &out);
		assert(keywords_get(buf_slice(&out), same, &again) == 0);
		assert(n == again);
		for (size_t i = 0; i < n; i++) {
			assert(slice_eq(names[i], same[i]));
		}
	}
	buf_fini(&out);
}

static void fuzz_account(struct slice v)
{
	struct account_row a = { 0 };
	struct box_row b = { 0 };

	if (account_row_get(v, &a) == 0) {
		assert(v.n >= 6);
	}
	if (box_row_get(v, &b) == 0) {
		assert(b.name.n > 0 && b.name.n <= STORE_NAME_MAX);
	}
}

static void fuzz_acl(struct slice v)
{
	static struct store_acl_entry a[STORE_ACL_MAX], b[STORE_ACL_MAX];
	struct buf out = BUF_INIT(65536);
	size_t n = 0, again = 0;

	if (acl_row_get(v, a, &n) == 0) {
		acl_row_put(a, n, &out);
		assert(acl_row_get(buf_slice(&out), b, &again) == 0);
		assert(n == again);
		for (size_t i = 0; i < n; i++) {
			assert(a[i].who == b[i].who && a[i].negative == b[i].negative &&
			       a[i].rights == b[i].rights);
		}
	}
	buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static void (*const row[])(struct slice) = {
		fuzz_page, fuzz_single,	 fuzz_vanished, fuzz_keywords,
		fuzz_head, fuzz_account, fuzz_acl,
	};

	if (n) {
		row[data[0] % ARRAY_LEN(row)](slice_make((const char *)data + 1, n - 1));
	}
	return 0;
}
