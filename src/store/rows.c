/*
 * Rows: how accounts, mailboxes and messages look as keys and values.
 *
 * docs/format.md ("Mail over the engine") describes every row byte by byte;
 * this file is the only one that knows. Each value starts with a version;
 * keys are one letter and big-endian numbers, so that they sort as numbers
 * do. Decoders trust nothing: what does not parse is -EIO, a version above
 * ours is -EPROTO. Pure functions.
 */
#include "store/impl.h"

#define KEYWORDS_BYTES_MAX (STORE_KEYWORDS_MAX * (STORE_KEYWORD_MAX + 2))

struct row_key key1(char kind)
{
	struct row_key k = { .b = { kind }, .n = 1 };

	return k;
}

struct row_key key32(char kind, uint32_t v)
{
	struct row_key k = {
		.b = { kind, (char)(v >> 24), (char)(v >> 16), (char)(v >> 8), (char)v }, .n = 5
	};

	return k;
}

struct row_key key64(char kind, uint64_t v)
{
	struct row_key k = { .b = { kind }, .n = 9 };

	for (int i = 0; i < 8; i++) {
		k.b[1 + i] = (char)(v >> (56 - 8 * i));
	}
	return k;
}

struct kv_part part_store(void)
{
	return (struct kv_part){ 's', 0, 0 };
}

struct kv_part part_account(store_id account)
{
	return (struct kv_part){ 'a', account, 0 };
}

struct kv_part part_mailbox(store_id account, store_id mailbox)
{
	return (struct kv_part){ 'm', account, mailbox };
}

/* Signed numbers as varints: 0, -1, 1, -2, ... */
static void put_signed(struct buf *b, int64_t v)
{
	buf_varint(b, ((uint64_t)v << 1) ^ (uint64_t)(v >> 63));
}

static int64_t get_signed(struct cur *c)
{
	uint64_t u = cur_varint(c);

	return (int64_t)(u >> 1) ^ -(int64_t)(u & 1);
}

/* A varint that must fit 32 bits. */
static uint32_t get_u32(struct cur *c)
{
	uint64_t v = cur_varint(c);

	if (v > UINT32_MAX) {
		cur_fail(c, -ERANGE);
		return 0;
	}
	return (uint32_t)v;
}

static int open_row(struct cur *c, struct slice v)
{
	*c = cur_init(v);
	uint8_t version = cur_get8(c);

	if (c->err || version == 0) {
		return -EIO;
	}
	return version > ROW_VERSION ? -EPROTO : 0;
}

static int close_row(const struct cur *c)
{
	return c->err || c->p != c->end ? -EIO : 0;
}

/* ---- accounts ----------------------------------------------------------- */

void account_row_put(const struct account_row *r, struct buf *out)
{
	buf_put8(out, ROW_VERSION);
	buf_put8(out, r->deleting ? 1 : 0);
	buf_varint(out, r->quota_bytes);
	buf_varint(out, r->quota_messages);
	buf_varint(out, r->next_mailbox);
	buf_varint(out, r->last_uidvalidity);
}

int account_row_get(struct slice v, struct account_row *out)
{
	struct cur c;
	int r = open_row(&c, v);

	if (r) {
		return r;
	}
	out->deleting = cur_get8(&c) & 1;
	out->quota_bytes = cur_varint(&c);
	out->quota_messages = cur_varint(&c);
	out->next_mailbox = cur_varint(&c);
	out->last_uidvalidity = get_u32(&c);
	return close_row(&c);
}

void box_row_put(const struct box_row *r, struct buf *out)
{
	buf_put8(out, ROW_VERSION);
	buf_varint(out, r->uidvalidity);
	buf_varint(out, r->uses);
	buf_add(out, r->name);
}

int box_row_get(struct slice v, struct box_row *out)
{
	struct cur c;
	int r = open_row(&c, v);

	if (r) {
		return r;
	}
	out->uidvalidity = get_u32(&c);
	out->uses = get_u32(&c);
	out->name = cur_rest(&c);
	if (c.err || out->name.n == 0 || out->name.n > STORE_NAME_MAX) {
		return -EIO;
	}
	return 0;
}

/* ---- mailbox header and keywords ---------------------------------------- */

void head_row_put(const struct head_row *r, struct buf *out)
{
	buf_put8(out, ROW_VERSION);
	buf_varint(out, r->uidnext);
	buf_varint(out, r->modseq);
	buf_varint(out, r->recent_uid);
	buf_varint(out, r->vanished_page);
	buf_varint(out, r->vanished_floor);
	buf_varint(out, r->paged.messages);
	buf_varint(out, r->paged.unseen);
	buf_varint(out, r->paged.deleted);
	buf_varint(out, r->paged.recent);
	buf_varint(out, r->paged.bytes);
}

int head_row_get(struct slice v, struct head_row *out)
{
	struct cur c;
	int r = open_row(&c, v);

	if (r) {
		return r;
	}
	out->uidnext = get_u32(&c);
	out->modseq = cur_varint(&c);
	out->recent_uid = get_u32(&c);
	out->vanished_page = get_u32(&c);
	out->vanished_floor = cur_varint(&c);
	out->paged.messages = get_u32(&c);
	out->paged.unseen = get_u32(&c);
	out->paged.deleted = get_u32(&c);
	out->paged.recent = get_u32(&c);
	out->paged.bytes = cur_varint(&c);
	if (out->uidnext == 0) {
		return -EIO;
	}
	return close_row(&c);
}

void keywords_put(const struct slice *names, size_t n, struct buf *out)
{
	buf_put8(out, ROW_VERSION);
	for (size_t i = 0; i < n; i++) {
		buf_vbytes(out, names[i]);
	}
}

int keywords_get(struct slice v, struct slice *names, size_t *n_out)
{
	struct cur c;
	int r = open_row(&c, v);
	size_t n = 0;

	if (r) {
		return r;
	}
	while (!cur_done(&c)) {
		if (n == STORE_KEYWORDS_MAX) {
			return -EIO;
		}
		names[n++] = cur_vbytes(&c, STORE_KEYWORD_MAX);
	}
	if (close_row(&c)) {
		return -EIO;
	}
	*n_out = n;
	return 0;
}

/* ---- messages ----------------------------------------------------------- */

static void put_flags(struct buf *out, const struct msg *m)
{
	buf_put8(out, m->system);
	buf_varint(out, m->keywords);
	buf_varint(out, m->modseq);
}

static void get_flags(struct cur *c, struct msg *m)
{
	m->system = cur_get8(c);
	m->keywords = cur_varint(c);
	m->modseq = cur_varint(c);
}

/* Dates are told as the distance from `base`, which is 0 or a neighbour. */
static void put_fixed(struct buf *out, const struct msg *m, int64_t base)
{
	buf_varint(out, m->size);
	buf_varint(out, m->extra);
	put_signed(out, (int64_t)((uint64_t)m->internal_date - (uint64_t)base));
	put_signed(out, m->zone);
	put_signed(out, (int64_t)((uint64_t)m->save_date - (uint64_t)base));
	buf_add(out, slice_make((const char *)m->blob.b, sizeof(m->blob.b)));
}

static void get_fixed(struct cur *c, struct msg *m, int64_t base)
{
	m->size = get_u32(c);
	m->extra = get_u32(c);
	m->internal_date = (int64_t)((uint64_t)get_signed(c) + (uint64_t)base);
	int64_t zone = get_signed(c);
	uint64_t saved = (uint64_t)get_signed(c) + (uint64_t)base;
	struct slice blob = cur_take(c, sizeof(m->blob.b));

	if (c->err || saved > UINT32_MAX || zone < INT16_MIN || zone > INT16_MAX) {
		cur_fail(c, -ERANGE);
		return;
	}
	m->zone = (int16_t)zone;
	m->save_date = (uint32_t)saved;
	memcpy(m->blob.b, blob.p, blob.n);
}

void single_put(const struct msg *m, struct buf *out)
{
	buf_put8(out, ROW_VERSION);
	put_flags(out, m);
	put_fixed(out, m, 0);
}

int single_get(uint32_t uid, struct slice v, struct msg *out)
{
	struct cur c;
	int r = open_row(&c, v);

	if (r) {
		return r;
	}
	memset(out, 0, sizeof(*out));
	out->uid = uid;
	get_flags(&c, out);
	get_fixed(&c, out, 0);
	return uid == 0 ? -EIO : close_row(&c);
}

void flags_page_put(const struct msg *m, size_t n, uint32_t page, struct buf *out)
{
	assert(n <= PAGE_UIDS);
	buf_put8(out, ROW_VERSION);
	for (size_t i = 0; i < n; i++) {
		assert(m[i].uid / PAGE_UIDS == page);
		buf_put8(out, (uint8_t)(m[i].uid % PAGE_UIDS));
		put_flags(out, &m[i]);
	}
}

void fixed_page_put(const struct msg *m, size_t n, uint32_t page, struct buf *out)
{
	int64_t base = 0;

	assert(n <= PAGE_UIDS);
	buf_put8(out, ROW_VERSION);
	for (size_t i = 0; i < n; i++) {
		assert(m[i].uid / PAGE_UIDS == page);
		buf_put8(out, (uint8_t)(m[i].uid % PAGE_UIDS));
		put_fixed(out, &m[i], base);
		base = m[i].save_date;
	}
}

int flags_page_get(uint32_t page, struct slice v, struct msg *m, size_t *n_out)
{
	struct cur c;
	int r = open_row(&c, v);
	int last = -1;
	size_t n = 0;

	if (r) {
		return r;
	}
	while (!cur_done(&c)) {
		uint8_t at = cur_get8(&c);

		if (at >= PAGE_UIDS || at <= last || page > UINT32_MAX / 128) {
			return -EIO;
		}
		last = at;
		memset(&m[n], 0, sizeof(m[n]));
		m[n].uid = page * PAGE_UIDS + at;
		m[n].paged = true;
		get_flags(&c, &m[n]);
		n++;
	}
	*n_out = n;
	return close_row(&c);
}

int fixed_page_get(uint32_t page, struct slice v, struct msg *m, size_t n)
{
	struct cur c;
	int r = open_row(&c, v);
	int64_t base = 0;

	if (r) {
		return r;
	}
	for (size_t i = 0; i < n; i++) {
		uint8_t at = cur_get8(&c);

		if (m[i].uid != page * PAGE_UIDS + at) {
			return -EIO;
		}
		get_fixed(&c, &m[i], base);
		base = m[i].save_date;
	}
	return close_row(&c);
}

size_t fixed_page_blobs(uint32_t page, struct slice v, struct msg *m)
{
	struct cur c;
	int64_t base = 0;
	size_t n = 0;

	if (open_row(&c, v)) {
		return 0;
	}
	while (!cur_done(&c) && n < PAGE_UIDS) {
		m[n].uid = page * PAGE_UIDS + cur_get8(&c);
		get_fixed(&c, &m[n], base);
		base = m[n].save_date;
		n += c.err == 0;
	}
	return n;
}

/* ---- expunge marks ------------------------------------------------------ */

void vanished_put(const struct vanished_row *r, struct buf *out)
{
	buf_put8(out, ROW_VERSION);
	for (unsigned i = 0; i < PAGE_UIDS;) {
		unsigned from = i;

		while (i < PAGE_UIDS && r->modseq[i] == r->modseq[from]) {
			i++;
		}
		if (r->modseq[from]) {
			buf_put8(out, (uint8_t)from);
			buf_put8(out, (uint8_t)(i - from));
			buf_varint(out, r->modseq[from]);
		}
	}
}

int vanished_get(struct slice v, struct vanished_row *r)
{
	struct cur c;
	int e = open_row(&c, v);

	if (e) {
		return e;
	}
	while (!cur_done(&c)) {
		unsigned from = cur_get8(&c);
		unsigned n = cur_get8(&c);
		uint64_t modseq = cur_varint(&c);

		if (c.err || from + n > PAGE_UIDS) {
			return -EIO;
		}
		for (unsigned i = from; i < from + n; i++) {
			r->modseq[i] = modseq;
		}
	}
	return close_row(&c);
}
