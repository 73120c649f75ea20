/* range: what is a network, and what is in it. */
#include "io/range.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const char *const bad[] = {
	"",
	"*",
	"/8",
	"10.0.0.0/",
	"10.0.0.0/33",
	"10.0.0.0/-1",
	"10.0.0.0/8 ",
	"10.0.0.1/8",
	"10.128.0.0/8",
	"10.0.0.0/08x",
	"10.0.0",
	"::/129",
	"2001:db8::1/64",
	"fe80::1%eth0",
	"10.0.0.0/8/8",
	"example.test",
	"10.0.0.0/0008",
	"1.2.3.4/4294967328",
};

static const struct {
	const char *range, *addr;
	bool in;
} cases[] = {
	{ "10.0.0.0/8", "10.255.0.1", true },
	{ "10.0.0.0/8", "11.0.0.1", false },
	{ "10.0.0.0/8", "::ffff:10.1.2.3", true },
	{ "192.0.2.1", "192.0.2.1", true },
	{ "192.0.2.1", "192.0.2.0", false },
	{ "192.0.2.128/25", "192.0.2.128", true },
	{ "192.0.2.128/25", "192.0.2.127", false },
	{ "192.0.2.4/31", "192.0.2.5", true },
	{ "192.0.2.4/31", "192.0.2.6", false },
	{ "0.0.0.0/0", "203.0.113.9", true },
	{ "0.0.0.0/0", "2001:db8::1", false },
	{ "::/0", "2001:db8::1", true },
	{ "::/0", "203.0.113.9", false },
	{ "::ffff:10.0.0.1", "10.0.0.1", true },
	{ "2001:db8::/33", "2001:db8:7fff::1", true },
	{ "2001:db8::/33", "2001:db8:8000::1", false },
	{ "::1", "::1", true },
	{ "::1", "::2", false },
};

static void test_parse(void **state)
{
	struct net_range r;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (net_range_parse(slice_cstr(bad[i]), &r) != -EINVAL) {
			fail_msg("taken: %s", bad[i]);
		}
	}
}

static void test_has(void **state)
{
	struct net_addr none = { .len = 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct net_range r;
		struct net_ranges all = { &r, 1 };
		struct net_addr a;

		assert_int_equal(net_range_parse(slice_cstr(cases[i].range), &r), 0);
		assert_int_equal(net_addr_parse(slice_cstr(cases[i].addr), 25, &a), 0);
		if (net_ranges_have(&all, &a) != cases[i].in) {
			fail_msg("%s in %s", cases[i].addr, cases[i].range);
		}
		assert_false(net_ranges_have(&all, &none));
		all.n = 0;
		assert_false(net_ranges_have(&all, &a));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_has),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
