/*
 * --since: see since.h. Pure.
 */
#include "cli/since.h"

#include <errno.h>
#include <time.h>

#include "base/cur.h"

#define BACK_MAX (UINT64_C(36500) * 86400) /* seconds; a hundred years */

static int ago(struct slice text, int64_t now, int64_t *out)
{
	struct cur c = cur_init(text);
	uint64_t n = cur_u64(&c);
	int unit = cur_byte(&c);
	uint64_t seconds = unit == 's'	 ? 1
			   : unit == 'm' ? 60
			   : unit == 'h' ? 3600
			   : unit == 'd' ? 86400
					 : 0;

	if (!cur_end(&c) || seconds == 0 || n > BACK_MAX / seconds) {
		return -EINVAL;
	}
	*out = now - (int64_t)(n * seconds) * 1000;
	return 0;
}

static void clock_time(struct cur *c, struct tm *t)
{
	t->tm_hour = (int)cur_digits(c, 2);
	cur_need(c, ':');
	t->tm_min = (int)cur_digits(c, 2);
	if (cur_opt(c, ':')) {
		t->tm_sec = (int)cur_digits(c, 2);
	}
}

static int moment(struct slice text, int64_t *out)
{
	struct cur c = cur_init(text);
	struct tm t = { 0 }, same;
	time_t at;

	t.tm_year = (int)cur_digits(&c, 4) - 1900;
	cur_need(&c, '-');
	t.tm_mon = (int)cur_digits(&c, 2) - 1;
	cur_need(&c, '-');
	t.tm_mday = (int)cur_digits(&c, 2);
	if (cur_opt(&c, 'T') || cur_opt(&c, ' ')) {
		clock_time(&c, &t);
	}
	cur_opt(&c, 'Z');
	if (!cur_end(&c) || t.tm_hour > 23 || t.tm_min > 59 || t.tm_sec > 59) {
		return -EINVAL;
	}
	same = t;
	at = timegm(&same); /* the 30th of February becomes another day */
	if (at < 0 || same.tm_mday != t.tm_mday || same.tm_mon != t.tm_mon) {
		return -EINVAL;
	}
	*out = (int64_t)at * 1000;
	return 0;
}

int cli_since_parse(struct slice text, int64_t now, int64_t *out)
{
	return ago(text, now, out) == 0 ? 0 : moment(text, out);
}
