/*
 * octets: the octets of a section of any message, as they are stored or with
 * the Content-Transfer-Encoding undone, handed to a function piece by piece
 * in constant memory. For BINARY (RFC 3516), CATENATE (RFC 4469) and URLFETCH
 * (RFC 4467); FETCH BODY has its own, simpler way (body.c).
 */
#ifndef IMAP_OCTETS_H
#define IMAP_OCTETS_H

#include "base/codec.h"
#include "imap/body.h"

enum octets_result {
	OCTETS_OK = 0,
	OCTETS_NONE = 1,       /* there is no such part */
	OCTETS_UNKNOWN_CTE = 2 /* and we cannot decode it */
			       /* -ENOENT: the message is gone; -errno */
};

struct octets {
	struct store_mailbox *mbox; /* the caller's, stays open */
	uint32_t uid;
	struct body_range range;
	enum codec_kind codec;
	bool held; /* it was put together in `text` */
	struct buf text;
};

/* Takes the next piece; not empty, gone after the call. May suspend. Non-zero
 * stops, and is what octets_run returns. */
typedef int octets_fn(void *arg, struct slice s);

/* tree: NULL if the section needs none. enum octets_result. */
CO_FN int octets_open(struct octets *o, struct store_mailbox *m, uint32_t uid, uint64_t size,
		      const struct mime_tree *tree, const struct section *sec, bool decode);
void octets_close(struct octets *o);
/* Octets off..off+count-1 (as far as there are) of what comes out. chunk:
 * IMAP_CHUNK bytes of scratch. 0, what fn returned, <0. */
CO_FN int octets_run(struct octets *o, uint64_t off, uint64_t count, char *chunk, octets_fn *fn,
		     void *arg);
/* How many octets that is, and is a NUL among them? nul_out NULL: the number
 * only, which takes no reading where nothing is decoded. 0, <0. */
CO_FN int octets_measure(struct octets *o, uint64_t off, uint64_t count, char *chunk,
			 uint64_t *n_out, bool *nul_out);

#endif
