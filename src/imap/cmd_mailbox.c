/*
 * cmd_mailbox: CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE (RFC 3501 6.3.3
 * to 6.3.7).
 */
#include "imap/impl.h"
#include "imap/parse.h"

/*
 * create = "CREATE" SP mailbox. A trailing separator says that the client
 * means to create names below: the separator is dropped (6.3.3).
 */
CO_FN int imap_cmd_create(void *session, void *command)
{
	struct imap *s = session;
	struct imap_cmd *cmd = command;
	struct err e = ERR_INIT;
	struct slice raw;
	struct slice name;
	int r;

	cur_sp(&cmd->c);
	raw = imap_parse_astring(&cmd->c, &cmd->arena);
	if (!cur_end(&cmd->c)) {
		return imap_syntax(cmd);
	}
	if (raw.n > 1 && raw.p[raw.n - 1] == '/') {
		raw.n--;
	}
	if (!imap_mailbox_canon(&cmd->arena, raw, imap_utf8(s), &name)) {
		return imap_store_no(cmd, STORE_BADNAME, NULL);
	}
	r = store_mailbox_create(s->account, name, 0, &e);
	return r == STORE_OK ? imap_ok(cmd, "Mailbox created") : imap_store_no(cmd, r, &e);
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
	bool selected;
	int r;

	cur_sp(&cmd->c);
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
	return imap_ok(cmd, "Mailbox deleted");
}

CO_FN int imap_cmd_rename(void *session, void *command)
{
	struct imap *s = session;
	struct imap_cmd *cmd = command;
	struct err e = ERR_INIT;
	struct slice from;
	struct slice to;
	int r;

	cur_sp(&cmd->c);
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
	return r == STORE_OK ? imap_ok(cmd, "Mailbox renamed") : imap_store_no(cmd, r, &e);
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
