/* Reports as tables for people; see reports.h. */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "cli/reports.h"
#include "cli/text.h"

#define SOURCE_WIDTH 22
#define WORD_WIDTH 11

static void put(struct slice s)
{
	cli_put_text(stdout, s);
}

static void put_time(int64_t at)
{
	time_t t = (time_t)at;
	struct tm tm = { 0 };
	char text[32] = "?";

	/* Years that a struct tm cannot have are nobody's period. */
	if (gmtime_r(&t, &tm)) {
		strftime(text, sizeof(text), "%Y-%m-%d %H:%M", &tm);
	}
	fputs(text, stdout);
}

static void put_head(const char *kind, struct slice org, struct slice domain, int64_t begin,
		     int64_t end)
{
	printf("%s", kind);
	put(org.n ? org : S("(nobody)"));
	fputs(" about ", stdout);
	put(domain.n ? domain : S("(no domain)"));
	fputs(", ", stdout);
	put_time(begin);
	fputs(" to ", stdout);
	put_time(end);
	fputs(" UTC\n", stdout);
}

static void put_origin(const char *where, struct slice id)
{
	fputs("  from ", stdout);
	put(slice_cstr(where));
	fputs("; id ", stdout);
	put(id);
	putchar('\n');
}

/* ---- DMARC ------------------------------------------------------------------------ */

static void put_policy(const struct report_dmarc *d)
{
	const struct {
		const char *name;
		struct slice value;
	} tags[] = { { "p", d->policy },  { "sp", d->sub_policy }, { "adkim", d->adkim },
		     { "aspf", d->aspf }, { "pct", d->pct },	   { "fo", d->fo } };

	fputs("  policy", stdout);
	for (size_t i = 0; i < ARRAY_LEN(tags); i++) {
		if (tags[i].value.n) {
			printf(" %s=", tags[i].name);
			put(tags[i].value);
		}
	}
	putchar('\n');
}

static struct slice alignment(struct slice result)
{
	return slice_ieq(result, S("pass")) ? S("aligned") : S("no");
}

static void put_auths(const char *method, const struct report_auth *a)
{
	for (; a; a = a->next) {
		printf("      %s ", method);
		put(a->result);
		fputs(" for ", stdout);
		put(a->domain);
		if (a->selector.n) {
			fputs(", selector ", stdout);
			put(a->selector);
		}
		if (a->human.n) {
			fputs(": ", stdout);
			put(a->human);
		}
		putchar('\n');
	}
}

static void put_row(const struct report_row *row)
{
	fputs("  ", stdout);
	cli_put_column(stdout, row->source, SOURCE_WIDTH);
	printf("%8" PRIu64 "  ", row->count);
	cli_put_column(stdout, row->disposition, WORD_WIDTH);
	cli_put_column(stdout, alignment(row->spf), WORD_WIDTH - 3);
	cli_put_column(stdout, alignment(row->dkim), WORD_WIDTH - 3);
	put(row->header_from);
	putchar('\n');
	for (const struct report_reason *w = row->reasons; w; w = w->next) {
		fputs("      because ", stdout);
		put(w->type);
		fputs(w->comment.n ? ": " : "", stdout);
		put(w->comment);
		putchar('\n');
	}
	if (slice_ieq(row->spf, S("pass")) && slice_ieq(row->dkim, S("pass"))) {
		return; /* nothing to find out about these */
	}
	put_auths("spf", row->spf_results);
	put_auths("dkim", row->dkim_results);
}

static void put_dmarc(const char *where, const struct report_dmarc *d)
{
	put_head("DMARC: ", d->org, d->domain, d->begin, d->end);
	put_origin(where, d->id);
	put_policy(d);
	for (size_t i = 0; i < d->n_errors; i++) {
		fputs("  error ", stdout);
		put(d->errors[i]);
		putchar('\n');
	}
	printf("  %-22s %8s  %-11s %-8s %-8s %s\n", "source", "count", "disposition", "SPF", "DKIM",
	       "From");
	for (const struct report_row *row = d->rows; row; row = row->next) {
		put_row(row);
	}
	putchar('\n');
}

/* ---- TLS ----------------------------------------------------------------------------- */

static void put_failure(const struct report_tls_failure *f)
{
	printf("    %8" PRIu64 "  ", f->count);
	put(f->type);
	fputs(f->mx.n ? " at " : "", stdout);
	put(f->mx);
	fputs(f->receiving_ip.n ? " " : "", stdout);
	put(f->receiving_ip);
	fputs(f->sending_ip.n ? ", seen by " : "", stdout);
	put(f->sending_ip);
	fputs(f->reason.n ? ": " : "", stdout);
	put(f->reason);
	fputs(f->info.n ? " " : "", stdout);
	put(f->info);
	putchar('\n');
}

static void put_tls(const char *where, const struct report_tls *t)
{
	put_head("TLS: ", t->org, t->policies ? t->policies->domain : S(""), t->begin, t->end);
	put_origin(where, t->id);
	for (const struct report_tls_policy *p = t->policies; p; p = p->next) {
		fputs("  policy ", stdout);
		put(p->type);
		fputs(" of ", stdout);
		put(p->domain);
		printf(": %" PRIu64 " sessions succeeded, %" PRIu64 " failed\n", p->successes,
		       p->failures);
		for (const struct report_tls_failure *f = p->details; f; f = f->next) {
			put_failure(f);
		}
	}
	putchar('\n');
}

/* ---- all of them ------------------------------------------------------------------------ */

static bool is_wanted(const struct reports *r, const struct report *report)
{
	if (r->domain.n == 0) {
		return true;
	}
	if (report->kind == REPORT_DMARC) {
		return slice_ieq(report->dmarc.domain, r->domain);
	}
	for (const struct report_tls_policy *p = report->tls.policies; p; p = p->next) {
		if (slice_ieq(p->domain, r->domain)) {
			return true;
		}
	}
	return false;
}

/* Reporters try again, and people file copies. */
static bool is_new(struct reports *r, const struct report *p)
{
	bool dmarc = p->kind == REPORT_DMARC;
	struct buf key = BUF_INIT(4 * REPORT_TEXT_MAX);
	bool fresh;

	buf_addc(&key, dmarc ? 'D' : 'T');
	buf_add(&key, dmarc ? p->dmarc.org : p->tls.org);
	buf_addc(&key, '\n');
	buf_add(&key, dmarc ? p->dmarc.id : p->tls.id);
	buf_addc(&key, '\n');
	buf_add(&key, dmarc ? p->dmarc.domain : S(""));
	buf_addc(&key, '\n');
	buf_addu(&key, (uint64_t)(dmarc ? p->dmarc.begin : p->tls.begin));
	fresh = !json_object_get(r->seen, buf_cstr(&key));
	json_object_set_new(r->seen, buf_cstr(&key), json_true());
	buf_fini(&key);
	return fresh;
}

static uint64_t rows_of(const struct report *report)
{
	uint64_t n = 0;

	if (report->kind == REPORT_DMARC) {
		return report->dmarc.n_rows;
	}
	for (const struct report_tls_policy *p = report->tls.policies; p; p = p->next) {
		n++;
		for (const struct report_tls_failure *f = p->details; f; f = f->next) {
			n++;
		}
	}
	return n;
}

static void keep(struct reports *r, const char *where, const struct report *report)
{
	uint64_t rows = rows_of(report);

	if (json_array_size(r->list) >= REPORTS_KEPT_MAX || r->rows + rows > REPORTS_ROWS_MAX) {
		r->cut = true;
		return;
	}
	r->rows += rows;
	json_array_append_new(r->list, reports_json(where, report));
}

void reports_show(struct reports *r, const char *where, const struct report *report)
{
	if (!is_wanted(r, report)) {
		return;
	}
	if (!is_new(r, report)) {
		r->sums.twice++;
		return;
	}
	r->shown++;
	reports_count(&r->sums, report);
	if (r->c->json) {
		keep(r, where, report);
	} else if (report->kind == REPORT_DMARC) {
		put_dmarc(where, &report->dmarc);
	} else {
		put_tls(where, &report->tls);
	}
}

static void put_refused(const json_t *list)
{
	size_t i;
	json_t *v;

	json_array_foreach(list, i, v)
	{
		fputs("refused: ", stdout);
		put(slice_cstr(json_string_value(json_object_get(v, "where"))));
		printf(": %s\n", json_string_value(json_object_get(v, "why")));
	}
	fputs(json_array_size(list) ? "\n" : "", stdout);
}

void reports_finish(struct reports *r)
{
	json_t *all;

	if (!r->c->json) {
		put_refused(r->refused);
		reports_advise(&r->sums);
		return;
	}
	all = json_pack("{s:O, s:O, s:o, s:b}", "reports", r->list, "refused", r->refused, "totals",
			reports_json_sums(&r->sums), "cut", (int)r->cut);
	json_dumpf(all, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
	putchar('\n');
	json_decref(all);
}
