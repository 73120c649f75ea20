/*
 * notify_box: what a client that used NOTIFY knows of the mailboxes that are
 * not selected, and telling it the difference (RFC 5465 5).
 *
 * When the store says that something changed, what is there is compared with
 * what was told, and the difference is sent. So any number of changes makes
 * one line, none is lost, and a client that reads slowly costs nothing more.
 * Mailboxes of others are told as far as their rights allow (l, and r for
 * what happens in them). Called by notify.c.
 */
#include <stdlib.h>

#include "base/hash.h"
#include "base/table.h"
#include "imap/notify.h"
#include "imap/other.h"
#include "imap/shared.h"
#include "imap/target.h"
#include "imap/write.h"
#include "store/metadata.h"

#define LIST_ARENA_MAX (8u * 1024 * 1024)  /* while the list is compared */
#define NOTES_ARENA_MAX (4u * 1024 * 1024) /* annotations of one mailbox */
#define NOTES_DEPTH 128			   /* below a scope: all */

void notify_box_forget(struct notify_box *b)
{
	for (size_t i = 0; i < b->n_notes; i++) {
		free((char *)b->notes[i].name.p);
	}
	free(b->notes);
	b->notes = NULL;
	b->n_notes = 0;
}

void notify_boxes_free(struct notify_boxes *b)
{
	for (size_t i = 0; i < b->n; i++) {
		free((char *)b->v[i].name.p);
		notify_box_forget(&b->v[i]);
	}
	free(b->v);
	*b = (struct notify_boxes){ 0 };
}

/* ---- what is wanted of a mailbox ---------------------------------------- */

static bool is_below(struct slice name, struct slice top)
{
	return slice_eq(name, top) ||
	       (slice_starts(name, top) && name.n > top.n && name.p[top.n] == '/');
}

static bool names_match(const struct notify_group *g, struct slice name)
{
	for (size_t i = 0; i < g->n_names; i++) {
		if (g->filter == NOTIFY_SUBTREE ? is_below(name, g->names[i])
						: slice_eq(name, g->names[i])) {
			return true;
		}
	}
	return false;
}

static bool group_matches(const struct notify_group *g, struct slice name, bool mine,
			  bool subscribed)
{
	switch (g->filter) {
	case NOTIFY_INBOXES: /* where mail is delivered to (6.3) */
		return slice_eq(name, S("INBOX"));
	case NOTIFY_PERSONAL:
		return mine;
	case NOTIFY_SUBSCRIBED:
		return subscribed;
	default:
		return names_match(g, name);
	}
}

unsigned notify_wanted(const struct notify_set *set, struct slice name, bool mine, bool subscribed)
{
	unsigned bits = 0;

	for (size_t i = 0; i < set->n_groups; i++) {
		if (group_matches(&set->groups[i], name, mine, subscribed)) {
			bits |= set->groups[i].events;
		}
	}
	return bits & ~(unsigned)NOTIFY_SERVER_METADATA;
}

bool notify_is_own(const struct notify_own *own, struct slice name)
{
	for (size_t i = 0; i < own->n; i++) {
		if (is_below(name, own->names[i])) {
			return true;
		}
	}
	return false;
}

/* ---- STATUS ------------------------------------------------------------- */

/* A look at the account, on its loop. */
struct look {
	struct slice name;
	store_id who;
	struct arena *arena;
	struct store_status *st;
	struct store_mailbox_info *m;
	size_t n;
	struct store_entry *entries[2];
	size_t n_entries[2];
	struct err *e;
};

static int look_status(struct store_account *a, void *arg)
{
	struct look *l = arg;

	co_enter();
	return store_mailbox_status(a, l->name, l->st, l->e);
}

static void keep_status(struct notify_box *b, const struct store_status *st)
{
	b->counted = true;
	b->uidvalidity = st->uidvalidity;
	b->messages = st->messages;
	b->uidnext = st->uidnext;
	b->unseen = st->unseen;
	b->modseq = st->highestmodseq;
}

CO_FN static void put_status(struct imap *s, const struct notify_box *b, bool messages, bool modseq)
{
	struct buf line = BUF_INIT(IMAP_LINE_MAX);

	buf_adds(&line, "* STATUS ");
	imap_put_mailbox(&line, b->name, imap_utf8(s));
	buf_adds(&line, " (");
	if (messages) {
		buf_printf(&line, "MESSAGES %u UIDNEXT %u ", b->messages, b->uidnext);
	}
	buf_printf(&line, "UIDVALIDITY %u", b->uidvalidity);
	if (b->events & NOTIFY_FLAGS) {
		buf_printf(&line, " UNSEEN %u", b->unseen);
	}
	if (modseq || (s->enabled & IMAP_EN_CONDSTORE)) {
		buf_printf(&line, " HIGHESTMODSEQ %llu", (unsigned long long)b->modseq);
	}
	buf_adds(&line, ")\r\n");
	conn_write(imap_conn(s), buf_slice(&line));
	buf_fini(&line);
}

/* The selected mailbox has its own rules (3.1). */
static bool is_selected(const struct imap *s, const struct notify_box *b)
{
	struct store_status st;

	if (!s->mbox || store_account_id(store_mailbox_account(s->mbox)) != b->key.account) {
		return false;
	}
	store_mailbox_get_status(s->mbox, &st);
	return st.id == b->key.id;
}

CO_FN void notify_box_messages(struct imap *s, struct notify_box *b, bool quiet)
{
	struct store_status st = { 0 };
	struct err e = ERR_INIT;
	struct look l = { .name = b->inner, .st = &st, .e = &e };
	struct notify_box was = *b;
	bool messages;
	bool flags;

	if (!(b->events & NOTIFY_MESSAGES) || !b->key.id ||
	    imap_on_account(s, b->key.account, look_status, &l, &e) != STORE_OK) {
		return;
	}
	keep_status(b, &st);
	if (quiet || is_selected(s, b)) {
		return;
	}
	messages = was.messages != b->messages || was.uidvalidity != b->uidvalidity ||
		   was.uidnext != b->uidnext;
	if (!was.counted) {
		messages = b->uidnext > 1; /* new, and not empty any more */
	}
	flags = was.counted && (b->events & NOTIFY_FLAGS) &&
		(was.unseen != b->unseen ||
		 ((s->enabled & IMAP_EN_CONDSTORE) && was.modseq != b->modseq));
	if (messages || flags) {
		put_status(s, b, messages, false);
	}
}

/* ---- METADATA ----------------------------------------------------------- */

static int look_notes(struct store_account *a, void *arg)
{
	static const struct slice scopes[2] = { S("/private"), S("/shared") };
	struct look *l = arg;
	int r = STORE_OK;

	co_enter();
	for (size_t i = 0; i < ARRAY_LEN(scopes) && r == STORE_OK; i++) {
		r = store_metadata_below(a, l->name, l->who, scopes[i], NOTES_DEPTH, l->arena,
					 &l->entries[i], &l->n_entries[i], l->e);
	}
	return r;
}

static bool copy_note(struct notify_note *to, const struct store_entry *from)
{
	char *name = malloc(MAX(from->name.n, 1));

	if (!name) {
		return false;
	}
	memcpy(name, from->name.p, from->name.n);
	*to = (struct notify_note){ slice_make(name, from->name.n), hash_sum64(from->value) };
	return true;
}

/* What was looked up, as notes in the order of their names. */
static int keep_notes(const struct look *l, struct notify_box *out)
{
	size_t n = l->n_entries[0] + l->n_entries[1];

	out->notes = calloc(MAX(n, 1), sizeof(out->notes[0]));
	if (!out->notes) {
		return -ENOMEM;
	}
	for (size_t i = 0; i < ARRAY_LEN(l->entries); i++) {
		for (size_t k = 0; k < l->n_entries[i]; k++) {
			if (!copy_note(&out->notes[out->n_notes], &l->entries[i][k])) {
				return -ENOMEM;
			}
			out->n_notes++;
		}
	}
	return 0;
}

/* Names that are in one of them only, or with another value. */
static void put_changed_notes(const struct notify_box *was, const struct notify_box *now,
			      struct buf *out)
{
	size_t i = 0;
	size_t k = 0;

	while (i < was->n_notes || k < now->n_notes) {
		int cmp = i == was->n_notes   ? 1
			  : k == now->n_notes ? -1
					      : slice_cmp(was->notes[i].name, now->notes[k].name);
		if (cmp != 0 || was->notes[i].hash != now->notes[k].hash) {
			buf_addc(out, ' ');
			imap_put_astring(out, cmp <= 0 ? was->notes[i].name : now->notes[k].name);
		}
		i += cmp <= 0;
		k += cmp >= 0;
	}
}

CO_FN static void tell_notes(struct imap *s, const struct notify_box *was,
			     const struct notify_box *now)
{
	struct buf names = BUF_INIT(IMAP_LINE_MAX);
	struct buf line = BUF_INIT(2 * IMAP_LINE_MAX);

	put_changed_notes(was, now, &names);
	if (names.n > 0) {
		buf_adds(&line, "* METADATA ");
		imap_put_mailbox(&line, now->name, imap_utf8(s));
		buf_add(&line, buf_slice(&names));
		buf_adds(&line, "\r\n");
		conn_write(imap_conn(s), buf_slice(&line));
	}
	buf_fini(&names);
	buf_fini(&line);
}

CO_FN void notify_box_notes(struct imap *s, struct notify_box *b, bool quiet)
{
	struct arena a;
	struct err e = ERR_INIT;
	struct look l = { .name = b->inner, .who = s->id.account, .arena = &a, .e = &e };
	struct notify_box was = *b;

	if (!(b->events & (NOTIFY_METADATA | NOTIFY_SERVER_METADATA))) {
		return;
	}
	arena_init(&a, NOTES_ARENA_MAX);
	if (imap_on_account(s, b->key.account, look_notes, &l, &e) == STORE_OK) {
		b->notes = NULL;
		b->n_notes = 0;
		if (keep_notes(&l, b) == 0 && was.noted && !quiet) {
			tell_notes(s, &was, b);
		}
		b->noted = true;
		notify_box_forget(&was);
	}
	arena_fini(&a);
}

/* ---- LIST --------------------------------------------------------------- */

CO_FN static void put_list(struct imap *s, const struct notify_box *b, struct slice old)
{
	struct buf line = BUF_INIT(IMAP_LINE_MAX);

	buf_adds(&line, "* LIST (");
	buf_adds(&line, b->key.id ? "" : "\\NonExistent ");
	buf_adds(&line, b->no_access ? "\\NoAccess " : "");
	buf_adds(&line, b->subscribed ? "\\Subscribed " : "");
	buf_adds(&line, b->has_children ? "\\HasChildren) \"/\" " : "\\HasNoChildren) \"/\" ");
	imap_put_mailbox(&line, b->name, imap_utf8(s));
	if (old.n) {
		buf_adds(&line, " (\"OLDNAME\" (");
		imap_put_mailbox(&line, old, imap_utf8(s));
		buf_adds(&line, "))");
	}
	buf_adds(&line, "\r\n");
	conn_write(imap_conn(s), buf_slice(&line));
	buf_fini(&line);
}

CO_FN void notify_box_begin(struct imap *s, struct notify_box *b, bool status)
{
	if (b->no_access) {
		put_list(s, b, S(""));
	}
	notify_box_messages(s, b, true);
	notify_box_notes(s, b, true);
	if (status && b->counted && !is_selected(s, b)) {
		/* RFC 5465 3.1: with FlagChange also to who has not enabled CONDSTORE. */
		put_status(s, b, true, b->events & NOTIFY_FLAGS);
	}
}

/* ---- the list, now ------------------------------------------------------ */

static int look_list(struct store_account *a, void *arg)
{
	struct look *l = arg;

	co_enter();
	return store_mailbox_list(a, l->arena, &l->m, &l->n, l->e);
}

static struct notify_box *add_box(struct notify_boxes *out, struct slice name)
{
	char *copy = malloc(MAX(name.n, 1));

	if (!copy) {
		return NULL;
	}
	memcpy(copy, name.p, name.n);
	struct notify_box *b = &out->v[out->n++];

	*b = (struct notify_box){ .name = slice_make(copy, name.n) };
	b->inner = b->name;
	return b;
}

/* The account's own, and every name it has subscribed to. */
static int add_own(struct imap *s, const struct notify_set *set, const struct look *l,
		   struct notify_boxes *out)
{
	for (size_t i = 0; i < l->n; i++) {
		const struct store_mailbox_info *m = &l->m[i];
		struct notify_box *b = add_box(out, m->name);
		if (!b) {
			return -ENOMEM;
		}
		b->key.account = s->id.account;
		b->key.id = m->exists ? m->id : 0;
		b->subscribed = m->subscribed;
		b->has_children = m->has_children;
		b->events = notify_wanted(set, m->name, true, m->subscribed);
	}
	return 0;
}

static struct notify_box *find_name(const struct notify_boxes *b, size_t n, struct slice name)
{
	for (size_t i = 0; i < n; i++) {
		if (slice_eq(b->v[i].name, name)) {
			return &b->v[i];
		}
	}
	return NULL;
}

/* What others share. A subscription to it is in the list already, as a name
 * that does not exist there. */
static int add_shared(const struct notify_set *set, const struct imap_shared *m, size_t n,
		      struct notify_boxes *out)
{
	size_t own = out->n;

	for (size_t i = 0; i < n; i++) {
		struct notify_box *b = find_name(out, own, m[i].full);
		if (!b) {
			b = add_box(out, m[i].full);
		}
		if (!b) {
			return -ENOMEM;
		}
		b->key.account = m[i].account;
		b->key.id = m[i].id;
		b->inner = slice_from(b->name, b->name.n - m[i].name.n);
		b->has_children = i + 1 < n && is_below(m[i + 1].full, m[i].full);
		b->events = notify_wanted(set, b->name, false, b->subscribed);
		b->no_access = (b->events & NOTIFY_MESSAGES) && !(m[i].rights & STORE_RIGHT_READ);
		if (!(m[i].rights & STORE_RIGHT_READ)) {
			b->events &= NOTIFY_NAME | NOTIFY_SUBSCRIPTION;
		}
	}
	return 0;
}

/* Can anything of others be wanted? Asking them costs something. */
static bool wants_others(const struct notify_set *set)
{
	for (size_t i = 0; i < set->n_groups; i++) {
		const struct notify_group *g = &set->groups[i];
		if (g->filter == NOTIFY_SUBSCRIBED) {
			return true;
		}
		for (size_t k = 0; k < g->n_names; k++) {
			if (is_below(g->names[k], S(OTHER_ROOT))) {
				return true;
			}
		}
	}
	return false;
}

CO_FN int notify_boxes_load(struct imap *s, const struct notify_set *set, struct notify_boxes *out)
{
	struct arena a;
	struct err e = ERR_INIT;
	struct look l = { .arena = &a, .e = &e };
	struct imap_shared *shared = NULL;
	struct notify_boxes b = { 0 };
	size_t n = 0;
	int r;

	arena_init(&a, LIST_ARENA_MAX);
	r = imap_on_account(s, s->id.account, look_list, &l, &e);
	if (r == STORE_OK && wants_others(set)) {
		r = imap_shared_list(s, &a, &shared, &n, &e);
	}
	if (r == STORE_OK) {
		b.v = calloc(l.n + n + 1, sizeof(b.v[0]));
		r = b.v ? STORE_OK : -ENOMEM;
	}
	r = r ? r : add_own(s, set, &l, &b);
	r = r ? r : add_shared(set, shared, n, &b);
	arena_fini(&a);
	if (r != STORE_OK) {
		notify_boxes_free(&b);
		return r;
	}
	*out = b;
	return STORE_OK;
}

/* ---- the list, then and now --------------------------------------------- */

struct compare {
	struct imap *s;
	const struct notify_set *set;
	const struct notify_own *own;
	struct notify_boxes was, now;
	struct table was_by_key, was_by_name;
	struct table now_by_key, now_by_name;
};

static struct slice key_of(const struct notify_box *b)
{
	return slice_make((const char *)&b->key, sizeof(b->key));
}

static int index_boxes(struct notify_boxes *b, struct table *by_key, struct table *by_name)
{
	int r = 0;

	for (size_t i = 0; i < b->n && r == 0; i++) {
		r = table_put(by_name, b->v[i].name, &b->v[i], NULL);
		if (r == 0 && b->v[i].key.id) {
			r = table_put(by_key, key_of(&b->v[i]), &b->v[i], NULL);
		}
	}
	return r ? -ENOMEM : 0;
}

static struct slice parent_of(struct slice name)
{
	size_t n = name.n;

	while (n > 0 && name.p[n - 1] != '/') {
		n--;
	}
	return slice_sub(name, 0, n ? n - 1 : 0);
}

/* The mailbox above changed too: it has or lost a child (5.4). */
CO_FN static void tell_parent(struct compare *c, struct slice name)
{
	struct slice parent = parent_of(name);
	const struct notify_box *p = parent.n ? table_get(&c->now_by_name, parent) : NULL;
	struct notify_box none = { .name = parent };

	if (!parent.n) {
		return;
	}
	if (!p) {
		none.events =
			notify_wanted(c->set, parent, !is_below(parent, S(OTHER_ROOT)), false);
		p = &none;
	}
	if (p->events & NOTIFY_NAME) {
		put_list(c->s, p, S(""));
	}
}

/* Was a mailbox above this one renamed, so that this went with it? */
static bool parent_moved(const struct compare *c, const struct notify_box *was,
			 const struct notify_box *now)
{
	const struct notify_box *p = table_get(&c->was_by_name, parent_of(was->name));
	const struct notify_box *q = p && p->key.id ? table_get(&c->now_by_key, key_of(p)) : NULL;

	return q && !slice_eq(p->name, q->name) && slice_eq(parent_of(now->name), q->name);
}

/* What is known of its messages and annotations goes on. */
static void take_over(struct notify_box *now, struct notify_box *was)
{
	now->counted = was->counted;
	now->uidvalidity = was->uidvalidity;
	now->messages = was->messages;
	now->uidnext = was->uidnext;
	now->unseen = was->unseen;
	now->modseq = was->modseq;
	now->noted = was->noted;
	now->notes = was->notes;
	now->n_notes = was->n_notes;
	was->notes = NULL;
	was->n_notes = 0;
}

/* One mailbox of now: new, renamed, or only subscribed otherwise. */
CO_FN static void tell_now(struct compare *c, struct notify_box *now)
{
	struct notify_box *was = now->key.id ? table_get(&c->was_by_key, key_of(now)) : NULL;
	const struct notify_box *same = table_get(&c->was_by_name, now->name);

	if (was) {
		take_over(now, was);
	}
	if (notify_is_own(c->own, now->name)) {
		return;
	}
	if (now->key.id && !was) {
		if (now->events & NOTIFY_NAME) {
			put_list(c->s, now, S(""));
		}
		tell_parent(c, now->name);
	} else if (was && !slice_eq(was->name, now->name) && !parent_moved(c, was, now)) {
		if ((now->events | was->events) & NOTIFY_NAME) {
			put_list(c->s, now, was->name);
		}
	} else if (was && was->no_access != now->no_access) {
		put_list(c->s, now, S(""));
	} else if (now->subscribed != (same && same->subscribed) &&
		   ((now->events | (same ? same->events : 0)) & NOTIFY_SUBSCRIPTION)) {
		put_list(c->s, now, S(""));
	}
}

/* One mailbox or name of then that is not there any more. */
CO_FN static void tell_gone(struct compare *c, const struct notify_box *was)
{
	const struct notify_box *now = table_get(&c->now_by_name, was->name);
	struct notify_box none = { .name = was->name };
	bool deleted = was->key.id && !table_get(&c->now_by_key, key_of(was));
	unsigned why = deleted ? NOTIFY_NAME : NOTIFY_SUBSCRIPTION;

	if (notify_is_own(c->own, was->name) || (now && now->key.id)) {
		return;
	}
	if (!deleted && (was->key.id || !was->subscribed || now)) {
		return; /* renamed, or not more gone than before */
	}
	if (was->events & why) {
		put_list(c->s, now ? now : &none, S(""));
	}
	if (deleted) {
		tell_parent(c, was->name);
	}
}

CO_FN static int tell_difference(struct compare *c)
{
	int r;

	table_init(&c->was_by_key);
	table_init(&c->was_by_name);
	table_init(&c->now_by_key);
	table_init(&c->now_by_name);
	r = index_boxes(&c->was, &c->was_by_key, &c->was_by_name);
	r = r ? r : index_boxes(&c->now, &c->now_by_key, &c->now_by_name);
	for (size_t i = 0; r == 0 && i < c->was.n; i++) {
		tell_gone(c, &c->was.v[i]);
	}
	for (size_t i = 0; r == 0 && i < c->now.n; i++) {
		tell_now(c, &c->now.v[i]);
	}
	table_fini(&c->was_by_key);
	table_fini(&c->was_by_name);
	table_fini(&c->now_by_key);
	table_fini(&c->now_by_name);
	return r;
}

CO_FN int notify_boxes_reload(struct imap *s, const struct notify_set *set,
			      const struct notify_own *own, struct notify_boxes *b)
{
	struct compare c = { .s = s, .set = set, .own = own, .was = *b };
	int r = notify_boxes_load(s, set, &c.now);

	if (r != STORE_OK) {
		return r;
	}
	r = tell_difference(&c);
	notify_boxes_free(&c.was);
	*b = c.now;
	return r;
}
