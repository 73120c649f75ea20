/*
 * Parameters of MAIL and RCPT: see params.h. Each is taken once; what is wrong
 * with a value, or with two of them together, is a syntax error.
 */
#include "smtp/params.h"

#include "base/err.h"
#include "base/utf8.h"
#include "smtp/address.h"

#define SIZE_DIGITS_MAX 20 /* RFC 1870 3 */
#define BY_DIGITS_MAX 9	   /* RFC 2852 4 */

struct target {
	struct smtp_mail_params *mail;
	struct smtp_rcpt_params *rcpt;
	int64_t now;
	bool utf8;
};

/* value.p NULL: there was no "=". False: not what it may be. */
typedef bool take_fn(struct slice value, struct target *t);

struct row {
	struct slice name;
	enum smtp_ext ext;
	take_fn *take;
};

/* ---- MAIL ------------------------------------------------------------------ */

static bool take_size(struct slice v, struct target *t)
{
	return v.n <= SIZE_DIGITS_MAX && slice_u64(v, &t->mail->size) == 0;
}

static bool take_body(struct slice v, struct target *t)
{
	static const struct slice names[] = { S("7BIT"), S("8BITMIME"), S("BINARYMIME") };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (slice_ieq(v, names[i])) {
			t->mail->body = (enum smtp_body)i;
			return true;
		}
	}
	return false;
}

static bool take_smtputf8(struct slice v, struct target *t)
{
	t->mail->smtputf8 = true;
	return !v.p;
}

static bool take_requiretls(struct slice v, struct target *t)
{
	t->mail->requiretls = true;
	return !v.p;
}

/* priority-value = (["-"] NZDIGIT) / "0" */
static bool take_priority(struct slice v, struct target *t)
{
	bool minus = v.n == 2 && v.p[0] == '-';
	struct slice digit = slice_from(v, minus);

	if (digit.n != 1 || !ascii_isdigit((unsigned char)digit.p[0]) ||
	    (minus && digit.p[0] == '0')) {
		return false;
	}
	t->mail->priority = (minus ? -1 : 1) * (digit.p[0] - '0');
	return true;
}

/* "<>" or the xtext of a mailbox with a domain */
static bool take_auth(struct slice v, struct target *t)
{
	struct buf plain = BUF_INIT(SMTP_AUTH_MAX + 2);
	struct smtp_path path;
	struct cur c;
	bool ok;

	t->mail->auth = v;
	if (!v.p || v.n > SMTP_AUTH_MAX) {
		return false;
	}
	if (slice_eq(v, S("<>"))) {
		return true;
	}
	buf_addc(&plain, '<');
	ok = smtp_xtext_decode(v, &plain) == 0;
	buf_addc(&plain, '>');
	c = cur_init(buf_slice(&plain));
	ok = ok && !plain.err && smtp_path_parse(&c, false, &path) == SMTP_ADDR_OK && cur_end(&c) &&
	     path.domain.n > 0;
	buf_fini(&plain);
	return ok;
}

/* by-value = ["-" / "+"] 1*9DIGIT ";" ("N" / "R") ["T"] */
static bool take_by(struct slice v, struct target *t)
{
	struct slice mode = v;
	struct slice number = slice_split(&mode, ';');
	bool minus = number.n && number.p[0] == '-';
	uint64_t n;

	if (minus || (number.n && number.p[0] == '+')) {
		number = slice_from(number, 1);
	}
	if (number.n > BY_DIGITS_MAX || slice_u64(number, &n) != 0) {
		return false;
	}
	t->mail->by_time = minus ? -(int64_t)n : (int64_t)n;
	t->mail->by_trace = mode.n == 2 && ascii_lower((unsigned char)mode.p[1]) == 't';
	if (mode.n != 1 + (size_t)t->mail->by_trace) {
		return false;
	}
	switch (ascii_lower((unsigned char)mode.p[0])) {
	case 'n':
		t->mail->by = SMTP_BY_NOTIFY;
		return true;
	case 'r':
		t->mail->by = SMTP_BY_RETURN;
		return t->mail->by_time > 0;
	default:
		return false;
	}
}

static bool take_ret(struct slice v, struct target *t)
{
	t->mail->ret = slice_ieq(v, S("FULL"))	 ? SMTP_RET_FULL
		       : slice_ieq(v, S("HDRS")) ? SMTP_RET_HDRS
						 : SMTP_RET_NONE;
	return t->mail->ret != SMTP_RET_NONE;
}

static bool take_envid(struct slice v, struct target *t)
{
	t->mail->envid = v;
	return v.p && v.n <= SMTP_ENVID_MAX && smtp_xtext_ok(v);
}

/* future-release-integer = %x31-39 *8DIGIT */
static bool take_holdfor(struct slice v, struct target *t)
{
	uint32_t n;

	if (v.n == 0 || v.n > 9 || v.p[0] == '0' || slice_u32(v, &n) != 0 || n > SMTP_HOLD_MAX) {
		return false;
	}
	t->mail->hold = t->now + n;
	return true;
}

/* Days from 1970-01-01 to a day of the Gregorian calendar. */
static int64_t days_of(int64_t y, int64_t m, int64_t d)
{
	int64_t a = (14 - m) / 12;
	int64_t yy = y + 4800 - a;

	return d + (153 * (m + 12 * a - 3) + 2) / 5 + 365 * yy + yy / 4 - yy / 100 + yy / 400 -
	       32045 - 2440588;
}

static uint32_t days_in(uint32_t y, uint32_t m)
{
	static const uint32_t days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	return days[m - 1] + (m == 2 && (y % 4 == 0 && (y % 100 != 0 || y % 400 == 0)));
}

/* YYYY-MM-DD "T" hh:mm:ss ["." 1*DIGIT] "Z" (RFC 3339, in UTC). 0: none. */
static int64_t parse_utc(struct slice v)
{
	struct cur c = cur_init(v);
	uint32_t y, mo, d, h, mi, s;

	y = cur_digits(&c, 4);
	cur_need(&c, '-');
	mo = cur_digits(&c, 2);
	cur_need(&c, '-');
	d = cur_digits(&c, 2);
	cur_need_lit(&c, S("T"));
	h = cur_digits(&c, 2);
	cur_need(&c, ':');
	mi = cur_digits(&c, 2);
	cur_need(&c, ':');
	s = cur_digits(&c, 2);
	if (cur_opt(&c, '.')) {
		cur_u64(&c);
	}
	cur_need_lit(&c, S("Z"));
	if (!cur_end(&c) || mo < 1 || mo > 12 || d < 1 || d > days_in(y, mo) || h > 23 || mi > 59 ||
	    s > 60) {
		return 0;
	}
	return days_of(y, mo, d) * 86400 + h * 3600 + mi * 60 + s;
}

static bool take_holduntil(struct slice v, struct target *t)
{
	t->mail->hold = parse_utc(v);
	return t->mail->hold > t->now && t->mail->hold <= t->now + SMTP_HOLD_MAX;
}

/* ---- RCPT ------------------------------------------------------------------ */

/* "NEVER" / 1#("SUCCESS" / "FAILURE" / "DELAY") */
static bool take_notify(struct slice v, struct target *t)
{
	static const struct slice names[] = { S("NEVER"), S("SUCCESS"), S("FAILURE"), S("DELAY") };
	unsigned all = 0;

	if (!v.p) {
		return false;
	}
	do {
		struct slice one = slice_split(&v, ',');
		unsigned bit = 0;

		for (size_t i = 0; i < ARRAY_LEN(names); i++) {
			bit |= slice_ieq(one, names[i]) ? 1u << i : 0;
		}
		if (bit == 0 || (all & bit)) {
			return false;
		}
		all |= bit;
	} while (v.p);
	t->rcpt->notify = all;
	return all == SMTP_NOTIFY_NEVER || !(all & SMTP_NOTIFY_NEVER);
}

/* atom of RFC 822 */
static bool is_atom(struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c <= ' ' || c >= 0x7f || strchr("()<>@,;:\\\".[]", c)) {
			return false;
		}
	}
	return s.n > 0;
}

/* addr-type ";" xtext; of the type utf-8 also UTF-8 itself (RFC 6533 3) */
static bool take_orcpt(struct slice v, struct target *t)
{
	struct slice addr = v;
	struct slice type = slice_split(&addr, ';');

	t->rcpt->orcpt = v;
	if (v.n > SMTP_ORCPT_MAX || !is_atom(type) || addr.n == 0) {
		return false;
	}
	if (slice_ieq(type, S("utf-8")) && slice_has_8bit(addr)) {
		return t->utf8 && utf8_valid(addr) && slice_chr(addr, '+') == SIZE_MAX;
	}
	return smtp_xtext_ok(addr);
}

/* ---- tables ---------------------------------------------------------------- */

static const struct row mail_rows[] = {
	{ S("SIZE"), SMTP_EXT_SIZE, take_size },
	{ S("BODY"), SMTP_EXT_8BITMIME, take_body },
	{ S("SMTPUTF8"), SMTP_EXT_SMTPUTF8, take_smtputf8 },
	{ S("AUTH"), SMTP_EXT_AUTH, take_auth },
	{ S("REQUIRETLS"), SMTP_EXT_REQUIRETLS, take_requiretls },
	{ S("MT-PRIORITY"), SMTP_EXT_MT_PRIORITY, take_priority },
	{ S("BY"), SMTP_EXT_DELIVERBY, take_by },
	{ S("RET"), SMTP_EXT_DSN, take_ret },
	{ S("ENVID"), SMTP_EXT_DSN, take_envid },
	{ S("HOLDFOR"), SMTP_EXT_FUTURERELEASE, take_holdfor },
	{ S("HOLDUNTIL"), SMTP_EXT_FUTURERELEASE, take_holduntil },
};

static const struct row rcpt_rows[] = {
	{ S("NOTIFY"), SMTP_EXT_DSN, take_notify },
	{ S("ORCPT"), SMTP_EXT_DSN, take_orcpt },
};

static enum smtp_params parse(struct cur *c, const struct row *rows, size_t n, unsigned offered,
			      struct target *t, unsigned *seen)
{
	struct smtp_param p;
	int r;

	while ((r = smtp_param_next(c, &p)) == 1) {
		size_t i = 0;

		while (i < n && !slice_ieq(p.name, rows[i].name)) {
			i++;
		}
		if (i == n || !(offered & SMTP_EXT_BIT(rows[i].ext))) {
			return SMTP_PARAMS_UNKNOWN;
		}
		if ((*seen & 1u << i) || !rows[i].take(p.value, t)) {
			return SMTP_PARAMS_SYNTAX;
		}
		*seen |= 1u << i;
	}
	return r < 0 ? SMTP_PARAMS_SYNTAX : SMTP_PARAMS_OK;
}

/* What single values cannot say. RFC 4865 4.1 (2), 5.2.2. */
static bool agree(const struct smtp_mail_params *m, int64_t now)
{
	unsigned holds = 0;

	for (size_t i = 0; i < ARRAY_LEN(mail_rows); i++) {
		if (mail_rows[i].ext == SMTP_EXT_FUTURERELEASE) {
			holds += m->seen >> i & 1;
		}
	}
	return holds == 0 || (holds == 1 && (m->by == SMTP_BY_NONE || m->hold - now <= m->by_time));
}

enum smtp_params smtp_mail_params_parse(struct cur *c, unsigned offered, int64_t now,
					struct smtp_mail_params *out)
{
	struct target t = { .mail = out, .now = now };
	enum smtp_params r;

	*out = (struct smtp_mail_params){ 0 };
	r = parse(c, mail_rows, ARRAY_LEN(mail_rows), offered, &t, &out->seen);
	return r == SMTP_PARAMS_OK && !agree(out, now) ? SMTP_PARAMS_SYNTAX : r;
}

enum smtp_params smtp_rcpt_params_parse(struct cur *c, unsigned offered, bool utf8,
					struct smtp_rcpt_params *out)
{
	struct target t = { .rcpt = out, .utf8 = utf8 };

	*out = (struct smtp_rcpt_params){ 0 };
	return parse(c, rcpt_rows, ARRAY_LEN(rcpt_rows), offered, &t, &out->seen);
}
