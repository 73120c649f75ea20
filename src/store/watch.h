/*
 * watch: hearing of changes in an account, whichever loop it lives on. Part of
 * the store's door, beside store.h; for IMAP NOTIFY (RFC 5465).
 *
 * A watch keeps no queue: it remembers up to where its owner has looked, and
 * says which mailboxes, and whether the list, changed since. So any number of
 * changes costs nothing and none is lost, and a slow client hears the newest
 * state once.
 */
#ifndef STORE_WATCH_H
#define STORE_WATCH_H

#include "store/store.h"

struct store_watch;

/*
 * Watches the account from the calling loop: from now on *ev is set at every
 * change of its list of mailboxes, subscriptions, annotations, rights, and of
 * the messages in any of its mailboxes. ev is the caller's and must outlive
 * the watch; who waits clears it first. Any loop; the account stays open
 * while it is watched. STORE_OK, STORE_NOTFOUND, <0.
 */
CO_FN int store_watch_new(struct store *s, store_id account, struct co_event *ev,
			  struct store_watch **out, struct err *e);
/* On the loop that made it; sets NULL, accepts NULL. */
CO_FN void store_watch_free(struct store_watch **wp);

struct store_changes {
	bool list;	 /* mailboxes, their names and uses, subscriptions, rights */
	bool server;	 /* the server's annotations */
	store_id *boxes; /* mailboxes whose messages changed; in the arena */
	size_t n_boxes;
	store_id *noted; /* mailboxes whose annotations changed; in the arena */
	size_t n_noted;
};
/*
 * What changed since this was last asked, or since the watch was made.
 * STORE_OK, STORE_GONE (the account was deleted), <0.
 */
CO_FN int store_watch_take(struct store_watch *w, struct arena *a, struct store_changes *out);

#endif
