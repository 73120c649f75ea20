/*
 * Fuzzer of DKIM: a message is verified under keys that the input brings along
 * (behind a line with only "%": records), however it is cut, with the same
 * outcome; nothing that is not a name comes out; and signing what has a From
 * gives something that passes, and nothing else of the outcome changes.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/err.h"
#include "co/co.h"
#include "trust/dkim.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define NOW INT64_C(1700000000)
#define SEED_PEM                                                             \
	"-----BEGIN PRIVATE KEY-----\n"                                      \
	"MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n" \
	"-----END PRIVATE KEY-----\n"

static void check(bool ok)
{
	if (!ok) {
		abort();
	}
}

/* Whoever asks gets the records of the input: each name has them all. */
struct answers {
	struct dns dns;
	struct slice records;
};

static int answer(struct dns *d, const char *name, enum dns_type type, int64_t deadline,
		  struct arena *a, struct dns_answer *out)
{
	struct answers *x = (struct answers *)d;
	struct slice rest = x->records;

	(void)name, (void)type, (void)deadline;
	*out = (struct dns_answer){ .result = rest.n ? DNS_OK : DNS_NXDOMAIN };
	out->rdata = arena_array(a, 10, sizeof(*out->rdata));
	while (rest.p && out->n < 10 && out->rdata) {
		struct slice line = slice_split(&rest, '\n');
		struct buf b = BUF_INIT(1 << 16);

		do {
			struct slice piece = slice_sub(line, 0, 255);
			buf_addc(&b, (char)piece.n);
			buf_add(&b, piece);
			line = slice_from(line, piece.n);
		} while (line.n);
		out->rdata[out->n++] = arena_dup(a, buf_slice(&b));
		buf_fini(&b);
	}
	return arena_err(a) ? -ENOMEM : 0;
}

static const struct dns_ops ops = { .query = answer };

static void verify(struct slice header, struct slice body, size_t step, struct answers *keys,
		   struct arena *a, struct dkim_outcome *out)
{
	struct dkim_verifier *v = NULL;
	int r = dkim_verifier_new(header, NOW, &v);

	co_enter();
	check(r == 0);
	for (size_t i = 0; i < body.n; i += step) {
		dkim_verifier_body(v, slice_sub(body, i, step));
	}
	r = dkim_verifier_end(v, &keys->dns, 0, a, out);
	check(r == 0);
	dkim_verifier_free(&v);
}

static void check_name(struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		check((c >= 'a' && c <= 'z') || ascii_isdigit(c) || c == '-' || c == '_' ||
		      c == '.');
	}
}

static void check_same(const struct dkim_outcome *one, const struct dkim_outcome *two)
{
	check(one->n == two->n && one->skipped == two->skipped && one->n <= DKIM_SIGNATURES_MAX);
	for (size_t i = 0; i < one->n; i++) {
		const struct dkim_result *a = &one->results[i], *b = &two->results[i];

		check(a->result == b->result && a->result != TRUST_NONE);
		check((a->result == TRUST_PASS) == (a->reason.n == 0));
		check(a->result != TRUST_PASS || (a->domain.n && a->selector.n && a->identity.n));
		check(slice_eq(a->domain, b->domain) && slice_eq(a->reason, b->reason));
		check_name(a->domain);
		check_name(a->selector);
	}
}

/* The message with our signature in front, and our key. */
static void sign(struct slice header, struct slice body)
{
	static const char record[] =
		"v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
	struct answers keys = { .dns = { .ops = &ops }, .records = slice_cstr(record) };
	struct buf all = BUF_INIT(1u << 24);
	struct dkim_signer *s = NULL;
	static struct dkim_key *key; /* kept: reading it is slow */
	struct dkim_sign_opts o = { .domain = S("a.b"), .selector = S("c"), .now = NOW };
	struct dkim_outcome out;
	struct arena a;

	arena_init(&a, 1 << 22);
	if (!key) {
		check(dkim_key_parse(S(SEED_PEM), &key, NULL) == 0);
	}
	o.key = key;
	if (dkim_signer_new(header, &o, &s) == 0) {
		dkim_signer_body(s, body);
		check(dkim_signer_end(s, &all, NULL) == 0);
		dkim_signer_free(&s);
		buf_add(&all, header);
		verify(buf_slice(&all), body, 3, &keys, &a, &out);
		check(out.n >= 1 && out.results[0].result == TRUST_PASS);
	}
	buf_fini(&all);
	arena_fini(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct slice in = slice_make((const char *)data, n);
	size_t at = slice_find(in, S("\n%\n"));
	struct answers keys = { .dns = { .ops = &ops } };
	struct dkim_outcome one, two;
	struct slice header, body;
	struct arena a;

	if (n > 1 << 16) {
		return 0;
	}
	if (at != SIZE_MAX) {
		keys.records = slice_from(in, at + 3);
		in = slice_sub(in, 0, at + 1);
	}
	at = slice_find(in, S("\r\n\r\n"));
	header = slice_sub(in, 0, at == SIZE_MAX ? in.n : at + 4);
	body = slice_from(in, header.n);
	arena_init(&a, 1 << 22);
	verify(header, body, 1 << 18, &keys, &a, &one);
	verify(header, body, 1, &keys, &a, &two);
	check_same(&one, &two);
	arena_fini(&a);
	sign(header, body);
	return 0;
}
