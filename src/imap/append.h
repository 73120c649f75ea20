/*
 * append: what the files of APPEND and REPLACE share (RFC 3501 6.3.11, RFC
 * 3502 MULTIAPPEND, RFC 3516 and RFC 6855 literal8, RFC 4469 CATENATE, RFC
 * 8508 REPLACE).
 *
 * The command comes in pieces: a line up to the literal it announces, the
 * literal's octets, the next line. Octets stream into a store_writer (or a
 * spool, where they may have to be rewritten first) and are never whole in
 * memory. Everything that can be refused without a literal is refused before
 * a waiting client is asked for it (THREATS IM-15).
 *
 * cmd_append.c parses APPEND and cmd_replace.c REPLACE, append_stream.c moves
 * octets, append_binary.c rewrites what is binary, append_url.c copies what
 * CATENATE names.
 */
#ifndef IMAP_APPEND_H
#define IMAP_APPEND_H

#include "imap/parse.h"
#include "imap/target.h"
#include "io/spool.h"

#define APPEND_MESSAGES_MAX 1000u	    /* in one command */
#define APPEND_PARTS_MAX 10000u		    /* of CATENATE, in one command */
#define APPEND_URL_MAX (8u * 1024)	    /* octets of one URL */
#define APPEND_KEPT_MAX (16u * 1024 * 1024) /* keyword names of all messages */
#define APPEND_COPY_MAX (UINT64_C(1) << 30) /* octets from URLs in one command */

enum append_result {
	APPEND_OK = 0,
	APPEND_REFUSED = 1 /* the reply is set; append_refuse gets rid of the rest */
			   /* <0: the connection is at its end */
};

struct append {
	struct imap_cmd *cmd;
	struct slice name;
	struct imap_target t; /* whose mailbox; once found */
	bool found;
	struct store_usage usage;     /* of its account, when it was found */
	struct store_account *lender; /* another's account on this loop */
	struct store_mailbox *mbox;   /* NULL: the account is on another loop */
	/* there, keywords become bits when the messages are kept */
	struct arena kept;
	struct imap_flags *named; /* of each message, beside v */
	/* REPLACE: what goes */
	bool replace;
	uint32_t old_uid;
	uint64_t old_size;
	/* the messages so far */
	struct store_new *v;
	size_t n, cap;
	uint64_t sum;	 /* their octets */
	unsigned parts;	 /* of CATENATE */
	uint64_t copied; /* octets from URLs */
	/* the one under way */
	struct store_new next;
	struct spool *spool;
	bool spooled; /* it goes into the spool, then into the writer */
	bool eight;   /* a literal8 is in it: so may be NUL */
	bool nul;     /* one is, where none may be */
	uint64_t size;
	int result; /* of the first write that failed */
	struct err e;
	struct buf line; /* the line that the cursor is in, but for the first */
	char *piece;	 /* IMAP_CHUNK */
	uint64_t dropped;
};

/* ---- append_stream.c ----------------------------------------------------- */

void append_init(struct append *a, struct imap_cmd *cmd);
void append_fini(struct append *a);
/* Starts a message. enum append_result. */
CO_FN int append_begin(struct append *a, bool spooled);
/* May n more octets come to this message? Sets the reply if not. */
bool append_admit(struct append *a, uint64_t n);
/* Adds octets to the message; trouble is kept in a->result. */
CO_FN void append_put(struct append *a, struct slice s);
/*
 * Takes the literal that the line has announced into the message, then reads
 * the line behind it, into the cursor.
 */
CO_FN int append_literal(struct append *a, bool eight);
/* The same for a small one that is an argument; in the arena. */
CO_FN int append_argument(struct append *a, size_t max, struct slice *out);
/* What became of the message so far; sets the reply if it is refused. */
int append_verdict(struct append *a);
/* The message is complete. */
CO_FN int append_end(struct append *a);
/* The reply says no: gets rid of what the client sends all the same. 0, <0. */
CO_FN int append_refuse(struct append *a);
/* Sets the reply for a result of the store or of a spool. */
int append_no(struct append *a, int r, const struct err *e);

/* ---- cmd_append.c --------------------------------------------------------- */

/* 1*append-message (REPLACE: one), the mailbox being named and not opened. */
CO_FN int append_messages(struct append *a);
/* Keeps all of them, wherever their mailbox lives: a result of the store. */
CO_FN int append_keep(struct append *a, struct store_status *st_out, struct err *e);

/* ---- append_binary.c ----------------------------------------------------- */

/* Writes the spool's message into the writer; parts that are binary become
 * base64. enum append_result. */
CO_FN int append_rewrite(struct append *a);

/* ---- append_url.c -------------------------------------------------------- */

/* Adds what an IMAP URL names to the message. enum append_result. */
CO_FN int append_url(struct append *a, struct slice url);

#endif
