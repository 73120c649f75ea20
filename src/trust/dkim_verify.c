/*
 * Verifying DKIM signatures (RFC 6376 6): see dkim.h; sig.h has the parts.
 *
 * Stages: the header is indexed and every signature read; the body is hashed
 * once for each canonicalisation that is wanted; then, for signatures that
 * nothing speaks against so far, the key is asked for and b= checked. So a
 * message whose body was changed asks the DNS nothing.
 */
#include <stdlib.h>

#include "base/err.h"
#include "co/co.h"
#include "trust/sig.h"

#define MEMORY_MAX (1024 * 1024)
#define B_SHOWN 8 /* RFC 6008 4 */
#define ALGORITHM_SHOWN_MAX 32

struct dkim_verifier {
	struct fields fields;
	struct arena arena;
	struct sig sig[DKIM_SIGNATURES_MAX];
	size_t n, skipped;
	struct sig_body body;
	struct sig_keys *keys;
	bool heavy; /* the header is long */
	bool flood; /* more fields than are looked at */
};

/*
 * Fields that are once in a message (RFC 5322 3.6, RFC 2045 4, 5, 6) and that
 * readers show or go by. A signer names one; with a second one above it the
 * signature still fits, and a reader may show the second (THREATS AN-02).
 */
static const struct slice once[] = {
	{ "From", 4 },
	{ "Sender", 6 },
	{ "Reply-To", 8 },
	{ "To", 2 },
	{ "Cc", 2 },
	{ "Subject", 7 },
	{ "Date", 4 },
	{ "MIME-Version", 12 },
	{ "Content-Type", 12 },
	{ "Content-Transfer-Encoding", 25 },
};

/* ---- reading ------------------------------------------------------------------ */

static int read_all(struct dkim_verifier *v, int64_t now)
{
	int r = 0;

	for (size_t i = 0; i < v->fields.n && r == 0; i++) {
		const struct field *f = &v->fields.field[i];

		if (!slice_ieq(f->name, S("DKIM-Signature"))) {
			continue;
		}
		if (v->n == DKIM_SIGNATURES_MAX) {
			v->skipped++;
			continue;
		}
		r = sig_read(f, SIG_DKIM, now, &v->arena, &v->sig[v->n]);
		if (r == 0 && v->sig[v->n].result == TRUST_NONE) {
			r = sig_body_want(&v->body, v->sig[v->n].body);
		}
		v->n++;
	}
	return r;
}

int dkim_verifier_new(struct slice header, int64_t now, struct dkim_verifier **out)
{
	struct dkim_verifier *v = calloc(1, sizeof(*v));
	int r;

	if (!v) {
		return -ENOMEM;
	}
	arena_init(&v->arena, MEMORY_MAX);
	v->heavy = header.n > SIG_OFFLOAD_OCTETS;
	r = fields_init(&v->fields, header);
	if (r == -E2BIG) {
		v->flood = true;
		r = 0;
	} else if (r == 0) {
		r = read_all(v, now);
	}
	if (r < 0) {
		dkim_verifier_free(&v);
		return r;
	}
	*out = v;
	return 0;
}

bool dkim_verifier_wants_body(const struct dkim_verifier *v)
{
	return sig_body_wanted(&v->body);
}

void dkim_verifier_body(struct dkim_verifier *v, struct slice data)
{
	sig_body_feed(&v->body, data);
}

void dkim_verifier_free(struct dkim_verifier **vp)
{
	struct dkim_verifier *v = *vp;

	*vp = NULL;
	if (v) {
		fields_fini(&v->fields);
		arena_fini(&v->arena);
		sig_body_fini(&v->body);
		sig_keys_free(&v->keys);
		free(v);
	}
}

/* ---- checking ------------------------------------------------------------------ */

struct job {
	struct dkim_verifier *v;
	struct sig *s;
	const struct sig_keys *keys;
};

/* It fits: does it cover what it seems to? The selection is still open. */
static void check_coverage(struct dkim_verifier *v, struct sig *s)
{
	for (size_t i = 0; i < ARRAY_LEN(once); i++) {
		if (fields_partly(&v->fields, once[i], s->field)) {
			s->result = TRUST_POLICY;
			s->reason = arena_printf(&v->arena, "there is another %s field, not signed",
						 once[i].p);
			return;
		}
	}
}

static int run_job(void *arg)
{
	struct job *j = arg;
	unsigned char hash[SIG_HASH_LEN];

	if (!sig_hash_header(j->s, &j->v->fields, hash)) {
		sig_decide(j->s, TRUST_TEMPERROR, "hashing failed");
		return 0;
	}
	sig_check(j->s, j->keys, hash);
	if (j->s->result == TRUST_PASS) {
		check_coverage(j->v, j->s);
	}
	return 0;
}

CO_FN static int check_one(struct dkim_verifier *v, struct sig *s, struct dns *d, int64_t deadline)
{
	struct job j = { .v = v, .s = s };
	int r;

	sig_check_body(s, &v->body, &v->arena);
	if (s->result != TRUST_NONE) {
		return 0;
	}
	r = sig_keys_get(&v->keys, d, s, deadline, &j.keys);
	if (r == 0) {
		sig_run(run_job, &j, v->heavy);
		r = co_breathe();
	}
	return r;
}

/* ---- telling ------------------------------------------------------------------- */

/* The beginning of b=, or of a=, without anything that is none. */
static struct slice shown(const struct sig *s, struct slice name, size_t max, struct arena *a)
{
	const struct tag *t = tags_get(&s->tags, name);
	char text[ALGORITHM_SHOWN_MAX];
	size_t n = 0;

	for (size_t i = 0; t && i < t->value.n && n < max; i++) {
		char c = t->value.p[i];

		if (ascii_isalpha((unsigned char)c) || ascii_isdigit((unsigned char)c) ||
		    c == '-' || c == '+' || c == '/' || c == '=') {
			text[n++] = c;
		}
	}
	return arena_dup(a, slice_make(text, n));
}

static void tell(const struct sig *s, struct arena *a, struct dkim_result *out)
{
	out->result = s->result;
	out->domain = arena_dup(a, s->domain);
	out->selector = arena_dup(a, s->selector);
	out->identity = arena_dup(a, s->identity);
	out->algorithm = shown(s, S("a"), ALGORITHM_SHOWN_MAX, a);
	out->b = shown(s, S("b"), B_SHOWN, a);
	out->bits = s->bits;
	out->testing = s->testing;
	out->reason = s->result == TRUST_PASS ? slice_make(NULL, 0) : arena_dup(a, s->reason);
}

static void tell_flood(struct dkim_outcome *out)
{
	out->n = 1;
	out->results[0].result = TRUST_PERMERROR;
	out->results[0].reason = S("the header has too many fields");
}

CO_FN int dkim_verifier_end(struct dkim_verifier *v, struct dns *d, int64_t deadline,
			    struct arena *a, struct dkim_outcome *out)
{
	struct dkim_outcome o = { .skipped = v->skipped };
	int r = 0;

	deadline = sig_deadline(d, deadline);
	sig_body_end(&v->body);
	for (size_t i = 0; i < v->n && r == 0; i++) {
		r = check_one(v, &v->sig[i], d, deadline);
	}
	if (r < 0) {
		return r;
	}
	o.results = arena_array(a, v->flood ? 1 : v->n, sizeof(*o.results));
	if (v->flood && o.results) {
		tell_flood(&o);
	}
	for (; o.results && o.n < v->n; o.n++) {
		tell(&v->sig[o.n], a, &o.results[o.n]);
	}
	if (arena_err(a) || arena_err(&v->arena)) {
		return -ENOMEM;
	}
	*out = o;
	return 0;
}
