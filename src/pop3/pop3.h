/*
 * pop3: the POP3 server (RFC 1939, 2449, 2595, 3206, 5034).
 *
 * A session is AUTHORIZATION, then TRANSACTION over a snapshot of INBOX (a
 * store view that is never synced), then UPDATE at QUIT. It holds the
 * account's maildrop lock from login to its end, however it ends.
 */
#ifndef POP3_POP3_H
#define POP3_POP3_H

#include "line/session.h"

/*
 * Takes over *sp (set NULL) and talks POP3 on it. peer, local may be NULL.
 * tls: for STLS, or NULL. env outlives the session. 0 or -ENOMEM (the stream
 * is closed then). Run with session_run, end with session_free.
 */
int pop3_session_new(const struct proto_env *env, struct stream **sp, const struct net_addr *peer,
		     const struct net_addr *local, struct tls_ctx *tls, struct session **out);

/* The table of commands, for CAPA's tests and the transcripts' coverage. */
struct verb;
const struct verb *pop3_verbs(size_t *n_out);

#endif
