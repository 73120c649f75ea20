/*
 * DATA: the message itself, through the dot decoder into the spool.
 *
 * Whatever is wrong with a message, it is read to its true end, so that no
 * part of it is ever taken for a command (THREATS SM-01, SM-07); only its
 * sheer length may end the connection.
 */
#include "smtp/intake.h"
#include "smtp/record.h"

/* Reads up to the true end. 0; -EMSGSIZE: far too long; -errno: the
 * connection is gone. */
CO_FN static int receive(struct smtp_session *s, struct smtp_intake *in)
{
	struct conn *c = &s->base.conn;
	struct buf piece = BUF_INIT(SMTP_CHUNK + 8);
	struct dot_dec dec;
	int64_t start = clock_in_ms(c->timeout_ms);
	int r = 0;

	dot_dec_init(&dec);
	while (r == 0 && !dec.done) {
		ssize_t n;
		size_t used;

		c->until = start + (int64_t)(dec.size / SMTP_BYTES_PER_SEC_MIN) * NSEC_PER_SEC;
		n = conn_read_raw(c, in->chunk, SMTP_CHUNK);
		if (n <= 0) {
			r = n == 0 ? -ECONNRESET : (int)n;
			break;
		}
		used = dot_dec_feed(&dec, slice_make(in->chunk, (size_t)n), &piece);
		if (dec.done) {
			conn_unread(c, slice_make(in->chunk + used, (size_t)n - used));
		}
		smtp_intake_add(in, buf_slice(&piece));
		buf_reset(&piece);
		if (dec.size > smtp_drain_max(s)) {
			r = -EMSGSIZE;
		} else if (co_breathe() != 0) {
			r = -ECANCELED;
		}
	}
	in->flags |= dec.flags;
	buf_fini(&piece);
	return r;
}

CO_FN static void take_message(struct smtp_session *s, struct smtp_intake *in)
{
	int r;

	conn_write(&s->base.conn, S("354 end with <CR><LF>.<CR><LF>\r\n"));
	r = receive(s, in);
	if (r == 0) {
		smtp_intake_finish(s, in);
	} else {
		smtp_record_message(s, &in->head, in->size);
		smtp_broken_off(s, in->size, r);
	}
}

/* data = "DATA" CRLF                                        RFC 5321 4.1.1.4 */
int smtp_data(void *session, void *cmd)
{
	struct smtp_session *s = session;
	struct smtp_cmd *p = cmd;
	struct smtp_intake *in;

	if (slice_trim(p->args).n) {
		return smtp_reply(s, "501 5.5.4 no argument expected");
	}
	if (s->tx->n_rcpt == 0) {
		/* RFC 2920 3.2 (4), RFC 2033 4.2 */
		return smtp_reply(s, s->role == SMTP_LMTP ? "503 5.5.1 no valid recipients"
							  : "554 5.5.1 no valid recipients");
	}
	if (s->tx->params.body == SMTP_BODY_BINARYMIME) {
		return smtp_reply(s, "503 5.5.1 a BINARYMIME message comes with BDAT");
	}
	in = smtp_intake_new(s);
	if (!in) {
		smtp_record_decision(s);
		smtp_reply(s, "451 4.3.0 out of memory");
		smtp_reset(s);
		return 0;
	}
	take_message(s, in);
	smtp_reset(s);
	smtp_intake_free(&in);
	return 0;
}
