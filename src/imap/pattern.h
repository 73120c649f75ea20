/*
 * pattern: LIST's wildcards: "*" is anything, "%" anything but "/".
 *
 * A compiled pattern is run as a set of states in machine words, one step a
 * byte of the name: time is names x pattern / 64, whatever the wildcards
 * (THREATS IM-10).
 */
#ifndef IMAP_PATTERN_H
#define IMAP_PATTERN_H

#include "base/arena.h"
#include "base/slice.h"
#include "store/store.h"

/* Longest pattern that can match a name: a wildcard around every byte. */
#define PATTERN_MAX (2 * STORE_NAME_MAX + 1)
#define PATTERN_WORDS (PATTERN_MAX / 64 + 1)

struct pattern {
	bool never;			  /* can match no name */
	size_t n;			  /* characters after runs of wildcards were made one */
	uint64_t (*chars)[PATTERN_WORDS]; /* by byte: where it stands */
	uint64_t star[PATTERN_WORDS];
	uint64_t percent[PATTERN_WORDS];
};

/* Compiles UTF-8 text with wildcards. 0 or -ENOMEM. */
int pattern_compile(struct arena *a, struct slice text, struct pattern *out);
/* icase: ASCII letters match either case (for INBOX). */
bool pattern_match(const struct pattern *p, struct slice name, bool icase);

#endif
