/*
 * cmd_notify: NOTIFY (RFC 5465): which changes the client wants to hear of.
 */
#include "imap/fetch.h"
#include "imap/notify.h"
#include "imap/parse.h"

static const struct {
	struct slice name;
	unsigned bit;
} events[] = {
	{ S("MessageNew"), NOTIFY_NEW },
	{ S("MessageExpunge"), NOTIFY_EXPUNGE },
	{ S("FlagChange"), NOTIFY_FLAGS },
	{ S("MailboxName"), NOTIFY_NAME },
	{ S("SubscriptionChange"), NOTIFY_SUBSCRIPTION },
	{ S("MailboxMetadataChange"), NOTIFY_METADATA },
	{ S("ServerMetadataChange"), NOTIFY_SERVER_METADATA },
};

static const struct {
	struct slice name;
	enum notify_filter filter;
	bool names; /* mailbox names follow */
} filters[] = {
	{ S("INBOXES"), NOTIFY_INBOXES, false },       { S("PERSONAL"), NOTIFY_PERSONAL, false },
	{ S("SUBSCRIBED"), NOTIFY_SUBSCRIBED, false }, { S("SUBTREE"), NOTIFY_SUBTREE, true },
	{ S("MAILBOXES"), NOTIFY_MAILBOXES, true },
};

struct parse {
	struct imap_cmd *cmd;
	struct arena *a; /* where what is kept goes */
	struct notify_set *set;
	size_t n_names;
	bool selected; /* SELECTED or SELECTED-DELAYED was there */
	bool unknown;  /* an event that we do not have */
	bool too_much;
};

/* ---- events ------------------------------------------------------------- */

/* [SP "(" fetch-att *(SP fetch-att) ")"]: kept as it stands. */
static void fetch_list(struct parse *p, struct slice *out)
{
	struct imap_cmd *cmd = p->cmd;
	struct slice rest = cur_rest(&cmd->c);
	struct fetch *f;

	if (!slice_starts(rest, S(" ("))) {
		return;
	}
	cur_sp(&cmd->c);
	rest = cur_rest(&cmd->c);
	f = arena_new(&cmd->arena, struct fetch);
	if (!f) {
		cur_fail(&cmd->c, -ENOMEM);
		return;
	}
	f->cmd = cmd;
	fetch_parse_items(f);
	if (!cmd->c.err) {
		*out = arena_dup(p->a, slice_sub(rest, 0, (size_t)(cmd->c.p - rest.p)));
	}
}

static unsigned event(struct parse *p, struct slice *fetch_out)
{
	struct slice name = imap_parse_atom(&p->cmd->c);

	for (size_t i = 0; !p->cmd->c.err && i < ARRAY_LEN(events); i++) {
		if (slice_ieq(name, events[i].name)) {
			if (events[i].bit == NOTIFY_NEW) {
				fetch_list(p, fetch_out);
			}
			return events[i].bit;
		}
	}
	p->unknown = true;
	return 0;
}

/*
 * events = ("(" event *(SP event) ")") / "NONE". The RFC's own example has no
 * parentheses around them, so they may be missing.
 */
static unsigned parse_events(struct parse *p, struct slice *fetch_out)
{
	struct cur *c = &p->cmd->c;
	unsigned bits = 0;
	bool list;

	if (cur_lit(c, S("NONE"))) {
		return 0;
	}
	list = cur_opt(c, '(');
	do {
		bits |= event(p, fetch_out);
	} while (!c->err && cur_opt(c, ' '));
	if (list) {
		cur_need(c, ')');
	}
	/* 5: those two only together, and FlagChange only with them. */
	if ((bits & NOTIFY_MESSAGES) &&
	    (bits & (NOTIFY_NEW | NOTIFY_EXPUNGE)) != (NOTIFY_NEW | NOTIFY_EXPUNGE)) {
		cur_fail(c, -EINVAL);
	}
	return bits;
}

/* ---- groups ------------------------------------------------------------- */

/* Room in an array of the arena that grows by doubling. */
static void *one_more(struct arena *a, void *old, size_t n, size_t size)
{
	void *p;

	if (n > 0 && (n & (n - 1)) != 0) {
		return old;
	}
	p = arena_array(a, n ? 2 * n : 1, size);
	if (p && n) {
		memcpy(p, old, n * size);
	}
	return p;
}

/* A name that cannot be one is as good as one that is not there: ignored. */
static void add_name(struct parse *p, struct notify_group *g)
{
	struct imap_cmd *cmd = p->cmd;
	struct slice raw = imap_parse_astring(&cmd->c, &cmd->arena);
	struct slice name;

	if (cmd->c.err) {
		return;
	}
	if (++p->n_names > NOTIFY_NAMES_MAX) {
		p->too_much = true;
		return;
	}
	if (!imap_mailbox_canon(p->a, raw, imap_utf8(cmd->s), &name)) {
		return;
	}
	g->names = one_more(p->a, g->names, g->n_names, sizeof(name));
	if (!g->names) {
		cur_fail(&cmd->c, -ENOMEM);
		return;
	}
	g->names[g->n_names++] = name;
}

/* one-or-more-mailbox = mailbox / "(" mailbox *(SP mailbox) ")" */
static void parse_names(struct parse *p, struct notify_group *g)
{
	struct cur *c = &p->cmd->c;

	cur_sp(c);
	if (!cur_opt(c, '(')) {
		add_name(p, g);
		return;
	}
	do {
		add_name(p, g);
	} while (!c->err && cur_opt(c, ' '));
	cur_need(c, ')');
}

/* Only what happens to messages goes with the selected mailbox (6.1). */
static void parse_selected(struct parse *p, bool delayed)
{
	struct cur *c = &p->cmd->c;

	cur_sp(c);
	p->set->selected = parse_events(p, &p->set->fetch);
	p->set->delayed = delayed;
	if (p->selected || (p->set->selected & ~(unsigned)NOTIFY_MESSAGES)) {
		cur_fail(c, -EINVAL);
	}
	p->selected = true;
}

static void parse_other(struct parse *p, struct slice word)
{
	struct cur *c = &p->cmd->c;
	struct notify_set *set = p->set;
	struct slice fetch = { 0 };
	struct notify_group g = { 0 };
	size_t i = 0;

	while (i < ARRAY_LEN(filters) && !slice_ieq(word, filters[i].name)) {
		i++;
	}
	if (i == ARRAY_LEN(filters)) {
		cur_fail(c, -EINVAL);
		return;
	}
	g.filter = filters[i].filter;
	if (filters[i].names) {
		parse_names(p, &g);
	}
	cur_sp(c);
	g.events = parse_events(p, &fetch);
	if (fetch.p) {
		cur_fail(c, -EINVAL); /* what to fetch goes with SELECTED only */
	}
	set->groups = c->err ? NULL : one_more(p->a, set->groups, set->n_groups, sizeof(g));
	if (set->groups) {
		set->groups[set->n_groups++] = g;
	} else if (!c->err) {
		cur_fail(c, -ENOMEM);
	}
}

/* event-group = "(" filter-mailboxes SP events ")" */
static void parse_group(struct parse *p)
{
	struct cur *c = &p->cmd->c;
	struct slice word;

	cur_need(c, '(');
	word = imap_parse_atom(c);
	if (slice_ieq(word, S("SELECTED")) || slice_ieq(word, S("SELECTED-DELAYED"))) {
		parse_selected(p, word.n > 8);
	} else if (p->set->n_groups == NOTIFY_GROUPS_MAX) {
		p->too_much = true;
		cur_fail(c, -EINVAL);
	} else {
		parse_other(p, word);
	}
	cur_need(c, ')');
}

/* "SET" [SP "STATUS"] SP event-group *(SP event-group) / "NONE" */
static void parse_notify(struct parse *p)
{
	struct cur *c = &p->cmd->c;

	cur_sp(c);
	if (!cur_lit(c, S("NONE"))) {
		cur_need_lit(c, S("SET"));
		cur_sp(c);
		if (cur_lit(c, S("STATUS"))) {
			p->set->status = true;
			cur_sp(c);
		}
		do {
			parse_group(p);
		} while (!c->err && !p->too_much && cur_opt(c, ' '));
	}
	if (!p->too_much) {
		cur_end(c);
	}
}

/* ---- the command -------------------------------------------------------- */

static int bad_event(struct imap_cmd *cmd)
{
	struct buf names = BUF_INIT(512);

	for (size_t i = 0; i < ARRAY_LEN(events); i++) {
		buf_adds(&names, i ? " " : "");
		buf_add(&names, events[i].name);
	}
	imap_no(cmd, "[BADEVENT (%.*s)] Not an event that can be told", SLICE_ARG(names));
	buf_fini(&names);
	return 0;
}

CO_FN int imap_cmd_notify(void *session, void *command)
{
	struct imap_cmd *cmd = command;
	struct imap_notify *n = imap_notify_new();
	struct parse p = { .cmd = cmd };
	int r = 0;

	(void)session;
	if (!n) {
		return imap_store_no(cmd, -ENOMEM, NULL);
	}
	p.a = imap_notify_arena(n);
	p.set = imap_notify_set(n);
	parse_notify(&p);
	if (p.too_much || arena_err(p.a)) {
		imap_no(cmd, "[NOTIFICATIONOVERFLOW] Too many mailboxes to watch");
	} else if (cmd->c.err) {
		imap_syntax(cmd);
	} else if (p.unknown) {
		bad_event(cmd);
	} else {
		r = imap_notify_begin(cmd, &n);
		if (r == STORE_OK) {
			imap_ok(cmd, "Events noted");
		} else {
			imap_store_no(cmd, r, NULL);
		}
	}
	imap_notify_free(&n);
	return 0;
}
