/*
 * What the files of SPF share: a record's terms, macros, and the state of one
 * check. spf.c finds records and goes through them, spf_record.c reads terms,
 * spf_macro.c expands, spf_mech.c has the mechanisms that ask the DNS.
 *
 * Functions that may end the whole check return 0 (go on), a negative errno,
 * or the enum trust_result (> 0) it ends with; problem is set then.
 */
#ifndef TRUST_SPF_IMPL_H
#define TRUST_SPF_IMPL_H

#include "base/buf.h"
#include "base/cur.h"
#include "trust/ptr.h"
#include "trust/spf.h"

/* ---- terms ------------------------------------------------------------------ */

enum spf_kind {
	/* mechanisms */
	SPF_ALL,
	SPF_INCLUDE,
	SPF_A,
	SPF_MX,
	SPF_PTR,
	SPF_IP4,
	SPF_IP6,
	SPF_EXISTS,
	/* modifiers */
	SPF_REDIRECT,
	SPF_EXP,
	SPF_UNKNOWN
};

struct spf_term {
	enum spf_kind kind;
	enum trust_result qualifier; /* what a match means */
	struct slice text;	     /* as written */
	struct slice spec;	     /* domain-spec; empty: none given */
	struct net_addr addr;	     /* ip4, ip6 */
	unsigned cidr4;		     /* 0..32, default 32 */
	unsigned cidr6;		     /* 0..128, default 128 */
};

/* Cuts the next term off *rest (what follows "v=spf1"). 1; 0: no more;
 * -EINVAL: a syntax error, out->text is the term. */
int spf_term_next(struct slice *rest, struct spf_term *out);

/* ---- macros ----------------------------------------------------------------- */

enum spf_piece_kind { SPF_LITERAL, SPF_MACRO };
struct spf_piece {
	enum spf_piece_kind kind;
	struct slice literal; /* also what "%%", "%_" and "%-" stand for */
	bool escape;	      /* it was one of these, thus a macro-expand */
	char letter;	      /* lower case */
	bool url;	      /* it was upper case */
	unsigned keep;	      /* parts at the right; 0: all */
	bool reverse;
	struct slice delimiters; /* empty: "." */
};
/* exp: the text of an explanation (blanks; c, r and t allowed). 1; 0: the end;
 * -EINVAL. */
int spf_piece_next(struct cur *c, bool exp, struct spf_piece *out);
/* RFC 7208 7.1: macro-string; domain-spec. */
bool spf_is_macro_string(struct slice s, bool exp);
bool spf_is_domain_spec(struct slice s);

/* ---- one check ---------------------------------------------------------------- */

struct spf_check {
	struct dns *dns;
	const struct spf_query *q;
	int64_t deadline;
	struct arena *arena;  /* the caller's: what the outcome has */
	struct arena scratch; /* records and answers, while they are needed */
	struct net_addr ip;   /* never IPv4-mapped */
	struct slice local;
	struct slice sender_domain; /* A-labels */
	struct slice helo;
	unsigned terms;
	unsigned voids;
	struct ptr_names ptr; /* of ip; asked for once */
	bool ptr_known;
	struct slice problem;
};

/* The end, and why; the arguments must be printable. Returns result. */
int spf_end(struct spf_check *c, enum trust_result result, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* One of the ten terms that ask is used up. */
int spf_count_term(struct spf_check *c);
/*
 * Asks, into scratch. A name that cannot exist is NXDOMAIN. An answer without
 * records counts as void (4.6.4) unless it may be. DNS_FAIL ends the check with
 * TEMPERROR.
 */
CO_FN int spf_ask(struct spf_check *c, struct slice name, enum dns_type type, bool may_be_void,
		  struct dns_answer *out);
/* The verified names of ip are in c->ptr from now on. exp: is not counted. */
CO_FN int spf_need_ptr(struct spf_check *c, bool exp);

/* spf_expand: a macro that stands for nothing that can be in the DNS (RFC 8616
 * 4). Whatever has it does not match. */
#define SPF_NO_NAME (-ENOENT)
/*
 * Expands a checked domain-spec, cut to 253 octets (7.3), without a final dot;
 * or an explanation (exp) as far as it fits into out. Also -ENOMEM, SPF_NO_NAME, or an end (%{p} asks the DNS).
 */
CO_FN int spf_expand(struct spf_check *c, struct slice domain, struct slice text, bool exp,
		     struct buf *out);
/*
 * Does the mechanism (any but all and include) match? *match is only set on 0.
 */
CO_FN int spf_match(struct spf_check *c, struct slice domain, const struct spf_term *t,
		    bool *match);

#endif
