/*
 * Keys of signatures: their records (RFC 6376 3.6.1, RFC 8463), where they
 * come from, and what a signature is worth under them. See sig.h.
 *
 * A key is used only if it is 1024 to 4096 bits of RSA (RFC 8301) with an
 * ordinary exponent, or Ed25519. A large exponent would make every check as
 * dear as signing, and whoever publishes the key chooses it.
 */
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdlib.h>

#include "base/err.h"
#include "trust/sig.h"

#define EXPONENT_BITS_MAX 33 /* 65537 is what there is; 3 and 2^32+1 have been seen */
#define ED25519_KEY_LEN 32
#define DER_MAX 1536 /* 8192 bits of RSA are 1062, and are told so */
#define ANSWER_MAX (256 * 1024)

/* ---- records ------------------------------------------------------------------- */

static bool refuse(struct sig_key *k, const char *why)
{
	k->result = TRUST_PERMERROR;
	k->why = why;
	return false;
}

static struct slice value_of(const struct tags *t, struct slice name, struct slice missing)
{
	const struct tag *tag = tags_get(t, name);

	return tag ? tag->value : missing;
}

/* Either what RFC 6376 says (RSAPublicKey) or what everybody publishes. */
static EVP_PKEY *rsa_of(const unsigned char *der, size_t n)
{
	const unsigned char *p = der;
	EVP_PKEY *pkey = d2i_PUBKEY(NULL, &p, (long)n);

	if (!pkey) {
		p = der;
		pkey = d2i_PublicKey(EVP_PKEY_RSA, NULL, &p, (long)n);
	}
	if (pkey && p != der + n) {
		EVP_PKEY_free(pkey);
		pkey = NULL;
	}
	ERR_clear_error();
	return pkey;
}

static bool good_exponent(const EVP_PKEY *pkey)
{
	BIGNUM *e = NULL;
	bool ok = EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_E, &e) == 1 && BN_is_odd(e) &&
		  !BN_is_one(e) && BN_num_bits(e) <= EXPONENT_BITS_MAX;

	BN_free(e);
	ERR_clear_error();
	return ok;
}

static bool use_rsa(struct sig_key *k, const unsigned char *der, size_t n)
{
	k->pkey = rsa_of(der, n);
	if (!k->pkey || EVP_PKEY_get_base_id(k->pkey) != EVP_PKEY_RSA) {
		return refuse(k, "p= of the key record is no RSA key");
	}
	k->algorithm = SIG_RSA_SHA256;
	k->bits = (unsigned)EVP_PKEY_get_bits(k->pkey);
	if (k->bits < DKIM_RSA_BITS_MIN) {
		return refuse(k, "the key has fewer than 1024 bits (RFC 8301)");
	}
	if (k->bits > DKIM_RSA_BITS_MAX) {
		return refuse(k, "the key has more than 4096 bits");
	}
	return good_exponent(k->pkey) || refuse(k, "the key's exponent is out of bounds");
}

static bool use_ed25519(struct sig_key *k, const unsigned char *raw, size_t n)
{
	if (n == ED25519_KEY_LEN) {
		k->pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, raw, n);
	}
	k->algorithm = SIG_ED25519_SHA256;
	return k->pkey || refuse(k, "p= of the key record is no Ed25519 key");
}

static bool read_public(struct sig_key *k, const struct tags *t)
{
	struct slice p = value_of(t, S("p"), slice_make(NULL, 0));
	struct slice kind = value_of(t, S("k"), S("rsa"));
	unsigned char der[DER_MAX];
	int n;

	if (!p.p) {
		return refuse(k, "the key record has no p=");
	}
	if (p.n == 0) {
		return refuse(k, "the key was revoked");
	}
	n = tags_base64(p, der, sizeof(der));
	if (n <= 0) {
		return refuse(k, "p= of the key record is not base64");
	}
	if (slice_eq(kind, S("rsa"))) {
		return use_rsa(k, der, (size_t)n);
	}
	if (slice_eq(kind, S("ed25519"))) {
		return use_ed25519(k, der, (size_t)n);
	}
	return refuse(k, "the key record is of a kind (k=) that is not known");
}

static bool read_record(struct sig_key *k, const struct tags *t)
{
	const struct tag *v = tags_get(t, S("v"));

	if (v && (v != &t->tag[0] || !slice_eq(v->value, S("DKIM1")))) {
		return refuse(k, "the record is none of DKIM1");
	}
	if (!tags_list_has(value_of(t, S("h"), S("sha256")), S("sha256"))) {
		return refuse(k, "the key is not for SHA-256 (h= of its record)");
	}
	if (!tags_list_has(value_of(t, S("s"), S("*")), S("*")) &&
	    !tags_list_has(value_of(t, S("s"), S("*")), S("email"))) {
		return refuse(k, "the key is not for mail (s= of its record)");
	}
	k->testing = tags_list_has(value_of(t, S("t"), S("")), S("y"));
	k->strict = tags_list_has(value_of(t, S("t"), S("")), S("s"));
	return read_public(k, t);
}

void sig_key_read(struct slice text, struct sig_key *out)
{
	struct tags tags;

	*out = (struct sig_key){ .result = TRUST_NONE };
	if (text.n > SIG_KEY_TEXT_MAX) {
		refuse(out, "the key record is too long");
	} else if (tags_parse(text, &tags) < 0) {
		refuse(out, "the key record is not a list of tags");
	} else if (!read_record(out, &tags)) {
		EVP_PKEY_free(out->pkey);
		out->pkey = NULL;
	}
}

void sig_key_fini(struct sig_key *k)
{
	EVP_PKEY_free(k->pkey);
	k->pkey = NULL;
}

/* ---- what a name has ------------------------------------------------------------ */

struct sig_keys {
	struct sig_keys *next;
	char name[DNS_NAME_MAX + 1];
	size_t name_len;
	enum trust_result result; /* NONE: there are records */
	const char *why;
	struct sig_key key[SIG_KEY_RECORDS_MAX];
	size_t n;
};

void sig_keys_free(struct sig_keys **list)
{
	struct sig_keys *k = *list;

	*list = NULL;
	while (k) {
		struct sig_keys *next = k->next;

		for (size_t i = 0; i < k->n; i++) {
			sig_key_fini(&k->key[i]);
		}
		free(k);
		k = next;
	}
}

static void read_answer(struct sig_keys *k, const struct dns_answer *ans)
{
	struct buf text = BUF_INIT(SIG_KEY_TEXT_MAX + 1);

	switch (ans->result) {
	case DNS_OK:
		break;
	case DNS_FAIL:
		k->result = TRUST_TEMPERROR;
		k->why = "the key could not be had from the DNS";
		return;
	default:
		k->result = TRUST_PERMERROR;
		k->why = "there is no key of this name in the DNS";
		return;
	}
	for (size_t i = 0; i < ans->n && k->n < SIG_KEY_RECORDS_MAX; i++) {
		struct sig_key *key = &k->key[k->n++];

		buf_reset(&text);
		if (dns_rdata_txt(ans->rdata[i], &text) < 0 || text.err) {
			*key = (struct sig_key){ .result = TRUST_PERMERROR,
						 .why = "the key record is damaged or too long" };
		} else {
			sig_key_read(buf_slice(&text), key);
		}
	}
	buf_fini(&text);
	if (k->n == 0) {
		k->result = TRUST_PERMERROR;
		k->why = "there is no key of this name in the DNS";
	}
}

CO_FN static int ask(struct sig_keys *k, struct dns *d, int64_t deadline)
{
	struct dns_answer ans;
	struct arena a;
	int r;

	arena_init(&a, ANSWER_MAX);
	r = dns_query(d, slice_make(k->name, k->name_len), DNS_TXT, deadline, &a, &ans);
	if (r == -EINVAL) {
		k->result = TRUST_PERMERROR;
		k->why = "there can be no key of such a name";
		r = 0;
	} else if (r == 0) {
		read_answer(k, &ans);
	}
	arena_fini(&a);
	return r;
}

/* s= "._domainkey." d= (RFC 6376 3.6.2.1). NULL: no memory. */
static struct sig_keys *new_keys(struct slice name)
{
	struct sig_keys *k = calloc(1, sizeof(*k));

	if (k) {
		k->name_len = MIN(name.n, sizeof(k->name));
		memcpy(k->name, name.p, k->name_len);
	}
	return k;
}

static struct sig_keys *known(struct sig_keys *list, struct slice name)
{
	while (list && !slice_eq(slice_make(list->name, list->name_len), name)) {
		list = list->next;
	}
	return list;
}

CO_FN int sig_keys_get(struct sig_keys **list, struct dns *d, const struct sig *s, int64_t deadline,
		       const struct sig_keys **out)
{
	char text[2 * DNS_NAME_MAX + 16];
	int n = snprintf(text, sizeof(text), "%.*s._domainkey.%.*s", SLICE_ARG(s->selector),
			 SLICE_ARG(s->domain));
	struct slice name = slice_make(text, (size_t)n);
	struct sig_keys *k = known(*list, name);
	int r = 0;

	if (!k) {
		k = new_keys(name);
		if (!k) {
			return -ENOMEM;
		}
		r = ask(k, d, deadline);
		k->next = *list;
		*list = k;
	}
	*out = k;
	return r;
}

int64_t sig_deadline(const struct dns *d, int64_t deadline)
{
	return deadline ? deadline
			: clock_in_ms(d && d->timeout_ms ? d->timeout_ms : DNS_TIMEOUT_MS);
}

/* ---- checking -------------------------------------------------------------------- */

static bool verify_rsa(EVP_PKEY *pkey, const struct sig *s, const unsigned char *hash)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(pkey, NULL);
	bool ok = ctx && EVP_PKEY_verify_init(ctx) == 1 &&
		  EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1 &&
		  EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) == 1 &&
		  EVP_PKEY_verify(ctx, s->b, s->b_len, hash, SIG_HASH_LEN) == 1;

	EVP_PKEY_CTX_free(ctx);
	return ok;
}

/* PureEdDSA over the hash (RFC 8463 3). */
static bool verify_ed25519(EVP_PKEY *pkey, const struct sig *s, const unsigned char *hash)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = ctx && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, pkey) == 1 &&
		  EVP_DigestVerify(ctx, s->b, s->b_len, hash, SIG_HASH_LEN) == 1;

	EVP_MD_CTX_free(ctx);
	return ok;
}

static bool verify(const struct sig *s, const struct sig_key *k, const unsigned char *hash)
{
	bool ok = k->algorithm == SIG_RSA_SHA256 ? verify_rsa(k->pkey, s, hash)
						 : verify_ed25519(k->pkey, s, hash);

	ERR_clear_error();
	return ok;
}

/* What one key says. NULL: it passes. */
static const char *judge(const struct sig *s, const struct sig_key *k, const unsigned char *hash,
			 enum trust_result *result)
{
	*result = TRUST_PERMERROR;
	if (!k->pkey) {
		return k->why;
	}
	if (k->algorithm != s->algorithm) {
		return "the key is of another kind than a= says";
	}
	if (k->strict && s->strict_names) {
		return "the key is not for subdomains (t=s), and i= is one";
	}
	*result = TRUST_FAIL;
	return verify(s, k, hash) ? NULL
				  : "the signature does not fit (header changed, or "
				    "another key)";
}

static void note_key(struct sig *s, const struct sig_key *k)
{
	s->bits = k->bits;
	s->testing = k->testing;
}

void sig_check(struct sig *s, const struct sig_keys *keys, const unsigned char hash[SIG_HASH_LEN])
{
	enum trust_result worst = TRUST_NONE, r;
	const char *why = keys->why;

	if (s->result != TRUST_NONE) {
		return;
	}
	if (keys->result != TRUST_NONE) {
		sig_decide(s, keys->result, keys->why);
		return;
	}
	for (size_t i = 0; i < keys->n; i++) {
		const char *w = judge(s, &keys->key[i], hash, &r);

		if (!w) {
			note_key(s, &keys->key[i]);
			s->result = TRUST_PASS;
			return;
		}
		/* A key that was tried tells more than one that was not. */
		if (worst == TRUST_NONE || (r == TRUST_FAIL && worst != TRUST_FAIL)) {
			note_key(s, &keys->key[i]);
			worst = r;
			why = w;
		}
	}
	sig_decide(s, worst, why);
}
