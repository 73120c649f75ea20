/*
 * search: the SEARCH program (RFC 3501 6.4.4).
 *
 * Search keys are compiled, without recursion and to a fixed depth, into a
 * list of operations in postfix order. Each leaf has a price; evaluation
 * knows a third truth value, "not looked at yet", so that a message is
 * opened only when what is known already does not decide (THREATS IM-05).
 */
#ifndef IMAP_SEARCH_H
#define IMAP_SEARCH_H

#include "base/arena.h"
#include "base/cur.h"
#include "imap/seqset.h"

#define SEARCH_DEPTH_MAX 32 /* NOT, OR and parentheses in each other */
#define SEARCH_OPS_MAX 1000

enum search_kind {
	/* connectives: take their operands from what was computed before */
	SEARCH_AND,
	SEARCH_OR,
	SEARCH_NOT,
	/* leaves */
	SEARCH_ALL,
	SEARCH_FLAG,	/* number: enum store_flag, want: set or not */
	SEARCH_KEYWORD, /* name; number: its bits (filled by the caller) */
	SEARCH_RECENT,	/* want */
	SEARCH_NEW,
	SEARCH_SEQ, /* set */
	SEARCH_UID, /* set */
	SEARCH_LARGER,
	SEARCH_SMALLER, /* number */
	SEARCH_BEFORE,
	SEARCH_ON,
	SEARCH_SINCE, /* days: the internal date */
	SEARCH_SENTBEFORE,
	SEARCH_SENTON,
	SEARCH_SENTSINCE, /* days: the Date field */
	SEARCH_HEADER,	  /* name, text */
	SEARCH_BODY,
	SEARCH_TEXT /* text */
};

/* What a leaf needs to be looked at. */
enum search_price {
	SEARCH_FREE,	/* what is in memory */
	SEARCH_TREE,	/* the parsed message */
	SEARCH_HEADERS, /* the header's bytes */
	SEARCH_BODIES,	/* everything */
	SEARCH_PRICES
};

struct search_op {
	enum search_kind kind;
	bool want;
	uint64_t number;
	int64_t days;
	struct slice name;
	struct slice text; /* case-folded UTF-8 (utf8_fold) */
	struct seqset set;
};

struct search_prog {
	struct search_op *ops; /* postfix */
	size_t n;
	uint32_t seq_top; /* highest sequence number named */
};

enum search_result {
	SEARCH_OK = 0,
	SEARCH_TOO_MUCH = 1, /* depth or number of keys */
	SEARCH_BADCHARSET = 2
};

/*
 * search = ["CHARSET" SP astring SP] search-key *(SP search-key), up to the
 * end of the cursor. star_seq, star_uid: what '*' stands for. An
 * enum search_result, or -errno (c->err).
 */
int search_parse(struct cur *c, struct arena *a, uint32_t star_seq, uint32_t star_uid,
		 struct search_prog *out);
enum search_price search_price(enum search_kind kind);

enum search_truth { SEARCH_FALSE, SEARCH_TRUE, SEARCH_UNKNOWN };
/* vals[i]: truth of leaf i (connectives are ignored). */
enum search_truth search_eval(const struct search_prog *p, const unsigned char *vals);

#endif
