/*
 * session: how srv runs a connection without knowing its protocol.
 *
 * srv accepts, does the TLS handshake on implicit-TLS ports, makes a session
 * with the protocol's constructor and calls session_run in a coroutine. A
 * session whose account lives on another loop (store.h) returns SESSION_MOVE
 * at a quiet point; srv then detaches the stream, re-attaches it on
 * session_home's thread and calls session_run again, which goes on where it
 * stood. Tests run sessions over memory streams, with no loop at all.
 */
#ifndef LINE_SESSION_H
#define LINE_SESSION_H

#include "line/conn.h"

struct store;
struct auth;
struct trace;
struct session;
struct dns;
struct policy;

/* What is not announced to clients that call themselves so (IMAP's ID). */
struct client_hide {
	char *client; /* "*" and "?" stand for others; any case */
	char *names;  /* of capabilities, separated by blanks */
};

/* What happens to a stranger's mail when SPF fails and no DMARC policy says. */
enum trust_on_fail { TRUST_ON_FAIL_JUNK = 0, TRUST_ON_FAIL_ACCEPT, TRUST_ON_FAIL_REFUSE };

/* What all sessions share; owned by srv, outlives them all. */
struct proto_env {
	const char *hostname;	   /* our name, for greetings and Received */
	const char *admin_contact; /* URI of the administrator, or NULL */
	struct store *store;
	struct auth *auth;
	struct trace *trace;	 /* decision records; NULL: none are made */
	bool cleartext_loopback; /* logins without TLS from loopback (demo) */
	/* IMAP: mailboxes can be shared with everybody at once */
	bool share_with_anyone;
	/* limits (THREATS 4); 0 takes the default */
	uint64_t message_max;	  /* 50 MiB */
	unsigned rcpt_max;	  /* 1000 a message, 100 on submission */
	unsigned login_tries;	  /* 3 a connection */
	unsigned error_max;	  /* 20 bad commands */
	int64_t idle_timeout_ms;  /* 0: the protocol's own */
	int64_t login_timeout_ms; /* 0: 60 s before login (IMAP, POP3) */
	int64_t progress_ms;	  /* IMAP's words in long commands; 0: 10 s; <0:
				     at each step (tests) */
	const struct client_hide *hide;
	size_t n_hide;
	/* SMTP: who sent this? dns NULL: nothing is asked. */
	struct dns *dns;
	struct tally *tally;   /* what DMARC reports are made of; NULL: nothing is */
	struct policy *policy; /* smtp/policy.h; NULL: none */
	bool trust_mark_only;  /* findings are written, nothing follows from them */
	enum trust_on_fail spf_fail;
	const char *const *arc_sealers; /* whose ARC seal is believed */
	size_t n_arc_sealers;
	/* SMTP: how long a stranger's client is watched for speaking before the
	 * greeting (RFC 5321 4.3.1); 0: not at all. */
	int64_t greet_wait_ms;
	/* Asked before each command; true: say goodbye (421, BYE) and end. */
	bool (*stopping)(void *arg);
	void *stopping_arg;
};

enum session_end { SESSION_END = 0, SESSION_MOVE = 1 };

struct session_ops {
	int (*run)(struct session *s);
	struct co_loop *(*home)(struct session *s);
	void (*free)(struct session *s);
	/* Who is logged in (auth.h's account id), 0 nobody. */
	uint64_t (*account)(const struct session *s);
};

/* First member of each protocol's own session struct. */
struct session {
	const struct session_ops *ops;
	struct conn conn;
	const struct proto_env *env;
	/* srv cancelled it because its login holds no longer (AU-12), not
	 * because the server stops: another goodbye. */
	bool revoked;
	/* srv cancelled it because nobody logged in and others need its place. */
	bool crowded;
	/*
	 * May the peer say for whom it connects (XCLIENT)? NULL: no. Else srv's:
	 * counts the connection as one of that address; false: it has its share
	 * already, and the session must end. May take itself away, and
	 * does for an address that is not a proxy's.
	 */
	bool (*rename)(struct session *s, const struct net_addr *peer);
	void *owner; /* srv's */
};

/* An enum session_end; errors were logged. */
CO_FN static inline int session_run(struct session *s)
{
	return s->ops->run(s);
}
/* Where to go on after SESSION_MOVE. */
static inline struct co_loop *session_home(struct session *s)
{
	return s->ops->home(s);
}
static inline uint64_t session_account(const struct session *s)
{
	return s->ops->account(s);
}
/* Closes the connection too; sets NULL; accepts NULL. On the session's
 * current loop. */
static inline void session_free(struct session **sp)
{
	if (*sp) {
		(*sp)->ops->free(*sp);
		*sp = NULL;
	}
}

/*
 * Each protocol has a constructor of this shape in its own header
 * (smtp_session_new, pop3_session_new, imap_session_new; SMTP's also takes
 * its role). Takes over *sp. tls: for STARTTLS, or NULL. On implicit-TLS
 * ports srv sets conn.tls_active and conn.tls_info before the first run.
 */

#endif
