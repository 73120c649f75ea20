/*
 * parse: tokens of IMAP commands; see parse.h. RFC 3501 section 9.
 */
#include "base/err.h"
#include "imap/parse.h"
#include "store/store.h"

/* Bits of classes a character belongs to. */
enum {
	C_ATOM = 1, /* ATOM-CHAR */
	C_ASTR = 2, /* ASTRING-CHAR: also "]" */
	C_LIST = 4, /* list-char: also wildcards */
	C_TAG = 8   /* ASTRING-CHAR without "+" */
};

static bool in_class(unsigned char ch, unsigned cls)
{
	if (ch <= 0x20 || ch >= 0x7f) {
		return false;
	}
	switch (ch) {
	case '(':
	case ')':
	case '{':
	case '"':
	case '\\':
		return false;
	case '%':
	case '*':
		return cls & C_LIST;
	case ']':
		return cls & (C_ASTR | C_LIST | C_TAG);
	case '+':
		return !(cls & C_TAG);
	default:
		return true;
	}
}

static struct slice run_of(struct cur *c, unsigned cls)
{
	const char *start = c->p;

	while (!cur_done(c) && in_class((unsigned char)*c->p, cls)) {
		c->p++;
	}
	if (c->err || c->p == start) {
		cur_fail(c, -EINVAL);
		return slice_make(NULL, 0);
	}
	return slice_make(start, (size_t)(c->p - start));
}

struct slice imap_parse_tag(struct cur *c, size_t max)
{
	struct slice s = run_of(c, C_TAG);

	if (s.n > max) {
		cur_fail(c, -EMSGSIZE);
		return slice_make(NULL, 0);
	}
	return s;
}

struct slice imap_parse_atom(struct cur *c)
{
	return run_of(c, C_ATOM);
}

/* quoted = DQUOTE *QUOTED-CHAR DQUOTE */
static struct slice quoted(struct cur *c, struct arena *a)
{
	const char *start;
	size_t escapes = 0;
	char *dst;
	size_t n = 0;

	cur_need(c, '"');
	start = c->p;
	while (!c->err) {
		int ch = cur_byte(c);
		if (ch == '"') {
			break;
		}
		if (ch == '\\') {
			int esc = cur_byte(c);
			if (esc != '"' && esc != '\\') {
				cur_fail(c, -EINVAL);
			}
			escapes++;
		} else if (ch == '\r' || ch == '\n' || ch == 0) {
			cur_fail(c, -EINVAL);
		}
	}
	if (c->err) {
		return slice_make(NULL, 0);
	}
	struct slice raw = slice_make(start, (size_t)(c->p - 1 - start));
	if (escapes == 0) {
		return raw;
	}
	dst = arena_alloc(a, raw.n);
	if (!dst) {
		cur_fail(c, -ENOMEM);
		return slice_make(NULL, 0);
	}
	for (size_t i = 0; i < raw.n; i++) {
		i += raw.p[i] == '\\';
		dst[n++] = raw.p[i];
	}
	return slice_make(dst, n);
}

/* literal = "{" number ["+"] "}" CRLF *CHAR8 */
static struct slice literal(struct cur *c)
{
	struct slice s;
	uint64_t n;

	cur_need(c, '{');
	n = cur_u64(c);
	cur_opt(c, '+');
	cur_need(c, '}');
	cur_need(c, '\r');
	cur_need(c, '\n');
	if (c->err || n > cur_left(c)) {
		cur_fail(c, -EINVAL);
		return slice_make(NULL, 0);
	}
	s = cur_take(c, (size_t)n);
	if (slice_has_nul(s)) {
		cur_fail(c, -EINVAL);
		return slice_make(NULL, 0);
	}
	return s.p ? s : slice_make("", 0);
}

struct slice imap_parse_string(struct cur *c, struct arena *a)
{
	return cur_peek(c) == '"' ? quoted(c, a) : literal(c);
}

struct slice imap_parse_astring(struct cur *c, struct arena *a)
{
	int ch = cur_peek(c);

	return ch == '"' || ch == '{' ? imap_parse_string(c, a) : run_of(c, C_ASTR);
}

struct slice imap_parse_nstring(struct cur *c, struct arena *a)
{
	if (cur_lit(c, S("NIL"))) {
		return slice_make(NULL, 0);
	}
	return imap_parse_string(c, a);
}

struct slice imap_parse_list_mailbox(struct cur *c, struct arena *a)
{
	int ch = cur_peek(c);

	return ch == '"' || ch == '{' ? imap_parse_string(c, a) : run_of(c, C_LIST);
}

uint32_t imap_parse_nz(struct cur *c)
{
	uint32_t v = cur_u32(c);

	if (v == 0) {
		cur_fail(c, -EINVAL);
	}
	return v;
}

uint64_t imap_parse_u63(struct cur *c)
{
	uint64_t v = cur_u64(c);

	if (v > INT64_MAX) {
		cur_fail(c, -ERANGE);
		return 0;
	}
	return v;
}

int imap_parse_literal_tail(struct slice line, uint64_t *n_out, bool *sync_out)
{
	size_t end = line.n;
	size_t i;
	bool sync = true;
	int r;

	if (end < 3 || line.p[end - 1] != '}') {
		return 0;
	}
	end--;
	if (line.p[end - 1] == '+') {
		sync = false;
		end--;
	}
	for (i = end; i > 0 && ascii_isdigit((unsigned char)line.p[i - 1]);) {
		i--;
	}
	if (i == end || i == 0 || line.p[i - 1] != '{') {
		return 0;
	}
	r = slice_u64(slice_sub(line, i, end - i), n_out);
	*sync_out = sync;
	return r == 0 ? 1 : -ERANGE;
}

/* ---- flags --------------------------------------------------------------- */

static const struct {
	struct slice name;
	uint32_t bit;
} system_flags[] = {
	{ S("Seen"), STORE_SEEN },	 { S("Answered"), STORE_ANSWERED },
	{ S("Flagged"), STORE_FLAGGED }, { S("Deleted"), STORE_DELETED },
	{ S("Draft"), STORE_DRAFT },
};

static void flag(struct cur *c, struct imap_flags *f)
{
	bool system = cur_opt(c, '\\');
	struct slice name = imap_parse_atom(c);

	if (c->err) {
		return;
	}
	if (!system) {
		if (name.n > STORE_KEYWORD_MAX || f->n >= IMAP_FLAGS_MAX) {
			cur_fail(c, -EMSGSIZE);
			return;
		}
		f->keywords[f->n++] = name;
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(system_flags); i++) {
		if (slice_ieq(name, system_flags[i].name)) {
			f->system |= system_flags[i].bit;
			return;
		}
	}
	cur_fail(c, -EINVAL);
}

static bool flags_start(struct cur *c, struct arena *a, struct imap_flags *f)
{
	*f = (struct imap_flags){ 0 };
	f->keywords = arena_array(a, IMAP_FLAGS_MAX, sizeof(f->keywords[0]));
	if (!f->keywords) {
		cur_fail(c, -ENOMEM);
	}
	return f->keywords != NULL;
}

static void flag_run(struct cur *c, struct imap_flags *f)
{
	do {
		flag(c, f);
	} while (!c->err && cur_opt(c, ' '));
}

void imap_parse_flag_list(struct cur *c, struct arena *a, struct imap_flags *out)
{
	if (!flags_start(c, a, out)) {
		return;
	}
	cur_need(c, '(');
	if (!cur_opt(c, ')')) {
		flag_run(c, out);
		cur_need(c, ')');
	}
}

void imap_parse_store_flags(struct cur *c, struct arena *a, struct imap_flags *out)
{
	if (cur_peek(c) == '(') {
		imap_parse_flag_list(c, a, out);
	} else if (flags_start(c, a, out)) {
		flag_run(c, out);
	}
}

/* ---- dates ---------------------------------------------------------------- */

int imap_parse_month(struct cur *c)
{
	static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	struct slice s = cur_take(c, 3);

	for (int i = 0; !c->err && i < 12; i++) {
		if (slice_ieq(s, slice_make(names + 3 * i, 3))) {
			return i + 1;
		}
	}
	cur_fail(c, -EINVAL);
	return 0;
}

int64_t imap_days(int year, int month, int day)
{
	/* Years from March on, so that the leap day is a year's last. */
	int64_t y = month <= 2 ? (int64_t)year - 1 : year;
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t of_era = y - era * 400;
	int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static bool day_exists(int year, int month, int day)
{
	static const int len[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

	return day >= 1 && day <= len[month - 1] + (month == 2 && leap);
}

/* "-" date-month "-" date-year, the day being known. */
static int64_t month_year(struct cur *c, uint32_t day)
{
	int month;
	int year;

	cur_need(c, '-');
	month = imap_parse_month(c);
	cur_need(c, '-');
	year = (int)cur_digits(c, 4);
	if (c->err || !day_exists(year, month, (int)day)) {
		cur_fail(c, -EINVAL);
		return 0;
	}
	return imap_days(year, month, (int)day);
}

int64_t imap_parse_date(struct cur *c)
{
	bool q = cur_opt(c, '"');
	uint32_t day = cur_digits(c, 1);
	int64_t days;

	if (ascii_isdigit((unsigned char)MAX(cur_peek(c), 0))) {
		day = day * 10 + cur_digits(c, 1);
	}
	days = month_year(c, day);
	if (q) {
		cur_need(c, '"');
	}
	return c->err ? 0 : days;
}

static int zone(struct cur *c)
{
	int sign = cur_opt(c, '-') ? -1 : 1;
	uint32_t hours;
	uint32_t minutes;

	if (sign > 0) {
		cur_need(c, '+');
	}
	hours = cur_digits(c, 2);
	minutes = cur_digits(c, 2);
	if (hours > 23 || minutes > 59) {
		cur_fail(c, -EINVAL);
	}
	return sign * (int)(hours * 60 + minutes);
}

void imap_parse_date_time(struct cur *c, int64_t *unix_out, int *zone_out)
{
	uint32_t day;
	uint32_t h;
	uint32_t m;
	uint32_t s;
	int64_t days;
	int z;

	cur_need(c, '"');
	day = cur_opt(c, ' ') ? cur_digits(c, 1) : cur_digits(c, 2);
	days = month_year(c, day);
	cur_sp(c);
	h = cur_digits(c, 2);
	cur_need(c, ':');
	m = cur_digits(c, 2);
	cur_need(c, ':');
	s = cur_digits(c, 2);
	cur_sp(c);
	z = zone(c);
	cur_need(c, '"');
	if (c->err || h > 23 || m > 59 || s > 60) {
		cur_fail(c, -EINVAL);
		return;
	}
	*unix_out = days * 86400 + h * 3600 + m * 60 + s - z * INT64_C(60);
	*zone_out = z;
}
