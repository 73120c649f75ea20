/*
 * Faults on purpose: a short list of rules, looked up by name at each call.
 *
 * Without KV_FAULTS this file is only the plain system calls. Rules live in a
 * fixed array under a mutex; a call counts its passing on every rule of its
 * name. Called by the engine's files, installed by tests.
 */
#include "kv/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef KV_FAULTS
#include <pthread.h>
#include <signal.h>

#include "base/err.h"
#include "base/slice.h"

#define RULES_MAX 16
#define NAME_MAX_ 40

struct rule {
	char name[NAME_MAX_]; /* operation or point */
	uint64_t at;	      /* which passing */
	uint64_t seen;
	int err; /* 0: kill */
	bool for_ever;
};

static struct {
	pthread_mutex_t lock;
	struct rule rule[RULES_MAX];
	size_t n;
} faults = { .lock = PTHREAD_MUTEX_INITIALIZER };

static const struct {
	const char *name;
	int err;
} errnos[] = {
	{ "EIO", EIO },	      { "ENOSPC", ENOSPC }, { "EFBIG", EFBIG }, { "EDQUOT", EDQUOT },
	{ "ENOMEM", ENOMEM }, { "EINTR", EINTR },   { "EROFS", EROFS },
};

static int parse_errno(struct slice s)
{
	for (size_t i = 0; i < ARRAY_LEN(errnos); i++) {
		if (slice_eq(s, slice_cstr(errnos[i].name))) {
			return errnos[i].err;
		}
	}
	return 0;
}

/* rule = "kill:" point ":" n / "fail:" op ":" errno ":" n ["+"] */
static int parse_rule(struct slice s, struct rule *out)
{
	struct rule r = { .name = "" };
	struct slice kind = slice_split(&s, ':');
	struct slice name = slice_split(&s, ':');

	if (slice_eq(kind, S("fail"))) {
		r.err = parse_errno(slice_split(&s, ':'));
		if (r.err == 0) {
			return -EINVAL;
		}
	} else if (!slice_eq(kind, S("kill"))) {
		return -EINVAL;
	}
	if (slice_ends(s, S("+"))) {
		r.for_ever = true;
		s = slice_sub(s, 0, s.n - 1);
	}
	if (slice_copy(name, r.name, sizeof(r.name)) < 0 || slice_u64(s, &r.at) < 0 || r.at == 0) {
		return -EINVAL;
	}
	*out = r;
	return 0;
}

int fault_install(const char *spec)
{
	struct slice rest = slice_cstr(spec);
	int r = 0;

	pthread_mutex_lock(&faults.lock);
	while (r == 0 && rest.n) {
		struct slice one = slice_split(&rest, ',');

		if (faults.n == RULES_MAX) {
			r = -EINVAL;
			break;
		}
		r = parse_rule(one, &faults.rule[faults.n]);
		faults.n += r == 0;
	}
	pthread_mutex_unlock(&faults.lock);
	return r;
}

void fault_clear(void)
{
	pthread_mutex_lock(&faults.lock);
	faults.n = 0;
	pthread_mutex_unlock(&faults.lock);
}

int fault_from_env(void)
{
	const char *spec = getenv("POSTRIDER_FAULT");

	return spec ? fault_install(spec) : 0;
}

int fault_check(const char *name)
{
	int err = 0;

	pthread_mutex_lock(&faults.lock);
	for (size_t i = 0; i < faults.n; i++) {
		struct rule *r = &faults.rule[i];

		if (strcmp(r->name, name) != 0) {
			continue;
		}
		r->seen++;
		if (r->seen == r->at || (r->for_ever && r->seen > r->at)) {
			if (r->err == 0) {
				kill(getpid(), SIGKILL);
			}
			err = r->err;
		}
	}
	pthread_mutex_unlock(&faults.lock);
	return err;
}

void fault_point(const char *name)
{
	(void)fault_check(name);
}
#endif

static bool failed(const char *op)
{
	int err = fault_check(op);

	if (err) {
		errno = err;
	}
	return err != 0;
}

int fault_open(const char *path, int flags, mode_t mode)
{
	return failed("open") ? -1 : open(path, flags | O_CLOEXEC, mode);
}

ssize_t fault_pwrite(int fd, const void *p, size_t n, off_t off)
{
	return failed("pwrite") ? -1 : pwrite(fd, p, n, off);
}

ssize_t fault_pread(int fd, void *p, size_t n, off_t off)
{
	return failed("pread") ? -1 : pread(fd, p, n, off);
}

int fault_fdatasync(int fd)
{
	return failed("fdatasync") ? -1 : fdatasync(fd);
}

int fault_fsync(int fd)
{
	return failed("fsync") ? -1 : fsync(fd);
}

int fault_ftruncate(int fd, off_t size)
{
	return failed("ftruncate") ? -1 : ftruncate(fd, size);
}

int fault_fallocate(int fd, int mode, off_t off, off_t size)
{
	return failed("fallocate") ? -1 : fallocate(fd, mode, off, size);
}

int fault_rename(const char *from, const char *to)
{
	return failed("rename") ? -1 : rename(from, to);
}

int fault_unlink(const char *path)
{
	return failed("unlink") ? -1 : unlink(path);
}
