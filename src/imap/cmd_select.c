/*
 * cmd_select: SELECT, EXAMINE, CLOSE, UNSELECT (RFC 3501 6.3.1, 6.3.2, 6.4.2,
 * RFC 3691).
 */
#include "imap/impl.h"

/* Number of the first message without \Seen, or 0. */
static uint32_t first_unseen(const struct imap *s)
{
	struct store_status st;
	struct store_msg m;
	uint32_t count = store_view_count(s->view);

	store_mailbox_get_status(s->mbox, &st);
	for (uint32_t i = 1; st.unseen > 0 && i <= count; i++) {
		if (store_view_msg(s->view, i, &m) == STORE_OK && !(m.flags.system & STORE_SEEN)) {
			return i;
		}
	}
	return 0;
}

/* Reads all facts before the first write may suspend: mail that comes while we
 * write is not in the view, and its UIDs are not below UIDNEXT. */
CO_FN static void announce(struct imap *s, struct arena *a)
{
	struct conn *c = imap_conn(s);
	uint32_t unseen = first_unseen(s);
	uint32_t count = store_view_count(s->view);
	struct store_status st;

	store_mailbox_get_status(s->mbox, &st);
	imap_view_flags(s, a);
	conn_printf(c, "* %u EXISTS\r\n", count);
	conn_printf(c, "* %u RECENT\r\n", store_view_recent_count(s->view));
	if (unseen) {
		conn_printf(c, "* OK [UNSEEN %u] First unseen\r\n", unseen);
	}
	conn_printf(c, "* OK [UIDVALIDITY %u] UIDs are valid\r\n", st.uidvalidity);
	conn_printf(c, "* OK [UIDNEXT %u] Predicted next UID\r\n", st.uidnext);
}

CO_FN static int select_mailbox(struct imap *s, struct imap_cmd *cmd, bool readonly)
{
	struct err e = ERR_INIT;
	struct slice name;
	int r;

	cur_sp(&cmd->c);
	if (!imap_mailbox_arg(cmd, &name)) {
		/* A SELECT that fails leaves nothing selected (6.3.1). */
		if (!cmd->bad) {
			imap_unselect(s);
		}
		return 0;
	}
	if (!cur_end(&cmd->c)) {
		return imap_syntax(cmd);
	}
	imap_unselect(s);
	r = store_mailbox_open(s->account, name, &s->mbox, &e);
	if (r == STORE_OK) {
		r = store_view_open(s->mbox, !readonly, &s->view, &e);
	}
	if (r != STORE_OK) {
		imap_unselect(s);
		return imap_store_no(cmd, r, &e);
	}
	s->state = IMAP_SELECTED;
	s->readonly = readonly;
	announce(s, &cmd->arena);
	return imap_ok(cmd,
		       readonly ? "[READ-ONLY] Mailbox examined" : "[READ-WRITE] Mailbox selected");
}

CO_FN int imap_cmd_select(void *session, void *command)
{
	return select_mailbox(session, command, false);
}

CO_FN int imap_cmd_examine(void *session, void *command)
{
	return select_mailbox(session, command, true);
}

CO_FN int imap_cmd_close(void *session, void *command)
{
	struct imap *s = session;
	struct imap_cmd *cmd = command;
	struct err e = ERR_INIT;
	size_t removed;
	int r = STORE_OK;

	if (!cur_end(&cmd->c)) {
		return imap_syntax(cmd);
	}
	if (!s->readonly) {
		r = store_expunge(s->mbox, NULL, 0, true, &removed, &e);
	}
	if (r != STORE_OK && r != STORE_GONE) {
		return imap_store_no(cmd, r, &e);
	}
	imap_unselect(s);
	return imap_ok(cmd, "Mailbox closed");
}

CO_FN int imap_cmd_unselect(void *session, void *command)
{
	struct imap_cmd *cmd = command;

	if (!cur_end(&cmd->c)) {
		return imap_syntax(cmd);
	}
	imap_unselect(session);
	return imap_ok(cmd, "Mailbox left");
}
