/*
 * The verdict on a stranger's message: what an enemy might do so that DMARC
 * does not decide. Transcripts have the ordinary ways (test/script/smtp/14*).
 */
#include "trust/test_util.h"

#include "io/spool.h"
#include "smtp/verify.h"

#define BODY "hello\r\n"
#define SPOOF "From: Boss <boss@bank.example>\r\nSubject: pay\r\n"

/* A table of the DNS, and names whose server takes all the time there is. */
struct slow_dns {
	struct dns dns;
	struct dns *table;
	bool used_up;
};

struct run {
	struct slow_dns slow;
	struct proto_env env;
	struct net_addr peer;
	struct spool *spool;
	struct buf m; /* the message */
	struct verdict v;
	int64_t timeout_ms;
	struct verify_in in;
};

static int query(struct dns *d, const char *name, enum dns_type type, int64_t deadline,
		 struct arena *a, struct dns_answer *out)
{
	struct slow_dns *s = (struct slow_dns *)d;

	co_enter();
	if (slice_ends(slice_cstr(name), S("slow.example"))) {
		s->used_up = true;
		while (clock_mono() < deadline) {
		}
	}
	if (deadline && clock_mono() >= deadline) {
		out->result = DNS_FAIL;
		out->why = "timed out";
		return 0;
	}
	return dns_query(s->table, slice_cstr(name), type, deadline, a, out);
}

static const struct dns_ops ops = { .query = query };

static void add_txt(struct run *r, const char *name, const char *text)
{
	assert_int_equal(dns_mem_text(r->slow.table, name, DNS_TXT, text), 0);
}

static void run_init(struct run *r, const char *header)
{
	static const char *const sealers[] = { "example.net" };

	co_enter();
	*r = (struct run){ .slow.dns.ops = &ops };
	r->env = (struct proto_env){ .hostname = "mx.example.test",
				     .dns = &r->slow.dns,
				     .arc_sealers = sealers,
				     .n_arc_sealers = 1 };
	assert_int_equal(net_addr_parse(S("192.0.2.1"), 0, &r->peer), 0);
	assert_int_equal(dns_mem_new(&r->slow.table), 0);
	assert_int_equal(spool_new("/tmp", 1 << 20, &r->spool), 0);
	buf_init(&r->m, 1 << 20);
	buf_adds(&r->m, header);
	buf_adds(&r->m, "\r\n" BODY);
	add_txt(r, "_dmarc.bank.example", "v=DMARC1; p=reject");
	add_txt(r, "s._domainkey.example.net", RFC_RSA_RECORD);
}

static void run_fini(struct run *r)
{
	verify_fini(&r->v);
	spool_free(&r->spool);
	dns_free(&r->slow.table);
	buf_fini(&r->m);
}

static void verify(struct run *r)
{
	struct slice whole = buf_slice(&r->m);
	size_t at = test_body_at(whole);
	r->in = (struct verify_in){ .env = &r->env,
				    .peer = &r->peer,
				    .helo = S("client.example"),
				    .from = S("a@evil.example"),
				    .header = slice_sub(whole, 0, at),
				    .spool = r->spool,
				    .body = at,
				    .timeout_ms = r->timeout_ms };

	co_enter();
	assert_int_equal(spool_write(r->spool, whole, NULL), 0);
	assert_int_equal(verify_message(&r->in, &r->v, NULL), 0);
}

/* Slow keys of the enemy's own use up all the time before the policy is asked for. */
static void test_time_is_used_up(void **state)
{
	struct run r;

	(void)state;
	run_init(&r, "DKIM-Signature: v=1; a=rsa-sha256; d=slow.example; s=x; h=from;\r\n"
		     " bh=nphhnnyJnfjwBYm5E0jpmq/dvWbl5EpS4Xt0Ew1NEw0=; b=AAAA\r\n" SPOOF);
	/* the hash of BODY, so that the key is asked for */
	test_replace(&r.m, S("nphhnnyJnfjwBYm5E0jpmq/dvWbl5EpS4Xt0Ew1NEw0="),
		     test_body_hash(CANON_SIMPLE, S(BODY), (char[64]){ 0 }));
	r.timeout_ms = 20;
	verify(&r);
	assert_true(r.slow.used_up);
	assert_int_equal(r.v.dmarc[0].result, TRUST_FAIL);
	assert_int_equal(r.v.action, VERIFY_REFUSE);
	run_fini(&r);
}

/* An author without a strict policy does not hide one that could not be judged. */
static void test_unsure_among_others(void **state)
{
	static const char *const from[] = { "From: a@mild.example, boss@bank.example\r\n",
					    "From: boss@bank.example, a@mild.example\r\n" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(from); i++) {
		struct run r;

		run_init(&r, from[i]);
		add_txt(&r, "_dmarc.mild.example", "v=DMARC1; p=none");
		test_replace(&r.m, S("From:"),
			     S("DKIM-Signature: v=1; a=rsa-sha256; d=bank.example; s=gone; "
			       "h=from; bh=BH; b=AAAA\r\nFrom:"));
		test_replace(&r.m, S("BH"), test_body_hash(CANON_SIMPLE, S(BODY), (char[64]){ 0 }));
		assert_int_equal(dns_mem_fail(r.slow.table, "gone._domainkey.bank.example", DNS_TXT,
					      DNS_FAIL),
				 0);
		verify(&r);
		assert_int_equal(r.v.action, VERIFY_REFUSE);
		assert_memory_equal(r.v.reply, "451 4.7.1", 9);
		run_fini(&r);
	}
}

/* As many findings as there can be, all as long as they can be. */
static void test_field_fits(void **state)
{
	struct buf field = BUF_INIT(VERIFY_FIELD_MAX);
	struct buf head = BUF_INIT(65536);
	char quotes[400], label[63];
	struct slice long_name;
	struct buf name = BUF_INIT(256);
	struct run r;

	(void)state;
	memset(quotes, '"', sizeof(quotes));
	memset(label, 'x', sizeof(label));
	for (int i = 0; i < 3; i++) {
		buf_add(&name, slice_make(label, sizeof(label)));
		buf_addc(&name, '.');
	}
	buf_adds(&name, "verylongdomain.example");
	long_name = buf_slice(&name);
	for (int i = 0; i < DKIM_SIGNATURES_MAX; i++) {
		buf_printf(&head,
			   "DKIM-Signature: v=1; a=rsa-sha256; d=%.*s; s=%.*s;\r\n i=%.*s@%.*s;"
			   " h=from; bh=BH; b=AAAAAAAAAAAAAAAA\r\n",
			   SLICE_ARG(long_name), SLICE_ARG(long_name), (int)sizeof(quotes), quotes,
			   SLICE_ARG(long_name));
	}
	for (int i = 0; i < DMARC_AUTHORS_MAX; i++) {
		buf_printf(&head, "%s a@%c%.*s", i ? ",\r\n" : "From:", 'a' + i,
			   SLICE_ARG(slice_from(long_name, 1)));
	}
	buf_adds(&head, "\r\n");
	run_init(&r, buf_cstr(&head));
	verify(&r);
	assert_int_equal(r.v.dkim.n, DKIM_SIGNATURES_MAX);
	assert_int_equal(r.v.authors.n, DMARC_AUTHORS_MAX);
	verify_field(&r.in, &r.v, &field);
	assert_int_equal(field.err, 0);
	assert_true(field.n > 12000);
	assert_true(slice_ends(buf_slice(&field), S("\r\n")));
	run_fini(&r);
	buf_fini(&field);
	buf_fini(&head);
	buf_fini(&name);
}

/* ---- ARC ------------------------------------------------------------------- */

static const char *names;

static void seal(struct run *r, const char *results)
{
	struct slice whole = buf_slice(&r->m);
	size_t at = test_body_at(whole);
	struct buf out = BUF_INIT(1 << 20);
	struct arc_seal_opts o = { .domain = S("example.net"),
				   .selector = S("s"),
				   .now = clock_wall() - 10,
				   .chain = TRUST_NONE,
				   .results = slice_cstr(results),
				   .names = slice_cstr(names) };
	struct dkim_key *key;
	struct arc_sealer *s;

	assert_int_equal(dkim_key_parse(S(RFC_RSA_PEM), &key, NULL), 0);
	o.key = key;
	assert_int_equal(arc_sealer_new(slice_sub(whole, 0, at), &o, &s), 0);
	arc_sealer_body(s, slice_from(whole, at));
	assert_int_equal(arc_sealer_end(s, &out, NULL), 0);
	arc_sealer_free(&s);
	dkim_key_free(&key);
	buf_add(&out, whole);
	buf_reset(&r->m);
	buf_add(&r->m, buf_slice(&out));
	buf_fini(&out);
}

static enum verify_action action_of(const char *results)
{
	enum verify_action action;
	struct run r;

	co_enter();
	run_init(&r, SPOOF);
	seal(&r, results);
	verify(&r);
	assert_int_equal(r.v.arc.result, TRUST_PASS);
	action = r.v.action;
	run_fini(&r);
	return action;
}

static void test_sealer_vouches(void **state)
{
	(void)state;
	names = "from:from:subject";
	assert_int_equal(action_of("mx.example.net; dmarc=pass header.from=bank.example"),
			 VERIFY_ACCEPT);
	assert_int_equal(action_of("mx.example.net; dmarc=fail header.from=bank.example"),
			 VERIFY_REFUSE);
}

/* Of what a sealer reports much was chosen by who sent it. */
static void test_sealer_quotes_enemy(void **state)
{
	(void)state;
	names = "from:from:subject";
	assert_int_equal(action_of("mx.example.net; dmarc=fail header.from=bank.example;\r\n"
				   " spf=pass smtp.mailfrom=\"dmarc=pass\"@evil.example"),
			 VERIFY_REFUSE);
	assert_int_equal(action_of("mx.example.net; dmarc=pass header.from=evil.example;\r\n"
				   " dmarc=fail header.from=bank.example"),
			 VERIFY_REFUSE);
	assert_int_equal(action_of("mx.example.net; spf=none (helo; dmarc=pass) x.y=z"),
			 VERIFY_REFUSE);
}

/* A seal that leaves From out says nothing of who wrote this. */
static void test_sealed_without_from(void **state)
{
	(void)state;
	names = "subject";
	assert_int_equal(action_of("mx.example.net; dmarc=pass header.from=evil.example"),
			 VERIFY_REFUSE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_field_fits),
		cmocka_unit_test(test_time_is_used_up),
		cmocka_unit_test(test_unsure_among_others),
		cmocka_unit_test(test_sealer_vouches),
		cmocka_unit_test(test_sealer_quotes_enemy),
		cmocka_unit_test(test_sealed_without_from),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
