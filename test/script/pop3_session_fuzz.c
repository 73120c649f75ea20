/*
 * Fuzzes whole POP3 sessions over memory, before and after login, on a
 * maildrop with messages of the awkward kinds. The first byte chooses.
 */
#include <stdlib.h>

#include "rig.h"

#define INPUT_MAX (256u * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { TLS = 1, WAITS = 2, LOGIN = 4, MAIL = 8, BROKEN = 16 };

static const char login[] = "USER alice@example.test\r\nPASS wonderland\r\n";

static void found(void *arg, const char *text)
{
	(void)arg;
	(void)text;
	abort();
}

static void fill(struct rig *r)
{
	static const char *const messages[] = {
		"message alice INBOX Subject: a\r\n\r\n.\r\n..\r\nx",
		"message alice INBOX Subject: b\n\nbare\rbytes\n.\n",
		"message alice INBOX \r\n",
		"message alice INBOX no header at all",
		"mail alice 2",
	};

	for (size_t i = 0; i < ARRAY_LEN(messages); i++) {
		if (rig_do(r, slice_cstr(messages[i])) != 0) {
			abort();
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	unsigned how = n ? data[0] : 0;
	struct buf input = BUF_INIT(INPUT_MAX + 4096);
	struct stream *s = NULL;
	struct session *session;
	struct rig *r;

	if (n == 0 || n > INPUT_MAX) {
		return 0;
	}
	r = rig_new();
	if (how & MAIL) {
		fill(r);
	}
	if (how & LOGIN) {
		buf_adds(&input, login);
	}
	buf_add(&input, slice_make((const char *)data + 1, n - 1));
	if (how & WAITS) {
		s = rig_lines(buf_slice(&input));
	} else if (stream_mem_new(buf_slice(&input), NULL, 0, &s) != 0) {
		abort();
	}
	session = rig_session(r, RIG_POP3, how & TLS, false, NULL, &s);
	if (how & BROKEN) {
		rig_do(r, S("broken yes"));
	}
	co_enter();
	assert(session_run(session) == SESSION_END);
	session_free(&session);
	assert(store_check(rig_env(r)->store, found, NULL) == 0);
	rig_free(&r);
	buf_fini(&input);
	return 0;
}
