/*
 * Kept texts against any bytes. Mode 0: needle, newline, name, newline, header:
 * what the kept form of the header says must be what mime_header_match says,
 * also after a row. Mode 1: a row, and mode 2 a row made of two given zones,
 * which must parse or be refused.
 */
#include <stdlib.h>

#include <zstd.h>

#include "mime/text.h"
#include "store/kept.h"

#define IN_MAX (1u << 16)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static bool keep(struct slice header, struct buf *out)
{
	struct buf text = BUF_INIT(64 * IN_MAX), scratch = BUF_INIT(64 * IN_MAX);
	struct mime_field f;
	bool ok = true;

	while (ok && mime_field_next(&header, &f)) {
		buf_reset(&text);
		mime_header_text(f.raw, &text);
		ok = kept_field(&f, buf_slice(&text), &scratch, out);
	}
	buf_fini(&text);
	buf_fini(&scratch);
	return ok && out->err == 0 && out->n <= KEPT_MAX;
}

static void round_trip(const struct kept_doc *d, struct kept_page *p)
{
	struct kept_doc doc[KEPT_UIDS] = { [5] = *d };
	struct buf scratch = BUF_INIT(KEPT_PAGE_MAX);
	ZSTD_CCtx *z = ZSTD_createCCtx();

	assert(kept_row(doc, z, &scratch, &p->row) == 0);
	assert(kept_count(buf_slice(&p->row)) == 1);
	assert(kept_parse(p, 9, KEPT_BOTH) == 0);
	assert(p->doc[5].have == KEPT_BOTH && p->doc[4].have == 0);
	for (int i = 0; i < ZONES; i++) {
		assert(slice_eq(p->doc[5].text[i], d->text[i]));
	}
	ZSTD_freeCCtx(z);
	buf_fini(&scratch);
}

static void fuzz_match(struct slice in)
{
	struct buf folded = BUF_INIT(64 * IN_MAX), header = BUF_INIT(64 * IN_MAX);
	struct slice needle = slice_split(&in, '\n'), name = slice_split(&in, '\n');
	struct kept_page p;

	kept_init(&p);
	if (in.p && utf8_fold(&folded, needle) == 0 && folded.n && keep(in, &header)) {
		struct kept_doc d = { { S(""), buf_slice(&header) }, KEPT_BOTH };
		struct store_text_query field = { STORE_TEXT_FIELD, name, buf_slice(&folded),
						  false },
					all = { STORE_TEXT_ALL, S(""), buf_slice(&folded), false };

		assert(kept_match(&d, &field) == mime_header_match(in, name, field.needle));
		assert(kept_match(&d, &all) == mime_header_match(in, S(""), all.needle));
		round_trip(&d, &p);
		assert(kept_match(&p.doc[5], &field) == kept_match(&d, &field));
	}
	kept_fini(&p);
	buf_fini(&folded);
	buf_fini(&header);
}

static void parse(struct slice payload)
{
	struct kept_page p;

	kept_init(&p);
	sealed_put(payload, &p.row);
	if (kept_parse(&p, 1, KEPT_BOTH) == 0) {
		for (unsigned i = 0; i < KEPT_UIDS; i++) {
			assert(p.doc[i].text[ZONE_BODY].n <= KEPT_MAX);
		}
	}
	kept_fini(&p);
}

static void add_frame(struct buf *out, struct slice raw)
{
	size_t room = ZSTD_compressBound(raw.n);
	char *p = buf_reserve(out, room);

	assert(p);
	buf_commit(out, ZSTD_compress(p, room, raw.p, raw.n, 1));
}

static void fuzz_zones(struct slice in)
{
	struct slice body = slice_sub(in, 0, in.n / 2), header = slice_from(in, in.n / 2);
	struct buf payload = BUF_INIT(4 * IN_MAX), frame = BUF_INIT(2 * IN_MAX);

	buf_put8(&payload, 1);
	buf_varint(&payload, body.n);
	buf_varint(&payload, header.n);
	add_frame(&frame, body);
	buf_vbytes(&payload, buf_slice(&frame));
	add_frame(&payload, header);
	parse(buf_slice(&payload));
	buf_fini(&payload);
	buf_fini(&frame);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct slice in = slice_make((const char *)data + 1, n ? n - 1 : 0);

	if (n == 0 || n > IN_MAX) {
		return 0;
	}
	switch (data[0] % 3) {
	case 0:
		fuzz_match(in);
		break;
	case 1:
		parse(in);
		break;
	default:
		fuzz_zones(in);
		break;
	}
	return 0;
}
