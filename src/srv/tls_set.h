/* tls_set: what conns and tls_set.c share; see conns.h for the rest. */
#ifndef SRV_TLS_SET_H
#define SRV_TLS_SET_H

#include "io/tls.h"
#include "srv/config.h"

enum tls_service { TLS_SMTP, TLS_POP3, TLS_IMAP, TLS_SERVICES };

struct tls_set;
struct tls_set *tls_set_ref(struct tls_set *set);
/* The context for this port's protocol; NULL without certificates. */
struct tls_ctx *tls_set_ctx(struct tls_set *set, enum srv_protocol protocol);

#endif
