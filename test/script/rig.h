/*
 * rig: a whole house in memory for transcripts and session fuzzers.
 *
 * The memory engine, a store, a directory with alice, bob and carol
 * @example.test (passwords "wonderland", "builder", "singer"; cheap hashes, no
 * delays) and what sessions share. No loop, no sockets, no timers: everything
 * runs straight through on the calling thread.
 */
#ifndef SCRIPT_RIG_H
#define SCRIPT_RIG_H

#include "auth/auth.h"
#include "kv/kv.h"
#include "line/session.h"
#include "store/store.h"

#define RIG_ACCOUNTS 3

struct rig;

/* A fresh house; aborts when it cannot be built. */
struct rig *rig_new(void);
/* The same with the accounts spread over loops. */
struct rig *rig_new_on(struct co_loop **loops, size_t n);
void rig_free(struct rig **rp);
/* The account id of one of the three. */
uint64_t rig_account(struct rig *r, unsigned who);
/* What sessions get; its limits may be changed before a session starts. */
struct proto_env *rig_env(struct rig *r);
/* For STARTTLS: made once a process. */
struct tls_ctx *rig_tls(void);

/*
 * One setting or action in words, as README.md has them ("mail alice 3",
 * "quota bob 10000", "full yes"). 0; -EINVAL: no such thing.
 */
int rig_do(struct rig *r, struct slice what);

enum rig_proto { RIG_SMTP, RIG_SUBMISSION, RIG_LMTP, RIG_POP3, RIG_IMAP };
/* A session over *sp (taken over). */
struct session *rig_session(struct rig *r, enum rig_proto proto, bool tls, bool starttls,
			    const struct net_addr *peer, struct stream **sp);

/*
 * A stream whose reads give one line of input each, as a client would send
 * them that waits for every answer; then the end. Output is thrown away.
 */
struct stream *rig_lines(struct slice input);

#endif
