/*
 * session_fuzz: a whole IMAP session over memory: any client bytes, before
 * login, after it, and in a mailbox with messages in it. Each run has a
 * store of its own. What comes out must be lines that begin as IMAP answers
 * do, and the session must end when its input does.
 *
 * The first byte chooses the state; with 0x40 one byte is fed a read, with 0x20
 * the client compresses what it says.
 */
#include <stdlib.h>

#include "base/err.h"
#include "imap/imap.h"

#include "auth/auth.h"
#include "kv/kv.h"
#include "store/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define LOGIN "l LOGIN fay@example.test pw\r\n"
#define MAIL                                                             \
	"From: a <b@c>\r\nSubject: =?utf-8?Q?=C3=A9?= x\r\n"             \
	"Content-Type: multipart/mixed; boundary=b\r\n\r\n"              \
	"--b\r\n\r\ntext\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n" \
	"Subject: in\r\n\r\ninner\r\n--b--\r\n"

struct world {
	struct kv *kv;
	struct store *store;
	struct auth *auth;
};

CO_FN static void world_open(struct world *w)
{
	struct store_opts so = { .message_max = 1 << 20 };
	struct auth_opts ao = { .argon_memory_kib = 8, .argon_passes = 1, .no_delays = true };
	struct err e = ERR_INIT;
	uint64_t id = 0;
	int r = kv_mem_open(&w->kv);

	assert(r == 0);
	so.kv = w->kv;
	ao.kv = w->kv;
	r = store_open(&so, &w->store, &e);
	assert(r == 0);
	r = auth_open(&ao, &w->auth, &e);
	assert(r == 0);
	r = auth_domain_add(w->auth, S("example.test"), &e);
	assert(r == 0);
	r = auth_account_add(w->auth, S("fay@example.test"), S("pw"), &id, &e);
	assert(r == 0);
	r = store_account_create(w->store, id, 1 << 20, 100, &e);
	assert(r == 0);
}

CO_FN static void world_close(struct world *w)
{
	auth_close(&w->auth);
	store_close(&w->store);
	kv_close(&w->kv);
}

/* What the client says first, by the state wanted. */
static void prelude(struct buf *in, unsigned state)
{
	if (state == 0) {
		return;
	}
	buf_add(in, S(LOGIN));
	if (state == 1) {
		return;
	}
	for (int i = 0; i < 3; i++) {
		buf_printf(in, "p APPEND INBOX (\\Seen k%d) {%zu+}\r\n", i, sizeof(MAIL) - 1);
		buf_add(in, S(MAIL "\r\n"));
	}
	buf_add(in, S("s SELECT INBOX\r\n"));
}

/* What a client says over COMPRESS: blocks of RFC 1951 3.2.4, as they are. */
static void add_stored(struct buf *in, struct slice data)
{
	while (data.n) {
		size_t n = MIN(data.n, 0xffffu);

		buf_addc(in, '\0');
		buf_addc(in, (char)(n & 0xff));
		buf_addc(in, (char)(n >> 8));
		buf_addc(in, (char)(~n & 0xff));
		buf_addc(in, (char)(~n >> 8 & 0xff));
		buf_add(in, slice_sub(data, 0, n));
		data = slice_from(data, n);
	}
}

CO_FN static void run(const struct world *w, struct slice in, size_t step)
{
	struct proto_env env = { .hostname = "fuzz.example",
				 .store = w->store,
				 .auth = w->auth,
				 .cleartext_loopback = true };
	struct buf out = BUF_INIT(64u << 20);
	struct session *s = NULL;
	struct stream *st = NULL;

	if (stream_mem_new(in, &out, step, &st) == 0 &&
	    imap_session_new(&env, &st, NULL, NULL, NULL, &s) == 0) {
		int end = session_run(s);
		assert(end == SESSION_END);
		assert(slice_starts(buf_slice(&out), S("* OK [CAPABILITY ")));
		if (slice_find(buf_slice(&out), S(" OK DEFLATE active\r\n")) == SIZE_MAX) {
			assert(slice_ends(buf_slice(&out), S("\r\n")));
		}
	}
	session_free(&s);
	buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct buf in = BUF_INIT(16u << 20);
	struct world w = { 0 };

	if (n == 0) {
		return 0;
	}
	co_enter();
	log_setup(-1, LOG_ERROR);
	prelude(&in, data[0] % 3);
	if (data[0] & 0x20) {
		buf_adds(&in, "z COMPRESS DEFLATE\r\n");
		add_stored(&in, slice_make((const char *)data + 1, n - 1));
	} else {
		buf_add(&in, slice_make((const char *)data + 1, n - 1));
	}
	world_open(&w);
	run(&w, buf_slice(&in), data[0] & 0x40 ? 1 : 0);
	world_close(&w);
	buf_fini(&in);
	return 0;
}
