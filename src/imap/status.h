/*
 * status: STATUS items: their names, and the line that gives them. Used by
 * STATUS and by LIST's return option (RFC 5819). Numbers are 63-bit safe
 * (RFC 9051 4).
 */
#ifndef IMAP_STATUS_H
#define IMAP_STATUS_H

#include "base/buf.h"
#include "base/cur.h"
#include "store/store.h"

enum status_item { /* a bit set */
		   STATUS_MESSAGES = 1,
		   STATUS_RECENT = 2,
		   STATUS_UIDNEXT = 4,
		   STATUS_UIDVALIDITY = 8,
		   STATUS_UNSEEN = 16,
		   STATUS_SIZE = 32,		 /* RFC 8438 */
		   STATUS_HIGHESTMODSEQ = 64,	 /* RFC 7162 */
		   STATUS_DELETED = 128,	 /* RFC 9051, RFC 9208 */
		   STATUS_DELETED_STORAGE = 256, /* RFC 9208 */
		   STATUS_APPENDLIMIT = 512,	 /* RFC 7889 */
		   STATUS_MAILBOXID = 1024	 /* RFC 8474 */
};

/* What a mailbox answers. */
struct status_facts {
	struct store_status st;
	store_id account;
	uint64_t deleted_bytes;
	uint64_t append_limit;
};

/* "(" status-att *(SP status-att) ")": a bit set; an unknown item is an
 * error in the cursor. */
unsigned status_parse(struct cur *c);
/* "(ITEM value ...)" in an order of ours. */
void status_put(struct buf *b, unsigned items, const struct status_facts *f);
/* A mailbox's OBJECTID (RFC 8474): "F", whose it is and its id there, both in
 * hexadecimal. */
void status_put_mailboxid(struct buf *b, store_id account, store_id id);

#endif
