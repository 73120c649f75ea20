/*
 * params: the parameters of MAIL and RCPT, one table row each. Pure.
 *
 * A row names the extension that defines it; a parameter of an extension that
 * this session does not offer (ext.c) is unknown. What is not acted upon when
 * all mail is delivered at once is kept with the transaction all the same.
 *
 * RFC 1870 SIZE; 6152, 3030 BODY; 6531 SMTPUTF8; 4954 AUTH; 8689 REQUIRETLS;
 * 6710 MT-PRIORITY; 2852 BY; 3461 RET, ENVID, NOTIFY, ORCPT; 4865 HOLDFOR,
 * HOLDUNTIL.
 */
#ifndef SMTP_PARAMS_H
#define SMTP_PARAMS_H

#include "base/cur.h"

/* Extensions; ext.c has a row for each, in this order, which is EHLO's. */
enum smtp_ext {
	SMTP_EXT_PIPELINING,
	SMTP_EXT_SIZE,
	SMTP_EXT_8BITMIME,
	SMTP_EXT_BINARYMIME,
	SMTP_EXT_CHUNKING,
	SMTP_EXT_ENHANCEDSTATUSCODES,
	SMTP_EXT_LIMITS,
	SMTP_EXT_MT_PRIORITY,
	SMTP_EXT_REQUIRETLS,
	SMTP_EXT_DSN,
	SMTP_EXT_DELIVERBY,
	SMTP_EXT_FUTURERELEASE,
	SMTP_EXT_STARTTLS,
	SMTP_EXT_AUTH,
	SMTP_EXT_XCLIENT,
	SMTP_EXT_HELP,
	SMTP_EXT_SMTPUTF8,
	SMTP_EXTS
};
#define SMTP_EXT_BIT(ext) (1u << (ext))

#define SMTP_ENVID_MAX 100		   /* RFC 3461 4.4, as xtext */
#define SMTP_ORCPT_MAX 500		   /* RFC 3461 4.2 */
#define SMTP_AUTH_MAX 500		   /* RFC 4954 3 */
#define SMTP_HOLD_MAX (366 * 24 * 60 * 60) /* seconds; RFC 4865 3 */

enum smtp_body { SMTP_BODY_7BIT, SMTP_BODY_8BITMIME, SMTP_BODY_BINARYMIME };
enum smtp_ret { SMTP_RET_NONE, SMTP_RET_FULL, SMTP_RET_HDRS };
enum smtp_by { SMTP_BY_NONE, SMTP_BY_NOTIFY, SMTP_BY_RETURN };
enum smtp_notify { /* RFC 3461 4.1; 0: nothing was said */
		   SMTP_NOTIFY_NEVER = 1,
		   SMTP_NOTIFY_SUCCESS = 2,
		   SMTP_NOTIFY_FAILURE = 4,
		   SMTP_NOTIFY_DELAY = 8
};

/* Absent texts have p NULL; all of them are as they came, and point there. */
struct smtp_mail_params {
	uint64_t size; /* declared; 0 not */
	enum smtp_body body;
	bool smtputf8;
	bool requiretls;
	int priority;	   /* -9 to 9 */
	struct slice auth; /* xtext of a mailbox, or "<>" */
	enum smtp_by by;
	int64_t by_time; /* seconds from now */
	bool by_trace;
	enum smtp_ret ret;
	struct slice envid; /* xtext */
	int64_t hold;	    /* until when the message is not to be delivered, unix
			       seconds; 0: at once */
	unsigned seen;	    /* a bit for each row */
};

struct smtp_rcpt_params {
	unsigned notify;    /* enum smtp_notify */
	struct slice orcpt; /* "type;xtext" */
	unsigned seen;
};

enum smtp_params {
	SMTP_PARAMS_OK = 0,
	SMTP_PARAMS_SYNTAX = 1, /* 501 */
	SMTP_PARAMS_UNKNOWN = 2 /* 555: of no extension that is offered */
};

/* What stands behind the path, up to the line's end. offered: SMTP_EXT_BITs;
 * now: unix seconds. *out is zeroed first. */
enum smtp_params smtp_mail_params_parse(struct cur *c, unsigned offered, int64_t now,
					struct smtp_mail_params *out);
/* utf8: the transaction has SMTPUTF8 (RFC 6533 3). */
enum smtp_params smtp_rcpt_params_parse(struct cur *c, unsigned offered, bool utf8,
					struct smtp_rcpt_params *out);

#endif
