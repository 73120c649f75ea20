/*
 * Names as text and on the wire, RDATA of enemies (THREATS OU-06), and the
 * table that tests use instead of a resolver.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "co/test_loop.h"
#include "io/dns.h"

#define OCTETS(lit) S(lit)

/* ---- names ---------------------------------------------------------------- */

static void check_text(struct slice name, int want_r, const char *want)
{
	struct buf out = BUF_INIT(DNS_TEXT_MAX + 1);

	assert_int_equal(dns_name_text(name, &out), want_r);
	assert_string_equal(buf_cstr(&out), want);
	buf_fini(&out);
}

static void test_name_text(void **state)
{
	(void)state;
	check_text(S("Example.ORG"), 0, "Example.ORG");
	check_text(S("example.org."), 0, "example.org");
	check_text(S("_spf.a-b"), 0, "_spf.a-b");
	check_text(S("a b\\.c\"d;\x80\x7f"), 0, "a\\032b\\092.c\\034d\\059\\128\\127");
	check_text(S(""), -EINVAL, "");
	check_text(S("."), -EINVAL, "");
	check_text(S(".a"), -EINVAL, "");
	check_text(S("a.."), -EINVAL, "");
	check_text(S("a..b"), -EINVAL, "");
	check_text(S("a\0b"), -EINVAL, "");
}

static void test_name_lengths(void **state)
{
	char name[DNS_NAME_MAX + 2];
	struct buf out = BUF_INIT(2 * DNS_TEXT_MAX);
	struct buf wire = BUF_INIT(512);

	(void)state;
	memset(name, 1, sizeof(name));
	assert_int_equal(dns_name_text(slice_make(name, 64), &out), -EINVAL);
	for (size_t i = 63; i < sizeof(name); i += 64) {
		name[i] = '.';
	}
	assert_int_equal(dns_name_text(slice_make(name, 254), &out), -EINVAL);
	/* 253 octets as text are 255 on the wire, all of them odd here. */
	assert_int_equal(dns_name_text(slice_make(name, 253), &out), 0);
	assert_int_equal(out.n, 253 * 4 - 3 * 3);
	assert_int_equal(dns_name_wire(buf_slice(&out), &wire), 0);
	assert_int_equal(wire.n, 255);
	buf_addc(&out, 'x');
	assert_int_equal(dns_name_wire(buf_slice(&out), &wire), -EINVAL);
	assert_int_equal(wire.n, 255);
	buf_fini(&out);
	buf_fini(&wire);
}

static void check_wire(struct slice text, struct slice want)
{
	struct buf out = BUF_INIT(512);
	int r = dns_name_wire(text, &out);

	assert_int_equal(r, want.n ? 0 : -EINVAL);
	assert_true(slice_eq(buf_slice(&out), want));
	buf_fini(&out);
}

static void test_name_wire(void **state)
{
	(void)state;
	check_wire(S("a.bc"), OCTETS("\1a\2bc\0"));
	check_wire(S("a.bc."), OCTETS("\1a\2bc\0"));
	check_wire(S("."), OCTETS("\0"));
	check_wire(S("\\046\\255\\.\\\\"), OCTETS("\4.\xff.\\\0"));
	check_wire(S(""), S(""));
	check_wire(S("a..b"), S(""));
	check_wire(S(".a"), S(""));
	check_wire(S("\\256"), S(""));
	check_wire(S("\\25"), S(""));
	check_wire(S("a\\"), S(""));
}

/* ---- RDATA ------------------------------------------------------------------ */

static void check_name(struct slice rdata, size_t used, const char *want)
{
	struct buf out = BUF_INIT(DNS_TEXT_MAX + 1);

	assert_int_equal(dns_rdata_name(rdata, &out), used);
	assert_string_equal(buf_cstr(&out), want);
	buf_fini(&out);
}

static void test_rdata_name(void **state)
{
	char big[300];

	(void)state;
	check_name(OCTETS("\1a\2bc\0"), 6, "a.bc");
	check_name(OCTETS("\1a\2bc\0more"), 6, "a.bc");
	check_name(OCTETS("\0"), 1, ".");
	check_name(OCTETS("\3a.b\0"), 5, "a\\046b");
	check_name(OCTETS("\1\0\0"), 3, "\\000");
	check_name(S(""), 0, "");
	check_name(OCTETS("\1a"), 0, "");
	check_name(OCTETS("\2a"), 0, "");
	check_name(OCTETS("\1a\300\0"), 0, "");
	check_name(OCTETS("\300\0"), 0, "");
	check_name(OCTETS("\100a"), 0, "");
	memset(big, 1, sizeof(big));
	big[254] = 0;
	assert_int_equal(dns_rdata_name(slice_make(big, 255), &(struct buf){ .max = 0 }), 255);
	memset(big, 1, sizeof(big));
	big[256] = 0;
	check_name(slice_make(big, 257), 0, "");
}

static void test_rdata_addr(void **state)
{
	struct net_addr a;
	char text[NET_ADDR_TEXT_MAX];

	(void)state;
	assert_int_equal(dns_rdata_addr(DNS_A, OCTETS("\300\0\2\1"), &a), 0);
	assert_string_equal(net_addr_text(&a, text), "192.0.2.1");
	assert_int_equal(dns_rdata_addr(DNS_AAAA, OCTETS("\x20\1\r\xb8\0\0\0\0\0\0\0\0\0\0\0\1"),
					&a),
			 0);
	assert_string_equal(net_addr_text(&a, text), "2001:db8::1");
	assert_int_equal(dns_rdata_addr(DNS_A, OCTETS("\300\0\2"), &a), -EINVAL);
	assert_int_equal(dns_rdata_addr(DNS_A, OCTETS("\300\0\2\1\1"), &a), -EINVAL);
	assert_int_equal(dns_rdata_addr(DNS_A, S(""), &a), -EINVAL);
	assert_int_equal(dns_rdata_addr(DNS_AAAA, OCTETS("\300\0\2\1"), &a), -EINVAL);
	assert_int_equal(dns_rdata_addr(DNS_MX, OCTETS("\300\0\2\1"), &a), -EINVAL);
}

static void test_rdata_mx(void **state)
{
	static const struct slice bad[] = { { "", 0 },		 { "\0", 1 },
					    { "\0\1", 2 },	 { "\0\1\5a", 4 },
					    { "\0\1\1a\0x", 6 }, { "\0\1\300\0", 4 },
					    { "\0\1\1a\1", 5 } };
	struct buf out = BUF_INIT(DNS_TEXT_MAX);
	uint16_t pref = 7;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(dns_rdata_mx(bad[i], &pref, &out), -EINVAL);
		assert_int_equal(out.n, 0);
		assert_int_equal(pref, 7);
	}
	assert_int_equal(dns_rdata_mx(OCTETS("\1\2\1a\0"), &pref, &out), 0);
	assert_int_equal(pref, 258);
	assert_string_equal(buf_cstr(&out), "a");
	buf_reset(&out);
	assert_int_equal(dns_rdata_mx(OCTETS("\0\0\0"), &pref, &out), 0);
	assert_string_equal(buf_cstr(&out), ".");
	buf_fini(&out);
}

static void test_rdata_txt(void **state)
{
	struct buf out = BUF_INIT(1024);

	(void)state;
	assert_int_equal(dns_rdata_txt(OCTETS("\3v=s\2pf\0"), &out), 0);
	assert_string_equal(buf_cstr(&out), "v=spf");
	assert_int_equal(dns_rdata_txt(OCTETS("\0"), &out), 0);
	assert_int_equal(dns_rdata_txt(OCTETS("\3v=s\3pf"), &out), -EINVAL);
	assert_int_equal(dns_rdata_txt(OCTETS("\377a"), &out), -EINVAL);
	assert_int_equal(dns_rdata_txt(S(""), &out), -EINVAL);
	assert_string_equal(buf_cstr(&out), "v=spf");
	buf_fini(&out);
}

static void test_rdata_tlsa(void **state)
{
	struct dns_tlsa t = { 0 };

	(void)state;
	for (size_t n = 0; n <= 3; n++) {
		assert_int_equal(dns_rdata_tlsa(slice_make("\3\1\1", n), &t), -EINVAL);
	}
	assert_int_equal(dns_rdata_tlsa(OCTETS("\3\1\2x"), &t), 0);
	assert_int_equal(t.usage, 3);
	assert_int_equal(t.selector, 1);
	assert_int_equal(t.matching, 2);
	assert_true(slice_eq(t.data, S("x")));
}

static void check_reverse(const char *addr, struct slice suffix, const char *want)
{
	struct buf out = BUF_INIT(DNS_NAME_MAX);
	struct net_addr a;

	assert_int_equal(net_addr_parse(slice_cstr(addr), 25, &a), 0);
	dns_reverse_name(&a, suffix, &out);
	assert_string_equal(buf_cstr(&out), want);
	buf_fini(&out);
}

static void test_reverse(void **state)
{
	(void)state;
	check_reverse("192.0.2.10", S(""), "10.2.0.192.in-addr.arpa");
	check_reverse("::ffff:192.0.2.10", S(""), "10.2.0.192.in-addr.arpa");
	check_reverse("192.0.2.10", S("bl.example"), "10.2.0.192.bl.example");
	check_reverse("2001:db8::567:89ab", S(""),
		      "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa");
}

/* ---- the table ---------------------------------------------------------------- */

static enum dns_result ask(struct dns *d, const char *name, enum dns_type type, struct arena *a,
			   struct dns_answer *out)
{
	co_enter();
	assert_int_equal(dns_query(d, slice_cstr(name), type, 0, a, out), 0);
	assert_true((out->result == DNS_FAIL) == (out->why != NULL));
	assert_true((out->result == DNS_OK) == (out->n > 0));
	return out->result;
}

static void add(struct dns *d, const char *name, enum dns_type type, const char *value)
{
	assert_int_equal(dns_mem_text(d, name, type, value), 0);
}

static void test_mem(void **state)
{
	struct dns *d = NULL;
	struct dns_answer ans;
	struct arena a;

	(void)state;
	arena_init(&a, 1 << 20);
	assert_int_equal(dns_mem_new(&d), 0);
	add(d, "Example.org.", DNS_A, "192.0.2.1");
	add(d, "example.org", DNS_A, "192.0.2.2");
	add(d, "example.org", DNS_MX, "10 mail.example.org");
	add(d, "alias.org", DNS_CNAME, "EXAMPLE.org");
	add(d, "loop.org", DNS_CNAME, "loop.org");
	assert_int_equal(dns_mem_fail(d, "example.org", DNS_AAAA, DNS_FAIL), 0);
	assert_int_equal(dns_mem_fail(d, "dead.org", 0, DNS_FAIL), 0);
	assert_int_equal(dns_mem_text(d, "x", DNS_A, "::1"), -EINVAL);
	assert_int_equal(dns_mem_text(d, "x", DNS_MX, "mail"), -EINVAL);
	assert_int_equal(dns_mem_text(d, "x", DNS_TLSA, ""), -EINVAL);

	assert_int_equal(ask(d, "EXAMPLE.ORG", DNS_A, &a, &ans), DNS_OK);
	assert_int_equal(ans.n, 2);
	assert_true(slice_eq(ans.rdata[1], OCTETS("\300\0\2\2")));
	assert_int_equal(ask(d, "example.org.", DNS_MX, &a, &ans), DNS_OK);
	assert_true(slice_eq(ans.rdata[0], OCTETS("\0\12\4mail\7example\3org\0")));
	assert_int_equal(ask(d, "alias.org", DNS_A, &a, &ans), DNS_OK);
	assert_int_equal(ask(d, "alias.org", DNS_CNAME, &a, &ans), DNS_OK);
	assert_int_equal(ask(d, "alias.org", DNS_TXT, &a, &ans), DNS_NODATA);
	assert_int_equal(ask(d, "alias.org", DNS_AAAA, &a, &ans), DNS_FAIL);
	assert_int_equal(ask(d, "loop.org", DNS_A, &a, &ans), DNS_FAIL);
	assert_int_equal(ask(d, "dead.org", DNS_A, &a, &ans), DNS_FAIL);
	assert_int_equal(ask(d, "no.org", DNS_A, &a, &ans), DNS_NXDOMAIN);
	assert_int_equal(dns_mem_count(d), 9);
	assert_int_equal(ask(NULL, "no.org", DNS_A, &a, &ans), DNS_FAIL);
	arena_fini(&a);
	dns_free(&d);
	assert_null(d);
	dns_free(&d);
}

static void test_mem_limits(void **state)
{
	static char text[601];
	struct buf out = BUF_INIT(1024);
	struct dns *d = NULL;
	struct dns_answer ans;
	struct arena a;

	(void)state;
	arena_init(&a, 1 << 20);
	assert_int_equal(dns_mem_new(&d), 0);
	for (size_t i = 0; i < DNS_RECORDS_MAX + 5; i++) {
		add(d, "many.org", DNS_A, "192.0.2.1");
	}
	assert_int_equal(ask(d, "many.org", DNS_A, &a, &ans), DNS_OK);
	assert_int_equal(ans.n, DNS_RECORDS_MAX);
	memset(text, 'x', 600);
	add(d, "text.org", DNS_TXT, text);
	assert_int_equal(ask(d, "text.org", DNS_TXT, &a, &ans), DNS_OK);
	assert_int_equal(dns_rdata_txt(ans.rdata[0], &out), 0);
	assert_string_equal(buf_cstr(&out), text);
	/* No room in the arena is an error, not an empty answer. */
	arena_fini(&a);
	arena_init(&a, 64);
	co_enter();
	assert_int_equal(dns_query(d, S("text.org"), DNS_TXT, 0, &a, &ans), -ENOMEM);
	arena_fini(&a);
	buf_fini(&out);
	dns_free(&d);
}

static void ask_in_loop(void *arg)
{
	struct dns_answer ans;
	struct arena a;

	co_enter();
	arena_init(&a, 4096);
	assert_int_equal(dns_query(arg, S("a.."), DNS_A, 0, &a, &ans), -EINVAL);
	assert_int_equal(dns_query(arg, S("a"), DNS_A, 1, &a, &ans), 0);
	assert_int_equal(ans.result, DNS_FAIL);
	assert_string_equal(ans.why, "timed out");
	co_cancel(co_self());
	assert_int_equal(dns_query(arg, S("a"), DNS_A, 0, &a, &ans), -ECANCELED);
	arena_fini(&a);
}

static void test_ends_early(void **state)
{
	struct dns *d = NULL;

	(void)state;
	assert_int_equal(dns_mem_new(&d), 0);
	add(d, "a", DNS_A, "192.0.2.1");
	test_run_loop(ask_in_loop, d);
	dns_free(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_name_text),  cmocka_unit_test(test_name_lengths),
		cmocka_unit_test(test_name_wire),  cmocka_unit_test(test_rdata_name),
		cmocka_unit_test(test_rdata_addr), cmocka_unit_test(test_rdata_mx),
		cmocka_unit_test(test_rdata_txt),  cmocka_unit_test(test_rdata_tlsa),
		cmocka_unit_test(test_reverse),	   cmocka_unit_test(test_mem),
		cmocka_unit_test(test_mem_limits), cmocka_unit_test(test_ends_early),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
