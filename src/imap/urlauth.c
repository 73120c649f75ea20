/*
 * urlauth: see urlauth.h. Pure; called by cmd_url.c.
 */
#include "imap/urlauth.h"

#include <openssl/crypto.h>
#include <openssl/hmac.h>

#include "base/buf.h"
#include "base/codec.h"
#include "base/err.h"
#include "store/store.h"

#define SHA256 32

void urlauth_token(const unsigned char *key, struct slice rump, char *token_out)
{
	unsigned char mac[SHA256];
	struct buf hex = BUF_INIT(URLAUTH_TOKEN);

	if (!HMAC(EVP_sha256(), key, STORE_URL_KEY, (const unsigned char *)rump.p, rump.n, mac,
		  NULL)) {
		BUG("urlauth: no HMAC");
	}
	buf_adds(&hex, "01");
	hex_encode(&hex, slice_make((const char *)mac, sizeof(mac)));
	assert(hex.n == URLAUTH_TOKEN);
	memcpy(token_out, hex.p, hex.n);
	buf_fini(&hex);
}

bool urlauth_check(const unsigned char *key, struct slice rump, struct slice token)
{
	char right[URLAUTH_TOKEN];
	char given[URLAUTH_TOKEN] = { 0 };

	urlauth_token(key, rump, right);
	for (size_t i = 0; i < token.n && i < sizeof(given); i++) {
		given[i] = (char)ascii_lower((unsigned char)token.p[i]);
	}
	return CRYPTO_memcmp(right, given, sizeof(right)) == 0 && token.n == sizeof(right);
}
