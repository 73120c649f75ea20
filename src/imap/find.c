/*
 * find: the course of a searching command; see find.h. The commands themselves
 * are in cmd_search.c, sort.c, thread.c and cmd_esearch.c.
 */
#include <stdlib.h>

#include "base/err.h"
#include "imap/context.h"
#include "imap/fetch.h"
#include "imap/find.h"
#include "imap/parse.h"
#include "imap/target.h"
#include "imap/write.h"
#include "store/metadata.h"

void find_init(struct find *f, struct imap_cmd *cmd)
{
	struct imap *s = cmd->s;

	*f = (struct find){ .cmd = cmd };
	f->run = (struct search_run){
		.mbox = s->mbox,
		.view = s->view,
		.saved = &s->saved,
		.a = &cmd->arena,
		.prog = &f->prog,
	};
}

void find_fini(struct find *f)
{
	search_run_fini(&f->run);
}

void find_failed(struct find *f)
{
	if (f->ret.opts & SEARCH_RET_SAVE) {
		imap_saved_clear(&f->cmd->s->saved);
	}
}

/* Are these items FETCH knows? Errors are in the command's cursor. */
static void check_items(struct imap_cmd *cmd, struct slice items)
{
	struct fetch *fetch = arena_new(&cmd->arena, struct fetch);
	struct cur c = cmd->c;
	int err;

	if (!fetch) {
		cur_fail(&cmd->c, -ENOMEM);
		return;
	}
	fetch->cmd = cmd;
	cmd->c = cur_init(items);
	fetch_parse_items(fetch);
	cur_end(&cmd->c);
	err = cmd->c.err;
	cmd->c = c;
	if (err) {
		cur_fail(&cmd->c, err);
	}
}

bool find_return(struct find *f)
{
	search_parse_return(&f->cmd->c, &f->ret);
	if (f->ret.fetch.p && !f->cmd->c.err) {
		check_items(f->cmd, f->ret.fetch);
	}
	if (f->cmd->c.err) {
		imap_syntax(f->cmd);
		return false;
	}
	return true;
}

/* The reply to what search_parse says; true: go on. */
static bool parsed(struct find *f, int r, const struct search_env *env)
{
	struct imap_cmd *cmd = f->cmd;

	switch (r) {
	case SEARCH_OK:
		return true;
	case SEARCH_BADCHARSET:
		imap_no(cmd, "[BADCHARSET (US-ASCII UTF-8 ISO-8859-1 ISO-8859-15 WINDOWS-1252 "
			     "KOI8-R ISO-2022-JP SHIFT_JIS EUC-JP EUC-KR GB18030 BIG5)] "
			     "Unknown charset");
		break;
	case SEARCH_TOO_MUCH:
		imap_no(cmd, "[LIMIT] Search is too complex");
		break;
	case SEARCH_NO_FILTER:
		imap_no(cmd, "[UNDEFINED-FILTER %.*s] No such filter", SLICE_ARG(env->wanted));
		break;
	case SEARCH_FILTER_CHARSET:
		imap_bad(cmd, "[BADCHARSET (US-ASCII UTF-8)] Filters are UTF-8");
		return false;
	default:
		if (r < 0 && cmd->c.err == 0) {
			imap_store_no(cmd, r, NULL);
			break;
		}
		imap_syntax(cmd);
		if (cmd->bad) {
			return false;
		}
	}
	find_failed(f);
	return false;
}

/* What cannot be asked for in this session. False with the reply set. */
static bool allowed(struct find *f)
{
	struct imap *s = f->cmd->s;

	if ((s->enabled & IMAP_EN_UIDONLY) && f->prog.uses_seqs) {
		imap_bad(f->cmd, "[UIDREQUIRED] Messages have no numbers here");
		return false;
	}
	/* RFC 7162 3.2.10.2: no VANISHED while numbers are spoken of. */
	f->cmd->seqs = f->prog.uses_seqs;
	if ((f->ret.opts & SEARCH_RET_UPDATE) && imap_context_is(s, f->cmd->tag)) {
		imap_bad(f->cmd, "Tag reuse");
		return false;
	}
	if ((f->ret.opts & SEARCH_RET_RELEVANCY) && !f->prog.fuzzy) {
		imap_bad(f->cmd, "RELEVANCY needs a FUZZY key");
		return false;
	}
	return true;
}

/* ---- filters ---------------------------------------------------------------------- */

struct filter_job {
	struct find *f;
	struct slice name;
	struct slice value; /* p NULL: there is none */
};

/* One of the two places of a filter (RFC 5466 3.1). */
CO_FN static int read_filter(struct store_account *a, struct filter_job *j, const char *scope)
{
	struct buf entry = BUF_INIT(STORE_ENTRY_NAME_MAX);
	struct err e = ERR_INIT;
	int r = STORE_BADNAME;

	buf_printf(&entry, "%s/filters/values/", scope);
	buf_add(&entry, j->name);
	if (!entry.err) {
		r = store_metadata_get(a, S(""), store_account_id(a), buf_slice(&entry),
				       &j->f->cmd->arena, &j->value, &e);
	}
	buf_fini(&entry);
	return MIN(r, 0);
}

static int look_filter(struct store_account *a, void *arg)
{
	struct filter_job *j = arg;
	int r;

	co_enter();
	r = read_filter(a, j, "/private");
	return r == 0 && !j->value.p ? read_filter(a, j, "/shared") : r;
}

/* Gets the filter that the parser wants. 0 or <0. */
CO_FN static int get_filter(struct find *f, struct search_env *env)
{
	struct filter_job j = { .f = f, .name = env->wanted };
	struct err e = ERR_INIT;
	int r = imap_on_account(f->cmd->s, f->cmd->s->id.account, look_filter, &j, &e);

	if (r == 0) {
		env->filters[env->n_filters++] = (struct search_filter){ j.name, j.value };
	}
	return r > 0 ? -EIO : r;
}

/* Parses the program, with the filters it turns out to name. */
CO_FN static int parse(struct find *f, bool criteria, struct search_env *env)
{
	struct imap_cmd *cmd = f->cmd;

	for (;;) {
		struct cur c = f->keys;
		int r = criteria ? search_parse_criteria(&c, &cmd->arena, env, &f->prog)
				 : search_parse(&c, &cmd->arena, env, &f->prog);
		if (r != SEARCH_WANTS_FILTER) {
			cmd->c.err = r < 0 ? r : 0;
			return r;
		}
		r = get_filter(f, env);
		if (r < 0) {
			return r;
		}
	}
}

CO_FN bool find_keys(struct find *f, bool criteria, uint32_t star_seq, uint32_t star_uid)
{
	struct imap_cmd *cmd = f->cmd;
	struct search_env *env = arena_new(&cmd->arena, struct search_env);
	int r;

	cur_sp(&cmd->c);
	if (!env || cmd->c.err) {
		imap_syntax(cmd);
		return false;
	}
	env->star_seq = star_seq;
	env->star_uid = star_uid;
	env->no_charset = !criteria && (cmd->s->enabled & IMAP_EN_UTF8);
	f->keys = cmd->c;
	f->env = env;
	r = parse(f, criteria, env);
	if (!parsed(f, r, env) || !allowed(f)) {
		return false;
	}
	if (f->prog.uses_modseq) {
		imap_enable_condstore(cmd->s);
	}
	return true;
}

int find_reparse(struct find *f, uint32_t star_seq, uint32_t star_uid)
{
	struct cur c = f->keys;
	int r;

	f->env->star_seq = star_seq;
	f->env->star_uid = star_uid;
	r = search_parse(&c, &f->cmd->arena, f->env, &f->prog);
	return r > 0 ? -EINVAL : r;
}

/* A result of which only the first few are asked for needs no more. */
static size_t enough(const struct find *f)
{
	unsigned opts = f->ret.opts & ~(unsigned)SEARCH_RET_CONTEXT;

	if (f->sorted || !f->ret.given || f->prog.uses_modseq) {
		return 0;
	}
	if (opts == SEARCH_RET_MIN) {
		return 1;
	}
	if (opts == SEARCH_RET_PARTIAL && f->ret.partial_a > 0) {
		return (size_t)MAX(f->ret.partial_a, f->ret.partial_b);
	}
	return 0;
}

CO_FN bool find_run(struct find *f)
{
	struct store_status st;
	int r;

	store_mailbox_get_status(f->run.mbox, &st);
	f->since = st.highestmodseq;
	f->run.limit = enough(f);
	f->run.cmd = f->cmd;
	r = search_run(&f->run, NULL, 0);
	f->run.cmd = NULL;
	if (r < 0) {
		find_failed(f);
		imap_store_no(f->cmd, r, NULL);
	}
	return r == 0;
}

/* ---- the end ---------------------------------------------------------------------- */

/* RFC 5182 2.4, RFC 9394 3.2: what "$" holds. -ENOMEM: nothing. */
static int save(struct find *f)
{
	const unsigned some = SEARCH_RET_MIN | SEARCH_RET_MAX | SEARCH_RET_PARTIAL;
	unsigned opts = f->ret.opts;
	size_t n = f->run.n;
	size_t from = 0;
	size_t to = n;
	uint32_t *uids = reallocarray(NULL, n + 2, sizeof(uids[0]));
	size_t k = 0;
	int r;

	if (!uids) {
		imap_saved_clear(&f->cmd->s->saved);
		return -ENOMEM;
	}
	if (!(opts & (SEARCH_RET_ALL | SEARCH_RET_COUNT)) && (opts & some)) {
		to = 0;
		if (opts & SEARCH_RET_PARTIAL) {
			esearch_partial(&f->ret, n, &from, &to);
		}
		if (n > 0 && (opts & SEARCH_RET_MIN)) {
			uids[k++] = f->run.v[0].uid;
		}
		if (n > 0 && (opts & SEARCH_RET_MAX)) {
			uids[k++] = f->run.v[n - 1].uid;
		}
	}
	for (size_t i = from; i < to; i++) {
		uids[k++] = f->run.v[i].uid;
	}
	r = imap_saved_set(&f->cmd->s->saved, uids, k);
	free(uids);
	return r;
}

/* Whether the result is one the client will hear more of. */
CO_FN static void go_on(struct find *f, const struct find_sorter *o)
{
	struct buf line = BUF_INIT(IMAP_LINE_MAX);

	if ((f->ret.opts & SEARCH_RET_UPDATE) && !imap_context_open(f, o, f->since)) {
		buf_adds(&line, "* NO [NOUPDATE ");
		imap_put_string(&line, f->cmd->tag);
		buf_adds(&line, "] Too many searches or results\r\n");
		conn_write(imap_conn(f->cmd->s), buf_slice(&line));
	}
	buf_fini(&line);
}

CO_FN void find_done(struct find *f, const struct find_sorter *o, const char *text)
{
	if (f->run.failed) {
		find_failed(f);
		imap_no(f->cmd, "[UNAVAILABLE] Some messages could not be read");
	} else if ((f->ret.opts & SEARCH_RET_SAVE) && save(f) < 0) {
		imap_no(f->cmd, "[NOTSAVED] The result could not be kept");
	} else {
		go_on(f, o);
		imap_ok(f->cmd, "%s", text);
	}
}
