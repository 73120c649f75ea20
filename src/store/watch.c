/*
 * watch: see watch.h.
 *
 * Every change gives the account the next stamp, and what changed carries it.
 * A watch of the home's own loop is woken by its event; one of another loop by
 * a post, of which at most one is under way, and which frees the watch if its
 * owner has let go of it meanwhile.
 */
#include "store/watch.h"

#include <stdlib.h>

#include "store/impl.h"

struct store_watch {
	struct list link; /* a->watches; the home's */
	struct store *s;
	store_id account;
	struct store_account *a; /* the home's */
	struct co_loop *loop;	 /* the owner's, from here on */
	struct co_event *ev;
	uint64_t seen; /* the home's, in co_call */
	struct co_post post;
	atomic_bool posted;
	bool unlinked; /* nobody will post it again */
	bool dead;     /* its owner let go of it */
};

/* On the owner's loop. */
static void arrived(void *arg)
{
	struct store_watch *w = arg;

	atomic_store(&w->posted, false);
	if (!w->dead) {
		co_event_set(w->ev);
	} else if (w->unlinked) {
		free(w);
	}
}

void account_wake(struct store_account *a)
{
	list_each(it, &a->watches) {
		struct store_watch *w = list_of(it, struct store_watch, link);

		if (!w->loop || w->loop == a->home->loop) {
			co_event_set(w->ev);
		} else if (!atomic_exchange(&w->posted, true)) {
			co_post(w->loop, &w->post);
		}
	}
}

void account_list_changed(struct store_account *a)
{
	a->list_stamp = ++a->stamp;
	account_wake(a);
}

void account_metadata_changed(struct store_account *a, struct store_mailbox *m)
{
	a->stamp++;
	if (m) {
		m->metadata_stamp = a->stamp;
	} else {
		a->metadata_stamp = a->stamp;
	}
	account_wake(a);
}

/* ---- on the home -------------------------------------------------------- */

struct opening {
	struct store_watch *w;
	struct err *e;
};

CO_FN static int begin(void *arg)
{
	struct opening *o = arg;
	struct store_watch *w = o->w;

	co_enter();
	int r = store_account_open(w->s, w->account, &w->a, o->e);

	if (r == STORE_OK) {
		w->seen = w->a->stamp;
		list_push(&w->a->watches, &w->link);
	}
	return r;
}

CO_FN static int end(void *arg)
{
	struct store_watch *w = arg;

	co_enter();
	list_del(&w->link);
	store_account_close(&w->a);
	w->unlinked = true;
	return 0;
}

struct taking {
	struct store_watch *w;
	struct arena *arena;
	struct store_changes *out;
};

static uint64_t stamp_of(const struct store_mailbox *m, bool metadata)
{
	return metadata ? m->metadata_stamp : m->stamp;
}

/* The mailboxes whose messages, or annotations, changed. */
static int take_boxes(const struct taking *t, bool metadata, store_id **out, size_t *n_out)
{
	struct store_account *a = t->w->a;
	size_t n = 0;

	list_each(it, &a->boxes) {
		n += stamp_of(list_of(it, struct store_mailbox, link), metadata) > t->w->seen;
	}
	*out = arena_array(t->arena, n, sizeof(**out));
	if (!*out) {
		return -ENOMEM;
	}
	list_each(it, &a->boxes) {
		const struct store_mailbox *m = list_of(it, struct store_mailbox, link);

		if (stamp_of(m, metadata) > t->w->seen) {
			(*out)[(*n_out)++] = m->id;
		}
	}
	return 0;
}

static int take(void *arg)
{
	struct taking *t = arg;
	struct store_account *a = t->w->a;
	int r;

	if (a->gone) {
		return STORE_GONE;
	}
	r = take_boxes(t, false, &t->out->boxes, &t->out->n_boxes);
	r = r ? r : take_boxes(t, true, &t->out->noted, &t->out->n_noted);
	if (r == 0) {
		t->out->list = a->list_stamp > t->w->seen;
		t->out->server = a->metadata_stamp > t->w->seen;
		t->w->seen = a->stamp;
	}
	return r;
}

/* ---- the door ----------------------------------------------------------- */

CO_FN int store_watch_new(struct store *s, store_id account, struct co_event *ev,
			  struct store_watch **out, struct err *e)
{
	struct store_watch *w = calloc(1, sizeof(*w));
	struct opening o = { w, e };

	if (!w) {
		return err_set(e, -ENOMEM, "watching an account", NULL);
	}
	w->s = s;
	w->account = account;
	w->ev = ev;
	w->loop = co_self() ? co_loop_self() : NULL;
	w->post = (struct co_post){ .fn = arrived, .arg = w };
	list_init(&w->link);
	int r = home_call(s, account, begin, &o);

	if (r != STORE_OK) {
		free(w);
		return r;
	}
	*out = w;
	return STORE_OK;
}

CO_FN void store_watch_free(struct store_watch **wp)
{
	struct store_watch *w = *wp;

	if (!w) {
		return;
	}
	*wp = NULL;
	home_call(w->s, w->account, end, w);
	w->dead = true;
	/* Not unlinked: the home is stopping, and what it holds ends with it. */
	if (w->unlinked && !atomic_load(&w->posted)) {
		free(w);
	}
}

CO_FN int store_watch_take(struct store_watch *w, struct arena *a, struct store_changes *out)
{
	struct store_changes c = { 0 };
	struct taking t = { w, a, &c };
	int r = home_call(w->s, w->account, take, &t);

	if (r == STORE_OK) {
		*out = c;
	}
	return r;
}
