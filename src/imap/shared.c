/* What others share (shared.h). */
#include "imap/shared.h"

#include <stdlib.h>

#include "imap/other.h"
#include "imap/target.h"

#define SHARED_MAX 20000u /* mailboxes in one listing */

/* ---- who -------------------------------------------------------------------- */

struct sharers {
	bool anyone;
	struct arena *arena;
	store_id *v;
	size_t n;
	struct err *e;
};

static int sharers(struct store_account *a, void *arg)
{
	struct sharers *x = arg;

	co_enter();
	return store_sharers(a, x->anyone, x->arena, &x->v, &x->n, x->e);
}

/* ---- what one account shares -------------------------------------------------- */

struct gather {
	store_id who, owner;
	bool anyone;
	struct slice prefix; /* "Other Users/address/" */
	struct arena *arena;
	struct imap_shared *v; /* malloc'ed */
	size_t n, cap;
	bool any; /* the owner shares something with this account at all */
	struct err *e;
};

static int add(struct gather *g, const struct store_mailbox_info *m, unsigned rights)
{
	if (g->n == g->cap) {
		size_t cap = g->cap ? g->cap * 2 : 64;
		struct imap_shared *p = reallocarray(g->v, cap, sizeof(*p));

		if (!p) {
			return -ENOMEM;
		}
		g->v = p;
		g->cap = cap;
	}
	struct slice full =
		arena_printf(g->arena, "%.*s%.*s", SLICE_ARG(g->prefix), SLICE_ARG(m->name));

	g->v[g->n++] = (struct imap_shared){ g->owner, full, slice_from(full, g->prefix.n), m->id,
					     rights };
	return arena_err(g->arena);
}

/* On the owner's loop. */
static int gather(struct store_account *a, void *arg)
{
	struct store_mailbox_info *m;
	struct gather *g = arg;
	size_t n = 0;

	co_enter();
	int r = store_mailbox_list(a, g->arena, &m, &n, g->e);

	for (size_t i = 0; i < n && r == 0; i++) {
		unsigned rights = 0;

		if (!m[i].exists ||
		    store_rights(a, m[i].name, g->who, g->anyone, &rights) != STORE_OK) {
			continue;
		}
		g->any = g->any || rights;
		if ((rights & STORE_RIGHT_LOOKUP) && g->n < SHARED_MAX) {
			r = add(g, &m[i], rights);
		}
	}
	return r;
}

/* "Other Users/address/" of an account; false: it is gone. */
CO_FN static bool prefix_of(struct imap *s, struct gather *g)
{
	struct buf prefix = BUF_INIT(4 * AUTH_ADDR_MAX);
	struct auth_account acc;
	bool there = auth_account_by_id(s->base.env->auth, g->owner, g->arena, &acc) == 0;

	if (there) {
		buf_adds(&prefix, OTHER_PREFIX);
		other_put_user(&prefix, acc.address);
		buf_addc(&prefix, '/');
		g->prefix = arena_dup(g->arena, buf_slice(&prefix));
	}
	buf_fini(&prefix);
	return there;
}

CO_FN static int gather_from(struct imap *s, struct gather *g)
{
	int r = prefix_of(s, g) ? imap_on_account(s, g->owner, gather, g, g->e) : STORE_NOTFOUND;

	if (r == STORE_NOTFOUND || (r == 0 && !g->any)) {
		store_sharer_check(s->base.env->store, g->owner, g->who);
	}
	/* An account that is damaged must not keep the others from being listed. */
	return r == -ENOMEM || r == -EMSGSIZE || r == -ECANCELED ? r : 0;
}

CO_FN int imap_shared_list(struct imap *s, struct arena *a, struct imap_shared **out, size_t *n_out,
			   struct err *e)
{
	struct sharers x = { .anyone = s->base.env->share_with_anyone, .arena = a, .e = e };
	struct gather g = { .who = s->id.account, .anyone = x.anyone, .arena = a, .e = e };
	int r = imap_on_account(s, s->id.account, sharers, &x, e);

	for (size_t i = 0; i < x.n && r == 0; i++) {
		g.owner = x.v[i];
		g.any = false;
		r = gather_from(s, &g);
		r = r ? r : co_breathe();
	}
	*out = r ? NULL : arena_array(a, g.n, sizeof(**out));
	*n_out = g.n;
	if (*out && g.n) {
		memcpy(*out, g.v, g.n * sizeof(**out));
	}
	free(g.v);
	return r == 0 && !*out ? -ENOMEM : r;
}
