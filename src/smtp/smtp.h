/*
 * smtp: the SMTP server (RFC 5321) on port 25, for submission (RFC 6409) and as
 * LMTP (RFC 2033).
 *
 * One session is greeting, then line, verb, reply; mail for local accounts is
 * received into a spool, stamped, and handed to the store. 250 after the
 * final dot means that it is durable for every accepted recipient.
 */
#ifndef SMTP_SMTP_H
#define SMTP_SMTP_H

#include "line/session.h"

enum smtp_role {
	SMTP_MX,	 /* ports 25 and 2525: from anybody, for us only */
	SMTP_SUBMISSION, /* 587 and 465: from our users, after AUTH */
	SMTP_LMTP	 /* RFC 2033: from another mail server in front of us */
};

/*
 * Takes over *sp (set NULL) and talks SMTP on it. peer, local may be NULL.
 * tls: for STARTTLS, or NULL. env outlives the session. 0 or -ENOMEM (the
 * stream is closed then). Run with session_run, end with session_free. Never
 * moves between loops.
 */
int smtp_session_new(const struct proto_env *env, enum smtp_role role, struct stream **sp,
		     const struct net_addr *peer, const struct net_addr *local, struct tls_ctx *tls,
		     struct session **out);

/* The table of commands, for HELP and the transcripts' coverage. */
struct verb;
const struct verb *smtp_verbs(size_t *n_out);

#endif
