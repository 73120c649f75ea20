/*
 * cmd_append: APPEND (RFC 3501 6.3.11, RFC 3502, RFC 4466 6, RFC 4469): its
 * arguments, and what it does with them. See append.h.
 *
 * A command is one transaction: all messages are written first, and kept in
 * one commit when the last is there, or none of them is.
 */
#include "imap/append.h"
#include "imap/parse.h"
#include "imap/url.h"

/* The arguments do not parse. */
static int syntax(struct append *a)
{
	imap_syntax(a->cmd);
	return APPEND_REFUSED;
}

/*
 * literal = "{" number64 ["+"] "}", literal8 = "~" literal: what announces a
 * literal, at the end of the line.
 */
static bool take_marker(struct append *a, bool *eight_out)
{
	struct cur *c = &a->cmd->c;

	*eight_out = cur_opt(c, '~');
	cur_need(c, '{');
	cur_u64(c);
	cur_opt(c, '+');
	cur_need(c, '}');
	if (cur_end(c) && !a->cmd->literal) {
		cur_fail(c, -EINVAL);
	}
	return c->err == 0;
}

/* A message that is one literal. */
CO_FN static int plain(struct append *a)
{
	bool eight;

	if (!take_marker(a, &eight)) {
		return syntax(a);
	}
	if (a->cmd->literal_size == 0) {
		imap_no(a->cmd, "[CANNOT] Message is empty");
		return APPEND_REFUSED;
	}
	if (!append_admit(a, a->cmd->literal_size)) {
		return APPEND_REFUSED;
	}
	int r = append_begin(a, eight);
	return r == APPEND_OK ? append_literal(a, eight) : r;
}

/* utf8-literal = "UTF8" SP "(" literal8 ")"                 RFC 6855 4 */
CO_FN static int utf8(struct append *a)
{
	struct cur *c = &a->cmd->c;
	bool eight;
	int r;

	cur_sp(c);
	cur_need(c, '(');
	if (!take_marker(a, &eight) || !eight) {
		cur_fail(c, -EINVAL);
		return syntax(a);
	}
	if (!append_admit(a, a->cmd->literal_size)) {
		return APPEND_REFUSED;
	}
	r = append_literal(a, true);
	if (r == APPEND_OK && !cur_need(c, ')')) {
		return syntax(a);
	}
	return r;
}

/* "TEXT" SP literal */
CO_FN static int text_part(struct append *a)
{
	bool eight;

	cur_sp(&a->cmd->c);
	if (!take_marker(a, &eight)) {
		return syntax(a);
	}
	return append_admit(a, a->cmd->literal_size) ? append_literal(a, eight) : APPEND_REFUSED;
}

/* "URL" SP astring */
CO_FN static int url_part(struct append *a)
{
	struct imap_cmd *cmd = a->cmd;
	struct slice url;
	bool eight;
	int r;

	cur_sp(&cmd->c);
	if (cur_peek(&cmd->c) != '{') {
		url = imap_parse_astring(&cmd->c, &cmd->arena);
		return cmd->c.err ? syntax(a) : append_url(a, url);
	}
	if (!take_marker(a, &eight)) {
		return syntax(a);
	}
	r = append_argument(a, IMAP_URL_MAX, &url);
	return r == APPEND_OK ? append_url(a, url) : r;
}

/* cat-part = text-literal / url / utf8-literal */
CO_FN static int cat_part(struct append *a)
{
	struct cur *c = &a->cmd->c;

	if (++a->parts > APPEND_PARTS_MAX) {
		imap_no(a->cmd, "[LIMIT] Too many parts");
		return APPEND_REFUSED;
	}
	if (cur_lit(c, S("TEXT"))) {
		return text_part(a);
	}
	if (cur_lit(c, S("URL"))) {
		return url_part(a);
	}
	if (cur_lit(c, S("UTF8"))) {
		return utf8(a);
	}
	cur_fail(c, -EINVAL);
	return syntax(a);
}

/* "CATENATE" SP "(" cat-part *(SP cat-part) ")"             RFC 4469 5 */
CO_FN static int catenate(struct append *a)
{
	struct imap_cmd *cmd = a->cmd;
	int r;

	cur_sp(&cmd->c);
	if (!cur_need(&cmd->c, '(')) {
		return syntax(a);
	}
	r = append_begin(a, true);
	do {
		struct arena_mark mark = arena_mark(&cmd->arena);
		r = r == APPEND_OK ? cat_part(a) : r;
		arena_reset(&cmd->arena, mark);
	} while (r == APPEND_OK && cur_opt(&cmd->c, ' '));
	if (r == APPEND_OK && !cur_need(&cmd->c, ')')) {
		return syntax(a);
	}
	return r;
}

/* append-data */
CO_FN static int message(struct append *a)
{
	int r;

	if (cur_lit(&a->cmd->c, S("CATENATE"))) {
		return catenate(a);
	}
	if (cur_lit(&a->cmd->c, S("UTF8"))) {
		r = append_begin(a, true);
		return r == APPEND_OK ? utf8(a) : r;
	}
	return plain(a);
}

/* [SP flag-list] [SP date-time] SP, and something behind it */
static bool parse_options(struct append *a, struct imap_flags *named)
{
	struct imap_cmd *cmd = a->cmd;
	struct cur *c = &cmd->c;
	int zone = 0;

	a->next = (struct store_new){ .internal_date = clock_wall() };
	cur_sp(c);
	if (cur_peek(c) == '(') {
		imap_parse_flag_list(c, &cmd->arena, named);
		cur_sp(c);
	}
	if (cur_peek(c) == '"') {
		imap_parse_date_time(c, &a->next.internal_date, &zone);
		cur_sp(c);
	}
	a->next.zone = zone;
	a->next.flags.system = named->system;
	return !cur_done(c);
}

static int usage(struct store_account *account, void *arg)
{
	store_account_usage(account, arg);
	return STORE_OK;
}

/* The mailbox, if its account lives here; what must be known of it in any
 * case. Messages stream in on this loop, wherever they are kept. */
CO_FN static int open_mailbox(struct append *a)
{
	struct imap *s = a->cmd->s;
	struct store_account *account = s->account;
	struct err e = ERR_INIT;
	int r;

	if (!imap_target_into(a->cmd, a->name, &a->t)) {
		return APPEND_REFUSED;
	}
	a->found = true;
	r = imap_on_account(s, a->t.account, usage, &a->usage, &e);
	if (r == STORE_OK && imap_lives_here(s, a->t.account)) {
		if (!a->t.mine || !account) {
			r = store_account_open(s->base.env->store, a->t.account, &a->lender, &e);
			account = a->lender;
		}
		r = r ? r : store_mailbox_open(account, a->t.name, &a->mbox, &e);
	}
	return r == STORE_OK ? APPEND_OK : append_no(a, r, &e);
}

/* Keywords of a message for a mailbox that is not here: kept by name. */
static int keep_names(struct append *a, const struct imap_flags *named)
{
	struct imap_flags *to;

	if (!a->named) {
		a->named = arena_array(&a->kept, APPEND_MESSAGES_MAX, sizeof(*a->named));
	}
	if (!a->named) {
		return -ENOMEM;
	}
	to = &a->named[a->n];
	to->n = named->n;
	to->keywords = arena_array(&a->kept, named->n, sizeof(*to->keywords));
	for (size_t i = 0; i < named->n && to->keywords; i++) {
		to->keywords[i] = arena_dup(&a->kept, named->keywords[i]);
	}
	return arena_err(&a->kept) ? -ENOMEM : STORE_OK;
}

/* The flags of the next message, as far as the session may set them there
 * (RFC 4314 4). */
static int take_flags(struct append *a, struct imap_flags *named)
{
	struct store_flags may = imap_flags_allowed(a->t.rights);

	a->next.flags.system = named->system & may.system;
	named->n = may.keywords ? named->n : 0;
	return a->mbox ? store_keyword_bits(a->mbox, named->keywords, named->n, true,
					    &a->next.flags.keywords)
		       : keep_names(a, named);
}

/* What stands before the message; with the first, the mailbox is opened, when
 * its syntax is known to be right. */
CO_FN static int options(struct append *a)
{
	struct imap_flags named = { 0 };
	int r = APPEND_OK;

	if (!parse_options(a, &named)) {
		cur_fail(&a->cmd->c, -EINVAL);
		return syntax(a);
	}
	if (!a->found) {
		r = open_mailbox(a);
	}
	if (r == APPEND_OK && a->n == APPEND_MESSAGES_MAX) {
		imap_no(a->cmd, "[LIMIT] Too many messages");
		r = APPEND_REFUSED;
	}
	if (r != APPEND_OK) {
		return r;
	}
	r = take_flags(a, &named);
	return r == STORE_OK ? APPEND_OK : append_no(a, r, NULL);
}

CO_FN int append_messages(struct append *a)
{
	struct imap_cmd *cmd = a->cmd;

	do {
		struct arena_mark mark = arena_mark(&cmd->arena);
		int r = options(a);
		arena_reset(&cmd->arena, mark);
		r = r == APPEND_OK ? message(a) : r;
		r = r == APPEND_OK ? append_end(a) : r;
		if (r != APPEND_OK) {
			return r;
		}
	} while (cur_peek(&cmd->c) == ' ' && !a->replace);
	return cur_end(&cmd->c) ? APPEND_OK : syntax(a);
}

struct kept {
	struct append *a;
	struct store_status st;
	struct err *e;
};

/* Into the open mailbox. */
CO_FN static int keep_in(struct kept *k, struct store_mailbox *m)
{
	int r = store_append_all(m, k->a->v, k->a->n, k->e);

	if (r == STORE_OK) {
		store_mailbox_get_status(m, &k->st);
	}
	return r;
}

/* The same on the account's own loop, where the right to is asked for again. */
static int keep_there(struct store_account *account, void *arg)
{
	struct kept *k = arg;
	struct append *a = k->a;
	struct imap *s = a->cmd->s;
	struct store_mailbox *m = NULL;

	co_enter();
	int r = store_mailbox_open(account, a->t.name, &m, k->e);

	if (r == STORE_OK &&
	    !(store_mailbox_rights(m, s->id.account, s->base.env->share_with_anyone) &
	      STORE_RIGHT_INSERT)) {
		r = STORE_NOTFOUND;
	}
	for (size_t i = 0; i < a->n && r == STORE_OK; i++) {
		r = store_keyword_bits(m, a->named[i].keywords, a->named[i].n, true,
				       &a->v[i].flags.keywords);
	}
	r = r ? r : keep_in(k, m);
	store_mailbox_close(&m);
	return r;
}

CO_FN int append_keep(struct append *a, struct store_status *st_out, struct err *e)
{
	struct kept k = { .a = a, .e = e };
	int r = a->mbox ? keep_in(&k, a->mbox)
			: imap_on_account(a->cmd->s, a->t.account, keep_there, &k, e);

	*st_out = k.st;
	return r;
}

/* All messages are here: keeps them. */
CO_FN static int keep(struct append *a)
{
	struct store_status st;
	struct err e = ERR_INIT;
	int r = append_keep(a, &st, &e);
	uint32_t first;

	if (r != STORE_OK) {
		return append_no(a, r, &e);
	}
	first = a->v[0].uid;
	if (a->n == 1) {
		return imap_ok(a->cmd, "[APPENDUID %u %u] Message kept", st.uidvalidity, first);
	}
	return imap_ok(a->cmd, "[APPENDUID %u %u:%u] Messages kept", st.uidvalidity, first,
		       a->v[a->n - 1].uid);
}

/* append = "APPEND" SP mailbox 1*append-message */
CO_FN int imap_cmd_append(void *session, void *command)
{
	struct append a;
	struct imap_cmd *cmd = command;
	int r = APPEND_REFUSED;

	(void)session;
	append_init(&a, cmd);
	cur_sp(&cmd->c);
	if (imap_mailbox_arg(cmd, &a.name)) {
		r = append_messages(&a);
		r = r == APPEND_OK ? keep(&a) : r;
	}
	if (r == APPEND_REFUSED) {
		r = append_refuse(&a);
	}
	append_fini(&a);
	return r;
}
