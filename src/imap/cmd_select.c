/*
 * cmd_select: SELECT, EXAMINE, CLOSE, UNSELECT (RFC 3501 6.3.1, 6.3.2, 6.4.2,
 * RFC 9051 6.3.2, RFC 3691), with CONDSTORE and QRESYNC (RFC 7162).
 */
#include "imap/impl.h"
#include "imap/parse.h"
#include "imap/qresync.h"
#include "imap/status.h"
#include "imap/target.h"
#include "imap/write.h"

#define BREATH 4096 /* messages passed over without a look at the clock */

/* Brings the view up to the moment, and reads all facts before the first
 * write may suspend: mail that comes while we write is not in the view, and
 * its UIDs are not below UIDNEXT. */
CO_FN static int announce(struct imap *s, struct arena *a)
{
	struct conn *c = imap_conn(s);
	struct store_diff unheard;
	struct buf id = BUF_INIT(64);
	struct store_status st;
	uint64_t modseq;
	uint32_t unseen;
	uint32_t count;
	int r = store_view_sync(s->view, true, a, &unheard);

	if (r != STORE_OK) {
		return r;
	}
	unseen = imap_rev2(s) ? 0 : store_view_first_unseen(s->view);
	count = store_view_count(s->view);
	modseq = store_view_modseq(s->view);
	store_mailbox_get_status(s->mbox, &st);
	imap_url_selected(s);
	imap_view_flags(s, a);
	conn_printf(c, "* %u EXISTS\r\n", count);
	if (!imap_rev2(s)) {
		conn_printf(c, "* %u RECENT\r\n", store_view_recent_count(s->view));
	}
	if (unseen && !(s->enabled & IMAP_EN_UIDONLY)) {
		conn_printf(c, "* OK [UNSEEN %u] First unseen\r\n", unseen);
	}
	conn_printf(c, "* OK [UIDVALIDITY %u] UIDs are valid\r\n", st.uidvalidity);
	conn_printf(c, "* OK [UIDNEXT %u] Predicted next UID\r\n", st.uidnext);
	conn_printf(c, "* OK [HIGHESTMODSEQ %llu] Last change\r\n", (unsigned long long)modseq);
	status_put_mailboxid(&id, store_account_id(store_mailbox_account(s->mbox)), st.id);
	conn_printf(c, "* OK [MAILBOXID (%.*s)] The same whatever its name\r\n",
		    SLICE_ARG(buf_slice(&id)));
	buf_fini(&id);
	return STORE_OK;
}

static uint32_t uid_of(void *arg, uint32_t seq)
{
	return store_view_uid(arg, seq);
}

/* Of the known UIDs, the flags that changed since (7162 3.2.5.1). */
CO_FN static void tell_changes(struct imap *s, struct arena *a, const struct select_params *p)
{
	unsigned what = imap_tell_what(s, true);
	uint32_t count = store_view_count(s->view);
	struct imap_tell t;
	int r = 0;

	imap_tell_init(&t, s, a);
	for (uint32_t seq = 1; seq <= count && r == 0; seq++) {
		struct store_msg m;
		store_view_msg(s->view, seq, &m);
		if (m.modseq > p->modseq && (!p->has_known || seqset_has(&p->known, m.uid))) {
			r = imap_tell(&t, seq, what);
		} else if (seq % BREATH == 0) {
			r = co_breathe();
		}
	}
	imap_tell_fini(&t);
}

/* What the client missed since it was here last. */
CO_FN static int resync(struct imap *s, struct arena *a, const struct select_params *p,
			struct err *e)
{
	struct store_status st;
	uint32_t floor = qresync_floor(p, store_view_count(s->view), uid_of, s->view);
	int r;

	store_mailbox_get_status(s->mbox, &st);
	if (p->uidvalidity != st.uidvalidity) {
		return STORE_OK; /* the client sees that it knows nothing */
	}
	r = imap_vanished_earlier(s, a, p->modseq, p->has_known ? &p->known : NULL, floor, e);
	if (r == STORE_OK) {
		tell_changes(s, a, p);
	}
	return r;
}

/* Leaves the mailbox that was selected, so that the client can tell what was
 * of it from what comes (7162 3.2.11). */
CO_FN static void replace(struct imap *s)
{
	if (s->view) {
		imap_unselect(s);
		conn_write(imap_conn(s), S("* OK [CLOSED] Mailbox left\r\n"));
	}
}

/* Rights that let a session change something (RFC 4314 5.2). */
#define WRITING                                                                            \
	(STORE_RIGHT_INSERT | STORE_RIGHT_EXPUNGE | STORE_RIGHT_SEEN | STORE_RIGHT_WRITE | \
	 STORE_RIGHT_DELETEMSG)

/* Mailbox and view of a target, on its loop. Others' sessions take no \Recent
 * away from the owner's. */
CO_FN static int open_target(struct imap *s, const struct imap_target *t,
			     struct store_account *account, bool readonly, struct err *e)
{
	int r = store_mailbox_open(account, t->name, &s->mbox, e);

	s->readonly = readonly || !(t->rights & WRITING);
	if (r == STORE_OK && !imap_may(s, STORE_RIGHT_READ)) {
		r = STORE_NOTFOUND; /* not since it was looked up */
	}
	return r ? r : store_view_open(s->mbox, !s->readonly && t->mine, &s->view, e);
}

CO_FN static int open_mailbox(struct imap *s, struct imap_cmd *cmd, struct slice raw,
			      struct slice name, const struct select_params *p, bool readonly)
{
	struct store_account *account = NULL;
	struct err e = ERR_INIT;
	struct imap_target t;
	int r;

	replace(s);
	if (!imap_target(cmd, name, STORE_RIGHT_READ, &t)) {
		return 0;
	}
	r = imap_settle(cmd, t.account, &account, &e);
	if (r == IMAP_MOVES) {
		return 0;
	}
	if (p->condstore) {
		imap_enable_condstore(s);
	}
	r = r ? r : open_target(s, &t, account, readonly, &e);
	if (r == STORE_OK) {
		s->modseq_max = UINT64_MAX;
		r = announce(s, &cmd->arena);
	}
	if (r == STORE_OK && imap_rev2(s)) {
		/* RFC 9051 6.3.2; what is not normalized has OLDNAME */
		imap_list_one(cmd, name, slice_eq(raw, name) ? slice_make(NULL, 0) : raw);
	}
	if (r == STORE_OK && p->qresync) {
		r = resync(s, &cmd->arena, p, &e);
	}
	if (r != STORE_OK) {
		imap_unselect(s);
		return imap_store_no(cmd, r, &e);
	}
	s->state = IMAP_SELECTED;
	return imap_ok(cmd, "[%s] Mailbox %s", s->readonly ? "READ-ONLY" : "READ-WRITE",
		       readonly ? "examined" : "selected");
}

/* [SP select-params] and the end; false with the reply set. */
static bool parse_params(struct imap *s, struct imap_cmd *cmd, struct select_params *p)
{
	if (cur_opt(&cmd->c, ' ')) {
		select_params_parse(&cmd->c, &cmd->arena, p);
	}
	if (!cur_end(&cmd->c)) {
		imap_syntax(cmd);
		return false;
	}
	if (p->qresync && !imap_qresync(s)) {
		imap_bad(cmd, "ENABLE QRESYNC first");
		return false;
	}
	if (p->has_match && (s->enabled & IMAP_EN_UIDONLY)) {
		imap_bad(cmd, "[UIDREQUIRED] Message numbers are off");
		return false;
	}
	return true;
}

/* select = "SELECT" SP mailbox [select-params] */
CO_FN static int select_mailbox(struct imap *s, struct imap_cmd *cmd, bool readonly)
{
	struct select_params p = { 0 };
	struct slice raw;
	struct slice name;

	cur_sp(&cmd->c);
	raw = imap_parse_astring(&cmd->c, &cmd->arena);
	if (!parse_params(s, cmd, &p)) {
		return 0;
	}
	if (!imap_mailbox_canon(&cmd->arena, raw, imap_utf8(s), &name)) {
		/* A SELECT that fails leaves nothing selected (6.3.1). */
		replace(s);
		return imap_store_no(cmd, STORE_BADNAME, NULL);
	}
	return open_mailbox(s, cmd, raw, name, &p, readonly);
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
	if (!s->readonly && imap_may(s, STORE_RIGHT_EXPUNGE)) {
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
