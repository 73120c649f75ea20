/*
 * local: what the files of the embedded engine share.
 *
 * Threads: callers (loops, tools) queue requests and read; one committer
 * writes the log (commit.c); one applier carries it into LMDB (apply.c); one
 * keeper looks after space (reclaim.c). `lock` guards all state below it
 * except where said; it is never held over I/O. A commit's life: queued ->
 * record in the group -> written -> synced (durable, acknowledged) -> applied
 * (visible in LMDB, dropped from `dirty`).
 */
#ifndef KV_LOCAL_H
#define KV_LOCAL_H

#include <pthread.h>
#include <zstd.h>

#include "base/list.h"
#include "base/table.h"
#include "kv/impl.h"
#include "kv/index.h"
#include "kv/log.h"

#define GROUP_MAX (16u * 1024 * 1024)
/* Chunk bytes that may wait in the queue before writers are held up. */
#define CHUNKS_WAITING_MAX (8u * 1024 * 1024)
/* Chunk bytes that wake the committer without a commit. */
#define CHUNKS_WAKE (512u * 1024)
/* Chunk bytes written without a sync of their own. */
#define UNSYNCED_MAX (16u * 1024 * 1024)
/* Records the applier may be behind before commits wait for it. */
#define APPLY_LAG_MAX 200000u
#define ZPOOL 4
#define DEAD_MAX 4096
#define CACHE_SLOTS 32

enum req_kind {
	REQ_COMMIT,  /* batches; answered when durable */
	REQ_CHUNK,   /* a payload the committer frees; nobody waits */
	REQ_BARRIER, /* answered when all before it is durable */
	REQ_RELEASE, /* a writer that was freed; becomes the applier's */
};

struct writer;

struct req {
	struct list node;
	enum req_kind kind;
	struct kv_batch *const *batches;
	size_t n;
	size_t bytes; /* COMMIT: at most this; CHUNK: payload bytes */
	char *payload;
	struct writer *writer; /* CHUNK, RELEASE; NULL for a moved chunk */
	bool *lost;	       /* a moved chunk that found no room */
	uint64_t seq;
	int result;
	struct co_signal done;
};

struct writer {
	struct kv_blob_writer w;
	struct kv_blob_id id;
	struct buf raw; /* the chunk being filled */
	uint32_t index;
	uint64_t size;
	char meta[KV_META_MAX];
	size_t meta_n;
	bool lost; /* a chunk found no room: commits must not refer to it */
	struct list lost_node;
	struct req release;
};

/* Someone waits until seq is applied, or for room in the chunk queue. */
struct waiter {
	struct list node;
	uint64_t seq;
	int result;
	struct co_signal done;
};

/* A partition with commits that LMDB does not show yet. */
struct dirty {
	struct list order; /* by newest record, oldest first */
	unsigned char name[KV_PART_SIZE];
	uint64_t newest; /* record given to the committer's group */
	uint64_t acked;	 /* newest that is durable */
};

struct dead_chunk {
	struct loc loc;
};

struct cached_chunk {
	struct kv_blob_id id;
	uint32_t index;
	uint32_t n;
	uint64_t used_at;
	char *p;
};

struct local {
	struct kv kv;
	char *dir;
	char *index_dir;
	char *ballast;
	int lock_fd;
	unsigned char store[16];
	uint32_t segment_size;
	uint64_t map_size;
	uint64_t free_floor;
	uint64_t ballast_size;
	unsigned apply_ms;
	unsigned reclaim_mb_s;
	uint64_t epoch; /* number of the first segment of this run */

	struct log log;
	struct index idx;

	pthread_mutex_t lock;
	pthread_cond_t work;  /* for the committer */
	pthread_cond_t apply; /* for the applier */
	pthread_cond_t keep;  /* for the keeper */

	struct list queue;
	size_t urgent;	    /* queued requests somebody waits for */
	size_t chunk_bytes; /* queued and not written */
	struct list chunk_waiters;
	uint64_t next_blob;

	struct table dirty; /* struct dirty by name */
	struct list dirty_order;
	struct table held; /* struct writer by blob id */
	struct list lost;  /* writers whose chunks found no room */
	struct list releases;
	struct list apply_waiters;

	uint64_t next_seq; /* committer's own */
	size_t unsynced;   /* committer's own */
	struct pos durable_pos;
	uint64_t durable_seq;
	struct index_pos applied;
	int64_t stuck_since; /* the applier found no room; 0: it runs */

	bool keeper_stop;
	bool stopping;
	bool committer_done;
	bool applier_done;
	int apply_dead; /* -errno: the index is broken, recovery by reopening */

	/* Read anywhere with __atomic loads. */
	bool poisoned;
	bool below_floor;
	bool no_spare;
	bool stuck;
	uint64_t disk_free;
	uint64_t commits;
	uint64_t syncs;
	uint64_t reclaimed;

	int64_t spare_tried; /* committer's own */

	struct pos snap_pos; /* the index snapshot reaches at least here */
	pthread_mutex_t snap_lock;
	struct dead_chunk *dead; /* DEAD_MAX; chunks to punch out */
	size_t dead_n;

	pthread_mutex_t zlock;
	ZSTD_CCtx *cctx[ZPOOL];
	ZSTD_DCtx *dctx[ZPOOL];
	struct cached_chunk cache[CACHE_SLOTS];
	uint64_t cache_clock;

	pthread_t committer;
	pthread_t applier;
	pthread_t keeper;
};

static inline struct local *local_of(struct kv *kv)
{
	return (struct local *)kv;
}

static inline bool flag_get(const bool *f)
{
	return __atomic_load_n(f, __ATOMIC_ACQUIRE);
}

static inline void flag_set(bool *f, bool v)
{
	__atomic_store_n(f, v, __ATOMIC_RELEASE);
}

static inline struct slice blob_id_slice(const struct kv_blob_id *id)
{
	return slice_make((const char *)id->b, sizeof(id->b));
}

/* An absolute CLOCK_MONOTONIC time this many ms from now. */
struct timespec in_ms(int64_t ms);

/* commit.c */
void *committer_main(void *arg);
CO_FN int local_commit(struct kv *kv, struct kv_batch *const *batches, size_t n, size_t bytes);
/* Suspends until everything queued before is durable; *seq_out: up to here. */
CO_FN int commit_barrier(struct local *l, uint64_t *seq_out);
/* Queues a chunk; the payload (malloc'ed) is the committer's from now on.
 * Suspends while too much waits. 0, -EIO (poisoned; payload freed). */
CO_FN int commit_chunk(struct local *l, char *payload, size_t n, struct writer *w, bool *lost);
void commit_release(struct local *l, struct writer *w);
/* Room for what grows the store? False is KV_FULL. */
bool room_to_grow(struct local *l);
void poison(struct local *l);

/* apply.c */
void *applier_main(void *arg);
/* Suspends until seq is applied. 0, -EIO, -ENOSPC. */
CO_FN int wait_applied(struct local *l, uint64_t seq);
/* Replays everything durable and sweeps blobs nobody took over; at start. */
int apply_all(struct local *l, struct err *e);

/* blob.c */
CO_FN int local_blob_new(struct kv *kv, struct slice meta, struct kv_blob_writer **out);
CO_FN int local_blob_write(struct kv_blob_writer *w, struct slice data);
CO_FN int local_blob_finish(struct kv_blob_writer *w, struct kv_blob_id *out);
void local_blob_free(struct kv_blob_writer *w);
CO_FN ssize_t local_blob_read(struct kv *kv, struct kv_blob_id id, uint64_t off, char *p, size_t n);
CO_FN int local_blob_size(struct kv *kv, struct kv_blob_id id, uint64_t *out);
void writer_destroy(struct writer *w);
void blob_fini(struct local *l);
/* Reads and checks one whole record at loc into buf; blocks. 0, -EIO,
 * -ENOENT (the segment is gone). */
int chunk_read(struct local *l, struct loc loc, bool nowait, struct buf *raw, struct rec *rec_out,
	       struct chunk *out);

/* recover.c: log against index position; sets durable_*, next_seq. */
int recover_log(struct local *l, struct err *e);

/* snapshot.c */
int snapshot_find(struct local *l, char *path, size_t cap, struct pos *out);
int snapshot_take(struct local *l, struct err *e);
CO_FN int local_snapshot(struct kv *kv, struct err *e);
/* Opens the index; restores it from the snapshot, or empty, if it is damaged
 * or missing. */
int index_open_or_rebuild(struct local *l, struct err *e);

/* space.c */
/* Looks how much room the disk has; sets below_floor and disk_free. */
void space_check(struct local *l);
void ballast_make(struct local *l);
/* True if there was one and it is gone now. */
bool ballast_release(struct local *l);

/* reclaim.c */
void *keeper_main(void *arg);

/* verify.c */
CO_FN int local_verify(struct kv *kv, void (*found)(void *arg, const char *text), void *arg);

#endif
