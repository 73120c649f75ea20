/*
 * Fuzzer of the SASL exchanges: the first byte chooses the mechanism, the
 * rest are the client's messages, cut at 0xfe. Only the right credentials may
 * ever be let in.
 */
#include <stdlib.h>

#include "auth/impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct auth *rig(void)
{
	static struct kv *kv;
	static struct auth *auth;
	struct auth_opts o = {
		.argon_memory_kib = 8, .argon_passes = 1, .no_delays = true, .scram = true
	};

	co_enter();
	if (auth) {
		return auth;
	}
	if (kv_mem_open(&kv) < 0) {
		abort();
	}
	o.kv = kv;
	if (auth_open(&o, &auth, NULL) < 0 || auth_domain_add(auth, S("example.test"), NULL) != 0 ||
	    auth_account_add(auth, S("bob@example.test"), S("builder"), NULL, NULL) != 0) {
		abort();
	}
	return auth;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct slice names[] = { S("PLAIN"), S("LOGIN"), S("SCRAM-SHA-256"),
					      S("SCRAM-SHA-1") };
	struct slice rest = slice_make((const char *)data, size);
	struct buf out = BUF_INIT(1024);
	enum sasl_state r = SASL_CONTINUE;
	struct auth_identity id;
	struct sasl *s;

	co_enter();
	if (size == 0) {
		return 0;
	}
	s = sasl_new(rig(), names[data[0] % ARRAY_LEN(names)], "imap", NULL, NULL);
	rest = slice_from(rest, 1);
	while (s && r == SASL_CONTINUE && rest.p) {
		r = sasl_step(s, slice_split(&rest, '\xfe'), &out, &id);
	}
	if (r == SASL_DONE &&
	    slice_find(slice_make((const char *)data, size), S("builder")) == SIZE_MAX) {
		abort();
	}
	sasl_free(&s);
	buf_fini(&out);
	return 0;
}
