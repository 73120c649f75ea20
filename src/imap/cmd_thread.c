/*
 * cmd_thread: THREAD and UID THREAD (RFC 5256).
 *
 * A search, then facts about each message found (thread.h), from summaries in
 * batches; the algorithm runs in the pool. Memory: about 200 bytes a message
 * and 60 for each id it refers to, THREAD_MEMORY_MAX of facts in all.
 */
#include <stdlib.h>

#include "base/err.h"
#include "imap/find.h"
#include "imap/parse.h"
#include "imap/thread.h"
#include "store/text.h"

#define THREAD_BATCH 256
#define THREAD_INLINE_MAX 1000u /* fewer are threaded here and now */
#define THREAD_MEMORY_MAX (128u * 1024 * 1024)
#define THREAD_TEXT_MAX (64u * 1024 * 1024) /* of the response */

typedef int thread_fn(const struct thread_msg *v, size_t n, struct buf *out);

struct threader {
	struct find *f;
	thread_fn *fn;
	struct thread_msg *v;
	struct arena facts;
	struct buf out;
	size_t at;
	size_t end;
};

/* ---- facts --------------------------------------------------------------------- */

/* The ids of the References; the last THREAD_REFS_MAX, if there are more. */
static void put_refs(struct threader *t, struct slice refs, struct thread_msg *m)
{
	struct thread_id *ids;
	size_t n = refs.n > 0;

	for (size_t i = 0; i < refs.n; i++) {
		n += refs.p[i] == ' ';
	}
	ids = arena_array(&t->facts, MIN(n, THREAD_REFS_MAX), sizeof(ids[0]));
	for (; ids && n > 0; n--) {
		struct slice id = slice_split(&refs, ' ');
		if (n <= THREAD_REFS_MAX && id.n > 0) {
			ids[m->n_refs++] = thread_id_of(id);
		}
	}
	m->refs = ids;
}

/* A store_summary_fn. */
static int take_summary(void *arg, const struct store_summary *s)
{
	struct threader *t = arg;
	struct thread_msg *m;

	while (t->at < t->end && t->f->run.v[t->at].uid < s->uid) {
		t->at++;
	}
	if (t->at == t->end || t->f->run.v[t->at].uid != s->uid) {
		return 0;
	}
	m = &t->v[t->at];
	m->date = s->sent == INT64_MIN ? m->date : s->sent;
	m->subject = thread_id_of(s->base_subject);
	m->has_subject = s->base_subject.n > 0;
	m->is_reply = s->is_reply;
	m->has_id = s->message_id.n > 0;
	m->id = thread_id_of(s->message_id);
	put_refs(t, s->references, m);
	return arena_err(&t->facts) ? -ENOMEM : 0;
}

/* Facts of results [t->at, t->end). */
CO_FN static int batch(struct threader *t)
{
	struct search_run *run = &t->f->run;
	uint32_t uids[THREAD_BATCH];
	struct err e = ERR_INIT;
	size_t from = t->at;
	int r;

	for (size_t i = from; i < t->end; i++) {
		struct store_msg msg;
		store_view_msg(run->view, run->v[i].seq, &msg);
		uids[i - from] = run->v[i].uid;
		t->v[i].number = t->f->cmd->uid ? run->v[i].uid : run->v[i].seq;
		t->v[i].date = msg.internal_date;
		t->v[i].subject = thread_id_of(S(""));
	}
	r = store_summaries(run->mbox, uids, t->end - from, take_summary, t, &e);
	if (r == -ENOMEM || r == -ECANCELED) {
		return r;
	}
	run->failed = run->failed || r != 0;
	return co_breathe();
}

/* ---- the command ----------------------------------------------------------------- */

static int thread_job(void *arg)
{
	struct threader *t = arg;

	return t->fn(t->v, t->f->run.n, &t->out);
}

CO_FN static int thread_all(struct threader *t)
{
	size_t n = t->f->run.n;
	int r = 0;

	arena_init(&t->facts, THREAD_MEMORY_MAX);
	buf_init(&t->out, THREAD_TEXT_MAX);
	t->v = calloc(n + 1, sizeof(t->v[0]));
	if (!t->v) {
		return -ENOMEM;
	}
	for (size_t i = 0; r == 0 && i < n; i += THREAD_BATCH) {
		t->at = i;
		t->end = MIN(i + THREAD_BATCH, n);
		r = batch(t);
	}
	if (r < 0) {
		return arena_err(&t->facts) ? -EMSGSIZE : r;
	}
	r = n > THREAD_INLINE_MAX ? co_offload(thread_job, t) : thread_job(t);
	return r == -EAGAIN ? thread_job(t) : r;
}

CO_FN static void answer(struct threader *t)
{
	struct conn *c = imap_conn(t->f->cmd->s);
	int r = thread_all(t);

	if (r == -EMSGSIZE) {
		imap_no(t->f->cmd, "[LIMIT] Too many messages to thread");
	} else if (r < 0) {
		imap_store_no(t->f->cmd, r, NULL);
	} else {
		struct slice rest = buf_slice(&t->out);
		conn_write(c, S("* THREAD"));
		while (rest.n > 0) {
			conn_write(c, slice_sub(rest, 0, IMAP_CHUNK));
			rest = slice_from(rest, IMAP_CHUNK);
		}
		conn_write(c, S("\r\n"));
		find_done(t->f, NULL, "Threaded");
	}
	arena_fini(&t->facts);
	buf_fini(&t->out);
	free(t->v);
}

/* thread-alg = "ORDEREDSUBJECT" / "REFERENCES" / thread-alg-ext. NULL with the
 * reply set. */
static thread_fn *algorithm(struct imap_cmd *cmd)
{
	struct slice name;

	cur_sp(&cmd->c);
	name = imap_parse_atom(&cmd->c);
	if (cmd->c.err) {
		imap_syntax(cmd);
	} else if (slice_ieq(name, S("REFERENCES"))) {
		return thread_references;
	} else if (slice_ieq(name, S("ORDEREDSUBJECT"))) {
		return thread_orderedsubject;
	} else {
		imap_bad(cmd, "Unknown threading algorithm");
	}
	return NULL;
}

/* thread = "THREAD" SP thread-alg SP search-criteria */
CO_FN int imap_cmd_thread(void *session, void *command)
{
	struct imap *s = session;
	struct imap_cmd *cmd = command;
	struct find f;
	struct threader t = { .f = &f };

	find_init(&f, cmd);
	t.fn = algorithm(cmd);
	if (t.fn && find_keys(&f, true, imap_view_star(s, false), imap_view_star(s, true)) &&
	    find_run(&f)) {
		answer(&t);
	}
	find_fini(&f);
	return 0;
}
