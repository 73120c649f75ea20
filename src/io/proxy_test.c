/* proxy: headers of both versions, what is none, and that no octet more is read. */
#include "io/proxy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define SIG "\r\n\r\n\0\r\nQUIT\n"
#define V4               \
	"\xc0\0\2\1"     \
	"\xc6\x33\x64\2" \
	"\x04\0"         \
	"\0\x19"
#define V6                                       \
	"\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1" \
	"\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\2" \
	"\x04\0"                                 \
	"\0\x19"
#define TEN "0123456789"
#define UNIX \
	TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN "123456"

static const struct {
	struct slice in;
	const char *src; /* NULL: not known */
	const char *dst;
	uint16_t sport, dport;
} good[] = {
	{ S("PROXY TCP4 192.0.2.1 198.51.100.2 1024 25\r\n"), "192.0.2.1", "198.51.100.2", 1024,
	  25 },
	{ S("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"), "255.255.255.255",
	  "255.255.255.255", 65535, 65535 },
	{ S("PROXY TCP6 2001:db8::1 2001:db8::2 0 65535\r\n"), "2001:db8::1", "2001:db8::2", 0,
	  65535 },
	{ S("PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n"), "192.0.2.1", "::1", 1, 2 },
	{ S("PROXY UNKNOWN\r\n"), NULL, NULL, 0, 0 },
	{ S("PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n"), NULL, NULL, 0, 0 },
	{ S(SIG "\x21\x11\0\x0c" V4), "192.0.2.1", "198.51.100.2", 1024, 25 },
	{ S(SIG "\x21\x21\0\x24" V6), "2001:db8::1", "2001:db8::2", 1024, 25 },
	{ S(SIG "\x21\x11\0\x13" V4 "\3\0\4abcd"), "192.0.2.1", "198.51.100.2", 1024, 25 },
	{ S(SIG "\x21\x11\0\x12" V4 "\4\0\0\4\0\0"), "192.0.2.1", "198.51.100.2", 1024, 25 },
	{ S(SIG "\x20\0\0\0"), NULL, NULL, 0, 0 },
	{ S(SIG "\x20\x11\0\x0c" V4), NULL, NULL, 0, 0 },
	{ S(SIG "\x20\x99\0\3xyz"), NULL, NULL, 0, 0 },
	{ S(SIG "\x21\0\0\0"), NULL, NULL, 0, 0 },
	{ S(SIG "\x21\x31\0\xd8" UNIX), NULL, NULL, 0, 0 },
};

static const struct {
	struct slice in;
	int want;
} bad[] = {
	{ S("EHLO client.example\r\n"), -EPROTO },
	{ S("\x16\3\1\2\0\1\0\1\xfc\3\3xxxxx"), -EPROTO },
	{ S("PROXY\tTCP4 192.0.2.1 198.51.100.2 1 2\r\n"), -EPROTO },
	{ S("proxy TCP4 192.0.2.1 198.51.100.2 1 2\r\n"), -EPROTO },
	{ S("PROXY tcp4 192.0.2.1 198.51.100.2 1 2\r\n"), -EPROTO },
	{ S("PROXY UDP4 192.0.2.1 198.51.100.2 1 2\r\n"), -EPROTO },
	{ S("PROXY UNKNOWNX\r\n"), -EPROTO },
	{ S("PROXY TCP4 192.0.2.1 198.51.100.2 1 2\n"), -EPROTO },
	{ S("PROXY TCP4 192.0.2.1  198.51.100.2 1 2\r\n"), -EPROTO },
	{ S("PROXY TCP4 192.0.2.1 198.51.100.2 1 2 \r\n"), -EPROTO },
	{ S("PROXY TCP4 192.0.2.1 198.51.100.2 1\r\n"), -EPROTO },
	{ S("PROXY TCP4 192.0.2.1 198.51.100.2 01 2\r\n"), -EPROTO },
	{ S("PROXY TCP4 192.0.2.1 198.51.100.2 +1 2\r\n"), -EPROTO },
	{ S("PROXY TCP4 192.0.2.1 198.51.100.2 65536 2\r\n"), -EPROTO },
	{ S("PROXY TCP4 192.0.2.1 198.51.100.2 4294967297 2\r\n"), -EPROTO },
	{ S("PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n"), -EPROTO },
	{ S("PROXY TCP6 192.0.2.1 198.51.100.2 1 2\r\n"), -EPROTO },
	{ S("PROXY TCP6 [2001:db8::1] [2001:db8::2] 1 2\r\n"), -EPROTO },
	{ S("PROXY TCP4 * * 1 2\r\n      "), -EPROTO },
	{ S("PROXY TCP4 192.0.2.1\0 198.51.100.2 1 2\r\n"), -EPROTO },
	{ S("PROXY UNKNOWN " TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN), -EMSGSIZE },
	{ S(SIG "\x11\x11\0\x0c" V4), -EPROTO }, /* version 1 in this form */
	{ S(SIG "\x22\x11\0\x0c" V4), -EPROTO }, /* no such command */
	{ S(SIG "\x21\x12\0\x0c" V4), -EPROTO }, /* UDP */
	{ S(SIG "\x21\x41\0\x0c" V4), -EPROTO }, /* no such family */
	{ S(SIG "\x21\x11\0\x0b" V4), -EPROTO }, /* too short for its addresses */
	{ S(SIG "\x21\x21\0\x0c" V4), -EPROTO },
	{ S(SIG "\x21\x31\0\x0c" V4), -EPROTO },
	{ S(SIG "\x21\x11\0\x0d" V4 "\4"), -EPROTO },	   /* half a TLV */
	{ S(SIG "\x21\x11\0\x10" V4 "\4\0\2x"), -EPROTO }, /* longer than its frame */
	{ S(SIG "\x21\x11\0\x0f" V4 "\4\xff\xff"), -EPROTO },
	{ S(SIG "\x21\x11\xff\xff" V4), -EMSGSIZE },
	{ S(SIG "\x20\0\x0f\xf1" V4), -EMSGSIZE },
};

/* Behind the header the stream must stand at its first octet. */
static void read_one(struct slice in, size_t step, int want, struct proxy_header *h)
{
	struct buf b = BUF_INIT(8192);
	struct stream *s = NULL;
	char next[2];

	co_enter();
	buf_add(&b, in);
	buf_adds(&b, "\x16\3");
	assert_int_equal(stream_mem_new(buf_slice(&b), NULL, step, &s), 0);
	assert_int_equal(proxy_read(s, h), want);
	if (want == 0) {
		ssize_t n = stream_read(s, next, 1);

		assert_int_equal(n, 1);
		assert_int_equal(next[0], 0x16);
	}
	stream_free(&s);
	buf_fini(&b);
}

static void test_good(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		struct proxy_header h = { .known = !good[i].src };
		char text[NET_ADDR_TEXT_MAX];

		for (size_t step = 0; step < 4; step++) {
			read_one(good[i].in, step, 0, &h);
		}
		assert_int_equal(h.known, good[i].src != NULL);
		if (h.known) {
			assert_string_equal(net_addr_text(&h.src, text), good[i].src);
			assert_string_equal(net_addr_text(&h.dst, text), good[i].dst);
			assert_int_equal(net_addr_port(&h.src), good[i].sport);
			assert_int_equal(net_addr_port(&h.dst), good[i].dport);
		}
	}
}

static void test_bad(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct proxy_header h;

		read_one(bad[i].in, 0, bad[i].want, &h);
		read_one(bad[i].in, 1, bad[i].want, &h);
	}
}

/* The end at every octet. */
static void test_truncated(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		for (size_t n = 0; n < good[i].in.n; n++) {
			struct proxy_header h;
			struct stream *s = NULL;
			size_t need;

			co_enter();
			assert_int_equal(proxy_parse(slice_sub(good[i].in, 0, n), &h, &need), 0);
			assert_in_range(need, n + 1, good[i].in.n);
			assert_int_equal(stream_mem_new(slice_sub(good[i].in, 0, n), NULL, 0, &s),
					 0);
			assert_int_equal(proxy_read(s, &h), -ECONNRESET);
			stream_free(&s);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_truncated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
