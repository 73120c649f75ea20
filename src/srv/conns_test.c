/*
 * conns: the cap on connections, what is counted and for whom, and an orderly
 * stop, on two loops over real sockets. What an account's sessions see is tested end to
 * end (test/e2e/test_enemy.py).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include "srv/conns.h"
#include "srv/site.h"

#define CLIENTS 12
#define MAX_OPEN 8
#define WORKERS 2

struct rig {
	struct workers workers;
	struct site site;
	struct conns *conns;
	struct config_listen l;
	int64_t crowd_ms;
	void *(*clients)(void *arg);
	uint16_t port;
	struct co_signal greeted; /* every client has heard something */
	unsigned served, refused, goodbyes;
	unsigned left;
	struct conns_stats before, after;
};

/* ---- the clients' thread -------------------------------------------------- */

static int dial(uint16_t port)
{
	struct net_addr a;
	struct timeval limit = { .tv_sec = 20 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	assert_int_equal(net_addr_parse(S("127.0.0.1"), port, &a), 0);
	assert_int_equal(connect(fd, &a.sa, a.len), 0);
	return fd;
}

/* What is heard up to a LF or the end; "" at the end. */
static void hear(int fd, char line[256])
{
	size_t n = 0;

	while (n < 255 && read(fd, line + n, 1) == 1 && line[n++] != '\n') {
	}
	line[n] = '\0';
}

static void *clients(void *arg)
{
	struct rig *r = arg;
	int fd[CLIENTS];
	char line[256];

	for (size_t i = 0; i < CLIENTS; i++) {
		fd[i] = dial(r->port);
		hear(fd[i], line);
		r->served += strncmp(line, "220 ", 4) == 0 || strncmp(line, "+OK ", 4) == 0 ||
			     strncmp(line, "* OK ", 5) == 0;
		r->refused += strstr(line, "too many connections") != NULL;
	}
	co_signal_fire(&r->greeted);
	for (size_t i = 0; i < CLIENTS; i++) {
		hear(fd[i], line);
		r->goodbyes +=
			strstr(line, "topping") != NULL || strstr(line, "shutting down") != NULL;
		hear(fd[i], line);
		assert_string_equal(line, "");
		close(fd[i]);
	}
	return NULL;
}

/* ---- the server's side ---------------------------------------------------- */

static void open_site(struct rig *r)
{
	struct store_opts so = { .loops = r->workers.loop, .n_loops = r->workers.n };
	struct auth_opts ao = { .argon_memory_kib = 64, .argon_passes = 1 };

	co_enter();
	assert_int_equal(kv_mem_open(&r->site.kv), 0);
	so.kv = ao.kv = r->site.kv;
	assert_int_equal(store_open(&so, &r->site.store, NULL), 0);
	assert_int_equal(auth_open(&ao, &r->site.auth, NULL), 0);
}

static void listen_on_all(struct rig *r)
{
	struct net_addr a;

	co_enter();
	for (size_t i = 0; i < r->workers.n; i++) {
		int fd;

		assert_int_equal(net_addr_parse(S("127.0.0.1"), r->port, &a), 0);
		fd = net_listen(&a, true, NULL);
		assert_true(fd >= 0);
		assert_int_equal(net_local_addr(fd, &a), 0);
		r->port = net_addr_port(&a);
		assert_int_equal(conns_listen(r->conns, i, fd, &r->l), 0);
	}
}

static void serve(void *arg)
{
	struct rig *r = arg;
	struct conns_opts o = { .workers = &r->workers,
				.max = MAX_OPEN,
				.max_per_ip = 1, /* not for loopback */
				.crowd_ms = r->crowd_ms };
	pthread_t t;

	co_enter();
	open_site(r);
	o.env = (struct proto_env){ .hostname = "mail.example.test",
				    .store = r->site.store,
				    .auth = r->site.auth };
	assert_int_equal(conns_new(&o, &r->conns), 0);
	listen_on_all(r);
	co_signal_init(&r->greeted);
	assert_int_equal(pthread_create(&t, NULL, r->clients, r), 0);
	co_signal_wait(&r->greeted);
	conns_stats(r->conns, &r->before);
	r->left = conns_stop(r->conns, 10 * 1000);
	conns_stats(r->conns, &r->after);
	pthread_join(t, NULL);
	workers_stop(&r->workers);
}

static void run_rig(struct rig *r)
{
	assert_int_equal(workers_start(&r->workers, WORKERS, NULL), 0);
	assert_int_equal(co_spawn("serve", serve, r, NULL), 0);
	co_loop_run(r->workers.loop[0]);
	workers_join(&r->workers);
	conns_free(&r->conns);
	site_close(&r->site);
	assert_int_equal(r->left, 0);
	assert_int_equal(r->after.open, 0);
}

static void run(enum srv_protocol protocol)
{
	struct rig r = { .l.protocol = protocol, .clients = clients };
	unsigned places = protocol == SRV_SMTP ? MAX_OPEN - MAX_OPEN / 5 : MAX_OPEN;

	run_rig(&r);
	assert_int_equal(r.served, places);
	assert_int_equal(r.refused, CLIENTS - places);
	assert_int_equal(r.before.open, places);
	assert_int_equal(r.before.accepted, places);
	assert_int_equal(r.before.refused, CLIENTS - places);
	assert_int_equal(r.before.per_protocol[protocol], places);
	assert_int_equal(r.goodbyes, places);
	assert_int_equal(r.after.per_protocol[protocol], 0);
}

/* ---- for whom a proxy connects -------------------------------------------- */

/* What is heard first behind these octets; the connection stays open. */
static int dial_and_say(struct rig *r, struct slice text, char line[256])
{
	int fd = dial(r->port);

	assert_int_equal(write(fd, text.p, text.n), (ssize_t)text.n);
	hear(fd, line);
	return fd;
}

#define FIRST S("PROXY TCP4 203.0.113.1 127.0.0.1 4711 25\r\n")

/* One connection for each address; others are told, and none is left behind. */
static void *proxied(void *arg)
{
	static const struct slice wrong[] = {
		S("EHLO x.example.test\r\n"),
		S("PROXY TCP4 203.0.113.3 127.0.0.1 4711 99999\r\n"),
		S("\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff"),
		S("\r\n\r\n\0\r\nQUIT\n\x23\x11\0\0"),
	};
	struct rig *r = arg;
	char line[256];
	int first = dial_and_say(r, FIRST, line), fd;

	assert_int_equal(strncmp(line, "220 ", 4), 0);
	fd = dial_and_say(r, FIRST, line);
	assert_non_null(strstr(line, "too many connections"));
	close(fd);
	fd = dial_and_say(r, S("PROXY TCP6 ::ffff:203.0.113.1 ::1 1 2\r\n"), line);
	assert_non_null(strstr(line, "too many connections"));
	close(fd);
	fd = dial_and_say(r, S("PROXY TCP4 203.0.113.2 127.0.0.1 4711 25\r\n"), line);
	assert_int_equal(strncmp(line, "220 ", 4), 0);
	close(fd);
	fd = dial_and_say(r, S("\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"), line);
	assert_int_equal(strncmp(line, "220 ", 4), 0);
	close(fd);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		fd = dial_and_say(r, wrong[i], line);
		assert_string_equal(line, "");
		close(fd);
	}
	close(first);
	do { /* until its end has been seen */
		fd = dial_and_say(r, FIRST, line);
		close(fd);
	} while (strncmp(line, "220 ", 4) != 0);
	co_signal_fire(&r->greeted);
	return NULL;
}

static void test_proxy(void **state)
{
	struct net_range loopback;
	struct rig r = { .l.protocol = SRV_SMTP, .clients = proxied };

	(void)state;
	assert_int_equal(net_range_parse(S("127.0.0.0/8"), &loopback), 0);
	r.l.proxy = (struct net_ranges){ &loopback, 1 };
	run_rig(&r);
}

static void say_and_hear(int fd, struct slice text, char line[256])
{
	assert_int_equal(write(fd, text.p, text.n), (ssize_t)text.n);
	hear(fd, line);
}

/* Behind XCLIENT it may be the client that speaks: it names nobody. */
static void *renamed(void *arg)
{
	struct rig *r = arg;
	char line[256];
	int fd = dial_and_say(r, S(""), line);

	say_and_hear(fd, S("XCLIENT ADDR=127.0.0.9\r\n"), line); /* a proxy before this one */
	assert_int_equal(strncmp(line, "220 ", 4), 0);
	say_and_hear(fd, S("XCLIENT ADDR=198.51.100.1\r\n"), line);
	assert_int_equal(strncmp(line, "220 ", 4), 0);
	say_and_hear(fd, S("XCLIENT ADDR=198.51.100.2\r\n"), line);
	assert_int_equal(strncmp(line, "550 5.7.0", 9), 0);
	close(fd);
	co_signal_fire(&r->greeted);
	return NULL;
}

static void test_xclient(void **state)
{
	struct net_range loopback;
	struct rig r = { .l.protocol = SRV_SMTP, .clients = renamed };

	(void)state;
	assert_int_equal(net_range_parse(S("127.0.0.0/8"), &loopback), 0);
	r.l.xclient = (struct net_ranges){ &loopback, 1 };
	run_rig(&r);
}

static void *unwelcome(void *arg)
{
	struct rig *r = arg;
	char line[256];
	int fd = dial(r->port);

	hear(fd, line);
	assert_string_equal(line, "");
	close(fd);
	co_signal_fire(&r->greeted);
	return NULL;
}

static void test_networks(void **state)
{
	struct net_range other;
	struct rig r = { .l.protocol = SRV_LMTP, .clients = unwelcome };

	(void)state;
	assert_int_equal(net_range_parse(S("203.0.113.0/24"), &other), 0);
	r.l.networks = (struct net_ranges){ &other, 1 };
	run_rig(&r);
	assert_int_equal(r.before.refused, 1);
	assert_int_equal(r.before.accepted, 0);
}

/* ---- when all places are taken --------------------------------------------- */

/* Whoever comes later gets the place of one that never logged in. */
static void *crowd(void *arg)
{
	struct rig *r = arg;
	int fd[CLIENTS];
	char line[256];

	for (size_t i = 0; i < CLIENTS; i++) {
		fd[i] = dial(r->port);
		hear(fd[i], line);
		r->served += strncmp(line, "* OK ", 5) == 0;
		usleep(5000);
	}
	co_signal_fire(&r->greeted);
	for (size_t i = 0; i < CLIENTS; i++) {
		hear(fd[i], line);
		r->refused += strstr(line, "Others need your place") != NULL;
		close(fd[i]);
	}
	return NULL;
}

static void test_crowd(void **state)
{
	struct rig r = { .l.protocol = SRV_IMAP, .clients = crowd, .crowd_ms = 1 };

	(void)state;
	run_rig(&r);
	/* One worker may have none to spare while the other has. */
	assert_in_range(r.served, MAX_OPEN + 1, CLIENTS);
	assert_in_range(r.refused, 1, CLIENTS - MAX_OPEN);
	assert_int_equal(r.before.accepted, r.served);
}

static void test_smtp(void **state)
{
	(void)state;
	run(SRV_SMTP);
}

static void test_pop3(void **state)
{
	(void)state;
	run(SRV_POP3);
}

static void test_imap(void **state)
{
	(void)state;
	run(SRV_IMAP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_smtp),	cmocka_unit_test(test_pop3),
		cmocka_unit_test(test_imap),	cmocka_unit_test(test_proxy),
		cmocka_unit_test(test_xclient), cmocka_unit_test(test_networks),
		cmocka_unit_test(test_crowd),
	};

	log_setup(STDERR_FILENO, LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
