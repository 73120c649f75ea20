/* Signing: what is signed, how it looks, and that additions break it. */
#include "trust/test_util.h"

#include "co/co.h"
#include "trust/dkim.h"

#define HEADER                            \
	"Received: from x\r\n"            \
	"From: Joe <joe@example.org>\r\n" \
	"To: a@example.net\r\n"           \
	"Subject: hello\r\n"              \
	"References: <1@x>\r\n <2@x>\r\n" \
	"X-Mine: yes\r\n"                 \
	"\r\n"
#define BODY "Hi  there \r\n\r\n"

static void sign(const struct dkim_key *k, struct slice header, struct slice body, struct buf *out)
{
	struct dkim_sign_opts o = {
		.key = k, .domain = S("B\303\274cher.example"), .selector = S("Sel_1"), .now = NOW
	};
	struct dkim_signer *s;

	assert_int_equal(dkim_signer_new(header, &o, &s), 0);
	for (size_t i = 0; i < body.n; i += 3) {
		dkim_signer_body(s, slice_sub(body, i, 3));
	}
	assert_int_equal(dkim_signer_end(s, out, NULL), 0);
	dkim_signer_free(&s);
	assert_null(s);
}

static enum trust_result verify(const struct dkim_key *k, struct slice header, struct slice body)
{
	struct buf record = BUF_INIT(4096);
	struct dkim_verifier *v;
	struct dkim_outcome out;
	enum trust_result r;
	struct arena a;
	struct dns *d;

	co_enter();
	arena_init(&a, 1 << 20);
	assert_int_equal(dkim_key_record(k, &record), 0);
	assert_int_equal(dns_mem_new(&d), 0);
	assert_int_equal(dns_mem_text(d, "sel_1._domainkey.xn--bcher-kva.example", DNS_TXT,
				      buf_cstr(&record)),
			 0);
	assert_int_equal(dkim_verifier_new(header, NOW, &v), 0);
	assert_true(dkim_verifier_wants_body(v));
	dkim_verifier_body(v, body);
	assert_int_equal(dkim_verifier_end(v, d, 0, &a, &out), 0);
	assert_int_equal(out.n, 1);
	r = out.results[0].result;
	dkim_verifier_free(&v);
	dns_free(&d);
	buf_fini(&record);
	arena_fini(&a);
	return r;
}

static void check_lines(struct slice field)
{
	assert_true(slice_ends(field, S("\r\n")));
	field.n -= 2;
	while (field.p) {
		struct slice line = slice_split(&field, '\n');
		assert_true(line.n <= 79);
		assert_true(!field.p || *field.p == '\t');
	}
}

static void round_trip(const struct dkim_key *k)
{
	static const char *const additions[] = {
		"From: x@y.z\r\n",	  "to: b@example.net\r\n", "Cc: c@example.net\r\n",
		"Subject: x\r\n",	  "DATE: now\r\n",	   "Content-Type: text/html\r\n",
		"References : <3@x>\r\n",
	};
	struct buf field = BUF_INIT(65536), all = BUF_INIT(65536);

	sign(k, S(HEADER), S(BODY), &field);
	check_lines(buf_slice(&field));
	buf_add(&all, buf_slice(&field));
	buf_adds(&all, HEADER);
	assert_int_equal(verify(k, buf_slice(&all), S(BODY)), TRUST_PASS);
	assert_int_equal(verify(k, buf_slice(&all), S("Hi there")), TRUST_PASS);
	assert_int_equal(verify(k, buf_slice(&all), S("Hi, there")), TRUST_FAIL);
	for (size_t i = 0; i < ARRAY_LEN(additions); i++) {
		buf_reset(&all);
		buf_adds(&all, additions[i]);
		buf_add(&all, buf_slice(&field));
		buf_adds(&all, HEADER);
		/* one that is not oversigned goes unnoticed */
		assert_int_equal(verify(k, buf_slice(&all), S(BODY)),
				 i == ARRAY_LEN(additions) - 1 ? TRUST_PASS : TRUST_FAIL);
	}
	buf_fini(&field);
	buf_fini(&all);
}

static void test_round_trip(void **state)
{
	struct dkim_key *k, *again;
	struct buf pem = BUF_INIT(65536);

	(void)state;
	for (unsigned bits = 0; bits <= 2048; bits += 2048) {
		assert_int_equal(dkim_key_make(bits, &k, NULL), 0);
		round_trip(k);
		buf_reset(&pem);
		assert_int_equal(dkim_key_pem(k, &pem), 0);
		assert_true(slice_starts(buf_slice(&pem), S("-----BEGIN PRIVATE KEY-----\n")));
		assert_int_equal(dkim_key_parse(buf_slice(&pem), &again, NULL), 0);
		round_trip(again);
		dkim_key_free(&again);
		dkim_key_free(&k);
	}
	buf_fini(&pem);
}

static void test_looks(void **state)
{
	struct buf out = BUF_INIT(65536), again = BUF_INIT(65536);
	struct dkim_key *k;

	(void)state;
	assert_int_equal(dkim_key_parse(S(RFC_ED25519_PEM), &k, NULL), 0);
	sign(k, S(HEADER), S(BODY), &out);
	assert_true(slice_starts(
		buf_slice(&out),
		S("DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed; t=1700000000;\r\n"
		  "\td=xn--bcher-kva.example;\r\n\ts=sel_1;\r\n"
		  "\th=From:From:To:To:Cc:Subject:Subject:Date:Content-Type:References;\r\n"
		  "\tbh=")));
	/* Ed25519 has one signature for one message */
	sign(k, S(HEADER), S(BODY), &again);
	assert_true(slice_eq(buf_slice(&out), buf_slice(&again)));
	buf_fini(&out);
	buf_fini(&again);
	dkim_key_free(&k);
}

static void test_refused(void **state)
{
	static const struct {
		struct slice header, domain, selector;
		int64_t now;
	} cases[] = {
		{ { "To: x\r\n\r\n", 9 }, { "a.org", 5 }, { "s", 1 }, 1 },
		{ { "\r\nFrom: x\r\n", 11 }, { "a.org", 5 }, { "s", 1 }, 1 },
		{ { " x\r\nFrom: x\r\n\r\n", 15 }, { "a.org", 5 }, { "s", 1 }, 1 },
		{ { "From: x\r\n\r\n", 11 }, { "a..org", 6 }, { "s", 1 }, 1 },
		{ { "From: x\r\n\r\n", 11 }, { "a.org; l=0", 10 }, { "s", 1 }, 1 },
		{ { "From: x\r\n\r\n", 11 }, { "a.org", 5 }, { "s\r\n", 3 }, 1 },
		{ { "From: x\r\n\r\n", 11 }, { "a.org", 5 }, { "", 0 }, 1 },
		{ { "From: x\r\n\r\n", 11 }, { "a.org", 5 }, { "s", 1 }, -1 },
	};
	struct dkim_key *k;

	(void)state;
	assert_int_equal(dkim_key_parse(S(RFC_RSA_PEM), &k, NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct dkim_sign_opts o = { .key = k,
					    .domain = cases[i].domain,
					    .selector = cases[i].selector,
					    .now = cases[i].now };
		struct dkim_signer *s = NULL;

		assert_int_equal(dkim_signer_new(cases[i].header, &o, &s), -EINVAL);
		assert_null(s);
	}
	dkim_key_free(&k);
}

static void test_flood(void **state)
{
	struct buf header = BUF_INIT(1 << 20);
	struct dkim_sign_opts o = { .domain = S("a.org"), .selector = S("s") };
	struct dkim_signer *s = NULL;

	(void)state;
	for (int i = 0; i < SIG_NAMES_MAX; i++) {
		buf_adds(&header, "From: x\r\n");
	}
	assert_int_equal(dkim_signer_new(buf_slice(&header), &o, &s), -EINVAL);
	for (int i = 0; i < FIELDS_MAX; i++) {
		buf_adds(&header, "X: x\r\n");
	}
	assert_int_equal(dkim_signer_new(buf_slice(&header), &o, &s), -EINVAL);
	buf_fini(&header);
}

static void test_keys(void **state)
{
	struct buf record = BUF_INIT(4096);
	struct dkim_key *k = NULL;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(dkim_key_parse(S(RFC_RSA_PEM), &k, NULL), 0);
	assert_int_equal(dkim_key_record(k, &record), 0);
	assert_string_equal(buf_cstr(&record), RFC_RSA_RECORD);
	dkim_key_free(&k);
	buf_reset(&record);
	assert_int_equal(dkim_key_parse(S(RFC_ED25519_PEM), &k, NULL), 0);
	assert_int_equal(dkim_key_record(k, &record), 0);
	assert_string_equal(buf_cstr(&record), RFC_ED25519_RECORD);
	dkim_key_free(&k);
	dkim_key_free(&k);
	assert_int_equal(dkim_key_parse(S(""), &k, &e), -EINVAL);
	assert_int_equal(dkim_key_parse(S("-----BEGIN PRIVATE KEY-----\nAAAA\n"
					  "-----END PRIVATE KEY-----\n"),
					&k, &e),
			 -EINVAL);
	/* X25519: not for signing */
	assert_int_equal(
		dkim_key_parse(
			S("-----BEGIN PRIVATE KEY-----\n"
			  "MC4CAQAwBQYDK2VuBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n"
			  "-----END PRIVATE KEY-----\n"),
			&k, &e),
		-EINVAL);
	assert_string_equal(e.text, "a key for DKIM is RSA or Ed25519");
	assert_int_equal(dkim_key_make(1024, &k, &e), -EINVAL);
	assert_int_equal(dkim_key_make(8192, &k, &e), -EINVAL);
	assert_null(k);
	buf_fini(&record);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip), cmocka_unit_test(test_looks),
		cmocka_unit_test(test_refused),	   cmocka_unit_test(test_flood),
		cmocka_unit_test(test_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
