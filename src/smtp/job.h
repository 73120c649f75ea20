/*
 * One message on its way from the spool to the store: what prepare.c makes of
 * it, and deliver.c hands over.
 */
#ifndef SMTP_JOB_H
#define SMTP_JOB_H

#include "smtp/intake.h"
#include "smtp/verify.h"

#define SMTP_NO_ROOM "452 4.3.1 no room for mail now, try again later"
#define SMTP_NOT_NOW "451 4.3.0 cannot take mail now, try again later"

struct smtp_job {
	struct smtp_session *s;
	struct spool *spool;	 /* the message as it is to be stored */
	struct spool *converted; /* the same, where it is ours; or NULL */
	struct smtp_header head; /* of what is in spool */
	uint64_t body;		 /* offset of what follows the header in front */
	struct buf front;	 /* trace fields and, where it is changed, the header */
	struct buf findings;	 /* Authentication-Results, or empty */
	bool junk;
	char reply[VERIFY_REPLY_MAX];
	char id[SMTP_ID_MAX];
	struct store_writer *writer;
	struct err err;
};

/*
 * Makes the message fit to be kept: binary parts converted, a stranger's
 * verified, a user's completed, forged fields taken out, trace fields in
 * front. NULL, or the reply (which may be j->reply).
 */
CO_FN const char *smtp_prepare(struct smtp_job *j, const struct smtp_intake *in);

#endif
