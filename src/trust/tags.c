/* Lists of "name=value;": see tags.h. */
#include "trust/tags.h"

#include "base/buf.h"
#include "base/codec.h"
#include "base/cur.h"
#include "base/err.h"

static bool is_wsp(int c)
{
	return c == ' ' || c == '\t';
}

/* Skips WSP and CRLF followed by WSP; anything else is left standing. */
static void skip_fws(struct cur *c)
{
	while (!cur_done(c)) {
		if (is_wsp(*c->p)) {
			c->p++;
		} else if (cur_left(c) >= 3 && c->p[0] == '\r' && c->p[1] == '\n' &&
			   is_wsp(c->p[2])) {
			c->p += 3;
		} else {
			return;
		}
	}
}

static bool is_name_char(int c)
{
	return c >= 0 &&
	       (ascii_isalpha((unsigned char)c) || ascii_isdigit((unsigned char)c) || c == '_');
}

/* tag-name = ALPHA *(ALPHA / DIGIT / "_") */
static struct slice take_name(struct cur *c)
{
	const char *start = c->p;

	if (cur_done(c) || !ascii_isalpha((unsigned char)*c->p)) {
		cur_fail(c, -EINVAL);
		return slice_make(NULL, 0);
	}
	while (is_name_char(cur_peek(c))) {
		c->p++;
	}
	return slice_make(start, (size_t)(c->p - start));
}

/* %x21-3A / %x3C-7E, and 8-bit octets (RFC 8616 5) */
static bool is_value_char(unsigned char c)
{
	return c > 0x20 && c != ';' && c != 0x7f;
}

/* tag-value with the white space around it; stops at ";" or the end. */
static void take_value(struct cur *c, struct tag *t)
{
	const char *start = c->p;
	const char *first, *last;

	skip_fws(c);
	first = last = c->p;
	while (!cur_done(c) && *c->p != ';') {
		if (!is_value_char((unsigned char)*c->p)) {
			cur_fail(c, -EINVAL);
			return;
		}
		last = ++c->p;
		skip_fws(c);
	}
	t->value = slice_make(first, (size_t)(last - first));
	t->whole = slice_make(start, (size_t)(c->p - start));
}

/* tag-spec = [FWS] tag-name [FWS] "=" [FWS] tag-value [FWS] */
static void take_tag(struct cur *c, struct tag *t)
{
	t->name = take_name(c);
	skip_fws(c);
	if (cur_need(c, '=')) {
		take_value(c, t);
	}
}

int tags_parse(struct slice text, struct tags *out)
{
	struct cur c = cur_init(text);
	struct tag t;

	out->n = 0;
	skip_fws(&c);
	do {
		take_tag(&c, &t);
		if (c.err) {
			return -EINVAL;
		}
		if (tags_get(out, t.name)) {
			return -EEXIST;
		}
		if (out->n == TAGS_MAX) {
			return -E2BIG;
		}
		out->tag[out->n++] = t;
		if (!cur_opt(&c, ';')) {
			break;
		}
		skip_fws(&c);
	} while (!cur_done(&c));
	return cur_done(&c) && !c.err ? 0 : -EINVAL;
}

const char *tags_problem(int r)
{
	switch (r) {
	case -EEXIST:
		return "a tag stands there twice";
	case -E2BIG:
		return "too many tags";
	default:
		return "not a list of tags";
	}
}

const struct tag *tags_get(const struct tags *t, struct slice name)
{
	for (size_t i = 0; i < t->n; i++) {
		if (slice_eq(t->tag[i].name, name)) {
			return &t->tag[i];
		}
	}
	return NULL;
}

bool tags_item(struct slice *rest, struct slice *out)
{
	if (!rest->p) {
		return false;
	}
	*out = slice_trim(slice_split(rest, ':'));
	return true;
}

bool tags_list_has(struct slice list, struct slice word)
{
	struct slice item;

	while (tags_item(&list, &item)) {
		if (slice_eq(item, word)) {
			return true;
		}
	}
	return false;
}

int tags_base64(struct slice value, unsigned char *dst, size_t cap)
{
	struct buf text = BUF_INIT(cap * 4 / 3 + 8);
	struct buf octets = BUF_INIT(cap + 8);
	int r;

	for (size_t i = 0; i < value.n; i++) {
		char c = value.p[i];
		if (!is_wsp(c) && c != '\r' && c != '\n') {
			buf_addc(&text, c);
		}
	}
	r = text.err ? -EMSGSIZE : base64_decode(&octets, buf_slice(&text));
	if (r == 0 && (octets.err || octets.n > cap)) {
		r = -EMSGSIZE;
	}
	if (r == 0) {
		if (octets.n) {
			memcpy(dst, octets.p, octets.n);
		}
		r = (int)octets.n;
	}
	buf_fini(&text);
	buf_fini(&octets);
	return r;
}
