/*
 * tls: a stream over another one, through OpenSSL.
 *
 * OpenSSL reads and writes through a BIO of ours that never waits: it serves
 * the cleartext that was read ahead of STARTTLS (TL-01), then what the inner
 * stream has now. When there is none, OpenSSL says WANT_READ or WANT_WRITE,
 * returns, frees its buffers, and only then the coroutine waits: an idle
 * connection holds no buffers, and no OpenSSL state of one connection is on
 * the stack while another one runs on the same thread. Its error queue is per
 * thread, so it is cleared before each call.
 */
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdlib.h>

#include "io/listen.h"
#include "io/tls_impl.h"

/* What settle() found besides errors. */
enum { AGAIN = 0, CLOSED = 1 };

static BIO_METHOD *bio_method;

static inline size_t step(size_t n)
{
#ifdef ONE_BYTE_IO
	return n ? 1 : 0;
#else
	return n;
#endif
}

/* ---- the BIO -------------------------------------------------------------------- */

/* Cleartext that was read ahead; freed as soon as it is used up. */
static int take_pending(struct tls *t, char *p, size_t n)
{
	n = MIN(step(n), t->pending.n - t->pending_at);
	memcpy(p, t->pending.p + t->pending_at, n);
	t->pending_at += n;
	if (t->pending_at == t->pending.n) {
		buf_fini(&t->pending);
		t->pending_at = 0;
	}
	return (int)n;
}

static int bio_read(BIO *b, char *p, int n)
{
	struct tls *t = BIO_get_data(b);
	ssize_t r;

	BIO_clear_retry_flags(b);
	if (n <= 0) {
		return 0;
	}
	if (t->key_updates > TLS_KEY_UPDATES_MAX) {
		t->io_err = -EPROTO;
		return -1;
	}
	if (t->pending.n > 0) {
		return take_pending(t, p, (size_t)n);
	}
	r = t->inner->ops->try_read(t->inner, p, (size_t)n);
	if (r > 0) {
		t->inner->bytes_in += (uint64_t)r;
		return (int)r;
	}
	if (r == 0) {
		t->eof = true;
		return 0;
	}
	if (r == -EAGAIN) {
		BIO_set_retry_read(b);
	} else {
		t->io_err = (int)r;
	}
	return -1;
}

static int bio_write(BIO *b, const char *p, int n)
{
	struct tls *t = BIO_get_data(b);
	ssize_t r;

	BIO_clear_retry_flags(b);
	if (n <= 0) {
		return 0;
	}
	r = t->inner->ops->try_write(t->inner, p, (size_t)n);
	if (r > 0) {
		t->inner->bytes_out += (uint64_t)r;
		return (int)r;
	}
	if (r == -EAGAIN) {
		BIO_set_retry_write(b);
	} else {
		t->io_err = r < 0 ? (int)r : -EIO;
	}
	return -1;
}

static long bio_ctrl(BIO *b, int cmd, long num, void *ptr)
{
	const struct tls *t = BIO_get_data(b);

	(void)num, (void)ptr;
	switch (cmd) {
	case BIO_CTRL_FLUSH:
		return 1;
	case BIO_CTRL_EOF:
		return t->eof;
	default:
		return 0;
	}
}

static void init_once(void)
{
	int index;

	OPENSSL_init_ssl(0, NULL);
	index = BIO_get_new_index();
	bio_method = BIO_meth_new(index | BIO_TYPE_SOURCE_SINK, "stream");
	if (!bio_method || !BIO_meth_set_read(bio_method, bio_read) ||
	    !BIO_meth_set_write(bio_method, bio_write) ||
	    !BIO_meth_set_ctrl(bio_method, bio_ctrl)) {
		BUG("no memory for a BIO method at start");
	}
}

void tls_init(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	if (pthread_once(&once, init_once) != 0) {
		BUG("pthread_once failed");
	}
}

/* ---- settling ------------------------------------------------------------------------ */

/* Before each call into OpenSSL: nothing left over may be blamed on it. */
static void begin(struct tls *t)
{
	ERR_clear_error();
	t->io_err = 0;
}

/*
 * OpenSSL gave up for good. With SSL_ERROR_SSL the reason is in its queue,
 * and io_err at most says that the alert about it could not be sent.
 */
static int failure(struct tls *t, bool syscall)
{
	t->broken = syscall && t->io_err ? t->io_err : -EPROTO;
	return t->broken;
}

/*
 * After a call that did not succeed: waits for what it wanted (AGAIN), or
 * says that the peer closed in order (CLOSED), or the error.
 */
CO_FN static int settle(struct tls *t, int64_t deadline)
{
	int r;

	switch (SSL_get_error(t->ssl, 0)) {
	case SSL_ERROR_WANT_READ:
		r = stream_wait(t->inner, NULL, deadline);
		return r < 0 ? r : AGAIN;
	case SSL_ERROR_WANT_WRITE:
		r = t->inner->ops->wait_write(t->inner, deadline);
		return r < 0 ? r : AGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return CLOSED;
	case SSL_ERROR_SYSCALL:
		return failure(t, true);
	default:
		return failure(t, false);
	}
}

/* ---- the stream ------------------------------------------------------------------------ */

CO_FN static ssize_t tls_read(struct stream *s, char *p, size_t n)
{
	struct tls *t = (struct tls *)s;
	size_t got = 0;

	while (!t->broken) {
		int r;

		begin(t);
		if (SSL_read_ex(t->ssl, p, step(n), &got) == 1) {
			t->key_updates = 0;
			return (ssize_t)got;
		}
		r = settle(t, s->deadline);
		if (r != AGAIN) {
			return r == CLOSED ? 0 : r;
		}
	}
	return t->broken;
}

CO_FN static int tls_write(struct stream *s, const char *p, size_t n)
{
	struct tls *t = (struct tls *)s;

	if (t->shut) {
		return -EPIPE;
	}
	while (n > 0 && !t->broken) {
		size_t put = 0;
		int r;

		begin(t);
		if (SSL_write_ex(t->ssl, p, step(n), &put) == 1) {
			p += put;
			n -= put;
			continue;
		}
		r = settle(t, s->deadline);
		if (r != AGAIN) {
			return r == CLOSED ? -EPIPE : r;
		}
	}
	return t->broken;
}

/*
 * Peeking decrypts what is there, and deals with tickets and key updates on
 * the way; only then is it known whether a read would suspend.
 */
CO_FN static int tls_wait(struct stream *s, struct co_event *ev, int64_t deadline)
{
	struct tls *t = (struct tls *)s;

	while (!t->broken) {
		size_t got = 0;
		char c;
		int r;

		begin(t);
		if (SSL_peek_ex(t->ssl, &c, 1, &got) == 1) {
			break;
		}
		if (SSL_get_error(t->ssl, 0) == SSL_ERROR_WANT_READ) {
			r = stream_wait(t->inner, ev, deadline);
			if (r != STREAM_READY) {
				return r;
			}
			continue;
		}
		r = settle(t, deadline);
		if (r == CLOSED || t->broken) {
			break; /* a read will tell */
		}
		if (r < 0) {
			return r;
		}
	}
	return co_cancelled() ? -ECANCELED : STREAM_READY;
}

CO_FN static int tls_shutdown(struct stream *s)
{
	struct tls *t = (struct tls *)s;

	while (!t->shut && !t->broken && !SSL_in_init(t->ssl)) {
		int r;

		begin(t);
		if (SSL_shutdown(t->ssl) >= 0) {
			t->shut = true; /* ours is sent; theirs may come */
			break;
		}
		r = settle(t, s->deadline);
		if (r < 0) {
			return r;
		}
	}
	t->shut = true;
	return stream_shutdown(t->inner);
}

static int tls_detach(struct stream *s)
{
	return stream_detach(((struct tls *)s)->inner);
}

static int tls_attach(struct stream *s)
{
	return stream_attach(((struct tls *)s)->inner);
}

static void tls_free(struct stream *s)
{
	struct tls *t = (struct tls *)s;

	SSL_free(t->ssl); /* and the BIO with it */
	stream_free(&t->inner);
	tls_ctx_unref(&t->ctx);
	buf_fini(&t->pending);
	free(t);
	ERR_clear_error();
}

static const struct stream_ops tls_ops = {
	.name = "tls",
	.read = tls_read,
	.write = tls_write,
	.wait = tls_wait,
	.shutdown = tls_shutdown,
	.detach = tls_detach,
	.attach = tls_attach,
	.free = tls_free,
};

bool stream_is_tls(const struct stream *s)
{
	return s->ops == &tls_ops;
}

/* ---- handshakes -------------------------------------------------------------------------- */

/* Takes over *innerp in any case. */
static int tls_new(SSL_CTX *ssl, struct stream **innerp, struct slice pending, struct tls **out)
{
	struct tls *t = calloc(1, sizeof(*t));
	BIO *bio;

	tls_init();
	if (!t) {
		stream_free(innerp);
		return -ENOMEM;
	}
	t->inner = TAKE_PTR(*innerp);
	t->s.ops = &tls_ops;
	t->s.deadline = t->inner->deadline;
	buf_init(&t->pending, pending.n);
	buf_add(&t->pending, pending);
	t->ssl = SSL_new(ssl);
	bio = t->ssl ? BIO_new(bio_method) : NULL;
	if (!bio || t->pending.err || !t->inner->ops->try_read) {
		struct stream *s = &t->s;
		int r = bio && !t->pending.err ? -EOPNOTSUPP : -ENOMEM;

		BIO_free(bio);
		stream_free(&s);
		return r;
	}
	BIO_set_data(bio, t);
	BIO_set_init(bio, 1);
	SSL_set_bio(t->ssl, bio, bio);
	SSL_set_app_data(t->ssl, t);
	*out = t;
	return 0;
}

static int handshake_failed(struct tls *t, int r, struct err *e)
{
	long verify = SSL_get_verify_result(t->ssl);
	const char *why = tls_reason();

	if (r == -ETIMEDOUT || r == -ECANCELED) {
		return err_set(e, r, "TLS handshake not finished", NULL);
	}
	if (verify != X509_V_OK) {
		why = X509_verify_cert_error_string(verify);
	} else if (t->key_updates > TLS_KEY_UPDATES_MAX) {
		why = "a flood of key updates";
	} else if (r != -EPROTO) {
		why = "the connection failed";
	}
	return err_set(e, r, "TLS handshake failed", "%s", why);
}

/* Runs the handshake; on failure frees t. */
CO_FN static int handshake(struct tls *t, struct stream **out, struct err *e)
{
	struct stream *s = &t->s;
	int r;

	do {
		begin(t);
		if (SSL_do_handshake(t->ssl) == 1) {
			*out = s;
			return 0;
		}
		r = settle(t, s->deadline);
	} while (r == AGAIN);
	if (r == CLOSED) {
		r = -EPROTO;
	}
	r = handshake_failed(t, r, e);
	stream_free(&s);
	return r;
}

int tls_accept(struct tls_ctx *c, struct stream **innerp, struct slice pending, struct stream **out,
	       struct tls_info *info_out, struct err *e)
{
	struct tls *t = NULL;
	int r;

	co_may_wait();
	r = tls_new(c->ssl, innerp, pending, &t);
	if (r < 0) {
		return err_set(e, r, "cannot start TLS", NULL);
	}
	t->ctx = tls_ctx_ref(c);
	SSL_set_accept_state(t->ssl);
	r = handshake(t, out, e);
	if (r == 0 && info_out) {
		info_out->version = SSL_get_version(t->ssl);
		info_out->cipher = SSL_get_cipher_name(t->ssl);
		memcpy(info_out->sni, t->sni, sizeof(info_out->sni));
	}
	return r;
}

/* What to verify, and to send as SNI. */
static int set_host(SSL *ssl, const char *host, bool verify)
{
	struct net_addr addr;
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);

	if (net_addr_parse(slice_cstr(host), 0, &addr) == 0) {
		return !verify || X509_VERIFY_PARAM_set1_ip_asc(param, host);
	}
	return SSL_set_tlsext_host_name(ssl, host) && (!verify || SSL_set1_host(ssl, host));
}

static int client_ctx(const char *ca, SSL_CTX **out, struct err *e)
{
	SSL_CTX *ssl = SSL_CTX_new(TLS_client_method());

	if (!ssl || tls_policy(ssl) < 0) {
		SSL_CTX_free(ssl);
		return err_set(e, -ENOMEM, "cannot start TLS", NULL);
	}
	if (ca) {
		SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER, NULL);
		if (!SSL_CTX_load_verify_file(ssl, ca)) {
			SSL_CTX_free(ssl);
			return err_set(e, -EINVAL, "cannot use the CA file", "%s", ca);
		}
	}
	*out = ssl;
	return 0;
}

int tls_connect(const char *ca, const char *host, struct stream **innerp, struct stream **out,
		struct err *e)
{
	struct tls *t = NULL;
	SSL_CTX *ssl = NULL;
	int r;

	co_may_wait();
	tls_init();
	ERR_clear_error();
	r = client_ctx(ca, &ssl, e);
	if (r < 0) {
		stream_free(innerp);
		return r;
	}
	r = tls_new(ssl, innerp, slice_make(NULL, 0), &t);
	SSL_CTX_free(ssl); /* the SSL keeps its own reference */
	if (r < 0) {
		return err_set(e, r, "cannot start TLS", NULL);
	}
	if (host && !set_host(t->ssl, host, ca != NULL)) {
		struct stream *s = &t->s;

		stream_free(&s);
		return err_set(e, -EINVAL, "not a host name", "%s", host);
	}
	SSL_set_connect_state(t->ssl);
	return handshake(t, out, e);
}
