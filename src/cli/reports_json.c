/* Reports as JSON; see reports.h. Names as the reports have them. */
#include "cli/reports.h"

static json_t *text(struct slice s)
{
	return json_stringn(s.n ? s.p : "", s.n);
}

static void set(json_t *o, const char *name, struct slice s)
{
	if (s.n) {
		json_object_set_new(o, name, text(s));
	}
}

static void set_count(json_t *o, const char *name, uint64_t n)
{
	json_object_set_new(o, name, json_integer((json_int_t)MIN(n, INT64_MAX)));
}

static json_t *auths(const struct report_auth *a)
{
	json_t *list = json_array();

	for (; a; a = a->next) {
		json_t *o = json_object();

		set(o, "domain", a->domain);
		set(o, "selector", a->selector);
		set(o, "scope", a->scope);
		set(o, "result", a->result);
		set(o, "human_result", a->human);
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *reasons(const struct report_reason *w)
{
	json_t *list = json_array();

	for (; w; w = w->next) {
		json_t *o = json_object();

		set(o, "type", w->type);
		set(o, "comment", w->comment);
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *row_json(const struct report_row *row)
{
	json_t *o = json_object();

	set(o, "source_ip", row->source);
	set_count(o, "count", row->count);
	set(o, "disposition", row->disposition);
	set(o, "dkim", row->dkim);
	set(o, "spf", row->spf);
	set(o, "header_from", row->header_from);
	set(o, "envelope_from", row->envelope_from);
	set(o, "envelope_to", row->envelope_to);
	json_object_set_new(o, "reasons", reasons(row->reasons));
	json_object_set_new(o, "dkim_results", auths(row->dkim_results));
	json_object_set_new(o, "spf_results", auths(row->spf_results));
	return o;
}

static void put_dmarc(json_t *o, const struct report_dmarc *d)
{
	json_t *list = json_array();

	set(o, "org_name", d->org);
	set(o, "email", d->email);
	set(o, "extra_contact_info", d->contact);
	set(o, "report_id", d->id);
	set(o, "domain", d->domain);
	set(o, "p", d->policy);
	set(o, "sp", d->sub_policy);
	set(o, "adkim", d->adkim);
	set(o, "aspf", d->aspf);
	set(o, "pct", d->pct);
	set(o, "fo", d->fo);
	json_object_set_new(o, "begin", json_integer(d->begin));
	json_object_set_new(o, "end", json_integer(d->end));
	for (const struct report_row *row = d->rows; row; row = row->next) {
		json_array_append_new(list, row_json(row));
	}
	json_object_set_new(o, "records", list);
	list = json_array();
	for (size_t i = 0; i < d->n_errors; i++) {
		json_array_append_new(list, text(d->errors[i]));
	}
	json_object_set_new(o, "errors", list);
}

static json_t *policy_json(const struct report_tls_policy *p)
{
	json_t *o = json_object(), *list = json_array();

	set(o, "type", p->type);
	set(o, "domain", p->domain);
	set(o, "policy", p->text);
	set(o, "mx_hosts", p->mx_hosts);
	set_count(o, "successes", p->successes);
	set_count(o, "failures", p->failures);
	for (const struct report_tls_failure *f = p->details; f; f = f->next) {
		json_t *v = json_object();

		set(v, "result_type", f->type);
		set_count(v, "count", f->count);
		set(v, "sending_ip", f->sending_ip);
		set(v, "receiving_ip", f->receiving_ip);
		set(v, "mx", f->mx);
		set(v, "mx_helo", f->mx_helo);
		set(v, "reason", f->reason);
		set(v, "information", f->info);
		json_array_append_new(list, v);
	}
	json_object_set_new(o, "details", list);
	return o;
}

static void put_tls(json_t *o, const struct report_tls *t)
{
	json_t *list = json_array();

	set(o, "org_name", t->org);
	set(o, "contact", t->contact);
	set(o, "report_id", t->id);
	json_object_set_new(o, "begin", json_integer(t->begin));
	json_object_set_new(o, "end", json_integer(t->end));
	for (const struct report_tls_policy *p = t->policies; p; p = p->next) {
		json_array_append_new(list, policy_json(p));
	}
	json_object_set_new(o, "policies", list);
}

json_t *reports_json(const char *where, const struct report *report)
{
	bool dmarc = report->kind == REPORT_DMARC;
	json_t *o = json_pack("{s:s, s:s}", "kind", dmarc ? "dmarc" : "tls", "where", where);

	if (o && dmarc) {
		put_dmarc(o, &report->dmarc);
	} else if (o) {
		put_tls(o, &report->tls);
	}
	return o;
}

json_t *reports_json_sums(const struct reports_sums *s)
{
	const struct {
		const char *name;
		uint64_t n;
	} rows[] = {
		{ "dmarc_reports", s->dmarc },
		{ "tls_reports", s->tls },
		{ "repeated", s->twice },
		{ "messages", s->messages },
		{ "passed", s->passed },
		{ "quarantined", s->quarantined },
		{ "rejected", s->rejected },
		{ "failed_unknown", s->forged_or_unknown },
		{ "failed_as_others", s->as_others },
		{ "failed_broken", s->broken },
		{ "failed_delivered", s->delivered },
		{ "tls_successes", s->successes },
		{ "tls_failures", s->failures },
	};
	json_t *o = json_object();

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		set_count(o, rows[i].name, rows[i].n);
	}
	json_object_set(o, "tls_failure_types", s->tls_types);
	return o;
}
