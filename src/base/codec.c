/*
 * codec: base64, quoted-printable, RFC 2047 "Q" and hex.
 *
 * Two tempers, on purpose: what a protocol carries is decoded strictly, or
 * two spellings of one secret would both work; what mail carries is decoded
 * as far as it goes. The streaming decoder holds back at most what may still
 * turn out otherwise (an unfinished group, white space that may end a line),
 * so any split of the input gives the same output. Called by auth (SASL),
 * mime (bodies, encoded words) and the store.
 */
#include "base/codec.h"

#include "base/err.h"

static const char b64_alphabet[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int b64_value(unsigned char c)
{
	if (ascii_isalpha(c)) {
		return c >= 'a' ? c - 'a' + 26 : c - 'A';
	}
	if (ascii_isdigit(c)) {
		return c - '0' + 52;
	}
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static int hex_value(unsigned char c)
{
	if (ascii_isdigit(c)) {
		return c - '0';
	}
	c = ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

void base64_encode(struct buf *b, struct slice s)
{
	for (size_t i = 0; i < s.n; i += 3) {
		size_t have = MIN(s.n - i, (size_t)3);
		uint32_t v = 0;
		char out[4];

		for (size_t k = 0; k < 3; k++) {
			v = v << 8 | (k < have ? (unsigned char)s.p[i + k] : 0);
		}
		for (size_t k = 0; k < 4; k++) {
			out[k] = k <= have ? b64_alphabet[v >> (18 - 6 * k) & 63] : '=';
		}
		buf_add(b, slice_make(out, 4));
	}
}

int base64_decode(struct buf *b, struct slice s)
{
	size_t pad = 0;
	size_t before = b->n;
	uint32_t v = 0;

	if (s.n % 4) {
		return -EINVAL;
	}
	while (pad < 2 && pad < s.n && s.p[s.n - 1 - pad] == '=') {
		pad++;
	}
	for (size_t i = 0; i < s.n - pad; i++) {
		int x = b64_value((unsigned char)s.p[i]);
		if (x < 0) {
			buf_truncate(b, before);
			return -EINVAL;
		}
		v = v << 6 | (uint32_t)x;
		if (i % 4 == 3) {
			char out[3] = { (char)(v >> 16 & 255), (char)(v >> 8 & 255),
					(char)(v & 255) };
			buf_add(b, slice_make(out, 3));
			v = 0;
		}
	}
	/* One pad leaves 18 bits of which 2 must be zero; two leave 12 and 4. */
	if (pad && (v & (pad == 1 ? 3 : 15))) {
		buf_truncate(b, before);
		return -EINVAL;
	}
	if (pad) {
		v <<= 6 * pad;
		char out[2] = { (char)(v >> 16 & 255), (char)(v >> 8 & 255) };
		buf_add(b, slice_make(out, 3 - pad));
	}
	return 0;
}

void hex_encode(struct buf *b, struct slice s)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		char out[2] = { digits[c >> 4], digits[c & 15] };
		buf_add(b, slice_make(out, 2));
	}
}

int hex_decode(struct buf *b, struct slice s)
{
	size_t before = b->n;

	if (s.n % 2) {
		return -EINVAL;
	}
	for (size_t i = 0; i < s.n; i += 2) {
		int hi = hex_value((unsigned char)s.p[i]);
		int lo = hex_value((unsigned char)s.p[i + 1]);
		if (hi < 0 || lo < 0) {
			buf_truncate(b, before);
			return -EINVAL;
		}
		buf_addc(b, (char)(hi << 4 | lo));
	}
	return 0;
}

/* The bytes that nacc six-bit groups in acc are enough for. */
static void b64_flush(struct codec *c, struct buf *b)
{
	uint32_t v = c->acc << (6 * (4 - c->nacc));
	char out[3] = { (char)(v >> 16 & 255), (char)(v >> 8 & 255), (char)(v & 255) };

	if (c->nacc >= 2) {
		buf_add(b, slice_make(out, c->nacc - 1));
	}
	c->acc = 0;
	c->nacc = 0;
}

/* "=" after two or three letters ends the data (RFC 2045 6.8). */
static void b64_feed(struct codec *c, struct buf *b, struct slice s)
{
	for (size_t i = 0; i < s.n && !c->ended; i++) {
		int x = b64_value((unsigned char)s.p[i]);
		if (x >= 0) {
			c->acc = c->acc << 6 | (uint32_t)x;
			if (++c->nacc == 4) {
				b64_flush(c, b);
			}
		} else if (s.p[i] == '=' && c->nacc >= 2) {
			b64_flush(c, b);
			c->ended = true;
		}
	}
}

static bool is_wsp(char c)
{
	return c == ' ' || c == '\t';
}

static void hold(struct codec *c, char ch)
{
	assert(c->npend < sizeof(c->pend));
	c->pend[c->npend++] = ch;
}

/* What was held back was meant as it stands. */
static void release(struct codec *c, struct buf *b)
{
	buf_add(b, slice_make(c->pend, c->npend));
	c->npend = 0;
}

/* ch after a "=" that is held; false if ch must be looked at afresh. */
static bool qp_escape(struct codec *c, struct buf *b, char ch)
{
	char last = c->pend[c->npend - 1];
	int hi = hex_value((unsigned char)last);
	int lo = hex_value((unsigned char)ch);

	if (last == '\r') { /* "=" CR: a soft break, LF belongs to it */
		c->npend = 0;
		return ch == '\n';
	}
	if (c->npend == 2 && hi >= 0) {
		if (lo >= 0) {
			c->npend = 0;
			buf_addc(b, (char)(hi << 4 | lo));
			return true;
		}
	} else if (c->npend == 1 && lo >= 0) {
		hold(c, ch);
		return true;
	} else if (c->kind == CODEC_QP && ch == '\n') {
		c->npend = 0;
		return true;
	} else if (c->kind == CODEC_QP && c->npend < sizeof(c->pend) &&
		   (is_wsp(ch) || ch == '\r')) {
		hold(c, ch);
		return true;
	}
	release(c, b);
	return false;
}

static void qp_byte(struct codec *c, struct buf *b, char ch)
{
	if (c->npend && c->pend[0] == '=' && qp_escape(c, b, ch)) {
		return;
	}
	if (ch == '=') {
		release(c, b);
		hold(c, ch);
	} else if (c->kind == CODEC_Q) {
		buf_addc(b, ch == '_' ? ' ' : ch);
	} else if (is_wsp(ch)) {
		if (c->npend == sizeof(c->pend)) {
			release(c, b); /* longer than a line may be: keep it */
		}
		hold(c, ch);
	} else {
		if (ch == '\r' || ch == '\n') {
			c->npend = 0; /* white space that ended the line */
		}
		release(c, b);
		buf_addc(b, ch);
	}
}

void codec_feed(struct codec *c, struct buf *b, struct slice s)
{
	switch (c->kind) {
	case CODEC_IDENTITY:
		buf_add(b, s);
		return;
	case CODEC_BASE64:
		b64_feed(c, b, s);
		return;
	case CODEC_QP:
	case CODEC_Q:
		for (size_t i = 0; i < s.n; i++) {
			qp_byte(c, b, s.p[i]);
		}
		return;
	}
}

void codec_end(struct codec *c, struct buf *b)
{
	if (c->kind == CODEC_BASE64) {
		b64_flush(c, b);
	}
	/* A line's white space goes with the line; so does a last soft break. */
	if (c->kind == CODEC_QP && c->npend &&
	    (c->pend[0] != '=' || hex_value((unsigned char)c->pend[c->npend - 1]) < 0)) {
		c->npend = 0;
	}
	release(c, b);
	*c = (struct codec){ .kind = c->kind };
}
