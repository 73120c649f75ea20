/*
 * Fuzzes the building of records: each line of the input is given to the
 * builder somewhere. What comes back must be JSON, no larger than promised,
 * and be found by the names it was given.
 */
#include <jansson.h>

#include "kv/kv.h"
#include "trace/trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static int look(void *arg, struct slice json)
{
	json_t *o = json_loadb(json.p, json.n, 0, NULL);

	(void)arg;
	assert(json.n <= TRACE_RECORD_MAX && json_is_object(o));
	json_decref(o);
	return 0;
}

static void give(struct trace_record *r, struct slice line)
{
	unsigned char how = line.n ? (unsigned char)line.p[0] : 0;
	struct slice text = slice_from(line, 1);

	switch (how % 6) {
	case 0:
		trace_str(r, "text", text);
		break;
	case 1:
		trace_rcpt(r, text, line);
		break;
	case 2:
		trace_check(r, "spf", "none", text);
		break;
	case 3:
		trace_index(r, TRACE_BY_ADDRESS, text);
		break;
	case 4:
		trace_index(r, TRACE_BY_MESSAGE_ID, text);
		break;
	default:
		trace_int(r, "number", how);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct slice rest = slice_make((const char *)data, n);
	struct trace_opts o = { .days = 1 };
	struct trace_query q = { .by = TRACE_BY_ID, .what = S("a.1") };
	struct trace_record *r;
	struct trace *t = NULL;
	struct kv *kv;

	co_enter();
	assert(kv_mem_open(&kv) == 0);
	o.kv = kv;
	assert(trace_open(&o, &t, NULL) == 0);
	r = trace_begin(t, "smtp", S("a.1"));
	while (rest.n) {
		give(r, slice_split(&rest, '\n'));
	}
	trace_end(&r, "accepted", true);
	assert(trace_find(t, &q, look, NULL, NULL) == 1);
	trace_close(&t);
	kv_close(&kv);
	return 0;
}
