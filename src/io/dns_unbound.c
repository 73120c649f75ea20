/*
 * dns_unbound: answers from libunbound, a resolver that validates and has a
 * cache: see dns.h and docs/adr/0065.
 *
 * libunbound resolves on a thread of its own, but handing it a question writes
 * to a pipe that may be full, and taking its answers wants somebody to watch
 * another. A thread of ours does both, so no loop ever waits for either:
 *
 *   coroutine --fresh--> our thread --pipe--> libunbound's thread --> network
 *      ^--- co_signal ---'    ^-----pipe-----'
 *
 * A question is on the heap, on the fresh or the asked list, and one of two
 * owns it: the thread, until it has the answer; then the coroutine. A
 * coroutine that does not wait that long (deadline, cancelled) says so under
 * the lock and goes; the thread then throws the answer away. So a loop that is
 * posted to still has the coroutine that waits there. What was left behind
 * counts until libunbound is done with it: that bounds its memory.
 */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unbound.h>
#include <unistd.h>

#include "io/dns.h"

#define CLASS_IN 1
#define RESOLV_CONF "/etc/resolv.conf"
#define ROOT_KEY "/usr/share/dns/root.key" /* Debian: dns-root-data */
#define MSG_CACHE "16m"
#define RRSET_CACHE "32m"
#define HOST_TTL "30" /* seconds that a server's silence is remembered */

enum {
	RCODE_NOERROR = 0,
	RCODE_FORMERR,
	RCODE_SERVFAIL,
	RCODE_NXDOMAIN,
	RCODE_NOTIMP,
	RCODE_REFUSED
};

struct question {
	struct list node;
	struct co_signal done;
	bool answered; /* the coroutine's, from now on */
	bool left;     /* nobody wants the answer */
	int err;       /* enum ub_ctx_err */
	struct ub_result *result;
	struct resolver *resolver;
	int type;
	char name[DNS_TEXT_MAX + 1];
};

struct resolver {
	struct dns dns;
	struct ub_ctx *ctx;
	pthread_t thread;
	int wake; /* eventfd: fresh questions, or the end */
	/* the rest is under the lock */
	pthread_mutex_t lock;
	struct list fresh;
	struct list asked;
	bool stopping;
	bool broken; /* libunbound's thread is gone */
	struct dns_stats stats;
};

/* ---- our thread ------------------------------------------------------------- */

/* Hands the result over, or throws both away. Under the lock. */
static void answer(struct resolver *r, struct question *q, int err, struct ub_result *result)
{
	list_del(&q->node);
	r->stats.under_way--;
	if (q->left) {
		ub_resolve_free(result);
		free(q);
		return;
	}
	q->err = err;
	q->result = result;
	q->answered = true;
	co_signal_fire(&q->done);
}

static void on_answer(void *arg, int err, struct ub_result *result)
{
	struct question *q = arg;
	struct resolver *r = q->resolver;

	pthread_mutex_lock(&r->lock);
	answer(r, q, err, result);
	pthread_mutex_unlock(&r->lock);
}

/* A question moves to the asked list; NULL when there is none. */
static struct question *take_fresh(struct resolver *r)
{
	struct question *q = NULL;
	struct list *n;

	pthread_mutex_lock(&r->lock);
	n = list_pop(&r->fresh);
	if (n) {
		q = list_of(n, struct question, node);
		list_push(&r->asked, n);
	}
	pthread_mutex_unlock(&r->lock);
	return q;
}

static void send_fresh(struct resolver *r)
{
	struct question *q;

	while ((q = take_fresh(r)) != NULL) {
		int err = r->broken ? UB_PIPE
				    : ub_resolve_async(r->ctx, q->name, q->type, CLASS_IN, q,
						       on_answer, NULL);

		if (err) {
			on_answer(q, err, NULL);
		}
	}
}

/* libunbound is gone: what was asked will not be answered. */
static void fail_asked(struct resolver *r)
{
	pthread_mutex_lock(&r->lock);
	r->broken = true;
	while (!list_empty(&r->asked)) {
		answer(r, list_of(r->asked.next, struct question, node), UB_PIPE, NULL);
	}
	pthread_mutex_unlock(&r->lock);
}

static bool is_stopping(struct resolver *r)
{
	bool stopping;

	pthread_mutex_lock(&r->lock);
	stopping = r->stopping;
	pthread_mutex_unlock(&r->lock);
	return stopping;
}

static void *thread_main(void *arg)
{
	struct resolver *r = arg;
	struct pollfd fds[] = { { .fd = r->wake, .events = POLLIN },
				{ .fd = ub_fd(r->ctx), .events = POLLIN } };
	uint64_t ignored;

	while (!is_stopping(r)) {
		poll(fds, r->broken ? 1 : 2, -1);
		if (fds[0].revents && read(r->wake, &ignored, sizeof(ignored)) < 0) {
			continue;
		}
		if (!r->broken && fds[1].revents && ub_process(r->ctx) != 0) {
			fail_asked(r);
		}
		send_fresh(r);
	}
	return NULL;
}

static void wake_thread(const struct resolver *r)
{
	uint64_t one = 1;

	/* EAGAIN: so full that it is awake. */
	while (write(r->wake, &one, sizeof(one)) < 0 && errno == EINTR) {
	}
}

/* ---- asking ------------------------------------------------------------------ */

/* NULL: no memory, or too many under way (*why says which). */
static struct question *ask(struct resolver *r, const char *name, enum dns_type type,
			    const char **why)
{
	struct question *q = calloc(1, sizeof(*q));

	if (!q) {
		*why = NULL;
		return NULL;
	}
	q->resolver = r;
	q->type = (int)type;
	assert(slice_copy(slice_cstr(name), q->name, sizeof(q->name)) == 0);
	co_signal_init(&q->done);
	pthread_mutex_lock(&r->lock);
	r->stats.asked++;
	if (r->stats.under_way >= DNS_UNDER_WAY_MAX) {
		r->stats.refused++;
		pthread_mutex_unlock(&r->lock);
		free(q);
		*why = "too many questions under way";
		return NULL;
	}
	r->stats.under_way++;
	list_push(&r->fresh, &q->node);
	pthread_mutex_unlock(&r->lock);
	wake_thread(r);
	return q;
}

/* Is the answer there? If not, the question is the thread's from now on. */
static bool take_or_leave(struct resolver *r, struct question *q)
{
	bool mine;

	pthread_mutex_lock(&r->lock);
	mine = q->answered;
	q->left = !mine;
	pthread_mutex_unlock(&r->lock);
	return mine;
}

static const char *rcode_text(int rcode)
{
	switch (rcode) {
	case RCODE_FORMERR:
		return "FORMERR";
	case RCODE_SERVFAIL:
		return "SERVFAIL";
	case RCODE_NOTIMP:
		return "NOTIMP";
	case RCODE_REFUSED:
		return "REFUSED";
	default:
		return "an error from the server";
	}
}

static int copy_records(const struct ub_result *res, struct arena *a, struct dns_answer *out)
{
	size_t n = 0;

	while (n < DNS_RECORDS_MAX && res->data[n]) {
		n++;
	}
	out->rdata = arena_array(a, n, sizeof(*out->rdata));
	for (size_t i = 0; i < n && out->rdata; i++) {
		struct slice rdata = slice_make(res->data[i], (size_t)res->len[i]);

		out->rdata[i] = arena_dup(a, rdata);
	}
	out->n = n;
	out->result = n > 0 ? DNS_OK : DNS_NODATA;
	return arena_err(a) ? -ENOMEM : 0;
}

static int read_result(const struct ub_result *res, struct arena *a, struct dns_answer *out)
{
	out->secure = res->secure;
	out->ttl = (uint32_t)MAX(res->ttl, 0);
	if (res->bogus) {
		const char *why = res->why_bogus ? res->why_bogus : "DNSSEC validation failed";

		out->secure = false;
		out->bogus = true;
		out->why = arena_strdup(a, slice_cstr(why));
		return arena_err(a) ? -ENOMEM : 0;
	}
	if (res->rcode == RCODE_NXDOMAIN) {
		out->result = DNS_NXDOMAIN;
		return 0;
	}
	if (res->rcode != RCODE_NOERROR) {
		out->why = rcode_text(res->rcode);
		return 0;
	}
	if (res->havedata) {
		return copy_records(res, a, out);
	}
	out->result = DNS_NODATA;
	return 0;
}

static void count_result(struct resolver *r, bool timed_out, enum dns_result result)
{
	pthread_mutex_lock(&r->lock);
	r->stats.timed_out += timed_out;
	r->stats.failed += !timed_out && result == DNS_FAIL;
	pthread_mutex_unlock(&r->lock);
}

/* What the question came to. Frees it. */
static int conclude(struct resolver *r, struct question *q, struct arena *a, struct dns_answer *out)
{
	int result = 0;

	if (q->err) {
		out->why = ub_strerror(q->err);
	} else {
		result = read_result(q->result, a, out);
	}
	count_result(r, false, out->result);
	ub_resolve_free(q->result);
	free(q);
	return result;
}

static int unbound_query(struct dns *d, const char *name, enum dns_type type, int64_t deadline,
			 struct arena *a, struct dns_answer *out)
{
	struct resolver *r = (struct resolver *)d;
	struct question *q;
	int waited;
	int result;

	co_enter();
	if (!co_self()) {
		out->why = "asked outside a loop";
		return 0;
	}
	if (co_cancelled()) {
		return -ECANCELED;
	}
	q = ask(r, name, type, &out->why);
	if (!q) {
		return out->why ? 0 : -ENOMEM;
	}
	waited = co_event_wait(&q->done.ev, deadline);
	if (take_or_leave(r, q)) {
		co_signal_wait(&q->done);
		result = conclude(r, q, a, out);
		return waited == -ECANCELED ? waited : result;
	}
	if (waited == -ECANCELED) {
		return waited;
	}
	count_result(r, true, DNS_FAIL);
	out->why = "timed out";
	return 0;
}

void dns_unbound_stats(const struct dns *d, struct dns_stats *out)
{
	struct resolver *r = (struct resolver *)d;

	pthread_mutex_lock(&r->lock);
	*out = r->stats;
	pthread_mutex_unlock(&r->lock);
}

/* ---- making one ---------------------------------------------------------------- */

static int ub_failed(struct err *e, int err, const char *what)
{
	return err_set(e, err == UB_NOMEM ? -ENOMEM : -EINVAL, "the resolver cannot be set up",
		       "%s: %s", what, ub_strerror(err));
}

static int set_option(struct resolver *r, const char *name, const char *value, struct err *e)
{
	int err = ub_ctx_set_option(r->ctx, name, value);

	return err ? ub_failed(e, err, name) : 0;
}

/* "ADDRESS" or "ADDRESS@PORT"; whether it is this machine. 0 or -EINVAL. */
int dns_server_parse(struct slice text, struct net_addr *out)
{
	struct slice addr = slice_split(&text, '@');
	uint32_t port = 53;

	if (text.p && (slice_u32(text, &port) < 0 || port < 1 || port > 65535)) {
		return -EINVAL;
	}
	if (net_addr_parse(addr, (uint16_t)port, out) < 0 || out->sa.sa_family == AF_UNSPEC ||
	    slice_starts(addr, S("["))) {
		return -EINVAL;
	}
	return 0;
}

/* A server that is asked. One on this machine must be allowed to be. */
static int forward_to(struct resolver *r, struct slice server, struct err *e)
{
	char text[NET_ADDR_TEXT_MAX + 8];
	struct net_addr addr;
	int err;

	if (dns_server_parse(server, &addr) < 0 || slice_copy(server, text, sizeof(text)) < 0) {
		return err_set(e, -EINVAL, "not an address of a DNS server", "%.*s",
			       SLICE_ARG(server));
	}
	err = ub_ctx_set_fwd(r->ctx, text);
	if (err) {
		return ub_failed(e, err, text);
	}
	return net_addr_is_loopback(&addr) ? set_option(r, "do-not-query-localhost:", "no", e) : 0;
}

/* The second word of a "nameserver" line, or empty. */
static struct slice nameserver(struct slice line)
{
	struct slice s = slice_trim(line);
	size_t end = 0;

	if (!slice_starts(s, S("nameserver")) || s.n == 10 || (s.p[10] != ' ' && s.p[10] != '\t')) {
		return slice_make(NULL, 0);
	}
	s = slice_trim(slice_from(s, 10));
	while (end < s.n && s.p[end] != ' ' && s.p[end] != '\t') {
		end++;
	}
	return slice_sub(s, 0, end);
}

/* As resolv.conf(5), without what only a stub resolver needs. Servers with a
 * scope (fe80::1%eth0) are left out. */
static int forward_to_system(struct resolver *r, struct err *e)
{
	FILE *f = fopen(RESOLV_CONF, "re");
	struct net_addr addr;
	char line[256];
	size_t n = 0;
	int result = 0;

	while (f && result == 0 && fgets(line, sizeof(line), f)) {
		struct slice server = nameserver(slice_cstr(line));

		if (server.n && dns_server_parse(server, &addr) == 0) {
			result = forward_to(r, server, e);
			n++;
		}
	}
	if (f) {
		fclose(f);
	}
	if (result == 0 && n == 0) {
		return err_set(e, -ENOENT, "no DNS server is known", RESOLV_CONF " names none");
	}
	return result;
}

static int set_servers(struct resolver *r, const struct dns_opts *o, struct err *e)
{
	int result = 0;

	for (size_t i = 0; result == 0 && i < o->n_forward; i++) {
		result = forward_to(r, slice_cstr(o->forward[i]), e);
	}
	if (result == 0 && o->n_forward == 0 && !o->recurse) {
		result = forward_to_system(r, e);
	}
	return result;
}

static int set_anchor(struct resolver *r, const char *file, struct err *e)
{
	int err;

	if (file && !*file) {
		return 0;
	}
	if (access(file ? file : ROOT_KEY, R_OK) != 0) {
		return file ? err_set(e, -errno, "cannot read the trust anchor", "%s", file) : 0;
	}
	err = ub_ctx_add_ta_file(r->ctx, file ? file : ROOT_KEY);
	return err ? ub_failed(e, err, "trust anchor") : 0;
}

static int set_up(struct resolver *r, const struct dns_opts *o, struct err *e)
{
	static const char *const options[][2] = {
		{ "msg-cache-size:", MSG_CACHE },
		{ "rrset-cache-size:", RRSET_CACHE },
		/* A server that was away is found again soon. */
		{ "infra-keep-probing:", "yes" },
		{ "infra-host-ttl:", HOST_TTL },
		/* Servers of one's own may know the names of private addresses. */
		{ "unblock-lan-zones:", "yes" },
		{ "insecure-lan-zones:", "yes" },
	};
	int result = 0;
	int err;

	/* What strangers send is not worth a line on stderr. */
	ub_ctx_debugout(r->ctx, NULL);
	for (size_t i = 0; result == 0 && i < ARRAY_LEN(options); i++) {
		result = set_option(r, options[i][0], options[i][1], e);
	}
	if (result == 0) {
		result = set_servers(r, o, e);
	}
	if (result == 0) {
		result = set_anchor(r, o->trust_anchor, e);
	}
	if (result != 0) {
		return result;
	}
	err = ub_ctx_async(r->ctx, 1);
	if (!err) {
		/* The first call of this kind reads files; better now than later. */
		err = ub_ctx_zone_remove(r->ctx, "test.");
	}
	return err ? ub_failed(e, err, o->trust_anchor ? o->trust_anchor : "libunbound") : 0;
}

static int start_thread(struct resolver *r)
{
	sigset_t all;
	sigset_t old;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	err = pthread_create(&r->thread, NULL, thread_main, r);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -err;
}

static void forget(struct list *questions)
{
	struct list *n;

	while ((n = list_pop(questions)) != NULL) {
		struct question *q = list_of(n, struct question, node);

		assert(q->left);
		free(q);
	}
}

static void resolver_fini(struct resolver *r)
{
	if (r->ctx) {
		ub_ctx_delete(r->ctx);
	}
	if (r->wake >= 0) {
		close(r->wake);
	}
	forget(&r->fresh);
	forget(&r->asked);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

static void unbound_free(struct dns *d)
{
	struct resolver *r = (struct resolver *)d;

	pthread_mutex_lock(&r->lock);
	r->stopping = true;
	pthread_mutex_unlock(&r->lock);
	wake_thread(r);
	pthread_join(r->thread, NULL);
	resolver_fini(r);
}

static const struct dns_ops unbound_ops = { .query = unbound_query, .free = unbound_free };

int dns_unbound_new(const struct dns_opts *o, struct dns **out, struct err *e)
{
	struct resolver *r = calloc(1, sizeof(*r));
	int result = 0;

	if (!r) {
		return -ENOMEM;
	}
	r->dns = (struct dns){ .ops = &unbound_ops, .timeout_ms = o->timeout_ms };
	pthread_mutex_init(&r->lock, NULL);
	list_init(&r->fresh);
	list_init(&r->asked);
	r->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r->ctx = ub_ctx_create();
	if (r->wake < 0 || !r->ctx) {
		result = r->wake < 0 ? -errno : -ENOMEM;
	}
	if (result == 0) {
		result = set_up(r, o, e);
	}
	if (result == 0) {
		result = start_thread(r);
	}
	if (result != 0) {
		resolver_fini(r);
		return result;
	}
	*out = &r->dns;
	return 0;
}
