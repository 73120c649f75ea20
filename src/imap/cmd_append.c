/*
 * cmd_append: APPEND (RFC 3501 6.3.11, RFC 4315 APPENDUID).
 *
 * The message streams from the connection into a store_writer and is never
 * whole in memory. Everything that can be refused without the message is
 * refused before a waiting client is asked for it (THREATS IM-15); a client
 * that does not wait has its octets read and dropped, so that they never run
 * as commands.
 */
#include <stdlib.h>

#include "imap/impl.h"
#include "imap/parse.h"

struct append {
	struct imap_cmd *cmd;
	struct store_mailbox *mbox;
	struct store_writer *writer;
	struct slice name;
	struct imap_flags named;
	struct store_flags flags;
	int64_t date;
	int zone;
};

/*
 * append = "APPEND" SP mailbox [SP flag-list] [SP date-time] SP literal
 * False with the reply set.
 */
static bool parse_args(struct append *a)
{
	struct imap_cmd *cmd = a->cmd;
	struct cur *c = &cmd->c;

	cur_sp(c);
	if (!imap_mailbox_arg(cmd, &a->name)) {
		return false;
	}
	cur_sp(c);
	if (cur_peek(c) == '(') {
		imap_parse_flag_list(c, &cmd->arena, &a->named);
		cur_sp(c);
	}
	if (cur_peek(c) == '"') {
		imap_parse_date_time(c, &a->date, &a->zone);
		cur_sp(c);
	}
	cur_need(c, '{');
	cur_u64(c);
	cur_opt(c, '+');
	cur_need(c, '}');
	if (!cur_end(c) || !cmd->literal) {
		imap_syntax(cmd);
		return false;
	}
	return true;
}

/* Would it fit? False with the reply set. */
static bool check_size(struct append *a)
{
	struct imap_cmd *cmd = a->cmd;
	struct imap *s = cmd->s;
	struct store *store = s->base.env->store;
	struct store_usage u;
	uint64_t n = cmd->literal_size;

	if (n == 0) {
		imap_no(cmd, "[CANNOT] Message is empty");
		return false;
	}
	if (n > store_message_max(store) ||
	    (s->base.env->message_max && n > s->base.env->message_max)) {
		imap_no(cmd, "[TOOBIG] Message is too large");
		return false;
	}
	store_account_usage(s->account, &u);
	if ((u.quota_bytes && (n > u.quota_bytes || u.bytes > u.quota_bytes - n)) ||
	    (u.quota_messages && u.messages >= u.quota_messages)) {
		imap_store_no(cmd, STORE_OVERQUOTA, NULL);
		return false;
	}
	if (store_is_full(store)) {
		imap_store_no(cmd, STORE_FULL, NULL);
		return false;
	}
	return true;
}

/* All that is needed before the message may come. */
CO_FN static bool prepare(struct append *a)
{
	struct imap_cmd *cmd = a->cmd;
	struct imap *s = cmd->s;
	struct err e = ERR_INIT;
	int r = s->account ? store_mailbox_open(s->account, a->name, &a->mbox, &e)
			   : STORE_FORBIDDEN; /* the account is on another loop */

	if (r == STORE_NOTFOUND) {
		imap_no(cmd, "[TRYCREATE] No such mailbox");
		return false;
	}
	if (r == STORE_OK && !check_size(a)) {
		return false;
	}
	if (r == STORE_OK) {
		a->flags.system = a->named.system;
		r = store_keyword_bits(a->mbox, a->named.keywords, a->named.n, true,
				       &a->flags.keywords);
	}
	if (r == STORE_OK) {
		r = store_writer_new(s->base.env->store, slice_cstr(s->id.address), &a->writer, &e);
	}
	if (r != STORE_OK) {
		imap_store_no(cmd, r, &e);
	}
	return r == STORE_OK;
}

/* What follows the message must be the line's end (one message only). 0 or
 * <0. */
CO_FN static int read_tail(struct imap_cmd *cmd)
{
	struct imap *s = cmd->s;
	struct slice line;
	uint64_t n;
	bool sync = true;
	int r = conn_read_line(imap_conn(s), IMAP_LINE_MAX, &line);

	if (r < 0 || r == CONN_EOF) {
		return r < 0 ? r : -ENOTCONN;
	}
	if (r == CONN_LINE && line.n == 0) {
		return 0;
	}
	imap_bad(cmd, "One message at a time");
	if (r != CONN_LINE || (imap_parse_literal_tail(line, &n, &sync) != 0 && !sync)) {
		/* What comes next is not a command. */
		imap_send_reply(cmd);
		imap_bye(s, "Out of step");
	}
	return 0;
}

/* The reply says no: gets rid of the message. 0 or <0. */
CO_FN static int refuse(struct imap_cmd *cmd)
{
	struct imap *s = cmd->s;
	uint64_t max = 2 * store_message_max(s->base.env->store);
	int r;

	if (!cmd->literal) {
		return 0;
	}
	if (cmd->literal_sync ? conn_has_input(imap_conn(s)) : cmd->literal_size > max) {
		imap_send_reply(cmd);
		imap_bye(s, "[TOOBIG] Message refused");
		return 0;
	}
	if (cmd->literal_sync) {
		return 0;
	}
	r = imap_drain(s, cmd->literal_size);
	return r < 0 ? r : read_tail(cmd);
}

/* The message's octets. 0: all read, *result says if they were taken; <0. */
CO_FN static int stream_in(struct append *a, int *result, bool *nul, struct err *e)
{
	struct conn *c = imap_conn(a->cmd->s);
	_cleanup_(freep) char *piece = malloc(IMAP_CHUNK);
	uint64_t left = a->cmd->literal_size;

	if (!piece) {
		return -ENOMEM;
	}
	while (left > 0) {
		ssize_t n = conn_read_raw(c, piece, MIN(left, IMAP_CHUNK));
		struct slice s;
		if (n <= 0) {
			return n == 0 ? -ENOTCONN : (int)n;
		}
		left -= (uint64_t)n;
		s = slice_make(piece, (size_t)n);
		*nul = *nul || slice_has_nul(s);
		if (*result == STORE_OK) {
			*result = store_writer_add(a->writer, s, e);
		}
	}
	return 0;
}

/* The message is here: keeps it. */
CO_FN static int keep(struct append *a, int result, bool nul, struct err *e)
{
	struct store_status st;
	uint32_t uid = 0;

	if (nul) {
		return imap_no(a->cmd, "[CANNOT] Message holds a NUL");
	}
	if (result == STORE_OK) {
		result = store_writer_end(a->writer, e);
	}
	if (result == STORE_OK) {
		result = store_append(a->mbox, a->writer, a->flags, a->date, a->zone, &uid, e);
	}
	if (result == -EMSGSIZE) {
		return imap_no(a->cmd, "[TOOBIG] Message is too large");
	}
	if (result != STORE_OK) {
		return imap_store_no(a->cmd, result, e);
	}
	store_mailbox_get_status(a->mbox, &st);
	return imap_ok(a->cmd, "[APPENDUID %u %u] Message kept", st.uidvalidity, uid);
}

CO_FN static int receive(struct append *a)
{
	struct imap_cmd *cmd = a->cmd;
	struct err e = ERR_INIT;
	int result = STORE_OK;
	bool nul = false;
	int r;

	if (cmd->literal_sync) {
		conn_write(imap_conn(cmd->s), S("+ Send the message\r\n"));
	}
	r = stream_in(a, &result, &nul, &e);
	if (r == 0) {
		r = read_tail(cmd);
	}
	if (r < 0 || cmd->bad) {
		return r;
	}
	return keep(a, result, nul, &e);
}

CO_FN int imap_cmd_append(void *session, void *command)
{
	struct imap_cmd *cmd = command;
	struct append a = { .cmd = cmd, .date = clock_wall() };
	int r;

	(void)session;
	if (parse_args(&a) && prepare(&a)) {
		r = receive(&a);
	} else {
		r = refuse(cmd);
	}
	store_writer_free(&a.writer);
	store_mailbox_close(&a.mbox);
	return r;
}
