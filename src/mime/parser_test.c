/*
 * Tests of parser.c: the tree of well-formed and of damaged messages, the
 * same for every way to cut them, and hostile sizes within limits.
 */
#include "mime/test_util.h"

static void check_pieces(struct slice msg, size_t piece, const char *want)
{
	struct buf out = BUF_INIT(1 << 20);
	struct mime_parser *p;
	struct mime_tree t;
	struct arena a;

	arena_init(&a, MIME_TREE_MAX);
	p = mime_parser_new(&a);
	assert_non_null(p);
	for (size_t at = 0; at < msg.n; at += piece) {
		mime_parser_feed(p, slice_sub(msg, at, piece));
	}
	assert_int_equal(mime_parser_finish(p, &t), 0);
	mime_parser_free(&p);
	assert_null(p);
	dump_tree(&t, &out);
	assert_string_equal(buf_cstr(&out), want);
	buf_fini(&out);
	arena_fini(&a);
}

static const struct {
	const char *msg;
	const char *tree;
} trees[] = {
	{ "", "text/plain 0+0 0+0 0,0\n" },
	{ "\r\n", "text/plain 0+2 2+0 1,0\n" },
	{ "\n", "text/plain 0+1 1+0 1,0\n" },
	{ "Subject: x", "text/plain 0+10 10+0 0,0\n" },
	{ "Subject: x\r\n", "text/plain 0+12 12+0 1,0\n" },
	{ "A: b\r\n\r\nbody", "text/plain 0+8 8+4 2,0\n" },
	{ "A: b\n\nbody\n\n", "text/plain 0+6 6+6 2,2\n" },
	{ "A: b\r\n \r\n\r\nx\r\n", "text/plain 0+11 11+3 3,1\n" },
	{ "Content-Type: Text/HTML; charset=x\r\n\r\n", "Text/HTML 0+38 38+0 2,0\n" },
	{ "Content-Type: nonsense\r\n\r\n", "text/plain 0+26 26+0 2,0\n" },
	/* The first field of a name counts. */
	{ "Content-Type: a/b\r\nContent-Type: c/d\r\n\r\n", "a/b 0+40 40+0 3,0\n" },
	/* Two parts, preamble, epilogue. */
	{ "Content-Type: multipart/mixed; boundary=x\r\n\r\n"
	  "pre\r\n--x\r\n\r\none\r\n--x\r\nA: b\r\n\r\ntwo\r\n\r\n--x--\r\nend\r\n",
	  "multipart/mixed 0+45 45+49 2,11\n"
	  " text/plain 55+2 57+3 1,0\n"
	  " text/plain 67+8 75+5 2,1\n" },
	/* LF only; blanks and text behind the boundary. */
	{ "Content-Type: multipart/mixed; boundary=\"x \"\n\n"
	  "--x \n\none\n--x junk\n\ntwo\n--x-- \n",
	  "multipart/mixed 0+46 46+31 2,7\n"
	  " text/plain 51+1 52+3 1,0\n"
	  " text/plain 65+1 66+3 1,0\n" },
	/* A part without a header's end, an empty one, an unclosed one. */
	{ "Content-Type: multipart/mixed; boundary=x\r\n\r\n"
	  "--x\r\nA: b\r\n--x\r\n--x\r\n\r\nlast\r\n",
	  "multipart/mixed 0+45 45+29 2,6\n"
	  " text/plain 50+6 56+0 1,0\n"
	  " text/plain 61+0 61+0 0,0\n"
	  " text/plain 66+2 68+6 1,1\n" },
	/* Delimiters without a final line end. */
	{ "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\na\r\n--x--",
	  "multipart/mixed 0+45 45+15 2,3\n"
	  " text/plain 50+2 52+1 1,0\n" },
	{ "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\na\r\n--x",
	  "multipart/mixed 0+45 45+13 2,3\n"
	  " text/plain 50+2 52+1 1,0\n"
	  " text/plain 58+0 58+0 0,0\n" },
	/* No boundary, an empty one, one that never comes. */
	{ "Content-Type: multipart/mixed\r\n\r\nx\r\n", "text/plain 0+33 33+3 2,1\n" },
	{ "Content-Type: multipart/mixed; boundary=\"\"\r\n\r\n--\r\n",
	  "text/plain 0+46 46+4 2,1\n" },
	{ "Content-Type: multipart/mixed; boundary=x\r\n\r\nhello\r\n",
	  "text/plain 0+45 45+7 2,1\n" },
	/* An inner multipart cut off by the outer delimiter. */
	{ "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n"
	  "Content-Type: multipart/alternative; boundary=y\r\n\r\n--y\r\n\r\none"
	  "\r\n--x\r\n\r\ntwo\r\n--x--\r\n",
	  "multipart/mixed 0+45 45+87 2,10\n"
	  " multipart/alternative 50+51 101+10 2,2\n"
	  "  text/plain 106+2 108+3 1,0\n"
	  " text/plain 118+2 120+3 1,0\n" },
	/* The inner part has a header only: its line end stays its own. */
	{ "Content-Type: multipart/mixed; boundary=x\n\n--x\n"
	  "Content-Type: multipart/mixed; boundary=y\n\n--y\nA: b\n--x--\n",
	  "multipart/mixed 0+43 43+62 2,6\n"
	  " multipart/mixed 47+43 90+9 2,2\n"
	  "  text/plain 94+5 99+0 1,0\n" },
	/* One boundary is the beginning of another: the longest wins. */
	{ "Content-Type: multipart/mixed; boundary=x\n\n--x\n"
	  "Content-Type: multipart/mixed; boundary=xy\n\n--xy\n\n1\n--xy--\n--x\n"
	  "\n2\n--x--\n",
	  "multipart/mixed 0+43 43+76 2,11\n"
	  " multipart/mixed 47+44 91+14 2,3\n"
	  "  text/plain 96+1 97+1 1,0\n"
	  " text/plain 110+1 111+1 1,0\n" },
	/* The same boundary inside: the innermost, until it is closed. */
	{ "Content-Type: multipart/mixed; boundary=x\n\n--x\n"
	  "Content-Type: multipart/digest; boundary=x\n\n--x--\n--x\n\n2\n--x--\n",
	  "multipart/mixed 0+43 43+67 2,8\n"
	  " text/plain 47+44 91+5 2,0\n"
	  " text/plain 101+1 102+1 1,0\n" },
	/* Closed is closed. */
	{ "Content-Type: multipart/mixed; boundary=x\n\n--x\n\n1\n--x--\n--x\n2\n",
	  "multipart/mixed 0+43 43+19 2,6\n"
	  " text/plain 47+1 48+1 1,0\n" },
	/* Messages inside, by name and in a digest. */
	{ "Content-Type: message/rfc822\n\nSubject: a\n\nhi\n", "message/rfc822 0+30 30+15 2,3\n"
								" text/plain 30+12 42+3 2,1\n" },
	{ "Content-Type: message/rfc822\n", "message/rfc822 0+29 29+0 1,0\n"
					    " text/plain 29+0 29+0 0,0\n" },
	{ "Content-Type: multipart/digest; boundary=x\n\n--x\n\nA: b\n\nhi\n--x\n"
	  "Content-Type: text/plain\n\nA: b\n--x--\n",
	  "multipart/digest 0+44 44+55 2,10\n"
	  " message/rfc822 48+1 49+8 1,2\n"
	  "  text/plain 49+6 55+2 2,0\n"
	  " text/plain 62+26 88+4 2,0\n" },
	/* A delimiter inside a message inside a part. */
	{ "Content-Type: multipart/mixed; boundary=x\n\n--x\n"
	  "Content-Type: message/rfc822\n\nSubject: a\n--x\n\nb\n",
	  "multipart/mixed 0+43 43+52 2,7\n"
	  " message/rfc822 47+30 77+11 2,1\n"
	  "  text/plain 77+11 88+0 1,0\n"
	  " text/plain 92+1 93+2 1,1\n" },
};

static void test_trees(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(trees) / sizeof(trees[0]); i++) {
		struct slice msg = slice_cstr(trees[i].msg);

		for (size_t piece = 1; piece <= 7; piece++) {
			check_pieces(msg, piece, trees[i].tree);
		}
		check_pieces(msg, msg.n + 1, trees[i].tree);
	}
}

/* Parses into *a (an open arena); the message must be readable. */
static struct mime_tree parse(struct slice msg, struct arena *a)
{
	struct mime_tree t;

	assert_int_equal(mime_parse(msg, a, &t), 0);
	assert_true(t.size == msg.n);
	return t;
}

static void test_fields(void **state)
{
	struct slice msg = S("Received: a\r\nReceived: b\r\n"
			     "Subject: one\r\n two\r\nSubject: three\r\n"
			     "From: A <a@x>\r\nTo: b@x\r\nTo: c@x, d@x\r\n"
			     "Date: Thu, 1 Jan 1970 00:01:00 +0000\r\nMessage-ID:  <m@x> \r\n"
			     "Content-Type: text/plain; charset=utf-8\r\n"
			     "Content-Transfer-Encoding: (c) Base64 \r\n"
			     "Content-ID: <c@x>\r\nContent-Description: d\r\nContent-MD5: m==\r\n"
			     "Content-Disposition: attachment; filename=f\r\n"
			     "Content-Language: en, (x) de\r\nContent-Location: http://x/\r\n"
			     "\r\nbody\rb\nare\r\n\xe4\r\n");
	struct mime_envelope *e;
	struct mime_part *r;
	struct mime_tree t;
	struct arena a;

	(void)state;
	arena_init(&a, MIME_TREE_MAX);
	t = parse(msg, &a);
	r = t.root;
	e = r->envelope;
	assert_int_equal(t.received, 2);
	assert_true(t.has_8bit && !t.has_nul && !t.truncated);
	assert_int_equal(t.bare, 2);
	assert_slice(e->subject, "one two");
	assert_slice(e->from->mailbox, "a");
	assert_slice(e->to->mailbox, "b");
	assert_slice(e->to->next->mailbox, "c");
	assert_slice(e->to->next->next->mailbox, "d");
	assert_null(e->to->next->next->next);
	assert_null(e->cc);
	assert_true(e->sent == 60);
	assert_slice(e->message_id, "<m@x>");
	assert_null(e->in_reply_to.p);
	assert_slice(mime_param_get(r->params, S("CHARSET")), "utf-8");
	assert_slice(r->encoding, "Base64");
	assert_slice(r->id, "<c@x>");
	assert_slice(r->description, "d");
	assert_slice(r->md5, "m==");
	assert_slice(r->disposition, "attachment");
	assert_slice(mime_param_get(r->disposition_params, S("filename")), "f");
	assert_int_equal(r->n_languages, 2);
	assert_slice(r->languages[1], "de");
	assert_slice(r->location, "http://x/");
	arena_fini(&a);
}

static void test_bare(void **state)
{
	static const struct {
		const char *msg;
		unsigned bare;
	} forms[] = {
		{ "", 0 },
		{ "a: b\r\n\r\nc\r\n", 0 },
		{ "a: b\n\nc\n", 3 },
		{ "a: b\r\n\r\nc", 2 },
		{ "a\r", 1 },
		{ "a\r\r\nb\rc\n", 3 },
		{ "\r\r\r\n", 2 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		struct mime_tree t;
		struct arena a;

		arena_init(&a, MIME_TREE_MAX);
		t = parse(slice_cstr(forms[i].msg), &a);
		assert_int_equal(t.bare, forms[i].bare);
		arena_fini(&a);
	}
}

static void test_nul_and_absent(void **state)
{
	struct mime_tree t;
	struct arena a;

	(void)state;
	arena_init(&a, MIME_TREE_MAX);
	t = parse(S("Subject: a\0b\r\nDate: never\r\n\r\n"), &a);
	assert_true(t.has_nul);
	assert_slice(t.root->envelope->subject, "a b");
	assert_slice(t.root->envelope->date, "never");
	assert_true(t.root->envelope->sent == INT64_MIN);
	assert_null(t.root->id.p);
	assert_slice(t.root->encoding, "7bit");
	arena_fini(&a);
}

/* ---- limits -------------------------------------------------------------- */

static unsigned depth_of(const struct mime_tree *t)
{
	unsigned depth = 0;

	for (const struct mime_part *p = t->root; p; p = p->children) {
		depth++;
	}
	return depth;
}

static void test_deep_multiparts(void **state)
{
	struct buf b = BUF_INIT(TEST_MAX);
	struct mime_tree t;
	struct arena a;

	(void)state;
	for (int i = 0; i < 10000; i++) {
		buf_printf(&b,
			   "Content-Type: multipart/mixed; boundary=b%d.\r\n\r\n"
			   "--b%d.\r\n",
			   i, i);
	}
	arena_init(&a, MIME_TREE_MAX);
	t = parse(buf_slice(&b), &a);
	assert_true(t.truncated);
	assert_int_equal(depth_of(&t), MIME_DEPTH_MAX + 1);
	arena_fini(&a);
	buf_fini(&b);
}

static void test_deep_messages(void **state)
{
	struct buf b = BUF_INIT(TEST_MAX);
	const struct mime_part *p;
	struct mime_tree t;
	struct arena a;

	(void)state;
	repeat(&b, "Content-Type: message/rfc822\r\n\r\n", 10000);
	arena_init(&a, MIME_TREE_MAX);
	t = parse(buf_slice(&b), &a);
	assert_true(t.truncated);
	assert_int_equal(depth_of(&t), MIME_DEPTH_MAX + 1);
	for (p = t.root; p->children; p = p->children) {
	}
	assert_slice(p->type, "application");
	assert_slice(p->subtype, "octet-stream");
	assert_int_equal(p->kind, MIME_LEAF);
	arena_fini(&a);
	buf_fini(&b);
}

/* What all trees hold: places inside and in order, shapes by kind. */
static void check_shape(const struct mime_tree *t)
{
	for (const struct mime_part *p = t->root->children; p; p = p->next) {
		uint64_t end = p->body_off + p->body_len;

		assert_true(p->header_off >= t->root->body_off);
		assert_true(end <= t->root->body_off + t->root->body_len);
		assert_true(!p->next || end <= p->next->header_off);
		assert_int_equal(p->body_off, p->header_off + p->header_len);
	}
}

static void test_many_parts(void **state)
{
	struct buf b = BUF_INIT(TEST_MAX);
	struct mime_tree t;
	struct arena a;

	(void)state;
	buf_adds(&b, "Content-Type: multipart/mixed; boundary=x\r\n\r\n");
	repeat(&b, "--x\r\n", 100000);
	arena_init(&a, MIME_TREE_MAX);
	t = parse(buf_slice(&b), &a);
	assert_true(t.truncated);
	assert_int_equal(t.n_parts, MIME_PARTS_MAX);
	assert_slice(t.root->last_child->subtype, "octet-stream");
	assert_int_equal(t.root->last_child->body_off + t.root->last_child->body_len, b.n);
	check_shape(&t);
	arena_fini(&a);
	buf_fini(&b);
}

static void test_many_header_lines(void **state)
{
	struct buf b = BUF_INIT(TEST_MAX);
	struct mime_tree t;
	struct arena a;

	(void)state;
	buf_adds(&b, "Subject: here\r\n");
	repeat(&b, "To: a@b, c@d\r\n", 500000);
	buf_adds(&b, "Subject: lost\r\n\r\nbody");
	arena_init(&a, MIME_TREE_MAX);
	t = parse(buf_slice(&b), &a);
	assert_true(t.truncated);
	assert_int_equal(t.root->body_len, 4);
	assert_int_equal(t.root->header_lines, 500003);
	assert_slice(t.root->envelope->subject, "here");
	arena_fini(&a);
	buf_fini(&b);
}

/* Strings never take the room that parts need. */
static void test_greedy_headers(void **state)
{
	struct buf b = BUF_INIT(TEST_MAX);
	struct mime_tree t;
	struct arena a;

	(void)state;
	buf_adds(&b, "Content-Type: multipart/digest; boundary=x\r\n\r\n");
	for (int i = 0; i < 100; i++) {
		buf_adds(&b, "--x\r\n\r\nSubject: ");
		repeat(&b, "0123456789abcdef", 12000);
		buf_adds(&b, "\r\n\r\nhi\r\n");
	}
	arena_init(&a, MIME_TREE_MAX);
	t = parse(buf_slice(&b), &a);
	assert_true(t.truncated);
	assert_int_equal(t.n_parts, 201);
	assert_null(t.root->last_child->children->envelope->subject.p);
	check_shape(&t);
	arena_fini(&a);
	buf_fini(&b);
}

static void test_small_arena(void **state)
{
	struct slice msg = slice_cstr(trees[11].msg);
	struct mime_tree t;
	unsigned failed = 0;

	(void)state;
	for (size_t max = 0; max < 4000; max += 16) {
		struct arena a;

		arena_init(&a, max);
		if (mime_parse(msg, &a, &t) == 0) {
			assert_int_equal(t.size, msg.n);
			check_shape(&t);
		} else {
			failed++;
		}
		arena_fini(&a);
	}
	assert_true(failed > 0 && failed < 125);
}

static void test_long_boundary(void **state)
{
	struct buf b = BUF_INIT(TEST_MAX);
	struct mime_tree t;
	struct arena a;

	(void)state;
	for (int n = 70; n <= 4096; n *= 4) {
		buf_reset(&b);
		buf_adds(&b, "Content-Type: multipart/mixed; boundary=\"");
		repeat(&b, "b", n);
		buf_adds(&b, "\"\n\n--");
		repeat(&b, "b", n);
		buf_adds(&b, "\n\none\n--");
		repeat(&b, "b", n);
		buf_adds(&b, "--\n");
		arena_init(&a, MIME_TREE_MAX);
		t = parse(buf_slice(&b), &a);
		assert_int_equal(t.root->kind, MIME_MULTIPART);
		assert_int_equal(t.root->children->body_len, 3);
		arena_fini(&a);
	}
	buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_trees),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_bare),
		cmocka_unit_test(test_nul_and_absent),
		cmocka_unit_test(test_deep_multiparts),
		cmocka_unit_test(test_deep_messages),
		cmocka_unit_test(test_many_parts),
		cmocka_unit_test(test_many_header_lines),
		cmocka_unit_test(test_greedy_headers),
		cmocka_unit_test(test_small_arena),
		cmocka_unit_test(test_long_boundary),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
