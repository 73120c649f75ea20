/*
 * site: a data directory opened: engine, mail store and directory together.
 *
 * The server opens it on its first loop with all loops as homes; a command
 * without a running server opens it alone, without loops. Layout:
 * <data>/kv (engine), <data>/tmp (spools), <data>/tls, <data>/control.sock.
 */
#ifndef SRV_SITE_H
#define SRV_SITE_H

#include "auth/auth.h"
#include "kv/kv.h"
#include "srv/config.h"
#include "store/store.h"
#include "tally/tally.h"
#include "trace/trace.h"

struct site {
	struct kv *kv;
	struct store *store;
	struct auth *auth;
	struct trace *trace;
	struct tally *tally;
	char *tmp_dir;
};

struct site_opts {
	const struct config *config;
	struct co_loop **loops; /* homes; n_loops 0: none (commands) */
	size_t n_loops;
	uint32_t argon_memory_kib; /* 0: default */
	uint32_t argon_passes;
};
/*
 * Makes the directories (0700) and opens everything. Blocks while the engine
 * recovers. 0; -EBUSY (another process has the data directory), -EPERM
 * (others may read it), -EPROTO (newer format), -errno; *e says what and where.
 */
CO_FN int site_open(const struct site_opts *o, struct site *out, struct err *e);
/* Closes in order; harmless on a zeroed site. Blocks. */
void site_close(struct site *s);

#endif
