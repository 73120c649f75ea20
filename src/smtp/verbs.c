/*
 * The table of SMTP commands (RFC 5321 4.1.1, 3030, 3207, 4954): where each is
 * allowed, what must end a pipelined group (RFC 2920 3.1), how long its line
 * may be. session.c dispatches from it, HELP prints it.
 */
#include "base/err.h"
#include "smtp/internal.h"

#define ANY (SMTP_START | SMTP_READY | SMTP_MAIL | SMTP_RCPT | SMTP_BDAT)
#define GREETED (SMTP_READY | SMTP_MAIL | SMTP_RCPT)

static const struct verb table[] = {
	{ S("EHLO"), ANY, VERB_LAST | SMTP_NOT_LMTP, 0, smtp_ehlo, "EHLO name" },
	{ S("HELO"), ANY, VERB_LAST | SMTP_NOT_LMTP, 0, smtp_helo, "HELO name" },
	{ S("LHLO"), ANY, VERB_LAST | SMTP_ONLY_LMTP, 0, smtp_ehlo, "LHLO name" },
	{ S("STARTTLS"), GREETED, VERB_LAST, 0, smtp_starttls, "STARTTLS" },
	{ S("XCLIENT"), SMTP_START | SMTP_READY, VERB_LAST, 0, smtp_xclient,
	  "XCLIENT attribute=value ..." },
	{ S("AUTH"), SMTP_READY, VERB_LAST | SMTP_NOT_LMTP, SMTP_SASL_MAX, smtp_auth,
	  "AUTH mechanism [initial-response]" },
	{ S("MAIL"), SMTP_READY, 0, SMTP_PARAM_LINE_MAX, smtp_mail,
	  "MAIL FROM:<address> [parameter ...]" },
	{ S("RCPT"), SMTP_MAIL | SMTP_RCPT, 0, SMTP_PARAM_LINE_MAX, smtp_rcpt,
	  "RCPT TO:<address>" },
	{ S("DATA"), SMTP_MAIL | SMTP_RCPT, VERB_LAST, 0, smtp_data, "DATA" },
	/* Wherever it comes: its chunk must be taken off the line. */
	{ S("BDAT"), ANY, 0, 0, smtp_bdat, "BDAT size [LAST]" },
	{ S("RSET"), ANY, 0, 0, smtp_rset, "RSET" },
	{ S("NOOP"), ANY, VERB_LAST, 0, smtp_noop, "NOOP [text]" },
	{ S("VRFY"), ANY, VERB_LAST, 0, smtp_vrfy, "VRFY address" },
	{ S("EXPN"), ANY, VERB_LAST, 0, smtp_expn, "EXPN list" },
	{ S("HELP"), ANY, VERB_LAST, 0, smtp_help, "HELP [command]" },
	{ S("QUIT"), ANY, VERB_LAST, 0, smtp_quit, "QUIT" },
};

const struct verb *smtp_verbs(size_t *n_out)
{
	*n_out = ARRAY_LEN(table);
	return table;
}
