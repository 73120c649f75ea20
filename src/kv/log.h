/*
 * log: the segment files: listing, creating, appending, reading, sealing.
 *
 * A segment is a file log/<number in 16 hex digits>.seg, allocated in full
 * before it is used, so that a full disk shows at its creation and never in
 * the middle of an append. One more file, log/spare, lies ready, so that
 * deletions find room when nothing else does. Sealing cuts a segment to what
 * was written. Only the committer appends; anyone reads, holding a reference:
 * a removed segment's file lives until its last reader has gone.
 */
#ifndef KV_LOG_H
#define KV_LOG_H

#include <pthread.h>

#include "kv/record.h"

struct segment {
	uint64_t no;
	uint64_t salt;
	uint32_t end;	/* bytes in use */
	uint32_t alloc; /* size of the file */
	int64_t live;	/* bytes of chunk records still needed (keeper's) */
	bool sealed;
	bool suspect; /* reclaim met damage: leave it alone */
	/* under log.lock: */
	int fd;
	unsigned refs;
	bool removed;
	uint64_t used_at;
};

struct log {
	char *dir; /* .../log */
	unsigned char store[16];
	uint32_t segment_size;
	pthread_mutex_t lock;
	struct segment **seg; /* by number */
	size_t n;
	size_t cap;
	size_t open_fds;
	uint64_t clock;
	struct segment *cur;  /* the committer appends here; NULL before */
	pthread_mutex_t grow; /* before lock; held over I/O, readers never want it */
	uint64_t next_no;
	bool spare;
	uint32_t spare_size;
};

/* Lists the segments and reads their heads. 0, -EPROTO, -EIO, -errno. */
int log_open(struct log *l, const char *dir, const unsigned char store[16], uint32_t segment_size,
	     struct err *e);
void log_fini(struct log *l);

/* A reference with an open descriptor, or NULL if there is none (errno). */
struct segment *log_get(struct log *l, uint64_t no);
void log_put(struct log *l, struct segment *s);
/* The number of the first segment after no, or 0. */
uint64_t log_next(struct log *l, uint64_t no);

/*
 * Makes a new segment with room for at least need bytes the current one, and
 * syncs and seals the old one. Takes the spare, or makes one first. 0;
 * -ENOSPC: nothing happened; else the log is to be poisoned.
 */
int log_roll(struct log *l, uint32_t need);
/* Makes the spare segment if there is none. 0, -ENOSPC, -errno. */
int log_make_spare(struct log *l);
/* Appends to the current segment, which has the room. 0 or -errno. */
int log_append(struct log *l, const void *p, size_t n);
int log_sync(struct log *l);
/* Cuts a segment to its end, durably. 0 or -errno. */
int log_seal(struct log *l, struct segment *s);
/* Removes a segment, durably. 0 or -errno. */
int log_remove(struct log *l, uint64_t no);
/* Gives a piece of a segment back to the file system. */
int log_punch(struct log *l, struct segment *s, uint64_t off, uint64_t n);
uint64_t log_bytes(struct log *l);
/* Live bytes of a segment; one that is gone is nobody's concern. */
void log_set_live(struct log *l, uint64_t no, int64_t live);
uint64_t log_live(struct log *l);
/* ENOSPC and its kin: no room, rather than a broken disk. */
bool is_no_room(int err);
int sync_dir(const char *path);

/* ---- reading records in their order --------------------------------------- */

struct log_reader {
	struct log *log;
	struct segment *seg;
	uint32_t off;
	uint32_t limit;
	struct buf window;
	uint32_t window_off;
};

/* Reads [off, limit) of a segment. 0 or -ENOENT, -errno. */
int reader_open(struct log_reader *r, struct log *l, struct pos at, uint32_t limit);
void reader_close(struct log_reader *r);
/*
 * The next record; its payload is complete and checked (full), or for chunks
 * cut to CHUNK_HEAD bytes and not checked. 1; 0 the end, or zeros; -EINVAL
 * damaged head, or payload beyond the limit; -EBADMSG the head is fine but
 * the payload is not (with full; *rec_out is set); -errno. Moves on after 1
 * and, if asked by reader_skip(), after -EBADMSG.
 */
int reader_next(struct log_reader *r, bool full, struct rec *rec_out, struct slice *payload_out);
void reader_skip(struct log_reader *r, const struct rec *rec);

#endif
