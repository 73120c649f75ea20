/*
 * metadata: the arguments of GETMETADATA and SETMETADATA (RFC 5464 5), and of
 * LIST's METADATA return option (RFC 9590), and how entries are told. Pure.
 */
#ifndef IMAP_METADATA_H
#define IMAP_METADATA_H

#include "base/buf.h"
#include "base/cur.h"
#include "store/metadata.h"

#define METADATA_NAMES_MAX STORE_ENTRIES_MAX /* entries of one command */

struct metadata_get {
	struct slice mailbox; /* as it came; empty: the server */
	struct slice *names;  /* canonical */
	size_t n;
	unsigned depth; /* levels below each; UINT32_MAX: all */
	bool has_max;
	uint64_t max; /* MAXSIZE */
};
/*
 * [SP options] SP mailbox SP [options SP] entries: RFC 5464's grammar has the
 * options first, its examples have them behind the mailbox, and clients do
 * either.
 */
void metadata_parse_get(struct cur *c, struct arena *a, struct metadata_get *out);

struct metadata_set {
	struct slice mailbox;
	struct store_entry *v; /* names canonical; value.p NULL: NIL */
	size_t n;
	bool too_long; /* a value beyond STORE_ENTRY_VALUE_MAX */
};
/* SP mailbox SP "(" entry SP value *(SP entry SP value) ")" */
void metadata_parse_set(struct cur *c, struct arena *a, struct metadata_set *out);

/* "(" entry *(SP entry) ")": at most max canonical names. */
void metadata_parse_names(struct cur *c, struct arena *a, size_t max, struct slice **out,
			  size_t *n_out);

/* "/name value"; a value with NUL goes as literal8, a missing one as NIL. */
void metadata_put(struct buf *b, const struct store_entry *e);

#endif
