/*
 * tree: a part tree as bytes and back, and finding parts by IMAP section.
 *
 * The store keeps these bytes with each message, so they are read as often as
 * a mailbox is listed: varints, no names, absent strings one byte, nothing
 * that follows from something else (a body begins where its header ends).
 * Reading checks everything, since a disk chose the bytes: a tree that comes
 * out has offsets inside the message and in order, a depth and number of
 * parts within the limits, and the shape the parser makes (a multipart has at
 * least one part, a message exactly one, a leaf none).
 *
 *   tree     = version:1 (=1) flags:1 size bare received part
 *   part     = marks:1 offset header_len body_len header_lines body_lines
 *              type subtype encoding params [extras] [envelope]
 *              [n-children part...]        (unless a leaf: n >= 1)
 *   extras   = id description md5 disposition params n-languages string...
 *              location
 *   envelope = date subject in_reply_to message_id from sender reply_to to
 *              cc bcc sent:8
 *   from...  = n (name route mailbox host)...     params = n (name value)...
 *
 * Numbers are LEB128 varints but those with a width in bytes (little-endian);
 * strings are varint length + 1 and the bytes, 0 meaning absent. flags: 1
 * 8-bit, 2 NUL, 4 truncated. marks: kind in bits 0-1, 4 envelope, 8 extras
 * (left out if all are absent). offset counts from the parent's body_off.
 * sent is two's complement, INT64_MIN meaning none.
 * Called by the store and IMAP.
 */
#include <errno.h>

#include "mime/impl.h"

#define TREE_VERSION 1

enum { T_8BIT = 1, T_NUL = 2, T_TRUNCATED = 4, T_ALL = 7 };

/* Marks beside the kind in a part's first byte. */
enum { M_KIND = 3, M_ENVELOPE = 4, M_EXTRAS = 8, M_ALL = 15 };

/* ---- writing ------------------------------------------------------------- */

/* 0 absent, else length + 1. */
static void put_string(struct buf *b, struct slice s)
{
	if (!s.p) {
		buf_varint(b, 0);
		return;
	}
	buf_varint(b, (uint64_t)s.n + 1);
	buf_add(b, s);
}

static void put_params(struct buf *b, const struct mime_param *p)
{
	uint64_t n = 0;

	for (const struct mime_param *q = p; q; q = q->next) {
		n++;
	}
	buf_varint(b, n);
	for (; p; p = p->next) {
		put_string(b, p->name);
		put_string(b, p->value);
	}
}

static void put_addrs(struct buf *b, const struct mime_addr *ad)
{
	uint64_t n = 0;

	for (const struct mime_addr *q = ad; q; q = q->next) {
		n++;
	}
	buf_varint(b, n);
	for (; ad; ad = ad->next) {
		put_string(b, ad->name);
		put_string(b, ad->route);
		put_string(b, ad->mailbox);
		put_string(b, ad->host);
	}
}

static void put_envelope(struct buf *b, const struct mime_envelope *e)
{
	put_string(b, e->date);
	put_string(b, e->subject);
	put_string(b, e->in_reply_to);
	put_string(b, e->message_id);
	put_addrs(b, e->from);
	put_addrs(b, e->sender);
	put_addrs(b, e->reply_to);
	put_addrs(b, e->to);
	put_addrs(b, e->cc);
	put_addrs(b, e->bcc);
	buf_put64le(b, (uint64_t)e->sent);
}

/* Most parts have none of these: one bit says so. */
static bool has_extras(const struct mime_part *part)
{
	return part->id.p || part->description.p || part->md5.p || part->disposition.p ||
	       part->disposition_params || part->n_languages || part->location.p;
}

static void put_extras(struct buf *b, const struct mime_part *part)
{
	put_string(b, part->id);
	put_string(b, part->description);
	put_string(b, part->md5);
	put_string(b, part->disposition);
	put_params(b, part->disposition_params);
	buf_varint(b, part->n_languages);
	for (size_t i = 0; i < part->n_languages; i++) {
		put_string(b, part->languages[i]);
	}
	put_string(b, part->location);
}

static void put_part(struct buf *b, const struct mime_part *part)
{
	uint64_t base = part->parent ? part->parent->body_off : 0;
	unsigned marks = part->kind;
	uint64_t n = 0;

	marks |= part->envelope ? M_ENVELOPE : 0;
	marks |= has_extras(part) ? M_EXTRAS : 0;
	buf_put8(b, (uint8_t)marks);
	buf_varint(b, part->header_off - base);
	buf_varint(b, part->header_len);
	buf_varint(b, part->body_len);
	buf_varint(b, part->header_lines);
	buf_varint(b, part->body_lines);
	put_string(b, part->type);
	put_string(b, part->subtype);
	put_string(b, part->encoding);
	put_params(b, part->params);
	if (marks & M_EXTRAS) {
		put_extras(b, part);
	}
	if (part->envelope) {
		put_envelope(b, part->envelope);
	}
	if (part->kind != MIME_LEAF) {
		for (const struct mime_part *c = part->children; c; c = c->next) {
			n++;
		}
		buf_varint(b, n);
	}
}

/* The part behind this one when parents come before their children. */
static const struct mime_part *next_part(const struct mime_part *part)
{
	if (part->children) {
		return part->children;
	}
	while (part && !part->next) {
		part = part->parent;
	}
	return part ? part->next : NULL;
}

void mime_tree_encode(const struct mime_tree *t, struct buf *out)
{
	unsigned flags = (t->has_8bit ? T_8BIT : 0u) | (t->has_nul ? T_NUL : 0u) |
			 (t->truncated ? T_TRUNCATED : 0u);

	buf_put8(out, TREE_VERSION);
	buf_put8(out, (uint8_t)flags);
	buf_varint(out, t->size);
	buf_varint(out, t->bare);
	buf_varint(out, t->received);
	for (const struct mime_part *p = t->root; p; p = next_part(p)) {
		put_part(out, p);
	}
}

/* ---- reading ------------------------------------------------------------- */

struct reader {
	struct cur c;
	struct arena *a;
	struct mime_tree t;
	/* Children still to come, from the root down. */
	uint64_t left[MIME_DEPTH_MAX + 1];
	unsigned depth;
};

static struct slice get_string(struct reader *r)
{
	uint64_t n = cur_varint(&r->c);
	struct slice s;

	if (n == 0 || r->c.err) {
		return slice_make(NULL, 0);
	}
	if (n - 1 > cur_left(&r->c)) {
		cur_fail(&r->c, -EINVAL);
		return slice_make(NULL, 0);
	}
	s = slice_make(r->c.p, (size_t)n - 1);
	r->c.p += s.n;
	return s;
}

static struct slice get_present(struct reader *r)
{
	struct slice s = get_string(r);

	if (!s.p) {
		cur_fail(&r->c, -EINVAL);
	}
	return s;
}

static uint32_t get_u32(struct reader *r)
{
	uint64_t v = cur_varint(&r->c);

	if (v > UINT32_MAX) {
		cur_fail(&r->c, -EINVAL);
		return 0;
	}
	return (uint32_t)v;
}

/* A count of things of at least `min` bytes each. */
static size_t get_count(struct reader *r, size_t min)
{
	uint64_t n = cur_varint(&r->c);

	if (n > cur_left(&r->c) / min) {
		cur_fail(&r->c, -EINVAL);
		return 0;
	}
	return r->c.err ? 0 : (size_t)n;
}

static struct mime_param *get_params(struct reader *r)
{
	size_t n = get_count(r, 2);
	struct mime_param *p = n ? arena_array(r->a, n, sizeof(*p)) : NULL;

	for (size_t i = 0; p && i < n; i++) {
		p[i].name = get_present(r);
		p[i].value = get_present(r);
		p[i].next = i + 1 < n ? &p[i + 1] : NULL;
	}
	return p;
}

static struct mime_addr *get_addrs(struct reader *r)
{
	size_t n = get_count(r, 4);
	struct mime_addr *ad = n ? arena_array(r->a, n, sizeof(*ad)) : NULL;

	for (size_t i = 0; ad && i < n; i++) {
		ad[i].name = get_string(r);
		ad[i].route = get_string(r);
		ad[i].mailbox = get_string(r);
		ad[i].host = get_string(r);
		ad[i].next = i + 1 < n ? &ad[i + 1] : NULL;
	}
	return ad;
}

static struct mime_envelope *get_envelope(struct reader *r)
{
	struct mime_envelope *e = arena_new(r->a, struct mime_envelope);

	if (!e) {
		return NULL;
	}
	e->date = get_string(r);
	e->subject = get_string(r);
	e->in_reply_to = get_string(r);
	e->message_id = get_string(r);
	e->from = get_addrs(r);
	e->sender = get_addrs(r);
	e->reply_to = get_addrs(r);
	e->to = get_addrs(r);
	e->cc = get_addrs(r);
	e->bcc = get_addrs(r);
	e->sent = (int64_t)cur_get64le(&r->c);
	return e;
}

static void get_extras(struct reader *r, struct mime_part *part)
{
	part->id = get_string(r);
	part->description = get_string(r);
	part->md5 = get_string(r);
	part->disposition = get_string(r);
	part->disposition_params = get_params(r);
	part->n_languages = get_count(r, 1);
	if (part->n_languages) {
		part->languages = arena_array(r->a, part->n_languages, sizeof(struct slice));
	}
	for (size_t i = 0; part->languages && i < part->n_languages; i++) {
		part->languages[i] = get_present(r);
	}
	part->location = get_string(r);
	if (!has_extras(part)) {
		cur_fail(&r->c, -EINVAL);
	}
}

/* The numbers of a part, and that it lies inside [lo, hi). */
static void get_place(struct reader *r, struct mime_part *part, uint64_t base, uint64_t lo,
		      uint64_t hi)
{
	uint64_t delta = cur_varint(&r->c);

	part->header_len = cur_varint(&r->c);
	part->body_len = cur_varint(&r->c);
	part->header_lines = get_u32(r);
	part->body_lines = get_u32(r);
	if (delta > hi - base || base + delta < lo || part->header_len > hi - base - delta ||
	    part->body_len > hi - base - delta - part->header_len) {
		cur_fail(&r->c, -EINVAL);
		return;
	}
	part->header_off = base + delta;
	part->body_off = part->header_off + part->header_len;
}

static void get_children(struct reader *r, struct mime_part *part)
{
	uint64_t n;

	if (part->kind == MIME_LEAF) {
		return;
	}
	n = cur_varint(&r->c);
	if (n == 0 || n > MIME_PARTS_MAX || r->depth > MIME_DEPTH_MAX ||
	    (part->kind == MIME_MESSAGE && n != 1)) {
		cur_fail(&r->c, -EINVAL);
		return;
	}
	r->left[r->depth++] = n;
}

/* The parser gives no part a type that its kind contradicts. */
static void check_kind(struct reader *r, const struct mime_part *part)
{
	if (mime_is_multipart(part) != (part->kind == MIME_MULTIPART) ||
	    mime_is_message(part) != (part->kind == MIME_MESSAGE)) {
		cur_fail(&r->c, -EINVAL);
	}
}

static void link_part(struct reader *r, struct mime_part *parent, struct mime_part *part)
{
	if (!parent) {
		r->t.root = part;
		return;
	}
	part->parent = parent;
	if (parent->last_child) {
		parent->last_child->next = part;
	} else {
		parent->children = part;
	}
	parent->last_child = part;
	r->left[r->depth - 1]--;
}

/* One part behind its elder sister in parent (NULL: the root). */
static struct mime_part *get_part(struct reader *r, struct mime_part *parent)
{
	struct mime_part *part = arena_new(r->a, struct mime_part);
	uint64_t base = parent ? parent->body_off : 0;
	uint64_t hi = parent ? base + parent->body_len : r->t.size;
	const struct mime_part *elder = parent ? parent->last_child : NULL;
	uint64_t lo = elder ? elder->body_off + elder->body_len : base;
	unsigned marks = cur_get8(&r->c);
	bool inside = !parent || parent->kind == MIME_MESSAGE;

	if (!part || marks > M_ALL || (marks & M_KIND) > MIME_MESSAGE ||
	    inside != !!(marks & M_ENVELOPE) || ++r->t.n_parts > MIME_PARTS_MAX) {
		cur_fail(&r->c, -EINVAL);
		return NULL;
	}
	part->kind = (enum mime_kind)(marks & M_KIND);
	get_place(r, part, base, lo, hi);
	link_part(r, parent, part);
	part->type = get_present(r);
	part->subtype = get_present(r);
	check_kind(r, part);
	part->encoding = get_present(r);
	part->params = get_params(r);
	if (marks & M_EXTRAS) {
		get_extras(r, part);
	}
	if (marks & M_ENVELOPE) {
		part->envelope = get_envelope(r);
	}
	get_children(r, part);
	return part;
}

/* The part whose child comes next; NULL at the end. */
static struct mime_part *next_parent(struct reader *r, struct mime_part *part)
{
	if (part->kind != MIME_LEAF) {
		return part;
	}
	part = part->parent;
	while (part && r->left[r->depth - 1] == 0) {
		r->depth--;
		part = part->parent;
	}
	return part;
}

static void get_tree(struct reader *r)
{
	uint8_t flags = cur_get8(&r->c);
	struct mime_part *parent = NULL;

	r->t.has_8bit = flags & T_8BIT;
	r->t.has_nul = flags & T_NUL;
	r->t.truncated = flags & T_TRUNCATED;
	r->t.size = cur_varint(&r->c);
	r->t.bare = cur_varint(&r->c);
	r->t.received = get_u32(r);
	if (flags > T_ALL) {
		cur_fail(&r->c, -EINVAL);
	}
	do {
		struct mime_part *part = r->c.err ? NULL : get_part(r, parent);

		if (!part || r->c.err || arena_err(r->a)) {
			cur_fail(&r->c, -EINVAL);
			return;
		}
		parent = next_parent(r, part);
	} while (parent);
	if (r->t.root->header_off != 0) {
		cur_fail(&r->c, -EINVAL);
	}
	cur_end(&r->c);
}

int mime_tree_decode(struct slice bytes, struct arena *a, struct mime_tree *out)
{
	struct reader r = { .c = cur_init(bytes), .a = a };
	uint8_t version = cur_get8(&r.c);

	if (r.c.err) {
		return -EINVAL;
	}
	if (version != TREE_VERSION) {
		return -EPROTO;
	}
	get_tree(&r);
	if (arena_err(a)) {
		return arena_err(a);
	}
	if (r.c.err) {
		return -EINVAL;
	}
	*out = r.t;
	return 0;
}

/* ---- finding ------------------------------------------------------------- */

static const struct mime_part *child(const struct mime_part *part, uint32_t n)
{
	const struct mime_part *c = part->children;

	while (c && n > 1) {
		c = c->next;
		n--;
	}
	return n ? c : NULL;
}

const struct mime_part *mime_part_find(const struct mime_tree *t, const uint32_t *numbers, size_t n)
{
	const struct mime_part *part = t->root;
	bool whole = true; /* part stands for a message, not for its body */

	for (size_t i = 0; part && i < n; i++) {
		if (!whole && part->kind == MIME_MESSAGE) {
			part = part->children;
			whole = true;
		}
		if (part->kind == MIME_MULTIPART) {
			part = child(part, numbers[i]);
		} else if (!whole || numbers[i] != 1) {
			return NULL;
		}
		whole = false;
	}
	return part;
}
