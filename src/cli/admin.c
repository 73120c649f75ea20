/*
 * status, check, domain, account, alias: arguments into admin requests.
 */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

static const struct cli_option no_options[] = { { 0 } };

static bool is(const struct cli *c, const char *action, int min, int max)
{
	return c->argc > 0 && strcmp(c->argv[0], action) == 0 && c->argc - 1 >= min &&
	       c->argc - 1 <= max;
}

static int misused(const struct cli *c)
{
	for (const struct cli_command *k = cli_commands; k->name; k++) {
		if (strcmp(k->name, c->name) == 0) {
			return cli_misuse(c, "usage: postrider %s %s", k->name, k->usage);
		}
	}
	return CLI_MISUSED;
}

static int simple(struct cli *c, const char *verb)
{
	int r = cli_options(c, no_options);

	if (r != CLI_DONE) {
		return r;
	}
	return c->argc ? misused(c) : cli_request_print(c, json_pack("{s:s}", "verb", verb));
}

int cli_status(struct cli *c)
{
	return simple(c, "status");
}

int cli_check(struct cli *c)
{
	json_t *data = NULL;
	int r = cli_options(c, no_options);
	size_t i;
	json_t *v;
	json_int_t n;

	if (r != CLI_DONE || c->argc) {
		return r != CLI_DONE ? r : misused(c);
	}
	r = cli_request(c, json_pack("{s:s}", "verb", "check"), &data);
	if (r != CLI_DONE) {
		return r;
	}
	n = json_integer_value(json_object_get(data, "problems"));
	if (c->json) {
		json_dumpf(data, stdout, JSON_INDENT(2));
		putchar('\n');
	} else {
		json_array_foreach(json_object_get(data, "found"), i, v)
		{
			puts(json_string_value(v));
		}
		fprintf(stderr, "%lld problems found\n", (long long)n);
	}
	json_decref(data);
	return n == 0 ? CLI_DONE : CLI_FAILED;
}

/* {"verb": verb, key: value}, printed. */
static int one(struct cli *c, const char *verb, const char *key, const char *value)
{
	return cli_request_print(c, json_pack("{s:s, s:s}", "verb", verb, key, value));
}

/* NAME=VALUE of domain set, into the request. */
static bool domain_setting(json_t *q, const char *text)
{
	struct slice value = slice_cstr(text);
	struct slice name = slice_split(&value, '=');
	bool none = slice_eq(value, S("none"));

	if (!value.p || value.n == 0) {
		return false;
	}
	if (slice_eq(name, S("catch-all"))) {
		return json_object_set_new(q, "catchall", json_string(none ? "" : value.p)) == 0;
	}
	if (slice_eq(name, S("plus"))) {
		const char *v = slice_eq(value, S("on"))    ? "+"
				: slice_eq(value, S("off")) ? ""
							    : value.p;

		return json_object_set_new(q, "plus", json_string(v)) == 0;
	}
	return false;
}

static int domain_set(struct cli *c)
{
	json_t *q = json_pack("{s:s, s:s}", "verb", "domain.set", "domain", c->argv[1]);

	for (int i = 2; q && i < c->argc; i++) {
		if (!domain_setting(q, c->argv[i])) {
			json_decref(q);
			return cli_misuse(
				c, "expected plus=on|off|CHARACTER or catch-all=ADDRESS|none");
		}
	}
	return cli_request_print(c, q);
}

int cli_domain(struct cli *c)
{
	int r = cli_options(c, no_options);

	if (r != CLI_DONE) {
		return r;
	}
	if (is(c, "list", 0, 0)) {
		return cli_request_print(c, json_pack("{s:s}", "verb", "domain.list"));
	}
	if (is(c, "add", 1, 1)) {
		return one(c, "domain.add", "domain", c->argv[1]);
	}
	if (is(c, "remove", 1, 1)) {
		return one(c, "domain.remove", "domain", c->argv[1]);
	}
	if (is(c, "set", 2, 3)) {
		return domain_set(c);
	}
	if (is(c, "catchall", 1, 2)) {
		return cli_request_print(c, json_pack("{s:s, s:s, s:s}", "verb", "domain.catchall",
						      "domain", c->argv[1], "target",
						      c->argc == 3 ? c->argv[2] : ""));
	}
	return misused(c);
}

static int with_password(struct cli *c, const char *verb, bool from_stdin)
{
	char *password = NULL;
	json_t *request;
	int r = cli_password(c, from_stdin, &password);

	if (r != CLI_DONE) {
		return r;
	}
	request = json_pack("{s:s, s:s, s:s}", "verb", verb, "address", c->argv[1], "password",
			    password);
	explicit_bzero(password, strlen(password));
	free(password);
	return cli_request(c, request, NULL);
}

/* "none" or a size; 0 is none. */
static bool quota_value(const char *text, uint64_t *out)
{
	if (strcmp(text, "none") == 0) {
		*out = 0;
		return true;
	}
	return config_parse_size(slice_cstr(text), out) == 0;
}

static int account_quota(struct cli *c)
{
	uint64_t bytes, messages = 0;

	if (!quota_value(c->argv[2], &bytes) ||
	    (c->argc == 4 && !quota_value(c->argv[3], &messages))) {
		return cli_misuse(c, "a quota is a size such as 500M or 2G, or "
				     "none");
	}
	return cli_request_print(c, c->argc == 4 ? json_pack("{s:s, s:s, s:I, s:I}", "verb",
							     "account.quota", "address", c->argv[1],
							     "quota_bytes", (json_int_t)bytes,
							     "quota_messages", (json_int_t)messages)
						 : json_pack("{s:s, s:s, s:I}", "verb",
							     "account.quota", "address", c->argv[1],
							     "quota_bytes", (json_int_t)bytes));
}

static int account_capabilities(struct cli *c, const char *hide, const char *show, bool clear)
{
	json_t *q = json_pack("{s:s, s:s, s:b}", "verb", "account.capabilities", "address",
			      c->argv[1], "clear", (int)clear);

	if (q && ((hide && json_object_set_new(q, "hide", json_string(hide)) != 0) ||
		  (show && json_object_set_new(q, "show", json_string(show)) != 0))) {
		json_decref(q);
		q = NULL;
	}
	return cli_request_print(c, q);
}

int cli_account(struct cli *c)
{
	const char *hide = NULL, *show = NULL;
	bool from_stdin = false, clear = false;
	const struct cli_option options[] = {
		{ "--password-stdin", NULL, &from_stdin },
		{ "--hide", &hide, NULL },
		{ "--show", &show, NULL },
		{ "--clear", NULL, &clear },
		{ 0 },
	};
	int r = cli_options(c, options);

	if (r != CLI_DONE) {
		return r;
	}
	if (is(c, "capabilities", 1, 1)) {
		return account_capabilities(c, hide, show, clear);
	}
	if (hide || show || clear) {
		return misused(c);
	}
	if (is(c, "list", 0, 0)) {
		return cli_request_print(c, json_pack("{s:s}", "verb", "account.list"));
	}
	if (is(c, "add", 1, 1)) {
		return with_password(c, "account.add", from_stdin);
	}
	if (is(c, "password", 1, 1)) {
		return with_password(c, "account.password", from_stdin);
	}
	if (is(c, "show", 1, 1)) {
		return one(c, "account.show", "address", c->argv[1]);
	}
	if (is(c, "remove", 1, 1)) {
		return one(c, "account.remove", "address", c->argv[1]);
	}
	if (is(c, "quota", 2, 3)) {
		return account_quota(c);
	}
	if (is(c, "rename", 2, 2)) {
		return cli_request_print(c, json_pack("{s:s, s:s, s:s}", "verb", "account.rename",
						      "address", c->argv[1], "to", c->argv[2]));
	}
	return misused(c);
}

static int alias_add(struct cli *c)
{
	json_t *targets = json_array();

	for (int i = 2; i < c->argc; i++) {
		if (json_array_append_new(targets, json_string(c->argv[i]))) {
			json_decref(targets);
			return cli_request(c, NULL, NULL);
		}
	}
	return cli_request_print(c, json_pack("{s:s, s:s, s:o}", "verb", "alias.add", "address",
					      c->argv[1], "targets", targets));
}

int cli_alias(struct cli *c)
{
	int r = cli_options(c, no_options);

	if (r != CLI_DONE) {
		return r;
	}
	if (is(c, "list", 0, 0)) {
		return cli_request_print(c, json_pack("{s:s}", "verb", "alias.list"));
	}
	if (is(c, "add", 2, 1001)) {
		return alias_add(c);
	}
	if (is(c, "remove", 1, 1)) {
		return one(c, "alias.remove", "address", c->argv[1]);
	}
	return misused(c);
}
