/*
 * From the spool to the store: trace fields (RFC 5321 4.4, 3848, 6531 4.3),
 * submission fixes (RFC 6409 8), delivery, and what to answer.
 *
 * One answer speaks for all recipients, so the order is: nothing is handed
 * over unless there is room for it in every mailbox; 250 only if everyone has
 * it, durably; see README.md for the rule when a race breaks this.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/rand.h"
#include "mime/binary.h"
#include "mime/header.h"
#include "smtp/intake.h"
#include "smtp/record.h"
#include "smtp/report.h"
#include "smtp/verify.h"
#include "trust/authres.h"

#define META_MAX 512	   /* kv.h, KV_META_MAX */
#define FINDINGS_MAX 16384 /* of one Authentication-Results field */

static const char no_room[] = "452 4.3.1 no room for mail now, try again "
			      "later";
static const char not_now[] = "451 4.3.0 cannot take mail now, try again "
			      "later";

struct job {
	struct smtp_session *s;
	struct spool *spool;	 /* the message as it is to be stored */
	struct spool *converted; /* the same, where it is ours; or NULL */
	struct smtp_header head; /* of what is in spool */
	uint64_t body;		 /* offset of what follows the header in front */
	struct buf front;	 /* trace fields and, where it is changed, the header */
	struct buf findings;	 /* Authentication-Results, or empty */
	bool junk;
	char reply[VERIFY_REPLY_MAX];
	char id[SMTP_ID_MAX];
	struct store_writer *writer;
	struct err err;
};

/* ---- trace -------------------------------------------------------------- */

/* The "with" word: RFC 3848, and RFC 6531 4.3 for SMTPUTF8 mail. */
static void add_with(const struct smtp_session *s, struct buf *b)
{
	const struct conn *c = &s->base.conn;
	bool utf8 = s->tx->params.smtputf8;

	if (s->role == SMTP_LMTP) {
		buf_adds(b, utf8 ? "UTF8LMTP" : "LMTP");
	} else if (s->esmtp) {
		buf_adds(b, utf8 ? "UTF8SMTP" : "ESMTP");
	} else {
		buf_adds(b, "SMTP");
		return;
	}
	if (c->tls_active) {
		buf_addc(b, 'S');
	}
	if (s->authenticated) {
		buf_addc(b, 'A');
	}
	if (c->tls_active && c->tls_info.version) {
		buf_printf(b, " (%s %s)", c->tls_info.version,
			   c->tls_info.cipher ? c->tls_info.cipher : "-");
	}
}

static void add_trace(struct job *j)
{
	const struct smtp_session *s = j->s;
	const struct conn *c = &s->base.conn;
	char text[NET_ADDR_TEXT_MAX];
	struct buf *b = &j->front;

	buf_adds(b, "Return-Path: <");
	buf_add(b, s->tx->from);
	buf_adds(b, ">\r\n");
	buf_add(b, buf_slice(&j->findings));
	buf_printf(b, "Received: from %s", s->helo);
	if (c->peer.len) {
		buf_printf(b, " (%s%s%s)", s->client, s->client[0] ? " " : "",
			   net_addr_literal(&c->peer, text));
	}
	buf_printf(b, "\r\n\tby %s with ", s->base.env->hostname);
	add_with(s, b);
	buf_printf(b, "\r\n\tid %s", j->id);
	if (s->tx->n_rcpt == 1) {
		buf_adds(b, "\r\n\tfor <");
		buf_add(b, s->tx->first);
		buf_addc(b, '>');
	}
	if (s->tx->params.priority) {
		buf_printf(b, "\r\n\tPRIORITY %d", s->tx->params.priority);
	}
	mime_date_format(clock_wall(), 0, text);
	buf_printf(b, ";\r\n\t%s\r\n", text);
}

/* ---- binary ------------------------------------------------------------- */

static int put_converted(void *arg, struct slice data)
{
	struct job *j = arg;

	co_enter();
	smtp_header_feed(&j->head, data);
	return spool_write(j->converted, data, &j->err);
}

/*
 * What the store keeps can be given to any client: binary parts of a
 * BINARYMIME message become base64 (docs/adr/0075). NULL, or the reply.
 */
CO_FN static const char *convert(struct job *j, const struct smtp_intake *in)
{
	struct store *store = j->s->base.env->store;
	const char *dir = store_tmp_dir(store);
	struct mime_binary b = { .in = in->spool, .put = put_converted, .arg = j, .lines = true };
	int r;

	if (!(in->flags & (DOT_BARE_CR | DOT_BARE_LF | DOT_NUL))) {
		return NULL;
	}
	j->head = (struct smtp_header){ 0 };
	r = spool_new(dir ? dir : "/tmp", store_message_max(store), &j->converted);
	r = r ? r : mime_binary_write(&b, &j->err);
	j->spool = j->converted;
	switch (r) {
	case 0:
		return j->head.too_big ? "552 5.3.4 message header too big" : NULL;
	case -EILSEQ:
		return "550 5.6.0 a bare CR, bare LF or NUL stands where no binary part is";
	case -EMSGSIZE:
		return "552 5.3.4 message too big";
	case -ENOSPC:
	case -EDQUOT:
		return no_room;
	default:
		return not_now;
	}
}

/* ---- submission --------------------------------------------------------- */

/* Is each address in this field one that the account may use? 1, 0, <0. */
CO_FN static int owns_all(struct smtp_session *s, struct slice body)
{
	struct buf spec = BUF_INIT(1024);
	struct arena arena;
	int r = 1;

	arena_init(&arena, 256 * 1024);
	for (struct mime_addr *a = mime_addr_parse(body, &arena); a && r == 1; a = a->next) {
		if (a->mailbox.p && a->host.p) {
			buf_reset(&spec);
			mime_addr_spec(a, &spec);
			r = spec.err
				    ? 0
				    : auth_owns(s->base.env->auth, s->id.account, buf_slice(&spec));
		}
	}
	if (arena_err(&arena)) {
		r = 0;
	}
	arena_fini(&arena);
	buf_fini(&spec);
	return r;
}

/* THREATS SL-15: nobody writes in another's name. NULL, or the reply. */
CO_FN static const char *check_authors(struct smtp_session *s, struct slice header)
{
	static const struct slice names[] = { S("From"), S("Sender"), S("Resent-From"),
					      S("Resent-Sender") };
	struct mime_field f;

	while (mime_field_next(&header, &f)) {
		for (size_t i = 0; i < ARRAY_LEN(names); i++) {
			int r;

			if (!slice_ieq(f.name, names[i])) {
				continue;
			}
			r = owns_all(s, f.body);
			if (r != 1) {
				return r < 0 ? not_now
					     : "550 5.7.1 From or Sender is "
					       "not your address";
			}
		}
	}
	return NULL;
}

CO_FN static int read_header(struct spool *spool, char *p, size_t n, struct err *e)
{
	size_t at = 0;

	while (at < n) {
		ssize_t r = spool_read(spool, at, p + at, n - at, e);

		if (r <= 0) {
			return r < 0 ? (int)r : -EIO;
		}
		at += (size_t)r;
	}
	return 0;
}

/* Puts the fixed header in front; the spool then counts from the body on. */
CO_FN static const char *prepare_submission(struct job *j)
{
	size_t n = (size_t)j->head.len;
	const char *hostname = j->s->base.env->hostname;
	struct buf clean = BUF_INIT(SMTP_HEADER_MAX);
	char *p = malloc(n ? n : 1);
	const char *no = not_now;

	if (p && read_header(j->spool, p, n, &j->err) == 0) {
		struct slice header = slice_make(p, n);

		if (authres_strip(header, slice_cstr(hostname), &clean)) {
			header = buf_slice(&clean);
		}
		no = check_authors(j->s, header);
		if (!no) {
			switch (smtp_header_fix(header, hostname, clock_wall(), &j->front)) {
			case SMTP_FIX_OK:
				j->body = n;
				break;
			case SMTP_FIX_NO_FROM:
				no = "550 5.6.0 message needs a From field";
				break;
			case SMTP_FIX_MANY_FROM:
				no = "550 5.7.1 message has two From fields";
				break;
			}
		}
	}
	free(p);
	buf_fini(&clean);
	return no;
}

/* ---- strangers ---------------------------------------------------------- */

/* What the checks say of the message as it came. NULL, or the reply. */
CO_FN static const char *verify(struct job *j, const struct smtp_intake *in, struct slice header)
{
	struct smtp_session *s = j->s;
	struct verify_in v = {
		.env = s->base.env,
		.peer = &s->base.conn.peer,
		.helo = slice_cstr(s->helo),
		.from = s->tx->from,
		.header = header,
		.spool = in->spool,
		.body = header.n,
	};
	struct verdict *found = malloc(sizeof(*found));
	struct buf text = BUF_INIT(2048);
	const char *no = not_now;

	if (found && verify_message(&v, found, &j->err) == 0) {
		verify_field(&v, found, &j->findings);
		verify_summary(found, &text);
		smtp_record_verdict(s, found);
		smtp_report(s, found);
		conn_log(&s->base.conn, LOG_INFO, "mail.verified", LOG_C("id", j->id),
			 LOG_S("results", buf_slice(&text)), LOG_S("why", found->why));
		j->junk = found->action == VERIFY_JUNK;
		no = NULL;
		if (found->action == VERIFY_REFUSE) {
			memcpy(j->reply, found->reply, sizeof(j->reply));
			no = j->reply;
		}
	}
	if (found) {
		verify_fini(found);
	}
	buf_fini(&text);
	free(found);
	return no;
}

/* Fields that claim to be ours are taken out (RFC 8601 5). */
CO_FN static const char *strip_forged(struct job *j, struct buf *out)
{
	size_t n = (size_t)j->head.len;
	char *p = malloc(n ? n : 1);
	const char *no = not_now;

	if (p && read_header(j->spool, p, n, &j->err) == 0) {
		if (authres_strip(slice_make(p, n), slice_cstr(j->s->base.env->hostname), out)) {
			j->body = n;
		}
		no = out->err ? not_now : NULL;
	}
	free(p);
	return no;
}

CO_FN static const char *prepare_stranger(struct job *j, const struct smtp_intake *in)
{
	size_t n = (size_t)in->head.len;
	const char *no = NULL;

	if (verify_wanted(j->s->base.env, &j->s->base.conn.peer)) {
		char *p = malloc(n ? n : 1);

		no = not_now;
		if (p && read_header(in->spool, p, n, &j->err) == 0) {
			no = verify(j, in, slice_make(p, n));
		}
		free(p);
	}
	return no;
}

/* ---- writing ------------------------------------------------------------ */

/* NULL, or the reply that fits a store result. */
static const char *write_reply(int r)
{
	switch (r) {
	case STORE_OK:
		return NULL;
	case STORE_FULL:
	case -ENOSPC:
		return no_room;
	case -EMSGSIZE:
		return "552 5.3.4 message too big";
	default:
		return not_now;
	}
}

CO_FN static int copy_body(struct job *j)
{
	char *chunk = malloc(SMTP_CHUNK);
	int r = chunk ? 0 : -ENOMEM;
	ssize_t n = 1;

	while (r == 0 && n > 0) {
		n = spool_read(j->spool, j->body, chunk, SMTP_CHUNK, &j->err);
		if (n < 0) {
			r = (int)n;
		} else if (n > 0) {
			j->body += (uint64_t)n;
			r = store_writer_add(j->writer, slice_make(chunk, (size_t)n), &j->err);
		}
	}
	free(chunk);
	return r;
}

CO_FN static int write_message(struct job *j)
{
	struct smtp_tx *tx = j->s->tx;
	char meta[META_MAX];
	int n = snprintf(meta, sizeof(meta), "%s <%.*s>", j->id, SLICE_ARG(tx->first));
	int r;

	n = MIN(n, META_MAX - 1);
	r = store_writer_new(j->s->base.env->store, slice_make(meta, (size_t)MAX(n, 0)), &j->writer,
			     &j->err);
	if (r == 0) {
		r = j->front.err ? j->front.err
				 : store_writer_add(j->writer, buf_slice(&j->front), &j->err);
	}
	if (r == 0) {
		r = copy_body(j);
	}
	return r == 0 ? store_writer_end(j->writer, &j->err) : r;
}

/* ---- delivering --------------------------------------------------------- */

CO_FN static const char *over_quota(struct smtp_session *s, uint64_t account, uint64_t size)
{
	struct store_usage u;

	if (store_usage(s->base.env->store, account, &u, NULL) == STORE_OK && u.quota_bytes &&
	    size > u.quota_bytes) {
		return "552 5.2.2 message is too big for a mailbox";
	}
	return "452 4.2.2 a mailbox is full";
}

/* Room in every mailbox, now that the size is known? NULL, or the reply. */
CO_FN static const char *check_room(struct job *j)
{
	struct smtp_tx *tx = j->s->tx;
	uint64_t size = store_writer_size(j->writer);

	for (size_t i = 0; i < tx->n_accounts; i++) {
		int r = store_would_fit(j->s->base.env->store, tx->accounts[i], size);

		if (r == STORE_OVERQUOTA) {
			return over_quota(j->s, tx->accounts[i], size);
		}
		if (r == STORE_FULL) {
			return no_room;
		}
	}
	return NULL;
}

/* What became of a number of accounts. */
struct sum {
	size_t ok, gone, full, over, failed;
};

static void add_result(struct sum *n, int result)
{
	switch (result) {
	case STORE_OK:
		n->ok++;
		break;
	case STORE_NOTFOUND:
		n->gone++;
		break;
	case STORE_FULL:
		n->full++;
		break;
	case STORE_OVERQUOTA:
		n->over++;
		break;
	default:
		n->failed++;
	}
}

/* One reply for all of them: see README.md. NULL: everyone has it. */
CO_FN static const char *sum_up(struct job *j, const struct sum *n)
{
	if (n->full + n->over + n->failed == 0) {
		return n->ok ? NULL : "550 5.1.1 no such user here any more";
	}
	if (n->ok) {
		conn_log(&j->s->base.conn, LOG_ERROR, "deliver.partial", LOG_C("id", j->id),
			 LOG_I("delivered", n->ok), LOG_I("overquota", n->over),
			 LOG_I("full", n->full), LOG_I("failed", n->failed));
		return not_now;
	}
	return n->failed ? not_now : n->full ? no_room : "452 4.2.2 a mailbox is full";
}

CO_FN static const char *sum_up_all(struct job *j, const struct store_rcpt *r)
{
	struct sum sum = { 0 };

	for (size_t i = 0; i < j->s->tx->n_accounts; i++) {
		add_result(&sum, r[i].result);
	}
	return sum_up(j, &sum);
}

/* LMTP: each recipient has its own answer. NULL, or the one they all have. */
CO_FN static const char *sum_up_each(struct job *j, const struct store_rcpt *r)
{
	const char *same = NULL;
	bool any = false;

	for (struct smtp_rcpt *x = j->s->tx->rcpts; x; x = x->next) {
		struct sum sum = { 0 };

		for (size_t i = 0; i < x->n_accounts; i++) {
			add_result(&sum, r[x->accounts[i]].result);
		}
		x->reply = sum_up(j, &sum);
		any = any || !x->reply;
		same = x->reply;
	}
	return any ? NULL : same;
}

CO_FN static const char *hand_over(struct job *j)
{
	struct smtp_tx *tx = j->s->tx;
	bool each = j->s->role == SMTP_LMTP;
	struct store_rcpt *rcpts;
	const char *no = each ? NULL : check_room(j);
	int r;

	if (no) {
		return no;
	}
	rcpts = calloc(tx->n_accounts, sizeof(*rcpts));
	if (!rcpts) {
		return not_now;
	}
	for (size_t i = 0; i < tx->n_accounts; i++) {
		rcpts[i].account = tx->accounts[i];
		rcpts[i].junk = j->junk;
	}
	r = store_deliver(j->s->base.env->store, j->writer, rcpts, tx->n_accounts, &j->err);
	if (r != 0) {
		no = write_reply(r);
	} else {
		no = each ? sum_up_each(j, rcpts) : sum_up_all(j, rcpts);
	}
	free(rcpts);
	return no;
}

CO_FN static const char *deliver(struct job *j, const struct smtp_intake *in)
{
	const char *no = convert(j, in);
	int r;

	if (!no && j->s->role == SMTP_MX) {
		no = prepare_stranger(j, in);
	}
	add_trace(j);
	if (!no && j->s->role == SMTP_SUBMISSION) {
		no = prepare_submission(j);
	} else if (!no && j->s->role == SMTP_MX) {
		no = strip_forged(j, &j->front);
	}
	if (no) {
		return no;
	}
	r = write_message(j);
	if (r == 0) {
		r = smtp_gate_first(j->s);
	}
	no = r != 0 ? write_reply(r) : hand_over(j);
	if (!no && !j->junk) {
		smtp_gate_remember(j->s);
	}
	return no;
}

CO_FN static void log_result(struct job *j, const char *no)
{
	const struct smtp_tx *tx = j->s->tx;
	char text[256];

	if (!no) {
		conn_log(&j->s->base.conn, LOG_INFO, "mail.accepted", LOG_C("id", j->id),
			 LOG_S("from", tx->from), LOG_S("rcpt", tx->first),
			 LOG_I("rcpts", tx->n_rcpt), LOG_I("accounts", tx->n_accounts),
			 LOG_I("size", store_writer_size(j->writer)),
			 LOG_I("priority", tx->params.priority));
		return;
	}
	conn_log(&j->s->base.conn, j->err.code < 0 ? LOG_ERROR : LOG_INFO, "mail.refused",
		 LOG_C("id", j->id), LOG_S("from", tx->from), LOG_S("rcpt", tx->first),
		 LOG_I("size", spool_size(j->spool)), LOG_C("reply", no),
		 LOG_C("reason", j->err.code ? err_str(&j->err, text, sizeof(text)) : ""));
}

const char *smtp_deliver(struct smtp_session *s, struct smtp_intake *in, char *text, size_t cap)
{
	struct job *j = calloc(1, sizeof(*j));
	const char *no;

	if (!j) {
		return not_now;
	}
	j->s = s;
	j->spool = in->spool;
	j->head = in->head;
	buf_init(&j->front, SMTP_HEADER_MAX + SMTP_TRACE_MAX + FINDINGS_MAX);
	buf_init(&j->findings, FINDINGS_MAX);
	snprintf(j->id, sizeof(j->id), "%s", s->tx->id);
	no = deliver(j, in);
	smtp_record_front(s, buf_slice(&j->front));
	s->tx->logged = true;
	log_result(j, no);
	if (!no) {
		snprintf(text, cap, "250 2.0.0 OK id=%s", j->id);
	} else if (no == j->reply) {
		snprintf(text, cap, "%s", j->reply);
		no = NULL;
	}
	store_writer_free(&j->writer);
	spool_free(&j->converted);
	buf_fini(&j->front);
	buf_fini(&j->findings);
	free(j);
	return no ? no : text;
}
