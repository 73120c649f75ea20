/* Names of domains and the public suffixes among them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/err.h"
#include "trust/domain.h"

static void canon_is(const char *in, const char *want)
{
	struct buf b = BUF_INIT(1024);
	int r = trust_domain_canon(slice_cstr(in), &b);

	if (want) {
		assert_int_equal(r, 0);
		assert_string_equal(buf_cstr(&b), want);
	} else {
		assert_int_equal(r, -EINVAL);
		assert_int_equal(b.n, 0);
	}
	buf_fini(&b);
}

static void names_have_one_form(void **state)
{
	struct buf none = BUF_INIT(100);

	(void)state;
	canon_is("Example.COM", "example.com");
	canon_is("example.com.", "example.com");
	canon_is("_dmarc.example.com", "_dmarc.example.com");
	canon_is("b\xc3\xbc"
		 "cher.example",
		 "xn--bcher-kva.example");
	canon_is("XN--BCHER-KVA.example", "xn--bcher-kva.example");
	canon_is("localhost", "localhost");
	canon_is("", NULL);
	canon_is(".", NULL);
	canon_is("a..b", NULL);
	canon_is("a.b..", NULL);
	canon_is(".a", NULL);
	canon_is("a b", NULL);
	canon_is("a\"b.example", NULL);
	canon_is("[192.0.2.1]", NULL);
	canon_is("\xff\xfe.example", NULL);
	canon_is("0123456789012345678901234567890123456789012345678901234567890123.example", NULL);
	assert_int_equal(trust_domain_canon(slice_make("a\0b.example", 11), &none), -EINVAL);
	buf_fini(&none);
}

static void long_names_are_refused(void **state)
{
	struct buf in = BUF_INIT(4096), out = BUF_INIT(4096);

	(void)state;
	for (int i = 0; i < 126; i++) {
		buf_adds(&in, "a.");
	}
	buf_adds(&in, "a"); /* 253 octets */
	assert_int_equal(trust_domain_canon(buf_slice(&in), &out), 0);
	buf_addc(&in, 'a');
	assert_int_equal(trust_domain_canon(buf_slice(&in), &out), -EINVAL);
	buf_fini(&in);
	buf_fini(&out);
}

static void org_is(const char *name, const char *want)
{
	struct slice org = trust_domain_org(slice_cstr(name));

	assert_int_equal(org.n, strlen(want));
	assert_memory_equal(org.p, want, org.n);
}

static void organizations_are_found(void **state)
{
	(void)state;
	org_is("example.com", "example.com");
	org_is("a.b.example.com", "example.com");
	org_is("a.example.co.uk", "example.co.uk");
	org_is("co.uk", "co.uk");
	org_is("com", "com");
	org_is("mail.xn--bcher-kva.de", "xn--bcher-kva.de");
	/* The suffix "*.ck", but for "!www.ck". */
	org_is("a.b.c.ck", "b.c.ck");
	org_is("a.www.ck", "www.ck");
	/* Unknown top-level domains count as suffixes. */
	org_is("a.b.test", "b.test");
	org_is("localhost", "localhost");
	assert_true(trust_domain_is_suffix(S("co.uk")));
	assert_false(trust_domain_is_suffix(S("example.co.uk")));
}

static void within_is_by_labels(void **state)
{
	(void)state;
	assert_true(trust_domain_within(S("a.example.com"), S("example.com")));
	assert_true(trust_domain_within(S("EXAMPLE.com"), S("example.com")));
	assert_false(trust_domain_within(S("notexample.com"), S("example.com")));
	assert_false(trust_domain_within(S("com"), S("example.com")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_have_one_form),
		cmocka_unit_test(long_names_are_refused),
		cmocka_unit_test(organizations_are_found),
		cmocka_unit_test(within_is_by_labels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
