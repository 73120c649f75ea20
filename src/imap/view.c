/*
 * view: sequence numbers, and telling the client what became of the selected
 * mailbox (RFC 3501 5.2, 7.3, 7.4.1).
 *
 * The store's view holds exactly what this client has been told; numbers
 * change only in imap_view_sync, which announces every change it makes.
 */
#include "imap/impl.h"
#include "imap/write.h"

void imap_unselect(struct imap *s)
{
	store_view_close(&s->view);
	store_mailbox_close(&s->mbox);
	if (s->state == IMAP_SELECTED) {
		s->state = IMAP_AUTHED;
	}
}

CO_FN void imap_view_flags(struct imap *s, struct arena *a)
{
	struct conn *c = imap_conn(s);
	struct slice *names = NULL;
	size_t n = 0;
	struct buf words = BUF_INIT(STORE_KEYWORDS_MAX * (STORE_KEYWORD_MAX + 1));

	if (store_keywords(s->mbox, a, &names, &n) != STORE_OK) {
		n = 0;
	}
	for (size_t i = 0; i < n; i++) {
		buf_addc(&words, ' ');
		buf_add(&words, names[i]);
	}
	conn_write(c, S("* FLAGS (\\Answered \\Flagged \\Deleted \\Seen "
			"\\Draft"));
	conn_write(c, buf_slice(&words));
	conn_write(c, S(")\r\n"));
	if (s->readonly) {
		conn_write(c, S("* OK [PERMANENTFLAGS ()] Read-only\r\n"));
	} else {
		conn_write(c, S("* OK [PERMANENTFLAGS (\\Answered \\Flagged "
				"\\Deleted \\Seen \\Draft"));
		conn_write(c, buf_slice(&words));
		conn_write(c, n < STORE_KEYWORDS_MAX ? S(" \\*)] Flags are kept\r\n")
						     : S(")] Flags are kept\r\n"));
	}
	buf_fini(&words);
}

CO_FN static void announce_changed(struct imap *s, struct arena *a, const struct store_diff *d,
				   bool with_uid)
{
	struct buf line = BUF_INIT(IMAP_LINE_MAX);
	struct slice *names = NULL;
	size_t n = 0;

	if (d->n_changed == 0 || !imap_notify_flags(s) ||
	    store_keywords(s->mbox, a, &names, &n) != STORE_OK) {
		return;
	}
	for (size_t i = 0; i < d->n_changed; i++) {
		uint32_t seq = d->changed[i].seq;
		struct store_msg m;
		if (store_view_msg(s->view, seq, &m) != STORE_OK) {
			continue;
		}
		buf_reset(&line);
		buf_printf(&line, "* %u FETCH (", seq);
		if (with_uid) {
			buf_printf(&line, "UID %u ", m.uid);
		}
		buf_add(&line, S("FLAGS "));
		imap_put_flags(&line, m.flags, names, n, store_view_recent(s->view, seq));
		buf_add(&line, S(")\r\n"));
		conn_write(imap_conn(s), buf_slice(&line));
	}
	buf_fini(&line);
}

CO_FN int imap_view_sync(struct imap *s, struct arena *a, bool expunges, bool with_uid)
{
	struct conn *c = imap_conn(s);
	struct arena_mark mark = arena_mark(a);
	struct store_diff d = { 0 };
	int r = STORE_OK;

	if (!s->view) {
		return STORE_OK;
	}
	if (store_mailbox_gone(s->mbox)) {
		r = STORE_GONE;
	} else if (!imap_notify_frozen(s) && store_view_stale(s->view)) {
		r = store_view_sync(s->view, expunges, a, &d);
	}
	if (r != STORE_OK) {
		imap_bye(s, r == STORE_GONE ? "The selected mailbox was deleted"
					    : "[UNAVAILABLE] Mailbox cannot be read");
		return r;
	}
	for (size_t i = 0; i < d.n_expunged; i++) {
		conn_printf(c, "* %u EXPUNGE\r\n", d.expunged[i]);
	}
	if (d.exists_changed) {
		conn_printf(c, "* %u EXISTS\r\n", d.exists);
	}
	if (d.recent_changed) {
		conn_printf(c, "* %u RECENT\r\n", d.recent);
	}
	if (d.keywords_changed) {
		imap_view_flags(s, a);
	}
	announce_changed(s, a, &d, with_uid);
	arena_reset(a, mark);
	return STORE_OK;
}

/* ---- sets ------------------------------------------------------------------ */

uint32_t imap_view_star(const struct imap *s, bool uid)
{
	uint32_t count = store_view_count(s->view);

	return count == 0 || !uid ? count : store_view_uid(s->view, count);
}

/* The numbers of one range: from *lo_out to below *hi_out. */
static void range_seqs(const struct imap *s, const struct seq_range *r, bool uid, uint32_t *lo_out,
		       uint32_t *hi_out)
{
	uint32_t count = store_view_count(s->view);

	if (uid) {
		*lo_out = store_view_lower(s->view, r->lo);
		*hi_out = r->hi == UINT32_MAX ? count + 1 : store_view_lower(s->view, r->hi + 1);
	} else {
		*lo_out = r->lo;
		*hi_out = MIN(r->hi, count) + 1;
	}
}

int imap_view_select(const struct imap *s, const struct seqset *set, bool uid, struct arena *a,
		     uint32_t **seqs_out, size_t *n_out)
{
	size_t total = 0;
	size_t n = 0;
	uint32_t *seqs;

	if (!uid && set->top > store_view_count(s->view)) {
		return -EINVAL;
	}
	for (size_t i = 0; i < set->n; i++) {
		uint32_t lo;
		uint32_t hi;
		range_seqs(s, &set->r[i], uid, &lo, &hi);
		total += hi > lo ? hi - lo : 0;
	}
	seqs = arena_array(a, total, sizeof(seqs[0]));
	if (!seqs) {
		return -ENOMEM;
	}
	for (size_t i = 0; i < set->n; i++) {
		uint32_t lo;
		uint32_t hi;
		range_seqs(s, &set->r[i], uid, &lo, &hi);
		for (; lo < hi; lo++) {
			seqs[n++] = lo;
		}
	}
	*seqs_out = seqs;
	*n_out = n;
	return 0;
}

bool imap_view_set(struct imap_cmd *cmd, uint32_t **seqs_out, size_t *n_out)
{
	struct imap *s = cmd->s;
	struct seqset set;
	int r = seqset_parse(&cmd->c, &cmd->arena, imap_view_star(s, cmd->uid), &set);

	if (r == 0) {
		r = imap_view_select(s, &set, cmd->uid, &cmd->arena, seqs_out, n_out);
		if (r == -EINVAL) {
			imap_bad(cmd, "No message has that number");
			return false;
		}
	}
	if (r < 0) {
		cur_fail(&cmd->c, r);
		imap_syntax(cmd);
	}
	return r == 0;
}

int imap_view_uids(const struct imap *s, const uint32_t *seqs, size_t n, struct arena *a,
		   uint32_t **uids_out, size_t *n_out, size_t *gone_out)
{
	uint32_t *uids = arena_array(a, n, sizeof(uids[0]));
	size_t k = 0;

	if (!uids) {
		return -ENOMEM;
	}
	*gone_out = 0;
	for (size_t i = 0; i < n; i++) {
		struct store_msg m;
		if (store_view_msg(s->view, seqs[i], &m) == STORE_OK) {
			uids[k++] = m.uid;
		} else {
			(*gone_out)++;
		}
	}
	*uids_out = uids;
	*n_out = k;
	return 0;
}
