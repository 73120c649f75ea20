/*
 * cmd_mailbox: CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE (RFC 3501 6.3.3
 * to 6.3.7).
 */
#include "imap/impl.h"
#include "imap/list.h"
#include "imap/parse.h"

/*
 * create = "CREATE" SP mailbox [create-params] (RFC 4466 2.2, RFC 6154 6). A trailing separator says that the client
 * means to create names below: the separator is dropped (6.3.3).
 */
CO_FN int imap_cmd_create(void *session, void *command)
{
	struct imap *s = session;
	struct imap_cmd *cmd = command;
	struct err e = ERR_INIT;
	struct list_create params;
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
	if (params.bad_use) {
		return imap_no(cmd, "[USEATTR] No mailbox here can have that use");
	}
	imap_names(cmd, name);
	r = store_mailbox_create(s->account, name, params.uses, &e);
	if (r != STORE_OK) {
		return imap_store_no(cmd, r, &e);
	}
	imap_list_normalized(cmd, at, name);
	return imap_created(cmd, name);
}

/* Is this the name of the selected mailbox? */
CO_FN static bool is_selected(struct imap *s, struct slice name)
{
	struct store_status here;
	struct store_status there;
	struct err e = ERR_INIT;

	if (!s->mbox || store_mailbox_status(s->account, name, &there, &e) != STORE_OK) {
		return false;
	}
	store_mailbox_get_status(s->mbox, &here);
	return here.id == there.id;
}

CO_FN int imap_cmd_delete(void *session, void *command)
{
	struct imap *s = session;
	struct imap_cmd *cmd = command;
	struct err e = ERR_INIT;
	struct slice name;
	struct cur at;
	bool selected;
	int r;

	cur_sp(&cmd->c);
	at = cmd->c;
	if (!imap_mailbox_arg(cmd, &name)) {
		return 0;
	}
	if (!cur_end(&cmd->c)) {
		return imap_syntax(cmd);
	}
	selected = is_selected(s, name);
	r = store_mailbox_delete(s->account, name, &e);
	if (r != STORE_OK) {
		return imap_store_no(cmd, r, &e);
	}
	if (selected) {
		imap_unselect(s);
	}
	imap_list_normalized(cmd, at, name);
	return imap_ok(cmd, "Mailbox deleted");
}

CO_FN int imap_cmd_rename(void *session, void *command)
{
	struct imap *s = session;
	struct imap_cmd *cmd = command;
	struct err e = ERR_INIT;
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
	r = store_mailbox_rename(s->account, from, to, &e);
	if (r != STORE_OK) {
		return imap_store_no(cmd, r, &e);
	}
	if (imap_rev2(s)) {
		imap_list_one(cmd, to, imap_parse_astring(&at, &cmd->arena));
	}
	return imap_ok(cmd, "Mailbox renamed");
}

CO_FN static int subscribe(struct imap *s, struct imap_cmd *cmd, bool on)
{
	struct err e = ERR_INIT;
	struct slice name;
	int r;

	cur_sp(&cmd->c);
	if (!imap_mailbox_arg(cmd, &name)) {
		return 0;
	}
	if (!cur_end(&cmd->c)) {
		return imap_syntax(cmd);
	}
	r = store_subscribe(s->account, name, on, &e);
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
