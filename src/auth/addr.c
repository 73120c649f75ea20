/*
 * Addresses in canonical form: one mailbox, one key.
 *
 * The domain is turned into lower-case A-labels (IDNA 2008 through libidn2,
 * RFC 5891) and must be a host name (RFC 1123 2.1). The local part is a
 * dot-string or a quoted string (RFC 5321 4.1.2, RFC 6531 3.3), taken out of
 * needless quotes, in NFC and lower case: our own accounts do not tell
 * "Bob" from "bob". Pure but for libidn2's memory.
 */
#include <idn2.h>
#include <stdlib.h>
#include <unicase.h>

#include "auth/impl.h"
#include "base/utf8.h"

/* atext of RFC 5322 3.2.3, and all of UTF-8's high bytes. */
static bool is_atext(unsigned char c)
{
	return c >= 0x80 || ascii_isalpha(c) || ascii_isdigit(c) ||
	       (c != 0 && strchr("!#$%&'*+-/=?^_`{|}~", c));
}

static bool is_dot_string(struct slice s)
{
	bool atom = false;

	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c == '.' ? !atom : !is_atext(c)) {
			return false;
		}
		atom = c != '.';
	}
	return atom;
}

/* The content of a quoted string that spans all of s. 0; -EINVAL. */
static int unquote(struct slice s, struct buf *out)
{
	if (s.n < 3 || s.p[s.n - 1] != '"') {
		return -EINVAL;
	}
	for (size_t i = 1; i + 1 < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c == '\\' && ++i + 1 >= s.n) {
			return -EINVAL;
		}
		if (c == '"' || c < ' ' || c == 0x7f) {
			return -EINVAL;
		}
		c = (unsigned char)s.p[i];
		if (c < ' ' || c == 0x7f) {
			return -EINVAL;
		}
		buf_addc(out, (char)c);
	}
	return out->err ? -EINVAL : 0;
}

static void requote(struct slice s, struct buf *out)
{
	buf_addc(out, '"');
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '"' || s.p[i] == '\\') {
			buf_addc(out, '\\');
		}
		buf_addc(out, s.p[i]);
	}
	buf_addc(out, '"');
}

/* Lower case and NFC; C1 controls have no place in a name. 0; -EINVAL. */
static int fold_local(struct slice s, struct buf *out)
{
	struct slice rest = s;
	size_t n = 0;
	uint8_t *low;

	while (rest.n > 0) {
		int32_t c = utf8_next(&rest);

		if (c < 0 || (c >= 0x80 && c < 0xa0)) {
			return -EINVAL;
		}
	}
	low = u8_tolower((const uint8_t *)s.p, s.n, "", UNINORM_NFC, NULL, &n);
	if (!low) {
		return -EINVAL;
	}
	buf_add(out, slice_make((const char *)low, n));
	free(low);
	return out->err ? -EINVAL : 0;
}

/* Adds the canonical local part. 0; -EINVAL. */
static int canon_local(struct slice s, struct buf *out)
{
	struct buf raw = BUF_INIT(AUTH_ADDR_MAX);
	struct buf low = BUF_INIT(AUTH_ADDR_MAX);
	size_t at = out->n;
	int r = -EINVAL;

	if (s.n == 0 || s.n > AUTH_ADDR_MAX) {
		return -EINVAL;
	}
	if (s.p[0] == '"') {
		r = unquote(s, &raw);
	} else if (is_dot_string(s)) {
		buf_add(&raw, s);
		r = 0;
	}
	if (r == 0) {
		r = fold_local(buf_slice(&raw), &low);
	}
	if (r == 0 && is_dot_string(buf_slice(&low))) {
		buf_add(out, buf_slice(&low));
	} else if (r == 0) {
		requote(buf_slice(&low), out);
	}
	buf_fini(&raw);
	buf_fini(&low);
	if (r == 0 && (out->err || out->n - at > AUTH_LOCAL_MAX)) {
		r = -EINVAL;
	}
	return r;
}

/* ---- domains -------------------------------------------------------------- */

static bool is_label(struct slice l)
{
	if (l.n == 0 || l.n > AUTH_LABEL_MAX || l.p[0] == '-' || l.p[l.n - 1] == '-') {
		return false;
	}
	for (size_t i = 0; i < l.n; i++) {
		unsigned char c = (unsigned char)l.p[i];

		if (!ascii_isalpha(c) && !ascii_isdigit(c) && c != '-') {
			return false;
		}
	}
	return true;
}

/* A host name whose last label is not a number (that would be an address). */
static bool is_host_name(struct slice s)
{
	struct slice last = S("");

	if (s.n == 0 || s.n > AUTH_DOMAIN_MAX || s.p[s.n - 1] == '.') {
		return false;
	}
	while (s.n > 0) {
		last = slice_split(&s, '.');
		if (!is_label(last)) {
			return false;
		}
	}
	for (size_t i = 0; i < last.n; i++) {
		if (!ascii_isdigit((unsigned char)last.p[i])) {
			return true;
		}
	}
	return false;
}

/* Does libidn2 have to look at it: U-labels, or A-labels to be verified. */
static bool needs_idna(struct slice s)
{
	return slice_has_8bit(s) || slice_ifind(s, S("xn--")) != SIZE_MAX;
}

static int to_a_labels(struct slice s, struct buf *out)
{
	char in[4 * AUTH_DOMAIN_MAX];
	uint8_t *ascii = NULL;
	int flags = IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL | IDN2_USE_STD3_ASCII_RULES;

	if (!utf8_valid(s) || slice_copy(s, in, sizeof(in)) < 0) {
		return -EINVAL;
	}
	if (idn2_lookup_u8((const uint8_t *)in, &ascii, flags) != IDN2_OK) {
		return -EINVAL;
	}
	buf_adds(out, (const char *)ascii);
	idn2_free(ascii);
	return 0;
}

int auth_domain_canon(struct slice domain, struct buf *out)
{
	size_t at = out->n;
	int r = 0;

	if (domain.n == 0 || domain.n > 4 * AUTH_DOMAIN_MAX - 1) {
		return -EINVAL;
	}
	if (needs_idna(domain)) {
		r = to_a_labels(domain, out);
	} else {
		buf_add(out, domain);
	}
	if (r < 0 || out->err) {
		return -EINVAL;
	}
	for (size_t i = at; i < out->n; i++) {
		out->p[i] = (char)ascii_lower((unsigned char)out->p[i]);
	}
	if (!is_host_name(slice_from(buf_slice(out), at))) {
		buf_truncate(out, at);
		return -EINVAL;
	}
	return 0;
}

/* ---- both ----------------------------------------------------------------- */

int auth_addr_canon(struct slice addr, struct buf *out)
{
	struct buf b = BUF_INIT(AUTH_ADDR_MAX);
	size_t at = slice_rchr(addr, '@');
	int r = -EINVAL;

	if (at != SIZE_MAX) {
		r = canon_local(slice_sub(addr, 0, at), &b);
	}
	if (r == 0) {
		buf_addc(&b, '@');
		r = auth_domain_canon(slice_from(addr, at + 1), &b);
	}
	if (r == 0 && b.err) {
		r = -EINVAL;
	}
	if (r == 0) {
		buf_add(out, buf_slice(&b));
		r = out->err;
	}
	buf_fini(&b);
	return r;
}

static int keep(struct buf *b, struct addr *out)
{
	int r = b->err ? -EINVAL : slice_copy(buf_slice(b), out->text, sizeof(out->text));

	if (r == 0) {
		out->n = b->n;
	}
	buf_fini(b);
	return r < 0 ? -EINVAL : 0;
}

int addr_parse(struct slice in, struct addr *out)
{
	struct buf b = BUF_INIT(AUTH_ADDR_MAX);
	int r = auth_addr_canon(in, &b);
	size_t at;

	if (r < 0) {
		buf_fini(&b);
		return r;
	}
	r = keep(&b, out);
	if (r == 0) {
		struct slice all = slice_make(out->text, out->n);

		at = slice_rchr(all, '@');
		out->local = slice_sub(all, 0, at);
		out->domain = slice_from(all, at + 1);
	}
	return r;
}

int addr_parse_local(struct slice in, struct addr *out)
{
	struct buf b = BUF_INIT(AUTH_ADDR_MAX);
	int r = canon_local(in, &b);

	if (r < 0) {
		buf_fini(&b);
		return r;
	}
	r = keep(&b, out);
	if (r == 0) {
		out->local = slice_make(out->text, out->n);
		out->domain = slice_make(NULL, 0);
	}
	return r;
}
