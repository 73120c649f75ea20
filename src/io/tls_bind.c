/*
 * tls_bind: channel bindings: bytes that both ends of one TLS connection know
 * and nobody in between can arrange for two.
 *
 * tls-exporter (RFC 9266) is unique to the connection; with TLS 1.2 only where
 * the extended master secret makes it so (RFC 9266 4.2: else there is none).
 * tls-server-end-point (RFC 5929 4) is the hash of the certificate that was
 * shown, by the hash of its signature, SHA-256 where that is MD5 or SHA-1.
 */
#include <openssl/err.h>
#include <openssl/x509.h>

#include "io/tls_impl.h"

#define EXPORTER_LEN 32

static int exporter(SSL *ssl, unsigned char *out, size_t *n_out)
{
	static const char label[] = "EXPORTER-Channel-Binding";

	if (SSL_version(ssl) < TLS1_3_VERSION && SSL_get_extms_support(ssl) != 1) {
		return -ENOTSUP;
	}
	if (SSL_export_keying_material(ssl, out, EXPORTER_LEN, label, sizeof(label) - 1,
				       (const unsigned char *)"", 0, 1) != 1) {
		return -ENOTSUP;
	}
	*n_out = EXPORTER_LEN;
	return 0;
}

static int end_point(X509 *cert, unsigned char *out, size_t *n_out)
{
	const EVP_MD *md;
	unsigned n = 0;
	int hash = NID_undef;

	if (!cert || !X509_get_signature_info(cert, &hash, NULL, NULL, NULL)) {
		return -ENOTSUP;
	}
	if (hash == NID_md5 || hash == NID_sha1) {
		hash = NID_sha256;
	}
	/* A signature without a hash of its own (Ed25519) has no binding. */
	md = hash == NID_undef ? NULL : EVP_get_digestbynid(hash);
	if (!md || EVP_MD_get_size(md) > TLS_BINDING_MAX || !X509_digest(cert, md, out, &n)) {
		return -ENOTSUP;
	}
	*n_out = n;
	return 0;
}

int tls_binding_get(struct stream *s, enum tls_binding kind, unsigned char out[TLS_BINDING_MAX],
		    size_t *n_out)
{
	struct tls *t = (struct tls *)s;
	X509 *peer = NULL;
	int r;

	ERR_clear_error();
	if (kind == TLS_EXPORTER) {
		r = exporter(t->ssl, out, n_out);
	} else if (t->ctx) {
		r = end_point(t->ctx->pair[t->pair].leaf, out, n_out);
	} else {
		peer = SSL_get1_peer_certificate(t->ssl);
		r = end_point(peer, out, n_out);
	}
	X509_free(peer);
	ERR_clear_error();
	return r;
}
