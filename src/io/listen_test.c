/*
 * Addresses as text, listening (also when that cannot be), connecting, and
 * the accept loop, with descriptors running out under it (RS-03).
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "co/test_loop.h"
#include "io/listen.h"
#include "io/stream.h"

static void check_addr(const char *in, const char *text, const char *literal, bool loopback)
{
	struct net_addr a;
	char b[NET_ADDR_TEXT_MAX];

	assert_int_equal(net_addr_parse(slice_cstr(in), 143, &a), 0);
	assert_string_equal(net_addr_text(&a, b), text);
	assert_string_equal(net_addr_literal(&a, b), literal);
	assert_int_equal(net_addr_port(&a), 143);
	assert_int_equal(net_addr_is_loopback(&a), loopback);
}

static void test_addresses(void **state)
{
	static const char *const bad[] = {
		"",	"1.2.3", "1.2.3.4.5", "256.1.1.1", "::1::",
		"[::1", "[]",	 "localhost", "1.2.3.4 ",  "fe80::1%eth0"
	};
	struct net_addr none = { .len = 0 };
	struct net_addr a;
	char b[NET_ADDR_TEXT_MAX];

	(void)state;
	check_addr("192.0.2.1", "192.0.2.1", "[192.0.2.1]", false);
	check_addr("127.9.9.9", "127.9.9.9", "[127.9.9.9]", true);
	check_addr("2001:DB8::1", "2001:db8::1", "[IPv6:2001:db8::1]", false);
	check_addr("[2001:db8::1]", "2001:db8::1", "[IPv6:2001:db8::1]", false);
	check_addr("::1", "::1", "[IPv6:::1]", true);
	check_addr("::ffff:192.0.2.7", "192.0.2.7", "[192.0.2.7]", false);
	check_addr("::ffff:127.0.0.1", "127.0.0.1", "[127.0.0.1]", true);
	check_addr("*", "*", "[*]", false);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(net_addr_parse(slice_cstr(bad[i]), 1, &a), -EINVAL);
	}
	assert_int_equal(net_addr_parse(S("1.2.3.4\0"), 1, &a), -EINVAL);
	assert_string_equal(net_addr_text(&none, b), "local");
	assert_true(net_addr_is_loopback(&none));
	assert_int_equal(net_addr_port(&none), 0);
}

static int listen_loopback(struct net_addr *at)
{
	struct net_addr a;
	struct err e = ERR_INIT;
	int fd;

	assert_int_equal(net_addr_parse(S("127.0.0.1"), 0, &a), 0);
	fd = net_listen(&a, false, &e);
	assert_true(fd >= 0);
	assert_int_equal(net_local_addr(fd, at), 0);
	assert_true(net_addr_port(at) != 0);
	return fd;
}

static void test_listen_errors(void **state)
{
	struct net_addr a;
	struct err e = ERR_INIT;
	int fd;

	(void)state;
	fd = listen_loopback(&a);
	assert_int_equal(net_listen(&a, false, &e), -EADDRINUSE);
	assert_non_null(strstr(e.text, "in use"));
	assert_non_null(strstr(e.detail, "127.0.0.1 port "));
	close(fd);
	assert_int_equal(net_addr_parse(S("192.0.2.1"), 0, &a), 0);
	assert_int_equal(net_listen(&a, false, &e), -EADDRNOTAVAIL);
	assert_non_null(strstr(e.text, "no such address"));
	a.len = 0;
	assert_int_equal(net_listen(&a, false, &e), -EINVAL);
}

static void test_reuseport(void **state)
{
	struct net_addr a;
	struct err e = ERR_INIT;
	int one;
	int two;

	(void)state;
	assert_int_equal(net_addr_parse(S("127.0.0.1"), 0, &a), 0);
	one = net_listen(&a, true, &e);
	assert_true(one >= 0);
	assert_int_equal(net_local_addr(one, &a), 0);
	two = net_listen(&a, true, &e);
	assert_true(two >= 0);
	close(one);
	close(two);
}

/* ---- accepting ------------------------------------------------------------------- */

struct server {
	int fd;
	size_t conns;
	int result;
	char peer[NET_ADDR_TEXT_MAX];
};

static void on_conn(void *arg, int fd, const struct net_addr *peer)
{
	struct server *s = arg;

	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	net_addr_text(peer, s->peer);
	s->conns++;
	close(fd);
}

static void server_body(void *arg)
{
	struct server *s = arg;

	co_enter();
	s->result = net_accept_loop(s->fd, on_conn, s);
}

/* The far end closed: the connection was taken, or turned away. */
CO_FN static void expect_closed(int fd)
{
	struct stream *s = NULL;
	char b;
	ssize_t n;

	assert_true(fd >= 0);
	assert_int_equal(stream_sock_new(fd, &s), 0);
	stream_set_deadline(s, clock_in_ms(10000));
	n = stream_read(s, &b, 1);
	assert_true(n == 0 || n == -ECONNRESET);
	stream_free(&s);
}

static void accepts(void *arg)
{
	struct server srv = { .result = 1 };
	struct net_addr at;
	struct co *c = NULL;

	(void)arg;
	co_enter();
	srv.fd = listen_loopback(&at);
	assert_int_equal(co_spawn("server", server_body, &srv, &c), 0);
	for (int i = 0; i < 100; i++) {
		expect_closed(net_connect(&at, clock_in_ms(10000)));
	}
	assert_int_equal(srv.conns, 100);
	assert_string_equal(srv.peer, "127.0.0.1");
	co_finish(&c);
	assert_int_equal(srv.result, -ECANCELED);
	close(srv.fd);
	/* Nobody there any more. */
	assert_int_equal(net_connect(&at, clock_in_ms(10000)), -ECONNREFUSED);
}

static void test_accept(void **state)
{
	(void)state;
	test_run_loop(accepts, NULL);
}

static void accepts_any(void *arg)
{
	struct server srv = { .result = 1 };
	struct net_addr at;
	struct net_addr to;
	struct err e = ERR_INIT;
	struct co *c = NULL;
	int fd;

	(void)arg;
	co_enter();
	assert_int_equal(net_addr_parse(S("*"), 0, &at), 0);
	srv.fd = net_listen(&at, false, &e);
	assert_true(srv.fd >= 0);
	assert_int_equal(net_local_addr(srv.fd, &at), 0);
	assert_int_equal(co_spawn("server", server_body, &srv, &c), 0);
	assert_int_equal(net_addr_parse(S("127.0.0.1"), net_addr_port(&at), &to), 0);
	expect_closed(net_connect(&to, clock_in_ms(10000)));
	assert_string_equal(srv.peer, "127.0.0.1"); /* not ::ffff:... */
	assert_int_equal(net_addr_parse(S("::1"), net_addr_port(&at), &to), 0);
	fd = net_connect(&to, clock_in_ms(10000));
	if (fd >= 0) { /* a machine may have no v6 */
		expect_closed(fd);
		assert_string_equal(srv.peer, "::1");
	}
	co_finish(&c);
	close(srv.fd);
}

static void test_accept_any(void **state)
{
	(void)state;
	test_run_loop(accepts_any, NULL);
}

/* No descriptor left: callers are turned away, and it goes on afterwards. */
static void shortage(void *arg)
{
	struct server srv = { .result = 1 };
	struct net_addr at;
	struct rlimit old;
	struct rlimit lim;
	struct co *c = NULL;
	int highest;

	(void)arg;
	co_enter();
	srv.fd = listen_loopback(&at);
	assert_int_equal(co_spawn("server", server_body, &srv, &c), 0);
	assert_int_equal(co_sleep(2), 0);
	/* Room for one more descriptor: the client's end takes it. */
	highest = dup(srv.fd);
	close(highest);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	lim = (struct rlimit){ (rlim_t)highest + 1, old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &lim), 0);
	expect_closed(net_connect(&at, clock_in_ms(10000)));
	assert_int_equal(srv.conns, 0); /* turned away, not served */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	expect_closed(net_connect(&at, clock_in_ms(10000)));
	assert_int_equal(srv.conns, 1);
	co_finish(&c);
	close(srv.fd);
}

static void test_shortage(void **state)
{
	(void)state;
	test_run_loop(shortage, NULL);
}

/* ---- unix ----------------------------------------------------------------------------- */

static void unix_sockets(void *arg)
{
	struct server srv = { .result = 1 };
	struct co *c = NULL;
	struct err e = ERR_INIT;
	struct stat st;
	char dir[] = "/tmp/listen-test-XXXXXX";
	char path[64];
	char far[200];

	(void)arg;
	co_enter();
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s", dir);
	srv.fd = net_listen_unix(path, 0600, &e);
	assert_true(srv.fd >= 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(co_spawn("server", server_body, &srv, &c), 0);
	expect_closed(net_connect_unix(path, clock_in_ms(10000)));
	assert_string_equal(srv.peer, "local");
	/* A living server is not replaced, a dead one is. */
	assert_int_equal(net_listen_unix(path, 0600, &e), -EADDRINUSE);
	assert_non_null(strstr(e.detail, dir));
	co_finish(&c);
	close(srv.fd);
	assert_int_equal(net_connect_unix(path, clock_in_ms(1000)), -ECONNREFUSED);
	srv.fd = net_listen_unix(path, 0660, &e);
	assert_true(srv.fd >= 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
	close(srv.fd);
	unlink(path);
	/* Something that is no socket is never removed. */
	close(open(path, O_CREAT | O_WRONLY, 0600));
	assert_int_equal(net_listen_unix(path, 0600, &e), -EADDRINUSE);
	assert_int_equal(stat(path, &st), 0);
	unlink(path);
	rmdir(dir);
	memset(far, 'x', sizeof(far) - 1);
	far[sizeof(far) - 1] = '\0';
	assert_int_equal(net_listen_unix(far, 0600, &e), -ENAMETOOLONG);
}

static void test_unix(void **state)
{
	(void)state;
	test_run_loop(unix_sockets, NULL);
}

/* One kind of octets for each address, and what of it a network is. */
static void test_octets(void **state)
{
	static const struct {
		const char *text;
		size_t octets, network;
	} v[] = { { "192.0.2.1", 4, 3 }, { "::ffff:192.0.2.1", 4, 3 }, { "2001:db8::1", 16, 8 } };
	struct net_addr none = { 0 }, any, a[ARRAY_LEN(v)];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		assert_int_equal(net_addr_parse(slice_cstr(v[i].text), 1, &a[i]), 0);
		assert_int_equal(net_addr_octets(&a[i]).n, v[i].octets);
		assert_int_equal(net_addr_network(&a[i], 3).n, v[i].network);
	}
	assert_true(slice_eq(net_addr_octets(&a[0]), net_addr_octets(&a[1])));
	assert_memory_equal(net_addr_network(&a[2], 3).p, "\x20\x01\x0d\xb8\0\0\0\0", 8);
	assert_int_equal(net_addr_parse(S("*"), 1, &any), 0);
	assert_int_equal(net_addr_octets(&none).n + net_addr_octets(&any).n, 0);
	assert_int_equal(net_addr_network(&none, 4).n, 0);
}

static void test_agree(void **state)
{
	(void)state;
	assert_true(net_octets_agree(S("\xc0\0\x02\x01"), S("\xc0\0\x02\x01"), 32));
	assert_false(net_octets_agree(S("\xc0\0\x02\x01"), S("\xc0\0\x02\0"), 32));
	assert_true(net_octets_agree(S("\xc0\0\x02\x01"), S("\xc0\0\x02\0"), 31));
	assert_true(net_octets_agree(S("\xc0\0\x02\x01"), S("\x01\x02\x03\x04"), 0));
	assert_false(net_octets_agree(S("\xc0\0\x02\x01"), S("\x40\0\x02\x01"), 1));
	assert_false(net_octets_agree(S("\xc0\0\x02\x01"), S("\xc0\0\x02\x01"), 33));
	assert_false(net_octets_agree(S("\xc0\0\x02\x01"), S("\xc0\0\x02\x01\0"), 32));
	assert_false(net_octets_agree(S(""), S(""), 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_octets),	   cmocka_unit_test(test_agree),
		cmocka_unit_test(test_addresses),  cmocka_unit_test(test_listen_errors),
		cmocka_unit_test(test_reuseport),  cmocka_unit_test(test_accept),
		cmocka_unit_test(test_accept_any), cmocka_unit_test(test_shortage),
		cmocka_unit_test(test_unix),
	};

	return cmocka_run_group_tests_name("listen", tests, NULL, NULL);
}
