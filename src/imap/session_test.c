/*
 * What of a session needs a loop: timeouts, cancellation, IDLE woken by
 * others, a client that does not read (THREATS IM-13, IM-18), moving to the
 * account's home loop.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "imap/imap.h"
#include "line/test_talk.h"

#include "auth/auth.h"
#include "kv/kv.h"
#include "store/store.h"

#define LOGIN "l LOGIN ann@example.test pw\r\n"
#define ACCOUNTS_MAX 64
#ifdef ONE_BYTE_IO
#define BIG_SIZE (32u << 10)
#else
#define BIG_SIZE (4u << 20) /* more than sockets hold */
#endif

struct house {
	struct kv *kv;
	struct store *store;
	struct auth *auth;
	uint64_t id;
	struct proto_env env;
	struct co_loop **loops;
	size_t n_loops;
};

CO_FN static void house_open(struct house *h)
{
	struct store_opts so = { .loops = h->loops, .n_loops = h->n_loops };
	struct auth_opts ao = { .argon_memory_kib = 8, .argon_passes = 1, .no_delays = true };
	struct err e = ERR_INIT;

	assert_int_equal(kv_mem_open(&h->kv), 0);
	so.kv = h->kv;
	ao.kv = h->kv;
	assert_int_equal(store_open(&so, &h->store, &e), 0);
	assert_int_equal(auth_open(&ao, &h->auth, &e), 0);
	assert_int_equal(auth_domain_add(h->auth, S("example.test"), &e), 0);
	assert_int_equal(auth_account_add(h->auth, S("ann@example.test"), S("pw"), &h->id, &e), 0);
	assert_int_equal(store_account_create(h->store, h->id, 0, 0, &e), 0);
	h->env.hostname = "test.example";
	h->env.store = h->store;
	h->env.auth = h->auth;
	h->env.cleartext_loopback = true;
}

static void house_close(struct house *h)
{
	auth_close(&h->auth);
	store_close(&h->store);
	kv_close(&h->kv);
}

/* ---- talking -------------------------------------------------------------------- */

CO_FN static void talk_open(struct talk *t, struct house *h)
{
	struct stream *server = NULL;
	struct stream *client = NULL;
	struct session *session = NULL;

	assert_int_equal(stream_sock_pair(&server, &client), 0);
	assert_int_equal(imap_session_new(&h->env, &server, NULL, NULL, NULL, &session), 0);
	talk_begin(t, session, client);
}

/* ---- cases ---------------------------------------------------------------------- */

/* Says it again and again, until the server has gone. */
CO_FN static void drip(struct talk *t, struct slice s)
{
	unsigned n = 0;

	stream_set_deadline(t->client, clock_in_ms(TALK_WAIT_MS));
	while (stream_write(t->client, s) == 0) {
		assert_true(n++ < 500);
		co_sleep(20);
	}
}

CO_FN static void login_timeout(struct house *h)
{
	struct talk t;

	h->env.login_timeout_ms = 50;
	talk_open(&t, h);
	hear(&t, S("* OK ["));
	hear(&t, S("* BYE Logged out for inactivity\r\n"));
	hear(&t, S(""));
	talk_close(&t);
	/* dripping does not help: the whole time before login is counted */
	h->env.login_timeout_ms = 300;
	talk_open(&t, h);
	drip(&t, S("a NOOP\r\n"));
	hear(&t, S("* BYE Logged out for inactivity\r\n"));
	talk_close(&t);
	/* nor within a command */
	talk_open(&t, h);
	drip(&t, S("a"));
	hear(&t, S("* BYE Logged out for inactivity\r\n"));
	hear(&t, S(""));
	talk_close(&t);
}

CO_FN static void idle_timeout(struct house *h)
{
	struct talk t;

	h->env.idle_timeout_ms = 50;
	talk_open(&t, h);
	say(&t, S(LOGIN "s SELECT INBOX\r\n"));
	hear(&t, S("s OK ["));
	hear(&t, S("* BYE Logged out for inactivity\r\n"));
	hear(&t, S(""));
	talk_close(&t);
	talk_open(&t, h);
	say(&t, S(LOGIN "i IDLE\r\n"));
	hear(&t, S("+ idling\r\n"));
	hear(&t, S("* BYE Logged out for inactivity\r\n"));
	talk_close(&t);
}

CO_FN static void cancelled(struct house *h)
{
	static const struct slice states[] = { S("b NOOP\r\n"), S("i IDLE\r\n") };

	for (size_t i = 0; i < ARRAY_LEN(states); i++) {
		struct talk t;
		talk_open(&t, h);
		say(&t, S(LOGIN));
		say(&t, states[i]);
		hear(&t, i ? S("+ idling\r\n") : S("b OK Done\r\n"));
		co_yield();
		co_cancel(t.co);
		hear(&t, S(""));
		talk_close(&t);
	}
}

/* One session hears in IDLE what another does. */
CO_FN static void idle_wakes(struct house *h)
{
	struct talk a;
	struct talk b;

	talk_open(&a, h);
	talk_open(&b, h);
	say(&a, S(LOGIN "s SELECT INBOX\r\ni IDLE\r\n"));
	hear(&a, S("+ idling\r\n"));
	say(&b, S(LOGIN "p APPEND INBOX {6+}\r\na: b\r\n\r\n"
			"q APPEND INBOX {6+}\r\na: c\r\n\r\n"));
	hear(&b, S("q OK ["));
	hear(&a, S(" EXISTS\r\n"));
	say(&b, S("s SELECT INBOX\r\nt STORE 1 +FLAGS (\\Deleted)\r\n"));
	hear(&b, S("t OK "));
	hear(&a, S("* 1 FETCH (FLAGS (\\Deleted"));
	say(&b, S("x EXPUNGE\r\n"));
	hear(&b, S("x OK "));
	hear(&a, S("* 1 EXPUNGE\r\n"));
	say(&a, S("DONE\r\n"));
	hear(&a, S("i OK Idle ended\r\n"));
	talk_close(&a);
	talk_close(&b);
}

/* A client that asks for everything and reads nothing costs no more than its
 * buffers, and goes when its time is up. */
CO_FN static void does_not_read(struct house *h)
{
	struct talk t;
	struct buf big = BUF_INIT(8u << 20);

	buf_adds(&big, "Subject: big\r\n\r\n");
	while (big.n < BIG_SIZE) {
		buf_adds(&big, "0123456789012345678901234567890123456789\r\n");
	}
	talk_open(&t, h);
	say(&t, S(LOGIN));
	hear(&t, S("] Logged in\r\n")); /* all of it: nobody reads while we write */
	for (int i = 0; i < 3; i++) {
		char line[64];
		snprintf(line, sizeof(line), "p APPEND INBOX {%zu+}\r\n", big.n);
		say(&t, slice_cstr(line));
		say(&t, buf_slice(&big));
		say(&t, S("\r\n"));
		hear(&t, S("p OK ["));
		hear(&t, S("\r\n"));
	}
	say(&t, S("s SELECT INBOX\r\nf FETCH 1:* BODY.PEEK[]\r\n"));
	co_sleep(200);
	assert_true(t.s->conn.out.cap <= 4 * CONN_OUT_MAX);
	co_cancel(t.co);
	talk_close(&t);
	/* and one that does read gets all of it, byte for byte */
	talk_open(&t, h);
	say(&t, S(LOGIN "s SELECT INBOX\r\nf FETCH 3 BODY.PEEK[]\r\n"));
	hear(&t, S("* 3 FETCH (BODY[] {"));
	hear(&t, S("}\r\n"));
	hear(&t, S(")\r\nf OK Fetched\r\n"));
	talk_close(&t);
	buf_fini(&big);
}

/* Waits for a line with text in it; none with `never` in it comes before. */
CO_FN static void hear_without(struct talk *t, struct slice never, struct slice text)
{
	struct buf line = BUF_INIT(64u << 20);

	while (slice_find(buf_slice(&line), text) == SIZE_MAX) {
		size_t end = slice_chr(buf_slice(&t->said), '\n');
		if (end == SIZE_MAX) {
			char piece[2048];
			ssize_t n;
			stream_set_deadline(t->client, clock_in_ms(TALK_WAIT_MS));
			n = stream_read(t->client, piece, sizeof(piece));
			assert_true(n > 0);
			buf_add(&t->said, slice_make(piece, (size_t)n));
			continue;
		}
		buf_reset(&line);
		buf_add(&line, slice_sub(buf_slice(&t->said), 0, end + 1));
		buf_consume(&t->said, end + 1);
		assert_int_equal(slice_find(buf_slice(&line), never), SIZE_MAX);
	}
	buf_fini(&line);
}

static void append_big(struct talk *t, struct buf *line, const struct buf *big, int n)
{
	co_enter();
	for (int i = 0; i < n; i++) {
		buf_reset(line);
		buf_printf(line, "p APPEND INBOX {%zu+}\r\n", big->n);
		say(t, buf_slice(line));
		say(t, buf_slice(big));
		say(t, S("\r\n"));
		hear(t, S("p OK ["));
		hear(t, S("\r\n"));
	}
}

/*
 * While a FETCH waits for its client in the middle of the first message,
 * another session changes the flags that were told already, and expunges.
 * The flags are told before the FETCH ends, the expunge after it, and until
 * then HIGHESTMODSEQ is lower than the expunge's.
 */
CO_FN static void lags(struct house *h)
{
	struct buf big = BUF_INIT(8u << 20);
	struct buf line = BUF_INIT(4096);
	struct talk a;
	struct talk b;

	buf_adds(&big, "Subject: big\r\n\r\n");
	while (big.n < BIG_SIZE) {
		buf_adds(&big, "0123456789012345678901234567890123456789\r\n");
	}
	talk_open(&a, h);
	talk_open(&b, h);
	say(&b, S(LOGIN));
	hear(&b, S("] Logged in\r\n"));
	append_big(&b, &line, &big, 3);
	say(&a, S(LOGIN "e ENABLE QRESYNC\r\ns SELECT INBOX\r\n"
			"f FETCH 1:3 (FLAGS BODY.PEEK[])\r\n"));
	hear(&a, S("* OK [HIGHESTMODSEQ 4]"));
	hear(&a, S("* 1 FETCH (FLAGS ("));
	co_sleep(200);
	say(&b, S("s SELECT INBOX\r\nt STORE 1 +FLAGS (\\Flagged word)\r\n"
		  "u STORE 3 +FLAGS (\\Deleted)\r\nx EXPUNGE\r\n"));
	hear(&b, S("x OK "));
	hear_without(&a, S("VANISHED"), S("* 1 FETCH (UID 1 FLAGS (\\Flagged"));
	hear_without(&a, S("VANISHED"), S("f OK [EXPUNGEISSUED]"));
	say(&a, S("g STORE 1 +FLAGS.SILENT (\\Seen)\r\n"));
	hear_without(&a, S("VANISHED"), S("g OK [HIGHESTMODSEQ 4]"));
	say(&a, S("n NOOP\r\n"));
	hear(&a, S("* VANISHED 3\r\n"));
	hear(&a, S("n OK [HIGHESTMODSEQ "));
	talk_close(&a);
	talk_close(&b);
	buf_fini(&big);
	buf_fini(&line);
}

#ifndef ONE_BYTE_IO /* a list longer than a socket holds takes too long there */
/* The number that follows text. */
CO_FN static uint64_t hear_number(struct talk *t, struct slice text)
{
	struct cur c;
	uint64_t n;

	hear(t, text);
	while (slice_chr(buf_slice(&t->said), '\n') == SIZE_MAX) {
		char piece[2048];
		ssize_t got;
		stream_set_deadline(t->client, clock_in_ms(TALK_WAIT_MS));
		got = stream_read(t->client, piece, sizeof(piece));
		assert_true(got > 0);
		buf_add(&t->said, slice_make(piece, (size_t)got));
	}
	c = cur_init(buf_slice(&t->said));
	n = cur_u64(&c);
	assert_int_equal(c.err, 0);
	return n;
}

/*
 * While SELECT with QRESYNC waits for its client in the middle of what the
 * client has missed, another session expunges, and then changes the flags of
 * a message that SELECT has yet to tell. Its MODSEQ goes out although the
 * expunge does not: then HIGHESTMODSEQ is said once more, the one from before.
 */
CO_FN static void lags_in_select(struct house *h)
{
	struct buf line = BUF_INIT(4096);
	struct talk a;
	struct talk b;
	uint64_t uidvalidity;
	uint64_t modseq;

	talk_open(&a, h);
	talk_open(&b, h);
	say(&b, S(LOGIN "p APPEND INBOX {6+}\r\na: b\r\n\r\n"));
	hear(&b, S("p OK ["));
	for (int i = 0; i < 15; i++) {
		say(&b, S("s SELECT INBOX\r\nd COPY 1:* INBOX\r\n"));
		hear(&b, S("d OK [COPYUID "));
	}
	say(&b, S("s SELECT INBOX\r\n"));
	uidvalidity = hear_number(&b, S("* OK [UIDVALIDITY "));
	hear(&b, S("s OK "));
	buf_printf(&line, LOGIN "e ENABLE QRESYNC\r\ns SELECT INBOX (QRESYNC (%llu 1))\r\n",
		   (unsigned long long)uidvalidity);
	say(&a, buf_slice(&line));
	modseq = hear_number(&a, S("* OK [HIGHESTMODSEQ "));
	hear(&a, S("* 1 FETCH (UID 1 "));
	co_sleep(200);
	say(&b, S("t STORE 1 +FLAGS.SILENT (\\Deleted)\r\nx EXPUNGE\r\n"
		  "u STORE 32767 +FLAGS.SILENT (\\Flagged)\r\n"));
	hear(&b, S("u OK "));
	hear_without(&a, S("VANISHED"), S("* 32768 FETCH (UID 32768 FLAGS (\\Flagged"));
	buf_reset(&line);
	buf_printf(&line, "* OK [HIGHESTMODSEQ %llu] ", (unsigned long long)modseq);
	hear(&a, buf_slice(&line));
	hear(&a, S("s OK [READ-WRITE]"));
	say(&a, S("n NOOP\r\n"));
	hear(&a, S("* VANISHED 1\r\n"));
	assert_true(hear_number(&a, S("n OK [HIGHESTMODSEQ ")) > modseq);
	talk_close(&a);
	talk_close(&b);
	buf_fini(&line);
}
#endif

/* More than one commit takes: all of it, or nothing (ADR 21). */
CO_FN static void copies_many(struct house *h)
{
	struct err e = ERR_INIT;
	struct talk t;

	talk_open(&t, h);
	say(&t, S(LOGIN "p APPEND INBOX {6+}\r\na: b\r\n\r\n"));
	hear(&t, S("p OK ["));
	for (int i = 0; i < 15; i++) {
		say(&t, S("s SELECT INBOX\r\nd COPY 1:* INBOX\r\n"));
		hear(&t, S("d OK [COPYUID "));
	}
	say(&t, S("s SELECT INBOX\r\n"));
	hear(&t, S("* 32768 EXISTS\r\n"));
	assert_int_equal(store_quota_set(h->store, h->id, 0, 32768 + 20005, &e), 0);
	say(&t, S("c COPY 1:* Sent\r\nn STATUS Sent (MESSAGES)\r\n"));
	hear(&t, S("c NO [OVERQUOTA]"));
	hear(&t, S("(MESSAGES 0)"));
	assert_int_equal(store_quota_set(h->store, h->id, 0, 0, &e), 0);
	say(&t, S("c COPY 1:* Sent\r\nn STATUS Sent (MESSAGES)\r\n"));
	hear(&t, S(" 1:32768 20001:52768] Copied\r\n"));
	hear(&t, S("(MESSAGES 32768)"));
#ifndef ONE_BYTE_IO /* 32,768 lines */
	say(&t, S("m MOVE 1:* Archive\r\nn STATUS Archive (MESSAGES)\r\n"));
	hear(&t, S(" 1:32768 1:32768] Moved\r\n"));
	hear(&t, S("* 32768 EXPUNGE\r\n"));
	hear(&t, S("* 1 EXPUNGE\r\nm OK Moved\r\n"));
	hear(&t, S("(MESSAGES 32768)"));
#endif
	talk_close(&t);
}

/* ---- running ---------------------------------------------------------------------- */

struct case_run {
	void (*fn)(struct house *h);
	struct house h;
};

static void in_loop(void *arg)
{
	struct case_run *c = arg;

	co_enter();
	house_open(&c->h);
	c->fn(&c->h);
	house_close(&c->h);
	co_loop_stop(co_loop_self());
}

static void run_case(void (*fn)(struct house *h))
{
	struct case_run c = { .fn = fn };
	struct co_loop *l = NULL;

	log_setup(-1, LOG_ERROR);
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
CASE(login_timeout)
CASE(idle_timeout)
CASE(cancelled)
CASE(idle_wakes)
CASE(does_not_read)
CASE(lags)
#ifndef ONE_BYTE_IO
CASE(lags_in_select)
#endif
CASE(copies_many)

/* ---- two loops --------------------------------------------------------------------- */

struct pair {
	pthread_barrier_t ready;
	struct co_loop *loops[2];
	struct house h;
	unsigned moved;
	unsigned stayed;
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

/* Accounts whose home is elsewhere: the session moves and goes on, with what
 * was pipelined behind the login. */
CO_FN static void moves(struct pair *p)
{
	struct err e = ERR_INIT;
	struct talk t;

	/* Homes differ from run to run: go on until one moved and one stayed. */
	for (int i = 0; i < ACCOUNTS_MAX && (p->moved == 0 || p->stayed == 0); i++) {
		char user[64];
		char login[128];
		uint64_t id = 0;
		snprintf(user, sizeof(user), "u%d@example.test", i);
		snprintf(login, sizeof(login), "l LOGIN %s pw\r\n", user);
		assert_int_equal(auth_account_add(p->h.auth, slice_cstr(user), S("pw"), &id, &e),
				 0);
		assert_int_equal(store_account_create(p->h.store, id, 0, 0, &e), 0);
		talk_open(&t, &p->h);
		say(&t, slice_cstr(login));
		say(&t, S("s SELECT INBOX\r\na APPEND INBOX {6+}\r\na: "
			  "b\r\n\r\n"));
		hear(&t, S("l OK ["));
		hear(&t, S("s OK ["));
		hear(&t, S("a OK ["));
		say(&t, S("z LOGOUT\r\n"));
		hear(&t, S("z OK Goodbye\r\n"));
		hear(&t, S(""));
		talk_close(&t);
		assert_int_equal(t.moved, store_home(p->h.store, id) != co_loop_self());
		p->moved += t.moved;
		p->stayed += !t.moved;
	}
}

/* An account whose home is (not) this loop. */
CO_FN static uint64_t account_at(struct pair *p, char *user, size_t n, bool here)
{
	static int count;
	struct err e = ERR_INIT;
	uint64_t id = 0;

	do {
		snprintf(user, n, "x%d@example.test", count++);
		assert_int_equal(auth_account_add(p->h.auth, slice_cstr(user), S("pw"), &id, &e),
				 0);
		assert_int_equal(store_account_create(p->h.store, id, 0, 0, &e), 0);
	} while ((store_home(p->h.store, id) == co_loop_self()) != here);
	return id;
}

__attribute__((format(printf, 2, 3))) CO_FN static void sayf(struct talk *t, const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	say(t, slice_cstr(line));
}

/* A mailbox of one user that another has open, each in a session. */
struct loan {
	char owner[64], guest[64];
	struct talk a, b; /* the owner's, the guest's */
};

/* Makes it, and selects it; what the guest has is there all the same. */
CO_FN static void lend(struct loan *l, struct pair *p, bool here)
{
	account_at(p, l->owner, sizeof(l->owner), here);
	account_at(p, l->guest, sizeof(l->guest), !here);
	talk_open(&l->a, &p->h);
	sayf(&l->a, "l LOGIN %s pw\r\nc CREATE Team\r\ns SETACL Team %s lrswte\r\n", l->owner,
	     l->guest);
	hear(&l->a, S("s OK "));
	talk_open(&l->b, &p->h);
	sayf(&l->b, "l LOGIN %s pw\r\nn SELECT \"Other Users/%s/Sent\"\r\n", l->guest, l->owner);
	hear(&l->b, S("n NO [NONEXISTENT]"));
	sayf(&l->b,
	     "s SELECT \"Other Users/%s/Team\"\r\nt STATUS INBOX (MESSAGES)\r\n"
	     "u LIST \"\" *\r\nc CREATE Mine\r\ni IDLE\r\n",
	     l->owner);
	hear(&l->b, S("s OK [READ-WRITE]"));
	hear(&l->b, S("* STATUS INBOX (MESSAGES 0)"));
	hear(&l->b, S("* LIST (\\HasNoChildren) \"/\" INBOX\r\n"));
	hear(&l->b, S("/Team\"\r\n"));
	hear(&l->b, S("c OK ["));
	hear(&l->b, S("+ idling\r\n"));
}

/* What the owner does is heard at once, and the other way round. */
CO_FN static void hear_each_other(struct loan *l)
{
	say(&l->a, S("a APPEND Team {6+}\r\na: b\r\n\r\nz SELECT Team\r\nx IDLE\r\n"));
	hear(&l->a, S("+ idling\r\n"));
	hear(&l->b, S("* 1 EXISTS\r\n"));
	say(&l->b, S("DONE\r\nf STORE 1 +FLAGS (\\Seen $X)\r\n"));
	hear(&l->b, S("f OK "));
	hear(&l->a, S("* 1 FETCH (FLAGS (\\Seen "));
}

/* From over there into one's own account; the other way round needs a right. */
CO_FN static void take_home(struct loan *l)
{
	say(&l->b, S("p APPEND Mine (\\Flagged $Y) {6+}\r\na: c\r\n\r\n"
		     "q COPY 1 Mine\r\nt STATUS Mine (MESSAGES)\r\n"));
	hear(&l->b, S("p OK [APPENDUID"));
	hear(&l->b, S("q OK [COPYUID"));
	hear(&l->b, S("* STATUS Mine (MESSAGES 2)"));
	sayf(&l->b,
	     "o SELECT Mine\r\nf FETCH 1:2 FLAGS\r\n"
	     "p APPEND \"Other Users/%s/Team\" (\\Flagged $Y) {6+}\r\na: d\r\n\r\n"
	     "q MOVE 2 \"Other Users/%s/Team\"\r\ns SELECT \"Other Users/%s/Team\"\r\n"
	     "g FETCH 1:* FLAGS\r\n",
	     l->owner, l->owner, l->owner);
	hear(&l->b, S("* 1 FETCH (FLAGS (\\Flagged \\Recent $Y))"));
	hear(&l->b, S("* 2 FETCH (FLAGS (\\Seen \\Recent $X))"));
	hear(&l->b, S("p NO [NOPERM]"));
	hear(&l->b, S("q NO [NOPERM]"));
	hear(&l->b, S("g OK "));
}

CO_FN static void take_back(struct loan *l)
{
	sayf(&l->a, "DONE\r\nd SETACL Team %s +i\r\nx IDLE\r\n", l->guest);
	hear(&l->a, S("+ idling\r\n"));
	sayf(&l->b,
	     "o SELECT Mine\r\n"
	     "p APPEND \"Other Users/%s/Team\" (\\Flagged $Y) {6+}\r\na: d\r\n\r\n"
	     "q MOVE 2 \"Other Users/%s/Team\"\r\ns SELECT \"Other Users/%s/Team\"\r\n"
	     "g FETCH 2:3 FLAGS\r\nh STORE 2:3 +FLAGS (\\Deleted)\r\ne EXPUNGE\r\n",
	     l->owner, l->owner, l->owner);
	hear(&l->b, S("p OK [APPENDUID"));
	hear(&l->b, S("q OK Moved"));
	hear(&l->b, S("* 2 FETCH (FLAGS (\\Flagged $Y))"));
	hear(&l->b, S("* 3 FETCH (FLAGS (\\Seen $X))"));
	hear(&l->b, S("e OK "));
}

/* Home again, and over once more. */
CO_FN static void go_home(struct loan *l)
{
	sayf(&l->b,
	     "o SELECT Mine\r\nq STATUS \"Other Users/%s/Team\" (MESSAGES)\r\n"
	     "r EXAMINE \"Other Users/%s/Team\"\r\nv UNSELECT\r\nw STATUS Mine (MESSAGES)\r\n"
	     "s SELECT \"Other Users/%s/Team\"\r\ni IDLE\r\n",
	     l->owner, l->owner, l->owner);
	hear(&l->b, S("* OK [CLOSED]"));
	hear(&l->b, S("o OK [READ-WRITE]"));
	hear(&l->b, S("/Team\" (MESSAGES 1)"));
	hear(&l->b, S("r OK [READ-ONLY]"));
	hear(&l->b, S("v OK "));
	hear(&l->b, S("* STATUS Mine (MESSAGES 1)"));
	hear(&l->b, S("+ idling\r\n"));
}

/* A right is taken away: told in IDLE; the right to read: the end. */
CO_FN static void take_rights(struct loan *l)
{
	sayf(&l->a, "DONE\r\nd SETACL Team %s -swt\r\n", l->guest);
	hear(&l->a, S("d OK "));
	hear(&l->b, S("* OK [PERMANENTFLAGS ()]"));
	sayf(&l->a, "d SETACL Team %s l\r\n", l->guest);
	hear(&l->b, S("* BYE The selected mailbox may not be read any more\r\n"));
	hear(&l->b, S(""));
}

/*
 * A mailbox of an account on another loop: the session goes there to select
 * it, its own account is reached from there, and it comes back for that one's
 * mailboxes; with what is pipelined behind each.
 */
CO_FN static void borrows(struct pair *p, bool here)
{
	struct loan l;

	lend(&l, p, here);
	hear_each_other(&l);
	take_home(&l);
	take_back(&l);
	go_home(&l);
	/* to log in, and each time the mailbox lives elsewhere */
	assert_int_equal(l.b.moved, 7 + here);
	take_rights(&l);
	talk_close(&l.b);
	talk_close(&l.a);
}

/* The login is withdrawn, the server stops, the client goes: all is given back
 * on the loop that it belongs to. */
CO_FN static void borrows_and_goes(struct pair *p)
{
	char owner[64], guest[64];
	struct talk a, b;

	account_at(p, owner, sizeof(owner), false);
	account_at(p, guest, sizeof(guest), true);
	talk_open(&a, &p->h);
	sayf(&a, "l LOGIN %s pw\r\ns SETACL INBOX %s lr\r\n", owner, guest);
	hear(&a, S("s OK "));
	talk_open(&b, &p->h);
	sayf(&b, "l LOGIN %s pw\r\ns SELECT \"Other Users/%s/INBOX\"\r\n", guest, owner);
	hear(&b, S("s OK ["));
	talk_close(&b);
	/* in the middle of a move */
	talk_open(&b, &p->h);
	sayf(&b, "l LOGIN %s pw\r\ns SELECT \"Other Users/%s/INBOX\"\r\n", guest, owner);
	talk_close(&b);
	talk_close(&a);
}

/* UNAUTHENTICATE: the next user's mail may be on another loop than the last's. */
CO_FN static void switches(struct pair *p)
{
	char here[64], there[64], text[256];
	struct talk t;

	account_at(p, here, sizeof(here), true);
	account_at(p, there, sizeof(there), false);
	talk_open(&t, &p->h);
	for (int i = 0; i < 4; i++) {
		snprintf(text, sizeof(text),
			 "l LOGIN %s pw\r\ns SELECT INBOX\r\nu UNAUTHENTICATE\r\nn NOOP\r\n",
			 i % 2 ? there : here);
		say(&t, slice_cstr(text));
		hear(&t, S("l OK ["));
		hear(&t, S("s OK ["));
		hear(&t, S("u OK ["));
		hear(&t, S("n OK Done\r\n"));
	}
	say(&t, S("s SELECT INBOX\r\n"));
	hear(&t, S("s BAD Log in first\r\n"));
	say(&t, S("z LOGOUT\r\n"));
	hear(&t, S(""));
	talk_close(&t);
	assert_int_equal(t.moved, 3);
}

static void pair_main(void *arg)
{
	struct pair *p = arg;

	co_enter();
	p->h.loops = p->loops;
	p->h.n_loops = 2;
	house_open(&p->h);
	moves(p);
	switches(p);
	borrows(p, true);
	borrows(p, false);
	borrows_and_goes(p);
	house_close(&p->h);
	co_loop_stop(p->loops[1]);
	co_loop_stop(p->loops[0]);
}

static void test_moves(void **state)
{
	struct pair p = { 0 };
	pthread_t th;

	(void)state;
	log_setup(-1, LOG_ERROR);
	pthread_barrier_init(&p.ready, NULL, 2);
	assert_int_equal(co_loop_new(&p.loops[0]), 0);
	assert_int_equal(pthread_create(&th, NULL, second_thread, &p), 0);
	pthread_barrier_wait(&p.ready);
	assert_int_equal(co_spawn("pair", pair_main, &p, NULL), 0);
	co_loop_run(p.loops[0]);
	pthread_join(th, NULL);
	co_loop_free(&p.loops[0]);
	pthread_barrier_destroy(&p.ready);
	assert_true(p.moved > 0 && p.stayed > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_login_timeout),  cmocka_unit_test(test_idle_timeout),
		cmocka_unit_test(test_cancelled),      cmocka_unit_test(test_idle_wakes),
		cmocka_unit_test(test_does_not_read),  cmocka_unit_test(test_moves),
		cmocka_unit_test(test_lags),	       cmocka_unit_test(test_copies_many),
#ifndef ONE_BYTE_IO
		cmocka_unit_test(test_lags_in_select),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
