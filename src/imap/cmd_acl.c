/*
 * cmd_acl: SETACL, DELETEACL, GETACL, LISTRIGHTS, MYRIGHTS (RFC 4314 3).
 *
 * Identifiers are user names as LOGIN takes them, "anyone", and each of these
 * behind "-" for negative rights. Lists hold account ids; auth turns names
 * into ids and back, so that GETACL shows addresses as they are now, and
 * accounts that are gone not at all. The owner has all rights, which cannot be
 * changed. Rights for anyone can be given only if the configuration says so,
 * and never the right to administer (THREATS IM-11: one user must not be able
 * to put folders into everybody's list).
 */
#include "imap/impl.h"
#include "imap/parse.h"
#include "imap/rights.h"
#include "imap/target.h"
#include "imap/write.h"

#define ACL_LINE_MAX (256u * 1024)

/* Who an identifier means. */
struct identifier {
	struct slice text; /* as given */
	struct store_acl_entry entry;
	bool owner;
};

/* UTF-8 without controls: what SASLprep would not refuse outright. */
static bool good_identifier(struct slice text)
{
	for (size_t i = 0; i < text.n; i++) {
		unsigned char c = (unsigned char)text.p[i];

		if (c < 0x20 || c == 0x7f) {
			return false;
		}
	}
	return text.n > 0 && text.n <= AUTH_ADDR_MAX + 1;
}

/* identifier = astring. False with the reply set. */
static bool parse_identifier(struct imap_cmd *cmd, struct identifier *id)
{
	id->text = imap_parse_astring(&cmd->c, &cmd->arena);
	if (cmd->c.err) {
		imap_syntax(cmd);
		return false;
	}
	if (!good_identifier(id->text) || slice_eq(id->text, S("-"))) {
		imap_bad(cmd, "Not a possible identifier");
		return false;
	}
	return true;
}

/* False with the reply set. t is whose mailbox it is about. */
CO_FN static bool resolve(struct imap_cmd *cmd, const struct imap_target *t, struct identifier *id)
{
	struct auth_account acc;
	struct slice name = id->text;
	int r;

	if (name.p[0] == '-') {
		id->entry.negative = true;
		name = slice_from(name, 1);
	}
	if (slice_ieq(name, S("anyone"))) {
		id->entry.who = STORE_ANYONE;
		return true;
	}
	r = auth_account_named(cmd->s->base.env->auth, name, &cmd->arena, &acc);
	if (r < 0) {
		imap_store_no(cmd, r, NULL);
		return false;
	}
	if (r > 0) {
		imap_no(cmd, "[CANNOT] No such user");
		return false;
	}
	id->entry.who = acc.id;
	id->owner = acc.id == t->account;
	return true;
}

/* What may be given to an identifier at most. */
static unsigned grantable(const struct imap_cmd *cmd, const struct identifier *id)
{
	if (id->owner) {
		return 0;
	}
	if (id->entry.who == STORE_ANYONE && !id->entry.negative) {
		return cmd->s->base.env->share_with_anyone
			       ? STORE_RIGHTS_ALL & ~(unsigned)STORE_RIGHT_ADMIN
			       : 0;
	}
	return STORE_RIGHTS_ALL;
}

/* ---- SETACL, DELETEACL -------------------------------------------------------- */

struct change {
	const struct imap_target *t;
	struct store_acl_entry entry;
	enum store_acl_op op;
	store_id who;
	bool anyone;
	struct err *e;
};

static int change(struct store_account *a, void *arg)
{
	struct change *c = arg;
	unsigned mine = 0;

	co_enter();
	/* Asked again here, where nothing comes between. */
	if (store_rights(a, c->t->name, c->who, c->anyone, &mine) != STORE_OK ||
	    !(mine & STORE_RIGHT_ADMIN)) {
		return STORE_NOTFOUND;
	}
	return store_acl_change(a, c->t->name, &c->entry, c->op, c->e);
}

/* The owner's entry: all that can be asked for is what is so. */
static int owner_change(struct imap_cmd *cmd, const struct identifier *id, enum store_acl_op op,
			unsigned rights)
{
	bool same = id->entry.negative
			    ? op == STORE_ACL_REMOVE || rights == 0
			    : op == STORE_ACL_ADD ||
				      (op == STORE_ACL_SET && rights == STORE_RIGHTS_ALL) ||
				      (op == STORE_ACL_REMOVE && rights == 0);

	return same ? imap_ok(cmd, "Access list changed")
		    : imap_no(cmd, "[CANNOT] The owner has all rights");
}

CO_FN static int set_acl(struct imap_cmd *cmd, struct slice name, struct identifier *id,
			 enum store_acl_op op, unsigned rights)
{
	struct imap *s = cmd->s;
	struct err e = ERR_INIT;
	struct imap_target t;
	int r;

	if (!imap_target(cmd, name, STORE_RIGHT_ADMIN, &t) || !resolve(cmd, &t, id)) {
		return 0;
	}
	if (id->owner) {
		return owner_change(cmd, id, op, rights);
	}
	if (op != STORE_ACL_REMOVE && (rights & ~grantable(cmd, id))) {
		return imap_no(cmd, "[CANNOT] These rights cannot be given to that identifier");
	}
	id->entry.rights = rights;
	struct change c = { &t, id->entry, op, s->id.account, s->base.env->share_with_anyone, &e };

	r = imap_on_account(s, t.account, change, &c, &e);
	if (r == STORE_FORBIDDEN) {
		return imap_no(cmd, "[CANNOT] No such user");
	}
	return r == STORE_OK ? imap_ok(cmd, "Access list changed") : imap_store_no(cmd, r, &e);
}

/* setacl = "SETACL" SP mailbox SP identifier SP mod-rights */
CO_FN int imap_cmd_setacl(void *session, void *command)
{
	struct imap_cmd *cmd = command;
	struct identifier id = { 0 };
	enum store_acl_op op = STORE_ACL_SET;
	unsigned rights = 0;
	struct slice name;
	struct slice text;

	(void)session;
	cur_sp(&cmd->c);
	if (!imap_mailbox_arg(cmd, &name)) {
		return 0;
	}
	cur_sp(&cmd->c);
	if (!parse_identifier(cmd, &id)) {
		return 0;
	}
	cur_sp(&cmd->c);
	text = imap_parse_astring(&cmd->c, &cmd->arena);
	if (!cur_end(&cmd->c)) {
		return imap_syntax(cmd);
	}
	if (rights_parse(text, &op, &rights) != 0) {
		return imap_bad(cmd, "There is no such right");
	}
	return set_acl(cmd, name, &id, op, rights);
}

/* deleteacl = "DELETEACL" SP mailbox SP identifier */
CO_FN int imap_cmd_deleteacl(void *session, void *command)
{
	struct imap_cmd *cmd = command;
	struct identifier id = { 0 };
	struct slice name;

	(void)session;
	cur_sp(&cmd->c);
	if (!imap_mailbox_arg(cmd, &name)) {
		return 0;
	}
	cur_sp(&cmd->c);
	if (!parse_identifier(cmd, &id)) {
		return 0;
	}
	if (!cur_end(&cmd->c)) {
		return imap_syntax(cmd);
	}
	return set_acl(cmd, name, &id, STORE_ACL_SET, 0);
}

/* ---- GETACL --------------------------------------------------------------------- */

struct get {
	const struct imap_target *t;
	struct arena *arena;
	struct store_acl_entry *v;
	size_t n;
};

static int get(struct store_account *a, void *arg)
{
	struct get *g = arg;

	return store_acl_get(a, g->t->name, g->arena, &g->v, &g->n);
}

/* " identifier rights"; nothing for an account that is gone. 0 or <0. */
CO_FN static int put_entry(struct imap_cmd *cmd, const struct store_acl_entry *x, struct buf *line)
{
	struct buf text = BUF_INIT(AUTH_ADDR_MAX + 1);
	struct auth_account acc = { .address = S("anyone") };
	int r = 0;

	if (x->who != STORE_ANYONE) {
		r = auth_account_by_id(cmd->s->base.env->auth, x->who, &cmd->arena, &acc);
	}
	if (r == 0) {
		buf_adds(&text, x->negative ? "-" : "");
		buf_add(&text, acc.address);
		buf_addc(line, ' ');
		imap_put_astring(line, buf_slice(&text));
		buf_addc(line, ' ');
		rights_put(line, x->rights);
	}
	buf_fini(&text);
	return MIN(r, 0);
}

CO_FN static int put_acl(struct imap_cmd *cmd, const struct get *g, struct buf *line)
{
	struct store_acl_entry owner = { g->t->account, false, STORE_RIGHTS_ALL };
	int r;

	buf_adds(line, "* ACL ");
	imap_put_mailbox(line, g->t->full, imap_utf8(cmd->s));
	r = put_entry(cmd, &owner, line);
	for (size_t i = 0; i < g->n && r == 0; i++) {
		r = put_entry(cmd, &g->v[i], line);
	}
	buf_adds(line, "\r\n");
	return r ? r : line->err;
}

/* getacl = "GETACL" SP mailbox */
CO_FN int imap_cmd_getacl(void *session, void *command)
{
	struct imap *s = session;
	struct imap_cmd *cmd = command;
	struct buf line = BUF_INIT(ACL_LINE_MAX);
	struct err e = ERR_INIT;
	struct imap_target t;
	struct get g = { .t = &t, .arena = &cmd->arena };
	struct slice name;
	int r;

	cur_sp(&cmd->c);
	if (!imap_mailbox_arg(cmd, &name)) {
		return 0;
	}
	if (!cur_end(&cmd->c)) {
		return imap_syntax(cmd);
	}
	if (!imap_target(cmd, name, STORE_RIGHT_ADMIN, &t)) {
		return 0;
	}
	r = imap_on_account(s, t.account, get, &g, &e);
	r = r ? r : put_acl(cmd, &g, &line);
	if (r == 0) {
		conn_write(imap_conn(s), buf_slice(&line));
		imap_ok(cmd, "Access list given");
	} else {
		imap_store_no(cmd, r, &e);
	}
	buf_fini(&line);
	return 0;
}

/* ---- LISTRIGHTS, MYRIGHTS ---------------------------------------------------------- */

/* listrights = "LISTRIGHTS" SP mailbox SP identifier. The identifier is
 * answered as it was given (3.4). */
CO_FN int imap_cmd_listrights(void *session, void *command)
{
	struct imap *s = session;
	struct imap_cmd *cmd = command;
	struct buf line = BUF_INIT(IMAP_LINE_MAX);
	struct identifier id = { 0 };
	struct imap_target t;
	struct slice name;

	cur_sp(&cmd->c);
	if (!imap_mailbox_arg(cmd, &name)) {
		return 0;
	}
	cur_sp(&cmd->c);
	if (!parse_identifier(cmd, &id)) {
		return 0;
	}
	if (!cur_end(&cmd->c)) {
		return imap_syntax(cmd);
	}
	if (!imap_target(cmd, name, STORE_RIGHT_ADMIN, &t) || !resolve(cmd, &t, &id)) {
		return 0;
	}
	buf_adds(&line, "* LISTRIGHTS ");
	imap_put_mailbox(&line, t.full, imap_utf8(s));
	buf_addc(&line, ' ');
	imap_put_astring(&line, id.text);
	buf_addc(&line, ' ');
	rights_put(&line, id.owner && !id.entry.negative ? STORE_RIGHTS_ALL : 0);
	rights_put_each(&line, grantable(cmd, &id));
	buf_adds(&line, "\r\n");
	conn_write(imap_conn(s), buf_slice(&line));
	buf_fini(&line);
	return imap_ok(cmd, "Rights listed");
}

void imap_put_myrights(struct buf *b, const struct imap *s, const struct imap_target *t)
{
	buf_adds(b, "* MYRIGHTS ");
	imap_put_mailbox(b, t->full, imap_utf8(s));
	buf_addc(b, ' ');
	rights_put(b, t->rights);
	buf_adds(b, "\r\n");
}

/* myrights = "MYRIGHTS" SP mailbox */
CO_FN int imap_cmd_myrights(void *session, void *command)
{
	const unsigned any = STORE_RIGHT_LOOKUP | STORE_RIGHT_READ | STORE_RIGHT_INSERT |
			     STORE_RIGHT_CREATE | STORE_RIGHT_DELETEBOX | STORE_RIGHT_ADMIN;
	struct imap *s = session;
	struct imap_cmd *cmd = command;
	struct buf line = BUF_INIT(IMAP_LINE_MAX);
	struct imap_target t;
	struct slice name;

	cur_sp(&cmd->c);
	if (!imap_mailbox_arg(cmd, &name)) {
		return 0;
	}
	if (!cur_end(&cmd->c)) {
		return imap_syntax(cmd);
	}
	if (!imap_target(cmd, name, 0, &t)) {
		return 0;
	}
	if (!(t.rights & any)) {
		return imap_store_no(cmd, STORE_NOTFOUND, NULL);
	}
	imap_put_myrights(&line, s, &t);
	conn_write(imap_conn(s), buf_slice(&line));
	buf_fini(&line);
	return imap_ok(cmd, "Rights given");
}
