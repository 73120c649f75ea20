/*
 * The engine contract's common half: batches and dispatch.
 *
 * Batches are encoded as they are filled, checked once at commit and then
 * handed to the engine as bytes. Everything else only finds the engine.
 */
#include <stdlib.h>

#include "kv/impl.h"

/* ---- names ---------------------------------------------------------------- */

void part_encode(struct kv_part p, unsigned char out[KV_PART_SIZE])
{
	out[0] = p.kind;
	put64be(out + 1, p.a);
	put64be(out + 9, p.b);
}

struct kv_part part_decode(const unsigned char in[KV_PART_SIZE])
{
	return (struct kv_part){ in[0], get64be(in + 1), get64be(in + 9) };
}

/* ---- batches -------------------------------------------------------------- */

struct kv_batch *kv_batch_new(struct kv_part part)
{
	struct kv_batch *b = calloc(1, sizeof(*b));

	if (b) {
		b->part = part;
		buf_init(&b->ops, KV_COMMIT_MAX);
	}
	return b;
}

void kv_batch_free(struct kv_batch **bp)
{
	struct kv_batch *b = TAKE_PTR(*bp);

	if (b) {
		buf_fini(&b->ops);
		free(b);
	}
}

static void batch_fail(struct kv_batch *b, int err)
{
	if (!b->ops.err) {
		b->ops.err = err;
	}
}

void kv_batch_expect(struct kv_batch *b, uint64_t v)
{
	b->expect = v;
	b->has_expect = true;
}

static void batch_key(struct kv_batch *b, enum batch_op op, struct slice key)
{
	if (key.n == 0 || key.n > KV_KEY_MAX) {
		batch_fail(b, -EMSGSIZE);
	}
	buf_put8(&b->ops, (uint8_t)op);
	buf_vbytes(&b->ops, key);
}

void kv_batch_put(struct kv_batch *b, struct slice key, struct slice value)
{
	if (value.n > KV_VALUE_MAX) {
		batch_fail(b, -EMSGSIZE);
	}
	b->grows = true;
	batch_key(b, BATCH_PUT, key);
	buf_vbytes(&b->ops, value);
}

void kv_batch_del(struct kv_batch *b, struct slice key)
{
	batch_key(b, BATCH_DEL, key);
}

void kv_batch_del_range(struct kv_batch *b, struct slice from, struct slice to)
{
	if (from.n > KV_KEY_MAX || to.n > KV_KEY_MAX) {
		batch_fail(b, -EMSGSIZE);
	}
	buf_put8(&b->ops, BATCH_DEL_RANGE);
	buf_vbytes(&b->ops, from);
	buf_vbytes(&b->ops, to);
}

static void batch_blob(struct kv_batch *b, enum batch_op op, struct kv_blob_id id)
{
	if (kv_blob_is_none(id)) {
		batch_fail(b, -EINVAL);
	}
	buf_put8(&b->ops, (uint8_t)op);
	buf_add(&b->ops, slice_make((const char *)id.b, sizeof(id.b)));
}

void kv_batch_blob_ref(struct kv_batch *b, struct kv_blob_id id)
{
	b->grows = true;
	batch_blob(b, BATCH_REF, id);
}

void kv_batch_blob_unref(struct kv_batch *b, struct kv_blob_id id)
{
	batch_blob(b, BATCH_UNREF, id);
}

void kv_batch_frees(struct kv_batch *b)
{
	b->frees = true;
}

static bool key_ok(struct slice key)
{
	return key.n >= 1;
}

int batch_next(struct cur *c, struct batch_step *out)
{
	struct batch_step s = { 0 };
	struct slice id;

	if (c->err) {
		return -EINVAL;
	}
	if (cur_left(c) == 0) {
		return 0;
	}
	s.op = cur_get8(c);
	switch (s.op) {
	case BATCH_PUT:
		s.key = cur_vbytes(c, KV_KEY_MAX);
		s.to = cur_vbytes(c, KV_VALUE_MAX);
		break;
	case BATCH_DEL:
		s.key = cur_vbytes(c, KV_KEY_MAX);
		break;
	case BATCH_DEL_RANGE:
		s.key = cur_vbytes(c, KV_KEY_MAX);
		s.to = cur_vbytes(c, KV_KEY_MAX);
		break;
	case BATCH_REF:
	case BATCH_UNREF:
		id = cur_take(c, sizeof(s.blob.b));
		if (!c->err) {
			memcpy(s.blob.b, id.p, sizeof(s.blob.b));
		}
		break;
	default:
		return -EINVAL;
	}
	if (c->err || ((s.op == BATCH_PUT || s.op == BATCH_DEL) && !key_ok(s.key))) {
		return -EINVAL;
	}
	*out = s;
	return 1;
}

int batch_check(struct kv_batch *const *batches, size_t n, size_t *bytes_out)
{
	size_t sum = 0;

	for (size_t i = 0; i < n; i++) {
		if (batches[i]->ops.err) {
			return batches[i]->ops.err;
		}
		if (batches[i]->part.kind == 0) {
			return -EINVAL;
		}
		sum += batches[i]->ops.n + KV_PART_SIZE + 16;
	}
	if (sum > KV_COMMIT_MAX) {
		return -EMSGSIZE;
	}
	*bytes_out = sum;
	return 0;
}

/* ---- dispatch ------------------------------------------------------------- */

void kv_close(struct kv **kvp)
{
	struct kv *kv = TAKE_PTR(*kvp);

	if (kv) {
		kv->ops->close(kv);
	}
}

int kv_get(struct kv *kv, struct kv_part part, struct slice key, struct buf *value_out)
{
	if (key.n == 0 || key.n > KV_KEY_MAX) {
		return KV_NOTFOUND;
	}
	return kv->ops->get(kv, part, key, value_out);
}

int kv_scan(struct kv *kv, struct kv_part part, struct slice from, struct slice to, kv_row_fn *fn,
	    void *arg)
{
	if (from.n > KV_KEY_MAX || to.n > KV_KEY_MAX) {
		return -EMSGSIZE;
	}
	return kv->ops->scan(kv, part, from, to, fn, arg);
}

int kv_scan_prefix(struct kv *kv, struct kv_part part, struct slice prefix, kv_row_fn *fn,
		   void *arg)
{
	char end[KV_KEY_MAX];
	size_t n = prefix.n;

	if (n > KV_KEY_MAX) {
		return -EMSGSIZE;
	}
	if (n) {
		memcpy(end, prefix.p, n);
	}
	/* The first key behind all with this prefix: drop trailing 0xff,
	 * count the last byte up; nothing left means "to the end". */
	while (n && (unsigned char)end[n - 1] == 0xff) {
		n--;
	}
	if (n) {
		end[n - 1] = (char)((unsigned char)end[n - 1] + 1);
	}
	return kv->ops->scan(kv, part, prefix, slice_make(end, n), fn, arg);
}

int kv_version(struct kv *kv, struct kv_part part, uint64_t *out)
{
	return kv->ops->version(kv, part, out);
}

int kv_commit(struct kv *kv, struct kv_batch *const *batches, size_t n)
{
	size_t bytes;
	int r = batch_check(batches, n, &bytes);

	if (r < 0 || n == 0) {
		return r;
	}
	return kv->ops->commit(kv, batches, n, bytes);
}

int kv_sync(struct kv *kv)
{
	return kv->ops->sync(kv);
}

int kv_blob_new(struct kv *kv, struct slice meta, struct kv_blob_writer **out)
{
	if (meta.n > KV_META_MAX) {
		return -EMSGSIZE;
	}
	return kv->ops->blob_new(kv, meta, out);
}

int kv_blob_write(struct kv_blob_writer *w, struct slice data)
{
	assert(!w->finished);
	if (w->err) {
		return w->err;
	}
	w->err = w->kv->ops->blob_write(w, data);
	return w->err;
}

int kv_blob_finish(struct kv_blob_writer *w, struct kv_blob_id *id_out)
{
	assert(!w->finished);
	if (w->err) {
		return w->err;
	}
	w->err = w->kv->ops->blob_finish(w, id_out);
	w->finished = w->err == 0;
	return w->err;
}

void kv_blob_free(struct kv_blob_writer **wp)
{
	struct kv_blob_writer *w = TAKE_PTR(*wp);

	if (w) {
		w->kv->ops->blob_free(w);
	}
}

ssize_t kv_blob_read(struct kv *kv, struct kv_blob_id id, uint64_t off, char *p, size_t n)
{
	return kv->ops->blob_read(kv, id, off, p, n);
}

int kv_blob_size(struct kv *kv, struct kv_blob_id id, uint64_t *out)
{
	return kv->ops->blob_size(kv, id, out);
}

int kv_snapshot(struct kv *kv, struct err *e)
{
	return kv->ops->snapshot(kv, e);
}

int kv_verify(struct kv *kv, void (*found)(void *arg, const char *text), void *arg)
{
	return kv->ops->verify(kv, found, arg);
}

void kv_stats(struct kv *kv, struct kv_stats *out)
{
	*out = (struct kv_stats){ 0 };
	kv->ops->stats(kv, out);
}

bool kv_is_full(struct kv *kv)
{
	return kv->ops->is_full(kv);
}
