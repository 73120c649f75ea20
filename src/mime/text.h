/*
 * text: the searchable text of a message: headers decoded, text parts with
 * their transfer encoding and charset undone, HTML without its tags, nested
 * messages included. For IMAP SEARCH BODY/TEXT now, an index later.
 *
 * There is one reading of it, here: the matcher looks through what mime_text
 * makes, and an index keeps the words of it, so that the two agree.
 */
#ifndef MIME_TEXT_H
#define MIME_TEXT_H

#include "mime/mime.h"

/*
 * One part's raw body to readable folded text (utf8_fold), streaming. The
 * text does not depend on the pieces it is fed in, if all but the last are
 * multiples of MIME_TEXT_STEP long.
 */
#define MIME_TEXT_STEP 4096
struct mime_text;
/* NULL: out of memory. The part must outlive it. */
struct mime_text *mime_text_new(const struct mime_part *part);
/* Adds what is certain to out. */
void mime_text_feed(struct mime_text *t, struct slice raw, struct buf *out);
/* The rest. */
void mime_text_end(struct mime_text *t, struct buf *out);
void mime_text_free(struct mime_text **tp);
/* One field (or a field's body): unfolded, decoded, folded. */
void mime_header_text(struct slice field, struct buf *out);

/*
 * The pieces of a message that SEARCH BODY looks through, in order: bodies of
 * text parts, and headers of messages within it (part NULL). *at begins as
 * NULL. False: no more.
 */
struct mime_text_piece {
	const struct mime_part *part;
	uint64_t off, len;
};
bool mime_text_next(const struct mime_tree *tree, const struct mime_part **at,
		    struct mime_text_piece *out);

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

/*
 * What SEARCH FROM and the like look in beside a field's body: its addresses
 * as ENVELOPE has them (RFC 3501 6.4.4), "mailbox@host" (a group: its name)
 * without quotes, comments and folding; decoded and folded. text is the
 * field's body as mime_header_text gives it: an address that stands there as
 * it is is left out as a rule. Each is added to out with a "\n" behind it
 * (no text of a header holds one). first: mime_addr_parse of the body.
 */
void mime_address_text(const struct mime_addr *first, struct slice text, struct buf *out);
/* As mime_header_match, of one or more fields of that name, and of their
 * addresses. */
bool mime_address_match(struct slice header, struct slice name, struct slice folded_needle);

#endif
