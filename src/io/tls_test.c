/*
 * TLS between our own two ends, each in a coroutine: certificates, contexts,
 * data, ends, STARTTLS, names, waiting, and failures told in words. What
 * strangers do is in tls_peer_test.c.
 */
#include <fcntl.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "co/test_loop.h"
#include "io/test_certs.h"

/* ---- certificates ------------------------------------------------------------------ */

static X509 *read_cert(const char *dir, const char *file)
{
	char path[PATHS];
	FILE *f = fopen(in_dir(dir, file, path), "r");
	X509 *x;

	assert_non_null(f);
	x = PEM_read_X509(f, NULL, NULL, NULL);
	fclose(f);
	assert_non_null(x);
	return x;
}

static void test_made_certificate(void **state)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	X509 *ca = read_cert(main_dir, "ca.pem");
	X509 *leaf = read_cert(main_dir, "cert.pem");
	struct stat st;
	char path[PATHS];

	(void)state;
	assert_int_equal(X509_STORE_add_cert(store, ca), 1);
	X509_STORE_set_flags(store, X509_V_FLAG_X509_STRICT);
	assert_int_equal(X509_STORE_CTX_init(ctx, store, leaf, NULL), 1);
	X509_STORE_CTX_set_purpose(ctx, X509_PURPOSE_SSL_SERVER);
	assert_int_equal(X509_verify_cert(ctx), 1);
	assert_int_equal(X509_check_host(leaf, "mail.example.test", 0, 0, NULL), 1);
	assert_int_equal(X509_check_host(leaf, "other.test", 0, 0, NULL), 0);
	assert_int_equal(X509_check_ip_asc(leaf, "127.0.0.1", 0), 1);
	assert_int_equal(X509_check_ip_asc(leaf, "::1", 0), 1);
	assert_int_equal(X509_check_ip_asc(leaf, "127.0.0.2", 0), 0);
	assert_int_equal(stat(in_dir(main_dir, "key.pem", path), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(stat(in_dir(main_dir, "cert.pem", path), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	X509_free(ca);
	X509_free(leaf);
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
}

static void test_make_cert_errors(void **state)
{
	static const char *const bad[] = { "a,DNS:evil", "", "x y", ".a", "a.", "*" };
	struct err e = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(tls_make_cert(top, &bad[i], 1, 1, &e), -EINVAL);
	}
	assert_int_equal(tls_make_cert("/nonexistent", (const char *[]){ "a.test" }, 1, 1, &e),
			 -ENOENT);
	assert_non_null(strstr(e.detail, "/nonexistent"));
}

static void put_file(const char *path, const char *text, mode_t mode)
{
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, mode);
	ssize_t n = (ssize_t)strlen(text);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, (size_t)n), n);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static void expect_ctx(const char *cert, const char *key, int code, const char *words,
		       const char *file)
{
	struct tls_cert c = { cert, key };
	struct tls_ctx *ctx = NULL;
	struct err e = ERR_INIT;

	assert_int_equal(tls_ctx_new(&c, 1, "imap", NULL, &ctx, &e), code);
	assert_null(ctx);
	assert_non_null(strstr(e.text, words));
	assert_non_null(strstr(e.detail, file));
}

static void encrypt_key(const char *from, const char *to)
{
	FILE *in = fopen(from, "r");
	FILE *out = fopen(to, "w");
	EVP_PKEY *k = PEM_read_PrivateKey(in, NULL, NULL, NULL);

	assert_true(k && out);
	assert_int_equal(PEM_write_PKCS8PrivateKey(out, k, EVP_aes_128_cbc(), "secret", 6, NULL,
						   NULL),
			 1);
	EVP_PKEY_free(k);
	fclose(in);
	fclose(out);
	chmod(to, 0600);
}

static void test_ctx_errors(void **state)
{
	char cert[PATHS];
	char key[PATHS];
	char wrong[PATHS];
	char file[PATHS];

	(void)state;
	in_dir(main_dir, "cert.pem", cert);
	in_dir(main_dir, "key.pem", key);
	in_dir(other_dir, "key.pem", wrong);
	in_dir(top, "file.pem", file);
	expect_ctx("/nonexistent.pem", key, -ENOENT, "cannot read", "/nonexistent.pem");
	expect_ctx(cert, "/nonexistent.pem", -ENOENT, "cannot read", "/nonexistent.pem");
	expect_ctx(cert, wrong, -EINVAL, "does not belong", wrong);
	put_file(file, "this is no PEM\n", 0600);
	expect_ctx(file, key, -EINVAL, "no PEM certificate", file);
	expect_ctx(cert, file, -EINVAL, "private key", file);
	put_file(file, "", 0600);
	expect_ctx(file, key, -EINVAL, "no PEM certificate", file);
	/* Asking on the terminal would hang here. */
	encrypt_key(key, file);
	expect_ctx(cert, file, -EINVAL, "passphrase", file);
	assert_int_equal(chmod(key, 0644), 0);
	expect_ctx(cert, key, -EPERM, "chmod 600", key);
	assert_int_equal(chmod(key, 0600), 0);
	unlink(file);
}

/* ---- two coroutines ------------------------------------------------------------------- */

struct pair {
	struct tls_ctx *ctx;
	const char *ca;	  /* client: NULL verifies nothing */
	const char *host; /* client */
	int64_t deadline_ms;
	struct slice clear; /* client sends this before anything else */
	size_t ahead;	    /* server reads so much before the handshake */
	void (*serve)(struct pair *p, struct stream *s);
	void (*use)(struct pair *p, struct stream *s);
	/* results */
	int server_result;
	int client_result;
	struct tls_info info;
	struct err server_err;
	struct err client_err;
	struct stream *raw[2]; /* server, client */
};

static void server_body(void *arg)
{
	struct pair *p = arg;
	struct stream *s = NULL;
	char ahead[2048];
	size_t n = 0;

	co_enter();
	while (n < p->ahead) {
		ssize_t r = stream_read(p->raw[0], ahead + n, p->ahead - n);

		assert_true(r > 0);
		n += (size_t)r;
	}
	p->server_result =
		tls_accept(p->ctx, &p->raw[0], slice_make(ahead, n), &s, &p->info, &p->server_err);
	assert_null(p->raw[0]);
	if (p->server_result == 0 && p->serve) {
		p->serve(p, s);
	}
	stream_free(&s);
}

static void client_body(void *arg)
{
	struct pair *p = arg;
	struct stream *s = NULL;

	co_enter();
	if (p->clear.n > 0) {
		assert_int_equal(stream_write(p->raw[1], p->clear), 0);
	}
	p->client_result = tls_connect(p->ca, p->host, &p->raw[1], &s, &p->client_err);
	assert_null(p->raw[1]);
	if (p->client_result == 0 && p->use) {
		p->use(p, s);
	}
	stream_free(&s);
}

static void pair_body(void *arg)
{
	struct pair *p = arg;
	struct co *c[2] = { NULL, NULL };
	int64_t ms = p->deadline_ms ? p->deadline_ms : 20000;

	co_enter();
	assert_int_equal(stream_sock_pair(&p->raw[0], &p->raw[1]), 0);
	stream_set_deadline(p->raw[0], clock_in_ms(ms));
	stream_set_deadline(p->raw[1], clock_in_ms(ms));
	assert_int_equal(co_spawn("server", server_body, p, &c[0]), 0);
	assert_int_equal(co_spawn("client", client_body, p, &c[1]), 0);
	assert_int_equal(co_join(&c[0]), 0);
	assert_int_equal(co_join(&c[1]), 0);
}

#ifdef ONE_BYTE_IO
#define BULK (4 * 1000) /* each byte is a record there */
#else
#define BULK (120 * 1000)
#endif

static char pattern(size_t i)
{
	return (char)(i * 31 + i / 253);
}

CO_FN static void send_bulk(struct stream *s)
{
	char b[1000];

	for (size_t at = 0; at < BULK; at += sizeof(b)) {
		for (size_t i = 0; i < sizeof(b); i++) {
			b[i] = pattern(at + i);
		}
		assert_int_equal(stream_write(s, slice_make(b, sizeof(b))), 0);
	}
}

CO_FN static void receive_bulk(struct stream *s)
{
	char b[777];
	size_t at = 0;

	while (at < BULK) {
		ssize_t n = stream_read(s, b, MIN(sizeof(b), BULK - at));

		assert_true(n > 0);
		for (ssize_t i = 0; i < n; i++) {
			assert_int_equal(b[i], pattern(at + (size_t)i));
		}
		at += (size_t)n;
	}
}

static void bulk_serve(struct pair *p, struct stream *s)
{
	char b;

	(void)p;
	co_enter();
	/* A sign that the tickets are through: with one byte a packet, both
	 * sides' socket buffers are so small that both could block writing. */
	assert_int_equal(stream_write(s, S("g")), 0);
	receive_bulk(s);
	send_bulk(s);
	assert_int_equal(stream_shutdown(s), 0);
	assert_int_equal(stream_write(s, S("late")), -EPIPE);
	/* The client ends in order, too. */
	assert_int_equal(stream_read(s, &b, 1), 0);
	assert_int_equal(stream_read(s, &b, 1), 0);
	assert_int_equal(s->bytes_in, BULK);
	assert_int_equal(s->bytes_out, BULK + 1);
}

static void bulk_use(struct pair *p, struct stream *s)
{
	char b;

	(void)p;
	co_enter();
	assert_int_equal(stream_read(s, &b, 1), 1);
	send_bulk(s);
	receive_bulk(s);
	assert_int_equal(stream_read(s, &b, 1), 0);
	assert_int_equal(stream_wait(s, NULL, CLOCK_NEVER), STREAM_READY);
	assert_int_equal(stream_shutdown(s), 0);
}

static void test_bulk(void **state)
{
	char ca[PATHS];
	struct pair p = { .ctx = ctx_both("imap", NULL),
			  .ca = in_dir(main_dir, "ca.pem", ca),
			  .host = "Mail.Example.Test",
			  .serve = bulk_serve,
			  .use = bulk_use };

	(void)state;
	test_run_loop(pair_body, &p);
	assert_int_equal(p.server_result, 0);
	assert_int_equal(p.client_result, 0);
	assert_string_equal(p.info.version, "TLSv1.3");
	assert_non_null(strstr(p.info.cipher, "TLS_"));
	assert_string_equal(p.info.sni, "mail.example.test");
	tls_ctx_unref(&p.ctx);
	assert_null(p.ctx);
}

/* ---- ends -------------------------------------------------------------------------------- */

static void truncated_serve(struct pair *p, struct stream *s)
{
	char b[8];
	size_t n = 0;

	(void)p;
	co_enter();
	while (n < 5) {
		ssize_t r = stream_read(s, b + n, sizeof(b) - n);

		assert_true(r > 0);
		n += (size_t)r;
	}
	assert_memory_equal(b, "hello", 5);
	/* No close_notify: that is no end (TL-09). */
	assert_int_equal(stream_read(s, b, sizeof(b)), -EPROTO);
	assert_int_equal(stream_read(s, b, sizeof(b)), -EPROTO);
	assert_int_equal(stream_wait(s, NULL, CLOCK_NEVER), STREAM_READY);
}

static void truncated_use(struct pair *p, struct stream *s)
{
	(void)p;
	co_enter();
	assert_int_equal(stream_write(s, S("hello")), 0);
	/* pair_body frees the stream without a shutdown */
}

static void test_truncation(void **state)
{
	struct pair p = { .ctx = ctx_both("imap", NULL),
			  .serve = truncated_serve,
			  .use = truncated_use };

	(void)state;
	test_run_loop(pair_body, &p);
	assert_int_equal(p.server_result, 0);
	assert_int_equal(p.client_result, 0);
	assert_string_equal(p.info.sni, "");
	tls_ctx_unref(&p.ctx);
}

/* ---- STARTTLS ------------------------------------------------------------------------------ */

static void hello_serve(struct pair *p, struct stream *s)
{
	(void)p;
	co_enter();
	assert_int_equal(stream_write(s, S("hello")), 0);
	assert_int_equal(stream_shutdown(s), 0);
}

static void hello_use(struct pair *p, struct stream *s)
{
	char b[8];
	size_t n = 0;

	(void)p;
	co_enter();
	for (;;) {
		ssize_t r = stream_read(s, b + n, sizeof(b) - n);

		assert_true(r >= 0);
		if (r == 0) {
			break;
		}
		n += (size_t)r;
	}
	assert_int_equal(n, 5);
	assert_memory_equal(b, "hello", 5);
}

/* The line reader had some of the ClientHello in its buffer already. */
static void test_pending_hello(void **state)
{
	static const size_t ahead[] = { 1, 4, 5, 6, 100, 150 };
	char ca[PATHS];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ahead); i++) {
		struct pair p = { .ctx = ctx_both("smtp", NULL),
				  .ca = in_dir(main_dir, "ca.pem", ca),
				  .host = "mail.example.test",
				  .ahead = ahead[i],
				  .serve = hello_serve,
				  .use = hello_use };

		test_run_loop(pair_body, &p);
		assert_int_equal(p.server_result, 0);
		assert_int_equal(p.client_result, 0);
		tls_ctx_unref(&p.ctx);
	}
}

/* TL-01: a command injected behind STARTTLS ends in the TLS engine. */
static void test_pending_command(void **state)
{
	struct slice cmd = S("EHLO evil.example\r\n");

	(void)state;
	for (size_t ahead = 0; ahead <= cmd.n; ahead += 6) {
		struct pair p = { .ctx = ctx_both("smtp", NULL), .clear = cmd, .ahead = ahead };

		test_run_loop(pair_body, &p);
		assert_int_equal(p.server_result, -EPROTO);
		assert_string_equal(p.server_err.text, "TLS handshake failed");
		assert_string_equal(p.server_err.detail, "the peer does not speak TLS");
		assert_true(p.client_result < 0);
		tls_ctx_unref(&p.ctx);
	}
}

/* ---- names --------------------------------------------------------------------------------- */

static void check_name(const char *host, const char *dir, bool fits, const char *sni)
{
	char ca[PATHS];
	struct pair p = { .ctx = ctx_both("imap", NULL),
			  .ca = dir ? in_dir(dir, "ca.pem", ca) : NULL,
			  .host = host,
			  .serve = hello_serve,
			  .use = hello_use };

	test_run_loop(pair_body, &p);
	assert_int_equal(p.client_result, fits ? 0 : -EPROTO);
	if (fits) {
		assert_int_equal(p.server_result, 0);
		assert_string_equal(p.info.sni, sni);
	}
	tls_ctx_unref(&p.ctx);
}

static void test_sni(void **state)
{
	char name[300];

	(void)state;
	check_name("other.test", other_dir, true, "other.test");
	check_name("OTHER.test", other_dir, true, "other.test");
	check_name("a.wild.test", other_dir, true, "a.wild.test");
	check_name("mail.example.test", main_dir, true, "mail.example.test");
	check_name("127.0.0.1", main_dir, true, "");
	check_name("::1", main_dir, true, "");
	/* One label only; unknown names get the default, which does not fit. */
	check_name("a.b.wild.test", other_dir, false, NULL);
	check_name("wild.test", other_dir, false, NULL);
	check_name("nobody.test", main_dir, false, NULL);
	check_name("nobody.test", NULL, true, "nobody.test");
	/* What is no host name is as if it had not been sent (TL-06). */
	check_name("mail.example.test.", NULL, true, "");
	check_name("..", NULL, true, "");
	check_name("a\\", NULL, true, "");
	check_name("../../etc/passwd", NULL, true, "");
	check_name("x\ny", NULL, true, "");
	memset(name, 'x', 255);
	name[255] = '\0';
	check_name(name, NULL, true, "");
}

static void test_verify_words(void **state)
{
	const char *dirs[] = { old_dir };
	char ca[PATHS];
	struct pair p = { .ctx = ctx_of(dirs, 1, "imap", NULL),
			  .ca = in_dir(old_dir, "ca.pem", ca),
			  .host = "mail.example.test",
			  .serve = hello_serve };

	(void)state;
	test_run_loop(pair_body, &p);
	assert_int_equal(p.client_result, -EPROTO);
	assert_non_null(strstr(p.client_err.detail, "expired"));
	tls_ctx_unref(&p.ctx);

	p = (struct pair){ .ctx = ctx_both("imap", NULL),
			   .ca = in_dir(other_dir, "ca.pem", ca),
			   .host = "mail.example.test" };
	test_run_loop(pair_body, &p);
	assert_int_equal(p.client_result, -EPROTO);
	assert_true(strlen(p.client_err.detail) > 10);

	p.ca = in_dir(main_dir, "ca.pem", ca);
	p.host = "nobody.test";
	test_run_loop(pair_body, &p);
	assert_int_equal(p.client_result, -EPROTO);
	assert_non_null(strstr(p.client_err.detail, "ostname mismatch"));

	p.ca = "/nonexistent.pem";
	test_run_loop(pair_body, &p);
	assert_int_equal(p.client_result, -EINVAL);
	assert_int_equal(p.server_result, -EPROTO);
	tls_ctx_unref(&p.ctx);
}

/* ---- waiting --------------------------------------------------------------------------------- */

static void event_soon(void *arg)
{
	co_enter();
	if (co_sleep(3) == 0) {
		co_event_set(arg);
	}
}

static void wait_serve(struct pair *p, struct stream *s)
{
	char b[4];

	(void)p;
	co_enter();
	for (int i = 0; i < 2; i++) {
		assert_int_equal(stream_write(s, S("ab")), 0);
		assert_int_equal(stream_read(s, b, 1), 1); /* "go on" */
	}
	assert_int_equal(stream_detach(s), 0);
	assert_int_equal(stream_attach(s), 0);
	assert_int_equal(stream_shutdown(s), 0);
}

static void wait_use(struct pair *p, struct stream *s)
{
	struct co_event ev;
	char b[4];

	(void)p;
	co_enter();
	co_event_init(&ev);
	assert_int_equal(stream_wait(s, &ev, clock_in_ms(9000)), STREAM_READY);
	assert_int_equal(stream_read(s, b, 1), 1);
	assert_int_equal(b[0], 'a');
	/* The rest was decrypted with it: the socket is empty, yet ready. */
	assert_int_equal(stream_wait(s, &ev, clock_in_ms(9000)), STREAM_READY);
	assert_int_equal(stream_read(s, b, 1), 1);
	assert_int_equal(b[0], 'b');
	/* Session tickets are no data: it goes on waiting. */
	assert_int_equal(stream_wait(s, NULL, clock_in_ms(5)), -ETIMEDOUT);
	assert_int_equal(co_spawn("ev", event_soon, &ev, NULL), 0);
	assert_int_equal(stream_wait(s, &ev, clock_in_ms(9000)), STREAM_EVENT);
	assert_int_equal(stream_write(s, S("g")), 0);
	co_event_clear(&ev);
	assert_int_equal(stream_wait(s, &ev, clock_in_ms(9000)), STREAM_READY);
	co_event_set(&ev);
	assert_int_equal(stream_wait(s, &ev, clock_in_ms(9000)), STREAM_READY);
	assert_int_equal(stream_read(s, b, 1), 1);
	assert_int_equal(stream_read(s, b, 1), 1);
	assert_int_equal(stream_write(s, S("g")), 0);
	assert_int_equal(stream_wait(s, NULL, clock_in_ms(9000)), STREAM_READY);
	assert_int_equal(stream_read(s, b, 1), 0);
	stream_set_deadline(s, clock_in_ms(1));
}

static void test_waiting(void **state)
{
	struct pair p = { .ctx = ctx_both("imap", NULL), .serve = wait_serve, .use = wait_use };

	(void)state;
	test_run_loop(pair_body, &p);
	assert_int_equal(p.server_result, 0);
	assert_int_equal(p.client_result, 0);
	tls_ctx_unref(&p.ctx);
}

/* TL-03: a silent peer, or one that stops in the middle. */
static void silent(void *arg)
{
	struct pair p = { .ctx = arg, .server_result = 1 };
	struct co *c = NULL;

	co_enter();
	for (int round = 0; round < 3; round++) {
		assert_int_equal(stream_sock_pair(&p.raw[0], &p.raw[1]), 0);
		stream_set_deadline(p.raw[0], clock_in_ms(round < 2 ? 10 : 9000));
		if (round == 1) {
			assert_int_equal(stream_write(p.raw[1], S("\x16")), 0);
		}
		assert_int_equal(co_spawn("server", server_body, &p, &c), 0);
		if (round == 2) {
			assert_int_equal(co_sleep(2), 0);
			co_cancel(c);
		}
		assert_int_equal(co_join(&c), 0);
		assert_int_equal(p.server_result, round < 2 ? -ETIMEDOUT : -ECANCELED);
		stream_free(&p.raw[1]);
	}
	/* One that leaves at once. */
	assert_int_equal(stream_sock_pair(&p.raw[0], &p.raw[1]), 0);
	stream_free(&p.raw[1]);
	assert_int_equal(co_spawn("server", server_body, &p, &c), 0);
	assert_int_equal(co_join(&c), 0);
	assert_int_equal(p.server_result, -EPROTO);
	assert_string_equal(p.server_err.detail, "the peer closed the connection");
}

static void test_silent_peer(void **state)
{
	struct tls_ctx *ctx = ctx_both("imap", NULL);

	(void)state;
	test_run_loop(silent, ctx);
	tls_ctx_unref(&ctx);
}

/* Over memory, outside a coroutine: garbage fails and leaks nothing. */
static void test_garbage(void **state)
{
	static const char *const in[] = { "", "GET / HTTP/1.1\r\n\r\n",
					  "\x16\x03\x01\x00\x05\x01\x00\x00\x01x",
					  "\x15\x03\x03\x00\x02\x02\x28", "\x80\x2e\x01\x00\x02" };
	struct tls_ctx *ctx = ctx_both("imap", NULL);

	(void)state;
	co_enter();
	for (size_t i = 0; i < ARRAY_LEN(in); i++) {
		struct buf out = BUF_INIT(65536);
		struct stream *mem = NULL;
		struct stream *s = NULL;
		struct err e = ERR_INIT;

		assert_int_equal(stream_mem_new(slice_cstr(in[i]), &out, 0, &mem), 0);
		assert_int_equal(tls_accept(ctx, &mem, S(""), &s, NULL, &e), -EPROTO);
		assert_null(mem);
		assert_null(s);
		assert_int_equal(e.code, -EPROTO);
		assert_true(e.detail[0] != '\0');
		buf_fini(&out);
	}
	tls_ctx_unref(&ctx);
}

/* Many at once, some failing: no connection sees another one's errors. */
static void crowd(void *arg)
{
	enum { N = 24 };
	struct pair *p = calloc(N, sizeof(*p));
	struct co *c[N];

	co_enter();
	assert_non_null(p);
	for (int i = 0; i < N; i++) {
		p[i] = (struct pair){ .ctx = arg,
				      .clear = i % 3 == 0 ? S("garbage\r\n") : S(""),
				      .serve = hello_serve,
				      .use = hello_use };
		assert_int_equal(co_spawn("pair", pair_body, &p[i], &c[i]), 0);
	}
	for (int i = 0; i < N; i++) {
		assert_int_equal(co_join(&c[i]), 0);
		assert_int_equal(p[i].server_result, i % 3 == 0 ? -EPROTO : 0);
		assert_true(i % 3 == 0 ? p[i].client_result < 0 : p[i].client_result == 0);
	}
	free(p);
}

static void test_many_at_once(void **state)
{
	struct tls_ctx *ctx = ctx_both("imap", NULL);

	(void)state;
	test_run_loop(crowd, ctx);
	tls_ctx_unref(&ctx);
}

/* An old context lives on while connections use it. */
static void swap_serve(struct pair *p, struct stream *s)
{
	tls_ctx_unref(&p->ctx);
	hello_serve(p, s);
}

static void test_ctx_swapped(void **state)
{
	struct pair p = { .ctx = ctx_both("imap", NULL), .serve = swap_serve, .use = hello_use };

	(void)state;
	test_run_loop(pair_body, &p);
	assert_int_equal(p.server_result, 0);
	assert_int_equal(p.client_result, 0);
	assert_null(p.ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_made_certificate), cmocka_unit_test(test_make_cert_errors),
		cmocka_unit_test(test_ctx_errors),	 cmocka_unit_test(test_bulk),
		cmocka_unit_test(test_truncation),	 cmocka_unit_test(test_pending_hello),
		cmocka_unit_test(test_pending_command),	 cmocka_unit_test(test_sni),
		cmocka_unit_test(test_verify_words),	 cmocka_unit_test(test_waiting),
		cmocka_unit_test(test_silent_peer),	 cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_many_at_once),	 cmocka_unit_test(test_ctx_swapped),
	};

	return cmocka_run_group_tests_name("tls", tests, setup, teardown);
}
