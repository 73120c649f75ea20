/*
 * ARC: chains made with our own sealer, long ones, and what must not pass
 * (THREATS AN-05). The public suites are in arc_suite_test.c.
 */
#include "trust/test_util.h"

#include "co/co.h"
#include "trust/arc.h"
#include "trust/arc_set.h"

#define HEADER                            \
	"From: Joe <joe@example.org>\r\n" \
	"To: list@example.net\r\n"        \
	"Subject: hello\r\n"              \
	"\r\n"
#define BODY "Hi  there \r\n\r\n"
#define KEY_NAME "s._domainkey.example.net"

struct run {
	struct arena arena;
	struct dns *dns;
	struct arc_outcome out;
	struct buf m; /* the message */
};

static void run_init(struct run *r)
{
	co_enter();
	arena_init(&r->arena, 1 << 22);
	buf_init(&r->m, 1 << 22);
	assert_int_equal(dns_mem_new(&r->dns), 0);
	assert_int_equal(dns_mem_text(r->dns, KEY_NAME, DNS_TXT, RFC_RSA_RECORD), 0);
	assert_int_equal(dns_mem_text(r->dns, "e._domainkey.example.net", DNS_TXT,
				      RFC_ED25519_RECORD),
			 0);
	buf_adds(&r->m, HEADER BODY);
}

static void run_fini(struct run *r)
{
	dns_free(&r->dns);
	arena_fini(&r->arena);
	buf_fini(&r->m);
}

static void validate(struct run *r)
{
	struct slice whole = buf_slice(&r->m);
	size_t at = test_body_at(whole);
	struct arc_verifier *v;

	co_enter();
	assert_int_equal(arc_verifier_new(slice_sub(whole, 0, at), NOW, &v), 0);
	for (; at < whole.n; at += 5) {
		arc_verifier_body(v, slice_sub(whole, at, 5));
	}
	assert_int_equal(arc_verifier_end(v, r->dns, 0, &r->arena, &r->out), 0);
	arc_verifier_free(&v);
	assert_int_equal(r->out.result == TRUST_FAIL, r->out.reason.n > 0);
}

static void expect(struct run *r, enum trust_result want, const char *reason)
{
	validate(r);
	if (r->out.result != want ||
	    (reason && slice_find(r->out.reason, slice_cstr(reason)) == SIZE_MAX)) {
		fail_msg("got %s (%.*s), wanted %s (%s)", trust_result_name(r->out.result),
			 SLICE_ARG(r->out.reason), trust_result_name(want), reason ? reason : "");
	}
}

/* One more set; every second one is of Ed25519. */
static int seal(struct run *r, enum trust_result chain, const char *names)
{
	struct slice whole = buf_slice(&r->m);
	size_t at = test_body_at(whole);
	bool second = slice_find(whole, S("ARC-Seal: a=rsa")) == 0;
	struct arc_seal_opts o = {
		.key = second ? ed25519 : rsa,
		.domain = S("Example.NET"),
		.selector = second ? S("e") : S("s"),
		.now = NOW - 10,
		.chain = chain,
		.results = S("mx.example.net;\r\n\tspf=pass smtp.mailfrom=joe@example.org"),
		.names = slice_cstr(names),
	};
	struct buf out = BUF_INIT(1 << 22);
	struct arc_sealer *s;
	int rc = arc_sealer_new(slice_sub(whole, 0, at), &o, &s);

	if (rc == 0) {
		arc_sealer_body(s, slice_from(whole, at));
		rc = arc_sealer_end(s, &out, NULL);
		arc_sealer_free(&s);
		buf_add(&out, whole);
		buf_reset(&r->m);
		buf_add(&r->m, buf_slice(&out));
	}
	buf_fini(&out);
	return rc;
}

static void change(struct run *r, const char *from, const char *to)
{
	test_replace(&r->m, slice_cstr(from), slice_cstr(to));
}

static void test_chain(void **state)
{
	struct run r;

	(void)state;
	run_init(&r);
	expect(&r, TRUST_NONE, NULL);
	assert_int_equal(dns_mem_count(r.dns), 0);
	for (unsigned i = 1; i <= ARC_SETS_MAX; i++) {
		assert_int_equal(seal(&r, i == 1 ? TRUST_NONE : TRUST_PASS, NULL), 0);
		if (i > 4 && i < 49) {
			continue; /* quickly */
		}
		expect(&r, TRUST_PASS, NULL);
		assert_int_equal(r.out.instance, i);
		assert_int_equal(r.out.oldest_pass, 0);
		assert_true(r.out.covers_from);
		assert_true(slice_eq(r.out.sealer, S("example.net")));
		assert_true(slice_eq(r.out.reported,
				     S("mx.example.net;\tspf=pass smtp.mailfrom=joe@example.org")));
	}
	/* each key is asked for once in a message */
	assert_true(dns_mem_count(r.dns) <= 12);
	assert_int_equal(seal(&r, TRUST_PASS, NULL), 1);
	change(&r, "i=50;", "i=51;");
	expect(&r, TRUST_FAIL, "no instance");
	run_fini(&r);
}

static void test_fifty_one(void **state)
{
	struct run r;

	(void)state;
	run_init(&r);
	buf_reset(&r.m);
	for (int i = 0; i <= ARC_SETS_MAX; i++) {
		buf_adds(&r.m, "ARC-Seal: i=1; a=rsa-sha256; cv=none; b=AAAA; d=x.y; s=z\r\n");
	}
	buf_adds(&r.m, HEADER BODY);
	expect(&r, TRUST_FAIL, "more than 50");
	assert_int_equal(dns_mem_count(r.dns), 0);
	run_fini(&r);
}

static const struct bad {
	const char *what, *from, *to, *reason;
} bads[] = {
	{ "body", "Hi  there", "Hi there!", "of set 2: the body" },
	{ "subject", "hello", "goodbye", "ARC-Message-Signature of set 2: the signature" },
	{ "from", "joe@example.org>", "eve@example.org>", "ARC-Message-Signature of set 2" },
	{ "a From on top", "ARC-Seal", "From: eve@x.y\r\nARC-Seal",
	  "ARC-Message-Signature of set 2" },
	{ "report", "spf=pass", "spf=fail", "ARC-Seal of set 2: the signature" },
	{ "cv", "cv=pass", "cv=none", "set 2 does not say cv=pass" },
	{ "cv of the first", "cv=none", "cv=pass", "set 1 is the first" },
	{ "cv unknown", "cv=pass", "cv=Pass", "set 2 does not say" },
	{ "cv missing", "cv=pass; ", "", "set 2 does not say" },
	{ "cv=fail", "cv=pass", "cv=fail", "the chain was broken" },
	{ "a gap", "i=2; s=e;\r\n\tt=1699999990\r\nARC-M", "i=3; s=e;\r\n\tt=1699999990\r\nARC-M",
	  "set 3 has no" },
	{ "two seals", "ARC-Seal: a=ed",
	  "ARC-Seal: i=2; a=rsa-sha256; b=AA==; d=x.y; s=z\r\nARC-Seal: a=ed", "two ARC-Seals" },
	{ "two signatures", "ARC-Seal: a=ed",
	  "ARC-Message-Signature: i=2; a=rsa-sha256; b=AA==; d=x.y; s=z\r\nARC-Seal: a=ed",
	  "two ARC-Message-Signatures" },
	{ "two reports", "ARC-Seal: a=ed", "ARC-Authentication-Results: i=2; x\r\nARC-Seal: a=ed",
	  "two ARC-Authentication-Results" },
	{ "a report without a number", "ARC-Authentication-Results: i=2;",
	  "ARC-Authentication-Results: x;", "no instance" },
	{ "h= in a seal", "cv=pass;", "cv=pass; h=from;", "must not have h=" },
	{ "seal of another key", "s=e;", "s=s;", "of set 2" },
	{ "rsa-sha1", "a=ed25519-sha256", "a=rsa-sha1", "of set 2: rsa-sha1" },
	{ "d= of one label", "cv=pass; d=example.net", "cv=pass; d=net", "d= is no domain" },
	{ "only a report", "ARC-Seal: a=ed", "ARC-Authentication-Results: i=3; x\r\nARC-Seal: a=ed",
	  "set 3 has no ARC-Message-Signature" },
	{ "an older seal", "cv=none; d=example.net", "cv=none; d=example.net; x=9999999999",
	  "ARC-Seal of set 2" },
};

static void test_bads(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bads); i++) {
		struct run r;

		run_init(&r);
		assert_int_equal(seal(&r, TRUST_NONE, NULL), 0);
		assert_int_equal(seal(&r, TRUST_PASS, NULL), 0);
		expect(&r, TRUST_PASS, NULL);
		change(&r, bads[i].from, bads[i].to);
		expect(&r, TRUST_FAIL, bads[i].reason);
		assert_false(r.out.temporary);
		run_fini(&r);
	}
	print_message("%zu changes, none of which passes\n", ARRAY_LEN(bads));
}

static void test_temporary(void **state)
{
	struct run r;

	(void)state;
	run_init(&r);
	assert_int_equal(seal(&r, TRUST_NONE, NULL), 0);
	assert_int_equal(dns_mem_fail(r.dns, KEY_NAME, DNS_TXT, DNS_FAIL), 0);
	expect(&r, TRUST_FAIL, "could not be had");
	assert_true(r.out.temporary);
	run_fini(&r);
}

/* A list changes the subject: only from there on do message signatures fit. */
static void test_oldest_pass(void **state)
{
	struct run r;

	(void)state;
	run_init(&r);
	assert_int_equal(seal(&r, TRUST_NONE, NULL), 0);
	assert_int_equal(seal(&r, TRUST_PASS, NULL), 0);
	change(&r, "Subject: hello", "Subject: [list] hello");
	assert_int_equal(seal(&r, TRUST_PASS, NULL), 0);
	assert_int_equal(seal(&r, TRUST_PASS, NULL), 0);
	expect(&r, TRUST_PASS, NULL);
	assert_int_equal(r.out.instance, 4);
	assert_int_equal(r.out.oldest_pass, 3);
	run_fini(&r);
}

/* RFC 8617 does not ask for From to be signed; an addition on top is seen. */
static void test_from(void **state)
{
	struct run r;

	(void)state;
	run_init(&r);
	assert_int_equal(seal(&r, TRUST_NONE, "to:subject"), 0);
	expect(&r, TRUST_PASS, NULL);
	assert_false(r.out.covers_from);
	run_fini(&r);
	run_init(&r);
	assert_int_equal(seal(&r, TRUST_NONE, "from:subject"), 0);
	expect(&r, TRUST_PASS, NULL);
	assert_true(r.out.covers_from);
	change(&r, "ARC-Seal", "From: eve@evil.test\r\nARC-Seal");
	expect(&r, TRUST_FAIL, "another From");
	run_fini(&r);
}

/* RFC 8617 5.1.2: a broken chain is marked once, and that is its end. */
static void test_marking(void **state)
{
	struct run r;

	(void)state;
	run_init(&r);
	assert_int_equal(seal(&r, TRUST_FAIL, NULL), -EINVAL); /* there is no chain */
	assert_int_equal(seal(&r, TRUST_PASS, NULL), -EINVAL);
	assert_int_equal(seal(&r, TRUST_NONE, NULL), 0);
	assert_int_equal(seal(&r, TRUST_NONE, NULL), -EINVAL);
	change(&r, "Hi  there", "Hi!");
	expect(&r, TRUST_FAIL, "body");
	assert_int_equal(seal(&r, TRUST_FAIL, NULL), 0);
	expect(&r, TRUST_FAIL, "set 2 says that the chain was broken");
	assert_int_equal(seal(&r, TRUST_FAIL, NULL), 1);
	run_fini(&r);
}

static void test_refused(void **state)
{
	static const struct {
		struct slice header, domain, results, names;
	} cases[] = {
		{ { "To: x\r\n\r\n", 9 }, { "a.b", 3 }, { "x; y=pass", 9 }, { "", 0 } },
		{ { " x\r\nFrom: x\r\n\r\n", 15 }, { "a.b", 3 }, { "x; y=pass", 9 }, { "", 0 } },
		{ { "From: x\r\n\r\n", 11 }, { "a..b", 4 }, { "x; y=pass", 9 }, { "", 0 } },
		{ { "From: x\r\n\r\n", 11 }, { "a.b", 3 }, { "", 0 }, { "", 0 } },
		{ { "From: x\r\n\r\n", 11 }, { "a.b", 3 }, { "x\r\nTo: y", 8 }, { "", 0 } },
		{ { "From: x\r\n\r\n", 11 }, { "a.b", 3 }, { "x\n y", 4 }, { "", 0 } },
		{ { "From: x\r\n\r\n", 11 }, { "a.b", 3 }, { "x\0y", 3 }, { "", 0 } },
		{ { "From: x\r\n\r\n", 11 }, { "a.b", 3 }, { "x; y=pass", 9 }, { "a;b=c", 5 } },
		{ { "From: x\r\n\r\n", 11 }, { "a.b", 3 }, { "x; y=pass", 9 }, { "a\r\n b", 5 } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arc_seal_opts o = { .key = rsa,
					   .domain = cases[i].domain,
					   .selector = S("s"),
					   .results = cases[i].results,
					   .names = cases[i].names };
		struct arc_sealer *s = NULL;

		assert_int_equal(arc_sealer_new(cases[i].header, &o, &s), -EINVAL);
		assert_null(s);
	}
}

static void test_instances(void **state)
{
	static const struct {
		const char *text;
		unsigned n;
		const char *rest;
	} cases[] = {
		{ "i=1; x", 1, "x" },
		{ " (a (b\\)) ) i (c) = (d) 50 (e) ;\r\n x; y", 50, "x; y" },
		{ "i=1;", 1, "" },
		{ "i=51; x", 0, "" },
		{ "i=0; x", 0, "" },
		{ "i=001; x", 0, "" },
		{ "i=; x", 0, "" },
		{ "i=1 x", 0, "" },
		{ "i=a; x", 0, "" },
		{ "I=1; x", 0, "" },
		{ "x; i=1", 0, "" },
		{ "(i=1; x", 0, "" },
		{ "", 0, "" },
		{ "((((((((((((((((((((((x)))))))))))))))))))))) i=1; x", 0, "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct slice rest = S("");

		assert_int_equal(arc_report_instance(slice_cstr(cases[i].text), &rest), cases[i].n);
		assert_true(slice_eq(rest, slice_cstr(cases[i].rest)));
	}
}

static void test_too_big(void **state)
{
	struct run r;

	(void)state;
	run_init(&r);
	buf_reset(&r.m);
	for (int i = 0; i <= FIELDS_MAX; i++) {
		buf_adds(&r.m, "A:\r\n");
	}
	buf_adds(&r.m, HEADER);
	expect(&r, TRUST_FAIL, "too many fields");
	buf_reset(&r.m);
	buf_adds(&r.m, "ARC-Authentication-Results: i=1; ");
	while (r.m.n <= SIG_FIELD_MAX) {
		buf_addc(&r.m, 'x');
	}
	buf_adds(&r.m, "\r\n" HEADER);
	expect(&r, TRUST_FAIL, "no instance");
	run_fini(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chain),	    cmocka_unit_test(test_fifty_one),
		cmocka_unit_test(test_bads),	    cmocka_unit_test(test_temporary),
		cmocka_unit_test(test_oldest_pass), cmocka_unit_test(test_from),
		cmocka_unit_test(test_marking),	    cmocka_unit_test(test_refused),
		cmocka_unit_test(test_instances),   cmocka_unit_test(test_too_big),
	};

	return cmocka_run_group_tests(tests, keys_up, keys_down);
}
