/*
 * notify_metadata: MailboxMetadataChange and ServerMetadataChange (RFC 5465
 * 5.6, 5.7): names of annotations that others set or removed.
 *
 * We keep the names and a hash of each value, as the client may know them; at
 * a change all are read again, and both lists, which have one order, are held
 * against each other.
 */
#include "imap/notify.h"

#include <stdlib.h>

#include "imap/target.h"
#include "imap/write.h"

#define NOTED_MAX (8u * 1024 * 1024)

struct noted {
	struct arena arena;
	struct store_noted *v;
	size_t n;
};

struct look {
	store_id who;
	struct noted *now;
	struct err *e;
};

static int look_all(struct store_account *a, void *arg)
{
	struct look *l = arg;

	co_enter();
	return store_metadata_all(a, l->who, &l->now->arena, &l->now->v, &l->now->n, l->e);
}

void imap_noted_free(struct noted **np)
{
	if (*np) {
		arena_fini(&(*np)->arena);
		free(*np);
		*np = NULL;
	}
}

CO_FN int imap_noted_load(struct imap *s, struct noted **out)
{
	struct err e = ERR_INIT;
	struct look l = { .who = s->id.account, .e = &e };

	l.now = calloc(1, sizeof(*l.now));
	if (!l.now) {
		return -ENOMEM;
	}
	arena_init(&l.now->arena, NOTED_MAX);
	int r = imap_on_account(s, s->id.account, look_all, &l, &e);

	if (r) {
		imap_noted_free(&l.now);
	}
	*out = l.now;
	return r;
}

static int order(const struct store_noted *a, const struct store_noted *b)
{
	if (a->box != b->box) {
		return a->box < b->box ? -1 : 1;
	}
	if (a->is_private != b->is_private) {
		return a->is_private ? 1 : -1;
	}
	return slice_cmp(a->name, b->name);
}

/* What this session's own command set is not news to it. */
static bool is_own(const struct imap_cmd *cmd, struct slice mailbox, struct slice name)
{
	if (!cmd || !cmd->entries || !slice_eq(cmd->entries_of, mailbox)) {
		return false;
	}
	for (size_t i = 0; i < cmd->n_entries; i++) {
		if (slice_eq(cmd->entries[i].name, name)) {
			return true;
		}
	}
	return false;
}

/* One entry that differs. */
CO_FN static void tell(struct imap *s, const struct imap_cmd *cmd, const struct store_noted *x,
		       imap_noted_name_fn *name_of)
{
	struct buf line = BUF_INIT(IMAP_LINE_MAX);
	struct slice mailbox;

	if (name_of(s, x->box, &mailbox) && !is_own(cmd, mailbox, x->name)) {
		buf_adds(&line, "* METADATA ");
		imap_put_mailbox(&line, mailbox, imap_utf8(s));
		buf_addc(&line, ' ');
		imap_put_astring(&line, x->name);
		buf_adds(&line, "\r\n");
		conn_write(imap_conn(s), buf_slice(&line));
	}
	buf_fini(&line);
}

CO_FN int imap_noted_tell(struct imap *s, const struct imap_cmd *cmd, struct noted **np,
			  imap_noted_name_fn *name_of)
{
	struct noted *was = *np;
	struct noted *now;
	size_t i = 0;
	size_t k = 0;
	int r = imap_noted_load(s, &now);

	if (r) {
		return r;
	}
	while (i < was->n || k < now->n) {
		int c = i == was->n ? 1 : k == now->n ? -1 : order(&was->v[i], &now->v[k]);

		if (c != 0 || was->v[i].hash != now->v[k].hash) {
			tell(s, cmd, c < 0 ? &was->v[i] : &now->v[k], name_of);
		}
		i += c <= 0;
		k += c >= 0;
	}
	imap_noted_free(&was);
	*np = now;
	return STORE_OK;
}
