/*
 * Decision records of SMTP (trace/trace.h): one for each transaction that had
 * a MAIL, one for a MAIL that was refused, one for a session that was cut
 * without either. The calls stand where things happen; none may suspend, and
 * all do nothing where there is no trace.
 */
#ifndef SMTP_RECORD_H
#define SMTP_RECORD_H

#include "smtp/internal.h"

#define SMTP_RECORDS_MAX 200 /* of one session */

/* session.c: a reply was given. Remembers it, and notes the limit it speaks of. */
void smtp_record_said(struct smtp_session *s, const char *line);
/* session.c: a command has run. Notes RCPT and its reply, or a refused MAIL. */
void smtp_record_command(struct smtp_session *s, const struct smtp_cmd *cmd);
/* session.c: the session is over. Notes that it was cut, unless a transaction
 * said so. */
void smtp_record_session(struct smtp_session *s);
/* The id of the transaction, or of the record that is made next. */
void smtp_record_id(const struct smtp_session *s, char id[SMTP_ID_MAX]);
/* mail.c: s->tx begins: gives it its id. */
void smtp_record_begin(struct smtp_session *s);
/* The message, as far as it has come. */
void smtp_record_message(struct smtp_session *s, const struct smtp_header *head, uint64_t size);
/* What is said next to s->tx (if there is one) is the decision about it. */
void smtp_record_decision(struct smtp_session *s);
/* deliver.c: what stands in front of the message, where submission may have
 * put the Message-ID. */
void smtp_record_front(struct smtp_session *s, struct slice front);
/* deliver.c: what the checks found (verify.h). */
struct verdict;
void smtp_record_verdict(struct smtp_session *s, const struct verdict *v);
/* session.c: LMTP's answer to one recipient was given. */
void smtp_record_answer(struct smtp_session *s, const struct smtp_rcpt *r);
/* smtp_reset: s->tx (if there is one) ends, by whatever was said last. */
void smtp_record_end(struct smtp_session *s);

#endif
