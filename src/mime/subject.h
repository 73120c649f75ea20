/*
 * subject: the base subject of RFC 5256 2.1, by which SORT and THREAD compare:
 * what is left of a subject when the marks of replies and forwards are gone.
 */
#ifndef MIME_SUBJECT_H
#define MIME_SUBJECT_H

#include "base/buf.h"
#include "base/slice.h"

/*
 * decoded: the field's body as UTF-8, encoded words decoded (step 1 of 2.1 but
 * for the blanks, which are made single here). Letter case stays as it is.
 * *is_reply_out (may be NULL): a mark of a reply or forward was taken off.
 * Linear in the subject; nothing of it is an error.
 */
void mime_base_subject(struct slice decoded, struct buf *out, bool *is_reply_out);

#endif
