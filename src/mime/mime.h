/*
 * mime: one reading of a message, shared by all who look at it.
 *
 * A push parser (RFC 5322, RFC 2045-2047, RFC 2231, RFC 6532) takes the
 * message in pieces of any size and builds a tree of parts: where each part's
 * header and body stand (byte offsets into the message as stored), its
 * content fields, sizes and line counts; for the message and for each
 * message/rfc822 part also what an IMAP ENVELOPE needs. Memory is bounded by
 * the arena and the limits below, whatever the message; nothing recurses.
 * Beyond a limit the rest of a part is one opaque leaf (THREATS MI-01..03):
 * nothing is ever refused or lost.
 *
 * The tree can be written as bytes and read back (mime_tree_encode / decode),
 * which is what the store keeps with each message, so that ENVELOPE and
 * BODYSTRUCTURE never open it. All strings are raw header bytes, unfolded
 * (CRLF before white space removed); decoding of encoded words and charsets
 * is for whoever shows or searches them (mime/header.h, mime/charset.h). They
 * hold no CR, LF or NUL (a NUL in the message reads as a space).
 *
 * Shapes that readers may rely on: MIME_MULTIPART has at least one child (a
 * multipart in which no delimiter was found is text/plain), MIME_MESSAGE
 * (message/rfc822 and message/global) exactly one, MIME_LEAF none and never a
 * type of "multipart" or "message/rfc822".
 */
#ifndef MIME_MIME_H
#define MIME_MIME_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/slice.h"

#define MIME_DEPTH_MAX 100		 /* nested multiparts and messages */
#define MIME_PARTS_MAX 10000		 /* parts in one message */
#define MIME_HEADER_MAX (256u * 1024)	 /* bytes of one part's header looked at */
#define MIME_PARAMS_MAX 128		 /* parameters of one field */
#define MIME_BOUNDARY_MAX 1024		 /* longer ones: cut, compared cut */
#define MIME_ADDRS_MAX 5000		 /* addresses kept of one field */
#define MIME_TREE_MAX (8u * 1024 * 1024) /* default arena cap for a tree */

/* One address, or a group's start (mailbox set, host empty and NULL) or its
 * end (mailbox NULL), in the order and meaning of RFC 3501 7.4.2 ENVELOPE.
 * An absent string has p NULL; an empty one has n 0 and p not NULL. */
struct mime_addr {
	struct slice name;    /* phrase, unquoted, comments dropped; raw
				 encoded words stay */
	struct slice route;   /* obsolete source route, or absent */
	struct slice mailbox; /* local part, unquoted */
	struct slice host;
	struct mime_addr *next;
};

struct mime_param {
	struct slice name;  /* as written */
	struct slice value; /* unquoted; RFC 2231 continuations joined and
			       percent-decoded to UTF-8; else raw */
	struct mime_param *next;
};

struct mime_envelope {
	struct slice date; /* raw field bodies, unfolded; absent: p NULL */
	struct slice subject;
	struct slice in_reply_to;
	struct slice message_id;
	struct mime_addr *from; /* NULL: absent or empty */
	struct mime_addr *sender;
	struct mime_addr *reply_to;
	struct mime_addr *to;
	struct mime_addr *cc;
	struct mime_addr *bcc;
	int64_t sent; /* the Date field as unix seconds; INT64_MIN: none */
};

enum mime_kind { MIME_LEAF, MIME_MULTIPART, MIME_MESSAGE };

struct mime_part {
	enum mime_kind kind;
	/* All offsets count from the first byte of the message as stored. */
	uint64_t header_off;
	uint64_t header_len; /* with the empty line, if there is one */
	uint64_t body_off;   /* == header_off + header_len */
	uint64_t body_len;   /* without the CRLF before the boundary */
	uint32_t header_lines;
	uint32_t body_lines; /* LF count of the body, RFC 3501 "lines" */
	struct slice type;   /* defaults filled in: "text" "plain" */
	struct slice subtype;
	struct mime_param *params;
	struct slice id; /* absent: p NULL, here and below */
	struct slice description;
	struct slice encoding; /* default "7bit" */
	struct slice md5;
	struct slice disposition; /* "attachment"; absent: p NULL */
	struct mime_param *disposition_params;
	struct slice *languages; /* Content-Language tags */
	size_t n_languages;
	struct slice location;
	struct mime_envelope *envelope; /* root, and body of message/rfc822 */
	struct mime_part *parent;
	struct mime_part *children; /* multipart: parts; message: one part, the
				       message inside */
	struct mime_part *last_child;
	struct mime_part *next;
};

struct mime_tree {
	struct mime_part *root; /* the message itself: header_off 0 */
	uint64_t size;		/* bytes fed */
	uint64_t bare;		/* how many bytes longer the canonical form
				   is: 1 for each CR or LF not part of a CRLF,
				   2 more if the last line has no end */
	bool has_8bit;
	bool has_nul;
	bool truncated; /* a limit was met somewhere */
	uint32_t n_parts;
	uint32_t received; /* Received fields in the top header */
};

/* ---- parsing ------------------------------------------------------------ */

struct mime_parser;

/* The tree's memory comes from `a` (owned by the caller, must outlive it);
 * the parser's own from malloc, bounded. NULL: out of memory. */
struct mime_parser *mime_parser_new(struct arena *a);
void mime_parser_feed(struct mime_parser *p, struct slice data);
/*
 * End of the message. 0 and *out (in the arena), or -ENOMEM / -EMSGSIZE when
 * even the limits did not keep it within the arena. Call once.
 */
int mime_parser_finish(struct mime_parser *p, struct mime_tree *out);
void mime_parser_free(struct mime_parser **pp);
/* Whole message at once. */
int mime_parse(struct slice msg, struct arena *a, struct mime_tree *out);

/* ---- keeping ------------------------------------------------------------ */

/* Compact bytes with a version at the front (docs/format.md). */
void mime_tree_encode(const struct mime_tree *t, struct buf *out);
/* 0; -EPROTO an unknown version, -EINVAL damaged: the caller parses anew.
 * Slices point into `bytes`, which must outlive the tree. */
int mime_tree_decode(struct slice bytes, struct arena *a, struct mime_tree *out);

/*
 * The part with an IMAP section number (RFC 3501 6.4.5): numbers[0..n), n = 0
 * is the root. Part 1 of a non-multipart is its own body. NULL: none.
 */
const struct mime_part *mime_part_find(const struct mime_tree *t, const uint32_t *numbers,
				       size_t n);
/* First value of a parameter (case-insensitive), or p NULL. */
struct slice mime_param_get(const struct mime_param *p, struct slice name);

#endif
