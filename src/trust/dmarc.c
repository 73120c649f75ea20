/*
 * DMARC: From's domains, policy discovery, alignment, disposition (RFC 7489
 * 3.1, 6.6).
 */
#include "trust/dmarc.h"

#include <errno.h>

#include "base/err.h"
#include "mime/header.h"
#include "trust/domain.h"

/* ---- From ----------------------------------------------------------------- */

static bool known(const struct dmarc_authors *v, struct slice domain)
{
	for (size_t i = 0; i < v->n; i++) {
		if (slice_eq(v->domains[i], domain)) {
			return true;
		}
	}
	return false;
}

/* One address of From. */
static enum dmarc_from take_author(const struct mime_addr *ad, struct arena *a,
				   struct dmarc_authors *out)
{
	struct buf canon = BUF_INIT(TRUST_DOMAIN_MAX * 4);
	enum dmarc_from r = DMARC_FROM_OK;

	if (trust_domain_canon(ad->host, &canon) != 0) {
		r = DMARC_FROM_BAD;
	} else if (!known(out, buf_slice(&canon))) {
		if (out->n == DMARC_AUTHORS_MAX) {
			r = DMARC_FROM_MANY;
		} else {
			out->domains[out->n++] = arena_dup(a, buf_slice(&canon));
		}
	}
	buf_fini(&canon);
	return r;
}

static enum dmarc_from read_from(struct slice body, struct arena *a, struct dmarc_authors *out)
{
	if (slice_trim(body).n == 0) {
		return DMARC_FROM_MISSING;
	}
	for (struct mime_addr *ad = mime_addr_parse(body, a); ad; ad = ad->next) {
		enum dmarc_from r;

		if (!ad->mailbox.p || !ad->host.p) {
			continue; /* a group's start or end */
		}
		r = take_author(ad, a, out);
		if (r != DMARC_FROM_OK) {
			return r;
		}
	}
	return out->n && !arena_err(a) ? DMARC_FROM_OK : DMARC_FROM_BAD;
}

/*
 * No field, but some readers show it as From: its name is indented (in the
 * first line of a header), or its colon is on the next line.
 */
static bool looks_like_from(const struct mime_field *f)
{
	struct slice text = slice_trim(f->raw);

	return f->name.n == 0 && slice_istarts(text, S("From")) &&
	       slice_starts(slice_trim(slice_from(text, 4)), S(":"));
}

enum dmarc_from dmarc_authors(struct slice header, struct arena *a, struct dmarc_authors *out)
{
	struct slice from = { 0 };
	struct mime_field f;
	bool lookalike = false;

	out->n = 0;
	while (mime_field_next(&header, &f)) {
		if (looks_like_from(&f)) {
			lookalike = true;
		} else if (slice_ieq(f.name, S("From"))) {
			if (from.p) {
				return DMARC_FROM_REPEATED;
			}
			from = f.body;
		}
	}
	if (from.p && lookalike) {
		return DMARC_FROM_REPEATED;
	}
	return from.p ? read_from(from, a, out) : DMARC_FROM_MISSING;
}

/* ---- the record ----------------------------------------------------------- */

/* Looks among the TXT records for the one that is DMARC. 1 found; 0 none, or
 * several (6.6.3 step 5). */
static int pick_record(const struct dns_answer *ans, struct arena *a, struct slice *text,
		       struct dmarc_record *out)
{
	struct buf b = BUF_INIT(DMARC_RECORD_MAX);
	int found = 0;

	for (size_t i = 0; i < ans->n; i++) {
		struct dmarc_record r;

		buf_reset(&b);
		if (dns_rdata_txt(ans->rdata[i], &b) != 0 ||
		    dmarc_record_parse(buf_slice(&b), &r) != 0) {
			continue;
		}
		if (found++ == 0) {
			*text = arena_dup(a, buf_slice(&b));
		}
	}
	buf_fini(&b);
	/* Again, so that its slices point into the copy that stays. */
	return found == 1 && dmarc_record_parse(*text, out) == 0;
}

/* 1 and *out; 0: no record there; DNS_FAIL as -EAGAIN; -ENOMEM, -ECANCELED. */
CO_FN static int look_up(struct dns *d, struct slice domain, int64_t deadline, struct arena *a,
			 struct slice *text, struct dmarc_record *out)
{
	struct slice name = arena_printf(a, "_dmarc.%.*s", SLICE_ARG(domain));
	struct dns_answer ans;
	int r = dns_query(d, name, DNS_TXT, deadline, a, &ans);

	if (r != 0) {
		return r == -EINVAL ? 0 : r;
	}
	if (ans.result == DNS_FAIL) {
		return -EAGAIN;
	}
	return ans.result == DNS_OK ? pick_record(&ans, a, text, out) : 0;
}

/* 6.6.3: the author's domain, then its organizational one. As look_up. */
CO_FN static int discover(struct dns *d, struct slice author, int64_t deadline, struct arena *a,
			  struct dmarc_outcome *o, struct dmarc_record *rec)
{
	struct slice org = trust_domain_org(author);
	int r = look_up(d, author, deadline, a, &o->text, rec);

	if (r == 1) {
		o->domain = author;
		o->published = rec->policy;
	} else if (r == 0 && !slice_eq(org, author)) {
		r = look_up(d, org, deadline, a, &o->text, rec);
		if (r == 1) {
			o->domain = org;
			o->published = rec->sub_policy;
		}
	}
	return r;
}

/* ---- alignment ------------------------------------------------------------ */

static bool aligned(struct slice domain, struct slice author, bool strict)
{
	struct buf canon = BUF_INIT(TRUST_DOMAIN_MAX * 4);
	bool yes = false;

	if (trust_domain_canon(domain, &canon) == 0) {
		struct slice c = buf_slice(&canon);

		yes = slice_eq(c, author) ||
		      (!strict && slice_eq(trust_domain_org(c), trust_domain_org(author)));
	}
	buf_fini(&canon);
	return yes;
}

/* What SPF and DKIM say about this author. True: something that might have
 * aligned could not be found out now. */
static bool align(const struct dmarc_query *q, const struct dmarc_record *rec,
		  struct dmarc_outcome *o)
{
	bool unsure = false;

	if (q->spf && aligned(q->spf->domain, q->author, rec->strict_spf)) {
		o->spf_aligned = q->spf->result == TRUST_PASS;
		unsure = q->spf->result == TRUST_TEMPERROR;
	}
	for (size_t i = 0; q->dkim && i < q->dkim->n; i++) {
		const struct dkim_result *k = &q->dkim->results[i];

		if (!aligned(k->domain, q->author, rec->strict_dkim)) {
			continue;
		}
		o->dkim_aligned |= k->result == TRUST_PASS;
		unsure |= k->result == TRUST_TEMPERROR;
	}
	return unsure;
}

/* pct=: those it spares are treated one step milder (6.6.4). */
static void dispose(const struct dmarc_query *q, const struct dmarc_record *rec,
		    struct dmarc_outcome *o)
{
	o->disposition = o->published;
	if (q->sample >= rec->percent && o->published != DMARC_NONE) {
		o->sampled_out = true;
		o->disposition = o->published == DMARC_REJECT ? DMARC_QUARANTINE : DMARC_NONE;
	}
}

int dmarc_check(struct dns *d, const struct dmarc_query *q, int64_t deadline, struct arena *a,
		struct dmarc_outcome *out)
{
	struct dmarc_record rec;
	bool unsure;
	int r;

	*out = (struct dmarc_outcome){ .author = q->author };
	r = discover(d, q->author, deadline, a, out, &rec);
	if (r == -EAGAIN) {
		out->result = TRUST_TEMPERROR;
		out->problem = S("the DNS did not answer for the policy");
		return 0;
	}
	if (r <= 0) {
		return r;
	}
	unsure = align(q, &rec, out);
	if (out->spf_aligned || out->dkim_aligned) {
		out->result = TRUST_PASS;
	} else if (unsure) {
		out->result = TRUST_TEMPERROR;
		out->problem = S("SPF or DKIM could not be found out now");
	} else {
		out->result = TRUST_FAIL;
		dispose(q, &rec, out);
	}
	return 0;
}
