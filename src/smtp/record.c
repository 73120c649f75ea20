/*
 * Decision records of SMTP sessions: see record.h.
 *
 * What became of a transaction is read off the replies, which all pass through
 * smtp_reply: a verb that answers needs no call of its own here. The last
 * reply before smtp_reset is the decision if it was announced as such, or if we
 * ended the session with it; else the transaction was refused (no recipient was
 * taken), given up by the client, or broken off.
 */
#include "smtp/record.h"

#include <stdio.h>

#define RECORD_KIND "smtp"

/* What replies say about limits (RFC 3463 gives the codes their meaning). */
static const struct {
	struct slice code;
	const char *limit;
} limits[] = {
	{ S("452 4.5.3"), "recipients" },
	{ S("552 5.3.4"), "message_size" },
	{ S("421 4.3.4"), "message_size" },
	{ S("452 4.2.2"), "quota" },
	{ S("552 5.2.2"), "quota" },
	{ S("452 4.3.1"), "disk" },
	{ S("554 5.4.6"), "hops" },
	{ S("421 4.4.2"), "time" },
	{ S("421 4.7.0"), "session" },
	{ S("450 4.7.1"), "rate" },
	{ S("451 4.7.1 greylisted"), "greylist" },
};

enum outcome { ACCEPTED, REFUSED, ABANDONED, BROKEN_OFF, CUT };

static const struct {
	const char *name;
	const char *event; /* of the log */
} outcomes[] = {
	[ACCEPTED] = { "accepted", "mail.accepted" },
	[REFUSED] = { "refused", "mail.refused" },
	[ABANDONED] = { "abandoned", "mail.abandoned" },
	[BROKEN_OFF] = { "broken_off", "mail.broken_off" },
	[CUT] = { "cut", "session.cut" },
};

static void note_limit(struct trace_record *r, const char *reply)
{
	for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
		if (slice_starts(slice_cstr(reply), limits[i].code)) {
			trace_limit(r, limits[i].limit);
		}
	}
}

/* ---- what a record says of its session ---------------------------------- */

static void add_session(struct smtp_session *s, struct trace_record *r)
{
	const struct conn *c = &s->base.conn;

	trace_str(r, "session", slice_cstr(c->sid));
	trace_index(r, TRACE_BY_SESSION, slice_cstr(c->sid));
	trace_str(r, "role", slice_cstr(c->protocol));
	trace_str(r, "peer", slice_cstr(c->peer_text));
	trace_index(r, TRACE_BY_PEER, slice_cstr(c->peer_text));
	if (s->helo[0]) {
		trace_str(r, s->esmtp ? "ehlo" : "helo", slice_cstr(s->helo));
	}
	if (c->tls_active && c->tls_info.version) {
		trace_str(r, "tls", slice_cstr(c->tls_info.version));
		trace_str(r, "cipher", slice_cstr(c->tls_info.cipher));
	}
	if (s->authenticated) {
		trace_str(r, "account", slice_cstr(s->id.address));
		trace_index(r, TRACE_BY_ADDRESS, slice_cstr(s->id.address));
	}
}

/* Also without a tag: mail for bob+lists is looked for as bob's. */
static void index_address(struct trace_record *r, struct slice addr)
{
	struct buf canon = BUF_INIT(SMTP_PATH_MAX + 256);
	struct buf bare = BUF_INIT(SMTP_PATH_MAX + 256);
	size_t plus, at;

	if (!r) {
		return;
	}
	if (auth_addr_canon(addr, &canon) == 0) {
		addr = buf_slice(&canon);
	}
	trace_index(r, TRACE_BY_ADDRESS, addr);
	plus = slice_chr(addr, '+');
	at = slice_rchr(addr, '@');
	if (plus != SIZE_MAX && plus > 0 && at != SIZE_MAX && plus < at) {
		buf_add(&bare, slice_sub(addr, 0, plus));
		buf_add(&bare, slice_from(addr, at));
		trace_index(r, TRACE_BY_ADDRESS, buf_slice(&bare));
	}
	buf_fini(&bare);
	buf_fini(&canon);
}

void smtp_record_id(const struct smtp_session *s, char id[SMTP_ID_MAX])
{
	if (s->tx) {
		memcpy(id, s->tx->id, SMTP_ID_MAX);
	} else {
		snprintf(id, SMTP_ID_MAX, "%s.%u", s->base.conn.sid, s->ids + 1);
	}
}

/* The number of the next record, which is also its transaction's. */
static void next_id(struct smtp_session *s, char id[SMTP_ID_MAX])
{
	snprintf(id, SMTP_ID_MAX, "%s.%u", s->base.conn.sid, ++s->ids);
}

static struct trace_record *begin(struct smtp_session *s, const char *id)
{
	struct trace_record *r = NULL;

	if (s->records < SMTP_RECORDS_MAX) {
		r = trace_begin(s->base.env->trace, RECORD_KIND, slice_cstr(id));
	}
	s->records += r != NULL;
	add_session(s, r);
	return r;
}

/* Is what was said last the answer to it all? */
static bool is_answer(const struct smtp_session *s, enum outcome o)
{
	return o != ABANDONED && (o != BROKEN_OFF || strncmp(s->said, "421", 3) == 0);
}

static void end(struct smtp_session *s, struct trace_record **r, enum outcome o)
{
	if (is_answer(s, o)) {
		note_limit(*r, s->said);
		trace_str(*r, "reply", slice_cstr(s->said));
	}
	s->cut = false; /* a record says so */
	trace_end(r, outcomes[o].name, o == ACCEPTED);
}

/* ---- while it happens ---------------------------------------------------- */

void smtp_record_said(struct smtp_session *s, const char *line)
{
	struct smtp_tx *tx = s->tx;

	/* LMTP: one who got it, and the message was accepted. */
	if (tx && tx->decided && tx->got_it) {
		return;
	}
	snprintf(s->said, sizeof(s->said), "%s", line);
	if (tx && tx->decided) {
		tx->got_it = line[0] == '2';
	}
}

void smtp_record_begin(struct smtp_session *s)
{
	struct smtp_tx *tx = s->tx;

	next_id(s, tx->id);
	tx->record = begin(s, tx->id);
	trace_str(tx->record, "from", tx->from);
	index_address(tx->record, tx->from);
}

/* The path in the arguments of MAIL and RCPT, or all of them where there is
 * none that can be read. */
static struct slice path_of(struct slice args, struct slice word)
{
	struct cur c = cur_init(args);
	struct smtp_path path;

	cur_lit(&c, word);
	cur_opt(&c, ' ');
	return smtp_path_parse(&c, true, &path) == SMTP_ADDR_OK ? path.addr : slice_trim(args);
}

static void refused_mail(struct smtp_session *s, struct slice args)
{
	struct slice from = path_of(args, S("FROM:"));
	char id[SMTP_ID_MAX];
	struct trace_record *r;

	next_id(s, id);
	r = begin(s, id);
	trace_str(r, "from", from);
	index_address(r, from);
	conn_log(&s->base.conn, LOG_INFO, "mail.refused", LOG_C("id", id), LOG_S("from", from),
		 LOG_C("reply", s->said));
	end(s, &r, REFUSED);
}

static void ran_rcpt(struct smtp_session *s, struct slice args)
{
	struct smtp_tx *tx = s->tx;
	struct slice to = path_of(args, S("TO:"));

	trace_rcpt(tx->record, to, slice_cstr(s->said));
	index_address(tx->record, to);
	note_limit(tx->record, s->said);
	if (s->said[0] != '2') {
		tx->n_refused++;
		snprintf(tx->refusal, sizeof(tx->refusal), "%s", s->said);
	}
}

void smtp_record_command(struct smtp_session *s, const struct smtp_cmd *cmd)
{
	if (cmd->verb->run == smtp_rcpt && s->tx) {
		ran_rcpt(s, cmd->args);
	} else if (cmd->verb->run == smtp_mail && !s->tx) {
		refused_mail(s, cmd->args);
	}
}

/* So each recipient is listed with what RCPT said and with this. */
void smtp_record_answer(struct smtp_session *s, const struct smtp_rcpt *r)
{
	const char *line = r->reply ? r->reply : s->said;

	trace_rcpt(s->tx->record, r->addr, slice_cstr(line));
	note_limit(s->tx->record, line);
}

static void message_id(struct smtp_tx *tx, struct slice value)
{
	if (value.n && !tx->has_message_id) {
		tx->has_message_id = true;
		trace_str(tx->record, "message_id", value);
		trace_index(tx->record, TRACE_BY_MESSAGE_ID, value);
	}
}

void smtp_record_decision(struct smtp_session *s)
{
	if (s->tx) {
		s->tx->decided = true;
	}
}

void smtp_record_message(struct smtp_session *s, const struct smtp_header *head, uint64_t size)
{
	trace_int(s->tx->record, "size", (int64_t)size);
	message_id(s->tx, smtp_msgid_value(&head->id));
}

void smtp_record_front(struct smtp_session *s, struct slice front)
{
	struct smtp_msgid m = { 0 };

	smtp_msgid_feed(&m, front);
	message_id(s->tx, smtp_msgid_value(&m));
}

/* ---- the end ------------------------------------------------------------ */

static enum outcome outcome_of(const struct smtp_session *s)
{
	const struct smtp_tx *tx = s->tx;

	if (tx->decided) {
		return tx->got_it ? ACCEPTED : REFUSED;
	}
	if (s->cut || (tx->n_rcpt == 0 && tx->n_refused > 0)) {
		return REFUSED;
	}
	if (s->base.conn.err || (s->ended && strncmp(s->said, "221", 3) != 0)) {
		return BROKEN_OFF;
	}
	return ABANDONED;
}

void smtp_record_end(struct smtp_session *s)
{
	struct smtp_tx *tx = s->tx;
	enum outcome o;

	if (!tx) {
		return;
	}
	o = outcome_of(s);
	if (o == REFUSED && !tx->decided && !s->cut) {
		smtp_record_said(s, tx->refusal); /* not the goodbye */
	}
	if (!tx->logged) {
		conn_log(&s->base.conn, LOG_INFO, outcomes[o].event, LOG_C("id", tx->id),
			 LOG_S("from", tx->from), LOG_S("rcpt", tx->first),
			 LOG_I("rcpts", tx->n_rcpt), LOG_I("refused", tx->n_refused),
			 LOG_C("reply", s->said));
	}
	end(s, &tx->record, o);
}

void smtp_record_session(struct smtp_session *s)
{
	struct trace_record *r;
	char id[SMTP_ID_MAX];

	if (!s->cut) {
		return;
	}
	next_id(s, id);
	r = begin(s, id);
	end(s, &r, CUT);
}
