/* Reverse names and whether they are true: see ptr.h. */
#include "trust/ptr.h"

bool ptr_name_within(struct slice name, struct slice domain)
{
	return slice_iends(name, domain) &&
	       (name.n == domain.n || name.p[name.n - domain.n - 1] == '.');
}

struct net_addr ptr_plain(const struct net_addr *ip)
{
	struct net_addr out = *ip;

	net_addr_unmap(&out);
	if (net_addr_octets(&out).n == 0) {
		out.len = 0;
	}
	return out;
}

/* As it is written: IPv4 within IPv6 is IPv6 here (RFC 7208 5.6). */
static struct slice written(const struct net_addr *a)
{
	return a->sa.sa_family == AF_INET6 ? slice_make((const char *)&a->in6.sin6_addr, 16)
					   : slice_make((const char *)&a->in.sin_addr, 4);
}

bool ptr_same_net(const struct net_addr *x, const struct net_addr *y, unsigned bits)
{
	return x->len && x->sa.sa_family == y->sa.sa_family &&
	       net_octets_agree(written(x), written(y), bits);
}

CO_FN int ptr_claimed(struct dns *d, const struct net_addr *ip, int64_t deadline, struct arena *a,
		      struct ptr_names *out)
{
	struct buf name = BUF_INIT(DNS_NAME_MAX);
	struct dns_answer ans;
	int r;

	*out = (struct ptr_names){ .result = DNS_NXDOMAIN };
	dns_reverse_name(ip, S(""), &name);
	r = name.err ? -ENOMEM : dns_query(d, buf_slice(&name), DNS_PTR, deadline, a, &ans);
	buf_fini(&name);
	if (r < 0) {
		return r;
	}
	out->result = ans.result;
	for (size_t i = 0; i < MIN(ans.n, PTR_NAMES_MAX); i++) {
		struct buf text = BUF_INIT(DNS_TEXT_MAX);

		size_t used = dns_rdata_name(ans.rdata[i], &text);

		/* With odd octets it is no host. */
		if (used > 0 && used == ans.rdata[i].n && !text.err &&
		    slice_chr(buf_slice(&text), '\\') == SIZE_MAX) {
			out->names[out->n++] = arena_dup(a, buf_slice(&text));
		}
		buf_fini(&text);
	}
	return arena_err(a) ? -ENOMEM : 0;
}

CO_FN int ptr_verify(struct dns *d, struct slice name, const struct net_addr *ip, int64_t deadline,
		     struct arena *a, bool *is, enum dns_result *result)
{
	bool v6 = ip->sa.sa_family == AF_INET6;
	enum dns_type type = v6 ? DNS_AAAA : DNS_A;
	struct dns_answer ans;
	int r = dns_query(d, name, type, deadline, a, &ans);

	*is = false;
	if (r < 0) {
		*result = DNS_NXDOMAIN;
		return r == -EINVAL ? 0 : r;
	}
	*result = ans.result;
	for (size_t i = 0; i < ans.n && !*is; i++) {
		struct net_addr addr;

		*is = dns_rdata_addr(type, ans.rdata[i], &addr) == 0 &&
		      ptr_same_net(&addr, ip, v6 ? 128 : 32);
	}
	return 0;
}
