/*
 * The first Message-ID field of a message, seen as its octets come (RFC 5322
 * 3.6.4, 2.2.3 for folding). Push scanner, constant memory, pure: the name by
 * which a decision record is found, whatever becomes of the message.
 */
#ifndef SMTP_MSGID_H
#define SMTP_MSGID_H

#include "base/slice.h"

#define SMTP_MSGID_MAX 998 /* octets of the field's value that are kept */

struct smtp_msgid {
	unsigned char state;
	unsigned char match; /* octets of the name seen */
	uint16_t n;
	char text[SMTP_MSGID_MAX];
};

/* Zero-initialise; feed message bytes from the first one on, in any pieces. */
void smtp_msgid_feed(struct smtp_msgid *m, struct slice data);
/* The value without its line ends and the blanks around it; empty: none yet. */
struct slice smtp_msgid_value(const struct smtp_msgid *m);

#endif
