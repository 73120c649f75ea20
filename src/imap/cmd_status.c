/*
 * cmd_status: STATUS (RFC 3501 6.3.10, RFC 9051 6.3.11) and the same for
 * LIST's return option.
 */
#include "imap/impl.h"
#include "imap/parse.h"
#include "imap/status.h"
#include "imap/target.h"
#include "imap/write.h"

struct facts {
	struct slice name;
	unsigned items;
	struct status_facts *out;
	struct err *e;
};

static int facts(struct store_account *a, void *arg)
{
	struct facts *f = arg;

	co_enter();
	int r = store_mailbox_status(a, f->name, &f->out->st, f->e);

	if (r == STORE_OK && (f->items & STATUS_DELETED_STORAGE)) {
		r = store_mailbox_deleted(a, f->name, &f->out->deleted_bytes, f->e);
	}
	return r;
}

CO_FN int imap_status_facts(struct imap *s, struct slice name, unsigned items,
			    struct status_facts *out, struct err *e)
{
	struct imap_target t;
	int r;

	*out = (struct status_facts){ .append_limit = imap_append_max(s) };
	if (items & STATUS_HIGHESTMODSEQ) {
		imap_enable_condstore(s);
	}
	r = imap_target_find(s, name, &t, e);
	if (r == 0 && !(t.rights & STORE_RIGHT_READ)) {
		r = STORE_NOTFOUND;
	}
	if (r == 0) {
		struct facts f = { t.name, items, out, e };

		out->account = t.account;
		r = imap_on_account(s, t.account, facts, &f, e);
	}
	return r;
}

CO_FN int imap_created(struct imap_cmd *cmd, struct slice name)
{
	struct buf id = BUF_INIT(64);
	struct status_facts f;
	struct err e = ERR_INIT;

	/* It may be gone again already; then its id is nobody's business. */
	if (imap_status_facts(cmd->s, name, STATUS_MAILBOXID, &f, &e) == STORE_OK) {
		status_put_mailboxid(&id, f.account, f.st.id);
		imap_ok(cmd, "[MAILBOXID (%.*s)] Mailbox created", SLICE_ARG(buf_slice(&id)));
	} else {
		imap_ok(cmd, "Mailbox created");
	}
	buf_fini(&id);
	return 0;
}

CO_FN int imap_status_line(struct imap *s, struct slice name, unsigned items, struct buf *out,
			   struct err *e)
{
	struct status_facts f;
	int r = imap_status_facts(s, name, items, &f, e);

	if (r == STORE_OK) {
		buf_adds(out, "* STATUS ");
		imap_put_mailbox(out, name, imap_utf8(s));
		buf_addc(out, ' ');
		status_put(out, items, &f);
		buf_adds(out, "\r\n");
	}
	return r;
}

/* status = "STATUS" SP mailbox SP "(" status-att *(SP status-att) ")" */
CO_FN int imap_cmd_status(void *session, void *command)
{
	struct imap *s = session;
	struct imap_cmd *cmd = command;
	struct buf line = BUF_INIT(IMAP_LINE_MAX);
	struct err e = ERR_INIT;
	struct imap_target t;
	struct slice name;
	unsigned items;
	int r;

	cur_sp(&cmd->c);
	if (!imap_mailbox_arg(cmd, &name)) {
		return 0;
	}
	cur_sp(&cmd->c);
	items = status_parse(&cmd->c);
	if (!cur_end(&cmd->c)) {
		return imap_syntax(cmd);
	}
	if (!imap_target(cmd, name, STORE_RIGHT_READ, &t)) {
		return 0;
	}
	r = imap_status_line(s, name, items, &line, &e);
	if (r == STORE_OK) {
		conn_write(imap_conn(s), buf_slice(&line));
		imap_ok(cmd, "Status given");
	} else {
		imap_store_no(cmd, r, &e);
	}
	buf_fini(&line);
	return 0;
}
