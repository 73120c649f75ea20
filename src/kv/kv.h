/*
 * kv: the storage-engine contract. Everything durable goes through here.
 *
 * A store is a set of partitions; a partition is an ordered map from byte
 * keys to byte values, with a version. What changes goes into batches, one
 * per partition, and kv_commit() makes them durable: 0 is a promise (the
 * data survives power loss). Reads see every commit acknowledged before
 * the read began, whoever made it in this process.
 *
 * Atomicity: each batch is atomic, always. The embedded engine also makes
 * the batches of one kv_commit atomic together; nothing above may need that
 * for correctness. Order: commits from one loop to one partition take effect
 * in the order in which kv_commit was called.
 *
 * Blobs (message bytes) are written in chunks before the commit that refers
 * to them and are unreachable until then. References are counted by batches
 * (kv_batch_blob_ref / _unref); at zero the space is given back in time.
 * A blob that no commit took over vanishes, also after a crash.
 *
 * Failure: the first failed write or sync poisons the engine: every commit
 * that is not yet durable, and each later one, answers -EIO; reads go on;
 * recovery is by reopening. Nothing is retried.
 *
 * Engines: kv_local (segment log + LMDB index), kv_mem (tests). Functions
 * marked CO_FN may suspend; others never do. All are safe on any loop's
 * thread at the same time; one batch, writer or scan belongs to one caller.
 */
#ifndef KV_KV_H
#define KV_KV_H

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"
#include "co/co.h"

/* Keys within a partition: 1..KV_KEY_MAX bytes. Values: 0..KV_VALUE_MAX;
 * up to about 2 KB is what the embedded engine is best at. */
#define KV_KEY_MAX 480
#define KV_VALUE_MAX (8u * 1024 * 1024)
/* Bytes of description stored with a blob for salvage. */
#define KV_META_MAX 512

/* Positive outcomes. Negative is -errno: -EIO poisoned or damaged, -ENOMEM,
 * -ECANCELED. */
enum kv_result {
	KV_OK = 0,
	KV_NOTFOUND = 1, /* no such key or blob */
	KV_CONFLICT = 2, /* the partition's version is not the expected one:
			    reload and try again; nothing happened */
	KV_UNKNOWN = 3,	 /* may still happen (shared engines only) */
	KV_FULL = 4,	 /* no room: nothing happened; goes on when there is */
};

/* A partition's name: 17 bytes, ordered by kind, a, b. kind 0 is the
 * engine's own. */
struct kv_part {
	uint8_t kind;
	uint64_t a;
	uint64_t b;
};

/* Opaque, never reused, zero is "none". */
struct kv_blob_id {
	unsigned char b[16];
};

struct kv;
struct kv_batch;
struct kv_blob_writer;

/* ---- opening ------------------------------------------------------------ */

struct kv_local_opts {
	const char *dir;       /* created if missing (0700) */
	uint64_t segment_size; /* 0: 64 MiB */
	uint64_t map_size;     /* LMDB's; 0: 256 GiB */
	uint64_t free_floor;   /* bytes that must stay free for new mail to be
				    taken; 0: max(5 % of the disk, 256 MiB)
				    capped at 10 GiB; 1: no floor */
	unsigned apply_ms;     /* 0: 50 */
	unsigned reclaim_mb_s; /* rewrite rate; 0: 32 */
};
/*
 * Opens or creates, locks the directory, recovers (replays the log into the
 * index; rebuilds the index from the last snapshot and the log if it is
 * damaged or missing) and starts the committer, applier and reclaimer
 * threads. May take long; blocks (start-up only).
 * 0; -EBUSY another process has it; -EPROTO a newer format; -EIO damage that
 * recovery may not decide on; -errno. *e says what, where and what to do.
 */
int kv_local_open(const struct kv_local_opts *o, struct kv **out, struct err *e);
/* All in memory, nothing durable, no threads, never suspends. */
int kv_mem_open(struct kv **out);
/* Waits for what is queued, applies it, closes. NULL is fine. Blocks. */
void kv_close(struct kv **kvp);

/* ---- reading ------------------------------------------------------------ */

/* Adds the value to *value_out (not reset). KV_OK, KV_NOTFOUND, <0. */
CO_FN int kv_get(struct kv *kv, struct kv_part part, struct slice key, struct buf *value_out);
/*
 * Calls fn for each row with from <= key < to in order (empty `to`: up to
 * the end of the partition), until it returns non-zero. fn must not suspend
 * nor call kv; the slices live for the call only. Long scans are cut into
 * pages inside: rows changed meanwhile may or may not be seen, each row at
 * most once. Returns KV_OK or fn's non-zero value if positive, or <0.
 */
typedef int kv_row_fn(void *arg, struct slice key, struct slice value);
CO_FN int kv_scan(struct kv *kv, struct kv_part part, struct slice from, struct slice to,
		  kv_row_fn *fn, void *arg);
/* All rows whose key starts with prefix. */
CO_FN int kv_scan_prefix(struct kv *kv, struct kv_part part, struct slice prefix, kv_row_fn *fn,
			 void *arg);
/* Version of a partition: 0 never written; grows with each commit to it. */
CO_FN int kv_version(struct kv *kv, struct kv_part part, uint64_t *out);

/* ---- writing ------------------------------------------------------------ */

/*
 * A batch for one partition; NULL when out of memory. Batches copy what they
 * are given. Errors (too big, no memory) are sticky and come out of commit.
 */
struct kv_batch *kv_batch_new(struct kv_part part);
void kv_batch_free(struct kv_batch **bp);
/* Commit only if the partition's version is v; else KV_CONFLICT. */
void kv_batch_expect(struct kv_batch *b, uint64_t v);
void kv_batch_put(struct kv_batch *b, struct slice key, struct slice value);
void kv_batch_del(struct kv_batch *b, struct slice key);
/* Deletes from <= key < to (empty `to`: to the end). Ops apply in order. */
void kv_batch_del_range(struct kv_batch *b, struct slice from, struct slice to);
/* One more / one less reference. The blob must be finished, and held (by its
 * writer or by another reference) until the commit is done. */
void kv_batch_blob_ref(struct kv_batch *b, struct kv_blob_id id);
void kv_batch_blob_unref(struct kv_batch *b, struct kv_blob_id id);
/* Frees space: still taken when the disk is too full for new mail. */
void kv_batch_frees(struct kv_batch *b);

/*
 * Suspends until all n batches are durable. The batches stay the caller's.
 * KV_OK, KV_CONFLICT (none of them happened, on the embedded engine),
 * KV_FULL, KV_UNKNOWN, -EIO (poisoned), -EMSGSIZE, -ENOMEM. Not cut short by
 * cancellation: the answer is the truth.
 */
CO_FN int kv_commit(struct kv *kv, struct kv_batch *const *batches, size_t n);
/*
 * Suspends until what is committed is also in the index ("visible"). Reads
 * do this by themselves; this is for tests, close and snapshots.
 */
CO_FN int kv_sync(struct kv *kv);

/* ---- blobs -------------------------------------------------------------- */

/*
 * A writer for a new blob. meta (<= KV_META_MAX, copied) says in the log by
 * itself where the message belongs, for salvage. KV_OK, KV_FULL, <0.
 */
CO_FN int kv_blob_new(struct kv *kv, struct slice meta, struct kv_blob_writer **out);
/* Any size of piece; chunks, compression and checksums are inside. KV_OK,
 * KV_FULL, <0; after a failure only kv_blob_free is left. */
CO_FN int kv_blob_write(struct kv_blob_writer *w, struct slice data);
/* No more data. The id can now go into batches, while w is kept. */
CO_FN int kv_blob_finish(struct kv_blob_writer *w, struct kv_blob_id *id_out);
/* Ends the writer's hold. Without a committed reference the blob is gone. */
void kv_blob_free(struct kv_blob_writer **wp);
/*
 * Reads up to n bytes at off of the uncompressed bytes into p: bytes read
 * (short only at the end), 0 at or past the end, -ENOENT no such blob, -EIO
 * its checksum is wrong or the disk failed (the rest of the store is fine).
 */
CO_FN ssize_t kv_blob_read(struct kv *kv, struct kv_blob_id id, uint64_t off, char *p, size_t n);
CO_FN int kv_blob_size(struct kv *kv, struct kv_blob_id id, uint64_t *out);

static inline bool kv_blob_is_none(struct kv_blob_id id)
{
	static const struct kv_blob_id none;

	return memcmp(&id, &none, sizeof(id)) == 0;
}

/* ---- care --------------------------------------------------------------- */

/* Writes a consistent snapshot of the index beside it, so that the log before
 * it may be reclaimed and a damaged index rebuilt quickly. */
CO_FN int kv_snapshot(struct kv *kv, struct err *e);
/*
 * Reads everything: checksums of all live records, reference counts, index
 * against log. Calls found(arg, text) for each problem, on a worker's thread
 * while the caller waits. Number of problems, or <0.
 */
CO_FN int kv_verify(struct kv *kv, void (*found)(void *arg, const char *text), void *arg);

struct kv_stats {
	uint64_t log_bytes;  /* of all segments on disk */
	uint64_t live_bytes; /* of records that are still needed */
	uint64_t segments;
	uint64_t commits; /* kv_commit calls answered KV_OK */
	uint64_t syncs;	  /* fdatasync calls */
	uint64_t blobs;	  /* live */
	uint64_t reclaimed_bytes;
	uint64_t disk_free;
	bool poisoned;
	bool full; /* below the floor: new mail is not taken */
};
void kv_stats(struct kv *kv, struct kv_stats *out);

/* True while new mail would be answered KV_FULL. Cheap; for 452 at MAIL. */
bool kv_is_full(struct kv *kv);

#endif
