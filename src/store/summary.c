/*
 * Summaries of messages: see text.h. For now each is made from the message's
 * header when it is asked for.
 */
#include <stdlib.h>

#include "store/index.h"
#include "store/summary.h"

struct reader {
	struct store_mailbox *m;
	struct arena arena;
	struct buf header;
	struct err *e;
};

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
CO_FN static int summary_read(struct reader *r, uint32_t uid, struct store_summary *out)
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

CO_FN int store_summaries(struct store_mailbox *m, const uint32_t *uids, size_t n,
			  store_summary_fn *fn, void *arg, struct err *e)
{
	struct reader r = { .m = m, .e = e };
	int worst = 0, x = 0;

	home_assert(m->a->home);
	arena_init(&r.arena, SUMMARY_ARENA_MAX);
	buf_init(&r.header, MIME_HEADER_MAX);
	for (size_t i = 0; i < n && x == 0; i++) {
		struct arena_mark mark = arena_mark(&r.arena);
		struct store_summary s;
		int y = summary_read(&r, uids[i], &s);

		if (y == 0) {
			x = fn(arg, &s);
		} else if (y == -ENOMEM || y == -ECANCELED) {
			x = y;
		} else if (y != -ENOENT) {
			worst = worst ? worst : y;
		}
		arena_reset(&r.arena, mark);
		if (x == 0 && co_breathe() == -ECANCELED) {
			x = -ECANCELED;
		}
	}
	buf_fini(&r.header);
	arena_fini(&r.arena);
	return x ? x : worst;
}

CO_FN int summaries_fill(struct store_mailbox *m, struct err *e)
{
	(void)m;
	(void)e;
	return 0;
}
