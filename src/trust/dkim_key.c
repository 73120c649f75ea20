/*
 * Private keys for signing: made, read, written, and the records that publish
 * them (RFC 6376 3.6.1, RFC 8463 4). See dkim.h.
 */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdlib.h>

#include "base/codec.h"
#include "base/err.h"
#include "trust/dkim_key.h"

#define PEM_MAX 32768
#define ED25519_KEY_LEN 32
#define RSA_MAKE_MIN 2048

static int library_failed(struct err *e, const char *text)
{
	unsigned long code = ERR_get_error();
	const char *why = code ? ERR_reason_error_string(code) : NULL;

	ERR_clear_error();
	return err_set(e, -EINVAL, text, "%s", why ? why : "OpenSSL says no more");
}

static int key_of(EVP_PKEY *pkey, struct dkim_key **out)
{
	struct dkim_key *k = calloc(1, sizeof(*k));

	if (!k) {
		EVP_PKEY_free(pkey);
		return -ENOMEM;
	}
	k->pkey = pkey;
	k->ed25519 = EVP_PKEY_get_base_id(pkey) == EVP_PKEY_ED25519;
	*out = k;
	return 0;
}

static int check_kind(const EVP_PKEY *pkey, struct err *e)
{
	int bits = EVP_PKEY_get_bits(pkey);

	switch (EVP_PKEY_get_base_id(pkey)) {
	case EVP_PKEY_ED25519:
		return 0;
	case EVP_PKEY_RSA:
		if (bits < DKIM_RSA_BITS_MIN || bits > DKIM_RSA_BITS_MAX) {
			return err_set(e, -EINVAL, "an RSA key for DKIM has 1024 to 4096 bits",
				       "this one has %d", bits);
		}
		return 0;
	default:
		return err_set(e, -EINVAL, "a key for DKIM is RSA or Ed25519", NULL);
	}
}

/* A key with a passphrase is refused: nobody is there to be asked. */
static int no_passphrase(char *dst, int n, int rw, void *arg)
{
	(void)dst, (void)n, (void)rw, (void)arg;
	return -1;
}

int dkim_key_parse(struct slice pem, struct dkim_key **out, struct err *e)
{
	EVP_PKEY *pkey;
	BIO *bio;
	int r;

	if (pem.n == 0 || pem.n > PEM_MAX) {
		return err_set(e, -EINVAL, "this is no private key in PEM", NULL);
	}
	bio = BIO_new_mem_buf(pem.p, (int)pem.n);
	if (!bio) {
		return -ENOMEM;
	}
	pkey = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
	BIO_free(bio);
	if (!pkey) {
		return library_failed(e, "this is no private key in PEM (without a passphrase)");
	}
	r = check_kind(pkey, e);
	if (r < 0) {
		EVP_PKEY_free(pkey);
		return r;
	}
	return key_of(pkey, out);
}

int dkim_key_make(unsigned rsa_bits, struct dkim_key **out, struct err *e)
{
	EVP_PKEY *pkey;

	if (rsa_bits && (rsa_bits < RSA_MAKE_MIN || rsa_bits > DKIM_RSA_BITS_MAX)) {
		return err_set(e, -EINVAL, "a new RSA key has 2048 to 4096 bits", NULL);
	}
	pkey = rsa_bits ? EVP_RSA_gen(rsa_bits) : EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	return pkey ? key_of(pkey, out) : library_failed(e, "making a key failed");
}

int dkim_key_pem(const struct dkim_key *k, struct buf *out)
{
	BIO *bio = BIO_new(BIO_s_secmem());
	char *text = NULL;
	long n = 0;

	if (bio && PEM_write_bio_PKCS8PrivateKey(bio, k->pkey, NULL, NULL, 0, NULL, NULL) == 1) {
		n = BIO_get_mem_data(bio, &text);
	}
	if (n > 0) {
		buf_add(out, slice_make(text, (size_t)n));
	}
	BIO_free(bio);
	ERR_clear_error();
	return n > 0 && !out->err ? 0 : -ENOMEM;
}

static bool add_ed25519(const struct dkim_key *k, struct buf *out)
{
	unsigned char raw[ED25519_KEY_LEN];
	size_t n = sizeof(raw);

	if (EVP_PKEY_get_raw_public_key(k->pkey, raw, &n) != 1) {
		return false;
	}
	buf_adds(out, "v=DKIM1; k=ed25519; p=");
	base64_encode(out, slice_make((const char *)raw, n));
	return true;
}

static bool add_rsa(const struct dkim_key *k, struct buf *out)
{
	unsigned char *der = NULL;
	int n = i2d_PUBKEY(k->pkey, &der);

	if (n <= 0) {
		return false;
	}
	buf_adds(out, "v=DKIM1; k=rsa; p=");
	base64_encode(out, slice_make((const char *)der, (size_t)n));
	OPENSSL_free(der);
	return true;
}

int dkim_key_record(const struct dkim_key *k, struct buf *out)
{
	bool ok = k->ed25519 ? add_ed25519(k, out) : add_rsa(k, out);

	ERR_clear_error();
	return ok && !out->err ? 0 : -ENOMEM;
}

void dkim_key_free(struct dkim_key **kp)
{
	struct dkim_key *k = *kp;

	*kp = NULL;
	if (k) {
		EVP_PKEY_free(k->pkey);
		free(k);
	}
}

/* ---- using them ------------------------------------------------------------------- */

static size_t sign_rsa(EVP_PKEY *pkey, const unsigned char *hash, unsigned char *out)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(pkey, NULL);
	size_t n = SIG_B_MAX;
	bool ok = ctx && EVP_PKEY_sign_init(ctx) == 1 &&
		  EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1 &&
		  EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) == 1 &&
		  EVP_PKEY_sign(ctx, out, &n, hash, SIG_HASH_LEN) == 1;

	EVP_PKEY_CTX_free(ctx);
	return ok ? n : 0;
}

static size_t sign_ed25519(EVP_PKEY *pkey, const unsigned char *hash, unsigned char *out)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t n = SIG_B_MAX;
	bool ok = ctx && EVP_DigestSignInit(ctx, NULL, NULL, NULL, pkey) == 1 &&
		  EVP_DigestSign(ctx, out, &n, hash, SIG_HASH_LEN) == 1;

	EVP_MD_CTX_free(ctx);
	return ok ? n : 0;
}

int dkim_key_sign(const struct dkim_key *k, const unsigned char hash[SIG_HASH_LEN],
		  struct buf *base64, struct err *e)
{
	unsigned char raw[SIG_B_MAX];
	size_t n = k->ed25519 ? sign_ed25519(k->pkey, hash, raw) : sign_rsa(k->pkey, hash, raw);

	if (n == 0) {
		library_failed(e, "signing failed");
		return -EIO;
	}
	base64_encode(base64, slice_make((const char *)raw, n));
	return base64->err ? -ENOMEM : 0;
}
