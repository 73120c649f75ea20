/*
 * auth: who exists, and who is who.
 *
 * The directory (domains, accounts, aliases) lives in kv partitions of its
 * own. Addresses are canonical: the domain in lower-case A-labels (IDNA
 * 2008), the local part in NFC and lower case; one account, one key.
 * Passwords are argon2id, hashed and verified on the offload pool. A wrong
 * password, an unknown user and a disabled account give the same answer after
 * the same work (THREATS AU-06); failures are delayed and counted per address
 * prefix and account (AU-07). Any loop.
 */
#ifndef AUTH_AUTH_H
#define AUTH_AUTH_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "co/co.h"
#include "io/listen.h"

#define AUTH_ADDR_MAX 254 /* RFC 5321 4.5.3.1.3 less the brackets */
#define AUTH_PASSWORD_MAX 1024

struct kv;
struct stream;
struct auth;

struct auth_opts {
	struct kv *kv;
	uint32_t argon_memory_kib; /* 0: 65536 */
	uint32_t argon_passes;	   /* 0: 3 */
	bool no_delays;		   /* tests: failure delays are counted only */
	bool scram;		   /* SCRAM is offered, and what it needs is kept */
};
CO_FN int auth_open(const struct auth_opts *o, struct auth **out, struct err *e);
void auth_close(struct auth **ap);
/* Switches SCRAM on. For auth_open, and tests. 0 or -errno with *e. */
CO_FN int auth_scram_on(struct auth *a, struct err *e);

/* ---- addresses ---------------------------------------------------------- */

/* Canonical "local@domain" of an address without brackets. 0; -EINVAL. */
int auth_addr_canon(struct slice addr, struct buf *out);
/* Canonical domain. 0; -EINVAL (no host name). */
int auth_domain_canon(struct slice domain, struct buf *out);

enum auth_route {
	AUTH_LOCAL = 0,	       /* accounts[] hold who gets it */
	AUTH_UNKNOWN_USER = 1, /* local domain, no such user: 550 5.1.1 */
	AUTH_NOT_LOCAL = 2,    /* not our domain: 550 5.7.1 */
	AUTH_BAD_ADDRESS = 3,  /* 501 / 553 */
	AUTH_LOOP = 4	       /* aliases go round or too deep: 554 5.4.6 */
};
struct auth_targets {
	uint64_t *accounts; /* in the arena, no duplicates */
	size_t n;
	struct slice *remote; /* alias targets elsewhere */
	size_t n_remote;
};
/*
 * Where does mail for this address go: the account, a plus-address
 * ("user+tag" -> user; what the domain has for "+"), an alias (one or many, nested), the domain's
 * catch-all; in this order. "postmaster" without a domain is the first
 * domain's. An enum auth_route or -errno.
 */
CO_FN int auth_route(struct auth *a, struct slice addr, struct arena *arena,
		     struct auth_targets *out);
/* May this account use the address as a sender: its own, plus forms, or an
 * alias that leads to it. 1 yes, 0 no, -errno. */
CO_FN int auth_owns(struct auth *a, uint64_t account, struct slice addr);

/* ---- the directory ------------------------------------------------------ */

enum auth_result {
	AUTH_OK = 0,
	AUTH_FAILED = 1, /* wrong, unknown or disabled: all alike */
	AUTH_BUSY = 2,	 /* too many at once or throttled: 454 4.7.0 */
	AUTH_EXISTS = 3,
	AUTH_NOTFOUND = 4,
	AUTH_INVALID = 5,  /* bad address, domain or password; *e says what */
	AUTH_NOTEMPTY = 6, /* the domain still has accounts or aliases */
	AUTH_DENIED = 7	   /* the right password, for another account than
			      authzid: may not */
};

CO_FN int auth_domain_add(struct auth *a, struct slice domain, struct err *e);
CO_FN int auth_domain_remove(struct auth *a, struct slice domain, struct err *e);
/* 1 local, 0 not, -errno. Canonical or not. */
CO_FN int auth_domain_is_local(struct auth *a, struct slice domain);
#define AUTH_PLUS '+'		   /* what begins a tag, by default */
#define AUTH_PLUS_CHARS "+-_=.~#!" /* what can */
/* How a domain takes addresses: what is set here changes, in one step. */
struct auth_domain_change {
	bool set_catchall;
	struct slice catchall; /* an address; empty: none */
	bool set_plus;
	struct slice plus; /* one of AUTH_PLUS_CHARS; empty: no tags */
};
CO_FN int auth_domain_change(struct auth *a, struct slice domain,
			     const struct auth_domain_change *change, struct err *e);
/* Catch-all address of a domain; empty target removes it. */
CO_FN int auth_domain_catchall(struct auth *a, struct slice domain, struct slice target,
			       struct err *e);

struct auth_account {
	uint64_t id;
	struct slice address; /* canonical */
	bool disabled;
	int64_t created;     /* unix seconds */
	struct slice hidden; /* auth_account_hide */
};
/* Names must be new also among aliases. */
CO_FN int auth_account_add(struct auth *a, struct slice address, struct slice password,
			   uint64_t *id_out, struct err *e);
CO_FN int auth_account_remove(struct auth *a, struct slice address, uint64_t *id_out,
			      struct err *e);
CO_FN int auth_account_get(struct auth *a, struct slice address, struct arena *arena,
			   struct auth_account *out);
/* The same by id; AUTH_NOTFOUND. Asks every domain. */
CO_FN int auth_account_by_id(struct auth *a, uint64_t id, struct arena *arena,
			     struct auth_account *out);
/* The same of a user name as auth_login takes it. */
CO_FN int auth_account_named(struct auth *a, struct slice user, struct arena *arena,
			     struct auth_account *out);
CO_FN int auth_account_password(struct auth *a, struct slice address, struct slice password,
				struct err *e);
CO_FN int auth_account_disable(struct auth *a, struct slice address, bool disabled, struct err *e);
/*
 * Names that servers do not announce to this account's clients (IMAP
 * capabilities): separated by one blank, at most AUTH_HIDDEN_MAX bytes. What
 * they mean is not looked at here. Empty: none.
 */
#define AUTH_HIDDEN_MAX 255
CO_FN int auth_account_hide(struct auth *a, struct slice address, struct slice names,
			    struct err *e);
/* The new address must be free; the id stays. */
CO_FN int auth_account_rename(struct auth *a, struct slice from, struct slice to, struct err *e);
/* address -> targets (comma-free addresses). Replaces. */
CO_FN int auth_alias_add(struct auth *a, struct slice address, const struct slice *targets,
			 size_t n, struct err *e);
CO_FN int auth_alias_remove(struct auth *a, struct slice address, struct err *e);
/* Listings in order; the row callback must not suspend; slices live for the
 * call. target: account id as text is not given; aliases give their targets
 * joined by ", "; domains their catch-all or "". */
struct auth_row {
	struct slice name;
	struct slice target;
	uint64_t id;
	bool disabled;
	int64_t created;
	char plus; /* domains: what begins a tag; NUL: nothing */
};
typedef int auth_row_fn(void *arg, const struct auth_row *row);
CO_FN int auth_domain_list(struct auth *a, auth_row_fn *fn, void *arg);
CO_FN int auth_account_list(struct auth *a, auth_row_fn *fn, void *arg);
CO_FN int auth_alias_list(struct auth *a, auth_row_fn *fn, void *arg);

/* ---- logging in --------------------------------------------------------- */

struct auth_request {
	const char *protocol;	     /* "imap", "pop3", "smtp": static */
	const struct net_addr *peer; /* may be NULL */
	struct slice authzid;	     /* empty, or the same account as user */
	struct slice user;	     /* address, or a bare local part of the only
				 domain */
	struct slice password;
};
struct auth_identity {
	uint64_t account;
	char address[AUTH_ADDR_MAX + 1];  /* canonical */
	char hidden[AUTH_HIDDEN_MAX + 1]; /* auth_account_hide, at the login */
};
/*
 * AUTH_OK and *out; AUTH_FAILED or AUTH_DENIED after a delay that grows with
 * failures; AUTH_BUSY; -errno. Passwords are never logged or kept.
 */
CO_FN int auth_login(struct auth *a, const struct auth_request *r, struct auth_identity *out);

/* ---- SASL (RFC 4422) ---------------------------------------------------- */

/*
 * One exchange, server side, free of any protocol's framing: bytes in, bytes
 * out. PLAIN, LOGIN, and, where auth_opts.scram says so, SCRAM-SHA-256 and
 * SCRAM-SHA-1; under TLS their -PLUS forms too.
 */
struct sasl;
enum sasl_state {
	SASL_CONTINUE = 0, /* send out as a challenge, then step again */
	SASL_DONE = 1,	   /* authenticated: *id filled */
	SASL_FAIL = 2,	   /* wrong credentials */
	SASL_BAD = 3,	   /* not a valid message of this mechanism */
	SASL_TEMP = 4,	   /* cannot say now: throttled or the store failed */
	SASL_DENIED = 5	   /* AUTH_DENIED */
};
/* Adds the names for capability lists, separated by blanks. tls: the
 * connection's TLS stream, or NULL. */
void sasl_mechanisms(const struct auth *a, struct stream *tls, struct buf *out);
/* NULL: no such mechanism (or no memory). Peer, protocol and tls must outlive. */
struct sasl *sasl_new(struct auth *a, struct slice mechanism, const char *protocol,
		      const struct net_addr *peer, struct stream *tls);
/*
 * Does the client speak first? If not, the exchange begins with a step
 * without input; an initial response is given to the first step all the same
 * (LOGIN takes it as the user name, as clients expect) and is SASL_BAD where
 * the mechanism has no use for it.
 */
bool sasl_client_first(const struct sasl *s);
/*
 * One client message (already base64-decoded). For a server-first mechanism
 * the first call has in.p NULL. The challenge is added to out. What SCRAM's
 * server says last is a challenge, too, answered by an empty message: none of
 * the protocols carries data with its success.
 */
CO_FN enum sasl_state sasl_step(struct sasl *s, struct slice in, struct buf *out,
				struct auth_identity *id);
/* Wipes secrets. */
void sasl_free(struct sasl **sp);

#endif
