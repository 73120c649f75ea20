/* Rates, greylisting, first visits and block lists, with a clock of our own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/err.h"
#include "smtp/policy.h"

#define T0 1700000000

static const char *const lists[] = { "bl.example", "other.example" };

static int setup(void **state)
{
	const struct policy_opts o = { .connections_per_minute = 3,
				       .messages_per_minute = 2,
				       .first_time_delay = 15,
				       .greylist = 300,
				       .blocklists = lists,
				       .n_blocklists = 2 };
	struct policy *p;

	assert_int_equal(policy_new(&o, &p), 0);
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct policy *p = *state;

	policy_free(&p);
	return 0;
}

static struct net_addr addr(const char *text)
{
	struct net_addr a;

	assert_int_equal(net_addr_parse(slice_cstr(text), 25, &a), 0);
	return a;
}

static void rates_are_by_network(void **state)
{
	struct policy *p = *state;
	struct net_addr a = addr("192.0.2.1"), b = addr("192.0.2.2");
	struct net_addr c = addr("2001:db8::1"), d = addr("2001:db8::ffff:1");
	struct net_addr local = addr("127.0.0.1"), mapped = addr("::ffff:192.0.2.1");

	for (int i = 0; i < 3; i++) {
		assert_true(policy_connect(p, &a, T0 + i));
		assert_true(policy_connect(p, i ? &c : &d, T0 + i));
	}
	assert_false(policy_connect(p, &a, T0 + 59));
	assert_true(policy_connect(p, &b, T0 + 59));
	assert_false(policy_connect(p, &d, T0 + 59)); /* one /64 */
	assert_true(policy_connect(p, &a, T0 + 60));
	assert_true(policy_mail(p, &a, T0));
	assert_true(policy_mail(p, &mapped, T0)); /* the same address */
	assert_false(policy_mail(p, &a, T0 + 1));
	for (int i = 0; i < 100; i++) {
		assert_true(policy_mail(p, &local, T0));
		assert_true(policy_mail(NULL, &a, T0));
	}
}

static void new_senders_wait(void **state)
{
	struct policy *p = *state;
	struct net_addr a = addr("192.0.2.1"), near = addr("192.0.2.99"),
			far = addr("198.51.100.1");

	assert_int_equal(policy_greylist(p, &a, S("x@a"), S("u@l"), T0), 300);
	assert_int_equal(policy_greylist(p, &a, S("x@a"), S("u@l"), T0 + 100), 200);
	assert_int_equal(policy_greylist(p, &near, S("X@a"), S("u@l"), T0 + 299), 1);
	assert_int_equal(policy_greylist(p, &a, S("x@a"), S("u@l"), T0 + 300), 0);
	assert_int_equal(policy_greylist(p, &far, S("x@a"), S("u@l"), T0 + 300), 300);
	assert_int_equal(policy_greylist(p, &a, S("y@a"), S("u@l"), T0 + 300), 300);
	assert_int_equal(policy_greylist(p, &a, S("x@a"), S("v@l"), T0 + 300), 300);
	/* Known for 35 days after each visit. */
	assert_int_equal(policy_greylist(p, &a, S("x@a"), S("u@l"), T0 + 30 * 86400), 0);
	assert_int_equal(policy_greylist(p, &a, S("x@a"), S("u@l"), T0 + 60 * 86400), 0);
	assert_int_equal(policy_greylist(p, &a, S("x@a"), S("u@l"), T0 + 100 * 86400), 300);
	/* Who comes again too late is new. */
	assert_int_equal(policy_greylist(p, &a, S("y@a"), S("u@l"), T0 + 4 * 86400), 300);
}

static void first_visits_wait(void **state)
{
	struct policy *p = *state;
	struct net_addr a = addr("192.0.2.1"), near = addr("192.0.2.99"),
			far = addr("198.51.100.1");

	assert_int_equal(policy_first_time(p, &a, S("a.example"), T0), 15);
	assert_int_equal(policy_first_time(p, &a, S("a.example"), T0 + 60), 15);
	policy_remember(p, &a, S("a.example"), T0 + 60);
	assert_int_equal(policy_first_time(p, &near, S("A.example"), T0 + 61), 0);
	assert_int_equal(policy_first_time(p, &far, S("a.example"), T0 + 61), 15);
	assert_int_equal(policy_first_time(p, &a, S("b.example"), T0 + 61), 15);
	assert_int_equal(policy_first_time(p, &a, S("a.example"), T0 + 200 * 86400), 15);
}

/* A flood of others makes the table forget, never grow or fail. */
static void floods_are_bounded(void **state)
{
	struct policy *p = *state;
	struct net_addr a = addr("2001:db8::1");

	for (uint32_t i = 0; i < 300000; i++) {
		memcpy(&a.in6.sin6_addr, &i, sizeof(i));
		assert_true(policy_mail(p, &a, T0 + i / 10000));
	}
}

static struct slice blocked(struct policy *p, struct dns *d, const char *ip, struct arena *a)
{
	struct net_addr peer = addr(ip);
	struct policy_block b;

	co_enter();
	assert_int_equal(policy_blocked(p, d, &peer, 0, a, &b), 0);
	return b.list.n ? arena_printf(a, "%.*s %.*s", SLICE_ARG(b.list), SLICE_ARG(b.text))
			: S("");
}

static void lists_are_asked(void **state)
{
	struct policy *p = *state;
	struct arena a;
	struct dns *d;

	co_enter();
	arena_init(&a, 1u << 20);
	assert_int_equal(dns_mem_new(&d), 0);
	dns_mem_add(d, "1.2.0.192.bl.example", DNS_A, slice_make("\x7f\0\0\2", 4));
	dns_mem_add(d, "1.2.0.192.bl.example", DNS_TXT, S("\x0bsee\r\nhttp:/"));
	dns_mem_add(d, "2.2.0.192.bl.example", DNS_A, slice_make("\x7f\xff\xff\xfe", 4));
	dns_mem_add(d, "3.2.0.192.bl.example", DNS_A, slice_make("\x0a\0\0\2", 4));
	dns_mem_fail(d, "4.2.0.192.bl.example", DNS_A, DNS_FAIL);
	dns_mem_add(d, "4.2.0.192.other.example", DNS_A, slice_make("\x7f\0\0\4", 4));
	dns_mem_add(d,
		    "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.other.example",
		    DNS_A, slice_make("\x7f\0\0\2", 4));
	assert_true(slice_eq(blocked(p, d, "192.0.2.1", &a), S("bl.example see??http:/")));
	assert_int_equal(blocked(p, d, "192.0.2.2", &a).n, 0);
	assert_int_equal(blocked(p, d, "192.0.2.3", &a).n, 0);
	assert_true(slice_eq(blocked(p, d, "192.0.2.4", &a), S("other.example ")));
	assert_int_equal(blocked(p, d, "192.0.2.5", &a).n, 0);
	assert_true(slice_eq(blocked(p, d, "2001:db8::1", &a), S("other.example ")));
	assert_int_equal(blocked(p, NULL, "192.0.2.1", &a).n, 0);
	assert_int_equal(blocked(p, d, "127.0.0.1", &a).n, 0);
	dns_free(&d);
	arena_fini(&a);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(rates_are_by_network), T(new_senders_wait), T(first_visits_wait),
		T(floods_are_bounded),	 T(lists_are_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
