/*
 * notify: what a client asked to be told of (RFC 5465), and telling it.
 *
 * cmd_notify.c reads the command into a struct notify_set; notify.c keeps, for
 * the mailboxes that are not selected, what the client knows of them, and says
 * what became of it. Without NOTIFY a session has none of this, and hears of
 * its selected mailbox only.
 */
#ifndef IMAP_NOTIFY_H
#define IMAP_NOTIFY_H

#include "imap/impl.h"

#define NOTIFY_GROUPS_MAX 100 /* event groups in one NOTIFY */
#define NOTIFY_NAMES_MAX 1000 /* names in all of them */

enum notify_event {
	NOTIFY_NEW = 1,
	NOTIFY_EXPUNGE = 2,
	NOTIFY_FLAGS = 4,
	NOTIFY_NAME = 8,
	NOTIFY_SUBSCRIPTION = 16,
	NOTIFY_METADATA = 32,
	NOTIFY_SERVER_METADATA = 64
};
#define NOTIFY_MESSAGES (NOTIFY_NEW | NOTIFY_EXPUNGE | NOTIFY_FLAGS)

enum notify_filter {
	NOTIFY_INBOXES,
	NOTIFY_PERSONAL,
	NOTIFY_SUBSCRIBED,
	NOTIFY_SUBTREE,
	NOTIFY_MAILBOXES
};

struct notify_group {
	enum notify_filter filter;
	struct slice *names; /* canonical */
	size_t n_names;
	unsigned events; /* enum notify_event */
};

struct notify_set {
	unsigned selected;  /* enum notify_event, of the selected mailbox */
	bool delayed;	    /* SELECTED-DELAYED */
	struct slice fetch; /* fetch-att list for its new messages, or empty */
	bool status;	    /* a STATUS of each mailbox to begin with */
	struct notify_group *groups;
	size_t n_groups;
};

/* ---- notify_metadata.c -------------------------------------------------- */

/* Annotations as the client may know them. */
struct noted;
/* The name of a mailbox (id 0: empty, the server) whose annotations are to be
 * told; false: they are not. */
typedef bool imap_noted_name_fn(const struct imap *s, store_id box, struct slice *name_out);
/* As they are now. STORE_OK, <0. */
CO_FN int imap_noted_load(struct imap *s, struct noted **out);
/* Tells what differs, but for what cmd (or NULL) set itself, and remembers.
 * STORE_OK, <0. */
CO_FN int imap_noted_tell(struct imap *s, const struct imap_cmd *cmd, struct noted **np,
			  imap_noted_name_fn *name_of);
/* Sets NULL, accepts NULL. */
void imap_noted_free(struct noted **np);

/* ---- notify.c ------------------------------------------------------------- */

struct imap_notify;
/* Empty, and asking for nothing; NULL: no memory. */
struct imap_notify *imap_notify_new(void);
/* The arena its set lives in, and the set. */
struct arena *imap_notify_arena(struct imap_notify *n);
struct notify_set *imap_notify_set(struct imap_notify *n);
/* Sets NULL, accepts NULL. */
CO_FN void imap_notify_free(struct imap_notify **np);
/*
 * Puts it in place of what the session had, looks at all mailboxes it asks
 * for, and sends the first STATUS responses if it wants them. Takes it over.
 * STORE_OK, or a store result: the old one is kept then.
 */
CO_FN int imap_notify_begin(struct imap_cmd *cmd, struct imap_notify **np);

#endif
