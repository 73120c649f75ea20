/*
 * trust: what the subcommands of `postrider trust` share.
 *
 * None but `trust check` asks the server: messages, records and keys are files
 * of the one who runs the command.
 */
#ifndef CLI_TRUST_H
#define CLI_TRUST_H

#include "base/buf.h"
#include "cli/cli.h"
#include "io/dns.h"

#define TRUST_MESSAGE_MAX (256 * 1024 * 1024)
#define TRUST_RECORDS_MAX (4 * 1024 * 1024)
#define TRUST_RECORD_TEXT_MAX 8192 /* of one record */

/* `trust verify|sign|key|record`, the word taken off c->argv. */
int cli_trust_verify(struct cli *c);
int cli_trust_sign(struct cli *c);
int cli_trust_key(struct cli *c);
int cli_trust_record(struct cli *c);

/* A file, or standard input when path is NULL or "-", whole. CLI_DONE, or
 * CLI_FAILED after a message. */
int trust_read(const struct cli *c, const char *path, size_t max, struct buf *out);
/*
 * The same for a message: line ends become CRLF, as they were on the wire.
 * *lf (may be NULL) says if there was a bare LF. *body_at: behind the empty
 * line.
 */
int trust_read_message(const struct cli *c, const char *path, struct buf *out, size_t *body_at,
		       bool *lf);

/*
 * Reads "NAME TXT TEXT" lines into d, as a zone file has them or plainer: a
 * TTL and IN may stand before TXT, the text may be quoted strings (which are
 * put together), with parentheses around them on the one line. "#" and ";"
 * begin comments at the beginning of a line. 0; the number of the line that
 * cannot be read, and *why; or -ENOMEM.
 */
int trust_records_read(struct slice text, struct dns *d, const char **why);

#endif
