/*
 * context: searches that go on (RFC 5267 4): after RETURN (UPDATE ...) the
 * client is told which messages join and leave the result, as the view of the
 * selected mailbox changes. They end with CANCELUPDATE or with the mailbox.
 */
#ifndef IMAP_CONTEXT_H
#define IMAP_CONTEXT_H

#include "imap/find_sort.h"

#define CONTEXTS_MAX 8u			/* of one session */
#define CONTEXT_RESULTS_MAX 250000u	/* all of them together */
#define CONTEXT_SORTED_MAX 5000u	/* results of one that is sorted */
#define CONTEXT_PROG_MAX (1024u * 1024) /* of its program */

/* Does a context of this tag exist? (4.3: BAD then) */
bool imap_context_is(const struct imap *s, struct slice tag);
/*
 * Takes the search that just ran over as a context, with the sorter of a SORT
 * (else NULL). since: the mailbox's highest modseq before it ran. True; false
 * if there is no room for it (NOUPDATE).
 */
bool imap_context_open(struct find *f, const struct find_sorter *o, uint64_t since);
/* False: there is none of this tag. */
bool imap_context_close(struct imap *s, struct slice tag);
void imap_contexts_free(struct imap *s);

/* view.c: REMOVEFROM of what is about to be announced as expunged. */
CO_FN void imap_contexts_expunged(struct imap *s, const struct store_diff *d);
/* view.c: ADDTO and REMOVEFROM of all else, after it was announced. */
CO_FN void imap_contexts_changed(struct imap *s, struct arena *a);

#endif
