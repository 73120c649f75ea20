/*
 * sort: the criteria of SORT (RFC 5256 3, RFC 5957, RFC 6203 6), and how
 * messages are compared by them. Pure functions.
 *
 * All criteria of one message become one string of octets, its key, made so
 * that comparing keys octet by octet is comparing the messages: numbers with
 * the high octet first, text ended by a NUL, and what is to be reversed
 * inverted. So sorting knows nothing of criteria and can run in the pool.
 */
#ifndef IMAP_SORT_H
#define IMAP_SORT_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/cur.h"

#define SORT_CRITERIA_MAX 16
#define SORT_TEXT_MAX 512 /* octets of one text that are compared */

enum sort_by {
	SORT_ARRIVAL,
	SORT_CC,
	SORT_DATE,
	SORT_FROM,
	SORT_SIZE,
	SORT_SUBJECT,
	SORT_TO,
	SORT_DISPLAYFROM,
	SORT_DISPLAYTO,
	SORT_RELEVANCY /* the highest score first */
};

struct sort_spec {
	struct {
		enum sort_by by;
		bool reverse;
	} v[SORT_CRITERIA_MAX];
	size_t n;
	bool by_summary;   /* needs the header's summary */
	bool by_relevancy; /* needs scores */
};

/* sort-criteria = "(" sort-criterion *(SP sort-criterion) ")"; errors are in c. */
void sort_parse(struct cur *c, struct sort_spec *out);

/* What messages are sorted by. Text is folded (utf8_fold). */
struct sort_facts {
	int64_t arrival;
	int64_t sent; /* the sent date of RFC 5256 2.2 */
	uint64_t size;
	uint8_t score;
	struct slice cc, from, to, subject, display_from, display_to;
};
void sort_key(const struct sort_spec *spec, const struct sort_facts *f, struct buf *out);

struct sort_row {
	const char *key;
	uint32_t n;  /* of the key */
	uint32_t at; /* decides between equal keys; whose row it is */
};
/* <0, 0, >0; 0 only for one and the same row. */
int sort_cmp(const struct sort_row *a, const struct sort_row *b);
void sort_rows(struct sort_row *rows, size_t n);

#endif
