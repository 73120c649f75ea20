/* A message with reports in it, or a packed report: any octets. */
#include <stdlib.h>

#include "base/err.h"
#include "trust/report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void open_parts(struct slice message, struct arena *a)
{
	const struct mime_part *p = NULL;
	struct mime_tree t;
	size_t parts = 0;

	if (mime_parse(message, a, &t) != 0) {
		return;
	}
	while ((p = report_next_part(&t, p)) && parts++ < REPORT_PARTS_MAX) {
		struct report out;
		const char *why = NULL;

		if (p->kind != MIME_LEAF || p->body_off + p->body_len > message.n) {
			abort();
		}
		if (report_open_part(p, slice_sub(message, p->body_off, p->body_len), a, &out,
				     &why) != 0 &&
		    !why) {
			abort();
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct slice all = slice_make((const char *)data, n);
	struct report out;
	const char *why = NULL;
	struct arena a;

	arena_init(&a, 16u << 20);
	if (report_open(all, &a, &out, &why) != 0 && !why) {
		abort();
	}
	open_parts(all, &a);
	arena_fini(&a);
	return 0;
}
