/*
 * cmd_store: STORE and EXPUNGE (RFC 3501 6.4.3, 6.4.6; RFC 4315 UID EXPUNGE).
 *
 * One STORE is one commit, whatever the number of messages. What the command
 * itself announces is marked as told, so that the view does not say it again.
 */
#include "imap/impl.h"
#include "imap/parse.h"
#include "imap/write.h"

struct change {
	enum store_flag_op op;
	bool silent;
	struct imap_flags named;
	struct store_flags flags;
};

/* store-att-flags = ["+" / "-"] "FLAGS" [".SILENT"] SP flags */
static void parse_change(struct imap_cmd *cmd, struct change *ch)
{
	struct cur *c = &cmd->c;

	ch->op = cur_opt(c, '+')   ? STORE_FLAGS_ADD
		 : cur_opt(c, '-') ? STORE_FLAGS_REMOVE
				   : STORE_FLAGS_SET;
	cur_need_lit(c, S("FLAGS"));
	ch->silent = cur_lit(c, S(".SILENT"));
	cur_sp(c);
	imap_parse_store_flags(c, &cmd->arena, &ch->named);
	cur_end(c);
}

/* Tells the new flags of the messages, or notes that the client knows. */
CO_FN static void announce(struct imap_cmd *cmd, const uint32_t *seqs, size_t n, bool silent)
{
	struct imap *s = cmd->s;
	struct buf line = BUF_INIT(IMAP_LINE_MAX);
	struct slice *names = NULL;
	size_t n_names = 0;

	if (!silent && store_keywords(s->mbox, &cmd->arena, &names, &n_names) != STORE_OK) {
		return;
	}
	for (size_t i = 0; i < n; i++) {
		struct store_msg m;
		if (store_view_msg(s->view, seqs[i], &m) != STORE_OK) {
			continue;
		}
		store_view_told(s->view, seqs[i]);
		if (silent) {
			continue;
		}
		buf_reset(&line);
		buf_printf(&line, "* %u FETCH (", seqs[i]);
		if (cmd->uid) {
			buf_printf(&line, "UID %u ", m.uid);
		}
		buf_add(&line, S("FLAGS "));
		imap_put_flags(&line, m.flags, names, n_names, store_view_recent(s->view, seqs[i]));
		buf_add(&line, S(")\r\n"));
		conn_write(imap_conn(s), buf_slice(&line));
	}
	buf_fini(&line);
}

CO_FN static int apply(struct imap_cmd *cmd, const struct change *ch, const uint32_t *seqs,
		       size_t n)
{
	struct imap *s = cmd->s;
	struct err e = ERR_INIT;
	uint32_t *uids;
	size_t n_uids;
	size_t gone;
	int r;

	/* What others changed before must not be taken for known. */
	if (ch->silent && imap_view_sync(s, &cmd->arena, false, cmd->uid)) {
		return imap_store_no(cmd, STORE_GONE, NULL);
	}
	r = imap_view_uids(s, seqs, n, &cmd->arena, &uids, &n_uids, &gone);
	if (r == 0 && n_uids > 0) {
		r = store_flags_change(s->mbox, uids, n_uids, ch->op, ch->flags, &e);
	}
	if (r != STORE_OK) {
		return imap_store_no(cmd, r, &e);
	}
	announce(cmd, seqs, n, ch->silent);
	if (gone > 0) {
		return imap_no(cmd, "[EXPUNGEISSUED] Some messages are gone");
	}
	return imap_ok(cmd, "Flags stored");
}

/* store = "STORE" SP sequence-set SP store-att-flags */
CO_FN int imap_cmd_store(void *session, void *command)
{
	struct imap *s = session;
	struct imap_cmd *cmd = command;
	struct change ch = { 0 };
	uint32_t *seqs;
	size_t n;
	int r;

	cur_sp(&cmd->c);
	if (!imap_view_set(cmd, &seqs, &n)) {
		return 0;
	}
	cur_sp(&cmd->c);
	parse_change(cmd, &ch);
	if (cmd->c.err) {
		return imap_syntax(cmd);
	}
	if (s->readonly) {
		return imap_no(cmd, "[READ-ONLY] Mailbox is read-only");
	}
	ch.flags.system = ch.named.system;
	r = store_keyword_bits(s->mbox, ch.named.keywords, ch.named.n, ch.op != STORE_FLAGS_REMOVE,
			       &ch.flags.keywords);
	if (r != STORE_OK) {
		return imap_store_no(cmd, r, NULL);
	}
	return apply(cmd, &ch, seqs, n);
}

/* expunge = "EXPUNGE";  uid-expunge = "UID" SP "EXPUNGE" SP sequence-set */
CO_FN int imap_cmd_expunge(void *session, void *command)
{
	struct imap *s = session;
	struct imap_cmd *cmd = command;
	struct err e = ERR_INIT;
	uint32_t *seqs = NULL;
	uint32_t *uids = NULL;
	size_t n = 0;
	size_t gone;
	size_t removed;
	int r = 0;

	if (cmd->uid) {
		cur_sp(&cmd->c);
		if (!imap_view_set(cmd, &seqs, &n)) {
			return 0;
		}
		r = imap_view_uids(s, seqs, n, &cmd->arena, &uids, &n, &gone);
	}
	if (!cur_end(&cmd->c)) {
		return imap_syntax(cmd);
	}
	if (s->readonly) {
		return imap_no(cmd, "[READ-ONLY] Mailbox is read-only");
	}
	if (r == 0 && !(cmd->uid && n == 0)) {
		r = store_expunge(s->mbox, uids, n, true, &removed, &e);
	}
	return r == STORE_OK ? imap_ok(cmd, "Expunged") : imap_store_no(cmd, r, &e);
}
