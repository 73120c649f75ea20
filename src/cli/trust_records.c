/*
 * Records of the DNS from a file, for trying them before they are published:
 * see trust.h.
 */
#include <errno.h>

#include "base/cur.h"
#include "cli/trust.h"
#include "trust/domain.h"

/* White space ends it. */
static struct slice take_word(struct cur *c)
{
	const char *start;

	cur_skip_wsp(c);
	start = c->p;
	while (!cur_done(c) && *c->p != ' ' && *c->p != '\t') {
		c->p++;
	}
	return slice_make(start, (size_t)(c->p - start));
}

static bool is_ttl(struct slice s)
{
	uint32_t n;

	return slice_u32(s, &n) == 0;
}

/* [TTL] [IN] TXT */
static bool skip_type(struct cur *c)
{
	struct slice w = take_word(c);

	if (is_ttl(w)) {
		w = take_word(c);
	}
	if (slice_ieq(w, S("IN"))) {
		w = take_word(c);
	}
	return slice_ieq(w, S("TXT"));
}

/* One "string" of a zone file; \" and \\ stand for themselves. */
static bool take_string(struct cur *c, struct buf *out)
{
	cur_need(c, '"');
	while (!cur_done(c) && *c->p != '"') {
		if (*c->p == '\\') {
			c->p++;
		}
		buf_addc(out, (char)cur_byte(c));
	}
	return cur_need(c, '"') && !out->err;
}

/* The text of the record: strings, or all that is left of the line. */
static bool take_text(struct cur *c, struct buf *out)
{
	struct slice rest = slice_trim(cur_rest(c));

	if (rest.n >= 2 && rest.p[0] == '(' && rest.p[rest.n - 1] == ')') {
		rest = slice_trim(slice_sub(rest, 1, rest.n - 2));
	}
	if (rest.n == 0 || rest.p[0] != '"') {
		buf_add(out, rest);
		return rest.n > 0 && !out->err;
	}
	*c = cur_init(rest);
	while (!cur_done(c)) {
		if (!take_string(c, out)) {
			return false;
		}
		cur_skip_wsp(c);
	}
	return !c->err;
}

static int read_line(struct slice line, struct dns *d, const char **why)
{
	struct buf text = BUF_INIT(TRUST_RECORD_TEXT_MAX), name = BUF_INIT(DNS_TEXT_MAX);
	struct cur c = cur_init(line);
	struct slice word = take_word(&c);
	int r = -EINVAL;

	if (slice_has_nul(line)) {
		*why = "there is a NUL in it";
	} else if (!skip_type(&c)) {
		*why = "expected NAME TXT TEXT";
	} else if (!take_text(&c, &text)) {
		*why = "its text cannot be read";
	} else if (trust_domain_canon(word, &name) < 0) {
		*why = "its name cannot be one";
	} else {
		*why = "its text cannot be one";
		r = dns_mem_text(d, buf_cstr(&name), DNS_TXT, buf_cstr(&text));
	}
	buf_fini(&text);
	buf_fini(&name);
	return r;
}

int trust_records_read(struct slice text, struct dns *d, const char **why)
{
	int number = 0;

	while (text.p) {
		struct slice line = slice_trim(slice_split(&text, '\n'));
		int r = 0;

		number++;
		if (line.n && line.p[0] != '#' && line.p[0] != ';') {
			r = read_line(line, d, why);
		}
		if (r < 0) {
			return r == -ENOMEM ? r : number;
		}
	}
	return 0;
}
