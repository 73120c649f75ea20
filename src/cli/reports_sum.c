/*
 * What reports say together, and what a postmaster may do about it. Numbers
 * are strangers' too: sums stay at their maximum.
 */
#include <inttypes.h>
#include <stdio.h>

#include "cli/reports.h"
#include "cli/text.h"

#define TYPES_MAX 50 /* different result types that are told apart */

static void add(uint64_t *sum, uint64_t n)
{
	*sum = n > INT64_MAX - MIN(*sum, INT64_MAX) ? INT64_MAX : *sum + n;
}

/* ---- counting ----------------------------------------------------------------------- */

static bool is_pass(struct slice s)
{
	return slice_ieq(s, S("pass"));
}

static bool any_pass(const struct report_auth *a)
{
	while (a && !is_pass(a->result)) {
		a = a->next;
	}
	return a != NULL;
}

static bool is_within(struct slice name, struct slice domain)
{
	return slice_iends(name, domain) &&
	       (name.n == domain.n || name.p[name.n - domain.n - 1] == '.');
}

/* A signature of the domain itself (or below it) that was there. */
static bool any_of(const struct report_auth *a, struct slice domain)
{
	while (a && (!is_within(a->domain, domain) || slice_ieq(a->result, S("none")))) {
		a = a->next;
	}
	return a != NULL;
}

static void count_failed(struct reports_sums *s, const struct report_dmarc *d,
			 const struct report_row *row)
{
	if (slice_ieq(row->disposition, S("none"))) {
		add(&s->delivered, row->count);
	}
	if (any_of(row->dkim_results, d->domain)) {
		add(&s->broken, row->count);
	} else if (any_pass(row->dkim_results) || any_pass(row->spf_results)) {
		add(&s->as_others, row->count);
	} else {
		add(&s->forged_or_unknown, row->count);
	}
}

static void count_dmarc(struct reports_sums *s, const struct report_dmarc *d)
{
	s->dmarc++;
	for (const struct report_row *row = d->rows; row; row = row->next) {
		add(&s->messages, row->count);
		if (slice_ieq(row->disposition, S("quarantine"))) {
			add(&s->quarantined, row->count);
		} else if (slice_ieq(row->disposition, S("reject"))) {
			add(&s->rejected, row->count);
		}
		if (is_pass(row->dkim) || is_pass(row->spf)) {
			add(&s->passed, row->count);
		} else {
			count_failed(s, d, row);
		}
	}
}

static void count_type(struct reports_sums *s, struct slice type, uint64_t n)
{
	char name[64];
	json_t *had;
	uint64_t sum;

	if (slice_copy(type, name, sizeof(name)) != 0 ||
	    (json_object_size(s->tls_types) >= TYPES_MAX && !json_object_get(s->tls_types, name))) {
		memcpy(name, "other", sizeof("other"));
	}
	had = json_object_get(s->tls_types, name);
	sum = (uint64_t)json_integer_value(had);
	add(&sum, n);
	json_object_set_new(s->tls_types, name, json_integer((json_int_t)sum));
}

static void count_tls(struct reports_sums *s, const struct report_tls *t)
{
	s->tls++;
	for (const struct report_tls_policy *p = t->policies; p; p = p->next) {
		add(&s->successes, p->successes);
		add(&s->failures, p->failures);
		for (const struct report_tls_failure *f = p->details; f; f = f->next) {
			count_type(s, f->type, f->count);
		}
	}
}

void reports_count(struct reports_sums *s, const struct report *report)
{
	if (report->kind == REPORT_DMARC) {
		count_dmarc(s, &report->dmarc);
	} else {
		count_tls(s, &report->tls);
	}
}

/* ---- advice --------------------------------------------------------------------------- */

/* RFC 8460 4.3, and what helps. */
static const struct {
	const char *type, *advice;
} tls_advice[] = {
	{ "starttls-not-supported", "a server that mail for you goes to does not offer STARTTLS, "
				    "or something on the way takes it out" },
	{ "certificate-host-mismatch", "the certificate does not name the host in the MX record: "
				       "renew it with that name" },
	{ "certificate-expired", "renew the certificate, and look why that did not happen" },
	{ "certificate-not-trusted",
	  "the certificate is self-signed, or its chain is not sent whole" },
	{ "validation-failure", "TLS failed in another way: look at the reason codes above" },
	{ "tlsa-invalid", "TLSA records do not match the certificate: publish the new one's before "
			  "it is used" },
	{ "dnssec-invalid",
	  "DNSSEC of the MX or TLSA records does not validate: look at the zone's "
	  "signatures" },
	{ "dane-required", "the sender wants DANE, and there were no usable TLSA records" },
	{ "sts-policy-fetch-error", "https://mta-sts.DOMAIN/.well-known/mta-sts.txt could not be "
				    "fetched" },
	{ "sts-policy-invalid", "the MTA-STS policy cannot be read, or names no MX of yours" },
	{ "sts-webpki-invalid", "the certificate of https://mta-sts.DOMAIN is not valid" },
};

static void advise_tls(const struct reports_sums *s)
{
	const char *type;
	json_t *n;

	printf("TLS: reports: %" PRIu64 ", sessions that succeeded: %" PRIu64
	       ", that failed: %" PRIu64 "\n",
	       s->tls, s->successes, s->failures);
	json_object_foreach(s->tls_types, type, n)
	{
		fputs("  ", stdout);
		cli_put_text(stdout, slice_cstr(type));
		printf(": %" JSON_INTEGER_FORMAT, json_integer_value(n));
		for (size_t i = 0; i < ARRAY_LEN(tls_advice); i++) {
			if (slice_ieq(slice_cstr(type), slice_cstr(tls_advice[i].type))) {
				printf("; %s", tls_advice[i].advice);
			}
		}
		putchar('\n');
	}
}

static void advise_dmarc(const struct reports_sums *s)
{
	printf("DMARC: reports: %" PRIu64 ", messages: %" PRIu64 ", passed: %" PRIu64
	       ", quarantined: %" PRIu64 ", rejected: %" PRIu64 "\n",
	       s->dmarc, s->messages, s->passed, s->quarantined, s->rejected);
	if (s->forged_or_unknown) {
		printf("  %" PRIu64 " failed and nothing about them passed: if the sources are "
		       "yours, name them in SPF and let them sign with DKIM; if not, they are "
		       "forgeries\n",
		       s->forged_or_unknown);
	}
	if (s->as_others) {
		printf("  %" PRIu64 " failed but passed for another domain: a service that sends "
		       "for you as itself (let it sign with your domain), or a forwarder\n",
		       s->as_others);
	}
	if (s->broken) {
		printf("  %" PRIu64 " failed with a signature of yours that did not hold: changed "
		       "on the way (mailing lists do that), or the key in the DNS is not the one "
		       "that signs\n",
		       s->broken);
	}
	if (s->delivered) {
		printf("  %" PRIu64 " of those that failed were delivered all the same: once none "
		       "of them is yours, p=quarantine or p=reject stops that\n",
		       s->delivered);
	} else if (s->messages && s->passed == s->messages) {
		puts("  nothing failed");
	}
}

void reports_advise(const struct reports_sums *s)
{
	if (s->dmarc) {
		advise_dmarc(s);
	}
	if (s->tls) {
		advise_tls(s);
	}
	if (s->twice) {
		printf("%" PRIu64 " more had been reported before and are not counted again\n",
		       s->twice);
	}
}
