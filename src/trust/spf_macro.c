/*
 * Macros of SPF (RFC 7208 7): their syntax, and what they stand for.
 *
 * Only the right end of an expanded domain-spec matters (7.3: what is longer
 * than 253 octets loses labels at the left), so no more than that is kept
 * however long the text and whatever is in it: a record full of %{s} costs
 * its own length in time and a few hundred octets of memory.
 */
#include <stdio.h>

#include "trust/spf_impl.h"

#define KEEP_MAX 1000 /* parts; no value has as many */
#define VALUE_MAX 2048

static const cur_class delimiter_chars = {
	['.'] = 1, ['-'] = 1, ['+'] = 1, [','] = 1, ['/'] = 1, ['_'] = 1, ['='] = 1,
};
static const cur_class literal_chars = { [0x21 ... 0x24] = 1, [0x26 ... 0x7e] = 1 };
static const cur_class exp_chars = { [0x20 ... 0x24] = 1, [0x26 ... 0x7e] = 1 };

/* ---- syntax ------------------------------------------------------------------ */

static void take_keep(struct cur *c, struct spf_piece *p)
{
	bool any = false;

	while (!cur_done(c) && ascii_isdigit((unsigned char)cur_peek(c))) {
		unsigned digit = (unsigned)(cur_byte(c) - '0');

		p->keep = MIN(10 * p->keep + digit, KEEP_MAX);
		any = true;
	}
	if (any && p->keep == 0) {
		cur_fail(c, -EINVAL);
	}
}

/* Behind "%{". */
static void take_macro(struct cur *c, bool exp, struct spf_piece *p)
{
	int letter = cur_byte(c);

	p->kind = SPF_MACRO;
	p->url = letter >= 'A' && letter <= 'Z';
	p->letter = (char)ascii_lower((unsigned char)letter);
	if (c->err || p->letter == 0 || !strchr(exp ? "slodiphcrtv" : "slodiphv", p->letter)) {
		cur_fail(c, -EINVAL);
		return;
	}
	take_keep(c, p);
	p->reverse = cur_opt(c, 'r') || cur_opt(c, 'R');
	p->delimiters = cur_span(c, delimiter_chars, VALUE_MAX);
	cur_need(c, '}');
}

int spf_piece_next(struct cur *c, bool exp, struct spf_piece *out)
{
	*out = (struct spf_piece){ .kind = SPF_LITERAL };
	if (cur_done(c)) {
		return c->err ? -EINVAL : 0;
	}
	if (!cur_opt(c, '%')) {
		out->literal = cur_span1(c, exp ? exp_chars : literal_chars, SIZE_MAX);
		return c->err ? -EINVAL : 1;
	}
	out->escape = true;
	if (cur_opt(c, '{')) {
		take_macro(c, exp, out);
	} else if (cur_opt(c, '%')) {
		out->literal = S("%");
	} else if (cur_opt(c, '_')) {
		out->literal = S(" ");
	} else if (cur_opt(c, '-')) {
		out->literal = S("%20");
	} else {
		cur_fail(c, -EINVAL);
	}
	return c->err ? -EINVAL : 1;
}

bool spf_is_macro_string(struct slice s, bool exp)
{
	struct cur c = cur_init(s);
	struct spf_piece p;
	int r;

	while ((r = spf_piece_next(&c, exp, &p)) == 1) {
	}
	return r == 0;
}

/* "." toplabel [ "." ] at the end of s. */
static bool ends_in_toplabel(struct slice s)
{
	struct slice top;
	bool letter = false;
	size_t dot;

	if (slice_ends(s, S("."))) {
		s.n--;
	}
	dot = slice_rchr(s, '.');
	if (dot == SIZE_MAX) {
		return false;
	}
	top = slice_from(s, dot + 1);
	for (size_t i = 0; i < top.n; i++) {
		unsigned char ch = (unsigned char)top.p[i];
		bool inside = i > 0 && i + 1 < top.n;

		if (!ascii_isalpha(ch) && !ascii_isdigit(ch) && !(ch == '-' && inside)) {
			return false;
		}
		letter = letter || !ascii_isdigit(ch);
	}
	return letter;
}

bool spf_is_domain_spec(struct slice s)
{
	struct slice end = { NULL, 0 }; /* behind the last macro-expand */
	struct cur c = cur_init(s);
	struct spf_piece p;
	int r;

	while ((r = spf_piece_next(&c, false, &p)) == 1) {
		end = p.escape ? slice_make(NULL, 0) : p.literal;
	}
	return r == 0 && s.n > 0 && (end.n == 0 || ends_in_toplabel(end));
}

/* ---- values ------------------------------------------------------------------ */

/* IPv6 with a dot between nibbles. */
static void add_ip(const struct net_addr *ip, struct buf *v)
{
	char text[NET_ADDR_TEXT_MAX];

	if (ip->sa.sa_family != AF_INET6) {
		buf_adds(v, net_addr_text(ip, text));
		return;
	}
	for (size_t i = 0; i < 16; i++) {
		unsigned octet = ip->in6.sin6_addr.s6_addr[i];

		buf_printf(v, "%s%x.%x", i ? "." : "", octet >> 4, octet & 15u);
	}
}

/* The verified name that fits the domain best (7.3). */
static void add_ptr(const struct spf_check *c, struct slice domain, struct buf *v)
{
	struct slice best = S("unknown");
	int rank = 0;

	for (size_t i = 0; i < c->ptr.n; i++) {
		struct slice name = c->ptr.names[i];
		int fits = slice_ieq(name, domain) ? 3 : ptr_name_within(name, domain) ? 2 : 1;

		if (fits > rank) {
			rank = fits;
			best = name;
		}
	}
	buf_add(v, best);
}

static int add_local(const struct spf_check *c, bool exp, struct buf *v)
{
	if (!exp && slice_has_8bit(c->local)) {
		return SPF_NO_NAME;
	}
	buf_add(v, c->local);
	return 0;
}

CO_FN static int value(struct spf_check *c, struct slice domain, char letter, bool exp,
		       struct buf *v)
{
	char text[NET_ADDR_TEXT_MAX];
	int r = 0;

	switch (letter) {
	case 's':
		r = add_local(c, exp, v);
		buf_addc(v, '@');
		buf_add(v, c->sender_domain);
		break;
	case 'l':
		r = add_local(c, exp, v);
		break;
	case 'o':
		buf_add(v, c->sender_domain);
		break;
	case 'd':
		buf_add(v, domain);
		break;
	case 'i':
		add_ip(&c->ip, v);
		break;
	case 'p':
		r = spf_need_ptr(c, exp);
		add_ptr(c, domain, v);
		break;
	case 'v':
		buf_adds(v, c->ip.sa.sa_family == AF_INET6 ? "ip6" : "in-addr");
		break;
	case 'h':
		buf_add(v, c->helo);
		break;
	case 'c':
		buf_adds(v, net_addr_text(&c->ip, text));
		break;
	case 'r':
		buf_add(v, c->q->receiver.n ? c->q->receiver : S("unknown"));
		break;
	default: /* t */
		buf_printf(v, "%lld", (long long)c->q->now);
		break;
	}
	return r;
}

/* ---- transformers -------------------------------------------------------------- */

static bool is_delimiter(const struct spf_piece *p, char ch)
{
	return p->delimiters.n ? slice_chr(p->delimiters, ch) != SIZE_MAX : ch == '.';
}

/* The last keep parts, delimiters as dots. */
static void add_forward(const struct spf_piece *p, struct slice v, struct buf *out)
{
	size_t start = v.n;
	unsigned left = p->keep;

	while (start > 0 && (p->keep == 0 || !is_delimiter(p, v.p[start - 1]) || --left > 0)) {
		start--;
	}
	for (size_t i = start; i < v.n; i++) {
		buf_addc(out, is_delimiter(p, v.p[i]) ? '.' : v.p[i]);
	}
}

/* The first keep parts, the last of them first. */
static void add_reversed(const struct spf_piece *p, struct slice v, struct buf *out)
{
	unsigned left = p->keep;
	size_t end = 0;

	while (end < v.n && (p->keep == 0 || !is_delimiter(p, v.p[end]) || --left > 0)) {
		end++;
	}
	for (size_t i = end; i > 0; i--) {
		if (is_delimiter(p, v.p[i - 1])) {
			buf_add(out, slice_sub(v, i, end - i));
			buf_addc(out, '.');
			end = i - 1;
		}
	}
	buf_add(out, slice_sub(v, 0, end));
}

static void add_url(struct slice v, struct buf *out)
{
	for (size_t i = 0; i < v.n; i++) {
		unsigned char ch = (unsigned char)v.p[i];

		if (ascii_isalpha(ch) || ascii_isdigit(ch) || memchr("-._~", ch, 4)) {
			buf_addc(out, (char)ch);
		} else {
			buf_printf(out, "%%%02X", ch);
		}
	}
}

CO_FN static int add_macro(struct spf_check *c, struct slice domain, const struct spf_piece *p,
			   bool exp, struct buf *out)
{
	struct buf raw = BUF_INIT(VALUE_MAX);
	struct buf cooked = BUF_INIT(VALUE_MAX);
	int r = value(c, domain, p->letter, exp, &raw);

	if (p->reverse) {
		add_reversed(p, buf_slice(&raw), &cooked);
	} else {
		add_forward(p, buf_slice(&raw), &cooked);
	}
	if (p->url) {
		add_url(buf_slice(&cooked), out);
	} else {
		buf_add(out, buf_slice(&cooked));
	}
	if (r == 0 && (raw.err || cooked.err)) {
		r = raw.err == -ENOMEM || cooked.err == -ENOMEM ? -ENOMEM : SPF_NO_NAME;
	}
	buf_fini(&raw);
	buf_fini(&cooked);
	return r;
}

/* ---- the whole ------------------------------------------------------------------ */

/* Drops labels at the left until it fits. */
static void cut_to_name(struct buf *out)
{
	if (out->n > 0 && out->p[out->n - 1] == '.') {
		buf_truncate(out, out->n - 1);
	}
	while (out->n > DNS_NAME_MAX) {
		struct slice over = slice_from(buf_slice(out), out->n - DNS_NAME_MAX - 1);
		size_t dot = slice_chr(over, '.');

		buf_consume(out, dot == SIZE_MAX ? out->n : out->n - over.n + dot + 1);
	}
}

CO_FN static int expand_name(struct spf_check *c, struct slice domain, struct slice text,
			     struct buf *out)
{
	struct buf b = BUF_INIT(16 * VALUE_MAX);
	struct cur cur = cur_init(text);
	struct spf_piece p;
	int r = 0;

	while (r == 0 && spf_piece_next(&cur, false, &p) == 1) {
		if (p.kind == SPF_MACRO) {
			r = add_macro(c, domain, &p, false, &b);
		} else if (p.literal.n > VALUE_MAX) {
			buf_add(&b, slice_from(p.literal, p.literal.n - VALUE_MAX));
		} else {
			buf_add(&b, p.literal);
		}
		if (b.n > VALUE_MAX) {
			buf_consume(&b, b.n - VALUE_MAX);
		}
	}
	cut_to_name(&b);
	buf_add(out, buf_slice(&b));
	r = r == 0 && b.err ? -ENOMEM : r;
	buf_fini(&b);
	return r == 0 && out->err ? -ENOMEM : r;
}

CO_FN static int expand_text(struct spf_check *c, struct slice domain, struct slice text,
			     struct buf *out)
{
	struct buf b = BUF_INIT(16 * VALUE_MAX);
	struct cur cur = cur_init(text);
	struct spf_piece p;
	int r = 0;

	while (r == 0 && b.n < out->max && spf_piece_next(&cur, true, &p) == 1) {
		if (p.kind == SPF_MACRO) {
			r = add_macro(c, domain, &p, true, &b);
		} else {
			buf_add(&b, slice_sub(p.literal, 0, out->max));
		}
	}
	buf_add(out, slice_sub(buf_slice(&b), 0, out->max));
	r = r == 0 && b.err ? -ENOMEM : r;
	buf_fini(&b);
	return r == 0 && out->err ? -ENOMEM : r;
}

int spf_expand(struct spf_check *c, struct slice domain, struct slice text, bool exp,
	       struct buf *out)
{
	return exp ? expand_text(c, domain, text, out) : expand_name(c, domain, text, out);
}
