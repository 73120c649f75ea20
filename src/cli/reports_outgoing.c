/* reports --outgoing: the DMARC reports to others, as they would be sent. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cli/reports.h"
#include "cli/since.h"
#include "cli/text.h"

#define DAY_MS INT64_C(86400000)

static void put(const char *before, const json_t *o, const char *name)
{
	const json_t *v = json_object_get(o, name);

	fputs(before, stdout);
	cli_put_text(stdout, slice_make(json_string_value(v), json_string_length(v)));
}

static void put_report(const json_t *o)
{
	const json_t *xml = json_object_get(o, "xml");
	size_t i;
	json_t *d;

	put("", o, "domain");
	printf(": %" JSON_INTEGER_FORMAT " messages in %" JSON_INTEGER_FORMAT " rows",
	       json_integer_value(json_object_get(o, "messages")),
	       json_integer_value(json_object_get(o, "rows")));
	put(", as ", o, "file");
	putchar('\n');
	json_array_foreach(json_object_get(o, "destinations"), i, d)
	{
		put("  to ", d, "uri");
		put(": ", d, "state");
		putchar('\n');
	}
	fputs(xml ? json_string_value(xml) : "  it goes nowhere\n", stdout);
	putchar('\n');
}

/* One report more. CLI_DONE, with *more false when that was the last. */
static int next(const struct cli *c, int64_t day, json_t **list, json_t **last, bool *on)
{
	const char *after = json_string_value(json_object_get(*last, "domain"));
	json_t *data = NULL;
	int r = cli_request(c,
			    json_pack("{s:s, s:I, s:s}", "verb", "reports.outgoing", "day",
				      (json_int_t)day, "after", after ? after : ""),
			    &data);

	if (r != CLI_DONE) {
		return r;
	}
	*on = json_is_true(json_object_get(data, "on"));
	json_decref(*last);
	*last = NULL;
	if (!json_object_get(data, "domain")) {
		json_decref(data);
		return CLI_DONE;
	}
	json_object_del(data, "on");
	if (c->json) {
		json_array_append(*list, data);
	} else {
		put_report(data);
	}
	*last = data;
	return CLI_DONE;
}

static int show(const struct cli *c, int64_t day)
{
	json_t *list = json_array(), *last = NULL;
	size_t n = 0;
	bool on = false;
	int r;

	do {
		r = next(c, day, &list, &last, &on);
		n += last != NULL;
	} while (r == CLI_DONE && last);
	json_decref(last);
	if (r == CLI_DONE && c->json) {
		json_dumpf(list, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
		putchar('\n');
	}
	json_decref(list);
	if (r == CLI_DONE && n == 0 && !c->json) {
		return cli_fail(c, on ? "nothing was gathered on that day"
				      : "nothing is gathered: trust { dmarc_reports = true } in "
					"the configuration");
	}
	return r;
}

int reports_outgoing(struct cli *c, const char *day)
{
	int64_t ms = clock_wall_ms() - DAY_MS; /* the day that is over */

	if (c->argc > 0) {
		return cli_misuse(c, "--outgoing takes no address and no file");
	}
	/* A day only: neither "2h" nor a time of the day. */
	if (day && (strlen(day) != sizeof("2026-01-02") - 1 ||
		    cli_since_parse(slice_cstr(day), clock_wall_ms(), &ms) != 0 || ms < 0)) {
		return cli_misuse(c, "--day takes 2026-01-02 (UTC)");
	}
	return show(c, ms / DAY_MS);
}
