/* Whose mailbox, which rights, and where (target.h). */
#include "imap/target.h"

#include "base/utf8.h"
#include "imap/other.h"

#define AUTH_ARENA_MAX (64u * 1024) /* one account's address */

/* ---- where accounts live ---------------------------------------------------- */

struct visit {
	struct store *store;
	store_id account;
	imap_account_fn *fn;
	void *arg;
	struct err *e;
};

static int visit(void *arg)
{
	struct visit *v = arg;
	struct store_account *a = NULL;

	co_enter();
	int r = store_account_open(v->store, v->account, &a, v->e);

	if (r == STORE_OK) {
		r = v->fn(a, v->arg);
	}
	store_account_close(&a);
	return r;
}

CO_FN int imap_on_account(struct imap *s, store_id account, imap_account_fn *fn, void *arg,
			  struct err *e)
{
	struct visit v = { s->base.env->store, account, fn, arg, e };

	if (s->account && account == s->id.account) {
		return fn(s->account, arg);
	}
	return co_call(store_home(v.store, account), visit, &v);
}

bool imap_lives_here(const struct imap *s, store_id account)
{
	struct co_loop *home = store_home(s->base.env->store, account);

	return !home || !co_loop_self() || home == co_loop_self();
}

/* ---- names ------------------------------------------------------------------- */

/* Of another's mailbox the rest is a name by itself, with its own limits, and
 * INBOX in any case. */
static int canon_other(struct slice user, struct slice box, struct buf *out)
{
	size_t at = out->n;
	int r = store_name_canon(user, out);

	if (r == STORE_OK) {
		buf_truncate(out, at);
		buf_adds(out, OTHER_PREFIX);
		buf_add(out, user);
		buf_addc(out, '/');
		r = store_name_canon(box, out);
	}
	if (r != STORE_OK || out->err) {
		buf_truncate(out, at);
		return STORE_BADNAME;
	}
	return STORE_OK;
}

int imap_name_canon(struct slice text, struct buf *out)
{
	struct buf nfc = BUF_INIT(8 * STORE_NAME_MAX);
	struct slice user, box;
	int r;

	if (!slice_starts(text, S(OTHER_PREFIX))) {
		return store_name_canon(text, out);
	}
	if (utf8_nfc(&nfc, text) != 0 || nfc.err) {
		r = STORE_BADNAME;
	} else if (other_split(buf_slice(&nfc), &user, &box) == OTHER_BOX) {
		r = canon_other(user, box, out);
	} else {
		r = store_name_canon(text, out);
	}
	buf_fini(&nfc);
	return r;
}

struct look {
	struct imap_target *t;
	store_id who;
	bool anyone;
};

static int look(struct store_account *a, void *arg)
{
	struct look *l = arg;
	struct imap_target *t = l->t;

	t->exists = store_rights(a, t->name, l->who, l->anyone, &t->rights) == STORE_OK;
	t->above = store_rights_above(a, t->name, l->who, l->anyone);
	return 0;
}

/* The account of a user's level; 0: nobody's, or the session's own, whose
 * mailboxes have their own names. */
CO_FN static int owner_of(struct imap *s, struct slice level, store_id *out)
{
	struct arena a;
	struct buf address = BUF_INIT(AUTH_ADDR_MAX);
	struct auth_account acc;
	int r = other_get_user(level, &address);

	*out = 0;
	arena_init(&a, AUTH_ARENA_MAX);
	if (r == 0) {
		r = auth_account_get(s->base.env->auth, buf_slice(&address), &a, &acc);
		if (r == 0 && acc.id != s->id.account &&
		    slice_eq(acc.address, buf_slice(&address))) {
			*out = acc.id;
		}
	}
	arena_fini(&a);
	buf_fini(&address);
	return r == -ENOMEM || (r < 0 && r != -EINVAL && r != -EMSGSIZE) ? r : 0;
}

CO_FN int imap_target_find(struct imap *s, struct slice full, struct imap_target *out,
			   struct err *e)
{
	struct look l = { out, s->id.account, s->base.env->share_with_anyone };
	struct slice user, box;
	enum other_kind kind = other_split(full, &user, &box);
	int r = 0;

	*out = (struct imap_target){ .full = full };
	if (kind == OTHER_NOT) {
		out->account = s->id.account;
		out->name = full;
		out->mine = true;
	} else if (kind == OTHER_BOX) {
		out->name = box;
		r = owner_of(s, user, &out->account);
	}
	if (r == 0 && out->account) {
		r = imap_on_account(s, out->account, look, &l, e);
		r = r == STORE_NOTFOUND && !out->mine ? 0 : r;
	}
	return r;
}

bool imap_target_may(struct imap_cmd *cmd, const struct imap_target *t, unsigned rights)
{
	if (t->exists && (t->rights & rights) == rights) {
		return true;
	}
	if (t->exists && (t->rights & STORE_RIGHT_LOOKUP)) {
		imap_no(cmd, "[NOPERM] Not permitted");
	} else {
		imap_store_no(cmd, STORE_NOTFOUND, NULL);
	}
	return false;
}

CO_FN bool imap_target(struct imap_cmd *cmd, struct slice full, unsigned rights,
		       struct imap_target *out)
{
	struct err e = ERR_INIT;
	int r = imap_target_find(cmd->s, full, out, &e);

	if (r) {
		imap_store_no(cmd, r, &e);
		return false;
	}
	return imap_target_may(cmd, out, rights);
}

CO_FN bool imap_target_into(struct imap_cmd *cmd, struct slice full, struct imap_target *out)
{
	struct err e = ERR_INIT;
	int r = imap_target_find(cmd->s, full, out, &e);

	if (r) {
		imap_store_no(cmd, r, &e);
		return false;
	}
	if (out->exists && (out->rights & STORE_RIGHT_INSERT)) {
		return true;
	}
	if (!(out->rights & STORE_RIGHT_LOOKUP) && (out->above & STORE_RIGHT_CREATE)) {
		imap_no(cmd, "[TRYCREATE] No such mailbox");
		return false;
	}
	return imap_target_may(cmd, out, STORE_RIGHT_INSERT);
}

/* ---- the selected mailbox ------------------------------------------------------ */

bool imap_may(const struct imap *s, unsigned rights)
{
	return (store_mailbox_rights(s->mbox, s->id.account, s->base.env->share_with_anyone) &
		rights) == rights;
}

struct store_flags imap_flags_allowed(unsigned rights)
{
	struct store_flags f = { 0 };

	if (rights & STORE_RIGHT_SEEN) {
		f.system |= STORE_SEEN;
	}
	if (rights & STORE_RIGHT_DELETEMSG) {
		f.system |= STORE_DELETED;
	}
	if (rights & STORE_RIGHT_WRITE) {
		f.system |= STORE_ANSWERED | STORE_FLAGGED | STORE_DRAFT;
		f.keywords = UINT64_MAX;
	}
	return f;
}

CO_FN int imap_settle(struct imap_cmd *cmd, store_id account, struct store_account **out,
		      struct err *e)
{
	struct imap *s = cmd->s;
	int r = STORE_OK;

	assert(!s->view && !s->lender);
	if (imap_must_move(s, account)) {
		assert(!cmd->again); /* an account stays where it lives */
		cmd->moves = true;
		return IMAP_MOVES;
	}
	if (account == s->id.account) {
		*out = s->account;
		return s->account ? STORE_OK : -EIO;
	}
	r = store_account_open(s->base.env->store, account, &s->lender, e);
	*out = s->lender;
	return r;
}
