/*
 * `postrider trust verify`: DKIM and ARC of a message in a file, and why.
 *
 * Keys come from the configured resolver, or from a file of records, so that a
 * postmaster can try a key before it is published.
 */
#include <string.h>

#include "base/err.h"
#include "base/utf8.h"
#include "cli/trust.h"
#include "co/co.h"
#include "srv/ask.h"
#include "trust/arc.h"
#include "trust/dkim.h"

#define PIECE 65536
#define MEMORY_MAX (4 * 1024 * 1024)
#define DEADLINE_MS 30000

struct job {
	struct slice header, body;
	struct dns *dns;
	struct arena arena;
	struct dkim_outcome dkim;
	struct arc_outcome arc;
	int r;
};

/* ---- verifying ------------------------------------------------------------------ */

CO_FN static int verify_dkim(struct job *j, int64_t now, int64_t deadline)
{
	struct dkim_verifier *v = NULL;
	int r = dkim_verifier_new(j->header, now, &v);

	if (r < 0) {
		return r;
	}
	for (size_t i = 0; dkim_verifier_wants_body(v) && i < j->body.n; i += PIECE) {
		dkim_verifier_body(v, slice_sub(j->body, i, PIECE));
	}
	r = dkim_verifier_end(v, j->dns, deadline, &j->arena, &j->dkim);
	dkim_verifier_free(&v);
	return r;
}

CO_FN static int verify_arc(struct job *j, int64_t now, int64_t deadline)
{
	struct arc_verifier *v = NULL;
	int r = arc_verifier_new(j->header, now, &v);

	if (r < 0) {
		return r;
	}
	for (size_t i = 0; arc_verifier_wants_body(v) && i < j->body.n; i += PIECE) {
		arc_verifier_body(v, slice_sub(j->body, i, PIECE));
	}
	r = arc_verifier_end(v, j->dns, deadline, &j->arena, &j->arc);
	arc_verifier_free(&v);
	return r;
}

static void body(void *arg)
{
	struct job *j = arg;
	int64_t now = clock_wall(), deadline = clock_in_ms(DEADLINE_MS);

	co_enter();
	j->r = verify_dkim(j, now, deadline);
	if (j->r == 0) {
		j->r = verify_arc(j, now, deadline);
	}
	co_loop_stop(co_loop_self());
}

static int run(struct job *j)
{
	struct co_loop *l = NULL;

	j->r = co_loop_new(&l);
	if (j->r == 0) {
		j->r = co_spawn("verify", body, j, NULL);
	}
	if (j->r == 0) {
		co_loop_run(l);
	}
	co_loop_free(&l);
	return j->r;
}

/* ---- printing -------------------------------------------------------------------- */

static json_t *text_of(struct slice s)
{
	struct buf b = BUF_INIT(4 * s.n + 16);
	json_t *v;

	utf8_repair(&b, s);
	v = json_stringn(b.p ? b.p : "", b.n);
	buf_fini(&b);
	return v;
}

static json_t *dkim_json(const struct dkim_result *d)
{
	json_t *o =
		json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:i, s:b, s:o}", "result",
			  trust_result_name(d->result), "domain", text_of(d->domain), "selector",
			  text_of(d->selector), "identity", text_of(d->identity), "algorithm",
			  text_of(d->algorithm), "b", text_of(d->b), "bits", (int)d->bits,
			  "testing", (int)d->testing, "reason", text_of(d->reason));

	return o ? o : json_null();
}

static json_t *arc_json(const struct arc_outcome *a)
{
	return json_pack("{s:s, s:i, s:o, s:o, s:i, s:b, s:b, s:o}", "result",
			 trust_result_name(a->result), "instance", (int)a->instance, "sealer",
			 text_of(a->sealer), "reported", text_of(a->reported), "oldest_pass",
			 (int)a->oldest_pass, "covers_from", (int)a->covers_from, "temporary",
			 (int)a->temporary, "reason", text_of(a->reason));
}

static void print_json(const struct job *j)
{
	json_t *list = json_array();
	json_t *all;

	for (size_t i = 0; i < j->dkim.n; i++) {
		json_array_append_new(list, dkim_json(&j->dkim.results[i]));
	}
	all = json_pack("{s:o, s:i, s:o}", "dkim", list, "skipped", (int)j->dkim.skipped, "arc",
			arc_json(&j->arc));
	json_dumpf(all, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(all);
}

/* What a stranger chose, without what a terminal would obey. */
static void print_text(const char *before, struct slice s)
{
	struct buf b = BUF_INIT(4 * s.n + 16);

	utf8_repair(&b, s);
	for (size_t i = 0; i < b.n; i++) {
		if ((unsigned char)b.p[i] < 0x20 || b.p[i] == 0x7f) {
			b.p[i] = '?';
		}
	}
	printf("%s%.*s", before, (int)b.n, b.p ? b.p : "");
	buf_fini(&b);
}

static void print_dkim(const struct dkim_result *d)
{
	printf("dkim=%s", trust_result_name(d->result));
	print_text(" d=", d->domain);
	print_text(" s=", d->selector);
	print_text(" a=", d->algorithm);
	print_text(" i=", d->identity);
	if (d->bits) {
		printf(" (%u bits)", d->bits);
	}
	if (d->testing) {
		printf(" (testing)");
	}
	if (d->reason.n) {
		print_text(": ", d->reason);
	}
	putchar('\n');
}

static void print_arc(const struct arc_outcome *a)
{
	printf("arc=%s", trust_result_name(a->result));
	if (a->instance) {
		printf(" i=%u", a->instance);
		print_text(" d=", a->sealer);
	}
	if (a->result == TRUST_PASS) {
		printf(" oldest-pass=%u", a->oldest_pass);
	}
	if (a->reason.n) {
		print_text(": ", a->reason);
	}
	putchar('\n');
}

static void print_plain(const struct job *j)
{
	if (j->dkim.n == 0) {
		puts("dkim=none");
	}
	for (size_t i = 0; i < j->dkim.n; i++) {
		print_dkim(&j->dkim.results[i]);
	}
	if (j->dkim.skipped) {
		printf("%zu more signatures were not looked at\n", j->dkim.skipped);
	}
	print_arc(&j->arc);
}

/* ---- the command -------------------------------------------------------------------- */

static int resolver_from_file(const struct cli *c, const char *path, struct dns **out)
{
	const char *why = NULL;
	struct buf text;
	int r = trust_read(c, path, TRUST_RECORDS_MAX, &text);

	if (r != CLI_DONE) {
		return r;
	}
	r = dns_mem_new(out);
	r = r < 0 ? r : trust_records_read(buf_slice(&text), *out, &why);
	buf_fini(&text);
	if (r > 0) {
		return cli_fail(c, "%s:%d: %s", path, r, why);
	}
	return r < 0 ? cli_fail(c, "%s", strerror(-r)) : CLI_DONE;
}

static int resolver_from_config(const struct cli *c, struct dns **out)
{
	struct config *config;
	struct err e = ERR_INIT;
	char text[256];
	int r = cli_config(c, &config);

	if (r != CLI_DONE) {
		return r;
	}
	r = ask_resolver(config, out, &e);
	config_free(&config);
	if (r < 0) {
		return cli_fail(c, "%s", err_str(&e, text, sizeof(text)));
	}
	return *out ? CLI_DONE : cli_fail(c, "there is no resolver: see dns in the configuration");
}

static int verify(const struct cli *c, const char *records, const char *path)
{
	struct job j = { 0 };
	struct buf message;
	size_t at;
	int r = records ? resolver_from_file(c, records, &j.dns) : resolver_from_config(c, &j.dns);

	if (r == CLI_DONE) {
		r = trust_read_message(c, path, &message, &at, NULL);
	}
	if (r != CLI_DONE) {
		dns_free(&j.dns);
		return r;
	}
	arena_init(&j.arena, MEMORY_MAX);
	j.header = slice_sub(buf_slice(&message), 0, at);
	j.body = slice_from(buf_slice(&message), at);
	r = run(&j);
	if (r < 0) {
		r = cli_fail(c, "%s", strerror(-r));
	} else if (c->json) {
		print_json(&j);
	} else {
		print_plain(&j);
	}
	arena_fini(&j.arena);
	buf_fini(&message);
	dns_free(&j.dns);
	return r;
}

int cli_trust_verify(struct cli *c)
{
	const char *records = NULL;
	const struct cli_option options[] = { { "--records", &records, NULL }, { 0 } };
	int r = cli_options(c, options);

	if (r != CLI_DONE) {
		return r;
	}
	if (c->argc > 1) {
		return cli_misuse(c, "usage: postrider trust verify [--records FILE] [FILE]");
	}
	return verify(c, records, c->argc ? c->argv[0] : NULL);
}
