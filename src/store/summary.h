/*
 * summary: what summary.c, summary_make.c and their tests share; not for
 * others.
 */
#ifndef STORE_SUMMARY_H
#define STORE_SUMMARY_H

#include "mime/mime.h"
#include "store/impl.h"
#include "store/text.h"

/* Decoding may make three bytes of one, folding twelve of those. */
#define SUMMARY_TEXT_MAX (MIME_HEADER_MAX * 40)
#define SUMMARY_ARENA_MAX (SUMMARY_TEXT_MAX * 4)

/*
 * The summary of a message whose header this is (with or without the empty
 * line). Strings are in the arena. 0, -ENOMEM or -EMSGSIZE.
 */
int summary_make(struct slice header, uint32_t uid, const unsigned char guid[16], struct arena *a,
		 struct store_summary *out);
/* Sets s->thread from what is there. */
void summary_thread(struct store_summary *s, const unsigned char guid[16]);

#endif
