/*
 * reply: tagged answers, and what all handlers say alike.
 */
#include <stdarg.h>

#include "imap/impl.h"
#include "imap/parse.h"
#include "imap/target.h"
#include "imap/write.h"
#include "mime/charset.h"

__attribute__((format(printf, 3, 0))) static int set_reply(struct imap_cmd *cmd, const char *word,
							   const char *fmt, va_list ap)
{
	buf_reset(&cmd->reply);
	buf_adds(&cmd->reply, word);
	buf_vprintf(&cmd->reply, fmt, ap);
	if (cmd->reply.err) {
		buf_reset(&cmd->reply);
		buf_adds(&cmd->reply, word);
		buf_adds(&cmd->reply, "Done");
	}
	return 0;
}

int imap_ok(struct imap_cmd *cmd, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	set_reply(cmd, "OK ", fmt, ap);
	va_end(ap);
	return 0;
}

int imap_no(struct imap_cmd *cmd, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	set_reply(cmd, "NO ", fmt, ap);
	va_end(ap);
	return 0;
}

int imap_bad(struct imap_cmd *cmd, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	set_reply(cmd, "BAD ", fmt, ap);
	va_end(ap);
	cmd->bad = true;
	return 0;
}

int imap_syntax(struct imap_cmd *cmd)
{
	if (IMAP_IS_LIMIT(cmd->c.err) || arena_err(&cmd->arena)) {
		return imap_no(cmd, "[LIMIT] Command asks for too much");
	}
	if (cmd->verb && cmd->verb->name.n) {
		return imap_bad(cmd, "Bad arguments to %.*s", SLICE_ARG(cmd->verb->name));
	}
	return imap_bad(cmd, "Bad arguments");
}

int imap_store_no(struct imap_cmd *cmd, int r, const struct err *e)
{
	char text[256];

	switch (r) {
	case STORE_NOTFOUND:
	case STORE_GONE:
		return imap_no(cmd, "[NONEXISTENT] No such mailbox");
	case STORE_EXISTS:
		return imap_no(cmd, "[ALREADYEXISTS] Mailbox exists already");
	case STORE_OVERQUOTA:
		return imap_no(cmd, "[OVERQUOTA] Quota exceeded");
	case STORE_FULL:
		return imap_no(cmd, "[UNAVAILABLE] The server's disk is full");
	case STORE_LIMIT:
		return imap_no(cmd, "[LIMIT] Too many");
	case STORE_BADNAME:
		return imap_no(cmd, "[CANNOT] Not a possible mailbox name");
	case STORE_INUSE:
		return imap_no(cmd, "[INUSE] In use");
	case STORE_FORBIDDEN:
		return imap_no(cmd, "[CANNOT] Not allowed");
	default:
		break;
	}
	if (r != -ECANCELED) {
		conn_log(imap_conn(cmd->s), LOG_ERROR, "imap.store_error",
			 LOG_S("verb", cmd->verb ? cmd->verb->name : S("")), LOG_I("code", r),
			 LOG_C("err", e ? err_str(e, text, sizeof(text)) : ""));
	}
	return imap_no(cmd, "[UNAVAILABLE] Temporary failure, try again later");
}

CO_FN void imap_bye(struct imap *s, const char *text)
{
	if (!s->ending) {
		s->ending = true;
		conn_printf(imap_conn(s), "* BYE %s\r\n", text);
	}
}

CO_FN void imap_send_reply(struct imap_cmd *cmd)
{
	struct conn *c = imap_conn(cmd->s);

	if (cmd->replied || cmd->reply.n == 0) {
		return;
	}
	cmd->replied = true;
	conn_write(c, cmd->tag.n ? cmd->tag : S("*"));
	conn_write(c, S(" "));
	conn_write(c, buf_slice(&cmd->reply));
	conn_write(c, S("\r\n"));
}

bool imap_mailbox_canon(struct arena *a, struct slice raw, bool utf8, struct slice *name_out)
{
	struct buf text = BUF_INIT(4 * STORE_NAME_MAX);
	struct buf canon = BUF_INIT(8 * STORE_NAME_MAX);
	bool ok = raw.n <= 4 * STORE_NAME_MAX;

	if (ok && utf8) {
		buf_add(&text, raw);
	} else if (ok) {
		ok = mutf7_to_utf8(raw, &text) == 0;
	}
	ok = ok && !text.err && imap_name_canon(buf_slice(&text), &canon) == STORE_OK;

	if (ok) {
		*name_out = arena_dup(a, buf_slice(&canon));
		ok = name_out->p != NULL;
	}
	buf_fini(&text);
	buf_fini(&canon);
	return ok;
}

bool imap_mailbox_arg(struct imap_cmd *cmd, struct slice *name_out)
{
	struct slice raw = imap_parse_astring(&cmd->c, &cmd->arena);

	if (cmd->c.err) {
		imap_syntax(cmd);
		return false;
	}
	if (!imap_mailbox_canon(&cmd->arena, raw, imap_utf8(cmd->s), name_out)) {
		imap_no(cmd, "[CANNOT] Not a possible mailbox name");
		return false;
	}
	imap_names(cmd, *name_out);
	return true;
}

void imap_names(struct imap_cmd *cmd, struct slice name)
{
	if (cmd->n_names < ARRAY_LEN(cmd->names)) {
		cmd->names[cmd->n_names++] = name;
	}
}
