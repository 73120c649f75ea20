/* What DMARC reports are made of: counting, limits, days, and what comes back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "tally/impl.h"

#define DAY 20455
#define NOON (INT64_C(86400) * DAY + 43200)
#define RECORD S("v=DMARC1; p=none; rua=mailto:d@example.net")

struct bench {
	struct kv *kv;
	struct tally *t;
	struct arena a;
};

static void open_tally(struct bench *b, bool on)
{
	struct tally_opts o = { b->kv, on };

	co_enter();
	assert_int_equal(tally_open(&o, &b->t, NULL), 0);
}

static int setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	co_enter();
	clock_pin_wall(NOON);
	assert_int_equal(kv_mem_open(&b->kv), 0);
	arena_init(&b->a, 32u << 20);
	open_tally(b, true);
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct bench *b = *state;

	co_enter();
	tally_close(&b->t);
	kv_close(&b->kv);
	arena_fini(&b->a);
	clock_pin_wall(0);
	free(b);
	return 0;
}

static void same(struct slice have, const char *want)
{
	if (!slice_eq(have, slice_cstr(want))) {
		fail_msg("have \"%.*s\", want \"%s\"", SLICE_ARG(have), want);
	}
}

static struct report_row row_from(const char *source)
{
	return (struct report_row){ .source = slice_cstr(source),
				    .disposition = S("none"),
				    .dkim = S("pass"),
				    .spf = S("fail"),
				    .header_from = S("example.net") };
}

static void add(struct bench *b, const char *domain, const char *source)
{
	struct report_row row = row_from(source);

	tally_add(b->t, slice_cstr(domain), RECORD, &row);
}

/* Rows of a domain on a day. */
static struct report_row *rows(struct bench *b, uint32_t day, const char *domain, size_t want)
{
	struct report_row *first;
	size_t n;
	bool more;

	co_enter();
	assert_int_equal(tally_rows(b->t, day, slice_cstr(domain), &b->a, &first, &n, &more), 0);
	assert_int_equal(n, want);
	assert_false(more);
	return first;
}

static void flush(struct bench *b)
{
	co_enter();
	assert_int_equal(tally_flush(b->t), 0);
}

/* ---- tests ---------------------------------------------------------------------- */

static void test_count(void **state)
{
	struct bench *b = *state;
	struct report_row *r;
	struct tally_stats st;

	add(b, "example.net", "192.0.2.1");
	add(b, "example.net", "192.0.2.1");
	flush(b);
	add(b, "example.net", "192.0.2.1");
	add(b, "example.net", "192.0.2.2");
	add(b, "sub.example.net", "192.0.2.1");
	tally_stats(b->t, &st);
	assert_true(st.waiting > 0);
	flush(b);
	r = rows(b, DAY, "example.net", 2);
	assert_int_equal(r->count + r->next->count, 4);
	assert_true(r->count == 3 || r->count == 1);
	rows(b, DAY, "sub.example.net", 1);
	rows(b, DAY, "example.ne", 0);
	rows(b, DAY - 1, "example.net", 0);
	tally_stats(b->t, &st);
	assert_int_equal(st.rows, 3);
	assert_int_equal(st.messages, 5);
	assert_int_equal(st.dropped, 0);
	assert_int_equal(st.waiting, 0);
}

static void test_facts(void **state)
{
	struct bench *b = *state;
	struct report_reason why = { .type = S("local_policy"), .comment = S("we know them") };
	struct report_auth two = { .domain = S("b.example"), .result = S("fail") };
	struct report_auth one = {
		.domain = S("a.example"), .selector = S("s"), .result = S("pass"), .next = &two
	};
	struct report_auth spf = { .domain = S("c"), .scope = S("helo"), .result = S("none") };
	struct report_row row = row_from("::1"), *r;

	row.reasons = &why;
	row.dkim_results = &one;
	row.spf_results = &spf;
	row.envelope_from = S("c");
	row.envelope_to = S("example.test");
	tally_add(b->t, S("example.net"), RECORD, &row);
	flush(b);
	r = rows(b, DAY, "example.net", 1);
	assert_int_equal(r->count, 1);
	same(r->source, "::1");
	same(r->dkim, "pass");
	same(r->spf, "fail");
	same(r->reasons->type, "local_policy");
	same(r->reasons->comment, "we know them");
	same(r->dkim_results->selector, "s");
	same(r->dkim_results->next->domain, "b.example");
	assert_null(r->dkim_results->next->next);
	same(r->spf_results->scope, "helo");
	same(r->envelope_from, "c");
	same(r->envelope_to, "example.test");
}

/* What a stranger makes long is cut; a record that is too long gives no row. */
static void test_long(void **state)
{
	struct bench *b = *state;
	static char text[4000];
	struct report_row row = row_from("1"), *r;

	memset(text, 'x', sizeof(text));
	row.envelope_from = slice_make(text, sizeof(text));
	tally_add(b->t, S("example.net"), RECORD, &row);
	tally_add(b->t, S("other.net"), slice_make(text, TALLY_RECORD_MAX + 1), &row);
	tally_add(b->t, slice_make(text, 254), RECORD, &row);
	flush(b);
	r = rows(b, DAY, "example.net", 1);
	assert_int_equal(r->envelope_from.n, TALLY_TEXT_MAX);
	rows(b, DAY, "other.net", 0);
}

static void test_domains(void **state)
{
	static const char *const want[] = { "a.example", "a.example.net", "b.example" };
	struct bench *b = *state;
	struct buf domain = BUF_INIT(253), record = BUF_INIT(TALLY_RECORD_MAX);
	char after[254] = "";

	add(b, "b.example", "1");
	add(b, "a.example", "1");
	add(b, "a.example.net", "1");
	flush(b);
	co_enter();
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		buf_reset(&domain);
		buf_reset(&record);
		assert_int_equal(tally_domain(b->t, DAY, slice_cstr(after), &domain, &record), 0);
		same(buf_slice(&domain), want[i]);
		assert_true(slice_eq(buf_slice(&record), RECORD));
		assert_int_equal(slice_copy(buf_slice(&domain), after, sizeof(after)), 0);
	}
	assert_int_equal(tally_domain(b->t, DAY, slice_cstr(after), &domain, &record), 1);
	assert_int_equal(tally_domain(b->t, DAY + 1, S(""), &domain, &record), 1);
	buf_fini(&domain);
	buf_fini(&record);
}

/* A queue that nobody empties is bounded, and what it dropped is counted. */
static void test_queue(void **state)
{
	struct bench *b = *state;
	struct tally_stats st;
	unsigned n = 0;

	for (; n < 30000; n++) {
		char source[32];

		snprintf(source, sizeof(source), "10.0.%u.%u", n >> 8, n & 255);
		add(b, "example.net", source);
	}
	tally_stats(b->t, &st);
	assert_true(st.waiting <= TALLY_PENDING_MAX);
	assert_true(st.dropped > 0);
	flush(b);
	tally_stats(b->t, &st);
	assert_int_equal(st.messages + st.dropped, n);
	assert_true(st.rows > 10000);
}

/* A day that is full takes no other rows, but goes on counting those it has. */
static void test_full_day(void **state)
{
	struct bench *b = *state;
	struct tally_stats st;

	add(b, "example.net", "1");
	flush(b);
	kv_days_get(&b->t->by_day, DAY)->count[TALLY_ROWS] = TALLY_DAY_ROWS_MAX;
	add(b, "example.net", "1");
	add(b, "example.net", "2");
	add(b, "example.net", "2");
	flush(b);
	assert_int_equal(rows(b, DAY, "example.net", 1)->count, 2);
	tally_stats(b->t, &st);
	assert_int_equal(st.dropped, 2);
	assert_int_equal(st.messages, 2);
}

static void test_more_rows(void **state)
{
	struct bench *b = *state;
	struct report_row *first;
	size_t n;
	bool more = false;

	for (unsigned i = 0; i <= TALLY_DOMAIN_ROWS_MAX; i++) {
		char source[32];

		snprintf(source, sizeof(source), "10.%u", i);
		add(b, "example.net", source);
		if (i % 5000 == 0) {
			flush(b);
		}
	}
	flush(b);
	co_enter();
	assert_int_equal(tally_rows(b->t, DAY, S("example.net"), &b->a, &first, &n, &more), 0);
	assert_int_equal(n, TALLY_DOMAIN_ROWS_MAX);
	assert_true(more);
}

static void test_days(void **state)
{
	struct bench *b = *state;

	for (unsigned i = 0; i <= TALLY_DAYS + 1; i++) {
		clock_pin_wall(NOON + INT64_C(86400) * i);
		add(b, "example.net", "1");
		flush(b);
		co_enter();
		assert_int_equal(tally_expire(b->t), 0);
	}
	rows(b, DAY, "example.net", 0);
	rows(b, DAY + 1, "example.net", 1);
	assert_int_equal(b->t->by_day.n, TALLY_DAYS + 1);

	/* It is all there again after a restart; switched off it goes. */
	co_enter();
	tally_close(&b->t);
	open_tally(b, true);
	assert_int_equal(b->t->by_day.n, TALLY_DAYS + 1);
	assert_int_equal(b->t->by_day.v[0].count[TALLY_MESSAGES], 1);
	tally_close(&b->t);
	open_tally(b, false);
	assert_false(tally_wanted(b->t));
	add(b, "example.net", "1");
	assert_int_equal(tally_expire(b->t), 0);
	assert_int_equal(b->t->by_day.n, 0);
	rows(b, DAY + 1, "example.net", 0);
}

static void test_damage(void **state)
{
	struct bench *b = *state;
	struct kv_batch *w;
	struct buf key = BUF_INIT(KV_KEY_MAX);

	add(b, "example.net", "1");
	flush(b);
	tally_row_key(&key, S("example.net"), S("other"));
	w = kv_batch_new(kv_days_part(&b->t->by_day, DAY));
	kv_batch_put(w, buf_slice(&key), S("\1\5\377\377\377\377"));
	co_enter();
	assert_int_equal(kv_commit(b->kv, &w, 1), 0);
	kv_batch_free(&w);
	buf_fini(&key);
	rows(b, DAY, "example.net", 1);

	w = kv_batch_new(kv_days_root(&b->t->by_day));
	tally_close(&b->t);
	kv_batch_put(w, S("D\0\0\0\1"), S("\2"));
	assert_int_equal(kv_commit(b->kv, &w, 1), 0);
	kv_batch_free(&w);
	assert_int_equal(tally_open(&(struct tally_opts){ b->kv, true }, &b->t, NULL), -EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		TEST(test_count),     TEST(test_facts), TEST(test_long),
		TEST(test_domains),   TEST(test_queue), TEST(test_full_day),
		TEST(test_more_rows), TEST(test_days),	TEST(test_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
