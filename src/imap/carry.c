/* Messages from one account to another (carry.h). */
#include "imap/carry.h"

#include <stdlib.h>

struct carry {
	struct imap *s;
	const struct imap_target *t;
	struct store_new *v; /* messages that were there */
	uint32_t *uid;	     /* their UIDs here */
	size_t n;
	struct slice *names; /* keywords of the mailbox here */
	size_t n_names;
	uint64_t bytes;
	uint32_t uidvalidity;
	char *piece;
	struct err *e;
};

/* ---- would it fit? -------------------------------------------------------------- */

static int fits(struct store_account *a, void *arg)
{
	struct carry *c = arg;
	struct store_usage u;

	store_account_usage(a, &u);
	if ((u.quota_bytes && (c->bytes > u.quota_bytes || u.bytes > u.quota_bytes - c->bytes)) ||
	    (u.quota_messages && u.messages + c->n > u.quota_messages)) {
		return STORE_OVERQUOTA;
	}
	return STORE_OK;
}

/* Notes what there is to carry. */
static int collect(struct carry *c, const uint32_t *uids, size_t n, struct arena *a)
{
	struct imap *s = c->s;

	if (n > CARRY_MAX) {
		return STORE_LIMIT;
	}
	c->v = arena_array(a, n, sizeof(*c->v));
	c->uid = arena_array(a, n, sizeof(*c->uid));
	if (!c->v || !c->uid) {
		return -ENOMEM;
	}
	for (size_t i = 0; i < n; i++) {
		uint32_t seq = store_view_seq(s->view, uids[i]);
		struct store_msg m;

		if (seq && store_view_msg(s->view, seq, &m) == STORE_OK) {
			c->uid[c->n] = uids[i];
			c->v[c->n++] = (struct store_new){ .flags = m.flags,
							   .internal_date = m.internal_date,
							   .zone = m.internal_zone };
			c->bytes += m.size;
		}
	}
	return STORE_OK;
}

/* ---- reading here ------------------------------------------------------------------ */

/* One message into a writer. STORE_OK, STORE_NOTFOUND (gone), others. */
CO_FN static int read_one(struct carry *c, uint32_t uid, struct store_writer **out)
{
	struct imap *s = c->s;
	uint64_t off = 0;
	ssize_t n = 0;
	int r = store_writer_new(s->base.env->store, slice_cstr(s->id.address), out, c->e);

	while (r == STORE_OK &&
	       (n = store_read(s->mbox, uid, off, c->piece, IMAP_CHUNK, c->e)) > 0) {
		r = store_writer_add(*out, slice_make(c->piece, (size_t)n), c->e);
		off += (uint64_t)n;
		r = r ? r : co_breathe();
	}
	if (r == STORE_OK && n < 0) {
		r = n == -ENOENT ? STORE_NOTFOUND : (int)n;
	}
	if (r == STORE_OK) {
		r = store_writer_end(*out, c->e);
	}
	if (r == STORE_OK) {
		store_writer_trim(*out);
	}
	return r;
}

CO_FN static int read_all(struct carry *c)
{
	size_t k = 0;
	int r = STORE_OK;

	c->piece = malloc(IMAP_CHUNK);
	if (!c->piece) {
		return -ENOMEM;
	}
	for (size_t i = 0; i < c->n && r == STORE_OK; i++) {
		struct store_new x = c->v[i];

		r = read_one(c, c->uid[i], &x.w);
		if (r == STORE_OK) {
			c->uid[k] = c->uid[i];
			c->v[k++] = x;
			continue;
		}
		store_writer_free(&x.w);
		r = r == STORE_NOTFOUND ? STORE_OK : r;
	}
	c->n = k;
	free(c->piece);
	return r;
}

/* ---- keeping there ----------------------------------------------------------------- */

/* What the session may set there, in that mailbox's keywords. */
static int map_flags(struct carry *c, struct store_mailbox *dst, struct store_flags keep)
{
	uint64_t map[STORE_KEYWORDS_MAX] = { 0 };

	for (size_t i = 0; i < c->n; i++) {
		uint64_t bits = keep.keywords ? c->v[i].flags.keywords : 0;

		c->v[i].flags.system &= keep.system;
		c->v[i].flags.keywords = 0;
		for (size_t k = 0; k < c->n_names && bits >> k; k++) {
			if (!(bits >> k & 1)) {
				continue;
			}
			int r = map[k] ? 0
				       : store_keyword_bits(dst, &c->names[k], 1, true, &map[k]);
			if (r) {
				return r;
			}
			c->v[i].flags.keywords |= map[k];
		}
	}
	return STORE_OK;
}

static int keep(struct store_account *a, void *arg)
{
	struct carry *c = arg;
	struct imap *s = c->s;
	struct store_mailbox *dst = NULL;
	struct store_status st;
	unsigned rights;

	co_enter();
	int r = store_mailbox_open(a, c->t->name, &dst, c->e);

	if (r) {
		return r;
	}
	rights = store_mailbox_rights(dst, s->id.account, s->base.env->share_with_anyone);
	r = rights & STORE_RIGHT_INSERT ? STORE_OK : STORE_NOTFOUND;
	r = r ? r : map_flags(c, dst, imap_flags_allowed(rights));
	r = r ? r : store_append_all(dst, c->v, c->n, c->e);
	if (r == STORE_OK) {
		store_mailbox_get_status(dst, &st);
		c->uidvalidity = st.uidvalidity;
	}
	store_mailbox_close(&dst);
	return r;
}

CO_FN static int carry(struct carry *c, bool move)
{
	struct imap *s = c->s;
	size_t removed;
	int r = c->n ? imap_on_account(s, c->t->account, fits, c, c->e) : STORE_OK;

	r = r ? r : read_all(c);
	if (r == STORE_OK && c->n) {
		r = imap_on_account(s, c->t->account, keep, c, c->e);
	}
	if (r == STORE_OK && c->n && move) {
		r = store_expunge(s->mbox, c->uid, c->n, false, &removed, c->e);
	}
	return r;
}

CO_FN int imap_carry(struct imap *s, const struct imap_target *t, const uint32_t *uids, size_t n,
		     bool move, struct arena *a, uint32_t *to, uint32_t *validity_out,
		     struct err *e)
{
	struct carry c = { .s = s, .t = t, .e = e };
	int r = collect(&c, uids, n, a);
	size_t all = c.n;

	r = r ? r : store_keywords(s->mbox, a, &c.names, &c.n_names);
	r = r ? r : carry(&c, move);
	for (size_t i = 0, k = 0; i < n && r == STORE_OK; i++) {
		bool there = k < c.n && c.uid[k] == uids[i];

		to[i] = there ? c.v[k++].uid : 0;
	}
	for (size_t i = 0; i < all; i++) {
		store_writer_free(&c.v[i].w);
	}
	*validity_out = c.uidvalidity;
	return r;
}
