/*
 * Fuzzes the PROXY header: whatever is parsed, it asks for more only within
 * its limits, gives the same answer with more behind it, and reads addresses
 * that can be shown.
 */
#include <stdlib.h>

#include "base/err.h"
#include "io/proxy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct slice in = slice_make((const char *)data, n);
	struct proxy_header h, again;
	char text[NET_ADDR_TEXT_MAX];
	size_t need, len;
	int r = proxy_parse(in, &h, &need);

	if (r == 0) {
		assert(need > n && need <= PROXY_V2_MAX);
	}
	if (r == 1) {
		assert(need <= n);
		assert(proxy_parse(slice_sub(in, 0, need), &again, &len) == 1 && len == need);
		assert(proxy_parse(slice_sub(in, 0, need - 1), &again, &len) == 0);
		assert(again.known == h.known || !h.known);
	}
	if (r == 1 && h.known) {
		assert(net_addr_text(&h.src, text)[0] && net_addr_text(&h.dst, text)[0]);
	}
	return 0;
}
