/*
 * tls: TLS 1.2 and 1.3 over a socket stream (OpenSSL 3).
 *
 * A tls_ctx holds the default certificate and further ones by SNI name; it is
 * immutable and reference-counted, so that SIGHUP swaps in a new one while
 * old connections keep theirs. Handshakes never run on already decrypted
 * input: plaintext that the line reader had buffered when STARTTLS was
 * answered is handed in as `pending` and goes to the TLS engine first
 * (THREATS TL-01). Policy: RFC 8446, RFC 7525 / 9325 suites, no compression,
 * no renegotiation, no 0-RTT, tickets per service (TL-05), ALPN as given
 * (TL-07). Idle connections hold no TLS buffers (SSL_MODE_RELEASE_BUFFERS).
 */
#ifndef IO_TLS_H
#define IO_TLS_H

#include "io/stream.h"

struct tls_ctx;

/* One certificate chain and key, PEM files. */
struct tls_cert {
	const char *certificate;
	const char *key;
};

/*
 * Server context. certs[0] is the default; the names of each (subjectAltName
 * DNS) choose it by SNI, `*.` wildcards included. Fails with a clear *e
 * naming the file: unreadable, not PEM, key does not match, key file readable
 * by others (-EPERM). service ("imap", "smtp", ...) separates tickets and,
 * where alpn is not NULL, is the ALPN id accepted (a client that offers ALPN
 * without it is refused; one that offers none is served).
 */
int tls_ctx_new(const struct tls_cert *certs, size_t n, const char *service, const char *alpn,
		struct tls_ctx **out, struct err *e);
struct tls_ctx *tls_ctx_ref(struct tls_ctx *c);
void tls_ctx_unref(struct tls_ctx **cp);

/* What a finished handshake agreed on; for logs and Received headers. */
struct tls_info {
	const char *version; /* "TLSv1.3"; static */
	const char *cipher;  /* static */
	char sni[256];	     /* "" if none; checked to be a host name */
};

/*
 * Server handshake on inner, which becomes owned by the new stream (on failure
 * too: it is freed). *innerp is set NULL. Waits; inner's deadline holds.
 * 0, -EPROTO (handshake failed; e says why), -ETIMEDOUT, -ECANCELED, -errno.
 */
CO_FN int tls_accept(struct tls_ctx *c, struct stream **innerp, struct slice pending,
		     struct stream **out, struct tls_info *info_out, struct err *e);
/*
 * Client handshake; for tests and, later, outbound mail. ca: PEM file, or
 * NULL to accept any certificate. host: SNI and the name to verify.
 */
CO_FN int tls_connect(const char *ca, const char *host, struct stream **innerp, struct stream **out,
		      struct err *e);

/* Is it a stream of tls_accept or tls_connect? */
bool stream_is_tls(const struct stream *s);
/* What binds a login to this very connection (SCRAM's -PLUS). */
enum tls_binding {
	TLS_EXPORTER,	     /* RFC 9266 */
	TLS_SERVER_END_POINT /* RFC 5929 4 */
};
#define TLS_BINDING_MAX 64
/* s: such a stream. 0 with out and *n_out; -ENOTSUP:
 * this connection has no binding of the kind. */
int tls_binding_get(struct stream *s, enum tls_binding kind, unsigned char out[TLS_BINDING_MAX],
		    size_t *n_out);

/*
 * Makes a CA and a server certificate (ECDSA P-256) for names (DNS names or
 * address literals) and writes ca.pem, cert.pem (chain) and key.pem (0600)
 * into dir, durably. For demo and `init`. 0 or -errno with *e.
 */
int tls_make_cert(const char *dir, const char *const *names, size_t n, int64_t days, struct err *e);
/* Process-wide start: disables what must be off; idempotent. */
void tls_init(void);

#endif
