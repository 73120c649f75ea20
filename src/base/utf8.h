/*
 * utf8: checking and stepping through UTF-8 (RFC 3629: no overlongs, no
 * surrogates, nothing above U+10FFFF), and NFC (libunistring).
 */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include "base/buf.h"
#include "base/slice.h"

bool utf8_valid(struct slice s);
/*
 * Takes one character off *s. Returns its code point; on a bad sequence
 * takes one byte and returns -1. *s must not be empty.
 */
int32_t utf8_next(struct slice *s);
/* Adds one code point (<= U+10FFFF, not a surrogate). */
void utf8_add(struct buf *b, uint32_t cp);
/* Copies s, each bad byte replaced by U+FFFD. */
void utf8_repair(struct buf *b, struct slice s);
/* NFC of s. 0; -EINVAL if s is not UTF-8. */
int utf8_nfc(struct buf *b, struct slice s);
/*
 * For comparing text as humans do: what i;unicode-casemap (RFC 5051) takes
 * for equal comes out equal (titlecase, then NFKD), and so does what differs
 * by full case folding only (a sharp s and "ss"). An accent follows its
 * letter, so a letter is found in its accented forms. At most 12 times as
 * long.
 */
int utf8_fold(struct buf *b, struct slice s);
/* Each character by its simple titlecase (RFC 5051 2); bad bytes become
 * U+FFFD. Of folded text: the order of i;unicode-casemap. */
void utf8_title(struct buf *b, struct slice s);

#endif
