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
#include "imap/target.h"
#include "imap/write.h"

#define LINE_FULL (64u * 1024) /* then another response begins */

/* One of these, with the right to look it up, is enough (RFC 5464 3.3). */
#define ANY_RIGHT                                                                       \
	(STORE_RIGHT_READ | STORE_RIGHT_SEEN | STORE_RIGHT_WRITE | STORE_RIGHT_INSERT | \
	 STORE_RIGHT_POST)

/* Where the entries are. */
struct place {
	store_id account;
	struct slice name; /* in that account; empty: the server */
	unsigned rights;
	bool mine;
};

/* What one answer is made of. */
struct answer {
	struct imap_cmd *cmd;
	struct slice mailbox; /* as the client calls it; empty: the server */
	bool has_max;
	uint64_t max;
	unsigned uses; /* the mailbox's, if it is one's own */
	struct buf *out;
	size_t line;	  /* where in out the response began; */
	bool open;	  /* one did */
	uint64_t longest; /* value that was left out */
};

/* ---- computed entries ------------------------------------------------------- */

/* The value as it is now, in the command's arena; p NULL: none. */
typedef struct slice computed_fn(const struct answer *a);

/* RFC 6154 4. */
static struct slice special_use(const struct answer *a)
{
	struct buf b = BUF_INIT(1024);

	list_put_uses(&b, a->uses);
	struct slice out = a->uses ? arena_dup(&a->cmd->arena, buf_slice(&b)) : slice_make(NULL, 0);

	buf_fini(&b);
	return out;
}

static struct slice admin(const struct answer *a)
{
	const char *text = a->cmd->s->base.env->admin_contact;

	return text ? slice_cstr(text) : slice_make(NULL, 0);
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
static size_t tell_computed(struct answer *a, struct slice name, unsigned depth)
{
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(computed); i++) {
		struct store_entry e = { .name = computed[i].name };

		if (computed[i].server == (a->mailbox.n == 0) && in_reach(e.name, name, depth)) {
			e.value = computed[i].get(a);
			if (e.value.p) {
				tell(a, &e);
				n++;
			}
		}
	}
	return n;
}

/* ---- reading ---------------------------------------------------------------- */

/* What is read where the account lives: for each name what was found. */
struct reading {
	struct place place;
	store_id who;
	const struct slice *names;
	size_t n;
	unsigned depth;
	struct arena *arena;
	struct found {
		struct store_entry *v;
		size_t n;
	} * found;
	unsigned uses;
	struct err *e;
};

static int read_entries(struct store_account *a, void *arg)
{
	struct reading *rd = arg;
	int r = 0;

	co_enter();
	for (size_t i = 0; i < rd->n && r == 0; i++) {
		r = store_metadata_below(a, rd->place.name, rd->who, rd->names[i], rd->depth,
					 rd->arena, &rd->found[i].v, &rd->found[i].n, rd->e);
	}
	if (r == 0 && rd->place.mine && rd->place.name.n) {
		r = store_mailbox_uses(a, rd->place.name, &rd->uses);
	}
	return r;
}

/* The entries and what is below them; NIL where there is nothing. */
static void tell_found(struct answer *a, const struct reading *rd)
{
	for (size_t i = 0; i < rd->n; i++) {
		const struct store_entry none = { .name = rd->names[i] };

		for (size_t k = 0; k < rd->found[i].n; k++) {
			tell(a, &rd->found[i].v[k]);
		}
		if (tell_computed(a, rd->names[i], rd->depth) + rd->found[i].n == 0) {
			tell(a, &none);
		}
	}
	close_line(a);
}

CO_FN static int answer(struct answer *a, const struct place *place, const struct slice *names,
			size_t n, unsigned depth, struct err *e)
{
	struct imap *s = a->cmd->s;
	struct reading rd = { .place = *place,
			      .who = s->id.account,
			      .names = names,
			      .n = n,
			      .depth = depth,
			      .arena = &a->cmd->arena,
			      .e = e };

	rd.found = arena_array(&a->cmd->arena, n, sizeof(*rd.found));
	if (!rd.found) {
		return -ENOMEM;
	}
	int r = imap_on_account(s, place->account, read_entries, &rd, e);

	if (r == 0) {
		a->uses = rd.uses;
		tell_found(a, &rd);
	}
	return r == 0 && (a->out->err || arena_err(&a->cmd->arena)) ? -ENOMEM : r;
}

CO_FN int imap_metadata_lines(struct imap_cmd *cmd, struct slice mailbox, const struct slice *names,
			      size_t n, struct buf *out, struct err *e)
{
	struct answer a = { .cmd = cmd, .mailbox = mailbox, .out = out };
	struct imap_target t;
	int r = imap_target_find(cmd->s, mailbox, &t, e);

	if (r == 0 && (!t.exists || !(t.rights & STORE_RIGHT_LOOKUP))) {
		r = STORE_NOTFOUND;
	}
	const struct place place = { t.account, t.name, t.rights, t.mine };

	return r ? r : answer(&a, &place, names, n, 0, e);
}

/* ---- GETMETADATA ------------------------------------------------------------ */

/* The mailbox of a command, or none for the server's entries. False with the
 * reply set. */
CO_FN static bool place_of(struct imap_cmd *cmd, struct slice raw, struct slice *full,
			   struct place *out)
{
	struct imap_target t;

	*full = S("");
	*out = (struct place){ cmd->s->id.account, S(""), STORE_RIGHTS_ALL, true };
	if (raw.n == 0) {
		return true;
	}
	if (!imap_mailbox_canon(&cmd->arena, raw, imap_utf8(cmd->s), full)) {
		imap_store_no(cmd, STORE_BADNAME, NULL);
		return false;
	}
	if (!imap_target(cmd, *full, STORE_RIGHT_LOOKUP, &t)) {
		return false;
	}
	if (!(t.rights & ANY_RIGHT)) {
		imap_no(cmd, "[NOPERM] Not permitted");
		return false;
	}
	*out = (struct place){ t.account, t.name, t.rights, t.mine };
	return true;
}

CO_FN int imap_cmd_getmetadata(void *session, void *command)
{
	struct imap_cmd *cmd = command;
	struct buf out = BUF_INIT(IMAP_REPLY_MAX);
	struct answer a = { .cmd = cmd, .out = &out };
	struct err e = ERR_INIT;
	struct metadata_get g;
	struct place place;

	metadata_parse_get(&cmd->c, &cmd->arena, &g);
	if (cmd->c.err) {
		return imap_syntax(cmd);
	}
	if (!place_of(cmd, g.mailbox, &a.mailbox, &place)) {
		return 0;
	}
	a.has_max = g.has_max;
	a.max = g.max;
	int r = answer(&a, &place, g.names, g.n, g.depth, &e);

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

/* A change, where the account lives. */
struct change {
	struct place place;
	store_id who;
	struct store_entry *v;
	size_t n;
	unsigned uses;
	bool has_uses;
	struct err *e;
};

static int set_entries(struct store_account *a, void *arg)
{
	struct change *c = arg;

	co_enter();
	return store_metadata_set(a, c->place.name, c->who, c->v, c->n,
				  c->has_uses ? &c->uses : NULL, c->e);
}

static int not_yours(struct imap_cmd *cmd)
{
	return imap_no(cmd, "[NOPERM] Not yours to set");
}

/* One computed entry. False with the reply set. */
static bool take_computed(struct imap_cmd *cmd, const struct computed *entry, struct slice value,
			  struct change *c)
{
	if (entry->get != special_use || !c->place.mine) {
		not_yours(cmd);
		return false;
	}
	if (!parse_uses(value, &c->uses) || (c->uses && slice_eq(c->place.name, S("INBOX")))) {
		imap_no(cmd, "[USEATTR] No mailbox here can have that use");
		return false;
	}
	c->has_uses = true;
	return true;
}

/*
 * May all of it be set? What is shared in another's mailbox by who may change
 * the mailbox. Computed entries go out of the list. False with the reply set.
 */
static bool may_set(struct imap_cmd *cmd, struct change *c)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n; i++) {
		const struct computed *entry = computed_find(c->v[i].name, c->place.name.n == 0);

		if (entry && !take_computed(cmd, entry, c->v[i].value, c)) {
			return false;
		}
		if (slice_starts(c->v[i].name, S("/shared/")) &&
		    !(c->place.rights & STORE_RIGHT_WRITE)) {
			not_yours(cmd);
			return false;
		}
		if (!entry) {
			c->v[n++] = c->v[i];
		}
	}
	c->n = n;
	return true;
}

static int set_failed(struct imap_cmd *cmd, int r, const struct err *e)
{
	switch (r) {
	case STORE_LIMIT:
		return imap_no(cmd, "[METADATA TOOMANY] No room for more annotations");
	case STORE_FORBIDDEN:
		return not_yours(cmd);
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
	struct change c = { .who = s->id.account, .e = &e };
	struct metadata_set set;
	struct slice full;

	metadata_parse_set(&cmd->c, &cmd->arena, &set);
	if (cmd->c.err == -EMSGSIZE) {
		return set_failed(cmd, STORE_LIMIT, &e);
	}
	if (cmd->c.err) {
		return imap_syntax(cmd);
	}
	if (!place_of(cmd, set.mailbox, &full, &c.place)) {
		return 0;
	}
	imap_names(cmd, full);
	if (set.too_long) {
		return imap_metadata_too_long(cmd);
	}
	c.v = set.v;
	c.n = set.n;
	if (!may_set(cmd, &c)) {
		return 0;
	}
	int r = imap_on_account(s, c.place.account, set_entries, &c, &e);

	return r == STORE_OK ? imap_ok(cmd, "Annotations set") : set_failed(cmd, r, &e);
}
