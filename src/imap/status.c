/*
 * status: see status.h.
 */
#include "imap/status.h"

#include <inttypes.h>

#include "base/err.h"
#include "imap/parse.h"

static const struct {
	struct slice name;
	unsigned item;
} items_by_name[] = {
	{ S("MESSAGES"), STATUS_MESSAGES },
	{ S("RECENT"), STATUS_RECENT },
	{ S("UIDNEXT"), STATUS_UIDNEXT },
	{ S("UIDVALIDITY"), STATUS_UIDVALIDITY },
	{ S("UNSEEN"), STATUS_UNSEEN },
	{ S("SIZE"), STATUS_SIZE },
	{ S("HIGHESTMODSEQ"), STATUS_HIGHESTMODSEQ },
	{ S("DELETED"), STATUS_DELETED },
	{ S("DELETED-STORAGE"), STATUS_DELETED_STORAGE },
	{ S("APPENDLIMIT"), STATUS_APPENDLIMIT },
	{ S("MAILBOXID"), STATUS_MAILBOXID },
};

unsigned status_parse(struct cur *c)
{
	unsigned items = 0;

	cur_need(c, '(');
	do {
		struct slice name = imap_parse_atom(c);
		size_t i = 0;
		while (i < ARRAY_LEN(items_by_name) && !slice_ieq(name, items_by_name[i].name)) {
			i++;
		}
		if (i == ARRAY_LEN(items_by_name)) {
			cur_fail(c, -EINVAL);
		} else {
			items |= items_by_name[i].item;
		}
	} while (!c->err && cur_opt(c, ' '));
	cur_need(c, ')');
	return c->err ? 0 : items;
}

static uint64_t value_of(unsigned item, const struct status_facts *f)
{
	switch (item) {
	case STATUS_MESSAGES:
		return f->st.messages;
	case STATUS_RECENT:
		return f->st.recent;
	case STATUS_UIDNEXT:
		return f->st.uidnext;
	case STATUS_UIDVALIDITY:
		return f->st.uidvalidity;
	case STATUS_UNSEEN:
		return f->st.unseen;
	case STATUS_SIZE:
		return f->st.size;
	case STATUS_HIGHESTMODSEQ:
		return f->st.highestmodseq;
	case STATUS_DELETED:
		return f->st.deleted;
	case STATUS_DELETED_STORAGE:
		return f->deleted_bytes;
	default:
		return f->append_limit;
	}
}

void status_put_mailboxid(struct buf *b, store_id account, store_id id)
{
	buf_printf(b, "F%" PRIx64 "-%" PRIx64, account, id);
}

void status_put(struct buf *b, unsigned items, const struct status_facts *f)
{
	bool first = true;

	buf_addc(b, '(');
	for (size_t i = 0; i < ARRAY_LEN(items_by_name); i++) {
		unsigned item = items_by_name[i].item;

		if (!(items & item)) {
			continue;
		}
		buf_adds(b, first ? "" : " ");
		buf_add(b, items_by_name[i].name);
		buf_addc(b, ' ');
		first = false;
		if (item == STATUS_MAILBOXID) {
			buf_addc(b, '(');
			status_put_mailboxid(b, f->account, f->st.id);
			buf_addc(b, ')');
		} else {
			buf_addu(b, MIN(value_of(item, f), (uint64_t)INT64_MAX));
		}
	}
	buf_addc(b, ')');
}
