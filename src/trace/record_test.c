/* Building records: what peers say comes out as valid, bounded JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "kv/kv.h"
#include "trace/trace.h"

static struct kv *kv;
static struct trace *t;

static int setup(void **state)
{
	struct trace_opts o = { .days = 30 };

	(void)state;
	co_enter();
	assert_int_equal(kv_mem_open(&kv), 0);
	o.kv = kv;
	assert_int_equal(trace_open(&o, &t, NULL), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	co_enter();
	trace_close(&t);
	kv_close(&kv);
	return 0;
}

static int keep(void *arg, struct slice json)
{
	json_t **out = arg;

	assert_true(json.n <= TRACE_RECORD_MAX);
	*out = json_loadb(json.p, json.n, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(*out);
	return 0;
}

/* The same, where a member may stand twice. */
static int keep_any(void *arg, struct slice json)
{
	json_t **out = arg;

	assert_true(json.n <= TRACE_RECORD_MAX);
	*out = json_loadb(json.p, json.n, 0, NULL);
	assert_non_null(*out);
	return 0;
}

/* Ends the record and reads it back. */
static json_t *ended(struct trace_record **r, const char *outcome)
{
	struct trace_query q = { .by = TRACE_BY_ID, .what = S("id.1"), .limit = 1 };
	json_t *o = NULL;

	co_enter();
	trace_end(r, outcome, true);
	assert_null(*r);
	assert_int_equal(trace_find(t, &q, keep, &o, NULL), 1);
	return o;
}

static void same_text(const json_t *o, const char *name, const char *want)
{
	assert_string_equal(json_string_value(json_object_get(o, name)), want);
}

static void test_a_whole_record(void **state)
{
	struct trace_record *r = trace_begin(t, "smtp", S("id.1"));
	json_t *o, *list;

	(void)state;
	trace_str(r, "from", S("a@example.org"));
	trace_int(r, "size", -5);
	trace_rcpt(r, S("b@example.test"), S("250 2.1.5 OK"));
	trace_rcpt(r, S("c@example.test"), S("550 5.1.1 no such user here"));
	trace_check(r, "spf", "pass", S("ip4:192.0.2.1"));
	trace_check(r, "dkim", "none", S(""));
	trace_limit(r, "recipients");
	trace_limit(r, "size");
	trace_limit(r, "recipients");
	o = ended(&r, "accepted");
	same_text(o, "kind", "smtp");
	same_text(o, "id", "id.1");
	same_text(o, "outcome", "accepted");
	same_text(o, "from", "a@example.org");
	assert_int_equal(json_integer_value(json_object_get(o, "size")), -5);
	assert_true(json_integer_value(json_object_get(o, "ended")) >=
		    json_integer_value(json_object_get(o, "began")));
	list = json_object_get(o, "rcpts");
	assert_int_equal(json_array_size(list), 2);
	same_text(json_array_get(list, 1), "to", "c@example.test");
	same_text(json_array_get(list, 1), "reply", "550 5.1.1 no such user here");
	list = json_object_get(o, "checks");
	assert_int_equal(json_array_size(list), 2);
	same_text(json_array_get(list, 0), "detail", "ip4:192.0.2.1");
	assert_null(json_object_get(json_array_get(list, 1), "detail"));
	assert_int_equal(json_array_size(json_object_get(o, "limits")), 2);
	assert_null(json_object_get(o, "cut"));
	json_decref(o);
}

static void test_text_of_enemies(void **state)
{
	static const struct {
		struct slice in;
		const char *out;
	} cases[] = {
		{ S("a\r\nb\x1b[31m\"\\\x7f"), "a\r\nb\x1b[31m\"\\\x7f" },
		{ S("\xff\x00x\xc3"), "\xef\xbf\xbd\xef\xbf\xbdx\xef\xbf\xbd" },
		{ S("\xe2\x80\xae"
		    "evil"),
		  "\xe2\x80\xae"
		  "evil" },
		{ S("\xed\xa0\x80"), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
		{ S(""), "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct trace_record *r = trace_begin(t, "smtp", S("id.1"));
		json_t *o;

		trace_str(r, "helo", cases[i].in);
		trace_rcpt(r, cases[i].in, cases[i].in);
		trace_check(r, "spf", "fail", cases[i].in);
		o = ended(&r, "refused");
		same_text(o, "helo", cases[i].out);
		same_text(json_array_get(json_object_get(o, "rcpts"), 0), "to", cases[i].out);
		json_decref(o);
	}
}

/* Cut at a character, and marked. */
static void test_long_text_is_cut(void **state)
{
	static char text[10 * 1024];
	struct trace_record *r = trace_begin(t, "smtp", S("id.1"));
	const char *got;
	json_t *o;

	(void)state;
	for (size_t i = 0; i + 3 <= sizeof(text); i += 3) {
		memcpy(text + i, "\xe2\x82\xac", 3);
	}
	trace_str(r, "long", slice_make(text, sizeof(text)));
	memset(text, 'x', sizeof(text));
	trace_str(r, "fits", slice_make(text, TRACE_TEXT_MAX));
	o = ended(&r, "refused");
	got = json_string_value(json_object_get(o, "long"));
	assert_int_equal(strlen(got), TRACE_TEXT_MAX / 3 * 3 + 3);
	assert_string_equal(got + strlen(got) - 6, "\xe2\x82\xac\xe2\x80\xa6");
	assert_int_equal(strlen(json_string_value(json_object_get(o, "fits"))), TRACE_TEXT_MAX);
	json_decref(o);
}

/* Whatever is given thousands of times, the record keeps its size (keep looks)
 * and says that something is missing. */
static void test_lists_are_bounded(void **state)
{
	char text[TRACE_TEXT_MAX], name[32];
	struct slice worst = slice_make(text, sizeof(text));
	struct trace_record *r = trace_begin(t, "smtp", S("id.1"));
	json_t *o;

	(void)state;
	memset(text, 1, sizeof(text)); /* six octets each in JSON */
	trace_str(r, "first", worst);
	for (int i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "limit%d", i);
		trace_rcpt(r, worst, worst);
		trace_check(r, "dkim", "fail", worst);
		trace_limit(r, name);
		trace_index(r, TRACE_BY_ADDRESS, slice_cstr(name));
	}
	for (int i = 0; i < 30; i++) {
		trace_str(r, "x", i < 29 ? worst : S("")); /* the last one fits or not */
	}
	co_enter();
	trace_end(&r, "refused", false);
	assert_int_equal(
		trace_find(t, &(struct trace_query){ .by = TRACE_BY_ADDRESS, .what = S("limit0") },
			   keep_any, &o, NULL),
		1);
	assert_true(json_is_true(json_object_get(o, "cut")));
	assert_true(json_array_size(json_object_get(o, "checks")) > 0);
	assert_true(json_array_size(json_object_get(o, "limits")) > 0);
	assert_int_equal(json_array_size(json_object_get(o, "rcpts")) +
				 json_integer_value(json_object_get(o, "more_rcpts")),
			 5000);
	json_decref(o);
	assert_int_equal(trace_find(t,
				    &(struct trace_query){ .by = TRACE_BY_ADDRESS,
							   .what = S("limit4999") },
				    keep_any, &o, NULL),
			 0);
}

static void test_many_recipients(void **state)
{
	struct trace_record *r = trace_begin(t, "smtp", S("id.1"));
	char text[64];
	json_t *o;
	size_t n;

	(void)state;
	for (int i = 0; i < 1500; i++) {
		snprintf(text, sizeof(text), "u%d@x.test", i);
		trace_rcpt(r, slice_cstr(text), S("250 2.1.5 OK"));
		trace_index(r, TRACE_BY_ADDRESS, slice_cstr(text));
	}
	o = ended(&r, "accepted");
	n = json_array_size(json_object_get(o, "rcpts"));
	assert_true(n > 500 && n <= TRACE_RCPTS_MAX);
	assert_int_equal(json_integer_value(json_object_get(o, "more_rcpts")), 1500 - n);
	json_decref(o);
}

static void test_nothing_to_record(void **state)
{
	struct trace_record *r = trace_begin(NULL, "smtp", S("id.1"));

	(void)state;
	assert_null(r);
	trace_str(r, "a", S("b"));
	trace_int(r, "a", 1);
	trace_rcpt(r, S("b"), S("c"));
	trace_check(r, "spf", "pass", S("c"));
	trace_limit(r, "x");
	trace_index(r, TRACE_BY_PEER, S("192.0.2.1"));
	trace_end(&r, "accepted", true);
	r = trace_begin(t, "smtp", S("id.9"));
	assert_non_null(r);
	trace_drop(&r);
	assert_null(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_whole_record, setup, teardown),
		cmocka_unit_test_setup_teardown(test_text_of_enemies, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long_text_is_cut, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lists_are_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_recipients, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nothing_to_record, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
