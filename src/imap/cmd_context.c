/*
 * cmd_context: CANCELUPDATE (RFC 5267 4.3.5).
 */
#include "imap/context.h"
#include "imap/parse.h"

/* cancelupdate = "CANCELUPDATE" 1*(SP quoted) */
CO_FN int imap_cmd_cancelupdate(void *session, void *command)
{
	struct imap *s = session;
	struct imap_cmd *cmd = command;
	struct cur c = cmd->c;
	bool all = true;

	/* Nothing ends unless the whole command can be read. */
	do {
		cur_sp(&cmd->c);
		imap_parse_string(&cmd->c, &cmd->arena);
	} while (!cur_done(&cmd->c));
	if (cmd->c.err) {
		return imap_syntax(cmd);
	}
	do {
		cur_sp(&c);
		all = imap_context_close(s, imap_parse_string(&c, &cmd->arena)) && all;
	} while (!cur_done(&c));
	return all ? imap_ok(cmd, "No further updates") : imap_no(cmd, "No search of that tag");
}
