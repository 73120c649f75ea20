/*
 * What the engines share inside kv/: the vtable, batches and their encoding.
 *
 * A batch is kept in the encoding it has in the log (docs/format.md, "batch
 * operations"), so a commit copies bytes and both engines apply the same
 * bytes through batch_next(). Only files in kv/ include this.
 */
#ifndef KV_IMPL_H
#define KV_IMPL_H

#include "base/buf.h"
#include "base/cur.h"
#include "kv/kv.h"

/* All operations of one kv_commit, encoded; more is -EMSGSIZE. */
#define KV_COMMIT_MAX (12u * 1024 * 1024)
/* The engine's directory, and what stands in it: short enough that a name fits
 * on any stack. */
#define KV_DIR_MAX 400
#define KV_PATH_MAX 512
/* A partition's name on disk: kind, a and b big-endian. */
#define KV_PART_SIZE 17

enum batch_op {
	BATCH_PUT = 1,	     /* key, value */
	BATCH_DEL = 2,	     /* key */
	BATCH_DEL_RANGE = 3, /* from, to */
	BATCH_REF = 4,	     /* blob id */
	BATCH_UNREF = 5,     /* blob id */
};

struct kv_batch {
	struct kv_part part;
	struct buf ops;
	uint64_t expect;
	bool has_expect;
	bool frees;
	bool grows; /* has a put or a reference */
};

/* One decoded operation; the slices borrow from the batch's bytes. */
struct batch_step {
	enum batch_op op;
	struct slice key; /* or from */
	struct slice to;  /* or value */
	struct kv_blob_id blob;
};

/* Next operation at c: 1, 0 at the end, -EINVAL when the bytes are wrong. */
int batch_next(struct cur *c, struct batch_step *out);
/* Checks a commit's batches and adds up their size. 0, -EMSGSIZE, ... */
int batch_check(struct kv_batch *const *batches, size_t n, size_t *bytes_out);

void part_encode(struct kv_part p, unsigned char out[KV_PART_SIZE]);
struct kv_part part_decode(const unsigned char in[KV_PART_SIZE]);

static inline void put64be(unsigned char *p, uint64_t v)
{
	v = __builtin_bswap64(v);
	memcpy(p, &v, 8);
}

static inline uint64_t get64be(const unsigned char *p)
{
	uint64_t v;

	memcpy(&v, p, 8);
	return __builtin_bswap64(v);
}

/*
 * An engine. The calls are those of kv.h, which says which may suspend; a
 * function pointer cannot carry CO_FN, so kv.c's dispatchers do.
 */
struct kv_ops {
	void (*close)(struct kv *kv);
	int (*get)(struct kv *kv, struct kv_part part, struct slice key, struct buf *value_out);
	int (*scan)(struct kv *kv, struct kv_part part, struct slice from, struct slice to,
		    kv_row_fn *fn, void *arg);
	int (*version)(struct kv *kv, struct kv_part part, uint64_t *out);
	int (*commit)(struct kv *kv, struct kv_batch *const *batches, size_t n, size_t bytes);
	int (*sync)(struct kv *kv);
	int (*blob_new)(struct kv *kv, struct slice meta, struct kv_blob_writer **out);
	int (*blob_write)(struct kv_blob_writer *w, struct slice data);
	int (*blob_finish)(struct kv_blob_writer *w, struct kv_blob_id *out);
	void (*blob_free)(struct kv_blob_writer *w);
	ssize_t (*blob_read)(struct kv *kv, struct kv_blob_id id, uint64_t off, char *p, size_t n);
	int (*blob_size)(struct kv *kv, struct kv_blob_id id, uint64_t *out);
	int (*snapshot)(struct kv *kv, struct err *e);
	int (*verify)(struct kv *kv, void (*found)(void *arg, const char *text), void *arg);
	void (*stats)(struct kv *kv, struct kv_stats *out);
	bool (*is_full)(struct kv *kv);
};

/* Both engines' structs begin with these. */
struct kv {
	const struct kv_ops *ops;
};

struct kv_blob_writer {
	struct kv *kv;
	bool finished;
	int err;
};

#endif
