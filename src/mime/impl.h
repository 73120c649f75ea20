/*
 * impl: what the files of mime share and nobody else calls: white space and
 * comments, quoted text, and strings made fit to be kept. A kept string never
 * holds CR, LF or NUL: a line end is dropped (unfolding), NUL is a space.
 */
#ifndef MIME_IMPL_H
#define MIME_IMPL_H

#include "base/cur.h"
#include "base/err.h"
#include "mime/mime.h"

static inline bool mime_is_space(unsigned char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/*
 * White space, line ends and comments (nested to any depth, without
 * recursion). The inside of the last comment goes to *comment_out if that is
 * not NULL and there was one. True if anything was skipped.
 */
bool mime_skip_cfws(struct cur *c, struct slice *comment_out);
/* Behind an opening quote: what stands up to the closing one (or the end),
 * still with its backslashes. */
struct slice mime_quoted(struct cur *c);
/* Quoted text without its backslashes and line ends into dst, which has room
 * for raw.n bytes. How many were written. */
size_t mime_cook(struct slice raw, char *dst);
/* The same, added to a buffer. */
void mime_cook_add(struct slice raw, struct buf *out);
/* Unfolded and trimmed, in the arena; p is not NULL even if empty. */
struct slice mime_unfold_dup(struct slice body, struct arena *a);
/* utf8 with CR, LF and NUL made spaces, added to out. */
void mime_add_clean(struct slice utf8, struct buf *out);
/* Run of token characters (RFC 2045 5.1, and 8-bit). May be empty. */
struct slice mime_token(struct cur *c);
/* By its type, is this a multipart; is it message/rfc822 or message/global? */
bool mime_is_multipart(const struct mime_part *part);
bool mime_is_message(const struct mime_part *part);

#endif
