/*
 * cmd_misc: CAPABILITY, NOOP (and CHECK), LOGOUT, ID, NAMESPACE.
 * RFC 3501 6.1, RFC 2971, RFC 2342. ENABLE is in caps.c.
 */
#include "imap/impl.h"
#include "imap/other.h"
#include "imap/parse.h"

#define ID_PAIRS_MAX 30 /* RFC 2971 3.3 */
#define ID_VALUE_MAX 1024
#define ID_KEY_MAX 30
#define ID_LOGGED_MAX 3u /* of a connection */

CO_FN static void list_capabilities(struct imap *s)
{
	struct buf caps = BUF_INIT(IMAP_CAPS_MAX);

	imap_capabilities(s, &caps);
	conn_write(imap_conn(s), S("* CAPABILITY "));
	conn_write(imap_conn(s), buf_slice(&caps));
	conn_write(imap_conn(s), S("\r\n"));
	buf_fini(&caps);
}

CO_FN int imap_cmd_capability(void *session, void *command)
{
	struct imap_cmd *cmd = command;

	if (!cur_end(&cmd->c)) {
		return imap_syntax(cmd);
	}
	list_capabilities(session);
	return imap_ok(cmd, "Capabilities listed");
}

/* What is new is announced before the reply to any command. */
CO_FN int imap_cmd_noop(void *session, void *command)
{
	struct imap_cmd *cmd = command;

	(void)session;
	if (!cur_end(&cmd->c)) {
		return imap_syntax(cmd);
	}
	return imap_ok(cmd, "Done");
}

CO_FN int imap_cmd_logout(void *session, void *command)
{
	struct imap_cmd *cmd = command;

	if (!cur_end(&cmd->c)) {
		return imap_syntax(cmd);
	}
	imap_bye(session, "Logging out");
	return imap_ok(cmd, "Goodbye");
}

/* ---- ID ----------------------------------------------------------------------- */

/* One pair, added to the text for the log: name=value. */
static void id_pair(struct imap_cmd *cmd, struct buf *text, struct slice *name)
{
	struct slice key = imap_parse_string(&cmd->c, &cmd->arena);
	struct slice value;

	cur_sp(&cmd->c);
	value = imap_parse_nstring(&cmd->c, &cmd->arena);
	if (key.n > ID_KEY_MAX || value.n > ID_VALUE_MAX) {
		cur_fail(&cmd->c, -EINVAL);
	}
	if (!cmd->c.err) {
		buf_add(text, text->n ? S(" ") : S(""));
		buf_add(text, key);
		buf_addc(text, '=');
		buf_add(text, value);
		if (slice_ieq(key, S("name"))) {
			*name = value;
		}
	}
}

/* Remembers who it is, and tells what such a client should know. */
CO_FN static void client_is(struct imap *s, struct slice name)
{
	if (slice_has_nul(name) ||
	    slice_copy(slice_sub(name, 0, IMAP_CLIENT_MAX), s->client, sizeof(s->client)) < 0) {
		s->client[0] = '\0';
	}
	if (imap_has_hidden(s)) {
		list_capabilities(s);
	}
}

/* id = "ID" SP id_params_list;  "(" *(string SP nstring) ")" / nil */
CO_FN int imap_cmd_id(void *session, void *command)
{
	struct imap *s = session;
	struct imap_cmd *cmd = command;
	struct buf text = BUF_INIT(ID_PAIRS_MAX * (ID_VALUE_MAX + 64));
	struct slice name = S("");
	unsigned pairs = 0;

	cur_sp(&cmd->c);
	if (cur_opt(&cmd->c, '(')) {
		while (!cmd->c.err && !cur_opt(&cmd->c, ')')) {
			if (pairs++ > 0) {
				cur_sp(&cmd->c);
			}
			if (pairs > ID_PAIRS_MAX) {
				cur_fail(&cmd->c, -EINVAL);
			}
			id_pair(cmd, &text, &name);
		}
	} else {
		cur_need_lit(&cmd->c, S("NIL"));
	}
	if (cur_end(&cmd->c)) {
		if (s->ids++ < ID_LOGGED_MAX) {
			conn_log(imap_conn(s), LOG_INFO, "imap.id",
				 LOG_S("client", slice_sub(buf_slice(&text), 0, 512)));
		}
		conn_write(imap_conn(s), S("* ID (\"name\" \"Postrider\")\r\n"));
		client_is(s, name);
		imap_ok(cmd, "Pleased to meet you");
	} else {
		imap_syntax(cmd);
	}
	buf_fini(&text);
	return 0;
}

CO_FN int imap_cmd_namespace(void *session, void *command)
{
	struct imap *s = session;
	struct imap_cmd *cmd = command;

	if (!cur_end(&cmd->c)) {
		return imap_syntax(cmd);
	}
	conn_write(imap_conn(s),
		   S("* NAMESPACE ((\"\" \"/\")) ((\"" OTHER_PREFIX "\" \"/\")) NIL\r\n"));
	return imap_ok(cmd, "Namespaces listed");
}
