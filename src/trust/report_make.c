/*
 * The XML of a DMARC report of our own (RFC 7489 appendix C). Texts come from
 * strangers: everything but printable ASCII is written as a number.
 */
#include <inttypes.h>

#include "base/err.h"
#include "base/utf8.h"
#include "trust/report.h"

static void put_text(struct buf *out, struct slice s)
{
	while (s.n) {
		int32_t c = utf8_next(&s);

		if (c == '<' || c == '>' || c == '&' || c == '"' || c == '\'' || c > 0x7e) {
			/* Noncharacters cannot be in XML, not even as numbers. */
			buf_printf(out, c == 0xfffe || c == 0xffff ? "?" : "&#%" PRId32 ";", c);
		} else {
			buf_addc(out, c < ' ' ? '?' : (char)c);
		}
	}
}

static void put(struct buf *out, unsigned depth, const char *name, struct slice text)
{
	buf_printf(out, "%*s<%s>", (int)depth * 2, "", name);
	put_text(out, text);
	buf_printf(out, "</%s>\n", name);
}

/* One that need not be there. */
static void put_some(struct buf *out, unsigned depth, const char *name, struct slice text)
{
	if (text.n) {
		put(out, depth, name, text);
	}
}

static void put_number(struct buf *out, unsigned depth, const char *name, uint64_t n)
{
	buf_printf(out, "%*s<%s>%" PRIu64 "</%s>\n", (int)depth * 2, "", name, n, name);
}

static void open_element(struct buf *out, unsigned depth, const char *name)
{
	buf_printf(out, "%*s<%s>\n", (int)depth * 2, "", name);
}

static void close_element(struct buf *out, unsigned depth, const char *name)
{
	buf_printf(out, "%*s</%s>\n", (int)depth * 2, "", name);
}

static void put_metadata(struct buf *out, const struct report_dmarc *d)
{
	open_element(out, 1, "report_metadata");
	put(out, 2, "org_name", d->org);
	put(out, 2, "email", d->email);
	put_some(out, 2, "extra_contact_info", d->contact);
	put(out, 2, "report_id", d->id);
	open_element(out, 2, "date_range");
	put_number(out, 3, "begin", (uint64_t)d->begin);
	put_number(out, 3, "end", (uint64_t)d->end);
	close_element(out, 2, "date_range");
	for (size_t i = 0; i < d->n_errors; i++) {
		put(out, 2, "error", d->errors[i]);
	}
	close_element(out, 1, "report_metadata");
}

static void put_policy(struct buf *out, const struct report_dmarc *d)
{
	open_element(out, 1, "policy_published");
	put(out, 2, "domain", d->domain);
	put_some(out, 2, "adkim", d->adkim);
	put_some(out, 2, "aspf", d->aspf);
	put(out, 2, "p", d->policy);
	put(out, 2, "sp", d->sub_policy);
	put(out, 2, "pct", d->pct);
	put(out, 2, "fo", d->fo);
	close_element(out, 1, "policy_published");
}

static void put_row(struct buf *out, const struct report_row *row)
{
	open_element(out, 2, "row");
	put(out, 3, "source_ip", row->source);
	put_number(out, 3, "count", row->count);
	open_element(out, 3, "policy_evaluated");
	put(out, 4, "disposition", row->disposition);
	put(out, 4, "dkim", row->dkim);
	put(out, 4, "spf", row->spf);
	for (const struct report_reason *w = row->reasons; w; w = w->next) {
		open_element(out, 4, "reason");
		put(out, 5, "type", w->type);
		put_some(out, 5, "comment", w->comment);
		close_element(out, 4, "reason");
	}
	close_element(out, 3, "policy_evaluated");
	close_element(out, 2, "row");
}

static void put_auth(struct buf *out, const char *method, const struct report_auth *a)
{
	for (; a; a = a->next) {
		open_element(out, 3, method);
		put(out, 4, "domain", a->domain);
		put_some(out, 4, "selector", a->selector);
		put_some(out, 4, "scope", a->scope);
		put(out, 4, "result", a->result);
		put_some(out, 4, "human_result", a->human);
		close_element(out, 3, method);
	}
}

static void put_record(struct buf *out, const struct report_row *row)
{
	open_element(out, 1, "record");
	put_row(out, row);
	open_element(out, 2, "identifiers");
	put_some(out, 3, "envelope_to", row->envelope_to);
	put(out, 3, "envelope_from", row->envelope_from);
	put(out, 3, "header_from", row->header_from);
	close_element(out, 2, "identifiers");
	open_element(out, 2, "auth_results");
	put_auth(out, "dkim", row->dkim_results);
	put_auth(out, "spf", row->spf_results);
	close_element(out, 2, "auth_results");
	close_element(out, 1, "record");
}

int report_dmarc_make(const struct report_dmarc *d, struct buf *out)
{
	buf_adds(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<feedback>\n");
	put(out, 1, "version", S("1.0"));
	put_metadata(out, d);
	put_policy(out, d);
	for (const struct report_row *row = d->rows; row; row = row->next) {
		put_record(out, row);
	}
	buf_adds(out, "</feedback>\n");
	return out->err;
}
