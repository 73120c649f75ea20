/*
 * notify: the news of a session that used NOTIFY (RFC 5465).
 *
 * Of the selected mailbox the view knows what is new (view.c). For the others
 * the accounts they are in are watched (store/watch.h): the session's own, and
 * those that share something it asked for; notify_box.c tells the difference.
 * Called by the session before each tagged reply, between commands and in
 * IDLE.
 */
#include "imap/notify.h"

#include <stdlib.h>

#include "store/watch.h"

#define NOTIFY_ARENA_MAX (2u * 1024 * 1024) /* of what was asked for */
#define NEWS_ARENA_MAX (1024u * 1024)	    /* of what changed */

struct watched {
	store_id account;
	struct store_watch *watch;
	bool look; /* the watch is new: look at everything once */
};

struct imap_notify {
	struct arena arena;
	struct notify_set set;
	struct co_event news; /* of the selected mailbox, or of an account */
	bool own;	      /* what happens now is the command's own doing */
	struct watched watched[NOTIFY_ACCOUNTS_MAX];
	size_t n_watched; /* the session's own account first */
	struct notify_boxes boxes;
	struct notify_box server; /* no mailbox: the server's annotations */
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

CO_FN static void watch_nothing(struct imap_notify *n)
{
	while (n->n_watched > 0) {
		store_watch_free(&n->watched[--n->n_watched].watch);
	}
}

CO_FN void imap_notify_free(struct imap_notify **np)
{
	struct imap_notify *n = *np;

	if (n) {
		watch_nothing(n);
		notify_boxes_free(&n->boxes);
		notify_box_forget(&n->server);
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

/* We cannot go on: as if NOTIFY NONE had been said (5.8). */
CO_FN static void overflow(struct imap *s)
{
	struct imap_notify *none = imap_notify_new();

	conn_write(imap_conn(s), S("* OK [NOTIFICATIONOVERFLOW] Events are not told any more\r\n"));
	imap_notify_end(s);
	s->notify = none;
}

/* ---- which accounts are watched ----------------------------------------- */

static bool is_watched(const struct imap_notify *n, store_id account)
{
	for (size_t i = 0; i < n->n_watched; i++) {
		if (n->watched[i].account == account) {
			return true;
		}
	}
	return false;
}

/* STORE_OK, STORE_LIMIT, <0. An account that is gone has nothing to tell. */
CO_FN static int watch_one(struct imap *s, struct imap_notify *n, store_id account)
{
	struct watched *w = &n->watched[n->n_watched];
	struct err e = ERR_INIT;
	int r;

	if (is_watched(n, account)) {
		return STORE_OK;
	}
	if (n->n_watched == NOTIFY_ACCOUNTS_MAX) {
		return STORE_LIMIT;
	}
	*w = (struct watched){ .account = account, .look = true };
	r = store_watch_new(s->base.env->store, account, &n->news, &w->watch, &e);
	n->n_watched += r == STORE_OK;
	return r == STORE_NOTFOUND ? STORE_OK : r;
}

static bool has_boxes_of(const struct imap_notify *n, store_id account)
{
	for (size_t i = 0; i < n->boxes.n; i++) {
		if (n->boxes.v[i].key.id && n->boxes.v[i].key.account == account) {
			return true;
		}
	}
	return false;
}

/* Watches the accounts of what is in the list, and no others. */
CO_FN static int watch_all(struct imap *s, struct imap_notify *n)
{
	int r = STORE_OK;

	for (size_t i = n->n_watched; i > 1; i--) {
		if (!has_boxes_of(n, n->watched[i - 1].account)) {
			store_watch_free(&n->watched[i - 1].watch);
			n->watched[i - 1] = n->watched[--n->n_watched];
		}
	}
	for (size_t i = 0; i < n->boxes.n && r == STORE_OK; i++) {
		if (n->boxes.v[i].key.id) {
			r = watch_one(s, n, n->boxes.v[i].key.account);
		}
	}
	return r;
}

CO_FN void imap_notify_leave(struct imap *s)
{
	if (s->notify) {
		watch_nothing(s->notify);
	}
}

CO_FN void imap_notify_arrive(struct imap *s)
{
	struct imap_notify *n = s->notify;

	if (!n || n->set.n_groups == 0) {
		return;
	}
	co_event_init(&n->news);
	if (watch_one(s, n, s->id.account) || watch_all(s, n)) {
		overflow(s);
	} else {
		co_event_set(&n->news);
	}
}

/* ---- news of accounts --------------------------------------------------- */

static bool has_id(const store_id *v, size_t n, store_id id)
{
	for (size_t i = 0; i < n; i++) {
		if (v[i] == id) {
			return true;
		}
	}
	return false;
}

/* What changed in the account's mailboxes. */
CO_FN static void tell_boxes(struct imap *s, const struct watched *w,
			     const struct store_changes *ch, const struct notify_own *own)
{
	struct imap_notify *n = s->notify;

	for (size_t i = 0; i < n->boxes.n; i++) {
		struct notify_box *b = &n->boxes.v[i];
		if (b->key.account != w->account || !b->key.id) {
			continue;
		}
		if (w->look || has_id(ch->boxes, ch->n_boxes, b->key.id)) {
			notify_box_messages(s, b, false);
		}
		if (w->look || has_id(ch->noted, ch->n_noted, b->key.id)) {
			notify_box_notes(s, b, notify_is_own(own, b->name));
		}
	}
	if (w->account == s->id.account && (w->look || ch->server)) {
		notify_box_notes(s, &n->server, notify_is_own(own, S("")));
	}
}

/* The list was changed somewhere: its news, and whom to watch from now on. */
CO_FN static int tell_list(struct imap *s, const struct notify_own *own)
{
	struct imap_notify *n = s->notify;
	int r = notify_boxes_reload(s, &n->set, own, &n->boxes);

	r = r ? r : watch_all(s, n);
	for (size_t i = 0; r == STORE_OK && i < n->boxes.n; i++) {
		struct notify_box *b = &n->boxes.v[i];
		if (!b->counted) {
			notify_box_messages(s, b, false);
		}
		if (!b->noted) {
			notify_box_notes(s, b, false);
		}
	}
	return r;
}

CO_FN static int tell_accounts(struct imap *s, const struct notify_own *own)
{
	struct imap_notify *n = s->notify;
	struct store_changes *ch;
	struct arena a;
	size_t count = n->n_watched;
	bool list = false;
	int r = STORE_OK;

	arena_init(&a, NEWS_ARENA_MAX);
	ch = arena_array(&a, NOTIFY_ACCOUNTS_MAX, sizeof(*ch));
	for (size_t i = 0; ch && i < count && r == STORE_OK; i++) {
		r = store_watch_take(n->watched[i].watch, &a, &ch[i]);
		list = list || r == STORE_GONE || ch[i].list || n->watched[i].look;
		r = r == STORE_GONE ? STORE_OK : r;
	}
	/* Before the list is looked at again: that may reorder the watches. */
	for (size_t i = 0; ch && i < count && r == STORE_OK; i++) {
		struct watched w = n->watched[i];
		n->watched[i].look = false;
		tell_boxes(s, &w, &ch[i], own);
	}
	if (ch && r == STORE_OK && list) {
		r = tell_list(s, own);
	}
	arena_fini(&a);
	return ch ? r : -ENOMEM;
}

/* ---- news of the selected mailbox --------------------------------------- */

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

/* ---- all of it ---------------------------------------------------------- */

CO_FN int imap_news(struct imap *s, struct imap_cmd *cmd, struct arena *a, unsigned how)
{
	struct notify_own own = { cmd ? cmd->names : NULL, cmd ? cmd->n_names : 0 };
	int r;

	if (!s->notify) {
		return imap_view_sync(s, a, how & IMAP_NEWS_EXPUNGE, how & IMAP_NEWS_UID);
	}
	r = tell_selected(s, a, how);
	if (r == STORE_OK && s->notify->n_watched > 0 && tell_accounts(s, &own) != STORE_OK) {
		overflow(s);
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

/* What there is: watched first and looked at then, so that nothing is missed
 * between; what happens meanwhile is told at the most once too often. */
CO_FN static int look_first(struct imap *s, struct imap_notify *n)
{
	int r;

	if (n->set.n_groups == 0) {
		return STORE_OK;
	}
	r = watch_one(s, n, s->id.account);
	r = r ? r : notify_boxes_load(s, &n->set, &n->boxes);
	r = r ? r : watch_all(s, n);
	for (size_t i = 0; i < n->n_watched; i++) {
		n->watched[i].look = i > 0; /* of the others, after the list */
	}
	n->server.key.account = s->id.account;
	for (size_t i = 0; i < n->set.n_groups; i++) {
		n->server.events |= n->set.groups[i].events & NOTIFY_SERVER_METADATA;
	}
	return r;
}

CO_FN int imap_notify_begin(struct imap_cmd *cmd, struct imap_notify **np)
{
	struct imap *s = cmd->s;
	struct imap_notify *n = *np;
	int r = look_first(s, n);

	if (r != STORE_OK) {
		return r;
	}
	*np = NULL;
	imap_notify_end(s);
	s->notify = n;
	for (size_t i = 0; i < n->boxes.n && imap_conn(s)->err == 0; i++) {
		notify_box_begin(s, &n->boxes.v[i], n->set.status);
	}
	notify_box_notes(s, &n->server, true);
	return STORE_OK;
}
