/*
 * What the files of auth share: the handle, rows of the directory, and the
 * parts behind auth_login. Not included from outside this folder.
 *
 * Rows (docs/format.md, "Directory"): the root partition holds the counters
 * and the list of domains; each domain has a partition of its own, named by a
 * number that is never used again, with its accounts and aliases.
 */
#ifndef AUTH_IMPL_H
#define AUTH_IMPL_H

#include <pthread.h>

#include "auth/auth.h"
#include "auth/scram.h"
#include "base/cur.h"
#include "base/list.h"
#include "kv/kv.h"

#define AUTH_LOCAL_MAX 64   /* RFC 5321 4.5.3.1.1 */
#define AUTH_DOMAIN_MAX 253 /* RFC 5321 4.5.3.1.2, in A-labels */
#define AUTH_LABEL_MAX 63
#define AUTH_ALIAS_DEPTH 10
#define AUTH_TARGETS_MAX 1000 /* addresses looked at for one recipient */
#define AUTH_PHC_MAX 256
#define AUTH_RETRIES 16 /* of a commit that met another one */

/* ---- addresses (addr.c) -------------------------------------------------- */

struct addr {
	struct slice local;  /* both canonical, within `text` */
	struct slice domain; /* empty: a bare local part */
	char text[AUTH_ADDR_MAX + 1];
	size_t n;
};
/* Canonical form, cut into its halves. 0; -EINVAL. */
int addr_parse(struct slice in, struct addr *out);
/* The same for a local part alone; domain stays empty. */
int addr_parse_local(struct slice in, struct addr *out);

/* ---- passwords (password.c) ---------------------------------------------- */

#define PASSWORD_WORKERS 4 /* at once: bounds the memory (THREATS AU-08) */
#define PASSWORD_QUEUE 256 /* waiting for one of them */
#define PASSWORD_CACHE 1024
#define PASSWORD_CACHE_MS (5 * 60 * 1000)

struct cache_slot {
	unsigned char mac[32];
	int64_t expires; /* monotonic; 0 empty */
};

struct passwords {
	uint32_t memory_kib;
	uint32_t passes;
	char dummy[AUTH_PHC_MAX]; /* for users that do not exist */
	pthread_mutex_t lock;
	unsigned active;
	unsigned waiting;
	struct list queue;
	unsigned char secret[32];
	struct cache_slot *cache;
	uint64_t verified; /* hashes computed for a check, under the lock */
};
int passwords_init(struct passwords *p, uint32_t memory_kib, uint32_t passes);
void passwords_fini(struct passwords *p);
/* A PHC string for the password. 0; AUTH_BUSY; -ENOMEM. */
CO_FN int password_hash(struct passwords *p, struct slice password, char phc[AUTH_PHC_MAX]);
/*
 * AUTH_OK, AUTH_FAILED, AUTH_BUSY. phc empty: a user that does not exist:
 * the same work, and AUTH_FAILED. who is what else the answer depends on.
 */
CO_FN int password_check(struct passwords *p, struct slice who, struct slice phc,
			 struct slice password);
/* Fills stored and server of the keys whose salt and rounds are set. 0;
 * AUTH_BUSY; -ENOMEM. */
CO_FN int password_scram(struct passwords *p, struct slice prepared,
			 struct scram_keys keys[SCRAM_HASHES]);
/* Equal? In time that depends on the lengths only. */
bool secret_eq(const void *a, const void *b, size_t n);

/* ---- throttling (throttle.c) --------------------------------------------- */

#define THROTTLE_SETS 2048
#define THROTTLE_WAYS 8

struct throttle_row {
	uint64_t key;
	int64_t minute; /* start of the window, seconds */
	int64_t day;
	uint16_t in_minute;
	uint16_t in_day;
};
struct throttle {
	pthread_mutex_t lock;
	struct throttle_row *rows;
};
/* What one attempt met and took; kept until throttle_success or never. */
struct attempt {
	uint64_t key[2]; /* address prefix, user; 0: none */
	bool refuse;	 /* this prefix has used up its tries */
	int before_ms;	 /* wait so long before looking */
	int after_ms;	 /* and so long before saying no */
};
int throttle_init(struct throttle *t);
void throttle_fini(struct throttle *t);
/* Counts the attempt as a failure from the start, so that many at the same
 * time are counted too. now: seconds of any steady clock. */
void throttle_begin(struct throttle *t, const struct net_addr *peer, struct slice user, int64_t now,
		    struct attempt *out);
/* It was none: takes this one attempt back, and nothing else (AU-07). */
void throttle_success(struct throttle *t, const struct attempt *a);

/* ---- the directory (dir.c) ----------------------------------------------- */

struct auth {
	struct kv *kv;
	bool no_delays;
	bool scram;
	unsigned char scram_secret[32]; /* of the directory; set once */
	struct passwords passwords;
	struct throttle throttle;
};

/* A domain that exists. */
struct domain {
	uint64_t id;
	uint64_t version; /* of its partition when it was read */
	int64_t created;
	char catchall[AUTH_ADDR_MAX + 1]; /* "" none */
	char plus;			  /* what begins a tag; NUL: nothing does */
};
struct account_row {
	uint64_t id;
	int64_t created;
	bool disabled;
	char phc[AUTH_PHC_MAX];
	struct scram_keys scram[SCRAM_HASHES];
	char hidden[AUTH_HIDDEN_MAX + 1];
};
enum name_kind { NAME_NONE = 0, NAME_ACCOUNT = 1, NAME_ALIAS = 2 };

/* 0, AUTH_NOTFOUND or -errno. */
CO_FN int domain_get(struct auth *a, struct slice name, struct domain *out);
/* The oldest domain's name (only: AUTH_NOTFOUND too when there are others).
 * 0, AUTH_NOTFOUND, -errno. */
CO_FN int domain_first(struct auth *a, bool only, struct buf *name_out);
/*
 * What the name is: enum name_kind or -errno. An account fills *row, an
 * alias adds its targets record (docs/format.md) to *targets.
 */
CO_FN int name_get(struct auth *a, const struct domain *d, struct slice local,
		   struct account_row *row, struct buf *targets);
/* The domain's oldest account. 0, AUTH_NOTFOUND, -errno. */
CO_FN int domain_oldest(struct auth *a, const struct domain *d, uint64_t *id_out);
/* Steps through a targets record: an empty slice at the end. */
struct slice targets_next(struct cur *c);

/* ---- SCRAM's side of a login (login_scram.c) ------------------------------- */

/* The salt of an address, whether it is an account or not. */
void login_salt(const struct auth *a, enum scram_hash h, struct slice address,
		struct scram_keys *out);
/* Keys of the password for this address; left empty where it can have none. 0,
 * AUTH_BUSY, -errno. */
CO_FN int login_keys(struct auth *a, struct slice address, struct slice password,
		     struct scram_keys out[SCRAM_HASHES]);
/* The keys to go on with: the user's, or such as nobody has. 0 or -errno. */
CO_FN int login_scram_keys(struct auth *a, enum scram_hash h, struct slice user,
			   struct scram_keys *out);
/*
 * The end of an exchange: as auth_login (r->password is not looked at), where
 * final is the client's last message; what the server says last is added to
 * out. AUTH_INVALID: it is no such message.
 */
CO_FN int login_scram(struct auth *a, const struct auth_request *r, struct scram *x,
		      struct slice final, struct buf *out, struct auth_identity *id);

/* ---- what auth_login shares with it (login.c) */

CO_FN int login_find(struct auth *a, struct slice user, struct addr *at, struct account_row *row);
bool login_same_user(struct slice authzid, struct slice user);
struct slice login_counted(struct slice user, const struct addr *at);
CO_FN int login_pause(struct auth *a, int ms);
/* Counts the attempt and waits as it must. 0; AUTH_BUSY: refused; -errno. */
CO_FN int login_begin(struct auth *a, const struct auth_request *r, const struct addr *at,
		      struct attempt *out);
int login_give(const struct addr *at, const struct account_row *row, struct auth_identity *out);
/* Adds keys to an account that has this password hash still. (account.c) */
CO_FN int account_add_keys(struct auth *a, struct slice address, const char *phc,
			   const struct scram_keys keys[SCRAM_HASHES]);

/* ---- routing (route.c) --------------------------------------------------- */

/* Would these targets lead back to the address? 1 yes, 0 no, -errno. */
CO_FN int route_would_loop(struct auth *a, const struct addr *at, const struct slice *targets,
			   size_t n);

#endif
