/*
 * cmd_list: LIST, basic and extended (RFC 3501 6.3.8, RFC 5258, RFC 9051
 * 6.3.9), and LSUB (RFC 3501 6.3.9).
 *
 * Rows come from the sources below, list.c says which are shown, and the
 * return options that are lines of their own (STATUS) come from a table. A
 * row's name is all that those lines start from.
 */
#include "base/table.h"
#include "base/utf8.h"
#include "imap/impl.h"
#include "imap/list.h"
#include "imap/parse.h"
#include "imap/shared.h"
#include "imap/status.h"
#include "imap/target.h"
#include "imap/write.h"
#include "mime/charset.h"

#define BREATHE_EVERY 64u /* rows */

/* ---- where rows come from --------------------------------------------------- */

struct own {
	struct arena *arena;
	struct store_mailbox_info *m;
	size_t n;
	struct err *e;
};

static int own_list(struct store_account *a, void *arg)
{
	struct own *o = arg;

	co_enter();
	return store_mailbox_list(a, o->arena, &o->m, &o->n, o->e);
}

/* The account's own mailboxes and all its subscriptions. */
CO_FN static int own_rows(struct imap_cmd *cmd, struct list_rows *l, struct err *e)
{
	struct own o = { .arena = &cmd->arena, .e = e };
	int r = imap_on_account(cmd->s, cmd->s->id.account, own_list, &o, e);
	const struct store_mailbox_info *m = o.m;

	for (size_t i = 0; i < o.n && r == 0; i++) {
		struct list_row *row = list_rows_add(l, m[i].name);

		if (!row) {
			return -ENOMEM;
		}
		row->exists = row->exists || m[i].exists;
		row->noselect = m[i].noselect;
		row->subscribed = row->subscribed || m[i].subscribed;
		row->has_children = row->has_children || m[i].has_children;
		row->uses |= m[i].uses;
		row->rights = m[i].exists ? STORE_RIGHTS_ALL : 0;
	}
	return r;
}

/* What others share. Their special uses are for their owners. */
CO_FN static int shared_rows(struct imap_cmd *cmd, struct list_rows *l, struct err *e)
{
	struct imap_shared *m;
	size_t n = 0;
	int r = imap_shared_list(cmd->s, &cmd->arena, &m, &n, e);

	for (size_t i = 0; i < n && r == 0; i++) {
		struct list_row *row = list_rows_add(l, m[i].full);

		if (!row) {
			return -ENOMEM;
		}
		row->exists = true;
		row->noselect = !(m[i].rights & STORE_RIGHT_READ);
		row->rights = m[i].rights;
	}
	return r;
}

typedef int source_fn(struct imap_cmd *cmd, struct list_rows *l, struct err *e);
static source_fn *const sources[] = { own_rows, shared_rows };

CO_FN static int gather(struct imap_cmd *cmd, struct list_rows *l, struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < ARRAY_LEN(sources) && r == 0; i++) {
		r = sources[i](cmd, l, e);
	}
	return r ? r : list_rows_finish(l);
}

/* ---- patterns ------------------------------------------------------------- */

/* The pattern in the store's terms: UTF-8 in NFC; what cannot be a name
 * matches nothing. */
static int compile(struct imap_cmd *cmd, struct slice ref, struct slice pat, struct pattern *out)
{
	struct buf raw = BUF_INIT(IMAP_COMMAND_MAX);
	struct buf utf8 = BUF_INIT(2 * IMAP_COMMAND_MAX);
	struct buf nfc = BUF_INIT(4 * IMAP_COMMAND_MAX);
	int r = 0;
	bool ok;

	buf_add(&raw, ref);
	buf_add(&raw, pat);
	*out = (struct pattern){ .never = true };
	/* Longer than any name in its longest spelling: do not even decode. */
	ok = !raw.err && raw.n <= IMAP_LITERAL_MAX;
	if (ok && imap_utf8(cmd->s)) {
		buf_add(&utf8, buf_slice(&raw));
	} else if (ok) {
		ok = mutf7_to_utf8(buf_slice(&raw), &utf8) == 0;
	}
	if (ok && utf8_nfc(&nfc, buf_slice(&utf8)) == 0) {
		r = pattern_compile(&cmd->arena, buf_slice(&nfc), out);
	}
	buf_fini(&raw);
	buf_fini(&utf8);
	buf_fini(&nfc);
	return r;
}

CO_FN static int match_rows(struct imap_cmd *cmd, struct list_rows *l, const struct list_args *args)
{
	struct pattern *p = arena_array(&cmd->arena, args->n_patterns, sizeof(*p));
	size_t n = 0;
	int r = p ? 0 : -ENOMEM;

	for (size_t i = 0; i < args->n_patterns && r == 0; i++) {
		/* In the extended form an empty one is no question. */
		if (args->patterns[i].n > 0) {
			r = compile(cmd, args->ref, args->patterns[i], &p[n++]);
		}
	}
	for (size_t i = 0; i < l->n && r == 0; i++) {
		list_row_match(l->v[i], p, n);
		r = i % BREATHE_EVERY == 0 ? co_breathe() : 0;
	}
	return r;
}

/* ---- LIST ----------------------------------------------------------------- */

/* Return options that are responses of their own, behind their row's line.
 * STORE_OK, STORE_NOTFOUND: it cannot be selected after all; others: none. */
typedef int extra_fn(struct imap_cmd *cmd, const struct list_args *args, const struct list_row *row,
		     struct buf *out);

CO_FN static int extra_status(struct imap_cmd *cmd, const struct list_args *args,
			      const struct list_row *row, struct buf *out)
{
	struct err e = ERR_INIT;

	return imap_status_line(cmd->s, row->name, args->status, out, &e);
}

CO_FN static int extra_myrights(struct imap_cmd *cmd, const struct list_args *args,
				const struct list_row *row, struct buf *out)
{
	const struct imap_target t = { .full = row->name, .rights = row->rights };

	(void)args;
	imap_put_myrights(out, cmd->s, &t);
	return STORE_OK;
}

CO_FN static int extra_metadata(struct imap_cmd *cmd, const struct list_args *args,
				const struct list_row *row, struct buf *out)
{
	struct err e = ERR_INIT;

	return imap_metadata_lines(cmd, row->name, args->entries, args->n_entries, out, &e);
}

static const struct {
	unsigned ret;  /* enum list_ret */
	bool noselect; /* also for what cannot be selected */
	extra_fn *fn;
} extras[] = {
	{ LIST_RET_MYRIGHTS, true, extra_myrights },
	{ LIST_RET_STATUS, false, extra_status },
	{ LIST_RET_METADATA, false, extra_metadata },
};

/* Only for what was asked for: not for CHILDINFO alone (RFC 5819 3). */
CO_FN static void add_extras(struct imap_cmd *cmd, const struct list_args *args,
			     struct list_row *row, struct buf *out)
{
	for (size_t i = 0; i < ARRAY_LEN(extras); i++) {
		if (!(args->ret & extras[i].ret) || !row->selected ||
		    (extras[i].noselect ? !row->exists : row->noselect)) {
			continue;
		}
		size_t at = out->n;
		int r = extras[i].fn(cmd, args, row, out);
		if (r != STORE_OK || out->err) {
			buf_truncate(out, at);
		}
		row->noselect = row->noselect || r == STORE_NOTFOUND;
	}
}

/* "* LIST (...) "/" name" */
static void put_list(struct imap_cmd *cmd, const struct list_args *args, const struct list_row *row,
		     struct buf *line)
{
	buf_adds(line, "* LIST ");
	list_put_attributes(line, row, args, imap_rev2(cmd->s));
	buf_adds(line, " \"/\" ");
	imap_put_mailbox(line, row->name, imap_utf8(cmd->s));
}

CO_FN static void put_row(struct imap_cmd *cmd, const struct list_args *args, struct list_row *row)
{
	struct buf line = BUF_INIT(IMAP_LINE_MAX);
	struct buf more = BUF_INIT(IMAP_REPLY_MAX);

	add_extras(cmd, args, row, &more);
	put_list(cmd, args, row, &line);
	list_put_extended(&line, row, args);
	buf_adds(&line, "\r\n");
	conn_write(imap_conn(cmd->s), buf_slice(&line));
	conn_write(imap_conn(cmd->s), buf_slice(&more));
	buf_fini(&line);
	buf_fini(&more);
}

/* LIST "" "": what separates levels, and the root of the reference. */
CO_FN static int root(struct imap_cmd *cmd, const char *verb)
{
	conn_printf(imap_conn(cmd->s), "* %s (\\Noselect) \"/\" \"\"\r\n", verb);
	return imap_ok(cmd, "Listed");
}

/* Rows that are matched against the patterns; l is ready for list_rows_fini. */
CO_FN static int rows_of(struct imap_cmd *cmd, const struct list_args *args, struct list_rows *l,
			 struct err *e)
{
	list_rows_init(l, &cmd->arena);
	int r = gather(cmd, l, e);

	return r ? r : match_rows(cmd, l, args);
}

CO_FN int imap_cmd_list(void *session, void *command)
{
	struct imap_cmd *cmd = command;
	struct err e = ERR_INIT;
	struct list_rows l;
	struct list_args args;

	(void)session;
	list_parse(&cmd->c, &cmd->arena, &args);
	if (cmd->c.err) {
		return imap_syntax(cmd);
	}
	if (!args.extended && args.patterns[0].n == 0) {
		return root(cmd, "LIST");
	}
	int r = rows_of(cmd, &args, &l, &e);

	if (r == 0) {
		list_select(&l, &args);
	}
	for (size_t i = 0; i < l.n && r == 0; i++) {
		if (l.v[i]->show) {
			put_row(cmd, &args, l.v[i]);
			r = co_breathe();
		}
	}
	list_rows_fini(&l);
	return r == 0 ? imap_ok(cmd, "Listed") : imap_store_no(cmd, r, &e);
}

/* ---- names that are not what the client wrote ------------------------------ */

CO_FN static void put_one(struct imap_cmd *cmd, struct list_row *row, struct slice oldname)
{
	const struct list_args args = { .extended = true };
	struct buf line = BUF_INIT(IMAP_LINE_MAX);

	put_list(cmd, &args, row, &line);
	if (oldname.p) {
		buf_adds(&line, " (\"OLDNAME\" (");
		imap_put_mailbox(&line, oldname, imap_utf8(cmd->s));
		buf_adds(&line, "))");
	}
	buf_adds(&line, "\r\n");
	conn_write(imap_conn(cmd->s), buf_slice(&line));
	buf_fini(&line);
}

CO_FN void imap_list_one(struct imap_cmd *cmd, struct slice name, struct slice oldname)
{
	struct list_row gone = { .name = name };
	struct err e = ERR_INIT;
	struct list_rows l;

	list_rows_init(&l, &cmd->arena);
	if (gather(cmd, &l, &e) == 0) {
		struct list_row *row = table_get(&l.by_name, name);
		put_one(cmd, row ? row : &gone, oldname);
	}
	list_rows_fini(&l);
}

CO_FN void imap_list_normalized(struct imap_cmd *cmd, struct cur at, struct slice name)
{
	struct slice raw = imap_parse_astring(&at, &cmd->arena);

	if (imap_rev2(cmd->s) && raw.p && !slice_eq(raw, name)) {
		imap_list_one(cmd, name, raw);
	}
}

/* ---- LSUB ----------------------------------------------------------------- */

CO_FN static void lsub_line(struct imap *s, const struct list_row *row)
{
	struct buf line = BUF_INIT(IMAP_LINE_MAX);

	buf_adds(&line, row->subscribed ? "* LSUB () \"/\" " : "* LSUB (\\Noselect) \"/\" ");
	imap_put_mailbox(&line, row->name, imap_utf8(s));
	buf_adds(&line, "\r\n");
	conn_write(imap_conn(s), buf_slice(&line));
	buf_fini(&line);
}

/*
 * LSUB with "%": a name that is subscribed further down makes the level that
 * matches appear, as \Noselect (RFC 3501 6.3.9): what RECURSIVEMATCH shows.
 */
CO_FN int imap_cmd_lsub(void *session, void *command)
{
	struct imap_cmd *cmd = command;
	struct err e = ERR_INIT;
	struct list_rows l;
	struct list_args args;

	list_parse_basic(&cmd->c, &cmd->arena, &args);
	if (cmd->c.err) {
		return imap_syntax(cmd);
	}
	if (args.patterns[0].n == 0) {
		return root(cmd, "LSUB");
	}
	args.sel = LIST_SEL_SUBSCRIBED | LIST_SEL_RECURSIVE;
	int r = rows_of(cmd, &args, &l, &e);

	if (r == 0) {
		list_select(&l, &args);
		for (size_t i = 0; i < l.n; i++) {
			if (l.v[i]->show) {
				lsub_line(session, l.v[i]);
			}
		}
	}
	list_rows_fini(&l);
	return r == 0 ? imap_ok(cmd, "Listed") : imap_store_no(cmd, r, &e);
}
