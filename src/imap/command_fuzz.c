/*
 * command_fuzz: the parsers of IMAP arguments, over any bytes. The first byte
 * chooses which; what was parsed must lie within the input or the arena, and
 * a search program that parses must evaluate.
 */
#include <stdlib.h>

#include "base/err.h"
#include "imap/other.h"
#include "imap/parse.h"
#include "imap/pattern.h"
#include "imap/qresync.h"
#include "imap/rights.h"
#include "imap/search.h"
#include "imap/sort.h"
#include "imap/thread.h"
#include "imap/write.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Reads every octet, so that a sanitizer sees a slice that is not ours. */
static unsigned sum;

static void touch(struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		sum += (unsigned char)s.p[i];
	}
}

static void fuzz_search(struct cur *c, struct arena *a)
{
	static const struct search_filter filters[] = {
		{ S("a"), S("OR SEEN FILTER b") },
		{ S("b"), S("FUZZY (BODY x FILTER a)") },
		{ S("c"), S("SEEN NEW") },
	};
	struct search_env env = { .star_seq = 7, .star_uid = 70 };
	struct search_prog p;
	struct search_return ret;
	struct slice words[SEARCH_WORDS_MAX];
	unsigned char vals[SEARCH_OPS_MAX];

	memcpy(env.filters, filters, sizeof(filters));
	env.n_filters = ARRAY_LEN(filters);
	search_parse_return(c, &ret);
	cur_opt(c, ' ');
	if (search_parse(c, a, &env, &p) != SEARCH_OK) {
		return;
	}
	for (unsigned v = SEARCH_FALSE; v <= SEARCH_UNKNOWN; v++) {
		memset(vals, (int)v, sizeof(vals));
		search_eval(&p, vals);
	}
	for (size_t i = 0; i < p.n; i++) {
		touch(p.ops[i].text);
		touch(p.ops[i].name);
		for (size_t k = search_words(p.ops[i].text, words); k-- > 0;) {
			touch(words[k]);
		}
	}
}

/* Criteria that parse make keys; text is what stands behind them. */
static void fuzz_sort(struct cur *c)
{
	struct sort_spec spec;
	struct sort_facts f = { .sent = INT64_MIN };
	struct buf key = BUF_INIT(1 << 20);

	sort_parse(c, &spec);
	if (c->err) {
		return;
	}
	f.subject = cur_rest(c);
	f.from = cur_rest(c);
	sort_key(&spec, &f, &key);
	assert(!key.err && spec.n > 0 && key.n > 0);
	buf_fini(&key);
}

#define THREADED_MAX 200

/* Each message is answered once, in brackets that close. */
static void check_threads(struct slice out, size_t n)
{
	bool seen[THREADED_MAX + 1] = { false };
	size_t open = 0;
	size_t found = 0;

	for (size_t i = 0; i < out.n; i++) {
		uint32_t number = 0;
		open += out.p[i] == '(';
		if (out.p[i] == ')') {
			assert(open > 0);
			open--;
		}
		while (i < out.n && ascii_isdigit((unsigned char)out.p[i])) {
			number = number * 10 + (uint32_t)(out.p[i++] - '0');
			assert(number <= n);
		}
		if (number > 0) {
			assert(!seen[number]);
			seen[number] = true;
			found++;
			i--;
		}
	}
	assert(open == 0 && found == n);
}

/* Four octets a message: id, two references, and the rest. */
static void fuzz_thread(struct slice in)
{
	static struct thread_msg v[THREADED_MAX];
	static struct thread_id refs[THREADED_MAX][2];
	size_t n = MIN(in.n / 4, THREADED_MAX);
	struct buf out = BUF_INIT(1 << 20);

	for (size_t i = 0; i < n; i++) {
		const unsigned char *p = (const unsigned char *)in.p + 4 * i;
		refs[i][0] = (struct thread_id){ p[1] & 31, 1 };
		refs[i][1] = (struct thread_id){ p[2] & 31, 1 };
		v[i] = (struct thread_msg){
			.number = (uint32_t)i + 1,
			.n_refs = p[0] >> 6 > 2 ? 2 : p[0] >> 6,
			.date = p[3] >> 4,
			.id = { p[0] & 31, 1 },
			.has_id = p[0] & 32,
			.subject = { p[3] & 3, 1 },
			.has_subject = p[3] & 3,
			.is_reply = p[3] & 4,
			.refs = refs[i],
		};
	}
	assert(thread_references(v, n, &out) == 0);
	check_threads(buf_slice(&out), n);
	buf_reset(&out);
	assert(thread_orderedsubject(v, n, &out) == 0);
	check_threads(buf_slice(&out), n);
	buf_fini(&out);
}

static void fuzz_set(struct cur *c, struct arena *a)
{
	struct seqset s;

	if (seqset_parse(c, a, 12, &s) == 0) {
		for (size_t i = 0; i < s.n; i++) {
			assert(s.r[i].lo <= s.r[i].hi);
			assert(i == 0 || s.r[i].lo > s.r[i - 1].hi + 1);
			assert(seqset_has(&s, s.r[i].lo));
		}
	}
}

static void fuzz_pattern(struct slice in, struct arena *a)
{
	struct slice rest = in;
	struct slice pattern = slice_split(&rest, '\n');
	struct pattern p;

	if (pattern_compile(a, pattern, &p) == 0) {
		pattern_match(&p, slice_sub(rest, 0, STORE_NAME_MAX), false);
		pattern_match(&p, S("INBOX"), true);
	}
}

/* An astring read is written and read again: the same bytes. */
static void fuzz_string(struct cur *c, struct arena *a)
{
	struct slice s = imap_parse_astring(c, a);
	struct buf out = BUF_INIT(1 << 22);
	struct cur again;
	struct slice t;

	if (c->err) {
		return;
	}
	imap_put_astring(&out, s);
	again = cur_init(buf_slice(&out));
	t = imap_parse_astring(&again, a);
	assert(again.err == 0 && cur_end(&again) && slice_eq(s, t));
	buf_fini(&out);
}

static void fuzz_dates(struct slice in, struct arena *a)
{
	struct cur c = cur_init(in);
	struct buf out = BUF_INIT(256);
	struct imap_flags f;
	int64_t t = 0;
	int64_t t2 = 0;
	int z = 0;
	int z2 = 0;

	imap_parse_date_time(&c, &t, &z);
	if (c.err == 0 && t > -60000000000 && t < 250000000000) {
		imap_put_date(&out, t, z);
		c = cur_init(buf_slice(&out));
		imap_parse_date_time(&c, &t2, &z2);
		assert(c.err == 0 && t == t2 && z == z2);
	}
	buf_fini(&out);
	c = cur_init(in);
	imap_parse_date(&c);
	c = cur_init(in);
	imap_parse_store_flags(&c, a, &f);
}

/* Rights are written and read again; a user's level has one spelling. */
static void fuzz_rights(struct slice in)
{
	struct buf out = BUF_INIT(1 << 22);
	struct buf level = BUF_INIT(1 << 22);
	struct slice user, box;
	enum store_acl_op op;
	unsigned rights, again;

	if (rights_parse(in, &op, &rights) == 0 && rights) {
		rights_put(&out, rights);
		assert(rights_parse(buf_slice(&out), &op, &again) == 0);
		assert(op == STORE_ACL_SET && again & rights);
		buf_reset(&out);
	}
	if (other_split(in, &user, &box) != OTHER_NOT) {
		touch(box);
	}
	if (other_get_user(in, &out) == 0) {
		other_put_user(&level, buf_slice(&out));
		assert(slice_eq(buf_slice(&level), in));
	}
	buf_fini(&level);
	buf_fini(&out);
}

static uint32_t any_uid(void *arg, uint32_t seq)
{
	(void)arg;
	return seq < UINT32_MAX / 2 ? 2 * seq : UINT32_MAX;
}

/* The floor is 0 or a UID of the match data. */
static void fuzz_select(struct cur *c, struct arena *a)
{
	struct select_params p;
	uint32_t floor;

	select_params_parse(c, a, &p);
	if (c->err == 0) {
		floor = qresync_floor(&p, 1000, any_uid, NULL);
		assert(floor == 0 || seqset_has(&p.match_uids, floor));
		assert(p.modseq <= INT64_MAX);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct slice in = slice_make((const char *)data, n);
	struct arena a;
	struct cur c;
	uint64_t size;
	bool sync;

	if (n == 0) {
		return 0;
	}
	arena_init(&a, 16u << 20);
	c = cur_init(slice_from(in, 1));
	switch (data[0] % 8) {
	case 0:
		fuzz_search(&c, &a);
		break;
	case 1:
		fuzz_set(&c, &a);
		break;
	case 2:
		fuzz_pattern(slice_from(in, 1), &a);
		break;
	case 3:
		fuzz_rights(slice_from(in, 1));
		fuzz_string(&c, &a);
		break;
	case 4:
		fuzz_dates(slice_from(in, 1), &a);
		break;
	case 6:
		fuzz_sort(&c);
		break;
	case 7:
		fuzz_thread(slice_from(in, 1));
		break;
	default:
		imap_parse_literal_tail(slice_from(in, 1), &size, &sync);
		imap_parse_tag(&c, 128);
		imap_parse_list_mailbox(&c, &a);
		imap_parse_nstring(&c, &a);
		c = cur_init(slice_from(in, 1));
		fuzz_select(&c, &a);
	}
	arena_fini(&a);
	return 0;
}
