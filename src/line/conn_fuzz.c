/*
 * Fuzzes conn's framing: the same input, cut in two different ways, must give
 * the same lines; a line that is one holds no CR, LF or NUL, and is within
 * its limit. The first byte says how to cut and what to read between lines.
 */
#include <stdlib.h>

#include "base/err.h"
#include "line/conn.h"

#define LIMIT 40

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Reads all of it; what was found is written to out. */
static void read_all(struct slice input, size_t step, bool raw, struct buf *out)
{
	struct stream *s = NULL;
	struct slice line;
	struct conn c;
	int r;

	co_enter();
	if (stream_mem_new(input, NULL, step, &s) != 0) {
		abort();
	}
	conn_init(&c, &s, "fuzz", NULL, NULL);
	while ((r = conn_read_line(&c, LIMIT, &line)) >= 0 && r != CONN_EOF) {
		buf_printf(out, "%d:", r);
		if (r == CONN_LINE) {
			assert(line.n <= LIMIT && !slice_has_nul(line));
			assert(slice_chr(line, '\r') == SIZE_MAX);
			assert(slice_chr(line, '\n') == SIZE_MAX);
			buf_add(out, line);
		}
		buf_addc(out, '\n');
		if (raw && r == CONN_LINE && line.n && line.p[0] == 'R') {
			char p[8];
			ssize_t got = conn_read_raw(&c, p, 1);

			if (got == 1) {
				/* Seen, put back, seen again. */
				conn_unread(&c, slice_make(p, 1));
				got = conn_read_raw(&c, p, 1);
				assert(got == 1);
				buf_addc(out, p[0]);
			}
		}
	}
	buf_printf(out, "end %d\n", r);
	conn_fini(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct buf a = BUF_INIT(16u << 20), b = BUF_INIT(16u << 20);
	struct slice in = slice_make((const char *)data, n);
	size_t step = n ? data[0] % 17 + 1 : 1;
	bool raw = n && data[0] & 0x80;

	/* Beyond what is dropped of one line, cuts decide when we give up. */
	if (n == 0 || n > 60000) {
		return 0;
	}
	in = slice_from(in, 1);
	read_all(in, 0, raw, &a);
	read_all(in, step, raw, &b);
	assert(slice_eq(buf_slice(&a), buf_slice(&b)));
	buf_fini(&a);
	buf_fini(&b);
	return 0;
}
