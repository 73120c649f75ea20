/*
 * cmd_metadata: GETMETADATA and SETMETADATA (RFC 5464), and the METADATA
 * lines of LIST (RFC 9590).
 *
 * Most entries are rows of the store. Some are computed: a table says which,
 * and what setting them means.
 */
#include "imap/impl.h"
#include "imap/list.h"
#include "imap/metadata.h"
#include "imap/write.h"

#define LINE_FULL (64u * 1024) /* then another response begins */

/* What one answer is made of, and from what. */
struct answer {
	struct imap_cmd *cmd;
	struct slice mailbox; /* empty: the server */
	unsigned depth;
	bool has_max;
	uint64_t max;
	struct buf *out;
	size_t line;	  /* where in out the response began; */
	bool open;	  /* one did */
	uint64_t longest; /* value that was left out */
};

/* ---- computed entries ------------------------------------------------------- */

/* The value as it is now, in the command's arena; p NULL: none. */
typedef int computed_fn(struct imap_cmd *cmd, struct slice mailbox, struct slice *out);

/* RFC 6154 4. */
static int special_use(struct imap_cmd *cmd, struct slice mailbox, struct slice *out)
{
	struct buf b = BUF_INIT(1024);
	unsigned uses = 0;
	int r = store_mailbox_uses(cmd->s->account, mailbox, &uses);

	list_put_uses(&b, uses);
	*out = uses ? arena_dup(&cmd->arena, buf_slice(&b)) : slice_make(NULL, 0);
	buf_fini(&b);
	return r;
}

static int admin(struct imap_cmd *cmd, struct slice mailbox, struct slice *out)
{
	const char *text = cmd->s->base.env->admin_contact;

	(void)mailbox;
	*out = text ? slice_cstr(text) : slice_make(NULL, 0);
	return STORE_OK;
}

static const struct computed {
	struct slice name;
	bool server; /* an entry of the server, else of mailboxes */
	computed_fn *get;
} computed[] = {
	{ S("/private/specialuse"), false, special_use },
	{ S("/shared/admin"), true, admin },
};

static const struct computed *computed_find(struct slice name, bool server)
{
	for (size_t i = 0; i < ARRAY_LEN(computed); i++) {
		if (computed[i].server == server && slice_eq(computed[i].name, name)) {
			return &computed[i];
		}
	}
	return NULL;
}

/* ---- telling ---------------------------------------------------------------- */

static void close_line(struct answer *a)
{
	if (a->open) {
		buf_adds(a->out, ")\r\n");
		a->open = false;
	}
}

static void tell(struct answer *a, const struct store_entry *e)
{
	if (a->has_max && e->value.n > a->max) {
		a->longest = MAX(a->longest, e->value.n);
		return;
	}
	if (a->open && a->out->n - a->line > LINE_FULL) {
		close_line(a);
	}
	if (a->open) {
		buf_addc(a->out, ' ');
	} else {
		a->line = a->out->n;
		buf_adds(a->out, "* METADATA ");
		imap_put_mailbox(a->out, a->mailbox, imap_utf8(a->cmd->s));
		buf_adds(a->out, " (");
		a->open = true;
	}
	metadata_put(a->out, e);
}

/* Is name the entry `above`, or at most depth levels below it? */
static bool in_reach(struct slice name, struct slice above, unsigned depth)
{
	struct slice tail = slice_from(name, above.n);

	return slice_starts(name, above) && (tail.n == 0 || tail.p[0] == '/') &&
	       store_entry_levels(tail) <= depth;
}

/* Computed entries that the name asks for; how many are told. */
CO_FN static int tell_computed(struct answer *a, struct slice name, size_t *n)
{
	bool server = a->mailbox.n == 0;

	for (size_t i = 0; i < ARRAY_LEN(computed); i++) {
		struct store_entry e = { .name = computed[i].name };

		if (computed[i].server != server || !in_reach(e.name, name, a->depth)) {
			continue;
		}
		int r = computed[i].get(a->cmd, a->mailbox, &e.value);
		if (r) {
			return r;
		}
		if (e.value.p) {
			tell(a, &e);
			++*n;
		}
	}
	return 0;
}

/* One entry, and what is below it; NIL if there is nothing. */
CO_FN static int tell_entry(struct answer *a, struct slice name, struct err *e)
{
	const struct store_entry none = { .name = name };
	struct imap *s = a->cmd->s;
	struct store_entry *v;
	size_t n = 0;
	size_t more = 0;
	int r = store_metadata_below(s->account, a->mailbox, store_account_id(s->account), name,
				     a->depth, &a->cmd->arena, &v, &n, e);

	for (size_t i = 0; i < n && r == 0; i++) {
		tell(a, &v[i]);
	}
	r = r ? r : tell_computed(a, name, &more);
	if (r == 0 && n + more == 0) {
		tell(a, &none);
	}
	return r;
}

CO_FN static int tell_all(struct answer *a, const struct slice *names, size_t n, struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		r = tell_entry(a, names[i], e);
	}
	close_line(a);
	return r == 0 && a->out->err ? -ENOMEM : r;
}

CO_FN int imap_metadata_lines(struct imap_cmd *cmd, struct slice mailbox, const struct slice *names,
			      size_t n, struct buf *out, struct err *e)
{
	struct answer a = { .cmd = cmd, .mailbox = mailbox, .out = out };

	return tell_all(&a, names, n, e);
}

/* ---- GETMETADATA ------------------------------------------------------------ */

/* The mailbox of a command, or none for the server's entries. False with the
 * reply set. */
static bool mailbox_or_server(struct imap_cmd *cmd, struct slice raw, struct slice *out)
{
	*out = S("");
	if (raw.n > 0 && !imap_mailbox_canon(&cmd->arena, raw, imap_utf8(cmd->s), out)) {
		imap_store_no(cmd, STORE_BADNAME, NULL);
		return false;
	}
	return true;
}

CO_FN int imap_cmd_getmetadata(void *session, void *command)
{
	struct imap_cmd *cmd = command;
	struct buf out = BUF_INIT(IMAP_REPLY_MAX);
	struct answer a = { .cmd = cmd, .out = &out };
	struct err e = ERR_INIT;
	struct metadata_get g;

	metadata_parse_get(&cmd->c, &cmd->arena, &g);
	if (cmd->c.err) {
		return imap_syntax(cmd);
	}
	if (!mailbox_or_server(cmd, g.mailbox, &a.mailbox)) {
		return 0;
	}
	a.depth = g.depth;
	a.has_max = g.has_max;
	a.max = g.max;
	int r = tell_all(&a, g.names, g.n, &e);

	if (r == -ENOMEM) {
		imap_no(cmd, "[LIMIT] That is too much at once");
	} else if (r) {
		imap_store_no(cmd, r, &e);
	} else {
		conn_write(imap_conn(session), buf_slice(&out));
		if (a.longest) {
			imap_ok(cmd, "[METADATA LONGENTRIES %llu] Some are longer",
				(unsigned long long)a.longest);
		} else {
			imap_ok(cmd, "Annotations given");
		}
	}
	buf_fini(&out);
	return 0;
}

/* ---- SETMETADATA ------------------------------------------------------------ */

/* A list of special uses, as LIST tells them. False: not ours to give. */
static bool parse_uses(struct slice text, unsigned *out)
{
	*out = 0;
	while (text.n > 0) {
		struct slice word = slice_split(&text, ' ');
		unsigned use = list_use_given(word);

		if (word.n > 0 && !use) {
			return false;
		}
		*out |= use;
	}
	return true;
}

/*
 * Takes the computed entries out of the list. True, *uses_out set if the
 * special uses are to change; false with the reply set.
 */
static bool take_computed(struct imap_cmd *cmd, struct metadata_set *set, unsigned *uses,
			  bool *has_uses)
{
	size_t n = 0;

	for (size_t i = 0; i < set->n; i++) {
		const struct computed *c = computed_find(set->v[i].name, set->mailbox.n == 0);

		if (!c) {
			set->v[n++] = set->v[i];
		} else if (c->get != special_use) {
			imap_no(cmd, "[NOPERM] Not yours to set");
			return false;
		} else if (!parse_uses(set->v[i].value, uses) ||
			   (*uses && slice_ieq(set->mailbox, S("INBOX")))) {
			imap_no(cmd, "[USEATTR] No mailbox here can have that use");
			return false;
		} else {
			*has_uses = true;
		}
	}
	set->n = n;
	return true;
}

static int set_failed(struct imap_cmd *cmd, int r, const struct err *e)
{
	switch (r) {
	case STORE_LIMIT:
		return imap_no(cmd, "[METADATA TOOMANY] No room for more annotations");
	case STORE_FORBIDDEN:
		return imap_no(cmd, "[NOPERM] Not yours to set");
	default:
		return imap_store_no(cmd, r, e);
	}
}

int imap_metadata_too_long(struct imap_cmd *cmd)
{
	return imap_no(cmd, "[METADATA MAXSIZE %u] Value is too long", STORE_ENTRY_VALUE_MAX);
}

CO_FN int imap_cmd_setmetadata(void *session, void *command)
{
	struct imap *s = session;
	struct imap_cmd *cmd = command;
	struct err e = ERR_INIT;
	struct metadata_set set;
	struct slice mailbox;
	bool has_uses = false;
	unsigned uses = 0;

	metadata_parse_set(&cmd->c, &cmd->arena, &set);
	if (cmd->c.err == -EMSGSIZE) {
		return set_failed(cmd, STORE_LIMIT, &e);
	}
	if (cmd->c.err) {
		return imap_syntax(cmd);
	}
	if (!mailbox_or_server(cmd, set.mailbox, &mailbox)) {
		return 0;
	}
	if (set.too_long) {
		return imap_metadata_too_long(cmd);
	}
	if (!take_computed(cmd, &set, &uses, &has_uses)) {
		return 0;
	}
	int r = store_metadata_set(s->account, mailbox, store_account_id(s->account), set.v, set.n,
				   has_uses ? &uses : NULL, &e);

	return r == STORE_OK ? imap_ok(cmd, "Annotations set") : set_failed(cmd, r, &e);
}
