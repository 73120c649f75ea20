/*
 * view: sequence numbers, and telling the client what became of the selected
 * mailbox (RFC 3501 5.2, 7.3, 7.4.1).
 *
 * The store's view holds exactly what this client has been told; numbers
 * change only in imap_view_sync, which announces every change it makes.
 */
#include "imap/context.h"
#include "imap/impl.h"
#include "imap/target.h"
#include "imap/write.h"

void imap_unselect(struct imap *s)
{
	store_view_close(&s->view);
	store_mailbox_close(&s->mbox);
	imap_saved_clear(&s->saved);
	imap_contexts_free(s);
	store_account_close(&s->lender);
	if (s->state == IMAP_SELECTED) {
		s->state = IMAP_AUTHED;
	}
}

static unsigned selected_rights(const struct imap *s)
{
	return store_mailbox_rights(s->mbox, s->id.account, s->base.env->share_with_anyone);
}

/* What this session may change, by the rights just noted (RFC 4314 5.1.1). */
CO_FN static void put_permanent(struct imap *s, struct slice words, size_t n_words)
{
	static const struct {
		unsigned flag;
		const char *name;
	} flags[] = {
		{ STORE_ANSWERED, " \\Answered" }, { STORE_FLAGGED, " \\Flagged" },
		{ STORE_DELETED, " \\Deleted" },   { STORE_SEEN, " \\Seen" },
		{ STORE_DRAFT, " \\Draft" },
	};
	struct store_flags may = imap_flags_allowed(s->readonly ? 0 : s->rights_told);
	struct buf line = BUF_INIT(IMAP_LINE_MAX);
	bool none = may.system == 0 && may.keywords == 0;

	for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
		buf_adds(&line, may.system & flags[i].flag ? flags[i].name : "");
	}
	if (may.keywords) {
		buf_add(&line, words);
		buf_adds(&line, n_words < STORE_KEYWORDS_MAX ? " \\*" : "");
	}
	conn_write(imap_conn(s), S("* OK [PERMANENTFLAGS ("));
	conn_write(imap_conn(s), slice_from(buf_slice(&line), 1));
	conn_write(imap_conn(s), none ? S(")] Read-only\r\n") : S(")] Flags are kept\r\n"));
	buf_fini(&line);
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
	store_view_keywords_told(s->view, (unsigned)n);
	for (size_t i = 0; i < n; i++) {
		buf_addc(&words, ' ');
		buf_add(&words, names[i]);
	}
	conn_write(c, S("* FLAGS (\\Answered \\Flagged \\Deleted \\Seen "
			"\\Draft"));
	conn_write(c, buf_slice(&words));
	conn_write(c, S(")\r\n"));
	s->rights_told = selected_rights(s);
	put_permanent(s, buf_slice(&words), n);
	buf_fini(&words);
}

CO_FN void imap_view_flags_for(struct imap *s, struct arena *a, const struct store_flags *flags)
{
	unsigned known = store_view_keywords(s->view);

	if (known < STORE_KEYWORDS_MAX && (flags->keywords >> known) != 0) {
		imap_view_flags(s, a);
	}
}

/* EXPUNGE, highest number first; or VANISHED, to clients that know it
 * (RFC 7162 3.2.10, RFC 9586). */
CO_FN static void tell_expunged(struct imap *s, const struct store_diff *d)
{
	struct imap_vanished v;

	if (!(s->enabled & (IMAP_EN_QRESYNC | IMAP_EN_UIDONLY))) {
		for (size_t i = 0; i < d->n_expunged && co_breathe() == 0; i++) {
			conn_printf(imap_conn(s), "* %u EXPUNGE\r\n", d->expunged[i]);
		}
		return;
	}
	imap_vanished_init(&v, s, false);
	for (size_t i = d->n_expunged; i > 0; i--) {
		imap_vanished_add(&v, d->expunged_uids[i - 1], d->expunged_uids[i - 1]);
	}
	imap_vanished_end(&v);
	s->modseq_due |= d->n_expunged > 0 && imap_qresync(s);
}

CO_FN static void tell_counts(struct imap *s, const struct store_diff *d)
{
	if (d->exists_changed) {
		conn_printf(imap_conn(s), "* %u EXISTS\r\n", d->exists);
	}
	if (d->recent_changed && !imap_rev2(s)) {
		conn_printf(imap_conn(s), "* %u RECENT\r\n", d->recent);
	}
}

CO_FN static void tell_changed(struct imap *s, struct arena *a, const struct store_diff *d,
			       bool with_uid)
{
	struct imap_tell t;

	if (!imap_notify_flags(s)) {
		return; /* never told: nor is how far it went */
	}
	imap_tell_init(&t, s, a);
	for (size_t i = 0; i < d->n_changed; i++) {
		if (imap_tell(&t, d->changed[i].seq, imap_tell_what(s, with_uid)) < 0) {
			break;
		}
	}
	imap_tell_fini(&t);
}

CO_FN int imap_view_sync(struct imap *s, struct arena *a, bool expunges, bool with_uid)
{
	struct arena_mark mark = arena_mark(a);
	struct store_diff d = { 0 };
	uint64_t before;
	int r = STORE_OK;

	if (!s->view) {
		return STORE_OK;
	}
	before = store_view_modseq(s->view);
	if (store_mailbox_gone(s->mbox)) {
		r = STORE_GONE;
	} else if (!imap_notify_frozen(s) && store_view_behind(s->view)) {
		r = store_view_sync(s->view, expunges, a, &d);
	}
	if (r == STORE_OK && !imap_may(s, STORE_RIGHT_READ)) {
		imap_bye(s, IMAP_REVOKED);
		return STORE_GONE;
	}
	if (r != STORE_OK) {
		imap_bye(s, r == STORE_GONE ? "The selected mailbox was deleted"
					    : "[UNAVAILABLE] Mailbox cannot be read");
		return r;
	}
	/* The view is up to date from here on; what follows only says so. */
	if (d.n_changed > 0 && !imap_notify_flags(s)) {
		s->modseq_max = MIN(s->modseq_max, before);
	}
	imap_contexts_expunged(s, &d);
	imap_url_news(s);
	tell_expunged(s, &d);
	tell_counts(s, &d);
	if (d.keywords_changed || s->rights_told != selected_rights(s)) {
		imap_view_flags(s, a);
	}
	tell_changed(s, a, &d, with_uid);
	imap_contexts_changed(s, a);
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

/* The numbers of "$": what was found and is still in the view. */
static int saved_seqs(const struct imap *s, struct arena *a, uint32_t **seqs_out, size_t *n_out)
{
	uint32_t *seqs = arena_array(a, s->saved.n, sizeof(seqs[0]));
	size_t n = 0;

	for (size_t i = 0; seqs && i < s->saved.n; i++) {
		uint32_t seq = store_view_seq(s->view, s->saved.uids[i]);
		if (seq > 0) {
			seqs[n++] = seq;
		}
	}
	*seqs_out = seqs;
	*n_out = n;
	return seqs ? 0 : -ENOMEM;
}

bool imap_view_set(struct imap_cmd *cmd, uint32_t **seqs_out, size_t *n_out)
{
	struct imap *s = cmd->s;
	struct seqset set;
	bool saved = cur_opt(&cmd->c, '$');
	int r = saved ? saved_seqs(s, &cmd->arena, seqs_out, n_out)
		      : seqset_parse(&cmd->c, &cmd->arena, imap_view_star(s, cmd->uid), &set);

	if (r == 0 && !saved) {
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
