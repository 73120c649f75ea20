/*
 * cmd_fetch: FETCH (RFC 3501 6.4.5, 7.4.2).
 *
 * Each message is answered on its own line, items (fetch_items.c) in the
 * order asked for. A message that another session expunged is answered as far
 * as it can be, and the command ends with NO [EXPUNGEISSUED] (RFC 5530). What
 * sets \Seen does so before the text goes out, in one commit for each run of
 * messages, so that the answer can show the new flags.
 */
#include <stdlib.h>

#include "imap/fetch.h"
#include "imap/parse.h"

#define FETCH_RUN 64 /* messages whose \Seen is set in one commit */

CO_FN void fetch_flush(struct fetch *f)
{
	conn_write(imap_conn(f->cmd->s), buf_slice(&f->line));
	buf_reset(&f->line);
}

/* All items of one message, as far as they can be had. 0 or <0. */
CO_FN static int put_items(struct fetch *f, const struct fetch_msg *m, bool tell_flags)
{
	static const struct fetch_item flags = { .kind = &fetch_flags };
	bool first = true;

	for (size_t i = 0; i < f->n + tell_flags; i++) {
		const struct fetch_item *it = i < f->n ? &f->items[i] : &flags;
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
	int r;

	m.expunged = store_view_msg(s->view, seq, &m.m) != STORE_OK;
	f->gone |= m.expunged;
	get_tree(f, &m, &tree);
	if (!answerable(f, &m)) {
		return 0;
	}
	buf_printf(&f->line, "* %u FETCH (", seq);
	r = put_items(f, &m, marked && !(f->needs & FETCH_TELLS));
	if (r < 0) {
		return r;
	}
	buf_adds(&f->line, ")\r\n");
	if (f->line.err) {
		return f->line.err;
	}
	fetch_flush(f);
	if (!m.expunged && ((f->needs & FETCH_TELLS) || marked)) {
		store_view_told(s->view, seq);
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
		if ((f->needs & FETCH_SEEN) && !s->readonly) {
			mark_seen(f, seqs + i, run, marked);
		}
		for (size_t k = 0; k < run; k++) {
			struct arena_mark mark = arena_mark(a);
			int r = fetch_one(f, seqs[i + k], marked[k]);
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
	if (f->gone) {
		return imap_no(cmd, "[EXPUNGEISSUED] Some messages are gone");
	}
	return imap_ok(cmd, "Fetched");
}

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

/* fetch = "FETCH" SP sequence-set SP ("ALL" / "FULL" / "FAST" / items) */
CO_FN int imap_cmd_fetch(void *session, void *command)
{
	struct imap_cmd *cmd = command;
	struct fetch *f = arena_new(&cmd->arena, struct fetch);
	uint32_t *seqs;
	size_t n;
	int r;

	(void)session;
	if (!f) {
		return imap_store_no(cmd, -ENOMEM, NULL);
	}
	f->cmd = cmd;
	buf_init(&f->line, IMAP_BUF_MAX);
	cur_sp(&cmd->c);
	if (!imap_view_set(cmd, &seqs, &n)) {
		return 0;
	}
	cur_sp(&cmd->c);
	fetch_parse_items(f);
	if (!cur_end(&cmd->c)) {
		return imap_syntax(cmd);
	}
	if (cmd->uid) {
		/* UID FETCH always answers the UID (6.4.8); so it comes first. */
		fetch_imply(f, &fetch_uid);
	}
	r = run(f, seqs, n);
	buf_fini(&f->line);
	free(f->chunk);
	return r;
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
		fetch_range(f, from, to);
		buf_fini(&f->line);
		free(f->chunk);
	}
	imap_cmd_fini(&cmd);
}
