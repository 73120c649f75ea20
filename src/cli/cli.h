/*
 * cli: what the subcommands share.
 *
 * Data goes to stdout (JSON with --json), messages to stderr. Exit codes: 0
 * done, 1 failed, 2 misused. Passwords are read from standard input or a
 * prompt, never from arguments.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <jansson.h>

#include "srv/config.h"

enum cli_exit { CLI_DONE = 0, CLI_FAILED = 1, CLI_MISUSED = 2 };

struct cli {
	const char *config;  /* --config, or NULL */
	const char *control; /* --control, or NULL */
	bool json;
	int argc; /* arguments behind the subcommand's name */
	char **argv;
	const char *name; /* the subcommand's, for messages */
};

struct cli_command {
	const char *name;
	int (*run)(struct cli *c);
	const char *usage; /* what follows the name */
	const char *doc;   /* one line */
};
/* All subcommands, ended by a NULL name. */
extern const struct cli_command cli_commands[];

int cli_demo(struct cli *c);
int cli_init(struct cli *c);
int cli_serve(struct cli *c);
int cli_status(struct cli *c);
int cli_check(struct cli *c);
int cli_domain(struct cli *c);
int cli_account(struct cli *c);
int cli_alias(struct cli *c);
int cli_trace(struct cli *c);
int cli_reports(struct cli *c);
int cli_trust(struct cli *c);
int cli_dns(struct cli *c);

/* "postrider: NAME: text" on stderr; returns CLI_FAILED / CLI_MISUSED. */
int cli_fail(const struct cli *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int cli_misuse(const struct cli *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/*
 * Options of a subcommand: takes "--name VALUE" or "--name=VALUE" (value) or
 * "--flag" (flag) out of c->argv, wherever it stands. Ends with a NULL name.
 */
struct cli_option {
	const char *name; /* with the dashes */
	const char **value;
	bool *flag;
};
/* CLI_DONE; CLI_MISUSED after a message (unknown option, value missing). */
int cli_options(struct cli *c, const struct cli_option *o);

/* Loads the configuration of --config. CLI_DONE or CLI_FAILED (said why). */
int cli_config(const struct cli *c, struct config **out);

/*
 * Runs one admin request: through --control, else through the configured
 * server's socket, else, when none runs, on the data directory itself.
 * CLI_DONE and *data_out (may be NULL; the caller decrefs), or CLI_FAILED
 * after a message. Takes over request; NULL (json_pack found an argument that
 * is not UTF-8) fails with that message.
 */
int cli_request(const struct cli *c, json_t *request, json_t **data_out);
/* cli_request, then prints the data (if any) as the user wants it. */
int cli_request_print(const struct cli *c, json_t *request);

/*
 * A password: the first line of standard input when from_stdin, else asked
 * twice on the terminal without echo. CLI_DONE and a malloc'ed text, or
 * CLI_FAILED after a message.
 */
int cli_password(const struct cli *c, bool from_stdin, char **out);

#endif
