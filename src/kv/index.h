/*
 * index: the LMDB environment behind the log.
 *
 * What each database holds stands in docs/format.md. Reads use pooled
 * read-only transactions (MDB_NOTLS, so they belong to no thread) that are
 * never held over a suspension; only the applier and recovery write.
 */
#ifndef KV_INDEX_H
#define KV_INDEX_H

#include <lmdb.h>
#include <pthread.h>

#include "kv/impl.h"
#include "kv/record.h"

#define INDEX_FORMAT 1u
#define INDEX_KEY_MAX (KV_PART_SIZE + KV_KEY_MAX)
#define INDEX_POOL 16

struct index {
	MDB_env *env;
	MDB_dbi rows;	/* partition + key -> value */
	MDB_dbi vers;	/* partition -> version */
	MDB_dbi blobs;	/* blob id -> struct blob_row */
	MDB_dbi chunks; /* blob id + index -> struct loc, from index 1 on */
	MDB_dbi zero;	/* ids of blobs without references */
	MDB_dbi segs;	/* segment -> live bytes */
	MDB_dbi meta;	/* format, store, position */
	pthread_mutex_t lock;
	MDB_txn *idle[INDEX_POOL];
	unsigned idle_n;
};

/* Where a chunk's record is. */
struct loc {
	struct pos at;
	uint32_t len; /* rec_size of the record */
};

struct blob_row {
	uint64_t refs;
	uint64_t size;	 /* once whole */
	uint32_t chunks; /* so far */
	bool whole;
	struct loc first;
};

struct index_pos {
	struct pos at;
	uint64_t seq;
};

/* LMDB's errors as ours: -EIO for damage, -ENOSPC, -ENOMEM, -errno. */
int index_err(int mdb);

/*
 * Opens dir/data.mdb (made if missing).
 * 0, -EPROTO a newer format, -EIO damaged, -errno.
 */
int index_open(struct index *x, const char *dir, uint64_t map_size, const unsigned char store[16],
	       struct err *e);
void index_close(struct index *x);

/* A read transaction from the pool. 0 or <0. */
int index_read(struct index *x, MDB_txn **out);
void index_read_end(struct index *x, MDB_txn *t);

/* Within a transaction: KV_OK, KV_NOTFOUND, <0. */
int index_get_row(struct index *x, MDB_txn *t, struct kv_part p, struct slice key,
		  struct slice *value_out);
int index_get_version(struct index *x, MDB_txn *t, struct kv_part p, uint64_t *out);
int index_put_version(struct index *x, MDB_txn *t, struct kv_part p, uint64_t v);
int index_get_blob(struct index *x, MDB_txn *t, struct kv_blob_id id, struct blob_row *out);
int index_put_blob(struct index *x, MDB_txn *t, struct kv_blob_id id, const struct blob_row *row);
int index_get_loc(struct index *x, MDB_txn *t, struct kv_blob_id id, uint32_t chunk,
		  const struct blob_row *row, struct loc *out);
int index_put_loc(struct index *x, MDB_txn *t, struct kv_blob_id id, uint32_t chunk,
		  struct loc loc);
int index_get_pos(struct index *x, MDB_txn *t, struct index_pos *out);
int index_put_pos(struct index *x, MDB_txn *t, struct index_pos p);
int index_get_live(struct index *x, MDB_txn *t, uint64_t seg, int64_t *out);
int index_put_live(struct index *x, MDB_txn *t, uint64_t seg, int64_t live);
/* Deletes; a missing key is fine. */
int index_del(MDB_txn *t, MDB_dbi db, struct slice key);
int index_put(MDB_txn *t, MDB_dbi db, struct slice key, struct slice value);
/* partition + key into k; the slice over it. */
struct slice index_key(unsigned char k[INDEX_KEY_MAX], struct kv_part p, struct slice key);
int blob_row_decode(struct slice v, struct blob_row *out);
int loc_decode(struct slice v, struct loc *out);

#endif
