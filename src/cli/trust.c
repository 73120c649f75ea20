/* trust, dns: what the server would find out about a sender, and in the DNS. */
#include <string.h>

#include "cli/trust.h"

static int misused(const struct cli *c)
{
	for (const struct cli_command *k = cli_commands; k->name; k++) {
		if (strcmp(k->name, c->name) == 0) {
			return cli_misuse(c, "usage: postrider %s %s", k->name, k->usage);
		}
	}
	return CLI_MISUSED;
}

static int trust_check(struct cli *c)
{
	const char *ip = NULL, *helo = "", *from = "";
	const struct cli_option options[] = {
		{ "--ip", &ip, NULL },
		{ "--helo", &helo, NULL },
		{ "--from", &from, NULL },
		{ 0 },
	};
	int r = cli_options(c, options);

	if (r != CLI_DONE) {
		return r;
	}
	if (c->argc != 0 || !ip || (!*helo && !*from)) {
		return misused(c);
	}
	return cli_request_print(c, json_pack("{s:s, s:s, s:s, s:s}", "verb", "trust.check", "ip",
					      ip, "helo", helo, "from", from));
}

int cli_trust(struct cli *c)
{
	static const struct {
		const char *name;
		int (*run)(struct cli *c);
	} words[] = {
		{ "check", trust_check },	{ "verify", cli_trust_verify },
		{ "sign", cli_trust_sign },	{ "key", cli_trust_key },
		{ "record", cli_trust_record },
	};

	for (size_t i = 0; c->argc && i < ARRAY_LEN(words); i++) {
		if (strcmp(c->argv[0], words[i].name) == 0) {
			c->argc--;
			c->argv++;
			return words[i].run(c);
		}
	}
	return misused(c);
}

int cli_dns(struct cli *c)
{
	const struct cli_option options[] = { { 0 } };
	int r = cli_options(c, options);

	if (r != CLI_DONE) {
		return r;
	}
	if (c->argc < 2 || c->argc > 3 || strcmp(c->argv[0], "lookup") != 0) {
		return misused(c);
	}
	return cli_request_print(c, json_pack("{s:s, s:s, s:s}", "verb", "dns.lookup", "name",
					      c->argv[1], "type", c->argc > 2 ? c->argv[2] : "A"));
}
