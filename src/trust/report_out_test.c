/* Reports of our own: the document, and where it may go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/err.h"
#include "trust/report.h"
#include "trust/report_dest.h"

static void same(struct slice have, const char *want)
{
	if (!slice_eq(have, slice_cstr(want))) {
		fail_msg("have \"%.*s\", want \"%s\"", SLICE_ARG(have), want);
	}
}

static void make(struct buf *out, struct slice hostile)
{
	struct report_reason why = { .type = S("local_policy"), .comment = hostile };
	struct report_auth dkim = { .domain = S("d.example"),
				    .selector = hostile,
				    .result = S("pass") };
	struct report_auth spf = { .domain = S("s.example"),
				   .scope = S("mfrom"),
				   .result = S("softfail") };
	struct report_row two = { .source = S("2001:db8::1"),
				  .count = 1,
				  .disposition = S("none"),
				  .spf_results = &spf };
	struct report_row one = {
		.source = S("192.0.2.1"),
		.count = UINT64_C(5000000000),
		.disposition = S("reject"),
		.dkim = S("fail"),
		.spf = S("fail"),
		.reasons = &why,
		.header_from = S("example.net"),
		.envelope_from = S("s.example"),
		.envelope_to = S("example.test"),
		.dkim_results = &dkim,
		.spf_results = &spf,
		.next = &two,
	};
	struct report_dmarc d = {
		.org = S("mx.example.test"),
		.email = S("postmaster@mx.example.test"),
		.contact = S("https://example.test/"),
		.id = S("20260101.example.net@mx.example.test"),
		.begin = 1767225600,
		.end = 1767311999,
		.errors = { S("one") },
		.n_errors = 1,
		.domain = S("example.net"),
		.adkim = S("r"),
		.aspf = S("s"),
		.policy = S("none"),
		.sub_policy = S("reject"),
		.pct = S("100"),
		.fo = S("1:d"),
		.rows = &one,
		.n_rows = 2,
	};

	assert_int_equal(report_dmarc_make(&d, out), 0);
}

/* Our own parser reads the same. */
static void test_round_trip(void **state)
{
	struct slice hostile = S("<a>&\"']]>\xe2\x80\xae\xc3\xa4");
	struct buf xml = BUF_INIT(1u << 20);
	struct report_dmarc d;
	const char *why = NULL;
	struct arena a;

	(void)state;
	arena_init(&a, 1u << 20);
	make(&xml, hostile);
	assert_false(slice_has_8bit(buf_slice(&xml)));
	assert_int_equal(report_dmarc_parse(buf_slice(&xml), &a, &d, &why), 0);
	same(d.org, "mx.example.test");
	same(d.email, "postmaster@mx.example.test");
	same(d.contact, "https://example.test/");
	same(d.id, "20260101.example.net@mx.example.test");
	assert_int_equal(d.begin, 1767225600);
	assert_int_equal(d.end, 1767311999);
	same(d.errors[0], "one");
	same(d.domain, "example.net");
	same(d.adkim, "r");
	same(d.aspf, "s");
	same(d.policy, "none");
	same(d.sub_policy, "reject");
	same(d.pct, "100");
	same(d.fo, "1:d");
	assert_int_equal(d.n_rows, 2);
	assert_int_equal(d.rows->count, UINT64_C(5000000000));
	same(d.rows->source, "192.0.2.1");
	same(d.rows->disposition, "reject");
	same(d.rows->reasons->type, "local_policy");
	assert_true(slice_eq(d.rows->reasons->comment, hostile));
	assert_true(slice_eq(d.rows->dkim_results->selector, hostile));
	same(d.rows->envelope_to, "example.test");
	same(d.rows->envelope_from, "s.example");
	same(d.rows->header_from, "example.net");
	same(d.rows->spf_results->scope, "mfrom");
	same(d.rows->next->source, "2001:db8::1");
	assert_null(d.rows->next->dkim_results);
	arena_fini(&a);
	buf_fini(&xml);
}

/* Any octets: still a document. */
static void test_any_text(void **state)
{
	char text[256];

	(void)state;
	for (unsigned i = 0; i < 256; i++) {
		struct buf xml = BUF_INIT(1u << 20);
		struct report_dmarc d;
		const char *why = NULL;
		struct arena a;

		arena_init(&a, 1u << 20);
		memset(text, (int)i, sizeof(text));
		make(&xml, slice_make(text, 3));
		if (report_dmarc_parse(buf_slice(&xml), &a, &d, &why) != 0) {
			fail_msg("octet %u: %s", i, why);
		}
		arena_fini(&a);
		buf_fini(&xml);
	}
}

/* The sequences of the schema (appendix C), first to last. */
static void test_order(void **state)
{
	static const char *const order[] = {
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<feedback>\n",
		"<version>1.0</version>",
		"<report_metadata>",
		"<org_name>",
		"<email>",
		"<extra_contact_info>",
		"<report_id>",
		"<date_range>",
		"<begin>",
		"<end>",
		"</date_range>",
		"<error>",
		"</report_metadata>",
		"<policy_published>",
		"<domain>",
		"<adkim>",
		"<aspf>",
		"<p>",
		"<sp>",
		"<pct>",
		"<fo>",
		"</policy_published>",
		"<record>",
		"<row>",
		"<source_ip>",
		"<count>",
		"<policy_evaluated>",
		"<disposition>",
		"<dkim>fail",
		"<spf>fail",
		"<reason>",
		"<type>",
		"<comment>",
		"</policy_evaluated>",
		"</row>",
		"<identifiers>",
		"<envelope_to>",
		"<envelope_from>",
		"<header_from>",
		"</identifiers>",
		"<auth_results>",
		"<dkim>",
		"<domain>",
		"<selector>",
		"<result>",
		"</dkim>",
		"<spf>",
		"<domain>",
		"<scope>",
		"<result>",
		"</auth_results>",
		"</record>",
		"<record>",
		"</feedback>",
	};
	struct buf xml = BUF_INIT(1u << 20);
	struct slice rest;

	(void)state;
	make(&xml, S("x"));
	rest = buf_slice(&xml);
	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		size_t at = slice_find(rest, slice_cstr(order[i]));

		if (at == SIZE_MAX) {
			fail_msg("%s is not where it belongs", order[i]);
		}
		rest = slice_from(rest, at + strlen(order[i]));
	}
	buf_fini(&xml);
}

/* ---- where to ----------------------------------------------------------------- */

static void txt(struct dns *d, const char *name, const char *text)
{
	assert_int_equal(dns_mem_text(d, name, DNS_TXT, text), 0);
}

static void test_destinations(void **state)
{
	static const struct {
		const char *uri;
		enum report_dest_state want;
		const char *becomes; /* NULL: the same */
	} rows[] = {
		{ "mailto:d@example.net", REPORT_DEST_OWN, NULL },
		{ "mailto:d@reports.example.net!10m", REPORT_DEST_OWN, NULL },
		{ "mailto:d@wants.example?subject=x", REPORT_DEST_WANTED, NULL },
		{ "mailto:d@other.example", REPORT_DEST_WANTED, "mailto:better@other.example" },
		{ "mailto:d@lying.example", REPORT_DEST_WANTED, NULL },
		{ "mailto:d@refuses.example", REPORT_DEST_REFUSED, NULL },
		{ "mailto:d@spf.example", REPORT_DEST_REFUSED, NULL },
		{ "mailto:d@dead.example", REPORT_DEST_UNKNOWN, NULL },
		{ "mailto:nobody", REPORT_DEST_BAD, NULL },
		{ "mailto:@example.net", REPORT_DEST_BAD, NULL },
	};
	struct dmarc_record rec = { .n_rua = ARRAY_LEN(rows) };
	struct report_dest out[DMARC_URIS_MAX];
	struct dns *d = NULL;
	struct arena a;
	size_t n = 0;

	(void)state;
	co_enter();
	assert_int_equal(dns_mem_new(&d), 0);
	txt(d, "example.net._report._dmarc.wants.example", "v=DMARC1");
	txt(d, "example.net._report._dmarc.other.example",
	    "v=DMARC1; rua=mailto:better@other.example");
	txt(d, "example.net._report._dmarc.lying.example", "v=DMARC1; rua=mailto:x@victim.example");
	txt(d, "example.net._report._dmarc.spf.example", "v=spf1 -all");
	dns_mem_fail(d, "example.net._report._dmarc.dead.example", DNS_TXT, DNS_FAIL);
	arena_init(&a, 1u << 20);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		rec.rua[i] = slice_cstr(rows[i].uri);
	}
	assert_int_equal(report_destinations(d, S("example.net"), &rec, 0, &a, out, &n), 0);
	assert_int_equal(n, ARRAY_LEN(rows));
	for (size_t i = 0; i < n; i++) {
		if (out[i].state != rows[i].want) {
			fail_msg("%s is %s", rows[i].uri, report_dest_name(out[i].state));
		}
		same(out[i].uri, rows[i].becomes ? rows[i].becomes : rows[i].uri);
	}
	arena_fini(&a);
	dns_free(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_any_text),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_destinations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
