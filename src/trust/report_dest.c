/* Where reports may go: see report_dest.h. */
#include "trust/report_dest.h"

#include "base/err.h"
#include "trust/domain.h"

#define URI_MAX 512

const char *report_dest_name(enum report_dest_state s)
{
	static const char *const names[] = { "own", "wanted", "refused", "unknown", "bad" };

	return names[s];
}

/* The canonical domain of "mailto:local@domain[!size][?...]". False: none. */
static bool host_of(struct slice uri, struct buf *out)
{
	struct slice rest = slice_from(uri, S("mailto:").n);
	size_t at;

	rest = slice_split(&rest, '?');
	rest = slice_split(&rest, '!');
	at = slice_rchr(rest, '@');
	if (uri.n > URI_MAX || !slice_is_printable(uri) || at == SIZE_MAX || at == 0 ||
	    slice_chr(rest, ' ') != SIZE_MAX) {
		return false;
	}
	return trust_domain_canon(slice_from(rest, at + 1), out) == 0;
}

/* 7.1 step 8: theirs may name another address, at the same host. */
static void take_theirs(const struct dmarc_record *theirs, struct slice host, struct arena *a,
			struct report_dest *out)
{
	struct buf b = BUF_INIT(TRUST_DOMAIN_MAX * 4);

	if (theirs->n_rua && host_of(theirs->rua[0], &b) && slice_eq(buf_slice(&b), host)) {
		out->uri = arena_dup(a, theirs->rua[0]);
	}
	buf_fini(&b);
}

static void judge(const struct dns_answer *ans, struct slice host, struct arena *a,
		  struct report_dest *out)
{
	struct buf b = BUF_INIT(DMARC_RECORD_MAX);

	out->state = ans->result == DNS_FAIL ? REPORT_DEST_UNKNOWN : REPORT_DEST_REFUSED;
	for (size_t i = 0; ans->result == DNS_OK && i < ans->n; i++) {
		struct dmarc_record theirs;
		struct slice text, version;

		buf_reset(&b);
		if (dns_rdata_txt(ans->rdata[i], &b) != 0) {
			continue;
		}
		text = buf_slice(&b);
		version = slice_trim(slice_split(&text, ';'));
		/* "v=DMARC1" alone is enough, though it is no record. */
		if (!slice_starts(version, S("v")) || !slice_ends(version, S("DMARC1"))) {
			continue;
		}
		out->state = REPORT_DEST_WANTED;
		if (dmarc_record_parse(buf_slice(&b), &theirs) == 0) {
			take_theirs(&theirs, host, a, out);
		}
		break;
	}
	buf_fini(&b);
}

CO_FN static int ask(struct dns *d, struct slice domain, struct slice host, int64_t deadline,
		     struct arena *a, struct report_dest *out)
{
	struct slice name =
		arena_printf(a, "%.*s._report._dmarc.%.*s", SLICE_ARG(domain), SLICE_ARG(host));
	struct dns_answer ans;
	int r = dns_query(d, name, DNS_TXT, deadline, a, &ans);

	if (r == -EINVAL) {
		out->state = REPORT_DEST_REFUSED; /* there can be no such name */
		return 0;
	}
	if (r == 0) {
		judge(&ans, host, a, out);
	}
	return r;
}

int report_destinations(struct dns *d, struct slice domain, const struct dmarc_record *rec,
			int64_t deadline, struct arena *a, struct report_dest *out, size_t *n_out)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < rec->n_rua; i++) {
		struct buf host = BUF_INIT(TRUST_DOMAIN_MAX * 4);

		out[i] = (struct report_dest){ arena_dup(a, rec->rua[i]), REPORT_DEST_BAD };
		if (!host_of(rec->rua[i], &host)) {
			buf_fini(&host);
			continue;
		}
		if (slice_eq(trust_domain_org(buf_slice(&host)), trust_domain_org(domain))) {
			out[i].state = REPORT_DEST_OWN;
		} else {
			r = ask(d, domain, buf_slice(&host), deadline, a, &out[i]);
		}
		buf_fini(&host);
	}
	*n_out = rec->n_rua;
	return r;
}
