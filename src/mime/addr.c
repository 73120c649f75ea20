/*
 * addr: address lists (RFC 5322 3.4 and 4.4, RFC 6854 groups, RFC 6532).
 *
 * One pass, no recursion, no look-ahead beyond one encoded word. Words are
 * gathered until a special character tells what they were: a phrase ("<"), a
 * local part ("@"), a group's name (":"), or a mailbox without a domain
 * ("," or the end). Never an error: damaged lists give the best reading
 *
 *   user@host <user@host>      the unquoted address is the phrase
 *   Name user@host             the last dot-joined word is the local part
 *   <a@b@c>                    the last "@" counts
 *   a@b; c@d                   ";" outside a group separates
 *   a@b (Name)                 without a phrase the comment is the name
 *
 * and an encoded word is one word whatever is in it (THREATS MI-04, MI-05).
 */
#include "mime/header.h"
#include "mime/impl.h"

#define ENCODED_WORD_MAX 256

struct addr_parser {
	struct cur c;
	struct arena *a;
	struct buf phrase; /* all words since the last separator */
	struct buf run;	   /* the last dot-joined ones: a local part, maybe */
	struct buf local;
	struct buf host;
	struct buf route;
	struct slice comment; /* the last one, raw; p NULL: none */
	size_t run_at;	      /* where run begins in phrase */
	size_t name_n;	      /* how much of phrase names the bare address */
	bool gap;	      /* white space since the last word */
	bool run_open;	      /* run ends with a dot: the next word joins */
	bool have_word;
	bool have_spec;	  /* local and host hold a bare address */
	bool after_angle; /* words up to the next separator are noise */
	bool in_group;
	bool full;
	size_t n;
	struct mime_addr *first;
	struct mime_addr *last;
};

static void skip(struct addr_parser *p)
{
	if (mime_skip_cfws(&p->c, &p->comment)) {
		p->gap = true;
	}
}

/* ---- what was found ------------------------------------------------------ */

static struct mime_addr *append(struct addr_parser *p)
{
	struct mime_addr *ad = arena_new(p->a, struct mime_addr);

	if (!ad) {
		p->full = true;
		return NULL;
	}
	if (p->last) {
		p->last->next = ad;
	} else {
		p->first = ad;
	}
	p->last = ad;
	if (++p->n >= MIME_ADDRS_MAX) {
		p->full = true;
	}
	return ad;
}

/* Copies s to *at and moves that behind it. */
static struct slice put(char **at, struct slice s)
{
	char *dst = *at;

	if (s.n) {
		memcpy(dst, s.p, s.n);
	}
	*at = dst + s.n + 1;
	return slice_make(dst, s.n);
}

static void emit(struct addr_parser *p, struct slice name)
{
	struct slice local = buf_slice(&p->local);
	struct slice host = buf_slice(&p->host);
	struct slice route = buf_slice(&p->route);
	struct slice raw = slice_make(NULL, 0);
	struct mime_addr *ad;
	char *at;

	name = slice_trim(name);
	if (name.n == 0 && p->comment.p) {
		raw = slice_trim(p->comment);
	}
	at = arena_alloc(p->a, name.n + raw.n + local.n + host.n + route.n + 4);
	ad = at ? append(p) : NULL;
	if (!ad) {
		p->full = true;
		return;
	}
	ad->mailbox = put(&at, local);
	ad->host = put(&at, host);
	if (route.n) {
		ad->route = put(&at, route);
	}
	if (name.n) {
		ad->name = put(&at, name);
	} else if (raw.n) {
		ad->name = slice_make(at, mime_cook(raw, at));
	}
}

static void forget_words(struct addr_parser *p)
{
	buf_reset(&p->phrase);
	buf_reset(&p->run);
	p->run_at = 0;
	p->run_open = false;
	p->have_word = false;
	p->have_spec = false;
	p->gap = false;
}

/* At a separator. */
static void flush(struct addr_parser *p)
{
	buf_reset(&p->route);
	if (p->have_spec) {
		emit(p, slice_sub(buf_slice(&p->phrase), 0, p->name_n));
	} else if (p->have_word && !p->after_angle) {
		buf_reset(&p->local);
		buf_reset(&p->host);
		buf_add(&p->local, buf_slice(&p->phrase));
		emit(p, S(""));
	}
	forget_words(p);
	p->after_angle = false;
	p->comment = slice_make(NULL, 0);
}

static void group_start(struct addr_parser *p)
{
	struct mime_addr *ad;

	if (!p->in_group) {
		ad = append(p);
		if (ad) {
			ad->mailbox = arena_dup(p->a, buf_slice(&p->phrase));
			if (!ad->mailbox.p) {
				ad->mailbox = S("");
			}
			p->in_group = true;
		}
	}
	forget_words(p);
	p->after_angle = false;
	p->comment = slice_make(NULL, 0);
}

static void group_end(struct addr_parser *p)
{
	if (p->in_group) {
		p->in_group = false;
		append(p);
	}
}

/* ---- words --------------------------------------------------------------- */

/* Length of an encoded word at the front of s, or 0 (RFC 2047 2). */
static size_t encoded_word(struct slice s)
{
	size_t max = MIN(s.n, (size_t)ENCODED_WORD_MAX);
	unsigned marks = 0;

	if (s.n < 2 || s.p[0] != '=' || s.p[1] != '?') {
		return 0;
	}
	for (size_t i = 1; i < max; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c <= ' ' || c == '"') {
			return 0;
		}
		if (c == '?') {
			marks++;
			if (marks >= 4 && i + 1 < s.n && s.p[i + 1] == '=') {
				return i + 2;
			}
		}
	}
	return 0;
}

/* Takes a run of bytes that are neither white space nor in `stop`. */
static struct slice atom(struct cur *c, const char *stop)
{
	const char *start = c->p;

	c->p += encoded_word(cur_rest(c));
	for (; c->p < c->end; c->p++) {
		unsigned char ch = (unsigned char)*c->p;

		if (mime_is_space(ch) || (ch && strchr(stop, ch))) {
			break;
		}
	}
	return slice_make(start, (size_t)(c->p - start));
}

/* raw is quoted text with backslashes, or an atom, where they mean the same.
 * NUL becomes a space either way. */
static void add_word(struct addr_parser *p, struct slice raw, bool quoted)
{
	bool joins = p->run.n && (p->run_open || !p->gap || (!quoted && raw.p[0] == '.'));

	if (!joins) {
		buf_reset(&p->run);
		p->run_at = p->phrase.n;
	}
	if (p->gap && p->phrase.n) {
		buf_addc(&p->phrase, ' ');
	}
	mime_cook_add(raw, &p->phrase);
	mime_cook_add(raw, &p->run);
	p->run_open = !quoted && raw.p[raw.n - 1] == '.';
	p->have_word = true;
	p->gap = false;
}

/* domain = dot-atom / "[" *dtext "]", with white space around dots */
static void domain(struct addr_parser *p, const char *stop)
{
	struct cur *c = &p->c;

	for (;;) {
		struct cur before;
		struct slice word;
		bool open;

		skip(p);
		if (cur_peek(c) == '[' && p->host.n == 0) {
			const char *start = c->p;
			const char *close = memchr(start, ']', cur_left(c));

			c->p = close ? close + 1 : c->end;
			mime_cook_add(slice_make(start, (size_t)(c->p - start)), &p->host);
			return;
		}
		before = *c;
		word = atom(c, stop);
		open = p->host.n == 0 || p->host.p[p->host.n - 1] == '.';
		if (word.n == 0) {
			return;
		}
		if (!open && word.p[0] != '.') {
			*c = before;
			return;
		}
		mime_cook_add(word, &p->host);
	}
}

/* "@" outside angle brackets. */
static void bare_at(struct addr_parser *p)
{
	if (p->have_spec) {
		emit(p, slice_sub(buf_slice(&p->phrase), 0, p->name_n));
		buf_reset(&p->phrase);
		buf_add(&p->phrase, buf_slice(&p->run));
		p->run_at = 0;
		p->comment = slice_make(NULL, 0);
	}
	buf_reset(&p->local);
	buf_add(&p->local, buf_slice(&p->run));
	buf_reset(&p->host);
	p->name_n = p->run.n ? p->run_at : p->phrase.n;
	domain(p, "()<>@,;:\"");
	buf_addc(&p->phrase, '@');
	buf_add(&p->phrase, buf_slice(&p->host));
	buf_reset(&p->run);
	p->run_open = false;
	p->have_spec = true;
	p->after_angle = false;
	p->gap = true;
}

/* ---- angle brackets ------------------------------------------------------ */

/* obs-route = *(CFWS / ",") "@" domain *("," ["@" domain]) ":"; without its
 * colon it is read as the domain of an empty local part. */
static bool route(struct addr_parser *p)
{
	struct cur *c = &p->c;
	struct slice rest;

	for (;;) {
		int ch;

		skip(p);
		ch = cur_peek(c);
		if (ch == -1 || ch == '>' || ch == '<' || ch == '"') {
			break;
		}
		c->p++;
		if (ch == ':') {
			return true;
		}
		buf_addc(&p->route, ch ? (char)ch : ' ');
	}
	rest = slice_from(buf_slice(&p->route), 1);
	rest.n = MIN(slice_chr(rest, ','), rest.n);
	buf_add(&p->host, slice_split(&rest, '@'));
	buf_reset(&p->route);
	return false;
}

static void angle_at(struct addr_parser *p, bool *have_host)
{
	if (*have_host) {
		buf_addc(&p->local, '@');
		buf_add(&p->local, buf_slice(&p->host));
		buf_reset(&p->host);
	}
	*have_host = true;
	domain(p, "()<>@,\"");
}

static void angle_word(struct addr_parser *p, struct slice raw, bool ignored)
{
	bool open = p->local.n == 0 || p->local.p[p->local.n - 1] == '.';

	if (ignored || raw.n == 0) {
		return;
	}
	if (p->gap && !open && raw.p[0] != '.') {
		buf_addc(&p->local, ' ');
	}
	mime_cook_add(raw, &p->local);
	p->gap = false;
}

static void angle_spec(struct addr_parser *p)
{
	struct cur *c = &p->c;
	bool have_host = false;

	skip(p);
	if (cur_peek(c) == '@' || cur_peek(c) == ',') {
		have_host = !route(p);
	}
	for (;;) {
		int ch;

		skip(p);
		ch = cur_peek(c);
		if (ch == -1 || ch == ',') {
			return;
		}
		if (ch == '>') {
			c->p++;
			return;
		}
		if (ch == '@') {
			c->p++;
			angle_at(p, &have_host);
		} else if (ch == '"') {
			c->p++;
			angle_word(p, mime_quoted(c), have_host);
		} else if (ch == '<' || ch == ')') {
			c->p++;
		} else {
			angle_word(p, atom(c, "()<>@,\""), have_host);
		}
	}
}

static void angle(struct addr_parser *p)
{
	buf_reset(&p->local);
	buf_reset(&p->host);
	buf_reset(&p->route);
	p->gap = false;
	angle_spec(p);
	skip(p);
	emit(p, buf_slice(&p->phrase));
	buf_reset(&p->route);
	forget_words(p);
	p->comment = slice_make(NULL, 0);
	p->after_angle = true;
}

/* ---- the list ------------------------------------------------------------ */

static void step(struct addr_parser *p, char ch)
{
	struct cur *c = &p->c;
	struct slice raw;

	c->p++;
	switch (ch) {
	case ',':
		flush(p);
		break;
	case ';':
		flush(p);
		group_end(p);
		break;
	case ':':
		group_start(p);
		break;
	case '<':
		angle(p);
		break;
	case '@':
		bare_at(p);
		break;
	case '>':
	case ')':
		break;
	case '"':
		raw = mime_quoted(c);
		if (raw.n) {
			add_word(p, raw, true);
		}
		break;
	default:
		c->p--;
		add_word(p, atom(c, "()<>@,;:\""), false);
		break;
	}
}

struct mime_addr *mime_addr_parse(struct slice body, struct arena *a)
{
	struct addr_parser p = { .c = cur_init(body), .a = a };
	size_t max = body.n * 2 + 16;

	buf_init(&p.phrase, max);
	buf_init(&p.run, max);
	buf_init(&p.local, max);
	buf_init(&p.host, max);
	buf_init(&p.route, max);
	for (;;) {
		skip(&p);
		if (p.full || cur_done(&p.c)) {
			break;
		}
		step(&p, *p.c.p);
	}
	if (!p.full) {
		flush(&p);
	}
	group_end(&p);
	buf_fini(&p.phrase);
	buf_fini(&p.run);
	buf_fini(&p.local);
	buf_fini(&p.host);
	buf_fini(&p.route);
	return arena_err(a) ? NULL : p.first;
}

/* ---- writing ------------------------------------------------------------- */

/* dot-atom-text (RFC 5322 3.2.3, RFC 6532 3.2)? */
static bool is_dot_atom(struct slice s)
{
	char before = '.';

	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c <= ' ' || c == 0x7f || strchr("()<>[]:;@\\,\"", c) ||
		    (c == '.' && before == '.')) {
			return false;
		}
		before = (char)c;
	}
	return before != '.';
}

void mime_addr_spec(const struct mime_addr *ad, struct buf *out)
{
	if (!ad->mailbox.p || !ad->host.p) {
		return;
	}
	if (is_dot_atom(ad->mailbox)) {
		buf_add(out, ad->mailbox);
	} else {
		buf_addc(out, '"');
		for (size_t i = 0; i < ad->mailbox.n; i++) {
			char c = ad->mailbox.p[i];

			if (c == '"' || c == '\\') {
				buf_addc(out, '\\');
			}
			buf_addc(out, c);
		}
		buf_addc(out, '"');
	}
	if (ad->host.n) {
		buf_addc(out, '@');
		buf_add(out, ad->host);
	}
}
