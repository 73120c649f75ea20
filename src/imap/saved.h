/*
 * saved: the search result variable "$" (RFC 5182, RFC 9051 6.4.4.1): the
 * messages that the last SEARCH RETURN (SAVE ...) found.
 */
#ifndef IMAP_SAVED_H
#define IMAP_SAVED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Kept as UIDs, ascending. Those expunged since are in no view any more, and
 * UIDs are never used twice: so the variable follows expunges by itself. */
struct imap_saved {
	uint32_t *uids;
	size_t n;
};

/* Takes n UIDs in any order, once or more. 0; -ENOMEM: it is empty then. */
int imap_saved_set(struct imap_saved *v, const uint32_t *uids, size_t n);
void imap_saved_clear(struct imap_saved *v);
bool imap_saved_has(const struct imap_saved *v, uint32_t uid);

#endif
