/*
 * body: see body.h.
 *
 * A range of the message as stored goes out in pieces, with the connection's
 * back-pressure, so a message of any size costs one piece of memory (THREATS
 * IM-18). Only HEADER.FIELDS is put together in memory, from a header of at
 * most MIME_HEADER_MAX bytes: what stands beyond that is not looked at by the
 * MIME parser either.
 */
#include "imap/body.h"

#include "imap/parse.h"
#include "imap/write.h"
#include "mime/header.h"

/* ---- parsing --------------------------------------------------------------------- */

/* section-part = nz-number *("." nz-number); true if a "." follows it */
static bool parse_numbers(struct cur *c, struct arena *a, struct section *s)
{
	int ch = cur_peek(c);

	if (ch < '0' || ch > '9') {
		return true;
	}
	s->part = arena_array(a, SECTION_DEPTH_MAX, sizeof(s->part[0]));
	if (!s->part) {
		cur_fail(c, -ENOMEM);
		return false;
	}
	do {
		if (s->n_part == SECTION_DEPTH_MAX) {
			cur_fail(c, -EMSGSIZE);
			return false;
		}
		s->part[s->n_part++] = imap_parse_nz(c);
		if (!cur_opt(c, '.')) {
			return false;
		}
		ch = cur_peek(c);
	} while (ch >= '0' && ch <= '9');
	return true;
}

/* header-list = "(" header-fld-name *(SP header-fld-name) ")" */
static void parse_fields(struct cur *c, struct arena *a, struct section *s)
{
	size_t cap = 0;

	cur_sp(c);
	cur_need(c, '(');
	do {
		if (s->n_fields == cap) {
			struct slice *old = s->fields;
			cap = cap ? cap * 2 : 8;
			s->fields = arena_array(a, cap, sizeof(*old));
			if (!s->fields || s->n_fields >= SECTION_FIELDS_MAX) {
				cur_fail(c, -EMSGSIZE);
				return;
			}
			if (old) {
				memcpy(s->fields, old, s->n_fields * sizeof(*old));
			}
		}
		s->fields[s->n_fields] = imap_parse_astring(c, a);
		if (!c->err && s->fields[s->n_fields].n == 0) {
			cur_fail(c, -EINVAL);
		}
		s->n_fields++;
	} while (!c->err && cur_opt(c, ' '));
	cur_need(c, ')');
}

/* section-msgtext / "MIME" */
static void parse_what(struct cur *c, struct arena *a, struct section *s)
{
	if (cur_lit(c, S("HEADER.FIELDS.NOT"))) {
		s->what = SECTION_FIELDS_NOT;
		parse_fields(c, a, s);
	} else if (cur_lit(c, S("HEADER.FIELDS"))) {
		s->what = SECTION_FIELDS;
		parse_fields(c, a, s);
	} else if (cur_lit(c, S("HEADER"))) {
		s->what = SECTION_HEADER;
	} else if (cur_lit(c, S("TEXT"))) {
		s->what = SECTION_TEXT;
	} else if (s->n_part > 0 && cur_lit(c, S("MIME"))) {
		s->what = SECTION_MIME;
	} else {
		cur_fail(c, -EINVAL);
	}
}

/* "<" number64 "." nz-number64 ">" (RFC 9051 9); or "<" number64 ">" if it may
 * be open */
static void parse_partial(struct cur *c, struct section *s, bool open)
{
	if (cur_opt(c, '<')) {
		s->partial = true;
		s->off = imap_parse_u63(c);
		s->count = INT64_MAX;
		if (!open || cur_peek(c) != '>') {
			cur_need(c, '.');
			s->count = imap_parse_u63(c);
		}
		if (s->count == 0) {
			cur_fail(c, -EINVAL);
		}
		cur_need(c, '>');
	}
}

/* The section as the answer names it: BODY[1.HEADER.FIELDS (A B)]<0> */
static void make_label(struct cur *c, struct arena *a, struct section *s)
{
	static const char *const names[] = { "",     "HEADER", "HEADER.FIELDS", "HEADER.FIELDS.NOT",
					     "TEXT", "MIME" };
	struct buf b = BUF_INIT(2 * IMAP_COMMAND_MAX);

	buf_adds(&b, "BODY[");
	for (size_t i = 0; i < s->n_part; i++) {
		buf_adds(&b, i ? "." : "");
		buf_addu(&b, s->part[i]);
	}
	if (s->n_part > 0 && s->what != SECTION_ALL) {
		buf_addc(&b, '.');
	}
	buf_adds(&b, names[s->what]);
	for (size_t i = 0; i < s->n_fields; i++) {
		buf_adds(&b, i ? " " : " (");
		imap_put_astring(&b, s->fields[i]);
	}
	buf_adds(&b, s->n_fields ? ")]" : "]");
	if (s->partial) {
		buf_printf(&b, "<%llu>", (unsigned long long)s->off);
	}
	s->label = arena_dup(a, buf_slice(&b));
	if (b.err || !s->label.p) {
		cur_fail(c, -ENOMEM);
	}
	buf_fini(&b);
}

void section_parse_spec(struct cur *c, struct arena *a, struct section *out)
{
	*out = (struct section){ .what = SECTION_ALL };
	if (parse_numbers(c, a, out)) {
		parse_what(c, a, out);
	}
}

static void parse_section(struct cur *c, struct arena *a, struct section *out, bool open)
{
	struct section s = { .what = SECTION_ALL };

	cur_need(c, '[');
	if (!cur_opt(c, ']')) {
		section_parse_spec(c, a, &s);
		cur_need(c, ']');
	}
	parse_partial(c, &s, open);
	if (!c->err) {
		make_label(c, a, &s);
		*out = s;
	}
}

void section_parse(struct cur *c, struct arena *a, struct section *out)
{
	parse_section(c, a, out, false);
}

void section_parse_open(struct cur *c, struct arena *a, struct section *out)
{
	parse_section(c, a, out, true);
}

bool section_needs_tree(const struct section *s)
{
	return s->what != SECTION_ALL || s->n_part > 0;
}

/* ---- finding ------------------------------------------------------------------------ */

bool section_is_fields(const struct section *s)
{
	return s->what == SECTION_FIELDS || s->what == SECTION_FIELDS_NOT;
}

bool section_find(const struct section *sec, uint64_t size, const struct mime_tree *tree,
		  struct body_range *out)
{
	const struct mime_part *p;

	if (!section_needs_tree(sec)) {
		*out = (struct body_range){ 0, size };
		return true;
	}
	p = mime_part_find(tree, sec->part, sec->n_part);
	if (p && sec->n_part > 0 && sec->what != SECTION_ALL && sec->what != SECTION_MIME) {
		/* HEADER and TEXT of a part: it must hold a message. */
		p = p->kind == MIME_MESSAGE ? p->children : NULL;
	}
	if (!p) {
		return false;
	}
	if (sec->what == SECTION_ALL || sec->what == SECTION_TEXT) {
		*out = (struct body_range){ p->body_off, p->body_len };
	} else {
		*out = (struct body_range){ p->header_off, p->header_len };
	}
	return true;
}

static struct body_range cut(const struct section *sec, struct body_range r)
{
	if (sec->partial) {
		uint64_t skip = MIN(sec->off, r.len);
		r.off += skip;
		r.len = MIN(r.len - skip, sec->count);
	}
	return r;
}

/* ---- writing ------------------------------------------------------------------------ */

CO_FN int body_read(struct imap *s, uint32_t uid, uint64_t off, uint64_t len, struct buf *out)
{
	struct err e = ERR_INIT;
	uint64_t done = 0;

	while (done < len) {
		size_t want = MIN(len - done, IMAP_CHUNK);
		char *p = buf_reserve(out, want);
		ssize_t r = p ? store_read(s->mbox, uid, off + done, p, want, &e) : -ENOMEM;
		if (r <= 0) {
			return r == 0 ? -ENOENT : (int)r;
		}
		buf_commit(out, (size_t)r);
		done += (uint64_t)r;
	}
	return 0;
}

CO_FN static void put_label(struct imap *s, const struct section *sec, const char *value)
{
	conn_write(imap_conn(s), sec->label);
	conn_write(imap_conn(s), S(" "));
	conn_write(imap_conn(s), slice_cstr(value));
}

/* Gone, or damaged: NIL stands for it. */
CO_FN static int put_nil(struct imap *s, const struct section *sec)
{
	put_label(s, sec, "NIL");
	return BODY_GONE;
}

CO_FN static void put_count(struct imap *s, const struct section *sec, uint64_t n)
{
	put_label(s, sec, "");
	conn_printf(imap_conn(s), "{%llu}\r\n", (unsigned long long)n);
}

/* The first piece is read before its length is promised. */
CO_FN static int stream_out(struct imap *s, uint32_t uid, struct body_range r,
			    const struct section *sec, char *chunk)
{
	struct conn *c = imap_conn(s);
	struct err e = ERR_INIT;
	char text[256];
	ssize_t n = 0;

	if (r.len == 0) {
		put_label(s, sec, "\"\"");
		return BODY_OK;
	}
	for (uint64_t done = 0; done < r.len; done += (uint64_t)n) {
		n = store_read(s->mbox, uid, r.off + done, chunk, MIN(r.len - done, IMAP_CHUNK),
			       &e);
		if (n <= 0 && done == 0) {
			return put_nil(s, sec);
		}
		if (n <= 0) {
			conn_log(c, LOG_ERROR, "imap.body_lost", LOG_I("uid", uid),
				 LOG_I("code", n), LOG_C("err", err_str(&e, text, sizeof(text))));
			return n < 0 ? (int)n : -EIO;
		}
		if (done == 0) {
			put_count(s, sec, r.len);
		}
		conn_write(c, slice_make(chunk, (size_t)n));
		if (c->err || co_breathe() < 0) {
			return c->err ? c->err : -ECANCELED;
		}
	}
	return BODY_OK;
}

static bool field_wanted(const struct section *sec, struct slice name)
{
	for (size_t i = 0; i < sec->n_fields; i++) {
		if (slice_ieq(sec->fields[i], name)) {
			return sec->what == SECTION_FIELDS;
		}
	}
	return sec->what == SECTION_FIELDS_NOT;
}

void section_pick(const struct section *sec, struct slice header, struct buf *out)
{
	struct mime_field f;

	while (mime_field_next(&header, &f)) {
		if (field_wanted(sec, f.name)) {
			buf_add(out, f.raw);
			if (!slice_ends(f.raw, S("\n"))) {
				buf_add(out, S("\r\n"));
			}
		}
	}
	buf_add(out, S("\r\n"));
}

CO_FN static int write_fields(struct imap *s, uint32_t uid, struct body_range r,
			      const struct section *sec)
{
	struct buf header = BUF_INIT(MIME_HEADER_MAX);
	struct buf picked = BUF_INIT(MIME_HEADER_MAX + 16);
	int ret = BODY_OK;

	if (body_read(s, uid, r.off, MIN(r.len, MIME_HEADER_MAX), &header) < 0) {
		ret = put_nil(s, sec);
	} else {
		section_pick(sec, buf_slice(&header), &picked);
		struct body_range in = cut(sec, (struct body_range){ 0, picked.n });
		if (in.len == 0) {
			put_label(s, sec, "\"\"");
		} else {
			put_count(s, sec, in.len);
			conn_write(imap_conn(s),
				   slice_sub(buf_slice(&picked), (size_t)in.off, (size_t)in.len));
		}
	}
	buf_fini(&header);
	buf_fini(&picked);
	return ret;
}

CO_FN int body_write(struct imap *s, const struct store_msg *m, const struct mime_tree *tree,
		     const struct section *sec, char *chunk)
{
	struct body_range r;

	if (section_needs_tree(sec) && !tree) {
		return put_nil(s, sec);
	}
	if (!section_find(sec, m->size, tree, &r)) {
		put_nil(s, sec);
		return BODY_OK;
	}
	if (section_is_fields(sec)) {
		return write_fields(s, m->uid, r, sec);
	}
	return stream_out(s, m->uid, cut(sec, r), sec, chunk);
}
