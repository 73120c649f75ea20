/*
 * reports: what the files of the subcommand share. A session opens messages
 * and reports from files or from a server, shows each report as it comes, and
 * sums up. Everything in a report is a stranger's.
 */
#ifndef CLI_REPORTS_H
#define CLI_REPORTS_H

#include "cli/cli.h"
#include "trust/report.h"

/* Of one JSON answer; what is more is counted, and "cut" says so. */
#define REPORTS_KEPT_MAX 20000
#define REPORTS_ROWS_MAX 1000000

struct reports_sums {
	uint64_t dmarc, tls; /* reports */
	uint64_t twice;	     /* left out: shown before */
	uint64_t messages;   /* that DMARC reports tell of */
	uint64_t passed;     /* of these: SPF or DKIM aligned */
	uint64_t quarantined, rejected;
	uint64_t forged_or_unknown;   /* failed, and nothing that passed at all */
	uint64_t as_others;	      /* failed, but passed for another domain */
	uint64_t broken;	      /* failed, with a signature of ours that did not hold */
	uint64_t delivered;	      /* failed, disposition none */
	uint64_t successes, failures; /* sessions of TLS reports */
	json_t *tls_types;	      /* result-type: sessions */
};

struct reports {
	const struct cli *c;
	struct slice domain; /* --domain; empty: all */
	struct reports_sums sums;
	json_t *seen;	 /* reports shown, by who, id, domain, period */
	json_t *list;	 /* --json */
	json_t *refused; /* [{"where", "why"}] */
	uint64_t shown;
	uint64_t rows; /* in the list */
	bool cut;      /* something had no room there */
};

/* Shows one, or keeps it for JSON, and counts it. where: which message. */
void reports_show(struct reports *r, const char *where, const struct report *report);
/* The end: totals and advice, or the JSON. */
void reports_finish(struct reports *r);

/* reports_outgoing.c: the reports to others. day: "2026-01-02", or NULL. */
int reports_outgoing(struct cli *c, const char *day);
/* reports_json.c */
json_t *reports_json(const char *where, const struct report *report);
json_t *reports_json_sums(const struct reports_sums *s);
/* reports_sum.c */
void reports_count(struct reports_sums *s, const struct report *report);
/* What follows from the sums, for a postmaster, on stdout. */
void reports_advise(const struct reports_sums *s);

#endif
