/*
 * urlauth: tokens of authorised URLs (RFC 4467 2.4, 2.5), mechanism INTERNAL.
 *
 * A token is "01" (our first way to make one) and the HMAC-SHA-256 of the
 * URL's text up to and with its access identifier, under the mailbox's key.
 */
#ifndef IMAP_URLAUTH_H
#define IMAP_URLAUTH_H

#include <stdbool.h>

#include "base/slice.h"

#define URLAUTH_TOKEN 66 /* hex digits */

/* key: STORE_URL_KEY bytes. token_out: URLAUTH_TOKEN digits, no NUL. */
void urlauth_token(const unsigned char *key, struct slice rump, char *token_out);
/* Is this the URL's token? Takes the same time for right and wrong ones. */
bool urlauth_check(const unsigned char *key, struct slice rump, struct slice token);

#endif
