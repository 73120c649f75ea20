/*
 * Fuzzes whole SMTP sessions over memory. The first byte chooses the role,
 * TLS, a client that waits for its answers or one that does not, and whether
 * the session is brought up to a transaction first. Sanitizers and asserts
 * judge; whatever is stored must pass the store's own check.
 */
#include <stdlib.h>

#include "rig.h"

#define INPUT_MAX (256u * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum {
	SUBMISSION = 1,
	TLS = 2,
	WAITS = 4,
	LOGIN = 8,
	MAIL = 16,
	DATA = 32,
	LMTP = 64,
	XCLIENT = 128
};

static const char login[] = "EHLO x\r\nAUTH PLAIN AGFsaWNlQGV4YW1wbGUudGVzdA"
			    "B3b25kZXJsYW5k\r\n";
static const char mail[] = "MAIL FROM:<alice@example.test>\r\n"
			   "RCPT TO:<bob@example.test>\r\n";

static void found(void *arg, const char *text)
{
	(void)arg;
	(void)text;
	abort();
}

static void prepare(unsigned how, struct slice in, struct buf *out)
{
	if (how & LOGIN) {
		buf_adds(out, how & LMTP ? "LHLO x\r\n" : how & SUBMISSION ? login : "EHLO x\r\n");
	}
	if (how & MAIL) {
		buf_adds(out, mail);
	}
	if (how & DATA) {
		buf_adds(out, "DATA\r\n");
	}
	buf_add(out, in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	unsigned how = n ? data[0] : 0;
	struct buf input = BUF_INIT(INPUT_MAX + 4096);
	struct stream *s = NULL;
	struct net_addr peer;
	struct session *session;
	struct rig *r;

	if (n == 0 || n > INPUT_MAX) {
		return 0;
	}
	prepare(how, slice_make((const char *)data + 1, n - 1), &input);
	r = rig_new();
	net_addr_parse(S("192.0.2.1"), 25, &peer);
	if (how & WAITS) {
		s = rig_lines(buf_slice(&input));
	} else if (stream_mem_new(buf_slice(&input), NULL, 0, &s) != 0) {
		abort();
	}
	if (how & XCLIENT) {
		rig_do(r, S("xclient yes"));
	}
	session = rig_session(r,
			      how & LMTP	 ? RIG_LMTP
			      : how & SUBMISSION ? RIG_SUBMISSION
						 : RIG_SMTP,
			      how & TLS, false, how & SUBMISSION ? NULL : &peer, &s);
	co_enter();
	assert(session_run(session) == SESSION_END);
	session_free(&session);
	assert(store_check(rig_env(r)->store, found, NULL) == 0);
	rig_free(&r);
	buf_fini(&input);
	return 0;
}
