/*
 * check_host() of SPF (RFC 7208 4): see spf.h.
 *
 * A check walks records: redirect goes on in the same walk, include starts one
 * inside. Both use up one of ten terms, so the depth is bounded by them. The
 * whole record is read before anything in it counts (4.6).
 */
#include "trust/domain.h"
#include "trust/spf_impl.h"

#define SCRATCH_MAX (4u << 20) /* eleven answers of the DNS, more or less */

/* What one walk comes to. */
struct walk {
	struct slice domain;	/* whose record decided */
	struct slice mechanism; /* that matched */
	struct slice exp;	/* domain-spec, or empty */
};

/* ---- the record of a domain (4.4, 4.5) ------------------------------------------ */

/* Is this TXT an SPF record? *terms is what follows the version. */
static bool is_spf(struct slice txt, struct slice *terms)
{
	if (!slice_istarts(txt, S("v=spf1")) || (txt.n > 6 && txt.p[6] != ' ')) {
		return false;
	}
	*terms = slice_from(txt, 6);
	return true;
}

/* The strings of a TXT put together, in scratch; empty if damaged. */
static struct slice txt_of(struct spf_check *c, struct slice rdata)
{
	struct buf b = BUF_INIT(rdata.n);
	struct slice s = { NULL, 0 };

	if (dns_rdata_txt(rdata, &b) == 0) {
		s = arena_dup(&c->scratch, buf_slice(&b));
	}
	buf_fini(&b);
	return s;
}

/* The one record; that there is none is an outcome of its own, not void. */
CO_FN static int find_record(struct spf_check *c, struct slice domain, bool *found,
			     struct slice *terms)
{
	struct dns_answer ans;
	unsigned n = 0;
	int r = spf_ask(c, domain, DNS_TXT, true, &ans);

	for (size_t i = 0; r == 0 && i < ans.n; i++) {
		n += is_spf(txt_of(c, ans.rdata[i]), terms);
	}
	if (r == 0 && arena_err(&c->scratch)) {
		r = -ENOMEM;
	}
	if (r == 0 && n > 1) {
		r = spf_end(c, TRUST_PERMERROR, "%.*s has more than one SPF record",
			    SLICE_ARG(domain));
	}
	*found = n == 1;
	return r;
}

/* Every term, the two modifiers that count into *redirect and *exp. */
static int check_record(struct spf_check *c, struct slice domain, struct slice terms,
			struct slice *redirect, struct slice *exp)
{
	struct spf_term t;
	int r;

	*redirect = *exp = slice_make(NULL, 0);
	while ((r = spf_term_next(&terms, &t)) == 1) {
		struct slice *once = t.kind == SPF_REDIRECT ? redirect
				     : t.kind == SPF_EXP    ? exp
							    : NULL;

		if (once && once->n) {
			r = -EINVAL;
			break;
		}
		if (once) {
			*once = t.spec;
		}
	}
	if (r < 0) {
		return spf_end(c, TRUST_PERMERROR, "syntax error in the record of %.*s: %.*s",
			       SLICE_ARG(domain), (int)MIN(t.text.n, 100), t.text.p);
	}
	return 0;
}

/* ---- walking (4.6) ------------------------------------------------------------------ */

CO_FN static int walk_records(struct spf_check *c, struct slice domain, struct walk *w);

/* The result of the other domain (5.2). */
CO_FN static int match_include(struct spf_check *c, struct slice domain, const struct spf_term *t,
			       bool *match)
{
	struct arena_mark mark = arena_mark(&c->scratch);
	struct buf name = BUF_INIT(DNS_NAME_MAX);
	struct walk inner;
	int r = spf_count_term(c);

	if (r == 0) {
		r = spf_expand(c, domain, t->spec, false, &name);
		r = r == 0 ? walk_records(c, buf_slice(&name), &inner) : r;
		*match = r == TRUST_PASS;
		if (r == TRUST_PASS || r == TRUST_FAIL || r == TRUST_SOFTFAIL ||
		    r == TRUST_NEUTRAL || r == SPF_NO_NAME) {
			r = 0;
		} else if (r == TRUST_NONE) {
			r = spf_end(c, TRUST_PERMERROR, "include: %.*s has no SPF record",
				    SLICE_ARG(buf_slice(&name)));
		}
	}
	buf_fini(&name);
	arena_reset(&c->scratch, mark);
	return r;
}

/* The result of the first mechanism that matches; 0: none does. */
CO_FN static int first_match(struct spf_check *c, struct slice domain, struct slice terms,
			     struct walk *w)
{
	struct spf_term t;

	while (spf_term_next(&terms, &t) == 1) {
		bool match = t.kind == SPF_ALL;
		int r = 0;

		if (t.kind == SPF_INCLUDE) {
			r = match_include(c, domain, &t, &match);
		} else if (t.kind != SPF_ALL && t.kind < SPF_REDIRECT) {
			r = spf_match(c, domain, &t, &match);
		}
		if (r != 0) {
			return r;
		}
		if (match) {
			w->mechanism = t.text;
			return (int)t.qualifier;
		}
	}
	return 0;
}

/* The domain to go on with, in scratch (6.1). */
CO_FN static int redirected(struct spf_check *c, struct slice spec, struct slice *domain)
{
	struct buf name = BUF_INIT(DNS_NAME_MAX);
	int r = spf_count_term(c);

	if (r == 0) {
		r = spf_expand(c, *domain, spec, false, &name);
	}
	if (r == SPF_NO_NAME) {
		r = spf_end(c, TRUST_PERMERROR, "redirect: the local part is not ASCII");
	}
	*domain = arena_dup(&c->scratch, buf_slice(&name));
	buf_fini(&name);
	return r == 0 && arena_err(&c->scratch) ? -ENOMEM : r;
}

/* A result (TRUST_NONE: the domain has no record), or -errno. */
CO_FN static int walk_records(struct spf_check *c, struct slice domain, struct walk *w)
{
	struct slice redirect = { NULL, 0 };
	bool first = true;
	int r;

	*w = (struct walk){ .domain = domain };
	do {
		struct slice terms;
		bool found;

		r = find_record(c, w->domain, &found, &terms);
		if (r == 0 && !found && first) {
			return TRUST_NONE;
		}
		if (r == 0 && !found) {
			return spf_end(c, TRUST_PERMERROR, "redirect: %.*s has no SPF record",
				       SLICE_ARG(w->domain));
		}
		if (r == 0) {
			r = check_record(c, w->domain, terms, &redirect, &w->exp);
		}
		if (r == 0) {
			r = first_match(c, w->domain, terms, w);
		}
		if (r == 0 && redirect.n > 0) {
			r = redirected(c, redirect, &w->domain);
		}
		first = false;
	} while (r == 0 && redirect.n > 0);
	return r == 0 ? TRUST_NEUTRAL : r;
}

/* ---- the explanation of a fail (6.2) ---------------------------------------------------- */

/* The one TXT record's text; empty if there is none to use. 0 or -errno. */
CO_FN static int find_explanation(struct spf_check *c, const struct walk *w, struct slice *text)
{
	struct buf name = BUF_INIT(DNS_NAME_MAX);
	struct dns_answer ans = { .n = 0 };
	int r = spf_expand(c, w->domain, w->exp, false, &name);

	if (r == 0) {
		r = dns_query(c->dns, buf_slice(&name), DNS_TXT, c->deadline, &c->scratch, &ans);
	}
	if (r == 0 && ans.result == DNS_OK && ans.n == 1) {
		*text = txt_of(c, ans.rdata[0]);
	}
	buf_fini(&name);
	return r;
}

/* Nothing that goes wrong here changes the result. 0, -ENOMEM, -ECANCELED. */
CO_FN static int explain(struct spf_check *c, const struct walk *w, struct slice *out)
{
	struct buf b = BUF_INIT(SPF_EXPLANATION_MAX);
	struct slice text = { NULL, 0 };
	int r = find_explanation(c, w, &text);

	if (r == 0 && text.n > 0 && spf_is_macro_string(text, true)) {
		r = spf_expand(c, w->domain, text, true, &b);
	}
	for (size_t i = 0; i < b.n; i++) {
		b.p[i] = b.p[i] >= ' ' && b.p[i] < 0x7f ? b.p[i] : '?';
	}
	if (r == 0 && b.n > 0) {
		*out = arena_dup(c->arena, buf_slice(&b));
	}
	buf_fini(&b);
	return r == -ENOMEM || r == -ECANCELED ? r : 0;
}

/* ---- what is asked (4.3) ------------------------------------------------------------------ */

/* In A-labels, without a final dot, with two labels at least; else empty. In
 * the arena. */
static struct slice domain_of(struct slice text, struct arena *a)
{
	struct buf canon = BUF_INIT(TRUST_DOMAIN_MAX);
	struct buf asked = BUF_INIT(DNS_TEXT_MAX);
	struct slice domain = text;

	if (slice_has_8bit(text)) {
		domain = trust_domain_canon(text, &canon) == 0 ? buf_slice(&canon) : S("");
	}
	if (slice_ends(domain, S("."))) {
		domain.n--;
	}
	if (dns_name_text(domain, &asked) != 0 || slice_chr(domain, '.') == SIZE_MAX ||
	    domain.p[0] == '[') {
		domain = S("");
	}
	domain = arena_dup(a, domain);
	buf_fini(&canon);
	buf_fini(&asked);
	return domain;
}

/* HELO as a macro gives it: also what is no domain. */
static struct slice helo_of(struct slice text, struct arena *a)
{
	struct slice domain = slice_has_8bit(text) ? domain_of(text, a) : text;

	return domain;
}

/* The parts of MAIL FROM, or of postmaster@helo. */
static void take_sender(struct spf_check *c)
{
	struct slice sender = c->q->sender;
	size_t at = slice_rchr(sender, '@');

	c->helo = helo_of(c->q->helo, c->arena);
	c->local = at == SIZE_MAX ? S("") : slice_sub(sender, 0, at);
	if (c->local.n == 0) {
		c->local = S("postmaster");
	}
	if (sender.n == 0) {
		sender = c->q->helo;
	} else if (at != SIZE_MAX) {
		sender = slice_from(sender, at + 1);
	}
	c->sender_domain = domain_of(sender, c->arena);
}

CO_FN static int run(struct spf_check *c, struct spf_outcome *out)
{
	struct walk w = { .exp = { NULL, 0 } };
	int r = walk_records(c, c->sender_domain, &w);

	if (r < 0) {
		return r;
	}
	out->result = (enum trust_result)r;
	out->mechanism = arena_dup(c->arena, w.mechanism);
	if (out->result == TRUST_FAIL && w.exp.n > 0) {
		return explain(c, &w, &out->explanation);
	}
	return 0;
}

CO_FN int spf_check(struct dns *d, const struct spf_query *q, int64_t deadline, struct arena *a,
		    struct spf_outcome *out)
{
	struct spf_check c = {
		.dns = d,
		.q = q,
		.deadline = deadline ? deadline : clock_in_ms(SPF_TIMEOUT_MS),
		.arena = a,
		.ip = ptr_plain(&q->ip),
	};
	int r = 0;

	*out = (struct spf_outcome){ .result = TRUST_NONE };
	take_sender(&c);
	out->domain = c.sender_domain;
	arena_init(&c.scratch, SCRATCH_MAX);
	if (c.ip.len > 0 && c.sender_domain.n > 0) {
		r = run(&c, out);
	}
	arena_fini(&c.scratch);
	if (out->result == TRUST_TEMPERROR || out->result == TRUST_PERMERROR) {
		out->problem = c.problem;
	}
	out->terms = c.terms;
	out->voids = c.voids;
	return r == 0 && arena_err(a) ? -ENOMEM : r;
}
