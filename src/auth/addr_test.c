/* addr: canonical addresses and domains; one mailbox, one spelling. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "auth/impl.h"

static void addr_is(const char *in, const char *want)
{
	struct buf b = BUF_INIT(1024);

	assert_int_equal(auth_addr_canon(slice_cstr(in), &b), 0);
	assert_string_equal(buf_cstr(&b), want);
	buf_fini(&b);
}

static void addr_bad_n(struct slice in)
{
	struct buf b = BUF_INIT(1024);

	assert_int_equal(auth_addr_canon(in, &b), -EINVAL);
	assert_int_equal(b.n, 0);
	buf_fini(&b);
}

static void addr_bad(const char *in)
{
	addr_bad_n(slice_cstr(in));
}

static void domain_is(const char *in, const char *want)
{
	struct buf b = BUF_INIT(1024);

	assert_int_equal(auth_domain_canon(slice_cstr(in), &b), 0);
	assert_string_equal(buf_cstr(&b), want);
	buf_fini(&b);
}

static void domain_bad(const char *in)
{
	struct buf b = BUF_INIT(1024);

	assert_int_equal(auth_domain_canon(slice_cstr(in), &b), -EINVAL);
	assert_int_equal(b.n, 0);
	buf_fini(&b);
}

static void test_plain_addresses(void **state)
{
	(void)state;
	addr_is("bob@example.test", "bob@example.test");
	addr_is("Bob.Smith+Tag@EXAMPLE.Test", "bob.smith+tag@example.test");
	addr_is("!#$%&'*+-/=?^_`{|}~@a", "!#$%&'*+-/=?^_`{|}~@a");
	addr_bad("");
	addr_bad("bob");
	addr_bad("@example.test");
	addr_bad("bob@");
	addr_bad(".bob@example.test");
	addr_bad("bob.@example.test");
	addr_bad("b..b@example.test");
	addr_bad("b b@example.test");
	addr_bad("b@b@example.test");
	addr_bad("<bob@example.test>");
	addr_bad("bob@[127.0.0.1]");
	addr_bad("bob@127.0.0.1");
	addr_bad_n(S("b\0b@example.test"));
	addr_bad_n(S("bob@exam\0ple.test"));
	addr_bad("b\nb@example.test");
	addr_bad("b\x7f"
		 "b@example.test");
}

static void test_quoted_local_parts(void **state)
{
	(void)state;
	addr_is("\"bob\"@example.test", "bob@example.test");
	addr_is("\"b\\ob\"@example.test", "bob@example.test");
	addr_is("\"B b\"@example.test", "\"b b\"@example.test");
	addr_is("\"a\\\"\\\\b\"@example.test", "\"a\\\"\\\\b\"@example.test");
	addr_is("\"b@b\"@example.test", "\"b@b\"@example.test");
	addr_is("\"b..b\"@example.test", "\"b..b\"@example.test");
	addr_bad("\"\"@example.test");
	addr_bad("\"@example.test");
	addr_bad("\"b\"b\"@example.test");
	addr_bad("\"b\\\"@example.test");
	addr_bad("\"b\"b@example.test");
	addr_bad("\"b\nb\"@example.test");
}

static void test_unicode(void **state)
{
	(void)state;
	/* upper case, and a letter with a combining mark */
	addr_is("J\xc3\x96RG@example.test", "j\xc3\xb6rg@example.test");
	addr_is("jo\xcc\x88rg@example.test", "j\xc3\xb6rg@example.test");
	addr_is("x@B\xc3\x9c"
		"CHER.example",
		"x@xn--bcher-kva.example");
	addr_is("x@bu\xcc\x88"
		"cher.example",
		"x@xn--bcher-kva.example");
	addr_is("x@XN--BCHER-KVA.example", "x@xn--bcher-kva.example");
	addr_bad("\xff@example.test");
	addr_bad("\xc3@example.test");
	addr_bad("a\xc2\x85"
		 "b@example.test");
	addr_bad("x@\xff.test");
}

static void test_domains(void **state)
{
	(void)state;
	domain_is("Example.TEST", "example.test");
	domain_is("localhost", "localhost");
	domain_is("1.2.3.example", "1.2.3.example");
	domain_is("a-b.c", "a-b.c");
	domain_bad("");
	domain_bad(".");
	domain_bad("example.test.");
	domain_bad(".example.test");
	domain_bad("a..b");
	domain_bad("-a.test");
	domain_bad("a-.test");
	domain_bad("a_b.test");
	domain_bad("a b.test");
	domain_bad("10.0.0.1");
	domain_bad("[10.0.0.1]");
	domain_bad("../etc");
	domain_bad("xn--a-ecp.ru\xff");
}

static void test_lengths(void **state)
{
	char s[400];

	(void)state;
	memset(s, 'a', sizeof(s));
	memcpy(s + 64, "@b.test", 8);
	addr_is(s, s);
	memset(s, 'a', 72);
	memcpy(s + 65, "@b.test", 8);
	addr_bad(s);
	memset(s, 'a', sizeof(s));
	memcpy(s + 63, ".test", 6);
	domain_is(s, s);
	memset(s, 'a', 72);
	memcpy(s + 64, ".test", 6);
	domain_bad(s);
	/* a domain of 253 octets is one, of 254 not */
	for (size_t i = 0; i < 253; i++) {
		s[i] = i % 50 == 49 ? '.' : 'a';
	}
	s[253] = '\0';
	domain_is(s, s);
	s[253] = 'a';
	s[254] = '\0';
	domain_bad(s);
	/* and the whole address has 254 at most */
	s[253] = '\0';
	memmove(s + 2, s, 254);
	memcpy(s, "x@", 2);
	addr_bad(s);
}

static void test_parse_halves(void **state)
{
	struct addr a;

	(void)state;
	assert_int_equal(addr_parse(S("\"A@b\"@C.test"), &a), 0);
	assert_true(slice_eq(a.local, S("\"a@b\"")));
	assert_true(slice_eq(a.domain, S("c.test")));
	assert_int_equal(addr_parse_local(S("BOB"), &a), 0);
	assert_true(slice_eq(a.local, S("bob")));
	assert_int_equal(a.domain.n, 0);
	assert_int_equal(addr_parse_local(S("b b"), &a), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain_addresses), cmocka_unit_test(test_quoted_local_parts),
		cmocka_unit_test(test_unicode),		cmocka_unit_test(test_domains),
		cmocka_unit_test(test_lengths),		cmocka_unit_test(test_parse_halves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
