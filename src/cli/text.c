/* Text of strangers: see text.h. */
#include "cli/text.h"

#include "base/err.h"
#include "base/utf8.h"

static bool is_unsafe(uint32_t c)
{
	static const struct {
		uint32_t first, last;
	} ranges[] = {
		{ 0, 0x1f },	       { 0x7f, 0x9f },	   { 0xad, 0xad },     { 0x61c, 0x61c },
		{ 0x180e, 0x180e },    { 0x200b, 0x200f }, { 0x2028, 0x202e }, { 0x2060, 0x206f },
		{ 0xfe00, 0xfe0f },    { 0xfeff, 0xfeff }, { 0xfff9, 0xfffb }, { 0xe000, 0xf8ff },
		{ 0xe0000, 0x10ffff },
	};

	for (size_t i = 0; i < ARRAY_LEN(ranges); i++) {
		if (c >= ranges[i].first && c <= ranges[i].last) {
			return true;
		}
	}
	return false;
}

size_t cli_put_text(FILE *to, struct slice s)
{
	size_t n = 0;

	while (s.n) {
		struct slice was = s;
		int32_t c = utf8_next(&s);

		if (c < 0 || is_unsafe((uint32_t)c)) {
			n += (size_t)fprintf(to, "\\u{%x}", c < 0 ? 0xfffdu : (unsigned)c);
		} else {
			n += fwrite(was.p, 1, was.n - s.n, to) > 0;
		}
	}
	return n;
}

void cli_put_column(FILE *to, struct slice s, size_t width)
{
	size_t n = cli_put_text(to, s);

	do {
		putc(' ', to);
	} while (++n <= width);
}
