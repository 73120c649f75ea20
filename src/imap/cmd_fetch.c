/*
 * cmd_fetch: FETCH (RFC 3501 6.4.5, 7.4.2).
 *
 * Each message is answered on its own line, items in the order asked for. A
 * message that another session expunged is answered as far as it can be, and
 * the command ends with NO [EXPUNGEISSUED] (RFC 5530). What sets \Seen does
 * so before the text goes out, in one commit for each run of messages, so
 * that the answer can show the new flags.
 */
#include <stdlib.h>

#include "imap/body.h"
#include "imap/impl.h"
#include "imap/parse.h"
#include "imap/write.h"

#define FETCH_ITEMS_MAX 100
#define FETCH_RUN 64 /* messages whose \Seen is set in one commit */

enum item_kind {
	ITEM_FLAGS,
	ITEM_UID,
	ITEM_DATE,
	ITEM_SIZE,
	ITEM_ENVELOPE,
	ITEM_BODY,
	ITEM_STRUCTURE,
	ITEM_SECTION
};

struct item {
	enum item_kind kind;
	struct section sec;
};

struct fetch {
	struct imap_cmd *cmd;
	struct item items[FETCH_ITEMS_MAX];
	size_t n;
	bool needs_tree;
	bool marks_seen;
	bool asks_flags;
	bool only_kept; /* an item can be answered without the tree or body */
	struct slice *names;
	size_t n_names;
	struct buf line;
	char *chunk;
	bool gone;   /* a message could not be answered in full */
	bool failed; /* for a reason that is ours */
};

/* ---- parsing ----------------------------------------------------------------------- */

static struct item *add_item(struct fetch *f, enum item_kind kind)
{
	struct item *it;

	if (f->n == FETCH_ITEMS_MAX) {
		cur_fail(&f->cmd->c, -EMSGSIZE);
		return &f->items[0];
	}
	it = &f->items[f->n++];
	it->kind = kind;
	f->needs_tree |= kind == ITEM_ENVELOPE || kind == ITEM_BODY || kind == ITEM_STRUCTURE;
	f->asks_flags |= kind == ITEM_FLAGS;
	f->only_kept |= kind <= ITEM_SIZE;
	return it;
}

static void add_rfc822(struct fetch *f, enum section_what what, struct slice label, bool seen)
{
	struct item *it = add_item(f, ITEM_SECTION);

	it->sec = (struct section){ .what = what, .label = label };
	f->needs_tree |= section_needs_tree(&it->sec);
	f->marks_seen |= seen;
}

static void add_section(struct fetch *f, bool peek)
{
	struct item *it = add_item(f, ITEM_SECTION);

	section_parse(&f->cmd->c, &f->cmd->arena, &it->sec);
	f->needs_tree |= section_needs_tree(&it->sec);
	f->marks_seen |= !peek;
}

/* fetch-att */
static void parse_item(struct fetch *f)
{
	struct cur *c = &f->cmd->c;

	if (cur_lit(c, S("ENVELOPE"))) {
		add_item(f, ITEM_ENVELOPE);
	} else if (cur_lit(c, S("FLAGS"))) {
		add_item(f, ITEM_FLAGS);
	} else if (cur_lit(c, S("INTERNALDATE"))) {
		add_item(f, ITEM_DATE);
	} else if (cur_lit(c, S("RFC822.HEADER"))) {
		add_rfc822(f, SECTION_HEADER, S("RFC822.HEADER"), false);
	} else if (cur_lit(c, S("RFC822.SIZE"))) {
		add_item(f, ITEM_SIZE);
	} else if (cur_lit(c, S("RFC822.TEXT"))) {
		add_rfc822(f, SECTION_TEXT, S("RFC822.TEXT"), true);
	} else if (cur_lit(c, S("RFC822"))) {
		add_rfc822(f, SECTION_ALL, S("RFC822"), true);
	} else if (cur_lit(c, S("BODYSTRUCTURE"))) {
		add_item(f, ITEM_STRUCTURE);
	} else if (cur_lit(c, S("BODY.PEEK"))) {
		add_section(f, true);
	} else if (cur_lit(c, S("BODY"))) {
		if (cur_peek(c) == '[') {
			add_section(f, false);
		} else {
			add_item(f, ITEM_BODY);
		}
	} else if (cur_lit(c, S("UID"))) {
		add_item(f, ITEM_UID);
	} else {
		cur_fail(c, -EINVAL);
	}
}

/* ALL, FAST, FULL; false: none of them. */
static bool parse_macro(struct fetch *f)
{
	struct cur *c = &f->cmd->c;
	bool all = cur_lit(c, S("ALL"));
	bool full = !all && cur_lit(c, S("FULL"));

	if (!all && !full && !cur_lit(c, S("FAST"))) {
		return false;
	}
	add_item(f, ITEM_FLAGS);
	add_item(f, ITEM_DATE);
	add_item(f, ITEM_SIZE);
	if (all || full) {
		add_item(f, ITEM_ENVELOPE);
	}
	if (full) {
		add_item(f, ITEM_BODY);
	}
	return true;
}

static void parse_items(struct fetch *f)
{
	struct cur *c = &f->cmd->c;

	cur_sp(c);
	if (cur_opt(c, '(')) {
		do {
			parse_item(f);
		} while (!c->err && cur_opt(c, ' '));
		cur_need(c, ')');
	} else if (!parse_macro(f)) {
		parse_item(f);
	}
	cur_end(c);
}

/* UID FETCH always answers the UID (6.4.8); so it comes first. */
static void add_uid(struct fetch *f)
{
	for (size_t i = 0; i < f->n; i++) {
		if (f->items[i].kind == ITEM_UID) {
			return;
		}
	}
	if (f->n < FETCH_ITEMS_MAX) {
		memmove(&f->items[1], &f->items[0], f->n * sizeof(f->items[0]));
		f->items[0] = (struct item){ .kind = ITEM_UID };
		f->n++;
		f->only_kept = true;
	}
}

/* ---- answering --------------------------------------------------------------------- */

static void put_simple(struct fetch *f, const struct item *it, uint32_t seq,
		       const struct store_msg *m, const struct mime_tree *t)
{
	struct buf *b = &f->line;

	switch (it->kind) {
	case ITEM_FLAGS:
		buf_adds(b, "FLAGS ");
		imap_put_flags(b, m->flags, f->names, f->n_names,
			       store_view_recent(f->cmd->s->view, seq));
		break;
	case ITEM_UID:
		buf_printf(b, "UID %u", m->uid);
		break;
	case ITEM_DATE:
		buf_adds(b, "INTERNALDATE ");
		imap_put_date(b, m->internal_date, m->internal_zone);
		break;
	case ITEM_SIZE:
		buf_printf(b, "RFC822.SIZE %llu", (unsigned long long)m->size);
		break;
	case ITEM_ENVELOPE:
		buf_adds(b, "ENVELOPE ");
		imap_put_envelope(b, t->root->envelope);
		break;
	case ITEM_BODY:
		buf_adds(b, "BODY ");
		imap_put_body(b, t->root, false);
		break;
	case ITEM_STRUCTURE:
		buf_adds(b, "BODYSTRUCTURE ");
		imap_put_body(b, t->root, true);
		break;
	case ITEM_SECTION:
		break;
	}
}

CO_FN static void flush_line(struct fetch *f)
{
	conn_write(imap_conn(f->cmd->s), buf_slice(&f->line));
	buf_reset(&f->line);
}

static bool item_needs_tree(const struct item *it)
{
	return it->kind == ITEM_ENVELOPE || it->kind == ITEM_BODY || it->kind == ITEM_STRUCTURE;
}

/* All items of one message, as far as they can be had. 0 or <0. */
CO_FN static int put_items(struct fetch *f, uint32_t seq, const struct store_msg *m,
			   const struct mime_tree *tree, bool tell_flags)
{
	static const struct item flags = { .kind = ITEM_FLAGS };
	bool first = true;

	for (size_t i = 0; i <= f->n; i++) {
		const struct item *it = i < f->n ? &f->items[i] : &flags;
		int r = 0;
		if ((i == f->n && !tell_flags) || (item_needs_tree(it) && !tree)) {
			continue;
		}
		buf_adds(&f->line, first ? "" : " ");
		first = false;
		put_simple(f, it, seq, m, tree);
		if (it->kind == ITEM_SECTION) {
			flush_line(f);
			r = body_write(f->cmd->s, m, tree, &it->sec, f->chunk);
		}
		if (r < 0) {
			return r;
		}
		f->gone |= r == BODY_GONE;
	}
	return 0;
}

/* Can anything at all be said of it? */
static bool answerable(const struct fetch *f, const struct mime_tree *tree, bool expunged)
{
	return f->only_kept || !expunged || tree;
}

/* 0; <0: the session must end. */
CO_FN static int fetch_one(struct fetch *f, uint32_t seq, bool marked)
{
	struct imap *s = f->cmd->s;
	struct mime_tree tree;
	struct store_msg m;
	struct err e = ERR_INIT;
	bool expunged = store_view_msg(s->view, seq, &m) != STORE_OK;
	bool have = false;
	int r;

	f->gone |= expunged;
	if (f->needs_tree) {
		r = store_tree(s->mbox, m.uid, &f->cmd->arena, &tree, &e);
		have = r == STORE_OK;
		f->gone |= !have;
		f->failed |= r < 0 && r != -ENOENT;
	}
	if (!answerable(f, have ? &tree : NULL, expunged)) {
		return 0;
	}
	buf_printf(&f->line, "* %u FETCH (", seq);
	r = put_items(f, seq, &m, have ? &tree : NULL, marked && !f->asks_flags);
	if (r < 0) {
		return r;
	}
	buf_adds(&f->line, ")\r\n");
	if (f->line.err) {
		return f->line.err;
	}
	flush_line(f);
	if (!expunged && (f->asks_flags || marked)) {
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
		if (f->marks_seen && !s->readonly) {
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
	parse_items(f);
	if (cmd->c.err) {
		return imap_syntax(cmd);
	}
	if (cmd->uid) {
		add_uid(f);
	}
	r = run(f, seqs, n);
	buf_fini(&f->line);
	free(f->chunk);
	return r;
}
