/*
 * From the spool to the store, and what to answer.
 *
 * One answer speaks for all recipients, so the order is: nothing is handed
 * over unless there is room for it in every mailbox; 250 only if everyone has
 * it, durably; see README.md for the rule when a race breaks this.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "smtp/job.h"
#include "smtp/record.h"

#define META_MAX 512 /* kv.h, KV_META_MAX */

/* ---- writing ------------------------------------------------------------ */

/* NULL, or the reply that fits a store result. */
static const char *write_reply(int r)
{
	switch (r) {
	case STORE_OK:
		return NULL;
	case STORE_FULL:
	case -ENOSPC:
		return SMTP_NO_ROOM;
	case -EMSGSIZE:
		return "552 5.3.4 message too big";
	default:
		return SMTP_NOT_NOW;
	}
}

CO_FN static int copy_body(struct smtp_job *j)
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

CO_FN static int write_message(struct smtp_job *j)
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
CO_FN static const char *check_room(struct smtp_job *j)
{
	struct smtp_tx *tx = j->s->tx;
	uint64_t size = store_writer_size(j->writer);

	for (size_t i = 0; i < tx->n_accounts; i++) {
		int r = store_would_fit(j->s->base.env->store, tx->accounts[i], size);

		if (r == STORE_OVERQUOTA) {
			return over_quota(j->s, tx->accounts[i], size);
		}
		if (r == STORE_FULL) {
			return SMTP_NO_ROOM;
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
CO_FN static const char *sum_up(struct smtp_job *j, const struct sum *n)
{
	if (n->full + n->over + n->failed == 0) {
		return n->ok ? NULL : "550 5.1.1 no such user here any more";
	}
	if (n->ok) {
		conn_log(&j->s->base.conn, LOG_ERROR, "deliver.partial", LOG_C("id", j->id),
			 LOG_I("delivered", n->ok), LOG_I("overquota", n->over),
			 LOG_I("full", n->full), LOG_I("failed", n->failed));
		return SMTP_NOT_NOW;
	}
	return n->failed ? SMTP_NOT_NOW : n->full ? SMTP_NO_ROOM : "452 4.2.2 a mailbox is full";
}

CO_FN static const char *sum_up_all(struct smtp_job *j, const struct store_rcpt *r)
{
	struct sum sum = { 0 };

	for (size_t i = 0; i < j->s->tx->n_accounts; i++) {
		add_result(&sum, r[i].result);
	}
	return sum_up(j, &sum);
}

/* LMTP: each recipient has its own answer. NULL, or the one they all have. */
CO_FN static const char *sum_up_each(struct smtp_job *j, const struct store_rcpt *r)
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

CO_FN static const char *hand_over(struct smtp_job *j)
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
		return SMTP_NOT_NOW;
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

CO_FN static const char *deliver(struct smtp_job *j, const struct smtp_intake *in)
{
	const char *no = smtp_prepare(j, in);
	int r;

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

CO_FN static void log_result(struct smtp_job *j, const char *no)
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
	struct smtp_job *j = calloc(1, sizeof(*j));
	const char *no;

	if (!j) {
		return SMTP_NOT_NOW;
	}
	j->s = s;
	j->spool = in->spool;
	j->head = in->head;
	buf_init(&j->front, SMTP_HEADER_MAX + SMTP_TRACE_MAX + VERIFY_FIELD_MAX);
	buf_init(&j->findings, VERIFY_FIELD_MAX);
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
