/*
 * date: the Date field (RFC 5322 3.3, 4.3) as it is found in the wild.
 *
 * The tokens say what they are: a name is a day, a month or a zone, a token
 * with colons is the time, "+" or "-" behind the time begins the zone, a
 * number is the day, then the year (three digits or more are always a year).
 * So the standard form, asctime() and dashed dates are one grammar. Military
 * zones mean "unknown" (RFC 5322 4.3), like any name not known here.
 * Everything is bounded (THREATS MI-11): years 1..9999, zones under a day.
 */
#include <errno.h>
#include <stdio.h>

#include "mime/header.h"
#include "mime/impl.h"

struct date_parser {
	struct cur c;
	struct mime_date d;
	bool have_day, have_month, have_year, have_time, have_zone;
	bool pm, am;
	bool bad;
};

static const char months[12][4] = { "jan", "feb", "mar", "apr", "may", "jun",
				    "jul", "aug", "sep", "oct", "nov", "dec" };
static const char days[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };

static const struct {
	char name[5];
	int hours;
} zones[] = {
	{ "est", -5 }, { "edt", -4 }, { "cst", -6 },  { "cdt", -5 },  { "mst", -7 },
	{ "mdt", -6 }, { "pst", -8 }, { "pdt", -7 },  { "cet", 1 },   { "mez", 1 },
	{ "cest", 2 }, { "bst", 1 },  { "met", 1 },   { "mest", 2 },  { "eet", 2 },
	{ "eest", 3 }, { "wet", 0 },  { "west", 1 },  { "jst", 9 },   { "kst", 9 },
	{ "msk", 3 },  { "msd", 4 },  { "hst", -10 }, { "akst", -9 }, { "akdt", -8 },
};

/* Days since 1970-01-01 of a proleptic Gregorian date. */
static int64_t civil_days(int year, int month, int day)
{
	int64_t y = year - (month <= 2);
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t yoe = y - era * 400;
	int64_t doy = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
	int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;

	return era * 146097 + doe - 719468;
}

/* At most max digits; *n_out says how many there were. */
static int digits(struct cur *c, unsigned max, unsigned *n_out)
{
	unsigned n = 0;
	int v = 0;

	while (c->p < c->end && n < max && ascii_isdigit((unsigned char)*c->p)) {
		v = v * 10 + (*c->p++ - '0');
		n++;
	}
	*n_out = n;
	return v;
}

static void name_token(struct date_parser *p, struct slice s)
{
	struct slice three = slice_sub(s, 0, 3);

	for (int m = 0; m < 12; m++) {
		if (!p->have_month && s.n >= 3 && slice_ieq(three, slice_cstr(months[m]))) {
			p->d.month = m + 1;
			p->have_month = true;
			return;
		}
	}
	if (p->have_time && slice_ieq(s, S("pm"))) {
		p->pm = true;
	} else if (p->have_time && slice_ieq(s, S("am"))) {
		p->am = true;
	}
	for (size_t i = 0; i < ARRAY_LEN(zones); i++) {
		if (p->have_time && !p->have_zone && slice_ieq(s, slice_cstr(zones[i].name))) {
			p->d.zone = zones[i].hours * 60;
			p->have_zone = true;
		}
	}
}

/* Takes ":" (comments around it) or "." right here. */
static bool time_mark(struct cur *c)
{
	struct cur ahead = *c;

	if (cur_opt(c, '.')) {
		return true;
	}
	mime_skip_cfws(&ahead, NULL);
	if (!cur_opt(&ahead, ':')) {
		return false;
	}
	mime_skip_cfws(&ahead, NULL);
	*c = ahead;
	return true;
}

/* Behind the hour and its mark: minute [mark second ["." fraction]] */
static void time_token(struct date_parser *p, int hour)
{
	struct cur *c = &p->c;
	unsigned n;

	p->have_time = true;
	p->d.hour = hour;
	p->d.minute = digits(c, 2, &n);
	if (time_mark(c)) {
		p->d.second = digits(c, 2, &n);
	}
	if (cur_opt(c, '.') || cur_opt(c, ',')) {
		digits(c, 9, &n);
	}
}

/* zone = ("+" / "-") 2DIGIT [":"] 2DIGIT; one beyond a day is not known */
static void zone_token(struct date_parser *p)
{
	struct cur *c = &p->c;
	bool west = *c->p++ == '-';
	unsigned n;
	int v = digits(c, 4, &n);

	if (n <= 2) {
		v *= 100;
		if (cur_opt(c, ':')) {
			v += digits(c, 2, &n);
		}
	}
	if (n && v / 100 < 24 && v % 100 < 60) {
		p->d.zone = (v / 100 * 60 + v % 100) * (west ? -1 : 1);
		p->have_zone = true;
	}
}

/* Two digits: 2000-2049, else 1950-1999; three: 1900 and on (RFC 5322 4.3). */
static void year_token(struct date_parser *p, int v, unsigned n)
{
	if (n <= 2) {
		v += v < 50 ? 2000 : 1900;
	} else if (n == 3) {
		v += 1900;
	}
	p->d.year = v;
	p->have_year = true;
}

/* A day with a dot behind it is no time: only the month tells. */
static void number_token(struct date_parser *p)
{
	struct cur *c = &p->c;
	unsigned n;
	int v = digits(c, 9, &n);

	if (n <= 2 && !p->have_time && p->have_month && time_mark(c)) {
		time_token(p, v);
	} else if (n <= 2 && !p->have_day) {
		p->d.day = v;
		p->have_day = true;
	} else if (!p->have_year) {
		year_token(p, v, n);
	}
}

static void step(struct date_parser *p)
{
	struct cur *c = &p->c;
	unsigned char ch = (unsigned char)*c->p;
	const char *start = c->p;

	if (ascii_isdigit(ch)) {
		number_token(p);
	} else if (ascii_isalpha(ch)) {
		while (c->p < c->end && ascii_isalpha((unsigned char)*c->p)) {
			c->p++;
		}
		name_token(p, slice_make(start, (size_t)(c->p - start)));
	} else if ((ch == '+' || ch == '-') && p->have_time && !p->have_zone) {
		zone_token(p);
	} else {
		c->p++;
	}
}

static bool in_range(const struct date_parser *p)
{
	const struct mime_date *d = &p->d;

	return p->have_day && p->have_month && p->have_year && d->year >= 1 && d->year <= 9999 &&
	       d->day >= 1 && d->day <= 31 && d->hour >= 0 && d->hour <= 24 && d->minute <= 59 &&
	       d->second <= 60;
}

int mime_date_parse(struct slice body, struct mime_date *out)
{
	struct date_parser p = { .c = cur_init(body) };

	for (;;) {
		mime_skip_cfws(&p.c, NULL);
		if (cur_done(&p.c)) {
			break;
		}
		step(&p);
	}
	if (p.pm && p.d.hour < 12) {
		p.d.hour += 12;
	} else if (p.am && p.d.hour == 12) {
		p.d.hour = 0;
	}
	if (!in_range(&p)) {
		return -EINVAL;
	}
	p.d.unix_seconds = civil_days(p.d.year, p.d.month, p.d.day) * 86400 + p.d.hour * 3600 +
			   p.d.minute * 60 + p.d.second - (int64_t)p.d.zone * 60;
	*out = p.d;
	return 0;
}

/* The civil date of a day count, the inverse of civil_days. */
static void civil_date(int64_t z, int64_t *year, int *month, int *day)
{
	int64_t era, doe, yoe, doy, mp;

	z += 719468;
	era = (z >= 0 ? z : z - 146096) / 146097;
	doe = z - era * 146097;
	yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	mp = (5 * doy + 2) / 153;
	*day = (int)(doy - (153 * mp + 2) / 5 + 1);
	*month = (int)(mp < 10 ? mp + 3 : mp - 9);
	*year = yoe + era * 400 + (*month <= 2);
}

void mime_date_format(int64_t unix_seconds, int zone, char dst[40])
{
	/* 0000-01-01 and 9999-12-31, a day inside for the zone. */
	const int64_t lo = INT64_C(-62167132800), hi = INT64_C(253402214400);
	int64_t t, day_no, rest, year;
	int month, day;
	unsigned off;

	zone = MAX(MIN(zone, 1439), -1439);
	t = MAX(MIN(unix_seconds, hi), lo) + (int64_t)zone * 60;
	day_no = t >= 0 ? t / 86400 : -((86399 - t) / 86400);
	rest = t - day_no * 86400;
	civil_date(day_no, &year, &month, &day);
	off = (unsigned)(zone < 0 ? -zone : zone);
	snprintf(dst, 40, "%s, %02u %c%s %04u %02u:%02u:%02u %c%02u%02u",
		 days[(day_no % 7 + 11) % 7], (unsigned)day % 100u, months[month - 1][0] & ~0x20,
		 months[month - 1] + 1, (unsigned)year % 10000u, (unsigned)(rest / 3600) % 100u,
		 (unsigned)(rest / 60 % 60), (unsigned)(rest % 60), zone < 0 ? '-' : '+',
		 off / 60 % 100u, off % 60);
}
