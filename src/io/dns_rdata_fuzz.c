/*
 * RDATA of an enemy through every reader. First octet: how much room the
 * output has (0: plenty). What reads as a name writes back as the same octets,
 * and as text it is a name that may be asked for.
 */
#include <stdlib.h>

#include "io/dns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void name_there_and_back(struct slice rdata)
{
	struct buf text = BUF_INIT(DNS_TEXT_MAX + 1);
	struct buf wire = BUF_INIT(DNS_NAME_MAX + 2);
	size_t used = dns_rdata_name(rdata, &text);

	assert(used <= rdata.n && used <= DNS_NAME_MAX + 2 && !text.err);
	if (used > 0) {
		assert(slice_is_printable(buf_slice(&text)));
		assert(dns_name_wire(buf_slice(&text), &wire) == 0);
		assert(slice_eq(buf_slice(&wire), slice_sub(rdata, 0, used)));
	} else {
		assert(text.n == 0);
	}
	buf_fini(&text);
	buf_fini(&wire);
}

/* Any octets as the text of a name. */
static void name_from_text(struct slice in)
{
	struct buf text = BUF_INIT(DNS_TEXT_MAX + 1);
	struct buf wire = BUF_INIT(DNS_NAME_MAX + 2);

	if (dns_name_text(in, &text) == 0) {
		assert(dns_name_wire(buf_slice(&text), &wire) == 0);
		assert(wire.n <= in.n + 2);
	}
	buf_reset(&wire);
	if (dns_name_wire(in, &wire) == 0) {
		name_there_and_back(buf_slice(&wire));
	}
	buf_fini(&text);
	buf_fini(&wire);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct slice in = slice_make((const char *)data, n);
	struct buf out;
	struct dns_tlsa tlsa;
	struct net_addr addr;
	uint16_t pref;

	if (n == 0 || n > 70000) {
		return 0;
	}
	buf_init(&out, data[0] ? data[0] : 70000);
	in = slice_from(in, 1);
	name_there_and_back(in);
	name_from_text(in);
	dns_rdata_mx(in, &pref, &out);
	dns_rdata_txt(in, &out);
	assert(out.n <= out.max);
	if (dns_rdata_tlsa(in, &tlsa) == 0) {
		assert(tlsa.data.n == in.n - 3 && tlsa.data.n > 0);
	}
	if (dns_rdata_addr(n & 1 ? DNS_A : DNS_AAAA, in, &addr) == 0) {
		buf_reset(&out);
		dns_reverse_name(&addr, slice_sub(in, 0, 3), &out);
	}
	buf_fini(&out);
	return 0;
}
