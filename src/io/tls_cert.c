/*
 * Makes a certificate authority and a server certificate under it, for `demo`
 * and `init`.
 *
 * ECDSA P-256, SHA-256, X.509 v3 with the extensions that strict verifiers
 * ask for (RFC 5280 4.2.1). The authority's key is thrown away: it signs this
 * one certificate. Files are written aside, synced and renamed, the key first,
 * so that a crash leaves no certificate without its key.
 */
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/listen.h"
#include "io/tls.h"

#define PATH_LEN_MAX 1024
#define DAY 86400L
/* Clocks differ: certificates begin a little in the past. */
#define BACKDATE 3600L
/* RFC 5280 ub-common-name */
#define COMMON_NAME_MAX 64

struct maker {
	EVP_PKEY *ca_key;
	EVP_PKEY *key;
	X509 *ca;
	X509 *cert;
};

static void maker_fini(struct maker *m)
{
	EVP_PKEY_free(m->ca_key);
	EVP_PKEY_free(m->key);
	X509_free(m->ca);
	X509_free(m->cert);
}

/* ---- X.509 ---------------------------------------------------------------------- */

static bool set_serial(X509 *x)
{
	unsigned char raw[16];
	BIGNUM *n;
	bool ok;

	if (RAND_bytes(raw, sizeof(raw)) != 1) {
		return false;
	}
	raw[0] = (unsigned char)((raw[0] & 0x7f) | 0x40); /* positive, 16 bytes */
	n = BN_bin2bn(raw, sizeof(raw), NULL);
	ok = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x));
	BN_free(n);
	return ok;
}

static bool add_ext(X509 *x, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *ext;
	bool ok;

	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
	ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	ok = ext && X509_add_ext(x, ext, -1);
	X509_EXTENSION_free(ext);
	return ok;
}

static bool set_times(X509 *x, int64_t days)
{
	/* A certificate that has expired already had a day to live. */
	long start = days > 0 ? -BACKDATE : (long)(days - 1) * DAY;

	return X509_gmtime_adj(X509_getm_notBefore(x), start) &&
	       X509_gmtime_adj(X509_getm_notAfter(x), (long)days * DAY);
}

static bool set_name(X509 *x, const char *cn)
{
	X509_NAME *name = X509_get_subject_name(x);

	return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)cn, -1,
					  -1, 0);
}

/* The parts that both certificates have; signed by whoever comes after. */
static X509 *cert_begin(EVP_PKEY *key, int64_t days, const char *cn)
{
	X509 *x = X509_new();

	if (x && X509_set_version(x, X509_VERSION_3) && set_serial(x) && set_times(x, days) &&
	    X509_set_pubkey(x, key) && set_name(x, cn)) {
		return x;
	}
	X509_free(x);
	return NULL;
}

static bool make_ca(struct maker *m, int64_t days)
{
	m->ca_key = EVP_EC_gen("P-256");
	m->ca = m->ca_key ? cert_begin(m->ca_key, days, "Postrider local CA") : NULL;
	return m->ca && X509_set_issuer_name(m->ca, X509_get_subject_name(m->ca)) &&
	       add_ext(m->ca, m->ca, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
	       add_ext(m->ca, m->ca, NID_key_usage, "critical,keyCertSign,cRLSign") &&
	       add_ext(m->ca, m->ca, NID_subject_key_identifier, "hash") &&
	       X509_sign(m->ca, m->ca_key, EVP_sha256());
}

static bool dns_name_ok(struct slice s)
{
	if (slice_starts(s, S("*."))) {
		s = slice_from(s, 2);
	}
	if (s.n == 0 || s.n > 253) {
		return false;
	}
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (!ascii_isalpha(c) && !ascii_isdigit(c) && c != '-' && c != '.') {
			return false;
		}
	}
	return s.p[0] != '.' && s.p[s.n - 1] != '.';
}

/* A subjectAltName: an address if it reads as one, else a DNS name. */
static GENERAL_NAME *alt_name(const char *name)
{
	struct net_addr a;
	GENERAL_NAME *g = GENERAL_NAME_new();
	ASN1_STRING *v;
	const void *p = name;
	size_t n = strlen(name);
	bool ip = net_addr_parse(slice_cstr(name), 0, &a) == 0 && a.sa.sa_family != AF_UNSPEC;

	if (ip) {
		bool v4 = a.sa.sa_family == AF_INET;

		p = v4 ? (void *)&a.in.sin_addr : (void *)&a.in6.sin6_addr;
		n = v4 ? 4 : 16;
	}
	v = ASN1_STRING_type_new(ip ? V_ASN1_OCTET_STRING : V_ASN1_IA5STRING);
	if (!g || !v || (!ip && !dns_name_ok(slice_cstr(name))) || !ASN1_STRING_set(v, p, (int)n)) {
		GENERAL_NAME_free(g);
		ASN1_STRING_free(v);
		return NULL;
	}
	GENERAL_NAME_set0_value(g, ip ? GEN_IPADD : GEN_DNS, v);
	return g;
}

static bool add_alt_names(X509 *x, const char *const *names, size_t n)
{
	GENERAL_NAMES *all = sk_GENERAL_NAME_new_null();
	bool ok = all != NULL;

	for (size_t i = 0; ok && i < n; i++) {
		GENERAL_NAME *g = alt_name(names[i]);

		ok = g && sk_GENERAL_NAME_push(all, g);
		if (!ok) {
			GENERAL_NAME_free(g);
		}
	}
	ok = ok && X509_add1_ext_i2d(x, NID_subject_alt_name, all, 0, 0) == 1;
	sk_GENERAL_NAME_pop_free(all, GENERAL_NAME_free);
	return ok;
}

static bool make_server(struct maker *m, const char *const *names, size_t n, int64_t days)
{
	const char *cn = strlen(names[0]) <= COMMON_NAME_MAX ? names[0] : "Postrider";

	m->key = EVP_EC_gen("P-256");
	m->cert = m->key ? cert_begin(m->key, days, cn) : NULL;
	return m->cert && X509_set_issuer_name(m->cert, X509_get_subject_name(m->ca)) &&
	       add_ext(m->cert, m->ca, NID_basic_constraints, "critical,CA:FALSE") &&
	       add_ext(m->cert, m->ca, NID_key_usage, "critical,digitalSignature") &&
	       add_ext(m->cert, m->ca, NID_ext_key_usage, "serverAuth") &&
	       add_ext(m->cert, m->ca, NID_subject_key_identifier, "hash") &&
	       add_ext(m->cert, m->ca, NID_authority_key_identifier, "keyid:always") &&
	       add_alt_names(m->cert, names, n) && X509_sign(m->cert, m->ca_key, EVP_sha256());
}

/* ---- files ------------------------------------------------------------------------- */

static int write_fd(int fd, BIO *pem)
{
	char *p = NULL;
	long n = BIO_get_mem_data(pem, &p);

	while (n > 0) {
		ssize_t w = write(fd, p, (size_t)n);

		if (w < 0 && errno == EINTR) {
			continue;
		}
		if (w < 0) {
			return -errno;
		}
		p += w;
		n -= w;
	}
	return fsync(fd) == 0 ? 0 : -errno;
}

/* Beside, synced, renamed. The caller syncs the directory. */
static int write_file(const char *dir, const char *name, mode_t mode, BIO *pem, struct err *e)
{
	char path[PATH_LEN_MAX];
	char beside[PATH_LEN_MAX + 8];
	int n = snprintf(path, sizeof(path), "%s/%s", dir, name);
	int fd;
	int r;

	if (n < 0 || (size_t)n >= sizeof(path)) {
		return err_set(e, -ENAMETOOLONG, "cannot write a TLS file", "%s", dir);
	}
	snprintf(beside, sizeof(beside), "%s.new", path);
	(void)unlink(beside); /* left by a crash */
	fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0) {
		return err_set(e, -errno, "cannot write a TLS file", "%s", path);
	}
	r = fchmod(fd, mode) == 0 ? write_fd(fd, pem) : -errno;
	close(fd);
	if (r == 0 && rename(beside, path) != 0) {
		r = -errno;
	}
	if (r < 0) {
		(void)unlink(beside);
		return err_set(e, r, "cannot write a TLS file", "%s", path);
	}
	return 0;
}

static int sync_dir(const char *dir, struct err *e)
{
	_cleanup_(closep) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || fsync(fd) != 0) {
		return err_set(e, -errno, "cannot sync a directory", "%s", dir);
	}
	return 0;
}

static BIO *pem_key(EVP_PKEY *key)
{
	BIO *b = BIO_new(BIO_s_secmem());

	if (b && PEM_write_bio_PKCS8PrivateKey(b, key, NULL, NULL, 0, NULL, NULL)) {
		return b;
	}
	BIO_free(b);
	return NULL;
}

static BIO *pem_certs(X509 *first, X509 *second)
{
	BIO *b = BIO_new(BIO_s_mem());

	if (b && PEM_write_bio_X509(b, first) && (!second || PEM_write_bio_X509(b, second))) {
		return b;
	}
	BIO_free(b);
	return NULL;
}

static int write_all_files(const struct maker *m, const char *dir, struct err *e)
{
	BIO *key = pem_key(m->key);
	BIO *chain = pem_certs(m->cert, m->ca);
	BIO *ca = pem_certs(m->ca, NULL);
	int r;

	if (!key || !chain || !ca) {
		r = err_set(e, -ENOMEM, "cannot write PEM", NULL);
	} else {
		r = write_file(dir, "key.pem", 0600, key, e);
		if (r == 0) {
			r = write_file(dir, "cert.pem", 0644, chain, e);
		}
		if (r == 0) {
			r = write_file(dir, "ca.pem", 0644, ca, e);
		}
		if (r == 0) {
			r = sync_dir(dir, e);
		}
	}
	BIO_free(key);
	BIO_free(chain);
	BIO_free(ca);
	return r;
}

int tls_make_cert(const char *dir, const char *const *names, size_t n, int64_t days, struct err *e)
{
	struct maker m = { 0 };
	int r = 0;

	assert(n > 0);
	tls_init();
	if (days < -36500 || days > 36500) {
		return err_set(e, -EINVAL, "a certificate for so many days", "%lld",
			       (long long)days);
	}
	ERR_clear_error();
	for (size_t i = 0; i < n && r == 0; i++) {
		GENERAL_NAME *g = alt_name(names[i]);

		if (!g) {
			r = err_set(e, -EINVAL, "neither a DNS name nor an address", "%s",
				    names[i]);
		}
		GENERAL_NAME_free(g);
	}
	if (r == 0 && !(make_ca(&m, days) && make_server(&m, names, n, days))) {
		r = err_set(e, -ENOMEM, "cannot make a certificate", NULL);
	}
	if (r == 0) {
		r = write_all_files(&m, dir, e);
	}
	maker_fini(&m);
	ERR_clear_error();
	return r;
}
