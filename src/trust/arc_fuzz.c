/*
 * Fuzzer of ARC: a chain is validated under the key of the RFC's suite, however
 * the message is cut, with the same outcome; a chain that passes can be made
 * longer and passes still, any other message can be sealed as what it is.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/err.h"
#include "co/co.h"
#include "trust/arc.h"

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

static struct dns *keys(void)
{
	struct dns *d = NULL;

	check(dns_mem_new(&d) == 0);
	check(dns_mem_text(
		      d, "dummy._domainkey.example.org", DNS_TXT,
		      "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6"
		      "NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e"
		      "/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT"
		      "+l/K4w3QIDAQAB") == 0);
	check(dns_mem_text(d, "c._domainkey.a.b", DNS_TXT,
			   "k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=") == 0);
	return d;
}

static void validate(struct slice header, struct slice body, size_t step, struct dns *d,
		     struct arena *a, struct arc_outcome *out)
{
	struct arc_verifier *v = NULL;
	int r = arc_verifier_new(header, NOW, &v);

	co_enter();
	check(r == 0);
	for (size_t i = 0; i < body.n; i += step) {
		arc_verifier_body(v, slice_sub(body, i, step));
	}
	r = arc_verifier_end(v, d, 0, a, out);
	check(r == 0);
	arc_verifier_free(&v);
	check(out->result == TRUST_NONE || out->result == TRUST_PASS || out->result == TRUST_FAIL);
	check((out->result == TRUST_FAIL) == (out->reason.n > 0));
	check(out->instance <= ARC_SETS_MAX && out->oldest_pass <= out->instance);
	check(out->result != TRUST_PASS || (out->instance && out->sealer.n));
}

static void seal(struct slice header, struct slice body, struct dns *d, struct arena *a,
		 const struct arc_outcome *in)
{
	struct arc_seal_opts o = { .domain = S("a.b"),
				   .selector = S("c"),
				   .now = NOW,
				   .chain = in->result,
				   .results = S("a.b; arc=none") };
	struct buf all = BUF_INIT(1u << 24);
	struct arc_sealer *s = NULL;
	static struct dkim_key *key; /* kept: reading it is slow */
	struct arc_outcome out;
	int r;

	if (!key) {
		check(dkim_key_parse(S(SEED_PEM), &key, NULL) == 0);
	}
	o.key = key;
	r = arc_sealer_new(header, &o, &s);
	check(r == 0 || r == 1 || r == -EINVAL);
	if (r == 0) {
		arc_sealer_body(s, body);
		check(arc_sealer_end(s, &all, NULL) == 0);
		arc_sealer_free(&s);
		buf_add(&all, header);
		validate(buf_slice(&all), body, 3, d, a, &out);
		check(out.result == (in->result == TRUST_FAIL ? TRUST_FAIL : TRUST_PASS));
	}
	buf_fini(&all);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct slice in = slice_make((const char *)data, n);
	size_t at = slice_find(in, S("\r\n\r\n"));
	struct slice header = slice_sub(in, 0, at == SIZE_MAX ? in.n : at + 4);
	struct slice body = slice_from(in, header.n);
	struct arc_outcome one, two;
	struct arena a;
	struct dns *d;

	if (n > 1 << 16) {
		return 0;
	}
	d = keys();
	arena_init(&a, 1 << 22);
	validate(header, body, 1 << 18, d, &a, &one);
	validate(header, body, 1, d, &a, &two);
	check(one.result == two.result && slice_eq(one.reason, two.reason));
	check(one.instance == two.instance && slice_eq(one.reported, two.reported));
	seal(header, body, d, &a, &one);
	arena_fini(&a);
	dns_free(&d);
	return 0;
}
