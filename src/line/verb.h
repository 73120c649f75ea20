/*
 * verb: tables of commands and what is true of all of them.
 *
 * Each protocol has one table in its verbs.c: a row per verb with the states
 * it is allowed in, flags, limits, handler and a one-line doc. The dispatcher
 * enforces states and flags; HELP, CAPA/CAPABILITY and the tests read the
 * same rows (a test asserts that every row has a transcript).
 */
#ifndef LINE_VERB_H
#define LINE_VERB_H

#include "base/cur.h"
#include "base/slice.h"

enum verb_flags {
	VERB_LAST = 1,	    /* must end a pipelined group (RFC 2920) */
	VERB_NEEDS_TLS = 2, /* refused in clear (unless loopback is allowed) */
	VERB_USES_SEQS = 4, /* IMAP: no EXPUNGE may be announced after it */
	VERB_NO_SYNC = 8    /* IMAP: announces nothing at all */
};

struct verb {
	struct slice name; /* upper case */
	unsigned states;   /* bit set of the protocol's states */
	unsigned flags;
	size_t max_line; /* octets; 0: the protocol's default */
	/* The protocol says what cmd is and what it returns. */
	int (*run)(void *session, void *cmd);
	const char *doc; /* one line */
};

/* Row with this name (case-insensitive), or NULL. */
const struct verb *verb_find(const struct verb *table, size_t n, struct slice name);

#endif
