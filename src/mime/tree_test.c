/*
 * Tests of tree.c: a tree comes back as it went, damaged bytes never do harm,
 * and sections are numbered as RFC 3501 6.4.5 shows.
 */
#include <errno.h>

#include "mime/test_util.h"

/* The example of RFC 3501 6.4.5. */
static const char example[] =
	"Subject: all\r\nContent-Type: multipart/mixed; boundary=a\r\n\r\n"
	"--a\r\nContent-Type: text/plain; charset=x; format=\"\"\r\n\r\n1\r\n"
	"--a\r\nContent-Type: application/octet-stream\r\n"
	"Content-Disposition: attachment; filename*=utf-8''%e2%82%ac\r\n"
	"Content-Language: en, fr\r\n\r\n2\r\n"
	"--a\r\nContent-Type: message/rfc822\r\n\r\n"
	"From: g: x <@r,@s:y@z>, u;, (c) q@w\r\nSubject: three\r\n"
	"Date: Wed, 17 Jul 1996 02:23:25 -0700\r\n"
	"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
	"--b\r\n\r\n3.1\r\n--b\r\nContent-Type: application/x\r\n\r\n3.2\r\n--b--\r\n"
	"--a\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n"
	"--c\r\nContent-Type: image/gif\r\n\r\n4.1\r\n"
	"--c\r\nContent-Type: message/rfc822\r\n\r\nSubject: 4.2\r\n"
	"Content-Type: multipart/mixed; boundary=d\r\n\r\n"
	"--d\r\n\r\n4.2.1\r\n--d\r\nContent-Type: multipart/alternative; boundary=e\r\n"
	"\r\n--e\r\n\r\n4.2.2.1\r\n--e\r\nContent-Type: text/richtext\r\n\r\n4.2.2.2"
	"\r\n--e--\r\n--d--\r\n--c--\r\n--a--\r\n";

static void encode_of(struct slice msg, struct buf *out)
{
	struct mime_tree t;
	struct arena a;

	arena_init(&a, MIME_TREE_MAX);
	assert_int_equal(mime_parse(msg, &a, &t), 0);
	mime_tree_encode(&t, out);
	assert_int_equal(out->err, 0);
	arena_fini(&a);
}

static void test_round_trip(void **state)
{
	struct buf one = BUF_INIT(TEST_MAX);
	struct buf two = BUF_INIT(TEST_MAX);
	struct mime_tree t;
	struct arena a;
	const struct mime_addr *ad;

	(void)state;
	encode_of(slice_cstr(example), &one);
	arena_init(&a, MIME_TREE_MAX);
	assert_int_equal(mime_tree_decode(buf_slice(&one), &a, &t), 0);
	mime_tree_encode(&t, &two);
	assert_true(slice_eq(buf_slice(&one), buf_slice(&two)));
	assert_int_equal(t.n_parts, 15);
	assert_int_equal(t.size, sizeof(example) - 1);
	assert_slice(t.root->envelope->subject, "all");
	ad = t.root->children->next->next->children->envelope->from;
	assert_slice(ad->mailbox, "g");
	assert_null(ad->host.p);
	assert_slice(ad->next->route, "@r,@s");
	assert_slice(ad->next->next->mailbox, "u");
	assert_non_null(ad->next->next->host.p);
	assert_int_equal(ad->next->next->host.n, 0);
	assert_null(ad->next->next->next->mailbox.p);
	assert_slice(ad->next->next->next->next->name, "c");
	assert_slice(t.root->children->next->disposition_params->value, "\xe2\x82\xac");
	assert_slice(t.root->children->next->languages[1], "fr");
	buf_fini(&one);
	buf_fini(&two);
	arena_fini(&a);
}

static void test_version_and_cuts(void **state)
{
	struct buf one = BUF_INIT(TEST_MAX);
	struct mime_tree t;
	struct arena a;

	(void)state;
	encode_of(slice_cstr(example), &one);
	arena_init(&a, MIME_TREE_MAX);
	for (size_t n = 0; n < one.n; n++) {
		/* Exactly as long, so that reading on would be seen. */
		char *copy = malloc(n ? n : 1);

		assert_non_null(copy);
		memcpy(copy, one.p, n);
		assert_int_equal(mime_tree_decode(slice_make(copy, n), &a, &t), -EINVAL);
		free(copy);
	}
	buf_addc(&one, 0);
	assert_int_equal(mime_tree_decode(buf_slice(&one), &a, &t), -EINVAL);
	one.p[0] = 2;
	assert_int_equal(mime_tree_decode(buf_slice(&one), &a, &t), -EPROTO);
	buf_fini(&one);
	arena_fini(&a);
}

static void check_inside(const struct mime_tree *t)
{
	const struct mime_part *p = t->root;
	uint32_t n = 0;

	while (p) {
		assert_true(p->body_off + p->body_len <= t->size);
		assert_true((p->kind == MIME_LEAF) == !p->children);
		n++;
		if (p->children) {
			p = p->children;
			continue;
		}
		while (p && !p->next) {
			p = p->parent;
		}
		p = p ? p->next : NULL;
	}
	assert_int_equal(n, t->n_parts);
}

/* Every byte changed in turn: refused, or a tree that is sound. */
static void test_damage(void **state)
{
	struct buf one = BUF_INIT(TEST_MAX);
	unsigned sound = 0, refused = 0;

	(void)state;
	encode_of(slice_cstr(example), &one);
	for (size_t i = 1; i < one.n; i++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			struct mime_tree t;
			struct arena a;

			arena_init(&a, MIME_TREE_MAX);
			one.p[i] = (char)(one.p[i] ^ (1 << bit));
			if (mime_tree_decode(buf_slice(&one), &a, &t) == 0) {
				check_inside(&t);
				sound++;
			} else {
				refused++;
			}
			one.p[i] = (char)(one.p[i] ^ (1 << bit));
			arena_fini(&a);
		}
	}
	assert_true(sound > 100 && refused > 100);
	buf_fini(&one);
}

static void test_sections(void **state)
{
	static const struct {
		uint32_t numbers[5];
		size_t n;
		const char *type; /* NULL: none */
	} cases[] = {
		{ { 0 }, 0, "mixed" },
		{ { 1 }, 1, "plain" },
		{ { 1, 1 }, 2, NULL },
		{ { 2 }, 1, "octet-stream" },
		{ { 3 }, 1, "rfc822" },
		{ { 3, 1 }, 2, "plain" },
		{ { 3, 2 }, 2, "x" },
		{ { 3, 3 }, 2, NULL },
		{ { 4 }, 1, "mixed" },
		{ { 4, 1 }, 2, "gif" },
		{ { 4, 1, 1 }, 3, NULL },
		{ { 4, 2 }, 2, "rfc822" },
		{ { 4, 2, 1 }, 3, "plain" },
		{ { 4, 2, 2 }, 3, "alternative" },
		{ { 4, 2, 2, 1 }, 4, "plain" },
		{ { 4, 2, 2, 2 }, 4, "richtext" },
		{ { 4, 2, 2, 3 }, 4, NULL },
		{ { 5 }, 1, NULL },
		{ { 0 }, 1, NULL },
		{ { 4, 2, 0 }, 3, NULL },
	};
	struct mime_tree t;
	struct arena a;

	(void)state;
	arena_init(&a, MIME_TREE_MAX);
	assert_int_equal(mime_parse(slice_cstr(example), &a, &t), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct mime_part *p = mime_part_find(&t, cases[i].numbers, cases[i].n);

		assert_true(!p == !cases[i].type);
		if (p) {
			assert_true(slice_eq(p->subtype, slice_cstr(cases[i].type)));
		}
	}
	arena_fini(&a);
}

static void test_sections_of_simple(void **state)
{
	const uint32_t one[] = { 1, 1 };
	const uint32_t two[] = { 2 };
	struct mime_tree t;
	struct arena a;

	(void)state;
	arena_init(&a, MIME_TREE_MAX);
	assert_int_equal(mime_parse(S("A: b\n\nx"), &a, &t), 0);
	assert_ptr_equal(mime_part_find(&t, one, 1), t.root);
	assert_null(mime_part_find(&t, one, 2));
	assert_null(mime_part_find(&t, two, 1));
	assert_int_equal(mime_parse(S("Content-Type: message/rfc822\n\nA: b\n\nx"), &a, &t), 0);
	assert_ptr_equal(mime_part_find(&t, one, 1), t.root);
	assert_ptr_equal(mime_part_find(&t, one, 2), t.root->children);
	arena_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_version_and_cuts),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_sections),
		cmocka_unit_test(test_sections_of_simple),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
