/* Pages of kept texts: that a kept header says what the header says, that rows
 * come back as they were, and that damage is seen. */
#include <zstd.h>

#include "mime/text.h"
#include "store/kept.h"
#include "store/test_util.h"

static void keep(const char *header, struct buf *out)
{
	struct buf text = BUF_INIT(1 << 16), scratch = BUF_INIT(1 << 16);
	struct slice rest = slice_cstr(header);
	struct mime_field f;

	while (mime_field_next(&rest, &f)) {
		buf_reset(&text);
		mime_header_text(f.raw, &text);
		assert_true(kept_field(&f, buf_slice(&text), &scratch, out));
	}
	buf_fini(&text);
	buf_fini(&scratch);
}

static void agree(const char *header, const char *name, const char *needle)
{
	struct buf kept = BUF_INIT(1 << 16);

	keep(header, &kept);
	struct kept_doc d = { { S(""), buf_slice(&kept) }, KEPT_BOTH };
	struct store_text_query q = { STORE_TEXT_FIELD, slice_cstr(name), slice_cstr(needle),
				      false };

	if (kept_match(&d, &q) != mime_header_match(slice_cstr(header), q.field, q.needle)) {
		fail_msg("field %s of '%s': '%s'", name, header, needle);
	}
	q.where = STORE_TEXT_ALL;
	if (kept_match(&d, &q) != mime_header_match(slice_cstr(header), S(""), q.needle)) {
		fail_msg("text of '%s': '%s'", header, needle);
	}
	buf_fini(&kept);
}

/* Names and bodies that read otherwise alone than in their line, too. */
static void test_headers(void **state)
{
	static const char *const headers[] = {
		"A: b c\r\nSubject: d\r\n e\r\n",
		"a : b\r\nA:b\r\n: c\r\nnameless line: a: b\r\n",
		"=?utf-8?q?A?=: b\r\nSubject:=?utf-8?q?d_e?=\r\n",
		"A:=?utf-8?q?_b?= =?utf-8?q?_c_?=\r\nA: \xe9 b\r\n\xe9: b\r\n",
		"Subject: a: b\r\nSubject: =?utf-8?q?A=0D=0A_b?=\r\n",
		"A:\r\nA: \r\n\tb\t\r\nSubject:\r\n",
		"no colon\r\n at: all\r\nA\t: b c\r\n",
	};
	static const char *const names[] = {
		"A", "a", "Subject", "=?utf-8?q?A?=", "\xe9", "nameless line", "at"
	};
	static const char *const needles[] = { "b", "b c",  "d e", "a",	   "a: b",    "a:",
					       ":", "a :b", "d",   "line", "\xc3\xa9" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
		for (size_t k = 0; k < ARRAY_LEN(names) * ARRAY_LEN(needles); k++) {
			agree(headers[i], names[k % ARRAY_LEN(names)],
			      needles[k / ARRAY_LEN(names)]);
		}
	}
}

/* Our own marks cannot be in a name. */
static void test_marks(void **state)
{
	static const char *const bad[] = { "a\xff: b\r\n", "\xfe: b\r\n" };
	struct buf scratch = BUF_INIT(4096), out = BUF_INIT(4096);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct slice rest = slice_cstr(bad[i]);
		struct mime_field f;

		assert_true(mime_field_next(&rest, &f));
		assert_false(kept_field(&f, S("x: b"), &scratch, &out));
	}
	buf_fini(&scratch);
	buf_fini(&out);
}

static void test_pieces(void **state)
{
	struct kept_doc d = { { S("one two\xffthree\xff"), S("a: four\xff") }, KEPT_BOTH };
	struct store_text_query q = { STORE_TEXT_BODY, S("a"), S("two"), false };

	(void)state;
	assert_true(kept_match(&d, &q));
	q.needle = S("twothree");
	assert_false(kept_match(&d, &q));
	q.needle = S("four");
	assert_false(kept_match(&d, &q));
	q.where = STORE_TEXT_ALL;
	assert_true(kept_match(&d, &q));
	q.where = STORE_TEXT_FIELD;
	assert_true(kept_match(&d, &q));
	q.needle = S("a: four");
	assert_false(kept_match(&d, &q));
	q.needle = S("two");
	assert_false(kept_match(&d, &q));
}

static void make_row(struct kept_page *p)
{
	struct buf scratch = BUF_INIT(KEPT_PAGE_MAX);
	ZSTD_CCtx *z = ZSTD_createCCtx();
	struct kept_doc doc[KEPT_UIDS] = {
		[0] = { { S("body"), S("header") }, KEPT_BOTH },
		[3] = { { S("not whole"), S("") }, 1u << ZONE_BODY },
		[15] = { { S(""), S("") }, KEPT_BOTH },
	};

	assert_int_equal(kept_row(doc, z, &scratch, &p->row), 0);
	assert_int_equal(kept_count(buf_slice(&p->row)), 2);
	ZSTD_freeCCtx(z);
	buf_fini(&scratch);
}

static void test_rows(void **state)
{
	struct kept_page p;

	(void)state;
	kept_init(&p);
	make_row(&p);
	assert_int_equal(kept_parse(&p, 7, KEPT_BOTH), 0);
	assert_true(p.loaded);
	assert_int_equal(p.doc[0].have, KEPT_BOTH);
	assert_true(slice_eq(p.doc[0].text[ZONE_BODY], S("body")));
	assert_true(slice_eq(p.doc[0].text[ZONE_HEADER], S("header")));
	assert_int_equal(p.doc[3].have, 0);
	assert_int_equal(p.doc[15].have, KEPT_BOTH);
	assert_int_equal(kept_parse(&p, 7, 1u << ZONE_HEADER), 0);
	assert_int_equal(p.doc[0].have, 1u << ZONE_HEADER);
	kept_none(&p, 8);
	assert_true(p.loaded && p.page == 8 && p.doc[0].have == 0);
	kept_fini(&p);
}

static void test_damage(void **state)
{
	struct kept_page p;

	(void)state;
	kept_init(&p);
	make_row(&p);
	for (size_t i = 0; i < p.row.n; i++) {
		p.row.p[i] ^= 0x20;
		assert_int_equal(kept_parse(&p, 7, KEPT_BOTH), -EIO);
		assert_true(!p.loaded && p.doc[0].have == 0);
		p.row.p[i] ^= 0x20;
	}
	assert_int_equal(kept_parse(&p, 7, KEPT_BOTH), 0);
	while (p.row.n) {
		p.row.n--;
		assert_int_equal(kept_parse(&p, 7, KEPT_BOTH), -EIO);
	}
	assert_int_equal(kept_count(buf_slice(&p.row)), 0);
	kept_fini(&p);
}

/* A sum that holds, and a size that would be too much. */
static void test_claims(void **state)
{
	struct buf payload = BUF_INIT(4096);
	struct kept_page p;

	(void)state;
	kept_init(&p);
	buf_put8(&payload, 1);
	buf_varint(&payload, UINT64_C(1) << 40);
	buf_varint(&payload, 0);
	buf_vbytes(&payload, S("x"));
	sealed_put(buf_slice(&payload), &p.row);
	assert_int_equal(kept_parse(&p, 7, KEPT_BOTH), -EIO);
	assert_true(p.raw[ZONE_BODY].cap < 1 << 20);
	kept_fini(&p);
	buf_fini(&payload);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_headers), cmocka_unit_test(test_marks),
		cmocka_unit_test(test_pieces),	cmocka_unit_test(test_rows),
		cmocka_unit_test(test_damage),	cmocka_unit_test(test_claims),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
