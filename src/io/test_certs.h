/*
 * For the TLS tests: certificates in a temporary directory, and contexts with
 * them. setup and teardown are cmocka's group fixtures.
 */
#ifndef IO_TEST_CERTS_H
#define IO_TEST_CERTS_H

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/tls.h"

#define PATHS 96

/* Where setup puts certificates: for the default, another host, and expired. */
static char top[32];
static char main_dir[PATHS / 2];
static char other_dir[PATHS / 2];
static char old_dir[PATHS / 2];

static inline char *in_dir(const char *dir, const char *file, char dst[PATHS])
{
	snprintf(dst, PATHS, "%s/%s", dir, file);
	return dst;
}

static inline struct tls_ctx *ctx_of(const char *const *dirs, size_t n, const char *service,
				     const char *alpn)
{
	char cert[4][PATHS];
	char key[4][PATHS];
	struct tls_cert c[4];
	struct tls_ctx *ctx = NULL;
	struct err e = ERR_INIT;

	assert_in_range(n, 1, 4);
	for (size_t i = 0; i < n; i++) {
		c[i].certificate = in_dir(dirs[i], "cert.pem", cert[i]);
		c[i].key = in_dir(dirs[i], "key.pem", key[i]);
	}
	assert_int_equal(tls_ctx_new(c, n, service, alpn, &ctx, &e), 0);
	return ctx;
}

static inline struct tls_ctx *ctx_both(const char *service, const char *alpn)
{
	const char *dirs[] = { main_dir, other_dir };

	return ctx_of(dirs, 2, service, alpn);
}

static inline void make(char *dir, const char *name, const char *const *names, size_t n,
			int64_t days)
{
	struct err e = ERR_INIT;

	snprintf(dir, PATHS / 2, "%s/%s", top, name);
	assert_int_equal(mkdir(dir, 0700), 0);
	assert_int_equal(tls_make_cert(dir, names, n, days, &e), 0);
}

static inline int setup(void **state)
{
	static const char *const main_names[] = { "mail.example.test", "127.0.0.1", "::1" };
	static const char *const other_names[] = { "other.test", "*.wild.test" };

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	snprintf(top, sizeof(top), "/tmp/tls-test-XXXXXX");
	assert_non_null(mkdtemp(top));
	make(main_dir, "main", main_names, 3, 30);
	make(other_dir, "other", other_names, 2, 30);
	make(old_dir, "old", main_names, 1, -2);
	return 0;
}

static inline void remove_dir(const char *dir)
{
	static const char *const files[] = { "ca.pem", "cert.pem", "key.pem" };
	char path[PATHS];

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		unlink(in_dir(dir, files[i], path));
	}
	rmdir(dir); /* fails if something else was left there */
}

static inline int teardown(void **state)
{
	(void)state;
	remove_dir(main_dir);
	remove_dir(other_dir);
	remove_dir(old_dir);
	return rmdir(top);
}

#endif
