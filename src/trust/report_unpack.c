/*
 * gzip (RFC 1952) and zip with one file in it, under limits.
 *
 * Reports are packed as one file, so a zip needs its directory, one header and
 * zlib's raw inflate: no library for archives, whose formats, encryptions and
 * file names would only be ways in (docs/adr/0090). Sizes that a directory
 * claims are believed only to refuse early; what comes out is counted.
 */
#include <zlib.h>

#include "base/cur.h"
#include "base/err.h"
#include "trust/report.h"

#define STEP (64u * 1024)
#define GZIP_BITS (15 + 16) /* inflateInit2: a gzip header */
#define RAW_BITS (-15)

/* PKWARE APPNOTE 4.3 */
#define ZIP_LOCAL S("PK\3\4")
#define ZIP_ENTRY S("PK\1\2")
#define ZIP_END S("PK\5\6")
#define ZIP_LOCAL_SIZE 30u
#define ZIP_END_SIZE 22u
#define ZIP_COMMENT_MAX 65535u
#define ZIP_ENCRYPTED 1u
#define ZIP_STORED 0u
#define ZIP_DEFLATED 8u

static int fail(const char **why, int r, const char *text)
{
	*why = text;
	return r;
}

static bool is_bomb(uint64_t in, uint64_t out)
{
	return out > REPORT_RATIO_FREE && out - REPORT_RATIO_FREE > REPORT_RATIO * in;
}

static int inflate_all(z_stream *z, struct buf *out, const char **why)
{
	int r = Z_OK;

	while (r != Z_STREAM_END) {
		char *p = buf_reserve(out, MIN(STEP, MAX(out->max - out->n, 1)));

		if (!p) {
			return fail(why, out->err, "it unpacks to more than a report may have");
		}
		z->next_out = (Bytef *)p;
		z->avail_out = (uInt)MIN(STEP, out->max - out->n);
		r = inflate(z, Z_NO_FLUSH);
		buf_commit(out, (size_t)((char *)z->next_out - p));
		if (is_bomb(z->total_in, out->n)) {
			return fail(why, -EMSGSIZE, "it is a bomb: it unpacks to far too much");
		}
		if (r == Z_MEM_ERROR) {
			return fail(why, -ENOMEM, "no memory");
		}
		if (r != Z_OK && r != Z_STREAM_END) {
			return fail(why, -EINVAL, "its compression is damaged or ends too early");
		}
	}
	return 0;
}

static int inflate_slice(struct slice data, int bits, struct buf *out, const char **why)
{
	z_stream z = { .next_in = (Bytef *)data.p, .avail_in = (uInt)data.n };
	int r;

	if (inflateInit2(&z, bits) != Z_OK) {
		return fail(why, -ENOMEM, "no memory");
	}
	r = inflate_all(&z, out, why);
	inflateEnd(&z);
	return r;
}

/* ---- zip -------------------------------------------------------------------- */

struct entry {
	uint16_t flags, method;
	uint32_t crc, packed, unpacked, offset;
};

/* The end of the directory stands last, before a comment. */
static bool find_end(struct slice zip, struct cur *out)
{
	size_t lowest =
		zip.n > ZIP_END_SIZE + ZIP_COMMENT_MAX ? zip.n - ZIP_END_SIZE - ZIP_COMMENT_MAX : 0;

	for (size_t at = zip.n - ZIP_END_SIZE + 1; at-- > lowest;) {
		if (slice_starts(slice_from(zip, at), ZIP_END)) {
			*out = cur_init(slice_from(zip, at + ZIP_END.n));
			return true;
		}
	}
	return false;
}

static int read_entry(struct slice zip, uint32_t directory, struct entry *out)
{
	struct cur c = cur_init(slice_from(zip, directory));

	cur_exact(&c, ZIP_ENTRY) ? (void)0 : (void)cur_fail(&c, -EINVAL);
	cur_take(&c, 4); /* versions */
	out->flags = cur_get16le(&c);
	out->method = cur_get16le(&c);
	cur_take(&c, 4); /* time */
	out->crc = cur_get32le(&c);
	out->packed = cur_get32le(&c);
	out->unpacked = cur_get32le(&c);
	cur_take(&c, 14); /* lengths, disk, attributes */
	out->offset = cur_get32le(&c);
	return c.err ? -EINVAL : 0;
}

static int find_entry(struct slice zip, struct entry *out, const char **why)
{
	struct cur c;
	uint16_t disks, entries;

	if (zip.n < ZIP_END_SIZE || !find_end(zip, &c)) {
		return fail(why, -EINVAL, "the zip has no directory");
	}
	disks = cur_get16le(&c);
	cur_take(&c, 4);
	entries = cur_get16le(&c);
	cur_take(&c, 4);
	if (disks != 0 || entries != 1) {
		return fail(why, -EINVAL, "the zip holds not just one file");
	}
	if (read_entry(zip, cur_get32le(&c), out) != 0 || c.err) {
		return fail(why, -EINVAL, "the directory of the zip is damaged");
	}
	return 0;
}

/* What is behind the local header. False: not within the zip. */
static bool find_data(struct slice zip, const struct entry *f, struct slice *out)
{
	struct cur c = cur_init(slice_from(zip, f->offset));
	size_t names;

	if (!cur_exact(&c, ZIP_LOCAL)) {
		return false;
	}
	cur_take(&c, ZIP_LOCAL_SIZE - 8);
	names = cur_get16le(&c);
	names += cur_get16le(&c);
	cur_take(&c, names);
	*out = cur_take(&c, f->packed);
	return !c.err;
}

static int unzip(struct slice zip, struct buf *out, const char **why)
{
	struct entry f;
	struct slice data;
	int r = find_entry(zip, &f, why);

	if (r != 0) {
		return r;
	}
	if ((f.flags & ZIP_ENCRYPTED) || (f.method != ZIP_STORED && f.method != ZIP_DEFLATED)) {
		return fail(why, -EINVAL, "the zip is encrypted, or packed in a rare way");
	}
	if (f.unpacked > out->max || is_bomb(f.packed, f.unpacked)) {
		return fail(why, -EMSGSIZE, "it is a bomb: it unpacks to far too much");
	}
	if (!find_data(zip, &f, &data)) {
		return fail(why, -EINVAL, "the zip is damaged");
	}
	if (f.method == ZIP_STORED) {
		buf_add(out, data);
		r = out->err ? fail(why, out->err, "it is larger than a report may be") : 0;
	} else {
		r = inflate_slice(data, RAW_BITS, out, why);
	}
	if (r == 0 && crc32(0, (const Bytef *)out->p, (uInt)out->n) != f.crc) {
		r = fail(why, -EINVAL, "the zip is damaged: its checksum is wrong");
	}
	return r;
}

int report_unpack(struct slice data, struct buf *out, const char **why)
{
	bool zip = slice_starts(data, ZIP_LOCAL);

	if (!zip && !slice_starts(data, S("\x1f\x8b"))) {
		return 1;
	}
	if (data.n > REPORT_PACKED_MAX) {
		return fail(why, -EMSGSIZE, "it is larger than a report may be");
	}
	return zip ? unzip(data, out, why) : inflate_slice(data, GZIP_BITS, out, why);
}
