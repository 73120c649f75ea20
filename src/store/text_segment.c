/*
 * Segments on disk: reading and writing the index's rows.
 *
 * Rows go through kv as those of the mail itself, but not through the
 * mailbox's pipe: they change nothing a session sees. One writer at a time
 * (m->text.busy). A segment's rows are committed piece by piece under an id
 * that the manifest does not name yet; the manifest, written last, makes them
 * count and drops what they replace. A mailbox that is being deleted is not
 * written to any more: the deletion's own commits come after ours.
 */
#include <stdlib.h>

#include "store/kept.h"

#define BATCH_BYTES (512u << 10)

CO_FN int index_row(struct store_mailbox *m, struct row_key k, struct buf *b)
{
	buf_reset(b);
	int r = kv_get(box_kv(m), part_mailbox(m->a->id, m->id), key_slice(&k), b);

	if (r == KV_NOTFOUND) {
		return -ENOENT;
	}
	return r == KV_OK ? b->err : r < 0 ? r : -EIO;
}

CO_FN int index_load(struct store_mailbox *m, struct manifest *out, struct err *e)
{
	struct buf b = BUF_INIT(1 << 20);
	int r = index_row(m, key_manifest(), &b);

	*out = (struct manifest){ .next_id = 1 };
	if (r == 0 && manifest_get(buf_slice(&b), out)) {
		/* Derived data: what cannot be read is made anew. */
		*out = (struct manifest){ .next_id = 1, .wipe = true };
	}
	buf_fini(&b);
	return r == 0 || r == -ENOENT ? 0 : store_result(r, e, "reading the text index");
}

bool index_writable(const struct store_mailbox *m)
{
	return !m->gone && !m->closing && !m->a->gone;
}

CO_FN int index_commit(struct store_mailbox *m, struct kv_batch *b, struct err *e)
{
	if (!index_writable(m)) {
		return STORE_GONE;
	}
	return store_result(kv_commit(box_kv(m), &b, 1), e, "writing the text index");
}

static void del_segment(struct kv_batch *b, uint32_t id)
{
	struct row_key from = key_segment(id), to = key_segment(id + 1);

	kv_batch_del_range(b, key_slice(&from), key_slice(&to));
}

/* The list as it will be; its array is new. */
static int spliced(const struct manifest *mf, size_t at, size_t n, const struct segment *s,
		   struct manifest *out)
{
	size_t fresh = s ? 1 : 0;
	struct manifest x = { .n = mf->n - n + fresh };

	x.v = calloc(x.n + 1, sizeof(*x.v));
	if (!x.v) {
		return -ENOMEM;
	}
	if (at) {
		memcpy(x.v, mf->v, at * sizeof(*x.v));
	}
	if (s) {
		x.v[at] = *s;
	}
	if (mf->n > at + n) {
		memcpy(x.v + at + fresh, mf->v + at + n, (mf->n - at - n) * sizeof(*x.v));
	}
	x.next_id = s ? MAX(mf->next_id, s->id + 1) : mf->next_id;
	*out = x;
	return 0;
}

CO_FN int index_replace(struct store_mailbox *m, struct manifest *mf, size_t at, size_t n,
			const struct segment *s, struct err *e)
{
	struct kv_batch *b = kv_batch_new(part_mailbox(m->a->id, m->id));
	struct buf row = BUF_INIT(1 << 20);
	struct row_key k = key_manifest();
	struct manifest next = { 0 };
	int r = b ? spliced(mf, at, n, s, &next) : -ENOMEM;

	if (r == 0) {
		manifest_put(&next, &row);
		r = row.err;
	}
	if (r == 0) {
		for (size_t i = at; i < at + n; i++) {
			del_segment(b, mf->v[i].id);
			if (!s) {
				kept_forget(mf, i, b);
			}
		}
		kv_batch_put(b, key_slice(&k), buf_slice(&row));
		if (!s) {
			kv_batch_frees(b);
		}
		r = index_commit(m, b, e);
	}
	if (r == 0) {
		manifest_free(mf);
		*mf = next;
	} else {
		manifest_free(&next);
	}
	kv_batch_free(&b);
	buf_fini(&row);
	return r;
}

CO_FN int index_docs(struct store_mailbox *m, const struct segment *s, struct doc **out)
{
	struct buf b = BUF_INIT(1 << 20);
	struct doc *v = calloc(s->n_docs + 1, sizeof(*v));
	int r = v ? index_row(m, key_block(s->id, ROW_DOCS, 0), &b) : -ENOMEM;

	if (r == 0) {
		r = docs_get(buf_slice(&b), v, s->n_docs);
	}
	buf_fini(&b);
	if (r) {
		free(v);
		return r;
	}
	*out = v;
	return 0;
}

/* ---- writing --------------------------------------------------------------- */

CO_FN int index_offload(int (*fn)(void *arg), void *arg)
{
	int r;

	while ((r = co_offload(fn, arg)) == -EAGAIN) {
		r = co_sleep(20);
		if (r) {
			return r;
		}
	}
	return r;
}

CO_FN int index_begin(struct store_mailbox *m, const struct manifest *mf, struct packer *p)
{
	p->batch = kv_batch_new(part_mailbox(m->a->id, m->id));
	p->batched = 0;
	if (!p->batch) {
		return -ENOMEM;
	}
	if (mf->wipe) {
		kv_batch_del_range(p->batch, S("V"), S("X"));
	} else {
		del_segment(p->batch, p->id); /* of a build that did not end */
	}
	return 0;
}

CO_FN int index_flush(struct store_mailbox *m, struct packer *p, struct err *e)
{
	int r = p->err ? p->err : index_commit(m, p->batch, e);

	kv_batch_free(&p->batch);
	p->batched = 0;
	if (r == 0) {
		p->batch = kv_batch_new(part_mailbox(m->a->id, m->id));
		r = p->batch ? 0 : -ENOMEM;
	}
	return r;
}

void packer_docs(struct packer *p, const struct doc *v, size_t n)
{
	struct row_key k = key_block(p->id, ROW_DOCS, 0);
	struct buf row = BUF_INIT(1 << 20);

	docs_put(v, n, &row);
	p->err = p->err ? p->err : row.err;
	kv_batch_put(p->batch, key_slice(&k), buf_slice(&row));
	p->batched += row.n;
	p->bytes += row.n;
	buf_fini(&row);
}

struct pack_job {
	struct build *b;
	struct packer p;
	struct segment s;
	bool sorted, more;
};

static int pack_some(void *arg)
{
	struct pack_job *j = arg;

	if (!j->sorted) {
		int r = build_sort(j->b);

		if (r) {
			return r;
		}
		j->sorted = true;
	}
	j->more = build_pack(j->b, &j->p, BATCH_BYTES, j->s.blocks);
	return j->p.err;
}

CO_FN static int write_rows(struct store_mailbox *m, const struct manifest *mf, struct pack_job *j,
			    struct err *e)
{
	int r = index_begin(m, mf, &j->p);

	if (r == 0) {
		packer_docs(&j->p, build_list(j->b), build_docs(j->b));
	}
	for (j->more = true; r == 0 && j->more;) {
		r = index_offload(pack_some, j);
		r = r ? r : index_flush(m, &j->p, e);
	}
	return r;
}

CO_FN int segment_write(struct store_mailbox *m, struct manifest *mf, struct build *b,
			uint32_t first, uint32_t last, uint64_t kept, struct err *e)
{
	struct pack_job j = { .b = b };
	size_t at = 0;

	j.s = (struct segment){
		.id = mf->next_id, .first = first, .last = last, .n_docs = (uint32_t)build_docs(b)
	};
	packer_init(&j.p, j.s.id);
	int r = write_rows(m, mf, &j, e);

	if (r == 0) {
		j.s.bytes = j.p.bytes;
		j.s.kept = kept;
		while (at < mf->n && mf->v[at].last < first) {
			at++;
		}
		r = index_replace(m, mf, at, 0, &j.s, e);
	}
	kv_batch_free(&j.p.batch);
	packer_fini(&j.p);
	return r;
}
