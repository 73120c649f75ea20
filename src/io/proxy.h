/*
 * proxy: the PROXY protocol of haproxy, versions 1 and 2: what a load balancer
 * says before everything else about the client it connects
 * (https://www.haproxy.org/download/2.8/doc/proxy-protocol.txt).
 *
 * Only for connections from machines that are known to say it (srv decides):
 * whoever is believed here is believed about every address. Never reads an
 * octet of what comes behind the header: that may be a TLS handshake.
 */
#ifndef IO_PROXY_H
#define IO_PROXY_H

#include "io/listen.h"
#include "io/stream.h"

#define PROXY_V1_MAX 107  /* with its CRLF */
#define PROXY_V2_MAX 4096 /* with its TLVs; haproxy's own stay below 1 KiB */
#define PROXY_LEAST 15	  /* "PROXY UNKNOWN" CRLF; less is no header */

struct proxy_header {
	bool known; /* src and dst are there; else the connection's own ends count:
		       LOCAL, UNKNOWN, UNSPEC, and unix sockets of the proxy */
	struct net_addr src;
	struct net_addr dst;
};

/*
 * What stands at the front of data. 1 and *out; *n is its length. 0: more is
 * needed, *n octets in all. -EPROTO: it is no header; -EMSGSIZE: one above the
 * limits. Pure.
 */
int proxy_parse(struct slice data, struct proxy_header *out, size_t *n);

/* Takes a header off the stream. 0; -EPROTO, -EMSGSIZE; -ECONNRESET: it ended
 * before; -ETIMEDOUT (the stream's deadline), -ECANCELED, -errno. */
CO_FN int proxy_read(struct stream *s, struct proxy_header *out);

#endif
