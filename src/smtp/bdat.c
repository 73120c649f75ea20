/*
 * BDAT: the message in chunks of announced length (RFC 3030), text or binary.
 *
 * The octets behind a BDAT line are the chunk's whatever is said to them: each
 * chunk is read to its last octet before anything else is looked at. Where its
 * length cannot be known, or is more than we care to read, the connection ends
 * (THREATS SM-12, SM-13). A refused chunk ends the transaction, so that those
 * pipelined behind it are refused as well. Chunks cost no memory of their own.
 */
#include <stdlib.h>

#include "smtp/intake.h"
#include "smtp/record.h"

#define CHUNK_DIGITS_MAX 20

/* bdat-cmd = "BDAT" SP chunk-size [SP "LAST"]; chunk-size = 1*DIGIT */
static bool parse(struct slice args, uint64_t *size, bool *last)
{
	struct slice number = slice_split(&args, ' ');

	*last = args.p != NULL;
	return number.n <= CHUNK_DIGITS_MAX && slice_u64(number, size) == 0 &&
	       (!*last || slice_ieq(args, S("LAST")));
}

/* Why no chunk can be taken here at all; NULL: it can. */
static const char *misplaced(const struct smtp_session *s)
{
	switch (s->state) {
	case SMTP_START:
		return "503 5.5.1 say EHLO or HELO first";
	case SMTP_READY:
		return "503 5.5.1 MAIL first";
	case SMTP_MAIL:
		return "554 5.5.1 no valid recipients";
	default:
		return NULL;
	}
}

/*
 * Reads exactly n octets, into the message or to nowhere. 0, or -errno: the
 * connection is gone.
 */
CO_FN static int read_chunk(struct smtp_session *s, struct smtp_intake *in, uint64_t n)
{
	struct conn *c = &s->base.conn;
	int64_t start = clock_in_ms(c->timeout_ms);
	char *nowhere = in ? NULL : malloc(SMTP_CHUNK);
	char *p = in ? in->chunk : nowhere;
	uint64_t left = n;
	int r = p ? 0 : -ENOMEM;

	while (r == 0 && left > 0) {
		ssize_t got;

		c->until = start + (int64_t)((n - left) / SMTP_BYTES_PER_SEC_MIN) * NSEC_PER_SEC;
		got = conn_read_raw(c, p, (size_t)MIN(left, SMTP_CHUNK));
		if (got <= 0) {
			r = got == 0 ? -ECONNRESET : (int)got;
			break;
		}
		left -= (uint64_t)got;
		if (in) {
			smtp_intake_look(in, slice_make(p, (size_t)got));
			smtp_intake_add(in, slice_make(p, (size_t)got));
		}
		r = co_breathe() != 0 ? -ECANCELED : 0;
	}
	free(nowhere);
	return r;
}

/*
 * One reply to a chunk, but in LMTP one for each accepted recipient to the last
 * one, also behind a chunk that was refused, and none if there is no recipient
 * (RFC 2033 4.3): a client that pipelines counts them.
 */
CO_FN static void answer(struct smtp_session *s, bool last, const char *why)
{
	if (s->role != SMTP_LMTP || !last) {
		s->owed = s->tx ? s->tx->n_rcpt : s->owed;
		smtp_reply(s, why);
		return;
	}
	for (unsigned n = s->tx ? s->tx->n_rcpt : s->owed; n > 0; n--) {
		smtp_reply(s, why);
	}
	s->owed = 0;
}

/* The chunk goes nowhere: reads it, says why, and ends the transaction. */
CO_FN static int refuse(struct smtp_session *s, uint64_t n, bool last, const char *why)
{
	uint64_t max = smtp_drain_max(s);
	int r;

	if (n > max - MIN(max, s->dropped)) {
		smtp_bye(s, why);
		smtp_reset(s);
		return 0;
	}
	s->dropped += n;
	r = read_chunk(s, NULL, n);
	if (r != 0) {
		smtp_broken_off(s, n, r);
	} else {
		smtp_record_decision(s);
		answer(s, last, why);
	}
	smtp_reset(s);
	return 0;
}

/* A message in drips, with a pause behind each (THREATS RS-01)? */
static bool is_too_slow(const struct smtp_session *s)
{
	int64_t pause = s->base.conn.timeout_ms * NSEC_PER_MSEC;
	int64_t fair = (int64_t)(s->tx->intake->size / SMTP_BYTES_PER_SEC_MIN) * NSEC_PER_SEC;

	return clock_mono() > s->tx->begun + 2 * pause + fair;
}

CO_FN static int taken(struct smtp_session *s, struct smtp_intake *in, uint64_t n, bool last)
{
	const char *no;

	if (last) {
		smtp_intake_finish(s, in);
		smtp_reset(s);
		return 0;
	}
	no = smtp_intake_judge(in);
	if (no) {
		smtp_record_message(s, &in->head, in->size);
		smtp_record_decision(s);
		smtp_log_refused(s, in, no);
		answer(s, false, no);
		smtp_reset(s);
		return 0;
	}
	s->junk += n == 0;
	conn_printf(&s->base.conn, "250 2.0.0 %llu octets received\r\n", (unsigned long long)n);
	return 0;
}

/* Room for one more chunk of n octets? NULL, or the reply. */
static const char *make_room(struct smtp_session *s, uint64_t n)
{
	struct smtp_tx *tx = s->tx;

	if (!tx->intake) {
		tx->intake = smtp_intake_new(s);
		tx->begun = clock_mono();
	}
	if (!tx->intake) {
		return "451 4.3.0 out of memory";
	}
	return n > tx->intake->max || tx->intake->size > tx->intake->max - n
		       ? "552 5.3.4 message too big"
		       : NULL;
}

int smtp_bdat(void *session, void *cmd)
{
	struct smtp_session *s = session;
	struct smtp_cmd *p = cmd;
	const char *no = misplaced(s);
	uint64_t n = 0;
	bool last = false;
	int r;

	if (!parse(p->args, &n, &last)) {
		return smtp_bye(s, "501 5.5.4 syntax: BDAT size [LAST]; goodbye, since where "
				   "the next command begins is unknown");
	}
	no = no ? no : make_room(s, n);
	if (no) {
		return refuse(s, n, last, no);
	}
	if (is_too_slow(s)) {
		return smtp_bye(s, "421 4.4.2 too slow, goodbye");
	}
	s->state = SMTP_BDAT;
	r = read_chunk(s, s->tx->intake, n);
	if (r != 0) {
		smtp_record_message(s, &s->tx->intake->head, s->tx->intake->size);
		smtp_broken_off(s, s->tx->intake->size, r);
		smtp_reset(s);
		return 0;
	}
	return taken(s, s->tx->intake, n, last);
}
