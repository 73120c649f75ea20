/*
 * DATA: the message comes in (RFC 5321 4.1.1.4, 4.5.2).
 *
 * Bytes pass the strict dot decoder into a spool; what must be known of the
 * header is seen on the way. Whatever is wrong with a message, it is read to
 * its true end, so that no part of it is ever taken for a command
 * (THREATS SM-01, SM-07); only its sheer length may end the connection.
 */
#include <stdlib.h>

#include "io/dot.h"
#include "io/spool.h"
#include "smtp/internal.h"

/* How much more than the limit is read and dropped before we hang up. */
#define DRAIN_FACTOR 2
#define DRAIN_MIN (16u * 1024 * 1024)
/* Slower than this, over the whole message, is too slow (THREATS RS-01). */
#define BYTES_PER_SEC_MIN 500

struct intake {
	struct dot_dec dec;
	struct smtp_header head;
	struct spool *spool;
	struct buf piece;
	char *chunk;
	uint64_t max;
	int spool_err;
	struct err err;
};

static int intake_init(struct intake *in, struct smtp_session *s)
{
	const char *dir = store_tmp_dir(s->base.env->store);

	*in = (struct intake){ .max = smtp_message_max(s) };
	dot_dec_init(&in->dec);
	/* The decoder may give out a held back CR with what follows. */
	buf_init(&in->piece, SMTP_CHUNK + 8);
	in->chunk = malloc(SMTP_CHUNK);
	if (!in->chunk || spool_new(dir ? dir : "/tmp", in->max, &in->spool) != 0) {
		free(in->chunk);
		return -ENOMEM;
	}
	return 0;
}

static void intake_fini(struct intake *in)
{
	spool_free(&in->spool);
	buf_fini(&in->piece);
	free(in->chunk);
}

CO_FN static void keep_piece(struct intake *in)
{
	struct slice data = buf_slice(&in->piece);

	smtp_header_feed(&in->head, data);
	if (in->spool_err == 0 && in->dec.size <= in->max) {
		in->spool_err =
			in->piece.err ? in->piece.err : spool_write(in->spool, data, &in->err);
	}
	buf_reset(&in->piece);
}

/* Reads up to the true end. 0; -EMSGSIZE: far too long; -errno: the
 * connection is gone. */
CO_FN static int receive(struct intake *in, struct conn *c)
{
	uint64_t limit = MAX(in->max * DRAIN_FACTOR, in->max + DRAIN_MIN);
	int64_t start = clock_in_ms(c->timeout_ms);

	while (!in->dec.done) {
		ssize_t n;
		size_t used;

		c->until = start + (int64_t)(in->dec.size / BYTES_PER_SEC_MIN) * NSEC_PER_SEC;
		n = conn_read_raw(c, in->chunk, SMTP_CHUNK);
		if (n <= 0) {
			return n == 0 ? -ECONNRESET : (int)n;
		}
		used = dot_dec_feed(&in->dec, slice_make(in->chunk, (size_t)n), &in->piece);
		if (in->dec.done) {
			conn_unread(c, slice_make(in->chunk + used, (size_t)n - used));
		}
		keep_piece(in);
		if (in->dec.size > limit) {
			return -EMSGSIZE;
		}
		if (co_breathe() != 0) {
			return -ECANCELED;
		}
	}
	return 0;
}

/* What is wrong with the message as received; NULL: nothing. */
static const char *judge(const struct intake *in)
{
	if (in->dec.flags & (DOT_BARE_CR | DOT_BARE_LF | DOT_NUL)) {
		return "550 5.5.2 message holds a bare CR, bare LF or NUL";
	}
	if (in->dec.size > in->max) {
		return "552 5.3.4 message too big";
	}
	if (in->head.too_big) {
		return "552 5.3.4 message header too big";
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

CO_FN static void log_refused(struct smtp_session *s, const struct intake *in, const char *reply)
{
	char text[256];

	conn_log(&s->base.conn, in->spool_err ? LOG_ERROR : LOG_INFO, "mail.refused",
		 LOG_S("from", s->tx->from), LOG_S("rcpt", s->tx->first),
		 LOG_I("size", in->dec.size), LOG_C("reply", reply),
		 LOG_C("reason", in->spool_err ? err_str(&in->err, text, sizeof(text)) : ""));
}

CO_FN static void answer(struct smtp_session *s, struct intake *in)
{
	char text[128];
	const char *reply = judge(in);

	s->bytes += in->dec.size;
	if (reply) {
		log_refused(s, in, reply);
	} else {
		reply = smtp_deliver(s, in->spool, &in->head, text, sizeof(text));
	}
	if (reply[0] == '2') {
		s->junk = 0;
	}
	smtp_reply(s, reply);
}

CO_FN static void take_message(struct smtp_session *s, struct intake *in)
{
	int r;

	conn_write(&s->base.conn, S("354 end with <CR><LF>.<CR><LF>\r\n"));
	r = receive(in, &s->base.conn);
	if (r == 0) {
		answer(s, in);
		return;
	}
	s->ended = true;
	conn_log(&s->base.conn, LOG_INFO, "mail.broken_off", LOG_S("from", s->tx->from),
		 LOG_I("size", in->dec.size), LOG_I("code", r));
	if (r == -EMSGSIZE) {
		smtp_reply(s, "421 4.3.4 message far too big, goodbye");
	} else if (r == -ETIMEDOUT) {
		smtp_reply(s, "421 4.4.2 too slow, goodbye");
	} else if (r == -ECANCELED) {
		smtp_say_cut(s);
	}
}

/* data = "DATA" CRLF                                        RFC 5321 4.1.1.4 */
int smtp_data(void *session, void *cmd)
{
	struct smtp_session *s = session;
	struct smtp_cmd *p = cmd;
	struct intake *in;

	if (slice_trim(p->args).n) {
		return smtp_reply(s, "501 5.5.4 no argument expected");
	}
	if (s->tx->n_rcpt == 0) {
		return smtp_reply(s, "554 5.5.1 no valid recipients");
	}
	in = malloc(sizeof(*in));
	if (!in || intake_init(in, s) != 0) {
		free(in);
		smtp_reset(s);
		return smtp_reply(s, "451 4.3.0 out of memory");
	}
	take_message(s, in);
	smtp_reset(s);
	intake_fini(in);
	free(in);
	return 0;
}
