/*
 * search: parser and evaluator of search programs; see search.h.
 *
 * The parser keeps what is open (a list, a NOT, an OR) on a stack of its own.
 * Whenever a key is complete it is emitted, and completes in turn whatever
 * waited only for it.
 */
#include "imap/search.h"

#include "base/err.h"
#include "base/utf8.h"
#include "imap/parse.h"
#include "store/store.h"

enum frame_kind { F_LIST, F_NOT, F_OR };

struct frame {
	enum frame_kind kind;
	unsigned have; /* keys complete in it */
};

struct parser {
	struct cur *c;
	struct arena *a;
	uint32_t star_seq;
	uint32_t star_uid;
	struct search_prog prog;
	size_t cap;
	struct frame stack[SEARCH_DEPTH_MAX + 1];
	size_t depth;
	bool too_much;
	bool ascii_only; /* CHARSET US-ASCII */
};

enum arg_kind {
	ARG_NONE,
	ARG_TEXT,   /* astring to look for */
	ARG_FIELD,  /* astring to look for in the field `name` */
	ARG_HEADER, /* field name, astring */
	ARG_KEYWORD,
	ARG_DATE,
	ARG_NUMBER,
	ARG_UIDS
};

struct key {
	struct slice name;
	enum search_kind kind;
	enum arg_kind arg;
	bool want;
	uint32_t number;
};

static const struct key keys[] = {
	{ S("ALL"), SEARCH_ALL, ARG_NONE, true, 0 },
	{ S("ANSWERED"), SEARCH_FLAG, ARG_NONE, true, STORE_ANSWERED },
	{ S("BCC"), SEARCH_HEADER, ARG_FIELD, true, 0 },
	{ S("BEFORE"), SEARCH_BEFORE, ARG_DATE, true, 0 },
	{ S("BODY"), SEARCH_BODY, ARG_TEXT, true, 0 },
	{ S("CC"), SEARCH_HEADER, ARG_FIELD, true, 0 },
	{ S("DELETED"), SEARCH_FLAG, ARG_NONE, true, STORE_DELETED },
	{ S("DRAFT"), SEARCH_FLAG, ARG_NONE, true, STORE_DRAFT },
	{ S("FLAGGED"), SEARCH_FLAG, ARG_NONE, true, STORE_FLAGGED },
	{ S("FROM"), SEARCH_HEADER, ARG_FIELD, true, 0 },
	{ S("HEADER"), SEARCH_HEADER, ARG_HEADER, true, 0 },
	{ S("KEYWORD"), SEARCH_KEYWORD, ARG_KEYWORD, true, 0 },
	{ S("LARGER"), SEARCH_LARGER, ARG_NUMBER, true, 0 },
	{ S("NEW"), SEARCH_NEW, ARG_NONE, true, 0 },
	{ S("OLD"), SEARCH_RECENT, ARG_NONE, false, 0 },
	{ S("ON"), SEARCH_ON, ARG_DATE, true, 0 },
	{ S("RECENT"), SEARCH_RECENT, ARG_NONE, true, 0 },
	{ S("SEEN"), SEARCH_FLAG, ARG_NONE, true, STORE_SEEN },
	{ S("SENTBEFORE"), SEARCH_SENTBEFORE, ARG_DATE, true, 0 },
	{ S("SENTON"), SEARCH_SENTON, ARG_DATE, true, 0 },
	{ S("SENTSINCE"), SEARCH_SENTSINCE, ARG_DATE, true, 0 },
	{ S("SINCE"), SEARCH_SINCE, ARG_DATE, true, 0 },
	{ S("SMALLER"), SEARCH_SMALLER, ARG_NUMBER, true, 0 },
	{ S("SUBJECT"), SEARCH_HEADER, ARG_FIELD, true, 0 },
	{ S("TEXT"), SEARCH_TEXT, ARG_TEXT, true, 0 },
	{ S("TO"), SEARCH_HEADER, ARG_FIELD, true, 0 },
	{ S("UID"), SEARCH_UID, ARG_UIDS, true, 0 },
	{ S("UNANSWERED"), SEARCH_FLAG, ARG_NONE, false, STORE_ANSWERED },
	{ S("UNDELETED"), SEARCH_FLAG, ARG_NONE, false, STORE_DELETED },
	{ S("UNDRAFT"), SEARCH_FLAG, ARG_NONE, false, STORE_DRAFT },
	{ S("UNFLAGGED"), SEARCH_FLAG, ARG_NONE, false, STORE_FLAGGED },
	{ S("UNKEYWORD"), SEARCH_KEYWORD, ARG_KEYWORD, false, 0 },
	{ S("UNSEEN"), SEARCH_FLAG, ARG_NONE, false, STORE_SEEN },
};

/* ---- emitting --------------------------------------------------------------- */

static struct search_op *emit(struct parser *p, enum search_kind kind)
{
	if (p->prog.n == SEARCH_OPS_MAX) {
		p->too_much = true;
		cur_fail(p->c, -EMSGSIZE);
		return NULL;
	}
	if (p->prog.n == p->cap) {
		size_t cap = p->cap ? p->cap * 2 : 8;
		struct search_op *ops = arena_array(p->a, cap, sizeof(*ops));
		if (!ops) {
			cur_fail(p->c, -ENOMEM);
			return NULL;
		}
		if (p->prog.n > 0) {
			memcpy(ops, p->prog.ops, p->prog.n * sizeof(*ops));
		}
		p->prog.ops = ops;
		p->cap = cap;
	}
	p->prog.ops[p->prog.n].kind = kind;
	return &p->prog.ops[p->prog.n++];
}

static void push(struct parser *p, enum frame_kind kind)
{
	if (p->depth == ARRAY_LEN(p->stack)) {
		p->too_much = true;
		cur_fail(p->c, -EMSGSIZE);
		return;
	}
	p->stack[p->depth++] = (struct frame){ kind, 0 };
}

/* A key is complete: so may be what waited for it. */
static void complete(struct parser *p)
{
	while (!p->c->err) {
		struct frame *f = &p->stack[p->depth - 1];
		f->have++;
		if (f->kind == F_LIST) {
			if (f->have > 1) {
				emit(p, SEARCH_AND);
			}
			return;
		}
		if (f->kind == F_OR && f->have < 2) {
			return;
		}
		emit(p, f->kind == F_OR ? SEARCH_OR : SEARCH_NOT);
		p->depth--;
	}
}

/* ---- keys ------------------------------------------------------------------- */

static struct slice folded(struct parser *p)
{
	struct slice raw = imap_parse_astring(p->c, p->a);
	struct buf b = BUF_INIT(12 * raw.n + 64);
	struct slice out = { 0 };

	if (!p->c->err && ((p->ascii_only && slice_has_8bit(raw)) || utf8_fold(&b, raw) < 0)) {
		cur_fail(p->c, -EINVAL);
	}
	if (!p->c->err) {
		out = arena_dup(p->a, buf_slice(&b));
	}
	if (b.err || arena_err(p->a)) {
		cur_fail(p->c, -ENOMEM);
	}
	buf_fini(&b);
	return out;
}

static void key_args(struct parser *p, const struct key *k, struct search_op *op)
{
	cur_sp(p->c);
	switch (k->arg) {
	case ARG_HEADER:
		op->name = imap_parse_astring(p->c, p->a);
		cur_sp(p->c);
		op->text = folded(p);
		if (op->name.n == 0) {
			cur_fail(p->c, -EINVAL);
		}
		break;
	case ARG_FIELD:
		op->name = k->name;
		op->text = folded(p);
		break;
	case ARG_TEXT:
		op->text = folded(p);
		break;
	case ARG_KEYWORD:
		op->name = imap_parse_atom(p->c);
		break;
	case ARG_DATE:
		op->days = imap_parse_date(p->c);
		break;
	case ARG_NUMBER:
		op->number = cur_u32(p->c);
		break;
	case ARG_UIDS:
		seqset_parse(p->c, p->a, p->star_uid, &op->set);
		break;
	case ARG_NONE:
		break;
	}
}

static const struct key *find_key(struct slice name)
{
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		if (slice_ieq(keys[i].name, name)) {
			return &keys[i];
		}
	}
	return NULL;
}

static void numbers(struct parser *p)
{
	struct search_op *op = emit(p, SEARCH_SEQ);

	if (op && seqset_parse(p->c, p->a, p->star_seq, &op->set) == 0) {
		p->prog.seq_top = MAX(p->prog.seq_top, op->set.top);
	}
	complete(p);
}

/* A key by name; true if it opened a NOT or OR that waits for another. */
static bool named(struct parser *p)
{
	struct slice name = imap_parse_atom(p->c);
	const struct key *k;
	struct search_op *op;

	if (slice_ieq(name, S("NOT")) || slice_ieq(name, S("OR"))) {
		push(p, name.n == 2 ? F_OR : F_NOT);
		return true;
	}
	k = find_key(name);
	if (!k) {
		cur_fail(p->c, -EINVAL);
		return false;
	}
	op = emit(p, k->kind);
	if (op) {
		op->want = k->want;
		op->number = k->number;
		if (k->arg != ARG_NONE) {
			key_args(p, k, op);
		}
	}
	complete(p);
	return false;
}

/* ")" as often as it stands here. */
static void close_lists(struct parser *p)
{
	while (!p->c->err && cur_opt(p->c, ')')) {
		if (p->depth < 2 || p->stack[p->depth - 1].kind != F_LIST ||
		    p->stack[p->depth - 1].have == 0) {
			cur_fail(p->c, -EINVAL);
			return;
		}
		p->depth--;
		complete(p);
	}
}

static void parse_keys(struct parser *p)
{
	push(p, F_LIST);
	do {
		int ch = cur_peek(p->c);
		if (ch == '(') {
			cur_byte(p->c);
			push(p, F_LIST);
			continue;
		}
		if (ch == '*' || (ch >= '0' && ch <= '9')) {
			numbers(p);
		} else if (named(p)) {
			cur_sp(p->c);
			continue;
		}
		close_lists(p);
		if (cur_done(p->c)) {
			break;
		}
		cur_sp(p->c);
	} while (!p->c->err);
	if (p->depth != 1) {
		cur_fail(p->c, -EINVAL);
	}
}

static bool charset(struct parser *p)
{
	struct slice name;

	if (!cur_lit(p->c, S("CHARSET "))) {
		return true;
	}
	name = imap_parse_astring(p->c, p->a);
	cur_sp(p->c);
	p->ascii_only = slice_ieq(name, S("US-ASCII")) || slice_ieq(name, S("ASCII"));
	return p->c->err || p->ascii_only || slice_ieq(name, S("UTF-8"));
}

int search_parse(struct cur *c, struct arena *a, uint32_t star_seq, uint32_t star_uid,
		 struct search_prog *out)
{
	struct parser p = { .c = c, .a = a, .star_seq = star_seq, .star_uid = star_uid };

	if (!charset(&p)) {
		return SEARCH_BADCHARSET;
	}
	parse_keys(&p);
	if (p.too_much) {
		return SEARCH_TOO_MUCH;
	}
	if (c->err) {
		return c->err;
	}
	*out = p.prog;
	return SEARCH_OK;
}

enum search_price search_price(enum search_kind kind)
{
	switch (kind) {
	case SEARCH_SENTBEFORE:
	case SEARCH_SENTON:
	case SEARCH_SENTSINCE:
		return SEARCH_TREE;
	case SEARCH_HEADER:
		return SEARCH_HEADERS;
	case SEARCH_BODY:
	case SEARCH_TEXT:
		return SEARCH_BODIES;
	default:
		return SEARCH_FREE;
	}
}

/* ---- evaluation -------------------------------------------------------------- */

static unsigned char and3(unsigned char x, unsigned char y)
{
	if (x == SEARCH_FALSE || y == SEARCH_FALSE) {
		return SEARCH_FALSE;
	}
	return x == SEARCH_TRUE && y == SEARCH_TRUE ? SEARCH_TRUE : SEARCH_UNKNOWN;
}

static unsigned char not3(unsigned char x)
{
	return x == SEARCH_UNKNOWN ? x : !x;
}

enum search_truth search_eval(const struct search_prog *p, const unsigned char *vals)
{
	/* Each open frame holds at most one value besides the one just made. */
	unsigned char s[2 * SEARCH_DEPTH_MAX + 4];
	size_t n = 0;

	for (size_t i = 0; i < p->n; i++) {
		switch (p->ops[i].kind) {
		case SEARCH_NOT:
			assert(n >= 1);
			s[n - 1] = not3(s[n - 1]);
			break;
		case SEARCH_AND:
			assert(n >= 2);
			s[n - 2] = and3(s[n - 2], s[n - 1]);
			n--;
			break;
		case SEARCH_OR:
			assert(n >= 2);
			s[n - 2] = not3(and3(not3(s[n - 2]), not3(s[n - 1])));
			n--;
			break;
		default:
			assert(n < sizeof(s));
			s[n++] = vals[i];
		}
	}
	assert(n == 1);
	return s[0];
}
