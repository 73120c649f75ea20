/* IMAP URLs: what parses, what it means, and how it is written again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/err.h"
#include "imap/url.h"

#define TOKEN "91354a473744909de610943775f92038"

static struct arena arena;

static int setup(void **state)
{
	(void)state;
	arena_init(&arena, 1 << 20);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena_fini(&arena);
	return 0;
}

static struct imap_url must(const char *text)
{
	struct imap_url u = { 0 };

	if (imap_url_parse(slice_cstr(text), &arena, &u) != 0) {
		fail_msg("does not parse: %s", text);
	}
	return u;
}

#define assert_slice(s, text) assert_true(slice_eq((s), slice_cstr(text)))

static void test_relative(void **state)
{
	struct imap_url u = must("/Drafts;UIDVALIDITY=385759045/;UID=20/;section=1.MIME");

	(void)state;
	assert_false(u.absolute);
	assert_true(u.rooted);
	assert_slice(u.mailbox, "Drafts");
	assert_int_equal(u.uidvalidity, 385759045);
	assert_int_equal(u.uid, 20);
	assert_slice(u.section, "1.MIME");
	assert_false(u.partial);
	u = must("/a/b%20c%C3%A9/;uid=1");
	assert_slice(u.mailbox, "a/b c\xc3\xa9");
	u = must("b/;UID=4294967295/;PARTIAL=18446744073709551615.1");
	assert_false(u.rooted);
	assert_slice(u.mailbox, "b");
	assert_int_equal(u.uid, UINT32_MAX);
	assert_true(u.partial);
	assert_true(u.offset == UINT64_MAX);
	assert_int_equal(u.count, 1);
	u = must(";UID=7/;SECTION=HEADER.FIELDS%20(A%20B)/;PARTIAL=5");
	assert_null(u.mailbox.p);
	assert_slice(u.section, "HEADER.FIELDS (A B)");
	assert_int_equal(u.offset, 5);
	assert_int_equal(u.count, 0);
	u = must("/x/;uid=1;section=3.TEXT;partial=1.3");
	assert_slice(u.section, "3.TEXT");
	assert_int_equal(u.count, 3);
}

static void test_absolute(void **state)
{
	struct imap_url u =
		must("imap://joe%40example.org;AUTH=*@mail.example.org:143/INBOX/;uid=20");

	(void)state;
	assert_true(u.absolute);
	assert_slice(u.user, "joe@example.org");
	assert_slice(u.host, "mail.example.org");
	assert_slice(u.mailbox, "INBOX");
	assert_int_equal(u.access, URL_NO_ACCESS);
	u = must("IMAP://[::1]/INBOX/;UID=1");
	assert_slice(u.host, "[::1]");
	assert_null(u.user.p);
	u = must("imap://a@b@c/x/;UID=1");
	assert_slice(u.user, "a@b");
}

static void test_authorised(void **state)
{
	struct imap_url u = must("imap://joe@example.org/INBOX/;uid=20/;section=1.2"
				 ";expire=2026-02-12T12:45:14.5+01:00;urlauth=submit+fred"
				 ":internal:" TOKEN);

	(void)state;
	assert_slice(u.section, "1.2");
	assert_true(u.expires);
	assert_int_equal(u.expire, 1770896714);
	assert_int_equal(u.access, URL_SUBMIT);
	assert_slice(u.access_user, "fred");
	assert_slice(u.rump, "imap://joe@example.org/INBOX/;uid=20/;section=1.2"
			     ";expire=2026-02-12T12:45:14.5+01:00;urlauth=submit+fred");
	assert_slice(u.mechanism, "internal");
	assert_slice(u.token, TOKEN);
	u = must("imap://joe@h/INBOX/;uid=20;urlauth=user+fred@example.org");
	assert_slice(u.access_user, "fred@example.org");
	assert_int_equal(u.token.n, 0);
	u = must("imap://joe@h/INBOX/;uid=20;urlauth=authuser");
	assert_int_equal(u.access, URL_AUTHUSER);
	u = must("imap://joe@h/INBOX/;uid=20;urlauth=anonymous");
	assert_int_equal(u.access, URL_ANONYMOUS);
}

static void test_bad(void **state)
{
	static const char *const bad[] = {
		"",
		"/",
		"/INBOX",
		"/INBOX/",
		"/INBOX;UID=1x",
		"/INBOX/;UID=0",
		"/INBOX/;UID=",
		"/INBOX/;UID=-1",
		"/INBOX;UIDVALIDITY=0/;UID=1",
		"/INBOX;UIDVALIDITY=1;UID=1",
		";UIDVALIDITY=1/;UID=1",
		"/INBOX?SUBJECT%20x",
		"/IN BOX/;UID=1",
		"/IN%00BOX/;UID=1",
		"/IN%0aBOX/;UID=1",
		"/IN%ffBOX/;UID=1",
		"/IN%2/;UID=1",
		"/IN%zz/;UID=1",
		"//host/x/;UID=1",
		"imap://h//x/;UID=1",
		"/x/;UID=1/;SECTION=",
		"/x/;UID=1/;PARTIAL=",
		"/x/;UID=1/;PARTIAL=1.0",
		"/x/;UID=1/;PARTIAL=1.",
		"/x/;UID=1/",
		"/x/;UID=1;EXPIRE=2026-02-12T12:45:14Z",
		"/x/;UID=1;EXPIRE=2026-02-30T12:45:14Z;URLAUTH=anonymous",
		"/x/;UID=1;URLAUTH=",
		"/x/;UID=1;URLAUTH=nobody",
		"/x/;UID=1;URLAUTH=user+",
		"/x/;UID=1;URLAUTH=anonymous:internal:",
		"/x/;UID=1;URLAUTH=anonymous:internal:0123456789",
		"/x/;UID=1;URLAUTH=anonymous:internal:" TOKEN "g",
		"/x/;UID=1;URLAUTH=anonymous::",
		"imap:///x/;UID=1",
		"imap://h",
		"imap://h/",
		"imap://h:x/x/;UID=1",
		"imap://h:65536/x/;UID=1",
		"imap://h:1:2/x/;UID=1",
		"imap://[::1/x/;UID=1",
		"imap://[]/x/;UID=1",
		"imap://h h/x/;UID=1",
		"imap://u;BAD=1@h/x/;UID=1",
		"http://h/x/;UID=1",
	};
	struct imap_url u;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (imap_url_parse(slice_cstr(bad[i]), &arena, &u) == 0) {
			fail_msg("parses: %s", bad[i]);
		}
	}
	assert_int_equal(imap_url_parse(S("/x/;UID=4294967296"), &arena, &u), -ERANGE);
	assert_int_equal(imap_url_parse(S("/x/;UID=1/;PARTIAL=18446744073709551616"), &arena, &u),
			 -ERANGE);
}

static void test_long(void **state)
{
	struct buf b = BUF_INIT(1 << 20);
	struct imap_url u;

	(void)state;
	buf_addc(&b, '/');
	while (b.n < IMAP_URL_MAX - 7) {
		buf_addc(&b, 'x');
	}
	buf_adds(&b, "/;UID=1");
	assert_int_equal(b.n, IMAP_URL_MAX);
	assert_int_equal(imap_url_parse(buf_slice(&b), &arena, &u), 0);
	buf_addc(&b, '0');
	assert_int_equal(imap_url_parse(buf_slice(&b), &arena, &u), -EMSGSIZE);
	buf_fini(&b);
}

static void test_put(void **state)
{
	static const char *const pairs[][2] = {
		{ "imap://joe@H/IN%42OX;uidvalidity=1/;uid=2;section=1.2;partial=0.5",
		  "imap://joe@H/INBOX;UIDVALIDITY=1/;UID=2/;SECTION=1.2/;PARTIAL=0.5" },
		{ "/a%3bb/;UID=1", "/a%3Bb/;UID=1" },
		{ ";UID=1", ";UID=1" },
		{ "x/;UID=1/;PARTIAL=3", "x/;UID=1/;PARTIAL=3" },
		{ "imap://a@b@c/x/;UID=1;EXPIRE=2024-02-29T23:00:00-01:00;URLAUTH=user+d@e"
		  ":INTERNAL:" TOKEN,
		  "imap://a%40b@c/x/;UID=1;EXPIRE=2024-03-01T00:00:00Z;URLAUTH=user+d%40e"
		  ":INTERNAL:" TOKEN },
		{ "/x/;UID=1;EXPIRE=1969-12-31T23:59:59Z;URLAUTH=authuser",
		  "/x/;UID=1;EXPIRE=1969-12-31T23:59:59Z;URLAUTH=authuser" },
		{ "/x/;UID=1;EXPIRE=0999-01-01T00:00:00Z;URLAUTH=anonymous",
		  "/x/;UID=1;EXPIRE=0999-01-01T00:00:00Z;URLAUTH=anonymous" },
		{ "/x/;UID=1;EXPIRE=9999-12-31T23:59:60Z;URLAUTH=anonymous",
		  "/x/;UID=1;EXPIRE=10000-01-01T00:00:00Z;URLAUTH=anonymous" },
	};
	struct buf b = BUF_INIT(1 << 16);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		struct imap_url u = must(pairs[i][0]);

		buf_reset(&b);
		imap_url_put(&b, &u);
		assert_string_equal(buf_cstr(&b), pairs[i][1]);
	}
	buf_fini(&b);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = { T(test_relative), T(test_absolute), T(test_authorised),
					    T(test_bad),      T(test_long),	T(test_put) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
