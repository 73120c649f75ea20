/*
 * The indexer of a home: keeps summaries and full-text indexes up to date in
 * the background.
 *
 * A mailbox in which something changed is put into the home's list with a
 * time at which it will have come to rest; one coroutine a home takes them in
 * that order, one step after the other. It holds no lock while it reads, runs
 * half of the time at most, and ends when its loop stops. A mailbox that
 * leaves memory leaves the list: whoever opens it puts it there again.
 */
#include "store/index.h"

#define RETRY_MS (5 * 60 * 1000) /* after a failure */
#define REST_MAX_MS (2 * 60 * 1000)
#define STEPS_MAX 1000 /* of one mailbox before the others get their turn */

void text_touch(struct store_mailbox *m, int64_t rest_ms)
{
	struct home *h = m->a->home;

	if (!h->text_on || m->gone) {
		return;
	}
	int64_t now = clock_mono();

	if (list_empty(&m->text.due)) {
		list_push(&h->text_due, &m->text.due);
		m->text.since = now;
	}
	/* Mail that never rests is indexed all the same. */
	m->text.at =
		MIN(now + rest_ms * NSEC_PER_MSEC, m->text.since + REST_MAX_MS * NSEC_PER_MSEC);
	co_event_set(&h->text_wake);
}

void text_forget(struct store_mailbox *m)
{
	if (!list_empty(&m->text.due)) {
		list_del(&m->text.due);
	}
}

static struct store_mailbox *earliest(struct home *h)
{
	struct store_mailbox *best = NULL;

	list_each(it, &h->text_due) {
		struct store_mailbox *m = list_of(it, struct store_mailbox, text.due);

		if (!best || m->text.at < best->text.at) {
			best = m;
		}
	}
	return best;
}

/* 0, or <0: the coroutine ends. */
CO_FN static int look_after(struct store_mailbox *m)
{
	struct err e = ERR_INIT;

	if (m->text.busy) {
		text_touch(m, TEXT_REST_MS); /* a search is at it */
		return 0;
	}
	int r = box_load(m, &e);

	for (int i = 0; r == 0 && i < STEPS_MAX; i++) {
		r = index_step(m, INDEX_GENTLY, INT64_MAX, &e);
		if (r != 1) {
			break;
		}
		r = co_yield();
		r = r ? r : i + 1 == STEPS_MAX;
	}
	if (r == 1) {
		text_touch(m, 0); /* later more */
		r = 0;
	}
	if (r == 0) {
		r = summaries_fill(m, &e);
	}
	if (r == -ECANCELED) {
		return r;
	}
	if (r && r != STORE_GONE) {
		text_touch(m, RETRY_MS); /* a full disk, a message out of reach */
	}
	return 0;
}

CO_FN static int run(struct home *h)
{
	for (;;) {
		struct store_mailbox *m = earliest(h);
		int64_t at = m ? m->text.at : CLOCK_NEVER;

		co_event_clear(&h->text_wake);
		if (!m || at > clock_mono()) {
			int r = co_event_wait(&h->text_wake, at);

			if (r == -ECANCELED) {
				return r;
			}
			continue;
		}
		text_forget(m);
		box_ref(m);
		int r = look_after(m);

		box_unref(m);
		if (r) {
			return r;
		}
	}
}

static void indexer(void *arg)
{
	struct home *h = arg;

	co_enter();
	run(h);
	h->text_on = false;
}

static void start(void *arg)
{
	struct home *h = arg;

	if (!h->text_on) {
		co_event_init(&h->text_wake);
		h->text_on = co_spawn("indexer", indexer, h, NULL) == 0;
	}
}

void store_text_start(struct store *s)
{
	for (size_t i = 0; i < s->n_homes; i++) {
		struct home *h = &s->homes[i];

		if (h->loop) {
			h->text_post = (struct co_post){ .fn = start, .arg = h };
			co_post(h->loop, &h->text_post);
		}
	}
}
