/*
 * notify: telling a client what it asked for with NOTIFY (RFC 5465 5).
 *
 * Of the selected mailbox the view knows what is new (view.c). Of the others
 * we keep what the client has been told: names, subscriptions, counts. When
 * the store says that something changed, what is there is compared with that,
 * and the difference is sent. So any number of changes makes one line, and a
 * client that reads slowly costs nothing more.
 */
#include "imap/notify.h"

#include <stdlib.h>

#include "base/table.h"
#include "imap/target.h"
#include "imap/write.h"
#include "store/watch.h"

#define NOTIFY_ARENA_MAX (2u * 1024 * 1024) /* of what was asked for */
#define NOTIFY_LIST_MAX (8u * 1024 * 1024)  /* while the list is compared */

/* A mailbox, or a name that is only subscribed, as the client knows it. */
struct seen {
	struct slice name; /* malloc'ed */
	store_id id;	   /* 0: it does not exist */
	unsigned events;   /* what is wanted of it */
	bool subscribed;
	bool has_children;
	unsigned uses;
	bool counted; /* the numbers below are known */
	uint32_t uidvalidity;
	uint32_t messages;
	uint32_t uidnext;
	uint32_t unseen;
	uint64_t modseq;
};

struct imap_notify {
	struct arena arena;
	struct notify_set set;
	struct co_event news; /* of the selected mailbox, or of the account */
	bool own;	      /* what happens now is the command's own doing */
	struct store_watch *watch;
	bool look; /* the watch is new: look at everything once */
	struct seen *seen;
	size_t n_seen;
	struct noted *noted; /* annotations, if anything is wanted of them */
};

/* What this session's own command did to the list: not told (5). */
struct own {
	const struct slice *names;
	size_t n;
};

/* ---- making and freeing ------------------------------------------------- */

struct imap_notify *imap_notify_new(void)
{
	struct imap_notify *n = calloc(1, sizeof(*n));

	if (n) {
		arena_init(&n->arena, NOTIFY_ARENA_MAX);
		co_event_init(&n->news);
	}
	return n;
}

struct arena *imap_notify_arena(struct imap_notify *n)
{
	return &n->arena;
}

struct notify_set *imap_notify_set(struct imap_notify *n)
{
	return &n->set;
}

static void free_seen(struct seen *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free((char *)v[i].name.p);
	}
	free(v);
}

CO_FN void imap_notify_free(struct imap_notify **np)
{
	struct imap_notify *n = *np;

	if (n) {
		store_watch_free(&n->watch);
		free_seen(n->seen, n->n_seen);
		imap_noted_free(&n->noted);
		arena_fini(&n->arena);
		free(n);
		*np = NULL;
	}
}

CO_FN void imap_notify_end(struct imap *s)
{
	if (s->view) {
		store_view_wake(s->view, NULL);
	}
	imap_notify_free(&s->notify);
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

static bool group_matches(const struct notify_group *g, struct slice name, bool subscribed)
{
	switch (g->filter) {
	case NOTIFY_INBOXES: /* where mail is delivered to (6.3) */
		return slice_eq(name, S("INBOX"));
	case NOTIFY_PERSONAL:
		return true;
	case NOTIFY_SUBSCRIBED:
		return subscribed;
	default:
		return names_match(g, name);
	}
}

static unsigned wanted(const struct notify_set *set, struct slice name, bool subscribed)
{
	unsigned bits = 0;

	for (size_t i = 0; i < set->n_groups; i++) {
		if (group_matches(&set->groups[i], name, subscribed)) {
			bits |= set->groups[i].events;
		}
	}
	return bits;
}

/* ---- STATUS ------------------------------------------------------------- */

/* A look at the account, on its loop. */
struct look {
	struct slice name;
	struct store_status *st;
	struct arena *arena;
	struct store_mailbox_info *m;
	size_t n;
	struct err *e;
};

static int look_status(struct store_account *a, void *arg)
{
	struct look *l = arg;

	co_enter();
	return store_mailbox_status(a, l->name, l->st, l->e);
}

static int look_list(struct store_account *a, void *arg)
{
	struct look *l = arg;

	co_enter();
	return store_mailbox_list(a, l->arena, &l->m, &l->n, l->e);
}

CO_FN static int get_status(struct imap *s, const struct seen *b, struct store_status *st)
{
	struct err e = ERR_INIT;
	struct look l = { .name = b->name, .st = st, .e = &e };

	return imap_on_account(s, s->id.account, look_status, &l, &e);
}

static void keep_status(struct seen *b, const struct store_status *st)
{
	b->counted = true;
	b->uidvalidity = st->uidvalidity;
	b->messages = st->messages;
	b->uidnext = st->uidnext;
	b->unseen = st->unseen;
	b->modseq = st->highestmodseq;
}

CO_FN static void put_status(struct imap *s, struct slice name, const struct store_status *st,
			     unsigned wanted_bits, bool messages)
{
	struct buf line = BUF_INIT(IMAP_LINE_MAX);

	buf_adds(&line, "* STATUS ");
	imap_put_mailbox(&line, name, imap_utf8(s));
	buf_adds(&line, " (");
	if (messages) {
		buf_printf(&line, "MESSAGES %u UIDNEXT %u ", st->messages, st->uidnext);
	}
	buf_printf(&line, "UIDVALIDITY %u", st->uidvalidity);
	if (wanted_bits & NOTIFY_FLAGS) {
		buf_printf(&line, " UNSEEN %u", st->unseen);
	}
	if (s->enabled & IMAP_EN_CONDSTORE) {
		buf_printf(&line, " HIGHESTMODSEQ %llu", (unsigned long long)st->highestmodseq);
	}
	buf_adds(&line, ")\r\n");
	conn_write(imap_conn(s), buf_slice(&line));
	buf_fini(&line);
}

/* The selected mailbox has its own rules (3.1). */
static bool is_selected(const struct imap *s, const struct seen *b)
{
	struct store_status st;

	if (!s->mbox || store_account_id(store_mailbox_account(s->mbox)) != s->id.account) {
		return false;
	}
	store_mailbox_get_status(s->mbox, &st);
	return st.id == b->id;
}

/* Its messages changed: says so if that is wanted, and remembers. */
CO_FN static void tell_messages(struct imap *s, struct seen *b)
{
	struct store_status st;
	struct seen was = *b;
	bool messages;
	bool flags;

	if (!(b->events & NOTIFY_MESSAGES) || get_status(s, b, &st) != STORE_OK) {
		return;
	}
	keep_status(b, &st);
	if (is_selected(s, b)) {
		return;
	}
	messages = was.messages != st.messages || was.uidnext != st.uidnext ||
		   was.uidvalidity != st.uidvalidity;
	flags = (b->events & NOTIFY_FLAGS) &&
		(was.unseen != st.unseen ||
		 ((s->enabled & IMAP_EN_CONDSTORE) && was.modseq != st.highestmodseq));
	if (messages || flags || !was.counted) {
		put_status(s, b->name, &st, b->events, messages || !was.counted);
	}
}

/* ---- LIST --------------------------------------------------------------- */

CO_FN static void put_list(struct imap *s, const struct seen *b, struct slice old)
{
	struct buf line = BUF_INIT(IMAP_LINE_MAX);

	buf_adds(&line, "* LIST (");
	buf_adds(&line, b->id ? "" : "\\NonExistent ");
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

static bool is_own(const struct own *own, struct slice name)
{
	for (size_t i = 0; i < own->n; i++) {
		if (is_below(name, own->names[i])) {
			return true;
		}
	}
	return false;
}

static struct slice parent_of(struct slice name)
{
	size_t n = name.n;

	while (n > 0 && name.p[n - 1] != '/') {
		n--;
	}
	return slice_sub(name, 0, n ? n - 1 : 0);
}

/* ---- the list, then and now --------------------------------------------- */

struct compare {
	struct imap *s;
	const struct own *own;
	struct seen *was, *now;
	size_t n_was, n_now;
	struct table by_id;   /* was, those that existed */
	struct table by_name; /* was */
	struct table now_by_name;
	struct table now_by_id;
};

static int copy_info(const struct notify_set *set, const struct store_mailbox_info *i,
		     struct seen *b)
{
	char *name = malloc(MAX(i->name.n, 1));

	if (!name) {
		return -ENOMEM;
	}
	memcpy(name, i->name.p, i->name.n);
	*b = (struct seen){
		.name = slice_make(name, i->name.n),
		.id = i->exists ? i->id : 0,
		.events = wanted(set, i->name, i->subscribed),
		.subscribed = i->subscribed,
		.has_children = i->has_children,
		.uses = i->uses,
	};
	return 0;
}

/* The list of the moment, as malloc'ed entries. */
CO_FN static int load(struct imap *s, const struct notify_set *set, struct seen **out,
		      size_t *n_out)
{
	struct arena a;
	struct err e = ERR_INIT;
	struct look l = { .arena = &a, .e = &e };
	size_t k = 0;
	struct seen *v = NULL;
	int r;

	arena_init(&a, NOTIFY_LIST_MAX);
	r = imap_on_account(s, s->id.account, look_list, &l, &e);
	if (r == STORE_OK) {
		v = calloc(MAX(l.n, 1), sizeof(*v));
		r = v ? STORE_OK : -ENOMEM;
	}
	while (r == STORE_OK && k < l.n) {
		r = copy_info(set, &l.m[k], &v[k]);
		k += r == STORE_OK;
	}
	arena_fini(&a);
	if (r != STORE_OK) {
		free_seen(v, k);
		return r;
	}
	*out = v;
	*n_out = k;
	return STORE_OK;
}

static int index_all(struct compare *c)
{
	int r = 0;

	for (size_t i = 0; i < c->n_was; i++) {
		r |= table_put(&c->by_name, c->was[i].name, &c->was[i], NULL);
		r |= c->was[i].id ? table_put_u64(&c->by_id, c->was[i].id, &c->was[i], NULL) : 0;
	}
	for (size_t i = 0; i < c->n_now; i++) {
		r |= table_put(&c->now_by_name, c->now[i].name, &c->now[i], NULL);
		r |= c->now[i].id ? table_put_u64(&c->now_by_id, c->now[i].id, &c->now[i], NULL)
				  : 0;
	}
	return r ? -ENOMEM : 0;
}

/* The mailbox above changed too: it has or lost a child (5.4). */
CO_FN static void tell_parent(struct compare *c, struct slice name)
{
	struct slice parent = parent_of(name);
	const struct seen *p = parent.n ? table_get(&c->now_by_name, parent) : NULL;
	struct seen none = { .name = parent };

	if (!parent.n) {
		return;
	}
	if (!p) {
		none.events = wanted(&c->s->notify->set, parent, false);
		p = &none;
	}
	if (p->events & NOTIFY_NAME) {
		put_list(c->s, p, S(""));
	}
}

/* Was a mailbox above this one renamed, so that this went with it? */
static bool parent_moved(const struct compare *c, const struct seen *was, const struct seen *now)
{
	const struct seen *p = table_get(&c->by_name, parent_of(was->name));
	const struct seen *q = p && p->id ? table_get_u64(&c->now_by_id, p->id) : NULL;

	return q && !slice_eq(p->name, q->name) && slice_eq(parent_of(now->name), q->name);
}

/* One mailbox of now: new, renamed, or only subscribed otherwise. */
CO_FN static void tell_now(struct compare *c, struct seen *now)
{
	const struct seen *was = now->id ? table_get_u64(&c->by_id, now->id) : NULL;
	const struct seen *same = table_get(&c->by_name, now->name);
	bool own = is_own(c->own, now->name);

	if (was) {
		now->counted = was->counted;
		now->uidvalidity = was->uidvalidity;
		now->messages = was->messages;
		now->uidnext = was->uidnext;
		now->unseen = was->unseen;
		now->modseq = was->modseq;
	}
	if (own) {
		return;
	}
	if (now->id && !was) {
		if (now->events & NOTIFY_NAME) {
			put_list(c->s, now, S(""));
		}
		tell_parent(c, now->name);
	} else if (was && !slice_eq(was->name, now->name) && !parent_moved(c, was, now)) {
		if ((now->events | was->events) & NOTIFY_NAME) {
			put_list(c->s, now, was->name);
		}
	} else if (now->subscribed != (same && same->subscribed) &&
		   ((now->events | (same ? same->events : 0)) & NOTIFY_SUBSCRIPTION)) {
		put_list(c->s, now, S(""));
	}
}

/* One mailbox or name of then that is not there any more. */
CO_FN static void tell_gone(struct compare *c, const struct seen *was)
{
	const struct seen *now = table_get(&c->now_by_name, was->name);
	struct seen none = { .name = was->name };
	bool deleted = was->id && !table_get_u64(&c->now_by_id, was->id);
	unsigned why = deleted ? NOTIFY_NAME : NOTIFY_SUBSCRIPTION;

	if (is_own(c->own, was->name) || (now && now->id)) {
		return;
	}
	if (!deleted && (was->id || !was->subscribed || now)) {
		return; /* renamed, or not more gone than before */
	}
	if (was->events & why) {
		put_list(c->s, now ? now : &none, S(""));
	}
	if (deleted) {
		tell_parent(c, was->name);
	}
}

CO_FN static int compare_lists(struct compare *c)
{
	table_init(&c->by_id);
	table_init(&c->by_name);
	table_init(&c->now_by_name);
	table_init(&c->now_by_id);
	int r = index_all(c);

	for (size_t i = 0; r == 0 && i < c->n_was; i++) {
		tell_gone(c, &c->was[i]);
	}
	for (size_t i = 0; r == 0 && i < c->n_now; i++) {
		tell_now(c, &c->now[i]);
	}
	table_fini(&c->by_id);
	table_fini(&c->by_name);
	table_fini(&c->now_by_name);
	table_fini(&c->now_by_id);
	return r;
}

CO_FN static int tell_list(struct imap *s, const struct own *own)
{
	struct imap_notify *n = s->notify;
	struct compare c = { .s = s, .own = own, .was = n->seen, .n_was = n->n_seen };
	int r = load(s, &n->set, &c.now, &c.n_now);

	if (r != STORE_OK) {
		return r;
	}
	r = compare_lists(&c);
	free_seen(c.was, c.n_was);
	n->seen = c.now;
	n->n_seen = c.n_now;
	return r;
}

/* ---- annotations -------------------------------------------------------- */

static unsigned wanted_anywhere(const struct notify_set *set)
{
	unsigned bits = 0;

	for (size_t i = 0; i < set->n_groups; i++) {
		bits |= set->groups[i].events;
	}
	return bits;
}

static bool noted_name(const struct imap *s, store_id box, struct slice *name_out)
{
	const struct imap_notify *n = s->notify;

	*name_out = S("");
	if (box == 0) {
		return wanted_anywhere(&n->set) & NOTIFY_SERVER_METADATA;
	}
	for (size_t i = 0; i < n->n_seen; i++) {
		if (n->seen[i].id == box) {
			*name_out = n->seen[i].name;
			return n->seen[i].events & NOTIFY_METADATA;
		}
	}
	return false;
}

/* ---- news --------------------------------------------------------------- */

CO_FN static int tell_account(struct imap *s, const struct imap_cmd *cmd, const struct own *own)
{
	struct imap_notify *n = s->notify;
	struct store_changes ch;
	struct arena a;
	int r;

	arena_init(&a, NOTIFY_LIST_MAX);
	r = store_watch_take(n->watch, &a, &ch);
	ch.list = ch.list || n->look;
	if (r == STORE_OK && ch.list) {
		r = tell_list(s, own);
	}
	if (r == STORE_OK && n->noted && (ch.metadata || n->look)) {
		r = imap_noted_tell(s, cmd, &n->noted, noted_name);
	}
	for (size_t i = 0; r == STORE_OK && i < n->n_seen; i++) {
		struct seen *b = &n->seen[i];
		bool changed = (ch.list && b->id && !b->counted) || n->look;
		for (size_t k = 0; k < ch.n_boxes && !changed; k++) {
			changed = ch.boxes[k] == b->id;
		}
		if (changed) {
			tell_messages(s, b);
		}
	}
	arena_fini(&a);
	n->look = n->look && r != STORE_OK;
	return r == STORE_GONE ? STORE_OK : r;
}

/* What was asked for of messages that are new in the selected mailbox. */
CO_FN static void tell_new(struct imap *s, uint32_t last_uid)
{
	uint32_t count = store_view_count(s->view);
	uint32_t from =
		last_uid == UINT32_MAX ? count + 1 : store_view_lower(s->view, last_uid + 1);
	struct slice items = s->notify->set.fetch;

	if (items.n && from <= count) {
		imap_fetch_news(s, items, from, count);
	}
}

CO_FN static int tell_selected(struct imap *s, struct arena *a, unsigned how)
{
	const struct notify_set *set = &s->notify->set;
	uint32_t last;
	int r;

	if (!s->view) {
		return STORE_OK;
	}
	last = imap_view_star(s, true);
	s->notify->own = how & IMAP_NEWS_OWN;
	r = imap_view_sync(s, a, how & IMAP_NEWS_EXPUNGE, true);
	s->notify->own = false;
	if (r == STORE_OK && (set->selected & NOTIFY_NEW)) {
		tell_new(s, last);
	}
	return r;
}

bool imap_notify_frozen(const struct imap *s)
{
	return s->notify && !(s->notify->set.selected & NOTIFY_NEW) && !s->notify->own;
}

bool imap_notify_flags(const struct imap *s)
{
	return !s->notify || (s->notify->set.selected & NOTIFY_FLAGS);
}

CO_FN void imap_notify_leave(struct imap *s)
{
	if (s->notify) {
		store_watch_free(&s->notify->watch);
	}
}

/* We cannot go on: as if NOTIFY NONE had been said (5.8). */
CO_FN static void overflow(struct imap *s)
{
	struct imap_notify *none = imap_notify_new();

	conn_write(imap_conn(s), S("* OK [NOTIFICATIONOVERFLOW] Events are not told any more\r\n"));
	imap_notify_end(s);
	s->notify = none;
}

CO_FN void imap_notify_arrive(struct imap *s)
{
	struct imap_notify *n = s->notify;
	struct err e = ERR_INIT;

	if (!n || n->set.n_groups == 0) {
		return;
	}
	co_event_init(&n->news);
	n->look = true;
	if (store_watch_new(s->base.env->store, s->id.account, &n->news, &n->watch, &e)) {
		overflow(s);
	} else {
		co_event_set(&n->news);
	}
}

CO_FN int imap_news(struct imap *s, struct imap_cmd *cmd, struct arena *a, unsigned how)
{
	struct own own = { cmd ? cmd->names : NULL, cmd ? cmd->n_names : 0 };
	int r;

	if (!s->notify) {
		return imap_view_sync(s, a, how & IMAP_NEWS_EXPUNGE, how & IMAP_NEWS_UID);
	}
	r = tell_selected(s, a, how);
	if (r == STORE_OK && s->notify->watch) {
		if (tell_account(s, cmd, &own) < 0) {
			overflow(s);
		}
	}
	return r;
}

struct co_event *imap_notify_event(struct imap *s)
{
	if (!s->notify) {
		return NULL;
	}
	if (s->view) {
		store_view_wake(s->view, &s->notify->news);
	}
	return &s->notify->news;
}

CO_FN void imap_news_idle(struct imap *s)
{
	struct arena a;
	bool expunge = s->notify && !s->notify->set.delayed;

	arena_init(&a, IMAP_ARENA_MAX);
	imap_news(s, NULL, &a, expunge ? IMAP_NEWS_EXPUNGE : 0);
	imap_modseq_news(s);
	arena_fini(&a);
}

/* ---- beginning ---------------------------------------------------------- */

/* Counts of all that is watched, and the STATUS responses if they are wanted. */
CO_FN static void first_status(struct imap *s, struct imap_notify *n)
{
	for (size_t i = 0; i < n->n_seen && imap_conn(s)->err == 0; i++) {
		struct seen *b = &n->seen[i];
		struct store_status st;
		if (!b->id || !(b->events & NOTIFY_MESSAGES) || get_status(s, b, &st) != STORE_OK) {
			continue;
		}
		keep_status(b, &st);
		if (n->set.status && !is_selected(s, b)) {
			put_status(s, b->name, &st, b->events, true);
		}
	}
}

CO_FN int imap_notify_begin(struct imap_cmd *cmd, struct imap_notify **np)
{
	struct imap *s = cmd->s;
	struct imap_notify *n = *np;
	struct err e = ERR_INIT;
	int r = STORE_OK;

	/* Watch first, look then: what happens between is told twice at most. */
	if (n->set.n_groups > 0) {
		r = store_watch_new(s->base.env->store, s->id.account, &n->news, &n->watch, &e);
		r = r ? r : load(s, &n->set, &n->seen, &n->n_seen);
	}
	if (r == STORE_OK &&
	    (wanted_anywhere(&n->set) & (NOTIFY_METADATA | NOTIFY_SERVER_METADATA))) {
		r = imap_noted_load(s, &n->noted);
	}
	if (r != STORE_OK) {
		return r;
	}
	*np = NULL;
	imap_notify_end(s);
	s->notify = n;
	first_status(s, n);
	return STORE_OK;
}
