/*
 * trace: decision records, told from top to bottom.
 *
 * Everything in a record may come from a peer: nothing of it reaches the
 * terminal but letters, marks and the like. Control characters and those that
 * turn the direction of text or hide it are shown as \u{...}.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/since.h"
#include "cli/text.h"

/* ---- text from anybody -------------------------------------------------- */

static void put_text(struct slice s)
{
	cli_put_text(stdout, s);
}

static void put_json(const json_t *v)
{
	if (json_is_string(v)) {
		put_text(slice_make(json_string_value(v), json_string_length(v)));
	} else if (v) {
		json_dumpf(v, stdout, JSON_COMPACT | JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
	}
}

/* ---- a record ----------------------------------------------------------- */

/* Members that have a place of their own below. */
static const char *const placed[] = { "kind",	    "id",     "began",	 "ended",      "outcome",
				      "session",    "role",   "peer",	 "ehlo",       "helo",
				      "tls",	    "cipher", "account", "from",       "size",
				      "message_id", "reply",  "rcpts",	 "more_rcpts", "checks",
				      "limits",	    "cut" };

static void put_label(const char *label)
{
	printf("  %-9s ", label);
}

static void put_member(const json_t *r, const char *name, const char *label)
{
	const json_t *v = json_object_get(r, name);

	if (v) {
		put_label(label);
		put_json(v);
		putchar('\n');
	}
}

static void put_word(const char *before, const json_t *r, const char *name, const char *after)
{
	const json_t *v = json_object_get(r, name);

	if (v) {
		fputs(before, stdout);
		put_json(v);
		fputs(after, stdout);
	}
}

static void put_time(int64_t ms)
{
	time_t at = (time_t)(ms / 1000);
	struct tm t = { 0 };
	char text[32] = "";

	gmtime_r(&at, &t);
	strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &t);
	printf("%s.%03d UTC", text, (int)(ms % 1000));
}

static void put_head(const json_t *r)
{
	int64_t began = json_integer_value(json_object_get(r, "began"));
	int64_t ended = json_integer_value(json_object_get(r, "ended"));

	put_time(ended);
	put_word("  ", r, "outcome", "");
	put_word("  id=", r, "id", "");
	put_word(" sid=", r, "session", "");
	if (ended - began >= 1000) {
		printf(" after %" PRId64 " s", (ended - began) / 1000);
	}
	putchar('\n');
}

static void put_peer(const json_t *r)
{
	if (json_object_get(r, "peer")) {
		put_label("peer");
		put_json(json_object_get(r, "peer"));
		put_word(" on ", r, "role", "");
		put_word(", HELO ", r, "helo", "");
		put_word(", EHLO ", r, "ehlo", "");
		put_word(", ", r, "tls", "");
		put_word(" ", r, "cipher", "");
		putchar('\n');
	}
}

static void put_rcpts(const json_t *r)
{
	size_t i;
	json_t *v;

	json_array_foreach(json_object_get(r, "rcpts"), i, v)
	{
		put_label("to");
		put_word("<", v, "to", ">");
		put_word("  ", v, "reply", "\n");
	}
	if (json_object_get(r, "more_rcpts")) {
		put_label("to");
		put_word("", r, "more_rcpts", " more\n");
	}
}

static void put_message(const json_t *r)
{
	const json_t *size = json_object_get(r, "size");

	if (size || json_object_get(r, "message_id")) {
		put_label("message");
		put_word("", r, "message_id", size ? ", " : "");
		put_word("", r, "size", " octets");
		putchar('\n');
	}
}

static void put_checks(const json_t *r)
{
	size_t i;
	json_t *v;

	json_array_foreach(json_object_get(r, "checks"), i, v)
	{
		const char *method = json_string_value(json_object_get(v, "method"));

		put_label(method ? method : "check");
		put_word("", v, "result", "");
		put_word("  (", v, "detail", ")");
		putchar('\n');
	}
	json_array_foreach(json_object_get(r, "limits"), i, v)
	{
		put_label("limit");
		put_json(v);
		putchar('\n');
	}
}

static bool has_place(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(placed); i++) {
		if (strcmp(placed[i], name) == 0) {
			return true;
		}
	}
	return false;
}

static void put_others(json_t *r)
{
	const char *name;
	json_t *v;

	json_object_foreach(r, name, v)
	{
		if (!has_place(name)) {
			put_member(r, name, name);
		}
	}
}

static void put_record(json_t *r)
{
	put_head(r);
	put_peer(r);
	put_member(r, "account", "account");
	if (json_object_get(r, "from")) {
		put_label("from");
		put_word("<", r, "from", ">\n");
	}
	put_rcpts(r);
	put_message(r);
	put_others(r);
	put_checks(r);
	put_member(r, "reply", "reply");
	if (json_is_true(json_object_get(r, "cut"))) {
		put_label("");
		puts("(not all of it had room)");
	}
}

/* ---- the command -------------------------------------------------------- */

static int nothing_found(const struct cli *c, const json_t *data)
{
	long long days = json_integer_value(json_object_get(data, "days"));

	if (days == 0) {
		return cli_fail(c, "nothing is recorded: trace { days = 0 } in the configuration");
	}
	return cli_fail(c, "no record of %s; records are kept for %lld days", c->argv[0], days);
}

static int print_all(const struct cli *c, json_t *data)
{
	json_t *records = json_object_get(data, "records");
	size_t i;
	json_t *r;

	if (json_array_size(records) == 0) {
		return nothing_found(c, data);
	}
	if (c->json) {
		json_dumpf(records, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
		putchar('\n');
	} else {
		json_array_foreach(records, i, r)
		{
			fputs(i ? "\n" : "", stdout);
			put_record(r);
		}
	}
	if (json_is_true(json_object_get(data, "more"))) {
		fprintf(stderr, "there may be older ones: --limit N\n");
	}
	return fflush(stdout) == 0 ? CLI_DONE : cli_fail(c, "cannot write the answer");
}

int cli_trace(struct cli *c)
{
	const char *since = NULL, *limit = NULL;
	const struct cli_option options[] = { { "--since", &since, NULL },
					      { "--limit", &limit, NULL },
					      { 0 } };
	int64_t since_ms = 0;
	uint32_t n = 0;
	json_t *data = NULL;
	int r = cli_options(c, options);

	if (r != CLI_DONE) {
		return r;
	}
	if (c->argc != 1) {
		return cli_misuse(c, "trace takes one id, Message-ID or address");
	}
	if (since && cli_since_parse(slice_cstr(since), clock_wall_ms(), &since_ms) != 0) {
		return cli_misuse(c, "--since takes 30m, 2h, 7d or 2026-01-02T03:04 (UTC)");
	}
	if (limit && (slice_u32(slice_cstr(limit), &n) != 0 || n < 1 || n > 1000)) {
		return cli_misuse(c, "--limit takes 1 to 1000");
	}
	r = cli_request(c,
			json_pack("{s:s, s:s, s:I, s:I}", "verb", "trace", "what", c->argv[0],
				  "since", (json_int_t)since_ms, "limit", (json_int_t)n),
			&data);
	if (r == CLI_DONE) {
		r = print_all(c, data);
	}
	json_decref(data);
	return r;
}
