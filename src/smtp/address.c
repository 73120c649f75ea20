/*
 * Reading paths, names and parameters: see address.h.
 *
 * Strict where a loose reading could be read differently elsewhere: no bare
 * addresses, no comments, no blanks within a path. '%' and '!' are ordinary
 * characters and a source route is dropped before anybody decides anything
 * (THREATS SL-09).
 */
#include "smtp/address.h"

#include "base/err.h"
#include "base/utf8.h"
#include "io/listen.h"

static bool is_atext(unsigned char c)
{
	return c >= 0x80 || ascii_isalpha(c) || ascii_isdigit(c) ||
	       (c != 0 && strchr("!#$%&'*+-/=?^_`{|}~", c));
}

/* Let-dig, "-" and, as the world has them, "_"; 8-bit for U-labels. */
static bool is_ldh(unsigned char c)
{
	return c >= 0x80 || ascii_isalpha(c) || ascii_isdigit(c) || c == '-' || c == '_';
}

/* Dot-string = Atom *("." Atom) */
static void skip_dot_string(struct cur *c)
{
	do {
		const char *from = c->p;

		while (c->p < c->end && is_atext((unsigned char)*c->p)) {
			c->p++;
		}
		if (c->p == from) {
			cur_fail(c, -EINVAL);
		}
	} while (!c->err && cur_opt(c, '.'));
}

/* Quoted-string = DQUOTE *(qtextSMTP / quoted-pairSMTP) DQUOTE */
static void skip_quoted(struct cur *c)
{
	cur_need(c, '"');
	while (!c->err) {
		int ch = cur_byte(c);

		if (ch == '"') {
			return;
		}
		if (ch == '\\') {
			ch = cur_byte(c);
			if (ch >= 0x80) {
				cur_fail(c, -EINVAL);
			}
		}
		if (ch < ' ' || ch == 0x7f) {
			cur_fail(c, -EINVAL);
		}
	}
}

/* Domain = sub-domain *("." sub-domain) */
static void skip_domain(struct cur *c)
{
	do {
		const char *from = c->p;

		while (c->p < c->end && is_ldh((unsigned char)*c->p)) {
			c->p++;
		}
		if (c->p == from || *from == '-' || c->p[-1] == '-' ||
		    (slice_make(from, (size_t)(c->p - from)).n > 63 &&
		     !slice_has_8bit(slice_make(from, 64)))) {
			cur_fail(c, -EINVAL);
		}
	} while (!c->err && cur_opt(c, '.'));
}

/* What stands between the brackets of an address literal. */
static bool literal_ok(struct slice in)
{
	struct net_addr a;

	if (slice_istarts(in, S("IPv6:"))) {
		struct slice v6 = slice_from(in, 5);

		return slice_chr(v6, ':') != SIZE_MAX && slice_chr(v6, '[') == SIZE_MAX &&
		       net_addr_parse(v6, 0, &a) == 0;
	}
	return slice_chr(in, '.') != SIZE_MAX && slice_chr(in, ':') == SIZE_MAX &&
	       net_addr_parse(in, 0, &a) == 0;
}

static void skip_literal(struct cur *c)
{
	struct slice in;

	cur_need(c, '[');
	in = cur_until(c, ']', SMTP_DOMAIN_MAX);
	if (!c->err && !literal_ok(in)) {
		cur_fail(c, -EINVAL);
	}
}

/* A-d-l ":" = At-domain *("," At-domain) ":"; dropped */
static void skip_route(struct cur *c)
{
	const char *from = c->p;

	do {
		cur_need(c, '@');
		skip_domain(c);
	} while (!c->err && cur_opt(c, ','));
	cur_need(c, ':');
	if (!c->err && (size_t)(c->p - from) > SMTP_ROUTE_MAX) {
		cur_fail(c, -EMSGSIZE);
	}
}

static void mailbox(struct cur *c, struct smtp_path *p)
{
	const char *from = c->p;

	if (cur_peek(c) == '"') {
		skip_quoted(c);
	} else {
		skip_dot_string(c);
	}
	if (c->err) {
		return;
	}
	p->local = slice_make(from, (size_t)(c->p - from));
	if (cur_opt(c, '@')) {
		const char *at = c->p;

		p->literal = cur_peek(c) == '[';
		if (p->literal) {
			skip_literal(c);
		} else {
			skip_domain(c);
		}
		p->domain = slice_make(at, c->err ? 0 : (size_t)(c->p - at));
	}
	p->addr = slice_make(from, c->err ? 0 : (size_t)(c->p - from));
}

enum smtp_addr smtp_path_parse(struct cur *c, bool utf8, struct smtp_path *out)
{
	struct smtp_path p = { .addr = S(""), .local = S(""), .domain = S("") };
	const char *from = c->p;
	struct slice all;

	cur_need(c, '<');
	if (cur_opt(c, '>')) {
		*out = p;
		return SMTP_ADDR_OK;
	}
	if (cur_peek(c) == '@') {
		skip_route(c);
	}
	mailbox(c, &p);
	cur_need(c, '>');
	if (c->err) {
		return c->err == -EMSGSIZE ? SMTP_ADDR_LONG : SMTP_ADDR_SYNTAX;
	}
	all = slice_make(from, (size_t)(c->p - from));
	p.utf8 = slice_has_8bit(all);
	if (p.utf8 && (!utf8 || !utf8_valid(all))) {
		return SMTP_ADDR_UTF8;
	}
	if (p.local.n > SMTP_LOCAL_MAX || p.domain.n > SMTP_DOMAIN_MAX ||
	    p.addr.n > SMTP_PATH_MAX) {
		return SMTP_ADDR_LONG;
	}
	*out = p;
	return SMTP_ADDR_OK;
}

bool smtp_helo_ok(struct slice name)
{
	struct cur c = cur_init(name);

	if (name.n == 0 || name.n > SMTP_DOMAIN_MAX || slice_has_8bit(name)) {
		return false;
	}
	if (name.p[0] == '[') {
		skip_literal(&c);
	} else {
		skip_domain(&c);
		/* A fully qualified name's last dot is taken too. */
		if (c.err && c.p == c.end && name.n > 1 && name.p[name.n - 1] == '.') {
			return smtp_helo_ok(slice_sub(name, 0, name.n - 1));
		}
	}
	return cur_end(&c);
}

/* esmtp-param = esmtp-keyword ["=" esmtp-value]         RFC 5321 4.1.2 */
int smtp_param_next(struct cur *c, struct smtp_param *out)
{
	const char *from;

	if (cur_done(c)) {
		return c->err ? -1 : 0;
	}
	if (!cur_sp(c)) {
		return -1;
	}
	from = c->p;
	while (c->p < c->end &&
	       (ascii_isalpha((unsigned char)*c->p) || ascii_isdigit((unsigned char)*c->p) ||
		(*c->p == '-' && c->p > from))) {
		c->p++;
	}
	out->name = slice_make(from, (size_t)(c->p - from));
	out->value = slice_make(NULL, 0);
	if (out->name.n == 0) {
		return -1;
	}
	if (cur_opt(c, '=')) {
		from = c->p;
		while (c->p < c->end && (unsigned char)*c->p > ' ' && *c->p != '=' &&
		       *c->p != 0x7f) {
			c->p++;
		}
		out->value = slice_make(from, (size_t)(c->p - from));
		if (out->value.n == 0) {
			return -1;
		}
	}
	return cur_done(c) || *c->p == ' ' ? 1 : -1;
}

static int upper_hex(char c)
{
	if (ascii_isdigit((unsigned char)c)) {
		return c - '0';
	}
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* xtext = *( xchar / hexchar )                          RFC 3461 4 */
int smtp_xtext_decode(struct slice s, struct buf *out)
{
	for (size_t i = 0; i < s.n; i++) {
		int c = (unsigned char)s.p[i];

		if (c == '+') {
			int hi = s.n - i > 2 ? upper_hex(s.p[i + 1]) : -1;
			int lo = s.n - i > 2 ? upper_hex(s.p[i + 2]) : -1;

			if (hi < 0 || lo < 0) {
				return -EINVAL;
			}
			c = hi * 16 + lo;
			i += 2;
		} else if (c == '=' || c == ' ') {
			return -EINVAL;
		}
		if (c < ' ' || c > '~') {
			return -EINVAL;
		}
		if (out) {
			buf_addc(out, (char)c);
		}
	}
	return out ? out->err : 0;
}

bool smtp_xtext_ok(struct slice s)
{
	return smtp_xtext_decode(s, NULL) == 0;
}
