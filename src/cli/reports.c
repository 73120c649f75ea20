/*
 * reports: DMARC and TLS reports, from the mailboxes of an account or from
 * files. The server only hands over messages that may hold reports; unpacking
 * and parsing them is done in this process, which nobody's mail depends on.
 */
#include "cli/reports.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/utf8.h"
#include "cli/since.h"

#define WHERE_MAX 600
#define READ_STEP (64u * 1024)
#define TREE_ARENA_MAX MIME_TREE_MAX

static void refuse(struct reports *r, const char *where, const char *why)
{
	json_array_append_new(r->refused, json_pack("{s:s+, s:s}", "where", where, "", "why", why));
}

/* ---- one message, one report -------------------------------------------------- */

static void take(struct reports *r, const char *where, const struct mime_part *part,
		 struct slice data)
{
	struct report report;
	struct arena a;
	const char *why = "no memory";
	int e;

	arena_init(&a, REPORT_ARENA_MAX);
	e = part ? report_open_part(part, data, &a, &report, &why)
		 : report_open(data, &a, &report, &why);
	if (e == 0) {
		reports_show(r, where, &report);
	} else {
		refuse(r, where, why);
	}
	arena_fini(&a);
}

/* All reports in a message. How many parts said they were one. */
static size_t take_message(struct reports *r, const char *where, struct slice message)
{
	const struct mime_part *p = NULL;
	struct mime_tree t;
	struct arena a;
	size_t n = 0;

	arena_init(&a, TREE_ARENA_MAX);
	if (mime_parse(message, &a, &t) == 0) {
		while (n < REPORT_PARTS_MAX && (p = report_next_part(&t, p))) {
			n++;
			take(r, where, p, slice_sub(message, p->body_off, p->body_len));
		}
	}
	arena_fini(&a);
	return n;
}

/* ---- files ---------------------------------------------------------------------- */

/* CLI_DONE or CLI_FAILED (said why). */
static int read_file(const struct cli *c, const char *path, struct buf *out)
{
	FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
	size_t n = 1;

	if (!f) {
		return cli_fail(c, "cannot open %s: %s", path, strerror(errno));
	}
	while (n > 0 && !out->err) {
		char *p = buf_reserve(out, READ_STEP);

		n = p ? fread(p, 1, READ_STEP, f) : 0;
		buf_commit(out, n);
	}
	n = (size_t)ferror(f);
	if (f != stdin) {
		fclose(f);
	}
	if (n || out->err) {
		return cli_fail(c, n ? "cannot read %s" : "%s is larger than a report may be",
				path);
	}
	return CLI_DONE;
}

/* A header begins with a name; a report never does. */
static bool is_message(struct slice data)
{
	struct slice line = slice_sub(data, 0, MIN(data.n, 1000));

	line = slice_split(&line, '\n');
	return line.n > 0 && (ascii_isalpha((unsigned char)line.p[0]) || line.p[0] == '_') &&
	       !slice_starts(data, S("PK\3\4")) && slice_chr(line, ':') != SIZE_MAX;
}

static int from_files(struct reports *r)
{
	int result = CLI_DONE;

	for (int i = 0; i < r->c->argc; i++) {
		const char *path = r->c->argv[i];
		/* JSON has no other names. */
		const char *where =
			utf8_valid(slice_cstr(path)) ? path : "(a name that is no UTF-8)";
		struct buf data = BUF_INIT(REPORT_XML_MAX + READ_STEP);
		int e = read_file(r->c, path, &data);

		if (e != CLI_DONE) {
			result = e;
		} else if (!is_message(buf_slice(&data))) {
			take(r, where, NULL, buf_slice(&data));
		} else if (take_message(r, where, buf_slice(&data)) == 0) {
			refuse(r, where, "no part of this message says that it is a report");
		}
		buf_fini(&data);
	}
	return json_array_size(r->refused) ? CLI_FAILED : result;
}

/* ---- an account ------------------------------------------------------------------ */

struct walk {
	struct reports *r;
	struct buf message; /* so far, of one that comes in pieces */
	uint64_t looked;
	bool terminal;
};

static void take_from_server(struct walk *w, const json_t *m)
{
	const json_t *data = json_object_get(m, "data");
	const char *mailbox = json_string_value(json_object_get(m, "mailbox"));
	uint64_t size = (uint64_t)json_integer_value(json_object_get(m, "size"));
	char where[WHERE_MAX];

	snprintf(where, sizeof(where), "%s, message %" PRId64, mailbox ? mailbox : "",
		 (int64_t)json_integer_value(json_object_get(m, "uid")));
	if (json_integer_value(json_object_get(m, "offset")) == 0) {
		buf_reset(&w->message);
	}
	if (!data) {
		refuse(w->r, where, "the message is larger than one with a report may be");
		return;
	}
	base64_decode(&w->message, slice_make(json_string_value(data), json_string_length(data)));
	if (w->message.n >= size) {
		take_message(w->r, where, buf_slice(&w->message));
		buf_reset(&w->message);
	}
}

static void show_progress(const struct walk *w, bool end)
{
	if (w->terminal && end) {
		fputs("\r\x1b[K", stderr);
	} else if (w->terminal) {
		fprintf(stderr, "\r%" PRIu64 " messages looked at, %" PRIu64 " reports", w->looked,
			w->r->shown);
	}
}

/* One answer of the server. *after: where it ended; NULL: that was all. */
static int walk_on(struct walk *w, const char *address, int64_t since, json_t **after)
{
	json_t *data = NULL, *m;
	size_t i;
	int r = cli_request(w->r->c,
			    json_pack("{s:s, s:s, s:I, s:o*}", "verb", "reports.next", "address",
				      address, "since", (json_int_t)since, "after",
				      TAKE_PTR(*after)),
			    &data);

	if (r != CLI_DONE) {
		return r;
	}
	show_progress(w, true);
	json_array_foreach(json_object_get(data, "messages"), i, m)
	{
		take_from_server(w, m);
	}
	w->looked += (uint64_t)json_integer_value(json_object_get(data, "looked"));
	show_progress(w, false);
	*after = json_incref(json_object_get(data, "after"));
	json_decref(data);
	return CLI_DONE;
}

static int from_account(struct reports *r, const char *address, int64_t since)
{
	struct walk w = { .r = r, .terminal = isatty(STDERR_FILENO) && !r->c->json };
	json_t *after = NULL;
	int e;

	buf_init(&w.message, REPORT_MESSAGE_MAX + 1);
	do {
		e = walk_on(&w, address, since, &after);
	} while (e == CLI_DONE && after);
	show_progress(&w, true);
	buf_fini(&w.message);
	return e;
}

/* ---- the command ------------------------------------------------------------------- */

static bool is_account(const struct cli *c)
{
	return c->argc == 1 && strchr(c->argv[0], '@') && !strchr(c->argv[0], '/') &&
	       access(c->argv[0], F_OK) != 0;
}

static int run(struct reports *r, int64_t since)
{
	bool account = is_account(r->c);
	int e = account ? from_account(r, r->c->argv[0], since) : from_files(r);

	if (e == CLI_DONE && r->shown == 0 && json_array_size(r->refused) == 0) {
		return cli_fail(r->c, "there is no report%s",
				r->domain.n ? " for that domain" : "");
	}
	if (e == CLI_DONE || (!account && (r->shown || json_array_size(r->refused)))) {
		reports_finish(r);
	}
	return fflush(stdout) == 0 ? e : cli_fail(r->c, "cannot write the answer");
}

int cli_reports(struct cli *c)
{
	const char *since = NULL, *domain = NULL, *day = NULL;
	bool outgoing = false;
	const struct cli_option options[] = { { "--since", &since, NULL },
					      { "--domain", &domain, NULL },
					      { "--outgoing", NULL, &outgoing },
					      { "--day", &day, NULL },
					      { 0 } };
	struct reports r = { .c = c };
	int64_t since_ms = 0;
	int e = cli_options(c, options);

	if (e != CLI_DONE) {
		return e;
	}
	if (outgoing && !since && !domain) {
		return reports_outgoing(c, day);
	}
	if (outgoing || day) {
		return cli_misuse(c, "--outgoing goes with --day only, and --day with it");
	}
	if (c->argc < 1) {
		return cli_misuse(c, "reports takes the address of an account, or files");
	}
	if (since && cli_since_parse(slice_cstr(since), clock_wall_ms(), &since_ms) != 0) {
		return cli_misuse(c, "--since takes 30m, 2h, 7d or 2026-01-02 (UTC)");
	}
	if (since && !is_account(c)) {
		return cli_misuse(c, "--since is for the mailboxes of an account");
	}
	r.domain = slice_cstr(domain);
	r.seen = json_object();
	r.list = json_array();
	r.refused = json_array();
	r.sums.tls_types = json_object();
	e = run(&r, since_ms);
	json_decref(r.seen);
	json_decref(r.list);
	json_decref(r.refused);
	json_decref(r.sums.tls_types);
	return e;
}
