/* Reports that come in: what is read of them, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <zlib.h>

#include "base/err.h"
#include "trust/report.h"

static const char *corpus; /* test/corpus */

struct bench {
	struct arena a;
	struct buf file;
	const char *why;
};

static int setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	arena_init(&b->a, REPORT_ARENA_MAX);
	buf_init(&b->file, REPORT_MESSAGE_MAX);
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct bench *b = *state;

	arena_fini(&b->a);
	buf_fini(&b->file);
	free(b);
	return 0;
}

static struct slice load(struct bench *b, const char *name)
{
	char path[512], chunk[2048];
	FILE *f;
	size_t n;

	snprintf(path, sizeof(path), "%s/trust_report_%s", corpus, name);
	f = fopen(path, "r");
	assert_non_null(f);
	buf_reset(&b->file);
	while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0) {
		buf_add(&b->file, slice_make(chunk, n));
	}
	fclose(f);
	return buf_slice(&b->file);
}

static void same(struct slice have, const char *want)
{
	if (!slice_eq(have, slice_cstr(want))) {
		fail_msg("have \"%.*s\", want \"%s\"", SLICE_ARG(have), want);
	}
}

/* ---- DMARC ------------------------------------------------------------------ */

static void test_dmarc(void **state)
{
	struct bench *b = *state;
	struct report_dmarc r;

	assert_int_equal(report_dmarc_parse(load(b, "dmarc/google.xml"), &b->a, &r, &b->why), 0);
	same(r.org, "big.example");
	same(r.id, "6114528870935612345");
	same(r.domain, "example.test");
	same(r.policy, "quarantine");
	same(r.sub_policy, "reject");
	assert_int_equal(r.begin, 1767225600);
	assert_int_equal(r.end, 1767311999);
	assert_int_equal(r.n_rows, 2);
	same(r.rows->source, "192.0.2.25");
	assert_int_equal(r.rows->count, 42);
	same(r.rows->dkim, "pass");
	same(r.rows->header_from, "example.test");
	same(r.rows->dkim_results->selector, "s1");
	assert_null(r.rows->dkim_results->next);
	same(r.rows->next->disposition, "quarantine");
	same(r.rows->next->spf_results->domain, "elsewhere.example");
	same(r.rows->next->spf_results->result, "softfail");
	assert_null(r.rows->next->dkim_results);
}

static void test_dmarc_more(void **state)
{
	struct bench *b = *state;
	struct report_dmarc r;

	assert_int_equal(report_dmarc_parse(load(b, "dmarc/microsoft.xml"), &b->a, &r, &b->why), 0);
	same(r.adkim, "s");
	same(r.rows->reasons->type, "mailing_list");
	same(r.rows->reasons->comment, "arc=pass <list>");
	same(r.rows->reasons->next->type, "local_policy");
	same(r.rows->envelope_to, "window.example");
	same(r.rows->envelope_from, "list.example");
	same(r.rows->dkim_results->domain, "list.example");
	same(r.rows->dkim_results->next->human, "body hash did not verify");
	same(r.rows->spf_results->scope, "mfrom");

	assert_int_equal(report_dmarc_parse(load(b, "dmarc/namespace.xml"), &b->a, &r, &b->why), 0);
	same(r.org, "Yodel");
	assert_int_equal(r.end, 1767311999);
	assert_int_equal(r.n_errors, 2);
	same(r.errors[1], "two");
	assert_int_equal(r.n_rows, 0);
}

static void test_dmarc_encodings(void **state)
{
	struct bench *b = *state;
	struct report_dmarc r;

	assert_int_equal(report_dmarc_parse(load(b, "dmarc/latin1.xml"), &b->a, &r, &b->why), 0);
	same(r.org, "gro\xc3\x9f");
	assert_int_equal(report_dmarc_parse(load(b, "dmarc/utf16.xml"), &b->a, &r, &b->why), 0);
	same(r.org, "big.example");
}

static void refuse_dmarc(struct bench *b, struct slice xml, int want, const char *why)
{
	struct report_dmarc r;

	b->why = NULL;
	assert_int_equal(report_dmarc_parse(xml, &b->a, &r, &b->why), want);
	assert_non_null(b->why);
	assert_non_null(strstr(b->why, why));
}

static void test_dmarc_refused(void **state)
{
	struct bench *b = *state;

	refuse_dmarc(b, load(b, "dmarc/laughs.xml"), -EINVAL, "entities");
	refuse_dmarc(b, load(b, "dmarc/external.xml"), -EINVAL, "entities");
	refuse_dmarc(b, load(b, "dmarc/undefined.xml"), -EINVAL, "undefined entity");
	refuse_dmarc(b, load(b, "dmarc/deep.xml"), -EMSGSIZE, "nested");
	refuse_dmarc(b, load(b, "dmarc/cut.xml"), -EINVAL, "");
	refuse_dmarc(b, S(""), -EINVAL, "");
	refuse_dmarc(b, S("<html/>"), -EINVAL, "no DMARC report");
	refuse_dmarc(b, S("<feedback/>"), -EINVAL, "no domain");
	refuse_dmarc(b, S("<feedback>\0</feedback>"), -EINVAL, "");
}

static void test_dmarc_limits(void **state)
{
	struct bench *b = *state;
	struct buf x = BUF_INIT(REPORT_XML_MAX + 2);

	buf_adds(&x, "<feedback>");
	for (unsigned i = 0; i <= REPORT_ROWS_MAX; i++) {
		buf_adds(&x, "<record/>");
	}
	buf_adds(&x, "</feedback>");
	refuse_dmarc(b, buf_slice(&x), -EMSGSIZE, "records");

	buf_reset(&x);
	buf_adds(&x, "<feedback><report_metadata><org_name>");
	for (unsigned i = 0; i <= REPORT_TEXT_MAX; i++) {
		buf_addc(&x, 'a');
	}
	buf_adds(&x, "</org_name></report_metadata></feedback>");
	refuse_dmarc(b, buf_slice(&x), -EMSGSIZE, "longer");

	memset(buf_reserve(&x, REPORT_XML_MAX + 1 - x.n), ' ', REPORT_XML_MAX + 1 - x.n);
	buf_commit(&x, REPORT_XML_MAX + 1 - x.n);
	refuse_dmarc(b, buf_slice(&x), -EMSGSIZE, "larger");
	buf_fini(&x);
}

/* More results than are kept are no error; names of any length neither. */
static void test_dmarc_odd(void **state)
{
	struct bench *b = *state;
	struct buf x = BUF_INIT(1u << 20);
	struct report_dmarc r;
	size_t n = 0;

	buf_adds(&x, "<feedback><report_metadata><date_range><end>5</end></date_range>"
		     "</report_metadata><policy_published><domain>d</domain></policy_published>"
		     "<record><row><count>-1</count><count>18446744073709551616</count></row>"
		     "<auth_results>");
	for (unsigned i = 0; i < 5 * REPORT_AUTHS_MAX; i++) {
		buf_printf(&x, "<spf><domain>d%u</domain></spf>", i);
	}
	buf_adds(&x, "</auth_results></record><");
	for (unsigned i = 0; i < 5000; i++) {
		buf_addc(&x, 'n');
	}
	buf_adds(&x, "/><row><source_ip>1</source_ip></row></feedback>");
	assert_int_equal(report_dmarc_parse(buf_slice(&x), &b->a, &r, &b->why), 0);
	for (const struct report_auth *a = r.rows->spf_results; a; a = a->next) {
		n++;
	}
	assert_int_equal(n, REPORT_AUTHS_MAX);
	assert_int_equal(r.rows->count, 0);
	assert_int_equal(r.rows->source.n, 0);
	buf_fini(&x);
}

/* ---- TLS ----------------------------------------------------------------------- */

static void test_tls(void **state)
{
	struct bench *b = *state;
	const struct report_tls_policy *p;
	struct report_tls r;

	assert_int_equal(report_tls_parse(load(b, "tls/google.json"), &b->a, &r, &b->why), 0);
	same(r.org, "Big Mail");
	assert_int_equal(r.begin, 1767225600);
	assert_int_equal(r.end, 1767311999);
	p = r.policies;
	same(p->type, "sts");
	same(p->text, "version: STSv1; mode: enforce; mx: mx.example.test; max_age: 604800");
	same(p->mx_hosts, "mx.example.test");
	assert_int_equal(p->successes, 230);
	assert_int_equal(p->failures, 7);
	same(p->details->type, "certificate-expired");
	assert_int_equal(p->details->count, 5);
	same(p->details->next->reason, "X509_V_ERR");
	assert_null(p->details->next->next);
	assert_null(p->next);

	assert_int_equal(report_tls_parse(load(b, "tls/microsoft.json"), &b->a, &r, &b->why), 0);
	assert_int_equal(r.end, 1767312000);
	same(r.policies->mx_hosts, "mx.example.test");
	assert_int_equal(r.policies->successes, 12);
	same(r.policies->next->details->type, "tlsa-invalid");
}

static void refuse_tls(struct bench *b, struct slice json, int want, const char *why)
{
	struct report_tls r;

	b->why = NULL;
	assert_int_equal(report_tls_parse(json, &b->a, &r, &b->why), want);
	assert_non_null(b->why);
	assert_non_null(strstr(b->why, why));
}

static void test_tls_refused(void **state)
{
	struct bench *b = *state;
	struct buf x = BUF_INIT(REPORT_JSON_MAX + 2);

	refuse_tls(b, load(b, "tls/deep.json"), -EMSGSIZE, "deeper");
	refuse_tls(b, load(b, "tls/nul.json"), -EINVAL, "no JSON");
	refuse_tls(b, S(""), -EINVAL, "no JSON");
	refuse_tls(b, S("{}"), -EINVAL, "no TLS report");
	refuse_tls(b, S("[]"), -EINVAL, "no TLS report");
	refuse_tls(b, S("{\"policies\":[],\"date-range\":{}}"), -EINVAL, "no period");
	refuse_tls(b, S("{\"policies\":[],\"policies\":[]}"), -EINVAL, "no JSON");
	buf_addc(&x, '[');
	for (unsigned i = 0; i <= REPORT_TOKENS_MAX; i++) {
		buf_adds(&x, "0,");
	}
	refuse_tls(b, buf_slice(&x), -EMSGSIZE, "larger");
	buf_reset(&x);
	memset(buf_reserve(&x, REPORT_JSON_MAX + 1), ' ', REPORT_JSON_MAX + 1);
	buf_commit(&x, REPORT_JSON_MAX + 1);
	refuse_tls(b, buf_slice(&x), -EMSGSIZE, "larger");
	buf_reset(&x);
	buf_adds(&x, "{\"date-range\":{\"end-datetime\":\"2026-01-01T00:00:00Z\"},\"policies\":[0");
	for (unsigned i = 0; i < REPORT_POLICIES_MAX; i++) {
		buf_adds(&x, ",0");
	}
	buf_adds(&x, "]}");
	refuse_tls(b, buf_slice(&x), -EMSGSIZE, "policies");
	buf_fini(&x);
}

/* ---- finding and opening ------------------------------------------------------- */

/* How many parts of a message may be reports; the first is opened. */
static size_t open_message(struct bench *b, const char *name, struct report *out, int *r)
{
	struct slice message = load(b, name);
	const struct mime_part *p = NULL, *first = NULL;
	struct mime_tree t;
	size_t n = 0;

	assert_int_equal(mime_parse(message, &b->a, &t), 0);
	while ((p = report_next_part(&t, p))) {
		first = n++ ? first : p;
	}
	if (first) {
		*r = report_open_part(first, slice_sub(message, first->body_off, first->body_len),
				      &b->a, out, &b->why);
	}
	return n;
}

static void test_messages(void **state)
{
	static const struct {
		const char *name;
		enum report_kind kind;
		const char *org;
	} rows[] = {
		{ "open/gzip.eml", REPORT_DMARC, "big.example" },
		{ "open/zip.eml", REPORT_DMARC, "Window Mail" },
		{ "open/stored.eml", REPORT_DMARC, "big.example" },
		{ "open/xml.eml", REPORT_DMARC, "Window Mail" },
		{ "open/tls.eml", REPORT_TLS, "Big Mail" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct bench *b = *state;
		struct report out;
		int r = -1;

		assert_int_equal(open_message(b, rows[i].name, &out, &r), 1);
		assert_int_equal(r, 0);
		assert_int_equal(out.kind, rows[i].kind);
		same(out.kind == REPORT_TLS ? out.tls.org : out.dmarc.org, rows[i].org);
	}
}

static void test_no_candidates(void **state)
{
	static const char *const messages[] = {
		"Content-Type: application/zip; name=holiday.zip\r\n\r\nPK\3\4",
		"Content-Type: application/gzip; name=\"a!b!c.gz\"\r\n\r\n",
		"Content-Type: text/plain; name=\"a!b!1!2.xml\"\r\n\r\n",
		"Subject: Report Domain: x\r\nContent-Type: text/plain\r\n\r\n",
	};
	struct bench *b = *state;
	struct mime_tree t;
	struct report out;
	int r;

	assert_int_equal(open_message(b, "open/about.eml", &out, &r), 0);
	for (size_t i = 0; i < ARRAY_LEN(messages); i++) {
		assert_int_equal(mime_parse(slice_cstr(messages[i]), &b->a, &t), 0);
		assert_null(report_next_part(&t, NULL));
	}
}

static void test_bare(void **state)
{
	static const char *const good[] = { "open/bare.xml", "open/bare.json", "open/bare.gz",
					    "open/bare.zip", "open/traversal.zip" };
	struct bench *b = *state;
	struct report out;

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_int_equal(report_open(load(b, good[i]), &b->a, &out, &b->why), 0);
	}
}

static void test_packed_refused(void **state)
{
	static const struct {
		const char *name;
		int r;
		const char *why;
	} rows[] = {
		{ "open/bomb.gz", -EMSGSIZE, "bomb" },	   { "open/bomb.zip", -EMSGSIZE, "bomb" },
		{ "open/two.zip", -EINVAL, "one file" },   { "open/nested.gz", -EINVAL, "neither" },
		{ "open/laughs.gz", -EINVAL, "entities" }, { "open/cut.gz", -EINVAL, "too early" },
	};
	struct bench *b = *state;
	struct report out;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(report_open(load(b, rows[i].name), &b->a, &out, &b->why),
				 rows[i].r);
		assert_non_null(strstr(b->why, rows[i].why));
	}
}

/* Every octet of a zip changed, and every length of it: refused or read, and
 * never more than there is. */
static void test_zip_damaged(void **state)
{
	struct bench *b = *state;
	struct slice zip = load(b, "open/bare.zip");

	for (size_t i = 0; i < zip.n; i++) {
		char *copy = malloc(zip.n);
		struct buf out = BUF_INIT(REPORT_XML_MAX);

		memcpy(copy, zip.p, zip.n);
		copy[i] = (char)(copy[i] ^ 0xff);
		report_unpack(slice_make(copy, zip.n), &out, &b->why);
		buf_reset(&out);
		assert_int_not_equal(report_unpack(slice_make(zip.p, i), &out, &b->why), 0);
		buf_fini(&out);
		free(copy);
	}
}

/* A bomb that says it is small, and one that is just too large. */
static void test_limit_of_output(void **state)
{
	struct bench *b = *state;
	struct buf out = BUF_INIT(100);
	struct slice zip = load(b, "open/bare.zip");

	assert_int_equal(report_unpack(zip, &out, &b->why), -EMSGSIZE);
	buf_fini(&out);
	out = BUF_INIT(100);
	assert_int_equal(report_unpack(load(b, "open/bare.gz"), &out, &b->why), -EMSGSIZE);
	assert_true(out.n <= 100);
	buf_fini(&out);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		TEST(test_dmarc),
		TEST(test_dmarc_more),
		TEST(test_dmarc_encodings),
		TEST(test_dmarc_refused),
		TEST(test_dmarc_limits),
		TEST(test_dmarc_odd),
		TEST(test_tls),
		TEST(test_tls_refused),
		TEST(test_messages),
		TEST(test_no_candidates),
		TEST(test_bare),
		TEST(test_packed_refused),
		TEST(test_zip_damaged),
		TEST(test_limit_of_output),
	};

	if (argc < 2) {
		return 2;
	}
	corpus = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
