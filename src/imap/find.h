/*
 * find: what the searching commands (SEARCH, SORT, THREAD, ESEARCH) share:
 * their arguments, the run, and the answer. RFC 5267 4.1 calls them so.
 */
#ifndef IMAP_FIND_H
#define IMAP_FIND_H

#include "imap/search_run.h"

struct find_sorter;

struct find {
	struct imap_cmd *cmd;
	struct search_return ret;
	struct search_prog prog;
	struct search_run run;
	bool sorted;	 /* by SORT: the first is not the lowest */
	uint64_t since;	 /* the mailbox's highest modseq before the run */
	uint64_t modseq; /* of what is returned, where run.view is gone */
	struct cur keys; /* the program, and what it was read with */
	struct search_env *env;
};

/* For f->run after the parsing: the selected mailbox. */
void find_init(struct find *f, struct imap_cmd *cmd);
void find_fini(struct find *f);

/* [SP "RETURN" ...]. False with the reply set. */
bool find_return(struct find *f);
/*
 * SP search-program to the end of the command, or (criteria) SP
 * search-criteria of SORT and THREAD. star_seq, star_uid: what '*' stands for.
 * False with the reply set.
 */
CO_FN bool find_keys(struct find *f, bool criteria, uint32_t star_seq, uint32_t star_uid);
/* Reads the program again, for a mailbox where '*' is something else. 0 or
 * -errno. */
int find_reparse(struct find *f, uint32_t star_seq, uint32_t star_uid);
/* Runs over f->run's mailbox. False with the reply set. */
CO_FN bool find_run(struct find *f);
/*
 * What all searching commands do at their end: "$" is set or emptied as
 * RFC 5182 2.1 and 2.4 have it, UPDATE begins (with the sorter of a SORT, else
 * NULL), and the reply is set.
 */
CO_FN void find_done(struct find *f, const struct find_sorter *o, const char *text);
/* The command failed (NO): "$" is emptied if it was to be set. */
void find_failed(struct find *f);

/* ---- esearch.c --------------------------------------------------------------- */

/* The part of the results that PARTIAL names: [*from_out, *to_out). */
void esearch_partial(const struct search_return *ret, size_t n, size_t *from_out, size_t *to_out);
/*
 * "* ESEARCH (TAG "x" ...) [UID] ..." of the results in f->run.v; with a
 * mailbox, its correlators too (RFC 7377 2.1). Nothing if only SAVE was asked
 * for.
 */
CO_FN void esearch_write(const struct find *f, bool uid, const struct slice *mailbox,
			 uint32_t uidvalidity);
/* f->modseq, for esearch_write when run.view is closed already. */
void find_modseq(struct find *f);
/* "* SEARCH 1 2 3 (MODSEQ 4)", word SEARCH or SORT. */
CO_FN void esearch_write_plain(const struct find *f, struct slice word);

#endif
