/*
 * target: whose mailbox a name means, what this session may do with it, and
 * running things where it lives.
 *
 * A name is one of the session's own account, or one of another's
 * ("Other Users/address/mailbox", other.h). Accounts live on loops; a session
 * is on its own account's, or on that of the account whose mailbox it has
 * selected. So nothing in this folder touches an account but through
 * imap_on_account, which runs a function on the account's loop; what such a
 * function takes and gives are values, memory it allocates is the caller's
 * arena.
 *
 * Without the right to look a mailbox up (l) it is answered as one that does
 * not exist, byte for byte, whatever the command (THREATS IM-11).
 */
#ifndef IMAP_TARGET_H
#define IMAP_TARGET_H

#include "imap/impl.h"
#include "store/acl.h"

struct imap_target {
	struct slice full; /* as the client calls it */
	store_id account;  /* whose; 0: nobody's, there is nothing */
	struct slice name; /* in that account */
	bool mine;
	bool exists;
	unsigned rights; /* enum store_right, with this mailbox */
	unsigned above;	 /* with the nearest one above it */
};

/* The canonical form of a name in UTF-8, added to out. STORE_OK, _BADNAME. */
int imap_name_canon(struct slice text, struct buf *out);
/*
 * Looks up a name in its canonical form (imap_mailbox_arg, imap_mailbox_canon).
 * 0, also for what does not exist; <0.
 */
CO_FN int imap_target_find(struct imap *s, struct slice full, struct imap_target *out,
			   struct err *e);
/* Does it exist, with all these rights? Else false, with the reply set. */
bool imap_target_may(struct imap_cmd *cmd, const struct imap_target *t, unsigned rights);
/* Both. */
CO_FN bool imap_target(struct imap_cmd *cmd, struct slice full, unsigned rights,
		       struct imap_target *out);
/* For what puts messages there (i): a mailbox that is not there, or not to be
 * seen, and could be made by this session, is NO [TRYCREATE]. */
CO_FN bool imap_target_into(struct imap_cmd *cmd, struct slice full, struct imap_target *out);

/* Runs on the account's loop; what a is needed for must be done when it
 * returns. */
typedef int imap_account_fn(struct store_account *a, void *arg);
/* Does the account live on this loop, or are there no loops? */
bool imap_lives_here(const struct imap *s, store_id account);
/* fn's result, or why it could not run: STORE_NOTFOUND, <0. */
CO_FN int imap_on_account(struct imap *s, store_id account, imap_account_fn *fn, void *arg,
			  struct err *e);

/* ---- the selected mailbox ------------------------------------------------------ */

#define IMAP_REVOKED "The selected mailbox may not be read any more"

/* May the session do all of this with the selected mailbox now? */
bool imap_may(const struct imap *s, unsigned rights);
/* Which flags may it change there, and give to messages it puts there? */
struct store_flags imap_flags_allowed(unsigned rights);

enum imap_settled {
	IMAP_SETTLED = 0, /* else a store_result, or <0 */
	IMAP_MOVES = 1000 /* cmd->moves is set: the handler returns 0 */
};
/*
 * For a command that selects a mailbox of this account, with none selected:
 * brings the session to the account's loop, where the command runs again, and
 * opens the account there. The handle is the session's (imap_unselect).
 */
CO_FN int imap_settle(struct imap_cmd *cmd, store_id account, struct store_account **out,
		      struct err *e);

/* cmd_acl.c: "* MYRIGHTS name rights", line end and all. */
void imap_put_myrights(struct buf *b, const struct imap *s, const struct imap_target *t);

#endif
