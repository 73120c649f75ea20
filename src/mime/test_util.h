/*
 * test_util: what the tests of mime share: a tree written out as text, one
 * part a line, and messages built by repetition.
 */
#ifndef MIME_TEST_UTIL_H
#define MIME_TEST_UTIL_H

/* cmocka wants these first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "mime/header.h"
#include "mime/mime.h"

#define TEST_MAX (64u * 1024 * 1024)

/* "type/subtype header_off+len body_off+len lines" with a blank a level. */
static inline void dump_tree(const struct mime_tree *t, struct buf *out)
{
	const struct mime_part *p = t->root;
	int depth = 0;

	while (p) {
		for (int i = 0; i < depth; i++) {
			buf_addc(out, ' ');
		}
		buf_add(out, p->type);
		buf_addc(out, '/');
		buf_add(out, p->subtype);
		buf_printf(out, " %d+%d %d+%d %u,%u\n", (int)p->header_off, (int)p->header_len,
			   (int)p->body_off, (int)p->body_len, p->header_lines, p->body_lines);
		if (p->children) {
			p = p->children;
			depth++;
			continue;
		}
		while (p && !p->next) {
			p = p->parent;
			depth--;
		}
		p = p ? p->next : NULL;
	}
}

static inline void repeat(struct buf *b, const char *s, int n)
{
	for (int i = 0; i < n; i++) {
		buf_adds(b, s);
	}
	assert_int_equal(b->err, 0);
}

#define assert_slice(s, text)                                                           \
	do {                                                                            \
		struct slice got_ = (s);                                                \
		struct slice want_ = S(text);                                           \
		if (!slice_eq(got_, want_)) {                                           \
			fail_msg("got \"%.*s\", wanted \"%s\"", SLICE_ARG(got_), text); \
		}                                                                       \
	} while (0)

#endif
