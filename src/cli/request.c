/*
 * Getting an admin request done, wherever it can be: the running server, or
 * the data directory itself; and printing what came back.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "srv/ask.h"
#include "srv/control.h"

int cli_config(const struct cli *c, struct config **out)
{
	char text[CONFIG_TEXT_MAX];

	return config_load(c->config, out, text) == 0 ? CLI_DONE : cli_fail(c, "%s", text);
}

/* No server runs: open the data directory, call, close. */
static int call_alone(const struct cli *c, const struct config *config, const json_t *request,
		      json_t **reply)
{
	struct site_opts o = { .config = config };
	const struct admin_env env = { .config = config };
	struct site site = { 0 };
	struct err e = ERR_INIT;
	char text[256];

	co_enter();
	if (site_open(&o, &site, &e) != 0) {
		return cli_fail(c, "%s", err_str(&e, text, sizeof(text)));
	}
	*reply = admin_call(&site, &env, request);
	site_close(&site);
	return *reply ? CLI_DONE : cli_fail(c, "out of memory");
}

static int call_socket(const struct cli *c, const char *path, const json_t *request, json_t **reply,
		       bool *absent)
{
	struct err e = ERR_INIT;
	char text[256];
	int r = control_call(path, request, reply, &e);

	if (r == 0) {
		return CLI_DONE;
	}
	*absent = r == -ENOENT || r == -ECONNREFUSED;
	if (*absent && !c->control) {
		return CLI_FAILED;
	}
	return *absent ? cli_fail(c, "no server listens on %s", path)
		       : cli_fail(c, "%s", err_str(&e, text, sizeof(text)));
}

static int call_configured(const struct cli *c, const json_t *request, json_t **reply)
{
	struct config *config = NULL;
	char *path = NULL;
	bool absent = false;
	int r = cli_config(c, &config);

	if (r != CLI_DONE) {
		return r;
	}
	if (asprintf(&path, "%s/control.sock", config->data) < 0) {
		config_free(&config);
		return cli_fail(c, "out of memory");
	}
	r = call_socket(c, path, request, reply, &absent);
	if (absent && ask_knows(request)) {
		*reply = ask_alone(config, request);
		r = *reply ? CLI_DONE : cli_fail(c, "out of memory");
	} else if (absent) {
		r = call_alone(c, config, request, reply);
	}
	free(path);
	config_free(&config);
	return r;
}

int cli_request(const struct cli *c, json_t *request, json_t **data_out)
{
	json_t *reply = NULL;
	bool absent = false;
	int r;

	if (!request) { /* JSON takes no other bytes */
		return cli_fail(c, "an argument or the password is not UTF-8 "
				   "text");
	}
	r = c->control ? call_socket(c, c->control, request, &reply, &absent)
		       : call_configured(c, request, &reply);

	json_decref(request);
	if (r != CLI_DONE) {
		return r;
	}
	if (!json_is_true(json_object_get(reply, "ok"))) {
		const char *why = json_string_value(json_object_get(reply, "error"));

		r = cli_fail(c, "%s", why ? why : "the server did not say why");
	} else if (data_out) {
		*data_out = json_incref(json_object_get(reply, "data"));
	}
	json_decref(reply);
	return r;
}

static void print_value(const json_t *v)
{
	switch (json_typeof(v)) {
	case JSON_STRING:
		fputs(json_string_value(v), stdout);
		break;
	case JSON_INTEGER:
		printf("%" JSON_INTEGER_FORMAT, json_integer_value(v));
		break;
	case JSON_TRUE:
		fputs("yes", stdout);
		break;
	case JSON_FALSE:
		fputs("no", stdout);
		break;
	default:
		json_dumpf(v, stdout, JSON_COMPACT | JSON_ENCODE_ANY);
		break;
	}
}

/* One row a line, members separated by tabs, in their order. */
static void print_rows(const json_t *rows)
{
	size_t i;
	json_t *row;

	json_array_foreach(rows, i, row)
	{
		const char *key;
		json_t *v;
		bool first = true;

		if (!json_is_object(row)) {
			print_value(row);
		}
		json_object_foreach(row, key, v)
		{
			fputs(first ? "" : "\t", stdout);
			print_value(v);
			first = false;
		}
		putchar('\n');
	}
}

static void print_members(json_t *o)
{
	const char *key, *sub;
	json_t *v, *w;

	json_object_foreach(o, key, v)
	{
		if (json_is_array(v)) {
			print_rows(v);
			continue;
		}
		if (!json_is_object(v)) {
			printf("%s: ", key);
			print_value(v);
			putchar('\n');
			continue;
		}
		json_object_foreach(v, sub, w)
		{
			printf("%s.%s: ", key, sub);
			print_value(w);
			putchar('\n');
		}
	}
}

int cli_request_print(const struct cli *c, json_t *request)
{
	json_t *data = NULL;
	int r = cli_request(c, request, &data);

	if (r != CLI_DONE) {
		return r;
	}
	if (c->json) {
		json_dumpf(data ? data : json_null(), stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
		putchar('\n');
	} else if (json_is_array(data)) {
		print_rows(data);
	} else if (json_is_object(data)) {
		print_members(data);
	}
	json_decref(data);
	return fflush(stdout) == 0 ? CLI_DONE : cli_fail(c, "cannot write the answer");
}
