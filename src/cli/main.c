/*
 * postrider: one program, many verbs. Global options, then the subcommand.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/cli.h"

const struct cli_command cli_commands[] = {
	{ "demo", cli_demo, "[--dir DIR] [--ports BASE] [--json FILE] [--dns ADDRESS[@PORT]]",
	  "run a throwaway server on loopback with three accounts" },
	{ "init", cli_init, "[--data DIR] [--hostname NAME] [--certificate FILE --key FILE]",
	  "make a configuration, a data directory and a certificate" },
	{ "serve", cli_serve, "", "run the server" },
	{ "status", cli_status, "", "how the server is doing" },
	{ "check", cli_check, "", "verify everything that is stored" },
	{ "domain", cli_domain,
	  "add DOMAIN | list | remove DOMAIN | catchall DOMAIN [ADDRESS] | set DOMAIN NAME=VALUE...",
	  "the domains that are served" },
	{ "account", cli_account,
	  "add|remove|show|password ADDRESS | list | "
	  "quota ADDRESS SIZE [MESSAGES] | rename ADDRESS ADDRESS | "
	  "capabilities ADDRESS [--hide NAMES] [--show NAMES] [--clear]",
	  "the accounts" },
	{ "alias", cli_alias, "add ADDRESS TARGET... | list | remove ADDRESS",
	  "addresses that lead to others" },
	{ "trace", cli_trace, "[--since TIME] [--limit N] ID|MESSAGE-ID|ADDRESS",
	  "what became of a message, and why" },
	{ "reports", cli_reports,
	  "[--since TIME] [--domain DOMAIN] ADDRESS | FILE... | --outgoing [--day DAY]",
	  "what others report about your domains: DMARC, TLS" },
	{ "trust", cli_trust,
	  "check --ip ADDRESS [--helo NAME] [--from ADDRESS] | "
	  "verify [--records FILE] [FILE] | "
	  "sign --key FILE --domain NAME --selector NAME [FILE] | "
	  "key [--type ed25519|BITS] FILE | record FILE",
	  "what SPF and DKIM say of a sender or a message; keys and signatures of DKIM" },
	{ "dns", cli_dns, "lookup NAME [TYPE]", "what the DNS says, as the server sees it" },
	{ 0 },
};

static void print_help(FILE *to)
{
	fputs("usage: postrider [--config FILE] [--control SOCKET] [--json] "
	      "COMMAND ...\n\n",
	      to);
	for (const struct cli_command *k = cli_commands; k->name; k++) {
		fprintf(to, "  %-8s %s\n           %s %s\n", k->name, k->doc, k->name, k->usage);
	}
	fputs("\nSee postrider(1) and postrider.conf(5).\n", to);
}

__attribute__((format(printf, 2, 0))) static void say(const struct cli *c, const char *fmt,
						      va_list ap)
{
	fputs("postrider: ", stderr);
	if (c && c->name) {
		fprintf(stderr, "%s: ", c->name);
	}
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
}

int cli_fail(const struct cli *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(c, fmt, ap);
	va_end(ap);
	return CLI_FAILED;
}

int cli_misuse(const struct cli *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(c, fmt, ap);
	va_end(ap);
	return CLI_MISUSED;
}

static const struct cli_command *find_command(const char *name)
{
	for (const struct cli_command *k = cli_commands; k->name; k++) {
		if (strcmp(k->name, name) == 0) {
			return k;
		}
	}
	return NULL;
}

/* Removes argv[i..i+n). */
static void drop_args(struct cli *c, int i, int n)
{
	memmove(c->argv + i, c->argv + i + n, (size_t)(c->argc - i - n + 1) * sizeof(*c->argv));
	c->argc -= n;
}

/* Does argv[i] name this option? *value is what stands behind a '='. */
static bool names(const char *arg, const char *name, const char **value)
{
	size_t n = strlen(name);

	*value = NULL;
	if (strncmp(arg, name, n) != 0) {
		return false;
	}
	if (arg[n] == '=') {
		*value = arg + n + 1;
	}
	return arg[n] == '\0' || arg[n] == '=';
}

static int take_option(struct cli *c, int i, const struct cli_option *o)
{
	const char *value;

	for (; o->name; o++) {
		if (!names(c->argv[i], o->name, &value)) {
			continue;
		}
		if (o->flag) {
			if (value) {
				return cli_misuse(c, "%s takes no value", o->name);
			}
			*o->flag = true;
			drop_args(c, i, 1);
			return CLI_DONE;
		}
		if (!value && i + 1 < c->argc) {
			value = c->argv[i + 1];
			drop_args(c, i, 1);
		}
		if (!value || !*value) {
			return cli_misuse(c, "%s needs a value", o->name);
		}
		*o->value = value;
		drop_args(c, i, 1);
		return CLI_DONE;
	}
	return cli_misuse(c, "unknown option %s", c->argv[i]);
}

int cli_options(struct cli *c, const struct cli_option *o)
{
	int i = 0;

	while (i < c->argc) {
		int r;

		if (strcmp(c->argv[i], "--") == 0) {
			drop_args(c, i, 1);
			break;
		}
		if (strncmp(c->argv[i], "--", 2) != 0) {
			i++;
			continue;
		}
		r = take_option(c, i, o);
		if (r != CLI_DONE) {
			return r;
		}
	}
	return CLI_DONE;
}

/* Options in front of the subcommand, and --json anywhere. */
static int global_options(struct cli *c, bool *help, bool *version)
{
	const struct cli_option options[] = {
		{ "--config", &c->config, NULL }, { "--control", &c->control, NULL },
		{ "--json", NULL, &c->json },	  { "--help", NULL, help },
		{ "--version", NULL, version },	  { 0 },
	};

	while (c->argc && strncmp(c->argv[0], "-", 1) == 0) {
		int r;

		if (strcmp(c->argv[0], "-h") == 0) {
			c->argv[0] = (char *)"--help";
		}
		r = take_option(c, 0, options);
		if (r != CLI_DONE) {
			return r;
		}
	}
	return CLI_DONE;
}

/* `postrider COMMAND --help`, and --json behind a command that prints. */
static bool late_flags(struct cli *c, const struct cli_command *k)
{
	for (int i = 0; i < c->argc; i++) {
		if (strcmp(c->argv[i], "--help") == 0) {
			printf("usage: postrider %s %s\n%s\n", k->name, k->usage, k->doc);
			return true;
		}
		if (strcmp(c->argv[i], "--json") == 0 && k->run != cli_demo) {
			c->json = true;
			drop_args(c, i--, 1);
		}
	}
	return false;
}

int main(int argc, char **argv)
{
	struct cli c = { .argc = argc - 1, .argv = argv + 1 };
	const struct cli_command *k;
	bool help = false, version = false;
	int r;

	umask(077);
	if (argc < 1) {
		return CLI_MISUSED;
	}
	r = global_options(&c, &help, &version);
	if (r != CLI_DONE) {
		return r;
	}
	if (version) {
		puts("postrider " POSTRIDER_VERSION);
		return CLI_DONE;
	}
	if (help || c.argc == 0) {
		print_help(help ? stdout : stderr);
		return help ? CLI_DONE : CLI_MISUSED;
	}
	k = find_command(c.argv[0]);
	if (!k) {
		return cli_misuse(&c,
				  "unknown command %s (see postrider "
				  "--help)",
				  c.argv[0]);
	}
	c.name = k->name;
	drop_args(&c, 0, 1);
	return late_flags(&c, k) ? CLI_DONE : k->run(&c);
}
