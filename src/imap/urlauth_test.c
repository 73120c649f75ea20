/*
 * URLAUTH between accounts, also when they live on two loops: tokens let in
 * whom they name, and nobody else, until the key is taken back.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/err.h"
#include "imap/imap.h"
#include "imap/urlauth.h"
#include "line/test_talk.h"

#include "auth/auth.h"
#include "kv/kv.h"
#include "store/store.h"

#define USERS_MAX 64
#define BIG (300u * 1024) /* more than a spool keeps in memory */

struct house {
	struct kv *kv;
	struct store *store;
	struct auth *auth;
	struct proto_env env;
	pthread_barrier_t ready;
	struct co_loop *loops[2];
	unsigned here, there; /* readers on the owner's loop, and elsewhere */
};

/* ---- tokens ------------------------------------------------------------------- */

static void test_token(void **state)
{
	unsigned char key[STORE_URL_KEY] = { 1, 2, 3 };
	unsigned char other[STORE_URL_KEY] = { 1, 2, 4 };
	char t[URLAUTH_TOKEN], u[URLAUTH_TOKEN];
	struct slice token = slice_make(t, sizeof(t));

	(void)state;
	urlauth_token(key, S("imap://x"), t);
	urlauth_token(key, S("imap://x"), u);
	assert_memory_equal(t, u, sizeof(t));
	assert_true(slice_starts(token, S("01")));
	assert_true(urlauth_check(key, S("imap://x"), token));
	assert_false(urlauth_check(key, S("imap://y"), token));
	assert_false(urlauth_check(other, S("imap://x"), token));
	assert_false(urlauth_check(key, S("imap://x"), slice_sub(token, 0, 64)));
	assert_false(urlauth_check(key, S("imap://x"), S("")));
	for (size_t i = 0; i < sizeof(t); i++) {
		t[i] = t[i] == '0' ? '1' : '0';
		assert_false(urlauth_check(key, S("imap://x"), token));
		t[i] = u[i];
	}
	for (size_t i = 0; i < sizeof(t); i++) {
		t[i] = t[i] >= 'a' ? (char)(t[i] - 32) : t[i];
	}
	assert_true(urlauth_check(key, S("imap://x"), token));
}

/* ---- sessions ----------------------------------------------------------------- */

CO_FN static void house_open(struct house *h)
{
	struct store_opts so = { .loops = h->loops, .n_loops = 2, .tmp_dir = "/tmp" };
	struct auth_opts ao = { .argon_memory_kib = 8, .argon_passes = 1, .no_delays = true };
	struct err e = ERR_INIT;

	assert_int_equal(kv_mem_open(&h->kv), 0);
	so.kv = ao.kv = h->kv;
	assert_int_equal(store_open(&so, &h->store, &e), 0);
	assert_int_equal(auth_open(&ao, &h->auth, &e), 0);
	assert_int_equal(auth_domain_add(h->auth, S("example.test"), &e), 0);
	h->env = (struct proto_env){ .hostname = "test.example",
				     .store = h->store,
				     .auth = h->auth,
				     .cleartext_loopback = true };
}

CO_FN static void house_close(struct house *h)
{
	auth_close(&h->auth);
	store_close(&h->store);
	kv_close(&h->kv);
}

CO_FN static uint64_t add_user(struct house *h, int i)
{
	char user[64];
	struct err e = ERR_INIT;
	uint64_t id = 0;

	snprintf(user, sizeof(user), "u%d@example.test", i);
	assert_int_equal(auth_account_add(h->auth, slice_cstr(user), S("pw"), &id, &e), 0);
	assert_int_equal(store_account_create(h->store, id, 0, 0, &e), 0);
	return id;
}

CO_FN static void login(struct talk *t, struct house *h, int i)
{
	struct stream *server = NULL, *client = NULL;
	struct session *session = NULL;
	char text[128];

	assert_int_equal(stream_sock_pair(&server, &client), 0);
	assert_int_equal(imap_session_new(&h->env, &server, NULL, NULL, NULL, &session), 0);
	talk_begin(t, session, client);
	snprintf(text, sizeof(text), "l LOGIN u%d@example.test pw\r\n", i);
	say(t, slice_cstr(text));
	hear(t, S("l OK ["));
	hear(t, S("\r\n"));
}

CO_FN static void logout(struct talk *t)
{
	say(t, S("z LOGOUT\r\n"));
	hear(t, S("z OK Goodbye\r\n"));
	hear(t, S(""));
	talk_close(t);
}

/* Says "x <text>" and gives all that is heard before "x OK". */
CO_FN static void ask(struct talk *t, struct slice text, struct buf *out)
{
	buf_reset(out);
	say(t, S("x "));
	say(t, text);
	say(t, S("\r\n"));
	while (slice_find(buf_slice(&t->said), S("x OK ")) == SIZE_MAX) {
		char piece[2048];
		ssize_t n;

		if (slice_find(buf_slice(&t->said), S("x BAD")) != SIZE_MAX) {
			fail_msg("refused: %s", buf_cstr(&t->said));
		}
		stream_set_deadline(t->client, clock_in_ms(TALK_WAIT_MS));
		n = stream_read(t->client, piece, sizeof(piece));
		assert_true(n > 0);
		buf_add(&t->said, slice_make(piece, (size_t)n));
	}
	buf_add(out,
		slice_sub(buf_slice(&t->said), 0, slice_find(buf_slice(&t->said), S("x OK "))));
	hear(t, S("x OK "));
	hear(t, S("\r\n"));
}

/* An authorised URL for this rump, with its quotes. */
CO_FN static void authorise(struct talk *t, const char *rump, struct buf *url)
{
	struct buf text = BUF_INIT(4096), out = BUF_INIT(8192);
	size_t at;

	buf_printf(&text, "GENURLAUTH \"%s\" INTERNAL", rump);
	ask(t, buf_slice(&text), &out);
	at = slice_find(buf_slice(&out), S("* GENURLAUTH "));
	assert_true(at != SIZE_MAX);
	buf_reset(url);
	buf_add(url, slice_trim(slice_from(buf_slice(&out), at + 13)));
	buf_fini(&text);
	buf_fini(&out);
}

/* What URLFETCH gives for it: behind the URL. */
CO_FN static void fetch(struct talk *t, struct slice url, struct buf *out)
{
	struct buf text = BUF_INIT(4096);
	struct slice s;
	size_t at;

	buf_adds(&text, "URLFETCH ");
	buf_add(&text, url);
	ask(t, buf_slice(&text), out);
	s = buf_slice(out);
	assert_true(slice_starts(s, S("* URLFETCH ")));
	at = slice_find(s, S(" NIL\r\n"));
	at = at == SIZE_MAX ? slice_find(s, S(" {")) : at;
	at = at == SIZE_MAX ? slice_find(s, S(" \"\"")) : at;
	assert_true(at != SIZE_MAX);
	buf_consume(out, at + 1);
	buf_fini(&text);
}

CO_FN static void expect(struct talk *t, struct slice url, struct slice want)
{
	struct buf out = BUF_INIT(2 * BIG);

	fetch(t, url, &out);
	if (!slice_starts(buf_slice(&out), want)) {
		fail_msg("%.*s gives %s", SLICE_ARG(url), buf_cstr(&out));
	}
	buf_fini(&out);
}

#define AT "imap://u0%40example.test@test.example/INBOX"

/* ---- the case ------------------------------------------------------------------ */

CO_FN static void append_mail(struct talk *t)
{
	struct buf m = BUF_INIT(2 * BIG), c = BUF_INIT(3 * BIG);
	struct buf out = BUF_INIT(4096);

	buf_adds(&m, "Subject: secret\r\n\r\nfirst\r\n");
	while (m.n < BIG) {
		buf_adds(&m, "0123456789012345678901234567890123456789\r\n");
	}
	buf_printf(&c, "APPEND INBOX {%zu+}\r\n", m.n);
	buf_add(&c, buf_slice(&m));
	ask(t, buf_slice(&c), &out);
	buf_fini(&m);
	buf_fini(&c);
	buf_fini(&out);
}

/* Reader i of what u0 authorised for u1. */
CO_FN static void reads(struct house *h, const struct buf *urls, int i)
{
	struct talk t;
	bool named = i == 1;

	login(&t, h, i);
	expect(&t, buf_slice(&urls[0]),
	       named ? S("{307214}\r\nSubject: secret\r\n\r\nfirst\r\n0") : S("NIL"));
	expect(&t, buf_slice(&urls[1]), S("{5}\r\nfirst\r\n"));
	expect(&t, buf_slice(&urls[2]), S("\"\""));
	expect(&t, buf_slice(&urls[3]), S("NIL"));  /* it has expired */
	expect(&t, buf_slice(&urls[4]), S("{19}")); /* it will */
	expect(&t, buf_slice(&urls[5]), S("NIL"));  /* there is no such message */
	expect(&t, buf_slice(&urls[6]), S("NIL"));  /* nor part */
	expect(&t, buf_slice(&urls[7]), S("NIL"));  /* for submission */
	/* Any other octet makes it another URL. */
	struct buf other = BUF_INIT(4096);

	buf_add(&other, buf_slice(&urls[1]));
	size_t at = slice_find(buf_slice(&other), S("UID=1"));

	other.p[at + 4] = '2';
	expect(&t, buf_slice(&other), S("NIL"));
	buf_fini(&other);
	logout(&t);
}

static const char *const rumps[] = {
	AT "/;UID=1;URLAUTH=user+u1%40example.test",
	AT "/;UID=1/;SECTION=TEXT/;PARTIAL=0.5;URLAUTH=anonymous",
	AT "/;UID=1/;PARTIAL=999999999;URLAUTH=authuser",
	AT "/;UID=1;EXPIRE=2020-01-01T00:00:00Z;URLAUTH=authuser",
	AT "/;UID=1/;SECTION=HEADER;EXPIRE=2999-01-01T00:00:00+01:00;URLAUTH=authuser",
	AT "/;UID=7;URLAUTH=authuser",
	AT "/;UID=1/;SECTION=2.9;URLAUTH=authuser",
	AT "/;UID=1;URLAUTH=submit+u1",
};

CO_FN static void exchange(struct house *h)
{
	struct buf urls[ARRAY_LEN(rumps)];
	struct buf out = BUF_INIT(4096);
	struct talk owner, watcher;
	uint64_t id = add_user(h, 0);
	struct err e = ERR_INIT;

	login(&owner, h, 0);
	append_mail(&owner);
	for (size_t i = 0; i < ARRAY_LEN(rumps); i++) {
		urls[i] = BUF_INIT(4096);
		authorise(&owner, rumps[i], &urls[i]);
	}
	/* Homes differ from run to run: go on until both were there. */
	for (int i = 1; i < USERS_MAX && (h->here == 0 || h->there == 0); i++) {
		uint64_t reader = add_user(h, i);
		bool here = store_home(h->store, reader) == store_home(h->store, id);

		h->here += here;
		h->there += !here;
		reads(h, urls, i);
	}
	/* The key is taken back; another session of the owner hears of it. */
	login(&watcher, h, 0);
	say(&watcher, S("s SELECT INBOX\r\ni IDLE\r\n"));
	hear(&watcher, S("+ idling\r\n"));
	ask(&owner, S("RESETKEY INBOX"), &out);
	hear(&watcher, S("* OK [URLMECH INTERNAL]"));
	say(&watcher, S("DONE\r\n"));
	hear(&watcher, S("i OK Idle ended\r\n"));
	expect(&watcher, buf_slice(&urls[1]), S("NIL"));
	authorise(&owner, rumps[1], &urls[0]);
	expect(&watcher, buf_slice(&urls[0]), S("{5}\r\nfirst\r\n"));
	assert_int_equal(auth_account_disable(h->auth, S("u0@example.test"), true, &e), 0);
	expect(&watcher, buf_slice(&urls[0]), S("NIL"));
	logout(&watcher);
	logout(&owner);
	for (size_t i = 0; i < ARRAY_LEN(rumps); i++) {
		buf_fini(&urls[i]);
	}
	buf_fini(&out);
}

static void *second_thread(void *arg)
{
	struct house *h = arg;

	if (co_loop_new(&h->loops[1]) != 0) {
		abort();
	}
	pthread_barrier_wait(&h->ready);
	co_loop_run(h->loops[1]);
	co_loop_free(&h->loops[1]);
	return NULL;
}

static void main_there(void *arg)
{
	struct house *h = arg;

	co_enter();
	house_open(h);
	exchange(h);
	house_close(h);
	co_loop_stop(h->loops[1]);
	co_loop_stop(h->loops[0]);
}

static void test_exchange(void **state)
{
	struct house h = { 0 };
	pthread_t th;

	(void)state;
	log_setup(-1, LOG_ERROR);
	pthread_barrier_init(&h.ready, NULL, 2);
	assert_int_equal(co_loop_new(&h.loops[0]), 0);
	assert_int_equal(pthread_create(&th, NULL, second_thread, &h), 0);
	pthread_barrier_wait(&h.ready);
	assert_int_equal(co_spawn("exchange", main_there, &h, NULL), 0);
	co_loop_run(h.loops[0]);
	pthread_join(th, NULL);
	co_loop_free(&h.loops[0]);
	pthread_barrier_destroy(&h.ready);
	assert_true(h.here > 0 && h.there > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_token),
					    cmocka_unit_test(test_exchange) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
