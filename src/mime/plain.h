/*
 * plain: the raw body of one part to readable text, streaming: transfer
 * encoding, character set and HTML undone. What searches (mime/text.h) and
 * previews (mime/preview.h) are made from, so that they read a body alike.
 */
#ifndef MIME_PLAIN_H
#define MIME_PLAIN_H

#include "mime/mime.h"

#define MIME_PLAIN_STEP 4096 /* raw bytes decoded at once */

struct mime_plain;
/* NULL: out of memory. An unknown character set is read as US-ASCII. The part
 * need not outlive it. */
struct mime_plain *mime_plain_new(const struct mime_part *part);
/* Raw bytes, in pieces of any size; adds the text that is certain to out, valid
 * UTF-8. */
void mime_plain_feed(struct mime_plain *p, struct slice raw, struct buf *out);
/* The rest. */
void mime_plain_end(struct mime_plain *p, struct buf *out);
void mime_plain_free(struct mime_plain **pp);

#endif
