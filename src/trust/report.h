/*
 * report: what other mail systems report about our domains: DMARC aggregate
 * reports (RFC 7489 7.2, appendix C: XML) and TLS reports (RFC 8460: JSON).
 *
 * They come by mail from anybody and are packed, so everything in them is
 * hostile (THREATS MI-08, AN-05): limits on what unpacks, on depth, texts and
 * numbers of rows; XML that declares a document type or entities ends there.
 * A report about a report (within a message/rfc822) is never looked at. Pure:
 * no files, no clock, no DNS; called by the command line, not by the server.
 *
 * Functions return 0; -EINVAL: it is not one, or a damaged one; -EMSGSIZE:
 * more than a limit; -ENOMEM. *why (static, for people) says more. Texts are
 * UTF-8 without NUL, as they came: escape them where they are shown.
 */
#ifndef TRUST_REPORT_H
#define TRUST_REPORT_H

#include "base/arena.h"
#include "mime/mime.h"

#define REPORT_MESSAGE_MAX (16u * 1024 * 1024) /* octets of a message that is looked at */
#define REPORT_PACKED_MAX (8u * 1024 * 1024)
#define REPORT_XML_MAX (32u * 1024 * 1024) /* octets, unpacked */
#define REPORT_JSON_MAX (4u * 1024 * 1024)
#define REPORT_RATIO 200u		 /* unpacked to packed, */
#define REPORT_RATIO_FREE (1024u * 1024) /* beyond so much */
#define REPORT_DEPTH_MAX 16		 /* nested elements, arrays, objects */
#define REPORT_TEXT_MAX 4096		 /* octets of one value */
#define REPORT_ROWS_MAX 50000		 /* records of a DMARC report */
#define REPORT_AUTHS_MAX 20		 /* results of DKIM, or of SPF, of one record */
#define REPORT_REASONS_MAX 10
#define REPORT_ERRORS_MAX 10
#define REPORT_POLICIES_MAX 1000     /* of a TLS report */
#define REPORT_FAILURES_MAX 5000     /* of one of them */
#define REPORT_TOKENS_MAX 500000     /* of JSON: what its tree costs */
#define REPORT_PARTS_MAX 20	     /* of one message that may be reports */
#define REPORT_ARENA_MAX (64u << 20) /* enough for what the limits allow, as a rule */

/* ---- DMARC ---------------------------------------------------------------- */

struct report_auth {
	struct slice domain, selector, scope, result, human;
	struct report_auth *next;
};
struct report_reason {
	struct slice type, comment;
	struct report_reason *next;
};
struct report_row {
	struct slice source; /* address, as written */
	uint64_t count;
	struct slice disposition, dkim, spf; /* policy_evaluated */
	struct report_reason *reasons;
	struct slice header_from, envelope_from, envelope_to;
	struct report_auth *dkim_results, *spf_results;
	struct report_row *next;
};
struct report_dmarc {
	struct slice org, email, contact, id;
	int64_t begin, end; /* unix seconds */
	struct slice errors[REPORT_ERRORS_MAX];
	size_t n_errors;
	struct slice domain, adkim, aspf, policy, sub_policy, pct, fo;
	struct report_row *rows;
	size_t n_rows;
};
/* Elements that are not in the schema are skipped, missing ones are empty;
 * a report has a domain and a period. */
int report_dmarc_parse(struct slice xml, struct arena *a, struct report_dmarc *out,
		       const char **why);

/*
 * The document of such a report (RFC 7489 appendix C, elements in the order of
 * its schema), into out: ASCII, whatever the texts hold; what XML cannot have
 * becomes "?". What report_dmarc_parse reads of it is what went in. 0, or
 * out->err.
 */
int report_dmarc_make(const struct report_dmarc *d, struct buf *out);

/* ---- TLS ------------------------------------------------------------------ */

struct report_tls_failure {
	struct slice type, sending_ip, mx, mx_helo, receiving_ip, info, reason;
	uint64_t count;
	struct report_tls_failure *next;
};
struct report_tls_policy {
	struct slice type, domain;
	struct slice text;     /* policy-string, its lines joined by "; " */
	struct slice mx_hosts; /* joined by ", " */
	uint64_t successes, failures;
	struct report_tls_failure *details;
	struct report_tls_policy *next;
};
struct report_tls {
	struct slice org, contact, id;
	int64_t begin, end; /* unix seconds */
	struct report_tls_policy *policies;
};
int report_tls_parse(struct slice json, struct arena *a, struct report_tls *out, const char **why);

/* ---- where they are --------------------------------------------------------- */

enum report_kind { REPORT_DMARC = 1, REPORT_TLS = 2 };
struct report {
	enum report_kind kind;
	struct report_dmarc dmarc;
	struct report_tls tls;
};
/*
 * The next part of a message, behind `at` (NULL: the first), that says it is a
 * report: by its type (application/tlsrpt+...), by a file name as RFC 7489
 * 7.2.1.1 and RFC 8460 5.1 want it, or by the Subject and a type that a
 * report may have. NULL: none.
 */
const struct mime_part *report_next_part(const struct mime_tree *t, const struct mime_part *at);
/* The report in the body of such a part: raw, as it stands in the message. */
int report_open_part(const struct mime_part *p, struct slice raw, struct arena *a,
		     struct report *out, const char **why);
/* A report by itself: XML, JSON, or one of them in gzip or zip. */
int report_open(struct slice data, struct arena *a, struct report *out, const char **why);

/* report_unpack.c: what gzip or a zip of one file holds, into out, whose max
 * is a limit too. 1: it is neither. */
int report_unpack(struct slice data, struct buf *out, const char **why);

#endif
