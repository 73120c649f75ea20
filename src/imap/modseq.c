/*
 * modseq: mod-sequences as a client sees them (RFC 7162).
 *
 * A client that saw MODSEQ n takes everything up to n for known, unless
 * HIGHESTMODSEQ says otherwise; what it takes for known it never asks for
 * again. So at the end of each command the highest MODSEQ that was said is
 * compared with how far everything was announced (store_view_modseq: lower
 * while expunges are held back, or when more happened while we wrote), and
 * where it is higher the client is put right.
 */
#include "imap/impl.h"

/* How far this client was told everything. */
static uint64_t known(const struct imap *s)
{
	return MIN(store_view_modseq(s->view), s->modseq_max);
}

CO_FN void imap_enable_condstore(struct imap *s)
{
	if (imap_condstore(s)) {
		return;
	}
	s->enabled |= IMAP_EN_CONDSTORE;
	if (s->view) {
		conn_printf(imap_conn(s), "* OK [HIGHESTMODSEQ %llu] CONDSTORE is on\r\n",
			    (unsigned long long)known(s));
	}
}

void imap_put_modseq(struct imap *s, struct buf *b, uint64_t modseq)
{
	buf_printf(b, "MODSEQ (%llu)", (unsigned long long)modseq);
	s->modseq_said = MAX(s->modseq_said, modseq);
}

CO_FN static void say(struct imap *s, uint64_t modseq)
{
	conn_printf(imap_conn(s), "* OK [HIGHESTMODSEQ %llu] Known so far\r\n",
		    (unsigned long long)modseq);
}

CO_FN void imap_modseq_news(struct imap *s)
{
	if (s->modseq_due && s->view) {
		s->modseq_due = false;
		say(s, known(s));
	}
}

/* Puts the code into an OK without one. False: it has one, or is no OK. */
static bool into_reply(struct imap_cmd *cmd, uint64_t modseq)
{
	struct slice ok = S("OK ");
	struct slice text = slice_from(buf_slice(&cmd->reply), ok.n);
	struct buf b = BUF_INIT(IMAP_REPLY_MAX);
	bool fits = !cmd->replied && slice_starts(buf_slice(&cmd->reply), ok) &&
		    !slice_starts(text, S("["));

	if (fits) {
		buf_printf(&b, "OK [HIGHESTMODSEQ %llu] ", (unsigned long long)modseq);
		buf_add(&b, text);
		buf_reset(&cmd->reply);
		buf_add(&cmd->reply, buf_slice(&b));
	}
	buf_fini(&b);
	return fits;
}

CO_FN void imap_modseq_settle(struct imap_cmd *cmd)
{
	struct imap *s = cmd->s;
	bool due = s->view && (s->modseq_due || s->modseq_said > known(s));

	s->modseq_due = false;
	s->modseq_said = 0;
	if (due && !into_reply(cmd, known(s))) {
		say(s, known(s));
	}
}

/* ---- VANISHED (EARLIER) --------------------------------------------------------- */

/* first..last without what the view still has: of that the client hears when
 * its turn comes. */
CO_FN static void add_unseen(struct imap_vanished *v, uint64_t first, uint32_t last)
{
	const struct store_view *view = v->s->view;

	while (first <= last) {
		uint32_t seq = store_view_lower(view, (uint32_t)first);
		uint64_t next =
			seq <= store_view_count(view) ? store_view_uid(view, seq) : UINT64_MAX;
		if (next > first) {
			imap_vanished_add(v, (uint32_t)first, (uint32_t)MIN(last, next - 1));
		}
		first = next < UINT64_MAX ? next + 1 : UINT64_MAX;
	}
}

/* The parts of one range that are in the set; *at is where to go on. */
CO_FN static void add_in_set(struct imap_vanished *v, const struct seqset *set, size_t *at,
			     struct store_uid_range r)
{
	while (*at < set->n && set->r[*at].hi < r.first) {
		++*at;
	}
	for (size_t i = *at; i < set->n && set->r[i].lo <= r.last; i++) {
		add_unseen(v, MAX(set->r[i].lo, r.first), MIN(set->r[i].hi, r.last));
	}
}

CO_FN int imap_vanished_earlier(struct imap *s, struct arena *a, uint64_t since,
				const struct seqset *set, uint32_t floor, struct err *e)
{
	struct store_uid_range *ranges;
	struct imap_vanished v;
	size_t at = 0;
	size_t n;
	int r = store_vanished(s->mbox, since, a, &ranges, &n, e);

	if (r != STORE_OK) {
		return r;
	}
	imap_vanished_init(&v, s, true);
	for (size_t i = 0; i < n && imap_conn(s)->err == 0; i++) {
		if (ranges[i].last <= floor) {
			continue;
		}
		ranges[i].first = MAX(ranges[i].first, floor + 1);
		if (set) {
			add_in_set(&v, set, &at, ranges[i]);
		} else {
			add_unseen(&v, ranges[i].first, ranges[i].last);
		}
	}
	imap_vanished_end(&v);
	return STORE_OK;
}
