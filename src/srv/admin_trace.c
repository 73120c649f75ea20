/*
 * The verb `trace`: what was asked for is tried as everything that it may be,
 * since a Message-ID without its brackets looks like an address, and somebody
 * may send one that is an address, to hide behind it.
 */
#include "srv/admin_trace.h"

#include "io/listen.h"

struct answer {
	json_t *records; /* by their end, each once */
	size_t bytes;
	unsigned limit;
	bool more;
	bool failed;
};

static int64_t ended(const json_t *record)
{
	return json_integer_value(json_object_get(record, "ended"));
}

static struct slice id_of(const json_t *record)
{
	const json_t *id = json_object_get(record, "id");

	return slice_make(json_string_value(id), json_string_length(id));
}

/* In one session, "sid.9" ended before "sid.10". */
static bool is_later(const json_t *a, const json_t *b)
{
	struct slice ia = id_of(a), ib = id_of(b);

	if (ended(a) != ended(b)) {
		return ended(a) > ended(b);
	}
	return ia.n != ib.n ? ia.n > ib.n : slice_cmp(ia, ib) > 0;
}

static bool has(const struct answer *a, const json_t *record)
{
	for (size_t i = 0; i < json_array_size(a->records); i++) {
		if (slice_eq(id_of(json_array_get(a->records, i)), id_of(record))) {
			return true;
		}
	}
	return false;
}

/* Takes over the record. */
static void add(struct answer *a, json_t *record)
{
	size_t i = json_array_size(a->records);

	while (i > 0 && is_later(json_array_get(a->records, i - 1), record)) {
		i--;
	}
	a->failed |= json_array_insert_new(a->records, i, record) != 0;
}

CO_FN static int take_record(void *arg, struct slice text)
{
	struct answer *a = arg;
	json_t *record;

	if (a->bytes + text.n > ADMIN_TRACE_TEXT_MAX) {
		a->more = true;
		return 1;
	}
	record = json_loadb(text.p, text.n, 0, NULL);
	if (!record || has(a, record)) {
		json_decref(record); /* a damaged row says nothing */
	} else {
		a->bytes += text.n;
		add(a, record);
	}
	return co_breathe() != 0 || a->failed;
}

/* Looks for it as one of the things it may be. */
CO_FN static int look(struct site *s, struct answer *a, enum trace_by by, struct slice what,
		      int64_t since_ms, struct err *e)
{
	struct trace_query q = { by, what, since_ms, a->limit };
	int n = trace_find(s->trace, &q, take_record, a, e);

	a->more |= n >= (int)a->limit;
	return n < 0 ? n : a->failed ? -ENOMEM : 0;
}

CO_FN static int look_for_address(struct site *s, struct answer *a, struct slice what,
				  int64_t since_ms, struct err *e)
{
	struct buf canon = BUF_INIT(AUTH_ADDR_MAX + 256);
	int r;

	if (what.n >= 2 && what.p[0] == '<' && what.p[what.n - 1] == '>') {
		what = slice_sub(what, 1, what.n - 2);
	}
	r = auth_addr_canon(what, &canon);
	r = look(s, a, TRACE_BY_ADDRESS, r == 0 ? buf_slice(&canon) : what, since_ms, e);
	buf_fini(&canon);
	return r;
}

CO_FN static int look_for_peer(struct site *s, struct answer *a, struct slice what,
			       int64_t since_ms, struct err *e)
{
	char text[NET_ADDR_TEXT_MAX];
	struct net_addr addr;

	if (net_addr_parse(what, 0, &addr) != 0) {
		return 0;
	}
	return look(s, a, TRACE_BY_PEER, slice_cstr(net_addr_text(&addr, text)), since_ms, e);
}

CO_FN static int look_everywhere(struct site *s, struct answer *a, struct slice what, int64_t since,
				 struct err *e)
{
	int r = look(s, a, TRACE_BY_ID, what, since, e);

	r = r ? r : look(s, a, TRACE_BY_SESSION, what, since, e);
	r = r ? r : look(s, a, TRACE_BY_MESSAGE_ID, what, since, e);
	r = r ? r : look_for_peer(s, a, what, since, e);
	return r ? r : look_for_address(s, a, what, since, e);
}

json_t *admin_trace(struct site *s, struct slice what, int64_t since_ms, unsigned limit,
		    struct err *e)
{
	struct answer a = { .records = json_array() };
	struct trace_stats st;
	int r = a.records ? 0 : -ENOMEM;

	a.limit = MIN(limit ? limit : ADMIN_TRACE_LIMIT, TRACE_FIND_MAX);
	if (r == 0) {
		r = look_everywhere(s, &a, slice_trim(what), since_ms, e);
	}
	if (r != 0) {
		json_decref(a.records);
		return NULL;
	}
	while (json_array_size(a.records) > a.limit) {
		json_array_remove(a.records, 0);
	}
	trace_stats(s->trace, &st);
	return json_pack("{s:o, s:i, s:b}", "records", a.records, "days", (int)st.days, "more",
			 (int)a.more);
}

json_t *admin_trace_status(struct site *s)
{
	struct trace_stats st;

	trace_stats(s->trace, &st);
	return json_pack("{s:i, s:I, s:I, s:I, s:I, s:I}", "days", (int)st.days, "records",
			 (json_int_t)st.records, "bytes", (json_int_t)st.bytes, "written",
			 (json_int_t)st.written, "waiting", (json_int_t)st.waiting, "dropped",
			 (json_int_t)st.dropped);
}
