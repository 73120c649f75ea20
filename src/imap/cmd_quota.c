/*
 * cmd_quota: GETQUOTA, GETQUOTAROOT and SETQUOTA (RFC 9208).
 *
 * An account has one quota root, named "", over all its mailboxes; none if it
 * has no limits. Limits are hard and are the administrator's (postrider
 * account quota): SETQUOTA is refused and QUOTASET not announced. There are no
 * soft limits, so no untagged OVERQUOTA either (4.3.1). Another's mailbox has
 * no quota root for us: how much its owner keeps is nobody else's business.
 */
#include "imap/impl.h"
#include "imap/parse.h"
#include "imap/target.h"
#include "imap/write.h"

#define RESOURCES_MAX 100u /* named in one SETQUOTA */

/* STORAGE is told in units of 1024 octets, rounded up. */
static uint64_t units(uint64_t octets)
{
	return octets / 1024 + (octets % 1024 != 0);
}

static void put_resource(struct buf *b, const char *name, uint64_t usage, uint64_t limit)
{
	if (limit) {
		buf_printf(b, "%s%s %llu %llu", b->p[b->n - 1] == '(' ? "" : " ", name,
			   (unsigned long long)MIN(usage, (uint64_t)INT64_MAX),
			   (unsigned long long)MIN(limit, (uint64_t)INT64_MAX));
	}
}

static void put_quota(struct buf *b, const struct store_usage *u)
{
	buf_adds(b, "* QUOTA \"\" (");
	put_resource(b, "STORAGE", units(u->bytes), units(u->quota_bytes));
	put_resource(b, "MESSAGE", u->messages, u->quota_messages);
	buf_adds(b, ")\r\n");
}

static int usage(struct store_account *a, void *arg)
{
	store_account_usage(a, arg);
	return STORE_OK;
}

/* The session's own account's, whichever mailbox is selected. */
CO_FN static int own_usage(struct imap *s, struct store_usage *out, struct err *e)
{
	return imap_on_account(s, s->id.account, usage, out, e);
}

/* getquota = "GETQUOTA" SP quota-root-name */
CO_FN int imap_cmd_getquota(void *session, void *command)
{
	struct imap *s = session;
	struct imap_cmd *cmd = command;
	struct buf line = BUF_INIT(IMAP_LINE_MAX);
	struct err e = ERR_INIT;
	struct store_usage u;

	cur_sp(&cmd->c);
	struct slice root = imap_parse_astring(&cmd->c, &cmd->arena);

	if (!cur_end(&cmd->c)) {
		return imap_syntax(cmd);
	}
	if (root.n > 0) {
		return imap_no(cmd, "[NONEXISTENT] No such quota root");
	}
	int r = own_usage(s, &u, &e);

	if (r) {
		return imap_store_no(cmd, r, &e);
	}
	put_quota(&line, &u);
	conn_write(imap_conn(s), buf_slice(&line));
	buf_fini(&line);
	return imap_ok(cmd, "Quota given");
}

static void put_root(struct buf *b, const struct imap *s, struct slice name,
		     const struct store_usage *u)
{
	buf_adds(b, "* QUOTAROOT ");
	imap_put_mailbox(b, name, imap_utf8(s));
	if (u->quota_bytes || u->quota_messages) {
		buf_adds(b, " \"\"\r\n");
		put_quota(b, u);
	} else {
		buf_adds(b, "\r\n");
	}
}

/* getquotaroot = "GETQUOTAROOT" SP mailbox: it need not exist. */
CO_FN int imap_cmd_getquotaroot(void *session, void *command)
{
	struct imap *s = session;
	struct imap_cmd *cmd = command;
	struct buf line = BUF_INIT(IMAP_LINE_MAX);
	struct store_usage u = { 0 };
	struct err e = ERR_INIT;
	struct imap_target t;
	struct slice name;

	cur_sp(&cmd->c);
	if (!imap_mailbox_arg(cmd, &name)) {
		return 0;
	}
	if (!cur_end(&cmd->c)) {
		return imap_syntax(cmd);
	}
	int r = imap_target_find(s, name, &t, &e);

	if (r == 0 && !t.mine && !imap_target_may(cmd, &t, STORE_RIGHT_READ)) {
		return 0;
	}
	if (r == 0 && t.mine) {
		r = own_usage(s, &u, &e);
	}
	if (r) {
		return imap_store_no(cmd, r, &e);
	}
	put_root(&line, s, name, &u);
	conn_write(imap_conn(s), buf_slice(&line));
	buf_fini(&line);
	return imap_ok(cmd, "Quota root given");
}

/* setquota = "SETQUOTA" SP quota-root-name SP setquota-list */
CO_FN int imap_cmd_setquota(void *session, void *command)
{
	struct imap_cmd *cmd = command;
	struct cur *c = &cmd->c;
	unsigned n = 0;

	(void)session;
	cur_sp(c);
	imap_parse_astring(c, &cmd->arena);
	cur_sp(c);
	cur_need(c, '(');
	if (!cur_opt(c, ')')) {
		do {
			imap_parse_atom(c);
			cur_sp(c);
			cur_u64(c);
			if (++n > RESOURCES_MAX) {
				cur_fail(c, -EMSGSIZE);
			}
		} while (!c->err && cur_opt(c, ' '));
		cur_need(c, ')');
	}
	if (!cur_end(c)) {
		return imap_syntax(cmd);
	}
	return imap_no(cmd, "[NOPERM] Quotas are the administrator's");
}
