/*
 * Paths of MAIL and RCPT, EHLO names and ESMTP parameters (RFC 5321 4.1.2,
 * 4.1.3, RFC 6531 3.3, RFC 3461 4 for xtext). Pure: slices in, slices out.
 */
#ifndef SMTP_ADDRESS_H
#define SMTP_ADDRESS_H

#include "base/buf.h"
#include "base/cur.h"
#include "base/slice.h"

/* RFC 5321 4.5.3.1.1 to 4.5.3.1.3; the path less its brackets */
#define SMTP_LOCAL_MAX 64
#define SMTP_DOMAIN_MAX 255
#define SMTP_PATH_MAX 254
#define SMTP_ROUTE_MAX 1024

enum smtp_addr {
	SMTP_ADDR_OK = 0,
	SMTP_ADDR_SYNTAX = 1,
	SMTP_ADDR_LONG = 2, /* a part is above its limit */
	SMTP_ADDR_UTF8 = 3  /* 8-bit bytes without SMTPUTF8, or not UTF-8 */
};

struct smtp_path {
	struct slice addr;   /* "local@domain" as written, without a source
				route; empty for <>; "postmaster" alone */
	struct slice local;  /* as written, with its quotes */
	struct slice domain; /* empty: none was given */
	bool literal;	     /* the domain is an address literal */
	bool utf8;	     /* it holds 8-bit bytes */
};

/*
 * Path = "<" [ A-d-l ":" ] Mailbox ">", also "<>" and "<local>", which the
 * caller judges. Takes it off the cursor; the slices point into it.
 */
enum smtp_addr smtp_path_parse(struct cur *c, bool utf8, struct smtp_path *out);

/* Is this an EHLO argument that may stand in a header: a domain or an
 * address literal? Underscores and single labels are taken, as in the wild. */
bool smtp_helo_ok(struct slice name);

struct smtp_param {
	struct slice name;
	struct slice value; /* p NULL: no "=" */
};
/*
 * Next " keyword[=value]" of an ESMTP parameter list. 1 and *out; 0 at the
 * end; -1 malformed.
 */
int smtp_param_next(struct cur *c, struct smtp_param *out);
/* xtext whose decoded bytes are printable ASCII (THREATS SL-11): adds them to
 * out (may be NULL). 0 or -EINVAL. */
int smtp_xtext_decode(struct slice s, struct buf *out);
bool smtp_xtext_ok(struct slice s);

#endif
