/* From the queue to the rows and back: finding, expiry, shares, failures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/clock.h"
#include "kv/impl.h"
#include "trace/trace.h"

#define DAY INT64_C(86400)
#define NOW (20000 * DAY + 3600)

static struct kv *kv;
static struct trace *t;

static void open_with(unsigned days, uint64_t size)
{
	struct trace_opts o = { .kv = kv, .days = days, .size = size };

	co_enter();
	trace_close(&t);
	assert_int_equal(trace_open(&o, &t, NULL), 0);
}

static int setup(void **state)
{
	(void)state;
	clock_pin_wall(NOW);
	assert_int_equal(kv_mem_open(&kv), 0);
	open_with(30, 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	co_enter();
	trace_close(&t);
	kv_close(&kv);
	clock_pin_wall(0);
	return 0;
}

/* A record "sid.N" about a message from and to these, all in the index. */
static void record(const char *id, const char *from, const char *to, const char *msgid)
{
	struct trace_record *r = trace_begin(t, "smtp", slice_cstr(id));

	trace_index(r, TRACE_BY_SESSION, slice_sub(slice_cstr(id), 0, 3));
	trace_index(r, TRACE_BY_PEER, S("192.0.2.1"));
	trace_str(r, "from", slice_cstr(from));
	trace_index(r, TRACE_BY_ADDRESS, slice_cstr(from));
	trace_rcpt(r, slice_cstr(to), S("250 OK"));
	trace_index(r, TRACE_BY_ADDRESS, slice_cstr(to));
	trace_index(r, TRACE_BY_MESSAGE_ID, slice_cstr(msgid));
	trace_end(&r, "accepted", true);
}

/* Collects "id id id". */
static int add_id(void *arg, struct slice json)
{
	struct buf *b = arg;
	size_t at = slice_find(json, S("\"id\":\""));
	struct slice rest = slice_from(json, at + 6);

	buf_adds(b, b->n ? " " : "");
	buf_add(b, slice_split(&rest, '"'));
	return 0;
}

static void found_since(enum trace_by by, const char *what, int64_t since_ms, unsigned limit,
			const char *ids)
{
	struct trace_query q = { by, slice_cstr(what), since_ms, limit };
	struct buf b = BUF_INIT(1 << 20);
	int n;

	co_enter();
	n = trace_find(t, &q, add_id, &b, NULL);
	assert_string_equal(buf_cstr(&b), ids);
	assert_int_equal(n, b.n ? 1 + (int)(b.n - 1) / 6 : 0);
	buf_fini(&b);
}

static void found(enum trace_by by, const char *what, const char *ids)
{
	found_since(by, what, 0, 0, ids);
}

static void test_found_by_each_name(void **state)
{
	(void)state;
	record("aaa.1", "x@example.org", "bob@example.test", "<One@Example.ORG>");
	record("aaa.2", "y@example.org", "bob@example.test", "<two@example.org>");
	record("bbb.1", "x@example.org", "eve@example.test", "three");
	found(TRACE_BY_ID, "aaa.2", "aaa.2");
	found(TRACE_BY_ID, "aaa", "");
	found(TRACE_BY_SESSION, "aaa", "aaa.1 aaa.2");
	found(TRACE_BY_ADDRESS, "bob@example.test", "aaa.1 aaa.2");
	found(TRACE_BY_ADDRESS, "BOB@Example.test", "aaa.1 aaa.2");
	found(TRACE_BY_ADDRESS, "x@example.org", "aaa.1 bbb.1");
	found(TRACE_BY_ADDRESS, "nobody@example.org", "");
	found(TRACE_BY_ADDRESS, "", "");
	found(TRACE_BY_MESSAGE_ID, "One@example.org", "aaa.1");
	found(TRACE_BY_MESSAGE_ID, " <One@EXAMPLE.org> ", "aaa.1");
	found(TRACE_BY_MESSAGE_ID, "one@example.org", ""); /* the left part has a case */
	found(TRACE_BY_MESSAGE_ID, "<three>", "bbb.1");
	found(TRACE_BY_PEER, "192.0.2.1", "aaa.1 aaa.2 bbb.1");
}

static void test_newest_and_since(void **state)
{
	(void)state;
	for (int day = 0; day < 3; day++) {
		char id[8];

		clock_pin_wall(NOW + day * DAY);
		for (int i = 1; i < 4; i++) {
			snprintf(id, sizeof(id), "d%02d.%d", day, i);
			record(id, "x@example.org", "bob@example.test", "");
		}
	}
	found_since(TRACE_BY_ADDRESS, "x@example.org", 0, 1, "d02.3");
	found_since(TRACE_BY_ADDRESS, "x@example.org", 0, 4, "d01.3 d02.1 d02.2 d02.3");
	found_since(TRACE_BY_ADDRESS, "x@example.org", 0, 0,
		    "d00.1 d00.2 d00.3 d01.1 d01.2 d01.3 d02.1 d02.2 d02.3");
	found_since(TRACE_BY_ADDRESS, "x@example.org", (NOW + 2 * DAY) * 1000, 0,
		    "d02.1 d02.2 d02.3");
	found_since(TRACE_BY_ADDRESS, "x@example.org", (NOW + 9 * DAY) * 1000, 0, "");
}

/* Reopened: what was closed is there, and goes when its days are over. */
static void test_expiry(void **state)
{
	struct trace_stats st;

	(void)state;
	co_enter();
	record("aaa.1", "x@example.org", "bob@example.test", "");
	clock_pin_wall(NOW + DAY);
	record("aaa.2", "x@example.org", "bob@example.test", "");
	open_with(2, 0);
	found(TRACE_BY_SESSION, "aaa", "aaa.1 aaa.2");
	trace_stats(t, &st);
	assert_int_equal(st.records, 2);
	assert_int_equal(st.oldest, 20000 * DAY);
	clock_pin_wall(NOW + 2 * DAY);
	assert_int_equal(trace_expire(t), 0);
	found(TRACE_BY_SESSION, "aaa", "aaa.1 aaa.2");
	clock_pin_wall(NOW + 3 * DAY);
	assert_int_equal(trace_expire(t), 0);
	found(TRACE_BY_SESSION, "aaa", "aaa.2");
	open_with(0, 0);
	assert_null(trace_begin(t, "smtp", S("aaa.3")));
	assert_int_equal(trace_expire(t), 0);
	found(TRACE_BY_SESSION, "aaa", "");
	trace_stats(t, &st);
	assert_int_equal(st.records, 0);
	assert_int_equal(st.oldest, 0);
	assert_int_equal(st.bytes, 0);
	open_with(30, 0);
	found(TRACE_BY_SESSION, "aaa", "");
}

static int count(void *arg, struct slice key, struct slice value)
{
	(void)key;
	(void)value;
	++*(size_t *)arg;
	return 0;
}

/* More rows than one step removes: nothing is left of the day. */
static void test_a_big_day_goes_wholly(void **state)
{
	struct kv_part part = { 't', 1, 20000 };
	size_t n = 0;
	char id[16];

	(void)state;
	co_enter();
	for (int i = 0; i < 1000; i++) {
		snprintf(id, sizeof(id), "aaa.%d", i);
		record(id, "x@example.org", "bob@example.test", "");
		trace_flush(t);
	}
	assert_int_equal(kv_scan(kv, part, S("\0"), S(""), count, &n), 0);
	assert_int_equal(n, 6000); /* record, id, session, peer, two addresses */
	clock_pin_wall(NOW + 40 * DAY);
	assert_int_equal(trace_expire(t), 0);
	n = 0;
	assert_int_equal(kv_scan(kv, part, S("\0"), S(""), count, &n), 0);
	assert_int_equal(n, 0);
}

/* A day takes a quarter of the size, refusals an eighth; then the oldest go. */
static void test_size(void **state)
{
	struct trace_stats st;
	char id[16];
	int refused = 0, accepted = 0;

	(void)state;
	co_enter();
	open_with(30, 64 * 1024);
	for (int day = 0; day < 6; day++) {
		clock_pin_wall(NOW + day * DAY);
		for (int i = 0; i < 200; i++) {
			struct trace_record *r;

			snprintf(id, sizeof(id), "d%d.%d", day, i);
			r = trace_begin(t, "smtp", slice_cstr(id));
			trace_end(&r, "refused", false);
		}
		assert_int_equal(trace_flush(t), 0);
		trace_stats(t, &st);
		if (day == 0) {
			refused = (int)st.records;
			assert_true(st.bytes <= 8 * 1024 && st.bytes > 7 * 1024);
		}
		for (int i = 200; i < 400; i++) {
			snprintf(id, sizeof(id), "d%d.%d", day, i);
			record(id, "x@example.org", "bob@example.test", "");
		}
		assert_int_equal(trace_flush(t), 0);
		trace_stats(t, &st);
		if (day == 0) {
			accepted = (int)st.records - refused;
			assert_true(st.bytes <= 16 * 1024 && st.bytes > 15 * 1024);
			assert_int_equal(st.written + st.dropped, 400);
		}
		assert_int_equal(trace_expire(t), 0);
		trace_stats(t, &st);
		assert_true(st.bytes <= 64 * 1024);
	}
	assert_true(refused > 0 && accepted > 0);
	assert_int_equal(st.oldest, 20002 * DAY);
	snprintf(id, sizeof(id), "d5.0");
	found(TRACE_BY_ID, "d1.0", "");
}

/* Many good records do not keep refusals out, while the day has room. */
static void test_refusals_beside_many_good_ones(void **state)
{
	struct trace_stats st;
	struct trace_record *r;
	char id[16];
	int i = 0;

	(void)state;
	co_enter();
	open_with(30, 64 * 1024);
	do {
		snprintf(id, sizeof(id), "good.%d", i++);
		record(id, "x@example.org", "bob@example.test", "");
		assert_int_equal(trace_flush(t), 0);
		trace_stats(t, &st);
	} while (st.bytes < 12 * 1024);
	open_with(30, 64 * 1024);
	r = trace_begin(t, "smtp", S("bad.1"));
	trace_end(&r, "refused", false);
	assert_int_equal(trace_flush(t), 0);
	trace_stats(t, &st);
	assert_int_equal(st.dropped, 0);
	found(TRACE_BY_ID, "bad.1", "bad.1");
}

static void test_queue_full(void **state)
{
	struct trace_stats st;
	char text[TRACE_TEXT_MAX], id[16];
	unsigned n = 0;

	(void)state;
	co_enter();
	memset(text, 'x', sizeof(text));
	do {
		struct trace_record *r;

		snprintf(id, sizeof(id), "aaa.%u", n++);
		r = trace_begin(t, "smtp", slice_cstr(id));
		for (int i = 0; i < 40; i++) {
			trace_rcpt(r, slice_make(text, sizeof(text)), S("250 OK"));
		}
		trace_end(&r, "accepted", true);
		trace_stats(t, &st);
		assert_true(st.waiting <= TRACE_QUEUE_MAX);
	} while (st.dropped == 0 && n < 10000);
	assert_int_equal(st.dropped, 1);
	assert_true(st.waiting > TRACE_QUEUE_MAX - 64 * 1024);
	assert_int_equal(trace_flush(t), 0);
	trace_stats(t, &st);
	assert_int_equal(st.written, n - 1);
	assert_int_equal(st.waiting, 0);
	found(TRACE_BY_ID, id, ""); /* it was the one too many */
	record("bbb.1", "x@example.org", "y@example.org", "");
	found(TRACE_BY_ID, "bbb.1", "bbb.1");
}

static const struct kv_ops *real;
static int answer;

static int failing_commit(struct kv *k, struct kv_batch *const *batches, size_t n, size_t bytes)
{
	return answer ? answer : real->commit(k, batches, n, bytes);
}

/* What cannot be written is counted, and what comes later is not harmed. */
static void test_engine_fails(void **state)
{
	struct kv_ops ops = *kv->ops;
	struct trace_stats st;

	(void)state;
	co_enter();
	real = kv->ops;
	ops.commit = failing_commit;
	kv->ops = &ops;
	answer = KV_FULL;
	record("aaa.1", "x@example.org", "y@example.org", "");
	assert_int_equal(trace_flush(t), KV_FULL);
	answer = -EIO;
	record("aaa.2", "x@example.org", "y@example.org", "");
	assert_int_equal(trace_flush(t), -EIO);
	trace_stats(t, &st);
	assert_int_equal(st.dropped, 2);
	assert_int_equal(st.records, 0);
	answer = 0;
	record("aaa.3", "x@example.org", "y@example.org", "");
	found(TRACE_BY_SESSION, "aaa", "aaa.3");
	clock_pin_wall(NOW + 99 * DAY);
	answer = -EIO;
	assert_int_equal(trace_expire(t), -EIO);
	found(TRACE_BY_SESSION, "aaa", "aaa.3");
	answer = 0;
	assert_int_equal(trace_expire(t), 0);
	found(TRACE_BY_SESSION, "aaa", "");
	kv->ops = real;
}

/* The clock is set back: nothing is written over. */
static void test_clock_set_back(void **state)
{
	(void)state;
	record("aaa.1", "x@example.org", "y@example.org", "");
	clock_pin_wall(NOW - 1000);
	record("aaa.2", "x@example.org", "y@example.org", "");
	clock_pin_wall(NOW);
	open_with(30, 0);
	record("aaa.3", "x@example.org", "y@example.org", "");
	found(TRACE_BY_ID, "aaa.1", "aaa.1");
	found(TRACE_BY_ID, "aaa.2", "aaa.2");
	found(TRACE_BY_ID, "aaa.3", "aaa.3");
}

static void test_format(void **state)
{
	struct kv_part root = { 't', 0, 0 };
	struct trace_opts o = { .kv = kv, .days = 1 };
	struct kv_batch *b;
	struct err e = ERR_INIT;
	struct trace_stats st;

	(void)state;
	co_enter();
	trace_close(&t);
	b = kv_batch_new(root);
	kv_batch_put(b, S("D\0\0N\x20"), S("\x02\x01\x01"));
	assert_int_equal(kv_commit(kv, &b, 1), 0);
	kv_batch_free(&b);
	assert_int_equal(trace_open(&o, &t, &e), -EPROTO);
	b = kv_batch_new(root);
	kv_batch_put(b, S("D\0\0N\x20"), S("\x01\x01"));
	kv_batch_put(b, S("D\0"), S("\x01\x01\x01\x01"));
	assert_int_equal(kv_commit(kv, &b, 1), 0);
	kv_batch_free(&b);
	/* Damaged rows stop nobody; the day is there and goes when it is over. */
	assert_int_equal(trace_open(&o, &t, &e), 0);
	trace_stats(t, &st);
	assert_int_equal(st.oldest, 20000 * DAY);
	assert_int_equal(st.records, 0);
	clock_pin_wall(NOW + 99 * DAY);
	assert_int_equal(trace_expire(t), 0);
	trace_stats(t, &st);
	assert_int_equal(st.oldest, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_found_by_each_name, setup, teardown),
		cmocka_unit_test_setup_teardown(test_newest_and_since, setup, teardown),
		cmocka_unit_test_setup_teardown(test_expiry, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_big_day_goes_wholly, setup, teardown),
		cmocka_unit_test_setup_teardown(test_size, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refusals_beside_many_good_ones, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_queue_full, setup, teardown),
		cmocka_unit_test_setup_teardown(test_engine_fails, setup, teardown),
		cmocka_unit_test_setup_teardown(test_clock_set_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_format, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
