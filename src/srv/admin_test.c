/* admin: every verb over an engine in memory, asked well and badly. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "srv/admin.h"

static struct site site;

static int setup(void **state)
{
	struct store_opts so = { 0 };
	struct auth_opts ao = { .argon_memory_kib = 64, .argon_passes = 1, .no_delays = true };
	struct trace_opts to = { .days = 30 };

	(void)state;
	co_enter();
	site = (struct site){ 0 };
	assert_int_equal(kv_mem_open(&site.kv), 0);
	so.kv = ao.kv = to.kv = site.kv;
	assert_int_equal(store_open(&so, &site.store, NULL), 0);
	assert_int_equal(auth_open(&ao, &site.auth, NULL), 0);
	assert_int_equal(trace_open(&to, &site.trace, NULL), 0);
	assert_int_equal(tally_open(&(struct tally_opts){ .kv = site.kv }, &site.tally, NULL), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	site_close(&site);
	return 0;
}

/* The answer to a request written with ' for ". */
static json_t *ask(const struct admin_env *env, const char *request)
{
	char *text = strdup(request);
	json_t *q, *a;

	co_enter();
	assert_non_null(text);
	for (char *p = text; *p; p++) {
		*p = *p == '\'' ? '"' : *p;
	}
	q = json_loads(text, JSON_DECODE_ANY, NULL);
	assert_non_null(q);
	a = admin_call(&site, env, q);
	json_decref(q);
	free(text);
	assert_non_null(a);
	return a;
}

/* Answered with ok; data (may be NULL) is as given, with ' for ". */
static void good(const char *request, const char *data)
{
	json_t *a = ask(NULL, request);
	char *got;

	if (!json_is_true(json_object_get(a, "ok"))) {
		print_error("%s: %s\n", request, json_string_value(json_object_get(a, "error")));
	}
	assert_true(json_is_true(json_object_get(a, "ok")));
	if (data) {
		got = json_dumps(json_object_get(a, "data"), JSON_COMPACT);
		for (char *p = got; p && *p; p++) {
			*p = *p == '"' ? '\'' : *p;
		}
		assert_string_equal(got ? got : "", data);
		free(got);
	}
	json_decref(a);
}

/* Refused with this code and exactly this text. */
static void bad(const char *request, const char *code, const char *error)
{
	json_t *a = ask(NULL, request);

	assert_true(json_is_false(json_object_get(a, "ok")));
	assert_string_equal(json_string_value(json_object_get(a, "error")), error);
	assert_string_equal(json_string_value(json_object_get(a, "code")), code);
	json_decref(a);
}

static void add_domain_and_bob(void)
{
	good("{'verb':'domain.add','domain':'Example.TEST'}", NULL);
	good("{'verb':'account.add','address':'bob@example.test',"
	     "'password':'builder'}",
	     "{'id':1}");
}

static void test_requests_that_are_none(void **state)
{
	(void)state;
	bad("{}", "invalid", "a request needs a verb");
	bad("{'verb':5}", "invalid", "a request needs a verb");
	bad("[]", "invalid", "a request needs a verb");
	bad("'verb'", "invalid", "a request needs a verb");
	bad("{'verb':''}", "invalid", "unknown verb");
	bad("{'verb':'Status'}", "invalid", "unknown verb");
	bad("{'verb':'domain.add'}", "invalid", "domain.add needs \"domain\"");
	bad("{'verb':'domain.add','domain':7}", "invalid", "domain.add needs \"domain\"");
	bad("{'verb':'domain.catchall','domain':'a.test'}", "invalid",
	    "domain.catchall needs \"target\"");
	bad("{'verb':'account.add','address':'x@y.test'}", "invalid",
	    "account.add needs \"password\"");
	bad("{'verb':'account.rename','address':'x@y.test'}", "invalid",
	    "account.rename needs \"to\"");
}

static void test_domains(void **state)
{
	(void)state;
	good("{'verb':'domain.list'}", "[]");
	good("{'verb':'domain.add','domain':'Example.TEST'}", NULL);
	good("{'verb':'domain.add','domain':'b\u00fccher.test'}", NULL);
	bad("{'verb':'domain.add','domain':'example.test'}", "exists", "domain exists already");
	bad("{'verb':'domain.add','domain':'a..b'}", "invalid",
	    "not possible: not a valid domain: a..b");
	bad("{'verb':'domain.add','domain':''}", "invalid", "not possible: not a valid domain");
	good("{'verb':'domain.catchall','domain':'example.test',"
	     "'target':'all@elsewhere.test'}",
	     NULL);
	good("{'verb':'domain.list'}",
	     "[{'domain':'example.test','catchall':'all@elsewhere.test','plus':'+'},"
	     "{'domain':'xn--bcher-kva.test','catchall':'','plus':'+'}]");
	good("{'verb':'domain.catchall','domain':'example.test','target':''}", NULL);
	good("{'verb':'domain.set','domain':'example.test','plus':'-','catchall':'x@y.test'}",
	     NULL);
	good("{'verb':'domain.set','domain':'bücher.test','plus':''}", NULL);
	good("{'verb':'domain.list'}",
	     "[{'domain':'example.test','catchall':'x@y.test','plus':'-'},"
	     "{'domain':'xn--bcher-kva.test','catchall':'','plus':''}]");
	good("{'verb':'domain.set','domain':'example.test','plus':'+'}", NULL);
	good("{'verb':'domain.set','domain':'example.test','catchall':''}", NULL);
	bad("{'verb':'domain.set','domain':'example.test'}", "invalid",
	    "domain.set needs \"catchall\" or \"plus\"");
	bad("{'verb':'domain.set','domain':'example.test','plus':'++'}", "invalid",
	    "not possible: a tag begins with one of +-_=.~#!");
	good("{'verb':'domain.remove','domain':'example.test'}", NULL);
	bad("{'verb':'domain.remove','domain':'example.test'}", "notfound",
	    "no such domain here: example.test");
	bad("{'verb':'domain.catchall','domain':'none.test','target':''}", "notfound",
	    "no such domain here: none.test");
}

static void test_accounts(void **state)
{
	json_t *a;

	(void)state;
	add_domain_and_bob();
	bad("{'verb':'account.add','address':'BOB@example.test',"
	    "'password':'x'}",
	    "exists", "account exists already");
	bad("{'verb':'account.add','address':'x@none.test','password':'x'}", "notfound",
	    "no such domain here: none.test");
	bad("{'verb':'account.add','address':'nobody','password':'x'}", "invalid",
	    "not possible: not a valid address: nobody");
	a = ask(NULL, "{'verb':'account.add','address':'eve@example.test',"
		      "'password':''}");
	assert_string_equal(json_string_value(json_object_get(a, "code")), "invalid");
	json_decref(a);
	good("{'verb':'account.password','address':'bob@example.test',"
	     "'password':'new'}",
	     NULL);
	bad("{'verb':'account.password','address':'eve@example.test',"
	    "'password':'new'}",
	    "notfound", "no such account: eve@example.test");
	good("{'verb':'account.rename','address':'bob@example.test',"
	     "'to':'robert@example.test'}",
	     NULL);
	bad("{'verb':'account.rename','address':'robert@example.test',"
	    "'to':'robert@none.test'}",
	    "notfound", "no such domain here: none.test");
	bad("{'verb':'account.show','address':'bob@example.test'}", "notfound",
	    "there is no such account");
	bad("{'verb':'domain.remove','domain':'example.test'}", "notempty",
	    "the domain still has accounts or aliases: remove them first");
	good("{'verb':'account.remove','address':'robert@example.test'}", NULL);
	bad("{'verb':'account.remove','address':'robert@example.test'}", "notfound",
	    "no such account: robert@example.test");
	good("{'verb':'account.list'}", "[]");
}

static uint64_t shown(const char *member)
{
	json_t *a = ask(NULL, "{'verb':'account.show',"
			      "'address':'bob@example.test'}");
	json_t *v = json_object_get(json_object_get(a, "data"), member);
	uint64_t n;

	assert_true(json_is_integer(v));
	n = (uint64_t)json_integer_value(v);
	json_decref(a);
	return n;
}

/* What is no count must not quietly mean "no quota". */
static void test_quotas(void **state)
{
	static const char *const none[] = { "-1", "'5'", "5.5", "null", "true", "[5]" };
	char request[160];

	(void)state;
	add_domain_and_bob();
	good("{'verb':'account.quota','address':'bob@example.test',"
	     "'quota_bytes':5000,'quota_messages':7}",
	     NULL);
	assert_int_equal(shown("quota_bytes"), 5000);
	assert_int_equal(shown("quota_messages"), 7);
	good("{'verb':'account.quota','address':'bob@example.test',"
	     "'quota_bytes':0}",
	     NULL);
	assert_int_equal(shown("quota_bytes"), 0);
	assert_int_equal(shown("quota_messages"), 7);
	for (size_t i = 0; i < ARRAY_LEN(none); i++) {
		snprintf(request, sizeof(request),
			 "{'verb':'account.quota','address':"
			 "'bob@example.test','quota_messages':%s}",
			 none[i]);
		bad(request, "invalid",
		    "quota_bytes and quota_messages are whole numbers, 0 for "
		    "none");
		snprintf(request, sizeof(request),
			 "{'verb':'account.add','address':"
			 "'eve@example.test','password':'x','quota_bytes':%s}",
			 none[i]);
		bad(request, "invalid",
		    "quota_bytes and quota_messages are whole numbers, 0 for "
		    "none");
	}
	assert_int_equal(shown("quota_messages"), 7);
	bad("{'verb':'account.show','address':'eve@example.test'}", "notfound",
	    "there is no such account");
	bad("{'verb':'account.quota','address':'eve@example.test',"
	    "'quota_bytes':1}",
	    "notfound", "there is no such account");
}

/* An add that was cut short between directory and store is finished by the
 * same command; one that was not is refused. */
static void test_hidden_capabilities(void **state)
{
#define CAPS "{'verb':'account.capabilities','address':'bob@example.test'"
#define IS(list) "{'address':'bob@example.test','hidden':[" list "]}"
	(void)state;
	add_domain_and_bob();
	good(CAPS "}", IS(""));
	good(CAPS ",'hide':'MOVE, idle,,Move'}", IS("'MOVE','idle'"));
	good(CAPS "}", IS("'MOVE','idle'"));
	good(CAPS ",'hide':'COMPRESS=DEFLATE','show':'IDLE,UNSELECT'}",
	     IS("'MOVE','COMPRESS=DEFLATE'"));
	bad(CAPS ",'hide':'ENABLE,NONESUCH'}", "invalid",
	    "NONESUCH is no capability that can be hidden");
	bad(CAPS ",'hide':'IMAP4rev1'}", "invalid",
	    "IMAP4rev1 is no capability that can be hidden");
	good(CAPS ",'hide':'IDLE','clear':true}", IS("'IDLE'"));
	good("{'verb':'account.password','address':'bob@example.test','password':'new'}", NULL);
	good(CAPS "}", IS("'IDLE'"));
	good(CAPS ",'clear':true}", IS(""));
	bad("{'verb':'account.capabilities','address':'eve@example.test'}", "notfound",
	    "there is no such account");
#undef CAPS
#undef IS
}

static void test_half_made_account(void **state)
{
	uint64_t id = 0;

	(void)state;
	co_enter();
	good("{'verb':'domain.add','domain':'example.test'}", NULL);
	assert_int_equal(auth_account_add(site.auth, S("bob@example.test"), S("first"), &id, NULL),
			 AUTH_OK);
	bad("{'verb':'account.show','address':'bob@example.test'}", "notfound",
	    "there is no such account");
	good("{'verb':'account.add','address':'bob@example.test',"
	     "'password':'second'}",
	     NULL);
	assert_int_equal(shown("id"), id);
	bad("{'verb':'account.add','address':'bob@example.test',"
	    "'password':'third'}",
	    "exists", "account exists already");
}

static void test_aliases(void **state)
{
	(void)state;
	add_domain_and_bob();
	good("{'verb':'alias.add','address':'team@example.test',"
	     "'targets':['bob@example.test','amy@elsewhere.test']}",
	     NULL);
	good("{'verb':'alias.list'}", "[{'address':'team@example.test','targets':"
				      "'bob@example.test, amy@elsewhere.test'}]");
	bad("{'verb':'alias.add','address':'x@example.test','targets':[]}", "invalid",
	    "an alias needs 1 to 1000 targets");
	bad("{'verb':'alias.add','address':'x@example.test',"
	    "'targets':'bob@example.test'}",
	    "invalid", "an alias needs 1 to 1000 targets");
	bad("{'verb':'alias.add','address':'x@example.test','targets':[1]}", "invalid",
	    "not possible: not a valid address");
	bad("{'verb':'alias.add','address':'bob@example.test',"
	    "'targets':['amy@elsewhere.test']}",
	    "exists", "address exists already");
	bad("{'verb':'alias.add','address':'x@example.test',"
	    "'targets':['x@example.test']}",
	    "invalid",
	    "not possible: the alias would lead back to itself: "
	    "x@example.test");
	good("{'verb':'alias.remove','address':'team@example.test'}", NULL);
	bad("{'verb':'alias.remove','address':'team@example.test'}", "notfound",
	    "no such alias: team@example.test");
}

/* As many targets as are promised, and not one more. */
static void test_alias_of_a_thousand(void **state)
{
	json_t *targets = json_array(), *q, *a;

	(void)state;
	co_enter();
	add_domain_and_bob();
	for (int i = 0; i < 1000; i++) {
		json_array_append_new(targets, json_sprintf("u%d@elsewhere.test", i));
	}
	q = json_pack("{s:s, s:s, s:o}", "verb", "alias.add", "address", "all@example.test",
		      "targets", targets);
	a = admin_call(&site, NULL, q);
	assert_true(json_is_true(json_object_get(a, "ok")));
	json_decref(a);
	json_array_append_new(targets, json_string("v@elsewhere.test"));
	a = admin_call(&site, NULL, q);
	assert_string_equal(json_string_value(json_object_get(a, "error")),
			    "an alias needs 1 to 1000 targets");
	json_decref(a);
	json_decref(q);
}

static void add_member(void *arg, json_t *into)
{
	json_object_set_new(into, "running", json_true());
	json_object_set_new(into, "extra", json_string(arg));
}

static void test_status_and_check(void **state)
{
	char word[] = "here";
	const struct admin_env env = { .status = add_member, .arg = word };
	json_t *a, *data;

	(void)state;
	add_domain_and_bob();
	a = ask(NULL, "{'verb':'status'}");
	data = json_object_get(a, "data");
	assert_true(json_is_false(json_object_get(data, "running")));
	assert_string_equal(json_string_value(json_object_get(data, "version")), POSTRIDER_VERSION);
	assert_true(json_is_object(json_object_get(data, "store")));
	assert_true(json_is_object(json_object_get(data, "mail")));
	assert_int_equal(json_integer_value(
				 json_object_get(json_object_get(data, "trace"), "days")),
			 30);
	json_decref(a);
	a = ask(&env, "{'verb':'status'}");
	data = json_object_get(a, "data");
	assert_true(json_is_true(json_object_get(data, "running")));
	assert_string_equal(json_string_value(json_object_get(data, "extra")), "here");
	json_decref(a);
	good("{'verb':'check'}", "{'problems':0,'found':[]}");
}

/* ids of the records that are answered, in their order, e.g. "a.1 a.2+" */
static void traced(const char *request, const char *ids)
{
	json_t *a = ask(NULL, request);
	const json_t *data = json_object_get(a, "data");
	char got[256] = "";
	size_t i, n = 0;
	json_t *r;

	assert_int_equal(json_integer_value(json_object_get(data, "days")), 30);
	json_array_foreach(json_object_get(data, "records"), i, r)
	{
		n += (size_t)snprintf(got + n, sizeof(got) - n, "%s%s", i ? " " : "",
				      json_string_value(json_object_get(r, "id")));
	}
	if (json_is_true(json_object_get(data, "more"))) {
		snprintf(got + n, sizeof(got) - n, "+");
	}
	assert_string_equal(got, ids);
	json_decref(a);
}

static void make_record(const char *id, const char *message_id, const char *address)
{
	struct trace_record *r = trace_begin(site.trace, "smtp", slice_cstr(id));

	trace_index(r, TRACE_BY_SESSION, S("ses"));
	trace_index(r, TRACE_BY_MESSAGE_ID, slice_cstr(message_id));
	trace_index(r, TRACE_BY_ADDRESS, slice_cstr(address));
	trace_index(r, TRACE_BY_PEER, S("2001:db8::1"));
	trace_end(&r, "refused", false);
}

/* Whatever it may be is looked for; nobody hides a record behind another. */
static void test_trace(void **state)
{
	(void)state;
	bad("{'verb':'trace'}", "invalid", "trace needs \"what\"");
	bad("{'verb':'trace','what':'x','limit':1001}", "invalid",
	    "since and limit are whole numbers, limit to 1000");
	bad("{'verb':'trace','what':'x','since':'x'}", "invalid",
	    "since and limit are whole numbers, limit to 1000");
	make_record("ses.1", "<One@example.org>", "bob@example.test");
	make_record("ses.2", "<bob@example.test>", "eve@example.test");
	make_record("ses.3", "odd", "postmaster");
	traced("{'verb':'trace','what':'ses.2'}", "ses.2");
	traced("{'verb':'trace','what':'ses'}", "ses.1 ses.2 ses.3");
	traced("{'verb':'trace','what':' <One@EXAMPLE.org> '}", "ses.1");
	traced("{'verb':'trace','what':'One@example.org'}", "ses.1");
	traced("{'verb':'trace','what':'BOB@example.test'}", "ses.1");
	traced("{'verb':'trace','what':'bob@example.test'}", "ses.1 ses.2");
	traced("{'verb':'trace','what':'<bob@example.test>'}", "ses.1 ses.2");
	traced("{'verb':'trace','what':'postmaster'}", "ses.3");
	traced("{'verb':'trace','what':'<odd>'}", "ses.3");
	traced("{'verb':'trace','what':'2001:DB8:0::1'}", "ses.1 ses.2 ses.3");
	traced("{'verb':'trace','what':'ses','limit':2}", "ses.2 ses.3+");
	traced("{'verb':'trace','what':'ses','limit':3}", "ses.1 ses.2 ses.3+");
	traced("{'verb':'trace','what':'ses','since':9999999999999}", "");
	traced("{'verb':'trace','what':''}", "");
	traced("{'verb':'trace','what':'nobody@example.test'}", "");
}

static void note_cut(void *arg, uint64_t account)
{
	*(uint64_t *)arg = *(uint64_t *)arg * 10 + account;
}

/* Sessions end when a password was changed or an account removed, and only
 * then. */
static void test_sessions_are_cut(void **state)
{
	uint64_t cut = 0;
	const struct admin_env env = { .cut = note_cut, .arg = &cut };

	(void)state;
	add_domain_and_bob();
	json_decref(ask(&env, "{'verb':'account.password','address':"
			      "'eve@example.test','password':'x'}"));
	json_decref(ask(&env, "{'verb':'account.password','address':"
			      "'bob@example.test','password':''}"));
	json_decref(ask(&env, "{'verb':'account.show','address':"
			      "'bob@example.test'}"));
	assert_int_equal(cut, 0);
	json_decref(ask(&env, "{'verb':'account.password','address':"
			      "'bob@example.test','password':'x'}"));
	assert_int_equal(cut, 1);
	json_decref(ask(&env, "{'verb':'account.remove','address':"
			      "'bob@example.test'}"));
	assert_int_equal(cut, 11);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_requests_that_are_none),
		T(test_domains),
		T(test_accounts),
		T(test_quotas),
		T(test_hidden_capabilities),
		T(test_half_made_account),
		T(test_aliases),
		T(test_alias_of_a_thousand),
		T(test_status_and_check),
		T(test_trace),
		T(test_sessions_are_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
