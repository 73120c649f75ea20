/*
 * esearch: the responses of searching commands: SEARCH and SORT of RFC 3501
 * and 5256, ESEARCH of RFC 4731, 5267, 6203, 7162, 7377 and 9394. Sets are
 * written as they are walked, so a result of any size takes a few KiB here.
 */
#include "imap/find.h"
#include "imap/write.h"

#define PIECE 1024u /* of a set, before it goes to the connection */

/* What is being written: results [from, to) as numbers or UIDs. */
struct part {
	const struct search_found *v;
	size_t from;
	size_t to;
	bool uid;
};

static uint32_t number(const struct part *p, size_t i)
{
	return p->uid ? p->v[i].uid : p->v[i].seq;
}

/* A set in the order of the results; only ascending runs become ranges
 * (RFC 5267 3.2). */
CO_FN static void write_set(struct conn *c, const struct part *p)
{
	struct buf b = BUF_INIT(2 * PIECE);

	for (size_t i = p->from; i < p->to;) {
		size_t j = i + 1;
		while (j < p->to && number(p, j) == number(p, j - 1) + 1) {
			j++;
		}
		buf_adds(&b, i > p->from ? "," : "");
		buf_addu(&b, number(p, i));
		if (j > i + 1) {
			buf_addc(&b, ':');
			buf_addu(&b, number(p, j - 1));
		}
		if (b.n > PIECE) {
			conn_write(c, buf_slice(&b));
			buf_reset(&b);
		}
		i = j;
	}
	conn_write(c, buf_slice(&b));
	buf_fini(&b);
}

CO_FN static void write_scores(struct conn *c, const struct part *p)
{
	struct buf b = BUF_INIT(2 * PIECE);

	buf_adds(&b, " RELEVANCY (");
	for (size_t i = p->from; i < p->to; i++) {
		buf_adds(&b, i > p->from ? " " : "");
		buf_addu(&b, p->v[i].score);
		if (b.n > PIECE) {
			conn_write(c, buf_slice(&b));
			buf_reset(&b);
		}
	}
	buf_addc(&b, ')');
	conn_write(c, buf_slice(&b));
	buf_fini(&b);
}

void esearch_partial(const struct search_return *ret, size_t n, size_t *from_out, size_t *to_out)
{
	bool last = ret->partial_a < 0;
	uint64_t a = (uint64_t)(last ? -ret->partial_a : ret->partial_a);
	uint64_t b = (uint64_t)(last ? -ret->partial_b : ret->partial_b);
	uint64_t lo = MIN(MIN(a, b) - 1, n); /* how many are skipped */
	uint64_t hi = MIN(MAX(a, b), n);

	*from_out = last ? n - hi : lo;
	*to_out = last ? n - lo : hi;
}

/* ---- modseqs -------------------------------------------------------------------- */

static uint64_t modseq_of(const struct find *f, size_t i)
{
	struct store_msg m;

	return store_view_msg(f->run.view, f->run.v[i].seq, &m) == STORE_OK ? m.modseq : 0;
}

static uint64_t highest(const struct find *f, size_t from, size_t to)
{
	uint64_t top = 0;

	for (size_t i = from; i < to; i++) {
		top = MAX(top, modseq_of(f, i));
	}
	return top;
}

/* The highest modseq of what is returned (RFC 4731 3.2, RFC 9394 3.3). */
static uint64_t returned_modseq(const struct find *f)
{
	unsigned opts = f->ret.opts;
	size_t n = f->run.n;
	size_t from = 0;
	size_t to = 0;
	uint64_t top;

	if ((opts & (SEARCH_RET_ALL | SEARCH_RET_COUNT)) ||
	    !(opts & (SEARCH_RET_MIN | SEARCH_RET_MAX | SEARCH_RET_PARTIAL))) {
		return highest(f, 0, n);
	}
	if (opts & SEARCH_RET_PARTIAL) {
		esearch_partial(&f->ret, n, &from, &to);
	}
	top = highest(f, from, to);
	if (n > 0 && (opts & SEARCH_RET_MIN)) {
		top = MAX(top, modseq_of(f, 0));
	}
	if (n > 0 && (opts & SEARCH_RET_MAX)) {
		top = MAX(top, modseq_of(f, n - 1));
	}
	return top;
}

void find_modseq(struct find *f)
{
	f->modseq = f->prog.uses_modseq ? returned_modseq(f) : 0;
}

/* ---- responses -------------------------------------------------------------------- */

CO_FN static void write_partial(struct conn *c, const struct find *f, struct part *p)
{
	esearch_partial(&f->ret, f->run.n, &p->from, &p->to);
	conn_printf(c, " PARTIAL (%lld:%lld ", (long long)f->ret.partial_a,
		    (long long)f->ret.partial_b);
	if (p->from < p->to) {
		write_set(c, p);
		conn_write(c, S(")"));
	} else {
		conn_write(c, S("NIL)"));
	}
}

CO_FN static void write_items(const struct find *f, bool uid)
{
	struct conn *c = imap_conn(f->cmd->s);
	struct part p = { .v = f->run.v, .from = 0, .to = f->run.n, .uid = uid };
	unsigned opts = f->ret.opts;
	size_t n = f->run.n;

	if (n > 0 && (opts & SEARCH_RET_MIN)) {
		conn_printf(c, " MIN %u", number(&p, 0));
	}
	if (n > 0 && (opts & SEARCH_RET_MAX)) {
		conn_printf(c, " MAX %u", number(&p, n - 1));
	}
	if (opts & SEARCH_RET_COUNT) {
		conn_printf(c, " COUNT %zu", n);
	}
	if (n > 0 && (opts & SEARCH_RET_ALL)) {
		conn_write(c, S(" ALL "));
		write_set(c, &p);
	}
	if (opts & SEARCH_RET_PARTIAL) {
		write_partial(c, f, &p);
	}
	if (opts & SEARCH_RET_RELEVANCY) {
		write_scores(c, &p);
	}
	if (n > 0 && f->prog.uses_modseq) {
		conn_printf(c, " MODSEQ %llu",
			    (unsigned long long)(f->run.view ? returned_modseq(f) : f->modseq));
	}
}

CO_FN void esearch_write(const struct find *f, bool uid, const struct slice *mailbox,
			 uint32_t uidvalidity)
{
	struct conn *c = imap_conn(f->cmd->s);
	struct buf head = BUF_INIT(IMAP_LINE_MAX);

	if (f->ret.opts == SEARCH_RET_SAVE) {
		return;
	}
	buf_adds(&head, "* ESEARCH (TAG ");
	imap_put_string(&head, f->cmd->tag);
	if (mailbox) {
		buf_adds(&head, " MAILBOX ");
		imap_put_mailbox(&head, *mailbox, imap_utf8(f->cmd->s));
		buf_printf(&head, " UIDVALIDITY %u", uidvalidity);
	}
	buf_adds(&head, uid ? ") UID" : ")");
	conn_write(c, buf_slice(&head));
	buf_fini(&head);
	write_items(f, uid);
	conn_write(c, S("\r\n"));
}

CO_FN void esearch_write_plain(const struct find *f, struct slice word)
{
	struct conn *c = imap_conn(f->cmd->s);
	struct part p = { .v = f->run.v, .uid = f->cmd->uid };

	conn_write(c, S("* "));
	conn_write(c, word);
	for (size_t i = 0; i < f->run.n; i++) {
		conn_printf(c, " %u", number(&p, i));
	}
	if (f->run.n > 0 && f->prog.uses_modseq) {
		conn_printf(c, " (MODSEQ %llu)", (unsigned long long)highest(f, 0, f->run.n));
	}
	conn_write(c, S("\r\n"));
}
