/*
 * Changing messages that exist: flags and expunge; and what went since.
 *
 * Both hold the mailbox's lock from looking to applied. Very large changes
 * are cut into several commits, so that no batch grows without bound; each
 * is whole by itself. Expunge marks (for QRESYNC) are kept by page of UIDs;
 * far below UIDNEXT they are forgotten, and whoever asks from before that
 * hears of every missing UID, which is always right, if long.
 */
#include <stdlib.h>

#include "store/impl.h"

/* ---- flags -------------------------------------------------------------- */

static struct store_flags combine(const struct msg *e, enum store_flag_op op, struct store_flags f)
{
	struct store_flags r = { e->system, e->keywords };

	switch (op) {
	case STORE_FLAGS_SET:
		r = f;
		break;
	case STORE_FLAGS_ADD:
		r.system |= f.system;
		r.keywords |= f.keywords;
		break;
	case STORE_FLAGS_REMOVE:
		r.system &= ~f.system;
		r.keywords &= ~f.keywords;
		break;
	}
	r.system &= 31;
	return r;
}

/* One call's change, as it goes over the messages. */
struct change {
	struct store_mailbox *m;
	enum store_flag_op op;
	struct store_flags flags;
	struct store_flags_if *c; /* NULL: no conditions */
	uint32_t *known;	  /* of a commit: what the client knows to the end */
	size_t n_known;
};

/* Is this one to be left alone? Then it is noted. */
static bool left_alone(struct change *x, const struct msg *e)
{
	if (!x->c || e->modseq <= x->c->unchanged_since) {
		return false;
	}
	x->c->left[x->c->n_left++] = e->uid;
	return true;
}

/* The flags that e is to have. */
static struct store_flags changed(const struct msg *e, enum store_flag_op op, struct store_flags f,
				  const struct store_flags_if *c)
{
	f = combine(e, op, f);
	if (c && c->masked) {
		f.system = (f.system & c->mask.system) | (e->system & ~c->mask.system);
		f.keywords = (f.keywords & c->mask.keywords) | (e->keywords & ~c->mask.keywords);
	}
	return f;
}

void store_view_change_gone(struct store_view *v, uint32_t seq, enum store_flag_op op,
			    struct store_flags flags, const struct store_flags_if *c)
{
	struct msg *e = view_msg(v, seq);

	if (e->gone_at) {
		struct store_flags f = changed(e, op, flags, c);
		e->system = (uint8_t)f.system;
		e->keywords = f.keywords;
	}
}

static int add_edit(struct change *x, struct txn *t, const struct msg *e)
{
	struct store_flags f = changed(e, x->op, x->flags, x->c);
	struct edit edit = { e->uid, (uint8_t)f.system, f.keywords };

	if (f.system == e->system && f.keywords == e->keywords) {
		return 0;
	}
	if (x->known && !view_is_news(x->c->view, e)) {
		x->known[x->n_known++] = e->uid;
	}
	return txn_edit(t, &edit);
}

static int add_edits(struct change *x, struct txn *t, const uint32_t *uids, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct msg *e = box_live(x->m, uids[i]);

		if (!e || left_alone(x, e)) {
			continue;
		}
		if (add_edit(x, t, e)) {
			return -ENOMEM;
		}
	}
	return 0;
}

/* One commit, with the lock held. */
CO_FN static int change_chunk(struct change *x, const uint32_t *uids, size_t n, struct err *e)
{
	struct txn *t = txn_new(x->m, true);

	x->n_known = 0;
	if (!t) {
		return err_set(e, -ENOMEM, "changing flags", NULL);
	}
	int r = add_edits(x, t, uids, n);

	if (r == 0 && t->n_edit) {
		r = txn_seal(t);
		r = r ? r : txn_commit(&t, 1, e);
		for (size_t i = 0; r == 0 && i < x->n_known; i++) {
			view_told_uid(x->c->view, x->known[i], t->modseq);
		}
	}
	txn_free(&t);
	return r;
}

CO_FN int store_flags_change_if(struct store_mailbox *m, const uint32_t *uids, size_t n,
				enum store_flag_op op, struct store_flags flags,
				struct store_flags_if *c, struct err *e)
{
	struct change x = { .m = m, .op = op, .flags = flags, .c = c };
	int r = box_lock(m, e);

	if (r) {
		return r;
	}
	if (c) {
		c->n_left = 0;
	}
	if (c && c->view) {
		x.known = calloc(MIN(n, FLAGS_CHUNK) + 1, sizeof(*x.known));
		r = x.known ? 0 : -ENOMEM;
	}
	for (size_t i = 0; i < n && r == 0; i += FLAGS_CHUNK) {
		r = change_chunk(&x, uids + i, MIN(n - i, FLAGS_CHUNK), e);
	}
	co_mutex_unlock(&m->lock);
	free(x.known);
	return r;
}

CO_FN int store_flags_change(struct store_mailbox *m, const uint32_t *uids, size_t n,
			     enum store_flag_op op, struct store_flags flags, struct err *e)
{
	return store_flags_change_if(m, uids, n, op, flags, NULL, e);
}

CO_FN static int touch(struct store_mailbox *m, struct err *e)
{
	struct txn *t = txn_new(m, true);
	int r = -ENOMEM;

	if (t) {
		t->touch = true;
		r = txn_seal(t);
		r = r ? r : txn_commit(&t, 1, e);
	}
	txn_free(&t);
	return r;
}

CO_FN int box_touch(struct store_mailbox *m, struct err *e)
{
	box_ref(m);
	int r = box_load(m, e);

	r = r ? r : box_lock(m, e);
	if (r == 0) {
		r = touch(m, e);
		co_mutex_unlock(&m->lock);
	}
	box_unref(m);
	return r;
}

/* ---- expunge ------------------------------------------------------------ */

static int add_del(struct txn *t, const struct msg *e, bool only_deleted)
{
	if (!e || e->gone_at || (only_deleted && !(e->system & STORE_DELETED))) {
		return 0;
	}
	return txn_del(t, e->uid);
}

/* Up to one chunk of deletions; *at moves on. */
static int add_dels(struct txn *t, const uint32_t *uids, size_t n, size_t *at, bool only_deleted)
{
	const struct store_mailbox *m = t->m;
	size_t end = uids ? n : m->n;
	int r = 0;

	while (*at < end && t->n_del < EXPUNGE_CHUNK && r == 0) {
		const struct msg *e = uids ? box_live(m, uids[*at]) : &m->v[*at];

		r = add_del(t, e, only_deleted);
		++*at;
	}
	return r;
}

CO_FN static int expunge_chunk(struct store_mailbox *m, const uint32_t *uids, size_t n, size_t *at,
			       bool only_deleted, size_t *removed, struct err *e)
{
	struct txn *t = txn_new(m, true);

	if (!t) {
		return err_set(e, -ENOMEM, "expunging", NULL);
	}
	int r = add_dels(t, uids, n, at, only_deleted);

	if (r == 0 && t->n_del) {
		r = txn_read_vanished(t, e);
		r = r ? r : txn_seal(t);
		r = r ? r : txn_commit(&t, 1, e);
		*removed += r ? 0 : t->n_del;
	}
	txn_free(&t);
	return r;
}

CO_FN int store_expunge(struct store_mailbox *m, const uint32_t *uids, size_t n, bool only_deleted,
			size_t *removed_out, struct err *e)
{
	size_t removed = 0, before;
	size_t at = 0;
	int r = box_lock(m, e);

	if (r) {
		return r;
	}
	do {
		before = removed;
		r = expunge_chunk(m, uids, n, &at, only_deleted, &removed, e);
		if (!uids) {
			at = 0; /* the array may have been compacted */
		}
	} while (r == 0 && removed - before == EXPUNGE_CHUNK);
	co_mutex_unlock(&m->lock);
	if (removed_out && (r == 0 || removed)) {
		*removed_out = removed;
	}
	return r;
}

/* ---- what went ---------------------------------------------------------- */

struct vanished_scan {
	struct arena *arena;
	uint64_t since;
	struct store_uid_range *v;
	size_t n, cap;
	int err;
};

static void add_range(struct vanished_scan *s, uint32_t first, uint32_t last)
{
	if (s->n && s->v[s->n - 1].last + 1 == first) {
		s->v[s->n - 1].last = last;
		return;
	}
	if (s->n == s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 64;
		struct store_uid_range *p = arena_array(s->arena, cap, sizeof(*p));

		if (!p) {
			s->err = -ENOMEM;
			return;
		}
		if (s->n) {
			memcpy(p, s->v, s->n * sizeof(*p));
		}
		s->v = p;
		s->cap = cap;
	}
	s->v[s->n++] = (struct store_uid_range){ first, last };
}

static int scan_vanished(void *arg, struct slice key, struct slice value)
{
	struct vanished_scan *s = arg;
	struct vanished_row row = { 0 };
	struct cur c = cur_init(slice_from(key, 1));
	uint32_t base = cur_get32be(&c) * PAGE_UIDS;

	if (vanished_get(value, &row)) {
		s->err = -EIO;
		return 1;
	}
	for (uint32_t i = 0; i < PAGE_UIDS && s->err == 0; i++) {
		if (row.modseq[i] > s->since) {
			add_range(s, base + i, base + i);
		}
	}
	return s->err != 0;
}

/* Everything below UIDNEXT that is not there. */
static void all_missing(const struct store_mailbox *m, struct vanished_scan *s)
{
	uint32_t next = 1;

	for (size_t i = 0; i < m->n && s->err == 0; i++) {
		if (m->v[i].gone_at) {
			continue;
		}
		if (m->v[i].uid > next) {
			add_range(s, next, m->v[i].uid - 1);
		}
		next = m->v[i].uid + 1;
	}
	if (m->uidnext > next && s->err == 0) {
		add_range(s, next, m->uidnext - 1);
	}
}

CO_FN int store_vanished(struct store_mailbox *m, uint64_t since, struct arena *arena,
			 struct store_uid_range **out, size_t *n_out, struct err *e)
{
	struct vanished_scan s = { .arena = arena, .since = since };
	int r = box_lock(m, e);

	if (r) {
		return r;
	}
	if (since < m->vanished_floor) {
		all_missing(m, &s);
	} else {
		r = kv_scan_prefix(box_kv(m), part_mailbox(m->a->id, m->id), S("X"), scan_vanished,
				   &s);
		r = r < 0 ? r : 0;
	}
	if (s.err == -EIO) {
		/* Marks are derived: what is missing went at some time. */
		s = (struct vanished_scan){ .arena = arena, .since = since };
		all_missing(m, &s);
		r = 0;
	}
	co_mutex_unlock(&m->lock);
	r = r ? r : s.err;
	if (r) {
		return store_result(r, e, "listing what was expunged");
	}
	*out = s.v;
	*n_out = s.n;
	return STORE_OK;
}
