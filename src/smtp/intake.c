/*
 * A message on its way into the spool, and what becomes of it: intake.h. DATA
 * and BDAT share everything from here on.
 */
#include "smtp/intake.h"
#include "smtp/record.h"

#include <stdlib.h>

struct smtp_intake *smtp_intake_new(struct smtp_session *s)
{
	const char *dir = store_tmp_dir(s->base.env->store);
	struct smtp_intake *in = calloc(1, sizeof(*in));

	if (!in) {
		return NULL;
	}
	in->max = smtp_message_max(s);
	in->binary = s->tx->params.body == SMTP_BODY_BINARYMIME;
	/* The dot decoder may give out a held back CR with what follows. */
	buf_init(&in->piece, 2 * SMTP_CHUNK + 8);
	in->chunk = malloc(SMTP_CHUNK);
	if (!in->chunk || spool_new(dir ? dir : "/tmp", in->max, &in->spool) != 0) {
		smtp_intake_free(&in);
	}
	return in;
}

void smtp_intake_free(struct smtp_intake **ip)
{
	struct smtp_intake *in = TAKE_PTR(*ip);

	if (in) {
		spool_free(&in->spool);
		buf_fini(&in->piece);
		free(in->chunk);
		free(in);
	}
}

uint64_t smtp_drain_max(const struct smtp_session *s)
{
	uint64_t max = smtp_message_max(s);

	return MAX(max * SMTP_DRAIN_FACTOR, max + SMTP_DRAIN_MIN);
}

/* Small chunks collect here: the spool may be a file. */
CO_FN static void flush(struct smtp_intake *in)
{
	if (in->spool_err == 0 && in->size <= in->max) {
		in->spool_err = in->piece.err
					? in->piece.err
					: spool_write(in->spool, buf_slice(&in->piece), &in->err);
	}
	buf_reset(&in->piece);
}

void smtp_intake_add(struct smtp_intake *in, struct slice data)
{
	smtp_header_feed(&in->head, data);
	in->size += data.n;
	buf_add(&in->piece, data);
	if (in->piece.n >= SMTP_CHUNK || in->piece.err) {
		flush(in);
	}
}

void smtp_intake_look(struct smtp_intake *in, struct slice data)
{
	for (size_t i = 0; i < data.n; i++) {
		char c = data.p[i];

		if (in->cr && c != '\n') {
			in->flags |= DOT_BARE_CR;
		} else if (c == '\n' && !in->cr) {
			in->flags |= DOT_BARE_LF;
		}
		if (c == '\0') {
			in->flags |= DOT_NUL;
		}
		in->cr = c == '\r';
	}
}

const char *smtp_intake_judge(const struct smtp_intake *in)
{
	if (!in->binary && (in->flags & (DOT_BARE_CR | DOT_BARE_LF | DOT_NUL))) {
		return "550 5.5.2 message holds a bare CR, bare LF or NUL";
	}
	if (in->size > in->max) {
		return "552 5.3.4 message too big";
	}
	if (in->head.too_big) {
		return "552 5.3.4 message header too big";
	}
	if (in->head.folded) { /* it would go on with the field that we put in front */
		return "550 5.6.0 message begins with a continuation line";
	}
	if (in->head.received > SMTP_HOPS_MAX) {
		return "554 5.4.6 too many hops, this message is in a loop";
	}
	switch (in->spool_err) {
	case 0:
		return NULL;
	case -ENOSPC:
	case -EDQUOT:
		return "452 4.3.1 no room for mail now, try again later";
	default:
		return "451 4.3.0 cannot take mail now, try again later";
	}
}

void smtp_log_refused(struct smtp_session *s, const struct smtp_intake *in, const char *reply)
{
	char text[256];

	s->tx->logged = true;
	conn_log(&s->base.conn, in->spool_err ? LOG_ERROR : LOG_INFO, "mail.refused",
		 LOG_C("id", s->tx->id), LOG_S("from", s->tx->from), LOG_S("rcpt", s->tx->first),
		 LOG_I("size", in->size), LOG_C("reply", reply),
		 LOG_C("reason", in->spool_err ? err_str(&in->err, text, sizeof(text)) : ""));
}

void smtp_intake_finish(struct smtp_session *s, struct smtp_intake *in)
{
	char text[SMTP_LINE_MAX];
	const char *reply;

	flush(in);
	if (in->cr) {
		in->flags |= DOT_BARE_CR; /* BDAT: nothing follows it */
	}
	s->bytes += in->size;
	smtp_record_message(s, &in->head, in->size);
	smtp_record_decision(s);
	reply = smtp_intake_judge(in);
	if (reply) {
		smtp_log_refused(s, in, reply);
	} else {
		reply = smtp_deliver(s, in, text, sizeof(text));
	}
	if (reply[0] == '2') {
		s->junk = 0;
	}
	smtp_answer(s, reply);
}

void smtp_broken_off(struct smtp_session *s, uint64_t size, int r)
{
	s->ended = true;
	if (s->tx) {
		s->tx->logged = true;
	}
	conn_log(&s->base.conn, LOG_INFO, "mail.broken_off", LOG_C("id", s->tx ? s->tx->id : ""),
		 LOG_S("from", s->tx ? s->tx->from : S("")), LOG_I("size", size), LOG_I("code", r));
	if (r == -EMSGSIZE) {
		smtp_reply(s, "421 4.3.4 message far too big, goodbye");
	} else if (r == -ETIMEDOUT) {
		smtp_reply(s, "421 4.4.2 too slow, goodbye");
	} else if (r == -ECANCELED) {
		smtp_say_cut(s);
	}
}
