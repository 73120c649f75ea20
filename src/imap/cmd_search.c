/*
 * cmd_search: SEARCH (RFC 3501 6.4.4): runs a search program (search.h) over
 * the messages of the view, opening only those that need it.
 */
#include <stdlib.h>

#include "imap/impl.h"
#include "imap/search.h"
#include "mime/header.h"
#include "mime/text.h"

struct search {
	struct imap_cmd *cmd;
	struct search_prog prog;
	unsigned char *vals;
	char *chunk;
	bool failed; /* a message could not be read */
	/* the message of the moment */
	uint32_t seq;
	struct store_msg msg;
	struct mime_tree tree;
	bool have_tree;
	struct buf header;
	bool have_header;
};

/* ---- leaves -------------------------------------------------------------------- */

static int64_t day_of(int64_t unix_seconds, int zone)
{
	int64_t local = unix_seconds + zone * INT64_C(60);

	return local >= 0 ? local / 86400 : -((86399 - local) / 86400);
}

static bool by_day(enum search_kind kind, int64_t day, int64_t want)
{
	switch (kind) {
	case SEARCH_BEFORE:
	case SEARCH_SENTBEFORE:
		return day < want;
	case SEARCH_ON:
	case SEARCH_SENTON:
		return day == want;
	default:
		return day >= want;
	}
}

static bool free_leaf(const struct search *x, const struct search_op *op)
{
	const struct store_msg *m = &x->msg;
	bool recent = store_view_recent(x->cmd->s->view, x->seq);

	switch (op->kind) {
	case SEARCH_ALL:
		return true;
	case SEARCH_FLAG:
		return !!(m->flags.system & op->number) == op->want;
	case SEARCH_KEYWORD:
		return !!(m->flags.keywords & op->number) == op->want;
	case SEARCH_RECENT:
		return recent == op->want;
	case SEARCH_NEW:
		return recent && !(m->flags.system & STORE_SEEN);
	case SEARCH_SEQ:
		return seqset_has(&op->set, x->seq);
	case SEARCH_UID:
		return seqset_has(&op->set, m->uid);
	case SEARCH_LARGER:
		return m->size > op->number;
	case SEARCH_SMALLER:
		return m->size < op->number;
	default:
		return by_day(op->kind, day_of(m->internal_date, m->internal_zone), op->days);
	}
}

/* The Date field as it stands, whatever its zone (6.4.4). */
static bool sent_leaf(const struct search *x, const struct search_op *op)
{
	const struct mime_envelope *env = x->tree.root->envelope;
	struct mime_date d;

	if (!env || !env->date.p || mime_date_parse(env->date, &d) < 0) {
		return false;
	}
	return by_day(op->kind, day_of(d.unix_seconds, d.zone), op->days);
}

/* ---- reading ------------------------------------------------------------------- */

CO_FN static bool need_tree(struct search *x)
{
	struct err e = ERR_INIT;

	if (!x->have_tree) {
		int r = store_tree(x->cmd->s->mbox, x->msg.uid, &x->cmd->arena, &x->tree, &e);
		x->have_tree = r == STORE_OK;
		x->failed = x->failed || (r < 0 && r != -ENOENT);
	}
	return x->have_tree;
}

/* Bytes [off, off + len) into b; false if they cannot be had. */
CO_FN static bool read_bytes(struct search *x, uint64_t off, uint64_t len, struct buf *b)
{
	struct err e = ERR_INIT;

	buf_reset(b);
	while (b->n < len) {
		size_t want = MIN(len - b->n, IMAP_CHUNK);
		char *p = buf_reserve(b, want);
		ssize_t r = p ? store_read(x->cmd->s->mbox, x->msg.uid, off + b->n, p, want, &e)
			      : -ENOMEM;
		if (r <= 0) {
			x->failed = x->failed || (r < 0 && r != -ENOENT);
			return false;
		}
		buf_commit(b, (size_t)r);
	}
	return true;
}

/* A part's header, as far as anybody looks at headers (mime.h). */
CO_FN static bool part_header(struct search *x, const struct mime_part *p, struct buf *b)
{
	return read_bytes(x, p->header_off, MIN(p->header_len, MIME_HEADER_MAX), b);
}

CO_FN static bool need_header(struct search *x)
{
	if (!x->have_header) {
		x->have_header = need_tree(x) && part_header(x, x->tree.root, &x->header);
	}
	return x->have_header;
}

CO_FN static bool body_matches(struct search *x, const struct mime_part *p, struct slice needle)
{
	struct mime_match *m = mime_match_new(p, needle);
	struct err e = ERR_INIT;
	uint64_t done = 0;
	bool found = false;

	while (m && !found && done < p->body_len) {
		ssize_t r = store_read(x->cmd->s->mbox, x->msg.uid, p->body_off + done, x->chunk,
				       MIN(p->body_len - done, IMAP_CHUNK), &e);
		if (r <= 0) {
			x->failed = x->failed || (r < 0 && r != -ENOENT);
			break;
		}
		found = mime_match_feed(m, slice_make(x->chunk, (size_t)r));
		done += (uint64_t)r;
		co_breathe();
	}
	found = found || (m && mime_match_end(m));
	x->failed = x->failed || !m;
	mime_match_free(&m);
	return found;
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
CO_FN static bool any_body(struct search *x, struct slice needle)
{
	struct buf inner = BUF_INIT(MIME_HEADER_MAX);
	bool found = false;

	if (!need_tree(x)) {
		return false;
	}
	for (const struct mime_part *p = x->tree.root; p && !found; p = next_part(p)) {
		if (p->kind == MIME_MESSAGE && p->children) {
			found = part_header(x, p->children, &inner) &&
				mime_header_match(buf_slice(&inner), S(""), needle);
		} else if (p->kind == MIME_LEAF && mime_part_is_text(p)) {
			found = body_matches(x, p, needle);
		}
	}
	buf_fini(&inner);
	return found;
}

CO_FN static bool leaf(struct search *x, const struct search_op *op)
{
	switch (op->kind) {
	case SEARCH_SENTBEFORE:
	case SEARCH_SENTON:
	case SEARCH_SENTSINCE:
		return need_tree(x) && sent_leaf(x, op);
	case SEARCH_HEADER:
		return need_header(x) &&
		       mime_header_match(buf_slice(&x->header), op->name, op->text);
	case SEARCH_BODY:
		return op->text.n == 0 || any_body(x, op->text);
	case SEARCH_TEXT:
		return op->text.n == 0 ||
		       (need_header(x) &&
			mime_header_match(buf_slice(&x->header), S(""), op->text)) ||
		       any_body(x, op->text);
	default:
		return free_leaf(x, op);
	}
}

/* ---- the search ------------------------------------------------------------------ */

/* Looks at dearer and dearer things until the answer is certain. */
CO_FN static bool message_matches(struct search *x)
{
	enum search_truth t = SEARCH_UNKNOWN;

	memset(x->vals, SEARCH_UNKNOWN, x->prog.n);
	for (unsigned price = 0; price < SEARCH_PRICES && t == SEARCH_UNKNOWN; price++) {
		for (size_t i = 0; i < x->prog.n; i++) {
			const struct search_op *op = &x->prog.ops[i];
			if (op->kind > SEARCH_NOT && search_price(op->kind) == price) {
				x->vals[i] = leaf(x, op) ? SEARCH_TRUE : SEARCH_FALSE;
			}
		}
		t = search_eval(&x->prog, x->vals);
	}
	return t == SEARCH_TRUE;
}

CO_FN static void run(struct search *x)
{
	struct imap_cmd *cmd = x->cmd;
	struct imap *s = cmd->s;
	struct conn *c = imap_conn(s);
	uint32_t count = store_view_count(s->view);

	conn_write(c, S("* SEARCH"));
	for (x->seq = 1; x->seq <= count && c->err == 0; x->seq++) {
		struct arena_mark mark = arena_mark(&cmd->arena);
		x->have_tree = false;
		x->have_header = false;
		if (store_view_msg(s->view, x->seq, &x->msg) == STORE_OK && message_matches(x)) {
			conn_printf(c, " %u", cmd->uid ? x->msg.uid : x->seq);
		}
		arena_reset(&cmd->arena, mark);
		if (co_breathe() < 0) {
			break;
		}
	}
	conn_write(c, S("\r\n"));
}

static void resolve_keywords(struct search *x)
{
	for (size_t i = 0; i < x->prog.n; i++) {
		struct search_op *op = &x->prog.ops[i];
		if (op->kind == SEARCH_KEYWORD &&
		    store_keyword_bits(x->cmd->s->mbox, &op->name, 1, false, &op->number) !=
			    STORE_OK) {
			op->number = 0;
		}
	}
}

/* False with the reply set. */
static bool parse(struct search *x)
{
	struct imap_cmd *cmd = x->cmd;
	int r;

	cur_sp(&cmd->c);
	r = search_parse(&cmd->c, &cmd->arena, imap_view_star(cmd->s, false),
			 imap_view_star(cmd->s, true), &x->prog);
	if (r == SEARCH_BADCHARSET) {
		imap_no(cmd, "[BADCHARSET (US-ASCII UTF-8)] Unknown charset");
	} else if (r == SEARCH_TOO_MUCH) {
		imap_no(cmd, "[LIMIT] Search is too complex");
	} else if (r < 0) {
		imap_syntax(cmd);
	} else if (x->prog.seq_top > store_view_count(cmd->s->view)) {
		imap_bad(cmd, "No message has that number");
		r = -EINVAL;
	}
	return r == SEARCH_OK;
}

/* search = "SEARCH" [SP "CHARSET" SP astring] 1*(SP search-key) */
CO_FN int imap_cmd_search(void *session, void *command)
{
	struct search x = { .cmd = command };

	(void)session;
	if (!parse(&x)) {
		return 0;
	}
	resolve_keywords(&x);
	buf_init(&x.header, MIME_HEADER_MAX);
	x.vals = arena_alloc(&x.cmd->arena, x.prog.n);
	x.chunk = malloc(IMAP_CHUNK);
	if (!x.vals || !x.chunk) {
		imap_store_no(x.cmd, -ENOMEM, NULL);
	} else {
		run(&x);
		if (x.failed) {
			imap_no(x.cmd, "[UNAVAILABLE] Some messages could not "
				       "be read");
		} else {
			imap_ok(x.cmd, "Searched");
		}
	}
	buf_fini(&x.header);
	free(x.chunk);
	return 0;
}
