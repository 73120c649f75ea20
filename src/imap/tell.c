/*
 * tell: the untagged responses about messages of the selected mailbox that
 * more than one command makes: FETCH with the flags, and VANISHED.
 *
 * Each goes out by itself with the connection's back-pressure, so telling
 * about 200,000 messages takes one line of memory. While a write waits the
 * mailbox may change: every line is made from what is true at that moment,
 * and what it says is noted as told with the modseq it was true at.
 */
#include "imap/impl.h"
#include "imap/write.h"

#define VANISHED_LINE 4096u /* a line of VANISHED is not much longer */

unsigned imap_tell_what(const struct imap *s, bool with_uid)
{
	unsigned what = IMAP_TELL_FLAGS;

	if (with_uid || imap_condstore(s) || imap_rev2(s)) {
		what |= IMAP_TELL_UID; /* RFC 7162 3.2.4, RFC 9051 7.5.2 */
	}
	if (imap_condstore(s)) {
		what |= IMAP_TELL_MODSEQ;
	}
	return what;
}

CO_FN int imap_keywords(struct imap *s, struct arena *a, struct slice **names, size_t *n)
{
	if (*names && *n == store_keyword_count(s->mbox)) {
		return 0;
	}
	return store_keywords(s->mbox, a, names, n);
}

void imap_put_fetch(const struct imap *s, struct buf *b, uint32_t seq, uint32_t uid)
{
	if (s->enabled & IMAP_EN_UIDONLY) {
		buf_printf(b, "* %u UIDFETCH (", uid);
	} else {
		buf_printf(b, "* %u FETCH (", seq);
	}
}

void imap_tell_init(struct imap_tell *t, struct imap *s, struct arena *a)
{
	*t = (struct imap_tell){ .s = s, .a = a };
	buf_init(&t->line, IMAP_LINE_MAX);
}

void imap_tell_fini(struct imap_tell *t)
{
	buf_fini(&t->line);
}

/* What is said of a message; after "(", items with blanks between. */
static void put_items(struct imap_tell *t, uint32_t seq, const struct store_msg *m, unsigned what)
{
	struct imap *s = t->s;
	const char *gap = "";

	if ((what & IMAP_TELL_UID) && !(s->enabled & IMAP_EN_UIDONLY)) {
		buf_printf(&t->line, "UID %u", m->uid);
		gap = " ";
	}
	if (what & IMAP_TELL_FLAGS) {
		buf_adds(&t->line, gap);
		buf_adds(&t->line, "FLAGS ");
		imap_put_flags(&t->line, m->flags, t->names, t->n_names,
			       !imap_rev2(s) && store_view_recent(s->view, seq));
		gap = " ";
	}
	if (what & IMAP_TELL_MODSEQ) {
		buf_adds(&t->line, gap);
		imap_put_modseq(s, &t->line, m->modseq);
	}
}

CO_FN int imap_tell(struct imap_tell *t, uint32_t seq, unsigned what)
{
	struct imap *s = t->s;
	struct store_msg m;
	bool gone = store_view_msg(s->view, seq, &m) != STORE_OK;

	if ((gone && !(what & IMAP_TELL_GONE)) ||
	    imap_keywords(s, t->a, &t->names, &t->n_names) != 0) {
		return 0;
	}
	if (what & IMAP_TELL_FLAGS) {
		imap_view_flags_for(s, t->a, &m.flags);
	}
	buf_reset(&t->line);
	imap_put_fetch(s, &t->line, seq, m.uid);
	put_items(t, seq, &m, what);
	buf_adds(&t->line, ")\r\n");
	if ((what & IMAP_TELL_FLAGS) && !gone) {
		store_view_told(s->view, seq, m.modseq);
	}
	conn_write(imap_conn(s), buf_slice(&t->line));
	return imap_conn(s)->err ? imap_conn(s)->err : co_breathe();
}

/* ---- VANISHED ---------------------------------------------------------------- */

void imap_vanished_init(struct imap_vanished *v, struct imap *s, bool earlier)
{
	*v = (struct imap_vanished){ .s = s, .earlier = earlier };
	buf_init(&v->line, VANISHED_LINE + 64);
}

CO_FN static void put_range(struct imap_vanished *v)
{
	if (v->last.first == 0) {
		return;
	}
	if (v->line.n == 0) {
		buf_adds(&v->line, v->earlier ? "* VANISHED (EARLIER) " : "* VANISHED ");
	} else {
		buf_addc(&v->line, ',');
	}
	buf_addu(&v->line, v->last.first);
	if (v->last.last != v->last.first) {
		buf_addc(&v->line, ':');
		buf_addu(&v->line, v->last.last);
	}
	v->last.first = 0;
}

CO_FN static void flush(struct imap_vanished *v)
{
	if (v->line.n > 0) {
		buf_adds(&v->line, "\r\n");
		conn_write(imap_conn(v->s), buf_slice(&v->line));
		buf_reset(&v->line);
	}
}

CO_FN void imap_vanished_add(struct imap_vanished *v, uint32_t first, uint32_t last)
{
	if (v->last.first != 0 && v->last.last + 1 == first) {
		v->last.last = last;
		return;
	}
	put_range(v);
	if (v->line.n >= VANISHED_LINE) {
		flush(v);
	}
	v->last = (struct store_uid_range){ first, last };
}

CO_FN void imap_vanished_end(struct imap_vanished *v)
{
	put_range(v);
	flush(v);
	buf_fini(&v->line);
}
