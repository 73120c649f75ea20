/*
 * Summaries as rows: the 'E' rows of a page of UIDs (docs/format.md). Derived
 * data, sealed like the rows of the text index; what does not parse is as if
 * it were not there. Pure functions, but for the batch.
 */
#include "store/summary.h"

#include "store/index.h"

#define N_TEXTS 12
#define PARTS_MAX 64u

/* Bits of an entry; a present text i has bit FIRST_TEXT + i. */
enum entry_bit {
	BIT_OPEN = 1,	      /* too long: nothing else is here */
	BIT_REPLY = 2,	      /* the subject is a reply's */
	BIT_SENT = 4,	      /* there is a date */
	BIT_BASE_TAIL = 8,    /* the base subject is the subject's end */
	BIT_FROM_HEAD = 0x10, /* the shown name is the start of from */
	BIT_TO_HEAD = 0x20,
	BIT_FIRST_TEXT = 0x40
};

/* Those three may be told by their length. */
enum { T_FROM, T_TO, T_SUBJECT, T_DISPLAY_FROM = 9, T_DISPLAY_TO, T_BASE };

static void texts(struct store_summary *s, struct slice *v[N_TEXTS])
{
	struct slice *all[N_TEXTS] = { &s->from,	 &s->to,	 &s->subject,
				       &s->cc,		 &s->bcc,	 &s->sort_from,
				       &s->sort_to,	 &s->sort_cc,	 &s->message_id,
				       &s->display_from, &s->display_to, &s->base_subject };

	memcpy(v, all, sizeof(all));
}

/* ---- pages ----------------------------------------------------------------- */

void summary_page_init(struct summary_page *p)
{
	memset(p, 0, sizeof(*p));
	buf_init(&p->bytes, 2 * SUMMARY_PAGE_MAX);
}

void summary_page_fini(struct summary_page *p)
{
	buf_fini(&p->bytes);
}

void summary_page_reset(struct summary_page *p, uint32_t page)
{
	buf_reset(&p->bytes);
	p->page = page;
	memset(p->len, 0, sizeof(p->len));
}

struct row_key summary_key(uint32_t page, unsigned part)
{
	struct row_key k = key32('E', page);

	assert(part < PARTS_MAX);
	k.b[k.n++] = (char)part;
	return k;
}

static void add_entry(struct summary_page *p, unsigned i, struct slice entry)
{
	p->off[i] = p->bytes.n;
	p->len[i] = entry.n;
	buf_add(&p->bytes, entry);
	if (p->bytes.err) {
		p->len[i] = 0;
	}
}

void summary_page_add(struct summary_page *p, struct slice row, unsigned *parts_out)
{
	struct slice payload;

	if (parts_out) {
		*parts_out = 0;
	}
	if (sealed_get(row, &payload)) {
		return;
	}
	struct cur c = cur_init(payload);
	uint8_t parts = cur_get8(&c);

	while (!cur_done(&c)) {
		uint8_t i = cur_get8(&c);
		struct slice entry = cur_vbytes(&c, SUMMARY_ENTRY_MAX);

		if (c.err || i >= PAGE_UIDS) {
			return;
		}
		add_entry(p, i, entry);
	}
	if (parts_out && parts <= PARTS_MAX) {
		*parts_out = parts;
	}
}

bool summary_page_has(const struct summary_page *p, uint32_t uid)
{
	assert(uid / PAGE_UIDS == p->page);
	return p->len[uid % PAGE_UIDS] > 0;
}

/* ---- entries ----------------------------------------------------------------- */

static void put_signed(struct buf *b, int64_t v)
{
	buf_varint(b, ((uint64_t)v << 1) ^ (uint64_t)(v >> 63));
}

static int64_t get_signed(struct cur *c)
{
	uint64_t u = cur_varint(c);

	return (int64_t)(u >> 1) ^ -(int64_t)(u & 1);
}

static unsigned shared(const struct store_summary *s)
{
	unsigned bits = 0;

	if (s->subject.p && slice_ends(s->subject, s->base_subject)) {
		bits |= BIT_BASE_TAIL;
	}
	if (s->display_from.n && slice_starts(s->from, s->display_from)) {
		bits |= BIT_FROM_HEAD;
	}
	if (s->display_to.n && slice_starts(s->to, s->display_to)) {
		bits |= BIT_TO_HEAD;
	}
	return bits;
}

/* Is text i told by its length? */
static bool by_length(unsigned bits, int i)
{
	return (i == T_BASE && bits & BIT_BASE_TAIL) ||
	       (i == T_DISPLAY_FROM && bits & BIT_FROM_HEAD) ||
	       (i == T_DISPLAY_TO && bits & BIT_TO_HEAD);
}

static void entry_put(const struct store_summary *s, struct buf *out)
{
	struct store_summary copy = *s;
	struct slice *v[N_TEXTS];
	unsigned bits = shared(s) | (s->is_reply ? BIT_REPLY : 0);

	texts(&copy, v);
	bits |= s->sent != INT64_MIN ? BIT_SENT : 0;
	for (int i = 0; i < N_TEXTS; i++) {
		bits |= v[i]->p ? (unsigned)BIT_FIRST_TEXT << i : 0;
	}
	bits |= s->references.p ? (unsigned)BIT_FIRST_TEXT << N_TEXTS : 0;
	buf_varint(out, bits);
	for (int i = 0; i < N_TEXTS; i++) {
		if (!v[i]->p) {
			continue;
		}
		if (by_length(bits, i)) {
			buf_varint(out, v[i]->n);
		} else {
			buf_vbytes(out, *v[i]);
		}
	}
	if (s->references.p) {
		buf_vbytes(out, s->references);
	}
	if (bits & BIT_SENT) {
		put_signed(out, s->sent);
		put_signed(out, s->zone);
	}
}

int summary_page_put(struct summary_page *p, const struct store_summary *s)
{
	struct buf b = BUF_INIT(SUMMARY_ENTRY_MAX);
	int r;

	assert(s->uid / PAGE_UIDS == p->page);
	entry_put(s, &b);
	if (b.err == -EMSGSIZE) {
		buf_reset(&b);
		buf_varint(&b, BIT_OPEN);
	}
	if (b.err == 0) {
		add_entry(p, s->uid % PAGE_UIDS, buf_slice(&b));
	}
	r = b.err ? b.err : p->bytes.err;
	buf_fini(&b);
	return r;
}

static struct slice tail(struct slice s, uint64_t n)
{
	return n <= s.n ? slice_from(s, s.n - n) : (struct slice){ 0 };
}

static struct slice head(struct slice s, uint64_t n)
{
	return n <= s.n ? slice_sub(s, 0, n) : (struct slice){ 0 };
}

static struct slice get_text(struct cur *c, const struct store_summary *s, unsigned bits, int i)
{
	if (!by_length(bits, i)) {
		return cur_vbytes(c, SUMMARY_ENTRY_MAX);
	}
	uint64_t n = cur_varint(c);

	return i == T_BASE ? tail(s->subject, n) : head(i == T_DISPLAY_FROM ? s->from : s->to, n);
}

bool summary_page_get(const struct summary_page *p, uint32_t uid, struct store_summary *out)
{
	unsigned at = uid % PAGE_UIDS;
	struct cur c = cur_init(slice_make(p->bytes.p + p->off[at], p->len[at]));
	unsigned bits = (unsigned)cur_varint(&c);
	struct slice *v[N_TEXTS];

	if (c.err || bits & BIT_OPEN) {
		return false;
	}
	*out = (struct store_summary){ .uid = uid, .sent = INT64_MIN };
	texts(out, v);
	for (int i = 0; i < N_TEXTS; i++) {
		if (bits & (unsigned)BIT_FIRST_TEXT << i) {
			*v[i] = get_text(&c, out, bits, i);
		}
	}
	if (bits & (unsigned)BIT_FIRST_TEXT << N_TEXTS) {
		out->references = cur_vbytes(&c, SUMMARY_ENTRY_MAX);
	}
	out->is_reply = bits & BIT_REPLY;
	if (bits & BIT_SENT) {
		out->sent = get_signed(&c);
		out->zone = (int)get_signed(&c);
	}
	return !c.err && cur_done(&c);
}

/* ---- writing ------------------------------------------------------------------- */

struct rows {
	struct kv_batch *b;
	uint32_t page;
	size_t bytes;
};

static void put_part(struct rows *w, unsigned part, unsigned parts, struct slice entries)
{
	struct buf payload = BUF_INIT(2 * SUMMARY_PAGE_MAX), row = BUF_INIT(2 * SUMMARY_PAGE_MAX);
	struct row_key k = summary_key(w->page, part);

	buf_put8(&payload, (uint8_t)parts);
	buf_add(&payload, entries);
	sealed_put(buf_slice(&payload), &row);
	/* Without memory the empty key makes the batch fail as a whole. */
	kv_batch_put(w->b, payload.err || row.err ? S("") : key_slice(&k), buf_slice(&row));
	w->bytes += row.n;
	buf_fini(&payload);
	buf_fini(&row);
}

/* Where the next row ends: entries from *i on. */
static void gather(const struct summary_page *p, const bool keep[PAGE_UIDS], unsigned *i,
		   struct buf *out)
{
	buf_reset(out);
	for (; *i < PAGE_UIDS && out->n < SUMMARY_ROW; ++*i) {
		if (keep[*i] && p->len[*i]) {
			buf_put8(out, (uint8_t)*i);
			buf_vbytes(out, slice_make(p->bytes.p + p->off[*i], p->len[*i]));
		}
	}
}

void summary_page_rows(const struct summary_page *p, const bool keep[PAGE_UIDS], struct kv_batch *b,
		       size_t *bytes_out)
{
	struct rows w = { .b = b, .page = p->page };
	struct row_key from = key32('E', p->page), to = key32('E', p->page + 1);
	struct buf entries = BUF_INIT(2 * SUMMARY_PAGE_MAX);
	unsigned parts = 0;

	for (unsigned i = 0; i < PAGE_UIDS; parts++) {
		gather(p, keep, &i, &entries);
	}
	kv_batch_del_range(b, key_slice(&from), key_slice(&to));
	for (unsigned i = 0, part = 0; part < parts; part++) {
		gather(p, keep, &i, &entries);
		put_part(&w, part, parts, entries.err ? S("") : buf_slice(&entries));
	}
	*bytes_out += w.bytes;
	buf_fini(&entries);
}
