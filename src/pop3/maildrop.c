/*
 * POP3's TRANSACTION and UPDATE states: a snapshot of INBOX with numbers.
 *
 * The maildrop lock is taken at login and held to the end (RFC 1939 4); IMAP
 * and delivery go on beside it. Sizes are the octets that RETR sends before
 * byte-stuffing: the message in canonical CRLF form (THREATS PO-06). DELE
 * only marks; QUIT removes, durably, before it says +OK (PO-04). Bodies pass
 * in chunks.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "io/dot.h"
#include "pop3/internal.h"

void pop3_close(struct pop3_session *s)
{
	if (s->view) {
		store_view_close(&s->view);
	}
	if (s->mailbox) {
		store_mailbox_close(&s->mailbox);
	}
	if (s->locked) {
		store_maildrop_unlock(s->account);
		s->locked = false;
	}
	if (s->account) {
		store_account_close(&s->account);
	}
	free(s->deleted);
	s->deleted = NULL;
}

/* 0, an enum store_result, or -errno; what was opened is closed by close. */
CO_FN static int open_maildrop(struct pop3_session *s, struct err *e)
{
	struct store_status st;
	int r = store_account_open(s->base.env->store, s->id.account, &s->account, e);

	if (r != STORE_OK) {
		return r;
	}
	r = store_maildrop_lock(s->account);
	if (r != STORE_OK) {
		return r;
	}
	s->locked = true;
	r = store_mailbox_open(s->account, S("INBOX"), &s->mailbox, e);
	if (r != STORE_OK) {
		return r;
	}
	r = store_view_open(s->mailbox, false, &s->view, e);
	if (r != STORE_OK) {
		return r;
	}
	store_mailbox_get_status(s->mailbox, &st);
	s->uidvalidity = st.uidvalidity;
	s->count = store_view_count(s->view);
	s->n_deleted = 0;
	s->deleted = calloc(s->count ? s->count : 1, sizeof(*s->deleted));
	return s->deleted ? 0 : -ENOMEM;
}

void pop3_open(struct pop3_session *s)
{
	struct conn *c = &s->base.conn;
	struct err e = ERR_INIT;
	char text[256];
	int r = open_maildrop(s, &e);

	s->opening = false;
	if (r == 0) {
		s->state = POP3_TRANSACTION;
		s->errors = 0;
		conn_log(c, LOG_INFO, "login.ok", LOG_C("user", s->id.address),
			 LOG_I("tls", c->tls_active));
		conn_printf(c, "+OK maildrop has %" PRIu32 " messages\r\n", s->count);
		return;
	}
	pop3_close(s);
	if (r == STORE_INUSE) {
		conn_log(c, LOG_INFO, "maildrop.in_use", LOG_C("user", s->id.address));
		pop3_err(s, "[IN-USE] maildrop is open in another session");
		return;
	}
	conn_log(c, LOG_ERROR, "maildrop.failed", LOG_C("user", s->id.address), LOG_I("code", r),
		 LOG_C("reason", err_str(&e, text, sizeof(text))));
	pop3_err(s, "[SYS/TEMP] maildrop cannot be opened now");
}

/* A message-number that exists and is not deleted; 0 after a reply. */
CO_FN static uint32_t message_number(struct pop3_session *s, struct slice arg)
{
	uint32_t n;

	if (slice_u32(arg, &n) != 0 || n == 0 || n > s->count) {
		pop3_err(s, "no such message");
		return 0;
	}
	if (s->deleted[n - 1]) {
		pop3_err(s, "message is deleted");
		return 0;
	}
	return n;
}

static uint64_t wire_size(const struct pop3_session *s, uint32_t n)
{
	struct store_msg m = { 0 };

	store_view_msg(s->view, n, &m);
	return m.wire_size;
}

static uint64_t total(const struct pop3_session *s)
{
	uint64_t sum = 0;

	for (uint32_t i = 1; i <= s->count; i++) {
		sum += s->deleted[i - 1] ? 0 : wire_size(s, i);
	}
	return sum;
}

int pop3_stat(void *session, void *cmd)
{
	struct pop3_session *s = session;

	(void)cmd;
	conn_printf(&s->base.conn, "+OK %" PRIu32 " %" PRIu64 "\r\n", s->count - s->n_deleted,
		    total(s));
	return 0;
}

CO_FN static void list_row(struct pop3_session *s, const char *before, uint32_t n)
{
	conn_printf(&s->base.conn, "%s%" PRIu32 " %" PRIu64 "\r\n", before, n, wire_size(s, n));
}

CO_FN static void uidl_row(struct pop3_session *s, const char *before, uint32_t n)
{
	conn_printf(&s->base.conn, "%s%" PRIu32 " %08" PRIx32 "%08" PRIx32 "\r\n", before, n,
		    s->uidvalidity, store_view_uid(s->view, n));
}

int pop3_list(void *session, void *cmd)
{
	struct pop3_session *s = session;
	struct pop3_cmd *p = cmd;

	if (p->args.p) {
		uint32_t n = message_number(s, p->args);

		if (n) {
			list_row(s, "+OK ", n);
		}
		return 0;
	}
	conn_printf(&s->base.conn, "+OK %" PRIu32 " messages\r\n", s->count - s->n_deleted);
	for (uint32_t i = 1; i <= s->count; i++) {
		if (!s->deleted[i - 1]) {
			list_row(s, "", i);
		}
	}
	conn_write(&s->base.conn, S(".\r\n"));
	return 0;
}

int pop3_uidl(void *session, void *cmd)
{
	struct pop3_session *s = session;
	struct pop3_cmd *p = cmd;

	if (p->args.p) {
		uint32_t n = message_number(s, p->args);

		if (n) {
			uidl_row(s, "+OK ", n);
		}
		return 0;
	}
	pop3_ok(s, "unique ids follow");
	for (uint32_t i = 1; i <= s->count; i++) {
		if (!s->deleted[i - 1]) {
			uidl_row(s, "", i);
		}
	}
	conn_write(&s->base.conn, S(".\r\n"));
	return 0;
}

/* How much of a message TOP still wants: the header, then `lines` lines. */
struct top {
	bool limited; /* false: all of it (RETR) */
	bool in_body;
	bool line_empty; /* nothing but CR since the last LF */
	uint32_t lines;
};

/* How many of these bytes are wanted; fewer than n means that it is done. */
static size_t top_take(struct top *t, const char *p, size_t n)
{
	if (!t->limited) {
		return n;
	}
	for (size_t i = 0; i < n; i++) {
		if (t->in_body && t->lines == 0) {
			return i;
		}
		if (p[i] != '\n') {
			t->line_empty = t->line_empty && p[i] == '\r';
			continue;
		}
		if (t->in_body) {
			t->lines--;
		} else if (t->line_empty) {
			t->in_body = true;
		}
		t->line_empty = true;
	}
	return n;
}

/* Streams the message; the first chunk is read before +OK is said. */
CO_FN static int send_message(struct pop3_session *s, uint32_t n, struct top *t, char *chunk,
			      struct buf *enc)
{
	struct conn *c = &s->base.conn;
	struct dot_enc dot = { 0 };
	uint32_t uid = store_view_uid(s->view, n);
	uint64_t off = 0;
	ssize_t got;

	do {
		size_t want;

		got = store_read(s->mailbox, uid, off, chunk, POP3_CHUNK, NULL);
		if (got < 0) {
			return (int)(off ? -EPIPE : got);
		}
		if (off == 0) {
			conn_printf(c, "+OK %" PRIu64 " octets\r\n", wire_size(s, n));
		}
		want = top_take(t, chunk, (size_t)got);
		dot_enc_feed(&dot, slice_make(chunk, want), true, enc);
		conn_write(c, buf_slice(enc));
		buf_reset(enc);
		off += (uint64_t)got;
		if (want < (size_t)got) {
			break;
		}
	} while (got > 0 && c->err == 0);
	dot_enc_end(&dot, enc);
	conn_write(c, buf_slice(enc));
	return 0;
}

CO_FN static int retrieve(struct pop3_session *s, uint32_t n, struct top *t)
{
	struct buf enc = BUF_INIT(4 * POP3_CHUNK);
	char *chunk = malloc(POP3_CHUNK);
	int r = chunk ? send_message(s, n, t, chunk, &enc) : -ENOMEM;

	free(chunk);
	buf_fini(&enc);
	if (r == -ENOENT) {
		pop3_err(s, "message was removed by another session");
	} else if (r == -EPIPE) {
		/* Half of it is out: only the end of the connection can say
		 * so. */
		s->ended = true;
	} else if (r < 0) {
		pop3_err(s, "[SYS/TEMP] message cannot be read now");
	}
	if (r < 0) {
		conn_log(&s->base.conn, LOG_WARN, "read.failed", LOG_C("user", s->id.address),
			 LOG_I("uid", store_view_uid(s->view, n)), LOG_I("code", r));
	} else {
		s->retrieved++;
	}
	return 0;
}

int pop3_retr(void *session, void *cmd)
{
	struct pop3_session *s = session;
	struct pop3_cmd *p = cmd;
	struct top all = { 0 };
	uint32_t n = message_number(s, p->args);

	return n ? retrieve(s, n, &all) : 0;
}

/* top = "TOP" SP msg SP lines                              RFC 1939 7 */
int pop3_top(void *session, void *cmd)
{
	struct pop3_session *s = session;
	struct pop3_cmd *p = cmd;
	struct slice rest = p->args;
	struct slice msg = slice_split(&rest, ' ');
	struct top t = { .limited = true, .line_empty = true };
	uint32_t n;

	if (slice_u32(rest, &t.lines) != 0) {
		return pop3_err(s, "TOP needs a message and a number of lines");
	}
	n = message_number(s, msg);
	return n ? retrieve(s, n, &t) : 0;
}

int pop3_dele(void *session, void *cmd)
{
	struct pop3_session *s = session;
	struct pop3_cmd *p = cmd;
	uint32_t n = message_number(s, p->args);

	if (n == 0) {
		return 0;
	}
	s->deleted[n - 1] = true;
	s->n_deleted++;
	return pop3_ok(s, "marked, to be deleted at QUIT");
}

int pop3_rset(void *session, void *cmd)
{
	struct pop3_session *s = session;

	(void)cmd;
	for (uint32_t i = 0; i < s->count; i++) {
		s->deleted[i] = false;
	}
	s->n_deleted = 0;
	return pop3_ok(s, "nothing is marked any more");
}

int pop3_noop(void *session, void *cmd)
{
	(void)cmd;
	return pop3_ok(session, "");
}

/* UPDATE (RFC 1939 6): removes what is marked, in one durable step. */
CO_FN static int update(struct pop3_session *s, size_t *removed)
{
	struct err e = ERR_INIT;
	uint32_t *uids = calloc(s->n_deleted, sizeof(*uids));
	char text[256];
	size_t n = 0;
	int r;

	if (!uids) {
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < s->count; i++) {
		if (s->deleted[i]) {
			uids[n++] = store_view_uid(s->view, i + 1);
		}
	}
	r = store_expunge(s->mailbox, uids, n, false, removed, &e);
	free(uids);
	if (r != STORE_OK) {
		conn_log(&s->base.conn, LOG_ERROR, "update.failed", LOG_C("user", s->id.address),
			 LOG_I("code", r), LOG_C("reason", err_str(&e, text, sizeof(text))));
	}
	return r;
}

int pop3_quit(void *session, void *cmd)
{
	struct pop3_session *s = session;
	size_t removed = 0;

	(void)cmd;
	s->ended = true;
	if (s->n_deleted && update(s, &removed) != STORE_OK) {
		return pop3_err(s, "[SYS/TEMP] deleted messages were not "
				   "removed");
	}
	if (removed) {
		conn_log(&s->base.conn, LOG_INFO, "maildrop.deleted", LOG_C("user", s->id.address),
			 LOG_I("n", removed));
	}
	return pop3_ok(s, "goodbye");
}
