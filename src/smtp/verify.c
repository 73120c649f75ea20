/*
 * The checks of a stranger's message in order, and the verdict (RFC 7489 6.6,
 * RFC 7208 8, RFC 8617 7.2).
 *
 * DMARC decides where a domain published a policy. Without one, a failing SPF
 * counts only if no signature passes. What could not be looked up refuses
 * nobody for good: where the policy says "reject" and an answer that might
 * have aligned is missing, the sender is asked to come again.
 */
#include "smtp/verify.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/rand.h"
#include "io/spool.h"
#include "smtp/internal.h"
#include "trust/authres.h"
#include "trust/domain.h"

#define VERIFY_ARENA_MAX (4u * 1024 * 1024)

bool verify_wanted(const struct proto_env *env, const struct net_addr *peer)
{
	return env->dns && peer->len && !net_addr_is_loopback(peer);
}

void verify_fini(struct verdict *v)
{
	arena_fini(&v->arena);
}

/* ---- asking --------------------------------------------------------------- */

CO_FN static int ask_spf(const struct verify_in *in, int64_t deadline, struct verdict *v)
{
	struct spf_query q = {
		.ip = *in->peer,
		.helo = in->helo,
		.receiver = slice_cstr(in->env->hostname),
		.now = clock_wall(),
	};
	int r = spf_check(in->env->dns, &q, deadline, &v->arena, &v->spf_helo);

	if (r != 0) {
		return r;
	}
	if (in->from.n == 0) {
		v->spf_from = v->spf_helo;
		return 0;
	}
	q.sender = in->from;
	return spf_check(in->env->dns, &q, deadline, &v->arena, &v->spf_from);
}

/* Reads the body once for both. */
CO_FN static int feed_body(const struct verify_in *in, struct dkim_verifier *dkim,
			   struct arc_verifier *arc, struct err *e)
{
	char *chunk = malloc(SMTP_CHUNK);
	uint64_t at = in->body;
	ssize_t n = chunk ? 1 : -ENOMEM;

	while (n > 0) {
		n = spool_read(in->spool, at, chunk, SMTP_CHUNK, e);
		if (n > 0) {
			at += (uint64_t)n;
			dkim_verifier_body(dkim, slice_make(chunk, (size_t)n));
			arc_verifier_body(arc, slice_make(chunk, (size_t)n));
			n = co_breathe() == 0 ? n : -ECANCELED;
		}
	}
	free(chunk);
	return (int)n;
}

CO_FN static int ask_signatures(const struct verify_in *in, int64_t deadline, struct verdict *v,
				struct err *e)
{
	struct dkim_verifier *dkim = NULL;
	struct arc_verifier *arc = NULL;
	int64_t now = clock_wall();
	int r = dkim_verifier_new(in->header, now, &dkim);

	if (r == 0) {
		r = arc_verifier_new(in->header, now, &arc);
	}
	if (r == 0 && (dkim_verifier_wants_body(dkim) || arc_verifier_wants_body(arc))) {
		r = feed_body(in, dkim, arc, e);
	}
	if (r == 0) {
		r = dkim_verifier_end(dkim, in->env->dns, deadline, &v->arena, &v->dkim);
	}
	if (r == 0) {
		r = arc_verifier_end(arc, in->env->dns, deadline, &v->arena, &v->arc);
	}
	dkim_verifier_free(&dkim);
	arc_verifier_free(&arc);
	return r;
}

/*
 * In time of its own: who sends a message also writes the names that were asked
 * for before, and servers of his could take all the time there is, so that no
 * policy would ever be found.
 */
CO_FN static int ask_dmarc(const struct verify_in *in, struct verdict *v)
{
	int64_t deadline = clock_in_ms(VERIFY_POLICY_TIMEOUT_MS);

	v->from = dmarc_authors(in->header, &v->arena, &v->authors);
	if (v->from != DMARC_FROM_OK) {
		return 0;
	}
	for (size_t i = 0; i < v->authors.n; i++) {
		struct dmarc_query q = {
			.author = v->authors.domains[i],
			.spf = &v->spf_from,
			.dkim = &v->dkim,
			.sample = (unsigned)(rand_u64() % 100),
		};
		int r = dmarc_check(in->env->dns, &q, deadline, &v->arena, &v->dmarc[i]);

		if (r != 0) {
			return r;
		}
	}
	return 0;
}

/* ---- the verdict ---------------------------------------------------------- */

static void refuse(struct verdict *v, const char *code, struct slice why)
{
	v->action = VERIFY_REFUSE;
	v->why = why;
	snprintf(v->reply, sizeof(v->reply), "%s %.*s", code, SLICE_ARG(why));
}

/* THREATS AN-03: whose message it is must be readable in one way only. */
static bool judge_from(struct verdict *v)
{
	static const struct slice why[] = {
		[DMARC_FROM_MISSING] = S("message needs a From field"),
		[DMARC_FROM_REPEATED] = S("message has two From fields"),
		[DMARC_FROM_BAD] = S("From holds an address that cannot be read"),
		[DMARC_FROM_MANY] = S("From names too many domains"),
	};

	if (v->from == DMARC_FROM_OK) {
		return true;
	}
	refuse(v, "550 5.7.1", why[v->from]);
	return false;
}

/* The policy is to reject, and an answer that might have aligned is missing. */
static bool must_wait(const struct dmarc_outcome *o)
{
	return o->result == TRUST_TEMPERROR && o->published == DMARC_REJECT;
}

static unsigned strictness(const struct dmarc_outcome *o)
{
	unsigned rank = o->disposition;

	/* Between quarantine and reject: nothing is taken before it is known. */
	rank = rank == DMARC_REJECT ? 4 : must_wait(o) ? 3 : rank;
	return 2 * rank + (o->result != TRUST_PASS);
}

/* The strictest of all authors; NULL: nobody published anything. */
static const struct dmarc_outcome *strictest(const struct verdict *v)
{
	const struct dmarc_outcome *worst = NULL;

	for (size_t i = 0; i < v->authors.n; i++) {
		const struct dmarc_outcome *o = &v->dmarc[i];

		if (o->result != TRUST_NONE && (!worst || strictness(o) > strictness(worst))) {
			worst = o;
		}
	}
	return worst;
}

/* One author's pass says nothing of another's. */
static bool reports_another(const struct verdict *v)
{
	for (enum trust_result r = TRUST_NONE; r <= TRUST_PERMERROR; r++) {
		if (r != TRUST_PASS && authres_says(v->arc.reported, "dmarc", r)) {
			return true;
		}
	}
	return false;
}

/* RFC 8617 7.2.1: did somebody we trust see it pass before it was changed? */
static bool arc_vouches(const struct proto_env *env, const struct verdict *v)
{
	if (v->arc.result != TRUST_PASS || !v->arc.covers_from ||
	    !authres_says(v->arc.reported, "dmarc", TRUST_PASS) || reports_another(v)) {
		return false;
	}
	for (size_t i = 0; i < env->n_arc_sealers; i++) {
		if (slice_ieq(v->arc.sealer, slice_cstr(env->arc_sealers[i]))) {
			return true;
		}
	}
	return false;
}

static bool any_signature(const struct verdict *v)
{
	for (size_t i = 0; i < v->dkim.n; i++) {
		if (v->dkim.results[i].result == TRUST_PASS) {
			return true;
		}
	}
	return false;
}

static void judge_spf(const struct proto_env *env, struct verdict *v)
{
	if (v->spf_from.result != TRUST_FAIL || any_signature(v)) {
		return;
	}
	if (env->spf_fail == TRUST_ON_FAIL_REFUSE) {
		refuse(v, "550 5.7.1",
		       arena_printf(&v->arena,
				    "SPF: %.*s does not allow your server to send its mail",
				    SLICE_ARG(v->spf_from.domain)));
	} else if (env->spf_fail == TRUST_ON_FAIL_JUNK) {
		v->action = VERIFY_JUNK;
		v->why = S("SPF fails");
	}
}

static void judge_dmarc(struct verdict *v, const struct dmarc_outcome *o)
{
	if (must_wait(o)) {
		refuse(v, "451 4.7.1",
		       arena_printf(&v->arena,
				    "DMARC: cannot find out now what %.*s says, try again later",
				    SLICE_ARG(o->author)));
	} else if (o->disposition == DMARC_REJECT) {
		refuse(v, "550 5.7.1",
		       arena_printf(&v->arena,
				    "DMARC: neither SPF nor DKIM confirms %.*s, whose policy is to "
				    "reject such mail",
				    SLICE_ARG(o->author)));
	} else if (o->disposition == DMARC_QUARANTINE) {
		v->action = VERIFY_JUNK;
		v->why = S("DMARC fails, the policy is quarantine");
	}
}

static void judge(const struct proto_env *env, struct verdict *v)
{
	const struct dmarc_outcome *o;

	if (env->trust_mark_only || !judge_from(v)) {
		return;
	}
	o = strictest(v);
	if (!o) {
		judge_spf(env, v);
	} else if (o->disposition != DMARC_NONE && arc_vouches(env, v)) {
		v->arc_override = true;
	} else {
		judge_dmarc(v, o);
	}
}

int verify_message(const struct verify_in *in, struct verdict *v, struct err *e)
{
	int64_t deadline = clock_in_ms(in->timeout_ms ? in->timeout_ms : VERIFY_TIMEOUT_MS);
	int r;

	*v = (struct verdict){ 0 };
	arena_init(&v->arena, VERIFY_ARENA_MAX);
	r = iprev_check(in->env->dns, in->peer, deadline, &v->arena, &v->iprev);
	if (r == 0) {
		r = ask_spf(in, deadline, v);
	}
	if (r == 0) {
		r = ask_signatures(in, deadline, v, e);
	}
	if (r == 0) {
		r = ask_dmarc(in, v);
	}
	if (r == 0) {
		judge(in->env, v);
		r = arena_err(&v->arena);
	}
	return r;
}

/* ---- telling -------------------------------------------------------------- */

static void tell_spf(const struct verify_in *in, const struct verdict *v, struct buf *out)
{
	authres_method(out, "spf", v->spf_helo.result, v->spf_helo.problem);
	authres_property(out, "smtp.helo", in->helo);
	if (in->from.n) {
		authres_method(out, "spf", v->spf_from.result, v->spf_from.problem);
		authres_property(out, "smtp.mailfrom", in->from);
	}
}

static void tell_dkim(const struct verdict *v, struct buf *out)
{
	if (v->dkim.n == 0) {
		authres_method(out, "dkim", TRUST_NONE, S(""));
	}
	for (size_t i = 0; i < v->dkim.n; i++) {
		const struct dkim_result *k = &v->dkim.results[i];

		authres_method(out, "dkim", k->result, k->result == TRUST_PASS ? S("") : k->reason);
		authres_property(out, "header.d", k->domain);
		authres_property(out, "header.i", k->identity);
		authres_property(out, "header.s", k->selector);
		authres_property(out, "header.a", k->algorithm);
		authres_property(out, "header.b", k->b);
	}
}

static void tell_arc(const struct verdict *v, struct buf *out)
{
	if (v->arc.result == TRUST_NONE) {
		return;
	}
	authres_method(out, "arc", v->arc.result,
		       v->arc.result == TRUST_PASS ? S("") : v->arc.reason);
	authres_property(out, "header.oldest-pass",
			 v->arc.result == TRUST_PASS && v->arc.oldest_pass == 0 ? S("0") : S(""));
}

static void tell_dmarc(const struct verdict *v, struct buf *out)
{
	for (size_t i = 0; v->from == DMARC_FROM_OK && i < v->authors.n; i++) {
		const struct dmarc_outcome *o = &v->dmarc[i];
		char text[64];

		authres_method(out, "dmarc", o->result, o->problem);
		authres_property(out, "header.from", o->author);
		if (o->domain.n) {
			snprintf(text, sizeof(text), "p=%s%s%s", dmarc_policy_name(o->published),
				 o->sampled_out ? ", spared by pct" : "",
				 v->arc_override ? ", spared by arc" : "");
			authres_comment(out, slice_cstr(text));
		}
	}
	if (v->from != DMARC_FROM_OK) {
		authres_method(out, "dmarc", TRUST_PERMERROR, S("From cannot be read"));
	}
}

void verify_field(const struct verify_in *in, const struct verdict *v, struct buf *out)
{
	char text[NET_ADDR_TEXT_MAX];

	authres_begin(out, slice_cstr(in->env->hostname));
	authres_method(out, "iprev", v->iprev.result, S(""));
	authres_property(out, "policy.iprev", slice_cstr(net_addr_text(in->peer, text)));
	if (v->iprev.name.n) {
		authres_comment(out, v->iprev.name);
	}
	tell_spf(in, v, out);
	tell_dkim(v, out);
	tell_arc(v, out);
	tell_dmarc(v, out);
	authres_end(out);
}

void verify_summary(const struct verdict *v, struct buf *out)
{
	buf_printf(out, "iprev=%s spf=%s", trust_result_name(v->iprev.result),
		   trust_result_name(v->spf_from.result));
	for (size_t i = 0; i < v->dkim.n; i++) {
		buf_printf(out, " dkim=%s(%.*s)", trust_result_name(v->dkim.results[i].result),
			   SLICE_ARG(v->dkim.results[i].domain));
	}
	if (v->arc.result != TRUST_NONE) {
		buf_printf(out, " arc=%s", trust_result_name(v->arc.result));
	}
	for (size_t i = 0; v->from == DMARC_FROM_OK && i < v->authors.n; i++) {
		buf_printf(out, " dmarc=%s(%.*s)", trust_result_name(v->dmarc[i].result),
			   SLICE_ARG(v->dmarc[i].author));
	}
}
