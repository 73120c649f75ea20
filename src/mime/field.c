/*
 * field: cutting a header into fields, unfolding, and the lexical pieces that
 * structured fields share (RFC 5322 2.2, 3.2, 4.1).
 *
 * Damaged headers are read in one documented way (THREATS MI-06): a field's
 * colon must stand on its first line and its name holds no white space; any
 * other line is a field without a name, and its continuation lines belong to
 * it. Used by parser.c, content.c, addr.c and by sessions that pick fields.
 */
#include "mime/header.h"
#include "mime/impl.h"

/* Bytes of the line at the front of s, with its LF. */
static size_t line_len(struct slice s)
{
	const char *nl = memchr(s.p, '\n', s.n);

	return nl ? (size_t)(nl - s.p) + 1 : s.n;
}

/* A line without its LF or CRLF. */
static struct slice line_text(struct slice line)
{
	if (line.n && line.p[line.n - 1] == '\n') {
		line.n--;
		if (line.n && line.p[line.n - 1] == '\r') {
			line.n--;
		}
	}
	return line;
}

static bool is_wsp(char c)
{
	return c == ' ' || c == '\t';
}

/* Fills name and body if the first line has a readable name. */
static void split_name(struct slice first, struct mime_field *f)
{
	size_t colon = slice_chr(first, ':');
	size_t n = colon;

	if (colon == SIZE_MAX) {
		return;
	}
	while (n > 0 && is_wsp(first.p[n - 1])) {
		n--;
	}
	if (n == 0 || memchr(first.p, ' ', n) || memchr(first.p, '\t', n)) {
		return;
	}
	f->name = slice_make(first.p, n);
	f->body = slice_from(f->body, colon + 1);
}

bool mime_field_next(struct slice *header, struct mime_field *out)
{
	struct slice h = *header;
	size_t first;
	size_t n;

	if (h.n == 0) {
		return false;
	}
	first = line_len(h);
	if (line_text(slice_make(h.p, first)).n == 0) {
		return false;
	}
	n = first;
	while (n < h.n && is_wsp(h.p[n])) {
		n += line_len(slice_from(h, n));
	}
	out->raw = slice_make(h.p, n);
	out->name = slice_make(h.p, 0);
	out->body = line_text(out->raw);
	split_name(line_text(slice_make(h.p, first)), out);
	*header = slice_from(h, n);
	return true;
}

/* A line end in a body is always followed by white space: dropping CR and LF
 * wherever they stand is unfolding, and keeps stray ones out too. */
static size_t unfold(struct slice body, char *dst)
{
	size_t n = 0;

	body = slice_trim(body);
	for (size_t i = 0; i < body.n; i++) {
		char c = body.p[i];

		if (c != '\r' && c != '\n') {
			dst[n++] = c ? c : ' ';
		}
	}
	return n;
}

void mime_unfold(struct slice body, struct buf *out)
{
	char *dst;

	if (body.n == 0) {
		return;
	}
	dst = buf_reserve(out, body.n);
	if (dst) {
		buf_commit(out, unfold(body, dst));
	}
}

struct slice mime_unfold_dup(struct slice body, struct arena *a)
{
	char *dst;

	body = slice_trim(body);
	dst = arena_alloc(a, body.n + 1);
	return dst ? slice_make(dst, unfold(body, dst)) : slice_make(NULL, 0);
}

/* Behind "(": the inside up to its ")", which is taken, or to the end. */
static struct slice comment(struct cur *c)
{
	const char *start = c->p;
	size_t depth = 1;

	for (; c->p < c->end; c->p++) {
		if (*c->p == '\\') {
			if (++c->p == c->end) {
				break;
			}
		} else if (*c->p == '(') {
			depth++;
		} else if (*c->p == ')' && --depth == 0) {
			c->p++;
			return slice_make(start, (size_t)(c->p - start) - 1);
		}
	}
	return slice_make(start, (size_t)(c->end - start));
}

bool mime_skip_cfws(struct cur *c, struct slice *comment_out)
{
	const char *start = c->p;

	while (c->p < c->end) {
		if (mime_is_space((unsigned char)*c->p)) {
			c->p++;
		} else if (*c->p == '(') {
			struct slice text;

			c->p++;
			text = comment(c);
			if (comment_out) {
				*comment_out = text;
			}
		} else {
			break;
		}
	}
	return c->p != start;
}

struct slice mime_quoted(struct cur *c)
{
	const char *start = c->p;

	for (; c->p < c->end; c->p++) {
		if (*c->p == '\\') {
			if (++c->p == c->end) {
				break;
			}
		} else if (*c->p == '"') {
			c->p++;
			return slice_make(start, (size_t)(c->p - start) - 1);
		}
	}
	return slice_make(start, (size_t)(c->end - start));
}

size_t mime_cook(struct slice raw, char *dst)
{
	size_t n = 0;

	for (size_t i = 0; i < raw.n; i++) {
		char c = raw.p[i];

		if (c == '\\' && i + 1 < raw.n) {
			c = raw.p[++i];
		}
		if (c != '\r' && c != '\n') {
			dst[n++] = c ? c : ' ';
		}
	}
	return n;
}

void mime_cook_add(struct slice raw, struct buf *out)
{
	char *dst;

	if (raw.n == 0) {
		return;
	}
	dst = buf_reserve(out, raw.n);
	if (dst) {
		buf_commit(out, mime_cook(raw, dst));
	}
}

void mime_add_clean(struct slice utf8, struct buf *out)
{
	char *dst;

	if (utf8.n == 0) {
		return;
	}
	dst = buf_reserve(out, utf8.n);
	if (!dst) {
		return;
	}
	for (size_t i = 0; i < utf8.n; i++) {
		char c = utf8.p[i];

		dst[i] = c == '\r' || c == '\n' || c == 0 ? ' ' : c;
	}
	buf_commit(out, utf8.n);
}

static bool is_token(unsigned char c)
{
	return c > ' ' && c != 0x7f && !strchr("()<>@,;:\\\"/[]?=", c);
}

struct slice mime_token(struct cur *c)
{
	const char *start = c->p;

	while (c->p < c->end && is_token((unsigned char)*c->p)) {
		c->p++;
	}
	return slice_make(start, (size_t)(c->p - start));
}

bool mime_is_multipart(const struct mime_part *part)
{
	return slice_ieq(part->type, S("multipart"));
}

bool mime_is_message(const struct mime_part *part)
{
	return slice_ieq(part->type, S("message")) &&
	       (slice_ieq(part->subtype, S("rfc822")) || slice_ieq(part->subtype, S("global")));
}
