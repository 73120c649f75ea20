/*
 * url: see url.h. The grammar is RFC 5092's section 11; where mail programs
 * are used to more, it is taken too: names of keys in any case, and
 * ";SECTION=" or ";PARTIAL=" without the "/" in front (RFC 2192 had none).
 */
#include "imap/url.h"

#include "base/cur.h"
#include "base/err.h"
#include "base/utf8.h"
#include "imap/parse.h"

/* achar of RFC 5092, but for "%": what stands for itself. */
static bool is_achar(int ch)
{
	if (ch < 0x21 || ch > 0x7e) {
		return false;
	}
	return ascii_isalpha((unsigned char)ch) || ascii_isdigit((unsigned char)ch) ||
	       (ch != 0 && memchr("-._~!$'()*+,&=", ch, 14));
}

/* bchar = achar / ":" / "@" / "/" */
static bool is_bchar(int ch)
{
	return is_achar(ch) || ch == ':' || ch == '@' || ch == '/';
}

static int hex_value(int ch)
{
	if (ch >= '0' && ch <= '9') {
		return ch - '0';
	}
	ch = ascii_lower((unsigned char)MAX(ch, 0));
	return ch >= 'a' && ch <= 'f' ? ch - 'a' + 10 : -1;
}

/* 1*bchar (or 1*achar), with what is %-encoded undone: valid UTF-8 without
 * controls. */
static struct slice chars(struct cur *c, struct arena *a, bool (*in)(int), const char *stop)
{
	char *p = arena_alloc(a, cur_left(c) + 1);
	size_t n = 0;

	if (!p) {
		cur_fail(c, -ENOMEM);
		return slice_make(NULL, 0);
	}
	while (!cur_done(c) && c->p != stop) {
		int ch = cur_peek(c);
		if (ch == '%') {
			cur_byte(c);
			int hi = hex_value(cur_byte(c));
			int lo = hex_value(cur_byte(c));
			if (hi < 0 || lo < 0) {
				cur_fail(c, -EINVAL);
			}
			ch = hi * 16 + lo;
			if (ch < 0x20 || ch == 0x7f) {
				cur_fail(c, -EINVAL);
			}
		} else if (in(ch)) {
			cur_byte(c);
		} else {
			break;
		}
		p[n++] = (char)ch;
	}
	if (n == 0 || !utf8_valid(slice_make(p, n))) {
		cur_fail(c, -EINVAL);
	}
	return slice_make(p, n);
}

static struct slice achars(struct cur *c, struct arena *a)
{
	return chars(c, a, is_achar, NULL);
}

/* A host's name, or an address, in brackets if it has colons. */
static bool is_host(struct slice s)
{
	bool bracket = s.n > 2 && s.p[0] == '[' && s.p[s.n - 1] == ']';

	if (bracket) {
		s = slice_sub(s, 1, s.n - 2);
	}
	for (size_t i = 0; i < s.n; i++) {
		unsigned char ch = (unsigned char)s.p[i];
		if (!ascii_isalpha(ch) && !ascii_isdigit(ch) && ch != '-' && ch != '.' &&
		    ch != '_' && !(bracket && ch == ':')) {
			return false;
		}
	}
	return s.n > 0;
}

/* iserver = [iuserinfo "@"] host [":" port], up to the "/" */
static void server(struct cur *c, struct arena *a, struct imap_url *u)
{
	struct slice rest = cur_rest(c);
	struct slice auth = slice_sub(rest, 0, MIN(slice_chr(rest, '/'), rest.n));
	size_t at = slice_rchr(auth, '@');
	uint32_t port;

	if (at != SIZE_MAX) {
		struct cur user = cur_init(slice_sub(auth, 0, at));
		if (cur_peek(&user) != ';') {
			/* "@" should be %-encoded in it; not everyone does. */
			u->user = chars(&user, a, is_bchar, NULL);
		}
		if (cur_lit(&user, S(";AUTH="))) {
			achars(&user, a);
		}
		if (!cur_end(&user)) {
			cur_fail(c, user.err);
		}
		auth = slice_from(auth, at + 1);
	}
	cur_take(c, (size_t)(auth.p - rest.p) + auth.n);
	at = slice_rchr(auth, ':');
	if (at != SIZE_MAX && !slice_ends(auth, S("]"))) {
		if (slice_u32(slice_from(auth, at + 1), &port) != 0 || port > UINT16_MAX) {
			cur_fail(c, -EINVAL);
		}
		auth = slice_sub(auth, 0, at);
	}
	if (!is_host(auth)) {
		cur_fail(c, -EINVAL);
	}
	u->host = auth;
}

/* The mailbox's name ends at ";" or "?", and at the "/" before ";UID=". */
static void mailbox(struct cur *c, struct arena *a, struct imap_url *u)
{
	struct slice rest = cur_rest(c);
	size_t n = MIN(slice_chr(rest, ';'), rest.n);
	struct cur key = cur_init(slice_from(rest, n));

	if (cur_lit(&key, S(";UID="))) {
		if (n == 0) {
			return; /* the base URL's mailbox */
		}
		n--;
	}
	if (n > 0) {
		u->mailbox = chars(c, a, is_bchar, rest.p + n);
	}
	if (c->p != rest.p + n) {
		cur_fail(c, -EINVAL);
	}
	if (u->mailbox.p && cur_lit(c, S(";UIDVALIDITY="))) {
		u->uidvalidity = imap_parse_nz(c);
	}
	/* A scheme, or a server's name, that we did not take for one. */
	size_t segment = MIN(slice_chr(u->mailbox, '/'), u->mailbox.n);
	if ((!u->absolute && !u->rooted &&
	     slice_chr(slice_sub(u->mailbox, 0, segment), ':') != SIZE_MAX) ||
	    slice_starts(u->mailbox, S("/"))) {
		cur_fail(c, -EINVAL);
	}
	/* Here stands "/;UID=", or ";UID=" at the beginning. */
	if (u->mailbox.p || u->uidvalidity) {
		cur_need(c, '/');
	}
}

static void part(struct cur *c, struct arena *a, struct imap_url *u)
{
	if (!cur_need_lit(c, S(";UID="))) {
		return;
	}
	u->uid = imap_parse_nz(c);
	if (cur_lit(c, S("/;SECTION=")) || cur_lit(c, S(";SECTION="))) {
		struct slice rest = cur_rest(c);
		size_t n = MIN(slice_chr(rest, ';'), rest.n);
		struct cur key = cur_init(slice_from(rest, n));
		if (n > 0 && rest.p[n - 1] == '/' && cur_lit(&key, S(";PARTIAL="))) {
			n--;
		}
		u->section = chars(c, a, is_bchar, rest.p + n);
	}
	if (cur_lit(c, S("/;PARTIAL=")) || cur_lit(c, S(";PARTIAL="))) {
		u->partial = true;
		u->offset = cur_u64(c);
		if (cur_opt(c, '.')) {
			u->count = cur_u64(c);
			if (u->count == 0) {
				cur_fail(c, -EINVAL);
			}
		}
	}
}

/* iurlauth-rump = [";EXPIRE=" date-time] ";URLAUTH=" access */
static void authorisation(struct cur *c, struct arena *a, struct imap_url *u, const char *start)
{
	if (cur_lit(c, S(";EXPIRE="))) {
		struct slice when = cur_until(c, ';', 64);
		if (c->err || imap_url_date(when, &u->expire) != 0) {
			cur_fail(c, -EINVAL);
			return;
		}
		c->p--;
		u->expires = true;
	}
	if (!cur_lit(c, S(";URLAUTH="))) {
		if (u->expires) {
			cur_fail(c, -EINVAL);
		}
		return;
	}
	if (cur_lit(c, S("submit+"))) {
		u->access = URL_SUBMIT;
	} else if (cur_lit(c, S("user+"))) {
		u->access = URL_USER;
	} else if (cur_lit(c, S("authuser"))) {
		u->access = URL_AUTHUSER;
	} else if (cur_lit(c, S("anonymous"))) {
		u->access = URL_ANONYMOUS;
	} else {
		cur_fail(c, -EINVAL);
	}
	if (u->access == URL_SUBMIT || u->access == URL_USER) {
		struct slice rest = cur_rest(c);
		u->access_user = chars(c, a, is_bchar, rest.p + MIN(slice_chr(rest, ':'), rest.n));
	}
	u->rump = slice_make(start, (size_t)(c->p - start));
}

/* iua-verifier = ":" uauth-mechanism ":" 32*HEXDIG */
static void verifier(struct cur *c, struct imap_url *u)
{
	if (u->access == URL_NO_ACCESS || !cur_opt(c, ':')) {
		return;
	}
	u->mechanism = cur_until(c, ':', 32);
	u->token = cur_rest(c);
	if (u->token.n < 32 || u->token.n > IMAP_URL_TOKEN_MAX) {
		cur_fail(c, -EINVAL);
	}
	while (!cur_done(c)) {
		if (hex_value(cur_byte(c)) < 0) {
			cur_fail(c, -EINVAL);
		}
	}
}

int imap_url_parse(struct slice text, struct arena *a, struct imap_url *out)
{
	struct imap_url u = { 0 };
	struct cur c = cur_init(text);

	if (text.n > IMAP_URL_MAX) {
		return -EMSGSIZE;
	}
	u.absolute = cur_lit(&c, S("imap://"));
	if (u.absolute) {
		server(&c, a, &u);
		cur_need(&c, '/');
	} else {
		u.rooted = cur_opt(&c, '/');
	}
	mailbox(&c, a, &u);
	part(&c, a, &u);
	authorisation(&c, a, &u, text.p);
	verifier(&c, &u);
	cur_end(&c);
	if (c.err == 0) {
		*out = u;
	}
	return c.err;
}

/* ---- writing ---------------------------------------------------------------- */

static void put_chars(struct buf *b, struct slice s, bool (*in)(int))
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char ch = (unsigned char)s.p[i];
		if (in(ch)) {
			buf_addc(b, (char)ch);
		} else {
			buf_printf(b, "%%%02X", ch);
		}
	}
}

static void put_date(struct buf *b, int64_t t)
{
	int64_t days = t >= 0 ? t / 86400 : -((-t + 86399) / 86400);
	int64_t sec = t - days * 86400;
	int64_t y = days >= 0 ? 1970 + days / 366 : 1969 + days / 365; /* not too late */

	while (imap_days((int)y + 1, 1, 1) <= days) {
		y++;
	}
	int m = 12;
	while (imap_days((int)y, m, 1) > days) {
		m--;
	}
	buf_printf(b, "%04d-%02d-%02dT%02d:%02d:%02dZ", (int)y, m,
		   (int)(days - imap_days((int)y, m, 1)) + 1, (int)(sec / 3600),
		   (int)(sec / 60 % 60), (int)(sec % 60));
}

static void put_authorisation(struct buf *b, const struct imap_url *u)
{
	static const char *const names[] = { "", "submit+", "user+", "authuser", "anonymous" };

	if (u->access == URL_NO_ACCESS) {
		return;
	}
	if (u->expires) {
		buf_adds(b, ";EXPIRE=");
		put_date(b, u->expire);
	}
	buf_adds(b, ";URLAUTH=");
	buf_adds(b, names[u->access]);
	put_chars(b, u->access_user, is_achar);
	if (u->token.n) {
		buf_addc(b, ':');
		buf_add(b, u->mechanism);
		buf_addc(b, ':');
		buf_add(b, u->token);
	}
}

void imap_url_put(struct buf *b, const struct imap_url *u)
{
	if (u->absolute) {
		buf_adds(b, "imap://");
		if (u->user.p) {
			put_chars(b, u->user, is_achar);
			buf_addc(b, '@');
		}
		buf_add(b, u->host);
	}
	buf_adds(b, u->absolute || u->rooted ? "/" : "");
	if (u->mailbox.p) {
		put_chars(b, u->mailbox, is_bchar);
		if (u->uidvalidity) {
			buf_printf(b, ";UIDVALIDITY=%u", u->uidvalidity);
		}
		buf_addc(b, '/');
	}
	buf_printf(b, ";UID=%u", u->uid);
	if (u->section.p) {
		buf_adds(b, "/;SECTION=");
		put_chars(b, u->section, is_bchar);
	}
	if (u->partial) {
		buf_printf(b, "/;PARTIAL=%llu", (unsigned long long)u->offset);
		if (u->count) {
			buf_printf(b, ".%llu", (unsigned long long)u->count);
		}
	}
	put_authorisation(b, u);
}

/* ---- dates ------------------------------------------------------------------ */

static int zone(struct cur *c)
{
	if (cur_lit(c, S("Z"))) {
		return 0;
	}
	int sign = cur_opt(c, '-') ? -1 : 1;
	if (sign > 0) {
		cur_need(c, '+');
	}
	uint32_t h = cur_digits(c, 2);
	cur_need(c, ':');
	uint32_t m = cur_digits(c, 2);
	if (h > 23 || m > 59) {
		cur_fail(c, -EINVAL);
	}
	return sign * (int)(h * 60 + m);
}

/* date-time = full-date "T" full-time                              RFC 3339 */
int imap_url_date(struct slice text, int64_t *unix_out)
{
	static const unsigned char days_of[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	struct cur c = cur_init(text);

	int year = (int)cur_digits(&c, 4);
	cur_need(&c, '-');
	uint32_t month = cur_digits(&c, 2);
	cur_need(&c, '-');
	uint32_t day = cur_digits(&c, 2);
	if (!cur_lit(&c, S("T"))) {
		cur_fail(&c, -EINVAL);
	}
	uint32_t h = cur_digits(&c, 2);
	cur_need(&c, ':');
	uint32_t m = cur_digits(&c, 2);
	cur_need(&c, ':');
	uint32_t s = cur_digits(&c, 2);
	if (cur_opt(&c, '.')) {
		do {
			cur_digits(&c, 1);
		} while (ascii_isdigit((unsigned char)MAX(cur_peek(&c), 0)));
	}
	int z = zone(&c);
	if (!cur_end(&c) || month < 1 || month > 12 || day < 1 || day > days_of[month - 1] ||
	    h > 23 || m > 59 || s > 60) {
		return -EINVAL;
	}
	if (month == 2 && day == 29 && imap_days(year, 3, 1) - imap_days(year, 2, 1) != 29) {
		return -EINVAL;
	}
	*unix_out = imap_days(year, (int)month, (int)day) * 86400 + h * 3600 + m * 60 + s -
		    z * INT64_C(60);
	return 0;
}
