/*
 * Checking: reads every row and every blob again and compares.
 *
 * Independent of what is in memory: the rows of a mailbox are scanned anew
 * under its lock, then held against each other (pages, header, keywords),
 * against memory, and against the blobs they refer to, each read to its end.
 * For `postrider check` and for tests, which call it after every ordeal.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/impl.h"

#define READ_PIECE (64u * 1024)

struct check {
	struct store *s;
	void (*found)(void *arg, const char *text);
	void *arg;
	int problems;
	store_id account;
	/* of the mailbox being checked */
	struct store_mailbox *m;
	struct msg *v;
	size_t n, cap;
	struct msg *page;
	size_t n_page;
	uint32_t page_no;
	struct head_row head;
	bool has_head;
	unsigned n_kw;
	uint32_t *trees;
	size_t n_trees, cap_trees;
	int err;
};

__attribute__((format(printf, 2, 3))) static void problem(struct check *c, const char *fmt, ...)
{
	char text[256];
	va_list ap;
	int at = snprintf(text, sizeof(text),
			  "account %llu mailbox %llu: ", (unsigned long long)c->account,
			  (unsigned long long)(c->m ? c->m->id : 0));

	va_start(ap, fmt);
	vsnprintf(text + at, sizeof(text) - (size_t)at, fmt, ap);
	va_end(ap);
	c->problems++;
	c->found(c->arg, text);
}

/* ---- collecting rows ---------------------------------------------------- */

static int keep(struct check *c, const struct msg *m)
{
	if (c->n == c->cap) {
		size_t cap = c->cap ? c->cap * 2 : 256;
		struct msg *v = reallocarray(c->v, cap, sizeof(*v));

		if (!v) {
			return -ENOMEM;
		}
		c->v = v;
		c->cap = cap;
	}
	c->v[c->n++] = *m;
	return 0;
}

static int keep_tree(struct check *c, uint32_t uid)
{
	if (c->n_trees == c->cap_trees) {
		size_t cap = c->cap_trees ? c->cap_trees * 2 : 256;
		uint32_t *v = reallocarray(c->trees, cap, sizeof(*v));

		if (!v) {
			return -ENOMEM;
		}
		c->trees = v;
		c->cap_trees = cap;
	}
	c->trees[c->n_trees++] = uid;
	return 0;
}

static void row_flags(struct check *c, uint32_t page, struct slice value)
{
	struct msg v[1];

	if (flags_page_get(page, value, c->page, &c->n_page) || !c->n_page) {
		problem(c, "flags page %u is damaged or empty", page);
		return;
	}
	v[0] = c->page[0];
	for (size_t i = 0; i < c->n_page && c->err == 0; i++) {
		c->err = keep(c, &c->page[i]);
	}
	c->page_no = v[0].uid / PAGE_UIDS;
}

static int cmp_uid(const void *a, const void *b)
{
	const struct msg *x = a, *y = b;

	return (x->uid > y->uid) - (x->uid < y->uid);
}

/* Called after all 'F' rows: keys come in order. */
static void row_fixed(struct check *c, uint32_t page, struct slice value)
{
	size_t at = 0, n = 0;

	while (at < c->n && c->v[at].uid / PAGE_UIDS < page) {
		at++;
	}
	/* Single rows come later ('M' < 'P' but they are kept apart). */
	while (at + n < c->n && c->v[at + n].uid / PAGE_UIDS == page && c->v[at + n].paged) {
		n++;
	}
	if (n == 0 || fixed_page_get(page, value, c->v + at, n)) {
		problem(c, "page %u does not match its flags page", page);
	}
}

static void row_head(struct check *c, struct slice value)
{
	c->has_head = head_row_get(value, &c->head) == 0;
	if (!c->has_head) {
		problem(c, "header is damaged");
	}
}

static void row_keywords(struct check *c, struct slice value)
{
	struct slice names[STORE_KEYWORDS_MAX];
	size_t n = 0;

	if (keywords_get(value, names, &n)) {
		problem(c, "keywords are damaged");
	}
	c->n_kw = (unsigned)n;
}

static void row_vanished(struct check *c, uint32_t page, struct slice value)
{
	struct vanished_row r = { .page = page };

	if (vanished_get(value, &r)) {
		problem(c, "expunge marks of page %u are damaged", page);
	}
}

static void row_single(struct check *c, uint32_t uid, struct slice value)
{
	struct msg m;

	if (single_get(uid, value, &m)) {
		problem(c, "row of uid %u is damaged", uid);
		return;
	}
	c->err = keep(c, &m);
}

/* First pass: all but 'P' and 'M'. */
static int first_row(void *arg, struct slice key, struct slice value)
{
	struct check *c = arg;
	struct cur k = cur_init(slice_from(key, 1));
	uint32_t number = key.n == 1 ? 0 : cur_get32be(&k);

	switch (key.p[0]) {
	case 'F':
		row_flags(c, number, value);
		break;
	case 'H':
		row_head(c, value);
		break;
	case 'K':
		row_keywords(c, value);
		break;
	case 'P':
		row_fixed(c, number, value);
		break;
	case 'T':
		c->err = keep_tree(c, number);
		break;
	case 'U':
		if (value.n != 1 + STORE_URL_KEY || value.p[0] != ROW_VERSION) {
			problem(c, "bad access key");
		}
		break;
	case 'X':
		row_vanished(c, number, value);
		break;
	case 'M':
		break; /* second pass */
	case 'E':
	case 'V':
	case 'W':
		break; /* derived */
	default:
		problem(c, "unknown row kind %d", key.p[0]);
	}
	return c->err != 0;
}

static int second_row(void *arg, struct slice key, struct slice value)
{
	struct check *c = arg;
	struct cur k = cur_init(slice_from(key, 1));

	row_single(c, cur_get32be(&k), value);
	return c->err != 0;
}

/* ---- comparing ---------------------------------------------------------- */

static void check_order(struct check *c)
{
	for (size_t i = 1; i < c->n; i++) {
		if (c->v[i].uid == c->v[i - 1].uid) {
			problem(c, "uid %u has two rows", c->v[i].uid);
		}
	}
	for (size_t i = 0; i < c->n; i++) {
		if (c->n_kw < 64 && c->v[i].keywords >> c->n_kw) {
			problem(c, "uid %u has unknown keywords", c->v[i].uid);
		}
		if (c->v[i].paged && c->has_head && c->v[i].uid >= c->head.uidnext) {
			problem(c, "uid %u is not below UIDNEXT", c->v[i].uid);
		}
		if (c->v[i].modseq > c->m->next_modseq) {
			problem(c, "uid %u has a modseq from the future", c->v[i].uid);
		}
	}
}

static void check_counts(struct check *c)
{
	struct counts is = { 0 };
	const struct counts *head = &c->head.paged;

	for (size_t i = 0; i < c->n; i++) {
		if (c->v[i].paged) {
			counts_add(&is, &c->v[i], 1, c->head.recent_uid);
		}
	}
	if (!c->has_head && is.messages) {
		problem(c, "there are pages but no header");
	}
	if (is.messages != head->messages || is.bytes != head->bytes || is.unseen != head->unseen ||
	    is.deleted != head->deleted || is.recent != head->recent) {
		problem(c,
			"header counts %u messages %u unseen %llu bytes, rows "
			"%u, %u, %llu",
			head->messages, head->unseen, (unsigned long long)head->bytes, is.messages,
			is.unseen, (unsigned long long)is.bytes);
	}
}

static bool same_msg(const struct msg *a, const struct msg *b)
{
	return a->uid == b->uid && a->system == b->system && a->paged == b->paged &&
	       a->zone == b->zone && a->size == b->size && a->extra == b->extra &&
	       a->save_date == b->save_date && a->keywords == b->keywords &&
	       a->modseq == b->modseq && a->internal_date == b->internal_date &&
	       memcmp(&a->blob, &b->blob, sizeof(a->blob)) == 0;
}

/* Rows against memory; nothing may be under way. */
static void check_memory(struct check *c)
{
	const struct store_mailbox *m = c->m;
	struct counts is = { 0 };
	size_t j = 0;

	for (size_t i = 0; i < c->n; i++) {
		counts_add(&is, &c->v[i], 1, m->recent_uid);
		if (m->state != BOX_LOADED && c->v[i].paged) {
			continue;
		}
		while (j < m->n && m->v[j].gone_at) {
			j++;
		}
		if (j == m->n || !same_msg(&m->v[j], &c->v[i])) {
			problem(c, "uid %u differs in memory", c->v[i].uid);
		}
		j++;
	}
	while (j < m->n && m->v[j].gone_at) {
		j++;
	}
	if (j < m->n) {
		problem(c, "uid %u is only in memory", m->v[j].uid);
	}
	if (is.messages != m->total.messages || is.bytes != m->total.bytes ||
	    is.unseen != m->total.unseen || is.deleted != m->total.deleted ||
	    is.recent != m->total.recent) {
		problem(c, "counters in memory are wrong");
	}
}

static void check_trees(struct check *c)
{
	size_t j = 0;

	for (size_t i = 0; i < c->n_trees; i++) {
		while (j < c->n && c->v[j].uid < c->trees[i]) {
			j++;
		}
		if (j == c->n || c->v[j].uid != c->trees[i]) {
			problem(c, "tree of uid %u, which does not exist", c->trees[i]);
		}
	}
}

CO_FN static void check_blob(struct check *c, const struct msg *m, char *piece)
{
	uint64_t off = 0;
	ssize_t n;

	while ((n = kv_blob_read(c->s->kv, m->blob, off, piece, READ_PIECE)) > 0) {
		off += (uint64_t)n;
	}
	if (n < 0) {
		problem(c, "uid %u cannot be read: %s", m->uid, strerror((int)-n));
	} else if (off != m->size) {
		problem(c, "uid %u has %llu bytes, its row says %u", m->uid,
			(unsigned long long)off, m->size);
	}
	if (co_breathe()) {
		c->err = -ECANCELED;
	}
}

CO_FN static void check_blobs(struct check *c)
{
	char *piece = malloc(READ_PIECE);

	if (!piece) {
		c->err = -ENOMEM;
		return;
	}
	for (size_t i = 0; i < c->n && c->err == 0; i++) {
		check_blob(c, &c->v[i], piece);
	}
	free(piece);
}

/* ---- one mailbox, one account, all -------------------------------------- */

CO_FN static int scan_box(struct check *c)
{
	struct kv *kv = c->s->kv;
	struct kv_part part = part_mailbox(c->account, c->m->id);
	int r = kv_scan(kv, part, S("A"), S(""), first_row, c);

	if (r >= 0 && c->err == 0) {
		r = kv_scan_prefix(kv, part, S("M"), second_row, c);
	}
	return c->err ? c->err : MIN(r, 0);
}

static void found_derived(void *arg, const char *text)
{
	problem(arg, "%s", text);
}

CO_FN static int check_locked(struct check *c)
{
	int r;

	/* Mail may arrive while rows are read: then look again. */
	for (int tries = 0; tries < 100; tries++) {
		uint32_t uid = c->m->next_uid;

		c->n = c->n_trees = 0;
		c->has_head = false;
		c->n_kw = 0;
		c->head = (struct head_row){ .uidnext = 1, .recent_uid = 1 };
		box_drain(c->m);
		r = scan_box(c);
		if (r || (uid == c->m->next_uid && list_empty(&c->m->pipe))) {
			break;
		}
	}
	if (r) {
		return r;
	}
	if (c->n) {
		qsort(c->v, c->n, sizeof(*c->v), cmp_uid);
	}
	check_order(c);
	check_counts(c);
	check_trees(c);
	check_memory(c);
	check_blobs(c);
	if (c->err == 0) {
		c->err = index_check(c->m, found_derived, c);
	}
	return c->err;
}

CO_FN static int check_box(struct check *c)
{
	struct err e = ERR_INIT;
	int r = box_light(c->m, &e);

	if (r < 0) {
		char line[256];

		problem(c, "%s", err_str(&e, line, sizeof(line)));
		return r == -ECANCELED || r == -ENOMEM ? r : 0;
	}
	r = r ? 0 : co_mutex_lock(&c->m->lock);
	if (r) {
		return r;
	}
	if (!c->m->gone && !c->m->closing) {
		r = check_locked(c);
	}
	co_mutex_unlock(&c->m->lock);
	return r;
}

/* The list must not change under us: ids first, then each by its id. */
CO_FN static int check_boxes(struct check *c, struct store_account *a)
{
	size_t n = 0;
	struct store_mailbox **v = calloc(a->n_boxes + 1, sizeof(struct store_mailbox *));
	int r = v ? 0 : -ENOMEM;

	list_each(it, &a->boxes) {
		if (v) {
			v[n] = list_of(it, struct store_mailbox, link);
			box_ref(v[n++]);
		}
	}
	for (size_t i = 0; i < n; i++) {
		c->m = v[i];
		r = r || v[i]->gone ? r : check_box(c);
		box_unref(v[i]);
	}
	c->m = NULL;
	free(v);
	return r;
}

static int check_account(void *arg)
{
	struct check *c = arg;
	struct store_account *a;
	struct err e = ERR_INIT;

	co_enter();
	int r = account_get(home_of(c->s, c->account), c->account, &a, &e);

	if (r == STORE_NOTFOUND) {
		return 0; /* deleted meanwhile */
	}
	if (r) {
		char line[256];

		problem(c, "%s", err_str(&e, line, sizeof(line)));
		return r == -ECANCELED || r == -ENOMEM ? r : 0;
	}
	r = check_boxes(c, a);
	account_unref(a);
	return r;
}

struct ids {
	store_id *v;
	size_t n, cap;
	int err;
};

static int note_account(void *arg, struct slice key, struct slice value)
{
	struct ids *l = arg;
	struct cur k = cur_init(slice_from(key, 1));

	(void)value;
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 64;
		store_id *v = reallocarray(l->v, cap, sizeof(*v));

		if (!v) {
			l->err = -ENOMEM;
			return 1;
		}
		l->v = v;
		l->cap = cap;
	}
	l->v[l->n++] = cur_get64be(&k);
	return 0;
}

CO_FN int store_check(struct store *s, void (*found)(void *arg, const char *text), void *arg)
{
	struct check c = { .s = s, .found = found, .arg = arg };
	struct ids ids = { 0 };
	int r = kv_scan_prefix(s->kv, part_store(), S("A"), note_account, &ids);

	r = ids.err ? ids.err : MIN(r, 0);
	c.page = calloc(PAGE_UIDS, sizeof(*c.page));
	r = r == 0 && !c.page ? -ENOMEM : r;
	for (size_t i = 0; i < ids.n && r == 0; i++) {
		c.account = ids.v[i];
		r = home_call(s, ids.v[i], check_account, &c);
	}
	free(ids.v);
	free(c.page);
	free(c.v);
	free(c.trees);
	return r ? r : c.problems;
}
