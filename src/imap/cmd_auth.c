/*
 * cmd_auth: STARTTLS, LOGIN, AUTHENTICATE (RFC 3501 6.2, RFC 4959 SASL-IR).
 *
 * Passwords pass through the command's text only, which is wiped with the
 * command (imap_cmd_fini), and through SASL buffers wiped here.
 */
#include "imap/impl.h"
#include "imap/parse.h"

#include "base/codec.h"

#define SASL_LINE_MAX (8u * 1024)

CO_FN int imap_cmd_starttls(void *session, void *command)
{
	struct imap *s = session;
	struct imap_cmd *cmd = command;
	struct conn *c = imap_conn(s);
	struct err e = ERR_INIT;
	char text[256];
	int r;

	if (!cur_end(&cmd->c)) {
		return imap_syntax(cmd);
	}
	if (c->tls_active) {
		return imap_bad(cmd, "TLS is active already");
	}
	if (!c->tls) {
		return imap_bad(cmd, "TLS is not available");
	}
	imap_ok(cmd, "Begin TLS negotiation now");
	imap_send_reply(cmd);
	r = conn_starttls(c, &e);
	if (r < 0) {
		conn_log(c, LOG_WARN, "imap.tls_failed",
			 LOG_C("err", err_str(&e, text, sizeof(text))));
		return r;
	}
	/* What was learnt in clear is forgotten (RFC 3501 6.2.1). */
	s->errors = 0;
	return 0;
}

/* login = "LOGIN" SP userid SP password */
CO_FN int imap_cmd_login(void *session, void *command)
{
	struct imap *s = session;
	struct imap_cmd *cmd = command;
	struct auth_request req = { .protocol = "imap", .peer = &imap_conn(s)->peer };
	int r;

	cur_sp(&cmd->c);
	req.user = imap_parse_astring(&cmd->c, &cmd->arena);
	cur_sp(&cmd->c);
	req.password = imap_parse_astring(&cmd->c, &cmd->arena);
	if (!cur_end(&cmd->c)) {
		return imap_syntax(cmd);
	}
	r = auth_login(s->base.env->auth, &req, &s->id);
	return r == AUTH_OK ? imap_logged_in(cmd, "LOGIN") : imap_login_failed(cmd, r, req.user);
}

/* ---- AUTHENTICATE --------------------------------------------------------------- */

static void wipe(struct buf *b)
{
	if (b->p) {
		explicit_bzero(b->p, b->cap);
	}
	buf_fini(b);
}

/* The client's next line, decoded into in. 0; 1: reply set; <0: the end. */
CO_FN static int client_answer(struct imap_cmd *cmd, struct buf *challenge, struct buf *in)
{
	struct conn *c = imap_conn(cmd->s);
	struct buf b64 = BUF_INIT(SASL_LINE_MAX);
	struct slice line;
	int r;

	base64_encode(&b64, buf_slice(challenge));
	conn_write(c, S("+ "));
	conn_write(c, buf_slice(&b64));
	conn_write(c, S("\r\n"));
	buf_fini(&b64);
	r = conn_read_line(c, SASL_LINE_MAX, &line);
	if (r < 0 || r == CONN_EOF) {
		return r < 0 ? r : -ENOTCONN;
	}
	if (r == CONN_TOOLONG) {
		imap_bye(cmd->s, "[TOOBIG] Line is too long");
		return -EMSGSIZE;
	}
	if (r == CONN_BADLINE || base64_decode(in, line) < 0) {
		imap_bad(cmd,
			 r == CONN_LINE && slice_eq(line, S("*")) ? "Cancelled" : "Not base64");
		return 1;
	}
	return 0;
}

/* The exchange. 0 with the reply set, or <0. */
CO_FN static int exchange(struct imap_cmd *cmd, struct sasl *sasl, struct slice mech,
			  struct buf *in, bool have)
{
	struct imap *s = cmd->s;
	struct buf out = BUF_INIT(SASL_LINE_MAX);
	bool first = true;
	int r = 0;

	/* A server-first mechanism is asked for its challenge with no input
	 * (LOGIN takes a name in the initial response too, as clients send);
	 * a client-first one without initial response gets an empty one. */
	if (!have && sasl_client_first(sasl)) {
		r = client_answer(cmd, &out, in);
		have = true;
	}
	while (r == 0) {
		enum sasl_state st = sasl_step(sasl,
					       first && !have ? slice_make(NULL, 0)
					       : in->n	      ? buf_slice(in)
							      : S(""),
					       &out, &s->id);
		first = false;
		if (st == SASL_CONTINUE) {
			buf_reset(in);
			r = client_answer(cmd, &out, in);
			buf_reset(&out);
			continue;
		}
		if (st == SASL_DONE) {
			char how[32];
			r = slice_copy(mech, how, sizeof(how));
			r = imap_logged_in(cmd, r == 0 ? how : "SASL");
		} else if (st == SASL_BAD) {
			r = imap_bad(cmd, "Not a message of this mechanism");
		} else {
			r = imap_login_failed(cmd,
					      st == SASL_FAIL	  ? AUTH_FAILED
					      : st == SASL_DENIED ? AUTH_DENIED
								  : AUTH_BUSY,
					      S(""));
		}
		break;
	}
	wipe(&out);
	return MIN(r, 0);
}

/* initial-resp = base64 / "="; decoded into in. */
static bool initial_response(struct imap_cmd *cmd, struct buf *in)
{
	struct slice rest;

	cur_sp(&cmd->c);
	rest = cur_rest(&cmd->c);
	if (cmd->c.err) {
		return false;
	}
	return slice_eq(rest, S("=")) || (rest.n > 0 && base64_decode(in, rest) == 0);
}

/* authenticate = "AUTHENTICATE" SP auth-type [SP initial-resp] */
CO_FN int imap_cmd_authenticate(void *session, void *command)
{
	struct imap *s = session;
	struct imap_cmd *cmd = command;
	struct buf in = BUF_INIT(SASL_LINE_MAX);
	struct sasl *sasl = NULL;
	struct slice mech;
	bool have;
	int r = 0;

	cur_sp(&cmd->c);
	mech = imap_parse_atom(&cmd->c);
	have = !cur_done(&cmd->c);
	if (cmd->c.err || (have && !initial_response(cmd, &in))) {
		imap_bad(cmd, "Bad arguments to AUTHENTICATE");
	} else {
		sasl = sasl_new(s->base.env->auth, mech, "imap", &imap_conn(s)->peer,
				conn_tls(imap_conn(s)));
		if (!sasl) {
			imap_no(cmd, "[CANNOT] Unknown mechanism");
		} else {
			r = exchange(cmd, sasl, mech, &in, have);
		}
	}
	sasl_free(&sasl);
	wipe(&in);
	return r;
}
