/*
 * cmd_store: STORE and EXPUNGE (RFC 3501 6.4.3, 6.4.6; RFC 4315 UID EXPUNGE;
 * RFC 7162 3.1.3 UNCHANGEDSINCE).
 *
 * One STORE is one commit, whatever the number of messages; whether a message
 * changed since is decided there, under the mailbox's lock. What the command
 * itself announces is marked as told, so that the view does not say it again.
 */
#include "imap/impl.h"
#include "imap/parse.h"
#include "imap/target.h"

struct change {
	enum store_flag_op op;
	bool silent;
	bool conditional;
	struct imap_flags named;
	struct store_flags flags;
	struct store_flags_if cond;
};

/* store-modifiers = "(" "UNCHANGEDSINCE" SP mod-sequence-valzer ")" SP */
static void parse_modifiers(struct imap_cmd *cmd, struct change *ch)
{
	struct cur *c = &cmd->c;

	ch->cond.unchanged_since = UINT64_MAX;
	if (!cur_opt(c, '(')) {
		return;
	}
	ch->conditional = true;
	cur_need_lit(c, S("UNCHANGEDSINCE"));
	cur_sp(c);
	ch->cond.unchanged_since = imap_parse_u63(c);
	cur_need(c, ')');
	cur_sp(c);
}

/* store-att-flags = ["+" / "-"] "FLAGS" [".SILENT"] SP flags */
static void parse_change(struct imap_cmd *cmd, struct change *ch)
{
	struct cur *c = &cmd->c;

	parse_modifiers(cmd, ch);
	ch->op = cur_opt(c, '+')   ? STORE_FLAGS_ADD
		 : cur_opt(c, '-') ? STORE_FLAGS_REMOVE
				   : STORE_FLAGS_SET;
	cur_need_lit(c, S("FLAGS"));
	ch->silent = cur_lit(c, S(".SILENT"));
	cur_sp(c);
	imap_parse_store_flags(c, &cmd->arena, &ch->named);
	cur_end(c);
}

/*
 * What is said of the messages after the change. .SILENT leaves out the flags
 * of those that were changed; who knows CONDSTORE hears their MODSEQ all the
 * same, and the flags of those that were left alone (7162 3.1.3). Those that
 * another session expunged have flags while their number is in use, and nobody
 * but the sessions that still number them will know (RFC 2180 4.2.1).
 */
CO_FN static void announce(struct imap_cmd *cmd, const struct change *ch, const uint32_t *seqs,
			   size_t n)
{
	struct imap *s = cmd->s;
	unsigned all = imap_tell_what(s, cmd->uid);
	unsigned quiet = imap_condstore(s) ? all & ~(unsigned)IMAP_TELL_FLAGS : 0;
	struct imap_tell t;
	size_t k = 0;
	int r = 0;

	imap_tell_init(&t, s, &cmd->arena);
	for (size_t i = 0; i < n && r == 0; i++) {
		uint32_t uid = store_view_uid(s->view, seqs[i]);
		while (k < ch->cond.n_left && ch->cond.left[k] < uid) {
			k++;
		}
		bool left = k < ch->cond.n_left && ch->cond.left[k] == uid;
		unsigned what = ch->silent && !left ? quiet : all;
		if (!ch->conditional) {
			store_view_change_gone(s->view, seqs[i], ch->op, ch->flags, &ch->cond);
			what |= ch->silent ? 0 : IMAP_TELL_GONE;
		}
		r = what ? imap_tell(&t, seqs[i], what) : 0;
	}
	imap_tell_fini(&t);
}

/* "[MODIFIED set] " into b: numbers, or UIDs for a UID command. */
static void put_modified(const struct imap_cmd *cmd, const struct change *ch, struct buf *b)
{
	uint32_t *v = ch->cond.left;

	if (ch->cond.n_left == 0) {
		return;
	}
	for (size_t i = 0; i < ch->cond.n_left && !cmd->uid; i++) {
		v[i] = store_view_seq(cmd->s->view, v[i]);
	}
	buf_adds(b, "[MODIFIED ");
	seqset_write(b, v, ch->cond.n_left);
	buf_adds(b, "] ");
}

static int answer(struct imap_cmd *cmd, const struct change *ch, size_t gone)
{
	struct buf b = BUF_INIT(IMAP_REPLY_MAX - 64);
	bool no = gone > 0 && ch->conditional; /* 7162 3.1.3: those could not be looked at */

	put_modified(cmd, ch, &b);
	if (gone > 0 && b.n == 0) {
		buf_adds(&b, "[EXPUNGEISSUED] ");
	}
	buf_reset(&cmd->reply);
	buf_adds(&cmd->reply, no ? "NO " : "OK ");
	buf_add(&cmd->reply, buf_slice(&b));
	buf_adds(&cmd->reply, gone > 0 ? "Some messages are gone" : "Flags stored");
	buf_fini(&b);
	return 0;
}

CO_FN static int apply(struct imap_cmd *cmd, struct change *ch, const uint32_t *seqs, size_t n)
{
	struct imap *s = cmd->s;
	struct err e = ERR_INIT;
	uint32_t *uids;
	size_t n_uids;
	size_t gone;
	int r = imap_view_uids(s, seqs, n, &cmd->arena, &uids, &n_uids, &gone);

	if (r == 0 && ch->conditional) {
		ch->cond.left = arena_array(&cmd->arena, n_uids, sizeof(uint32_t));
		r = ch->cond.left ? 0 : -ENOMEM;
	}
	ch->cond.view = ch->silent ? s->view : NULL;
	if (r == 0 && n_uids > 0) {
		r = store_flags_change_if(s->mbox, uids, n_uids, ch->op, ch->flags, &ch->cond, &e);
	}
	if (r != STORE_OK) {
		return imap_store_no(cmd, r, &e);
	}
	announce(cmd, ch, seqs, n);
	return answer(cmd, ch, gone);
}

/*
 * Leaves what the session may change (RFC 4314 4); false if that is nothing of
 * what was asked for.
 */
static bool keep_permitted(const struct imap *s, struct change *ch)
{
	struct store_flags may = imap_flags_allowed(
		store_mailbox_rights(s->mbox, s->id.account, s->base.env->share_with_anyone));
	bool asked = ch->named.system || ch->named.n;

	ch->cond.masked = true;
	ch->cond.mask = may;
	ch->named.system &= may.system;
	ch->named.n = may.keywords ? ch->named.n : 0;
	if (asked) {
		return ch->named.system || ch->named.n;
	}
	return may.system || may.keywords;
}

/* store = "STORE" SP sequence-set SP [store-modifiers] store-att-flags */
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
	if (ch.conditional) {
		imap_enable_condstore(s);
	}
	if (s->readonly) {
		return imap_no(cmd, "[READ-ONLY] Mailbox is read-only");
	}
	if (!keep_permitted(s, &ch)) {
		return imap_no(cmd, "[NOPERM] Not permitted");
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
	if (!imap_may(s, STORE_RIGHT_EXPUNGE)) {
		return imap_no(cmd, "[NOPERM] Not permitted");
	}
	if (r == 0 && !(cmd->uid && n == 0)) {
		r = store_expunge(s->mbox, uids, n, true, &removed, &e);
	}
	return r == STORE_OK ? imap_ok(cmd, "Expunged") : imap_store_no(cmd, r, &e);
}
