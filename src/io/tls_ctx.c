/*
 * TLS policy, certificates, and which of them a client gets.
 *
 * The certificate is chosen in the ClientHello callback, before OpenSSL looks
 * at tickets, so that a ticket can be held to the certificate it was issued
 * under; the ticket keys are the context's own, and contexts are per service
 * (THREATS TL-05). A name that is unknown or no host name gets the default
 * certificate; nothing is remembered per name (TL-06).
 */
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cur.h"
#include "base/hash.h"
#include "io/tls_impl.h"

#define PEM_FILE_MAX (1u << 20)
#define CHAIN_MAX 16
#define TICKET_SECONDS 7200

/* ---- words for errors ------------------------------------------------------- */

static const struct {
	int reason;
	const char *words;
} reasons[] = {
	{ SSL_R_WRONG_VERSION_NUMBER, "the peer does not speak TLS" },
	{ SSL_R_HTTP_REQUEST, "the peer speaks HTTP without TLS" },
	{ SSL_R_HTTPS_PROXY_REQUEST, "the peer speaks to an HTTP proxy" },
	{ SSL_R_PACKET_LENGTH_TOO_LONG, "the peer does not speak TLS" },
	{ SSL_R_UNSUPPORTED_PROTOCOL, "the peer offers no TLS 1.2 or newer" },
	{ SSL_R_UNKNOWN_PROTOCOL, "the peer offers no TLS 1.2 or newer" },
	{ SSL_R_NO_SHARED_CIPHER, "no cipher in common" },
	{ SSL_R_NO_SUITABLE_KEY_SHARE, "no key exchange group in common" },
	{ SSL_R_NO_APPLICATION_PROTOCOL, "the peer asked for another protocol (ALPN)" },
	{ SSL_R_UNEXPECTED_EOF_WHILE_READING, "the peer closed the connection" },
	{ SSL_R_TLSV1_ALERT_UNKNOWN_CA, "the peer does not know who issued our certificate" },
	{ SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED, "the peer says our certificate has expired" },
	{ SSL_R_SSLV3_ALERT_BAD_CERTIFICATE, "the peer refused our certificate" },
	{ SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN, "the peer refused our certificate" },
	{ SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE, "the peer found nothing in common with us" },
	{ SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, "the peer refused our TLS versions" },
};

const char *tls_reason(void)
{
	unsigned long code = ERR_peek_error();
	const char *text;

	if (ERR_GET_LIB(code) == ERR_LIB_SSL) {
		for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
			if (ERR_GET_REASON(code) == reasons[i].reason) {
				return reasons[i].words;
			}
		}
	}
	text = ERR_reason_error_string(code);
	return text ? text : "protocol error";
}

/* ---- reading PEM files --------------------------------------------------------- */

/* An encrypted key would make OpenSSL ask on the terminal: never. */
static int no_passphrase(char *dst, int size, int rwflag, void *arg)
{
	(void)dst, (void)size, (void)rwflag, (void)arg;
	return -1;
}

static int read_whole(int fd, struct buf *b)
{
	for (;;) {
		char *to = buf_reserve(b, 4096);
		ssize_t n;

		if (!to) {
			return b->err == -EMSGSIZE ? -EFBIG : b->err;
		}
		n = read(fd, to, 4096);
		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0) {
			return -errno;
		}
		if (n == 0) {
			return 0;
		}
		buf_commit(b, (size_t)n);
	}
}

/* The file in memory; secret: refuses what everybody may touch. */
static int read_pem(const char *path, bool secret, struct buf *b, struct err *e)
{
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) != 0) {
		return err_set(e, -errno, "cannot read a TLS file", "%s", path);
	}
	if (secret && (st.st_mode & S_IRWXO)) {
		return err_set(e, -EPERM, "TLS key file is open to everybody; chmod 600 it", "%s",
			       path);
	}
	r = read_whole(fd, b);
	if (r < 0) {
		return err_set(e, r, "cannot read a TLS file", "%s", path);
	}
	return 0;
}

static void pair_fini(struct tls_pair *p)
{
	X509_free(p->leaf);
	sk_X509_pop_free(p->chain, X509_free);
	EVP_PKEY_free(p->key);
	*p = (struct tls_pair){ 0 };
}

/* First the leaf, then its issuers, in file order. */
static int parse_chain(BIO *bio, struct tls_pair *p)
{
	p->leaf = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL);
	p->chain = sk_X509_new_null();
	if (!p->leaf || !p->chain) {
		return -EINVAL;
	}
	while (sk_X509_num(p->chain) < CHAIN_MAX) {
		X509 *x = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL);

		if (!x) {
			break;
		}
		if (!sk_X509_push(p->chain, x)) {
			X509_free(x);
			return -ENOMEM;
		}
	}
	ERR_clear_error(); /* "no start line": the end of the file */
	return 0;
}

static int load_chain(const char *path, struct tls_pair *p, struct err *e)
{
	struct buf text = BUF_INIT(PEM_FILE_MAX);
	BIO *bio;
	int r = read_pem(path, false, &text, e);

	if (r < 0) {
		buf_fini(&text);
		return r;
	}
	bio = BIO_new_mem_buf(text.p ? text.p : "", (int)text.n);
	r = bio ? parse_chain(bio, p) : -ENOMEM;
	BIO_free(bio);
	buf_fini(&text);
	if (r < 0) {
		return err_set(e, r, "no PEM certificate in the file", "%s", path);
	}
	return 0;
}

static int load_key(const char *path, struct tls_pair *p, struct err *e)
{
	struct buf text = BUF_INIT(PEM_FILE_MAX);
	BIO *bio = NULL;
	int r = read_pem(path, true, &text, e);

	if (r == 0) {
		bio = BIO_new_mem_buf(text.p ? text.p : "", (int)text.n);
		p->key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;
	}
	BIO_free(bio);
	if (text.p) {
		OPENSSL_cleanse(text.p, text.n);
	}
	buf_fini(&text);
	if (r == 0 && !p->key) {
		return err_set(e, -EINVAL,
			       "no PEM private key without a passphrase in the "
			       "file",
			       "%s", path);
	}
	return r;
}

static int load_pair(const struct tls_cert *c, struct tls_pair *p, struct err *e)
{
	int r = load_chain(c->certificate, p, e);

	if (r == 0) {
		r = load_key(c->key, p, e);
	}
	if (r == 0 && X509_check_private_key(p->leaf, p->key) != 1) {
		r = err_set(e, -EINVAL, "TLS key does not belong to certificate", "%s, %s", c->key,
			    c->certificate);
	}
	ERR_clear_error();
	return r;
}

/* ---- SNI -------------------------------------------------------------------------- */

static bool is_host_name(struct slice s)
{
	size_t label = 0;

	if (s.n == 0 || s.n > 253 || s.p[s.n - 1] == '.') {
		return false;
	}
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c == '.') {
			if (label == 0) {
				return false;
			}
			label = 0;
			continue;
		}
		if (!ascii_isalpha(c) && !ascii_isdigit(c) && c != '-' && c != '_') {
			return false;
		}
		if (++label > 63) {
			return false;
		}
	}
	return true;
}

static size_t take16(struct cur *c)
{
	struct slice b = cur_take(c, 2);

	return c->err ? 0 : (size_t)(unsigned char)b.p[0] << 8 | (unsigned char)b.p[1];
}

/* ServerNameList with one host_name, RFC 6066 3. Empty if it is not that. */
static struct slice sni_name(const unsigned char *ext, size_t n)
{
	struct cur c = cur_init(slice_make((const char *)ext, n));
	struct slice name;

	if (take16(&c) != cur_left(&c)) {
		return slice_make(NULL, 0);
	}
	cur_need(&c, '\0'); /* NameType host_name */
	name = cur_take(&c, take16(&c));
	return c.err || !is_host_name(name) ? slice_make(NULL, 0) : name;
}

static uint32_t choose_pair(const struct tls_ctx *c, struct slice name)
{
	for (size_t i = 0; i < c->n; i++) {
		if (X509_check_host(c->pair[i].leaf, name.p, name.n,
				    X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
					    X509_CHECK_FLAG_NEVER_CHECK_SUBJECT,
				    NULL) == 1) {
			return (uint32_t)i;
		}
	}
	return 0;
}

static int on_client_hello(SSL *ssl, int *alert, void *arg)
{
	const struct tls_ctx *c = arg;
	struct tls *t = tls_of(ssl);
	const unsigned char *ext = NULL;
	const struct tls_pair *p;
	struct slice name;
	size_t n = 0;

	if (!SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &ext, &n)) {
		return SSL_CLIENT_HELLO_SUCCESS;
	}
	name = sni_name(ext, n);
	if (name.n == 0) {
		return SSL_CLIENT_HELLO_SUCCESS;
	}
	for (size_t i = 0; i < name.n; i++) {
		t->sni[i] = (char)ascii_lower((unsigned char)name.p[i]);
	}
	t->sni[name.n] = '\0';
	t->pair = choose_pair(c, slice_make(t->sni, name.n));
	p = &c->pair[t->pair];
	if (t->pair != 0 && SSL_use_cert_and_key(ssl, p->leaf, p->key, p->chain, 1) != 1) {
		*alert = SSL_AD_INTERNAL_ERROR;
		return SSL_CLIENT_HELLO_ERROR;
	}
	return SSL_CLIENT_HELLO_SUCCESS;
}

/* ---- tickets, ALPN, floods ----------------------------------------------------------- */

/* A ticket carries the number of the certificate it was issued under. */
static int on_ticket_new(SSL *ssl, void *arg)
{
	const struct tls *t = tls_of(ssl);

	(void)arg;
	return SSL_SESSION_set1_ticket_appdata(SSL_get_session(ssl), &t->pair, sizeof(t->pair));
}

static SSL_TICKET_RETURN on_ticket_back(SSL *ssl, SSL_SESSION *session, const unsigned char *name,
					size_t name_n, SSL_TICKET_STATUS status, void *arg)
{
	const struct tls *t = tls_of(ssl);
	void *data = NULL;
	size_t n = 0;

	(void)name, (void)name_n, (void)arg;
	if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW) {
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	}
	if (SSL_SESSION_get0_ticket_appdata(session, &data, &n) != 1 || n != sizeof(t->pair) ||
	    memcmp(data, &t->pair, n) != 0) {
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	}
	return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
}

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n,
		   const unsigned char *in, unsigned in_n, void *arg)
{
	const struct tls_ctx *c = arg;

	(void)ssl;
	if (SSL_select_next_proto((unsigned char **)(uintptr_t)out, out_n, c->alpn, c->alpn[0] + 1u,
				  in, in_n) != OPENSSL_NPN_NEGOTIATED) {
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	}
	/* *out now points into the client's list or ours; ours lives on. */
	*out = c->alpn + 1;
	*out_n = c->alpn[0];
	return SSL_TLSEXT_ERR_OK;
}

/* Counts KeyUpdates; the next read of a flooded engine fails. */
static void on_message(int out, int version, int type, const void *p, size_t n, SSL *ssl, void *arg)
{
	struct tls *t = tls_of(ssl);

	(void)version, (void)arg;
	if (t && !out && type == SSL3_RT_HANDSHAKE && n > 0 &&
	    *(const unsigned char *)p == SSL3_MT_KEY_UPDATE) {
		t->key_updates++;
	}
}

/* ---- contexts -------------------------------------------------------------------------- */

int tls_policy(SSL_CTX *ssl)
{
	SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
				      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_options(ssl, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
					 SSL_OP_CIPHER_SERVER_PREFERENCE |
					 SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_clear_options(ssl, SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_LEGACY_SERVER_CONNECT);
	SSL_CTX_set_read_ahead(ssl, 1);
	SSL_CTX_set_msg_callback(ssl, on_message);
	SSL_CTX_set_max_early_data(ssl, 0);
	SSL_CTX_set_recv_max_early_data(ssl, 0);
	if (!SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION) ||
	    !SSL_CTX_set_cipher_list(ssl, "ECDHE+AESGCM:ECDHE+CHACHA20") ||
	    !SSL_CTX_set1_groups_list(ssl, "X25519:P-256:P-384")) {
		return -EPROTO;
	}
	return 0;
}

static int server_policy(struct tls_ctx *c, const char *service)
{
	uint64_t id = hash_sum64(slice_cstr(service));
	int r = tls_policy(c->ssl);

	if (r < 0) {
		return r;
	}
	SSL_CTX_set_session_cache_mode(c->ssl, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_timeout(c->ssl, TICKET_SECONDS);
	SSL_CTX_set_client_hello_cb(c->ssl, on_client_hello, c);
	if (c->alpn[0]) {
		SSL_CTX_set_alpn_select_cb(c->ssl, on_alpn, c);
	}
	if (!SSL_CTX_set_session_id_context(c->ssl, (const unsigned char *)&id, sizeof(id)) ||
	    !SSL_CTX_set_session_ticket_cb(c->ssl, on_ticket_new, on_ticket_back, NULL)) {
		return -EPROTO;
	}
	return 0;
}

static int ctx_fill(struct tls_ctx *c, const struct tls_cert *certs, size_t n, const char *service,
		    struct err *e)
{
	const struct tls_pair *p = c->pair;

	for (size_t i = 0; i < n; i++) {
		int r = load_pair(&certs[i], &c->pair[i], e);

		c->n = i + 1;
		if (r < 0) {
			return r;
		}
	}
	ERR_clear_error();
	c->ssl = SSL_CTX_new(TLS_server_method());
	if (!c->ssl || server_policy(c, service) < 0 ||
	    SSL_CTX_use_cert_and_key(c->ssl, p->leaf, p->key, p->chain, 1) != 1) {
		return err_set(e, -EPROTO, "TLS cannot use the certificate", "%s: %s",
			       certs[0].certificate, tls_reason());
	}
	return 0;
}

int tls_ctx_new(const struct tls_cert *certs, size_t n, const char *service, const char *alpn,
		struct tls_ctx **out, struct err *e)
{
	struct tls_ctx *c;
	int r;

	assert(n > 0 && service);
	tls_init();
	c = calloc(1, sizeof(*c));
	if (c) {
		c->pair = calloc(n, sizeof(*c->pair));
	}
	if (!c || !c->pair) {
		free(c);
		return err_set(e, -ENOMEM, "no memory for a TLS context", NULL);
	}
	atomic_store(&c->refs, 1);
	if (alpn) {
		size_t len = strlen(alpn);

		assert(len > 0 && len < sizeof(c->alpn));
		c->alpn[0] = (unsigned char)len;
		memcpy(c->alpn + 1, alpn, len);
	}
	r = ctx_fill(c, certs, n, service, e);
	if (r < 0) {
		tls_ctx_unref(&c);
		return r;
	}
	*out = c;
	return 0;
}

struct tls_ctx *tls_ctx_ref(struct tls_ctx *c)
{
	atomic_fetch_add(&c->refs, 1);
	return c;
}

void tls_ctx_unref(struct tls_ctx **cp)
{
	struct tls_ctx *c = TAKE_PTR(*cp);

	if (!c || atomic_fetch_sub(&c->refs, 1) > 1) {
		return;
	}
	for (size_t i = 0; i < c->n; i++) {
		pair_fini(&c->pair[i]);
	}
	SSL_CTX_free(c->ssl);
	free(c->pair);
	free(c);
}
