/*
 * cmd_esearch: ESEARCH, a search in many mailboxes (RFC 7377 MULTISEARCH).
 *
 * The sources become a list of names, each once. What is not there, or may not
 * be read, is passed over in silence, so that nobody learns of it (THREATS
 * IM-11). Each mailbox is searched where its account lives, with a view of its
 * own, which leaves the selected one and \Recent alone; the program is read
 * anew for each, since '*' is another number there.
 */
#include "base/err.h"
#include "base/table.h"
#include "imap/find.h"
#include "imap/other.h"
#include "imap/parse.h"
#include "imap/target.h"

#define SOURCES_MAX 1000u   /* names in one command */
#define MAILBOXES_MAX 4000u /* searched by one command */

enum source {
	SOURCE_SELECTED = 1,
	SOURCE_INBOXES = 2,
	SOURCE_PERSONAL = 4,
	SOURCE_SUBSCRIBED = 8,
	SOURCE_SUBTREE = 16,
	SOURCE_SUBTREE_ONE = 32,
	SOURCE_MAILBOXES = 64
};

static const struct {
	struct slice name;
	enum source kind;
} sources[] = {
	{ S("SELECTED"), SOURCE_SELECTED },   { S("INBOXES"), SOURCE_INBOXES },
	{ S("PERSONAL"), SOURCE_PERSONAL },   { S("SUBSCRIBED"), SOURCE_SUBSCRIBED },
	{ S("SUBTREE"), SOURCE_SUBTREE },     { S("SUBTREE-ONE"), SOURCE_SUBTREE_ONE },
	{ S("MAILBOXES"), SOURCE_MAILBOXES },
};

struct named_source {
	enum source kind;
	struct slice name; /* canonical */
};

struct candidate {
	struct slice name;
	bool given; /* named by the client; others need the right to be seen */
};

struct esearch {
	struct find f;
	unsigned kinds; /* enum source, a bit set */
	struct named_source *named;
	size_t n_named;
	struct candidate *boxes;
	size_t n_boxes;
	struct table seen;
};

/* ---- sources ------------------------------------------------------------------- */

/* A name that cannot be a mailbox's is one that does not exist. */
static void source_name(struct esearch *x, enum source kind)
{
	struct imap_cmd *cmd = x->f.cmd;
	struct slice raw = imap_parse_astring(&cmd->c, &cmd->arena);
	struct slice name;

	if (x->n_named == SOURCES_MAX) {
		cur_fail(&cmd->c, -EMSGSIZE);
	}
	if (!cmd->c.err && x->named &&
	    imap_mailbox_canon(&cmd->arena, raw, imap_utf8(cmd->s), &name)) {
		x->named[x->n_named++] = (struct named_source){ kind, name };
	}
}

/* one-or-more-mailbox = mailbox / "(" mailbox *(SP mailbox) ")" RFC 5465 8 */
static void source_names(struct esearch *x, enum source kind)
{
	struct cur *c = &x->f.cmd->c;

	cur_sp(c);
	if (!cur_opt(c, '(')) {
		source_name(x, kind);
		return;
	}
	do {
		source_name(x, kind);
	} while (!c->err && cur_opt(c, ' '));
	cur_need(c, ')');
}

static void one_source(struct esearch *x)
{
	struct cur *c = &x->f.cmd->c;
	struct slice word = imap_parse_atom(c);

	for (size_t i = 0; !c->err && i < ARRAY_LEN(sources); i++) {
		if (slice_ieq(word, sources[i].name)) {
			x->kinds |= sources[i].kind;
			if (sources[i].kind >= SOURCE_SUBTREE) {
				source_names(x, sources[i].kind);
			}
			return;
		}
	}
	cur_fail(c, -EINVAL);
}

/* esearch-source-opts = "IN" SP "(" source-mbox ")"; there are no scope
 * options yet. False with the reply set. */
static bool parse_sources(struct esearch *x)
{
	struct imap_cmd *cmd = x->f.cmd;
	struct cur *c = &cmd->c;

	x->named = arena_array(&cmd->arena, SOURCES_MAX, sizeof(x->named[0]));
	if (!x->named) {
		cur_fail(c, -ENOMEM);
	}
	if (!cur_lit(c, S(" IN "))) {
		x->kinds = SOURCE_SELECTED;
	} else {
		cur_need(c, '(');
		do {
			one_source(x);
		} while (!c->err && cur_opt(c, ' '));
		cur_need(c, ')');
	}
	if (c->err) {
		imap_syntax(cmd);
	}
	return c->err == 0;
}

/* What goes together. False with the reply set. */
static bool allowed(struct esearch *x)
{
	struct imap_cmd *cmd = x->f.cmd;
	unsigned opts = x->f.ret.opts;

	if ((x->kinds & SOURCE_SELECTED) && cmd->s->state != IMAP_SELECTED) {
		imap_bad(cmd, "Select a mailbox first");
		return false;
	}
	if ((opts & SEARCH_RET_SAVE) && x->kinds != SOURCE_SELECTED) {
		imap_bad(cmd, "SAVE goes with the selected mailbox only");
		return false;
	}
	if ((opts & SEARCH_RET_UPDATE) && !(x->kinds & SOURCE_SELECTED)) {
		imap_bad(cmd, "UPDATE goes with the selected mailbox only");
		return false;
	}
	return true;
}

/* ---- mailboxes ----------------------------------------------------------------- */

/* Once each; 0, -ENOMEM, -EMSGSIZE. */
static int add_box(struct esearch *x, struct slice name, bool given)
{
	struct candidate *old = table_get(&x->seen, name);

	if (old) {
		old->given = old->given || given;
		return 0;
	}
	if (x->n_boxes == MAILBOXES_MAX) {
		return -EMSGSIZE;
	}
	x->boxes[x->n_boxes] = (struct candidate){ name, given };
	return table_put(&x->seen, name, &x->boxes[x->n_boxes++], NULL);
}

static bool is_below(struct slice name, struct slice top, bool one)
{
	struct slice rest = slice_from(name, top.n + 1);

	return slice_eq(name, top) ||
	       (name.n > top.n && slice_starts(name, top) && name.p[top.n] == '/' &&
		(!one || slice_chr(rest, '/') == SIZE_MAX));
}

struct listing {
	struct arena *a;
	struct store_mailbox_info *v;
	size_t n;
};

static int list_account(struct store_account *a, void *arg)
{
	struct listing *l = arg;
	struct err e = ERR_INIT;

	co_enter();
	return store_mailbox_list(a, l->a, &l->v, &l->n, &e);
}

/* The session's own mailboxes that a source speaks of. */
static int add_own(struct esearch *x, const struct listing *l)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < l->n; i++) {
		const struct store_mailbox_info *m = &l->v[i];
		bool want = (x->kinds & SOURCE_PERSONAL) && m->exists;
		want = want || ((x->kinds & SOURCE_SUBSCRIBED) && m->subscribed);
		want = want || ((x->kinds & SOURCE_INBOXES) && slice_eq(m->name, S("INBOX")));
		for (size_t k = 0; !want && k < x->n_named; k++) {
			const struct named_source *s = &x->named[k];
			want = s->kind != SOURCE_MAILBOXES && m->exists &&
			       is_below(m->name, s->name, s->kind == SOURCE_SUBTREE_ONE);
		}
		if (want) {
			r = add_box(x, m->name, false);
		}
	}
	return r;
}

/* Below a mailbox of another user. */
CO_FN static int add_others(struct esearch *x, const struct named_source *src)
{
	struct imap_cmd *cmd = x->f.cmd;
	struct imap_target t;
	struct listing l = { .a = &cmd->arena };
	struct err e = ERR_INIT;
	struct slice prefix;
	int r = imap_target_find(cmd->s, src->name, &t, &e);

	if (r == 0 && !t.mine && t.account) {
		r = imap_on_account(cmd->s, t.account, list_account, &l, &e);
		r = r == STORE_NOTFOUND ? 0 : r;
	}
	prefix = slice_sub(src->name, 0, src->name.n - (t.mine ? 0 : t.name.n));
	for (size_t i = 0; r == 0 && i < l.n; i++) {
		const struct store_mailbox_info *m = &l.v[i];
		if (m->exists && is_below(m->name, t.name, src->kind == SOURCE_SUBTREE_ONE)) {
			struct slice full = arena_printf(&cmd->arena, "%.*s%.*s", SLICE_ARG(prefix),
							 SLICE_ARG(m->name));
			r = full.p ? add_box(x, full, false) : -ENOMEM;
		}
	}
	return r;
}

CO_FN static int collect(struct esearch *x)
{
	struct imap_cmd *cmd = x->f.cmd;
	struct listing own = { .a = &cmd->arena };
	struct err e = ERR_INIT;
	int r = 0;

	x->boxes = arena_array(&cmd->arena, MAILBOXES_MAX, sizeof(x->boxes[0]));
	if (!x->boxes) {
		return -ENOMEM;
	}
	for (size_t i = 0; r == 0 && i < x->n_named; i++) {
		r = add_box(x, x->named[i].name, true);
		if (r == 0 && x->named[i].kind != SOURCE_MAILBOXES &&
		    slice_starts(x->named[i].name, S(OTHER_PREFIX))) {
			r = add_others(x, &x->named[i]);
		}
	}
	if (r == 0 && (x->kinds & ~(unsigned)(SOURCE_SELECTED | SOURCE_MAILBOXES))) {
		r = imap_on_account(cmd->s, cmd->s->id.account, list_account, &own, &e);
	}
	return r == 0 ? add_own(x, &own) : r;
}

/* ---- searching ------------------------------------------------------------------ */

struct job {
	struct esearch *x;
	struct slice name;
	uint32_t uidvalidity;
};

CO_FN static int run_view(struct job *j, struct store_mailbox *m, struct store_view *v)
{
	struct find *f = &j->x->f;
	uint32_t n = store_view_count(v);
	struct store_status st;
	int r = find_reparse(f, n, n ? store_view_uid(v, n) : 0);

	store_mailbox_get_status(m, &st);
	j->uidvalidity = st.uidvalidity;
	f->run.mbox = m;
	f->run.view = v;
	f->run.saved = NULL;
	if (r == 0) {
		r = search_run(&f->run, NULL, 0);
	}
	if (r == 0) {
		find_modseq(f);
	}
	f->run.mbox = NULL;
	f->run.view = NULL;
	return r;
}

/* On the account's loop. */
static int search_there(struct store_account *a, void *arg)
{
	struct job *j = arg;
	struct store_mailbox *m = NULL;
	struct store_view *v = NULL;
	struct err e = ERR_INIT;
	int r;

	co_enter();
	r = store_mailbox_open(a, j->name, &m, &e);
	if (r == STORE_OK) {
		r = store_view_open(m, false, &v, &e);
	}
	if (r == STORE_OK) {
		r = run_view(j, m, v);
	}
	store_view_close(&v);
	store_mailbox_close(&m);
	return r;
}

/* One mailbox, if it is there and may be read. 0 or <0. */
CO_FN static int search_box(struct esearch *x, const struct candidate *b)
{
	struct imap_cmd *cmd = x->f.cmd;
	unsigned rights = STORE_RIGHT_READ | (b->given ? 0 : STORE_RIGHT_LOOKUP);
	struct job j = { .x = x };
	struct imap_target t;
	struct err e = ERR_INIT;
	int r = imap_target_find(cmd->s, b->name, &t, &e);

	if (r < 0 || !t.exists || (t.rights & rights) != rights) {
		return MIN(r, 0);
	}
	j.name = t.name;
	r = imap_on_account(cmd->s, t.account, search_there, &j, &e);
	if (r == STORE_OK && x->f.run.n > 0) {
		esearch_write(&x->f, true, &b->name, j.uidvalidity);
	}
	search_run_fini(&x->f.run);
	return MIN(r, 0);
}

CO_FN static int search_boxes(struct esearch *x, struct slice but)
{
	struct arena *a = &x->f.cmd->arena;
	int r = 0;

	for (size_t i = 0; r == 0 && i < x->n_boxes; i++) {
		struct arena_mark mark = arena_mark(a);
		if (!slice_eq(x->boxes[i].name, but)) {
			r = search_box(x, &x->boxes[i]);
		}
		arena_reset(a, mark);
		if (r == 0) {
			r = imap_conn(x->f.cmd->s)->err;
		}
	}
	return r;
}

/* The selected mailbox's name of the moment. 0, STORE_NOTFOUND, <0. */
CO_FN static int selected_name(struct esearch *x, struct slice *out)
{
	struct imap_cmd *cmd = x->f.cmd;
	struct store_account *a = store_mailbox_account(cmd->s->mbox);
	struct buf full = BUF_INIT(4 * STORE_NAME_MAX + 2 * AUTH_ADDR_MAX);
	struct listing l = { .a = &cmd->arena };
	struct store_status st;
	struct auth_account acc;
	int r = list_account(a, &l);

	store_mailbox_get_status(cmd->s->mbox, &st);
	if (r == 0 && store_account_id(a) != cmd->s->id.account) {
		r = auth_account_by_id(cmd->s->base.env->auth, store_account_id(a), &cmd->arena,
				       &acc);
		buf_adds(&full, OTHER_PREFIX);
		other_put_user(&full, r == 0 ? acc.address : S(""));
		buf_addc(&full, '/');
	}
	*out = slice_make(NULL, 0);
	for (size_t i = 0; r == 0 && i < l.n; i++) {
		if (l.v[i].exists && l.v[i].id == st.id) {
			buf_add(&full, l.v[i].name);
			*out = arena_dup(&cmd->arena, buf_slice(&full));
		}
	}
	buf_fini(&full);
	return r == 0 && !out->p ? STORE_NOTFOUND : r;
}

/* The selected mailbox, in the view the client has of it. False with the reply
 * set. */
CO_FN static bool search_selected(struct esearch *x, struct slice name)
{
	struct store_status st;

	if (!find_run(&x->f)) {
		return false;
	}
	store_mailbox_get_status(x->f.run.mbox, &st);
	if (x->f.run.n > 0) {
		esearch_write(&x->f, true, &name, st.uidvalidity);
	}
	return true;
}

CO_FN static void answer(struct esearch *x)
{
	struct imap_cmd *cmd = x->f.cmd;
	struct slice selected = { 0 };
	int r = collect(x);

	if (r == 0 && (x->kinds & SOURCE_SELECTED)) {
		r = selected_name(x, &selected);
		if (r == 0) {
			if (!search_selected(x, selected)) {
				return;
			}
			find_done(&x->f, NULL, "Searched");
			search_run_fini(&x->f.run);
		}
	}
	if (r == 0) {
		r = search_boxes(x, selected);
	}
	if (r == -EMSGSIZE) {
		imap_no(cmd, "[LIMIT] Too many mailboxes");
	} else if (r != 0) {
		imap_store_no(cmd, r, NULL);
	} else if (x->f.run.failed) {
		imap_no(cmd, "[UNAVAILABLE] Some messages could not be read");
	} else if (cmd->reply.n == 0) {
		imap_ok(cmd, "Searched");
	}
}

/* esearch = "ESEARCH" [SP esearch-source-opts] [SP search-return-opts] SP
 * search-program */
CO_FN int imap_cmd_esearch(void *session, void *command)
{
	struct imap *s = session;
	struct imap_cmd *cmd = command;
	struct esearch *x = arena_new(&cmd->arena, struct esearch);
	bool selected = s->state == IMAP_SELECTED;

	if (!x) {
		return imap_store_no(cmd, -ENOMEM, NULL);
	}
	cmd->uid = true;
	find_init(&x->f, cmd);
	table_init(&x->seen);
	if (parse_sources(x) && find_return(&x->f)) {
		if (!x->f.ret.given) {
			x->f.ret = (struct search_return){ .given = true, .opts = SEARCH_RET_ALL };
		}
		if (find_keys(&x->f, false, selected ? imap_view_star(s, false) : 0,
			      selected ? imap_view_star(s, true) : 0) &&
		    allowed(x)) {
			answer(x);
		}
	}
	table_fini(&x->seen);
	find_fini(&x->f);
	return 0;
}
