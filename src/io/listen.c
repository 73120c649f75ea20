/*
 * Listening sockets, addresses as text, connecting: see listen.h.
 *
 * The accept loop keeps one spare descriptor. When the process has none left,
 * the spare is given up for a moment to take the connection off the queue and
 * close it: the peer learns at once, the loop does not spin, and sessions
 * that live are not touched (THREATS RS-03).
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "io/listen.h"

#define BACKLOG 1024
/* Pause after running out of descriptors or memory at accept. */
#define SHORTAGE_MS 50

/* ---- addresses ---------------------------------------------------------------- */

void net_addr_unmap(struct net_addr *a)
{
	struct in6_addr ip;
	uint16_t port;

	if (a->len == 0 || a->sa.sa_family != AF_INET6 ||
	    !IN6_IS_ADDR_V4MAPPED(&a->in6.sin6_addr)) {
		return;
	}
	ip = a->in6.sin6_addr;
	port = a->in6.sin6_port;
	memset(a, 0, sizeof(*a));
	a->in.sin_family = AF_INET;
	a->in.sin_port = port;
	memcpy(&a->in.sin_addr, ip.s6_addr + 12, 4);
	a->len = sizeof(a->in);
}

static bool is_inet(const struct net_addr *a)
{
	return a->len > 0 && (a->sa.sa_family == AF_INET || a->sa.sa_family == AF_INET6 ||
			      a->sa.sa_family == AF_UNSPEC);
}

const char *net_addr_text(const struct net_addr *a, char dst[NET_ADDR_TEXT_MAX])
{
	struct net_addr u = *a;

	net_addr_unmap(&u);
	if (!is_inet(&u)) {
		memcpy(dst, "local", sizeof("local"));
	} else if (u.sa.sa_family == AF_UNSPEC) {
		memcpy(dst, "*", sizeof("*"));
	} else if (u.sa.sa_family == AF_INET) {
		inet_ntop(AF_INET, &u.in.sin_addr, dst, NET_ADDR_TEXT_MAX);
	} else {
		inet_ntop(AF_INET6, &u.in6.sin6_addr, dst, NET_ADDR_TEXT_MAX);
	}
	return dst;
}

const char *net_addr_literal(const struct net_addr *a, char dst[NET_ADDR_TEXT_MAX])
{
	char text[NET_ADDR_TEXT_MAX];
	int n;

	net_addr_text(a, text);
	n = snprintf(dst, NET_ADDR_TEXT_MAX, "[%s%.50s]", strchr(text, ':') ? "IPv6:" : "", text);
	assert(n > 0 && n < NET_ADDR_TEXT_MAX);
	return dst;
}

struct slice net_addr_octets(const struct net_addr *a)
{
	const char *p;

	if (a->len == 0 || (a->sa.sa_family != AF_INET && a->sa.sa_family != AF_INET6)) {
		return slice_make(NULL, 0);
	}
	if (a->sa.sa_family == AF_INET) {
		return slice_make((const char *)&a->in.sin_addr, 4);
	}
	p = (const char *)&a->in6.sin6_addr;
	return IN6_IS_ADDR_V4MAPPED(&a->in6.sin6_addr) ? slice_make(p + 12, 4) : slice_make(p, 16);
}

struct slice net_addr_network(const struct net_addr *a, size_t v4)
{
	struct slice o = net_addr_octets(a);

	return slice_sub(o, 0, o.n == 4 ? v4 : 8);
}

bool net_octets_agree(struct slice a, struct slice b, unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;

	if (a.n == 0 || a.n != b.n || bits > a.n * 8 || memcmp(a.p, b.p, whole) != 0) {
		return false;
	}
	return rest == 0 ||
	       ((unsigned char)a.p[whole] ^ (unsigned char)b.p[whole]) >> (8 - rest) == 0;
}

uint16_t net_addr_port(const struct net_addr *a)
{
	_Static_assert(offsetof(struct sockaddr_in, sin_port) ==
			       offsetof(struct sockaddr_in6, sin6_port),
		       "the port lies at the same place in both");
	return is_inet(a) ? ntohs(a->in.sin_port) : 0;
}

bool net_addr_is_loopback(const struct net_addr *a)
{
	struct net_addr u = *a;

	net_addr_unmap(&u);
	if (!is_inet(&u)) {
		return true;
	}
	if (u.sa.sa_family == AF_INET) {
		return ntohl(u.in.sin_addr.s_addr) >> 24 == 127;
	}
	return u.sa.sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&u.in6.sin6_addr);
}

static int parse_v6(struct slice text, struct net_addr *a)
{
	char s[INET6_ADDRSTRLEN];

	if (text.n >= 2 && text.p[0] == '[' && text.p[text.n - 1] == ']') {
		text = slice_sub(text, 1, text.n - 2);
	}
	if (slice_copy(text, s, sizeof(s)) < 0 || inet_pton(AF_INET6, s, &a->in6.sin6_addr) != 1) {
		return -EINVAL;
	}
	a->in6.sin6_family = AF_INET6;
	a->len = sizeof(a->in6);
	return 0;
}

int net_addr_parse(struct slice text, uint16_t port, struct net_addr *out)
{
	struct net_addr a;
	char s[INET_ADDRSTRLEN];

	memset(&a, 0, sizeof(a));
	if (slice_eq(text, S("*"))) {
		a.sa.sa_family = AF_UNSPEC;
		a.len = sizeof(a.in6);
	} else if (slice_copy(text, s, sizeof(s)) == 0 &&
		   inet_pton(AF_INET, s, &a.in.sin_addr) == 1) {
		a.in.sin_family = AF_INET;
		a.len = sizeof(a.in);
	} else if (parse_v6(text, &a) < 0) {
		return -EINVAL;
	}
	a.in.sin_port = htons(port);
	*out = a;
	return 0;
}

int net_local_addr(int fd, struct net_addr *out)
{
	struct net_addr a;
	socklen_t n = sizeof(a.in6);

	memset(&a, 0, sizeof(a));
	if (getsockname(fd, &a.sa, &n) != 0) {
		return -errno;
	}
	if (a.sa.sa_family == AF_INET || a.sa.sa_family == AF_INET6) {
		a.len = n;
	}
	net_addr_unmap(&a);
	*out = a;
	return 0;
}

/* ---- listening ------------------------------------------------------------------ */

static int listen_failed(const struct net_addr *a, int code, struct err *e)
{
	char text[NET_ADDR_TEXT_MAX];
	const char *why = "cannot listen";

	switch (-code) {
	case EADDRINUSE:
		why = "cannot listen: the port is in use by another program";
		break;
	case EACCES:
		why = "cannot listen: ports below 1024 need root or "
		      "CAP_NET_BIND_SERVICE";
		break;
	case EADDRNOTAVAIL:
		why = "cannot listen: this machine has no such address";
		break;
	default:
		break;
	}
	return err_set(e, code, why, "%s port %u", net_addr_text(a, text),
		       (unsigned)net_addr_port(a));
}

static int set_on(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) == 0 ? 0 : -errno;
}

/* Binds an address of one family, or of v6 with v4 in it. Consumes no *a. */
static int listen_one(const struct net_addr *a, bool dual, bool reuseport)
{
	int fd = socket(a->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int r = 0;

	if (fd < 0) {
		return -errno;
	}
	r = set_on(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (r == 0 && reuseport) {
		r = set_on(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	}
	if (r == 0 && a->sa.sa_family == AF_INET6) {
		r = set_on(fd, IPPROTO_IPV6, IPV6_V6ONLY, !dual);
	}
	if (r == 0 && bind(fd, &a->sa, a->len) != 0) {
		r = -errno;
	}
	if (r == 0 && listen(fd, BACKLOG) != 0) {
		r = -errno;
	}
	if (r < 0) {
		close(fd);
		return r;
	}
	return fd;
}

/* "*": both families on one socket, or v4 alone on a machine without v6. */
static int listen_any(const struct net_addr *a, bool reuseport)
{
	struct net_addr any = *a;
	int fd;

	any.in6.sin6_family = AF_INET6;
	fd = listen_one(&any, true, reuseport);
	if (fd == -EAFNOSUPPORT || fd == -EADDRNOTAVAIL) {
		memset(&any, 0, sizeof(any));
		any.in.sin_family = AF_INET;
		any.in.sin_port = a->in.sin_port;
		any.len = sizeof(any.in);
		fd = listen_one(&any, false, reuseport);
	}
	return fd;
}

int net_listen(const struct net_addr *a, bool reuseport, struct err *e)
{
	int fd = -EINVAL;

	if (is_inet(a)) {
		fd = a->sa.sa_family == AF_UNSPEC ? listen_any(a, reuseport)
						  : listen_one(a, false, reuseport);
	}
	return fd < 0 ? listen_failed(a, fd, e) : fd;
}

static int unix_addr(const char *path, struct sockaddr_un *un)
{
	memset(un, 0, sizeof(*un));
	un->sun_family = AF_UNIX;
	return slice_copy(slice_cstr(path), un->sun_path, sizeof(un->sun_path));
}

/* A socket file nobody listens on any more? Then it is removed. */
static int remove_stale(const char *path, const struct sockaddr_un *un)
{
	struct stat st;
	int fd;
	int r = 0;

	if (lstat(path, &st) != 0 || !S_ISSOCK(st.st_mode)) {
		return -EADDRINUSE;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		return -errno;
	}
	if (connect(fd, (const struct sockaddr *)un, sizeof(*un)) == 0 || errno != ECONNREFUSED) {
		r = -EADDRINUSE;
	}
	close(fd);
	if (r == 0 && unlink(path) != 0) {
		r = -errno;
	}
	return r;
}

static int bind_unix(int fd, const char *path, mode_t mode)
{
	struct sockaddr_un un;
	int r = unix_addr(path, &un);

	if (r < 0) {
		return r;
	}
	/* Before bind, so that the file never has a wider mode. */
	if (fchmod(fd, mode) != 0) {
		return -errno;
	}
	if (bind(fd, (struct sockaddr *)&un, sizeof(un)) != 0) {
		if (errno != EADDRINUSE) {
			return -errno;
		}
		r = remove_stale(path, &un);
		if (r < 0) {
			return r;
		}
		if (bind(fd, (struct sockaddr *)&un, sizeof(un)) != 0) {
			return -errno;
		}
	}
	if (chmod(path, mode) != 0 || listen(fd, BACKLOG) != 0) {
		return -errno;
	}
	return 0;
}

int net_listen_unix(const char *path, mode_t mode, struct err *e)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int r;

	if (fd < 0) {
		return err_set(e, -errno, "cannot make a unix socket", NULL);
	}
	r = bind_unix(fd, path, mode);
	if (r < 0) {
		close(fd);
		return err_set(e, r,
			       r == -EADDRINUSE ? "cannot listen: a server is already there"
						: "cannot listen",
			       "%s", path);
	}
	return fd;
}

/* ---- connecting -------------------------------------------------------------------- */

/* Waits for a connect that is under way. */
CO_FN static int connect_wait(int fd, int64_t deadline)
{
	struct co_fd f = { .fd = -1 };
	struct co_want want = { .kind = CO_WRITABLE, .fd = &f };
	socklen_t n = sizeof(int);
	int err = 0;
	int r = co_fd_add(&f, fd);

	if (r < 0) {
		return r;
	}
	f.ready_out = false;
	r = co_wait(&want, 1, deadline);
	co_fd_del(&f);
	if (r < 0) {
		return r;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &n) != 0) {
		return -errno;
	}
	return -err;
}

CO_FN static int connect_to(int family, const struct sockaddr *sa, socklen_t len, int64_t deadline)
{
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int r = 0;

	if (fd < 0) {
		return -errno;
	}
	if (connect(fd, sa, len) != 0) {
		r = errno == EINPROGRESS || errno == EINTR ? connect_wait(fd, deadline) : -errno;
	}
	if (r == 0 && family != AF_UNIX) {
		r = set_on(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	}
	if (r < 0) {
		close(fd);
		return r;
	}
	return fd;
}

int net_connect(const struct net_addr *a, int64_t deadline)
{
	co_may_wait();
	if (!is_inet(a) || a->sa.sa_family == AF_UNSPEC) {
		return -EINVAL;
	}
	return connect_to(a->sa.sa_family, &a->sa, a->len, deadline);
}

int net_connect_unix(const char *path, int64_t deadline)
{
	struct sockaddr_un un;
	int r = unix_addr(path, &un);

	co_may_wait();
	if (r < 0) {
		return r;
	}
	return connect_to(AF_UNIX, (struct sockaddr *)&un, sizeof(un), deadline);
}

/* ---- accepting ----------------------------------------------------------------------- */

struct acceptor {
	struct co_fd fd;
	int spare;
	void (*on_conn)(void *arg, int fd, const struct net_addr *peer);
	void *arg;
};

static int open_spare(void)
{
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* No descriptor left: turn one caller away with the help of the spare one. */
static void turn_away(struct acceptor *a)
{
	if (a->spare >= 0) {
		int fd;

		close(a->spare);
		fd = accept4(a->fd.fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0) {
			close(fd);
		}
	}
	a->spare = open_spare();
}

static void got_conn(struct acceptor *a, int fd, struct net_addr *peer)
{
	if (peer->sa.sa_family != AF_INET && peer->sa.sa_family != AF_INET6) {
		memset(peer, 0, sizeof(*peer));
	} else {
		net_addr_unmap(peer);
		(void)set_on(fd, IPPROTO_TCP, TCP_NODELAY, 1);
		/* Half-dead connections end in hours, not never. */
		(void)set_on(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	}
	co_noyield_enter();
	a->on_conn(a->arg, fd, peer);
	co_noyield_leave();
}

/* After a failed accept: 0 to go on, or an error that is final. */
CO_FN static int accept_failed(struct acceptor *a, int err)
{
	struct co_want want = { .kind = CO_READABLE, .fd = &a->fd };
	int r;

	switch (err) {
	case EAGAIN:
		a->fd.ready_in = false;
		r = co_wait(&want, 1, CLOCK_NEVER);
		return r < 0 ? r : 0;
	case EMFILE:
	case ENFILE:
		turn_away(a);
		return co_sleep(SHORTAGE_MS);
	case ENOBUFS:
	case ENOMEM:
		return co_sleep(SHORTAGE_MS);
	case EBADF:
	case EFAULT:
	case EINVAL:
	case ENOTSOCK:
		return -err;
	default: /* the peer's or the network's trouble: accept(2) */
		return 0;
	}
}

int net_accept_loop(int fd, void (*on_conn)(void *arg, int fd, const struct net_addr *peer),
		    void *arg)
{
	struct acceptor a = { .on_conn = on_conn, .arg = arg };
	int r = co_fd_add(&a.fd, fd);

	if (r < 0) {
		return r;
	}
	a.spare = open_spare();
	while (r == 0) {
		struct net_addr peer;
		socklen_t n = sizeof(peer.in6);
		int conn;

		memset(&peer, 0, sizeof(peer));
		conn = accept4(fd, &peer.sa, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (conn >= 0) {
			peer.len = n;
			got_conn(&a, conn, &peer);
			r = co_breathe();
		} else {
			r = accept_failed(&a, errno);
		}
	}
	co_fd_del(&a.fd);
	closep(&a.spare);
	return r;
}
