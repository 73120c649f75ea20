/*
 * write: what IMAP answers are made of: strings in the form they need,
 * ENVELOPE and BODYSTRUCTURE, flags, dates. Pure functions into a buf.
 *
 * Nothing a message or a name holds can leave its string: bytes outside
 * printable ASCII, CR and LF make a literal, a NUL becomes a space (CHAR8 has
 * none; THREATS IM-17).
 */
#ifndef IMAP_WRITE_H
#define IMAP_WRITE_H

#include "base/buf.h"
#include "mime/mime.h"
#include "store/store.h"

/* string: quoted if it can be, else a literal. */
void imap_put_string(struct buf *b, struct slice s);
/* NIL if s.p is NULL. */
void imap_put_nstring(struct buf *b, struct slice s);
/* astring: an atom if it can be. */
void imap_put_astring(struct buf *b, struct slice s);
/* A mailbox name, an astring: in modified UTF-7, or with utf8 as a quoted
 * string of UTF-8 (RFC 9051 5.1, RFC 6855 3). */
void imap_put_mailbox(struct buf *b, struct slice name, bool utf8);
/* "(\Seen word)"; names[i] is keyword bit i. */
void imap_put_flags(struct buf *b, struct store_flags f, const struct slice *names, size_t n,
		    bool recent);
/* "17-Jul-1996 02:44:25 -0700" with its quotes. */
void imap_put_date(struct buf *b, int64_t unix_seconds, int zone);
/* NULL gives ten NILs. */
void imap_put_envelope(struct buf *b, const struct mime_envelope *e);
/* BODYSTRUCTURE, or BODY without extension data. */
void imap_put_body(struct buf *b, const struct mime_part *root, bool ext);

#endif
