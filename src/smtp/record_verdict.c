/*
 * What the checks of a stranger's message found, into its decision record: one
 * check for each result, in the order of verify.h, and what followed from them.
 */
#include "smtp/record.h"
#include "smtp/verify.h"

#define DETAIL_MAX 1024

static void add(struct trace_record *r, const char *method, enum trust_result result,
		struct buf *detail)
{
	trace_check(r, method, trust_result_name(result), buf_slice(detail));
	buf_reset(detail);
}

/* "name=value", after a blank if something stands before it. */
static void word(struct buf *b, const char *name, struct slice value)
{
	if (value.n) {
		buf_adds(b, b->n ? " " : "");
		buf_adds(b, name);
		buf_add(b, value);
	}
}

static void add_spf(struct trace_record *r, const char *identity, const struct spf_outcome *o,
		    struct buf *b)
{
	word(b, "", slice_cstr(identity));
	word(b, "", o->domain);
	word(b, "by ", o->mechanism);
	word(b, "- ", o->problem);
	word(b, "- ", o->explanation);
	add(r, "spf", o->result, b);
}

static void add_dkim(struct trace_record *r, const struct dkim_outcome *o, struct buf *b)
{
	if (o->n == 0) {
		add(r, "dkim", TRUST_NONE, b);
	}
	for (size_t i = 0; i < o->n; i++) {
		const struct dkim_result *k = &o->results[i];

		word(b, "d=", k->domain);
		word(b, "s=", k->selector);
		word(b, "a=", k->algorithm);
		word(b, "- ", k->result == TRUST_PASS ? S("") : k->reason);
		add(r, "dkim", k->result, b);
	}
}

static void add_dmarc(struct trace_record *r, const struct verdict *v, struct buf *b)
{
	if (v->from != DMARC_FROM_OK) {
		word(b, "", S("From cannot be read"));
		add(r, "dmarc", TRUST_PERMERROR, b);
		return;
	}
	for (size_t i = 0; i < v->authors.n; i++) {
		const struct dmarc_outcome *o = &v->dmarc[i];

		word(b, "from ", o->author);
		if (o->domain.n) {
			word(b, "p=", slice_cstr(dmarc_policy_name(o->published)));
		}
		word(b, "", o->spf_aligned ? S("spf aligned") : S(""));
		word(b, "", o->dkim_aligned ? S("dkim aligned") : S(""));
		word(b, "", o->sampled_out ? S("spared by pct") : S(""));
		word(b, "", v->arc_override ? S("spared by arc") : S(""));
		word(b, "- ", o->problem);
		add(r, "dmarc", o->result, b);
	}
}

void smtp_record_verdict(struct smtp_session *s, const struct verdict *v)
{
	struct trace_record *r = s->tx->record;
	struct buf b = BUF_INIT(DETAIL_MAX);

	if (!r) {
		return;
	}
	word(&b, "", v->iprev.name);
	add(r, "iprev", v->iprev.result, &b);
	add_spf(r, "helo", &v->spf_helo, &b);
	if (s->tx->from.n) {
		add_spf(r, "mailfrom", &v->spf_from, &b);
	}
	add_dkim(r, &v->dkim, &b);
	if (v->arc.result != TRUST_NONE) {
		word(&b, "sealed by ", v->arc.sealer);
		word(&b, "- ", v->arc.result == TRUST_PASS ? S("") : v->arc.reason);
		add(r, "arc", v->arc.result, &b);
	}
	add_dmarc(r, v, &b);
	if (v->action == VERIFY_JUNK) {
		trace_str(r, "filed", S("Junk"));
	}
	if (v->why.n) {
		trace_str(r, "why", v->why);
	}
	buf_fini(&b);
}
