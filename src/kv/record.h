/*
 * record: the bytes of the segment log. docs/format.md describes each field.
 *
 * Pure encoders and decoders, no I/O: the fuzzer runs over these. A record is
 * a 48-byte head and a payload, padded to 8. The head's checksum is salted
 * with the segment's random salt and bound to the offset, so that no bytes a
 * mail brings along, and no leftovers of another place, pass for a record;
 * the payload has its own sum, so that a damaged payload does not hide what
 * stands behind it.
 */
#ifndef KV_RECORD_H
#define KV_RECORD_H

#include "base/cur.h"
#include "kv/kv.h"

#define LOG_FORMAT 1u
#define SEG_HEAD 64u
#define REC_HEAD 48u
#define REC_ALIGN 8u
#define REC_VERSION 1 /* of the payloads' layout */
#define REC_PAYLOAD_MAX (13u * 1024 * 1024)
#define CHUNK_RAW (128u * 1024)
#define CHUNK_HEAD 48u

struct seg_head {
	uint32_t format;
	uint64_t no;
	uint64_t salt;
	unsigned char store[16];
	int64_t created_ms;
};

enum rec_type {
	REC_BATCHES = 1, /* one kv_commit */
	REC_CHUNK = 2,	 /* one piece of a blob */
};

struct rec {
	uint32_t len; /* of the payload */
	uint8_t type;
	uint8_t version;
	uint64_t seq;	  /* counts all records of the store */
	uint64_t durable; /* all up to here were synced before this was written */
	uint64_t sum;	  /* of the payload */
};

enum { CHUNK_LAST = 1, CHUNK_MOVED = 2 };
enum { CODEC_RAW = 0, CODEC_ZSTD = 1 };

/* Where a record stands. */
struct pos {
	uint64_t seg;
	uint32_t off;
};

struct chunk {
	struct kv_blob_id id;
	uint32_t index;
	uint32_t raw; /* uncompressed bytes */
	uint8_t codec;
	uint8_t flags;
	uint64_t size;	   /* of the whole blob; with CHUNK_LAST */
	struct pos old;	   /* with CHUNK_MOVED: where it stood */
	struct slice meta; /* empty if only the head was decoded */
	struct slice data;
	size_t meta_n;
};

static inline int pos_cmp(struct pos a, struct pos b)
{
	if (a.seg != b.seg) {
		return a.seg < b.seg ? -1 : 1;
	}
	return a.off < b.off ? -1 : a.off > b.off;
}

/* Bytes a record with this payload takes in the log. */
static inline uint32_t rec_size(uint32_t len)
{
	return (REC_HEAD + len + REC_ALIGN - 1) & ~(REC_ALIGN - 1);
}

void seg_head_encode(const struct seg_head *h, unsigned char out[SEG_HEAD]);
/* 0; -EINVAL no head of ours or damaged; -EPROTO a newer format. */
int seg_head_decode(struct slice s, struct seg_head *out);

void rec_encode(const struct rec *r, uint64_t salt, uint32_t off, unsigned char out[REC_HEAD]);
/* 1 a record; 0 nothing was ever written here (zeros); -EINVAL damaged. */
int rec_decode(struct slice s, uint64_t salt, uint32_t off, struct rec *out);

void chunk_encode(const struct chunk *c, unsigned char out[CHUNK_HEAD]);
/* whole: the payload is complete, else only its first CHUNK_HEAD bytes are
 * looked at. 0 or -EINVAL. */
int chunk_decode(struct slice payload, bool whole, struct chunk *out);

/* Next batch of a REC_BATCHES payload: 1, 0 at the end, -EINVAL. */
int batches_next(struct cur *c, struct kv_part *part_out, struct slice *ops_out);

#endif
