/*
 * What SMTP looks at in a message's header: on the way in (a push scanner,
 * constant memory), and for submission (RFC 6409 8), once it is there.
 */
#ifndef SMTP_HEADER_H
#define SMTP_HEADER_H

#include "base/buf.h"
#include "base/slice.h"
#include "smtp/msgid.h"

#define SMTP_HEADER_MAX (512u * 1024) /* bytes of header, THREATS SL-03 */
#define SMTP_HEADER_LINES_MAX 20000

struct smtp_header {
	uint64_t len;	   /* octets of header, with its empty line */
	unsigned received; /* Received fields */
	uint32_t lines;
	bool done;	/* the empty line was seen */
	bool too_big;	/* one of the limits was met */
	bool folded;	/* it begins with a continuation line */
	size_t line;	/* octets in the current line */
	unsigned match; /* octets of "received:" matched so far */
	bool is_cr;	/* the current line is a CR so far */
	struct smtp_msgid id;
};

/* Zero-initialise; feed decoded message bytes in any pieces. */
void smtp_header_feed(struct smtp_header *h, struct slice data);

enum smtp_fix {
	SMTP_FIX_OK = 0,
	SMTP_FIX_NO_FROM = 1,  /* RFC 5322 3.6: From is missing or empty */
	SMTP_FIX_MANY_FROM = 2 /* or there are two */
};
/*
 * The header of a submitted message, made fit to travel: Bcc taken out, Date
 * and Message-ID put in front where missing; all else as it was, byte for
 * byte. hostname is for Message-ID; now in unix seconds.
 */
enum smtp_fix smtp_header_fix(struct slice header, const char *hostname, int64_t now,
			      struct buf *out);

#endif
