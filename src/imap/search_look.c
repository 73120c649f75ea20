/*
 * search_look: see search_look.h. Everything is compared decoded and folded
 * (mime/text.h). A fuzzy key looks for its words one by one, in any order and
 * place (RFC 6203 leaves the meaning to the server); an exact one for its
 * text as a whole.
 */
#include <stdlib.h>

#include "imap/objectid.h"
#include "imap/search_look.h"
#include "mime/header.h"
#include "mime/text.h"

#define SCORE_WORDS 90 /* all words, not in this order */
#define SCORE_SUBJECT 100
#define SCORE_ADDRESS 80

/* What is still to be found of a key. */
struct needles {
	struct slice v[SEARCH_WORDS_MAX];
	size_t n;
};

static void needles_init(struct needles *w, const struct search_op *op)
{
	w->v[0] = op->text;
	w->n = op->fuzzy ? search_words(op->text, w->v) : 1;
}

static void drop(struct needles *w, size_t i)
{
	w->v[i] = w->v[--w->n];
}

bool search_look_init(struct search_look *l, struct store_mailbox *m, struct arena *a)
{
	*l = (struct search_look){ .mbox = m, .a = a, .chunk = malloc(IMAP_CHUNK) };
	buf_init(&l->header, MIME_HEADER_MAX);
	return l->chunk != NULL;
}

void search_look_fini(struct search_look *l)
{
	free(l->chunk);
	buf_fini(&l->header);
}

void search_look_start(struct search_look *l, const struct store_msg *msg)
{
	l->msg = msg;
	l->have_tree = false;
	l->have_header = false;
	l->failed = false;
	l->mark = arena_mark(l->a);
}

void search_look_end(struct search_look *l)
{
	arena_reset(l->a, l->mark);
}

/* ---- summaries ----------------------------------------------------------------- */

static struct slice whole_field(const struct store_summary *s, enum search_field f)
{
	switch (f) {
	case SEARCH_FROM:
		return s->from;
	case SEARCH_TO:
		return s->to;
	case SEARCH_CC:
		return s->cc;
	case SEARCH_BCC:
		return s->bcc;
	default:
		return s->subject;
	}
}

/* With addresses, or without. */
static struct slice field_of(const struct store_summary *s, const struct search_op *op)
{
	struct slice all = whole_field(s, op->field);

	return op->addresses ? all : slice_sub(all, 0, slice_chr(all, '\r'));
}

/* 100: the text as it is; SCORE_WORDS: a fuzzy key's words; 0: no. */
static unsigned char field_score(const struct search_op *op, struct slice field)
{
	struct needles w;

	if (!field.p) {
		return 0;
	}
	if (op->text.n == 0 || slice_find(field, op->text) != SIZE_MAX) {
		return 100;
	}
	if (!op->fuzzy) {
		return 0;
	}
	needles_init(&w, op);
	for (size_t i = 0; i < w.n; i++) {
		if (slice_find(field, w.v[i]) == SIZE_MAX) {
			return 0;
		}
	}
	return SCORE_WORDS;
}

bool search_summary_leaf(const struct search_op *op, const struct store_summary *s,
			 unsigned char *score_out)
{
	if (op->kind == SEARCH_FIELD) {
		*score_out = field_score(op, field_of(s, op));
		return *score_out > 0;
	}
	*score_out = 100;
	if (op->kind == SEARCH_THREADID) {
		return imap_is_threadid(op->name, s->thread);
	}
	return s->sent != INT64_MIN &&
	       search_by_day(op->kind, search_day(s->sent, s->zone), op->days);
}

unsigned char search_summary_score(const struct search_op *op, const struct store_summary *s)
{
	unsigned char score;

	if (op->kind != SEARCH_TEXT && op->kind != SEARCH_BODY) {
		return 0;
	}
	score = field_score(op, s->subject);
	if (score > 0) {
		return (unsigned char)(score * SCORE_SUBJECT / 100);
	}
	score = MAX(field_score(op, s->from), field_score(op, s->to));
	return (unsigned char)(score * SCORE_ADDRESS / 100);
}

bool search_is_emailid(struct slice id, const struct store_msg *m)
{
	return imap_is_emailid(id, m->guid);
}

/* ---- reading ------------------------------------------------------------------- */

CO_FN static bool need_tree(struct search_look *l)
{
	struct err e = ERR_INIT;

	if (!l->have_tree) {
		int r = store_tree(l->mbox, l->msg->uid, l->a, &l->tree, &e);
		l->have_tree = r == STORE_OK;
		l->failed = l->failed || (r < 0 && r != -ENOENT);
	}
	return l->have_tree;
}

/* Bytes [off, off + len) into b; false if they cannot be had. */
CO_FN static bool read_bytes(struct search_look *l, uint64_t off, uint64_t len, struct buf *b)
{
	struct err e = ERR_INIT;

	buf_reset(b);
	while (b->n < len) {
		size_t want = MIN(len - b->n, IMAP_CHUNK);
		char *p = buf_reserve(b, want);
		ssize_t r = p ? store_read(l->mbox, l->msg->uid, off + b->n, p, want, &e) : -ENOMEM;
		if (r <= 0) {
			l->failed = l->failed || (r < 0 && r != -ENOENT);
			return false;
		}
		buf_commit(b, (size_t)r);
	}
	return true;
}

/* A part's header, as far as anybody looks at headers (mime.h). */
CO_FN static bool part_header(struct search_look *l, const struct mime_part *p, struct buf *b)
{
	return read_bytes(l, p->header_off, MIN(p->header_len, MIME_HEADER_MAX), b);
}

CO_FN static bool need_header(struct search_look *l)
{
	if (!l->have_header) {
		l->have_header = need_tree(l) && part_header(l, l->tree.root, &l->header);
	}
	return l->have_header;
}

/* ---- leaves -------------------------------------------------------------------- */

/* The Date field as it stands, whatever its zone (RFC 3501 6.4.4). */
static bool sent_leaf(const struct search_look *l, const struct search_op *op)
{
	const struct mime_envelope *env = l->tree.root->envelope;
	struct mime_date d;

	if (!env || !env->date.p || mime_date_parse(env->date, &d) < 0) {
		return false;
	}
	return search_by_day(op->kind, search_day(d.unix_seconds, d.zone), op->days);
}

/* Takes off what a header has. */
static void header_needles(struct slice header, struct slice name, bool addresses,
			   struct needles *w)
{
	for (size_t i = 0; i < w->n;) {
		bool has = addresses ? mime_address_match(header, name, w->v[i])
				     : mime_header_match(header, name, w->v[i]);

		if (has) {
			drop(w, i);
		} else {
			i++;
		}
	}
}

CO_FN static bool header_leaf(struct search_look *l, const struct search_op *op)
{
	struct needles w;

	if (!need_header(l)) {
		return false;
	}
	needles_init(&w, op);
	header_needles(buf_slice(&l->header), op->name, op->addresses, &w);
	return w.n == 0;
}

/* Feeds a part's body to the matchers; those that match are taken off. */
CO_FN static void feed_body(struct search_look *l, const struct mime_part *p, struct mime_match **m,
			    struct needles *w)
{
	struct err e = ERR_INIT;
	uint64_t done = 0;

	while (w->n > 0 && done < p->body_len) {
		ssize_t r = store_read(l->mbox, l->msg->uid, p->body_off + done, l->chunk,
				       MIN(p->body_len - done, IMAP_CHUNK), &e);
		if (r <= 0) {
			l->failed = l->failed || (r < 0 && r != -ENOENT);
			return;
		}
		for (size_t i = 0; i < w->n;) {
			if (mime_match_feed(m[i], slice_make(l->chunk, (size_t)r))) {
				mime_match_free(&m[i]);
				drop(w, i);
				m[i] = m[w->n];
				m[w->n] = NULL;
			} else {
				i++;
			}
		}
		done += (uint64_t)r;
		if (co_breathe() < 0) {
			return;
		}
	}
}

CO_FN static void body_needles(struct search_look *l, const struct mime_part *p, struct needles *w)
{
	struct mime_match *m[SEARCH_WORDS_MAX] = { NULL };
	size_t n = w->n;
	bool ok = true;

	for (size_t i = 0; i < n; i++) {
		m[i] = mime_match_new(p, w->v[i]);
		ok = ok && m[i];
	}
	l->failed = l->failed || !ok;
	if (ok) {
		feed_body(l, p, m, w);
	}
	for (size_t i = w->n; ok && i-- > 0;) {
		if (mime_match_end(m[i])) {
			mime_match_free(&m[i]);
			drop(w, i);
			m[i] = m[w->n];
			m[w->n] = NULL;
		}
	}
	for (size_t i = 0; i < n; i++) {
		mime_match_free(&m[i]);
	}
}

/* The next part in document order. */
static const struct mime_part *next_part(const struct mime_part *p)
{
	if (p->children) {
		return p->children;
	}
	while (p && !p->next) {
		p = p->parent;
	}
	return p ? p->next : NULL;
}

/* Any text in the message; with headers of messages within it. */
CO_FN static void any_body(struct search_look *l, struct needles *w)
{
	struct buf inner = BUF_INIT(MIME_HEADER_MAX);

	if (!need_tree(l)) {
		return;
	}
	for (const struct mime_part *p = l->tree.root; p && w->n > 0; p = next_part(p)) {
		if (p->kind == MIME_MESSAGE && p->children) {
			if (part_header(l, p->children, &inner)) {
				header_needles(buf_slice(&inner), S(""), false, w);
			}
		} else if (p->kind == MIME_LEAF && mime_part_is_text(p)) {
			body_needles(l, p, w);
		}
	}
	buf_fini(&inner);
}

CO_FN static bool text_leaf(struct search_look *l, const struct search_op *op)
{
	struct needles w;

	if (op->text.n == 0) {
		return true;
	}
	needles_init(&w, op);
	if (op->kind == SEARCH_TEXT && need_header(l)) {
		header_needles(buf_slice(&l->header), S(""), false, &w);
	}
	if (w.n > 0) {
		any_body(l, &w);
	}
	return w.n == 0;
}

/* THREADID and the like, when the summaries could not be had. */
CO_FN static bool summary_leaf(struct search_look *l, const struct search_op *op)
{
	switch (op->kind) {
	case SEARCH_FIELD:
		return header_leaf(l, op);
	case SEARCH_THREADID:
		l->failed = true;
		return false;
	default:
		return need_tree(l) && sent_leaf(l, op);
	}
}

CO_FN bool search_look_leaf(struct search_look *l, const struct search_op *op)
{
	switch (search_price(op->kind)) {
	case SEARCH_SUMMARY:
		return summary_leaf(l, op);
	case SEARCH_HEADERS:
		return header_leaf(l, op);
	default:
		return text_leaf(l, op);
	}
}
