/*
 * cmd_replace: REPLACE and UID REPLACE (RFC 8508): an APPEND of one message
 * and the expunge of another from the selected mailbox, as one.
 *
 * In one account both are one commit, whichever mailbox the new message goes
 * to. APPENDUID goes out in an untagged OK, then EXISTS, then EXPUNGE (4.3),
 * and only once all is done. The quota is asked for the difference.
 */
#include "imap/append.h"
#include "imap/parse.h"
#include "imap/target.h"

/* The message that goes. True; false with the reply set. */
static bool parse_old(struct append *a)
{
	struct imap_cmd *cmd = a->cmd;
	struct imap *s = cmd->s;
	struct store_msg m;
	uint32_t count = store_view_count(s->view);
	uint32_t seq;

	cur_sp(&cmd->c);
	if (cur_opt(&cmd->c, '*')) {
		seq = count;
	} else {
		seq = imap_parse_nz(&cmd->c);
		seq = cmd->c.err == 0 && cmd->uid ? store_view_seq(s->view, seq) : seq;
	}
	cur_sp(&cmd->c);
	if (cmd->c.err) {
		imap_syntax(cmd);
	} else if (!cmd->uid && (s->enabled & IMAP_EN_UIDONLY)) {
		imap_bad(cmd, "[UIDREQUIRED] Messages have no numbers here");
	} else if (s->readonly) {
		imap_no(cmd, "[READ-ONLY] Mailbox is read-only");
	} else if (!imap_may(s, STORE_RIGHT_DELETEMSG | STORE_RIGHT_EXPUNGE)) {
		imap_no(cmd, "[NOPERM] Not permitted");
	} else if (seq > count || (seq == 0 && !cmd->uid)) {
		imap_bad(cmd, "No message has that number");
	} else if (seq == 0) {
		imap_no(cmd, "[NONEXISTENT] No message has that UID");
	} else if (store_view_msg(s->view, seq, &m) != STORE_OK) {
		imap_no(cmd, "[EXPUNGEISSUED] That message is gone");
	} else {
		a->old_uid = m.uid;
		a->old_size = m.size;
	}
	return cmd->reply.n == 0;
}

/* Into another account: no commit spans two, so the old one goes after the new
 * one is kept; if that fails there are both. */
CO_FN static int append_then_expunge(struct append *a, struct store_status *st, struct err *e)
{
	size_t removed;
	int r = append_keep(a, st, e);

	return r ? r : store_expunge(a->cmd->s->mbox, &a->old_uid, 1, false, &removed, e);
}

CO_FN static int replace(struct append *a)
{
	struct imap_cmd *cmd = a->cmd;
	struct imap *s = cmd->s;
	struct store_status st;
	struct err e = ERR_INIT;
	int r;

	if (a->mbox && store_mailbox_account(a->mbox) == store_mailbox_account(s->mbox)) {
		r = store_replace(a->mbox, &a->v[0], s->mbox, a->old_uid, &e);
		store_mailbox_get_status(a->mbox, &st);
	} else {
		r = append_then_expunge(a, &st, &e);
	}
	if (r == STORE_NOTFOUND) {
		imap_no(cmd, "[EXPUNGEISSUED] The message to replace is gone");
		return APPEND_REFUSED;
	}
	if (r != STORE_OK) {
		return append_no(a, r, &e);
	}
	conn_printf(imap_conn(s), "* OK [APPENDUID %u %u] Replacement is kept\r\n", st.uidvalidity,
		    a->v[0].uid);
	/* EXISTS; the EXPUNGE comes with the tagged reply. */
	imap_view_sync(s, &cmd->arena, false, cmd->uid);
	return imap_ok(cmd, "Replaced");
}

/* replace = "REPLACE" SP seq-number SP mailbox append-message */
CO_FN int imap_cmd_replace(void *session, void *command)
{
	struct imap_cmd *cmd = command;
	struct append a;
	int r = APPEND_REFUSED;

	(void)session;
	append_init(&a, cmd);
	a.replace = true;
	if (parse_old(&a) && imap_mailbox_arg(cmd, &a.name)) {
		r = append_messages(&a);
		r = r == APPEND_OK ? replace(&a) : r;
	}
	if (r == APPEND_REFUSED) {
		r = append_refuse(&a);
	}
	append_fini(&a);
	return r;
}
