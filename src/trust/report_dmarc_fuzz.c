/* DMARC reports: any octets give a report within its limits, or a reason. */
#include <stdlib.h>

#include "base/err.h"
#include "trust/report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct report_dmarc out;
	const char *why = NULL;
	struct arena a;
	size_t rows = 0;

	arena_init(&a, 8u << 20);
	if (report_dmarc_parse(slice_make((const char *)data, n), &a, &out, &why) == 0) {
		for (const struct report_row *row = out.rows; row; row = row->next) {
			rows++;
			if (row->source.n > REPORT_TEXT_MAX || slice_has_nul(row->header_from)) {
				abort();
			}
		}
		if (rows != out.n_rows || out.domain.n == 0) {
			abort();
		}
	} else if (!why) {
		abort();
	}
	arena_fini(&a);
	return 0;
}
