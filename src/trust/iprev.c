/* iprev (RFC 8601 3): see trust.h. */
#include "trust/ptr.h"

CO_FN static int verify_all(struct dns *d, const struct net_addr *ip, int64_t deadline,
			    struct arena *a, const struct ptr_names *claimed,
			    struct iprev_outcome *out)
{
	out->result = TRUST_FAIL;
	for (size_t i = 0; i < claimed->n; i++) {
		enum dns_result result;
		bool is;
		int r = ptr_verify(d, claimed->names[i], ip, deadline, a, &is, &result);

		if (r < 0) {
			return r;
		}
		if (is) {
			out->result = TRUST_PASS;
			out->name = claimed->names[i];
			return 0;
		}
		if (result == DNS_FAIL) {
			out->result = TRUST_TEMPERROR;
		}
	}
	return 0;
}

CO_FN int iprev_check(struct dns *d, const struct net_addr *ip, int64_t deadline, struct arena *a,
		      struct iprev_outcome *out)
{
	struct net_addr plain = ptr_plain(ip);
	struct ptr_names claimed;
	int r;

	*out = (struct iprev_outcome){ .result = TRUST_PERMERROR };
	if (plain.len == 0) {
		return 0;
	}
	if (deadline == 0) {
		deadline = clock_in_ms(DNS_TIMEOUT_MS);
	}
	r = ptr_claimed(d, &plain, deadline, a, &claimed);
	if (r < 0) {
		return r;
	}
	if (claimed.result == DNS_FAIL) {
		out->result = TRUST_TEMPERROR;
		return 0;
	}
	if (claimed.n == 0) {
		return 0;
	}
	out->name = claimed.names[0];
	return verify_all(d, &plain, deadline, a, &claimed, out);
}
