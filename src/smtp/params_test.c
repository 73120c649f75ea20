/* params: every parameter with what it may be, what not, twice, and not offered. */
#include "smtp/params.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/err.h"

#define ALL (SMTP_EXT_BIT(SMTP_EXTS) - 1)
#define NOW INT64_C(1767323045) /* 2026-01-02T03:04:05Z */
#define TEN "0123456789"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN

static enum smtp_params mail(struct slice text, struct smtp_mail_params *m)
{
	struct cur c = cur_init(text);

	return smtp_mail_params_parse(&c, ALL, NOW, m);
}

static enum smtp_params rcpt(struct slice text, bool utf8, struct smtp_rcpt_params *r)
{
	struct cur c = cur_init(text);

	return smtp_rcpt_params_parse(&c, ALL, utf8, r);
}

static void test_mail(void **state)
{
	struct smtp_mail_params m;

	(void)state;
	assert_int_equal(mail(S(""), &m), SMTP_PARAMS_OK);
	assert_null(m.envid.p);
	assert_null(m.auth.p);
	assert_int_equal(
		mail(S(" size=1000 body=8bitmime SMTPUTF8 AUTH=e+3Dmc2@example.com REQUIRETLS "
		       "MT-PRIORITY=-3 BY=100;NT RET=HDRS ENVID=a+2Bb HOLDFOR=100"),
		     &m),
		SMTP_PARAMS_OK);
	assert_int_equal(m.size, 1000);
	assert_int_equal(m.body, SMTP_BODY_8BITMIME);
	assert_true(m.smtputf8 && m.requiretls && m.by_trace);
	assert_int_equal(m.priority, -3);
	assert_true(slice_eq(m.auth, S("e+3Dmc2@example.com")));
	assert_int_equal(m.by, SMTP_BY_NOTIFY);
	assert_int_equal(m.by_time, 100);
	assert_int_equal(m.ret, SMTP_RET_HDRS);
	assert_true(slice_eq(m.envid, S("a+2Bb")));
	assert_int_equal(m.hold, NOW + 100);
	assert_int_equal(mail(S(" AUTH=<> BY=-5;n RET=FULL MT-PRIORITY=9 BODY=BINARYMIME"), &m),
			 SMTP_PARAMS_OK);
	assert_true(slice_eq(m.auth, S("<>")));
	assert_int_equal(m.by_time, -5);
	assert_int_equal(m.body, SMTP_BODY_BINARYMIME);
	assert_int_equal(mail(S(" BY=+999999999;R HOLDUNTIL=2026-02-28T23:59:59.25Z"), &m),
			 SMTP_PARAMS_OK);
	assert_int_equal(m.by, SMTP_BY_RETURN);
	assert_int_equal(m.hold, INT64_C(1772323199));
	assert_int_equal(mail(S(" ENVID=" HUNDRED), &m), SMTP_PARAMS_OK);
	assert_int_equal(mail(S(" HOLDUNTIL=2026-01-02T03:04:06Z"), &m), SMTP_PARAMS_OK);
	assert_int_equal(m.hold, NOW + 1);
}

static const struct slice bad_mail[] = {
	S(" SIZE"),
	S(" SIZE="),
	S(" SIZE=-1"),
	S(" SIZE=1x"),
	S(" SIZE=18446744073709551616"),
	S(" SIZE=000000000000000000001"),
	S(" SIZE=1 SIZE=1"),
	S(" BODY"),
	S(" BODY=9BIT"),
	S(" BODY=7BIT BODY=7BIT"),
	S(" SMTPUTF8=1"),
	S(" SMTPUTF8 SMTPUTF8"),
	S(" REQUIRETLS=yes"),
	S(" REQUIRETLS requiretls"),
	S(" MT-PRIORITY"),
	S(" MT-PRIORITY=10"),
	S(" MT-PRIORITY=-10"),
	S(" MT-PRIORITY=+1"),
	S(" MT-PRIORITY=-0"),
	S(" MT-PRIORITY=00"),
	S(" MT-PRIORITY=-"),
	S(" MT-PRIORITY=x"),
	S(" MT-PRIORITY=1 MT-PRIORITY=1"),
	S(" AUTH"),
	S(" AUTH="),
	S(" AUTH=a+0Ab@x"),
	S(" AUTH=a+0Db@x"),
	S(" AUTH=a+00b@x"),
	S(" AUTH=a+0@x"),
	S(" AUTH=a+2b@x"),
	S(" AUTH=a"),
	S(" AUTH=a@"),
	S(" AUTH=a@b@c"),
	S(" AUTH=a+3Eb@c"),
	S(" AUTH=<a@b>"),
	S(" AUTH=@x:a@b+20"),
	S(" AUTH=a@b AUTH=a@b"),
	S(" AUTH=\xff@b"),
	S(" BY"),
	S(" BY="),
	S(" BY=100"),
	S(" BY=100;"),
	S(" BY=100;X"),
	S(" BY=100;NN"),
	S(" BY=100;NTT"),
	S(" BY=;N"),
	S(" BY=-;N"),
	S(" BY=--1;N"),
	S(" BY=1234567890;N"),
	S(" BY=0;R"),
	S(" BY=-1;R"),
	S(" BY=1x;N"),
	S(" BY=1;N BY=1;N"),
	S(" RET"),
	S(" RET=ALL"),
	S(" RET=FULL RET=FULL"),
	S(" ENVID"),
	S(" ENVID="),
	S(" ENVID=a+0Ab"),
	S(" ENVID=a+0Db"),
	S(" ENVID=a+00b"),
	S(" ENVID=a+"),
	S(" ENVID=a+7F"),
	S(" ENVID=" HUNDRED "1"),
	S(" ENVID=a ENVID=a"),
	S(" HOLDFOR"),
	S(" HOLDFOR=0"),
	S(" HOLDFOR=01"),
	S(" HOLDFOR=-1"),
	S(" HOLDFOR=1234567890"),
	S(" HOLDFOR=99999999"),
	S(" HOLDFOR=1 HOLDFOR=1"),
	S(" HOLDFOR=1 HOLDUNTIL=2026-02-01T00:00:00Z"),
	S(" HOLDUNTIL=2026-01-02T03:04:05Z"),
	S(" HOLDUNTIL=2025-01-01T00:00:00Z"),
	S(" HOLDUNTIL=2028-01-01T00:00:00Z"),
	S(" HOLDUNTIL=2026-02-29T00:00:00Z"),
	S(" HOLDUNTIL=2026-13-01T00:00:00Z"),
	S(" HOLDUNTIL=2026-00-01T00:00:00Z"),
	S(" HOLDUNTIL=2026-02-01T24:00:00Z"),
	S(" HOLDUNTIL=2026-02-01T00:60:00Z"),
	S(" HOLDUNTIL=2026-02-01T00:00:00"),
	S(" HOLDUNTIL=2026-02-01T00:00:00+01:00"),
	S(" HOLDUNTIL=2026-02-01T00:00:00.Z"),
	S(" HOLDUNTIL=2026-02-01 00:00:00Z"),
	S(" HOLDUNTIL=26-02-01T00:00:00Z"),
	S(" HOLDFOR=101 BY=100;R"),
	S(" BY=100;N HOLDFOR=101"),
	S("SIZE=1"),
	S("  SIZE=1"),
	S(" "),
	S(" ="),
	S(" \""),
	S(" SIZE=1 "),
	S(" SIZE=1=2"),
	S(" SI\0ZE=1"),
	S(" \xff"),
};

static void test_bad_mail(void **state)
{
	struct smtp_mail_params m;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad_mail); i++) {
		if (mail(bad_mail[i], &m) != SMTP_PARAMS_SYNTAX) {
			fail_msg("taken:%.*s", SLICE_ARG(bad_mail[i]));
		}
	}
}

static void test_rcpt(void **state)
{
	struct buf b = BUF_INIT(1024);
	struct smtp_rcpt_params r;

	(void)state;
	assert_int_equal(rcpt(S(""), false, &r), SMTP_PARAMS_OK);
	assert_int_equal(r.notify, 0);
	assert_int_equal(rcpt(S(" NOTIFY=never ORCPT=rfc822;a+2Bb@x.example"), false, &r),
			 SMTP_PARAMS_OK);
	assert_int_equal(r.notify, SMTP_NOTIFY_NEVER);
	assert_true(slice_eq(r.orcpt, S("rfc822;a+2Bb@x.example")));
	assert_int_equal(rcpt(S(" NOTIFY=DELAY,SUCCESS,FAILURE"), false, &r), SMTP_PARAMS_OK);
	assert_int_equal(r.notify, SMTP_NOTIFY_SUCCESS | SMTP_NOTIFY_FAILURE | SMTP_NOTIFY_DELAY);
	assert_int_equal(rcpt(S(" ORCPT=utf-8;\xc3\xa4@x.example"), true, &r), SMTP_PARAMS_OK);
	assert_int_equal(rcpt(S(" ORCPT=utf-8;\xc3\xa4@x.example"), false, &r), SMTP_PARAMS_SYNTAX);
	assert_int_equal(rcpt(S(" ORCPT=utf-8;\\x{E4}@x.example"), false, &r), SMTP_PARAMS_OK);
	for (size_t n = SMTP_ORCPT_MAX; n <= SMTP_ORCPT_MAX + 1; n++) {
		buf_reset(&b);
		buf_adds(&b, " ORCPT=rfc822;");
		while (b.n < n + 7) {
			buf_addc(&b, 'x');
		}
		assert_int_equal(rcpt(buf_slice(&b), false, &r),
				 n > SMTP_ORCPT_MAX ? SMTP_PARAMS_SYNTAX : SMTP_PARAMS_OK);
	}
	buf_fini(&b);
}

static const struct slice bad_rcpt[] = {
	S(" NOTIFY"),
	S(" NOTIFY="),
	S(" NOTIFY=NEVER,DELAY"),
	S(" NOTIFY=DELAY,NEVER"),
	S(" NOTIFY=NEVER,NEVER"),
	S(" NOTIFY=DELAY,DELAY"),
	S(" NOTIFY=DELAY,"),
	S(" NOTIFY=,DELAY"),
	S(" NOTIFY=FULL"),
	S(" NOTIFY=NEVER NOTIFY=NEVER"),
	S(" ORCPT"),
	S(" ORCPT="),
	S(" ORCPT=a@x"),
	S(" ORCPT=rfc822;"),
	S(" ORCPT=;a@x"),
	S(" ORCPT=rfc822;a+0Ab@x"),
	S(" ORCPT=rfc822;a+0Db@x"),
	S(" ORCPT=rfc822;a+00@x"),
	S(" ORCPT=rfc822;a+2"),
	S(" ORCPT=rf.c;a@x"),
	S(" ORCPT=r\xff;a@x"),
	S(" ORCPT=rfc822;\xc3\xa4@x"),
	S(" ORCPT=utf-8;\xff@x"),
	S(" ORCPT=utf-8;\xc3\xa4+2B@x"),
	S(" ORCPT=rfc822;a@x ORCPT=rfc822;a@x"),
	S(" ORCPT=rfc822;a@x "),
};

static void test_bad_rcpt(void **state)
{
	struct smtp_rcpt_params r;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad_rcpt); i++) {
		if (rcpt(bad_rcpt[i], true, &r) != SMTP_PARAMS_SYNTAX) {
			fail_msg("taken:%.*s", SLICE_ARG(bad_rcpt[i]));
		}
	}
}

/* Not offered is unknown, whatever it says; so is the other command's. */
static void test_not_offered(void **state)
{
	static const struct slice mails[] = {
		S(" RET=FULL"), S(" RET=x"),	  S(" ENVID=a"),	S(" HOLDFOR=1"),
		S(" BY=1;N"),	S(" REQUIRETLS"), S(" AUTH=<>"),	S(" MT-PRIORITY=1"),
		S(" SIZE=1"),	S(" XYZZY"),	  S(" XYZZY=1 SIZE=x"), S(" NOTIFY=NEVER"),
		S(" -A"),
	};
	struct smtp_mail_params m;
	struct smtp_rcpt_params r;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(mails); i++) {
		struct cur c = cur_init(mails[i]);
		enum smtp_params want =
			slice_eq(mails[i], S(" -A")) ? SMTP_PARAMS_SYNTAX : SMTP_PARAMS_UNKNOWN;

		assert_int_equal(smtp_mail_params_parse(&c, 0, NOW, &m), want);
	}
	assert_int_equal(rcpt(S(" SIZE=1"), true, &r), SMTP_PARAMS_UNKNOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mail),	    cmocka_unit_test(test_bad_mail),
		cmocka_unit_test(test_rcpt),	    cmocka_unit_test(test_bad_rcpt),
		cmocka_unit_test(test_not_offered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
