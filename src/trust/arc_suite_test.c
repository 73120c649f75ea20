/*
 * Runs the public test suites of RFC 8617, as arc_suite.py hands them over:
 * of the one for validators each case must end as it says; of the one for
 * sealers the fields must come out as they are there, octet for octet but for
 * white space and b= of the seal (which they made before they folded b= of the
 * message signature), and what we sealed must validate.
 */
#include <jansson.h>
#include <stdio.h>

#include "base/codec.h"
#include "base/err.h"
#include "trust/arc.h"

#define NOW 1700000000

static struct slice text_of(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	assert(json_is_string(v));
	return slice_make(json_string_value(v), json_string_length(v));
}

/* A whole message, cut where its body begins. */
static void read_message(const json_t *test, struct buf *all, struct slice *header,
			 struct slice *body)
{
	size_t at;

	assert(hex_decode(all, text_of(test, "message")) == 0);
	at = slice_starts(buf_slice(all), S("\r\n")) ? 0
						     : slice_find(buf_slice(all), S("\r\n\r\n"));
	at = at == SIZE_MAX ? all->n : at + (at ? 4 : 2);
	*header = slice_sub(buf_slice(all), 0, at);
	*body = slice_from(buf_slice(all), at);
}

static void validate(struct dns *d, struct slice header, struct slice body, struct arena *a,
		     struct arc_outcome *out)
{
	struct arc_verifier *v;
	int r;

	co_enter();
	r = arc_verifier_new(header, NOW, &v);
	assert(r == 0);
	arc_verifier_body(v, body);
	r = arc_verifier_end(v, d, 0, a, out);
	assert(r == 0);
	arc_verifier_free(&v);
}

static bool run_validation(struct dns *d, const json_t *test, struct arena *a)
{
	struct buf all = BUF_INIT(1 << 20);
	struct slice header, body;
	struct arc_outcome out;
	bool ok;

	read_message(test, &all, &header, &body);
	validate(d, header, body, a, &out);
	ok = slice_eq(slice_cstr(trust_result_name(out.result)), text_of(test, "cv"));
	if (!ok) {
		printf("%s: %s, not %s (%.*s)\n", text_of(test, "name").p,
		       trust_result_name(out.result), text_of(test, "cv").p, SLICE_ARG(out.reason));
	}
	buf_fini(&all);
	return ok;
}

/* ---- sealing ------------------------------------------------------------------------- */

static void without_space(struct slice s, struct buf *out)
{
	for (size_t i = 0; i < s.n; i++) {
		if (!strchr(" \t\r\n", s.p[i])) {
			buf_addc(out, s.p[i]);
		}
	}
}

/* The field of that name as the suite wants it. */
static void add_wanted(const json_t *test, const char *name, const char *key, struct buf *out)
{
	if (text_of(test, key).n) {
		buf_printf(out, "%s:", name);
		without_space(text_of(test, key), out);
	}
}

static void seal(const json_t *test, const struct dkim_key *key, const json_t *group,
		 struct slice header, struct slice body, const struct arc_outcome *in,
		 struct buf *out)
{
	struct slice report = text_of(test, "AAR");
	size_t semicolon = slice_chr(report, ';');
	struct arc_seal_opts o = {
		.key = key,
		.domain = text_of(group, "domain"),
		.selector = text_of(group, "sel"),
		.now = json_integer_value(json_object_get(test, "t")),
		.chain = in->result,
		.names = text_of(test, "sig-headers"),
	};
	struct buf results = BUF_INIT(1 << 16);
	struct arc_sealer *s;
	int r;

	/* What is to be reported is not the sealer's business; fold it. */
	report = slice_trim(slice_from(report, semicolon == SIZE_MAX ? 0 : semicolon + 1));
	for (size_t i = 0; i < report.n; i++) {
		buf_add(&results, report.p[i] == '\n' ? S("\r\n ") : slice_sub(report, i, 1));
	}
	buf_adds(&results, report.n ? "" : "lists.example.org; arc=fail");
	o.results = buf_slice(&results);
	r = arc_sealer_new(header, &o, &s);
	assert(r == 0 || r == 1);
	if (r == 0) {
		arc_sealer_body(s, body);
		r = arc_sealer_end(s, out, NULL);
		assert(r == 0);
		arc_sealer_free(&s);
	}
	buf_fini(&results);
}

/* Takes b= out of the seal, which comes first. */
static void without_seal(struct buf *b)
{
	size_t from = slice_find(buf_slice(b), S(";b="));
	size_t to =
		from == SIZE_MAX ? from : slice_find(slice_from(buf_slice(b), from + 1), S(";"));

	if (to != SIZE_MAX) {
		to += from + 1;
		memmove(b->p + from, b->p + to, b->n - to);
		buf_truncate(b, b->n - (to - from));
	}
}

static bool compare(const json_t *test, struct slice made)
{
	struct buf got = BUF_INIT(1 << 20), want = BUF_INIT(1 << 20);
	bool ok;

	without_space(made, &got);
	add_wanted(test, "ARC-Seal", "AS", &want);
	add_wanted(test, "ARC-Message-Signature", "AMS", &want);
	add_wanted(test, "ARC-Authentication-Results", "AAR", &want);
	without_seal(&got);
	without_seal(&want);
	ok = slice_eq(buf_slice(&got), buf_slice(&want));
	if (!ok) {
		printf("%s:\n%.*s\nnot\n%.*s\n", text_of(test, "name").p,
		       SLICE_ARG(buf_slice(&got)), SLICE_ARG(buf_slice(&want)));
	}
	buf_fini(&got);
	buf_fini(&want);
	return ok;
}

static bool run_sealing(struct dns *d, const json_t *test, const json_t *group,
			const struct dkim_key *key, struct arena *a)
{
	struct buf all = BUF_INIT(1 << 20), made = BUF_INIT(1 << 20);
	struct slice header, body;
	struct arc_outcome in, out;
	bool ok;

	read_message(test, &all, &header, &body);
	validate(d, header, body, a, &in);
	seal(test, key, group, header, body, &in, &made);
	ok = compare(test, buf_slice(&made));
	if (made.n && in.result != TRUST_FAIL) {
		buf_add(&made, header);
		validate(d, buf_slice(&made), body, a, &out);
		if (out.result != TRUST_PASS || out.instance != in.instance + 1) {
			printf("%s: sealed, it is %s (%.*s)\n", text_of(test, "name").p,
			       trust_result_name(out.result), SLICE_ARG(out.reason));
			ok = false;
		}
	}
	buf_fini(&all);
	buf_fini(&made);
	return ok;
}

/* ---- suites ---------------------------------------------------------------------------- */

struct count {
	size_t run, failed;
};

static void run_group(json_t *group, struct count *n)
{
	struct dkim_key *key = NULL;
	const char *name;
	json_t *value, *test;
	struct arena a;
	struct dns *d;
	size_t i;

	assert(dns_mem_new(&d) == 0);
	if (text_of(group, "key").n) {
		assert(dkim_key_parse(text_of(group, "key"), &key, NULL) == 0);
	}
	json_object_foreach(json_object_get(group, "txt"), name, value)
	{
		assert(dns_mem_text(d, name, DNS_TXT, json_string_value(value)) == 0);
	}
	json_array_foreach(json_object_get(group, "cases"), i, test)
	{
		arena_init(&a, 1 << 20);
		n->run++;
		n->failed +=
			key ? !run_sealing(d, test, group, key, &a) : !run_validation(d, test, &a);
		arena_fini(&a);
	}
	dkim_key_free(&key);
	dns_free(&d);
}

int main(int argc, char **argv)
{
	json_t *suite = argc == 2 ? json_load_file(argv[1], 0, NULL) : NULL;
	struct count n = { 0 };
	json_t *group;
	size_t i;

	json_array_foreach(suite, i, group)
	{
		run_group(group, &n);
	}
	printf("%zu cases, %zu failed\n", n.run, n.failed);
	json_decref(suite);
	return n.run == 0 || n.failed != 0;
}
