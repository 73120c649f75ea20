/*
 * What a stranger is told before the body (policy.h): too often, listed, or
 * new here. Users, our own machine and mail to postmaster (RFC 5321 4.5.1)
 * pass.
 */
#include <stdio.h>

#include "smtp/internal.h"
#include "smtp/policy.h"

#define BLOCK_ARENA_MAX (64u * 1024)
#define BLOCK_TIMEOUT_MS 10000

static bool is_stranger(const struct smtp_session *s)
{
	return s->role == SMTP_MX && !s->authenticated && s->base.conn.peer.len &&
	       !net_addr_is_loopback(&s->base.conn.peer);
}

const char *smtp_gate_connect(struct smtp_session *s)
{
	if (!is_stranger(s) ||
	    policy_connect(s->base.env->policy, &s->base.conn.peer, clock_wall())) {
		return NULL;
	}
	return "421 4.7.0 too many connections from your network, try again in a minute";
}

const char *smtp_gate_mail(struct smtp_session *s)
{
	if (!is_stranger(s) || policy_mail(s->base.env->policy, &s->base.conn.peer, clock_wall())) {
		return NULL;
	}
	return "450 4.7.1 too many messages from your network, try again in a minute";
}

/* Asks the block lists once a session; what they said stays in s->gate. */
CO_FN static const char *check_lists(struct smtp_session *s)
{
	char text[NET_ADDR_TEXT_MAX];
	struct policy_block b;
	struct arena a;

	if (s->lists_asked) {
		return s->gate[0] ? s->gate : NULL;
	}
	arena_init(&a, BLOCK_ARENA_MAX);
	if (policy_blocked(s->base.env->policy, s->base.env->dns, &s->base.conn.peer,
			   clock_in_ms(BLOCK_TIMEOUT_MS), &a, &b) == 0) {
		s->lists_asked = true;
		if (b.list.n) {
			snprintf(s->gate, sizeof(s->gate), "550 5.7.1 %s is listed at %.*s%s%.*s",
				 net_addr_text(&s->base.conn.peer, text), SLICE_ARG(b.list),
				 b.text.n ? ": " : "", SLICE_ARG(b.text));
		}
	}
	arena_fini(&a);
	return s->gate[0] ? s->gate : NULL;
}

static bool is_postmaster(struct slice rcpt)
{
	return slice_ieq(slice_sub(rcpt, 0, slice_rchr(rcpt, '@')), S("postmaster"));
}

const char *smtp_gate_rcpt(struct smtp_session *s, struct slice rcpt)
{
	const char *no = NULL;
	unsigned wait;

	if (!is_stranger(s) || is_postmaster(rcpt)) {
		return NULL;
	}
	no = check_lists(s);
	if (no) {
		return no;
	}
	wait = policy_greylist(s->base.env->policy, &s->base.conn.peer, s->tx->from, rcpt,
			       clock_wall());
	if (wait == 0) {
		return NULL;
	}
	snprintf(s->wait, sizeof(s->wait), "451 4.7.1 greylisted, try again in %u seconds", wait);
	return s->wait;
}

/* Whose visits are counted: the sender's domain, or the client's name. */
static struct slice visitor(const struct smtp_session *s)
{
	size_t at = slice_rchr(s->tx->from, '@');

	return at == SIZE_MAX ? slice_cstr(s->helo) : slice_from(s->tx->from, at + 1);
}

int smtp_gate_first(struct smtp_session *s)
{
	unsigned wait;

	if (!is_stranger(s)) {
		return 0;
	}
	wait = policy_first_time(s->base.env->policy, &s->base.conn.peer, visitor(s), clock_wall());
	return wait ? co_sleep((int64_t)wait * 1000) : 0;
}

void smtp_gate_remember(struct smtp_session *s)
{
	if (is_stranger(s)) {
		policy_remember(s->base.env->policy, &s->base.conn.peer, visitor(s), clock_wall());
	}
}
