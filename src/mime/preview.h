/*
 * preview: the first words of a message, for IMAP PREVIEW (RFC 8970) and
 * whoever else lists messages.
 *
 * A part's raw body is fed in pieces of any size until enough text was seen;
 * transfer encoding, charset and HTML are undone on the way, white space and
 * what cannot be seen is collapsed. The result is one line of valid UTF-8.
 */
#ifndef MIME_PREVIEW_H
#define MIME_PREVIEW_H

#include "mime/mime.h"

#define MIME_PREVIEW_CHARS 200
#define MIME_PREVIEW_MAX (4u * MIME_PREVIEW_CHARS) /* octets */

/*
 * The parts a preview may be made of, in order: text leaves that are not
 * attachments, and not within attached messages. after: NULL for the first;
 * NULL when there are no more. A part without visible text is passed over by
 * asking for the next.
 */
const struct mime_part *mime_preview_part(const struct mime_tree *t, const struct mime_part *after);

struct mime_preview;
/* NULL: out of memory. */
struct mime_preview *mime_preview_new(const struct mime_part *part);
/* Raw bytes of the part's body; true when no more are wanted. */
bool mime_preview_feed(struct mime_preview *p, struct slice raw);
/* End of the body, or of patience: the text, which lives until _free. */
struct slice mime_preview_end(struct mime_preview *p);
void mime_preview_free(struct mime_preview **pp);

#endif
