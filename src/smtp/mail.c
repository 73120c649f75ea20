/*
 * MAIL: the sender and what the message will be (RFC 5321 4.1.1.2, 6409 6.1;
 * the parameters: params.h).
 */
#include <stdlib.h>

#include "smtp/internal.h"
#include "smtp/record.h"

#define TX_ARENA_MAX (2u * 1024 * 1024) /* 1000 recipients and room */

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
	const char *no;

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
		s->junk++; /* each leaves a line in the log */
		smtp_reply(s, "452 4.3.1 no room for mail now, try again "
			      "later");
		return false;
	}
	no = smtp_gate_mail(s);
	if (no) {
		s->junk++;
		smtp_reply(s, no);
	}
	return !no;
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

/* The parameters outlive the line: their texts go into the arena. */
static int keep_params(struct smtp_tx *tx, const struct smtp_mail_params *m)
{
	tx->params = *m;
	if (m->auth.p) {
		tx->params.auth = arena_dup(&tx->arena, m->auth);
	}
	if (m->envid.p) {
		tx->params.envid = arena_dup(&tx->arena, m->envid);
	}
	return arena_err(&tx->arena);
}

/*
 * Nobody unknown gets in front of others (RFC 6710 4.1): from strangers a
 * priority above 0 is 0, and they are told so.
 */
static const char *settle_priority(const struct smtp_session *s, struct smtp_mail_params *m)
{
	if (s->role != SMTP_MX || m->priority <= 0) {
		return "250 2.1.0 OK";
	}
	m->priority = 0;
	return "250 2.3.6 0 is the highest priority here";
}

CO_FN static int begin(struct smtp_session *s, const struct smtp_path *p,
		       struct smtp_mail_params *m)
{
	struct smtp_tx *tx = calloc(1, sizeof(*tx));
	const char *welcome = settle_priority(s, m);

	if (!tx) {
		return smtp_reply(s, "451 4.3.0 out of memory");
	}
	arena_init(&tx->arena, TX_ARENA_MAX);
	table_init(&tx->seen);
	tx->rcpts_end = &tx->rcpts;
	s->tx = tx;
	s->owed = 0;
	tx->from = arena_dup(&tx->arena, p->addr);
	if (keep_params(tx, m) != 0) {
		smtp_tx_free(&s->tx);
		return smtp_reply(s, "451 4.3.0 out of memory");
	}
	s->state = SMTP_MAIL;
	s->mails++;
	smtp_record_begin(s);
	return smtp_reply(s, welcome);
}

/* NULL, or what is wrong with the parameters. */
static const char *take_params(struct smtp_session *s, struct cur *c, struct smtp_mail_params *m)
{
	switch (smtp_mail_params_parse(c, smtp_offered(s), clock_wall(), m)) {
	case SMTP_PARAMS_SYNTAX:
		return "501 5.5.4 bad parameter";
	case SMTP_PARAMS_UNKNOWN:
		return "555 5.5.4 unknown parameter";
	case SMTP_PARAMS_OK:
		break;
	}
	return m->size > smtp_message_max(s) ? "552 5.3.4 message too big" : NULL;
}

/* mail = "MAIL FROM:" Reverse-path [SP Mail-parameters]     RFC 5321 4.1.1.2 */
int smtp_mail(void *session, void *cmd)
{
	struct smtp_session *s = session;
	struct smtp_cmd *cmdp = cmd;
	struct cur c = cur_init(cmdp->args);
	struct smtp_mail_params m;
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
	no = take_params(s, &c, &m);
	if (!no && path.utf8 && !m.smtputf8) {
		no = "550 5.6.7 address needs SMTPUTF8 and UTF-8"; /* it stood within the path */
	}
	no = no ? no : judge_sender(s, &path);
	return no ? smtp_reply(s, no) : begin(s, &path, &m);
}
