/*
 * text: the searchable text of a message: headers decoded, text parts with
 * their transfer encoding and charset undone, HTML without its tags, nested
 * messages included. For IMAP SEARCH BODY/TEXT now, an index later.
 */
#ifndef MIME_TEXT_H
#define MIME_TEXT_H

#include "mime/mime.h"

/*
 * A streaming matcher over one part's raw body: decodes as it goes and looks
 * for a needle (already case-folded UTF-8, utf8_fold) across piece borders.
 */
struct mime_match;
/* NULL: out of memory. The part and needle must outlive it. */
struct mime_match *mime_match_new(const struct mime_part *part, struct slice folded_needle);
/* Feeds raw bytes of the part's body; true as soon as it was found. */
bool mime_match_feed(struct mime_match *m, struct slice raw);
bool mime_match_end(struct mime_match *m);
void mime_match_free(struct mime_match **mp);
/* Is this part's own body worth searching? Leaves of text/... and message/...
 * only: a multipart or message is searched through its children. */
bool mime_part_is_text(const struct mime_part *part);
/* Does the header block (raw bytes) contain the needle after decoding and
 * folding? name empty: any field, whole line; else only bodies of `name`. */
bool mime_header_match(struct slice header, struct slice name, struct slice folded_needle);

#endif
