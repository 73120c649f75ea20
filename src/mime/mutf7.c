/*
 * mutf7: modified UTF-7, the mailbox names of IMAP4rev1 (RFC 3501 5.1.3).
 *
 * Strict in both directions, so that no two spellings name one mailbox
 * (THREATS IM-09, RFC 9051 appendix A.1): what can stand as itself must,
 * sections are as long as they can be, padding bits are zero, and controls
 * and lone surrogates do not exist. Called by IMAP.
 */
#include <errno.h>

#include "base/cur.h"
#include "base/utf8.h"
#include "mime/charset.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

static int digit(char c)
{
	const char *at = c ? strchr(alphabet, c) : NULL;

	return at ? (int)(at - alphabet) : -1;
}

static bool is_control(uint32_t cp)
{
	return cp < 0x20 || (cp >= 0x7f && cp < 0xa0);
}

/* One UTF-16 unit behind *high (0: none). False: not allowed here. */
static bool add_unit(uint32_t u, uint32_t *high, struct buf *out)
{
	if (*high) {
		if ((u & 0xfc00) != 0xdc00) {
			return false;
		}
		utf8_add(out, 0x10000 + ((*high & 0x3ff) << 10) + (u & 0x3ff));
		*high = 0;
		return true;
	}
	if ((u & 0xfc00) == 0xd800) {
		*high = u;
		return true;
	}
	if ((u & 0xfc00) == 0xdc00 || u < 0x80 || is_control(u)) {
		return false;
	}
	utf8_add(out, u);
	return true;
}

/* Behind "&": base64 of UTF-16BE up to "-", which is taken. */
static void section(struct cur *c, struct buf *out)
{
	uint32_t acc = 0, high = 0;
	unsigned bits = 0;

	while (!cur_opt(c, '-')) {
		int v = digit((char)cur_byte(c));

		if (c->err || v < 0) {
			cur_fail(c, -EINVAL);
			return;
		}
		acc = acc << 6 | (uint32_t)v;
		bits += 6;
		if (bits >= 16) {
			bits -= 16;
			if (!add_unit(acc >> bits & 0xffff, &high, out)) {
				cur_fail(c, -EINVAL);
				return;
			}
		}
		acc &= (1u << bits) - 1;
	}
	if (bits >= 6 || acc || high) {
		cur_fail(c, -EINVAL);
	}
}

int mutf7_to_utf8(struct slice in, struct buf *out)
{
	struct cur c = cur_init(in);
	size_t before = out->n;
	bool after_section = false;

	while (!cur_done(&c)) {
		int ch = cur_byte(&c);

		if (is_control((uint32_t)ch) || ch >= 0x80) {
			cur_fail(&c, -EINVAL);
		} else if (ch != '&') {
			buf_addc(out, (char)ch);
			after_section = false;
		} else if (cur_opt(&c, '-')) {
			buf_addc(out, '&');
			after_section = false;
		} else {
			if (after_section) {
				cur_fail(&c, -EINVAL);
			}
			section(&c, out);
			after_section = true;
		}
	}
	if (c.err) {
		buf_truncate(out, before);
		return -EINVAL;
	}
	return out->err;
}

struct encoder {
	struct buf *out;
	uint32_t acc;
	unsigned bits;
	bool open;
};

static void put_unit(struct encoder *e, uint32_t u)
{
	e->acc = e->acc << 16 | u;
	e->bits += 16;
	while (e->bits >= 6) {
		e->bits -= 6;
		buf_addc(e->out, alphabet[e->acc >> e->bits & 63]);
	}
	e->acc &= (1u << e->bits) - 1;
}

static void shut(struct encoder *e)
{
	if (e->open) {
		if (e->bits) {
			buf_addc(e->out, alphabet[e->acc << (6 - e->bits) & 63]);
		}
		buf_addc(e->out, '-');
		*e = (struct encoder){ .out = e->out };
	}
}

static void put_char(struct encoder *e, uint32_t cp)
{
	if (cp < 0x80) {
		shut(e);
		buf_addc(e->out, (char)cp);
		if (cp == '&') {
			buf_addc(e->out, '-');
		}
		return;
	}
	if (!e->open) {
		buf_addc(e->out, '&');
		e->open = true;
	}
	if (cp >= 0x10000) {
		put_unit(e, 0xd800 + ((cp - 0x10000) >> 10));
		put_unit(e, 0xdc00 + ((cp - 0x10000) & 0x3ff));
	} else {
		put_unit(e, cp);
	}
}

int mutf7_from_utf8(struct slice utf8, struct buf *out)
{
	struct encoder e = { .out = out };
	size_t before = out->n;

	while (utf8.n) {
		int32_t cp = utf8_next(&utf8);

		if (cp < 0 || is_control((uint32_t)cp)) {
			buf_truncate(out, before);
			return -EINVAL;
		}
		put_char(&e, (uint32_t)cp);
	}
	shut(&e);
	return out->err;
}
