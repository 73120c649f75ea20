/*
 * conns: connections from accept to their end.
 *
 * Each is a coroutine: TLS handshake where the port has it from the start,
 * then the protocol's session, which may move to another loop once. Caps on
 * connections in all and per address (/32, /64) are kept here (THREATS 4,
 * RS-02); loopback is not counted per address. Who connects for others says
 * for whom with the PROXY protocol (io/proxy.h) before everything else, or with
 * XCLIENT; both only from networks that the configuration names, and both are
 * then counted for the client's address, not for the proxy's (THREATS SM-19).
 * Port 25 gets four fifths of all places at most; when all are taken, who comes
 * to a user's port gets the place of the one that waited longest there without
 * logging in.
 */
#ifndef SRV_CONNS_H
#define SRV_CONNS_H

#include "line/session.h"
#include "srv/config.h"
#include "srv/worker.h"

struct conns;

struct conns_opts {
	struct workers *workers;
	struct proto_env env; /* stopping is filled in by conns */
	unsigned max;	      /* connections in all */
	unsigned max_per_ip;
	/* How long a connection without a login keeps its place when there is
	 * no other; 0: 10 s. */
	int64_t crowd_ms;
};

/* One TLS context per service, swapped as a whole. */
struct tls_set;
/* From the configuration's certificates. 0 or -errno with *e; *out is NULL
 * when there are no certificates. */
int tls_set_new(const struct config *c, struct tls_set **out, struct err *e);
void tls_set_unref(struct tls_set **tp);

int conns_new(const struct conns_opts *o, struct conns **out);
/* No connection may be left. */
void conns_free(struct conns **cp);
/* Any thread: takes over the set for connections from now on. */
void conns_set_tls(struct conns *c, struct tls_set *set);
/*
 * Serves accepted connections of this listening socket on worker `index`
 * (takes over fd); l (its protocol, and who is let in or believed) outlives
 * the conns. Call on any loop. 0 or -errno.
 */
CO_FN int conns_listen(struct conns *c, size_t index, int fd, const struct config_listen *l);
/*
 * Stops listening, tells all sessions to say goodbye and waits until they
 * are gone, at most ms milliseconds. The number that is left.
 */
CO_FN unsigned conns_stop(struct conns *c, int64_t ms);

/*
 * Ends the sessions that are logged in as this account: its password was
 * changed or it was removed (THREATS AU-12). They say goodbye and are gone
 * soon after. On any worker's loop.
 */
CO_FN void conns_cut(struct conns *c, uint64_t account);

struct conns_stats {
	unsigned open;
	uint64_t accepted;
	uint64_t refused;
	unsigned per_protocol[SRV_PROTOCOLS]; /* open now */
};
void conns_stats(struct conns *c, struct conns_stats *out);

#endif
