/*
 * The extensions: one table for EHLO's answer and for which parameters are
 * known (params.c).
 *
 * A row is on when all of what its RFC demands is done. Those that are off ask
 * for a queue or for reports to be sent: their parameters are read, checked
 * and tested (params_test.c), and unknown to clients until then.
 */
#include <inttypes.h>

#include "smtp/internal.h"

#define MX (1u << SMTP_MX)
#define SUBMISSION (1u << SMTP_SUBMISSION)
#define LMTP (1u << SMTP_LMTP)
#define ANY (MX | SUBMISSION | LMTP)

struct ext {
	const char *keyword;
	bool on;
	unsigned roles;
	bool (*offered)(const struct smtp_session *s); /* NULL: always */
	void (*arguments)(struct smtp_session *s, struct buf *out);
};

static bool under_tls(const struct smtp_session *s)
{
	return s->base.conn.tls_active;
}

static bool has_xclient(const struct smtp_session *s)
{
	return s->base.rename != NULL;
}

static void add_size(struct smtp_session *s, struct buf *out)
{
	buf_printf(out, " %" PRIu64, smtp_message_max(s));
}

static void add_limits(struct smtp_session *s, struct buf *out)
{
	buf_printf(out, " MAILMAX=%u RCPTMAX=%u", SMTP_MAILS_MAX, smtp_rcpt_max(s));
}

static void add_mechanisms(struct smtp_session *s, struct buf *out)
{
	buf_addc(out, ' ');
	sasl_mechanisms(s->base.env->auth, conn_tls(&s->base.conn), out);
}

static void add_attributes(struct smtp_session *s, struct buf *out)
{
	(void)s;
	buf_adds(out, " NAME ADDR PORT PROTO HELO");
}

static const struct ext table[SMTP_EXTS] = {
	[SMTP_EXT_PIPELINING] = { "PIPELINING", true, ANY, NULL, NULL },
	[SMTP_EXT_SIZE] = { "SIZE", true, ANY, NULL, add_size },
	[SMTP_EXT_8BITMIME] = { "8BITMIME", true, ANY, NULL, NULL },
	[SMTP_EXT_BINARYMIME] = { "BINARYMIME", true, ANY, NULL, NULL },
	[SMTP_EXT_CHUNKING] = { "CHUNKING", true, ANY, NULL, NULL },
	[SMTP_EXT_ENHANCEDSTATUSCODES] = { "ENHANCEDSTATUSCODES", true, ANY, NULL, NULL },
	[SMTP_EXT_LIMITS] = { "LIMITS", true, ANY, NULL, add_limits },
	[SMTP_EXT_MT_PRIORITY] = { "MT-PRIORITY", true, ANY, NULL, NULL },
	[SMTP_EXT_REQUIRETLS] = { "REQUIRETLS", true, ANY, under_tls, NULL },
	/* "delivered" reports are owed to who asks for them (RFC 3461 6.2) */
	[SMTP_EXT_DSN] = { "DSN", false, ANY, NULL, NULL },
	/* and "delayed" ones of what comes too late already (RFC 2852 4.1.3) */
	[SMTP_EXT_DELIVERBY] = { "DELIVERBY", false, ANY, NULL, NULL },
	/* nothing is held yet; its keyword has arguments (RFC 4865 3) */
	[SMTP_EXT_FUTURERELEASE] = { "FUTURERELEASE", false, SUBMISSION, NULL, NULL },
	[SMTP_EXT_STARTTLS] = { "STARTTLS", true, ANY, smtp_starttls_offered, NULL },
	[SMTP_EXT_AUTH] = { "AUTH", true, SUBMISSION, smtp_auth_offered, add_mechanisms },
	[SMTP_EXT_XCLIENT] = { "XCLIENT", true, ANY, has_xclient, add_attributes },
	[SMTP_EXT_HELP] = { "HELP", true, ANY, NULL, NULL },
	[SMTP_EXT_SMTPUTF8] = { "SMTPUTF8", true, ANY, NULL, NULL },
};

static bool is_offered(const struct smtp_session *s, const struct ext *e)
{
	return e->on && (e->roles & 1u << s->role) && (!e->offered || e->offered(s));
}

unsigned smtp_offered(const struct smtp_session *s)
{
	unsigned bits = 0;

	for (size_t i = 0; i < SMTP_EXTS; i++) {
		bits |= is_offered(s, &table[i]) ? SMTP_EXT_BIT(i) : 0;
	}
	/* Behind AUTH its parameter is welcome, and AUTH no more on offer. */
	if (s->role == SMTP_SUBMISSION) {
		bits |= SMTP_EXT_BIT(SMTP_EXT_AUTH);
	}
	return bits;
}

void smtp_list_extensions(struct smtp_session *s, struct buf *out)
{
	size_t last = out->n;

	for (size_t i = 0; i < SMTP_EXTS; i++) {
		if (is_offered(s, &table[i])) {
			last = out->n;
			buf_printf(out, "250-%s", table[i].keyword);
			if (table[i].arguments) {
				table[i].arguments(s, out);
			}
			buf_adds(out, "\r\n");
		}
	}
	if (!out->err) {
		out->p[last + 3] = ' ';
	}
}
