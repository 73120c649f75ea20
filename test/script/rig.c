/*
 * Building the house and changing it from outside a session: see rig.h.
 */
#include "rig.h"
#include "rig_trust.h"

#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "imap/imap.h"
#include "imap/rights.h"
#include "kv/impl.h"
#include "pop3/pop3.h"
#include "smtp/smtp.h"
#include "store/metadata.h"
#include "store/text.h"
#include "tally/tally.h"
#include "trace/trace.h"

#define NOW INT64_C(1767323045) /* Fri, 02 Jan 2026 03:04:05 +0000 */

struct rig {
	struct kv_ops ops; /* the engine's, with faults */
	const struct kv_ops *real;
	struct kv *kv;
	struct store *store;
	struct auth *auth;
	struct trace *trace;
	struct tally *tally;
	struct proto_env env;
	struct store_account *locked[RIG_ACCOUNTS];
	struct client_hide hide;
	struct rig_trust trust;
	char hide_client[64];
	char hide_names[128];
	bool xclient;
	bool full;
	bool broken;
	bool stopping;
};

static const struct {
	struct slice name, address, password;
} people[RIG_ACCOUNTS] = {
	{ S("alice"), S("alice@example.test"), S("wonderland") },
	{ S("bob"), S("bob@example.test"), S("builder") },
	{ S("carol"), S("carol@example.test"), S("singer") },
};

#define MUST(expr)                                                                            \
	do {                                                                                  \
		if ((expr) != 0) {                                                            \
			fprintf(stderr, "rig: %s failed: %s\n", #expr, e.text ? e.text : ""); \
			abort();                                                              \
		}                                                                             \
	} while (0)

/* ---- faults ------------------------------------------------------------- */

static struct rig *current; /* one house at a time */

static bool faulty_is_full(struct kv *kv)
{
	(void)kv;
	return current->full;
}

static int faulty_commit(struct kv *kv, struct kv_batch *const *batches, size_t n, size_t bytes)
{
	return current->broken ? -EIO : current->real->commit(kv, batches, n, bytes);
}

static int faulty_blob_new(struct kv *kv, struct slice meta, struct kv_blob_writer **out)
{
	return current->full ? KV_FULL : current->real->blob_new(kv, meta, out);
}

static bool is_stopping(void *arg)
{
	return ((struct rig *)arg)->stopping;
}

/* ---- building ----------------------------------------------------------- */

static void make_people(struct rig *r)
{
	struct err e = ERR_INIT;
	uint64_t id;

	co_enter();
	MUST(auth_domain_add(r->auth, S("example.test"), &e));
	for (size_t i = 0; i < RIG_ACCOUNTS; i++) {
		MUST(auth_account_add(r->auth, people[i].address, people[i].password, &id, &e));
		MUST(store_account_create(r->store, id, 0, 0, &e));
	}
}

/* Sessions log; tests are quiet unless asked. */
static void hush(void)
{
	static bool done;

	if (!done && !getenv("TRANSCRIPT_LOG")) {
		log_setup(open("/dev/null", O_WRONLY | O_CLOEXEC), LOG_ERROR);
	}
	done = true;
}

struct rig *rig_new(void)
{
	return rig_new_on(NULL, 0);
}

struct rig *rig_new_on(struct co_loop **loops, size_t n)
{
	struct rig *r = xcalloc(1, sizeof(*r));
	struct err e = ERR_INIT;
	struct store_opts so = { .tmp_dir = "/tmp", .loops = loops, .n_loops = n };
	struct auth_opts ao = { .argon_memory_kib = 8, .argon_passes = 1, .no_delays = true };
	struct trace_opts to = { .days = 30 };
	struct tally_opts lo = { .on = true };

	assert(!current);
	hush();
	current = r;
	clock_pin_wall(NOW);
	co_enter();
	MUST(kv_mem_open(&r->kv));
	r->real = r->kv->ops;
	r->ops = *r->real;
	r->ops.is_full = faulty_is_full;
	r->ops.commit = faulty_commit;
	r->ops.blob_new = faulty_blob_new;
	r->kv->ops = &r->ops;
	so.kv = r->kv;
	ao.kv = r->kv;
	to.kv = lo.kv = r->kv;
	MUST(store_open(&so, &r->store, &e));
	MUST(auth_open(&ao, &r->auth, &e));
	MUST(trace_open(&to, &r->trace, &e));
	MUST(tally_open(&lo, &r->tally, &e));
	r->env = (struct proto_env){ .hostname = "mx.example.test",
				     .admin_contact = "mailto:postmaster@example.test",
				     .store = r->store,
				     .auth = r->auth,
				     .trace = r->trace,
				     .tally = r->tally,
				     .cleartext_loopback = true,
				     .stopping = is_stopping,
				     .stopping_arg = r };
	make_people(r);
	return r;
}

void rig_free(struct rig **rp)
{
	struct rig *r = *rp;

	for (size_t i = 0; r && i < RIG_ACCOUNTS; i++) {
		if (r->locked[i]) {
			store_maildrop_unlock(r->locked[i]);
			store_account_close(&r->locked[i]);
		}
	}
	if (r) {
		rig_trust_fini(&r->trust);
		co_enter();
		tally_close(&r->tally);
		trace_close(&r->trace);
		store_close(&r->store);
		auth_close(&r->auth);
		kv_close(&r->kv);
		free(r);
		current = NULL;
		clock_pin_wall(0);
		*rp = NULL;
	}
}

struct proto_env *rig_env(struct rig *r)
{
	return &r->env;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

struct tls_ctx *rig_tls(void)
{
	static struct tls_ctx *ctx;
	const char *name = "localhost";
	char dir[] = "/tmp/rig.XXXXXX";
	char cert[64], key[64];
	struct tls_cert one = { cert, key };
	struct err e = ERR_INIT;

	if (ctx) {
		return ctx;
	}
	if (!mkdtemp(dir)) {
		abort();
	}
	tls_init();
	MUST(tls_make_cert(dir, &name, 1, 1, &e));
	snprintf(cert, sizeof(cert), "%s/cert.pem", dir);
	snprintf(key, sizeof(key), "%s/key.pem", dir);
	MUST(tls_ctx_new(&one, 1, "test", NULL, &ctx, &e));
	nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	return ctx;
}

/* ---- actions ------------------------------------------------------------ */

static int whom(struct slice name)
{
	for (int i = 0; i < RIG_ACCOUNTS; i++) {
		if (slice_ieq(people[i].name, name)) {
			return i;
		}
	}
	return -1;
}

/* The account's id; 0 when it is gone. */
CO_FN static uint64_t id_of(struct rig *r, int who)
{
	struct auth_account a = { 0 };
	struct arena arena;

	arena_init(&arena, 4096);
	if (auth_account_get(r->auth, people[who].address, &arena, &a) != 0) {
		a.id = 0;
	}
	arena_fini(&arena);
	return a.id;
}

uint64_t rig_account(struct rig *r, unsigned who)
{
	co_enter();
	return id_of(r, (int)who);
}

CO_FN static int deliver(struct rig *r, int who, struct slice mailbox, struct slice message)
{
	struct store_rcpt rcpt = { .account = id_of(r, who), .mailbox = mailbox };
	struct store_writer *w = NULL;
	struct err e = ERR_INIT;

	MUST(store_writer_new(r->store, S("rig"), &w, &e));
	MUST(store_writer_add(w, message, &e));
	MUST(store_writer_end(w, &e));
	MUST(store_deliver(r->store, w, &rcpt, 1, &e));
	store_writer_free(&w);
	return rcpt.result;
}

/* mail NAME [COUNT] */
CO_FN static int do_mail(struct rig *r, int who, struct slice args)
{
	struct buf m = BUF_INIT(4096);
	uint32_t n = 1;

	if (args.n && (slice_u32(args, &n) != 0 || n > 10000)) {
		return -EINVAL;
	}
	for (uint32_t i = 1; i <= n; i++) {
		buf_reset(&m);
		buf_printf(&m,
			   "From: Sender <sender@example.org>\r\n"
			   "To: %s@example.test\r\nSubject: message %u\r\n"
			   "Date: Thu, 01 Jan 2026 00:00:00 +0000\r\n"
			   "Message-ID: <%u@example.org>\r\n\r\n"
			   "This is message %u.\r\n",
			   people[who].name.p, i, i, i);
		if (deliver(r, who, S(""), buf_slice(&m)) != STORE_OK) {
			abort();
		}
	}
	buf_fini(&m);
	return 0;
}

CO_FN static int do_lock(struct rig *r, int who)
{
	struct err e = ERR_INIT;

	if (r->locked[who]) {
		return -EINVAL;
	}
	MUST(store_account_open(r->store, id_of(r, who), &r->locked[who], &e));
	MUST(store_maildrop_lock(r->locked[who]));
	return 0;
}

static int do_unlock(struct rig *r, int who)
{
	if (!r->locked[who]) {
		return -EINVAL;
	}
	store_maildrop_unlock(r->locked[who]);
	store_account_close(&r->locked[who]);
	return 0;
}

/* Runs fn on an open mailbox and one of its UIDs. */
CO_FN static int on_message(struct rig *r, int who, struct slice args, bool expunge)
{
	struct slice box = slice_split(&args, ' ');
	struct slice num = slice_split(&args, ' ');
	struct slice bits = slice_split(&args, ' '); /* then a keyword, or nothing */
	struct store_account *a = NULL;
	struct store_mailbox *m = NULL;
	struct store_flags f = { 0 };
	struct err e = ERR_INIT;
	uint32_t uid, flags = 0;
	size_t removed;

	if (slice_u32(num, &uid) != 0 || (!expunge && slice_u32(bits, &flags) != 0)) {
		return -EINVAL;
	}
	f.system = flags;
	MUST(store_account_open(r->store, id_of(r, who), &a, &e));
	MUST(store_mailbox_open(a, box, &m, &e));
	if (expunge) {
		MUST(store_expunge(m, &uid, 1, false, &removed, &e));
	} else {
		MUST(store_keyword_bits(m, &args, args.n > 0, true, &f.keywords));
		MUST(store_flags_change(m, &uid, 1, STORE_FLAGS_SET, f, &e));
	}
	store_mailbox_close(&m);
	store_account_close(&a);
	return 0;
}

/* index NAME MAILBOX: as if the indexer had come by. */
CO_FN static int do_index(struct rig *r, int who, struct slice box)
{
	struct store_account *a = NULL;
	struct store_mailbox *m = NULL;
	struct err e = ERR_INIT;

	MUST(store_account_open(r->store, id_of(r, who), &a, &e));
	MUST(store_mailbox_open(a, box, &m, &e));
	MUST(store_text_index(m, &e));
	store_mailbox_close(&m);
	store_account_close(&a);
	return 0;
}

/* create NAME MAILBOX, delete NAME MAILBOX */
CO_FN static int on_mailbox(struct rig *r, int who, struct slice box, bool create)
{
	struct store_account *a = NULL;
	struct err e = ERR_INIT;

	MUST(store_account_open(r->store, id_of(r, who), &a, &e));
	if (create) {
		MUST(store_mailbox_create(a, box, 0, &e));
	} else {
		MUST(store_mailbox_delete(a, box, &e));
	}
	store_account_close(&a);
	return 0;
}

/* annotate NAME MAILBOX|. ENTRY [VALUE] */
CO_FN static int do_annotate(struct rig *r, int who, struct slice args)
{
	struct slice box = slice_split(&args, ' ');
	struct store_entry x = { .name = slice_split(&args, ' ') };
	struct store_account *a = NULL;
	struct err e = ERR_INIT;

	x.value = args.n ? args : slice_make(NULL, 0);
	box = slice_eq(box, S(".")) ? S("") : box;
	MUST(store_account_open(r->store, id_of(r, who), &a, &e));
	MUST(store_metadata_set(a, box, id_of(r, who), &x, 1, NULL, &e));
	store_account_close(&a);
	return 0;
}

/* acl NAME MAILBOX WHO RIGHTS */
CO_FN static int do_acl(struct rig *r, int who, struct slice args)
{
	struct slice box = slice_split(&args, ' ');
	struct slice name = slice_split(&args, ' ');
	struct store_acl_entry x = { .who = STORE_ANYONE };
	struct store_account *a = NULL;
	struct err e = ERR_INIT;
	enum store_acl_op op;

	if (whom(name) >= 0) {
		x.who = id_of(r, whom(name));
	}
	if (rights_parse(args, &op, &x.rights) != 0) {
		return -EINVAL;
	}
	MUST(store_account_open(r->store, id_of(r, who), &a, &e));
	MUST(store_acl_change(a, box, &x, op, &e));
	store_account_close(&a);
	return 0;
}

static int keep_record(void *arg, struct slice json)
{
	buf_reset(arg);
	buf_add(arg, json);
	return 0;
}

/* traced WHAT TEXT: the newest decision record of this address, Message-ID or
 * peer has the text in it; no TEXT: there is none. */
CO_FN static int do_traced(struct rig *r, struct slice what, struct slice text)
{
	static const enum trace_by kinds[] = { TRACE_BY_MESSAGE_ID, TRACE_BY_ADDRESS,
					       TRACE_BY_PEER };
	struct buf json = BUF_INIT(TRACE_RECORD_MAX);
	struct err e = ERR_INIT;
	int n = 0, found;

	for (size_t i = 0; n == 0 && i < ARRAY_LEN(kinds); i++) {
		struct trace_query q = { .by = kinds[i], .what = what };

		n = trace_find(r->trace, &q, keep_record, &json, &e);
	}
	found = n > 0 && (!text.n || slice_find(buf_slice(&json), text) != SIZE_MAX);
	if (!found && n > 0) {
		fprintf(stderr, "traced: %.*s\n", SLICE_ARG(buf_slice(&json)));
	}
	buf_fini(&json);
	return found == (text.n > 0) ? 0 : -EINVAL;
}

static void put_row(const struct report_row *row, struct buf *out)
{
	buf_printf(out,
		   "%" PRIu64 " %.*s %.*s spf=%.*s dkim=%.*s from=%.*s envelope=%.*s>%.*s "
		   "why=%.*s\n",
		   row->count, SLICE_ARG(row->source), SLICE_ARG(row->disposition),
		   SLICE_ARG(row->spf), SLICE_ARG(row->dkim), SLICE_ARG(row->header_from),
		   SLICE_ARG(row->envelope_from), SLICE_ARG(row->envelope_to),
		   SLICE_ARG(row->reasons ? row->reasons->type : S("")));
	for (const struct report_auth *a = row->spf_results; a; a = a->next) {
		buf_printf(out, "%.*s %.*s %.*s\n", SLICE_ARG(a->domain), SLICE_ARG(a->scope),
			   SLICE_ARG(a->result));
	}
}

/* reported DOMAIN TEXT: today's rows for reports about this domain have the text
 * in them; no TEXT: there are none. */
CO_FN static int do_reported(struct rig *r, struct slice domain, struct slice text)
{
	struct buf all = BUF_INIT(1u << 20);
	struct report_row *row = NULL;
	struct err e = ERR_INIT;
	struct arena a;
	size_t n = 0;
	bool more, found;

	arena_init(&a, 1u << 20);
	MUST(tally_flush(r->tally));
	MUST(tally_rows(r->tally, (uint32_t)(NOW / 86400), domain, &a, &row, &n, &more));
	for (; row; row = row->next) {
		put_row(row, &all);
	}
	found = slice_find(buf_slice(&all), text) != SIZE_MAX;
	if (n > 0 && !found) {
		fprintf(stderr, "reported: %.*s\n", SLICE_ARG(buf_slice(&all)));
	}
	buf_fini(&all);
	arena_fini(&a);
	return (text.n ? found : n == 0) ? 0 : -EINVAL;
}

/* quota NAME BYTES [MESSAGES] */
CO_FN static int do_quota(struct rig *r, int who, struct slice args)
{
	struct slice bytes = slice_split(&args, ' ');
	struct err e = ERR_INIT;
	uint64_t b, m = 0;

	if (slice_u64(bytes, &b) != 0 || (args.n && slice_u64(args, &m) != 0)) {
		return -EINVAL;
	}
	MUST(store_quota_set(r->store, id_of(r, who), b, m, &e));
	return 0;
}

/* message NAME MAILBOX TEXT */
CO_FN static int do_message(struct rig *r, int who, struct slice args)
{
	struct slice box = slice_split(&args, ' ');

	return deliver(r, who, box, args) == STORE_OK ? 0 : -EINVAL;
}

/* gone NAME: account and mail are removed. */
CO_FN static int do_gone(struct rig *r, int who)
{
	struct err e = ERR_INIT;
	uint64_t id;

	MUST(auth_account_remove(r->auth, people[who].address, &id, &e));
	MUST(store_account_delete(r->store, id, &e));
	return 0;
}

CO_FN static int do_person(struct rig *r, struct slice verb, int who, struct slice args)
{
	struct err e = ERR_INIT;

	if (slice_eq(verb, S("mail"))) {
		return do_mail(r, who, args);
	} else if (slice_eq(verb, S("message"))) {
		return do_message(r, who, args);
	} else if (slice_eq(verb, S("acl"))) {
		return do_acl(r, who, args);
	} else if (slice_eq(verb, S("quota"))) {
		return do_quota(r, who, args);
	} else if (slice_eq(verb, S("lock"))) {
		return do_lock(r, who);
	} else if (slice_eq(verb, S("unlock"))) {
		return do_unlock(r, who);
	} else if (slice_eq(verb, S("gone"))) {
		return do_gone(r, who);
	} else if (slice_eq(verb, S("expunge"))) {
		return on_message(r, who, args, true);
	} else if (slice_eq(verb, S("flags"))) {
		return on_message(r, who, args, false);
	} else if (slice_eq(verb, S("create"))) {
		return on_mailbox(r, who, args, true);
	} else if (slice_eq(verb, S("delete"))) {
		return on_mailbox(r, who, args, false);
	} else if (slice_eq(verb, S("annotate"))) {
		return do_annotate(r, who, args);
	} else if (slice_eq(verb, S("index"))) {
		return do_index(r, who, args);
	} else if (slice_eq(verb, S("disable"))) {
		MUST(auth_account_disable(r->auth, people[who].address, true, &e));
		return 0;
	}
	return -EINVAL;
}

/* alias ADDRESS TARGET... */
CO_FN static int do_alias(struct rig *r, struct slice name, struct slice args)
{
	struct slice targets[8];
	struct err e = ERR_INIT;
	size_t n = 0;

	while (args.p && n < ARRAY_LEN(targets)) {
		targets[n++] = slice_split(&args, ' ');
	}
	return auth_alias_add(r->auth, name, targets, n, &e);
}

static int do_number(struct rig *r, struct slice verb, struct slice arg)
{
	uint64_t n;

	if (slice_u64(arg, &n) != 0) {
		return -EINVAL;
	}
	if (slice_eq(verb, S("message_max"))) {
		r->env.message_max = n;
	} else if (slice_eq(verb, S("rcpt_max"))) {
		r->env.rcpt_max = (unsigned)n;
	} else if (slice_eq(verb, S("error_max"))) {
		r->env.error_max = (unsigned)n;
	} else if (slice_eq(verb, S("login_tries"))) {
		r->env.login_tries = (unsigned)n;
	} else {
		return -EINVAL;
	}
	return 0;
}

static int do_switch(struct rig *r, struct slice verb, bool on)
{
	if (slice_eq(verb, S("full"))) {
		r->full = on;
	} else if (slice_eq(verb, S("broken"))) {
		r->broken = on;
	} else if (slice_eq(verb, S("stopping"))) {
		r->stopping = on;
	} else if (slice_eq(verb, S("cleartext"))) {
		r->env.cleartext_loopback = on;
	} else if (slice_eq(verb, S("progress"))) {
		r->env.progress_ms = on ? -1 : 0;
	} else if (slice_eq(verb, S("xclient"))) {
		r->xclient = on;
	} else if (slice_eq(verb, S("share_with_anyone"))) {
		r->env.share_with_anyone = on;
	} else {
		return -EINVAL;
	}
	return 0;
}

/* One pattern of client names at a time. */
static int do_mercy(struct rig *r, struct slice client, struct slice names)
{
	if (slice_copy(client, r->hide_client, sizeof(r->hide_client)) < 0 ||
	    slice_copy(names, r->hide_names, sizeof(r->hide_names)) < 0) {
		return -EINVAL;
	}
	r->hide = (struct client_hide){ r->hide_client, r->hide_names };
	r->env.hide = &r->hide;
	r->env.n_hide = 1;
	return 0;
}

int rig_do(struct rig *r, struct slice what)
{
	struct slice verb = slice_split(&what, ' ');
	struct slice arg = slice_split(&what, ' ');
	struct err e = ERR_INIT;
	int who = whom(arg);

	int r_trust = rig_trust_do(&r->trust, &r->env, verb, arg, what);

	co_enter();
	if (r_trust <= 0) {
		return r_trust;
	}
	if (who >= 0) {
		return do_person(r, verb, who, what);
	}
	if (slice_eq(verb, S("traced"))) {
		return do_traced(r, arg, what);
	}
	if (slice_eq(verb, S("reported"))) {
		return do_reported(r, arg, what);
	}
	if (slice_eq(verb, S("alias"))) {
		return do_alias(r, arg, what);
	}
	if (slice_eq(verb, S("scram"))) {
		return auth_scram_on(r->auth, &e);
	}
	if (slice_eq(verb, S("mercy"))) {
		return auth_account_hide(r->auth, arg, what, &e);
	}
	if (slice_eq(verb, S("mercy_by_name"))) {
		return do_mercy(r, arg, what);
	}
	if (slice_eq(verb, S("catchall"))) {
		return auth_domain_catchall(r->auth, arg, what, &e);
	}
	if (slice_eq(verb, S("domain"))) {
		return auth_domain_add(r->auth, arg, &e);
	}
	if (slice_eq(verb, S("plus"))) {
		struct auth_domain_change x = { .set_plus = true,
						.plus = slice_eq(what, S("off")) ? S("") : what };

		return auth_domain_change(r->auth, arg, &x, &e);
	}
	if (slice_eq(arg, S("yes")) || slice_eq(arg, S("no"))) {
		return do_switch(r, verb, slice_eq(arg, S("yes")));
	}
	return do_number(r, verb, arg);
}

/* ---- sessions ----------------------------------------------------------- */

/* srv's part of XCLIENT: of 203.0.113.9 there are too many connections. */
static bool rename_session(struct session *s, const struct net_addr *peer)
{
	char text[NET_ADDR_TEXT_MAX];

	(void)s;
	return !slice_eq(slice_cstr(net_addr_text(peer, text)), S("203.0.113.9"));
}

struct session *rig_session(struct rig *r, enum rig_proto proto, bool tls, bool starttls,
			    const struct net_addr *peer, struct stream **sp)
{
	struct tls_ctx *ctx = starttls ? rig_tls() : NULL;
	struct session *s = NULL;
	struct err e = ERR_INIT;

	switch (proto) {
	case RIG_SMTP:
	case RIG_SUBMISSION:
	case RIG_LMTP:
		MUST(smtp_session_new(&r->env,
				      proto == RIG_SMTP	  ? SMTP_MX
				      : proto == RIG_LMTP ? SMTP_LMTP
							  : SMTP_SUBMISSION,
				      sp, peer, NULL, ctx, &s));
		s->rename = r->xclient ? rename_session : NULL;
		break;
	case RIG_POP3:
		MUST(pop3_session_new(&r->env, sp, peer, NULL, ctx, &s));
		break;
	case RIG_IMAP:
		MUST(imap_session_new(&r->env, sp, peer, NULL, ctx, &s));
		break;
	}
	s->conn.tls_active = tls;
	if (tls) {
		s->conn.tls_info.version = "TLSv1.3";
		s->conn.tls_info.cipher = "TLS_AES_256_GCM_SHA384";
	}
	return s;
}

struct lines {
	struct stream s;
	struct slice input;
};

static ssize_t lines_read(struct stream *st, char *p, size_t n)
{
	struct lines *l = (struct lines *)st;
	size_t nl = slice_chr(l->input, '\n');

	n = MIN(n, nl == SIZE_MAX ? l->input.n : nl + 1);
	if (n) {
		memcpy(p, l->input.p, n);
		l->input = slice_from(l->input, n);
	}
	return (ssize_t)n;
}

static int lines_write(struct stream *st, const char *p, size_t n)
{
	(void)st;
	(void)p;
	(void)n;
	return 0;
}

static int lines_wait(struct stream *st, struct co_event *ev, int64_t deadline)
{
	(void)st;
	(void)ev;
	(void)deadline;
	return STREAM_READY;
}

static int nothing(struct stream *st)
{
	(void)st;
	return 0;
}

static void lines_free(struct stream *st)
{
	free(st);
}

static const struct stream_ops lines_ops = {
	.name = "lines",
	.read = lines_read,
	.write = lines_write,
	.wait = lines_wait,
	.shutdown = nothing,
	.detach = nothing,
	.attach = nothing,
	.free = lines_free,
};

struct stream *rig_lines(struct slice input)
{
	struct lines *l = xcalloc(1, sizeof(*l));

	l->s.ops = &lines_ops;
	l->s.deadline = CLOCK_NEVER;
	l->input = input;
	return &l->s;
}
