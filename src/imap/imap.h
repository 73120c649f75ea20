/*
 * imap: IMAP4rev1 (RFC 3501) over line, store and auth.
 *
 * A session is made by srv for each connection (or by a test over memory),
 * run in a coroutine, moved once to the account's home loop after login, and
 * freed. See line/session.h for what srv does with it and README.md here for
 * the flow inside.
 */
#ifndef IMAP_IMAP_H
#define IMAP_IMAP_H

#include "line/session.h"
#include "line/verb.h"

/*
 * A session over *sp, which is taken over (freed on failure too; set NULL).
 * peer and local may be NULL. tls: for STARTTLS, or NULL; it must outlive the
 * session. 0 or -ENOMEM.
 */
int imap_session_new(const struct proto_env *env, struct stream **sp, const struct net_addr *peer,
		     const struct net_addr *local, struct tls_ctx *tls, struct session **out);

/* May this capability be hidden from some clients? Of those we know (AUTH=X,
 * too), all but the protocol itself. */
bool imap_can_hide(struct slice name);

/* The table of commands; for tests and documentation. */
const struct verb *imap_verbs(size_t *n_out);

#endif
