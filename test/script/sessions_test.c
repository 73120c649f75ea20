/*
 * What of SMTP and POP3 sessions needs a loop and sockets: time running out,
 * a server that stops, TLS in the middle of a session (THREATS TL-01, TL-02),
 * moving to the account's home loop.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "line/test_talk.h"
#include "rig.h"

CO_FN static void talk_open(struct talk *t, struct rig *r, enum rig_proto proto, bool starttls)
{
	struct stream *server = NULL;
	struct stream *client = NULL;

	assert_int_equal(stream_sock_pair(&server, &client), 0);
	talk_begin(t, rig_session(r, proto, false, starttls, NULL, &server), client);
	t->rough = true;
}

#define POP3_LOGIN "USER alice@example.test\r\nPASS wonderland\r\n"
#define SMTP_MAIL "MAIL FROM:<a@example.org>\r\nRCPT TO:<alice@example.test>\r\n"

/* How many messages alice has, as POP3 tells. */
CO_FN static void has_messages(struct rig *r, struct slice answer)
{
	struct talk t;

	talk_open(&t, r, RIG_POP3, false);
	say(&t, S(POP3_LOGIN));
	hear(&t, S("+OK send PASS\r\n"));
	hear(&t, answer);
	say(&t, S("QUIT\r\n"));
	hear(&t, S("+OK goodbye\r\n"));
	hear(&t, S(""));
	talk_close(&t);
}

/* ---- cases -------------------------------------------------------------- */

CO_FN static void smtp_timeouts(struct rig *r)
{
	struct talk t;

	rig_env(r)->idle_timeout_ms = 1200;
	talk_open(&t, r, RIG_SMTP, false);
	hear(&t, S("220 "));
	hear(&t, S("421 4.4.2 idle for too long, goodbye\r\n"));
	hear(&t, S(""));
	talk_close(&t);
	/* dripping does not help */
	talk_open(&t, r, RIG_SMTP, false);
	for (int i = 0; i < 200; i++) {
		if (stream_write(t.client, S("x")) != 0) {
			break;
		}
		co_sleep(20);
	}
	hear(&t, S("421 4.4.2 "));
	talk_close(&t);
	/* in the middle of a message: nothing is kept */
	talk_open(&t, r, RIG_SMTP, false);
	say(&t, S("EHLO x\r\n"));
	hear(&t, S("250 SMTPUTF8\r\n"));
	say(&t, S(SMTP_MAIL "DATA\r\n"));
	hear(&t, S("354 "));
	say(&t, S("Subject: x\r\n\r\nhalf"));
	hear(&t, S("421 4.4.2 too slow, goodbye\r\n"));
	hear(&t, S(""));
	talk_close(&t);
	/* in the middle of a chunk, kept or dropped */
	for (int last = 0; last < 2; last++) {
		talk_open(&t, r, RIG_SMTP, false);
		say(&t, S("EHLO x\r\n"));
		hear(&t, S("250 SMTPUTF8\r\n"));
		if (last) {
			say(&t, S(SMTP_MAIL));
			hear(&t, S("250 2.1.5 OK\r\n"));
		}
		say(&t, S("BDAT 100 LAST\r\nSubject: x\r\n\r\nhalf"));
		hear(&t, S("421 4.4.2 too slow, goodbye\r\n"));
		hear(&t, S(""));
		talk_close(&t);
	}
	rig_env(r)->idle_timeout_ms = 0;
	has_messages(r, S("+OK maildrop has 0 messages\r\n"));
}

CO_FN static void smtp_stops(struct rig *r)
{
	struct talk t;

	talk_open(&t, r, RIG_SMTP, false);
	say(&t, S("EHLO x\r\n"));
	hear(&t, S("250 SMTPUTF8\r\n"));
	co_yield();
	co_cancel(t.co);
	hear(&t, S(""));
	talk_close(&t);
}

/* One octet a packet, a unix socket is full before a handshake's last words
 * are read, and both sides would wait: not with ONE_BYTE_IO. */
static bool tls_possible(void)
{
#ifdef ONE_BYTE_IO
	return false;
#else
	return true;
#endif
}

CO_FN static void smtp_starttls(struct rig *r)
{
	struct err e = ERR_INIT;
	struct stream *tls = NULL;
	struct talk t;

	if (!tls_possible()) {
		return;
	}
	talk_open(&t, r, RIG_SUBMISSION, true);
	say(&t, S("EHLO x\r\n"));
	hear(&t, S("250-STARTTLS\r\n"));
	hear(&t, S("250 SMTPUTF8\r\n"));
	say(&t, S("STARTTLS\r\n"));
	hear(&t, S("220 2.0.0 "));
	hear(&t, S("\r\n"));
	assert_int_equal(tls_connect(NULL, "localhost", &t.client, &tls, &e), 0);
	t.client = tls;
	/* all is forgotten, TLS is not offered again, logins are */
	say(&t, S("STARTTLS\r\n"));
	hear(&t, S("503 5.5.1 say EHLO or HELO first\r\n"));
	say(&t, S("EHLO y\r\n"));
	hear(&t, S("250-REQUIRETLS\r\n250-AUTH PLAIN LOGIN\r\n"));
	hear(&t, S("250 SMTPUTF8\r\n"));
	say(&t, S("AUTH PLAIN AGFsaWNlQGV4YW1wbGUudGVzdAB3b25kZXJsYW5k\r\n"));
	hear(&t, S("235 2.7.0 "));
	say(&t, S("QUIT\r\n"));
	hear(&t, S("221 2.0.0 "));
	talk_close(&t);
}

/* Clear text behind STARTTLS goes to the TLS engine, which refuses it. */
CO_FN static void clear_after_starttls(struct rig *r)
{
	struct talk t;

	talk_open(&t, r, RIG_SMTP, true);
	say(&t, S("EHLO x\r\n"));
	hear(&t, S("250 SMTPUTF8\r\n"));
	say(&t, S("STARTTLS\r\n"));
	hear(&t, S("220 2.0.0 "));
	say(&t, S("MAIL FROM:<evil@example.org>\r\n"));
	hear(&t, S(""));
	assert_int_equal(slice_find(buf_slice(&t.said), S("250")), SIZE_MAX);
	talk_close(&t);
	talk_open(&t, r, RIG_POP3, true);
	say(&t, S("STLS\r\n" POP3_LOGIN));
	hear(&t, S("+OK begin TLS negotiation\r\n"));
	hear(&t, S(""));
	assert_int_equal(slice_find(buf_slice(&t.said), S("+OK")), SIZE_MAX);
	talk_close(&t);
}

CO_FN static void pop3_stls(struct rig *r)
{
	struct err e = ERR_INIT;
	struct stream *tls = NULL;
	struct talk t;

	if (!tls_possible()) {
		return;
	}
	talk_open(&t, r, RIG_POP3, true);
	say(&t, S("STLS\r\n"));
	hear(&t, S("+OK begin TLS negotiation\r\n"));
	assert_int_equal(tls_connect(NULL, "localhost", &t.client, &tls, &e), 0);
	t.client = tls;
	say(&t, S("CAPA\r\n"));
	hear(&t, S("SASL PLAIN LOGIN\r\nIMPLEMENTATION Postrider\r\n.\r\n"));
	say(&t, S(POP3_LOGIN "QUIT\r\n"));
	hear(&t, S("+OK maildrop has 0 messages\r\n"));
	hear(&t, S("+OK goodbye\r\n"));
	talk_close(&t);
}

/* Autologout deletes nothing and lets the maildrop go (THREATS PO-07). */
CO_FN static void pop3_timeouts(struct rig *r)
{
	struct talk t;

	assert_int_equal(rig_do(r, S("mail alice 2")), 0);
	rig_env(r)->idle_timeout_ms = 1200;
	talk_open(&t, r, RIG_POP3, false);
	say(&t, S(POP3_LOGIN "DELE 1\r\n"));
	hear(&t, S("+OK marked"));
	hear(&t, S("-ERR [SYS/TEMP] idle for too long, nothing was deleted\r\n"));
	hear(&t, S(""));
	talk_close(&t);
	rig_env(r)->idle_timeout_ms = 0;
	rig_env(r)->login_timeout_ms = 1200;
	talk_open(&t, r, RIG_POP3, false);
	for (int i = 0; i < 200; i++) {
		if (stream_write(t.client, S("C")) != 0) {
			break;
		}
		co_sleep(20);
	}
	hear(&t, S("-ERR [SYS/TEMP] idle for too long"));
	talk_close(&t);
	rig_env(r)->login_timeout_ms = 0;
	has_messages(r, S("+OK maildrop has 2 messages\r\n"));
}

/* Two sessions, one maildrop (THREATS PO-03). */
CO_FN static void pop3_lock(struct rig *r)
{
	struct talk a, b;

	talk_open(&a, r, RIG_POP3, false);
	say(&a, S(POP3_LOGIN));
	hear(&a, S("+OK maildrop"));
	talk_open(&b, r, RIG_POP3, false);
	say(&b, S(POP3_LOGIN));
	hear(&b, S("-ERR [IN-USE] "));
	/* dropped without a word: the lock goes with it */
	talk_close(&a);
	say(&b, S(POP3_LOGIN));
	hear(&b, S("+OK maildrop"));
	talk_close(&b);
}

/* ---- running ------------------------------------------------------------ */

struct case_run {
	void (*fn)(struct rig *r);
};

static void in_loop(void *arg)
{
	struct case_run *c = arg;
	struct rig *r = rig_new();

	co_enter();
	c->fn(r);
	rig_free(&r);
	co_loop_stop(co_loop_self());
}

static void run_case(void (*fn)(struct rig *r))
{
	struct case_run c = { fn };
	struct co_loop *l = NULL;

	assert_int_equal(co_loop_new(&l), 0);
	assert_int_equal(co_spawn("case", in_loop, &c, NULL), 0);
	co_loop_run(l);
	co_loop_free(&l);
}

#define CASE(name)                            \
	static void test_##name(void **state) \
	{                                     \
		(void)state;                  \
		run_case(name);               \
	}
CASE(smtp_timeouts)
CASE(smtp_stops)
CASE(smtp_starttls)
CASE(clear_after_starttls)
CASE(pop3_stls)
CASE(pop3_timeouts)
CASE(pop3_lock)

/* ---- two loops ---------------------------------------------------------- */

struct pair {
	pthread_barrier_t ready;
	struct co_loop *loops[2];
	unsigned read;
};

static void *second_thread(void *arg)
{
	struct pair *p = arg;

	if (co_loop_new(&p->loops[1]) != 0) {
		abort();
	}
	pthread_barrier_wait(&p->ready);
	co_loop_run(p->loops[1]);
	co_loop_free(&p->loops[1]);
	return NULL;
}

/* Delivers to all three over SMTP, on this loop; reads each over POP3, at
 * home. */
CO_FN static void deliver_and_read(struct pair *p, struct rig *r)
{
	static const struct slice logins[] = {
		S("USER alice@example.test\r\nPASS wonderland\r\n"),
		S("USER bob@example.test\r\nPASS builder\r\n"),
		S("USER carol@example.test\r\nPASS singer\r\n"),
	};
	struct talk t;

	talk_open(&t, r, RIG_SMTP, false);
	say(&t, S("EHLO x\r\n"));
	hear(&t, S("250 SMTPUTF8\r\n"));
	say(&t, S(SMTP_MAIL "RCPT TO:<bob@example.test>\r\n"
			    "RCPT TO:<carol@example.test>\r\nDATA\r\n"));
	hear(&t, S("354 "));
	say(&t, S("Subject: to all\r\n\r\nhello\r\n.\r\n"));
	hear(&t, S("250 2.0.0 OK"));
	say(&t, S("QUIT\r\n"));
	hear(&t, S("221 "));
	talk_close(&t);
	assert_false(t.moved);
	for (size_t i = 0; i < ARRAY_LEN(logins); i++) {
		talk_open(&t, r, RIG_POP3, false);
		say(&t, logins[i]);
		/* pipelined behind the login, it moves along */
		say(&t, S("RETR 1\r\nDELE 1\r\nQUIT\r\n"));
		hear(&t, S("+OK maildrop has 1 messages\r\n"));
		hear(&t, S("Subject: to all\r\n\r\nhello\r\n.\r\n"));
		hear(&t, S("+OK goodbye\r\n"));
		talk_close(&t);
		assert_int_equal(t.moved, store_home(rig_env(r)->store, rig_account(r, i)) !=
						  co_loop_self());
		p->read++;
	}
}

static void pair_main(void *arg)
{
	struct pair *p = arg;
	struct rig *r = rig_new_on(p->loops, 2);

	co_enter();
	deliver_and_read(p, r);
	rig_free(&r);
	co_loop_stop(p->loops[1]);
	co_loop_stop(p->loops[0]);
}

static void test_moves(void **state)
{
	struct pair p = { 0 };
	pthread_t th;

	(void)state;
	pthread_barrier_init(&p.ready, NULL, 2);
	assert_int_equal(co_loop_new(&p.loops[0]), 0);
	assert_int_equal(pthread_create(&th, NULL, second_thread, &p), 0);
	pthread_barrier_wait(&p.ready);
	assert_int_equal(co_spawn("pair", pair_main, &p, NULL), 0);
	co_loop_run(p.loops[0]);
	pthread_join(th, NULL);
	co_loop_free(&p.loops[0]);
	pthread_barrier_destroy(&p.ready);
	assert_int_equal(p.read, RIG_ACCOUNTS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_smtp_timeouts), cmocka_unit_test(test_smtp_stops),
		cmocka_unit_test(test_smtp_starttls), cmocka_unit_test(test_clear_after_starttls),
		cmocka_unit_test(test_pop3_stls),     cmocka_unit_test(test_pop3_timeouts),
		cmocka_unit_test(test_pop3_lock),     cmocka_unit_test(test_moves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
