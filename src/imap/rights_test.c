/* Letters of rights, and names of other users' mailboxes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "imap/other.h"
#include "imap/rights.h"

static void parse(const char *text, int want, enum store_acl_op op, unsigned rights)
{
	enum store_acl_op o = STORE_ACL_SET;
	unsigned r = 0;

	assert_int_equal(rights_parse(slice_cstr(text), &o, &r), want);
	if (want == 0) {
		assert_int_equal(o, op);
		assert_int_equal(r, rights);
	}
}

static void test_parse(void **state)
{
	(void)state;
	parse("", 0, STORE_ACL_SET, 0);
	parse("+", 0, STORE_ACL_ADD, 0);
	parse("-", 0, STORE_ACL_REMOVE, 0);
	parse("lrswipkxtea", 0, STORE_ACL_SET, STORE_RIGHTS_ALL);
	parse("lrswipcda", 0, STORE_ACL_SET, STORE_RIGHTS_ALL);
	parse("+ll", 0, STORE_ACL_ADD, STORE_RIGHT_LOOKUP);
	parse("-c", 0, STORE_ACL_REMOVE, STORE_RIGHT_CREATE | STORE_RIGHT_DELETEBOX);
	parse("d", 0, STORE_ACL_SET, STORE_RIGHT_DELETEMSG | STORE_RIGHT_EXPUNGE);
	parse("L", -EINVAL, 0, 0);
	parse("lq", -EINVAL, 0, 0);
	parse("l0", -EINVAL, 0, 0);
	parse("l+r", -EINVAL, 0, 0);
	parse("+-l", -EINVAL, 0, 0);
	parse("l ", -EINVAL, 0, 0);
}

static void test_put(void **state)
{
	struct buf b = BUF_INIT(4096);

	(void)state;
	rights_put(&b, STORE_RIGHTS_ALL);
	buf_addc(&b, ',');
	rights_put(&b, 0);
	buf_addc(&b, ',');
	rights_put(&b, STORE_RIGHT_READ | STORE_RIGHT_EXPUNGE | STORE_RIGHT_CREATE);
	buf_addc(&b, ',');
	rights_put_each(&b, STORE_RIGHTS_ALL & ~(unsigned)STORE_RIGHT_ADMIN);
	assert_string_equal(buf_cstr(&b), "lrswipkxteacd,\"\",rkecd, l r s w i p k x t e c d");
	buf_fini(&b);
}

static void split(const char *name, enum other_kind kind, const char *user, const char *box)
{
	struct slice u, b;

	assert_int_equal(other_split(slice_cstr(name), &u, &b), kind);
	assert_true(slice_eq(u, slice_cstr(user)));
	assert_true(slice_eq(b, slice_cstr(box)));
}

static void test_split(void **state)
{
	(void)state;
	split("INBOX", OTHER_NOT, NULL, NULL);
	split("Other Users", OTHER_IS, NULL, NULL);
	split("Other Users2", OTHER_NOT, NULL, NULL);
	split("other users/a@b", OTHER_NOT, NULL, NULL);
	split("Other Users/a@b", OTHER_USER, "a@b", NULL);
	split("Other Users/a@b/INBOX", OTHER_BOX, "a@b", "INBOX");
	split("Other Users/a@b/x/y", OTHER_BOX, "a@b", "x/y");
}

static void user(const char *address, const char *level)
{
	struct buf b = BUF_INIT(4096);

	if (address) {
		other_put_user(&b, slice_cstr(address));
		assert_string_equal(buf_cstr(&b), level);
		buf_reset(&b);
	}
	assert_int_equal(other_get_user(slice_cstr(level), &b), address ? 0 : -EINVAL);
	if (address) {
		assert_string_equal(buf_cstr(&b), address);
	}
	buf_fini(&b);
}

static void test_user(void **state)
{
	(void)state;
	user("alice@example.test", "alice@example.test");
	user("a/b=c*d%e@x", "a=2Fb=3Dc=2Ad=25e@x");
	user(NULL, "");
	user(NULL, "a=2fb@x"); /* one spelling only */
	user(NULL, "a=41@x");
	user(NULL, "a=@x");
	user(NULL, "a@x=");
	user(NULL, "a@x=2");
	user(NULL, "a*b@x");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_put),
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_user),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
