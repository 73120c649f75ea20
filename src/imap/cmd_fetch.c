/*
 * cmd_fetch: FETCH (RFC 3501 6.4.5, 7.4.2).
 *
 * Each message is answered on its own line, items (fetch_items.c) in the
 * order asked for. A message that another session expunged is answered as far
 * as it can be, and the command ends with OK [EXPUNGEISSUED] (RFC 5530). What
 * sets \Seen does so before the text goes out, in one commit for each run of
 * messages, so that the answer can show the new flags.
 */
#include <stdlib.h>

#include "imap/fetch.h"
#include "imap/parse.h"
#include "imap/target.h"

#define FETCH_RUN 64 /* messages whose \Seen is set in one commit */

CO_FN void fetch_flush(struct fetch *f)
{
	conn_write(imap_conn(f->cmd->s), buf_slice(&f->line));
	buf_reset(&f->line);
}

/* All items of one message, as far as they can be had. marked: we set \Seen,
 * so there is more to say. 0 or <0. */
CO_FN static int put_items(struct fetch *f, const struct fetch_msg *m, bool marked)
{
	bool first = true;

	for (size_t i = 0; i < f->n + (marked ? f->n_extra : 0); i++) {
		const struct fetch_item *it = i < f->n ? &f->items[i] : &f->extra[i - f->n];
		int r;
		if ((it->kind->needs & FETCH_TREE) && !m->tree) {
			continue;
		}
		buf_adds(&f->line, first ? "" : " ");
		first = false;
		r = it->kind->put(f, it, m);
		if (r < 0) {
			return r;
		}
		f->gone |= r == BODY_GONE;
	}
	return 0;
}

/* Can anything at all be said of it? */
static bool answerable(const struct fetch *f, const struct fetch_msg *m)
{
	return (f->needs & FETCH_KEPT) || !m->expunged || m->tree;
}

/* The part tree of *m, if an item looks at it. */
CO_FN static void get_tree(struct fetch *f, struct fetch_msg *m, struct mime_tree *tree)
{
	struct err e = ERR_INIT;
	int r;

	if (!f->needs_tree) {
		return;
	}
	r = store_tree(f->cmd->s->mbox, m->m.uid, &f->cmd->arena, tree, &e);
	if (r == STORE_OK) {
		m->tree = tree;
		return;
	}
	f->gone = true;
	f->failed |= r < 0 && r != -ENOENT;
}

/* 0; <0: the session must end. */
CO_FN static int fetch_one(struct fetch *f, uint32_t seq, bool marked)
{
	struct imap *s = f->cmd->s;
	struct fetch_msg m = { .seq = seq };
	struct mime_tree tree;
	bool tells = (f->needs & FETCH_TELLS) || marked;
	int r;

	m.expunged = store_view_msg(s->view, seq, &m.m) != STORE_OK;
	f->gone |= m.expunged;
	get_tree(f, &m, &tree);
	if (!answerable(f, &m)) {
		return 0;
	}
	if (tells) {
		imap_view_flags_for(s, &f->cmd->arena, &m.m.flags);
	}
	imap_put_fetch(s, &f->line, seq, m.m.uid);
	r = put_items(f, &m, marked);
	if (r < 0) {
		return r;
	}
	buf_adds(&f->line, ")\r\n");
	if (f->line.err) {
		return f->line.err;
	}
	fetch_flush(f);
	if (!m.expunged && tells) {
		store_view_told(s->view, seq, m.m.modseq);
	}
	return 0;
}

/* Sets \Seen on those of the run that lack it; marked[i] says which. Failing
 * to is no reason not to show the mail. */
CO_FN static void mark_seen(struct fetch *f, const uint32_t *seqs, size_t n, bool *marked)
{
	struct imap *s = f->cmd->s;
	struct store_flags seen = { .system = STORE_SEEN };
	uint32_t uids[FETCH_RUN];
	struct err e = ERR_INIT;
	char text[256];
	size_t k = 0;
	int r;

	for (size_t i = 0; i < n; i++) {
		struct store_msg m;
		marked[i] = store_view_msg(s->view, seqs[i], &m) == STORE_OK &&
			    !(m.flags.system & STORE_SEEN);
		if (marked[i]) {
			uids[k++] = m.uid;
		}
	}
	r = k ? store_flags_change(s->mbox, uids, k, STORE_FLAGS_ADD, seen, &e) : STORE_OK;
	if (r != STORE_OK) {
		memset(marked, 0, n * sizeof(marked[0]));
		conn_log(imap_conn(s), LOG_WARN, "imap.seen_not_kept", LOG_I("code", r),
			 LOG_C("err", err_str(&e, text, sizeof(text))));
	}
}

CO_FN static int fetch_all(struct fetch *f, const uint32_t *seqs, size_t n)
{
	struct imap *s = f->cmd->s;
	struct arena *a = &f->cmd->arena;

	for (size_t i = 0; i < n; i += FETCH_RUN) {
		size_t run = MIN(n - i, FETCH_RUN);
		bool marked[FETCH_RUN] = { false };
		if ((f->needs & FETCH_SEEN) && !s->readonly && imap_may(s, STORE_RIGHT_SEEN)) {
			mark_seen(f, seqs + i, run, marked);
		}
		for (size_t k = 0; k < run; k++) {
			int r = imap_keywords(s, a, &f->names, &f->n_names);
			struct arena_mark mark = arena_mark(a);
			if (r == 0) {
				r = fetch_one(f, seqs[i + k], marked[k]);
			}
			arena_reset(a, mark);
			if (r == 0) {
				r = imap_conn(s)->err;
			}
			if (r == 0) {
				r = co_breathe();
			}
			if (r < 0) {
				return r;
			}
		}
	}
	return 0;
}

CO_FN static int run(struct fetch *f, const uint32_t *seqs, size_t n)
{
	struct imap_cmd *cmd = f->cmd;
	int r;

	f->chunk = malloc(IMAP_CHUNK);
	r = f->chunk ? store_keywords(cmd->s->mbox, &cmd->arena, &f->names, &f->n_names) : -ENOMEM;
	if (r != STORE_OK) {
		return imap_store_no(cmd, r, NULL);
	}
	r = fetch_all(f, seqs, n);
	if (r < 0) {
		return r;
	}
	if (f->failed) {
		return imap_no(cmd, "[UNAVAILABLE] Some messages could not be "
				    "read");
	}
	if (f->unknown_cte) {
		return imap_no(cmd, "[UNKNOWN-CTE] Some parts cannot be decoded");
	}
	if (f->gone) {
		return imap_ok(cmd, "[EXPUNGEISSUED] Some messages are gone");
	}
	return imap_ok(cmd, "Fetched");
}

/* ---- modifiers ------------------------------------------------------------------------ */

/* partial-range = nz-number ":" nz-number, or both with "-": from the end */
static void parse_partial(struct fetch *f)
{
	struct cur *c = &f->cmd->c;
	uint32_t a, b;

	f->partial.from_end = cur_opt(c, '-');
	a = imap_parse_nz(c);
	cur_need(c, ':');
	if (f->partial.from_end) {
		cur_need(c, '-');
	}
	b = imap_parse_nz(c);
	f->partial.first = MIN(a, b);
	f->partial.last = MAX(a, b);
	if (!f->cmd->uid) {
		cur_fail(c, -EINVAL); /* RFC 9394 3.3 */
	}
}

/* "CHANGEDSINCE" SP mod-sequence / "VANISHED" / "PARTIAL" SP range
 * (RFC 7162 7, RFC 9394 4) */
static void parse_modifier(struct fetch *f)
{
	struct cur *c = &f->cmd->c;

	if (!f->changed && cur_lit(c, S("CHANGEDSINCE "))) {
		f->changed = true;
		f->since = imap_parse_u63(c);
	} else if (!f->vanished && cur_lit(c, S("VANISHED"))) {
		f->vanished = true;
	} else if (f->partial.first == 0 && cur_lit(c, S("PARTIAL "))) {
		parse_partial(f);
	} else {
		cur_fail(c, -EINVAL);
	}
}

/* fetch-modifiers = SP "(" fetch-modifier *(SP fetch-modifier) ")" */
static void parse_modifiers(struct fetch *f)
{
	struct cur *c = &f->cmd->c;

	if (!cur_opt(c, ' ')) {
		return;
	}
	cur_need(c, '(');
	do {
		parse_modifier(f);
	} while (!c->err && cur_opt(c, ' '));
	cur_need(c, ')');
	if (f->vanished && !(f->changed && f->cmd->uid && imap_qresync(f->cmd->s))) {
		cur_fail(c, -EINVAL); /* 3.2.6 */
	}
}

/* Items that a client did not ask for and is to have. */
static void imply(struct fetch *f)
{
	struct imap *s = f->cmd->s;
	unsigned told = imap_tell_what(s, f->cmd->uid);
	const struct {
		unsigned bit;
		const struct fetch_kind *kind;
	} extra[] = { { IMAP_TELL_UID, &fetch_uid },
		      { IMAP_TELL_FLAGS, &fetch_flags },
		      { IMAP_TELL_MODSEQ, &fetch_modseq } };

	if (f->changed) {
		fetch_imply(f, &fetch_modseq);
	}
	if (s->enabled & IMAP_EN_UIDONLY) {
		told &= ~(unsigned)IMAP_TELL_UID;
	} else if (f->cmd->uid) {
		/* UID FETCH always answers the UID (6.4.8); so it comes first. */
		fetch_imply(f, &fetch_uid);
	}
	for (size_t i = 0; i < ARRAY_LEN(extra); i++) {
		if ((told & extra[i].bit) && !fetch_asks(f, extra[i].kind)) {
			f->extra[f->n_extra++].kind = extra[i].kind;
		}
	}
}

/* Keeps the messages of the page that is asked for. */
static size_t only_page(const struct fetch *f, uint32_t *seqs, size_t n)
{
	size_t first = f->partial.first;
	size_t last = f->partial.last;
	size_t k = 0;

	if (first > n) {
		return 0;
	}
	last = MIN(last, n);
	if (f->partial.from_end) {
		size_t was = first;
		first = n + 1 - last;
		last = n + 1 - was;
	}
	for (size_t i = first; i <= last; i++) {
		seqs[k++] = seqs[i - 1];
	}
	return k;
}

/* Keeps the messages that changed since. */
static size_t only_changed(const struct fetch *f, uint32_t *seqs, size_t n)
{
	size_t k = 0;

	for (size_t i = 0; i < n; i++) {
		struct store_msg m;
		store_view_msg(f->cmd->s->view, seqs[i], &m);
		if (m.modseq > f->since) {
			seqs[k++] = seqs[i];
		}
	}
	return k;
}

/*
 * (VANISHED): says what went, of the set at `at`. What this client still
 * counts among its messages is announced first, as VANISHED without EARLIER;
 * so the set is looked at anew.
 */
CO_FN static int vanished(struct fetch *f, struct cur at, uint32_t **seqs, size_t *n)
{
	struct imap_cmd *cmd = f->cmd;
	struct err e = ERR_INIT;
	struct cur again = at;
	struct store_status st;
	struct seqset set;
	int r = imap_view_sync(cmd->s, &cmd->arena, true, true);

	if (r != STORE_OK) {
		return imap_store_no(cmd, r, NULL);
	}
	cmd->c = at;
	if (!imap_view_set(cmd, seqs, n)) {
		return 0;
	}
	/* Up to the last UID that was: the highest one may have gone. */
	store_mailbox_get_status(cmd->s->mbox, &st);
	if (seqset_parse(&again, &cmd->arena, st.uidnext - 1, &set) == 0) {
		r = imap_vanished_earlier(cmd->s, &cmd->arena, f->since, &set, 0, &e);
	}
	return r == STORE_OK ? 0 : imap_store_no(cmd, r, &e);
}

CO_FN static int fetch(struct fetch *f)
{
	struct imap_cmd *cmd = f->cmd;
	struct cur at = cmd->c;
	uint32_t *seqs;
	size_t n;

	if (!imap_view_set(cmd, &seqs, &n)) {
		return 0;
	}
	cur_sp(&cmd->c);
	fetch_parse_items(f);
	parse_modifiers(f);
	if (!cur_end(&cmd->c)) {
		return imap_syntax(cmd);
	}
	if (f->changed || fetch_asks(f, &fetch_modseq)) {
		imap_enable_condstore(cmd->s);
	}
	if (f->vanished) {
		vanished(f, at, &seqs, &n);
		if (cmd->reply.n > 0) {
			return 0;
		}
	}
	imply(f);
	if (f->partial.first) {
		n = only_page(f, seqs, n);
	}
	return run(f, seqs, f->changed ? only_changed(f, seqs, n) : n);
}

/* fetch = "FETCH" SP sequence-set SP ("ALL" / "FULL" / "FAST" / items)
 *         [fetch-modifiers] */
CO_FN int imap_cmd_fetch(void *session, void *command)
{
	struct imap_cmd *cmd = command;
	struct fetch *f = arena_new(&cmd->arena, struct fetch);
	int r;

	(void)session;
	if (!f) {
		return imap_store_no(cmd, -ENOMEM, NULL);
	}
	f->cmd = cmd;
	buf_init(&f->line, IMAP_BUF_MAX);
	cur_sp(&cmd->c);
	r = fetch(f);
	buf_fini(&f->line);
	free(f->chunk);
	return r;
}

/* ---- NOTIFY ------------------------------------------------------------------------------ */

/* run() for the numbers from..to, in pieces. */
CO_FN static void fetch_range(struct fetch *f, uint32_t from, uint32_t to)
{
	uint32_t seqs[FETCH_RUN];

	while (from <= to && imap_conn(f->cmd->s)->err == 0) {
		size_t n = 0;
		while (n < FETCH_RUN && from <= to) {
			seqs[n++] = from++;
		}
		free(f->chunk);
		if (run(f, seqs, n) < 0) {
			return;
		}
	}
}

CO_FN void imap_fetch_news(struct imap *s, struct slice items, uint32_t from, uint32_t to)
{
	struct imap_cmd cmd;
	struct fetch *f;

	imap_cmd_init(&cmd, s);
	f = arena_new(&cmd.arena, struct fetch);
	if (f) {
		f->cmd = &cmd;
		buf_init(&f->line, IMAP_BUF_MAX);
		cmd.c = cur_init(items);
		fetch_parse_items(f);
		f->needs &= ~(unsigned)FETCH_SEEN;
		if (imap_condstore(s)) {
			fetch_imply(f, &fetch_modseq);
			fetch_imply(f, &fetch_uid);
		}
		fetch_range(f, from, to);
		buf_fini(&f->line);
		free(f->chunk);
	}
	imap_cmd_fini(&cmd);
}
