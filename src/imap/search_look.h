/*
 * search_look: what a search key says of one message: of its summary, or of
 * the message itself, read as far as needed. The three prices above "free" of
 * search.h; search_run.c decides what is worth it.
 */
#ifndef IMAP_SEARCH_LOOK_H
#define IMAP_SEARCH_LOOK_H

#include "imap/impl.h"
#include "imap/search.h"
#include "mime/mime.h"
#include "store/text.h"

/* How relevant a fuzzy key is that is found somewhere in the text. */
#define SEARCH_SCORE_BODY 50

struct search_look {
	struct store_mailbox *mbox;
	struct arena *a;
	char *chunk;
	struct buf header;
	bool have_header;
	struct mime_tree tree;
	bool have_tree;
	const struct store_msg *msg;
	struct arena_mark mark;
	bool failed; /* something could not be read */
};

bool search_look_init(struct search_look *l, struct store_mailbox *m, struct arena *a);
void search_look_fini(struct search_look *l);
void search_look_start(struct search_look *l, const struct store_msg *msg);
void search_look_end(struct search_look *l);
/* Is the leaf true of this message? */
CO_FN bool search_look_leaf(struct search_look *l, const struct search_op *op);

/* Is the leaf (of price SEARCH_SUMMARY) true? *score_out: how relevant. */
bool search_summary_leaf(const struct search_op *op, const struct store_summary *s,
			 unsigned char *score_out);
/* How relevant a TEXT or BODY key is if its text stands in a field of note;
 * 0: it does not. */
unsigned char search_summary_score(const struct search_op *op, const struct store_summary *s);
bool search_is_emailid(struct slice id, const struct store_msg *m);

/* Days since 1970 where that moment is, and BEFORE, ON, SINCE of them. */
int64_t search_day(int64_t unix_seconds, int zone);
bool search_by_day(enum search_kind kind, int64_t day, int64_t want);

#endif
