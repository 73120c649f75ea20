/*
 * words: encoded words in header text (RFC 2047), also where they are not
 * separated as they should be.
 *
 * Neighbouring words of one charset are decoded together, so that a
 * character cut in two by the sender is whole again; white space between
 * neighbours vanishes. Literal 8-bit text is UTF-8 if it is valid, else
 * windows-1252. The result is always valid UTF-8 on one line: it can never
 * become a header or an address again (THREATS MI-04). Linear: a word's end
 * is looked for once.
 */
#include "base/codec.h"
#include "mime/charset.h"
#include "mime/header.h"
#include "mime/impl.h"

#define CHARSET_MAX 64

struct word {
	struct slice charset;
	enum codec_kind kind;
	struct slice text;
	size_t n; /* bytes of the whole word */
};

struct decoder {
	struct buf *out;
	struct slice charset; /* of what is in bytes */
	struct buf bytes;
	struct buf utf8;
	bool no_more; /* no "?=" in the rest */
};

static void add_text(struct decoder *d, struct slice charset, struct slice s)
{
	buf_reset(&d->utf8);
	charset_to_utf8(charset, s, &d->utf8);
	mime_add_clean(buf_slice(&d->utf8), d->out);
}

static void flush_words(struct decoder *d)
{
	if (d->bytes.n) {
		add_text(d, d->charset, buf_slice(&d->bytes));
		buf_reset(&d->bytes);
	}
	d->charset = slice_make(NULL, 0);
}

/*
 * encoded-word = "=?" charset ["*" language] "?" encoding "?" text "?="
 * The text may hold blanks and question marks, as it does in the wild.
 */
static bool word_at(struct decoder *d, struct slice s, struct word *out)
{
	size_t mark = slice_chr(slice_sub(s, 2, CHARSET_MAX + 16), '?');
	size_t end;
	unsigned char enc;

	if (mark == SIZE_MAX || mark == 0 || s.n < mark + 7 || s.p[mark + 4] != '?') {
		return false;
	}
	enc = ascii_lower((unsigned char)s.p[mark + 3]);
	if (enc != 'b' && enc != 'q') {
		return false;
	}
	out->charset = slice_sub(s, 2, mark);
	out->charset.n = MIN(slice_chr(out->charset, '*'), mark);
	out->kind = enc == 'b' ? CODEC_BASE64 : CODEC_Q;
	out->text = slice_from(s, mark + 5);
	end = slice_find(out->text, S("?="));
	if (end == SIZE_MAX) {
		d->no_more = true;
		return false;
	}
	out->text.n = end;
	out->n = mark + 5 + end + 2;
	return true;
}

static void add_word(struct decoder *d, const struct word *w)
{
	struct codec codec = { .kind = w->kind };

	if (!d->charset.p || !slice_ieq(d->charset, w->charset)) {
		flush_words(d);
		d->charset = w->charset;
	}
	codec_feed(&codec, &d->bytes, w->text);
	codec_end(&codec, &d->bytes);
}

/* Index of the next word in s, or s.n. */
static size_t next_word(struct decoder *d, struct slice s, struct word *w)
{
	size_t at = 0;

	while (!d->no_more) {
		size_t i = slice_find(slice_from(s, at), S("=?"));

		if (i == SIZE_MAX) {
			break;
		}
		at += i;
		if (word_at(d, slice_from(s, at), w)) {
			return at;
		}
		at += 2;
	}
	return s.n;
}

static bool all_space(struct slice s)
{
	return slice_trim(s).n == 0;
}

void mime_decode_text(struct slice unfolded, struct buf *out)
{
	struct decoder d = { .out = out };
	struct slice s = unfolded;
	bool after_word = false;

	buf_init(&d.bytes, unfolded.n + 16);
	buf_init(&d.utf8, unfolded.n * 4 + 64);
	while (s.n) {
		struct word w = { 0 };
		size_t at = next_word(&d, s, &w);
		struct slice between = slice_sub(s, 0, at);

		if (!(after_word && at < s.n && all_space(between))) {
			flush_words(&d);
			add_text(&d, S(""), between);
		}
		s = slice_from(s, at);
		if (s.n) {
			add_word(&d, &w);
			s = slice_from(s, w.n);
			after_word = true;
		}
	}
	flush_words(&d);
	buf_fini(&d.bytes);
	buf_fini(&d.utf8);
}
