/*
 * cmd_sort: SORT and UID SORT (RFC 5256, RFC 5267 3, RFC 5957).
 *
 * A search, then a key for each message found (sort.h), made from summaries
 * in batches. Memory: 28 bytes a message and its key, which is as long as the
 * texts sorted by, 512 bytes each at most; SORT_MEMORY_MAX in all. Sorting
 * itself runs in the pool.
 */
#include "imap/find_sort.h"

#include <stdlib.h>

#include "base/err.h"
#include "imap/parse.h"
#include "store/text.h"

#define SORT_BATCH 256
#define SORT_INLINE_MAX 1000u /* fewer are sorted here and now */

/* ---- keys ---------------------------------------------------------------------- */

static void facts_of(const struct find_sorter *o, size_t i, struct sort_facts *out)
{
	struct store_msg m;

	*out = (struct sort_facts){ .score = o->run->v[i].score };
	/* What was expunged since keeps its facts (store.h). */
	store_view_msg(o->run->view, o->run->v[i].seq, &m);
	out->arrival = m.internal_date;
	out->sent = m.internal_date;
	out->size = m.size;
}

static int add_row(struct find_sorter *o, size_t i, const struct sort_facts *f)
{
	struct slice key;

	buf_reset(&o->key);
	sort_key(o->spec, f, &o->key);
	key = arena_dup(&o->keys, buf_slice(&o->key));
	if (o->key.err || arena_err(&o->keys)) {
		return -ENOMEM;
	}
	o->rows[i] = (struct sort_row){ key.p, (uint32_t)key.n, (uint32_t)i };
	return 0;
}

/* A store_summary_fn. */
static int take_summary(void *arg, const struct store_summary *s)
{
	struct find_sorter *o = arg;
	struct sort_facts f;

	while (o->at < o->end && o->run->v[o->at].uid < s->uid) {
		o->at++;
	}
	if (o->at == o->end || o->run->v[o->at].uid != s->uid) {
		return 0;
	}
	facts_of(o, o->at, &f);
	f.sent = s->sent == INT64_MIN ? f.sent : s->sent;
	f.cc = s->sort_cc;
	f.from = s->sort_from;
	f.to = s->sort_to;
	f.subject = s->base_subject;
	f.display_from = s->display_from;
	f.display_to = s->display_to;
	return add_row(o, o->at, &f);
}

/* Keys of results [o->at, o->end). */
CO_FN static int batch(struct find_sorter *o)
{
	uint32_t uids[SORT_BATCH];
	struct err e = ERR_INIT;
	size_t from = o->at;
	int r = 0;

	for (size_t i = from; i < o->end; i++) {
		uids[i - from] = o->run->v[i].uid;
	}
	if (o->spec->by_summary) {
		r = store_summaries(o->run->mbox, uids, o->end - from, take_summary, o, &e);
	}
	if (r == -ENOMEM || r == -ECANCELED) {
		return r;
	}
	o->run->failed = o->run->failed || r != 0;
	for (size_t i = from; i < o->end; i++) {
		struct sort_facts f;
		if (o->rows[i].key) {
			continue;
		}
		facts_of(o, i, &f);
		r = add_row(o, i, &f);
		if (r < 0) {
			return r;
		}
	}
	return co_breathe();
}

/* ---- sorting ------------------------------------------------------------------- */

static int sort_job(void *arg)
{
	struct find_sorter *o = arg;

	sort_rows(o->rows, o->run->n);
	return 0;
}

/* Puts the results into the order of the rows. */
static int reorder(struct find_sorter *o)
{
	struct search_found *v = reallocarray(NULL, o->run->n + 1, sizeof(*v));

	if (!v) {
		return -ENOMEM;
	}
	for (size_t i = 0; i < o->run->n; i++) {
		v[i] = o->run->v[o->rows[i].at];
	}
	free(o->run->v);
	o->run->v = v;
	o->run->cap = o->run->n + 1;
	return 0;
}

void find_sorter_fini(struct find_sorter *o)
{
	arena_fini(&o->keys);
	buf_fini(&o->key);
	free(o->rows);
	o->rows = NULL;
}

CO_FN int find_sort(struct search_run *run, const struct sort_spec *spec, struct find_sorter *o)
{
	int r = 0;

	*o = (struct find_sorter){ .run = run, .spec = spec };
	arena_init(&o->keys, SORT_MEMORY_MAX);
	buf_init(&o->key, SORT_CRITERIA_MAX * (SORT_TEXT_MAX * 8 + 16));
	o->rows = calloc(run->n + 1, sizeof(o->rows[0]));
	if (!o->rows) {
		return -ENOMEM;
	}
	for (size_t i = 0; r == 0 && i < run->n; i += SORT_BATCH) {
		o->at = i;
		o->end = MIN(i + SORT_BATCH, run->n);
		r = batch(o);
	}
	if (r == 0 && run->n > SORT_INLINE_MAX) {
		r = co_offload(sort_job, o);
		if (r == -EAGAIN) {
			r = sort_job(o);
		}
	} else if (r == 0) {
		sort_job(o);
	}
	return r == 0 ? reorder(o) : r;
}

/* ---- the command ----------------------------------------------------------------- */

/* SP sort-criteria. False with the reply set. */
static bool criteria(struct find *f, struct sort_spec *spec)
{
	cur_sp(&f->cmd->c);
	sort_parse(&f->cmd->c, spec);
	if (f->cmd->c.err) {
		imap_syntax(f->cmd);
	}
	return f->cmd->c.err == 0;
}

CO_FN static bool sorted(struct find *f, const struct sort_spec *spec, struct find_sorter *o)
{
	int r = find_sort(&f->run, spec, o);

	if (r == 0) {
		return true;
	}
	find_failed(f);
	if (arena_err(&o->keys)) {
		imap_no(f->cmd, "[LIMIT] Too many messages to sort");
	} else {
		imap_store_no(f->cmd, r, NULL);
	}
	return false;
}

/* sort = "SORT" [search-return-opts] SP sort-criteria SP search-criteria */
CO_FN int imap_cmd_sort(void *session, void *command)
{
	struct imap *s = session;
	struct imap_cmd *cmd = command;
	struct sort_spec spec;
	struct find_sorter o = { 0 };
	struct find f;

	find_init(&f, cmd);
	f.sorted = true;
	if (find_return(&f) && criteria(&f, &spec) &&
	    find_keys(&f, true, imap_view_star(s, false), imap_view_star(s, true))) {
		if (spec.by_relevancy && !f.prog.fuzzy) {
			imap_bad(cmd, "RELEVANCY needs a FUZZY key");
		} else if (find_run(&f) && sorted(&f, &spec, &o)) {
			if (f.ret.given) {
				esearch_write(&f, cmd->uid, NULL, 0);
			} else {
				esearch_write_plain(&f, S("SORT"));
			}
			find_done(&f, &o, "Sorted");
		}
	}
	find_sorter_fini(&o);
	find_fini(&f);
	return 0;
}
