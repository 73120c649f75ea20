/*
 * fetch_objects: the items of FETCH that name things: EMAILID, THREADID
 * (RFC 8474), and when the message came here, SAVEDATE (RFC 8514).
 */
#include "imap/fetch.h"

#include "imap/objectid.h"
#include "imap/write.h"
#include "store/text.h"

static int put_savedate(struct fetch *f, const struct fetch_item *it, const struct fetch_msg *m)
{
	(void)it;
	buf_adds(&f->line, "SAVEDATE ");
	imap_put_date(&f->line, m->m.save_date, 0);
	return BODY_OK;
}

static int put_emailid(struct fetch *f, const struct fetch_item *it, const struct fetch_msg *m)
{
	(void)it;
	buf_adds(&f->line, "EMAILID (");
	imap_put_emailid(&f->line, m->m.guid);
	buf_addc(&f->line, ')');
	return BODY_OK;
}

static int take_thread(void *arg, const struct store_summary *s)
{
	imap_put_threadid(arg, s->thread);
	return 0;
}

/* NIL stands for a message that could not be looked at any more. */
CO_FN static int put_threadid(struct fetch *f, const struct fetch_item *it,
			      const struct fetch_msg *m)
{
	struct buf id = BUF_INIT(64);
	struct err e = ERR_INIT;

	(void)it;
	store_summaries(f->cmd->s->mbox, &m->m.uid, 1, take_thread, &id, &e);
	buf_adds(&f->line, id.n ? "THREADID (" : "THREADID NIL");
	if (id.n) {
		buf_add(&f->line, buf_slice(&id));
		buf_addc(&f->line, ')');
	}
	int r = id.n ? BODY_OK : BODY_GONE;
	buf_fini(&id);
	return r;
}

const struct fetch_kind fetch_savedate = { S("SAVEDATE"), FETCH_KEPT, NULL, put_savedate };
const struct fetch_kind fetch_emailid = { S("EMAILID"), FETCH_KEPT, NULL, put_emailid };
const struct fetch_kind fetch_threadid = { S("THREADID"), 0, NULL, put_threadid };
