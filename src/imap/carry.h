/*
 * carry: COPY and MOVE of messages into a mailbox of another account.
 *
 * Accounts live on different loops and have their own quota, so the messages
 * are read here and written anew; then all of them are kept there in one
 * commit. A MOVE expunges after that: a crash between leaves them in both
 * mailboxes, never in none.
 */
#ifndef IMAP_CARRY_H
#define IMAP_CARRY_H

#include "imap/target.h"

#define CARRY_MAX 1000u /* messages of one command */

/*
 * From the selected mailbox to t, which the session may insert into. UIDs that
 * are not there any more are skipped: to[i] is 0, else the new UID of uids[i].
 * STORE_LIMIT: more than CARRY_MAX. *validity_out: the target's UIDVALIDITY.
 */
CO_FN int imap_carry(struct imap *s, const struct imap_target *t, const uint32_t *uids, size_t n,
		     bool move, struct arena *a, uint32_t *to, uint32_t *validity_out,
		     struct err *e);

#endif
