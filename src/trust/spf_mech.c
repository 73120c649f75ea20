/*
 * The mechanisms of SPF that ask the DNS (RFC 7208 5), and asking itself with
 * its limits (4.6.4).
 *
 * Answers live in the check's scratch arena, which goes back to its mark when
 * a mechanism is done.
 */
#include <stdarg.h>

#include "trust/spf_impl.h"

#define PROBLEM_MAX 700

/* ---- ends --------------------------------------------------------------------- */

int spf_end(struct spf_check *c, enum trust_result result, const char *fmt, ...)
{
	struct buf text = BUF_INIT(PROBLEM_MAX);
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	for (size_t i = 0; i < text.n; i++) {
		unsigned char ch = (unsigned char)text.p[i];

		text.p[i] = ch >= ' ' && ch < 0x7f ? text.p[i] : '?';
	}
	c->problem = arena_dup(c->arena, buf_slice(&text));
	buf_fini(&text);
	return arena_err(c->arena) ? -ENOMEM : (int)result;
}

int spf_count_term(struct spf_check *c)
{
	if (++c->terms > SPF_TERMS_MAX) {
		return spf_end(c, TRUST_PERMERROR, "more than %d terms ask the DNS", SPF_TERMS_MAX);
	}
	return 0;
}

static const char *type_name(enum dns_type type)
{
	switch (type) {
	case DNS_A:
		return "A";
	case DNS_AAAA:
		return "AAAA";
	case DNS_MX:
		return "MX";
	case DNS_PTR:
		return "PTR";
	default:
		return "TXT";
	}
}

CO_FN int spf_ask(struct spf_check *c, struct slice name, enum dns_type type, bool may_be_void,
		  struct dns_answer *out)
{
	int r = dns_query(c->dns, name, type, c->deadline, &c->scratch, out);

	if (r == -EINVAL) {
		*out = (struct dns_answer){ .result = DNS_NXDOMAIN };
		return 0;
	}
	if (r < 0) {
		return r;
	}
	if (out->result == DNS_FAIL) {
		return spf_end(c, TRUST_TEMPERROR, "DNS, %s of %.*s: %s", type_name(type),
			       (int)MIN(name.n, DNS_NAME_MAX), name.p, out->why);
	}
	if (out->result != DNS_OK && !may_be_void && ++c->voids > SPF_VOID_MAX) {
		return spf_end(c, TRUST_PERMERROR, "more than %d questions without an answer",
			       SPF_VOID_MAX);
	}
	return 0;
}

/* ---- addresses ------------------------------------------------------------------ */

static bool in_net(const struct spf_check *c, const struct spf_term *t, const struct net_addr *net)
{
	return ptr_same_net(&c->ip, net, net->sa.sa_family == AF_INET6 ? t->cidr6 : t->cidr4);
}

/* Is the client one of this host's addresses, or near it? */
CO_FN static int match_host(struct spf_check *c, struct slice host, const struct spf_term *t,
			    bool *match)
{
	enum dns_type type = c->ip.sa.sa_family == AF_INET6 ? DNS_AAAA : DNS_A;
	struct dns_answer ans;
	int r = spf_ask(c, host, type, false, &ans);

	for (size_t i = 0; r == 0 && i < ans.n && !*match; i++) {
		struct net_addr addr;

		*match = dns_rdata_addr(type, ans.rdata[i], &addr) == 0 && in_net(c, t, &addr);
	}
	return r;
}

CO_FN static int match_exchange(struct spf_check *c, struct slice rdata, const struct spf_term *t,
				bool *match)
{
	struct arena_mark mark = arena_mark(&c->scratch);
	struct buf host = BUF_INIT(DNS_TEXT_MAX);
	uint16_t preference;
	int r = 0;

	/* "." is a null MX (RFC 7505); with odd octets it is no host. */
	if (dns_rdata_mx(rdata, &preference, &host) == 0 && !slice_eq(buf_slice(&host), S(".")) &&
	    slice_chr(buf_slice(&host), '\\') == SIZE_MAX) {
		r = match_host(c, buf_slice(&host), t, match);
	}
	buf_fini(&host);
	arena_reset(&c->scratch, mark);
	return r;
}

CO_FN static int match_mx(struct spf_check *c, struct slice name, const struct spf_term *t,
			  bool *match)
{
	struct dns_answer ans;
	int r = spf_ask(c, name, DNS_MX, false, &ans);

	if (r == 0 && ans.n > SPF_NAMES_MAX) {
		return spf_end(c, TRUST_PERMERROR, "mx has more than %d hosts", SPF_NAMES_MAX);
	}
	for (size_t i = 0; r == 0 && i < ans.n && !*match; i++) {
		r = match_exchange(c, ans.rdata[i], t, match);
	}
	return r;
}

CO_FN static int match_exists(struct spf_check *c, struct slice name, bool *match)
{
	struct dns_answer ans;
	int r = spf_ask(c, name, DNS_A, false, &ans);

	*match = r == 0 && ans.result == DNS_OK;
	return r;
}

/* ---- names of the client ---------------------------------------------------------- */

/*
 * Errors and voids on the way do not count: the names are written by the
 * client's network, which could otherwise turn a fail into an error.
 */
CO_FN int spf_need_ptr(struct spf_check *c, bool exp)
{
	struct ptr_names claimed;
	int r = 0;

	if (c->ptr_known) {
		return 0;
	}
	if (!exp) {
		r = spf_count_term(c);
	}
	if (r == 0) {
		r = ptr_claimed(c->dns, &c->ip, c->deadline, c->arena, &claimed);
	}
	for (size_t i = 0; r == 0 && i < claimed.n; i++) {
		struct arena_mark mark = arena_mark(&c->scratch);
		enum dns_result result;
		bool is;

		r = ptr_verify(c->dns, claimed.names[i], &c->ip, c->deadline, &c->scratch, &is,
			       &result);
		if (r == 0 && is) {
			c->ptr.names[c->ptr.n++] = claimed.names[i];
		}
		arena_reset(&c->scratch, mark);
	}
	c->ptr_known = r == 0;
	return r;
}

CO_FN static int match_ptr(struct spf_check *c, struct slice name, bool *match)
{
	int r = spf_need_ptr(c, true); /* the mechanism has been counted */

	for (size_t i = 0; r == 0 && i < c->ptr.n && !*match; i++) {
		*match = ptr_name_within(c->ptr.names[i], name);
	}
	return r;
}

/* ---- all of them -------------------------------------------------------------------- */

CO_FN static int match_name(struct spf_check *c, struct slice name, const struct spf_term *t,
			    bool *match)
{
	switch (t->kind) {
	case SPF_A:
		return match_host(c, name, t, match);
	case SPF_MX:
		return match_mx(c, name, t, match);
	case SPF_PTR:
		return match_ptr(c, name, match);
	default:
		assert(t->kind == SPF_EXISTS);
		return match_exists(c, name, match);
	}
}

CO_FN int spf_match(struct spf_check *c, struct slice domain, const struct spf_term *t, bool *match)
{
	struct arena_mark mark = arena_mark(&c->scratch);
	struct buf name = BUF_INIT(DNS_NAME_MAX);
	int r;

	*match = false;
	if (t->kind == SPF_IP4 || t->kind == SPF_IP6) {
		*match = in_net(c, t, &t->addr);
		return 0;
	}
	r = spf_count_term(c);
	if (r == 0 && t->spec.n > 0) {
		r = spf_expand(c, domain, t->spec, false, &name);
	}
	if (r == 0) {
		r = match_name(c, t->spec.n ? buf_slice(&name) : domain, t, match);
	} else if (r == SPF_NO_NAME) {
		r = 0;
	}
	buf_fini(&name);
	arena_reset(&c->scratch, mark);
	return r;
}
