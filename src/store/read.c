/*
 * Reading messages: bytes from the blob, the tree from its row.
 *
 * A tree is derived data. When its row is missing (too big to keep, a large
 * copy), of an unknown version or damaged, the message is parsed again; the
 * caller cannot tell.
 */
#include <stdlib.h>

#include "store/impl.h"

#define PARSE_PIECE (32u * 1024)

CO_FN ssize_t store_read(struct store_mailbox *m, uint32_t uid, uint64_t off, char *p, size_t n,
			 struct err *e)
{
	const struct msg *msg = box_find(m, uid);

	home_assert(m->a->home);
	if (!msg) {
		return err_set(e, -ENOENT, "message is gone", "uid %u", uid);
	}
	ssize_t r = kv_blob_read(box_kv(m), msg->blob, off, p, n);

	if (r < 0) {
		err_set(e, (int)r, "reading a message", "account %llu mailbox %llu uid %u",
			(unsigned long long)m->a->id, (unsigned long long)m->id, uid);
	}
	return r;
}

int store_message_size(const struct store_mailbox *m, uint32_t uid, uint64_t *out)
{
	const struct msg *msg = m->gone ? NULL : box_live(m, uid);

	home_assert(m->a->home);
	if (!msg) {
		return m->gone ? STORE_GONE : STORE_NOTFOUND;
	}
	*out = msg->size;
	return STORE_OK;
}

CO_FN static int feed_blob(struct kv *kv, struct kv_blob_id blob, struct mime_parser *p,
			   struct err *e)
{
	char *piece = malloc(PARSE_PIECE);
	uint64_t off = 0;
	ssize_t n;

	if (!piece) {
		return -ENOMEM;
	}
	while ((n = kv_blob_read(kv, blob, off, piece, PARSE_PIECE)) > 0) {
		mime_parser_feed(p, slice_make(piece, (size_t)n));
		off += (uint64_t)n;
		if (co_breathe() == -ECANCELED) {
			n = -ECANCELED;
			break;
		}
	}
	free(piece);
	return n < 0 ? err_set(e, (int)n, "reading a message", NULL) : 0;
}

CO_FN static int parse_anew(struct kv *kv, struct kv_blob_id blob, struct arena *arena,
			    struct mime_tree *out, struct err *e)
{
	struct mime_parser *p = mime_parser_new(arena);

	if (!p) {
		return err_set(e, -ENOMEM, "parsing a message", NULL);
	}
	int r = feed_blob(kv, blob, p, e);

	if (r == 0) {
		r = mime_parser_finish(p, out);
		if (r) {
			err_set(e, r, "parsing a message", NULL);
		}
	}
	mime_parser_free(&p);
	return r;
}

CO_FN int store_tree(struct store_mailbox *m, uint32_t uid, struct arena *arena,
		     struct mime_tree *out, struct err *e)
{
	const struct msg *msg = box_find(m, uid);

	home_assert(m->a->home);
	if (!msg) {
		return err_set(e, -ENOENT, "message is gone", "uid %u", uid);
	}
	struct kv_blob_id blob = msg->blob; /* msg may move while we wait */
	uint32_t size = msg->size;
	struct buf b = BUF_INIT(TREE_KEEP_MAX);
	struct row_key k = key32('T', uid);
	int r = kv_get(box_kv(m), part_mailbox(m->a->id, m->id), key_slice(&k), &b);

	if (r == KV_OK && b.err == 0) {
		struct slice kept = arena_dup(arena, buf_slice(&b));
		struct arena_mark mark = arena_mark(arena);

		buf_fini(&b);
		if (kept.p && mime_tree_decode(kept, arena, out) == 0 && out->root &&
		    out->size == size) {
			return STORE_OK;
		}
		arena_reset(arena, mark);
	}
	buf_fini(&b);
	if (r < 0) {
		return store_result(r, e, "reading a message's parts");
	}
	return parse_anew(box_kv(m), blob, arena, out, e);
}
