/*
 * append_stream: the octets of APPEND: literals in, messages into writers,
 * and getting rid of what was refused. See append.h.
 *
 * Whatever is refused, framing is kept: a literal that the client does not
 * wait with is read and dropped (THREATS IM-02, IM-03), up to twice the
 * largest message a command; what waits is answered with the tagged reply
 * instead of "+".
 */
#include <stdlib.h>

#include "imap/append.h"
#include "imap/parse.h"

void append_init(struct append *a, struct imap_cmd *cmd)
{
	*a = (struct append){ .cmd = cmd, .e = ERR_INIT };
	buf_init(&a->line, IMAP_LINE_MAX);
	arena_init(&a->kept, APPEND_KEPT_MAX);
}

void append_fini(struct append *a)
{
	for (size_t i = 0; i < a->n; i++) {
		store_writer_free(&a->v[i].w);
	}
	free(a->v);
	store_writer_free(&a->next.w);
	spool_free(&a->spool);
	store_mailbox_close(&a->mbox);
	store_account_close(&a->lender);
	arena_fini(&a->kept);
	buf_fini(&a->line);
	free(a->piece);
}

int append_no(struct append *a, int r, const struct err *e)
{
	switch (r) {
	case -EMSGSIZE:
		imap_no(a->cmd, "[TOOBIG] Message is too large");
		break;
	case -ENOSPC:
		imap_store_no(a->cmd, STORE_FULL, e);
		break;
	default:
		imap_store_no(a->cmd, r, e);
	}
	return APPEND_REFUSED;
}

/* ---- before a literal ----------------------------------------------------- */

uint64_t imap_append_max(const struct imap *s)
{
	uint64_t max = store_message_max(s->base.env->store);
	uint64_t ours = s->base.env->message_max;

	return ours ? MIN(ours, max) : max;
}

bool append_admit(struct append *a, uint64_t n)
{
	struct imap_cmd *cmd = a->cmd;
	struct store_usage u = a->usage;

	if (n > imap_append_max(cmd->s) || a->size + n > imap_append_max(cmd->s)) {
		imap_no(cmd, "[TOOBIG] Message is too large");
		return false;
	}
	n += a->size + a->sum;
	n -= MIN(n, a->old_size);
	if ((u.quota_bytes && n > 0 && (n > u.quota_bytes || u.bytes > u.quota_bytes - n)) ||
	    (u.quota_messages && !a->replace && u.messages + a->n >= u.quota_messages)) {
		imap_store_no(cmd, STORE_OVERQUOTA, NULL);
		return false;
	}
	if (store_is_full(cmd->s->base.env->store)) {
		imap_store_no(cmd, STORE_FULL, NULL);
		return false;
	}
	return true;
}

static int grow(struct append *a)
{
	size_t cap = a->cap ? a->cap * 2 : 4;
	struct store_new *v;

	if (a->n < a->cap) {
		return 0;
	}
	v = reallocarray(a->v, cap, sizeof(*v));
	if (!v) {
		return -ENOMEM;
	}
	a->v = v;
	a->cap = cap;
	return 0;
}

CO_FN int append_begin(struct append *a, bool spooled)
{
	struct store *store = a->cmd->s->base.env->store;
	int r = grow(a);

	a->piece = a->piece ? a->piece : malloc(IMAP_CHUNK);
	a->spooled = spooled;
	a->eight = a->nul = false;
	a->result = STORE_OK;
	if (r == 0 && !a->piece) {
		r = -ENOMEM;
	}
	if (r == 0) {
		r = store_writer_new(store, slice_cstr(a->cmd->s->id.address), &a->next.w, &a->e);
	}
	if (r == 0 && spooled) {
		r = spool_new(store_tmp_dir(store), imap_append_max(a->cmd->s), &a->spool);
	}
	return r ? append_no(a, r, &a->e) : APPEND_OK;
}

/* ---- the literal ------------------------------------------------------------ */

CO_FN void append_put(struct append *a, struct slice s)
{
	a->size += s.n;
	if (!a->eight && slice_has_nul(s)) {
		a->nul = true;
	}
	if (a->result == STORE_OK && !a->nul) {
		a->result = a->spooled ? spool_write(a->spool, s, &a->e)
				       : store_writer_add(a->next.w, s, &a->e);
	}
}

/* The line behind a literal, into the cursor. */
CO_FN static int next_line(struct append *a)
{
	struct imap_cmd *cmd = a->cmd;
	struct slice line;
	uint64_t n = UINT64_MAX;
	bool sync = true;
	int r = conn_read_line(imap_conn(cmd->s), IMAP_LINE_MAX, &line);

	cmd->literal = false;
	cmd->c = cur_init(S(""));
	if (r < 0 || r == CONN_EOF) {
		return r < 0 ? r : -ENOTCONN;
	}
	if (r != CONN_LINE) {
		/* What comes next need not be a command. */
		if (cmd->reply.n == 0) {
			imap_bad(cmd, "Bad line behind a literal");
		}
		imap_send_reply(cmd);
		imap_bye(cmd->s, "Out of step");
		return APPEND_REFUSED;
	}
	buf_reset(&a->line);
	buf_add(&a->line, line);
	if (a->line.err) {
		return -ENOMEM;
	}
	r = imap_parse_literal_tail(line, &n, &sync);
	cmd->literal = r != 0;
	cmd->literal_size = r < 0 ? UINT64_MAX : n;
	cmd->literal_sync = sync;
	cmd->c = cur_init(buf_slice(&a->line));
	return APPEND_OK;
}

CO_FN static void ask(struct append *a)
{
	if (a->cmd->literal_sync) {
		conn_write(imap_conn(a->cmd->s), S("+ Send the message\r\n"));
	}
}

int append_verdict(struct append *a)
{
	if (a->nul) {
		imap_no(a->cmd, "[CANNOT] Message holds a NUL");
		return APPEND_REFUSED;
	}
	return a->result == STORE_OK ? APPEND_OK : append_no(a, a->result, &a->e);
}

CO_FN int append_literal(struct append *a, bool eight)
{
	struct conn *c = imap_conn(a->cmd->s);
	uint64_t left = a->cmd->literal_size;

	a->eight |= eight;
	ask(a);
	while (left > 0) {
		ssize_t n = conn_read_raw(c, a->piece, MIN(left, IMAP_CHUNK));
		if (n <= 0) {
			return n == 0 ? -ENOTCONN : (int)n;
		}
		left -= (uint64_t)n;
		append_put(a, slice_make(a->piece, (size_t)n));
	}
	int r = next_line(a);
	return r == APPEND_OK ? append_verdict(a) : r;
}

CO_FN int append_argument(struct append *a, size_t max, struct slice *out)
{
	struct conn *c = imap_conn(a->cmd->s);
	uint64_t n = a->cmd->literal_size;
	char *p = n <= max ? arena_alloc(&a->cmd->arena, (size_t)n + 1) : NULL;

	if (!p) {
		imap_no(a->cmd, "[LIMIT] Argument is too long");
		return APPEND_REFUSED;
	}
	ask(a);
	for (uint64_t have = 0; have < n;) {
		ssize_t r = conn_read_raw(c, p + have, n - have);
		if (r <= 0) {
			return r == 0 ? -ENOTCONN : (int)r;
		}
		have += (uint64_t)r;
	}
	*out = slice_make(p, (size_t)n);
	return next_line(a);
}

/* ---- the end ---------------------------------------------------------------- */

CO_FN int append_end(struct append *a)
{
	int r = APPEND_OK;

	if (a->size == 0) {
		imap_no(a->cmd, "[CANNOT] Message is empty");
		return APPEND_REFUSED;
	}
	if (a->spooled) {
		r = append_rewrite(a);
		spool_free(&a->spool);
	}
	if (r != APPEND_OK) {
		return r;
	}
	r = store_writer_end(a->next.w, &a->e);
	if (r != STORE_OK) {
		return append_no(a, r, &a->e);
	}
	store_writer_trim(a->next.w);
	a->sum += store_writer_size(a->next.w);
	a->v[a->n++] = a->next;
	a->next.w = NULL;
	a->size = 0;
	return APPEND_OK;
}

/* The announced literal, dropped. True: go on; false: the session ends. */
CO_FN static bool may_drop(struct append *a)
{
	struct imap_cmd *cmd = a->cmd;
	uint64_t max = 2 * store_message_max(cmd->s->base.env->store);

	if (cmd->literal_sync ? conn_has_input(imap_conn(cmd->s))
			      : cmd->literal_size > max - a->dropped) {
		imap_send_reply(cmd);
		imap_bye(cmd->s, "[TOOBIG] Message refused");
		return false;
	}
	a->dropped += cmd->literal_sync ? 0 : cmd->literal_size;
	return true;
}

CO_FN int append_refuse(struct append *a)
{
	struct imap_cmd *cmd = a->cmd;
	uint64_t max = 2 * store_message_max(cmd->s->base.env->store);

	while (cmd->literal && !cmd->s->ending) {
		if (!may_drop(a) || cmd->literal_sync) {
			return 0;
		}
		int r = imap_drain(cmd->s, cmd->literal_size);
		r = r < 0 ? r : next_line(a);
		if (r < 0) {
			return r;
		}
		a->dropped = MIN(a->dropped + a->line.n, max);
	}
	return 0;
}
