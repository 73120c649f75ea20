/*
 * A message being written: the bytes go to the engine's blob and through the
 * MIME parser at the same time, in pieces, so memory does not depend on the
 * message's size (the tree's arena is bounded). What the parser cannot hold
 * within its limits becomes one opaque leaf: no message is refused for its
 * shape. Used by smtp (DATA, BDAT), imap (APPEND), import. Any loop.
 */
#include <stdlib.h>

#include "store/impl.h"

struct store_writer {
	struct store *s;
	struct kv_blob_writer *blob;
	struct kv_blob_id id;
	struct mime_parser *parser;
	struct arena arena;
	struct mime_tree tree;
	struct buf tree_bytes;
	uint64_t size;
	bool done;
	bool failed;
};

CO_FN int store_writer_new(struct store *s, struct slice meta, struct store_writer **out,
			   struct err *e)
{
	struct store_writer *w = calloc(1, sizeof(*w));

	if (!w) {
		return err_set(e, -ENOMEM, "taking a message", NULL);
	}
	w->s = s;
	arena_init(&w->arena, MIME_TREE_MAX);
	buf_init(&w->tree_bytes, TREE_KEEP_MAX);
	w->parser = mime_parser_new(&w->arena);
	int r = w->parser ? kv_blob_new(s->kv, slice_sub(meta, 0, KV_META_MAX), &w->blob) : -ENOMEM;

	if (r) {
		store_writer_free(&w);
		return store_result(r, e, "taking a message");
	}
	*out = w;
	return STORE_OK;
}

CO_FN int store_writer_add(struct store_writer *w, struct slice data, struct err *e)
{
	assert(!w->done);
	if (w->failed) {
		return err_set(e, -EIO, "taking a message", "failed before");
	}
	if (data.n > w->s->message_max - w->size) {
		w->failed = true;
		return err_set(e, -EMSGSIZE, "message is too big", "more than %llu bytes",
			       (unsigned long long)w->s->message_max);
	}
	int r = kv_blob_write(w->blob, data);

	if (r) {
		w->failed = true;
		return store_result(r, e, "writing a message");
	}
	mime_parser_feed(w->parser, data);
	w->size += data.n;
	return STORE_OK;
}

/* One leaf for everything, when there was no memory for more. */
static int opaque_tree(struct store_writer *w)
{
	arena_fini(&w->arena);
	struct mime_part *p = arena_new(&w->arena, struct mime_part);

	if (!p) {
		return -ENOMEM;
	}
	p->kind = MIME_LEAF;
	p->body_len = w->size;
	p->type = S("application");
	p->subtype = S("octet-stream");
	p->encoding = S("8bit");
	p->envelope = arena_new(&w->arena, struct mime_envelope);
	if (!p->envelope) {
		return -ENOMEM;
	}
	p->envelope->sent = INT64_MIN;
	w->tree = (struct mime_tree){ .root = p, .size = w->size, .truncated = true, .n_parts = 1 };
	return 0;
}

CO_FN int store_writer_end(struct store_writer *w, struct err *e)
{
	assert(!w->done);
	if (w->failed) {
		return err_set(e, -EIO, "taking a message", "failed before");
	}
	int r = kv_blob_finish(w->blob, &w->id);

	if (r) {
		w->failed = true;
		return store_result(r, e, "writing a message");
	}
	r = mime_parser_finish(w->parser, &w->tree);
	mime_parser_free(&w->parser);
	if (r && opaque_tree(w)) {
		w->failed = true;
		return err_set(e, -ENOMEM, "taking a message", NULL);
	}
	mime_tree_encode(&w->tree, &w->tree_bytes);
	w->done = true;
	return STORE_OK;
}

uint64_t store_writer_size(const struct store_writer *w)
{
	return w->size;
}

const struct mime_tree *store_writer_tree(const struct store_writer *w)
{
	assert(w->done && w->tree.root);
	return &w->tree;
}

void store_writer_trim(struct store_writer *w)
{
	assert(w->done);
	arena_fini(&w->arena);
	w->tree.root = NULL;
}

void store_writer_free(struct store_writer **wp)
{
	struct store_writer *w = *wp;

	if (!w) {
		return;
	}
	mime_parser_free(&w->parser);
	kv_blob_free(&w->blob);
	buf_fini(&w->tree_bytes);
	arena_fini(&w->arena);
	free(w);
	*wp = NULL;
}

bool writer_is_done(const struct store_writer *w)
{
	return w->done;
}

void writer_msg(const struct store_writer *w, struct msg *out)
{
	assert(w->done && w->size <= UINT32_MAX);
	memset(out, 0, sizeof(*out));
	out->size = (uint32_t)w->size;
	out->extra = (uint32_t)MIN(w->tree.bare, UINT32_MAX);
	out->save_date = (uint32_t)clock_wall();
	out->blob = w->id;
}

struct slice writer_tree_bytes(const struct store_writer *w)
{
	return w->tree_bytes.err ? S("") : buf_slice(&w->tree_bytes);
}
