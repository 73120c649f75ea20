/*
 * MAIL: the sender and what the message will be (RFC 5321 4.1.1.2, 1870,
 * 6152, 6531, 4954 5, 6409 6.1).
 */
#include <stdlib.h>

#include "smtp/internal.h"

#define TX_ARENA_MAX (2u * 1024 * 1024) /* 1000 recipients and room */
#define SIZE_DIGITS_MAX 20		/* RFC 1870 3 */

struct mail_params {
	uint64_t size;
	bool has_size, has_body, has_auth;
	bool body_8bit;
	bool binary;
	bool smtputf8;
};

CO_FN static int bad_params(struct smtp_session *s)
{
	return smtp_reply(s, "501 5.5.4 bad parameter");
}

/* One parameter: 0, or the reply. */
static const char *take_param(const struct smtp_session *s, const struct smtp_param *p,
			      struct mail_params *m)
{
	static const char bad[] = "501 5.5.4 bad parameter";

	if (slice_ieq(p->name, S("SIZE"))) {
		if (m->has_size || p->value.n > SIZE_DIGITS_MAX ||
		    slice_u64(p->value, &m->size) != 0) {
			return bad;
		}
		m->has_size = true;
	} else if (slice_ieq(p->name, S("BODY"))) {
		m->body_8bit = slice_ieq(p->value, S("8BITMIME"));
		m->binary = slice_ieq(p->value, S("BINARYMIME"));
		if (m->has_body ||
		    (!m->body_8bit && !m->binary && !slice_ieq(p->value, S("7BIT")))) {
			return bad;
		}
		m->has_body = true;
	} else if (slice_ieq(p->name, S("SMTPUTF8"))) {
		if (m->smtputf8 || p->value.p) {
			return bad;
		}
		m->smtputf8 = true;
	} else if (slice_ieq(p->name, S("AUTH")) && s->role == SMTP_SUBMISSION) {
		/* Whoever is logged in is the sender: checked, not kept. */
		if (m->has_auth || !p->value.p || !smtp_xtext_ok(p->value)) {
			return bad;
		}
		m->has_auth = true;
	} else {
		return "555 5.5.4 unknown parameter";
	}
	return NULL;
}

/*
 * SMTPUTF8 decides how the path is read, and stands behind it: looked for
 * first, and only as a whole parameter.
 */
static bool wants_utf8(struct slice args)
{
	struct slice rest = args;

	while (rest.p) {
		if (slice_ieq(slice_split(&rest, ' '), S("SMTPUTF8"))) {
			return true;
		}
	}
	return false;
}

/* May this session send mail at all now? False: answered. */
CO_FN static bool may_send(struct smtp_session *s)
{
	if (s->role == SMTP_SUBMISSION && !s->authenticated) {
		smtp_reply(s, smtp_tls_or_trusted(s) ? "530 5.7.0 log in first"
						     : "530 5.7.0 use STARTTLS, then log in");
		return false;
	}
	if (s->mails >= SMTP_MAILS_MAX || s->bytes >= SMTP_SESSION_MAX) {
		smtp_bye(s, "421 4.7.0 enough for one connection, come again");
		return false;
	}
	if (store_is_full(s->base.env->store)) {
		smtp_reply(s, "452 4.3.1 no room for mail now, try again "
			      "later");
		return false;
	}
	return true;
}

/* Is this path one that mail may come from? NULL, or the reply. */
CO_FN static const char *judge_sender(struct smtp_session *s, const struct smtp_path *p)
{
	struct buf canon = BUF_INIT(SMTP_PATH_MAX + 256);
	int r;

	if (p->addr.n == 0) {
		return NULL;
	}
	if (p->domain.n == 0) {
		return "501 5.1.7 sender address needs a domain";
	}
	/* A-labels that decode to nothing (THREATS SL-16). */
	if (!p->literal && (p->utf8 || slice_ifind(p->domain, S("xn--")) != SIZE_MAX)) {
		r = auth_domain_canon(p->domain, &canon);
		buf_fini(&canon);
		if (r != 0) {
			return "501 5.1.7 bad sender domain";
		}
	}
	if (s->role != SMTP_SUBMISSION) {
		return NULL;
	}
	r = auth_owns(s->base.env->auth, s->id.account, p->addr);
	if (r < 0) {
		return "451 4.3.0 cannot check the sender now";
	}
	return r == 1 ? NULL : "550 5.7.1 not your address";
}

CO_FN static int begin(struct smtp_session *s, const struct smtp_path *p,
		       const struct mail_params *m)
{
	struct smtp_tx *tx = calloc(1, sizeof(*tx));

	if (!tx) {
		return smtp_reply(s, "451 4.3.0 out of memory");
	}
	arena_init(&tx->arena, TX_ARENA_MAX);
	table_init(&tx->seen);
	tx->rcpts_end = &tx->rcpts;
	s->tx = tx;
	s->owed = 0;
	tx->from = arena_dup(&tx->arena, p->addr);
	tx->smtputf8 = m->smtputf8;
	tx->body_8bit = m->body_8bit;
	tx->binary = m->binary;
	tx->size = m->size;
	if (arena_err(&tx->arena)) {
		smtp_reset(s);
		return smtp_reply(s, "451 4.3.0 out of memory");
	}
	s->state = SMTP_MAIL;
	s->mails++;
	return smtp_reply(s, "250 2.1.0 OK");
}

CO_FN static int take_params(struct smtp_session *s, struct cur *c, struct mail_params *m)
{
	struct smtp_param p;
	int r;

	while ((r = smtp_param_next(c, &p)) == 1) {
		const char *no = take_param(s, &p, m);

		if (no) {
			smtp_reply(s, no);
			return -1;
		}
	}
	if (r < 0) {
		bad_params(s);
		return -1;
	}
	if (m->size > smtp_message_max(s)) {
		smtp_reply(s, "552 5.3.4 message too big");
		return -1;
	}
	return 0;
}

/* mail = "MAIL FROM:" Reverse-path [SP Mail-parameters]     RFC 5321 4.1.1.2 */
int smtp_mail(void *session, void *cmd)
{
	struct smtp_session *s = session;
	struct smtp_cmd *cmdp = cmd;
	struct cur c = cur_init(cmdp->args);
	struct mail_params m = { 0 };
	struct smtp_path path;
	const char *no;

	if (!may_send(s)) {
		return 0;
	}
	if (!cur_lit(&c, S("FROM:"))) {
		return smtp_reply(s, "501 5.5.4 syntax: MAIL FROM:<address>");
	}
	/* "FROM: <a@b>" is wrong and common. */
	cur_opt(&c, ' ');
	switch (smtp_path_parse(&c, wants_utf8(cmdp->args), &path)) {
	case SMTP_ADDR_OK:
		break;
	case SMTP_ADDR_UTF8:
		return smtp_reply(s, "550 5.6.7 address needs SMTPUTF8 and "
				     "UTF-8");
	case SMTP_ADDR_LONG:
		return smtp_reply(s, "501 5.1.7 sender address too long");
	case SMTP_ADDR_SYNTAX:
		return smtp_reply(s, "501 5.1.7 bad sender address");
	}
	if (take_params(s, &c, &m) != 0) {
		return 0;
	}
	no = judge_sender(s, &path);
	return no ? smtp_reply(s, no) : begin(s, &path, &m);
}
