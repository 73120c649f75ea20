/*
 * pattern: see pattern.h. State i means "the first i characters of the
 * pattern have matched"; there is one bit for each.
 */
#include "imap/pattern.h"

#include "base/err.h"

static void set_bit(uint64_t *w, size_t i)
{
	w[i / 64] |= UINT64_C(1) << (i % 64);
}

/* Writes text with runs of wildcards made one ("*" wins); SIZE_MAX: longer
 * than any pattern that could match. */
static size_t collapse(struct slice text, char *dst)
{
	size_t n = 0;

	for (size_t i = 0; i < text.n; i++) {
		char ch = text.p[i];
		bool wild = ch == '*' || ch == '%';
		if (wild && n > 0 && (dst[n - 1] == '*' || dst[n - 1] == '%')) {
			dst[n - 1] = ch == '*' ? '*' : dst[n - 1];
		} else if (n == PATTERN_MAX) {
			return SIZE_MAX;
		} else {
			dst[n++] = ch;
		}
	}
	return n;
}

int pattern_compile(struct arena *a, struct slice text, struct pattern *out)
{
	struct pattern p = { 0 };
	char flat[PATTERN_MAX];
	size_t n = collapse(text, flat);

	if (n == SIZE_MAX) {
		*out = (struct pattern){ .never = true };
		return 0;
	}
	p.chars = arena_array(a, 256, sizeof(p.chars[0]));
	if (!p.chars) {
		return -ENOMEM;
	}
	p.n = n;
	for (size_t i = 0; i < n; i++) {
		if (flat[i] == '*') {
			set_bit(p.star, i);
		} else if (flat[i] == '%') {
			set_bit(p.percent, i);
		} else {
			set_bit(p.chars[(unsigned char)flat[i]], i);
		}
	}
	*out = p;
	return 0;
}

/* A wildcard may match nothing: whoever stands before it stands behind it
 * too. No two wildcards are neighbours, so once is enough. */
static void skip_wildcards(const struct pattern *p, uint64_t *s)
{
	uint64_t carry = 0;

	for (size_t i = 0; i < PATTERN_WORDS; i++) {
		uint64_t at = s[i] & (p->star[i] | p->percent[i]);
		s[i] |= at << 1 | carry;
		carry = at >> 63;
	}
}

static void step(const struct pattern *p, uint64_t *s, unsigned char ch, bool icase)
{
	const uint64_t *m = p->chars[ch];
	const uint64_t *m2 = p->chars[icase && ascii_isalpha(ch) ? ch ^ 0x20 : ch];
	uint64_t carry = 0;

	for (size_t i = 0; i < PATTERN_WORDS; i++) {
		uint64_t move = s[i] & (m[i] | m2[i]);
		uint64_t stay = s[i] & p->star[i];
		if (ch != '/') {
			stay |= s[i] & p->percent[i];
		}
		s[i] = stay | move << 1 | carry;
		carry = move >> 63;
	}
	skip_wildcards(p, s);
}

bool pattern_match(const struct pattern *p, struct slice name, bool icase)
{
	uint64_t s[PATTERN_WORDS] = { 1 };

	if (p->never) {
		return false;
	}
	skip_wildcards(p, s);
	for (size_t i = 0; i < name.n; i++) {
		step(p, s, (unsigned char)name.p[i], icase);
	}
	return s[p->n / 64] >> (p->n % 64) & 1;
}
