/* Strings, dates, ENVELOPE and BODYSTRUCTURE as clients get them (IM-17). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/err.h"
#include "imap/write.h"

static void same(struct buf *b, const char *want)
{
	assert_int_equal(b->err, 0);
	assert_string_equal(buf_cstr(b), want);
	buf_reset(b);
}

static void test_strings(void **state)
{
	struct buf b = BUF_INIT(1 << 16);
	char big[1101];

	(void)state;
	imap_put_string(&b, S(""));
	same(&b, "\"\"");
	imap_put_string(&b, S("a \"b\" \\c"));
	same(&b, "\"a \\\"b\\\" \\\\c\"");
	imap_put_string(&b, S("a\r\n* BYE"));
	same(&b, "{8}\r\na\r\n* BYE");
	imap_put_string(&b, S("\xc3\xa9"));
	same(&b, "{2}\r\n\xc3\xa9");
	imap_put_string(&b, S("a\0b"));
	same(&b, "{3}\r\na b");
	imap_put_nstring(&b, slice_make(NULL, 0));
	same(&b, "NIL");
	imap_put_nstring(&b, slice_make("", 0));
	same(&b, "\"\"");
	imap_put_astring(&b, S("INBOX"));
	same(&b, "INBOX");
	imap_put_astring(&b, S("NIL"));
	same(&b, "\"NIL\"");
	imap_put_astring(&b, S("a b"));
	same(&b, "\"a b\"");
	imap_put_astring(&b, S(""));
	same(&b, "\"\"");
	imap_put_astring(&b, S("x{3}"));
	same(&b, "\"x{3}\"");
	imap_put_mailbox(&b, S("Entw\xc3\xbcrfe & mehr"), false);
	same(&b, "\"Entw&APw-rfe &- mehr\"");
	imap_put_mailbox(&b, S("Entw\xc3\xbcrfe"), true);
	same(&b, "\"Entw\xc3\xbcrfe\"");
	imap_put_mailbox(&b, S("a & b"), true);
	same(&b, "\"a & b\"");
	memset(big, 'x', sizeof(big));
	imap_put_string(&b, slice_make(big, 1101));
	assert_true(slice_starts(buf_slice(&b), S("{1101}\r\nxxx")));
	buf_fini(&b);
}

static void test_flags(void **state)
{
	struct buf b = BUF_INIT(1 << 16);
	const struct slice names[] = { S("$A"), S("b") };
	struct store_flags f = { STORE_SEEN | STORE_DELETED, 2 };

	(void)state;
	imap_put_flags(&b, f, names, 2, true);
	same(&b, "(\\Deleted \\Seen \\Recent b)");
	f.keywords = 7;
	f.system = 0;
	imap_put_flags(&b, f, names, 2, false);
	same(&b, "($A b)");
	f.keywords = 0;
	imap_put_flags(&b, f, NULL, 0, false);
	same(&b, "()");
	buf_fini(&b);
}

static void test_dates(void **state)
{
	struct buf b = BUF_INIT(1 << 16);

	(void)state;
	imap_put_date(&b, 837596665, -420);
	same(&b, "\"17-Jul-1996 02:44:25 -0700\"");
	imap_put_date(&b, 0, 0);
	same(&b, "\" 1-Jan-1970 00:00:00 +0000\"");
	imap_put_date(&b, -1, 0);
	same(&b, "\"31-Dec-1969 23:59:59 +0000\"");
	imap_put_date(&b, 951782400, 330);
	same(&b, "\"29-Feb-2000 05:30:00 +0530\"");
	imap_put_date(&b, 0, 99999);
	same(&b, "\" 1-Jan-1970 00:00:00 +0000\"");
	imap_put_date(&b, INT64_MAX, 0);
	same(&b, "\"29-Dec-9999 23:59:59 +0000\"");
	imap_put_date(&b, INT64_MIN, 0);
	same(&b, "\" 3-Jan-0000 00:00:00 +0000\"");
	buf_fini(&b);
}

static void check(struct slice msg, const char *envelope, const char *body, const char *structure)
{
	struct buf b = BUF_INIT(1 << 20);
	struct arena a;
	struct mime_tree t;

	arena_init(&a, MIME_TREE_MAX);
	assert_int_equal(mime_parse(msg, &a, &t), 0);
	if (envelope) {
		imap_put_envelope(&b, t.root->envelope);
		same(&b, envelope);
	}
	imap_put_body(&b, t.root, false);
	same(&b, body);
	if (structure) {
		imap_put_body(&b, t.root, true);
		same(&b, structure);
	}
	buf_fini(&b);
	arena_fini(&a);
}

static void test_plain(void **state)
{
	(void)state;
	check(S("Date: Mon, 7 Feb 1994 21:52:25 -0800 (PST)\r\n"
		"From: Fred Foobar <foobar@Blurdybloop.example>\r\n"
		"Subject: afternoon \"meeting\"\r\n"
		"To: mooch@owatagu.example, Group: a@b, c@d;\r\n"
		"Message-Id: <B27397-0100000@Blurdybloop.example>\r\n"
		"\r\n"
		"Hello\r\n"),
	      "(\"Mon, 7 Feb 1994 21:52:25 -0800 (PST)\" \"afternoon "
	      "\\\"meeting\\\"\" ((\"Fred Foobar\" NIL \"foobar\" "
	      "\"Blurdybloop.example\")) ((\"Fred Foobar\" NIL \"foobar\" "
	      "\"Blurdybloop.example\")) ((\"Fred Foobar\" NIL \"foobar\" "
	      "\"Blurdybloop.example\")) ((NIL NIL \"mooch\" "
	      "\"owatagu.example\")(NIL NIL \"Group\" NIL)(NIL NIL \"a\" "
	      "\"b\")(NIL NIL \"c\" \"d\")(NIL NIL NIL NIL)) NIL NIL NIL "
	      "\"<B27397-0100000@Blurdybloop.example>\")",
	      "(\"text\" \"plain\" NIL NIL NIL \"7bit\" 7 1)",
	      "(\"text\" \"plain\" NIL NIL NIL \"7bit\" 7 1 NIL NIL NIL NIL)");
}

static void test_multipart(void **state)
{
	(void)state;
	check(S("Content-Type: multipart/mixed; boundary=\"x\"\r\n"
		"\r\n"
		"--x\r\n"
		"Content-Type: text/html; charset=utf-8\r\n"
		"Content-Transfer-Encoding: base64\r\n"
		"Content-Language: en, de\r\n"
		"\r\n"
		"QUJD\r\n"
		"--x\r\n"
		"Content-Type: image/png\r\n"
		"Content-ID: <i@j>\r\n"
		"Content-Disposition: attachment; filename=\"a b.png\"\r\n"
		"\r\n"
		"zz\r\n"
		"--x--\r\n"),
	      NULL,
	      "((\"text\" \"html\" (\"charset\" \"utf-8\") NIL NIL \"base64\" 4 "
	      "0)(\"image\" \"png\" NIL \"<i@j>\" NIL \"7bit\" 2) \"mixed\")",
	      "((\"text\" \"html\" (\"charset\" \"utf-8\") NIL NIL \"base64\" 4 "
	      "0 NIL NIL (\"en\" \"de\") NIL)(\"image\" \"png\" NIL \"<i@j>\" "
	      "NIL \"7bit\" 2 NIL (\"attachment\" (\"filename\" \"a b.png\")) "
	      "NIL NIL) \"mixed\" (\"boundary\" \"x\") NIL NIL NIL)");
}

static void test_message(void **state)
{
	(void)state;
	check(S("Content-Type: message/rfc822\r\n"
		"\r\n"
		"Subject: inner\r\n"
		"\r\n"
		"hi\r\n"),
	      NULL,
	      "(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 22 (NIL \"inner\" "
	      "NIL NIL NIL NIL NIL NIL NIL NIL) (\"text\" \"plain\" NIL NIL NIL "
	      "\"7bit\" 4 1) 3)",
	      "(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 22 (NIL \"inner\" "
	      "NIL NIL NIL NIL NIL NIL NIL NIL) (\"text\" \"plain\" NIL NIL NIL "
	      "\"7bit\" 4 1 NIL NIL NIL NIL) 3 NIL NIL NIL NIL)");
}

/* No part at all: clients need one all the same. */
static void test_empty_multipart(void **state)
{
	struct mime_part p = { .kind = MIME_MULTIPART,
			       .type = S("multipart"),
			       .subtype = S("mixed") };
	struct mime_part leaf = {
		.kind = MIME_LEAF, .type = S("message"), .subtype = S("rfc822"), .body_len = 9
	};
	struct buf b = BUF_INIT(4096);

	(void)state;
	imap_put_body(&b, &p, true);
	same(&b, "((\"text\" \"plain\" NIL NIL NIL \"7bit\" 0 0 NIL NIL NIL "
		 "NIL) \"mixed\" NIL NIL NIL NIL)");
	imap_put_body(&b, &leaf, false);
	same(&b, "(\"application\" \"octet-stream\" NIL NIL NIL \"7bit\" 9)");
	imap_put_envelope(&b, NULL);
	same(&b, "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)");
	buf_fini(&b);
}

/* Parentheses balance and strings end for anything a message may hold. */
static void test_hostile(void **state)
{
	struct buf msg = BUF_INIT(1 << 20);
	struct buf out = BUF_INIT(1 << 22);
	struct arena a;
	struct mime_tree t;
	long depth = 0;

	(void)state;
	buf_add(&msg, S("Subject: a\rb\0c\"d\\e\xff)\r\nFrom: \"x\r\n y\" "
			"<\"q\\\"r\"@h>\r\nContent-Type: multipart/a;"
			" boundary=\"b)(\"; x=\"\\\"\0\"\r\n\r\n"));
	for (int i = 0; i < 200; i++) {
		buf_add(&msg, S("--b)(\r\nContent-Type: message/rfc822\r\n"
				"Content-Description: )(\r\n\r\n"
				"Subject: {5}\r\n\r\n"));
	}
	arena_init(&a, MIME_TREE_MAX);
	assert_int_equal(mime_parse(buf_slice(&msg), &a, &t), 0);
	imap_put_envelope(&out, t.root->envelope);
	imap_put_body(&out, t.root, true);
	assert_int_equal(out.err, 0);
	for (size_t i = 0; i < out.n; i++) {
		char ch = out.p[i];
		assert_int_not_equal(ch, 0);
		if (ch == '"') {
			for (i++; out.p[i] != '"'; i++) {
				assert_true(out.p[i] != '\r' && out.p[i] != '\n');
				i += out.p[i] == '\\';
			}
		} else if (ch == '{') {
			size_t n = 0;
			for (i++; out.p[i] != '}'; i++) {
				n = n * 10 + (size_t)(out.p[i] - '0');
			}
			i += 2 + n;
		} else {
			depth += (ch == '(') - (ch == ')');
			assert_true(depth >= 0);
		}
	}
	assert_int_equal(depth, 0);
	arena_fini(&a);
	buf_fini(&msg);
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_strings),		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_dates),		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_multipart),	cmocka_unit_test(test_message),
		cmocka_unit_test(test_empty_multipart), cmocka_unit_test(test_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
