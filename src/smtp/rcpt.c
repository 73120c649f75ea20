/*
 * RCPT: who gets it (RFC 5321 4.1.1.3). The directory decides; nothing is
 * relayed. Quota is asked here, with the declared size, so that one full
 * mailbox is refused by itself and not with everybody's message.
 */
#include <stdlib.h>

#include "smtp/intake.h"

#define ROUTE_ARENA_MAX (1u << 20)

void smtp_tx_free(struct smtp_tx **txp)
{
	struct smtp_tx *tx = TAKE_PTR(*txp);

	if (tx) {
		trace_drop(&tx->record);
		arena_fini(&tx->arena);
		table_fini(&tx->seen);
		smtp_intake_free(&tx->intake);
		free(tx->accounts);
		free(tx);
	}
}

/* Its place in the list; -E2BIG: too many; -ENOMEM. */
static int add_account(struct smtp_tx *tx, uint64_t id)
{
	uintptr_t at = (uintptr_t)table_get_u64(&tx->seen, id);

	if (at) {
		return (int)at - 1;
	}
	if (tx->n_accounts >= SMTP_TARGETS_MAX) {
		return -E2BIG;
	}
	if (tx->n_accounts == tx->cap_accounts) {
		size_t cap = tx->cap_accounts ? tx->cap_accounts * 2 : 4;
		uint64_t *p = reallocarray(tx->accounts, cap, sizeof(*p));

		if (!p) {
			return -ENOMEM;
		}
		tx->accounts = p;
		tx->cap_accounts = cap;
	}
	at = tx->n_accounts + 1;
	if (table_put_u64(&tx->seen, id, (void *)at, NULL) != 0) {
		return -ENOMEM;
	}
	tx->accounts[tx->n_accounts++] = id;
	return (int)at - 1;
}

/* Those of a recipient that is refused after all. */
static void drop_accounts(struct smtp_tx *tx, size_t from)
{
	while (tx->n_accounts > from) {
		table_del_u64(&tx->seen, tx->accounts[--tx->n_accounts]);
	}
}

/* Could it ever fit, were the mailbox empty? */
CO_FN static bool can_never_fit(struct smtp_session *s, uint64_t account)
{
	struct store_usage u;

	return s->tx->params.size > 0 &&
	       store_usage(s->base.env->store, account, &u, NULL) == STORE_OK &&
	       u.quota_bytes > 0 && s->tx->params.size > u.quota_bytes;
}

/* NULL: room in every one of them; else the reply. */
CO_FN static const char *check_room(struct smtp_session *s, const struct auth_targets *t)
{
	uint64_t size = s->tx->params.size ? s->tx->params.size : 1;

	for (size_t i = 0; i < t->n; i++) {
		int r = store_would_fit(s->base.env->store, t->accounts[i], size);

		if (r == STORE_OVERQUOTA) {
			return can_never_fit(s, t->accounts[i])
				       ? "552 5.2.2 too big for this mailbox"
				       : "452 4.2.2 mailbox is full";
		}
		if (r == STORE_FULL) {
			return "452 4.3.1 no room for mail now, try again "
			       "later";
		}
		if (r != STORE_OK) {
			return "451 4.3.0 mailbox is not available now";
		}
	}
	return NULL;
}

/* The accounts a recipient stands for, into the transaction. */
static const char *add_targets(struct smtp_tx *tx, const struct auth_targets *t,
			       struct smtp_rcpt *rcpt)
{
	uint32_t *places = arena_array(&tx->arena, t->n, sizeof(*places));
	size_t before = tx->n_accounts;

	if (!places) {
		return "452 4.5.3 too many mailboxes for one message";
	}
	for (size_t i = 0; i < t->n; i++) {
		int at = add_account(tx, t->accounts[i]);

		if (at < 0) {
			drop_accounts(tx, before);
			return at == -E2BIG ? "452 4.5.3 too many mailboxes for one message"
					    : "451 4.3.0 out of memory";
		}
		places[i] = (uint32_t)at;
	}
	rcpt->accounts = places;
	rcpt->n_accounts = t->n;
	return NULL;
}

CO_FN static const char *take_targets(struct smtp_session *s, const struct auth_targets *t,
				      struct smtp_rcpt *rcpt)
{
	const char *no;

	if (t->n_remote) {
		return "550 5.7.1 this address forwards to another server: not "
		       "supported by this server yet";
	}
	no = check_room(s, t);
	return no ? no : add_targets(s->tx, t, rcpt);
}

/* THREATS SL-14: guessing addresses gets slow, and then ends. */
CO_FN static int unknown_user(struct smtp_session *s)
{
	if (!s->authenticated && s->role != SMTP_LMTP && ++s->unknown > SMTP_UNKNOWN_MAX) {
		co_sleep(SMTP_UNKNOWN_DELAY_MS);
		return smtp_bye(s, "421 4.7.0 too many unknown recipients, "
				   "goodbye");
	}
	return smtp_reply(s, "550 5.1.1 no such user here");
}

CO_FN static int not_ours(struct smtp_session *s)
{
	return smtp_reply(s, s->role == SMTP_SUBMISSION
				     ? "550 5.7.1 sending to other servers is not "
				       "supported by this server yet"
				     : "550 5.7.1 relaying denied");
}

CO_FN static int accepted(struct smtp_session *s, struct smtp_rcpt *rcpt)
{
	struct smtp_tx *tx = s->tx;

	*tx->rcpts_end = rcpt;
	tx->rcpts_end = &rcpt->next;
	if (tx->n_rcpt++ == 0) {
		tx->first = rcpt->addr;
	}
	s->state = SMTP_RCPT;
	return smtp_reply(s, "250 2.1.5 OK");
}

/* In the transaction's arena. NULL: that is full. */
static struct smtp_rcpt *new_rcpt(struct smtp_tx *tx, struct slice addr,
				  const struct smtp_rcpt_params *params)
{
	struct smtp_rcpt *r = arena_new(&tx->arena, struct smtp_rcpt);

	if (r) {
		r->addr = arena_dup(&tx->arena, addr);
		r->params = *params;
		if (params->orcpt.p) {
			r->params.orcpt = arena_dup(&tx->arena, params->orcpt);
		}
	}
	return arena_err(&tx->arena) ? NULL : r;
}

CO_FN static int route(struct smtp_session *s, struct slice addr,
		       const struct smtp_rcpt_params *params)
{
	struct smtp_rcpt *rcpt = new_rcpt(s->tx, addr, params);
	struct auth_targets t = { 0 };
	struct arena arena;
	const char *no = NULL;
	int r;

	if (!rcpt) {
		return smtp_reply(s, "452 4.5.3 too many recipients");
	}
	arena_init(&arena, ROUTE_ARENA_MAX);
	r = auth_route(s->base.env->auth, addr, &arena, &t);
	if (r == AUTH_LOCAL) {
		no = smtp_gate_rcpt(s, addr);
		no = no ? no : take_targets(s, &t, rcpt);
	}
	arena_fini(&arena);
	if (no) {
		return smtp_reply(s, no);
	}
	switch (r) {
	case AUTH_LOCAL:
		return accepted(s, rcpt);
	case AUTH_UNKNOWN_USER:
		return unknown_user(s);
	case AUTH_NOT_LOCAL:
		return not_ours(s);
	case AUTH_BAD_ADDRESS:
		return smtp_reply(s, "501 5.1.3 bad recipient address");
	case AUTH_LOOP:
		return smtp_reply(s, "554 5.4.6 aliases of this address go "
				     "round in circles");
	default:
		return smtp_reply(s, "451 4.3.0 cannot look up recipients "
				     "now");
	}
}

/* NULL, or what is wrong with the path as such. */
static const char *judge_path(enum smtp_addr r, const struct smtp_path *p)
{
	switch (r) {
	case SMTP_ADDR_OK:
		break;
	case SMTP_ADDR_UTF8:
		return "553 5.6.7 address needs SMTPUTF8 and UTF-8";
	case SMTP_ADDR_LONG:
		return "501 5.1.3 recipient address too long";
	case SMTP_ADDR_SYNTAX:
		return "501 5.1.3 bad recipient address";
	}
	if (p->addr.n == 0) {
		return "501 5.1.3 recipient address is empty";
	}
	if (p->domain.n == 0 && !slice_ieq(p->addr, S("postmaster"))) {
		return "550 5.1.1 recipient address needs a domain";
	}
	return NULL;
}

/* NULL, or what is wrong with the parameters. */
static const char *take_params(struct smtp_session *s, struct cur *c, struct smtp_rcpt_params *p)
{
	switch (smtp_rcpt_params_parse(c, smtp_offered(s), s->tx->params.smtputf8, p)) {
	case SMTP_PARAMS_SYNTAX:
		return "501 5.5.4 bad parameter";
	case SMTP_PARAMS_UNKNOWN:
		return "555 5.5.4 unknown parameter";
	case SMTP_PARAMS_OK:
		break;
	}
	return NULL;
}

unsigned smtp_rcpt_max(const struct smtp_session *s)
{
	if (s->base.env->rcpt_max) {
		return s->base.env->rcpt_max;
	}
	return s->role == SMTP_SUBMISSION ? 100 : 1000;
}

/* rcpt = "RCPT TO:" Forward-path [SP Rcpt-parameters]       RFC 5321 4.1.1.3 */
int smtp_rcpt(void *session, void *cmd)
{
	struct smtp_session *s = session;
	struct smtp_cmd *cmdp = cmd;
	struct cur c = cur_init(cmdp->args);
	struct smtp_rcpt_params params;
	struct smtp_path path = { 0 };
	const char *no;

	if (!cur_lit(&c, S("TO:"))) {
		return smtp_reply(s, "501 5.5.4 syntax: RCPT TO:<address>");
	}
	cur_opt(&c, ' ');
	no = judge_path(smtp_path_parse(&c, s->tx->params.smtputf8, &path), &path);
	no = no ? no : take_params(s, &c, &params);
	if (no) {
		return smtp_reply(s, no);
	}
	if (s->tx->n_rcpt >= smtp_rcpt_max(s)) {
		return smtp_reply(s, "452 4.5.3 too many recipients");
	}
	return path.literal ? not_ours(s) : route(s, path.addr, &params);
}
