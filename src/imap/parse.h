/*
 * parse: the tokens of IMAP commands (RFC 3501 section 9), over a cursor.
 *
 * The text is a whole command as it came, with literals in place:
 * "{n}" or "{n+}", CRLF, n octets. Lines hold no CR or LF (line/conn.h), so a
 * CRLF stands only where a literal was announced and read. Pure functions;
 * errors are sticky in the cursor: -EINVAL syntax, -ERANGE and -EMSGSIZE too
 * big, -ENOMEM.
 */
#ifndef IMAP_PARSE_H
#define IMAP_PARSE_H

#include "base/arena.h"
#include "base/cur.h"

#define IMAP_FLAGS_MAX 128u /* flags named in one list */

/* A number the cursor's error says was more than we allow. */
#define IMAP_IS_LIMIT(err) ((err) == -EMSGSIZE || (err) == -ENOMEM)

/* tag = 1*<any ASTRING-CHAR except "+">; NULL slice and error if none. */
struct slice imap_parse_tag(struct cur *c, size_t max);
struct slice imap_parse_atom(struct cur *c);
/* string = quoted / literal. Escapes are undone in the arena; no NUL. */
struct slice imap_parse_string(struct cur *c, struct arena *a);
struct slice imap_parse_astring(struct cur *c, struct arena *a);
/* NIL gives p NULL. */
struct slice imap_parse_nstring(struct cur *c, struct arena *a);
/* list-mailbox: an astring with wildcards in it. */
struct slice imap_parse_list_mailbox(struct cur *c, struct arena *a);
/* Nonzero, 32 bits. */
uint32_t imap_parse_nz(struct cur *c);
/* number64 and mod-sequence-valzer: 63 bits (RFC 9051 9, RFC 7162 7). */
uint64_t imap_parse_u63(struct cur *c);

/*
 * Does a line end in a literal's announcement? 1: yes, *n_out octets,
 * *sync_out: they wait for our "+"; 0: no; -ERANGE: yes, but the number is
 * beyond 64 bits.
 */
int imap_parse_literal_tail(struct slice line, uint64_t *n_out, bool *sync_out);

struct imap_flags {
	uint32_t system; /* enum store_flag */
	struct slice *keywords;
	size_t n;
};
/* flag-list = "(" [flag *(SP flag)] ")"; \Recent and unknown \flags are
 * errors. */
void imap_parse_flag_list(struct cur *c, struct arena *a, struct imap_flags *out);
/* STORE also takes flags without parentheses. */
void imap_parse_store_flags(struct cur *c, struct arena *a, struct imap_flags *out);

/* date = date-text / DQUOTE date-text DQUOTE: days since 1970-01-01. */
int64_t imap_parse_date(struct cur *c);
/* date-time of APPEND: unix seconds and minutes east. */
void imap_parse_date_time(struct cur *c, int64_t *unix_out, int *zone_out);
/* Days since 1970-01-01 of a date in the Gregorian calendar. */
int64_t imap_days(int year, int month, int day);
/* 1..12, or 0: takes "Jan".."Dec". */
int imap_parse_month(struct cur *c);

#endif
