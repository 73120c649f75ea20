/*
 * Summaries of messages (text.h): from the rows of their page where they have
 * been kept, else from the message.
 *
 * Pages of UIDs are those of the mailbox's own rows. A page's rows are written
 * when enough of its messages had to be opened, by whoever opened them: a
 * search, or the indexer. They are derived data: written outside the
 * mailbox's pipe, without its lock, and a writer who loses against another
 * loses nothing but work.
 */
#include "store/summary.h"

#include <stdlib.h>

#include "store/index.h"

#define OPENED_MANY 24u		/* of a page: worth writing it */
#define COMMIT_BYTES (1u << 20) /* rows of one commit */

struct reader {
	struct store_mailbox *m;
	struct arena arena;
	struct buf header, row;
	struct summary_page page;
	bool have_page;
	unsigned opened; /* messages of this page */
	unsigned write_at;
	struct kv_batch *batch; /* pages to be written */
	size_t batched;
	bool no_writes;
	struct err *e;
};

static void reader_init(struct reader *r, struct store_mailbox *m, unsigned write_at, struct err *e)
{
	*r = (struct reader){ .m = m, .e = e, .write_at = write_at };
	arena_init(&r->arena, SUMMARY_ARENA_MAX);
	buf_init(&r->header, MIME_HEADER_MAX);
	buf_init(&r->row, KV_VALUE_MAX);
	summary_page_init(&r->page);
}

static void reader_fini(struct reader *r)
{
	kv_batch_free(&r->batch);
	summary_page_fini(&r->page);
	buf_fini(&r->header);
	buf_fini(&r->row);
	arena_fini(&r->arena);
}

/* ---- from the message -------------------------------------------------------- */

/* The top header as far as anybody looks at headers. */
CO_FN static int read_header(struct reader *r, uint32_t uid, uint64_t len)
{
	len = MIN(len, MIME_HEADER_MAX);
	buf_reset(&r->header);
	while (r->header.n < len) {
		size_t want = len - r->header.n;
		char *p = buf_reserve(&r->header, want);
		ssize_t n = p ? store_read(r->m, uid, r->header.n, p, want, r->e) : -ENOMEM;

		if (n <= 0) {
			return n ? (int)n : -EIO;
		}
		buf_commit(&r->header, (size_t)n);
	}
	return 0;
}

/* 0, -ENOENT, -EIO, ... */
CO_FN static int open_message(struct reader *r, uint32_t uid, struct store_summary *out)
{
	struct mime_tree tree;
	int x = store_tree(r->m, uid, &r->arena, &tree, r->e);

	if (x == 0) {
		x = read_header(r, uid, tree.root->header_len);
	}
	const struct msg *msg = x == 0 ? box_find(r->m, uid) : NULL;

	if (x == 0 && !msg) {
		x = -ENOENT;
	}
	return x ? x : summary_make(buf_slice(&r->header), uid, msg->blob.b, &r->arena, out);
}

/* ---- pages ------------------------------------------------------------------- */

/* Writes what has gathered. A failure (a full disk) only ends the writing. */
CO_FN static void flush(struct reader *r)
{
	if (r->batch && !r->no_writes && index_commit(r->m, r->batch, NULL)) {
		r->no_writes = true;
	}
	kv_batch_free(&r->batch);
	r->batched = 0;
}

/* The page goes into the batch, with those that live. */
CO_FN static void leave_page(struct reader *r)
{
	bool keep[PAGE_UIDS] = { false }, have = r->have_page;
	const struct store_mailbox *m = r->m;
	uint32_t first = r->page.page * PAGE_UIDS;

	r->have_page = false;
	if (!have || r->opened < r->write_at || r->no_writes || r->page.bytes.err) {
		return;
	}
	for (size_t i = box_lower(m, first); i < m->n && m->v[i].uid / PAGE_UIDS == r->page.page;
	     i++) {
		keep[m->v[i].uid - first] = m->v[i].gone_at == 0;
	}
	if (!r->batch) {
		r->batch = kv_batch_new(part_mailbox(m->a->id, m->id));
	}
	if (r->batch) {
		summary_page_rows(&r->page, keep, r->batch, &r->batched);
	}
	if (r->batched >= COMMIT_BYTES) {
		flush(r);
	}
}

CO_FN static int load_page(struct reader *r, uint32_t page)
{
	unsigned parts = 1;

	summary_page_reset(&r->page, page);
	r->have_page = true;
	r->opened = 0;
	for (unsigned i = 0; i < parts; i++) {
		int x = index_row(r->m, summary_key(page, i), &r->row);

		if (x < 0 && x != -ENOENT) {
			return x;
		}
		if (x == 0) {
			summary_page_add(&r->page, buf_slice(&r->row), i ? NULL : &parts);
		}
	}
	return 0;
}

/* ---- one after the other ------------------------------------------------------- */

CO_FN static int summary_of(struct reader *r, uint32_t uid, struct store_summary *out)
{
	int x = 0;

	if (!r->have_page || r->page.page != uid / PAGE_UIDS) {
		leave_page(r);
		x = load_page(r, uid / PAGE_UIDS);
	}
	const struct msg *msg = box_find(r->m, uid);

	if (x || !msg) {
		return x ? x : -ENOENT;
	}
	bool had = summary_page_has(&r->page, uid);

	if (had && summary_page_get(&r->page, uid, out)) {
		summary_thread(out, msg->blob.b);
		return 0;
	}
	x = open_message(r, uid, out);
	if (x == 0 && !had && summary_page_put(&r->page, out) == 0) {
		r->opened++;
	}
	return x;
}

CO_FN static int each(struct reader *r, const uint32_t *uids, size_t n, store_summary_fn *fn,
		      void *arg)
{
	int worst = 0, x = 0;

	for (size_t i = 0; i < n && x == 0; i++) {
		struct arena_mark mark = arena_mark(&r->arena);
		struct store_summary s;
		int y = summary_of(r, uids[i], &s);

		if (y == 0) {
			x = fn(arg, &s);
		} else if (y == -ENOMEM || y == -ECANCELED) {
			x = y;
		} else if (y != -ENOENT) {
			worst = worst ? worst : y;
		}
		arena_reset(&r->arena, mark);
		if (x == 0 && co_breathe() == -ECANCELED) {
			x = -ECANCELED;
		}
	}
	if (x != -ECANCELED && x != -ENOMEM) {
		leave_page(r);
	}
	return x ? x : worst;
}

CO_FN int store_summaries(struct store_mailbox *m, const uint32_t *uids, size_t n,
			  store_summary_fn *fn, void *arg, struct err *e)
{
	struct reader r;

	home_assert(m->a->home);
	reader_init(&r, m, OPENED_MANY, e);
	int x = each(&r, uids, n, fn, arg);

	if (x != -ECANCELED && x != -ENOMEM) {
		flush(&r);
	}
	reader_fini(&r);
	return x;
}

/* ---- keeping them up to date ----------------------------------------------------- */

static int nothing(void *arg, const struct store_summary *s)
{
	(void)arg;
	(void)s;
	return 0;
}

/* The living UIDs of the next page from *next on; how many. */
static size_t next_page(const struct store_mailbox *m, uint32_t *next, uint32_t uids[PAGE_UIDS])
{
	size_t i = box_lower(m, *next), n = 0;

	while (i < m->n && m->v[i].gone_at) {
		i++;
	}
	uint32_t page = i < m->n ? m->v[i].uid / PAGE_UIDS : 0;

	for (; i < m->n && m->v[i].uid / PAGE_UIDS == page; i++) {
		if (m->v[i].gone_at == 0) {
			uids[n++] = m->v[i].uid;
		}
	}
	*next = n ? (page + 1) * PAGE_UIDS : *next;
	return n;
}

CO_FN int summaries_fill(struct store_mailbox *m, struct err *e)
{
	uint32_t uids[PAGE_UIDS], next = m->text.summed;
	struct reader r;
	int x = 0;

	reader_init(&r, m, 1, e);
	for (;;) {
		size_t n = next_page(m, &next, uids);

		if (n == 0) {
			break;
		}
		/* The last page grows: not for each arrival. */
		r.write_at = next <= m->uidnext ? 1 : OPENED_MANY;
		x = each(&r, uids, n, nothing, NULL);
		if (x == -ECANCELED || x == -ENOMEM) {
			break;
		}
	}
	flush(&r);
	if (x == 0 && !r.no_writes) {
		m->text.summed = m->uidnext / PAGE_UIDS * PAGE_UIDS;
	}
	reader_fini(&r);
	return x == -EIO ? 0 : x;
}
