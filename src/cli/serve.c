/* serve: the server with the configured settings, in the foreground. */
#include "cli/cli.h"
#include "srv/server.h"

int cli_serve(struct cli *c)
{
	const struct cli_option options[] = { { 0 } };
	struct server_opts o = { 0 };
	struct config *config = NULL;
	struct err e = ERR_INIT;
	char text[256];
	int r = cli_options(c, options);

	if (r != CLI_DONE) {
		return r;
	}
	if (c->argc) {
		return cli_misuse(c, "serve takes no arguments");
	}
	r = cli_config(c, &config);
	if (r != CLI_DONE) {
		return r;
	}
	o.config = config;
	if (server_run(&o, &e) != 0) {
		r = cli_fail(c, "%s", err_str(&e, text, sizeof(text)));
	}
	config_free(&config);
	return r;
}
