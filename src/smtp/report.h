/*
 * report: what a verdict means for the DMARC reports about the message's
 * authors (RFC 7489 7.2): a row in the tally (tally/tally.h) for each author
 * whose domain wants them.
 */
#ifndef SMTP_REPORT_H
#define SMTP_REPORT_H

#include "smtp/verify.h"

struct smtp_session;

/* deliver.c: s->tx was judged. Never suspends; nothing where nothing is gathered. */
void smtp_report(struct smtp_session *s, const struct verdict *v);

#endif
