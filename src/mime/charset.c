/*
 * charset: any charset found in mail to UTF-8, by ICU's converters.
 *
 * Labels in mail are dirty: quotes around them, "cp-850", "x-sjis",
 * "unicode-1-1-utf-7", and names of a small set where mail programs wrote the
 * larger one (WHATWG's list, which every browser follows: ISO-8859-1 is read
 * as windows-1252, GB2312 as GB18030, KS C 5601 as windows-949). US-ASCII
 * with 8-bit bytes in it is read as UTF-8 where it is that, else as
 * windows-1252, byte by byte. ICU's own converters and options (names with
 * "," or "=") cannot be chosen by a message.
 *
 * Why ICU and not iconv: docs/adr/0005-icu-for-charsets.md. Called by words.c,
 * content.c, text.c and by sessions.
 */
#include "mime/charset.h"

#include <errno.h>
#include <stdlib.h>

#include <unicode/ucnv.h>

#include "base/err.h"
#include "base/utf8.h"

#define CHARSET_NAME_MAX 64
#define CHUNK 256

enum charset_how { HOW_ICU, HOW_ASCII };

struct charset {
	enum charset_how how;
	UConverter *cnv;
	UChar high;	 /* first half of a surrogate pair, or 0 */
	struct buf held; /* HOW_ASCII: an unfinished UTF-8 sequence */
};

/* Labels ICU does not know or knows too narrowly. */
static const struct {
	char label[24];
	char icu[16];
} aliases[] = {
	{ "iso-8859-1", "windows-1252" },
	{ "iso8859-1", "windows-1252" },
	{ "iso_8859-1", "windows-1252" },
	{ "iso-latin-1", "windows-1252" },
	{ "latin1", "windows-1252" },
	{ "latin-1", "windows-1252" },
	{ "l1", "windows-1252" },
	{ "8859-1", "windows-1252" },
	{ "iso-8859-9", "windows-1254" },
	{ "latin5", "windows-1254" },
	{ "iso-8859-11", "windows-874" },
	{ "tis-620", "windows-874" },
	{ "gb2312", "gb18030" },
	{ "gb_2312-80", "gb18030" },
	{ "x-gbk", "gb18030" },
	{ "gbk", "gb18030" },
	{ "ks_c_5601-1987", "windows-949" },
	{ "ks_c_5601", "windows-949" },
	{ "euc-kr", "windows-949" },
	{ "x-windows-949", "windows-949" },
	{ "shift_jis", "windows-31j" },
	{ "shift-jis", "windows-31j" },
	{ "sjis", "windows-31j" },
	{ "x-sjis", "windows-31j" },
	{ "ms_kanji", "windows-31j" },
	{ "x-euc-jp", "euc-jp" },
	{ "x-big5", "big5" },
	{ "big5-eten", "big5" },
	{ "utf8", "utf-8" },
	{ "x-utf-8", "utf-8" },
	{ "unicode-1-1-utf-8", "utf-8" },
	{ "unicode-1-1-utf-7", "utf-7" },
	{ "x-unicode-2-0-utf-7", "utf-7" },
	{ "x-mac-roman", "macintosh" },
	{ "x-cp1250", "windows-1250" },
	{ "x-cp1251", "windows-1251" },
	{ "x-cp1252", "windows-1252" },
	{ "ansi_x3.4", "us-ascii" },
	{ "ascii", "us-ascii" },
	{ "7bit", "us-ascii" },
};

/* ICU converters that are no charsets of mail, or that hide text. */
static const char *const refused[] = { "lmbcs",	 "scsu",     "bocu-1",	       "imap-mailbox-name",
				       "cesu-8", "utf16_",   "utf32_",	       "ebcdic",
				       "ibm-37", "x-utf-16", "iso-2022-cn-ext" };

/* Lower case, without quotes and blanks. False: not a name. */
static bool clean_name(struct slice name, char dst[CHARSET_NAME_MAX])
{
	size_t n = 0;

	name = slice_trim(name);
	while (name.n && strchr("\"'", name.p[0])) {
		name = slice_from(name, 1);
	}
	while (name.n && strchr("\"';", name.p[name.n - 1])) {
		name.n--;
	}
	if (name.n == 0 || name.n >= CHARSET_NAME_MAX) {
		return false;
	}
	for (size_t i = 0; i < name.n; i++) {
		unsigned char c = ascii_lower((unsigned char)name.p[i]);

		if (!ascii_isalpha(c) && !ascii_isdigit(c) && (c == 0 || !strchr("-_.:+()", c))) {
			return false;
		}
		dst[n++] = (char)c;
	}
	dst[n] = 0;
	return true;
}

/* "cp-850" and "cp_850" are "cp850". */
static void join_cp(char *name)
{
	if (name[0] == 'c' && name[1] == 'p' && (name[2] == '-' || name[2] == '_')) {
		memmove(name + 2, name + 3, strlen(name + 3) + 1);
	}
}

static bool resolve(struct slice label, char dst[CHARSET_NAME_MAX])
{
	if (!clean_name(label, dst)) {
		return false;
	}
	join_cp(dst);
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		if (slice_starts(slice_cstr(dst), slice_cstr(refused[i]))) {
			return false;
		}
	}
	for (size_t i = 0; i < ARRAY_LEN(aliases); i++) {
		if (strcmp(dst, aliases[i].label) == 0) {
			memcpy(dst, aliases[i].icu, sizeof(aliases[i].icu));
			break;
		}
	}
	return true;
}

/* Only names of ICU's alias table: for others it would look for files. */
static UConverter *open_icu(const char *name)
{
	UErrorCode e = U_ZERO_ERROR;
	UConverter *cnv;

	if (ucnv_countAliases(name, &e) == 0 || U_FAILURE(e)) {
		return NULL;
	}
	cnv = ucnv_open(name, &e);
	if (U_FAILURE(e)) {
		ucnv_close(cnv);
		return NULL;
	}
	return cnv;
}

bool charset_known(struct slice name)
{
	struct charset *c = NULL;
	bool known = charset_new(name, &c) == 0;

	charset_free(&c);
	return known;
}

int charset_new(struct slice name, struct charset **out)
{
	char icu[CHARSET_NAME_MAX];
	UConverter *cnv = NULL;
	struct charset *c;
	bool ascii;

	if (!resolve(name, icu)) {
		return -ENOENT;
	}
	ascii = strcmp(icu, "us-ascii") == 0;
	if (!ascii) {
		cnv = open_icu(icu);
		if (!cnv) {
			return -ENOENT;
		}
	}
	c = calloc(1, sizeof(*c));
	if (!c) {
		ucnv_close(cnv);
		return -ENOMEM;
	}
	c->how = ascii ? HOW_ASCII : HOW_ICU;
	c->cnv = cnv;
	buf_init(&c->held, 8);
	*out = c;
	return 0;
}

void charset_free(struct charset **cp)
{
	if (*cp) {
		ucnv_close((*cp)->cnv);
		buf_fini(&(*cp)->held);
		free(*cp);
		*cp = NULL;
	}
}

/* ---- UTF-16 -------------------------------------------------------------- */

static void add_unit(struct charset *c, UChar u, struct buf *out)
{
	bool is_low = (u & 0xfc00) == 0xdc00;

	if (c->high) {
		if (is_low) {
			utf8_add(out, 0x10000 + ((uint32_t)(c->high & 0x3ff) << 10) + (u & 0x3ffu));
			c->high = 0;
			return;
		}
		utf8_add(out, 0xfffd);
		c->high = 0;
	}
	if ((u & 0xfc00) == 0xd800) {
		c->high = u;
	} else {
		utf8_add(out, is_low ? 0xfffdu : u);
	}
}

static void convert(struct charset *c, struct slice in, bool flush, struct buf *out)
{
	const char *src = in.p ? in.p : "";
	const char *end = src + in.n;
	UChar units[CHUNK] = { 0 };
	UErrorCode e;

	do {
		UChar *at = units;

		e = U_ZERO_ERROR;
		ucnv_toUnicode(c->cnv, &at, units + CHUNK, &src, end, NULL, flush, &e);
		for (const UChar *u = units; u < at; u++) {
			add_unit(c, *u, out);
		}
	} while (e == U_BUFFER_OVERFLOW_ERROR);
	if (U_FAILURE(e)) {
		/* The converter gave up: what it took is lost, and marked. */
		ucnv_resetToUnicode(c->cnv);
		utf8_add(out, 0xfffd);
	}
}

/* ---- US-ASCII that is not ------------------------------------------------ */

/* windows-1252's 0x80..0x9f; 0: not assigned. */
static const uint16_t high_1252[32] = {
	0x20ac, 0,	0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160,
	0x2039, 0x0152, 0,	0x017d, 0,	0,	0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
	0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0,	0x017e, 0x0178,
};

static void add_1252(struct buf *out, unsigned char b)
{
	uint32_t cp = b >= 0x80 && b < 0xa0 ? high_1252[b - 0x80] : b;

	utf8_add(out, cp || b == 0 ? cp : 0xfffd);
}

/* Length a UTF-8 sequence beginning with b should have; 1 if none does. */
static size_t sequence_len(unsigned char b)
{
	return b >= 0xf0 ? 4 : b >= 0xe0 ? 3 : b >= 0xc2 ? 2 : 1;
}

/* Characters where they are UTF-8, bytes where not; with `more`, stops before
 * a sequence that may go on in the next piece. Returns what was taken. */
static size_t add_guessed(struct slice s, bool more, struct buf *out)
{
	size_t all = s.n;

	while (s.n) {
		struct slice before = s;
		int32_t cp = utf8_next(&s);

		if (cp >= 0) {
			buf_add(out, slice_make(before.p, before.n - s.n));
		} else if (more && before.n < sequence_len((unsigned char)before.p[0])) {
			return all - before.n;
		} else {
			s = slice_from(before, 1);
			add_1252(out, (unsigned char)before.p[0]);
		}
	}
	return all;
}

static void feed_ascii(struct charset *c, struct slice in, struct buf *out)
{
	while (c->held.n && in.n) {
		size_t taken;

		buf_addc(&c->held, in.p[0]);
		in = slice_from(in, 1);
		taken = add_guessed(buf_slice(&c->held), true, out);
		buf_consume(&c->held, taken);
	}
	if (in.n) {
		buf_add(&c->held, slice_from(in, add_guessed(in, true, out)));
	}
}

/* ---- streaming ----------------------------------------------------------- */

void charset_feed(struct charset *c, struct slice in, struct buf *utf8_out)
{
	if (c->how == HOW_ASCII) {
		feed_ascii(c, in, utf8_out);
	} else {
		convert(c, in, false, utf8_out);
	}
}

void charset_end(struct charset *c, struct buf *utf8_out)
{
	if (c->how == HOW_ASCII) {
		add_guessed(buf_slice(&c->held), false, utf8_out);
		buf_reset(&c->held);
		return;
	}
	convert(c, S(""), true, utf8_out);
	if (c->high) {
		c->high = 0;
		utf8_add(utf8_out, 0xfffd);
	}
}

void charset_to_utf8(struct slice name, struct slice in, struct buf *out)
{
	struct charset *c = NULL;

	if (charset_new(name, &c) == 0) {
		charset_feed(c, in, out);
		charset_end(c, out);
		charset_free(&c);
	} else if (utf8_valid(in)) {
		buf_add(out, in);
	} else {
		for (size_t i = 0; i < in.n; i++) {
			add_1252(out, (unsigned char)in.p[i]);
		}
	}
}
