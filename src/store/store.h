/*
 * store: mail over kv. The only door to accounts, mailboxes and messages.
 *
 * Values pass this door (ids, slices, counts, snapshots), never pointers into
 * the store's memory, but for three opaque handles: the store, an open
 * account, an open mailbox.
 *
 * An account lives on one loop, its home (store_home). Every function that
 * takes a store_account, store_mailbox or store_view must be called there;
 * asserted. Functions that take only the store may be called on any loop.
 * So there are no locks around mail state. Outside coroutines (tests, tools)
 * there is one home: the caller.
 *
 * One call is one transaction: it checks, prepares, commits durably
 * (kv_commit), then applies to memory and publishes: sessions see a change
 * only when it is durable. 0 is a promise.
 *
 * UIDs, UIDVALIDITY, modseqs, account, mailbox and message ids are never
 * reused. Mailbox names are UTF-8 in NFC with "/" between levels; INBOX is
 * one name in any case. Names are opaque: never a path, never a key.
 *
 * Results: 0; a positive enum store_result; or -errno (-EIO: the store is
 * poisoned or damaged, -ECANCELED, -ENOMEM): "temporary" to a client. *e, where given, has
 * the reason for the log.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/arena.h"
#include "base/err.h"
#include "co/co.h"
#include "mime/mime.h"

#define STORE_NAME_MAX 255	 /* bytes of a mailbox name */
#define STORE_DEPTH_MAX 20	 /* levels of a mailbox name */
#define STORE_MAILBOXES_MAX 2000 /* of one account */
#define STORE_KEYWORDS_MAX 64	 /* different keywords in one mailbox */
#define STORE_KEYWORD_MAX 64	 /* bytes of one keyword */

enum store_result {
	STORE_OK = 0,
	STORE_NOTFOUND = 1,    /* account, mailbox or message does not exist */
	STORE_EXISTS = 2,      /* name is taken */
	STORE_OVERQUOTA = 3,   /* would go over the account's quota */
	STORE_FULL = 4,	       /* no room on the disk (452 4.3.1) */
	STORE_LIMIT = 5,       /* too many mailboxes, keywords, levels */
	STORE_BADNAME = 6,     /* not a possible mailbox name */
	STORE_INUSE = 7,       /* maildrop is locked by another POP3 session */
	STORE_GONE = 8,	       /* mailbox was deleted under the caller */
	STORE_HASCHILDREN = 9, /* reserved for callers; delete keeps children */
	STORE_FORBIDDEN = 10   /* INBOX may not be deleted, and the like */
};

typedef uint64_t store_id; /* account or mailbox; 0 is none */

struct store;
struct store_account;
struct store_mailbox;
struct store_view;

/* ---- the store ---------------------------------------------------------- */

struct kv;
struct store_opts {
	struct kv *kv;		/* stays the caller's; closed after the store */
	const char *tmp_dir;	/* for spools; may be NULL: memory only */
	struct co_loop **loops; /* homes; n_loops 0: the calling thread */
	size_t n_loops;
	uint64_t message_max; /* bytes; 0: 50 MiB */
};
/* 0; -EPROTO a newer format; -errno. */
CO_FN int store_open(const struct store_opts *o, struct store **out, struct err *e);
/* All handles must be gone. */
void store_close(struct store **sp);
/* The loop an account lives on; NULL without loops. */
struct co_loop *store_home(struct store *s, store_id account);
/* True while new mail would be answered STORE_FULL. Cheap. */
bool store_is_full(struct store *s);
uint64_t store_message_max(const struct store *s);
const char *store_tmp_dir(const struct store *s);

struct store_stats {
	uint64_t accounts_open;
	uint64_t mailboxes_open;
	uint64_t views_open;
	uint64_t delivered;
};
void store_stats(struct store *s, struct store_stats *out);

/* ---- accounts ----------------------------------------------------------- */

/*
 * Makes the account's mail: INBOX, Drafts, Sent, Trash, Junk, Archive with
 * their special uses, subscribed. id comes from the directory and is never
 * reused. quotas: 0 none. STORE_EXISTS if it is there already.
 */
CO_FN int store_account_create(struct store *s, store_id id, uint64_t quota_bytes,
			       uint64_t quota_messages, struct err *e);
/* Removes all its mail. STORE_NOTFOUND. Open sessions see STORE_GONE. */
CO_FN int store_account_delete(struct store *s, store_id id, struct err *e);
/* On the home loop. Reference-counted; STORE_NOTFOUND. */
CO_FN int store_account_open(struct store *s, store_id id, struct store_account **out,
			     struct err *e);
void store_account_close(struct store_account **ap);
store_id store_account_id(const struct store_account *a);

struct store_usage {
	uint64_t bytes, messages;	      /* counted once per message row */
	uint64_t quota_bytes, quota_messages; /* 0: none */
};
void store_account_usage(const struct store_account *a, struct store_usage *out);
/* Any loop. Sets the limits (0: none). */
CO_FN int store_quota_set(struct store *s, store_id id, uint64_t bytes, uint64_t messages,
			  struct err *e);
/* Any loop. */
CO_FN int store_usage(struct store *s, store_id id, struct store_usage *out, struct err *e);
/* Any loop: would a message of this size fit? STORE_OK, STORE_OVERQUOTA,
 * STORE_NOTFOUND, STORE_FULL. A hint for RCPT; delivery decides. */
CO_FN int store_would_fit(struct store *s, store_id id, uint64_t size);

/*
 * POP3's exclusive lock on the maildrop (RFC 1939 4): in memory, of this
 * account. STORE_OK or STORE_INUSE. IMAP and delivery go on.
 */
int store_maildrop_lock(struct store_account *a);
void store_maildrop_unlock(struct store_account *a);

/* ---- mailboxes ---------------------------------------------------------- */

enum store_use { /* RFC 6154 special uses, a bit set */
		 STORE_USE_ARCHIVE = 1,
		 STORE_USE_DRAFTS = 2,
		 STORE_USE_JUNK = 4,
		 STORE_USE_SENT = 8,
		 STORE_USE_TRASH = 16,
		 STORE_USE_FLAGGED = 32,
		 STORE_USE_ALL = 64
};

struct store_mailbox_info {
	store_id id;
	struct slice name; /* UTF-8, NFC */
	bool exists;	   /* false: only a subscription, or only a parent */
	bool noselect;
	bool subscribed;
	bool has_children;
	unsigned uses;
};
/*
 * Every mailbox, missing parents of existing ones (exists = false,
 * noselect = true) and dangling subscriptions, in name order, INBOX first.
 * The array and names are in the arena. 0 or -ENOMEM.
 */
CO_FN int store_mailbox_list(struct store_account *a, struct arena *arena,
			     struct store_mailbox_info **out, size_t *n_out, struct err *e);
/* Creates parents too. Uses (enum store_use) are one mailbox's each: another
 * that had them loses them in the same commit. EXISTS, BADNAME, LIMIT. */
CO_FN int store_mailbox_create(struct store_account *a, struct slice name, unsigned uses,
			       struct err *e);
/* All the uses of a mailbox; as above. NOTFOUND, FORBIDDEN (INBOX has none). */
CO_FN int store_mailbox_set_uses(struct store_account *a, struct slice name, unsigned uses,
				 struct err *e);
/*
 * NOTFOUND, FORBIDDEN (INBOX). Children stay (RFC 3501 6.3.4). Messages are
 * gone for good when this returns; the name, created again, has a higher
 * UIDVALIDITY.
 */
CO_FN int store_mailbox_delete(struct store_account *a, struct slice name, struct err *e);
/*
 * With its children; INBOX moves its messages into the new mailbox and stays
 * (RFC 3501 6.3.5). EXISTS, NOTFOUND, BADNAME, LIMIT. UIDs and UIDVALIDITY
 * of renamed mailboxes stay.
 */
CO_FN int store_mailbox_rename(struct store_account *a, struct slice from, struct slice to,
			       struct err *e);
/* Names need not exist to be subscribed (RFC 3501 6.3.6). */
CO_FN int store_subscribe(struct store_account *a, struct slice name, bool on, struct err *e);
/* NFC, INBOX upper case, checked: levels, length, controls, empty levels,
 * '*' and '%'. STORE_OK or STORE_BADNAME. */
int store_name_canon(struct slice name, struct buf *out);

struct store_status {
	store_id id;
	uint32_t uidvalidity;
	uint32_t uidnext;
	uint32_t messages;
	uint32_t unseen;
	uint32_t recent;  /* not yet claimed by any session */
	uint32_t deleted; /* \Deleted */
	uint64_t size;
	uint64_t highestmodseq;
};
CO_FN int store_mailbox_status(struct store_account *a, struct slice name, struct store_status *out,
			       struct err *e);
/* Octets that an expunge of all that is \Deleted would give back (RFC 9208);
 * loads the mailbox if there are such messages. */
CO_FN int store_mailbox_deleted(struct store_account *a, struct slice name, uint64_t *bytes_out,
				struct err *e);

/* Opens by name; reference-counted. NOTFOUND (also for noselect). */
CO_FN int store_mailbox_open(struct store_account *a, struct slice name, struct store_mailbox **out,
			     struct err *e);
void store_mailbox_close(struct store_mailbox **mp);
void store_mailbox_get_status(const struct store_mailbox *m, struct store_status *out);
/* True once deleted under us: everything else answers STORE_GONE. */
bool store_mailbox_gone(const struct store_mailbox *m);
struct store_account *store_mailbox_account(const struct store_mailbox *m);
/* Its name of now; lives until the caller suspends. */
struct slice store_mailbox_name(const struct store_mailbox *m);

/* ---- messages ----------------------------------------------------------- */

enum store_flag {
	STORE_SEEN = 1,
	STORE_ANSWERED = 2,
	STORE_FLAGGED = 4,
	STORE_DELETED = 8,
	STORE_DRAFT = 16
};

/* Flags of one message: system flags, and keywords as bits of this
 * mailbox's keyword table. */
struct store_flags {
	uint32_t system;
	uint64_t keywords;
};

struct store_msg {
	uint32_t uid;
	struct store_flags flags;
	uint64_t modseq;
	uint64_t size;	       /* octets as stored */
	uint64_t wire_size;    /* octets in canonical CRLF form (POP3) */
	int64_t internal_date; /* unix seconds */
	int32_t internal_zone; /* minutes east, as given at APPEND */
	int64_t save_date;
	unsigned char guid[16]; /* same for all copies of the same bytes */
};

/* Keyword names of this mailbox, bit i = names[i]; in the arena. */
CO_FN int store_keywords(struct store_mailbox *m, struct arena *arena, struct slice **names_out,
			 size_t *n_out);
/* How many there are: when it grows, store_keywords has more to say. */
unsigned store_keyword_count(const struct store_mailbox *m);
/*
 * Bits for keyword names (case-insensitive, case of the first use kept),
 * entered into the table when create is true (with the next commit).
 * STORE_OK; STORE_LIMIT (table full); names not known and not created are
 * left out.
 */
int store_keyword_bits(struct store_mailbox *m, const struct slice *names, size_t n, bool create,
		       uint64_t *bits_out);

/* ---- views -------------------------------------------------------------- */

/*
 * A session's view: the UIDs its client knows, numbered 1..count, with the
 * flags as the client last heard of them where that matters. It changes only
 * in store_view_sync. Messages expunged by others stay readable by UID and
 * number in old views as far as their rows are kept in memory.
 */
/* rw views take the \Recent messages for themselves (RFC 3501 2.3.2). */
CO_FN int store_view_open(struct store_mailbox *m, bool rw, struct store_view **out, struct err *e);
void store_view_close(struct store_view **vp);
struct store_mailbox *store_view_mailbox(const struct store_view *v);
uint32_t store_view_count(const struct store_view *v);
/* UID of number seq (1..count). */
uint32_t store_view_uid(const struct store_view *v, uint32_t seq);
/* Number of the message with this uid; 0: not in the view. */
uint32_t store_view_seq(const struct store_view *v, uint32_t uid);
/* Number of the first message with UID >= uid; count+1 if none. */
uint32_t store_view_lower(const struct store_view *v, uint32_t uid);
/* Current facts of number seq. STORE_OK; STORE_NOTFOUND: expunged by another
 * session (fields from before the expunge are still given). */
int store_view_msg(const struct store_view *v, uint32_t seq, struct store_msg *out);
bool store_view_recent(const struct store_view *v, uint32_t seq);
uint32_t store_view_recent_count(const struct store_view *v);

struct store_change {
	uint32_t seq; /* in the numbering after the expunges below */
	uint32_t uid;
};
struct store_diff {
	/* To be announced in this order: each number as of that moment. */
	uint32_t *expunged; /* sequence numbers, highest first */
	uint32_t *expunged_uids;
	size_t n_expunged;
	uint32_t exists; /* new count; announce when exists_changed */
	bool exists_changed;
	uint32_t recent;
	bool recent_changed;
	bool keywords_changed;	      /* announce FLAGS */
	struct store_change *changed; /* flags changed since last told */
	size_t n_changed;
};
/*
 * Brings the view up to date and says what to announce; arrays are in the
 * arena. With expunges false, messages gone since stay in the view
 * (RFC 3501 7.4.1: during FETCH, STORE, SEARCH). Changes that the caller
 * itself announced (store_view_told) are left out. STORE_OK, STORE_GONE.
 */
int store_view_sync(struct store_view *v, bool expunges, struct arena *arena,
		    struct store_diff *out);
/* The client knows the flags of this message as they were at modseq (as
 * store_view_msg gave them). */
void store_view_told(struct store_view *v, uint32_t seq, uint64_t modseq);
/*
 * How many keywords of the mailbox (names[0..n-1] of store_keywords) the
 * client knows; those with a number from there on were never named to it.
 */
unsigned store_view_keywords(const struct store_view *v);
/* The client was told of the first n by the caller; the next sync leaves them
 * out. */
void store_view_keywords_told(struct store_view *v, unsigned n);
/* Is there anything store_view_sync would report? */
bool store_view_stale(const struct store_view *v);
/* Did the mailbox change since the last sync, also without anything to
 * report? Cheap. */
bool store_view_behind(const struct store_view *v);
/*
 * Everything up to this modseq was reported: flags, arrivals and expunges
 * (RFC 7162 6: what a client may be told is HIGHESTMODSEQ). Lower than the
 * mailbox's while expunges are held back.
 */
uint64_t store_view_modseq(const struct store_view *v);
/* Number of the first message without \Seen, 0: none. */
uint32_t store_view_first_unseen(const struct store_view *v);
/* Set at every change of the mailbox; the owner clears it before syncing. */
struct co_event *store_view_event(struct store_view *v);
/* Sets this event too, from now on (NULL: no more); the caller's. */
void store_view_wake(struct store_view *v, struct co_event *ev);

/* ---- reading messages --------------------------------------------------- */

/*
 * Up to n bytes of the message from off: bytes read, 0 at the end, -ENOENT
 * (expunged and gone), -EIO (damaged), -errno.
 */
CO_FN ssize_t store_read(struct store_mailbox *m, uint32_t uid, uint64_t off, char *p, size_t n,
			 struct err *e);
/* The size of a message that is there now. STORE_OK, NOTFOUND, GONE. */
int store_message_size(const struct store_mailbox *m, uint32_t uid, uint64_t *out);
/*
 * The parts of a message, computed at delivery and kept (derived data: parsed
 * anew when missing or damaged). Memory from the arena.
 */
CO_FN int store_tree(struct store_mailbox *m, uint32_t uid, struct arena *arena,
		     struct mime_tree *out, struct err *e);

/* ---- writing messages --------------------------------------------------- */

/*
 * A message being written: bytes go to the engine and the MIME parser as they
 * come, in constant memory. Any loop. Then append or deliver, then free.
 */
struct store_writer;
/* meta: who it is for, for salvage. STORE_OK, STORE_FULL, <0. */
CO_FN int store_writer_new(struct store *s, struct slice meta, struct store_writer **out,
			   struct err *e);
/* STORE_OK, STORE_FULL, -EMSGSIZE (above message_max), <0. */
CO_FN int store_writer_add(struct store_writer *w, struct slice data, struct err *e);
/* End of the message. */
CO_FN int store_writer_end(struct store_writer *w, struct err *e);
uint64_t store_writer_size(const struct store_writer *w);
/* Valid after _end, until the writer is freed. */
const struct mime_tree *store_writer_tree(const struct store_writer *w);
/* After _end: gives up the tree (not its bytes, which are kept with the
 * message), for who holds many writers. */
void store_writer_trim(struct store_writer *w);
void store_writer_free(struct store_writer **wp);

/* One message into an open mailbox. OVERQUOTA, FULL, GONE. */
CO_FN int store_append(struct store_mailbox *m, struct store_writer *w, struct store_flags flags,
		       int64_t internal_date, int32_t zone, uint32_t *uid_out, struct err *e);

/* A finished writer, and what its message is to be. */
struct store_new {
	struct store_writer *w;
	struct store_flags flags;
	int64_t internal_date;
	int32_t zone;
	uint32_t uid; /* out: ascending without gaps */
};
/* All of the n messages, in one commit, or none. OVERQUOTA, FULL, GONE. */
CO_FN int store_append_all(struct store_mailbox *m, struct store_new *v, size_t n, struct err *e);
/*
 * One message into m in place of message uid of `from` (the same account; may
 * be the same mailbox): both in one commit, or neither; the quota is asked
 * for the difference. NOTFOUND: that message is not there any more.
 */
CO_FN int store_replace(struct store_mailbox *m, struct store_new *v, struct store_mailbox *from,
			uint32_t uid, struct err *e);

struct store_rcpt {
	store_id account;     /* in */
	struct slice mailbox; /* in: name, or empty for INBOX; a name that
				   does not exist falls back to INBOX */
	bool junk;	      /* in: instead, the mailbox whose special use is \Junk,
		      then the one named Junk, then INBOX */
	int result;	      /* out: STORE_OK, _NOTFOUND, _OVERQUOTA, _FULL
				   or <0 */
	uint32_t uid;	      /* out */
};
/*
 * Any loop. Delivers to all of them, the bytes stored once; accounts of the
 * same home go into one commit. When it returns, each rcpt's result is the
 * durable truth. 0 (look at the results) or -errno (none was delivered).
 */
CO_FN int store_deliver(struct store *s, struct store_writer *w, struct store_rcpt *rcpts, size_t n,
			struct err *e);

/* ---- changing messages -------------------------------------------------- */

enum store_flag_op { STORE_FLAGS_SET, STORE_FLAGS_ADD, STORE_FLAGS_REMOVE };
/*
 * For each of the n uids (ascending; missing ones are skipped). One commit
 * (one for each 50,000 messages, for this and for expunge). GONE, LIMIT.
 */
CO_FN int store_flags_change(struct store_mailbox *m, const uint32_t *uids, size_t n,
			     enum store_flag_op op, struct store_flags flags, struct err *e);
/* More of a flag change than what flags and how. */
struct store_flags_if {
	/* Messages with a higher modseq are left alone (RFC 7162 3.1.3);
	 * UINT64_MAX: none is. */
	uint64_t unchanged_since;
	uint32_t *left; /* room for n UIDs: those left alone; may be NULL with
			   UINT64_MAX */
	size_t n_left;	/* out */
	/* Whose client will not be told the new flags (.SILENT), because it
	 * knows them: where others' changes are not announced to it yet, it
	 * does not, and the message stays to be announced. NULL: nobody's. */
	struct store_view *view;
	/* Only these flags may change, the others stay as they are. */
	bool masked;
	struct store_flags mask;
};
/* The same; what *c asks is decided for each message under the lock. */
CO_FN int store_flags_change_if(struct store_mailbox *m, const uint32_t *uids, size_t n,
				enum store_flag_op op, struct store_flags flags,
				struct store_flags_if *c, struct err *e);
/* The same for number seq, if it is expunged and its number still in use: for
 * the sessions that have it, and in memory only. */
void store_view_change_gone(struct store_view *v, uint32_t seq, enum store_flag_op op,
			    struct store_flags flags, const struct store_flags_if *c);
/*
 * Removes those of the n uids (ascending) that still exist; with
 * only_deleted, only those marked \Deleted now. uids NULL: all messages.
 * *removed_out: how many. Durable and final.
 */
CO_FN int store_expunge(struct store_mailbox *m, const uint32_t *uids, size_t n, bool only_deleted,
			size_t *removed_out, struct err *e);
/*
 * Copies (or moves: copy and expunge in one commit) the uids that exist, in
 * order, to another mailbox of the same account (may be the same one).
 * dst_uids[i] is the new UID of uids[i], or 0 where it was skipped. All or
 * nothing. OVERQUOTA, FULL, GONE, LIMIT (keywords; more than 100,000).
 */
CO_FN int store_copy(struct store_mailbox *m, const uint32_t *uids, size_t n,
		     struct store_mailbox *dst, bool move, uint32_t *dst_uids_out, struct err *e);
/* The same; copies keep only these flags (of keywords: all, or none with 0). */
CO_FN int store_copy_with(struct store_mailbox *m, const uint32_t *uids, size_t n,
			  struct store_mailbox *dst, bool move, struct store_flags keep,
			  uint32_t *dst_uids_out, struct err *e);

/* UIDs first..last, both included. */
struct store_uid_range {
	uint32_t first, last;
};
/*
 * What was expunged with a modseq above `since` (RFC 7162 3.2.5), ascending,
 * in the arena. Where the marks of long ago are forgotten, every UID below
 * UIDNEXT that does not exist is given instead. GONE.
 */
CO_FN int store_vanished(struct store_mailbox *m, uint64_t since, struct arena *arena,
			 struct store_uid_range **out, size_t *n_out, struct err *e);

/* ---- access keys of URLs (RFC 4467 2.2) ---------------------------------- */

#define STORE_URL_KEY 32 /* random bytes */
/* The mailbox's key; made when there is none and create. STORE_OK, NOTFOUND
 * (none), GONE. */
CO_FN int store_url_key(struct store_mailbox *m, bool create, unsigned char *key, struct err *e);
/* Makes a new one. GONE. */
CO_FN int store_url_key_reset(struct store_mailbox *m, struct err *e);
/* Takes away those of all mailboxes. */
CO_FN int store_url_keys_drop(struct store_account *a, struct err *e);
/* Changes whenever a key is taken back; views' events are set then. */
uint32_t store_url_keys(const struct store_mailbox *m);

/* ---- checking ----------------------------------------------------------- */

/* Recomputes counters and references; calls found for each difference.
 * Returns the number of problems or <0. Any loop; slow. */
CO_FN int store_check(struct store *s, void (*found)(void *arg, const char *text), void *arg);

#endif
