/*
 * acl: who may do what with a mailbox (RFC 4314), and who shares with whom.
 *
 * Part of the store's door, like store.h. A mailbox has a list of entries: an
 * account (by its id, so that a rename of the account changes nothing) or
 * anyone, and the rights given, or, in a negative entry, taken away. The owner
 * has all rights, always, and is in no list. What somebody else may do is the
 * sum of the positive entries for him and for anyone, less the negative ones.
 *
 * An account also knows who shares something with it: hints, derived from the
 * lists, always at least what is true, so that a listing needs no look at
 * every account.
 */
#ifndef STORE_ACL_H
#define STORE_ACL_H

#include "store/store.h"

#define STORE_ACL_MAX 200      /* entries of one mailbox */
#define STORE_SHARERS_MAX 1000 /* accounts that share with one */

enum store_right {
	STORE_RIGHT_LOOKUP = 1,	     /* l */
	STORE_RIGHT_READ = 2,	     /* r */
	STORE_RIGHT_SEEN = 4,	     /* s */
	STORE_RIGHT_WRITE = 8,	     /* w */
	STORE_RIGHT_INSERT = 16,     /* i */
	STORE_RIGHT_POST = 32,	     /* p */
	STORE_RIGHT_CREATE = 64,     /* k */
	STORE_RIGHT_DELETEBOX = 128, /* x */
	STORE_RIGHT_DELETEMSG = 256, /* t */
	STORE_RIGHT_EXPUNGE = 512,   /* e */
	STORE_RIGHT_ADMIN = 1024     /* a */
};
#define STORE_RIGHTS_ALL 0x7ffu
#define STORE_ANYONE 0 /* as an identifier */

struct store_acl_entry {
	store_id who; /* an account, or STORE_ANYONE */
	bool negative;
	unsigned rights; /* enum store_right; never 0 in a list */
};

/* ---- on the home of the mailbox's account ---------------------------------- */

/* The list, without the owner. STORE_OK, _NOTFOUND, -ENOMEM. */
int store_acl_get(struct store_account *a, struct slice name, struct arena *arena,
		  struct store_acl_entry **out, size_t *n_out);

enum store_acl_op { STORE_ACL_SET, STORE_ACL_ADD, STORE_ACL_REMOVE };
/*
 * Changes one identifier's entry; one without rights goes. Open views of the
 * mailbox are woken. _NOTFOUND: no such mailbox. _FORBIDDEN: the owner's own
 * entry, or an account that has no mail here. _LIMIT: the list is full, or
 * too many share with that account.
 */
CO_FN int store_acl_change(struct store_account *a, struct slice name,
			   const struct store_acl_entry *change, enum store_acl_op op,
			   struct err *e);

/* What who may do; all for the owner. anyone: entries for anyone give rights
 * (they take rights away in any case). Does not suspend. */
unsigned store_mailbox_rights(const struct store_mailbox *m, store_id who, bool anyone);
/* The same by name. STORE_OK, _NOTFOUND. */
int store_rights(struct store_account *a, struct slice name, store_id who, bool anyone,
		 unsigned *out);
/* What who may do with the nearest mailbox above that exists; none: all for
 * the owner, nothing for others. */
unsigned store_rights_above(struct store_account *a, struct slice name, store_id who, bool anyone);

/* ---- who shares ------------------------------------------------------------- */

/*
 * The accounts that may share something with a, ascending, in the arena; with
 * anyone, those that share with everybody too. On a's home. 0 or -errno.
 */
CO_FN int store_sharers(struct store_account *a, bool anyone, struct arena *arena, store_id **out,
			size_t *n_out, struct err *e);
/*
 * Any loop: a look at owner's mailboxes found nothing for who; drops the hint
 * if that is so. Failing to do so is harmless.
 */
CO_FN void store_sharer_check(struct store *s, store_id owner, store_id who);

#endif
