/* Names of other users' mailboxes (other.h). */
#include "imap/other.h"

#include <errno.h>

static const char hex[] = "0123456789ABCDEF";

enum other_kind other_split(struct slice name, struct slice *user_out, struct slice *box_out)
{
	*user_out = *box_out = slice_make(NULL, 0);
	if (slice_eq(name, S(OTHER_ROOT))) {
		return OTHER_IS;
	}
	if (!slice_starts(name, S(OTHER_PREFIX))) {
		return OTHER_NOT;
	}
	*box_out = slice_from(name, sizeof(OTHER_PREFIX) - 1);
	*user_out = slice_split(box_out, '/');
	return box_out->p ? OTHER_BOX : OTHER_USER;
}

static bool is_special(char c)
{
	return c == '/' || c == '*' || c == '%' || c == '=';
}

void other_put_user(struct buf *b, struct slice address)
{
	for (size_t i = 0; i < address.n; i++) {
		unsigned char c = (unsigned char)address.p[i];

		if (is_special(address.p[i])) {
			buf_addc(b, '=');
			buf_addc(b, hex[c >> 4]);
			buf_addc(b, hex[c & 15]);
		} else {
			buf_addc(b, address.p[i]);
		}
	}
}

static int nibble(char c)
{
	const char *at = c ? strchr(hex, c) : NULL;

	return at ? (int)(at - hex) : -1;
}

int other_get_user(struct slice level, struct buf *address)
{
	for (size_t i = 0; i < level.n; i++) {
		int hi = 0, lo = 0;
		char c = level.p[i];

		if (c == '=') {
			hi = i + 1 < level.n ? nibble(level.p[i + 1]) : -1;
			lo = i + 2 < level.n ? nibble(level.p[i + 2]) : -1;
			c = (char)(hi << 4 | lo);
			if (hi < 0 || lo < 0 || !is_special(c)) {
				return -EINVAL;
			}
			i += 2;
		} else if (is_special(c)) {
			return -EINVAL;
		}
		buf_addc(address, c);
	}
	return level.n == 0 ? -EINVAL : address->err;
}
