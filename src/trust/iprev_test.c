/* iprev (RFC 8601 3): each of its words, and reverse zones of enemies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "co/test_loop.h"
#include "trust/trust.h"

#define REV "1.2.0.192.in-addr.arpa"
#define REV6 "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"

static void add(struct dns *d, const char *name, enum dns_type type, const char *value)
{
	assert_int_equal(dns_mem_text(d, name, type, value), 0);
}

static void check(struct dns *d, const char *ip, enum trust_result want, const char *name)
{
	struct iprev_outcome out;
	struct net_addr addr = { .len = 0 };
	struct arena a;

	co_enter();
	arena_init(&a, 65536);
	if (*ip) {
		assert_int_equal(net_addr_parse(slice_cstr(ip), 25, &addr), 0);
	}
	assert_int_equal(iprev_check(d, &addr, 0, &a, &out), 0);
	assert_string_equal(trust_result_name(out.result), trust_result_name(want));
	assert_true(slice_eq(out.name, slice_cstr(name)));
	arena_fini(&a);
}

static void test_pass(void **state)
{
	struct dns *d = NULL;

	(void)state;
	assert_int_equal(dns_mem_new(&d), 0);
	add(d, REV, DNS_PTR, "no.test");
	add(d, REV, DNS_PTR, "mail.test");
	add(d, "mail.test", DNS_A, "192.0.2.9");
	add(d, "mail.test", DNS_A, "192.0.2.1");
	check(d, "192.0.2.1", TRUST_PASS, "mail.test");
	check(d, "::ffff:192.0.2.1", TRUST_PASS, "mail.test");
	add(d, REV6, DNS_PTR, "mail.test");
	check(d, "2001:db8::1", TRUST_FAIL, "mail.test");
	add(d, "mail.test", DNS_AAAA, "2001:db8::1");
	check(d, "2001:db8::1", TRUST_PASS, "mail.test");
	dns_free(&d);
}

static void test_not_pass(void **state)
{
	struct dns *d = NULL;

	(void)state;
	assert_int_equal(dns_mem_new(&d), 0);
	check(d, "192.0.2.1", TRUST_PERMERROR, "");
	check(d, "", TRUST_PERMERROR, "");
	check(NULL, "192.0.2.1", TRUST_TEMPERROR, "");
	add(d, REV, DNS_PTR, "mail.test");
	check(d, "192.0.2.1", TRUST_FAIL, "mail.test");
	assert_int_equal(dns_mem_fail(d, "mail.test", DNS_A, DNS_FAIL), 0);
	check(d, "192.0.2.1", TRUST_TEMPERROR, "mail.test");
	assert_int_equal(dns_mem_fail(d, REV, DNS_PTR, DNS_FAIL), 0);
	check(d, "192.0.2.1", TRUST_TEMPERROR, "");
	dns_free(&d);
}

static void test_enemies(void **state)
{
	struct dns *d = NULL;

	(void)state;
	assert_int_equal(dns_mem_new(&d), 0);
	/* Damaged, with odd octets, the root: none of them is a name. */
	assert_int_equal(dns_mem_add(d, REV, DNS_PTR, S("\300\0")), 0);
	assert_int_equal(dns_mem_add(d, REV, DNS_PTR, S("")), 0);
	assert_int_equal(dns_mem_add(d, REV, DNS_PTR, S("\4m\r\nx\4test\0")), 0);
	check(d, "192.0.2.1", TRUST_PERMERROR, "");
	for (int i = 0; i < 7; i++) {
		add(d, REV, DNS_PTR, "no.test");
	}
	/* This is the eleventh. */
	add(d, REV, DNS_PTR, "mail.test");
	add(d, "mail.test", DNS_A, "192.0.2.1");
	check(d, "192.0.2.1", TRUST_FAIL, "no.test");
	dns_free(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pass),
		cmocka_unit_test(test_not_pass),
		cmocka_unit_test(test_enemies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
