/*
 * kept: the text of messages as it is searched, kept beside the index, so that
 * what the index only takes for possible (a phrase, a field) is decided without
 * opening messages. docs/format.md describes the rows, docs/adr/0060 why they
 * are so. Shared by text*.c; not for others.
 *
 * Texts stand in pages of 16 UIDs, compressed. Rows are derived data and written
 * like those of the index: by its one writer, outside the mailbox's pipe. A
 * message's text never changes, so a page may say more than it must; what it
 * does not have is looked at in the message.
 */
#ifndef STORE_KEPT_H
#define STORE_KEPT_H

#include "mime/header.h"
#include "store/index.h"

#define KEPT_MAX (128u << 10) /* bytes of text of a message; without, if longer */
#define KEPT_PAGE_MAX (KEPT_UIDS * (KEPT_MAX + 16))

/* ---- pages (text_page.c) --------------------------------------------------- */

/*
 * One message's text. ZONE_BODY: what SEARCH BODY looks in, ZONE_HEADER: the
 * fields of its header; behind each piece, across which no needle may go,
 * stands a byte 0xff.
 */
struct kept_doc {
	struct slice text[ZONES];
	unsigned have; /* bit 1 << zone */
};
#define KEPT_BOTH ((1u << ZONE_BODY) | (1u << ZONE_HEADER))

/* A row, taken apart. */
struct kept_page {
	uint32_t page;
	bool loaded;
	struct kept_doc doc[KEPT_UIDS]; /* by UID modulo KEPT_UIDS; in raw */
	struct buf row, raw[ZONES];
	void *zstd; /* a ZSTD_DCtx, made when first used */
};
void kept_init(struct kept_page *p);
void kept_fini(struct kept_page *p);
struct row_key kept_key(uint32_t page);
/* Takes p->row apart, of it the zones with a bit. 0; -EIO (then it has no text),
 * -ENOMEM. */
int kept_parse(struct kept_page *p, uint32_t page, unsigned zones);
/* The row of those texts that have both zones, with version and sum. zstd: a
 * ZSTD_CCtx. */
int kept_row(const struct kept_doc doc[KEPT_UIDS], void *zstd, struct buf *scratch,
	     struct buf *row);
/* There is no row: no texts. */
void kept_none(struct kept_page *p, uint32_t page);
/* How many texts a row says it has; unchecked, 0 if that cannot be read. */
unsigned kept_count(struct slice row);
/* The zones a query looks in. */
unsigned kept_zones(const struct store_text_query *q);
/* Does the message, which has those, match (q->fuzzy does not count)? */
bool kept_match(const struct kept_doc *d, const struct store_text_query *q);

/*
 * Adds a field to a kept header, and 0xff: its text (mime_header_text of all of
 * it). Where name and body, as HEADER looks at them, cannot be read from that,
 * they stand behind it. scratch is overwritten. False: it cannot be kept.
 */
bool kept_field(const struct mime_field *f, struct slice text, struct buf *scratch,
		struct buf *header);

/* ---- gathering (text_keep.c) ------------------------------------------------ */

/*
 * Texts of the messages of one build, on their way into pages. The functions of
 * the first group run in a worker; messages come in order of their UIDs.
 */
struct keeper;
struct keeper *keeper_new(void);
void keeper_free(struct keeper **kp);
/* The next message; what follows is its text. */
void keeper_doc(struct keeper *k, uint32_t uid);
void keeper_body(struct keeper *k, struct slice text);
void keeper_field(struct keeper *k, const struct mime_field *f, struct slice text);
/* The message is too much, or damaged: its text is not kept. */
void keeper_skip(struct keeper *k);

/* On the loop: before the first message of a build, whose UID is given. */
CO_FN int keeper_begin(struct keeper *k, struct store_mailbox *m, uint32_t first);
/* Commits the pages that are complete, if they are enough for a commit. */
CO_FN int keeper_flush(struct keeper *k, struct store_mailbox *m, struct err *e);
/* All of them. *bytes_out: how much more is kept now. */
CO_FN int keeper_end(struct keeper *k, struct store_mailbox *m, uint64_t *bytes_out, struct err *e);

/*
 * Drops what is gone from the pages of UIDs [first, last]: pages without a
 * living message, and of those the texts that are mostly gone. *bytes_out: what
 * is left. 0, STORE_GONE, STORE_FULL, <0.
 */
CO_FN int kept_sweep(struct store_mailbox *m, uint32_t first, uint32_t last, uint64_t *bytes_out,
		     struct err *e);
/* Pages of segment `at` that no other segment has part in go, with the batch. */
void kept_forget(const struct manifest *mf, size_t at, struct kv_batch *b);

/* ---- verifying ---------------------------------------------------------------- */

/* Loads the page of uid if it is not the one at hand, always with the same zones.
 * 0: p->doc may have its text; -EIO (damaged), -ENOMEM, -ECANCELED. */
CO_FN int kept_load(struct kept_page *p, struct store_mailbox *m, uint32_t uid, unsigned zones);

#endif
