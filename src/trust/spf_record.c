/*
 * The terms of an SPF record (RFC 7208 4.6.1, 5, 6, 12): see spf_impl.h.
 *
 * Terms are cut off one by one and nothing is kept, so a record of 64 KiB
 * costs no memory. spf.c goes through all of them once before it evaluates
 * any, since an error anywhere spoils the whole record (4.6).
 */
#include "trust/spf_impl.h"

static const cur_class name_chars = {
	['a' ... 'z'] = 1, ['A' ... 'Z'] = 1, ['0' ... '9'] = 1, ['-'] = 1, ['_'] = 1, ['.'] = 1,
};

static const struct {
	const char *name;
	enum spf_kind kind;
} mechanisms[] = {
	{ "all", SPF_ALL }, { "include", SPF_INCLUDE }, { "a", SPF_A },
	{ "mx", SPF_MX },   { "ptr", SPF_PTR },		{ "ip4", SPF_IP4 },
	{ "ip6", SPF_IP6 }, { "exists", SPF_EXISTS },
};

/* "0", or digits without a leading zero, at most max, that are all of s. */
static bool read_cidr(struct slice s, unsigned max, unsigned *out)
{
	uint32_t n;

	if (s.n == 0 || s.n > 3 || (s.p[0] == '0' && s.n > 1) || slice_u32(s, &n) < 0 || n > max) {
		return false;
	}
	*out = n;
	return true;
}

/* The digits at the end of s, with what stands before them in *before. */
static struct slice digits_at_end(struct slice s, struct slice *before)
{
	size_t at = s.n;

	while (at > 0 && ascii_isdigit((unsigned char)s.p[at - 1])) {
		at--;
	}
	*before = slice_sub(s, 0, at);
	return slice_from(s, at);
}

/* [ "/" ip4-cidr ] [ "//" ip6-cidr ] off the end of *s. */
static bool take_dual_cidr(struct slice *s, struct spf_term *t)
{
	struct slice before;
	struct slice digits = digits_at_end(*s, &before);

	if (slice_ends(before, S("//"))) {
		if (!read_cidr(digits, 128, &t->cidr6)) {
			return false;
		}
		*s = slice_sub(before, 0, before.n - 2);
		digits = digits_at_end(*s, &before);
	}
	if (slice_ends(before, S("/")) && digits.n > 0) {
		if (!read_cidr(digits, 32, &t->cidr4)) {
			return false;
		}
		*s = slice_sub(before, 0, before.n - 1);
	}
	return true;
}

/* ":" domain-spec, which may be missing if optional. */
static bool take_spec(struct slice rest, bool optional, struct spf_term *t)
{
	if (rest.n == 0) {
		return optional;
	}
	t->spec = slice_from(rest, 1);
	return rest.p[0] == ':' && spf_is_domain_spec(t->spec);
}

/* ":" network [ "/" cidr ] */
static bool take_network(struct slice rest, struct spf_term *t)
{
	bool v4 = t->kind == SPF_IP4;
	struct slice addr;

	if (rest.n == 0 || rest.p[0] != ':') {
		return false;
	}
	rest = slice_from(rest, 1);
	addr = slice_split(&rest, '/');
	if (rest.p && !read_cidr(rest, v4 ? 32 : 128, v4 ? &t->cidr4 : &t->cidr6)) {
		return false;
	}
	return !slice_starts(addr, S("[")) && net_addr_parse(addr, 0, &t->addr) == 0 &&
	       t->addr.sa.sa_family == (v4 ? AF_INET : AF_INET6);
}

/* What stands behind a mechanism's name. */
static bool take_mechanism(struct slice rest, struct spf_term *t)
{
	switch (t->kind) {
	case SPF_ALL:
		return rest.n == 0;
	case SPF_INCLUDE:
	case SPF_EXISTS:
		return take_spec(rest, false, t);
	case SPF_A:
	case SPF_MX:
		return take_dual_cidr(&rest, t) && take_spec(rest, true, t);
	case SPF_PTR:
		return take_spec(rest, true, t);
	default:
		return take_network(rest, t);
	}
}

static enum trust_result take_qualifier(struct cur *c)
{
	if (cur_opt(c, '-')) {
		return TRUST_FAIL;
	}
	if (cur_opt(c, '~')) {
		return TRUST_SOFTFAIL;
	}
	if (cur_opt(c, '?')) {
		return TRUST_NEUTRAL;
	}
	cur_opt(c, '+');
	return TRUST_PASS;
}

/* name "=" something */
static bool take_modifier(struct slice name, struct slice value, struct spf_term *t)
{
	if (!ascii_isalpha((unsigned char)name.p[0])) {
		return false;
	}
	t->spec = value;
	if (slice_ieq(name, S("redirect"))) {
		t->kind = SPF_REDIRECT;
	} else if (slice_ieq(name, S("exp"))) {
		t->kind = SPF_EXP;
	} else {
		t->kind = SPF_UNKNOWN;
		return spf_is_macro_string(value, false);
	}
	return spf_is_domain_spec(value);
}

static bool read_term(struct slice text, struct spf_term *t)
{
	struct cur c = cur_init(text);
	struct slice name = cur_span(&c, name_chars, text.n);

	if (name.n > 0 && cur_opt(&c, '=')) {
		return take_modifier(name, cur_rest(&c), t);
	}
	c = cur_init(text);
	t->qualifier = take_qualifier(&c);
	name = cur_span(&c, name_chars, text.n);
	for (size_t i = 0; i < ARRAY_LEN(mechanisms); i++) {
		if (slice_ieq(name, slice_cstr(mechanisms[i].name))) {
			t->kind = mechanisms[i].kind;
			return take_mechanism(cur_rest(&c), t);
		}
	}
	return false;
}

int spf_term_next(struct slice *rest, struct spf_term *out)
{
	while (rest->n > 0 && rest->p[0] == ' ') {
		*rest = slice_from(*rest, 1);
	}
	*out = (struct spf_term){ .cidr4 = 32, .cidr6 = 128 };
	if (rest->n == 0) {
		return 0;
	}
	out->text = slice_split(rest, ' ');
	return read_term(out->text, out) ? 1 : -EINVAL;
}
