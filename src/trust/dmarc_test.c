/* DMARC: records, whose domains From names, discovery and alignment. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/err.h"
#include "trust/dmarc.h"

/* ---- records ---------------------------------------------------------------- */

static const struct {
	const char *text;
	int r;
	enum dmarc_policy p, sp;
	unsigned percent;
	size_t n_rua;
} records[] = {
	{ "v=DMARC1; p=reject", 0, DMARC_REJECT, DMARC_REJECT, 100, 0 },
	{ "v=DMARC1;p=quarantine;sp=none;pct=20", 0, DMARC_QUARANTINE, DMARC_NONE, 20, 0 },
	{ " v = DMARC1 ;  p = Reject ; ", 0, DMARC_REJECT, DMARC_REJECT, 100, 0 },
	{ "v=DMARC1; p=none; rua=mailto:a@x!10m, https://x, mailto:b@y", 0, DMARC_NONE, DMARC_NONE,
	  100, 2 },
	{ "v=DMARC1; p=bad; rua=mailto:a@x", 0, DMARC_NONE, DMARC_NONE, 100, 1 },
	{ "v=DMARC1; rua=mailto:a@x", 0, DMARC_NONE, DMARC_NONE, 100, 1 },
	{ "v=DMARC1; p=none; sp=bad", 0, DMARC_NONE, DMARC_NONE, 100, 0 },
	{ "v=DMARC1; p=reject; pct=101", 0, DMARC_REJECT, DMARC_REJECT, 100, 0 },
	{ "v=DMARC1; p=reject; pct=x", 0, DMARC_REJECT, DMARC_REJECT, 100, 0 },
	{ "v=DMARC1; p=reject; unknown=1; x", 0, DMARC_REJECT, DMARC_REJECT, 100, 0 },
	{ "v=DMARC1; p=bad", -EINVAL, 0, 0, 0, 0 },
	{ "v=DMARC1", -EINVAL, 0, 0, 0, 0 },
	{ "v=DMARC2; p=none", -EINVAL, 0, 0, 0, 0 },
	{ "v=dmarc1; p=none", -EINVAL, 0, 0, 0, 0 },
	{ "p=none; v=DMARC1", -EINVAL, 0, 0, 0, 0 },
	{ "", -EINVAL, 0, 0, 0, 0 },
	{ "v=spf1 -all", -EINVAL, 0, 0, 0, 0 },
};

static void records_are_read(void **state)
{
	struct dmarc_record r;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(records); i++) {
		assert_int_equal(dmarc_record_parse(slice_cstr(records[i].text), &r), records[i].r);
		if (records[i].r == 0) {
			assert_int_equal(r.policy, records[i].p);
			assert_int_equal(r.sub_policy, records[i].sp);
			assert_int_equal(r.percent, records[i].percent);
			assert_int_equal(r.n_rua, records[i].n_rua);
		}
	}
	assert_int_equal(dmarc_record_parse(S("v=DMARC1;p=none;adkim=s;aspf=s;ri=3600;fo=1:d"), &r),
			 0);
	assert_true(r.strict_dkim && r.strict_spf);
	assert_int_equal(r.interval, 3600);
	assert_true(slice_eq(r.failure_options, S("1:d")));
}

static void endless_tags_end(void **state)
{
	struct buf b = BUF_INIT(1u << 20);
	struct dmarc_record r;

	(void)state;
	buf_adds(&b, "v=DMARC1;p=none");
	for (int i = 0; i < 100000; i++) {
		buf_adds(&b, ";a=b");
	}
	assert_int_equal(dmarc_record_parse(buf_slice(&b), &r), -EINVAL);
	buf_fini(&b);
}

/* ---- From ------------------------------------------------------------------- */

static const struct {
	const char *header;
	enum dmarc_from r;
	const char *domains;
} froms[] = {
	{ "From: a@Example.com\r\n\r\n", DMARC_FROM_OK, "example.com" },
	{ "Subject: x\r\nfrom : \"A, B\" <a@b.example>\r\n\r\n", DMARC_FROM_OK, "b.example" },
	{ "From: a@x.example, b@y.example, c@X.example\r\n\r\n", DMARC_FROM_OK,
	  "x.example y.example" },
	{ "From: friends: a@x.example, b@y.example;\r\n\r\n", DMARC_FROM_OK,
	  "x.example y.example" },
	{ "From: admin@legit.example,<second@attack.example>\r\n\r\n", DMARC_FROM_OK,
	  "legit.example attack.example" },
	{ "From: a@b\xc3\xbc"
	  "cher.example\r\n\r\n",
	  DMARC_FROM_OK, "xn--bcher-kva.example" },
	{ "Subject: x\r\n\r\nFrom: a@body.example\r\n", DMARC_FROM_MISSING, "" },
	{ "From:\r\n\r\n", DMARC_FROM_MISSING, "" },
	{ "From: a@x.example\r\nFROM: b@y.example\r\n\r\n", DMARC_FROM_REPEATED, "" },
	{ " From: a@x.example\r\nFrom: b@y.example\r\n\r\n", DMARC_FROM_REPEATED, "" },
	{ "From: b@y.example\r\nfrom\r\n\t: a@x.example\r\n\r\n", DMARC_FROM_REPEATED, "" },
	{ "From\r\n : a@x.example\r\n\r\n", DMARC_FROM_MISSING, "" },
	{ "From here on\r\nFrom: a@x.example,\r\n From: b@y.example\r\n\r\n", DMARC_FROM_OK,
	  "x.example y.example" },
	{ "From\r\n", DMARC_FROM_MISSING, "" },
	{ "From a@y.example Mon\r\nFrom: a@x.example\r\n\r\n", DMARC_FROM_OK, "x.example" },
	{ "From: nobody:;\r\n\r\n", DMARC_FROM_BAD, "" },
	{ "From: root\r\n\r\n", DMARC_FROM_BAD, "" },
	{ "From: a@[192.0.2.1]\r\n\r\n", DMARC_FROM_BAD, "" },
	{ "From: a@x.example, b@y..example\r\n\r\n", DMARC_FROM_BAD, "" },
	{ "From: a@1.x, a@2.x, a@3.x, a@4.x, a@5.x, a@6.x, a@7.x, a@8.x, a@9.x, a@10.x,\r\n"
	  " a@11.x\r\n\r\n",
	  DMARC_FROM_MANY, "" },
};

static void authors_are_found(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(froms); i++) {
		struct dmarc_authors v;
		struct buf b = BUF_INIT(4096);
		struct arena a;

		arena_init(&a, 1u << 20);
		assert_int_equal(dmarc_authors(slice_cstr(froms[i].header), &a, &v), froms[i].r);
		for (size_t k = 0; froms[i].r == DMARC_FROM_OK && k < v.n; k++) {
			buf_printf(&b, "%s%.*s", k ? " " : "", SLICE_ARG(v.domains[k]));
		}
		assert_string_equal(buf_cstr(&b), froms[i].domains);
		arena_fini(&a);
		buf_fini(&b);
	}
}

/* ---- the check -------------------------------------------------------------- */

static void add_txt(struct dns *d, const char *name, const char *text)
{
	struct buf b = BUF_INIT(300);
	struct slice s = slice_cstr(text);

	buf_addc(&b, (char)s.n);
	buf_add(&b, s);
	assert_int_equal(dns_mem_add(d, name, DNS_TXT, buf_slice(&b)), 0);
	buf_fini(&b);
}

struct env {
	struct dns *d;
	struct arena a;
};

static int setup(void **state)
{
	static struct env env;

	assert_int_equal(dns_mem_new(&env.d), 0);
	add_txt(env.d, "_dmarc.example.com", "v=DMARC1; p=reject; sp=quarantine");
	add_txt(env.d, "_dmarc.strict.example", "v=DMARC1; p=reject; adkim=s; aspf=s");
	add_txt(env.d, "_dmarc.own.example.com", "v=DMARC1; p=none");
	add_txt(env.d, "_dmarc.half.example", "v=DMARC1; p=reject; pct=50");
	add_txt(env.d, "_dmarc.two.example", "v=DMARC1; p=reject");
	add_txt(env.d, "_dmarc.two.example", "v=DMARC1; p=none");
	add_txt(env.d, "_dmarc.noise.example", "something else");
	add_txt(env.d, "_dmarc.noise.example", "v=DMARC1; p=quarantine");
	assert_int_equal(dns_mem_fail(env.d, "_dmarc.broken.example", DNS_TXT, DNS_FAIL), 0);
	arena_init(&env.a, 1u << 20);
	*state = &env;
	return 0;
}

static int teardown(void **state)
{
	struct env *env = *state;

	dns_free(&env->d);
	arena_fini(&env->a);
	return 0;
}

static const struct {
	const char *author;
	const char *spf_domain;
	enum trust_result spf;
	const char *dkim_domain;
	enum trust_result dkim;
	unsigned sample;
	enum trust_result result;
	enum dmarc_policy disposition;
} checks[] = {
	/* alignment */
	{ "example.com", "example.com", TRUST_PASS, "", TRUST_NONE, 0, TRUST_PASS, DMARC_NONE },
	{ "example.com", "bounce.Example.com", TRUST_PASS, "", TRUST_NONE, 0, TRUST_PASS,
	  DMARC_NONE },
	{ "example.com", "other.example", TRUST_PASS, "", TRUST_NONE, 0, TRUST_FAIL, DMARC_REJECT },
	{ "example.com", "example.com", TRUST_SOFTFAIL, "", TRUST_NONE, 0, TRUST_FAIL,
	  DMARC_REJECT },
	{ "example.com", "notexample.com", TRUST_PASS, "", TRUST_NONE, 0, TRUST_FAIL,
	  DMARC_REJECT },
	{ "example.com", "", TRUST_NONE, "mail.example.com", TRUST_PASS, 0, TRUST_PASS,
	  DMARC_NONE },
	{ "example.com", "", TRUST_NONE, "example.com", TRUST_FAIL, 0, TRUST_FAIL, DMARC_REJECT },
	{ "example.com", "", TRUST_NONE, "com", TRUST_PASS, 0, TRUST_FAIL, DMARC_REJECT },
	{ "strict.example", "a.strict.example", TRUST_PASS, "a.strict.example", TRUST_PASS, 0,
	  TRUST_FAIL, DMARC_REJECT },
	{ "strict.example", "", TRUST_NONE, "strict.example", TRUST_PASS, 0, TRUST_PASS,
	  DMARC_NONE },
	/* discovery */
	{ "sub.example.com", "", TRUST_NONE, "", TRUST_NONE, 0, TRUST_FAIL, DMARC_QUARANTINE },
	{ "own.example.com", "", TRUST_NONE, "", TRUST_NONE, 0, TRUST_FAIL, DMARC_NONE },
	{ "nothing.example", "", TRUST_NONE, "", TRUST_NONE, 0, TRUST_NONE, DMARC_NONE },
	{ "two.example", "", TRUST_NONE, "", TRUST_NONE, 0, TRUST_NONE, DMARC_NONE },
	{ "noise.example", "", TRUST_NONE, "", TRUST_NONE, 0, TRUST_FAIL, DMARC_QUARANTINE },
	/* what cannot be known now */
	{ "broken.example", "", TRUST_NONE, "", TRUST_NONE, 0, TRUST_TEMPERROR, DMARC_NONE },
	{ "example.com", "example.com", TRUST_TEMPERROR, "", TRUST_NONE, 0, TRUST_TEMPERROR,
	  DMARC_NONE },
	{ "example.com", "", TRUST_NONE, "example.com", TRUST_TEMPERROR, 0, TRUST_TEMPERROR,
	  DMARC_NONE },
	{ "example.com", "other.example", TRUST_TEMPERROR, "", TRUST_NONE, 0, TRUST_FAIL,
	  DMARC_REJECT },
	{ "example.com", "example.com", TRUST_PASS, "example.com", TRUST_TEMPERROR, 0, TRUST_PASS,
	  DMARC_NONE },
	/* pct= */
	{ "half.example", "", TRUST_NONE, "", TRUST_NONE, 49, TRUST_FAIL, DMARC_REJECT },
	{ "half.example", "", TRUST_NONE, "", TRUST_NONE, 50, TRUST_FAIL, DMARC_QUARANTINE },
};

static void messages_are_judged(void **state)
{
	struct env *env = *state;

	co_enter();
	for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
		struct spf_outcome spf = { .result = checks[i].spf,
					   .domain = slice_cstr(checks[i].spf_domain) };
		struct dkim_result k = { .result = checks[i].dkim,
					 .domain = slice_cstr(checks[i].dkim_domain) };
		struct dkim_outcome dkim = { &k, k.domain.n > 0, 0 };
		struct dmarc_query q = { slice_cstr(checks[i].author), &spf, &dkim,
					 checks[i].sample };
		struct dmarc_outcome o;

		assert_int_equal(dmarc_check(env->d, &q, 0, &env->a, &o), 0);
		if (o.result != checks[i].result || o.disposition != checks[i].disposition) {
			fail_msg("%zu: %s: %s, %s", i, checks[i].author,
				 trust_result_name(o.result), dmarc_policy_name(o.disposition));
		}
	}
}

static void no_dns_is_no_answer(void **state)
{
	struct env *env = *state;
	struct dmarc_query q = { .author = S("example.com") };
	struct dmarc_outcome o;

	co_enter();
	assert_int_equal(dmarc_check(NULL, &q, 0, &env->a, &o), 0);
	assert_int_equal(o.result, TRUST_TEMPERROR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_are_read),
		cmocka_unit_test(endless_tags_end),
		cmocka_unit_test(authors_are_found),
		cmocka_unit_test_setup_teardown(messages_are_judged, setup, teardown),
		cmocka_unit_test_setup_teardown(no_dns_is_no_answer, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
