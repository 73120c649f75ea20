/*
 * The PROXY protocol: see proxy.h. Strict: one blank between the words of
 * version 1, numbers without signs or leading zeros, TLVs that fill their
 * frame exactly. What a TLV says is not used.
 */
#include "io/proxy.h"

#include <stdlib.h>

#include "base/cur.h"
#include "base/err.h"

#define SIGNATURE S("\r\n\r\n\0\r\nQUIT\n")
#define FRAME 16 /* signature, command, family, length */

enum { LOCAL = 0x20, PROXY = 0x21 };
enum { TCP4 = 0x11, TCP6 = 0x21, UNIX_STREAM = 0x31 };

/* ---- version 1 ------------------------------------------------------------ */

static void take_addr(struct cur *c, int family, struct net_addr *out)
{
	struct slice text = cur_until(c, ' ', PROXY_V1_MAX);
	bool odd = slice_chr(text, '[') != SIZE_MAX || slice_eq(text, S("*"));

	if (!c->err && (odd || net_addr_parse(text, 0, out) != 0 || out->sa.sa_family != family)) {
		cur_fail(c, -EINVAL);
	}
}

static void take_port(struct cur *c, struct net_addr *out)
{
	bool zero = cur_peek(c) == '0';
	const char *from = c->p;
	uint32_t port = cur_u32(c);

	if (!c->err && (port > 65535 || (zero && c->p - from > 1))) {
		cur_fail(c, -EINVAL);
	}
	out->in.sin_port = htons((uint16_t)port); /* where both families have it */
}

/* line = "PROXY" SP proto SP src SP dst SP sport SP dport, without its CRLF */
static int parse_v1(struct slice line, struct proxy_header *out)
{
	struct cur c = cur_init(line);
	int family = AF_INET;

	if (!cur_exact(&c, S("PROXY "))) {
		return -EPROTO;
	}
	if (cur_exact(&c, S("UNKNOWN"))) {
		return cur_done(&c) || cur_peek(&c) == ' ' ? 1 : -EPROTO;
	}
	if (cur_exact(&c, S("TCP6 "))) {
		family = AF_INET6;
	} else if (!cur_exact(&c, S("TCP4 "))) {
		return -EPROTO;
	}
	take_addr(&c, family, &out->src);
	take_addr(&c, family, &out->dst);
	take_port(&c, &out->src);
	cur_sp(&c);
	take_port(&c, &out->dst);
	if (!cur_end(&c)) {
		return -EPROTO;
	}
	out->known = true;
	return 1;
}

static int find_v1(struct slice data, struct proxy_header *out, size_t *n)
{
	size_t lf = slice_chr(slice_sub(data, 0, PROXY_V1_MAX), '\n');

	if (lf == SIZE_MAX) {
		*n = data.n + 1;
		return data.n >= PROXY_V1_MAX ? -EMSGSIZE : 0;
	}
	*n = lf + 1;
	return data.p[lf - 1] == '\r' ? parse_v1(slice_sub(data, 0, lf - 1), out) : -EPROTO;
}

/* ---- version 2 ------------------------------------------------------------ */

static void take_ends(struct cur *c, int family, size_t size, struct proxy_header *out)
{
	struct slice src = cur_take(c, size);
	struct slice dst = cur_take(c, size);
	struct slice ports = cur_take(c, 4);

	if (c->err) {
		return;
	}
	memset(&out->src, 0, sizeof(out->src));
	memset(&out->dst, 0, sizeof(out->dst));
	out->src.sa.sa_family = out->dst.sa.sa_family = (sa_family_t)family;
	if (family == AF_INET) {
		out->src.len = out->dst.len = sizeof(struct sockaddr_in);
		memcpy(&out->src.in.sin_addr, src.p, size);
		memcpy(&out->dst.in.sin_addr, dst.p, size);
	} else {
		out->src.len = out->dst.len = sizeof(struct sockaddr_in6);
		memcpy(&out->src.in6.sin6_addr, src.p, size);
		memcpy(&out->dst.in6.sin6_addr, dst.p, size);
	}
	memcpy(&out->src.in.sin_port, ports.p, 2);
	memcpy(&out->dst.in.sin_port, ports.p + 2, 2);
	out->known = true;
}

static void skip_tlvs(struct cur *c)
{
	while (!cur_done(c)) {
		size_t hi, lo;

		cur_byte(c);
		hi = cur_get8(c);
		lo = cur_get8(c);
		cur_take(c, hi << 8 | lo);
	}
}

/* What stands behind the frame: addresses, then TLVs. */
static int parse_v2(uint8_t command, uint8_t family, struct slice body, struct proxy_header *out)
{
	struct cur c = cur_init(body);

	if (command == LOCAL) {
		return 1; /* whatever it says, it is the proxy itself */
	}
	if (command != PROXY) {
		return -EPROTO;
	}
	switch (family) {
	case 0:
		break;
	case TCP4:
		take_ends(&c, AF_INET, 4, out);
		break;
	case TCP6:
		take_ends(&c, AF_INET6, 16, out);
		break;
	case UNIX_STREAM:
		cur_take(&c, 216);
		break;
	default:
		return -EPROTO;
	}
	skip_tlvs(&c);
	return c.err ? -EPROTO : 1;
}

static int find_v2(struct slice data, struct proxy_header *out, size_t *n)
{
	size_t len;

	*n = FRAME;
	if (data.n < FRAME) {
		return 0;
	}
	len = (size_t)(unsigned char)data.p[14] << 8 | (unsigned char)data.p[15];
	if (len > PROXY_V2_MAX - FRAME) {
		return -EMSGSIZE;
	}
	*n = FRAME + len;
	if (data.n < *n) {
		return 0;
	}
	return parse_v2((uint8_t)data.p[12], (uint8_t)data.p[13], slice_sub(data, FRAME, len), out);
}

/* ---- both ------------------------------------------------------------------ */

int proxy_parse(struct slice data, struct proxy_header *out, size_t *n)
{
	struct proxy_header h = { .known = false, .src.len = 0, .dst.len = 0 };
	int r;

	*n = PROXY_LEAST;
	if (data.n < PROXY_LEAST) {
		return 0;
	}
	if (slice_starts(data, SIGNATURE)) {
		r = find_v2(data, &h, n);
	} else if (slice_starts(data, S("PROXY "))) {
		r = find_v1(data, &h, n);
	} else {
		return -EPROTO;
	}
	if (r == 1) {
		net_addr_unmap(&h.src);
		net_addr_unmap(&h.dst);
		*out = h;
	}
	return r;
}

int proxy_read(struct stream *s, struct proxy_header *out)
{
	char *p = malloc(PROXY_V2_MAX);
	size_t have = 0, need = PROXY_LEAST;
	int r = p ? 0 : -ENOMEM;

	while (r == 0) {
		ssize_t n = stream_read(s, p + have, need - have);

		if (n <= 0) {
			r = n == 0 ? -ECONNRESET : (int)n;
			break;
		}
		have += (size_t)n;
		if (have == need) {
			r = proxy_parse(slice_make(p, have), out, &need);
		}
	}
	free(p);
	return MIN(r, 0);
}
