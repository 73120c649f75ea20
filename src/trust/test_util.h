/* What the tests of signatures share: keys, a table of the DNS, whole runs. */
#ifndef TRUST_TEST_UTIL_H
#define TRUST_TEST_UTIL_H

#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/codec.h"
#include "base/err.h"
#include "trust/dkim_key.h"

/* The keys of RFC 8463 A.1; the RSA one has 1024 bits. */
#define RFC_RSA_PEM                                                          \
	"-----BEGIN RSA PRIVATE KEY-----\n"                                  \
	"MIICXQIBAAKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQi\n" \
	"Y/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqM\n" \
	"KrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB\n" \
	"AoGAH0cxOhFZDgzXWhDhnAJDw5s4roOXN4OhjiXa8W7Y3rhX3FJqmJSPuC8N9vQm\n" \
	"6SVbaLAE4SG5mLMueHlh4KXffEpuLEiNp9Ss3O4YfLiQpbRqE7Tm5SxKjvvQoZZe\n" \
	"zHorimOaChRL2it47iuWxzxSiRMv4c+j70GiWdxXnxe4UoECQQDzJB/0U58W7RZy\n" \
	"6enGVj2kWF732CoWFZWzi1FicudrBFoy63QwcowpoCazKtvZGMNlPWnC7x/6o8Gc\n" \
	"uSe0ga2xAkEA8C7PipPm1/1fTRQvj1o/dDmZp243044ZNyxjg+/OPN0oWCbXIGxy\n" \
	"WvmZbXriOWoSALJTjExEgraHEgnXssuk7QJBALl5ICsYMu6hMxO73gnfNayNgPxd\n" \
	"WFV6Z7ULnKyV7HSVYF0hgYOHjeYe9gaMtiJYoo0zGN+L3AAtNP9huqkWlzECQE1a\n" \
	"licIeVlo1e+qJ6Mgqr0Q7Aa7falZ448ccbSFYEPD6oFxiOl9Y9se9iYHZKKfIcst\n" \
	"o7DUw1/hz2Ck4N5JrgUCQQCyKveNvjzkkd8HjYs0SwM0fPjK16//5qDZ2UiDGnOe\n" \
	"uEzxBDAr518Z8VFbR41in3W4Y3yCDgQlLlcETrS+zYcL\n"                     \
	"-----END RSA PRIVATE KEY-----\n"
#define RFC_RSA_P                                                          \
	"MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6" \
	"Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/" \
	"e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G" \
	"+2kryOTIKT+l/K4w3QIDAQAB"
#define RFC_RSA_RECORD "v=DKIM1; k=rsa; p=" RFC_RSA_P
#define RFC_ED25519_RECORD "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
/* PKCS #8 around the 32 octets. */
#define RFC_ED25519_PEM                                                      \
	"-----BEGIN PRIVATE KEY-----\n"                                      \
	"MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n" \
	"-----END PRIVATE KEY-----\n"

#define NOW INT64_C(1700000000)

/* Those keys, for a whole group of tests. */
static struct dkim_key *rsa __attribute__((unused)), *ed25519 __attribute__((unused));

static inline int keys_up(void **state)
{
	(void)state;
	assert_int_equal(dkim_key_parse(S(RFC_RSA_PEM), &rsa, NULL), 0);
	assert_int_equal(dkim_key_parse(S(RFC_ED25519_PEM), &ed25519, NULL), 0);
	return 0;
}

static inline int keys_down(void **state)
{
	(void)state;
	dkim_key_free(&rsa);
	dkim_key_free(&ed25519);
	return 0;
}

/* Where the body of a whole message begins. */
static inline size_t test_body_at(struct slice message)
{
	size_t at = slice_find(message, S("\r\n\r\n"));

	return at == SIZE_MAX ? message.n : at + 4;
}

static inline struct slice test_body_hash(enum canon how, struct slice body, char dst[64])
{
	struct sig_body b = { 0 };
	struct buf out = BUF_INIT(64);

	assert_int_equal(sig_body_want(&b, how), 0);
	sig_body_feed(&b, body);
	sig_body_end(&b);
	base64_encode(&out, slice_make((const char *)b.way[how].sum, SIG_HASH_LEN));
	memcpy(dst, out.p, out.n);
	sig_body_fini(&b);
	buf_fini(&out);
	return slice_make(dst, 44);
}

/* The first `from` in b becomes `to`. It must be there. */
static inline void test_replace(struct buf *b, struct slice from, struct slice to)
{
	struct buf all = BUF_INIT(b->max);
	size_t at = slice_find(buf_slice(b), from);

	assert_true(at != SIZE_MAX);
	buf_add(&all, slice_sub(buf_slice(b), 0, at));
	buf_add(&all, to);
	buf_add(&all, slice_from(buf_slice(b), at + from.n));
	buf_reset(b);
	buf_add(b, buf_slice(&all));
	buf_fini(&all);
	assert_int_equal(b->err, 0);
}

#endif
