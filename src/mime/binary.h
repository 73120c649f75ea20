/*
 * binary: a binary MIME message (RFC 3030, RFC 3516) in a form that every
 * client and every next hop can be given.
 *
 * Each leaf whose Content-Transfer-Encoding is "binary" and whose octets are
 * not lines of text (a NUL, a bare CR or LF) becomes base64: that field is
 * rewritten, nothing else is touched (docs/adr/0045, docs/adr/0075). For
 * IMAP's literal8 and for BODY=BINARYMIME. Memory: the tree, one header, one
 * piece.
 */
#ifndef MIME_BINARY_H
#define MIME_BINARY_H

#include "base/err.h"
#include "io/spool.h"

struct mime_binary {
	struct spool *in;
	/* Takes the message in pieces: 0, or what ends it. May suspend. */
	int (*put)(void *arg, struct slice data);
	void *arg;
	bool plain; /* it cannot hold binary parts: not looked for */
	bool lines; /* what is in no binary part must be lines: no bare CR or LF */
};

/*
 * Gives all of the message to put. 0; what put said if that is not 0; -EILSEQ:
 * a NUL (with lines: a bare CR or LF too) stands where no binary part is;
 * -ECANCELED, -ENOMEM or another -errno with *e.
 */
CO_FN int mime_binary_write(const struct mime_binary *b, struct err *e);

#endif
