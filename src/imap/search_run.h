/*
 * search_run: evaluates a search program over a mailbox and a view of it:
 * for SEARCH, SORT, THREAD, ESEARCH and the contexts of RFC 5267. Only the
 * view given here is looked at, so the mailbox need not be the selected one.
 */
#ifndef IMAP_SEARCH_RUN_H
#define IMAP_SEARCH_RUN_H

#include "imap/impl.h"
#include "imap/search.h"

#define SEARCH_BATCH 256	   /* messages looked at between two breaths */
#define SEARCH_INDEX_ASKED_MAX 64u /* leaves for which the index is asked */

struct search_found {
	uint32_t seq;
	uint32_t uid;
	uint8_t score; /* 1..100 with a fuzzy program, else 0 */
};

struct search_run {
	/* in */
	struct store_mailbox *mbox;
	struct store_view *view;
	const struct imap_saved *saved; /* "$"; NULL: no message */
	struct arena *a;		/* scratch, given back */
	struct search_prog *prog;	/* what depends on the mailbox is filled in */
	size_t limit;			/* stop after so many; 0: none */
	struct imap_cmd *cmd;		/* whose progress is told; NULL: nobody's, as on
				 another loop than the session's */
	/* out */
	struct search_found *v; /* in the order of the view */
	size_t n;
	bool failed; /* a message could not be read */
	/* own */
	size_t cap;
	struct search_work *work;
};

/*
 * Looks at the messages with these numbers (ascending), or at all (seqs NULL).
 * What is found is added to x->v. 0, -ENOMEM, -ECANCELED.
 */
CO_FN int search_run(struct search_run *x, const uint32_t *seqs, size_t n);
/* Frees what was found. */
void search_run_fini(struct search_run *x);

#endif
