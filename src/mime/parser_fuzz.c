/*
 * Fuzzer of parser.c and tree.c. First byte: how the rest is used. A message
 * parsed whole and in pieces gives the same tree; places are inside and in
 * order; encode, decode, encode gives the same bytes. Bytes taken as a tree
 * are refused or give a tree that keeps the same promises.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/err.h"
#include "mime/mime.h"

#define TREE_MAX (32u * 1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool ok)
{
	if (!ok) {
		abort();
	}
}

static void check_part(const struct mime_part *p)
{
	uint64_t at = p->body_off;

	check(p->body_off == p->header_off + p->header_len);
	check(p->type.p && p->subtype.p && p->encoding.p);
	check(!p->envelope == (p->parent && p->parent->kind != MIME_MESSAGE));
	check((p->kind == MIME_LEAF) == !p->children);
	check((p->kind == MIME_MULTIPART) == slice_ieq(p->type, S("multipart")));
	check(p->kind != MIME_MESSAGE || !p->children->next);
	for (const struct mime_part *c = p->children; c; c = c->next) {
		check(c->parent == p);
		check(c->header_off >= at);
		at = c->body_off + c->body_len;
		check(at <= p->body_off + p->body_len);
	}
}

static void check_tree(const struct mime_tree *t)
{
	const struct mime_part *p = t->root;
	uint32_t n = 0;
	int depth = 0;

	check(p->header_off == 0 && p->body_off + p->body_len <= t->size);
	while (p) {
		check_part(p);
		n++;
		if (p->children) {
			p = p->children;
			check(++depth <= MIME_DEPTH_MAX);
			continue;
		}
		while (p && !p->next) {
			p = p->parent;
			depth--;
		}
		p = p ? p->next : NULL;
	}
	check(n == t->n_parts && n <= MIME_PARTS_MAX);
}

/* Encoded again, a decoded tree gives the same bytes. */
static void round_trip(const struct buf *bytes)
{
	struct buf again = BUF_INIT(TREE_MAX);
	struct mime_tree t;
	struct arena a;

	arena_init(&a, TREE_MAX);
	check(mime_tree_decode(buf_slice(bytes), &a, &t) == 0);
	check_tree(&t);
	mime_tree_encode(&t, &again);
	check(slice_eq(buf_slice(bytes), buf_slice(&again)));
	buf_fini(&again);
	arena_fini(&a);
}

static void parse_in(struct slice msg, size_t piece, size_t arena_max, struct buf *out)
{
	struct mime_parser *p;
	struct mime_tree t;
	struct arena a;

	arena_init(&a, arena_max);
	p = mime_parser_new(&a);
	check(p != NULL);
	while (msg.n) {
		mime_parser_feed(p, slice_sub(msg, 0, piece));
		msg = slice_from(msg, piece);
	}
	if (mime_parser_finish(p, &t) == 0) {
		check_tree(&t);
		mime_tree_encode(&t, out);
	}
	mime_parser_free(&p);
	arena_fini(&a);
}

static void fuzz_message(struct slice msg, size_t piece, size_t arena_max)
{
	struct buf whole = BUF_INIT(TREE_MAX);
	struct buf cut = BUF_INIT(TREE_MAX);

	parse_in(msg, msg.n + 1, arena_max, &whole);
	parse_in(msg, piece, arena_max, &cut);
	check(slice_eq(buf_slice(&whole), buf_slice(&cut)));
	if (whole.n) {
		round_trip(&whole);
	}
	check(whole.n || arena_max < MIME_TREE_MAX);
	buf_fini(&whole);
	buf_fini(&cut);
}

static void fuzz_tree(struct slice bytes)
{
	struct buf one = BUF_INIT(TREE_MAX);
	struct mime_tree t;
	struct arena a;

	arena_init(&a, MIME_TREE_MAX);
	if (mime_tree_decode(bytes, &a, &t) == 0) {
		check_tree(&t);
		mime_tree_encode(&t, &one);
		round_trip(&one);
	}
	buf_fini(&one);
	arena_fini(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct slice in = slice_make((const char *)data, n);
	unsigned how = n ? data[0] : 0;

	in = slice_from(in, 1);
	if (how == 0xff) {
		fuzz_tree(in);
	} else {
		fuzz_message(in, how % 61 + 1, how & 0x80 ? (how & 0x7f) * 64 : MIME_TREE_MAX);
	}
	return 0;
}
