/*
 * Authentication-Results (RFC 8601 2.2): written so that no value can be
 * taken for more than a value, and forged ones recognised.
 */
#include "trust/authres.h"

#include "mime/header.h"

#define COMMENT_MAX 200
#define VALUE_MAX 320 /* an address, or a domain */
#define COMMENT_DEPTH_MAX 20
#define FIELD_LINE_MAX 900 /* of 998, less a name and quotes */

/* RFC 2045 5.1 token: no CTL, space, tspecials; 8-bit as RFC 6532 allows. */
static bool is_token_char(unsigned char c)
{
	return c > ' ' && c != 0x7f && !strchr("()<>@,;:\\\"/[]?=", c);
}

/* A pvalue may also have "@" between a local part and a domain (2.2), which
 * must then be plain atoms; else it is quoted. */
static bool is_plain(struct slice v)
{
	size_t at = slice_rchr(v, '@');

	for (size_t i = 0; i < v.n; i++) {
		unsigned char c = (unsigned char)v.p[i];

		if (!is_token_char(c) && !(i == at && i + 1 < v.n)) {
			return false;
		}
		if (c == '\'' || c == '&' || c == '%') {
			return false; /* legal, and often read wrongly */
		}
	}
	return v.n > 0;
}

/* Control characters have no place even in quoted strings. */
static void add_quoted(struct buf *out, struct slice v)
{
	buf_addc(out, '"');
	for (size_t i = 0; i < v.n; i++) {
		unsigned char c = (unsigned char)v.p[i];

		if (c < ' ' || c == 0x7f) {
			buf_addc(out, '?');
			continue;
		}
		if (c == '"' || c == '\\') {
			buf_addc(out, '\\');
		}
		buf_addc(out, (char)c);
	}
	buf_addc(out, '"');
}

static void add_value(struct buf *out, struct slice v)
{
	v = slice_sub(v, 0, VALUE_MAX);
	if (is_plain(v)) {
		buf_add(out, v);
	} else {
		add_quoted(out, v);
	}
}

void authres_begin(struct buf *out, struct slice id)
{
	buf_adds(out, "Authentication-Results: ");
	buf_add(out, id);
}

void authres_method(struct buf *out, const char *method, enum trust_result r, struct slice reason)
{
	buf_printf(out, ";\r\n\t%s=%s", method, trust_result_name(r));
	if (reason.n) {
		buf_adds(out, " reason=");
		add_quoted(out, slice_sub(reason, 0, COMMENT_MAX));
	}
}

/* A blank, or a line's end where what comes next (n octets, perhaps quoted)
 * might not fit (RFC 5322 2.1.1). */
static void add_gap(struct buf *out, size_t n)
{
	size_t at = slice_rchr(buf_slice(out), '\n');
	size_t line = at == SIZE_MAX ? out->n : out->n - at - 1;

	buf_adds(out, line + 2 * MIN(n, (size_t)VALUE_MAX) > FIELD_LINE_MAX ? "\r\n\t" : " ");
}

void authres_property(struct buf *out, const char *name, struct slice value)
{
	if (value.n) {
		add_gap(out, value.n);
		buf_printf(out, "%s=", name);
		add_value(out, value);
	}
}

void authres_comment(struct buf *out, struct slice text)
{
	text = slice_sub(text, 0, COMMENT_MAX);
	add_gap(out, text.n);
	buf_addc(out, '(');
	for (size_t i = 0; i < text.n; i++) {
		unsigned char c = (unsigned char)text.p[i];

		if (c >= ' ' && c < 0x7f && c != '(' && c != ')' && c != '\\') {
			buf_addc(out, (char)c);
		}
	}
	buf_addc(out, ')');
}

void authres_end(struct buf *out)
{
	if (slice_chr(buf_slice(out), ';') == SIZE_MAX) {
		buf_adds(out, "; none");
	}
	buf_adds(out, "\r\n");
}

/* ---- forged ones ---------------------------------------------------------- */

/* Takes white space and comments off. False: a comment that never ends, or
 * too deep. */
static bool skip_cfws(struct slice *s)
{
	unsigned depth = 0;

	while (s->n > 0) {
		char c = s->p[0];

		if (c == '(') {
			if (++depth > COMMENT_DEPTH_MAX) {
				return false;
			}
		} else if (c == ')' && depth > 0) {
			depth--;
		} else if (c == '\\' && depth > 0 && s->n > 1) {
			*s = slice_from(*s, 1);
		} else if (depth == 0 && c != ' ' && c != '\t' && c != '\r' && c != '\n') {
			return true;
		}
		*s = slice_from(*s, 1);
	}
	return depth == 0;
}

/* The authserv-id: a token or a quoted string, without its quotes. */
static void read_id(struct slice s, struct buf *out)
{
	bool quoted = s.n > 0 && s.p[0] == '"';

	for (size_t i = quoted; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (quoted ? c == '"' : strchr("; \t\r\n(\"", c) != NULL) {
			return;
		}
		if (quoted && c == '\\' && i + 1 < s.n) {
			c = (unsigned char)s.p[++i];
		}
		if (c != '\r' && c != '\n') {
			buf_addc(out, (char)c);
		}
	}
}

bool authres_claims(struct slice body, struct slice id)
{
	struct buf b = BUF_INIT(1024);
	struct slice said;
	bool yes;

	if (!skip_cfws(&body) || body.n == 0) {
		return true;
	}
	read_id(body, &b);
	said = slice_trim(buf_slice(&b));
	if (said.n && said.p[said.n - 1] == '.') {
		said.n--;
	}
	yes = b.err || said.n == 0 || slice_has_nul(said) || slice_ieq(said, id);
	buf_fini(&b);
	return yes;
}

/* ---- others' results -------------------------------------------------------- */

/* Takes one result off (up to a semicolon that is in no quoted string and no
 * comment). What never ends in order is nothing. */
static struct slice next_result(struct slice *s)
{
	unsigned depth = 0;
	bool quoted = false;
	struct slice out;

	for (size_t i = 0; i < s->n; i++) {
		char c = s->p[i];

		if (c == '\\' && (quoted || depth)) {
			i++;
		} else if (c == '"' && depth == 0) {
			quoted = !quoted;
		} else if (!quoted && c == '(') {
			depth++;
		} else if (!quoted && c == ')' && depth) {
			depth--;
		} else if (!quoted && depth == 0 && c == ';') {
			out = slice_make(s->p, i);
			*s = slice_from(*s, i + 1);
			return out;
		}
	}
	out = quoted || depth ? S("") : *s;
	*s = S("");
	return out;
}

/* Takes a keyword off (2.2); it may be empty. */
static struct slice take_keyword(struct slice *s)
{
	size_t n = 0;

	while (n < s->n && (ascii_isalpha((unsigned char)s->p[n]) ||
			    ascii_isdigit((unsigned char)s->p[n]) || s->p[n] == '-')) {
		n++;
	}
	struct slice out = slice_make(s->p, n);

	*s = slice_from(*s, n);
	return out;
}

/* method [ "/" version ] "=" result, CFWS anywhere between. */
static bool is_result(struct slice s, const char *method, enum trust_result r)
{
	if (!skip_cfws(&s) || !slice_ieq(take_keyword(&s), slice_cstr(method)) || !skip_cfws(&s)) {
		return false;
	}
	if (s.n && s.p[0] == '/') {
		s = slice_from(s, 1);
		if (!skip_cfws(&s) || take_keyword(&s).n == 0 || !skip_cfws(&s)) {
			return false;
		}
	}
	if (s.n == 0 || s.p[0] != '=') {
		return false;
	}
	s = slice_from(s, 1);
	return skip_cfws(&s) && slice_ieq(take_keyword(&s), slice_cstr(trust_result_name(r)));
}

bool authres_says(struct slice body, const char *method, enum trust_result r)
{
	next_result(&body); /* the authserv-id */
	while (body.n > 0) {
		if (is_result(next_result(&body), method, r)) {
			return true;
		}
	}
	return false;
}

static bool is_forged(const struct mime_field *f, struct slice id)
{
	return slice_ieq(slice_trim(f->name), S("Authentication-Results")) &&
	       authres_claims(f->body, id);
}

size_t authres_strip(struct slice header, struct slice id, struct buf *out)
{
	struct slice rest = header;
	struct mime_field f;
	size_t n = 0;

	while (mime_field_next(&rest, &f)) {
		n += is_forged(&f, id);
	}
	if (n == 0) {
		return 0;
	}
	rest = header;
	while (mime_field_next(&rest, &f)) {
		if (!is_forged(&f, id)) {
			buf_add(out, f.raw);
		}
	}
	buf_add(out, rest);
	return n;
}
