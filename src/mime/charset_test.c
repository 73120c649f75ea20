/* Tests of charset.c: names as mail spells them, and always valid UTF-8. */
#include "base/utf8.h"
#include "mime/charset.h"
#include "mime/test_util.h"

static const struct {
	const char *name, *in, *want;
} cases[] = {
	{ "utf-8", "\xc3\xa4", "\xc3\xa4" },
	{ "\"UTF8\"", "\xc3\xa4", "\xc3\xa4" },
	{ " 'utf-8'; ", "\xc3\xa4", "\xc3\xa4" },
	{ "ISO-8859-1", "\xe4\x80", "\xc3\xa4\xe2\x82\xac" },
	{ "iso-8859-15", "\xa4", "\xe2\x82\xac" },
	{ "iso-8859-2", "\xb1", "\xc4\x85" },
	{ "koi8-r", "\xc1", "\xd0\xb0" },
	{ "windows-1251", "\xe0", "\xd0\xb0" },
	{ "x-cp1251", "\xe0", "\xd0\xb0" },
	{ "cp-850", "\x84", "\xc3\xa4" },
	{ "CP_850", "\x84", "\xc3\xa4" },
	{ "ibm850", "\x84", "\xc3\xa4" },
	{ "unicode-1-1-utf-7", "Fr+APY-sche", "Fr\xc3\xb6sche" },
	{ "utf-7", "A+ImIDkQ.", "A\xe2\x89\xa2\xce\x91." },
	{ "shift_jis", "\x93\xfa\x96\x7b", "\xe6\x97\xa5\xe6\x9c\xac" },
	{ "x-sjis", "\x87\x40", "\xe2\x91\xa0" },
	{ "euc-jp", "\xc6\xfc\xcb\xdc", "\xe6\x97\xa5\xe6\x9c\xac" },
	{ "iso-2022-jp", "\x1b$BF|K\\\x1b(B", "\xe6\x97\xa5\xe6\x9c\xac" },
	{ "gb2312", "\xc4\xe3", "\xe4\xbd\xa0" },
	{ "hz-gb-2312", "~{Dc~}", "\xe4\xbd\xa0" },
	{ "big5", "\xa7\x41", "\xe4\xbd\xa0" },
	{ "ks_c_5601-1987", "\xb0\xa1", "\xea\xb0\x80" },
	{ "euc-kr", "\xb0\xa1", "\xea\xb0\x80" },
	{ "tis-620", "\xa1", "\xe0\xb8\x81" },
	{ "macintosh", "\x8a", "\xc3\xa4" },
	{ "us-ascii", "a\xc3\xa4\xe4", "a\xc3\xa4\xc3\xa4" },
	{ "ANSI_X3.4-1968", "a", "a" },
	/* Not UTF-8: overlong, surrogates, beyond, cut. */
	{ "utf-8", "a\xc0\xaf", "a\xef\xbf\xbd\xef\xbf\xbd" },
	{ "utf-8", "\xe2\x82", "\xef\xbf\xbd" },
	{ "us-ascii", "\xe2\x82", "\xc3\xa2\xe2\x80\x9a" },
	{ "us-ascii", "\x81", "\xef\xbf\xbd" },
	{ "nonsense", "\xc3\xa4", "\xc3\xa4" },
	{ "nonsense", "\xe4", "\xc3\xa4" },
	{ "", "a", "a" },
	{ "utf-8,version=1", "\xe4", "\xc3\xa4" },
};

static void test_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf out = BUF_INIT(1 << 16);

		charset_to_utf8(slice_cstr(cases[i].name), slice_cstr(cases[i].in), &out);
		assert_string_equal(buf_cstr(&out), cases[i].want);
		buf_fini(&out);
	}
}

/* One byte at a time gives the same as all at once. */
static void test_streams(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct slice in = slice_cstr(cases[i].in);
		struct buf out = BUF_INIT(1 << 16);
		struct charset *c = NULL;

		if (!charset_known(slice_cstr(cases[i].name))) {
			continue;
		}
		assert_int_equal(charset_new(slice_cstr(cases[i].name), &c), 0);
		for (size_t k = 0; k < in.n; k++) {
			charset_feed(c, slice_sub(in, k, 1), &out);
		}
		charset_end(c, &out);
		charset_free(&c);
		assert_null(c);
		assert_string_equal(buf_cstr(&out), cases[i].want);
		buf_fini(&out);
	}
}

static void test_utf16(void **state)
{
	struct buf out = BUF_INIT(1 << 16);

	(void)state;
	charset_to_utf8(S("utf-16"),
			S("\xff\xfe"
			  "a\0"
			  "\x3d\xd8\x00\xde"),
			&out);
	assert_slice(buf_slice(&out), "a\xf0\x9f\x98\x80");
	buf_reset(&out);
	/* Lone surrogates and half a character. */
	charset_to_utf8(S("utf-16be"), S("\xd8\x3d\0a\xde\x00\0"), &out);
	assert_true(utf8_valid(buf_slice(&out)));
	assert_true(out.n > 1);
	buf_fini(&out);
}

static void test_known(void **state)
{
	static const char *const unknown[] = {
		"",	      "nonsense",
		"utf-8,swap", "imap-mailbox-name",
		"LMBCS-1",    "scsu",
		"BOCU-1",     "utf-8=x",
		"a b",	      "../../x",
		"\"\"",	      "x-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
		assert_false(charset_known(slice_cstr(unknown[i])));
	}
	assert_true(charset_known(S("US-ASCII")));
	assert_true(charset_known(S("Windows-1252")));
	assert_false(charset_known(S("utf-8\0x")));
}

static const char *const all[] = {
	"utf-8",	"utf-7",	"utf-16",	"utf-16be",	"utf-16le",
	"utf-32",	"us-ascii",	"iso-8859-1",	"iso-8859-2",	"iso-8859-3",
	"iso-8859-4",	"iso-8859-5",	"iso-8859-6",	"iso-8859-7",	"iso-8859-8",
	"iso-8859-9",	"iso-8859-10",	"iso-8859-13",	"iso-8859-14",	"iso-8859-15",
	"windows-874",	"windows-1250", "windows-1253", "windows-1254", "windows-1255",
	"windows-1256", "windows-1257", "windows-1258", "koi8-r",	"koi8-u",
	"macintosh",	"cp437",	"cp850",	"cp866",	"big5",
	"gb2312",	"gbk",		"gb18030",	"hz-gb-2312",	"euc-jp",
	"shift_jis",	"iso-2022-jp",	"iso-2022-kr",	"iso-2022-cn",	"euc-kr",
	"tis-620",
};

/* Every byte pair in every charset gives valid UTF-8 (MI-09). */
static void test_garbage(void **state)
{
	struct buf in = BUF_INIT(1 << 20);

	(void)state;
	for (unsigned a = 0; a < 256; a++) {
		for (unsigned b = 0; b < 256; b += 5) {
			buf_put8(&in, (uint8_t)a);
			buf_put8(&in, (uint8_t)b);
		}
	}
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct buf out = BUF_INIT(1 << 20);

		if (!charset_known(slice_cstr(all[i]))) {
			fail_msg("%s is not known", all[i]);
		}
		charset_to_utf8(slice_cstr(all[i]), buf_slice(&in), &out);
		assert_int_equal(out.err, 0);
		assert_true(out.n > 0 && utf8_valid(buf_slice(&out)));
		buf_fini(&out);
	}
	buf_fini(&in);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),	cmocka_unit_test(test_streams),
		cmocka_unit_test(test_utf16),	cmocka_unit_test(test_known),
		cmocka_unit_test(test_garbage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
