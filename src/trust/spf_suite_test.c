/*
 * Runs the public test suite of RFC 7208, as spf_suite.py hands it over: each
 * scenario is a zone in memory, each case a check whose result must be one of
 * those allowed. Explanations are compared as well; "DEFAULT" is ours, which
 * is none at all.
 */
#include <jansson.h>
#include <stdio.h>

#include "base/codec.h"
#include "trust/spf.h"

static const char *text_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static void add_row(struct dns *d, const json_t *row)
{
	const json_t *owner = json_object_get(row, "name");
	enum dns_type type = (enum dns_type)json_integer_value(json_object_get(row, "type"));
	struct slice raw = slice_make(json_string_value(owner), json_string_length(owner));
	struct buf name = BUF_INIT(DNS_TEXT_MAX + 1);
	struct buf rdata = BUF_INIT(65536);

	/* A name that cannot exist is never asked for. */
	if (dns_name_text(raw, &name) == 0) {
		assert(hex_decode(&rdata, slice_cstr(text_of(row, "rdata"))) == 0);
		if (json_is_true(json_object_get(row, "fail"))) {
			assert(dns_mem_fail(d, buf_cstr(&name), type, DNS_FAIL) == 0);
		} else {
			assert(dns_mem_add(d, buf_cstr(&name), type, buf_slice(&rdata)) == 0);
		}
	}
	buf_fini(&name);
	buf_fini(&rdata);
}

static bool is_allowed(const json_t *test, const char *result)
{
	const json_t *r;
	size_t i;

	json_array_foreach(json_object_get(test, "results"), i, r)
	{
		if (strcmp(json_string_value(r), result) == 0) {
			return true;
		}
	}
	return false;
}

static bool explained(const json_t *test, const struct spf_outcome *out)
{
	const char *want = json_string_value(json_object_get(test, "explanation"));

	if (!want || out->result != TRUST_FAIL) {
		return true;
	}
	return slice_ieq(out->explanation, strcmp(want, "DEFAULT") == 0 ? S("") : slice_cstr(want));
}

static bool run_case(struct dns *d, const char *scenario, const json_t *test)
{
	const json_t *sender = json_object_get(test, "mailfrom");
	struct spf_query q = {
		.helo = slice_cstr(text_of(test, "helo")),
		.sender = slice_make(json_string_value(sender), json_string_length(sender)),
		.receiver = S("mail.example"),
		.now = 1200000000,
	};
	struct spf_outcome out;
	struct arena a;
	bool ok;

	co_enter();
	arena_init(&a, 1 << 20);
	assert(net_addr_parse(slice_cstr(text_of(test, "host")), 0, &q.ip) == 0);
	assert(spf_check(d, &q, 0, &a, &out) == 0);
	ok = is_allowed(test, trust_result_name(out.result)) && explained(test, &out);
	if (!ok) {
		printf("FAILED %s / %s: %s; problem \"%.*s\"; explanation \"%.*s\"\n", scenario,
		       text_of(test, "name"), trust_result_name(out.result), SLICE_ARG(out.problem),
		       SLICE_ARG(out.explanation));
	}
	arena_fini(&a);
	return ok;
}

static void run_scenario(const json_t *s, size_t *cases, size_t *failed)
{
	struct dns *d = NULL;
	const json_t *o;
	size_t i;

	assert(dns_mem_new(&d) == 0);
	json_array_foreach(json_object_get(s, "zone"), i, o)
	{
		add_row(d, o);
	}
	json_array_foreach(json_object_get(s, "cases"), i, o)
	{
		++*cases;
		*failed += !run_case(d, text_of(s, "description"), o);
	}
	dns_free(&d);
}

int main(int argc, char **argv)
{
	json_t *all = argc == 2 ? json_load_file(argv[1], JSON_ALLOW_NUL, NULL) : NULL;
	const json_t *s;
	size_t cases = 0;
	size_t failed = 0;
	size_t i;

	json_array_foreach(all, i, s)
	{
		run_scenario(s, &cases, &failed);
	}
	json_decref(all);
	printf("%zu passed, %zu failed\n", cases - failed, failed);
	return failed || cases == 0;
}
