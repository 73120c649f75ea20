/*
 * Tokens: how text is cut for the full-text index, and what a needle asks of
 * a dictionary of tokens.
 *
 * A token is a run of letters and digits of folded text; everything else
 * separates. A run longer than TOKEN_MAX is cut into windows of that length
 * that overlap by half, so that each substring of up to TOKEN_SPAN bytes lies
 * in one. Scripts without spaces between words (CJK) become pairs of
 * characters: their dictionary stays small, and each substring is a sequence
 * of pairs. The two sides here must agree: whatever text holds a needle must
 * have tokens that pass its lookups. Pure functions; text_token_test.c holds
 * them against each other.
 */
#include "store/index.h"

enum cls { SEP, WORD, CJK };

static enum cls class_of(uint32_t c)
{
	static const struct {
		uint32_t first, last;
		enum cls cls;
	} ranges[] = {
		{ 0x80, 0xbf, SEP },	 { 0xd7, 0xd7, SEP },	    { 0xf7, 0xf7, SEP },
		{ 0x2000, 0x206f, SEP }, { 0x20a0, 0x20cf, SEP },   { 0x2190, 0x2bff, SEP },
		{ 0x2e80, 0x2fff, CJK }, { 0x3000, 0x3004, SEP },   { 0x3005, 0x3007, CJK },
		{ 0x3008, 0x303f, SEP }, { 0x3040, 0x31ff, CJK },   { 0x3200, 0x9fff, CJK },
		{ 0xf900, 0xfaff, CJK }, { 0xfe30, 0xfe4f, SEP },   { 0xff01, 0xff0f, SEP },
		{ 0xff1a, 0xff20, SEP }, { 0xff5b, 0xff65, SEP },   { 0xff66, 0xff9f, CJK },
		{ 0xfffd, 0xfffd, SEP }, { 0x1f000, 0x1faff, CJK }, { 0x20000, 0x3ffff, CJK },
	};

	if (c < 0x80) {
		return ascii_isalpha((unsigned char)c) || ascii_isdigit((unsigned char)c) ? WORD
											  : SEP;
	}
	for (size_t i = 0; i < ARRAY_LEN(ranges) && c >= ranges[i].first; i++) {
		if (c <= ranges[i].last) {
			return ranges[i].cls;
		}
	}
	return WORD;
}

/* ---- runs ------------------------------------------------------------------ */

struct run {
	struct slice s;
	enum cls cls;
	bool starts, ends; /* is there text before it, behind it? */
};

static enum cls next_class(struct slice *s)
{
	unsigned char c = (unsigned char)s->p[0];

	if (c < 0x80) {
		*s = slice_from(*s, 1);
		return class_of(c);
	}
	int32_t cp = utf8_next(s);

	return cp < 0 ? SEP : class_of((uint32_t)cp);
}

/* The next run of one class but separators. False: no more. */
static bool next_run(struct slice *text, struct run *out)
{
	while (text->n) {
		struct slice start = *text, rest = *text;
		enum cls cls = next_class(&rest), next = cls;

		*text = rest;
		if (cls == SEP) {
			continue;
		}
		while (rest.n && next == cls) {
			*text = rest;
			next = next_class(&rest);
		}
		if (next == cls) {
			*text = rest;
		}
		out->s = slice_make(start.p, (size_t)(text->p - start.p));
		out->cls = cls;
		return true;
	}
	return false;
}

static struct slice first_char(struct slice s)
{
	struct slice rest = s;

	utf8_next(&rest);
	return slice_make(s.p, (size_t)(rest.p - s.p));
}

/* ---- text to tokens -------------------------------------------------------- */

static void word_tokens(struct slice run, token_fn *fn, void *arg)
{
	while (run.n > TOKEN_MAX) {
		fn(arg, slice_sub(run, 0, TOKEN_MAX));
		run = slice_from(run, TOKEN_SPAN);
	}
	fn(arg, run);
}

/* Pairs of characters; a single one is its own token. */
static void pair_tokens(struct slice run, token_fn *fn, void *arg)
{
	struct slice one = first_char(run);

	if (one.n == run.n) {
		fn(arg, run);
		return;
	}
	while (run.n > one.n) {
		struct slice two = first_char(slice_from(run, one.n));

		fn(arg, slice_make(run.p, one.n + two.n));
		run = slice_from(run, one.n);
		one = two;
	}
}

void tokens_of(struct slice folded, token_fn *fn, void *arg)
{
	struct run r;

	while (next_run(&folded, &r)) {
		if (r.cls == WORD) {
			word_tokens(r.s, fn, arg);
		} else {
			pair_tokens(r.s, fn, arg);
		}
	}
}

/* ---- a needle to lookups ---------------------------------------------------- */

struct asked {
	struct lookup *v;
	unsigned n;
	bool exact;
};

static void ask(struct asked *a, struct slice s, bool starts, bool ends)
{
	if (a->n == LOOKUPS_MAX) {
		a->exact = false;
		return;
	}
	a->v[a->n++] = (struct lookup){ s, starts, ends };
}

/* A part longer than any window can promise: every piece of it must be there. */
static void ask_word(struct asked *a, const struct run *r)
{
	struct slice s = r->s;

	if (s.n <= TOKEN_SPAN) {
		ask(a, s, r->starts, r->ends);
		return;
	}
	a->exact = false;
	ask(a, slice_sub(s, 0, TOKEN_SPAN), r->starts, false);
	ask(a, slice_from(s, s.n - TOKEN_SPAN), false, r->ends);
	for (size_t at = TOKEN_SPAN; at + TOKEN_SPAN < s.n; at += TOKEN_SPAN) {
		ask(a, slice_sub(s, at, TOKEN_SPAN), false, false);
	}
}

static void ask_pairs(struct asked *a, const struct run *r)
{
	struct slice s = r->s;
	struct slice one = first_char(s);

	if (one.n == s.n) {
		ask(a, s, r->starts, r->ends);
		return;
	}
	a->exact = a->exact && one.n + first_char(slice_from(s, one.n)).n == s.n;
	while (s.n > one.n) {
		struct slice two = first_char(slice_from(s, one.n));

		ask(a, slice_make(s.p, one.n + two.n), true, true);
		s = slice_from(s, one.n);
		one = two;
	}
}

unsigned lookups_of(struct slice needle, struct lookup out[LOOKUPS_MAX], bool *exact_out)
{
	struct asked a = { .v = out, .exact = true };
	struct slice rest = needle;
	struct run r;

	while (next_run(&rest, &r)) {
		r.starts = r.s.p > needle.p;
		r.ends = r.s.p + r.s.n < needle.p + needle.n;
		a.exact = a.exact && !r.starts && !r.ends;
		if (r.cls == WORD) {
			ask_word(&a, &r);
		} else {
			ask_pairs(&a, &r);
		}
	}
	*exact_out = a.exact && a.n == 1;
	return a.n;
}

/* ---- words that are nearly the same ------------------------------------------ */

unsigned words_of(struct slice needle, struct slice out[LOOKUPS_MAX])
{
	unsigned n = 0;
	struct run r;

	while (n < LOOKUPS_MAX && next_run(&needle, &r)) {
		if (r.cls == CJK) {
			struct slice one = first_char(r.s);

			r.s.n = one.n + (r.s.n > one.n ? first_char(slice_from(r.s, one.n)).n : 0);
		}
		out[n++] = slice_sub(r.s, 0, TOKEN_SPAN);
	}
	return n;
}

/* Do a and b differ by at most `left` bytes added, lost or changed? */
static bool within(struct slice a, struct slice b, unsigned left)
{
	unsigned char row[TOKEN_MAX + 1];

	for (size_t j = 0; j <= b.n; j++) {
		row[j] = (unsigned char)j;
	}
	for (size_t i = 0; i < a.n; i++) {
		unsigned char diag = row[0], best = 255;

		row[0] = (unsigned char)(i + 1);
		for (size_t j = 0; j < b.n; j++) {
			unsigned char was = row[j + 1];
			unsigned char v = (unsigned char)(MIN(row[j], was) + 1);

			row[j + 1] = MIN(v, (unsigned char)(diag + (a.p[i] != b.p[j])));
			diag = was;
			best = MIN(best, row[j + 1]);
		}
		if (MIN(best, row[0]) > left) {
			return false;
		}
	}
	return row[b.n] <= left;
}

bool token_near(struct slice token, struct slice word)
{
	unsigned left = word.n >= 8 ? 2 : word.n >= 4 ? 1 : 0;

	if (slice_starts(token, word)) {
		return true;
	}
	if (left == 0 || token.n > TOKEN_MAX || word.n > TOKEN_MAX || token.n + left < word.n ||
	    token.n > word.n + left || token.p[0] != word.p[0]) {
		return false;
	}
	return within(token, word, left);
}
