/* The verb `reports.outgoing`: see admin_outgoing.h. */
#include "srv/admin_outgoing.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "trust/report_dest.h"

#define DAY_S INT64_C(86400)
#define OUTGOING_ARENA_MAX (64u << 20)

struct outgoing {
	const struct admin_env *env;
	uint32_t day;
	struct arena a;
	struct buf domain, record;
	struct dmarc_record rec;
	struct report_dmarc report;
	struct report_dest dest[DMARC_URIS_MAX];
	size_t n_dest;
	bool more;
	bool may_go;
};

static const char *hostname(const struct outgoing *o)
{
	return o->env && o->env->config && o->env->config->hostname ? o->env->config->hostname
								    : "localhost";
}

static struct slice mode(bool strict)
{
	return strict ? S("s") : S("r");
}

/* Everything of the report but its rows. */
static void fill(struct outgoing *o)
{
	struct report_dmarc *d = &o->report;
	time_t begin = (time_t)(o->day * DAY_S);
	struct tm tm = { 0 };
	char date[16] = "";

	gmtime_r(&begin, &tm);
	strftime(date, sizeof(date), "%Y%m%d", &tm);
	d->org = slice_cstr(hostname(o));
	d->email = arena_printf(&o->a, "postmaster@%s", hostname(o));
	if (o->env && o->env->config && o->env->config->admin_contact) {
		d->contact = slice_cstr(o->env->config->admin_contact);
	}
	d->domain = buf_slice(&o->domain);
	d->id = arena_printf(&o->a, "%s.%.*s@%s", date, SLICE_ARG(d->domain), hostname(o));
	d->begin = begin;
	d->end = begin + DAY_S - 1;
	d->adkim = mode(o->rec.strict_dkim);
	d->aspf = mode(o->rec.strict_spf);
	d->policy = slice_cstr(dmarc_policy_name(o->rec.policy));
	d->sub_policy = slice_cstr(dmarc_policy_name(o->rec.sub_policy));
	d->pct = arena_printf(&o->a, "%u", o->rec.percent);
	d->fo = o->rec.failure_options;
	if (o->more) {
		d->errors[d->n_errors++] = S("some rows are left out: there were too many");
	}
}

CO_FN static int collect(struct site *s, struct outgoing *o)
{
	int r = tally_rows(s->tally, o->day, buf_slice(&o->domain), &o->a, &o->report.rows,
			   &o->report.n_rows, &o->more);

	if (r == 0 && dmarc_record_parse(buf_slice(&o->record), &o->rec) != 0) {
		o->rec = (struct dmarc_record){ .percent = 100 }; /* damaged: goes nowhere */
	}
	if (r == 0) {
		fill(o);
		r = report_destinations(o->env ? o->env->dns : NULL, o->report.domain, &o->rec,
					clock_in_ms(ADMIN_OUTGOING_TIMEOUT_MS), &o->a, o->dest,
					&o->n_dest);
	}
	for (size_t i = 0; r == 0 && i < o->n_dest; i++) {
		o->may_go |= report_dest_ok(&o->dest[i]);
	}
	return r ? r : arena_err(&o->a);
}

static json_t *text(struct slice s)
{
	return json_stringn(s.n ? s.p : "", s.n);
}

/* Printable ASCII, or it is shown without what is not. */
static json_t *destinations(const struct outgoing *o)
{
	json_t *list = json_array();

	for (size_t i = 0; i < o->n_dest; i++) {
		json_t *uri = slice_is_printable(o->dest[i].uri) ? text(o->dest[i].uri)
								 : json_string("(unreadable)");

		json_array_append_new(list, json_pack("{s:o, s:s}", "uri", uri, "state",
						      report_dest_name(o->dest[i].state)));
	}
	return list;
}

static uint64_t messages(const struct outgoing *o)
{
	uint64_t sum = 0;

	for (const struct report_row *row = o->report.rows; row; row = row->next) {
		sum += row->count;
	}
	return sum;
}

/* RFC 7489 7.2.1.1. */
static json_t *file_name(const struct outgoing *o)
{
	char name[1024];

	snprintf(name, sizeof(name), "%s!%.*s!%" PRId64 "!%" PRId64 ".xml.gz", hostname(o),
		 SLICE_ARG(o->report.domain), o->report.begin, o->report.end);
	return json_string(name);
}

static int describe(const struct outgoing *o, json_t *into)
{
	struct buf xml = BUF_INIT(REPORT_XML_MAX);
	int r = o->may_go ? report_dmarc_make(&o->report, &xml) : 0;

	json_object_set_new(into, "domain", text(o->report.domain));
	json_object_set_new(into, "report_id", text(o->report.id));
	json_object_set_new(into, "begin", json_integer(o->report.begin));
	json_object_set_new(into, "end", json_integer(o->report.end));
	json_object_set_new(into, "rows", json_integer((json_int_t)o->report.n_rows));
	json_object_set_new(into, "messages", json_integer((json_int_t)messages(o)));
	json_object_set_new(into, "more", json_boolean(o->more));
	json_object_set_new(into, "file", file_name(o));
	json_object_set_new(into, "destinations", destinations(o));
	if (r == 0 && o->may_go) {
		json_object_set_new(into, "xml", text(buf_slice(&xml)));
	}
	buf_fini(&xml);
	return r;
}

int admin_outgoing(struct site *s, const struct admin_env *env, uint32_t day, struct slice after,
		   json_t **out, struct err *e)
{
	struct outgoing *o = calloc(1, sizeof(*o));
	json_t *data = json_pack("{s:b}", "on", (int)tally_wanted(s->tally));
	int r = o && data ? 0 : -ENOMEM;

	if (r == 0) {
		o->env = env;
		o->day = day;
		arena_init(&o->a, OUTGOING_ARENA_MAX);
		buf_init(&o->domain, AUTH_ADDR_MAX);
		buf_init(&o->record, TALLY_RECORD_MAX);
		tally_flush(s->tally); /* what it could not write is not shown */
		r = tally_domain(s->tally, day, after, &o->domain, &o->record);
		if (r == 0) {
			r = collect(s, o);
			r = r ? r : describe(o, data);
		}
		arena_fini(&o->a);
		buf_fini(&o->domain);
		buf_fini(&o->record);
	}
	free(o);
	if (r < 0) {
		json_decref(data);
		return err_set(e, r, "the reports cannot be made now", NULL);
	}
	*out = data;
	return 0;
}

json_t *admin_outgoing_status(struct site *s)
{
	struct tally_stats st;

	tally_stats(s->tally, &st);
	return json_pack("{s:b, s:I, s:I, s:I, s:I}", "gathered", (int)st.on, "rows",
			 (json_int_t)st.rows, "messages", (json_int_t)st.messages, "waiting",
			 (json_int_t)st.waiting, "dropped", (json_int_t)st.dropped);
}
