/*
 * fetch: what the files of FETCH share: one command's items, and the rows
 * that say how each is parsed and answered.
 *
 * An item of FETCH is a row in fetch_items.c: its name, what it needs, and
 * two functions. Adding an item means adding a row; cmd_fetch.c knows none of
 * them by name but the few that FETCH itself implies.
 */
#ifndef IMAP_FETCH_H
#define IMAP_FETCH_H

#include "imap/body.h"
#include "imap/impl.h"

#define FETCH_ITEMS_MAX 100

enum fetch_need {
	FETCH_TREE = 1,	   /* nothing to say without the part tree */
	FETCH_KEPT = 2,	   /* can be said of an expunged message too */
	FETCH_SEEN = 4,	   /* sets \Seen */
	FETCH_BRACKET = 8, /* the form with a "[" behind the name */
	FETCH_TELLS = 16   /* tells the flags */
};

struct fetch;
struct fetch_kind;

struct fetch_item {
	const struct fetch_kind *kind;
	struct section sec; /* BODY[...], RFC822 and the like */
	void *arg;	    /* the row's own, in the command's arena */
};

/* The message that is being answered. */
struct fetch_msg {
	uint32_t seq;
	bool expunged; /* by another session, after the client heard of it */
	struct store_msg m;
	const struct mime_tree *tree; /* NULL: not needed, or not to be had */
};

struct fetch_kind {
	struct slice name;
	unsigned needs; /* enum fetch_need */
	/* Takes what follows the name; errors in the cursor. NULL: nothing
	 * does. */
	void (*parse)(struct fetch *f, struct fetch_item *it);
	/*
	 * Adds "NAME value" to f->line, or calls fetch_flush and writes to the
	 * connection itself. May suspend (CO_FN): the message in *m is a copy.
	 * BODY_OK, BODY_GONE, or <0: the session must end.
	 */
	int (*put)(struct fetch *f, const struct fetch_item *it, const struct fetch_msg *m);
};

struct fetch {
	struct imap_cmd *cmd;
	struct fetch_item items[FETCH_ITEMS_MAX];
	size_t n;
	struct fetch_item extra[3]; /* told too where we set \Seen */
	size_t n_extra;
	unsigned needs;	 /* of all items */
	bool needs_tree; /* an item looks at the part tree */
	bool changed;	 /* (CHANGEDSINCE since) */
	uint64_t since;
	bool vanished;		      /* (VANISHED) */
	struct {		      /* (PARTIAL first:last), RFC 9394 */
		uint32_t first, last; /* 0: not given */
		bool from_end;
	} partial;
	struct slice *names;
	size_t n_names; /* keywords */
	struct buf line;
	char *chunk;	  /* IMAP_CHUNK bytes of scratch */
	bool gone;	  /* a message could not be answered in full */
	bool failed;	  /* for a reason that is ours */
	bool unknown_cte; /* BINARY of what we cannot decode */
};

/* ---- fetch_items.c ------------------------------------------------------- */

extern const struct fetch_kind fetch_flags;
extern const struct fetch_kind fetch_uid;
extern const struct fetch_kind fetch_modseq;
extern const struct fetch_kind fetch_savedate; /* fetch_objects.c */
extern const struct fetch_kind fetch_emailid;
extern const struct fetch_kind fetch_threadid;
extern const struct fetch_kind fetch_preview; /* fetch_preview.c */

/* "ALL" / "FAST" / "FULL" / fetch-att / "(" fetch-att *(SP fetch-att) ")";
 * errors in the cursor. */
void fetch_parse_items(struct fetch *f);
/* One more item in front of the others, if it is not among them. */
void fetch_imply(struct fetch *f, const struct fetch_kind *kind);
bool fetch_asks(const struct fetch *f, const struct fetch_kind *kind);

/* ---- fetch_binary.c ------------------------------------------------------ */

extern const struct fetch_kind fetch_binary;
extern const struct fetch_kind fetch_binary_peek;
extern const struct fetch_kind fetch_binary_size;

/* ---- cmd_fetch.c ---------------------------------------------------------- */

/* Writes out what is in f->line. */
CO_FN void fetch_flush(struct fetch *f);

#endif
