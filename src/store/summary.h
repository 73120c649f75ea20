/*
 * summary: what summary.c, summary_make.c, summary_rows.c and their tests
 * share; not for others.
 */
#ifndef STORE_SUMMARY_H
#define STORE_SUMMARY_H

#include "mime/mime.h"
#include "store/impl.h"
#include "store/text.h"

/* Decoding may make three bytes of one, folding twelve of those. */
#define SUMMARY_TEXT_MAX (MIME_HEADER_MAX * 40)
#define SUMMARY_ARENA_MAX (SUMMARY_TEXT_MAX * 4)
#define SUMMARY_ENTRY_MAX 8192u /* bytes kept; of a longer one only that it is */
#define SUMMARY_PAGE_MAX (PAGE_UIDS * (SUMMARY_ENTRY_MAX + 16))
#define SUMMARY_ROW 56000u /* bytes after which a page's next row begins */

/*
 * The summary of a message whose header this is (with or without the empty
 * line). Strings are in the arena. 0, -ENOMEM or -EMSGSIZE.
 */
int summary_make(struct slice header, uint32_t uid, const unsigned char guid[16], struct arena *a,
		 struct store_summary *out);
/* Sets s->thread from what is there. */
void summary_thread(struct store_summary *s, const unsigned char guid[16]);

/* ---- rows (summary_rows.c) ------------------------------------------------ */

/* Entries of one page of UIDs, encoded. */
struct summary_page {
	uint32_t page;
	struct buf bytes;
	size_t off[PAGE_UIDS], len[PAGE_UIDS]; /* in bytes; length 0: none */
};
void summary_page_init(struct summary_page *p);
void summary_page_fini(struct summary_page *p);
void summary_page_reset(struct summary_page *p, uint32_t page);
struct row_key summary_key(uint32_t page, unsigned part);
/* Adds what a row holds (of a page's parts, the first says how many there
 * are). Damaged ones add nothing. *parts_out may be NULL. */
void summary_page_add(struct summary_page *p, struct slice row, unsigned *parts_out);
/* Adds an entry. 0 or -ENOMEM. */
int summary_page_put(struct summary_page *p, const struct store_summary *s);
bool summary_page_has(const struct summary_page *p, uint32_t uid);
/* Slices point into the page. False: it is too long to be kept (or damaged):
 * the message must be opened. thread is not set. */
bool summary_page_get(const struct summary_page *p, uint32_t uid, struct store_summary *out);
/* Rows with those entries that `keep` (bit i: UID page * 128 + i) names. */
void summary_page_rows(const struct summary_page *p, const bool keep[PAGE_UIDS], struct kv_batch *b,
		       size_t *bytes_out);

#endif
