/*
 * intake: a message on its way in, whether by DATA or by BDAT, until it is
 * complete in the spool; what must be known of its header and its lines is
 * seen on the way. Then smtp_intake_finish judges it and has it delivered.
 */
#ifndef SMTP_INTAKE_H
#define SMTP_INTAKE_H

#include "io/dot.h"
#include "io/spool.h"
#include "smtp/internal.h"

/* How much more than the limit is read and dropped before we hang up. */
#define SMTP_DRAIN_FACTOR 2
#define SMTP_DRAIN_MIN (16u * 1024 * 1024)
/* Slower than this, over the whole message, is too slow (THREATS RS-01). */
#define SMTP_BYTES_PER_SEC_MIN 500

struct smtp_intake {
	struct smtp_header head;
	struct spool *spool;
	struct buf piece; /* octets not yet in the spool */
	char *chunk;	  /* SMTP_CHUNK, for reading */
	uint64_t size;	  /* octets of the message so far */
	uint64_t max;
	unsigned flags; /* enum dot_flags of the whole */
	bool binary;	/* any octets may be in it */
	bool cr;	/* BDAT: the last octet was a CR */
	int spool_err;
	struct err err;
};

/* NULL: no memory. */
struct smtp_intake *smtp_intake_new(struct smtp_session *s);
void smtp_intake_free(struct smtp_intake **ip);
/* How much is read at all before the connection ends. */
uint64_t smtp_drain_max(const struct smtp_session *s);

/* Octets of the message; the header and the size are followed, and what is
 * above the limit is dropped. */
CO_FN void smtp_intake_add(struct smtp_intake *in, struct slice data);
/* For octets that no dot decoder has looked at: bare CR, bare LF and NUL. */
void smtp_intake_look(struct smtp_intake *in, struct slice data);
/* What is wrong with the message so far, as a reply; NULL: nothing. */
const char *smtp_intake_judge(const struct smtp_intake *in);
/* The message will not be taken: says so in the log. */
CO_FN void smtp_log_refused(struct smtp_session *s, const struct smtp_intake *in,
			    const char *reply);
/*
 * The message has come to its end: judges it, delivers it, answers. The
 * transaction is the caller's to end.
 */
CO_FN void smtp_intake_finish(struct smtp_session *s, struct smtp_intake *in);
/* Its octets ended before it did, with an errno (or -EMSGSIZE: far too long):
 * the session ends, with a word where the peer may still listen. */
CO_FN void smtp_broken_off(struct smtp_session *s, uint64_t size, int r);

#endif
