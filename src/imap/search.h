/*
 * search: the SEARCH program (RFC 3501 6.4.4, RFC 9051 6.4.4, and the keys of
 * RFC 5032, 5182, 5466, 6203, 7162, 8474 and 8514).
 *
 * Search keys are compiled, without recursion and to a fixed depth, into a
 * list of operations in postfix order. Each leaf has a price; evaluation
 * knows a third truth value, "not looked at yet", so that a message is
 * opened only when what is known already does not decide (THREATS IM-05).
 * Named filters are texts that the caller supplies: the parser says which one
 * it wants, and is run again with it.
 */
#ifndef IMAP_SEARCH_H
#define IMAP_SEARCH_H

#include "base/arena.h"
#include "base/cur.h"
#include "imap/seqset.h"

#define SEARCH_DEPTH_MAX 32 /* NOT, OR, FUZZY, FILTER and parentheses in each other */
#define SEARCH_OPS_MAX 1000
#define SEARCH_FILTERS_MAX 32	  /* different filters in one command */
#define SEARCH_FILTER_DEPTH_MAX 4 /* filters in filters (RFC 5466 3.1: at least 3) */
#define SEARCH_WORDS_MAX 8	  /* words looked for by one fuzzy key */

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
	SEARCH_SEQ,   /* set */
	SEARCH_UID,   /* set */
	SEARCH_SAVED, /* "$" */
	SEARCH_LARGER,
	SEARCH_SMALLER, /* number */
	SEARCH_OLDER,
	SEARCH_YOUNGER, /* number: seconds */
	SEARCH_MODSEQ,	/* number */
	SEARCH_BEFORE,
	SEARCH_ON,
	SEARCH_SINCE, /* days: the internal date */
	SEARCH_SAVEDBEFORE,
	SEARCH_SAVEDON,
	SEARCH_SAVEDSINCE, /* days: the save date */
	SEARCH_EMAILID,
	SEARCH_THREADID, /* name */
	SEARCH_SENTBEFORE,
	SEARCH_SENTON,
	SEARCH_SENTSINCE, /* days: the Date field */
	SEARCH_FIELD,	  /* field, name, text: a field that summaries have */
	SEARCH_HEADER,	  /* name, text */
	SEARCH_BODY,
	SEARCH_TEXT /* text */
};

/* Fields of struct store_summary. */
enum search_field { SEARCH_FROM, SEARCH_TO, SEARCH_CC, SEARCH_BCC, SEARCH_SUBJECT };

/* What a leaf needs to be looked at. */
enum search_price {
	SEARCH_FREE,	/* what is in memory */
	SEARCH_SUMMARY, /* the header's summary */
	SEARCH_HEADERS, /* the header's bytes */
	SEARCH_BODIES,	/* everything */
	SEARCH_PRICES
};

struct search_op {
	enum search_kind kind;
	enum search_field field;
	bool want;
	bool fuzzy;
	bool addresses; /* SEARCH_FIELD: in those as ENVELOPE has them too */
	uint64_t number;
	int64_t days;
	struct slice name;
	struct slice text; /* case-folded UTF-8 (utf8_fold) */
	struct seqset set;
};

struct search_prog {
	struct search_op *ops; /* postfix */
	size_t n;
	bool uses_seqs;	  /* names sequence numbers */
	bool uses_modseq; /* has a MODSEQ key */
	bool fuzzy;	  /* has a FUZZY key */
};

struct search_filter {
	struct slice name;
	struct slice text; /* p NULL: there is none of that name */
};

/* What the parser must know. */
struct search_env {
	uint32_t star_seq; /* what '*' stands for */
	uint32_t star_uid;
	bool no_charset; /* CHARSET is an error (RFC 6855 3) */
	struct search_filter filters[SEARCH_FILTERS_MAX];
	size_t n_filters;
	struct slice wanted; /* out: the filter that is missing */
};

enum search_result {
	SEARCH_OK = 0,
	SEARCH_TOO_MUCH = 1, /* depth, number of keys or filters */
	SEARCH_BADCHARSET = 2,
	SEARCH_WANTS_FILTER = 3,  /* env->wanted */
	SEARCH_NO_FILTER = 4,	  /* env->wanted does not exist, is wrong or a loop */
	SEARCH_FILTER_CHARSET = 5 /* a filter, and a charset that is not UTF-8 */
};

/*
 * search-program = ["CHARSET" SP charset SP] search-key *(SP search-key), up
 * to the end of the cursor. An enum search_result, or -errno (c->err).
 */
int search_parse(struct cur *c, struct arena *a, struct search_env *env, struct search_prog *out);
/* search-criteria = charset 1*(SP search-key)     RFC 5256 5 (SORT, THREAD) */
int search_parse_criteria(struct cur *c, struct arena *a, struct search_env *env,
			  struct search_prog *out);
enum search_price search_price(enum search_kind kind);
/* The words of a fuzzy key's text; at most SEARCH_WORDS_MAX. At least one,
 * the text itself. */
size_t search_words(struct slice text, struct slice *out);

enum search_truth { SEARCH_FALSE, SEARCH_TRUE, SEARCH_UNKNOWN };
/* vals[i]: truth of leaf i (connectives are ignored). */
enum search_truth search_eval(const struct search_prog *p, const unsigned char *vals);

/* ---- RETURN ---------------------------------------------------------------- */

enum search_return_opt { /* a bit set */
			 SEARCH_RET_MIN = 1,
			 SEARCH_RET_MAX = 2,
			 SEARCH_RET_ALL = 4,
			 SEARCH_RET_COUNT = 8,
			 SEARCH_RET_SAVE = 16,
			 SEARCH_RET_PARTIAL = 32,
			 SEARCH_RET_UPDATE = 64,
			 SEARCH_RET_CONTEXT = 128,
			 SEARCH_RET_RELEVANCY = 256
};

struct search_return {
	bool given; /* RETURN stands there: answer with ESEARCH */
	unsigned opts;
	/* PARTIAL a:b as it was written; both below zero: from the end */
	int64_t partial_a;
	int64_t partial_b;
	struct slice fetch; /* UPDATE's "(fetch-att ...)", unread; or p NULL */
};
/*
 * search-return-opts = SP "RETURN" SP "(" [search-return-opt *(SP ...)] ")"
 * if it stands here, else nothing is taken. An empty list is ALL.
 * RFC 4466, 4731, 5182, 5267, 5465 7, 6203, 9394.
 */
void search_parse_return(struct cur *c, struct search_return *out);

#endif
