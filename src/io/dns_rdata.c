/*
 * Reading RDATA (RFC 1035 3.3, 3596, 6698): see dns.h.
 *
 * The octets may be those of an enemy, as short, as long and as false as he
 * likes (THREATS OU-06): every length is looked at before it is believed, and
 * what is left over behind a record makes it damaged.
 */
#include <arpa/inet.h>

#include "base/cur.h"
#include "io/dns.h"

/* Labels and the dots between them; false if a length lies. */
static bool take_labels(struct cur *c, struct buf *text)
{
	size_t wire = 1;
	uint8_t n = cur_get8(c);

	for (bool first = true; n > 0 && !c->err; first = false) {
		struct slice label;

		/* A pointer (0xc0) is too long for a label, too. */
		wire += n + 1u;
		if (n > DNS_LABEL_MAX || wire > DNS_NAME_MAX + 2) {
			return false;
		}
		label = cur_take(c, n);
		if (!first) {
			buf_addc(text, '.');
		}
		dns_label_text(label, text);
		n = cur_get8(c);
	}
	return !c->err;
}

size_t dns_rdata_name(struct slice rdata, struct buf *out)
{
	struct cur c = cur_init(rdata);
	size_t start = out->n;

	if (!take_labels(&c, out)) {
		buf_truncate(out, start);
		return 0;
	}
	if (out->n == start) {
		buf_addc(out, '.');
	}
	return rdata.n - cur_left(&c);
}

int dns_rdata_addr(enum dns_type type, struct slice rdata, struct net_addr *out)
{
	struct net_addr a;

	memset(&a, 0, sizeof(a));
	if (type == DNS_A && rdata.n == sizeof(a.in.sin_addr)) {
		a.in.sin_family = AF_INET;
		memcpy(&a.in.sin_addr, rdata.p, rdata.n);
		a.len = sizeof(a.in);
	} else if (type == DNS_AAAA && rdata.n == sizeof(a.in6.sin6_addr)) {
		a.in6.sin6_family = AF_INET6;
		memcpy(&a.in6.sin6_addr, rdata.p, rdata.n);
		a.len = sizeof(a.in6);
	} else {
		return -EINVAL;
	}
	*out = a;
	return 0;
}

int dns_rdata_mx(struct slice rdata, uint16_t *preference, struct buf *out)
{
	struct cur c = cur_init(rdata);
	unsigned high = cur_get8(&c);
	unsigned low = cur_get8(&c);
	struct slice name = cur_rest(&c);
	size_t start = out->n;
	size_t used;

	if (c.err) {
		return -EINVAL;
	}
	used = dns_rdata_name(name, out);
	if (used == 0 || used != name.n) {
		buf_truncate(out, start);
		return -EINVAL;
	}
	*preference = (uint16_t)(high << 8 | low);
	return 0;
}

int dns_rdata_txt(struct slice rdata, struct buf *out)
{
	struct cur c = cur_init(rdata);
	size_t start = out->n;

	do {
		size_t n = cur_get8(&c);

		buf_add(out, cur_take(&c, n));
	} while (!cur_done(&c));
	if (c.err) {
		buf_truncate(out, start);
		return -EINVAL;
	}
	return 0;
}

int dns_rdata_tlsa(struct slice rdata, struct dns_tlsa *out)
{
	struct cur c = cur_init(rdata);
	struct dns_tlsa t = { 0 };

	t.usage = cur_get8(&c);
	t.selector = cur_get8(&c);
	t.matching = cur_get8(&c);
	t.data = cur_rest(&c);
	if (c.err || t.data.n == 0) {
		return -EINVAL;
	}
	*out = t;
	return 0;
}

static void reverse_v4(const uint8_t *ip, struct buf *out)
{
	buf_printf(out, "%u.%u.%u.%u.", ip[3], ip[2], ip[1], ip[0]);
}

static void reverse_v6(const uint8_t ip[16], struct buf *out)
{
	for (int i = 15; i >= 0; i--) {
		buf_printf(out, "%x.%x.", ip[i] & 15u, ip[i] >> 4);
	}
}

void dns_reverse_name(const struct net_addr *addr, struct slice suffix, struct buf *out)
{
	struct slice o = net_addr_octets(addr);
	bool v6 = o.n == 16;

	if (v6) {
		reverse_v6((const uint8_t *)o.p, out);
	} else if (o.n == 4) {
		reverse_v4((const uint8_t *)o.p, out);
	}
	if (suffix.n > 0) {
		buf_add(out, suffix);
	} else {
		buf_adds(out, v6 ? "ip6.arpa" : "in-addr.arpa");
	}
}
