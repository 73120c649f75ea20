/*
 * search: parser and evaluator of search programs; see search.h.
 *
 * The parser keeps what is open (a list, a NOT, an OR, a FUZZY, a filter) on a
 * stack of its own. Whenever a key is complete it is emitted, and completes in
 * turn whatever waited only for it. A filter is read as a list in parentheses,
 * from its own text; the command goes on behind its name.
 */
#include "imap/search.h"

#include "base/err.h"
#include "base/utf8.h"
#include "imap/parse.h"
#include "mime/charset.h"
#include "store/store.h"

#define OBJECTID_MAX 255 /* RFC 8474 7 */

enum frame_kind { F_LIST, F_NOT, F_OR, F_FUZZY, F_FILTER };

struct frame {
	enum frame_kind kind;
	unsigned have;	 /* keys complete in it */
	size_t from;	 /* F_FUZZY: its first operation */
	struct cur back; /* F_FILTER: where to go on */
};

struct parser {
	struct cur *c;
	struct arena *a;
	struct search_env *env;
	struct search_prog prog;
	size_t cap;
	struct frame stack[SEARCH_DEPTH_MAX + 1];
	size_t depth;
	unsigned filters; /* open at the moment */
	int outcome;	  /* an enum search_result, once it is not SEARCH_OK */
	struct slice charset;
};

enum arg_kind {
	ARG_NONE,
	ARG_TEXT,   /* astring to look for */
	ARG_FIELD,  /* astring to look for in the field `number` */
	ARG_HEADER, /* field name, astring */
	ARG_KEYWORD,
	ARG_DATE,
	ARG_NUMBER,
	ARG_SECONDS,
	ARG_MODSEQ,
	ARG_OBJECTID,
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
	{ S("BCC"), SEARCH_FIELD, ARG_FIELD, true, SEARCH_BCC },
	{ S("BEFORE"), SEARCH_BEFORE, ARG_DATE, true, 0 },
	{ S("BODY"), SEARCH_BODY, ARG_TEXT, true, 0 },
	{ S("CC"), SEARCH_FIELD, ARG_FIELD, true, SEARCH_CC },
	{ S("DELETED"), SEARCH_FLAG, ARG_NONE, true, STORE_DELETED },
	{ S("DRAFT"), SEARCH_FLAG, ARG_NONE, true, STORE_DRAFT },
	{ S("EMAILID"), SEARCH_EMAILID, ARG_OBJECTID, true, 0 },
	{ S("FLAGGED"), SEARCH_FLAG, ARG_NONE, true, STORE_FLAGGED },
	{ S("FROM"), SEARCH_FIELD, ARG_FIELD, true, SEARCH_FROM },
	{ S("HEADER"), SEARCH_HEADER, ARG_HEADER, true, 0 },
	{ S("KEYWORD"), SEARCH_KEYWORD, ARG_KEYWORD, true, 0 },
	{ S("LARGER"), SEARCH_LARGER, ARG_NUMBER, true, 0 },
	{ S("MODSEQ"), SEARCH_MODSEQ, ARG_MODSEQ, true, 0 },
	{ S("NEW"), SEARCH_NEW, ARG_NONE, true, 0 },
	{ S("OLD"), SEARCH_RECENT, ARG_NONE, false, 0 },
	{ S("OLDER"), SEARCH_OLDER, ARG_SECONDS, true, 0 },
	{ S("ON"), SEARCH_ON, ARG_DATE, true, 0 },
	{ S("RECENT"), SEARCH_RECENT, ARG_NONE, true, 0 },
	{ S("SAVEDATESUPPORTED"), SEARCH_ALL, ARG_NONE, true, 0 },
	{ S("SAVEDBEFORE"), SEARCH_SAVEDBEFORE, ARG_DATE, true, 0 },
	{ S("SAVEDON"), SEARCH_SAVEDON, ARG_DATE, true, 0 },
	{ S("SAVEDSINCE"), SEARCH_SAVEDSINCE, ARG_DATE, true, 0 },
	{ S("SEEN"), SEARCH_FLAG, ARG_NONE, true, STORE_SEEN },
	{ S("SENTBEFORE"), SEARCH_SENTBEFORE, ARG_DATE, true, 0 },
	{ S("SENTON"), SEARCH_SENTON, ARG_DATE, true, 0 },
	{ S("SENTSINCE"), SEARCH_SENTSINCE, ARG_DATE, true, 0 },
	{ S("SINCE"), SEARCH_SINCE, ARG_DATE, true, 0 },
	{ S("SMALLER"), SEARCH_SMALLER, ARG_NUMBER, true, 0 },
	{ S("SUBJECT"), SEARCH_FIELD, ARG_FIELD, true, SEARCH_SUBJECT },
	{ S("TEXT"), SEARCH_TEXT, ARG_TEXT, true, 0 },
	{ S("THREADID"), SEARCH_THREADID, ARG_OBJECTID, true, 0 },
	{ S("TO"), SEARCH_FIELD, ARG_FIELD, true, SEARCH_TO },
	{ S("UID"), SEARCH_UID, ARG_UIDS, true, 0 },
	{ S("UNANSWERED"), SEARCH_FLAG, ARG_NONE, false, STORE_ANSWERED },
	{ S("UNDELETED"), SEARCH_FLAG, ARG_NONE, false, STORE_DELETED },
	{ S("UNDRAFT"), SEARCH_FLAG, ARG_NONE, false, STORE_DRAFT },
	{ S("UNFLAGGED"), SEARCH_FLAG, ARG_NONE, false, STORE_FLAGGED },
	{ S("UNKEYWORD"), SEARCH_KEYWORD, ARG_KEYWORD, false, 0 },
	{ S("UNSEEN"), SEARCH_FLAG, ARG_NONE, false, STORE_SEEN },
	{ S("YOUNGER"), SEARCH_YOUNGER, ARG_SECONDS, true, 0 },
};

/* ---- emitting --------------------------------------------------------------- */

/* The end, for a reason that is not syntax. */
static void stop(struct parser *p, int outcome)
{
	p->outcome = p->outcome ? p->outcome : outcome;
	cur_fail(p->c, outcome == SEARCH_TOO_MUCH ? -EMSGSIZE : -EINVAL);
}

static struct search_op *emit(struct parser *p, enum search_kind kind)
{
	if (p->prog.n == SEARCH_OPS_MAX) {
		stop(p, SEARCH_TOO_MUCH);
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
		stop(p, SEARCH_TOO_MUCH);
		return;
	}
	p->stack[p->depth++] = (struct frame){ .kind = kind, .from = p->prog.n };
}

static void make_fuzzy(struct parser *p, size_t from)
{
	for (size_t i = from; i < p->prog.n; i++) {
		p->prog.ops[i].fuzzy = true;
	}
	p->prog.fuzzy = true;
}

/* A key is complete: so may be what waited for it. */
static void complete(struct parser *p)
{
	while (!p->c->err) {
		struct frame *f = &p->stack[p->depth - 1];
		f->have++;
		if (f->kind == F_LIST || f->kind == F_FILTER) {
			if (f->have > 1) {
				emit(p, SEARCH_AND);
			}
			return;
		}
		if (f->kind == F_OR && f->have < 2) {
			return;
		}
		if (f->kind == F_FUZZY) {
			make_fuzzy(p, f->from);
		} else {
			emit(p, f->kind == F_OR ? SEARCH_OR : SEARCH_NOT);
		}
		p->depth--;
	}
}

/* ---- text ------------------------------------------------------------------- */

/* Text of the command, in its charset, to UTF-8. A filter's is UTF-8. */
static int to_utf8(const struct parser *p, struct slice raw, struct buf *out)
{
	struct charset *cs = NULL;
	int r = 0;

	if (p->charset.n == 0 || p->filters > 0) {
		buf_add(out, raw);
	} else if (slice_ieq(p->charset, S("US-ASCII"))) {
		r = slice_has_8bit(raw) ? -EINVAL : 0;
		buf_add(out, raw);
	} else {
		r = charset_new(p->charset, &cs);
		if (r == 0) {
			charset_feed(cs, raw, out);
			charset_end(cs, out);
		}
		charset_free(&cs);
	}
	return r;
}

static struct slice folded(struct parser *p)
{
	struct slice raw = imap_parse_astring(p->c, p->a);
	struct buf text = BUF_INIT(4 * raw.n + 64);
	struct buf b = BUF_INIT(12 * (4 * raw.n + 64));
	struct slice out = slice_make("", 0);

	if (!p->c->err && (to_utf8(p, raw, &text) < 0 || utf8_fold(&b, buf_slice(&text)) < 0)) {
		cur_fail(p->c, -EINVAL);
	}
	if (!p->c->err) {
		out = arena_dup(p->a, buf_slice(&b));
	}
	if (text.err || b.err || arena_err(p->a)) {
		cur_fail(p->c, -ENOMEM);
	}
	buf_fini(&text);
	buf_fini(&b);
	return out;
}

static bool word_char(unsigned char ch)
{
	return ch >= 0x80 || ascii_isalpha(ch) || ascii_isdigit(ch);
}

size_t search_words(struct slice text, struct slice *out)
{
	size_t n = 0;

	for (size_t i = 0; i < text.n && n < SEARCH_WORDS_MAX;) {
		size_t from = i;
		while (i < text.n && word_char((unsigned char)text.p[i])) {
			i++;
		}
		if (i > from) {
			out[n++] = slice_sub(text, from, i - from);
		} else {
			i++;
		}
	}
	if (n == 0) {
		out[n++] = text;
	}
	return n;
}

/* ---- keys ------------------------------------------------------------------- */

/* A field that summaries have is looked for there, under its name or HEADER. */
static void header_op(struct search_op *op)
{
	static const struct slice names[] = { S("FROM"), S("TO"), S("CC"), S("BCC"), S("SUBJECT") };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (slice_ieq(op->name, names[i]) && slice_chr(op->text, '\n') == SIZE_MAX &&
		    slice_chr(op->text, '\r') == SIZE_MAX) {
			op->kind = SEARCH_FIELD;
			op->field = (enum search_field)i;
		}
	}
}

/* [entry-name SP entry-type-req SP] mod-sequence-valzer   RFC 7162 3.1.5. All
 * facts of a message share one modseq here, so the entry does not matter. */
static void modseq_args(struct parser *p, struct search_op *op)
{
	struct cur *c = p->c;

	if (cur_peek(c) == '"') {
		struct slice entry = imap_parse_string(c, p->a);
		cur_sp(c);
		if (!slice_istarts(entry, S("/flags/")) ||
		    !(cur_lit(c, S("all ")) || cur_lit(c, S("priv ")) ||
		      cur_lit(c, S("shared ")))) {
			cur_fail(c, -EINVAL);
		}
	}
	op->number = cur_u64(c);
	if (op->number > INT64_MAX) {
		cur_fail(c, -ERANGE);
	}
	p->prog.uses_modseq = true;
}

/* objectid = 1*255(ALPHA / DIGIT / "_" / "-")      RFC 8474 7 */
static struct slice objectid(struct cur *c)
{
	struct slice s = imap_parse_atom(c);

	for (size_t i = 0; i < s.n; i++) {
		unsigned char ch = (unsigned char)s.p[i];
		if (!ascii_isalpha(ch) && !ascii_isdigit(ch) && ch != '_' && ch != '-') {
			cur_fail(c, -EINVAL);
		}
	}
	if (s.n > OBJECTID_MAX) {
		cur_fail(c, -EINVAL);
	}
	return s;
}

static void uids(struct parser *p, struct search_op *op)
{
	if (cur_opt(p->c, '$')) {
		op->kind = SEARCH_SAVED;
	} else {
		seqset_parse(p->c, p->a, p->env->star_uid, &op->set);
	}
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
		header_op(op);
		break;
	case ARG_FIELD:
		op->name = k->name;
		op->text = folded(p);
		op->kind = SEARCH_HEADER;
		header_op(op);
		/* RFC 3501 6.4.4: in the envelope's field */
		op->addresses = op->kind == SEARCH_FIELD && op->field != SEARCH_SUBJECT;
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
		op->number = cur_u64(p->c);
		if (op->number > INT64_MAX) {
			cur_fail(p->c, -ERANGE);
		}
		break;
	case ARG_SECONDS:
		op->number = imap_parse_nz(p->c);
		break;
	case ARG_MODSEQ:
		modseq_args(p, op);
		break;
	case ARG_OBJECTID:
		op->name = objectid(p->c);
		break;
	case ARG_UIDS:
		uids(p, op);
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

	if (op && cur_opt(p->c, '$')) {
		op->kind = SEARCH_SAVED;
	} else if (op) {
		seqset_parse(p->c, p->a, p->env->star_seq, &op->set);
		p->prog.uses_seqs = true;
	}
	complete(p);
}

/* ---- filters ------------------------------------------------------------------ */

static const struct search_filter *find_filter(const struct search_env *env, struct slice name)
{
	for (size_t i = 0; i < env->n_filters; i++) {
		if (slice_ieq(env->filters[i].name, name)) {
			return &env->filters[i];
		}
	}
	return NULL;
}

/* "FILTER" SP filter-name; filter-name = 1*<any ATOM-CHAR except "/">
 * RFC 5466 4. Goes on in the filter's text. */
static void open_filter(struct parser *p)
{
	const struct search_filter *f;
	struct slice name;

	cur_sp(p->c);
	name = imap_parse_atom(p->c);
	if (p->c->err || slice_chr(name, '/') != SIZE_MAX) {
		cur_fail(p->c, -EINVAL);
		return;
	}
	if (p->charset.n > 0 && !slice_ieq(p->charset, S("US-ASCII"))) {
		stop(p, SEARCH_FILTER_CHARSET);
		return;
	}
	p->env->wanted = name;
	f = find_filter(p->env, name);
	if (!f) {
		stop(p, p->env->n_filters < SEARCH_FILTERS_MAX ? SEARCH_WANTS_FILTER
							       : SEARCH_TOO_MUCH);
		return;
	}
	if (!f->text.p || p->filters == SEARCH_FILTER_DEPTH_MAX) {
		stop(p, SEARCH_NO_FILTER);
		return;
	}
	push(p, F_FILTER);
	if (!p->c->err) {
		p->stack[p->depth - 1].back = *p->c;
		p->filters++;
		*p->c = cur_init(f->text);
	}
}

/* Filters that end here are complete keys of what they stand in. */
static void close_filters(struct parser *p)
{
	while (!p->c->err && p->c->p == p->c->end && p->depth > 0 &&
	       p->stack[p->depth - 1].kind == F_FILTER && p->stack[p->depth - 1].have > 0) {
		*p->c = p->stack[--p->depth].back;
		p->filters--;
		complete(p);
	}
}

/* ---- the whole ---------------------------------------------------------------- */

/* NOT, OR, FUZZY: they wait for keys. */
static bool opener(struct parser *p, struct slice name)
{
	if (slice_ieq(name, S("NOT"))) {
		push(p, F_NOT);
	} else if (slice_ieq(name, S("OR"))) {
		push(p, F_OR);
	} else if (slice_ieq(name, S("FUZZY"))) {
		push(p, F_FUZZY);
	} else {
		return false;
	}
	cur_sp(p->c);
	return true;
}

/* A key by name; true if it opened something that waits for another. */
static bool named(struct parser *p)
{
	struct slice name = imap_parse_atom(p->c);
	const struct key *k;
	struct search_op *op;

	if (opener(p, name)) {
		return true;
	}
	if (slice_ieq(name, S("FILTER"))) {
		open_filter(p);
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

/* ")" as often as it stands here, and ends of filters. */
static void close_lists(struct parser *p)
{
	close_filters(p);
	while (!p->c->err && cur_opt(p->c, ')')) {
		if (p->depth < 2 || p->stack[p->depth - 1].kind != F_LIST ||
		    p->stack[p->depth - 1].have == 0) {
			cur_fail(p->c, -EINVAL);
			return;
		}
		p->depth--;
		complete(p);
		close_filters(p);
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
		if (ch == '*' || ch == '$' || (ch >= '0' && ch <= '9')) {
			numbers(p);
		} else if (named(p)) {
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

/* The charset's name; false if it is none we know. UTF-8 is kept empty. */
static bool set_charset(struct parser *p)
{
	struct slice name = imap_parse_astring(p->c, p->a);

	cur_sp(p->c);
	if (p->c->err || slice_ieq(name, S("UTF-8"))) {
		return true;
	}
	p->charset = slice_ieq(name, S("ASCII")) ? S("US-ASCII") : name;
	return slice_ieq(p->charset, S("US-ASCII")) || charset_known(name);
}

static int finish(struct parser *p, struct search_prog *out)
{
	parse_keys(p);
	if (p->outcome) {
		return p->outcome;
	}
	if (p->c->err) {
		/* Within a filter the command is not to blame. */
		return p->filters && !IMAP_IS_LIMIT(p->c->err) ? SEARCH_NO_FILTER : p->c->err;
	}
	*out = p->prog;
	return SEARCH_OK;
}

int search_parse(struct cur *c, struct arena *a, struct search_env *env, struct search_prog *out)
{
	struct parser p = { .c = c, .a = a, .env = env };

	if (cur_lit(c, S("CHARSET "))) {
		if (env->no_charset) {
			return cur_fail(c, -EINVAL);
		}
		if (!set_charset(&p)) {
			return SEARCH_BADCHARSET;
		}
	}
	return finish(&p, out);
}

int search_parse_criteria(struct cur *c, struct arena *a, struct search_env *env,
			  struct search_prog *out)
{
	struct parser p = { .c = c, .a = a, .env = env };

	if (!set_charset(&p)) {
		return SEARCH_BADCHARSET;
	}
	return finish(&p, out);
}

enum search_price search_price(enum search_kind kind)
{
	switch (kind) {
	case SEARCH_THREADID:
	case SEARCH_SENTBEFORE:
	case SEARCH_SENTON:
	case SEARCH_SENTSINCE:
	case SEARCH_FIELD:
		return SEARCH_SUMMARY;
	case SEARCH_HEADER:
		return SEARCH_HEADERS;
	case SEARCH_BODY:
	case SEARCH_TEXT:
		return SEARCH_BODIES;
	default:
		return SEARCH_FREE;
	}
}

/* ---- RETURN ------------------------------------------------------------------- */

static const struct {
	struct slice name;
	unsigned bit;
} return_opts[] = {
	{ S("MIN"), SEARCH_RET_MIN },
	{ S("MAX"), SEARCH_RET_MAX },
	{ S("ALL"), SEARCH_RET_ALL },
	{ S("COUNT"), SEARCH_RET_COUNT },
	{ S("SAVE"), SEARCH_RET_SAVE },
	{ S("PARTIAL"), SEARCH_RET_PARTIAL },
	{ S("UPDATE"), SEARCH_RET_UPDATE },
	{ S("CONTEXT"), SEARCH_RET_CONTEXT },
	{ S("RELEVANCY"), SEARCH_RET_RELEVANCY },
};

/* partial-range-first = nz-number ":" nz-number; partial-range-last = "-"
 * nz-number ":-" nz-number                                  RFC 9394 4 */
static void partial_range(struct cur *c, struct search_return *out)
{
	bool last;

	cur_sp(c);
	last = cur_opt(c, '-');
	out->partial_a = imap_parse_nz(c);
	cur_need(c, ':');
	if (last) {
		cur_need(c, '-');
	}
	out->partial_b = imap_parse_nz(c);
	if (last) {
		out->partial_a = -out->partial_a;
		out->partial_b = -out->partial_b;
	}
}

/* One character of a list, strings and literals as a whole. */
static void skip_item(struct cur *c)
{
	uint64_t n;

	switch (cur_byte(c)) {
	case '"':
		while (!c->err && !cur_opt(c, '"')) {
			if (cur_byte(c) == '\\') {
				cur_byte(c);
			}
		}
		break;
	case '{':
		n = cur_u64(c);
		cur_opt(c, '+');
		cur_need_lit(c, S("}\r\n"));
		if (n > cur_left(c)) {
			cur_fail(c, -EINVAL);
		}
		cur_take(c, (size_t)n);
		break;
	default:
		break;
	}
}

/* modifier-update = "UPDATE" ["(" fetch-att *(SP fetch-att) ")"]; the
 * examples have a space before the list. RFC 5465 7, 8 */
static void update_items(struct cur *c, struct search_return *out)
{
	const char *from;
	unsigned depth = 0;

	if (slice_starts(cur_rest(c), S(" ("))) {
		cur_sp(c);
	} else if (cur_peek(c) != '(') {
		return;
	}
	from = c->p;
	do {
		int ch = cur_peek(c);
		depth += ch == '(';
		depth -= ch == ')';
		skip_item(c);
	} while (!c->err && depth > 0);
	out->fetch = slice_make(from, (size_t)(c->p - from));
}

static void return_opt(struct cur *c, struct search_return *out)
{
	struct slice name = imap_parse_atom(c);
	unsigned bit = 0;

	for (size_t i = 0; i < ARRAY_LEN(return_opts); i++) {
		if (slice_ieq(name, return_opts[i].name)) {
			bit = return_opts[i].bit;
		}
	}
	/* RFC 5267 4.4: one PARTIAL or one ALL. */
	if (bit == 0 || (bit == SEARCH_RET_PARTIAL && (out->opts & bit))) {
		cur_fail(c, -EINVAL);
	}
	out->opts |= bit;
	if (bit == SEARCH_RET_PARTIAL) {
		partial_range(c, out);
	} else if (bit == SEARCH_RET_UPDATE) {
		update_items(c, out);
	}
}

void search_parse_return(struct cur *c, struct search_return *out)
{
	*out = (struct search_return){ 0 };
	if (!cur_lit(c, S(" RETURN "))) {
		return;
	}
	out->given = true;
	cur_need(c, '(');
	if (!cur_opt(c, ')')) {
		do {
			return_opt(c, out);
		} while (!c->err && cur_opt(c, ' '));
		cur_need(c, ')');
	}
	if (out->opts == 0) {
		out->opts = SEARCH_RET_ALL;
	}
	if ((out->opts & SEARCH_RET_ALL) && (out->opts & SEARCH_RET_PARTIAL)) {
		cur_fail(c, -EINVAL);
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
