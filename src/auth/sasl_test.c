/* sasl: PLAIN and LOGIN, strict (THREATS AU-01 to AU-03). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "auth/impl.h"

static struct kv *kv;
static struct auth *auth;

static int setup(void **state)
{
	struct auth_opts o = { .argon_memory_kib = 8, .argon_passes = 1, .no_delays = true };

	(void)state;
	co_enter();
	assert_int_equal(kv_mem_open(&kv), 0);
	o.kv = kv;
	assert_int_equal(auth_open(&o, &auth, NULL), 0);
	assert_int_equal(auth_domain_add(auth, S("example.test"), NULL), 0);
	assert_int_equal(auth_account_add(auth, S("bob@example.test"), S("builder"), NULL, NULL),
			 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	auth_close(&auth);
	kv_close(&kv);
	return 0;
}

static enum sasl_state plain(struct slice in)
{
	struct sasl *s = sasl_new(auth, S("plain"), "imap", NULL, NULL);
	struct buf out = BUF_INIT(256);
	struct auth_identity id;
	enum sasl_state r;

	co_enter();
	assert_non_null(s);
	assert_true(sasl_client_first(s));
	r = sasl_step(s, in, &out, &id);
	if (r == SASL_DONE) {
		assert_string_equal(id.address, "bob@example.test");
	}
	assert_int_equal(out.n, 0);
	buf_fini(&out);
	sasl_free(&s);
	assert_null(s);
	return r;
}

static void test_plain(void **state)
{
	(void)state;
	assert_int_equal(plain(S("\0bob@example.test\0builder")), SASL_DONE);
	assert_int_equal(plain(S("bob@example.test\0bob@example.test\0"
				 "builder")),
			 SASL_DONE);
	assert_int_equal(plain(S("eve@example.test\0bob@example.test\0"
				 "builder")),
			 SASL_DENIED);
	assert_int_equal(plain(S("eve@example.test\0bob@example.test\0"
				 "wrong")),
			 SASL_FAIL);
	assert_int_equal(plain(S("\0bob@example.test\0wrong")), SASL_FAIL);
	assert_int_equal(plain(S("\0eve@example.test\0builder")), SASL_FAIL);
}

static void test_plain_is_strict(void **state)
{
	char big[2048];

	(void)state;
	assert_int_equal(plain(S("")), SASL_BAD);
	assert_int_equal(plain(S("bob")), SASL_BAD);
	assert_int_equal(plain(S("\0bob")), SASL_BAD);
	assert_int_equal(plain(S("\0bob\0")), SASL_BAD);
	assert_int_equal(plain(S("\0\0builder")), SASL_BAD);
	assert_int_equal(plain(S("\0bob\0builder\0")), SASL_BAD);
	assert_int_equal(plain(S("\0bob\0buil\0der")), SASL_BAD);
	assert_int_equal(plain(S("\0bob\0\xff\xfe")), SASL_BAD);
	assert_int_equal(plain(S("\0b\xc3\0builder")), SASL_BAD);
	/* parts of 255 octets are taken, of 256 not */
	memset(big, 'a', sizeof(big));
	big[0] = big[256] = '\0';
	assert_int_equal(plain(slice_make(big, 264)), SASL_FAIL);
	big[256] = 'a';
	big[257] = '\0';
	assert_int_equal(plain(slice_make(big, 264)), SASL_BAD);
	memset(big, 'a', sizeof(big));
	big[255] = big[260] = '\0';
	assert_int_equal(plain(slice_make(big, 264)), SASL_FAIL);
	big[255] = 'a';
	big[256] = '\0';
	assert_int_equal(plain(slice_make(big, 264)), SASL_BAD);
	/* and the password has 1024 */
	memset(big, 'a', sizeof(big));
	big[0] = big[4] = '\0';
	assert_int_equal(plain(slice_make(big, 5 + 1024)), SASL_FAIL);
	assert_int_equal(plain(slice_make(big, 5 + 1025)), SASL_BAD);
}

static enum sasl_state login(struct slice first, struct slice user, struct slice password)
{
	struct sasl *s = sasl_new(auth, S("LOGIN"), "smtp", NULL, NULL);
	struct buf out = BUF_INIT(256);
	struct auth_identity id;
	enum sasl_state r;

	co_enter();
	assert_non_null(s);
	assert_false(sasl_client_first(s));
	r = sasl_step(s, first, &out, &id);
	if (r == SASL_CONTINUE && !first.p) {
		assert_string_equal(buf_cstr(&out), "Username:");
		buf_reset(&out);
		r = sasl_step(s, user, &out, &id);
	}
	if (r == SASL_CONTINUE) {
		assert_string_equal(buf_cstr(&out), "Password:");
		buf_reset(&out);
		r = sasl_step(s, password, &out, &id);
	}
	if (r == SASL_DONE) {
		assert_string_equal(id.address, "bob@example.test");
	}
	buf_fini(&out);
	sasl_free(&s);
	return r;
}

static void test_login(void **state)
{
	struct slice none = { NULL, 0 };
	char big[300];

	(void)state;
	assert_int_equal(login(none, S("bob@example.test"), S("builder")), SASL_DONE);
	assert_int_equal(login(none, S("bob@example.test"), S("wrong")), SASL_FAIL);
	/* the name as an initial response */
	assert_int_equal(login(S("bob@example.test"), S(""), S("builder")), SASL_DONE);
	assert_int_equal(login(none, S(""), S("builder")), SASL_BAD);
	assert_int_equal(login(none, S("bob\0"), S("builder")), SASL_BAD);
	assert_int_equal(login(none, S("bob"), S("")), SASL_BAD);
	assert_int_equal(login(none, S("bob"), S("buil\0der")), SASL_BAD);
	memset(big, 'a', sizeof(big));
	assert_int_equal(login(none, slice_make(big, 255), S("x")), SASL_FAIL);
	assert_int_equal(login(none, slice_make(big, 256), S("x")), SASL_BAD);
}

static void test_mechanisms(void **state)
{
	struct sasl *s;
	struct buf out = BUF_INIT(256);
	struct auth_identity id;

	(void)state;
	co_enter();
	sasl_mechanisms(auth, NULL, &out);
	assert_string_equal(buf_cstr(&out), "PLAIN LOGIN");
	buf_reset(&out);
	assert_null(sasl_new(auth, S("CRAM-MD5"), "imap", NULL, NULL));
	assert_null(sasl_new(auth, S(""), "imap", NULL, NULL));
	assert_null(sasl_new(auth, S("PLAIN "), "imap", NULL, NULL));
	/* a step too many is no step */
	s = sasl_new(auth, S("LOGIN"), "imap", NULL, NULL);
	assert_int_equal(sasl_step(s, S("bob"), &out, &id), SASL_CONTINUE);
	assert_int_equal(sasl_step(s, S("no"), &out, &id), SASL_FAIL);
	assert_int_equal(sasl_step(s, S("more"), &out, &id), SASL_BAD);
	sasl_free(&s);
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_plain_is_strict),
		cmocka_unit_test(test_login),
		cmocka_unit_test(test_mechanisms),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
