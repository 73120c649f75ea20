/*
 * The control socket: JSON lines in, JSON lines out (control.h).
 *
 * Each connection is a coroutine on the first loop, at most
 * CONTROL_CONNECTIONS_MAX of them. The kernel says who the peer is; nobody but
 * root and our own uid is heard. The framing is line/conn's with LF instead of
 * CRLF made by hand, since both ends are ours: a line is a request.
 */
#include "srv/control.h"

#include "srv/ask.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "io/listen.h"
#include "io/stream.h"

#define READ_STEP 4096
#define DEPTH_MAX 8 /* no request nests deeper; jansson recurses */
#define IDLE_MS (30 * 1000)
#define CLIENT_TIMEOUT_S 600 /* `check` may take its time */

struct control {
	struct site *site;
	const struct admin_env *env;
	char *path;
	int fd;
	struct co *acceptor;
	struct list peers;
	size_t n;
	struct co_mutex changes; /* one at a time: an account is two things */
};

struct peer {
	struct list node;
	struct control *control;
	int fd;
	struct co *co;
	struct stream *stream;
	struct buf in;
};

static bool trusted(int fd)
{
	struct ucred who;
	socklen_t n = sizeof(who);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) == 0 &&
	       (who.uid == 0 || who.uid == geteuid());
}

/* ---- the server's side -------------------------------------------------- */

CO_FN static int send_json(struct stream *s, json_t *o)
{
	char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
	int r = -ENOMEM;

	if (text) {
		r = stream_write(s, slice_cstr(text));
		explicit_bzero(text, strlen(text));
		free(text);
	}
	return r == 0 ? stream_write(s, S("\n")) : r;
}

/* Counts brackets outside of strings: a coroutine's stack is small. */
static bool too_deep(struct slice line)
{
	unsigned depth = 0;
	bool quoted = false;

	for (size_t i = 0; i < line.n; i++) {
		char c = line.p[i];

		if (quoted && c == '\\') {
			i++;
		} else if (c == '"') {
			quoted = !quoted;
		} else if (!quoted && (c == '[' || c == '{') && ++depth > DEPTH_MAX) {
			return true;
		} else if (!quoted && (c == ']' || c == '}') && depth > 0) {
			depth--;
		}
	}
	return false;
}

/* Says what a request is; the connection is of no more use. */
CO_FN static int refuse_line(struct peer *p)
{
	json_t *reply = json_pack("{s:b, s:s, s:s}", "ok", 0, "code", "invalid", "error",
				  "a request is one JSON object on a line");

	stream_set_deadline(p->stream, clock_in_ms(IDLE_MS));
	send_json(p->stream, reply);
	json_decref(reply);
	return -EPROTO;
}

/* Only these change nothing, and `check` and questions to the DNS may take long. */
static bool only_looks(const json_t *request)
{
	const char *verb = json_string_value(json_object_get(request, "verb"));

	return verb && (strcmp(verb, "status") == 0 || strcmp(verb, "check") == 0 ||
			strcmp(verb, "trace") == 0 || ask_knows(request));
}

/* Changes run one after another, so that two of one account never interleave. */
CO_FN static json_t *answer(struct control *c, const json_t *request)
{
	json_t *reply;

	if (only_looks(request)) {
		return admin_call(c->site, c->env, request);
	}
	if (co_mutex_lock(&c->changes) != 0) {
		return json_pack("{s:b, s:s, s:s}", "ok", 0, "code", "temporary", "error",
				 "the server is stopping");
	}
	reply = admin_call(c->site, c->env, request);
	co_mutex_unlock(&c->changes);
	return reply;
}

/* One request line; the answer is sent. 0, or <0 to hang up. */
CO_FN static int serve_line(struct peer *p, struct slice line)
{
	json_t *request =
		too_deep(line) ? NULL : json_loadb(line.p, line.n, JSON_REJECT_DUPLICATES, NULL);
	json_t *reply;
	int r = 0;

	if (!json_is_object(request)) {
		json_decref(request);
		return refuse_line(p);
	}
	reply = answer(p->control, request);
	stream_set_deadline(p->stream, clock_in_ms(IDLE_MS));
	if (send_json(p->stream, reply) != 0) {
		r = -EPIPE;
	}
	json_decref(reply);
	json_decref(request);
	return r;
}

CO_FN static int read_more(struct peer *p)
{
	char *at = buf_reserve(&p->in, READ_STEP);
	ssize_t n;

	if (!at) {
		return -EMSGSIZE;
	}
	stream_set_deadline(p->stream, clock_in_ms(IDLE_MS));
	n = stream_read(p->stream, at, READ_STEP);
	if (n <= 0) {
		return n < 0 ? (int)n : -EPIPE;
	}
	buf_commit(&p->in, (size_t)n);
	return 0;
}

CO_FN static void serve_peer(struct peer *p)
{
	int r = 0;

	while (r == 0) {
		size_t end = slice_chr(buf_slice(&p->in), '\n');

		if (end == SIZE_MAX) {
			r = p->in.n > CONTROL_LINE_MAX ? refuse_line(p) : read_more(p);
			continue;
		}
		r = serve_line(p, slice_make(p->in.p, end));
		explicit_bzero(p->in.p, end); /* may hold a password */
		buf_consume(&p->in, end + 1);
	}
}

static void run_peer(void *arg)
{
	struct peer *p = arg;

	co_enter();
	p->co = co_self();
	if (stream_sock_new(p->fd, &p->stream) == 0) {
		p->fd = -1;
		serve_peer(p);
	}
	stream_free(&p->stream);
	if (p->fd >= 0) {
		close(p->fd);
	}
	if (p->in.p) {
		explicit_bzero(p->in.p, p->in.cap);
	}
	buf_fini(&p->in);
	list_del(&p->node);
	p->control->n--;
	free(p);
}

static void on_peer(void *arg, int fd, const struct net_addr *addr)
{
	struct control *c = arg;
	struct peer *p;

	(void)addr;
	if (!trusted(fd) || c->n >= CONTROL_CONNECTIONS_MAX) {
		log_event(LOG_WARN, "", "control.refused", LOG_I("open", c->n));
		close(fd);
		return;
	}
	p = calloc(1, sizeof(*p));
	if (!p) {
		close(fd);
		return;
	}
	p->control = c;
	p->fd = fd;
	buf_init(&p->in, CONTROL_LINE_MAX + 2 * READ_STEP);
	list_push(&c->peers, &p->node);
	c->n++;
	if (co_spawn("control", run_peer, p, NULL) != 0) {
		list_del(&p->node);
		c->n--;
		close(fd);
		free(p);
	}
}

static void run_acceptor(void *arg)
{
	struct control *c = arg;

	co_enter();
	net_accept_loop(c->fd, on_peer, c);
}

int control_start(const char *path, struct site *site, const struct admin_env *env,
		  struct control **out, struct err *e)
{
	struct control *c = calloc(1, sizeof(*c));
	int r;

	if (!c) {
		return -ENOMEM;
	}
	c->site = site;
	c->env = env;
	list_init(&c->peers);
	co_mutex_init(&c->changes);
	c->path = strdup(path);
	c->fd = c->path ? net_listen_unix(path, 0600, e) : -ENOMEM;
	r = c->fd < 0 ? c->fd : co_spawn("control.accept", run_acceptor, c, &c->acceptor);
	if (r != 0) {
		if (c->fd >= 0) {
			close(c->fd);
		}
		free(c->path);
		free(c);
		return r;
	}
	*out = c;
	return 0;
}

unsigned control_stop(struct control **cp, int64_t ms)
{
	struct control *c = *cp;
	int64_t end = clock_in_ms(ms);

	if (!c) {
		return 0;
	}
	if (c->acceptor) {
		unlink(c->path);
		co_finish(&c->acceptor);
		close(c->fd);
	}
	while (!list_empty(&c->peers)) {
		if (clock_mono() >= end) {
			return (unsigned)c->n;
		}
		list_each(it, &c->peers) {
			struct peer *p = list_of(it, struct peer, node);

			if (p->co) {
				co_cancel(p->co);
			}
		}
		co_sleep(1);
		co_yield();
	}
	*cp = NULL;
	free(c->path);
	free(c);
	return 0;
}

/* ---- the client's side -------------------------------------------------- */

static int dial(const char *path, struct err *e)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct timeval limit = { .tv_sec = CLIENT_TIMEOUT_S };
	int fd, r;

	if (slice_copy(slice_cstr(path), a.sun_path, sizeof(a.sun_path))) {
		return err_set(e, -ENAMETOOLONG,
			       "the socket's path is too "
			       "long",
			       "%s", path);
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		return err_set(e, -errno, "cannot make a socket", NULL);
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0) {
		return fd;
	}
	r = err_set(e, -errno, "cannot reach the server", "%s", path);
	close(fd);
	return r;
}

static int write_line(int fd, const json_t *request)
{
	char *text = json_dumps(request, JSON_COMPACT);
	struct slice s = slice_cstr(text);
	int r = text ? 0 : -EINVAL;
	bool ended = false;

	while (r == 0 && (s.n || !ended)) {
		struct slice part = s.n ? s : S("\n");
		ssize_t n = send(fd, part.p, part.n, MSG_NOSIGNAL);

		if (n < 0 && errno != EINTR) {
			r = -errno;
		} else if (n > 0 && s.n) {
			s = slice_from(s, (size_t)n);
		} else if (n > 0) {
			ended = true;
		}
	}
	if (text) {
		explicit_bzero(text, strlen(text));
		free(text);
	}
	return r;
}

static int read_line(int fd, struct buf *b)
{
	while (slice_chr(buf_slice(b), '\n') == SIZE_MAX) {
		char *at = buf_reserve(b, READ_STEP);
		ssize_t n = at ? read(fd, at, READ_STEP) : -1;

		if (!at) {
			return -EMSGSIZE;
		}
		if (n == 0) {
			return -ECONNRESET;
		}
		if (n < 0 && errno != EINTR) {
			return -errno;
		}
		buf_commit(b, n > 0 ? (size_t)n : 0);
	}
	return 0;
}

int control_call(const char *path, const json_t *request, json_t **reply, struct err *e)
{
	struct buf b = BUF_INIT(64u * 1024 * 1024);
	int fd = dial(path, e);
	int r;

	if (fd < 0) {
		return fd;
	}
	r = write_line(fd, request);
	if (r == 0) {
		r = read_line(fd, &b);
	}
	close(fd);
	if (r == 0) {
		*reply = json_loadb(b.p, b.n, 0, NULL);
		r = *reply ? 0 : -EPROTO;
	}
	buf_fini(&b);
	return r ? err_set(e, r, "the server did not answer", "%s", path) : 0;
}
