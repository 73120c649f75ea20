/*
 * Validating a chain (RFC 8617 5.2): see arc.h.
 *
 * Structure first, then the newest message signature, then the seals from the
 * newest down; the first that fails ends it, so a forged chain costs one or
 * two questions. Only of a chain that passes it is asked how far back the
 * message signatures hold.
 */
#include <stdlib.h>

#include "base/err.h"
#include "co/co.h"
#include "mime/header.h"
#include "trust/arc_set.h"

/* 100 signatures of 4 KiB, and names. */
#define MEMORY_MAX (2 * 1024 * 1024)

struct arc_verifier {
	struct fields fields;
	struct arena arena;
	struct arc_chain chain;
	struct sig_body body;
	struct sig_keys *keys;
	bool heavy;
	bool covers_from;
	bool broken;					    /* the library failed */
	unsigned char hash[ARC_SETS_MAX + 1][SIG_HASH_LEN]; /* of the seals */
};

static int want_bodies(struct arc_verifier *v)
{
	int r = 0;

	for (unsigned i = 1; i <= v->chain.n && r == 0; i++) {
		const struct sig *s = v->chain.set[i].ams;

		if (s->result == TRUST_NONE) {
			r = sig_body_want(&v->body, s->body);
		}
	}
	return r;
}

static int read_chain(struct arc_verifier *v, int64_t now)
{
	int r = arc_chain_read(&v->chain, &v->fields, now, &v->arena);

	if (r == 0) {
		arc_chain_check(&v->chain, &v->arena);
	}
	return r == 0 && !v->chain.problem.n ? want_bodies(v) : r;
}

int arc_verifier_new(struct slice header, int64_t now, struct arc_verifier **out)
{
	struct arc_verifier *v = calloc(1, sizeof(*v));
	int r;

	if (!v) {
		return -ENOMEM;
	}
	arena_init(&v->arena, MEMORY_MAX);
	v->heavy = header.n > SIG_OFFLOAD_OCTETS;
	r = fields_init(&v->fields, header);
	if (r == -E2BIG) {
		v->chain.any = true;
		v->chain.problem = S("the header has too many fields");
		r = 0;
	} else if (r == 0) {
		r = read_chain(v, now);
	}
	if (r < 0) {
		arc_verifier_free(&v);
		return r;
	}
	*out = v;
	return 0;
}

bool arc_verifier_wants_body(const struct arc_verifier *v)
{
	return sig_body_wanted(&v->body);
}

void arc_verifier_body(struct arc_verifier *v, struct slice data)
{
	sig_body_feed(&v->body, data);
}

void arc_verifier_free(struct arc_verifier **vp)
{
	struct arc_verifier *v = *vp;

	*vp = NULL;
	if (v) {
		fields_fini(&v->fields);
		arena_fini(&v->arena);
		sig_body_fini(&v->body);
		sig_keys_free(&v->keys);
		free(v);
	}
}

/* ---- checking ------------------------------------------------------------------------ */

struct job {
	struct arc_verifier *v;
	struct sig *s;
	const struct sig_keys *keys;
	bool newest;
};

static int run_seal_hashes(void *arg)
{
	struct arc_verifier *v = arg;

	v->broken = !arc_chain_hashes(&v->chain, v->hash);
	return 0;
}

static bool names_from(const struct sig *s)
{
	struct slice list = s->names;
	struct slice name;

	while (tags_item(&list, &name)) {
		if (slice_ieq(name, S("From"))) {
			return true;
		}
	}
	return false;
}

static int run_message(void *arg)
{
	struct job *j = arg;
	unsigned char hash[SIG_HASH_LEN];
	bool partly;

	if (!sig_hash_header(j->s, &j->v->fields, hash)) {
		sig_decide(j->s, TRUST_TEMPERROR, "hashing failed");
		return 0;
	}
	partly = fields_partly(&j->v->fields, S("From"), j->s->field);
	sig_check(j->s, j->keys, hash);
	/* As in dkim_verify.c: a From was put on top (THREATS AN-02). */
	if (partly && j->s->result == TRUST_PASS) {
		j->s->result = TRUST_POLICY;
		j->s->reason = S("there is another From field, not signed");
	}
	if (j->newest) {
		j->v->covers_from = !partly && names_from(j->s);
	}
	return 0;
}

static int run_seal(void *arg)
{
	struct job *j = arg;

	sig_check(j->s, j->keys, j->v->hash[j->s->instance]);
	return 0;
}

CO_FN static int check_sig(struct arc_verifier *v, struct sig *s, struct dns *d, int64_t deadline)
{
	struct job j = { .v = v, .s = s, .newest = s->instance == v->chain.n };
	int r;

	if (s->kind == SIG_AMS) {
		sig_check_body(s, &v->body, &v->arena);
	}
	if (s->result != TRUST_NONE) {
		return 0;
	}
	r = sig_keys_get(&v->keys, d, s, deadline, &j.keys);
	if (r < 0) {
		return r;
	}
	if (s->kind == SIG_AMS) {
		sig_run(run_message, &j, v->heavy);
	} else {
		run_seal(&j);
	}
	return co_breathe();
}

static void fail(struct arc_verifier *v, const struct sig *s, struct arc_outcome *o)
{
	o->result = TRUST_FAIL;
	o->temporary = s->result == TRUST_TEMPERROR;
	o->reason = arena_printf(&v->arena, "%s of set %u: %.*s",
				 s->kind == SIG_AMS ? "ARC-Message-Signature" : "ARC-Seal",
				 s->instance, SLICE_ARG(s->reason));
}

/* The lowest instance down to which all message signatures pass; 0: all. */
CO_FN static int find_oldest(struct arc_verifier *v, struct dns *d, int64_t deadline,
			     unsigned *oldest)
{
	for (unsigned i = v->chain.n - 1; i >= 1; i--) {
		struct sig *s = v->chain.set[i].ams;
		int r = check_sig(v, s, d, deadline);

		if (r < 0) {
			return r;
		}
		if (s->result != TRUST_PASS) {
			*oldest = i + 1;
			return 0;
		}
	}
	*oldest = 0;
	return 0;
}

CO_FN static int check_seals(struct arc_verifier *v, struct dns *d, int64_t deadline,
			     struct arc_outcome *o)
{
	sig_run(run_seal_hashes, v, v->heavy);
	for (unsigned i = v->chain.n; i >= 1; i--) {
		struct sig *s = v->chain.set[i].seal;
		int r = 0;

		if (v->broken) {
			sig_decide(s, TRUST_TEMPERROR, "hashing failed");
		} else {
			r = check_sig(v, s, d, deadline);
		}
		if (r < 0) {
			return r;
		}
		if (s->result != TRUST_PASS) {
			fail(v, s, o);
			return 0;
		}
	}
	o->result = TRUST_PASS;
	o->covers_from = v->covers_from;
	return find_oldest(v, d, deadline, &o->oldest_pass);
}

CO_FN static int check_chain(struct arc_verifier *v, struct dns *d, int64_t deadline,
			     struct arc_outcome *o)
{
	struct sig *newest;
	int r;

	if (!v->chain.any) {
		return 0;
	}
	if (v->chain.problem.n) {
		o->result = TRUST_FAIL;
		o->reason = v->chain.problem;
		return 0;
	}
	newest = v->chain.set[v->chain.n].ams;
	r = check_sig(v, newest, d, deadline);
	if (r < 0) {
		return r;
	}
	if (newest->result != TRUST_PASS) {
		fail(v, newest, o);
		return 0;
	}
	return check_seals(v, d, deadline, o);
}

/* ---- telling ---------------------------------------------------------------------------- */

static void tell_newest(const struct arc_verifier *v, struct arena *a, struct arc_outcome *o)
{
	const struct arc_set *s = &v->chain.set[v->chain.n];
	struct buf text = BUF_INIT(SIG_FIELD_MAX);

	if (v->chain.n == 0 || !s->aar || !s->ams || !s->seal) {
		return;
	}
	o->instance = v->chain.n;
	o->sealer = arena_dup(a, s->seal->domain);
	mime_unfold(s->report, &text);
	o->reported = arena_dup(a, buf_slice(&text));
	buf_fini(&text);
}

CO_FN int arc_verifier_end(struct arc_verifier *v, struct dns *d, int64_t deadline, struct arena *a,
			   struct arc_outcome *out)
{
	struct arc_outcome o = { .result = TRUST_NONE };
	int r;

	sig_body_end(&v->body);
	r = check_chain(v, d, sig_deadline(d, deadline), &o);
	if (r < 0) {
		return r;
	}
	tell_newest(v, a, &o);
	o.reason = arena_dup(a, o.reason);
	if (arena_err(a) || arena_err(&v->arena)) {
		return -ENOMEM;
	}
	*out = o;
	return 0;
}
