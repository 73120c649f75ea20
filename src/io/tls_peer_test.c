/*
 * TLS with a stranger: OpenSSL used directly by a thread on a blocking socket.
 * It knows nothing of streams and does what our client would not: old
 * versions, other protocols, renegotiation, floods, tickets in wrong places.
 */
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "co/test_loop.h"
#include "io/test_certs.h"

struct stranger {
	/* set by the test */
	struct tls_ctx *ctx;
	void (*prepare)(SSL_CTX *ctx);
	const char *sni;
	const char *alpn; /* with its length byte */
	SSL_SESSION *offer;
	void (*act)(struct stranger *x, SSL *ssl);
	/* results */
	bool connected;
	bool resumed;
	SSL_SESSION *got;
	char reason[128];
	int server_result;
	int server_read;
	struct err err;
	int fd;
};

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
	struct stranger *x = SSL_get_app_data(ssl);

	SSL_SESSION_free(x->got);
	x->got = session;
	return 1;
}

static void *stranger_main(void *arg)
{
	struct stranger *x = arg;
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl;
	char b[16];

	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx, keep_session);
	if (x->prepare) {
		x->prepare(ctx);
	}
	ssl = SSL_new(ctx);
	SSL_set_app_data(ssl, x);
	SSL_set_fd(ssl, x->fd);
	if (x->sni) {
		SSL_set_tlsext_host_name(ssl, x->sni);
	}
	if (x->alpn) {
		SSL_set_alpn_protos(ssl, (const unsigned char *)x->alpn, (unsigned)strlen(x->alpn));
	}
	if (x->offer) {
		SSL_set_session(ssl, x->offer);
	}
	x->connected = SSL_connect(ssl) == 1;
	if (x->connected) {
		x->resumed = SSL_session_reused(ssl);
		if (x->act) {
			x->act(x, ssl);
		}
		while (SSL_read(ssl, b, sizeof(b)) > 0) {
		}
		SSL_shutdown(ssl);
	}
	ERR_error_string_n(ERR_peek_error(), x->reason, sizeof(x->reason));
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	close(x->fd);
	return NULL;
}

/* The server's side: greets, reads till the end, closes in order. */
static void host_stranger(void *arg)
{
	struct stranger *x = arg;
	struct stream *raw = NULL;
	struct stream *s = NULL;
	pthread_t thread;
	int sv[2];
	char b[64];
	ssize_t n;

	co_enter();
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	assert_int_equal(fcntl(sv[0], F_SETFL, O_NONBLOCK), 0);
	x->fd = sv[1];
	assert_int_equal(stream_sock_new(sv[0], &raw), 0);
	stream_set_deadline(raw, clock_in_ms(20000));
	assert_int_equal(pthread_create(&thread, NULL, stranger_main, x), 0);
	x->server_result = tls_accept(x->ctx, &raw, S(""), &s, NULL, &x->err);
	if (x->server_result == 0) {
		assert_int_equal(stream_write(s, S("hello")), 0);
		if (x->act) {
			do {
				n = stream_read(s, b, sizeof(b));
			} while (n > 0 && b[n - 1] != '!');
			x->server_read = (int)n;
		}
		(void)stream_shutdown(s);
		do {
			n = stream_read(s, b, sizeof(b));
		} while (n > 0);
		stream_free(&s);
	}
	pthread_join(thread, NULL);
}

static void only_tls12(SSL_CTX *ctx)
{
	SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
}

static void only_tls11(SSL_CTX *ctx)
{
	SSL_CTX_set_security_level(ctx, 0);
	SSL_CTX_set_min_proto_version(ctx, TLS1_VERSION);
	SSL_CTX_set_max_proto_version(ctx, TLS1_1_VERSION);
}

static void only_cbc(SSL_CTX *ctx)
{
	only_tls12(ctx);
	SSL_CTX_set_cipher_list(ctx, "ECDHE-ECDSA-AES128-SHA");
}

static void test_old_versions(void **state)
{
	struct stranger x = { .ctx = ctx_both("imap", NULL), .prepare = only_tls12 };

	(void)state;
	test_run_loop(host_stranger, &x);
	assert_int_equal(x.server_result, 0);
	assert_true(x.connected);
	SSL_SESSION_free(x.got);
	x.got = NULL;

	x.prepare = only_tls11;
	test_run_loop(host_stranger, &x);
	assert_int_equal(x.server_result, -EPROTO);
	assert_false(x.connected);
	assert_string_equal(x.err.detail, "the peer offers no TLS 1.2 or newer");
	assert_non_null(strstr(x.reason, "protocol version"));

	x.prepare = only_cbc;
	test_run_loop(host_stranger, &x);
	assert_int_equal(x.server_result, -EPROTO);
	assert_string_equal(x.err.detail, "no cipher in common");
	tls_ctx_unref(&x.ctx);
}

static void test_alpn(void **state)
{
	struct stranger x = { .ctx = ctx_both("imap", "imap"), .alpn = "\002h2\004imap" };

	(void)state;
	test_run_loop(host_stranger, &x);
	assert_int_equal(x.server_result, 0);
	assert_true(x.connected);
	/* Without: served. With another only: refused (TL-07). */
	x.alpn = NULL;
	test_run_loop(host_stranger, &x);
	assert_int_equal(x.server_result, 0);
	x.alpn = "\002h2";
	test_run_loop(host_stranger, &x);
	assert_int_equal(x.server_result, -EPROTO);
	assert_string_equal(x.err.detail, "the peer asked for another protocol (ALPN)");
	assert_non_null(strstr(x.reason, "no application protocol"));
	SSL_SESSION_free(x.got);
	tls_ctx_unref(&x.ctx);
}

/* Data may not come in between a handshake, and tickets are through then. */
static bool read_greeting(SSL *ssl)
{
	char b[8];
	int n = 0;

	while (n < 5) {
		int r = SSL_read(ssl, b, 5 - n);

		if (r <= 0) {
			return false;
		}
		n += r;
	}
	return true;
}

static void renegotiate(struct stranger *x, SSL *ssl)
{
	(void)x;
	if (!read_greeting(ssl)) {
		return;
	}
	SSL_renegotiate(ssl);
	if (SSL_do_handshake(ssl) == 1) {
		SSL_write(ssl, "done!", 5);
	}
}

static void test_renegotiation(void **state)
{
	struct stranger x = { .ctx = ctx_both("imap", NULL),
			      .prepare = only_tls12,
			      .act = renegotiate };

	(void)state;
	test_run_loop(host_stranger, &x);
	assert_int_equal(x.server_result, 0);
	assert_non_null(strstr(x.reason, "no renegotiation"));
	assert_true(x.server_read < 0); /* it gave up, so "done!" never came */
	SSL_SESSION_free(x.got);
	tls_ctx_unref(&x.ctx);
}

static void few_key_updates(struct stranger *x, SSL *ssl)
{
	(void)x;
	if (!read_greeting(ssl)) {
		return;
	}
	for (int i = 0; i < 20; i++) {
		SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED);
		SSL_do_handshake(ssl);
	}
	SSL_write(ssl, "done!", 5);
}

static void key_update_flood(struct stranger *x, SSL *ssl)
{
	(void)x;
	if (!read_greeting(ssl)) {
		return;
	}
	for (int i = 0; i < 1000; i++) {
		SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED);
		if (SSL_do_handshake(ssl) != 1) {
			break;
		}
	}
	SSL_write(ssl, "done!", 5);
}

static void test_key_updates(void **state)
{
	struct stranger x = { .ctx = ctx_both("imap", NULL), .act = few_key_updates };

	(void)state;
	test_run_loop(host_stranger, &x);
	assert_true(x.server_read > 0);
	x.act = key_update_flood;
	test_run_loop(host_stranger, &x);
	assert_int_equal(x.server_result, 0);
	assert_int_equal(x.server_read, -EPROTO);
	SSL_SESSION_free(x.got);
	tls_ctx_unref(&x.ctx);
}

/* Offers `offer` to ctx under this name; says if it was taken. */
static bool resumes(struct tls_ctx *ctx, SSL_SESSION *offer, const char *sni,
		    void (*prepare)(SSL_CTX *), SSL_SESSION **got)
{
	struct stranger x = { .ctx = ctx, .sni = sni, .prepare = prepare, .offer = offer };

	test_run_loop(host_stranger, &x);
	assert_int_equal(x.server_result, 0);
	assert_true(x.connected);
	if (got) {
		*got = x.got;
	} else {
		SSL_SESSION_free(x.got);
	}
	return x.resumed;
}

/* TL-05: tickets are good at the service and the name they came from. */
static void check_tickets(void (*prepare)(SSL_CTX *))
{
	struct tls_ctx *imap = ctx_both("imap", NULL);
	struct tls_ctx *pop3 = ctx_both("pop3", NULL);
	SSL_SESSION *s = NULL;

	assert_false(resumes(imap, NULL, "mail.example.test", prepare, &s));
	assert_non_null(s);
	assert_true(resumes(imap, s, "mail.example.test", prepare, NULL));
	assert_false(resumes(imap, s, "other.test", prepare, NULL));
	assert_false(resumes(pop3, s, "mail.example.test", prepare, NULL));
	SSL_SESSION_free(s);
	tls_ctx_unref(&imap);
	tls_ctx_unref(&pop3);
}

static void test_tickets(void **state)
{
	(void)state;
	check_tickets(NULL);
	check_tickets(only_tls12);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_old_versions),  cmocka_unit_test(test_alpn),
		cmocka_unit_test(test_renegotiation), cmocka_unit_test(test_key_updates),
		cmocka_unit_test(test_tickets),
	};

	return cmocka_run_group_tests_name("tls_peer", tests, setup, teardown);
}
