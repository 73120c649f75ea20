/*
 * header: fields, addresses, dates, encoded words (RFC 5322 incl. section 4,
 * RFC 2047, RFC 2231, RFC 6532, RFC 6854). Pure functions over slices.
 */
#ifndef MIME_HEADER_H
#define MIME_HEADER_H

#include "mime/mime.h"

/* ---- fields ------------------------------------------------------------- */

struct mime_field {
	struct slice raw;  /* the whole field with its final line end */
	struct slice name; /* without the colon and blanks before it */
	struct slice body; /* behind the colon, still folded, no line end */
};
/*
 * Takes the next field off *header (bytes up to the empty line or the end).
 * True and *out; false at the empty line or end. A line without a colon is
 * given with an empty name. LF alone is taken as a line end too.
 */
bool mime_field_next(struct slice *header, struct mime_field *out);
/* Unfolded (line ends before white space removed) and trimmed, into out. */
void mime_unfold(struct slice body, struct buf *out);

/* ---- addresses ---------------------------------------------------------- */

/* Address list (RFC 5322 3.4, 4.4; groups; damaged input gives the best
 * reading, never an error). NULL: none, or the arena is full. */
struct mime_addr *mime_addr_parse(struct slice body, struct arena *a);
/* "mailbox@host" with the local part quoted if need be; nothing for group
 * marks. */
void mime_addr_spec(const struct mime_addr *ad, struct buf *out);

/* ---- dates -------------------------------------------------------------- */

struct mime_date {
	int year, month, day, hour, minute, second; /* as written */
	int zone;				    /* minutes east of UTC */
	int64_t unix_seconds;
};
/* RFC 5322 3.3 and 4.3, all obsolete zones and two-digit years, comments,
 * missing parts as found in the wild. 0 or -EINVAL. */
int mime_date_parse(struct slice body, struct mime_date *out);
/* "Mon, 02 Jan 2006 15:04:05 +0000"; zone in minutes east. dst >= 40. */
void mime_date_format(int64_t unix_seconds, int zone, char dst[40]);

/* ---- content fields ----------------------------------------------------- */

/* Content-Type: type "/" subtype *(";" param). False: unreadable. */
bool mime_content_type(struct slice body, struct arena *a, struct slice *type_out,
		       struct slice *subtype_out, struct mime_param **params_out);
/* Content-Disposition: token *(";" param). */
bool mime_content_disposition(struct slice body, struct arena *a, struct slice *disp_out,
			      struct mime_param **params_out);

/* ---- text --------------------------------------------------------------- */

/* Encoded words decoded (RFC 2047) and 8-bit kept if UTF-8, else read as
 * windows-1252: always valid UTF-8, CR, LF and NUL made spaces (MI-04). */
void mime_decode_text(struct slice unfolded, struct buf *out);

#endif
