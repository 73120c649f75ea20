/* TLS reports: any octets give a report within its limits, or a reason. */
#include <stdlib.h>

#include "base/err.h"
#include "trust/report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct report_tls out;
	const char *why = NULL;
	struct arena a;

	arena_init(&a, 8u << 20);
	if (report_tls_parse(slice_make((const char *)data, n), &a, &out, &why) == 0) {
		for (const struct report_tls_policy *p = out.policies; p; p = p->next) {
			if (p->text.n > REPORT_TEXT_MAX || p->failures > INT64_MAX) {
				abort();
			}
		}
	} else if (!why) {
		abort();
	}
	arena_fini(&a);
	return 0;
}
