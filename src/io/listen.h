/*
 * listen: sockets that listen, and addresses as text.
 *
 * One listener per address and port; with SO_REUSEPORT one socket per loop,
 * so that the kernel spreads connections over the loops.
 */
#ifndef IO_LISTEN_H
#define IO_LISTEN_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/slice.h"
#include "co/co.h"

struct net_addr {
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	};
	socklen_t len; /* 0: none (unix socket or memory) */
};

#define NET_ADDR_TEXT_MAX 64
/* "192.0.2.1" / "2001:db8::1" (v4-mapped shown as v4); "local" if none. */
const char *net_addr_text(const struct net_addr *a, char dst[NET_ADDR_TEXT_MAX]);
/* RFC 5321 address literal: "[192.0.2.1]", "[IPv6:2001:db8::1]". */
const char *net_addr_literal(const struct net_addr *a, char dst[NET_ADDR_TEXT_MAX]);
/* ::ffff:a.b.c.d becomes a.b.c.d. */
void net_addr_unmap(struct net_addr *a);
/* Its octets, in *a: 4 of IPv4 (also of IPv4 within IPv6), 16 of IPv6; empty if
 * it is neither. */
struct slice net_addr_octets(const struct net_addr *a);
/* The first octets, in *a, of what belongs together: v4 (1..4) of IPv4, a /64 of
 * IPv6. */
struct slice net_addr_network(const struct net_addr *a, size_t v4);
/* Are both of one kind, and do their first bits agree? */
bool net_octets_agree(struct slice a, struct slice b, unsigned bits);
uint16_t net_addr_port(const struct net_addr *a);
/* 127/8, ::1, or a unix socket. */
bool net_addr_is_loopback(const struct net_addr *a);
/*
 * "*", "127.0.0.1", "::1", "[::1]". 0 or -EINVAL. "*" is both families at
 * once: family AF_UNSPEC, for net_listen only, which then makes one socket
 * for v6 and v4 (v4 only where the machine has no v6).
 */
int net_addr_parse(struct slice text, uint16_t port, struct net_addr *out);

/*
 * Binds and listens: non-blocking, close-on-exec, SO_REUSEADDR, and
 * SO_REUSEPORT if reuseport. Port 0 takes a free one (read it back with
 * net_local_addr). v6 sockets are v6-only, but for "*". Returns the fd, or -errno with *e
 * saying which address and what to do (port in use, no permission).
 */
int net_listen(const struct net_addr *a, bool reuseport, struct err *e);
/* A unix socket at path with the given mode; a stale one is replaced. */
int net_listen_unix(const char *path, mode_t mode, struct err *e);
/* v4-mapped addresses are given as v4. 0 or -errno. */
int net_local_addr(int fd, struct net_addr *out);
/* Client side; non-blocking connect that waits. fd or -errno. */
CO_FN int net_connect(const struct net_addr *a, int64_t deadline);
CO_FN int net_connect_unix(const char *path, int64_t deadline);

/*
 * Accept loop for a coroutine: calls on_conn(arg, fd, peer) for each
 * connection (fd non-blocking, TCP_NODELAY, owned by the callback, which must
 * not wait: it spawns). Survives EMFILE without spinning (THREATS RS-03).
 * Returns only when cancelled or the socket failed.
 */
CO_FN int net_accept_loop(int fd, void (*on_conn)(void *arg, int fd, const struct net_addr *peer),
			  void *arg);

#endif
