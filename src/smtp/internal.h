/* What the files of smtp/ share; nobody else includes this. */
#ifndef SMTP_INTERNAL_H
#define SMTP_INTERNAL_H

#include "auth/auth.h"
#include "base/table.h"
#include "line/verb.h"
#include "smtp/address.h"
#include "smtp/header.h"
#include "smtp/params.h"
#include "smtp/smtp.h"
#include "store/store.h"
#include "trace/trace.h"

#define SMTP_LINE_MAX 510 /* RFC 5321 4.5.3.1.4, less the CRLF */
/* MAIL, RCPT with all parameters of params.h: RFC 1870 3 (+26), 3030 3 (+33),
 * 6531 3.4 (+10), 4954 3 (+500), 8689 2 (+11), 6710 3 (+15), 2852 2 (+17), 3461
 * 5 (+124, +531), 4865 3 (+34) */
#define SMTP_PARAM_LINE_MAX 1300
#define SMTP_SASL_MAX 12288 /* RFC 4954 4 */
#define SMTP_HELO_MAX 255
#define SMTP_TIMEOUT_MS (300 * 1000) /* RFC 5321 4.5.3.2.7 */
#define SMTP_MESSAGE_MAX (50u * 1024 * 1024)
#define SMTP_TRACE_MAX 4096 /* what we put in front of a message */
#define SMTP_ERRORS_MAX 20  /* 5xx answers, THREATS SM-18 */
#define SMTP_JUNK_MAX 100   /* commands that lead to no mail */
#define SMTP_UNKNOWN_MAX 5  /* unknown recipients, THREATS SL-14 */
#define SMTP_UNKNOWN_DELAY_MS 5000
#define SMTP_MAILS_MAX 100		     /* messages of one session */
#define SMTP_SESSION_MAX (UINT64_C(1) << 30) /* bytes of one session */
#define SMTP_TARGETS_MAX 10000		     /* accounts one message goes to */
#define SMTP_HOPS_MAX 100		     /* Received fields, RFC 5321 6.3 */
#define SMTP_GREET_LOOPBACK_MS 5	     /* of greet_wait_ms, for our own machine */
#define SMTP_CHUNK 16384
#define SMTP_ID_MAX (CONN_SID_MAX + 16) /* "sid.number", of a transaction */
#define SMTP_SAID_MAX 512

enum smtp_state {
	SMTP_START = 1, /* no EHLO yet */
	SMTP_READY = 2,
	SMTP_MAIL = 4, /* sender known */
	SMTP_RCPT = 8, /* and at least one recipient */
	SMTP_BDAT = 16 /* and a first chunk of the message */
};

/* Of rows in the table of verbs, beside enum verb_flags. */
enum smtp_verb_flags {
	SMTP_NOT_LMTP = 256, /* there is no such command in LMTP */
	SMTP_ONLY_LMTP = 512
};

/* An accepted recipient. */
struct smtp_rcpt {
	struct slice addr; /* as it was given */
	struct smtp_rcpt_params params;
	const uint32_t *accounts; /* places in the transaction's accounts */
	size_t n_accounts;
	const char *reply; /* LMTP: why it did not get the message; NULL: it did */
	struct smtp_rcpt *next;
};

/* One mail transaction: from MAIL to its end, whatever that is. */
struct smtp_tx {
	struct arena arena; /* addresses */
	struct slice from;  /* "" for <> */
	struct slice first; /* first accepted recipient */
	struct smtp_mail_params params;
	unsigned n_rcpt; /* accepted recipients */
	struct smtp_rcpt *rcpts;
	struct smtp_rcpt **rcpts_end;
	uint64_t *accounts; /* each once; malloc'ed */
	size_t n_accounts;
	size_t cap_accounts;
	struct table seen;	    /* places in accounts, plus 1, by number */
	struct smtp_intake *intake; /* BDAT: what has come so far; or NULL */
	int64_t begun;		    /* its first chunk, clock_mono */
	char id[SMTP_ID_MAX];	    /* in the reply, Received, log and record */
	/* record.c's: */
	struct trace_record *record; /* NULL: none is made */
	unsigned n_refused;	     /* recipients */
	char refusal[SMTP_SAID_MAX]; /* the last of their replies */
	bool decided;		     /* what is said from now on is about the message */
	bool got_it;		     /* and it was 250, in LMTP to one at least */
	bool logged;		     /* a log line says what became of it */
	bool has_message_id;
};

struct smtp_session {
	struct session base; /* first */
	enum smtp_role role;
	enum smtp_state state;
	bool greeted;
	bool ended;
	bool esmtp;
	bool authenticated;
	bool spoke; /* at least one command was known */
	unsigned errors;
	unsigned junk;
	unsigned unknown;
	unsigned auth_failures;
	unsigned mails;	  /* transactions begun */
	uint64_t bytes;	  /* of message data, all told */
	uint64_t dropped; /* octets of chunks that were refused */
	unsigned owed;	  /* LMTP: replies that a LAST behind a refused chunk gets */
	char helo[SMTP_HELO_MAX + 1];
	char client[SMTP_HELO_MAX + 1]; /* the peer's name as XCLIENT has it, or "" */
	struct auth_identity id;
	bool lists_asked;	  /* block lists */
	char gate[SMTP_LINE_MAX]; /* what they said, as a reply; or "" */
	char wait[80];
	struct smtp_tx *tx; /* NULL outside a transaction */
	unsigned ids;	    /* numbers of transactions and records */
	/* record.c's: */
	unsigned records;	  /* made so far */
	bool cut;		  /* we ended it, and no record says so yet */
	char said[SMTP_SAID_MAX]; /* the last reply */
};

/* The command's argument text, without the blank behind the verb; p NULL:
 * there was no blank. */
struct smtp_cmd {
	const struct verb *verb;
	struct slice args;
};

/* session.c */
/* One reply line; counts errors by its first digit. Returns 0. */
CO_FN int smtp_reply(struct smtp_session *s, const char *line);
/* The same, then the session ends. */
CO_FN int smtp_bye(struct smtp_session *s, const char *line);
/* Forgets the transaction: the only way it ends (THREATS SM-10). */
void smtp_reset(struct smtp_session *s);
/* The reply to a whole message: in LMTP one for each accepted recipient, who
 * may have an own one (RFC 2033 4.2). */
CO_FN void smtp_answer(struct smtp_session *s, const char *line);
/* The row of a command in this role; NULL: there is none. */
const struct verb *smtp_find(const struct smtp_session *s, struct slice name);
/* The greeting, or the goodbye of who comes too often. */
CO_FN void smtp_greet(struct smtp_session *s);
/* The goodbye of a session that srv cancelled. */
CO_FN void smtp_say_cut(struct smtp_session *s);
uint64_t smtp_message_max(const struct smtp_session *s);
/* How many recipients a transaction may have. */
unsigned smtp_rcpt_max(const struct smtp_session *s);
bool smtp_tls_or_trusted(const struct smtp_session *s);
bool smtp_auth_offered(const struct smtp_session *s);
bool smtp_starttls_offered(const struct smtp_session *s);

/* ext.c */
/* SMTP_EXT_BITs of what this session offers now. */
unsigned smtp_offered(const struct smtp_session *s);
/* Adds the lines of EHLO's answer behind the first. */
void smtp_list_extensions(struct smtp_session *s, struct buf *out);

/* hello.c */
CO_FN int smtp_helo(void *session, void *cmd);
CO_FN int smtp_ehlo(void *session, void *cmd);
CO_FN int smtp_starttls(void *session, void *cmd);
CO_FN int smtp_rset(void *session, void *cmd);
CO_FN int smtp_noop(void *session, void *cmd);
CO_FN int smtp_vrfy(void *session, void *cmd);
CO_FN int smtp_expn(void *session, void *cmd);
CO_FN int smtp_help(void *session, void *cmd);
CO_FN int smtp_quit(void *session, void *cmd);

/* xclient.c */
CO_FN int smtp_xclient(void *session, void *cmd);

/* gate.c: a stranger's measure (policy.h). NULL, or the reply, which lives as
 * long as the session. */
const char *smtp_gate_connect(struct smtp_session *s);
const char *smtp_gate_mail(struct smtp_session *s);
CO_FN const char *smtp_gate_rcpt(struct smtp_session *s, struct slice rcpt);
/* Lets a first-time sender wait before its message is taken. 0, -ECANCELED. */
CO_FN int smtp_gate_first(struct smtp_session *s);
/* This sender's message was taken. */
void smtp_gate_remember(struct smtp_session *s);

/* auth.c */
CO_FN int smtp_auth(void *session, void *cmd);

/* mail.c */
CO_FN int smtp_mail(void *session, void *cmd);

/* rcpt.c */
CO_FN int smtp_rcpt(void *session, void *cmd);
void smtp_tx_free(struct smtp_tx **txp);

/* data.c */
CO_FN int smtp_data(void *session, void *cmd);

/* bdat.c */
CO_FN int smtp_bdat(void *session, void *cmd);

/* intake.c: see intake.h */
struct smtp_intake;

/* deliver.c */
/*
 * What is complete in the spool: stamps it and hands it to the store. DATA
 * and BDAT both end here. Returns the reply, which may be in `text` (of cap
 * bytes). In LMTP, where the message came as far as the store,
 * recipients who did not get it have their own reply.
 */
CO_FN const char *smtp_deliver(struct smtp_session *s, struct smtp_intake *in, char *text,
			       size_t cap);

#endif
