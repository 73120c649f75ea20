/*
 * objectid: the forms of EMAILID and THREADID (RFC 8474 5), as FETCH shows
 * them and SEARCH takes them: a letter and 32 hexadecimal digits.
 */
#ifndef IMAP_OBJECTID_H
#define IMAP_OBJECTID_H

#include "base/buf.h"
#include "base/slice.h"

/* "M...": of a message's guid (struct store_msg). */
void imap_put_emailid(struct buf *b, const unsigned char guid[16]);
/* "T...": of a summary's thread (struct store_summary). */
void imap_put_threadid(struct buf *b, const unsigned char thread[16]);
/* Does the client mean this one? */
bool imap_is_emailid(struct slice id, const unsigned char guid[16]);
bool imap_is_threadid(struct slice id, const unsigned char thread[16]);

#endif
