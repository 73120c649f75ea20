/*
 * other: names of other users' mailboxes (RFC 2342):
 * "Other Users/address/mailbox". Pure.
 *
 * The address is one level of the name, so what would not stand in a level
 * ("/", LIST's wildcards) is written "=2F", and "=" itself "=3D". There is one
 * way to write an address only: no two names mean one mailbox (THREATS IM-09).
 */
#ifndef IMAP_OTHER_H
#define IMAP_OTHER_H

#include "base/buf.h"

#define OTHER_ROOT "Other Users"
#define OTHER_PREFIX OTHER_ROOT "/"

enum other_kind {
	OTHER_NOT,  /* a name of one's own */
	OTHER_IS,   /* the root */
	OTHER_USER, /* a user's level */
	OTHER_BOX   /* a mailbox, or what may be one */
};
/* What kind of name is this? *user_out: the level of the address as written;
 * *box_out: the rest. */
enum other_kind other_split(struct slice name, struct slice *user_out, struct slice *box_out);
/* The level of an address. */
void other_put_user(struct buf *b, struct slice address);
/* The address of a level. 0, or -EINVAL: not as other_put_user writes it. */
int other_get_user(struct slice level, struct buf *address);

#endif
