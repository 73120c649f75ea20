/*
 * The spool: see spool.h.
 *
 * Memory first; the first write beyond SPOOL_MEM_MAX moves all to an unlinked
 * file, and from then on the memory is free again. Disk work is a job for the
 * offload pool; a full queue there is waited out, since the sender will not
 * mind. A failed write leaves size where it was.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include "io/spool.h"

/* How long to wait when the offload pool's queue is full. */
#define RETRY_MS 5

struct spool {
	const char *dir;
	uint64_t max;
	uint64_t size;
	struct buf mem;
	int fd;
};

int spool_new(const char *dir, uint64_t max, struct spool **out)
{
	struct spool *s = calloc(1, sizeof(*s));

	if (!s) {
		return -ENOMEM;
	}
	s->dir = dir;
	s->max = max;
	s->fd = -1;
	buf_init(&s->mem, SPOOL_MEM_MAX);
	*out = s;
	return 0;
}

void spool_free(struct spool **sp)
{
	struct spool *s = TAKE_PTR(*sp);

	if (!s) {
		return;
	}
	buf_fini(&s->mem);
	closep(&s->fd);
	free(s);
}

uint64_t spool_size(const struct spool *s)
{
	return s->size;
}

/* ---- on a worker ------------------------------------------------------------ */

struct disk_job {
	struct spool *s;
	struct slice data;
	char *to;
	size_t n;
	uint64_t off;
};

/* Where the file system knows no O_TMPFILE: a name for a moment. */
static int open_named(const char *dir)
{
	char path[1024];
	int n = snprintf(path, sizeof(path), "%s/spool.XXXXXX", dir);
	int fd;

	if (n < 0 || (size_t)n >= sizeof(path)) {
		return -ENAMETOOLONG;
	}
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0) {
		return -errno;
	}
	if (unlink(path) != 0) {
		int r = -errno;

		close(fd);
		return r;
	}
	return fd;
}

static int open_file(const char *dir)
{
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR)) {
		return open_named(dir);
	}
	return fd < 0 ? -errno : fd;
}

static int write_all(int fd, struct slice data, uint64_t off)
{
	while (data.n > 0) {
		ssize_t n = pwrite(fd, data.p, data.n, (off_t)off);

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n <= 0) {
			return n < 0 ? -errno : -EIO;
		}
		data = slice_from(data, (size_t)n);
		off += (uint64_t)n;
	}
	return 0;
}

static int write_job(void *arg)
{
	struct disk_job *j = arg;
	struct spool *s = j->s;
	int r;

	if (s->fd < 0) {
		int fd = open_file(s->dir);

		if (fd < 0) {
			return fd;
		}
		r = write_all(fd, buf_slice(&s->mem), 0);
		if (r < 0) {
			close(fd);
			return r;
		}
		s->fd = fd;
		buf_fini(&s->mem);
	}
	return write_all(s->fd, j->data, s->size);
}

static int read_job(void *arg)
{
	struct disk_job *j = arg;
	ssize_t n;

	do {
		n = pread(j->s->fd, j->to, j->n, (off_t)j->off);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : (int)n;
}

/* ---- in the session ----------------------------------------------------------- */

CO_FN static int on_disk(int (*fn)(void *arg), struct disk_job *j)
{
	int r;

	for (;;) {
		r = co_offload(fn, j);
		if (r != -EAGAIN) {
			return r;
		}
		r = co_sleep(RETRY_MS);
		if (r < 0) {
			return r;
		}
	}
}

int spool_write(struct spool *s, struct slice data, struct err *e)
{
	struct disk_job j = { .s = s, .data = data };
	int r;

	co_may_wait();
	if (data.n > s->max - s->size) {
		return err_set(e, -EMSGSIZE, "message is larger than allowed", NULL);
	}
	if (s->fd < 0 && s->size + data.n <= SPOOL_MEM_MAX) {
		buf_add(&s->mem, data);
		if (s->mem.err) {
			r = s->mem.err;
			s->mem.err = 0;
			return err_set(e, r, "no memory for a message", NULL);
		}
		s->size += data.n;
		return 0;
	}
	r = on_disk(write_job, &j);
	if (r < 0) {
		return err_set(e, r, "cannot write the spool file", "%s", s->dir);
	}
	s->size += data.n;
	return 0;
}

ssize_t spool_read(struct spool *s, uint64_t off, char *p, size_t n, struct err *e)
{
	struct iovec v;
	struct disk_job j = { .s = s, .to = p, .off = off };
	ssize_t r;

	co_may_wait();
	if (off >= s->size || n == 0) {
		return 0;
	}
	n = MIN(n, s->size - off);
	if (s->fd < 0) {
		memcpy(p, s->mem.p + off, n);
		return (ssize_t)n;
	}
	j.n = MIN(n, (size_t)INT32_MAX);
	/* It was just written, so most often it is in memory: no thread then. */
	v = (struct iovec){ p, j.n };
	r = preadv2(s->fd, &v, 1, (off_t)off, RWF_NOWAIT);
	if (r <= 0) {
		r = on_disk(read_job, &j);
	}
	if (r == 0) {
		r = -EIO; /* the file is shorter than what was written to it */
	}
	if (r < 0) {
		return err_set(e, (int)r, "cannot read the spool file", "%s", s->dir);
	}
	return r;
}
