/*
 * rights: letters of RFC 4314 2.1, to and from bits. Pure.
 *
 * The obsolete letters are read as what they stood for (c: k and x, d: t and
 * e) and written where any of these is there (2.1.1).
 */
#ifndef IMAP_RIGHTS_H
#define IMAP_RIGHTS_H

#include "base/buf.h"
#include "store/acl.h"

/* mod-rights: ["+" / "-"] letters. 0; -EINVAL: a letter that is none. */
int rights_parse(struct slice text, enum store_acl_op *op_out, unsigned *rights_out);
/* As an astring. */
void rights_put(struct buf *b, unsigned rights);
/* Each of them on its own, c and d last, each with a blank before it
 * (LISTRIGHTS). */
void rights_put_each(struct buf *b, unsigned rights);

#endif
