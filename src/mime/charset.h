/*
 * charset: any charset found in mail to UTF-8 (ICU). Output is always valid
 * UTF-8; what cannot be read becomes U+FFFD (MI-09).
 */
#ifndef MIME_CHARSET_H
#define MIME_CHARSET_H

#include "base/buf.h"
#include "base/slice.h"

/* True if conversion from this name (any alias, any case) is possible. */
bool charset_known(struct slice name);

/* Streaming converter; one per text. */
struct charset;
/* 0; -ENOENT unknown name; -ENOMEM. */
int charset_new(struct slice name, struct charset **out);
void charset_feed(struct charset *c, struct slice in, struct buf *utf8_out);
void charset_end(struct charset *c, struct buf *utf8_out);
void charset_free(struct charset **cp);
/* Whole text; unknown charsets: UTF-8 if valid, else windows-1252. */
void charset_to_utf8(struct slice name, struct slice in, struct buf *out);

/*
 * Modified UTF-7 of IMAP mailbox names (RFC 3501 5.1.3), strict: -EINVAL for
 * anything with a second spelling, controls, lone surrogates (IM-09).
 */
int mutf7_to_utf8(struct slice in, struct buf *out);
int mutf7_from_utf8(struct slice utf8, struct buf *out);

#endif
