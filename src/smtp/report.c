/*
 * A verdict as rows of DMARC reports: see report.h. What is told is what was
 * done, and, where that is not what the domain's policy says, why (RFC 7489
 * appendix C, PolicyOverrideType).
 */
#include "smtp/report.h"

#include "smtp/internal.h"
#include "tally/tally.h"

/* What one row is made of; its lists live here. */
struct draft {
	struct report_row row;
	struct report_reason reason;
	struct report_auth dkim[TALLY_AUTHS_MAX];
	struct report_auth spf;
};

static struct slice word(const char *text)
{
	return slice_cstr(text);
}

static enum dmarc_policy done(const struct verdict *v)
{
	return v->action == VERIFY_REFUSE ? DMARC_REJECT
	       : v->action == VERIFY_JUNK ? DMARC_QUARANTINE
					  : DMARC_NONE;
}

static void explain(const struct smtp_session *s, const struct verdict *v,
		    const struct dmarc_outcome *o, struct draft *d)
{
	if (v->arc_override) {
		d->reason.type = S("trusted_forwarder");
		d->reason.comment = S("arc=pass");
	} else if (done(v) != o->disposition) {
		d->reason.type = S("local_policy");
		d->reason.comment =
			s->base.env->trust_mark_only ? S("policies are not applied here") : S("");
	} else if (o->sampled_out) {
		d->reason.type = S("sampled_out");
	} else {
		return;
	}
	d->row.reasons = &d->reason;
}

static void add_dkim(const struct verdict *v, struct draft *d)
{
	struct report_auth **end = &d->row.dkim_results;

	for (size_t i = 0; i < v->dkim.n && i < TALLY_AUTHS_MAX; i++) {
		const struct dkim_result *k = &v->dkim.results[i];

		if (k->domain.n == 0) {
			continue; /* unreadable: nothing to tell */
		}
		d->dkim[i] = (struct report_auth){
			.domain = k->domain,
			.selector = k->selector,
			.result = word(trust_result_name(k->result)),
		};
		*end = &d->dkim[i];
		end = &d->dkim[i].next;
	}
}

static void add_spf(const struct smtp_session *s, const struct verdict *v, struct draft *d)
{
	d->spf = (struct report_auth){
		.domain = v->spf_from.domain,
		.scope = s->tx->from.n ? S("mfrom") : S("helo"),
		.result = word(trust_result_name(v->spf_from.result)),
	};
	d->row.spf_results = &d->spf;
}

static struct slice domain_of(struct slice address)
{
	size_t at = slice_rchr(address, '@');

	return at == SIZE_MAX ? S("") : slice_from(address, at + 1);
}

static void report_author(struct smtp_session *s, const struct verdict *v,
			  const struct dmarc_outcome *o)
{
	struct draft d = { 0 };
	char peer[NET_ADDR_TEXT_MAX];

	d.row.source = slice_cstr(net_addr_text(&s->base.conn.peer, peer));
	d.row.disposition = word(dmarc_policy_name(done(v)));
	d.row.dkim = o->dkim_aligned ? S("pass") : S("fail");
	d.row.spf = o->spf_aligned ? S("pass") : S("fail");
	d.row.header_from = o->author;
	d.row.envelope_from = domain_of(s->tx->from);
	d.row.envelope_to = domain_of(s->tx->first);
	explain(s, v, o, &d);
	add_dkim(v, &d);
	add_spf(s, v, &d);
	tally_add(s->base.env->tally, o->domain, o->text, &d.row);
}

void smtp_report(struct smtp_session *s, const struct verdict *v)
{
	if (!tally_wanted(s->base.env->tally) || v->from != DMARC_FROM_OK) {
		return;
	}
	for (size_t i = 0; i < v->authors.n; i++) {
		const struct dmarc_outcome *o = &v->dmarc[i];
		struct dmarc_record rec;

		/* Asked to come again: it is counted when it does. */
		if ((o->result == TRUST_PASS || o->result == TRUST_FAIL) &&
		    !(v->action == VERIFY_REFUSE && v->reply[0] == '4') &&
		    dmarc_record_parse(o->text, &rec) == 0 && rec.n_rua > 0) {
			report_author(s, v, o);
		}
	}
}
