/*
 * Recovery of the log: which records behind the index's position are good.
 *
 * Records count from 1 without a gap, and each says up to which number all
 * was synced when it was written. So a bad record can be judged: if a record
 * behind it, in this segment or the next, knows it as synced, then it was
 * acknowledged and has been damaged since: -EIO, a human decides. Otherwise
 * it is the tail of a write that was never acknowledged: the segment is cut
 * to its last good record. Segments that were read are synced (a killed
 * process may have left them in the page cache only) and sealed.
 */
#include <stdio.h>
#include <stdlib.h>

#include "kv/fault.h"
#include "kv/local.h"

#define SCAN_PIECE (1u << 20)

struct recovery {
	struct local *l;
	struct err *e;
	uint64_t expect; /* number of the next record */
	struct pos end;	 /* behind the last good record */
};

static int damaged(struct recovery *v, uint64_t seg, uint32_t off, const char *text)
{
	return err_set(v->e, -EIO, text, "%s/%016llx.seg at %u", v->l->log.dir,
		       (unsigned long long)seg, off);
}

/* Looks at every place a record could begin in [off, alloc): 1 if one there
 * says that record `expect` had been synced. */
static int known_as_synced(struct recovery *v, struct segment *s, uint32_t off)
{
	char *p = malloc(SCAN_PIECE);
	int hit = 0;

	if (!p) {
		return -ENOMEM;
	}
	while (hit == 0 && off + REC_HEAD <= s->alloc) {
		size_t n = MIN(SCAN_PIECE, (size_t)(s->alloc - off));
		ssize_t got = fault_pread(s->fd, p, n, off);

		if (got < (ssize_t)REC_HEAD) {
			hit = got < 0 ? -errno : 0;
			break;
		}
		for (size_t i = 0; i + REC_HEAD <= (size_t)got && hit == 0; i += REC_ALIGN) {
			struct rec r;

			hit = rec_decode(slice_make(p + i, REC_HEAD), s->salt, off + (uint32_t)i,
					 &r) == 1 &&
			      r.durable >= v->expect;
		}
		/* The last head may reach into the next piece. */
		off += (uint32_t)((size_t)got - REC_HEAD + REC_ALIGN) & ~(REC_ALIGN - 1);
	}
	free(p);
	return hit;
}

/* Reads good records from off on; *end_out is behind the last. 0 or <0. */
static int read_good(struct recovery *v, struct segment *s, uint32_t off, uint32_t *end_out)
{
	struct log_reader rd;
	struct slice payload;
	struct rec rec;
	int r = reader_open(&rd, &v->l->log, (struct pos){ s->no, off }, s->alloc);

	if (r < 0) {
		return err_set(v->e, r, "cannot read a log segment", NULL);
	}
	*end_out = off;
	while ((r = reader_next(&rd, true, &rec, &payload)) > 0) {
		if (rec.seq != v->expect) {
			reader_close(&rd);
			return damaged(v, s->no, *end_out, "records are missing from the log");
		}
		v->expect++;
		*end_out = rd.off;
	}
	reader_close(&rd);
	if (r == 0 || r == -EINVAL || r == -EBADMSG) {
		return 0;
	}
	return err_set(v->e, r, "cannot read a log segment", NULL);
}

static int recover_segment(struct recovery *v, struct segment *s, uint32_t off)
{
	uint64_t before = v->expect;
	uint32_t end = 0;
	int r = read_good(v, s, off, &end);

	if (r < 0) {
		return r;
	}
	if (end < s->alloc) {
		r = known_as_synced(v, s, end);
		if (r != 0) {
			return r < 0 ? r
				     : damaged(v, s->no, end,
					       "an acknowledged record in the log is damaged");
		}
	}
	if (v->expect > before || s->no == v->end.seg) {
		v->end = (struct pos){ s->no, end };
	}
	s->end = end;
	fault_point("recover.scanned");
	r = log_seal(&v->l->log, s);
	if (r < 0) {
		return err_set(v->e, r, "cannot seal a log segment", NULL);
	}
	fault_point("recover.sealed");
	return 0;
}

/* The index must not be ahead of the log. */
static int check_position(struct recovery *v)
{
	struct index_pos at = v->l->applied;
	struct segment *s;
	bool fine;

	if (at.at.seg == 0) {
		return 0;
	}
	s = log_get(&v->l->log, at.at.seg);
	fine = s && s->alloc >= at.at.off;
	log_put(&v->l->log, s);
	return fine ? 0
		    : damaged(v, at.at.seg, at.at.off,
			      "the log ends before what the index has seen");
}

int recover_log(struct local *l, struct err *e)
{
	struct recovery v = { .l = l, .e = e, .expect = l->applied.seq + 1, .end = l->applied.at };
	int r = check_position(&v);

	for (size_t i = 0; i < l->log.n && r == 0; i++) {
		struct segment *s = l->log.seg[i];
		uint32_t off = SEG_HEAD;

		if (s->no < l->applied.at.seg) {
			s->sealed = true;
			continue;
		}
		if (s->no == l->applied.at.seg) {
			off = l->applied.at.off;
		}
		s = log_get(&l->log, s->no);
		if (!s) {
			return err_set(e, -errno, "cannot open a log segment", "%s", l->log.dir);
		}
		r = recover_segment(&v, s, off);
		log_put(&l->log, s);
	}
	if (r < 0) {
		return r;
	}
	l->durable_pos = v.end;
	l->durable_seq = v.expect - 1;
	l->next_seq = v.expect;
	return 0;
}
