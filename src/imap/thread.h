/*
 * thread: the algorithms of THREAD (RFC 5256 3): ORDEREDSUBJECT and
 * REFERENCES, over facts about messages. Pure functions without recursion,
 * whatever the depth of a thread; they may run in the pool.
 */
#ifndef IMAP_THREAD_H
#define IMAP_THREAD_H

#include "base/buf.h"
#include "base/slice.h"

#define THREAD_REFS_MAX 500u /* references of one message, the last ones */
#define THREAD_NODES_MAX (4u * 1000 * 1000)
/* Steps upwards, looking for loops, before it is too much: only threads that
 * somebody built for it take so many. */
#define THREAD_STEPS_MAX (200u * 1000 * 1000)

/* A message id or a subject: two hashes, one of them seeded, for equality. */
struct thread_id {
	uint64_t a;
	uint64_t b;
};
struct thread_id thread_id_of(struct slice text);

struct thread_msg {	 /* in the order of the mailbox */
	uint32_t number; /* what is answered */
	uint32_t n_refs;
	int64_t date; /* the sent date of RFC 5256 2.2 */
	struct thread_id id;
	struct thread_id subject; /* of the base subject, folded */
	const struct thread_id *refs;
	bool has_id;
	bool has_subject; /* it is not empty */
	bool is_reply;
};

/* " (1)(2 3)" of the response, or nothing, into out. 0, -ENOMEM, -EMSGSIZE. */
int thread_orderedsubject(const struct thread_msg *v, size_t n, struct buf *out);
int thread_references(const struct thread_msg *v, size_t n, struct buf *out);

#endif
