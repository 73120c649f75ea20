/*
 * list: see list.h.
 */
#include "imap/list.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/err.h"
#include "imap/metadata.h"
#include "imap/parse.h"
#include "imap/status.h"

const struct list_use list_uses[] = {
	{ STORE_USE_ALL, S("\\All") },	     { STORE_USE_ARCHIVE, S("\\Archive") },
	{ STORE_USE_DRAFTS, S("\\Drafts") }, { STORE_USE_FLAGGED, S("\\Flagged") },
	{ STORE_USE_JUNK, S("\\Junk") },     { STORE_USE_SENT, S("\\Sent") },
	{ STORE_USE_TRASH, S("\\Trash") },
};
const size_t list_n_uses = ARRAY_LEN(list_uses);

unsigned list_use_given(struct slice name)
{
	for (size_t i = 0; i < list_n_uses; i++) {
		if (slice_ieq(list_uses[i].name, name)) {
			return list_uses[i].use & LIST_USES_GIVEN;
		}
	}
	return 0;
}

void list_put_uses(struct buf *b, unsigned uses)
{
	bool first = true;

	for (size_t i = 0; i < list_n_uses; i++) {
		if (uses & list_uses[i].use) {
			buf_adds(b, first ? "" : " ");
			buf_add(b, list_uses[i].name);
			first = false;
		}
	}
}

/* use-attr = "\" atom */
static void use_attr(struct cur *c, struct list_create *out)
{
	const char *start = c->p;

	cur_need(c, '\\');
	imap_parse_atom(c);
	if (!c->err) {
		unsigned use = list_use_given(slice_make(start, (size_t)(c->p - start)));
		out->uses |= use;
		out->bad_use = out->bad_use || use == 0;
	}
}

void list_parse_create(struct cur *c, struct list_create *out)
{
	*out = (struct list_create){ 0 };
	if (cur_done(c)) {
		return;
	}
	cur_need_lit(c, S(" (USE ("));
	if (!c->err && cur_peek(c) != ')') {
		do {
			use_attr(c, out);
		} while (!c->err && cur_opt(c, ' '));
	}
	cur_need_lit(c, S("))"));
}

/* ---- options ------------------------------------------------------------ */

struct option {
	struct slice name;
	unsigned bit;
	unsigned implies; /* enum list_ret */
	/* What stands behind the name, if anything does. */
	void (*value)(struct cur *c, struct arena *a, struct list_args *out);
};

static void status_value(struct cur *c, struct arena *a, struct list_args *out)
{
	(void)a;
	cur_sp(c);
	out->status |= status_parse(c);
}

/* metadata-option: "METADATA" SP "(" entry *(SP entry) ")"        RFC 9590 5 */
static void metadata_value(struct cur *c, struct arena *a, struct list_args *out)
{
	cur_sp(c);
	metadata_parse_names(c, a, LIST_ENTRIES_MAX, &out->entries, &out->n_entries);
}

static const struct option select_options[] = {
	{ S("SUBSCRIBED"), LIST_SEL_SUBSCRIBED, LIST_RET_SUBSCRIBED, NULL },
	{ S("REMOTE"), LIST_SEL_REMOTE, 0, NULL },
	{ S("RECURSIVEMATCH"), LIST_SEL_RECURSIVE, 0, NULL },
	{ S("SPECIAL-USE"), LIST_SEL_SPECIAL_USE, LIST_RET_SPECIAL_USE, NULL },
};

static const struct option return_options[] = {
	{ S("SUBSCRIBED"), LIST_RET_SUBSCRIBED, 0, NULL },
	{ S("CHILDREN"), LIST_RET_CHILDREN, 0, NULL },
	{ S("SPECIAL-USE"), LIST_RET_SPECIAL_USE, 0, NULL },
	{ S("STATUS"), LIST_RET_STATUS, 0, status_value },
	{ S("MYRIGHTS"), LIST_RET_MYRIGHTS, 0, NULL },
	{ S("METADATA"), LIST_RET_METADATA, 0, metadata_value },
};

/* One option of the table; its bit goes to *bits. Unknown ones are errors. */
static void option(struct cur *c, struct arena *a, const struct option *table, size_t n,
		   unsigned *bits, struct list_args *out)
{
	struct slice name = imap_parse_atom(c);

	for (size_t i = 0; i < n && !c->err; i++) {
		if (slice_ieq(name, table[i].name)) {
			*bits |= table[i].bit;
			out->ret |= table[i].implies;
			if (table[i].value) {
				table[i].value(c, a, out);
			}
			return;
		}
	}
	cur_fail(c, -EINVAL);
}

/* "(" [option *(SP option)] ")" */
static void options(struct cur *c, struct arena *a, const struct option *table, size_t n,
		    unsigned *bits, struct list_args *out)
{
	cur_need(c, '(');
	if (cur_opt(c, ')')) {
		return;
	}
	do {
		option(c, a, table, n, bits, out);
	} while (!c->err && cur_opt(c, ' '));
	cur_need(c, ')');
}

/* patterns = "(" list-mailbox *(SP list-mailbox) ")" */
static void patterns(struct cur *c, struct arena *a, struct list_args *out)
{
	size_t n = 0;

	out->patterns = arena_array(a, LIST_PATTERNS_MAX, sizeof(*out->patterns));
	if (!out->patterns) {
		cur_fail(c, -ENOMEM);
		return;
	}
	if (!cur_opt(c, '(')) {
		out->patterns[0] = imap_parse_list_mailbox(c, a);
		out->n_patterns = 1;
		return;
	}
	out->extended = true;
	do {
		struct slice p = imap_parse_list_mailbox(c, a);

		if (n == LIST_PATTERNS_MAX) {
			cur_fail(c, -EMSGSIZE);
			return;
		}
		out->patterns[n++] = p;
	} while (!c->err && cur_opt(c, ' '));
	cur_need(c, ')');
	out->n_patterns = n;
}

/*
 * list-select-mod-opt needs a list-select-base-opt. SPECIAL-USE counts as
 * one here, although RFC 6154 calls it independent.
 */
static void check_select(struct cur *c, unsigned sel)
{
	if ((sel & LIST_SEL_RECURSIVE) && !(sel & (LIST_SEL_SUBSCRIBED | LIST_SEL_SPECIAL_USE))) {
		cur_fail(c, -EINVAL);
	}
}

void list_parse(struct cur *c, struct arena *a, struct list_args *out)
{
	*out = (struct list_args){ 0 };
	cur_sp(c);
	if (cur_peek(c) == '(') {
		out->extended = true;
		options(c, a, select_options, ARRAY_LEN(select_options), &out->sel, out);
		check_select(c, out->sel);
		cur_sp(c);
	}
	out->ref = imap_parse_astring(c, a);
	cur_sp(c);
	patterns(c, a, out);
	if (!c->err && cur_opt(c, ' ')) {
		out->extended = true;
		cur_need_lit(c, S("RETURN "));
		options(c, a, return_options, ARRAY_LEN(return_options), &out->ret, out);
	}
	cur_end(c);
}

void list_parse_basic(struct cur *c, struct arena *a, struct list_args *out)
{
	*out = (struct list_args){ 0 };
	out->patterns = arena_new(a, struct slice);
	if (!out->patterns) {
		cur_fail(c, -ENOMEM);
		return;
	}
	cur_sp(c);
	out->ref = imap_parse_astring(c, a);
	cur_sp(c);
	out->patterns[0] = imap_parse_list_mailbox(c, a);
	out->n_patterns = 1;
	cur_end(c);
}

/* ---- rows ----------------------------------------------------------------- */

void list_rows_init(struct list_rows *l, struct arena *a)
{
	*l = (struct list_rows){ .arena = a };
	table_init(&l->by_name);
}

void list_rows_fini(struct list_rows *l)
{
	table_fini(&l->by_name);
}

struct list_row *list_rows_add(struct list_rows *l, struct slice name)
{
	struct list_row *row = table_get(&l->by_name, name);

	if (row || l->err) {
		return row;
	}
	row = arena_new(l->arena, struct list_row);
	if (row) {
		row->name = arena_dup(l->arena, name);
		row->noselect = true;
	}
	if (arena_err(l->arena) || table_put(&l->by_name, row->name, row, NULL)) {
		l->err = -ENOMEM;
		return NULL;
	}
	l->n++;
	return row;
}

static struct slice parent_of(struct slice name)
{
	size_t at = slice_rchr(name, '/');

	return at == SIZE_MAX ? S("") : slice_sub(name, 0, at);
}

static int cmp_rows(const void *a, const void *b)
{
	const struct list_row *x = *(struct list_row *const *)a;
	const struct list_row *y = *(struct list_row *const *)b;
	bool xi = slice_eq(x->name, S("INBOX"));
	bool yi = slice_eq(y->name, S("INBOX"));

	if (xi != yi) {
		return xi ? -1 : 1;
	}
	return slice_cmp(x->name, y->name);
}

/* All rows so far, in no order. */
static int collect(struct list_rows *l)
{
	struct list_row *row;
	size_t it = 0;
	size_t n = 0;

	l->v = arena_array(l->arena, l->n, sizeof(struct list_row *));
	if (l->err || !l->v) {
		return l->err = -ENOMEM;
	}
	while ((row = table_next(&l->by_name, &it))) {
		l->v[n++] = row;
	}
	assert(n == l->n);
	return 0;
}

/* A level above a name has a row too, so that RECURSIVEMATCH can show it. */
static void add_levels(struct list_rows *l)
{
	struct list_row **v = l->v;
	size_t n = l->n;

	for (size_t i = 0; i < n; i++) {
		bool exists = v[i]->exists;
		struct slice level = parent_of(v[i]->name);

		while (level.n > 0) {
			bool known = table_get(&l->by_name, level) != NULL;
			struct list_row *row = list_rows_add(l, level);
			if (!row || (known && (row->has_children || !exists))) {
				break;
			}
			row->has_children = row->has_children || exists;
			level = parent_of(level);
		}
	}
}

int list_rows_finish(struct list_rows *l)
{
	if (collect(l)) {
		return l->err;
	}
	add_levels(l);
	if (collect(l)) {
		return l->err;
	}
	qsort(l->v, l->n, sizeof(struct list_row *), cmp_rows);
	return 0;
}

/* ---- selection ------------------------------------------------------------ */

void list_row_match(struct list_row *row, const struct pattern *p, size_t n)
{
	bool inbox = slice_eq(row->name, S("INBOX"));

	row->matches = false;
	for (size_t i = 0; i < n && !row->matches; i++) {
		row->matches = pattern_match(&p[i], row->name, inbox);
	}
}

/* Does the row meet the selection criteria? Without any, what exists does,
 * and the levels above what exists. */
static bool is_selected(const struct list_row *row, unsigned sel)
{
	if ((sel & LIST_SEL_SUBSCRIBED) && !row->subscribed) {
		return false;
	}
	if ((sel & LIST_SEL_SPECIAL_USE) && !row->uses) {
		return false;
	}
	return (sel & LIST_SEL_SUBSCRIBED) || row->exists || row->has_children;
}

/*
 * The levels above a row that meets the criteria have CHILDINFO; they are
 * shown for it alone only where the row itself is not (RFC 5258 3.5).
 */
static void tell_levels(struct list_rows *l, const struct list_row *row)
{
	for (struct slice at = parent_of(row->name); at.n > 0; at = parent_of(at)) {
		struct list_row *level = table_get(&l->by_name, at);

		assert(level);
		level->childinfo = true;
		level->show = level->show || (level->matches && !row->matches);
	}
}

void list_select(struct list_rows *l, const struct list_args *args)
{
	for (size_t i = 0; i < l->n; i++) {
		l->v[i]->selected = is_selected(l->v[i], args->sel);
		l->v[i]->show = l->v[i]->selected && l->v[i]->matches;
		l->v[i]->childinfo = false;
	}
	if (!(args->sel & LIST_SEL_RECURSIVE)) {
		return;
	}
	for (size_t i = 0; i < l->n; i++) {
		if (l->v[i]->selected) {
			tell_levels(l, l->v[i]);
		}
	}
}

/* ---- a line ----------------------------------------------------------------- */

static void add_attribute(struct buf *b, struct slice name)
{
	if (b->p[b->n - 1] != '(') {
		buf_addc(b, ' ');
	}
	buf_add(b, name);
}

void list_put_attributes(struct buf *b, const struct list_row *row, const struct list_args *args,
			 bool rev2)
{
	buf_addc(b, '(');
	if (row->subscribed && (args->ret & LIST_RET_SUBSCRIBED)) {
		add_attribute(b, S("\\Subscribed"));
	}
	/* \NonExistent implies \Noselect, for those who know it. */
	if (!row->exists && (args->extended || rev2)) {
		add_attribute(b, S("\\NonExistent"));
	} else if (!row->exists || row->noselect) {
		add_attribute(b, S("\\Noselect"));
	}
	add_attribute(b, row->has_children ? S("\\HasChildren") : S("\\HasNoChildren"));
	for (size_t i = 0; i < list_n_uses; i++) {
		if (row->uses & list_uses[i].use) {
			add_attribute(b, list_uses[i].name);
		}
	}
	buf_addc(b, ')');
}

void list_put_extended(struct buf *b, const struct list_row *row, const struct list_args *args)
{
	if (!row->childinfo) {
		return;
	}
	buf_adds(b, " (\"CHILDINFO\" (");
	if (args->sel & LIST_SEL_SUBSCRIBED) {
		buf_adds(b, "\"SUBSCRIBED\"");
	}
	if (args->sel & LIST_SEL_SPECIAL_USE) {
		buf_adds(b, args->sel & LIST_SEL_SUBSCRIBED ? " " : "");
		buf_adds(b, "\"SPECIAL-USE\"");
	}
	buf_adds(b, "))");
}
