/*
 * Names of the DNS as text and on the wire, and the door for questions: see
 * dns.h.
 *
 * A name comes in as a stranger wrote it (the domain of a MAIL FROM, a macro
 * expanded) and goes on in one form that no resolver misreads: what is not an
 * ordinary character is \DDD, as in zone files (RFC 1035 5.1).
 */
#include "base/cur.h"
#include "io/dns.h"

/* Printable, and without a meaning in zone files. */
static bool is_plain(unsigned char c)
{
	return c > ' ' && c < 0x7f && c != '.' && c != '\\' && c != '"' && c != '(' && c != ')' &&
	       c != ';' && c != '@' && c != '$';
}

void dns_label_text(struct slice label, struct buf *out)
{
	for (size_t i = 0; i < label.n; i++) {
		unsigned char c = (unsigned char)label.p[i];

		if (is_plain(c)) {
			buf_addc(out, (char)c);
		} else {
			buf_printf(out, "\\%03u", c);
		}
	}
}

int dns_name_text(struct slice name, struct buf *out)
{
	size_t label = 0;

	if (slice_ends(name, S("."))) {
		name.n--;
	}
	if (name.n == 0 || name.n > DNS_NAME_MAX || slice_has_nul(name) ||
	    name.p[name.n - 1] == '.') {
		return -EINVAL;
	}
	for (size_t i = 0; i < name.n; i++) {
		label = name.p[i] == '.' ? 0 : label + 1;
		if (label > DNS_LABEL_MAX || (label == 0 && (i == 0 || name.p[i - 1] == '.'))) {
			return -EINVAL;
		}
	}
	for (bool first = true; name.n > 0; first = false) {
		if (!first) {
			buf_addc(out, '.');
		}
		dns_label_text(slice_split(&name, '.'), out);
	}
	return out->err;
}

/* One character of a label, perhaps written as \DDD or \X. -1: damaged. */
static int take_octet(struct cur *c)
{
	uint32_t v;

	if (!cur_opt(c, '\\')) {
		return cur_byte(c);
	}
	if (!ascii_isdigit((unsigned char)(cur_peek(c) & 0xff))) {
		return cur_byte(c);
	}
	v = cur_digits(c, 3);
	if (!c->err && v > 255) {
		cur_fail(c, -EINVAL);
	}
	return c->err ? -1 : (int)v;
}

/* A label and its length octet. */
static void take_label(struct cur *c, struct buf *out)
{
	size_t at = out->n;
	size_t n = 0;

	buf_put8(out, 0);
	while (!cur_done(c) && cur_peek(c) != '.') {
		int v = take_octet(c);

		if (++n > DNS_LABEL_MAX) {
			cur_fail(c, -EINVAL);
		}
		if (!c->err) {
			buf_put8(out, (uint8_t)v);
		}
	}
	if (n == 0) {
		cur_fail(c, -EINVAL);
	}
	if (!c->err && !out->err) {
		out->p[at] = (char)n;
	}
}

int dns_name_wire(struct slice text, struct buf *out)
{
	struct cur c = cur_init(text);
	size_t start = out->n;

	if (text.n == 0 || text.n > DNS_TEXT_MAX + 1) {
		return -EINVAL;
	}
	if (!slice_eq(text, S("."))) {
		do {
			take_label(&c, out);
		} while (cur_opt(&c, '.') && !cur_done(&c));
	}
	buf_put8(out, 0);
	if (out->err) {
		return out->err;
	}
	if (c.err || out->n - start > DNS_NAME_MAX + 2) {
		buf_truncate(out, start);
		return -EINVAL;
	}
	return 0;
}

static int64_t end_of(const struct dns *d, int64_t deadline)
{
	int64_t own = clock_in_ms(d->timeout_ms ? d->timeout_ms : DNS_TIMEOUT_MS);

	return deadline ? MIN(deadline, own) : own;
}

CO_FN int dns_query(struct dns *d, struct slice name, enum dns_type type, int64_t deadline,
		    struct arena *a, struct dns_answer *out)
{
	struct buf text = BUF_INIT(DNS_TEXT_MAX + 1);
	int r;

	co_may_wait();
	*out = (struct dns_answer){ .result = DNS_FAIL };
	r = dns_name_text(name, &text);
	if (r == 0 && !d) {
		out->why = "no resolver is configured";
	} else if (r == 0) {
		buf_cstr(&text);
		r = text.err ? text.err
			     : d->ops->query(d, text.p, type, end_of(d, deadline), a, out);
	}
	buf_fini(&text);
	return r;
}

void dns_free(struct dns **dp)
{
	struct dns *d = *dp;

	*dp = NULL;
	if (d) {
		d->ops->free(d);
	}
}
