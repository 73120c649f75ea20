/* Reading transcript files: see script.h and README.md. */
#include "script.h"

#include <regex.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/codec.h"
#include "base/cur.h"

#define FILE_MAX (1u << 20)
#define STEPS_MAX 20000
#define TEXT_MAX (32u << 20)

struct reader {
	const char *path;
	unsigned line;
	struct script *s;
};

static int bad(const struct reader *r, const char *what)
{
	fprintf(stderr, "%s:%u: %s\n", r->path, r->line, what);
	return -1;
}

/* ---- escapes ------------------------------------------------------------ */

static int unescape(struct reader *r, struct slice in, struct buf *out);

/* "(text*count)": the text, count times; ends behind the ")". */
static int repeat(struct reader *r, struct cur *c, struct buf *out)
{
	struct slice text = cur_until(c, '*', 4096);
	uint32_t n = cur_u32(c);
	struct buf one = BUF_INIT(4096);

	cur_need(c, ')');
	if (c->err || unescape(r, text, &one) != 0) {
		buf_fini(&one);
		return bad(r, "bad \\(text*count)");
	}
	for (uint32_t i = 0; i < n; i++) {
		buf_add(out, buf_slice(&one));
	}
	buf_fini(&one);
	return 0;
}

/* "b(text)": base64 of the text. */
static int base64(struct reader *r, struct cur *c, struct buf *out)
{
	struct buf one = BUF_INIT(65536);
	struct slice text;

	cur_need(c, '(');
	text = cur_until(c, ')', 65536);
	if (c->err || unescape(r, text, &one) != 0) {
		buf_fini(&one);
		return bad(r, "bad \\b(text)");
	}
	base64_encode(out, buf_slice(&one));
	buf_fini(&one);
	return 0;
}

static int escape(struct reader *r, struct cur *c, struct buf *out)
{
	struct buf hex = BUF_INIT(1);

	if (cur_done(c)) {
		return bad(r, "a lone backslash: write two");
	}
	switch (cur_byte(c)) {
	case 'r':
		buf_addc(out, '\r');
		return 0;
	case 'n':
		buf_addc(out, '\n');
		return 0;
	case 't':
		buf_addc(out, '\t');
		return 0;
	case '0':
		buf_addc(out, '\0');
		return 0;
	case 's':
		buf_addc(out, ' ');
		return 0;
	case '\\':
		buf_addc(out, '\\');
		return 0;
	case 'x':
		if (hex_decode(&hex, cur_take(c, 2)) != 0 || hex.n != 1) {
			buf_fini(&hex);
			return bad(r, "bad \\xNN");
		}
		buf_add(out, buf_slice(&hex));
		buf_fini(&hex);
		return 0;
	case '(':
		return repeat(r, c, out);
	case 'b':
		return base64(r, c, out);
	default:
		/* \\Seen and the like stay what they are. */
		buf_addc(out, '\\');
		c->p--;
		buf_addc(out, (char)cur_byte(c));
		return 0;
	}
}

static int unescape(struct reader *r, struct slice in, struct buf *out)
{
	struct cur c = cur_init(in);

	while (!cur_done(&c)) {
		int ch = cur_byte(&c);

		if (ch != '\\') {
			buf_addc(out, (char)ch);
		} else if (escape(r, &c, out) != 0) {
			return -1;
		}
	}
	return out->err ? bad(r, "text too long") : 0;
}

/* ---- settings ----------------------------------------------------------- */

static int read_proto(struct reader *r, struct slice v, enum rig_proto *out)
{
	static const struct slice names[] = { S("smtp"), S("submission"), S("lmtp"), S("pop3"),
					      S("imap") };

	for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
		if (slice_eq(names[i], v)) {
			*out = (enum rig_proto)i;
			return 0;
		}
	}
	return bad(r, "proto: smtp, submission, pop3 or imap");
}

static int add_setup(struct reader *r, struct slice v)
{
	struct buf b = BUF_INIT(TEXT_MAX);

	if (r->s->n_setup == ARRAY_LEN(r->s->setup)) {
		return bad(r, "too many settings");
	}
	if (unescape(r, v, &b) != 0) {
		buf_fini(&b);
		return -1;
	}
	r->s->setup[r->s->n_setup++] = arena_dup(&r->s->arena, buf_slice(&b));
	buf_fini(&b);
	return 0;
}

/* "# key: value"; other comments are comments. */
static int setting(struct reader *r, struct slice text)
{
	static const struct slice rig[] = {
		S("mail"),	    S("message"),   S("quota"),
		S("lock"),	    S("alias"),	    S("catchall"),
		S("plus"),	    S("domain"),    S("annotate"),
		S("create"),	    S("flags"),	    S("disable"),
		S("message_max"),   S("rcpt_max"),  S("error_max"),
		S("login_tries"),   S("full"),	    S("broken"),
		S("stopping"),	    S("cleartext"), S("share_with_anyone"),
		S("acl"),	    S("scram"),	    S("mercy"),
		S("mercy_by_name"), S("progress"),  S("xclient"),
		S("dns"),	    S("policy"),    S("trust"),
	};
	size_t colon = slice_chr(text, ':');
	struct slice key = slice_trim(slice_sub(text, 0, colon));
	struct slice v = slice_trim(slice_from(text, colon + 1));

	if (colon == SIZE_MAX) {
		return 0;
	}
	if (slice_eq(key, S("proto"))) {
		return read_proto(r, v, &r->s->proto);
	}
	if (slice_eq(key, S("tls"))) {
		r->s->tls = slice_eq(v, S("yes"));
		r->s->starttls = slice_eq(v, S("start"));
		return r->s->tls || r->s->starttls || slice_eq(v, S("no"))
			       ? 0
			       : bad(r, "tls: yes, no or start");
	}
	if (slice_eq(key, S("peer"))) {
		return net_addr_parse(v, 1234, &r->s->peer) == 0 ? 0 : bad(r, "peer: an address");
	}
	if (slice_eq(key, S("step"))) {
		r->s->whole = slice_eq(v, S("whole"));
		return 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(rig); i++) {
		if (slice_eq(key, rig[i])) {
			struct slice words = arena_printf(&r->s->arena, "%.*s %.*s", SLICE_ARG(key),
							  SLICE_ARG(v));

			return add_setup(r, words);
		}
	}
	return 0;
}

/* ---- steps -------------------------------------------------------------- */

static struct step *add_step(struct reader *r, enum step_kind kind, struct slice text)
{
	struct step *st;

	if (r->s->n_steps == STEPS_MAX) {
		bad(r, "too many steps");
		return NULL;
	}
	st = &r->s->steps[r->s->n_steps++];
	*st = (struct step){ .kind = kind, .line = r->line, .text = arena_dup(&r->s->arena, text) };
	return st;
}

/* Replaces %d by the number i. */
static void numbered(struct slice text, uint32_t i, struct buf *out)
{
	size_t at = slice_find(text, S("%d"));

	if (at == SIZE_MAX) {
		buf_add(out, text);
		return;
	}
	buf_add(out, slice_sub(text, 0, at));
	buf_addu(out, i);
	buf_add(out, slice_from(text, at + 2));
}

/* C: and its forms; count > 1 sends numbered lines in one segment. */
static int add_send(struct reader *r, struct slice text, bool join, bool crlf, uint32_t count)
{
	struct script *s = r->s;
	struct step *last = s->n_steps ? &s->steps[s->n_steps - 1] : NULL;
	struct buf b = BUF_INIT(TEXT_MAX);
	int ret = 0;

	if (join && (!last || last->kind != STEP_SEND)) {
		return bad(r, "C|: must follow a C line");
	}
	if (join) {
		buf_add(&b, last->text);
	}
	for (uint32_t i = 1; i <= count && ret == 0; i++) {
		struct buf one = BUF_INIT(TEXT_MAX);

		numbered(text, i, &one);
		ret = unescape(r, buf_slice(&one), &b);
		if (crlf) {
			buf_add(&b, S("\r\n"));
		}
		buf_fini(&one);
	}
	if (ret == 0 && join) {
		last->text = arena_dup(&s->arena, buf_slice(&b));
	} else if (ret == 0) {
		ret = add_step(r, STEP_SEND, buf_slice(&b)) ? 0 : -1;
	}
	buf_fini(&b);
	return ret;
}

/* S: line; patterns keep their escapes but for \b( and \xNN. */
static int add_expect(struct reader *r, struct slice text, uint32_t count)
{
	bool regex = text.n > 1 && text.p[0] == '/' && text.p[text.n - 1] == '/';

	for (uint32_t i = 1; i <= count; i++) {
		struct buf b = BUF_INIT(TEXT_MAX);
		struct step *st;

		numbered(regex ? slice_sub(text, 1, text.n - 2) : text, i, &b);
		st = add_step(r, STEP_EXPECT, buf_slice(&b));
		buf_fini(&b);
		if (!st) {
			return -1;
		}
		st->regex = regex;
	}
	return 0;
}

static int add_act(struct reader *r, struct slice text)
{
	struct buf b = BUF_INIT(TEXT_MAX);
	int ret = unescape(r, text, &b);

	if (ret == 0) {
		ret = add_step(r, STEP_ACT, buf_slice(&b)) ? 0 : -1;
	}
	buf_fini(&b);
	return ret;
}

/* N: or N: proto */
static int add_new(struct reader *r, struct slice text)
{
	enum rig_proto proto = r->s->proto;
	struct step *st;

	if (text.n && read_proto(r, text, &proto) != 0) {
		return -1;
	}
	st = add_step(r, STEP_NEW, text);
	if (!st) {
		return -1;
	}
	st->proto = proto;
	return 0;
}

/* "Cx100: text", "Sx100: text" */
static bool counted(struct slice tag, uint32_t *n)
{
	return tag.n > 2 && tag.p[1] == 'x' && slice_u32(slice_from(tag, 2), n) == 0 && *n <= 10000;
}

static int one_line(struct reader *r, struct slice line)
{
	size_t colon = slice_chr(line, ':');
	struct slice tag = slice_sub(line, 0, colon);
	struct slice text = slice_from(line, colon + 1);
	uint32_t n = 1;

	if (line.n == 0) {
		return 0;
	}
	if (line.p[0] == '#') {
		return setting(r, slice_from(line, 1));
	}
	if (colon == SIZE_MAX) {
		return bad(r, "no tag (C:, S:, S*:, A:, E:, N:, #)");
	}
	if (text.n && text.p[0] == ' ') {
		text = slice_from(text, 1);
	}
	if (slice_eq(tag, S("C"))) {
		return add_send(r, text, false, true, 1);
	} else if (slice_eq(tag, S("C|"))) {
		return add_send(r, text, true, true, 1);
	} else if (slice_eq(tag, S("C+"))) {
		return add_send(r, text, false, false, 1);
	} else if (slice_eq(tag, S("C|+"))) {
		return add_send(r, text, true, false, 1);
	} else if (tag.p[0] == 'C' && counted(tag, &n)) {
		return add_send(r, text, false, true, n);
	} else if (slice_eq(tag, S("S"))) {
		return add_expect(r, text, 1);
	} else if (tag.p[0] == 'S' && counted(tag, &n)) {
		return add_expect(r, text, n);
	} else if (slice_eq(tag, S("S*"))) {
		return add_step(r, STEP_ANY, S("")) ? 0 : -1;
	} else if (slice_eq(tag, S("A"))) {
		return add_act(r, text);
	} else if (slice_eq(tag, S("E"))) {
		return add_step(r, STEP_CLOSED, S("")) ? 0 : -1;
	} else if (slice_eq(tag, S("N"))) {
		return add_new(r, text);
	}
	return bad(r, "unknown tag (C:, S:, S*:, A:, E:, N:, #)");
}

static int load(const char *path, struct buf *out)
{
	FILE *f = fopen(path, "re");
	size_t n = 1;

	if (!f) {
		perror(path);
		return -1;
	}
	while (n > 0 && !out->err) {
		char *p = buf_reserve(out, 4096);

		n = p ? fread(p, 1, 4096, f) : 0;
		buf_commit(out, n);
	}
	fclose(f);
	return out->err;
}

int script_read(const char *path, struct script *out)
{
	struct reader r = { path, 0, out };
	struct buf text = BUF_INIT(FILE_MAX);
	struct slice rest;
	int ret = load(path, &text);

	*out = (struct script){ .proto = RIG_SMTP };
	arena_init(&out->arena, 128u << 20);
	out->steps = xcalloc(STEPS_MAX, sizeof(*out->steps));
	net_addr_parse(S("127.0.0.1"), 1234, &out->peer);
	rest = buf_slice(&text);
	while (ret == 0 && rest.p) {
		r.line++;
		ret = one_line(&r, slice_split(&rest, '\n'));
	}
	if (ret == 0 && arena_err(&out->arena)) {
		ret = bad(&r, "file is too big");
	}
	if (ret == 0 && out->n_steps == 0) {
		ret = bad(&r, "nothing happens");
	}
	buf_fini(&text);
	return ret;
}

void script_free(struct script *s)
{
	arena_fini(&s->arena);
	free(s->steps);
	s->steps = NULL;
}

/* ---- matching ----------------------------------------------------------- */

/* Next pattern octet; escapes are decoded, *any says "any run". */
static int pattern_octet(struct slice *p, bool *any)
{
	int c = (unsigned char)p->p[0];
	int next = p->n > 1 ? (unsigned char)p->p[1] : -1;
	size_t used = 1;
	struct buf hex = BUF_INIT(1);

	*any = c == '*';
	if (c == 0xc2 && next == 0xa7) { /* the section sign */
		*any = true;
		used = 2;
	} else if (c == '\\' && (next == '\\' || next == '*')) {
		c = next;
		used = 2;
	} else if (c == '\\' && (next == 'r' || next == 't' || next == 's')) {
		c = next == 'r' ? '\r' : next == 't' ? '\t' : ' ';
		used = 2;
	} else if (c == '\\' && next == 'x' && hex_decode(&hex, slice_sub(*p, 2, 2)) == 0 &&
		   hex.n == 1) {
		c = (unsigned char)hex.p[0];
		used = 4;
	}
	buf_fini(&hex);
	*p = slice_from(*p, used);
	return c;
}

/* Matches by remembering the last wildcard: quick enough. */
static bool glob(struct slice p, struct slice s)
{
	struct slice star_p = { NULL, 0 }, star_s = { NULL, 0 };
	bool have = false;

	for (;;) {
		bool star = false;
		struct slice next = p;
		int c = p.n ? pattern_octet(&next, &star) : -1;

		if (c >= 0 && star) {
			have = true;
			star_p = next;
			star_s = s;
			p = next;
		} else if (c >= 0 && s.n && (unsigned char)s.p[0] == c) {
			p = next;
			s = slice_from(s, 1);
		} else if (c < 0 && s.n == 0) {
			return true;
		} else if (have && star_s.n) {
			star_s = slice_from(star_s, 1);
			s = star_s;
			p = star_p;
		} else {
			return false;
		}
	}
}

bool step_matches(const struct step *st, struct slice line)
{
	char *pattern, *text;
	regex_t re;
	bool ok;

	if (!st->regex) {
		return glob(st->text, line);
	}
	if (asprintf(&pattern, "^(%.*s)$", SLICE_ARG(st->text)) < 0 ||
	    asprintf(&text, "%.*s", SLICE_ARG(line)) < 0) {
		abort();
	}
	ok = regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB) == 0;
	if (ok) {
		ok = regexec(&re, text, 0, NULL, 0) == 0;
		regfree(&re);
	}
	free(pattern);
	free(text);
	return ok;
}
