/*
 * url: IMAP URLs (RFC 5092, with RFC 4467's authorisation), as far as they
 * name a message or a part of one. Pure: text in, values out.
 *
 *   imap://user@host:port/mailbox;UIDVALIDITY=n/;UID=n/;SECTION=s/;PARTIAL=o.n
 *          ;EXPIRE=date-time;URLAUTH=access:mechanism:token
 *
 * Relative ones begin with "/", with a mailbox, or with ";UID=". Of a URL for
 * a server, a mailbox or a search we only say that it is none of ours.
 */
#ifndef IMAP_URL_H
#define IMAP_URL_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/slice.h"

#define IMAP_URL_MAX (8u * 1024) /* octets of a URL */
#define IMAP_URL_TOKEN_MAX 256u	 /* hex digits of a token */

enum imap_url_access {
	URL_NO_ACCESS,
	URL_SUBMIT,    /* submit+user */
	URL_USER,      /* user+user */
	URL_AUTHUSER,  /* authuser */
	URL_ANONYMOUS, /* anonymous */
};

struct imap_url {
	bool absolute;	   /* "imap://" */
	bool rooted;	   /* or a path from "/" on */
	struct slice user; /* decoded, here and below; absent: p NULL */
	struct slice host; /* as it stands */
	struct slice mailbox;
	uint32_t uidvalidity; /* 0: absent, here and below */
	uint32_t uid;
	struct slice section;
	bool partial;
	uint64_t offset;
	uint64_t count; /* 0: to the end */
	/* RFC 4467 */
	bool expires;
	int64_t expire; /* unix seconds */
	enum imap_url_access access;
	struct slice access_user;
	struct slice rump;	/* the text up to and with the access identifier */
	struct slice mechanism; /* as it stands */
	struct slice token;	/* hex digits, as they stand */
};

/*
 * 0; -EINVAL (not a URL, or not of a message), -ERANGE (a number is too big),
 * -EMSGSIZE (too long), -ENOMEM. Slices point into text or the arena.
 */
int imap_url_parse(struct slice text, struct arena *a, struct imap_url *out);
/* Writes the URL in its canonical form. */
void imap_url_put(struct buf *b, const struct imap_url *u);
/* RFC 3339 date-time. 0, -EINVAL. */
int imap_url_date(struct slice text, int64_t *unix_out);

#endif
