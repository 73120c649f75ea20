/*
 * cmd_mailbox: CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE (RFC 3501 6.3.3
 * to 6.3.7).
 */
#include "imap/impl.h"
#include "imap/list.h"
#include "imap/parse.h"
#include "imap/target.h"

/* A change of the list of mailboxes, on its account's loop. */
struct list_change {
	struct slice name;
	struct slice to;
	unsigned uses;
	bool on;
	struct err *e;
};

/* ---- CREATE ---------------------------------------------------------------------- */

static int create(struct store_account *a, void *arg)
{
	struct list_change *l = arg;

	co_enter();
	return store_mailbox_create(a, l->name, l->uses, l->e);
}

/* May a mailbox be made there (k on what is above, RFC 4314 4)? False with
 * the reply set. */
static bool may_create(struct imap_cmd *cmd, const struct imap_target *t)
{
	if (t->mine) {
		return true;
	}
	if (!t->name.n) {
		imap_store_no(cmd, STORE_FORBIDDEN, NULL); /* a level of the namespace */
	} else if (t->above & STORE_RIGHT_CREATE) {
		return true;
	} else if (t->above & STORE_RIGHT_LOOKUP) {
		imap_no(cmd, "[NOPERM] Not permitted");
	} else {
		imap_store_no(cmd, STORE_NOTFOUND, NULL);
	}
	return false;
}

/*
 * create = "CREATE" SP mailbox [create-params] (RFC 4466 2.2, RFC 6154 6). A
 * trailing separator says that the client means to create names below: the
 * separator is dropped (6.3.3).
 */
CO_FN int imap_cmd_create(void *session, void *command)
{
	struct imap *s = session;
	struct imap_cmd *cmd = command;
	struct err e = ERR_INIT;
	struct list_change l = { .e = &e };
	struct list_create params;
	struct imap_target t;
	struct slice raw;
	struct slice name;
	struct cur at;
	int r;

	cur_sp(&cmd->c);
	at = cmd->c;
	raw = imap_parse_astring(&cmd->c, &cmd->arena);
	list_parse_create(&cmd->c, &params);
	if (!cur_end(&cmd->c)) {
		return imap_syntax(cmd);
	}
	if (raw.n > 1 && raw.p[raw.n - 1] == '/') {
		raw.n--;
	}
	if (!imap_mailbox_canon(&cmd->arena, raw, imap_utf8(s), &name)) {
		return imap_store_no(cmd, STORE_BADNAME, NULL);
	}
	r = imap_target_find(s, name, &t, &e);
	if (r == 0 && !may_create(cmd, &t)) {
		return 0;
	}
	if (params.bad_use || (params.uses && !t.mine)) {
		return imap_no(cmd, "[USEATTR] No mailbox here can have that use");
	}
	imap_names(cmd, name);
	if (r == 0) {
		l.name = t.name;
		l.uses = params.uses;
		r = imap_on_account(s, t.account, create, &l, &e);
	}
	if (r != STORE_OK) {
		return imap_store_no(cmd, r, &e);
	}
	imap_list_normalized(cmd, at, name);
	return imap_created(cmd, name);
}

/* ---- DELETE ---------------------------------------------------------------------- */

struct removal {
	struct slice name;
	store_id selected; /* of the same account, or 0 */
	bool was_selected;
	struct err *e;
};

static int remove_box(struct store_account *a, void *arg)
{
	struct removal *d = arg;
	struct store_status st;

	co_enter();
	d->was_selected = d->selected && store_mailbox_status(a, d->name, &st, d->e) == STORE_OK &&
			  st.id == d->selected;
	return store_mailbox_delete(a, d->name, d->e);
}

CO_FN int imap_cmd_delete(void *session, void *command)
{
	struct imap *s = session;
	struct imap_cmd *cmd = command;
	struct err e = ERR_INIT;
	struct removal d = { .e = &e };
	struct imap_target t;
	struct slice name;
	struct cur at;
	int r;

	cur_sp(&cmd->c);
	at = cmd->c;
	if (!imap_mailbox_arg(cmd, &name)) {
		return 0;
	}
	if (!cur_end(&cmd->c)) {
		return imap_syntax(cmd);
	}
	if (!imap_target(cmd, name, STORE_RIGHT_DELETEBOX, &t)) {
		return 0;
	}
	d.name = t.name;
	if (s->mbox && store_account_id(store_mailbox_account(s->mbox)) == t.account) {
		struct store_status st;

		store_mailbox_get_status(s->mbox, &st);
		d.selected = st.id;
	}
	r = imap_on_account(s, t.account, remove_box, &d, &e);
	if (r != STORE_OK) {
		return imap_store_no(cmd, r, &e);
	}
	if (d.was_selected) {
		imap_unselect(s);
	}
	imap_list_normalized(cmd, at, name);
	return imap_ok(cmd, "Mailbox deleted");
}

/* ---- RENAME ---------------------------------------------------------------------- */

static int rename_box(struct store_account *a, void *arg)
{
	struct list_change *l = arg;

	co_enter();
	return store_mailbox_rename(a, l->name, l->to, l->e);
}

/*
 * Within one account; for another's x on the old name and k on what is above
 * the new one (RFC 4314 4), and not its INBOX, which would lose its mail.
 * False with the reply set.
 */
CO_FN static bool may_rename(struct imap_cmd *cmd, struct slice from, struct slice to,
			     struct imap_target *t, struct imap_target *u)
{
	struct err e = ERR_INIT;
	int r = imap_target_find(cmd->s, from, t, &e);

	r = r ? r : imap_target_find(cmd->s, to, u, &e);
	if (r) {
		imap_store_no(cmd, r, &e);
		return false;
	}
	if (!t->mine && !imap_target_may(cmd, t, STORE_RIGHT_DELETEBOX)) {
		return false;
	}
	if (!may_create(cmd, u)) {
		return false;
	}
	if (t->account != u->account || (!t->mine && slice_eq(t->name, S("INBOX")))) {
		imap_store_no(cmd, STORE_FORBIDDEN, NULL);
		return false;
	}
	return true;
}

CO_FN int imap_cmd_rename(void *session, void *command)
{
	struct imap *s = session;
	struct imap_cmd *cmd = command;
	struct err e = ERR_INIT;
	struct list_change l = { .e = &e };
	struct imap_target t, u;
	struct slice from;
	struct slice to;
	struct cur at;
	int r;

	cur_sp(&cmd->c);
	at = cmd->c;
	if (!imap_mailbox_arg(cmd, &from)) {
		return 0;
	}
	cur_sp(&cmd->c);
	if (!imap_mailbox_arg(cmd, &to)) {
		return 0;
	}
	if (!cur_end(&cmd->c)) {
		return imap_syntax(cmd);
	}
	if (!may_rename(cmd, from, to, &t, &u)) {
		return 0;
	}
	l.name = t.name;
	l.to = u.name;
	r = imap_on_account(s, t.account, rename_box, &l, &e);
	if (r != STORE_OK) {
		return imap_store_no(cmd, r, &e);
	}
	if (imap_rev2(s)) {
		imap_list_one(cmd, to, imap_parse_astring(&at, &cmd->arena));
	}
	return imap_ok(cmd, "Mailbox renamed");
}

/* ---- subscriptions: always the session's own ------------------------------------------ */

static int set_subscription(struct store_account *a, void *arg)
{
	struct list_change *l = arg;

	co_enter();
	return store_subscribe(a, l->name, l->on, l->e);
}

CO_FN static int subscribe(struct imap *s, struct imap_cmd *cmd, bool on)
{
	struct err e = ERR_INIT;
	struct list_change l = { .on = on, .e = &e };
	int r;

	cur_sp(&cmd->c);
	if (!imap_mailbox_arg(cmd, &l.name)) {
		return 0;
	}
	if (!cur_end(&cmd->c)) {
		return imap_syntax(cmd);
	}
	r = imap_on_account(s, s->id.account, set_subscription, &l, &e);
	if (r != STORE_OK && !(r == STORE_NOTFOUND && !on)) {
		return imap_store_no(cmd, r, &e);
	}
	return imap_ok(cmd, on ? "Subscribed" : "Unsubscribed");
}

CO_FN int imap_cmd_subscribe(void *session, void *command)
{
	return subscribe(session, command, true);
}

CO_FN int imap_cmd_unsubscribe(void *session, void *command)
{
	return subscribe(session, command, false);
}
