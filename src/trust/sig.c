/*
 * Reading a signature field (RFC 6376 3.5 and 6.1.1, RFC 8617 4.1.2 and
 * 4.1.3): see sig.h. Every tag that we know is checked, whether it matters to
 * us or not; what is not known is passed over.
 */
#include "trust/sig.h"

#include "base/codec.h"
#include "base/err.h"
#include "base/utf8.h"
#include "trust/arc.h"
#include "trust/domain.h"

/* RFC 6376 3.5: t= and x= have 1*12 digits. */
#define TIME_DIGITS_MAX 12
/* l= has 1*76 digits: more than any number of ours, and any body. */
#define LENGTH_DIGITS_MAX 76
#define INSTANCE_DIGITS_MAX 2

struct reader {
	struct sig *s;
	struct arena *a;
	int64_t now;
};

void sig_decide(struct sig *s, enum trust_result r, const char *why)
{
	if (s->result == TRUST_NONE) {
		s->result = r;
		s->reason = slice_cstr(why);
	}
}

static bool bad(struct sig *s, const char *why)
{
	sig_decide(s, TRUST_PERMERROR, why);
	return false;
}

/* The value of a tag; missing: p NULL. */
static struct slice value_of(const struct sig *s, struct slice name)
{
	const struct tag *t = tags_get(&s->tags, name);

	return t ? t->value : slice_make(NULL, 0);
}

static bool is_number(struct slice v, size_t max)
{
	if (v.n == 0 || v.n > max) {
		return false;
	}
	for (size_t i = 0; i < v.n; i++) {
		if (!ascii_isdigit((unsigned char)v.p[i])) {
			return false;
		}
	}
	return true;
}

/* ---- single tags ------------------------------------------------------------- */

static bool read_version(struct sig *s)
{
	return slice_eq(value_of(s, S("v")), S("1")) || bad(s, "v= is not 1");
}

static bool read_algorithm(struct sig *s)
{
	struct slice v = value_of(s, S("a"));

	if (!v.p) {
		return bad(s, "a= is missing");
	}
	if (slice_eq(v, S("rsa-sha256"))) {
		s->algorithm = SIG_RSA_SHA256;
	} else if (slice_eq(v, S("ed25519-sha256"))) {
		s->algorithm = SIG_ED25519_SHA256;
	} else if (slice_eq(v, S("rsa-sha1"))) {
		return bad(s, "rsa-sha1 is not safe any more (RFC 8301)");
	} else {
		return bad(s, "a= names an algorithm that is not known");
	}
	return true;
}

static bool read_b(struct sig *s)
{
	struct slice v = value_of(s, S("b"));
	int n = tags_base64(v, s->b, sizeof(s->b));

	if (!v.p) {
		return bad(s, "b= is missing");
	}
	if (n <= 0) {
		return bad(s, "b= is no signature in base64");
	}
	s->b_len = (size_t)n;
	return true;
}

static bool read_bh(struct sig *s)
{
	struct slice v = value_of(s, S("bh"));

	if (!v.p) {
		return bad(s, "bh= is missing");
	}
	return tags_base64(v, s->bh, sizeof(s->bh)) == SIG_HASH_LEN ||
	       bad(s, "bh= is no hash in base64");
}

static bool canon_of(struct slice word, enum canon *out)
{
	if (slice_eq(word, S("simple"))) {
		*out = CANON_SIMPLE;
		return true;
	}
	*out = CANON_RELAXED;
	return slice_eq(word, S("relaxed"));
}

/* c=. Without it all is simple; of ARC, relaxed: RFC 8617 does not say so, but
 * its suite and other validators do. */
static bool read_canon(struct sig *s)
{
	struct slice v = value_of(s, S("c"));
	bool body = v.p && slice_chr(v, '/') != SIZE_MAX;

	s->header = s->body = CANON_SIMPLE;
	if (!v.p) {
		s->header = s->body = s->kind == SIG_AMS ? CANON_RELAXED : CANON_SIMPLE;
		return true;
	}
	if (!canon_of(slice_split(&v, '/'), &s->header) || (body && !canon_of(v, &s->body))) {
		return bad(s, "c= names a canonicalisation that is not known");
	}
	return true;
}

/*
 * A name in d=, s= or i= becomes one that can be asked for: lower case,
 * A-labels, appended to out. Nothing but letters, digits, "-", "_" and dots
 * comes out, so no NUL, quote or blank goes any further (THREATS AN-02). d=
 * has two labels at least (RFC 6376 3.5).
 */
static bool canon_name(struct slice v, unsigned labels, struct buf *out)
{
	size_t at = out->n;
	struct slice left;

	if (v.n == 0 || v.n > SIG_IDENTITY_MAX || v.p[v.n - 1] == '.' ||
	    trust_domain_canon(v, out) < 0) {
		return false;
	}
	left = slice_from(buf_slice(out), at);
	while (left.p && labels) {
		slice_split(&left, '.');
		labels--;
	}
	return labels == 0;
}

static bool read_name(struct reader *r, struct slice tag, unsigned labels, struct slice *out)
{
	struct buf name = BUF_INIT(SIG_IDENTITY_MAX);
	bool ok = canon_name(value_of(r->s, tag), labels, &name);

	if (ok) {
		*out = arena_dup(r->a, buf_slice(&name));
	}
	buf_fini(&name);
	return ok;
}

static bool read_domain(struct reader *r)
{
	if (!read_name(r, S("d"), 2, &r->s->domain)) {
		return bad(r->s, "d= is no domain");
	}
	return read_name(r, S("s"), 1, &r->s->selector) || bad(r->s, "s= is no selector");
}

static bool is_from(struct slice name)
{
	return slice_ieq(name, S("From"));
}

static bool is_field_name(struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] <= 0x20 || s.p[i] >= 0x7f) {
			return false;
		}
	}
	return true;
}

/*
 * h=. The From field must be signed (RFC 6376 6.1.1); ARC knows no such rule,
 * takes empty names, and must not sign seals (RFC 8617 4.1.2).
 */
static bool read_names(struct sig *s)
{
	struct slice list = value_of(s, S("h"));
	struct slice name;
	bool dkim = s->kind == SIG_DKIM;
	bool from = false;
	size_t n = 0;

	s->names = list;
	if (!list.p) {
		return bad(s, "h= is missing");
	}
	while (tags_item(&list, &name)) {
		if (!is_field_name(name) || (dkim && name.n == 0)) {
			return bad(s, "h= holds something that is no field name");
		}
		if (++n > SIG_NAMES_MAX) {
			return bad(s, "h= names too many fields");
		}
		if (!dkim && slice_ieq(name, S("ARC-Seal"))) {
			return bad(s, "h= names ARC-Seal");
		}
		from = from || is_from(name);
	}
	return from || !dkim || bad(s, "h= does not name From");
}

static bool read_length(struct sig *s)
{
	struct slice v = value_of(s, S("l"));

	s->has_length = v.p != NULL;
	if (!s->has_length) {
		return true;
	}
	if (!is_number(v, LENGTH_DIGITS_MAX)) {
		return bad(s, "l= is no number");
	}
	if (slice_u64(v, &s->length) != 0) {
		s->length = UINT64_MAX;
	}
	return true;
}

/* One time tag: *out is -1 when it is not there. */
static bool read_time(const struct sig *s, struct slice tag, int64_t *out)
{
	struct slice v = value_of(s, tag);
	uint64_t t = 0;

	*out = -1;
	if (!v.p) {
		return true;
	}
	if (!is_number(v, TIME_DIGITS_MAX) || slice_u64(v, &t) != 0) {
		return false;
	}
	*out = (int64_t)t;
	return true;
}

static bool read_times(const struct reader *r)
{
	int64_t made, expires;

	if (!read_time(r->s, S("t"), &made) || !read_time(r->s, S("x"), &expires)) {
		return bad(r->s, "t= or x= is no time");
	}
	if (made >= 0 && expires >= 0 && expires <= made) {
		return bad(r->s, "x= is not after t=");
	}
	if (expires >= 0 && r->now > expires + SIG_SKEW) {
		sig_decide(r->s, TRUST_FAIL, "the signature has expired");
	}
	if (made > r->now + SIG_SKEW) {
		sig_decide(r->s, TRUST_FAIL, "the signature was made in the future");
	}
	return true;
}

/* q=: one of the methods must be ours. */
static bool read_query(struct sig *s)
{
	struct slice v = value_of(s, S("q"));

	return !v.p || tags_list_has(v, S("dns/txt")) ||
	       bad(s, "q= names no way to the key that is known");
}

/* ---- i= of DKIM --------------------------------------------------------------- */

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* dkim-quoted-printable (RFC 6376 2.11); white space says nothing. */
static bool decode_qp(struct slice v, struct buf *out)
{
	for (size_t i = 0; i < v.n; i++) {
		char c = v.p[i];
		int hi, lo;

		if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
			continue;
		}
		if (c != '=') {
			buf_addc(out, c);
			continue;
		}
		hi = i + 2 < v.n ? hex_digit(v.p[i + 1]) : -1;
		lo = hi >= 0 ? hex_digit(v.p[i + 2]) : -1;
		if (lo < 0) {
			return false;
		}
		buf_addc(out, (char)(hi * 16 + lo));
		i += 2;
	}
	return !out->err;
}

static bool has_control(struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (c < 0x20 || c == 0x7f) {
			return true;
		}
	}
	return false;
}

/* Local part as it is, domain canonical: appended to out. */
static bool canon_identity(struct slice id, struct buf *out, struct slice *domain)
{
	size_t at = slice_rchr(id, '@');
	size_t start;

	if (at == SIZE_MAX || has_control(id) || !utf8_valid(id)) {
		return false;
	}
	buf_add(out, slice_sub(id, 0, at + 1));
	start = out->n;
	if (!canon_name(slice_from(id, at + 1), 2, out)) {
		return false;
	}
	*domain = slice_from(buf_slice(out), start);
	return true;
}

static bool given_identity(struct reader *r, struct slice v)
{
	struct buf plain = BUF_INIT(SIG_IDENTITY_MAX);
	struct buf canon = BUF_INIT(SIG_IDENTITY_MAX);
	struct slice domain = slice_make(NULL, 0);
	struct sig *s = r->s;
	bool ok = decode_qp(v, &plain) && canon_identity(buf_slice(&plain), &canon, &domain) &&
		  !canon.err;

	if (!ok) {
		bad(s, "i= is no identity");
	} else if (!trust_domain_within(domain, s->domain)) {
		ok = bad(s, "i= is not within d=");
	} else {
		s->strict_names = !slice_eq(domain, s->domain);
		s->identity = arena_dup(r->a, buf_slice(&canon));
	}
	buf_fini(&plain);
	buf_fini(&canon);
	return ok;
}

static bool read_identity(struct reader *r)
{
	struct slice v = value_of(r->s, S("i"));

	if (v.p) {
		return given_identity(r, v);
	}
	r->s->identity = arena_printf(r->a, "@%.*s", SLICE_ARG(r->s->domain));
	return true;
}

/* ---- i= of ARC ----------------------------------------------------------------- */

static bool read_instance(struct sig *s)
{
	struct slice v = value_of(s, S("i"));
	uint32_t n = 0;

	if (!is_number(v, INSTANCE_DIGITS_MAX) || slice_u32(v, &n) != 0 || n == 0 ||
	    n > ARC_SETS_MAX) {
		return bad(s, "i= is no instance");
	}
	s->instance = n;
	return true;
}

/* ---- whole fields ---------------------------------------------------------------- */

static bool read_signature(struct reader *r)
{
	struct sig *s = r->s;

	return read_domain(r) && (s->kind != SIG_DKIM || read_identity(r)) && read_algorithm(s) &&
	       read_b(s) && read_bh(s) && read_canon(s) && read_names(s) && read_length(s) &&
	       read_query(s) && read_times(r);
}

static bool read_seal(struct reader *r)
{
	struct sig *s = r->s;

	s->header = CANON_RELAXED;
	if (tags_get(&s->tags, S("h"))) {
		return bad(s, "a seal must not have h=");
	}
	return read_domain(r) && read_algorithm(s) && read_b(s) && read_times(r);
}

static void read_tags(struct reader *r)
{
	struct sig *s = r->s;
	int rc;

	if (s->field->raw.n > SIG_FIELD_MAX) {
		bad(s, "the field is too long");
		return;
	}
	rc = tags_parse(s->field->body, &s->tags);
	if (rc < 0) {
		s->tags.n = 0;
		bad(s, tags_problem(rc));
	} else if (s->kind == SIG_DKIM) {
		(void)(read_version(s) && read_signature(r));
	} else if (read_instance(s)) {
		(void)(s->kind == SIG_AMS ? read_signature(r) : read_seal(r));
	}
}

int sig_read(const struct field *f, enum sig_kind kind, int64_t now, struct arena *a,
	     struct sig *out)
{
	struct reader r = { .s = out, .a = a, .now = now };

	*out = (struct sig){ .field = f, .kind = kind };
	read_tags(&r);
	return arena_err(a) ? -ENOMEM : 0;
}
