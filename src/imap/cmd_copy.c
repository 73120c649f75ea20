/*
 * cmd_copy: COPY and MOVE (RFC 3501 6.4.7, RFC 6851, RFC 4315 COPYUID).
 * All or nothing; what a MOVE moves is one commit, so no message is ever in
 * both mailboxes or in none. Very many go in several commits.
 */
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
CO_FN static int answer(struct imap_cmd *cmd, struct store_mailbox *dst, uint32_t *from,
			uint32_t *to, size_t n, bool move)
{
	struct buf code = BUF_INIT(IMAP_REPLY_MAX - 64);
	struct store_status st;
	struct conn *c = imap_conn(cmd->s);

	store_mailbox_get_status(dst, &st);
	if (!put_copyuid(&code, st.uidvalidity, from, to, n)) {
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
			   struct store_mailbox *dst, bool move, uint32_t *to, size_t *done_out,
			   struct err *e)
{
	size_t done = 0;
	int r = STORE_OK;

	while (done < n && r == STORE_OK) {
		size_t piece = MIN(n - done, COPY_PIECE);
		imap_progress(cmd, done, n);
		r = store_copy(cmd->s->mbox, uids + done, piece, dst, move, to + done, e);
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

CO_FN static int transfer(struct imap_cmd *cmd, struct slice name, const uint32_t *seqs, size_t n,
			  bool move)
{
	struct imap *s = cmd->s;
	struct store_mailbox *dst = NULL;
	struct err e = ERR_INIT;
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
	r = s->account && store_mailbox_account(s->mbox) == s->account
		    ? store_mailbox_open(s->account, name, &dst, &e)
		    : STORE_FORBIDDEN; /* between accounts */
	if (r == STORE_NOTFOUND) {
		return imap_no(cmd, "[TRYCREATE] No such mailbox");
	}
	if (r == STORE_OK && gone > 0 && !cmd->uid) {
		/* All or nothing, and not all are there. */
		imap_no(cmd, "[EXPUNGEISSUED] Some messages are gone");
	} else {
		if (r == STORE_OK && n_uids > 0) {
			r = in_pieces(cmd, uids, n_uids, dst, move, to, &done, &e);
		}
		if (r == STORE_OK || done > 0) {
			answer(cmd, dst, uids, to, done, move);
		}
		if (r != STORE_OK) {
			imap_store_no(cmd, r, &e);
		}
	}
	store_mailbox_close(&dst);
	return 0;
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
