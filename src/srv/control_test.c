/* control: requests over the socket, and what bad ones cost (OS-02). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>
#include <pthread.h>

#include "srv/control.h"

/* The client blocks, so it has a thread of its own; the server is a loop. */
struct rig {
	struct site site;
	struct control *control;
	struct co_event end;
	struct co_loop *loop;
	struct co_post post;
	char path[64];
	void (*client)(struct rig *r);
	int seen;
};

static void add_status(void *arg, json_t *into)
{
	json_object_set_new(into, "extra", json_string(arg));
}

static char extra[] = "from the server";
static const struct admin_env env = { .status = add_status, .arg = extra };

static void set_end(void *arg)
{
	struct rig *r = arg;

	co_event_set(&r->end);
}

static void *client_thread(void *arg)
{
	struct rig *r = arg;

	r->client(r);
	r->post = (struct co_post){ .fn = set_end, .arg = r };
	co_post(r->loop, &r->post);
	return NULL;
}

static void serve(void *arg)
{
	struct rig *r = arg;
	struct stat st;
	pthread_t t;

	co_enter();
	assert_int_equal(control_start(r->path, &r->site, &env, &r->control, NULL), 0);
	assert_int_equal(stat(r->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(pthread_create(&t, NULL, client_thread, r), 0);
	assert_int_equal(co_event_wait(&r->end, CLOCK_NEVER), 0);
	pthread_join(t, NULL);
	assert_int_equal(control_stop(&r->control, 5000), 0);
	assert_int_not_equal(access(r->path, F_OK), 0);
	co_loop_stop(r->loop);
}

static void open_site(struct rig *r)
{
	struct store_opts so = { .message_max = 0 };
	struct auth_opts ao = { .argon_memory_kib = 8, .argon_passes = 1, .no_delays = true };
	struct trace_opts to = { .days = 1 };

	co_enter();
	assert_int_equal(kv_mem_open(&r->site.kv), 0);
	so.kv = ao.kv = to.kv = r->site.kv;
	so.loops = &r->loop;
	so.n_loops = 1;
	assert_int_equal(store_open(&so, &r->site.store, NULL), 0);
	assert_int_equal(auth_open(&ao, &r->site.auth, NULL), 0);
	assert_int_equal(trace_open(&to, &r->site.trace, NULL), 0);
	assert_int_equal(tally_open(&(struct tally_opts){ .kv = r->site.kv }, &r->site.tally, NULL),
			 0);
}

static void run(void (*client)(struct rig *r))
{
	struct rig r = { .client = client };

	snprintf(r.path, sizeof(r.path), "/tmp/postrider-control-%d.sock", (int)getpid());
	assert_int_equal(co_loop_new(&r.loop), 0);
	co_event_init(&r.end);
	open_site(&r);
	assert_int_equal(co_spawn("test", serve, &r, NULL), 0);
	co_loop_run(r.loop);
	co_loop_free(&r.loop);
	site_close(&r.site);
	assert_int_equal(r.seen, 1);
}

/* ---- the clients: assertions after the thread, through r->seen ------------ */

static bool call(struct rig *r, json_t *request, const char *code, json_t **data)
{
	json_t *reply = NULL;
	int res = control_call(r->path, request, &reply, NULL);
	const char *got = json_string_value(json_object_get(reply, "code"));
	bool ok = res == 0 && json_is_true(json_object_get(reply, "ok")) == (code == NULL);

	if (ok && code) {
		ok = got && strcmp(got, code) == 0;
	}
	if (ok && data) {
		*data = json_incref(json_object_get(reply, "data"));
	}
	json_decref(request);
	json_decref(reply);
	return ok;
}

static void talk(struct rig *r)
{
	json_t *data = NULL;
	bool ok;

	ok = call(r, json_pack("{s:s}", "verb", "status"), NULL, &data) &&
	     strcmp(json_string_value(json_object_get(data, "extra")), extra) == 0;
	json_decref(data);
	data = NULL;
	ok = ok &&
	     call(r, json_pack("{s:s, s:s}", "verb", "domain.add", "domain", "example.test"), NULL,
		  NULL) &&
	     call(r, json_pack("{s:s, s:s}", "verb", "domain.add", "domain", "example.test"),
		  "exists", NULL) &&
	     call(r,
		  json_pack("{s:s, s:s, s:s}", "verb", "account.add", "address", "bob@example.test",
			    "password", "builder"),
		  NULL, NULL) &&
	     call(r, json_pack("{s:s}", "verb", "account.list"), NULL, &data) &&
	     json_array_size(data) == 1;
	json_decref(data);
	r->seen =
		ok &&
		call(r, json_pack("{s:s, s:s}", "verb", "domain.remove", "domain", "example.test"),
		     "notempty", NULL) &&
		call(r, json_pack("{s:s}", "verb", "no.such"), "invalid", NULL) &&
		call(r, json_pack("{s:s}", "verb", "domain.add"), "invalid", NULL) &&
		call(r, json_pack("{s:i}", "verb", 7), "invalid", NULL);
}

static void test_requests(void **state)
{
	(void)state;
	run(talk);
}

static int dial(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	slice_copy(slice_cstr(path), a.sun_path, sizeof(a.sun_path));
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Sends n times `piece`; reads to the end. True if there was an end. */
static bool shout(struct rig *r, struct slice piece, size_t n, bool half)
{
	int fd = dial(r->path);
	char sink[1024];
	ssize_t got = 1;

	if (fd < 0) {
		return false;
	}
	while (n-- > 0 && send(fd, piece.p, piece.n, MSG_NOSIGNAL) == (ssize_t)piece.n) {
	}
	if (half) {
		shutdown(fd, SHUT_WR);
	}
	while (got > 0) {
		got = read(fd, sink, sizeof(sink));
	}
	close(fd);
	return got <= 0;
}

static void abuse(struct rig *r)
{
	int idle[CONTROL_CONNECTIONS_MAX + 4];
	bool ok;

	ok = shout(r, S("\n"), 1, false) && shout(r, S("[1]\n"), 1, false) &&
	     shout(r, S("not json\n"), 1, false) &&
	     shout(r, S("{\"verb\":\"status\",\"verb\":\"status\"}\n"), 1, false) &&
	     shout(r, S("\0\0\0\0\n"), 1, false) && shout(r, S("{\"verb\":"), 1, true) &&
	     shout(r, S(""), 0, true) &&
	     shout(r, S("[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["), 20000, true) &&
	     shout(r, S("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), 80000, false);
	/* nested, within one line's limit: refused before it is parsed */
	for (int i = 0; ok && i < 3; i++) {
		char *deep = malloc(100001);

		memset(deep, i == 1 ? '{' : '[', 100000);
		deep[100000] = '\n';
		ok = shout(r, slice_make(deep, 100001), 1, false);
		free(deep);
	}
	/* more connections than there is room for */
	for (size_t i = 0; i < ARRAY_LEN(idle); i++) {
		idle[i] = dial(r->path);
	}
	for (size_t i = 0; i < ARRAY_LEN(idle); i++) {
		if (idle[i] >= 0) {
			close(idle[i]);
		}
	}
	/* and the next one is served as if nothing had been */
	for (int i = 0; i < 100 && r->seen == 0; i++) {
		r->seen = ok && call(r, json_pack("{s:s}", "verb", "status"), NULL, NULL);
		usleep(10000);
	}
}

static void test_abuse(void **state)
{
	(void)state;
	run(abuse);
}

static void test_nobody_there(void **state)
{
	json_t *q = json_pack("{s:s}", "verb", "status");
	json_t *reply = NULL;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(control_call("/nonexistent/control.sock", q, &reply, &e), -ENOENT);
	assert_null(reply);
	assert_non_null(e.text);
	json_decref(q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_abuse),
		cmocka_unit_test(test_nobody_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
