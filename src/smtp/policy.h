/*
 * policy: what is known about a stranger before a message's body: how often
 * he came, whether he is on a block list, whether he was ever here
 * (THREATS 4, RS-02).
 *
 * One object for all loops: a table of fixed size behind a mutex, held for a
 * few rows at a time. It forgets at a restart, which costs a sender one more
 * wait and nobody a letter. Loopback is never counted. All times are wall
 * clock seconds and come from the caller.
 */
#ifndef SMTP_POLICY_H
#define SMTP_POLICY_H

#include "base/arena.h"
#include "io/dns.h"

struct policy_opts {
	unsigned connections_per_minute; /* of one /32 or /64; 0: any number */
	unsigned messages_per_minute;	 /* likewise */
	unsigned first_time_delay;	 /* seconds; 0: none */
	unsigned greylist;		 /* seconds a new sender must wait; 0: off */
	const char *const *blocklists;	 /* DNS names (RFC 5782); live as long */
	size_t n_blocklists;
};
struct policy;
/* 0 or -ENOMEM. */
int policy_new(const struct policy_opts *o, struct policy **out);
/* Sets NULL; accepts NULL. */
void policy_free(struct policy **pp);

/* One more connection, one more message: is that still in the measure? p NULL
 * answers true. Any thread. */
bool policy_connect(struct policy *p, const struct net_addr *peer, int64_t now);
bool policy_mail(struct policy *p, const struct net_addr *peer, int64_t now);

/*
 * Greylisting: how many seconds this sender has yet to wait before he may
 * write to this recipient; 0: now. The network is a /24 or /64. Who once
 * waited is known for 35 days after each visit.
 */
unsigned policy_greylist(struct policy *p, const struct net_addr *peer, struct slice from,
			 struct slice rcpt, int64_t now);

/*
 * How many seconds the answer to a message waits because nobody of this
 * network (/24, /64) ever brought a message of this domain that was taken;
 * 0: somebody did. Junk senders rarely wait.
 */
unsigned policy_first_time(struct policy *p, const struct net_addr *peer, struct slice domain,
			   int64_t now);
/* A message of theirs was taken. */
void policy_remember(struct policy *p, const struct net_addr *peer, struct slice domain,
		     int64_t now);

struct policy_block {
	struct slice list; /* that has the address; empty: none */
	struct slice text; /* its TXT, printable, one line; or empty */
};
/*
 * Asks the block lists in turn. Answers outside 127.0.0.0/8, and those of
 * 127.255.255.0/24 ("you may not ask"), do not count, nor does a list that
 * does not answer. Memory from the arena. Suspends. 0, -ENOMEM, -ECANCELED.
 */
CO_FN int policy_blocked(struct policy *p, struct dns *d, const struct net_addr *peer,
			 int64_t deadline, struct arena *a, struct policy_block *out);

#endif
