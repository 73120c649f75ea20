/*
 * utf8: strict UTF-8 (RFC 3629 section 4) by hand, normalisation and case
 * folding by libunistring. Checking is by hand because it runs over whatever
 * peers send and must say "one bad byte here" and go on.
 */
#include "base/utf8.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unicase.h>
#include <unictype.h>
#include <uninorm.h>

#include "base/err.h"

/*
 * UTF8-2 = C2-DF tail; UTF8-3 = E0 A0-BF tail / E1-EC 2tail / ED 80-9F tail /
 * EE-EF 2tail; UTF8-4 = F0 90-BF 2tail / F1-F3 3tail / F4 80-8F 2tail
 * RFC 3629 4. Returns the length by the first byte, 0 if it starts nothing,
 * and the range the second byte must be in.
 */
static size_t lead(unsigned char c, unsigned char *lo, unsigned char *hi)
{
	*lo = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
	*hi = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
	if (c < 0x80) {
		return 1;
	}
	if (c < 0xc2 || c > 0xf4) {
		return 0;
	}
	return c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
}

int32_t utf8_next(struct slice *s)
{
	static const unsigned char mask[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
	const unsigned char *p = (const unsigned char *)s->p;
	unsigned char lo, hi;

	assert(s->n > 0);
	size_t n = lead(p[0], &lo, &hi);
	bool ok = n > 0 && n <= s->n;
	int32_t cp = ok ? p[0] & mask[n] : -1;
	for (size_t i = 1; ok && i < n; i++) {
		ok = p[i] >= lo && p[i] <= hi;
		cp = cp << 6 | (p[i] & 0x3f);
		lo = 0x80;
		hi = 0xbf;
	}
	*s = slice_from(*s, ok ? n : 1);
	return ok ? cp : -1;
}

bool utf8_valid(struct slice s)
{
	while (s.n) {
		if (utf8_next(&s) < 0) {
			return false;
		}
	}
	return true;
}

void utf8_add(struct buf *b, uint32_t cp)
{
	char p[4];
	size_t n = cp < 0x80 ? 1 : cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
	static const unsigned char first[] = { 0, 0, 0xc0, 0xe0, 0xf0 };

	assert(cp <= 0x10ffff && (cp < 0xd800 || cp > 0xdfff));
	for (size_t i = n; i-- > 1;) {
		p[i] = (char)(0x80 | (cp & 0x3f));
		cp >>= 6;
	}
	p[0] = (char)(first[n] | cp);
	buf_add(b, slice_make(p, n));
}

void utf8_repair(struct buf *b, struct slice s)
{
	while (s.n) {
		const char *start = s.p;
		if (utf8_next(&s) < 0) {
			utf8_add(b, 0xfffd);
		} else {
			buf_add(b, slice_make(start, (size_t)(s.p - start)));
		}
	}
}

/* What libunistring answered goes to b; NULL is its want of memory. */
static int add_answer(struct buf *b, uint8_t *answer, size_t n)
{
	if (!answer) {
		b->err = b->err ? b->err : -ENOMEM;
		return -ENOMEM;
	}
	buf_add(b, slice_make((const char *)answer, n));
	free(answer);
	return 0;
}

int utf8_nfc(struct buf *b, struct slice s)
{
	size_t n;

	if (!slice_has_8bit(s)) {
		buf_add(b, s);
		return 0;
	}
	if (!utf8_valid(s)) {
		return -EINVAL;
	}
	uint8_t *u = u8_normalize(UNINORM_NFC, (const uint8_t *)s.p, s.n, NULL, &n);
	return add_answer(b, u, n);
}

void utf8_title(struct buf *b, struct slice s)
{
	while (s.n) {
		int32_t cp = utf8_next(&s);
		utf8_add(b, cp < 0 ? 0xfffd : uc_totitle((ucs4_t)cp));
	}
}

/* Any valid text, by the library: some microseconds. */
static int fold_any(struct buf *b, struct slice s)
{
	struct buf title = BUF_INIT(4 * s.n + 4);
	uint8_t *plain = NULL;
	uint8_t *folded = NULL;
	size_t n = 0;

	utf8_title(&title, s);
	if (!title.err) {
		plain = u8_normalize(UNINORM_NFKD, (const uint8_t *)title.p, title.n, NULL, &n);
	}
	if (plain) {
		folded = u8_casefold(plain, n, NULL, UNINORM_NFKD, NULL, &n);
	}
	free(plain);
	buf_fini(&title);
	return add_answer(b, folded, n);
}

/*
 * What a character becomes that stands alone, remembered: mail is full of a
 * few accented letters and quotes. One whose folding begins with a combining
 * mark does not stand alone (marks are put in order across characters).
 */
#define REMEMBERED 0x3100
#define REMEMBERED_BYTES 14

struct remembered {
	atomic_uchar state; /* 0 not looked up, 1 stands alone, 2 does not */
	unsigned char n;
	char b[REMEMBERED_BYTES];
};

static struct remembered remembered[REMEMBERED];
static pthread_mutex_t remembering = PTHREAD_MUTEX_INITIALIZER;

static bool starts_with_mark(struct slice s)
{
	return s.n == 0 || uc_combining_class((ucs4_t)utf8_next(&s)) != 0;
}

static unsigned char look_up(uint32_t cp)
{
	struct remembered *r = &remembered[cp];
	struct buf in = BUF_INIT(8), out = BUF_INIT(64);
	unsigned char state = 2;

	utf8_add(&in, cp);
	if (fold_any(&out, buf_slice(&in)) == 0 && out.err == 0 && out.n <= REMEMBERED_BYTES &&
	    !starts_with_mark(buf_slice(&out))) {
		pthread_mutex_lock(&remembering);
		if (atomic_load(&r->state) == 0) {
			memcpy(r->b, out.p, out.n);
			r->n = (unsigned char)out.n;
		}
		state = 1;
	} else {
		pthread_mutex_lock(&remembering);
	}
	atomic_store_explicit(&r->state, state, memory_order_release);
	pthread_mutex_unlock(&remembering);
	buf_fini(&in);
	buf_fini(&out);
	return state;
}

/* A run without ASCII; false: a character in it does not stand alone. */
static bool fold_known(struct buf *b, struct slice run)
{
	while (run.n) {
		const char *p = run.p;
		uint32_t cp = (uint32_t)utf8_next(&run);

		if (cp >= 0x4e00 && cp < 0xa000) { /* unified ideographs stay */
			buf_add(b, slice_make(p, (size_t)(run.p - p)));
			continue;
		}
		if (cp >= REMEMBERED) {
			return false;
		}
		struct remembered *r = &remembered[cp];
		unsigned char state = atomic_load_explicit(&r->state, memory_order_acquire);

		if ((state ? state : look_up(cp)) != 1) {
			return false;
		}
		buf_add(b, slice_make(r->b, r->n));
	}
	return true;
}

static size_t ascii_run(struct slice s)
{
	size_t n = 0;

	while (n < s.n && !((unsigned char)s.p[n] & 0x80)) {
		n++;
	}
	return n;
}

static size_t other_run(struct slice s)
{
	size_t n = 0;

	while (n < s.n && (unsigned char)s.p[n] & 0x80) {
		n++;
	}
	return n;
}

static void fold_ascii(struct buf *b, struct slice s)
{
	char *p = s.n ? buf_reserve(b, s.n) : NULL;

	for (size_t i = 0; p && i < s.n; i++) {
		p[i] = (char)ascii_lower((unsigned char)s.p[i]);
	}
	if (p) {
		buf_commit(b, s.n);
	}
}

/* ASCII never changes with what is around it, so runs fold by themselves. */
int utf8_fold(struct buf *b, struct slice s)
{
	int r = 0;

	if (slice_has_8bit(s) && !utf8_valid(s)) {
		return -EINVAL;
	}
	while (s.n && r == 0) {
		size_t n = ascii_run(s);

		fold_ascii(b, slice_sub(s, 0, n));
		s = slice_from(s, n);
		n = other_run(s);
		size_t at = b->n;

		if (!fold_known(b, slice_sub(s, 0, n))) {
			buf_truncate(b, b->err ? b->n : at);
			r = fold_any(b, slice_sub(s, 0, n));
		}
		s = slice_from(s, n);
	}
	return r;
}
