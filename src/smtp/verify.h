/*
 * verify: who sent a message that a stranger brought, and what follows from it.
 *
 * Asks iprev, SPF (HELO and MAIL FROM), DKIM, ARC and DMARC, in that order,
 * once the whole message is in the spool, and makes of it one verdict, one
 * Authentication-Results field (RFC 8601) and a list of findings for the log.
 * Submission and our own machine are not asked.
 */
#ifndef SMTP_VERIFY_H
#define SMTP_VERIFY_H

#include "line/session.h"
#include "trust/arc.h"
#include "trust/dmarc.h"

struct spool;

#define VERIFY_TIMEOUT_MS 30000	       /* of all questions that the sender chooses */
#define VERIFY_POLICY_TIMEOUT_MS 15000 /* of those for what From's domains say */
#define VERIFY_REPLY_MAX 512
#define VERIFY_FIELD_MAX 32768 /* whatever signatures and authors there are */

enum verify_action {
	VERIFY_ACCEPT = 0,
	VERIFY_JUNK = 1,   /* take it, into Junk */
	VERIFY_REFUSE = 2, /* with the reply */
};

struct verify_in {
	const struct proto_env *env; /* dns and the settings */
	const struct net_addr *peer;
	struct slice helo;
	struct slice from;   /* reverse-path, empty for <> */
	struct slice header; /* as received, with its empty line */
	struct spool *spool; /* the body, from this offset on */
	uint64_t body;
	int64_t timeout_ms; /* 0: VERIFY_TIMEOUT_MS; tests */
};
struct verdict {
	struct arena arena; /* of all that follows */
	struct iprev_outcome iprev;
	struct spf_outcome spf_helo;
	struct spf_outcome spf_from; /* of HELO again for <> (RFC 7208 2.4) */
	struct dkim_outcome dkim;
	struct arc_outcome arc;
	enum dmarc_from from;
	struct dmarc_authors authors;
	struct dmarc_outcome dmarc[DMARC_AUTHORS_MAX]; /* one for each author */
	bool arc_override;			       /* a trusted sealer's word spared it */
	enum verify_action action;
	char reply[VERIFY_REPLY_MAX]; /* of VERIFY_REFUSE */
	struct slice why;	      /* of JUNK and REFUSE, for the log */
};

/* Is this peer one that is asked about? */
bool verify_wanted(const struct proto_env *env, const struct net_addr *peer);
/* Suspends. 0 and *out; -ENOMEM, -ECANCELED, -errno of the spool. *out must be
 * ended with verify_fini in either case. */
CO_FN int verify_message(const struct verify_in *in, struct verdict *out, struct err *e);
void verify_fini(struct verdict *v);
/* The whole Authentication-Results field, at most VERIFY_FIELD_MAX, into out
 * (sticky error there). */
void verify_field(const struct verify_in *in, const struct verdict *v, struct buf *out);
/* The same facts in one line for logs: "iprev=pass spf=fail dkim=pass(d) ...". */
void verify_summary(const struct verdict *v, struct buf *out);

#endif
