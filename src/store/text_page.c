/*
 * Pages of kept texts (kept.h): rows made and taken apart, and what it means
 * that a text matches. The matching here must be that of mime/text.h over the
 * message itself: text_test.c holds the two against each other. Pure functions.
 *
 * A header is kept as the text of each field. SEARCH HEADER wants name and body
 * apart; nearly always they can be read from that text, and where decoding makes
 * a difference they stand behind it: text 0xfe name 0xfe body 0xff.
 */
#include <stdlib.h>

#include <zstd.h>

#include "mime/text.h"
#include "store/kept.h"

#define BREAK '\xff' /* ends a piece */
#define APART '\xfe' /* before a name and a body that stand apart */
#define SEAL 9	     /* version, sum */
#define LEVEL 1

void kept_init(struct kept_page *p)
{
	*p = (struct kept_page){ 0 };
	buf_init(&p->row, KV_VALUE_MAX);
	buf_init(&p->raw[ZONE_BODY], KEPT_PAGE_MAX);
	buf_init(&p->raw[ZONE_HEADER], KEPT_PAGE_MAX);
}

void kept_fini(struct kept_page *p)
{
	ZSTD_freeDCtx(p->zstd);
	buf_fini(&p->row);
	buf_fini(&p->raw[ZONE_BODY]);
	buf_fini(&p->raw[ZONE_HEADER]);
}

struct row_key kept_key(uint32_t page)
{
	return key32('V', page);
}

/* ---- rows ------------------------------------------------------------------ */

/* One zone of all, compressed, added to out. How many texts; <0. */
static int put_zone(const struct kept_doc doc[KEPT_UIDS], enum zone z, void *zstd,
		    struct buf *scratch, struct buf *out, size_t *raw_out, size_t *got_out)
{
	int n = 0;

	buf_reset(scratch);
	for (unsigned i = 0; i < KEPT_UIDS; i++) {
		if (doc[i].have == KEPT_BOTH) {
			buf_put8(scratch, (uint8_t)i);
			buf_vbytes(scratch, doc[i].text[z]);
			n++;
		}
	}
	size_t room = ZSTD_compressBound(scratch->n);
	char *p = scratch->err ? NULL : buf_reserve(out, room);

	if (!p) {
		return scratch->err ? scratch->err : out->err;
	}
	size_t got = ZSTD_compressCCtx(zstd, p, room, scratch->p, scratch->n, LEVEL);

	if (ZSTD_isError(got)) {
		return -ENOMEM;
	}
	buf_commit(out, got);
	*raw_out = scratch->n;
	*got_out = got;
	return n;
}

int kept_row(const struct kept_doc doc[KEPT_UIDS], void *zstd, struct buf *scratch, struct buf *row)
{
	struct buf frames = BUF_INIT(KV_VALUE_MAX / 2), payload = BUF_INIT(KV_VALUE_MAX / 2 + 64);
	size_t raw[ZONES], got[ZONES];
	int r = 0;

	for (int z = 0; z < ZONES && r >= 0; z++) {
		r = put_zone(doc, (enum zone)z, zstd, scratch, &frames, &raw[z], &got[z]);
	}
	if (r >= 0) {
		buf_put8(&payload, (uint8_t)r);
		buf_varint(&payload, raw[ZONE_BODY]);
		buf_varint(&payload, raw[ZONE_HEADER]);
		buf_vbytes(&payload, slice_sub(buf_slice(&frames), 0, got[ZONE_BODY]));
		buf_add(&payload, slice_from(buf_slice(&frames), got[ZONE_BODY]));
		sealed_put(buf_slice(&payload), row);
		r = payload.err ? payload.err : row->err;
	}
	buf_fini(&payload);
	buf_fini(&frames);
	return r;
}

unsigned kept_count(struct slice row)
{
	return row.n > SEAL ? (unsigned char)row.p[SEAL] : 0;
}

/* Fills p->raw from what is compressed. */
static int unpack(struct kept_page *p, enum zone z, size_t n, struct slice frame)
{
	char *dst;

	buf_reset(&p->raw[z]);
	dst = buf_reserve(&p->raw[z], n + 1);
	if (!p->zstd) {
		p->zstd = ZSTD_createDCtx();
	}
	if (!dst || !p->zstd) {
		return -ENOMEM;
	}
	size_t got = ZSTD_decompressDCtx(p->zstd, dst, n, frame.p, frame.n);

	if (ZSTD_isError(got) || got != n) {
		return -EIO;
	}
	buf_commit(&p->raw[z], got);
	return 0;
}

static int take_texts(struct kept_page *p, enum zone z)
{
	struct cur c = cur_init(buf_slice(&p->raw[z]));

	while (!cur_done(&c)) {
		uint8_t i = cur_get8(&c);
		struct slice text = cur_vbytes(&c, KEPT_MAX);

		if (c.err || i >= KEPT_UIDS) {
			return -EIO;
		}
		p->doc[i].text[z] = text;
		p->doc[i].have |= 1u << z;
	}
	return 0;
}

void kept_none(struct kept_page *p, uint32_t page)
{
	memset(p->doc, 0, sizeof(p->doc));
	buf_reset(&p->row);
	p->page = page;
	p->loaded = true;
}

static int take_zones(struct kept_page *p, struct slice payload, unsigned zones)
{
	struct cur c = cur_init(payload);
	uint8_t n = cur_get8(&c);
	uint64_t raw[ZONES] = { 0 };
	struct slice frame[ZONES];
	int r = 0;

	raw[ZONE_BODY] = cur_varint(&c);
	raw[ZONE_HEADER] = cur_varint(&c);
	frame[ZONE_BODY] = cur_vbytes(&c, KV_VALUE_MAX);
	frame[ZONE_HEADER] = cur_rest(&c);
	if (c.err || n > KEPT_UIDS || raw[ZONE_BODY] >= KEPT_PAGE_MAX ||
	    raw[ZONE_HEADER] >= KEPT_PAGE_MAX) {
		return -EIO;
	}
	for (int z = 0; z < ZONES && r == 0; z++) {
		if (zones & 1u << z) {
			r = unpack(p, (enum zone)z, raw[z], frame[z]);
			r = r ? r : take_texts(p, (enum zone)z);
		}
	}
	return r;
}

int kept_parse(struct kept_page *p, uint32_t page, unsigned zones)
{
	struct slice payload;
	int r = sealed_get(buf_slice(&p->row), &payload);

	memset(p->doc, 0, sizeof(p->doc));
	r = r ? r : take_zones(p, payload, zones);
	if (r) {
		memset(p->doc, 0, sizeof(p->doc));
	}
	p->page = page;
	p->loaded = r == 0;
	return r;
}

/* ---- fields ---------------------------------------------------------------- */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Name and body, as far as they can be read from a field's text. */
static void read_field(struct slice text, struct slice *name, struct slice *body)
{
	size_t colon = slice_chr(text, ':');

	*name = slice_sub(text, 0, colon == SIZE_MAX ? 0 : colon);
	while (name->n && is_blank(name->p[name->n - 1])) {
		name->n--;
	}
	*body = colon == SIZE_MAX ? S("") : slice_trim(slice_from(text, colon + 1));
}

/* In small letters, which is how names are compared (slice_ieq). */
static void add_small(struct buf *b, struct slice name)
{
	for (size_t i = 0; i < name.n; i++) {
		buf_addc(b, (char)ascii_lower((unsigned char)name.p[i]));
	}
}

bool kept_field(const struct mime_field *f, struct slice text, struct buf *scratch,
		struct buf *header)
{
	struct slice name, body, real_name, real_body;
	size_t at;

	if (slice_chr(f->name, BREAK) != SIZE_MAX || slice_chr(f->name, APART) != SIZE_MAX) {
		return false;
	}
	buf_reset(scratch);
	add_small(scratch, f->name);
	at = scratch->n;
	if (f->name.n) {
		mime_header_text(f->body, scratch);
	}
	real_name = slice_sub(buf_slice(scratch), 0, at);
	real_body = slice_from(buf_slice(scratch), at);
	read_field(text, &name, &body);
	buf_add(header, text);
	if (!slice_eq(name, real_name) || !slice_eq(body, real_body)) {
		buf_addc(header, APART);
		buf_add(header, real_name);
		buf_addc(header, APART);
		buf_add(header, real_body);
	}
	buf_addc(header, BREAK);
	return scratch->err == 0;
}

/* ---- matching ---------------------------------------------------------------- */

/* The next field of a kept header: its text, its name, its body. */
static bool next_field(struct slice *header, struct slice *text, struct slice *name,
		       struct slice *body)
{
	if (header->n == 0) {
		return false;
	}
	struct slice rest = slice_split(header, BREAK);

	*text = slice_split(&rest, APART);
	if (rest.p) {
		*name = slice_split(&rest, APART);
		*body = rest;
	} else {
		read_field(*text, name, body);
	}
	return true;
}

static bool field_match(struct slice header, struct slice field, struct slice needle)
{
	struct slice text, name, body;

	while (next_field(&header, &text, &name, &body)) {
		if (slice_ieq(name, field) && slice_find(body, needle) != SIZE_MAX) {
			return true;
		}
	}
	return false;
}

static bool header_match(struct slice header, struct slice needle)
{
	struct slice text, name, body;

	if (text_find(header, 0, needle) == SIZE_MAX) {
		return false;
	}
	if (slice_chr(header, APART) == SIZE_MAX) {
		return true;
	}
	while (next_field(&header, &text, &name, &body)) {
		if (slice_find(text, needle) != SIZE_MAX) {
			return true;
		}
	}
	return false;
}

unsigned kept_zones(const struct store_text_query *q)
{
	return q->where == STORE_TEXT_BODY  ? 1u << ZONE_BODY
	       : q->where == STORE_TEXT_ALL ? KEPT_BOTH
					    : 1u << ZONE_HEADER;
}

bool kept_match(const struct kept_doc *d, const struct store_text_query *q)
{
	struct slice body = d->text[ZONE_BODY], header = d->text[ZONE_HEADER];

	if (q->where == STORE_TEXT_FIELD && q->field.n) {
		/* Few headers have it at all. */
		return text_find(header, 0, q->needle) != SIZE_MAX &&
		       field_match(header, q->field, q->needle);
	}
	return (q->where != STORE_TEXT_FIELD && text_find(body, 0, q->needle) != SIZE_MAX) ||
	       (q->where != STORE_TEXT_BODY && header_match(header, q->needle));
}
