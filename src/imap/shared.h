/*
 * shared: the mailboxes that others share with a session's account, as rows of
 * LIST (RFC 2342 other users' namespace, RFC 4314 l right).
 *
 * Who may share something is known from hints (store/acl.h); each of those
 * accounts is asked, on its loop, what the session may look up.
 */
#ifndef IMAP_SHARED_H
#define IMAP_SHARED_H

#include "imap/impl.h"

struct imap_shared {
	store_id account;  /* whose */
	struct slice full; /* as the session calls it */
	struct slice name; /* in that account */
	store_id id;
	unsigned rights; /* of the session's account; l is among them */
};
/*
 * All of them, in the arena; each account's in the order of names. What can
 * not be had of an account now is left out. 0 or -errno.
 */
CO_FN int imap_shared_list(struct imap *s, struct arena *a, struct imap_shared **out, size_t *n_out,
			   struct err *e);

#endif
