/*
 * list_fuzz: the parsers of LIST, CREATE, STATUS, GETMETADATA and SETMETADATA
 * over any bytes; the first byte chooses. What was parsed must be within
 * limits and lie within the input or the arena; annotations must read the
 * same after they were told.
 */
#include <stdlib.h>

#include "base/err.h"
#include "imap/list.h"
#include "imap/metadata.h"
#include "imap/status.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Reads every octet, so that a sanitizer sees a slice that is not ours. */
static unsigned sum;

static void touch(struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		sum += (unsigned char)s.p[i];
	}
}

static void check_names(const struct slice *v, size_t n, bool whole)
{
	struct buf b = BUF_INIT(4096);

	for (size_t i = 0; i < n; i++) {
		buf_reset(&b);
		assert(store_entry_canon(v[i], whole, &b) == STORE_OK);
		assert(slice_eq(buf_slice(&b), v[i]));
	}
	buf_fini(&b);
}

/* Names of the patterns' own making, shown by them. */
static void show(const struct list_args *args, struct arena *a)
{
	struct buf out = BUF_INIT(1 << 22);
	static struct pattern p[LIST_PATTERNS_MAX];
	struct list_rows l;

	list_rows_init(&l, a);
	for (size_t i = 0; i < args->n_patterns; i++) {
		touch(args->patterns[i]);
		if (pattern_compile(a, args->patterns[i], &p[i])) {
			p[i] = (struct pattern){ .never = true };
		}
		struct list_row *row = list_rows_add(&l, slice_sub(args->patterns[i], 0, 100));
		if (row) {
			row->subscribed = i % 2;
			row->exists = i % 3;
			row->uses = i % 4;
		}
	}
	if (list_rows_finish(&l) == 0) {
		for (size_t i = 0; i < l.n; i++) {
			list_row_match(l.v[i], p, args->n_patterns);
		}
		list_select(&l, args);
		for (size_t i = 0; i < l.n; i++) {
			assert(!l.v[i]->show || l.v[i]->matches);
			assert(args->sel & LIST_SEL_RECURSIVE || !l.v[i]->childinfo);
			list_put_attributes(&out, l.v[i], args, false);
			list_put_extended(&out, l.v[i], args);
		}
	}
	list_rows_fini(&l);
	buf_fini(&out);
}

static void fuzz_list(struct cur *c, struct arena *a)
{
	struct list_args args;

	list_parse(c, a, &args);
	if (c->err) {
		return;
	}
	assert(args.n_patterns >= 1 && args.n_patterns <= LIST_PATTERNS_MAX);
	assert(args.n_entries <= LIST_ENTRIES_MAX);
	assert(!(args.ret & LIST_RET_STATUS) || args.status);
	check_names(args.entries, args.n_entries, false);
	show(&args, a);
}

static void fuzz_create(struct cur *c)
{
	struct list_create p;
	struct buf out = BUF_INIT(4096);

	list_parse_create(c, &p);
	if (!c->err) {
		assert((p.uses & ~(unsigned)LIST_USES_GIVEN) == 0);
		list_put_uses(&out, p.uses);
	}
	buf_fini(&out);
}

static void fuzz_status(struct cur *c)
{
	const struct status_facts f = { .deleted_bytes = UINT64_MAX };
	unsigned items = status_parse(c);
	struct buf out = BUF_INIT(4096);

	assert(c->err || items);
	if (!c->err) {
		status_put(&out, items, &f);
		struct cur again = cur_init(buf_slice(&out));
		cur_need(&again, '(');
		assert(!again.err && !out.err);
	}
	buf_fini(&out);
}

static void fuzz_get(struct cur *c, struct arena *a)
{
	static struct metadata_get g;

	metadata_parse_get(c, a, &g);
	if (!c->err) {
		assert(g.n >= 1 && g.n <= METADATA_NAMES_MAX);
		touch(g.mailbox);
		check_names(g.names, g.n, false);
	}
}

/* What is told of the entries is what would set them. */
static void fuzz_set(struct cur *c, struct arena *a)
{
	static struct metadata_set s, t; /* too big for a stack */
	struct buf out = BUF_INIT(1 << 22);

	metadata_parse_set(c, a, &s);
	if (c->err) {
		return;
	}
	assert(s.n >= 1 && s.n <= METADATA_NAMES_MAX);
	touch(s.mailbox);
	buf_adds(&out, " INBOX (");
	for (size_t i = 0; i < s.n; i++) {
		check_names(&s.v[i].name, 1, true);
		buf_adds(&out, i ? " " : "");
		metadata_put(&out, &s.v[i]);
	}
	buf_addc(&out, ')');
	struct cur again = cur_init(buf_slice(&out));

	metadata_parse_set(&again, a, &t);
	assert(again.err == 0 && t.n == s.n);
	for (size_t i = 0; i < s.n; i++) {
		assert(slice_eq(s.v[i].name, t.v[i].name));
		assert(slice_eq(s.v[i].value, t.v[i].value));
		assert(!s.v[i].value.p == !t.v[i].value.p);
	}
	buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct arena a;
	struct cur c;

	if (n == 0) {
		return 0;
	}
	arena_init(&a, 16u << 20);
	c = cur_init(slice_from(slice_make((const char *)data, n), 1));
	switch (data[0] % 5) {
	case 0:
		fuzz_list(&c, &a);
		break;
	case 1:
		fuzz_create(&c);
		break;
	case 2:
		fuzz_status(&c);
		break;
	case 3:
		fuzz_get(&c, &a);
		break;
	default:
		fuzz_set(&c, &a);
	}
	arena_fini(&a);
	return 0;
}
