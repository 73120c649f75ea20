/*
 * impl: what the files of this folder share: the session, one command, and
 * the helpers that answer it.
 *
 * A command lives in a struct imap_cmd from its first byte to its tagged
 * reply: its text (line and literals, as they came), an arena for what is
 * parsed out of it, and the reply, which the dispatcher sends after what the
 * view has to announce.
 */
#ifndef IMAP_IMPL_H
#define IMAP_IMPL_H

#include "auth/auth.h"
#include "base/cur.h"
#include "imap/imap.h"
#include "imap/saved.h"
#include "imap/seqset.h"
#include "store/store.h"

/* Limits before login, so that a stranger costs nothing (THREATS IM-02..04). */
#define IMAP_LINE_PRE (8u * 1024)
#define IMAP_LITERAL_PRE 1024u
/* After login. */
#define IMAP_LINE_MAX (64u * 1024)
#define IMAP_LITERAL_MAX (128u * 1024)
#define IMAP_COMMAND_MAX (1024u * 1024) /* all literals and lines of one */
#define IMAP_LITERALS_MAX 1000u
#define IMAP_DRAIN_MAX (1024u * 1024) /* refused octets that we still read */
#define IMAP_TAG_MAX 128u
#define IMAP_CLIENT_MAX 63u /* of its name, as ID has it */
#define IMAP_CAPS_MAX 4096u /* a list of capabilities */
#define IMAP_ARENA_MAX (32u * 1024 * 1024)
#define IMAP_REPLY_MAX (4u * 1024 * 1024)
#define IMAP_BUF_MAX (64u * 1024 * 1024) /* one FETCH response but bodies */
#define IMAP_CHUNK (16u * 1024)		 /* bodies pass in such pieces */
#define IMAP_UNKNOWN_PRE 3u		 /* bad commands before login */

#define IMAP_LOGIN_MS (60 * 1000)
#define IMAP_IDLE_MS (30 * 60 * 1000)
#define IMAP_STALL_MS (5 * 60 * 1000) /* within a command */
#define IMAP_BYE_MS 2000	      /* for a last word to who was too slow */

enum imap_state { /* a bit set in struct verb */
		  IMAP_NOTAUTH = 1,
		  IMAP_AUTHED = 2,
		  IMAP_SELECTED = 4
};
/* What ENABLE, or a command that implies it, has switched on for this
 * session; never off again but by UNAUTHENTICATE. */
enum imap_enabled {
	IMAP_EN_CONDSTORE = 1,
	IMAP_EN_QRESYNC = 2, /* always with CONDSTORE */
	IMAP_EN_REV2 = 4,
	IMAP_EN_UTF8 = 8, /* UTF8=ACCEPT */
	IMAP_EN_UIDONLY = 16
};
/* Flag of a verb beyond enum verb_flags: may stand behind UID. */
enum imap_verb_flag {
	IMAP_VERB_UID = 0x100,
	/* What it does to the selected mailbox is told whatever NOTIFY says. */
	IMAP_VERB_OWN = 0x200
};

struct imap {
	struct session base; /* first */
	enum imap_state state;
	unsigned enabled; /* enum imap_enabled */
	bool greeted;
	bool moving;	   /* to another loop, where accounts are opened */
	bool ending;	   /* BYE was said */
	unsigned failures; /* logins refused */
	unsigned errors;   /* BAD answers */
	int64_t login_deadline;
	struct auth_identity id;
	char client[IMAP_CLIENT_MAX + 1]; /* ID's "name"; "" not told */
	unsigned ids;			  /* how often it said so */
	struct co_loop *move_to;
	struct buf replay;	       /* the SELECT to run there */
	struct store_account *account; /* the login's, on its own loop; else NULL */
	struct store_account *lender;  /* whose mailbox is selected, if another's */
	struct store_mailbox *mbox;    /* selected */
	struct store_view *view;
	struct imap_saved saved;       /* "$" (RFC 5182) */
	struct imap_context *contexts; /* searches that go on (context.h) */
	bool readonly;
	unsigned rights_told;	    /* enum store_right: as FLAGS said */
	struct imap_notify *notify; /* NOTIFY was used; NULL: it was not */
	uint64_t modseq_said;	    /* highest MODSEQ since the last tagged reply */
	bool modseq_due;	    /* VANISHED was said: HIGHESTMODSEQ follows */
	uint64_t modseq_max;	    /* no HIGHESTMODSEQ above: flags were not told */
	uint32_t url_keys;	    /* store_url_keys of mbox, as the client knows it */
};

struct imap_cmd {
	struct imap *s;
	const struct verb *verb;
	struct slice tag;
	bool uid;    /* UID FETCH and the like */
	bool seqs;   /* speaks of message numbers behind UID too */
	bool secret; /* before login: the text may hold a password */
	struct arena arena;
	struct buf text;       /* the command as it came, literals in place */
	struct cur c;	       /* behind the verb */
	struct slice names[2]; /* mailboxes named in it, the first ones */
	size_t n_names;
	/* APPEND: a literal that is announced and not read yet */
	bool literal;
	bool literal_sync;
	uint64_t literal_size;
	struct buf reply;    /* "OK text"; the tag comes in front */
	bool bad;	     /* reply is a BAD */
	bool replied;	     /* the handler sent it itself */
	int64_t progress_at; /* when a word is due (progress.c); 0: not begun */
	bool moves;	     /* no reply yet: it runs again on another loop */
	bool again;	     /* it does so now */
};

static inline struct conn *imap_conn(struct imap *s)
{
	return &s->base.conn;
}
/* Does this client speak IMAP4rev2 (RFC 9051)? */
static inline bool imap_rev2(const struct imap *s)
{
	return s->enabled & IMAP_EN_REV2;
}
/* Are mailbox names UTF-8 on this connection, not modified UTF-7
 * (RFC 9051 5.1, RFC 6855 3)? */
static inline bool imap_utf8(const struct imap *s)
{
	return s->enabled & (IMAP_EN_REV2 | IMAP_EN_UTF8);
}

/* ---- read.c: one command in --------------------------------------------- */

void imap_cmd_init(struct imap_cmd *cmd, struct imap *s);
/* Wipes the text: it may hold a password. */
void imap_cmd_fini(struct imap_cmd *cmd);
/*
 * Reads one command. 1: ready to run; 0: refused, the reply is set;
 * <0: the connection is at its end (-ENOTCONN: closed by the peer).
 */
CO_FN int imap_cmd_read(struct imap_cmd *cmd);
/* A command that was read before (cmd->moves), from its text; takes it over.
 * 1: ready to run; 0: refused, the reply is set. */
CO_FN int imap_cmd_reread(struct imap_cmd *cmd, struct buf *text);
/* Reads and drops n octets. 0 or -errno. */
CO_FN int imap_drain(struct imap *s, uint64_t n);

/* ---- reply.c: answers ---------------------------------------------------- */

/* Set the tagged reply; the text may begin with a [CODE]. All return 0. */
int imap_ok(struct imap_cmd *cmd, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int imap_no(struct imap_cmd *cmd, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int imap_bad(struct imap_cmd *cmd, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The arguments do not parse: BAD, or NO [LIMIT] for what is too much. */
int imap_syntax(struct imap_cmd *cmd);
/* The reply to a store result that is not STORE_OK; logs our own troubles. */
int imap_store_no(struct imap_cmd *cmd, int r, const struct err *e);
/* "* BYE text" once; the session ends after this command. */
CO_FN void imap_bye(struct imap *s, const char *text);
/* The BYE of a session that srv cancelled. */
CO_FN void imap_bye_cut(struct imap *s);
/* Sends the tagged reply now. */
CO_FN void imap_send_reply(struct imap_cmd *cmd);

/*
 * A mailbox name (astring in modified UTF-7) as the store wants it, in the
 * command's arena. True; false with the reply set (BAD syntax, or NO for an
 * impossible name).
 */
bool imap_mailbox_arg(struct imap_cmd *cmd, struct slice *name_out);
/* The command is about this mailbox: its client needs no news of that. */
void imap_names(struct imap_cmd *cmd, struct slice name);
/* The same from bytes (utf8: not modified UTF-7); false if it is not a
 * possible name. */
bool imap_mailbox_canon(struct arena *a, struct slice raw, bool utf8, struct slice *name_out);

/* ---- modseq.c: CONDSTORE and QRESYNC (RFC 7162) ---------------------------- */

static inline bool imap_condstore(const struct imap *s)
{
	return s->enabled & IMAP_EN_CONDSTORE;
}
static inline bool imap_qresync(const struct imap *s)
{
	return s->enabled & IMAP_EN_QRESYNC;
}
/*
 * The client shows that it knows CONDSTORE (7162 3.1): from now on it hears
 * MODSEQ; the first time, with a mailbox selected, HIGHESTMODSEQ. Called by
 * every command that enables it, before its own answers.
 */
CO_FN void imap_enable_condstore(struct imap *s);
/* "MODSEQ (n)" into a FETCH response. */
void imap_put_modseq(struct imap *s, struct buf *b, uint64_t modseq);
/* "* OK [HIGHESTMODSEQ n]" if VANISHED was said: in IDLE. */
CO_FN void imap_modseq_news(struct imap *s);
/*
 * Before a tagged reply: HIGHESTMODSEQ, in the reply if it has no code, where
 * the client would else take for known what it was not told (7162 6).
 */
CO_FN void imap_modseq_settle(struct imap_cmd *cmd);

/*
 * "* VANISHED (EARLIER)": what was expunged since, of the UIDs in set (NULL:
 * all) above floor; never what the view still has. STORE_OK, or the store's
 * answer.
 */
CO_FN int imap_vanished_earlier(struct imap *s, struct arena *a, uint64_t since,
				const struct seqset *set, uint32_t floor, struct err *e);

/* ---- tell.c: untagged FETCH and VANISHED ----------------------------------- */

enum imap_tell_what {
	IMAP_TELL_UID = 1,
	IMAP_TELL_FLAGS = 2,
	IMAP_TELL_MODSEQ = 4,
	IMAP_TELL_GONE = 8, /* also of a message that another session expunged */
};
/* What an untagged FETCH has that the client did not ask for: the flags; UID
 * and MODSEQ where this client is to have them. */
unsigned imap_tell_what(const struct imap *s, bool with_uid);

/* One untagged FETCH after the other. */
struct imap_tell {
	struct imap *s;
	struct arena *a;
	struct slice *names; /* keywords */
	size_t n_names;
	struct buf line;
};
void imap_tell_init(struct imap_tell *t, struct imap *s, struct arena *a);
void imap_tell_fini(struct imap_tell *t);
/* Reads the keywords anew if there are more by now. 0 or -ENOMEM. */
CO_FN int imap_keywords(struct imap *s, struct arena *a, struct slice **names, size_t *n);
/* Writes one; nothing if it was expunged. With the flags, they are marked as
 * told. 0, -ECANCELED or the connection's error. */
CO_FN int imap_tell(struct imap_tell *t, uint32_t seq, unsigned what);
/* "* n FETCH (", or "* uid UIDFETCH (" (RFC 9586). */
void imap_put_fetch(const struct imap *s, struct buf *b, uint32_t seq, uint32_t uid);

/* "* VANISHED [(EARLIER) ]uids" in lines of a few KiB. */
struct imap_vanished {
	struct imap *s;
	bool earlier;
	struct store_uid_range last; /* not yet in the line; first 0: none */
	struct buf line;
};
void imap_vanished_init(struct imap_vanished *v, struct imap *s, bool earlier);
/* Ascending and disjoint. */
CO_FN void imap_vanished_add(struct imap_vanished *v, uint32_t first, uint32_t last);
/* Writes what is left. */
CO_FN void imap_vanished_end(struct imap_vanished *v);

/* ---- view.c: what changes in the selected mailbox ------------------------ */

/* Announces what changed since. STORE_OK, STORE_GONE (a BYE was said). */
CO_FN int imap_view_sync(struct imap *s, struct arena *a, bool expunges, bool with_uid);
/* "* FLAGS" and PERMANENTFLAGS; the view knows what was told. */
CO_FN void imap_view_flags(struct imap *s, struct arena *a);
/* The same, if flags has a keyword that this client was not told of: to be
 * called before a FETCH that shows them. */
CO_FN void imap_view_flags_for(struct imap *s, struct arena *a, const struct store_flags *flags);
/* Leaves the selected mailbox, if any; state is authenticated then. */
void imap_unselect(struct imap *s);
/* What '*' stands for: the highest number or UID; 0 in an empty view. */
uint32_t imap_view_star(const struct imap *s, bool uid);
/*
 * Parses a sequence set (UIDs if cmd->uid) or "$" (RFC 5182), and turns it
 * into the ascending sequence numbers of messages in the view. True; false with the reply set.
 */
bool imap_view_set(struct imap_cmd *cmd, uint32_t **seqs_out, size_t *n_out);
/* The numbers of a parsed set. 0, -ENOMEM, -EINVAL (a number too high). */
int imap_view_select(const struct imap *s, const struct seqset *set, bool uid, struct arena *a,
		     uint32_t **seqs_out, size_t *n_out);
/* UIDs of the numbers; those gone already are left out (*gone_out: how many).
 * 0 or -ENOMEM. */
int imap_view_uids(const struct imap *s, const uint32_t *seqs, size_t n, struct arena *a,
		   uint32_t **uids_out, size_t *n_out, size_t *gone_out);

/* ---- cmd_status.c --------------------------------------------------------- */

/*
 * Adds "* STATUS name (...)", line end and all; items: enum status_item. The
 * store's result, and nothing added, if it cannot be had.
 */
CO_FN int imap_status_line(struct imap *s, struct slice name, unsigned items, struct buf *out,
			   struct err *e);
struct status_facts;
/* What that line is made of; all of the store's that it needs is asked here. */
CO_FN int imap_status_facts(struct imap *s, struct slice name, unsigned items,
			    struct status_facts *out, struct err *e);
/* The tagged OK of CREATE, with MAILBOXID (RFC 8474 4.1). */
CO_FN int imap_created(struct imap_cmd *cmd, struct slice name);

/* ---- cmd_list.c ----------------------------------------------------------- */

/*
 * "* LIST" of one name as it is now; with an old name (p not NULL), the
 * OLDNAME item (RFC 9051 6.3.9.7).
 */
CO_FN void imap_list_one(struct imap_cmd *cmd, struct slice name, struct slice oldname);
/*
 * The same for IMAP4rev2 clients, if the name they wrote (an astring at `at`)
 * is not as it is kept.
 */
CO_FN void imap_list_normalized(struct imap_cmd *cmd, struct cur at, struct slice name);

/* ---- notify.c: what NOTIFY changes about news ----------------------------- */

struct imap_notify;
enum imap_news_how {
	IMAP_NEWS_EXPUNGE = 1, /* numbers may change now */
	IMAP_NEWS_UID = 2,     /* the command speaks of UIDs */
	IMAP_NEWS_OWN = 4      /* the command itself changed the mailbox */
};
/*
 * Tells what is new: in the selected mailbox as imap_view_sync does, or, once
 * NOTIFY was used, what was asked for and nothing else. cmd: whose reply comes
 * next, or NULL. STORE_OK, STORE_GONE (a BYE was said).
 */
CO_FN int imap_news(struct imap *s, struct imap_cmd *cmd, struct arena *a, unsigned how);
/* The same between commands. */
CO_FN void imap_news_idle(struct imap *s);
/* Set when there may be news between commands; NULL without NOTIFY. */
struct co_event *imap_notify_event(struct imap *s);
/* Did the client ask to hear nothing of the selected mailbox? Its view stays
 * as it is, then, but for what its own commands do. */
bool imap_notify_frozen(const struct imap *s);
/* Does the client want to hear of flags in the selected mailbox? */
bool imap_notify_flags(const struct imap *s);
/* The session leaves this loop: what NOTIFY watches is watched from another
 * one, where it goes on; what happens between is told then. */
CO_FN void imap_notify_leave(struct imap *s);
CO_FN void imap_notify_arrive(struct imap *s);
/* As if NOTIFY had never been used; for the end of a session. */
CO_FN void imap_notify_end(struct imap *s);

/* ---- cmd_fetch.c ---------------------------------------------------------- */

/*
 * FETCH responses with these items (fetch-att, as text of a command that was
 * parsed once) for the numbers from..to of the view, without a command: for
 * what NOTIFY and UPDATE tell of new messages. Sets no \Seen.
 */
CO_FN void imap_fetch_news(struct imap *s, struct slice items, uint32_t from, uint32_t to);

/* ---- cmd_metadata.c --------------------------------------------------------- */

/*
 * "* METADATA mailbox (entry value ...)" for canonical names, with NIL for
 * those without a value. The store's result.
 */
CO_FN int imap_metadata_lines(struct imap_cmd *cmd, struct slice mailbox, const struct slice *names,
			      size_t n, struct buf *out, struct err *e);
/* NO [METADATA MAXSIZE]; read.c says it of literals that it refuses. */
int imap_metadata_too_long(struct imap_cmd *cmd);

/* ---- append_stream.c ------------------------------------------------------ */

/* The largest message that APPEND takes (RFC 7889). */
uint64_t imap_append_max(const struct imap *s);

/* ---- cmd_url.c ------------------------------------------------------------ */

/* A mailbox was selected: says how its URLs are authorised (RFC 4467 8). */
CO_FN void imap_url_selected(struct imap *s);
/* The same again if a key was taken back since. */
CO_FN void imap_url_news(struct imap *s);

/* ---- session.c ---------------------------------------------------------- */

/* Does the account live on another loop than this? Notes where to. */
bool imap_must_move(struct imap *s, uint64_t account);
/* After a successful login: state, log line, reply. */
CO_FN int imap_logged_in(struct imap_cmd *cmd, const char *how);
/* After a failed one; ends the session at the limit. r: an auth_result or
 * -errno. */
CO_FN int imap_login_failed(struct imap_cmd *cmd, int r, struct slice user);
/*
 * Back to how the session was before its login: mailbox, account, and all that
 * was enabled, saved or asked for. On the session's loop.
 */
CO_FN void imap_forget(struct imap *s);
/* The time to log in begins (again). */
void imap_login_timer(struct imap *s);
/* May passwords be sent as things are? */
bool imap_privacy(const struct imap *s);
/* Shutting down: BYE was said, true. */
CO_FN bool imap_stopping(struct imap *s);
int64_t imap_idle_ms(const struct imap *s);

/* ---- caps.c --------------------------------------------------------------- */

/* Capabilities of the moment, space-separated. */
void imap_capabilities(const struct imap *s, struct buf *out);
/* Does the configuration hide anything from this client by its name? */
bool imap_has_hidden(const struct imap *s);

/* ---- progress.c ------------------------------------------------------------ */

/* Of a command that may take long, for each of its steps: says how far it is
 * (RFC 9585) when some seconds are over, and may then suspend. */
CO_FN void imap_progress(struct imap_cmd *cmd, uint64_t done, uint64_t total);

/* ---- verbs.c ------------------------------------------------------------ */

/* Row and state check. NULL with the reply set. */
const struct verb *imap_verb_for(struct imap_cmd *cmd, struct slice name);

#define IMAP_HANDLER(fn) CO_FN int fn(void *session, void *command)
IMAP_HANDLER(imap_cmd_capability);
IMAP_HANDLER(imap_cmd_noop);
IMAP_HANDLER(imap_cmd_logout);
IMAP_HANDLER(imap_cmd_id);
IMAP_HANDLER(imap_cmd_enable);
IMAP_HANDLER(imap_cmd_namespace);
IMAP_HANDLER(imap_cmd_starttls);
IMAP_HANDLER(imap_cmd_login);
IMAP_HANDLER(imap_cmd_authenticate);
IMAP_HANDLER(imap_cmd_compress);
IMAP_HANDLER(imap_cmd_unauthenticate);
IMAP_HANDLER(imap_cmd_select);
IMAP_HANDLER(imap_cmd_examine);
IMAP_HANDLER(imap_cmd_close);
IMAP_HANDLER(imap_cmd_unselect);
IMAP_HANDLER(imap_cmd_create);
IMAP_HANDLER(imap_cmd_delete);
IMAP_HANDLER(imap_cmd_rename);
IMAP_HANDLER(imap_cmd_subscribe);
IMAP_HANDLER(imap_cmd_unsubscribe);
IMAP_HANDLER(imap_cmd_status);
IMAP_HANDLER(imap_cmd_list);
IMAP_HANDLER(imap_cmd_lsub);
IMAP_HANDLER(imap_cmd_setacl);
IMAP_HANDLER(imap_cmd_deleteacl);
IMAP_HANDLER(imap_cmd_getacl);
IMAP_HANDLER(imap_cmd_listrights);
IMAP_HANDLER(imap_cmd_myrights);
IMAP_HANDLER(imap_cmd_getmetadata);
IMAP_HANDLER(imap_cmd_setmetadata);
IMAP_HANDLER(imap_cmd_getquota);
IMAP_HANDLER(imap_cmd_getquotaroot);
IMAP_HANDLER(imap_cmd_setquota);
IMAP_HANDLER(imap_cmd_append);
IMAP_HANDLER(imap_cmd_idle);
IMAP_HANDLER(imap_cmd_expunge);
IMAP_HANDLER(imap_cmd_search);
IMAP_HANDLER(imap_cmd_esearch);
IMAP_HANDLER(imap_cmd_cancelupdate);
IMAP_HANDLER(imap_cmd_thread);
IMAP_HANDLER(imap_cmd_sort);
IMAP_HANDLER(imap_cmd_fetch);
IMAP_HANDLER(imap_cmd_store);
IMAP_HANDLER(imap_cmd_copy);
IMAP_HANDLER(imap_cmd_move);
IMAP_HANDLER(imap_cmd_notify);
IMAP_HANDLER(imap_cmd_replace);
IMAP_HANDLER(imap_cmd_genurlauth);
IMAP_HANDLER(imap_cmd_resetkey);
IMAP_HANDLER(imap_cmd_urlfetch);
IMAP_HANDLER(imap_cmd_uid);

#endif
