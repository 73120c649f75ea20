/*
 * DKIM: the vectors of RFC 8463, what signatures may look like, and a table of
 * what must not pass (THREATS AN-02).
 *
 * Each case of the table signs a message with what it wants in the signature
 * field, then changes something, and says what the verdict is and a part of
 * the reason, so that a case cannot pass for another reason than its own.
 */
#include "trust/test_util.h"

#include <openssl/core_names.h>
#include <openssl/param_build.h>

#include "co/test_loop.h"

#define MESSAGE                                     \
	"From: Joe <joe@example.org>\r\n"           \
	"To: Sue <sue@example.net>\r\n"             \
	"Subject: Is dinner\r\n  ready?\r\n"        \
	"Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n" \
	"Content-Type: text/plain\r\n"              \
	"\r\n"                                      \
	"Hi.\r\n\r\nWe lost  the game. \r\n\r\n"
#define TAGS(alg, more) "v=1; a=" alg "; d=example.org; s=sel; t=1699999999; bh=@; " more
#define NAMES "h=From:To:Subject:Date:Content-Type:From:To:Subject:Content-Type; "
#define RELAXED TAGS("rsa-sha256", "c=relaxed/relaxed; " NAMES "b=")
#define KEY_NAME "sel._domainkey.example.org"

/* ---- running ----------------------------------------------------------------------- */

struct run {
	struct arena arena;
	struct dns *dns;
	struct dkim_outcome out;
};

static void run_init(struct run *r)
{
	co_enter();
	arena_init(&r->arena, 1 << 20);
	assert_int_equal(dns_mem_new(&r->dns), 0);
}

static void run_fini(struct run *r)
{
	dns_free(&r->dns);
	arena_fini(&r->arena);
}

static void publish(struct run *r, const char *name, const char *record)
{
	assert_int_equal(dns_mem_text(r->dns, name, DNS_TXT, record), 0);
}

/* Verifies a whole message; the body goes in pieces of `step` octets. */
static void verify(struct run *r, struct slice message, int64_t now, size_t step)
{
	size_t at = test_body_at(message);
	struct dkim_verifier *v;

	co_enter();
	assert_int_equal(dkim_verifier_new(slice_sub(message, 0, at), now, &v), 0);
	for (; at < message.n; at += step) {
		dkim_verifier_body(v, slice_sub(message, at, step));
	}
	assert_int_equal(dkim_verifier_end(v, r->dns, 0, &r->arena, &r->out), 0);
	dkim_verifier_free(&v);
	assert_null(v);
}

static bool is_simple(const char *tags, bool body)
{
	const char *c = strstr(tags, "c=");

	if (c && body) {
		c = strchr(c, '/');
		c = c && !strncmp(c, "/relaxed", 8) ? c : NULL;
	}
	return !c || (!body && strncmp(c, "c=relaxed", 9) != 0);
}

/* Puts a signature with those tags ("bh=@" filled in, b= at the end) in front
 * of the message, also one that no sensible signer would make. */
static void sign_as(struct buf *message, const char *name, const char *tags,
		    const struct dkim_key *key)
{
	struct slice whole = buf_slice(message);
	struct sig s = { .header = is_simple(tags, false) ? CANON_SIMPLE : CANON_RELAXED };
	struct buf text = BUF_INIT(1 << 20), b64 = BUF_INIT(4096);
	unsigned char hash[SIG_HASH_LEN];
	size_t head = strlen(name) + 1;
	struct fields f;
	struct field field;
	char bh[64];

	buf_printf(&text, "%s: %s", name, tags);
	if (strchr(tags, '@')) {
		test_replace(&text, S("@"),
			     test_body_hash(is_simple(tags, true) ? CANON_SIMPLE : CANON_RELAXED,
					    slice_from(whole, test_body_at(whole)), bh));
	}
	assert_int_equal(tags_parse(slice_from(buf_slice(&text), head), &s.tags), 0);
	s.names = tags_get(&s.tags, S("h"))->value;
	field = (struct field){ .raw = buf_slice(&text),
				.name = slice_sub(buf_slice(&text), 0, head - 1),
				.body = slice_from(buf_slice(&text), head) };
	s.field = &field;
	assert_int_equal(fields_init(&f, whole), 0);
	assert_true(sig_hash_header(&s, &f, hash));
	fields_fini(&f);
	assert_int_equal(dkim_key_sign(key, hash, &b64, NULL), 0);
	/* b= is last, or followed by what "b=;" says. */
	if (slice_ends(buf_slice(&text), S("b="))) {
		buf_add(&text, buf_slice(&b64));
	} else {
		struct buf full = BUF_INIT(4096);
		buf_printf(&full, " b=%.*s;", SLICE_ARG(buf_slice(&b64)));
		test_replace(&text, S(" b=;"), buf_slice(&full));
		buf_fini(&full);
	}
	buf_adds(&text, "\r\n");
	buf_add(&text, whole);
	buf_reset(message);
	buf_add(message, buf_slice(&text));
	buf_fini(&text);
	buf_fini(&b64);
}

static void expect(const struct dkim_result *got, enum trust_result want, const char *reason,
		   const char *what)
{
	if (got->result != want ||
	    (reason && slice_find(got->reason, slice_cstr(reason)) == SIZE_MAX)) {
		fail_msg("%s: got %s (%.*s), wanted %s (%s)", what, trust_result_name(got->result),
			 SLICE_ARG(got->reason), trust_result_name(want), reason ? reason : "");
	}
	assert_int_equal(got->result == TRUST_PASS, got->reason.n == 0);
}

/* ---- vectors ----------------------------------------------------------------------- */

static const char rfc8463[] = "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n"
			      " d=football.example.com; i=@football.example.com;\r\n"
			      " q=dns/txt; s=brisbane; t=1528637909; h=from : to :\r\n"
			      " subject : date : message-id : from : subject : date;\r\n"
			      " bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n"
			      " b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus\r\n"
			      " Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==\r\n"
			      "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;\r\n"
			      " d=football.example.com; i=@football.example.com;\r\n"
			      " q=dns/txt; s=test; t=1528637909; h=from : to : subject :\r\n"
			      " date : message-id : from : subject : date;\r\n"
			      " bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n"
			      " b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3\r\n"
			      " DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz\r\n"
			      " dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=\r\n"
			      "From: Joe SixPack <joe@football.example.com>\r\n"
			      "To: Suzie Q <suzie@shopping.example.net>\r\n"
			      "Subject: Is dinner ready?\r\n"
			      "Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n"
			      "Message-ID: <20030712040037.46341.5F8J@football.example.com>\r\n"
			      "\r\n"
			      "Hi.\r\n"
			      "\r\n"
			      "We lost the game.  Are you hungry yet?\r\n"
			      "\r\n"
			      "Joe.\r\n";

static void test_rfc8463(void **state)
{
	struct run r;

	(void)state;
	run_init(&r);
	publish(&r, "brisbane._domainkey.football.example.com", RFC_ED25519_RECORD);
	publish(&r, "test._domainkey.football.example.com", RFC_RSA_RECORD);
	for (size_t step = 1; step < 100; step++) {
		verify(&r, slice_cstr(rfc8463), NOW, step);
		assert_int_equal(r.out.n, 2);
		expect(&r.out.results[0], TRUST_PASS, NULL, "ed25519");
		expect(&r.out.results[1], TRUST_PASS, NULL, "rsa");
	}
	assert_true(slice_eq(r.out.results[0].domain, S("football.example.com")));
	assert_true(slice_eq(r.out.results[0].selector, S("brisbane")));
	assert_true(slice_eq(r.out.results[0].identity, S("@football.example.com")));
	assert_true(slice_eq(r.out.results[0].algorithm, S("ed25519-sha256")));
	assert_true(slice_eq(r.out.results[0].b, S("/gCrinpc")));
	assert_int_equal(r.out.results[0].bits, 0);
	assert_int_equal(r.out.results[1].bits, 1024);
	run_fini(&r);
}

/* ---- what passes ---------------------------------------------------------------------- */

static void test_passes(void **state)
{
	static const struct {
		const char *tags, *record;
	} cases[] = {
		{ RELAXED, RFC_RSA_RECORD },
		{ TAGS("ed25519-sha256", "c=relaxed; " NAMES "b="), RFC_ED25519_RECORD },
		{ TAGS("rsa-sha256", NAMES "b="), RFC_RSA_RECORD },
		{ TAGS("rsa-sha256", "c=simple; " NAMES "b="), RFC_RSA_RECORD },
		{ TAGS("rsa-sha256", "c=relaxed; " NAMES "b="), RFC_RSA_RECORD },
		{ TAGS("rsa-sha256", "c=relaxed/simple; " NAMES "b="), RFC_RSA_RECORD },
		{ TAGS("rsa-sha256", "c=simple/relaxed; " NAMES "b="), RFC_RSA_RECORD },
		{ TAGS("rsa-sha256", "c=simple/simple; " NAMES "\r\n\t b=;\r\n x=1800000000 "),
		  RFC_RSA_RECORD },
		{ RELAXED "; ", "v=DKIM1; p=" RFC_RSA_P },
		{ RELAXED, "p=" RFC_RSA_P },
		{ RELAXED, "p=" RFC_RSA_P ";" },
		{ RELAXED,
		  "v=DKIM1; h=sha1:sha256; k=rsa; s=x:email; t=y:s:z; n=hi; g=; p=" RFC_RSA_P },
		{ RELAXED, "v=DKIM1; s=*; g=nobody; p=" RFC_RSA_P },
		{ TAGS("rsa-sha256", "i=joe@example.org; " NAMES "b="), "t=s; p=" RFC_RSA_P },
		{ TAGS("rsa-sha256", "i=@eu.Example.org; " NAMES "b="), RFC_RSA_RECORD },
		{ TAGS("rsa-sha256", "i=j=3Boe=20x@example.org; " NAMES "b="), RFC_RSA_RECORD },
		{ TAGS("rsa-sha256", "q=dns/txt; " NAMES "b="), RFC_RSA_RECORD },
		{ TAGS("rsa-sha256", "q=x/y:dns/txt; " NAMES "b="), RFC_RSA_RECORD },
		{ TAGS("rsa-sha256", "z=From:joe|To:=20sue; xy_1=what; " NAMES "b="),
		  RFC_RSA_RECORD },
		{ TAGS("rsa-sha256", "x=1700000001; " NAMES "b="), RFC_RSA_RECORD },
		{ TAGS("rsa-sha256", "l=28; c=simple/simple; " NAMES "b="), RFC_RSA_RECORD },
		{ TAGS("rsa-sha256", "h=from:x-not-there:x-not-there; b="), RFC_RSA_RECORD },
		{ "v=1; a=rsa-sha256; d=Example.ORG; s=SEL; bh=@; " NAMES "b=", RFC_RSA_RECORD },
		{ "v=1; a=rsa-sha256; d=example.org; s=sel; t=1700000299; bh=@; " NAMES "b=",
		  RFC_RSA_RECORD },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf m = BUF_INIT(1 << 20);
		struct run r;

		run_init(&r);
		publish(&r, KEY_NAME, cases[i].record);
		buf_adds(&m, MESSAGE);
		sign_as(&m, "DKIM-Signature", cases[i].tags,
			strstr(cases[i].tags, "ed25519") ? ed25519 : rsa);
		for (size_t step = 1; step < 50; step += 7) {
			verify(&r, buf_slice(&m), NOW, step);
			assert_int_equal(r.out.n, 1);
			expect(&r.out.results[0], TRUST_PASS, NULL, cases[i].tags);
		}
		assert_true(slice_eq(r.out.results[0].domain, S("example.org")));
		assert_int_equal(r.out.results[0].testing, strstr(cases[i].record, "t=y") != NULL);
		run_fini(&r);
		buf_fini(&m);
	}
}

static void test_identity(void **state)
{
	struct buf m = BUF_INIT(1 << 20);
	struct run r;

	(void)state;
	run_init(&r);
	publish(&r, "xn--s-7ga._domainkey.xn--bcher-kva.example", RFC_RSA_RECORD);
	buf_adds(&m, MESSAGE);
	sign_as(&m, "DKIM-Signature",
		"v=1; a=rsa-sha256; d=b\303\274cher.example; s=s\303\271; bh=@; "
		"i=j\303\266=C3=B6=20@news.B\303\234CHER.example; h=from; b=",
		rsa);
	verify(&r, buf_slice(&m), NOW, 10);
	expect(&r.out.results[0], TRUST_PASS, NULL, "U-labels (RFC 8616)");
	assert_true(slice_eq(r.out.results[0].domain, S("xn--bcher-kva.example")));
	assert_true(slice_eq(r.out.results[0].identity,
			     S("j\303\266\303\266 @news.xn--bcher-kva.example")));
	run_fini(&r);
	buf_fini(&m);
}

/* ---- what does not ---------------------------------------------------------------------- */

static const struct bad {
	const char *what;
	const char *tags;      /* NULL: RELAXED */
	const char *from, *to; /* changed after signing */
	const char *record;    /* NULL: RFC_RSA_RECORD; "": none */
	enum trust_result want;
	const char *reason;
} bads[] = {
	{ "body octet", NULL, "lost", "Lost", NULL, TRUST_FAIL, "body was changed" },
	{ "appended body", NULL, "game. \r\n", "game. \r\nPS\r\n", NULL, TRUST_FAIL, "body was" },
	{ "body cut", NULL, "We lost  the game. ", "", NULL, TRUST_FAIL, "body was" },
	{ "simple body, space", TAGS("rsa-sha256", NAMES "b="), "game. ", "game.", NULL, TRUST_FAIL,
	  "body was" },
	{ "simple header, space", TAGS("rsa-sha256", NAMES "b="), "dinner\r\n  ready",
	  "dinner\r\n ready", NULL, TRUST_FAIL, "does not fit" },
	{ "Subject removed", NULL, "\r\nSubject: Is dinner\r\n  ready?", "", NULL, TRUST_FAIL,
	  "does not fit" },
	{ "From changed", NULL, "joe@", "eve@", NULL, TRUST_FAIL, "does not fit" },
	{ "second From above", NULL, "From: Joe", "From: eve@evil.test\r\nFrom: Joe", NULL,
	  TRUST_FAIL, "does not fit" },
	{ "second From below", NULL, "To: Sue", "From: eve@evil.test\r\nTo: Sue", NULL, TRUST_FAIL,
	  "does not fit" },
	{ "second Subject", NULL, "Subject: Is", "Subject: Buy!\r\nSubject: Is", NULL, TRUST_FAIL,
	  "does not fit" },
	{ "second Content-Type", NULL, "Content-Type: t", "Content-Type: x/y\r\nContent-Type: t",
	  NULL, TRUST_FAIL, "does not fit" },
	{ "second From, not oversigned", TAGS("rsa-sha256", "h=from:to; b="), "From: Joe",
	  "From: eve@evil.test\r\nFrom: Joe", NULL, TRUST_POLICY, "another From field" },
	{ "From with another case above the signature", TAGS("rsa-sha256", "h=from:to; b="),
	  "DKIM-Sig", "FROM : eve@evil.test\r\nDKIM-Sig", NULL, TRUST_POLICY,
	  "another From field" },
	{ "second Subject, not oversigned", TAGS("rsa-sha256", "h=from:subject; b="), "Subject: Is",
	  "subject: Buy!\r\nSubject: Is", NULL, TRUST_POLICY, "another Subject field" },
	{ "second Content-Type, not oversigned", TAGS("rsa-sha256", "h=from:content-type; b="),
	  "Content-Type: t", "Content-Type: x/y\r\nContent-Type: t", NULL, TRUST_POLICY,
	  "another Content-Type field" },
	/* b= and bh= */
	{ "b= changed", NULL, " b=", " b=AAAA", NULL, TRUST_FAIL, "does not fit" },
	{ "b= empty", NULL, " b=", " b=;bb=", NULL, TRUST_PERMERROR, "b= is no signature" },
	{ "b= not base64", NULL, " b=", " b=!", NULL, TRUST_PERMERROR, "b= is no signature" },
	{ "b= missing", NULL, " b=", " bbb=", NULL, TRUST_PERMERROR, "b= is missing" },
	{ "b= of 700 octets", NULL, " b=", " b=@700", NULL, TRUST_PERMERROR, "b= is no signature" },
	{ "bh= changed", NULL, " bh=", " bh=A", NULL, TRUST_PERMERROR, "bh= is no hash" },
	{ "bh= of something else", NULL, " bh=",
	  " bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; xx=", NULL, TRUST_FAIL, "body was" },
	{ "bh= empty", NULL, " bh=", " bh=;xx=", NULL, TRUST_PERMERROR, "bh= is no hash" },
	{ "bh= missing", NULL, " bh=", " xx=", NULL, TRUST_PERMERROR, "bh= is missing" },
	/* v=, a=, c=, q= */
	{ "v=2", NULL, "v=1", "v=2", NULL, TRUST_PERMERROR, "v= is not 1" },
	{ "v=01", NULL, "v=1", "v=01", NULL, TRUST_PERMERROR, "v= is not 1" },
	{ "v= missing", NULL, "v=1; ", "", NULL, TRUST_PERMERROR, "v= is not 1" },
	{ "rsa-sha1", NULL, "rsa-sha256", "rsa-sha1", NULL, TRUST_PERMERROR, "rsa-sha1" },
	{ "rsa-sha1 honestly", TAGS("rsa-sha1", NAMES "b="), NULL, NULL, NULL, TRUST_PERMERROR,
	  "rsa-sha1" },
	{ "a= changed", NULL, "rsa-sha256", "ed25519-sha256", NULL, TRUST_PERMERROR,
	  "another kind" },
	{ "a= unknown", NULL, "rsa-sha256", "rsa-md5", NULL, TRUST_PERMERROR, "a= names" },
	{ "a= in capitals", NULL, "rsa-sha256", "RSA-SHA256", NULL, TRUST_PERMERROR, "a= names" },
	{ "a= empty", NULL, "rsa-sha256", "", NULL, TRUST_PERMERROR, "a= names" },
	{ "a= missing", NULL, "a=", "aa=", NULL, TRUST_PERMERROR, "a= is missing" },
	{ "c= changed", NULL, "c=relaxed/", "c=simple/", NULL, TRUST_FAIL, "does not fit" },
	{ "c= body changed", NULL, "/relaxed", "/simple", NULL, TRUST_FAIL, "body was" },
	{ "c= unknown", NULL, "c=relaxed/", "c=waffle/", NULL, TRUST_PERMERROR, "c= names" },
	{ "c= empty", NULL, "c=relaxed/relaxed", "c=", NULL, TRUST_PERMERROR, "c= names" },
	{ "c= half", NULL, "c=relaxed/relaxed", "c=relaxed/", NULL, TRUST_PERMERROR, "c= names" },
	{ "c= three", NULL, "relaxed;", "relaxed/simple;", NULL, TRUST_PERMERROR, "c= names" },
	{ "q= unknown", TAGS("rsa-sha256", "q=dns/null; " NAMES "b="), NULL, NULL, NULL,
	  TRUST_PERMERROR, "q= names" },
	/* d=, s=, i= */
	{ "d= changed", NULL, "d=example.org", "d=evil.test", NULL, TRUST_PERMERROR, "no key" },
	{ "s= changed", NULL, "s=sel", "s=les", NULL, TRUST_PERMERROR, "no key" },
	{ "d= with NUL", NULL, "d=example.org", "d=example.org@0.evil.test", NULL, TRUST_PERMERROR,
	  "not a list" },
	{ "d= with quotes", NULL, "d=example.org", "d=\"example.org\"", NULL, TRUST_PERMERROR,
	  "d= is no domain" },
	{ "d= with a blank", NULL, "d=example.org", "d=example.org evil.test", NULL,
	  TRUST_PERMERROR, "d= is no domain" },
	{ "d= folded", NULL, "d=example.org", "d=example\r\n .org", NULL, TRUST_PERMERROR,
	  "d= is no domain" },
	{ "d= with a parenthesis", NULL, "d=example.org", "d=example.org(.evil.test", NULL,
	  TRUST_PERMERROR, "d= is no domain" },
	{ "d= with @", NULL, "d=example.org", "d=joe@example.org", NULL, TRUST_PERMERROR,
	  "d= is no domain" },
	{ "d= 8-bit, not UTF-8", NULL, "d=example.org", "d=ex\377mple.org", NULL, TRUST_PERMERROR,
	  "d= is no domain" },
	{ "d= with a final dot", NULL, "d=example.org", "d=example.org.", NULL, TRUST_PERMERROR,
	  "d= is no domain" },
	{ "d= with two dots", NULL, "d=example.org", "d=example..org", NULL, TRUST_PERMERROR,
	  "d= is no domain" },
	{ "d= of one label", NULL, "d=example.org", "d=org", NULL, TRUST_PERMERROR,
	  "d= is no domain" },
	{ "d= empty", NULL, "d=example.org", "d=", NULL, TRUST_PERMERROR, "d= is no domain" },
	{ "d= missing", NULL, "d=example.org", "dd=example.org", NULL, TRUST_PERMERROR,
	  "d= is no domain" },
	{ "s= empty", NULL, "s=sel", "s=", NULL, TRUST_PERMERROR, "s= is no selector" },
	{ "s= with a slash", NULL, "s=sel", "s=sel/..", NULL, TRUST_PERMERROR,
	  "s= is no selector" },
	{ "s= missing", NULL, "s=sel", "ss=sel", NULL, TRUST_PERMERROR, "s= is no selector" },
	{ "i= elsewhere", TAGS("rsa-sha256", "i=joe@evil.test; " NAMES "b="), NULL, NULL, NULL,
	  TRUST_PERMERROR, "i= is not within" },
	{ "i= above", TAGS("rsa-sha256", "i=joe@le.org; " NAMES "b="), NULL, NULL, NULL,
	  TRUST_PERMERROR, "i= is not within" },
	{ "i= looks like it", TAGS("rsa-sha256", "i=@badexample.org; " NAMES "b="), NULL, NULL,
	  NULL, TRUST_PERMERROR, "i= is not within" },
	{ "i= without @", TAGS("rsa-sha256", "i=example.org; " NAMES "b="), NULL, NULL, NULL,
	  TRUST_PERMERROR, "i= is no identity" },
	{ "i= empty", TAGS("rsa-sha256", "i=; " NAMES "b="), NULL, NULL, NULL, TRUST_PERMERROR,
	  "i= is no identity" },
	{ "i= with encoded CR LF", TAGS("rsa-sha256", "i=a=0D=0A@example.org; " NAMES "b="), NULL,
	  NULL, NULL, TRUST_PERMERROR, "i= is no identity" },
	{ "i= with half an octet", TAGS("rsa-sha256", "i=a=4@example.org; " NAMES "b="), NULL, NULL,
	  NULL, TRUST_PERMERROR, "i= is no identity" },
	{ "i= subdomain, t=s", TAGS("rsa-sha256", "i=@eu.example.org; " NAMES "b="), NULL, NULL,
	  "t=s; p=" RFC_RSA_P, TRUST_PERMERROR, "not for subdomains" },
	/* h= */
	{ "h= without From", TAGS("rsa-sha256", "h=to:subject; b="), NULL, NULL, NULL,
	  TRUST_PERMERROR, "does not name From" },
	{ "h= missing", NULL, " h=", " hh=", NULL, TRUST_PERMERROR, "h= is missing" },
	{ "h= empty", TAGS("rsa-sha256", "h=; b="), NULL, NULL, NULL, TRUST_PERMERROR, "h= holds" },
	{ "h= with an empty name", TAGS("rsa-sha256", "h=from::to; b="), NULL, NULL, NULL,
	  TRUST_PERMERROR, "h= holds" },
	{ "h= with a blank name", TAGS("rsa-sha256", "h=from:to sub; b="), NULL, NULL, NULL,
	  TRUST_PERMERROR, "h= holds" },
	{ "h= shorter", NULL, "h=From:To:", "h=From:", NULL, TRUST_FAIL, "does not fit" },
	/* l= */
	{ "l= shorter", TAGS("rsa-sha256", "l=4; " NAMES "b="), NULL, NULL, NULL, TRUST_POLICY,
	  "l= covers 4 of" },
	{ "l=0", TAGS("rsa-sha256", "l=0; " NAMES "b="), NULL, NULL, NULL, TRUST_POLICY,
	  "l= covers 0 of" },
	{ "l= fits, body appended", TAGS("rsa-sha256", "l=28; " NAMES "b="), "\r\n\r\nHi",
	  "\r\n\r\nHi there, Hi", NULL, TRUST_POLICY, "l= covers 28 of" },
	{ "l= longer", TAGS("rsa-sha256", "l=1000; " NAMES "b="), NULL, NULL, NULL, TRUST_FAIL,
	  "shorter than l=" },
	{ "l= of 70 digits",
	  TAGS("rsa-sha256",
	       "l=9999999999999999999999999999999999999999999999999999999999999999999999; " NAMES
	       "b="),
	  NULL, NULL, NULL, TRUST_FAIL, "shorter than l=" },
	{ "l= negative", TAGS("rsa-sha256", "l=-1; " NAMES "b="), NULL, NULL, NULL, TRUST_PERMERROR,
	  "l= is no number" },
	/* t=, x= */
	{ "x= past",
	  "v=1; a=rsa-sha256; d=example.org; s=sel; t=1600000000; x=1600000100; bh=@; " NAMES "b=",
	  NULL, NULL, NULL, TRUST_FAIL, "expired" },
	{ "x= changed", TAGS("rsa-sha256", "x=1700000001; " NAMES "b="), "x=1700000001",
	  "x=1800000001", NULL, TRUST_FAIL, "does not fit" },
	{ "x= before t=", TAGS("rsa-sha256", "x=1699999999; " NAMES "b="), NULL, NULL, NULL,
	  TRUST_PERMERROR, "x= is not after" },
	{ "x= empty", TAGS("rsa-sha256", "x=; " NAMES "b="), NULL, NULL, NULL, TRUST_PERMERROR,
	  "t= or x=" },
	{ "t= no number", NULL, "t=1699999999", "t=yesterday", NULL, TRUST_PERMERROR, "t= or x=" },
	{ "t= of 13 digits", NULL, "t=1699999999", "t=1699999999000", NULL, TRUST_PERMERROR,
	  "t= or x=" },
	{ "t= in the future", NULL, "t=1699999999", "t=1700000301", NULL, TRUST_FAIL, "future" },
	/* tags */
	{ "a tag twice", NULL, "v=1", "v=1; d=example.org", NULL, TRUST_PERMERROR, "twice" },
	{ "an empty tag", NULL, "v=1", "v=1;", NULL, TRUST_PERMERROR, "not a list" },
	{ "no tags", NULL, " v=1;", " hello;", NULL, TRUST_PERMERROR, "not a list" },
	/* records */
	{ "no key", NULL, NULL, NULL, "", TRUST_PERMERROR, "no key" },
	{ "key revoked", NULL, NULL, NULL, "v=DKIM1; k=rsa; p=", TRUST_PERMERROR, "revoked" },
	{ "key of another domain", NULL, NULL, NULL,
	  "p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDR3lRpGZS+xO96Znv/BPNQxim7ZD0v6yFmZa9Rni5FHCeWuQ"
	  "wcp+PH/XXOyF6JsmB+kS0ybxJnx594ulqH2KvLMNsGAD+yRl2bJSXbBHea7K9C5WX8Vjx3oPoGgw7QCONptnjUsb"
	  "IIoxUZBEUe17eG44H/PbDqGwCBiyI20KEC/wIDAQAB",
	  TRUST_FAIL, "does not fit" },
	{ "key of 512 bits", NULL, NULL, NULL,
	  "p=MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAIWmlgix/84GJ+dfgjm7LTc9EPdfkftlgiPpCq4/kbDAZmU0VvYKD"
	  "ljjleJ1dfvS+CGy9U/kk1tG3EeEvb82xAcCAwEAAQ==",
	  TRUST_PERMERROR, "fewer than 1024" },
	{ "key of 8192 bits", NULL, NULL, NULL, "#8192,65537", TRUST_PERMERROR, "more than 4096" },
	{ "key of 4096 bits, another", NULL, NULL, NULL, "#4096,65537", TRUST_FAIL,
	  "does not fit" },
	{ "exponent 1", NULL, NULL, NULL, "#2048,1", TRUST_PERMERROR, "exponent" },
	{ "exponent even", NULL, NULL, NULL, "#2048,4", TRUST_PERMERROR, "exponent" },
	{ "exponent huge", NULL, NULL, NULL, "#2048,0", TRUST_PERMERROR, "exponent" },
	{ "key record of v=DKIM2", NULL, NULL, NULL, "v=DKIM2; p=" RFC_RSA_P, TRUST_PERMERROR,
	  "none of DKIM1" },
	{ "v= not first", NULL, NULL, NULL, "k=rsa; v=DKIM1; p=" RFC_RSA_P, TRUST_PERMERROR,
	  "none of DKIM1" },
	{ "k= unknown", NULL, NULL, NULL, "k=dsa; p=" RFC_RSA_P, TRUST_PERMERROR, "kind (k=)" },
	{ "k= of another kind", NULL, NULL, NULL, "k=ed25519; p=" RFC_RSA_P, TRUST_PERMERROR,
	  "no Ed25519 key" },
	{ "Ed25519 key for an RSA signature", NULL, NULL, NULL, RFC_ED25519_RECORD, TRUST_PERMERROR,
	  "another kind" },
	{ "h= of the key", NULL, NULL, NULL, "h=sha1; p=" RFC_RSA_P, TRUST_PERMERROR,
	  "not for SHA-256" },
	{ "s= of the key", NULL, NULL, NULL, "s=tlsrpt; p=" RFC_RSA_P, TRUST_PERMERROR,
	  "not for mail" },
	{ "p= missing", NULL, NULL, NULL, "v=DKIM1; k=rsa", TRUST_PERMERROR, "no p=" },
	{ "p= not base64", NULL, NULL, NULL, "v=DKIM1; p=*", TRUST_PERMERROR, "not base64" },
	{ "p= not a key", NULL, NULL, NULL, "v=DKIM1; p=AAAA", TRUST_PERMERROR, "no RSA key" },
	{ "p= with something behind the key", NULL, NULL, NULL, "p=" RFC_RSA_P "AAAA",
	  TRUST_PERMERROR, "no RSA key" },
	{ "a tag twice in the key", NULL, NULL, NULL, "p=; p=" RFC_RSA_P, TRUST_PERMERROR,
	  "not a list" },
	{ "an SPF record instead", NULL, NULL, NULL, "v=spf1 -all", TRUST_PERMERROR, "DKIM1" },
};

/* The record of an RSA key of that size and exponent (0: as long as the key),
 * whose private half nobody knows. */
static void made_up(const char *how, struct buf *record)
{
	unsigned bits = (unsigned)strtoul(how + 1, NULL, 10);
	unsigned long e = strtoul(strchr(how, ',') + 1, NULL, 10);
	OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
	BIGNUM *n = BN_new(), *exp = BN_new();
	EVP_PKEY *pkey = NULL;
	OSSL_PARAM *params;
	struct dkim_key k = { 0 };

	BN_rand(n, (int)bits, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ODD);
	BN_set_word(exp, e);
	if (!e) {
		BN_rand(exp, (int)bits - 1, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ODD);
	}
	OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, n);
	OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, exp);
	params = OSSL_PARAM_BLD_to_param(bld);
	assert_int_equal(EVP_PKEY_fromdata_init(ctx), 1);
	assert_int_equal(EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params), 1);
	k.pkey = pkey;
	assert_int_equal(dkim_key_record(&k, record), 0);
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(bld);
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(pkey);
	BN_free(n);
	BN_free(exp);
}

/* "@N" in a replacement: N letters; "@0": a NUL. */
static void change(struct buf *m, const struct bad *b)
{
	struct buf to = BUF_INIT(1 << 16);
	struct slice text = slice_cstr(b->to);
	size_t at = slice_find(text, S("@0"));

	buf_adds(&to, b->to);
	if (at != SIZE_MAX) {
		test_replace(&to, S("@0"), S("\0"));
	}
	if (slice_find(text, S("@700")) != SIZE_MAX) {
		struct buf many = BUF_INIT(1000);
		for (int i = 0; i < 936; i++) {
			buf_addc(&many, 'A');
		}
		test_replace(&to, S("@700"), buf_slice(&many));
		buf_fini(&many);
	}
	test_replace(m, slice_cstr(b->from), buf_slice(&to));
	buf_fini(&to);
}

static void run_bad(const struct bad *b)
{
	struct buf m = BUF_INIT(1 << 20), record = BUF_INIT(1 << 16);
	struct run r;

	run_init(&r);
	if (!b->record) {
		buf_adds(&record, RFC_RSA_RECORD);
	} else if (b->record[0] == '#') {
		made_up(b->record, &record);
	} else {
		buf_adds(&record, b->record);
	}
	if (record.n) {
		publish(&r, KEY_NAME, buf_cstr(&record));
	}
	buf_adds(&m, MESSAGE);
	sign_as(&m, "DKIM-Signature", b->tags ? b->tags : RELAXED, rsa);
	if (b->from) {
		change(&m, b);
	}
	verify(&r, buf_slice(&m), NOW, 16);
	assert_int_equal(r.out.n, 1);
	expect(&r.out.results[0], b->want, b->reason, b->what);
	assert_false(slice_has_nul(r.out.results[0].domain));
	run_fini(&r);
	buf_fini(&m);
	buf_fini(&record);
}

static void test_bads(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bads); i++) {
		run_bad(&bads[i]);
	}
	print_message("%zu changes, none of which passes\n", ARRAY_LEN(bads));
}

static void test_expired(void **state)
{
	struct buf m = BUF_INIT(1 << 20);
	struct run r;

	(void)state;
	run_init(&r);
	publish(&r, KEY_NAME, RFC_RSA_RECORD);
	buf_adds(&m, MESSAGE);
	sign_as(&m, "DKIM-Signature", TAGS("rsa-sha256", "x=1700001000; " NAMES "b="), rsa);
	verify(&r, buf_slice(&m), 1700001000, 100);
	expect(&r.out.results[0], TRUST_PASS, NULL, "at x=");
	verify(&r, buf_slice(&m), 1700001300, 100);
	expect(&r.out.results[0], TRUST_PASS, NULL, "within what clocks differ");
	verify(&r, buf_slice(&m), 1700001301, 100);
	expect(&r.out.results[0], TRUST_FAIL, "expired", "behind it");
	run_fini(&r);
	buf_fini(&m);
}

/* ---- the DNS ---------------------------------------------------------------------------- */

/* With the keys that were published; then there are none again. */
static void answers(struct run *r, const struct buf *m, enum trust_result want, const char *reason,
		    const char *what)
{
	verify(r, buf_slice(m), NOW, 100);
	expect(&r->out.results[0], want, reason, what);
	run_fini(r);
	run_init(r);
}

static void test_dns(void **state)
{
	struct buf m = BUF_INIT(1 << 20), long_record = BUF_INIT(1 << 16);
	struct run r;

	(void)state;
	buf_adds(&m, MESSAGE);
	sign_as(&m, "DKIM-Signature", RELAXED, rsa);
	run_init(&r);

	assert_int_equal(dns_mem_fail(r.dns, KEY_NAME, DNS_TXT, DNS_FAIL), 0);
	answers(&r, &m, TRUST_TEMPERROR, "could not be had", "SERVFAIL");

	assert_int_equal(dns_mem_fail(r.dns, KEY_NAME, DNS_TXT, DNS_NODATA), 0);
	answers(&r, &m, TRUST_PERMERROR, "no key", "no TXT");

	/* names that point at each other */
	assert_int_equal(dns_mem_text(r.dns, KEY_NAME, DNS_CNAME, "loop.example.org"), 0);
	assert_int_equal(dns_mem_text(r.dns, "loop.example.org", DNS_CNAME, KEY_NAME), 0);
	verify(&r, buf_slice(&m), NOW, 100);
	assert_true(r.out.results[0].result == TRUST_TEMPERROR ||
		    r.out.results[0].result == TRUST_PERMERROR);
	run_fini(&r);
	run_init(&r);

	/* several records: one that fits is enough, of the first five */
	publish(&r, KEY_NAME, "v=spf1 -all");
	publish(&r, KEY_NAME, "v=DKIM1; p=");
	publish(&r, KEY_NAME, RFC_ED25519_RECORD);
	publish(&r, KEY_NAME, RFC_RSA_RECORD);
	answers(&r, &m, TRUST_PASS, NULL, "four records");

	for (int i = 0; i < SIG_KEY_RECORDS_MAX; i++) {
		char text[40];
		snprintf(text, sizeof(text), "v=DKIM1; n=%d; p=", i);
		publish(&r, KEY_NAME, text);
	}
	publish(&r, KEY_NAME, RFC_RSA_RECORD);
	answers(&r, &m, TRUST_PERMERROR, "revoked", "the sixth record");

	/* a record that is longer than any key needs */
	buf_adds(&long_record, RFC_RSA_RECORD "; n=");
	while (long_record.n <= SIG_KEY_TEXT_MAX) {
		buf_addc(&long_record, 'n');
	}
	publish(&r, KEY_NAME, buf_cstr(&long_record));
	answers(&r, &m, TRUST_PERMERROR, "too long", "a long record");

	/* RDATA that is none */
	assert_int_equal(dns_mem_add(r.dns, KEY_NAME, DNS_TXT, S("\x09zu kurz")), 0);
	answers(&r, &m, TRUST_PERMERROR, "damaged", "damaged RDATA");
	run_fini(&r);
	buf_fini(&m);
	buf_fini(&long_record);
}

/* A changed body costs no question; two signatures of one key cost one. */
static void test_questions(void **state)
{
	struct buf m = BUF_INIT(1 << 20);
	struct run r;

	(void)state;
	run_init(&r);
	publish(&r, KEY_NAME, RFC_RSA_RECORD);
	buf_adds(&m, MESSAGE);
	sign_as(&m, "DKIM-Signature", RELAXED, rsa);
	sign_as(&m, "DKIM-Signature", TAGS("rsa-sha256", NAMES "b="), rsa);
	verify(&r, buf_slice(&m), NOW, 100);
	assert_int_equal(r.out.n, 2);
	expect(&r.out.results[0], TRUST_PASS, NULL, "first");
	expect(&r.out.results[1], TRUST_PASS, NULL, "second");
	assert_int_equal(dns_mem_count(r.dns), 1);
	test_replace(&m, S("We lost"), S("We won"));
	verify(&r, buf_slice(&m), NOW, 100);
	expect(&r.out.results[0], TRUST_FAIL, "body", "first");
	assert_int_equal(dns_mem_count(r.dns), 1);
	run_fini(&r);
	buf_fini(&m);
}

/* ---- masses ------------------------------------------------------------------------------ */

static void test_thousand_signatures(void **state)
{
	struct buf m = BUF_INIT(1 << 22);
	struct run r;

	(void)state;
	run_init(&r);
	publish(&r, KEY_NAME, RFC_RSA_RECORD);
	buf_adds(&m, MESSAGE);
	sign_as(&m, "DKIM-Signature", RELAXED, rsa);
	for (int i = 0; i < 1000; i++) {
		struct buf all = BUF_INIT(1 << 22);
		buf_adds(&all, "DKIM-Signature: v=1; a=rsa-sha256; d=evil.test; s=x; h=from; "
			       "bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=AAAA\r\n");
		buf_add(&all, buf_slice(&m));
		buf_fini(&m);
		m = all;
	}
	verify(&r, buf_slice(&m), NOW, 4096);
	assert_int_equal(r.out.n, DKIM_SIGNATURES_MAX);
	assert_int_equal(r.out.skipped, 991);
	for (size_t i = 0; i < r.out.n; i++) {
		expect(&r.out.results[i], TRUST_FAIL, "body", "one of a thousand");
	}
	run_fini(&r);
	buf_fini(&m);
}

/* 512 KiB of header, and ten signatures that name a thousand fields each. */
static void test_big_header(void **state)
{
	struct buf m = BUF_INIT(1 << 22), tags = BUF_INIT(1 << 16);
	struct run r;

	(void)state;
	run_init(&r);
	publish(&r, KEY_NAME, RFC_RSA_RECORD);
	for (int i = 0; m.n < 512 * 1024; i++) {
		buf_printf(&m,
			   "X-%d: a  b\tc d\r\n e f g h i j k l m n o p q r s t u v w x y z\r\n",
			   i % 5);
	}
	buf_adds(&m, MESSAGE);
	buf_adds(&tags, TAGS("rsa-sha256", "c=relaxed/relaxed; h=from"));
	for (int i = 0; i < SIG_NAMES_MAX - 1; i++) {
		buf_printf(&tags, ":x-%d%s", i % 7, i % 10 ? "" : "\r\n ");
	}
	buf_adds(&tags, "; b=");
	for (int i = 0; i < 10; i++) {
		sign_as(&m, "DKIM-Signature", buf_cstr(&tags), rsa);
	}
	verify(&r, buf_slice(&m), NOW, 4096);
	assert_int_equal(r.out.n, 10);
	for (size_t i = 0; i < r.out.n; i++) {
		expect(&r.out.results[i], TRUST_PASS, NULL, "big header");
	}
	/* one name more */
	test_replace(&tags, S(":x-1"), S(":x-1:x-1"));
	sign_as(&m, "DKIM-Signature", buf_cstr(&tags), rsa);
	verify(&r, buf_slice(&m), NOW, 4096);
	expect(&r.out.results[0], TRUST_PERMERROR, "too many fields", "1001 names");
	assert_int_equal(r.out.skipped, 1);
	run_fini(&r);
	buf_fini(&m);
	buf_fini(&tags);
}

static void test_too_big(void **state)
{
	struct buf m = BUF_INIT(1 << 22);
	struct run r;

	(void)state;
	run_init(&r);
	buf_adds(&m, "DKIM-Signature: v=1; xx=");
	while (m.n < SIG_FIELD_MAX) {
		buf_addc(&m, 'x');
	}
	buf_adds(&m, "\r\n" MESSAGE);
	verify(&r, buf_slice(&m), NOW, 4096);
	expect(&r.out.results[0], TRUST_PERMERROR, "too long", "field of 32 KiB");
	buf_reset(&m);
	for (int i = 0; i <= FIELDS_MAX; i++) {
		buf_adds(&m, "A:\r\n");
	}
	buf_adds(&m, MESSAGE);
	verify(&r, buf_slice(&m), NOW, 4096);
	assert_int_equal(r.out.n, 1);
	expect(&r.out.results[0], TRUST_PERMERROR, "too many fields", "10001 fields");
	run_fini(&r);
	buf_fini(&m);
}

/* ---- waiting ----------------------------------------------------------------------------- */

struct waiter {
	struct run r;
	struct buf m;
	int rc;
};

static void verify_waiting(void *arg)
{
	struct waiter *w = arg;
	struct slice whole = buf_slice(&w->m);
	size_t at = test_body_at(whole);
	struct dkim_verifier *v = NULL;

	co_enter();
	assert_int_equal(dkim_verifier_new(slice_sub(whole, 0, at), NOW, &v), 0);
	dkim_verifier_body(v, slice_from(whole, at));
	w->rc = dkim_verifier_end(v, w->r.dns, 0, &w->r.arena, &w->r.out);
	dkim_verifier_free(&v);
}

/* Two at once, of which one is cancelled while it waits for a key; the headers
 * are long enough to be hashed in the pool. */
static void wait_for_both(void *arg)
{
	struct waiter *w = arg;
	struct co *one = NULL, *two = NULL;

	co_enter();
	assert_int_equal(co_spawn("one", verify_waiting, &w[0], &one), 0);
	assert_int_equal(co_spawn("two", verify_waiting, &w[1], &two), 0);
	co_cancel(two);
	assert_int_equal(co_join(&one), 0);
	co_finish(&two);
}

static void test_waiting(void **state)
{
	struct waiter w[2] = { 0 };

	(void)state;
	assert_int_equal(co_pool_start(1, 0), 0);
	for (size_t i = 0; i < 2; i++) {
		run_init(&w[i].r);
		publish(&w[i].r, KEY_NAME, RFC_RSA_RECORD);
		buf_init(&w[i].m, 1 << 20);
		buf_adds(&w[i].m, "X: ");
		for (int k = 0; k < 2 * SIG_OFFLOAD_OCTETS; k++) {
			buf_addc(&w[i].m, 'x');
		}
		buf_adds(&w[i].m, "\r\n" MESSAGE);
		sign_as(&w[i].m, "DKIM-Signature", TAGS("rsa-sha256", "h=from:x; b="), rsa);
		sign_as(&w[i].m, "DKIM-Signature", TAGS("rsa-sha256", "h=x:from; b="), rsa);
	}
	test_run_loop(wait_for_both, w);
	assert_int_equal(w[0].rc, 0);
	expect(&w[0].r.out.results[0], TRUST_PASS, NULL, "first");
	expect(&w[0].r.out.results[1], TRUST_PASS, NULL, "second");
	assert_int_equal(w[1].rc, -ECANCELED);
	for (size_t i = 0; i < 2; i++) {
		run_fini(&w[i].r);
		buf_fini(&w[i].m);
	}
	co_pool_stop();
}

static void test_nothing(void **state)
{
	static const char *const messages[] = { "", "\r\n", "From: x", "\r\nDKIM-Signature: v=1",
						MESSAGE };
	struct dkim_verifier *v = NULL;
	struct run r;

	(void)state;
	run_init(&r);
	for (size_t i = 0; i < ARRAY_LEN(messages); i++) {
		verify(&r, slice_cstr(messages[i]), NOW, 1);
		assert_int_equal(r.out.n, 0);
		assert_int_equal(r.out.skipped, 0);
	}
	assert_int_equal(dns_mem_count(r.dns), 0);
	assert_int_equal(dkim_verifier_new(S(MESSAGE), NOW, &v), 0);
	assert_false(dkim_verifier_wants_body(v));
	dkim_verifier_free(&v);
	dkim_verifier_free(&v);
	/* no resolver at all */
	dns_free(&r.dns);
	verify(&r, slice_cstr(rfc8463), NOW, 100);
	expect(&r.out.results[0], TRUST_TEMPERROR, "could not be had", "no resolver");
	run_fini(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rfc8463),	   cmocka_unit_test(test_passes),
		cmocka_unit_test(test_identity),   cmocka_unit_test(test_bads),
		cmocka_unit_test(test_expired),	   cmocka_unit_test(test_dns),
		cmocka_unit_test(test_questions),  cmocka_unit_test(test_thousand_signatures),
		cmocka_unit_test(test_big_header), cmocka_unit_test(test_too_big),
		cmocka_unit_test(test_waiting),	   cmocka_unit_test(test_nothing),
	};

	return cmocka_run_group_tests(tests, keys_up, keys_down);
}
