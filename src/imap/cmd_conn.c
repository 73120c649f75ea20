/*
 * cmd_conn: what changes the connection under a session that goes on: COMPRESS
 * (RFC 4978) and UNAUTHENTICATE (RFC 8437).
 *
 * Both answer themselves, since what follows the tagged reply is another layer
 * or another user's. Compression ends with UNAUTHENTICATE, TLS stays.
 */
#include "imap/impl.h"
#include "imap/parse.h"

/* compress = "COMPRESS" SP "DEFLATE" */
CO_FN int imap_cmd_compress(void *session, void *command)
{
	struct imap *s = session;
	struct imap_cmd *cmd = command;
	struct conn *c = imap_conn(s);
	struct slice name;

	cur_sp(&cmd->c);
	name = imap_parse_atom(&cmd->c);
	if (!cur_end(&cmd->c)) {
		return imap_syntax(cmd);
	}
	if (!slice_ieq(name, S("DEFLATE"))) {
		return imap_bad(cmd, "Only DEFLATE is known");
	}
	if (c->compressed) {
		return imap_no(cmd, "[COMPRESSIONACTIVE] DEFLATE is active already");
	}
	imap_ok(cmd, "DEFLATE active");
	imap_send_reply(cmd);
	return conn_compress(c);
}

/* unauthenticate = "UNAUTHENTICATE". Never NO (RFC 8437 3). */
CO_FN int imap_cmd_unauthenticate(void *session, void *command)
{
	struct imap *s = session;
	struct imap_cmd *cmd = command;
	struct conn *c = imap_conn(s);
	struct buf caps = BUF_INIT(IMAP_CAPS_MAX);

	if (!cur_end(&cmd->c)) {
		return imap_syntax(cmd);
	}
	conn_log(c, LOG_INFO, "imap.unauthenticate", LOG_C("user", s->id.address));
	imap_forget(s);
	imap_login_timer(s);
	imap_capabilities(s, &caps);
	imap_ok(cmd, "[CAPABILITY %.*s] Nobody is logged in", SLICE_ARG(caps));
	buf_fini(&caps);
	imap_send_reply(cmd);
	return c->compressed ? conn_compress_end(c) : 0;
}
