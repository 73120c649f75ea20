/*
 * context: see context.h.
 *
 * A context keeps its program and the UIDs of its results; a sorted one also
 * their keys (sort.h), so that a message that joins finds its place without
 * reading the others. At each change of the view the program is run again
 * over the messages whose modseq is new, and what that says is compared with
 * the results. Numbers and "$" in a program mean what they meant when it was
 * given (5267 4.3): they are UIDs here.
 */
#include "imap/context.h"

#include <stdlib.h>

#include "base/err.h"
#include "imap/fetch.h"
#include "imap/write.h"

#define SCAN 4096 /* messages looked over between two breaths */

struct result {
	uint32_t uid;
	char *key; /* sorted contexts */
	uint32_t key_n;
};

struct imap_context {
	struct imap_context *next;
	struct arena a; /* program and tag */
	struct slice tag;
	struct slice fetch; /* what is told of arrivals (RFC 5465 7), or empty */
	bool uid;
	bool sorted;
	struct search_prog prog;
	struct sort_spec spec;
	struct result *v; /* by key and UID; by UID if it is not sorted */
	size_t n;
	uint64_t modseq; /* changes up to here are known */
	uint32_t last;	 /* and messages up to this UID */
};

/* ---- life ---------------------------------------------------------------------- */

static void context_free(struct imap_context *x)
{
	if (x) {
		for (size_t i = 0; i < x->n; i++) {
			free(x->v[i].key);
		}
		free(x->v);
		arena_fini(&x->a);
		free(x);
	}
}

void imap_contexts_free(struct imap *s)
{
	while (s->contexts) {
		struct imap_context *x = s->contexts;
		s->contexts = x->next;
		context_free(x);
	}
}

bool imap_context_is(const struct imap *s, struct slice tag)
{
	for (const struct imap_context *x = s->contexts; x; x = x->next) {
		if (slice_eq(x->tag, tag)) {
			return true;
		}
	}
	return false;
}

bool imap_context_close(struct imap *s, struct slice tag)
{
	for (struct imap_context **p = &s->contexts; *p; p = &(*p)->next) {
		if (slice_eq((*p)->tag, tag)) {
			struct imap_context *x = *p;
			*p = x->next;
			context_free(x);
			return true;
		}
	}
	return false;
}

/* ---- programs ------------------------------------------------------------------ */

/* The messages with these numbers, as ranges of UIDs. */
static void add_seqs(const struct store_view *v, uint32_t lo, uint32_t hi, struct seqset *out)
{
	uint32_t count = store_view_count(v);

	if (lo <= count) {
		out->r[out->n++] = (struct seq_range){ store_view_uid(v, lo),
						       store_view_uid(v, MIN(hi, count)) };
	}
}

static bool numbers_to_uids(struct arena *a, const struct store_view *v, struct search_op *op)
{
	struct seqset set = { .r = arena_array(a, op->set.n, sizeof(struct seq_range)) };

	for (size_t i = 0; set.r && i < op->set.n; i++) {
		add_seqs(v, op->set.r[i].lo, op->set.r[i].hi, &set);
	}
	op->kind = SEARCH_UID;
	op->set = set;
	return set.r != NULL;
}

static bool saved_to_uids(struct arena *a, const struct imap_saved *saved, struct search_op *op)
{
	struct seqset set = { .r = arena_array(a, saved->n, sizeof(struct seq_range)) };

	for (size_t i = 0; set.r && i < saved->n; i++) {
		if (set.n > 0 && set.r[set.n - 1].hi + 1 == saved->uids[i]) {
			set.r[set.n - 1].hi++;
		} else {
			set.r[set.n++] = (struct seq_range){ saved->uids[i], saved->uids[i] };
		}
	}
	op->kind = SEARCH_UID;
	op->set = set;
	return set.r != NULL;
}

static bool copy_set(struct arena *a, struct search_op *op)
{
	struct seq_range *r = arena_array(a, op->set.n, sizeof(*r));

	if (r && op->set.n > 0) {
		memcpy(r, op->set.r, op->set.n * sizeof(*r));
	}
	op->set.r = r;
	return r != NULL;
}

/* A copy that outlives its command; false: too large. */
static bool copy_prog(struct imap_context *x, const struct find *f)
{
	const struct search_prog *p = &f->prog;

	x->prog = *p;
	x->prog.ops = arena_array(&x->a, p->n, sizeof(p->ops[0]));
	if (!x->prog.ops) {
		return false;
	}
	memcpy(x->prog.ops, p->ops, p->n * sizeof(p->ops[0]));
	for (size_t i = 0; i < p->n && !arena_err(&x->a); i++) {
		struct search_op *op = &x->prog.ops[i];
		op->name = arena_dup(&x->a, op->name);
		op->text = arena_dup(&x->a, op->text);
		if (op->kind == SEARCH_SEQ) {
			numbers_to_uids(&x->a, f->run.view, op);
		} else if (op->kind == SEARCH_SAVED) {
			saved_to_uids(&x->a, f->run.saved, op);
		} else {
			copy_set(&x->a, op);
		}
	}
	return arena_err(&x->a) == 0;
}

/* ---- results ------------------------------------------------------------------- */

static int cmp_result(const struct result *a, const struct result *b)
{
	int c = slice_cmp(slice_make(a->key, a->key_n), slice_make(b->key, b->key_n));

	return c != 0 ? c : (a->uid > b->uid) - (a->uid < b->uid);
}

/* Where a result is, or belongs. */
static size_t place_of(const struct imap_context *x, const struct result *r)
{
	size_t lo = 0;
	size_t hi = x->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (cmp_result(&x->v[mid], r) < 0) {
			lo = mid + 1;
		} else {
			hi = mid;
		}
	}
	return lo;
}

/* The index of a UID, or x->n. */
static size_t find_uid(const struct imap_context *x, uint32_t uid)
{
	size_t i = 0;

	if (!x->sorted) {
		i = place_of(x, &(struct result){ .uid = uid });
		return i < x->n && x->v[i].uid == uid ? i : x->n;
	}
	while (i < x->n && x->v[i].uid != uid) {
		i++;
	}
	return i;
}

/* Puts one into a sorted context: its place, or SIZE_MAX without memory. */
static size_t insert(struct imap_context *x, uint32_t uid, const struct sort_row *row)
{
	struct result r = { .uid = uid, .key = malloc(row->n + 1), .key_n = row->n };
	struct result *v = reallocarray(x->v, x->n + 1, sizeof(*v));
	size_t at;

	x->v = v ? v : x->v;
	if (!v || !r.key) {
		free(r.key);
		return SIZE_MAX;
	}
	memcpy(r.key, row->key, row->n);
	at = place_of(x, &r);
	memmove(&x->v[at + 1], &x->v[at], (x->n - at) * sizeof(r));
	x->v[at] = r;
	x->n++;
	return at;
}

static void take_out(struct imap_context *x, size_t at)
{
	free(x->v[at].key);
	x->n--;
	memmove(&x->v[at], &x->v[at + 1], (x->n - at) * sizeof(x->v[0]));
}

/* Merges messages (ascending, none of them known) into an unsorted context. */
static int merge(struct imap_context *x, const struct search_found *m, size_t n)
{
	struct result *v = calloc(x->n + n + 1, sizeof(*v));
	size_t i = 0;
	size_t j = 0;

	if (!v) {
		return -ENOMEM;
	}
	while (i < x->n || j < n) {
		if (j == n || (i < x->n && x->v[i].uid < m[j].uid)) {
			v[i + j].uid = x->v[i].uid;
			i++;
		} else {
			v[i + j].uid = m[j].uid;
			j++;
		}
	}
	free(x->v);
	x->v = v;
	x->n += n;
	return 0;
}

static size_t results_of(const struct imap *s)
{
	size_t n = 0;

	for (const struct imap_context *x = s->contexts; x; x = x->next) {
		n += x->n;
	}
	return n;
}

/* ---- opening ------------------------------------------------------------------- */

/* All results of a command, which are in order already. */
static bool take_results(struct imap_context *x, const struct find *f, const struct find_sorter *o)
{
	x->v = calloc(f->run.n + 1, sizeof(x->v[0]));
	for (size_t i = 0; x->v && i < f->run.n; i++) {
		struct result *r = &x->v[x->n];
		r->uid = f->run.v[i].uid;
		if (o) {
			r->key = malloc(o->rows[i].n + 1);
			r->key_n = o->rows[i].n;
			if (!r->key) {
				return false;
			}
			memcpy(r->key, o->rows[i].key, r->key_n);
		}
		x->n++;
	}
	return x->v != NULL;
}

static unsigned count(const struct imap *s)
{
	unsigned n = 0;

	for (const struct imap_context *x = s->contexts; x; x = x->next) {
		n++;
	}
	return n;
}

bool imap_context_open(struct find *f, const struct find_sorter *o, uint64_t since)
{
	struct imap *s = f->cmd->s;
	uint32_t n = store_view_count(f->run.view);
	struct imap_context *x;

	if (count(s) == CONTEXTS_MAX || f->run.n + results_of(s) > CONTEXT_RESULTS_MAX ||
	    (o && f->run.n > CONTEXT_SORTED_MAX)) {
		return false;
	}
	x = calloc(1, sizeof(*x));
	if (!x) {
		return false;
	}
	arena_init(&x->a, CONTEXT_PROG_MAX);
	x->uid = f->cmd->uid;
	x->sorted = o != NULL;
	x->modseq = since;
	x->last = n ? store_view_uid(f->run.view, n) : 0;
	x->tag = arena_dup(&x->a, f->cmd->tag);
	x->fetch = arena_dup(&x->a, f->ret.fetch);
	if (o) {
		x->spec = *o->spec;
	}
	if (!copy_prog(x, f) || !take_results(x, f, o)) {
		context_free(x);
		return false;
	}
	x->next = s->contexts;
	s->contexts = x;
	return true;
}

/* ---- telling ------------------------------------------------------------------- */

/* What one response says: (position set position set ...). */
struct news {
	struct buf text;
	uint32_t *v; /* a run of numbers at position 0, unsorted contexts */
	size_t n;
};

static bool news_init(struct news *w, size_t max)
{
	buf_init(&w->text, 64 * max + 1024);
	w->v = reallocarray(NULL, max + 1, sizeof(w->v[0]));
	w->n = 0;
	return w->v != NULL;
}

static void news_fini(struct news *w)
{
	buf_fini(&w->text);
	free(w->v);
}

/* at: the index of the result; a client of a sorted context needs it. */
static void news_add(struct news *w, const struct imap_context *x, size_t at, uint32_t number)
{
	if (!x->sorted) {
		w->v[w->n++] = number;
		return;
	}
	buf_adds(&w->text, w->text.n ? " " : "");
	buf_addu(&w->text, at + 1);
	buf_addc(&w->text, ' ');
	buf_addu(&w->text, number);
}

static int cmp_number(const void *a, const void *b)
{
	const uint32_t *x = a;
	const uint32_t *y = b;

	return (*x > *y) - (*x < *y);
}

CO_FN static void tell(struct imap *s, const struct imap_context *x, const char *item,
		       struct news *w)
{
	struct buf head = BUF_INIT(IMAP_LINE_MAX);

	if (w->n > 0) {
		qsort(w->v, w->n, sizeof(w->v[0]), cmp_number);
		buf_adds(&w->text, "0 ");
		seqset_write(&w->text, w->v, w->n);
	}
	if (w->text.n > 0) {
		buf_adds(&head, "* ESEARCH (TAG ");
		imap_put_string(&head, x->tag);
		buf_printf(&head, ")%s %s (", x->uid ? " UID" : "", item);
		conn_write(imap_conn(s), buf_slice(&head));
		conn_write(imap_conn(s), buf_slice(&w->text));
		conn_write(imap_conn(s), S(")\r\n"));
	}
	buf_fini(&head);
}

/* The server does not go on with this one; the client may ask again. */
CO_FN static void give_up(struct imap *s, struct imap_context *x)
{
	struct buf line = BUF_INIT(IMAP_LINE_MAX);

	buf_adds(&line, "* NO [NOUPDATE ");
	imap_put_string(&line, x->tag);
	buf_adds(&line, "] Too many results\r\n");
	conn_write(imap_conn(s), buf_slice(&line));
	buf_fini(&line);
	imap_context_close(s, x->tag);
}

/* ---- leaving ------------------------------------------------------------------- */

/* A message that leaves, if it is a result; messages come in this order. */
struct leaver {
	uint32_t uid;
	uint32_t number; /* what the client is told */
};

static void leave_sorted(struct imap_context *x, const struct leaver *l, size_t n, struct news *w)
{
	for (size_t i = 0; i < n; i++) {
		size_t at = find_uid(x, l[i].uid);
		if (at < x->n) {
			news_add(w, x, at, l[i].number);
			take_out(x, at);
		}
	}
}

/* Both are ascending: one pass, whatever the numbers. */
static void leave_unsorted(struct imap_context *x, const struct leaver *l, size_t n, struct news *w)
{
	size_t kept = 0;
	size_t k = 0;

	for (size_t i = 0; i < x->n; i++) {
		while (k < n && l[k].uid < x->v[i].uid) {
			k++;
		}
		if (k < n && l[k].uid == x->v[i].uid) {
			news_add(w, x, i, l[k].number);
		} else {
			x->v[kept++] = x->v[i];
		}
	}
	x->n = kept;
}

/* l ascending by UID. */
CO_FN static void leave(struct imap *s, struct imap_context *x, const struct leaver *l, size_t n)
{
	struct news w;

	if (news_init(&w, n)) {
		if (x->sorted) {
			leave_sorted(x, l, n, &w);
		} else {
			leave_unsorted(x, l, n, &w);
		}
		tell(s, x, "REMOVEFROM", &w);
	}
	news_fini(&w);
}

CO_FN static void expunged(struct imap *s, struct imap_context *x, const struct store_diff *d)
{
	size_t n = d->n_expunged;
	struct leaver *l = reallocarray(NULL, n + 1, sizeof(*l));

	for (size_t i = 0; l && i < n; i++) {
		uint32_t uid = d->expunged_uids[n - 1 - i];
		l[i] = (struct leaver){ uid, x->uid ? uid : d->expunged[n - 1 - i] };
	}
	if (l) {
		leave(s, x, l, n);
	}
	free(l);
}

CO_FN void imap_contexts_expunged(struct imap *s, const struct store_diff *d)
{
	for (struct imap_context *x = s->contexts; x && d->n_expunged > 0; x = x->next) {
		expunged(s, x, d);
	}
}

/* ---- changes ------------------------------------------------------------------- */

struct change {
	struct imap *s;
	struct imap_context *x;
	uint32_t *seqs; /* messages to be looked at anew */
	size_t n;
	struct search_run run; /* and which of them match */
	struct find_sorter sorter;
};

/* Messages that are new, new in what they are, or gone: those leave at once,
 * before the client may be told of their numbers (5267 A.3). */
CO_FN static int find_changed(struct change *ch)
{
	const struct store_view *v = ch->s->view;
	uint32_t count = store_view_count(v);

	ch->seqs = reallocarray(NULL, (size_t)count + 1, sizeof(ch->seqs[0]));
	if (!ch->seqs) {
		return -ENOMEM;
	}
	for (uint32_t seq = 1; seq <= count; seq++) {
		struct store_msg m;
		if (store_view_msg(v, seq, &m) != STORE_OK || m.modseq > ch->x->modseq ||
		    m.uid > ch->x->last) {
			ch->seqs[ch->n++] = seq;
		}
		if (seq % SCAN == 0 && co_breathe() < 0) {
			return -ECANCELED;
		}
	}
	return 0;
}

/* Is this message among those that match now? */
static bool matches(const struct change *ch, uint32_t seq)
{
	size_t lo = 0;
	size_t hi = ch->run.n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (ch->run.v[mid].seq < seq) {
			lo = mid + 1;
		} else {
			hi = mid;
		}
	}
	return lo < ch->run.n && ch->run.v[lo].seq == seq;
}

CO_FN static int remove_changed(struct change *ch)
{
	struct leaver *l = reallocarray(NULL, ch->n + 1, sizeof(*l));
	size_t n = 0;

	for (size_t i = 0; l && i < ch->n; i++) {
		uint32_t uid = store_view_uid(ch->s->view, ch->seqs[i]);
		if (!matches(ch, ch->seqs[i])) {
			l[n++] = (struct leaver){ uid, ch->x->uid ? uid : ch->seqs[i] };
		}
	}
	if (l && n > 0) {
		leave(ch->s, ch->x, l, n);
	}
	free(l);
	return l ? 0 : -ENOMEM;
}

/* Leaves of what matches only those that are not results yet. */
static void drop_known(struct change *ch)
{
	size_t n = 0;

	for (size_t i = 0; i < ch->run.n; i++) {
		if (find_uid(ch->x, ch->run.v[i].uid) == ch->x->n) {
			ch->run.v[n++] = ch->run.v[i];
		}
	}
	ch->run.n = n;
}

CO_FN static int join_sorted(struct change *ch, struct news *w)
{
	struct imap_context *x = ch->x;
	int r = find_sort(&ch->run, &x->spec, &ch->sorter);

	for (size_t i = 0; r == 0 && i < ch->run.n; i++) {
		const struct search_found *m = &ch->run.v[i];
		size_t at = insert(x, m->uid, &ch->sorter.rows[i]);
		if (at == SIZE_MAX) {
			return -ENOMEM;
		}
		news_add(w, x, at, x->uid ? m->uid : m->seq);
	}
	return r;
}

static int join_unsorted(struct change *ch, struct news *w)
{
	for (size_t i = 0; i < ch->run.n; i++) {
		news_add(w, ch->x, 0, ch->x->uid ? ch->run.v[i].uid : ch->run.v[i].seq);
	}
	return merge(ch->x, ch->run.v, ch->run.n);
}

/* Items of those that join because they are new; run after run of numbers. */
CO_FN static void fetch_arrivals(struct change *ch)
{
	const struct search_found *m = ch->run.v;

	for (size_t i = 0; i < ch->run.n && ch->x->fetch.n > 0;) {
		size_t k = i + 1;
		while (k < ch->run.n && m[k].seq == m[k - 1].seq + 1) {
			k++;
		}
		while (i < k && m[i].uid <= ch->x->last) {
			i++;
		}
		if (i < k) {
			imap_fetch_news(ch->s, ch->x->fetch, m[i].seq, m[k - 1].seq);
		}
		i = k;
	}
}

CO_FN static int add_changed(struct change *ch)
{
	struct news w;
	int r = -ENOMEM;

	drop_known(ch);
	if (ch->run.n == 0) {
		return 0;
	}
	if (ch->x->sorted && ch->x->n + ch->run.n > CONTEXT_SORTED_MAX) {
		return -EMSGSIZE;
	}
	fetch_arrivals(ch);
	if (news_init(&w, ch->run.n)) {
		r = ch->x->sorted ? join_sorted(ch, &w) : join_unsorted(ch, &w);
	}
	if (r == 0) {
		tell(ch->s, ch->x, "ADDTO", &w);
	}
	news_fini(&w);
	return r;
}

CO_FN static int changed(struct change *ch, struct arena *a)
{
	int r = find_changed(ch);

	ch->run = (struct search_run){
		.mbox = ch->s->mbox, .view = ch->s->view, .a = a, .prog = &ch->x->prog
	};
	if (r == 0 && ch->n > 0) {
		r = search_run(&ch->run, ch->seqs, ch->n);
	}
	if (r == 0) {
		r = remove_changed(ch);
	}
	return r == 0 ? add_changed(ch) : r;
}

CO_FN void imap_contexts_changed(struct imap *s, struct arena *a)
{
	struct imap_context *next;

	for (struct imap_context *x = s->contexts; x; x = next) {
		struct change ch = { .s = s, .x = x };
		uint32_t n = store_view_count(s->view);
		uint32_t last = n ? store_view_uid(s->view, n) : 0;
		struct store_status st;
		int r;

		next = x->next;
		store_mailbox_get_status(s->mbox, &st);
		if (st.highestmodseq == x->modseq && last == x->last) {
			continue;
		}
		r = changed(&ch, a);
		x->modseq = st.highestmodseq;
		x->last = MAX(x->last, last);
		if (r != -ECANCELED && (r < 0 || results_of(s) > CONTEXT_RESULTS_MAX)) {
			give_up(s, x);
		}
		free(ch.seqs);
		search_run_fini(&ch.run);
		find_sorter_fini(&ch.sorter);
	}
}
