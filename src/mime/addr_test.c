/*
 * Tests of addr.c: RFC 5322's own examples (appendix A), groups, obsolete
 * forms, what mail really holds, and hostile sizes in linear time.
 */
#include "mime/test_util.h"

/* "name|route|mailbox@host", groups "mailbox:" and ";", absent names "-". */
static void dump(const struct mime_addr *ad, struct buf *out)
{
	for (; ad; ad = ad->next) {
		if (!ad->mailbox.p) {
			buf_adds(out, ";\n");
			continue;
		}
		if (!ad->host.p) {
			buf_add(out, ad->mailbox);
			buf_adds(out, ":\n");
			continue;
		}
		buf_add(out, ad->name.p ? ad->name : S("-"));
		buf_addc(out, '|');
		if (ad->route.p) {
			buf_add(out, ad->route);
			buf_addc(out, '|');
		}
		buf_add(out, ad->mailbox);
		buf_addc(out, '@');
		buf_add(out, ad->host);
		buf_addc(out, '\n');
	}
}

static const struct {
	const char *body;
	const char *want;
} cases[] = {
	{ "", "" },
	{ " ,, \r\n ,", "" },
	{ "a@b", "-|a@b\n" },
	{ " a@b , c@d ", "-|a@b\n-|c@d\n" },
	{ "John Doe <jdoe@machine.example>", "John Doe|jdoe@machine.example\n" },
	{ "\"Joe Q. Public\" <john.q.public@example.com>",
	  "Joe Q. Public|john.q.public@example.com\n" },
	{ "Mary Smith <mary@x.test>, jdoe@example.org, Who? <one@y.test>",
	  "Mary Smith|mary@x.test\n-|jdoe@example.org\nWho?|one@y.test\n" },
	{ "<boss@nil.test>, \"Giant; \\\"Big\\\" Box\" <sysservices@example.net>",
	  "-|boss@nil.test\nGiant; \"Big\" Box|sysservices@example.net\n" },
	{ "A Group:Ed Jones <c@a.test>,joe@where.test,John <jdoe@one.test>;",
	  "A Group:\nEd Jones|c@a.test\n-|joe@where.test\nJohn|jdoe@one.test\n;\n" },
	{ "Undisclosed recipients:;", "Undisclosed recipients:\n;\n" },
	{ "Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>",
	  "Pete|pete@silly.test\n" },
	{ "A Group(Some people)\r\n     :Chris Jones <c@(Chris's host.)public."
	  "example>,\r\n joe@example.org,\r\n John <jdoe@one.test> (my dear "
	  "friend); (the end of the group)",
	  "A Group:\nChris Jones|c@public.example\n-|joe@example.org\n"
	  "John|jdoe@one.test\n;\n" },
	{ "(Empty list)(start)Hidden recipients  :(nobody(that I know))  ;",
	  "Hidden recipients:\n;\n" },
	{ "Joe Q. Public <john.q.public@example.com>",
	  "Joe Q. Public|john.q.public@example.com\n" },
	{ "Mary Smith <@node.test:mary@example.net>, , jdoe@test  . example",
	  "Mary Smith|@node.test|mary@example.net\n-|jdoe@test.example\n" },
	{ "John Doe <jdoe@machine(comment).  example>", "John Doe|jdoe@machine.example\n" },
	{ "<@a,@b:c@d>", "-|@a,@b|c@d\n" },
	{ "a . b @ c . d", "-|a.b@c.d\n" },
	{ "\"a b\".c@d", "-|a b.c@d\n" },
	{ "user@[192.0.2.1]", "-|user@[192.0.2.1]\n" },
	{ "user@[IPv6:2001:db8::1] (x)", "x|user@[IPv6:2001:db8::1]\n" },
	{ "a@b (Comment Name)", "Comment Name|a@b\n" },
	{ "(before) <a@b>", "before|a@b\n" },
	{ "a@b (x \\(y (z))", "x (y (z)|a@b\n" },
	/* 8-bit, IDN, encoded words with specials in them. */
	{ "J\xc3\xbcrgen <j\xc3\xbcrgen@b\xc3\xbc"
	  "cher.example>",
	  "J\xc3\xbcrgen|j\xc3\xbcrgen@b\xc3\xbc"
	  "cher.example\n" },
	{ "=?utf-8?Q?Doe,_<x@y>?= <a@b>", "=?utf-8?Q?Doe,_<x@y>?=|a@b\n" },
	{ "=?utf-8?B?YQ==?= =?utf-8?B?Yg==?= <a@b>", "=?utf-8?B?YQ==?= =?utf-8?B?Yg==?=|a@b\n" },
	/* In the wild. */
	{ "a@b <a@b>", "a@b|a@b\n" },
	{ "Name user@host", "Name|user@host\n" },
	{ "a@b c@d", "-|a@b\n-|c@d\n" },
	{ "a@b; c@d", "-|a@b\n-|c@d\n" },
	{ "<a@b> <c@d>", "-|a@b\n-|c@d\n" },
	{ "<a@b> noise, c@d", "-|a@b\n-|c@d\n" },
	{ "<a@b", "-|a@b\n" },
	{ "<a@b, c@d", "-|a@b\n-|c@d\n" },
	{ "<a@b@c>", "-|a@b@c\n" },
	{ "<>", "-|@\n" },
	{ "root", "-|root@\n" },
	{ "\"\" <a@b>", "-|a@b\n" },
	{ "\"open <a@b>", "-|open <a@b>@\n" },
	{ "a@b (open", "open|a@b\n" },
	{ "a@b (end\\", "end\\|a@b\n" },
	{ "@b", "-|@b\n" },
	{ "a@", "-|a@\n" },
	{ "<@b>", "-|@b\n" },
	{ "[list] name <a@b>", "[list] name|a@b\n" },
	{ "a:b:c@d;e;", "a:\n-|c@d\n;\n-|e@\n" },
	{ "a: b@c", "a:\n-|b@c\n;\n" },
	{ "x >y) <a@b>", "x y|a@b\n" },
	{ "\"a\r\n b\" <c@d>", "a b|c@d\n" },
};

static void test_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf out = BUF_INIT(1 << 16);
		struct arena a;

		arena_init(&a, 1 << 20);
		dump(mime_addr_parse(slice_cstr(cases[i].body), &a), &out);
		assert_string_equal(buf_cstr(&out), cases[i].want);
		buf_fini(&out);
		arena_fini(&a);
	}
}

static void test_spec(void **state)
{
	static const struct {
		const char *body, *spec;
	} specs[] = {
		{ "a.b@c", "a.b@c" },
		{ "\"a b\"@c", "\"a b\"@c" },
		{ "\"a\\\"\\\\\"@c", "\"a\\\"\\\\\"@c" },
		{ "<.a@c>", "\".a\"@c" },
		{ "<a..b@c>", "\"a..b\"@c" },
		{ "<a@b@c>", "\"a@b\"@c" },
		{ "<@c>", "\"\"@c" },
		{ "root", "root" },
		{ "\xc3\xbc@c", "\xc3\xbc@c" },
		{ "g:;", "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(specs) / sizeof(specs[0]); i++) {
		struct buf out = BUF_INIT(1 << 16);
		struct arena a;

		arena_init(&a, 1 << 20);
		mime_addr_spec(mime_addr_parse(slice_cstr(specs[i].body), &a), &out);
		assert_string_equal(buf_cstr(&out), specs[i].spec);
		buf_fini(&out);
		arena_fini(&a);
	}
}

static size_t count(struct slice body, struct arena *a)
{
	size_t n = 0;

	for (struct mime_addr *ad = mime_addr_parse(body, a); ad; ad = ad->next) {
		n++;
	}
	return n;
}

static void test_sizes(void **state)
{
	static const struct {
		const char *unit;
		int times;
		size_t want;
	} sizes[] = {
		{ "a@b, ", 500000, MIME_ADDRS_MAX },
		{ ",", 1000000, 0 },
		{ "(", 100000, 0 },
		{ "()", 100000, 0 },
		{ "\"", 100001, 0 },
		{ "<", 100000, 1 },
		{ "@", 100000, MIME_ADDRS_MAX },
		{ "=?", 500000, 1 },
		{ "a.", 500000, 1 },
		{ "a ", 500000, 1 },
		{ "\\", 500000, 1 },
		{ "a@b:", 500000, 2 },
		{ "<a@b", 500000, 1 },
		{ "[", 500000, 1 },
		{ "a:b;", 100000, MIME_ADDRS_MAX + 1 }, /* the group is ended */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct buf b = BUF_INIT(TEST_MAX);
		struct arena a;

		repeat(&b, sizes[i].unit, sizes[i].times);
		arena_init(&a, TEST_MAX);
		assert_int_equal(count(buf_slice(&b), &a), sizes[i].want);
		arena_fini(&a);
		buf_fini(&b);
	}
}

static void test_small_arena(void **state)
{
	struct slice body = S("A: b <c@d>, e@f (g);, h@i");

	(void)state;
	for (size_t max = 0; max < 1000; max += 16) {
		struct arena a;
		size_t n;

		arena_init(&a, max);
		n = count(body, &a);
		assert_true(arena_err(&a) ? n == 0 : n == 5);
		arena_fini(&a);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_spec),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_small_arena),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
