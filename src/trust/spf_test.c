/*
 * SPF at its limits (THREATS AN-01, AN-04): what the public suite, which
 * spf_suite_test runs, does not ask.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "co/test_loop.h"
#include "trust/spf_impl.h"

struct world {
	struct dns *dns;
	struct arena arena;
	struct spf_outcome out;
};

static int setup(void **state)
{
	struct world *w = xcalloc(1, sizeof(*w));

	arena_init(&w->arena, 1 << 20);
	*state = w;
	return dns_mem_new(&w->dns);
}

static int teardown(void **state)
{
	struct world *w = *state;

	dns_free(&w->dns);
	arena_fini(&w->arena);
	free(w);
	return 0;
}

static void add(struct world *w, const char *name, enum dns_type type, const char *value)
{
	assert_int_equal(dns_mem_text(w->dns, name, type, value), 0);
}

static void check_at(struct world *w, const char *ip, struct slice helo, struct slice sender,
		     int64_t deadline, enum trust_result want)
{
	struct spf_query q = { .helo = helo, .sender = sender, .receiver = S("mx.test"), .now = 1 };

	co_enter();
	if (*ip) {
		assert_int_equal(net_addr_parse(slice_cstr(ip), 25, &q.ip), 0);
	}
	assert_int_equal(spf_check(w->dns, &q, deadline, &w->arena, &w->out), 0);
	assert_string_equal(trust_result_name(w->out.result), trust_result_name(want));
	assert_true((want == TRUST_TEMPERROR || want == TRUST_PERMERROR) == (w->out.problem.n > 0));
}

static void check(struct world *w, const char *sender, enum trust_result want)
{
	check_at(w, "192.0.2.1", S("helo.test"), slice_cstr(sender), 0, want);
}

/* One record for an otherwise empty domain. */
static void check_record(struct world *w, const char *record, enum trust_result want)
{
	struct dns *outer = w->dns;

	assert_int_equal(dns_mem_new(&w->dns), 0);
	add(w, "x.test", DNS_TXT, record);
	check(w, "a@x.test", want);
	dns_free(&w->dns);
	w->dns = outer;
}

static void says(struct slice text, const char *part)
{
	assert_true(slice_find(text, slice_cstr(part)) != SIZE_MAX);
}

/* ---- syntax --------------------------------------------------------------------- */

static const char *const bad_syntax[] = {
	"v=spf1 -al",
	"v=spf1 all:x.test",
	"v=spf1 all/8",
	"v=spf1 ip4:192.0.2",
	"v=spf1 ip4",
	"v=spf1 ip4:",
	"v=spf1 ip4:1.2.3.4/33",
	"v=spf1 ip4:1.2.3.4/",
	"v=spf1 ip4:1.2.3.4/08",
	"v=spf1 ip4:1.2.3.4//8",
	"v=spf1 ip6:::1/129",
	"v=spf1 ip6:1.2.3.4",
	"v=spf1 ip6:[::1]",
	"v=spf1 ip4:*",
	"v=spf1 a/",
	"v=spf1 a//",
	"v=spf1 a/33",
	"v=spf1 a//129",
	"v=spf1 a/24/64",
	"v=spf1 a:",
	"v=spf1 a:/24",
	"v=spf1 a:x.test/24/",
	"v=spf1 include",
	"v=spf1 include:x.test/24",
	"v=spf1 ptr/24",
	"v=spf1 exists",
	"v=spf1 redirect=",
	"v=spf1 redirect:x.test",
	"v=spf1 exp=a",
	"v=spf1 %",
	"v=spf1 a:%{d",
	"v=spf1 a:%{}.test",
	"v=spf1 a:%{x}.test",
	"v=spf1 a:%{d0}.test",
	"v=spf1 a:%{dr2}.test",
	"v=spf1 a:%{d}test",
	"v=spf1 a:%{c}.test",
	"v=spf1 a:%{d!}.test",
	"v=spf1 a:b.123",
	"v=spf1 a:b.-c",
	"v=spf1 a:b.c-",
	"v=spf1 a:b..",
	"v=spf1 2x=y",
	"v=spf1 =y",
	"v=spf1 x=%",
	"v=spf1 -x=y",
	"v=spf1 \ta",
	"v=spf1 a:b\x80.test",
	"v=spf1 ++all",
	"v=spf1 - all",
	"v=spf1 ip4=1.2.3.4 redirect=a.b redirect=a.b",
};

static const char *const good_syntax[] = {
	"v=spf1",
	"v=spf1   ",
	"V=SPF1 ?ALL",
	"v=spf1 A/0//0",
	"v=spf1 mx//64",
	"v=spf1 a:%%%_%-.b.test",
	"v=spf1 x=",
	"v=spf1 x-y_z.1=%{d}a b",
	"v=spf1 a:%{d99999999999r.-+,/_=}",
	"v=spf1 ip6:::ffff:1.2.3.4/128",
	"v=spf1 a:b.1-c.",
	"v=spf1 ptr:q.test",
};

static void test_syntax(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(bad_syntax); i++) {
		check_record(*state, bad_syntax[i], TRUST_PERMERROR);
	}
	for (size_t i = 0; i < ARRAY_LEN(good_syntax); i++) {
		struct slice rest = slice_from(slice_cstr(good_syntax[i]), 6);
		struct spf_term t;
		int r = 0;

		while ((r = spf_term_next(&rest, &t)) == 1) {
		}
		/* "b" behind the unknown modifier is no mechanism. */
		assert_int_equal(r, slice_ends(slice_cstr(good_syntax[i]), S(" b")) ? -EINVAL : 0);
	}
	check_record(*state, "v=spf10 +all", TRUST_NONE);
	check_record(*state, "v=spf1\t+all", TRUST_NONE);
	check_record(*state, "V=SPF1 ?ALL", TRUST_NEUTRAL);
}

static void test_networks(void **state)
{
	struct world *w = *state;

	check_record(w, "v=spf1 ip4:192.0.2.0/31 -all", TRUST_PASS);
	check_record(w, "v=spf1 ip4:192.0.2.0 -all", TRUST_FAIL);
	check_record(w, "v=spf1 ip4:203.0.113.9/0 -all", TRUST_PASS);
	check_record(w, "v=spf1 ip4:192.0.3.0/23 -all", TRUST_PASS);
	check_record(w, "v=spf1 ip6:::/0 -all", TRUST_FAIL);
	check_record(w, "v=spf1 ~ip4:192.0.2.1", TRUST_SOFTFAIL);
	assert_true(slice_eq(w->out.mechanism, S("~ip4:192.0.2.1")));
	add(w, "six.test", DNS_TXT, "v=spf1 ip6:2001:db8:8000::/33 ?ip4:192.0.2.1 -all");
	check_at(w, "2001:db8:ffff::1", S(""), S("a@six.test"), 0, TRUST_PASS);
	check_at(w, "2001:db8:7fff::1", S(""), S("a@six.test"), 0, TRUST_FAIL);
	check_at(w, "::ffff:192.0.2.1", S(""), S("a@six.test"), 0, TRUST_NEUTRAL);
	/* From a unix socket there is nothing to check. */
	check_at(w, "", S(""), S("a@six.test"), 0, TRUST_NONE);
}

/* ---- limits -------------------------------------------------------------------- */

static void add_chain(struct world *w, const char *term, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		char name[32];
		char record[64];

		snprintf(name, sizeof(name), "c%u.test", i);
		snprintf(record, sizeof(record), "v=spf1 %sc%u.test", term, i + 1);
		add(w, name, DNS_TXT, i + 1 < n ? record : "v=spf1 +all");
	}
}

static void test_ten_terms(void **state)
{
	struct world *w = *state;

	add_chain(w, "include:", 12);
	check(w, "a@c1.test", TRUST_PASS);
	assert_int_equal(w->out.terms, 10);
	assert_true(slice_eq(w->out.mechanism, S("include:c2.test")));
	check(w, "a@c0.test", TRUST_PERMERROR);
	says(w->out.problem, "more than 10 terms");
	assert_true(w->out.mechanism.n == 0);
	check_record(w,
		     "v=spf1 ip4:1.2.3.4 ip4:1.2.3.4 ip4:1.2.3.4 ip4:1.2.3.4 ip4:1.2.3.4 "
		     "ip4:1.2.3.4 ip4:1.2.3.4 ip4:1.2.3.4 ip4:1.2.3.4 ip4:1.2.3.4 ip4:1.2.3.4 "
		     "ip4:1.2.3.4 -all",
		     TRUST_FAIL);
}

static void test_ten_redirects(void **state)
{
	struct world *w = *state;

	add_chain(w, "redirect=", 12);
	check(w, "a@c1.test", TRUST_PASS);
	assert_true(slice_eq(w->out.mechanism, S("+all")));
	check(w, "a@c0.test", TRUST_PERMERROR);
}

static void test_loops(void **state)
{
	struct world *w = *state;
	size_t before;

	add(w, "inc.test", DNS_TXT, "v=spf1 include:inc.test -all");
	add(w, "red.test", DNS_TXT, "v=spf1 redirect=red.test");
	add_chain(w, "include:", 1000);
	check(w, "a@inc.test", TRUST_PERMERROR);
	check(w, "a@red.test", TRUST_PERMERROR);
	before = dns_mem_count(w->dns);
	check(w, "a@c0.test", TRUST_PERMERROR);
	assert_int_equal(dns_mem_count(w->dns) - before, 11);
}

static void test_voids(void **state)
{
	struct world *w = *state;

	add(w, "two.test", DNS_TXT, "v=spf1 a:no.test mx:no.test -all");
	add(w, "three.test", DNS_TXT, "v=spf1 a:no.test mx:no.test exists:no.test ?all");
	/* Neither names that cannot be nor missing explanations are asked for. */
	add(w, "none.test", DNS_TXT, "v=spf1 a:..test a:..test a:..test -all exp=no.test");
	check(w, "a@two.test", TRUST_FAIL);
	assert_int_equal(w->out.voids, 2);
	check(w, "a@three.test", TRUST_PERMERROR);
	says(w->out.problem, "more than 2 questions");
	check(w, "a@none.test", TRUST_FAIL);
	assert_int_equal(w->out.voids, 0);
}

static void add_many(struct world *w, const char *name, enum dns_type type, const char *fmt,
		     unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		char value[64];

		snprintf(value, sizeof(value), "%s%u.test", fmt, i);
		add(w, name, type, value);
	}
}

static void test_mx_hosts(void **state)
{
	struct world *w = *state;

	add(w, "x.test", DNS_TXT, "v=spf1 mx -all");
	add_many(w, "x.test", DNS_MX, "10 m", 10);
	for (unsigned i = 0; i < 10; i++) {
		char name[32];

		snprintf(name, sizeof(name), "m%u.test", i);
		add(w, name, DNS_A, i == 9 ? "192.0.2.1" : "192.0.2.2");
	}
	check(w, "a@x.test", TRUST_PASS);
	add(w, "x.test", DNS_MX, "10 m0.test");
	check(w, "a@x.test", TRUST_PERMERROR);
	says(w->out.problem, "mx has more than 10");
}

/* MX of 0, 1 and 2 octets, a null MX, one with odd octets, addresses too short. */
static void test_damaged(void **state)
{
	static const struct slice bad[] = { { "", 0 },		 { "\0", 1 },
					    { "\0\1", 2 },	 { "\0\1\0", 3 },
					    { "\0\1\1\0\0", 5 }, { "\0\1\300\0", 4 } };
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(dns_mem_add(w->dns, "x.test", DNS_MX, bad[i]), 0);
	}
	assert_int_equal(dns_mem_add(w->dns, "x.test", DNS_A, S("\300\0\2")), 0);
	assert_int_equal(dns_mem_add(w->dns, "x.test", DNS_TXT, S("\377v=spf1 +all")), 0);
	assert_int_equal(dns_mem_add(w->dns, "x.test", DNS_TXT, S("")), 0);
	add(w, "x.test", DNS_TXT, "v=spf1 mx a -all");
	check(w, "a@x.test", TRUST_FAIL);
	assert_int_equal(dns_mem_add(w->dns, "nul.test", DNS_TXT, S("\13v=spf1 +\0al")), 0);
	check(w, "a@nul.test", TRUST_PERMERROR);
	says(w->out.problem, "syntax error");
}

static void test_records(void **state)
{
	struct world *w = *state;

	add(w, "two.test", DNS_TXT, "v=spf1 +all");
	add(w, "two.test", DNS_TXT, "v=spf1 +all");
	add(w, "inc.test", DNS_TXT, "v=spf1 include:two.test -all");
	add(w, "red.test", DNS_TXT, "v=spf1 redirect=no.test");
	add(w, "other.test", DNS_TXT, "v=DKIM1");
	assert_int_equal(dns_mem_fail(w->dns, "dead.test", DNS_TXT, DNS_FAIL), 0);
	check(w, "a@two.test", TRUST_PERMERROR);
	says(w->out.problem, "two.test has more than one");
	check(w, "a@inc.test", TRUST_PERMERROR);
	check(w, "a@red.test", TRUST_PERMERROR);
	check(w, "a@other.test", TRUST_NONE);
	check(w, "a@no.test", TRUST_NONE);
	check(w, "a@dead.test", TRUST_TEMPERROR);
	says(w->out.problem, "TXT of dead.test");
}

/* ---- macros ------------------------------------------------------------------------ */

static void test_macro_bomb(void **state)
{
	static char record[60000];
	struct world *w = *state;
	int n = snprintf(record, sizeof(record), "v=spf1 exists:");

	while (n < 59900) {
		n += snprintf(record + n, sizeof(record) - (size_t)n, "%%{s}.%%{ir}.%%{S}");
	}
	snprintf(record + n, sizeof(record) - (size_t)n, ".%%{d} -all");
	add(w, "x.test", DNS_TXT, record);
	check(w, "a\"b c\\d@x.test", TRUST_FAIL);
	assert_int_equal(w->out.voids, 1);
	/* A literal of any length, too. */
	n = snprintf(record, sizeof(record), "v=spf1 exists:");
	while (n < 59900) {
		n += snprintf(record + n, sizeof(record) - (size_t)n, "abcdefgh.");
	}
	snprintf(record + n, sizeof(record) - (size_t)n, "y.test -all");
	add(w, "y.test", DNS_TXT, record);
	check(w, "a@y.test", TRUST_FAIL);
	assert_int_equal(w->out.voids, 1);
}

static void test_explanation(void **state)
{
	static char text[20000];
	struct world *w = *state;
	int n = 0;

	add(w, "x.test", DNS_TXT, "v=spf1 -all exp=why.%{d}");
	add(w, "why.x.test", DNS_TXT, "%{i} is not %{s} at %{r}, %{t}; %{H} %{p} 100%%");
	check_at(w, "192.0.2.1", S("a b\r\nc"), S("\xc3\xa9@x.test"), 0, TRUST_FAIL);
	assert_string_equal(w->out.explanation.p, "192.0.2.1 is not ??@x.test at mx.test, 1; "
						  "a%20b%0D%0Ac unknown 100%");
	while (n < 19900) {
		n += snprintf(text + n, sizeof(text) - (size_t)n, "%%{s}%%{S} ");
	}
	add(w, "y.test", DNS_TXT, "v=spf1 -all exp=why.y.test");
	add(w, "why.y.test", DNS_TXT, text);
	check(w, "a@y.test", TRUST_FAIL);
	assert_int_equal(w->out.explanation.n, SPF_EXPLANATION_MAX);
}

static void test_ptr(void **state)
{
	struct world *w = *state;
	const char *rev = "1.2.0.192.in-addr.arpa";

	add(w, "x.test", DNS_TXT, "v=spf1 ptr -all");
	add(w, "p.test", DNS_TXT, "v=spf1 exists:%{p}.ok.test exists:%{p1r}.ok.test ptr:in.test");
	assert_int_equal(dns_mem_add(w->dns, rev, DNS_PTR, S("\3a.b\1x\4test\0")), 0);
	add_many(w, rev, DNS_PTR, "no", 8);
	add(w, rev, DNS_PTR, "host.in.test");
	add(w, rev, DNS_PTR, "late.x.test");
	add(w, "a.b.x.test", DNS_A, "192.0.2.1");
	add(w, "late.x.test", DNS_A, "192.0.2.1");
	add(w, "host.in.test", DNS_A, "192.0.2.1");
	add(w, "host.in.test.ok.test", DNS_A, "127.0.0.2");
	/* The eleventh name is not looked at; unknown names are no voids. */
	check(w, "a@x.test", TRUST_FAIL);
	assert_int_equal(w->out.voids, 0);
	assert_int_equal(w->out.terms, 1);
	check(w, "a@p.test", TRUST_PASS);
	assert_true(slice_eq(w->out.mechanism, S("exists:%{p}.ok.test")));
	assert_int_equal(w->out.terms, 2);
	/* No name: "unknown". An error of the reverse zone is no match. */
	check_at(w, "192.0.2.9", S(""), S("a@x.test"), 0, TRUST_FAIL);
	assert_int_equal(dns_mem_fail(w->dns, rev, DNS_PTR, DNS_FAIL), 0);
	check(w, "a@x.test", TRUST_FAIL);
}

/* ---- who is asked about -------------------------------------------------------------- */

static void test_identities(void **state)
{
	struct world *w = *state;

	add(w, "x.test", DNS_TXT, "v=spf1 exists:%{l}.%{o}.%{h} -all");
	add(w, "postmaster.x.test.x.test", DNS_A, "127.0.0.2");
	check_at(w, "192.0.2.1", S("x.test"), S(""), 0, TRUST_PASS);
	assert_string_equal(w->out.domain.p, "x.test");
	check_at(w, "192.0.2.1", S("x.test."), S("@x.test."), 0, TRUST_PASS);
	check_at(w, "192.0.2.1", S("x.test"), S("x.test"), 0, TRUST_PASS);
	check_at(w, "192.0.2.1", S("x.test"), S("a@b@x.test"), 0, TRUST_FAIL);
	check_at(w, "192.0.2.1", S("[192.0.2.1]"), S(""), 0, TRUST_NONE);
	check_at(w, "192.0.2.1", S(""), S(""), 0, TRUST_NONE);
	check_at(w, "192.0.2.1", S("x.test"), S("a@"), 0, TRUST_NONE);
	check_at(w, "192.0.2.1", S("x.test"), S("a@test"), 0, TRUST_NONE);
	check_at(w, "192.0.2.1", S("x.test"), S("a@x\0y.test"), 0, TRUST_NONE);
	check_at(w, "192.0.2.1", S("x\0y"), S("a@x.test"), 0, TRUST_FAIL);
}

/* RFC 8616 4: U-labels are asked for as A-labels, odd local parts match nothing. */
static void test_international(void **state)
{
	struct world *w = *state;

	add(w, "xn--bcher-kva.test", DNS_TXT, "v=spf1 exists:%{o} -all");
	add(w, "xn--bcher-kva.test", DNS_A, "127.0.0.2");
	check(w,
	      "a@b\xc3\xbc"
	      "cher.test",
	      TRUST_PASS);
	assert_string_equal(w->out.domain.p, "xn--bcher-kva.test");
	check(w, "a@b\xff.test", TRUST_NONE);
	add(w, "l.test", DNS_TXT, "v=spf1 exists:%{l}.l.test include:%{l}.l.test ?all");
	add(w, "\\195\\169.l.test", DNS_A, "127.0.0.2");
	add(w, "r.test", DNS_TXT, "v=spf1 redirect=%{l}.l.test");
	check(w, "\xc3\xa9@l.test", TRUST_NEUTRAL);
	check(w, "\xc3\xa9@r.test", TRUST_PERMERROR);
}

/* ---- time ------------------------------------------------------------------------------ */

/* Answers everything with an include of something else, and notes deadlines. */
struct slow {
	struct dns dns;
	struct dns *mem;
	int64_t first;
	bool same;
};

static int slow_query(struct dns *d, const char *name, enum dns_type type, int64_t deadline,
		      struct arena *a, struct dns_answer *out)
{
	struct slow *s = (struct slow *)d;

	s->first = s->first ? s->first : deadline;
	s->same = s->same && s->first == deadline;
	return s->mem->ops->query(s->mem, name, type, deadline, a, out);
}

static void test_deadline(void **state)
{
	static const struct dns_ops ops = { .query = slow_query };
	struct world *w = *state;
	struct slow slow = { .dns = { &ops, 60000 }, .mem = w->dns, .same = true };
	int64_t now = clock_mono();

	add_chain(w, "include:", 5);
	w->dns = &slow.dns;
	/* One deadline for all of it. */
	check(w, "a@c0.test", TRUST_PASS);
	assert_true(slow.same && slow.first >= now + SPF_TIMEOUT_MS * NSEC_PER_MSEC);
	assert_true(slow.first <= clock_in_ms(SPF_TIMEOUT_MS));
	check_at(w, "192.0.2.1", S(""), S("a@c0.test"), now, TRUST_TEMPERROR);
	says(w->out.problem, "timed out");
	w->dns = slow.mem;
}

static void run_cancelled(void *arg)
{
	struct world *w = arg;
	struct spf_query q = { .sender = S("a@c0.test") };

	co_enter();
	net_addr_parse(S("192.0.2.1"), 25, &q.ip);
	co_cancel(co_self());
	assert_int_equal(spf_check(w->dns, &q, 0, &w->arena, &w->out), -ECANCELED);
}

static void test_cancelled(void **state)
{
	struct world *w = *state;

	add_chain(w, "include:", 5);
	test_run_loop(run_cancelled, w);
}

static void test_memory(void **state)
{
	struct world *w = *state;
	struct spf_query q = { .sender = S("a@c0.test") };
	struct arena small;

	co_enter();
	add_chain(w, "include:", 5);
	net_addr_parse(S("192.0.2.1"), 25, &q.ip);
	arena_init(&small, 16);
	assert_int_equal(spf_check(w->dns, &q, 0, &small, &w->out), -ENOMEM);
	arena_fini(&small);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_syntax),	       T(test_networks),      T(test_ten_terms),
		T(test_ten_redirects), T(test_loops),	      T(test_voids),
		T(test_mx_hosts),      T(test_damaged),	      T(test_records),
		T(test_macro_bomb),    T(test_explanation),   T(test_ptr),
		T(test_identities),    T(test_international), T(test_deadline),
		T(test_cancelled),     T(test_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
