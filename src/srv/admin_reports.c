/* The verb `reports.next`: see admin_reports.h. */
#include "srv/admin_reports.h"

#include <stdlib.h>

#include "base/codec.h"
#include "trust/report.h"

struct look {
	struct site *site;
	store_id account;
	int64_t since;
	/* where we are: */
	store_id mailbox;
	uint32_t uid;
	uint64_t offset;
	size_t bytes, looked;
	bool full;
	json_t *messages;
	struct err *e;
};

static uint64_t number(const json_t *o, const char *name)
{
	return (uint64_t)MAX(json_integer_value(json_object_get(o, name)), 0);
}

/* ---- one message ----------------------------------------------------------- */

CO_FN static int is_candidate(struct store_mailbox *m, uint32_t uid, bool *out, struct err *e)
{
	struct arena a;
	struct mime_tree t;
	int r;

	arena_init(&a, MIME_TREE_MAX);
	r = store_tree(m, uid, &a, &t, e);
	*out = r == 0 && report_next_part(&t, NULL);
	arena_fini(&a);
	return r == -ECANCELED || r == -ENOMEM ? r : 0; /* gone or damaged: not this one */
}

/* What still fits of it, from where we are. 0 or <0; the piece in raw. */
CO_FN static int read_piece(struct look *l, struct store_mailbox *m, const struct store_msg *msg,
			    struct buf *raw)
{
	uint64_t left = msg->size > l->offset ? msg->size - l->offset : 0;
	size_t want = (size_t)MIN(left, ADMIN_REPORTS_BYTES_MAX - l->bytes);

	while (raw->n < want) {
		char *p = buf_reserve(raw, want - raw->n);
		ssize_t n = p ? store_read(m, msg->uid, l->offset + raw->n, p, want - raw->n, l->e)
			      : -ENOMEM;

		if (n <= 0) {
			return n == -ECANCELED || n == -ENOMEM ? (int)n : 1;
		}
		buf_commit(raw, (size_t)n);
	}
	return 0;
}

static json_t *describe(const struct look *l, struct slice name, const struct store_msg *msg)
{
	return json_pack("{s:s%, s:I, s:I, s:I, s:I}", "mailbox", name.p, name.n, "uid",
			 (json_int_t)msg->uid, "arrived", (json_int_t)msg->internal_date, "size",
			 (json_int_t)msg->size, "offset", (json_int_t)l->offset);
}

/* Adds it, or as much as there is room for; l->full then. */
CO_FN static int add_message(struct look *l, struct store_mailbox *m, struct slice name,
			     const struct store_msg *msg)
{
	struct buf raw = BUF_INIT(ADMIN_REPORTS_BYTES_MAX);
	struct buf text = BUF_INIT(2 * ADMIN_REPORTS_BYTES_MAX);
	json_t *o = describe(l, name, msg);
	int r = msg->size > REPORT_MESSAGE_MAX ? 0 : read_piece(l, m, msg, &raw);

	if (r == 0 && msg->size <= REPORT_MESSAGE_MAX) {
		base64_encode(&text, buf_slice(&raw));
		json_object_set_new(o, "data", json_stringn(text.n ? text.p : "", text.n));
		l->bytes += raw.n;
		l->full = l->offset + raw.n < msg->size || l->bytes >= ADMIN_REPORTS_BYTES_MAX;
		l->offset = l->offset + raw.n < msg->size ? l->offset + raw.n : 0;
	}
	if (r == 0) {
		json_array_append_new(l->messages, o);
	} else {
		json_decref(o); /* it went away meanwhile, or nothing goes any more */
		l->offset = 0;
	}
	buf_fini(&raw);
	buf_fini(&text);
	return MIN(r, 0);
}

/* ---- a mailbox, an account --------------------------------------------------- */

CO_FN static int look_at(struct look *l, struct store_view *v, struct store_mailbox *m,
			 struct slice name)
{
	uint32_t seq = store_view_lower(v, l->uid);
	int r = 0;

	for (; r == 0 && !l->full && seq <= store_view_count(v); seq++) {
		struct store_msg msg;
		bool candidate = false;

		if (l->looked >= ADMIN_REPORTS_LOOK_MAX) {
			l->full = true;
			break;
		}
		if (store_view_msg(v, seq, &msg) != STORE_OK) {
			continue;
		}
		l->offset = msg.uid == l->uid ? l->offset : 0; /* its rest, or another */
		l->uid = msg.uid;
		l->looked += l->offset == 0;
		if (msg.internal_date >= l->since) {
			r = is_candidate(m, msg.uid, &candidate, l->e);
		}
		if (r == 0 && candidate) {
			r = add_message(l, m, name, &msg);
		}
		/* The rest of it comes with the next answer. */
		l->uid += l->offset == 0;
		r = r ? r : co_breathe();
	}
	return r;
}

CO_FN static int look_into(struct look *l, struct store_account *a, struct slice name)
{
	struct store_mailbox *m = NULL;
	struct store_view *v = NULL;
	int r = store_mailbox_open(a, name, &m, l->e);

	r = r ? r : store_view_open(m, false, &v, l->e);
	if (r == 0) {
		r = look_at(l, v, m, name);
	}
	store_view_close(&v);
	store_mailbox_close(&m);
	return r > 0 ? 0 : r; /* gone meanwhile: on with the next */
}

/* The mailbox with the lowest id from l->mailbox on; ids are never reused. */
static const struct store_mailbox_info *next_of(const struct look *l,
						const struct store_mailbox_info *list, size_t n)
{
	const struct store_mailbox_info *best = NULL;

	for (size_t i = 0; i < n; i++) {
		if (list[i].exists && list[i].id >= l->mailbox &&
		    (!best || list[i].id < best->id)) {
			best = &list[i];
		}
	}
	return best;
}

CO_FN static int look_through(struct look *l, struct store_account *a)
{
	const struct store_mailbox_info *box;
	struct store_mailbox_info *list;
	struct arena arena;
	size_t n = 0;
	int r;

	arena_init(&arena, 4u << 20);
	r = store_mailbox_list(a, &arena, &list, &n, l->e);
	while (r == 0 && !l->full && (box = next_of(l, list, n))) {
		if (box->id != l->mailbox) {
			l->uid = 1; /* where we were is gone */
			l->offset = 0;
		}
		l->mailbox = box->id;
		r = look_into(l, a, box->name);
		if (!l->full) {
			l->mailbox++;
			l->uid = 1;
			l->offset = 0;
		}
	}
	arena_fini(&arena);
	return r;
}

CO_FN static int look_there(void *arg)
{
	struct look *l = arg;
	struct store_account *a = NULL;
	int r = store_account_open(l->site->store, l->account, &a, l->e);

	if (r == 0) {
		r = look_through(l, a);
		store_account_close(&a);
	}
	return r;
}

int admin_reports_next(struct site *s, store_id account, int64_t since_ms, const json_t *after,
		       json_t **out, struct err *e)
{
	struct look l = {
		.site = s,
		.account = account,
		.since = since_ms / 1000,
		.mailbox = number(after, "mailbox"),
		.uid = (uint32_t)MIN(MAX(number(after, "uid"), 1), UINT32_MAX),
		.offset = number(after, "offset"),
		.messages = json_array(),
		.e = e,
	};
	int r = co_call(store_home(s->store, account), look_there, &l);

	if (r != 0) {
		json_decref(l.messages);
		return r;
	}
	*out = json_pack("{s:o, s:I}", "messages", l.messages, "looked", (json_int_t)l.looked);
	if (*out && l.full) {
		json_object_set_new(*out, "after",
				    json_pack("{s:I, s:I, s:I}", "mailbox", (json_int_t)l.mailbox,
					      "uid", (json_int_t)l.uid, "offset",
					      (json_int_t)l.offset));
	}
	return *out ? 0 : -ENOMEM;
}
