/*
 * log: one logfmt line, one write(2).
 *
 * The line is put together on the stack (no allocation, so logging works when
 * memory is gone) and is shorter than PIPE_BUF, so lines of several threads
 * never mix in a pipe and poll() knows whether the write would block. What a
 * peer chose is escaped and cut; what no longer fits is left out and the line
 * says so with cut=1.
 */
#include "base/log.h"

#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"

#define LINE_MAX_BYTES 2048
#define VALUE_MAX 512
#define TAIL_ROOM 8 /* " cut=1\n" */

static _Atomic int log_fd = STDERR_FILENO;
static _Atomic int log_min = LOG_INFO;
static _Atomic uint64_t dropped;

struct line {
	size_t n;
	bool cut;
	char p[LINE_MAX_BYTES];
};

void log_setup(int fd, enum log_level min)
{
	atomic_store(&log_fd, fd);
	atomic_store(&log_min, (int)min);
}

uint64_t log_dropped(void)
{
	return atomic_load(&dropped);
}

static void add(struct line *l, struct slice s)
{
	if (l->cut || s.n > sizeof(l->p) - TAIL_ROOM - l->n) {
		l->cut = true;
		return;
	}
	memcpy(l->p + l->n, s.p, s.n);
	l->n += s.n;
}

static bool plain(unsigned char c)
{
	return c > 0x20 && c < 0x7f && c != '"' && c != '=' && c != '\\';
}

static void add_escaped(struct line *l, unsigned char c)
{
	static const char hex[] = "0123456789abcdef";
	char esc[4] = { '\\', 'x', hex[c >> 4], hex[c & 15] };

	if (c == '"' || c == '\\') {
		esc[1] = (char)c;
		add(l, slice_make(esc, 2));
	} else if (c < 0x20 || c > 0x7e) {
		add(l, slice_make(esc, 4));
	} else {
		add(l, slice_make((char *)&c, 1));
	}
}

static void add_value(struct line *l, struct slice s)
{
	bool bare = s.n > 0 && s.n <= VALUE_MAX;

	for (size_t i = 0; bare && i < s.n; i++) {
		bare = plain((unsigned char)s.p[i]);
	}
	if (bare) {
		add(l, s);
		return;
	}
	add(l, S("\""));
	for (size_t i = 0; i < s.n && i < VALUE_MAX; i++) {
		add_escaped(l, (unsigned char)s.p[i]);
	}
	add(l, s.n > VALUE_MAX ? S("...\"") : S("\""));
}

/* One pair, whole or not at all. */
static void add_pair(struct line *l, const struct log_kv *kv)
{
	size_t before = l->n;
	char num[24];

	add(l, S(" "));
	add(l, slice_cstr(kv->key));
	add(l, S("="));
	if (kv->kind == LOG_NUM) {
		int n = snprintf(num, sizeof(num), "%lld", (long long)kv->i);
		add(l, slice_make(num, (size_t)n));
	} else {
		add_value(l, kv->s);
	}
	if (l->cut) {
		l->n = before;
	}
}

static void add_head(struct line *l, enum log_level lv, const char *sid, const char *event)
{
	static const char *const names[] = { "debug", "info", "warn", "error" };
	int64_t ms = clock_wall_ms();
	time_t sec = (time_t)(ms / 1000);
	struct tm tm;
	char ts[64];

	gmtime_r(&sec, &tm);
	size_t n = strftime(ts, sizeof(ts), "ts=%Y-%m-%dT%H:%M:%S", &tm);
	n += (size_t)snprintf(ts + n, sizeof(ts) - n, ".%03dZ", (int)(ms % 1000));
	add(l, slice_make(ts, n));
	add_pair(l, &LOG_C("level", names[lv]));
	add_pair(l, &LOG_C("event", event));
	if (sid && sid[0]) {
		add_pair(l, &LOG_C("sid", sid));
	}
}

static void send_line(const struct line *l)
{
	struct pollfd pfd = { .fd = atomic_load(&log_fd), .events = POLLOUT };

	if (poll(&pfd, 1, 0) != 1 || !(pfd.revents & POLLOUT) ||
	    write(pfd.fd, l->p, l->n) != (ssize_t)l->n) {
		atomic_fetch_add(&dropped, 1);
	}
}

void log_line(enum log_level lv, const char *sid, const char *event, const struct log_kv *kv,
	      size_t n)
{
	struct line l;
	int saved = errno;

	if ((int)lv < atomic_load(&log_min)) {
		return;
	}
	l.n = 0;
	l.cut = false;
	add_head(&l, lv, sid, event);
	for (size_t i = 0; i < n; i++) {
		add_pair(&l, &kv[i]);
	}
	if (l.cut) {
		memcpy(l.p + l.n, " cut=1", 6);
		l.n += 6;
	}
	l.p[l.n++] = '\n';
	send_line(&l);
	errno = saved;
}
