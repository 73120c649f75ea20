/*
 * tags: lists of "name=value;" (RFC 6376 3.2), as DKIM-Signature, the ARC
 * fields, key records and DMARC records have them.
 *
 * Strict where it is a matter of security (RFC 6376 6.1.1): a name twice, an
 * empty specification ("a=1;;b=2"), a name with odd characters or a line end
 * that folds nothing make the whole list unusable. Values may hold 8-bit
 * octets (RFC 8616); whoever reads a value checks it. Pure.
 */
#ifndef TRUST_TAGS_H
#define TRUST_TAGS_H

#include "base/slice.h"

#define TAGS_MAX 32 /* in one list; RFC 6376 and 8617 know 16 */

struct tag {
	struct slice name;
	struct slice value; /* without white space around it; folds still in it */
	struct slice whole; /* from behind "=" up to ";" or the end, all of it */
};
struct tags {
	struct tag tag[TAGS_MAX];
	size_t n;
};

/*
 * Reads a list; slices point into text. 0; -EINVAL (syntax), -EEXIST (a name
 * twice), -E2BIG (more than TAGS_MAX). *out is of no use after an error.
 */
int tags_parse(struct slice text, struct tags *out);
/* What the error of tags_parse means, for people. */
const char *tags_problem(int r);
/* The tag of this name (case matters, 3.2), or NULL. */
const struct tag *tags_get(const struct tags *t, struct slice name);

/*
 * Takes the next element off a list that is separated by colons (h=, q=, s=,
 * t=), without white space around it; it may be empty. False when *rest (whose
 * p is NULL at the end) has none left.
 */
bool tags_item(struct slice *rest, struct slice *out);
/* Is one element of such a list this word (case matters)? */
bool tags_list_has(struct slice list, struct slice word);

/*
 * base64 that may be folded anywhere (RFC 6376 2.10), strict otherwise. How
 * many octets were written to dst; -EINVAL (syntax), -EMSGSIZE (more than cap
 * octets).
 */
int tags_base64(struct slice value, unsigned char *dst, size_t cap);

#endif
