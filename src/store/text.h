/*
 * text: the store's door for searching: derived data that spare a search the
 * opening of messages. Part of the store's door, as store.h is.
 *
 * Two things are kept for each mailbox, both derived and rebuildable: a
 * summary of each message's header (what SEARCH, SORT and THREAD ask most),
 * and a full-text index with the text it was made of. What is not kept yet is made from the messages when
 * it is asked for (summaries) or named as not covered (the index): answers are
 * exact at any time, only slower.
 *
 * The store's rules hold (store.h): home loop only, results as there.
 */
#ifndef STORE_TEXT_H
#define STORE_TEXT_H

#include "store/store.h"

/* ---- summaries ---------------------------------------------------------- */

/*
 * A message's header in short. Text is decoded (RFC 2047) and folded
 * (utf8_fold); an absent field has p NULL, an empty one n 0 and p not NULL.
 */
struct store_summary {
	uint32_t uid;
	/* Whole field bodies, several fields of one name joined by "\n": a
	 * needle without a "\n" or "\r" is in one of these exactly if it is in a
	 * field; in the first four, or in an address (mime_address_text), each
	 * with a "\n" behind it: they stand behind a "\r", if there are any. */
	struct slice from, to, cc, bcc, subject;
	struct slice sort_from, sort_to, sort_cc; /* first mailbox (RFC 5256 3) */
	struct slice display_from, display_to;	  /* for SORT=DISPLAY (RFC 5957 3) */
	struct slice base_subject;		  /* RFC 5256 2.1, never absent */
	bool is_reply;				  /* the subject was a reply or forward */
	struct slice message_id;		  /* without brackets and quotes */
	/* Ids as RFC 5256 takes them (References, else the first of
	 * In-Reply-To), separated by one space. */
	struct slice references;
	int64_t sent; /* the Date field as unix seconds; INT64_MIN: none */
	int zone;     /* its zone, minutes east */
	/* THREADID (RFC 8474): hash of the thread's root id: the first reference,
	 * else the own id, else the message's guid. */
	unsigned char thread[16];
};
/* Must not suspend; slices live for the call; non-zero stops. */
typedef int store_summary_fn(void *arg, const struct store_summary *s);
/*
 * Calls fn for each of the n uids (ascending) that can be had, in order. 0,
 * fn's non-zero value, or <0: a message that could not be read (-EIO; all
 * others were given), -ECANCELED, -ENOMEM.
 */
CO_FN int store_summaries(struct store_mailbox *m, const uint32_t *uids, size_t n,
			  store_summary_fn *fn, void *arg, struct err *e);

/* ---- full text ---------------------------------------------------------- */

enum store_text_where {
	STORE_TEXT_BODY, /* as SEARCH BODY: text parts, headers of messages within */
	STORE_TEXT_ALL,	 /* as SEARCH TEXT: and the message's header */
	STORE_TEXT_FIELD /* as SEARCH HEADER field */
};
struct store_text_query {
	enum store_text_where where;
	struct slice field;
	struct slice needle; /* folded */
	bool fuzzy;	     /* all words, in any order, roughly (RFC 6203) */
};
struct store_text_hits {
	/* UIDs the index speaks about, ascending; others must be looked at. */
	struct store_uid_range *covered;
	size_t n_covered;
	/* Those of the covered that match, ascending. May name UIDs that are
	 * gone. */
	uint32_t *uids;
	size_t n;
};
/* What the index knows; arrays in the arena. 0 or <0 (-EMSGSIZE: the arena). May
 * take a while: it indexes first where much is missing (README.md). */
CO_FN int store_text_find(struct store_mailbox *m, const struct store_text_query *q,
			  struct arena *a, struct store_text_hits *out, struct err *e);

/*
 * Starts an indexer in each home that has a loop: it indexes what came to rest,
 * in the background, and ends with its loop. Any thread; once.
 */
void store_text_start(struct store *s);
/* Brings index and summaries of a mailbox up to date now. 0, STORE_GONE,
 * STORE_FULL, <0. For tests and tools. */
CO_FN int store_text_index(struct store_mailbox *m, struct err *e);

#endif
