/*
 * What a message becomes before it is stored: trace fields (RFC 5321 4.4, 3848,
 * 6531 4.3), binary parts converted (RFC 3030), submission fixes (RFC 6409 8),
 * and what is known of a stranger (RFC 8601).
 */
#include <stdlib.h>

#include "mime/binary.h"
#include "mime/header.h"
#include "smtp/job.h"
#include "smtp/record.h"
#include "smtp/report.h"
#include "trust/authres.h"

/* The first n octets, which out has room for. 0 or -errno. */
CO_FN static int load_header(struct spool *spool, uint64_t n, struct buf *out, struct err *e)
{
	char *p = buf_reserve(out, (size_t)n);

	while (p && out->n < n) {
		ssize_t r = spool_read(spool, out->n, p + out->n, (size_t)n - out->n, e);

		if (r <= 0) {
			return r < 0 ? (int)r : -EIO;
		}
		buf_commit(out, (size_t)r);
	}
	return p ? 0 : -ENOMEM;
}

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

static void add_trace(struct smtp_job *j)
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
	struct smtp_job *j = arg;

	co_enter();
	smtp_header_feed(&j->head, data);
	return spool_write(j->converted, data, &j->err);
}

/*
 * What the store keeps can be given to any client: binary parts of a
 * BINARYMIME message become base64 (docs/adr/0075). NULL, or the reply.
 */
CO_FN static const char *convert(struct smtp_job *j, const struct smtp_intake *in)
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
	j->spool = j->converted ? j->converted : j->spool;
	switch (r) {
	case 0:
		return j->head.too_big ? "552 5.3.4 message header too big" : NULL;
	case -EILSEQ:
		return "550 5.6.0 a bare CR, bare LF or NUL stands where no binary part is";
	case -EMSGSIZE:
		return "552 5.3.4 message too big";
	case -ENOSPC:
	case -EDQUOT:
		return SMTP_NO_ROOM;
	default:
		return SMTP_NOT_NOW;
	}
}

/* ---- submission --------------------------------------------------------- */

/* Is each address in this field one that the account may use? 1, 0, <0. */
CO_FN static int owns_all(struct smtp_session *s, struct slice body)
{
	struct buf spec = BUF_INIT(1024);
	bool any = slice_trim(body).n == 0; /* nothing is nobody's */
	struct arena arena;
	int r = 1;

	arena_init(&arena, 256 * 1024);
	for (struct mime_addr *a = mime_addr_parse(body, &arena); a && r == 1; a = a->next) {
		if (a->mailbox.p && a->host.p) {
			any = true;
			buf_reset(&spec);
			mime_addr_spec(a, &spec);
			r = spec.err
				    ? 0
				    : auth_owns(s->base.env->auth, s->id.account, buf_slice(&spec));
		}
	}
	if (arena_err(&arena) || !any) {
		r = r < 0 ? r : 0; /* too many, or a group of nobody */
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
				return r < 0 ? SMTP_NOT_NOW
					     : "550 5.7.1 From or Sender is "
					       "not your address";
			}
		}
	}
	return NULL;
}

/* Puts the fixed header in front; the spool then counts from the body on. */
CO_FN static const char *prepare_submission(struct smtp_job *j, struct slice header)
{
	const char *hostname = j->s->base.env->hostname;
	const char *no = check_authors(j->s, header);

	if (no) {
		return no;
	}
	switch (smtp_header_fix(header, hostname, clock_wall(), &j->front)) {
	case SMTP_FIX_NO_FROM:
		return "550 5.6.0 message needs a From field";
	case SMTP_FIX_MANY_FROM:
		return "550 5.7.1 message has two From fields";
	case SMTP_FIX_OK:
		break;
	}
	j->body = j->head.len;
	return NULL;
}

/* ---- strangers ---------------------------------------------------------- */

/* What the checks say of the message as it came. NULL, or the reply. */
CO_FN static const char *verify(struct smtp_job *j, const struct smtp_intake *in,
				struct slice header)
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
	const char *no = SMTP_NOT_NOW;

	if (found && verify_message(&v, found, &j->err) == 0) {
		verify_field(&v, found, &j->findings);
		verify_summary(found, &text);
		smtp_record_verdict(s, found);
		smtp_report(s, found);
		conn_log(&s->base.conn, LOG_INFO, "mail.verified", LOG_C("id", j->id),
			 LOG_S("results", buf_slice(&text)), LOG_S("why", found->why));
		j->junk = found->action == VERIFY_JUNK;
		no = j->findings.err ? SMTP_NOT_NOW : NULL;
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

/* The message as it came is asked about, which is not always what is stored. */
CO_FN static const char *verify_stranger(struct smtp_job *j, const struct smtp_intake *in,
					 struct slice header)
{
	struct buf original = BUF_INIT(SMTP_HEADER_MAX + 1);
	const char *no = NULL;

	if (!verify_wanted(j->s->base.env, &j->s->base.conn.peer)) {
		return NULL;
	}
	if (j->spool == in->spool) {
		return verify(j, in, header);
	}
	no = SMTP_NOT_NOW;
	if (load_header(in->spool, in->head.len, &original, &j->err) == 0) {
		no = verify(j, in, buf_slice(&original));
	}
	buf_fini(&original);
	return no;
}

/* ---- all of it ------------------------------------------------------------ */

/* What stands in front of the body. Fields that claim to be ours are taken out
 * (RFC 8601 5). */
CO_FN static const char *prepare_header(struct smtp_job *j, const struct smtp_intake *in,
					struct slice header)
{
	struct buf clean = BUF_INIT(SMTP_HEADER_MAX + 1);
	bool forged = authres_strip(header, slice_cstr(j->s->base.env->hostname), &clean) > 0;
	const char *no = clean.err ? SMTP_NOT_NOW : NULL;

	if (!no && j->s->role == SMTP_MX) {
		no = verify_stranger(j, in, header);
	}
	add_trace(j);
	if (!no && j->s->role == SMTP_SUBMISSION) {
		no = prepare_submission(j, forged ? buf_slice(&clean) : header);
	} else if (!no && forged) {
		buf_add(&j->front, buf_slice(&clean));
		j->body = j->head.len;
	}
	buf_fini(&clean);
	return no;
}

const char *smtp_prepare(struct smtp_job *j, const struct smtp_intake *in)
{
	struct buf header = BUF_INIT(SMTP_HEADER_MAX + 1);
	const char *no = convert(j, in);

	if (no) {
		return no;
	}
	if (j->s->role == SMTP_LMTP) {
		add_trace(j); /* who is in front of us did the rest */
		return NULL;
	}
	no = SMTP_NOT_NOW;
	if (load_header(j->spool, j->head.len, &header, &j->err) == 0) {
		no = prepare_header(j, in, buf_slice(&header));
	}
	buf_fini(&header);
	return no;
}
