/*
 * server: a running Postrider: loops, listeners, sessions, signals.
 */
#ifndef SRV_SERVER_H
#define SRV_SERVER_H

#include "srv/site.h"

/* The port each protocol listens on (first one), 0 none. */
struct server_ports {
	uint16_t port[SRV_PROTOCOLS];
};

struct server_opts {
	const struct config *config;
	bool cleartext_loopback;   /* demo: logins without TLS from loopback */
	uint32_t argon_memory_kib; /* 0: default */
	uint32_t argon_passes;
	/*
	 * In a coroutine on the first loop: after the site is open and before
	 * anything listens (demo makes its accounts here). Non-zero stops
	 * start-up; *e says why. May be NULL.
	 */
	int (*prepare)(void *arg, struct site *site, struct err *e);
	/* All ports listen. Must not wait. May be NULL. */
	void (*ready)(void *arg, const struct server_ports *ports);
	void *arg;
};

/*
 * Runs until SIGTERM or SIGINT, then stops in order: no new connections,
 * sessions say goodbye (bounded to 10 s), the site is closed. SIGHUP reloads
 * certificates. Blocks SIGPIPE and handles the others by signalfd. Returns 0,
 * or -errno with one clear line's worth in *e when start-up failed.
 */
int server_run(const struct server_opts *o, struct err *e);

#endif
