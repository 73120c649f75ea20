/* The TLS contexts of all services, counted, swapped as one at SIGHUP. */
#include "srv/tls_set.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "srv/conns.h"

/* Tickets and ALPN are apart for each (THREATS TL-05, TL-07). */
static const struct {
	const char *service;
	const char *alpn;
} services[TLS_SERVICES] = {
	[TLS_SMTP] = { "smtp", NULL },
	[TLS_POP3] = { "pop3", "pop3" },
	[TLS_IMAP] = { "imap", "imap" },
};

struct tls_set {
	atomic_uint refs;
	struct tls_ctx *ctx[TLS_SERVICES];
};

int tls_set_new(const struct config *c, struct tls_set **out, struct err *e)
{
	struct tls_set *set;
	struct tls_cert *certs;
	int r = 0;

	*out = NULL;
	if (c->n_tls == 0) {
		return 0;
	}
	set = calloc(1, sizeof(*set));
	certs = calloc(c->n_tls, sizeof(*certs));
	if (!set || !certs) {
		free(set);
		free(certs);
		return -ENOMEM;
	}
	for (size_t i = 0; i < c->n_tls; i++) {
		certs[i] = (struct tls_cert){ c->tls[i].certificate, c->tls[i].key };
	}
	atomic_init(&set->refs, 1);
	for (size_t i = 0; r == 0 && i < TLS_SERVICES; i++) {
		r = tls_ctx_new(certs, c->n_tls, services[i].service, services[i].alpn,
				&set->ctx[i], e);
	}
	free(certs);
	if (r != 0) {
		tls_set_unref(&set);
		return r;
	}
	*out = set;
	return 0;
}

struct tls_set *tls_set_ref(struct tls_set *set)
{
	if (set) {
		atomic_fetch_add(&set->refs, 1);
	}
	return set;
}

void tls_set_unref(struct tls_set **tp)
{
	struct tls_set *set = TAKE_PTR(*tp);

	if (!set || atomic_fetch_sub(&set->refs, 1) > 1) {
		return;
	}
	for (size_t i = 0; i < TLS_SERVICES; i++) {
		if (set->ctx[i]) {
			tls_ctx_unref(&set->ctx[i]);
		}
	}
	free(set);
}

struct tls_ctx *tls_set_ctx(struct tls_set *set, enum srv_protocol protocol)
{
	if (!set) {
		return NULL;
	}
	switch (protocol) {
	case SRV_POP3:
	case SRV_POP3S:
		return set->ctx[TLS_POP3];
	case SRV_IMAP:
	case SRV_IMAPS:
		return set->ctx[TLS_IMAP];
	default:
		return set->ctx[TLS_SMTP];
	}
}
