/*
 * fault: the seam through which kv_local touches files, with named points.
 *
 * In ordinary operation each call is the plain system call. Tests install
 * faults: the n-th write, sync, rename or fallocate fails with an errno, once
 * or for ever; or the process kills itself (SIGKILL) at the n-th passing of a
 * named point. Faults can also be set by the environment variable
 * POSTRIDER_FAULT, read at each open of a store:
 *
 *   kill:commit.before_sync:3   SIGKILL at the third passing of the point
 *   fail:fdatasync:EIO:5        the fifth fdatasync fails, once
 *   fail:pwrite:ENOSPC:2+       the second pwrite and all after it fail
 *
 * several joined by ','. It is honoured only in builds with -Dfaults (by
 * default sanitizer builds); a release build has none of this. Operations:
 * open pwrite pread fdatasync fsync ftruncate fallocate rename unlink
 * mdb_commit mdb_copy. Points: docs/format.md does not name them; grep
 * fault_point.
 */
#ifndef KV_FAULT_H
#define KV_FAULT_H

#include <sys/types.h>

/* Errno-style: all return what the system call does, errno set. */
int fault_open(const char *path, int flags, mode_t mode);
ssize_t fault_pwrite(int fd, const void *p, size_t n, off_t off);
ssize_t fault_pread(int fd, void *p, size_t n, off_t off);
int fault_fdatasync(int fd);
int fault_fsync(int fd);
int fault_ftruncate(int fd, off_t size);
/* mode 0 allocates and extends; punching is FALLOC_FL_PUNCH_HOLE|KEEP_SIZE. */
int fault_fallocate(int fd, int mode, off_t off, off_t size);
int fault_rename(const char *from, const char *to);
int fault_unlink(const char *path);

#ifdef KV_FAULTS
/* Adds the faults of a specification as above. 0 or -EINVAL. */
int fault_install(const char *spec);
void fault_clear(void);
/* fault_install(getenv("POSTRIDER_FAULT")) if that is set. */
int fault_from_env(void);
void fault_point(const char *name);
/* For operations that are no system call: 0 or the errno to fail with. */
int fault_check(const char *op);
#else
static inline int fault_from_env(void)
{
	return 0;
}
static inline void fault_point(const char *name)
{
	(void)name;
}
static inline int fault_check(const char *op)
{
	(void)op;
	return 0;
}
#endif

#endif
