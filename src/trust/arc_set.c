/*
 * The structure of a chain (RFC 8617 4.1, 4.2, 5.1.1, 5.2): see arc_set.h.
 *
 * One field that cannot be read, or one that is there twice, and there is no
 * chain to speak of; so the first problem that is found is kept, and no field
 * is ever guessed to belong to some set.
 */
#include "trust/arc_set.h"

#include "base/cur.h"
#include "base/err.h"

#define COMMENT_DEPTH_MAX 20

/* ---- i= of ARC-Authentication-Results -------------------------------------------- */

/* One comment (RFC 5322 3.2.2), nested ones too. False: it does not end. */
static bool skip_comment(struct cur *c)
{
	unsigned depth = 0;
	int ch;

	do {
		ch = cur_byte(c);
		if (ch == '\\') {
			cur_byte(c);
		} else if (ch == '(') {
			depth++;
		} else if (ch == ')') {
			depth--;
		}
	} while (ch >= 0 && depth && depth <= COMMENT_DEPTH_MAX);
	return depth == 0 && !c->err;
}

static bool skip_cfws(struct cur *c)
{
	while (!cur_done(c)) {
		int ch = cur_peek(c);

		if (ch == '(') {
			if (!skip_comment(c)) {
				return false;
			}
		} else if (ch == ' ' || ch == '\t' || ch == '\r' || ch == '\n') {
			cur_byte(c);
		} else {
			break;
		}
	}
	return !c->err;
}

unsigned arc_report_instance(struct slice body, struct slice *rest)
{
	struct cur c = cur_init(body);
	struct slice digits;
	uint32_t n = 0;

	if (!skip_cfws(&c) || !cur_exact(&c, S("i")) || !skip_cfws(&c) || !cur_need(&c, '=') ||
	    !skip_cfws(&c)) {
		return 0;
	}
	digits = cur_rest(&c);
	while (cur_peek(&c) >= '0' && cur_peek(&c) <= '9') {
		cur_byte(&c);
	}
	digits.n -= cur_left(&c);
	if (digits.n > 2 || slice_u32(digits, &n) != 0 || !skip_cfws(&c) || !cur_need(&c, ';')) {
		return 0;
	}
	if (n == 0 || n > ARC_SETS_MAX) {
		return 0;
	}
	*rest = slice_trim(cur_rest(&c));
	return n;
}

/* ---- reading ------------------------------------------------------------------------ */

static void problem(struct arc_chain *c, const char *why)
{
	if (!c->problem.n) {
		c->problem = slice_cstr(why);
	}
}

static void problem_in(struct arc_chain *c, struct arena *a, unsigned i, const char *why)
{
	if (!c->problem.n) {
		c->problem = arena_printf(a, "set %u: %s", i, why);
	}
}

static struct arc_set *set_of(struct arc_chain *c, unsigned instance)
{
	assert(instance >= 1 && instance <= ARC_SETS_MAX);
	c->n = MAX(c->n, instance);
	return &c->set[instance];
}

static void read_report(struct arc_chain *c, const struct field *f, struct arena *a)
{
	struct slice rest;
	unsigned i = f->raw.n <= SIG_FIELD_MAX ? arc_report_instance(f->body, &rest) : 0;
	struct arc_set *s;

	if (i == 0) {
		problem(c, "an ARC-Authentication-Results has no instance");
		return;
	}
	s = set_of(c, i);
	if (s->aar) {
		problem_in(c, a, i, "two ARC-Authentication-Results");
		return;
	}
	s->aar = f;
	s->report = rest;
}

static enum arc_cv cv_of(const struct sig *s)
{
	const struct tag *t = tags_get(&s->tags, S("cv"));

	if (t && slice_eq(t->value, S("none"))) {
		return ARC_CV_NONE;
	}
	if (t && slice_eq(t->value, S("pass"))) {
		return ARC_CV_PASS;
	}
	return t && slice_eq(t->value, S("fail")) ? ARC_CV_FAIL : ARC_CV_BAD;
}

static int read_sig(struct arc_chain *c, const struct field *f, enum sig_kind kind, int64_t now,
		    struct arena *a)
{
	const char *name = kind == SIG_AMS ? "ARC-Message-Signature" : "ARC-Seal";
	struct sig *s = arena_new(a, struct sig), **place;
	struct arc_set *set;

	if (!s || sig_read(f, kind, now, a, s) < 0) {
		return -ENOMEM;
	}
	if (s->instance == 0) {
		if (!c->problem.n) {
			c->problem = arena_printf(a, "an %s: %.*s", name, SLICE_ARG(s->reason));
		}
		return 0;
	}
	set = set_of(c, s->instance);
	place = kind == SIG_AMS ? &set->ams : &set->seal;
	if (*place) {
		problem_in(c, a, s->instance,
			   kind == SIG_AMS ? "two ARC-Message-Signatures" : "two ARC-Seals");
		return 0;
	}
	*place = s;
	if (kind == SIG_SEAL) {
		set->cv = cv_of(s);
	}
	return 0;
}

int arc_chain_read(struct arc_chain *c, const struct fields *f, int64_t now, struct arena *a)
{
	int r = 0;

	*c = (struct arc_chain){ 0 };
	c->any = fields_count(f, S("ARC-Seal")) || fields_count(f, S("ARC-Message-Signature")) ||
		 fields_count(f, S("ARC-Authentication-Results"));
	if (fields_count(f, S("ARC-Seal")) > ARC_SETS_MAX ||
	    fields_count(f, S("ARC-Message-Signature")) > ARC_SETS_MAX ||
	    fields_count(f, S("ARC-Authentication-Results")) > ARC_SETS_MAX) {
		problem(c, "more than 50 sets");
	}
	for (size_t i = 0; c->any && i < f->n && !c->problem.n && r == 0; i++) {
		const struct field *e = &f->field[i];

		if (slice_ieq(e->name, S("ARC-Seal"))) {
			r = read_sig(c, e, SIG_SEAL, now, a);
		} else if (slice_ieq(e->name, S("ARC-Message-Signature"))) {
			r = read_sig(c, e, SIG_AMS, now, a);
		} else if (slice_ieq(e->name, S("ARC-Authentication-Results"))) {
			read_report(c, e, a);
		}
	}
	return r < 0 || arena_err(a) ? -ENOMEM : 0;
}

/* ---- structure ------------------------------------------------------------------------ */

static const char *set_problem(const struct arc_set *s, unsigned i)
{
	if (!s->aar && !s->ams && !s->seal) {
		return "is missing";
	}
	if (!s->aar) {
		return "has no ARC-Authentication-Results";
	}
	if (!s->ams) {
		return "has no ARC-Message-Signature";
	}
	if (!s->seal) {
		return "has no ARC-Seal";
	}
	if (s->cv == ARC_CV_FAIL) {
		return "says that the chain was broken (cv=fail)";
	}
	if (s->cv != (i == 1 ? ARC_CV_NONE : ARC_CV_PASS)) {
		return i == 1 ? "is the first and does not say cv=none" : "does not say cv=pass";
	}
	return NULL;
}

void arc_chain_check(struct arc_chain *c, struct arena *a)
{
	/* From the newest: what it says of a broken chain comes first (step 2). */
	for (unsigned i = c->n; i >= 1 && !c->problem.n; i--) {
		const char *why = set_problem(&c->set[i], i);

		if (why) {
			c->problem = arena_printf(a, "set %u %s", i, why);
		}
	}
}

/* ---- what seals sign --------------------------------------------------------------------- */

static const struct slice nothing = { NULL, 0 };

static void hash_statements(const struct arc_set *s, EVP_MD_CTX *md)
{
	sig_hash_field(md, CANON_RELAXED, s->aar, nothing, false);
	sig_hash_field(md, CANON_RELAXED, s->ams->field, nothing, false);
}

void arc_hash_set(const struct arc_set *s, EVP_MD_CTX *md)
{
	hash_statements(s, md);
	sig_hash_field(md, CANON_RELAXED, s->seal->field, nothing, false);
}

/* What the seal of set s itself signs, behind all the sets before it. */
static bool own_hash(const struct arc_set *s, const EVP_MD_CTX *before, EVP_MD_CTX *own,
		     unsigned char out[SIG_HASH_LEN])
{
	const struct tag *b = tags_get(&s->seal->tags, S("b"));

	if (EVP_MD_CTX_copy_ex(own, before) != 1) {
		return false;
	}
	hash_statements(s, own);
	sig_hash_field(own, CANON_RELAXED, s->seal->field, b ? b->whole : nothing, true);
	return EVP_DigestFinal_ex(own, out, NULL) == 1;
}

bool arc_chain_hashes(const struct arc_chain *c, unsigned char (*hash)[SIG_HASH_LEN])
{
	EVP_MD_CTX *all = EVP_MD_CTX_new(), *own = EVP_MD_CTX_new();
	bool ok = all && own && EVP_DigestInit_ex(all, EVP_sha256(), NULL) == 1;

	for (unsigned i = 1; ok && i <= c->n; i++) {
		ok = own_hash(&c->set[i], all, own, hash[i]);
		arc_hash_set(&c->set[i], all);
	}
	EVP_MD_CTX_free(all);
	EVP_MD_CTX_free(own);
	return ok;
}
