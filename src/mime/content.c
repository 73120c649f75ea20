/*
 * content: Content-Type and Content-Disposition with their parameters
 * (RFC 2045 5.1, RFC 2183, RFC 2231).
 *
 * Lenient where mail is: blanks around "=", missing semicolons behind a
 * quoted value or at a line's end, unquoted values with blanks. At most MIME_PARAMS_MAX
 * parameters are read (THREATS MI-03). A name that comes in RFC 2231
 * sections or percent-encoded is joined into one UTF-8 parameter, which then
 * counts more than a plain one of that name; sections without a first one
 * stay as they were written.
 */
#include "mime/charset.h"
#include "mime/header.h"
#include "mime/impl.h"

struct params {
	struct mime_param *first;
	struct mime_param *last;
	size_t n;
	bool starred;
};

static void append(struct params *ps, struct mime_param *p)
{
	if (ps->last) {
		ps->last->next = p;
	} else {
		ps->first = p;
	}
	ps->last = p;
	ps->n++;
}

/* Behind a blank: does the next line begin with a parameter? */
static bool param_on_next_line(struct cur ahead)
{
	const char *start = ahead.p;

	while (ahead.p < ahead.end && mime_is_space((unsigned char)*ahead.p)) {
		ahead.p++;
	}
	if (!memchr(start, '\n', (size_t)(ahead.p - start)) || mime_token(&ahead).n == 0) {
		return false;
	}
	cur_skip_wsp(&ahead);
	return cur_peek(&ahead) == '=';
}

/* Unquoted: up to ";", a comment, or a line that begins with a parameter (the
 * semicolon was forgotten); trimmed. */
static struct slice bare_value(struct cur *c)
{
	const char *start = c->p;
	bool after_space = false;

	for (; c->p < c->end && *c->p != ';'; c->p++) {
		bool space = mime_is_space((unsigned char)*c->p);

		if ((after_space && *c->p == '(') ||
		    (space && !after_space && param_on_next_line(*c))) {
			break;
		}
		after_space = space;
	}
	return slice_trim(slice_make(start, (size_t)(c->p - start)));
}

/* Behind the opening quote. */
static struct slice quoted_value(struct cur *c, struct arena *a)
{
	struct slice raw = mime_quoted(c);
	char *dst = arena_alloc(a, raw.n + 1);

	return dst ? slice_make(dst, mime_cook(raw, dst)) : slice_make(NULL, 0);
}

/* parameter = attribute "=" value; false at the end or when full. */
static bool param(struct cur *c, struct arena *a, struct params *ps)
{
	struct mime_param *p;
	struct slice name, value;

	mime_skip_cfws(c, NULL);
	while (cur_opt(c, ';')) {
		mime_skip_cfws(c, NULL);
	}
	if (cur_done(c) || ps->n >= MIME_PARAMS_MAX) {
		return false;
	}
	name = mime_token(c);
	mime_skip_cfws(c, NULL);
	if (!cur_opt(c, '=')) {
		while (c->p < c->end && *c->p != ';') {
			c->p++;
		}
		return true;
	}
	mime_skip_cfws(c, NULL);
	value = cur_opt(c, '"') ? quoted_value(c, a) : mime_unfold_dup(bare_value(c), a);
	if (name.n == 0) {
		return true;
	}
	p = arena_new(a, struct mime_param);
	if (!p || !value.p) {
		return false;
	}
	p->name = arena_dup(a, name);
	p->value = value;
	ps->starred |= slice_chr(name, '*') != SIZE_MAX;
	append(ps, p);
	return true;
}

/* ---- RFC 2231 ------------------------------------------------------------ */

struct star {
	struct slice base;
	int section;   /* -1: none */
	bool extended; /* percent-encoded */
	bool starred;
};

/* "name", "name*", "name*0", "name*0*". */
static struct star star_split(struct slice name)
{
	struct star s = { .base = name, .section = -1 };
	size_t at = slice_chr(name, '*');
	struct slice rest;
	uint32_t section;

	if (at == SIZE_MAX || at == 0) {
		return s;
	}
	rest = slice_from(name, at + 1);
	if (rest.n == 0) {
		s.extended = true;
	} else {
		if (rest.p[rest.n - 1] == '*') {
			s.extended = true;
			rest.n--;
		}
		if (rest.n > 3 || slice_u32(rest, &section) != 0) {
			s.extended = false;
			return s;
		}
		s.section = (int)section;
	}
	s.starred = true;
	s.base = slice_make(name.p, at);
	return s;
}

static const struct mime_param *star_find(const struct mime_param *p, struct slice base,
					  int section, struct star *out)
{
	for (; p; p = p->next) {
		*out = star_split(p->name);
		if (out->starred && out->section == section && slice_ieq(out->base, base)) {
			return p;
		}
	}
	return NULL;
}

static int hex(char c)
{
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	c = (char)ascii_lower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void percent_decode(struct slice s, struct buf *out)
{
	for (size_t i = 0; i < s.n; i++) {
		int hi, lo;

		if (s.p[i] == '%' && i + 2 < s.n && (hi = hex(s.p[i + 1])) >= 0 &&
		    (lo = hex(s.p[i + 2])) >= 0) {
			buf_addc(out, (char)(hi << 4 | lo));
			i += 2;
		} else {
			buf_addc(out, s.p[i]);
		}
	}
}

/* charset "'" [language] "'" text: takes the front off; the charset. */
static struct slice star_charset(struct slice *value)
{
	size_t one = slice_chr(*value, '\'');
	size_t two;
	struct slice charset;

	if (one == SIZE_MAX) {
		return S("");
	}
	two = slice_chr(slice_from(*value, one + 1), '\'');
	if (two == SIZE_MAX) {
		return S("");
	}
	charset = slice_sub(*value, 0, one);
	*value = slice_from(*value, one + two + 2);
	return charset;
}

/* All sections of base from the first on, up to a gap. False: none. */
static bool star_join(const struct mime_param *all, struct slice base, struct buf *raw,
		      struct slice *charset_out)
{
	struct star s;
	const struct mime_param *p = star_find(all, base, -1, &s);
	struct slice value;

	if (!p) {
		p = star_find(all, base, 0, &s);
	}
	if (!p) {
		return false;
	}
	value = p->value;
	*charset_out = s.extended ? star_charset(&value) : S("");
	for (int section = s.section;;) {
		if (s.extended) {
			percent_decode(value, raw);
		} else {
			buf_add(raw, value);
		}
		p = section < 0 ? NULL : star_find(all, base, ++section, &s);
		if (!p) {
			return true;
		}
		value = p->value;
	}
}

static struct mime_param *star_make(struct slice base, struct slice charset, struct slice raw,
				    struct arena *a)
{
	struct mime_param *p = arena_new(a, struct mime_param);
	struct buf utf8 = BUF_INIT(MIME_HEADER_MAX * 4);
	struct buf clean = BUF_INIT(MIME_HEADER_MAX * 4);

	if (p) {
		charset_to_utf8(charset, raw, &utf8);
		mime_add_clean(buf_slice(&utf8), &clean);
		p->name = base;
		p->value = arena_dup(a, buf_slice(&clean));
		if (!p->value.p) {
			p->value = S("");
		}
	}
	buf_fini(&utf8);
	buf_fini(&clean);
	return p;
}

/* What stands for p in the joined list: a copy, or all its sections joined;
 * NULL: it has been joined already, or the arena is full. */
static struct mime_param *star_one(const struct mime_param *all, const struct mime_param *p,
				   const struct mime_param *done, struct arena *a)
{
	struct star s = star_split(p->name);
	struct buf raw = BUF_INIT(MIME_HEADER_MAX);
	struct mime_param *out = NULL;
	struct slice charset;

	if (!star_join(all, s.base, &raw, &charset)) {
		out = arena_new(a, struct mime_param);
		if (out) {
			out->name = p->name;
			out->value = p->value;
		}
	} else if (!mime_param_get(done, s.base).p) {
		out = star_make(s.base, charset, buf_slice(&raw), a);
	}
	buf_fini(&raw);
	return out;
}

/* The list with sections joined, each at the place of its first one. At most
 * MIME_PARAMS_MAX squared comparisons. */
static struct mime_param *star_merge(struct mime_param *all, struct arena *a)
{
	struct params out = { 0 };

	for (struct mime_param *p = all; p; p = p->next) {
		struct mime_param *one = star_one(all, p, out.first, a);

		if (one) {
			append(&out, one);
		}
	}
	return out.first;
}

/* ---- fields -------------------------------------------------------------- */

static struct mime_param *params(struct cur *c, struct arena *a)
{
	struct params ps = { 0 };

	while (param(c, a, &ps)) {
	}
	return ps.starred ? star_merge(ps.first, a) : ps.first;
}

bool mime_content_type(struct slice body, struct arena *a, struct slice *type_out,
		       struct slice *subtype_out, struct mime_param **params_out)
{
	struct cur c = cur_init(body);
	struct slice type, subtype;

	mime_skip_cfws(&c, NULL);
	type = mime_token(&c);
	mime_skip_cfws(&c, NULL);
	if (!cur_opt(&c, '/')) {
		return false;
	}
	mime_skip_cfws(&c, NULL);
	subtype = mime_token(&c);
	if (type.n == 0 || subtype.n == 0) {
		return false;
	}
	*type_out = arena_dup(a, type);
	*subtype_out = arena_dup(a, subtype);
	*params_out = params(&c, a);
	return type_out->p && subtype_out->p;
}

bool mime_content_disposition(struct slice body, struct arena *a, struct slice *disp_out,
			      struct mime_param **params_out)
{
	struct cur c = cur_init(body);
	struct slice disp;

	mime_skip_cfws(&c, NULL);
	disp = mime_token(&c);
	if (disp.n == 0) {
		return false;
	}
	*disp_out = arena_dup(a, disp);
	*params_out = params(&c, a);
	return disp_out->p != NULL;
}

struct slice mime_param_get(const struct mime_param *p, struct slice name)
{
	for (; p; p = p->next) {
		if (slice_ieq(p->name, name)) {
			return p->value;
		}
	}
	return slice_make(NULL, 0);
}
