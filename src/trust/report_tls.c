/*
 * TLS reports: the JSON of RFC 8460 4, through jansson.
 *
 * A tree of JSON costs a hundred times its text where it is made for that
 * ("[[],[],..."), so its tokens and depth are counted before it is made.
 */
#include <jansson.h>
#include <time.h>

#include "base/cur.h"
#include "base/err.h"
#include "trust/report.h"

static int fail(const char **why, int r, const char *text)
{
	*why = text;
	return r;
}

/* 0, or -EMSGSIZE: too deep, too many. Syntax is looked at later. */
static int measure(struct slice json)
{
	size_t tokens = 0, depth = 0;
	bool quoted = false;

	for (size_t i = 0; i < json.n; i++) {
		char c = json.p[i];

		if (quoted) {
			i += c == '\\';
			quoted = c != '"';
			continue;
		}
		quoted = c == '"';
		tokens += c == '{' || c == '[' || c == ',' || c == ':';
		if (c == '{' || c == '[') {
			depth++;
		} else if ((c == '}' || c == ']') && depth > 0) {
			depth--;
		}
		if (tokens > REPORT_TOKENS_MAX || depth > REPORT_DEPTH_MAX) {
			return -EMSGSIZE;
		}
	}
	return 0;
}

/* ---- members -------------------------------------------------------------------- */

static struct slice text_of(struct arena *a, const json_t *v)
{
	if (!json_is_string(v) || json_string_length(v) > REPORT_TEXT_MAX) {
		return S("");
	}
	return arena_dup(a, slice_make(json_string_value(v), json_string_length(v)));
}

static struct slice text_at(struct arena *a, const json_t *o, const char *name)
{
	return text_of(a, json_object_get(o, name));
}

/* Some write counts as text. */
static uint64_t count_at(const json_t *o, const char *name)
{
	const json_t *v = json_object_get(o, name);
	uint64_t n = 0;

	if (json_is_integer(v)) {
		return (uint64_t)MAX(json_integer_value(v), 0);
	}
	if (json_is_string(v)) {
		slice_u64(slice_make(json_string_value(v), json_string_length(v)), &n);
	}
	return MIN(n, INT64_MAX);
}

/* A text, or an array of them. */
static struct slice joined_at(struct arena *a, const json_t *o, const char *name, const char *mark)
{
	const json_t *v = json_object_get(o, name);
	struct buf b = BUF_INIT(REPORT_TEXT_MAX);
	struct slice out;

	for (size_t i = 0; json_is_array(v) && i < json_array_size(v); i++) {
		buf_adds(&b, i ? mark : "");
		buf_add(&b, text_of(a, json_array_get(v, i)));
	}
	out = json_is_array(v) ? arena_dup(a, buf_slice(&b)) : text_of(a, v);
	buf_fini(&b);
	return out;
}

/* RFC 3339 5.6, in UTC or with an offset, which is applied. 0: unreadable. */
static int64_t time_at(const json_t *o, const char *name)
{
	const json_t *v = json_object_get(o, name);
	struct cur c =
		cur_init(json_is_string(v) ? slice_make(json_string_value(v), json_string_length(v))
					   : S(""));
	struct tm t = { 0 };
	int64_t offset = 0;
	int sign = 0;

	t.tm_year = (int)cur_digits(&c, 4) - 1900;
	cur_need(&c, '-');
	t.tm_mon = (int)cur_digits(&c, 2) - 1;
	cur_need(&c, '-');
	t.tm_mday = (int)cur_digits(&c, 2);
	cur_need_lit(&c, S("T"));
	t.tm_hour = (int)cur_digits(&c, 2);
	cur_need(&c, ':');
	t.tm_min = (int)cur_digits(&c, 2);
	cur_need(&c, ':');
	t.tm_sec = (int)cur_digits(&c, 2);
	if (cur_opt(&c, '.')) {
		cur_u64(&c);
	}
	sign = cur_opt(&c, '+') ? 1 : cur_opt(&c, '-') ? -1 : 0;
	if (sign) {
		offset = cur_digits(&c, 2) * 3600;
		cur_need(&c, ':');
		offset += cur_digits(&c, 2) * 60;
	}
	return c.err ? 0 : (int64_t)timegm(&t) - sign * offset;
}

/* ---- the report ------------------------------------------------------------------ */

static struct report_tls_failure *read_failure(const json_t *o, struct arena *a)
{
	struct report_tls_failure *f = arena_new(a, struct report_tls_failure);

	if (f) {
		f->type = text_at(a, o, "result-type");
		f->sending_ip = text_at(a, o, "sending-mta-ip");
		f->mx = text_at(a, o, "receiving-mx-hostname");
		f->mx_helo = text_at(a, o, "receiving-mx-helo");
		f->receiving_ip = text_at(a, o, "receiving-ip");
		f->info = text_at(a, o, "additional-information");
		f->reason = text_at(a, o, "failure-reason-code");
		f->count = count_at(o, "failed-session-count");
	}
	return f;
}

static struct report_tls_policy *read_policy(const json_t *o, struct arena *a)
{
	struct report_tls_policy *p = arena_new(a, struct report_tls_policy);
	const json_t *policy = json_object_get(o, "policy");
	const json_t *summary = json_object_get(o, "summary");
	const json_t *details = json_object_get(o, "failure-details");
	struct report_tls_failure **end = p ? &p->details : NULL;

	if (!p) {
		return NULL;
	}
	p->type = text_at(a, policy, "policy-type");
	p->domain = text_at(a, policy, "policy-domain");
	p->text = joined_at(a, policy, "policy-string", "; ");
	p->mx_hosts = joined_at(a, policy, "mx-host", ", ");
	p->successes = count_at(summary, "total-successful-session-count");
	p->failures = count_at(summary, "total-failure-session-count");
	for (size_t i = 0; i < json_array_size(details) && i < REPORT_FAILURES_MAX; i++) {
		*end = read_failure(json_array_get(details, i), a);
		if (!*end) {
			return NULL;
		}
		end = &(*end)->next;
	}
	return p;
}

static int read_report(const json_t *o, struct arena *a, struct report_tls *out, const char **why)
{
	const json_t *range = json_object_get(o, "date-range");
	const json_t *policies = json_object_get(o, "policies");
	struct report_tls_policy **end = &out->policies;

	if (!json_is_array(policies) || !json_is_object(range)) {
		return fail(why, -EINVAL, "it is JSON, but no TLS report");
	}
	out->org = text_at(a, o, "organization-name");
	out->contact = text_at(a, o, "contact-info");
	out->id = text_at(a, o, "report-id");
	out->begin = time_at(range, "start-datetime");
	out->end = time_at(range, "end-datetime");
	if (out->end == 0) {
		return fail(why, -EINVAL, "it names no period");
	}
	if (json_array_size(policies) > REPORT_POLICIES_MAX) {
		return fail(why, -EMSGSIZE, "it has more policies than a report may have");
	}
	for (size_t i = 0; i < json_array_size(policies); i++) {
		*end = read_policy(json_array_get(policies, i), a);
		if (!*end) {
			return fail(why, arena_err(a),
				    "it needs more memory than a report may have");
		}
		end = &(*end)->next;
	}
	return 0;
}

int report_tls_parse(struct slice text, struct arena *a, struct report_tls *out, const char **why)
{
	json_t *o;
	int r;

	*out = (struct report_tls){ 0 };
	if (text.n > REPORT_JSON_MAX || measure(text) != 0) {
		return fail(why, -EMSGSIZE, "its JSON is larger or deeper than a report may be");
	}
	o = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, NULL);
	if (!o) {
		return fail(why, -EINVAL, "it is no JSON, or damaged");
	}
	r = read_report(o, a, out, why);
	json_decref(o);
	if (r == 0 && arena_err(a)) {
		r = fail(why, arena_err(a), "it needs more memory than a report may have");
	}
	return r;
}
