/*
 * thread: see thread.h. The steps are those of RFC 5256 3, by their numbers.
 *
 * A thread is nodes with indices for pointers. Step 1 works on parents only;
 * then lists of children are made, and from there on parents are not looked
 * at. Nodes are visited in breadth-first order, backwards where children must
 * come first. Messages are nodes 0 to n - 1, so a smaller index is an earlier
 * message; dummies come behind them.
 */
#include "imap/thread.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/hash.h"

#define NONE UINT32_MAX

struct node {
	struct thread_id id; /* of dummies and of messages that own their id */
	uint32_t parent;
	uint32_t children; /* how many, in step 1 */
	uint32_t first;
	uint32_t last;
	uint32_t next;
};

struct threads {
	const struct thread_msg *v;
	size_t n;
	struct node *nodes;
	size_t n_nodes;
	size_t cap;
	uint32_t *slots; /* ids, or (step 5) subjects, to nodes */
	size_t n_slots;	 /* power of two */
	size_t used;
	uint32_t *top; /* children of the root */
	size_t n_top;
	uint32_t *scratch; /* as long as there are nodes */
	uint64_t steps;
};

struct thread_id thread_id_of(struct slice text)
{
	return (struct thread_id){ hash_slice(text), hash_sum64(text) };
}

static bool same(struct thread_id x, struct thread_id y)
{
	return x.a == y.a && x.b == y.b;
}

/* ---- a table of ids ---------------------------------------------------------------- */

static struct thread_id id_of(const struct threads *t, uint32_t node)
{
	return t->nodes[node].id;
}

/* Where this id is, or would be. */
static size_t slot_of(const struct threads *t, struct thread_id id)
{
	size_t i = (size_t)id.a & (t->n_slots - 1);

	while (t->slots[i] != NONE && !same(id_of(t, t->slots[i]), id)) {
		i = (i + 1) & (t->n_slots - 1);
	}
	return i;
}

static int table_make(struct threads *t, size_t want)
{
	uint32_t *old = t->slots;
	size_t n_old = t->n_slots;

	t->n_slots = 64;
	while (t->n_slots < 2 * want) {
		t->n_slots *= 2;
	}
	t->slots = reallocarray(NULL, t->n_slots, sizeof(t->slots[0]));
	if (!t->slots) {
		free(old);
		return -ENOMEM;
	}
	memset(t->slots, 0xff, t->n_slots * sizeof(t->slots[0]));
	for (size_t i = 0; i < n_old; i++) {
		if (old[i] != NONE) {
			t->slots[slot_of(t, id_of(t, old[i]))] = old[i];
		}
	}
	free(old);
	return 0;
}

static int table_add(struct threads *t, uint32_t node)
{
	if (2 * (t->used + 1) > t->n_slots && table_make(t, 2 * (t->used + 1)) < 0) {
		return -ENOMEM;
	}
	t->slots[slot_of(t, id_of(t, node))] = node;
	t->used++;
	return 0;
}

/* ---- nodes ------------------------------------------------------------------------- */

static bool is_dummy(const struct threads *t, uint32_t node)
{
	return node >= t->n;
}

static int new_node(struct threads *t, uint32_t *out)
{
	if (t->n_nodes == THREAD_NODES_MAX) {
		return -EMSGSIZE;
	}
	if (t->n_nodes == t->cap) {
		size_t cap = t->cap + t->cap / 2 + 16;
		struct node *nodes = reallocarray(t->nodes, cap, sizeof(*nodes));
		if (!nodes) {
			return -ENOMEM;
		}
		t->nodes = nodes;
		t->cap = cap;
	}
	t->nodes[t->n_nodes] =
		(struct node){ .parent = NONE, .first = NONE, .last = NONE, .next = NONE };
	*out = (uint32_t)t->n_nodes++;
	return 0;
}

static void append(struct threads *t, uint32_t parent, uint32_t child)
{
	struct node *p = &t->nodes[parent];

	t->nodes[child].next = NONE;
	if (p->first == NONE) {
		p->first = child;
	} else {
		t->nodes[p->last].next = child;
	}
	p->last = child;
}

/* All children of `from` behind those of `to`. */
static void splice(struct threads *t, uint32_t to, uint32_t from)
{
	struct node *f = &t->nodes[from];
	struct node *p = &t->nodes[to];

	if (f->first == NONE) {
		return;
	}
	if (p->first == NONE) {
		p->first = f->first;
	} else {
		t->nodes[p->last].next = f->first;
	}
	p->last = f->last;
	f->first = NONE;
	f->last = NONE;
}

/* ---- step 1: links ----------------------------------------------------------------- */

static void unlink_node(struct threads *t, uint32_t node)
{
	struct node *x = &t->nodes[node];

	if (x->parent != NONE) {
		t->nodes[x->parent].children--;
		x->parent = NONE;
	}
}

/* Makes parent the parent of child, unless that makes a loop. */
static int link_nodes(struct threads *t, uint32_t parent, uint32_t child)
{
	/* Who has no children is nobody's ancestor. */
	for (uint32_t i = t->nodes[child].children ? parent : NONE; i != NONE;
	     i = t->nodes[i].parent) {
		if (i == child) {
			return 0;
		}
		if (++t->steps > THREAD_STEPS_MAX) {
			return -EMSGSIZE;
		}
	}
	if (parent != child) {
		t->nodes[child].parent = parent;
		t->nodes[parent].children++;
	}
	return 0;
}

/* The node of an id; a dummy if nobody has it yet. */
static int node_of(struct threads *t, struct thread_id id, uint32_t *out)
{
	uint32_t node = t->slots[slot_of(t, id)];
	int r = 0;

	if (node == NONE) {
		r = new_node(t, &node);
		if (r == 0) {
			t->nodes[node].id = id;
			r = table_add(t, node);
		}
	}
	*out = node;
	return r;
}

/* Of messages with one id the first has it; others have none at all. */
static int own_ids(struct threads *t)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < t->n; i++) {
		t->nodes[i].id = t->v[i].id;
		if (t->v[i].has_id && t->slots[slot_of(t, t->v[i].id)] == NONE) {
			r = table_add(t, i);
		}
	}
	return r;
}

static int link_message(struct threads *t, uint32_t m)
{
	uint32_t before = NONE;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < t->v[m].n_refs; i++) {
		uint32_t node;
		r = node_of(t, t->v[m].refs[i], &node);
		if (r == 0 && before != NONE && t->nodes[node].parent == NONE) {
			r = link_nodes(t, before, node);
		}
		before = node;
	}
	if (r < 0) {
		return r;
	}
	unlink_node(t, m);
	return before == NONE ? 0 : link_nodes(t, before, m);
}

/* ---- steps 2 and 3: the root, without dummies ----------------------------------------- */

static int make_lists(struct threads *t)
{
	t->top = reallocarray(NULL, t->n_nodes + 1, sizeof(t->top[0]));
	t->scratch = reallocarray(NULL, t->n_nodes + 1, sizeof(t->scratch[0]));
	if (!t->top || !t->scratch) {
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < t->n_nodes; i++) {
		if (t->nodes[i].parent == NONE) {
			t->top[t->n_top++] = i;
		} else {
			append(t, t->nodes[i].parent, i);
		}
	}
	return 0;
}

/* A node's children, each dummy among them replaced by its own. */
static void prune_children(struct threads *t, uint32_t node)
{
	uint32_t child = t->nodes[node].first;

	t->nodes[node].first = NONE;
	t->nodes[node].last = NONE;
	while (child != NONE) {
		uint32_t next = t->nodes[child].next;
		if (is_dummy(t, child)) {
			splice(t, node, child);
		} else {
			append(t, node, child);
		}
		child = next;
	}
}

/* The root keeps dummies of two and more children. */
static void prune_top(struct threads *t)
{
	size_t n = 0;

	for (size_t i = 0; i < t->n_top; i++) {
		uint32_t x = t->top[i];
		uint32_t first = t->nodes[x].first;
		if (!is_dummy(t, x)) {
			t->top[n++] = x;
		} else if (first != NONE) {
			t->top[n++] = t->nodes[first].next == NONE ? first : x;
		}
	}
	t->n_top = n;
}

static void prune(struct threads *t)
{
	uint32_t *order = t->scratch;
	size_t n = 0;

	for (size_t i = 0; i < t->n_top; i++) {
		order[n++] = t->top[i];
	}
	for (size_t i = 0; i < n; i++) {
		for (uint32_t c = t->nodes[order[i]].first; c != NONE; c = t->nodes[c].next) {
			order[n++] = c;
		}
	}
	while (n-- > 0) {
		prune_children(t, order[n]);
	}
	prune_top(t);
}

/* ---- steps 4 and 6: order ------------------------------------------------------------- */

/* The message that stands for a node: itself, or a dummy's first child. */
static uint32_t face(const struct threads *t, uint32_t node)
{
	return is_dummy(t, node) ? t->nodes[node].first : node;
}

struct dated {
	int64_t date;
	uint32_t msg;
	uint32_t node;
};

static int cmp_dated(const void *a, const void *b)
{
	const struct dated *x = a;
	const struct dated *y = b;

	if (x->date != y->date) {
		return x->date < y->date ? -1 : 1;
	}
	return (x->msg > y->msg) - (x->msg < y->msg);
}

/* By sent date, then by the order of the mailbox. */
static int sort_nodes(const struct threads *t, uint32_t *v, size_t n)
{
	struct dated *d = reallocarray(NULL, n + 1, sizeof(*d));

	if (!d) {
		return -ENOMEM;
	}
	for (size_t i = 0; i < n; i++) {
		uint32_t m = face(t, v[i]);
		d[i] = (struct dated){ t->v[m].date, m, v[i] };
	}
	qsort(d, n, sizeof(*d), cmp_dated);
	for (size_t i = 0; i < n; i++) {
		v[i] = d[i].node;
	}
	free(d);
	return 0;
}

static int sort_children(struct threads *t, uint32_t node)
{
	size_t n = 0;
	int r;

	for (uint32_t c = t->nodes[node].first; c != NONE; c = t->nodes[c].next) {
		t->scratch[n++] = c;
	}
	if (n < 2) {
		return 0;
	}
	r = sort_nodes(t, t->scratch, n);
	t->nodes[node].first = NONE;
	t->nodes[node].last = NONE;
	for (size_t i = 0; i < n; i++) {
		append(t, node, t->scratch[i]);
	}
	return r;
}

/* All siblings. Only dummies of the root take their date from a child, so
 * the order of the levels does not matter but for the root, which is last. */
static int sort_all(struct threads *t)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < t->n_nodes; i++) {
		r = sort_children(t, i);
	}
	return r == 0 ? sort_nodes(t, t->top, t->n_top) : r;
}

/* ---- step 5: subjects ------------------------------------------------------------------ */

/* The table of step 5 maps subjects to places in top. */
struct subject {
	struct thread_id id;
	size_t place;
	bool used;
};

struct subjects {
	struct subject *v;
	size_t n; /* power of two */
};

static struct subject *subject_slot(struct subjects *s, struct thread_id id)
{
	size_t i = (size_t)id.a & (s->n - 1);

	while (s->v[i].used && !same(s->v[i].id, id)) {
		i = (i + 1) & (s->n - 1);
	}
	return &s->v[i];
}

/* B (iv): does x stand for its subject rather than what is in the table? */
static bool better(const struct threads *t, uint32_t in_table, uint32_t x)
{
	if (is_dummy(t, in_table)) {
		return false;
	}
	return is_dummy(t, x) || (t->v[in_table].is_reply && !t->v[x].is_reply);
}

static void fill_subjects(const struct threads *t, struct subjects *s)
{
	for (size_t i = 0; i < t->n_top; i++) {
		const struct thread_msg *m = &t->v[face(t, t->top[i])];
		struct subject *e;
		if (!m->has_subject) {
			continue;
		}
		e = subject_slot(s, m->subject);
		if (!e->used || better(t, t->top[e->place], t->top[i])) {
			*e = (struct subject){ m->subject, i, true };
		}
	}
}

/* C: makes x, at this place of top, part of the thread of its subject. */
static int merge(struct threads *t, const struct subject *e, size_t place)
{
	uint32_t head = t->top[e->place];
	uint32_t x = t->top[place];
	uint32_t dummy;
	int r;

	t->top[place] = NONE;
	if (is_dummy(t, head) && is_dummy(t, x)) {
		splice(t, head, x);
		return 0;
	}
	/* A dummy among those of one subject is the one in the table. */
	assert(!is_dummy(t, x));
	if (is_dummy(t, head) || (t->v[x].is_reply && !t->v[head].is_reply)) {
		append(t, head, x);
		return 0;
	}
	r = new_node(t, &dummy);
	if (r == 0) {
		append(t, dummy, head);
		append(t, dummy, x);
		t->top[e->place] = dummy;
	}
	return r;
}

static int gather_subjects(struct threads *t)
{
	struct subjects s = { .n = 64 };
	size_t n = 0;
	int r = 0;

	while (s.n < 2 * t->n_top) {
		s.n *= 2;
	}
	s.v = calloc(s.n, sizeof(s.v[0]));
	if (!s.v) {
		return -ENOMEM;
	}
	fill_subjects(t, &s);
	for (size_t i = 0; r == 0 && i < t->n_top; i++) {
		const struct thread_msg *m = &t->v[face(t, t->top[i])];
		const struct subject *e = subject_slot(&s, m->subject);
		if (m->has_subject && e->place != i) {
			r = merge(t, e, i);
		}
	}
	for (size_t i = 0; i < t->n_top; i++) {
		if (t->top[i] != NONE) {
			t->top[n++] = t->top[i];
		}
	}
	t->n_top = n;
	free(s.v);
	return r;
}

/* ---- writing --------------------------------------------------------------------------- */

/*
 * thread-list = "(" (thread-members / thread-nested) ")"     RFC 5256 5
 * scratch is the stack: at each branching, the sibling that comes next.
 */
static void write_thread(const struct threads *t, uint32_t top, struct buf *out)
{
	uint32_t *stack = t->scratch;
	size_t depth = 0;
	uint32_t x = top;

	buf_addc(out, '(');
	for (;;) {
		uint32_t child = t->nodes[x].first;
		if (!is_dummy(t, x)) {
			buf_addu(out, t->v[x].number);
			buf_adds(out, child == NONE ? "" : " ");
		}
		if (child != NONE) {
			if (t->nodes[child].next != NONE) {
				stack[depth++] = t->nodes[child].next;
				buf_addc(out, '(');
			}
			x = child;
			continue;
		}
		buf_addc(out, ')');
		while (depth > 0 && stack[depth - 1] == NONE) {
			depth--;
			buf_addc(out, ')');
		}
		if (depth == 0) {
			return;
		}
		x = stack[depth - 1];
		stack[depth - 1] = t->nodes[x].next;
		buf_addc(out, '(');
	}
}

static int write_all(const struct threads *t, struct buf *out)
{
	for (size_t i = 0; i < t->n_top; i++) {
		buf_adds(out, i ? "" : " ");
		write_thread(t, t->top[i], out);
	}
	return out->err;
}

/* ---- the algorithms -------------------------------------------------------------------- */

static int threads_init(struct threads *t, const struct thread_msg *v, size_t n)
{
	int r = 0;

	*t = (struct threads){ .v = v, .n = n };
	for (uint32_t i = 0, node; r == 0 && i < n; i++) {
		r = new_node(t, &node);
	}
	return r == 0 ? table_make(t, n) : r;
}

static void threads_fini(struct threads *t)
{
	free(t->nodes);
	free(t->slots);
	free(t->top);
	free(t->scratch);
}

/* What step 5 may add: a dummy for each two children of the root. */
static int more_scratch(struct threads *t)
{
	uint32_t *p = reallocarray(t->scratch, t->n_nodes + 1, sizeof(p[0]));

	t->scratch = p ? p : t->scratch;
	return p ? 0 : -ENOMEM;
}

static int references(struct threads *t)
{
	int r = own_ids(t);

	for (uint32_t i = 0; r == 0 && i < t->n; i++) {
		r = link_message(t, i);
	}
	if (r == 0) {
		r = make_lists(t);
	}
	if (r == 0) {
		prune(t);
		r = sort_all(t);
	}
	if (r == 0) {
		r = gather_subjects(t);
	}
	if (r == 0) {
		r = more_scratch(t);
	}
	return r == 0 ? sort_all(t) : r;
}

int thread_references(const struct thread_msg *v, size_t n, struct buf *out)
{
	struct threads t;
	int r = threads_init(&t, v, n);

	if (r == 0) {
		r = references(&t);
	}
	if (r == 0) {
		r = write_all(&t, out);
	}
	threads_fini(&t);
	return r;
}

struct by_subject {
	struct thread_id subject;
	struct dated d;
};

static int cmp_by_subject(const void *a, const void *b)
{
	const struct by_subject *x = a;
	const struct by_subject *y = b;

	if (x->subject.a != y->subject.a) {
		return x->subject.a < y->subject.a ? -1 : 1;
	}
	if (x->subject.b != y->subject.b) {
		return x->subject.b < y->subject.b ? -1 : 1;
	}
	return cmp_dated(&x->d, &y->d);
}

/* Threads are only told apart by their subjects; in the end dates decide, so
 * the order of the subjects' hashes is as good as that of the subjects. */
static int ordered_subject(struct threads *t)
{
	struct by_subject *s = reallocarray(NULL, t->n + 1, sizeof(*s));
	uint32_t head = NONE;
	int r = make_lists(t);

	if (!s || r < 0) {
		free(s);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < t->n; i++) {
		s[i] = (struct by_subject){ t->v[i].subject, { t->v[i].date, i, i } };
	}
	qsort(s, t->n, sizeof(*s), cmp_by_subject);
	t->n_top = 0;
	for (size_t i = 0; i < t->n; i++) {
		if (i > 0 && same(s[i].subject, s[i - 1].subject)) {
			append(t, head, s[i].d.node);
		} else {
			head = s[i].d.node;
			t->top[t->n_top++] = head;
		}
	}
	free(s);
	return sort_nodes(t, t->top, t->n_top);
}

int thread_orderedsubject(const struct thread_msg *v, size_t n, struct buf *out)
{
	struct threads t;
	int r = threads_init(&t, v, n);

	if (r == 0) {
		r = ordered_subject(&t);
	}
	if (r == 0) {
		r = write_all(&t, out);
	}
	threads_fini(&t);
	return r;
}
