/*
 * log: structured lines (logfmt) to stderr or a file descriptor.
 *
 *   ts=2026-01-02T03:04:05.678Z level=info event=smtp.accepted sid=7f3a... rcpt=a@b
 *
 * One call, one line, one write(2); never blocks the caller for long: when
 * the descriptor would block, the line is dropped and counted. Values are
 * escaped: anything but printable ASCII without space, '"', '=' and '\' is
 * put in double quotes with \xNN, \", \\ (THREATS RS-06). Passwords and AUTH
 * lines are never passed in. Library layers do not log; sessions and srv do.
 * Thread-safe.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/slice.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

struct log_kv {
	const char *key; /* static, [a-z_] */
	enum { LOG_STR, LOG_NUM } kind;
	struct slice s;
	int64_t i;
};

#define LOG_S(k, slice_) ((struct log_kv){ (k), LOG_STR, (slice_), 0 })
#define LOG_C(k, cstr) ((struct log_kv){ (k), LOG_STR, slice_cstr(cstr), 0 })
#define LOG_I(k, num) ((struct log_kv){ (k), LOG_NUM, { 0, 0 }, (int64_t)(num) })

/* Where lines go and from which level on. Default: stderr, LOG_INFO. */
void log_setup(int fd, enum log_level min);
/* A fixed prefix is the session id ("" for none). event is static. */
void log_line(enum log_level lv, const char *sid, const char *event, const struct log_kv *kv,
	      size_t n);
#define log_event(lv, sid, event, ...)                                   \
	log_line((lv), (sid), (event), (struct log_kv[]){ __VA_ARGS__ }, \
		 sizeof((struct log_kv[]){ __VA_ARGS__ }) / sizeof(struct log_kv))
/* Lines dropped because the descriptor was full. */
uint64_t log_dropped(void);

#endif
