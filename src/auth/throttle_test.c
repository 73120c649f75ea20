/* throttle: windows, delays, prefixes, and what a success may take back. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "auth/impl.h"

static struct net_addr peer(const char *text)
{
	struct net_addr a;

	assert_int_equal(net_addr_parse(slice_cstr(text), 1000, &a), 0);
	return a;
}

static struct attempt try(struct throttle *t, const char *ip, const char *user, int64_t now)
{
	struct net_addr a = peer(ip);
	struct attempt out;

	throttle_begin(t, &a, slice_cstr(user), now, &out);
	return out;
}

static void test_delays_grow(void **state)
{
	static const int want[] = { 2000, 4000, 8000, 15000, 15000 };
	struct throttle t;

	(void)state;
	assert_int_equal(throttle_init(&t), 0);
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		assert_int_equal(try(&t, "192.0.2.1", "a@b.test", 1000).after_ms, want[i]);
	}
	/* the same from elsewhere: the name remembers */
	assert_int_equal(try(&t, "198.51.100.1", "a@b.test", 1000).after_ms, 15000);
	/* another name from the same place: the place remembers */
	assert_int_equal(try(&t, "192.0.2.1", "c@b.test", 1000).after_ms, 15000);
	/* a minute later it begins again */
	assert_int_equal(try(&t, "198.51.100.2", "a@b.test", 1060).after_ms, 2000);
	throttle_fini(&t);
}

static void test_a_prefix_is_refused_after_ten(void **state)
{
	struct throttle t;
	char user[32];

	(void)state;
	assert_int_equal(throttle_init(&t), 0);
	for (int i = 0; i < 10; i++) {
		snprintf(user, sizeof(user), "user%d@b.test", i);
		assert_false(try(&t, "2001:db8::1", user, 1000).refuse);
	}
	/* all of the /64 is one; the next one is another */
	assert_true(try(&t, "2001:db8::ffff:2", "x@b.test", 1000).refuse);
	assert_false(try(&t, "2001:db8:0:1::1", "x@b.test", 1000).refuse);
	assert_false(try(&t, "2001:db8::1", "x@b.test", 1061).refuse);
	throttle_fini(&t);
}

static void test_a_day_has_a_hundred(void **state)
{
	struct throttle t;
	bool refused = false;
	int n = 0;

	(void)state;
	assert_int_equal(throttle_init(&t), 0);
	/* slowly enough for every minute */
	for (int64_t now = 1000; !refused && n < 200; now += 61, n++) {
		refused = try(&t, "192.0.2.1", "a@b.test", now).refuse;
	}
	assert_true(refused);
	assert_int_equal(n, 101);
	assert_false(try(&t, "192.0.2.1", "a@b.test", 1000 + 86400).refuse);
	throttle_fini(&t);
}

static void test_success_takes_back_only_itself(void **state)
{
	struct throttle t;
	struct attempt mine;

	(void)state;
	assert_int_equal(throttle_init(&t), 0);
	for (int i = 0; i < 9; i++) {
		try(&t, "192.0.2.1", "victim@b.test", 1000);
		mine = try(&t, "192.0.2.1", "own@b.test", 1000);
		throttle_success(&t, &mine);
	}
	/* nine guesses stand; the tenth is the last */
	assert_false(try(&t, "192.0.2.1", "victim@b.test", 1000).refuse);
	assert_true(try(&t, "192.0.2.1", "victim@b.test", 1000).refuse);
	/* and the own name has none against it */
	assert_int_equal(try(&t, "198.51.100.9", "own@b.test", 1000).after_ms, 2000);
	throttle_fini(&t);
}

static void test_a_name_is_slowed_never_locked(void **state)
{
	struct throttle t;
	char ip[32];
	struct attempt a;

	(void)state;
	assert_int_equal(throttle_init(&t), 0);
	for (int i = 0; i < 200; i++) {
		snprintf(ip, sizeof(ip), "203.0.113.%d", i);
		a = try(&t, ip, "a@b.test", 1000);
		assert_false(a.refuse);
	}
	assert_int_equal(a.before_ms, 2000);
	throttle_fini(&t);
}

static void test_loopback_is_delayed_not_refused(void **state)
{
	struct throttle t;
	struct attempt a = { 0 };

	(void)state;
	assert_int_equal(throttle_init(&t), 0);
	for (int i = 0; i < 300; i++) {
		a = try(&t, "127.0.0.1", "a@b.test", 1000);
		assert_false(a.refuse);
	}
	assert_int_equal(a.after_ms, 15000);
	throttle_fini(&t);
}

static void test_more_keys_than_rows(void **state)
{
	struct throttle t;
	char user[32];

	(void)state;
	assert_int_equal(throttle_init(&t), 0);
	for (int i = 0; i < 40000; i++) {
		snprintf(user, sizeof(user), "user%d@b.test", i);
		assert_int_equal(try(&t, "127.0.0.1", user, 1000 + i).refuse, false);
	}
	/* those that failed last are still known */
	assert_int_equal(try(&t, "192.0.2.7", "user39999@b.test", 41000).after_ms, 4000);
	throttle_fini(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_delays_grow),
		cmocka_unit_test(test_a_prefix_is_refused_after_ten),
		cmocka_unit_test(test_a_day_has_a_hundred),
		cmocka_unit_test(test_success_takes_back_only_itself),
		cmocka_unit_test(test_a_name_is_slowed_never_locked),
		cmocka_unit_test(test_loopback_is_delayed_not_refused),
		cmocka_unit_test(test_more_keys_than_rows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
