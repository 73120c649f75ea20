/*
 * index: what the files of the full-text index share (text*.c); not for
 * others. docs/format.md describes the rows, docs/adr/0030 why they are so.
 *
 * A mailbox's index is a list of immutable segments, each over a range of
 * UIDs: a list of its messages (the documents, numbered by ordinals), and two
 * zones: words of bodies, words of headers. A zone is a sorted dictionary in
 * blocks, and beside each block the postings of its tokens. The manifest row
 * names the segments that count and is written last; rows of others are
 * rubbish of a build that did not end, and are overwritten by the next.
 */
#ifndef STORE_INDEX_H
#define STORE_INDEX_H

#include "store/impl.h"
#include "store/text.h"

#define INDEX_VERSION 3
#define INDEX_BLOCK 56000u		/* bytes of a dictionary or postings row */
#define INDEX_DOCS_MAX 65536u		/* messages of one segment */
#define INDEX_SEGMENT_MAX (96u << 20)	/* bytes of one segment that is merged */
#define INDEX_BYTES_MAX (1024ull << 20) /* of one mailbox's index and kept texts */
#define INDEX_SEGMENTS_MAX 512u
#define INDEX_TEXT_MAX (1u << 20) /* decoded text of a message */
#define INDEX_TOKENS_MAX 20000u	  /* different tokens of a message */
#define INDEX_MEMORY (14u << 20)  /* of a segment that is being built */
#define INDEX_FANOUT 8u		  /* segments of a size that are merged */

/* ---- tokens (text_token.c) ----------------------------------------------- */

#define TOKEN_MAX 64u  /* bytes of a token; longer runs are cut into windows */
#define TOKEN_SPAN 32u /* any substring up to this lies in one window */
#define LOOKUPS_MAX 16u

/* Calls fn for each token of folded text; a run's tokens may repeat. */
typedef void token_fn(void *arg, struct slice token);
void tokens_of(struct slice folded, token_fn *fn, void *arg);

/* One thing to look for in a dictionary: a substring of tokens. */
struct lookup {
	struct slice s;
	bool starts; /* only at the start of a token */
	bool ends;   /* only at its end */
};
/*
 * What a folded needle needs: all lookups must hold. Returns how many (up to
 * LOOKUPS_MAX; what is left out only widens), 0: nothing to look for.
 * *exact_out: one lookup holds exactly if the needle is in the text.
 */
unsigned lookups_of(struct slice needle, struct lookup out[LOOKUPS_MAX], bool *exact_out);
/* Words of the needle for fuzzy search. */
unsigned words_of(struct slice needle, struct slice out[LOOKUPS_MAX]);
/* Is token the word, begins it with it, or is it nearly the word? */
bool token_near(struct slice token, struct slice word);

/* ---- rows (text_rows.c) --------------------------------------------------- */

/* As slice_find, from a place on, but good at short patterns in much text. */
size_t text_find(struct slice text, size_t from, struct slice pattern);

enum zone { ZONE_BODY, ZONE_HEADER, ZONES };
enum row_kind { ROW_DOCS = 0, ROW_DICT = 1, ROW_POSTINGS = 2 }; /* + 2 * zone */

struct segment {
	uint32_t id;
	uint32_t first, last; /* UIDs it speaks about, both included */
	uint32_t n_docs;
	uint32_t blocks[ZONES];
	uint64_t bytes; /* of its rows */
	uint64_t kept;	/* of the texts of its messages (kept.h) */
};
struct manifest {
	uint32_t next_id;
	struct segment *v; /* by first, ascending, not overlapping; malloc'ed */
	size_t n;
	bool wipe; /* what was there is no good: all rows go first */
};

struct row_key key_manifest(void);
struct row_key key_segment(uint32_t id);
struct row_key key_block(uint32_t id, unsigned kind, uint32_t block);

void manifest_free(struct manifest *mf);
uint64_t manifest_bytes(const struct manifest *mf);
void manifest_put(const struct manifest *mf, struct buf *out);
/* 0; -EIO damaged or of another version; -ENOMEM. */
int manifest_get(struct slice v, struct manifest *out);

/* A document: its UID; open: the index does not know all of its text. */
struct doc {
	uint32_t uid;
	bool open;
};
void docs_put(const struct doc *v, size_t n, struct buf *out);
/* n must be what the manifest says. 0 or -EIO. */
int docs_get(struct slice v, struct doc *out, size_t n);

/* Reads a dictionary row token by token. */
struct dict {
	struct slice text; /* NUL, token, NUL, token ... NUL */
	struct cur sizes;  /* of the postings not reached yet */
	uint32_t n;	   /* tokens */
	uint32_t at;	   /* the token of the moment */
	size_t pos;	   /* in text, of its first byte */
	size_t off, size;  /* of its postings */
};
/* At the first token. 0 or -EIO (sum, version, structure). */
int dict_open(struct slice row, struct dict *out);
/* To the token that has text position pos, which lies ahead or in it. -EIO */
int dict_seek(struct dict *d, size_t pos);
/* True while there is another. */
int dict_next(struct dict *d);
struct slice dict_token(const struct dict *d);
/* The payload of a postings row. 0 or -EIO. */
int postings_open(struct slice row, struct slice *out);
/* Ordinals from postings bytes: sets bits, those below n. 0 or -EIO. */
int postings_mark(struct slice p, uint64_t *bits, uint32_t n);
static inline void postings_add(struct buf *out, uint32_t *last, uint32_t ord)
{
	buf_varint(out, ord - *last); /* *last begins as UINT32_MAX */
	*last = ord;
}

/* Packs sorted tokens into rows of one zone, put into a batch. */
struct packer {
	struct kv_batch *batch;
	size_t batched; /* bytes in it */
	uint32_t id;
	enum zone zone;
	uint32_t blocks;
	uint64_t bytes; /* of all rows so far */
	struct buf text, sizes, postings, row;
	uint32_t n;
	int err;
};
void packer_init(struct packer *p, uint32_t id);
void packer_fini(struct packer *p);
void packer_add(struct packer *p, struct slice token, struct slice postings);
/* End of the zone; the next one begins. *blocks_out: its rows of each kind. */
void packer_end(struct packer *p, uint32_t *blocks_out);
void packer_docs(struct packer *p, const struct doc *v, size_t n);
/* Adds the version and the sum in front of a payload. */
void sealed_put(struct slice payload, struct buf *out);
/* The payload, or -EIO. */
int sealed_get(struct slice row, struct slice *out);

/* ---- building (text_build.c) ----------------------------------------------- */

struct build;
struct build *build_new(void);
void build_free(struct build **bp);
/* A new document; its ordinal is the count before. */
int build_doc(struct build *b, uint32_t uid);
size_t build_docs(const struct build *b);
size_t build_memory(const struct build *b);
/* Tokens of a text of the newest document. */
void build_text(struct build *b, enum zone zone, struct slice folded);
/* Marks the newest document as not known in full. */
void build_open(struct build *b);
/* The newest document's text so far. */
size_t build_text_size(const struct build *b);
const struct doc *build_list(const struct build *b);
int build_err(const struct build *b);
/* Sorts; no more texts. 0 or -ENOMEM. */
int build_sort(struct build *b);
/* Packs until the packer's batch has about `most` bytes. True: more to do. */
bool build_pack(struct build *b, struct packer *p, size_t most, uint32_t blocks[ZONES]);

/* ---- segments (text_segment.c) --------------------------------------------- */

/* Loads the manifest: an empty one if there is none or it is no good. */
CO_FN int index_load(struct store_mailbox *m, struct manifest *out, struct err *e);
/* A row into b (reset). 0, -ENOENT, <0. */
CO_FN int index_row(struct store_mailbox *m, struct row_key k, struct buf *b);
/* May rows be written (it is not being deleted)? */
bool index_writable(const struct store_mailbox *m);
/* Commits a batch of index rows. 0, STORE_GONE, STORE_FULL, <0. */
CO_FN int index_commit(struct store_mailbox *m, struct kv_batch *b, struct err *e);
/*
 * In place of segments [at, at + n) of the manifest comes s (NULL: nothing);
 * their rows go. Writes the manifest.
 */
CO_FN int index_replace(struct store_mailbox *m, struct manifest *mf, size_t at, size_t n,
			const struct segment *s, struct err *e);
CO_FN int index_docs(struct store_mailbox *m, const struct segment *s, struct doc **out);

/* As co_offload, patient with a full queue. */
CO_FN int index_offload(int (*fn)(void *arg), void *arg);
/* The packer's first batch; each next one, after committing the one before. */
CO_FN int index_begin(struct store_mailbox *m, const struct manifest *mf, struct packer *p);
CO_FN int index_flush(struct store_mailbox *m, struct packer *p, struct err *e);
/* Writes what was built as a segment over [first, last]; kept: the bytes of their
 * texts. */
CO_FN int segment_write(struct store_mailbox *m, struct manifest *mf, struct build *b,
			uint32_t first, uint32_t last, uint64_t kept, struct err *e);
/* Merges segments [at, at + n), dropping what is gone. (text_merge.c) */
CO_FN int segment_merge(struct store_mailbox *m, struct manifest *mf, size_t at, size_t n,
			struct err *e);

/* ---- upkeep (text_index.c) -------------------------------------------------- */

enum index_pace {
	INDEX_AT_ONCE,
	INDEX_GENTLY,	 /* half of the time at most */
	INDEX_BUILD_ONLY /* at once, and merge nothing */
};
/* One step of work: 1 did something, 0 nothing to do, else as index_commit. */
CO_FN int index_step(struct store_mailbox *m, enum index_pace pace, int64_t deadline,
		     struct err *e);
/* For a search: indexes what is missing if it is much, for a bounded time. */
CO_FN int index_on_demand(struct store_mailbox *m, struct err *e);
/* Makes the summary pages that are missing (summary.c). */
CO_FN int summaries_fill(struct store_mailbox *m, struct err *e);
/* Living messages that no segment speaks about. */
size_t index_missing(const struct store_mailbox *m, const struct manifest *mf);

#endif
