/*
 * notify: what a client asked to be told of (RFC 5465), and telling it.
 *
 * cmd_notify.c reads the command into a struct notify_set; notify.c watches
 * the accounts and the selected mailbox; notify_box.c keeps, for the mailboxes
 * that are not selected, what the client knows of them, and says what became
 * of it. Without NOTIFY a session has none of this, and hears of
 * its selected mailbox only.
 */
#ifndef IMAP_NOTIFY_H
#define IMAP_NOTIFY_H

#include "imap/impl.h"

#define NOTIFY_GROUPS_MAX 100  /* event groups in one NOTIFY */
#define NOTIFY_NAMES_MAX 1000  /* names in all of them */
#define NOTIFY_ACCOUNTS_MAX 64 /* accounts that are watched */

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

/* An annotation as the client knows it: its name, and a hash of its value. */
struct notify_note {
	struct slice name; /* malloc'ed */
	uint64_t hash;
};

/* A mailbox, or a name that is only subscribed, as the client knows it. */
struct notify_box {
	struct slice name; /* as the client calls it; malloc'ed */
	struct {
		store_id account; /* whose */
		store_id id;	  /* 0: it does not exist */
	} key;
	struct slice inner; /* its name in that account; a part of name */
	unsigned events;    /* what is wanted of it, and may be told */
	bool no_access;	    /* messages are wanted, and may not be read */
	bool subscribed;
	bool has_children;
	bool counted; /* the numbers below are known */
	uint32_t uidvalidity;
	uint32_t messages;
	uint32_t uidnext;
	uint32_t unseen;
	uint64_t modseq;
	bool noted; /* the annotations below are known */
	struct notify_note *notes;
	size_t n_notes;
};

struct notify_boxes {
	struct notify_box *v; /* malloc'ed */
	size_t n;
};

/* Names that the command of the moment is about: not told (5). */
struct notify_own {
	const struct slice *names;
	size_t n;
};

/* ---- notify_box.c: the mailboxes that are not selected -------------------- */

void notify_boxes_free(struct notify_boxes *b);
/* Its annotations only. */
void notify_box_forget(struct notify_box *b);
/* The list of the moment. STORE_OK, <0. */
CO_FN int notify_boxes_load(struct imap *s, const struct notify_set *set, struct notify_boxes *out);
/* Looks at the list again and tells what is different. STORE_OK, <0. */
CO_FN int notify_boxes_reload(struct imap *s, const struct notify_set *set,
			      const struct notify_own *own, struct notify_boxes *b);
/* Its messages changed: says so, if that is wanted, and remembers. quiet:
 * remembers only. */
CO_FN void notify_box_messages(struct imap *s, struct notify_box *b, bool quiet);
/* The same for its annotations. */
CO_FN void notify_box_notes(struct imap *s, struct notify_box *b, bool quiet);
/* What NOTIFY itself answers: STATUS, or that it cannot be read. */
CO_FN void notify_box_begin(struct imap *s, struct notify_box *b, bool status);
/* Is the command about it? */
bool notify_is_own(const struct notify_own *own, struct slice name);
/* What set wants of a mailbox of this name. */
unsigned notify_wanted(const struct notify_set *set, struct slice name, bool mine, bool subscribed);

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
