/*
 * tls_impl: what tls.c (the stream) and tls_ctx.c (certificates and policy)
 * share. OpenSSL's types stay behind tls.h.
 */
#ifndef IO_TLS_IMPL_H
#define IO_TLS_IMPL_H

#include <openssl/ssl.h>
#include <stdatomic.h>

#include "io/tls.h"

/* One certificate with its chain and key. */
struct tls_pair {
	X509 *leaf;
	STACK_OF(X509) * chain;
	EVP_PKEY *key;
};

struct tls_ctx {
	atomic_uint refs;
	SSL_CTX *ssl;
	struct tls_pair *pair; /* [0] is the default */
	size_t n;
	unsigned char alpn[256]; /* length byte, id; length 0: none */
};

/* So many KeyUpdates without data between them are a flood (TL-04). */
#define TLS_KEY_UPDATES_MAX 64

struct tls {
	struct stream s;
	struct stream *inner;
	struct tls_ctx *ctx; /* NULL for a client */
	SSL *ssl;
	struct buf pending; /* cleartext read ahead: for the engine first */
	size_t pending_at;
	int io_err; /* why the inner stream failed */
	bool eof;   /* the inner stream ended */
	int broken; /* sticky: the error every later call returns */
	bool shut;  /* our close_notify was sent */
	unsigned key_updates;
	uint32_t pair; /* index of the certificate in use */
	char sni[256];
};

/* The stream an SSL object belongs to. */
static inline struct tls *tls_of(const SSL *ssl)
{
	return SSL_get_app_data(ssl);
}

/* Sets what clients and servers have in common. 0 or -EPROTO. */
int tls_policy(SSL_CTX *ssl);
/* The oldest error in OpenSSL's queue in plain words; never NULL. */
const char *tls_reason(void);

#endif
