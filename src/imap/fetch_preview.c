/*
 * fetch_preview: PREVIEW (RFC 8970): the first words of a message.
 *
 * Made when it is asked for, from at most PREVIEW_READ octets of each of a
 * few parts (mime/preview.h). With LAZY no more than the first piece of the
 * first part is read; where that does not decide, the answer is NIL.
 */
#include "imap/fetch.h"

#include "imap/write.h"
#include "mime/preview.h"

#define PREVIEW_READ (256u * 1024) /* a mailing's styles are that long */
#define PREVIEW_PARTS 3		   /* without text, before we give up */

static const char lazy[] = "LAZY";

/* ["(" "LAZY" ")"]; another parenthesis begins FETCH's modifiers. */
static void parse_preview(struct fetch *f, struct fetch_item *it)
{
	struct cur *c = &f->cmd->c;

	if (cur_lit(c, S(" (LAZY"))) {
		it->arg = (void *)lazy;
		cur_need(c, ')');
	}
}

/* Feeds a part's body. 1: enough; 0: to its end, or as far as we look; <0. */
CO_FN static int feed(struct fetch *f, const struct fetch_msg *m, const struct mime_part *part,
		      uint64_t max, struct mime_preview *p)
{
	uint64_t len = MIN(part->body_len, max);
	struct err e = ERR_INIT;

	for (uint64_t off = 0; off < len;) {
		ssize_t n = store_read(f->cmd->s->mbox, m->m.uid, part->body_off + off, f->chunk,
				       MIN(len - off, IMAP_CHUNK), &e);
		if (n <= 0) {
			return n == 0 ? -ENOENT : (int)n;
		}
		off += (uint64_t)n;
		if (mime_preview_feed(p, slice_make(f->chunk, (size_t)n))) {
			return 1;
		}
		if (co_breathe() < 0) {
			return -ECANCELED;
		}
	}
	return 0;
}

/* One part's preview into out; *whole: no more of the part would change it. */
CO_FN static int of_part(struct fetch *f, const struct fetch_msg *m, const struct mime_part *part,
			 uint64_t max, struct buf *out, bool *whole)
{
	struct mime_preview *p = mime_preview_new(part);
	int r = p ? feed(f, m, part, max, p) : -ENOMEM;

	*whole = r > 0 || part->body_len <= max;
	if (r >= 0) {
		buf_add(out, mime_preview_end(p));
	}
	mime_preview_free(&p);
	return MIN(r, 0);
}

/* The message's preview, or as much as there is time for. */
CO_FN static int make(struct fetch *f, const struct fetch_msg *m, bool hurry, struct buf *out,
		      bool *whole)
{
	const struct mime_part *part = NULL;
	uint64_t max = hurry ? IMAP_CHUNK : PREVIEW_READ;
	int r = 0;

	*whole = true;
	for (int i = 0; i < (hurry ? 1 : PREVIEW_PARTS) && r == 0 && out->n == 0; i++) {
		part = mime_preview_part(m->tree, part);
		if (!part) {
			return 0;
		}
		r = of_part(f, m, part, max, out, whole);
	}
	*whole = *whole && (out->n > 0 || !mime_preview_part(m->tree, part));
	return r;
}

CO_FN static int put_preview(struct fetch *f, const struct fetch_item *it,
			     const struct fetch_msg *m)
{
	struct buf text = BUF_INIT(MIME_PREVIEW_MAX);
	bool whole;
	int r = make(f, m, it->arg == lazy, &text, &whole);

	buf_adds(&f->line, "PREVIEW ");
	if (it->arg == lazy && (r < 0 || !whole)) {
		buf_adds(&f->line, "NIL");
	} else {
		imap_put_string(&f->line, text.n ? buf_slice(&text) : S(""));
	}
	buf_fini(&text);
	if (r == -ECANCELED) {
		return r;
	}
	return r < 0 ? BODY_GONE : BODY_OK;
}

const struct fetch_kind fetch_preview = { S("PREVIEW"), FETCH_TREE, parse_preview, put_preview };
