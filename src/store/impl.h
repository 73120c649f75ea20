/*
 * What the store's own files share; nobody else includes this.
 *
 * Memory is always the truth of what is durable: a change is built as a
 * struct txn (a kv batch and the same change as data), committed, and only
 * then applied to memory, in the order in which the commits were called.
 * UIDs and modseqs are reserved when a transaction is built, so arrivals do
 * not wait for each other: they stand in the mailbox's pipe. What rewrites
 * rows that exist (flags, expunge, folding) holds the mailbox's lock, from
 * looking at the rows until they are applied. Arrivals only write rows of
 * their own (one 'M' row each), so that one that fails leaves nothing wrong
 * behind, whatever follows it. See README.md and docs/format.md.
 */
#ifndef STORE_IMPL_H
#define STORE_IMPL_H

#include <stdatomic.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/cur.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/table.h"
#include "base/utf8.h"
#include "kv/kv.h"
#include "store/acl.h"
#include "store/store.h"

#define PAGE_UIDS 128 /* UIDs of one page */
#define KEPT_UIDS 16  /* UIDs of a page of kept texts (kept.h) */
#define KEPT_PAGES (PAGE_UIDS / KEPT_UIDS)
#define FOLD_AT 64			    /* single rows that make a mailbox fold them */
#define COPY_SINGLES 32			    /* a bigger copy writes pages at once */
#define COPY_TREES 64			    /* a bigger copy leaves the trees for later */
#define APPEND_TREES (4u * 1024 * 1024)	    /* bytes of trees in one append; others later */
#define TREE_KEEP_MAX (16u * 1024)	    /* bigger trees are parsed anew */
#define VANISHED_PAGES 4096		    /* pages of UIDs with expunge marks */
#define FLAGS_CHUNK 50000		    /* messages of one flag commit */
#define EXPUNGE_CHUNK 50000		    /* messages of one expunge commit */
#define COPY_CHUNK 100000		    /* messages of one copy */
#define ACCOUNTS_WARM 256		    /* accounts kept in memory unused, a home */
#define MAILBOXES_WARM 16		    /* mailboxes kept loaded unused, a home */
#define WARM_MESSAGES 20000		    /* bigger ones are not kept */
#define NAMES_MAX (2 * STORE_MAILBOXES_MAX) /* subscriptions */
#define MESSAGE_MAX_DEFAULT (50ull * 1024 * 1024)
#define MESSAGE_MAX_LIMIT (2ull * 1024 * 1024 * 1024)

/* ---- rows (rows.c) ------------------------------------------------------ */

#define ROW_VERSION 1
#define ACL_NEGATIVE 1 /* flag of an entry */

struct row_key {
	char b[16];
	size_t n;
};
struct row_key key1(char kind);
struct row_key key32(char kind, uint32_t v);
struct row_key key64(char kind, uint64_t v);
static inline struct slice key_slice(const struct row_key *k)
{
	return slice_make(k->b, k->n);
}

struct kv_part part_store(void);
struct kv_part part_account(store_id account);
struct kv_part part_mailbox(store_id account, store_id mailbox);

/* One message in memory. */
struct msg {
	uint32_t uid;
	uint32_t gone_at; /* 0: lives; else the mailbox's expunge count */
	uint8_t system;	  /* enum store_flag */
	bool paged;	  /* in a page, not in an 'M' row */
	int16_t zone;
	uint32_t size;
	uint32_t extra;	    /* canonical CRLF form is that much longer */
	uint32_t save_date; /* unix seconds, to 2106 */
	uint64_t keywords;
	uint64_t modseq;
	int64_t internal_date;
	struct kv_blob_id blob; /* also the message's guid */
};

struct counts {
	uint32_t messages, unseen, deleted, recent;
	uint64_t bytes;
};

struct account_row {
	uint64_t quota_bytes, quota_messages;
	store_id next_mailbox;
	uint32_t last_uidvalidity;
	bool deleting;
};
struct box_row {
	uint32_t uidvalidity;
	unsigned uses;
	struct slice name;
};
struct head_row {
	uint32_t uidnext;
	uint64_t modseq;
	uint32_t recent_uid;
	uint32_t vanished_page;
	uint64_t vanished_floor;
	struct counts paged;
};
/* Expunge marks of one page: when uid = page * 128 + i went, or 0. */
struct vanished_row {
	uint32_t page;
	uint64_t modseq[PAGE_UIDS];
};

/* Encoders add to out. Decoders: 0, or -EIO damaged, -EPROTO newer. */
void account_row_put(const struct account_row *r, struct buf *out);
int account_row_get(struct slice v, struct account_row *out);
void box_row_put(const struct box_row *r, struct buf *out);
int box_row_get(struct slice v, struct box_row *out);
void head_row_put(const struct head_row *r, struct buf *out);
int head_row_get(struct slice v, struct head_row *out);
void keywords_put(const struct slice *names, size_t n, struct buf *out);
/* Slices point into v. */
int keywords_get(struct slice v, struct slice *names, size_t *n_out);
void single_put(const struct msg *m, struct buf *out);
int single_get(uint32_t uid, struct slice v, struct msg *out);
/* The two rows of a page: flags and modseq; and what never changes. */
void flags_page_put(const struct msg *m, size_t n, uint32_t page, struct buf *out);
void fixed_page_put(const struct msg *m, size_t n, uint32_t page, struct buf *out);
/* Up to PAGE_UIDS messages into m. The fixed page must name the same. */
int flags_page_get(uint32_t page, struct slice v, struct msg *m, size_t *n_out);
int fixed_page_get(uint32_t page, struct slice v, struct msg *m, size_t n);
/* Only the blobs of a fixed page, for giving them up; how many. */
size_t fixed_page_blobs(uint32_t page, struct slice v, struct msg *m);
void vanished_put(const struct vanished_row *r, struct buf *out);
int vanished_get(struct slice v, struct vanished_row *r);

/* ---- memory ------------------------------------------------------------- */

struct home {
	struct store *s;
	struct co_loop *loop; /* NULL: whoever calls */
	struct table accounts;
	struct list warm_accounts;
	size_t n_warm_accounts;
	struct list warm_boxes;
	size_t n_warm_boxes;
	/* text_home.c: the indexer */
	bool text_on;
	struct list text_due;
	struct co_event text_wake;
	bool text_demand; /* a search indexes */
	struct co_post text_post;
};

struct store {
	struct kv *kv;
	char *tmp_dir;
	uint64_t message_max;
	struct home *homes;
	size_t n_homes;
	atomic_uint_fast64_t n_accounts, n_boxes, n_views, n_delivered;
};

struct sub {
	uint32_t id;
	struct slice name; /* malloc'ed */
};

struct store_account {
	struct home *home;
	store_id id;
	unsigned refs; /* handles, and mailboxes in use */
	bool loaded;
	bool gone;
	bool measured; /* every mailbox is at least light */
	bool maildrop_locked;
	struct co_mutex lock; /* loading, and changes of the list */
	struct account_row row;
	struct list boxes;
	size_t n_boxes;
	struct table by_name;
	struct store_mailbox *inbox;
	struct sub *subs;
	size_t n_subs, cap_subs;
	uint32_t next_sub;
	uint64_t reserved_bytes, reserved_messages;
	struct co_mutex sharers_lock; /* acl.c */
	store_id *sharers;	      /* who may share something with it */
	size_t n_sharers, cap_sharers;
	struct list warm;
	struct list watches;	 /* watch.c */
	uint64_t stamp;		 /* counts changes of anything in it */
	uint64_t list_stamp;	 /* of the last change of the list */
	uint64_t metadata_stamp; /* of the last change of an annotation */
};

enum box_state {
	BOX_COLD,  /* only what the account's list says */
	BOX_LIGHT, /* header, keywords and single rows: enough to deliver */
	BOX_LOADED /* all messages */
};

/* UIDs, ascending; only ever appended to, so that views share it. */
struct uids {
	unsigned refs;
	uint32_t n, cap;
	uint32_t *v;
};

/* What the derived data for searching needs of a mailbox. */
struct box_text {
	bool busy;	  /* somebody writes index rows */
	bool hurry;	  /* a search waits for the index */
	uint32_t bad;	  /* a segment that cannot be read, or 0 */
	struct list due;  /* home's text_due */
	int64_t since;	  /* on that list */
	int64_t at;	  /* when the indexer is to look at it */
	int64_t demanded; /* when a search last indexed */
	uint32_t summed;  /* summaries of all below were seen to be kept */
};

struct store_mailbox {
	struct store_account *a;
	struct list link; /* a->boxes; alone once gone */
	store_id id;
	uint32_t uidvalidity;
	unsigned uses;
	struct slice name;	     /* malloc'ed */
	struct store_acl_entry *acl; /* sorted; malloc'ed or NULL */
	size_t n_acl;
	unsigned refs; /* handles, views, transactions */
	enum box_state state;
	bool gone;
	bool closing; /* being deleted: takes no more mail */
	struct co_mutex lock;
	struct list pipe;     /* transactions under way, in order */
	size_t pending_adds;  /* messages in the pipe */
	uint32_t next_uid;    /* next to be reserved */
	uint64_t next_modseq; /* last that was reserved */
	uint32_t uidnext;     /* of what is durable */
	uint64_t modseq;
	uint64_t flag_modseq; /* of the last change but arrivals */
	uint32_t recent_uid;  /* those below are claimed */
	bool recent_dirty;
	bool damaged; /* could not be measured */
	uint32_t vanished_page;
	uint64_t vanished_floor;
	struct counts total, paged;
	struct slice *kw; /* STORE_KEYWORDS_MAX, malloc'ed names, or NULL */
	unsigned kw_n, kw_durable;
	struct msg *v; /* ascending; gone ones while a view needs them */
	size_t n, cap;
	size_t n_gone, n_single;
	size_t found;	   /* where box_find was last; only a hint */
	uint32_t expunges; /* count of expunges since it is in memory */
	uint32_t url_keys; /* count of access keys taken back since then */
	struct uids *cur;  /* UIDs that live, or NULL: to be made */
	struct list views;
	uint64_t stamp;		 /* of the last change of its messages */
	uint64_t metadata_stamp; /* of its annotations */
	struct list warm;
	struct box_text text;
};

static inline struct store *box_store(const struct store_mailbox *m)
{
	return m->a->home->s;
}

static inline struct kv *box_kv(const struct store_mailbox *m)
{
	return box_store(m)->kv;
}

/* A kv result as the store's. */
int store_result(int kv_result, struct err *e, const char *text);

/* ---- homes and accounts (store.c, account.c) ---------------------------- */

struct home *home_of(struct store *s, store_id account);
/* Asserts that the caller may touch this home. */
void home_assert(const struct home *h);
/* Runs fn on the account's home loop. */
CO_FN int home_call(struct store *s, store_id account, int (*fn)(void *), void *arg);
CO_FN int account_get(struct home *h, store_id id, struct store_account **out, struct err *e);
void account_ref(struct store_account *a);
void account_unref(struct store_account *a);
void account_free(struct store_account *a);
/* Makes every mailbox light, so that usage is known. */
CO_FN int account_measure(struct store_account *a, struct err *e);
void account_sum(const struct store_account *a, struct store_usage *out);
/* STORE_OK or STORE_OVERQUOTA; measured accounts, no suspension. A resource
 * of which nothing is asked for is not looked at. */
int account_fits(const struct store_account *a, uint64_t bytes, uint64_t messages);
/* Quota is set or asked for: it must be measured before account_fits. */
bool account_has_quota(const struct store_account *a);
struct store_mailbox *account_find(const struct store_account *a, struct slice canon_name);
/* An object for a mailbox, in the list; NULL: no memory. */
struct store_mailbox *account_add_box(struct store_account *a, store_id id,
				      const struct box_row *r);
void account_drop_box(struct store_mailbox *m);
/* Clears a deleted mailbox's partition. */
CO_FN int clear_partition(struct store *s, struct kv_part part, struct err *e);
/* Adds the account's header row to a batch. */
void account_put_row(struct kv_batch *b, const struct account_row *r);
void account_put_box(struct kv_batch *b, store_id id, const struct box_row *r);
/* folders.c: a mailbox's special uses, taken from the others; the rows, and
 * once they are durable, memory. The account is locked. */
void box_put_uses(struct kv_batch *b, const struct store_mailbox *m, unsigned uses);
void box_set_uses(struct store_mailbox *m, unsigned uses);
/* metadata.c: annotations are rows of the account's partition that no load
 * reads. */
#define METADATA_KEY 'Y'
void metadata_drop(struct kv_batch *b, store_id box);
/* INBOX keeps its own; too many are not copied. The account is locked. */
CO_FN int metadata_copy(struct store_account *a, store_id from, store_id to, struct err *e);
/* names.c: one subscription's row. */
int sub_load(struct store_account *a, uint32_t id, struct slice value);
void sub_put(struct kv_batch *b, uint32_t id, struct slice name);

/* ---- access (acl.c) ------------------------------------------------------ */

void acl_row_put(const struct store_acl_entry *v, size_t n, struct buf *out);
/* Up to STORE_ACL_MAX entries. */
int acl_row_get(struct slice v, struct store_acl_entry *out, size_t *n_out);
/* The row of a mailbox's list into a batch; an empty list removes it. */
void acl_put(struct kv_batch *b, store_id box, const struct store_acl_entry *v, size_t n);
/* Makes it the mailbox's list in memory. 0 or -ENOMEM. */
int acl_keep(struct store_mailbox *m, const struct store_acl_entry *v, size_t n);
/* Rows of an account that is being loaded. */
int acl_load(struct store_account *a, store_id box, struct slice value);
int sharer_load(struct store_account *a, store_id owner);
/* The nearest mailbox above this name, or NULL. */
const struct store_mailbox *acl_above(const struct store_account *a, struct slice name);

/* ---- mailboxes (mailbox.c) ---------------------------------------------- */

CO_FN int box_light(struct store_mailbox *m, struct err *e);
CO_FN int box_load(struct store_mailbox *m, struct err *e);
/* With the lock held: brings one page into memory if it is not. */
CO_FN int box_load_page(struct store_mailbox *m, uint32_t page, struct err *e);
void box_ref(struct store_mailbox *m);
void box_unref(struct store_mailbox *m);
void box_free(struct store_mailbox *m);
/* Back to light: only single rows stay. */
void box_unload(struct store_mailbox *m);
/* Marks it as deleted and wakes its views. */
void box_set_gone(struct store_mailbox *m);
/* First index with uid >= uid. */
size_t box_lower(const struct store_mailbox *m, uint32_t uid);
/* The message, also a gone one, or NULL. */
struct msg *box_find(const struct store_mailbox *m, uint32_t uid);
/* The message if it lives. */
struct msg *box_live(const struct store_mailbox *m, uint32_t uid);
/* Room for n more messages besides what is in the pipe. */
int box_reserve(struct store_mailbox *m, size_t n);
/* +1 or -1 for one message. */
void counts_add(struct counts *c, const struct msg *e, int sign, uint32_t recent_uid);
/* Locks for a change: loaded, not gone. STORE_GONE, <0. */
CO_FN int box_lock(struct store_mailbox *m, struct err *e);
int box_add_keyword(struct store_mailbox *m, struct slice name);
/* Folds single rows into pages when there are many and nobody is at it. */
CO_FN void box_fold(struct store_mailbox *m);
/* Waits until the pipe is empty. */
CO_FN void box_drain(struct store_mailbox *m);
/* Writes the header if the \Recent mark moved. */
CO_FN void box_save_recent(struct store_mailbox *m);

/* ---- transactions (txn.c) ----------------------------------------------- */

struct edit {
	uint32_t uid;
	uint8_t system;
	uint64_t keywords;
};

struct txn {
	struct list link; /* m->pipe */
	struct store_mailbox *m;
	struct kv_batch *batch;
	uint64_t modseq;
	struct msg *add; /* arrivals, ascending */
	size_t n_add, cap_add;
	struct edit *edit; /* new flags, ascending */
	size_t n_edit, cap_edit;
	uint32_t *del; /* expunged, ascending */
	size_t n_del, cap_del;
	struct vanished_row *vanished; /* pages of del, read before */
	size_t n_vanished;
	bool touch;	  /* only raises the modseq */
	uint32_t fold_to; /* singles up to this UID go into pages */
	bool locked;	  /* the lock is held: the header may be written */
	unsigned kw_n;	  /* keywords that are durable with it */
	uint64_t reserved_bytes, reserved_messages;
	bool sealed, done, applied, waiting;
	int result;
	struct co_signal signal;
};

/* locked: the caller holds m->lock. NULL: no memory. */
struct txn *txn_new(struct store_mailbox *m, bool locked);
/* Not while it is under way. Accepts NULL. */
void txn_free(struct txn **tp);
/*
 * Adds an arrival: gives it the next UID and the transaction's modseq.
 * 0, -ENOMEM, STORE_LIMIT (no UIDs left). The blob gets a reference.
 */
int txn_add(struct txn *t, const struct msg *msg, uint32_t *uid_out);
/* deliver.c: the writer's message, with its tree. */
int txn_add_message(struct txn *t, const struct store_writer *w, const struct msg *msg,
		    uint32_t *uid_out);
int txn_edit(struct txn *t, const struct edit *e);
int txn_del(struct txn *t, uint32_t uid);
/* Holds room in the quota until it is applied. */
void txn_reserve(struct txn *t, uint64_t bytes, uint64_t messages);
/* The pages of expunge marks the deletions fall in. Before txn_seal. */
CO_FN int txn_read_vanished(struct txn *t, struct err *e);
/*
 * Builds the batch and takes the place in the pipe. No suspension may come
 * between this and txn_commit. 0 or -ENOMEM.
 */
int txn_seal(struct txn *t);
/* Takes a transaction back that may be sealed but was never committed. */
void txn_abandon(struct txn *t);
/* Commits them together, applies each in its mailbox's order. */
CO_FN int txn_commit(struct txn **ts, size_t n, struct err *e);

/* Raises the mailbox's modseq: something of it changed that is no message
 * (RFC 7162 3.2). */
CO_FN int box_touch(struct store_mailbox *m, struct err *e);

/* emit.c: rows for what the transaction changes; errors stick in the batch */
int txn_emit(struct txn *t);

/* ---- views (view.c) ----------------------------------------------------- */

struct uids *uids_new(uint32_t cap);
struct uids *uids_ref(struct uids *u);
void uids_unref(struct uids *u);
int uids_push(struct uids *u, uint32_t uid);
/* Sets the event of every view. */
void box_wake(struct store_mailbox *m);
/* A change of the mailbox: wakes every session that looks at it. */
void box_publish(struct store_mailbox *m);
/* Forgets gone messages that no view can ask for any more. */
void box_compact(struct store_mailbox *m);
/* Would the view announce this message's flags? */
bool view_is_news(struct store_view *v, const struct msg *e);
/* Number seq, whether it is expunged or not. */
struct msg *view_msg(const struct store_view *v, uint32_t seq);
/* Its client knows the flags of a message as of modseq. */
void view_told_uid(struct store_view *v, uint32_t uid, uint64_t modseq);

/* ---- watches (watch.c) -------------------------------------------------- */

/* The list (mailboxes, uses, subscriptions, rights) changed, durably and in
 * memory: wakes who watches. */
void account_list_changed(struct store_account *a);
/* Annotations of this mailbox, or (NULL) of the server, changed. */
void account_metadata_changed(struct store_account *a, struct store_mailbox *m);
/* Wakes who watches; the stamps are set. */
void account_wake(struct store_account *a);

/* ---- searching (text_home.c) -------------------------------------------- */

#define TEXT_REST_MS 5000	 /* so long after the last change */
#define TEXT_REST_LIGHT_MS 60000 /* of a mailbox nobody looks at */
/* The indexer, if it runs, is to look at the mailbox after so long. */
void text_touch(struct store_mailbox *m, int64_t rest_ms);
/* It is about to be freed. */
void text_forget(struct store_mailbox *m);
/* text_check.c: looks at all derived rows. 0 or <0. */
CO_FN int index_check(struct store_mailbox *m, void (*found)(void *arg, const char *text),
		      void *arg);

/* ---- writing ------------------------------------------------------------ */

/* The facts of a finished writer. */
void writer_msg(const struct store_writer *w, struct msg *out);
/* The tree as kept; empty when too big to keep. */
struct slice writer_tree_bytes(const struct store_writer *w);
bool writer_is_done(const struct store_writer *w);

/* ---- names -------------------------------------------------------------- */

unsigned name_levels(struct slice name);
/* Is name below parent ("a/b" below "a")? */
bool name_below(struct slice name, struct slice parent);
/* The parent's name, empty at the top. */
struct slice name_parent(struct slice name);

/*
 * copy.c: also for RENAME of INBOX, with uids NULL: as many as one commit
 * takes.
 */
CO_FN int box_transfer(struct store_mailbox *m, const uint32_t *uids, size_t n,
		       struct store_mailbox *dst, bool move, struct store_flags keep,
		       uint32_t *dst_uids_out, struct err *e);
#define FLAGS_ALL ((struct store_flags){ UINT32_MAX, UINT64_MAX })

#endif
