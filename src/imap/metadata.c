/*
 * metadata: see metadata.h.
 */
#include "imap/metadata.h"

#include "base/err.h"
#include "imap/parse.h"
#include "imap/write.h"

/* entry = astring; whole: one that can have a value. Invalid names are BAD
 * (RFC 5464 3.2). */
static struct slice entry(struct cur *c, struct arena *a, bool whole)
{
	struct slice raw = imap_parse_astring(c, a);
	struct buf name = BUF_INIT(STORE_ENTRY_NAME_MAX + 64);
	struct slice out = slice_make(NULL, 0);

	if (!c->err && store_entry_canon(raw, whole, &name) != STORE_OK) {
		cur_fail(c, -EINVAL);
	}
	if (!c->err) {
		out = arena_dup(a, buf_slice(&name));
		if (!out.p) {
			cur_fail(c, -ENOMEM);
		}
	}
	buf_fini(&name);
	return out;
}

/* "(" entry *(SP entry) ")", or with single also one entry alone. */
static void names(struct cur *c, struct arena *a, size_t max, bool single, struct slice **out,
		  size_t *n_out)
{
	struct slice *v = arena_array(a, max, sizeof(*v));
	size_t n = 0;

	*out = v;
	*n_out = 0;
	if (!v) {
		cur_fail(c, -ENOMEM);
		return;
	}
	if (single && cur_peek(c) != '(') {
		v[0] = entry(c, a, false);
		*n_out = 1;
		return;
	}
	cur_need(c, '(');
	do {
		if (n == max) {
			cur_fail(c, -EMSGSIZE);
			return;
		}
		v[n++] = entry(c, a, false);
	} while (!c->err && cur_opt(c, ' '));
	cur_need(c, ')');
	*n_out = n;
}

void metadata_parse_names(struct cur *c, struct arena *a, size_t max, struct slice **out,
			  size_t *n_out)
{
	names(c, a, max, false, out, n_out);
}

/* ---- GETMETADATA ------------------------------------------------------------ */

/* maxsize-opt / scope-opt */
static void option(struct cur *c, struct metadata_get *out)
{
	struct slice name = imap_parse_atom(c);

	cur_sp(c);
	if (slice_ieq(name, S("MAXSIZE"))) {
		out->has_max = true;
		out->max = cur_u64(c);
	} else if (slice_ieq(name, S("DEPTH"))) {
		struct slice value = imap_parse_atom(c);
		if (slice_ieq(value, S("infinity"))) {
			out->depth = UINT32_MAX;
		} else if (slice_eq(value, S("0")) || slice_eq(value, S("1"))) {
			out->depth = value.p[0] == '1';
		} else {
			cur_fail(c, -EINVAL);
		}
	} else {
		cur_fail(c, -EINVAL);
	}
}

static void options(struct cur *c, struct metadata_get *out)
{
	cur_need(c, '(');
	do {
		option(c, out);
	} while (!c->err && cur_opt(c, ' '));
	cur_need(c, ')');
	cur_sp(c);
}

/* Does a list of options stand here, not one of entries? */
static bool at_options(const struct cur *c)
{
	struct cur ahead = *c;

	return cur_opt(&ahead, '(') && ascii_isalpha((unsigned char)MAX(cur_peek(&ahead), 0));
}

void metadata_parse_get(struct cur *c, struct arena *a, struct metadata_get *out)
{
	bool had;

	*out = (struct metadata_get){ 0 };
	cur_sp(c);
	had = at_options(c);
	if (had) {
		options(c, out);
	}
	out->mailbox = imap_parse_astring(c, a);
	cur_sp(c);
	if (!had && at_options(c)) {
		options(c, out);
	}
	names(c, a, METADATA_NAMES_MAX, true, &out->names, &out->n);
	cur_end(c);
}

/* ---- SETMETADATA ------------------------------------------------------------ */

/* literal8 = "~{" number ["+"] "}" CRLF *OCTET */
static struct slice literal8(struct cur *c)
{
	uint64_t n;

	cur_need(c, '~');
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
	struct slice s = cur_take(c, (size_t)n);
	return s.p ? s : slice_make("", 0);
}

/* value = nstring / literal8 */
static struct slice value(struct cur *c, struct arena *a)
{
	return cur_peek(c) == '~' ? literal8(c) : imap_parse_nstring(c, a);
}

void metadata_parse_set(struct cur *c, struct arena *a, struct metadata_set *out)
{
	*out = (struct metadata_set){ 0 };
	out->v = arena_array(a, METADATA_NAMES_MAX, sizeof(*out->v));
	if (!out->v) {
		cur_fail(c, -ENOMEM);
	}
	cur_sp(c);
	out->mailbox = imap_parse_astring(c, a);
	cur_sp(c);
	cur_need(c, '(');
	do {
		struct store_entry e = { .name = entry(c, a, true) };
		cur_sp(c);
		e.value = value(c, a);
		if (out->n == METADATA_NAMES_MAX) {
			cur_fail(c, -EMSGSIZE);
		}
		if (!c->err && out->v) {
			out->v[out->n++] = e;
			out->too_long = out->too_long || e.value.n > STORE_ENTRY_VALUE_MAX;
		}
	} while (!c->err && cur_opt(c, ' '));
	cur_need(c, ')');
	cur_end(c);
}

/* ---- METADATA --------------------------------------------------------------- */

void metadata_put(struct buf *b, const struct store_entry *e)
{
	imap_put_astring(b, e->name);
	buf_addc(b, ' ');
	if (!slice_has_nul(e->value)) {
		imap_put_nstring(b, e->value);
		return;
	}
	buf_printf(b, "~{%zu}\r\n", e->value.n);
	buf_add(b, e->value);
}
