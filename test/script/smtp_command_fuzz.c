/*
 * Fuzzes single SMTP commands in every state: each input is one line, given
 * to a session that has just started, has said EHLO, has logged in, has a
 * sender, or has a recipient. After it the session must still answer, or be
 * over; it never hangs and never answers with something that is no reply.
 */
#include <stdlib.h>

#include "rig.h"

#define LINE_MAX_IN 16384

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char *const before[] = {
	"",
	"EHLO x\r\n",
	"EHLO x\r\nAUTH PLAIN AGFsaWNlQGV4YW1wbGUudGVzdAB3b25kZXJsYW5k\r\n",
	"EHLO x\r\nAUTH PLAIN AGFsaWNlQGV4YW1wbGUudGVzdAB3b25kZXJsYW5k\r\n"
	"MAIL FROM:<alice@example.test> SMTPUTF8\r\n",
	"EHLO x\r\nAUTH PLAIN AGFsaWNlQGV4YW1wbGUudGVzdAB3b25kZXJsYW5k\r\n"
	"MAIL FROM:<alice@example.test>\r\nRCPT TO:<bob@example.test>\r\n",
};

/* Each line is "250 ..." or "250-...", in CRLF, without control bytes. */
static void check_replies(struct slice out)
{
	while (out.n) {
		size_t nl = slice_chr(out, '\n');
		struct slice line = slice_sub(out, 0, nl);

		assert(nl != SIZE_MAX && line.n >= 5);
		assert(line.p[line.n - 1] == '\r');
		line.n--;
		assert(line.p[0] >= '2' && line.p[0] <= '5');
		assert(ascii_isdigit((unsigned char)line.p[1]));
		assert(ascii_isdigit((unsigned char)line.p[2]));
		assert(line.p[3] == ' ' || line.p[3] == '-');
		assert(slice_is_printable(line));
		out = slice_from(out, nl + 1);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct buf input = BUF_INIT(LINE_MAX_IN + 4096);
	struct buf output = BUF_INIT(1u << 20);
	struct stream *s = NULL;
	struct session *session;
	struct rig *r;

	if (n < 2 || n > LINE_MAX_IN || memchr(data + 1, '\n', n - 1)) {
		return 0;
	}
	buf_adds(&input, before[data[0] % ARRAY_LEN(before)]);
	buf_add(&input, slice_make((const char *)data + 1, n - 1));
	buf_adds(&input, "\r\n");
	r = rig_new();
	/* One byte a read: nothing is ever ahead of its answer. */
	if (stream_mem_new(buf_slice(&input), &output, 1, &s) != 0) {
		abort();
	}
	session = rig_session(r, RIG_SUBMISSION, true, false, NULL, &s);
	co_enter();
	assert(session_run(session) == SESSION_END);
	session_free(&session);
	check_replies(buf_slice(&output));
	rig_free(&r);
	buf_fini(&input);
	buf_fini(&output);
	return 0;
}
