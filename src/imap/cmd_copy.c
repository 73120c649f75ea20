/*
 * cmd_copy: COPY and MOVE (RFC 3501 6.4.7, RFC 6851, RFC 4315 COPYUID).
 * All or nothing; what a MOVE moves is one commit, so no message is ever in
 * both mailboxes or in none. Very many go in several commits.
 */
#include "imap/carry.h"
#include "imap/impl.h"
#include "imap/parse.h"

#define COPY_PIECE 20000u /* messages of one commit */

/* "COPYUID validity from to" into b; false if nothing was copied. */
static bool put_copyuid(struct buf *b, uint32_t uidvalidity, uint32_t *from, uint32_t *to, size_t n)
{
	size_t k = 0;

	for (size_t i = 0; i < n; i++) {
		if (to[i] != 0) {
			from[k] = from[i];
			to[k++] = to[i];
		}
	}
	if (k == 0) {
		return false;
	}
	buf_printf(b, "[COPYUID %u ", uidvalidity);
	seqset_write(b, from, k);
	buf_addc(b, ' ');
	seqset_write(b, to, k);
	buf_adds(b, "] ");
	return !b->err;
}

/* Says what went where: before the EXPUNGEs of a MOVE, else in the reply. */
CO_FN static int answer(struct imap_cmd *cmd, uint32_t uidvalidity, uint32_t *from, uint32_t *to,
			size_t n, bool move)
{
	struct buf code = BUF_INIT(IMAP_REPLY_MAX - 64);
	struct conn *c = imap_conn(cmd->s);

	if (!put_copyuid(&code, uidvalidity, from, to, n)) {
		buf_reset(&code);
	}
	if (move && code.n > 0) {
		conn_write(c, S("* OK "));
		conn_write(c, buf_slice(&code));
		conn_write(c, S("Moved\r\n"));
		buf_reset(&code);
	}
	buf_reset(&cmd->reply);
	buf_adds(&cmd->reply, "OK ");
	buf_add(&cmd->reply, buf_slice(&code));
	buf_adds(&cmd->reply, move ? "Moved" : "Copied");
	buf_fini(&code);
	return 0;
}

/* Takes back the copies made so far (RFC 3501 6.4.7). */
CO_FN static void take_back(struct store_mailbox *dst, uint32_t *to, size_t n)
{
	struct err e = ERR_INIT;
	size_t removed;
	size_t k = 0;

	for (size_t i = 0; i < n; i++) {
		if (to[i] != 0) {
			to[k++] = to[i];
		}
	}
	if (k > 0) {
		store_expunge(dst, to, k, false, &removed, &e);
	}
}

/*
 * In pieces of COPY_PIECE, so that no commit is too big and others on this
 * loop get their turn between them. A COPY that fails leaves nothing; a MOVE
 * leaves what was moved, each message whole (RFC 6851 3.3): *done_out.
 */
CO_FN static int in_pieces(struct imap_cmd *cmd, const uint32_t *uids, size_t n,
			   struct store_mailbox *dst, bool move, struct store_flags keep,
			   uint32_t *to, size_t *done_out, struct err *e)
{
	size_t done = 0;
	int r = STORE_OK;

	while (done < n && r == STORE_OK) {
		size_t piece = MIN(n - done, COPY_PIECE);
		imap_progress(cmd, done, n);
		r = store_copy_with(cmd->s->mbox, uids + done, piece, dst, move, keep, to + done,
				    e);
		if (r == STORE_OK) {
			done += piece;
			r = co_breathe();
		}
	}
	if (r != STORE_OK && !move) {
		take_back(dst, to, done);
		done = 0;
	}
	*done_out = done;
	return r;
}

/* Within the account of the selected mailbox. */
CO_FN static int copy_here(struct imap_cmd *cmd, const struct imap_target *t, const uint32_t *uids,
			   size_t n, bool move, uint32_t *to, size_t *done_out,
			   uint32_t *validity_out, struct err *e)
{
	struct store_mailbox *dst = NULL;
	struct store_status st = { 0 };
	int r = store_mailbox_open(store_mailbox_account(cmd->s->mbox), t->name, &dst, e);

	if (r == STORE_OK) {
		r = in_pieces(cmd, uids, n, dst, move, imap_flags_allowed(t->rights), to, done_out,
			      e);
		store_mailbox_get_status(dst, &st);
	}
	store_mailbox_close(&dst);
	*validity_out = st.uidvalidity;
	return r;
}

CO_FN static int transfer(struct imap_cmd *cmd, struct slice name, const uint32_t *seqs, size_t n,
			  bool move)
{
	struct imap *s = cmd->s;
	struct imap_target t;
	struct err e = ERR_INIT;
	uint32_t validity = 0;
	uint32_t *uids;
	uint32_t *to;
	size_t n_uids;
	size_t gone;
	size_t done = 0;
	int r = imap_view_uids(s, seqs, n, &cmd->arena, &uids, &n_uids, &gone);

	to = arena_array(&cmd->arena, n_uids, sizeof(to[0]));
	if (r < 0 || !to) {
		return imap_store_no(cmd, -ENOMEM, NULL);
	}
	if (!imap_target_into(cmd, name, &t)) {
		return 0;
	}
	if (gone > 0 && !cmd->uid) {
		/* All or nothing, and not all are there. */
		return imap_no(cmd, "[EXPUNGEISSUED] Some messages are gone");
	}
	if (t.account == store_account_id(store_mailbox_account(s->mbox))) {
		r = copy_here(cmd, &t, uids, n_uids, move, to, &done, &validity, &e);
	} else {
		r = imap_carry(s, &t, uids, n_uids, move, &cmd->arena, to, &validity, &e);
		done = r == STORE_OK ? n_uids : 0;
	}
	if (r == STORE_OK || done > 0) {
		answer(cmd, validity, uids, to, done, move);
	}
	return r == STORE_OK ? 0 : imap_store_no(cmd, r, &e);
}

CO_FN static int copy_or_move(struct imap *s, struct imap_cmd *cmd, bool move)
{
	struct slice name;
	uint32_t *seqs;
	size_t n;

	cur_sp(&cmd->c);
	if (!imap_view_set(cmd, &seqs, &n)) {
		return 0;
	}
	cur_sp(&cmd->c);
	if (!imap_mailbox_arg(cmd, &name)) {
		return 0;
	}
	if (!cur_end(&cmd->c)) {
		return imap_syntax(cmd);
	}
	if (move && s->readonly) {
		return imap_no(cmd, "[READ-ONLY] Mailbox is read-only");
	}
	/* What STORE and EXPUNGE would need (RFC 6851 4.2). */
	if (move && !imap_may(s, STORE_RIGHT_DELETEMSG | STORE_RIGHT_EXPUNGE)) {
		return imap_no(cmd, "[NOPERM] Not permitted");
	}
	return transfer(cmd, name, seqs, n, move);
}

/* copy = "COPY" SP sequence-set SP mailbox */
CO_FN int imap_cmd_copy(void *session, void *command)
{
	return copy_or_move(session, command, false);
}

/* move = "MOVE" SP sequence-set SP mailbox */
CO_FN int imap_cmd_move(void *session, void *command)
{
	return copy_or_move(session, command, true);
}
