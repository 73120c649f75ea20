/*
 * Tokens and lookups held against each other: whatever text holds a needle
 * has tokens that pass the needle's lookups, and where one lookup is called
 * exact, nothing else has.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "store/index.h"

struct words {
	struct buf b; /* NUL, token, NUL, token, NUL */
};

static void add(void *arg, struct slice token)
{
	struct words *w = arg;

	assert_true(token.n > 0 && token.n <= TOKEN_MAX);
	buf_add(&w->b, token);
	buf_addc(&w->b, 0);
}

static struct words words_in(const char *text, size_t n)
{
	struct words w = { .b = BUF_INIT(1 << 20) };

	buf_addc(&w.b, 0);
	tokens_of(slice_make(text, n), add, &w);
	return w;
}

static bool passes(const struct words *w, const struct lookup *l)
{
	char pattern[TOKEN_MAX + 2];
	size_t n = 0;

	if (l->starts) {
		pattern[n++] = 0;
	}
	memcpy(pattern + n, l->s.p, l->s.n);
	n += l->s.n;
	if (l->ends) {
		pattern[n++] = 0;
	}
	return slice_find(buf_slice(&w->b), slice_make(pattern, n)) != SIZE_MAX;
}

static void test_cut(void **state)
{
	static const struct {
		const char *text, *tokens; /* separated by "|" */
	} cases[] = {
		{ "", "" },
		{ " ,.-", "" },
		{ "hello, world-wide 42", "hello|world|wide|42" },
		{ "a_b@c.d", "a|b|c|d" },
		{ "na\xc3\xafve\xe2\x80\x94x", "na\xc3\xafve|x" },
		{ "\xe6\xbc\xa2", "\xe6\xbc\xa2" },
		{ "\xe6\xbc\xa2\xe5\xad\x97\xe4\xbb\xae",
		  "\xe6\xbc\xa2\xe5\xad\x97|\xe5\xad\x97\xe4\xbb\xae" },
		{ "x\xe6\xbc\xa2y", "x|\xe6\xbc\xa2|y" },
		{ "0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz",
		  "0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqr|"
		  "wxyz0123456789abcdefghijklmnopqrstuvwxyz" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct words w = words_in(cases[i].text, strlen(cases[i].text));
		struct buf got = BUF_INIT(1024);

		for (size_t k = 1; k < w.b.n; k++) {
			buf_addc(&got, w.b.p[k] ? w.b.p[k] : '|');
		}
		if (got.n) {
			buf_truncate(&got, got.n - 1);
		}
		assert_string_equal(buf_cstr(&got), cases[i].tokens);
		buf_fini(&got);
		buf_fini(&w.b);
	}
}

static uint64_t seed = 88172645463325252u;

static uint32_t below(uint32_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)((seed >> 20) % n);
}

/* Few different characters, so that needles are found by chance. */
static size_t random_text(char *p, size_t max)
{
	static const char *const chars[] = { "a",
					     "b",
					     "a",
					     "b",
					     "a",
					     "a",
					     "b",
					     " ",
					     "-",
					     "1",
					     "\xe6\xbc\xa2",
					     "\xe5\xad\x97",
					     "\xcc\x88",
					     "\xe2\x80\x94" };
	uint32_t kinds = below(3) ? ARRAY_LEN(chars) : 7;
	size_t n = 0, want = below((uint32_t)max);

	while (n + 4 < want) {
		const char *c = chars[below(kinds)];

		memcpy(p + n, c, strlen(c));
		n += strlen(c);
	}
	return n;
}

static void test_agree(void **state)
{
	unsigned found = 0, exact_hits = 0, narrowed = 0;

	(void)state;
	for (unsigned i = 0; i < 40000; i++) {
		char text[300], needle[120];
		size_t n = random_text(text, sizeof(text));
		size_t k = random_text(needle, below(4) ? 12 : sizeof(needle));
		struct lookup l[LOOKUPS_MAX];
		bool exact, all = true;

		if (n > 20 && below(3) == 0) { /* a piece of the text, at characters */
			size_t at = below((uint32_t)n);
			k = below(100);
			k = MIN(k, n - at);
			while (k && (text[at] & 0xc0) == 0x80) {
				at++;
				k--;
			}
			while (k && at + k < n && (text[at + k] & 0xc0) == 0x80) {
				k--;
			}
			memcpy(needle, text + at, k);
		}
		unsigned asked = lookups_of(slice_make(needle, k), l, &exact);

		if (!asked) {
			continue;
		}
		struct words w = words_in(text, n);
		bool is = slice_find(slice_make(text, n), slice_make(needle, k)) != SIZE_MAX;

		for (unsigned j = 0; j < asked; j++) {
			all = all && passes(&w, &l[j]);
		}
		assert_true(all || !is);
		assert_true(!exact || all == is);
		found += is;
		exact_hits += exact && is;
		narrowed += !all;
		buf_fini(&w.b);
	}
	assert_true(found > 5000 && exact_hits > 500 && narrowed > 5000);
}

static void test_near(void **state)
{
	static const struct {
		const char *token, *word;
		bool near;
	} cases[] = {
		{ "hello", "hello", true },
		{ "hello", "hell", true },
		{ "helo", "hello", true },
		{ "hxllo", "hello", true },
		{ "jello", "hello", false },
		{ "hel", "hello", false },
		{ "cat", "car", false },
		{ "meeting", "meeding", true },
		{ "appointment", "apointmend", true },
		{ "appointment", "apptment", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		if (token_near(slice_cstr(cases[i].token), slice_cstr(cases[i].word)) !=
		    cases[i].near) {
			fail_msg("%s, %s", cases[i].token, cases[i].word);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_cut),
					    cmocka_unit_test(test_agree),
					    cmocka_unit_test(test_near) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
