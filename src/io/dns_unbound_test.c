/*
 * The resolver against a server of our own on loopback, which answers as the
 * first label of the name tells it to: also not at all, and with what no
 * server should say.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

#include "co/test_loop.h"
#include "io/dns.h"

#define SHORT_MS 200
#define LONG_MS 20000

/* ---- the server ----------------------------------------------------------------- */

struct server {
	int fd;
	pthread_t thread;
	atomic_bool stop;
	atomic_uint asked;
	char address[32]; /* "127.0.0.1@PORT" */
};

/* An A record of name, class and type given by a pointer to the question. */
static void add_answer(struct buf *b, unsigned type, struct slice rdata)
{
	buf_add(b, S("\300\14"));
	buf_put8(b, 0);
	buf_put8(b, (uint8_t)type);
	buf_add(b, S("\0\1\0\0\0\74"));
	buf_put8(b, (uint8_t)(rdata.n >> 8));
	buf_put8(b, (uint8_t)rdata.n);
	buf_add(b, rdata);
}

/* The reply to a question; empty: none. */
static void reply(struct slice query, struct slice label, struct slice question, struct buf *b)
{
	unsigned type = (uint8_t)question.p[question.n - 3];
	unsigned answers = 0;
	unsigned rcode = slice_istarts(label, S("nx"))	     ? 3
			 : slice_istarts(label, S("broken")) ? 2
							     : 0;
	size_t count_at;

	if (slice_istarts(label, S("silent"))) {
		return;
	}
	if (slice_istarts(label, S("garbage"))) {
		buf_add(b, slice_sub(query, 0, 2));
		buf_add(b, S("\x81\x80\0\1\0\7\300\14\300\14\300\14"));
		return;
	}
	buf_add(b, slice_sub(query, 0, 2));
	buf_put8(b, 0x81);
	buf_put8(b, (uint8_t)(0x80 | rcode));
	buf_add(b, S("\0\1\0"));
	count_at = b->n;
	buf_add(b, S("\0\0\0\0\0"));
	buf_add(b, question);
	if (slice_istarts(label, S("short"))) {
		add_answer(b, type, S("\300"));
		answers++;
	} else if (slice_istarts(label, S("ok")) && type == DNS_A) {
		add_answer(b, type, S("\300\0\2\1"));
		add_answer(b, type, S("\300\0\2\2"));
		answers += 2;
	} else if (slice_istarts(label, S("ok")) && type == DNS_TLSA) {
		add_answer(b, type, S("\3\1"));
		answers++;
	}
	b->p[count_at] = (char)answers;
}

/* The labels up to the root, and type and class. Empty if there are none. */
static struct slice find_question(struct slice query)
{
	size_t at = 12;

	while (at < query.n && query.p[at]) {
		at += (uint8_t)query.p[at] + 1u;
	}
	return at + 5 <= query.n ? slice_sub(query, 12, at + 5 - 12) : slice_make(NULL, 0);
}

static void *serve(void *arg)
{
	struct server *s = arg;

	while (!atomic_load(&s->stop)) {
		struct pollfd p = { .fd = s->fd, .events = POLLIN };
		char query[512];
		struct sockaddr_in from;
		socklen_t len = sizeof(from);
		struct buf b = BUF_INIT(4096);
		struct slice question;
		ssize_t n;

		if (poll(&p, 1, 50) <= 0) {
			continue;
		}
		n = recvfrom(s->fd, query, sizeof(query), 0, (struct sockaddr *)&from, &len);
		question = find_question(slice_make(query, n < 0 ? 0 : (size_t)n));
		if (question.n == 0) {
			continue;
		}
		atomic_fetch_add(&s->asked, 1);
		reply(slice_make(query, (size_t)n), slice_from(question, 1), question, &b);
		if (b.n > 0) {
			sendto(s->fd, b.p, b.n, 0, (struct sockaddr *)&from, len);
		}
		buf_fini(&b);
	}
	return NULL;
}

static void server_start(struct server *s)
{
	struct net_addr a;

	*s = (struct server){ .fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0) };
	assert_true(s->fd >= 0 && net_addr_parse(S("127.0.0.1"), 0, &a) == 0);
	assert_int_equal(bind(s->fd, &a.sa, a.len), 0);
	assert_int_equal(net_local_addr(s->fd, &a), 0);
	snprintf(s->address, sizeof(s->address), "127.0.0.1@%u", net_addr_port(&a));
	assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void server_stop(struct server *s)
{
	atomic_store(&s->stop, true);
	pthread_join(s->thread, NULL);
	close(s->fd);
}

/* ---- the world --------------------------------------------------------------------- */

struct world {
	struct server server;
	struct dns *dns;
};

static int setup(void **state)
{
	struct world *w = xcalloc(1, sizeof(*w));
	const char *servers[1] = { w->server.address };
	struct dns_opts o = { .forward = servers, .n_forward = 1, .trust_anchor = "" };

	server_start(&w->server);
	assert_int_equal(dns_unbound_new(&o, &w->dns, NULL), 0);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	dns_free(&w->dns);
	server_stop(&w->server);
	free(w);
	return 0;
}

CO_FN static enum dns_result ask(struct world *w, const char *name, enum dns_type type, int64_t ms,
				 struct arena *a, struct dns_answer *out)
{
	int r = dns_query(w->dns, slice_cstr(name), type, clock_in_ms(ms), a, out);

	assert(r == 0);
	assert((out->result == DNS_FAIL) == (out->why != NULL));
	return out->result;
}

/* ---- answers ------------------------------------------------------------------------ */

static void ask_all(void *arg)
{
	struct world *w = arg;
	struct dns_answer ans;
	struct dns_stats stats;
	struct arena a;
	unsigned asked;

	co_enter();
	arena_init(&a, 1 << 20);
	assert_int_equal(ask(w, "OK.example.org.", DNS_A, LONG_MS, &a, &ans), DNS_OK);
	assert_int_equal(ans.n, 2);
	assert_int_equal(ans.rdata[0].n, 4);
	assert_true(ans.ttl > 0 && ans.ttl <= 60 && !ans.secure && !ans.bogus);
	/* Now it is known. */
	asked = atomic_load(&w->server.asked);
	assert_int_equal(ask(w, "ok.example.org", DNS_A, LONG_MS, &a, &ans), DNS_OK);
	assert_int_equal(atomic_load(&w->server.asked), asked);
	assert_int_equal(ask(w, "ok.example.org", DNS_MX, LONG_MS, &a, &ans), DNS_NODATA);
	assert_int_equal(ask(w, "ok.example.org", DNS_TLSA, LONG_MS, &a, &ans), DNS_OK);
	assert_int_equal(ans.rdata[0].n, 2);
	assert_int_equal(ask(w, "nx.example.org", DNS_TXT, LONG_MS, &a, &ans), DNS_NXDOMAIN);
	asked = atomic_load(&w->server.asked);
	assert_int_equal(ask(w, "nx.example.org", DNS_TXT, LONG_MS, &a, &ans), DNS_NXDOMAIN);
	assert_int_equal(ask(w, "ok.example.org", DNS_MX, LONG_MS, &a, &ans), DNS_NODATA);
	assert_true(atomic_load(&w->server.asked) <= asked + 1);
	assert_int_equal(ask(w, "ok\\.\x80 \".example.org", DNS_A, LONG_MS, &a, &ans), DNS_OK);
	dns_unbound_stats(w->dns, &stats);
	assert_int_equal(stats.asked, 8);
	assert_int_equal(stats.under_way + stats.failed + stats.timed_out + stats.refused, 0);
	arena_fini(&a);
}

static void test_answers(void **state)
{
	test_run_loop(ask_all, *state);
}

static void ask_the_broken(void *arg)
{
	static const char *const names[] = { "broken.org", "garbage.org", "short.org",
					     "silent.org" };
	struct world *w = arg;
	struct dns_answer ans;
	struct dns_stats stats;
	struct arena a;

	co_enter();
	arena_init(&a, 1 << 20);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		assert_int_equal(ask(w, names[i], DNS_MX, SHORT_MS, &a, &ans), DNS_FAIL);
		assert_int_equal(ans.n, 0);
	}
	assert_string_equal(ans.why, "timed out");
	assert_int_equal(ask(w, "silent.org", DNS_A, -1000, &a, &ans), DNS_FAIL);
	dns_unbound_stats(w->dns, &stats);
	assert_int_equal(stats.failed + stats.timed_out, 5);
	arena_fini(&a);
}

static void test_broken(void **state)
{
	test_run_loop(ask_the_broken, *state);
}

static void test_outside(void **state)
{
	struct world *w = *state;
	struct dns_answer ans;
	struct arena a;

	co_enter();
	arena_init(&a, 4096);
	assert_int_equal(ask(w, "ok.org", DNS_A, LONG_MS, &a, &ans), DNS_FAIL);
	assert_string_equal(ans.why, "asked outside a loop");
	arena_fini(&a);
}

/* ---- many, and leaving early ----------------------------------------------------------- */

struct asker {
	struct world *w;
	const char *prefix;
	unsigned number;
	int64_t ms;
	int r;
	struct dns_answer ans;
	struct co *co;
};

static void ask_one(void *arg)
{
	struct asker *k = arg;
	struct arena a;
	char name[64];

	co_enter();
	arena_init(&a, 65536);
	snprintf(name, sizeof(name), "%s%u.org", k->prefix, k->number);
	k->r = dns_query(k->w->dns, slice_cstr(name), DNS_A, clock_in_ms(k->ms), &a, &k->ans);
	arena_fini(&a);
}

static struct asker *spawn_many(struct world *w, const char *prefix, size_t n, int64_t ms)
{
	struct asker *k = xcalloc(n, sizeof(*k));

	for (size_t i = 0; i < n; i++) {
		k[i] = (struct asker){ .w = w, .prefix = prefix, .number = (unsigned)i, .ms = ms };
		assert(co_spawn("asker", ask_one, &k[i], &k[i].co) == 0);
	}
	return k;
}

static void ask_many(void *arg)
{
	struct world *w = arg;
	struct asker *k;

	co_enter();
	k = spawn_many(w, "ok", 100, LONG_MS);
	for (size_t i = 0; i < 100; i++) {
		co_join(&k[i].co);
		assert_int_equal(k[i].r, 0);
		assert_int_equal(k[i].ans.result, DNS_OK);
		assert_int_equal(k[i].ans.n, 2);
	}
	free(k);
}

static void test_many(void **state)
{
	test_run_loop(ask_many, *state);
}

static void cancel_some(void *arg)
{
	struct world *w = arg;
	struct asker *k;

	co_enter();
	k = spawn_many(w, "silent", 20, LONG_MS);
	/* Some before they begin, some while they wait. */
	for (size_t i = 0; i < 10; i++) {
		co_finish(&k[i].co);
		assert_int_equal(k[i].r, -ECANCELED);
	}
	co_sleep(20);
	for (size_t i = 10; i < 20; i++) {
		co_finish(&k[i].co);
		assert_int_equal(k[i].r, -ECANCELED);
	}
	free(k);
}

/* The resolver is freed with questions that libunbound still works at. */
static void test_cancel(void **state)
{
	test_run_loop(cancel_some, *state);
}

/* One too many fails at once; the others when their time is up. */
static void ask_too_many(void *arg)
{
	struct world *w = arg;
	struct asker *k;
	struct dns_answer ans;
	struct dns_stats stats;
	struct arena a;

	co_enter();
	arena_init(&a, 65536);
	k = spawn_many(w, "silent", DNS_UNDER_WAY_MAX, LONG_MS);
	do {
		co_yield();
		dns_unbound_stats(w->dns, &stats);
	} while (stats.under_way < DNS_UNDER_WAY_MAX);
	assert_int_equal(ask(w, "ok.org", DNS_A, LONG_MS, &a, &ans), DNS_FAIL);
	assert_string_equal(ans.why, "too many questions under way");
	dns_unbound_stats(w->dns, &stats);
	assert_int_equal(stats.refused, 1);
	for (size_t i = 0; i < DNS_UNDER_WAY_MAX; i++) {
		co_finish(&k[i].co);
	}
	free(k);
	arena_fini(&a);
}

static void test_too_many(void **state)
{
	test_run_loop(ask_too_many, *state);
}

static void *other_loop(void *arg)
{
	struct co_loop *l = NULL;
	struct test_first f = { ask_many, arg };

	assert(co_loop_new(&l) == 0 && co_spawn("first", test_first_body, &f, NULL) == 0);
	co_loop_run(l);
	co_loop_free(&l);
	return NULL;
}

/* Answers find their way to the loops that asked, which end while others ask. */
static void test_loops(void **state)
{
	pthread_t threads[4];

	for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
		assert_int_equal(pthread_create(&threads[i], NULL, other_loop, *state), 0);
	}
	for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
		pthread_join(threads[i], NULL);
	}
}

/* ---- settings ---------------------------------------------------------------------------- */

static void refused(const char *server, const char *anchor, int want)
{
	const char *servers[1] = { server };
	struct dns_opts o = { .forward = servers, .n_forward = 1, .trust_anchor = anchor };
	struct err e = ERR_INIT;
	struct dns *d = NULL;

	assert_int_equal(dns_unbound_new(&o, &d, &e), want);
	assert_null(d);
	assert_non_null(e.text);
}

static void test_settings(void **state)
{
	char garbage[] = "/tmp/dns-anchor-XXXXXX";
	int fd = mkstemp(garbage);

	(void)state;
	assert_true(fd >= 0 && write(fd, "not a key\n", 10) == 10);
	close(fd);
	refused("", "", -EINVAL);
	refused("localhost", "", -EINVAL);
	refused("*", "", -EINVAL);
	refused("[::1]", "", -EINVAL);
	refused("127.0.0.1@", "", -EINVAL);
	refused("127.0.0.1@0", "", -EINVAL);
	refused("127.0.0.1@65536", "", -EINVAL);
	refused("127.0.0.1@53#name", "", -EINVAL);
	refused("127.0.0.1@53", "/nonexistent/root.key", -ENOENT);
	refused("127.0.0.1@53", garbage, -EINVAL);
	unlink(garbage);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_answers), T(test_broken),   T(test_outside), T(test_many),
		T(test_cancel),	 T(test_too_many), T(test_loops),   cmocka_unit_test(test_settings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
